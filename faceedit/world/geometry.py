"""The shape of a portrait: signed distances of the head, the body and all that is on them.

Every function takes the parameters of `parameters.prepare` and points in head space, [n, k] per
coordinate. `ax` is |x| with a rounded valley, so that the two halves of a face join smoothly.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from torch import Tensor

from faceedit.world.hair_shape import hair
from faceedit.world.parameters import PIVOT, Parameters
from faceedit.world.sdf import (
    FAR,
    bump,
    capsule,
    ellipsoid,
    length2,
    length3,
    smooth_max,
    smooth_min,
    step,
    wobble,
)
from faceedit.world.worn_shape import earrings, glasses, hat

# The parts that `scene` can tell apart, in the order of their labels in shading.
PARTS = ("skin", "eye", "cloth", "hair", "hat", "glasses", "teeth", "tongue", "earring")


# ------------------------------------------------------------------------- outlines on the face
def brow_outline(p: Parameters, x: Tensor, ax: Tensor, y: Tensor) -> Tensor:
    """Distance to the eyebrows in the frontal plane, negative inside."""
    s = (ax - 0.115) / 0.37  # 0 at the inner end, 1 at the outer end
    along = s.clamp(0, 1)
    inner = (1 - s).clamp(0, 1)
    arch = (0.052 + 0.046 * p.brow_arch) * torch.sin(math.pi * (0.12 + 0.78 * along) ** 1.15)
    knit = p.brow_raise.clamp(max=0) * 0.075 * inner * inner
    tilt = 0.030 * p.asymmetry * torch.tanh(x * 12)
    center = p.brow_y + arch - 0.03 + knit + tilt - 0.02 * along * along
    thick = p.brow_w * (step(-0.12, 0.12, s) * (1 - 0.75 * step(0.35, 1.0, s)))
    ends = torch.maximum(-0.02 - s * 0.37, (s - 1.0) * 0.37)
    return torch.maximum((y - center).abs() - thick, ends)


def lips(p: Parameters, x: Tensor, y: Tensor) -> SimpleNamespace:
    """Curved mouth coordinates: u along, v across the mouth; 0..1 inside each lip."""
    u = x / p.mouth_w
    q = 1 - u * u
    inside = q.clamp(min=0)
    smirk = 0.045 * p.smirk * u.clamp(-1.5, 1.5)
    v = y - p.mouth_y - p.mouth_lift * (u * u - 0.35) - smirk
    up, low = p.open_up * inside, p.open_low * inside
    beyond = (-q).clamp(min=0) * 0.1
    cavity = torch.maximum(v - up + beyond, -v - low + beyond)
    cavity = cavity + (p.mouth_open < 0.02).float() * FAR
    bow = 1 - 0.16 * bump(u, 0.14) + 0.10 * bump(u.abs() - 0.27, 0.2)
    height_up = p.lip_up * inside**0.75 * bow + 1e-4
    height_low = p.lip_low * inside**0.6 + 1e-4
    return SimpleNamespace(
        u=u,
        v=v,
        inside=inside,
        cavity=cavity,
        upper=(v - up) / height_up,
        lower=(-v - low) / height_low,
        height_up=height_up,
        height_low=height_low,
    )


def eye_opening(p: Parameters, ax: Tensor, y: Tensor) -> SimpleNamespace:
    """Distance to the opening between the lids (negative inside), and eye coordinates."""
    ex = ax - p.eye_x
    ey = y - p.eye_slant * ex
    u = ex / p.eye_w
    q = 1 - u * u
    upper = torch.where(q > 0, p.lid_up * q.clamp(min=1e-6) ** 0.72, p.lid_up.abs() * q)
    lower = -p.lid_low * q
    return SimpleNamespace(
        distance=torch.maximum(ey - upper, lower - ey) * 0.8,
        ex=ex,
        ey=ey,
        u=u,
        upper=upper,
        lower=lower,
    )


def facial_hair(
    p: Parameters, ax: Tensor, y: Tensor, z: Tensor, m: SimpleNamespace
) -> tuple[Tensor, Tensor]:
    """Presence (0..1) and thickness of beard and moustache."""
    jag = 0.009 * torch.sin(ax * 75 + 3 * torch.sin(y * 31))
    outside = torch.maximum(
        m.v - p.lip_up - p.open_up - 0.012, -m.v - p.lip_low - p.open_low - 0.016
    )
    outside = torch.maximum(outside, ax - p.mouth_w * 1.02)
    line = -0.60 - p.jaw_drop + 0.55 * (ax / 0.62) ** 2 + jag
    full = step(0.0, -0.12, y - line) * step(-0.12, 0.02, z + 0.05) * step(-0.06, -0.20, y)
    chin_y = y + 0.80 + p.jaw_drop + 0.075 * p.chin_length
    tuft = torch.maximum(length2(ax, chin_y.clamp(min=0) * 1.15) - 0.165, chin_y.abs() - 0.30)
    goatee = step(0.02, -0.06, tuft + jag * 0.5) * step(0.05, 0.25, z)
    below = (p.mouth_y - p.lip_low - y).clamp(min=0)
    soul = torch.maximum(
        ax - 0.035 - 0.10 * below, (y - p.mouth_y + p.lip_low + p.open_low + 0.12).abs() - 0.12
    )
    front = step(0.3, 0.5, z)
    goatee = torch.maximum(goatee, step(0.015, -0.025, soul + jag * 0.3) * front)
    ring = length2(
        ax / (p.mouth_w + 0.115),
        (y - p.mouth_y + 0.03 + 0.5 * p.open_low) / (0.165 + 0.5 * p.open_low),
    )
    frame = step(0.03, -0.22, ring - 1 + jag) * front
    beard = torch.maximum(torch.maximum(full, frame) * p.beard_full, goatee * p.beard_goatee)
    beard = beard * step(-0.004, 0.03, outside)
    middle = 0.034 + 0.012 * step(0.10, 0.02, ax) - 0.10 * (ax - 0.12).clamp(min=0)
    across = m.v - m.height_up - p.open_up * m.inside - middle
    half = 0.046 * (1 - 0.62 * step(0.12, 0.30, ax)) * (0.72 + 0.38 * p.moustache)
    shape = torch.maximum(across.abs() - half, ax - p.mouth_w - 0.055)
    moustache = step(0.016, -0.018, shape + jag * 0.3) * (p.moustache > 0.05).float() * front
    thickness = 0.045 + 0.05 * p.beard_full * step(-0.6, -0.95, y)
    thickness = torch.where(moustache > beard, 0.034 + 0.016 * p.moustache, thickness)
    return torch.maximum(beard, moustache), thickness


# --------------------------------------------------------------------------------------- head
def skull(p: Parameters, x: Tensor, ax: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Head without features: cranium, face, jaw, chin, cheeks, brow ridge, eye sockets."""
    fem, old = p.femininity, p.old
    d = ellipsoid(x, y - 0.32, z + 0.10, 0.69, 0.70, 0.79)
    d = smooth_min(d, ellipsoid(x, y + 0.14, z - 0.08, 0.595 - 0.04 * fem, 0.80, 0.575), 0.16)
    yd = y + p.jaw_drop * step(-0.3, -0.7, y)
    d = smooth_min(d, ellipsoid(x, yd + 0.52, z - 0.14, p.jaw_w, p.jaw_h, 0.46), 0.14)
    d = smooth_min(d, ellipsoid(x, yd - p.chin_y, z - p.chin_z, p.chin_w, 0.12, 0.14), 0.22)
    bone = ellipsoid(
        ax - 0.36, y + 0.20 - 0.03 * p.happy, z - 0.42 - 0.01 * p.happy, 0.20, 0.16, 0.175
    )
    grow = 0.006 + 0.036 * p.cheekbones + 0.016 * p.happy
    d = smooth_min(d, bone - grow, 0.17)
    flesh = ellipsoid(ax - 0.31, yd + 0.42 + 0.07 * old, z - 0.34, 0.18, 0.20, 0.20)
    d = smooth_min(d, flesh - 0.055 * p.cheek_fullness + 0.03 * old + 0.045, 0.16)
    jowl = ellipsoid(ax - 0.34, yd + 0.70, z - 0.24, 0.13, 0.12, 0.16) - 0.045 * old * old
    d = smooth_min(d, jowl + 0.075, 0.12)
    d = smooth_min(d, ellipsoid(x, y - p.mouth_y - 0.02, z - 0.50, 0.24, 0.20, 0.165), 0.17)
    ridge = ellipsoid(ax - 0.24, y - 0.20, z - 0.54, 0.23, 0.08, 0.10)
    d = smooth_min(d, ridge - 0.036 * (1 - fem) - 0.014 * p.eye_depth, 0.14)
    socket = ellipsoid(ax - p.eye_x, y, z - 0.80 + 0.035 * p.eye_depth, 0.21, 0.125, 0.16)
    return smooth_max(d, -socket, 0.16)


