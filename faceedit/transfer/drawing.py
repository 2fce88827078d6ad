"""Drawing with crisp, anti-aliased edges: a sheet finer than the frame, laid over a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.transfer.head import Head
from faceedit.transfer.layers import Layers

FINE = 3.2  # px a millimetre of the head at which things are drawn
MOST = 4  # how many times finer than the frame, at most
SUBPIXEL = 4  # bits of OpenCV's fixed-point coordinates


@dataclass(frozen=True)
class Sheet:
    """A fine picture over a box of the frame.

    Attributes:
        box: Left, top, right, bottom, px of the frame, right and bottom exclusive.
        fine: Its pixels a pixel of the frame, a whole number.
        head: The view of the head in the sheet.
    """

    box: tuple[int, int, int, int]
    fine: int
    head: Head

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in its own pixels."""
        left, top, right, bottom = self.box
        return (bottom - top) * self.fine, (right - left) * self.fine

    @property
    def millimetre(self) -> float:
        """Its pixels a millimetre of the head."""
        return self.head.scale

    def take(self, field: np.ndarray) -> np.ndarray:
        """Return a field of the frame, [h, w] or [h, w, d], on the sheet."""
        left, top, right, bottom = self.box
        part = np.ascontiguousarray(field[top:bottom, left:right], dtype=np.float32)
        return cv2.resize(part, self.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def to_sheet(self, points: np.ndarray) -> np.ndarray:
        """Return places of the frame, [..., 2], as places on the sheet."""
        return (np.asarray(points, float) - self.box[:2] + 0.5) * self.fine - 0.5

    def give(self, field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return a field of the sheet in a frame of `shape`, 0 beyond the sheet."""
        left, top, right, bottom = self.box
        size = (right - left, bottom - top)
        small = cv2.resize(field.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        whole = np.zeros((*shape, *field.shape[2:]), np.float32)
        whole[top:bottom, left:right] = small
        return whole

    def laid(
        self, colour: np.ndarray, alpha: np.ndarray, shape: tuple[int, int], grain: float
    ) -> Layers:
        """Return what the sheet shows as a cover of the frame.

        Args:
            colour: RGB in [0, 255], [h, w, 3].
            alpha: How much of it is seen, [h, w] in [0, 1].
            shape: Height and width of the frame.
            grain: How much of the photograph's grain it needs.
        """
        wide = alpha[..., None]
        whole = self.give(np.concatenate([colour * wide, wide], 2), shape)
        alpha = whole[..., 3]
        return Layers(
            cover=whole[..., :3] / np.maximum(alpha, 1e-4)[..., None],
            alpha=alpha,
            grain=np.full(shape, grain, np.float32),
        )

    def filled(self, *outlines: np.ndarray) -> np.ndarray:
        """Return the inside of closed outlines, [k, 2] px of the sheet each, [h, w] in [0, 1]."""
        plane = np.zeros(self.shape, np.uint8)
        for outline in outlines:
            cv2.fillPoly(plane, [_fixed(outline)], 255, cv2.LINE_AA, SUBPIXEL)
        return plane.astype(np.float32) / 255

    def stroked(self, line: np.ndarray, width: float, closed: bool = False) -> np.ndarray:
        """Return a line, [k, 2] px of the sheet, `width` mm wide, [h, w] in [0, 1]."""
        plane = np.zeros(self.shape, np.uint8)
        thick = max(1, round(width * self.millimetre))
        cv2.polylines(plane, [_fixed(line)], closed, 255, thick, cv2.LINE_AA, SUBPIXEL)
        return plane.astype(np.float32) / 255

    def blurred(self, field: np.ndarray, sigma: float) -> np.ndarray:
        """Return a field blurred by `sigma` mm."""
        return blur(field, sigma * self.millimetre)


def sheet_over(
    points: np.ndarray, head: Head, shape: tuple[int, int], margin: float, detail: float = FINE
) -> Sheet:
    """Return a sheet over places of the frame, [k, 2], and `margin` mm around them.

    Args:
        points: The places.
        head: The view of the head in the frame.
        shape: The frame's height and width.
        margin: Added on every side.
        detail: Its pixels a millimetre of the head, at least, if `MOST` allows.
    """
    pad = margin * head.scale
    low = np.floor(np.asarray(points).min(0) - pad).astype(int)
    high = np.ceil(np.asarray(points).max(0) + pad).astype(int) + 1
    left, right = np.clip([low[0], high[0]], 0, shape[1]).tolist()
    top, bottom = np.clip([low[1], high[1]], 0, shape[0]).tolist()
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    fine = int(np.clip(np.ceil(detail / head.scale - 0.2), 1, MOST))
    return Sheet((left, top, right, bottom), fine, head.moved(np.array([left, top])).scaled(fine))


def blur(field: np.ndarray, sigma: float) -> np.ndarray:
    """Return a field blurred by a Gaussian of `sigma` px; wide blurs are made coarsely."""
    if sigma < 0.3:
        return field
    step = int(max(1, sigma // 3))
    if step == 1:
        return cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    h, w = field.shape[:2]
    size = (max(1, round(w / step)), max(1, round(h / step)))
    small = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)


def smooth_step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Return 0 below `low`, 1 above `high`, a smooth curve between; low > high falls."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def superellipse(
    centre: Sequence[float], half: Sequence[float], power: float, count: int = 72
) -> np.ndarray:
    """Return an outline |x/a|^p + |y/b|^p = 1, [count, 2]: 2 is an ellipse, more is boxy."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    x = np.sign(c) * np.abs(c) ** (2 / power) * half[0]
    y = np.sign(s) * np.abs(s) ** (2 / power) * half[1]
    return np.stack([x + centre[0], y + centre[1]], 1)


def _fixed(line: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(line, float) * 2**SUBPIXEL).astype(np.int32)
