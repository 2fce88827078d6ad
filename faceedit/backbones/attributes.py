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
        fovea: Top, bottom, left and right, in px of the input, of a square that is looked at a
            second time without folding (`Fovea`); empty for none.
        fovea_widths: Channels of that look's stem and stages.
        fovea_colors: Places in the square whose mean colour is measured.
    """

    added_later: ClassVar[frozenset[str]] = frozenset({"fovea", "fovea_widths", "fovea_colors"})

    heads: tuple[AttributeHead, ...]
    input_size: int = 128
    fold: int = 2
    widths: tuple[int, ...] = (32, 64, 96, 128)
    depth: int = 1
    hidden: int = 192
    dropout: float = 0.1
    colors: int = 0
    fovea: tuple[int, ...] = ()
    fovea_widths: tuple[int, ...] = (32, 56, 80)
    fovea_colors: int = 8

    def __post_init__(self) -> None:
        """Rebuild the heads from plain dictionaries, as config.json has them."""
        heads = [h if isinstance(h, AttributeHead) else _head(h) for h in self.heads]
        object.__setattr__(self, "heads", tuple(heads))
        for name in ("widths", "fovea", "fovea_widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        step = self.fold * 2 ** (len(self.widths) - 1)
        if self.input_size % step:
            raise ValueError(f"input_size is {self.input_size}; it must be a multiple of {step}")

        if self.fovea:
            check_fovea(self.fovea, self.input_size, 2 ** (len(self.fovea_widths) - 1))

    @property
    def final_size(self) -> int:
        """Side of the last feature map."""
        return self.input_size // self.fold // 2 ** (len(self.widths) - 1)


def check_fovea(square: tuple[int, ...], size: int, step: int) -> None:
    """Raise ValueError unless this is a square within a picture, of a multiple of step px."""
    top, bottom, left, right = square
    inside = 0 <= top < bottom <= size and 0 <= left < right <= size
    if not inside or bottom - top != right - left or (bottom - top) % step:
        raise ValueError(
            f"fovea is {square}; it must be top, bottom, left, right of a square within "
            f"{size} px whose side is a multiple of {step}"
        )


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


def _stages(widths: tuple[int, ...], depth: int) -> nn.ModuleList:
    """Return stages that each halve the resolution."""
    return nn.ModuleList(
        nn.Sequential(_conv(before, width, stride=2), *[_Residual(width) for _ in range(depth)])
        for before, width in pairwise(widths)
    )


def _position(channels: int, size: int) -> nn.Conv2d:
    """Return a learned spatial weighting a channel, two of them.

    It keeps where something is (raised brows, a parting), which averaging would lose.
    """
    return nn.Conv2d(channels, 2 * channels, size, groups=channels)


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
        weight = self.score(x).flatten(2).float().softmax(dim=-1)
        pixels = F.adaptive_avg_pool2d(image, x.shape[-1]).flatten(2).float()
        with torch.autocast(image.device.type, enabled=False):  # 8 bits are too few for a tint
            red, green, blue = color = torch.einsum("nkp,ncp->cnk", weight, pixels)
        plane = torch.stack([red - (green + blue) / 2, (green - blue) * math.sqrt(3) / 2])
        hue = plane / (plane.square().sum(0) + GREY**2).sqrt()
        return torch.cat([color, hue]).permute(1, 2, 0).flatten(1)


class Fovea(nn.Module):
    """A second look at the middle of the face, where small things lie, at full resolution.

    The first look folds two by two pixels and halves at once, and an iris that moves by one pixel,
    freckles or a lip's tint are lost in it.

    Args:
        square: Top, bottom, left and right, in px of the pictures.
        widths: Channels of the stem and of each stage after it.
        colors: Places whose mean colour is measured.
        depth: Residual convolutions in each stage.
    """

    def __init__(
        self, square: tuple[int, ...], widths: tuple[int, ...], colors: int, depth: int = 1
    ) -> None:
        super().__init__()
        self.square = square
        side = square[1] - square[0]
        self.stem = _conv(3, widths[0])
        self.stages = _stages(widths, depth)
        self.position = _position(widths[-1], side // 2 ** (len(widths) - 1))
        self.colors = ColorPool(widths[-2], colors)
        self.outputs = 3 * widths[-1] + 5 * colors

    def forward(self, image: Tensor) -> Tensor:
        """Return what is seen in the square of [n, 3, input_size, input_size], [n, outputs]."""
        top, bottom, left, right = self.square
        square = image[..., top:bottom, left:right]
        maps = [self.stem(square)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        *_, finer, x = maps
        colors = self.colors(finer, square).to(x.dtype)
        return torch.cat([self.position(x).flatten(1), x.mean((2, 3)), colors], dim=1)


class AttributeReader(nn.Module):
    """Reads every attribute of its config off an image."""

    config_class: ClassVar[type[AttributesConfig]] = AttributesConfig

    def __init__(self, config: AttributesConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = _conv(3 * config.fold**2, widths[0])
        self.stages = _stages(widths, config.depth)
        self.position = _position(widths[-1], config.final_size)
        # On the map before the last: the last one's cells are larger than lips or a hat's brim.
        self.colors = ColorPool(widths[-2], config.colors) if config.colors else None
        fovea = (config.fovea, config.fovea_widths, config.fovea_colors, config.depth)
        self.fovea = Fovea(*fovea) if config.fovea else None
        pooled = 3 * widths[-1] + 5 * config.colors + (self.fovea.outputs if self.fovea else 0)
        self.hidden = nn.Sequential(
            nn.Linear(pooled, config.hidden), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.linear = nn.Linear(config.hidden, sum(head.outputs for head in config.heads))

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps of the stem and of every stage, for feature losses and FID."""
        x = self.stem(F.pixel_unshuffle(self._sized(image), self.config.fold))
        maps = [x]
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def _sized(self, image: Tensor) -> Tensor:
        size = self.config.input_size
        fits = image.shape[-2:] == (size, size)
        return image if fits else F.adaptive_avg_pool2d(image, size)

    def pooled(self, image: Tensor) -> Tensor:
        """Return the hidden features before the heads, [n, hidden]: the space of our FID."""
        *_, finer, x = self.features(image)
        parts = [self.position(x).flatten(1), x.mean((2, 3))]
        if self.colors is not None:
            parts.append(self.colors(finer, image).to(x.dtype))
        if self.fovea is not None:
            parts.append(self.fovea(self._sized(image)).to(x.dtype))
        return self.hidden(torch.cat(parts, dim=1))

    def raw(self, image: Tensor) -> dict[str, Tensor]:
        """Return what the heads say before it is given a unit, [n, outputs] each.

        Logits for a categorical attribute, (cosine, sine) for a circular one, and for the others
        the position in the range, -1 at `low` and 1 at `high`.
        """
        return self.raw_from(self.pooled(image))

    def raw_from(self, pooled: Tensor) -> dict[str, Tensor]:
        """Return what `raw` does, from what `pooled` gave."""
        heads = self.config.heads
        joined = self.linear(pooled).float()
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
