"""Make strength 1 mean the same with every method.

    python -m training.benchmark.calibrate --methods all

Each method edits the same random faces with the same sentences at several strengths. The base's own
attribute reader says how far an edit got on the way to its sentence; the judges are not asked,
because the benchmark measures with them. The strength at which a method gets as far as `TARGET`
goes into its `config.json` as `strength_scale`, by which `EditMethod.edit` multiplies what users
ask for. A method that never gets there is given the strength from which on it gains no more.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from faceedit import hub
from faceedit.editor import FaceEditor
from faceedit.errors import FaceEditError
from training.benchmark.contestants import MethodRow, method_rows
from training.benchmark.faces import Case
from training.benchmark.judged_faces import SampleSet
from training.benchmark.judges import Judges, progress
from training.config import ROOT, ConfigError

__all__ = ["Curve", "choose_scale", "main", "measure", "write_scale"]

SCALES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
TARGET = 0.8  # mean gain of the reader's score, of at most about 0.9
NEARLY = 0.02  # below a method's best gain, where it does not reach the target; half an edit in 24
OVERDONE = 2.0  # the strength up to which a method has learned (`learned_overdrive`)
INFINITY = float("inf")
LEAST_IDENTITY = 0.7  # the base's own cosine, below which an edit shows someone else


@dataclass(frozen=True)
class Curve:
    """What a method does at every strength: means over the same edits."""

    gain: tuple[float, ...]  # of the reader's score, by SCALES
    identity: tuple[float, ...]  # of edited and source face, for the base's own recognizer
    edits: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Calibrate from command-line arguments; return the exit status (2: something to correct)."""
    typed = _parser().parse_args(arguments)
    try:
        report = calibrate(
            ROOT / typed.base, typed.methods, typed.count, typed.slow_count, typed.cpu, typed.write
        )
    except (ConfigError, FaceEditError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if typed.write:
        path = ROOT / typed.report
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():  # what was found of the other methods stays
            kept = json.loads(path.read_text(encoding="utf-8"))["methods"]
            report = {**report, "methods": {**kept, **report["methods"]}}
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for name, found in sorted(report["methods"].items()):
        print(f"{name}: strength_scale {found['strength_scale']}, gain {found['gain_there']}")
    for name, why in report["skipped"].items():
        print(f"{name}: {why}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="calibrate", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--methods", default="all", metavar="A,B", help="which methods; all is the default")
    add("--count", type=int, default=72, help="edits of a quick method")
    add("--slow_count", type=int, default=24, help="edits of a method that descends")
    add("--base", default="hub_cards/portraits-128", help="folder of the networks")
    add("--report", default="hub_cards/benchmark/strengths.json", help="where the numbers go")
    add("--cpu", action="store_true", help="use the CPU although an accelerator is present")
    add("--no_write", dest="write", action="store_false", help="only print what was found")
    return parser


def calibrate(
    base: Path, methods: str, count: int, slow_count: int, cpu: bool = False, write: bool = True
) -> dict[str, Any]:
    """Measure methods and write their scales; return what was found.

    Raises:
        ConfigError: If the base has no attribute reader or no recognizer.
    """
    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    editor = FaceEditor.from_pretrained(base, device=device)
    reader, recognizer = editor.backbones.attributes, editor.backbones.identity
    if reader is None or recognizer is None:
        raise ConfigError(f"{base} needs its networks attributes and identity to calibrate with")
    eyes = Judges(reader, recognizer)  # the base's own, not the judges
    faces = SampleSet(editor, eyes, max(count, slow_count))
    rows, skipped = method_rows(editor, methods)
    found: dict[str, Any] = {}
    for row in rows:
        assert isinstance(row, MethodRow)
        plain = MethodRow(editor, row.method_name, settings={"strength_scale": 1.0})
        items = [i for i in faces.items if plain.supports(i.prompt)]
        items = items[: slow_count if plain.slow else count]
        if len(plain.strengths) == 1 or not items:
            skipped[row.name] = "its strength cannot be swept, or no sentence suits it"
            continue
        bar = tqdm(items, desc=row.name, disable=None, mininterval=1)
        try:
            curve = measure(plain, [faces.case(item) for item in bar], eyes)
        except FaceEditError as error:
            skipped[row.name] = str(error)
            continue
        config = row.load(items[0].prompt).config
        scale = choose_scale(curve, most=largest_strength(config))
        written = write_scale(row.folder, scale) if write and row.folder else []
        found[row.name] = {
            "strength_scale": scale,
            "gain_there": round(float(np.interp(scale, SCALES, curve.gain)), 4),
            "edits": curve.edits,
            "scales": SCALES,
            "gain": [round(value, 4) for value in curve.gain],
            "identity": [round(value, 4) for value in curve.identity],
            "written": [path.relative_to(base.parent).as_posix() for path in written],
        }
    return {"target": TARGET, "methods": found, "skipped": skipped}


def measure(row: MethodRow, cases: Sequence[Case], eyes: Judges) -> Curve:
    """Return a method's mean gain and identity at every one of SCALES."""
    gains, identities = [], []
    for case in cases:
        prompt = case.item.prompt
        edits = row.sweep(case, prompt.text, SCALES)
        look = eyes.look(torch.cat([case.source.image, *(edit.image for edit in edits)]))
        score = progress(prompt, look)
        gains.append(score[1:] - score[0])
        identities.append(look.identity[1:] @ look.identity[0])
    means = (torch.stack(values).mean(0).tolist() for values in (gains, identities))
    gain, identity = (tuple(values) for values in means)
    return Curve(gain, identity, len(cases))


def largest_strength(config: Any) -> float:
    """Return up to which strength a method may be used: where what it has learned ends."""
    return OVERDONE if getattr(config, "learned_overdrive", False) else INFINITY


def choose_scale(curve: Curve, target: float = TARGET, most: float = INFINITY) -> float:
    """Return the least strength with the wanted gain; else that from which on nothing is gained.

    Strengths that show someone else are left out, unless there is no other, and those above `most`.
    """
    kept = [k for k in range(len(SCALES)) if curve.identity[k] >= LEAST_IDENTITY] or [0]
    usable = [k for k in kept if SCALES[k] <= most] or kept[:1]
    scales = [0.0, *(SCALES[k] for k in usable)]
    gains = [0.0, *(curve.gain[k] for k in usable)]
    best = max(gains)
    if best <= 0:
        return 1.0  # it does nothing at any strength; there is nothing to go by
    wanted = min(target, max(best - NEARLY, best / 2))
    for k in range(1, len(gains)):
        if gains[k] >= wanted:
            share = (wanted - gains[k - 1]) / (gains[k] - gains[k - 1])
            return round(scales[k - 1] + share * (scales[k] - scales[k - 1]), 2) or SCALES[0]
    raise AssertionError("unreachable: the best gain is at least what is wanted")


def write_scale(folder: Path, scale: float) -> list[Path]:
    """Write a scale into a method's repo, or into each of its variants; return the files."""
    config = hub.read_config(folder)
    variants = config.get("variants")
    places = [folder]
    if isinstance(variants, Mapping):
        places = [folder / place for place in variants.values()]
    written = []
    for place in places:
        content = hub.read_config(place)
        content["method_config"] = {**content.get("method_config", {}), "strength_scale": scale}
        hub.write_folder(place, content, None)
        written.append(place / hub.CONFIG)
    return written


if __name__ == "__main__":
    sys.exit(main())
