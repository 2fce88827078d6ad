"""Reproducing: runs in order of dependency, and only what is out of date."""

import json

import pytest

from training import fingerprint as module
from training import reproduce
from training.config import ConfigError, TrainConfig, parse_config
from training.fingerprint import code_files, differences, fingerprint, stored_fingerprint
from training.loop.checkpoint import FILES
from training.reproduce import Run, command, in_order, main

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


def test_stored_fingerprint_needs_the_weights_beside_it(tmp_path):
    (tmp_path / "training_args.json").write_text(json.dumps({"fingerprint": STAMP}))
    assert stored_fingerprint(tmp_path) is None
    (tmp_path / "config.json").write_text("{}")
    assert stored_fingerprint(tmp_path) == STAMP


def test_interrupted_run_is_continued_only_with_the_same_code(tmp_path):
    config = TrainConfig(task="segmenter", output_dir=str(tmp_path), max_train_steps=10)
    run = Run("segmenter", config)
    assert "--overwrite" not in command(run, [])
    state = {"step": 5, "fingerprint": fingerprint(config)}
    (tmp_path / "checkpoint-5").mkdir()
    for name in FILES:
        (tmp_path / "checkpoint-5" / name).write_text(json.dumps(state))
    assert command(run, ["--cpu"])[-3:] == ["--resume_from_checkpoint", "latest", "--cpu"]
    state["fingerprint"]["recipe"] = "other"
    (tmp_path / "checkpoint-5" / "state.json").write_text(json.dumps(state))
    assert command(run, [])[-1] == "--overwrite"


def test_list_names_every_published_run(capsys):
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert all(run.recipe in printed for run in reproduce.published_runs())


def test_unknown_run_is_a_clear_error(capsys):
    assert main(["--only", "segmentor"]) == 2
    assert "unknown run 'segmentor'; did you mean 'segmenter'?" in capsys.readouterr().err
