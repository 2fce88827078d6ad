"""Networks that exist only to train the generator: they tell renders from reconstructions.

Sources: Karras et al., arXiv:1912.04958 (residual discriminator, minibatch standard deviation);
Isola et al., arXiv:1611.07004 (judging patches instead of whole images).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.layers import (
    ACTIVATION_GAIN,
    LEAKY_SLOPE,
    EqualConv2d,
    EqualLinear,
    blur,
    blur_kernel,
    downsample,
)

__all__ = ["Discriminator", "DiscriminatorConfig", "PatchDiscriminator", "r1_penalty"]


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Size of a discriminator."""

    resolution: int = 128  # px
    channel_base: int = 4096  # channels(r) = min(channel_base / r, channel_max)
    channel_max: int = 160
    stddev_group: int = 4  # images over which the minibatch standard deviation is taken

    def channels(self, resolution: int) -> int:
        """Return how many feature channels there are at a size."""
        return min(self.channel_base // resolution, self.channel_max)


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, LEAKY_SLOPE) * ACTIVATION_GAIN


class ResidualBlock(nn.Module):
    """Halves the size: two 3x3 convolutions beside a 1x1 shortcut, with blurred downsampling."""

    kernel: Tensor  # [4, 4], the blur before every second pixel is dropped

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv0 = EqualConv2d(in_channels, in_channels, 3)
        self.conv1 = EqualConv2d(in_channels, out_channels, 3, stride=2)
        self.skip = EqualConv2d(in_channels, out_channels, 1, bias=False)
        self.register_buffer("kernel", blur_kernel(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, in_channels, h, w] to [n, out_channels, h / 2, w / 2]."""
        y = _activate(self.conv0(x))
        y = _activate(self.conv1(blur(y, self.kernel, padding=2)))
        return (y + self.skip(downsample(x, self.kernel))) / math.sqrt(2)


def minibatch_stddev(x: Tensor, group: int) -> Tensor:
    """Append a channel with the mean standard deviation across groups of images.

    A batch that is no multiple of `group` is one group, so that no image is left out.
    """
    n, c, h, w = x.shape
    group = group if n % group == 0 else n
    y = x.float().view(group, n // group, c, h, w)
    y = (y.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))  # [n / group]
    y = y.repeat(group).view(n, 1, 1, 1).expand(n, 1, h, w)
    return torch.cat([x, y.to(x)], dim=1)


class Discriminator(nn.Module):
    """StyleGAN2's residual discriminator: one logit an image."""

    config_class: ClassVar[type[DiscriminatorConfig]] = DiscriminatorConfig

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [2**i for i in range(int(math.log2(config.resolution)), 1, -1)]  # ..., 8, 4
        self.from_rgb = EqualConv2d(3, config.channels(sizes[0]), 1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(config.channels(a), config.channels(b)) for a, b in pairwise(sizes))
        )
        width = config.channels(4)
        self.conv = EqualConv2d(width + 1, width, 3)
        self.hidden = EqualLinear(width * 16, width, activate=True)
        self.logit = EqualLinear(width, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [n, 1], high for renders, of images [n, 3, h, w] in [-1, 1]."""
        x = self.blocks(_activate(self.from_rgb(image)))
        x = minibatch_stddev(x, self.config.stddev_group)
        x = _activate(self.conv(x))
        return self.logit(self.hidden(x.flatten(1))).float()


class PatchDiscriminator(nn.Module):
    """A light judge: one logit for every patch of about 40 px.

    Weights are drawn as N(0, 1) and scaled at run time (Kaiming's scale): with torch's default
    initialisation it did not start to learn.
    """

    config_class: ClassVar[type[DiscriminatorConfig]] = DiscriminatorConfig

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [config.resolution // 2**i for i in range(4)]
        self.from_rgb = EqualConv2d(3, config.channels(sizes[0]), 3)
        self.blocks = nn.Sequential(
            *(ResidualBlock(config.channels(a), config.channels(b)) for a, b in pairwise(sizes))
        )
        self.logit = EqualConv2d(config.channels(sizes[-1]), 1, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [n, 1, h / 8, w / 8], high for renders, of images [n, 3, h, w]."""
        image = image.contiguous(memory_format=torch.channels_last)
        return self.logit(self.blocks(_activate(self.from_rgb(image)))).float()


def r1_penalty(discriminator: nn.Module, image: Tensor) -> Tensor:
    """Return the mean squared norm of the judge's gradient at real images (R1, arXiv:1801.04406).

    Computed without autocast: second derivatives are small differences.

    Args:
        discriminator: Maps images to logits of any shape.
        image: Real images, [n, 3, h, w] in [-1, 1].

    Returns:
        A scalar, not multiplied by gamma / 2.
    """
    with torch.autocast(image.device.type, enabled=False), torch.enable_grad():
        image = image.detach().float().requires_grad_(True)
        logits = discriminator(image).flatten(1).mean(1)  # a logit an image
        (gradient,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()
