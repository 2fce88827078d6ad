"""StyleSpace: an edit changes one number of s, and the atlas finds channels that are local."""

import dataclasses

import pytest
import torch

from faceedit.inversion import to_space
from faceedit.methods.stylespace import (
    StyleSpace,
    StyleSpaceConfig,
    attribute_scores,
    region_scores,
)
from faceedit.types import Face, Space
from faceedit.words.sentence import read


@pytest.fixture(scope="module")
def fitted(backbones) -> StyleSpace:
    method = StyleSpace.build(backbones, faces=2, population=32, gradient_faces=3, keep=3)
    latents = backbones.generator.sample_w_plus(64, torch.Generator().manual_seed(2), 1.0)
    method.fit(latents, None, backbones)
    return method


@pytest.fixture
def face(face, backbones) -> Face:
    return to_space(face, Space.S, backbones)


def test_edit_changes_exactly_one_entry_of_s(fitted, face, backbones):
    edited = fitted.edit(face, read("a smiling face", "a face", backbones.clip), backbones)
    changed = edited.latent.code != face.latent.code
    assert changed.sum(dim=1).tolist() == [1, 1]
    index = fitted.names.keys.index("smile+")
    assert changed[0].nonzero().item() == int(fitted.edit_channels[index, 0])


def test_edit_is_counted_in_deviations_of_its_channel(fitted, face, backbones):
    sentence = read("red hair", "a face", backbones.clip)
    code = fitted.edit(face, sentence, backbones, strength=-2).latent.code
    index = fitted.names.keys.index("hair_color=red")
    channel = fitted.edit_channels[index, 0]
    moved = (code - face.latent.code)[0, channel] / fitted.deviation[channel]
    assert float(moved) == pytest.approx(-2 * float(fitted.edit_sigmas[index, 0]), rel=1e-3)


def test_atlas_spares_the_colours_and_names_layers(fitted, backbones):
    layers = backbones.generator.style_layers
    for name in ("smile+", *fitted.config.regions):
        for layer, channel, _ in fitted.atlas(name, backbones.generator):
            assert not layers[layer].is_rgb
            assert 0 <= channel < layers[layer].channels
    with pytest.raises(ValueError, match="has no 'charm'"):
        fitted.atlas("charm", backbones.generator)


def test_attribute_scores_find_the_channel_that_differs():
    s = torch.randn(400, 20)
    positive = torch.zeros(400, dtype=torch.bool)
    positive[:50] = True
    s[:50, 7] -= 4
    assert int(attribute_scores(s, positive).argmax()) == 7


class TwoHalves(torch.nn.Module):
    """Channel 0 lights the left half, channel 1 the right, channel 2 both."""

    def synthesis_from_styles(self, s):
        image = torch.zeros(len(s), 3, 8, 8)
        image[..., :4] += (s[:, 0] + s[:, 2])[:, None, None, None]
        image[..., 4:] += (s[:, 1] + s[:, 2])[:, None, None, None]
        return image


class LeftRight(torch.nn.Module):
    """Labels the halves."""

    config = dataclasses.make_dataclass("Config", ["regions"])(("left", "right", "nowhere"))

    def segment(self, image):
        return (torch.arange(8) >= 4).to(torch.uint8).expand(len(image), 8, 8)


def test_region_scores_tell_where_a_channel_works(backbones):
    halves = dataclasses.replace(backbones, generator=TwoHalves(), segmenter=LeftRight())
    draws = torch.Generator().manual_seed(0)
    scores = region_scores(torch.randn(4, 3), torch.ones(3), halves, draws)
    wanted = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(scores, wanted, atol=0.15, rtol=0)


def test_a_regions_channels_are_the_most_local_the_best_first(backbones):
    config = StyleSpaceConfig(
        num_channels=3, embed_dim=16, regions=LeftRight.config.regions, keep=2
    )
    method = StyleSpace(config)
    method.deviation.fill_(1.0)
    halves = dataclasses.replace(backbones, generator=TwoHalves(), segmenter=LeftRight())
    method._fit_regions(torch.randn(4, 3), torch.arange(3), halves)
    assert method.region_channels[:2].tolist() == [[0, 2], [1, 2]]
    assert method.region_shares[0].tolist() == pytest.approx([1.0, 0.5], abs=0.15)


def test_a_channel_works_in_a_region_by_its_squared_gradient_there(backbones):
    halves = dataclasses.replace(backbones, generator=Both(), segmenter=LeftRight())
    draws = torch.Generator().manual_seed(0)
    scores = region_scores(torch.randn(400, 1), torch.tensor([7.0]), halves, draws)
    assert scores[:, 0].tolist() == pytest.approx([0.79, 0.21, 0.0], abs=0.03)


class Both(torch.nn.Module):
    """One channel lights the right half, and the left one three times as much."""

    def synthesis_from_styles(self, s):
        image = torch.ones(len(s), 3, 8, 8) * s[:, :1, None, None]
        image[..., :4] *= 3
        return image


def test_attribute_scores_are_the_mean_over_the_deviation():
    s = torch.tensor([[1.0, -4.0, 9.0], [3.0, -4.0, 9.0], [7.0, 7.0, 7.0]])
    positive = torch.tensor([True, True, False])
    assert attribute_scores(s, positive).tolist() == pytest.approx([2 / 1, 4 / 0.1, 9 / 0.1])
