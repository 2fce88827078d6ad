"""The latent mapper: official numbers, the paper's levels, and variants by sentence."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from faceedit import hub
from faceedit.convert.styleclip_mapper import from_styleclip
from faceedit.editor import FaceEditor
from faceedit.errors import RepoError, RequestError
from faceedit.inversion import to_space
from faceedit.losses.pae import pae_sentence
from faceedit.method_repo import (
    folder_name,
    left_undone,
    load_method,
    nearest_variant,
    read_variants,
    save_method,
    save_variants,
)
from faceedit.methods.styleclip_mapper import MapperConfig, StyleClipMapper
from faceedit.types import Face, Latent, Space
from faceedit.words.sentence import read
from tests.golden import official
from training.config import ConfigError, TrainConfig
from training.loop.loop import Loop
from training.tasks import task_class
from training.tasks.mapper import MapperTask

NAME = "styleclip_mappers"


@pytest.fixture(scope="module")
def golden() -> official.Golden:
    return official.load(NAME)


# The official arithmetic --------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["levels", "levels_nofine", "single"])
def test_mapper_matches_official_numbers(golden, layout):
    config, weights = from_styleclip(golden.state_dict(layout, prefix=f"{layout}."))
    method = StyleClipMapper(config)
    method.load_state_dict(weights, strict=True)
    with torch.no_grad():
        mine = method.mapper(golden.input("w_plus"))
    difference, allowed = golden.difference(layout, mine)
    assert difference <= allowed


# The paper's claims -------------------------------------------------------------------------------


def test_mapper_leaves_the_layers_of_a_level_that_is_off_alone(backbones):
    w_plus = backbones.generator.sample_w_plus(2, torch.Generator().manual_seed(1))
    sentence = read("purple hair", "a face", backbones.clip)
    for off, kept in (("coarse", slice(0, 4)), ("medium", slice(4, 8)), ("fine", slice(8, None))):
        method = StyleClipMapper.build(backbones, **{off: False})
        source = Face(backbones.generator(w_plus), Latent(w_plus, Space.W_PLUS))
        moved = method.edit(source, sentence, backbones).latent.code != w_plus
        assert not moved[:, kept].any()
        assert moved.any()


def test_identity_network_is_not_asked_where_its_weight_is_zero(face, sentence, backbones):
    quiet = StyleClipMapper(MapperConfig(w_dim=16, weight_identity=0.0))
    assert set(quiet.objective(face, face, sentence, backbones)) == {"clip", "latent_l2"}


def test_edit_does_not_depend_on_the_scale_of_the_generators_codes(face, sentence, backbones):
    """A unit is twice an entry's deviation, so the same weights move entries of any scale alike."""
    method = StyleClipMapper.build(backbones).eval()
    larger = StyleClipMapper.build(backbones).eval()
    larger.load_state_dict(method.state_dict())
    scales = torch.linspace(0.5, 3, 16)
    larger.unit.mul_(scales)
    larger.centre.mul_(scales)
    code = face.latent.code
    moved = method.edit(face, sentence, backbones).latent.code - code
    far = Face(face.image, Latent(scales * code, Space.W_PLUS))
    again = larger.edit(far, sentence, backbones).latent.code - scales * code
    assert moved.abs().max() > 1e-3
    torch.testing.assert_close(again, scales * moved, rtol=1e-3, atol=1e-4)


def test_mapper_of_styles_moves_the_channels_of_its_levels_and_leaves_colours_alone(backbones):
    generator = backbones.generator
    s = generator.styles(generator.sample_w_plus(2, torch.Generator().manual_seed(1)))
    sentence = read("purple hair", "a face", backbones.clip)
    for settings, kept in (
        ({}, range(0)),
        ({"coarse": False}, range(4)),
        ({"medium": False}, range(4, 8)),
        ({"fine": False, "medium_from": 2, "fine_from": 5}, range(5, 8)),
    ):
        for to_rgb in (False, True):
            method = StyleClipMapper.build(backbones, space="s", to_rgb=to_rgb, **settings)
            source = Face(generator.synthesis_from_styles(s), Latent(s, Space.S))
            moved = method.edit(source, sentence, backbones).latent.code != s
            for layer in generator.style_layers:
                wanted = layer.w_index not in kept and (to_rgb or not layer.is_rgb)
                assert moved[:, layer.channels_slice].any() == wanted


def test_objective_in_s_sums_the_mean_squares_of_the_style_layers(face, sentence, backbones):
    source = to_space(face, Space.S, backbones)
    method = StyleClipMapper.build(backbones, space="s").eval()
    edited = method.edit(source, sentence, backbones)
    term = method.objective(source, edited, sentence, backbones)["latent_l2"]
    moved = (edited.latent.code - source.latent.code) / method.unit
    layers = backbones.generator.style_layers
    wanted = sum(moved[:, layer.channels_slice].square().mean() for layer in layers)
    torch.testing.assert_close(term, 0.8 * wanted)


