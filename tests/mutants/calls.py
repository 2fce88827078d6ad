"""Which test calls which function, and how long it takes: `python -m tests.mutants --map`.

A random fault is then shown to the tests that come by it, the quickest first, and to no others.
Calls in other processes are not seen.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

PLACE = Path(__file__).resolve().parents[2] / ".data" / "mutants"


class Recorder:
    """A plugin of pytest that notes each test's calls of our functions, and its seconds."""

    def __init__(self, tree: Path, place: Path) -> None:
        self.tree, self.place = f"{tree}/", place
        self.tests: dict[str, dict[str, Any]] = {}
        self.seen: set[CodeType] = set()

    def _on_call(self, frame: FrameType, event: str, argument: Any) -> None:
        self.seen.add(frame.f_code)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Note what is called from a test's set-up to its end."""
        self.seen, begun = set(), time.perf_counter()
        sys.settrace(self._on_call)  # no local trace: only calls cost something
        yield
        sys.settrace(None)
        ours = [code for code in self.seen if code.co_filename.startswith(self.tree)]
        places = {f"{code.co_filename.removeprefix(self.tree)}:{code.co_qualname}"
                  for code in ours}  # fmt: skip
        seconds = round(time.perf_counter() - begun, 3)
        self.tests[item.nodeid] = {"seconds": seconds, "calls": sorted(places)}

    def pytest_sessionfinish(self) -> None:
        """Write what was noted of this file's tests."""
        self.place.parent.mkdir(parents=True, exist_ok=True)
        self.place.write_text(json.dumps(self.tests), encoding="utf-8")


def read_calls(folder: Path = PLACE) -> dict[str, dict[str, Any]]:
    """Return what is known of every test, by its node id."""
    known: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        known |= json.loads(path.read_text(encoding="utf-8"))
    return known
