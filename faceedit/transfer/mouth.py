"""The inside of a mouth that opened: drawn at the photograph's resolution, in its light.

The drawn pair is far too coarse to be laid into a photograph, so only two facts come from it: how
far the mouth is open (`movement`) and how much of the opening shows teeth. The rest is anatomy:
teeth have the size that the distance of the eyes gives them, hang from the skull, round off at
their edges and lie in the shade of the lip; behind them it is dark, below lies the tongue.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.transfer.points import SIDES, Curves
from faceedit.transfer.view import View

EYE_DISTANCE = 63.0  # mm between the pupils of an adult, mean (Dodgson, SPIE 5291, 2004)
# Where one tooth of the upper row ends and the next begins, seen from the front, mm from the
# middle: central and lateral incisor, canine, premolars, molars that turn away.
TOOTH_ENDS = 1.12 * np.array([0.0, 8.4, 14.8, 21.4, 26.2, 30.2, 33.6, 37.0])
TOOTH_LENGTHS = np.array([1.0, 0.91, 0.97, 0.88, 0.82, 0.76, 0.7, 0.7])  # of the first one's
TOOTH_TINTS = np.array([1.0, 0.985, 0.95, 0.95, 0.92, 0.9, 0.88, 0.86])
LONGEST_TOOTH = 9.6  # mm that a laugh shows at most
ENAMEL = np.array([1.10, 1.055, 0.99])  # colour relative to the white of the eye
CAVITY = np.array([0.21, 0.075, 0.07])  # relative to white
TONGUE = np.array([0.56, 0.25, 0.245])
DRAWN_SHORT = 2.0  # a drawn mouth shows so much less of its teeth than a real one that opens as far
MOST_TEETH = 0.74  # of an opening
BRIGHT = 0.55  # a pixel of the drawn mouth is tooth above this share of its brightest


@dataclass(frozen=True, eq=False)
class Light:
    """How bright and which colour white is in a photograph's face."""

    white: np.ndarray  # [3], RGB in [0, 255]
    slope: float  # relative change of brightness per unit to the right


def read_light(view: View, face: Curves, to_pixels: np.ndarray) -> Light:
    """Read the light from the whites of the eyes and the skin beside the mouth.

    Args:
        view: The photograph.
        face: Its curves in the own frame.
        to_pixels: From the own frame to px of the frame, [2, 3].
    """
    whites = np.concatenate([_white_pixels(view, face, to_pixels, side) for side in SIDES])
    skin = {
        name: _patch(view, to_pixels, at)
        for name, at in (
            ("left", face["outer_upper_lip"][0] + (-0.12, -0.05)),
            ("right", face["outer_upper_lip"][-1] + (0.12, -0.05)),
            ("chin", face["outer_lower_lip"].mean(0) + np.array((0.0, 0.14))),
            ("left_eye", face["lower_lid_left"].mean(0) + np.array((0.0, 0.20))),
            ("right_eye", face["lower_lid_right"].mean(0) + np.array((0.0, 0.20))),
        )
    }
    mouth = np.mean([skin[name].mean() for name in ("left", "right", "chin")])
    eyes = np.mean([skin[name].mean() for name in ("left_eye", "right_eye")])
    cheek = np.mean([skin[name] for name in ("left_eye", "right_eye")], 0)
    if len(whites) < 4:
        white = cheek / max(cheek.max(), 1.0)
        brightness = 1.2 * cheek.max()
    else:
        bright = whites.mean(1)
        white = whites[bright >= np.percentile(bright, 75)].mean(0)
        brightness = max(1.35 * white.max(), 1.2 * cheek.max())
        white = (white / max(white.max(), 1.0) + 2) / 3  # a third of the tint is the eye's own
    white = white / white.max() * np.clip(brightness, 160, 248)
    white = white * np.clip(mouth / max(eyes, 1.0), 0.8, 1.1)
    left, right = skin["left"].mean(), skin["right"].mean()
    slope = (
        (right - left)
        / max(right + left, 1.0)
        * 2
        / max(np.ptp(face["outer_upper_lip"][:, 0]), 0.1)
    )
    return Light(white, float(np.clip(slope, -0.5, 0.5)))


def _white_pixels(view: View, face: Curves, to_pixels: np.ndarray, side: str) -> np.ndarray:
    """Return pixels between the lids beside the iris, [n, 3]."""
    lids = np.concatenate([face[f"upper_lid_{side}"], face[f"lower_lid_{side}"][::-1]])
    iris = face["irises"][SIDES.index(side)]
    eye = np.zeros(view.shape, np.uint8)
    corners = lids @ to_pixels[:, :2].T + to_pixels[:, 2]
    cv2.fillPoly(eye, [np.round(corners).astype(np.int32)], 1)
    scale = float(np.hypot(*to_pixels[:, 0]))
    centre = iris @ to_pixels[:, :2].T + to_pixels[:, 2]
    cv2.circle(
        eye, tuple(np.round(centre).astype(int).tolist()), max(2, round(0.105 * scale)), 0, -1
    )
    return view.image[cv2.erode(eye, np.ones((2, 2), np.uint8)) > 0]


