"""New hair: its shape from the pair, its colour from the photograph, its strands made anew.

Each style is strands in the space of the head: their roots on the skull, their fall over it. A
first pass of broad dark locks closes the surface, finer and lighter ones give it strands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceedit.transfer.drawing import smooth_step
from faceedit.transfer.head import SKULL_AXES, SKULL_CENTRE
from faceedit.transfer.strands import PIECE, Locks

STEPS = 4 * PIECE + 1  # points of a strand
PASSES = (  # of locks: how many, how wide in mm, how bright, how far from the skull in mm
    (600, 5.0, 0.36, (2.0, 7.0)),
    (1000, 1.8, 0.66, (3.0, 11.0)),
    (2400, 0.7, 1.05, (3.0, 13.0)),
)


@dataclass(frozen=True)
class Style:
    """A hair style.

    Attributes:
        name: Of `STYLES`.
        end: Height of the tips over the eyes, mm, for hair that hangs.
        wave: How much it waves, mm.
        part: Where it is parted, mm to the right of the middle.
        volume: How much wider than usual, mm.
    """

    name: str
    end: float = -80.0
    wave: float = 0.0
    part: float = 0.0
    volume: float = 0.0


def hanging(style: Style, noise: np.random.Generator) -> list[Locks]:
    """Return hair that is parted on top and hangs beside the face."""
    groups = []
    for count, width, bright, (low, high) in PASSES:
        side = np.where(noise.random(count) < 0.5, -1.0, 1.0)
        root_z = 8 - 150 * noise.random(count) ** 1.25
        lift = noise.uniform(low, high, count) + style.volume * noise.uniform(0.5, 1, count)
        paths, normals = _over_and_down(style, side, root_z, lift, noise)
        lock = _lumps(side * 200 + root_z, 5.0, noise) + 0.7 * _lumps(
            root_z - 300 * side, 1.6, noise
        )
        tone = bright * np.exp(0.20 * lock + 0.22 * noise.standard_normal(count))
        groups.append(Locks(paths, normals, tone, width))
    return groups


def _lumps(at: np.ndarray, size: float, noise: np.random.Generator) -> np.ndarray:
    """Return noise along a line that changes over `size`, standard normal."""
    values = noise.standard_normal(int(800 / size) + 3)
    return np.interp((at + 400) / size, np.arange(len(values)), values)


def _over_and_down(
    style: Style,
    side: np.ndarray,
    root_z: np.ndarray,
    lift: np.ndarray,
    noise: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return strands from the parting over the skull to its side, and down from there."""
    count = len(side)
    t = np.linspace(0, 1, STEPS)[None]
    over = np.clip(t / 0.42, 0, 1)  # the part of the way over the skull
    down = np.clip((t - 0.42) / 0.58, 0, 1)
    # Front strands go back to frame the face, so that none falls over the eyes.
    side_z = np.minimum(root_z, -38 - 30 * noise.random(count))
    z = root_z[:, None] + (side_z - root_z)[:, None] * over**1.1
    a, b, c = SKULL_AXES + 1.0
    ring = np.sqrt(np.clip(1 - ((z - SKULL_CENTRE[2]) / c) ** 2, 0.03, 1))
    wide, high = a * ring + lift[:, None], b * ring + 0.9 * lift[:, None]
    start = np.arccos(np.clip(side * style.part / a, -0.9, 0.9))
    start = start + 0.10 * noise.random(count)  # partings are not ruled
    last = np.deg2rad(noise.uniform(-16, 6, count))
    angle = start[:, None] + (last - start)[:, None] * over
    x, y = wide * np.cos(angle), SKULL_CENTRE[1] + high * np.sin(angle)
    end = style.end + 9 * noise.standard_normal(count) + 0.05 * (side_z + 60)
    fall = np.clip(y[:, -1] - end, 5, None)[:, None]
    y = y - fall * down
    inwards = 7.0 if style.end > -120 else 4.0
    x = x + down * (4 + 4 * noise.random(count)[:, None]) - inwards * smooth_step(0.72, 1.0, down)
    phase = noise.uniform(0, 2 * np.pi, count)[:, None] * 0.35
    turns = np.clip(fall / 42, 0.5, None)
    x = x + style.wave * smooth_step(0, 0.4, down) * np.sin(2 * np.pi * turns * down + phase)
    x = x + 1.2 * np.sin(5 * t + phase * 9)
    z = z + style.wave * 0.6 * down * np.cos(2 * np.pi * turns * down + phase)
    z = z + 26 * smooth_step(0.3, 1.0, down) * (style.end < -120)
    paths = np.stack([side[:, None] * x, y, z], -1)
    normals = (paths - SKULL_CENTRE) / (SKULL_AXES + 8) ** 2
    flat = np.stack([side[:, None] + 0 * y, 0 * y, 0.5 + 0 * y], -1)
    normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = (
        normals * (1 - down[..., None])
        + flat / np.linalg.norm(flat, axis=-1, keepdims=True) * down[..., None]
    )
    return paths, normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def cloud(
    grow: np.ndarray, radius: float, count: int, noise: np.random.Generator, low: float = -60.0
) -> list[Locks]:
    """Return hair that stands off the head as a cloud of curls.

    Args:
        grow: How far it stands off at the sides, on top and behind, mm, [3].
        radius: Of the curls, mm.
        count: Of the curls.
        noise: Where they are.
        low: Height over the eyes where it ends, mm.
    """
    groups = []
    axes = SKULL_AXES + grow
    lumps = noise.standard_normal((24, 3))
    lumps /= np.linalg.norm(lumps, axis=1, keepdims=True)
    for share, width, bright, shell in (
        (0.30, 2.6 * radius, 0.38, (0.55, 0.93)),
        (0.45, 0.55 * radius, 0.70, (0.80, 1.0)),
        (1.0, 0.24 * radius, 1.1, (0.88, 1.04)),
    ):
        n = int(count * share)
        way = noise.standard_normal((n, 3)) * (1, 1, 1)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        bump = 1 + 0.05 * np.max(way @ lumps.T, axis=1)
        spot = SKULL_CENTRE + axes * way * (noise.uniform(*shell, n) * bump)[:, None]
        keep = (spot[:, 1] > low + 8 * noise.standard_normal(n)) & ~in_face_window(spot, 4.0)
        spot, way = spot[keep], way[keep]
        n = len(spot)
        angle = (
            noise.uniform(0, 2 * np.pi, n)[:, None]
            + np.linspace(0, 1, STEPS)[None] * (noise.uniform(2.5, 6.0, n)[:, None])
        )
        size = radius * noise.uniform(0.6, 1.3, n)[:, None] * (0.7 + 0.6 * np.linspace(0, 1, STEPS))
        first = np.cross(way, noise.standard_normal((n, 3)))
        first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-6)
        second = np.cross(way, first) * 0.8 + 0.3 * way
        ring = size[..., None] * (
            np.cos(angle)[..., None] * first[:, None] + np.sin(angle)[..., None] * second[:, None]
        )
        paths = spot[:, None] + ring
        normals = np.repeat(way[:, None], STEPS, 1) + 0.5 * ring / radius
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        deep = smooth_step(low - 10, low + 50, spot[:, 1]) * 0.35 + 0.65
        tone = bright * deep * np.exp(0.28 * noise.standard_normal(n))
        groups.append(Locks(paths, normals, tone, width))
    return groups


