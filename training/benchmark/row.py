"""A row of the table: somebody who edits.

It answers one question: what does the face of this case look like after this sentence at this
strength?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from faceedit.types import Face
from training.benchmark.faces import Case
from training.benchmark.prompts import Prompt

STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Edit:
    """An edited picture, and how long it took where somebody waits for it."""

    image: Tensor  # [1, 3, h, w]
    face: Face | None = None  # with its code, where it can be edited further
    seconds: float = 0.0


class Row:
    """One line of the table.

    Attributes:
        name: A method's name, or a baseline's.
        slow: Whether an edit takes seconds, so that fewer are made.
        slowest: Whether every strength is a run of its own, so that it is shown at one only.
        strengths: At which it can be shown.
        needs_truth: Whether it exists only where the true edit is known.
        method: Whether it is a method, or a baseline.
        of_photo: Whether it changes the photo itself, and not the generator's version of it.
    """

    name: str
    slow = False
    slowest = False
    strengths: tuple[float, ...] = STRENGTHS
    needs_truth = False
    method = False
    of_photo = False

    def supports(self, prompt: Prompt) -> bool:
        """Return whether the row is meant for a prompt."""
        del prompt
        return True

    def sweep(self, case: Case, text: str, strengths: Sequence[float]) -> list[Edit]:
        """Return the edit at every strength; `text` words what is asked for."""
        raise NotImplementedError

    def undo(self, case: Case, edited: Face, text: str) -> Tensor | None:
        """Return an edit's picture after the same edit with strength -1; None if it has none."""
        del case, edited, text
        return None

    def asked(self, case: Case, text: str) -> Edit | None:
        """Return the edit as a user gets it who types a text; None if it is refused."""
        return self.sweep(case, text, (1.0,))[0]

    @property
    def recorded_as(self) -> str:
        """The name of its records; rows that are the same edits share them."""
        return self.name

    def key(self) -> str:
        """Return what the row depends on beside the base, the judges and the set."""
        return ""
