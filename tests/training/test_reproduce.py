"""Reproducing: runs in order of dependency, and only what is out of date."""

import json
import shutil

import pytest

from faceedit.methods import method_class
from tests.training import test_photographs
from training import fingerprint as module
from training import reproduce
from training.config import ConfigError, TrainConfig, build_options, parse_config
from training.data.make_world import main as make_world
from training.fingerprint import code_files, differences, fingerprint, stored_fingerprint
from training.loop.checkpoint import FILES
from training.reproduce import Run, command, in_order, main
from training.tasks import task_class
from training.tasks.fit import FitOptions
from training.tasks.method import MethodOptions
from training.train import main as train

folder = test_photographs.folder  # a fixture: three labelled photographs, one of which can be used
STAMP = {"code": {"a.py": "1"}, "inputs": {"clip": "2"}, "recipe": "3", "world": "4"}


def runs_of(*tasks: str) -> list[Run]:
    base = "hub_cards/portraits-128"
    return [Run(t, TrainConfig(task=t, base=base, export_dir=f"{base}/{t}")) for t in tasks]


def test_runs_come_after_what_they_read(monkeypatch):
    order = [
        run.recipe for run in in_order(runs_of("encoder", "generator", "identity", "segmenter"))
    ]
    assert order.index("segmenter") < order.index("generator") < order.index("encoder")
    assert order.index("identity") < order.index("encoder")


def test_circles_are_refused(monkeypatch):
    monkeypatch.setattr(reproduce, "reads", lambda task: ("b",) if task == "a" else ("a",))
    with pytest.raises(ConfigError, match="depend on each other"):
        in_order(runs_of("a", "b"))


def test_differences_name_what_changed():
    assert differences(STAMP, STAMP) == []
    assert differences(None, STAMP) == ["never trained"]
    changed = {**STAMP, "code": {"a.py": "9"}, "inputs": {"clip": "8"}, "recipe": "7"}
    assert differences(STAMP, changed) == ["code a.py", "input clip", "recipe"]


def test_fingerprint_follows_imports_but_not_plumbing():
    files = code_files("segmenter")
    assert {"training/tasks/segmenter.py", "faceedit/backbones/segmenter.py"} <= set(files)
    assert not {"training/sheets.py", "faceedit/hub/folders.py"} & set(files)


def test_comments_and_docstrings_do_not_change_the_hash(tmp_path):
    plain, worded = tmp_path / "a.py", tmp_path / "b.py"
    plain.write_text("def f(x):\n    return x + 1\n")
    worded.write_text('"""Doc."""\n\ndef f(x):\n    """Doc."""\n    # why\n    return x+1\n')
    assert module._code_hash(plain) == module._code_hash(worded)
    worded.write_text("def f(x):\n    return x + 2\n")
    assert module._code_hash(plain) != module._code_hash(worded)


def test_where_and_when_do_not_change_the_fingerprint_but_settings_do():
    base = ["--task", "segmenter"]
    before = fingerprint(parse_config(base))
    assert fingerprint(parse_config([*base, "--max_minutes", "3"])) == before
    changed = fingerprint(parse_config([*base, "--seed", "5"]))
    assert differences(before, changed) == ["recipe"]


