"""Global directions: the official arithmetic, and what the paper promises of it."""

import pytest
import torch
import torch.nn.functional as F

from faceedit.backbones import Backbones
from faceedit.inversion import to_space
from faceedit.methods.styleclip_global import (
    GlobalConfig,
    StyleClipGlobal,
    channel_directions,
    movable,
    perturbed,
    select,
)
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import read
from tests.golden import official

NAME = "styleclip_global_directions"


@pytest.fixture(scope="module")
def golden() -> official.Golden:
    return official.load(NAME)


def joined(golden: official.Golden, name: str) -> torch.Tensor:
    """Join the official list of styles along the last axis."""
    count = len(golden.parameters["style_dims"])
    return torch.cat([golden.input(f"{name}_{i}") for i in range(count)], dim=-1)


def not_rgb(golden: official.Golden) -> torch.Tensor:
    chosen = golden.parameters["non_rgb_indices"]
    sizes = golden.parameters["style_dims"]
    return torch.cat([torch.full((n,), i in chosen) for i, n in enumerate(sizes)])


def official_directions(golden: official.Golden) -> torch.Tensor:
    features = golden.input("single_channel_features").clone()
    features[:, :, 1] += 0.8 * features[:, :1, 1]  # the file's fs_note
    return channel_directions(features)


def official_sentence(golden: official.Golden) -> Sentence:
    embeddings = {}
    for kind in ("target", "neutral"):
        texts = golden.input(f"text_{kind}") + golden.input(f"textmean_{kind}")
        embeddings[kind] = F.normalize(F.normalize(texts, dim=-1).mean(dim=0, keepdim=True), dim=-1)
    return Sentence(("",), "", embeddings["target"], embeddings["neutral"])


def official_method(golden: official.Golden, **settings) -> StyleClipGlobal:
    chosen = not_rgb(golden)
    method = StyleClipGlobal(GlobalConfig(num_channels=len(chosen), embed_dim=64, **settings))
    method.directions[chosen] = official_directions(golden)
    method.deviation.copy_(joined(golden, "std").abs() + 0.1)  # the file's input_note
    return method


def check(golden: official.Golden, name: str, mine: torch.Tensor) -> None:
    difference, allowed = golden.difference(name, mine)
    assert difference <= allowed, name


def test_channel_directions_match_official_numbers(golden):
    check(golden, "fs3", official_directions(golden))


def test_relevance_matches_official_numbers(golden):
    sentence = official_sentence(golden)
    delta_t = F.normalize(sentence.target - sentence.neutral_embedding, dim=-1)
    check(golden, "delta_t", delta_t[0])
    relevance = official_method(golden).relevance(sentence)[0, not_rgb(golden)]
    check(golden, "relevance", relevance)


@pytest.mark.parametrize("beta", [0.05, 0.1, 0.15])
def test_edited_codes_match_official_numbers(golden, beta):
    assert beta in golden.parameters["betas"]
    delta_s = official_method(golden, beta=beta).delta_s(official_sentence(golden))[0]
    assert int((delta_s != 0).sum()) == int(golden.values[f"num_channels_b{beta}__val"])
    check(golden, f"boundary_b{beta}", delta_s)
    s, codes = joined(golden, "s")[:3], []
    source = Face(torch.zeros(3, 3, 4, 4), Latent(s, Space.S))
    for alpha in golden.parameters["alphas"]:
        method = official_method(golden, beta=beta, alpha=alpha)
        edited = method(source, official_sentence(golden), Backbones(generator=Undrawn()))
        codes.append(edited.latent.code)
    check(golden, f"codes_b{beta}", torch.stack(codes, dim=1))


class Undrawn(torch.nn.Module):
    """A generator that draws nothing: the codes are what is compared."""

    def synthesis_from_styles(self, s):
        return torch.zeros(len(s), 3, 4, 4)


