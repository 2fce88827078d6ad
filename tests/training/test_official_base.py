"""Trainings on a base that lacks networks: they go without, or say what is missing."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faceedit import hub
from faceedit.backbones import load_backbones
from faceedit.backbones.face_parser import FaceParser, FaceParserConfig
from faceedit.editor import FaceEditor
from faceedit.method_repo import load_method
from faceedit.methods import METHODS
from faceedit.methods.styleclip_global import GlobalConfig, StyleClipGlobal
from faceedit.optimization.effort import Effort, within
from faceedit.types import Face, Latent
from faceedit.words.sentence import read
from tests.conftest import save_base
from training.config import (
    RECIPES,
    ROOT,
    ConfigError,
    TrainConfig,
    build_options,
    parse_config,
)
from training.loop.loop import Loop
from training.tasks import task_class, task_names
from training.tasks.fit import FitTask
from training.tasks.method import edited_in_parts, frozen_backbones, read_networks
from training.train import main


@pytest.fixture(scope="module")
def bare(backbones, tmp_path_factory) -> Path:
    """A base with the networks that official weights bring, and none that reads faces."""
    folder = tmp_path_factory.mktemp("ffhq") / "base"
    return save_base(replace(backbones, segmenter=None, attributes=None, diffusion=None), folder)


@pytest.fixture(scope="module")
def lone(backbones, tmp_path_factory) -> Path:
    """A base with a generator only, as its file alone makes one."""
    folder = tmp_path_factory.mktemp("alone") / "base"
    hub.save_network(backbones.generator, folder / "generator", half=False)
    hub.save_base(folder, {"generator": "generator"}, framing="ffhq", resolution=32)
    return folder


def config(base, task, tmp_path, **changes):
    values = {"task": task, "base": str(base), "output_dir": str(tmp_path / "run"),
              "train_batch_size": 4, "cpu": True}  # fmt: skip
    return TrainConfig(**{**values, **changes})


def scores(path, rows, attribute=lambda seed: float(seed % 7)):
    lines = ["seed,smile,age"]
    lines += [f"{seed},{attribute(seed)},{seed % 5}" for seed in range(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


# ------------------------------------------------------------------------- where exports go
def test_exports_go_beside_the_base_that_was_asked_for(tmp_path):
    beside = parse_config(["--task", "feat", "--base", str(tmp_path / "ffhq/base")])
    assert beside.export_path == tmp_path / "ffhq/feat"
    own = parse_config(["--task", "feat"])
    assert own.export_path == ROOT / "hub_cards/feat"
    same = parse_config(["--task", "feat", "--base", "hub_cards/portraits-128"])
    assert same.export_path == own.export_path
    told = parse_config(["--task", "feat", "--base", "x/base", "--export_dir", str(tmp_path)])
    assert told.export_path == tmp_path


def test_official_base_gets_the_papers_recipes(tmp_path):
    (tmp_path / "config.json").write_text('{"framing": "ffhq"}')
    mine = parse_config(["--task", "styleclip_mapper", "--base", str(tmp_path)])
    assert (mine.learning_rate, mine.max_train_steps, mine.train_batch_size) == (0.5, 50000, 2)
    world = parse_config(["--task", "styleclip_mapper"])
    assert world.learning_rate == 0.01
    named = parse_config(["--task", "feat", "--base", str(tmp_path), "--recipe", "feat"])
    assert named.train_batch_size == 10


@pytest.mark.parametrize("path", sorted(RECIPES.glob("ffhq/*.yaml")), ids=lambda path: path.stem)
def test_official_recipe_is_sound_and_leaves_the_papers_weights_alone(path):
    recipe = parse_config(["--task", path.stem, "--recipe", str(path)])
    options = build_options(task_class(path.stem).options_class, recipe.options)
    METHODS[path.stem].config_class(**options.method)
    assert not [name for name in options.method if name.startswith("weight_")]


# ------------------------------------------------------------------------- memory
def test_images_at_once_follow_resolution_and_budget():
    assert Effort(memory=4).images(128) == 64
    assert Effort(memory=4).images(1024) == 4 and Effort(memory=4).descents(1024) == 1
    assert Effort(memory=0.1).images(1024) == 1


def test_fit_in_small_parts_measures_the_same(backbones):
    size = {"num_channels": sum(backbones.generator.style_dims), "embed_dim": 16, "images": 3}
    latents = backbones.generator.sample_w_plus(6, torch.Generator().manual_seed(0), 1.0)
    fitted = []
    for memory in (4.0, 1e-6):
        method = StyleClipGlobal(GlobalConfig(**size))
        with within(Effort(memory)):
            method.fit(latents, None, backbones)
        fitted.append(method.directions)
    assert torch.allclose(*fitted, atol=1e-4)


def test_trial_fit_of_global_directions_runs(bare, tmp_path):
    dry = config(bare, "styleclip_global", tmp_path, dry_run=True, max_train_steps=2)
    Loop(dry, FitTask).run()


def test_sheets_in_parts_show_the_same_faces(backbones):
    editor = FaceEditor(backbones)
    method = METHODS["clip_pae"].build(backbones, steps=1).eval()
    faces = [editor.sample(seed) for seed in range(3)]
    together = Face(
        torch.cat([face.image for face in faces]),
        Latent(torch.cat([face.latent.code for face in faces]), faces[0].latent.space),
    )
    sentence = read("red hair", "a face", backbones.clip)
    whole = edited_in_parts(method, together, sentence, backbones)
    with within(Effort(1e-6)):
        parts = edited_in_parts(method, together, sentence, backbones)
    assert whole.shape == parts.shape and torch.allclose(whole, parts, atol=1e-3)


# ------------------------------------------------------------------------- networks that are absent
def test_missing_network_is_one_line_and_not_a_traceback(bare, tmp_path, capsys):
    out = str(tmp_path / "run")
    code = main(["--task", "stylespace", "--base", str(bare), "--output_dir", out, "--cpu"])
    error = capsys.readouterr().err
    assert code == 2 and "needs networks that" in error and "attributes" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("name", sorted(set(task_names()) & set(METHODS)))
def test_every_training_says_what_a_lone_generator_lacks(lone, tmp_path, capsys, name):
    out = str(tmp_path / "run")
    code = main(["--task", name, "--base", str(lone), "--output_dir", out, "--cpu"])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1, error
    assert f"--task {name} needs networks that {lone} lacks" in error and "clip: " in error


# ------------------------------------------------------------------------- regions
@pytest.mark.parametrize("task", ["ffclip", "maniclip"])
def test_trainings_that_keep_regions_read_the_best_parser_there_is(lone, backbones, tmp_path, task):
    """The photograph parser is borrowed; a base's own face parser goes before it."""
    folder = shutil.copytree(lone, tmp_path / "base")
    for name in ("clip", "identity"):
        network = getattr(backbones, name)
        network.save(folder / name) if name == "clip" else hub.save_network(network, folder / name)
    names = ("generator", "clip", "identity")
    hub.save_base(folder, {name: name for name in names}, framing="ffhq", resolution=32)
    read = frozen_backbones(config(folder, task, tmp_path), METHODS[task], torch.device("cpu"))
    assert "beard" in read.segmenter.config.regions and read.face_parser is None
    parser = FaceParser(FaceParserConfig(widths=(4, 4, 4, 4), units=(1, 1, 1, 1), context=4))
    hub.save_network(parser, folder / "face_parser")
    names = (*names, "face_parser")
    hub.save_base(folder, {name: name for name in names}, framing="ffhq", resolution=32)
    read = frozen_backbones(config(folder, task, tmp_path), METHODS[task], torch.device("cpu"))
    assert isinstance(read.segmenter, FaceParser)
    assert "face_parser" in read_networks(METHODS[task])  # so that a checkpoint remembers it


