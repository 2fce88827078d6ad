"""Captions: sentences that say what can be seen in a portrait, with exact truth.

The table of what can be said is in `statements`; here is who may say what (`truth`: what is true of
a face and in view) and the grammar that makes sentences of it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from faceedit.world.attributes import FaceAttributes
from faceedit.world.statements import (
    NEUTRAL,
    STATEMENTS,
    VIEWS,
    Condition,
    Statement,
    View,
    find,
    questions,
)

__all__ = [
    "FALSE",
    "STATEMENTS",
    "TRUE",
    "UNSURE",
    "Caption",
    "Statement",
    "caption",
    "compose",
    "describe",
    "find",
    "is_true",
    "questions",
    "truth",
    "value_prompts",
    "visible",
]

Split = Literal["train", "heldout"]
TRUE, FALSE, UNSURE = 1, 0, -1  # what `truth` says; UNSURE also when the thing is out of sight


# ------------------------------------------------------------------------------ truth
def _judge(when: Mapping[str, Condition], attributes: FaceAttributes) -> tuple[Tensor, Tensor]:
    """Return where all conditions hold and where one surely does not, two [n] bools."""
    holds = torch.ones(len(attributes), dtype=torch.bool, device=attributes.values.device)
    fails = torch.zeros_like(holds)
    for name, condition in when.items():
        yes, no = condition.judge(attributes, name)
        holds, fails = holds & yes, fails | no
    return holds, fails


def is_true(statement: Statement | str, attributes: FaceAttributes) -> Tensor:
    """Return where a statement is true, [n] bool, whether or not it can be seen."""
    return _judge(find(statement).when, attributes)[0]


def _region_shares(segmentation: Tensor) -> dict[str, Tensor]:
    """Return each region's share of the pixels, [n] a name; segmentation is [n, h, w] labels."""
    from faceedit.world.shading import REGIONS  # the renderer is heavy, captions alone are not

    flat = segmentation.flatten(1).long()
    n, pixels = flat.shape
    places = flat + len(REGIONS) * torch.arange(n, device=flat.device)[:, None]
    counts = torch.bincount(places.flatten(), minlength=n * len(REGIONS))
    shares = counts.view(n, len(REGIONS)) / pixels
    return {name: shares[:, i] for i, name in enumerate(REGIONS)}


def _in_view(view: View, attributes: FaceAttributes, shares: Mapping[str, Tensor]) -> Tensor:
    seen = _judge(view.when, attributes)[0]
    if shares and view.regions:
        seen = seen & (sum(shares[name] for name in view.regions) >= view.share)
    return seen


def visible(
    statement: Statement | str, attributes: FaceAttributes, segmentation: Tensor | None = None
) -> Tensor:
    """Return where the picture shows whether a statement is true, [n] bool.

    Args:
        statement: A statement or its key.
        attributes: n faces.
        segmentation: Their region labels, [n, h, w]; without it the attributes alone decide.
    """
    shares = {} if segmentation is None else _region_shares(segmentation)
    return _in_view(VIEWS[find(statement).view], attributes, shares)


def truth(attributes: FaceAttributes, segmentation: Tensor | None = None) -> Tensor:
    """Return what every statement says of every face.

    Args:
        attributes: n faces.
        segmentation: Their region labels, [n, h, w], or None.

    Returns:
        [n, len(STATEMENTS)] int8: TRUE, FALSE, or UNSURE (a matter of taste, or out of sight).
    """
    shares = {} if segmentation is None else _region_shares(segmentation)
    views = {name: _in_view(view, attributes, shares) for name, view in VIEWS.items()}
    columns = []
    for statement in STATEMENTS:
        holds, fails = _judge(statement.when, attributes)
        column = torch.full_like(holds, UNSURE, dtype=torch.int8)
        column[fails], column[holds] = FALSE, TRUE
        column[~views[statement.view]] = UNSURE
        columns.append(column)
    return torch.stack(columns, dim=1)


# ------------------------------------------------------------------------------ grammar
@dataclass(frozen=True)
class Caption:
    """A sentence and the statements that it makes, as indices into STATEMENTS."""

    text: str
    statements: tuple[int, ...]


@dataclass
class _Parts:
    """The words of a sentence, sorted by their part in it."""

    subject: str  # "woman", without article
    pronoun: str  # "she"
    has: list[str]
    wears: list[str]
    is_: list[str]
    tail: list[str]  # "without a beard", "in dim light"


