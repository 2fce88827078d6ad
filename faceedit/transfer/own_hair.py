"""Which of the pixels that were parsed as hair are the head's own.

A parser takes prints, leaves and bricks for hair now and then. Hair hangs together with the head,
and away from the head it has a colour that the head's hair has, too.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceedit.transfer.view import View

SIZE = 160  # px, of the longer side; enough to tell what hangs together
LIKELY = 0.5
BESIDE = 0.34  # of the aligned square's side: so far from its middle hair is the head's
CHEEKS = 0.58  # of the side, from its top: below it cloth begins beside the neck
ALIKE = (1.6, 3.2)  # distances in spreads of the head's hair: up to where a colour is its own
LEAST_SPREAD = 9.0  # CIELAB
CLUSTERS = 3  # shades that the head's hair is taken to have
SMALLEST = 40  # px of the small picture that the head's hair must have to be judged by


def own_hair(photo: View) -> np.ndarray:
    """Return how likely every pixel is hair of the head, [h, w] float32 in [0, 1]."""
    chance = photo.region("hair") * photo.known
    height, width = chance.shape
    scale = SIZE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(chance, size, interpolation=cv2.INTER_AREA)
    near = _head(photo, size)
    sure = (small > 0.8) & near
    if sure.sum() < SMALLEST:  # a bald head: what lies elsewhere is something else
        inside = cv2.resize(near.astype(np.float32), (width, height))
        return chance * inside
    image = cv2.resize(photo.image, size, interpolation=cv2.INTER_AREA) / 255
    lab = cv2.cvtColor(np.clip(image, 0, 1), cv2.COLOR_RGB2LAB)
    alike = np.where(near, 1.0, _likeness(lab, lab[sure]))
    weight = (alike * _connected((small * alike > LIKELY), near)).astype(np.float32)
    return chance * cv2.resize(weight, (width, height), interpolation=cv2.INTER_LINEAR)


def _head(photo: View, size: tuple[int, int]) -> np.ndarray:
    """Return where the head is, [h, w] bool of the small picture: hair there is its own."""
    left, top, side = photo.square
    x = (np.arange(size[0]) + 0.5) * photo.shape[1] / size[0]
    y = (np.arange(size[1]) + 0.5) * photo.shape[0] / size[1]
    beside = np.abs(x - left - side / 2) < BESIDE * side
    above = y < top + CHEEKS * side
    return beside[None] & above[:, None]


def _likeness(lab: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return 1 where a colour is one of the head's hair, 0 where it is far from all, [h, w]."""
    rng = cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER
    count = min(CLUSTERS, len(own))
    cv2.setRNGSeed(0)
    _, labels, centres = cv2.kmeans(
        own.astype(np.float32), count, None, (rng, 10, 1.0), 1, cv2.KMEANS_PP_CENTERS
    )
    distances = []
    for i, centre in enumerate(centres):
        members = own[labels[:, 0] == i]
        spread = max(float(np.sqrt(((members - centre) ** 2).sum(1).mean())), LEAST_SPREAD)
        distances.append(np.sqrt(((lab - centre) ** 2).sum(2)) / spread)
    nearest = np.minimum.reduce(distances)
    low, high = ALIKE
    return np.clip((high - nearest) / (high - low), 0, 1)


def _connected(likely: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return which likely pixels hang together with likely ones at the head; 1 around them, too."""
    joined = cv2.morphologyEx(likely.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(joined)
    kept = np.zeros(count, bool)
    kept[np.unique(labels[near & (labels > 0)])] = True
    kept[0] = False
    away = likely & ~kept[labels]
    return 1 - cv2.dilate(away.astype(np.float32), np.ones((3, 3), np.uint8)) * ~kept[labels]
