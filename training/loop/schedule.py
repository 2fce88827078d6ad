"""What a step number decides: its phase and its learning rate. No state, so none to save."""

from __future__ import annotations

import math
from collections.abc import Sequence

from training.config import TrainConfig
from training.task import Phase

__all__ = ["phase_at", "rate_factor", "schedule"]


def rate_factor(config: TrainConfig, step: int) -> float:
    """Return the learning rate's factor at a step: warm-up, plateau, cosine at the end."""
    if step < config.lr_warmup_steps:
        return (step + 1) / (config.lr_warmup_steps + 1)
    start = config.max_train_steps * (1 - config.lr_decay_share)
    if config.lr_scheduler == "constant" or step < start:
        return 1.0
    done = (step - start) / max(1.0, config.max_train_steps - start)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def schedule(phases: Sequence[Phase], total: int) -> list[tuple[int, Phase]]:
    """Return (first step after it, phase) for every phase that has steps."""
    left = max(0, total - sum(phase.steps or 0 for phase in phases if phase.steps is not None))
    shares = sum(phase.share for phase in phases if phase.steps is None)
    ends, end = [], 0.0
    for phase in phases:
        end += phase.steps if phase.steps is not None else left * phase.share / shares
        ends.append((round(end), phase))
    return ends


def phase_at(ends: list[tuple[int, Phase]], step: int) -> Phase:
    """Return the phase of a step; the last one goes on as long as there are steps."""
    return next((phase for end, phase in ends if step < end), ends[-1][1])
