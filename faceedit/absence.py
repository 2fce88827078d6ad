"""What a sentence wants gone: only faces that show it are edited, and until it is gone.

A method that is told "a clean-shaven face" moves every face towards those it has seen called so: of
faces without a beard some grow one. So the base's reader of attributes, where there is one, looks
first at who shows what is to go; the others keep their code. And it looks again afterwards: who
still shows it is edited once more. What is asked to be there is left to the methods alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.types import Face, Latent, Sentence
from faceedit.words.lexicon import thing_absent_in
from faceedit.words.sentence import embed
from faceedit.words.wishes import wishes

__all__ = ["SHOWN_ALREADY", "edit_where_shown", "is_unchanged", "not_gone", "shown"]

# A thing -> the attributes that show it, each with its values that do; none for an amount. Freckles
# are missing: readers of 128 px say "some" of everybody.
_SIGNS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "a beard": (("beard", ("stubble", "goatee", "full")), ("moustache", ())),
    "a moustache": (("moustache", ()),),
    "glasses": (("glasses", ("round", "square", "sunglasses")),),
    "a hat": (("hat", ("beanie", "headband", "cap", "sun hat")),),
    "earrings": (("earrings", ("studs", "hoops")),),
    "lipstick": (("lipstick", ()),),
    "eyeshadow": (("eyeshadow", ()),),
    "make-up": (("lipstick", ()), ("eyeshadow", ())),
    "a fringe": (("fringe", ()),),
    "a smile": (("smile", ()),),
}
ABSENT = 0.15  # of an amount or a chance; a face that shows less of a thing is left alone
GONE = 0.3  # one that shows less after the edit has lost it
STAYED = 0.5  # one that shows more has not
LESS = 0.1  # that a repeated edit has to show less, or it is not taken
LONGER = 1.25  # of the first step; one that leads farther leaves the faces that the base draws
REPEATED = 2  # times that an edit is repeated on who still shows it

SHOWN_ALREADY = "nothing changed: this face shows already what was asked for"

Forward = Callable[[Face, Sentence], Face]


def shown(thing: str, images: Tensor, reader: Any) -> Tensor | None:
    """Return how much of a thing faces show, [n] in [0, 1]; None if the reader cannot tell.

    Args:
        thing: As `faceedit.words.lexicon.thing_absent_in` says it.
        images: [n, 3, h, w] in [-1, 1].
        reader: The base's reader of attributes.
    """
    heads = {head.name: head for head in reader.config.heads}
    signs = [(heads[name], values) for name, values in _SIGNS.get(thing, ()) if name in heads]
    if not signs:
        return None
    answers = reader(images.clamp(-1, 1))
    degrees = []
    for head, values in signs:
        answer = answers[head.name].float()
        if values:
            inside = torch.tensor([v in values for v in head.values], device=answer.device)
            degrees.append(answer.softmax(1)[:, inside].sum(1))
        else:
            degrees.append(answer.clamp(0, 1))
    return torch.stack(degrees).amax(0)


def is_unchanged(source: Face, edited: Face) -> bool:
    """Whether an edit that was asked for left a face as it was."""
    same = torch.equal(source.latent.code, edited.latent.code)
    return edited is not source and same and torch.equal(source.image, edited.image)


def not_gone(edited: Face, sentence: Sentence, reader: Any, strength: float = 1.0) -> str | None:
    """Return what a face shows after an edit that was to take it away, for the user; else None."""
    parts = {part for prompt in sentence.prompt for part in wishes(prompt)}
    things = sorted(thing for part in parts if (thing := thing_absent_in(part)))
    if reader is None or not things or strength < 1:
        return None
    with torch.no_grad():
        seen = {thing: shown(thing, edited.image[:1], reader) for thing in things}
    left = [thing for thing, much in seen.items() if much is not None and float(much[0]) > STAYED]
    return f"this method did not take away {' and '.join(left)}; try another one" if left else None


def edit_where_shown(
    source: Face,
    sentence: Sentence,
    backbones: Backbones,
    forward: Forward,
    frames: Sequence[str],
    *,
    until_gone: bool,
) -> Face:
    """Return an edit that takes away only what is there; the whole edit where all of it is.

    Args:
        source: The faces.
        sentence: One for all faces or one a face.
        backbones: Without a reader of attributes, all faces are edited.
        forward: The method's edit of some of the faces.
        frames: That sentences are read in.
        until_gone: Whether the edit is repeated on who still shows what is to go.
    """
    reader = backbones.attributes
    parts = [wishes(prompt) for prompt in sentence.prompt]
    if reader is None or not any(thing_absent_in(part) for row in parts for part in row):
        return forward(source, sentence)
    asked = parts if len(parts) == len(source.image) else parts * len(source.image)

    def edit(before: Face, wanted: Sequence[Sequence[str]]) -> Face:
        return _some(before, before, wanted, sentence, backbones.clip, forward, frames)

    there = _still(asked, source.image, reader, ABSENT, unknown=True)
    kept = [
        [part for part in row if thing_absent_in(part) is None or part in there[k]]
        for k, row in enumerate(asked)
    ]
    edited = forward(source, sentence) if kept == asked else edit(source, kept)
    first = _length(source, edited)
    for _ in range(REPEATED if until_gone else 0):
        after = _still(asked, edited.image, reader, GONE, unknown=False)
        left = [[part for part in row if part in after[k]] for k, row in enumerate(kept)]
        if not any(left):
            break
        again = edit(edited, left)
        better = _is_better(edited, again, left, LONGER * first, reader)
        if not any(better):
            break
        edited = _chosen(again, edited, torch.tensor(better))
    return edited


def _still(
    parts: Sequence[Sequence[str]], images: Tensor, reader: Any, least: float, *, unknown: bool
) -> list[set[str]]:
    """Return for each face those of its parts that are to take away what it shows more of.

    Args:
        parts: Of each face's sentence.
        images: The faces.
        reader: The base's reader of attributes.
        least: What a face shows more of is there.
        unknown: Whether what the reader cannot tell counts as there.
    """
    things = {part: thing for row in parts for part in row if (thing := thing_absent_in(part))}
    degree = {thing: shown(thing, images, reader) for thing in set(things.values())}

    def shows(part: str, face: int) -> bool:
        if part not in things:
            return False
        seen = degree[things[part]]
        return unknown if seen is None else float(seen[face]) > least

    return [{part for part in row if shows(part, k)} for k, row in enumerate(parts)]


def _is_better(
    before: Face, after: Face, left: Sequence[Sequence[str]], farthest: Tensor, reader: Any
) -> list[bool]:
    """Whether each face lost something of what was left by one more edit, without going far."""
    near = (_length(before, after) <= farthest).tolist()
    shown_most = [_most(left, face.image, reader) for face in (before, after)]
    return [
        ok and bool(row) and float(was - now) >= LESS
        for ok, row, was, now in zip(near, left, *shown_most, strict=True)
    ]


def _length(before: Face, after: Face) -> Tensor:
    """Return how far each face's code moved, [n]."""
    return (after.latent.code - before.latent.code).flatten(1).norm(dim=1)


