"""What moved between two drawn faces, and where the photograph's own face goes for it.

The drawn face is another person than the photograph, so places are not carried, but states: how
far the mouth is open, how high its corners are, what share of the eye is closed. A state is read
in the face's own frame (`points.upright`; the distance of the eyes is the unit), and what is
within the landmarks' own noise counts as no movement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from faceedit.transfer.asked import ANYTHING, Asked
from faceedit.transfer.points import SIDES, Curves, dense

Traits = Mapping[str, float]

SAMPLES = 21  # of a lip or a lid
LIPS = ("outer_upper_lip", "inner_upper_lip", "inner_lower_lip", "outer_lower_lip")

# Below the first value a change is noise, above the second all of it counts (unit: eye distance;
# of the eyes: the ratio of their openness).
GAP, LIFT, WIDTH, SHIFT = (0.05, 0.09), (0.035, 0.06), (0.05, 0.10), (0.03, 0.06)
BROW, NOSE, OUTLINE, LID = (0.018, 0.04), (0.04, 0.08), (0.06, 0.12), (0.10, 0.20)
LARGEST_GAP, LARGEST_LIFT, LARGEST_NARROWING, LARGEST_WIDENING = 0.27, 0.15, 0.15, 0.14
LARGEST_BROW, LARGEST_SHIFT, LARGEST_OUTLINE, WIDEST_EYE = 0.12, 0.05, 0.14, 1.35
STATE_SHARE = 0.7  # of the difference between the drawn and the real face's state that is made up
AWAY = 0.3  # of a movement that leads away from the state that the drawn face ends in
PULL = 0.6  # outward per upward: the muscle that lifts a corner pulls it sideways, too
JAW = 0.6  # the chin goes down with the lower lip by this share
UPPER_SHARE = 0.12  # of an opening that the upper lip makes; the jaw makes the rest
# A drawn mouth's state over what the base's reader says of it, fitted to pairs with landmarks.
OPENS, CLOSED, LIFTS, LIFT_AT_REST = 0.5, 0.12, 0.14, 0.02
SHUTS = 0.8  # share of the openness that is left, by the reader, below which eyes are closing
SMILE_LIFT, LAUGH_GAP = 0.12, 0.2  # states that a sentence asks for (unit: eye distance)
SHOWS_SMILE, SHOWS_OPEN, NEARLY_SHUT = 0.2, 0.3, 0.45  # what the reader says of drawn ones
SHOWS_FROWN, FROWN_DROP = -0.3, 0.09  # the same of a frown, and how far its corners hang
KNIT = np.array([0.045, 0.035])  # of the brows' inner ends in a frown: inward, down
SMILES = 0.03  # lift of the corners above which a mouth smiles, below minus this it frowns


@dataclass(frozen=True)
class Mouth:
    """The state of a mouth in the face's own frame."""

    left: np.ndarray  # corner at the picture's left, (x, y)
    right: np.ndarray
    middle: float  # height of the line between the lips, y
    gap: float
    upper: float  # thickness of the upper lip
    lower: float

    @property
    def width(self) -> float:
        """Distance between the corners."""
        return float(self.right[0] - self.left[0])

    @property
    def lift(self) -> np.ndarray:
        """How far the corners, left and right, lie above the middle, [2]; negative in a frown."""
        return self.middle - np.array([self.left[1], self.right[1]])


@dataclass(frozen=True)
class MouthChange:
    """By how much a mouth changes; see `Mouth`."""

    lift: np.ndarray  # [2]
    gap: float = 0.0
    width: float = 0.0
    shift: float = 0.0  # of the whole mouth, down
    upper: float = 1.0  # factor of thickness
    lower: float = 1.0

    @property
    def still(self) -> bool:
        """Whether nothing moves."""
        values = (*self.lift, self.gap, self.width, self.shift, self.upper - 1, self.lower - 1)
        return max(abs(value) for value in values) < 1e-3


@dataclass(frozen=True)
class Movement:
    """What a face's parts do, in the photograph's own frame."""

    mouth: MouthChange
    lids: dict[str, float] = field(default_factory=dict)  # side -> factor of the eye's openness
    shifts: dict[str, np.ndarray] = field(default_factory=dict)  # curve -> movement [k, 2]

    @property
    def still(self) -> bool:
        """Whether nothing moves."""
        lids_still = all(abs(factor - 1) < 1e-3 for factor in self.lids.values())
        return self.mouth.still and lids_still and not self.shifts


