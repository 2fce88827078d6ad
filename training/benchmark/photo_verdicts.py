"""Whether an edit of a photograph is good, by what independent networks see in both.

Runs in the judges' own environment as well, see `photo_judges`, and so imports nothing of this
project. Points are those of MediaPipe's face mesh, colours are CIELAB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

SAME_PERSON, SAME_BEHIND_LENSES = 0.5, 0.6  # distances of dlib's descriptors
DETAIL = (0.7, 1.4)  # fine detail of skin over the photograph's
KEPT = 0.999  # share of the pixels away from the person that may not change by more than a level
AWAY = 0.12  # of the face's height: so far from the person is away from it
PERSON = 0.2  # chance of the person from which a pixel may be one
OLDER = 8.0  # years
LATE = 62.0  # years from which nobody is asked to look older still
STILL_SKIN = 8.0  # CIELAB: cheeks that move by more were painted over

OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375),
    *(291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
)
EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
BROWS = ((70, 63, 105, 66, 107), (300, 293, 334, 296, 336))
CHEEKS = ((50, 205, 187, 123), (280, 425, 411, 352))
CHIN = (
    *(152, 377, 400, 378, 379, 365, 364, 394, 395, 369, 396, 175),
    *(171, 140, 170, 169, 135, 136, 150, 149, 176, 148),
)
IRISES = ((468, 469), (473, 474))  # the middle of each and a point of its edge
TOP, BOTTOM = 10, 152  # of the oval


@dataclass(frozen=True, eq=False)
class Look:
    """What the judges see in a picture.

    Attributes:
        image: [h, w, 3] uint8, RGB.
        points: MediaPipe's mesh, [478, 2], px; None if it finds no face.
        descriptor: dlib's, [128]; None if it finds no face.
        age: Years; None if unknown.
    """

    image: np.ndarray
    points: np.ndarray | None
    descriptor: np.ndarray | None = None
    age: float | None = None

    @property
    def lab(self) -> np.ndarray:
        """The picture in CIELAB, [h, w, 3]."""
        return cv2.cvtColor(self.image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


@dataclass(frozen=True, eq=False)
class Places:
    """Where things are in the photograph that was edited; masks are [h, w] bool.

    The same places are looked at in the edit, since an edit leaves the face where it is.
    """

    face: np.ndarray
    lips: np.ndarray
    eyes: np.ndarray
    irises: np.ndarray
    cheeks: np.ndarray
    chin: np.ndarray
    crown: np.ndarray  # a band above the forehead, where hair or a hat is
    away: np.ndarray
    height: float  # of the face, px


def find_places(points: np.ndarray, person: np.ndarray) -> Places:
    """Return the places of a face.

    Args:
        points: The mesh, [478, 2], px.
        person: Chance that a pixel shows the person, [h, w].
    """
    shape = person.shape[:2]
    oval = points[list(OVAL)]
    width, height = np.ptp(oval[:, 0]), float(np.ptp(oval[:, 1]))
    eyes = np.any([fill(shape, points[list(ring)]) for ring in EYES], 0)
    irises = np.zeros(shape, np.uint8)
    for middle, edge in IRISES:
        radius = max(2, round(0.9 * float(np.linalg.norm(points[middle] - points[edge]))))
        cv2.circle(irises, tuple(np.rint(points[middle]).astype(int).tolist()), radius, 1, -1)
    up = (points[TOP] - points[BOTTOM]) / np.linalg.norm(points[TOP] - points[BOTTOM])
    beside = np.array([width, 0.0])
    band = [
        points[TOP] + up * height * level + side * beside
        for level, side in ((0.10, -0.30), (0.10, 0.30), (0.26, 0.24), (0.26, -0.24))
    ]
    likely = person > PERSON
    reach = 2 * round(AWAY * height) + 1
    return Places(
        face=fill(shape, oval),
        lips=fill(shape, points[list(LIPS)]),
        eyes=eyes,
        irises=(irises > 0) & eyes,
        cheeks=np.any([fill(shape, points[list(ring)]) for ring in CHEEKS], 0),
        chin=fill(shape, points[list(CHIN)]),
        crown=fill(shape, np.array(band)) & likely,
        away=~cv2.dilate(likely.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool),
        height=height,
    )


def fill(shape: tuple[int, ...], corners: np.ndarray) -> np.ndarray:
    """Return what a polygon [n, 2] encloses, [h, w] bool."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 1)
    return mask > 0


