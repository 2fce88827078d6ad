"""The shape of things to wear, as distances: hats, glasses, earrings."""

from __future__ import annotations

import torch
from torch import Tensor

from faceedit.world.parameters import Parameters
from faceedit.world.sdf import FAR, capsule, ellipsoid, length2, length3, smooth_max


def hat(p: Parameters, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Distance to the hat, FAR where there is none."""
    cy, cz = y - 0.32, z + 0.10
    tilt = y + 0.08 * z + 0.06
    rib = 0.008 * torch.sin(46 * torch.atan2(x, cz)).abs()
    cuff = ellipsoid(x, cy - 0.02, cz, 0.845, 0.90, 0.935) - rib
    cuff = smooth_max(cuff, (tilt - 0.53).abs() - 0.13, 0.06)
    beanie = smooth_max(ellipsoid(x, cy - 0.03, cz, 0.79, 0.82, 0.88), 0.40 - tilt, 0.04)
    d = torch.minimum(beanie, cuff) + (1 - p.hat_beanie) * FAR
    grow = 0.025 + 1.0 * p.cut_lump + 0.75 * p.cut_curl * p.cut_curly
    side, top, back = (c.clamp(min=0) + grow for c in (p.cut_side, p.cut_top, p.cut_back))
    band = ellipsoid(x, y - 0.34, cz, 0.69 + side, 0.70 + top, 0.79 + back)
    band = smooth_max(band, (y + 0.42 * z - 0.77).abs() - 0.085, 0.04)
    d = torch.minimum(d, band + (1 - p.hat_headband) * FAR)
    dome = smooth_max(ellipsoid(x, cy - 0.02, cz, 0.79, 0.83, 0.88), 0.44 - tilt, 0.04)
    sheet = (y - 0.56 + 0.50 * (z - 0.70) + 0.34 * x * x).abs() - 0.024
    visor = smooth_max((length2(x / 0.62, (z - 0.55) / 0.80) - 1) * 0.6, sheet * 0.85, 0.02)
    visor = smooth_max(visor, 0.35 - z, 0.05)
    button = length3(x, y - 1.16, cz) - 0.055
    cap = torch.minimum(torch.minimum(dome, visor * 0.85), button)
    d = torch.minimum(d, cap + (1 - p.hat_cap) * FAR)
    crown = smooth_max(ellipsoid(x, cy - 0.06, cz, 0.77, 0.66, 0.84), 0.42 - tilt, 0.04)
    r = length2(x, cz)
    brim = (y - 0.86 + 0.42 * r - 0.10 * z + 0.02 * torch.sin(3 * torch.atan2(x, cz))).abs() - 0.026
    brim = smooth_max(brim * 0.8, torch.maximum(r - 1.22, 0.60 - r), 0.03)
    sun = torch.minimum(crown, brim) + (1 - p.hat_sun_hat) * FAR
    return torch.minimum(d, sun)


def lens_outline(p: Parameters, ax: Tensor, y: Tensor) -> Tensor:
    """Distance to the edge of a lens in its plane, negative inside: round or a rounded square."""
    lx, ly = ax - 0.315, y + 0.015
    circle = length2(lx, ly * 1.04) - 0.225
    bx, by = lx.abs() - 0.130, (ly + 0.01).abs() - 0.085
    square = length2(bx.clamp(min=0), by.clamp(min=0)) + torch.maximum(bx, by).clamp(max=0) - 0.095
    return torch.where(p.glasses_round > 0, circle, square)


def glasses(p: Parameters, x: Tensor, ax: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Distance to frame, bridge, temples and dark lenses, FAR where there are none."""
    outline = lens_outline(p, ax, y)
    depth = z - (0.80 - 0.28 * ax * ax)
    rim = length2(outline, depth) - (0.017 + 0.010 * (1 - p.glasses_round))
    dark = torch.minimum(rim, torch.maximum(outline, depth.abs() - 0.012))
    d = torch.where(p.glasses_sunglasses > 0, dark, rim)
    bridge = capsule(x, y, z, (-0.09, 0.035, 0.80), (0.09, 0.035, 0.80), 0.018, 0.018)
    temple = capsule(ax, y, z, (0.55, 0.05, 0.71), (0.73, 0.06, -0.10), 0.018, 0.018)
    return torch.minimum(torch.minimum(d, bridge), temple) + (1 - p.specs_on) * FAR


def earrings(p: Parameters, ax: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Distance to studs or hoops, FAR where there are none."""
    low = 0.185 * (p.ear - 1)
    stud = length3(ax - 0.72, y + 0.225 + low, z + 0.03) - 0.042
    hoop = length2(length2(ax - 0.725, y + 0.35 + low) - 0.095, z + 0.03) - 0.018
    d = torch.where(p.earrings_hoops > 0, torch.minimum(hoop, stud + 0.02), stud)
    return d + p.earrings_none * FAR
