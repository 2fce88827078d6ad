"""What lies behind something that is gone: the photograph's own texture, continued.

A hole is filled by mirroring its surroundings at its edge: that continues texture, grain and light
without a seam. Where the mirror image is no part of the surroundings either, their colours are
spread smoothly.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

COARSE = 192  # px of the longer side on which the way out of a hole is found
LEVELS = 9


def mirrored_fill(image: np.ndarray, hole: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the image with its hole filled from `source`.

    Args:
        image: RGB, [h, w, 3] float32.
        hole: What is to be filled, [h, w] bool.
        source: What it may be filled from, [h, w] bool; within the hole it counts for nothing.
    """
    filled = image.copy()
    box = _box(hole)
    if box is None:
        return filled
    # What lies far from the hole is never read.
    reach = int(0.6 * max(box[1] - box[0], box[3] - box[2])) + 24
    h, w = hole.shape
    y0, y1 = max(box[0] - reach, 0), min(box[1] + reach, h)
    x0, x1 = max(box[2] - reach, 0), min(box[3] + reach, w)
    part, inside = image[y0:y1, x0:x1], hole[y0:y1, x0:x1]
    source = source[y0:y1, x0:x1] & ~inside
    if source.sum() >= 20:
        filled[y0:y1, x0:x1][inside] = _mirrored(part, source)[inside]
    return filled


def _mirrored(image: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return what the surroundings become when they are mirrored at their edge."""
    h, w = source.shape
    spread = spread_colours(image, source)
    way = _way_out(source)
    u = np.arange(w, dtype=np.float32)[None] + 2 * way[..., 0]
    v = np.arange(h, dtype=np.float32)[:, None] + 2 * way[..., 1]
    border = cv2.BORDER_REFLECT_101
    mirror = cv2.remap(image, u, v, cv2.INTER_LINEAR, borderMode=border)
    sure = cv2.remap(source.astype(np.float32), u, v, cv2.INTER_LINEAR, borderMode=border)
    # Where the mirror image is no part of the surroundings, their spread colours stand in.
    sure = np.clip(cv2.blur(sure, (5, 5)) * 2 - 1, 0, 1)[..., None]
    return spread + (mirror - spread) * sure


def spread_colours(image: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the colours of `source`, [h, w] bool or weights, spread over the whole picture.

    A pyramid of weighted means, read from the coarsest to the finest (Gortler et al., "The
    Lumigraph", 1996: pull and push).
    """
    weight = source.astype(np.float32)
    pyramid: list[np.ndarray] = [
        np.concatenate([image * weight[..., None], weight[..., None]], 2).astype(np.float32)
    ]
    while min(pyramid[-1].shape[:2]) > 2 and len(pyramid) < LEVELS:
        pyramid.append(cv2.pyrDown(pyramid[-1]))
    spread = pyramid[-1]
    spread = spread[..., :3] / np.maximum(spread[..., 3:], 1e-4)
    for level in reversed(pyramid[:-1]):
        spread = cv2.resize(spread, level.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        sure = np.clip(level[..., 3:] * 4, 0, 1)
        own = level[..., :3] / np.maximum(level[..., 3:], 1e-4)
        spread = spread * (1 - sure) + own * sure
    return spread


def _way_out(source: np.ndarray) -> np.ndarray:
    """Return for each pixel the smoothed way to the nearest of `source`, [h, w, 2] (x, y), px."""
    h, w = source.shape
    step = max(1.0, max(h, w) / COARSE)
    size = (max(2, round(w / step)), max(2, round(h / step)))
    small = cv2.resize(source.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    distance, nearest = ndimage.distance_transform_edt(~small, return_indices=True)
    y, x = np.indices(small.shape)
    way = np.stack([nearest[1] - x, nearest[0] - y], 2).astype(np.float32)
    smooth = cv2.GaussianBlur(way, (0, 0), 2.5)
    deep = np.clip(distance / 4, 0, 1).astype(np.float32)[..., None]
    way = way * (1 - deep) + smooth * deep
    scale = np.array([w / size[0], h / size[1]], np.float32)
    return cv2.resize(way * scale, (w, h), interpolation=cv2.INTER_LINEAR)


def _box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
