"""How far a long edit is, told to whoever listens: descents report their steps here.

Methods know no caller, so that none of them hands a callback through its whole computation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

Listener = Callable[[int, int], None]  # steps done, steps in all
_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Have the steps of every edit inside told to a listener; None changes nothing."""
    if listener is None:
        yield
        return
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def report(done: int, total: int) -> None:
    """Tell whoever listens that so many steps of so many are done."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(done, total)
