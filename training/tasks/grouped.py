"""Trains a method on sentences drawn from groups of segments, as ManiCLIP does.

A *group* is a category (hair, mouth, ...), a list of *aspects* (colour, cut, ...), each a list of
*segments* of which at most one can be true ("red hair", "black hair"). A sentence is made of
segments of one group: what belongs to other categories is then never asked for, so the method
learns to leave it alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from faceedit.types import Face, Sentence
from faceedit.words.sentence import read
from training.config import ConfigError, TrainConfig
from training.data.shards import mix
from training.tasks.method import MethodOptions, MethodTask

__all__ = ["GroupedOptions", "GroupedSentences", "GroupedTask"]

Groups = Mapping[str, Sequence[Sequence[str]]]  # category -> aspects -> segments


@dataclass(frozen=True)
class GroupedOptions(MethodOptions):
    """What a recipe says: `groups` are trained on, `prompts` are those of the sample sheet."""

    groups: dict[str, Any] = field(default_factory=dict)
    segments: int = 3  # most of a sentence
    mixed: float = 0.0  # share of sentences whose segments come from any group, as without
    # decoupling
    subjects: tuple[str, ...] = ("",)  # what a sentence begins with, like "she has "
    joints: tuple[str, ...] = (", ", " and ")  # between segments


class GroupedSentences:
    """Sentences of segments; which one place `p` gets depends on the seed and `p` alone."""

    def __init__(self, options: GroupedOptions, clip: Any, seed: int) -> None:
        self.options, self.clip, self.seed = options, clip, seed
        self.groups = checked(options.groups)

    def text(self, position: int) -> str:
        """Return the sentence of a place."""
        options = self.options
        rng = random.Random(mix(self.seed, position, 5))
        if rng.random() < options.mixed:
            aspects = [aspect for group in self.groups.values() for aspect in group]
        else:
            aspects = list(self.groups[rng.choice(list(self.groups))])
        count = rng.randint(1, min(options.segments, len(aspects)))
        parts = [rng.choice(list(aspect)) for aspect in rng.sample(aspects, count)]
        return rng.choice(options.subjects) + rng.choice(options.joints).join(parts)

    def __call__(self, positions: range) -> Sentence:
        """Return one sentence a place."""
        return read([self.text(p) for p in positions], self.options.neutral, self.clip)


class GroupedTask(MethodTask):
    """A trained method whose sentences are drawn by group sampling."""

    options_class = GroupedOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self.grouped = GroupedSentences(self.options, self.backbones.clip, config.seed)

    def batch(self, positions: range) -> tuple[Face, Sentence]:
        """Return random faces, each with a sentence of one group's segments."""
        half = self.config.mixed_precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return self.faces(positions), self.grouped(positions)


def checked(groups: Any) -> Groups:
    """Return the recipe's groups, or say what is wrong with them.

    Raises:
        ConfigError: If they are no mapping of categories to lists of lists of segments.
    """

    def filled(part: Any) -> bool:
        return isinstance(part, list | tuple) and len(part) > 0

    sound = isinstance(groups, dict) and bool(groups)
    for aspects in groups.values() if sound else ():
        sound = sound and filled(aspects) and all(filled(aspect) for aspect in aspects)
        sound = sound and all(isinstance(s, str) and s for a in aspects for s in a)
    if not sound:
        raise ConfigError(
            "the recipe's groups must look like {hair: [[red hair, black hair], [long hair]]}: "
            "categories, their aspects, and for each the segments that exclude one another"
        )
    return dict(groups)
