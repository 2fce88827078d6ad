"""The base's networks as readers: a picture's regions and landmarks, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
import torch

from faceedit.backbones import Backbones
from faceedit.transfer.carry import Readers

PARSED_AT = 128  # px of the square that today's segmenter was trained on


def readers_of(backbones: Backbones) -> Readers:
    """Return how the base's networks read photographs and drawn faces.

    Raises:
        MissingBackboneError: If the base has no segmenter.
    """
    segmenter = backbones.require("segmenter", "an edit of a photograph")
    names = segmenter.config.regions

    @torch.no_grad()
    def parse(picture: np.ndarray) -> Mapping[str, np.ndarray]:
        shrinks = picture.shape[0] > PARSED_AT
        small = cv2.resize(
            picture,
            (PARSED_AT, PARSED_AT),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC,
        )
        place = next(segmenter.parameters()).device
        image = torch.from_numpy(small).to(place).permute(2, 0, 1)[None].div(127.5).sub(1)
        both = segmenter(torch.cat([image, image.flip(-1)])).softmax(1)
        found = (both[0] + both[1].flip(-1)).div(2).cpu().numpy()
        return dict(zip(names, found, strict=True))

    return Readers(parse, describe=_describe(backbones))


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
