"""Who has looked at the test people, when and with what: each row once a release.

A choice that was made after looking at a set is a choice made on it. So people of the split "test"
are looked at once for every release, and a second look has to give its reason, which is printed in
the table. A run that was stopped goes on as the same look while its code and weights are the same.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faceedit.version import __version__
from training.config import ConfigError

__all__ = ["LEDGER", "Looks", "check_release", "read_looks", "second_looks"]

LEDGER = "looks.json"


def check_release(release: str) -> None:
    """Raise ConfigError unless a release is the version that lies here, as "0.1"."""
    wanted = ".".join(__version__.split(".")[:2])
    if release != wanted:
        given = f"--release {release}" if release else "nothing"
        raise ConfigError(
            f"--split test needs --release {wanted}, the version that is measured; got {given}"
        )


def read_looks(path: Path) -> list[dict[str, Any]]:
    """Return all looks, the oldest first."""
    if not path.is_file():
        return []
    looks: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["looks"]
    return looks


class Looks:
    """The looks of one run.

    Args:
        path: The ledger.
        release: Of which.
        rows: Fingerprint of code, weights, judges and set, by the name of each row to be looked at.
        again: Why it has to be a second look, if it is one.

    Raises:
        ConfigError: If a row was looked at for this release, and no reason is given.
    """

    def __init__(self, path: Path, release: str, rows: Mapping[str, str], again: str = "") -> None:
        self.path, self.release, self.rows = path, release, rows
        self.fresh = {}  # row: the reason for a second look, or ""
        for row, fingerprint in rows.items():
            known = [look for look in read_looks(path) if look["release"] == release]
            last = next((look for look in reversed(known) if look["row"] == row), None)
            if last and not last["ended"] and last["fingerprint"] == fingerprint:
                continue  # it was stopped and goes on
            if last and not again:
                raise ConfigError(
                    f"{row} was looked at on {last['begun']} for release {release}; choose on "
                    '--split dev, or say why it has to be again: --again "reason"'
                )
            self.fresh[row] = again if last else ""

    def begin(self, row: str, commit: str) -> None:
        """Write down that a row is about to be looked at, with the commit that the code is at."""
        if row not in self.fresh:
            return
        look = {
            "release": self.release,
            "row": row,
            "fingerprint": self.rows[row],
            "commit": commit,
            "begun": _today(),
            "ended": "",
            "again": self.fresh[row],
        }
        _write(self.path, [*read_looks(self.path), look])

    def end(self, row: str) -> None:
        """Write down that a row has been looked at to the end."""
        looks = read_looks(self.path)
        for look in looks:
            same = (look["release"], look["row"]) == (self.release, row)
            if same and look["fingerprint"] == self.rows.get(row) and not look["ended"]:
                look["ended"] = _today()
        if row in self.rows:
            _write(self.path, looks)


def second_looks(path: Path) -> dict[str, list[str]]:
    """Return the reasons for second looks by the row's name."""
    found: dict[str, list[str]] = {}
    for look in read_looks(path):
        if look["again"]:
            found.setdefault(look["row"], []).append(f"{look['release']}: {look['again']}")
    return found


def _today() -> str:
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def _write(path: Path, looks: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"  {json.dumps(look)}" for look in looks)
    path.write_text(f'{{\n "looks": [\n{lines}\n ]\n}}\n', encoding="utf-8")
