"""Terms that need a true edit or a reader of attributes, which only a rendered world has.

They are `counterfactual`'s; what several papers share is in `faceedit.losses.terms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

CHANGED = 0.04  # mean difference of two pixels, of 2, from which a place counts as changed
REACH = 2  # px by which the changed region is enlarged at 128 px
NEVER = -1e4  # a logit; finite, so that gradients are
SURER = 3.0  # by how much a reader's log-odds should rise
RISE = 0.15  # of an amount, in half ranges: counts as much as 1 in log-odds


def image_distance(source: Tensor, edited: Tensor, truth: Tensor, weight_outside: float) -> Tensor:
    """Return the mean difference from the true edit; where that changes nothing, it counts more.

    Args:
        source: Images before, [n, 3, h, w], RGB in [-1, 1].
        edited: After the edit.
        truth: As they should be.
        weight_outside: What a pixel weighs more that is the same in `source` and `truth`.
    """
    reach = max(1, round(REACH * source.shape[-1] / 128))
    moved = (truth - source).abs().mean(dim=1, keepdim=True).gt(CHANGED).float()
    moved = F.max_pool2d(moved, 2 * reach + 1, stride=1, padding=reach)
    return ((edited - truth).abs() * (1 + weight_outside * (1 - moved))).mean()


@dataclass(frozen=True)
class Meaning:
    """What n sentences say of attributes, and what a reader saw before."""

    wanted: Mapping[str, Tensor]  # attribute -> which of its values are asked for, [n, values] bool
    meant: Mapping[str, Tensor]  # attribute -> whether anything is said of it, [n] bool
    seen: Mapping[str, Tensor]  # attribute -> the reader's raw answer to compare with, [n, outputs]
    # amount -> 1 where more of it is asked for, -1 where less is, 0 where neither, [n]
    rising: Mapping[str, Tensor] = field(default_factory=dict)


def log_odds(answer: Tensor, wanted: Tensor) -> Tensor:
    """Return how sure a reader is of one of the values asked for, [n].

    Args:
        answer: Logits of an attribute's values, [n, values].
        wanted: Which of them are asked for, [n, values] bool.
    """
    inside = answer.masked_fill(~wanted, NEVER).logsumexp(dim=1)
    return inside - answer.masked_fill(wanted, NEVER).logsumexp(dim=1)


def unseen(now: Mapping[str, Tensor], meaning: Meaning) -> Tensor:
    """Return what lacks for the reader to be surer of what is asked for, the mean over that.

    Surer is a value with larger log-odds, or an amount that is read further the way it should go.
    """
    short, asked = [], []
    for name, wanted in meaning.wanted.items():
        gain = log_odds(now[name], wanted) - log_odds(meaning.seen[name], wanted)
        short.append(F.softplus(SURER - gain))
        asked.append(wanted.any(dim=1))
    for name, way in meaning.rising.items():
        gain = way * (now[name] - meaning.seen[name])[:, 0] / RISE
        short.append(F.softplus(SURER - gain))
        asked.append(way != 0)
    counts = torch.stack(asked).float()
    return (torch.stack(short) * counts).sum() / counts.sum().clamp(min=1)


def disturbed(now: Mapping[str, Tensor], meaning: Meaning) -> Tensor:
    """Return how differently the reader sees all that nothing is said of, the mean over images."""
    total = torch.zeros(())
    for name, meant in meaning.meant.items():
        before, after = meaning.seen[name], now[name]
        if name in meaning.wanted:
            kept = F.kl_div(
                after.log_softmax(1), before.log_softmax(1), reduction="none", log_target=True
            )
            change = kept.sum(dim=1)
        else:
            change = (after - before).abs().mean(dim=1)
        total = total + (change * ~meant).mean()
    return total
