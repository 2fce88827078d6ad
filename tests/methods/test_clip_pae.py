"""CLIP-PAE on a generator: its descent reaches its target, and what is outside W is left alone."""

import dataclasses
import logging

import pytest
import torch
import torch.nn.functional as F

from faceedit.additions import Additions
from faceedit.losses import pae, projections
from faceedit.methods.clip_pae import ClipPae
from faceedit.types import Face, Latent, Space
from faceedit.words.sentence import read


@pytest.mark.parametrize("projection", ["span", "gram_schmidt", "symmetric", "pca", "contrast"])
def test_target_asks_nothing_of_what_the_sentence_is_not_about(
    projection, face, sentence, backbones
):
    """The paper's claim: relevant features are extracted; the plain text asks for all of itself."""
    asked = {}
    for target in ("pae", "text"):
        method = ClipPae.build(
            backbones, target=target, projection=projection, weight_consistency=1
        )
        # Three axes only: the tiny CLIP's whole space is not larger than a corpus.
        goal = method.goal(face, sentence, backbones)
        bases = [projections.symmetric(basis[:3]) for basis in goal.bases]
        aim = goal.sentence.target.expand(2, -1)
        if target == "pae":
            texts = (sentence.target, sentence.neutral_embedding)
            aim = pae.pae_target(goal.seen, *texts, bases[0], method.settings)
        asked[target] = pae.consistency_distance(aim, goal.seen, bases).item()
    assert asked["pae"] == pytest.approx(0, abs=1e-4)
    assert asked["text"] > 0.01


@pytest.mark.parametrize("projection", list(pae.Projection))
def test_edit_comes_nearer_to_its_target(projection, face, sentence, backbones):
    method = ClipPae.build(backbones, steps=20, projection=projection.value)
    edited = method.edit(face, sentence, backbones)
    before, after = (method.objective(face, f, sentence, backbones)["clip"] for f in (face, edited))
    assert after < before


def test_target_is_the_images_own_embedding_where_nothing_is_asked(face, sentence, backbones):
    method = ClipPae.build(backbones, alpha=0.0)
    target = method.goal(face, sentence, backbones).sentence.target
    with torch.no_grad():
        assert torch.allclose(target, backbones.clip.encode_image(face.image), atol=1e-5)


def test_more_power_asks_for_more(face, sentence, backbones):
    with torch.no_grad():
        seen = backbones.clip.encode_image(face.image)
    turns = []
    for alpha in (0.5, 2.0, 8.0):
        method = ClipPae.build(backbones, alpha=alpha)
        target = method.goal(face, sentence, backbones).sentence.target
        turns.append(F.cosine_similarity(target, seen).mean().item())
    assert turns == sorted(turns, reverse=True)


def test_strength_goes_along_the_line_to_the_optimum(face, sentence, backbones):
    method = ClipPae.build(backbones, steps=4)
    start = face.latent.code
    back, full = (
        method.edit(face, sentence, backbones, strength).latent.code for strength in (-0.5, 1.0)
    )
    assert torch.allclose(-2 * (back - start), full - start, atol=1e-5)


def test_only_the_chosen_layers_move(face, sentence, backbones):
    method = ClipPae.build(backbones, steps=4, layers=(2, 5))
    moved = method.edit(face, sentence, backbones).latent.code != face.latent.code
    assert moved[:, 2:5].any() and not moved[:, :2].any() and not moved[:, 5:].any()


def test_constraints_are_terms_of_their_own(face, sentence, backbones):
    method = ClipPae.build(backbones, weight_consistency=0.1, weight_diversity=0.01)
    terms = method.objective(face, face, sentence, backbones)
    assert set(terms) == {"clip", "latent_l2", "identity", "consistency", "diversity"}
    assert terms["consistency"].item() == pytest.approx(0, abs=1e-5)


def test_what_lies_outside_is_held_where_a_characteristic_shows_somewhere(
    face, sentence, backbones, caplog
):
    method = ClipPae.build(backbones, additions=Additions(weight_outside=4.0))
    tinted = Face(face.image + 0.1, face.latent)
    told = {
        text: method.objective(face, tinted, read(text, "a face", backbones.clip), backbones)
        for text in ("red hair", "a woman")
    }
    assert 0 < told["red hair"]["outside"] <= 4.0 * 0.1 + 1e-6
    assert told["a woman"]["outside"] == 0  # shows everywhere
    terms = method.objective(face, tinted, sentence, dataclasses.replace(backbones, segmenter=None))
    assert "outside" not in terms and "no segmenter" in caplog.text


def test_warns_and_edits_plainly_where_no_characteristic_fits(face, backbones, caplog, monkeypatch):
    monkeypatch.setattr(pae.choose, "__defaults__", (2.0,))  # no cosine is that large
    method = ClipPae.build(backbones, steps=3)
    with caplog.at_level(logging.WARNING, logger="faceedit.losses.pae"):
        edited = method.edit(face, read("qwertz", "a face", backbones.clip), backbones)
    assert "no characteristic fits 'qwertz'" in caplog.text
    assert not torch.equal(edited.latent.code, face.latent.code)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_edit_takes_any_number_of_faces(n, sentence, backbones):
    w_plus = backbones.generator.sample_w_plus(n, torch.Generator().manual_seed(5))
    with torch.no_grad():
        source = Face(backbones.generator(w_plus), Latent(w_plus, Space.W_PLUS))
    edited = ClipPae.build(backbones, steps=2).edit(source, sentence, backbones)
    assert edited.image.shape == source.image.shape
