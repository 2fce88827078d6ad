"""The base's networks as readers: a picture's regions and landmarks, as plain arrays."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import cv2
import numpy as np
import torch

from faceedit.backbones import Backbones
from faceedit.transfer.carry import Readers

Answer = TypeVar("Answer")
REMEMBERED = 4  # drawn faces whose readings are kept
PARSED_AT = 128  # px of the square, for segmenters that look at pictures as they are


def readers_of(backbones: Backbones) -> Readers:
    """Return how the base's networks read photographs and drawn faces.

    Raises:
        MissingBackboneError: If the base has no segmenter.
    """
    segmenter = backbones.require("segmenter", "an edit of a photograph")
    names = segmenter.config.regions
    side = segmenter.config.resolution or PARSED_AT

    def image_of(picture: np.ndarray) -> torch.Tensor:
        shrinks = picture.shape[0] > side
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        small = cv2.resize(picture, (side, side), interpolation=how)
        place = next(segmenter.parameters()).device
        return torch.from_numpy(small).to(place).permute(2, 0, 1)[None].div(127.5).sub(1)

    @torch.no_grad()
    def parse(picture: np.ndarray) -> Mapping[str, np.ndarray]:
        image = image_of(picture)  # and mirrored: two looks at a photograph are surer
        both = segmenter(torch.cat([image, image.flip(-1)])).softmax(1)
        found = (both[0] + both[1].flip(-1)).div(2).cpu().numpy()
        return dict(zip(names, found, strict=True))

    @torch.no_grad()
    def parse_drawn(picture: np.ndarray) -> Mapping[str, np.ndarray]:
        found = segmenter(image_of(picture)).softmax(1)[0].cpu().numpy()
        return dict(zip(names, found, strict=True))

    locate, points = _locate(backbones)
    return Readers(parse, locate, points, _describe(backbones), parse_drawn)


def remembering(readers: Readers, count: int = REMEMBERED) -> Readers:
    """Return readers that remember what they read in the latest drawn faces.

    The face before an edit is the same for every edit of a photograph.

    Args:
        readers: What reads.
        count: How many pictures are remembered; each is half a megabyte.
    """
    assert readers.drawn is not None
    return replace(
        readers,
        drawn=_remembered(readers.drawn, count),
        locate=None if readers.locate is None else _remembered(readers.locate, count),
        describe=None if readers.describe is None else _remembered(readers.describe, count),
    )


def _remembered(read: Callable[[np.ndarray], Answer], count: int) -> Callable[[np.ndarray], Answer]:
    """Return a reader that answers again what it answered to the same picture."""
    kept: OrderedDict[bytes, Answer] = OrderedDict()

    def answer(picture: np.ndarray) -> Answer:
        key = hashlib.sha1(np.ascontiguousarray(picture).data, usedforsecurity=False).digest()
        if key not in kept:
            kept[key] = read(picture)
        kept.move_to_end(key)
        while len(kept) > count:
            kept.popitem(last=False)
        return kept[key]

    return answer


def _locate(
    backbones: Backbones,
) -> tuple[Callable[[np.ndarray], np.ndarray] | None, tuple[str, ...]]:
    """Return how the base's network finds a face's points, and their names, if it has one."""
    finder = backbones.landmarks
    if finder is None:
        return None, ()

    @torch.no_grad()
    def locate(picture: np.ndarray) -> np.ndarray:
        place = next(finder.parameters()).device
        side = finder.config.resolution
        how = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_CUBIC
        small = cv2.resize(picture, (side, side), interpolation=how)
        image = torch.from_numpy(small).to(place).permute(2, 0, 1)[None].div(127.5).sub(1)
        found = finder.find(image)
        points = torch.cat([found.points[0] / side, found.visible[0][:, None]], 1)
        return points.float().cpu().numpy()

    return locate, finder.config.names


def _describe(backbones: Backbones) -> Callable[[np.ndarray], Mapping[str, float]] | None:
    """Return how the base's reader of attributes describes drawn faces, if it has one."""
    reader = backbones.attributes
    if reader is None:
        return None
    numbers = [head for head in reader.config.heads if not head.values and not head.circular]
    choices = [head for head in reader.config.heads if head.values]

    @torch.no_grad()
    def describe(picture: np.ndarray) -> Mapping[str, float]:
        place = next(reader.parameters()).device
        image = torch.from_numpy(picture).to(place).permute(2, 0, 1)[None].div(127.5).sub(1)
        found = reader(image)
        told = {h.name: float(found[h.name][0].clamp(h.low, h.high)) for h in numbers}
        for head in choices:
            shares = found[head.name][0].softmax(0).tolist()
            told |= {f"{head.name}: {v}": s for v, s in zip(head.values, shares, strict=True)}
        return told

    return describe
