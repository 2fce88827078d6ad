"""Files of results: written beside the cards, read for tables."""

from __future__ import annotations

import csv
import io
import json
import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.benchmark.summary import Record

RESULTS = "results.json"  # of the set of renders; the others' names end in the set's
SETS = ("renders", "samples", "photos")
TEST_PEOPLE = "renders-test"
PHOTOGRAPHS = "photographs"  # edited whole; a set and a table of its own
CSV_COLUMNS = (
    *("row", "item", "face", "prompt", "strength", "success", "share", "progress", "identity"),
    *("collateral", "psnr_in", "psnr_out", "kept_out", "feature_in", "feature_out", "clip_gain"),
)
# Of the test people, who are shown at strength 1: what the pages say of them.
TEST_COLUMNS = ("row", "item", "face", "prompt", "success", "identity", "collateral", "typed")


def results_file(folder: Path, name: str) -> Path:
    """Return the file of a set's results."""
    return folder / (RESULTS if name == "renders" else f"results-{name}.json")


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the results of all sets that have been measured, by the set's name."""
    found = {}
    for name in (*SETS, PHOTOGRAPHS, TEST_PEOPLE):
        path = results_file(folder, name)
        if path.is_file():
            found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write_results(result: Mapping[str, Any], path: Path) -> None:
    """Write the results of a set as JSON, a line a row."""
    parts = []
    for key, value in result.items():
        text = _json(value)
        if isinstance(value, Mapping) and value:
            inner = ",\n".join(f"  {_json(name)}:{_json(row)}" for name, row in value.items())
            text = f"{{\n{inner}\n }}"
        parts.append(f" {_json(key)}: {text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def write_csv(
    rows: Mapping[str, Mapping[int, Record]],
    path: Path,
    columns: Sequence[str] = CSV_COLUMNS,
    keep: bool = False,
) -> None:
    """Write a line an edit and strength, compressed; equal rows give equal bytes.

    Args:
        rows: The records of every row.
        path: Where.
        columns: What is told of an edit.
        keep: Whether other rows that are there already stay.
    """
    known = _lines(path) if keep and path.is_file() else []
    kept = [line for line in known if not rows.get(line["row"])]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with (
        partial.open("wb") as binary,
        lzma.open(binary, "wb", preset=9 | lzma.PRESET_EXTREME) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
    ):
        table = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(kept)
        for name, records in rows.items():
            for record in (records[item] for item in sorted(records)):
                for strength, numbers in record["strengths"].items():
                    typed = {"typed": record.get("typed", {}).get("success")}
                    cells = {**record, **_rounded({**numbers, **typed})}
                    table.writerow({**cells, "row": name, "strength": strength})
    partial.replace(path)


def read_edits(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the edits at strength 1 of every row: "item", "face", "prompt", and their numbers."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in _lines(path):
        if line.get("strength", "1.0") == "1.0":
            whole = {key: int(line[key]) for key in ("item", "face")}
            numbers = {key: float(line[key]) for key in ("success", "identity", "collateral")}
            edit = {**whole, "prompt": line["prompt"], **numbers}
            found.setdefault(line["row"], []).append(edit)
    return found


def _lines(path: Path) -> list[dict[str, str]]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _rounded(numbers: Mapping[str, Any]) -> dict[str, Any]:
    digits = dict.fromkeys(("psnr_in", "psnr_out", "kept_out"), 2)  # in dB
    return {k: None if v is None else round(v, digits.get(k, 3)) for k, v in numbers.items()}
