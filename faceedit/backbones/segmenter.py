"""Segmenter: which region of the face every pixel belongs to.

A small U-Net (Ronneberger et al., arXiv:1505.04597) with additive skips, at half the resolution of
the image, and a pixel shuffle back to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class SegmenterConfig:
    """Size of the segmenter and its labels.

    Attributes:
        regions: Names of the labels; a label is the index of its name.
        fold: Each fold x fold block of pixels becomes the channels of one stem pixel.
        widths: Channels of each level, the finest first; each level halves the resolution.
    """

    regions: tuple[str, ...]
    fold: int = 2
    widths: tuple[int, ...] = (24, 48, 96, 128)

    def __post_init__(self) -> None:
        """Accept lists, as config.json has them."""
        object.__setattr__(self, "regions", tuple(self.regions))
        object.__setattr__(self, "widths", tuple(self.widths))

    @property
    def step(self) -> int:
        """Images must have sides that are multiples of this."""
        return self.fold * 2 ** (len(self.widths) - 1)


def _conv(in_channels: int, channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class Segmenter(nn.Module):
    """Labels every pixel of a portrait with a region."""

    config_class: ClassVar[type[SegmenterConfig]] = SegmenterConfig

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = _conv(3 * config.fold**2, widths[0])
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(_conv(fine, coarse, stride=2), _conv(coarse, coarse))
            for fine, coarse in pairs
        )
        self.lateral = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in reversed(pairs))
        self.up = nn.ModuleList(_conv(fine, fine) for fine, _ in reversed(pairs))
        self.logits = nn.Conv2d(widths[0], len(config.regions) * config.fold**2, 1)

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps on the way down, the finest first, for feature losses."""
        if image.shape[-1] % self.config.step or image.shape[-2] % self.config.step:
            raise ValueError(
                f"an image of {image.shape[-1]} x {image.shape[-2]} px cannot be segmented; "
                f"its sides must be multiples of {self.config.step}"
            )
        maps = [self.stem(F.pixel_unshuffle(image, self.config.fold))]
        for level in self.down:
            maps.append(level(maps[-1]))
        return maps

    def folded(self, image: Tensor) -> Tensor:
        """Return the logits before the pixel shuffle, [n, regions * fold ** 2, h / fold, w / fold].

        Channel (region * fold + row) * fold + column belongs to that pixel of every block, so
        `[:, row * fold + column :: fold ** 2]` is every fold-th pixel: what training looks at,
        because shuffling costs as much as half of the network.
        """
        maps = self.features(image)
        x = maps.pop()
        for lateral, up in zip(self.lateral, self.up, strict=True):
            x = F.interpolate(lateral(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = up(x + maps.pop())
        return self.logits(x)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [n, regions, h, w] for portraits [n, 3, h, w], RGB in [-1, 1]."""
        return F.pixel_shuffle(self.folded(image).float(), self.config.fold)

    def segment(self, image: Tensor) -> Tensor:
        """Return the likeliest label of every pixel, [n, h, w] uint8."""
        return self(image).argmax(1).to(torch.uint8)

    def mask(self, image: Tensor, *names: str) -> Tensor:
        """Return the probability that a pixel belongs to any of some regions.

        Args:
            image: Portraits, [n, 3, h, w], RGB in [-1, 1].
            names: Region names.

        Returns:
            [n, 1, h, w] in [0, 1].

        Raises:
            ValueError: If a region is unknown.
        """
        unknown = [name for name in names if name not in self.config.regions]
        if unknown:
            raise ValueError(f"unknown regions {unknown}; choose from {self.config.regions}")
        labels = [self.config.regions.index(name) for name in names]
        return self(image).softmax(1)[:, labels].sum(1, keepdim=True)
