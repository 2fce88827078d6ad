"""Renders with their landmarks, from the shards of `training.make_world`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from faceedit.world import LANDMARKS, FaceAttributes, landmarks
from training.config import ConfigError
from training.data.shards import shard_files
from training.photographs.layers import Sample
from training.photographs.regions import exact

__all__ = ["Rendered", "read_renders", "shard_landmarks"]

POINTS = "landmarks"  # folder beside the shards: working the points out takes as long as drawing
AT_ONCE = 25  # portraits


@dataclass(frozen=True)
class Rendered:
    """A render with its exact truth."""

    image: Tensor  # [3, h, h] uint8
    segmentation: Tensor  # [h, h] uint8
    points: Tensor  # [k, 2], shares of the side
    visible: Tensor  # [k] bool

    def sample(self) -> Sample:
        """Return it as a sample."""
        image = self.image.permute(1, 2, 0).numpy().astype(np.float32)
        points = (self.points * len(image)).numpy().astype(np.float32)
        seen = self.visible.numpy().astype(np.int8)
        return Sample(image, exact(self.segmentation.numpy()), points, seen)


def read_renders(folders: Iterable[Path]) -> list[Rendered]:
    """Read all shards of some folders.

    Raises:
        ConfigError: If a folder has none.
    """
    found = []
    for folder in folders:
        paths = shard_files(folder)
        if not paths:
            raise ConfigError(f"no shards in {folder}; render some with training.make_world")
        for path in paths:
            shard = load_file(path)
            points, visible = shard_landmarks(path, shard["attributes"])
            rows = zip(shard["image"], shard["segmentation"], points, visible, strict=True)
            found += [Rendered(*row) for row in rows]
    return found


def shard_landmarks(path: Path, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the landmarks of a shard's people, points in shares of the side; kept in a file."""
    kept = path.parent / POINTS / path.name
    if kept.is_file():
        stored = load_file(kept)
        if stored["points"].shape == (len(values), len(LANDMARKS), 2):
            return stored["points"], stored["visible"] > 0
    parts = [landmarks(FaceAttributes(some), 1) for some in values.split(AT_ONCE)]
    points = torch.cat([part.points for part in parts])
    visible = torch.cat([part.visible for part in parts])
    kept.parent.mkdir(exist_ok=True)
    save_file({"points": points, "visible": visible.to(torch.uint8)}, kept)
    return points, visible
