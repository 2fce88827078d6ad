"""The trunk of the networks that read a face pixel by pixel: a small U-Net with additive skips.

Ronneberger et al., arXiv:1505.04597. Each block of pixels becomes the channels of one pixel first
(`fold`), so that most of the work is done at a fraction of the resolution.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["UNet", "conv", "fit_resolution"]


def conv(in_channels: int, channels: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution with normalisation and rectifier."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """From images to feature maps of `widths[0]` channels at 1 / `fold` of the resolution.

    Args:
        fold: Each fold x fold block of pixels becomes the channels of one pixel.
        widths: Channels of each level, the finest first; each level halves the resolution.
    """

    def __init__(self, fold: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.fold = fold
        self.step = fold * 2 ** (len(widths) - 1)
        self.stem = conv(3 * fold**2, widths[0])
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(conv(fine, coarse, stride=2), conv(coarse, coarse))
            for fine, coarse in pairs
        )
        self.lateral = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in reversed(pairs))
        self.up = nn.ModuleList(conv(fine, fine) for fine, _ in reversed(pairs))

    def descend(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps on the way down, the finest first.

        Raises:
            ValueError: If a side of the image is not a multiple of `step`.
        """
        if image.shape[-1] % self.step or image.shape[-2] % self.step:
            raise ValueError(
                f"an image of {image.shape[-1]} x {image.shape[-2]} px does not fit; "
                f"its sides must be multiples of {self.step}"
            )
        maps = [self.stem(F.pixel_unshuffle(image, self.fold))]
        for level in self.down:
            maps.append(level(maps[-1]))
        return maps

    def ascend(self, maps: list[Tensor]) -> Tensor:
        """Return the finest map of the way back up, given those of the way down."""
        *finer, x = maps
        for lateral, up, skip in zip(self.lateral, self.up, reversed(finer), strict=True):
            x = F.interpolate(lateral(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = up(x + skip)
        return x


def fit_resolution(image: Tensor, resolution: int, step: int) -> Tensor:
    """Return images resized so that their longer side is `resolution`, both multiples of `step`.

    Args:
        image: [n, 3, h, w].
        resolution: In pixels, a multiple of `step`; 0 leaves the images as they are.
        step: See `UNet`.
    """
    if not resolution:
        return image
    longest = max(image.shape[-2:])
    size = [
        max(step, round(side * resolution / longest / step) * step) for side in image.shape[-2:]
    ]
    if list(image.shape[-2:]) == size:
        return image
    return F.interpolate(
        image, size, mode="bilinear", align_corners=False, antialias=longest > resolution
    )