def test_boundaries_are_fitted_to_scores_without_a_reader(bare, tmp_path):
    table = scores(tmp_path / "scores.csv", 40)
    options = {"scores": str(table), "prompts": ("a smiling face",)}
    Loop(config(bare, "interfacegan", tmp_path, options=options), FitTask).run()
    loaded = load_method(METHODS["interfacegan"], tmp_path / "run/export")
    assert loaded.names.keys == ("smile+", "smile-", "age+", "age-")
    generator = load_backbones(bare, ["generator"]).generator
    codes = [generator.sample_w_plus(1, torch.Generator().manual_seed(s), 0.7) for s in range(40)]
    w = torch.cat(codes).mean(dim=1)
    along = w @ loaded.boundaries[0]
    high = torch.tensor([seed % 7 >= 5 for seed in range(40)])
    assert along[high].mean() > along[~high].mean()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("face,smile\n", "must begin with a line like"),
        ("seed,smile\n1,2\n", "has 1 faces"),
        ("seed,smile\n" + "1,2\n" * 30 + "2,often\n", "could not convert"),
        ("seed,smile\n" + "1,2\n" * 30 + "2\n", "must hold 2 numbers"),
        ("seed,smile\n" + "1,2\n" * 30 + "2,nan\n", "must hold 2 numbers"),
    ],
)
def test_scores_that_cannot_be_read_are_named(bare, tmp_path, text, message):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        FitTask(config(bare, "interfacegan", tmp_path, options={"scores": str(path)}),
                torch.device("cpu"))  # fmt: skip


def test_components_are_found_without_a_reader_and_known_by_their_numbers(bare, tmp_path):
    options = {"samples": 32, "prompts": ("component 3",), "method": {"num_components": 8}}
    Loop(config(bare, "ganspace", tmp_path, options=options), FitTask).run()
    loaded = load_method(METHODS["ganspace"], tmp_path / "run/export")
    assert loaded.names.sentences[:2] == ("component 0", "component 0 reversed")
    assert float(loaded.deviation.min()) > 0
    editor = FaceEditor(load_backbones(bare), {"ganspace": loaded})
    result = editor.edit(editor.sample(1), "component 3", method="ganspace")
    assert not torch.equal(result.edited.code, result.source.code)
