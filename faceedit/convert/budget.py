"""What reading a file may cost, and the errors of files that cannot be read.

A few bytes can ask for endless work: a tuple of twice the same tuple, sixty times over, or one long
text that is copied again and again. So each step and each copy is paid for.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from faceedit.errors import RepoError

MAX_OPS = 500_000  # steps of all pickles in a file; an official file has some 10,000
MAX_COPIES = 4  # times that a file's bytes may be copied while it is read
SPARE = 64 * 2**20  # bytes that any file may take beyond that


class FileError(RepoError):
    """A file cannot be converted: damaged, unknown, or not what it was taken for."""


class UnsafeFileError(FileError):
    """A file asks for code that no model file needs; it was not opened."""


class Budget:
    """How much work and memory one file may cost, with every pickle inside it.

    Args:
        size: The file's bytes.
    """

    def __init__(self, size: int) -> None:
        self._ops = MAX_OPS
        self._copied = self._tensors = MAX_COPIES * size + SPARE

    def step(self) -> None:
        """Pay for one step of a pickle.

        Raises:
            FileError: If there were too many.
        """
        self._ops -= 1
        if self._ops < 0:
            raise FileError(f"it takes more than {MAX_OPS:,} steps to read, which no model does")

    def copy(self, values: Any) -> None:
        """Pay for a call that may copy what it is given.

        Raises:
            FileError: If too much was copied.
        """
        self._copied -= sum(_weight(value) for value in values)
        if self._copied < 0:
            raise FileError("it asks for more memory than it can need")

    def hold(self, tensor: Tensor) -> None:
        """Pay for a tensor, even if it shares its memory: it will be copied some day.

        Raises:
            FileError: If all of them together are far larger than the file.
        """
        self._tensors -= tensor.numel() * tensor.element_size()
        if self._tensors < 0:
            raise FileError("its tensors are far larger than the file")


def _weight(value: Any) -> int:
    """Return about how many bytes a copy of a value takes."""
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    return 8 * len(value) if isinstance(value, list | tuple | dict | set | frozenset) else 8
