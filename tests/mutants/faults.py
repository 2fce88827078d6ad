"""Faults that were thought of: `tests/mutants.yaml` names the text, what it becomes, and the tests.

A fault is found by its text and not by its line, so the list survives that lines move. A text that
does not stand in its file exactly once is an error, and not a fault that nobody noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

LIST = Path(__file__).resolve().parents[1] / "mutants.yaml"


class FaultError(ValueError):
    """A fault cannot be planted: its text is not there, or more than once."""


@dataclass(frozen=True)
class Fault:
    """One fault, and the tests that should notice it."""

    what: str  # said in words
    file: str  # below the root
    old: str
    new: str
    tests: tuple[str, ...]  # files, or node ids

    def planted(self, text: str) -> str:
        """Return the file's text with the fault in it.

        Raises:
            FaultError: If the old text is not there exactly once.
        """
        found = text.count(self.old)
        if found != 1:
            raise FaultError(f"{self.file}: {self.old!r} stands there {found} times, not once")
        return text.replace(self.old, self.new)


def read_faults(path: Path = LIST) -> list[Fault]:
    """Return the list's faults.

    Raises:
        FaultError: If an entry lacks something.
    """
    faults = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        try:
            tests = entry["tests"]
            tests = (tests,) if isinstance(tests, str) else tuple(tests)
            fault = Fault(entry["fault"], entry["file"], entry["old"], entry["new"], tests)
        except (KeyError, TypeError) as error:
            raise FaultError(f"{path.name}: {entry} has no {error}") from None
        faults.append(fault)
    return faults
