"""What an operator sees: a picture in the working frame, its regions and its landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class View:
    """A picture in the working frame. The photograph and both drawn faces share the frame.

    The frame is upright: the head's axis points up whatever the photograph's tilt is. Drawn faces
    fill only the aligned square of it; see `known`.
    """

    image: np.ndarray  # [h, w, 3] float32, RGB in [0, 255]
    regions: Mapping[str, np.ndarray]  # name -> [h, w] float32, probabilities that add up to 1
    known: np.ndarray  # [h, w] float32 in [0, 1]: 0 where the picture was continued, not seen
    square: tuple[float, float, float]  # left, top, side of the aligned square, px of the frame
    pixel: float = 1.0  # size of one of the picture's own pixels, px of the frame; large = soft
    points: np.ndarray | None = None  # [k, 2] float32 landmarks (x, y), px of the frame
    names: tuple[str, ...] = field(default=())  # of the landmarks, k of them
    seen: np.ndarray | None = None  # [k] float32 in [0, 1]: whether a landmark is in view
    # What a drawn face shows in numbers ("age" in years, "freckles" in [0, 1]); empty if unknown.
    traits: Mapping[str, float] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame, px."""
        height, width = self.image.shape[:2]
        return height, width

    def region(self, *names: str) -> np.ndarray:
        """Return the probability of any of these regions, [h, w] in [0, 1]; 0 where unknown."""
        found = [self.regions[name] for name in names if name in self.regions]
        if not found:
            return np.zeros(self.shape, np.float32)
        return np.clip(sum(found[1:], start=found[0]), 0, 1)

    def point(self, name: str) -> np.ndarray | None:
        """Return a landmark (x, y) by name, px of the frame; None where there is none."""
        if self.points is None or name not in self.names:
            return None
        return self.points[self.names.index(name)]
