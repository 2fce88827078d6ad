"""Hats and headbands: surfaces round the skull, met by the rays of the photograph.

The pair says which kind and which colour. The surface is made in head space, as wide as the
photograph's own hair needs it, and every pixel's ray is met with it, so that folds, ribs and brims
turn with the head and are lit like the face.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.transfer.drawing import Sheet, sheet_over, smooth_step
from faceedit.transfer.head import SKULL_AXES, SKULL_CENTRE, Head
from faceedit.transfer.light import Light, display, linear, surface_normals

FAR = -1e4  # mm towards the camera: nothing is met
BEHIND = -70.0  # mm: what lies farther back is hidden by the head
ASIDE = 95.0  # mm from the middle: what is farther out is no head
EDGE_PX = 0.7  # of the sheet: softness of its edges
DETAIL = 1.7  # px a millimetre: ribs and weave need no more


@dataclass(frozen=True)
class Hat:
    """What somebody wears on the head.

    Attributes:
        kind: "beanie", "cap", "headband" or "sun hat".
        colour: Its cloth in even light, linear RGB in [0, 1], [3].
    """

    kind: str
    colour: np.ndarray


@dataclass(frozen=True)
class Fit:
    """How a hat sits on this head.

    Attributes:
        edge: Height of its edge over the eyes, at the forehead, mm.
        slope: How much the edge falls towards the back, mm a mm.
        grow: How far its cloth lies off the skull: at the sides, on top, behind, [3] mm.
    """

    edge: float
    slope: float
    grow: np.ndarray

    def height(self, points: np.ndarray) -> np.ndarray:
        """Return how high points of head space lie over the plane of the edge, mm."""
        return points[..., 1] - self.edge - self.slope * (points[..., 2] - 8)


@dataclass(frozen=True)
class Surface:
    """What the rays of a sheet meet of one surface, k of them."""

    where: np.ndarray  # [k] flat indices of the sheet's pixels
    depth: np.ndarray  # [k] mm towards the camera
    points: np.ndarray  # [k, 3] head space
    normals: np.ndarray  # [k, 3] as the camera sees them


@dataclass(frozen=True)
class Workshop:
    """What every kind of hat is made with."""

    sheet: Sheet
    fit: Fit
    light: Light
    start: np.ndarray  # [h, w, 3]
    direction: np.ndarray  # [3]
    noise: np.random.Generator

    def mottle(self, where: np.ndarray, size: float) -> np.ndarray:
        """Return uneven cloth at pixels of the sheet, about -1..1, in spots `size` mm wide."""
        h, w = self.sheet.shape
        step = max(1, int(size * self.sheet.millimetre))
        small = self.noise.standard_normal((h // step + 2, w // step + 2)).astype(np.float32)
        field = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
        return field.ravel()[where].clip(-2, 2) / 2

    def dome(
        self,
        grow: np.ndarray,
        keep: Callable[[np.ndarray], np.ndarray],
        lift: float = 0.0,
    ) -> Surface:
        """Meet an ellipsoid round the skull, of which only a part is kept.

        Args:
            grow: How far it lies off the skull, mm, [3].
            keep: Which of its points [k, 3] are part of it, [k] bool.
            lift: How much higher than the skull's middle it is widest, mm; its top stays.
        """
        raised = np.array([0, lift, 0])
        centre, axes = SKULL_CENTRE + raised, SKULL_AXES + np.asarray(grow) - raised
        points, inside = self.sheet.head.meet(self.sheet.shape, centre, axes)
        where = np.flatnonzero(inside > 0)
        points = points.reshape(-1, 3)[where]
        kept = keep(points)
        where, points = where[kept], points[kept]
        normals = surface_normals(points, centre, axes, self.sheet.head)
        depth = self.sheet.head.facing(points).astype(np.float32)
        return Surface(where, depth, points, normals)


Made = list[tuple[Surface, np.ndarray]]  # surfaces and their lit linear colour, [k, 3] each


def draw_hat(
    hat: Hat, fit: Fit, head: Head, light: Light, person: np.ndarray, seed: int = 7
) -> tuple[Sheet, np.ndarray, np.ndarray]:
    """Draw a hat on a head.

    Args:
        hat: What to draw.
        fit: How it sits.
        head: The view of the head in the frame.
        light: On the face.
        person: Head, hair and body in the frame, [h, w] in [0, 1]: they hide a brim behind them.
        seed: Of the cloth's unevenness.

    Returns:
        A sheet, the hat's colour on it [h, w, 3] in [0, 255], and its alpha [h, w] in [0, 1].
    """
    shape = person.shape
    wide = 175.0 if hat.kind == "sun hat" else 84 + fit.grow[0] + 14
    top = SKULL_CENTRE[1] + SKULL_AXES[1] + fit.grow[1] + 24
    reach = np.array([[x, y, z] for x in (-wide, wide) for y in (-5, top) for z in (-90, 0)])
    sheet = sheet_over(head.project(reach.astype(float)), head, shape, 4, DETAIL)
    start, direction = sheet.head.rays(sheet.shape)
    shop = Workshop(sheet, fit, light, start, direction, np.random.default_rng(seed))
    draw: Callable[[Hat, Workshop], Made] = {
        "beanie": _beanie,
        "cap": _cap,
        "headband": _headband,
        "sun hat": _sun_hat,
    }[hat.kind]
    hides = (sheet.take(person) > 0.5) & (np.abs(start[..., 0]) < ASIDE)
    depth = np.full(sheet.shape[0] * sheet.shape[1], FAR, np.float32)
    colour = np.zeros((len(depth), 3), np.float32)
    for surface, lit in draw(hat, shop):
        nearer = surface.depth > depth[surface.where]
        places = surface.where[nearer]
        depth[places] = surface.depth[nearer]
        colour[places] = lit[nearer]
    covers = (depth > FAR) & ((depth > BEHIND) | ~hides.ravel())
    alpha = covers.astype(np.float32).reshape(sheet.shape)
    return sheet, *_softened(display(colour).reshape(*sheet.shape, 3), alpha)


def _softened(colour: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return colours and alpha with an edge as soft as a lens draws it, without a dark seam."""
    soft = cv2.GaussianBlur(alpha, (0, 0), EDGE_PX)
    spread = cv2.GaussianBlur(colour * alpha[..., None], (0, 0), EDGE_PX)
    spread = spread / np.maximum(soft, 1e-4)[..., None]
    return np.where(alpha[..., None] > 0, colour, spread), soft


