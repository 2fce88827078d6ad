"""Regions of a face by name, "hair+mouth": where an edit may act, as the segmenter sees it."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.errors import RequestError

# What people call a part of the face, and the labels that show it; others go by their own name.
TOGETHER: dict[str, tuple[str, ...]] = {
    "mouth": ("mouth", "lips"),
    "eyes": ("eyes", "lens"),
    "skin": ("skin", "nose", "ear", "neck"),
    "glasses": ("glasses", "lens"),
}
JOINT = "+"
REACH = 0.02  # how far a mask grows beyond its region, in sides of the image; it fades as far again


def read_regions(mask: Any) -> tuple[str, ...] | None:
    """Return the names that a mask asks for, or None where it is a picture.

    Text is a picture's path if a file has that name or it looks like one (a suffix, a slash).

    Raises:
        RequestError: If a list of names holds anything else, or none.
    """
    if isinstance(mask, str):
        separators = [s for s in (".", "/", os.sep, os.altsep) if s]
        if os.path.exists(mask) or any(separator in mask for separator in separators):
            return None
        mask = mask.split(JOINT)
    if not isinstance(mask, list | tuple) or (mask and not isinstance(mask[0], str)):
        return None
    names = tuple(name.strip().lower() for name in mask if isinstance(name, str))
    if len(names) != len(mask) or not all(names):
        raise RequestError(f"mask is {mask!r}; name regions like 'hair' or 'hair+mouth'")
    return names


def labels_of(names: tuple[str, ...], known: Collection[str]) -> tuple[str, ...]:
    """Return the labels that show some regions.

    Args:
        names: Regions as people call them.
        known: The labels there are.

    Raises:
        RequestError: If there is no region of that name; the message lists them.
    """
    parts = {name: [p for p in TOGETHER.get(name, (name,)) if p in known] for name in names}
    missing = [name for name, labels in parts.items() if not labels]
    if missing:
        listed = list(known)
        raise RequestError(
            f"no region {', '.join(map(repr, missing))} to limit the edit to; choose from "
            f"{', '.join(listed)}, joined like '{JOINT.join(listed[:2])}', or give a picture"
        )
    return tuple(dict.fromkeys(part for chosen in parts.values() for part in chosen))


@torch.no_grad()
def region_mask(image: Tensor, names: tuple[str, ...], segmenter: Any) -> Tensor:
    """Return where some regions are, slightly larger than they are and soft at the edge.

    Args:
        image: Aligned faces, [n, 3, h, w], RGB in [-1, 1].
        names: Regions, joined.
        segmenter: Knows the labels (`config.regions`) and finds them (`mask`).

    Returns:
        [n, 1, h, w] in [0, 1].

    Raises:
        RequestError: If there is no region of that name; the message lists them.
    """
    labels = labels_of(names, segmenter.config.regions)
    found = segmenter.mask(image, *labels)
    reach = max(1, round(REACH * image.shape[-1]))
    grown = F.max_pool2d(found, 2 * reach + 1, stride=1, padding=reach)
    return F.avg_pool2d(grown, 2 * reach + 1, 1, reach, count_include_pad=False)
