"""Measure speed and memory beside the textbook: `python -m benchmarks.speed`.

Takes under four minutes on one free core and writes `hub_cards/benchmark/speed.json` and the table
of `docs/performance.md`. `--official` adds the shapes of the official 1024 px generator, `--quick`
only tries whether everything runs and writes nothing but what `--json` and `--page` name.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks import textbook
from benchmarks.cases import Case, cases, training_cases
from benchmarks.cold import cold_start, import_seconds
from benchmarks.report import table, write_json, write_page
from benchmarks.timing import QUICK, Ceiling, Pace, alternate, ceiling, effort, peak_bytes
from training.config import ROOT

__all__ = ["main", "measure"]

QUICK_TASKS = ("styleclip_mapper",)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, write, and show the table; the exit code is 0 whatever the numbers are."""
    arguments = build_parser().parse_args(words)
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    begun = time.perf_counter()
    found = measure_all(arguments, device)
    found["seconds"] = time.perf_counter() - begun
    json_path, page = arguments.json, arguments.page
    if not arguments.quick:
        json_path = json_path or ROOT / "hub_cards/benchmark/speed.json"
        page = page or ROOT / "docs/performance.md"
    if json_path is not None:
        write_json(found, json_path)
    if page is not None:
        write_page(found, page)
    sys.stdout.write(table(found) + "\n")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the flags."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description="Measure speed beside the textbook."
    )
    base = ROOT / "hub_cards/portraits-128"
    parser.add_argument("--base", type=Path, default=base, help="folder of the networks")
    parser.add_argument("--device", default="cpu", help='"cpu" (default) or "cuda"')
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--official", action="store_true", help="also the 1024 px shapes, minutes")
    parser.add_argument("--quick", action="store_true", help="only see that everything runs")
    parser.add_argument("--only", metavar="TEXT", help="cases whose key has this text")
    parser.add_argument("--json", type=Path, help="default: hub_cards/benchmark/speed.json")
    parser.add_argument("--page", type=Path, help="default: docs/performance.md")
    return parser


def measure_all(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Return the numbers of all cases and the circumstances."""
    from faceedit.editor import FaceEditor

    quick, only = arguments.quick, arguments.only or ""
    top = ceiling(device, *((256, 8) if quick else ()))
    editor = FaceEditor.from_pretrained(arguments.base, device=device)
    rows = measure(cases(editor, arguments.official, quick), device, top, quick, only)
    if not only or "train/" in only:
        tasks = QUICK_TASKS if quick else None
        rows += measure(training_cases(tasks, device), device, top, quick, only)
    found = {
        "cases": rows,
        "ceiling": asdict(top),
        "quick": quick,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }
    if not only:
        times = 1 if quick else 3
        found["cold"] = {
            "import_package": import_seconds("faceedit", times),
            "import_torch": import_seconds("torch", times),
            **cold_start(arguments.base),
        }
    return found


def measure(
    wanted: Iterable[Case], device: torch.device, top: Ceiling, quick: bool, only: str = ""
) -> list[dict[str, Any]]:
    """Measure cases one after the other; one that fails is listed with its "problem"."""
    rows = []
    with tqdm(_chosen(wanted, only), unit="case", disable=None) as bar:
        for case in bar:
            bar.set_postfix_str(case.key)
            row: dict[str, Any] = {"key": case.key, "what": case.what}
            try:
                row |= _measured(case, device, top, QUICK if quick else Pace())
            except Exception as error:  # a table with a gap is better than none
                said = f"{type(error).__name__}: {error}".replace(f"{ROOT}/", "")
                row["problem"] = " ".join(said.split())[:300]
            rows.append(row)
    return rows


def _chosen(wanted: Iterable[Case], only: str) -> Iterator[Case]:
    return (case for case in wanted if only in case.key)


def _measured(case: Case, device: torch.device, top: Ceiling, pace: Pace) -> dict[str, Any]:
    """Time a case, and count its memory and its operations where that is asked for."""

    def by_textbook() -> None:
        with textbook.installed():
            case.run()

    row = alternate(case.run, by_textbook if case.textbook else None, device, pace)
    for name in ("target", "memory_target"):
        if getattr(case, name) is not None:
            row[name] = getattr(case, name)
    if not case.counted:
        return row
    row["peak_bytes"] = peak_bytes(case.run, device)
    row["textbook_peak_bytes"] = peak_bytes(by_textbook, device)
    counts = effort(case.run)
    needed = replace(counts, bytes=counts.bytes or case.least_bytes)
    row |= {"operations": needed.operations, "bytes": needed.bytes}
    row["floor_seconds"] = top.floor(needed)
    return row


def _processor() -> str:
    """Return the CPU's name."""
    info = Path("/proc/cpuinfo")
    names = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    found = [line.partition(":")[2].strip() for line in names if line.startswith("model name")]
    return next(iter(found), platform.processor() or platform.machine())


if __name__ == "__main__":
    sys.exit(main())
