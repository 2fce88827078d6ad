"""A sentence of many wishes, split into one segment a category: hair, mouth, what is worn, ...

ManiCLIP's decoupled and sequential edits take the segments one by one. Categories are found by
their words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["CATEGORIES", "category", "segments"]

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
        *("headband", "earrings", "hoops", "studs", "necklace", "necktie"),
    ),
    "skin": ("skin", "pale", "tan", "tanned", "freckles", "freckled", "cheeks", "blushing"),
    "face": ("face", "jaw", "chin", "old", "young", "elderly", "woman", "man", "chubby"),
}
_ANYONE = (["a face"], ["face"], ["a woman"], ["a man"], ["woman"], ["man"])
# Words between the parts of a sentence, and words that only lead to them.
_JOINTS = re.compile(r"\s*(?:[,;.]|\b(?:and|with|wearing|who|that)\b)\s*", re.IGNORECASE)
_LEADS = re.compile(
    r"^(?:(?:give|make|let)\s+)?(?:he|she|they|him|her|it|(?:the|a|this)\s+(?:person|face))?\s*"
    r"(?:\b(?:is|are|has|have|wears|wear|looks|look)\b\s*)?",
    re.IGNORECASE,
)


def segments(prompt: str) -> list[str]:
    """Return the parts of a sentence, those of one category joined; itself where there is one.

    "she has red hair, a fringe and a big smile" -> ["red hair, a fringe", "a big smile"]
    """
    parts = [_LEADS.sub("", part).strip() for part in _JOINTS.split(prompt)]
    found: dict[str, list[str]] = {}
    for part in filter(None, parts):
        found.setdefault(category(part) or part, []).append(part)
    if len(found) > 1 and [part.lower() for part in found.get("face", [])] in _ANYONE:
        del found["face"]  # "a woman with red hair" asks for the hair only
    return [", ".join(parts) for parts in found.values()] if len(found) > 1 else [prompt]


def category(part: str) -> str | None:
    """Return the category that a part of a sentence speaks of, or None."""
    words = set(re.findall(r"[a-z]+", part.lower()))
    return next((name for name, known in CATEGORIES.items() if words & set(known)), None)
