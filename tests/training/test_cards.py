import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import faceedit.methods
from faceedit import hub
from faceedit.method_repo import save_method
from faceedit.methods import METHODS
from faceedit.notes import METHOD_NOTES, SPEED_WORDS
from training.config import ROOT
from training.publish import card_commands, cards
from training.publish.card_numbers import LABELS, Cell, read_rows, shown
from training.publish.card_rules import check_card, check_space, python_blocks

BASE = "portraits-128"
SLOW_FITS = ("ganspace", "interfacegan", "stylespace")  # their cards are written and not run
PUBLISHED = [folder for folder in cards.repo_folders() if (folder / "README.md").is_file()]


def save_methods(shelf: Path, backbones) -> None:
    """Write a tiny repo of every method; of the slow fits only what is there before the fit."""
    prints = hub.fingerprint(shelf / BASE)
    latents = backbones.generator.sample_w_plus(16, torch.Generator().manual_seed(1), 1.0)
    for name, method_class in METHODS.items():
        if method_class.brings or not method_class.needs <= set(backbones.present()):
            continue
        names = {field.name for field in dataclasses.fields(method_class.config_class)}
        small = {"steps": 2, "images": 2}
        method = method_class.build(backbones, **{k: v for k, v in small.items() if k in names})
        if method.kind == "fitted" and name not in SLOW_FITS:
            method.fit(latents, None, backbones)
        folder = shelf / name.replace("_", "-")
        save_method(method, folder, base=f"faceedit/{BASE}", fingerprint=prints, half=False)


@pytest.fixture(scope="module")
def finished_shelf(base_folder, backbones, tmp_path_factory) -> Path:
    shelf = tmp_path_factory.mktemp("cards") / "hub_cards"
    shutil.copytree(base_folder, shelf / BASE)
    save_methods(shelf, backbones)
    (shelf / "benchmark").mkdir()
    success = {"value": 0.83217, "low": 0.8, "high": 0.85, "n": 9}
    row = {"flags": [], "success": success, "identity": {"value": 0.7, "low": None}, "other": 3}
    rows = {"styleclip_global": row}
    (shelf / "benchmark" / "results.json").write_text(json.dumps({"rows": rows}))
    measure = {"name": "PSNR", "value": 21.23657, "bar": 25.0, "unit": "dB"}
    networks = {"encoder": {"weights": {}, "measures": [measure, {"name": "odd", "value": None}]}}
    (shelf / "benchmark" / "networks.json").write_text(json.dumps({"networks": networks}))
    cards.write_cards(shelf)
    return shelf


@pytest.fixture
def shelf(finished_shelf, tmp_path) -> Path:
    """A copy that a test may spoil: the base and one method."""
    for name in (BASE, "styleclip-global", "benchmark"):
        shutil.copytree(finished_shelf / name, tmp_path / name)
    return tmp_path


def spoil(folder: Path, old: str, new: str) -> None:
    path = folder / "README.md"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


# What is published --------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_card_breaks_no_rule(folder):
    assert check_card(folder, folder.parent) == []


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_repo_holds_no_file_that_could_run_code(folder):
    kinds = {".json", ".safetensors", ".txt", ".md", ".jpg", ".png", ".yaml"}
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= kinds


def test_the_spaces_card_is_sound():
    assert check_space(ROOT / "README.md") == []


# What is written ----------------------------------------------------------------------------------


def test_every_card_that_is_written_breaks_no_rule(finished_shelf):
    for folder in cards.repo_folders(finished_shelf):
        assert check_card(folder, finished_shelf) == [], folder.name
    assert cards.stale_cards(finished_shelf) == []


def test_card_of_a_method_without_a_paper_names_none(finished_shelf):
    for name in ("counterfactual", "styleclip_global"):
        text = (finished_shelf / name.replace("_", "-") / "README.md").read_text()
        assert ("the paper" in text) == (METHOD_NOTES[name].paper is not None), name


