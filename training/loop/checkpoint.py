"""Checkpoints: everything that a run needs to go on to the bit, in safetensors and JSON only.

`<output_dir>/checkpoint-<step>/` holds `modules.safetensors`, `averages.safetensors`,
`optimizers.safetensors` and `state.json` (step, position in the data, run settings, data set).
Learning rates and random numbers are functions of the step, so they need no file. A checkpoint is
written beside its place and renamed into it, and renamed before it is deleted: a process killed at
any moment leaves either the old state or the new one, and rests that the next start sweeps.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.config import ConfigError, TrainConfig

logger = logging.getLogger(__name__)

__all__ = [
    "Checkpoint",
    "SaveError",
    "find_checkpoint",
    "load_checkpoint",
    "save_checkpoint",
    "sweep",
]

PREFIX = "checkpoint-"
FILES = ("modules.safetensors", "averages.safetensors", "optimizers.safetensors", "state.json")


class SaveError(RuntimeError):
    """A checkpoint could not be written; those before it are whole."""


@dataclass(frozen=True)
class Checkpoint:
    """A saved state: where it is and what its `state.json` says."""

    folder: Path
    state: dict[str, Any]


def find_checkpoint(config: TrainConfig) -> Checkpoint | None:
    """Return the checkpoint to resume from, or None for a fresh run.

    Raises:
        ConfigError: If a named checkpoint is missing, or if a fresh run would run over an old one.
    """
    existing = list_checkpoints(config.output_path)
    wanted = config.resume_from_checkpoint or ("latest" if config.eval_only else "")
    if config.eval_only and not existing:
        raise ConfigError(f"nothing to evaluate: {config.output_path} has no checkpoint")
    if wanted == "latest":
        return _read(existing[-1]) if existing else None
    if wanted:
        for folder in (Path(wanted), config.output_path / wanted):
            if (folder / "state.json").is_file():
                return _read(folder)
        raise ConfigError(f"no checkpoint {wanted!r}; there are: {[p.name for p in existing]}")
    if existing and not config.overwrite:
        raise ConfigError(
            f"{config.output_path} already has {existing[-1].name}; continue it with "
            "--resume_from_checkpoint latest, or start afresh with --overwrite"
        )
    return None


def list_checkpoints(output: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first."""
    found = [p for p in output.glob(f"{PREFIX}*") if p.name.removeprefix(PREFIX).isdecimal()]
    whole = [p for p in found if all((p / name).is_file() for name in FILES)]
    return sorted(whole, key=lambda p: int(p.name.removeprefix(PREFIX)))


def remove_checkpoints(output: Path) -> None:
    """Delete a run's checkpoints (`--overwrite`)."""
    for folder in list_checkpoints(output):
        _delete(folder)


def sweep(output: Path) -> None:
    """Delete what a process has left that was killed while it saved or deleted a checkpoint."""
    whole = set(list_checkpoints(output))
    for folder in [*output.glob(f".{PREFIX}*"), *output.glob(f"{PREFIX}*")]:
        if folder not in whole and folder.is_dir():
            _delete(folder)


def _delete(folder: Path) -> None:
    """Delete a checkpoint by renaming it first, so that no kill can leave half of one in place."""
    if not folder.name.startswith("."):
        folder = folder.rename(folder.with_name(f".{folder.name}.deleted"))
    shutil.rmtree(folder)


def _read(folder: Path) -> Checkpoint:
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} is not a checkpoint of this trainer ({error})") from error
    return Checkpoint(folder, state)