def nose(p: Parameters, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, d: Tensor) -> Tensor:
    """Add the nose to the head's distance d."""
    ny, w = p.nose_y, p.nose_w
    s = 1.0 - 0.10 * p.femininity + 0.06 * p.old
    tip = ny + 0.035 * p.nose_tip
    top = (0.0, 0.10, 0.60 + 0.055 * p.nose_bridge)
    n = capsule(x, y, z, top, (0.0, tip + 0.03, 0.79), 0.050 + 0.014 * p.nose_bridge, 0.068)
    n = smooth_min(
        n,
        ellipsoid(x, y - tip, z - 0.825 - 0.012 * p.nose_tip, 0.098 * w * s, 0.086 * s, 0.092),
        0.09,
    )
    wing = ellipsoid(ax - 0.098 * w, y - ny + 0.022, z - 0.745, 0.058 * w, 0.058, 0.085)
    d = smooth_min(d, smooth_min(n, wing, 0.05), 0.09)
    nostril = ellipsoid(ax - 0.052 * w, y - tip + 0.088, z - 0.82, 0.030 * w, 0.030, 0.05)
    return smooth_max(d, -nostril, 0.03)


def lids(p: Parameters, ax: Tensor, y: Tensor, z: Tensor, d: Tensor, front: Tensor) -> Tensor:
    """Add the eyelids over the eyeball, and cut their opening."""
    e = eye_opening(p, ax, y)
    d = smooth_min(d, length3(ax - p.eye_x, y, z - 0.44) - p.eye_r - 0.030, 0.045)
    lash = (
        step(1.16, 1.02, e.u.abs())
        * bump(e.distance - 0.008, 0.012)
        * step(-0.02, 0.03, e.ey + 0.03)
    )
    fold = step(1.35, 1.05, e.u.abs()) * bump(e.distance - 0.062, 0.014) * step(0.0, 0.06, e.ey)
    d = d - (0.006 + 0.010 * p.femininity) * lash * front + 0.010 * fold * front
    bag = bump(length2((ax - p.eye_x) * 0.6, y + p.lid_low + 0.10), 0.06) * front
    d = d - 0.014 * p.old * p.old * bag
    return smooth_max(d, -torch.maximum(e.distance, 0.3 - z), 0.014)


