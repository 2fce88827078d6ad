"""Face parser: the regions of a drawn face, by the network that papers on FFHQ's faces use.

Paper: Yu et al., "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation",
ECCV 2018, arXiv:1808.00897, Section 3. Notation (here -> paper): refine -> ARM, fuse -> FFM.
Differs from the paper, as the published face parser does: the maps of ResNet-18 at an eighth of the
size stand in for the spatial path, and images are looked at at 512 px.

It was trained on CelebAMask-HQ's 19 classes, several of which are one region here (both brows, both
lips). A region's logit is the log of the sum over its classes, so probabilities add up exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.segmenter import RegionReader

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
# CelebAMask-HQ's classes in the order of the published network, by our regions: background, skin,
# left and right brow, left and right eye, glasses, left and right ear, earring, nose, mouth, upper
# and lower lip, neck, necklace, cloth, hair, hat.
CELEBA_CLASSES = (
    "background", "skin", "brows", "brows", "eyes", "eyes", "glasses", "ear", "ear", "earring",
    "nose", "mouth", "lips", "lips", "neck", "cloth", "cloth", "hair", "hat",
)  # fmt: skip


@dataclass(frozen=True)
class FaceParserConfig:
    """Size of the parser; the defaults are the published network's.

    Attributes:
        classes: The region of every class that the network tells apart, in its order.
        widths: Channels of ResNet's four stages; the first is the stem's, too.
        units: Residual units of the four stages.
        context: Channels of what is known of the coarser maps; twice as many after the fusion.
        resolution: Side in px to which images are brought before they are looked at.
    """

    classes: tuple[str, ...] = CELEBA_CLASSES
    widths: tuple[int, ...] = (64, 128, 256, 512)
    units: tuple[int, ...] = (2, 2, 2, 2)
    context: int = 128
    resolution: int = 512

    def __post_init__(self) -> None:
        """Accept lists, as config.json has them, and refuse sizes that cannot be built."""
        for name in ("classes", "widths", "units"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.widths) != 4 or len(self.units) != 4:
            raise ValueError(f"there are four stages, got widths {self.widths}, units {self.units}")
        if self.resolution <= 0 or self.resolution % 32:
            raise ValueError(f"resolution is {self.resolution}; it must be a multiple of 32")

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the labels; a label is the index of its name."""
        return tuple(dict.fromkeys(self.classes))


class Layer(nn.Module):
    """Convolution, normalisation, rectifier."""

    def __init__(self, in_channels: int, channels: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] -> [n, channels, h / stride, w / stride]."""
        return F.relu(self.norm(self.conv(x)))


class Unit(nn.Module):
    """A residual unit of ResNet-18 (arXiv:1512.03385)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = Layer(in_channels, channels, stride=stride)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] -> [n, channels, h / stride, w / stride]."""
        skip = x if self.shortcut is None else self.shortcut(x)
        return F.relu(self.norm(self.conv(self.first(x))) + skip)


class Refine(nn.Module):
    """Attention refinement: each channel is scaled by what the whole map says (Section 3.2)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.layer = Layer(in_channels, channels)
        self.gate = nn.Conv2d(channels, channels, 1, bias=False)
        self.gate_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] -> [n, channels, h, w]."""
        x = self.layer(x)
        return x * torch.sigmoid(self.gate_norm(self.gate(x.mean((2, 3), keepdim=True))))


class Fuse(nn.Module):
    """Feature fusion: joined maps, and the channels that matter once more (Section 3.2)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.layer = Layer(in_channels, channels, kernel=1)
        self.reduce = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.expand = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """Two maps of one size -> [n, channels, h, w]."""
        x = self.layer(torch.cat([spatial, context], dim=1))
        gate = self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x + x * torch.sigmoid(gate)


class FaceParser(RegionReader):
    """Labels every pixel of a face as FFHQ frames it with a region; see `RegionReader`."""

    config_class: ClassVar[type[FaceParserConfig]] = FaceParserConfig

    def __init__(self, config: FaceParserConfig) -> None:
        super().__init__()
        self.config = config
        widths, context = config.widths, config.context
        self.stem = Layer(3, widths[0], kernel=7, stride=2)
        stages = zip(pairwise((widths[0], *widths)), config.units, (1, 2, 2, 2), strict=True)
        self.stages = nn.ModuleList(
            nn.Sequential(
                Unit(before, width, stride), *(Unit(width, width, 1) for _ in range(count - 1))
            )
            for (before, width), count, stride in stages
        )
        self.whole = Layer(widths[3], context, kernel=1)  # what the mean of the coarsest map says
        self.refine_coarse = Refine(widths[3], context)
        self.refine_medium = Refine(widths[2], context)
        self.coarse = Layer(context, context)
        self.medium = Layer(context, context)
        self.fuse = Fuse(widths[1] + context, 2 * context)
        self.hidden = Layer(2 * context, 2 * context)
        self.logits = nn.Conv2d(2 * context, len(config.classes), 1, bias=False)

    def class_logits(self, image: Tensor) -> Tensor:
        """Return what the network says of images at an eighth of its resolution, per class.

        Args:
            image: [n, 3, h, w], RGB in [-1, 1]; brought to the network's resolution here.
        """
        side = (self.config.resolution, self.config.resolution)
        if image.shape[-2:] != side:
            image = F.interpolate(image, side, mode="bilinear", align_corners=False, antialias=True)
        mean, std = (image.new_tensor(c)[:, None, None] for c in (IMAGENET_MEAN, IMAGENET_STD))
        x = F.max_pool2d(self.stem((image.add(1).div(2) - mean) / std), 3, 2, 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        _, fine, medium, coarse = maps
        x = self.refine_coarse(coarse) + self.whole(coarse.mean((2, 3), keepdim=True))
        x = self.coarse(F.interpolate(x, medium.shape[-2:], mode="nearest"))
        x = self.refine_medium(medium) + x
        x = self.medium(F.interpolate(x, fine.shape[-2:], mode="nearest"))
        return self.logits(self.hidden(self.fuse(fine, x)))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [n, regions, h, w] for faces [n, 3, h, w], RGB in [-1, 1]."""
        each = F.interpolate(
            self.class_logits(image), image.shape[-2:], mode="bilinear", align_corners=True
        )
        classes = self.config.classes
        places = [[i for i, of in enumerate(classes) if of == name] for name in self.config.regions]
        return torch.stack([each[:, indices].logsumexp(1) for indices in places], dim=1)
