"""Run the tests in as many processes as there are cores: `python -m tests.side_by_side [WORDS]`.

Each process collects all tests; before the first of a file it claims the file, so whoever is free
takes the next one, and fixtures that a file shares are made once. No plugin is needed for that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest

MOST = 8  # processes: each collects all tests first
PLACE = "FACEEDIT_TESTS_CLAIMED"  # a folder with a file for each file of tests that is taken
NOTHING_TO_DO = 5  # pytest's code where no test ran
SUMMARY = 40  # lines of the other processes' reports


def main(words: Sequence[str]) -> int:
    """Run pytest several times at once with these words; return the first code that is not 0."""
    count = min(MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.side_by_side", *words]
    with tempfile.TemporaryDirectory(prefix="faceedit-tests-") as place:
        more = {PLACE: place, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        logs = [Path(place) / f"report-{number}.txt" for number in range(1, count)]
        others = []
        for log in logs:
            with log.open("w") as file:
                others.append(subprocess.Popen(
                    command, env={**os.environ, **more}, stdout=file, stderr=subprocess.STDOUT
                ))  # fmt: skip
        codes = [subprocess.run(command, env={**os.environ, **more}, check=False).returncode]
        codes += [other.wait() for other in others]
        for log in logs:
            lines = log.read_text(errors="replace").splitlines()
            failed = any("FAILED" in line or "ERROR" in line for line in lines)
            sys.stdout.write("\n".join(lines if failed else lines[-SUMMARY:]) + "\n")
    return next((code for code in codes if code not in (0, NOTHING_TO_DO)), 0)


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests of files that this process is the first to claim."""
    place = os.environ.get(PLACE)
    if place is None or session.config.option.collectonly or session.testsfailed:
        return None
    mine = _claimed(session.items, Path(place))
    item = next(mine, None)
    while item is not None:
        after = next(mine, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = after
    return True


def _claimed(items: Sequence[pytest.Item], place: Path) -> Iterator[pytest.Item]:
    """Yield the tests of one file after another that no other process has begun."""
    for number, (_, group) in enumerate(groupby(items, key=lambda item: item.path)):
        try:
            (place / f"claimed-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        yield from group


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
