"""Make all published weights again: `python -m training.reproduce`.

Every recipe whose `export_dir` is a published folder (`hub_cards/...`) is a run. Runs are ordered
by what they read, and those whose code, recipe, inputs and world are as they were when their
weights were made are skipped. An interrupted run is continued.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.config import RECIPES, ROOT, ConfigError, TrainConfig, parse_config, unknown
from training.fingerprint import differences, fingerprint, stored_fingerprint
from training.loop.checkpoint import list_checkpoints
from training.tasks import reads

__all__ = ["Run", "in_order", "main", "published_runs"]

PUBLISHED = ROOT / "hub_cards"


@dataclass(frozen=True)
class Run:
    """One recipe and where its weights go."""

    recipe: str
    config: TrainConfig

    @property
    def component(self) -> str:
        """The network of the base that this run makes; "" if it makes something else."""
        path = self.config.export_path
        return path.name if path.parent == self.config.base_path else ""

    def stale(self) -> list[str]:
        """Return why its weights are out of date; nothing if they are not."""
        return differences(stored_fingerprint(self.config.export_path), fingerprint(self.config))


def published_runs() -> list[Run]:
    """Return the runs that make the published weights, in order of dependency."""
    runs = []
    for path in sorted(RECIPES.glob("*.yaml")):
        task = read_task(path)
        config = parse_config(["--task", task, "--recipe", str(path)])
        if config.export_dir and config.export_path.is_relative_to(PUBLISHED):
            runs.append(Run(path.stem, config))
    return in_order(runs)


def read_task(path: Path) -> str:
    """Return the task of a recipe; its file name unless it says otherwise."""
    from training.config import read_recipe

    return str(read_recipe(str(path)).get("task", path.stem))


def in_order(runs: Sequence[Run]) -> list[Run]:
    """Sort runs so that each comes after those that make what it reads.

    Raises:
        ConfigError: If they depend on each other in a circle.
    """
    waiting, done = list(runs), []
    while waiting:
        unmade = {run.component for run in waiting} - {""}
        ready = [run for run in waiting if not unmade & set(reads(run.config.task))]
        if not ready:
            raise ConfigError(f"{', '.join(r.recipe for r in waiting)} depend on each other")
        done.append(ready[0])
        waiting.remove(ready[0])
    return done


def command(run: Run, extra: Sequence[str]) -> list[str]:
    """Return the command of a run: continued if its checkpoint is of the same code and inputs."""
    result = [sys.executable, "training/train.py", "--task", run.config.task]
    result += ["--recipe", run.recipe]
    checkpoints = list_checkpoints(run.config.output_path)
    if checkpoints:
        state = json.loads((checkpoints[-1] / "state.json").read_text(encoding="utf-8"))
        same = not differences(state.get("fingerprint"), fingerprint(run.config))
        unfinished = state["step"] < run.config.max_train_steps
        result += ["--resume_from_checkpoint", "latest"] if same and unfinished else ["--overwrite"]
    return [*result, *extra]


def world_commands(runs: Sequence[Run]) -> list[list[str]]:
    """Return the command that renders whatever portraits are missing."""
    folders = {run.config.data_dir for run in runs}
    return [
        [sys.executable, "-m", "training.data.make_world", "--data_dir", f] for f in sorted(folders)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from command-line arguments; return the exit status."""
    parser = argparse.ArgumentParser(prog="reproduce", description=__doc__.split("\n")[0])
    parser.add_argument("--list", action="store_true", help="only say what is out of date and why")
    parser.add_argument("--dry_run", action="store_true", help="only print the commands")
    parser.add_argument("--only", nargs="+", default=[], metavar="RECIPE", help="these runs only")
    parser.add_argument("--force", action="store_true", help="also what is up to date")
    typed, extra = parser.parse_known_args(arguments)  # the rest goes to train.py
    try:
        return reproduce(typed, extra)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def reproduce(typed: argparse.Namespace, extra: list[str]) -> int:
    """List, print or run what is out of date."""
    runs = published_runs()
    for name in typed.only:
        if name not in {run.recipe for run in runs}:
            raise unknown("run", name, (run.recipe for run in runs))
    runs = [run for run in runs if not typed.only or run.recipe in typed.only]
    if typed.list:
        for run in runs:
            reasons = run.stale()
            print(f"{run.recipe:24} {'stale: ' + ', '.join(reasons) if reasons else 'up to date'}")
        return 0
    if not typed.only and any(typed.force or run.stale() for run in runs):
        for words in world_commands(runs):
            _execute(words, typed.dry_run)
    made: set[str] = set()  # components that would be new by now; known in a dry run only so
    for run in runs:
        if typed.force or run.stale() or made & set(reads(run.config.task)):
            _execute(command(run, extra), typed.dry_run)
            made.add(run.component or run.recipe)
        else:
            print(f"{run.recipe}: up to date")
    return 0


def _execute(words: list[str], dry_run: bool) -> None:
    print(f"$ {shlex.join(words)}", flush=True)
    if dry_run:
        return
    status = subprocess.run(words, cwd=ROOT).returncode
    if status != 0:
        raise ConfigError(f"that command ended with status {status}; mend it and run this again")


if __name__ == "__main__":
    sys.exit(main())
