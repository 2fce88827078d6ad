"""What is kept of every edit: a line of JSON, so that a stopped run goes on where it was.

A row's folder is named after everything that its numbers depend on (weights, settings, code of the
method, judges, set), so numbers of other weights are never mixed in. Every process appends to a
file of its own; reading takes all files, whichever number of processes wrote them.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from torch import Tensor

from faceedit.inversion import to_tensor
from training.sheets import to_pil

__all__ = ["Records"]

DIGITS = 12  # significant digits of a stored number: what is nearly certain still has an order


class Records:
    """The edits of one row.

    Args:
        folder: Where; made when something is written.
        process: Which process writes.
    """

    def __init__(self, folder: Path, process: int = 0) -> None:
        self.folder = folder
        self.file = folder / f"edits-{process}.jsonl"

    def read(self) -> dict[int, dict[str, Any]]:
        """Return the record of every item by its index; half-written lines are left out."""
        found = {}
        for path in sorted(self.folder.glob("edits-*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except ValueError:  # cut off by a kill in the middle of a line
                    continue
                found[int(record["item"])] = record
        return found

    def write(self, record: dict[str, Any]) -> None:
        """Append a record."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_short(record), separators=(",", ":"))
        # A line that a kill cut off must not swallow the next one.
        whole = not self.file.is_file() or self.file.read_bytes()[-1:] in (b"\n", b"")
        with self.file.open("a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + text + "\n")

    def picture(self, item: int) -> Path:
        """Return where the edited picture of an item lies, if it was kept."""
        return self.folder / f"{item:04d}.png"

    def keep_picture(self, item: int, image: Tensor) -> None:
        """Keep an edited picture, [1, 3, h, w], for the contact sheet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{item:04d}.partial.png"
        to_pil(image[0]).save(partial)
        partial.replace(self.picture(item))

    def load_picture(self, item: int) -> Tensor | None:
        """Return a kept picture, [3, h, w] in [-1, 1]."""
        path = self.picture(item)
        if not path.is_file():
            return None
        with PIL.Image.open(path) as picture:
            return to_tensor(picture)[0]


def _short(content: Any) -> Any:
    """Turn tensors into lists, NaN into null, and cut digits that mean nothing."""
    if isinstance(content, dict):
        return {str(key): _short(value) for key, value in content.items()}
    if isinstance(content, torch.Tensor):
        return _short(content.tolist())
    if isinstance(content, list | tuple):
        return [_short(value) for value in content]
    if isinstance(content, float):
        return float(f"{content:.{DIGITS}g}") if math.isfinite(content) else None
    return content
