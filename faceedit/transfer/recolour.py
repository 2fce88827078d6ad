"""Recolour: a region whose colour moved within the pair moves in the photograph.

Per region, in CIELAB: lightness goes through a tone curve, so that strands and highlights stay;
chroma moves as in the pair and keeps the photograph's own variation. What is changed is the
region's own part of each pixel (`faceedit.transfer.matte`), so walls and leaves keep their colour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import cv2
import numpy as np

from faceedit.transfer.irises import find_eyes, iris_colours, iris_weight
from faceedit.transfer.layers import Layers
from faceedit.transfer.matte import guided_matte, hair_matte, unmixed
from faceedit.transfer.own_hair import own_hair
from faceedit.transfer.points import curves_of, polygon
from faceedit.transfer.view import Native, View


@dataclass(frozen=True)
class Part:
    """A region that has a colour of its own.

    Attributes:
        regions: The parser's names for it.
        topics: What a sentence about parts of the face has to speak of for it to change.
        slack: How far the parser's edge may be off, in sides of the aligned square.
        noticed: CIELAB distances between which a movement of its mean begins to count and counts
            whole: below it is the generator's drift.
        absolute: How much of a large movement leads to the drawn colour itself, whatever the
            photograph's was; the rest leads as far as it led in the pair.
        own: Share of the photograph's variation of chroma that stays.
        vivid: Chroma up to which drawn colours are taken as they are; photographs have hardly
            any beyond it, so that only half of the rest is taken.
        large: CIELAB distances between which a movement becomes a large one.
        reach: How far lightness may move.
        smallest: Share of the aligned square that it must fill, in the photograph and the pair.
    """

    regions: tuple[str, ...]
    slack: float
    topics: tuple[str, ...]
    noticed: tuple[float, float] = (4.0, 9.0)
    absolute: float = 0.0
    own: float = 0.8
    vivid: float = 30.0
    large: tuple[float, float] = (10.0, 26.0)
    reach: float = 100.0
    smallest: float = 2e-3


SKIN = ("skin", "nose", "ear", "neck")
BARE = (*SKIN, "eyes", "brows", "lips", "mouth", "beard")
PALEST, RUDDIEST = 0.7, 1.4  # factors of skin's chroma: beyond them it is paint
HAIR = Part(("hair",), 0.035, ("hair",), absolute=0.85, own=0.6, vivid=36.0)
GREYING, GREY = ("hair", "brows", "beard"), np.array([0.5, 3.0])  # a and b of what years turn it to
PARTS = (
    Part(SKIN, 0.02, ("skin",), noticed=(5.0, 10.0), reach=12.0),
    Part(("cloth",), 0.02, (), noticed=(10.0, 18.0), absolute=0.5),
    Part(("hat",), 0.02, ("worn",), noticed=(10.0, 18.0), absolute=0.5),
    Part(("background",), 0.02, (), noticed=(12.0, 24.0), absolute=0.5),
    Part(
        ("lips",),
        0.012,
        ("mouth", "paint"),
        noticed=(3.0, 6.0),
        absolute=0.7,
        vivid=58.0,
        large=(5.0, 14.0),
        smallest=8e-4,
    ),
    Part(("brows",), 0.012, ("hair", "eyes"), absolute=0.5, own=0.6, reach=18.0, smallest=5e-4),
    Part(("beard",), 0.02, ("facial hair",), absolute=0.8, own=0.6),
    HAIR,
)
IRIS = Part(
    ("eyes",),
    0.0,
    ("irises",),
    noticed=(8.0, 16.0),
    absolute=0.8,
    own=0.6,
    vivid=24.0,
    reach=20.0,
)
GOLD = ((-180, 68, 98, 125, 180), (-180, 68, 79, 125, 180))  # degrees of hue: drawn -> taken
PARTS_LIPS, PAINTS_LIPS = 0.15, 0.3  # changes of what the reader says of mouth and lipstick
ALIKE_COLOUR = 15.0  # CIELAB: hue and chroma of the drawn hair and the photograph's are alike
DYED = 0.9  # how far hair gets to the colour that the sentence names
PAINT = 0.15  # lipstick, by the reader, from which drawn lips are painted
PAINTED = 0.9  # how far lips get to its colour
# At 128 px skin is mixed into the drawn lips' colour.
PAINT_SHOWS = np.array([1.0, 1.2, 1.2])
PAINT_COVERS = np.array([0.6, 1.0, 1.0])  # light and shade stay for the most part
CORE = 0.6  # chance from which a pixel counts for a region's mean
SEEN = 1 / 255  # alpha below which nothing would be seen
BLACK = 0.03  # of lightness: what the blackest pixel of a photograph is taken for
# A steep curve makes dark hair flat when it turns light: its strands keep at least this spread of
# lightness (times `own`), but are not enlarged further than that, or noise would be.
DEPTH, DEEPEST = 0.16, 1.7
FAR_COLOUR = 26.0  # CIELAB: a movement from which colours lead to the new one, each its own way
DYES_WHITE, DYE = 0.45, 36.0  # share of highlights that a dye takes, and the chroma that takes it
FULL_DYE, DYE_RISES = 34.0, 5.0  # chroma of a dye, and from which rise in the pair it is one
DARKER_DYE = 0.6  # of lightness for every unit of chroma that it is drawn without
FAR = 0.3  # of lightness: a movement from which this holds in full
DARKEST, LIGHTEST = 3.0, 97.0  # of lightness that a mean may be moved to


def recolour(photo: View, before: View, after: View) -> Layers:
    """Return the change of the photograph's colours by region."""
    assert before.native is not None and after.native is not None
    pair = _lab(before.native.image), _lab(after.native.image)
    shift: np.ndarray | None = None
    for part in PARTS:
        if not after.asked.speaks_of(*part.topics):
            continue
        if part.regions == ("hair",) and after.asked.keeps_hair_colour:
            continue
        moved = _movement(part, before.native, after.native, pair)
        years = after.asked.reaches("age", "old") * ("hair colour" not in after.asked.kinds)
        if not (years and part.regions[0] in GREYING):
            dye = _dye(photo, part, moved, after)
        else:
            hair = _movement(HAIR, before.native, after.native, pair)
            dye = _greyed(photo, part, moved or hair, years)
            part = replace(part, own=part.own * (1 - 0.8 * years))  # nor do strands keep theirs
        if dye is not None:
            shift = _add(shift, photo, part, *dye)
            continue
        if not _noticed(moved, part):
            continue
        if not (part.regions == ("lips",) and _mouth_moves(before, after)):
            shift = _add(shift, photo, part, moved, _matte(photo, part))
    moved = iris_colours(before.native, after.native, pair)
    if after.asked.speaks_of(*IRIS.topics) and _noticed(moved, IRIS):
        weight = iris_weight(photo, find_eyes(photo))
        shift = _add(shift, photo, IRIS, moved, weight)
    return Layers(shift=shift)


