"""Lines that age and expression leave in skin, laid where a face's own muscles would fold it.

A drawn face of 128 px has no wrinkles to carry; it says how much older a person gets. Where each
fold runs is anatomy: across the forehead, up between the brows, fanning out from the corners of the
eyes, below them, from the wings of the nose past the mouth, down from its corners. A fold is a dark
groove with a ridge beside it that catches the light from above; lines are broken and uneven, as
folds in skin are.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.transfer.movement import by_column
from faceedit.transfer.points import SIDES, Curves, dense
from faceedit.transfer.spline import Box, Grid

SAMPLES = 20  # of a fold
STEP = 1 / 72  # of the grid that folds are drawn on (unit: eye distance)
MOTTLES = (1.6, 4.0)  # of the grid: sizes of spots in old skin
REDDER = np.array([0.82, 1.02, 1.08])  # a groove darkens red least: light comes through the skin


@dataclass(frozen=True, eq=False)
class Fold:
    """A line in the skin, in the face's own frame."""

    path: np.ndarray  # [k, 2], from its beginning to its end
    depth: float  # how much darker its groove is, as a logarithm
    width: float  # of the groove; unit: eye distance
    ridge: float = 0.5  # of the light beside it over the groove's depth
    lit: float = 1.0  # on which side, seen along the path: 1 right, -1 left, 0 both


def age_folds(face: Curves) -> list[Fold]:
    """Return the folds of an old face, at full depth, for curves in the own frame."""
    rng = np.random.default_rng(7)
    found = [*_forehead(face, rng), *_frown_lines(face)]
    for side in SIDES:
        found += [*_crows_feet(face, side, rng), *_below_eye(face, side)]
        found += [*_nasolabial(face, side), *_beside_mouth(face, side)]
        found += [*_hollows(face, side), *_cheek_lines(face, side, rng)]
    return found + _above_lip(face, rng)


def smile_folds(face: Curves) -> list[Fold]:
    """Return the folds of a broad smile: from the nose past the mouth, and beside the eyes."""
    rng = np.random.default_rng(3)
    found = []
    for side in SIDES:
        found += [*_nasolabial(face, side)[:1], *_crows_feet(face, side, rng)[1:3]]
    return found


def raised_folds(face: Curves) -> list[Fold]:
    """Return the folds of raised brows: across the forehead."""
    return _forehead(face, np.random.default_rng(5))[:3]


def knit_folds(face: Curves) -> list[Fold]:
    """Return the folds of knitted brows: up between them."""
    return _frown_lines(face)


def _outward(side: str) -> float:
    return -1.0 if side == "left" else 1.0


def _outer(curve: np.ndarray, side: str) -> np.ndarray:
    return curve[0] if side == "left" else curve[-1]


def _inner(curve: np.ndarray, side: str) -> np.ndarray:
    return curve[-1] if side == "left" else curve[0]


def _forehead(face: Curves, rng: np.random.Generator) -> list[Fold]:
    brow = min(face[f"brow_{side}"][:, 1].min() for side in SIDES) - 0.04
    top = face["forehead"][:, 1].min()
    found = []
    for share, reach, depth in (
        (0.24, 0.56, 0.8),
        (0.42, 0.62, 1.0),
        (0.6, 0.55, 0.75),
        (0.76, 0.42, 0.4),
    ):
        x = np.linspace(-reach, reach, 11) + 0.04 * rng.standard_normal()
        wave = 0.022 * np.cos(x * 5.5) + 0.03 * (x / reach) ** 2 + 0.008 * rng.standard_normal(11)
        y = brow + (top - brow) * share + wave
        cut = 5 + int(rng.integers(-1, 2))  # most lines are broken near the middle
        for part in (slice(0, cut + 1), slice(cut, None)):
            found.append(Fold(np.stack([x, y], 1)[part], 0.17 * depth, 0.016, 0.6, 1.0))
    return found


def _frown_lines(face: Curves) -> list[Fold]:
    found = []
    for side in SIDES:
        low = _inner(face[f"brow_{side}"], side)
        x = 0.55 * low[0]
        y = low[1] + np.linspace(0.05, -0.20, 6)
        path = np.stack([x + 0.02 * _outward(side) * np.linspace(-1, 1, 6) ** 2, y], 1)
        found.append(Fold(path, 0.16, 0.017, 0.35, 0.0))
    return found


def _crows_feet(face: Curves, side: str, rng: np.random.Generator) -> list[Fold]:
    corner, out = _outer(face[f"upper_lid_{side}"], side), _outward(side)
    found = []
    for angle, length, depth in (
        (-38, 0.20, 0.7),
        (-14, 0.27, 1.0),
        (9, 0.27, 1.0),
        (31, 0.25, 0.8),
        (50, 0.22, 0.5),
    ):
        turn = np.deg2rad(angle + 4 * rng.standard_normal())
        t = np.linspace(0, 1, 7)
        bend = turn + 0.35 * (t - 0.3) * np.sign(turn + 0.1)
        steps = length / 6 * np.stack([out * np.cos(bend), np.sin(bend)], 1)
        start = (
            corner
            + np.array([out * 0.085, 0.01])
            + 0.05 * np.array([out * np.cos(turn), np.sin(turn)])
        )
        found.append(Fold(start + np.cumsum(steps, 0) - steps[0], 0.15 * depth, 0.012, 0.55, out))
    return found


