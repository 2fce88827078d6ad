"""What a task gives to the training loop: modules, turns, phases, batches, pictures, numbers.

A task knows its networks and its loss; the loop knows optimizers, precision, processes, averaging,
logging and checkpoints, and no formula. The words:

- *step*: one update of everything; counted by `max_train_steps`.
- *turn*: one player's move inside a step, with its own optimizer. Most tasks have one turn; a GAN
  has two, the generator's and the discriminator's.
- *phase*: a stretch of steps that share batch size and turns, such as "32 px" before "64 px".

Everything random in a step must come from torch's default generator (`torch.randn(...)` without a
`generator`): the loop seeds it from (seed, step, process) before every step. That is why a resumed
run equals an uninterrupted one to the bit, and why drawing sample sheets never disturbs training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import PIL.Image
import torch
from torch import Tensor, nn

from training.config import ConfigError, TrainConfig, build_options

__all__ = ["NoOptions", "Phase", "SolvedTask", "Task", "Turn"]


@dataclass(frozen=True)
class NoOptions:
    """Options of a task that has none."""


@dataclass(frozen=True)
class Turn:
    """One player's move in a step: a forward pass to a loss, a backward pass, an optimizer step.

    `step` is an `nn.Module` because DistributedDataParallel hangs its gradient exchange on a
    module's call. Its `forward(batch)` (`forward(*batch)` where the batch is a tuple) returns a
    dict of scalar terms; their sum is the loss. Names that start with `log_` are only logged.

    The step must register as submodules exactly the networks that this turn trains. Whatever it
    only reads (frozen backbones, the other player) it keeps unregistered: inside a tuple, a
    dataclass, or as the task itself. The loop turns `requires_grad` off for the other turns'
    parameters while this one moves.
    """

    name: str  # key of the optimizer in checkpoints and prefix in the log where turns are several
    step: nn.Module
    learning_rate: float | None = None  # None: the run's
    betas: tuple[float, float] | None = None  # None: the run's
    groups: Callable[[], list[dict[str, Any]]] | None = None
    # torch parameter groups, to give some parameters "lr_scale" or "weight_decay" of their own;
    # None: one group with every parameter of `step` that requires a gradient


@dataclass(frozen=True)
class Phase:
    """A stretch of steps. Give `steps` for an exact length, or `share` of what those leave."""

    name: str
    share: float = 1.0
    steps: int | None = None
    turns: tuple[str, ...] | None = None  # in this order within a step; None: all
    batch_size: int | None = None  # a process; None: the run's train_batch_size
    learning_rate_scale: float = 1.0


class Task(ABC):
    """Something that can be trained.

    The loop calls, in this order: the constructor (after seeding torch, so that networks built
    there start equal on every process), `open_data`, `modules`, `turns`, `phases`; then for each
    step `batch` and the turns; now and then `samples`; at the end `evaluate` and `export`.

    Set by the loop before every step, for tasks that do something now and then:
    `global_step` (0 first), `phase`, and `progress` in [0, 1). Do not count steps yourself:
    such a counter would be lost on resuming. Running means belong into module buffers.
    """

    options_class: ClassVar[type] = NoOptions  # frozen dataclass: the recipe's `options`, --set
    averaged: ClassVar[tuple[str, ...]] = ()  # names in `modules` whose moving average is kept

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.options: Any = build_options(self.options_class, config.options)
        self.global_step = 0
        self.progress = 0.0
        self.phase = Phase("start")
        self.averages: dict[str, nn.Module] = {}  # filled by the loop, in evaluation mode

    # What is trained ----------------------------------------------------------------------

    @abstractmethod
    def modules(self) -> dict[str, nn.Module]:
        """Return every module with state that training changes, by name, for checkpoints."""

    @abstractmethod
    def turns(self) -> Sequence[Turn]:
        """Return the turns; called once."""

    def phases(self) -> Sequence[Phase]:
        """Return the phases in order; called once."""
        return (Phase("train"),)

    def enter(self, phase: Phase) -> None:  # noqa: B027  (a hook; most tasks need none)
        """Prepare for a phase; called at each start of one and after resuming into one."""

    def before_step(self) -> None:  # noqa: B027  (a hook; most tasks need none)
        """Run once before the turns of each step, after `global_step` has been set."""

    # What it learns from ------------------------------------------------------------------

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Open the data set and return what fixes its content, as JSON values.

        Args:
            recorded: What an earlier run of this checkpoint returned, so that the same files are
                used again although more have been added; None for a new run or `--refresh_data`.
        """
        del recorded
        return {}

    @abstractmethod
    def batch(self, positions: range) -> Any:
        """Return the training samples at these places of the endless sequence.

        It must be a pure function of `config.seed` and the positions (and the phase): nothing
        about process count, batch size or history. `training.data.shards.WorldShards.batch` is one.
        Tensors, and objects with `.to(device)`, alone or in tuples, lists and dicts, are moved
        to the device by the loop. A task that draws its inputs inside the step may return
        `positions` itself.
        """

    # What comes out -----------------------------------------------------------------------

    def averaged_or_live(self, name: str) -> nn.Module:
        """Return the moving average of a module, or the module where none is kept."""
        return self.averages[name] if name in self.averages else self.modules()[name]

    def fit(self) -> None:
        """Learn without gradients; runs where the steps would, if there are no turns."""
        raise ConfigError(f"task {self.config.task!r} has neither turns nor a fit")

    def samples(self) -> PIL.Image.Image | None:
        """Draw a sheet that shows how far it has come; use `averaged_or_live`. None: no sheet."""
        return None

    def evaluate(self) -> dict[str, float]:
        """Measure the result on held-out data; names say the quantity."""
        return {}

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write the finished component (`config.json`, `model.safetensors`) into `folder`."""


class SolvedTask(Task):
    """A task that is solved at once by `fit`: nothing descends, and no batch is drawn."""

    def turns(self) -> Sequence[Turn]:
        """None."""
        return ()

    def batch(self, positions: range) -> Any:
        """Never asked for."""
        return positions

    @abstractmethod
    def fit(self) -> None:
        """Solve it."""


def total_loss(terms: dict[str, Tensor]) -> Tensor:
    """Return the sum of the terms that count, leaving out those named `log_...`."""
    counted = [value for name, value in terms.items() if not name.startswith("log_")]
    if not counted:
        raise ValueError(f"a step must return at least one loss term, got {sorted(terms)}")
    return torch.stack([value.float() for value in counted]).sum()
