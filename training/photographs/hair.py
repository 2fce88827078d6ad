"""Where long hair lies on shoulders: what a parser is sure of, carried on by colour.

No label says it, and renders end at the shoulders. GrabCut (Rother et al., SIGGRAPH 2004) starts
from the hair around the head and decides, inside of the person, what has its colours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from training.photographs.portraits import LabelledPhoto
from training.photographs.regions import NEVER, outline, shrunk

__all__ = ["find_long_hair"]

Parse = Callable[[np.ndarray], Mapping[str, np.ndarray]]
ROUNDS = 5
FACE = 1.8  # deviations of the colours of the face within which a pixel is skin


def find_long_hair(photo: LabelledPhoto, zoom: float, parse: Parse) -> np.ndarray | None:
    """Return where a long-haired person's hair is, [side, side] bool; None if labels say no such.

    Args:
        photo: Cut with `zoom`.
        zoom: How many sides of the aligned square the picture shows.
        parse: A square picture [k, k, 3] float32 in [0, 255] -> region name -> [m, m] chances.
    """
    if photo.labels.get("hair_length") != "long" or photo.labels["headwear"] != "none":
        return None
    side, unit = len(photo.image), photo.pupils
    near = _near(photo.image, zoom, parse)
    hair, face = near("hair"), outline(photo.mesh, "face", side)
    person = photo.person > NEVER
    sure = shrunk(hair > 0.8, 0.06 * unit) & (photo.person > 127)
    marks = np.full((side, side), cv2.GC_PR_BGD, np.uint8)
    marks[person & (hair > 0.3)] = cv2.GC_PR_FGD
    marks[shrunk(near("neck") > 0.6, 0.04 * unit) & (hair < 0.2)] = cv2.GC_BGD
    marks[_skin(photo.image, shrunk(face, 0.12 * unit), sure, hair)] = cv2.GC_BGD
    marks[shrunk(face, 0.08 * unit) | ~person | ~photo.inside] = cv2.GC_BGD
    marks[sure] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    pixels = np.ascontiguousarray(photo.image[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    whole = (0, 0, side, side)  # not read: the marks say where to start
    cv2.grabCut(pixels, marks, whole, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)
    return _joined(found, sure)


def _near(image: np.ndarray, zoom: float, parse: Parse) -> Callable[[str], np.ndarray]:
    """Return chances by name: of the aligned square in the middle, and of all around it."""
    side = len(image)
    start = round(side * (1 - 1 / zoom) / 2)
    middle = slice(start, side - start)
    pixels = image.astype(np.float32)
    whole, close = parse(pixels), parse(pixels[middle, middle])

    def chance(name: str) -> np.ndarray:
        joined = cv2.resize(whole[name], (side, side))
        joined[middle, middle] = cv2.resize(close[name], (side - 2 * start,) * 2)
        return joined

    return chance


def _skin(image: np.ndarray, face: np.ndarray, sure: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """Return where colours are the face's rather than the hair's: necks, arms and hands."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    away = _away(lab, lab[face])
    skin = (away < FACE) & (_away(lab, lab[sure]) > away + 0.6) & (hair < 0.5)
    return cv2.morphologyEx(skin.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0


def _away(lab: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return how many deviations every pixel lies from some colours, at most in one channel."""
    middle = np.median(colours, 0)
    spread = np.maximum(1.25 * np.abs(colours - middle).mean(0), (12, 4, 4))
    return np.asarray((np.abs(lab - middle) / spread).max(2))


def _joined(found: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Return the pieces that hold some of what is sure, or a good part of everything."""
    plain = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(plain)
    large = boxes[:, cv2.CC_STAT_AREA] > 0.05 * plain.sum()
    kept = [i > 0 and (bool(large[i]) or bool(sure[labels == i].any())) for i in range(count)]
    return np.asarray(kept)[labels]
