"""A large hole filled with pieces of its surroundings that are moved over it as they are.

Every pixel of the hole takes its colour from one place, a shift away; neighbours share their shift
unless a seam between two pieces hardly shows (Pritch, Kav-Venaki and Peleg, "Shift-map image
editing", ICCV 2009). So shelves, horizons and leaves go on as they are. Which shift is whose is
found on a small picture by passing messages between neighbours (Felzenszwalb and Huttenlocher,
"Efficient belief propagation for early vision", IJCV 2006).
"""

from __future__ import annotations

import cv2
import numpy as np

from faceedit.transfer.fill import spread_colours

SIDE = 52  # px of the longer side of the small picture
SHIFTS = 24  # that are chosen from
EVERY = 3  # px of the small picture between shifts
ROUNDS = 10  # of messages
MARGIN = 0.7  # of the hole's sides: so far around it surroundings are looked at
ALIKE = 14.0  # levels of 255: colours that differ by less agree
LIGHT = 45.0  # levels: by which one thing differs from itself in another light
MOST = 400.0  # levels: no seam costs more, however much it shows
NEVER = 1e5  # cost of a shift that leads out of the surroundings
FAR = 0.25  # levels a px of a small picture by which near pieces are liked better


def shifted_fill(image: np.ndarray, hole: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return the image with its hole filled from `source`.

    Args:
        image: RGB, [h, w, 3] float32 in [0, 255].
        hole: What is to be filled, [h, w] bool.
        source: What it may be filled from, [h, w] bool; within the hole it counts for nothing.
    """
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if not len(rows):
        return image
    h, w = hole.shape
    pad = int(MARGIN * max(np.ptp(rows), np.ptp(columns))) + 12
    y0, y1 = max(rows[0] - pad, 0), min(rows[-1] + 1 + pad, h)
    x0, x1 = max(columns[0] - pad, 0), min(columns[-1] + 1 + pad, w)
    box = np.s_[y0:y1, x0:x1]
    inside, free = hole[box], source[box] & ~hole[box]
    result = image.copy()
    if free.any():
        result[box][inside] = _filled(image[box], inside, free)[inside]
    return result


def _filled(image: np.ndarray, hole: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return a box of the picture with moved pieces of `source` all over its hole."""
    h, w = hole.shape
    step = max(1.0, max(h, w) / SIDE)
    size = (max(4, round(w / step)), max(4, round(h / step)))
    free = cv2.resize(source.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    empty = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.02
    colours = cv2.resize(image * source[..., None], size, interpolation=cv2.INTER_AREA)
    colours = colours / np.maximum(free, 1e-3)[..., None]
    known = (free > 0.7) & ~empty
    spread = spread_colours(colours, free)
    shifts = _likely_shifts(colours, empty, known)
    if shifts is None:
        return cv2.resize(spread, (w, h), interpolation=cv2.INTER_LINEAR)
    labels = _labelled(colours, empty, known, shifts)
    filled = _laid(image, source, labels, shifts, spread)
    eased = _mismatch(colours, known, labels, shifts)
    return filled + cv2.resize(eased, (w, h), interpolation=cv2.INTER_LINEAR)


def _likely_shifts(colours: np.ndarray, empty: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """Return shifts (dy, dx), [k, 2], that between them lead to what agrees at the hole's edge."""
    h, w = empty.shape
    around = cv2.dilate(empty.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    edge = np.argwhere(around & known)
    inner = np.argwhere(empty)
    if len(edge) < 4:
        return None
    dy, dx = np.meshgrid(np.arange(-h, h, EVERY), np.arange(-w, w, EVERY), indexing="ij")
    shifts = np.stack([dy.ravel(), dx.ravel()], 1)
    shifts = shifts[np.abs(shifts).sum(1) > 0]
    edge = edge[:: max(1, len(edge) // 160)]
    inner = inner[:: max(1, len(inner) // 240)]
    reaches = _at(known, inner, shifts, False)  # [s, i]
    useful = reaches.any(1)
    shifts, reaches = shifts[useful], reaches[useful]
    if not len(shifts):
        return None
    error = np.abs(_at(colours, edge, shifts, 1e3) - colours[edge[:, 0], edge[:, 1]]).mean(2)
    fits = np.exp(-error / ALIKE) * _at(known, edge, shifts, False)
    nearness = 1 / (1 + 0.02 * np.abs(shifts).sum(1))
    chosen: list[int] = []
    met, covered = np.zeros(len(edge)), np.zeros(len(inner))
    for _ in range(min(SHIFTS, len(shifts))):
        gain = np.maximum(fits - met, 0).mean(1) + 0.6 * (reaches * (1 - covered)).mean(1)
        gain = (gain + 0.1 * fits.mean(1) * reaches.mean(1)) * nearness
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        met = np.maximum(met, fits[best])
        covered = covered + 0.5 * reaches[best] * (1 - covered)
    return shifts[chosen]


def _at(
    field: np.ndarray, places: np.ndarray, shifts: np.ndarray, beyond: float | bool
) -> np.ndarray:
    """Return a field at places [p, 2] moved by shifts [s, 2], [s, p, ...]; `beyond` outside it."""
    h, w = field.shape[:2]
    y = places[None, :, 0] + shifts[:, None, 0]
    x = places[None, :, 1] + shifts[:, None, 1]
    out = (y < 0) | (y >= h) | (x < 0) | (x >= w)
    found = field[np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)]
    found[out] = beyond
    return found


def _labelled(
    colours: np.ndarray, empty: np.ndarray, known: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Return which shift every pixel of the small picture takes, [h, w], -1 outside the hole."""
    h, w = empty.shape
    places = np.argwhere(empty)
    number = np.full((h, w), -1)
    number[places[:, 0], places[:, 1]] = np.arange(len(places))
    seen = np.moveaxis(_at(colours, places, shifts, 0.0), 0, 1).astype(np.float32)  # [p, k, 3]
    able = _at(known, places, shifts, False).T
    unary = np.where(able, FAR * np.abs(shifts).sum(1)[None], NEVER).astype(np.float32)
    pairs = []
    for dy, dx in ((0, 1), (1, 0)):
        for sign in (1, -1):
            y, x = places[:, 0] + sign * dy, places[:, 1] + sign * dx
            valid = (y >= 0) & (y < h) & (x >= 0) & (x < w)
            y, x = np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)
            edge = np.flatnonzero(valid & known[y, x])  # what is beside the hole must go on
            beside = np.stack([y[edge], x[edge]], 1)
            there = _at(colours, beside, shifts, 300.0)
            unary[edge] += 2 * np.abs(there - colours[y[edge], x[edge]]).sum(2).T
            if sign > 0:
                one = np.flatnonzero(valid & (number[y, x] >= 0))
                pairs.append(np.stack([one, number[y[one], x[one]]], 1))
    edges = np.concatenate(pairs)  # each names a place once as the one, once as the other
    apart = np.zeros((len(places), len(shifts), len(shifts)), np.float32)
    for channel in range(3):
        apart += np.abs(seen[:, :, None, channel] - seen[:, None, :, channel])
    seam = np.minimum(apart[edges[:, 0]] + apart[edges[:, 1]], MOST)
    beliefs = _passed(unary, pairs, seam)
    labels = np.full((h, w), -1)
    labels[places[:, 0], places[:, 1]] = beliefs.argmin(1)
    return labels


def _passed(unary: np.ndarray, pairs: list[np.ndarray], seam: np.ndarray) -> np.ndarray:
    """Return costs of labels after messages along edges, min-sum, [p, k].

    Args:
        unary: Cost of each label by itself, [p, k].
        pairs: Neighbours to the right and below, [e, 2] each.
        seam: Cost of each pair of labels on all edges, [e, k, k], symmetric.
    """
    edges = np.concatenate(pairs)
    parts = np.cumsum([0, *map(len, pairs)])
    there, back = np.zeros((2, len(edges), unary.shape[1]), np.float32)
    beliefs = unary
    for _ in range(ROUNDS):
        new = []
        for sent, other in ((edges[:, 0], back), (edges[:, 1], there)):
            held = beliefs[sent] - other
            message = (held[:, :, None] + seam).min(1)
            new.append(message - message.min(1, keepdims=True))
        there, back = 0.5 * (there + new[0]), 0.5 * (back + new[1])
        beliefs = unary.copy()
        for pair, first, last in zip(pairs, parts, parts[1:], strict=False):
            beliefs[pair[:, 1]] += there[first:last]  # no place is named twice
            beliefs[pair[:, 0]] += back[first:last]
    return beliefs


def _widened(labels: np.ndarray) -> np.ndarray:
    """Return labels that reach one pixel farther."""
    around = cv2.dilate((labels + 1).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(int) - 1
    return np.where(labels < 0, around, labels)


def _mismatch(
    colours: np.ndarray, known: np.ndarray, labels: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Return what the pieces lack of the light at the hole's edge, spread over it, [h, w, 3].

    Pieces of a wall come from where it is a little brighter; what is quite different stays.
    """
    h, w = known.shape
    wide = _widened(labels)
    edge = np.argwhere((wide >= 0) & known)
    there = np.clip(edge + shifts[wide[edge[:, 0], edge[:, 1]]], 0, (h - 1, w - 1))
    lacks = colours[edge[:, 0], edge[:, 1]] - colours[there[:, 0], there[:, 1]]
    sure = (np.abs(lacks).max(1) < LIGHT) & known[there[:, 0], there[:, 1]]
    field, weight = np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.float32)
    field[edge[sure, 0], edge[sure, 1]] = lacks[sure]
    weight[edge[sure, 0], edge[sure, 1]] = 1
    if not sure.any():
        return field
    return spread_colours(field, weight)


def _laid(
    image: np.ndarray,
    source: np.ndarray,
    labels: np.ndarray,
    shifts: np.ndarray,
    spread: np.ndarray,
) -> np.ndarray:
    """Return moved pieces of the picture at its own size, their seams softened."""
    h, w = source.shape
    scale = np.array([h / labels.shape[0], w / labels.shape[1]])
    labels = _widened(labels)
    total = 1e-3 * cv2.resize(spread, (w, h), interpolation=cv2.INTER_LINEAR)
    weights = np.full((h, w, 1), 1e-3, np.float32)
    free = cv2.GaussianBlur(source.astype(np.float32), (0, 0), 1.0)
    for label in np.unique(labels[labels >= 0]):
        mine = (labels == label).astype(np.float32)
        dy, dx = np.round(shifts[label] * scale).astype(int)
        rows, columns = np.flatnonzero(mine.any(1)), np.flatnonzero(mine.any(0))
        y0 = max(0, -dy, int((rows[0] - 1) * scale[0]))
        y1 = min(h, h - dy, int((rows[-1] + 2) * scale[0]) + 1)
        x0 = max(0, -dx, int((columns[0] - 1) * scale[1]))
        x1 = min(w, w - dx, int((columns[-1] + 2) * scale[1]) + 1)
        if y1 <= y0 or x1 <= x0:
            continue
        here, there = np.s_[y0:y1, x0:x1], np.s_[y0 + dy : y1 + dy, x0 + dx : x1 + dx]
        share = cv2.resize(mine, (w, h), interpolation=cv2.INTER_LINEAR)[here]
        weight = (share**3 * np.clip(2 * free[there] - 1, 0, 1))[..., None]
        total[here] += image[there] * weight
        weights[here] += weight
    return total / weights
