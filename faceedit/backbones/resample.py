"""Resizing as a product with a matrix on either side, whose zeros are left out.

Every pixel of a resized image is a weighted mean of the few pixels near it, so resizing is linear:
rows @ image @ columns^T. The matrices are banded. Cut into a few blocks of outputs, each needs a
short span of inputs only, and the products are small and dense, which a CPU is good at; so is the
way back of the gradient, the same with the matrices transposed. PyTorch's own antialiased resizing
and its gradient take some three times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["bicubic", "box", "foveal_columns", "foveal_rows", "resample"]

OUTPUTS = 16  # pixels a block: fewer skip more zeros, more make better products

Weights = Callable[[int, int], Tensor]  # (source, target) -> [target, source]


def bicubic(source: int, target: int) -> Tensor:
    """Return the matrix of PyTorch's antialiased bicubic resizing, [target, source]."""
    lines = torch.eye(source)[None, None]
    resized = F.interpolate(
        lines, (target, source), mode="bicubic", antialias=True, align_corners=False
    )
    return resized[0, 0]


def box(source: int, target: int) -> Tensor:
    """Return the matrix of box resampling, [target, source]: each output averages its own span.

    Equal to StyleCLIP's nearest upsampling by 7 and average pooling by side / 32 where target is
    224, without the 7-fold image in between.
    """
    return _average_between(torch.arange(target + 1, dtype=torch.float64) * source / target, source)


# Where the lines of an aligned portrait come to lie when its face is given most of the room, as
# shares of the side; from the brows to the chin it is 4/3 of its usual size.
FOVEAL_ROWS = ((0.0, 36 / 128, 108 / 128, 1.0), (0.0, 14 / 96, 86 / 96, 1.0))
FOVEAL_COLUMNS = ((0.0, 20 / 128, 108 / 128, 1.0), (0.0, 4 / 96, 92 / 96, 1.0))


def foveal_rows(source: int, target: int) -> Tensor:
    """Return the matrix that squeezes what is above and below the face, [target, source]."""
    return _stretch(source, target, *FOVEAL_ROWS)


def foveal_columns(source: int, target: int) -> Tensor:
    """Return the matrix that squeezes what is beside the face, [target, source]."""
    return _stretch(source, target, *FOVEAL_COLUMNS)


def _stretch(
    source: int, target: int, before: tuple[float, ...], after: tuple[float, ...]
) -> Tensor:
    """Return a box resampling, [target, source], that moves lines from `before` to `after`."""
    edges = torch.arange(target + 1, dtype=torch.float64) / target
    places = torch.zeros_like(edges)
    for (a, b), (c, d) in zip(pairwise(before), pairwise(after), strict=True):
        inside = (edges >= c) & (edges <= d)
        places[inside] = a + (edges[inside] - c) * (b - a) / (d - c)
    return _average_between(source * places, source)


def _average_between(edges: Tensor, source: int) -> Tensor:
    """Return the matrix whose outputs average the inputs between neighbouring edges."""
    starts, ends = edges[:-1, None], edges[1:, None]
    cells = torch.arange(source, dtype=torch.float64)[None]
    overlap = torch.minimum(ends, cells + 1) - torch.maximum(starts, cells)
    return (overlap.clamp(min=0) / (ends - starts)).float()


@dataclass(frozen=True, eq=False)
class Band:
    """A block of a matrix without the zeros beside it."""

    first: int  # the inputs that it reads, from here
    last: int  # up to here
    weights: Tensor  # [outputs, last - first]


@dataclass(frozen=True, eq=False)
class Matrix:
    """A banded matrix and its transpose."""

    forth: tuple[Band, ...]
    back: tuple[Band, ...]


def _cut(matrix: Tensor) -> tuple[Band, ...]:
    bands = []
    for block in matrix.split(OUTPUTS):
        read = block.any(dim=0).nonzero()
        first, last = int(read.min()), int(read.max()) + 1
        bands.append(Band(first, last, block[:, first:last].contiguous()))
    return tuple(bands)


@lru_cache(maxsize=256)  # random crops come in some forty sizes
def _matrix(weights: Weights, source: int, target: int) -> Matrix:
    matrix = weights(source, target)
    return Matrix(_cut(matrix), _cut(matrix.mT))


class _Product(torch.autograd.Function):
    """rows @ image @ columns^T, or with `back` the transposes of both: the way of the gradient."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, rows: Matrix, columns: Matrix, back: bool) -> Tensor:
        ctx.rows, ctx.columns, ctx.back = rows, columns, back
        with torch.autocast(image.device.type, enabled=False):
            across = [
                image[..., band.first : band.last] @ band.weights.mT.to(image)
                for band in (columns.back if back else columns.forth)
            ]
            wide = torch.cat(across, dim=-1)
            down = [
                band.weights.to(wide) @ wide[..., band.first : band.last, :]
                for band in (rows.back if back else rows.forth)
            ]
            return torch.cat(down, dim=-2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        found: Tensor = _Product.apply(gradient, ctx.rows, ctx.columns, not ctx.back)
        return found, None, None, None


def resample(image: Tensor, size: int, weights: Weights, across: Weights | None = None) -> Tensor:
    """Resize images [n, c, h, w] to [n, c, size, size]; gradients pass, of any order.

    Args:
        image: Any floating numbers.
        size: px.
        weights: `bicubic`, `box` or `foveal_rows`.
        across: The same for the columns, where they differ.
    """
    height, width = image.shape[-2:]
    rows, columns = _matrix(weights, height, size), _matrix(across or weights, width, size)
    resized: Tensor = _Product.apply(image, rows, columns, False)
    return resized
