"""Attributes -> the numbers that geometry and shading use: radii, positions, colours, light.

Head space: x to the picture's right, y up, z to the viewer. The eye line is y = 0, the chin is
near y = -0.95, the crown near y = 1.02. One unit is about 47 px of a 128 px picture.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import torch
from torch import Tensor

from faceedit.world import attributes as att
from faceedit.world.attributes import FaceAttributes
from faceedit.world.sdf import step

PIVOT = (0.0, -0.55, -0.15)  # the head turns about the top of the neck
NATURAL = 7  # hair colours below this index are natural: brows and beard follow them

Parameters = SimpleNamespace  # every field is a tensor [n, 1] or [n, 3] or [n, 3, 3]


def _linear(*rows: tuple[int, int, int]) -> Tensor:
    """Convert sRGB bytes to linear light."""
    t = torch.tensor(rows, dtype=torch.float32) / 255
    return torch.where(t <= 0.04045, t / 12.92, ((t + 0.055) / 1.055) ** 2.4)


SKIN_RAMP = _linear(
    (250, 214, 196),
    (240, 196, 170),
    (224, 172, 138),
    (196, 142, 108),
    (152, 104, 78),
    (114, 77, 60),
    (82, 56, 47),
)
HAIR_RGB = _linear(
    (26, 22, 23),
    (56, 36, 27),
    (102, 64, 39),
    (224, 178, 108),
    (176, 72, 30),
    (140, 138, 136),
    (234, 231, 226),
    (52, 104, 214),
    (238, 104, 168),
    (64, 172, 104),
)
EYE_RGB = _linear((112, 64, 32), (150, 108, 56), (106, 138, 88), (84, 142, 198), (138, 154, 166))

# One row a haircut. top, side, back: thickness over the skull; line: height of the hairline;
# half: half width of the face window; front: how far forward hair may come; nape: lower end;
# lump: size of the locks, locks: their number; curl: size of the curls; long: 1 for a curtain of
# hair down to `end`; wave: its waviness; quiff, crest, bun, tail: presence; part: parting.
_CUT_FIELDS = (
    *("top", "side", "back", "line", "half", "front", "nape", "lump", "locks"),
    *("curl", "long", "end", "wave", "quiff", "crest", "bun", "tail", "part"),
)
# fmt: off
_CUTS = {
    # field            top  side  back  line  half  front  nape  lump  locks  curl  long   end  wave  quiff  crest  bun  tail  part
    "bald":          ( -.2,  -.2,  -.2,   .6,   .6,    .1,  -.2,    0,    12,    0,    0,   -1,    0,     0,     0,   0,    0,    0),
    "buzz cut":      (.022, .016, .016,  .58,  .52,    .2, -.38, .002,    12, .004,    0,   -1,    0,     0,     0,   0,    0,    0),
    "short":         ( .15, .045,  .07,  .52,  .54,   .17, -.38, .042,    13,  .01,    0,   -1,    0,   .35,     0,   0,    0,  .35),
    "quiff":         ( .14,  .03, .055,  .62,  .53,   .19,  -.4, .034,    15, .008,    0,   -1,    0,     1,     0,   0,    0,   .2),
    "bob":           ( .13,  .13,  .12,  .42,  .53,   .16, -1.2, .024,    14,    0,    1, -.72,    0,     0,     0,   0,    0,  .25),
    "long straight": (.125,   .1,  .11,  .62,  .55,   .14, -1.6, .024,    14,    0,    1, -1.7,  .01,     0,     0,   0,    0,  .05),
    "long wavy":     ( .15,  .12,  .12,  .62,  .55,   .18, -1.6, .042,    10,    0,    1, -1.5, .065,   .15,     0,   0,    0,   .4),
    "afro":          ( .36,  .36,  .28,  .52,  .58,   .05,  -.5,    0,    12,  .04,    0,   -1,    0,     0,     0,   0,    0,    0),
    "curly":         (  .2,  .14,  .13,   .5,  .53,   .14, -.55,    0,    12,  .07,    0,   -1,    0,    .2,     0,   0,    0,    0),
    "mohawk":        ( .02, .014, .016,  .58,  .52,    .2, -.38, .002,    12, .004,    0,   -1,    0,     0,     1,   0,    0,    0),
    "bun":           (.075,  .05,  .06,  .64,  .55,   .16, -.42, .016,    16,    0,    0,   -1,    0,     0,     0,   1,    0,    0),
    "ponytail":      (.085, .055,  .06,  .64,  .55,   .16, -.42, .018,    16,    0,    0,   -1,    0,    .1,     0,   0,    1,  .15),
}
# fmt: on
_CUT_TABLE = torch.tensor([_CUTS[style] for style in att.HAIR_STYLES], dtype=torch.float32)


def hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Hue, saturation, value ([n] each) to linear RGB, [n, 3]."""
    k = torch.stack([(5 + hue * 6) % 6, (3 + hue * 6) % 6, (1 + hue * 6) % 6], -1)
    v, s = value[:, None], saturation[:, None]
    return (v - v * s * torch.minimum(k, 4 - k).clamp(0, 1)) ** 2.2


