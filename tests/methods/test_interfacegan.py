"""InterFaceGAN: boundaries separate, and a conditional one leaves the other attribute alone."""

import pytest
import torch
import torch.nn.functional as F

from faceedit.methods.ganspace import GanSpace
from faceedit.methods.interfacegan import InterFaceGan, conditional, fit_boundaries
from faceedit.methods.stylespace import StyleSpace
from faceedit.types import Face, Latent, Space
from faceedit.words.sentence import read


@pytest.fixture(scope="module")
def latents(backbones):
    return backbones.generator.sample_w_plus(64, torch.Generator().manual_seed(2), 1.0)


@pytest.fixture(scope="module")
def fitted(backbones, latents) -> InterFaceGan:
    method = InterFaceGan.build(backbones, conditions=("smile", "hair_color"))
    method.fit(latents, None, backbones)
    return method


def test_boundary_of_a_known_half_space_is_found():
    normal = F.normalize(torch.randn(12), dim=0)
    w = torch.randn(3000, 12) + 0.3
    classes = torch.sign(w @ normal - 0.5)[:, None]
    normals, distances = fit_boundaries(w, classes, 1e-4)
    assert float(normals[0] @ normal) > 0.99
    assert float(distances) == pytest.approx(0.5, abs=0.1)


def test_conditional_boundary_leaves_the_other_attributes_score_unchanged():
    smile, age = F.normalize(torch.randn(2, 16), dim=1)  # both attributes are linear in w
    w = torch.randn(2000, 16)
    classes = torch.sign(torch.stack([w @ smile + 0.6 * (w @ age), w @ age], dim=1))
    normals, _ = fit_boundaries(w, classes, 1e-3)
    alone = conditional(normals[0], normals[1:])
    moved = w + 3 * alone
    assert float((moved @ smile - w @ smile).mean()) > 1.5
    assert float((moved @ age - w @ age).abs().max()) < 0.15
    assert float(((w + 3 * normals[0]) @ age - w @ age).abs().max()) > 0.5


def test_conditional_boundary_is_unit_and_orthogonal_to_several_conditions():
    conditions = F.normalize(torch.randn(3, 16), dim=1)
    conditions = torch.cat([conditions, -conditions[:1]])  # the same condition twice does no harm
    normal = conditional(F.normalize(torch.randn(16), dim=0), conditions)
    assert float(normal.norm()) == pytest.approx(1, abs=1e-6)
    assert float((conditions @ normal).abs().max()) < 1e-6


def test_edit_moves_every_layer_along_one_boundary(fitted, face, backbones):
    edited = fitted.edit(face, read("a smiling face", "a face", backbones.clip), backbones)
    delta_w = edited.latent.code - face.latent.code
    index = fitted.names.keys.index("smile+")
    torch.testing.assert_close(delta_w[0, 3], fitted.delta_w(index), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(delta_w, delta_w[:1, :1].expand_as(delta_w), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", [InterFaceGan, GanSpace, StyleSpace])
def test_sentence_of_two_wishes_makes_both_edits(kind, latents, backbones):
    """So for every method with named edits; a batch may hold sentences of one and of two wishes."""
    method = kind.build(backbones)
    method.fit(latents, None, backbones)
    prompts = ["red hair and a smiling face", "red hair", "a smiling face"]
    generator, w_plus = backbones.generator, latents[:1].expand(3, -1, -1)
    code = w_plus if method.space is Space.W_PLUS else generator.styles(w_plus)
    same = Face(generator(w_plus), Latent(code, method.space))
    edited = method.edit(same, read(prompts, "a face", backbones.clip), backbones).latent.code
    both, hair, smile = edited - code
    assert float(hair.abs().max()) > 0 and float(smile.abs().max()) > 0
    torch.testing.assert_close(both, hair + smile, rtol=1e-4, atol=1e-4)


def test_edit_leaves_the_distance_to_conditions_alone(fitted):
    index = fitted.names.keys.index("smile+")
    (other,) = fitted.conditions(index)
    assert fitted.names.attributes[other] == "hair_color"
    assert float((fitted.boundaries[other] @ fitted.delta_w(index)).abs()) < 1e-4


def test_a_conditional_step_crosses_as_much_of_its_own_boundary(backbones):
    method = InterFaceGan.build(backbones, conditions=("smile", "hair_color"), step=2.0)
    smile, hair = (method.names.keys.index(key) for key in ("smile+", "hair_color=red"))
    method.boundaries[:, :2] = torch.tensor([0.5, 3**0.5 / 2])
    method.boundaries[smile, :2] = torch.tensor([1.0, 0.0])
    method.reach.fill_(3.0)
    step = method.delta_w(smile)
    assert float(step @ method.boundaries[smile]) == pytest.approx(2 * 3.0)
    assert float(step @ method.boundaries[hair]) == pytest.approx(0, abs=1e-5)
    # Nearly the same boundary: the step is no longer than by a cosine of 0.3.
    method.boundaries[:, :2] = torch.tensor([0.98, 0.199])
    method.boundaries[smile, :2] = torch.tensor([1.0, 0.0])
    assert float(method.delta_w(smile).norm()) == pytest.approx(2 * 3.0 / 0.3, rel=1e-4)


def test_absolute_mode_ends_at_the_distance_asked_for(backbones, latents, face):
    method = InterFaceGan.build(backbones, conditions=(), mode="absolute")
    method.fit(latents, None, backbones)
    sentence = read("a smiling face", "a face", backbones.clip)
    code = method.edit(face, sentence, backbones, strength=2.0).latent.code.mean(dim=1)
    index = method.names.keys.index("smile+")
    distance = code @ method.boundaries[index] - method.distances[index]
    assert distance.tolist() == pytest.approx([2 * float(method.reach[index])] * 2, abs=1e-4)


def test_labels_replace_the_reader(backbones, latents):
    method = InterFaceGan.build(backbones)
    hidden = latents[:, 0, 0]
    labels = torch.stack([hidden, (latents[:, 0, 1] > 0).float()], dim=1)
    method.fit(latents, labels, backbones)
    boundary = method.boundaries[method.names.keys.index("smile+")]
    assert int(boundary.abs().argmax()) == 0 and boundary[0] > 0
