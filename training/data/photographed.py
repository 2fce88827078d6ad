"""Renders as a camera and a life would show them, for networks that are to read photographs."""

from __future__ import annotations

import torch
from torch import Tensor

from faceedit.world import REGIONS
from training.data.augment import Augmentation, augment, replace_region, some_rows
from training.data.shards import WorldBatch

CAMERA = Augmentation(
    color=0.5,
    gray=0.05,
    blur=1.4,
    noise=0.1,
    coarse=0.2,
    rotation=5,
    scale=0.08,
    shift=0.04,
    bend=0.025,
    shade=0.15,
    cover=0.15,
)
NEW_BACKGROUND = 0.6  # share of the camera_share pictures
NEW_CLOTHES = 0.4


def photograph(batch: WorldBatch, share: float) -> tuple[Tensor, Tensor]:
    """Change a share of the renders as a camera and a life would.

    Args:
        batch: Renders.
        share: Of them that are changed.

    Returns:
        The pictures, and where their content was replaced and tells nothing: [n, 1, h, w].
    """
    rows = some_rows(batch.image, share)
    unknown = torch.zeros_like(batch.image[:, :1])
    if len(rows) == 0:
        return batch.image, unknown
    image, labels = batch.image[rows], batch.segmentation[rows]
    image, background = replace_region(image, labels, REGIONS.index("background"), NEW_BACKGROUND)
    image, clothes = replace_region(image, labels, REGIONS.index("cloth"), NEW_CLOTHES)
    image = augment(image, CAMERA)
    replaced = torch.maximum(background, clothes)
    return batch.image.index_copy(0, rows, image), unknown.index_copy(0, rows, replaced)
