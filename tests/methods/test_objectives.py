"""Every term of every objective, in numbers worked out by hand; weights scale their own terms."""

import dataclasses
import math

import pytest
import torch

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.inversion import to_space
from faceedit.losses.true_edits import Meaning
from faceedit.methods import METHODS
from faceedit.methods.clip_pae import ClipPae
from faceedit.methods.clip_pae_diffusion import ClipPaeDiffusion, Goal
from faceedit.methods.counterfactual import (
    Counterfactual,
    CounterfactualConfig,
    CounterfactualEditor,
)
from faceedit.methods.feat import Feat, FeatConfig
from faceedit.methods.ffclip import FfClip, FfClipConfig
from faceedit.methods.maniclip import (
    ManiClip,
    ManiClipConfig,
    color_distance,
    entropy_penalty,
    mean_lab,
)
from faceedit.methods.styleclip_mapper import MapperConfig, StyleClipMapper
from faceedit.methods.styleclip_optimization import StyleClipOptimization
from faceedit.methods.tedigan import TediGan, feature_distance
from faceedit.types import Face, Latent, Sentence
from tests.methods.known import (
    ENTRIES,
    LAYERS,
    SIDE,
    Columns,
    networks,
    plain_face,
    sentence_at,
)

THIRTY, SIXTY, RIGHT = math.pi / 6, math.pi / 3, math.pi / 2
OTHER_PERSON = 1 - math.cos(THIRTY)  # 0.134
NEAR = {"rel": 3e-3}  # a deviation over 512 faces is that of 511


def numbers(method, source, edited, sentence, backbones=None) -> dict[str, float]:
    """Return the terms, with the method's unit at 2 where it has its own."""
    if hasattr(method, "unit"):
        method.unit.fill_(2.0)
    terms = method.objective(source, edited, sentence, backbones or networks())
    return {name: term.item() for name, term in terms.items()}


# One weight, one term -----------------------------------------------------------------------------


def weights_of(name: str) -> list[str]:
    fields = dataclasses.fields(METHODS[name].config_class)
    weights = [field.name for field in fields if field.name.startswith("weight_")]
    return weights + ["outside"] * ("weight_outside" in METHODS[name].config_class.takes)


CASES = [
    (name, weight)
    for name, method in METHODS.items()
    if method.kind != "fitted" and name != "counterfactual"
    for weight in weights_of(name)
]


@pytest.mark.parametrize(("name", "weight"), CASES)
def test_a_weight_scales_the_term_of_its_name_and_no_other(name, weight, face, sentence, backbones):
    backbones = dataclasses.replace(backbones, segmenter=Columns())
    source, edited = another_face(face, METHODS[name].space, backbones)
    term = weight.removeprefix("weight_")
    plain, heavy = (
        score(name, factor, weight, source, edited, sentence, backbones) for factor in (1.0, 3.0)
    )
    assert abs(plain[term]) > 1e-6
    assert heavy.pop(term) == pytest.approx(3 * plain.pop(term), rel=1e-4)
    assert heavy == pytest.approx(plain, rel=1e-4, abs=1e-7)


def another_face(face: Face, space, backbones: Backbones) -> tuple[Face, Face]:
    """Two of one batch that differ in everything: code, picture, mask; partly beyond white."""
    draws = torch.Generator().manual_seed(3)
    source = to_space(face, space, backbones)
    noise = torch.randn(source.image.shape, generator=draws)
    code = source.latent.code + 0.3 * torch.randn(source.latent.code.shape, generator=draws)
    mask = torch.rand(2, 1, 32, 32, generator=draws)
    return source, Face(source.image + noise, Latent(code, space), mask)


def score(name, factor, weight, source, edited, sentence, backbones) -> dict[str, float]:
    settings = {w: 1.0 for w in weights_of(name) if w != "outside"}
    if "additions" in {field.name for field in dataclasses.fields(METHODS[name].config_class)}:
        outside = float("outside" in weights_of(name)) * (factor if weight == "outside" else 1.0)
        settings["additions"] = Additions(weight_outside=outside)
    if weight != "outside":
        settings[weight] = factor
    method = METHODS[name].build(backbones, **settings)
    terms = method.objective(source, edited, sentence, backbones)
    return {key: value.item() for key, value in terms.items()}


