"""How much a fit or a sheet may take at once: images a part, by resolution and a memory budget.

Whoever fits a method sets the budget; methods know no caller, so none hands it through.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

DRAWN = 900  # bytes a pixel of an image that a StyleGAN2 draws and CLIP looks at, at most
DESCENDED = 4_000  # the same of an image whose gradient is taken


@dataclass(frozen=True)
class Effort:
    """What may be used.

    Attributes:
        memory: GB for images that are drawn at once.
        trial: Whether a fit is only to show that everything fits together.
    """

    memory: float = 4.0
    trial: bool = False

    def images(self, resolution: int, most: int = 64) -> int:
        """Return how many images of a resolution may be drawn at once, at least 1."""
        return max(1, min(most, int(self.memory * 1e9 / (DRAWN * resolution**2))))

    def descents(self, resolution: int, most: int = 64) -> int:
        """Return how many faces may be descended at once, at least 1."""
        return max(1, min(most, int(self.memory * 1e9 / (DESCENDED * resolution**2))))


_EFFORT: ContextVar[Effort] = ContextVar("effort")
_USUAL = Effort()


def effort() -> Effort:
    """Return what may be used here."""
    return _EFFORT.get(_USUAL)


@contextlib.contextmanager
def within(limits: Effort) -> Iterator[None]:
    """Keep to some limits inside."""
    token = _EFFORT.set(limits)
    try:
        yield
    finally:
        _EFFORT.reset(token)
