"""Many visitors at once, for minutes, in the running Space: `make soak`.

Visitors sample a face, edit it by a quick method again and again, now and then by a slow one, and
some leave in the middle. Counted are failures, how long quick edits take, and whether memory and
temporary files stay level.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

QUICK = ("counterfactual", "ffclip", "feat", "maniclip", "interfacegan")
SLOW = ("styleclip_optimization", "tedigan")
PROMPTS = ("red hair", "a smiling woman", "round glasses", "an old person", "curly blond hair")
STARTING = 900  # seconds
LEVEL = 0.05  # by which memory may rise over the last half
KEPT = 60  # seconds that the page keeps files, so that their level shows within minutes
FILES_LEVEL = 0.25  # by which they may rise over the last half: what visitors do comes in waves
FAST = 5.0  # seconds, of the 95th percentile of quick edits
THINKING = (1.0, 6.0)  # seconds between a visitor's edits


@dataclass
class Seen:
    """What all visitors saw together."""

    quick: list[float] = field(default_factory=list)  # seconds of a quick edit
    slow: list[float] = field(default_factory=list)
    left: int = 0
    busy: int = 0  # times that the page said in words that too many are waiting
    failures: list[str] = field(default_factory=list)


class Visitor(threading.Thread):
    """Comes, edits until the end, and leaves."""

    def __init__(self, url: str, number: int, until: float, seen: Seen, slow: float = 0.05) -> None:
        super().__init__(daemon=True)
        self.slow = slow  # the share of slow edits
        self.draws, self.until, self.seen = random.Random(number), until, seen
        self.http = httpx.Client(base_url=f"{url}/gradio_api", timeout=httpx.Timeout(600))
        self.person: Any = -1

    def run(self) -> None:
        info = self.http.get("/info").json()["named_endpoints"]
        self.parameters = {name: [p["parameter_name"] for p in e["parameters"]]
                           for name, e in info.items()}  # fmt: skip
        self.usual = {name: [p.get("parameter_default") for p in e["parameters"]]
                      for name, e in info.items()}  # fmt: skip
        while time.monotonic() < self.until:
            time.sleep(self.draws.uniform(*THINKING))
            try:
                self._visit()
            except Exception as error:
                self.seen.failures.append(f"{type(error).__name__}: {error}"[:300])

    def _visit(self) -> None:
        if self.person == -1 or self.draws.random() < 0.1:
            answer = self._call("/sample", {})
            if answer is None:
                return
            self.person = answer[1]
        slow = self.draws.random() < self.slow
        method = self.draws.choice(SLOW if slow else QUICK)
        begun = time.monotonic()
        given = {"person": self.person, "prompt": self.draws.choice(PROMPTS), "method": method}
        leave = 1.5 if slow and self.draws.random() < 0.5 else None
        answer = self._call("/edit", {**given, "face_index": -1, "photo": None}, leave)
        if answer is not None:
            (self.seen.slow if slow else self.seen.quick).append(time.monotonic() - begun)

    def _call(self, name: str, given: dict[str, Any], leave: float | None = None) -> Any:
        """Call an endpoint; None if the page was busy or the visitor left."""
        pairs = zip(self.parameters[name], self.usual[name], strict=True)
        data = [given.get(parameter, usual) for parameter, usual in pairs]
        joined = self.http.post(f"/call{name}", json={"data": data})
        if joined.status_code == 503:
            self.seen.busy += 1
            return None
        event = joined.raise_for_status().json()["event_id"]
        begun, kind = time.monotonic(), ""
        with self.http.stream("GET", f"/call{name}/{event}") as got:
            for line in got.iter_lines():
                if leave is not None and time.monotonic() - begun > leave:
                    self.seen.left += 1
                    return None
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: ") and kind == "complete":
                    return json.loads(line.removeprefix("data: "))
                elif line.startswith("data: ") and kind == "error":
                    if "waiting" in line or "last edits" in line:
                        self.seen.busy += 1
                        return None
                    raise RuntimeError(f"{name}: {line}")
        raise RuntimeError(f"{name}: the answer ended early")


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.split("\n")[0])
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--slow", type=int, help="visitors who do slow work only; the others none")
    typed = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faceedit-soak-") as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": folder}
        environment["FACEEDIT_KEPT"] = str(KEPT)
        log = open(Path(folder) / "log.txt", "w")  # noqa: SIM115
        server = subprocess.Popen(
            [sys.executable, "app.py"], env=environment, stderr=log, stdout=log
        )
        try:
            report = _soak(f"http://127.0.0.1:{port}", server.pid, Path(folder), typed)
        finally:
            server.terminate()
            server.wait(60)
        report["left_after_the_end"] = sum(1 for _ in Path(folder).glob("faceedit-space-*"))
    print(json.dumps(report, indent=1))
    return 0 if report["sound"] else 1


def _size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder; what is deleted meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total


def _soak(url: str, pid: int, folder: Path, typed: argparse.Namespace) -> dict[str, Any]:
    """Let the visitors come; measure the server every second."""
    _wait_until_ready(url)
    seen, until = Seen(), time.monotonic() + 60 * typed.minutes
    shares = [0.05 if typed.slow is None else float(n < typed.slow) for n in range(typed.visitors)]
    visitors = [Visitor(url, n, until, seen, share) for n, share in enumerate(shares)]
    for visitor in visitors:
        visitor.start()
    memory, files = [], []
    while time.monotonic() < until:
        time.sleep(1)
        memory.append(_megabytes(pid))
        files.append(_size_of(folder) / 1e6)
    for visitor in visitors:
        visitor.join(timeout=600)
    rise, more = _rise(memory), _rise(files)
    report = {
        "visitors": typed.visitors,
        "of_whom_slow": typed.slow,
        "minutes": typed.minutes,
        "quick_edits": len(seen.quick),
        "quick_median_s": _share(seen.quick, 0.5),
        "quick_95th_percentile_s": _share(seen.quick, 0.95),
        "slow_edits": len(seen.slow),
        "left": seen.left,
        "told_that_it_is_busy": seen.busy,
        "failures": len(seen.failures),
        "first_failures": seen.failures[:5],
        "memory_mb": [round(memory[0]), round(max(memory)), round(memory[-1])],
        "rise_over_the_last_half": round(rise, 3),
        "files_mb": [round(files[0], 1), round(max(files), 1), round(files[-1], 1)],
        "files_rise_over_the_last_half": round(more, 3),
    }
    slowest = _share(seen.quick, 0.95) or 1e9
    level = rise <= LEVEL and more <= FILES_LEVEL
    report["sound"] = not seen.failures and level and (typed.slow is None or slowest < FAST)
    return report


def _rise(values: list[float]) -> float:
    """Return by which share the last sixth of the values is more than the fourth."""
    half = values[len(values) // 2 :]
    third = len(half) // 3 or 1
    return statistics.mean(half[-third:]) / max(statistics.mean(half[:third]), 1e-9) - 1


def _wait_until_ready(url: str) -> None:
    """Wait until the networks have made an edit."""
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline:
        probe = Seen()
        try:
            visitor = Visitor(url, 0, time.monotonic() + THINKING[1] + 1, probe)
            visitor.run()
        except (httpx.HTTPError, ValueError, KeyError):
            time.sleep(2)
            continue
        if probe.quick:
            return
    raise SystemExit("the Space does not start")


def _megabytes(pid: int) -> float:
    """Return the memory that a process has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _share(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2) if ordered else None


if __name__ == "__main__":
    sys.exit(main())
