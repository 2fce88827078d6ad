"""The commands about bases: what works on one, making one of official weights, its page."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from faceedit.commands import given
from faceedit.console import confirmed, say
from faceedit.convert import convert
from faceedit.errors import RequestError
from faceedit.version import __version__

PARSER_USE = ", finds regions of drawn faces; those of photographs are the segmenter's"


def run_info(arguments: argparse.Namespace) -> int:
    """Say what is installed and what works."""
    import torch

    from faceedit.methods import METHODS

    editor = given.load(arguments)
    devices = "cpu, cuda" if torch.cuda.is_available() else "cpu"
    say(f"faceedit {__version__}, torch {torch.__version__}, devices: {devices}")
    say(f"base: {editor.base_folder}")
    for name, network in editor.backbones.present().items():
        millions = sum(tensor.numel() for tensor in network.state_dict().values()) / 1e6
        use = PARSER_USE if name == "face_parser" else ""
        say(f"  {name}: {millions:.2f} M numbers{use}")
    say("methods:")
    for name, method in METHODS.items():
        state = editor.library.readiness(name)
        how = f", with {state.settings}" if state.settings else ""
        said = f"works{how}" if state.works else f"not here: {state.needs}"
        say(f"  {name}: {method.kind}, edits {method.space.value}; {said}")
    return 0


def run_demo(arguments: argparse.Namespace) -> int:
    """Serve the page, which a checkout has beside the package."""
    import runpy

    page = Path(__file__).resolve().parents[2] / "app.py"
    if not page.is_file():
        raise RequestError("the page comes with a checkout of faceedit, not with the package")
    if importlib.util.find_spec("gradio") is None:
        raise RequestError("the page needs gradio: pip install 'faceedit[demo]'")
    given.check_device(arguments.device)
    os.environ["FACEEDIT_REPO"] = arguments.repo
    os.environ["FACEEDIT_DEVICE"] = arguments.device
    sys.path.insert(0, str(page.parent))
    runpy.run_path(str(page), run_name="__main__")
    return 0


def run_convert(arguments: argparse.Namespace) -> int:
    """Convert official weights and say what came of them."""
    done = convert(
        arguments.files, arguments.into, arguments.kind, base=arguments.base, half=arguments.half
    )
    say(f"{done.folder}: {done.name} from {done.kind}, {done.parameters:,} parameters")
    for note in done.notes:
        say(f"  {note}")
    return 0


def run_setup(arguments: argparse.Namespace) -> int:
    """Make a base from official weights."""
    from faceedit.setup.plan import Wishes, plan, table
    from faceedit.setup.run import Setup
    from faceedit.setup.sources import read_sources

    sources = read_sources(arguments.name)
    wishes = Wishes(
        Path(arguments.into or Path(arguments.name).stem).expanduser(),
        None if arguments.given is None else Path(arguments.given).expanduser(),
        tuple(name.strip() for name in arguments.without.split(",") if name.strip()),
        arguments.offline,
        arguments.trust_files,
    )
    wishes.check(sources)
    if arguments.list or arguments.dry_run:
        tasks = plan(sources, wishes)
        if arguments.list:
            lines = table(tasks, sources)
        else:
            lines = [f"{task.item.name}: {task.state.value}" for task in tasks]
            size = sum(task.missing_bytes for task in tasks)
            lines.append(f"{size / 1e9:.2f} GB to download into {wishes.into}; nothing was done")
        for line in lines:
            say(line)
        return 0
    Setup(
        sources,
        wishes,
        say,
        lambda: arguments.accept_licences or confirmed("Do you accept them?"),
        half=arguments.half,
        keep=arguments.keep_downloads,
        memory=arguments.memory,
    ).run()
    return 0
