"""Processes that share the tests: every file is one's own, and none is left out."""

from pathlib import Path
from types import SimpleNamespace

from tests.side_by_side import _claimed


def test_every_test_is_run_once_and_those_of_a_file_by_one_process(tmp_path):
    items = [
        SimpleNamespace(path=Path(f"test_{name}.py"), name=f"{name}{k}")
        for name in "abcde"
        for k in range(3)
    ]
    first, second = _claimed(items, tmp_path), _claimed(items, tmp_path)
    mine = [next(first), next(first)]
    other = [next(second)]
    other += [item for _, item in zip(range(6), second, strict=False)]
    mine += list(first)
    other += list(second)
    assert sorted(item.name for item in [*mine, *other]) == [item.name for item in items]
    assert not {item.path for item in mine} & {item.path for item in other}
    assert [item.name for item in mine[:3]] == ["a0", "a1", "a2"]
