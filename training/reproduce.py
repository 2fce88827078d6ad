"""Make all published weights again: `python -m training.reproduce`.

Every recipe whose `export_dir` is a published folder (`hub_cards/...`) is a run, or several: one
per stage, each going on from the weights of the one before, the last one writing the published
folder. Runs are ordered by what they read, and those whose code, recipe, inputs and world are as
they were when their weights were made are skipped. An interrupted run is continued.
`--dry_run` lists what would run, in order, with its cost. A run that learns from what does not come
with the checkout is left out unless it is given: --only photo_encoder --set photographs=FOLDER.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.config import (
    RECIPES,
    ROOT,
    ConfigError,
    TrainConfig,
    parse_config,
    read_recipe,
    unknown,
)
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
    stages: tuple[TrainConfig, ...] = ()  # what is run before; `config` is the last stage
    minutes: float | None = None  # of all stages together on one core, where it is known
    needs: tuple[str, ...] = ()  # recipes whose weights it reads beside the base's networks
    given: tuple[str, ...] = ()  # options that nobody but the user can give, like a folder

    @property
    def component(self) -> str:
        """The network of the base that this run makes; "" if it makes something else."""
        path = self.config.export_path
        return path.name if path.parent == self.config.base_path else ""

    @property
    def published(self) -> bool:
        """Whether its weights lie in `hub_cards`."""
        return bool(self.config.export_dir) and self.config.export_path.is_relative_to(PUBLISHED)

    def stale(self) -> list[str]:
        """Return why its weights are out of date; nothing if they are not."""
        return differences(stored_fingerprint(self.config.export_path), fingerprint(self.config))


def published_runs() -> list[Run]:
    """Return the runs that make the published weights, in order of dependency."""
    runs = []
    for path in sorted(RECIPES.glob("*.yaml")):
        task = read_task(path)
        runs.append(read_run(path, task))
    needed = {name for run in runs for name in run.needs}
    return in_order([run for run in runs if run.published or run.recipe in needed])


def read_task(path: Path) -> str:
    """Return the task of a recipe; its file name unless it says otherwise."""
    return str(read_recipe(str(path)).get("task", path.stem))


def read_run(path: Path, task: str) -> Run:
    """Return the run of a recipe's file, with its stages."""
    recipe = read_recipe(str(path))
    listed = recipe.get("stages") or []
    typed = ["--task", task, "--recipe", str(path)]
    configs: list[TrainConfig] = []
    for number in range(1, len(listed) + 1):
        config = parse_config([*typed, "--stage", str(number)])
        folder = f".runs/{path.stem}/stage-{number}"
        config = replace(config, output_dir=config.output_dir or folder)
        if number < len(listed):
            config = replace(config, export_dir="")
        if configs:
            before = _short(configs[-1].export_path)
            config = replace(config, options={**config.options, "init_weights": before})
        configs.append(config)
    costs = [stage.get("minutes") for stage in listed] or [recipe.get("minutes")]
    known = [float(cost) for cost in costs if cost is not None]
    minutes = sum(known) if len(known) == len(costs) else None
    configs = configs or [parse_config(typed)]
    needs, given = tuple(recipe.get("needs") or ()), tuple(recipe.get("given") or ())
    return Run(path.stem, configs[-1], tuple(configs[:-1]), minutes, needs, given)


def in_order(runs: Sequence[Run]) -> list[Run]:
    """Sort runs so that each comes after those that make what it reads.

    Raises:
        ConfigError: If they depend on each other in a circle.
    """
    waiting, done = list(runs), []
    while waiting:
        unmade = {run.component for run in waiting} - {""}
        late = {run.recipe for run in waiting}
        ready = [
            run
            for run in waiting
            if not unmade & set(reads(run.config.task)) and not late & set(run.needs)
        ]
        if not ready:
            raise ConfigError(f"{', '.join(r.recipe for r in waiting)} depend on each other")
        done.append(ready[0])
        waiting.remove(ready[0])
    return done


