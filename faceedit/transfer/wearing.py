"""How a hat comes on to the photograph: read off the pair, fitted to the hair, and shaded below."""

from __future__ import annotations

import cv2
import numpy as np

from faceedit.transfer.drawing import blur, smooth_step
from faceedit.transfer.head import SKULL_AXES, SKULL_CENTRE, Head
from faceedit.transfer.headwear import Fit, Hat, cloth_colour, draw_hat
from faceedit.transfer.layers import Layers
from faceedit.transfer.light import Light
from faceedit.transfer.scalp import grown
from faceedit.transfer.shifts import shifted_fill
from faceedit.transfer.view import View

EDGE = 42.0  # mm over the eyes: where a hat's edge crosses the forehead
SLOPE = 0.27  # it falls over the tops of the ears
LEAST = 900.0  # mm^2 of hat in the drawn face
GROW = np.array([[-6.0, -14.0, -6.0], [20.0, 34.0, 22.0]])  # mm: least and most room for hair
REACH = {  # mm below the hat: of the near and the far shadow
    "beanie": (3.0, 7.0),
    "headband": (1.5, 3.0),
    "cap": (6.0, 20.0),
    "sun hat": (10.0, 30.0),
}
SHADED = ("skin", "nose", "eyes", "brows", "ear", "hair", "glasses", "lens", "lips", "beard")
PRESSED = np.array([0.5, 0.7, 0.6])  # of the hair's thickness is left under a hat
TALLEST = 1.2  # times as high as wide is what hair makes of a head


def read_hat(drawn: View, head: Head, exposure: float) -> Hat | None:
    """Return the hat of a drawn face, None where it wears none.

    Args:
        drawn: The face.
        head: The view of its head.
        exposure: How much brighter the photograph's skin is than the drawn one's.
    """
    hat = drawn.region("hat")
    worn = hat > 0.5
    told = drawn.choice("hat")
    bare = told is not None and told[0] == "none" and told[1] > 0.8
    if worn.sum() / head.scale**2 < (4 * LEAST if bare else LEAST):
        return None
    where = worn & (hat > 0.8) if (hat > 0.8).sum() > 50 else worn
    return Hat(_kind(drawn, worn, head), cloth_colour(drawn.image, where, exposure))


def _kind(drawn: View, worn: np.ndarray, head: Head) -> str:
    """Tell hats apart: by the reader, else by their outline over the face, in mm."""
    told = drawn.choice("hat")
    if told is not None and told[0] in REACH and told[1] > 0.5:
        return told[0]
    x, y = head.plane(drawn.shape)
    half = (np.percentile(x[worn], 99.0) - np.percentile(x[worn], 1.0)) / 2
    if half > 112:
        return "sun hat"
    middle = np.abs(x) < 28
    above = drawn.region("hair") > 0.5
    top = np.percentile(y[worn & middle], 98) if (worn & middle).any() else 0.0
    if (above & middle & (y > top - 6)).sum() > 0.25 * (worn & middle).sum():
        return "headband"
    low = np.percentile(y[worn & middle], 2)
    sides = worn & (np.abs(x) > 52) & (np.abs(x) < 70)
    rim = np.percentile(y[sides], 4) if sides.any() else low
    return "cap" if low < rim - 6 else "beanie"


def wear_hat(photo: View, head: Head, light: Light, hat: Hat) -> Layers:
    """Return a hat on the photograph's head: hair beside it is gone, what is below is shaded.

    Args:
        photo: The photograph.
        head: The view of its head.
        light: On its face.
        hat: What to draw.
    """
    person = 1 - photo.region("background")
    fit = fit_hat(photo, head)
    sheet, colour, alpha = draw_hat(hat, fit, head, light, person)
    layer = sheet.laid(colour, alpha, photo.shape, grain=0.4)
    assert layer.alpha is not None
    alpha = layer.alpha
    below = _shadow(photo, head, alpha, light, hat.kind)
    tucked = Layers()
    if hat.kind != "headband":
        tucked = _tucked(photo, head, alpha, hat.kind)
    return tucked.then(Layers(gain=below)).then(layer)


def fit_hat(photo: View, head: Head) -> Fit:
    """Return how a hat sits on the photograph's head, with room for its hair."""
    step = max(1, int(head.scale * 1.2))
    small = Head(head.turn, head.scale / step, head.origin / step, head.size)

    def part(*names: str) -> np.ndarray:
        return photo.region(*names)[::step, ::step] > 0.5

    solid = part("skin", "ear", "hair", "hat", "brows", "covering")
    hair = part("hair", "hat", "covering")
    x, y = small.plane(hair.shape)
    points, inside = small.meet(hair.shape, SKULL_CENTRE, SKULL_AXES)
    plain = Fit(EDGE, SLOPE, np.zeros(3))
    above = (plain.height(points) > 12) & (inside > -0.6)
    grow = np.array([4.0, 12.0, 6.0])
    across = solid & above & (y < 68)
    if across.sum() > 8:
        half = np.percentile(np.abs(points[..., 0][across]), 97)
        grow[0] = half - SKULL_AXES[0]
    # A bald head ends where its skin does; nearer cameras see less of its top.
    top = solid & above & (np.abs(x) < 40)
    if top.sum() > 8:
        high = np.percentile(points[..., 1][top], 99)
        grow[1] = high - SKULL_CENTRE[1] - SKULL_AXES[1]
    grow = np.where(grow > 0, PRESSED * grow, grow)
    grow[1] = min(grow[1], TALLEST * (SKULL_AXES[0] + grow[0]) - SKULL_AXES[1])
    grow[2] = 0.5 * (grow[0] + grow[1])
    return Fit(EDGE, SLOPE, np.clip(grow, *GROW))


