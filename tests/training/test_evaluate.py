"""Measuring: the table is whole, worse pictures get worse numbers, and judges judge only."""

import ast
import json
from functools import cache
from pathlib import Path

import pytest
import torch

from faceedit import hub
from faceedit.backbones.attributes import AttributeReader, AttributesConfig
from faceedit.backbones.identity import Identity, IdentityConfig
from faceedit.backbones.segmenter import Segmenter, SegmenterConfig
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.hub import folders, save_network
from faceedit.metrics.fid import fid
from faceedit.world import REGIONS
from tests.conftest import make_clip, make_encoder
from tests.training.shards import write_index, write_shard
from training import evaluate
from training.config import ROOT, TrainConfig
from training.fingerprint import code_files
from training.measures.generator import gaussian_blur, look
from training.measures.networks import Setting
from training.publish.gallery import captioned, write_sheets
from training.reproduce import published_runs
from training.tasks import reads, task_class, task_names
from training.tasks.attribute_mapping import (
    AttributeMapping,
    AttributeMappingConfig,
    save_attribute_mapping,
)
from training.tasks.attributes import HEADS

COUNT = 12


def make_judge() -> AttributeReader:
    return AttributeReader(AttributesConfig(HEADS, input_size=32, widths=(4, 8), hidden=8)).eval()


def make_recognizer() -> Identity:
    crop = (4, 28, 4, 28)
    return Identity(
        IdentityConfig((4, 8), (1, 1), 8, aligned_size=32, crop=crop, input_size=16, squeeze=4)
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    for number, split in enumerate(("train", "heldout")):
        write_shard(folder / split, number, COUNT, size=32)
    write_shard(folder / "people", 2, 40, size=32)
    write_index(folder / "people", views=2)
    return folder


@pytest.fixture(scope="module")
def cards(tmp_path_factory) -> Path:
    """A tiny base and tiny judges; there is no `attributes` network."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("cards")
    base, judges = folder / "base", folder / "judges"
    config = GeneratorConfig(32, 16, 16, mapping_layers=1, channel_base=256, channel_max=8)
    generator = Generator(config)
    save_network(generator, base / "generator")
    mapping = AttributeMapping(AttributeMappingConfig(w_dim=16, width=16, layers=2))
    save_attribute_mapping(mapping, base / "generator")
    save_network(make_encoder(generator), base / "encoder")
    save_network(make_recognizer(), base / "identity")
    save_network(Segmenter(SegmenterConfig(REGIONS, widths=(4, 8))), base / "segmenter")
    make_clip().save(base / "clip")
    names = ("generator", "encoder", "identity", "segmenter", "clip")
    hub.save_base(base, {name: name for name in names}, resolution=32)
    save_network(make_judge(), judges / "attributes")
    save_network(make_recognizer(), judges / "identity")
    return folder


def flags(world: Path, cards: Path, out: Path) -> list[str]:
    named = {"data_dir": world, "base": cards / "base", "judges": cards / "judges"}
    named |= {"results": out / "networks.json", "table": out / "networks.md"}
    pairs = [part for name, path in named.items() for part in (f"--{name}", str(path))]
    return [*pairs, "--count", str(COUNT), "--refined", "2", "--cpu", "--sheet_dir", str(out)]


MEASURED = "judges,generator,encoder,identity,segmenter,attributes"


def test_table_holds_every_number_with_its_floor_and_ceiling(world, cards, tmp_path, capsys):
    assert evaluate.main(["--networks", "--only", MEASURED, *flags(world, cards, tmp_path)]) == 0
    page = (tmp_path / "networks.md").read_text()
    assert page.strip() in capsys.readouterr().out
    assert "| network | measure | number | bar | floor | ceiling |" in page
    assert "Not measured: attributes (attributes has no weights" in page
    report = json.loads((tmp_path / "networks.json").read_text())
    measured = {"judge_attributes", "judge_identity", "generator", "encoder", "identity"}
    assert set(report["networks"]) == measured | {"segmenter"}
    for name, entry in report["networks"].items():
        assert entry["weights"], name
        for measure in entry["measures"]:
            assert measure["floor"]["meaning"] and measure["ceiling"]["meaning"], measure
            assert measure["name"] in page
    fids = report["networks"]["generator"]["measures"][0]
    assert fids["ceiling"]["value"] < fids["bar"] < fids["floor"]["value"]

    # Numbers of other networks stay, unless what they depend on has changed since.
    save_network(make_judge(), cards / "judges" / "attributes")
    assert evaluate.main(["--only", "identity", *flags(world, cards, tmp_path)]) == 0
    report = json.loads((tmp_path / "networks.json").read_text())
    assert set(report["networks"]) == {"judge_identity", "identity", "segmenter"}


@pytest.mark.slow
def test_clip_and_speed_are_measured(world, cards, tmp_path):
    assert evaluate.main(["--only", "clip,speed", *flags(world, cards, tmp_path)]) == 0
    report = json.loads((tmp_path / "networks.json").read_text())
    assert "edit/styleclip_optimization" in report["networks"]["speed"]["details"]["seconds"]
    assert len(report["networks"]["clip"]["measures"]) == 4


def test_unknown_network_is_named(capsys):
    assert evaluate.main(["--only", "genrator"]) == 2
    assert "generator" in capsys.readouterr().err


def test_blurred_pictures_are_further_away_than_sharp_ones():
    noise = torch.Generator().manual_seed(0)
    judge = make_judge()
    sets = [torch.rand(64, 3, 32, 32, generator=noise) * 2 - 1 for _ in range(2)]
    reference = look(judge, [sets[0]]).features
    distances = [fid(look(judge, [sets[1]]).features, reference)]
    for sigma in (1, 2):
        blurred = gaussian_blur(sets[1], sigma)
        assert blurred.shape == sets[1].shape
        distances.append(fid(look(judge, [blurred]).features, reference))
    assert distances == sorted(distances)
    flat = torch.full((1, 3, 32, 32), 0.4)
    assert torch.allclose(gaussian_blur(flat, 2), flat, atol=1e-6)


def test_sheets_are_small_and_say_what_is_missing(world, cards, tmp_path, monkeypatch):
    monkeypatch.setattr("training.publish.gallery.SWEPT", ("smile", "glasses"))
    monkeypatch.setattr("training.publish.gallery.STEPS", 2)
    monkeypatch.setattr("training.publish.gallery.REFINE_STEPS", 1)
    setting = Setting(world, cards / "base", cards / "judges", COUNT)
    lines = write_sheets(setting, tmp_path)
    written = {path.stem for path in tmp_path.glob("*.jpg")}
    assert {"world", "counterfactuals", "samples-psi-0.8", "inversions"} <= written
    assert any(line.startswith("no sheet of photos") for line in lines)
    assert captioned(torch.zeros(3, 32, 32), "old").shape == (3, 48, 32)


# ------------------------------------------------------------------------------ judges judge only
@cache
def words_of(path: Path) -> set[str]:
    """Return the strings of a file without its docstrings, and the modules that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    }
    found = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    found = {text for text in found if isinstance(text, str)} - docs
    return found | {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}