@pytest.mark.parametrize("weight", ["unseen", "disturbed", "image", "code", "clip", "latent_l2"])
def test_each_weight_of_true_edits_scales_its_own_term(weight, face, sentence, backbones):
    source, edited = another_face(face, CounterfactualEditor.space, backbones)
    answers = backbones.attributes.raw(source.image)
    meaning = Meaning(
        {"hair_color": torch.tensor([[False, True]] * 2)},
        {"hair_color": torch.ones(2).bool(), "smile": torch.zeros(2).bool()},
        answers,
    )
    truth = Face(source.image.flip(-1), Latent(source.latent.code + 1, source.latent.space))
    known = {
        "unseen": {"meaning": meaning},
        "disturbed": {"meaning": meaning},
        "image": {"meaning": meaning, "truth": truth},
        "code": {"truth": truth},
    }.get(weight, {})
    words = dataclasses.asdict(sentence) | {"target": sentence.target} | known
    values = []
    for factor in (1.0, 3.0):
        method = CounterfactualEditor.build(backbones, **{f"weight_{weight}": factor})
        values.append(method.objective(source, edited, Counterfactual(**words), backbones))
    plain, heavy = values
    assert heavy.pop(weight).item() == pytest.approx(3 * plain.pop(weight).item(), rel=1e-5)
    assert {k: v.item() for k, v in heavy.items()} == {k: v.item() for k, v in plain.items()}


# The terms ----------------------------------------------------------------------------------------


def test_numbers_of_styleclips_mapper():
    method = StyleClipMapper(MapperConfig(w_dim=ENTRIES))
    edited = plain_face(green=THIRTY, code=1.0)  # half a unit in every entry
    assert numbers(method, plain_face(), edited, sentence_at(SIXTY)) == pytest.approx(
        {"clip": 0.5, "latent_l2": 0.8 * 0.25, "identity": 0.1 * OTHER_PERSON}
    )


def test_numbers_of_styleclips_optimization():
    """The official sum over 18 x 512 entries, whatever a code's own number of entries."""
    method = StyleClipOptimization.build(networks())
    edited = plain_face(green=THIRTY, code=1.0)
    assert numbers(method, plain_face(), edited, sentence_at(SIXTY)) == pytest.approx(
        {"clip": 0.5, "latent_l2": 0.008 * 9216 * 0.25, "identity": 0.005 * OTHER_PERSON}, **NEAR
    )


def test_numbers_of_clip_pae():
    method = ClipPae.build(networks(), target="text", weight_consistency=0.1)
    edited = plain_face(green=THIRTY, code=1.0)
    terms = numbers(method, plain_face(red=SIXTY), edited, sentence_at(SIXTY), no_subspace())
    assert terms == pytest.approx(
        {
            "clip": 0.5,
            "latent_l2": 0.25,
            "identity": 0.5 * OTHER_PERSON,
            "consistency": 0.1 * 0.5,  # from 60 degrees to 0
        },
        **NEAR,
    )


def test_variations_of_one_face_cost_their_cosine():
    method = ClipPae.build(networks(), target="text", weight_diversity=0.01)
    source, faces = plain_face(), [plain_face(red=0), plain_face(red=SIXTY)]
    twice = Latent(source.latent.code.expand(2, -1, -1), source.latent.space)
    both = Face(torch.cat([face.image for face in faces]), twice)
    before = Face(source.image.expand(2, -1, -1, -1), twice)
    terms = numbers(method, before, both, sentence_at(SIXTY), no_subspace())
    assert terms["diversity"] == pytest.approx(0.01 * 0.5)


def no_subspace() -> Backbones:
    """Networks whose CLIP reads every text at 0, so that words choose no subspace of it."""
    backbones = networks()
    backbones.clip.encode_framed = lambda texts, frames: torch.zeros(len(texts), len(frames), 2)
    return backbones


def test_numbers_of_feat():
    config = FeatConfig(num_ws=LAYERS, w_dim=ENTRIES, layers=(1, 3), weight_identity=2.0)
    edited = plain_face(green=THIRTY)
    edited.latent.code[:, 0] = 9.0  # a layer that the mapper does not move
    edited.latent.code[:, 1] = 2.0  # one unit, in one of the two that it moves
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 2:4] = 1.0  # a stripe: a quarter of the picture, with two edges of its height
    edited = dataclasses.replace(edited, mask=mask)
    assert numbers(Feat(config), plain_face(), edited, sentence_at(SIXTY)) == pytest.approx(
        {
            "clip": 0.5,
            "latent_l2": 0.8 * 0.5,
            "area": 0.005 * 0.25,
            "tv": 6.4e-4 * 2,
            "identity": 2 * OTHER_PERSON,
        }
    )


