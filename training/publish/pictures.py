"""The README's pictures, and the edit that the Space opens with (`make pictures`).

Everything is made from the example photographs in `demo/examples`, by the shipped weights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from training.config import ROOT

if TYPE_CHECKING:
    from faceedit import FaceEditor

__all__ = ["main"]

EXAMPLES = ROOT / "demo" / "examples"
FOLDER = ROOT / "docs" / "pictures"
FIRST = ("female-45", "red hair")  # what the Space opens with
# One row a person; the last picture of a row is where the last edit changed the photograph.
FRONT = {
    "female-45": ("red hair", "sunglasses", "a laughing face", "a beanie"),
    "male-5": ("an old face", "round glasses", "a full beard", "a sun hat"),
}
METHODS_SHOWN = ("male-79", "sunglasses")
SIDE, BAND = 220, 20  # px of a tile and of its caption


def _tile(picture: Image.Image, words: str) -> Image.Image:
    """Return a picture with its caption below."""
    tile = Image.new("RGB", (SIDE, SIDE + BAND), "white")
    tile.paste(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    draw = ImageDraw.Draw(tile)
    font = ImageFont.load_default(13)
    draw.text((SIDE / 2, SIDE + BAND / 2), words, "black", font, anchor="mm")
    return tile


def _sheet(rows: Sequence[Sequence[Image.Image]], path: Path) -> None:
    """Write rows of tiles as one small JPEG."""
    wide = max(len(row) for row in rows)
    sheet = Image.new("RGB", (wide * SIDE, len(rows) * (SIDE + BAND)), "white")
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            sheet.paste(tile, (x * SIDE, y * (SIDE + BAND)))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=86, optimize=True)


def _photo(name: str) -> Image.Image:
    with Image.open(EXAMPLES / f"{name}.jpg") as photo:
        return photo.convert("RGB")


def write_front(editor: FaceEditor, path: Path) -> None:
    """Write the README's first picture: photographs, four edits each, and what one changed."""
    rows = []
    for name, prompts in FRONT.items():
        photo = _photo(name)
        results = [editor.edit(photo, prompt) for prompt in prompts]
        row = [_tile(photo, "photograph")]
        row += [_tile(r.image, prompt) for r, prompt in zip(results, prompts, strict=True)]
        changed = results[-1].changed
        if changed is not None:
            row.append(_tile(changed, "white: what changed"))
        rows.append(row)
    _sheet(rows, path)


def write_methods(editor: FaceEditor, path: Path) -> None:
    """Write one sentence by every fast method on one photograph, in two rows."""
    from faceedit.notes import METHOD_NOTES

    name, prompt = METHODS_SHOWN
    fast = [m for m in editor.available() if METHOD_NOTES[m].speed == "fast"]
    tiles = [_tile(_photo(name), "photograph")]
    for result in editor.compare(_photo(name), prompt, fast):
        tiles.append(_tile(result.image, METHOD_NOTES[str(result.request.method)].title))
    half = -(-len(tiles) // 2)
    _sheet([tiles[:half], tiles[half:]], path)


def write_first_edit(editor: FaceEditor, path: Path) -> None:
    """Write the finished edit that the Space opens with."""
    name, prompt = FIRST
    editor.edit(_photo(name), prompt).image.save(path, quality=92, optimize=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write all pictures; return the exit status."""
    parser = argparse.ArgumentParser(prog="pictures", description=__doc__.split("\n")[0])
    parser.parse_args(arguments)
    from faceedit import FaceEditor

    editor = FaceEditor.from_pretrained("faceedit/portraits-128")
    write_first_edit(editor, EXAMPLES / "first-edit.jpg")
    write_front(editor, FOLDER / "front.jpg")
    write_methods(editor, FOLDER / "methods.jpg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
