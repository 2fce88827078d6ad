"""Hair as lines in the space of the head: lit along their length, drawn from behind to before."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.transfer.drawing import SUBPIXEL, Sheet
from faceedit.transfer.head import Head
from faceedit.transfer.light import Light

TONES = 12  # grey levels that strands are drawn in
CHUNKS = 9  # of strands, from the farthest to the nearest
PIECE = 3  # segments of a strand that share a tone
FULL = 110.0  # of 255: the tone of hair in even light


@dataclass(frozen=True)
class Locks:
    """Many strands of one kind.

    Attributes:
        paths: Their points in head space, [k, n, 3] mm; n - 1 is a multiple of `PIECE`.
        normals: Which way the hair's surface looks along them, [k, n, 3], head space.
        tone: Brightness of each, 1 for the hair's own, [k].
        width: Of all of them, mm.
        order: Greater ones are drawn later, [k]; None: the nearer ones.
    """

    paths: np.ndarray
    normals: np.ndarray
    tone: np.ndarray
    width: float
    order: np.ndarray | None = None


def draw_locks(
    sheet: Sheet, head: Head, light: Light, groups: list[Locks]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw strands, one group over the other.

    Returns:
        Their tone, [h, w], 1 for hair's own colour in even light, and alpha, [h, w] in [0, 1].
    """
    tone = np.full(sheet.shape, int(0.35 * FULL), np.uint8)
    alpha = np.zeros(sheet.shape, np.uint8)
    for locks in groups:
        if len(locks.paths):
            _draw(sheet, head, light, locks, tone, alpha)
    return tone.astype(np.float32) / FULL, alpha.astype(np.float32) / 255


def _draw(
    sheet: Sheet, head: Head, light: Light, locks: Locks, tone: np.ndarray, alpha: np.ndarray
) -> None:
    places = np.round(sheet.head.project(locks.paths) * 2**SUBPIXEL).astype(np.int32)
    bright = lit(head, light, locks.paths, locks.normals) * locks.tone[:, None]
    starts = np.arange(0, locks.paths.shape[1] - 1, PIECE)
    middle = bright[:, np.minimum(starts + PIECE // 2, bright.shape[1] - 1)]
    level = np.clip(middle * FULL, 6, 250)
    which = np.clip((level / 250 * TONES).astype(int), 0, TONES - 1)
    pieces = np.stack([places[:, s : s + PIECE + 1] for s in starts], 1)  # [k, p, PIECE + 1, 2]
    depth = head.facing(locks.paths)[:, :: max(1, locks.paths.shape[1] // 6)].mean(1)
    order = np.argsort(depth if locks.order is None else locks.order, kind="stable")
    thick = max(1, round(locks.width * sheet.millimetre))
    for chunk in np.array_split(order, min(CHUNKS, max(1, len(order) // 20))):
        mine, tones = pieces[chunk].reshape(-1, PIECE + 1, 2), which[chunk].ravel()
        for i in np.unique(tones):
            value = int((i + 0.5) / TONES * 250)
            lines = list(mine[tones == i])
            cv2.polylines(tone, lines, False, value, thick, cv2.LINE_AA, SUBPIXEL)
    cv2.polylines(alpha, list(places), False, 255, thick, cv2.LINE_AA, SUBPIXEL)


def lit(head: Head, light: Light, paths: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return brightness along strands: a surface's, and the sheen across hair.

    The sheen is where a strand runs across the half vector of light and view (Kajiya and Kay,
    "Rendering fur with three dimensional textures", 1989).

    Args:
        head: The view of the head.
        light: On the face.
        paths: [k, n, 3], head space.
        normals: [k, n, 3], head space, unit.
    """
    turn = head.turn.T.astype(np.float32)
    seen = normals.astype(np.float32) @ turn
    along = np.gradient(paths.astype(np.float32), axis=1)
    along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    along = along @ turn
    half = np.array([light.slope[0], 0.45 + light.slope[1], 1.0], np.float32)
    half = half / np.linalg.norm(half)
    across = 1 - (along @ half) ** 2
    sheen = np.clip(across, 0, 1) ** 14 * np.clip(seen @ half, 0, 1) ** 2
    surface = light.on(seen) * (0.80 + 0.20 * seen[..., 1])
    return 0.20 + 0.66 * surface + 0.75 * sheen
