"""Which weights a repo was made with: hashes of the networks' files, and comparing them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path

from faceedit.errors import RepoError
from faceedit.hub.checks import read_json, short
from faceedit.hub.folders import CONFIG, WEIGHTS, read_base, read_config
from faceedit.hub.remote import cached_id
from faceedit.regular_files import IrregularFileError, cache_folder, open_regular

LARGE = 64 * 2**20  # bytes of files whose hashes are kept; an official base has three
KEPT = 64  # hashes, the latest


def fingerprint(base: Path, names: Collection[str] | None = None) -> dict[str, str]:
    """Return "sha256:..." of every component's weights, by the component's name.

    Args:
        base: The base repo's folder.
        names: Which components; those that it lacks are left out. None = all.

    Raises:
        RepoError: If the folder is not a base repo or a component has no weights.
    """
    prints = {}
    for name, place in read_base(base)["components"].items():
        if names is not None and name not in names:
            continue
        path = base / place / WEIGHTS
        try:
            prints[name] = digest(path)
        except IrregularFileError as error:
            raise RepoError(f"{path} cannot be used: {error}") from None
        except (OSError, ValueError):
            raise RepoError(f"{base / place} has no {WEIGHTS}; download it again") from None
    return prints


def digest(path: Path) -> str:
    """Return "sha256:..." of a file."""
    state = path.stat()
    return _digest(path.resolve(), state.st_size, state.st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed: int) -> str:
    """Return a file's hash; `size` and `changed` (ns) tell its states apart in the cache.

    Hashes of large files are kept for the next start, which would read hundreds of megabytes again.
    """
    key = f"{path}|{size}|{changed}"
    if size >= LARGE and (known := _kept().get(key)):
        return known
    with open_regular(path) as file:
        found = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    if size >= LARGE:
        _keep(key, found)
    return found


def _place() -> Path:
    """Return the file of known hashes, in FACEEDIT_CACHE or the user's cache."""
    return cache_folder() / "fingerprints.json"


def _kept() -> dict[str, str]:
    """Return the hashes of earlier starts; a file that cannot be read holds none."""
    try:
        known = read_json(_place())
    except (OSError, RepoError):
        return {}
    return {key: value for key, value in known.items() if _sound(value)}


def _sound(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", value) is not None


def _keep(key: str, found: str) -> None:
    """Add a hash to the file, whole or not at all; where that cannot be, it is made again."""
    path = _place()
    latest = dict(list(_kept().items())[1 - KEPT :]) | {key: found}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(latest), encoding="utf-8")
        draft.replace(path)


def _recorded(method: Path) -> dict[str, str]:
    """Return the fingerprints of the networks that a method's folder was made with, by name.

    Raises:
        RepoError: If its config.json has something else there.
    """
    wanted = read_config(method).get("base_fingerprint") or {}
    sound = isinstance(wanted, dict) and all(isinstance(value, str) for value in wanted.values())
    if not sound:
        raise RepoError(
            f"{method / CONFIG}: base_fingerprint is {short(wanted)}; it must map the names of "
            "networks to fingerprints"
        )
    return wanted


def fits_base(method: Path, base: Path) -> bool:
    """Whether a method's folder was made with the networks of this base, or set up for it.

    Raises:
        RepoError: If one of the two cannot be read.
    """
    return _misfit(method, base) is None


def check_fingerprint(method: Path, base: Path) -> None:
    """Raise unless a method's folder was made with the networks of this base, or set up for it.

    Raises:
        RepoError: If one of the networks that it names is another one.
    """
    wrong = _misfit(method, base)
    if wrong is not None:
        raise RepoError(
            f"{method.name} {wrong}; load the base that its {CONFIG} names, or make it anew"
        )


def _misfit(method: Path, base: Path) -> str | None:
    """Say how a method's folder does not belong to a base; None where it does.

    Older folders of methods that learn nothing name no network; they belong to the base whose name
    they hold, because their settings were tuned on it.
    """
    wanted = _recorded(method)
    if not wanted:
        named = read_config(method).get("base_model_name_or_path")
        return None if _is_named(named, base) else f"was set up for the base {short(named)}"
    given = fingerprint(base, wanted)
    for name, expected in wanted.items():
        if given.get(name) != expected:
            got = _short(given.get(name, "none"))
            return (
                f"was made for another {name} ({_short(expected)}) than that of {base.name} ({got})"
            )
    return None


def _is_named(name: object, base: Path) -> bool:
    """Whether a base is the one that a method's config names, by its id or its path."""
    if not isinstance(name, str):
        return False
    cached = cached_id(base)
    known = cached[0] if cached else base.resolve().name
    return name == known or (not cached and name.rpartition("/")[2] == known)


def _short(digest: str) -> str:
    """The first letters of a fingerprint, enough to tell two apart."""
    return digest.removeprefix("sha256:")[:8]