def in_face_window(points: np.ndarray, margin: float) -> np.ndarray:
    """Return which points of head space lie before the face, where no hair grows, [...] bool."""
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    line = np.interp(x, [0, 25, 45, 58, 66], [62, 59, 47, 22, -30])
    return (y < line - margin) & (x < 66) & (z > -75)


def crest(noise: np.random.Generator) -> list[Locks]:
    """Return a mohawk: hair that stands up along the middle of the skull."""
    groups = []
    for count, width, bright in ((700, 3.4, 0.45), (1300, 1.5, 0.75), (2200, 0.7, 1.0)):
        along = np.deg2rad(noise.uniform(-35, 165, count))  # from the forehead to the nape
        across = 15 * noise.uniform(-1, 1, count)
        a, b, c = SKULL_AXES
        y = SKULL_CENTRE[1] + b * np.cos(along - np.pi / 4 * 0) * np.sqrt(1 - (across / a) ** 2)
        z = SKULL_CENTRE[2] - c * np.sin(along) * np.sqrt(1 - (across / a) ** 2)
        root = np.stack([across, y, z], 1)
        out = (root - SKULL_CENTRE) / SKULL_AXES**2
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        out[:, 0] = 0.25 * across / 15 + 0.10 * noise.standard_normal(count)
        out[:, 1:] += 0.12 * noise.standard_normal((count, 2))
        length = 46 * noise.uniform(0.65, 1.0, count) * (0.75 + 0.25 * np.cos(along))
        t = np.linspace(0, 1, STEPS)[None, :, None]
        paths = root[:, None] + out[:, None] * length[:, None, None] * t
        paths[..., 0] *= 1 - 0.75 * t[..., 0] ** 1.5  # locks meet at the ridge
        normals = np.repeat(
            np.stack([np.sign(across), 0 * y + 0.4, 0 * y + 0.8], 1)[:, None], STEPS, 1
        )
        normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
        tone = bright * np.exp(0.25 * noise.standard_normal(count))
        groups.append(Locks(paths, normals, tone, width))
    return groups
