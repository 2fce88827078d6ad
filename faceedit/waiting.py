"""Methods that take long here: which they are, and what a user is told before they begin."""

from __future__ import annotations

import logging

from faceedit.estimate import LONG, in_words, seconds_of
from faceedit.library import Library
from faceedit.method import EditMethod
from faceedit.methods import METHODS
from faceedit.notes import PREFERRED

logger = logging.getLogger(__name__)


def seconds(library: Library, name: str | None, steps: int | None) -> float:
    """Return about how long one edit by a method takes here; 0 for the fast ones.

    Args:
        library: Has the method and the networks.
        name: The method's; None is the usual one.
        steps: Of a descent; None is the method's own number.
    """
    if METHODS[name or library.preferred()].kind != "optimized":
        return 0.0
    method = library.method(name)
    if steps is not None:
        method = method.with_steps(steps)
    return seconds_of(method, library.backbones)


def compared(library: Library, prompt: str, steps: int | None) -> list[str]:
    """Return the methods of a comparison: those that know the sentence and are not slow."""
    names = [name for name in library.available() if library.knows(name, prompt)]
    slow = {name: time for name in names if (time := seconds(library, name, steps)) > LONG}
    if slow:
        listed = ", ".join(f"{name} (about {in_words(time)})" for name, time in slow.items())
        logger.warning("left out, because they take long here: %s; name them to run", listed)
    return [name for name in names if name not in slow]


def announce(method: EditMethod, library: Library) -> None:
    """Say so before an edit that takes long, and how it can be shortened."""
    time = seconds_of(method, library.backbones)
    if time > LONG:
        generator = library.backbones.generator
        where = "here" if generator is None else f"on {generator.w_avg.device.type} here"
        logger.warning(
            "%s takes about %s %s (%d steps); steps=%d is faster, a GPU much, and %s at once",
            method.name, in_words(time), where, method.config.steps,
            max(1, method.config.steps // 4), _fast(library),
        )  # fmt: skip


def _fast(library: Library) -> str:
    """Return the first method that answers at once, in words."""
    fast = (name for name in PREFERRED if METHODS[name].kind != "optimized")
    name = next((name for name in fast if library.readiness(name).works), None)
    return "no other method answers" if name is None else f"{name} answers"
