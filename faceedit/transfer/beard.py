"""Beards and moustaches, hair by hair.

The pair says which parts of the face grow hair. Where exactly they lie comes from the photograph's
own jaw, lips and nose, the colour from its brows and hair. Strands follow the jaw, thin out
towards the edge, and lie over skin that they darken.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.transfer.drawing import SUBPIXEL, Sheet, blur, sheet_over, smooth_step
from faceedit.transfer.head import SKULL_AXES, SKULL_CENTRE, Head
from faceedit.transfer.layers import Layers
from faceedit.transfer.light import FACE_AXES, FACE_CENTRE, Light, display, linear, surface_normals
from faceedit.transfer.view import View

DETAIL = 2.4  # px a millimetre
# The average face's outline: half its width, mm, by height over the eyes; see `FaceMap`.
OUTLINE_Y = np.array([-121.0, -112.0, -104.0, -95.0, -85.0, -72.0, -50.0, -12.0, 10.0])
OUTLINE_X = np.array([6.0, 21.0, 33.0, 41.0, 48.0, 54.0, 61.0, 67.0, 67.5])
NOSE, MOUTH, CHIN = -43.8, -64.8, -112.0  # the average face's heights
LIP_RING = (
    *("left_lip_0", "left_lip_1", "left_lip_2", "lip_top", "right_lip_2", "right_lip_1"),
    *("right_lip_0", "right_lip_3", "right_lip_4", "lip_bottom", "left_lip_4", "left_lip_3"),
)  # landmarks round the outer edge of the lips
TONES = 6  # of strands; as many colours are drawn
FAINT = (105, 165, 235)  # of 255: how much is seen of strands where few, more and many grow
LEVEL = 90  # of 255: the mean tone
CHUNKS = 10  # of strands from below to above: the higher ones lie on the lower ones


@dataclass(frozen=True)
class Beard:
    """What grows on a face.

    Attributes:
        cheeks: Whether cheeks and jaw grow hair, in [0, 1].
        chin: Whether the chin does.
        lip: Whether the upper lip does.
        length: Of the strands, mm.
        colour: Linear RGB in even light, [3].
    """

    cheeks: float
    chin: float
    lip: float
    length: float
    colour: np.ndarray


@dataclass(frozen=True)
class FaceMap:
    """Where each pixel lies on the average face, mm: what is drawn there follows this face."""

    x: np.ndarray  # [h, w], to the right
    y: np.ndarray  # [h, w], up
    normals: np.ndarray  # [h, w, 3]


def map_face(photo: View, sheet: Sheet, head: Head) -> FaceMap:
    """Return where the pixels of a sheet lie on the average face."""
    hit, _ = sheet.head.meet(sheet.shape, FACE_CENTRE, FACE_AXES)
    normals = surface_normals(hit, FACE_CENTRE, FACE_AXES, head)
    outline = _outline(photo)
    marks = {
        NOSE: _mean(photo, "left_nose_1", "right_nose_1"),
        MOUTH: _mean(photo, "left_lip_0", "right_lip_0"),
        CHIN: _mean(photo, "chin"),
    }
    own = {
        height: head.on_ellipsoid(place, FACE_CENTRE, FACE_AXES)[1]
        for height, place in marks.items()
        if place is not None
    }
    heights = sorted(own)
    measured = [own[height] for height in heights]
    y = np.interp(
        hit[..., 1],
        [measured[0] - 60, *measured, measured[-1] + 80],
        [heights[0] - 60, *heights, heights[-1] + 80],
    )
    x = hit[..., 0].copy()
    if len(outline) > 4:
        places = np.array([head.on_ellipsoid(p, FACE_CENTRE, FACE_AXES) for p in outline])
        places[:, 1] = np.interp(
            places[:, 1],
            [measured[0] - 60, *measured, measured[-1] + 80],
            [heights[0] - 60, *heights, heights[-1] + 80],
        )
        for side in (-1, 1):
            half = places[places[:, 0] * side > 3]
            if len(half) < 3:
                continue
            half = half[np.argsort(half[:, 1])]
            wide = np.abs(half[:, 0]) / np.interp(half[:, 1], OUTLINE_Y, OUTLINE_X)
            ratio = np.interp(y, half[:, 1], np.clip(wide, 0.6, 1.4))
            x = np.where(x * side > 0, x / ratio, x)
    return FaceMap(x.astype(np.float32), y.astype(np.float32), normals)


def draw_beard(photo: View, head: Head, light: Light, beard: Beard, seed: int = 11) -> Layers:
    """Return a beard on the photograph's face: skin darkened below, strands above.

    Args:
        photo: The photograph.
        head: The view of its head.
        light: On its face.
        beard: What to draw.
        seed: Of the strands.
    """
    reach = np.array([[x, y, -20] for x in (-74, 74) for y in (-140, 12)], float)
    sheet = sheet_over(head.project(reach), head, photo.shape, 4, DETAIL)
    face = map_face(photo, sheet, head)
    noise = np.random.default_rng(seed)
    density = growth(beard, face, noise, sheet)
    density = density * _allowed(photo, sheet, face)
    shade = light.on(face.normals) * (0.62 + 0.38 * np.clip(face.normals[..., 2], 0, 1))
    shade = shade * (1 - 0.30 * smooth_step(-104, -122, face.y))
    tones = np.exp(0.62 * np.linspace(-1.3, 1.5, TONES))
    colour, strands = _strands(sheet, face, density, beard, tones, noise)
    base = 0.62 * smooth_step(0.05, 0.9, blur(density, 1.2 * sheet.millimetre))
    base = base * min(1.0, 0.22 + beard.length / 9) * (0.6 + 0.4 * beard.cheeks)
    strands = strands * min(1.0, 0.35 + beard.length / 6)
    alpha = np.clip(base + (1 - base) * strands, 0, 1)
    mixed = (colour * strands + 0.40 * base * (1 - strands)) / np.maximum(alpha, 1e-4)
    lit = beard.colour * (mixed * shade)[..., None]
    cover = display(lit)
    return sheet.laid(cover, alpha, photo.shape, grain=0.3)


def growth(beard: Beard, face: FaceMap, noise: np.random.Generator, sheet: Sheet) -> np.ndarray:
    """Return how densely hair grows, [h, w] in [0, 1]."""
    x, y = np.abs(face.x), face.y
    rough = _mottle(noise, sheet, 3.0) * 2.2 + _mottle(noise, sheet, 0.8) * 1.0
    line = np.interp(x, [0, 30, 38, 46, 54, 60, 65, 70], [-64, -64, -60, -54, -43, -23, 3, 14])
    bottom = -119 + 0.006 * x * x + rough
    cheeks = smooth_step(3, -11, y - line - 1.3 * rough) * smooth_step(-7, 4, y - bottom)
    cheeks = cheeks * smooth_step(72, 66, x) * smooth_step(16, -22, y)
    # Less grows beside the lower lip.
    bare = np.hypot((x - 17) / 9, (y + 79) / 5)
    cheeks = cheeks * (0.35 + 0.65 * smooth_step(0.5, 1.3, bare))
    chin = np.hypot(x / 25, (np.minimum(y + 102, 0) / 18) + np.maximum(y + 102, 0) / 19)
    alone = 1 - beard.cheeks  # a goatee thins out over its edge; cheeks' hair would hide that
    chin = smooth_step(
        1.15 + 0.18 * alone, 0.50 - 0.20 * alone, chin + (0.02 + 0.03 * alone) * rough
    )
    soul = smooth_step(1.2, 0.5, np.hypot(x / 9, (y + 82) / 9) + 0.04 * rough)
    # Between moustache and chin it grows thinly, beside the mouth's corners.
    beside = smooth_step(10, 1, np.abs(x - 30 - 0.16 * (y + 80)) + 0.2 * rough)
    beside = 0.38 * beard.cheeks * beside * smooth_step(-54, -64, y) * smooth_step(-112, -98, y)
    chin = np.maximum(np.maximum(chin, soul), beside * min(beard.lip, beard.chin))
    middle = -53.5 - 0.10 * np.clip(x - 8, 0, None) - 0.012 * np.clip(x - 14, 0, None) ** 2
    thick = np.maximum(5.6 - 0.05 * x, 1.0)
    lip = smooth_step(1.15, 0.55, np.abs(y - middle) / thick + 0.04 * rough)
    lip = lip * smooth_step(37, 31, x) * (0.62 + 0.38 * smooth_step(1.0, 4.5, x))
    full = np.maximum(cheeks * beard.cheeks, chin * beard.chin)
    return np.clip(np.maximum(full, lip * beard.lip), 0, 1).astype(np.float32)


def _flow(face_x: np.ndarray, face_y: np.ndarray) -> np.ndarray:
    """Return which way hair grows at places of the average face, unit vectors [k, 2], y up."""
    side = np.sign(face_x)
    x = np.abs(face_x)
    lip = (face_y > -61) & (x < 36)
    down = np.where(lip, -0.45 - 0.02 * x, -1.0)
    out = np.where(lip, 0.85 * np.clip(x / 6, 0, 1), np.where(x > 30, -0.18, 0.10 * x / 30))
    flow = np.stack([side * out, down], 1)
    return flow / np.linalg.norm(flow, axis=1, keepdims=True)


def _strands(
    sheet: Sheet,
    face: FaceMap,
    density: np.ndarray,
    beard: Beard,
    tones: np.ndarray,
    noise: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw strands: their tone, [h, w], and where they are, [h, w] in [0, 1]."""
    mm = sheet.millimetre
    area = float(density.sum()) / mm**2
    each = min(1.4, 0.75 * (mm / sheet.fine) ** 2)  # no more than the frame can show
    count = int(np.clip(area * each * (1 + 1.5 * (beard.length < 4)), 0, 9000))
    thick = max(1, round(min(0.5 * sheet.fine, 0.35 * mm)))
    tone = np.full(sheet.shape, LEVEL, np.uint8)
    cover = np.zeros(sheet.shape, np.uint8)
    weights = density.ravel().astype(np.float64)
    if count < 5 or weights.sum() <= 0:
        return tone.astype(np.float32) / LEVEL, cover.astype(np.float32)
    total = np.cumsum(weights)
    roots = np.searchsorted(total, noise.random(count) * total[-1])
    rows, columns = np.divmod(roots, sheet.shape[1])
    grows = density.ravel()[roots]
    flow = _flow(face.x.ravel()[roots], face.y.ravel()[roots])
    flow = flow @ sheet.head.turn[:2, :2].T * (1, -1)  # to the sheet: turned like the head
    angle = np.arctan2(flow[:, 1], flow[:, 0]) + 0.26 * noise.standard_normal(count)
    bend = 0.22 * noise.standard_normal(count)
    length = beard.length * mm * (0.45 + 0.55 * grows) * noise.uniform(0.6, 1.25, count)
    steps = 4
    at = np.stack([columns, rows], 1) + noise.uniform(-0.5, 0.5, (count, 2))
    lines = [at]
    for _ in range(steps):
        at = at + np.stack([np.cos(angle), np.sin(angle)], 1) * (length / steps)[:, None]
        angle = angle + bend
        lines.append(at)
    paths = np.round(np.stack(lines, 1) * 2**SUBPIXEL).astype(np.int32)
    lock = (_mottle(noise, sheet, 3.2) + 0.7 * _mottle(noise, sheet, 1.4)).ravel()[roots]
    which = noise.standard_normal(count) * 0.9 + 1.0 * lock + (TONES - 1) / 2
    which = np.clip(which.round(), 0, TONES - 1)
    order = np.argsort(-rows, kind="stable")
    for chunk in np.array_split(order, CHUNKS):
        for i in range(TONES):
            value = int(np.clip(LEVEL * tones[i] / tones.mean(), 0, 255))
            _lines(tone, paths[chunk[which[chunk] == i]], value, thick)
    sure = np.clip(grows * 3, 0, 2).astype(int)
    for i, value in enumerate(FAINT):  # the faint ones of the edge first
        _lines(cover, paths[sure == i], value, thick)
    return tone.astype(np.float32) / LEVEL, cover.astype(np.float32) / 255


