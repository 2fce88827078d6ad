"""Descent of one face's code, shared by the methods that optimize at editing time.

Codes are moved in *official units*: an offset of 1 is twice an entry's standard deviation over
random faces, which is 1 for the generators that the papers' settings were chosen for. The same
learning rate and weights then suit a generator of any scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from faceedit.progress import report
from faceedit.types import Space

DEVIATION_SAMPLES = 512  # faces over which an entry's deviation is taken
WARM_UP, COOL_DOWN = 0.05, 0.25  # shares of the steps with a growing and a falling learning rate
_UNITS: WeakKeyDictionary[Any, dict[Space, Tensor]] = WeakKeyDictionary()


def ramp(progress: float) -> float:
    """Return StyleCLIP's factor of the learning rate: up in the first 5 %, down in the last 25 %.

    Args:
        progress: In (0, 1); the factor is 0 at either end.
    """
    fall = min(1.0, (1.0 - progress) / COOL_DOWN)
    return (0.5 - 0.5 * math.cos(math.pi * fall)) * min(1.0, progress / WARM_UP)


@torch.no_grad()
def code_unit(generator: Any, space: Space) -> Tensor:
    """Return what an offset of 1 is worth in each entry of a code; never 0.

    It is computed once for a generator, and forgotten with it.

    Args:
        generator: Draws the random faces.
        space: W_PLUS gives [w_dim], S gives [C].
    """
    kept = _UNITS.setdefault(generator, {})
    if space not in kept:
        draws = torch.Generator().manual_seed(0)
        w_plus = generator.sample_w_plus(DEVIATION_SAMPLES, draws, truncation_psi=1.0)
        spread = (w_plus[:, 0] if space is Space.W_PLUS else generator.styles(w_plus)).std(dim=0)
        floor = spread.mean().clamp(min=1e-6)  # of entries that never move
        kept[space] = 2 * torch.where(spread > 1e-6, spread, floor)
    return kept[space]


def w_plus_unit(generator: Any) -> Tensor:
    """Return what an offset of 1 is worth in each entry of w, [w_dim]; never 0."""
    return code_unit(generator, Space.W_PLUS)


def add_units(method: nn.Module, entries: int) -> None:
    """Give a method its buffers `centre` and `unit`: what codes are measured from, and in.

    They are 0 and 1, as official weights need, until `set_units` measures a generator.
    """
    method.register_buffer("centre", torch.zeros(entries))
    method.register_buffer("unit", torch.ones(entries))


def set_units(method: Any, generator: Any, space: Space = Space.W_PLUS) -> None:
    """Set a method's `centre` to a generator's mean code and its `unit` to `code_unit`."""
    centre = generator.w_avg
    if space is Space.S:
        centre = generator.styles(generator.broadcast(centre[None]))[0]
    method.centre.copy_(centre)
    method.unit.copy_(code_unit(generator, space))


def layer_gate(layers: tuple[int, int] | None, generator: Any) -> Tensor:
    """Return 1 for the w_plus layers [first, end) and 0 for the others, [num_ws, 1]."""
    gate = torch.zeros(generator.num_ws, 1)
    first, end = layers or (0, generator.num_ws)
    gate[first:end] = 1.0
    return gate


def descend(
    start: Tensor,
    unit: Tensor,
    score: Callable[[Tensor], Tensor],
    steps: int,
    learning_rate: float,
    schedule: Callable[[float], float] = ramp,
    patience: int | None = None,
    gain: float = 1e-4,
    shared: bool = False,
    first: Tensor | None = None,
) -> Tensor:
    """Return the code with the lowest score that Adam meets on its way.

    Args:
        start: Codes, [n, ...]. The start itself is never the answer, unless there are no steps.
        unit: What an offset of 1 is worth, broadcast to the codes; 0 keeps an entry.
        score: Codes -> a scalar, lower is better; each code's share must not depend on the others.
        steps: Steps of Adam.
        learning_rate: Of an offset, in units.
        schedule: Progress in (0, 1) -> factor of the learning rate.
        patience: Stop where this many steps together have not gained `gain`; None = never.
        gain: See `patience`.
        shared: Move all layers of a w_plus code by one offset. A generator that has seen only one w
            for all its layers draws faces along it; an offset a layer leads to pictures that
            please CLIP and nobody else.
        first: The offset to begin with, broadcast to that of the codes; None = 0.
    """
    start = start.detach()
    offset = torch.zeros_like(start[:, :1] if shared else start)
    offset = (offset if first is None else offset + first.detach()).requires_grad_()
    optimizer = torch.optim.Adam([offset], lr=learning_rate)
    best, lowest, scores = offset.detach(), math.inf, []
    for step in range(steps + 1):
        with torch.enable_grad():
            loss = score(start + offset * unit)
        scores.append(loss.item())
        report(step, steps)
        if step > 0 and scores[-1] < lowest:
            best, lowest = offset.detach().clone(), scores[-1]
        if step == steps or _stalled(scores, patience, gain):
            break
        optimizer.param_groups[0]["lr"] = learning_rate * schedule((step + 1) / (steps + 1))
        (offset.grad,) = torch.autograd.grad(loss, offset)
        optimizer.step()
    return start + best * unit


def _stalled(scores: list[float], patience: int | None, gain: float) -> bool:
    """Return whether the last `patience` steps have lowered the best score by less than `gain`."""
    if patience is None or len(scores) <= 2 * patience:
        return False
    return min(scores[:-patience]) - min(scores[-patience:]) < gain
