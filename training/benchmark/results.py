"""Files of results: written beside the cards, read for tables."""

from __future__ import annotations

import csv
import io
import json
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.benchmark.summary import Record

RESULTS = "results.json"  # of the set of renders; the others' names end in the set's
SETS = ("renders", "samples", "photos")
PHOTOGRAPHS = "photographs"  # edited whole; a set and a table of its own
CSV_COLUMNS = (
    *("row", "item", "face", "prompt", "strength", "success", "share", "progress", "identity"),
    *("identity_photo", "collateral", "psnr_in", "psnr_out", "kept_out", "feature_in"),
    *("feature_out", "clip_gain", "seconds"),
)


def results_file(folder: Path, name: str) -> Path:
    """Return the file of a set's results."""
    return folder / (RESULTS if name == "renders" else f"results-{name}.json")


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the results of all sets that have been measured, by the set's name."""
    found = {}
    for name in (*SETS, PHOTOGRAPHS):
        path = results_file(folder, name)
        if path.is_file():
            found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write_results(result: Mapping[str, Any], path: Path) -> None:
    """Write the results of a set as JSON, a line a row."""
    parts = []
    for key, value in result.items():
        text = _line(value)
        if isinstance(value, Mapping) and value:
            inner = ",\n".join(f"  {_line(name)}:{_line(row)}" for name, row in value.items())
            text = f"{{\n{inner}\n }}"
        parts.append(f" {_line(key)}: {text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def write_csv(rows: Mapping[str, Mapping[int, Record]], path: Path) -> None:
    """Write a line an edit and strength, compressed; equal rows give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with (
        partial.open("wb") as binary,
        lzma.open(binary, "wb", preset=9 | lzma.PRESET_EXTREME) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
    ):
        table = csv.DictWriter(file, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for name, records in rows.items():
            for record in (records[item] for item in sorted(records)):
                for strength, numbers in record["strengths"].items():
                    table.writerow(
                        {**record, **_rounded(numbers), "row": name, "strength": strength}
                    )
    partial.replace(path)


def _rounded(numbers: Mapping[str, Any]) -> dict[str, Any]:
    digits = dict.fromkeys(("psnr_in", "psnr_out", "kept_out"), 2)  # in dB
    return {k: None if v is None else round(v, digits.get(k, 3)) for k, v in numbers.items()}
