"""Train one task: `accelerate launch training/train.py --task generator`.

`python training/train.py` and `python -m training.train` work as well, on one process.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a file: the path then starts at training/, not at the root
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import logging
import time
from collections.abc import Sequence

from faceedit.errors import FaceEditError
from faceedit.launchers import start_processes
from training import STARTED
from training.config import ConfigError, build_parser, parse_config
from training.tasks import task_class, task_names

INTERRUPTED = 130  # exit status of a run that a signal has stopped, as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Train from command-line arguments; return the exit status (2: something to correct)."""
    script = sys.argv[0] if arguments is None else None
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    if {"-h", "--help"} & set(arguments):
        build_parser().print_help()
        return 0
    if "--list" in arguments:
        print("\n".join(task_names()))
        return 0
    try:
        if script is not None:
            start_processes([script], arguments)
        return run(arguments)
    except (ConfigError, FaceEditError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run(arguments: Sequence[str]) -> int:
    """Parse, train, report; accelerate is imported once the arguments have been found good."""
    config = parse_config(arguments)
    make_task = task_class(config.task)
    from faceedit.optimization.effort import Effort, within
    from training.loop.checkpoint import SaveError
    from training.loop.log import DivergenceError
    from training.loop.loop import Loop

    try:
        with within(Effort(memory=config.memory)):
            loop = Loop(config, make_task)
            outcome = loop.run()
    except (DivergenceError, SaveError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        name = error.filename or config.output_path
        print(
            f"error: {name} could not be written or read ({error.strerror or error}); checkpoints "
            "are whole: mend that, then --resume_from_checkpoint latest",
            file=sys.stderr,
        )
        return 1
    if loop.accelerator.is_main_process:
        report = {name: round(value, 4) for name, value in outcome.scores.items()}
        minutes = (time.monotonic() - STARTED) / 60
        print(f"{config.task}: {outcome.reason} at step {outcome.step}, {minutes:.1f} min {report}")
    return INTERRUPTED if outcome.reason == "signal" else 0


if __name__ == "__main__":
    sys.exit(main())
