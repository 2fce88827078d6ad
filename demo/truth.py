"""A sentence as the renderer's own exact change: what a perfect edit of a rendered person is.

The sentence is read by the wordings of the world's statements (`faceedit.world.statements`): the
longest wordings that it contains, words between them allowed ("long wavy red hair" holds "red
hair" and "long wavy hair"). Each statement then sets the attributes that it is about, and nothing
else. No network is asked.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demo.people import SIZE, Person

if TYPE_CHECKING:
    from torch import Tensor

    from faceedit.world.statements import Condition, Statement

SAFE = 0.35  # of the way from a condition's border to the attribute's end: plainly true
MOST_BETWEEN = 3  # words inside a wording that belong to another
_SPELLINGS = {
    "gray": "grey", "blonde": "blond", "mustache": "moustache", "color": "colour",
    "colored": "coloured", "makeup": "make-up", "spectacles": "glasses", "eyeglasses": "glasses",
    "smiles": "smiling", "smile": "smiling", "laughs": "laughing", "frown": "frowning",
    "brows": "eyebrows", "elderly": "old", "kid": "young", "happier": "happy",
    "older": "old", "younger": "young",
}  # fmt: skip
_FILLERS = {
    "a", "an", "the", "his", "her", "their", "very", "really", "more", "some", "this", "that",
}  # fmt: skip
_BREAKS = {
    "and", "with", "in", "wearing", "who", "is", "has", "wears", "but", "or", "on", "of", "for",
    "to", "not", "no",
}  # fmt: skip
_REMOVE = re.compile(r"\b(remove|take off|get rid of|lose|delete|drop|no more)\b")
# No wording reaches over a noun: "green hair and blue eyes" says nothing of green eyes.
_NOUNS = {
    "hair", "eyes", "lips", "lipstick", "skin", "beard", "moustache", "hat", "glasses", "wall",
    "background", "clothes", "clothing", "earrings", "eyebrows", "nose", "mouth", "chin", "jaw",
    "cheeks", "face", "light", "haircut", "frames", "sweater", "ears", "headwear", "person",
    "man", "woman", "cap", "hoodie", "shirt",
}  # fmt: skip
_SCENES = (("background",), ("wall",))
_NOT = {"no", "not", "without"}


@dataclass(frozen=True, eq=False)
class Truth:
    """The exact edit of a rendered person."""

    image: Tensor  # [1, 3, h, w], RGB in [-1, 1]
    statements: tuple[str, ...]  # keys like "hair_color=red"
    changes: dict[str, float | str]  # attribute -> its new value


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a sentence in one spelling, without articles."""
    text = text.lower().replace("make up", "make-up")
    text = _REMOVE.sub("without", text).replace(" off", " ")
    words = re.findall(r"[a-z][a-z'-]*", text)
    spelled = (_SPELLINGS.get(word, word) for word in words)
    return tuple(word for word in spelled if word not in _FILLERS)


@functools.cache
def _wordings() -> tuple[tuple[tuple[str, ...], Statement], ...]:
    """Return every wording with its statement, longest first."""
    from faceedit.world.statements import STATEMENTS

    found: dict[tuple[str, ...], Statement] = {}
    for statement in STATEMENTS:
        for wording in (*statement.train, *statement.heldout, *statement.more):
            verb, _, rest = wording.partition(" ")
            bare = rest if verb in ("has", "wears", "is", "looks") else wording
            words = words_of(bare)
            if words:
                found.setdefault(words, statement)
            if words[-1:] in _SCENES and len(words) > 2:  # "red background" will do, too
                found.setdefault(words[-2:], statement)
    order = sorted(found.items(), key=lambda item: (-len(item[0]), item[1].general))
    return tuple(order)


def _places(wording: tuple[str, ...], words: tuple[str, ...], used: set[int]) -> list[int] | None:
    """Return where the wording stands in the sentence, or None."""
    for start, word in enumerate(words):
        if word != wording[0] or (start in used and len(wording) == 1):
            continue
        at = [start]
        for wanted in wording[1:]:
            position = at[-1] + 1
            while position < len(words) and words[position] != wanted:
                between = words[position]
                far = position - at[-1] > MOST_BETWEEN
                if far or between in _BREAKS or between in _NOUNS:
                    break
                position += 1
            if position >= len(words) or words[position] != wanted:
                break
            at.append(position)
        else:
            if any(place not in used for place in at):
                return at
    return None


def statements_of(prompt: str) -> list[Statement]:
    """Return what a sentence says of a face, as far as the world knows it."""
    words = words_of(prompt)
    said: list[Statement] = []
    used: set[int] = set()
    for wording, statement in _wordings():
        at = _places(wording, words, used)
        if at is None:
            continue
        denied = at[0] > 0 and words[at[0] - 1] in _NOT and wording[0] not in _NOT
        # "brown eyes" is no news beside "dark brown eyes": its other words are used
        new = [words[place] for place in at if place not in used]
        if set(new) <= _NOUNS | _BREAKS and not used.isdisjoint(at):
            continue
        used.update(at)
        if not denied and all(other.name != statement.name for other in said):
            said.append(statement)
    return said


def attributes_of(statements: Iterable[Statement]) -> set[str]:
    """Return the attributes that some statements are about."""
    return {name for statement in statements for name in statement.when}


def truth_of(someone: Person, prompt: str) -> Truth | None:
    """Render the exact edit, about a second; None if the world does not know the sentence."""
    from faceedit.world import counterfactual
    from faceedit.world.captions import is_true

    changes: dict[str, float | str] = {}
    said = statements_of(prompt)
    for statement in said:
        if not bool(is_true(statement, someone.attributes)):
            for name, condition in statement.when.items():
                changes |= _change(name, condition, someone)
    if not said:
        return None
    keys = tuple(statement.key for statement in said)
    if not changes:
        return Truth(someone.image, keys, {})
    return Truth(counterfactual(someone.attributes, SIZE, **changes).image, keys, changes)


def _change(name: str, condition: Condition, someone: Person) -> dict[str, float | str]:
    """Return the smallest plain change of one attribute that fulfils a condition."""
    from faceedit.world import SPECS
    from faceedit.world.statements import HairColor, Hue, OneOf

    holds, _ = condition.judge(someone.attributes, name)
    if bool(holds):
        return {}
    spec = SPECS[name]
    if isinstance(condition, OneOf | HairColor):
        return {name: condition.values[0]}
    if isinstance(condition, Hue):
        return {name: condition.centre % 1.0}
    low, high = max(condition.low, spec.low), min(condition.high, spec.high)
    if condition.low <= spec.low:
        return {name: high - SAFE * (high - low)}
    if condition.high >= spec.high:
        return {name: low + SAFE * (high - low)}
    return {name: (low + high) / 2}


def in_words(truth: Truth) -> str:
    """Return what the exact edit changes: "hair_color to red, smile to 0.58"."""
    if not truth.changes:
        return "nothing to change: it is true already"
    parts = (
        f"{name.replace('_', ' ')} to {value if isinstance(value, str) else f'{value:.2f}'}"
        for name, value in truth.changes.items()
    )
    return ", ".join(parts)
