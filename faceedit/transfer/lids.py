"""Eyes that open and close: the photograph's own lid skin moves over the eye, or off it.

Above the new edge of the upper lid the skin up to the brow stretches, below the lower lid's the
cheek; each edge keeps its own lashes, since skin moves rigidly beside it. Between the two the
eyeball stays where it is; only an eye that opens further than the photograph shows is stretched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceedit.transfer.movement import by_column
from faceedit.transfer.points import Curves

LOWER_SHARE, SQUINT_SHARE = 0.12, 0.35  # of a closing that the lower lid makes; of a squint
RAISED_SHARE = 0.8  # of an opening that the upper lid makes
CHEEK = 0.22  # how far below the eye the skin gives way (unit: eye distance)
CORNER, CORNER_SHARE = 0.15, 0.25  # the outer corner follows the upper lid, so far and so much
LASH_WIDTH = 0.010
LASH_DARK = np.array([0.84, 0.88, 0.90])  # how much darker than skin lashes are
MARGIN = 0.030  # the edges of the lids' skin lie this far outside the line that landmarks find
LEAST_LID = 0.10  # height of skin above the eye that is there at least


@dataclass(frozen=True, eq=False)
class Lids:
    """The edges of an eye's lids over columns, before and after; in the face's own frame."""

    x: np.ndarray  # [k] increasing
    upper: np.ndarray  # [k] heights, y
    lower: np.ndarray
    new_upper: np.ndarray
    new_lower: np.ndarray
    brow: np.ndarray  # lower edge of the brow
    ends: tuple[float, float]  # columns of the eye's corners

    @property
    def corners(self) -> np.ndarray:
        """The corners of a box around all that moves, [4, 2]."""
        low, high = self.brow.min(), max(self.lower.max(), self.new_lower.max()) + CHEEK
        left, right = self.x[0], self.x[-1]
        return np.array([(left, low), (left, high), (right, high), (right, low)])

    @property
    def shut(self) -> bool:
        """Whether the lids meet after the movement."""
        return bool((self.new_lower - self.new_upper).max() < 1e-3)


def move_lids(face: Curves, side: str, factor: float) -> Lids:
    """Return an eye's lids when it opens by a factor (0: shut), in the own frame."""
    upper, lower = by_column(face[f"upper_lid_{side}"]), by_column(face[f"lower_lid_{side}"])
    x = upper[:, 0]
    low = np.maximum(np.interp(x, lower[:, 0], lower[:, 1]), upper[:, 1])
    if factor < 1:  # no sliver of the eyeball may come along with the skin
        edge = MARGIN * min(1.0, 2 * (1 - factor)) * np.sin(np.linspace(0, np.pi, len(x)))
        upper = upper - edge[:, None] * (0, 1)
        low = low + 0.7 * edge
    change = (factor - 1) * (low - upper[:, 1])
    if factor > 1:
        share = 1 - RAISED_SHARE
    else:
        share = SQUINT_SHARE + (LOWER_SHARE - SQUINT_SHARE) * min(1.0, 1.4 * (1 - factor))
    new_lower = low + share * change
    new_upper = upper[:, 1] - (1 - share) * change
    beyond = np.linspace(0, CORNER, 7)[1:] * (-1 if side == "left" else 1)
    ends = float(x[0]), float(x[-1])
    x, order = _extended(x, beyond)
    upper_y, low, new_upper, new_lower = (
        np.concatenate([line, np.repeat(line[-1 if beyond[0] > 0 else 0], 6)])[order]
        for line in (upper[:, 1], low, new_upper, new_lower)
    )
    near = _ease(1 - np.abs(x - (x[-7] if beyond[0] > 0 else x[6])) / CORNER)
    drop = CORNER_SHARE * max(float((new_upper - upper_y).max()), 0.0) * near
    edge = face[f"brow_lower_{side}"]
    brow = np.minimum(np.interp(x, edge[:, 0], edge[:, 1]), upper_y - LEAST_LID)
    return Lids(x, upper_y, low, new_upper + drop, new_lower + drop, brow, ends)


def _extended(x: np.ndarray, beyond: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return columns that go on beyond the eye's outer corner, and the order that sorts them."""
    end = x[-1] if beyond[0] > 0 else x[0]
    columns = np.concatenate([x, end + beyond])
    order = np.argsort(columns)
    return columns[order], order


def lid_field(lids: Lids, at: np.ndarray) -> np.ndarray:
    """Return where the pixels at places come from, vertically, minus themselves.

    Args:
        lids: See `move_lids`.
        at: Places in the own frame, [h, w, 2].

    Returns:
        [h, w], in the own frame's unit; 0 beyond the eye's corners.
    """
    x, y = at[..., 0], at[..., 1]

    def across(heights: np.ndarray) -> np.ndarray:
        return np.interp(x, lids.x, heights)

    up, down = across(lids.new_upper), across(lids.new_lower)
    raised, sunk = across(lids.new_upper - lids.upper), across(lids.new_lower - lids.lower)
    brow = across(lids.brow)
    above = _ease((y - brow) / np.maximum(up - brow, 1e-3))
    below = _ease((down + CHEEK - y) / CHEEK)
    span = np.maximum(across(lids.lower - lids.upper), 1e-4)
    stretch = (y - up) * (span / np.maximum(down - up, 1e-4) - 1) - raised
    opens = (raised < 0) | (sunk > 0)
    move = np.where(opens, stretch, 0.0)
    move = np.where(y < up, -raised * above, move)
    move = np.where(y >= down, -sunk * below, move)
    return np.where((x > lids.x[0]) & (x < lids.x[-1]), move, 0.0)


def lash_gain(lids: Lids, at: np.ndarray, pixel: float) -> np.ndarray:
    """Return the line of lashes where two lids meet, as a factor [h, w, 3].

    Args:
        lids: See `move_lids`.
        at: Places in the own frame, [h, w, 2].
        pixel: Size of a pixel there.
    """
    x, y = at[..., 0], at[..., 1]
    off = y - np.interp(x, lids.x, lids.new_upper)
    taper = _ease((x - lids.ends[0]) / 0.10) * _ease((lids.ends[1] - x) / 0.10)
    wide = max(LASH_WIDTH, 0.75 * pixel)
    line = np.exp(-((off / wide) ** 2)) * 0.85
    shade = np.exp(-((np.maximum(off, 0) / (3.5 * wide)) ** 2)) * (off > -wide) * 0.22
    dark = np.clip(line + shade * (1 - line), 0, 1) * taper
    return (1 - dark[..., None] * LASH_DARK).astype(np.float32)


def _ease(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
