"""ManiCLIP: official numbers, decoupling by group sampling, the entropy constraint, the modes."""

import dataclasses

import pytest
import torch

from faceedit.convert.maniclip import from_maniclip
from faceedit.losses.pae import pae_sentence
from faceedit.method_repo import load_method
from faceedit.methods.maniclip import (
    ManiClip,
    ManiClipConfig,
    background_distance,
    color_distance,
    entropy_penalty,
    sinusoids,
)
from faceedit.types import Latent
from faceedit.words.sentence import read
from faceedit.words.wishes import category, segments
from tests.golden import official
from training.config import ConfigError, TrainConfig
from training.loop.loop import Loop
from training.tasks import task_class
from training.tasks.grouped import GroupedOptions, GroupedSentences, GroupedTask

SMALL = {"heads": 2, "layers": 1, "feed_forward": 16, "initial_scale": 0.2}


@pytest.fixture(scope="module")
def golden() -> official.Golden:
    return official.load("maniclip_transmodel")


@pytest.fixture
def method(backbones) -> ManiClip:
    return ManiClip.build(backbones, **SMALL).eval().requires_grad_(False)


# The official arithmetic --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def official_offset(golden) -> torch.Tensor:
    config, weights = from_maniclip(golden.state_dict())
    method = ManiClip(config).eval()
    method.load_state_dict(weights, strict=True)
    styles, text = golden.input("styles"), golden.input("text_embedding")
    with torch.no_grad():
        return method.transformer(styles[:, None].expand(-1, 14, -1), text)


def test_transformer_matches_official_numbers(golden, official_offset):
    difference, allowed = golden.difference("offset", official_offset)
    assert difference <= allowed


def test_default_sizes_are_official(golden):
    assert from_maniclip(golden.state_dict())[0] == ManiClipConfig()


def test_entropy_term_matches_official_numbers(golden, official_offset):
    for name, offset in (("given", golden.input("given_offset")), ("model", official_offset)):
        difference, allowed = golden.difference(
            f"loss_minmaxentropy_{name}", entropy_penalty(offset)
        )
        assert difference <= allowed


def test_picture_terms_match_official_numbers(golden):
    made, source = (golden.input(name).clamp(-1, 1) for name in ("gen_im", "input_im"))
    masks = {
        name: (golden.input(name) > 0.3).float()
        for name in ("mask_gen", "mask_in", "bg_gen", "bg_in")
    }
    color = color_distance(made, source, masks["mask_gen"], masks["mask_in"])
    difference, allowed = golden.difference("loss_face_colour", color)
    assert difference <= allowed
    background = background_distance(source, made, masks["bg_gen"] * masks["bg_in"])
    difference, allowed = golden.difference("loss_background", background)
    assert difference <= allowed


def test_positions_of_an_odd_size_fit():
    assert sinusoids(5, 7).shape == (5, 7)


# The terms ----------------------------------------------------------------------------------------


def test_objective_has_the_six_terms(method, face, sentence, backbones):
    terms = method.objective(face, face, sentence, backbones)
    names = {"clip", "identity", "background", "face_color", "offset", "entropy"}
    assert set(terms) == names
    for name in names - {"clip"}:
        assert terms[name].abs() < 1e-4  # an edit that changes nothing


def test_entropy_is_smaller_for_an_offset_of_few_entries():
    torch.manual_seed(0)
    even = torch.rand(2, 12, 16)
    sparse = torch.where(even > 0.95, even, 0.0)
    for kind in ("minmax", "l1"):
        assert entropy_penalty(sparse, kind) < 0.5 * entropy_penalty(even, kind)


def test_entropy_does_not_depend_on_the_size_of_the_code():
    torch.manual_seed(0)
    short, long = torch.rand(4, 12, 64), torch.rand(4, 24, 128)
    torch.testing.assert_close(entropy_penalty(short), entropy_penalty(long), rtol=0.05, atol=0)


def test_entropy_of_no_offset_has_a_gradient():
    offset = torch.zeros(1, 4, 4, requires_grad=True)
    entropy_penalty(offset).backward()
    assert offset.grad.isfinite().all()


def test_color_term_ignores_what_lies_outside_the_masks():
    a, b = torch.rand(2, 1, 3, 8, 8).unbind(0)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    b = torch.where(mask > 0, a, b)
    assert color_distance(a, b, mask, mask) < 1e-4 < color_distance(a, b, mask, 1 - mask)


def test_objective_takes_a_pae_target(method, face, backbones):
    sentence = read(["red hair"] * 2, "a face", backbones.clip)
    aimed = pae_sentence(sentence, face.image, backbones.clip)
    edited = method.edit(face, aimed, backbones)
    plain, pae = (method.objective(face, edited, s, backbones)["clip"] for s in (sentence, aimed))
    assert pae.isfinite() and pae != plain


# The modes of inference ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("red hair", ["red hair"]),
        ("red hair and a fringe", ["red hair and a fringe"]),
        ("red hair, smiling", ["red hair", "smiling"]),
        (
            "she has red hair, a fringe and a big smile",
            ["red hair, a fringe", "a big smile"],
        ),
        ("a woman with red hair wearing glasses", ["red hair", "glasses"]),
        ("give him a beard and make him old", ["a beard", "old"]),
        (
            "black hair, a beard, round glasses and blue eyes",
            ["black hair", "a beard", "round glasses", "blue eyes"],
        ),
    ],
)
def test_sentence_is_split_into_one_segment_a_category(prompt, parts):
    assert segments(prompt) == parts


