"""A task small enough for the loop's tests: two turns, dropout, an average, two phases.

As a program (`python tests/training/toy.py --task toy ...`) it trains like training/train.py, so
that tests can kill it or launch it on two processes.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import PIL.Image
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.task import Phase, Task, Turn
from training.train import main


@dataclass(frozen=True)
class ToyOptions:
    width: int = 8
    dropout: float = 0.25
    delay: float = 0.0  # seconds a step, so that a test can kill between steps
    explode_at: int = -1
    phases: int = 2


class FitStep(nn.Module):
    """Regress the mean of the pixels; dropout makes it depend on the random state."""

    def __init__(self, net: nn.Module, task: ToyTask) -> None:
        super().__init__()
        self.net = net
        self.unregistered = (task,)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        task = self.unregistered[0]
        error = self.net(batch) - batch.mean(1, keepdim=True)
        scale = float("nan") if task.global_step == task.options.explode_at else 1.0
        return {"square": scale * error.square().mean(), "log_abs": error.abs().mean()}


class CriticStep(nn.Module):
    """Predict the first net's output, with gradients flowing only here."""

    def __init__(self, critic: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.critic = critic
        self.unregistered = (net,)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        return {"gap": (self.critic(batch) - self.unregistered[0](batch)).square().mean()}


class ToyTask(Task):
    options_class = ToyOptions
    averaged = ("net",)

    def __init__(self, config, device) -> None:
        super().__init__(config, device)
        width = self.options.width
        self.net = nn.Sequential(
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Dropout(self.options.dropout),
            nn.Linear(width, 1),
        )
        self.critic = nn.Linear(width, 1)

    def modules(self):
        return {"net": self.net, "critic": self.critic}

    def turns(self):
        critic = Turn("critic", CriticStep(self.critic, self.net), learning_rate=0.02)
        return (Turn("fit", FitStep(self.net, self)), critic)

    def phases(self):
        if self.options.phases == 1:
            return (Phase("both"),)
        if self.options.phases == 3:
            return (Phase("both", steps=10), Phase("alone", turns=("fit",)))
        return (Phase("alone", steps=7, turns=("fit",), batch_size=3), Phase("both"))

    def before_step(self) -> None:
        time.sleep(self.options.delay)

    def batch(self, positions: range) -> Tensor:
        rows = [torch.Generator().manual_seed(1000 + p) for p in positions]
        return torch.stack([torch.rand(self.options.width, generator=g) for g in rows])

    def samples(self):
        torch.rand(3)  # must not disturb the training
        return PIL.Image.new("RGB", (8, 8))

    def evaluate(self):
        net = self.averaged_or_live("net")
        return {"error": float(net(self.batch(range(64))).mean())}

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.averaged_or_live("net").state_dict(), folder / "model.safetensors")


if __name__ == "__main__":
    from training.tasks import TASKS

    TASKS["toy"] = lambda: ToyTask
    sys.exit(main())
