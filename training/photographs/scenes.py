"""New photographs out of old ones: other heads of hair, headscarves, places, faces.

A hundred portraits are soon known by heart. What makes a character can be changed apart from the
rest, and then the label changes with it: a face laid into another head, hair of another colour,
cloth around the head, another place behind it. Faces are [side, side, 3] uint8, RGB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from faceedit.world import SPECS
from training.photographs.characters import Character, covered_by

__all__ = ["Scene", "drape", "face_into", "other_place", "recolor_hair"]

# Where a colour's hair lies in Lab (OpenCV's 8 bits), and how far it may differ from that.
HAIR_LAB = {
    "black": (24, 129, 129),
    "dark brown": (44, 134, 138),
    "brown": (82, 139, 148),
    "blond": (172, 134, 160),
    "red": (98, 158, 168),
    "grey": (142, 128, 128),
    "white": (212, 128, 130),
}
LAB_SPREAD = (12, 3, 5)
FROM_FACE = (
    *("age", "femininity", "skin_tone", "beard", "moustache", "smile", "mouth_open", "yaw"),
    *("glasses", "eye_open"),
)


@dataclass(frozen=True)
class Scene:
    """A picture with where things are in it, and who should be drawn.

    Attributes:
        image: [side, side, 3] uint8, RGB.
        face: [side, side] bool, inside the outline of the face.
        person: [side, side] bool.
        hair: [side, side] bool.
        character: Whom it shows.
    """

    image: np.ndarray
    face: np.ndarray
    person: np.ndarray
    hair: np.ndarray
    character: Character


def value(scene: Scene, name: str) -> float:
    """Return an attribute of a scene's character."""
    return float(scene.character.values[list(SPECS).index(name)])


def _soft(mask: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma)[..., None]