# ------------------------------------------------------------------------------------ the kinds
def _beanie(hat: Hat, shop: Workshop) -> Made:
    """A knitted cap with a fold: ribs that meet on top, and a thicker cuff of the same ribs."""
    fit = shop.fit
    # Its edge lies on the head, and it is widest above.
    crown = shop.dome(fit.grow + np.array([5, 11, 6]), lambda p: fit.height(p) > 20, 15)
    fold = shop.dome(fit.grow + np.array([7, 12, 9]), lambda p: _between(fit.height(p), 0, 38), 15)
    made = []
    for dome, is_fold in ((crown, False), (fold, True)):
        around = _around(dome.points) * 60 / (2 * np.pi)
        height = fit.height(dome.points)
        groove, stitch = _knit(around, height / 4.6)
        shade = (0.50 + 0.50 * groove) * (0.86 + 0.28 * stitch)
        tilted = dome.normals.copy()
        tilted[:, 0] += 0.35 * np.cos(2 * np.pi * around) * dome.normals[:, 2]
        if is_fold:
            near_edge = np.minimum(height, 38 - height)
            shade *= 0.62 + 0.38 * smooth_step(-1, 6, near_edge)
            tilted[:, 1] += 0.6 * smooth_step(12, 0, 38 - height) - 0.5 * smooth_step(10, 0, height)
        else:
            shade *= 1 - 0.5 * smooth_step(50, 36, height)
        shade *= _lit(shop, tilted)
        shade *= 1 + 0.10 * shop.mottle(dome.where, 6) + 0.08 * shop.mottle(dome.where, 0.8)
        made.append((dome, hat.colour * shade[:, None]))
    return made


