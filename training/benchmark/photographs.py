"""Every method on photographs: `python -m training.evaluate --set photographs --photos DIR`.

Each photograph is edited as a user's would be, whole, at its own size. Four verdicts an edit come
from `training.benchmark.photo_judges`, which uses networks that nobody here made and therefore runs
in an environment of its own (`make judges`). Edited pictures are kept, so that a run that was
stopped goes on, and so that they can be looked at.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from faceedit import hub
from faceedit.editor import FaceEditor
from faceedit.errors import FaceEditError
from faceedit.method_repo import repo_of
from faceedit.methods import METHODS
from training.benchmark import tables
from training.benchmark.photo_verdicts import SENTENCES, VERDICTS
from training.benchmark.results import read_results, results_file, write_results
from training.config import ROOT, ConfigError
from training.provenance import commit
from training.publish.gallery import photo_files

__all__ = ["PhotographPlan", "main", "measure", "summarize"]

TRANSFER = (
    "transfer",
    "photo",
    "photograph.py",
    "portrait.py",
)  # code that every edit goes through
PYTHON = ".judges/bin/python"


@dataclass(frozen=True)
class PhotographPlan:
    """What is measured, and where it goes."""

    photos: Path
    methods: str = "fast"  # those that do not descend; "all", or names
    only: str = ""  # names of photographs, without their ending; empty: all of them
    base: Path = ROOT / "hub_cards/portraits-128"
    work: Path = ROOT / ".runs/photographs"
    out: Path = ROOT / "hub_cards/benchmark"
    page: Path = ROOT / "docs/benchmark.md"
    judge_python: Path = ROOT / PYTHON


def main(arguments: Sequence[str]) -> int:
    """Measure from command-line arguments; return the exit status (2: something to correct)."""
    typed = vars(_parser().parse_args(arguments))
    del typed["set"]
    paths = {k: ROOT / v for k, v in typed.items() if k not in ("methods", "only", "photos")}
    plan = PhotographPlan(Path(typed["photos"]), typed["methods"], typed["only"], **paths)
    try:
        result = measure(plan)
    except (ConfigError, FaceEditError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(tables.photograph_table(result["rows"])))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--set", choices=["photographs"], help="on photographs, edited whole")
    add("--photos", required=True, metavar="DIR", help="folder of photographs of one person each")
    add("--only", default="", metavar="A,B", help="only these photographs")
    add("--methods", default="fast", metavar="A,B", help="which methods; fast is the default, all")
    add("--base", default="hub_cards/portraits-128", help="folder of the networks")
    add("--work", default=".runs/photographs", help="where edited pictures are kept")
    add("--results_dir", dest="out", default="hub_cards/benchmark", help="where the numbers go")
    add("--page", default="docs/benchmark.md", help="where the table goes")
    add("--judge_python", default=PYTHON, help="the judges' interpreter, see `make judges`")
    return parser


def measure(plan: PhotographPlan) -> dict[str, Any]:
    """Edit, judge and write; return what was written.

    Raises:
        ConfigError: If there are no photographs, no such method, or no environment for the judges.
    """
    photos = _chosen(plan)
    if not plan.judge_python.is_file():
        raise ConfigError(f"no judges at {plan.judge_python}: run `make judges` first")
    editor = FaceEditor.from_pretrained(plan.base)
    rows: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name in _methods(editor, plan.methods):
        folder = plan.work / f"{name}-{edits_key(name, editor.base_folder)}"
        failed |= _edit_all(editor, name, photos, folder)
        verdicts = _judged(plan, photos, folder)
        rows[name] = summarize(verdicts, _times(folder))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in photos)).hexdigest()[:12]
    earlier = results_file(plan.out, "photographs")
    result = {
        "format_version": 1,
        "set": f"{len(photos)} photographs, digest {digest}",
        "commit": commit(),
        "rows": _kept(earlier, digest) | rows,
        "failed": failed,
    }
    write_results(result, earlier)
    tables.write_page(read_results(plan.out), plan.page)
    tables.write_short_photographs(result, plan.page.parent.parent / "README.md")
    return result


def _kept(path: Path, digest: str) -> dict[str, Any]:
    """Return the rows of an earlier run on the same photographs."""
    if not path.is_file():
        return {}
    earlier = json.loads(path.read_text(encoding="utf-8"))
    return dict(earlier["rows"]) if digest in earlier["set"] else {}


def _chosen(plan: PhotographPlan) -> list[Path]:
    if not plan.photos.is_dir():
        raise ConfigError(f"--photos {plan.photos} is not a folder")
    found = {path.stem: path for path in photo_files(plan.photos)}
    names = [name.strip() for name in plan.only.split(",") if name.strip()] or sorted(found)
    missing = [name for name in names if name not in found]
    if missing or not names:
        raise ConfigError(f"{plan.photos} holds no {', '.join(missing) or 'photographs'}")
    return [found[name] for name in names]


def _methods(editor: FaceEditor, wanted: str) -> list[str]:
    """Return the names of the methods that are asked for, in the table's order."""
    here = editor.available()
    if wanted in ("fast", "all"):
        return [n for n in here if wanted == "all" or METHODS[n].kind != "optimized"]
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    absent = [name for name in names if name not in here]
    if absent:
        raise ConfigError(f"no method {', '.join(absent)} here; there are {', '.join(here)}")
    return names


