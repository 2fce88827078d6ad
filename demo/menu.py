"""Which methods the page menu, how long each takes here, and how it did in the benchmark.

What is on this machine is read off folders, so that the page opens before PyTorch is loaded;
`FaceEditor.available` has the last word when a visitor arrives.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faceedit
from demo.settings import draws_the_world
from demo.words import seconds
from faceedit.notes import METHOD_NOTES, PREFERRED, MethodNote, Speed

logger = logging.getLogger(__name__)

CARDS = Path(faceedit.__file__).resolve().parent.parent / "hub_cards"
RESULTS = CARDS / "benchmark" / "results.json"
EXPECTED: dict[Speed, float] = {"fast": 0.2, "optimized": 8.0, "diffusion": 10.0}  # seconds
RECENT = 0.3  # the weight of the latest edit in the running mean of a method's seconds


@dataclass(frozen=True)
class Choice:
    """A method in the checklist."""

    name: str
    label: str
    fast: bool


class MethodMenu:
    """The methods that can be chosen here.

    Args:
        repo: The base repo or folder; methods are looked for next to it and in hub_cards.
    """

    def __init__(self, repo: str) -> None:
        near = Path(repo).expanduser()
        bundled = [CARDS] if draws_the_world(repo) else []  # what is bundled is for that base
        folders = bundled + ([near.parent] if near.is_dir() else [])
        self.names = [
            note.name
            for note in METHOD_NOTES.values()
            if any((folder / note.repo / "config.json").is_file() for folder in folders)
        ]
        self._seconds: dict[str, float] = {}

    def set_available(self, names: list[str]) -> None:
        """Offer exactly these, in the order of the notes."""
        known = [name for name in METHOD_NOTES if name in names]
        self.names = known + [name for name in names if name not in METHOD_NOTES]

    def record(self, name: str, took: float) -> None:
        """Remember how long an edit took."""
        before = self._seconds.get(name, took)
        self._seconds[name] = before + RECENT * (took - before)

    def expected(self, name: str) -> float:
        """Return about how many seconds an edit takes here."""
        return self._seconds.get(name, EXPECTED[self.speed(name)])

    def speed(self, name: str) -> Speed:
        """Return the class of a method's time; what has no note counts as slow."""
        note = METHOD_NOTES.get(name)
        return note.speed if note else "optimized"

    def choices(self) -> list[Choice]:
        """Return the checklist, fast ones first; slow ones say how long they take."""
        found = []
        for name in self.names:
            fast = self.speed(name) == "fast"
            wait = "" if fast else f" (about {seconds(self.expected(name))})"
            found.append(Choice(name, title(name) + wait, fast))
        return sorted(found, key=lambda choice: not choice.fast)

    def fast(self) -> list[tuple[str, str]]:
        """Return label and name of the fast methods."""
        return [(choice.label, choice.name) for choice in self.choices() if choice.fast]

    def first(self) -> str | None:
        """Return the fast method that is chosen before a visitor chooses."""
        fast = [name for _, name in self.fast()]
        return next((name for name in (*PREFERRED, *fast) if name in fast), None)


def title(name: str) -> str:
    """Return what people call a method."""
    note = METHOD_NOTES.get(name)
    return note.title if note else name.replace("_", " ")


def note_of(name: str) -> MethodNote | None:
    """Return the note on a method, if there is one."""
    return METHOD_NOTES.get(name)


def benchmark_row(name: str, path: Path = RESULTS) -> dict[str, float]:
    """Return a method's numbers in the benchmark; {} where it was not measured.

    Any layout that holds {"methods": {name: {measure: number}}}, a list of rows with "method", or
    {name: {...}} is read; numbers may lie one level deeper as {"value": ...} or {"mean": ...}.
    """
    try:
        results = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    row = _find_row(results, name)
    numbers = {}
    for measure, value in row.items():
        if isinstance(value, dict):
            value = value.get("value", value.get("mean"))
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers[measure] = float(value)
    return numbers


def _find_row(results: Any, name: str) -> dict[str, Any]:
    if isinstance(results, dict):
        for key in (name, name.replace("_", "-")):
            if isinstance(results.get(key), dict):
                return results[key]
        for key in ("methods", "results", "rows", "table"):
            if key in results:
                return _find_row(results[key], name)
    if isinstance(results, list):
        for row in results:
            if isinstance(row, dict) and row.get("method", row.get("name")) == name:
                return row
    return {}
