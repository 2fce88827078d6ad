"""The look of a portrait: materials, light and the label of every visible point.

Colours are lists of three tensors (linear light); `Point` holds what the materials share. The
style is that of animated films: soft wrapped light, a warm key, a cool sky, two rim lights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from faceedit.world import geometry as geo
from faceedit.world import hair_shape, worn_shape
from faceedit.world.parameters import Parameters
from faceedit.world.sdf import bump, dot, length2, length3, mix, step, unit, wobble
from faceedit.world.skin_color import Color, Point, SkinMasks, rgb, scale, skin_color

REGIONS = (
    "background",
    "skin",
    "hair",
    "brows",
    "eyes",
    "nose",
    "lips",
    "beard",
    "glasses",
    "hat",
    "neck",
    "cloth",
    "ear",
    "mouth",
    "earring",
    "lens",
)
LABEL = {name: float(i) for i, name in enumerate(REGIONS)}

FILL_RGB = (0.29, 0.33, 0.44)
SKY_RGB = (0.46, 0.50, 0.60)
GROUND_RGB = (0.34, 0.25, 0.20)
RIM_RGB = (1.25, 1.35, 1.60)


# ------------------------------------------------------------------------------------ skin colour


# --------------------------------------------------------------------------------------- materials
def lit_skin(p: Parameters, q: Point, color: Color, masks: SkinMasks) -> Color:
    """Skin under key, sky, fill and rim light, with a little subsurface glow."""
    gloss = (q.to_half**18 * 0.17 + q.to_half**60 * 0.07) * (1 - 0.25 * p.skin_tone)
    oily = bump(length2(q.xf * 1.6, q.yf - 0.32), 0.22) * 0.35
    oily = oily + 0.8 * bump(length3(q.xs, q.yf - p.nose_y + 0.005, q.z - 0.86), 0.13)
    hairy = torch.maximum(masks.brows, masks.beard)
    gloss = gloss * (1 + oily) * (1 - 0.85 * hairy) * (1 - masks.inside)
    gloss = gloss + masks.lips * (0.35 + 0.9 * p.lipstick) * q.to_half**60 * 0.8
    edge = (1 - q.to_view) ** 4 * 0.05 * q.occlusion * (1 - masks.inside)
    back = rgb(p.background_rgb, q.x)
    out = []
    for i, (wrap, deep) in enumerate(zip((0.34, 0.17, 0.11), (0.75, 1.05, 1.15), strict=True)):
        open_ = q.occlusion**deep
        key = ((q.to_key + wrap) / (1 + wrap)).clamp(min=0)
        key = key * torch.lerp(q.shadow, q.one, torch.full_like(q.one, 0.6 * wrap))
        sky = SKY_RGB[i] * (0.55 + 0.45 * q.to_up) + GROUND_RGB[i] * (0.5 - 0.5 * q.to_up)
        ambient = (sky + FILL_RGB[i] * q.to_fill) * open_
        light = p.key_rgb[:, i : i + 1] * key * 0.32 * (0.45 + 0.55 * open_) + ambient * 0.62
        c = color[i] * light + gloss * q.shadow * p.key_rgb[:, i : i + 1] * 0.24
        c = c + edge * SKY_RGB[i]
        out.append(c + q.rim * (0.55 * RIM_RGB[i] + 0.9 * back[i]) * (0.16 + 0.5 * color[i]))
    return out


def lit_eye(p: Parameters, q: Point) -> Color:
    """Eyeball with iris, pupil, lid shadow and two highlights."""
    side = torch.sign(q.xf)
    n = unit([q.xf - side * p.eye_x, q.yf, q.z - 0.44])
    g = [p.gaze[:, i : i + 1] for i in range(3)]
    off = [n[i] - g[i] for i in range(3)]
    r, iris_r, pupil_r = length3(*off), 0.62, 0.30
    streak = 0.5 + 0.5 * torch.sin(torch.atan2(off[1], off[0]) * 23)
    glow = 0.55 + 0.75 * step(0.35, -0.40, off[1])
    rim = (r / iris_r).clamp(0, 1)
    iris = [
        c * (0.65 + 0.75 * rim) * (0.82 + 0.28 * streak) * glow * 1.2 for c in rgb(p.iris_rgb, q.x)
    ]
    iris = mix(iris, scale(iris, 0.10), step(0.76, 1.0, rim))
    white = [c * q.one for c in (0.86, 0.835, 0.82)]
    white = mix(white, [c * q.one for c in (0.70, 0.42, 0.38)], step(0.7, 1.0, q.eye.u.abs()) * 0.5)
    color = mix(white, iris, step(iris_r + 0.025, iris_r - 0.025, r))
    color = mix(color, [0.006 * q.one] * 3, step(pupil_r + 0.03, pupil_r - 0.03, r))
    lid = 0.30 + 0.70 * step(0.0, 0.11, q.eye.upper - q.eye.ey)
    light = (0.55 + 0.45 * ((q.to_key + 0.4) / 1.4).clamp(min=0)) * (0.55 + 0.45 * q.shadow)
    toward = unit([q.key[i] + 1.6 * q.view[i] for i in range(3)])
    lean = [toward[i] - q.view[i] for i in range(3)]
    spot = unit([g[i] + 0.80 * lean[i] + (0.0, 0.10, 0.0)[i] for i in range(3)])
    small = unit([g[i] - 0.55 * lean[i] for i in range(3)])
    shine = 1.7 * step(0.135, 0.080, length3(*(n[i] - spot[i] for i in range(3))))
    shine = shine + 0.22 * step(0.12, 0.03, length3(*(n[i] - small[i] for i in range(3))))
    shine = shine * (0.35 + 0.65 * lid)
    return [color[i] * light * lid * (1.2, 1.17, 1.14)[i] + shine for i in range(3)]


def lit_hair(p: Parameters, q: Point) -> Color:
    """Hair with strand-wise colour and the stretched highlight of fibres (Kajiya-Kay)."""
    radial = unit([q.xf, q.yf - 0.32, q.z + 0.10])
    along = dot(radial, q.pole)
    tangent = [q.pole[i] - along * radial[i] for i in range(3)]
    lift = dot(tangent, q.normal)
    tangent = unit([tangent[i] - lift * q.normal[i] for i in range(3)])
    angle, sway = hair_shape.meridian(p, q.xf, q.yf, q.z)

    def wave(k: float, s: float) -> Tensor:
        return torch.sin(torch.round(p.cut_locks * k) * angle + s * sway)

    strand = wave(3.0, 3.0) * 0.5 + wave(8.0, 7.0) * 0.35 + wave(15.0, 9.0) * 0.25
    rough = wobble(q.x, q.y, q.z, 55.0, p.phase)
    strand = 0.85 * strand * p.cut_strands + 0.8 * rough * (1 - p.cut_strands)
    color = rgb(p.hair_rgb, q.x)
    relief = hair_shape.curls(p, q.xf, q.yf, q.z).clamp(-1.2, 0.7)
    color = scale(color, 1 + 0.34 * relief * p.cut_curly)
    crest = p.cut_crest * step(0.16, 0.10, q.xf.abs())
    scalp = p.cut_thin * (1 - crest) * (0.30 + 0.25 * p.cut_crest)
    color = mix(color, scale(rgb(p.skin_rgb, q.x), 0.45), scalp)
    color = scale(color, 1 + 0.26 * strand)
    slide = dot(tangent, q.half) + 0.05 * strand
    fibre = (1 - slide * slide).clamp(0, 1)
    gloss = (fibre**60 * 0.50 + fibre**14 * 0.10) * p.cut_strands
    gloss = gloss + q.to_half**12 * 0.10 * (1 - p.cut_strands)
    diffuse = ((q.to_key + 0.25) / 1.25).clamp(min=0) * q.shadow
    open_ = q.occlusion**1.1
    out = []
    for i in range(3):
        key = p.key_rgb[:, i : i + 1]
        ambient = SKY_RGB[i] * (0.5 + 0.5 * q.to_up) * open_ + FILL_RGB[i] * q.to_fill * open_ * 0.8
        c = color[i] * (key * diffuse * 0.36 * (0.35 + 0.65 * open_) + ambient * 0.66)
        c = c + gloss * q.shadow * open_ * key * 0.22 * (0.25 + 1.2 * color[i]) * (q.to_key > -0.2)
        out.append(c + q.rim * RIM_RGB[i] * (0.08 + 0.7 * color[i]))
    return out


def lit_plain(p: Parameters, q: Point, color: Color, gloss: float = 0.1, power: int = 30) -> Color:
    """Any other material: diffuse with a highlight."""
    out = []
    for i in range(3):
        key = p.key_rgb[:, i : i + 1]
        ambient = (SKY_RGB[i] * (0.55 + 0.45 * q.to_up) + 0.2) * q.occlusion
        ambient = ambient + FILL_RGB[i] * q.to_fill * q.occlusion
        light = key * ((q.to_key + 0.1) / 1.1).clamp(min=0) * q.shadow * 0.32 + ambient * 0.60
        c = color[i] * light + q.to_half**power * gloss * q.shadow * key * 0.5
        out.append(c + q.rim * RIM_RGB[i] * (0.04 + 0.4 * color[i]))
    return out


def cloth_color(p: Parameters, q: Point) -> Color:
    """The garment's colour: weave, knitted ribs, a shirt's placket and buttons, pale cords."""
    color = rgb(p.cloth_rgb, q.x)
    x, y, z = geo.to_torso(p, q.x, q.y, q.z)
    knit = p.clothing_turtleneck + p.clothing_v_neck
    ribs = torch.sin(torch.atan2(x, z + 0.3) * 60)
    color = scale(color, 1 + 0.05 * torch.sin(q.x * 120) * torch.sin(q.y * 120) * (1 - knit))
    color = scale(color, 1 + 0.10 * ribs * knit)
    placket = p.clothing_shirt * step(0.065, 0.055, x.abs()) * (z > 0).float()
    color = scale(color, 1 - 0.16 * placket * step(0.040, 0.055, x.abs()))
    button = length2(x, torch.remainder(y + 0.03, 0.22) - 0.11)
    color = mix(color, [0.75 * q.one] * 3, placket * step(0.026, 0.020, button))
    cord = step(0.030, 0.024, (x.abs() - 0.17).abs()) * ((z > 0.1) & (y < -1.34)).float()
    return mix(color, [0.72 * q.one] * 3, cord * p.clothing_hoodie)


def frame_color(p: Parameters, q: Point) -> Color:
    """Glasses: dark frames, and the gradient and reflection of sunglasses."""
    frame = lit_plain(p, q, [c * q.one for c in (0.02, 0.018, 0.02)], 0.9, 60)
    dark = step(-0.004, -0.012, worn_shape.lens_outline(p, q.ax, q.yf)) * p.glasses_sunglasses
    slope = q.yf + 0.35 * (q.ax - 0.3)
    band = step(0.0, 0.16, slope) * step(0.30, 0.16, slope)
    lens = [0.012 + k * (0.03 + 0.22 * band) for k in (0.7, 0.85, 1.1)]
    return mix(frame, lens, dark)


def clear_lens(p: Parameters, q: Point) -> Tensor:
    """Where the view passes through a clear lens, 0..1."""
    slope = q.view[2].clamp(min=0.2)
    t = (q.z - 0.79) / slope
    lx, ly = (q.x - t * q.view[0]) / p.wide, q.y - t * q.view[1]
    inside = step(0.0, -0.02, worn_shape.lens_outline(p, torch.sqrt(lx * lx + 4e-4), ly))
    behind = (q.z < 0.80).float() * (1 - p.glasses_sunglasses) * p.specs_on
    return inside * behind


def through_lens(q: Point, p: Parameters, color: Color, lens: Tensor) -> Color:
    """A slight veil and a soft reflection of a clear lens."""
    t = (q.z - 0.79) / q.view[2].clamp(min=0.2)
    lx, ly = (q.x - t * q.view[0]) / p.wide, q.y - t * q.view[1]
    streak = ly + 0.55 * torch.where(lx > 0, lx - 0.32, lx + 0.32)
    reflection = 0.010 + 0.10 * step(0.12, 0.24, streak) + 0.05 * bump(streak - 0.05, 0.018)
    tint = (0.85, 0.95, 1.05)
    return [c * (1 - 0.08 * lens) + reflection * lens * k for c, k in zip(color, tint, strict=True)]


# ---------------------------------------------------------------------------------------- together
def shade(p: Parameters, q: Point) -> tuple[Color, Tensor]:
    """Colour (linear RGB) and region label of every point."""
    q.light(p)
    nearest = torch.stack([q.parts[name] for name in geo.PARTS]).argmin(0)
    is_part = {name: nearest == i for i, name in enumerate(geo.PARTS)}
    albedo, masks = skin_color(p, q)
    color = lit_skin(p, q, albedo, masks)
    teeth = scale([c * q.one for c in (0.92, 0.89, 0.84)], 0.35 + 0.65 * q.occlusion)
    knit = 1 + 0.06 * torch.sin(torch.atan2(q.xf, q.z + 0.1) * 90) * (1 - p.hat_sun_hat)
    straw = 1 + 0.10 * torch.sin(length2(q.xf, q.z + 0.1) * 70 + q.yf * 50) * p.hat_sun_hat
    materials = {
        "eye": lit_eye(p, q),
        "cloth": lit_plain(p, q, cloth_color(p, q), 0.02),
        "hair": lit_hair(p, q),
        "hat": lit_plain(p, q, scale(rgb(p.hat_rgb, q.x), knit * straw), 0.02),
        "glasses": frame_color(p, q),
        "teeth": scale(teeth, q.shadow.clamp(0.55, 1)),
        "tongue": lit_plain(p, q, [c * q.one for c in (0.42, 0.09, 0.09)], 0.2),
        "earring": lit_plain(p, q, [c * q.one for c in (0.75, 0.55, 0.22)], 1.2, 40),
    }
    for name, material in materials.items():
        color = [torch.where(is_part[name], m, c) for c, m in zip(color, material, strict=True)]
    lens = clear_lens(p, q) * (~is_part["glasses"]).float()
    color = through_lens(q, p, color, lens)
    return color, _label(p, q, is_part, masks, lens)


def _label(
    p: Parameters, q: Point, is_part: dict[str, Tensor], masks: SkinMasks, lens: Tensor
) -> Tensor:
    """The REGIONS index of every point, as float."""
    label = torch.full_like(q.x, LABEL["skin"])
    neck = q.parts["body"] < q.parts["head"]
    ear = (q.ax > 0.64) & (q.z < 0.15) & (q.yf > -0.28) & (q.yf < 0.25) & ~neck
    width = q.axs - 0.075 - 0.085 * step(0.0, -0.28, q.yf) * p.nose_w
    nose = torch.maximum(width, torch.maximum(q.yf - 0.04, p.nose_y - 0.10 - q.yf))
    overlays = (
        ("neck", neck),
        ("ear", ear),
        ("nose", (nose < 0) & (q.z > 0.6)),
        ("lens", lens > 0.5),
        ("beard", masks.beard > 0.5),
        ("lips", masks.lips > 0.5),
        ("mouth", masks.inside > 0.5),
        ("brows", masks.brows > 0.5),
        ("eyes", is_part["eye"]),
        ("cloth", is_part["cloth"]),
        ("hair", is_part["hair"]),
        ("hat", is_part["hat"]),
        ("glasses", is_part["glasses"]),
        ("mouth", is_part["teeth"] | is_part["tongue"]),
        ("earring", is_part["earring"]),
    )
    for name, where in overlays:
        label = torch.where(where, torch.full_like(label, LABEL[name]), label)
    return label
