"""Carry movement: smiles, open and closed mouths and eyes, brows, widths."""

from __future__ import annotations

import numpy as np

from faceedit.transfer.ageing import aged, ageing
from faceedit.transfer.layers import Layers
from faceedit.transfer.lids import lash_gain, lid_cover
from faceedit.transfer.mouth import draw_inside, read_light, tooth_share
from faceedit.transfer.movement import find_movement, read_mouth
from faceedit.transfer.points import Curves, curves_of, inverse, moved, own_frame, seen_of, upright
from faceedit.transfer.refine import refined
from faceedit.transfer.view import View
from faceedit.transfer.warp import Warp, box_around, build_warp, places

OPENS = 0.02  # widening of the gap between the lips from which there is an inside to draw
IN_VIEW = 0.5  # a part whose landmarks are less surely in view stays as it is
PARTS = {
    "mouth": ("inner_upper_lip", "inner_lower_lip"),
    "eyes": ("upper_lid_left", "upper_lid_right"),
    "brows": ("brow_left", "brow_right"),
    "nose": ("nose",),
    "outline": ("outline",),
}
SMILING_TEETH, OTHER_TEETH = 0.26, 0.1  # least share of an opened mouth that shows teeth
SHOWN = 0.04  # a gap that wide shows the photograph's own teeth


def reshape(photo: View, before: View, after: View) -> Layers:
    """Return how the photograph's pixels move for what moved between the drawn faces.

    Args:
        photo: The photograph.
        before: The drawn face that stands for it.
        after: The same face edited.
    """
    if not after.asked.speaks_of("mouth", "eyes", "nose"):
        return Layers()  # hair's colour moves no mouth
    face, drawn, edited = (curves_of(view) for view in (photo, before, after))
    if face is None or drawn is None or edited is None:
        return Layers()
    to_own = upright(face)
    own = {name: moved(to_own, curve) for name, curve in refined(photo, face).items()}
    hidden = _hidden(photo, before, after)
    if not after.asked.speaks_of("mouth"):  # an expression moves all of the face, eyes do not
        hidden |= {"mouth", "outline"}
    told = before.traits, after.traits
    pair = own_frame(drawn), own_frame(edited)
    movement = find_movement(own, *pair, hidden, told, after.asked)
    movement = aged(movement, own, ageing(before, after))
    if movement.still:
        return Layers()
    warp = build_warp(own, movement, to_own)
    covers = [_lid_skin(warp, photo)]
    if movement.mouth.gap > OPENS:
        least = SMILING_TEETH if movement.mouth.lift.mean() >= 0 else OTHER_TEETH
        teeth = max(tooth_share(after, edited), least)
        covers.append(_inside(warp, photo, own, teeth))
    cover, alpha = None, None
    for colour, seen in filter(None, covers):  # they lie beside one another
        cover = colour if cover is None else cover + colour
        alpha = seen if alpha is None else alpha + seen
    return Layers(move=warp.field(photo.shape), gain=_lashes(warp, photo), cover=cover, alpha=alpha)


def _lid_skin(warp: Warp, photo: View) -> tuple[np.ndarray, np.ndarray] | None:
    """Return skin for closing lids that lack it, in the frame; None where nothing is needed."""
    cover, seen = np.zeros((*photo.shape, 3), np.float32), np.zeros(photo.shape, np.float32)
    back = inverse(warp.to_own)
    for lids in warp.lids:
        box = box_around(lids.corners, warp.to_own, photo.shape)
        colour, alpha = lid_cover(lids, places(warp.to_own, box), photo.image, back)
        cover[box] += colour * (alpha > 0)[..., None]
        seen[box] += alpha
    return (cover, seen) if seen.any() else None


def _inside(warp: Warp, photo: View, face: Curves, teeth: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the inside of the opened mouth in the frame, colours and alpha."""
    back = inverse(warp.to_own)
    pixel = photo.pixel / float(np.hypot(*back[:, 0]))
    box = warp.mouth_box(photo.shape)
    at = places(warp.to_own, box)
    colour, alpha = draw_inside(at, warp.lips, teeth, read_light(photo, face, back), pixel)
    cover, seen = np.zeros((*photo.shape, 3), np.float32), np.zeros(photo.shape, np.float32)
    cover[box], seen[box] = colour, alpha * (1 - _own_inside(warp, at, face, pixel))
    return cover, seen


def _own_inside(warp: Warp, at: np.ndarray, face: Curves, pixel: float) -> np.ndarray:
    """Return where the inside of the photograph's own open mouth goes on being seen, [h, w]."""
    if read_mouth(face).gap < SHOWN:
        return np.zeros(at.shape[:2])
    x, y = at[..., 0], at[..., 1]
    top = warp.lips["inner_upper_lip"]
    old_top, old_bottom = warp.old_lips["inner_upper_lip"], warp.old_lips["inner_lower_lip"]
    depth = np.interp(x, top[:, 0], np.maximum(old_bottom - old_top, 0)[:, 1])
    below = y - np.interp(x, top[:, 0], top[:, 1])
    return np.clip((0.88 * depth - below) / (3 * pixel) + 0.5, 0, 1)


def _lashes(warp: Warp, photo: View) -> np.ndarray | None:
    """Return the lashes' shade of closed eyes as a gain in the frame."""
    shut = [lids for lids in warp.lids if lids.shut]
    if not shut:
        return None
    gain = np.ones((*photo.shape, 3), np.float32)
    pixel = photo.pixel * float(np.hypot(*warp.to_own[:, 0]))
    for lids in shut:
        box = box_around(lids.corners, warp.to_own, photo.shape)
        gain[box] *= lash_gain(lids, places(warp.to_own, box), pixel)
    return gain


def _hidden(*views: View) -> frozenset[str]:
    """Return the parts of the face that one of the pictures does not show."""
    return frozenset(
        part
        for part, curves in PARTS.items()
        if min(seen_of(view, *curves) for view in views) < IN_VIEW
    )
