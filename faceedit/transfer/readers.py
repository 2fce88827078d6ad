"""The base's networks as readers: a picture's regions and landmarks, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping

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

    return Readers(parse)