def _noticed(
    moved: tuple[np.ndarray, np.ndarray] | None, part: Part
) -> TypeGuard[tuple[np.ndarray, np.ndarray]]:
    """Return whether a region's mean moved by more than the generator's drift."""
    return moved is not None and float(np.linalg.norm(moved[1] - moved[0])) > part.noticed[0]


def _greyed(
    photo: View,
    part: Part,
    moved: tuple[np.ndarray, np.ndarray] | None,
    share: float,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray] | None:
    """Return how hair moves that years turn grey, and its matte; None where they do not.

    Drawn hair lightens as years have it, but keeps some colour; the photograph's leads to grey.
    """
    if moved is None or moved[1][0] < moved[0][0]:
        return None
    alpha = _matte(photo, part)
    if alpha is None or not (alpha > CORE).any():
        return None
    mean = np.median(_lab(photo.image[alpha > CORE][None])[0], 0)
    light = mean[0] + moved[1][0] - moved[0][0]
    light += part.absolute * (moved[1][0] - light)
    return (mean, np.array([light, *(mean[1:] + share * (GREY - mean[1:]))])), alpha


def _dye(
    photo: View, part: Part, moved: tuple[np.ndarray, np.ndarray] | None, after: View
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray] | None:
    """Return how a region moves whose colour the sentence names, and its matte; None for others.

    The drawn face may have had that colour before, so it leads from the photograph's own.
    """
    covers, shows = np.ones(3), np.ones(3)
    if part.regions == ("lips",):
        amount = PAINTED * after.asked.reaches("lips", "painted")
        amount *= after.traits.get("lipstick", 1.0) > PAINT
        covers, shows = PAINT_COVERS, PAINT_SHOWS
    elif part.regions == ("hair",):
        amount = DYED * after.asked.reaches("hair colour", "named")
    else:
        return None
    if moved is None or amount == 0:
        return None
    alpha = _matte(photo, part)
    if alpha is None or not (alpha > CORE).any():
        return None
    mean = np.median(_lab(photo.image[alpha > CORE][None])[0], 0)
    far = np.linalg.norm(moved[1] - moved[0]) > part.large[1]
    alike = np.linalg.norm((mean - moved[0])[1:]) < ALIKE_COLOUR
    if part.regions == ("hair",) and far and alike:
        return None  # the pair leads there by itself
    end = _full_dye(*moved) if part.regions == ("hair",) else moved[1]
    return (mean, mean + amount * covers * (shows * end - mean)), alpha