def mouth(
    p: Parameters, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, d: Tensor, front: Tensor
) -> Tensor:
    """Add lips, the line between them, smile folds, and cut an open mouth."""
    m = lips(p, x, y)
    upper = (m.upper * (1.15 - m.upper) * 3.2).clamp(min=0) * (m.upper > 0) * (m.upper < 1.15)
    lower = (m.lower * (1.12 - m.lower) * 3.4).clamp(min=0) * (m.lower > 0)
    swell = (0.030 * upper + 0.038 * lower) * m.inside.sqrt() * (1 + 0.35 * p.lip_fullness)
    shut = (p.mouth_open < 0.02).float()
    crease = bump(m.v, 0.012) * (m.inside > 0) * shut * 0.014 * m.inside.sqrt()
    under = bump(-m.v - p.open_low - p.lip_low - 0.045, 0.045) * bump(x, 0.16) * 0.022
    philtrum = bump(x, 0.028) * bump(m.v - 0.12, 0.05) * 0.010
    corner = (
        bump(length2(ax - p.mouth_w - 0.012, y - p.mouth_y - 0.65 * p.mouth_lift), 0.030) * 0.012
    )
    d = d - (swell - crease - under - philtrum - corner) * front
    t = (y - p.nose_y) / (p.mouth_y - 0.04 - p.nose_y)
    fold_x = 0.14 + (p.mouth_w - 0.09) * t.clamp(0, 1)
    fold = bump(ax - fold_x - 0.015, 0.030) * step(-0.15, 0.2, t) * (1 - step(0.8, 1.15, t))
    d = d + fold * front * (0.003 + 0.024 * p.old + 0.007 * p.happy)
    return smooth_max(d, -torch.maximum(m.cavity * 0.75, 0.36 - z), 0.02)


