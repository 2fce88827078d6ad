"""The command line: python -m faceedit edit photo.jpg "red hair" -o edited.png.

PyTorch is loaded only when a command needs it, so that --help answers at once. What a user can
mend is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faceedit.console import (
    SUFFIXES,
    Steps,
    checked_output,
    complain,
    confirmed,
    prepare,
    save,
    say,
)
from faceedit.convert import KINDS, convert
from faceedit.errors import FaceEditError, RequestError
from faceedit.launchers import start_processes
from faceedit.photo.provenance import Provenance, SourceType
from faceedit.regular_files import reason
from faceedit.version import __version__

if TYPE_CHECKING:
    import PIL.Image

    from faceedit.editor import FaceEditor
    from faceedit.types import Face

BASE = "faceedit/portraits-128"
GAP = 8  # px between the pictures of a comparison
TITLE = 22  # px above them, for the names
PARSER_USE = ", finds regions of drawn faces; those of photographs are the segmenter's"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, or 2 for what the user can mend."""
    prepare()
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if not hasattr(arguments, "run"):
        parser.print_help()
        return 0
    arguments.is_command = argv is None
    try:
        return arguments.run(arguments)
    except FaceEditError as error:
        return complain(str(error))
    except OSError as error:
        return complain(reason(error))
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="faceedit",
        description="Edit a face with a sentence.",
        epilog='example: faceedit edit photo.jpg "red hair" --method clip_regression -o out.png',
    )
    parser.add_argument("--version", action="version", version=f"faceedit {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    edit = _command(commands, "edit", run_edit, "change the face of a photo as a sentence says")
    edit.add_argument("photo", help="the photo, or 'sample:SEED' for a face that no photo shows")
    edit.add_argument("prompt", help='what is wanted, like "red hair"')
    edit.add_argument("-m", "--method", help="see `faceedit info` for the names")
    edit.add_argument("--variant", help="which sentence, for methods that learn one at a time")
    edit.add_argument("--layers", metavar="FIRST:END", help="w_plus layers that may change")
    _add_steps(edit)
    edit.add_argument(
        "--faithful", action="store_true", help="tune the generator to this photo first; slower"
    )
    _add_settings(edit)
    _add_output(edit, "edited.png")

    compare = _command(commands, "compare", run_compare, "one edit by several methods, on a sheet")
    compare.add_argument("photo", help="the photo, or 'sample:SEED'")
    compare.add_argument("prompt", help='what is wanted, like "red hair"')
    compare.add_argument(
        "-m", "--methods", help="names with commas between; default: all fast ones"
    )
    _add_steps(compare)
    _add_settings(compare)
    _add_output(compare, "compared.png")

    _add_batch(commands)

    sample = _command(commands, "sample", run_sample, "draw a face that no photo shows")
    sample.add_argument("--seed", type=int, default=0, help="which one (default: 0)")
    sample.add_argument(
        "--truncation-psi", type=float, default=0.7, metavar="PSI", help="variety, 0 to 1"
    )
    _add_output(sample, "sample.png")

    _command(commands, "info", run_info, "what is installed and which methods work here")
    _add_convert(commands)
    _add_setup(commands)
    _command(commands, "demo", run_demo, "serve the page for one base in your browser")
    return parser


def _add_batch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
    batch.add_argument("-m", "--method", help="see `faceedit info` for the names")
    batch.add_argument("--variant", help="which sentence, for methods that learn one at a time")
    batch.add_argument("--layers", metavar="FIRST:END", help="w_plus layers that may change")
    _add_steps(batch)
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


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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


def _add_setup(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
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


def run_edit(arguments: argparse.Namespace) -> int:
    """Edit one photo and write the result."""
    output = checked_output(arguments.output)
    layers = _read_layers(arguments.layers)
    _check(arguments)
    editor = _load(arguments)
    result = editor.edit(
        _photo(editor, arguments.photo),
        arguments.prompt,
        strength=arguments.strength,
        seed=arguments.seed,
        method=arguments.method,
        variant=arguments.variant,
        neutral=arguments.neutral,
        layers=layers,
        mask=arguments.mask,
        output=arguments.kind,
        face_index=arguments.face_index,
        refine_steps=arguments.refine_steps,
        steps=arguments.steps,
        faithful=arguments.faithful,
        progress=Steps(),
    )
    save(result.image, output, _note(arguments, str(result.request.method)))
    scores = ", ".join(f"{name} {value:+.3f}" for name, value in result.scores.items())
    say(f"{output}: {result.request.method}, {result.seconds:.1f} s, {scores}")
    for note in result.notes:
        say(f"  {note}")
    return 0


def run_compare(arguments: argparse.Namespace) -> int:
    """Edit one photo with several methods and write them side by side."""
    output = checked_output(arguments.output)
    names = arguments.methods.replace(" ", "").split(",") if arguments.methods else None
    _check(arguments)
    editor = _load(arguments)
    photo = _photo(editor, arguments.photo)
    results = editor.compare(
        photo,
        arguments.prompt,
        names,
        strength=arguments.strength,
        seed=arguments.seed,
        neutral=arguments.neutral,
        mask=arguments.mask,
        output=arguments.kind,
        face_index=arguments.face_index,
        refine_steps=arguments.refine_steps,
        steps=arguments.steps,
        progress=Steps(),
    )
    pictures: list[tuple[str, PIL.Image.Image]] = []
    notes: dict[str, None] = {}
    for result in results:
        if not pictures:
            seen = result.step.portrait.photo if result.changed is not None else None
            pictures.append(("photo", seen) if seen else ("inverted", result.reconstruction))
        pictures.append((str(result.request.method), result.image))
        say(f"{result.request.method}: {result.seconds:.1f} s")
        notes |= dict.fromkeys(result.notes)
    save(_sheet(pictures), output, _note(arguments, ", ".join(name for name, _ in pictures[1:])))
    say(str(output))
    for note in notes:  # mostly the same of every method
        say(f"  {note}")
    return 0


def run_batch(arguments: argparse.Namespace) -> int:
    """Edit a folder of photos and list those that could not be edited."""
    if arguments.is_command:
        start_processes(["-m", "faceedit"], sys.argv[1:])
    from faceedit.batch import folder as batch
    from faceedit.batch.files import output_folder
    from faceedit.types import EditRequest, Output

    request = EditRequest(
        arguments.prompt,
        arguments.method,
        arguments.strength,
        arguments.neutral,
        arguments.variant,
        seed=arguments.seed,
        layers=_read_layers(arguments.layers),
        mask=arguments.mask,
        steps=arguments.steps,
    )
    job = batch.Job(
        request,
        Output(arguments.kind),
        arguments.face_index,
        arguments.refine_steps,
        arguments.batch_size,
    )
    _check_device(arguments.device)
    folder = Path(arguments.folder).expanduser()
    output = output_folder(folder, arguments.output, *_asked(arguments))
    report, tells = batch.run(
        lambda device: _load(argparse.Namespace(repo=arguments.repo, device=device)),
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


def run_sample(arguments: argparse.Namespace) -> int:
    """Draw a face and write it."""
    output = checked_output(arguments.output)
    _check(arguments)
    face = _load(arguments).sample(arguments.seed, arguments.truncation_psi)
    save(face.to_pil(), output, Provenance(SourceType.GENERATED, models=(_base_id(arguments),)))
    say(str(output))
    return 0


def run_info(arguments: argparse.Namespace) -> int:
    """Say what is installed and what works."""
    import torch

    from faceedit.methods import METHODS

    editor = _load(arguments)
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
        said = f"works{how}" if state.works else f"needs {state.needs}"
        say(f"  {name}: {method.kind}, edits {method.space.value}; {said}")
    return 0


def run_demo(arguments: argparse.Namespace) -> int:
    """Serve the page, which a checkout has beside the package."""
    import runpy

    page = Path(__file__).resolve().parents[1] / "app.py"
    if not page.is_file():
        raise RequestError("the page comes with a checkout of faceedit, not with the package")
    if importlib.util.find_spec("gradio") is None:
        raise RequestError("the page needs gradio: pip install 'faceedit[demo]'")
    _check_device(arguments.device)
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


def _load(arguments: argparse.Namespace) -> FaceEditor:
    """Load the editor of --repo on --device."""
    from faceedit.editor import FaceEditor

    return FaceEditor.from_pretrained(arguments.repo, device=arguments.device)


def _check(arguments: argparse.Namespace) -> None:
    """Check what costs little before the networks are loaded.

    Raises:
        FaceEditError: If the photo, the mask or a setting cannot be used.
    """
    from faceedit.photo import load_mask, load_photo
    from faceedit.photo.regions import read_regions
    from faceedit.types import EditRequest

    asked = vars(arguments)
    prompt = asked.get("prompt", "a face")
    mask, photo = asked.get("mask"), asked.get("photo")
    EditRequest(
        prompt,
        strength=asked.get("strength", 1.0),
        neutral=asked.get("neutral", "a face"),
        seed=asked["seed"],
        mask=mask,
        steps=asked.get("steps"),
    )
    if photo is not None and not (photo.startswith("sample:") and not Path(photo).exists()):
        load_photo(photo)
    if mask is not None and read_regions(mask) is None:
        load_mask(mask)
    named = asked.get("method") or asked.get("methods")
    if named:
        from faceedit.methods import method_class

        for name in named.replace(" ", "").split(","):
            method_class(name)
    _check_device(arguments.device)


def _check_device(device: str) -> None:
    from faceedit import arguments

    arguments.device(device)


def _asked(arguments: argparse.Namespace) -> list[str]:
    """Return what names the results of a batch: the prompt, and settings that are not usual."""
    usual = build_parser().parse_args(["batch", arguments.folder, arguments.prompt])
    named = [arguments.prompt]
    for name in ("method", "variant", "strength", "mask", "neutral", "seed", "layers",
                 "face_index", "refine_steps", "steps", "kind"):  # fmt: skip
        value = getattr(arguments, name)
        if value != getattr(usual, name):
            named.append(str(value) if name in ("method", "variant", "kind") else f"{name}-{value}")
    return named


def _photo(editor: FaceEditor, photo: str) -> str | Face:
    """Return the path, or the generated face that 'sample:SEED' asks for."""
    scheme, _, seed = photo.partition(":")
    if scheme != "sample" or Path(photo).exists():
        return photo
    if not seed.isdigit():
        raise RequestError(f"{photo!r} must be 'sample:' and a whole number, like sample:7")
    return editor.sample(int(seed))


def _read_layers(text: str | None) -> tuple[int, int] | None:
    """Read '4:8' as (4, 8)."""
    if text is None:
        return None
    first, _, end = text.partition(":")
    if not (first.isdigit() and end.isdigit()):
        raise RequestError(f"--layers is {text!r}; it must be FIRST:END, like 4:8")
    return int(first), int(end)


def _note(arguments: argparse.Namespace, methods: str) -> Provenance:
    """Return what an edited picture's metadata say of it."""
    repos = [f"faceedit/{name.replace('_', '-')}" for name in methods.split(", ")]
    models = dict.fromkeys([_base_id(arguments), *repos])
    return Provenance(SourceType.EDITED, methods, tuple(models), arguments.prompt)


def _base_id(arguments: argparse.Namespace) -> str:
    """Return the id of --repo, or of a folder only its name: a path is nobody's business."""
    folder = Path(arguments.repo).expanduser()
    return folder.resolve().name if folder.is_dir() else str(arguments.repo)


def _sheet(pictures: Sequence[tuple[str, PIL.Image.Image]]) -> PIL.Image.Image:
    """Lay pictures in a row with their names above, all as high as the first within limits."""
    from PIL import Image, ImageDraw

    first = pictures[0][1]
    side = min(max(256, first.height), 768)
    width = max(1, round(side * first.width / first.height))
    sheet = Image.new("RGB", (len(pictures) * (width + GAP) - GAP, side + TITLE), "white")
    pen = ImageDraw.Draw(sheet)
    for column, (name, picture) in enumerate(pictures):
        left = column * (width + GAP)
        pen.text((left + 4, 5), name, fill="black")
        sheet.paste(picture.resize((width, side), Image.Resampling.LANCZOS), (left, TITLE))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
