"""Apply layers to the photograph at its own resolution; where they do nothing it stays bit for bit.

The photograph is gone through in tiles: where nothing acts costs nothing, and memory stays far
below what a copy of the whole in floating point would take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

import cv2
import numpy as np

from faceedit.transfer.frame import Frame
from faceedit.transfer.grain import Grain, measure_grain
from faceedit.transfer.layers import STILL, Layers

TILE = 384  # px of the photograph
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
    fields = _fields(layers, extent)
    grain = None if fields.alpha is None else measure_grain(photo, box)
    for y in range(top, bottom, TILE):
        for x in range(left, right, TILE):
            tile = x, y, min(x + TILE, right), min(y + TILE, bottom)
            _apply_tile(photo, frame, fields, tile, grain, allowed, image, changed)
    return image, changed


@dataclass(frozen=True, eq=False)
class _Fields:
    """Layers in the form that is raised to the photograph: 0 where nothing happens."""

    extent: np.ndarray  # [h, w] uint8, 255 where the layers act
    move: np.ndarray | None
    gain: np.ndarray | None  # less 1
    shift: np.ndarray | None
    cover: (
        np.ndarray | None
    )  # times alpha, so that what lies beside it does not bleed into its edge
    alpha: np.ndarray | None
    needs: np.ndarray | None  # how much grain the cover needs


def _fields(layers: Layers, extent: np.ndarray) -> _Fields:
    cover, alpha, needs = layers.cover, layers.alpha, layers.alpha
    if cover is None or alpha is None:
        cover, alpha, needs = None, None, None
    else:
        cover = cover * alpha[..., None]
        needs = alpha if layers.grain is None else alpha * layers.grain
    gain = None if layers.gain is None else layers.gain - 1
    shown = extent.astype(np.uint8) * 255
    return _Fields(shown, layers.move, gain, layers.shift, cover, alpha, needs)


def _apply_tile(
    photo: np.ndarray,
    frame: Frame,
    fields: _Fields,
    box: tuple[int, int, int, int],
    grain: Grain | None,
    allowed: np.ndarray | None,
    image: np.ndarray,
    changed: np.ndarray,
) -> None:
    """Write a box of the changed photograph into `image`, and where it may differ."""
    left, top, right, bottom = box
    found = _tile(photo, frame, fields, box, grain)
    if found is None:
        return
    tile, acts = found
    if allowed is not None:
        tile, acts = _allowed(photo, tile, acts, allowed, box)
    np.copyto(image[top:bottom, left:right], tile, where=acts[..., None])
    changed[top:bottom, left:right] = acts


def _allowed(
    photo: np.ndarray,
    tile: np.ndarray,
    acts: np.ndarray,
    allowed: np.ndarray,
    box: tuple[int, int, int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return a tile and where it acts, limited to what is allowed."""
    left, top, right, bottom = box
    weight = allowed[top:bottom, left:right].astype(np.float32)[..., None] / 255
    own = photo[top:bottom, left:right].astype(np.float32)
    mixed = np.rint(own + (tile - own) * weight).astype(np.uint8)
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


def _tile(
    photo: np.ndarray,
    frame: Frame,
    fields: _Fields,
    box: tuple[int, int, int, int],
    grain: Grain | None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a box of the changed photograph and where it may differ; None where nothing does."""
    left, top, right, bottom = box
    size = (right - left, bottom - top)
    matrix = frame.matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ (left, top)

    def raised(field: np.ndarray) -> np.ndarray:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_CONSTANT
        return cv2.warpAffine(field, matrix, size, flags=flags, borderMode=border)

    acts = raised(fields.extent) > 0
    if not acts.any():
        return None
    part = _within(frame, box)

    def here(field: np.ndarray | None, least: float = 0.0) -> TypeGuard[np.ndarray]:
        return field is not None and bool(np.abs(field[part]).max(initial=0.0) > least)

    pixels = photo[top:bottom, left:right].astype(np.float32)
    if here(fields.move, STILL):
        pixels = _moved(photo, frame, raised(fields.move), box, pixels)
    if here(fields.gain):
        pixels *= 1 + raised(fields.gain)
    if here(fields.shift):
        pixels += raised(fields.shift)
    if here(fields.alpha):
        _cover(pixels, fields, raised, None if grain is None else grain.field(left, top, *size))
    pixels += 0.5
    np.clip(pixels, 0, 255.5, out=pixels)
    return pixels.astype(np.uint8), acts


def _cover(
    pixels: np.ndarray,
    fields: _Fields,
    raised: Callable[[np.ndarray], np.ndarray],
    grain: np.ndarray | None,
) -> None:
    """Lay the cover over the pixels of a tile, with as much grain as it needs."""
    assert fields.cover is not None and fields.alpha is not None and fields.needs is not None
    pixels *= (1 - raised(fields.alpha))[..., None]
    pixels += raised(fields.cover)
    if grain is not None:
        pixels += grain * raised(fields.needs)[..., None]


def _within(frame: Frame, box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of the frame that a box of the photograph is raised from."""
    left, top, right, bottom = box
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
    places = corners @ frame.matrix[:, :2].T + frame.matrix[:, 2]
    x0, y0 = np.clip(np.floor(places.min(0)).astype(int) - 1, 0, None)
    x1, y1 = np.ceil(places.max(0)).astype(int) + 2
    columns, rows = slice(x0, max(x1, x0 + 1)), slice(y0, max(y1, y0 + 1))
    return rows, columns


def _moved(
    photo: np.ndarray,
    frame: Frame,
    move: np.ndarray,
    box: tuple[int, int, int, int],
    still: np.ndarray,
) -> np.ndarray:
    """Return a box of the photograph with its pixels moved.

    Args:
        photo: RGB, [h, w, 3] uint8.
        frame: That the movement is in.
        move: Of the box's pixels, [h, w, 2], px of the frame.
        box: Left, top, right, bottom.
        still: The box as it is, [h, w, 3] float32; where nothing moves it stays to the bit.
    """
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
    stays = (np.abs(move[..., 0]) < 1e-2) & (np.abs(move[..., 1]) < 1e-2)
    np.copyto(moved, still, where=stays[..., None])
    return moved
