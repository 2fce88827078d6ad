"""Words with one slip of the finger: "galsses", "smilling", "blnd hair", "greyhair".

Only a slip that is plainly one is mended, and the user is told; whatever else is unknown stays
unknown, with a suggestion (`faceedit.words.understanding`).
"""

from __future__ import annotations

import functools
import re

from faceedit.words.everyday import PHRASES, WORDS, Knows, words_of
from faceedit.words.lexicon import PARTS, THINGS, word_set
from faceedit.words.phrasing import SAID_OF_PARTS
from faceedit.words.vocabulary import spoken

__all__ = ["mended", "mended_word"]

SWAPPED = 3  # letters from which on two neighbours may have been swapped: "hiar"
ONE_OFF = 5  # letters of the word that is meant, from which on one may be too many or missing
OTHER = 7  # letters from which on one may be another: shorter words are often words themselves
# Words of wishes that say nothing of a face.
_ASKING = word_set(
    "remove without wearing please change smiling make glasses photo wants should could would "
    "nothing longer delete erase having looking younger bigger smaller shorter colour color want "
    "need love wish turn give show switch paint style does doesn isn wasn hasn aren didn other "
    "what when where which while whose than then there their about after before been being more "
    "shave trim lose take cut off rid wipe years older decades thirty forty fifty sixty seventy "
    "eighty ninety"
)


def mended(text: str, knows: Knows) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return a sentence with its slips mended, and what was read as what.

    "remve galsses" -> "remove glasses", (("remve", "remove"), ("galsses", "glasses"))

    Args:
        text: A sentence.
        knows: Tells for a word, in small letters, whether it is known.
    """
    read = []
    for word in dict.fromkeys(words_of(text)):
        meant = None if knows(word) or word in _meant() else mended_word(word)
        if meant is not None:
            read.append((word, meant))
            text = re.sub(rf"(?<![\w'-]){re.escape(word)}(?![\w'-])", meant, text, flags=re.I)
    return text, tuple(read)


@functools.lru_cache(maxsize=4096)
def mended_word(word: str) -> str | None:
    """Return the only word from which this one is a slip away; None where there is none."""
    for end in sorted(PARTS, key=len, reverse=True):  # "greyhair"
        start = word.removesuffix(end)
        if start != word and len(start) > 2 and start in SAID_OF_PARTS | spoken():
            return f"{start} {end}"
    near = [other for other in _meant() if other[0] == word[0] and _is_a_slip(word, other)]
    # Of "mustach", "mustache" and of "beards", "beard": the same word in another form.
    shortest = min(near, key=lambda other: (abs(len(other) - len(word)), len(other), other),
                   default=None)  # fmt: skip
    if shortest is None:
        return None
    stem = shortest[: len(shortest) - 2]
    return shortest if all(other.startswith(stem) for other in near) else None


@functools.cache
def _meant() -> frozenset[str]:
    """Return the words that somebody may have meant."""
    phrases = {word for phrase in PHRASES for word in words_of(phrase)}
    every = spoken() | {*WORDS, *phrases} | SAID_OF_PARTS | PARTS | THINGS | _ASKING
    return frozenset(word for word in every if word.isalpha())


def _is_a_slip(word: str, meant: str) -> bool:
    """Whether two letters are swapped, or one is missing, too many or another one."""
    longer = len(meant) - len(word)
    same = next((k for k, (a, b) in enumerate(zip(word, meant, strict=False)) if a != b),
                min(len(word), len(meant)))  # fmt: skip
    if longer == 0:
        swapped = meant[:same] + meant[same + 1 : same + 2] + meant[same : same + 1]
        if word == swapped + meant[same + 2 :]:
            return len(meant) >= SWAPPED
        return len(meant) >= OTHER and word[same + 1 :] == meant[same + 1 :]
    if longer == 1:
        return len(meant) >= ONE_OFF and word[same:] == meant[same + 1 :]
    if longer != -1 or word[same + 1 :] != meant[same:]:
        return False
    # "wavey", "haire", "hairr": in short words only what slips in most often
    extra = word[same]
    usual = extra == "e" or extra == word[same - 1] or same == len(meant)
    return len(meant) >= ONE_OFF or (len(meant) == ONE_OFF - 1 and usual and extra != "s")
