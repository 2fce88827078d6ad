"""Scores of an edit, by the networks that the methods see; independent judges are elsewhere."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.types import Face, Sentence

REMEMBERED = 4  # faces before an edit


class Scores:
    """Measures edits, and remembers what the networks saw in the latest faces before an edit."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, tuple[Tensor, Backbones, dict[str, Tensor]]] = OrderedDict()

    @torch.no_grad()
    def of(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, float]:
        """Return the scores of an edit of one face; higher is better for all.

        clip_score is the cosine of image and sentence, clip_gain how much the edit raised it,
        identity the cosine of the two faces.

        Args:
            source: The face before.
            edited: And after.
            sentence: What was asked for.
            backbones: Needs `clip`; `identity` is measured where it is there.
        """
        before = self._remembered(source.image, backbones)
        after = before if edited is source else seen(edited.image, backbones)
        fits = [float((found["clip"] @ sentence.target[0])[0]) for found in (before, after)]
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
    found = {"clip": backbones.clip.encode_image(image)}
    if backbones.identity is not None:
        found["identity"] = backbones.identity.embed(image)
    return found
