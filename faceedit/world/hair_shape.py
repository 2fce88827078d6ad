"""The shape of hair, as distances: strands from a pole of the skull, locks, tails, a mohawk."""

from __future__ import annotations

import torch
from torch import Tensor

from faceedit.world.parameters import Parameters
from faceedit.world.sdf import (
    FAR,
    capsule,
    ellipsoid,
    length2,
    length3,
    smooth_max,
    smooth_min,
    step,
    wobble,
)


def meridian(p: Parameters, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Angle about the hair's pole, and the slow sway of its strands."""
    cx, cy, cz = x, y - 0.32, z + 0.10

    def axis(v: Tensor) -> Tensor:
        return cx * v[:, 0:1] + cy * v[:, 1:2] + cz * v[:, 2:3]

    angle = torch.atan2(axis(p.meridian_1), axis(p.meridian_2))
    return angle, torch.sin(3.1 * y + p.phase) + torch.sin(2.3 * z + 1.7 * y)


def curls(p: Parameters, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Height field of curly hair, about -1..1: ridges of two sizes."""
    warp = 1.3 * torch.sin(5.0 * (x + z) + p.phase)

    def weave(f: float) -> Tensor:
        return torch.sin(f * x + warp) + torch.sin(f * y - warp) + torch.sin(f * z + 1.7 * warp)

    return 1 - 0.50 * weave(15.0).abs() - 0.24 * weave(31.0).abs()


def face_window(
    p: Parameters, x: Tensor, y: Tensor, z: Tensor, locks: Tensor
) -> tuple[Tensor, Tensor]:
    """Where hair is cut away before the face: (distance, its frontal outline)."""
    slant = x + 0.24 * p.part * (y - 0.2).clamp(min=0)
    ragged = (0.020 + 0.55 * p.cut_lump) * (locks - 0.5)
    line = p.cut_line + 0.05 * p.cut_peak - 0.28 * p.part * x * (1 - p.cut_peak) + ragged
    half = p.cut_half - 0.20 * step(-0.2, -1.0, y) * p.cut_long
    top = (y - line + 0.62).clamp(min=0)
    px = slant - 0.30 * p.part * p.cut_peak
    power = 2.4 - 0.85 * p.cut_peak
    outline = ((px / half).abs() + 1e-4) ** power + (
        (top + 1e-4) / (0.62 + 0.10 * p.cut_peak)
    ) ** power
    outline = (outline ** (1 / power) - 1) * 0.52
    front = (p.cut_front - 0.55 * step(-0.35, -1.0, y) - z) * 0.9
    return torch.maximum(outline, front), outline


def long_hair(p: Parameters, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, locks: Tensor) -> Tensor:
    """The curtain of hair beside and behind the face."""
    wave = p.cut_wave * torch.sin(7.0 * y + p.phase + 1.3 * torch.sin(2 * z))
    bulk = 1 + 0.10 * p.hair_volume
    width = (0.80 + 0.25 * p.cut_wave) * bulk
    height = 1.12 + 0.35 * (-p.cut_end - 1).clamp(min=0)
    d = ellipsoid(
        ax + wave,
        y + 0.30 + 0.10 * (p.cut_end + 1.2).clamp(max=0),
        z + 0.22,
        width,
        height,
        0.60,
    )
    d = smooth_max(d, p.cut_end + 0.05 * locks - y, 0.16)
    return d + (1 - p.cut_long) * FAR


def ponytail(p: Parameters, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """A tail from high on the back of the head, swinging to one side."""
    s = p.side
    knot = (s * 0.26, 0.86, -0.62)
    bend = (s * 0.86, 0.42, -0.52)
    d = capsule(x, y, z, knot, bend, 0.10, 0.19)
    fall = capsule(x, y, z, bend, (s * 0.88, -0.30, -0.34), 0.19, 0.18)
    d = smooth_min(d, fall, 0.10)
    d = smooth_min(
        d, capsule(x, y, z, (s * 0.88, -0.30, -0.34), (s * 0.74, -1.0, -0.20), 0.18, 0.04), 0.10
    )
    return d - 0.012 * torch.sin(9 * torch.atan2(x - s * 0.8, z + 0.45) + 3 * y + p.phase)


def mohawk(p: Parameters, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """A crest over the middle of the skull."""
    arc = length2(y - 0.30, z + 0.12)
    spikes = torch.sin(torch.atan2(z + 0.12, y - 0.3) * 13 + p.phase).abs()
    height = (0.76 + 0.24 * (0.75 + 0.25 * spikes)) * step(-1.2, 0.5, y + 0.5 * z)
    d = torch.maximum(arc - height, x.abs() - 0.15 + 0.10 * step(0.75, 1.1, arc))
    return torch.maximum(d, -(y - 0.45 + 0.5 * (z - 0.55).clamp(min=0))) * 0.8


def hair(p: Parameters, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, fine: bool) -> Tensor:
    """Distance to the hair of the head."""
    angle, sway = meridian(p, x, y, z)
    locks = torch.sin(torch.round(p.cut_locks * 0.5) * angle + 0.55 * sway).abs()
    small = torch.sin(torch.round(p.cut_locks * 1.2) * angle + 1.1 * sway + p.phase).abs()
    d = ellipsoid(x, y - 0.34, z + 0.10, 0.69 + p.cut_side, 0.70 + p.cut_top, 0.79 + p.cut_back)
    quiff = ellipsoid(x - 0.10 * p.side, y - 0.93, z - 0.30, 0.46, 0.20 * p.cut_quiff + 0.05, 0.36)
    d = torch.where(p.cut_quiff > 0, smooth_min(d, quiff, 0.22), d)
    window, outline = face_window(p, x, y, z, 0.6 * locks + 0.4 * small)
    nape = p.cut_nape + 0.30 * step(-0.35, 0.15, z) * (1 - p.cut_long) - y
    d = smooth_max(d, nape * 0.9, 0.06)
    d = smooth_min(d, long_hair(p, x, ax, y, z, locks), 0.12)
    d = d - p.cut_lump * (locks * 0.9 + small * 0.5 - 0.75)
    d = d + p.cut_taper * p.cut_top * (1 - step(0.0, 0.34, outline)) * step(-0.25, 0.25, z)
    d = d - p.cut_curl * p.cut_curly * curls(p, x, y, z)
    d = smooth_max(d, -window, p.cut_edge)
    d = torch.where(p.cut_crest > 0, smooth_min(d, mohawk(p, x, y, z), 0.03), d)
    twist = 0.02 * torch.sin(6 * torch.atan2(x, z + 0.28) + 5 * y).abs()
    bun = length3(x, y - 1.06, z + 0.30) - 0.25 - twist
    d = torch.where(p.cut_bun > 0, smooth_min(d, bun, 0.05), d)
    d = torch.where(p.cut_tail > 0, torch.minimum(d, ponytail(p, x, y, z)), d)
    if fine:
        strands = torch.sin(torch.round(p.cut_locks * 4.0) * angle + 3.0 * sway)
        strands = strands + 0.8 * torch.sin(torch.round(p.cut_locks * 7.3) * angle + 5.0 * sway + 1)
        d = d - 0.004 * p.cut_strands * strands
        d = d - 0.010 * p.cut_curly * wobble(x, y, z, 48.0, p.phase)
    d = torch.where(p.hatted > 0, smooth_max(d, y + 0.08 * z - 0.44, 0.03), d)
    return d + p.cut_none * FAR
