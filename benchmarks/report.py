"""The measurements as JSON for machines and as a table between two markers of a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "END", "table", "write_json", "write_page"]

BEGIN = "<!-- speed: written by python -m benchmarks.speed -->"
END = "<!-- /speed -->"
HEAD = (
    "| what | ours | textbook | ratio (range) | wanted | memory, ours / textbook | floor | gap |",
    "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |",
)


def write_json(found: Mapping[str, Any], path: Path) -> None:
    """Write all numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(found), indent=1) + "\n", encoding="utf-8")


def write_page(found: Mapping[str, Any], path: Path) -> None:
    """Put the tables between the markers of a page; whatever else stands there is kept.

    Raises:
        ValueError: If the page has no markers.
    """
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} lacks the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{table(found)}\n\n{END}{after}", encoding="utf-8")


def table(found: Mapping[str, Any]) -> str:
    """Return the page's tables in markdown."""
    rows = found["cases"]
    lines = [
        _circumstances(found),
        "",
        *HEAD,
        *(_line(row) for row in rows if "problem" not in row),
    ]
    wanted = [row for row in rows if "target" in row and "ratio" in row]
    missed = [row["what"] for row in wanted if not _reached(row)]
    lines += ["", f"Wanted and reached: {len(wanted) - len(missed)} of {len(wanted)}."]
    lines += [f"- Falls short: {what}." for what in missed]
    failed = [f"- Not measured: {row['what']} ({row['problem']})." for row in rows if _failed(row)]
    cold = found.get("cold", {})
    if cold:
        lines += ["", "| cold, in a fresh process | seconds |", "| --- | ---: |"]
        names = {"import_package": "`import faceedit`", "import_torch": "`import torch` alone"}
        names |= {"import": "importing the editor", "load": "loading the base"}
        names |= {"first_edit": f"first edit ({cold['method']})"}
        lines += [f"| {text} | {cold[key]:.3f} |" for key, text in names.items() if key in cold]
        lines += ["", f"Peak memory of that process: {cold['peak_mib']} MiB."]
    return "\n".join([*lines, *([""] if failed else []), *failed])


def _failed(row: Mapping[str, Any]) -> bool:
    return "problem" in row


def _reached(row: Mapping[str, Any]) -> bool:
    """Return whether a case is as much faster and smaller as it should be."""
    fast = row["ratio"] >= row["target"]
    if "memory_target" not in row or not row.get("peak_bytes"):
        return bool(fast)
    return bool(fast and row["textbook_peak_bytes"] / row["peak_bytes"] >= row["memory_target"])


def _circumstances(found: Mapping[str, Any]) -> str:
    """Say where and how it was measured."""
    top = found["ceiling"]
    trial = "**A quick trial, whose numbers mean little.** " if found["quick"] else ""
    return (
        f"{trial}{found['device']}, {found['threads']} thread(s), PyTorch {found['torch']}, "
        f"{found['date']}, load average {found['load_average']}, {found['seconds']:.0f} s in all. "
        f"The machine reaches {top['operations'] / 1e9:.0f} GFLOP/s in a large matrix product and "
        f"{top['bytes'] / 1e9:.1f} GB/s in a large copy."
    )


def _line(row: Mapping[str, Any]) -> str:
    """Return one case as a row."""
    cells = [row["what"], time_text(row["seconds"])]
    if "ratio" in row:
        low, high = row["ratio_range"]
        cells += [
            time_text(row["textbook_seconds"]),
            f"**{row['ratio']:.2f}** ({low:.2f}-{high:.2f})",
        ]
    else:
        cells += ["-", "-"]
    cells.append(_wanted(row))
    cells.append(_memory(row))
    if "floor_seconds" in row:
        gap = row["seconds"] / row["floor_seconds"]
        counts = f"{row['operations'] / 1e9:.3g} GFLOP, {row['bytes'] / 2**20:.0f} MiB"
        cells += [f"{time_text(row['floor_seconds'])} ({counts})", f"{gap:.1f}"]
    else:
        cells += ["-", "-"]
    return f"| {' | '.join(cells)} |"


def _wanted(row: Mapping[str, Any]) -> str:
    if "target" not in row or "ratio" not in row:
        return "-"
    memory = f", memory 1/{row['memory_target']:g}" if "memory_target" in row else ""
    return f"{row['target']:g}{memory}: {'met' if _reached(row) else '**missed**'}"


def _memory(row: Mapping[str, Any]) -> str:
    sizes = [row.get(key) for key in ("peak_bytes", "textbook_peak_bytes")]
    texts: Sequence[str] = [f"{size / 2**20:.1f} MiB" for size in sizes if size is not None]
    return " / ".join(texts) or "-"


def time_text(value: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def _rounded(value: Any) -> Any:
    """Return the same with four digits: more says nothing and changes every time."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
