"""How well an attribute reader reads: balanced accuracy over the values that can clearly be seen.

A value counts only where a person could name it. That takes two things: the part of the picture
that shows it must be in sight (`SIGHT`: enough pixels of its regions in the true segmentation, and
nothing in the way, such as sunglasses before the eye colour), and the value must be clear. Every
categorical value is clear; a number is clear in the lowest and in the highest quarter of its span,
and counts as "low" or "high"; a hue is clear in the middle of one of six sectors of the circle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from faceedit.backbones.attributes import AttributeHead

CLEAR_SHARE = 0.25  # of a number's span, at each end
HUE_SECTORS = 6  # red, yellow, green, cyan, blue, magenta
HUE_MARGIN = 0.2  # of a sector, at each border, that belongs to neither


@dataclass(frozen=True)
class Sight:
    """What must be the case for an attribute to be seen.

    Attributes:
        regions: Regions that together must fill `share` of the picture.
        share: Fraction of the pixels.
        only: Values that other categorical attributes must have, by name.
        within: Range in which other continuous attributes must lie, by name.
    """

    regions: tuple[str, ...] = ()
    share: float = 0.0
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    within: Mapping[str, tuple[float, float]] = field(default_factory=dict)


_CLEAR_LENSES = {"glasses": ("none", "round", "square")}
_UNCOVERED = {"hat": ("none", "headband")}
_BARE_CHIN = {"beard": ("none", "stubble")}
_OPEN_EYES = {"eye_open": (0.45, 1.0)}
_FRINGED = ("short", "bob", "long straight", "long wavy", "curly")
_PARTED = ("short", "bob", "long wavy")
_THICK = (*_FRINGED, "quiff", "afro", "bun", "ponytail")

SIGHT: dict[str, Sight] = {
    "skin_tone": Sight(("skin", "nose", "neck"), 0.03),
    "freckles": Sight(("skin",), 0.04, within={"skin_tone": (0, 0.65)}),
    "blush": Sight(("skin",), 0.04, within={"skin_tone": (0, 0.65)}),
    "eye_color": Sight(("eyes", "lens"), 0.003, _CLEAR_LENSES, _OPEN_EYES),
    "gaze_x": Sight(("eyes", "lens"), 0.003, _CLEAR_LENSES, _OPEN_EYES),
    "gaze_y": Sight(("eyes", "lens"), 0.003, _CLEAR_LENSES, _OPEN_EYES),
    "eye_size": Sight((), 0, _CLEAR_LENSES, _OPEN_EYES),
    "eye_tilt": Sight((), 0, _CLEAR_LENSES, _OPEN_EYES),
    "eye_spacing": Sight((), 0, _CLEAR_LENSES),
    "eye_depth": Sight((), 0, {"glasses": ("none",)}),
    "eye_open": Sight((), 0, _CLEAR_LENSES),
    "eyeshadow": Sight((), 0, _CLEAR_LENSES, {"skin_tone": (0, 0.8)}),
    "brow_thickness": Sight(("brows", "lens"), 0.003, _CLEAR_LENSES),
    "brow_arch": Sight(("brows", "lens"), 0.003, _CLEAR_LENSES),
    "brow_height": Sight(("brows", "lens"), 0.003, _CLEAR_LENSES),
    "brow_raise": Sight(("brows", "lens"), 0.003, _CLEAR_LENSES),
    "forehead": Sight(only={"hat": ("none",)}, within={"fringe": (0, 0.3)}),
    "ear_size": Sight(("ear",), 0.006),
    "jaw_width": Sight(only=_BARE_CHIN),
    "chin_length": Sight(only=_BARE_CHIN),
    "chin_width": Sight(only=_BARE_CHIN),
    "lip_fullness": Sight(("lips", "mouth"), 0.002),
    "mouth_open": Sight(("lips", "mouth"), 0.002),
    "lipstick": Sight(("lips", "mouth"), 0.003),
    "lip_hue": Sight(("lips",), 0.003, within={"lipstick": (0.5, 1)}),
    "hair_style": Sight(only=_UNCOVERED),
    "hair_color": Sight(("hair",), 0.03, within={"age": (18, 55)}),
    "fringe": Sight(("hair",), 0.03, {"hat": ("none",), "hair_style": _FRINGED}),
    "hair_volume": Sight(("hair",), 0.04, {"hat": ("none",), "hair_style": _THICK}),
    "parting": Sight(("hair",), 0.04, {"hat": ("none",), "hair_style": _PARTED}),
    "hat_hue": Sight(("hat",), 0.02, {"hat": ("beanie", "headband", "cap")}),
    "earrings": Sight(("ear", "earring"), 0.006),
    "background_hue": Sight(
        ("background",),
        0.08,
        within={"background_saturation": (0.12, 1), "background_value": (0.25, 1)},
    ),
    "background_saturation": Sight(("background",), 0.08, within={"background_value": (0.25, 1)}),
    "background_value": Sight(("background",), 0.08),
    "clothing": Sight(("cloth",), 0.04),
    "cloth_hue": Sight(
        ("cloth",), 0.04, within={"cloth_saturation": (0.15, 1), "cloth_value": (0.25, 1)}
    ),
    "cloth_saturation": Sight(("cloth",), 0.04, within={"cloth_value": (0.25, 1)}),
    "cloth_value": Sight(("cloth",), 0.04),
}  # an attribute that is not named here is always in sight


def region_shares(segmentation: Tensor, regions: tuple[str, ...]) -> dict[str, Tensor]:
    """Return each region's share of the picture, [n] by name.

    Args:
        segmentation: Labels, [n, h, w] integers, indices into `regions`.
        regions: Names of the labels.
    """
    flat = segmentation.flatten(1).long()
    offset = torch.arange(len(flat), device=flat.device)[:, None] * len(regions)
    counts = torch.bincount((flat + offset).flatten(), minlength=len(flat) * len(regions))
    shares = counts.reshape(len(flat), len(regions)).float() / flat.shape[1]
    return {name: shares[:, i] for i, name in enumerate(regions)}


def in_sight(
    name: str,
    truth: Mapping[str, Tensor],
    values: Mapping[str, tuple[str, ...]],
    shares: Mapping[str, Tensor],
) -> Tensor:
    """Return in which pictures an attribute can be seen.

    Args:
        name: The attribute.
        truth: Every attribute's true value, [n]; the index where it is categorical.
        values: Names of the values of every categorical attribute.
        shares: What `region_shares` gave; regions that it lacks count as empty.

    Returns:
        [n] bool.
    """
    sight = SIGHT.get(name, Sight())
    seen = torch.ones_like(truth[name], dtype=torch.bool)
    for other, allowed in sight.only.items():
        indices = [values[other].index(value) for value in allowed if value in values[other]]
        allowed_index = torch.tensor(indices, dtype=torch.long, device=seen.device)
        seen &= torch.isin(truth[other].round().long(), allowed_index)
    for other, (low, high) in sight.within.items():
        seen &= (truth[other] >= low) & (truth[other] <= high)
    if sight.regions:
        none = torch.zeros_like(truth[name])
        seen &= torch.stack([shares.get(r, none) for r in sight.regions]).sum(0) >= sight.share
    return seen


def classes(head: AttributeHead, value: Tensor, span: tuple[float, float]) -> Tensor:
    """Return the class of every value, -1 where it is not clear.

    Args:
        head: The attribute.
        value: [n], in its unit; the index where it is categorical.
        span: Smallest and largest value that occur, for continuous attributes.

    Returns:
        [n] int64: the index of a categorical value, the sector of a hue, or 0 low and 1 high.
    """
    if head.values:
        return value.round().long()
    if head.circular:
        sector = (value - head.low) / (head.high - head.low) % 1.0 * HUE_SECTORS
        sector = (sector + 0.5) % HUE_SECTORS  # red, at 0, is the middle of its sector
        offset = sector - sector.floor()
        clear = (offset >= HUE_MARGIN) & (offset <= 1 - HUE_MARGIN)
        return torch.where(clear, sector.floor().long(), -1)
    low, high = span
    place = (value - low) / max(high - low, 1e-9)
    unclear = torch.full_like(value, -1, dtype=torch.long)
    return torch.where(place >= 1 - CLEAR_SHARE, 1, torch.where(place <= CLEAR_SHARE, 0, unclear))


def _nearest_class(head: AttributeHead, answer: Tensor, span: tuple[float, float]) -> Tensor:
    """Return the class that an answer is nearest to; answers are never unclear."""
    if head.values:
        return answer.round().long()
    if head.circular:
        sector = (answer - head.low) / (head.high - head.low) % 1.0 * HUE_SECTORS + 0.5
        return (sector % HUE_SECTORS).floor().long()
    return (answer > sum(span) / 2).long()


def span_of(head: AttributeHead, truth: Tensor) -> tuple[float, float]:
    """Return the 1st and 99th percentile of a continuous attribute; its clear ends lie there."""
    if head.values or head.circular or len(truth) == 0:
        return head.low, head.high
    low, high = torch.quantile(truth.double(), torch.tensor([0.01, 0.99], dtype=torch.double))
    return float(low), float(high)


def balanced_accuracy(predicted: Tensor, truth: Tensor, least: int = 1) -> float:
    """Return the mean over classes of the share of their members that were recognised.

    Args:
        predicted: Classes, [n] integers.
        truth: True classes, [n] integers; negative ones are left out.
        least: Classes with fewer members than this are left out: their share would be chance.

    Returns:
        In [0, 1]; NaN if no class is left.
    """
    recalls = []
    for label in truth[truth >= 0].unique():
        members = truth == label
        if int(members.sum()) >= least:
            recalls.append((predicted[members] == label).double().mean())
    return float(torch.stack(recalls).mean()) if recalls else float("nan")


def reading_accuracy(
    heads: tuple[AttributeHead, ...],
    answers: Mapping[str, Tensor],
    truth: Mapping[str, Tensor],
    shares: Mapping[str, Tensor],
    least: int = 5,
) -> dict[str, float]:
    """Return the balanced accuracy of every attribute over its clearly visible values.

    Args:
        heads: The attributes that were read.
        answers: What was read, [n] by name, as `AttributeReader.read` returns it.
        truth: What is true, [n] by name, of at least the attributes in `heads`.
        shares: What `region_shares` gives for the true segmentations.
        least: Classes with fewer clearly visible members than this are left out.

    Returns:
        Accuracy by name; NaN where nothing was clearly visible.
    """
    values = {head.name: head.values for head in heads}
    result = {}
    for head in heads:
        seen = in_sight(head.name, truth, values, shares)
        true, answer = truth[head.name][seen], answers[head.name][seen]
        span = span_of(head, truth[head.name])
        wanted = classes(head, true, span)
        result[head.name] = balanced_accuracy(_nearest_class(head, answer, span), wanted, least)
    return result