def test_mapper_of_styles_edits_the_same_after_loading(face, sentence, backbones, tmp_path):
    source = to_space(face, Space.S, backbones)
    method = StyleClipMapper.build(backbones, space="s", width=8).eval()
    prints = dict.fromkeys(backbones.present(), "sha256:0")
    save_method(method, tmp_path, base="faceedit/tiny", fingerprint=prints, half=False)
    loaded = load_method(StyleClipMapper, tmp_path)
    before, after = (m.edit(source, sentence, backbones).image for m in (method, loaded))
    assert torch.equal(before, after)


def test_one_network_for_all_style_layers_is_refused(backbones):
    with pytest.raises(ValueError, match="every layer has its own width"):
        StyleClipMapper.build(backbones, space="s", single=True)


def test_objective_takes_a_pae_target(face, backbones):
    sentence = read(["red hair"] * 2, "a face", backbones.clip)
    aimed = pae_sentence(sentence, face.image, backbones.clip)
    method = StyleClipMapper.build(backbones).eval()
    edited = method.edit(face, aimed, backbones)
    plain, pae = (method.objective(face, edited, s, backbones)["clip"] for s in (sentence, aimed))
    assert pae.isfinite() and pae != plain


def test_published_size_of_a_variant_is_small():
    method = StyleClipMapper(MapperConfig(w_dim=256, width=64))
    assert 2 * sum(t.numel() for t in method.state_dict().values()) < 400_000  # bytes


# Variants -----------------------------------------------------------------------------------------

SENTENCES = ("red hair", "a big smile", "an old face")


@pytest.fixture
def own_base(base_folder, tmp_path):
    """A copy of the tiny base, so that other tests do not find our repo beside theirs."""
    return Path(shutil.copytree(base_folder, tmp_path / base_folder.name))


@pytest.fixture
def repo(backbones, own_base):
    """A repo of three variants next to the tiny base."""
    folder = own_base.parent / "styleclip-mapper"
    mappers = {s: StyleClipMapper.build(backbones, sentence=s, width=8) for s in SENTENCES}
    prints = hub.fingerprint(own_base)
    save_variants(mappers, folder, base=f"faceedit/{own_base.name}", fingerprint=prints, half=False)
    return folder


def test_saved_variants_are_listed_by_their_sentences(repo):
    assert read_variants(repo) == {s: folder_name(s) for s in SENTENCES}
    assert load_method(StyleClipMapper, repo / "red-hair").config.sentence == "red hair"


def test_two_sentences_of_one_folder_are_refused(backbones, tmp_path):
    mapper = StyleClipMapper.build(backbones)
    with pytest.raises(ValueError, match="make no set of folders"):
        save_variants({"a": mapper, "A!": mapper}, tmp_path, base="x/y", fingerprint={})


def test_prompt_that_was_learned_finds_its_variant(repo, backbones):
    assert nearest_variant(" a  big smile ", repo, backbones.clip) == "a-big-smile"


class Words:
    """Reads a sentence as the letters in it, so that what is near is known."""

    tokenizer = SimpleNamespace(has_word=lambda part: True)

    def encode_text(self, texts):
        rows = [[float(text.count(letter)) for letter in "abcdefghijklmnopqrst "] for text in texts]
        return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)

    def encode_framed(self, texts, frames):
        framed = [frame.format(text) for text in texts for frame in frames]
        return self.encode_text(framed).unflatten(0, (len(texts), len(frames)))


def test_prompt_in_other_words_takes_the_nearest_variant_and_says_so(repo, monkeypatch):
    monkeypatch.setattr("faceedit.method_repo.SAME", 1.0)
    assert nearest_variant("ruddy hair", repo, Words()) == "red-hair"
    said = left_undone("ruddy hair", "red-hair", repo, Words())
    assert said == "this method has not learned 'ruddy hair'; it did 'red hair'"


def test_what_a_variant_leaves_undone_is_said(repo):
    assert left_undone(" red  hair", "red-hair", repo, Words()) is None
    said = left_undone("red hair but no beard", "red-hair", repo, Words())
    assert said == (
        "this method makes one change at a time: it did 'red hair', not 'a clean-shaven face'"
    )


def test_prompt_far_from_all_variants_lists_them(repo, monkeypatch):
    monkeypatch.setattr("faceedit.method_repo.FAR", 1.01)
    with pytest.raises(RequestError, match=r"red hair.*a big smile.*an old face"):
        nearest_variant("glasses", repo, Words())


def test_damaged_index_is_refused(repo):
    config = json.loads((repo / hub.CONFIG).read_text())
    (repo / hub.CONFIG).write_text(json.dumps({**config, "variants": {"a": "../b"}}))
    with pytest.raises(RepoError, match="index of variants"):
        read_variants(repo)


@pytest.fixture
def editor(repo, own_base) -> FaceEditor:
    return FaceEditor.from_pretrained(own_base)


