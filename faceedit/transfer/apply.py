"""Apply layers to the photograph at its own resolution; where they do nothing it stays bit for bit.

The photograph is gone through in strips, so that memory stays far below what a copy of the whole
in floating point would take.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceedit.transfer.frame import Frame
from faceedit.transfer.grain import Grain, measure_grain
from faceedit.transfer.layers import Layers

STRIP = 256  # rows
FADE = 0.06  # of the frame's shorter side: layers end softly where the frame does


def apply(
    photo: np.ndarray, frame: Frame, layers: Layers, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the changed photograph and where it may differ, [h, w, 3] uint8 and [h, w] bool.

    Args:
        photo: RGB, [h, w, 3] uint8.
        frame: That the layers live in.
        layers: What to do.
        allowed: How much of it is allowed where, [h, w] uint8; None = all of it everywhere.
    """
    image, changed = photo.copy(), np.zeros(photo.shape[:2], bool)
    layers = layers.limited(_inward(frame))
    extent = layers.extent()
    if extent is None:
        return image, changed
    rows, columns = np.flatnonzero(extent.any(1)), np.flatnonzero(extent.any(0))
    box = frame.reach(columns[0] - 1, rows[0] - 1, columns[-1] + 1, rows[-1] + 1)
    left, top, right, bottom = box
    grain = None if layers.alpha is None else measure_grain(photo, box)
    for y in range(top, bottom, STRIP):
        end = min(y + STRIP, bottom)
        strip, acts = _strip(photo, frame, layers, extent, (left, y, right, end), grain)
        if allowed is not None:
            strip, acts = _allowed(photo, strip, acts, allowed, (left, y, right, end))
        image[y:end, left:right][acts] = strip[acts]
        changed[y:end, left:right] = acts
    return image, changed


def _allowed(
    photo: np.ndarray,
    strip: np.ndarray,
    acts: np.ndarray,
    allowed: np.ndarray,
    box: tuple[int, int, int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return a strip and where it acts, limited to what is allowed."""
    left, top, right, bottom = box
    weight = allowed[top:bottom, left:right].astype(np.float32)[..., None] / 255
    own = photo[top:bottom, left:right].astype(np.float32)
    mixed = np.rint(own + (strip - own) * weight).astype(np.uint8)
    return mixed, acts & (weight[..., 0] > 0)


def _inward(frame: Frame) -> np.ndarray:
    """Return 1 inside the frame, falling to 0 at those of its edges that lie in the photograph."""
    height, width = frame.shape
    reach = max(2.0, FADE * min(frame.shape))
    x, y = np.arange(width), np.arange(height)
    photo_height, photo_width = frame.photo
    ramps = []
    for distance, edge in (
        (x[None], [(0, 0), (0, height - 1)]),
        (width - 1 - x[None], [(width - 1, 0), (width - 1, height - 1)]),
        (y[:, None], [(0, 0), (width - 1, 0)]),
        (height - 1 - y[:, None], [(0, height - 1), (width - 1, height - 1)]),
    ):
        ends = np.array(edge, float) @ frame.back[:, :2].T + frame.back[:, 2]
        outside = (ends < 1).any() or (ends > (photo_width - 2, photo_height - 2)).any()
        if not outside:
            ramps.append(np.clip(distance / reach, 0, 1))
    weight = np.ones(frame.shape, np.float32)
    for ramp in ramps:
        weight = weight * (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    return weight


def _strip(
    photo: np.ndarray,
    frame: Frame,
    layers: Layers,
    extent: np.ndarray,
    box: tuple[int, int, int, int],
    grain: Grain | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a box of the changed photograph and where it may differ from what was there."""
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    matrix = frame.matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ (left, top)

    def raised(field: np.ndarray) -> np.ndarray:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_CONSTANT
        return cv2.warpAffine(field, matrix, size, flags=flags, borderMode=border)

    acts = raised(extent.astype(np.uint8) * 255) > 0
    if not acts.any():
        return photo[top:bottom, left:right], acts
    if layers.move is None:
        pixels = photo[top:bottom, left:right].astype(np.float32)
    else:
        pixels = _moved(photo, frame, raised(layers.move), box)
    if layers.gain is not None:
        pixels *= 1 + raised(layers.gain - 1)
    if layers.shift is not None:
        pixels += raised(layers.shift)
    if layers.cover is not None and layers.alpha is not None:
        alpha = raised(layers.alpha)
        # Premultiplied, so that what lies beside the cover does not bleed into its edge.
        pixels *= (1 - alpha)[..., None]
        pixels += raised(layers.cover * layers.alpha[..., None])
        if grain is not None:
            needs = alpha if layers.grain is None else raised(layers.alpha * layers.grain)
            pixels += grain.field(left, top, *size) * needs[..., None]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), acts


def _moved(
    photo: np.ndarray, frame: Frame, move: np.ndarray, box: tuple[int, int, int, int]
) -> np.ndarray:
    """Return the box of the photograph with its pixels moved; `move` is in px of the frame."""
    left, top, right, bottom = box
    move = move @ frame.back[:, :2].T.astype(np.float32)  # px of the photograph
    reach = int(np.ceil(np.abs(move).max())) + 3
    height, width = photo.shape[:2]
    x0, y0 = max(left - reach, 0), max(top - reach, 0)
    source = photo[y0 : min(bottom + reach, height), x0 : min(right + reach, width)]
    x = move[..., 0] + np.arange(left - x0, right - x0, dtype=np.float32)
    y = move[..., 1] + np.arange(top - y0, bottom - y0, dtype=np.float32)[:, None]
    border = cv2.BORDER_REFLECT_101
    moved = cv2.remap(source, x, y, cv2.INTER_CUBIC, borderMode=border).astype(np.float32)
    still = np.abs(move).max(2) < 1e-2
    moved[still] = photo[top:bottom, left:right][still]
    return moved
