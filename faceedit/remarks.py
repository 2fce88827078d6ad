"""What a result says beside its picture: why it may not be what was asked for, and what to know."""

from __future__ import annotations

from faceedit.absence import SHOWN_ALREADY, is_unchanged, not_gone
from faceedit.library import Library
from faceedit.masks import allows_nothing
from faceedit.photograph import Outcome
from faceedit.portrait import Portrait
from faceedit.portraits import SEARCHED
from faceedit.types import EditRequest, Face, Sentence
from faceedit.words.understanding import understand


def remarks_on(
    request: EditRequest,
    sentence: Sentence,
    portrait: Portrait,
    source: Face,
    edited: Face,
    outcome: Outcome | None,
    library: Library,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the doubts about an edit, and all notes, the doubts first.

    Args:
        request: What was asked for, with the method that did it.
        sentence: The same, as methods read it.
        portrait: Whose face it is.
        source: The drawn face before, with its mask.
        edited: And after.
        outcome: What became of the photo; None for a face that no photo shows.
        library: Has the networks.
    """
    backbones = library.backbones
    understood = understand(request.prompt, backbones.clip, request.neutral)
    stayed = not_gone(edited, sentence, backbones.attributes, request.strength)
    said = (understood.warning, library.left_undone(request), stayed)
    doubts = tuple(text for text in said if text is not None)
    if allows_nothing(source.mask):
        doubts += ("the mask allows no change on this face, so nothing was edited",)
    notes = doubts + understood.remarks
    if outcome is None and is_unchanged(source, edited):
        notes += (SHOWN_ALREADY,)
    if portrait.photo is not None and backbones.encoder is None:
        notes += (SEARCHED,)
    return doubts, notes + (() if outcome is None else outcome.notes)
