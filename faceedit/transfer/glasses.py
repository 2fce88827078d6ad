"""Glasses: what the drawn face wears, drawn anew on the photograph's eyes.

The pair says whether the lenses are dark, how round they are and which colour the frame has. The
frame is made in head space (lenses on the pupils, a bridge on the nose, temples to the ears) and
seen through the photograph's view of the head, so it turns and tilts with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from faceedit.transfer.drawing import Sheet, blur, sheet_over, smooth_step, superellipse
from faceedit.transfer.head import Head
from faceedit.transfer.layers import Layers
from faceedit.transfer.light import Light, display, linear
from faceedit.transfer.view import View

LENS_X = 34.0  # mm from the middle to the middle of a lens
LENS_Y = -1.5
FRONT = 15.0  # mm before the eyes
WRAP = 0.0032  # 1/mm: how much the front bends back
LEAN = 0.10  # the lower rim is nearer to the cheek
HINGE = (6.0, 1.0)  # mm above the lens's middle, and beyond its edge
EAR = np.array([71.0, 4.0, -86.0])
ROUND = 0.845  # share of its box that a lens fills: a circle 0.79, a rounded square 0.92
FRAME_MM = {"round": 1.9, "square": 2.6, "dark": 3.0}
LENS_MM = {"round": (23.5, 22.5), "square": (26.5, 19.5), "dark": (28.0, 21.5)}
POWER = {"round": 2.0, "square": 3.6, "dark": 3.1}


@dataclass(frozen=True)
class Glasses:
    """What somebody wears on the nose.

    Attributes:
        style: "round", "square" or "dark" (sunglasses).
        frame: Colour of the frame, RGB in [0, 255].
        lens: Colour of dark lenses.
    """

    style: str
    frame: np.ndarray
    lens: np.ndarray


def read_glasses(drawn: View, head: Head) -> Glasses | None:
    """Return the glasses of a drawn face, None where it wears none.

    Args:
        drawn: The face.
        head: The view of its head.
    """
    frame, lens = drawn.region("glasses"), drawn.region("lens")
    worn = np.clip(frame + lens, 0, 1)
    if (worn > 0.5).sum() < 700 * head.scale**2:  # mm^2
        return None
    centres = head.project(np.array([[-LENS_X, LENS_Y, 0], [LENS_X, LENS_Y, 0]]))
    x, y = np.arange(drawn.shape[1])[None], np.arange(drawn.shape[0])[:, None]
    fills, darks = [], []
    for cx, cy in centres:
        near = np.hypot(x - cx, y - cy) < 36 * head.scale
        mask = (worn > 0.5) & near
        if mask.sum() * head.scale**-2 < 350:  # mm^2
            return None
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        eye = np.hypot(x - cx, y - cy) < 9 * head.scale
        fills.append(mask.sum() / box)
        darks.append(frame[eye].mean())
    core = frame > 0.6
    colour = np.percentile(drawn.image[core], 25, axis=0) if core.any() else np.full(3, 30.0)
    told = drawn.choice("glasses")
    if told is not None and told[1] > 0.7:
        style = {"sunglasses": "dark", "none": None}.get(told[0], told[0])
        return None if style is None else Glasses(style, colour, colour)
    if np.mean(darks) > 0.5:
        return Glasses("dark", colour, colour)
    return Glasses("round" if np.mean(fills) < ROUND else "square", colour, colour)


def draw_glasses(photo: View, head: Head, light: Light, glasses: Glasses) -> Layers:
    """Return glasses on the photograph's face: their shadow, and what covers it.

    Args:
        photo: The photograph.
        head: The view of its head.
        light: On its face.
        glasses: What to draw.
    """
    reach = np.array([[-78, 30, 0], [78, 30, 0], [-78, -34, 0], [78, -34, 0]], float)
    sheet = sheet_over(head.project(reach), head, photo.shape, 8)
    outlines = [_on_front(_outline(glasses.style, side)) for side in (-1, 1)]
    lenses = [sheet.head.project(outline) for outline in outlines]
    lens = sheet.filled(*lenses)
    width = FRAME_MM[glasses.style]
    rim = np.zeros(sheet.shape, np.float32)
    for outline in lenses:
        rim = np.maximum(rim, sheet.stroked(outline, width, closed=True))
    if glasses.style == "dark":
        brow = np.clip(lens - np.roll(lens, round(2.2 * sheet.millimetre), axis=0), 0, 1)
        rim = np.maximum(rim, brow)
    rim = np.maximum(rim, _bridge(sheet, glasses.style, width))
    temples = _temples(photo, sheet, glasses.style)
    rim = np.maximum(rim, temples)
    gain = _shadow(photo, sheet, light, rim, lens, glasses.style)
    colour, alpha = _frame_and_lens(photo, sheet, light, glasses, rim, lens)
    layer = sheet.laid(colour, alpha, photo.shape, grain=0.35)  # smooth: grain hardly shows
    return replace(layer, gain=gain)


def _outline(style: str, side: int) -> np.ndarray:
    """Return a lens's edge in the plane of the front, [k, 2] mm."""
    half = LENS_MM[style]
    line = superellipse((0, 0), half, POWER[style])
    if style == "round":
        return line + np.array([side * LENS_X, LENS_Y])
    # Narrower below, and its outer upper corner raised, as such frames are cut.
    low = (half[1] - line[:, 1]) / (2 * half[1])
    line[:, 0] *= 1 - (0.13 if style == "dark" else 0.08) * low
    outwards = np.clip(side * line[:, 0] / half[0], -1, 1)
    line[:, 1] += 1.8 * np.clip(outwards, 0, 1) ** 2 * (1 - low) - 0.8 * (1 - low)
    return line + np.array([side * (LENS_X + 0.5), LENS_Y - 0.5])


