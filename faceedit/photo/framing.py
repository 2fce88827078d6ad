"""The square around a face: its place, its size and its tilt, from five points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class Framing:
    """How much of the photo an aligned face shows.

    With the vector e from eye to eye and m from the eyes to the mouth, the square's centre is
    `shift` * m below the eyes and half its side is max(`eyes` * |e|, `mouth` * |m|).
    """

    eyes: float = 2.0  # half the side, in distances between the eyes
    mouth: float = 1.8  # half the side, in distances from the eyes to the mouth
    shift: float = 0.1  # from the eyes towards the mouth

    FFHQ: ClassVar[Framing]  # the data set's own: a face with forehead and chin
    WORLD: ClassVar[Framing]  # the portrait world's: head, hair and shoulders


Framing.FFHQ = Framing()
# CenterFace on 24 renders: eyes 0.195 of the frame apart at height 0.471, mouth 0.191 below them.
# Photos have about the same ratio of the two (0.95), so both land where the world's do.
Framing.WORLD = Framing(eyes=2.52, mouth=2.56, shift=0.155)


def face_quad(landmarks: np.ndarray, framing: Framing = Framing.FFHQ) -> np.ndarray:
    """Return the square around a face: top left, bottom left, bottom right, top right, [4, 2].

    With e from eye to eye and m from the eyes to the mouth, its horizontal axis is e plus m
    turned a quarter: the mean of what either says about the head's tilt.

    Args:
        landmarks: Eye, eye, nose, mouth, mouth, [5, 2]; each pair from left to right.
        framing: The square's size and place.
    """
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    e, m = landmarks[1] - landmarks[0], mouth - eyes
    axis = e + np.array([m[1], -m[0]])
    axis /= max(float(np.hypot(*axis)), 1e-9)
    half = max(framing.eyes * float(np.hypot(*e)), framing.mouth * float(np.hypot(*m)))
    right = axis * half
    down = np.array([-right[1], right[0]])
    centre = eyes + framing.shift * m
    return np.stack(
        [centre - right - down, centre - right + down, centre + right + down, centre + right - down]
    )
