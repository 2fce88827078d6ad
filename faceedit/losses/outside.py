"""Where a characteristic of a face shows, and a term that holds the picture everywhere else.

An edit of the hair should not change the eyes. CLIP hardly sees a shifted eye or a tinted wall,
so a descent along its distance moves them for nothing; a segmenter tells where they are. After the
"background" terms of ManiCLIP (arXiv:2210.00445) and FFCLIP (arXiv:2210.07883), which hold what is
background in both pictures; here the sentence decides what is held.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.words.corpora import PLACES, Place

__all__ = ["PreservedRegion", "change_outside", "places_of", "region_weights", "shown"]

logger = logging.getLogger(__name__)
SMALLEST_REGION = 1e-3  # share of the picture; smaller regions count no more than this one


@dataclass(frozen=True)
class PreservedRegion:
    """What the edits of images must leave: all but where their characteristics show."""

    segmenter: Any
    image: Tensor  # before, [n, 3, h, w], RGB in [-1, 1]
    places: Sequence[tuple[Place, ...]]  # where what each edit is about shows
    editable: Tensor  # [n, 1, h, w] in [0, 1], where that is in the image and may grow to
    weights: Tensor  # [n, 1, h, w], how much each pixel counts, see `region_weights`

    @classmethod
    def of(
        cls, segmenter: Any, image: Tensor, characteristics: Sequence[Sequence[str]]
    ) -> Self | None:
        """Return what is held of images; None, and a warning, without a segmenter.

        Args:
            segmenter: Of the base, or None.
            image: [n, 3, h, w], RGB in [-1, 1].
            characteristics: Names in `corpora.CORPORA`, of each edit, or one list for all.
        """
        if segmenter is None:
            logger.warning("the base has no segmenter: nothing is held outside of what is edited")
            return None
        places = [places_of(names) for names in characteristics]
        editable = shown(segmenter, image, places, grown=True)
        return cls(segmenter, image, places, editable, region_weights(segmenter, image))

    def editable_in(self, edited: Tensor) -> Tensor:
        """Return where edited images may differ, [n, 1, h, w]: where it shows before or after."""
        return torch.maximum(self.editable, shown(self.segmenter, edited, self.places))

    def change(self, edited: Tensor) -> Tensor:
        """Return how much each edit changed what is held, [n]."""
        return change_outside(self.image, edited, self.editable_in(edited), self.weights)


def places_of(characteristics: Sequence[str]) -> tuple[Place, ...]:
    """Return where characteristics show; () where one of them, or something unknown, may anywhere.

    Args:
        characteristics: Names in `corpora.CORPORA`.
    """
    if any(name not in PLACES for name in characteristics):
        return ()
    return tuple(PLACES[name] for name in characteristics)


@torch.no_grad()
def shown(
    segmenter: Any, image: Tensor, places: Sequence[tuple[Place, ...]], grown: bool = False
) -> Tensor:
    """Return where places are in images, [n, 1, h, w] in [0, 1]; without a gradient.

    Args:
        segmenter: Names the regions; a place of which it knows none is everywhere.
        image: At least one, [n, 3, h, w], RGB in [-1, 1].
        places: Of each image, or one list for all; an empty one is everywhere.
        grown: Whether to count what is around a place, up to its margin.
    """
    chances, regions = segmenter(image).softmax(dim=1), segmenter.config.regions
    masks = []
    for i, seen in enumerate(chances.split(1)):
        chosen = places[i % len(places)]
        mask = torch.zeros_like(seen[:, :1]) if chosen else torch.ones_like(seen[:, :1])
        for place in chosen:
            labels = [regions.index(name) for name in place.regions if name in regions]
            here = seen[:, labels or slice(None)].sum(dim=1, keepdim=True)
            margin = round(place.margin * seen.shape[-1]) if grown else 0
            here = F.max_pool2d(here, 2 * margin + 1, stride=1, padding=margin)
            mask = torch.maximum(mask, here)
        masks.append(mask)
    return torch.cat(masks)


@torch.no_grad()
def region_weights(segmenter: Any, image: Tensor) -> Tensor:
    """Return how much each pixel counts, [n, 1, h, w] with mean 1: more in a small region.

    An eye is a hundredth of what a wall is, and says more about a face. A pixel counts by the root
    of one over its region's share, between counting pixels alike and counting regions alike.

    Args:
        segmenter: Tells the regions.
        image: [n, 3, h, w], RGB in [-1, 1].
    """
    chances = segmenter(image).softmax(dim=1)
    share = chances.mean(dim=(2, 3), keepdim=True).clamp(min=SMALLEST_REGION)
    weights = (chances / share.sqrt()).sum(dim=1, keepdim=True)
    return weights / weights.mean(dim=(2, 3), keepdim=True)


def change_outside(source: Tensor, edited: Tensor, editable: Tensor, weights: Tensor) -> Tensor:
    """Return how much each edit changed what it should leave, the mean over pixels, [n].

    Args:
        source: Images before, [n, 3, h, w], RGB in [-1, 1].
        edited: After the edit.
        editable: Where they may differ, [n, 1, h, w] in [0, 1].
        weights: How much each pixel counts, [n, 1, h, w], see `region_weights`.
    """
    change = (edited - source).abs().mean(dim=1, keepdim=True)
    return (weights * (1 - editable) * change).mean(dim=(1, 2, 3))
