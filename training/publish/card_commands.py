"""What a card says of how its weights were made: the commands, the provenance, and what differs."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from faceedit.additions import Additions
from faceedit.notes import MethodNote
from training.config import ConfigError, TrainConfig, parse_config, read_recipe


def read_arguments(folder: Path) -> dict[str, Any]:
    """Return the `training_args.json` of a folder, or of the first of its variants; {} if none."""
    for path in [folder / "training_args.json", *sorted(folder.glob("*/training_args.json"))]:
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            return content if isinstance(content, dict) else {}
    return {}


def reproduce_command(arguments: dict[str, Any], otherwise: str) -> str:
    """Return the command that makes weights again: the task, and what is not the recipe's.

    Args:
        arguments: What `training_args.json` holds; may be empty.
        otherwise: The command where nothing was trained.
    """
    settings = arguments.get("settings") or {}
    if not settings.get("task"):
        return otherwise
    if has_stages(settings):
        return f"python -m training.reproduce --only {settings.get('recipe') or settings['task']}"
    words = ["accelerate", "launch", "training/train.py", "--task", str(settings["task"])]
    if settings.get("recipe"):
        words += ["--recipe", str(settings["recipe"])]
    usual = _recipe(words[3:])
    options = {**settings.get("options", {})}
    for name, value in settings.items():
        if name in ("task", "recipe", "options") or value == usual.get(name):
            continue
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{name}")
        else:
            words += [f"--{name}", str(value)]
    for name, value in options.items():
        if value != usual.get("options", {}).get(name):
            words += ["--set", f"{name}={json.dumps(value)}"]
    return shlex.join(words)


def has_stages(settings: dict[str, Any]) -> bool:
    """Whether the recipe of recorded settings is a chain of trainings."""
    name = str(settings.get("recipe") or settings.get("task") or "")
    return bool(read_recipe(name, explicit=False).get("stages")) if name else False


def _recipe(flags: list[str]) -> dict[str, Any]:
    """Return a run's settings where only task and recipe are named, as JSON values."""
    try:
        config = parse_config(flags)
    except ConfigError:  # a recipe that has gone: every setting is spelt out
        config = TrainConfig()
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain


def _provenance(note: MethodNote, arguments: dict[str, Any]) -> str:
    """Say what the making took."""
    if not arguments:
        if note.kind == "optimized":
            return "Nothing is trained: the folder holds settings only, and any base will do."
        return "No record of the training lies beside the weights."
    verb = {"trained": "Trained", "fitted": "Fitted", "optimized": "Made"}[note.kind]
    parts = []
    if arguments.get("steps"):
        parts.append(f"{arguments['steps']:,} steps")
    if arguments.get("trained_seconds"):
        minutes = arguments["trained_seconds"] / 60
        parts.append(f"{minutes:.0f} minutes" if minutes >= 1 else "under a minute")
    took = f" in {' and '.join(parts)}" if parts else ""
    settings = arguments.get("settings", {})
    device, seed = arguments.get("device") or "CPU", settings.get("seed", 0)
    made = (
        f"{verb}{took} on one {device}, seed {seed}; `training_args.json` has the exact settings, "
        "versions and commit."
    )
    if has_stages(settings):
        made = f"{made} These are the last stage's: the weights come from an earlier chain of "
        made += "trainings, which the recipe's stages follow as closely as clean runs can."
    return made


def _changed(config: dict[str, Any], arguments: dict[str, Any]) -> str:
    """Say which settings of the method are others than those that it was trained with."""
    trained = (arguments.get("settings", {}).get("options") or {}).get("method") or {}
    now = config.get("method_config") or {}
    if "additions" in trained:  # a recipe names those that are not as usual
        trained = {**trained, "additions": {**asdict(Additions()), **trained["additions"]}}
    changes = [
        f"`{name}` {trained[name]} to {now[name]}"
        for name in sorted(trained)
        if name in now and now[name] != trained[name]
    ]
    return ", ".join(changes)