def test_numbers_are_those_of_the_benchmark_in_table_and_index(shelf):
    text = (shelf / "styleclip-global" / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    metrics = front["model-index"][0]["results"][0]["metrics"]
    assert {metric["type"]: metric["value"] for metric in metrics} == {
        "success": 0.8322,
        "identity": 0.7,
    }
    assert f"| {LABELS['success']} | 0.8322 | 0.8 to 0.85 |" in text
    assert "| encoder: PSNR (dB) | 21.24 | 25 |" in (shelf / BASE / "README.md").read_text()


def test_card_without_numbers_says_so(finished_shelf):
    text = (finished_shelf / "styleclip-optimization" / "README.md").read_text()
    assert "Not measured yet" in text
    assert "model-index" not in text


def test_numbers_of_other_weights_are_left_out(shelf):
    path = shelf / "benchmark" / "networks.json"
    content = json.loads(path.read_text())
    content["networks"]["encoder"]["weights"] = {"encoder": "0123456789ab"}
    path.write_text(json.dumps(content))
    assert "Not measured yet" in cards.card_of(shelf / BASE, shelf)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in SLOW_FITS])
def test_python_of_a_card_runs(name, finished_shelf, monkeypatch, tmp_path):
    folder = finished_shelf / name.replace("_", "-")
    if not folder.is_dir():
        pytest.skip("needs a network that the tiny base does not have")
    monkeypatch.setattr(hub.find, "BUNDLED", finished_shelf)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in python_blocks((folder / "README.md").read_text()):
        exec(block, names)
    assert (tmp_path / "edited.png").is_file()
    assert names["other"].backbones is names["editor"].backbones


def test_python_of_the_bases_card_runs(finished_shelf, monkeypatch, tmp_path):
    monkeypatch.setattr(hub.find, "BUNDLED", finished_shelf)
    monkeypatch.chdir(tmp_path)
    for block in python_blocks((finished_shelf / BASE / "README.md").read_text()):
        exec(block, {})
    assert (tmp_path / "edited.png").is_file()


def test_command_repeats_what_differs_from_the_recipe():
    task = "styleclip_global"
    plain = {"settings": {"task": task, "recipe": "", "seed": 0}}
    start = f"accelerate launch training/train.py --task {task}"
    assert card_commands.reproduce_command(plain, "nothing") == start
    changed = {"seed": 3, "channels_last": True, "options": {"samples": 7}}
    command = card_commands.reproduce_command({"settings": {"task": task, **changed}}, "nothing")
    assert command == f"{start} --seed 3 --channels_last --set samples=7"
    assert card_commands.reproduce_command({}, "nothing") == "nothing"


def test_settings_that_were_changed_after_training_are_told(shelf):
    arguments = {"settings": {"task": "styleclip_global", "options": {"method": {"alpha": 1.5}}}}
    folder = shelf / "styleclip-global"
    (folder / "training_args.json").write_text(json.dumps(arguments))
    alpha = hub.read_config(folder)["method_config"]["alpha"]
    assert f"`alpha` 1.5 to {alpha}" in cards.card_of(folder, shelf)


def test_pictures_are_shown_where_there_are_some(shelf):
    folder = shelf / "styleclip-global"
    assert "![" not in cards.card_of(folder, shelf)
    (folder / "samples").mkdir()
    (folder / "samples" / "grid.jpg").write_bytes(b"picture")
    assert "(samples/grid.jpg)" in cards.card_of(folder, shelf)


def test_variants_are_listed(shelf):
    folder = shelf / "styleclip-global"
    config = hub.read_config(folder)
    config |= {"method": "styleclip_mapper", "variants": {"red hair": "red-hair"}}
    (folder / hub.CONFIG).write_text(json.dumps(config))
    assert '"red hair"' in cards.card_of(folder, shelf)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("license: apache-2.0", "license: proprietary", "license"),
        ("library_name: faceedit", "library_name: other", "library_name"),
        ("pipeline_tag: image-to-image", "pipeline_tag: text-generation", "pipeline_tag"),
        (f"base_model: faceedit/{BASE}", "base_model: no id", "not a repo id"),
        (f"base_model: faceedit/{BASE}", "base_model: faceedit/other", "names another one"),
        ("value: 0.8322", "value: 0.95", "in model-index and 0.8322 in the JSON"),
        ("| 0.8322 |", "| 0.95 |", "is 0.95 in the table"),
        ("| 0.8 to 0.85 |", "| 0.83 to 0.84 |", "stands 0.83 to 0.84, and 0.8 to 0.85 in the J"),
        ("- type: success", "- type: invented", "'invented' in model-index is not in the bench"),
        ("| --- | ---: | ---: |\n", "| --- | ---: | ---: |\n| beauty | 1.0 |  |\n", "'beauty'"),
        ("## Consent and misuse", "## Other", "'Consent and misuse' is missing"),
        ("editor = ", "editor = = ", "does not parse"),
        ("## How it works", "![x](samples/none.png)\n\n## How it works", "is shown and absent"),
    ],
)
def test_broken_card_is_noticed(shelf, old, new, message):
    spoil(shelf / "styleclip-global", old, new)
    problems = check_card(shelf / "styleclip-global", shelf)
    assert any(message in problem for problem in problems), problems