def _laid(image: np.ndarray, layer: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    mixed = image + (layer.astype(np.float32) - image) * alpha
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def other_place(scene: Scene, place: np.ndarray) -> Scene:
    """Put another picture behind the person."""
    alpha = 1 - _soft(scene.person, len(place) / 100)
    names = [f"background_{part}" for part in ("hue", "saturation", "value")]
    image = _laid(scene.image, place, alpha)
    return replace(scene, image=image, character=scene.character.without(*names))


def recolor_hair(scene: Scene, color: str, rng: np.random.Generator) -> Scene:
    """Give the hair one of the natural colours; strands and light stay."""
    if scene.hair.sum() < 0.02 * scene.hair.size:
        return scene
    lab = cv2.cvtColor(scene.image, cv2.COLOR_RGB2LAB).astype(np.float32)
    mean, spread = lab[scene.hair].mean(0), lab[scene.hair].std(0)
    target = np.array(HAIR_LAB[color]) + rng.normal(size=3) * LAB_SPREAD
    scale = np.array([np.clip(0.25 * target[0] / max(spread[0], 8), 0.5, 1.6), 0.7, 0.7])
    moved = np.clip((lab - mean) * scale + target, 0, 255).astype(np.uint8)
    layer = cv2.cvtColor(moved, cv2.COLOR_LAB2RGB)
    image = _laid(scene.image, layer, _soft(scene.hair, len(lab) / 90))
    return replace(scene, image=image, character=scene.character.replaced(hair_color=color))


def drape(scene: Scene, rng: np.random.Generator) -> Scene:
    """Wind cloth around the head, of any colour and print: scarves, hoods and turbans."""
    side = len(scene.image)
    rows, columns = np.nonzero(scene.face)
    if len(rows) < 0.02 * side * side:
        return scene
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    height, width = bottom - top, right - left
    y, x = np.mgrid[:side, :side].astype(np.float32)
    middle = ((left + right) / 2, (top + bottom) / 2)
    u, v = (x - middle[0]) / (width / 2), (y - middle[1]) / (height / 2)
    turban = rng.random() < 0.3
    wide, high = rng.uniform(1.3, 1.75), rng.uniform(1.35, 1.7)
    hood = (np.abs(u) / wide) ** 2.2 + (np.abs(v) / high) ** 2.2 < 1
    below = (v > 0.1) & (np.abs(u) < wide * (0.9 + 0.45 * np.maximum(v, 0)))
    opening = (np.abs(u) / rng.uniform(0.84, 1.06)) ** 2.3 + (np.abs(v) / 1.03) ** 2.3 < 1
    brow = rng.uniform(-0.8, -0.5)  # lower edge of the cloth on the forehead, in half heights
    hood |= cv2.dilate(scene.hair.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if turban:
        cloth = hood & (v < brow + 0.1 * u**2)
    else:
        cloth = (hood | below) & ~(opening & (v > brow + 0.25 * u**2))
    color, layer = _cloth(u, v, rng)
    image = _laid(scene.image, layer, _soft(cloth, side / 128))
    character = scene.character.without("hair_color", "hair_style", "fringe", "hat_hue")
    if not turban:
        character = character.without("earrings", "cloth_hue", "cloth_saturation", "cloth_value")
    if turban and rng.random() < 0.7:
        character = scene.character.without("fringe", "hat_hue")
    person, hair = scene.person | cloth, scene.hair & ~cloth
    return replace(
        scene,
        image=image,
        person=person,
        hair=hair,
        character=character.replaced(**covered_by(color)),
    )


def _cloth(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the main colour of cloth, [3] in [0, 1], and its picture, folds around the face."""
    plain = rng.random() < 0.35  # black, white, grey
    saturation = rng.uniform(0, 0.12) if plain else rng.uniform(0.25, 0.95)
    bright = rng.choice([rng.uniform(0.05, 0.25), rng.uniform(0.75, 1)]) if plain else None
    bright = rng.uniform(0.2, 0.95) if bright is None else bright
    hsv = np.array([[[rng.uniform(0, 360), saturation, bright]]], np.float32)
    color = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]
    picture = np.broadcast_to(color, (*u.shape, 3)).copy()
    if rng.random() < 0.4:
        picture += _print(u, v, rng)[..., None] * rng.normal(0, 0.3, 3)
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    folds = np.zeros_like(u)
    for _ in range(4):
        along, around = rng.uniform(4, 16), rng.normal(0, 3)
        bend = rng.normal(0, 0.4) * np.sin(3 * angle + rng.uniform(0, 6))
        folds += rng.uniform(0.3, 1) * np.sin(along * (radius + bend) + around * angle)
    edge = np.exp(-(((radius - 1) / 0.15) ** 2))
    shade = 1 + 0.09 * folds + rng.uniform(-0.3, 0.3) * u - 0.35 * edge * rng.uniform(0, 1)
    picture = picture * shade[..., None] + rng.normal(0, 0.015, picture.shape)
    return color, np.clip(picture, 0, 1) * 255


def _print(u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a print of cloth: dots, checks or flowers, [h, w] in 0..1."""
    turn, often = rng.uniform(0, np.pi), rng.uniform(10, 30)
    a = np.sin(often * (u * np.cos(turn) + v * np.sin(turn)))
    b = np.sin(often * (v * np.cos(turn) - u * np.sin(turn)))
    return [a * b > 0.3, a > 0.2, np.maximum(a, b) > 0.7][rng.integers(3)].astype(np.float32)


def face_into(face: Scene, head: Scene) -> Scene:
    """Lay the inner face of one aligned photograph into the head of another."""
    side = len(head.image)
    inner = cv2.erode(
        (face.face & head.face & ~head.hair & ~face.hair).astype(np.uint8),
        np.ones((3, 3), np.uint8),
        iterations=max(1, round(0.02 * side)),
    )
    inner[[0, 1, -2, -1]] = 0
    inner[:, [0, 1, -2, -1]] = 0
    rows, columns = np.nonzero(inner)
    if len(rows) < 0.05 * side * side:
        return head
    middle = ((columns.min() + columns.max()) // 2, (rows.min() + rows.max()) // 2)
    place = (int(middle[0]), int(middle[1]))
    image = cv2.seamlessClone(face.image, head.image, inner * 255, place, cv2.NORMAL_CLONE)
    take = torch.tensor([name in FROM_FACE for name in SPECS])
    character = Character(
        torch.where(take, face.character.values, head.character.values),
        torch.where(take, face.character.weights, head.character.weights),
    )
    skin = list(SPECS).index("skin_tone")
    character.values[skin] = (face.character.values[skin] + head.character.values[skin]) / 2
    return replace(head, image=image, character=character)
