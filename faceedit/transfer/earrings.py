"""Earrings: hoops and studs that hang from the photograph's own lobes and shine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from faceedit.transfer.drawing import SUBPIXEL, Sheet, blur, sheet_over, smooth_step
from faceedit.transfer.head import Head
from faceedit.transfer.layers import Layers
from faceedit.transfer.light import Light
from faceedit.transfer.view import View

LOBE = np.array([69.5, -37.0, -84.0])  # of the average head
NEAR = 22.0  # mm: an ear is looked for so far around its usual place
BEYOND = 5.0  # mm beside the face that a lobe under hair must lie for an earring to show
HOOP, TUBE, STUD = 16.0, 2.0, 2.6  # mm: radii of a hoop and a stud, thickness of a hoop
TURNED = 0.70  # width of a hoop over its height: it hangs half turned
HOOP_MM2 = 60.0  # of earring in the drawn face, a side: more is a hoop
LEAST_MM2 = 9.0
GOLD, SILVER = np.array([214.0, 172.0, 88.0]), np.array([200.0, 202.0, 206.0])


@dataclass(frozen=True)
class Earrings:
    """What somebody wears in both ears: hoops or studs, of a metal's colour, RGB in [0, 255]."""

    hoops: bool
    metal: np.ndarray


def read_earrings(drawn: View, head: Head) -> Earrings | None:
    """Return the earrings of a drawn face, None where it wears none."""
    worn = drawn.region("earring") > 0.5
    told = drawn.choice("earrings")
    if told is not None and told[0] == "none" and told[1] > 0.8:
        return None
    area = worn.sum() / head.scale**2 / 2
    if area < LEAST_MM2:
        return None
    colour = drawn.image[worn].mean(0)
    metal = GOLD if colour[0] - colour[2] > 12 else SILVER
    hoops = area > HOOP_MM2 if told is None or told[0] == "none" else told[0] == "hoops"
    return Earrings(hoops, metal)


def draw_earrings(photo: View, head: Head, light: Light, earrings: Earrings) -> Layers:
    """Return earrings in the photograph's ears, behind hair that hides the lobes."""
    layers = Layers()
    for side in (-1, 1):
        lobe = find_lobe(photo, head, side)
        if lobe is None:
            continue
        below = lobe + np.array([0, 2 * HOOP + 4]) * head.scale
        sheet = sheet_over(np.stack([lobe, below]), head, photo.shape, HOOP + 4, 5.0)
        at = sheet.to_sheet(lobe)
        if earrings.hoops:
            colour, alpha = _hoop(sheet, at, light, earrings.metal)
        else:
            colour, alpha = _stud(sheet, at, light, earrings.metal)
        alpha = alpha * _seen(photo, sheet, at)
        layer = sheet.laid(colour, alpha, photo.shape, grain=0.4)
        assert layer.alpha is not None
        layers = layers.then(replace(layer, gain=_shadow(photo, head, layer.alpha)))
    return layers


def find_lobe(photo: View, head: Head, side: int) -> np.ndarray | None:
    """Return where an ear's lobe lies, px (x, y); None where the head hides that ear."""
    usual = LOBE * (side, 1, 1)
    place = head.project(usual)
    point = photo.point("left_ear_lobe" if side < 0 else "right_ear_lobe")
    if point is not None and np.hypot(*(point - place)) < NEAR * head.scale:
        place = 0.5 * (place + point)
    reach = NEAR * head.scale
    x0, x1 = (np.clip([place[0] - reach, place[0] + reach], 0, photo.shape[1])).astype(int)
    y0, y1 = (np.clip([place[1] - reach, place[1] + 1.7 * reach], 0, photo.shape[0])).astype(int)
    ear = photo.region("ear")[y0:y1, x0:x1] > 0.5
    seen = ear.sum() > 20 * head.scale**2
    if seen:
        rows, columns = np.nonzero(ear)
        low = np.percentile(rows, 95)
        middle = columns[rows > low - 3 * head.scale].mean()
        place = np.array([x0 + middle, y0 + low])
    edge = _jaw_edge(photo, place[1], side)
    if edge is not None and side * (place[0] - edge) < (-1.5 if seen else BEYOND) * head.scale:
        return None  # it would hang before the cheek: the head is turned away
    return place


