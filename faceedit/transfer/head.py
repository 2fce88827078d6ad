"""The head in the photograph: where it is, how it is turned, and where a ray meets it.

A photograph of a head is taken as a scaled orthographic view of a head of average size. Head space
is in millimetres: x to the right of the picture, y up, z towards the camera, the origin between the
eyes. Things to wear are made in head space and drawn through this view, so that they turn and tilt
with the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

# Mean places over 106 portraits, depths of an average adult head; left is the picture's left.
AVERAGE_HEAD: dict[str, tuple[float, float, float]] = {
    "left_iris_0": (-32.3, 1.9, 0.0),
    "left_lid_0": (-44.6, 1.5, -9.0),
    "left_lid_4": (-17.6, -0.8, -3.0),
    "left_brow_0": (-56.3, 16.1, -7.0),
    "left_brow_4": (-14.6, 20.2, 10.0),
    "left_nose_1": (-18.9, -43.8, 11.0),
    "left_lip_0": (-28.6, -64.8, 4.0),
    "left_outline_1": (-67.2, -12.4, -55.0),
    "left_outline_4": (-53.9, -72.3, -40.0),
    "nose_root": (0.0, 3.9, 8.0),
    "nose_tip": (0.0, -43.1, 29.0),
    "chin": (0.0, -112.0, 5.0),
}
AVERAGE_HEAD |= {
    name.replace("left", "right"): (-x, y, z)
    for name, (x, y, z) in AVERAGE_HEAD.items()
    if name.startswith("left")
}
LOOSE = (
    "chin",
    "left_outline_4",
    "right_outline_4",
    "left_outline_1",
    "right_outline_1",
)  # vary from head to head
PUPILS = 64.6  # mm between the pupils of the average head
SKULL_CENTRE = np.array([0.0, 32.0, -84.0])
SKULL_AXES = np.array([69.0, 75.0, 94.0])  # half breadth, height and length of the bare skull
MIN_POINTS = 6


@dataclass(frozen=True)
class Head:
    """A view of a head.

    Attributes:
        turn: Rotation of head space, [3, 3].
        scale: Pixels a millimetre.
        origin: Where the origin of head space lies in the picture, [2], px.
        size: How many times wider, taller and deeper than the average head it is, [3].
    """

    turn: np.ndarray
    scale: float
    origin: np.ndarray
    size: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return where points of head space, [..., 3] mm, lie in the picture, [..., 2] px."""
        seen = (np.asarray(points, float) * self.size) @ self.turn.T
        return self.origin + self.scale * seen[..., :2] * np.array([1.0, -1.0])

    def facing(self, points: np.ndarray) -> np.ndarray:
        """Return how near the camera points of head space are, [...] mm."""
        return ((np.asarray(points, float) * self.size) @ self.turn.T)[..., 2]

    def rays(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the rays through all pixels of a picture: a point each [h, w, 3], one direction.

        Points are in head space; the direction, [3], leads towards the camera.
        """
        x, y = self._millimetres(shape)
        back = self._back
        start = x[None, :, None] * back[:, 0] + y[:, None, None] * back[:, 1]
        return start, back[:, 2]

    def plane(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y of head space at every pixel, [h, w] mm each, at the depth of the eyes."""
        x, y = self._millimetres(shape)
        back = self._back
        return (
            x[None] * back[0, 0] + y[:, None] * back[0, 1],
            x[None] * back[1, 0] + y[:, None] * back[1, 1],
        )

    def meet(
        self, shape: tuple[int, int], centre: np.ndarray, axes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where the rays of a picture first meet an ellipsoid.

        Args:
            shape: Height and width of the picture.
            centre: The ellipsoid's centre, head space, [3].
            axes: Its half axes, [3].

        Returns:
            The points, [h, w, 3] (of a ray that misses: its nearest to the centre), and how far
            inside the outline the ray passes, [h, w]: 1 through the centre, 0 at the outline.
        """
        x, y = self._millimetres(shape)
        back, axes = self._back, np.asarray(axes, np.float32)
        d = back[:, 2] / axes
        length = float(d @ d)
        right, up = back[:, 0] / axes, back[:, 1] / axes
        offset = np.asarray(centre, np.float32) / axes
        # Both are polynomials of the pixel's place: |o|^2 and o d with o = x right + y up - offset.
        along = (x * (right @ d) - offset @ d)[None] / length + (y * (up @ d))[:, None] / length
        square = (x * x * (right @ right) - 2 * x * (right @ offset) + offset @ offset)[None]
        square = square + (y * y * (up @ up) - 2 * y * (up @ offset))[:, None]
        square = square + (2 * float(right @ up) * x)[None] * y[:, None]
        beyond = np.maximum(square - along * along * length, 0)
        forward = np.sqrt(np.maximum(1 - beyond, 0) / length) - along
        points = np.empty((*shape, 3), np.float32)
        for i in range(3):
            points[..., i] = (x * back[i, 0])[None] + (y * back[i, 1])[:, None]
            points[..., i] += forward * back[i, 2]
        return points, 1 - np.sqrt(beyond)

    def on_ellipsoid(self, place: np.ndarray, centre: np.ndarray, axes: np.ndarray) -> np.ndarray:
        """Return where the ray through a place of the picture, [2] px, meets an ellipsoid, [3]."""
        return self.moved(place).meet((1, 1), centre, axes)[0][0, 0]

    @property
    def _back(self) -> np.ndarray:
        return (self.turn.T / self.size[:, None]).astype(np.float32)

    def _millimetres(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        h, w = shape
        x = (np.arange(w, dtype=np.float32) - np.float32(self.origin[0])) / self.scale
        y = -(np.arange(h, dtype=np.float32) - np.float32(self.origin[1])) / self.scale
        return x.astype(np.float32), y.astype(np.float32)

    def scaled(self, factor: float) -> Head:
        """Return the same view in a picture `factor` times as large; see `drawing.Sheet`."""
        origin = (self.origin + 0.5) * factor - 0.5
        return Head(self.turn, self.scale * factor, origin, self.size)

    def moved(self, offset: np.ndarray) -> Head:
        """Return the same view in a picture whose corner lies at `offset`, px."""
        return Head(self.turn, self.scale, self.origin - np.asarray(offset, float), self.size)


def fit_head(points: Mapping[str, np.ndarray]) -> Head:
    """Return the view of the average head that shows these points best.

    Args:
        points: Places in the picture, px, by the names of `AVERAGE_HEAD`, which are those of
            `faceedit.backbones.landmarks`; others are ignored.

    Raises:
        ValueError: If fewer than six of them, or not both pupils, are known.
    """
    names = [name for name in AVERAGE_HEAD if name in points]
    if len(names) < MIN_POINTS or not {"left_iris_0", "right_iris_0"} <= set(names):
        raise ValueError(f"a head needs both pupils and {MIN_POINTS} points; given: {names}")
    model = np.array([AVERAGE_HEAD[name] for name in names])
    seen = np.array([points[name] for name in names], float)
    weight = np.array([0.5 if name in LOOSE else 1.0 for name in names])[:, None]
    left, right = (np.asarray(points[f"{side}_iris_0"], float) for side in ("left", "right"))
    across = right - left
    unit = max(float(np.hypot(*across)), 1e-3) / PUPILS

    def view(q: np.ndarray) -> Head:
        size = np.array([q[6], q[7], 1.0])
        return Head(rotation(q[0], q[1], q[2]), unit * float(np.exp(q[3])), q[4:6] * unit, size)

    def residual(q: np.ndarray) -> np.ndarray:
        error = (view(q).project(model) - seen) / unit * weight
        prior = [q[0] * 2.5, q[1] * 20.0, (q[6] - 1) * 50.0, (q[7] - 1) * 50.0]
        return np.concatenate([error.ravel(), prior])

    middle = (left + right) / 2 / unit
    start = np.array([0, 0, -np.arctan2(across[1], across[0]), 0, *middle, 1, 1])
    return view(least_squares(residual, start, method="lm", xtol=1e-4, ftol=1e-4).x)


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return the rotation by pitch about x, then yaw about y, then roll about z, radians."""
    cy, sy = np.cos(yaw), np.sin(yaw)
    cp, sp = np.cos(pitch), np.sin(pitch)
    cr, sr = np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
