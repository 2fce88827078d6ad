"""Sentences in frames, read by a CLIP of the web: what stands before a sentence is read once.

StyleCLIP reads every sentence in 79 frames ("a bad photo of a {}."), which takes CLIP's text tower
longer than it takes StyleGAN2 to draw a face. The tower is causal: what a token becomes depends on
those before it alone. So keys and values of the frames' beginnings are kept, and a sentence costs
its own tokens only; sentences of one length are read together, without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from faceedit.backbones.clip import Clip
    from faceedit.backbones.clip_towers import KeysValues

REMEMBERED = 256  # beginnings, each some 300 kB of an official CLIP

Ids = tuple[int, ...]


class Beginnings:
    """The keys and values of token sequences that many sentences begin with."""

    def __init__(self) -> None:
        self.known: dict[Ids, KeysValues] = {}
        self.place: torch.device | None = None  # where they are

    def of(self, ids: Sequence[Ids], clip: Clip) -> KeysValues:
        """Return keys and values of sequences, a pair [n, heads, longest, d] a layer.

        Args:
            ids: n sequences; shorter ones are padded.
            clip: Who reads them.
        """
        place = clip.model.logit_scale.device
        if len(self.known) > REMEMBERED or self.place != place:
            self.known.clear()
            self.place = place
        new = sorted({row for row in ids if row not in self.known}, key=len)
        for _, group in groupby(new, key=len):
            rows = list(group)
            layers = clip.model.text_model.keys_values(torch.tensor(rows, device=place))
            for index, row in enumerate(rows):
                self.known[row] = [(key[index], value[index]) for key, value in layers]
        longest = max(map(len, ids))
        layered = zip(*(self.known[row] for row in ids), strict=True)
        return [
            (_stacked(keys, longest), _stacked(values, longest))
            for keys, values in (zip(*pairs, strict=True) for pairs in layered)
        ]


def _stacked(rows: Sequence[Tensor], longest: int) -> Tensor:
    """Return tensors [heads, length, d] as one, [n, heads, longest, d], with zeros behind."""
    return torch.stack([F.pad(row, (0, 0, 0, longest - row.shape[1])) for row in rows])


@torch.no_grad()
def encode_framed(
    clip: Clip, texts: Sequence[str], frames: Sequence[str], beginnings: Beginnings
) -> Tensor:
    """Return unit embeddings of every text in every frame, [texts, frames, embed_dim].

    Args:
        clip: Who reads them.
        texts: What is said.
        frames: With one "{}" each.
        beginnings: What has been read of the frames; filled.
    """
    rows = [tuple(r) for r in clip.token_rows([f.format(t) for t in texts for f in frames])]
    starts = clip.token_rows([frame.partition("{}")[0].strip() for frame in frames])
    shared = [_shared(row, starts[index % len(frames)]) for index, row in enumerate(rows)]
    found = torch.empty(len(rows), clip.embed_dim, device=clip.model.logit_scale.device)
    rest = [row[count:] for row, count in zip(rows, shared, strict=True)]
    order = sorted(range(len(rows)), key=lambda i: len(rest[i]))
    for _, group in groupby(order, key=lambda i: len(rest[i])):
        chosen = list(group)
        past = beginnings.of([rows[i][: shared[i]] for i in chosen], clip)
        ids, lengths = (
            torch.tensor([of[i] for i in chosen], device=found.device) for of in (rest, shared)
        )
        found[chosen] = clip.model.text_features(ids, past, lengths).float()
    return F.normalize(found, dim=-1).unflatten(0, (len(texts), len(frames)))


def _shared(row: Ids, start: Sequence[int]) -> int:
    """Return how many tokens of a row its frame decides: those that it shares with its start."""
    count = 0
    for mine, theirs in zip(row[:-1], start[:-1], strict=False):
        if mine != theirs:
            break
        count += 1
    return count
