"""What the command line says and writes: one line for each thing that a user can mend.

Messages of the package name Python's arguments; here they become the flags that a user can type.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceedit.errors import RequestError
from faceedit.photo.provenance import Provenance
from faceedit.photo.provenance import save as write
from faceedit.regular_files import naming

if TYPE_CHECKING:
    import PIL.Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
QUIET = 30.0  # seconds after which a long edit says where it is, without a terminal
# Arguments that only Python has under these names; a sentence may have the others as words.
_FLAGS = re.compile(r"`?\b(face_index|refine_steps|batch_size|truncation_psi|paste_back)\b`?")
_QUOTED = re.compile(r"`(strength|seed|layers|mask|method|methods|variant|neutral|device|steps)`")


def prepare() -> None:
    """Let the console print any name: what it has no letters for is spelt in escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError, OSError):
                stream.reconfigure(errors="backslashreplace")


def say(line: str) -> None:
    """Print a line; a console that is closed or gone spoils no result."""
    _print(sys.stdout, line)


def complain(line: str) -> int:
    """Print what a user can mend, on one line, and return the exit code for it."""
    words = _QUOTED.sub(r"--\1", _FLAGS.sub(lambda m: "--" + m[1].replace("_", "-"), line))
    _print(sys.stderr, f"faceedit: {' '.join(words.split())}")
    return 2


def confirmed(question: str) -> bool:
    """Ask at a terminal and return whether the answer is yes; without a terminal it is no."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


class Steps:
    """Shows how far a descent is: a bar on a terminal, else a line every half minute."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Show that so many steps of so many are done."""
        from tqdm import tqdm

        if self._bar is None or self._bar.total != total or done < self._bar.n:
            self._bar = tqdm(total=total, unit="step", leave=False, disable=None)
        self._bar.update(done - self._bar.n)
        if self._bar.disable and time.monotonic() - self._told > QUIET:
            self._told = time.monotonic()
            _print(sys.stderr, f"step {done} of {total}")
        if done >= total:
            self._bar.close()
            self._bar = None


def _print(stream: Any, line: str) -> None:
    if stream is None:
        return
    try:
        stream.write(line + "\n")
        stream.flush()
    except UnicodeEncodeError:
        stream.write(line.encode("ascii", "backslashreplace").decode() + "\n")
    except (OSError, ValueError):  # closed, or nobody reads any more
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def checked_output(name: str) -> Path:
    """Return where to write, checked before any work is done."""
    path = Path(name).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        raise RequestError(f"cannot write {name!r}; its name must end in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise RequestError(f"{name!r} is a folder; name a file")
    if not path.parent.is_dir():
        raise RequestError(f"there is no folder {str(path.parent)!r}; make it first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise RequestError(
            f"cannot write to {str(path.parent)!r} ({error.strerror or error}); name another place"
        ) from error
    return path


def save(image: PIL.Image.Image, path: Path, note: Provenance | None = None) -> None:
    """Write a picture that says what it is, beside its place, and rename it: never half of one."""
    with naming(path):
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
        os.close(handle)
        try:
            write(image, draft, note or Provenance(), quality=95)
            os.chmod(draft, 0o666 & ~_umask())
            os.replace(draft, path)
        finally:
            Path(draft).unlink(missing_ok=True)


def _umask() -> int:
    """Return the permissions that new files do not get; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
