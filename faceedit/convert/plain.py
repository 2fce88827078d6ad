"""What a file held, with plain tensors and arrays where a pickle left stand-ins."""

from __future__ import annotations

from typing import Any

from faceedit.convert.budget import FileError
from faceedit.convert.stand_ins import Array, Call, Inert, Kind, Storage, Token

MAX_DEPTH = 100  # of containers inside containers
MAX_UNFOLDED = 1_000_000  # values, where one that is used twice counts twice


def plain(value: Any) -> Any:
    """Replace stand-ins by tensors and arrays; containers keep their places, shared ones too.

    Raises:
        FileError: If containers lie too deeply in one another, or come to far more values than a
            model has where one that is used twice is counted twice.
    """
    return _Plain().of(value, 0)[0]


class _Plain:
    """One walk through what a file holds."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, int]] = {}  # by id: what it became, and its size unfolded
        self._kept: list[Any] = []  # so that no id is used again

    def of(self, value: Any, depth: int) -> tuple[Any, int]:
        """Return the plain value and how many values it comes to."""
        if isinstance(value, Array):
            return value.array, 1
        if isinstance(value, Storage):
            return value.numbers, 1
        if isinstance(value, Token | Call | Kind | type):
            return getattr(value, "name", None), 1
        if not isinstance(value, dict | list | tuple | Inert):
            return value, 1
        if depth > MAX_DEPTH:
            raise FileError("it is nested too deeply")
        if id(value) not in self._done:
            self._kept.append(value)
            self._done[id(value)] = (value, 1)  # while it is looked at: it may hold itself
            self._done[id(value)] = self._container(value, depth + 1)
        return self._done[id(value)]

    def _container(self, value: Any, depth: int) -> tuple[Any, int]:
        """Do the same for what a container holds."""
        if isinstance(value, Inert):
            value.state, count = self.of(value.state, depth)
            value.items, more = self.of(value.items, depth)
            return value, self._checked(count + more)
        members = value.values() if isinstance(value, dict) else value
        pairs = [self.of(member, depth) for member in members]
        count = self._checked(1 + sum(pair[1] for pair in pairs))
        made = [pair[0] for pair in pairs]
        if isinstance(value, tuple):
            return tuple(made), count
        if isinstance(value, list):
            value[:] = made
        else:
            value.update(zip(list(value), made, strict=True))
        return value, count

    def _checked(self, count: int) -> int:
        if count > MAX_UNFOLDED:
            raise FileError("it uses the same values again and again, as no model does")
        return count
