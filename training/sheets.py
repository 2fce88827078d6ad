"""Contact sheets: a grid of pictures with optional labels, small enough to commit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import torch
from torch import Tensor

__all__ = ["LARGEST", "contact_sheet", "save_sheet", "to_pil"]

PAPER = (250, 249, 246)
INK = (40, 40, 44)
FONT_SIZE = 12  # px
LABEL_HEIGHT = 18  # px above a column
LARGEST = 64_000  # bytes of a JPEG: with all sheets the tree stays under 52 MiB
QUALITIES = (90, 84, 78, 70, 60)


def to_pil(image: Tensor) -> PIL.Image.Image:
    """Turn one image, [3, h, w] in [-1, 1], into a PIL image."""
    pixels = image.detach().float().cpu().clamp(-1, 1).add(1).mul(127.5).round()
    return PIL.Image.fromarray(pixels.to(torch.uint8).permute(1, 2, 0).contiguous().numpy())


def contact_sheet(
    images: Tensor | Sequence[Tensor],
    columns: int,
    column_labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    gap: int = 2,
) -> PIL.Image.Image:
    """Lay images out in rows.

    Args:
        images: [n, 3, h, w] in [-1, 1], or n tensors [3, h, w] of one size; filled row by row.
        columns: Images in a row.
        column_labels: A word above each column; may be fewer than the columns.
        row_labels: A word left of each row; may be fewer than the rows.
        gap: Pixels between images.

    Raises:
        ValueError: If there is no image or `columns` is not positive.
    """
    if len(images) == 0 or columns < 1:
        raise ValueError(f"a sheet needs images and columns, got {len(images)} and {columns}")
    height, width = images[0].shape[-2:]
    rows = -(-len(images) // columns)
    font = PIL.ImageFont.load_default(FONT_SIZE)
    left = max((int(font.getlength(text)) + 8 for text in row_labels), default=0)
    heads = [_wrapped(text, width, font) for text in column_labels[:columns]]
    top = LABEL_HEIGHT * max((text.count("\n") + 1 for text in heads), default=0)
    size = (left + columns * (width + gap) - gap, top + rows * (height + gap) - gap)
    sheet = PIL.Image.new("RGB", size, PAPER)
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        sheet.paste(to_pil(image), (left + column * (width + gap), top + row * (height + gap)))
    draw = PIL.ImageDraw.Draw(sheet)
    for column, text in enumerate(heads):
        middle = left + column * (width + gap) + width // 2
        draw.multiline_text((middle, top // 2), text, INK, font, anchor="mm", align="center")
    for row, text in enumerate(row_labels[:rows]):
        draw.text((4, top + row * (height + gap) + height // 2), text, INK, font, anchor="lm")
    return sheet


def _wrapped(text: str, width: int, font: Any) -> str:
    """Return a text in lines that are no wider than a picture, a longer word excepted."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def save_sheet(sheet: PIL.Image.Image, path: Path, largest: int = LARGEST) -> int:
    """Write a sheet as JPEG or PNG by its ending, whole or not at all; return its size in bytes.

    A JPEG has at most `largest` bytes, and is as good as that allows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial{path.suffix}")
    if path.suffix.lower() in (".jpg", ".jpeg"):
        _save_jpeg(sheet, partial, largest)
    else:
        sheet.save(partial, optimize=True)
    partial.replace(path)
    return path.stat().st_size


def _save_jpeg(sheet: PIL.Image.Image, path: Path, largest: int) -> None:
    """Write the best JPEG of at most `largest` bytes; where none is, of a smaller picture."""
    for quality in QUALITIES:
        sheet.save(path, quality=quality, optimize=True, progressive=True)
        if path.stat().st_size <= largest:
            return
    shrink = 0.9 * math.sqrt(largest / path.stat().st_size)
    size = (round(sheet.width * shrink), round(sheet.height * shrink))
    _save_jpeg(sheet.resize(size), path, largest)
