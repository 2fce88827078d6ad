"""The commands that edit one photo, compare methods on it, or draw a face."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from faceedit.commands import given
from faceedit.console import Steps, checked_output, save, say
from faceedit.photo.provenance import Provenance, SourceType

if TYPE_CHECKING:
    import PIL.Image

GAP = 8  # px between the pictures of a comparison
TITLE = 22  # px above them, for the names


def run_edit(arguments: argparse.Namespace) -> int:
    """Edit one photo and write the result."""
    output = checked_output(arguments.output)
    layers = given.read_layers(arguments.layers)
    given.check(arguments)
    editor = given.load(arguments)
    result = editor.edit(
        given.photo_of(editor, arguments.photo),
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
    save(result.image, output, given.note(arguments, str(result.request.method)))
    scores = ", ".join(f"{name} {value:+.3f}" for name, value in result.scores.items())
    say(f"{output}: {result.request.method}, {result.seconds:.1f} s, {scores}")
    for note in result.notes:
        say(f"  {note}")
    return 0


def run_compare(arguments: argparse.Namespace) -> int:
    """Edit one photo with several methods and write them side by side."""
    output = checked_output(arguments.output)
    names = arguments.methods.replace(" ", "").split(",") if arguments.methods else None
    given.check(arguments)
    editor = given.load(arguments)
    photo = given.photo_of(editor, arguments.photo)
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
    save(
        _sheet(pictures), output, given.note(arguments, ", ".join(name for name, _ in pictures[1:]))
    )
    say(str(output))
    for note in notes:  # mostly the same of every method
        say(f"  {note}")
    return 0


def run_sample(arguments: argparse.Namespace) -> int:
    """Draw a face and write it."""
    output = checked_output(arguments.output)
    given.check(arguments)
    face = given.load(arguments).sample(arguments.seed, arguments.truncation_psi)
    save(
        face.to_pil(), output, Provenance(SourceType.GENERATED, models=(given.base_id(arguments),))
    )
    say(str(output))
    return 0


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
