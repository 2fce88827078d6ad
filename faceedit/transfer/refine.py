"""Landmarks of a photograph drawn to the edges that they mean: of the lids, and between the lips.

A network finds a face's points to within a few hundredths of the distance of the eyes; a lid that
closes needs its edge to the pixel. Along each curve the best path through the picture is found by
dynamic programming (Amini et al., IEEE PAMI 12(9), 1990), near where the network says it is.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceedit.transfer.movement import SAMPLES, by_column
from faceedit.transfer.points import SIDES, Curves, inverse, moved, own_frame, upright
from faceedit.transfer.view import View

REACH = 0.075  # how far an edge may lie from where the network says (unit: eye distance)
OFFSETS = np.linspace(-REACH, REACH, 23)
BAND = np.linspace(0.008, 0.045, 5)  # beside an edge, where its two sides are compared
AWAY = np.linspace(-0.02, 0.11, 14)  # how far outward an eye's corner may lie from there
TRUST = 1.1  # in the network's own place: the larger, the nearer to it an edge must be
STIFF = 0.05  # cost of a bend
OPEN = 0.2  # share of the mouth's region between the lips from which a mouth is open
EDGES, TOOTH = ("upper", "lower"), 1.4  # teeth are so much brighter in blue than the lips
PARTED = 0.085  # gap between the lips that the network finds in open mouths only


def refined(view: View, curves: Curves) -> dict[str, np.ndarray]:
    """Return curves in px of the frame with the lids and the line of the lips drawn to edges.

    Args:
        view: The photograph.
        curves: Of its face, px of the frame.
    """
    to_own = upright(curves)
    back = inverse(to_own)
    face = own_frame(curves)
    found = dict(face)
    for side in SIDES:
        found |= _lids(view, face, back, side)
    found |= _lips(view, face, back)
    return {name: moved(back, curve) for name, curve in found.items()}


def _lids(view: View, face: Curves, back: np.ndarray, side: str) -> dict[str, np.ndarray]:
    """Return both lids of an eye at SAMPLES columns: skin lies outside of them, none inside."""
    names = f"upper_lid_{side}", f"lower_lid_{side}"
    face = dict(face) | _corners(view, face, back, side)
    upper, lower = (by_column(face[name]) for name in names)
    low = np.interp(upper[:, 0], lower[:, 0], lower[:, 1])
    skin = np.median(_read(view, np.stack([upper[:, 0], low + 0.16], 1), back), 0)
    bow = np.sin(np.linspace(0, np.pi, SAMPLES))  # the corners stay
    result = {}
    for name, edge, inside in ((names[0], upper[:, 1], 1.0), (names[1], low, -1.0)):
        at = edge[:, None] + OFFSETS * bow[:, None]
        contrast = np.zeros_like(at)
        for away in BAND:
            for sign in (1.0, -1.0):
                place = np.stack([np.broadcast_to(upper[:, :1], at.shape), at + sign * away], -1)
                unlike = _unlike(_read(view, place, back), skin)
                contrast += unlike * (sign * inside) / len(BAND)
        cost = -contrast + TRUST * (OFFSETS / REACH) ** 2 * 0.4
        path = _cheapest(cost)
        result[name] = np.stack([upper[:, 0], edge + OFFSETS[path] * bow], 1)
        result[name][:, 1] = _smoothed(result[name][:, 1])
    return result


def _corners(view: View, face: Curves, back: np.ndarray, side: str) -> dict[str, np.ndarray]:
    """Return the lids of an eye with their ends where skin begins beside the eye."""
    names = f"upper_lid_{side}", f"lower_lid_{side}"
    upper, lower = (face[name].copy() for name in names)
    middle = (upper[len(upper) // 2] + lower[len(lower) // 2]) / 2
    skin = np.median(
        _read(view, middle + np.array([[-0.1, 0.2], [0.0, 0.22], [0.1, 0.2]]), back), 0
    )
    across = np.array([[0.0, -0.012], [0.0, 0.0], [0.0, 0.012]])
    for end in (0, -1):
        axis = upper[end] - upper[-1 - end]
        axis = axis / np.hypot(*axis)
        contrast = np.zeros(len(AWAY))
        for near in BAND:
            for sign in (-1.0, 1.0):
                at = upper[end] + (AWAY + sign * near)[:, None] * axis
                unlike = _unlike(_read(view, at[:, None] + across, back), skin)
                contrast -= sign * unlike.mean(1) / len(BAND)
        best = AWAY[np.argmax(contrast - 0.2 * (AWAY / REACH) ** 2)]
        upper[end] = upper[end] + best * axis
        lower[end] = upper[end]
    return {names[0]: upper, names[1]: lower}


def _lips(view: View, face: Curves, back: np.ndarray) -> dict[str, np.ndarray]:
    """Return the inner lines of the lips; of a closed mouth both are the dark line between them."""
    top, bottom = by_column(face["inner_upper_lip"]), by_column(face["inner_lower_lip"])
    middle = (top + bottom) / 2
    if float((bottom - top)[SAMPLES // 3 : -SAMPLES // 3, 1].mean()) > PARTED:
        return {}
    if _shows_teeth(view, face, middle, back):
        return {}
    if "mouth" in view.regions and _share_open(view, middle, back) > OPEN:
        return {}
    bow = np.sin(np.linspace(0, np.pi, SAMPLES)) ** 0.5
    at = middle[:, 1:] + OFFSETS * bow[:, None]
    place = np.stack([np.broadcast_to(middle[:, :1], at.shape), at], -1)
    dark = np.log(_read(view, place, back).mean(-1) + 8)
    dark = (dark - dark.min(1, keepdims=True)) / (np.ptp(dark, axis=1)[:, None] + 0.1)
    path = _cheapest(dark + TRUST * 0.5 * (OFFSETS / REACH) ** 2)
    line = np.stack([middle[:, 0], _smoothed(middle[:, 1] + OFFSETS[path] * bow)], 1)
    return {"inner_upper_lip": line, "inner_lower_lip": line}


def _shows_teeth(view: View, face: Curves, middle: np.ndarray, back: np.ndarray) -> bool:
    """Return whether teeth are seen between the lips: their least channel outshines the lips'."""
    part = slice(SAMPLES // 3, -SAMPLES // 3)
    line = middle[part, None] + np.linspace(-0.02, 0.02, 5)[:, None] * np.array([0.0, 1.0])
    between = np.median(_read(view, line, back).min(-1).max(1))
    lips = [(by_column(face[f"outer_{lip}_lip"])[part] + middle[part]) / 2 for lip in EDGES]
    around = np.median(_read(view, np.concatenate(lips), back).min(-1))
    return bool(between > TOOTH * around + 8)


def _share_open(view: View, middle: np.ndarray, back: np.ndarray) -> float:
    """Return how likely the middle of the line between the lips shows the mouth's inside."""
    x, y = moved(back, middle[SAMPLES // 4 : -SAMPLES // 4]).T.round().astype(int)
    height, width = view.shape
    inside = view.regions["mouth"][np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return float(inside.mean())


def _read(view: View, at: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return the picture at places of the own frame [..., 2], [..., 3]."""
    place = moved(back, at).astype(np.float32).reshape(-1, 1, 2)
    border = cv2.BORDER_REPLICATE
    x, y = place[..., 0], place[..., 1]
    seen = cv2.remap(view.image, x, y, cv2.INTER_LINEAR, borderMode=border)
    return seen.reshape(*at.shape[:-1], 3)


def _unlike(colour: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Return how little a colour is like skin, 0 to 1: brighter, darker, less red."""
    off = np.log(colour + 8) - np.log(skin + 8)
    light = np.abs(off.mean(-1))
    red = np.clip(off[..., 1] - off[..., 0], -0.1, 1)  # the white of an eye has more green
    return np.clip(0.8 * light + 2.0 * red, 0, 1)


def _cheapest(cost: np.ndarray) -> np.ndarray:
    """Return the path of least cost through [steps, choices], one choice a step."""
    steps, choices = cost.shape
    bend = STIFF * np.abs(np.arange(choices)[:, None] - np.arange(choices))
    total, came = cost[0].copy(), np.zeros((steps, choices), int)
    for i in range(1, steps):
        ways = total[:, None] + bend
        came[i] = ways.argmin(0)
        total = ways.min(0) + cost[i]
    path = [int(total.argmin())]
    for i in range(steps - 1, 0, -1):
        path.append(int(came[i, path[-1]]))
    return np.array(path[::-1])


def _smoothed(line: np.ndarray) -> np.ndarray:
    """Return heights without the steps of the offsets; the ends stay."""
    soft = np.convolve(np.pad(line, 2, "reflect", reflect_type="odd"), np.ones(5) / 5, "valid")
    soft[[0, -1]] = line[[0, -1]]
    return soft