def _cap(hat: Hat, shop: Workshop) -> Made:
    """A baseball cap: six panels with seams, a button, and a brim bent over the brow."""
    low = Fit(shop.fit.edge + 8, 0.12, shop.fit.grow)
    dome = shop.dome(low.grow + np.array([7, 15, 7]), lambda p: low.height(p) > 0)
    part = _around(dome.points) / (np.pi / 3)
    flat = np.hypot(dome.points[:, 0], dome.points[:, 2] - SKULL_CENTRE[2])
    seam = np.abs(part - np.round(part)) * (np.pi / 3) * flat
    shade = 1 - 0.40 * smooth_step(1.4, 0.3, seam)
    shade *= 1 - 0.10 * smooth_step(0.7, 0.2, np.abs(seam - 3.0))
    shade *= 1 + 0.25 * smooth_step(6.5, 5.0, flat) * (dome.points[:, 1] > 90)  # the button
    shade *= _lit(shop, dome.normals) * (1 + 0.06 * shop.mottle(dome.where, 0.6))
    shade *= 0.72 + 0.28 * smooth_step(0, 10, low.height(dome.points))
    return [(dome, hat.colour * shade[:, None]), _brim_of_cap(hat, shop, low)]


def _headband(hat: Hat, shop: Workshop) -> Made:
    """A band of soft cloth over hairline and hair, down to the ears."""
    fit = shop.fit
    dome = shop.dome(fit.grow + 4, lambda p: _between(fit.height(p), 10, 46))
    t = (fit.height(dome.points) - 28) / 18
    normals = dome.normals.copy()
    normals[:, 1] += 0.8 * t
    folds = 1 + 0.09 * np.sin(7.0 * t + 0.03 * dome.points[:, 0]) * (1 - t * t)
    folds *= 1 + 0.05 * shop.mottle(dome.where, 0.7) + 0.05 * shop.mottle(dome.where, 9)
    shade = _lit(shop, normals) * folds * (1 - 0.4 * smooth_step(0.7, 1.0, np.abs(t)))
    return [(dome, hat.colour * shade[:, None])]


def _sun_hat(hat: Hat, shop: Workshop) -> Made:
    """A straw hat: a dome with a ribbon, and a wide brim that falls and waves a little."""
    base = Fit(shop.fit.edge + 18, 0.02, shop.fit.grow)
    dome = shop.dome(base.grow + np.array([9, 10, 9]), lambda p: base.height(p) > 0)
    height = base.height(dome.points)
    straw = _straw(dome.points, height)
    ribbon = _between(height, 2, 23)
    cloth = np.where(ribbon, 0.22 + 0.02 * np.sin(height * 1.3), straw)
    foot = 0.60 + 0.40 * smooth_step(-2, 14, height)
    edge = 1 - 0.3 * smooth_step(2.5, 0.5, np.abs(height - 23))
    shade = 1.1 * _lit(shop, dome.normals, 0.6) * foot * edge * cloth
    made = [(dome, hat.colour * (shade * (1 + 0.06 * shop.mottle(dome.where, 0.7)))[:, None])]
    brim, below = _falling_brim(shop, base)
    r = np.hypot(brim.points[:, 0], brim.points[:, 2] - SKULL_CENTRE[2])
    out = BRIM_OUT + base.grow[0]
    shade = _lit(shop, brim.normals, 0.3) * np.where(below, 0.55, 1.25) * _straw(brim.points, r)
    shade *= 1 - 0.30 * smooth_step(3.5, 1.0, out - r)
    shade *= 0.68 + 0.32 * smooth_step(80, 108, r)
    shade *= 1 + 0.05 * shop.mottle(brim.where, 0.7)
    made.append((brim, hat.colour * shade[:, None]))
    return made


