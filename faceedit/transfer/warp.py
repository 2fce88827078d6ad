"""The movement of all pixels of a face: smooth over the skin, torn at lids and lips, still around.

Two plates pass through the moved points, one without the lower lip, one without the upper: above
the line between the lips the first holds, below it the second, so that the lips part and meet
without a smear. Beyond the face both fade to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.transfer.lids import Lids, lid_field, move_lids
from faceedit.transfer.movement import Movement, changed_lips, changed_outline, unchanged_lips
from faceedit.transfer.points import SIDES, Curves, inverse, moved
from faceedit.transfer.spline import Box, Grid, kernel, solve_plates

STEP = 0.085  # of the grid that the plates are computed on (unit: eye distance)
REACH = 0.5  # beyond the outline over which the movement fades
RING = 28  # still points around the face
BESIDE, ABOVE_LIPS = (
    0.35,
    0.1,
)  # around the mouth where the two plates are told apart pixel by pixel


@dataclass(frozen=True, eq=False)
class Warp:
    """A movement of a face, in its own frame: where a pixel comes from, minus itself."""

    grid: Grid
    above: np.ndarray  # at the nodes [rows, columns, 2] float32: over the line between the lips
    below: np.ndarray
    lips: dict[str, np.ndarray]  # the new lines of the lips, [k, 2]
    old_lips: dict[str, np.ndarray]
    lids: tuple[Lids, ...]
    to_own: np.ndarray  # from px of the frame to the own frame, [2, 3]

    def box(self, shape: tuple[int, int]) -> Box:
        """Return the rows and columns of a frame that can move."""
        return box_around(self.grid.corners, self.to_own, shape)

    def field(self, shape: tuple[int, int]) -> np.ndarray:
        """Return the movement of every pixel of a frame, [h, w, 2] float32, px."""
        whole = np.zeros((*shape, 2), np.float32)
        box = self.box(shape)
        side = self.side(self.grid.nodes)[..., None]
        whole[box] = self.grid.spread(
            self.above + (self.below - self.above) * side, self.to_own, box
        )
        box = self.mouth_box(shape)
        over, under = (self.grid.spread(f, self.to_own, box) for f in (self.above, self.below))
        whole[box] = over + (under - over) * self.side(places(self.to_own, box))[..., None]
        for lids in self.lids:
            box = box_around(lids.corners, self.to_own, shape)
            whole[box][..., 1] += lid_field(lids, places(self.to_own, box))
        return whole @ inverse(self.to_own)[:, :2].T.astype(np.float32)

    def mouth_box(self, shape: tuple[int, int]) -> Box:
        """Return the rows and columns of a frame around the lips."""
        lines = np.concatenate(list(self.lips.values()))
        low, high = lines.min(0) - BESIDE, lines.max(0) + BESIDE
        corners = np.array([low, (low[0], high[1]), high, (high[0], low[1])])
        return box_around(corners, self.to_own, shape)

    def side(self, at: np.ndarray) -> np.ndarray:
        """Return 0 above the line between the lips to 1 below it, [h, w] float32.

        Inside of an open mouth it rises from lip to lip; beside the mouth it turns softly.
        """
        top, bottom = self.lips["inner_upper_lip"], self.lips["inner_lower_lip"]
        x, y = at[..., 0], at[..., 1]
        high = np.interp(x, top[:, 0], top[:, 1])
        low = np.maximum(np.interp(x, bottom[:, 0], bottom[:, 1]), high)
        beside = np.maximum(np.maximum(top[0, 0] - x, x - top[-1, 0]), 0)
        soft = 0.002 + 0.8 * beside
        t = np.clip((y - high + soft) / (low - high + 2 * soft), 0, 1)
        return t.astype(np.float32)


def build_warp(face: Curves, movement: Movement, to_own: np.ndarray) -> Warp:
    """Return the warp of a photograph's face for a movement.

    Args:
        face: Its curves in the own frame.
        movement: What its parts do.
        to_own: From px of the frame to the own frame, [2, 3].
    """
    new, old = changed_lips(face, movement.mouth), unchanged_lips(face)
    still = {name: curve[:: 1 + len(curve) // 8] for name, curve in face.items()}
    pairs = {name: (curve, curve) for name, curve in still.items() if name != "irises"}
    for name, shift in movement.shifts.items():
        pairs[name] = (face[name], face[name] + shift)
    pairs["outline"] = (face["outline"], changed_outline(face, movement))
    pairs |= {name: (old[name][::2], line[::2]) for name, line in new.items()}
    hull = _hull(face, pairs)
    outward = hull - hull.mean(0)
    pairs["ring"] = (hull + REACH * outward / np.hypot(*outward.T)[:, None],) * 2
    low, high = pairs["ring"][0].min(0) - STEP, pairs["ring"][0].max(0) + STEP
    columns, rows = np.ceil((high - low) / STEP).astype(int) + 1
    grid = Grid(low, STEP, (int(rows), int(columns)))
    above, below = _plates(pairs, grid, hull)
    moving = {side: factor for side, factor in movement.lids.items() if abs(factor - 1) > 1e-3}
    lids = tuple(move_lids(face, side, moving[side]) for side in SIDES if side in moving)
    return Warp(grid, above, below, new, old, lids, to_own)


def _plates(
    pairs: dict[str, tuple[np.ndarray, np.ndarray]], grid: Grid, hull: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the movement at the nodes without the lower lip, and without the upper."""
    source = np.concatenate([pair[0] for pair in pairs.values()])
    target = np.concatenate([pair[1] for pair in pairs.values()])
    curve = np.concatenate([[name] * len(pair[0]) for name, pair in pairs.items()])
    nodes = grid.nodes.reshape(-1, 2)
    bent = kernel(nodes.astype(np.float32), target.astype(np.float32))
    fade = _fade(grid, hull)[..., None]
    found = []
    for lip in ("lower_lip", "upper_lip"):
        used = np.array([not name.endswith(lip) for name in curve])
        solved = solve_plates(target[used], (source - target)[used])
        move = bent[:, used] @ solved[:-3].astype(np.float32)
        move = move + solved[-3] + nodes @ solved[-2:]
        found.append((move.reshape(*grid.shape, 2) * fade).astype(np.float32))
    return found[0], found[1]


