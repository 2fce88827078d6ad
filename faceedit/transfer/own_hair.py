"""Which of the pixels that were parsed as hair are the head's own.

A parser takes prints, leaves and bricks for hair now and then. Hair hangs together with the head,
and away from the head it has a colour that the head's hair has, too.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from faceedit.transfer.view import Planes, View

SIZE = 160  # px, of the longer side; enough to tell what hangs together
LIKELY = 0.5
BESIDE = 0.34  # of the aligned square's side: so far from its middle hair is the head's
CHEEKS = 0.58  # of the side, from its top: below it cloth begins beside the neck
ALIKE = (1.6, 3.2)  # distances in spreads of the head's hair: up to where a colour is its own
LEAST_SPREAD = 9.0  # CIELAB
CLUSTERS = 3  # shades that the head's hair is taken to have
BARE = ("skin", "nose", "ear", "neck", "lips", "mouth", "eyes", "brows", "glasses", "lens")
SAME = 1.5  # spreads up to which a colour surely is one of the hair's
CLOTH = 0.93  # chance of cloth from which it is that
ALIKE_CLOTH = 0.4  # share of the cloth in hair's colours from which colours do not tell them apart
# Sides of the square: what goes on in a row over more than that is cloth, less where cloth has the
# hair's colours.
WIDEST = {True: 0.9, False: 0.5}
LARGE = 0.2  # of the largest piece of hair: so large a piece is the head's wherever it is
AROUND = 9  # px of the small picture: strands stand off no farther
SMALLEST = 40  # px of the small picture that the head's hair must have to be judged by


def own_hair(photo: View) -> np.ndarray:
    """Return how likely every pixel is hair of the head, [h, w] float32 in [0, 1]."""
    if isinstance(photo.regions, Planes):
        return photo.regions.kept("own hair", lambda: _found(photo))
    return _found(photo)


def _found(photo: View) -> np.ndarray:
    chance = photo.region("hair") * photo.known
    height, width = chance.shape
    scale = SIZE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(chance, size, interpolation=cv2.INTER_AREA)
    near = _head(photo, size)
    sure = (small > 0.8) & near
    if sure.sum() < SMALLEST:  # a bald head: what lies elsewhere is something else
        inside = cv2.resize(near.astype(np.float32), (width, height))
        return chance * inside
    image = cv2.resize(photo.image, size, interpolation=cv2.INTER_AREA) / 255
    lab = cv2.cvtColor(np.clip(image, 0, 1), cv2.COLOR_RGB2LAB)
    far = _distance(lab, lab[sure])
    low, high = ALIKE
    alike = np.where(near, 1.0, np.clip((high - far) / (high - low), 0, 1))
    weight = (alike * _connected((small * alike > LIKELY), near)).astype(np.float32)
    own = chance * cv2.resize(weight, (width, height), interpolation=cv2.INTER_LINEAR)
    more = _grown(photo, small * weight, far < SAME, image)
    if more is not None:
        more = cv2.resize(more, (width, height), interpolation=cv2.INTER_LINEAR)
        own = np.maximum(own, more)
    bare = cv2.resize(photo.region(*BARE), size, interpolation=cv2.INTER_AREA) > LIKELY
    held = _held(cv2.resize(own, size, interpolation=cv2.INTER_AREA) > LIKELY, bare)
    return own * cv2.resize(held, (width, height), interpolation=cv2.INTER_LINEAR)


def _held(hair: np.ndarray, bare: np.ndarray) -> np.ndarray:
    """Return 1 in and around pieces of hair that touch the face or are large, else 0, [h, w]."""
    joined = cv2.morphologyEx(hair.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    kernel = np.ones((5, 5), np.uint8)
    pieces, skin, sizes, _ = cv2.connectedComponentsWithStats(bare.astype(np.uint8))
    face = np.zeros(bare.shape, np.uint8)
    if pieces > 1:
        face = (skin == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    kept = np.zeros(count, bool)
    kept[np.unique(labels[cv2.dilate(face, kernel) > 0])] = True
    areas = stats[:, cv2.CC_STAT_AREA]
    if count > 1:
        kept |= areas >= LARGE * areas[1:].max()
    kept[0] = False  # nor is faint hair believed that none is beside
    return cv2.dilate(kept[labels].astype(np.float32), np.ones((AROUND, AROUND), np.uint8))


def with_own_hair(photo: View) -> View:
    """Return the photograph with its hair's region as `own_hair` sees it, found once if asked for.

    What is not the head's hair becomes background, and hair that goes on over cloth is no cloth.
    """
    regions = photo.regions
    if "hair" not in regions:
        return photo

    def corrected(name: str) -> np.ndarray:
        if name == "hair":
            return own_hair(photo)
        if name == "background":
            return regions[name] + np.maximum(regions["hair"] - corrected_planes["hair"], 0)
        if name == "cloth":
            return regions[name] * (1 - np.maximum(corrected_planes["hair"] - regions["hair"], 0))
        return regions[name]

    corrected_planes = Planes(regions, corrected)
    return replace(photo, regions=corrected_planes)


def _head(photo: View, size: tuple[int, int]) -> np.ndarray:
    """Return where the head is, [h, w] bool of the small picture: hair there is its own."""
    left, top, side = photo.square
    x = (np.arange(size[0]) + 0.5) * photo.shape[1] / size[0]
    y = (np.arange(size[1]) + 0.5) * photo.shape[0] / size[1]
    beside = np.abs(x - left - side / 2) < BESIDE * side
    above = y < top + CHEEKS * side
    return beside[None] & above[:, None]


def _distance(lab: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return how far colours [h, w, 3] are from those of the head's hair [n, 3], in spreads."""
    rng = cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER
    count = min(CLUSTERS, len(own))
    cv2.setRNGSeed(0)
    _, labels, centres = cv2.kmeans(
        own.astype(np.float32),
        count,
        None,  # type: ignore[call-overload]  # no labels to start from
        (rng, 10, 1.0),
        1,
        cv2.KMEANS_PP_CENTERS,
    )
    distances = []
    for i, centre in enumerate(centres):
        members = own[labels[:, 0] == i]
        spread = max(float(np.sqrt(((members - centre) ** 2).sum(1).mean())), LEAST_SPREAD)
        distances.append(np.sqrt(((lab - centre) ** 2).sum(2)) / spread)
    return np.minimum.reduce(distances)


