"""A large hole filled with what its surroundings are made of, patch by patch.

Every patch of the hole should look like some patch of the surroundings (Wexler, Shechtman and
Irani, "Space-time completion of video", PAMI 2007). That is solved on a small picture, from coarse
to fine, with nearest patches found by one product of matrices. Where each patch came from then says
which of the photograph's own fine texture lies there.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceedit.transfer.fill import mirrored_fill, spread_colours

SIDES = (28, 52, 96)  # px of the longer side of the small pictures
ROUNDS = (5, 3, 2)  # of matching and voting on each
REACH = 2  # px around its middle that a patch shows
MOST = 3600  # patches of the surroundings that are compared
MARGIN = 0.45  # of the hole's sides: so far around it surroundings are looked at
NEAR = 0.02  # levels of 255 per px of a small picture by which farther patches count as less alike


def patched_fill(image: np.ndarray, hole: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the image with its hole filled from `source`.

    Args:
        image: RGB, [h, w, 3] float32 in [0, 255].
        hole: What is to be filled, [h, w] bool.
        source: What it may be filled from, [h, w] bool; within the hole it counts for nothing.
    """
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if not len(rows):
        return image
    source = source & ~hole
    h, w = hole.shape
    pad = int(MARGIN * max(np.ptp(rows), np.ptp(columns))) + 12
    y0, y1 = max(rows[0] - pad, 0), min(rows[-1] + 1 + pad, h)
    x0, x1 = max(columns[0] - pad, 0), min(columns[-1] + 1 + pad, w)
    box = np.s_[y0:y1, x0:x1]
    filled = _solved(image[box], hole[box], source[box])
    if filled is None:
        return mirrored_fill(image, hole, source)
    result = image.copy()
    result[box][hole[box]] = filled[hole[box]]
    return result


