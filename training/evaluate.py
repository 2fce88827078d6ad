"""Measure what has been trained: `python -m training.evaluate --networks`, or `--set renders`.

With `--set` the methods are measured, by `training.benchmark`; `--set renders --help` and
`--set photographs --help` show its flags. With `--words` it is measured how words are read
(`training.benchmark.words`).
Otherwise the networks are: this writes `hub_cards/benchmark/networks.json` and
`docs/networks.md`, and prints the table. What has no weights yet is skipped and named. Networks
that are not measured this time (`--only`) keep their numbers as long as their weights, the judges'
and the world are those of the numbers. `--sheets` writes the pictures of `docs/sheets/`.
`--photographs DIR` prints what the networks make of a folder of labelled photographs, with
`--sheets` it draws them as well.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a file: the path then starts at training/, not at the root
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from tqdm import tqdm

from faceedit.errors import FaceEditError, RequestError
from faceedit.hub import WEIGHTS
from faceedit.launchers import start_processes
from faceedit.world import WORLD_VERSION
from training.config import ROOT, ConfigError, unknown
from training.measures import networks as measures
from training.measures.encoder import encoder
from training.measures.generator import generator
from training.measures.networks import Found, Limit, Measure, Setting
from training.measures.speed import speed

__all__ = ["MEASURED", "main", "measure_networks", "table"]

JUDGES = ("judge_attributes", "judge_identity")
MEASURED: dict[str, Callable[[Setting], Found]] = {
    "judge_attributes": measures.judge_attributes,
    "judge_identity": measures.judge_identity,
    "generator": generator,
    "clip": measures.clip,
    "encoder": encoder,
    "identity": measures.identity,
    "segmenter": measures.segmenter,
    "attributes": measures.attributes,
    "speed": speed,
}
# Whose weights the numbers of a network depend on, beside its own.
ALSO: dict[str, tuple[str, ...]] = {
    "generator": ("judge_attributes",),
    "encoder": ("generator", "identity", *JUDGES),
    "speed": ("generator", "clip", "encoder", "identity"),
}
FORMAT_VERSION = 1
# What asks for the methods instead.
BENCHMARK_FLAGS = ("--all", "--set", "--methods", "--targets", "--split")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure from command-line arguments; return the exit status (2: something to correct)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--words" in words:
        from training.benchmark.words import main as read_words

        return read_words(words)
    if " --set photographs " in f" {' '.join(words)} ".replace("--set=", "--set "):
        from training.benchmark.photographs import main as edit_photographs

        return edit_photographs(words)
    if any(word.split("=")[0] in BENCHMARK_FLAGS for word in words):
        return _benchmark(words, None if arguments is not None else sys.argv[0])
    typed = _parser().parse_args(words)
    use_cuda = torch.cuda.is_available() and not typed.cpu
    setting = Setting(
        data=ROOT / typed.data_dir,
        base=ROOT / typed.base,
        judges=ROOT / typed.judges,
        count=typed.count,
        refined=typed.refined,
        device=torch.device("cuda" if use_cuda else "cpu"),
    )
    try:
        if typed.photographs:
            sheets = ROOT / typed.sheet_dir if typed.sheets else None
            _photographs(setting, Path(typed.photographs), typed.fold, sheets)
            return 0
        if typed.networks or not typed.sheets:
            results, page = ROOT / typed.results, ROOT / typed.table
            print(table(measure_networks(setting, chosen(typed.only), results, page)))
        if typed.sheets:
            from training.publish.gallery import write_sheets

            photos = Path(typed.photos) if typed.photos else None
            print("\n".join(write_sheets(setting, ROOT / typed.sheet_dir, photos)))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _photographs(setting: Setting, root: Path, fold: int, sheets: Path | None) -> None:
    """Print the table of photographs, and draw their sheet into a folder."""
    from training.measures import photographs
    from training.measures.photograph_sheet import photograph_sheet

    chosen_fold = None if fold < 0 else fold
    report = photographs.measure_photographs(root, setting.base, setting.judges, chosen_fold)
    print(photographs.table(report))
    if sheets is not None:
        path = sheets / "photographs.jpg"
        photograph_sheet(root, setting.base, photographs.SIDE).save(path, quality=65)
        print(f"wrote {path}")


def _benchmark(words: Sequence[str], script: str | None) -> int:
    """Measure the methods, in as many processes as accelerate was asked for."""
    from training.benchmark.run import main as benchmark

    try:
        if script is not None:
            start_processes([script], words)
    except RequestError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return benchmark(words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--networks", action="store_true", help="measure the networks (the default)")
    add("--only", default="", metavar="A,B", help=f"only these: judges, {', '.join(MEASURED)}")
    add("--count", type=_positive, default=1000, help="held-out renders and samples")
    add("--refined", type=_positive, default=64, help="renders that are inverted with refinement")
    add("--photographs", default="", metavar="DIR", help="measure on labelled photographs instead")
    add("--fold", type=int, default=-1, help="of --photographs: every fourth only, from this one")
    add("--sheets", action="store_true", help="write the contact sheets")
    add("--photos", default="", metavar="DIR", help="photos for the sheets")
    add("--data_dir", default=".data/world", help="folder of the world's shards")
    add("--base", default="hub_cards/portraits-128", help="folder of the networks")
    add("--judges", default="hub_cards/judges", help="folder of the judges")
    add("--results", default="hub_cards/benchmark/networks.json", help="where the numbers go")
    add("--table", default="docs/networks.md", help="where the table goes")
    add("--sheet_dir", default="docs/sheets", help="where the sheets go")
    add("--cpu", action="store_true", help="use the CPU although an accelerator is present")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def chosen(text: str) -> list[str]:
    """Return the names of a list like "judges,clip"; all of them for an empty one.

    Raises:
        ConfigError: If there is none of that name.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    names = [name for word in words for name in (JUDGES if word == "judges" else (word,))]
    for name in names:
        if name not in MEASURED:
            raise unknown("network", name, ["judges", *MEASURED])
    return [name for name in MEASURED if not names or name in names]


