"""Which words a CLIP has read as words: its tokenizer spells all others in pieces."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from faceedit.words.everyday import words_of
from faceedit.words.lexicon import word_set
from faceedit.words.statements import WORDINGS

if TYPE_CHECKING:
    from faceedit.backbones.clip import Clip

__all__ = ["GRAMMAR", "SHORT", "knows", "says_nothing", "spoken"]

SHORT = 2  # letters; such tokens are pieces of words as often as words


def knows(word: str, clip: Clip) -> bool:
    """Whether a word, or each part of one with hyphens, means something to a CLIP."""
    return all(_knows_part(part, clip) for part in re.split(r"['-]", word) if part)


def _knows_part(part: str, clip: Clip) -> bool:
    if part in spoken():
        return True
    tokenizer = clip.tokenizer
    if len(part) <= SHORT or part in FRAGMENTS or tokenizer is None:
        return False
    return tokenizer.has_word(part)


def says_nothing(text: str) -> bool:
    """Whether a sentence has no word that could say anything of a face."""
    return not set(words_of(text)) - GRAMMAR


@functools.cache
def spoken() -> frozenset[str]:
    """Return the words of all statements that this package makes itself."""
    words = {part for _, text in WORDINGS for w in words_of(text) for part in w.split("-")}
    return frozenset(words | GRAMMAR | CAPTIONS)


# Words between those that say something, and short ones that a tokenizer may spell.
GRAMMAR = word_set(
    "a an and are as at be but by for from has have he her him his i in is it its like me more "
    "most much my no not of off on one or our she so some than that the their them they this to "
    "too up very was we wear wearing wears who with without you your all any both each just only "
    "out over really slightly bit little lot person people someone face s t looks look made "
    "photo picture portrait image human head somebody anybody"
)
# Ends of captions' words that a tokenizer has whole and that are words, too: "loo-king".
FRAGMENTS = word_set(
    "ack den der fore ground hawk king led les lids nut ore rise shed shy son stick ties ting ling "
    "ring ground line sed ted ver ven stache ger hed ied ies ine ion king kin lar ned ning"
) - {"lids", "line", "ring"}
# Words of captions that are too rare for a small tokenizer to have whole.
CAPTIONS = word_set(
    "baseball blunt brighter brim brimmed broader button cheeked chubbier closer colder colour "
    "cropped eared fewer fine fuller happier higher hoop hoops larger lighter narrower nosed older "
    "pair paler peaked plump pointed ring rosier sadder sharp shoulder skinned slimmer smaller "
    "sports straw strong stud summer sun sunken tall tapered thinner volume waves widely"
)
