"""How an edit is judged: by networks that no method was trained with, and by the true picture.

The judges read attributes and recognise people. A continuous reading of theirs is a rank rather
than a number, because a network that is unsure answers with something usual. So readings are mapped
to the world's scale by matching quantiles (`training.benchmark.scale`), before the world's own
conditions decide whether a statement is true of what was read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones.attributes import AttributeHead, AttributeReader
from faceedit.backbones.identity import Identity
from faceedit.metrics.attributes import CLEAR_SHARE, in_sight, region_shares
from faceedit.world import REGIONS, SPECS, FaceAttributes
from faceedit.world.captions import is_true
from faceedit.world.statements import HairColor, Hue, OneOf, Within, find
from training.benchmark.prompts import Prompt
from training.benchmark.scale import Scale
from training.measures.networks import Setting, network

__all__ = ["Judges", "Look", "changed_region", "masked_psnr", "progress", "success"]

SEEN_CHANGE = 0.05  # of a pixel's value in [-1, 1], from where the true edit counts as visible
MARGIN = 0.05  # of the picture's width, by which the changed region is widened
TURNED = 1 / 6  # of the hue circle: another colour name
EQUAL_DB = 100.0  # what equal pictures get


# ------------------------------------------------------------------------------ the judges
@dataclass(frozen=True)
class Look:
    """What the judges see in n pictures."""

    people: FaceAttributes  # readings on the world's scale, on the CPU
    chances: dict[str, Tensor]  # of every value of categorical attributes, [n, values]
    identity: Tensor  # [n, d] unit vectors
    pooled: Tensor  # [n, hidden], for the distance of sets of pictures
    maps: list[Tensor]  # feature maps, the finest first


class Judges:
    """The two networks that measure, and the scale of the one.

    Args:
        reader: Reads attributes.
        recognizer: Tells people apart.
        scale: None: readings are taken as they are.
    """

    def __init__(
        self, reader: AttributeReader, recognizer: Identity, scale: Scale | None = None
    ) -> None:
        self.reader, self.recognizer, self.scale = reader, recognizer, scale
        self._seen: dict[str, Any] = {"maps": []}
        for part in (reader.stem, *reader.stages):
            part.register_forward_hook(lambda m, i, out: self._seen["maps"].append(out))
        reader.hidden.register_forward_hook(lambda m, i, out: self._seen.update(pooled=out))

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None, scaled: bool = True) -> Judges:
        """Load the judges and the scale that ships with them.

        Args:
            folder: Of the judges.
            device: Where they work; None: on the CPU.
            scaled: Whether readings are put on the world's scale.

        Raises:
            ConfigError: If a network or the scale is missing, or the scale is of other weights.
        """
        there = Setting(folder, folder, folder, device=device or torch.device("cpu"))
        return cls(
            network(there, "judge_attributes", AttributeReader),
            network(there, "judge_identity", Identity),
            Scale.load(folder / "attributes") if scaled else None,
        )

    @torch.no_grad()
    def read(self, image: Tensor) -> tuple[FaceAttributes, dict[str, Tensor]]:
        """Return the people in pictures, [n, 3, h, w] in [-1, 1], and the chances of values."""
        self._seen["maps"] = []
        answers = self.reader(image.clamp(-1, 1))
        values = torch.zeros(len(image), len(SPECS))
        chances = {}
        for head in self.reader.config.heads:
            answer = answers[head.name].cpu().float()
            column = list(SPECS).index(head.name)
            if head.values:
                chances[head.name] = answer.double().softmax(1)  # 1 - 1e-9 is not 1
                values[:, column] = answer.argmax(1).float()
            else:
                values[:, column] = answer.clamp(head.low, head.high)
        people = FaceAttributes(values)
        return self.scale.apply(people) if self.scale is not None else people, chances

    @torch.no_grad()
    def look(self, image: Tensor) -> Look:
        """Show pictures to the judges, [n, 3, h, w] in [-1, 1]."""
        people, chances = self.read(image)
        return Look(
            people,
            chances,
            self.recognizer(image.clamp(-1, 1)).cpu(),
            self._seen["pooled"].cpu(),
            self._seen["maps"],
        )

    def span(self, head: AttributeHead) -> tuple[float, float]:
        """Return between what values an attribute usually lies."""
        return self.scale.span(head.name) if self.scale is not None else (head.low, head.high)


# ------------------------------------------------------------------------------ the sentence
def success(prompt: Prompt, look: Look) -> Tensor:
    """Return which statements of a prompt the judge reads as true, [n, statements] bool."""
    return torch.stack([is_true(key, look.people) for key in prompt.statements], dim=1)


def progress(prompt: Prompt, look: Look) -> Tensor:
    """Return how far each picture is on its way to the prompt, [n] in [0, 1].

    The mean over the conditions of its statements: the probability of the values asked for, or
    the place in the range, counted towards the end asked for.
    """
    parts = [
        _towards(condition, name, look).double()
        for key in prompt.statements
        for name, condition in find(key).when.items()
    ]
    return torch.stack(parts).mean(0)


def _towards(condition: Any, name: str, look: Look) -> Tensor:
    spec, value = SPECS[name], look.people.column(name)
    if isinstance(condition, OneOf | HairColor):
        wanted = [place for place, text in enumerate(spec.values) if text in condition.values]
        if name in look.chances:
            return look.chances[name][:, wanted].sum(1)
        return torch.isin(value.round(), torch.tensor(wanted).float()).float()
    if isinstance(condition, Hue):
        turn = (value - condition.centre + 0.5) % 1.0 - 0.5
        return 1 - 2 * turn.abs()
    assert isinstance(condition, Within)
    place = (value - spec.low) / (spec.high - spec.low)
    if math.isinf(condition.low):
        return 1 - place
    if math.isinf(condition.high):
        return place
    middle = ((condition.low + condition.high) / 2 - spec.low) / (spec.high - spec.low)
    return 1 - (place - middle).abs()


# ------------------------------------------------------------------------------ the rest
def shares_of(segmentation: Tensor | None) -> dict[str, Tensor]:
    """Return each region's share of one picture; empty where nobody knows the regions."""
    return {} if segmentation is None else region_shares(segmentation, REGIONS)


