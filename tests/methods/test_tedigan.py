"""TediGAN's instance optimization: its four terms, and what each of them holds."""

import pytest
import torch

from faceedit.methods.tedigan import TediGan, feature_distance, pixel_distance
from faceedit.types import Face, Latent, Space
from tests.golden import official


def test_pixel_term_matches_official_number():
    golden = official.load("tedigan_base")
    mine = pixel_distance(golden.input("image64"), golden.input("image64_b"))
    difference, allowed = golden.difference("loss_pix", mine)
    assert difference <= allowed


def test_objective_has_the_four_terms(face, sentence, backbones):
    terms = TediGan.build(backbones).objective(face, face, sentence, backbones)
    assert set(terms) == {"pixel", "feature", "encoder", "clip"}
    assert terms["pixel"] == 0 and terms["feature"] == 0


def test_feature_term_does_not_depend_on_the_features_size():
    a, b = ([torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)] for _ in range(2))
    once = feature_distance(a, b)
    assert once.item() == pytest.approx(2, rel=0.5)  # of unlike images: var(a) + var(b)
    scaled = feature_distance([100 * x for x in a], [100 * x for x in b])
    assert torch.allclose(once, scaled)


def test_reconstruction_terms_keep_the_picture_against_the_words(face, sentence, backbones):
    """Instance optimization trades the words against the photo."""
    changes = []
    for weight in (0.0, 20.0):
        kept = {"weight_pixel": weight, "weight_feature": weight, "weight_encoder": weight}
        edited = TediGan.build(backbones, steps=15, **kept).edit(face, sentence, backbones)
        changes.append(pixel_distance(face.image, edited.image))
    assert changes[1] < changes[0]


def test_encoder_term_asks_the_encoder_to_see_the_code_that_was_used(face, sentence, backbones):
    quiet = {"weight_pixel": 0.0, "weight_feature": 0.0, "weight_clip": 0.0}
    method = TediGan.build(backbones, steps=20, **quiet)
    edited = method.edit(face, sentence, backbones)
    before, after = (
        method.objective(face, f, sentence, backbones)["encoder"] for f in (face, edited)
    )
    assert after < before


def test_code_can_be_held_to_the_source_instead(face, sentence, backbones):
    method = TediGan.build(backbones, consistency="source")
    assert method.objective(face, face, sentence, backbones)["encoder"] == 0


def test_descent_can_start_from_the_mean_face(face, sentence, backbones):
    from_mean = TediGan.build(backbones, steps=3, init="mean", learning_rate=1e-4)
    code = from_mean.edit(face, sentence, backbones).latent.code
    w_avg = backbones.generator.w_avg
    assert (code - w_avg).abs().max() < (face.latent.code - w_avg).abs().max() / 10


@pytest.mark.parametrize("n", [0, 1, 3])
def test_edit_takes_any_number_of_faces(n, sentence, backbones):
    w_plus = backbones.generator.sample_w_plus(n, torch.Generator().manual_seed(5))
    with torch.no_grad():
        source = Face(backbones.generator(w_plus), Latent(w_plus, Space.W_PLUS))
    edited = TediGan.build(backbones, steps=2).edit(source, sentence, backbones)
    assert edited.image.shape == source.image.shape
