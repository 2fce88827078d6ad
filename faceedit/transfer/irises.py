"""Irises: the part of an eye that has a colour, and that colour within the pair.

Parsers label the whole eye, so the iris is found inside: by its landmark, or as the dark disc of
the width that irises have (11.7 mm between lids that are 30 mm long).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.transfer.points import SIDES, Curves, curves_of, polygon
from faceedit.transfer.view import Native, View

RADIUS = 0.19  # of an iris, in lengths of the opening between the lids
PUPIL = 0.38  # of the iris's radius: about what daylight leaves
PUPIL_KEEPS = 0.75  # of the pupil's darkness
FOUND = 0.4  # chance of the eye from which a pixel counts
SMALLEST = 3e-4  # share of the aligned square that an eye must fill
OPEN = 0.12  # height over length of the opening below which an eye is shut


@dataclass(frozen=True, eq=False)
class Eye:
    """One eye in the frame."""

    iris: tuple[float, float]  # its centre (x, y), px
    radius: float  # of the iris, px
    opening: np.ndarray | None = None  # [h, w] in [0, 1]: between the lids, by their landmarks


def find_eyes(photo: View) -> list[Eye]:
    """Return the eyes of a photograph that are open wide enough to show an iris."""
    curves = curves_of(photo)
    if curves is not None:
        return [eye for side in SIDES if (eye := _marked_eye(photo, curves, side)) is not None]
    chance = photo.region("eyes")
    labels, _, boxes, _ = _components(chance > FOUND)
    eyes = []
    for label in range(1, len(boxes)):
        left, top, width, height, area = boxes[label]
        if area < SMALLEST * photo.square[2] ** 2 or height < OPEN * width:
            continue
        box = np.s_[top : top + height, left : left + width]
        inside = (labels[box] == label) * np.clip(chance[box], 0, 1)
        x, y = _darkest(photo.image[box], inside, RADIUS * width)
        eyes.append(Eye((left + x, top + y), RADIUS * width))
    return eyes


def _marked_eye(photo: View, curves: Curves, side: str) -> Eye | None:
    """Return an eye by its landmarks; None where it is shut."""
    upper, lower = curves[f"upper_lid_{side}"], curves[f"lower_lid_{side}"]
    width = float(np.linalg.norm(upper[-1] - upper[0]))
    gap = float(np.linalg.norm(upper[len(upper) // 2] - lower[len(lower) // 2]))
    if width < 4 or gap < OPEN * width:
        return None
    x, y = curves["irises"][SIDES.index(side)]
    return Eye((float(x), float(y)), RADIUS * width, polygon(photo.shape, upper, lower))


def _components(found: np.ndarray) -> tuple[np.ndarray, int, np.ndarray, np.ndarray]:
    """Return OpenCV's labels, count, boxes and centroids of what hangs together."""
    count, labels, boxes, centroids = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    return labels, count, boxes, centroids


def _darkest(image: np.ndarray, inside: np.ndarray, radius: float) -> tuple[float, float]:
    """Return the centre (x, y) of the darkest disc of a radius within a box, px of the box."""
    dark = (255 - image.mean(2)) * inside
    disc = _disc(radius)
    size = disc.shape[0] // 2
    padded = cv2.copyMakeBorder(
        dark.astype(np.float32), size, size, size, size, cv2.BORDER_CONSTANT, value=0
    )
    score = cv2.filter2D(padded, -1, disc / disc.sum(), borderType=cv2.BORDER_CONSTANT)
    score = score[size : size + dark.shape[0], size : size + dark.shape[1]]
    peak = np.clip(score - 0.9 * score.max(), 0, None)
    total = peak.sum() + 1e-6
    x, y = np.arange(dark.shape[1]), np.arange(dark.shape[0])
    return float((peak.sum(0) * x).sum() / total), float((peak.sum(1) * y).sum() / total)


def _disc(radius: float) -> np.ndarray:
    """Return a disc of 1s in a square of 0s."""
    reach = max(1, int(np.ceil(radius)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)


def iris_weight(photo: View, eyes: list[Eye]) -> np.ndarray:
    """Return how much of every pixel is coloured iris, [h, w]: less in the pupil, 0 on the lids."""
    height, width = photo.shape
    weight = np.zeros((height, width), np.float32)
    parsed = np.clip((photo.region("eyes") - 0.2) / 0.4, 0, 1)
    for eye in eyes:
        reach = int(np.ceil(eye.radius)) + 3
        left, top = int(eye.iris[0]) - reach, int(eye.iris[1]) - reach
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + 2 * reach + 1, width), min(top + 2 * reach + 1, height)
        y, x = np.mgrid[y0:y1, x0:x1]
        distance = np.hypot(x - eye.iris[0], y - eye.iris[1]) / eye.radius
        soft = max(0.12, 0.8 / eye.radius)  # lens and skin blur an iris's rim
        rim = np.clip((1 + soft - distance) / (2 * soft), 0, 1)
        chance = parsed if eye.opening is None else eye.opening
        pupil = np.clip((PUPIL + 0.12 - distance) / 0.24, 0, 1)
        found = rim * (1 - PUPIL_KEEPS * pupil) * chance[y0:y1, x0:x1]
        found = found * _not_white(photo.image[y0:y1, x0:x1], rim * chance[y0:y1, x0:x1])
        weight[y0:y1, x0:x1] = np.maximum(weight[y0:y1, x0:x1], found)
    return weight


def _not_white(image: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """Return 1 where an iris is as dark as its middle, 0 where the white of the eye or a light is.

    Args:
        image: Around the iris, [h, w, 3].
        rim: How surely a pixel lies within the iris's disc, [h, w].
    """
    level = image.mean(2)
    sure = rim > 0.9
    if sure.sum() < 4:
        return np.ones_like(level)
    dark, light = np.percentile(level[sure], (40, 97))
    reach = max(30.0, 0.8 * (light - dark))
    return np.clip(1.6 - (level - dark) / reach, 0, 1)


def iris_colours(
    before: Native, after: Native, pair: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return an iris's colour in the drawn faces, before and after; None where there is no eye.

    Within the eyes, pixels count by how far they moved, and those that moved are irises.

    Args:
        before: The drawn face.
        after: The same, edited.
        pair: Both in CIELAB, [h, w, 3].
    """
    both = np.minimum(before.region("eyes"), after.region("eyes"))
    inside = both > FOUND
    if inside.mean() < SMALLEST:
        return None
    start, end = pair[0][inside], pair[1][inside]
    moved = np.linalg.norm(end - start, axis=1)
    weight = np.clip(moved - 0.5 * moved.max(), 1e-3, None)[:, None]
    return (start * weight).sum(0) / weight.sum(), (end * weight).sum(0) / weight.sum()
