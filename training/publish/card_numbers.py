"""The numbers that a card may show: those of the benchmark's JSON files, and how they are written.

`networks.json` has the shared networks and the judges, `results.json` the methods. A number is
rounded here and nowhere else, so that a card's table, its `model-index` and the JSON can be
compared letter by letter.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faceedit.hub import CONFIG, WEIGHTS, read_config

__all__ = [
    "LABELS",
    "Cell",
    "Number",
    "network_numbers",
    "numbers_of",
    "read_method",
    "read_rows",
    "shown",
]

NETWORKS, RESULTS = "networks.json", "results.json"
JUDGES = ("judge_attributes", "judge_identity")
# Under which of these a results file may keep its rows, and a row its numbers.
ROWS = ("methods", "rows", "results")
COLUMNS = ("columns", "measures", "numbers")
# The columns that a card shows, in its order; a row that has none of them is shown whole.
LABELS = {
    "success": "the sentence comes true (judge), share",
    "floor": "the same of the unedited face",
    "ceiling": "the same of the true edit",
    "all_true": "sentences with several statements: all come true, share",
    "identity_kept": "the person stays (judge's cosine), edits that do not touch identity",
    "identity": "the person stays (judge's cosine), all edits",
    "collateral": "other visible attributes change, share",
    "matched/identity": "the person stays, at the strength of equal success",
    "matched/collateral": "other attributes change, at the strength of equal success",
    "psnr_in": "PSNR to the true edit where it changes the picture, dB",
    "psnr_out": "PSNR to the true edit elsewhere, dB",
    "linearity": "rank correlation of strength and the judge's score",
    "undone": "feature distance to the source after the edit and its reverse",
    "kid": "KID x 1000 to the world's renders, in the judge's features",
    "seconds": "an edit of an inverted face, seconds",
    "n": "edits measured",
}


@dataclass(frozen=True)
class Cell:
    """A number of the benchmark, with its 95% interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> str:
        """The interval as it is printed; "" without one."""
        if self.low is None or self.high is None:
            return ""
        return f"{shown(self.low)} to {shown(self.high)}"


@dataclass(frozen=True)
class Number:
    """One measured number.

    Attributes:
        key: Its place in the JSON file; the `metric_type` of the card's `model-index`.
        label: What it is in words.
        value: As measured.
        aside: What stands beside it: its interval, or the bar it should reach; "" for neither.
    """

    key: str
    label: str
    value: float
    aside: str = ""

    @property
    def text(self) -> str:
        """The number as it is printed."""
        return shown(self.value)


def shown(value: float) -> str:
    """Return a number with four digits that mean something: "0.8363", "21.24", "2682"."""
    text = f"{value:.4g}"
    return str(round(value)) if "e+" in text else text


def numbers_of(folder: Path, hub_cards: Path) -> list[Number]:
    """Return the numbers that the card of a repo's folder may show; none if it was not measured."""
    benchmark = hub_cards / "benchmark"
    if folder.name == "judges":
        return network_numbers(benchmark / NETWORKS, folder, judges=True)
    if not (folder / CONFIG).is_file():
        return []
    if read_config(folder).get("kind") == "base":
        return network_numbers(benchmark / NETWORKS, folder, judges=False)
    row = read_rows(benchmark / RESULTS).get(read_method(folder), {})
    keys = [key for key in LABELS if key in row] or list(row)
    return [
        Number(key, LABELS.get(key, key.replace("_", " ")), row[key].value, row[key].interval)
        for key in keys
    ]


def read_method(folder: Path) -> str:
    """Return the name of the method in a folder; its folder's name where the config has none."""
    return str(read_config(folder).get("method") or folder.name).replace("-", "_")


def read_rows(path: Path) -> dict[str, dict[str, Cell]]:
    """Return the benchmark's rows: a method's name -> column -> number; {} without a file.

    Columns of a group are named with it: "matched/identity".
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    table = next((content[key] for key in ROWS if key in content), content)
    if isinstance(table, list):
        table = {str(row.get("method") or row.get("name")): row for row in table}
    rows = {}
    for name, row in table.items():
        if isinstance(row, dict):
            columns = next((row[key] for key in COLUMNS if isinstance(row.get(key), dict)), row)
            rows[str(name)] = _cells(columns)
    return rows


def _cells(columns: Mapping[str, Any], group: str = "") -> dict[str, Cell]:
    """Return the numbers of a row, and of its groups; everything else is left out."""
    found: dict[str, Cell] = {}
    for key, value in columns.items():
        if isinstance(value, dict) and not {"value", "mean"} & set(value):
            found |= {} if group else _cells(value, f"{key}/")
            continue
        parts = value if isinstance(value, dict) else {"value": value}
        number = _number(parts.get("value", parts.get("mean")))
        if number is not None:
            cell = Cell(number, _number(parts.get("low")), _number(parts.get("high")))
            found[f"{group}{key}"] = cell
    return found


def _number(value: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def network_numbers(path: Path, folder: Path, judges: bool) -> list[Number]:
    """Return the numbers of a base's networks, or of the judges.

    Numbers that were measured with other weights than those in the folder are left out.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["networks"]
    except (OSError, ValueError, KeyError):
        return []
    found = []
    for network, entry in content.items():
        if (network in JUDGES) != judges or not _current(entry, network, folder):
            continue
        for measure in entry["measures"]:
            if measure["value"] is None:
                continue
            name, unit = f"{network}: {measure['name']}", measure.get("unit") or ""
            label = f"{name} ({unit})" if unit else name
            bar = "" if measure.get("bar") is None else shown(measure["bar"])
            found.append(Number(name, label.replace("|", "/"), float(measure["value"]), bar))
    return found


def _current(entry: Mapping[str, Any], network: str, folder: Path) -> bool:
    """Whether a network's numbers are of the weights that lie in the folder now."""
    for name, digits in entry.get("weights", {}).items():
        path = folder / name.removeprefix("judge_") / WEIGHTS
        own = name == network or (name not in JUDGES and folder.name != "judges")
        if own and path.is_file():
            if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(digits):
                return False
        elif name == network:
            return False
    return True
