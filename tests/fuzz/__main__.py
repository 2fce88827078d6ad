"""Throw hostile inputs at the product and count what is not told in words: `make fuzz`.

Each kind of input runs in a process of its own, which says before each input that it begins: one
that hangs or dies is noted with its input, and the next process goes on behind it. An input is made
from the seed and its number alone, so `--seed 3 --only pictures --number 17` makes it again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SECONDS = 10  # that one input may take
MEGABYTES = 1000  # that a process may have
STARTING = 240  # seconds until the first input of a process
IDLE = 0.5  # seconds of computing, under which a process that says nothing hangs
KEPT = 40  # failures whose inputs are kept
# Requests take longest and begin first, so that they do not run alone at the end.
SHARES = {"requests": 1, "pictures": 4, "pickles": 4, "arrays": 2, "repos": 3, "sentences": 2}
SHARES |= {"arguments": 3}


def main() -> int:
    typed = _parser().parse_args()
    if typed.child:
        return _child(typed)
    folder = Path(tempfile.mkdtemp(prefix="faceedit-fuzz-"))
    kinds = typed.only.split(",") if typed.only else list(SHARES)
    whole = sum(SHARES[kind] for kind in kinds)
    begun = time.monotonic()
    results: dict[str, dict[str, int]] = {}

    def run(kind: str) -> None:
        count = 1 if typed.number is not None else -(-typed.count * SHARES[kind] // whole)
        results[kind] = _run(kind, typed.seed, typed.number or 0, count, folder / kind)
        print(json.dumps({kind: results[kind]}), flush=True)

    with ThreadPoolExecutor(typed.processes) as pool:
        list(pool.map(run, kinds))
    minutes = (time.monotonic() - begun) / 60
    total = {key: sum(found[key] for found in results.values()) for key in ("inputs", *WRONG)}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # a busy machine takes more minutes
    times = {"minutes": minutes, "cpu_minutes": (used.ru_utime + used.ru_stime) / 60}
    print(json.dumps({**total, **{k: round(v, 1) for k, v in times.items()}, "seed": typed.seed}))
    bad = sum(total[key] for key in WRONG)
    if bad:
        print(f"the inputs that failed are in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if bad else 0


WRONG = ("untyped", "hangs", "deaths", "large")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="inputs of all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help=f"kinds with commas between: {list(SHARES)}")
    parser.add_argument("--processes", type=int, default=2, help="kinds at a time")
    parser.add_argument("--number", type=int, help="this input alone")
    for name in ("child", "folder"):
        parser.add_argument(f"--{name}", default="", help=argparse.SUPPRESS)
    return parser


def _run(kind: str, seed: int, first: int, count: int, folder: Path) -> dict[str, int]:
    """Run inputs of one kind, in as many processes as it takes."""
    folder.mkdir(parents=True)
    found = dict.fromkeys(("inputs", "typed", *WRONG), 0)
    number, end = first, first + count
    while number < end:
        number = _until_it_ends(kind, seed, number, end, folder, found)
    return found


def _until_it_ends(
    kind: str, seed: int, number: int, end: int, folder: Path, found: dict[str, int]
) -> int:
    """Follow one process; return the number of the input that comes after its last."""
    command = [sys.executable, "-m", "tests.fuzz", "--child", kind, "--folder", str(folder)]
    command += ["--seed", str(seed), "--number", str(number), "--count", str(end - number)]
    errors = (folder / "stderr.txt").open("w")
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert child.stdout is not None
    wait, begun, first, used = STARTING * _patience(), False, number, 0.0
    while True:
        ready = _answers(child, wait, used + (SECONDS if begun else STARTING))
        line = child.stdout.readline() if ready else ""
        if not line:
            died = bool(ready)
            child.kill()
            child.wait()
            if died and number >= end:
                return number
            why = (folder / "stderr.txt").read_text(errors="replace")[-1500:] if died else ""
            if not begun:  # the fault is not an input's
                _note(kind, number, folder, found, "deaths", f"before any input. {why}")
                return end
            _note(kind, number, folder, found, "deaths" if died else "hangs", why)
            return number + 1
        told = json.loads(line)
        if begun:  # the first input of a process also pays for what is imported only then
            wait = SECONDS * _patience()
        if "begin" in told:
            number, begun, used = told["begin"], True, _cpu_seconds(child.pid)
            continue
        found["inputs"] += 1
        found["typed"] += told["typed"]
        if told["error"]:
            _note(kind, number, folder, found, "untyped", told["error"])
        if told["seconds"] > SECONDS and number > first:
            _note(kind, number, folder, found, "hangs", f"{told['seconds']:.0f} s of computing")
        if told["megabytes"] > MEGABYTES + told["at_first"]:
            _note(kind, number, folder, found, "large", f"{told['megabytes']} MB")
        number += 1


def _answers(child: subprocess.Popen[str], wait: float, most: float) -> bool:
    """Wait for a line; False if none comes, by which time a starved process may not be idle."""
    used = _cpu_seconds(child.pid)
    while True:
        ready, _, _ = select.select([child.stdout], [], [], wait)
        before, used = used, _cpu_seconds(child.pid)
        if ready or used > most or used - before < IDLE:
            return bool(ready)


def _cpu_seconds(pid: int) -> float:
    """Return the processor seconds that a process has taken."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _patience() -> float:
    """Return by how much more a busy machine may take."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _note(kind: str, number: int, folder: Path, found: dict[str, int], what: str, why: str) -> None:
    found[what] += 1
    print(f"{kind} {number}: {what} {why[-1500:]}", file=sys.stderr, flush=True)
    if sum(found[name] for name in WRONG) <= KEPT:
        for path in folder.glob(f"tried-{number}.*"):
            path.rename(folder / f"failed-{number}{path.suffix}")


def _keep(folder: Path, number: int) -> None:
    """Keep an input until the parent has read what was told of it, while later ones are tried."""
    for path in folder.glob(f"tried-{number - 50}.*"):
        path.unlink(missing_ok=True)
    for path in folder.glob("input.*"):
        shutil.copy(path, folder / f"tried-{number}{path.suffix}")


def _child(typed: argparse.Namespace) -> int:
    """Try inputs one after another and tell of each on a line."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed by others is no answer
    from faceedit.errors import FaceEditError
    from tests.fuzz import requests, targets

    makers = {**targets.KINDS, "requests": requests.requests}
    folder = Path(typed.folder)
    (folder / "files").mkdir(exist_ok=True)
    attempt = makers[typed.child](folder)
    at_first = _megabytes()
    for number in range(typed.number, typed.number + typed.count):
        draws = random.Random(f"{typed.seed}/{typed.child}/{number}")
        torch.manual_seed(number)
        print(json.dumps({"begin": number}), file=answers, flush=True)
        error, is_typed, begun = "", False, (time.process_time(), time.monotonic())
        try:
            trial = attempt(draws)
            _keep(folder, number)
            trial()
        except FaceEditError as told:
            is_typed = True
            if len(str(told)) > 2000:
                error = f"an error of {len(str(told)):,} characters"
        except Exception:
            error = traceback.format_exc()
        told = {"typed": is_typed, "error": error, "megabytes": _megabytes(), "at_first": at_first}
        # A busy machine makes an input wait, and a page computes for itself while nobody asks.
        told["seconds"] = min(time.process_time() - begun[0], time.monotonic() - begun[1])
        print(json.dumps(told), file=answers, flush=True)
    return 0


def _megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


if __name__ == "__main__":
    sys.exit(main())
