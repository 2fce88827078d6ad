"""Segmenter: which region of the face every pixel belongs to, in drawings and in photographs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.unet import UNet, conv, fit_resolution


@dataclass(frozen=True)
class SegmenterConfig:
    """Size of the segmenter and its labels.

    Attributes:
        regions: Names of the labels; a label is the index of its name.
        fold: Each fold x fold block of pixels becomes the channels of one stem pixel.
        widths: Channels of each level, the finest first; each level halves the resolution.
        detail: Channels of a second look at twice the resolution of the stem, which sharpens the
            edges; 0: none.
        resolution: Length in pixels to which the longer side of every image is brought before it
            is looked at; 0: images are looked at as they are.
    """

    regions: tuple[str, ...]
    fold: int = 2
    widths: tuple[int, ...] = (24, 48, 96, 128)
    detail: int = 0
    resolution: int = 0

    def __post_init__(self) -> None:
        """Accept lists, as config.json has them."""
        object.__setattr__(self, "regions", tuple(self.regions))
        object.__setattr__(self, "widths", tuple(self.widths))
        if self.detail and self.fold % 2:
            raise ValueError(f"detail needs blocks of an even side; fold is {self.fold}")
        if self.resolution % self.step:
            raise ValueError(
                f"resolution is {self.resolution}; it must be 0 or a multiple of {self.step}"
            )

    @property
    def step(self) -> int:
        """Images that are looked at must have sides that are multiples of this."""
        return self.fold * 2 ** (len(self.widths) - 1)


class RegionReader(nn.Module):
    """What a network that labels pixels with the names in `config.regions` can be asked for."""

    config: Any

    def segment(self, image: Tensor) -> Tensor:
        """Return the likeliest label of every pixel, [n, h, w] uint8."""
        labels: Tensor = self(image).argmax(1).to(torch.uint8)
        return labels

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
        known = self.config.regions
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"unknown regions {unknown}; choose from {known}")
        labels = [known.index(name) for name in names]
        chance: Tensor = self(image).softmax(1)[:, labels].sum(1, keepdim=True)
        return chance


class Segmenter(RegionReader, UNet):
    """Labels every pixel of a portrait with a region."""

    config_class: ClassVar[type[SegmenterConfig]] = SegmenterConfig

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__(config.fold, config.widths)
        self.config = config
        self.logits = nn.Conv2d(config.widths[0], len(config.regions) * config.fold**2, 1)
        if config.detail:
            half, count = config.fold // 2, len(config.regions)
            self.near = conv(3 * half**2, config.detail)
            self.far = nn.Conv2d(config.widths[0], config.detail, 1)
            self.mixed = conv(config.detail, config.detail)
            self.correction = nn.Conv2d(config.detail, count * half**2, 1)

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps on the way down, the finest first, for feature losses."""
        return self.descend(fit_resolution(image, self.config.resolution, self.step))

    def read(self, image: Tensor, fine: Tensor, phase: tuple[int, int] | None = None) -> Tensor:
        """Return the logits of images as the network looks at them.

        Args:
            image: [n, 3, h, w], sides multiples of `step`.
            fine: The finest features of them, see `UNet.ascend`.
            phase: Row and column, 0 or 1 each: every second pixel from there on is enough. Training
                asks for that, because all of them cost more than the rest of the network.

        Returns:
            [n, regions, h, w], or half of the height and width for a phase.
        """
        logits = self._unfolded(self.logits, fine, self.fold, phase)
        if not self.config.detail:
            return logits
        half = self.fold // 2
        far = F.interpolate(self.far(fine), scale_factor=2, mode="bilinear", align_corners=False)
        mixed = self.mixed(self.near(F.pixel_unshuffle(image, half)) + far)
        return logits + self._unfolded(self.correction, mixed, half, phase)

    def _unfolded(
        self, layer: nn.Conv2d, x: Tensor, fold: int, phase: tuple[int, int] | None
    ) -> Tensor:
        """Return what a layer says of all pixels of every block, or of every second one."""
        if phase is None:
            return F.pixel_shuffle(layer(x).float(), fold)
        blocks = (len(self.config.regions), fold, fold)
        row, column = phase
        weight = layer.weight.unflatten(0, blocks)[:, row::2, column::2].flatten(0, 2)
        some = F.conv2d(x, weight)
        if layer.bias is not None:
            bias = layer.bias.unflatten(0, blocks)[:, row::2, column::2].flatten()
            some = some + bias[:, None, None]
        return F.pixel_shuffle(some.float(), fold // 2)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [n, regions, h, w] for portraits [n, 3, h, w], RGB in [-1, 1]."""
        seen = fit_resolution(image, self.config.resolution, self.step)
        logits = self.read(seen, self.ascend(self.descend(seen)))
        size = image.shape[-2:]
        if logits.shape[-2:] == size:
            return logits
        smaller = size[0] < logits.shape[-2]
        return F.interpolate(logits, size, mode="bilinear", align_corners=False, antialias=smaller)
