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
        """Return keys and values of sequences of one length, a pair [n, heads, length, d] a layer.

        Args:
            ids: n sequences.
            clip: Who reads them.
        """
        place = clip.model.logit_scale.device
        if len(self.known) > REMEMBERED or any(
            kv[0][0].device != place for kv in self.known.values()
        ):
            self.known.clear()
        new = [row for row in dict.fromkeys(ids) if row not in self.known]
        if new:
            layers = clip.model.text_model.keys_values(torch.tensor(new, device=place))
            for index, row in enumerate(new):
                self.known[row] = [(key[index], value[index]) for key, value in layers]
        rows = [self.known[row] for row in ids]
        return [
            (
                torch.stack([row[layer][0] for row in rows]),
                torch.stack([row[layer][1] for row in rows]),
            )
            for layer in range(len(rows[0]))
        ]


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
    order = sorted(range(len(rows)), key=lambda i: (shared[i], len(rows[i])))
    for (before, _), group in groupby(order, key=lambda i: (shared[i], len(rows[i]))):
        chosen = list(group)
        ids = torch.tensor([rows[i][before:] for i in chosen], device=found.device)
        past = beginnings.of([rows[i][:before] for i in chosen], clip)
        found[chosen] = clip.model.text_features(ids, past).float()
    return F.normalize(found, dim=-1).unflatten(0, (len(texts), len(frames)))


def _shared(row: Ids, start: Sequence[int]) -> int:
    """Return how many tokens of a row its frame decides: those that it shares with its start."""
    count = 0
    for mine, theirs in zip(row[:-1], start[:-1], strict=False):
        if mine != theirs:
            break
        count += 1
    return count
