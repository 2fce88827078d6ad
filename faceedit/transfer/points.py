"""The curves of a face that movement is read from: lids, lips, brows, nose, outline.

A curve is an array [k, 2] of (x, y) in pixels, from the picture's left to its right; a face is a
dict of them. Whoever finds the points names them; here only curves count.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from faceedit.transfer.view import View

Curves = Mapping[str, np.ndarray]

SIDES = ("left", "right")  # of the picture


def _mirrored(left: tuple[str, ...], middle: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A curve across the face: its left half from the outside in, its middle, the right half."""
    right = tuple(f"right_{name}" for name in reversed(left))
    return (*(f"left_{name}" for name in left), *middle, *right)


def _sides(name: str, outside_in: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """A curve on each side of the face, from the picture's left to its right."""
    left = tuple(f"left_{point}" for point in outside_in)
    right = tuple(f"right_{point}" for point in reversed(outside_in))
    return {f"{name}_left": left, f"{name}_right": right}


# Curve -> the landmarks on it, from the picture's left to its right.
CURVES: dict[str, tuple[str, ...]] = {
    "outline": _mirrored(tuple(f"outline_{i}" for i in range(8)), ("chin",)),
    "forehead": _mirrored(("forehead_0", "forehead_1"), ("forehead",)),
    **_sides("brow", tuple(f"brow_{i}" for i in range(5))),
    **_sides("brow_lower", tuple(f"brow_{i}" for i in range(5, 10))),
    **_sides("upper_lid", tuple(f"lid_{i}" for i in range(5))),
    **_sides("lower_lid", ("lid_0", "lid_7", "lid_6", "lid_5", "lid_4")),
    "irises": ("left_iris_0", "right_iris_0"),
    "nose": _mirrored(("nose_0", "nose_1"), ("nose_tip",)),
    "outer_upper_lip": _mirrored(("lip_0", "lip_1", "lip_2"), ("lip_top",)),
    "outer_lower_lip": _mirrored(("lip_0", "lip_3", "lip_4"), ("lip_bottom",)),
    "inner_upper_lip": _mirrored(("lip_5", "lip_6"), ("lip_upper",)),
    "inner_lower_lip": _mirrored(("lip_5", "lip_7"), ("lip_lower",)),
}


def curves_of(view: View) -> dict[str, np.ndarray] | None:
    """Return the curves of a picture's face in px of the frame; None without its landmarks."""
    if view.points is None or any(n not in view.names for c in CURVES.values() for n in c):
        return None
    place = {name: i for i, name in enumerate(view.names)}
    points = view.points.astype(np.float64)
    return {curve: points[[place[n] for n in names]] for curve, names in CURVES.items()}


def seen_of(view: View, *curves: str) -> float:
    """Return how surely the landmarks of some curves are in view, in [0, 1], on average."""
    if view.seen is None:
        return 1.0
    place = [view.names.index(name) for curve in curves for name in CURVES[curve]]
    return float(view.seen[place].mean())


def dense(curve: np.ndarray, count: int) -> np.ndarray:
    """Return `count` points on a smooth curve, evenly spaced along it, [count, 2]."""
    steps = np.maximum(np.hypot(*np.diff(curve, axis=0).T), 1e-3)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    bends = _bends(steps, curve)
    at = np.linspace(0, along[-1], count)
    piece = np.clip(np.searchsorted(along, at, side="right") - 1, 0, len(steps) - 1)
    wide = steps[piece][:, None]
    right = (at - along[piece])[:, None] / wide
    left = 1 - right
    straight = left * curve[piece] + right * curve[piece + 1]
    cubic = (left**3 - left) * bends[piece] + (right**3 - right) * bends[piece + 1]
    return straight + cubic * wide * wide / 6


def _bends(steps: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Return the second derivatives of a natural cubic spline at its knots, [k, 2].

    Args:
        steps: Distances of the knots, [k - 1].
        curve: Values at them, [k, 2].
    """
    bends = np.zeros_like(curve, dtype=np.float64)
    if len(steps) > 1:
        slopes = np.diff(curve, axis=0) / steps[:, None]
        system = np.diag(2 * (steps[:-1] + steps[1:]))
        inner = np.arange(len(steps) - 2)
        system[inner, inner + 1] = system[inner + 1, inner] = steps[1:-1]
        bends[1:-1] = np.linalg.solve(system, 6 * np.diff(slopes, axis=0))
    return bends


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the turn, scale and shift [2, 3] that bring points nearest to others (least squares).

    Umeyama (IEEE PAMI 13(4), 1991) without mirroring.

    Args:
        source: [k, 2], at least two points.
        target: [k, 2].
    """
    mean_s, mean_t = source.mean(0), target.mean(0)
    s, t = (source - mean_s) @ (1, 1j), (target - mean_t) @ (1, 1j)
    turn = (np.conj(s) * t).sum() / max(float((np.abs(s) ** 2).sum()), 1e-9)
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, mean_t - linear @ mean_s])


def moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a 2 x 3 matrix to points [..., 2]."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the 2 x 3 matrix that undoes another."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def upright(curves: Curves) -> np.ndarray:
    """Return the matrix [2, 3] from pixels to the face's own frame.

    Its origin lies between the eyes, x runs along them to the picture's right, y down, and the
    distance between the middles of the eyes is 1.
    """
    lids = [curves[f"upper_lid_{side}"] for side in SIDES]
    middles = np.stack([(lid[0] + lid[-1]) / 2 for lid in lids])
    return similarity(middles, np.array([[-0.5, 0.0], [0.5, 0.0]]))


def own_frame(curves: Curves) -> dict[str, np.ndarray]:
    """Return a face's curves in its own frame, see `upright`: pose and size are taken out."""
    matrix = upright(curves)
    return {name: moved(matrix, curve) for name, curve in curves.items()}


def polygon(shape: tuple[int, int], upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return what two curves with common ends enclose, [h, w] float32 in [0, 1], smooth-edged.

    Args:
        shape: Height and width, px.
        upper: From left to right, [k, 2].
        lower: The same.
    """
    corners = np.concatenate([dense(upper, 24), dense(lower, 24)[::-1]])
    filled = np.zeros(shape, np.uint8)
    fixed = np.round(corners * 16).astype(np.int32)
    cv2.fillPoly(filled, [fixed], 255, lineType=cv2.LINE_AA, shift=4)
    return filled.astype(np.float32) / 255