def commands(run: Run, extra: Sequence[str]) -> list[list[str]]:
    """Return the commands of a run, one per stage that is not finished yet."""
    configs, words = [*run.stages, run.config], []
    for number, config in enumerate(configs, start=1):
        last = number == len(configs)
        if not last and not differences(
            stored_fingerprint(config.export_path), fingerprint(config)
        ):
            continue  # what it wrote is there and up to date
        staged = ["--stage", str(number), *_stage_flags(config)] if run.stages else []
        words.append([*command(run.recipe, config), *staged, *extra])
    return words


def _stage_flags(config: TrainConfig) -> list[str]:
    """Return where a stage keeps its checkpoints, and whose weights it goes on from."""
    flags = ["--output_dir", _short(config.output_path)]
    if not config.export_dir:
        flags += ["--export_dir", _short(config.export_path)]
    before = config.options.get("init_weights")
    return [*flags, "--set", f"init_weights={_short(Path(before))}"] if before else flags


def _short(path: Path) -> str:
    """Return a path relative to the repository where it lies inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def command(recipe: str, config: TrainConfig) -> list[str]:
    """Return the command of one training: continued if its checkpoint is of the same code."""
    result = [sys.executable, "training/train.py", "--task", config.task, "--recipe", recipe]
    checkpoints = list_checkpoints(config.output_path)
    if checkpoints:
        state = json.loads((checkpoints[-1] / "state.json").read_text(encoding="utf-8"))
        same = not differences(state.get("fingerprint"), fingerprint(config))
        unfinished = state["step"] < config.max_train_steps
        result += ["--resume_from_checkpoint", "latest"] if same and unfinished else ["--overwrite"]
    return result


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
        return _list(runs)
    if not typed.only and any(typed.force or run.stale() for run in runs):
        for words in world_commands(runs):
            _execute(words, typed.dry_run)
    made: dict[str, Run] = {}  # what would be new by now; known in a dry run only so
    for run in runs:
        if not (typed.force or run.stale() or made.keys() & {*reads(run.config.task), *run.needs}):
            print(f"{run.recipe}: up to date")
        elif options := _lacking(run, extra):
            print(f"{run.recipe}: left out; for it, --only {run.recipe} --set {options}")
        else:
            _make(run, extra, typed.dry_run)
            made[run.component or run.recipe] = run
    if typed.dry_run:
        print(total(made.values()))
    return 0


def _list(runs: Sequence[Run]) -> int:
    for run in runs:
        reasons = run.stale()
        print(f"{run.recipe:24} {'stale: ' + ', '.join(reasons) if reasons else 'up to date'}")
    return 0


def _lacking(run: Run, extra: Sequence[str]) -> str:
    """Return the options that a run needs and the words for `train.py` do not give."""
    typed = {word.removeprefix("--set=").split("=")[0] for word in extra}
    return " ".join(f"{name}=..." for name in run.given if name not in typed)


def _make(run: Run, extra: list[str], dry_run: bool) -> None:
    """Run all stages of a run that are not finished, or print them."""
    if dry_run:
        print(f"# {run.recipe}: {cost(run)}")
    for words in commands(run, extra):
        _execute(words, dry_run)


def cost(run: Run) -> str:
    """Say how many trainings a run is, and how long they take together."""
    stages = f"{len(run.stages) + 1} stages" if run.stages else "one training"
    if run.minutes is None:
        return f"{stages}, cost not measured"
    unit = "minute" if run.minutes == 1 else "minutes"
    return f"{stages}, about {run.minutes:g} {unit} of one core"


def total(runs: Iterable[Run]) -> str:
    """Say how long runs take together, and how many of them nobody has measured."""
    costs = [run.minutes for run in runs]
    known = [minutes for minutes in costs if minutes is not None]
    text = f"# in all: about {sum(known) / 60:.1f} hours of one core"
    unknown_costs = len(costs) - len(known)
    return f"{text}, and {unknown_costs} whose cost is not measured" if unknown_costs else text


def _execute(words: list[str], dry_run: bool) -> None:
    print(f"$ {shlex.join(words)}", flush=True)
    if dry_run:
        return
    status = subprocess.run(words, cwd=ROOT).returncode
    if status != 0:
        raise ConfigError(f"that command ended with status {status}; mend it and run this again")


if __name__ == "__main__":
    sys.exit(main())