def test_numbers_of_ffclip():
    config = FfClipConfig(num_ws=LAYERS, w_dim=ENTRIES, text_dim=2)
    source, edited = plain_face(red=RIGHT), plain_face(red=0, green=THIRTY, code=-1.0)
    assert numbers(FfClip(config), source, edited, sentence_at(SIXTY)) == pytest.approx(
        {
            "clip": 8 * 0.5,
            "latent_l1": 1.6 * 0.5,
            "identity": 0.9 * OTHER_PERSON,
            "background": 2 * (RIGHT**2 + THIRTY**2) / 3,  # the mean over three colours
            "clip_image": 10 * 1.0,  # from (0, 1) to (1, 0)
        }
    )


def test_numbers_of_maniclip():
    config = ManiClipConfig(w_dim=ENTRIES, embed_dim=ENTRIES, heads=1, layers=1, feed_forward=2)
    source, edited = plain_face(-1, -1, -1), plain_face(1, 1, 1)
    edited.latent.code[:, 1] = 0.7  # of an offset of 0.5, by the scale of 0.7, in units of 2
    edited.latent.code[:, 2] = 1.4
    terms = numbers(ManiClip(config), source, edited, sentence_at(1 + SIXTY))
    assert terms == pytest.approx(
        {
            "clip": 0.5,
            "identity": 0.05 * (1 - math.cos(2)),
            "background": 1.0 * 4 / 2,  # half of the picture is background or cloth
            "face_color": 0.05 * 100 / 3,  # from black to white: 100 of lightness
            "offset": 0.1 * (0.25 + 1) / 3,
            "entropy": 0.2 * 1e-4 * 7168 * 0.5 * math.log(2) / 3,
        },
        rel=1e-3,
    )


def test_entropy_of_shares_that_are_known():
    offset = torch.tensor([[[1.0, -1.0, 2.0]]])  # shares of a quarter, a quarter, a half
    evenness = 1.5 * math.log(2) / math.log(3)
    assert entropy_penalty(offset, "l1").item() == pytest.approx(evenness, rel=1e-5)
    assert entropy_penalty(torch.ones(1, 2, 2), "l1").item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1, 1, 1), (100, 0, 0)),
        ((-1, -1, -1), (0, 0, 0)),
        ((0, 0, 0), (76.07, 0, 0)),  # half of the light: 116 * 0.5 ** (1 / 3) - 16
        ((1, -1, -1), (53.24, 80.10, 67.22)),  # pure red, as tables of colour have it
        ((-1, 1, -1), (87.74, -86.18, 83.18)),
        ((-1, -1, 1), (32.30, 79.20, -107.86)),
    ],
)
def test_lab_of_known_colours(rgb, lab):
    image = torch.tensor(rgb, dtype=torch.float32)[None, :, None, None].expand(1, 3, 2, 2)
    assert mean_lab(image, torch.ones(1, 1, 2, 2))[0].tolist() == pytest.approx(lab, abs=0.15)


def test_colour_is_the_mean_inside_a_mask_and_nothing_where_there_is_none():
    image = torch.full((1, 3, 2, 2), -1.0)
    image[..., 0] = 1.0
    mask = torch.zeros(1, 1, 2, 2)
    assert mean_lab(image, mask)[0].tolist() == [0, 0, 0]
    mask[..., 0, :] = 1.0  # one white and one black pixel
    assert mean_lab(image, mask)[0].tolist() == pytest.approx([50, 0, 0], abs=1e-3)
    assert color_distance(image, image, mask, 1 - mask).item() == pytest.approx(0, abs=1e-4)


def test_numbers_of_tedigan():
    method = TediGan.build(networks())
    source, edited = plain_face(0.5, 0.5, 0.5, code=0), plain_face(0, 0.5, 0.5, code=3.0)
    terms = numbers(method, source, edited, sentence_at(SIXTY))
    assert terms == pytest.approx(
        {
            "pixel": 0.25 / 3,
            "feature": 0.2 * 1 / 3,  # a third of the source's own mean square
            "encoder": 2 * 1.0,  # the encoder sees 1, the code is 3: one unit
            "clip": 2 * 0.5,
        },
        **NEAR,
    )
    held = TediGan.build(networks(), consistency="source")
    terms = numbers(held, source, edited, sentence_at(SIXTY))
    assert terms["encoder"] == pytest.approx(2 * 1.5**2, **NEAR)


