"""StyleCLIP global directions: a sentence picks channels of s and moves them, for every face alike.

Paper: Patashnik et al., "StyleCLIP: Text-Driven Manipulation of StyleGAN Imagery", ICCV 2021,
arXiv:2103.17249, Section 6. Notation (here -> paper): code -> s, directions -> Delta i_c, delta_t
-> Delta t, relevance -> R_c(Delta i), beta -> beta, alpha -> alpha. Differs from the paper, as its
official code does: channels that stay are weighted by their relevance divided by the largest, and
moved in units of their own deviation, so alpha says how many deviations the most relevant channel
moves. Differs from the code: a channel's effect is measured around each sample, as the paper says
(`base="mean_cumulative"` repeats the code, which leaves every channel that it has measured at its
mean); and beta may be chosen by rank (`keep`), so that a selection is never empty.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.directions import select
from faceedit.optimization.effort import effort
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.frames import IMAGENET

logger = logging.getLogger(__name__)
Base = Literal["sample", "mean", "mean_cumulative"]
CHUNK = 64  # images drawn and encoded at once while fitting, at most
CHUNK_CPU = 8  # the same on a CPU, whose caches hold no more; 64 take 1.6 times as long
TRIED = 4  # channels that a trial measures


@dataclass(frozen=True)
class GlobalConfig(MethodConfig):
    """Settings of the global directions."""

    # Sizes
    num_channels: int = 9088  # of s, those of toRGB included
    embed_dim: int = 512  # of CLIP
    # The paper's
    alpha: float = 3.0  # deviations that the most relevant channel moves at strength 1
    beta: float | None = None  # smallest relevance that moves a channel; None: see `keep`
    amplitude: float = 5.0  # deviations by which a channel is moved to measure its effect
    images: int = 100  # samples around which each channel is measured
    base: Base = "sample"  # what a measured channel is moved around, see `perturbed`
    # Ours
    keep: int = 40  # channels that a sentence moves where there is no beta


def channel_directions(features: Tensor) -> Tensor:
    """Return Delta i_c, the unit direction in CLIP's space in which each channel moves images.

    The mean over samples of the unit differences, made unit length again (Section 6.2).

    Args:
        features: Image embeddings of any length, [channels, samples, 2, d]; the channel is moved
            down in the first of the two and up in the second.

    Returns:
        [channels, d].
    """
    low, high = F.normalize(features, dim=-1).unbind(dim=2)
    return F.normalize(F.normalize(high - low, dim=-1).mean(dim=1), dim=-1)


def perturbed(
    s: Tensor,
    channels: Sequence[int],
    step: Tensor,
    mean: Tensor,
    base: Base = "sample",
    measured: Tensor | None = None,
) -> Tensor:
    """Return codes with one channel moved down and up.

    Args:
        s: Samples, [n, C].
        channels: Which channels are moved, one after the other, k of them.
        step: How far each channel of s is moved, [C].
        mean: The mean of each channel, [C].
        base: "sample": around the sample's own value; "mean": around the channel's mean;
            "mean_cumulative": the same, and every channel measured before stays at its mean.
        measured: [C] bool, the channels that are measured at all; for "mean_cumulative".

    Returns:
        [k, n, 2, C].
    """
    index = torch.as_tensor(channels, device=s.device)
    codes = s.expand(len(index), 2, *s.shape).transpose(1, 2).clone()  # [k, n, 2, C]
    if base == "mean_cumulative":
        if measured is None:
            raise ValueError("base 'mean_cumulative' needs to know which channels are measured")
        place = torch.arange(s.shape[1], device=s.device)
        before = (place[None] < index[:, None]) & measured  # [k, C]
        codes = torch.where(before[:, None, None], mean, codes)
    rows = torch.arange(len(index), device=s.device)
    if base != "sample":
        codes[rows, :, :, index] = mean[index][:, None, None]
    sign = torch.tensor([-1.0, 1.0], device=s.device)
    codes[rows, :, :, index] += step[index][:, None, None] * sign
    return codes


class StyleClipGlobal(EditMethod):
    """Edit with s + strength * alpha * delta_s, delta_s the same for every face."""

    name = "styleclip_global"
    kind = "fitted"
    config_class = GlobalConfig
    space = Space.S
    needs = frozenset({"generator", "clip"})
    frames = IMAGENET

    directions: Tensor  # [C, d], unit length and 0 for toRGB's channels
    deviation: Tensor  # [C], of each channel over random faces

    def __init__(self, config: GlobalConfig) -> None:
        super().__init__(config)
        self.register_buffer("directions", torch.zeros(config.num_channels, config.embed_dim))
        self.register_buffer("deviation", torch.zeros(config.num_channels))

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the sizes of these networks."""
        generator = backbones.require("generator", cls.name)
        clip = backbones.require("clip", cls.name)
        return {"num_channels": sum(generator.style_dims), "embed_dim": clip.embed_dim}

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(s + strength * alpha * delta_s)."""
        code = source.latent.code
        code = code + strength * self.config.alpha * self.delta_s(sentence).to(code)
        image = backbones.generator.synthesis_from_styles(code)
        return Face(image, Latent(code, self.space), source.mask)

    def delta_s(self, sentence: Sentence) -> Tensor:
        """Return the step of a sentence, [n, C]; its most relevant channel moves by one deviation.

        delta_s = sigma * R / max |R|, with R = Delta i . Delta t below beta set to 0 (Section 6.1).
        """
        chosen = select(self.relevance(sentence), self.config.keep, self.config.beta)
        return chosen * self.deviation

    def relevance(self, sentence: Sentence) -> Tensor:
        """Return R, [n, C]: the cosine of each channel's effect and what the words ask for."""
        delta_t = F.normalize(sentence.target - sentence.neutral_embedding, dim=-1)
        return delta_t.to(self.directions) @ self.directions.T

    @torch.no_grad()
    def fit(self, latents: Tensor, labels: Tensor | None, backbones: Backbones) -> None:
        """Measure every channel's deviation and its effect on CLIP's image embedding.

        Args:
            latents: Codes of random faces, w_plus [n, num_ws, w_dim] or s [n, C]; thousands for
                the deviations, of which the first `config.images` are the samples to render.
            labels: Not used.
            backbones: Needs `generator` and `clip`.

        Raises:
            ValueError: If there are fewer codes than samples to render.
        """
        del labels
        generator, clip = backbones.generator, backbones.clip
        limits, wanted = effort(), max(2, self.config.images)
        if len(latents) < wanted and not limits.trial:
            raise ValueError(f"got {len(latents)} codes; give at least {wanted}")
        parts = [generator.styles(part) if part.ndim == 3 else part for part in latents.split(512)]
        s = torch.cat(parts)
        mean, deviation = s.mean(dim=0), s.std(dim=0, correction=0)
        self.deviation.copy_(deviation)
        moved = movable(generator).to(s.device)
        channels = moved.nonzero().flatten().tolist()
        if limits.trial:
            channels = channels[:TRIED]
        samples, step = s[: self.config.images], self.config.amplitude * deviation
        chunk_size = CHUNK_CPU if s.device.type == "cpu" else CHUNK
        images_at_once = limits.images(generator.config.resolution, chunk_size)
        at_once = max(1, images_at_once // (2 * len(samples)))
        self.directions.zero_()
        for start in range(0, len(channels), at_once):
            chunk = channels[start : start + at_once]
            codes = perturbed(samples, chunk, step, mean, self.config.base, moved)
            parts = codes.flatten(0, 2).split(images_at_once)
            drawn = (generator.synthesis_from_styles(part) for part in parts)
            features = torch.cat([clip.encode_image(images) for images in drawn])
            features = features.unflatten(0, codes.shape[:3])
            self.directions[chunk] = channel_directions(features).to(self.directions)
            if (start // at_once) % 20 == 0:
                logger.info("measured %d of %d channels", start + len(chunk), len(channels))


def movable(generator: Any) -> Tensor:
    """Return which channels of s may move, [C] bool: all but those of toRGB layers."""
    moved = torch.ones(sum(generator.style_dims), dtype=torch.bool)
    for layer in generator.style_layers:
        if layer.is_rgb:
            moved[layer.channels_slice] = False
    return moved