def _grown(
    photo: View, chance: np.ndarray, same: np.ndarray, image: np.ndarray
) -> np.ndarray | None:
    """Return where the head's hair goes on over cloth, [h, w] in [0, 1]; None where it does not.

    Parsers have seen hair down to the shoulders and lose what is longer. A cut of the small picture
    by its colours (Rother et al., "GrabCut", SIGGRAPH 2004) goes on from what is sure.

    Args:
        photo: Its regions.
        chance: Of hair, of the small picture, [h, w].
        same: Whether a colour is one of the head's hair, [h, w] bool.
        image: The small picture, RGB in [0, 1], [h, w, 3].
    """
    size = chance.shape[::-1]

    def region(*names: str) -> np.ndarray:
        return cv2.resize(photo.region(*names), size, interpolation=cv2.INTER_AREA)

    never = (region(*BARE) > LIKELY) | (region("background", "hat", "covering") > LIKELY)
    cloth = region("cloth") > CLOTH
    told = (same & cloth).sum() <= ALIKE_CLOTH * cloth.sum()
    if not told:
        never |= cloth
    labels = np.full(chance.shape, cv2.GC_BGD, np.uint8)
    labels[same & ~never] = cv2.GC_PR_FGD
    labels[chance > LIKELY] = cv2.GC_PR_FGD
    labels[chance > 0.8] = cv2.GC_FGD
    if not ((labels == cv2.GC_PR_FGD) & (chance < LIKELY)).any():
        return None
    pixels = np.ascontiguousarray(np.clip(image * 255, 0, 255).astype(np.uint8))
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    whole = (0, 0, *size)  # not read: the labels say where to start
    cv2.grabCut(pixels, labels, whole, *models, 2, cv2.GC_INIT_WITH_MASK)
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)) & ~never
    found = found & (_connected(found, chance > 0.8) > 0.5)
    widest = WIDEST[told] * photo.square[2] * size[0] / photo.shape[1]
    new = found & (chance < LIKELY)
    if new.sum(1).max() > widest:  # a coat of hair's colour
        return None
    return cv2.GaussianBlur(found.astype(np.float32), (0, 0), 0.8)


def _connected(likely: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return which likely pixels hang together with likely ones at the head; 1 around them, too."""
    joined = cv2.morphologyEx(likely.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(joined)
    kept = np.zeros(count, bool)
    kept[np.unique(labels[near & (labels > 0)])] = True
    kept[0] = False
    away = likely & ~kept[labels]
    return 1 - cv2.dilate(away.astype(np.float32), np.ones((3, 3), np.uint8)) * ~kept[labels]