def _most(parts: Sequence[Sequence[str]], images: Tensor, reader: Any) -> Tensor:
    """Return how much each face shows of that of its things that it shows most, [n]."""
    things = {part: thing_absent_in(part) for row in parts for part in row}
    seen = {part: shown(thing, images, reader) for part, thing in things.items() if thing}
    none = images.new_zeros(len(images))
    rows = [[d[k] for part in row if (d := seen[part]) is not None] for k, row in enumerate(parts)]
    return torch.stack([torch.stack(row).amax() if row else none[0] for row in rows])


def _chosen(these: Face, others: Face, rows: Tensor) -> Face:
    """Return some faces with others in place of the rest."""
    image, code = others.image.clone(), others.latent.code.clone()
    rows = rows.to(image.device)
    image[rows], code[rows] = these.image[rows], these.latent.code[rows]
    mask = others.mask
    if these.mask is not None and len(these.mask) == len(rows):
        mask = torch.zeros_like(these.mask) if mask is None else mask.expand_as(these.mask).clone()
        mask[rows] = these.mask[rows]
    return Face(image, Latent(code, others.latent.space), mask)


def _some(
    source: Face,
    before: Face,
    parts: Sequence[Sequence[str]],
    sentence: Sentence,
    clip: Any,
    forward: Forward,
    frames: Sequence[str],
) -> Face:
    """Edit each face by its own parts; who has none stays as before."""
    image, code = before.image.clone(), before.latent.code.clone()
    mask = None if before.mask is None else before.mask.expand(len(image), -1, -1, -1).clone()
    limits = source.mask
    for some in dict.fromkeys(tuple(row) for row in parts if row):
        rows = torch.tensor([k for k, row in enumerate(parts) if tuple(row) == some])
        rows = rows.to(image.device)
        limit = limits if limits is None or len(limits) == 1 else limits[rows]
        face = Face(
            source.image[rows], Latent(source.latent.code[rows], source.latent.space), limit
        )
        text = ", ".join(some)
        target = embed([text], clip, frames).to(sentence.target)
        neutral = sentence.neutral_embedding
        neutral = neutral[rows] if len(neutral) == len(image) else neutral
        words = replace(
            sentence,
            prompt=(text,) * len(neutral),
            target=target.expand(len(neutral), -1),
            neutral_embedding=neutral,
        )
        edited = forward(face, words)
        image[rows], code[rows] = edited.image.to(image), edited.latent.code.to(code)
        if edited.mask is not None:
            if mask is None:
                mask = image.new_zeros(len(image), 1, *edited.mask.shape[-2:])
            mask[rows] = torch.maximum(mask[rows], edited.mask.to(mask))
    return Face(image, Latent(code, before.latent.space), mask)