def _tucked(photo: View, head: Head, hat: np.ndarray, kind: str) -> Layers:
    """Return the photograph without the hair that the hat would press down."""
    hair = photo.region("hair")
    # Above the hat, in the columns that it covers.
    over = np.maximum.accumulate(hat[::-1], axis=0)[::-1]
    if kind != "sun hat":
        over = np.maximum(over, _beside(hat, head.scale))
    # Single hairs reach far over the background; specks that a parser took for hair stay.
    size = 2 * max(1, round(1.5 * head.scale)) + 1
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    core = cv2.morphologyEx((hair > 0.5).astype(np.uint8), cv2.MORPH_OPEN, ellipse)
    near = grown(core.astype(np.float32), 7 * head.scale)
    wide = grown(hair, 2.5 * head.scale)
    gone = smooth_step(0.15, 0.5, blur(wide, 0.8 * head.scale))
    reach = smooth_step(0.3, 0.8, photo.region("background"))
    gone = np.maximum(gone, smooth_step(0.1, 0.4, blur(near, 1.5 * head.scale)) * reach)
    gone = gone * over * near * (1 - (hat > 0.99)) * photo.known
    if (gone > 0.5).sum() < 4:
        return Layers()
    hole = (gone > 0.02) | (wide > 0.1) | (near > 0)
    source = (photo.region("background") > 0.9) & (photo.known > 0.5) & ~hole
    filled = shifted_fill(photo.image, hole, source)
    return Layers(
        cover=filled, alpha=gone.astype(np.float32), grain=np.full(photo.shape, 0.15, np.float32)
    )


def _beside(hat: np.ndarray, mm: float) -> np.ndarray:
    """Return what lies beside a hat, above the curves that hair falls along from its edge."""
    h, w = hat.shape
    solid = hat > 0.5
    columns = np.flatnonzero(solid.any(0))
    if not len(columns):
        return np.zeros(hat.shape, np.float32)
    x, y = np.arange(w, dtype=np.float32)[None], np.arange(h, dtype=np.float32)[:, None]
    found = np.zeros(hat.shape, np.float32)
    noise = np.random.default_rng(2).standard_normal(hat.shape).astype(np.float32)
    rough = 4 * mm * blur(noise, 1.5 * mm)  # mm: locks do not end in a line
    for column, side in ((columns[0], -1), (columns[-1], 1)):
        inner = np.clip(column - side * round(2 * mm), 0, w - 1)
        foot = float(np.flatnonzero(solid[:, inner])[-1]) if solid[:, inner].any() else 0.0
        outwards = (x - column) * side
        out = np.clip(outwards / mm, 0, None)
        above = foot - 2 * mm + mm * (0.35 * out + 0.012 * out * out + rough) - y
        beside = smooth_step(-1.5 * mm, 1.5 * mm, above) * smooth_step(-2.5 * mm, 0, outwards)
        found = np.maximum(found, beside)
    return found


def _shadow(photo: View, head: Head, hat: np.ndarray, light: Light, kind: str) -> np.ndarray:
    """Return how much darker face and hair are below the hat, [h, w, 3] factors."""
    deep = {
        "beanie": (3.0, 7.0),
        "headband": (1.5, 3.0),
        "cap": (6.0, 20.0),
        "sun hat": (10.0, 30.0),
    }
    near, far = deep[kind]
    tx = light.towards[0]
    mm = head.scale

    def fallen(distance: float, softness: float) -> np.ndarray:
        moved = _shifted(hat, -0.4 * tx * distance * mm, distance * mm)
        return blur(moved, softness * mm)

    strong = 0.30 if kind in ("beanie", "headband") else 0.34
    dark = 0.34 * fallen(near, 1.6) + strong * fallen(far, 0.35 * far + 2)
    on = photo.region(
        "skin", "nose", "eyes", "brows", "ear", "hair", "glasses", "lens", "lips", "beard"
    )
    dark = np.clip(dark, 0, 0.62) * smooth_step(0.2, 0.7, on)
    tint = np.array([0.88, 1.0, 1.06], np.float32)
    return (1 - dark[..., None] * tint).astype(np.float32)


def _shifted(field: np.ndarray, dx: float, dy: float) -> np.ndarray:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return cv2.warpAffine(field, matrix, field.shape[::-1])