def _patch(view: View, to_pixels: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the median colour of a small square, [3]."""
    x, y = at @ to_pixels[:, :2].T + to_pixels[:, 2]
    reach = max(2, round(0.05 * float(np.hypot(*to_pixels[:, 0]))))
    height, width = view.shape
    x = int(np.clip(round(x), reach, width - 1 - reach))
    y = int(np.clip(round(y), reach, height - 1 - reach))
    return np.median(view.image[y - reach : y + reach + 1, x - reach : x + reach + 1], (0, 1))


def tooth_share(after: View, curves: Curves) -> float:
    """Return how much of the height of an open drawn mouth shows teeth, in [0, 1].

    Args:
        after: The drawn face.
        curves: Its curves in px of the frame.
    """
    top, bottom = curves["inner_upper_lip"], curves["inner_lower_lip"]
    middle = (top[0, 0] + top[-1, 0]) / 2 + np.ptp(top[:, 0]) * np.linspace(-0.2, 0.2, 9)
    high = np.interp(middle, top[:, 0], top[:, 1])
    low = np.interp(middle, bottom[:, 0], bottom[:, 1])
    rows = high + (low - high) * np.linspace(0.02, 0.98, 25)[:, None]
    x = np.broadcast_to(middle, rows.shape)
    seen = cv2.remap(after.image, x.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)
    plain = seen.min(2)  # teeth are white: their least channel is bright; lips and tongue are red
    return float((plain > max(BRIGHT * plain.max(), 70)).mean()) if plain.max() > 90 else 0.0


def draw_inside(
    at: np.ndarray, lips: Curves, teeth: float, light: Light, pixel: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the inside of an open mouth.

    Args:
        at: Places in the own frame, [h, w, 2].
        lips: The new lines of the lips there.
        teeth: Share of the opening that shows teeth.
        light: Of the photograph.
        pixel: Size of one pixel in the own frame's unit.

    Returns:
        Colours [h, w, 3] in [0, 255], and how much of them is seen [h, w].
    """
    x, y = at[..., 0], at[..., 1]
    top, bottom = lips["inner_upper_lip"], lips["inner_lower_lip"]
    high, low = (np.interp(x, line[:, 0], line[:, 1]) for line in (top, bottom))
    inside = (x > top[0, 0]) & (x < top[-1, 0])
    gap = np.where(inside, np.maximum(low - high, 0), 0)
    soft = 1.2 * pixel
    alpha = np.clip((y - high) / soft + 0.5, 0, 1) * np.clip((low - y) / soft + 0.5, 0, 1)
    alpha = alpha * np.clip(gap / (2 * pixel), 0, 1)
    centre, half = (top[0, 0] + top[-1, 0]) / 2, np.ptp(top[:, 0]) / 2
    across = (x - centre) / half
    down = (y - high) / np.maximum(gap, 1e-3)
    colour = _behind(across, down)
    row, seen = _teeth(
        x - centre, y - high, across, float(gap.max()) * min(teeth * DRAWN_SHORT, MOST_TEETH), pixel
    )
    colour = colour + (row - colour) * seen[..., None]
    lit = 1 + light.slope * (x - centre)
    return np.clip(colour * light.white * lit[..., None], 0, 255).astype(np.float32), alpha


def _behind(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return the dark of the mouth with the tongue in it, relative to white, [h, w, 3]."""
    depth = 0.5 + 0.5 * np.clip(down, 0, 1) ** 2
    dark = CAVITY * depth[..., None]
    edge = 0.52 + 0.42 * across**2
    tongue = _ease((down - edge) / 0.30) * _ease((0.85 - np.abs(across)) / 0.3)
    groove = 0.12 * np.exp(-((across / 0.08) ** 2))
    shade = 0.42 + 0.30 * np.clip((down - edge) / 0.4, 0, 1) - groove
    return dark + (TONGUE * shade[..., None] - dark) * tongue[..., None]


def _teeth(
    x: np.ndarray, below: np.ndarray, across: np.ndarray, length: float, pixel: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper row relative to white, [h, w, 3], and how much of it is seen, [h, w].

    Args:
        x: Distance from the middle to the right, in eye distances; [h, w], like the next two.
        below: Distance below the upper lip.
        across: x over half of the mouth's width.
        length: How much of the teeth the lip leaves free, in eye distances.
        pixel: Size of a pixel.
    """
    mm = EYE_DISTANCE
    shown = min(length * mm, LONGEST_TOOTH)
    if shown < 0.6:
        return np.zeros((*x.shape, 3)), np.zeros(x.shape)
    away, depth, px = np.abs(x) * mm, below * mm, pixel * mm
    tooth = np.clip(np.searchsorted(TOOTH_ENDS, away, side="right") - 1, 0, len(TOOTH_ENDS) - 2)
    start, end = TOOTH_ENDS[tooth], TOOTH_ENDS[tooth + 1]
    f = np.clip((away - start) / (end - start), 0, 1) * 2 - 1  # across one tooth
    lengths = shown * TOOTH_LENGTHS[tooth] * (1 - 0.22 * across**2)
    edge = lengths - 0.09 * shown * np.abs(f) ** 3.5
    seen = np.clip((edge - depth) / max(px * 1.3, 0.45) + 0.5, 0, 1)
    gaps = np.minimum(away - start, end - away)
    gaps = np.where(tooth == 0, np.minimum(np.abs(away), end - away), gaps)
    line = np.exp(-((gaps / max(0.22, 0.55 * px)) ** 2)) * min(1.0, 0.30 / max(px, 0.3) + 0.1)
    lip_shade = 0.66 + 0.34 * _ease(depth / (0.25 * shown + 0.6))
    tip = 1 - 0.10 * _ease(1 - (edge - depth) / 1.6)  # thin enamel lets the dark through
    corner = 1 - 0.62 * np.clip(np.abs(across), 0, 1) ** 2.6
    round_off = 1 - 0.13 * f**2
    wobble = 1 + 0.02 * np.sin(tooth * 2.4 + np.sign(x))
    tone = TOOTH_TINTS[tooth] * lip_shade * tip * corner * round_off * wobble * (1 - 0.38 * line)
    yellow = tooth / 3 + _ease(1 - depth / shown)  # towards the molars and the gums
    warm = 1 - np.array([0.0, 0.012, 0.045]) * yellow[..., None]
    return ENAMEL * tone[..., None] * warm, seen


def _ease(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