_OBJECTS = {"she": "her", "he": "him", "they": "them"}
_SPELLINGS = {"grey": "gray", "colour": "color", "moustache": "mustache", "blond ": "blonde "}
_COUNT_WEIGHTS = (0.24, 0.22, 0.2, 0.18, 0.16)  # of captions with 1, 2, ... 5 statements
SHAPES = ("keywords", "phrase", "picture", "sentence", "request", "tags")
_SHAPE_WEIGHTS = (0.22, 0.28, 0.14, 0.2, 0.08, 0.08)


def _article(phrase: str) -> str:
    return ("an " if phrase[:1] in "aeiou" else "a ") + phrase


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _bare(wording: str) -> str:
    """Return a wording as a user types it: "has red hair" -> "red hair"."""
    verb, _, rest = wording.partition(" ")
    return rest if verb in ("has", "wears", "is", "looks") else wording


def _sort(wordings: list[str], rng: random.Random) -> _Parts:
    parts = _Parts(rng.choice(("person", "person", "face")), "they", [], [], [], [])
    for wording in wordings:
        verb, _, rest = wording.partition(" ")
        if verb in ("a", "an"):
            parts.subject = rest
            female = re.search(r"woman|lady|female", rest)
            parts.pronoun = "she" if female else "he"
        elif verb in ("has", "wears"):
            (parts.has if verb == "has" else parts.wears).append(rest)
        elif verb in ("is", "looks"):
            parts.is_.append(rest if verb == "is" else f"looking {rest}")
        else:
            parts.tail.append(wording)
    return parts


def _phrase(parts: _Parts) -> str:
    """Return a noun phrase: "a smiling woman with red hair wearing a hat against a blue wall"."""
    before = [word for word in parts.is_ if " " not in word]
    after = [word for word in parts.is_ if " " in word]
    words = [_article(" ".join([*before, parts.subject]))]
    if parts.has:
        words.append("with " + _listed(parts.has))
    if parts.wears:
        words.append("wearing " + _listed(parts.wears))
    if after:
        relative = "that" if parts.subject == "face" else "who"
        words.append(f"{relative} is {_listed(after)}")
    return " ".join(words + parts.tail)


def _sentence(parts: _Parts, rng: random.Random) -> str:
    """Return a full sentence: "she is smiling, has red hair and wears a hat in dim light"."""
    plural = parts.pronoun == "they"
    if rng.random() < 0.35 or parts.subject == "face":
        subject, plural = f"the {parts.subject}", False
    elif parts.pronoun == "they" and rng.random() < 0.5:
        subject, plural = "this person", False
    else:
        subject = parts.pronoun
    be, have, wear = ("are", "have", "wear") if plural else ("is", "has", "wears")
    clauses = []
    if parts.is_:
        clauses.append(f"{be} {_listed(parts.is_)}")
    if parts.has:
        clauses.append(f"{have} {_listed(parts.has)}")
    if parts.wears:
        clauses.append(f"{wear} {_listed(parts.wears)}")
    if not clauses:
        clauses = [f"{be} shown"] if parts.tail else [f"{be} in the picture"]
    text = " ".join([f"{subject} {_listed(clauses)}", *parts.tail])
    return text + rng.choice(("", "."))


def _request(parts: _Parts, rng: random.Random) -> str:
    """Return an instruction, as editors are told: "give her red hair and make her smiling"."""
    whom = _OBJECTS[parts.pronoun]
    if parts.pronoun == "they" or rng.random() < 0.3:
        whom = f"the {parts.subject}"
    orders = []
    if parts.has:
        order = rng.choice((f"give {whom}", f"let {whom} have"))
        orders.append(f"{order} {_listed(parts.has)}")
    if parts.wears:
        worn = _listed(parts.wears)
        ways = (f"put {worn} on {whom}", f"add {worn}", f"let {whom} wear {worn}")
        orders.append(rng.choice(ways))
    if parts.is_:
        orders.append(f"make {whom} {_listed(parts.is_)}")
    if not orders:
        orders = [f"show {whom}"]
    return " ".join([" and ".join(orders), *parts.tail])


