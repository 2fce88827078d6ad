"""The textbook formulations of the benchmark give our numbers, so that timing them is fair."""

from dataclasses import replace

import pytest
import torch

from benchmarks import textbook
from faceedit.backbones import layers
from faceedit.backbones.clip import Clip
from faceedit.methods.feat import Feat
from faceedit.methods.styleclip_mapper import StyleClipMapper
from faceedit.methods.styleclip_optimization import StyleClipOptimization
from faceedit.types import Face, Latent, Space
from faceedit.words.sentence import read

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def boxed(backbones):
    """The tiny networks with a CLIP that is fed as StyleCLIP feeds it, where both are equal."""
    clip = Clip(replace(backbones.clip.config, pixels="styleclip"), backbones.clip.tokenizer)
    clip.model.load_state_dict(backbones.clip.model.state_dict())
    return replace(backbones, clip=clip.eval().requires_grad_(False))


@pytest.fixture
def face(backbones):
    w_plus = backbones.generator.sample_w_plus(3, torch.Generator().manual_seed(1), 1.0)
    return Face(backbones.generator(w_plus), Latent(w_plus, Space.W_PLUS))


def gradient(run, code):
    code = code.clone().requires_grad_(True)
    value = run(code)
    (slope,) = torch.autograd.grad(value.square().mean(), code)
    return value.detach(), slope


def test_generator_and_its_gradient(backbones, face):
    ours = gradient(backbones.generator, face.latent.code)
    with textbook.installed():
        theirs = gradient(backbones.generator, face.latent.code)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


def test_upsampling():
    x, kernel = torch.randn(2, 3, 5, 5), layers.blur_kernel(4.0)
    torch.testing.assert_close(textbook.upsample(x, kernel), layers.upsample(x, kernel), **CLOSE)


def test_clip_input_at_the_official_sizes(boxed):
    image = torch.rand(1, 3, 256, 256) * 2 - 1
    clip = boxed.clip
    clip.config = replace(clip.config, image_size=224)
    torch.testing.assert_close(textbook.clip_pixels(clip, image), clip.pixels(image), **CLOSE)


@pytest.mark.parametrize("text_dim", [0, 8])
def test_feat_attention(backbones, face, text_dim):
    sources = [torch.randn(2, 4, side, side) for side in (4, 8, 32)]
    with torch.no_grad():
        attention = Feat.build(backbones, text_dim=text_dim, feature_channels=(4, 4)).attention
        text = torch.randn(2, text_dim) if text_dim else None
        given = [sources[0], sources[1], sources[2][:, :3]]
        ours = attention(given, text, 16)
        torch.testing.assert_close(textbook.attention(attention, given, text, 16), ours, **CLOSE)


@pytest.mark.parametrize("kind", [StyleClipOptimization, StyleClipMapper])
def test_objectives_of_an_edit(boxed, face, kind):
    method = kind.build(boxed).requires_grad_(False)
    sentence = read("red hair", "a face", boxed.clip)
    code = face.latent.code + 0.1

    def score(moved):
        if kind is StyleClipMapper:
            edited = method(replace(face, latent=Latent(moved, Space.W_PLUS)), sentence, boxed)
        else:
            edited = Face(boxed.generator(moved), Latent(moved, Space.W_PLUS))
        return torch.stack(list(method.objective(face, edited, sentence, boxed).values()))

    ours = gradient(score, code)
    with textbook.installed():
        theirs = gradient(score, code)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


def test_ours_are_back_afterwards(backbones):
    before = layers.StyledConv.forward
    with textbook.installed():
        assert layers.StyledConv.forward is not before
    assert layers.StyledConv.forward is before
