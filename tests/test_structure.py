"""The house rules that can be counted: functions that fit a screen, files that fit a sitting."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FUNCTION, LONGEST_FILE = 40, 400  # lines
# Tables of data: what is said of each method, and the statements that the world knows.
TABLES = {"faceedit/notes.py", "faceedit/world/statements.py"}


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Yield each function's name and the lines of its body, its docstring apart."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, 1 + node.end_lineno - body[0].lineno if body else 0


def sources() -> list[str]:
    """The modules of the package and of the trainer that are not tables."""
    folders = [ROOT / "faceedit", ROOT / "training"]
    paths = [path.relative_to(ROOT).as_posix() for each in folders for path in each.rglob("*.py")]
    return sorted(set(paths) - TABLES)


def test_lines_are_counted():
    text = (
        'def long():\n    """Say."""\n    a = 1\n\n    return a\n\nclass A:\n    def b(self): ...'
    )
    assert dict(functions(text)) == {"long": 3, "b": 1}


def test_no_function_is_longer_than_a_screen():
    found = [(name, *f) for name in sources() for f in functions((ROOT / name).read_text("utf-8"))]
    assert len(found) > 1000
    assert [each for each in found if each[2] > LONGEST_FUNCTION] == []


@pytest.mark.parametrize("tables", [False, True])
def test_no_file_is_longer_than_a_sitting(tables):
    names = sorted(TABLES) if tables else sources()
    counts = {name: len((ROOT / name).read_text("utf-8").splitlines()) for name in names}
    long = {name for name, count in counts.items() if count > LONGEST_FILE}
    assert long == (TABLES if tables else set())  # a table that has become short is none
