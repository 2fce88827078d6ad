"""Files that a user names: how they are opened, regular ones only, and what is said of a full disk.

A path can also lead to a pipe, a socket, a device or a folder. Opening a pipe waits for a writer,
maybe for ever, and a device like /dev/zero never ends. Whatever reads a path that came from outside
reads it here. What is refused is an `OSError`, like any other file that cannot be read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)
CACHE = "FACEEDIT_CACHE"  # environment variable: the folder for what can be made again
MAX_TEXT = 16 * 2**20  # bytes of a settings file; the largest tokenizer has 4 MB


def cache_folder() -> Path:
    """Return the folder for what can be made again: FACEEDIT_CACHE, else in the user's cache."""
    named = os.environ.get(CACHE, "").strip()
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "faceedit"
    return Path(named).expanduser() if named else usual


class IrregularFileError(OSError):
    """A path leads to something that is not a regular file, or to one that is far too large."""


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading, without ever waiting for one.

    Raises:
        IrregularFileError: If it is a folder, a pipe, a socket or a device.
        OSError: If it is absent or cannot be read.
        ValueError: If the path cannot be one.
    """
    name = os.fspath(path)
    _check(os.stat(name))  # a socket cannot be opened at all
    handle = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check(os.fstat(handle))  # again: the path may lead elsewhere by now
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | Path, most: int) -> bytes:
    """Return the bytes of a regular file.

    Args:
        path: The file.
        most: The bytes that it may have.

    Raises:
        IrregularFileError: If it is not a regular file, or has more bytes.
        OSError: If it is absent or cannot be read.
        ValueError: If the path cannot be one.
    """
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise IrregularFileError(f"it has more than {most / 2**20:.0f} MiB")
    return data


def _check(state: os.stat_result) -> None:
    for is_kind, words in KINDS:
        if is_kind(state.st_mode):
            raise IrregularFileError(f"it {words}, not a file")
    if not stat.S_ISREG(state.st_mode):
        raise IrregularFileError("it is not a regular file")


# Writing ------------------------------------------------------------------------------------------

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Let an error of the system inside name this file, and not the draft beside it or none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def reason(error: OSError) -> str:
    """Return on one line which file it is about, what is wrong, and what to do on a full disk."""
    text = " ".join((error.strerror or str(error)).split())
    line = f"{error.filename}: {text}" if error.filename else text
    if error.errno in FULL:
        line += "; what was there before is whole: make room on the disk and run it again"
    return line
