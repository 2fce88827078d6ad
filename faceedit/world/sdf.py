"""Signed distance primitives and smooth functions, element by element on coordinate tensors.

A distance is negative inside. Formulas follow Inigo Quilez' public notes on distance functions.
Coordinates are three tensors of one shape; parameters broadcast against them ([n, 1] or floats).
"""

from __future__ import annotations

import torch
from torch import Tensor

Scalar = Tensor | float
FAR = 9.0  # a distance that loses against every part of the scene


def smooth_min(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Union of two shapes, blended over a distance k (quadratic polynomial minimum)."""
    h = (k - (a - b).abs()).clamp(min=0)
    return torch.minimum(a, b) - h * h * (0.25 / k)


def smooth_max(a: Tensor, b: Tensor, k: Scalar) -> Tensor:
    """Intersection of two shapes, blended over a distance k; with -b: a without b."""
    h = (k - (a - b).abs()).clamp(min=0)
    return torch.maximum(a, b) + h * h * (0.25 / k)


def length2(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean length of (a, b)."""
    return (a * a + b * b).sqrt()


def length3(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Euclidean length of (a, b, c)."""
    return (a * a + b * b + c * c).sqrt()


def ellipsoid(x: Tensor, y: Tensor, z: Tensor, rx: Scalar, ry: Scalar, rz: Scalar) -> Tensor:
    """Approximate distance to an ellipsoid at the origin with the given radii."""
    a, b, c = x / rx, y / ry, z / rz
    k0 = length3(a, b, c)
    k1 = length3(a / rx, b / ry, c / rz) + 1e-6
    return (k0 - 1) * k0 / k1


Point = tuple[Scalar, Scalar, Scalar]


def capsule(x: Tensor, y: Tensor, z: Tensor, a: Point, b: Point, ra: Scalar, rb: Scalar) -> Tensor:
    """Distance to a rod from point a (radius ra) to point b (radius rb)."""
    bx, by, bz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    px, py, pz = x - a[0], y - a[1], z - a[2]
    h = ((px * bx + py * by + pz * bz) / (bx * bx + by * by + bz * bz)).clamp(0, 1)
    return length3(px - bx * h, py - by * h, pz - bz * h) - (ra + (rb - ra) * h)


def step(low: Scalar, high: Scalar, value: Tensor) -> Tensor:
    """Smooth step: 0 at `low`, 1 at `high` (which may be the smaller one)."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def bump(value: Tensor, width: Scalar) -> Tensor:
    """A Gaussian bump of height 1 at 0."""
    return torch.exp(-((value / width) ** 2))


def wobble(x: Tensor, y: Tensor, z: Tensor, frequency: Scalar, phase: Scalar = 0.0) -> Tensor:
    """Smooth pseudo-noise, about -1 to 1: three domain-warped sines."""
    f = frequency
    a = torch.sin(f * x + 1.7 * torch.sin(0.8 * f * y + phase) + phase)
    b = torch.sin(f * 1.13 * y + 1.5 * torch.sin(0.9 * f * z + 1.3 + phase) + 2.1)
    c = torch.sin(f * 0.93 * z + 1.6 * torch.sin(0.85 * f * x + 4.2) + 0.7 + phase)
    return (a + b + c) / 3


def dot(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Dot product of two 3-vectors given as lists of components."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(v: list[Tensor]) -> list[Tensor]:
    """The 3-vector scaled to length 1."""
    scale = torch.rsqrt(dot(v, v).clamp(min=1e-12))
    return [c * scale for c in v]


def mix(a: list[Tensor], b: list[Tensor], amount: Tensor) -> list[Tensor]:
    """Linear blend of two colours given as lists of components: a at 0, b at 1."""
    return [x + (y - x) * amount for x, y in zip(a, b, strict=True)]