def _on_front(line: np.ndarray) -> np.ndarray:
    """Return places of the front, [k, 2], in head space, [k, 3]."""
    depth = FRONT - WRAP * line[:, 0] ** 2 + LEAN * (line[:, 1] - LENS_Y)
    return np.concatenate([line, depth[:, None]], 1)


def _bridge(sheet: Sheet, style: str, width: float) -> np.ndarray:
    """Return the piece over the nose, [h, w] in [0, 1]."""
    t = np.linspace(-1, 1, 15)
    half = LENS_X - LENS_MM[style][0] + 1.5
    x = t * half
    y = LENS_Y + 4.0 + 3.2 * (1 - t * t) if style == "round" else 5.0 + 1.6 * (1 - t * t)
    line = np.stack([x, np.broadcast_to(y, x.shape)], 1)
    return sheet.stroked(sheet.head.project(_on_front(line)), width * 1.1)


def _temples(photo: View, sheet: Sheet, style: str) -> np.ndarray:
    """Return the arms to the ears where they are seen: beside the face, not under the hair."""
    plane = np.zeros(sheet.shape, np.float32)
    hair = sheet.take(photo.region("hair", "hat"))
    for side in (-1, 1):
        edge = side * (LENS_X + LENS_MM[style][0] + HINGE[1])
        hinge = _on_front(np.array([[edge, LENS_Y + HINGE[0]]]))[0]
        hinge[2] -= 2
        ear = EAR * (side, 1, 1)
        corner = hinge + np.array([side * 3.5, 0, -6.0])
        line = sheet.head.project(np.stack([hinge, corner, ear]))
        if side * (line[2, 0] - line[1, 0]) < -1.0 * sheet.millimetre:
            line = line[:2]  # hidden behind the face
        plane = np.maximum(plane, sheet.stroked(line, 2.6 if style != "round" else 1.7))
    # Hair lies over the arms, but the front is before all hair.
    reach = np.abs(sheet.head.rays(sheet.shape)[0][..., 0])
    beyond = smooth_step(LENS_X + LENS_MM[style][0] + 3, LENS_X + LENS_MM[style][0] + 7, reach)
    return plane * (1 - beyond * smooth_step(0.35, 0.75, hair))


def _shadow(
    photo: View, sheet: Sheet, light: Light, rim: np.ndarray, lens: np.ndarray, style: str
) -> np.ndarray:
    """Return how much darker the skin is under the frame, [h, w, 3] factors of the frame."""
    body = np.maximum(rim, lens * (0.75 if style == "dark" else 0.04))
    towards = light.towards
    down = np.array([-towards[0] * 2.0, 2.0 + 1.5 * max(towards[1], 0)]) * sheet.millimetre
    near = _moved(sheet.blurred(body, 1.1), down)
    far = _moved(sheet.blurred(body, 3.5), down * 2.2)
    dark = 0.20 * near + 0.16 * far
    skin = sheet.take(photo.region("skin", "nose", "eyes", "brows", "ear", "lips", "beard"))
    dark = dark * smooth_step(0.2, 0.7, skin)
    dark = sheet.give(dark, photo.shape)
    tint = np.array([0.85, 1.0, 1.08], np.float32)  # shadows on skin are redder
    return 1 - dark[..., None] * tint


