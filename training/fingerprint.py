"""What weights depend on: the code that made them, the recipe, and the networks that were read.

The print is stored in `training_args.json` beside the weights. Code is compared as syntax trees
without docstrings, so comments, wording and layout do not make weights stale.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from training.config import ROOT, TrainConfig
from training.tasks import reads, task_class

__all__ = ["code_files", "differences", "fingerprint", "stored_fingerprint"]

# Files whose changes leave weights as they are: plumbing, measuring, and the renderer, whose
# WORLD_VERSION stands for it. Methods import the registry of all methods, which says nothing.
NEUTRAL = (
    "*/__init__.py",
    "training/train.py",
    "training/loop/checkpoint.py",
    "training/loop/lock.py",
    "training/config.py",
    "training/task.py",
    "training/loop/log.py",
    "training/memory.py",
    "training/sheets.py",
    "training/provenance.py",
    "training/fingerprint.py",
    "training/data/make_world.py",
    "faceedit/arguments.py",
    "faceedit/errors.py",
    "faceedit/launchers.py",
    "faceedit/regular_files.py",
    "faceedit/hub/*",
    "faceedit/version.py",
    "faceedit/notes.py",
    "faceedit/method_repo.py",
    "faceedit/former_settings.py",
    "faceedit/metrics/*",
    "faceedit/world/render.py",
    "faceedit/world/sdf.py",
    "faceedit/world/geometry.py",
    "faceedit/world/hair_shape.py",
    "faceedit/world/worn_shape.py",
    "faceedit/world/skin_color.py",
    "faceedit/world/shading.py",
    "faceedit/world/parameters.py",
)
# Settings that decide where and when, not what.
IRRELEVANT = {
    *("recipe", "stage", "output_dir", "export_dir", "data_dir", "base", "max_minutes"),
    *("checkpointing_steps", "checkpointing_minutes", "checkpoints_total_limit"),
    *("resume_from_checkpoint", "overwrite", "refresh_data", "logging_steps", "sample_minutes"),
    *("evaluate", "eval_only", "cpu", "memory", "dry_run"),
}
COMPONENT_FILES = {"generator": "stylegan2"}  # where the file has another name than the network
DIGITS = 12  # of a hash; a mistake is excluded for all practical purposes


def fingerprint(config: TrainConfig) -> dict[str, Any]:
    """Return what the weights of a run depend on: {"code": {file: hash}, "recipe", "inputs"}."""
    settings = {k: v for k, v in config.as_dict().items() if k not in IRRELEVANT}
    return {
        "code": {name: _code_hash(ROOT / name) for name in code_files(config.task)},
        "recipe": _hash(json.dumps(settings, sort_keys=True).encode()),
        "inputs": {name: _weights_hash(config.base_path / name) for name in reads(config.task)},
        "world": _world_version(),
    }


def stored_fingerprint(folder: Path) -> dict[str, Any] | None:
    """Return the print that was stored beside weights; None if there is none."""
    try:
        content = json.loads((folder / "training_args.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    found = content.get("fingerprint")
    return found if isinstance(found, dict) and (folder / "config.json").is_file() else None


def differences(stored: dict[str, Any] | None, now: dict[str, Any]) -> list[str]:
    """Say in what two prints differ, in words; nothing if the weights are up to date."""
    if stored is None:
        return ["never trained"]
    found = []
    for part, what in (("code", "code"), ("inputs", "input")):
        before, after = stored.get(part, {}), now[part]
        names = sorted({*before, *after})
        found += [f"{what} {n}" for n in names if before.get(n) != after.get(n)]
    found += [part for part in ("recipe", "world") if stored.get(part) != now[part]]
    return found


def code_files(task: str) -> list[str]:
    """Return the files that decide what a task computes, found by following its imports."""
    start = inspect.getsourcefile(task_class(task))
    assert start is not None
    loop = ROOT / "training" / "loop" / "loop.py"
    todo = [Path(start), loop, *_input_code(task), *_method_code(task)]
    seen: set[Path] = set()
    while todo:
        path = todo.pop().resolve()
        name = path.relative_to(ROOT).as_posix()
        if path in seen or any(fnmatch(name, pattern) for pattern in NEUTRAL):
            continue
        seen.add(path)
        todo += _imports(path)
    return sorted(path.relative_to(ROOT).as_posix() for path in seen)


def _input_code(task: str) -> list[Path]:
    """Return the files of the networks that a task reads: weights alone do not say what they do."""
    folder = ROOT / "faceedit" / "backbones"
    found = [folder / f"{COMPONENT_FILES.get(name, name)}.py" for name in reads(task)]
    return [path for path in found if path.is_file()]


def _method_code(task: str) -> list[Path]:
    path = ROOT / "faceedit" / "methods" / f"{task}.py"
    return [path] if path.is_file() else []


def _imports(path: Path) -> tuple[Path, ...]:
    """Return the files of this repository that a file names in its imports."""
    return tuple(_files(_facts(path, *_state(path))[0]))


def _files(names: Iterable[str]) -> Iterable[Path]:
    for name in names:
        if name.split(".")[0] in ("faceedit", "training"):
            path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
            if path.is_file():
                yield path


def _code_hash(path: Path) -> str:
    """Return the hash of a file's syntax tree without its docstrings."""
    return _facts(path, *_state(path))[1]


def _state(path: Path) -> tuple[int, int]:
    """Return what tells a file's states apart: its size, and when it changed (ns)."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


@cache
def _facts(path: Path, size: int, changed: int) -> tuple[tuple[str, ...], str]:
    """Return the names that a file imports, and its hash; every file is read once a state."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names), _tree_hash(tree)


def _tree_hash(tree: ast.Module) -> str:
    """Return the hash of a syntax tree, from which docstrings are taken."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[:1] = []
    python = f"{sys.version_info.major}.{sys.version_info.minor}"  # trees differ between versions
    return _hash(f"{python} {ast.dump(tree)}".encode())


def _is_docstring(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _weights_hash(folder: Path) -> str:
    """Return the hash of a network's files; "" if it has not been trained yet."""
    files = [folder / name for name in ("config.json", "model.safetensors")]
    if not all(path.is_file() for path in files):
        return ""
    return _joined_hash(tuple((path, *_state(path)) for path in files))


@cache
def _joined_hash(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Return the hash of files, each with its state, read as one."""
    return _hash(b"".join(path.read_bytes() for path, *_ in files))


def _world_version() -> str:
    from faceedit.world import SPECS, WORLD_VERSION

    return f"{WORLD_VERSION} {_hash(' '.join(SPECS).encode())}"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]