def _below_eye(face: Curves, side: str) -> list[Fold]:
    lid = by_column(face[f"lower_lid_{side}"])
    wide = float(np.ptp(lid[:, 0]))
    out = _outward(side)
    found = []
    for drop, depth, width, first, last in (
        (0.075, 0.10, 0.013, 0.1, 0.95),
        (0.17, 0.15, 0.026, 0.0, 0.85),
        (0.255, 0.07, 0.018, 0.1, 0.7),
    ):
        share = np.linspace(first, last, 9)  # from the nose outwards
        order = share if out > 0 else 1 - share
        path = np.stack([np.interp(order, np.linspace(0, 1, len(lid)), c) for c in lid.T], 1)
        sag = drop * (0.55 + 0.45 * np.sin(np.pi * share**0.8)) + 0.02 * share
        found.append(
            Fold(
                path + np.stack([0.06 * wide * out * (share - 0.4), sag], 1),
                depth,
                width,
                0.5,
                -out,
            )
        )
    return found


def _nasolabial(face: Curves, side: str) -> list[Fold]:
    wing, corner, out = (
        _outer(face["nose"], side),
        _outer(face["outer_upper_lip"], side),
        _outward(side),
    )
    points = [
        wing + np.array((out * 0.03, -0.10)),
        wing + np.array((out * 0.11, 0.02)),
        (wing + corner) / 2 + np.array([out * 0.13, -0.03]),
        corner + np.array((out * 0.13, -0.02)),
        corner + np.array((out * 0.12, 0.16)),
    ]
    path = dense(np.stack(points), 14)
    beside = path + np.stack([out * np.linspace(0.10, 0.17, 14), np.linspace(0.10, 0.0, 14)], 1)
    return [
        Fold(path, 0.24, 0.026, 0.45, -out),
        Fold(path, 0.13, 0.075, 0.4, -out),
        Fold(beside[3:], 0.07, 0.018, 0.6, -out),
    ]


def _beside_mouth(face: Curves, side: str) -> list[Fold]:
    corner, out = _outer(face["outer_upper_lip"], side), _outward(side)
    chin = face["outline"][:, 1].max()
    t = np.linspace(0, 1, 8)
    down = (chin - corner[1]) * 0.62
    path = corner + np.stack([out * (0.02 + 0.13 * t - 0.05 * t**2), 0.04 + down * t], 1)
    jowl = corner + np.stack([out * (0.28 + 0.20 * t), down * (1.08 - 0.42 * t)], 1)
    return [
        Fold(path, 0.13, 0.020, 0.45, -out),
        Fold(path, 0.08, 0.06, 0.4, -out),
        Fold(jowl, 0.09, 0.08, 0.5, -out),
    ]


def _hollows(face: Curves, side: str) -> list[Fold]:
    """Return where flesh sinks: below the cheekbone and at the temple."""
    corner, out = _outer(face["outer_upper_lip"], side), _outward(side)
    brow = _outer(face[f"brow_{side}"], side)
    t = np.linspace(0, 1, 6)
    cheek = corner + np.stack([out * (0.44 - 0.20 * t), -0.30 + 0.40 * t], 1)
    temple = brow + np.stack([out * (0.05 + 0.05 * t), -0.04 - 0.26 * t], 1)
    return [Fold(cheek, 0.16, 0.10, 0.35, out), Fold(temple, 0.09, 0.07, 0.2, 0.0)]


def _cheek_lines(face: Curves, side: str, rng: np.random.Generator) -> list[Fold]:
    """Return fine lines that run down the cheek, from below the eye's corner outside the smile."""
    eye, corner = _outer(face[f"lower_lid_{side}"], side), _outer(face["outer_upper_lip"], side)
    out, t = _outward(side), np.linspace(0, 1, 8)[:, None]
    found = []
    for away in (0.05, 0.13, 0.21, 0.29):
        start = eye + np.array([out * (0.02 + 0.6 * away), 0.26 + 0.2 * away])
        end = corner + np.array([out * (0.16 + away), -0.10 + 0.35 * away])
        bow = np.concatenate([out * 0.05 * np.sin(np.pi * t), 0 * t], 1)
        wave = 0.008 * rng.standard_normal((8, 2))
        found.append(Fold(start + (end - start) * t + bow + wave, 0.085, 0.011, 0.55, -out))
    return found