def _frame_and_lens(
    photo: View,
    sheet: Sheet,
    light: Light,
    glasses: Glasses,
    rim: np.ndarray,
    lens: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return colour [h, w, 3] and alpha [h, w] of the sheet."""
    start, _ = sheet.head.rays(sheet.shape)
    v = np.clip((start[..., 1] - LENS_Y) / 24, -1, 1)  # -1 below, 1 above
    scene = _reflected(photo, sheet)
    streak = _streak(start, light)[..., None]
    if glasses.style == "dark":
        tint = linear(glasses.lens)
        tint = np.clip(tint / max(float(tint.mean()), 1e-3), 0.6, 1.5)
        fall = smooth_step(0.7, -1.0, v)[..., None]  # such lenses are lighter below
        glass = tint * (0.006 + 0.012 * fall) + scene * (0.012 + 0.02 * (1 - fall))
        glass = glass + 0.02 * streak * scene.mean()
        seen = 0.975 - 0.03 * fall[..., 0]
    else:
        glass = 0.35 + 0.6 * scene
        seen = 0.035 + 0.10 * streak[..., 0] + 0.02 * smooth_step(0.2, 1, v)
    frame = _lit_frame(sheet, light, glasses, rim)
    through = (1 - rim) * lens * seen
    alpha = rim + through
    body = display(frame) * rim[..., None] + display(glass) * through[..., None]
    return body / np.maximum(alpha, 1e-4)[..., None], alpha


def _lit_frame(sheet: Sheet, light: Light, glasses: Glasses, rim: np.ndarray) -> np.ndarray:
    """Return the frame's linear colour: a rounded bar with a line of light along it."""
    soft = blur(rim, 0.35 * FRAME_MM[glasses.style] * sheet.millimetre)
    gy, gx = np.gradient(soft)
    steep = 1.0 / max(float(np.abs(gx).max()), float(np.abs(gy).max()), 1e-6)
    tx, ty = light.towards
    facing = -(gx * tx - gy * ty) * steep  # 1 on the side that looks to the light
    base = np.minimum(linear(glasses.frame), 0.025 if glasses.style == "dark" else 0.16)
    shine = 0.12 * smooth_step(0.55, 1.0, facing) + 0.012 * smooth_step(-0.2, 0.6, facing)
    return base * (0.55 + 0.35 * np.clip(facing, -1, 1))[..., None] + shine[..., None]


def _reflected(photo: View, sheet: Sheet) -> np.ndarray:
    """Return what lenses mirror: the photograph's own surroundings, turned over and soft."""
    small = blur(photo.image, max(photo.shape) / 40)[:, ::-1]
    y, x = np.indices(sheet.shape, np.float32)
    u = (x / max(sheet.shape[1] - 1, 1) * 1.7) % 1.0
    rows = (y / max(sheet.shape[0] - 1, 1) * 0.55 * (photo.shape[0] - 1)).astype(int)
    columns = (np.abs(u - 0.5) * 2 * (photo.shape[1] - 1)).astype(int)
    return linear(small[np.clip(rows, 0, photo.shape[0] - 1), columns])


def _streak(start: np.ndarray, light: Light) -> np.ndarray:
    """Return a soft slanting reflection on clear lenses, [h, w] in [0, 1]."""
    side = np.sign(light.towards[0]) or 1.0
    x = np.abs(start[..., 0]) - LENS_X
    along = (np.sign(start[..., 0]) * x * side + 0.9 * (start[..., 1] - LENS_Y)) / 10
    return smooth_step(0.4, 1.0, along) * smooth_step(2.4, 1.2, along)


def _moved(field: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return a field moved by whole pixels (right, down), empty where nothing came from."""
    dx, dy = np.round(offset).astype(int)
    moved = np.zeros_like(field)
    h, w = field.shape[:2]
    y0, y1, x0, x1 = max(dy, 0), min(h, h + dy), max(dx, 0), min(w, w + dx)
    if y1 > y0 and x1 > x0:
        moved[y0:y1, x0:x1] = field[y0 - dy : y1 - dy, x0 - dx : x1 - dx]
    return moved