def test_no_training_names_the_judges_as_something_to_read():
    for task in task_names():
        assert not [name for name in reads(task) if "judge" in name], task
        for name in code_files(task):
            words = words_of(ROOT / name)
            assert not [w for w in words if "judges" in w or w.endswith("measures")], name
    for run in published_runs():
        place = run.config.export_path.parent.name
        assert (place == "judges") == run.config.task.startswith("judge_"), run.recipe
        assert "judges" not in str(run.config.base_path)
        assert "judges" not in json.dumps(run.config.options)


def test_no_task_opens_a_file_of_the_judges(world, cards, monkeypatch):
    opened = []
    for name in ("read_weights", "read_config"):
        original = getattr(folders, name)
        monkeypatch.setattr(
            folders, name, lambda folder, f=original: (opened.append(Path(folder)), f(folder))[1]
        )
    for task in ("encoder", "segmenter", "identity"):
        options = {"weight_attributes": 0.0} if task == "encoder" else {}
        config = TrainConfig(
            task=task, data_dir=str(world), base=str(cards / "base"), options=options
        )
        made = task_class(task)(config, torch.device("cpu"))
        made.open_data(None)
        made.batch(range(2))
    assert cards / "base" / "generator" in opened
    assert not [folder for folder in opened if "judges" in folder.parts]