def _solved(image: np.ndarray, hole: np.ndarray, source: np.ndarray) -> np.ndarray | None:
    """Return the box filled, None where its surroundings have too few whole patches."""
    h, w = hole.shape
    spread = spread_colours(image, source)
    guess, where = None, None
    for side, rounds in zip(SIDES, ROUNDS, strict=True):
        step = max(1.0, max(h, w) / side)
        size = (max(8, round(w / step)), max(8, round(h / step)))
        free = cv2.resize(source.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        solid = 1 - cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        own = cv2.resize(image * source[..., None], size, interpolation=cv2.INTER_AREA)
        own = own / np.maximum(free, 1e-3)[..., None]
        empty = solid < 0.98
        known = (free > 0.6) & ~empty
        start = cv2.resize(spread if guess is None else guess, size, interpolation=cv2.INTER_LINEAR)
        level = np.where(known[..., None], own, start).astype(np.float32)
        found = _matched(level, empty, known, rounds)
        if found is None:
            if guess is None:
                return None
            break
        guess, where = found
    assert guess is not None and where is not None
    return _detailed(image, guess, where, source)


def _matched(
    level: np.ndarray, empty: np.ndarray, known: np.ndarray, rounds: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a small picture completed, and where each of its pixels came from, [h, w, 2] (x, y).

    Args:
        level: RGB, [h, w, 3] float32, with a guess where nothing is known.
        empty: What is to be completed, [h, w] bool.
        known: What it is completed from, [h, w] bool.
        rounds: Of matching and voting.
    """
    h, w = empty.shape
    side = 2 * REACH + 1
    kernel = np.ones((side, side), np.uint8)
    whole = cv2.erode(known.astype(np.uint8), kernel, borderValue=0) > 0
    whole[:REACH], whole[-REACH:], whole[:, :REACH], whole[:, -REACH:] = False, False, False, False
    spots = np.flatnonzero(whole)
    if len(spots) < 30:
        return None
    spots = spots[:: max(1, len(spots) // MOST)]
    wanted = np.flatnonzero(cv2.dilate(empty.astype(np.uint8), kernel) > 0)
    targets = np.flatnonzero(empty)
    ty, tx = np.divmod(wanted, w)
    sy, sx = np.divmod(spots, w)
    x, y = np.meshgrid(np.arange(w), np.arange(h))
    where = np.stack([x, y], 2)
    for _ in range(rounds):
        cuts = _cut(level)
        mine, theirs = cuts[wanted], cuts[spots]
        cost = (theirs**2).sum(1)[None] - 2 * (mine @ theirs.T)
        far = (NEAR * REACH * side) ** 2 * 3
        cost += far * ((tx[:, None] - sx[None]) ** 2 + (ty[:, None] - sy[None]) ** 2)
        best = cost.argmin(1)
        error = np.maximum(cost[np.arange(len(best)), best] + (mine**2).sum(1), 0)
        from_y, from_x = np.full((h, w), -1), np.full((h, w), -1)
        from_y[ty, tx], from_x[ty, tx] = sy[best], sx[best]
        trust = np.zeros((h, w), np.float32)
        trust[ty, tx] = np.exp(-error / max(2.0 * float(np.percentile(error, 60)), 1.0)) + 1e-3
        level = _voted(level, targets, from_x, from_y, trust)
        where[ty, tx] = np.stack([sx[best], sy[best]], 1)
    return level, where


def _cut(level: np.ndarray) -> np.ndarray:
    """Return the patch around every pixel, [h * w, p], mirrored beyond the border."""
    side = 2 * REACH + 1
    wide = cv2.copyMakeBorder(level, *[REACH] * 4, cv2.BORDER_REFLECT_101)
    view = np.lib.stride_tricks.sliding_window_view(wide, (side, side), (0, 1))
    return view.reshape(level.shape[0] * level.shape[1], -1)


def _voted(
    level: np.ndarray,
    targets: np.ndarray,
    from_x: np.ndarray,
    from_y: np.ndarray,
    trust: np.ndarray,
) -> np.ndarray:
    """Return a small picture whose pixels are what the patches over them say, on average."""
    h, w = trust.shape
    y, x = np.divmod(targets, w)
    total = np.zeros((len(targets), 3), np.float32)
    weights = np.full((len(targets), 1), 1e-6, np.float32)
    for dy in range(-REACH, REACH + 1):
        for dx in range(-REACH, REACH + 1):
            cy, cx = np.clip(y + dy, 0, h - 1), np.clip(x + dx, 0, w - 1)  # a patch over it
            own = from_x[cy, cx] >= 0
            py = np.clip(from_y[cy, cx] - dy, 0, h - 1)
            px = np.clip(from_x[cy, cx] - dx, 0, w - 1)
            vote = (trust[cy, cx] * own)[:, None]
            total += level[py, px] * vote
            weights += vote
    result = level.copy()
    result[y, x] = total / weights
    return result


def _detailed(
    image: np.ndarray, guess: np.ndarray, where: np.ndarray, source: np.ndarray
) -> np.ndarray:
    """Return the small picture enlarged, with the fine texture of where its pixels came from."""
    h, w = image.shape[:2]
    rows, columns = guess.shape[:2]
    scale = np.array([w / columns, h / rows], np.float32)
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    offset = (where - np.stack([x, y], 2)).astype(np.float32) * scale
    # Whole offsets: a texture is moved, never stretched.
    near = cv2.resize(offset, (w, h), interpolation=cv2.INTER_NEAREST)
    u = near[..., 0] + np.arange(w, dtype=np.float32)[None]
    v = near[..., 1] + np.arange(h, dtype=np.float32)[:, None]
    sigma = 0.7 * float(scale.max())
    weight = cv2.GaussianBlur(source.astype(np.float32), (0, 0), sigma)
    soft = cv2.GaussianBlur(image * source[..., None], (0, 0), sigma)
    fine = (image - soft / np.maximum(weight, 1e-2)[..., None]) * source[..., None]
    border = cv2.BORDER_REFLECT_101
    moved = cv2.remap(fine, u.round(), v.round(), cv2.INTER_NEAREST, borderMode=border)
    base = cv2.resize(guess, (w, h), interpolation=cv2.INTER_CUBIC)
    return np.clip(base + moved, 0, 255)
