"""Which points a portrait has, and where each of them lies on the surfaces of `geometry`.

Most are spots in the frontal plane, carried backwards on to the face; the outline is found from
inside the skull. Coordinates of the plane are those of `geometry.face_space`, in which every face
has the same size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from faceedit.world import geometry, hair_shape, worn_shape
from faceedit.world.parameters import Parameters
from faceedit.world.sdf import bump, step
from faceedit.world.walks import (
    PACE,
    STEPS,
    THIN_STEPS,
    backwards,
    face,
    lowest,
    scan,
    to_space,
)

__all__ = ["MARKS", "Mark", "places"]

BROW_INNER, BROW_LENGTH = 0.115, 0.37  # of `geometry.brow_outline`
IRIS = 0.62  # radius over the eyeball's, of `shading.lit_eye`

Spot = tuple[Tensor | float, ...]  # plane x, y; then, if it differs, where the depth is taken
Place = Callable[[Parameters], tuple[Tensor | float, ...]]


@dataclass(frozen=True)
class Mark:
    """One point.

    Attributes:
        name: Begins with left_ or right_ (of the picture) if it has a partner.
        group: What it belongs to.
        mesh: Its number in the face mesh, None if it has none there.
        kind: How `where` is read: "front" a spot of the plane, "skull" an angle (0 down, half a
            turn up) and a depth z, "space" a point of head space, "hairline" and "brim" a column.
        where: The parameters to that.
    """

    name: str
    group: str
    mesh: int | None
    kind: str
    where: Place


def places(p: Parameters) -> Tensor:
    """Return where every mark lies in head space, [n, k, 3], in the order of MARKS."""
    bare = _shaved(p)
    found: dict[str, Tensor] = {}
    for kind, find in _KINDS.items():
        marks = [mark for mark in MARKS if mark.kind == kind]
        rows = [mark.where(p) for mark in marks]
        columns = [_stacked(p, column) for column in zip(*map(_padded, rows), strict=True)]
        space = torch.stack(find(bare, *columns), dim=-1)  # [n, marks, 3]
        found |= {mark.name: space[:, i] for i, mark in enumerate(marks)}
    return torch.stack([found[mark.name] for mark in MARKS], dim=1)


def _padded(spot: tuple[Tensor | float, ...]) -> tuple[Tensor | float, ...]:
    """A spot whose depth is taken where it is."""
    return spot * 2 if len(spot) == 2 else spot


def _stacked(p: Parameters, column: Sequence[Tensor | float]) -> Tensor:
    one = torch.ones_like(p.age)
    return torch.cat([one * value for value in column], dim=1)


def _shaved(p: Parameters) -> Parameters:
    """The same person without a beard: landmarks lie on the skin below it."""
    bare = SimpleNamespace(**vars(p))
    for field in ("beard_full", "beard_goatee", "moustache"):
        setattr(bare, field, torch.zeros_like(p.age))
    return bare


# ------------------------------------------------------------------------------- kinds of places
def _front(p: Parameters, x: Tensor, y: Tensor, dx: Tensor, dy: Tensor) -> tuple[Tensor, ...]:
    z = backwards(face(p), dx, dy)
    return *to_space(p, x, y), z


def _skull(p: Parameters, angle: Tensor, z: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
    """Where the skull ends in a direction of the plane at depth z, from its middle outwards."""
    del rest
    right, up = torch.sin(angle), -torch.cos(angle)
    t = torch.full_like(angle, 0.1)
    for _ in range(STEPS):
        x, y = right * t, MIDDLE + up * t
        xs = x - _drift(p, y)
        t = t - geometry.skull(p, xs, torch.sqrt(xs * xs + 4e-4), y, z).clamp(max=0.1) * PACE
    return *to_space(p, right * t, MIDDLE + up * t), z


def _space(p: Parameters, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    return x, y, z


def _hairline(p: Parameters, x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
    """Where the hair begins above the brows, on its own surface; high up on a bald head."""

    def hair(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return hair_shape.hair(unhatted, x, torch.sqrt(x * x + 4e-4), y, z, fine=False)

    unhatted = SimpleNamespace(**vars(p))
    unhatted.hatted = torch.zeros_like(p.age)
    behind, heights = scan(p, face(p), x)
    before = scan(p, hair, x)[0]
    y = lowest(before - behind - 0.004, heights, 0.80)
    z = torch.maximum(backwards(face(p), x, y), backwards(hair, x, y + 0.02))
    return *to_space(p, x, y), z


def _brim(p: Parameters, x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
    """The lower edge of a hat over the face; on the forehead where none is worn."""

    def hat(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return worn_shape.hat(p, x, y, z)

    z, heights = scan(p, hat, x, THIN_STEPS)
    y = lowest(z, heights, 0.5)
    z = torch.where(p.hat_none > 0.5, backwards(face(p), x, y), backwards(hat, x, y + 0.02))
    return *to_space(p, x, y), z


def _drift(p: Parameters, y: Tensor) -> Tensor:
    """How far nose, mouth and chin lie beside the middle."""
    return 0.045 * p.asymmetry * step(0.30, -0.60, y)


_KINDS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "front": _front,
    "skull": _skull,
    "space": _space,
    "hairline": _hairline,
    "brim": _brim,
}
MIDDLE = -0.25  # height from which the outline is sought


# ------------------------------------------------------------------------------- single places
def _column(x: float, p: Parameters) -> Spot:
    """A column of the plane, for what is sought along it."""
    return x, 0.0


def _brow_level(x: float, y: float, p: Parameters) -> Spot:
    """A spot of the forehead or between the eyes."""
    return x, y


def _outline(side: float, degrees: float, z: float, p: Parameters) -> Spot:
    return side * math.radians(degrees), z, 0.0


def _brow(side: float, s: float, edge: float, p: Parameters) -> Spot:
    """A spot of a brow: s from 0 at the inner end to 1, edge 1 above and -1 below."""
    x = torch.full_like(p.age, side * (BROW_INNER + BROW_LENGTH * s))
    arch = (0.052 + 0.046 * p.brow_arch) * math.sin(math.pi * (0.12 + 0.78 * s) ** 1.15)
    knit = p.brow_raise.clamp(max=0) * 0.075 * (1 - s) ** 2
    tilt = 0.030 * p.asymmetry * torch.tanh(x * 12)
    middle = p.brow_y + arch - 0.03 + knit + tilt - 0.02 * s * s
    along = torch.full_like(p.age, s)
    thick = p.brow_w * step(-0.12, 0.12, along) * (1 - 0.75 * step(0.35, 1.0, along))
    return x, middle + edge * thick


def _lid(side: float, u: float, edge: float, p: Parameters) -> Spot:
    """A spot on the edge of a lid: u from -1 at the nose to 1, edge 1 above and -1 below."""
    ex, q = p.eye_w * u, 1 - u * u
    lid = p.lid_up * q**0.72 if edge > 0 else -p.lid_low * q
    if edge > 0:
        lid = torch.maximum(lid, -p.lid_low * q)  # shut: both are one line
    x, y = side * (p.eye_x + ex), lid + p.eye_slant * ex
    return x, y, x + 0.02 * side * float(abs(u) > 0.9) * u, y + 0.02 * edge * float(abs(u) < 0.9)


def _iris(side: float, out: float, up: float, p: Parameters) -> Spot:
    """A point of the eyeball: the centre of the iris, or its rim in a direction."""
    gaze = p.gaze + p.gaze.new_tensor([side * out, up, 0.0]) * IRIS
    x, y, z = torch.nn.functional.normalize(gaze, dim=-1).mul(p.eye_r).split(1, dim=-1)
    x, y = to_space(p, side * p.eye_x + x, y)
    return x, y, z + 0.44


def _lip(u: float, edge: str, p: Parameters) -> Spot:
    """A spot of the lips: u from -1 to 1 between the corners; edge: which of the four lines."""
    q = max(1 - u * u, 0.0)
    height = {"top": p.lip_up, "bottom": p.lip_low}.get(edge, 0.0)
    if edge == "top":
        across = torch.full_like(p.age, u)
        bow = 1 - 0.16 * bump(across, 0.14) + 0.10 * bump(across.abs() - 0.27, 0.2)
        v = p.open_up * q + height * q**0.75 * bow
    elif edge == "bottom":
        v = -p.open_low * q - height * q**0.6
    else:
        v = {"upper": p.open_up, "lower": -p.open_low}[edge] * q
    smirk = 0.045 * p.smirk * u
    y = p.mouth_y + p.mouth_lift * (u * u - 0.35) + smirk + v
    x = u * p.mouth_w + _drift(p, y)
    on_lip = {"upper": 0.02, "lower": -0.02}.get(edge, 0.0)  # not into an open mouth
    return x, y, x, y + on_lip


def _nose(side: float, x: float, y: float, p: Parameters) -> Spot:
    """A spot beside the tip: shares of the nose's width, units below the wings' height."""
    height = p.nose_y + y
    return side * x * p.nose_w + _drift(p, height), height


def _ear(side: float, x: float, y: float, z: float, p: Parameters) -> Spot:
    """A point of an ear in its own size, about its centre."""
    return *to_space(p, side * (0.705 + x * p.ear), y * p.ear - 0.01), z * p.ear - 0.05


def _frame(side: float, x: float, y: float, z: float | None, p: Parameters) -> Spot:
    """A point of the glasses; on the plane of the lenses where z is None."""
    depth = 0.80 - 0.28 * x * x if z is None else z
    one = torch.ones_like(p.age)
    return *to_space(p, side * x * one, y * one), depth


def _middle(height: str, p: Parameters) -> Spot:
    """A spot in the middle of the nose."""
    y = {
        "root": 0.06,
        "bridge": 0.12 * p.nose_y,
        "ridge": 0.54 * p.nose_y,
        "tip": p.nose_y + 0.035 * p.nose_tip - 0.04,
        "base": p.nose_y - 0.10,
    }[height] + torch.zeros_like(p.age)
    return _drift(p, y), y


def _crown(x: float, p: Parameters) -> Spot:
    """The top of a hat, or of the head, and its widest places at the height of the forehead."""
    up = torch.ones_like(p.age)
    t = 2.0 * up
    for _ in range(STEPS):
        at = (x * t, 0.55 * up, -0.1 * up) if x else (0 * up, t, -0.1 * up)
        wide = torch.minimum(worn_shape.hat(p, *at), geometry.skull(p, at[0], at[0].abs(), *at[1:]))
        t = t - wide.clamp(max=0.3) * PACE
    x_, y_ = to_space(p, x * t, 0.55 * up) if x else to_space(p, 0 * up, t)
    return x_, y_, -0.1


# ------------------------------------------------------------------------------- all of them
_OUTLINE = (  # degrees from straight down, depth, mesh
    *((110.0, 0.14, 127, 356), (102.0, 0.12, 234, 454), (77.0, 0.10, 132, 361)),
    *((64.0, 0.08, 58, 288), (51.0, 0.15, 172, 397), (40.0, 0.20, 136, 365)),
    *((23.0, 0.32, 149, 378), (8.0, 0.42, 148, 377)),
)
_FOREHEAD = ((0.45, 0.38, 103, 332), (0.32, 0.42, 67, 297))
_BROWS = (  # along the brow, edge, mesh
    *((1.00, 1, 70, 300), (0.88, 1, 63, 293), (0.65, 1, 105, 334), (0.37, 1, 66, 296)),
    *((0.03, 1, 107, 336), (0.98, -1, 46, 276), (0.82, -1, 53, 283), (0.61, -1, 52, 282)),
    *((0.35, -1, 65, 295), (0.03, -1, 55, 285)),
)
_LIDS = (  # across the eye, edge, mesh
    *((1.0, 1, 33, 263), (0.35, 1, 160, 387), (0.0, 1, 159, 386), (-0.35, 1, 158, 385)),
    *((-1.0, 1, 133, 362), (-0.35, -1, 153, 380), (0.0, -1, 145, 374), (0.35, -1, 144, 373)),
)
_IRISES = (  # outwards and up from its centre, mesh
    *((0, 0, 468, 473), (0, 1, 470, 475), (0, -1, 472, 477)),
    *((-1, 0, 469, 476), (1, 0, 471, 474)),
)
_NOSE = (("root", 168), ("bridge", 6), ("ridge", 195), ("tip", 1), ("base", 2))
_WINGS = ((0.155, -0.040, 64, 294), (0.125, -0.070, 98, 327))
_LIP_MIDDLE = (("top", 0), ("upper", 13), ("lower", 14), ("bottom", 17))
_LIPS = (  # across the mouth, line, mesh
    *((1.0, "upper", 61, 291), (0.68, "top", 40, 270), (0.30, "top", 37, 267)),
    *((0.68, "bottom", 91, 321), (0.30, "bottom", 84, 314), (0.90, "upper", 78, 308)),
    *((0.45, "upper", 81, 311), (0.45, "lower", 178, 402)),
)
_EARS = (("top", 0.02, 0.19, -0.03), ("rim", 0.055, 0.06, -0.08), ("lobe", 0.0, -0.20, 0.04))
_FRAMES = (
    *(("outer", 0.54, -0.015, None), ("inner", 0.09, -0.015, None), ("top", 0.315, 0.19, None)),
    *(("bottom", 0.315, -0.22, None), ("hinge", 0.55, 0.05, 0.71), ("temple", 0.73, 0.06, -0.05)),
)
_HAIRLINE, _BRIM = (0.45, 0.30, 0.15), (0.40, 0.20)  # columns


def _sided(name: str, group: str, mesh: Sequence[int | None], kind: str, find: Any) -> list[Mark]:
    """A mark and its mirror image; `find` takes the side, -1 or 1, and gives the place."""
    return [
        Mark(f"{side}_{name}", group, number, kind, find(sign))
        for side, sign, number in zip(("left", "right"), (-1.0, 1.0), mesh, strict=True)
    ]


def _skull_marks() -> list[Mark]:
    marks = [Mark("chin", "outline", 152, "skull", partial(_outline, 1.0, 0.0, 0.47))]
    for i, (degrees, z, *mesh) in enumerate(_OUTLINE):
        find = _by_side(_outline, degrees, z)
        marks += _sided(f"outline_{i}", "outline", mesh, "skull", find)
    marks.append(Mark("forehead", "forehead", 10, "front", partial(_brow_level, 0.0, 0.45)))
    for i, (x, y, *mesh) in enumerate(_FOREHEAD):
        marks += _sided(f"forehead_{i}", "forehead", mesh, "front", _mirrored(_brow_level, x, y))
    return marks


def _face_marks() -> list[Mark]:
    marks = []
    for i, (s, edge, *mesh) in enumerate(_BROWS):
        marks += _sided(f"brow_{i}", "brows", mesh, "front", _by_side(_brow, s, edge))
    for i, (u, edge, *mesh) in enumerate(_LIDS):
        marks += _sided(f"lid_{i}", "lids", mesh, "front", _by_side(_lid, u, edge))
    for i, (out, up, *mesh) in enumerate(_IRISES):
        marks += _sided(f"iris_{i}", "iris", mesh, "space", _by_side(_iris, out, up))
    for height, number in _NOSE:
        marks.append(Mark(f"nose_{height}", "nose", number, "front", partial(_middle, height)))
    for i, (x, y, *mesh) in enumerate(_WINGS):
        marks += _sided(f"nose_{i}", "nose", mesh, "front", _by_side(_nose, x, y))
    for line, number in _LIP_MIDDLE:
        marks.append(Mark(f"lip_{line}", "mouth", number, "front", partial(_lip, 0.0, line)))
    for i, (u, line, *mesh) in enumerate(_LIPS):
        marks += _sided(f"lip_{i}", "mouth", mesh, "front", _mirrored(_lip, u, line))
    return marks


def _worn_marks() -> list[Mark]:
    """Ears, hairline, and what people put on."""
    none: tuple[None, None] = (None, None)
    marks: list[Mark] = []
    for name, *at in _EARS:
        marks += _sided(f"ear_{name}", "ears", none, "space", _by_side(_ear, *at))
    marks.append(Mark("hairline", "hairline", None, "hairline", partial(_column, 0.0)))
    for i, x in enumerate(_HAIRLINE):
        marks += _sided(f"hairline_{i}", "hairline", none, "hairline", _mirrored(_column, x))
    bridge = partial(_frame, 1.0, 0.0, 0.035, 0.80)
    marks.append(Mark("glasses_bridge", "glasses", None, "space", bridge))
    for name, *where in _FRAMES:
        marks += _sided(f"glasses_{name}", "glasses", none, "space", _by_side(_frame, *where))
    marks.append(Mark("hat_top", "hat", None, "space", partial(_crown, 0.0)))
    marks += _sided("hat_side", "hat", none, "space", _mirrored(_crown, 1.0))
    marks.append(Mark("hat_brim", "hat", None, "brim", partial(_column, 0.0)))
    for i, x in enumerate(_BRIM):
        marks += _sided(f"hat_brim_{i}", "hat", none, "brim", _mirrored(_column, x))
    return marks


def _by_side(find: Any, *at: Any) -> Any:
    """A place whose function takes the side first."""
    return lambda side: partial(find, side, *at)


def _mirrored(find: Any, x: float, *at: Any) -> Any:
    """A place whose first number changes its sign with the side."""
    return lambda side: partial(find, side * x, *at)


MARKS: tuple[Mark, ...] = (*_skull_marks(), *_face_marks(), *_worn_marks())
