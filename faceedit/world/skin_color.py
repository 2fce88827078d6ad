"""The colour of skin before light falls on it: make-up, lips, stubble, freckles, lashes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from faceedit.world import geometry as geo
from faceedit.world.parameters import Parameters
from faceedit.world.sdf import bump, dot, length2, length3, mix, step, unit, wobble

Color = list[Tensor]


@dataclass
class Point:
    """Visible points and the light there; every tensor is [n, k]."""

    x: Tensor
    y: Tensor
    z: Tensor
    normal: Color
    view: Color
    parts: dict[str, Tensor]
    occlusion: Tensor  # 1 open, 0 enclosed
    shadow: Tensor  # 1 lit by the key light, 0 in shadow

    def light(self, p: Parameters) -> None:
        """Compute the cosines that the materials use."""

        def vector(v: Tensor) -> Color:
            return [v[:, i : i + 1] for i in range(3)]

        self.key, self.pole = vector(p.key), vector(p.pole)
        self.xf, self.ax, self.yf = geo.face_space(p, self.x, self.y)
        drift = 0.045 * p.asymmetry * step(0.30, -0.60, self.yf)
        self.xs = self.xf - drift
        self.axs = torch.sqrt(self.xs * self.xs + 4e-4)
        self.half = unit([a + b for a, b in zip(self.key, self.view, strict=True)])
        self.to_key, self.to_view = (
            dot(self.normal, self.key),
            dot(self.normal, self.view).clamp(0, 1),
        )
        self.to_up, self.to_half = (
            dot(self.normal, vector(p.up)),
            dot(self.normal, self.half).clamp(0, 1),
        )
        self.to_fill = dot(self.normal, vector(p.fill)).clamp(min=0)
        rim = dot(self.normal, vector(p.rim_1)).clamp(min=0) * 0.9
        rim = rim + dot(self.normal, vector(p.rim_2)).clamp(min=0) * 0.45
        self.rim = rim * (1 - self.to_view) ** 2 * 0.8 * step(0.15, 0.7, self.occlusion)
        self.front = step(0.2, 0.4, self.z)
        self.mouth = geo.lips(p, self.xs, self.yf)
        self.eye = geo.eye_opening(p, self.ax, self.yf)
        self.one = torch.ones_like(self.x)


def rgb(color: Tensor, like: Tensor) -> Color:
    """A colour [n, 3] as three tensors of the points' shape."""
    return [color[:, i : i + 1].expand_as(like) for i in range(3)]


def scale(color: Color, by: Tensor | float) -> Color:
    """A colour made brighter or darker."""
    return [c * by for c in color]


def bare_skin(p: Parameters, q: Point) -> Color:
    """Skin with its redness, mottling, freckles, shadows under the eyes, make-up and age lines."""
    ax, y = q.ax, q.yf
    rosy = bump(length2((ax - 0.36) * 0.9, y + 0.27 - 0.03 * p.smile), 0.17) * q.front
    tip = bump(length3(q.xs, y - p.nose_y + 0.005, q.z - 0.86), 0.13)
    ear = step(0.60, 0.68, ax) * step(0.25, 0.15, q.z)
    red = (0.28 + 0.05 * p.old) * rosy + 0.40 * tip + 0.35 * ear + 0.95 * p.blush * rosy
    red = red * (1 - 0.45 * p.skin_tone)
    skin = rgb(p.skin_rgb, q.x)
    skin = [skin[0] * (1 - 0.02 * red), skin[1] * (1 - 0.40 * red), skin[2] * (1 - 0.34 * red)]
    mottle = wobble(q.x, q.y, q.z, 9.0) * 0.018 + wobble(q.x, q.y, q.z, 31.0, 1.0) * 0.010
    mottle = mottle * (1 + 1.5 * p.old)
    skin = [c * (1 + mottle * k) for c, k in zip(skin, (0.6, 1.1, 1.0), strict=True)]
    spots = wobble(q.xf * 1.1, y, q.z, 78.0, 3.0) * wobble(q.xf, y * 1.2, q.z, 57.0, 5.0)
    where = bump(y + 0.16, 0.20) * step(0.62, 0.35, ax) * q.front
    freckle = step(0.16, 0.30, spots) * where * p.freckles * 0.66
    skin = mix(skin, [c * k for c, k in zip(skin, (0.60, 0.42, 0.32), strict=True)], freckle)
    under = bump(length2((ax - p.eye_x) * 0.5, y + p.lid_low + 0.07), 0.06) * q.front
    tint = under * (0.22 + 0.7 * p.old)
    lines = 0.55 * geo.wrinkles(p, ax, y, q.front)
    skin = [
        c * (1 - k * tint) * (1 - lines * m)
        for c, k, m in zip(skin, (0.16, 0.24, 0.18), (0.5, 0.7, 0.7), strict=True)
    ]
    return _eye_makeup(p, q, skin)


def _eye_makeup(p: Parameters, q: Point, skin: Color) -> Color:
    lid = bump(length2(q.eye.ex * 0.62, q.eye.ey - p.lid_up.clamp(min=0) - 0.035), 0.066)
    lid = lid * q.front * step(-0.03, 0.02, q.eye.ey - q.eye.upper)
    shade = lid * (0.30 + 0.30 * p.femininity)
    skin = [c * (1 - k * shade) for c, k in zip(skin, (0.22, 0.34, 0.26), strict=True)]
    wide = bump(length2(q.eye.ex * 0.55, q.eye.ey - p.lid_up.clamp(min=0) - 0.05), 0.085) * q.front
    wide = wide * step(-0.03, 0.02, q.eye.ey - q.eye.upper)
    return mix(skin, rgb(p.shadow_rgb, q.x), wide * p.eyeshadow * 0.75)


