"""The page on another base than the portrait world's: its words, people and controls follow it."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

import app
from demo import examples
from demo.files import ResultFiles
from demo.inputs import PHOTOGRAPHIC, PROMPTS, Inputs
from demo.loading import Loader
from demo.settings import Settings, draws_the_world
from demo.subject import Subjects
from faceedit import hub
from faceedit.__main__ import main
from faceedit.photo.provenance import SourceType, read
from tests.conftest import save_base


@pytest.fixture(scope="module")
def photographic(backbones, tmp_path_factory) -> Path:
    """A base that frames faces as FFHQ does."""
    folder = save_base(backbones, tmp_path_factory.mktemp("ffhq") / "base")
    config = hub.read_config(folder)
    hub.write_folder(folder, {**config, "framing": "ffhq"}, None)
    return folder


def texts(page) -> str:
    return json.dumps(page.get_config_file()["components"], default=str)


def test_bases_say_what_they_draw(photographic, base_folder):
    assert not draws_the_world(str(photographic)) and draws_the_world(str(base_folder))
    assert draws_the_world("faceedit/portraits-128")


def test_page_of_photographs_speaks_of_no_portrait_world(photographic):
    page = app.App(Settings(repo=str(photographic)), Loader(str(photographic), "cpu")).build()
    said = texts(page) + json.dumps(page.get_api_info(), default=str)
    assert "Draw a face that nobody has" in said  # what endpoints say of themselves is in it
    for words in ("portrait world", "Fourteen methods", "first-edit"):
        assert words not in said, words
    assert all(prompt in said for prompt in PHOTOGRAPHIC)
    world = texts(app.App(Settings(), Loader("faceedit/portraits-128", "cpu")).build())
    assert "portrait world" in world and all(prompt in world for prompt in PROMPTS)


def test_people_of_a_page_of_photographs_are_drawn_by_its_networks(photographic, tmp_path):
    subjects = Subjects(Loader(str(photographic), "cpu"))
    files = ResultFiles(True)
    path, seed = Inputs(subjects, files).sample()
    someone = subjects.subject(None, seed, None)
    assert someone.person is None  # so that no ground truth is promised
    with Image.open(path) as picture:
        assert picture.size == (32, 32)
    assert read(path).source_type is SourceType.GENERATED


def test_examples_of_a_page_of_photographs_are_photographs():
    assert all(example.photo for example in examples.offered(False))
    assert len(examples.thumbnails(False)) == len(examples.offered(False)) == 6


def test_command_serves_the_page_for_a_base(photographic, monkeypatch):
    served = {}

    def run(path, run_name):
        served.update(path=Path(path).name, repo=os.environ["FACEEDIT_REPO"], name=run_name)

    monkeypatch.setenv("FACEEDIT_REPO", "")
    monkeypatch.setenv("FACEEDIT_DEVICE", "")
    monkeypatch.setattr("runpy.run_path", run)
    assert main(["demo", "--repo", str(photographic)]) == 0
    assert served == {"path": "app.py", "repo": str(photographic), "name": "__main__"}
