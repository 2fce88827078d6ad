"""What an operator answers: a movement of the photograph's pixels, a change of them, a cover.

A pixel of the result is

    cover * alpha + (photograph(place + move) * gain + shift) * (1 - alpha)

and layers that follow one another add up to layers of the same form, so the photograph is
resampled once, at its own resolution, whatever the number of operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from faceedit.transfer.view import Planes, View

STILL = 1e-3  # px; a field that moves nothing by more is no movement
EVEN = 1e-4  # of gain and alpha
DARK = 1e-2  # of shift, in levels of 255


@dataclass(frozen=True, eq=False)
class Layers:
    """A change of the photograph, in the working frame. None leaves that part alone."""

    move: np.ndarray | None = None  # [h, w, 2] float32, px: where a pixel comes from, minus itself
    gain: np.ndarray | None = None  # [h, w, 3] float32: factor after the movement
    shift: np.ndarray | None = None  # [h, w, 3] float32: added after the gain, in levels of 255
    cover: np.ndarray | None = None  # [h, w, 3] float32, RGB in [0, 255]: lies on top
    alpha: np.ndarray | None = None  # [h, w] float32 in [0, 1]: how much of the cover is seen
    grain: np.ndarray | None = None  # [h, w] float32 in [0, 1]: how much of the photograph's grain
    # the cover needs; None = all of it. 0 for pixels that come from the photograph itself.
    notes: tuple[str, ...] = ()  # plain sentences: what could not be carried

    def then(self, later: Layers) -> Layers:
        """Return one layer that does what this and then the later one do."""
        first = self if later.move is None else self._moved(later.move)
        gain, shift, cover = first.gain, first.shift, first.cover
        if later.gain is not None:
            gain = later.gain if gain is None else gain * later.gain
            shift = None if shift is None else shift * later.gain
            cover = None if cover is None else cover * later.gain
        if later.shift is not None:
            shift = later.shift if shift is None else shift + later.shift
            cover = None if cover is None else cover + later.shift
        alpha, grain = first.alpha, first.grain
        if later.alpha is not None and later.cover is not None:
            cover, alpha, grain = _over(cover, alpha, grain, later)
        return Layers(
            move=first.move,
            gain=gain,
            shift=shift,
            cover=cover,
            alpha=alpha,
            grain=grain,
            notes=tuple(dict.fromkeys(self.notes + later.notes)),
        )

    def _moved(self, move: np.ndarray) -> Layers:
        """Return these layers with their fields carried along by a later movement."""
        own = move if self.move is None else move + sample(self.move, move)
        fields: dict[str, Any] = {
            name: sample(getattr(self, name), move)
            for name in ("gain", "shift", "cover", "alpha", "grain")
            if getattr(self, name) is not None
        }
        return replace(self, move=own, **fields)

    def limited(self, mask: np.ndarray) -> Layers:
        """Return these layers at the given strength, [h, w] in [0, 1]: 0 changes nothing there."""
        wide = mask[..., None]
        return replace(
            self,
            move=None if self.move is None else self.move * wide,
            gain=None if self.gain is None else 1 + (self.gain - 1) * wide,
            shift=None if self.shift is None else self.shift * wide,
            alpha=None if self.alpha is None else self.alpha * mask,
        )

    def on(self, view: View) -> View:
        """Return a view as it looks with these layers, for the operators that follow.

        Regions and landmarks move along; what a cover draws belongs to no region.
        """
        image = view.image
        regions, known, points = view.regions, view.known, view.points
        if self.move is not None:
            image = sample(image, self.move)
            regions = _moved_planes(regions, self.move)
            known = sample(known, self.move)
            points = None if points is None else carried_points(points, self.move)
        if self.gain is not None:
            image = image * self.gain
        if self.shift is not None:
            image = image + self.shift
        if self.cover is not None and self.alpha is not None:
            image = image + (self.cover - image) * self.alpha[..., None]
            regions = _covered_planes(regions, self.alpha)
        if image is not view.image:
            image = np.clip(image, 0, 255)
        return replace(view, image=image, regions=regions, known=known, points=points)

    def extent(self) -> np.ndarray | None:
        """Return where these layers act, [h, w] bool; None where they act nowhere."""
        parts = []
        if self.move is not None:
            parts.append(np.abs(self.move).max(2) > STILL)
        if self.gain is not None:
            parts.append(np.abs(self.gain - 1).max(2) > EVEN)
        if self.shift is not None:
            parts.append(np.abs(self.shift).max(2) > DARK)
        if self.alpha is not None and self.cover is not None:
            parts.append(self.alpha > EVEN)
        found = parts[0] if parts else None
        for part in parts[1:]:
            found = found | part
        return found if found is not None and found.any() else None


def _covered_planes(regions: Mapping[str, np.ndarray], alpha: np.ndarray) -> Planes:
    return Planes(regions, lambda name: regions[name] * (1 - alpha))


def _moved_planes(regions: Mapping[str, np.ndarray], move: np.ndarray) -> Planes:
    """Return regions carried along by a movement."""
    return Planes(regions, lambda name: sample(regions[name], move))


def sample(field: np.ndarray, move: np.ndarray) -> np.ndarray:
    """Return a field [h, w] or [h, w, d] read at every place plus its movement [h, w, 2], px."""
    height, width = move.shape[:2]
    x = move[..., 0] + np.arange(width, dtype=np.float32)
    y = move[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    border = cv2.BORDER_REPLICATE
    return cv2.remap(np.ascontiguousarray(field), x, y, cv2.INTER_LINEAR, borderMode=border)


def carried_points(points: np.ndarray, move: np.ndarray, steps: int = 8) -> np.ndarray:
    """Return where points [k, 2] come to lie under a backward movement [h, w, 2].

    Solves place + move(place) = point by fixed-point iteration; smooth fields settle in a few.
    """
    height, width = move.shape[:2]
    place = points.astype(np.float32).copy()
    for _ in range(steps):
        x = np.clip(place[:, 0], 0, width - 1)[None]
        y = np.clip(place[:, 1], 0, height - 1)[None]
        place = points - cv2.remap(move, x, y, cv2.INTER_LINEAR)[0]
    return place.astype(np.float32)


def _over(
    cover: np.ndarray | None, alpha: np.ndarray | None, grain: np.ndarray | None, later: Layers
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Lay a later cover over an earlier one: its colours, its alpha, the grain it needs."""
    assert later.cover is not None and later.alpha is not None
    if cover is None or alpha is None:
        return later.cover, later.alpha, later.grain
    below = alpha * (1 - later.alpha)
    both = below + later.alpha
    share = later.alpha / np.maximum(both, 1e-6)  # of the later one in what is seen
    wide = share[..., None]
    if grain is not None or later.grain is not None:
        one = np.ones_like(alpha)
        first = one if grain is None else grain
        second = one if later.grain is None else later.grain
        grain = first + (second - first) * share
    return cover + (later.cover - cover) * wide, both, grain
