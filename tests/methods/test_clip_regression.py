"""CLIP regression: it tells apart what comes together, and goes as far as CLIP finds worth it."""

import dataclasses

import pytest
import torch

from faceedit.additions import Additions
from faceedit.inversion import to_space
from faceedit.methods.clip_regression import ClipRegression, ClipRegressionConfig
from faceedit.optimization.directions import regressed_directions
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import read


@pytest.fixture(scope="module")
def fitted(backbones) -> ClipRegression:
    method = ClipRegression.build(backbones, keep=6, step_sizes=(1.0,))
    latents = backbones.generator.sample_w_plus(64, torch.Generator().manual_seed(2), 1.0)
    method.fit(latents, None, backbones)
    return method


@pytest.fixture
def face(face, backbones) -> Face:
    return to_space(face, Space.S, backbones)


def test_regression_tells_apart_what_comes_together():
    hair = torch.randn(20_000)
    glasses = 0.8 * hair + 0.6 * torch.randn(20_000)  # who has the one often has the other
    s = torch.stack([3 * hair, 2 * glasses], dim=1) + 0.01 * torch.randn(20_000, 2)
    seen = torch.stack([hair, glasses, torch.randn(20_000)], dim=1)
    common = torch.tensor([0.0, 0.0, 1.0])
    rows = regressed_directions(s, seen, common, ridge=1e-6)
    step = (rows @ torch.tensor([1.0, 0.0, 0.0])) * s.std(dim=0)
    assert step.tolist() == pytest.approx([3, 0], abs=0.02)
    assert (rows @ common).tolist() == pytest.approx([0, 0], abs=1e-6)


def test_regressed_steps_keep_their_own_length(backbones):
    method = ClipRegression.build(backbones, keep=6)
    latents = backbones.generator.sample_w_plus(64, torch.Generator().manual_seed(2), 1.0)
    method.fit(latents, None, backbones)
    sentence = read("red hair", "a face", backbones.clip)
    relevance = method.relevance(sentence)
    deviations = method.delta_s(sentence) / method.deviation.clamp(min=1e-8)
    assert int((deviations != 0).sum()) == method.config.keep
    assert deviations.abs().max().item() == pytest.approx(relevance.abs().max().item(), rel=1e-4)


def test_what_faces_vary_little_in_needs_a_longer_step():
    method = ClipRegression(ClipRegressionConfig(num_channels=1, embed_dim=2))
    method.directions.fill_(1.0)
    method.covariance.copy_(torch.tensor([[4.0, 0.0], [0.0, 0.25]]))
    common, rare = (
        method.relevance(Sentence(("",), "", 3 * one, torch.zeros(1, 2))).item()
        for one in torch.eye(2)[:, None]
    )
    assert common == pytest.approx(1 / 2) and rare == pytest.approx(1 / 0.5)


def test_wishes_add_up_when_taken_apart(fitted, face, backbones):
    method = ClipRegression(
        dataclasses.replace(fitted.config, additions=Additions(sequential=True))
    )
    method.load_state_dict(fitted.state_dict())
    steps = {
        text: method.edit(face, read(text, "a face", backbones.clip), backbones).latent.code
        - face.latent.code
        for text in ("red hair", "glasses", "red hair and glasses")
    }
    apart = steps["red hair"] + steps["glasses"]
    assert torch.allclose(steps["red hair and glasses"], apart, atol=1e-5)


def test_every_face_gets_the_length_that_clip_finds_worth_its_penalty(backbones):
    sizes, penalty = (0.5, 1.0, 3.0), 0.01
    settings = {"scale": 3.0, "step_sizes": sizes, "step_penalty": penalty}
    method = ClipRegression.build(backbones, keep=6, **settings)
    method.fit(
        backbones.generator.sample_w_plus(64, torch.Generator().manual_seed(2), 1.0),
        None,
        backbones,
    )
    code = backbones.generator.styles(
        backbones.generator.sample_w_plus(6, torch.Generator().manual_seed(3), 1.0)
    )
    face = Face(backbones.generator.synthesis_from_styles(code), Latent(code, Space.S))
    sentence = read("red hair", "a face", backbones.clip)
    edited = method.edit(face, sentence, backbones).latent.code
    step = method.config.scale * method.delta_s(sentence)
    fits = []
    for length in sizes:
        seen = backbones.clip.encode_image(
            backbones.generator.synthesis_from_styles(code + length * step)
        )
        fits.append((seen @ sentence.target[0]) - penalty * length)
    best = torch.tensor(sizes)[torch.stack(fits).argmax(dim=0)]
    assert len(best.unique()) > 1  # or the test could not tell one length from each face's own
    assert torch.allclose(edited, code + best[:, None] * step, atol=1e-5)
