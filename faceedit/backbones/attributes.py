"""Attribute reader: what a portrait shows, as one number or one list of logits an attribute.

A small residual network with positional and colour pooling and one linear head. It knows no world:
its config lists the attributes that it reads, with their ranges and the names of their values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GREY = 0.06  # chroma, of images in [-1, 1], at which a hue counts about 0.7


@dataclass(frozen=True)
class AttributeHead:
    """One attribute that the network reads.

    Attributes:
        name: Its name, the key of the result.
        low: Smallest value of a continuous attribute, in its unit.
        high: Largest value.
        values: Names of the values of a categorical attribute; empty for a continuous one.
        circular: Whether `high` is the same thing as `low`, as for a hue.
    """

    name: str
    low: float
    high: float
    values: tuple[str, ...] = ()
    circular: bool = False

    def __post_init__(self) -> None:
        """Accept a list of values, as config.json has it."""
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values and self.low >= self.high:
            raise ValueError(f"{self.name} has the empty range [{self.low}, {self.high}]")

    @property
    def outputs(self) -> int:
        """Numbers that the network gives for it: a logit a value, cosine and sine, or one."""
        return len(self.values) or (2 if self.circular else 1)


@dataclass(frozen=True)
class AttributesConfig:
    """Size of the reader and what it reads.

    Attributes:
        heads: The attributes, in order.
        input_size: Side in px to which images are pooled.
        fold: Each fold x fold block of pixels becomes the channels of one stem pixel.
        widths: Channels of the stem and of each stage after it; each stage halves the resolution.
        depth: Residual convolutions in each stage.
        hidden: Width of the layer before the heads.
        dropout: Probability on the hidden layer, in training only.
        colors: Places whose mean colour is measured (`ColorPool`); 0 for none.
    """

    heads: tuple[AttributeHead, ...]
    input_size: int = 128
    fold: int = 2
    widths: tuple[int, ...] = (32, 64, 96, 128)
    depth: int = 1
    hidden: int = 192
    dropout: float = 0.1
    colors: int = 0

    def __post_init__(self) -> None:
        """Rebuild the heads from plain dictionaries, as config.json has them."""
        heads = [h if isinstance(h, AttributeHead) else _head(h) for h in self.heads]
        object.__setattr__(self, "heads", tuple(heads))
        object.__setattr__(self, "widths", tuple(self.widths))
        step = self.fold * 2 ** (len(self.widths) - 1)
        if self.input_size % step:
            raise ValueError(f"input_size is {self.input_size}; it must be a multiple of {step}")

    @property
    def final_size(self) -> int:
        """Side of the last feature map."""
        return self.input_size // self.fold // 2 ** (len(self.widths) - 1)


def _head(fields: Mapping[str, Any]) -> AttributeHead:
    return AttributeHead(**fields)


def _conv(in_channels: int, channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    """x + conv(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class ColorPool(nn.Module):
    """Mean colours of places that learned maps pick out, each with its hue.

    A hue is an angle in the colour plane, which a small network of ReLUs hardly learns to measure:
    with it given, the hues of clothes, hats, lips and backgrounds can be read.
    """

    def __init__(self, channels: int, places: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, places, 1)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """Return red, green, blue, and cosine and sine of the hue of every place.

        Args:
            x: Features that say where to look, [n, channels, h, w].
            image: The picture, [n, 3, H, W], RGB in [-1, 1].

        Returns:
            [n, 5 * places]; a grey place has no hue: both are near 0.
        """
        weight = self.score(x).flatten(2).softmax(dim=-1).to(image.dtype)
        pixels = F.adaptive_avg_pool2d(image, x.shape[-1]).flatten(2)
        red, green, blue = color = torch.einsum("nkp,ncp->cnk", weight, pixels).float()
        plane = torch.stack([red - (green + blue) / 2, (green - blue) * math.sqrt(3) / 2])
        hue = plane / (plane.square().sum(0) + GREY**2).sqrt()
        return torch.cat([color, hue]).permute(1, 2, 0).flatten(1)


class AttributeReader(nn.Module):
    """Reads every attribute of its config off an image."""

    config_class: ClassVar[type[AttributesConfig]] = AttributesConfig

    def __init__(self, config: AttributesConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = _conv(3 * config.fold**2, widths[0])
        self.stages = nn.ModuleList()
        for before, width in pairwise(widths):
            residuals = [_Residual(width) for _ in range(config.depth)]
            self.stages.append(nn.Sequential(_conv(before, width, stride=2), *residuals))
        # A learned spatial weighting a channel keeps where something is (raised brows, a parting),
        # which averaging would lose.
        self.position = nn.Conv2d(widths[-1], 2 * widths[-1], config.final_size, groups=widths[-1])
        # On the map before the last: the last one's cells are larger than lips or a hat's brim.
        self.colors = ColorPool(widths[-2], config.colors) if config.colors else None
        pooled = 3 * widths[-1] + 5 * config.colors
        self.hidden = nn.Sequential(
            nn.Linear(pooled, config.hidden), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.linear = nn.Linear(config.hidden, sum(head.outputs for head in config.heads))

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps of the stem and of every stage, for feature losses and FID."""
        size = self.config.input_size
        if image.shape[-2:] != (size, size):
            image = F.adaptive_avg_pool2d(image, size)
        x = self.stem(F.pixel_unshuffle(image, self.config.fold))
        maps = [x]
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def pooled(self, image: Tensor) -> Tensor:
        """Return the hidden features before the heads, [n, hidden]: the space of our FID."""
        *_, finer, x = self.features(image)
        parts = [self.position(x).flatten(1), x.mean((2, 3))]
        if self.colors is not None:
            parts.append(self.colors(finer, image).to(x.dtype))
        return self.hidden(torch.cat(parts, dim=1))

    def raw(self, image: Tensor) -> dict[str, Tensor]:
        """Return what the heads say before it is given a unit, [n, outputs] each.

        Logits for a categorical attribute, (cosine, sine) for a circular one, and for the others
        the position in the range, -1 at `low` and 1 at `high`.
        """
        heads = self.config.heads
        joined = self.linear(self.pooled(image)).float()
        parts = joined.split([head.outputs for head in heads], dim=1)
        return {head.name: part for head, part in zip(heads, parts, strict=True)}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Read the attributes.

        Args:
            image: Portraits, [n, 3, h, w], RGB in [-1, 1], any size.

        Returns:
            For every attribute by name: logits [n, values] if it is categorical, else its value
            [n] in its own unit (not clipped to its range).
        """
        raw = self.raw(image)
        return {head.name: decode(head, raw[head.name]) for head in self.config.heads}

    def read(self, image: Tensor) -> dict[str, Tensor]:
        """Return one number an attribute, [n]: the index of the likeliest value, or the value."""
        answers = self(image)
        for head in self.config.heads:
            answer = answers[head.name]
            answers[head.name] = (
                answer.argmax(1).float() if head.values else answer.clamp(head.low, head.high)
            )
        return answers


def decode(head: AttributeHead, raw: Tensor) -> Tensor:
    """Give the raw output [n, outputs] of a head its unit; logits stay as they are."""
    if head.values:
        return raw
    if head.circular:
        turn = torch.atan2(raw[:, 1], raw[:, 0]) / (2 * math.pi) % 1.0
        return head.low + (head.high - head.low) * turn
    return head.low + (head.high - head.low) * (raw[:, 0] + 1) / 2


def encode(head: AttributeHead, value: Tensor) -> Tensor:
    """Return the raw output [n, 1 or 2] that a continuous head should give for a value [n].

    Raises:
        ValueError: If the attribute is categorical.
    """
    if head.values:
        raise ValueError(f"{head.name} is categorical; compare its logits with the index instead")
    share = (value - head.low) / (head.high - head.low)
    if head.circular:
        angle = 2 * math.pi * share
        return torch.stack([angle.cos(), angle.sin()], dim=1)
    return (2 * share - 1)[:, None]
