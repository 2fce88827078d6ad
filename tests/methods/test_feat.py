"""FEAT: the re-implementation's numbers, and the paper's claim that an edit stays where it is."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.backbones.stylegan2 import Generator
from faceedit.convert.feat import from_ganvinci
from faceedit.convert.stylegan2 import from_rosinality
from faceedit.methods.feat import (
    Feat,
    FeatConfig,
    feature_channels,
    feature_side,
    resize,
    total_variation,
    trace,
)
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import read
from tests.golden import official
from tests.methods.known import networks, plain_face, sentence_at

GOLDENS = ("ganvinci_feat_0_8", "ganvinci_feat_8_13")
AS_SHIPPED = {
    "mask_threshold": 0.2,
    "mask_cut": "ramp",
    "blend_skip": True,
    "blend_downstream": True,
    "blend_image": True,
}
UNREAD = Sentence(("",), "", torch.zeros(1, 0), torch.zeros(1, 0))  # these edits read no text


def official_method(golden: official.Golden, mask_threshold: float = 0.0) -> Feat:
    parameters = golden.parameters
    state = golden.state_dict("own")
    method = from_ganvinci(state, parameters["att_start"], parameters["alpha"], mask_threshold)
    return method.requires_grad_(False)


@pytest.fixture
def method(face, sentence, backbones) -> Feat:
    return half_open(Feat.build(backbones, **AS_SHIPPED), face, sentence, backbones)


@torch.no_grad()
def half_open(method: Feat, face: Face, sentence: Sentence, backbones: Backbones) -> Feat:
    """Set the last layer so that half of the faces' mask is shut; larger steps for the mapper."""
    features, image = trace(backbones.generator, face.latent.code)
    text = method._text(sentence, len(image))
    attention, side = method.attention, feature_side(method.config.blend_layer)
    logit = attention([*features, image], text, side)
    attention.logit.weight.mul_(4 / logit.std())
    logit = attention([*features, image], text, side)
    attention.logit.bias.sub_(logit.median() + 1.4)  # sigmoid(-1.4) is about the threshold
    method.mapper.output.weight.mul_(10)
    return method.eval()


# ------------------------------------------------------------------------- official numbers
@pytest.mark.parametrize("name", GOLDENS)
def test_moved_code_matches_official_numbers(name):
    golden = official.load(name)
    method, code = official_method(golden), golden.input("w_plus")
    moved = code + method.displacement(code, UNREAD)
    difference, allowed = golden.difference("latent_feat", moved)
    assert difference <= allowed
    picture = plain_face().image
    before, after = (Face(picture, Latent(c, Space.W_PLUS)) for c in (code, moved))
    terms = method.objective(before, after, sentence_at(1.0), networks())
    l2 = terms["latent_l2"] / method.config.weight_latent_l2
    difference, allowed = golden.difference("loss_l2", l2)
    assert difference <= allowed


@pytest.mark.parametrize("name", GOLDENS)
def test_settings_are_read_off_official_tensors(name):
    golden = official.load(name)
    config = official_method(golden).config
    assert feature_side(config.blend_layer) == golden.parameters["mask_resolution"]
    assert config.layers == (golden.parameters["att_start"], golden.parameters["att_layer"])
    assert len(config.feature_channels) == config.num_ws - 1


def test_something_else_is_refused():
    with pytest.raises(ValueError, match="not an edit"):
        from_ganvinci({"conv1.weight": torch.zeros(1)}, 0)


