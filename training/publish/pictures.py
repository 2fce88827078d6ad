"""The README's pictures, and the edit that the Space opens with (`make pictures`).

Everything is made from the example photographs in `demo/examples`, by the shipped weights. With
`--galleries DIR` the sheets `docs/sheets/photographs-*.jpg` are written instead, from photographs
of a folder: every sentence on the same people, what works and what does not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from training.config import ROOT
from training.publish.gallery import photo_files

if TYPE_CHECKING:
    from faceedit import EditResult, FaceEditor

__all__ = ["main"]

EXAMPLES = ROOT / "demo" / "examples"
FOLDER = ROOT / "docs" / "pictures"
FIRST = ("female-28", "red hair")  # what the Space opens with
# One row a person; the last picture of a row is where the last edit changed the photograph.
FRONT = {
    "female-28": ("red hair", "sunglasses", "a laughing face", "a beanie"),
    "male-13": ("an old face", "round glasses", "a full beard", "a sun hat"),
}
METHODS_SHOWN = ("male-79", "sunglasses")
SHEETS = ROOT / "docs" / "sheets"
GALLERIES = {  # sheet -> its sentences
    "colour": ("red hair", "blonde hair", "green hair", "blue eyes", "red lipstick"),
    "expression": (
        *("a laughing face", "a wide smile", "a frowning face", "a surprised face"),
        "closed eyes",
    ),
    "age": ("an old face", "a young face", "freckles", "eyeshadow", "grey hair"),
}
GALLERY_REACH = 0.95  # how far a gallery's tile reaches from the face's middle, in its heights
GALLERY_SIDE = 112  # px of a gallery's tile
SIDE, BAND = 220, 20  # px of a tile and of its caption


def _tile(picture: Image.Image, words: str, side: int = SIDE) -> Image.Image:
    """Return a picture with its caption below."""
    tile = Image.new("RGB", (side, side + BAND), "white")
    tile.paste(picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS))
    draw = ImageDraw.Draw(tile)
    font = ImageFont.load_default(13)
    draw.text((side / 2, side + BAND / 2), words, "black", font, anchor="mm")
    return tile


def _sheet(rows: Sequence[Sequence[Image.Image]], path: Path, quality: int = 86) -> None:
    """Write rows of tiles as one small JPEG."""
    wide, high = rows[0][0].size
    size = (max(len(row) for row in rows) * wide, len(rows) * high)
    sheet = Image.new("RGB", size, "white")
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            sheet.paste(tile, (x * wide, y * high))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=quality, optimize=True)


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


def write_gallery(editor: FaceEditor, name: str, photos: Sequence[Path], folder: Path) -> None:
    """Write the sheet of a gallery: a row a photograph, which comes first, a column a sentence."""
    rows = []
    for path in photos:
        shown = [editor.edit(path, prompt) for prompt in GALLERIES[name]]
        with Image.open(path) as photo:
            row = [_tile(_around_face(photo.convert("RGB"), shown[0]), "photograph", GALLERY_SIDE)]
        for prompt, result in zip(GALLERIES[name], shown, strict=True):
            row.append(_tile(_around_face(result.image, result), prompt, GALLERY_SIDE))
        rows.append(row)
    _sheet(rows, folder / f"photographs-{name}.jpg", 50)


def _around_face(picture: Image.Image, result: EditResult) -> Image.Image:
    """Return the part of a photograph around its face that a small tile can show, a square."""
    from faceedit.photo import detect_faces

    assert result.step is not None and result.step.portrait.photo is not None
    face = detect_faces(result.step.portrait.photo)[0]
    left, top, right, bottom = face.box
    reach = min(GALLERY_REACH * (bottom - top), min(picture.size) / 2)
    x = min(max((left + right) / 2, reach), picture.width - reach)
    y = min(max((top + bottom) / 2, reach), picture.height - reach)
    return picture.crop((round(x - reach), round(y - reach), round(x + reach), round(y + reach)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write all pictures; return the exit status."""
    parser = argparse.ArgumentParser(prog="pictures", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--galleries", type=Path, metavar="DIR", help="write the galleries, from these photographs")
    add(
        "--people", default="", metavar="A,B", help="of the folder; its first eight are the default"
    )
    typed = parser.parse_args(arguments)
    from faceedit import FaceEditor

    editor = FaceEditor.from_pretrained("faceedit/portraits-128")
    if typed.galleries is not None:
        photos = photo_files(typed.galleries)
        names = [name for name in typed.people.split(",") if name]
        chosen = [path for path in photos if path.stem in names] if names else photos[:8]
        for name in GALLERIES:
            write_gallery(editor, name, chosen, SHEETS)
        return 0
    write_first_edit(editor, EXAMPLES / "first-edit.jpg")
    write_front(editor, FOLDER / "front.jpg")
    write_methods(editor, FOLDER / "methods.jpg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
