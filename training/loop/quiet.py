"""What surrounds a run: modules at rest while others look, and how this machine computes."""

from __future__ import annotations

import os

import torch
from torch import nn

from training.memory import keep_freed_memory


class Resting:
    """Puts modules into evaluation mode for a while, then back into training mode."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self.modules = [part for module in modules for part in module.modules()]
        self.modes = [part.training for part in self.modules]

    def __enter__(self) -> None:
        for part in self.modules:
            part.training = False

    def __exit__(self, *_: object) -> None:
        for part, mode in zip(self.modules, self.modes, strict=True):
            part.training = mode


def settle(device: torch.device) -> None:
    """Give a CPU process one thread: two processes of one thread beat one of two, by far."""
    torch.set_flush_denormal(True)
    if device.type == "cpu":
        keep_freed_memory()
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    else:
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