def lip_mask(p: Parameters, q: Point) -> Tensor:
    """Where the lips are, 0..1."""
    m = q.mouth
    outside = torch.where(m.v > 0, (m.upper - 1) * m.height_up, (m.lower - 1) * m.height_low)
    outside = torch.maximum(outside, q.axs - p.mouth_w)
    edge = 0.016 - 0.007 * p.lipstick
    return step(edge, -edge, outside) * (q.z > 0.4).float()


def stubble_mask(p: Parameters, q: Point, lips: Tensor) -> Tensor:
    """Where a shaved beard would grow, 0..1."""
    jaw = step(0.02, -0.16, q.yf + 0.56 + p.jaw_drop - 0.60 * (q.axs / 0.62) ** 2)
    jaw = jaw * step(-0.15, 0.1, q.z) * step(0.06, -0.02, q.parts["head"] - q.parts["body"])
    lip = torch.maximum((q.mouth.v - p.lip_up - 0.06).abs() - 0.05, q.axs - 0.24)
    return torch.maximum(jaw, step(0.05, -0.02, lip) * q.front) * (1 - lips)


@dataclass
class SkinMasks:
    """Where the skin is something else than bare skin, 0..1 each."""

    lips: Tensor
    brows: Tensor
    beard: Tensor
    inside: Tensor  # of the mouth


def skin_color(p: Parameters, q: Point) -> tuple[Color, SkinMasks]:
    """Colour of the skin with lips, stubble, beard, brows, lashes and the inside of the mouth."""
    color = bare_skin(p, q)
    lips = lip_mask(p, q)
    color = mix(color, rgb(p.lip_rgb, q.x), lips * (0.80 + 0.2 * p.lipstick))
    seam = bump(q.mouth.v, 0.011) * (q.mouth.inside > 0) * (p.mouth_open < 0.02) * (q.z > 0.4)
    color = scale(color, 1 - 0.66 * seam * (q.mouth.inside.sqrt() * 0.6 + 0.4))
    beard_rgb = rgb(p.beard_rgb, q.x)
    grain = 0.75 + 0.25 * wobble(q.x, q.y, q.z, 95.0)
    shaved = 0.60 * p.beard_stubble + 0.25 * (p.beard_goatee + p.beard_full)
    shaved = shaved + 0.13 * (1 - p.femininity) * p.beard_none
    dark = [a * 0.32 + h * 0.35 for a, h in zip(color, beard_rgb, strict=True)]
    color = mix(color, dark, stubble_mask(p, q, lips) * shaved * grain)
    presence, _ = geo.facial_hair(p, q.axs, q.yf, q.z, q.mouth)
    strand = wobble(q.x * 2.0, q.y * 0.8, q.z, 40.0, p.phase)
    beard = step(0.15, 0.5, presence + 0.12 * strand)
    beard = beard * (q.parts["head"] < q.parts["body"] + 0.015).float()
    color = mix(color, [c * 0.85 * (1 + 0.30 * strand) for c in beard_rgb], beard)
    along = ((q.ax - 0.115) / 0.37).clamp(0, 1)
    hairs = (q.yf * (0.55 + 0.5 * along) - q.ax * (1.0 - 0.2 * along)) * 150
    hairs = torch.sin(hairs + 3 * torch.sin(q.ax * 30))
    brows = step(0.010, -0.012, geo.brow_outline(p, q.xf, q.ax, q.yf) + 0.004 * hairs) * q.front
    color = mix(color, [c * (1 + 0.25 * hairs) for c in rgb(p.brow_rgb, q.x)], brows)
    color = mix(color, [c * q.one for c in (0.018, 0.012, 0.010)], _lashes(p, q))
    inside = step(0.004, -0.012, q.mouth.cavity) * (q.z > 0.3) * (p.mouth_open > 0.02)
    color = mix(color, [c * q.one for c in (0.10, 0.015, 0.015)], inside)
    return color, SkinMasks(lips, brows, beard, inside)


def _lashes(p: Parameters, q: Point) -> Tensor:
    e, fem = q.eye, p.femininity
    within = step(1.14, 1.02, e.u.abs())
    shut = (p.lid_up + p.lid_low < 0.15 * p.eye_r).float()
    upper = (
        step(0.024, 0.006, e.distance)
        * step(-0.030, 0.01, e.ey + 0.02 + 0.06 * shut)
        * q.front
        * within
    )
    lower = step(0.012, 0.002, e.distance) * q.front * 0.45 * within
    wing = (e.ey - 0.030 - 0.75 * (e.ex - p.eye_w)).abs() + 0.25 * (e.ex - p.eye_w).clamp(min=0)
    wing = step(0.020, 0.006, wing) * step(-0.05, -0.02, e.ex - p.eye_w)
    wing = fem * wing * step(0.042, 0.025, e.ex - p.eye_w) * q.front * (1 - shut)
    lash = torch.maximum(upper * (0.62 + 0.36 * fem + 0.2 * shut).clamp(max=1), lower)
    return torch.maximum(lash, 0.9 * wing)