def _full_dye(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the colour that drawn hair was dyed, CIELAB: grey hair is drawn with a part of it."""
    chroma = float(np.hypot(*end[1:]))
    lacks = FULL_DYE - chroma
    if lacks <= 0 or chroma - np.hypot(*start[1:]) < DYE_RISES:
        return end
    return np.array([end[0] - DARKER_DYE * lacks, *(end[1:] * FULL_DYE / chroma)])


def _mouth_moves(before: View, after: View) -> bool:
    """Return whether the lips look different because they part or meet, not because of paint."""

    def change(trait: str) -> float:
        return abs(after.traits.get(trait, 0.0) - before.traits.get(trait, 0.0))

    return change("mouth_open") > PARTS_LIPS and change("lipstick") < PAINTS_LIPS


def _movement(
    part: Part, before: Native, after: Native, pair: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a region's mean colour before and after; None where the pair hardly shows it."""
    both = np.minimum(before.region(*part.regions), after.region(*part.regions)) > CORE
    if both.mean() < part.smallest:
        return None
    return pair[0][both].mean(0), pair[1][both].mean(0)


def _matte(photo: View, part: Part) -> np.ndarray | None:
    """Return how much of every pixel of the photograph is a region; None where there is none."""
    chance = _chance(photo, part) * photo.known
    area = photo.square[2] ** 2
    if (chance > CORE).sum() < part.smallest * area:
        return None
    slack = part.slack * photo.square[2]
    if part.regions == ("hair",):
        return hair_matte(photo.image, chance, photo.region(*BARE), slack)
    return guided_matte(photo.image, chance, slack)


def _chance(photo: View, part: Part) -> np.ndarray:
    """Return how likely every pixel of the photograph is in a region, [h, w] in [0, 1]."""
    if part.regions == ("lips",) and (curves := curves_of(photo)) is not None:
        outer = polygon(photo.shape, curves["outer_upper_lip"], curves["outer_lower_lip"])
        inner = polygon(photo.shape, curves["inner_upper_lip"], curves["inner_lower_lip"])
        return np.clip(outer - inner, 0, 1)
    return own_hair(photo) if part.regions == ("hair",) else photo.region(*part.regions)


def _add(
    shift: np.ndarray | None,
    photo: View,
    part: Part,
    moved: tuple[np.ndarray, np.ndarray],
    alpha: np.ndarray | None,
) -> np.ndarray | None:
    """Return what is added to the photograph, [h, w, 3], with a region's movement in it."""
    start, end = moved
    distance = float(np.linalg.norm(end - start))
    amount = _step(distance, *part.noticed)
    if amount == 0 or alpha is None:
        return shift
    chosen = np.flatnonzero(alpha > SEEN)
    weight = alpha.reshape(-1)[chosen]
    if not (weight > CORE).any():
        return shift
    if part.slack:
        colour = unmixed(photo.image, alpha, part.slack * photo.square[2], chosen)
    else:
        colour = photo.image.reshape(-1, 3)[chosen]
    lab = _lab(colour[None])[0]
    mean = np.median(lab[weight > CORE], 0)
    goal = _goal(part, mean, start, end)
    strands, dyed = part.regions != ("lips",), part.regions == ("hair",)
    new = _moved_colours(lab, weight > CORE, mean, goal, part.own, strands, dyed)
    if part.regions == SKIN:  # every tone keeps its hue, or shades turn grey and blue
        ratio = np.hypot(*end[1:]) / max(float(np.hypot(*start[1:])), 1.0)
        new[:, 1:] = lab[:, 1:] * np.float32(np.clip(ratio, PALEST, RUDDIEST))
    changed = _rgb(new[None])[0]
    if shift is None:
        shift = np.zeros_like(photo.image)
    shift.reshape(-1, 3)[chosen] += (changed - colour) * (weight * amount)[:, None]
    return shift


def _goal(part: Part, mean: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return where a region's mean goes in the photograph, CIELAB.

    Args:
        part: The region.
        mean: Where it is.
        start: Where it was in the pair.
        end: Where it came to be there.
    """
    share = part.absolute * _step(float(np.linalg.norm(end - start)), *part.large)
    goal = mean + (end - start) + share * (end - mean - (end - start))
    goal[0] = np.clip(goal[0], mean[0] - part.reach, mean[0] + part.reach)
    if part.regions == ("hair",):
        goal[1:] = _as_hair(goal[1:])
    chroma = float(np.hypot(*goal[1:]))
    most = max(part.vivid, float(np.hypot(*mean[1:])))
    if chroma > most:
        goal[1:] *= (most + (chroma - most) / 2) / chroma
    return goal


def _as_hair(chroma: np.ndarray) -> np.ndarray:
    """Return a and b with yellow turned towards the gold that hair has, where paint is lemon."""
    strength = np.hypot(*chroma)
    hue = np.interp(np.arctan2(chroma[1], chroma[0]), *np.deg2rad(GOLD))
    return strength * np.array([np.cos(hue), np.sin(hue)])


def _moved_colours(
    lab: np.ndarray,
    core: np.ndarray,
    mean: np.ndarray,
    goal: np.ndarray,
    own: float,
    strands: bool = True,
    dyed: bool = False,
) -> np.ndarray:
    """Return colours whose mean was at `mean` moved to have it at `goal`, CIELAB, [n, 3].

    Args:
        lab: Colours, [n, 3].
        core: Which of them make the mean, [n] bool.
        mean: Theirs.
        goal: Where it goes.
        own: Share of their variation of chroma that stays: what goes with lightness does not
            count, since it belongs to the old colour.
        strands: Whether they are of strands, which are less colourful in shade; paint is not.
        dyed: Whether they are of hair: a dye tints white strands, too, which do not stay white.
    """
    old = np.clip(mean[0], DARKEST, LIGHTEST) / 100
    new = np.clip(goal[0], DARKEST, LIGHTEST) / 100
    power = np.log(_raised(new)) / np.log(_raised(old))
    light = _raised(np.clip(lab[:, 0], 0, 100) / 100) ** np.float32(power)
    light = light * (1 + BLACK) - BLACK
    deeper = np.clip(DEPTH * own / (float(light[core].std()) + 1e-3), 1, DEEPEST)
    deeper = 1 + (deeper - 1) * min(abs(new - old) / FAR, 1)
    light = np.clip(new + (light - new) * np.float32(deeper), 0, 1)
    far = np.float32(min(float(np.linalg.norm(goal - mean)) / FAR_COLOUR, 1))
    if dyed:
        tinted = DYES_WHITE * far * min(float(np.hypot(*goal[1:])) / DYE, 1.0)
        light = light - np.float32(tinted) * np.maximum(light - np.float32(new), 0)
    # Strands in shade are less colourful than lit ones, and highlights have the lamp's colour.
    shade = np.sqrt(np.minimum(light / new, 1)) if strands else 1.0
    shine = np.clip((light - new) / (1.02 - new), 0, 1)
    vivid = np.asarray(shade * (1 - shine * shine))[:, None]
    level = lab[:, :1] - mean[0]
    slope = (level[core] * (lab[core, 1:] - mean[1:])).mean(0) / ((level[core] ** 2).mean() + 1.0)
    rest = lab[:, 1:] - mean[1:] - slope * level
    chroma = goal[1:] * vivid + own * rest
    near = lab[:, 1:] + (goal - mean)[1:]  # a small movement moves all colours alike
    chroma = near + (chroma - near) * far
    return np.concatenate([100 * light[:, None], chroma], 1).astype(np.float32)


def _raised(lightness: Any) -> Any:
    """Return lightness in [0, 1] with black above 0: a power would leave black as it is."""
    return (lightness + BLACK) / (1 + BLACK)


def _step(value: float, low: float, high: float) -> float:
    """Return 0 below `low`, 1 above `high` and a smooth step between them."""
    place = float(np.clip((value - low) / (high - low), 0, 1))
    return place * place * (3 - 2 * place)


def _lab(image: np.ndarray) -> np.ndarray:
    """Return RGB [h, w, 3] in [0, 255] as CIELAB: lightness in [0, 100], a and b."""
    return cv2.cvtColor(np.clip(image, 0, 255).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _rgb(lab: np.ndarray) -> np.ndarray:
    """Return CIELAB [h, w, 3] as RGB in [0, 255]."""
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255, 0, 255)