def find_movement(
    photo: Curves,
    before: Curves,
    after: Curves,
    hidden: frozenset[str] = frozenset(),
    told: tuple[Traits, Traits] = ({}, {}),
    asked: Asked = ANYTHING,
) -> Movement:
    """Return what the photograph's face does for what the drawn one did, all in own frames.

    Args:
        photo: Curves of the photograph's face.
        before: Of the drawn face.
        after: Of the drawn face after the edit.
        hidden: Parts that are out of view in one of the pictures and stay as they are: "mouth",
            "eyes", "brows", "nose", "outline".
        told: What the base's reader says of both drawn faces; it sees smaller changes than
            landmarks do. Empty where there is no reader.
        asked: What the sentence names.
    """
    mouth, lids = MouthChange(np.zeros(2)), dict.fromkeys(SIDES, 1.0)
    shifts: dict[str, np.ndarray] = {}
    if "mouth" not in hidden:
        pair = (told_mouth(read_mouth(f), t) for f, t in zip((before, after), told, strict=True))
        mouth = mouth_change(read_mouth(photo), *pair)
        mouth = _asked_mouth(mouth, read_mouth(photo), told[1], asked)
    if "eyes" not in hidden:
        lids = lid_changes(before, after, told)
        shut = asked.reaches("eyes", "closed") * (told[1].get("eye_open", 1.0) < NEARLY_SHUT)
        lids = {side: min(factor, 1 - shut) for side, factor in lids.items()}
    if "brows" not in hidden:
        shifts |= _brow_shifts(before, after)
        frowns = asked.reaches("mouth", "frowning") * (told[1].get("smile", 0.0) < SHOWS_FROWN)
        if frowns > 0:
            shifts |= _knit(photo, shifts, frowns)
    for name, noise, largest in (("nose", NOSE, 0.1), ("outline", OUTLINE, LARGEST_OUTLINE)):
        if name not in hidden:
            shifts |= _symmetric_shift(name, before, after, noise, largest)
    return Movement(mouth, lids, shifts)