def others_in_sight(
    prompt: Prompt,
    heads: Sequence[AttributeHead],
    person: FaceAttributes,
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
) -> list[AttributeHead]:
    """Return the attributes that an edit should leave and that can be seen before and after it.

    Args:
        prompt: What is asked for.
        heads: What the judge reads.
        person: One person before the edit.
        before: Each region's share of the picture; empty: the attributes alone decide.
        after: The same after the true edit.
    """
    values = {head.name: head.values for head in heads}
    seen = {head.name: True for head in heads if head.name not in prompt.affected}
    for people, shares in ((person, before), (person.replace(**prompt.changes), after)):
        truth = {name: people.column(name) for name in SPECS}
        known = shares or dict.fromkeys(REGIONS, torch.ones(1))
        for name in seen:
            seen[name] = seen[name] and bool(in_sight(name, truth, values, known))
    return [head for head in heads if seen.get(head.name, False)]


def collateral(judges: Judges, heads: Sequence[AttributeHead], before: Look, after: Look) -> Tensor:
    """Return the share of attributes that the judge reads differently after an edit, [n].

    A value of a list has changed when another is likeliest; a number when it has moved by more
    than a quarter of its usual span, a hue by more than a sixth of the circle.
    """
    moved = []
    for head in heads:
        was, now = before.people.column(head.name), after.people.column(head.name)
        if head.values:
            moved.append(was != now)
        elif head.circular:
            turn = (now - was) / (head.high - head.low)
            moved.append(((turn + 0.5) % 1.0 - 0.5).abs() > TURNED)
        else:
            low, high = judges.span(head)
            moved.append((now - was).abs() > CLEAR_SHARE * max(high - low, 1e-6))
    if not moved:
        return torch.zeros(len(after.people))
    return torch.stack(moved).float().mean(0)


def changed_region(before: Tensor, after: Tensor) -> Tensor:
    """Return where the true edit can be seen, widened a little, [1, 1, h, w] in {0, 1}.

    Args:
        before: A render, [1, 3, h, w] in [-1, 1].
        after: The same person after the true edit.
    """
    seen = ((after - before).abs().amax(1, keepdim=True) > SEEN_CHANGE).float()
    reach = max(1, round(MARGIN * before.shape[-1]))
    return F.max_pool2d(seen, 2 * reach + 1, stride=1, padding=reach)


def masked_psnr(image: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """Return the PSNR in dB over the pixels of a mask, [n]; NaN for an empty mask.

    Args:
        image: [n, 3, h, w] in [-1, 1].
        reference: [1 or n, 3, h, w].
        mask: [1 or n, 1, h, w].
    """
    square = (image.clamp(-1, 1) - reference.clamp(-1, 1)).square().mean(1, keepdim=True)
    total = (square * mask).flatten(1).sum(1)
    area = mask.expand_as(square).flatten(1).sum(1)
    error = torch.where(area > 0, total / area.clamp(min=1), torch.nan)
    return (10 * torch.log10(4 / error.clamp(min=4 * 10 ** (-EQUAL_DB / 10)))).cpu()


def feature_distance(maps_a: Sequence[Tensor], maps_b: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Return how different pictures look to the judge within a mask, [n].

    LPIPS without its learned weights (Zhang et al., arXiv:1801.03924): features made unit length
    at every place, squared differences summed over channels, averaged over places and layers.

    Args:
        maps_a: Feature maps of n pictures.
        maps_b: Feature maps of one picture, or of n.
        mask: [1, 1, h, w]; NaN is returned for an empty one.
    """
    layers = []
    for a, b in zip(maps_a, maps_b, strict=True):
        gap = (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1, keepdim=True)
        weight = F.adaptive_avg_pool2d(mask.to(gap), (gap.shape[-2], gap.shape[-1]))
        area = weight.sum()
        layers.append(
            (gap * weight).flatten(1).sum(1) / area if area > 0 else gap.sum() * torch.nan
        )
    return torch.stack([layer.expand(len(maps_a[0])) for layer in layers]).mean(0).cpu()