# ------------------------------------------------------------------------------ measuring
def measure_networks(
    setting: Setting, names: Sequence[str], results: Path, page: Path
) -> dict[str, Any]:
    """Measure networks; what `results` says of the others stays if it is still of these weights.

    Both files are written anew after every network, so that stopping loses one at most.

    Returns:
        {"networks": {name: {"weights", "count", "measures", "details"}}, "skipped": {name: why}}.
    """
    kept = _still_true(setting, results)
    skipped: dict[str, str] = {}
    for name in (bar := tqdm(names, disable=None)):
        bar.set_description(name)
        kept.pop(name, None)
        known = {measured: entry["details"] for measured, entry in kept.items()}
        try:
            found = MEASURED[name](replace(setting, known=known))
        except (ConfigError, FaceEditError) as error:
            skipped[name] = str(error)
        else:
            kept[name] = {
                "weights": prints(setting, name),
                "count": setting.count,
                "measures": [asdict(measure) for measure in found.measures],
                "details": found.details,
            }
        write_tables(report_of(kept, skipped), results, page)
    return report_of(kept, skipped)


def report_of(kept: dict[str, Any], skipped: dict[str, str]) -> dict[str, Any]:
    """Put measured and skipped networks together, in the table's order."""
    missing = {name: "not measured yet" for name in MEASURED if name not in kept}
    return {
        "format_version": FORMAT_VERSION,
        "world_version": WORLD_VERSION,
        "networks": {name: kept[name] for name in MEASURED if name in kept},
        "skipped": {**missing, **skipped},
    }


