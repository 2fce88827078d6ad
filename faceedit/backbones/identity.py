"""IR-SE face recognition: an aligned face becomes a unit vector that says who it is.

Architecture: the IR-SE50 of ArcFace (Deng et al., arXiv:1801.07698) as used by the identity loss of
StyleCLIP (arXiv:2103.17249, Equation 2): residual units with squeeze-and-excitation
(Hu et al., arXiv:1709.01507). The official size is `IdentityConfig()`; smaller configs keep the
same units with other widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class IdentityConfig:
    """Size of the network and the crop that it looks at; the defaults are the official IR-SE50.

    Attributes:
        widths: Channels of each stage; the stem has the width of the first.
        units: Residual units of each stage; the first of each halves the resolution.
        embedding_dim: Length of the embedding.
        aligned_size: Side in px to which a face is pooled before cropping.
        crop: px of the aligned face: top, bottom, left, right.
        input_size: Side in px of what enters the stem, after pooling the crop.
        fold: Each fold x fold block of pixels becomes the channels of one stem pixel; 1 officially.
        squeeze: Channels are divided by this inside squeeze-and-excitation.
        dropout: Probability, on the features before the embedding; in training only.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    units: tuple[int, ...] = (3, 4, 14, 3)
    embedding_dim: int = 512
    aligned_size: int = 256
    crop: tuple[int, int, int, int] = (35, 223, 32, 220)
    input_size: int = 112
    fold: int = 1
    squeeze: int = 16
    dropout: float = 0.6

    def __post_init__(self) -> None:
        """Accept lists (config.json has no tuples) and refuse sizes that cannot be built."""
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "units", tuple(self.units))
        object.__setattr__(self, "crop", tuple(self.crop))
        if len(self.widths) != len(self.units):
            raise ValueError(f"widths {self.widths} and units {self.units} must be equally long")
        step = self.fold * 2 ** len(self.units)
        if self.input_size % step:
            raise ValueError(f"input_size is {self.input_size}; it must be a multiple of {step}")
        top, bottom, left, right = self.crop
        if not (0 <= top < bottom <= self.aligned_size and 0 <= left < right <= self.aligned_size):
            raise ValueError(f"crop {self.crop} does not lie in {self.aligned_size} px")

    @property
    def body_size(self) -> int:
        """Side of the last feature map: 7 officially."""
        return self.input_size // self.fold // 2 ** len(self.units)


# What one CPU core trains in minutes for the portrait world: 96 px of a 128 px face, unscaled.
PORTRAIT_IDENTITY = IdentityConfig(
    widths=(24, 48, 96, 128),
    units=(1, 2, 2, 1),
    embedding_dim=128,
    aligned_size=128,
    crop=(20, 116, 16, 112),
    input_size=96,
    fold=2,
    squeeze=8,
    dropout=0.1,
)


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate in (0, 1) computed from all channel means."""

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        hidden = max(channels // squeeze, 1)
        self.reduce = nn.Conv2d(channels, hidden, 1, bias=False)
        self.expand = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated features, same shape."""
        gate = F.relu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.expand(gate))


class IrSeUnit(nn.Module):
    """One residual unit: norm, conv, PReLU, conv (which strides), norm, squeeze-and-excitation."""

    def __init__(self, in_channels: int, channels: int, stride: int, squeeze: int) -> None:
        super().__init__()
        self.stride = stride
        self.norm_in = nn.BatchNorm2d(in_channels)
        self.conv_in = nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False)
        self.activation = nn.PReLU(channels)
        self.conv_out = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.norm_out = nn.BatchNorm2d(channels)
        self.excite = SqueezeExcite(channels, squeeze)
        self.shortcut: nn.Module | None = None
        if in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] -> [n, channels, h / stride, w / stride]."""
        stride = self.stride
        skip = x[:, :, ::stride, ::stride] if self.shortcut is None else self.shortcut(x)
        x = self.conv_out(self.activation(self.conv_in(self.norm_in(x))))
        return self.excite(self.norm_out(x)) + skip


class IrSeBody(nn.Module):
    """Stem and units, shared by face recognition and the e4e encoder."""

    def __init__(
        self, widths: tuple[int, ...], units: tuple[int, ...], fold: int = 1, squeeze: int = 16
    ) -> None:
        super().__init__()
        self.fold = fold
        self.stem = nn.Sequential(
            nn.Conv2d(3 * fold * fold, widths[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.PReLU(widths[0]),
        )
        self.stages = nn.ModuleList()
        for (before, width), count in zip(pairwise((widths[0], *widths)), units, strict=True):
            first = IrSeUnit(before, width, 2, squeeze)
            rest = [IrSeUnit(width, width, 1, squeeze) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(first, *rest))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features after each stage, each half the side of the one before.

        Args:
            image: [n, 3, h, w] in [-1, 1], h and w multiples of fold * 2 ** stages.
        """
        x = self.stem(F.pixel_unshuffle(image, self.fold) if self.fold > 1 else image)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Identity(nn.Module):
    """R, the face recognition network of the identity loss."""

    config_class: ClassVar[type[IdentityConfig]] = IdentityConfig

    def __init__(self, config: IdentityConfig) -> None:
        super().__init__()
        self.config = config
        self.body = IrSeBody(config.widths, config.units, config.fold, config.squeeze)
        channels = config.widths[-1]
        self.norm = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(channels * config.body_size**2, config.embedding_dim)
        self.norm_out = nn.BatchNorm1d(config.embedding_dim)

    def crop(self, image: Tensor) -> Tensor:
        """Cut out the part of an aligned face that shows who it is.

        Args:
            image: Aligned faces, [n, 3, h, w], RGB in [-1, 1], any size.

        Returns:
            [n, 3, input_size, input_size], averaged over areas as in StyleCLIP's identity loss.
        """
        size = self.config.aligned_size
        if image.shape[-2:] != (size, size):
            image = F.adaptive_avg_pool2d(image, size)
        top, bottom, left, right = self.config.crop
        image = image[:, :, top:bottom, left:right]
        if image.shape[-2:] != (self.config.input_size, self.config.input_size):
            image = F.adaptive_avg_pool2d(image, self.config.input_size)
        return image

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps of every stage for aligned faces, for feature losses."""
        return self.body(self.crop(image))

    def project(self, features: Tensor) -> Tensor:
        """Map the last feature map to the embedding before it is normalised, [n, embedding_dim]."""
        return self.norm_out(self.linear(self.dropout(self.norm(features)).flatten(1)))

    def forward(self, image: Tensor) -> Tensor:
        """Return embeddings of unit length; the cosine of two says how alike the people are.

        Args:
            image: Aligned faces, [n, 3, h, w], RGB in [-1, 1], any size; cropped and resized here.

        Returns:
            [n, embedding_dim], unit length.
        """
        return F.normalize(self.project(self.features(image)[-1]).float(), dim=1)

    def embed(self, image: Tensor) -> Tensor:
        """Return unit embeddings of aligned faces, [n, embedding_dim]; the same as calling it."""
        return self(image)
