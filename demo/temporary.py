"""One folder for all that the Space writes: deleted when it ends, or when the next one starts.

Uploads and results are deleted after an hour while the page runs (`demo.files`). What is left when
a process ends, by Ctrl-C or by a signal, goes with the folder; what a killed one leaves is swept by
the next, which tells folders in use by their locks.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TextIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

PREFIX, LOCK = "faceedit-space-", ".in-use"
_KEPT_OPEN: list[TextIO] = []  # the lock ends with its file
_asked_to_end = False


def own_temporary_folder() -> Path:
    """Make the folder, tell gradio of it, and see to its end; call it before the page is built."""
    parent = Path(os.environ.get("GRADIO_TEMP_DIR", tempfile.gettempdir()))
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    lock = (folder / LOCK).open("w")
    if fcntl is not None:
        fcntl.flock(lock, fcntl.LOCK_EX)
    _KEPT_OPEN.append(lock)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    atexit.register(_clean, folder)
    signal.signal(signal.SIGTERM, _end)
    return folder


def _end(*_: object) -> None:
    """Exit as a program does that has come to its end: a signal alone would skip `atexit`."""
    global _asked_to_end
    _asked_to_end = True
    sys.exit(0)


def _clean(folder: Path) -> None:
    """Delete the folder; what was registered later has been done before."""
    shutil.rmtree(folder, ignore_errors=True)
    if _asked_to_end:  # threads that still compute would abort the interpreter with an error
        logging.shutdown()
        os._exit(0)


def sweep(parent: Path) -> int:
    """Delete the folders of processes that are no more; returns how many."""
    gone = 0
    for folder in parent.glob(f"{PREFIX}*"):
        if not _in_use(folder):
            shutil.rmtree(folder, ignore_errors=True)
            gone += 1
    return gone


def _in_use(folder: Path) -> bool:
    if fcntl is None:
        return True
    try:
        with (folder / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        logger.debug("%s cannot be looked at", folder)
        return True
    return False