def _lines(canvas: np.ndarray, paths: np.ndarray, value: int, thick: int) -> None:
    """Draw lines [k, points, 2], in fractions of a pixel, on a canvas [h, w] uint8."""
    if len(paths):
        cv2.polylines(canvas, list(paths), False, value, thick, cv2.LINE_AA, SUBPIXEL)


def _allowed(photo: View, sheet: Sheet, face: FaceMap) -> np.ndarray:
    """Return where hair may grow: not on lips, nose and mouth, nor where hair or hands lie."""
    lips = sheet.take(photo.region("lips", "mouth"))
    ring = [photo.point(name) for name in LIP_RING]
    if all(place is not None for place in ring):
        lips = sheet.filled(sheet.to_sheet(np.array(ring)))
    lips = sheet.blurred(cv2.dilate(lips, np.ones((3, 3))), 0.7)
    free = 1 - smooth_step(0.15, 0.6, lips)
    nose = sheet.take(photo.region("nose")) * (face.y > NOSE + 1)
    free = free * (1 - smooth_step(0.4, 0.8, nose))
    covered = sheet.take(photo.region("hair", "cloth", "hat", "background"))
    return free * (1 - smooth_step(0.4, 0.8, covered) * (face.y > -116))


def _mottle(noise: np.random.Generator, sheet: Sheet, size: float) -> np.ndarray:
    h, w = sheet.shape
    step = max(1, int(size * sheet.millimetre))
    small = noise.standard_normal((h // step + 2, w // step + 2)).astype(np.float32)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC)


def _outline(photo: View) -> np.ndarray:
    """Return the points of the jaw's outline that are known, [k, 2]."""
    places = [photo.point(f"{side}_outline_{i}") for side in ("left", "right") for i in range(8)]
    return np.array([place for place in places if place is not None])


def _mean(photo: View, *names: str) -> np.ndarray | None:
    places = [photo.point(name) for name in names]
    known = [place for place in places if place is not None]
    return np.mean(known, axis=0) if known else None


def hair_colour(photo: View, head: Head) -> np.ndarray:
    """Return the linear colour of the photograph's own beard, else of its hair or its brows, [3].

    Only hair beside the skull counts, and only hues that hair has.
    """
    _, inside = head.meet(photo.shape, SKULL_CENTRE, SKULL_AXES)
    near = np.abs(inside) < 0.35
    colour = np.array([0.03, 0.02, 0.015])
    for where, share, enough in (
        (photo.region("beard") > 0.7, 70, 0.4 * ENOUGH),
        ((photo.region("hair") > 0.7) & near, 50, ENOUGH),
        (photo.region("brows") > 0.8, 15, 40.0),  # brows let skin through
    ):
        if where.sum() * head.scale**-2 > enough:
            colour = np.percentile(linear(photo.image[where]), share, axis=0)
            break
    lab = cv2.cvtColor(display(colour)[None, None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = np.clip(lab, [8, -1, 1], [92, 26, 42]).astype(np.float32)
    return linear(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)[0, 0] * 255)


SURE = 0.7  # how likely the reader must find another beard
ENOUGH = 600.0  # mm^2 of hair tell its colour
ZONES = {  # mm of the average face: least and most |x|, least and most y
    "cheeks": (36, 56, -92, -64),
    "chin": (0, 15, -109, -90),
    "lip": (3, 25, -57, -50),
}
OWN = 0.5  # of a zone is beard in the photograph: it has what would grow there
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {  # trait of the drawn face, where it grows
    "full": ("beard: full", ("cheeks", "chin", "lip")),
    "goatee": ("beard: goatee", ("chin", "lip")),
    "moustache": ("moustache", ("lip",)),
    "stubble": ("beard: stubble", ("cheeks", "chin", "lip")),
}
SHOWN = 0.3  # of a trait: the drawn face has it, if faintly
MOVED = 0.03  # of a trait: the edit moves towards it


def moved_towards(before: View, after: View, trait: str) -> bool:
    """Return whether an edit moves a drawn face towards a trait in [0, 1], or it has it."""
    now, then = after.traits.get(trait), before.traits.get(trait)
    if now is None or then is None:
        return False
    return now > SHOWN or now > then + MOVED


def read_beard(
    photo: View, before: View, after: View, heads: tuple[Head, Head, Head]
) -> Beard | Layers | None:
    """Return what the edit makes grow, None where that is nothing.

    Args:
        photo: The photograph; what it has already does not grow again.
        before: The drawn face before the edit.
        after: The drawn face after it.
        heads: The views of their heads, in this order.
    """
    own, had, has = (grown_parts(*pair) for pair in zip((photo, before, after), heads, strict=True))
    kinds = after.asked.wants("beard") & set(KINDS)
    asked = {zone for kind in kinds for zone in KINDS[kind][1]}
    if asked:
        shown = max(has[zone] for zone in asked) > 0.4
        if not shown and not any(moved_towards(before, after, KINDS[kind][0]) for kind in kinds):
            return Layers(notes=("The drawn face shows no hair there, so none was drawn.",))
    else:
        asked = {zone for zone in ZONES if has[zone] > 0.4 and has[zone] > had[zone] + 0.25}
        told = after.choice("beard"), before.choice("beard")
        if all(choice is not None for choice in told):
            (now, sure), (then, _) = told  # type: ignore[misc]
            doubtful = now == then or sure < SURE
            if doubtful and not ("lip" in asked and "chin" not in asked):
                return None  # the reader has no word for moustaches
    bearded = own["cheeks"] > OWN and "cheeks" not in asked  # no goatee on top of a full beard
    grows = {zone: float(zone in asked and own[zone] < OWN and not bearded) for zone in ZONES}
    if not any(grows.values()):
        return None
    where = after.region("beard") > 0.6
    skin = after.region("skin") > 0.7
    faint = False
    if where.any() and skin.any():
        seen = [float(np.median(linear(after.image[mask]).mean(1))) for mask in (where, skin)]
        faint = seen[0] > 0.6 * seen[1]
    faint = kinds == {"stubble"} or (faint and not kinds)
    return Beard(
        cheeks=grows["cheeks"],
        chin=max(grows["chin"], grows["cheeks"]),
        lip=grows["lip"],
        length=2.0 if faint else (9.0 if grows["cheeks"] else 7.5),
        colour=hair_colour(photo, heads[0]),
    )


def grown_parts(view: View, head: Head) -> dict[str, float]:
    """Return how much of each zone of a face is beard, by the zone's name, 0..1."""
    step = max(1, int(2 * head.scale))
    beard = view.region("beard")[::step, ::step]
    small = Head(head.turn, head.scale / step, head.origin / step, head.size)
    hit, inside = small.meet(beard.shape, FACE_CENTRE, FACE_AXES)
    x, y = np.abs(hit[..., 0]), hit[..., 1]
    found = {}
    for name, (x0, x1, y0, y1) in ZONES.items():
        zone = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1) & (inside > 0)
        found[name] = float(beard[zone].mean()) if zone.any() else 0.0
    return found
