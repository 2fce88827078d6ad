"""Where weights come from: `training_args.json` beside them, enough to make them again."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from faceedit import hub
from training.config import ROOT, TrainConfig

__all__ = ["register_component", "training_args", "write_training_args"]

LIBRARIES = ("torch", "accelerate", "numpy", "safetensors", "transformers")
# Where a run happened to be stored, or was continued from, does not decide its weights.
PRIVATE = (
    *("output_dir", "export_dir", "data_dir", "resume_from_checkpoint", "overwrite"),
    "eval_only",  # writes what was trained once more
)


def training_args(config: TrainConfig, device: torch.device, **facts: Any) -> dict[str, Any]:
    """Return the exact settings, the versions and the commit of a run, as JSON values.

    Args:
        config: The run.
        device: What it ran on.
        facts: What else the file should say, like steps=1000.
    """
    settings = {name: v for name, v in config.as_dict().items() if name not in PRIVATE}
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {
        "settings": settings,
        **facts,
        "device": accelerator,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "commit": commit(),
    }


def write_training_args(
    folder: Path, config: TrainConfig, device: torch.device, **facts: Any
) -> None:
    """Write `training_args.json` into a folder of weights; see `training_args`."""
    content = training_args(config, device, **facts)
    (folder / "training_args.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def register_component(base: Path, folder: Path) -> None:
    """List a freshly written network in the `config.json` of the base repo that it lies in."""
    if folder.parent != base or not (folder / "model.safetensors").is_file():
        return
    facts = hub.read_base(base) if (base / hub.CONFIG).is_file() else {}
    components = {**facts.pop("components", {}), folder.name: folder.name}
    hub.save_base(base, dict(sorted(components.items())), **facts)


def commit() -> str:
    """Return the commit that the code is at, "+" appended if files differ; "" outside of git."""
    try:
        found = _git("rev-parse", "HEAD")
        return found + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _version(library: str) -> str:
    loaded = sys.modules.get(library)
    if loaded is not None and hasattr(loaded, "__version__"):
        return str(loaded.__version__)
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
