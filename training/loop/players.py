"""The players of a step: the module that moves, its optimizer, and what carries its gradients."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training.config import TrainConfig
from training.task import Turn, total_loss


class Scored(nn.Module):
    """A turn's step as one forward pass to a scalar loss, the shape DDP and autocast wrap."""

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        self.step = step

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its detached terms."""
        terms = self.step(*batch) if isinstance(batch, tuple) else self.step(batch)
        return total_loss(terms), {name: value.detach() for name, value in terms.items()}


@dataclass(frozen=True)
class Player:
    """A turn made ready: its wrapped module, its parameters and their optimizer."""

    turn: Turn
    module: nn.Module
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer


def ready(turn: Turn, config: TrainConfig, accelerator: Accelerator) -> Player:
    """Return who moves in a turn, with its optimizer."""
    parameters = [p for p in turn.step.parameters() if p.requires_grad]
    groups = turn.groups() if turn.groups else [{"params": parameters}]
    optimizer = torch.optim.AdamW(
        [{"lr_scale": 1.0, **group} for group in groups],
        lr=turn.learning_rate or config.learning_rate,
        betas=turn.betas or (config.adam_beta1, config.adam_beta2),
        eps=config.adam_epsilon,
        weight_decay=config.adam_weight_decay,
        fused=True,
    )
    return Player(turn, accelerator.prepare(Scored(turn.step)), parameters, optimizer)


def exchange(accelerator: Accelerator, module: nn.Module, last: bool) -> Any:
    """Exchange gradients between processes only in the last accumulation round."""
    return nullcontext() if last else accelerator.no_sync(module)


@torch.no_grad()
def follow(average: nn.Module, live: nn.Module, decay: float) -> None:
    """Move averaged weights towards live ones; buffers are copied."""
    pairs = list(zip(average.parameters(), live.parameters(), strict=True))
    torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], 1 - decay)
    for a, b in zip(average.buffers(), live.buffers(), strict=True):
        a.copy_(b)


def to_device(batch: Any, device: torch.device) -> Any:
    """Move tensors, and what has `.to`, alone or in tuples, lists and dicts."""
    if isinstance(batch, tuple):
        return tuple(to_device(item, device) for item in batch)
    if isinstance(batch, list):
        return [to_device(item, device) for item in batch]
    if isinstance(batch, dict):
        return {name: to_device(item, device) for name, item in batch.items()}
    return batch.to(device) if hasattr(batch, "to") else batch