# ---------------------------------------------------------------------------------- the surfaces
BRIM_IN, BRIM_OUT, BRIM_FALL, BRIM_TILT = 72.0, 150.0, 0.27, 0.03


def _falling_brim(shop: Workshop, base: Fit) -> tuple[Surface, np.ndarray]:
    """Meet a wide cone, its front raised: the surface, and where its underside is seen, [k]."""
    rise = np.array([[1, 0, 0], [0, 1, -BRIM_TILT], [0, BRIM_TILT, 1]], np.float32)
    rise /= np.sqrt(1 + np.array([[0], [1], [1]]) * BRIM_TILT**2).astype(np.float32)
    pivot = np.array([0, base.edge + 4, SKULL_CENTRE[2]], np.float32)
    start = (shop.start - pivot) @ rise.T
    d = rise @ shop.direction
    x, y, z = start[..., 0], start[..., 1], start[..., 2]
    inner, outer = BRIM_IN + base.grow[0], BRIM_OUT + base.grow[0]
    wave = 4.0 * np.sin(x / 45 + 0.6) * smooth_step(80, 140, np.abs(x))
    top = inner * BRIM_FALL + wave
    k2 = BRIM_FALL**2  # (k r)^2 = (top - y)^2 along start + s d
    a = k2 * (d[0] ** 2 + d[2] ** 2) - d[1] ** 2
    b = k2 * (x * d[0] + z * d[2]) + (top - y) * d[1]
    c = k2 * (x * x + z * z) - (top - y) ** 2
    root = b * b - a * c
    real = np.sqrt(np.clip(root, 0, None))
    met = np.full(x.shape, FAR, np.float32)
    for sign in (1, -1):
        s = (-b + sign * real) / a
        p = start + s[..., None] * d
        r = np.hypot(p[..., 0], p[..., 2])
        good = (root > 0) & (p[..., 1] < top) & (r > inner - 30) & (r < outer)
        met = np.maximum(met, np.where(good, s, FAR))
    where = np.flatnonzero(met > FAR / 2)
    local = start.reshape(-1, 3)[where] + met.ravel()[where][:, None] * d
    r = np.maximum(np.hypot(local[:, 0], local[:, 2]), 1e-3)[:, None]
    outwards = np.concatenate([local[:, :1] / r, np.zeros_like(r), local[:, 2:] / r], 1)
    outwards = outwards * BRIM_FALL + np.array([0, 1, 0], np.float32)
    normals = _unit(outwards @ rise @ shop.sheet.head.turn.T.astype(np.float32))
    below = normals[:, 2] < 0
    points = local @ rise + pivot
    depth = shop.sheet.head.facing(points).astype(np.float32)
    normals = np.where(below[:, None], -normals, normals)
    return Surface(where, depth, points.astype(np.float32), normals), below


