"""The photograph's grain: how strong its noise is and how far it reaches, and more of the same."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

TILE = 256  # px; grain repeats after this much, which nobody sees
BLOCK = 16  # px, of the blocks among which the smoothest are looked for
SMOOTHEST = 0.1  # share of the blocks: what varies there is grain
MOST = 12.0  # levels of 255; beyond it a block shows texture, not grain


@dataclass(frozen=True, eq=False)
class Grain:
    """Noise like a photograph's."""

    tile: np.ndarray  # [TILE, TILE, 3] float32, levels of 255, mean 0

    def field(self, left: int, top: int, width: int, height: int) -> np.ndarray:
        """Return grain for a box of the photograph, [height, width, 3] float32."""
        rows = (np.arange(height) + top) % TILE
        columns = (np.arange(width) + left) % TILE
        return self.tile[rows[:, None], columns[None]]


def measure_grain(photo: np.ndarray, box: tuple[int, int, int, int]) -> Grain:
    """Return grain as strong, as coarse and as coloured as in the smoothest parts of a box.

    Args:
        photo: RGB, [h, w, 3] uint8.
        box: Left, top, right, bottom, px.
    """
    left, top, right, bottom = box
    cut = photo[top:bottom, left:right]
    step = max(1, int(np.sqrt(cut.shape[0] * cut.shape[1] / 1e6)))
    blocks = _blocks(cut, step)
    rng = np.random.default_rng(0)
    noise: np.ndarray = rng.standard_normal((TILE, TILE, 3)).astype(np.float32)
    if blocks is None:
        return Grain(np.zeros_like(noise))
    levels, coarse, shared = _statistics(blocks)
    luma = noise[..., :1].copy()
    noise = shared * luma + np.sqrt(max(1 - shared**2, 0.0)) * noise
    if coarse > 0.3:
        pad = int(np.ceil(4 * coarse))  # OpenCV does not wrap around by itself
        wrapped = np.pad(noise, ((pad, pad), (pad, pad), (0, 0)), mode="wrap")
        noise = cv2.GaussianBlur(wrapped, (0, 0), coarse)[pad:-pad, pad:-pad].copy()
    noise -= noise.mean((0, 1))
    noise *= levels / np.maximum(noise.std((0, 1)), 1e-6)
    return Grain(noise.astype(np.float32))


def _blocks(cut: np.ndarray, step: int) -> np.ndarray | None:
    """Return the smoothest blocks of a picture, less their own slow change, [n, b, b, 3]."""
    rows, columns = cut.shape[0] // BLOCK, cut.shape[1] // BLOCK
    if rows < 2 or columns < 2:
        return None
    cut = cut[: rows * BLOCK, : columns * BLOCK]
    found = cut.reshape(rows, BLOCK, columns, BLOCK, 3).transpose(0, 2, 1, 3, 4)
    found = found[::step, ::step].reshape(-1, BLOCK, BLOCK, 3).astype(np.float32)
    mean = found.mean((1, 2, 3))
    found = found[(mean > 16) & (mean < 240)]  # not where the sensor had nothing or too much
    if len(found) < 8:
        return None
    ramp = np.linspace(-1, 1, BLOCK, dtype=np.float32)
    design = np.stack(
        [np.ones((BLOCK, BLOCK)), *np.meshgrid(ramp, ramp), np.outer(ramp, ramp)], -1
    ).reshape(-1, 4)
    flat = found.reshape(len(found), -1, 3)
    basis, _ = np.linalg.qr(design)
    basis = basis.astype(np.float32)
    flat = flat - basis @ (basis.T @ flat)
    spread = flat.std((1, 2))
    order = np.argsort(spread)[: max(8, int(len(flat) * SMOOTHEST))]
    return flat[order].reshape(-1, BLOCK, BLOCK, 3)


def _statistics(blocks: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return grain's level a channel, its reach (sigma, px), and how much the channels share."""
    levels = np.minimum(blocks.std((0, 1, 2)), MOST)
    variance = float((blocks**2).mean()) + 1e-6
    beside = float((blocks[:, :, 1:] * blocks[:, :, :-1]).mean()) / variance
    below = float((blocks[:, 1:] * blocks[:, :-1]).mean()) / variance
    near = float(np.clip((beside + below) / 2, 0.0, 0.9))
    # White noise after a Gaussian of sigma s is correlated by exp(-1 / (4 s^2)) one pixel on.
    coarse = float(np.sqrt(-1 / (4 * np.log(near)))) if near > 0.02 else 0.0
    across = float((blocks[..., 0] * blocks[..., 1]).mean()) / variance
    return levels.astype(np.float32), coarse, float(np.sqrt(np.clip(across, 0, 1)))
