"""What the command line understands: every command with its options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from faceedit.commands.bases import run_convert, run_demo, run_info, run_setup
from faceedit.commands.batches import NAMING, run_batch
from faceedit.commands.edits import run_compare, run_edit, run_sample
from faceedit.console import SUFFIXES
from faceedit.convert import KINDS
from faceedit.version import __version__

BASE = "faceedit/portraits-128"
if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="faceedit",
        description="Edit a face with a sentence.",
        epilog='example: faceedit edit photo.jpg "red hair" --method clip_regression -o out.png',
    )
    parser.add_argument("--version", action="version", version=f"faceedit {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    _add_edit(commands)
    _add_compare(commands)
    _add_batch(commands)
    _add_sample(commands)
    _command(commands, "info", run_info, "what is installed and which methods work here")
    _add_convert(commands)
    _add_setup(commands)
    _command(commands, "demo", run_demo, "serve the page for one base in your browser")
    return parser


def _add_edit(commands: Commands) -> None:
    """Add the command that edits one photo."""
    edit = _command(commands, "edit", run_edit, "change the face of a photo as a sentence says")
    edit.add_argument("photo", help="the photo, or 'sample:SEED' for a face that no photo shows")
    edit.add_argument("prompt", help='what is wanted, like "red hair"')
    _add_method(edit)
    edit.add_argument(
        "--faithful", action="store_true", help="tune the generator to this photo first; slower"
    )
    _add_settings(edit)
    _add_output(edit, "edited.png")


def _add_compare(commands: Commands) -> None:
    """Add the command that edits one photo by several methods."""
    compare = _command(commands, "compare", run_compare, "one edit by several methods, on a sheet")
    compare.add_argument("photo", help="the photo, or 'sample:SEED'")
    compare.add_argument("prompt", help='what is wanted, like "red hair"')
    compare.add_argument(
        "-m", "--methods", help="names with commas between; default: all fast ones"
    )
    _add_steps(compare)
    _add_settings(compare)
    _add_output(compare, "compared.png")


def _add_sample(commands: Commands) -> None:
    """Add the command that draws a face."""
    sample = _command(commands, "sample", run_sample, "draw a face that no photo shows")
    sample.add_argument("--seed", type=int, default=0, help="which one (default: 0)")
    sample.add_argument(
        "--truncation-psi", type=float, default=0.7, metavar="PSI", help="variety, 0 to 1"
    )
    _add_output(sample, "sample.png")


def _add_batch(commands: Commands) -> None:
    """Add the command that edits a folder of photos."""
    batch = _command(
        commands,
        "batch",
        run_batch,
        "edit a folder of photos; what is done already is skipped, a bad file stops nothing",
    )
    batch.epilog = (
        "several processes share the photos: accelerate launch --num_processes 2 -m faceedit batch "
        "..., "
        "torchrun --nproc-per-node 2 -m faceedit batch ..., or --shard 0/2 and --shard 1/2. "
        "Exit code: 0 if every photo is edited, 1 if some could not be, 2 if none was tried."
    )
    batch.add_argument("folder", help="its photos are taken, those of its subfolders not")
    batch.add_argument("prompt", help='what is wanted, like "red hair"')
    _add_method(batch)
    _add_settings(batch)
    batch.add_argument(
        "-o", "--output", metavar="FOLDER", help="default: FOLDER-edited/PROMPT beside it"
    )
    batch.add_argument(
        "--format", choices=[suffix[1:] for suffix in SUFFIXES], default="png", help="default: png"
    )
    batch.add_argument(
        "--batch-size", type=int, default=8, metavar="N", help="photos inverted at once (8)"
    )
    batch.add_argument("--shard", metavar="I/N", help="take only each N-th photo, from the I-th on")
    batch.add_argument("--overwrite", action="store_true", help="edit again what is there")
    batch.set_defaults(usual={name: batch.get_default(name) for name in NAMING})


def _add_convert(commands: Commands) -> None:
    """Add the command that turns official weights into folders that --repo takes."""
    kinds = "\n".join(f"  {kind:17} {text}" for kind, text in KINDS.items())
    convert = commands.add_parser(
        "convert",
        help="turn official weights into a folder for --repo",
        description="Turn official weights into a folder that --repo takes. A file is never "
        "allowed to run code.",
        epilog=f"kinds, which are mostly told from the file:\n{kinds}\n\n"
        "examples:\n"
        "  faceedit convert stylegan2-ffhq-config-f.pt --into ffhq/base\n"
        "  faceedit convert fs3.npy S_mean_std --base ffhq/base --into ffhq/styleclip-global",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    convert.set_defaults(run=run_convert)
    convert.add_argument("files", nargs="+", metavar="FILE", help="official weights")
    convert.add_argument(
        "--into", required=True, metavar="FOLDER", help="the base to add to, or a method's folder"
    )
    convert.add_argument("--kind", metavar="KIND", help="what it is, where the file does not tell")
    convert.add_argument(
        "--base", metavar="FOLDER", help="for a method: the base that it belongs to"
    )
    convert.add_argument("--half", action="store_true", help="store 16-bit numbers, half as large")


def _add_setup(commands: Commands) -> None:
    """Add the command that makes a base and its methods from official weights."""
    setup = commands.add_parser(
        "setup",
        help="fetch official weights and make everything that works on them",
        description="Fetch official weights, check them, convert them and place every method "
        "beside the base. What is there already stays; a broken download goes on.",
        epilog="example: faceedit setup ffhq --from ~/Downloads --accept-licences",
    )
    setup.set_defaults(run=run_setup)
    add = setup.add_argument
    add("name", help="which faces: ffhq, or a .toml file with addresses of your own")
    add("--into", metavar="FOLDER", help="where; default: a folder of that name")
    add("--from", dest="given", metavar="FOLDER", help="files that you have already")
    add("--without", default="", metavar="NAMES", help="items to leave out, with commas between")
    add("--offline", action="store_true", help="download nothing")
    add(
        "--trust-files",
        action="store_true",
        help="take files of --from whatever their hash",
    )
    add("--accept-licences", action="store_true", help="go on without asking")
    add("--half", action="store_true", help="store 16-bit numbers, half as large")
    add("--keep-downloads", action="store_true", help="do not take them away at the end")
    add(
        "--memory",
        type=float,
        default=3.0,
        metavar="GB",
        help="for the check (default: 3)",
    )
    add("--list", action="store_true", help="list files, licences and what is here, and stop")
    add("--dry-run", action="store_true", help="say what would be done, and stop")


def _command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    """Add one command with the options that all have."""
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run)
    command.add_argument("--repo", default=BASE, help=f"a repo or a folder (default: {BASE})")
    command.add_argument(
        "--device", default="cpu", help='"cpu" (default), "cuda" or another that PyTorch has here'
    )
    return command


def _add_settings(command: argparse.ArgumentParser) -> None:
    """Add what edit and compare have in common."""
    command.add_argument("--strength", default="1", metavar="S", help="0 = none, 1 = usual")
    command.add_argument("--neutral", default="a face", help="what the photo shows already")
    command.add_argument(
        "--mask", help="regions like hair or hair+mouth, or a picture: white may change"
    )
    command.add_argument("--seed", type=int, default=0, help="for methods that draw numbers")
    command.add_argument("--face-index", type=int, metavar="N", help="which face, 0 = largest")
    command.add_argument(
        "--refine-steps", type=int, default=0, metavar="N", help="closer inversion, slower"
    )
    _add_kind(command)


def _add_method(command: argparse.ArgumentParser) -> None:
    """Add which method edits, and what it can be told."""
    command.add_argument("-m", "--method", help="see `faceedit info` for the names")
    command.add_argument("--variant", help="which sentence, for methods that learn one at a time")
    command.add_argument("--layers", metavar="FIRST:END", help="w_plus layers that may change")
    _add_steps(command)


def _add_steps(command: argparse.ArgumentParser) -> None:
    """Add how long a method that descends may take."""
    command.add_argument(
        "--steps", type=int, metavar="N", help="of methods that descend; fewer are faster"
    )


def _add_kind(command: argparse.ArgumentParser) -> None:
    """Add what is given back: the photo, the generator's own face, or that face pasted."""
    kind = command.add_mutually_exclusive_group()
    kind.add_argument(
        "--as-character",
        dest="kind",
        action="store_const",
        const="character",
        default="photograph",
        help="give the generator's own face, not the edited photo",
    )
    kind.add_argument(
        "--paste",
        dest="kind",
        action="store_const",
        const="pasted",
        help="paste the generator's face into the photo: for bases that draw photographs",
    )


def _add_output(command: argparse.ArgumentParser, name: str) -> None:
    """Add where the picture goes."""
    command.add_argument("-o", "--output", default=name, help=f"default: {name}")
