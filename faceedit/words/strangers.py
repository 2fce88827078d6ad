"""Words that nobody has taught the base, before a thing that it knows: "a punk mohawk".

CLIP spells them in pieces, and the pieces pull the edit somewhere. What they describe is known, so
they are left out and the user is told. Where an unknown word is all that is asked for, it stays,
and the sentence is not understood (`faceedit.words.understanding`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from faceedit.words.everyday import WORDS, Knows, words_of
from faceedit.words.lexicon import PARTS, THINGS
from faceedit.words.phrasing import SAID_OF_PARTS
from faceedit.words.vocabulary import GRAMMAR, spoken

__all__ = ["strangers", "without"]

MISSPELT = 0.82  # difflib's ratio from which on an unknown word is rather a known one misspelt
LONG = 5  # letters; shorter words are like many others
# Words with nothing between them that begins another thing.
_PHRASE = re.compile(
    r"(?:\b(?!(?:and|or|with|his|her|their|of|in|on|but|who|is|has|that|wearing)\b)"
    r"[^\W\d_][\w'-]* ?)+"
)


def strangers(plain: str, knows: Knows) -> list[str]:
    """Return the unknown words that only describe a known thing; the others say what is wanted.

    "harry potter glasses" -> harry, potter. None in "rainbow hair", where the others say nothing,
    and none that may be a known word misspelt.

    Args:
        plain: A sentence as `in_plain_words` says it.
        knows: Tells for a word, in small letters, whether it is known.
    """
    found: list[str] = []
    text = plain.lower()
    for phrase in _PHRASE.finditer(text):
        words = words_of(phrase[0])
        saying = [place for place, word in enumerate(words) if knows(word) and _says(word)]
        unknown = [word for word in words[: max(saying, default=0)] if not knows(word)]
        rest = {word for word in words if word not in unknown} - PARTS - GRAMMAR
        if any(map(knows, rest)) and not any(map(_is_misspelt, unknown)):
            found += unknown
    return found + _aside(text, knows)


def _says(word: str) -> bool:
    return word in PARTS or word in THINGS or word not in GRAMMAR


# Who it is that has what is asked for, and where: "a pirate with a beard", "grey at the temples".
_WHO = re.compile(
    r"^(?!lots\b)(?:an? |the |some )?([\w'-]+)(?: (?:with|wearing|has|who|of)\b)(?P<rest>.*)"
)
_PLACES = (
    r"(?:at|around|near|past|under|down|above|below|along|behind|beneath|throughout|over|to|for|"
    r"from|on|in|like)"
)
_WHERE = re.compile(rf"(?P<rest>.*\w) {_PLACES} (?:the |his |her |their |my |a )?([\w'-]+)$")

_WHICH = re.compile(r"(?P<rest>.*\w) (?:that|which) ([\w'-]+)(?: (?:the|his|her|their) [\w'-]+)?$")


def _aside(text: str, knows: Knows) -> list[str]:
    """Return the unknown word for who or where it is, if the rest is known and asks for something.

    Only of a sentence with one wish: "red hair and a hat on the table" may be about the table.
    """
    for pattern in (_WHO, _WHERE, _WHICH):
        found = pattern.fullmatch(text)
        if found is None:
            continue
        word = next(part for part in found.groups() if part != found["rest"])
        rest = words_of(found["rest"])
        if not knows(word) and all(map(knows, rest)) and set(rest) - PARTS - GRAMMAR:
            return [] if _is_misspelt(word) else [word]
    return []


def without(words: Sequence[str], plain: str) -> str:
    """Return a sentence without these words; itself where there are none."""
    if not words:
        return plain
    left = re.sub(rf"\b(?:{'|'.join(map(re.escape, words))})\b *", "", plain, flags=re.IGNORECASE)
    left = re.sub(r"^(?:(?:an? |the )?(?:of|with) )", "", " ".join(left.split()))
    return re.sub(rf"(?: (?:{_PLACES}|the|his|her|their|my|a|that|which))+$", "", left)


def _is_misspelt(word: str) -> bool:
    if len(word) < LONG or word in SAID_OF_PARTS:
        return False
    alike = [other for other in (*spoken(), *WORDS) if other[0] == word[0]]
    return bool(difflib.get_close_matches(word, alike, n=1, cutoff=MISSPELT))
