"""Surfaces to put behind, on and before people: pictures of scenes, and patterns that are drawn.

Everything draws from a NumPy generator and is [side, side, 3] float32 in 0..255.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from training.config import ConfigError

__all__ = ["Random", "Scenes", "color", "drawn_pattern", "noise"]

Random = np.random.Generator
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class Scenes:
    """Pictures of any kind, from which pieces are cut.

    Args:
        folders: Of pictures; those that people may appear in should not be among them.
        pieces: Further pictures, [h, w, 3] uint8.
        patterns: How many patterns are drawn beforehand.
        side: Of the patterns, in pixels.

    Raises:
        ConfigError: If a folder holds no picture.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        pieces: Sequence[np.ndarray] = (),
        patterns: int = 300,
        side: int = 256,
    ) -> None:
        self.pictures = list(pieces)
        for folder in folders:
            paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
            read = [cv2.imread(str(path)) for path in paths]
            found = [np.ascontiguousarray(p[:, :, ::-1]) for p in read if p is not None]
            if not found:
                raise ConfigError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
            self.pictures += found
        self.count, self.side = patterns, side
        self.patterns: dict[int, np.ndarray] = {}  # drawn when they are asked for

    def _pattern(self, number: int) -> np.ndarray:
        if number not in self.patterns:
            drawn = drawn_pattern(np.random.default_rng(number), self.side)
            self.patterns[number] = drawn.astype(np.uint8)
        return self.patterns[number]

    def surface(self, random: Random, side: int) -> np.ndarray:
        """Return a piece of a scene or a pattern, [side, side, 3] float32."""
        piece = self.piece(random, side) if random.random() < 0.6 else None
        if piece is not None:
            return piece
        pattern = self._pattern(int(random.integers(self.count)))
        pattern = pattern[:, ::-1] if random.random() < 0.5 else pattern
        if len(pattern) != side:
            pattern = cv2.resize(np.ascontiguousarray(pattern), (side, side))
        return np.asarray(pattern.astype(np.float32) * (0.8 + 0.4 * random.random())).clip(0, 255)

    def piece(self, random: Random, side: int) -> np.ndarray | None:
        """Return a piece of one of them, mirrored or turned, blurred or not; None without any."""
        if not self.pictures:
            return None
        picture = self.pictures[random.integers(len(self.pictures))]
        h, w = picture.shape[:2]
        span = int(min(h, w) * random.uniform(0.3, 1.0))
        top, left = random.integers(h - span + 1), random.integers(w - span + 1)
        cut = picture[top : top + span, left : left + span]
        if random.random() < 0.5:
            cut = cut[:, ::-1]
        piece = cv2.resize(np.ascontiguousarray(cut), (side, side), interpolation=cv2.INTER_AREA)
        if random.random() < 0.4:
            piece = cv2.GaussianBlur(piece, (0, 0), float(random.uniform(0.5, side / 40)))
        return piece.astype(np.float32)


def noise(random: Random, side: int, cells: int) -> np.ndarray:
    """Return smooth noise of about unit deviation, [side, side] float32."""
    grid = random.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    whole = cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(whole)


def color(random: Random) -> np.ndarray:
    """Return a colour as things have it: seldom pure."""
    gray, tint = random.uniform(15, 240), random.standard_normal(3) * random.uniform(0, 55)
    return np.clip(gray + tint, 0, 255).astype(np.float32)


def drawn_pattern(random: Random, side: int) -> np.ndarray:
    """Return one of: plain, blobs, leaves, bricks, stripes, checks, flowers."""
    draw = (_plain, _blobs, _leaves, _bricks, _stripes, _checks, _flowers)
    picture = draw[random.integers(len(draw))](random, side)
    light = 1 + 0.12 * noise(random, side, int(random.integers(1, 6)))
    return np.clip(picture * light[:, :, None], 0, 255).astype(np.float32)


def _plain(random: Random, side: int) -> np.ndarray:
    return np.full((side, side, 3), 1, np.float32) * color(random)


def _blobs(random: Random, side: int) -> np.ndarray:
    first, second = color(random), color(random)
    share = 1 / (1 + np.exp(-3 * noise(random, side, int(random.integers(2, 30)))))
    return first + (second - first) * share[:, :, None]


def _leaves(random: Random, side: int) -> np.ndarray:
    """Many small leaves before dark and bright gaps."""
    ground = _blobs(random, side)
    hue = np.array([random.uniform(40, 130), random.uniform(90, 190), random.uniform(20, 90)])
    for _ in range(int(random.integers(150, 420))):
        at = random.integers(0, side, 2)
        size = random.uniform(0.012, 0.045) * side
        axes = (max(1, int(size)), max(1, int(size * random.uniform(0.25, 0.6))))
        tone = hue * random.uniform(0.3, 1.4) + random.standard_normal(3) * 10
        angle = float(random.uniform(0, 360))
        cv2.ellipse(ground, at.tolist(), axes, angle, 0, 360, np.clip(tone, 0, 255).tolist(), -1)
    return cv2.GaussianBlur(ground, (0, 0), float(random.uniform(0.3, 3.0)))


def _bricks(random: Random, side: int) -> np.ndarray:
    mortar, brick = color(random), color(random)
    wall = np.full((side, side, 3), 1, np.float32) * mortar
    height = int(random.integers(side // 24, side // 8))
    width, gap = int(height * random.uniform(1.5, 3)), max(1, height // 8)
    for row, top in enumerate(range(0, side, height)):
        for left in range(-(row % 2) * width // 2, side, width):
            tone = np.clip(brick * random.uniform(0.75, 1.2), 0, 255)
            wall[top : top + height - gap, max(0, left) : max(0, left + width - gap)] = tone
    return wall + 8 * noise(random, side, 60)[:, :, None]


def _waves(random: Random, side: int) -> np.ndarray:
    """Parallel lines of any direction, as a phase, [side, side]."""
    angle, period = random.uniform(0, np.pi), random.uniform(0.02, 0.15) * side
    y, x = np.mgrid[:side, :side].astype(np.float32)
    bend = noise(random, side, 3) * random.uniform(0, 0.3) * period
    return (x * np.cos(angle) + y * np.sin(angle) + bend) / period * 2 * np.pi


def _stripes(random: Random, side: int) -> np.ndarray:
    first, second = color(random), color(random)
    share = np.clip(0.5 + random.uniform(0.5, 4) * np.sin(_waves(random, side)), 0, 1)
    return first + (second - first) * share[:, :, None]


def _checks(random: Random, side: int) -> np.ndarray:
    return (_stripes(random, side) + _stripes(random, side)) / 2


def _flowers(random: Random, side: int) -> np.ndarray:
    """A print: spots of a few colours, scattered."""
    cloth, inks = _plain(random, side), [color(random) for _ in range(3)]
    size = random.uniform(0.008, 0.05) * side
    for _ in range(int(random.integers(30, 260))):
        at = random.integers(0, side, 2)
        radius = max(1, int(size * random.uniform(0.4, 1.3)))
        axes = (radius, max(1, int(radius * random.uniform(0.3, 1))))
        ink = inks[random.integers(3)].tolist()
        cv2.ellipse(cloth, at.tolist(), axes, float(random.uniform(0, 360)), 0, 360, ink, -1)
    return cv2.GaussianBlur(cloth, (0, 0), 0.6)