def test_features_are_compared_stage_by_stage_in_their_own_size():
    ones, twos = torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 2.0)
    distance = feature_distance([ones, 10 * ones], [twos, 10 * ones])
    assert distance.item() == pytest.approx((1.0 + 0.0) / 2)


def diffusion(**settings) -> ClipPaeDiffusion:
    from tests.conftest import make_diffusion

    backbones = networks(diffusion=make_diffusion())
    plain = {"target": "text", "additions": Additions()}
    return ClipPaeDiffusion.build(backbones, **{**plain, **settings}), backbones


def test_numbers_of_diffusion():
    method, backbones = diffusion()
    edited = plain_face(1.5, THIRTY, 1.5)
    ramp = 0.1 * torch.arange(float(SIDE))  # 0.1 from pixel to pixel, to the right
    edited.image[:, 2] += ramp
    source = plain_face()
    source.image[:, 2] += ramp  # so it is no change, and no roughness
    terms = numbers(method, source, edited, sentence_at(1.5 + SIXTY), backbones)
    size = math.sqrt((1.5**2 + THIRTY**2 + 1.5**2) / 3)
    beyond = (0.5**2 + sum((0.5 + 0.1 * k) ** 2 for k in range(8)) / 8) / 3
    assert terms == pytest.approx(
        {
            "clip": 2.0 * SIXTY**2 / 2,  # half the squared angle
            "range": 0.05 * beyond,
            "pixels": 0.4 * (math.sqrt(size**2 + 0.02**2) - 0.02),
            "smooth": 0.0,
            "identity": 0.15 * OTHER_PERSON,
        },
        abs=1e-6,
        rel=1e-4,
    )


def test_what_a_smaller_denoiser_left_alone_is_shown_with_the_sources_own_detail():
    method, _ = diffusion()
    image = torch.rand(1, 3, 8, 8)
    small = torch.nn.functional.avg_pool2d(image, 2)
    goal = Goal(sentence_at(1), image, small, None)
    torch.testing.assert_close(method.view(goal, small), image)
    assert method.view(Goal(sentence_at(1), None, None, None), small) is small
    fresh, _ = diffusion(start_noise="noise")
    shown = fresh.view(goal, small)
    assert shown.shape == image.shape and not torch.allclose(shown, image, atol=1e-3)


def test_roughness_of_diffusion_is_of_rows_and_of_columns():
    method, backbones = diffusion(weight_smooth=1.0)
    edited = plain_face()
    steps = torch.arange(float(SIDE))
    edited.image.add_(0.1 * steps + 0.2 * steps[:, None])
    terms = numbers(method, plain_face(), edited, sentence_at(SIXTY), backbones)
    assert terms["smooth"] == pytest.approx(0.1**2 + 0.2**2, rel=1e-4)


def test_small_changes_of_pixels_cost_little():
    method, backbones = diffusion(weight_pixels=1.0)
    costs = [
        numbers(method, plain_face(), plain_face(c, c, c), sentence_at(1), backbones)["pixels"]
        for c in (0.0, 0.01, -0.01, 0.5)
    ]
    assert costs == pytest.approx([0, 0.00236, 0.00236, 0.4804], rel=1e-3, abs=1e-7)


def test_a_directional_target_is_the_way_from_the_neutral_words():
    method, backbones = diffusion(target="directional", weight_clip=1.0)
    source, edited = plain_face(red=0), plain_face(red=RIGHT)  # moved by (-1, 1)
    for wanted, cosine in ((RIGHT, 1.0), (math.pi, math.cos(math.pi / 4)), (-RIGHT, 0.0)):
        terms = numbers(method, source, edited, sentence_at(wanted), backbones)
        assert terms["clip"] == pytest.approx(1 - cosine, abs=1e-5)


def test_numbers_of_counterfactual():
    method = CounterfactualEditor(
        CounterfactualConfig(w_dim=ENTRIES, embed_dim=2, width=4, weight_code=2.0)
    )
    source, edited, truth = plain_face(), plain_face(code=1.0), plain_face(code=4.0)
    terms = numbers(method, source, edited, sentence_at(SIXTY))
    assert terms == pytest.approx({"clip": 0.5, "latent_l2": 0.008 * 9216 * 0.25}, **NEAR)
    plain: Sentence = sentence_at(SIXTY)
    known = Counterfactual(*(getattr(plain, f.name) for f in dataclasses.fields(plain)), truth)
    terms = numbers(method, source, edited, known)
    assert terms == pytest.approx({"code": 2 * 3.0}, **NEAR)  # 3 deviations off in every entry
