"""How new hair comes on to the photograph: the old is taken off, the new is laid on and shades."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from faceedit.transfer.beard import hair_colour
from faceedit.transfer.drawing import Sheet, blur, sheet_over, smooth_step
from faceedit.transfer.hair import STANDS, Style, cloud, crest, hanging, standing
from faceedit.transfer.head import SKULL_AXES, SKULL_CENTRE, Head
from faceedit.transfer.layers import Layers
from faceedit.transfer.light import Light, display
from faceedit.transfer.scalp import Scalp, bare_head
from faceedit.transfer.strands import Locks, draw_locks
from faceedit.transfer.view import View

DETAIL = 1.9  # px a millimetre
FRONT = ("skin", "nose", "eyes", "brows", "lips", "mouth", "glasses", "lens", "beard")


def restyle(photo: View, head: Head, light: Light, style: Style, seed: int = 5) -> Layers:
    """Return the photograph with other hair.

    Args:
        photo: The photograph.
        head: The view of its head.
        light: On its face.
        style: Of the new hair.
        seed: Of its strands.
    """
    colour = hair_colour(photo, head)
    scalp = bare_head(photo, head, light)
    if style.name == "bald":
        return scalp.layers()
    if style.name == "buzz cut":
        return _cropped(scalp, colour, head)
    noise = np.random.default_rng(seed)
    groups = _locks(style, noise)
    ends = np.concatenate([locks.paths.reshape(-1, 3)[::7] for locks in groups])
    sheet = sheet_over(head.project(ends), head, photo.shape, 4, DETAIL)
    tone, alpha = draw_locks(sheet, head, light, groups)
    if style.name in STANDS:
        alpha = np.maximum(alpha, _within(sheet, *standing(style)[::3]))
    alpha = alpha * _not_before_face(photo, sheet, style.fringe)
    shine = 0.05 * np.clip(tone - 1.0, 0, 1.5)  # the light itself, whatever the colour
    lit = colour * tone[..., None] + shine[..., None]
    layer = sheet.laid(display(lit), alpha, photo.shape, grain=0.5)
    assert layer.alpha is not None
    below = Layers(gain=_shadow(photo, head, layer.alpha))
    off = scalp.layers()
    if style.name == "mohawk":
        off = _cropped(scalp, colour, head)
    return off.then(below).then(layer)


def _locks(style: Style, noise: np.random.Generator) -> list[Locks]:
    if style.name in STANDS:
        return cloud(*standing(style), noise)
    if style.name == "mohawk":
        return crest(noise)
    return hanging(style, noise)


def _within(sheet: Sheet, grow: np.ndarray, low: float) -> np.ndarray:
    """Return the dark inside of a cloud of curls, [h, w] in [0, 1]."""
    points, inside = sheet.head.meet(sheet.shape, SKULL_CENTRE, SKULL_AXES + grow)
    return smooth_step(0.05, 0.12, inside) * smooth_step(low + 4, low + 14, points[..., 1])


def _cropped(scalp: Scalp, colour: np.ndarray, head: Head) -> Layers:
    """Return hair cut to a few millimetres: the scalp, darkened by its stubble."""
    noise = np.random.default_rng(9).standard_normal(scalp.hair.shape).astype(np.float32)
    fine = blur(noise, max(0.5, 0.35 * head.scale))
    fine = fine / max(float(fine.std()), 1e-6)
    y, x = scalp.points[..., 1], np.abs(scalp.points[..., 0])
    line = np.interp(x, [0, 25, 45, 58, 68], [63, 60, 48, 22, -8])
    cover = smooth_step(-3, 6, y - line - 1.5 * fine) * scalp.skull * scalp.hair
    cover = np.clip(0.62 * cover * (1 + 0.30 * fine), 0, 0.9)[..., None]
    dark = display(colour * (0.55 + 0.5 * np.clip(scalp.normals[..., 2:], 0, 1)))
    layers = scalp.layers()
    return replace(layers, cover=scalp.image + (dark - scalp.image) * cover)


def _not_before_face(photo: View, sheet: Sheet, fringe: float | None) -> np.ndarray:
    """Return where new hair may lie: not before the face below its fringe, [h, w] in [0, 1]."""
    face = sheet.take(photo.region(*FRONT))
    x, y = sheet.head.plane(sheet.shape)
    x = np.abs(x)
    line = np.interp(x, [0, 25, 45, 57, 64], [61, 57, 42, 12, -60])
    if fringe is not None:
        line = np.minimum(line, fringe - 8)
    inside = smooth_step(3, -3, y - line) * smooth_step(67, 60, x)
    return 1 - smooth_step(0.3, 0.8, face * inside)


def _shadow(photo: View, head: Head, hair: np.ndarray) -> np.ndarray:
    """Return how much darker skin and cloth are beside the hair, [h, w, 3] factors."""
    mm = head.scale
    near = blur(hair, 2.2 * mm) * 0.30 + blur(hair, 7 * mm) * 0.25
    on = photo.region("skin", "nose", "neck", "ear", "cloth", "brows")
    dark = near * smooth_step(0.2, 0.7, on)
    return (1 - dark[..., None] * np.array([0.9, 1.0, 1.05])).astype(np.float32)