def ears(p: Parameters, ax: Tensor, y: Tensor, z: Tensor, d: Tensor) -> Tensor:
    """Add the ears."""
    ex, ey, ez = (ax - 0.705) / p.ear, (y + 0.01) / p.ear, (z + 0.05) / p.ear
    e = ellipsoid(ex + 0.15 * ez, ey + 0.25 * ez, ez, 0.062, 0.205, 0.125)
    e = smooth_max(e, -ellipsoid(ex - 0.055, ey + 0.02, ez - 0.050, 0.050, 0.120, 0.065), 0.035)
    return smooth_min(d, e * 0.9, 0.05)


def wrinkles(p: Parameters, ax: Tensor, y: Tensor, front: Tensor) -> Tensor:
    """Depth of age lines on the forehead, beside and below the eyes, 0 or more."""
    forehead = step(0.30, 0.40, y) * (1 - step(0.60, 0.74, y)) * step(0.55, 0.35, ax)
    lines = forehead * (torch.sin(y * 58 + 1.2 * torch.sin(ax * 5)) * 0.5 + 0.5) ** 3
    crow = bump(length2((ax - p.eye_x - 0.235) / 1.5, y / 1.25), 0.06)
    crow = crow * (torch.sin(y * 95 + (ax - 0.5) * 30) * 0.5 + 0.5)
    eu = (ax - p.eye_x) / p.eye_w
    under = bump(length2((ax - p.eye_x) * 0.55, y + p.lid_low + 0.125 + 0.03 * eu * eu), 0.018)
    return p.old * p.old * front * (lines + 0.9 * crow + 0.9 * under)


def head(p: Parameters, x: Tensor, ax: Tensor, y: Tensor, z: Tensor, fine: bool) -> Tensor:
    """Distance to the skin of the head, with raised brows and beard."""
    lower = step(0.30, -0.60, y)
    xs = x - 0.045 * p.asymmetry * lower  # nose, mouth and chin drift
    axs = torch.sqrt(xs * xs + 4e-4)
    front = step(0.25, 0.45, z)
    d = skull(p, xs, axs, y, z)
    d = nose(p, xs, axs, y, z, d)
    d = lids(p, ax, y, z, d, front)
    d = mouth(p, xs, axs, y, z, d, front)
    d = d - 0.020 * step(0.012, -0.02, brow_outline(p, x, ax, y)) * front
    presence, thickness = facial_hair(p, axs, y, z, lips(p, xs, y))
    if fine:
        rough = 0.30 * wobble(xs * 1.5, y * 0.45, z, 24.0, p.phase)
        rough = rough + 0.14 * wobble(xs * 1.8, y * 0.4, z, 60.0, p.phase)
        thickness = thickness * (1 + rough)
        d = d + 0.010 * wrinkles(p, ax, y, front)
    return ears(p, ax, y, z, d - presence * thickness)


# --------------------------------------------------------------------------------------- hair


# ------------------------------------------------------------------------------- things to wear


