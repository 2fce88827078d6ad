"""Paint parts of a picture in another colour, and forget what that makes doubtful.

Whoever follows CLIP's gradient finds what CLIP was never shown: blackened eyes pass for sunglasses,
a paled picture for old age. So some of the pictures it learns from are painted over, region by
region, with everything that was true still held to be true, but for the colour itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.world import REGIONS
from faceedit.world.captions import STATEMENTS, UNSURE

LIGHTEST, HEAVIEST = 0.2, 0.75  # shares of the new colour; the old shading must show through


@dataclass(frozen=True)
class Part:
    """What is painted at once, and the attributes that nobody can then be sure of."""

    regions: tuple[str, ...]
    doubtful: tuple[str, ...]


_SKIN = ("skin_tone", "freckles", "blush", "light_warmth", "make_up", "eyeshadow")
_EYES = ("eye_color", "eye_open", "eye_size", "eyeshadow", "make_up")
_LIPS = ("lipstick", "lip_hue", "make_up")
_BEHIND = ("background_hue", "background_value")
_CLOTH = ("cloth_hue", "cloth_value")
_COLOURS = (*_SKIN, "eye_color", *_LIPS, *_BEHIND, *_CLOTH, "hair_color", "hat_hue")
PARTS = (
    Part(("skin", "nose", "neck", "ear"), _SKIN),
    Part(("eyes",), _EYES),
    Part(("hair",), ("hair_color",)),
    Part(("hair", "brows", "beard"), ("hair_color",)),
    Part(("lips", "mouth"), (*_LIPS, "mouth_open", "smile", "expression")),
    Part(("hat",), ("hat_hue",)),
    Part(("cloth",), _CLOTH),
    Part(("background",), _BEHIND),
    Part(REGIONS, _COLOURS),
)


@dataclass(frozen=True)
class Coat:
    """One picture's paint."""

    part: int  # index into PARTS; ignored where the weight is 0
    color: tuple[float, float, float]  # RGB in [-1, 1]
    weight: float  # share of the new colour, 0 for an untouched picture


def draw_coat(rng: random.Random, share: float) -> Coat:
    """Return what to paint on one picture: nothing, but for a `share` of the draws.

    Half of the colours are greys: black and white are what edits abuse most.
    """
    touched = rng.random() < share
    grey = rng.uniform(-1, 1)
    color = [rng.uniform(-1, 1) for _ in range(3)] if rng.random() < 0.5 else [grey] * 3
    weight = rng.uniform(LIGHTEST, HEAVIEST) if touched else 0.0
    return Coat(rng.randrange(len(PARTS)), (color[0], color[1], color[2]), weight)


def paint(
    image: Tensor, segmentation: Tensor, known: Tensor, coats: Sequence[Coat]
) -> tuple[Tensor, Tensor]:
    """Return painted pictures, and what is still sure about them.

    Args:
        image: [n, 3, h, w] in [-1, 1].
        segmentation: Region labels, [n, h, w], as in `faceedit.world.REGIONS`.
        known: What is true of each picture, [n, S] int8.
        coats: One for each picture.

    Returns:
        [n, 3, h, w] and [n, S], UNSURE where the paint covers what a statement speaks of.
    """
    part = torch.tensor([coat.part for coat in coats], device=image.device)
    weight = image.new_tensor([coat.weight for coat in coats])
    color = image.new_tensor([coat.color for coat in coats])
    regions, doubts = _tables(str(image.device))
    mask = regions[part[:, None, None], segmentation.long()].float()[:, None]  # [n, 1, h, w]
    mask = weight[:, None, None, None] * F.avg_pool2d(mask, 3, stride=1, padding=1)
    doubtful = doubts[part] & (weight > 0)[:, None]
    painted = torch.lerp(image, color[:, :, None, None].expand_as(image), mask.expand_as(image))
    return painted, known.masked_fill(doubtful, UNSURE)


@cache
def _tables(device: str) -> tuple[Tensor, Tensor]:
    """Return bools: which regions every part has, and which statements it makes doubtful."""
    regions = [[region in part.regions for region in REGIONS] for part in PARTS]
    doubts = [[s.name in part.doubtful for s in STATEMENTS] for part in PARTS]
    return torch.tensor(regions, device=device), torch.tensor(doubts, device=device)
