"""New hair: its shape from the pair, its colour from the photograph, its strands made anew.

Each style is strands in the space of the head: their roots on the skull, their fall over it. A
first pass of broad dark locks closes the surface, finer and lighter ones give it strands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from faceedit.transfer.drawing import smooth_step
from faceedit.transfer.head import SKULL_AXES, SKULL_CENTRE, Head
from faceedit.transfer.strands import PIECE, Locks
from faceedit.transfer.view import View

STEPS = 4 * PIECE + 1  # points of a strand
CURL = 2 * PIECE + 1  # points of a curl
PASSES = (  # of strands: how many, how wide in mm, how bright, how far from the skull in mm
    (420, 5.0, 0.34, (-1.0, 6.0)),
    (900, 1.7, 0.62, (0.0, 10.0)),
    (2000, 0.7, 1.0, (1.0, 13.0)),
)
LOCK = 8.0  # mm of the parting whose strands run together


@dataclass(frozen=True)
class Style:
    """A hair style.

    Attributes:
        name: Of `STYLES`.
        end: Height of the tips over the eyes, mm, for hair that hangs.
        wave: How much it waves, mm.
        part: Where it is parted, mm to the right of the middle.
        volume: How much wider than usual, mm; of hair that stands, how far it is off the skull,
            0 for as far as usual.
        fringe: Height over the eyes where hair over the forehead ends, mm; None = it is parted.
    """

    name: str
    end: float = -80.0
    wave: float = 0.0
    part: float = 0.0
    volume: float = 0.0
    fringe: float | None = None


HANGS = ("bob", "long straight", "long wavy")
STANDS = {  # clouds of curls: how far they stand off the skull, radius and number of the curls
    "afro": ((46.0, 48.0, 36.0), 2.6, 9000, -62.0),
    "curly": ((28.0, 26.0, 24.0), 6.5, 3600, -80.0),
}
MOST_OFF, LEAST_OFF = 62.0, 16.0  # mm off the skull
LOWEST, HIGHEST = -190.0, -62.0  # mm over the eyes, where hair that hangs may end


def shaped(style: Style, drawn: View, head: Head) -> Style:
    """Return a style as long and as wide as the hair of a drawn face.

    Args:
        style: Of its kind.
        drawn: The face.
        head: The view of its head.
    """
    hair = drawn.region("hair") > 0.5
    if not hair.any():
        return style
    x, y = head.plane(drawn.shape)
    if style.name in HANGS:
        low = float(np.percentile(y[hair], 2))
        bottom = float(y[np.flatnonzero(drawn.known.max(1) > 0.5)[-1]].max())
        if low < bottom + 12:
            low = LOWEST  # it goes on below the picture
        return replace(style, end=float(np.clip(low, LOWEST, HIGHEST)))
    if style.name in STANDS:
        high = hair & (y > 0)
        wide = float(np.percentile(np.abs(x[high]), 97)) if high.any() else 0.0
        off = float(np.clip(wide - SKULL_AXES[0], LEAST_OFF, MOST_OFF))
        return replace(style, volume=off)
    return style


def hanging(style: Style, noise: np.random.Generator) -> list[Locks]:
    """Return hair that is parted on top and hangs beside the face."""
    groups = []
    shifts = noise.standard_normal((2, 64, 4))  # of each lock: its end, its way, its brightness
    for count, width, bright, (low, high) in PASSES:
        side = np.where(noise.random(count) < 0.5, -1.0, 1.0)
        root_z = 1 - 140 * noise.random(count) ** 1.2
        lift = noise.uniform(low, high, count) + style.volume * noise.uniform(0.3, 1, count)
        place = -(root_z - 1) / LOCK + 0.35 * noise.standard_normal(count)
        lock = np.clip(np.floor(place), 0, 63).astype(int)
        within = 2 * (place - np.floor(place)) - 1  # -1..1 across its lock
        own = shifts[(side > 0).astype(int), lock]
        paths, normals = _over_and_down(style, side, root_z, lift, within, own, noise)
        relief = 0.72 + 0.42 * (1 - within**2)  # locks are round
        tone = bright * relief * np.exp(0.10 * own[:, 2] + 0.22 * noise.standard_normal(count))
        groups.append(Locks(paths, normals, tone, width))
    if style.fringe is not None:
        groups += _fringe(style, style.fringe, noise)
    return groups


def _fringe(style: Style, end: float, noise: np.random.Generator) -> list[Locks]:
    """Return hair that falls from the crown over the forehead.

    Args:
        style: What it belongs to.
        end: Height of its tips over the eyes, mm.
        noise: Of its strands.
    """
    groups = []
    shifts = noise.standard_normal((24, 3))
    for count, width, bright, (low, high) in (*PASSES[:2], (1800, 0.45, 1.0, PASSES[2][3])):
        place = noise.uniform(-1, 1, count)
        lock = np.clip(((place + 1) * 12 + 0.3 * noise.standard_normal(count)).astype(int), 0, 23)
        own = shifts[lock]
        lift = noise.uniform(low, high, count) + style.volume * noise.uniform(0.3, 0.8, count)
        t = np.linspace(0, 1, STEPS)[None]
        tip = end + 2.0 * own[:, 0] + 2.5 * noise.standard_normal(count)
        last = np.arcsin(np.clip((tip - SKULL_CENTRE[1]) / SKULL_AXES[1], -0.9, 0.9))
        crown = np.deg2rad(noise.uniform(84, 116, count))  # so that no band of light is ruled
        angle = (crown + (last - crown) * t.T).T
        # Locks fan out from the crown and lean a little, each its own way.
        x = 57 * place[:, None] * (0.45 + 0.55 * smooth_step(0, 0.7, t))
        x = x + (2.5 * own[:, 1:2] + 1.5 * noise.standard_normal(count)[:, None]) * t
        ring = np.sqrt(np.clip(1 - (x / (SKULL_AXES[0] + 8)) ** 2, 0.05, 1))
        y = SKULL_CENTRE[1] + (SKULL_AXES[1] + lift[:, None]) * ring * np.sin(angle)
        y = np.where(angle < 0, SKULL_CENTRE[1] + SKULL_AXES[1] * np.sin(angle), y)
        z = SKULL_CENTRE[2] + (SKULL_AXES[2] + 0.7 * lift[:, None]) * ring * np.cos(angle)
        paths = np.stack([x, y, z], -1)
        normals = _unit((paths - SKULL_CENTRE) / (SKULL_AXES + 8) ** 2)
        tone = 0.82 * bright * np.exp(0.12 * own[:, 2] + 0.20 * noise.standard_normal(count))
        groups.append(Locks(paths, normals, tone, width))
    return groups


def _over_and_down(
    style: Style,
    side: np.ndarray,
    root_z: np.ndarray,
    lift: np.ndarray,
    within: np.ndarray,
    own: np.ndarray,
    noise: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return strands from the parting over the skull to its side, and down from there.

    Args:
        style: What they make.
        side: -1 left, 1 right, [k].
        root_z: Where on the parting they begin, mm, [k].
        lift: How far off the skull they lie, mm, [k].
        within: Where across their lock, -1..1, [k].
        own: What their lock has of its own, standard normal, [k, 4].
        noise: For what each strand has of its own.
    """
    count = len(side)
    t = np.linspace(0, 1, STEPS)[None]
    over = np.clip(t / 0.42, 0, 1)  # the part of the way over the skull
    down = np.clip((t - 0.42) / 0.58, 0, 1)
    # Front strands go back to frame the face, so that none falls over the eyes.
    side_z = np.minimum(root_z, -36 - 26 * noise.random(count))
    z = root_z[:, None] + (side_z - root_z)[:, None] * over**1.1
    a, b, c = SKULL_AXES + 1.0
    ring = np.sqrt(np.clip(1 - ((z - SKULL_CENTRE[2]) / c) ** 2, 0.12, 1))
    wide, high = (
        a * ring + lift[:, None],
        b * ring + 0.9 * lift[:, None] * smooth_step(0, 0.2, over),
    )
    start = np.arccos(np.clip(side * style.part / a, -0.9, 0.9))
    start = start + 0.05 * noise.standard_normal(count)  # partings are not ruled
    last = np.deg2rad(noise.uniform(-16, 4, count))
    angle = start[:, None] + (last - start)[:, None] * over
    x, y = wide * np.cos(angle), SKULL_CENTRE[1] + high * np.sin(angle)
    end = style.end + 7 * own[:, 0] + 7 * noise.standard_normal(count) + 0.06 * (side_z + 60)
    fall = np.clip(y[:, -1] - end, 5, None)[:, None]
    y = y - fall * down
    inwards = 9.0 if style.end > -120 else 3.0
    x = x + down * (3 + 3 * own[:, 1:2]) - inwards * smooth_step(0.6, 1.0, down)
    gather = smooth_step(0.1, 1.0, down)
    z = z - within[:, None] * 0.4 * LOCK * gather
    x = x + 2.2 * own[:, 3:4] * np.sin(3.1 * down + own[:, 1:2]) * gather
    turns = np.clip(fall / 46, 0.5, None)
    phase = own[:, 1:2] * 1.2 + 0.25 * noise.standard_normal(count)[:, None]
    swing = style.wave * smooth_step(0, 0.4, down)
    x = x + swing * np.sin(2 * np.pi * turns * down + phase)
    z = z + 0.6 * swing * np.cos(2 * np.pi * turns * down + phase)
    z = z + 26 * smooth_step(0.3, 1.0, down) * (style.end < -120)
    paths = np.stack([side[:, None] * x, y, z], -1)
    round_ = _unit((paths - SKULL_CENTRE) / (SKULL_AXES + 8) ** 2)
    flat = np.stack([side[:, None] + 0.25 * within[:, None] + 0 * y, 0 * y, 0.6 + 0 * y], -1)
    normals = _unit(round_ * (1 - down[..., None]) + _unit(flat) * down[..., None])
    return paths, normals


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)


