"""Random faults: formulas, comparisons and constants, drawn from the syntax trees of our files."""

from __future__ import annotations

import ast
import random
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
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
    statement: tuple[int, int]  # first and last line of the statement that it is part of
    names: tuple[str, ...]  # what a statement outside of functions gives a value to


def places(path: Path, name: str) -> list[Place]:
    """Return all places of a file, in the order of its text."""
    text = path.read_text(encoding="utf-8")
    return sorted(_Finder(name, text).found, key=lambda place: place.start)


@dataclass(frozen=True)
class Statement:
    """Where a statement stands, without the statements within it, and the names it gives."""

    lines: tuple[int, int]
    names: tuple[str, ...]


def _header(node: ast.stmt) -> tuple[int, int]:
    """Return the first and the last line of a statement, up to its body."""
    body = getattr(node, "body", None)
    last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    return first, max(node.lineno, last or node.lineno)


def _given(node: ast.stmt) -> tuple[str, ...]:
    """Return the names that a statement gives a value to."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    parts = [part for target in targets if target is not None for part in ast.walk(target)]
    return tuple(part.id for part in parts if isinstance(part, ast.Name))


class _Finder:
    """Walks a syntax tree and keeps the statement that it is in."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text, self.found = name, text, []  # type: ignore[var-annotated]
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line.encode()))
        self.raw = text.encode()
        self._walk(ast.parse(text), Statement((1, 1), ()), inside=False)

    def _walk(self, node: ast.AST, part: Statement, inside: bool) -> None:
        if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Assert):
            return
        if isinstance(node, ast.Call) and _root(node.func) in WORDED:
            return
        if isinstance(node, ast.stmt):
            part = Statement(_header(node), () if inside else _given(node))
        inside = inside or isinstance(node, ast.FunctionDef | ast.Lambda)
        self._look_at(node, part)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self._walk(child, part, inside)

    def _look_at(self, node: ast.AST, part: Statement) -> None:
        if isinstance(node, ast.BinOp) and not _of_text(node):
            self._between(node.left, node.right, node.op, part)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for k, op in enumerate(node.ops):
                self._between(sides[k], sides[k + 1], op, part)
        elif isinstance(node, ast.BoolOp):
            self._between(node.values[0], node.values[1], node.op, part)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            start, end = self._offset(node), self._offset(node.operand)
            self._add(start, end, "", node, part)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
            self._number(node, part)
        elif isinstance(node, ast.Call):
            self._call(node, part)

    def _between(self, left: ast.expr, right: ast.expr, op: ast.AST, part: Statement) -> None:
        """Find an operator between its operands."""
        if type(op) not in OPERATORS:
            return
        old, new = OPERATORS[type(op)]
        start, end = self._offset(left, last=True), self._offset(right)
        pattern = rf"(?<!\w){re.escape(old)}(?!\w)" if old[0].isalpha() else re.escape(old)
        found = re.search(pattern, self.raw[start:end].decode())
        if found:
            self._add(start + found.start(), start + found.end(), new, left, part)

    def _number(self, node: ast.Constant, part: Statement) -> None:
        value: Any = node.value
        if isinstance(value, bool):
            new = str(not value)
        elif isinstance(value, int):
            new = str(value + 1)
        elif 0 < abs(value) < TINY or abs(value) == float("inf"):
            return
        else:
            new = repr(round(value * 1.5, 12) if value else 1.0)
        self._add(self._offset(node), self._offset(node, last=True), new, node, part)

    def _call(self, node: ast.Call, part: Statement) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else _root(node.func)
        if name not in CALLS or (name in ("mean", "sum") and isinstance(node.func, ast.Name)):
            return
        end = self._offset(node.func, last=True)
        self._add(end - len(name), end, CALLS[name], node, part)

    def _offset(self, node: Any, last: bool = False) -> int:
        """Return where a node begins or ends, in bytes."""
        line, column = (
            (node.end_lineno, node.end_col_offset) if last else (node.lineno, node.col_offset)
        )
        return self.starts[line - 1] + int(column)

    def _add(self, start: int, end: int, new: str, node: Any, part: Statement) -> None:
        line = bisect_right(self.starts, start)
        self.found.append(Place(self.name, start, end, new, line, part.lines, part.names))


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
    tests = Tests(tree, calls, quick)
    return [_fault(chance.choice(lines[key]), texts[key[0]], tests) for key in chosen]


def _files(tree: Path, below: str) -> Iterator[Path]:
    for name in below.split(","):
        place = tree / name
        yield from [place] if place.is_file() else place.rglob("*.py")


def _fault(place: Place, text: str, tests: Tests) -> RandomFault:
    raw = text.encode()
    old = raw[place.start : place.end].decode()
    row = text.splitlines()[place.line - 1].strip()
    what = f"{place.line}: {old.strip()} -> {place.new.strip() or 'nothing'} in `{row}`"
    return RandomFault(what, place.file, old, place.new, tests.of(place), place.start, place.end)


class Tests:
    """Knows which tests a fault is shown to."""

    def __init__(self, tree: Path, calls: Mapping[str, Mapping[str, Any]], quick: float) -> None:
        self.tree, self.calls, self.quick = tree, calls, quick
        self.width = {
            test: sum(bits.bit_count() for bits in about["lines"].values())
            for test, about in calls.items()
        }

    def of(self, place: Place) -> tuple[str, ...]:
        """Return the quickest tests that come by a place, of equal ones the most special first.

        Those in the folder that answers to the place's come before all others.

        A value that is given outside of functions is read elsewhere: tests count that come by its
        readers in the same file, and before them those of files that name it.
        """
        rows, files = _bits(*place.statement), []
        if place.names:
            word = re.compile(rf"\b(?:{'|'.join(map(re.escape, place.names))})\b")
            rows = _rows(self.tree / place.file, word)
            files = self._naming(word)
        near = {
            test for test, about in self.calls.items() if about["lines"].get(place.file, 0) & rows
        }
        naming = {test for test in self.calls if test.split("::")[0] in files}
        near |= naming
        if not near:  # another process may come by: tests of files that import the module
            module = re.escape(place.file.removesuffix(".py").replace("/", "."))
            files = self._naming(re.compile(rf"\b{module}\b"))
            near = {test for test in self.calls if test.split("::")[0] in files}
        room = "/".join(["tests", *place.file.split("/")[1:-1]]) + "/"

        def order(test: str) -> tuple[bool, bool, float, int]:
            seconds = round(self.calls[test]["seconds"], 1)
            return test not in naming, not test.startswith(room), seconds, self.width[test]

        chosen, total = [], 0.0
        for test in sorted(near, key=order):
            total += self.calls[test]["seconds"]
            if total > self.quick and chosen:
                break
            chosen.append(test)
        return tuple(chosen)

    def _naming(self, word: re.Pattern[str]) -> list[str]:
        """Return the files of tests in which a word stands."""
        paths = (self.tree / "tests").rglob("test_*.py")
        return [p.relative_to(self.tree).as_posix() for p in paths if _rows(p, word)]


def _rows(path: Path, word: re.Pattern[str]) -> int:
    """Return the lines in which a word stands, as bits."""
    text = path.read_text(encoding="utf-8").splitlines()
    return sum(1 << n for n, row in enumerate(text, start=1) if word.search(row))


def _bits(first: int, last: int) -> int:
    return (1 << (last + 1)) - (1 << first)