# ------------------------------------------------------------------------------ is it true?
@dataclass(frozen=True, eq=False)
class Pair:
    """A photograph and its edit, with the colours of both."""

    before: Look
    after: Look
    places: Places
    lab_before: np.ndarray
    lab_after: np.ndarray

    def colour(self, place: np.ndarray) -> np.ndarray:
        """Return the mean colour of a place in the edit, CIELAB, [3]."""
        return _mean(self.lab_after, place)

    def moved(self, place: np.ndarray) -> np.ndarray:
        """Return how far a place's mean colour moved, CIELAB, [3]."""
        return _mean(self.lab_after, place) - _mean(self.lab_before, place)

    @property
    def skin_is_still(self) -> bool:
        """Whether the cheeks kept their colour."""
        return bool(np.linalg.norm(self.moved(self.places.cheeks)) < STILL_SKIN)


def _mean(lab: np.ndarray, place: np.ndarray) -> np.ndarray:
    return lab[place].mean(0) if place.any() else np.full(3, np.nan)


def _hair(hue: tuple[float, float], chroma: float, lightest: float) -> Callable[[Pair], bool]:
    """Return a check that hair came to have a hue (degrees of CIELAB), a chroma, a lightness."""

    def true(pair: Pair) -> bool:
        light, a, b = pair.colour(pair.places.crown)
        angle = np.degrees(np.arctan2(b, a))
        there = hue[0] <= angle <= hue[1] and np.hypot(a, b) >= chroma and light >= lightest
        moved = np.linalg.norm(pair.moved(pair.places.crown)) > 8
        return bool(there and moved and pair.skin_is_still)

    return true


def _sunglasses(pair: Pair) -> bool:
    eyes = pair.places.eyes
    old, new = pair.lab_before[eyes], pair.lab_after[eyes]
    covered = np.corrcoef(old[:, 0], new[:, 0])[0, 1] < 0.6
    far = np.linalg.norm(new - old, axis=1).mean() > 12
    return bool(new[:, 0].mean() < 60 and covered and far)


def _blue_eyes(pair: Pair) -> bool:
    return bool(pair.moved(pair.places.irises)[2] < -5 and pair.skin_is_still)


def _lipstick(pair: Pair) -> bool:
    redder = pair.moved(pair.places.lips) - pair.moved(pair.places.cheeks)
    return bool(redder[1] > 5)


def _mouth(look: Look) -> tuple[float, float] | None:
    """Return a mouth's width over the face's, and its opening over the face's height."""
    if look.points is None:
        return None
    oval = look.points[list(OVAL)]
    wide = np.linalg.norm(look.points[61] - look.points[291]) / np.ptp(oval[:, 0])
    gap = np.linalg.norm(look.points[13] - look.points[14]) / np.ptp(oval[:, 1])
    return float(wide), float(gap)


def _laugh(pair: Pair) -> bool:
    before, after = _mouth(pair.before), _mouth(pair.after)
    if before is None or after is None:
        return False
    wider = after[0] > 1.06 * before[0] and after[1] >= before[1] - 0.005
    return wider or after[1] > before[1] + 0.03


def _surprise(pair: Pair) -> bool:
    before, after = _mouth(pair.before), _mouth(pair.after)
    if before is None or after is None:
        return False
    raised = _brow_height(pair.after) > 1.04 * _brow_height(pair.before)
    return after[1] > before[1] + 0.02 and raised