def test_card_whose_numbers_have_gone_from_the_benchmark_is_noticed(shelf):
    (shelf / "benchmark" / "results.json").write_text("{}")
    assert "not in the benchmark's JSON" in check_card(shelf / "styleclip-global", shelf)[0]


def test_card_that_is_out_of_date_is_noticed(shelf, capsys):
    spoil(shelf / "styleclip-global", "Good for", "Best for")
    assert cards.main(["--check", "--hub_cards", str(shelf)]) == 1
    assert "styleclip-global: out of date" in capsys.readouterr().out
    assert cards.main(["--hub_cards", str(shelf)]) == 0
    assert cards.main(["--check", "--hub_cards", str(shelf)]) == 0


def test_unknown_repo_is_refused_with_the_nearest(shelf, capsys):
    assert cards.main(["--only", "styleclip-gobal", "--hub_cards", str(shelf)]) == 2
    assert "did you mean 'styleclip-global'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sdk: gradio", "sdk: docker", "sdk must be"),
        ("sdk_version: ", "sdk_version: 1.", "sdk_version"),
        ('python_version: "3.11"', 'python_version: "3.9"', "python_version"),
        ("colorFrom: indigo", "colorFrom: mauve", "colours"),
        ("short_description: ", "short_description: " + "long " * 20, "60 characters"),
    ],
)
def test_broken_card_of_the_space_is_noticed(tmp_path, old, new, message):
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / "app.py").touch()
    assert check_space(tmp_path / "README.md") == []
    spoil(tmp_path, old, new)
    assert any(message in problem for problem in check_space(tmp_path / "README.md"))


# Numbers and notes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        {"methods": {"feat": {"success": 0.5}}},
        {"rows": [{"method": "feat", "success": 0.5}]},
        {"feat": {"columns": {"success": {"value": 0.5, "low": 0.4}}}},
        {"results": {"feat": {"success": {"mean": 0.5}}}},
    ],
)
def test_rows_are_found_however_they_are_kept(tmp_path, content):
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert read_rows(tmp_path / "results.json")["feat"]["success"].value == 0.5


def test_rows_hold_numbers_only_and_those_of_groups(tmp_path):
    row = {"n": 3, "flag": True, "bad": float("nan"), "text": "x", "curve": [{"success": 1}]}
    row |= {"matched": {"reached": True, "identity": {"value": 0.5, "low": 0.25, "high": 0.75}}}
    row |= {"by_prompt": {"red hair": {"success": 1.0}}, "kid": None, "all_true": {"value": None}}
    (tmp_path / "results.json").write_text(json.dumps({"rows": {"feat": row}}))
    assert read_rows(tmp_path / "results.json") == {
        "feat": {"n": Cell(3.0), "matched/identity": Cell(0.5, 0.25, 0.75)}
    }


def test_rows_that_are_not_there_are_none(tmp_path):
    assert read_rows(tmp_path / "results.json") == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.83631, "0.8363"), (21.23657, "21.24"), (2682.0, "2682"), (26824.0, "26824"), (0.0, "0")],
)
def test_numbers_are_shown_with_digits_that_mean_something(value, text):
    assert shown(value) == text


@pytest.mark.parametrize("name", list(METHODS))
def test_note_agrees_with_the_method(name):
    note, method = METHOD_NOTES[name], METHODS[name]
    assert note.name == name
    assert note.kind == method.kind
    text = Path(faceedit.methods.__file__).with_name(f"{name}.py").read_text()
    assert note.arxiv is None or f"arXiv:{note.arxiv}" in text


@pytest.mark.parametrize("note", METHOD_NOTES.values(), ids=lambda note: note.name)
def test_note_is_complete(note):
    assert len(note.how_it_works) == 5
    assert len(note.limits) == 3
    assert note.speed in SPEED_WORDS
    assert note.arxiv is None or re.fullmatch(r"\d{4}\.\d{5}", note.arxiv)


def test_notes_load_nothing_heavy():
    code = "import sys, faceedit.notes; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
