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

__all__ = ["LEDGER", "begin_looks", "check_release", "end_looks", "read_looks", "second_looks"]

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


def begin_looks(
    path: Path, release: str, rows: Mapping[str, str], commit: str, again: str = ""
) -> None:
    """Write down that rows are about to be looked at.

    Args:
        path: The ledger.
        release: Of which.
        rows: Fingerprint of code, weights, judges and set by the row's name.
        commit: That the code is at.
        again: Why it has to be a second look, if it is one.

    Raises:
        ConfigError: If a row was looked at for this release, and no reason is given.
    """
    looks = read_looks(path)
    fresh = []
    for row, fingerprint in rows.items():
        earlier = [look for look in looks if (look["release"], look["row"]) == (release, row)]
        last = earlier[-1] if earlier else None
        if last and not last["ended"] and last["fingerprint"] == fingerprint:
            continue  # it was stopped and goes on
        if last and not again:
            raise ConfigError(
                f"{row} was looked at on {last['begun']} for release {release}; choose on "
                '--split dev, or say why it has to be again: --again "reason"'
            )
        reason = again if last else ""
        fresh.append(_look(release, row, fingerprint, commit, reason))
    _write(path, [*looks, *fresh])


def end_looks(path: Path, release: str, rows: Mapping[str, str]) -> None:
    """Write down that rows have been looked at to the end."""
    looks = read_looks(path)
    for look in looks:
        same = look["release"] == release and rows.get(look["row"]) == look["fingerprint"]
        if same and not look["ended"]:
            look["ended"] = _today()
    _write(path, looks)


def second_looks(path: Path) -> dict[str, list[str]]:
    """Return the reasons for second looks by the row's name."""
    found: dict[str, list[str]] = {}
    for look in read_looks(path):
        if look["again"]:
            found.setdefault(look["row"], []).append(f"{look['release']}: {look['again']}")
    return found


def _look(release: str, row: str, fingerprint: str, commit: str, again: str) -> dict[str, Any]:
    return {
        "release": release,
        "row": row,
        "fingerprint": fingerprint,
        "commit": commit,
        "begun": _today(),
        "ended": "",
        "again": again,
    }


def _today() -> str:
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def _write(path: Path, looks: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"  {json.dumps(look)}" for look in looks)
    path.write_text(f'{{\n "looks": [\n{lines}\n ]\n}}\n', encoding="utf-8")