def prepare(attributes: FaceAttributes, device: torch.device) -> Parameters:
    """Derive all the numbers of a picture from its attributes."""
    p = SimpleNamespace()
    for name in att.SPECS:
        setattr(p, name, attributes.column(name).to(device)[:, None])
    p.old = (p.age - att.YOUNGEST) / (att.OLDEST - att.YOUNGEST)  # 0 at 18 years, 1 at 85
    p.happy, p.sad = p.smile.clamp(min=0), (-p.smile).clamp(min=0)
    _face(p)
    _mouth(p)
    _hair(p)
    _wear(p)
    _colors(p)
    _pose_and_light(p)
    return p


def _face(p: Parameters) -> None:
    fem, old = p.femininity, p.old
    p.wide = 1 + 0.115 * p.face_width - 0.025 * fem  # scales of the whole head
    p.tall = 0.975 + 0.10 * p.face_length - 0.02 * fem
    p.crown = 1 + 0.075 * p.forehead - 0.02 * fem
    p.eye_x = 0.300 + 0.034 * p.eye_spacing
    p.eye_r = 0.202 * (1 + 0.15 * p.eye_size + 0.10 * fem - 0.03 * old)
    p.eye_w = p.eye_r * 0.93
    droop = 1 - 0.20 * old * old
    p.lid_up = p.eye_r * (0.63 * p.eye_open * droop - 0.055)
    p.lid_up = p.lid_up * (1 + 0.14 * p.brow_raise.clamp(min=0))
    p.lid_low = p.eye_r * (0.055 + 0.34 * p.eye_open) * (1 - 0.45 * p.happy * (p.eye_open > 0.1))
    p.eye_slant = 0.17 * p.eye_tilt + 0.06 * fem - 0.07 * old
    p.brow_y = (
        0.214
        + 0.022 * fem
        + 0.045 * p.brow_height
        + 0.035 * p.brow_raise.clamp(min=0)
        - 0.012 * old
    )
    p.brow_w = 0.030 + 0.017 * p.brow_thickness - 0.007 * fem
    p.jaw_w = 0.495 - 0.12 * fem + 0.085 * p.jaw_width + 0.02 * old
    p.jaw_h = 0.31 + 0.06 * p.jaw_width - 0.02 * fem
    p.chin_y = -0.83 - 0.075 * p.chin_length
    p.chin_z = 0.44 + 0.05 * p.chin_length
    p.chin_w = 0.21 - 0.075 * fem + 0.06 * p.chin_width
    p.nose_y = -0.285 - 0.075 * p.nose_length - 0.02 * old + 0.014 * fem
    p.nose_w = 1.03 + 0.42 * p.nose_width - 0.20 * fem + 0.08 * old
    p.ear = 1 + 0.24 * p.ear_size + 0.10 * old - 0.08 * fem
    p.neck_r = 0.395 - 0.10 * fem + 0.015 * p.jaw_width


def _mouth(p: Parameters) -> None:
    p.round_mouth = p.mouth_open * (1 - p.happy)
    p.jaw_drop = 0.10 * p.mouth_open
    p.mouth_y = (
        -0.545
        + 0.04 * p.mouth_height
        + 0.02 * p.happy
        - 0.045 * p.nose_length
        - 0.01 * p.mouth_open
    )
    p.mouth_w = (0.212 + 0.085 * p.happy + 0.01 * p.sad) * (
        1 + 0.20 * p.mouth_width - 0.04 * p.femininity
    )
    p.mouth_w = p.mouth_w * (1 - 0.22 * p.round_mouth)
    p.mouth_lift = torch.where(p.smile > 0, 0.105, 0.095) * p.smile
    p.open_up = p.mouth_open * (0.020 + 0.045 * p.round_mouth)
    p.open_low = p.mouth_open * (0.130 + 0.02 * p.round_mouth)
    full = 0.93 + 0.20 * p.femininity + 0.46 * p.lip_fullness - 0.20 * p.old
    p.lip_up = 0.058 * full * (1 - 0.18 * p.happy)
    p.lip_low = 0.086 * full * (1 - 0.15 * p.happy)


