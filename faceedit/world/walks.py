"""Walks to the surfaces of a portrait, from the front backwards, in `geometry.face_space`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from faceedit.world import geometry
from faceedit.world.parameters import Parameters

__all__ = [
    "PACE",
    "STEPS",
    "THIN_STEPS",
    "Surface",
    "backwards",
    "face",
    "lowest",
    "scan",
    "to_space",
]

STEPS, PACE = 22, 0.8  # of a walk to a surface
THIN_STEPS = 60  # to one that may be grazed: the brim of a hat
FRONT = 1.6  # z from which walks towards a face begin
SCANNED = torch.linspace(0.10, 1.15, 22)  # heights at which the edges of hair and hats are sought


def to_space(p: Parameters, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `geometry.face_space`."""
    return x * p.wide, torch.where(y < 0, y * p.tall, y * p.crown)


Surface = Callable[[Tensor, Tensor, Tensor], Tensor]  # x, y, z of face space -> distance


def backwards(surface: Surface, x: Tensor, y: Tensor, steps: int = STEPS) -> Tensor:
    """Z of the first surface behind (x, y), seen from the front; far behind where there is none."""
    z = torch.full_like(x, FRONT)
    for _ in range(steps):
        z = z - surface(x, y, z).clamp(max=0.4) * PACE
    return z


def face(p: Parameters) -> Surface:
    """Skin of the head and the eyeballs."""

    def surface(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        ax = torch.sqrt(x * x + 4e-4)
        eye = geometry.length3(ax - p.eye_x, y, z - 0.44) - p.eye_r
        return torch.minimum(geometry.head(p, x, ax, y, z, fine=False), eye)

    return surface


def scan(p: Parameters, surface: Surface, x: Tensor, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Z of a surface over columns x, [n, k, heights], and the heights, of the same shape."""
    heights = SCANNED.to(x).expand(*x.shape, -1)
    columns = x[..., None].expand_as(heights)
    z = backwards(surface, columns.flatten(1), heights.flatten(1), steps)
    return z.view_as(heights), heights


def lowest(above: Tensor, heights: Tensor, otherwise: float) -> Tensor:
    """The lowest height at which `above` is over 0, between those scanned, [n, k]."""
    there = above > 0
    first = there.float().argmax(-1, keepdim=True)
    before = (first - 1).clamp(min=0)
    here, below = above.gather(-1, first), above.gather(-1, before).clamp(min=-0.2)
    share = (here / (here - below).clamp(min=1e-6)).clamp(0, 1)
    y = heights.gather(-1, first)
    y = torch.lerp(y, heights.gather(-1, before), share)[..., 0]
    return torch.where(there.any(-1), y, otherwise)
