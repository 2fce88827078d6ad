"""Eyes that open and close: the photograph's own lid skin moves over the eye, or off it.

Above the new edge of the upper lid the skin up to the brow stretches, below the lower lid's the
cheek; each edge keeps its own lashes, since skin moves rigidly beside it. Between the two the
eyeball stays where it is; only an eye that opens further than the photograph shows is stretched.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.transfer.movement import by_column
from faceedit.transfer.points import Curves

LOWER_SHARE, SQUINT_SHARE = 0.12, 0.35  # of a closing that the lower lid makes; of a squint
RAISED_SHARE = 0.8  # of an opening that the upper lid makes
CHEEK = 0.22  # how far below the eye the skin gives way (unit: eye distance)
CORNER, CORNER_SHARE = 0.15, 0.25  # the outer corner follows the upper lid, so far and so much
LASH_WIDTH = 0.012
LASH_DARK = np.array([0.84, 0.88, 0.90])  # how much darker than skin lashes are
MARGIN = 0.030  # the edges of the lids' skin lie this far outside the line that landmarks find
STRETCH = 2.2  # skin above the eye must be so much higher than what it has to cover
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
        low = low + edge
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


def lid_cover(
    lids: Lids, at: np.ndarray, image: np.ndarray, to_pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return skin for closed lids that the photograph has none of: the brow lies on the eye.

    There the skin below the eye serves, mirrored at the line where the lids meet.

    Args:
        lids: See `move_lids`.
        at: Places in the own frame, [h, w, 2].
        image: The photograph in the frame, [h, w, 3].
        to_pixels: From the own frame to px of the frame, [2, 3].

    Returns:
        Colours [h, w, 3], and how much of them is seen [h, w]: 0 where skin was at hand.
    """
    x, y = at[..., 0], at[..., 1]
    needed = np.maximum(lids.new_upper - lids.upper, 0)
    short = np.clip(1 - (lids.upper - lids.brow) / (STRETCH * needed + 1e-6), 0, 1)
    smooth = np.convolve(np.pad(short, 3, "edge"), np.ones(7) / 7, "valid")
    up, low, reach, share = (
        np.interp(x, lids.x, line) for line in (lids.new_upper, lids.lower, needed, smooth)
    )
    high = (up - y) / np.maximum(reach, 1e-3)  # 0 at the line, 1 where the lid's edge was
    place = np.stack([x, low + 0.02 + 0.8 * np.maximum(up - y, 0)], -1)
    place = place @ to_pixels[:, :2].T + to_pixels[:, 2]
    skin = cv2.remap(
        image,
        place[..., 0].astype(np.float32),
        place[..., 1].astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    alpha = share * _ease((1.3 - high) / 0.5) * (y < up) * (reach > 1e-3)
    round_off = 1 - 0.16 * _ease(high) - 0.06 * _ease(1 - 2 * high)
    return skin * round_off[..., None], np.clip(1.6 * alpha, 0, 1)


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
    wide = max(LASH_WIDTH, pixel)
    line = np.exp(-((off / wide) ** 2)) * 0.78
    shade = np.exp(-((np.maximum(off, 0) / (3.5 * wide)) ** 2)) * (off > -wide) * 0.22
    dark = np.clip(line + shade * (1 - line), 0, 1) * taper
    return (1 - dark[..., None] * LASH_DARK).astype(np.float32)


def _ease(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