def _jaw_edge(photo: View, height: float, side: int) -> float | None:
    """Return where the outline of the face lies at a height of the frame, px."""
    name = "left" if side < 0 else "right"
    places = [photo.point(f"{name}_outline_{i}") for i in range(8)]
    known = np.array([place for place in places if place is not None])
    if len(known) < 2:
        return None
    known = known[np.argsort(known[:, 1])]
    return float(np.interp(height, known[:, 1], known[:, 0]))


def _hoop(
    sheet: Sheet, lobe: np.ndarray, light: Light, metal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a ring of round wire: bright where it faces the light, dark within."""
    mm = sheet.millimetre
    angle = np.linspace(0, 2 * np.pi, 73)
    middle = lobe + np.array([0, (HOOP - 1.0) * mm])
    ring = middle + np.stack([TURNED * np.sin(angle), -np.cos(angle)], 1) * HOOP * mm
    colour = np.zeros((*sheet.shape, 3), np.uint8)
    alpha = np.zeros(sheet.shape, np.uint8)
    thick = max(1, round(TUBE * mm))
    fixed = np.round(ring * 2**SUBPIXEL).astype(np.int32)
    tx, ty = light.towards
    for i in range(72):
        out = np.array([np.sin(angle[i]), np.cos(angle[i])])
        facing = out @ (tx, ty)
        glint = np.exp(-((np.abs(facing) - 0.82) ** 2) / 0.012)
        shade = 0.56 + 0.34 * abs(facing) + 0.75 * glint + 0.08 * np.sin(5 * angle[i])
        value = np.clip(metal * shade, 0, 255)
        cv2.line(colour, fixed[i], fixed[i + 1], value.tolist(), thick + 1, cv2.LINE_AA, SUBPIXEL)
    cv2.polylines(alpha, [fixed], True, 255, thick, cv2.LINE_AA, SUBPIXEL)
    inner = np.zeros(sheet.shape, np.uint8)
    shifted = fixed + np.round(np.array([tx, -ty]) * -0.28 * TUBE * mm * 2**SUBPIXEL).astype(int)
    cv2.polylines(inner, [shifted], True, 255, max(1, thick // 2), cv2.LINE_AA, SUBPIXEL)
    darker = blur(inner.astype(np.float32) / 255, 0.25 * mm)
    return colour * (1 - 0.45 * darker[..., None]), alpha.astype(np.float32) / 255


def _stud(
    sheet: Sheet, lobe: np.ndarray, light: Light, metal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a small ball with a highlight."""
    y, x = np.indices(sheet.shape, np.float32)
    at = lobe - np.array([0, 3.0]) * sheet.millimetre
    u, v = ((x - at[0]), (at[1] - y))
    u, v = u / (STUD * sheet.millimetre), v / (STUD * sheet.millimetre)
    r = np.hypot(u, v)
    up = np.sqrt(np.clip(1 - r * r, 0, 1))
    tx, ty = light.towards
    facing = np.clip(0.55 * (u * tx + v * ty) + 0.83 * up, 0, 1)
    shade = 0.30 + 0.55 * facing + 0.9 * smooth_step(0.93, 1.0, facing)
    soft = 0.5 / (STUD * sheet.millimetre)
    return np.clip(metal * shade[..., None], 0, 255), smooth_step(1 + soft, 1 - soft, r)


def _seen(photo: View, sheet: Sheet, lobe: np.ndarray) -> np.ndarray:
    """Return what of an earring is seen: hair that hides the lobe hides the upper part, too."""
    hair = sheet.take(photo.region("hair", "hat"))
    y = np.indices(sheet.shape, np.float32)[0]
    down = (y - lobe[1]) / sheet.millimetre
    return 1 - smooth_step(0.3, 0.8, hair) * smooth_step(HOOP * 0.9, HOOP * 0.4, down)


def _shadow(photo: View, head: Head, alpha: np.ndarray) -> np.ndarray:
    mm = head.scale
    matrix = np.array([[1, 0, 0], [0, 1, 2.0 * mm]], np.float32)
    fallen = blur(cv2.warpAffine(alpha, matrix, alpha.shape[::-1]), 1.3 * mm)
    on = photo.region("skin", "neck", "hair", "ear", "cloth")
    dark = 0.30 * np.clip(fallen, 0, 1) * smooth_step(0.3, 0.7, on)
    return np.repeat(1 - dark[..., None], 3, 2).astype(np.float32)