def test_editor_picks_the_variant_of_the_prompt(editor):
    face = editor.sample(1)
    result = editor.edit(face, "an old face", method="styleclip_mapper")
    named = editor.edit(face, "an old face", method="styleclip_mapper", variant="an-old-face")
    other = editor.edit(face, "an old face", method="styleclip_mapper", variant="red-hair")
    assert result.request.variant == "an-old-face"
    assert torch.equal(result.edited.code, named.edited.code)
    assert not torch.equal(result.edited.code, other.edited.code)


def test_editor_of_the_repo_itself_picks_the_variant_too(repo, tmp_path):
    editor = FaceEditor.from_pretrained(repo)
    result = editor.edit(editor.sample(1), "red hair")
    assert (result.request.method, result.request.variant) == ("styleclip_mapper", "red-hair")
    editor.save_pretrained(tmp_path / "copy")
    assert read_variants(tmp_path / "copy") == read_variants(repo)


def test_unknown_variant_lists_the_choices(editor):
    with pytest.raises(RequestError, match="an-old-face"):
        editor.method("styleclip_mapper", "blue-hair")


def test_method_without_a_variant_lists_the_choices(editor):
    with pytest.raises(RequestError, match="red-hair"):
        editor.method("styleclip_mapper")


# Training -----------------------------------------------------------------------------------------


@pytest.fixture
def settings(base_folder, tmp_path):
    def make(**changes):
        options = {"prompts": ("red hair", "smiling"), "method": {"width": 8}}
        options["own"] = {"smiling": {"fine": False}}
        values = {
            "task": "styleclip_mapper",
            "base": str(base_folder),
            "output_dir": str(tmp_path / "run"),
            "train_batch_size": 2,
            "max_train_steps": 4,
            "learning_rate": 0.01,
            "ema_decay": 0.5,
            "cpu": True,
            "options": {**options, "evaluation_faces": 2},
        }
        return TrainConfig(**{**values, **changes})

    return make


def test_one_run_trains_all_sentences(settings, tmp_path):
    assert task_class("styleclip_mapper") is MapperTask
    scores = Loop(settings(), MapperTask).run().scores
    folder = tmp_path / "run" / "export"
    assert read_variants(folder) == {"red hair": "red-hair", "smiling": "smiling"}
    assert {"clip", "red-hair/clip_gain", "smiling/clip_gain"} <= set(scores)
    assert load_method(StyleClipMapper, folder / "red-hair").config.fine
    assert not load_method(StyleClipMapper, folder / "smiling").config.fine


def test_resumed_run_equals_an_uninterrupted_one(settings, tmp_path):
    whole = Loop(settings(), MapperTask)
    whole.run()
    part = settings(output_dir=str(tmp_path / "part"), checkpointing_steps=2)
    first = Loop(part, MapperTask)
    for _ in range(2):
        first._enter(first.schedule[0][1])
        first.update(first.schedule[0][1])
    first.save()
    second = Loop(
        settings(output_dir=str(tmp_path / "part"), resume_from_checkpoint="latest"), MapperTask
    )
    second.run()
    for name, value in whole.modules["method"].state_dict().items():
        assert torch.equal(second.modules["method"].state_dict()[name], value)


def test_mappers_side_by_side_equal_one_trained_alone(settings, tmp_path):
    both = Loop(settings(output_dir=str(tmp_path / "both")), MapperTask)
    only = {"prompts": ("red hair",), "method": {"width": 8}}
    alone = Loop(settings(output_dir=str(tmp_path / "alone"), options=only), MapperTask)
    mapper = alone.task.mappers["red-hair"]
    mapper.load_state_dict(both.task.mappers["red-hair"].state_dict())
    for loop in (both, alone):
        loop._enter(loop.schedule[0][1])
        loop.update(loop.schedule[0][1])
    for name, value in both.task.mappers["red-hair"].state_dict().items():
        torch.testing.assert_close(mapper.state_dict()[name], value)


def test_mappers_of_styles_are_trained_on_styles(settings, tmp_path):
    method = {"width": 8, "space": "s"}
    Loop(settings(options={"prompts": ("red hair",), "method": method}), MapperTask).run()
    mapper = load_method(StyleClipMapper, tmp_path / "run" / "export" / "red-hair")
    assert mapper.space is Space.S


def test_mappers_of_different_spaces_are_refused(settings):
    options = {"prompts": ("red hair",), "own": {"red hair": {"space": "s"}}}
    with pytest.raises(ConfigError, match="share their faces' codes"):
        MapperTask(settings(options=options), torch.device("cpu"))


def test_settings_for_a_sentence_that_is_not_trained_are_refused(settings):
    with pytest.raises(ConfigError, match="no prompts"):
        MapperTask(
            settings(options={"prompts": ("red hair",), "own": {"hat": {}}}), torch.device("cpu")
        )
