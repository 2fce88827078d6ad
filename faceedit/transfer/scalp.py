"""The head without its hair: the skull's skin goes on from the forehead, the background behind it.

Skin is the forehead's own colour carried over the skull by its shading: what the face's light
makes of a surface that bends away. Behind the head the surroundings are mirrored at its edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.transfer.drawing import blur, smooth_step
from faceedit.transfer.fill import spread_colours
from faceedit.transfer.head import SKULL_AXES, SKULL_CENTRE, Head
from faceedit.transfer.layers import Layers
from faceedit.transfer.light import FACE_AXES, FACE_CENTRE, Light, display, linear, surface_normals
from faceedit.transfer.shifts import shifted_fill
from faceedit.transfer.view import View

SKIN = ("skin", "nose", "ear")
JAW = (
    *(f"left_outline_{i}" for i in range(8)),
    "chin",
    *(f"right_outline_{i}" for i in range(7, -1, -1)),
)  # landmarks from temple to temple
SHINE = 0.10  # linear brightness of the highlight on a bare skull, at most
HATS_REACH = 45.0  # mm off the skull: farther out nothing is a hat
COARSE = 2  # skin's colour is spread at a part of the frame's resolution


@dataclass(frozen=True)
class Scalp:
    """A head without hair, in the frame.

    Attributes:
        image: What is seen where the hair was, [h, w, 3] in [0, 255].
        hair: Where hair was, softly and a little wider, [h, w] in [0, 1].
        skull: Where the bare head is, [h, w] in [0, 1].
        normals: Of head and face, [h, w, 3].
        points: Where rays meet them in head space, [h, w, 3].
    """

    image: np.ndarray
    hair: np.ndarray
    skull: np.ndarray
    normals: np.ndarray
    points: np.ndarray

    def layers(self) -> Layers:
        """Return the photograph with a bare head."""
        return Layers(cover=self.image, alpha=self.hair, grain=0.25 + 0.5 * self.skull)


def bare_head(photo: View, head: Head, light: Light) -> Scalp:
    """Return the photograph's head without hair.

    Args:
        photo: The photograph.
        head: The view of its head.
        light: On its face.
    """
    mm = head.scale
    _, inside = head.meet(photo.shape, SKULL_CENTRE, SKULL_AXES + HATS_REACH)
    own = np.minimum(photo.region("hair") + photo.region("hat") * (inside > 0), 1)
    near = smooth_step(0.15, 0.5, blur(grown(own, 3.5 * mm), 0.8 * mm))
    # Single hairs reach far over the background, and not over the face.
    far = smooth_step(0.10, 0.4, blur(grown(own, 9 * mm), 2.0 * mm))
    hair = np.maximum(near, far * smooth_step(0.3, 0.8, photo.region("background")))
    # Short hairs of the hairline lie on the forehead.
    fine = smooth_step(0.15, 0.5, blur(grown(own, 7 * mm), 2.5 * mm))
    high = smooth_step(34, 46, head.plane(photo.shape)[1])
    hair = np.maximum(hair, fine * high * smooth_step(0.3, 0.8, photo.region("skin")))
    hair = hair * photo.known
    points, normals, skull = bare_shape(photo, head)
    skin = carried_skin(photo, head, light, normals, hair, (12, 34))
    behind = _behind(photo, head, hair, skull)
    image = behind + (skin - behind) * skull[..., None]
    return Scalp(image, hair.astype(np.float32), skull, normals, points)


def bare_shape(photo: View, head: Head) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points and normals, [h, w, 3], of skull and face, and where they are, in [0, 1]."""
    upper, in_skull = head.meet(photo.shape, SKULL_CENTRE, SKULL_AXES)
    lower, _ = head.meet(photo.shape, FACE_CENTRE, FACE_AXES)
    high = smooth_step(15, 55, upper[..., 1])[..., None]
    points = lower * (1 - high) + upper * high
    one = surface_normals(upper, SKULL_CENTRE, SKULL_AXES, head)
    two = surface_normals(lower, FACE_CENTRE, FACE_AXES, head)
    normals = one * high + two * (1 - high)
    normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    soft = 0.8 / (SKULL_AXES[0] * head.scale)
    dome = smooth_step(-soft, soft, in_skull) * smooth_step(-14, -4, upper[..., 1])
    ring = [photo.point(name) for name in JAW]
    face = np.zeros(photo.shape, np.uint8)
    if all(place is not None for place in ring):
        fixed = np.round(np.array(ring, float) * 16).astype(np.int32)
        cv2.fillPoly(face, [fixed], 255, cv2.LINE_AA, 4)
    seen = np.maximum(dome, blur(face.astype(np.float32) / 255, 0.6))
    return points, normals, seen.astype(np.float32)


