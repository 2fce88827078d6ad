"""Contact sheets: for every method the same 8 faces and 8 sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.benchmark.faces import GRID_FACES, EvaluationSet, Item, grid_items
from training.benchmark.prompts import GRID
from training.benchmark.records import Records
from training.gallery import save_small
from training.sheets import PAPER, contact_sheet

__all__ = ["missing_cells", "sheet_name", "write_sheet"]


def sheet_name(row: str) -> str:
    """Return a sheet's file name: "styleclip-global.jpg"."""
    return row.replace("_", "-").replace(":", "-") + ".jpg"


def missing_cells(items: Sequence[Item], records: Records, lines: int = GRID_FACES) -> list[Item]:
    """Return the items of the sheet's first lines whose edited pictures are not kept yet."""
    cells = grid_items(items, lines)
    return [item for item in cells if not records.picture(item.index).is_file()]


def write_sheet(faces: EvaluationSet, records: Records, path: Path, shown: int = GRID_FACES) -> int:
    """Write a row's sheet, the source at the left of every line; return its size in bytes.

    What is missing (a sentence that the method has not learned) stays blank.
    """
    items = grid_items(faces.items, shown)
    lines: dict[int, dict[str, Item]] = {}
    for item in items:
        lines.setdefault(item.face, {})[item.prompt.key] = item
    cells: list[Tensor] = []
    for line in lines.values():
        source = faces.case(next(iter(line.values()))).source.image[0].cpu()
        blank = torch.tensor(PAPER).float().div(127.5).sub(1)[:, None, None].expand(source.shape)
        cells.append(source)
        for prompt in GRID:
            cell = line.get(prompt.key)
            picture = None if cell is None else records.load_picture(cell.index)
            cells.append(blank if picture is None else picture)
    columns = ["before", *(prompt.text for prompt in GRID)]
    return save_small(contact_sheet(cells, len(columns), column_labels=columns), path)