def _above_lip(face: Curves, rng: np.random.Generator) -> list[Fold]:
    lip = by_column(face["outer_upper_lip"])
    found = []
    for share in (0.2, 0.32, 0.42, 0.58, 0.68, 0.8):
        place = lip[round(share * (len(lip) - 1))] + np.array((0.0, -0.015))
        t = np.linspace(0, 1, 4)[:, None]
        lean = (share - 0.5) * 0.10 + 0.01 * rng.standard_normal()
        found.append(Fold(place + t * np.array([lean, -0.10]), 0.07, 0.010, 0.4, 0.0))
    return found


def face_grid(face: Curves, step: float) -> Grid:
    """Return a grid over a face's skin, in its own frame, so that costs do not follow its size."""
    rim = np.concatenate([face["outline"], face["forehead"]])
    low, high = rim.min(0), rim.max(0)
    columns, rows = (np.ceil((high - low) / step).astype(int) + 1).tolist()
    return Grid(low, step, (rows, columns))


def fold_shade(
    folds: list[tuple[Fold, float]], face: Curves, to_own: np.ndarray, box: Box, pixel: float
) -> np.ndarray:
    """Return the shade of folds as a logarithm of brightness, [h, w] float32: dark below 0.

    They are drawn in the face's own frame, so that the cost does not follow the photograph's size.

    Args:
        folds: In the own frame, and how deep each is, in [0, 1].
        face: Curves in the own frame.
        to_own: From px of the frame to the own frame, [2, 3].
        box: Rows and columns of the frame to shade.
        pixel: Size of the photograph's own pixel in the own frame; no groove is drawn finer.
    """
    grid = face_grid(face, STEP)
    low, nodes = grid.low, grid.nodes.astype(np.float32)
    shade = np.zeros((*grid.shape, 1), np.float32)
    rng = np.random.default_rng(11)
    for fold, depth in folds:
        width = max(fold.width, 0.8 * pixel)
        first = np.floor((fold.path.min(0) - 4 * width - low) / STEP).astype(int)
        last = np.ceil((fold.path.max(0) + 4 * width - low) / STEP).astype(int) + 1
        first, last = np.maximum(first, 0), np.maximum(last, 0)
        part = slice(first[1], last[1]), slice(first[0], last[0])
        shade[part][..., 0] += depth * _shade_of(fold, width, nodes[part], rng)
    return grid.spread(shade, to_own, box)


def mottle(face: Curves, to_own: np.ndarray, box: Box) -> np.ndarray:
    """Return how unevenly an old skin is coloured, a logarithm of brightness, [h, w] float32.

    Args:
        face: Curves in the own frame.
        to_own: From px of the frame to the own frame, [2, 3].
        box: Rows and columns of the frame to shade.
    """
    grid = face_grid(face, STEP)
    noise = np.random.default_rng(5).standard_normal(grid.shape).astype(np.float32)
    field = np.zeros(grid.shape, np.float32)
    for sigma in MOTTLES:
        smooth = cv2.GaussianBlur(noise, (0, 0), sigma)
        field += smooth / smooth.std()
    spots = -np.clip(field - 1.6, 0, 1.5)  # dark ones are rarer and sharper than pale ones
    return grid.spread((0.35 * field + spots)[..., None], to_own, box)


def _shade_of(fold: Fold, width: float, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one fold's shade at places [h, w, 2]."""
    path = dense(fold.path, SAMPLES).astype(np.float32)
    along = np.gradient(path, axis=0)
    along /= np.hypot(*along.T)[:, None] + 1e-9
    x, y = at[..., 0, None] - path[:, 0], at[..., 1, None] - path[:, 1]  # [h, w, SAMPLES]
    nearest = (x * x + y * y).argmin(-1)
    x, y = at[..., 0] - path[nearest, 0], at[..., 1] - path[nearest, 1]
    way_x, way_y = along[nearest, 0], along[nearest, 1]
    off = y * way_x - x * way_y  # to the right of the path, in y down
    beyond = np.abs(x * way_x + y * way_y)
    t = np.linspace(0, 1, SAMPLES)
    uneven = np.interp(t, np.linspace(0, 1, 7), 1 + 0.28 * rng.standard_normal(7))
    strength = np.clip(
        np.sin(np.pi * (0.04 + 0.92 * t)) ** 0.7 * np.clip(uneven, 0.35, 1.4), 0, None
    )
    groove = -np.exp(-((off / width) ** 2))
    side = off * (fold.lit if fold.lit else 1.0)
    light = np.exp(-(((side - 1.9 * width) / (1.5 * width)) ** 2))
    if not fold.lit:
        light = 0.5 * (light + np.exp(-(((side + 1.9 * width) / (1.5 * width)) ** 2)))
    shade = (groove + fold.ridge * light) * np.exp(-((beyond / (1.2 * width)) ** 2))
    return (fold.depth * strength[nearest] * shade).astype(np.float32)
