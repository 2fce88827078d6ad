"""The only training loop: phases, turns, averaging, logging, checkpoints, time limit.

One step is `Loop.update`: seed, fetch the batches, let every turn of the phase move, average.
All that a step depends on is (settings, step number, position in the data, weights, optimizer
moments), and all of that is in a checkpoint; so a run that is killed and resumed equals one that
was not, to the bit on a CPU, and two processes see together what one sees with a doubled batch.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import platform
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import broadcast_object_list
from torch import nn
from tqdm import tqdm

from faceedit.hub.folders import DRAFT
from training import STARTED
from training.config import TrainConfig
from training.data.shards import mix
from training.fingerprint import fingerprint
from training.loop.checkpoint import (
    Checkpoint,
    find_checkpoint,
    load_checkpoint,
    remove_checkpoints,
    report_changes,
    save_checkpoint,
    sweep,
)
from training.loop.lock import FolderLock
from training.loop.log import MetricsLog, refuse_nan
from training.loop.players import Player, exchange, follow, ready, to_device
from training.loop.quiet import Resting, settle
from training.loop.schedule import phase_at, rate_factor, schedule
from training.provenance import register_component, write_training_args
from training.sheets import save_sheet
from training.task import Phase, Task

__all__ = ["Loop", "Outcome"]

logger = logging.getLogger(__name__)
TaskFactory = Callable[[TrainConfig, torch.device], Task]


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    reason: str  # "complete", "time" or "signal"
    step: int
    scores: dict[str, float]


class Loop:
    """Trains one task.

    Args:
        config: The run.
        make_task: The task's class, or any function of (config, device) that makes one.
    """

    def __init__(self, config: TrainConfig, make_task: TaskFactory) -> None:
        self.config = config
        self.accelerator = Accelerator(
            cpu=config.cpu,
            mixed_precision=config.mixed_precision,
            # A progressive generator leaves its finest layers without gradient for a while.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        settle(self.accelerator.device)
        self.lock = FolderLock(config.output_path) if self.accelerator.is_main_process else None
        checkpoint = find_checkpoint(config)
        self.fingerprint = _fingerprint(config)  # now: the code may change while it trains
        torch.manual_seed(config.seed)
        self.task = make_task(config, self.accelerator.device)
        self.modules = {name: m.to(self.accelerator.device) for name, m in self._modules().items()}
        self.task.averages = self._averages()
        self.players = {
            turn.name: ready(turn, config, self.accelerator) for turn in self.task.turns()
        }
        self.schedule = schedule(self.task.phases(), config.max_train_steps)
        self.step = 0  # updates made
        self.position = 0  # samples taken from the data, over all processes
        self.trained_seconds = 0.0  # in earlier processes
        self.data_state = self.task.open_data(self._restore(checkpoint))
        self.log = MetricsLog(
            config.output_path, self.step, self.position, self.accelerator.is_main_process
        )
        if self.accelerator.is_main_process:
            sweep(config.output_path)
            if checkpoint is None:
                remove_checkpoints(config.output_path)
        self.signalled = False
        self.begun = self.last_save = self.last_sheet = time.monotonic()
        self.saved_step = self.step
        self.reserve = 0.0  # seconds that saving and drawing took at most, kept free at the end

    def _restore(self, checkpoint: Checkpoint | None) -> dict[str, Any] | None:
        """Go on from a checkpoint; return which data it learned from, where those are kept to."""
        if checkpoint is None:
            if self.config.resume_from_checkpoint:
                logger.warning("no checkpoint in %s; starting a new run", self.config.output_path)
            return None
        load_checkpoint(checkpoint.folder, *self._stateful())
        self.step = checkpoint.state["step"]
        self.position = checkpoint.state["position"]
        self.trained_seconds = checkpoint.state["trained_seconds"]
        report_changes(checkpoint.state["config"], self.config)
        return None if self.config.refresh_data else checkpoint.state["data"]

    # The run ------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Train to the last step, the time limit or a signal; save, evaluate, export.

        Raises:
            DivergenceError: If a loss became infinite or NaN.
            SaveError: If a checkpoint could not be written.
        """
        try:
            return self._run()
        finally:
            if self.lock is not None:
                self.lock.release()

    def _run(self) -> Outcome:
        if self.players:
            self._enter(phase_at(self.schedule, self.step))
        if self.config.eval_only:
            return self._finish("complete")
        if not self.players:
            self.task.fit()
            return self._finish("complete")
        previous = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            reason = self._train()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        return self._finish(reason)

    def _train(self) -> str:
        """Make updates until something says stop; return what."""
        bar = tqdm(
            total=self.config.max_train_steps,
            initial=self.step,
            desc=self.config.task,
            disable=not self.accelerator.is_main_process,
            mininterval=0.5 if os.isatty(2) else 30,
        )
        if self.step == 0:
            self._draw()  # what cannot be drawn should be known now, not after the training
        with bar:
            while self.step < self.config.max_train_steps:
                phase = phase_at(self.schedule, self.step)
                if phase is not self.task.phase:
                    self._enter(phase)
                self.update(phase)
                bar.update()
                reason = self._after_step(bar)
                if reason:
                    return reason
        return "complete"

    def _enter(self, phase: Phase) -> None:
        for module in self.modules.values():
            module.train()
        self.task.phase = phase
        self.task.enter(phase)

    def update(self, phase: Phase) -> None:
        """Make one step: every turn of the phase moves once, then the averages follow."""
        config, accelerator = self.config, self.accelerator
        torch.manual_seed(mix(config.seed, self.step, accelerator.process_index))
        self.task.global_step = self.step
        self.task.progress = self.step / config.max_train_steps
        self.task.before_step()
        batches = self._batches(phase)
        for name in phase.turns or self.players:
            self._move(self.players[name], batches, phase)
        self.step += 1
        decay = min(config.ema_decay, (1 + self.step) / (10 + self.step))
        for name, average in self.task.averages.items():
            follow(average, self.modules[name], decay)

    def _batches(self, phase: Phase) -> list[Any]:
        """Return this process's share of the next samples, one batch an accumulation round."""
        size = phase.batch_size or self.config.train_batch_size
        batches = []
        for _ in range(self.config.gradient_accumulation_steps):
            start = self.position + self.accelerator.process_index * size
            batch = self.task.batch(range(start, start + size))
            batches.append(to_device(batch, self.accelerator.device))
            self.position += self.accelerator.num_processes * size
        return batches

    def _move(self, player: Player, batches: list[Any], phase: Phase) -> None:
        """Let one turn take its forward passes, its backward passes and its optimizer step."""
        self._let_learn(player)
        player.optimizer.zero_grad(set_to_none=True)
        for round_, batch in enumerate(batches):
            last = round_ == len(batches) - 1
            with exchange(self.accelerator, player.module, last):
                loss, terms = player.module(batch)
                self.accelerator.backward(loss / len(batches))
            self.log.add(self._prefix(player), {"loss": loss.detach(), **terms})
        if self.config.max_grad_norm > 0:
            norm = nn.utils.clip_grad_norm_(player.parameters, self.config.max_grad_norm)
            self.log.add(self._prefix(player), {"grad_norm": norm.detach()})
        factor = rate_factor(self.config, self.step) * phase.learning_rate_scale
        base = player.turn.learning_rate or self.config.learning_rate
        for group in player.optimizer.param_groups:
            group["lr"] = base * factor * group["lr_scale"]
        player.optimizer.step()

    def _let_learn(self, player: Player) -> None:
        """Give gradients to one turn's parameters only; the others are read, not trained."""
        if len(self.players) == 1:
            return
        for other in self.players.values():
            for parameter in other.parameters:
                parameter.requires_grad_(False)
        for parameter in player.parameters:
            parameter.requires_grad_(True)

    def _prefix(self, player: Player) -> str:
        return f"{player.turn.name}/" if len(self.players) > 1 else ""

    # Between steps ------------------------------------------------------------------------

    def _after_step(self, bar: tqdm[Any]) -> str:
        """Log, save and draw where due; return why to stop, or nothing."""
        config, now = self.config, time.monotonic()
        if self.step % config.logging_steps == 0 or self.step == config.max_train_steps:
            bar.set_postfix(self._write_log(), refresh=False)
        reason = self._agree(self._stop_reason(now))
        due = config.checkpointing_steps > 0 and self.step % config.checkpointing_steps == 0
        if config.checkpointing_minutes > 0:
            due = due or now - self.last_save > 60 * config.checkpointing_minutes
        if self.accelerator.is_main_process and due and not reason:
            self.save()
        if config.sample_minutes > 0 and now - self.last_sheet > 60 * config.sample_minutes:
            self._draw()
        return reason

    def _stop_reason(self, now: float) -> str:
        if self.signalled:
            return "signal"
        limit = 60 * self.config.max_minutes
        return "time" if 0 < limit < now - STARTED + self.reserve else ""

    def _agree(self, reason: str) -> str:
        """Let the first process decide for all, or some would wait for the others for ever."""
        if self.accelerator.num_processes == 1:
            return reason
        return str(broadcast_object_list([reason])[0])

    def _on_signal(self, *_: object) -> None:
        """Finish this step, save and stop; a second signal ends the process as usual."""
        self.signalled = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler)

    def _write_log(self) -> dict[str, str]:
        """Write the means since the last line; return what the progress bar shows."""
        extra = {
            "phase": self.task.phase.name,
            "images": self.position,
            "seconds": round(self._seconds(), 1),
            "learning_rate": rate_factor(self.config, self.step - 1) * self.config.learning_rate,
        }
        means = self.log.write(self.step, extra)
        refuse_nan(means, self.step)
        losses = {name: f"{value:.4g}" for name, value in means.items() if name.endswith("loss")}
        return {"phase": self.task.phase.name, **losses}

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        refuse_nan(self.log.means(), self.step)  # never replace a sound checkpoint by a broken one
        begun = time.monotonic()
        state = {
            "step": self.step,
            "position": self.position,
            "trained_seconds": self._seconds(),
            "data": self.data_state,
            "config": self.config.as_dict(),
            "fingerprint": self.fingerprint,
            "processes": self.accelerator.num_processes,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }
        save_checkpoint(self.config, state, *self._stateful())
        self.saved_step = self.step
        self.last_save = time.monotonic()
        self.reserve = max(self.reserve, self.last_save - begun)

    def _draw(self) -> None:
        """Save a sample sheet; what it draws at random does not touch the training's numbers."""
        self.last_sheet = time.monotonic()
        if not self.accelerator.is_main_process:
            return
        with torch.no_grad(), self._resting():
            torch.manual_seed(self.config.seed)
            sheet = self.task.samples()
        if sheet is not None:
            save_sheet(sheet, self.config.output_path / "samples" / f"step-{self.step:07d}.jpg")
        self.reserve = max(self.reserve, time.monotonic() - self.last_sheet)

    def _resting(self) -> Resting:
        return Resting(list(self.modules.values()))

    def _finish(self, reason: str) -> Outcome:
        """Save; unless a signal asks for haste, draw and export; evaluate a complete run."""
        scores: dict[str, float] = {}
        if self.accelerator.is_main_process:
            if self.step != self.saved_step:
                self.save()
            if reason != "signal":
                self._draw()
                scores = self._evaluate() if reason == "complete" else {}
                self._export()
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return Outcome(reason, self.step, scores)

    def _export(self) -> None:
        """Write the weights, how they were made, and their place in the base's index."""
        folder = self.config.export_path
        for rest in folder.glob(f"**/{DRAFT}*"):  # of a run that was killed while it exported
            shutil.rmtree(rest, ignore_errors=True)
        with torch.no_grad(), self._resting():
            torch.manual_seed(self.config.seed)
            self.task.export(folder)
        if folder.is_dir():
            facts = {"steps": self.step, "trained_seconds": round(self._seconds())}
            write_training_args(
                folder, self.config, self.task.device, **facts, fingerprint=self.fingerprint
            )
            register_component(self.config.base_path, folder)
        logger.info("weights written to %s", folder)

    def _evaluate(self) -> dict[str, float]:
        if not (self.config.evaluate or self.config.eval_only):
            return {}
        with torch.no_grad(), self._resting():
            torch.manual_seed(self.config.seed)
            scores = {name: float(value) for name, value in self.task.evaluate().items()}
        content = {"step": self.step, "trained_seconds": self._seconds(), **scores}
        path = self.config.output_path / "evaluation.json"
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return scores

    # Parts --------------------------------------------------------------------------------

    def _modules(self) -> dict[str, nn.Module]:
        modules = self.task.modules()
        if self.config.channels_last:
            for module in modules.values():
                # torch's stubs leave this form out
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return modules

    def _averages(self) -> dict[str, nn.Module]:
        if self.config.ema_decay == 0:
            return {}
        return {
            name: copy.deepcopy(self.modules[name]).eval().requires_grad_(False)
            for name in self.task.averaged
        }

    def _stateful(self) -> tuple[dict[str, nn.Module], dict[str, nn.Module], dict[str, Any]]:
        optimizers = {name: player.optimizer for name, player in self.players.items()}
        return self.modules, self.task.averages, optimizers

    def _seconds(self) -> float:
        return self.trained_seconds + time.monotonic() - self.begun


def _fingerprint(config: TrainConfig) -> dict[str, Any]:
    """Return what the weights depend on; empty for tasks from outside of this repository."""
    try:
        return fingerprint(config)
    except (ValueError, KeyError):
        return {}
