"""Words that nobody has taught the base, before a thing that it knows: "a punk mohawk".

CLIP spells them in pieces, and the pieces pull the edit somewhere. What they describe is known, so
they are left out and the user is told. Where an unknown word is all that is asked for, it stays,
and the sentence is not understood (`faceedit.words.understanding`).
"""

from __future__ import annotations

import difflib
import re

from faceedit.words.everyday import WORDS, Knows, words_of
from faceedit.words.lexicon import PARTS, THINGS
from faceedit.words.vocabulary import GRAMMAR, spoken

__all__ = ["strangers", "without"]

MISSPELT = 0.8  # difflib's ratio from which on an unknown word is rather a known one misspelt
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
    for phrase in _PHRASE.findall(plain.lower()):
        words = words_of(phrase)
        nouns = [place for place, word in enumerate(words) if word in PARTS or word in THINGS]
        unknown = [word for word in words[: max(nouns, default=0)] if not knows(word)]
        rest = {word for word in words if word not in unknown} - PARTS - GRAMMAR
        if any(map(knows, rest)) and not any(map(_is_misspelt, unknown)):
            found += unknown
    return found


def without(words: list[str], plain: str) -> str:
    """Return a sentence without these words; itself where there are none."""
    if not words:
        return plain
    left = re.sub(rf"\b(?:{'|'.join(map(re.escape, words))})\b *", "", plain, flags=re.IGNORECASE)
    return " ".join(left.split())


def _is_misspelt(word: str) -> bool:
    alike = [other for other in (*spoken(), *WORDS) if other[0] == word[0]]
    return bool(difflib.get_close_matches(word, alike, n=1, cutoff=MISSPELT))
