"""Carry shading: what age, expression and make-up do to the skin's light and dark."""

from __future__ import annotations

import cv2
import numpy as np

from faceedit.transfer.ageing import ageing
from faceedit.transfer.folds import (
    REDDER,
    Fold,
    age_folds,
    fold_shade,
    knit_folds,
    mottle,
    raised_folds,
    smile_folds,
)
from faceedit.transfer.layers import Layers
from faceedit.transfer.movement import SHOWS_FROWN, SMILES, read_mouth
from faceedit.transfer.points import SIDES, Curves, curves_of, own_frame, upright
from faceedit.transfer.spline import Box
from faceedit.transfer.view import View

FINE, COARSE = 0.014, 0.05  # the band of the photograph's own folds (unit: eye distance)
DEPTH = 1.7  # of the folds of the oldest
COARSEST, LARGEST_SMOOTHED = 0.075, 0.28  # the same band where a face gets younger
DEEPER, SMOOTHER = 1.6, 0.8  # how much an old face's band gains, a young one's loses
EXPRESSIVE = 0.55  # depth of an expression's folds over those of old age
MOTTLED = 0.05  # depth of the spots of the oldest, a logarithm
LARGEST_SHADE, LARGEST_OWN = 0.55, 0.13  # logarithms


def reshade(photo: View, before: View, after: View) -> Layers:
    """Return how the photograph's skin darkens and brightens for what the pair's did.

    Args:
        photo: The photograph.
        before: The drawn face that stands for it.
        after: The same face edited.
    """
    if not after.asked.speaks_of("mouth", "eyes", "skin"):
        return Layers()
    faces = [curves_of(view) for view in (photo, before, after)]
    if faces[0] is None or faces[1] is None or faces[2] is None:
        return Layers()
    face, drawn, edited = (own_frame(curves) for curves in faces if curves is not None)
    older = ageing(before, after)
    folds = [(fold, DEPTH * older) for fold in age_folds(face) if older > 0]
    folds += expression_folds(face, drawn, edited)
    if frowns := shown_frown(after):
        folds += [(fold, EXPRESSIVE * frowns) for fold in knit_folds(face)]
    if abs(older) < 0.02 and not folds:
        return Layers()
    to_own = upright(faces[0])
    unit = 1 / float(np.hypot(*to_own[:, 0]))
    box = face_box(faces[0], unit, photo.shape)
    if older > 0:
        shade = DEEPER * older * own_folds(photo.image[box], unit)
    else:
        shade = SMOOTHER * older * own_folds(photo.image[box], unit, COARSEST, LARGEST_SMOOTHED)
    if folds:
        shade = shade + fold_shade(folds, face, to_own, box, photo.pixel / unit)
    if older > 0:
        shade = shade + MOTTLED * older * mottle(face, to_own, box)
    shade = LARGEST_SHADE * np.tanh(shade / LARGEST_SHADE) * skin_mask(photo, faces[0], unit)[box]
    gain = np.ones((*photo.shape, 3), np.float32)
    gain[box] = np.exp(shade[..., None] * REDDER)
    return Layers(gain=gain)


def shown_frown(after: View) -> float:
    """Return how much of a frown that the sentence names the drawn face shows."""
    frowns = after.traits.get("smile", 0.0) < SHOWS_FROWN
    return after.asked.reaches("mouth", "frowning") * frowns


def expression_folds(face: Curves, before: Curves, after: Curves) -> list[tuple[Fold, float]]:
    """Return the folds that a change of expression makes, and how deep; all in own frames."""
    first, last = read_mouth(before), read_mouth(after)
    smile = float((last.lift - first.lift).mean())
    if last.lift.mean() > SMILES:
        smile += 0.4 * max(last.gap - first.gap, 0.0)
    brow = np.mean(
        [(after[f"brow_{side}"] - before[f"brow_{side}"])[:, 1].mean() for side in SIDES]
    )
    found = []
    for folds, change, full in (
        (smile_folds, smile, 0.12),
        (raised_folds, -float(brow), 0.08),
        (knit_folds, float(brow), 0.05),
    ):
        depth = EXPRESSIVE * float(np.clip((change - 0.2 * full) / full, 0, 1))
        found += [(fold, depth) for fold in folds(face) if depth > 0]
    return found


def own_folds(
    image: np.ndarray, unit: float, coarse: float = COARSE, largest: float = LARGEST_OWN
) -> np.ndarray:
    """Return the photograph's own folds: its logarithm of brightness in a band, [h, w] float32."""
    grey = cv2.cvtColor(np.clip(image, 0, 255).astype(np.float32), cv2.COLOR_RGB2GRAY)
    bright = np.log(grey + 8)
    fine = cv2.GaussianBlur(bright, (0, 0), max(FINE * unit, 0.6))
    return np.clip(fine - cv2.GaussianBlur(bright, (0, 0), coarse * unit), -largest, largest)


def face_box(face: Curves, unit: float, shape: tuple[int, int]) -> Box:
    """Return the rows and columns of the frame that hold a face's skin."""
    rim = np.concatenate([face["outline"], face["forehead"]])
    low = np.clip(np.floor(rim.min(0) - 0.2 * unit).astype(int), 0, shape[::-1])
    high = np.clip(np.ceil(rim.max(0) + 0.2 * unit).astype(int) + 1, low, shape[::-1])
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def skin_mask(view: View, face: Curves, unit: float) -> np.ndarray:
    """Return where the photograph's face shows bare skin, [h, w] float32 in [0, 1].

    Args:
        view: The photograph.
        face: Its curves in px of the frame.
        unit: Distance of the eyes, px.
    """
    mask: np.ndarray = np.zeros(view.shape, np.uint8)
    rim = np.concatenate([face["outline"], face["forehead"]]).astype(np.float32)
    cv2.fillConvexPoly(mask, np.round(cv2.convexHull(rim)[:, 0]).astype(np.int32), 1)
    inner = max(1, round(0.05 * unit))
    mask = cv2.erode(mask, np.ones((2 * inner + 1, 2 * inner + 1), np.uint8))
    holes: np.ndarray = np.zeros_like(mask)
    for names in (("upper_lid", "lower_lid"), ("brow", "brow_lower")):
        for side in ("left", "right"):
            ring = np.concatenate([face[f"{names[0]}_{side}"], face[f"{names[1]}_{side}"][::-1]])
            cv2.fillPoly(holes, [np.round(ring).astype(np.int32)], 1)
    ring = np.concatenate([face["outer_upper_lip"], face["outer_lower_lip"][::-1]])
    cv2.fillPoly(holes, [np.round(ring).astype(np.int32)], 1)
    wide = max(1, round(0.03 * unit))
    holes = cv2.dilate(holes, np.ones((2 * wide + 1, 2 * wide + 1), np.uint8))
    soft = cv2.GaussianBlur((mask * (1 - holes)).astype(np.float32), (0, 0), 0.035 * unit)
    if view.regions:
        bare = view.region("skin", "nose")
        soft = soft * np.clip((bare - 0.35) / 0.3, 0, 1)
    return soft
