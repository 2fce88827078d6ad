"""GANSpace: components are orthonormal and ordered, and an edit moves one on some layers."""

import pytest
import torch

from faceedit.methods.ganspace import GanSpace, layer_ranges, principal_components
from faceedit.types import Sentence
from faceedit.words.sentence import read


def fit(backbones, **settings) -> GanSpace:
    method = GanSpace.build(backbones, num_components=6, faces=2, population=32, **settings)
    latents = backbones.generator.sample_w_plus(64, torch.Generator().manual_seed(2), 1.0)
    method.fit(latents, None, backbones)
    return method


@pytest.fixture(scope="module")
def fitted(backbones) -> GanSpace:
    return fit(backbones)


@pytest.fixture
def sentence(backbones) -> Sentence:
    return read("a smiling face", "a face", backbones.clip)


def test_components_are_orthonormal_and_ordered_by_variance(fitted):
    gram = fitted.components @ fitted.components.T
    torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)
    assert (fitted.deviation.diff() <= 0).all()


def test_components_are_the_axes_of_the_greatest_variance():
    axes = torch.linalg.qr(torch.randn(10, 10)).Q
    w = torch.randn(5000, 3) * torch.tensor([5.0, 3.0, 2.0]) @ axes[:3] + 7
    mean, components, deviation = principal_components(w, 3)
    assert (components * axes[:3]).sum(1).abs().tolist() == pytest.approx([1, 1, 1], abs=1e-2)
    assert deviation.tolist() == pytest.approx([5, 3, 2], rel=0.05)
    largest = components.gather(1, components.abs().argmax(1, keepdim=True))
    assert (largest > 0).all()
    torch.testing.assert_close(mean, w.mean(0))


def test_edit_moves_one_component_on_its_layers_only(fitted, face, sentence, backbones):
    index = fitted.names.keys.index("smile+")
    start, end = fitted.edit_layers[index].tolist()
    k = int(fitted.edit_component[index])
    delta_w = fitted.edit(face, sentence, backbones).latent.code - face.latent.code
    inside = torch.zeros(delta_w.shape[1], dtype=torch.bool)
    inside[start:end] = True
    assert not delta_w[:, ~inside].any()
    along = delta_w[:, inside] @ fitted.components[k] / fitted.deviation[k]
    wanted = fitted.edit_sigmas[index].expand_as(along)
    torch.testing.assert_close(along, wanted, atol=1e-4, rtol=1e-4)


def test_target_mode_ends_at_the_coordinate_asked_for(backbones, face, sentence):
    method = fit(backbones, mode="target")
    index = method.names.keys.index("smile+")
    start, k = int(method.edit_layers[index, 0]), int(method.edit_component[index])
    code = method.edit(face, sentence, backbones, strength=0.5).latent.code
    before = method.coordinates(face.latent.code[:, 0])[:, k]
    after = method.coordinates(code[:, start])[:, k]
    moved = after - method.coordinates(face.latent.code[:, start])[:, k]
    torch.testing.assert_close(before + moved, 0.5 * method.edit_sigmas[index].expand(2))


def test_no_edit_goes_beyond_the_limit(fitted):
    assert (fitted.edit_sigmas.abs() <= fitted.config.limit).all()


def test_layer_ranges_cover_all_levels_that_exist():
    assert layer_ranges(12) == [(0, 12), (0, 4), (4, 8), (8, 12)]
    assert layer_ranges(4) == [(0, 4)]
