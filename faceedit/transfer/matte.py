"""How much of every pixel belongs to a region, and what colour that part has.

The alpha matte comes from the parser's chances by a guided filter with the photograph in colour as
its guide (He et al., "Guided Image Filtering", TPAMI 2013), subsampled (arXiv:1505.00996). A pixel
at hair's edge mixes hair and wall; `unmixed` takes the wall out, so that no halo is recoloured.
"""

from __future__ import annotations

import cv2
import numpy as np

COARSE = 192  # px; coefficients of the guided filter are smooth, this many columns hold them
SURE = 0.95  # alpha from which a pixel shows the region alone
INNER_REACH = 0.8  # of the radius: how far inside of hair its edge may be
CERTAIN = 0.85  # chance that some of a piece of hair has
SPECK = 0.02  # share of the largest piece of hair below which another one is none
SHADE = 0.5  # of the way from skin's colour to hair's: as far as shade on skin leads
DOUBT = (0.06, 0.92)  # of the filter's answer: below and above it is 0 and 1


def guided_matte(
    image: np.ndarray, chance: np.ndarray, radius: float, even: float = 1e-3
) -> np.ndarray:
    """Return how much of every pixel is a region, [h, w] float32 in [0, 1].

    It is 0 farther than `radius` from where the region is likely.

    Args:
        image: RGB, [h, w, 3] float32 in [0, 255].
        chance: That a pixel belongs to the region, [h, w] in [0, 1].
        radius: How far the parser's edge may be off, px.
        even: Variance, in squares of [0, 1], below which colours count as even.
    """
    alpha = np.zeros(chance.shape, np.float32)
    likely = chance > 0.5
    if not likely.any():
        return alpha
    box = _box_around(likely, 3 * radius)
    inside = _filtered(image[box], np.clip((chance[box] - 0.25) * 2, 0, 1), radius, even)
    low, high = DOUBT
    inside = np.clip((inside - low) / (high - low), 0, 1)
    alpha[box] = inside * _near(likely[box], radius)
    return alpha


