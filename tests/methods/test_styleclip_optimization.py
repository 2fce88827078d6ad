"""Latent optimization: Equation 1 goes down, and each of its terms holds what it should."""

import pytest
import torch

from faceedit.additions import Additions
from faceedit.inversion import to_space
from faceedit.methods import METHODS
from faceedit.methods.styleclip_optimization import StyleClipOptimization
from faceedit.optimization.codes import code_unit, ramp
from faceedit.types import Space


def total(method, source, edited, sentence, backbones) -> float:
    with torch.no_grad():
        return float(sum(method.objective(source, edited, sentence, backbones).values()))


@pytest.mark.parametrize("space", ["w_plus", "s"])
def test_edit_lowers_equation_1_in_either_space(space, face, sentence, backbones):
    method = StyleClipOptimization.build(backbones, steps=12, space=space)
    source = to_space(face, Space(space), backbones)
    edited = method.edit(source, sentence, backbones)
    before, after = (total(method, source, f, sentence, backbones) for f in (source, edited))
    assert after < before


def test_more_weight_on_the_latent_term_keeps_the_code_nearer(face, sentence, backbones):
    moves = []
    for weight in (0.0, 0.1):
        method = StyleClipOptimization.build(backbones, steps=12, weight_latent_l2=weight)
        edited = method.edit(face, sentence, backbones)
        moves.append((edited.latent.code - face.latent.code).square().sum())
    assert moves[1] < moves[0]


def test_only_the_chosen_layers_move(face, sentence, backbones):
    method = StyleClipOptimization.build(backbones, steps=4, layers=(2, 5))
    moved = method.edit(face, sentence, backbones).latent.code != face.latent.code
    assert moved[:, 2:5].any() and not moved[:, :2].any() and not moved[:, 5:].any()


@pytest.mark.parametrize(
    "name", ["styleclip_optimization", "clip_pae", "tedigan", "ffclip", "feat", "maniclip"]
)
def test_one_offset_moves_all_layers_alike(name, face, sentence, backbones):
    few = {"steps": 4} if METHODS[name].kind == "optimized" else {}
    method = METHODS[name].build(backbones, **few, additions=Additions(tied_layers=True))
    offset = method.edit(face, sentence, backbones).latent.code - face.latent.code
    assert offset.abs().amax() > 0
    torch.testing.assert_close(offset, offset[:, :1].expand_as(offset), atol=1e-5, rtol=0)


def test_colour_channels_of_s_stay(face, sentence, backbones):
    method = StyleClipOptimization.build(backbones, steps=4, space="s")
    source = to_space(face, Space.S, backbones)
    moved = method.edit(source, sentence, backbones).latent.code != source.latent.code
    for layer in backbones.generator.style_layers:
        assert bool(moved[:, layer.channels_slice].any()) != layer.is_rgb


def test_strength_goes_along_the_line_to_the_optimum(face, sentence, backbones):
    method = StyleClipOptimization.build(backbones, steps=4)
    start = face.latent.code
    half, full = (
        method.edit(face, sentence, backbones, strength).latent.code for strength in (0.5, 1.0)
    )
    assert torch.allclose(2 * (half - start), full - start, atol=1e-5)


def test_identity_network_is_not_asked_where_its_weight_is_zero(face, sentence, backbones):
    method = StyleClipOptimization.build(backbones, steps=2, weight_identity=0.0)
    assert set(method.objective(face, face, sentence, backbones)) == {"clip", "latent_l2"}


def test_learning_rate_ramp_matches_the_official_one():
    # steps = 300, i = 0, 1, 5, 15, 225, 250, 275 and a learning rate of 0.1
    wanted = (0.0, 0.0067, 0.0333, 0.1, 0.1, 0.075, 0.025)
    steps = (0, 1, 5, 15, 225, 250, 275)
    for i, rate in zip(steps, wanted, strict=True):
        assert 0.1 * ramp(i / 300) == pytest.approx(rate, abs=1e-4)


def test_unit_of_a_code_is_never_zero(backbones):
    for space in (Space.W_PLUS, Space.S):
        assert (code_unit(backbones.generator, space) > 0).all()
