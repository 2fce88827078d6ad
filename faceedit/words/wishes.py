"""A sentence of many wishes, split: into one segment a category, or into single wishes.

ManiCLIP's decoupled edits take the segments one by one; its sequential ones, FFCLIP and our own
method take the wishes. Categories (hair, mouth, what is worn, ...) and colours are found by their
words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from faceedit.words.lexicon import ANYONE

__all__ = ["CATEGORIES", "category", "one_wish", "segments", "wishes"]

# Category -> words that speak of it. A part of a sentence belongs to the first category that it
# names, so hair comes before the things that are worn on it.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "facial hair": ("beard", "bearded", "moustache", "mustache", "goatee", "stubble", "shaven"),
    "hair": (
        *("hair", "haired", "haircut", "bald", "fringe", "bangs", "ponytail", "bun", "mohawk"),
        *("afro", "bob", "quiff", "curls", "curly", "blond", "blonde", "redhead"),
    ),
    "eyes": ("eye", "eyes", "eyed", "eyebrow", "eyebrows", "brows", "eyeshadow", "eyelids"),
    "mouth": (
        *("mouth", "smile", "smiling", "lips", "lipstick", "laughing", "frown", "frowning"),
        *("happy", "sad", "surprised", "cheerful", "serious"),
    ),
    "nose": ("nose",),
    "worn": (
        *("glasses", "sunglasses", "spectacles", "eyeglasses", "hat", "cap", "beanie"),
        *("headband", "earrings", "hoops", "studs", "necklace", "necktie", "shades", "eyewear"),
    ),
    "skin": ("skin", "pale", "tan", "tanned", "freckles", "freckled", "cheeks", "blushing"),
    "face": ("face", "jaw", "chin", "old", "young", "elderly", "woman", "man", "chubby"),
}
HATS = re.compile(r"\b(?:hat|cap|beanie|headband|bareheaded)\b")
ORDER = ("face", "hair", "facial hair", "eyes", "nose", "skin", "mouth", "worn")
# A colour of hair, with what shades it, as in "dark brown" and "dyed bright pink".
_COLOR = re.compile(
    r"\b(?:(?:dark|light|bright|pale|dyed|jet|ash|platinum|strawberry|silver)[\s-]+)*"
    r"(?:black|brown|blonde?|golden|red|ginger|copper|auburn|gr[ae]y|silver|white|blue|pink|green)\b(?:[\s-]+haired)?",
    re.IGNORECASE,
)
# Words between the parts of a sentence, and words that only lead to them.
_JOINTS = re.compile(r"\s*(?:[,;.]|\b(?:and|with|wearing|who|that)\b)\s*", re.IGNORECASE)
_LEADS = re.compile(
    r"^(?:(?:give|make|let)\s+)?(?:\b(?:he|she|they|him|her|it|(?:the|a|this)\s+(?:person|face))\b)?\s*"
    r"(?:\b(?:is|are|has|have|wears|wear|looks|look)\b\s*)?",
    re.IGNORECASE,
)


def segments(prompt: str) -> list[str]:
    """Return the parts of a sentence, those of one category joined; itself where there is one.

    "she has red hair, a fringe and a big smile" -> ["red hair, a fringe", "a big smile"]
    """
    found: dict[str, list[str]] = {}
    for part in _parts(prompt):
        found.setdefault(category(part) or part, []).append(part)
    return [", ".join(parts) for parts in found.values()] if len(found) > 1 else [prompt]


def wishes(prompt: str) -> list[str]:
    """Return what a sentence asks for, one thing each; itself where that is one thing.

    They come in one order, however they are said, so that "red hair and a hat" gives what "a hat
    and red hair" does: a hat first, which is seldom drawn on a face that was changed before.

    "blond curly hair and glasses" -> ["blond hair", "curly hair", "glasses"]
    """
    found: list[str] = []
    waiting = ""  # words that belong to what follows: the "long" of "long and curly hair"
    for part in _parts(prompt):
        if category(part):
            *first, last = _colored(part)
            found += [*first, waiting + last]
            waiting = ""
        else:
            waiting += f"{part} and "
    if waiting and found:
        found[-1] += " and " + waiting.removesuffix(" and ")
    return sorted(found, key=_turn) if len(found) > 1 else [prompt]


def _turn(wish: str) -> int:
    """Return when a wish is fulfilled: hats, what the face is, its parts, what is worn."""
    if HATS.search(wish.lower()):
        return -1
    return ORDER.index(category(wish) or ORDER[-1])


def one_wish(prompt: str) -> list[str]:
    """Return a sentence as it is: for methods that do not split."""
    return [prompt]


def _parts(prompt: str) -> list[str]:
    """Split at commas, "and", "with", ...; "a woman" is not a wish where more is asked for."""
    parts = [_LEADS.sub("", part).strip() for part in _JOINTS.split(prompt)]
    parts = [part for part in parts if part]
    rest = [part for part in parts if not _is_anyone(part)]
    return rest or parts


def _is_anyone(part: str) -> bool:
    return re.sub(r"^(?:an?|the|this|that|my|some) ", "", part.lower()) in ANYONE


def _colored(part: str) -> list[str]:
    """Take the colour out of what is said of hair: "a pink mohawk" -> ["pink hair", "a mohawk"]."""
    color = _COLOR.search(part) if category(part) == "hair" else None
    if color is None:
        return [part]
    rest = " ".join((part[: color.start()] + part[color.end() :]).split())
    wish = re.sub(r"[\s-]+haired$", "", color[0]) + " hair"
    plain = not re.sub(r"\b(?:a|an|the|hair|head|of)\b", "", rest).strip()
    return [part] if plain else [wish] if _is_anyone(rest) else [wish, rest]


def category(part: str) -> str | None:
    """Return the category that a part of a sentence speaks of, or None."""
    words = set(re.findall(r"[a-z]+", part.lower()))
    return next((name for name, known in CATEGORIES.items() if words & set(known)), None)
