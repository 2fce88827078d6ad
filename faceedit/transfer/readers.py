"""The base's networks as readers: a picture's regions and landmarks, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import torch

from faceedit.backbones import Backbones
from faceedit.transfer.carry import Readers

PARSED_AT = 128  # px of the square, for segmenters that look at pictures as they are


def readers_of(backbones: Backbones) -> Readers:
    """Return how the base's networks read photographs and drawn faces.

    Raises:
        MissingBackboneError: If the base has no segmenter.
    """
    segmenter = backbones.require("segmenter", "an edit of a photograph")
    names = segmenter.config.regions
    side = segmenter.config.resolution or PARSED_AT

    @torch.no_grad()
    def parse(picture: np.ndarray) -> Mapping[str, np.ndarray]:
        shrinks = picture.shape[0] > side
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        small = cv2.resize(picture, (side, side), interpolation=how)
        place = next(segmenter.parameters()).device
        image = torch.from_numpy(small).to(place).permute(2, 0, 1)[None].div(127.5).sub(1)
        both = segmenter(torch.cat([image, image.flip(-1)])).softmax(1)
        found = (both[0] + both[1].flip(-1)).div(2).cpu().numpy()
        return dict(zip(names, found, strict=True))

    locate, points = _locate(backbones)
    return Readers(parse, locate, points, _describe(backbones))


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
    numbers = [head.name for head in reader.config.heads if not head.values and not head.circular]
    choices = [head for head in reader.config.heads if head.values]

    @torch.no_grad()
    def describe(picture: np.ndarray) -> Mapping[str, float]:
        place = next(reader.parameters()).device
        image = torch.from_numpy(picture).to(place).permute(2, 0, 1)[None].div(127.5).sub(1)
        found, sure = reader.read(image), reader(image)
        told = {name: float(found[name][0]) for name in numbers}
        for head in choices:
            shares = sure[head.name][0].softmax(0).tolist()
            told |= {f"{head.name}: {v}": s for v, s in zip(head.values, shares, strict=True)}
        return told

    return describe