def carried_skin(
    photo: View,
    head: Head,
    light: Light,
    normals: np.ndarray,
    gone: np.ndarray,
    heights: tuple[float, float],
) -> np.ndarray:
    """Return skin everywhere: the face's own, carried on by its shading, [h, w, 3].

    Args:
        photo: The photograph.
        head: The view of its head.
        light: On its face.
        normals: Of the bare head, [h, w, 3].
        gone: What is to be replaced and says nothing about skin, [h, w] in [0, 1].
        heights: Between which, mm over the eyes, the skin begins to count in full.
    """
    mm = head.scale
    _, y = head.plane(photo.shape)
    sure = (photo.region(*SKIN) > 0.75) & (gone < 0.02)
    deep = max(1, round(1.5 * mm))
    sure = cv2.erode(sure.astype(np.uint8), np.ones((3, 3)), iterations=deep) > 0
    trust = sure * (0.02 + 0.98 * smooth_step(*heights, y))
    shade = light.on(normals) * (0.72 + 0.28 * np.clip(normals[..., 2], 0, 1))
    shaded = linear(photo.image) / np.maximum(shade, 0.1)[..., None]
    h, w = photo.shape
    size = (max(2, w // COARSE), max(2, h // COARSE))
    small = cv2.resize(trust.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    colours = cv2.resize(
        (shaded * trust[..., None]).astype(np.float32), size, interpolation=cv2.INTER_AREA
    )
    colours = colours / np.maximum(small, 1e-4)[..., None]
    own = cv2.resize(blur(spread_colours(colours, small), 1.0 * mm), (w, h))
    h2 = np.array([light.slope[0] * 0.8, 0.35 + 0.8 * light.slope[1], 1.0])
    h2 = h2 / np.linalg.norm(h2)
    gloss = np.clip(normals @ h2.astype(np.float32), 0, 1) ** 24
    lit = own * shade[..., None] + SHINE * gloss[..., None] * own.mean((0, 1))
    return display(lit) + _pores(photo, sure, mm)


def _pores(photo: View, sure: np.ndarray, mm: float) -> np.ndarray:
    """Return fine unevenness as the photograph's skin has it, in levels, [h, w, 1]."""
    grey = photo.image.mean(2)
    fine = grey - blur(grey, max(1.0, 0.9 * mm))
    level = float(np.median(np.abs(fine[sure]))) * 1.3 if sure.any() else 1.0
    noise = np.random.default_rng(3).standard_normal(photo.shape).astype(np.float32)
    noise = blur(noise, max(0.5, 0.35 * mm))
    return (noise / max(float(noise.std()), 1e-6) * min(level, 5.0))[..., None]


SHOULDERS = -140.0  # mm over the eyes: skin that lies lower is no neck
# How far parts reach behind hair: their distance counts so many times, and so many mm more.
RELUCTANT = ((1.0, 0.0), (1.5, 5.0), (1.3, 4.0))
SMOOTH = 5.0  # mm: how smooth the outline of shoulders is that hair hid
NECK = np.array(  # its outline from the jaw to the shoulders, mm: half its width by height
    [[-70.0, 50.0], [-95.0, 50.0], [-125.0, 52.0], [-150.0, 60.0], [-170.0, 84.0]]
)


def _behind(photo: View, head: Head, hair: np.ndarray, skull: np.ndarray) -> np.ndarray:
    """Return what is behind hair and head: background and cloth go on, and the neck."""
    mm = head.scale
    deep = max(1, round(1.5 * mm))
    hole = (hair > 0.02) | (skull > 0.02)

    def sure(*names: str) -> np.ndarray:
        found = ((photo.region(*names) > 0.85) & (photo.known > 0.5)).astype(np.uint8)
        return (cv2.erode(found, np.ones((3, 3)), iterations=deep) > 0) & ~hole

    x, y = head.plane(photo.shape)
    bare = sure("neck", "skin") & (y < -70)
    around = _continued(
        photo.image,
        (hair > 0.02) & (skull < 0.98),
        (sure("background"), sure("cloth"), bare & (y < SHOULDERS)),
        mm,
    )
    # Rays start at the depth of the eyes, the neck lies behind: it moves as the head turns.
    shift = -head.turn[0, 2] * head.turn[0, 0] * 70
    x = x - shift
    if bare.sum() < 40:
        return around
    half = np.interp(-y, -NECK[:, 0], NECK[:, 1])
    neck = smooth_step(1.5, -1.5, np.abs(x) - half) * smooth_step(-178, -160, y)
    cloth = blur(photo.region("cloth"), 4 * mm)
    neck = neck * (1 - smooth_step(0.25, 0.6, cloth)) * smooth_step(-66, -72, y)
    colours = blur(spread_colours(photo.image, bare), 2.0 * mm)
    round_ = 1 - 0.30 * np.clip(np.abs(x) / np.maximum(half, 1), 0, 1)[..., None] ** 3
    return around + (colours * round_ - around) * neck[..., None]


def _continued(
    image: np.ndarray, hole: np.ndarray, parts: tuple[np.ndarray, ...], mm: float
) -> np.ndarray:
    """Return what is behind hair: each part of the surroundings goes on where it is nearest.

    Args:
        image: RGB, [h, w, 3].
        hole: Where hair hid it, [h, w] bool.
        parts: Background, cloth and skin of the shoulders, [h, w] bool each.
        mm: Pixels a millimetre.
    """
    h, w = hole.shape
    step = max(1, round(1.5 * mm))
    size = (max(2, w // step), max(2, h // step))
    away = []
    for part, (times, more) in zip(parts, RELUCTANT, strict=True):
        small = cv2.resize(part.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        far = np.full(size[::-1], 1e4, np.float32)
        if small.any():
            far = cv2.distanceTransform(1 - small, cv2.DIST_L2, 5) * step / mm
        away.append(times * far + more)
    nearest = np.argmin(away, 0)
    filled = image.copy()
    total = np.zeros((h, w, 3), np.float32)
    for i, part in enumerate(parts):
        share = cv2.GaussianBlur((nearest == i).astype(np.float32), (0, 0), SMOOTH * mm / step)
        share = cv2.resize(share, (w, h), interpolation=cv2.INTER_LINEAR)
        share = smooth_step(0.46, 0.54, share)
        mine = hole & (share > 0)
        if mine.any() and part.any():
            total += shifted_fill(image, mine, part) * share[..., None]
        else:
            total += image * share[..., None]
    filled[hole] = total[hole]
    return filled


def grown(field: np.ndarray, reach: float) -> np.ndarray:
    """Return the highest value within `reach` px."""
    size = 2 * max(1, round(reach)) + 1
    return cv2.dilate(field, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