def _hull(face: Curves, pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return RING points around the face before and after, evenly along its rim."""
    rim = np.concatenate([*pairs["outline"], face["forehead"]]).astype(np.float32)
    hull = cv2.convexHull(rim)[:, 0].astype(np.float64)
    closed = np.concatenate([hull, hull[:1]])
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.linspace(0, along[-1], RING, endpoint=False)
    return np.stack([np.interp(at, along, closed[:, i]) for i in (0, 1)], 1)


def _fade(grid: Grid, hull: np.ndarray) -> np.ndarray:
    """Return 1 on the face, falling to 0 within REACH of it, at the nodes."""
    outside = np.ones(grid.shape, np.uint8)
    cv2.fillPoly(outside, [np.round((hull - grid.low) / grid.step).astype(np.int32)], 0)
    away = cv2.distanceTransform(outside, cv2.DIST_L2, 5) * grid.step
    t = np.clip(1 - away / (REACH - grid.step), 0, 1)
    return t * t * (3 - 2 * t)


def box_around(corners: np.ndarray, to_own: np.ndarray, shape: tuple[int, int]) -> Box:
    """Return the rows and columns of a frame that hold some places of the own frame."""
    pixels = moved(inverse(to_own), corners)
    first = np.clip(np.floor(pixels.min(0)).astype(int), 0, shape[::-1])
    last = np.clip(np.ceil(pixels.max(0)).astype(int) + 1, first, shape[::-1])
    return slice(int(first[1]), int(last[1])), slice(int(first[0]), int(last[0]))


def places(to_own: np.ndarray, box: Box) -> np.ndarray:
    """Return where the pixels of a box lie in the own frame, [h, w, 2]."""
    rows, columns = box
    x = np.arange(columns.start, columns.stop)
    y = np.arange(rows.start, rows.stop)[:, None]
    return x[..., None] * to_own[:, 0] + y[..., None] * to_own[:, 1] + to_own[:, 2]