def _hair(p: Parameters) -> None:
    style = p.hair_style.round().long()[:, 0]
    row = _CUT_TABLE.to(style.device)[style]
    cut = SimpleNamespace(**{name: row[:, i : i + 1] for i, name in enumerate(_CUT_FIELDS)})
    name = att.HAIR_STYLES.index
    hatted = ((p.hat == att.HATS.index("beanie")) | (p.hat == att.HATS.index("cap"))).float()
    p.hatted = torch.maximum(hatted, (p.hat == att.HATS.index("sun hat")).float())
    bulk = 1 + 0.30 * p.hair_volume * (cut.top > 0.03).float()
    for field in ("top", "side", "back"):
        setattr(
            cut, field, getattr(cut, field) * bulk * (1 - 0.35 * p.hatted * (cut.top > 0.1).float())
        )
    fringed = (cut.top > 0.08).float() * (1 - cut.quiff.round()) * (1 - cut.bun) * (1 - cut.tail)
    fringed = fringed * (style != name("afro")).float()[:, None]
    p.fringe_now = p.fringe * fringed
    cut.line = cut.line - p.fringe_now * (cut.line - 0.25)
    cut.line = cut.line + 0.09 * p.old * p.old * (1 - p.femininity) * (1 - p.fringe_now)
    cut.edge = 0.05 + 1.1 * cut.top.clamp(0, 0.2) * (cut.line > 0.44).float()
    p.side = torch.where(p.parting > 0.5, 1.0, -1.0)
    p.part = p.side * cut.part
    p.phase = p.hair_phase * 62.8
    is_style = {s: (style == name(s)).float()[:, None] for s in att.HAIR_STYLES}
    combed_back = is_style["bun"] + is_style["ponytail"] + is_style["quiff"]
    curtain = is_style["long straight"] + is_style["long wavy"]
    cut.peak = curtain * (p.fringe < 0.4).float()
    cut.taper = (combed_back + 0.55 * is_style["short"] * (p.fringe < 0.4).float()).clamp(max=1)
    cut.thin = ((cut.top > 0) & (cut.top < 0.05)).float()
    cut.curly = (cut.curl > 0.02).float()
    cut.strands = (cut.lump > 0.01).float()
    cut.none = (cut.top < -0.1).float()
    _hair_pole(p, cut, combed_back, is_style["short"])
    for field, value in vars(cut).items():
        setattr(p, f"cut_{field}", value)


def _hair_pole(p: Parameters, cut: SimpleNamespace, combed_back: Tensor, short: Tensor) -> None:
    """Strands are meridians from a pole on the skull: the crown, the parting, or the forehead."""
    n, device = p.part.shape[0], p.part.device
    part = p.part[:, 0]

    def fixed(v: float) -> Tensor:
        return torch.full((n,), v, device=device)

    crown = torch.stack([part * 0.9, fixed(0.85), fixed(0.35)], -1)
    parted = torch.stack([part * 0.5, fixed(0.62), fixed(0.80)], -1)
    pole = torch.lerp(crown, parted, cut.peak)
    pole = torch.lerp(
        pole, torch.tensor([[0.0, -0.15, 1.0]], device=device).expand(n, 3), combed_back
    )
    back = torch.stack([part * 0.6, fixed(0.80), fixed(-0.35)], -1)
    pole = torch.lerp(pole, back, short * (p.fringe > 0.4).float())
    p.pole = torch.nn.functional.normalize(pole, dim=-1)
    forward = torch.tensor([[0.0, 0.0, 1.0]], device=device).expand(n, 3)
    p.meridian_1 = torch.nn.functional.normalize(torch.cross(p.pole, forward, dim=-1), dim=-1)
    p.meridian_2 = torch.cross(p.pole, p.meridian_1, dim=-1)


def _wear(p: Parameters) -> None:
    for field, values in (
        ("beard", att.BEARDS),
        ("glasses", att.GLASSES),
        ("hat", att.HATS),
        ("earrings", att.EARRINGS),
        ("clothing", att.CLOTHING),
    ):
        index = getattr(p, field)
        for i, value in enumerate(values):
            key = value.replace(" ", "_").replace("-", "_")
            setattr(p, f"{field}_{key}", (index == i).float())
    p.specs_on = 1 - p.glasses_none
    p.shoulder = 1.34 - 0.22 * p.femininity