def _build(wordings: list[str], shape: str, rng: random.Random) -> str:
    if shape in ("keywords", "tags"):
        words = [_bare(wording) for wording in wordings]
        if shape == "tags":
            words = [re.sub(r"^an? ", "", word) for word in words]
            if rng.random() < 0.4:  # "portrait, red hair": how prompt templates say it, too
                words.insert(0, rng.choice(("portrait", "face", "person", "a face", "a person")))
            return rng.choice((", ", " ")).join(words)
        return rng.choice((", ", " and ", ", ")).join(words)
    parts = _sort(wordings, rng)
    if shape == "phrase":
        return _phrase(parts)
    if shape == "picture":
        kind = rng.choice(("a portrait of", "a picture of", "a photo of", "a close-up of"))
        return f"{kind} {_phrase(parts)}"
    if shape == "sentence":
        return _sentence(parts, rng)
    return _request(parts, rng)


def _choose(known: list[int], count: int, rng: random.Random) -> list[int]:
    """Choose up to `count` true statements with different names, rarer sayings more seldom."""
    pool = list(known)
    chosen: list[int] = []
    while pool and len(chosen) < count:
        weights = [STATEMENTS[i].weight for i in pool]
        pick = rng.choices(pool, weights)[0]
        chosen.append(pick)
        pool = [i for i in pool if STATEMENTS[i].name != STATEMENTS[pick].name]
    return chosen


def _word(statement: Statement, split: Split, rng: random.Random) -> str:
    if split == "heldout":
        return rng.choice(statement.heldout)
    if statement.more and rng.random() < 0.1:
        return rng.choice(statement.more)
    return rng.choice(statement.train)


def compose(
    known: list[int], rng: random.Random, count: int | None = None, split: Split = "train"
) -> Caption:
    """Write one caption out of statements that are true and in view.

    Args:
        known: Indices into STATEMENTS that may be said.
        rng: Chooses statements, wordings and the shape of the sentence.
        count: How many statements, 1 to 5; None draws it. Fewer where fewer are known, and the
            sex may be named on top, as the subject of the sentence ("a woman with red hair").
        split: Which wordings to use.
    """
    if count is None:
        count = rng.choices(range(1, 6), _COUNT_WEIGHTS)[0]
    sex = [i for i in known if STATEMENTS[i].name == "femininity"]
    chosen = _choose(known, count, rng)
    shape = rng.choices(SHAPES, _SHAPE_WEIGHTS)[0]
    if shape not in ("keywords", "tags") and sex and sex[0] not in chosen and rng.random() < 0.5:
        chosen = [sex[0], *chosen]
    if not chosen:
        return Caption(rng.choice(NEUTRAL), ())
    text = _build([_word(STATEMENTS[i], split, rng) for i in chosen], shape, rng)
    if rng.random() < 0.3:
        for british, american in _SPELLINGS.items():
            text = text.replace(british, american)
    return Caption(text, tuple(sorted(chosen)))


def describe(
    attributes: FaceAttributes,
    segmentation: Tensor | None = None,
    seed: int = 0,
    count: int | None = None,
    split: Split = "train",
) -> list[Caption]:
    """Return one caption a face together with the statements that it makes; see `caption`."""
    _check(count, split)
    rng = random.Random(seed)
    rows = (truth(attributes, segmentation) == TRUE).tolist()
    return [compose([i for i, t in enumerate(row) if t], rng, count, split) for row in rows]


def caption(
    attributes: FaceAttributes,
    segmentation: Tensor | None = None,
    seed: int = 0,
    count: int | None = None,
    split: Split = "train",
) -> list[str]:
    """Return one sentence a face that says what can be seen in its picture.

    Args:
        attributes: n faces.
        segmentation: Their region labels, [n, h, w]; what is covered is then not mentioned.
        seed: The same seed writes the same captions.
        count: How many things to mention, 1 to 5; None draws it for each face.
        split: "train", or "heldout" for wordings that training never shows.

    Raises:
        ValueError: If count is not 1 to 5 or the split is unknown.
    """
    return [c.text for c in describe(attributes, segmentation, seed, count, split)]


def _check(count: int | None, split: str) -> None:
    if count is not None and not 1 <= count <= 5:
        raise ValueError(f"count is {count}; a caption mentions 1 to 5 things")
    if split not in ("train", "heldout"):
        raise ValueError(f"unknown split {split!r}; choose 'train' or 'heldout'")


@cache
def value_prompts(name: str, value: str, split: Split = "train") -> tuple[str, ...]:
    """Return all wordings of one value as bare phrases: ("red hair", "ginger hair", ...).

    Raises:
        ValueError: If the statement or the split is unknown.
    """
    _check(None, split)
    statement = find(f"{name}={value}")
    return tuple(_bare(w) for w in (statement.train if split == "train" else statement.heldout))
