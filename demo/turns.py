"""Who computes when: quick edits never wait for slow ones, and nobody is computed for who has left.

One edit computes at a time, because two would halve each other's cores and draw from each other's
random numbers. A slow edit makes way between two steps of its descent: whenever a network is called
it looks whether quick edits wait, or whether its visitor has gone. The random numbers that it draws
are its own before and after, so the result is the one that it would have had alone.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from demo.doors import VISITOR
from faceedit.notes import METHOD_NOTES

SLICE = 0.3  # seconds that a slow edit computes before it makes way
IN_A_ROW = 8  # quick edits between two slices of a slow one
LOOK = 0.5  # seconds between two looks whether a visitor who waits is still there
MOST_WAITING = 60  # edits, of all visitors
MOST_SLOW = 12  # of them slow ones, so that these never take all places
MOST_EACH = 3  # edits of one visitor, the one that computes included
BUSY = "Too many people are waiting. Try again in a minute."
ENOUGH = "Your last edits are still being made. Wait for them, or stop them."


class VisitorLeftError(gr.Error):
    """Whoever asked for an edit has left or pressed Stop; nobody reads this."""

    def __init__(self) -> None:
        super().__init__("stopped", print_exception=False)


@dataclass(eq=False)
class Ticket:
    """A place in the line."""

    slow: bool
    visitor: str | None
    here: Callable[[], bool]
    since: float = 0.0  # when it began to compute, or went on
    looked: float = field(default=0.0)


class Turns:
    """The lines of quick and of slow edits, and who computes now."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._quick: deque[Ticket] = deque()
        self._slow: deque[Ticket] = deque()
        self._now: Ticket | None = None
        self._in_a_row = 0  # quick edits since a slow one had its turn
        self._mine = threading.local()
        self._held: Counter[str] = Counter()  # edits of each visitor

    @contextlib.contextmanager
    def turn(self, slow: bool = False) -> Iterator[None]:
        """Wait for a turn and hold it; an edit inside an edit has it already.

        Raises:
            VisitorLeftError: If whoever asked is no longer there.
            gr.Error: If too many wait, or too many of one visitor.
        """
        if getattr(self._mine, "ticket", None) is not None:
            yield
            return
        ticket = Ticket(slow, VISITOR.get(), still_here())
        self._admit(ticket)
        try:
            self._wait(ticket)
            self._mine.ticket = ticket
            try:
                yield
            finally:
                self._mine.ticket = None
                self._leave(ticket)
        finally:
            self._dismiss(ticket)

    def breathe(self) -> None:
        """Make way, or stop, if this thread's edit should; called between its steps.

        Raises:
            VisitorLeftError: If whoever asked is no longer there.
        """
        ticket: Ticket | None = getattr(self._mine, "ticket", None)
        if ticket is None:
            return
        now = time.monotonic()
        if now - ticket.looked >= SLICE:
            ticket.looked = now
            if not ticket.here():
                raise VisitorLeftError
        if ticket.slow and self._quick and now - ticket.since >= SLICE:
            self._make_way(ticket)

    def _make_way(self, ticket: Ticket) -> None:
        """Let quick edits compute, then go on as if nothing had been."""
        import torch

        drawn = torch.get_rng_state()
        with self._free:
            self._slow.appendleft(ticket)
        self._leave(ticket)
        self._wait(ticket)
        torch.set_rng_state(drawn)

    def _admit(self, ticket: Ticket) -> None:
        with self._free:
            full = ticket.slow and len(self._slow) >= MOST_SLOW
            if full or len(self._quick) + len(self._slow) >= MOST_WAITING:
                raise gr.Error(BUSY, print_exception=False)
            if ticket.visitor is not None:
                if self._held[ticket.visitor] >= MOST_EACH:
                    raise gr.Error(ENOUGH, print_exception=False)
                self._held[ticket.visitor] += 1
            (self._slow if ticket.slow else self._quick).append(ticket)

    def _dismiss(self, ticket: Ticket) -> None:
        if ticket.visitor is None:
            return
        with self._free:
            self._held[ticket.visitor] -= 1
            if self._held[ticket.visitor] <= 0:
                del self._held[ticket.visitor]

    def _wait(self, ticket: Ticket) -> None:
        """Return when it is this ticket's turn, which it takes."""
        line = self._slow if ticket.slow else self._quick
        with self._free:
            while not self._may(ticket):
                self._free.wait(LOOK)
                if not ticket.here():
                    line.remove(ticket)
                    self._free.notify_all()
                    raise VisitorLeftError
            line.popleft()
            self._now = ticket
            self._in_a_row = 0 if ticket.slow else self._in_a_row + 1
            ticket.since = ticket.looked = time.monotonic()

    def _may(self, ticket: Ticket) -> bool:
        if self._now is not None:
            return False
        slow_is_due = bool(self._slow) and self._in_a_row >= IN_A_ROW
        if ticket.slow:
            return self._slow[0] is ticket and (slow_is_due or not self._quick)
        return self._quick[0] is ticket and not slow_is_due

    def _leave(self, ticket: Ticket) -> None:
        with self._free:
            if self._now is ticket:
                self._now = None
            self._free.notify_all()


def still_here() -> Callable[[], bool]:
    """Return a function that tells whether whoever asks now still waits for the answer.

    gradio marks an event when its visitor's connection ends, and drops it when it is stopped.
    """
    name, page = LocalContext.event_id.get(None), LocalContext.blocks.get(None)
    if name is None or page is None or not _found(page, name):
        return lambda: True
    return lambda: any(event.alive and not event.closed for event in _found(page, name))


def _found(page: Any, name: str) -> list[Any]:
    jobs = list(page._queue.active_jobs)
    return [event for job in jobs for event in job or () if event._id == name]


class PatientEditor:
    """A `FaceEditor` whose edits wait for their turns; all else is the editor's own."""

    def __init__(self, editor: Any, turns: Turns) -> None:
        self._editor, self._turns = editor, turns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._editor, name)

    def edit(self, *args: Any, method: str | None = None, **named: Any) -> Any:
        """Return `FaceEditor.edit`, in its turn."""
        with self._turns.turn(is_slow(method)):
            return self._editor.edit(*args, method=method, **named)

    def invert(self, *args: Any, **named: Any) -> Any:
        """Return `FaceEditor.invert`, in its turn."""
        with self._turns.turn():
            return self._editor.invert(*args, **named)


def is_slow(method: Any) -> bool:
    """Whether a method computes for every face; what has no note counts as slow."""
    note = METHOD_NOTES.get(method) if isinstance(method, str) else None
    return method is not None and (note is None or note.speed != "fast")


def patient(editor: Any, turns: Turns) -> Any:
    """Return an editor that takes turns; every call of a network in an edit is a breath."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    register_module_forward_pre_hook(lambda *_: turns.breathe())
    return PatientEditor(editor, turns)
