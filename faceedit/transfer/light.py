"""The light on the face: how bright a surface is that faces some way, seen on the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceedit.transfer.head import Head

FACE_CENTRE = np.array([0.0, -18.0, -66.0])
FACE_AXES = np.array([69.0, 112.0, 76.0])
USUAL = np.array([1.0, 0.0, 0.22])  # soft light from above
TRUST = 0.02  # how much evidence outweighs the usual light, in mean squares of a normal's part
GAMMA = 2.2


@dataclass(frozen=True)
class Light:
    """Brightness of a surface by its normal in the picture, 1 for one that faces the camera.

    Attributes:
        slope: Change of linear brightness by the normal's part to the right, and up, [2].
        colour: Its tint, linear RGB, mean 1, [3].
    """

    slope: np.ndarray
    colour: np.ndarray

    def on(self, normals: np.ndarray) -> np.ndarray:
        """Return linear brightness for normals [..., 3] (right, up, towards the camera)."""
        bright = 0.35 + 0.65 * np.clip(normals[..., 2], 0, 1)
        bright = bright + normals[..., :2] @ self.slope.astype(np.float32)
        return np.clip(bright, 0.12, 1.7).astype(np.float32)

    @property
    def towards(self) -> np.ndarray:
        """Where it comes from in the picture: right and up, unit length, [2]."""
        return self.slope / max(float(np.hypot(*self.slope)), 1e-6)


def linear(colour: np.ndarray) -> np.ndarray:
    """Return linear light in [0, 1] of display values in [0, 255]."""
    return (np.clip(colour, 0, 255) / 255) ** GAMMA


def display(light: np.ndarray) -> np.ndarray:
    """Return display values in [0, 255] of linear light."""
    return 255 * np.clip(light, 0, 1) ** (1 / GAMMA)


def read_light(image: np.ndarray, skin: np.ndarray, head: Head) -> Light:
    """Return the light that shades the skin of a face like this.

    Args:
        image: RGB in [0, 255], [h, w, 3].
        skin: Where bare skin of the face is, [h, w] in [0, 1].
        head: The view of the head.
    """
    step = max(1, int(head.scale * 1.5))
    part = image[::step, ::step]
    small = Head(head.turn, head.scale / step, head.origin / step, head.size)
    hit, depth = small.meet(part.shape[:2], FACE_CENTRE, FACE_AXES)
    where = (skin[::step, ::step] > 0.7) & (depth > 0.05)
    usual = Light(USUAL[1:], np.ones(3))
    if where.sum() < 30:
        return usual
    normals = surface_normals(hit[where], FACE_CENTRE, FACE_AXES, head)
    seen = linear(part[where])
    bright = seen @ np.array([0.25, 0.6, 0.15])
    bright = bright / max(float(np.median(bright)), 1e-4)
    keep = (bright > 0.25) & (bright < 2.2)
    flat = 0.35 + 0.65 * normals[keep, 2]
    design = np.stack([flat, normals[keep, 0], normals[keep, 1]], 1)
    n = len(design)
    square = design.T @ design + np.diag([0.0, TRUST, TRUST]) * n
    right = design.T @ bright[keep] + np.array([0.0, 0.0, TRUST * USUAL[2]]) * n
    base, across, up = np.linalg.solve(square, right)
    slope = np.clip(np.array([across, up]) / max(base, 0.2), -0.6, 0.6)
    return Light(slope, np.ones(3))


def surface_normals(
    points: np.ndarray, centre: np.ndarray, axes: np.ndarray, head: Head
) -> np.ndarray:
    """Return an ellipsoid's unit normals at points of head space, as the camera sees them."""
    back = (head.turn / head.size / np.asarray(axes) ** 2).astype(np.float32)
    normal = (points - np.asarray(centre, np.float32)) @ back.T
    length = np.sqrt(np.einsum("...i,...i", normal, normal))
    return normal / np.maximum(length, 1e-9)[..., None]