def _filtered(image: np.ndarray, chance: np.ndarray, radius: float, even: float) -> np.ndarray:
    """Return the guided filter's answer, which may leave [0, 1], [h, w]."""
    step = max(1.0, min(min(image.shape[:2]) / COARSE, radius / 3))
    small = _reduced(image, step) / 255
    slopes, offset = _coefficients(
        small, _reduced(chance, step), max(1, round(radius / step)), even
    )
    both = np.dstack([slopes / 255, offset])
    both = cv2.resize(both, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.einsum("hwc,hwc->hw", both[..., :3], image) + both[..., 3]


def _coefficients(
    guide: np.ndarray, chance: np.ndarray, reach: int, even: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the filter's slopes [h, w, 3] and offset [h, w]: alpha = slopes . colour + offset."""

    def mean(field: np.ndarray) -> np.ndarray:
        size = (2 * reach + 1, 2 * reach + 1)
        return cv2.boxFilter(field, -1, size, borderType=cv2.BORDER_REFLECT)

    colour, level = mean(guide), mean(chance)
    covariance = mean(guide * chance[..., None]) - colour * level[..., None]
    pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    rr, gg, bb, rg, rb, gb = (
        mean(guide[..., i] * guide[..., j]) - colour[..., i] * colour[..., j] for i, j in pairs
    )
    rr, gg, bb = rr + even, gg + even, bb + even
    # The symmetric 3 x 3 system, solved by its cofactors.
    inverse = (
        (gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb),
        (gb * rb - rg * bb, rr * bb - rb * rb, rb * rg - rr * gb),
        (rg * gb - gg * rb, rb * rg - rr * gb, rr * gg - rg * rg),
    )
    determinant = rr * inverse[0][0] + rg * inverse[0][1] + rb * inverse[0][2]
    determinant = np.maximum(determinant, 1e-6 * even**2)
    slopes = np.dstack(
        [sum(a * covariance[..., i] for i, a in enumerate(row)) / determinant for row in inverse]
    )
    offset = level - (slopes * colour).sum(2)
    return mean(slopes.astype(np.float32)), mean(offset.astype(np.float32))


def _near(likely: np.ndarray, radius: float) -> np.ndarray:
    """Return 1 in a region and half a radius around it, falling softly to 0, [h, w]."""
    distance = cv2.distanceTransform((~likely).astype(np.uint8), cv2.DIST_L2, 3)
    return np.clip(2 - 1.5 * distance / radius, 0, 1)


def _box_around(likely: np.ndarray, reach: float) -> tuple[slice, slice]:
    """Return the rows and columns that hold a region, [h, w] bool, and what lies around it, px."""
    rows, columns = np.flatnonzero(likely.any(1)), np.flatnonzero(likely.any(0))
    pad = int(np.ceil(reach)) + 2
    return (
        slice(max(rows[0] - pad, 0), rows[-1] + pad + 1),
        slice(max(columns[0] - pad, 0), columns[-1] + pad + 1),
    )


def hair_matte(
    image: np.ndarray, chance: np.ndarray, bare: np.ndarray, radius: float
) -> np.ndarray:
    """Return how much of every pixel is hair, [h, w] float32 in [0, 1].

    Around the parser's edge a pixel's share of hair is its place between the colours of the hair
    and of what lies beside it nearby; where these are alike, the parser's chance stays.

    Args:
        image: RGB, [h, w, 3] float32 in [0, 255].
        chance: That a pixel is hair, [h, w] in [0, 1].
        bare: That it is bare skin; shade on skin has hair's colours, so that the parser is followed
            more closely there.
        radius: How far the parser's edge may be off, px.
    """
    alpha = np.zeros(chance.shape, np.float32)
    likely = _without_specks(chance)
    if not likely.any():
        return alpha
    box = _box_around(likely, 3 * radius)
    alpha[box] = _between_colours(image[box], chance[box], likely[box], bare[box], radius)
    return alpha


def _without_specks(chance: np.ndarray) -> np.ndarray:
    """Return where hair is likely, without pieces that are doubtful or far smaller than others."""
    likely = chance > 0.5
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(likely.astype(np.uint8))
    if count < 3:
        return likely
    areas = boxes[:, cv2.CC_STAT_AREA]
    kept = areas > SPECK * areas[1:].max()
    doubtful = np.ones(count, bool)
    doubtful[np.unique(labels[chance > CERTAIN])] = False
    kept &= ~doubtful
    kept[0] = False
    return np.asarray(kept[labels])


def _between_colours(
    image: np.ndarray, chance: np.ndarray, likely: np.ndarray, bare: np.ndarray, radius: float
) -> np.ndarray:
    """Return `hair_matte` within a box that holds all of the hair, given where it is likely."""
    inside = cv2.distanceTransform(likely.astype(np.uint8), cv2.DIST_L2, 3)
    outside = cv2.distanceTransform((~likely).astype(np.uint8), cv2.DIST_L2, 3)
    known = np.where(inside > INNER_REACH * radius, 1.0, 0.5).astype(np.float32)
    known[outside > radius] = 0.0
    front, front_spread = _colours(image, known, radius, (SURE, 1.0))
    back, back_spread = _colours(image, known, radius, (0.0, 1 - SURE))
    way = front - back
    length = np.sqrt((way * way).sum(2)) + 1.0
    place = ((image - back) * way).sum(2) / (length * length)
    beside = cv2.dilate((bare > 0.5).astype(np.uint8), np.ones((2 * int(radius / 2) + 1,) * 2))
    least = np.where(bare > 0.5, SHADE, 0.6 * SHADE * beside)
    low = np.maximum(np.minimum(back_spread / length, 0.45), least)
    high = np.maximum(1 - 0.6 * front_spread / length, np.maximum(0.6, least + 0.4))
    told = np.clip((place - low) / (high - low), 0, 1)
    trusted = np.clip(length / (front_spread + back_spread + 1.0) - 0.5, 0, 1)
    parsed = np.clip((chance - 0.25) * 2, 0, 1)
    found = parsed + (told - parsed) * trusted
    fading = np.clip(2 * (1 - outside / radius), 0, 1)  # no edge where the band ends
    sure = np.clip(2 * inside / (INNER_REACH * radius) - 1, 0, 1)  # lit strands are hair, too
    return (found * fading + (1 - found * fading) * sure).astype(np.float32)


def _colours(
    image: np.ndarray, alpha: np.ndarray, reach: float, between: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean colour nearby and how far colours lie from it along one axis, [h, w]."""
    mean = spread(image, alpha, reach, between)
    variance = spread(image * image, alpha, reach, between) - mean * mean
    return mean, np.sqrt(np.maximum(variance.mean(2), 0))


def unmixed(image: np.ndarray, alpha: np.ndarray, reach: float, chosen: np.ndarray) -> np.ndarray:
    """Return the region's own colour at some pixels, [n, 3], without what lies behind it.

    Where alpha is high the pixel is solved for it; where it is low the neighbourhood's is taken.

    Args:
        image: RGB, [h, w, 3] float32 in [0, 255].
        alpha: Of the region, [h, w] in [0, 1].
        reach: How far a neighbourhood reaches, px.
        chosen: Which pixels, n indices into [h * w].
    """
    colour = image.reshape(-1, 3)[chosen]
    part = alpha.reshape(-1)[chosen]
    mixed = np.flatnonzero(part < SURE)
    if not len(mixed):
        return colour
    places, part = chosen[mixed], part[mixed, None]
    front = spread(image, alpha, reach, (SURE, 1.0)).reshape(-1, 3)[places]
    back = spread(image, alpha, reach, (0.0, 1 - SURE)).reshape(-1, 3)[places]
    solved = np.clip((colour[mixed] - (1 - part) * back) / np.maximum(part, 0.1), 0, 255)
    colour[mixed] = front + (solved - front) * part * part
    return colour


def spread(
    image: np.ndarray, alpha: np.ndarray, reach: float, between: tuple[float, float]
) -> np.ndarray:
    """Return the mean colour around every pixel of those whose alpha lies between two values.

    Args:
        image: [h, w, 3] float32.
        alpha: [h, w] float32 in [0, 1].
        reach: Of the nearest neighbourhood, px; where it is empty, farther ones are taken.
        between: Lowest and highest alpha.
    """
    step = max(1.0, reach / 3)
    small, thin = _reduced(image, step), _reduced(alpha, step)
    low, high = between
    weight = ((thin >= low) & (thin <= high)).astype(np.float32)
    joined = np.dstack([small * weight[..., None], weight])
    total = joined.sum((0, 1))
    mean = total[:3] / total[3] if total[3] else small.mean((0, 1))
    result = np.broadcast_to(mean, small.shape).astype(np.float32)
    for sigma in (27.0, 9.0, 3.0):  # from far to near: what is near counts where it is there
        near = _blurred(joined, sigma)
        share = near[..., 3:]
        result = result + (near[..., :3] / np.maximum(share, 1e-6) - result) * (
            share / (share + 0.02)
        )
    return cv2.resize(result, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _blurred(field: np.ndarray, sigma: float) -> np.ndarray:
    """Return a field after a Gaussian; wide ones at a reduced size, which shows no difference."""
    step = max(1.0, sigma / 3)
    small = cv2.GaussianBlur(_reduced(field, step), (0, 0), sigma / step)
    return cv2.resize(small, field.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _reduced(field: np.ndarray, step: float) -> np.ndarray:
    """Return a field with its sides divided by `step`."""
    if step <= 1:
        return field
    size = [max(1, round(side / step)) for side in field.shape[1::-1]]
    return cv2.resize(field, size, interpolation=cv2.INTER_AREA)