def _still_true(setting: Setting, results: Path) -> dict[str, Any]:
    """Return those earlier numbers that were measured with the weights that are there now."""
    try:
        earlier = json.loads(results.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    same = ("format_version", FORMAT_VERSION), ("world_version", WORLD_VERSION)
    if any(earlier.get(key) != value for key, value in same):
        return {}
    entries = earlier["networks"].items()
    return {k: v for k, v in entries if k in MEASURED and v["weights"] == prints(setting, k)}


def prints(setting: Setting, name: str) -> dict[str, str]:
    """Return the first digits of the hash of every network that the numbers of one depend on."""
    networks = (*(() if name == "speed" else (name,)), *ALSO.get(name, ()))
    files = {network: setting.folder(network) / WEIGHTS for network in networks}
    return {
        network: hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for network, path in files.items()
        if path.is_file()
    }


# ------------------------------------------------------------------------------ writing
def write_tables(report: dict[str, Any], results: Path, page: Path) -> None:
    """Write the numbers as JSON and as a page."""
    for path, text in ((results, json.dumps(_finite(report), indent=1)), (page, table(report))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.rstrip() + "\n", encoding="utf-8")


def _finite(content: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by null, and cut digits that mean nothing."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float):
        return round(content, 5) if math.isfinite(content) else None
    return content


INTRODUCTION = """\
# How good the networks are

Measured on held-out renders of the portrait world, which no training has seen, with judges of
another shape and seed that no training reads. Each number stands beside its *bar* (what it should
reach), its *floor* (what something worthless gets) and its *ceiling* (what nothing beats in this
measurement). Written by `python -m training.evaluate --networks`; every detail is in
`hub_cards/benchmark/networks.json`.
"""


def table(report: dict[str, Any]) -> str:
    """Return the page: all measures, what was skipped, and the values that get lost."""
    lines = [INTRODUCTION, "| network | measure | number | bar | floor | ceiling |"]
    lines.append("| --- | --- | ---: | --- | --- | --- |")
    for name, entry in report["networks"].items():
        lines += [_line(name, read_measure(each)) for each in entry["measures"]]
    counts = sorted({entry["count"] for entry in report["networks"].values()})
    lines += ["", f"Held-out renders: {', '.join(map(str, counts)) or 'none'}."]
    notes = [f"Not measured: {name} ({why})." for name, why in report["skipped"].items()]
    notes += _notes(report["networks"])
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def read_measure(fields: dict[str, Any]) -> Measure:
    """Rebuild a measure from JSON values."""
    limits = {k: fields[k] and Limit(**fields[k]) for k in ("floor", "ceiling")}
    value = math.nan if fields["value"] is None else fields["value"]
    return Measure(**{**fields, **limits, "value": value})


def _line(network: str, measure: Measure) -> str:
    unit = f" {measure.unit}" if measure.unit else ""
    bar = "-"
    if measure.bar is not None:
        sign, verdict = "≥" if measure.higher else "≤", "met" if measure.met else "**missed**"
        bar = f"{sign} {number(measure.bar)}{unit}, {verdict}"
    floor, ceiling = (
        "-" if limit is None else f"{number(limit.value)} ({limit.meaning})"
        for limit in (measure.floor, measure.ceiling)
    )
    shown = f"{number(measure.value)}{unit}"
    return f"| {network} | {measure.name} | {shown} | {bar} | {floor} | {ceiling} |"


def number(value: float | None) -> str:
    """Write a number with three decimals below ten, and as many as matter above."""
    if value is None or math.isnan(value):
        return "unknown"
    if float(value).is_integer():
        return str(int(value))
    decimals = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 0
    return f"{value:.{decimals}f}"


def _notes(networks: dict[str, Any]) -> list[str]:
    """Say what no single number says: lost values, weak spots, where times were taken."""
    lines = []
    details = {name: entry["details"] for name, entry in networks.items()}
    if "generator" in details:
        under = details["generator"]["under_half"]
        shares = details["generator"]["shares"]
        parts = [f"{n} ({shares[n]['samples']:.3f} of {shares[n]['world']:.3f})" for n in under]
        lines.append(f"Values under half their share among samples: {', '.join(parts) or 'none'}.")
    weak = (
        ("judge_attributes", "accuracy/", "Read worst by the judge"),
        ("encoder", "kept/", "Kept worst by the encoder"),
        ("clip", "zero_shot/heldout/", "Read worst by CLIP in new wordings"),
    )
    for name, prefix, words in weak:
        found = details.get(name, {}).items()
        known = [(v, k.removeprefix(prefix)) for k, v in found if k.startswith(prefix) and v]
        if known:
            lines.append(f"{words}: {', '.join(f'{k} {v:.2f}' for v, k in sorted(known)[:5])}.")
    if "speed" in details:
        at = details["speed"]
        load = f"; load average {at['load_average']}" if at["load_average"] else ""
        lines.append(f"Times: {at['threads']} threads on {at['cores']} cores{load}.")
    return lines


if __name__ == "__main__":
    sys.exit(main())
