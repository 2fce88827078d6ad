"""Training and fitting methods: the trainer adds nothing to what the method says."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from faceedit import methods
from faceedit.method import EditMethod, MethodConfig
from faceedit.method_repo import load_method
from faceedit.types import Face, Latent, Space
from training.config import ConfigError, TrainConfig
from training.loop.loop import Loop
from training.tasks import reads, task_class, task_names
from training.tasks.fit import FitTask
from training.tasks.method import MethodTask


@dataclass(frozen=True)
class ShiftConfig(MethodConfig):
    w_dim: int = 16


class Shift(EditMethod):
    """Learns one direction in w_plus."""

    name = "shift"
    kind = "trained"
    config_class = ShiftConfig
    space = Space.W_PLUS
    needs = frozenset({"generator", "clip"})

    def __init__(self, config):
        super().__init__(config)
        self.delta_w = nn.Parameter(torch.zeros(config.w_dim))

    def forward(self, source, sentence, backbones, strength=1.0):
        latent = Latent(source.latent.code + strength * self.delta_w, self.space)
        return Face(backbones.generator(latent.code), latent)

    def objective(self, source, edited, sentence, backbones):
        seen = backbones.clip.encode_image(edited.image)
        return {"clip": 1 - (seen * sentence.target).sum(1).mean()}


@pytest.fixture
def settings(base_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(methods.METHODS, "shift", Shift)

    def make(task, **changes):
        values = {
            "task": task,
            "base": str(base_folder),
            "output_dir": str(tmp_path / "run"),
            "train_batch_size": 4,
            "max_train_steps": 30,
            "learning_rate": 0.1,
            "ema_decay": 0.5,
            "cpu": True,
        }
        return TrainConfig(**{**values, **changes})

    return make


PROMPTS = {"prompts": ("red hair", "a smiling face")}


def test_methods_that_learn_are_tasks(settings):
    assert task_class("shift") is MethodTask
    assert task_class("styleclip_global") is FitTask
    assert "styleclip_optimization" not in task_names()
    assert reads("shift") == ("clip", "generator")


def test_training_lowers_the_objective_and_exports_a_repo_that_loads(settings, tmp_path):
    outcome = Loop(settings("shift", options=PROMPTS, logging_steps=5), MethodTask).run()
    log = [json.loads(t) for t in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert log[-1]["clip"] < log[0]["clip"]
    assert outcome.scores["clip"] < log[0]["clip"]
    folder = tmp_path / "run" / "export"
    loaded = load_method(Shift, folder)
    assert float(loaded.delta_w.abs().max()) > 0
    assert json.loads((folder / "training_args.json").read_text())["settings"]["task"] == "shift"
    assert (folder / "samples" / "grid.jpg").is_file()


def test_training_goes_on_from_an_exported_folder(settings, tmp_path):
    Loop(settings("shift", options=PROMPTS), MethodTask).run()
    folder = tmp_path / "run" / "export"
    options = {**PROMPTS, "init_weights": str(folder)}
    task = MethodTask(settings("shift", options=options), torch.device("cpu"))
    assert torch.equal(task.method.delta_w, load_method(Shift, folder).delta_w)


def test_batches_are_functions_of_seed_and_place(settings, backbones):
    config = settings("shift", options=PROMPTS)
    one, other = (MethodTask(config, torch.device("cpu")) for _ in range(2))
    source, sentence = one.batch(range(3, 7))
    again, words = other.batch(range(5, 9))
    assert torch.equal(source.latent.code[2:], again.latent.code[:2])
    assert sentence.prompt[2:] == words.prompt[:2]
    with torch.no_grad():
        remade = backbones.generator(source.latent.code)
    torch.testing.assert_close(source.image, remade, rtol=1e-4, atol=1e-4)


def test_recipe_without_prompts_is_a_clear_error(settings):
    with pytest.raises(ConfigError, match="names no prompts"):
        MethodTask(settings("shift"), torch.device("cpu"))


def test_resuming_on_other_networks_is_refused(settings):
    task = MethodTask(settings("shift", options=PROMPTS), torch.device("cpu"))
    assert task.open_data(None) == task.open_data(task.open_data(None))
    with pytest.raises(ConfigError, match="changed since this checkpoint"):
        task.open_data({"base": {"generator": "sha256:0"}})


def test_fit_exports_a_repo_that_loads(settings, tmp_path):
    options = {"samples": 24, "method": {"images": 2}, "prompts": ("red hair",)}
    Loop(settings("styleclip_global", options=options), FitTask).run()
    loaded = load_method(methods.METHODS["styleclip_global"], tmp_path / "run" / "export")
    assert float(loaded.directions.abs().max()) > 0