def test_other_weights_of_a_network_that_is_read_change_the_fingerprint(tmp_path):
    for name, weights in (("segmenter", b"one"), ("generator", b"never read")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(weights)
    config = TrainConfig(task="generator", base=str(tmp_path))
    before = fingerprint(config)
    (tmp_path / "generator" / "model.safetensors").write_bytes(b"still not read")
    assert differences(before, fingerprint(config)) == []
    (tmp_path / "segmenter" / "model.safetensors").write_bytes(b"another")
    assert differences(before, fingerprint(config)) == ["input segmenter"]
    (tmp_path / "segmenter" / "model.safetensors").write_bytes(b"one")
    (tmp_path / "segmenter" / "config.json").write_text('{"wider": true}')
    assert differences(before, fingerprint(config)) == ["input segmenter"]
    (tmp_path / "segmenter" / "model.safetensors").unlink()
    assert fingerprint(config)["inputs"] == {"segmenter": ""}


def test_another_option_of_the_recipe_changes_the_fingerprint():
    plain, other = (
        fingerprint(TrainConfig(task="segmenter", options={"weight_dice": weight}))
        for weight in (1.0, 0.5)
    )
    assert differences(plain, other) == ["recipe"]
    assert differences({**plain, "world": "old"}, plain) == ["world"]
    assert differences({**plain, "code": {}}, plain)[0].startswith("code faceedit/")


def test_stored_fingerprint_needs_the_weights_beside_it(tmp_path):
    (tmp_path / "training_args.json").write_text(json.dumps({"fingerprint": STAMP}))
    assert stored_fingerprint(tmp_path) is None
    (tmp_path / "config.json").write_text("{}")
    assert stored_fingerprint(tmp_path) == STAMP


def test_interrupted_run_is_continued_only_with_the_same_code(tmp_path):
    config = TrainConfig(task="segmenter", output_dir=str(tmp_path), max_train_steps=10)
    assert "--overwrite" not in command("segmenter", config)
    state = {"step": 5, "fingerprint": fingerprint(config)}
    (tmp_path / "checkpoint-5").mkdir()
    for name in FILES:
        (tmp_path / "checkpoint-5" / name).write_text(json.dumps(state))
    assert command("segmenter", config)[-2:] == ["--resume_from_checkpoint", "latest"]
    state["fingerprint"]["recipe"] = "other"
    (tmp_path / "checkpoint-5" / "state.json").write_text(json.dumps(state))
    assert command("segmenter", config)[-1] == "--overwrite"


def test_list_names_every_published_run(capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert all(run.recipe in printed for run in reproduce.published_runs())


def test_unknown_run_is_a_clear_error(capsys):
    assert main(["--only", "segmentor"]) == 2
    assert "unknown run 'segmentor'; did you mean 'segmenter'?" in capsys.readouterr().err


STAGED = """
task: segmenter
export_dir: hub_cards/portraits-128/segmenter
learning_rate: 1e-3
options: {weight_dice: 1.0}
stages:
  - {max_train_steps: 10, minutes: 2}
  - {max_train_steps: 5, learning_rate: 1e-4, options: {weight_dice: 0.5}, minutes: 1}
"""


def test_each_stage_goes_on_from_the_weights_of_the_one_before(tmp_path):
    (tmp_path / "twice.yaml").write_text(STAGED)
    run = reproduce.read_run(tmp_path / "twice.yaml", "segmenter")
    first, last = *run.stages, run.config
    assert (first.max_train_steps, first.learning_rate, first.options["weight_dice"]) == (
        10,
        1e-3,
        1,
    )
    assert (last.max_train_steps, last.learning_rate, last.options["weight_dice"]) == (5, 1e-4, 0.5)
    assert not first.export_dir and last.export_path.name == "segmenter"
    assert last.options["init_weights"] == ".runs/twice/stage-1/export"
    assert reproduce.cost(run) == "2 stages, about 3 minutes of one core"


def test_dry_run_lists_every_stage_in_order_with_its_cost(capsys):
    assert main(["--dry_run", "--force", "--only", "generator"]) == 0
    printed = capsys.readouterr().out
    stages = [line for line in printed.splitlines() if "--stage" in line]
    assert "# generator:" in printed and "minutes of one core" in printed
    assert [f"--stage {number}" in line for number, line in enumerate(stages, start=1)]
    assert all("init_weights=" in line for line in stages[1:])


def test_a_run_that_learns_from_a_folder_is_left_out_until_it_is_given(capsys):
    words = ["--dry_run", "--force", "--only", "photo_encoder", "identity"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "photo_encoder: left out; for it, --only photo_encoder --set photographs=..." in printed
    assert "--task photo_encoder" not in printed and "--task identity" in printed
    assert "# in all: about 0.0 hours of one core, and 1 whose cost is not measured" in printed
    assert main(["--dry_run", "--force", "--only", "photo_encoder", "--set", "photographs=x"]) == 0
    printed = capsys.readouterr().out
    assert "--task photo_encoder" in printed and "in all: about 0.1 hours" in printed


def every_training() -> list[tuple[str, TrainConfig]]:
    """Every stage of every recipe that is needed for what is published."""
    return [
        (f"{run.recipe}-{number}", config)
        for run in reproduce.published_runs()
        for number, config in enumerate((*run.stages, run.config), start=1)
    ]


def test_every_stage_of_every_recipe_has_options_that_its_task_knows():
    for name, config in every_training():
        options = build_options(task_class(config.task).options_class, config.options)
        assert options is not None, name
        if isinstance(options, MethodOptions | FitOptions):
            method_class(config.task).config_class(**options.method)


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    for split, count in (("train", 16), ("heldout", 16), ("people", 16)):
        words = [
            "--split",
            split,
            "--count",
            str(count),
            "--size",
            "128",
            "--data_dir",
            str(folder),
        ]
        assert make_world([*words, "--workers", "1"]) == 0
    return folder


@pytest.fixture
def portraits(folder):
    """Five photographs that can be used."""
    labels = json.loads((folder / "labels.json").read_text())
    meshes = json.loads((folder / "mesh.json").read_text())
    for name in "defg":
        labels.append({**labels[0], "id": name})
        meshes[name] = meshes["a"]
        shutil.copy(folder / "photos" / "a.jpg", folder / "photos" / f"{name}.jpg")
        shutil.copy(folder / "person" / "a.png", folder / "person" / f"{name}.png")
    (folder / "labels.json").write_text(json.dumps(labels))
    (folder / "mesh.json").write_text(json.dumps(meshes))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [run.recipe for run in reproduce.published_runs()])
def test_recipe_runs_in_a_short_form(name, renders, tmp_path, portraits):
    (run,) = (run for run in reproduce.published_runs() if run.recipe == name)
    words = ["--task", run.config.task, "--recipe", name, "--dry_run", "--cpu"]
    words += [f"--set={option}={portraits}" for option in run.given]
    assert train([*words, "--data_dir", str(renders)]) == 0
