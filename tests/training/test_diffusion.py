"""The denoiser's task: its loss is the paper's, it learns, and what it writes can edit."""

import json

import pytest
import torch

from faceedit import ClipPaeDiffusionPipeline
from faceedit.backbones.diffusion import Diffusion
from tests.training.shards import write_shard
from training.config import RECIPES, ConfigError, TrainConfig
from training.loop.loop import Loop
from training.reproduce import read_task
from training.tasks import task_class
from training.tasks.diffusion import DiffusionOptions, DiffusionTask, loss_weight, make_unet, shrink

OPTIONS = {
    "resolution": 16,
    "channels": [8, 16],
    "groups": 4,
    "attention_levels": 0,
    "attention_head_dim": 8,
    "sample_images": 2,
    "sample_steps": 2,
    "evaluation_images": 2,
    "evaluation_steps": 10,
    "evaluation_iterations": 1,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    for split in ("train", "heldout"):
        write_shard(folder / split, 0, 8, size=32)
    return folder


def config(world, folder, **changes) -> TrainConfig:
    options = {**OPTIONS, **changes.pop("options", {})}
    settings = {
        "task": "diffusion",
        "data_dir": str(world),
        "output_dir": str(folder),
        "max_train_steps": 3,
        "train_batch_size": 4,
        "cpu": True,
        **changes,
    }
    return TrainConfig(**settings, options=options)


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    loop = Loop(config(world, folder), task_class("diffusion"))
    return loop.run(), folder


def test_run_measures_inversion_and_draws_samples(trained):
    outcome, folder = trained
    assert outcome.reason == "complete"
    assert outcome.scores["reconstruction_psnr"] > 10
    assert outcome.scores["reconstruction_psnr_worst"] <= outcome.scores["reconstruction_psnr"]
    assert list((folder / "samples").glob("*.jpg"))


def test_exported_folder_is_a_pipeline_and_a_method(trained):
    _, folder = trained
    export = folder / "export"
    diffusion = Diffusion.from_folder(export)
    assert diffusion.resolution == 16 and diffusion.prediction == "v_prediction"
    settings = json.loads((export / "config.json").read_text())
    assert settings["method"] == "clip_pae_diffusion"
    assert settings["base_model_name_or_path"] == "faceedit/portraits-128"
    index = json.loads((export / "model_index.json").read_text())
    assert index["_class_name"] == ClipPaeDiffusionPipeline.__name__
    assert index["unet"] == ["diffusers", "UNet2DModel"]
    scheduler = json.loads((export / "scheduler" / "scheduler_config.json").read_text())
    assert scheduler["clip_sample"] is False


def test_training_continues_from_a_folder(trained, world, tmp_path):
    _, folder = trained
    start = {"init_weights": str(folder / "export")}
    task = DiffusionTask(config(world, tmp_path, options=start), torch.device("cpu"))
    loaded = Diffusion.from_folder(folder / "export").unet.state_dict()
    for name, tensor in task.unet.state_dict().items():
        assert torch.equal(tensor, loaded[name])


def test_loss_is_that_of_the_target_that_diffusers_defines(world, tmp_path, monkeypatch):
    """A network that says exactly what diffusers calls v (or noise) has no loss."""
    for prediction in ("v_prediction", "epsilon"):
        options = {"prediction": prediction}
        task = DiffusionTask(config(world, tmp_path, options=options), torch.device("cpu"))
        task.open_data(None)
        (turn,) = task.turns()
        batch = task.batch(range(4))
        clean = shrink(batch.image, 16)
        noise = torch.randn_like(clean)
        monkeypatch.setattr(torch, "randn_like", lambda _, noise=noise: noise)

        def said(noisy, times, task=task, clean=clean, noise=noise, prediction=prediction):
            assert torch.allclose(noisy, task.scheduler.add_noise(clean, noise, times), atol=1e-5)
            by_v = prediction == "v_prediction"
            sample = task.scheduler.get_velocity(clean, noise, times) if by_v else noise
            return type("Output", (), {"sample": sample})()

        turn.step.unet = type("Fake", (torch.nn.Module,), {"forward": staticmethod(said)})()
        assert turn.step(batch)["noise"] < 1e-8
        monkeypatch.undo()


def test_loss_weight_is_that_of_min_snr():
    level = torch.tensor([0.999, 0.9, 0.5, 0.01])
    ratio = level / (1 - level)
    assert torch.allclose(loss_weight(level, 5.0, by_v=False), ratio.clamp(max=5) / ratio)
    assert torch.allclose(loss_weight(level, 5.0, by_v=True), ratio.clamp(max=5) / (ratio + 1))
    assert torch.equal(loss_weight(level, 0.0, by_v=True), torch.ones(4))


def test_loss_falls(world, tmp_path):
    settings = {"max_train_steps": 60, "learning_rate": 5e-3, "evaluate": False}
    Loop(config(world, tmp_path, **settings, logging_steps=20), task_class("diffusion")).run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"resolution": 15}, "cannot be halved"),
        ({"channels": [8, 18]}, "multiples of 4"),
        ({"attention_head_dim": 32}, "must end in a multiple of attention_head_dim 32"),
    ],
)
def test_sizes_that_do_not_fit_are_named(options, words):
    settings = {**OPTIONS, **options}
    settings["channels"] = tuple(settings["channels"])
    with pytest.raises(ConfigError, match=words):
        make_unet(DiffusionOptions(**settings))


def test_renders_that_cannot_be_averaged_down_are_named(world, tmp_path):
    task = DiffusionTask(config(world, tmp_path, options={"resolution": 12}), torch.device("cpu"))
    with pytest.raises(ConfigError, match="does not divide the renders' 32 px"):
        task.open_data(None)


def test_recipe_makes_a_network_of_at_most_nine_mebibytes():
    from training.config import build_options, read_recipe

    assert read_task(RECIPES / "diffusion.yaml") == "diffusion"
    options = build_options(DiffusionOptions, read_recipe("diffusion")["options"])
    with torch.device("meta"):
        unet = make_unet(options)
    assert sum(p.numel() for p in unet.parameters()) * 2 < 9 * 2**20