def read_mouth(face: Curves) -> Mouth:
    """Read a mouth off curves in the face's own frame."""
    line = unchanged_lips(face)
    centre = slice(SAMPLES * 3 // 10, SAMPLES - SAMPLES * 3 // 10)
    height = {name: float(curve[centre, 1].mean()) for name, curve in line.items()}
    top, bottom = height["inner_upper_lip"], height["inner_lower_lip"]
    return Mouth(
        left=face["outer_upper_lip"][0],
        right=face["outer_upper_lip"][-1],
        middle=0.7 * top + 0.3 * bottom,
        gap=max(bottom - top, 0.0),
        upper=max(top - height["outer_upper_lip"], 0.01),
        lower=max(height["outer_lower_lip"] - bottom, 0.01),
    )


def mouth_change(photo: Mouth, before: Mouth, after: Mouth) -> MouthChange:
    """Return what the photograph's mouth does for what the drawn one did.

    The difference within the pair counts, and, where the drawn face was further on the way than
    the real one (it smiled already, the photograph does not), most of that distance, too.
    """
    lift, gap = after.lift - before.lift, after.gap - before.gap
    width = after.width - before.width
    meant = max(counts(lift.mean(), LIFT), counts(gap, GAP), counts(width, WIDTH))
    if meant == 0:
        return MouthChange(np.zeros(2))
    way = float(np.sign(after.lift.mean())) if abs(after.lift.mean()) > SMILES else 0.0
    ahead = way * max(way * float((before.lift - photo.lift).mean()), 0.0) * STATE_SHARE
    if way * float(lift.mean()) < -LIFT[0]:
        ahead = 0.0  # a smile that fades was not asked for
    lift = np.where(lift * (after.lift - photo.lift) < 0, AWAY * lift, lift)
    raised = np.asarray(saturated(lift + ahead, LARGEST_LIFT) * meant)
    wider = width + PULL * max(ahead, 0.0)
    limit = LARGEST_WIDENING if wider > 0 else LARGEST_NARROWING
    wider = float(saturated(wider, limit)) * max(counts(wider, WIDTH), counts(ahead, LIFT)) * meant
    shift = after.middle - before.middle - (0.3 - UPPER_SHARE) * gap
    return MouthChange(
        lift=raised,
        gap=_gap_change(photo.gap, before.gap, after.gap),
        width=wider,
        shift=float(saturated(shift, LARGEST_SHIFT)) * counts(shift, SHIFT) * meant,
        upper=1 + (float(np.clip(after.upper / before.upper, 0.75, 1.25)) - 1) * meant,
        lower=1 + (float(np.clip(after.lower / before.lower, 0.75, 1.25)) - 1) * meant,
    )


def _asked_mouth(change: MouthChange, photo: Mouth, told: Traits, asked: Asked) -> MouthChange:
    """Return a change that leads at least as far as the sentence says, if the drawn face does."""
    open_enough = told.get("mouth_open", 0.0) > SHOWS_OPEN
    smiles = told.get("smile", 0.0) > SHOWS_SMILE
    laughs = asked.reaches("mouth", "laughing") * (smiles and open_enough)
    opens = max(laughs, asked.reaches("mouth", "open") * open_enough)
    raised = max(laughs, asked.reaches("mouth", "smiling") * smiles)
    lift, gap = change.lift, change.gap
    frowns = asked.reaches("mouth", "frowning") * (told.get("smile", 0.0) < SHOWS_FROWN)
    if frowns > 0:
        most = -frowns * np.clip(photo.lift + FROWN_DROP, 0, LARGEST_LIFT)
        lift, gap = np.minimum(lift, most), min(gap, -frowns * photo.gap)
    if raised > 0:
        least = raised * np.clip(SMILE_LIFT - photo.lift, 0, LARGEST_LIFT)
        lift = np.maximum(lift, least)
    if opens > 0:
        gap = max(gap, opens * (LAUGH_GAP - photo.gap))
    gained = float(lift.mean() - change.lift.mean())
    width = min(change.width + PULL * gained, LARGEST_WIDENING) if gained > 0 else change.width
    return replace(change, lift=lift, gap=gap, width=width)


def _gap_change(photo: float, before: float, after: float) -> float:
    """Return how much further the photograph's mouth opens (negative: closes)."""
    change = after - before
    meant = counts(change, GAP)
    if change >= 0:  # an open mouth opens up to what the drawn one shows, and always a little
        behind = 0.6 * STATE_SHARE * max(before - photo, 0.0)
        wider = min(change + behind, max(after - photo, 0.4 * change))
        return meant * float(saturated(wider, LARGEST_GAP))
    return meant * photo * (max(after - 0.02, 0.0) / max(before, 1e-3) - 1)


def told_mouth(mouth: Mouth, traits: Traits) -> Mouth:
    """Return the state of a drawn mouth as far as the base's reader tells it."""
    if "mouth_open" in traits:
        gap = OPENS * max(traits["mouth_open"] - CLOSED, 0.0)
        mouth = replace(mouth, gap=gap)
    if "smile" in traits:
        lift = LIFT_AT_REST + LIFTS * traits["smile"]
        mouth = replace(
            mouth,
            left=np.array([mouth.left[0], mouth.middle - lift]),
            right=np.array([mouth.right[0], mouth.middle - lift]),
        )
    return mouth


def lid_changes(
    before: Curves, after: Curves, told: tuple[Traits, Traits] = ({}, {})
) -> dict[str, float]:
    """Return by which factor each eye opens (above 1) or closes (0: shut)."""
    factors = {}
    if all("eye_open" in traits for traits in told):
        ratio = told[1]["eye_open"] / max(told[0]["eye_open"], 0.2)
        if ratio < SHUTS:
            return dict.fromkeys(SIDES, 0.0 if ratio < 0.25 else ratio)
    for side in SIDES:
        ratio = openness(after, side) / max(openness(before, side), 0.03)
        factors[side] = 1 + (min(ratio, WIDEST_EYE) - 1) * counts(ratio - 1, LID)
    if abs(factors["left"] - factors["right"]) < 0.35:  # no wink: both do the same
        factors = dict.fromkeys(SIDES, (factors["left"] + factors["right"]) / 2)
    return {side: 0.0 if factor < 0.25 else factor for side, factor in factors.items()}


def openness(face: Curves, side: str) -> float:
    """Return how far an eye is open: mean distance of the lids over the eye's width."""
    upper, lower = face[f"upper_lid_{side}"], face[f"lower_lid_{side}"]
    gap = by_column(lower)[:, 1] - by_column(upper)[:, 1]
    return float(np.maximum(gap, 0).mean() / (np.ptp(upper[:, 0]) + 1e-6))


def _brow_shifts(before: Curves, after: Curves) -> dict[str, np.ndarray]:
    """Return how the brows move: both edges alike, smoothly along the brow."""
    found: dict[str, np.ndarray] = {}
    for side in SIDES:
        edges = [f"brow_{side}", f"brow_lower_{side}"]
        change = np.mean([after[edge] - before[edge] for edge in edges], 0)
        along = np.linspace(-1, 1, len(change))
        change = np.stack([np.polyval(np.polyfit(along, column, 1), along) for column in change.T])
        meant = counts(float(np.hypot(*change.mean(1))), BROW)
        change = np.asarray(saturated(change.T * (0.5, 1.4), LARGEST_BROW))
        if meant:
            found |= dict.fromkeys(edges, change * meant)
    return found


def _knit(face: Curves, shifts: Mapping[str, np.ndarray], amount: float) -> dict[str, np.ndarray]:
    """Return how the brows move that are knit, too: their inner ends come down and together."""
    found: dict[str, np.ndarray] = {}
    for side in SIDES:
        for edge in (f"brow_{side}", f"brow_lower_{side}"):
            inner = np.linspace(0, 1, len(face[edge]))[:: 1 if side == "left" else -1]
            way = KNIT * (1.0 if side == "left" else -1.0, 1.0)
            found[edge] = shifts.get(edge, 0.0) + amount * inner[:, None] ** 1.5 * way
    return found


def _symmetric_shift(
    name: str, before: Curves, after: Curves, noise: tuple[float, float], largest: float
) -> dict[str, np.ndarray]:
    """Return how a curve about the middle of the face moves, left and right alike."""
    change = after[name] - before[name]
    change = (change + change[::-1] * (-1, 1)) / 2
    meant = counts(float(np.hypot(*change.T).max()), noise)
    return {name: np.asarray(saturated(change, largest)) * meant} if meant else {}


def changed_lips(face: Curves, change: MouthChange) -> dict[str, np.ndarray]:
    """Return the four lines of the lips at SAMPLES columns after a change, in the own frame."""
    mouth = read_mouth(face)
    lines = unchanged_lips(face)
    centre = (mouth.left + mouth.right) / 2
    wide = 1 + change.width / mouth.width
    opening = max(change.gap, 0.0)
    closing = max(-change.gap, 0.0) / max(mouth.gap, 1e-6)
    inner_gap = np.maximum(lines["inner_lower_lip"] - lines["inner_upper_lip"], 0)[:, 1]
    result = {}
    for name, line in lines.items():
        x, y = line.T
        u = np.clip((x - centre[0]) / (mouth.width / 2), -1, 1)
        bow = 1 - u * u
        corner = np.where(u < 0, *change.lift)
        upper = "upper" in name
        opens = opening * bow**0.8 * (-UPPER_SHARE if upper else 1 - UPPER_SHARE)
        closes = closing * inner_gap * (0.35 if upper else -0.65)
        thick = 0.0
        if name.startswith("outer"):
            inner = lines[name.replace("outer", "inner")][:, 1]
            thick = (y - inner) * ((change.upper if upper else change.lower) - 1)
        ends = ((0.3 - UPPER_SHARE) * opening - corner) * u * u
        result[name] = np.stack(
            [centre[0] + (x - centre[0]) * wide, y + change.shift + opens + closes + thick + ends],
            axis=1,
        )
    return result


def unchanged_lips(face: Curves) -> dict[str, np.ndarray]:
    """Return the four lines of the lips at SAMPLES columns as they are."""
    return {name: by_column(face[name]) for name in LIPS}


def changed_outline(face: Curves, movement: Movement) -> np.ndarray:
    """Return the outline after a movement: its own change, and the jaw's that opens."""
    outline = face["outline"] + movement.shifts.get("outline", 0.0)
    mouth, chin = read_mouth(face), float(face["outline"][:, 1].max())
    t = np.clip((outline[:, 1] - mouth.middle) / max(chin - mouth.middle, 1e-3), 0, 1)
    down = JAW * (1 - UPPER_SHARE) * movement.mouth.gap * t * t * (3 - 2 * t)
    return outline + np.stack([np.zeros_like(down), down], 1)


def by_column(curve: np.ndarray) -> np.ndarray:
    """Return a curve at SAMPLES evenly spaced columns, [SAMPLES, 2]."""
    fine = dense(curve, 4 * SAMPLES)
    x = np.linspace(curve[0, 0], curve[-1, 0], SAMPLES)
    return np.stack([x, np.interp(x, np.maximum.accumulate(fine[:, 0]), fine[:, 1])], 1)


def counts(change: float, noise: tuple[float, float]) -> float:
    """Return how much of a change is meant, 0 in the noise to 1 well above it."""
    t = float(np.clip((abs(change) - noise[0]) / (noise[1] - noise[0]), 0, 1))
    return t * t * (3 - 2 * t)


def saturated(change: float | np.ndarray, largest: float) -> float | np.ndarray:
    """Return a change that never exceeds `largest` and keeps small ones."""
    return largest * np.tanh(change / largest)
