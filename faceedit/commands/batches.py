"""The command that edits a folder of photos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from faceedit.commands import given
from faceedit.console import complain, save, say
from faceedit.launchers import start_processes

if TYPE_CHECKING:
    from faceedit.batch.folder import Job

# Settings that name the folder of the results where they are not the usual ones.
NAMING = (
    *("method", "variant", "strength", "mask", "neutral", "seed", "layers"),
    *("face_index", "refine_steps", "steps", "kind"),
)


def run_batch(arguments: argparse.Namespace) -> int:
    """Edit a folder of photos and list those that could not be edited."""
    if arguments.is_command:
        start_processes(["-m", "faceedit"], sys.argv[1:])
    from faceedit.batch import folder as batch
    from faceedit.batch.files import output_folder

    job = _job(arguments)
    given.check_device(arguments.device)
    folder = Path(arguments.folder).expanduser()
    output = output_folder(folder, arguments.output, *_asked(arguments))
    report, tells = batch.run(
        lambda device: given.load(argparse.Namespace(repo=arguments.repo, device=device)),
        folder,
        output,
        job,
        save,
        device=arguments.device,
        shard=arguments.shard,
        suffix=f".{arguments.format}",
        overwrite=arguments.overwrite,
    )
    if tells:
        counts = f"{report.edited} edited, {report.kept} there already, {len(report.failed)} failed"
        say(f"{output}: {counts}")
        for doubt in report.doubts:
            say(f"  {doubt}")
        for line in batch.failures(report):
            complain(line)
    return 1 if report.failed else 0


def _job(arguments: argparse.Namespace) -> Job:
    """Return what is to be done with every photo."""
    from faceedit.batch.folder import Job
    from faceedit.types import EditRequest, Output

    request = EditRequest(
        arguments.prompt,
        arguments.method,
        arguments.strength,
        arguments.neutral,
        arguments.variant,
        seed=arguments.seed,
        layers=given.read_layers(arguments.layers),
        mask=arguments.mask,
        steps=arguments.steps,
    )
    return Job(
        request,
        Output(arguments.kind),
        arguments.face_index,
        arguments.refine_steps,
        arguments.batch_size,
    )


def _asked(arguments: argparse.Namespace) -> list[str]:
    """Return what names the results of a batch: the prompt, and settings that are not usual."""
    named = [arguments.prompt]
    for name, usual in arguments.usual.items():
        value = getattr(arguments, name)
        if value != usual:
            named.append(str(value) if name in ("method", "variant", "kind") else f"{name}-{value}")
    return named
