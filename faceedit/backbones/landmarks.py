"""Landmarks: named points of a face, in drawings and in photographs.

A U-Net gives every point a map of where it may be; the point is the mean place of that map (a
soft argmax, as in Nibali et al., "Numerical Coordinate Regression", arXiv:1801.07372). Whether a
point can be seen is read from the features where it is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from faceedit.backbones.unet import UNet, fit_resolution


@dataclass(frozen=True)
class LandmarkerConfig:
    """Size of the network and its points.

    Attributes:
        names: Of the points, in order; left_ and right_ are the picture's.
        fold: Each fold x fold block of pixels becomes one place of the maps.
        widths: Channels of each level, the finest first; each level halves the resolution.
        resolution: Side in pixels to which every image is brought before it is looked at.
    """

    names: tuple[str, ...]
    fold: int = 4
    widths: tuple[int, ...] = (32, 48, 96, 128, 112)
    resolution: int = 256

    def __post_init__(self) -> None:
        """Accept lists, as config.json has them."""
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "widths", tuple(self.widths))
        step = self.fold * 2 ** (len(self.widths) - 1)
        if self.resolution <= 0 or self.resolution % step:
            raise ValueError(f"resolution is {self.resolution}; it must be a multiple of {step}")


@dataclass(frozen=True)
class FacePoints:
    """Named points of faces.

    Attributes:
        names: Of the points.
        points: [n, k, 2], x and y in pixels of the image that was given, from its top left corner;
            the centre of the first pixel is at 0.5. What is hidden or not worn is where it would
            be.
        visible: [n, k], how likely it is that the point can be seen, 0..1.
    """

    names: tuple[str, ...]
    points: Tensor
    visible: Tensor

    def of(self, *names: str) -> Tensor:
        """Return some points by name, [n, len(names), 2].

        Raises:
            ValueError: If there is no point of that name.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise ValueError(f"unknown points {unknown}; choose from {self.names}")
        return self.points[:, [self.names.index(name) for name in names]]


class Landmarker(UNet):
    """Finds the named points of an aligned face."""

    config_class: ClassVar[type[LandmarkerConfig]] = LandmarkerConfig

    def __init__(self, config: LandmarkerConfig) -> None:
        super().__init__(config.fold, config.widths)
        self.config = config
        count = len(config.names)
        self.maps = nn.Conv2d(config.widths[0], count, 1)
        self.seen = nn.Parameter(torch.zeros(count, config.widths[0]))
        self.usual = nn.Linear(config.widths[-1], count)  # what the whole picture says of it

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Look at square portraits.

        Args:
            image: [n, 3, side, side], RGB in [-1, 1].

        Returns:
            The points as shares of the side, [n, k, 2]; the logits of being visible, [n, k]; and
            the logits of the maps, [n, k, h, w], for training.
        """
        down = self.descend(fit_resolution(image, self.config.resolution, self.step))
        return self.read(self.ascend(down), down[-1])

    def read(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `forward` does, given the finest and the coarsest features."""
        maps = self.maps(fine).float()
        share = maps.flatten(2).softmax(-1)
        h, w = maps.shape[-2:]
        rows = ((torch.arange(h, device=maps.device) + 0.5) / h).repeat_interleave(w)
        columns = ((torch.arange(w, device=maps.device) + 0.5) / w).repeat(h)
        points = share @ torch.stack([columns, rows], dim=1)
        there = share @ fine.float().flatten(2).transpose(1, 2)  # [n, k, channels]
        visible = (there * self.seen).sum(-1) + self.usual(coarse.float().mean((-2, -1)))
        return points, visible, maps

    @torch.no_grad()
    def find(self, image: Tensor) -> FacePoints:
        """Return the points of aligned faces.

        Args:
            image: [n, 3, side, side], RGB in [-1, 1], of any size.

        Raises:
            ValueError: If the images are not square.
        """
        if image.ndim != 4 or image.shape[-1] != image.shape[-2]:
            raise ValueError(
                f"the images have shape {tuple(image.shape)}; an aligned face is [n, 3, side, side]"
            )
        points, visible, _ = self(image)
        return FacePoints(self.config.names, points * image.shape[-1], visible.sigmoid())