def edits_key(name: str, base: Path | None) -> str:
    """Return a hash of what an edit depends on: the method, the networks, the transfer's code."""
    content = hashlib.sha256(f"{sorted(SENTENCES)}".encode())
    if base is not None:
        prints = hub.fingerprint(base)
        content.update(json.dumps(prints, sort_keys=True).encode())
    folder = hub.find_local(repo_of(name), base)
    for path in sorted(folder.rglob("*")) if folder is not None else ():
        if path.suffix in (".json", ".safetensors"):
            content.update(path.read_bytes())
    package = ROOT / "faceedit"
    code = [package / "methods" / f"{name}.py"]
    for part in TRANSFER:
        path = package / part
        code += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    for path in code:
        content.update(path.read_bytes())
    return content.hexdigest()[:12]


def _edit_all(
    editor: FaceEditor, name: str, photos: Sequence[Path], folder: Path
) -> dict[str, str]:
    """Make the edits of a method that are missing; return why some could not be made."""
    folder.mkdir(parents=True, exist_ok=True)
    failed = {}
    for photo, key in tqdm(list(_missing(photos, folder)), desc=name, disable=None):
        text = SENTENCES[key].text
        if not editor.library.knows(name, text):
            continue
        start = time.process_time()
        try:
            result = editor.edit(photo, text, method=name)
        except FaceEditError as error:
            failed[f"{name} {photo.name} {text}"] = str(error)
            continue
        seconds = time.process_time() - start
        place = folder / f"{photo.stem}__{key}"
        place.with_suffix(".json").write_text(json.dumps(seconds), encoding="utf-8")
        result.image.save(place.with_suffix(".part"), format="PNG")
        place.with_suffix(".part").replace(place.with_suffix(".png"))
    return failed


def _missing(photos: Sequence[Path], folder: Path) -> Iterator[tuple[Path, str]]:
    for photo in photos:
        for key in SENTENCES:
            if not (folder / f"{photo.stem}__{key}.png").is_file():
                yield photo, key


def _times(folder: Path) -> list[float]:
    """Return the CPU seconds of every edit, what a photograph's first one reads included."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*__*.json"))]


def _judged(plan: PhotographPlan, photos: Sequence[Path], folder: Path) -> dict[str, Any]:
    """Return the verdicts on a folder of edits; the judges run in their own environment."""
    originals = folder / "photographs"  # the judges' only the chosen ones, whatever their names
    shutil.rmtree(originals, ignore_errors=True)
    originals.mkdir()
    for photo in photos:
        shutil.copy(photo, originals / photo.name)
    report = folder / "verdicts.json"
    module = "training.benchmark.photo_judges"
    paths = [str(path.resolve()) for path in (originals, folder, report)]
    command = [str(plan.judge_python), "-m", module, *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"the judges failed: {done.stderr.strip().splitlines()[-1]}")
    return dict(json.loads(report.read_text(encoding="utf-8")))


def summarize(
    verdicts: Mapping[str, Mapping[str, Any]], seconds: Sequence[float]
) -> dict[str, Any]:
    """Return a method's line: shares of its edits, and of each sentence's.

    The photo score is the mean over the sentences of the share of edits with all four verdicts.

    Args:
        verdicts: By "<photo>__<sentence>", of `photo_judges.judge`.
        seconds: Of every edit.
    """
    by_sentence: dict[str, float] = {}
    for key in SENTENCES:
        rows = [row for name, row in verdicts.items() if name.endswith(f"__{key}")]
        if rows:
            by_sentence[key] = statistics.fmean(all(row[v] for v in VERDICTS) for row in rows)
    shares = {
        verdict: statistics.fmean(bool(row[verdict]) for row in verdicts.values())
        for verdict in VERDICTS
        if verdicts
    }
    return {
        "edits": len(verdicts),
        "score": statistics.fmean(by_sentence.values()) if by_sentence else None,
        **shares,
        "seconds": statistics.median(seconds) if seconds else None,
        "by_sentence": by_sentence,
    }