def _colors(p: Parameters) -> None:
    device = p.age.device
    t = p.skin_tone[:, 0] * (len(SKIN_RAMP) - 1)
    i = t.long().clamp(max=len(SKIN_RAMP) - 2)
    ramp, hair, fem = SKIN_RAMP.to(device), HAIR_RGB.to(device), p.femininity
    p.skin_rgb = torch.lerp(ramp[i], ramp[i + 1], (t - i)[:, None])
    color = p.hair_color.round().long()[:, 0]
    natural = (color < NATURAL).float()[:, None]
    dyeable = (color < 5).float()[:, None]  # grey, white and dyes do not grey
    p.greyed = step(0.58, 1.0, p.old) * 0.88 * dyeable
    grey = hair[5] * 0.5 + hair[6] * 0.35
    p.hair_rgb = torch.lerp(hair[color], grey.expand_as(p.skin_rgb), p.greyed)
    root = torch.where(natural > 0, p.hair_rgb, hair[1].expand_as(p.hair_rgb))
    p.beard_rgb = root
    p.brow_rgb = 0.8 * torch.lerp(root, hair[1].expand_as(root), 0.4 * (1 - 0.6 * p.greyed))
    p.iris_rgb = EYE_RGB.to(device)[p.eye_color.round().long()[:, 0]]
    hue = p.lip_hue[:, 0]
    stick = hsv((0.91 + 0.13 * hue) % 1.0, 0.86 - 0.16 * hue, 0.46 + 0.36 * hue)
    blood = torch.tensor([0.86, 0.40, 0.40], device=device)
    bare = p.skin_rgb * blood + torch.tensor([0.03, 0.0, 0.005], device=device)
    bare = torch.lerp(bare, p.skin_rgb * 0.8, 0.40 * (1 - fem))
    p.lip_rgb = torch.lerp(bare, stick, p.lipstick * 0.92)
    p.shadow_rgb = hsv(
        (0.72 + 0.3 * hue) % 1.0, torch.full_like(hue, 0.5), torch.full_like(hue, 0.32)
    )
    p.background_rgb = hsv(
        p.background_hue[:, 0], p.background_saturation[:, 0], p.background_value[:, 0]
    )
    p.cloth_rgb = hsv(p.cloth_hue[:, 0], p.cloth_saturation[:, 0], p.cloth_value[:, 0])
    straw = p.hat_sun_hat[:, 0] > 0.5
    value = torch.where(straw, 0.82, 0.30 + 0.35 * (p.hat_hue[:, 0] * 5 % 1))
    p.hat_rgb = hsv(
        torch.where(straw, 0.10 + 0.04 * p.hat_hue[:, 0], p.hat_hue[:, 0]),
        torch.where(straw, 0.35, 0.55),
        value,
    )


def _rotation(yaw: Tensor, pitch: Tensor) -> Tensor:
    cy, sy, cp, sp = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()
    zero, one = torch.zeros_like(cy), torch.ones_like(cy)
    rows_y = [torch.stack(r, -1) for r in ((cy, zero, sy), (zero, one, zero), (-sy, zero, cy))]
    rows_x = [torch.stack(r, -1) for r in ((one, zero, zero), (zero, cp, -sp), (zero, sp, cp))]
    return torch.stack(rows_y, -2) @ torch.stack(rows_x, -2)


def _pose_and_light(p: Parameters) -> None:
    n, device = p.age.shape[0], p.age.device
    radians = math.pi / 180
    yaw = p.yaw[:, 0] * radians
    p.head = _rotation(yaw, -p.pitch[:, 0] * radians)  # head space to world space
    torso = _rotation(yaw * 0.35, torch.zeros_like(yaw))
    p.head_to_torso = torso.transpose(1, 2) @ p.head
    azimuth, elevation = p.light_azimuth[:, 0] * radians, p.light_elevation[:, 0] * radians

    def to_head(x: Tensor | float, y: Tensor | float, z: Tensor | float) -> Tensor:
        world = torch.stack(
            [torch.as_tensor(c, device=device).expand(n).float() for c in (x, y, z)], -1
        )
        return torch.einsum("bji,bj->bi", p.head, torch.nn.functional.normalize(world, dim=-1))

    p.key = to_head(
        azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos()
    )
    away = -torch.sign(azimuth + 1e-4)
    p.rim_1, p.rim_2 = to_head(away * 0.8, 0.35, -0.55), to_head(-away * 0.85, 0.25, -0.6)
    p.fill, p.up = to_head(away * 0.6, 0.1, 0.8), to_head(0.0, 1.0, 0.0)
    gaze = to_head(0.0, 0.0, 1.0) * torch.tensor([0.85, 0.85, 1.0], device=device)
    look = torch.cat([0.13 * p.gaze_x, 0.085 * p.gaze_y, torch.zeros_like(p.gaze_x)], -1)
    p.gaze = torch.nn.functional.normalize(gaze + look, dim=-1)
    warm = p.light_warmth
    p.key_rgb = torch.cat(
        [3.30 + 0.23 * warm, 3.02 * torch.ones_like(warm), 2.66 - 0.35 * warm], -1
    )
