"""One run a folder: whoever trains into it holds its lock, and a second run is told who that is.

The lock is the operating system's, on a file of the folder; it ends with the process that holds it,
however that ends, so a killed run leaves nothing behind that would have to be removed.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import ClassVar, TextIO

from training.config import ConfigError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["FolderLock"]

NAME = ".lock"


class FolderLock:
    """Holds a folder until `release`, or until this process ends.

    Args:
        folder: Made if absent.

    Raises:
        ConfigError: If another process holds it; the message names the process.
    """

    _held: ClassVar[set[Path]] = set()  # folders of this process, which may train again into them

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self._file: TextIO | None = None
        if fcntl is None or self.folder in self._held:
            return
        self._file = (folder / NAME).open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise ConfigError(
                f"{folder} is being trained into by {holder}; wait for it, end it, or take another "
                "--output_dir"
            ) from error
        self._file.truncate(0)
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        self._file.write(f"process {os.getpid()} on {platform.node()}, since {started}\n")
        self._file.flush()
        self._held.add(self.folder)

    def release(self) -> None:
        """Give the folder back; a second call does nothing."""
        if self._file is not None:
            self._held.discard(self.folder)
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        """Give it back with the run that held it."""
        if getattr(self, "_file", None) is not None:
            self.release()
