"""Contact sheets: for every method the same 8 faces and 8 sentences; targets one above another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from training.benchmark.faces import EvaluationSet
from training.benchmark.people import GRID_FACES, Item, grid_items
from training.benchmark.prompts import GRID
from training.benchmark.records import Records
from training.sheets import PAPER, contact_sheet, save_sheet

__all__ = ["sheet_name", "write_sheet", "write_target_sheet"]


def sheet_name(row: str) -> str:
    """Return a sheet's file name: "styleclip-global.jpg"."""
    return row.replace("_", "-").replace(":", "-") + ".jpg"


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
        cells.append(source)
        for prompt in GRID:
            cell = line.get(prompt.key)
            picture = None if cell is None else records.load_picture(cell.index)
            cells.append(blank(source) if picture is None else picture)
    columns = ["before", *(prompt.text for prompt in GRID)]
    return save_sheet(contact_sheet(cells, len(columns), column_labels=columns), path)


def blank(like: Tensor) -> Tensor:
    """Return the sheet's paper in the shape of an image, [3, h, w]."""
    return torch.tensor(PAPER).float().div(127.5).sub(1)[:, None, None].expand(like.shape)


def write_target_sheet(faces: EvaluationSet, targets: Mapping[str, Records], path: Path) -> int:
    """Write the first edits of one method with each of its targets; return the size in bytes.

    Every column is another face and another sentence, the source at the top.
    """
    items = faces.items[: len(GRID)]
    cells = [faces.case(item).source.image[0].cpu() for item in items]
    for records in targets.values():
        pictures = [records.load_picture(item.index) for item in items]
        cells += [blank(cells[0]) if picture is None else picture for picture in pictures]
    rows, columns = ["before", *targets], [item.prompt.text for item in items]
    sheet = contact_sheet(cells, len(items), column_labels=columns, row_labels=rows)
    return save_sheet(sheet, path)
