"""What a sentence names of things that are worn or grown, of paint, expression and age.

A method's drawn face changes in more than it was asked for: a beard brings a fringe, a hat brings
earrings. What the sentence is about is known from its words alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from faceedit.words.lexicon import ANYONE
from faceedit.words.wishes import category, wishes

__all__ = ["named_parts", "speaks_of_known_things", "speaks_of_parts_only", "topics"]

# Part -> its kinds and the words for them, in the order in which they are looked for. "" is
# whichever kind, "none" that it is gone.
_KINDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "beard": (
        ("none", r"clean[- ]?shaven|shaved face|no (?:full )?(?:beard|moustache|facial hair)"),
        ("goatee", r"goatees?|chin beard"),
        ("moustache", r"m(?:o)?ustaches?|m(?:o)?ustached"),
        ("stubble", r"stubble|stubbly|unshaven"),
        ("full", r"full beard|(?:long|thick|bushy|big) beard|beard|bearded|facial hair"),
    ),
    "hair": (
        ("bald", r"bald|baldness|hairless|shaved head|no hair"),
        ("buzz cut", r"buzz cut|very short hair"),
        ("bob", r"bob|chin-length hair"),
        ("long wavy", r"(?:long )?wavy hair|waves"),
        ("long straight", r"(?:long )?straight hair|long hair(?:ed)?"),
        ("afro", r"afro"),
        ("curly", r"curly|curls"),
        ("mohawk", r"mohawk"),
        (
            "",
            r"bun|ponytail|short hair(?:ed)?|short haircut|haircut|hairstyle|fringe|bangs|quiff|"
            r"voluminous hair|thick hair|parting",
        ),
    ),
    "glasses": (
        ("none", r"(?:no|without) (?:sun|eye)?glasses|bare eyes"),
        ("dark", r"sunglasses|dark glasses|shades"),
        ("round", r"round (?:eye)?(?:glasses|spectacles)"),
        ("square", r"square (?:eye)?(?:glasses|spectacles)"),
        ("", r"(?:eye)?glasses|spectacles"),
    ),
    "hat": (
        ("none", r"(?:no|without an?) (?:hat|cap|beanie|headband)|bareheaded"),
        ("beanie", r"beanie|woolly hat|knitted (?:hat|cap)"),
        ("sun hat", r"sun hat|straw hat|(?:wide-)?brimmed hat"),
        ("cap", r"cap"),
        ("headband", r"headband"),
        ("", r"hat"),
    ),
    "hair colour": (
        (
            "named",
            r"(?:black|brown|blonde?|golden|red|ginger|auburn|gr[ae]y|silver|white|blue|pink|green)"
            r"(?: |-)hair(?:ed)?|redhead|blonde?",
        ),
    ),
    "lips": (
        ("none", r"(?:no|without) (?:lipstick|make-?up)|natural lips"),
        ("painted", r"lipstick|painted lips|red lips"),
    ),
    "mouth": (
        ("laughing", r"laugh(?:s|ing)?"),
        ("smiling", r"smil(?:e|es|ing)|grin(?:s|ning)?|happy"),
        ("open", r"open mouth|mouth open|surprised?"),
        ("frowning", r"frown(?:s|ing)?|sad|unhappy|grumpy|sulking"),
    ),
    "eyes": (("closed", r"closed eyes|eyes closed|asleep|sleeping"),),
    "age": (
        ("old", r"old(?:er)?|elderly|wrinkles|wrinkled"),
        ("young", r"young(?:er)?|youthful"),
    ),
    "skin": (
        ("none", r"(?:no|without) (?:freckles|blush)|clear skin|pale cheeks"),
        ("freckles", r"freckles|freckled"),
        ("blush", r"rosy cheeks|rosy|blush(?:ing|es)?"),
    ),
    "eyeshadow": (
        ("none", r"(?:no|without) (?:eyeshadow|make-?up)"),
        *((c, rf"{c} eyeshadow") for c in ("blue", "green", "purple", "pink", "gold", "brown")),
        ("dark", r"(?:dark|black|smoky) eyeshadow"),
        ("", r"eyeshadow"),
    ),
    "earrings": (
        ("none", r"(?:no|without) (?:hoop |stud )?earrings|bare ears"),
        ("hoops", r"hoops?(?: earrings)?"),
        ("studs", r"studs?(?: earrings)?"),
        ("", r"earrings?"),
    ),
}
_PAINT = re.compile(r"\b(?:lipstick|lip gloss|make-?up|eyeshadow|painted|red lips)\b")
_EYE_COLOURS = re.compile(r"\b(?:blue|green|brown|gr[ae]y|hazel|amber|black|violet|red)\b")
_PATTERNS = {
    part: tuple((kind, re.compile(rf"\b(?:{words})\b")) for kind, words in kinds)
    for part, kinds in _KINDS.items()
}


def named_parts(prompt: str) -> dict[str, frozenset[str]]:
    """Return the parts that a plain sentence names, each with the kinds that it names.

    "a beanie and round glasses" -> {"glasses": {"round"}, "hat": {"beanie"}}. "" is whichever kind,
    "none" says that the part is gone.

    Args:
        prompt: As `faceedit.words.sentence.plain` returns it.
    """
    text = " ".join(prompt.lower().split())
    named: dict[str, frozenset[str]] = {}
    for part, kinds in _PATTERNS.items():
        found, rest = [], text
        for kind, pattern in kinds:
            left = pattern.sub(" ", rest)
            if left != rest:
                found.append(kind)
            rest = left
        if found:
            named[part] = frozenset(found)
    return named


def speaks_of_parts_only(prompt: str) -> bool:
    """Return whether every wish of a plain sentence is about one part of the face or a thing.

    Then what it does not name should stay: "red hair" puts no hat on. "An old man" or a word that
    nobody listed may change anything.
    """
    named = _categories(prompt)
    return bool(named) and all(name not in (None, "face") for name in named)


def speaks_of_known_things(prompt: str) -> bool:
    """Return whether a plain sentence is understood: each of its wishes is about something known.

    "An old man" is; then hats and glasses that it does not name stay away. "A pirate" is not.
    """
    named = _categories(prompt)
    return bool(named) and None not in named


def _categories(prompt: str) -> list[str | None]:
    return [category(wish) for wish in wishes(prompt) if wish.lower() not in ANYONE]


def topics(prompt: str) -> frozenset[str]:
    """Return what the wishes of a plain sentence are about.

    These are the categories of `faceedit.words.wishes`, with colours told apart from what moves:
    "blue eyes" speak of "irises" and "red lipstick" of "paint", not of "eyes" and "mouth".

    Args:
        prompt: As `faceedit.words.sentence.plain` returns it.
    """
    found = set()
    for wish in wishes(prompt.lower()):
        name = category(wish)
        if _PAINT.search(wish):
            found.add("paint")
        elif name == "eyes" and _EYE_COLOURS.search(wish):
            found.add("irises")
        elif name is not None:
            found.add(name)
    return frozenset(found)
