"""Where a beard grows that somebody saw: partial labels by colour, where a face can grow one.

Labels say that there is a beard, not where. It is darker or greyer than the cheeks beside it.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.photographs.portraits import LabelledPhoto
from training.photographs.regions import NEVER, grown, outline

__all__ = ["find_beard"]

CHEEKS = ((50, 205, 117, 36), (280, 425, 346, 266))  # the mesh's points on bare cheeks
COLOURLESS = 0.5  # how much grey counts for, against dark
LEAST = {"full": 0.3, "goatee": 0.4}  # darker (or greyer) than cheeks by this share: surely a beard
BARE = 0.1  # by less than this share: surely skin
NARROW = 1.35  # half widths of the mouth that a goatee reaches to the sides


def find_beard(photo: LabelledPhoto) -> tuple[np.ndarray, np.ndarray] | None:
    """Return where a full beard or a goatee surely is and surely is not, [side, side] bool.

    None if labels say that there is neither. What is neither sure nor ruled out stays open.
    """
    kind = str(photo.labels["beard"])
    if kind not in LEAST:
        return None
    zone = _zone(photo, kind == "full")
    dark, grey = _less_than_cheeks(photo)
    less = dark + COLOURLESS * grey
    levels = (np.clip(less[zone], 0, 1) * 255).astype(np.uint8)
    split, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)
    beard = zone & (less > max(split / 255, LEAST[kind]))
    beard = cv2.morphologyEx(beard.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return beard > 0, zone & (less < BARE) & (grey < BARE)


def _zone(photo: LabelledPhoto, full: bool) -> np.ndarray:
    """Return where such a beard can grow, [side, side] bool."""
    side, unit, mesh = len(photo.image), photo.pupils, photo.mesh
    face = grown(outline(mesh, "face", side), (0.16 if full else 0.06) * unit)
    x, y = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    middle, nose = mesh[[61, 291], 0].mean(), mesh[2, 1]
    away, mouth = np.abs(x - middle), np.abs(mesh[[61, 291], 0] - middle).mean()
    below = y > nose + 0.02 * unit
    if full:  # up to the ears at the sides
        ears = np.abs(mesh[[234, 454], 0] - middle).mean()
        rise = np.clip((away - 1.4 * mouth) / max(ears - 1.4 * mouth, 1), 0, 1)
        below = y > nose + 0.02 * unit - 0.55 * unit * rise * rise
        face &= (y > nose) | outline(mesh, "face", side)  # ears are none of it
    else:
        below &= away < NARROW * mouth
    lips = grown(outline(mesh, "lips", side), 0.02 * unit)
    return np.asarray(face & below & ~lips & (photo.person > NEVER))


def _less_than_cheeks(photo: LabelledPhoto) -> tuple[np.ndarray, np.ndarray]:
    """Return by which shares every pixel is darker and greyer than the cheek on its side."""
    unit, mesh = photo.pupils, photo.mesh
    lab = cv2.cvtColor(photo.image, cv2.COLOR_RGB2LAB).astype(np.float32) - (0, 128, 128)
    smooth = cv2.GaussianBlur(lab, (0, 0), 0.025 * unit)
    ends = []
    for points in CHEEKS:
        bare = np.zeros(lab.shape[:2], np.uint8)
        for x, y in mesh[list(points)].round().astype(int):
            cv2.circle(bare, (int(x), int(y)), max(1, round(0.09 * unit)), 1, -1)
        ends.append(np.median(smooth[bare > 0], 0))
    left, right = mesh[CHEEKS[0][0], 0], mesh[CHEEKS[1][0], 0]
    place = np.clip((np.arange(len(lab)) - left) / (right - left), 0, 1)[None, :, None]
    cheeks = ends[0] + (ends[1] - ends[0]) * place
    dark = 1 - smooth[..., 0] / cheeks[..., 0]
    grey = 1 - np.linalg.norm(smooth[..., 1:], axis=2) / np.linalg.norm(cheeks[..., 1:], axis=2)
    return np.asarray(dark), np.asarray(grey)