def test_category_of_unknown_words_is_none():
    assert category("in dim light") is None
    assert category("clean-shaven") == "facial hair"


def with_mode(method: ManiClip, mode: str) -> ManiClip:
    other = ManiClip(dataclasses.replace(method.config, mode=mode)).eval()
    other.load_state_dict(method.state_dict())
    return other


def test_decoupled_edit_is_the_sum_of_its_segments_edits(method, face, backbones):
    both, one, other = (
        read(text, "a face", backbones.clip)
        for text in ("red hair, smiling", "red hair", "smiling")
    )
    decoupled = with_mode(method, "decoupled")
    start = face.latent.code
    moved = [decoupled.edit(face, s, backbones).latent.code - start for s in (both, one, other)]
    torch.testing.assert_close(moved[0], moved[1] + moved[2], rtol=1e-4, atol=1e-5)


def test_sequential_edit_applies_one_segment_after_the_other(method, face, backbones):
    both, one, other = (
        read(text, "a face", backbones.clip)
        for text in ("red hair, smiling", "red hair", "smiling")
    )
    sequential = with_mode(method, "sequential")
    first = sequential.edit(face, one, backbones)
    second = sequential.edit(first, other, backbones)
    edited = sequential.edit(face, both, backbones)
    torch.testing.assert_close(edited.latent.code, second.latent.code, rtol=1e-4, atol=1e-5)


def test_modes_agree_on_a_sentence_of_one_segment(method, face, sentence, backbones):
    codes = [
        with_mode(method, mode).edit(face, sentence, backbones).latent.code
        for mode in ("single", "decoupled", "sequential")
    ]
    assert torch.equal(codes[0], codes[1]) and torch.equal(codes[0], codes[2])


def test_batch_of_sentences_of_different_length_equals_one_by_one(method, face, backbones):
    prompts = ["red hair", "red hair, smiling and glasses"]
    decoupled = with_mode(method, "decoupled")
    together = decoupled.edit(face, read(prompts, "a face", backbones.clip), backbones).latent.code
    for i, prompt in enumerate(prompts):
        latent = Latent(face.latent.code[i : i + 1], face.latent.space)
        single = dataclasses.replace(face, image=face.image[i : i + 1], latent=latent)
        alone = decoupled.edit(single, read(prompt, "a face", backbones.clip), backbones)
        torch.testing.assert_close(together[i : i + 1], alone.latent.code, rtol=1e-4, atol=1e-5)


def test_offset_depends_on_the_sentence(method, face, backbones):
    codes = [
        method.edit(face, read(text, "a face", backbones.clip), backbones).latent.code
        for text in ("red hair", "glasses")
    ]
    assert not torch.allclose(*codes)


# Group sampling -----------------------------------------------------------------------------------

GROUPS = {
    "hair": [["red hair", "black hair"], ["long hair", "short hair"], ["a fringe"]],
    "mouth": [["smiling", "frowning"]],
}


@pytest.fixture
def grouped(backbones):
    def make(**options):
        return GroupedSentences(GroupedOptions(groups=GROUPS, **options), backbones.clip, seed=3)

    return make


def test_sentence_is_made_of_one_group_and_does_not_contradict_itself(grouped):
    sentences = [grouped(joints=("; ",)).text(p).split("; ") for p in range(200)]
    for parts in sentences:
        homes = {
            (g, i) for g, a in GROUPS.items() for i, x in enumerate(a) for p in parts if p in x
        }
        assert len({group for group, _ in homes}) == 1
        assert len(homes) == len(parts)
    assert {len(parts) for parts in sentences} == {1, 2, 3}
    assert {"smiling"} in [set(parts) for parts in sentences]


def test_mixed_sentences_cross_the_groups(grouped):
    texts = [grouped(mixed=1.0).text(p) for p in range(100)]
    assert any("hair" in text and ("smiling" in text or "frowning" in text) for text in texts)


def test_sentence_is_a_function_of_seed_and_place(grouped):
    sentences = grouped()
    one, other = sentences(range(3, 7)), sentences(range(5, 9))
    assert one.prompt[2:] == other.prompt[:2]
    assert torch.equal(one.target[2:], other.target[:2])
    assert one.target.shape == (4, 16)


def test_official_wording_can_be_had(grouped):
    text = grouped(subjects=("she has ",), joints=(", ",)).text(1)
    assert text.startswith("she has ")


@pytest.mark.parametrize("groups", [{}, {"hair": ["red hair"]}, {"hair": [[]]}, {"hair": [[1]]}])
def test_unsound_groups_are_a_clear_error(groups, backbones):
    with pytest.raises(ConfigError, match="the recipe's groups must look like"):
        GroupedSentences(GroupedOptions(groups=groups), backbones.clip, seed=0)


def test_training_runs_and_exports_a_repo_that_loads(base_folder, tmp_path):
    assert task_class("maniclip") is GroupedTask
    config = TrainConfig(
        task="maniclip",
        base=str(base_folder),
        output_dir=str(tmp_path / "run"),
        train_batch_size=2,
        max_train_steps=3,
        ema_decay=0.5,
        cpu=True,
        options={
            "groups": GROUPS,
            "prompts": ("red hair",),
            "method": SMALL,
            "evaluation_faces": 2,
        },
    )
    scores = Loop(config, GroupedTask).run().scores
    assert {"clip", "entropy"} <= set(scores)
    loaded = load_method(ManiClip, tmp_path / "run" / "export")
    assert loaded.config.feed_forward == 16