def _brim_of_cap(hat: Hat, shop: Workshop, base: Fit) -> tuple[Surface, np.ndarray]:
    """Return the brim of a cap: bent over the brow, darker at its foot and its stitches."""
    sheet = shop.sheet
    t = np.linspace(-1, 1, 41)
    around = t * 1.0
    half = SKULL_AXES[0] + base.grow[0] + 8
    deep = SKULL_AXES[2] + base.grow[2] + 8
    inner = np.stack([half * np.sin(around), around * 0, deep * np.cos(around)], 1)
    inner[:, 2] += SKULL_CENTRE[2]
    inner[:, 1] = base.edge + base.slope * (inner[:, 2] - 8) + 4
    out = 64 * np.clip(1 - np.abs(t) ** 2.4, 0, None) ** 0.6
    outer = inner + np.stack([0.02 * inner[:, 0], -0.46 * out - 10 * t * t, out], 1)
    a, b = sheet.head.project(inner), sheet.head.project(outer)
    mask = sheet.filled(np.concatenate([a, b[::-1]])) > 0.5
    where = np.flatnonzero(mask)
    rows, columns = np.divmod(where, sheet.shape[1])
    top = np.interp(columns, *_by_x(a))
    bottom = np.interp(columns, *_by_x(b))
    v = np.clip((rows - top) / np.maximum(bottom - top, 1), 0, 1)
    u = np.clip(shop.start.reshape(-1, 3)[where, 0] / half, -1, 1)
    normals = _unit(np.stack([0.75 * u, 0.75 - 0.2 * v, 0.65 + 0 * u], 1))
    shade = _lit(shop, normals) * (0.55 + 0.45 * smooth_step(0.0, 0.35, v))
    stitches = np.abs((v * 6.0) % 1.0 - 0.5) < 0.08
    shade *= 1 - 0.14 * stitches
    shade *= 1 + 0.25 * smooth_step(0.90, 0.96, v) - 0.4 * smooth_step(0.96, 1.0, v)
    shade *= 1 + 0.06 * shop.mottle(where, 0.6)
    points = shop.start.reshape(-1, 3)[where]
    surface = Surface(where, np.full(len(where), 90, np.float32), points, normals)
    return surface, hat.colour * shade[:, None]


def _lit(shop: Workshop, normals: np.ndarray, rough: float = 1.0) -> np.ndarray:
    """Return brightness of cloth in the face's light and the sky's.

    Args:
        shop: With the light.
        normals: Of the surface, [k, 3].
        rough: How much darker it is where it turns away from the camera, as wool is, 0..1.
    """
    normals = _unit(normals)
    bright = shop.light.on(normals) * (0.84 + 0.22 * normals[:, 1])
    return bright * (1 - rough * (0.42 - 0.42 * np.clip(normals[:, 2], 0, 1) ** 0.7))


# ---------------------------------------------------------------------------------- its textures
def _knit(around: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the height of ribs (0 in the groove, 1 on the rib) and of stitches, V beside V."""
    part = around - np.floor(around)
    groove = np.sin(np.pi * part) ** 0.6
    slant = along + 0.9 * np.abs(part - 0.5)
    stitch = 0.5 + 0.5 * np.sin(2 * np.pi * slant)
    return groove.astype(np.float32), stitch.astype(np.float32)


def _straw(points: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Return the weave of straw: rings of plait, each of slanting straws."""
    ring = along / 5.0
    around = _around(points) * 95 / 3.2
    part = ring - np.floor(ring)
    plait = np.sin(2 * np.pi * (around + part * np.where(np.floor(ring) % 2, 1, -1)))
    return (0.86 + 0.10 * plait - 0.14 * smooth_step(0.82, 1.0, part)).astype(np.float32)


def _around(points: np.ndarray) -> np.ndarray:
    """Return the angle about the head's axis, radians, 0 in front."""
    return np.arctan2(points[..., 0], points[..., 2] - SKULL_CENTRE[2])


def _unit(normals: np.ndarray) -> np.ndarray:
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)


def _between(x: np.ndarray, low: float, high: float) -> np.ndarray:
    return (x > low) & (x < high)


def _by_x(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(line[:, 0])
    return line[order, 0], line[order, 1]


def cloth_colour(image: np.ndarray, where: np.ndarray, exposure: float) -> np.ndarray:
    """Return the linear colour of drawn cloth in even light, as bright as the photograph's light.

    Args:
        image: The drawn face, RGB in [0, 255].
        where: The cloth, [h, w] bool.
        exposure: How much brighter the photograph's skin is than the drawn face's.
    """
    seen = linear(image[where])
    colour = np.percentile(seen, 65, axis=0)
    return np.clip(colour * exposure, 0.004, 0.85).astype(np.float32)