def _brow_height(look: Look) -> float:
    """Return the height of the brows over the irises, over the distance of the irises."""
    assert look.points is not None
    irises = look.points[[468, 473]]
    brows = np.concatenate([look.points[list(brow)] for brow in BROWS])
    return float((irises[:, 1].mean() - brows[:, 1].mean()) / np.linalg.norm(np.subtract(*irises)))


def _openness(look: Look) -> float | None:
    """Return the height of the eyes over their length."""
    if look.points is None:
        return None
    rings = [look.points[list(ring)] for ring in EYES]
    return float(np.mean([np.ptp(ring[:, 1]) / (np.ptp(ring[:, 0]) + 1e-6) for ring in rings]))


def _closed_eyes(pair: Pair) -> bool:
    before, after = _openness(pair.before), _openness(pair.after)
    return before is not None and after is not None and after < 0.55 * before


def _old(pair: Pair) -> bool:
    before, after = pair.before.age, pair.after.age
    if before is None or after is None:
        return False
    return after >= before if before >= LATE else after >= before + OLDER


def _beard(pair: Pair) -> bool:
    darker = pair.moved(pair.places.chin) - pair.moved(pair.places.cheeks)
    return bool(np.linalg.norm(darker) > 9)


def _beanie(pair: Pair) -> bool:
    return bool(np.linalg.norm(pair.moved(pair.places.crown)) > 14 and pair.skin_is_still)


@dataclass(frozen=True)
class Sentence:
    """A sentence that photographs are edited by, and how it is judged."""

    text: str
    true: Callable[[Pair], bool]
    distance: float = SAME_PERSON


SENTENCES: Mapping[str, Sentence] = {
    "red_hair": Sentence("red hair", _hair((0, 60), 20, 0)),
    "blonde_hair": Sentence("blonde hair", _hair((60, 100), 18, 45)),
    "green_hair": Sentence("green hair", _hair((110, 190), 14, 0)),
    "sunglasses": Sentence("sunglasses", _sunglasses, SAME_BEHIND_LENSES),
    "blue_eyes": Sentence("blue eyes", _blue_eyes),
    "lipstick": Sentence("red lipstick", _lipstick),
    "laugh": Sentence("a laughing face", _laugh),
    "surprise": Sentence("a surprised face", _surprise),
    "closed_eyes": Sentence("closed eyes", _closed_eyes),
    "old": Sentence("an old face", _old),
    "beard": Sentence("a full beard", _beard),
    "beanie": Sentence("a beanie", _beanie),
}
VERDICTS = ("true", "person", "photograph", "untouched")


def judge(key: str, before: Look, after: Look, places: Places) -> dict[str, Any]:
    """Return what was measured of an edit, and the four verdicts.

    Args:
        key: Of its sentence.
        before: The photograph.
        after: Its edit, as large.
        places: Of the photograph.
    """
    pair = Pair(before, after, places, before.lab, after.lab)
    difference = np.abs(before.image.astype(int) - after.image).max(2)
    kept = float((difference[places.away] <= 1).mean()) if places.away.any() else 1.0
    features = cv2.dilate((places.lips | places.eyes).astype(np.uint8), np.ones((7, 7), np.uint8))
    skin = places.face & ~features.astype(bool)
    detail = _detail(after.image)[skin].std() / (_detail(before.image)[skin].std() + 1e-6)
    distance = None
    if before.descriptor is not None and after.descriptor is not None:
        distance = float(np.linalg.norm(before.descriptor - after.descriptor))
    sentence = SENTENCES[key]
    return {
        "kept_away": kept,
        "kept": float((difference <= 1).mean()),
        "detail": float(detail),
        "distance": distance,
        "true": bool(sentence.true(pair)),
        "person": distance is not None and distance <= sentence.distance,
        "photograph": bool(DETAIL[0] <= detail <= DETAIL[1]),
        "untouched": kept >= KEPT,
    }


def _detail(image: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.Laplacian(grey, cv2.CV_32F)