def to_torso(p: Parameters, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Head space to torso space: the body turns less than the head."""
    px, py, pz = x, y - PIVOT[1], z - PIVOT[2]
    m = p.head_to_torso

    def row(i: int) -> Tensor:
        return m[:, i, 0:1] * px + m[:, i, 1:2] * py + m[:, i, 2:3] * pz

    return row(0), row(1) + PIVOT[1], row(2) + PIVOT[2]


def body(p: Parameters, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Distances to neck with shoulders, and to the garment, in torso space."""
    ax = torch.sqrt(x * x + 4e-4)
    r = p.neck_r
    neck = capsule(x, y, z, (0.0, -0.5, -0.16), (0.0, -1.6, -0.26), r, r + 0.03)
    chest = ellipsoid(x, y + 1.66, z + 0.26, p.shoulder, 0.50, 0.42)
    slope = capsule(ax, y, z, (0.12, -0.98, -0.30), (0.80, -1.36, -0.28), 0.17, 0.17)
    chest = smooth_min(chest, slope, 0.15)
    skin = smooth_min(neck, chest, 0.18)
    whole = smooth_min(chest, neck, 0.18) - 0.035
    crew = length3(x, (y + 1.12) * 0.9, z - 0.12) - r - 0.115
    vee = torch.maximum(ax - 0.52 * (y + 1.46), -z - 0.02) * 0.85
    deep = torch.minimum(0.12 * z - y - 1.00, vee)
    high = length3(x, (y + 0.80) * 0.9, z - 0.05) - r - 0.06
    high = torch.minimum(high, 0.12 * z - y - 0.92)
    d = smooth_max(whole, -torch.where(p.clothing_v_neck > 0, deep, high), 0.03)
    roll = torch.maximum(length2(x, z + 0.20) - r - 0.075, (y + 1.08).abs() - 0.20)
    roll = smooth_min(whole - 0.015, roll, 0.08)
    fold = length2(length2(x, z + 0.20) - r - 0.055, y + 0.92) - 0.050
    d = torch.where(p.clothing_turtleneck > 0, smooth_min(roll, fold, 0.05), d)
    open_ = vee + 0.07
    collar = (
        length2(x, z + 0.20) - r - 0.045 - 0.42 * (-0.90 - y).clamp(min=0)
    ).abs() * 0.9 - 0.024
    edge = torch.maximum(y + 0.92, torch.where(z > -0.2, -1.36 + 0.55 * ax, -1.1 + 0 * ax) - y)
    collar = smooth_max(collar, torch.maximum(edge * 0.8, -open_), 0.015)
    shirt = torch.minimum(smooth_max(whole, -torch.minimum(crew + 0.05, open_), 0.03), collar)
    d = torch.where(p.clothing_shirt > 0, shirt, d)
    ring = length2(x / 1.15, z + 0.30) - r - 0.15
    hood = length2(ring, (y + 1.14 + 0.42 * (z + 0.25)) / 1.5) - 0.10
    hoodie = smooth_min(d - 0.02, hood * 0.85, 0.05)
    cord = capsule(ax, y, z, (0.16, -1.36, 0.30), (0.18, -1.85, 0.30), 0.020, 0.020)
    d = torch.where(p.clothing_hoodie > 0, torch.minimum(hoodie, cord), d)
    return skin, d


def inner_mouth(p: Parameters, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Distances to teeth and tongue, FAR while the mouth is shut."""
    v = y - p.mouth_y
    arch = length2(x / 0.235, (z - 0.40) / 0.265) - 1
    gap = (v - 0.042 - 0.095 * p.round_mouth * p.round_mouth).abs() - 0.085
    shut = (p.mouth_open < 0.02).float() * FAR
    tongue = ellipsoid(x, v + 0.10 + 0.06 * p.mouth_open, z - 0.42, 0.13, 0.055, 0.17)
    return smooth_max(arch * 0.22, gap, 0.03) + shut, tongue + shut


# -------------------------------------------------------------------------------------- the scene
def face_space(p: Parameters, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Head space to the space where every face has the same size: x, |x|, y."""
    xf = x / p.wide
    yf = torch.where(y < 0, y / p.tall, y / p.crown)
    return xf, torch.sqrt(xf * xf + 4e-4), yf


def parts(p: Parameters, x: Tensor, y: Tensor, z: Tensor, fine: bool) -> dict[str, Tensor]:
    """Distances to all PARTS, and to `head` and `body` alone (both are skin)."""
    xf, ax, yf = face_space(p, x, y)
    bare = head(p, xf, ax, yf, z, fine)
    torso, cloth = body(p, *to_torso(p, x, y, z))
    teeth, tongue = inner_mouth(p, xf - 0.045 * p.asymmetry * step(0.30, -0.60, yf), yf, z)
    return {
        "skin": smooth_min(bare, torso, 0.10),
        "eye": length3(ax - p.eye_x, yf, z - 0.44) - p.eye_r,
        "cloth": cloth,
        "hair": hair(p, xf, ax, yf, z, fine),
        "hat": hat(p, xf, yf, z),
        "glasses": glasses(p, xf, ax, yf, z),
        "teeth": teeth,
        "tongue": tongue,
        "earring": earrings(p, ax, yf, z),
        "head": bare,
        "body": torso,
    }


def distance(p: Parameters, x: Tensor, y: Tensor, z: Tensor, fine: bool = False) -> Tensor:
    """Distance to the nearest part; `fine` adds relief too small for marching."""
    d = parts(p, x, y, z, fine)
    nearest = d[PARTS[0]]
    for name in PARTS[1:]:
        nearest = torch.minimum(nearest, d[name])
    return nearest
