"""Which test comes by which line, and how long it takes: `python -m tests.mutants --map`.

A random fault is then shown to the tests that come by its line, the most special first, and to no
others. What other processes run is not seen.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

PLACE = Path(__file__).resolve().parents[2] / ".data" / "mutants" / "lines"
CALLS_TRACED = 12  # of one function in one test; what comes later rarely takes another branch
LINES_TRACED = 3000  # of one call: a loop over pixels is not followed to its end

Lines = dict[str, int]  # file below the root -> bit k is set where line k was come by


class Recorder:
    """A plugin of pytest that notes each test's lines of our files, and its seconds."""

    def __init__(self, tree: Path, place: Path) -> None:
        self.root, self.place = f"{tree}/", place
        self.tests: dict[str, dict[str, Any]] = {}
        self.fixtures: dict[tuple[str, str], Lines] = {}
        self.traced: dict[CodeType, int] = {}
        self.lines: dict[str, set[int]] = defaultdict(set)

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(self.root):
            return None
        calls = self.traced[code] = self.traced.get(code, 0) + 1
        if calls > CALLS_TRACED:
            return None
        lines, left = self.lines[code.co_filename], LINES_TRACED
        lines.add(frame.f_lineno)

        def on_line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal left
            lines.add(frame.f_lineno)
            left -= 1
            if left < 0:
                frame.f_trace_lines = False
            return on_line

        return on_line

    @contextmanager
    def _noting(self) -> Iterator[Lines]:
        """Yield what is filled, at the end, with the lines come by in between."""
        before, self.traced, self.lines = self.lines, {}, defaultdict(set)
        found: Lines = {}
        sys.settrace(self._on_call)
        threading.settrace(self._on_call)
        try:
            yield found
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            for name, lines in self.lines.items():
                found[name.removeprefix(self.root)] = sum(1 << line for line in lines)
                before[name] |= lines
            self.lines, self.traced = before, {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Note what a test comes by from its set-up to its end, its shared fixtures included."""
        begun = time.process_time()
        with self._noting() as found:
            yield
        for name in getattr(item, "fixturenames", ()):
            for (fixture, base), lines in self.fixtures.items():
                if fixture == name and item.nodeid.startswith(base):
                    found = joined(found, lines)
        self.tests[item.nodeid] = {"seconds": round(time.process_time() - begun, 3), "lines": found}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Any:
        """Note what a fixture comes by that several tests share."""
        if fixturedef.scope == "function":
            yield
            return
        tracing = sys.gettrace()
        with self._noting() as found:
            yield
        sys.settrace(tracing)
        threading.settrace(tracing)  # type: ignore[arg-type]
        self.fixtures[fixturedef.argname, fixturedef.baseid] = found

    def pytest_sessionfinish(self) -> None:
        """Write what was noted, a file of tests each."""
        self.place.mkdir(parents=True, exist_ok=True)
        files: dict[str, dict[str, Any]] = defaultdict(dict)
        for test, about in self.tests.items():
            known = {name: f"{bits:x}" for name, bits in about["lines"].items()}
            files[test.split("::")[0]][test] = {**about, "lines": known}
        for name, tests in files.items():
            (self.place / f"{name.replace('/', '.')}.json").write_text(json.dumps(tests))


def joined(some: Lines, others: Lines) -> Lines:
    """Return the lines of both."""
    return {name: some.get(name, 0) | others.get(name, 0) for name in {*some, *others}}


def read_calls(folder: Path = PLACE) -> dict[str, dict[str, Any]]:
    """Return what is known of every test, by its node id: its seconds and its lines."""
    known: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        for test, about in json.loads(path.read_text(encoding="utf-8")).items():
            lines = {name: int(bits, 16) for name, bits in about["lines"].items()}
            known[test] = {**about, "lines": lines}
    return known
