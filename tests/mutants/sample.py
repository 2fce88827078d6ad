"""Random faults: formulas, comparisons and constants, drawn from the syntax trees of our files."""

from __future__ import annotations

import ast
import random
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutants.faults import Fault

OPERATORS = {  # as written -> the fault
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"), ast.Pow: ("**", "*"),
    ast.Lt: ("<", ">="), ast.LtE: ("<=", "<"), ast.Gt: (">", "<="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"), ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
    ast.And: ("and", "or"), ast.Or: ("or", "and"),
}  # fmt: skip
CALLS = {
    **{"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"},
    **{"amin": "amax", "amax": "amin", "argmin": "argmax", "argmax": "argmin"},
    **{"mean": "sum", "sum": "mean", "floor": "ceil", "ceil": "floor", "sin": "cos", "cos": "sin"},
}
TINY = 1e-5  # numbers below guard a division; another one is no fault
WORDED = ("logger", "warnings", "parser", "add")  # calls of these speak to people


@dataclass(frozen=True)
class Place:
    """A place where a fault can be planted: part of a file's text, and what it becomes."""

    file: str
    start: int
    end: int
    new: str
    line: int
    function: str  # qualified name of the function that it is in; "": the module, or a class


def places(path: Path, name: str) -> list[Place]:
    """Return all places of a file, in the order of its text."""
    text = path.read_text(encoding="utf-8")
    return sorted(_Finder(name, text).found, key=lambda place: place.start)


class _Finder:
    """Walks a syntax tree and keeps the function that it is in."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text, self.found = name, text, []  # type: ignore[var-annotated]
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line.encode()))
        self.raw = text.encode()
        self._walk(ast.parse(text), "", "")

    def _walk(self, node: ast.AST, function: str, prefix: str) -> None:
        if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Assert):
            return
        if isinstance(node, ast.Call) and _root(node.func) in WORDED:
            return
        if isinstance(node, ast.ClassDef):
            prefix = f"{prefix}{node.name}."
        elif isinstance(node, ast.FunctionDef | ast.Lambda):
            function = prefix + getattr(node, "name", "<lambda>")
            prefix = f"{function}.<locals>."
        self._look_at(node, function)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self._walk(child, function, prefix)

    def _look_at(self, node: ast.AST, function: str) -> None:
        if isinstance(node, ast.BinOp) and not _of_text(node):
            self._between(node.left, node.right, node.op, function)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for k, op in enumerate(node.ops):
                self._between(sides[k], sides[k + 1], op, function)
        elif isinstance(node, ast.BoolOp):
            self._between(node.values[0], node.values[1], node.op, function)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            start, end = self._offset(node), self._offset(node.operand)
            self._add(start, end, "", node, function)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
            self._number(node, function)
        elif isinstance(node, ast.Call):
            self._call(node, function)

    def _between(self, left: ast.expr, right: ast.expr, op: ast.AST, function: str) -> None:
        """Find an operator between its operands."""
        if type(op) not in OPERATORS:
            return
        old, new = OPERATORS[type(op)]
        start, end = self._offset(left, last=True), self._offset(right)
        pattern = rf"(?<!\w){re.escape(old)}(?!\w)" if old[0].isalpha() else re.escape(old)
        found = re.search(pattern, self.raw[start:end].decode())
        if found:
            self._add(start + found.start(), start + found.end(), new, left, function)

    def _number(self, node: ast.Constant, function: str) -> None:
        value: Any = node.value
        if isinstance(value, bool):
            new = str(not value)
        elif isinstance(value, int):
            new = str(value + 1)
        elif 0 < abs(value) < TINY or abs(value) == float("inf"):
            return
        else:
            new = repr(round(value * 1.5, 12) if value else 1.0)
        self._add(self._offset(node), self._offset(node, last=True), new, node, function)

    def _call(self, node: ast.Call, function: str) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else _root(node.func)
        if name not in CALLS or (name in ("mean", "sum") and isinstance(node.func, ast.Name)):
            return
        end = self._offset(node.func, last=True)
        self._add(end - len(name), end, CALLS[name], node, function)

    def _offset(self, node: Any, last: bool = False) -> int:
        """Return where a node begins or ends, in bytes."""
        line, column = (
            (node.end_lineno, node.end_col_offset) if last else (node.lineno, node.col_offset)
        )
        return self.starts[line - 1] + int(column)

    def _add(self, start: int, end: int, new: str, node: Any, function: str) -> None:
        line = bisect_right(self.starts, start)
        self.found.append(Place(self.name, start, end, new, line, function))


def _root(node: ast.AST) -> str:
    """Return the first name of a.b.c."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _of_text(node: ast.BinOp) -> bool:
    """Whether a sum or a product is one of texts or lists, where another operator is no fault."""
    parts = [node.left, node.right]
    while parts:
        part = parts.pop()
        if isinstance(part, ast.BinOp):
            parts += [part.left, part.right]
        if isinstance(part, ast.JoinedStr | ast.List | ast.Tuple | ast.ListComp):
            return True
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            return True
    return False


@dataclass(frozen=True)
class RandomFault(Fault):
    """A fault at a place of a text."""

    start: int = 0
    end: int = 0

    def planted(self, text: str) -> str:
        """Return the file's text with the fault in it."""
        raw = text.encode()
        return (raw[: self.start] + self.new.encode() + raw[self.end :]).decode()


def draw(
    tree: Path,
    calls: Mapping[str, Mapping[str, Any]],
    count: int,
    seed: int,
    below: str,
    quick: float,
) -> list[RandomFault]:
    """Draw places, each file as often as it has lines with places, one place a line.

    Args:
        tree: Where the files are.
        calls: What `tests.mutants.calls.read_calls` returns.
        count: How many faults.
        seed: Of the draw.
        below: Folders or files, joined by commas.
        quick: Seconds of tests that a fault is shown at most.
    """
    chance, lines = random.Random(seed), {}
    for path in sorted(_files(tree, below)):
        name = path.relative_to(tree).as_posix()
        for place in places(path, name):
            lines.setdefault((name, place.line), []).append(place)
    chosen = chance.sample(sorted(lines), min(count, len(lines)))
    texts = {name: (tree / name).read_text(encoding="utf-8") for name, _ in chosen}
    return [_fault(chance.choice(lines[key]), texts[key[0]], calls, quick) for key in chosen]


def _files(tree: Path, below: str) -> Iterator[Path]:
    for name in below.split(","):
        place = tree / name
        yield from [place] if place.is_file() else place.rglob("*.py")


def _fault(place: Place, text: str, calls: Mapping[str, Any], quick: float) -> RandomFault:
    raw = text.encode()
    old = raw[place.start : place.end].decode()
    row = text.splitlines()[place.line - 1].strip()
    what = f"{place.line}: {old.strip()} -> {place.new.strip() or 'nothing'} in `{row}`"
    tests = tuple(_tests(place, calls, quick))
    return RandomFault(what, place.file, old, place.new, tests, place.start, place.end)


def _tests(place: Place, calls: Mapping[str, Any], quick: float) -> Sequence[str]:
    """Return the quickest tests that call the place's function, or any of its file's."""
    wanted = f"{place.file}:{place.function}"
    prefix = f"{place.file}:"
    near = [
        (about["seconds"], test)
        for test, about in calls.items()
        if wanted in about["calls"]
        or (not place.function and any(call.startswith(prefix) for call in about["calls"]))
    ]
    chosen, total = [], 0.0
    for seconds, test in sorted(near):
        total += seconds
        if total > quick and chosen:
            break
        chosen.append(test)
    return chosen
