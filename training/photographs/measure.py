"""How well networks understand labelled photographs: regions and landmarks against the mesh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceedit.world import MESH
from training.photographs.portraits import LabelledPhoto
from training.photographs.regions import outline

__all__ = ["EYES_AND_MOUTH", "JUDGED", "find_points", "point_errors", "region_scores", "to_image"]

# The mesh points by which landmarks are judged.
EYES_AND_MOUTH = (
    *(33, 133, 362, 263, 159, 145, 386, 374, 468, 473),
    *(61, 291, 13, 14, 0, 17),
)
JUDGED = (*EYES_AND_MOUTH, 70, 107, 336, 300, 1, 98, 327, 10, 152)
# What the segmenter calls the parts that the mesh draws.
MEANS: dict[str, tuple[str, ...]] = {
    "lips": ("lips", "mouth"),
    "eyes": ("eyes",),
    "brows": ("brows",),
    "face": ("skin", "nose", "lips", "mouth", "eyes", "brows", "glasses", "lens", "beard"),
}
ON_HEADS = ("hair", "hat", "beard")


def to_image(photo: LabelledPhoto) -> Tensor:
    """Return a photograph as networks see it, [1, 3, side, side] in [-1, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(photo.image))
    return pixels.permute(2, 0, 1)[None].float().div(127.5).sub(1)


@torch.no_grad()
def region_scores(photo: LabelledPhoto, segmenter: Any) -> dict[str, float]:
    """Compare the segmenter's regions with a mesh and a person mask.

    Returns:
        Overlaps (IoU) of lips, eyes, brows, face and person; `off_person`, the share of the
        picture where hair, a hat or a beard is found outside of the person; `beard` and `covering`,
        the shares of the picture that are called so.
    """
    names = list(segmenter.config.regions)
    found = segmenter.segment(to_image(photo))[0].cpu().numpy()

    def region(*wanted: str) -> np.ndarray:
        return np.isin(found, [names.index(name) for name in wanted if name in names])

    side = len(photo.image)
    scores = {
        part: _overlap(outline(photo.mesh, part, side), region(*means))
        for part, means in MEANS.items()
    }
    person = photo.person > 127
    scores["person"] = _overlap(person & photo.inside, ~region("background") & photo.inside)
    scores["off_person"] = float((region(*ON_HEADS) & ~person & photo.inside).mean())
    scores["beard"] = float(region("beard").mean())
    scores["covering"] = float(region("covering").mean())
    return scores


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def find_points(photo: LabelledPhoto, landmarks: Any) -> dict[int, np.ndarray]:
    """Return where a network finds the mesh's points, by their number, in pixels of the crop."""
    found = landmarks.find(to_image(photo))
    points = found.points[0].cpu().numpy()
    names = list(found.names)
    return {number: points[names.index(name)] for name, number in MESH.items() if name in names}


def point_errors(
    photo: LabelledPhoto, found: Mapping[int, np.ndarray], numbers: Iterable[int] = JUDGED
) -> dict[int, float]:
    """Return how far points are from the mesh's, in distances between the pupils."""
    return {
        number: float(np.linalg.norm(found[number] - photo.mesh[number])) / photo.pupils
        for number in numbers
    }
