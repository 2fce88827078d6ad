"""What a sentence puts on skin: freckles, blush, eyeshadow.

A drawn face of 128 px hardly shows them, but its reader says whether the edit brought them. Where
they lie is anatomy; how they look follows the photograph's own light: each pixel is darkened or
led to the paint's colour from where it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from faceedit.transfer.folds import face_grid
from faceedit.transfer.layers import Layers
from faceedit.transfer.movement import by_column
from faceedit.transfer.points import SIDES, Curves, curves_of, own_frame, upright
from faceedit.transfer.refine import refined
from faceedit.transfer.reshade import face_box, skin_mask
from faceedit.transfer.spline import Box
from faceedit.transfer.view import View
from faceedit.transfer.warp import places

FRECKLED, LESS = 0.3, -0.03  # least reading, and least gain: at 128 px a freckle is below a pixel
BLUSHES, SHADES = 0.04, 0.03  # least gains of what the reader says
HIDES = ("eyes", "glasses", "lens", "hair", "hat", "covering")  # eyeshadow
STEP = 1 / 150  # of the grid that freckles are drawn on (unit: eye distance)
COUNT = 320  # freckles
FRECKLE = np.array([0.24, 0.52, 0.70])  # logarithm: how much darker the darkest is, R, G, B
BLUSH = np.array([0.02, 0.26, 0.20])  # the same in the middle of a cheek
LID = 0.85  # of the paint's colour on the lid
PAINTS: Mapping[str, tuple[float, float, float]] = {  # lightness over the skin's, a, b
    "": (0.58, 17.0, 0.0),
    "blue": (0.80, -2.0, -32.0),
    "green": (0.80, -26.0, 12.0),
    "purple": (0.70, 24.0, -26.0),
    "pink": (0.88, 34.0, 0.0),
    "gold": (0.95, 8.0, 42.0),
    "brown": (0.66, 12.0, 20.0),
    "dark": (0.42, 3.0, 0.0),
}


def make_up(photo: View, before: View, after: View) -> Layers:
    """Return the freckles, blush and eyeshadow that the sentence names and the pair gained.

    Args:
        photo: The photograph.
        before: The drawn face that stands for it.
        after: The same face edited.
    """
    freckled, blushing, paint = _wanted(before, after)
    face = curves_of(photo)
    if face is None or not (freckled or blushing or paint is not None):
        return Layers()
    to_own = upright(face)
    unit = 1 / float(np.hypot(*to_own[:, 0]))
    box, own = face_box(face, unit, photo.shape), own_frame(refined(photo, face))
    skin = skin_mask(photo, face, unit)[box]
    gain, shift = None, None
    if freckled or blushing:
        dark = np.zeros((*skin.shape, 3))
        if freckled:
            dark += freckled * _freckles(own, to_own, box, photo.pixel / unit)[..., None] * FRECKLE
        if blushing:
            dark += blushing * _blush(own, to_own, box)[..., None] * BLUSH
        gain = np.ones((*photo.shape, 3), np.float32)
        gain[box] = np.exp(-dark * skin[..., None])
    if paint is not None:
        colour, amount = paint
        shift = np.zeros((*photo.shape, 3), np.float32)
        cover = amount * _lids(own, to_own, box)
        cover = cover * (1 - photo.region(*HIDES)[box])
        shift[box] = _painted(photo.image[box], cover, PAINTS[colour], skin)
    return Layers(gain=gain, shift=shift)


def _wanted(before: View, after: View) -> tuple[float, float, tuple[str, float] | None]:
    """Return how much of freckles and blush, and which eyeshadow and how much of it."""
    asked = after.asked

    def gained(trait: str) -> float:
        return after.traits.get(trait, 0.0) - before.traits.get(trait, 0.0)

    freckled = asked.reaches("skin", "freckles") * (gained("freckles") > LESS)
    freckled *= after.traits.get("freckles", 0.0) > FRECKLED
    blushing = asked.reaches("skin", "blush") * (gained("blush") > BLUSHES)
    kinds = asked.kinds.get("eyeshadow", frozenset()) & PAINTS.keys()
    amount = asked.share * (gained("eyeshadow") > SHADES)
    paint = (min(kinds), amount) if kinds and amount > 0 else None
    return freckled, blushing, paint


def _freckles(face: Curves, to_own: np.ndarray, box: Box, pixel: float) -> np.ndarray:
    """Return how dark freckles are, over cheeks and nose, [h, w] in [0, 1]."""
    grid = face_grid(face, STEP)
    low, (rows, columns) = grid.low, grid.shape
    spots = np.zeros(grid.shape, np.float32)
    rng = np.random.default_rng(17)
    for place in _freckle_places(face, rng):
        x, y = (place - low) / STEP
        size = max(rng.uniform(0.007, 0.014), 0.55 * pixel) / STEP
        wide, deep = size * rng.uniform(0.8, 1.35), rng.uniform(0.12, 1.0) ** 1.4
        reach = int(np.ceil(3 * wide))
        x0, y0 = int(x) - reach, int(y) - reach
        if min(x0, y0) < 0 or x0 + 2 * reach >= columns or y0 + 2 * reach >= rows:
            continue
        across = np.arange(2 * reach + 1)
        dx, dy = (across + x0 - x) / wide, (across + y0 - y) / size
        spot = deep * np.exp(-0.7 * (dx[None] ** 2 + dy[:, None] ** 2) ** 1.3)
        part = spots[y0 : y0 + 2 * reach + 1, x0 : x0 + 2 * reach + 1]
        np.maximum(part, spot.astype(np.float32), out=part)
    return np.clip(grid.spread(spots[..., None], to_own, box), 0, 1)


def _freckle_places(face: Curves, rng: np.random.Generator) -> np.ndarray:
    """Return where freckles lie, [n, 2]: most below the eyes and on the nose, a few elsewhere."""
    tip = face["nose"][:, 1].max()
    cheeks = rng.standard_normal((COUNT, 2)) * (0.20, 0.5 * 0.38 * tip) + (0.0, 0.62 * tip)
    cheeks[:, 0] += rng.choice((-0.46, 0.46), COUNT)
    nose = rng.standard_normal((COUNT // 5, 2)) * (0.10, 0.22 * tip) + (0.0, 0.55 * tip)
    rest = rng.uniform((-0.8, -0.75), (0.8, 1.25), (COUNT // 6, 2))
    return np.concatenate([cheeks, nose, rest])


def _blush(face: Curves, to_own: np.ndarray, box: Box) -> np.ndarray:
    """Return how red the cheeks get, [h, w] in [0, 1]."""
    at = places(to_own, box)
    tip = face["nose"][:, 1].max()
    wide = 0.5 * float(np.ptp(face["outline"][:, 0]))
    red = np.zeros(at.shape[:2])
    for side in (-1, 1):
        x, y = (at[..., 0] - side * 0.56 * wide) / (0.30 * wide), (at[..., 1] - 0.78 * tip) / 0.24
        red += np.exp(-(x * x) - (y + 0.35 * side * x) ** 2)
    return np.minimum(red, 1)


def _lids(face: Curves, to_own: np.ndarray, box: Box) -> np.ndarray:
    """Return how much of the paint lies on the lids, [h, w] in [0, 1]: most along the lashes."""
    at = places(to_own, box)
    paint = np.zeros(at.shape[:2])
    for side in SIDES:
        lid, brow = by_column(face[f"upper_lid_{side}"]), by_column(face[f"brow_lower_{side}"])
        middle, half = lid[:, 0].mean(), 0.5 * float(np.ptp(lid[:, 0]))
        across = (at[..., 0] - middle) / half
        lash = np.interp(at[..., 0], lid[:, 0], lid[:, 1])
        top = np.interp(at[..., 0], brow[:, 0], brow[:, 1])
        up = (lash - at[..., 1]) / np.maximum(lash - top, 0.06)
        rise = np.clip((up + 0.02) / 0.06, 0, 1) * np.clip((0.86 - up) / 0.55, 0, 1) ** 0.8
        ends = np.clip((1.22 - np.abs(across)) / 0.45, 0, 1)
        paint = np.maximum(paint, rise * ends * ends * (3 - 2 * ends))
    return LID * paint


def _painted(
    image: np.ndarray, cover: np.ndarray, paint: tuple[float, float, float], skin: np.ndarray
) -> np.ndarray:
    """Return what is added to a picture under paint, [h, w, 3], in levels of 255.

    Args:
        image: RGB, [h, w, 3] float32 in [0, 255].
        cover: How much paint lies where, [h, w] in [0, 1].
        paint: Lightness over the skin's, a and b of CIELAB.
        skin: Where the face's bare skin is; lashes and brows keep their colour.
    """
    lab = cv2.cvtColor(np.clip(image, 0, 255).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    usual = float(np.median(lab[..., 0][skin > 0.5])) if (skin > 0.5).any() else 60.0
    # Lashes, creases and brows, which are darker than the skin, take little of it.
    takes = cover * np.clip((lab[..., 0] / usual - 0.35) / 0.35, 0, 1)
    goal = np.dstack([lab[..., 0] * paint[0], np.full_like(cover, paint[1]), 0 * cover + paint[2]])
    new = lab + (goal - lab) * takes[..., None].astype(np.float32)
    rgb = cv2.cvtColor(new.astype(np.float32), cv2.COLOR_LAB2RGB) * 255
    return np.where(takes[..., None] > 1e-3, rgb - np.clip(image, 0, 255), 0)