def standing(style: Style) -> tuple[np.ndarray, float, int, float]:
    """Return how a cloud of curls is made: see the arguments of `cloud`."""
    grow, radius, count, low = STANDS[style.name]
    share = style.volume / grow[0] if style.volume else 1.0
    return np.array(grow) * share, radius, int(count * (0.4 + 0.6 * share)), low


def cloud(
    grow: np.ndarray, radius: float, count: int, low: float, noise: np.random.Generator
) -> list[Locks]:
    """Return hair that stands off the head as a cloud of curls.

    Args:
        grow: How far it stands off at the sides, on top and behind, mm, [3].
        radius: Of the curls, mm.
        count: Of the curls.
        low: Height over the eyes where it ends, mm.
        noise: Where they are.
    """
    groups = []
    axes = SKULL_AXES + grow
    lumps = noise.standard_normal((24, 3))
    lumps /= np.linalg.norm(lumps, axis=1, keepdims=True)
    for share, width, bright, shell in (
        (0.35, 0.50 * radius, 0.68, (0.82, 1.0)),
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
            + np.linspace(0, 1, CURL)[None] * (noise.uniform(2.2, 4.5, n)[:, None])
        )
        size = radius * noise.uniform(0.6, 1.3, n)[:, None] * (0.7 + 0.6 * np.linspace(0, 1, CURL))
        first = np.cross(way, noise.standard_normal((n, 3)))
        first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-6)
        second = np.cross(way, first) * 0.8 + 0.3 * way
        ring = size[..., None] * (
            np.cos(angle)[..., None] * first[:, None] + np.sin(angle)[..., None] * second[:, None]
        )
        paths = spot[:, None] + ring
        normals = np.repeat(way[:, None], CURL, 1) + 0.5 * ring / radius
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
