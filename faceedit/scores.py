"""Scores of an edit, by the networks that the methods see; independent judges are elsewhere.

They are measured when somebody reads them: CLIP and the identity network take as long as a third of
a face of 1024 px, and most edits of a folder are never looked at that way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.types import Face, Sentence

REMEMBERED = 4  # faces before an edit


class Measured(Mapping[str, float]):
    """Scores by name that are measured when they are first read; a copy is a plain dictionary."""

    def __init__(self, measure: Callable[[], dict[str, float]]) -> None:
        self._measure: Callable[[], dict[str, float]] | None = measure
        self._found: dict[str, float] = {}

    def _scores(self) -> dict[str, float]:
        if self._measure is not None:
            self._found, self._measure = self._measure(), None
        return self._found

    def __getitem__(self, name: str) -> float:
        return self._scores()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scores())

    def __len__(self) -> int:
        return len(self._scores())

    def __repr__(self) -> str:
        return repr(self._scores())

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self._scores()),)


class Scores:
    """Measures edits, and remembers what the networks saw in the latest faces before an edit."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, tuple[Tensor, Backbones, dict[str, Tensor]]] = OrderedDict()

    def of(self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones) -> Measured:
        """Return the scores of an edit of one face, measured later; higher is better for all.

        clip_score is the cosine of image and sentence, clip_gain how much the edit raised it,
        identity the cosine of the two faces.

        Args:
            source: The face before.
            edited: And after.
            sentence: What was asked for.
            backbones: Needs `clip`; `identity` is measured where it is there.
        """
        return Measured(lambda: self._measured(source, edited, sentence, backbones))

    @torch.no_grad()
    def _measured(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, float]:
        before = self._remembered(source.image, backbones)
        after = before if edited is source else seen(edited.image, backbones)
        target = sentence.target[0].to(before["clip"])
        fits = [float((found["clip"] @ target)[0]) for found in (before, after)]
        scores = {"clip_score": fits[1], "clip_gain": fits[1] - fits[0]}
        if "identity" in before:
            scores["identity"] = float((before["identity"] * after["identity"]).sum())
        return scores

    def _remembered(self, image: Tensor, backbones: Backbones) -> dict[str, Tensor]:
        """Return what the networks see in a picture; the tensor itself tells which it is."""
        known = self._seen.get(id(image))  # it is held below, so that no other gets its number
        if known is None or known[0] is not image or known[1] is not backbones:
            known = (image, backbones, seen(image, backbones))
            self._seen[id(image)] = known
        self._seen.move_to_end(id(image))
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return known[2]


def seen(image: Tensor, backbones: Backbones) -> dict[str, Tensor]:
    """Return what CLIP and the identity network see in one face, unit vectors [1, d] by name."""
    image = image.to(next(backbones.clip.parameters(), image).device)
    found = {"clip": backbones.clip.encode_image(image)}
    if backbones.identity is not None:
        found["identity"] = backbones.identity.embed(image)
    return found