def test_summed_attention_equals_the_joined_one():
    """Joining C channels of all sources before a last 1x1 convolution is a sum of convolutions."""
    golden = official.load("ganvinci_feat_8_13")
    state, method = golden.state_dict("own"), official_method(golden)
    widths = (*method.config.feature_channels, 3)
    sources = [torch.randn(2, width, 8, 8) for width in widths]
    names = ["att_conv1", *(f"att_convs.{i}" for i in range(len(widths) - 1))]
    joined = torch.cat(
        [
            resize(F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"]), 4)
            for x, name in zip(sources, names, strict=True)
        ],
        dim=1,
    )
    last = f"att_convs.{len(widths) - 1}"
    wanted = F.conv2d(joined, state[f"{last}.weight"], state[f"{last}.bias"])
    assert torch.allclose(method.attention(sources, None, 4), wanted, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDENS)
@torch.no_grad()
def test_edit_of_1024_px_matches_official_numbers(name):
    golden = official.load(name)
    drawn = golden.state_dict("generator")
    config, state = from_rosinality(
        {key.removeprefix("generator."): value for key, value in drawn.items()}
    )
    generator = Generator(config).eval()
    generator.load_state_dict(state, strict=True)
    code = golden.input("w_plus")
    features, image = trace(generator, code)
    method = official_method(golden)
    assert feature_channels(config) == method.config.feature_channels
    side = feature_side(method.config.blend_layer)
    mask = method.attend(features, image, UNREAD)
    edited = method(Face(image, Latent(code, Space.W_PLUS)), UNREAD, Backbones(generator))
    losses = {"loss_att": mask.mean(), "loss_tv": side * total_variation(mask)}
    for key, mine in {"image": image, "mask": mask, "edited": edited.image, **losses}.items():
        difference, allowed = golden.difference(key, mine)
        assert difference <= allowed, key
    cut = official_method(golden, golden.parameters["mask_threshold"])
    difference = cut.attend(features, image, UNREAD).numpy().reshape(-1)
    apart = np.abs(
        difference[golden.values["mask_thresholded__idx"]] - golden.values["mask_thresholded__val"]
    )
    assert np.mean(apart <= 2e-5) >= 0.99  # numbers on the threshold may fall on either side


# ------------------------------------------------------------------------- the paper's claims
def test_nothing_changes_outside_the_mask(method, face, sentence, backbones):
    edited = method.edit(face, sentence, backbones)
    shut = (edited.mask == 0).expand_as(edited.image)
    assert 0.02 < shut.float().mean() < 0.98  # the claim is about something
    assert torch.equal(edited.image[shut], face.image[shut])
    assert (edited.image - face.image)[~shut].abs().max() > 0.01


def test_a_change_is_never_larger_than_its_mask_lets_through(method, face, sentence, backbones):
    free = Feat(dataclasses.replace(method.config, blend_image=False))
    free.load_state_dict(method.state_dict())
    drawn = free.edit(face, sentence, backbones)
    edited = method.edit(face, sentence, backbones)
    allowed = drawn.mask * (drawn.image - face.image).abs()
    assert ((edited.image - face.image).abs() <= allowed + 1e-5).all()


def test_wishes_can_be_fulfilled_one_after_the_other(method, face, backbones):
    apart = Feat(dataclasses.replace(method.config, additions=Additions(sequential=True))).eval()
    apart.load_state_dict(method.state_dict())
    prompts = ("red hair and glasses", "red hair", "glasses")
    both, first, second = (read(prompt, "a face", backbones.clip) for prompt in prompts)
    edited = apart(face, both, backbones)
    code = face.latent.code
    for wish in (first, second):
        code = code + method.displacement(code, wish)
    torch.testing.assert_close(edited.latent.code, code, rtol=1e-4, atol=1e-4)
    features, image = trace(backbones.generator, face.latent.code)
    maps = torch.stack([method.attend(features, image, wish) for wish in (first, second)])
    assert not torch.equal(maps[0], maps[1])
    torch.testing.assert_close(edited.mask, resize(maps.amax(0), image.shape[-1]))
    trained = apart.train()(face, both, backbones)  # training asks for all at once
    assert not torch.allclose(trained.latent.code, edited.latent.code, atol=1e-4)


def test_blending_the_features_leaves_less_to_cut_off(face, sentence, backbones):
    """Without the final blend, blending the skip image and the later features lessens the leak."""
    leaks = []
    for skip, downstream in ((False, False), (True, False), (True, True)):
        torch.manual_seed(1)
        blended = {"blend_skip": skip, "blend_downstream": downstream, "blend_image": False}
        settings = {**AS_SHIPPED, **blended}
        method = half_open(Feat.build(backbones, **settings), face, sentence, backbones)
        edited = method.edit(face, sentence, backbones)
        leaks.append(((1 - edited.mask) * (edited.image - face.image)).square().mean().item())
    assert leaks[0] > leaks[1] > leaks[2]


def test_skip_is_blended_exactly(face, sentence, backbones):
    """With a shut mask and no layer moved after it, the image is the original's."""
    generator = backbones.generator
    method = Feat.build(backbones, **{**AS_SHIPPED, "blend_image": False, "layers": (0, 3)}).eval()
    with torch.no_grad():
        method.attention.logit.weight.zero_()
        method.attention.logit.bias.fill_(-20)
    edited = method.edit(face, sentence, backbones)
    assert (edited.mask == 0).all()
    assert not torch.equal(edited.latent.code, face.latent.code)
    assert torch.allclose(edited.image, generator(face.latent.code), atol=1e-4)


class Ones(torch.nn.Module):
    """A mapper that moves every entry of every layer by 1."""

    def forward(self, code, text):
        return torch.ones_like(code)


def test_a_displacement_is_scaled_in_units_and_only_where_it_may_move():
    method = Feat(FeatConfig(num_ws=4, w_dim=3, layers=(1, 3), displacement_scale=0.5))
    method.mapper = Ones()
    method.unit.copy_(torch.tensor([1.0, 2.0, 4.0]))
    moved = method.displacement(torch.zeros(1, 4, 3), UNREAD)[0]
    assert moved.tolist() == [[0, 0, 0], [0.5, 1, 2], [0.5, 1, 2], [0, 0, 0]]
    tied = method.displacement(torch.zeros(1, 4, 3), UNREAD, tied=True)[0]
    torch.testing.assert_close(tied, moved * 2 / 2**0.5)


def test_one_model_reads_every_sentence(method, face, backbones):
    """Mapper and attention both depend on the words."""
    red, old = (read(words, "a face", backbones.clip) for words in ("red hair", "an old face"))
    code = face.latent.code
    assert not torch.allclose(method.displacement(code, red), method.displacement(code, old))
    masks = [method.mask(face, words, backbones) for words in (red, old)]
    assert not torch.allclose(*masks)


def test_mask_depends_on_the_face(method, face, sentence, backbones):
    mask = method.mask(face, sentence, backbones)
    assert mask.shape == (2, 1, 32, 32)
    assert not torch.allclose(mask[0], mask[1])


def test_mask_is_returned_with_the_edit(method, face, sentence, backbones):
    edited = method.edit(face, sentence, backbones)
    assert torch.equal(edited.mask, method.mask(face, sentence, backbones))
    assert edited.mask.min() >= 0 and edited.mask.max() <= 1 + 1e-6


def test_painted_mask_and_attention_both_hold(method, face, sentence, backbones):
    painted = torch.zeros(2, 1, 32, 32)
    painted[..., 8:24] = 1
    source = dataclasses.replace(face, mask=painted)
    edited = method.edit(source, sentence, backbones)
    assert torch.equal(edited.image[..., :8], face.image[..., :8])
    own = method.mask(face, sentence, backbones)
    assert torch.allclose(edited.mask, own * painted)


def test_edit_of_some_layers_stays_inside_the_mask(method, face, sentence, backbones):
    edited = method.edit(face, sentence, backbones, layers=(0, 3))
    shut = (edited.mask == 0).expand_as(edited.image)
    assert shut.any()
    assert torch.equal(edited.image[shut], face.image[shut])


def test_a_shut_mask_can_open_again(face, sentence, backbones):
    """Where the map is cut to 0 its gradient is still the sigmoid's."""
    method = Feat.build(backbones, mask_cut="ramp", mask_threshold=0.1)
    with torch.no_grad():
        method.attention.logit.weight.zero_()
        method.attention.logit.bias.fill_(-3)
    edited = method(face, sentence, backbones)
    assert (edited.mask == 0).all()
    (-edited.mask.mean()).backward()
    assert method.attention.logit.bias.grad.item() < 0


def test_negative_strength_acts_in_the_same_place(method, face, sentence, backbones):
    there, back = (method.edit(face, sentence, backbones, strength) for strength in (1.0, -1.0))
    assert torch.equal(there.mask, back.mask)
    moved = (there.latent.code + back.latent.code) / 2
    assert torch.allclose(moved, face.latent.code, atol=1e-5)


# ------------------------------------------------------------------------- the terms
def test_boundary_length_does_not_depend_on_the_resolution():
    """A square of half the side has a boundary of two sides."""
    for side in (16, 64):
        mask = torch.zeros(1, 1, side, side)
        mask[..., side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
        assert total_variation(mask).item() == pytest.approx(2)


def test_area_and_boundary_shut_a_mask_that_nothing_needs(face, sentence, backbones):
    method = Feat.build(backbones, weight_clip=0.0, weight_identity=0.0)
    optimizer = torch.optim.Adam(method.parameters(), lr=0.02)
    areas = []
    for _ in range(15):
        edited = method(face, sentence, backbones)
        terms = method.objective(face, edited, sentence, backbones)
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        areas.append(edited.mask.mean().item())
    assert areas[-1] < areas[0] / 2


@pytest.mark.parametrize("clip_loss", ["global", "direction", "pae"])
def test_training_brings_the_sentence_nearer(clip_loss, face, sentence, backbones):
    others = ("latent_l2", "area", "tv", "identity")
    weights = {f"weight_{name}": 0.0 for name in others}
    additions = Additions(clip_loss=clip_loss)
    method = Feat.build(backbones, additions=additions, **AS_SHIPPED, **weights)
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-3)
    distances = []
    for _ in range(15):
        edited = method(face, sentence, backbones)
        terms = method.objective(face, edited, sentence, backbones)
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        distances.append(terms["clip"].item())
    assert distances[-1] < distances[0]