def save_checkpoint(
    config: TrainConfig,
    state: dict[str, Any],
    modules: Mapping[str, nn.Module],
    averages: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
) -> Path:
    """Write a checkpoint whole or not at all, and drop the oldest ones.

    Raises:
        SaveError: If it cannot be written; the message says why, and what is safe.
    """
    output = config.output_path
    final = output / f"{PREFIX}{state['step']}"
    partial = output / f".{final.name}.{os.getpid()}"
    try:
        output.mkdir(parents=True, exist_ok=True)
        sweep(output)
        partial.mkdir()
        save_file(_flatten(modules), partial / FILES[0])
        save_file(_flatten(averages), partial / FILES[1])
        save_file(_flatten_optimizers(optimizers), partial / FILES[2])
        (partial / FILES[3]).write_text(json.dumps(state, indent=1), encoding="utf-8")
        if final.exists():
            _delete(final)
        partial.rename(final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise SaveError(_what_is_safe(final, error)) from error
    older = [folder for folder in list_checkpoints(output) if folder != final]
    for folder in older[: max(0, len(older) + 1 - config.checkpoints_total_limit)]:
        _delete(folder)
    return final


def _what_is_safe(final: Path, error: Exception) -> str:
    """Say why a checkpoint could not be written, what there is still, and what to do."""
    whole = list_checkpoints(final.parent)
    safe = f"{whole[-1]} is whole" if whole else "there is no checkpoint before it"
    go_on = "--resume_from_checkpoint latest" if whole else "the same command"
    why = getattr(error, "strerror", None) or str(error)
    return f"{final} could not be written ({why}); {safe}: make room on the disk, then {go_on}"


def load_checkpoint(
    folder: Path,
    modules: Mapping[str, nn.Module],
    averages: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
) -> None:
    """Restore what `save_checkpoint` wrote, strictly.

    Raises:
        ConfigError: If the checkpoint belongs to other modules than these.
    """
    try:
        _restore(load_file(folder / "modules.safetensors"), modules)
        _restore(load_file(folder / "averages.safetensors"), averages)
        _restore_optimizers(load_file(folder / "optimizers.safetensors"), optimizers)
    except (KeyError, RuntimeError, OSError, SafetensorError) as error:
        raise ConfigError(
            f"{folder} does not fit this run ({error}); use the options it was trained with, "
            "or start afresh with --overwrite"
        ) from error


def _own(tensor: Tensor) -> Tensor:
    """Copy a tensor to memory of its own, which safetensors asks for."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _flatten(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": _own(value)
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }


def _restore(content: dict[str, Tensor], modules: Mapping[str, nn.Module]) -> None:
    strangers = {key.split("/")[0] for key in content} - set(modules)
    if strangers:
        raise KeyError(f"it also holds {sorted(strangers)}")
    for name, module in modules.items():
        own = {
            key.removeprefix(f"{name}/"): value
            for key, value in content.items()
            if key.startswith(f"{name}/")
        }
        module.load_state_dict(own, strict=True)


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _flatten_optimizers(optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, Tensor]:
    return {
        f"{name}/{place}/{key}": _own(value)
        for name, optimizer in optimizers.items()
        for place, parameter in enumerate(_parameters(optimizer))
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _restore_optimizers(
    content: dict[str, Tensor], optimizers: Mapping[str, torch.optim.Optimizer]
) -> None:
    parameters = {name: _parameters(optimizer) for name, optimizer in optimizers.items()}
    for path, value in content.items():
        name, place, key = path.split("/")
        if name not in optimizers or int(place) >= len(parameters[name]):
            raise KeyError(f"no parameter for {path}")
        parameter = parameters[name][int(place)]
        if value.dim() > 0:  # moments take the parameter's memory order, as Adam gave them
            if value.shape != parameter.shape:
                raise KeyError(f"{path} is {list(value.shape)}, not {list(parameter.shape)}")
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        optimizers[name].state[parameter][key] = value.to(parameter.device)


def report_changes(before: dict[str, Any], config: TrainConfig) -> None:
    """Say which settings differ from the checkpoint's; the result will differ too."""
    harmless = {"resume_from_checkpoint", "max_minutes", "overwrite", "output_dir", "eval_only"}
    now = json.loads(json.dumps(config.as_dict()))
    for name in sorted(set(now) - harmless):
        if now[name] != before.get(name):
            logger.warning("%s was %r, is now %r", name, before.get(name), now[name])