def test_cumulative_base_matches_the_official_loop(golden):
    starts = torch.tensor([0, *golden.parameters["style_dims"]]).cumsum(0)
    channels = [int(starts[a]) + b for a, b in ((0, 0), (0, 5), (2, 3), (3, 11))]
    s, mean = joined(golden, "s"), joined(golden, "mean")
    step = 5 * (joined(golden, "std").abs() + 0.1)
    codes = perturbed(s[:3], channels, step, mean, "mean_cumulative", not_rgb(golden))
    check(golden, "cumulative_codes", codes)


def test_sample_base_moves_one_channel_around_each_sample():
    s = torch.randn(4, 6)
    codes = perturbed(s, [2, 5], torch.full((6,), 3.0), torch.zeros(6))
    assert codes.shape == (2, 4, 2, 6)
    assert torch.allclose(codes[0, :, 1, 2] - s[:, 2], torch.tensor(3.0))
    assert torch.allclose(codes[1, :, 0, 5] - s[:, 5], torch.tensor(-3.0))
    assert torch.equal(codes[0, :, :, :2], s[:, None, :2].expand(4, 2, 2))


def test_selection_is_never_empty():
    relevance = torch.tensor([[0.1, -0.3, 0.2], [0.0, 0.0, 0.0]])
    assert select(relevance, keep=1).tolist() == [[0, -1, 0], [0, 0, 0]]
    assert select(relevance, keep=0)[0].tolist() == [0, -1, 0]
    assert select(relevance, keep=9, beta=0.9)[0].tolist() == [0, -1, 0]
    assert select(relevance, keep=99).isfinite().all()


def test_fewer_channels_move_with_a_higher_threshold():
    relevance = torch.randn(1, 200)
    counts = [int((select(relevance, 1, beta) != 0).sum()) for beta in (0.1, 0.5, 1.0, 2.0)]
    assert counts == sorted(counts, reverse=True) and counts[-1] >= 1


@pytest.fixture(scope="module")
def fitted(backbones) -> StyleClipGlobal:
    method = StyleClipGlobal.build(backbones, images=4, keep=6)
    latents = backbones.generator.sample_w_plus(64, torch.Generator().manual_seed(2), 1.0)
    method.fit(latents, None, backbones)
    return method


@pytest.fixture
def face(face, backbones) -> Face:
    return to_space(face, Space.S, backbones)


def test_fitted_directions_are_unit_and_spare_the_colours(fitted, backbones):
    moved = movable(backbones.generator)
    norms = fitted.directions.norm(dim=1)
    assert torch.allclose(norms[moved], torch.ones(int(moved.sum())), atol=1e-4)
    assert not fitted.directions[~moved].any()


def test_edit_moves_only_the_kept_channels_and_no_colours(fitted, face, backbones):
    sentence = read("red hair", "a face", backbones.clip)
    edited = fitted.edit(face, sentence, backbones)
    changed = edited.latent.code != face.latent.code
    assert (changed.sum(dim=1) == fitted.config.keep).all()
    assert not changed[:, ~movable(backbones.generator)].any()


def test_opposite_strengths_give_opposite_steps(fitted, face, backbones):
    sentence = read("red hair", "a face", backbones.clip)
    forth, back = (fitted.edit(face, sentence, backbones, s).latent.code for s in (1.0, -1.0))
    assert torch.allclose(forth - face.latent.code, face.latent.code - back, atol=1e-5)


def test_strength_is_counted_in_deviations(fitted, backbones):
    delta_s = fitted.delta_s(read("red hair", "a face", backbones.clip))[0]
    moved = fitted.deviation > 0
    assert (delta_s[moved] / fitted.deviation[moved]).abs().max().item() == pytest.approx(1)


def test_fit_refuses_too_few_codes(backbones):
    method = StyleClipGlobal.build(backbones, images=4)
    with pytest.raises(ValueError, match="at least 4"):
        method.fit(torch.zeros(2, sum(backbones.generator.style_dims)), None, backbones)
