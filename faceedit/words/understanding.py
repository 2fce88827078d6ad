"""How well a sentence is understood, before anything is edited: nonsense edits heavily, too.

Two things tell. Words that CLIP has never read as words: its tokenizer spells them in pieces
("galsses"). And how far the sentence is from saying only that there is a face. Which known
statement comes nearest tells what a sentence was taken for, but not whether it was understood:
nonsense is about as near to one as sense is.
"""

from __future__ import annotations

import difflib
import re
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from faceedit.words.everyday import WORDS, words_of
from faceedit.words.polarity import without_negations
from faceedit.words.sentence import NEUTRAL, embed, plain, reworded
from faceedit.words.statements import WORDINGS
from faceedit.words.strangers import without
from faceedit.words.vocabulary import SHORT, knows, says_nothing, spoken

if TYPE_CHECKING:
    from faceedit.backbones.clip import Clip

__all__ = ["Understanding", "nearest_statement", "understand"]

LEAST_CHANGE = 0.002  # 1 - cosine of a sentence and the neutral one; it asks for nothing below
CLOSE = 0.78  # difflib's ratio from which on one word may be another misspelt


@dataclass(frozen=True)
class Understanding:
    """What is made of a sentence.

    Attributes:
        prompt: As it was given.
        plain: What CLIP is given instead: negations as opposites, unknown words as known ones.
        unknown: Words that mean nothing to CLIP.
        suggestion: The sentence as it may have been meant, or None.
        change: 1 - cosine of the sentence and the neutral one, how much it asks for at all.
        left_out: Unknown words that only describe what is known, see `faceedit.words.strangers`.
        read_as: Words with a slip, and as what they are read, see `faceedit.words.spelling`.
    """

    prompt: str
    plain: str
    unknown: tuple[str, ...]
    suggestion: str | None
    change: float
    left_out: tuple[str, ...] = ()
    read_as: tuple[tuple[str, str], ...] = ()

    @property
    def understood(self) -> bool:
        """Whether there is no reason to warn."""
        return not self.unknown and self.change >= LEAST_CHANGE

    @property
    def warning(self) -> str | None:
        """What to tell the user, on one line; None where all is understood."""
        if self.understood:
            return None
        if not self.unknown:
            return f"{self.prompt!r} asks for nothing that a face could change"
        verb = "means" if len(self.unknown) == 1 else "mean"
        hint = f"; did you mean: {self.suggestion}?" if self.suggestion else ""
        words = _listed(self.unknown)
        return f"{words} {verb} nothing to this model, so the edit may be about anything{hint}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to tell the user although all else is understood, on one line if anything."""
        slips = tuple(f"'{word}' is read as '{meant}'" for word, meant in self.read_as)
        if not self.left_out:
            return slips
        one = len(self.left_out) == 1
        verbs = ("means", "is") if one else ("mean", "are")
        words = _listed(self.left_out)
        return (*slips, f"{words} {verbs[0]} nothing to this model and {verbs[1]} left out")


def understand(prompt: str, clip: Clip, neutral: str = NEUTRAL) -> Understanding:
    """Measure how well a sentence is understood.

    Args:
        prompt: What is wanted.
        clip: Who reads it.
        neutral: What the photo shows already.
    """
    found = reworded(prompt, clip)
    said = without(found.left_out, found.said)
    unknown = tuple(dict.fromkeys(word for word in words_of(said) if not knows(word, clip)))
    if re.search(r"\d", said) and says_nothing(said):  # numbers
        unknown = (said,)
    suggestion = _suggestion(said, unknown) if unknown else None
    change = 0.0
    if not says_nothing(said):
        wanted, shown = embed([said, neutral], clip)
        change = 1 - float(wanted @ shown)
    return Understanding(prompt, said, unknown, suggestion, change, found.left_out, found.read_as)


def nearest_statement(prompt: str, clip: Clip, neutral: str = NEUTRAL) -> tuple[str, str, float]:
    """Return the known statement whose change is most alike: its key, its wording, the cosine."""
    vectors = embed([plain(prompt, clip), neutral], clip)
    likeness = (_changes(vectors[:1], vectors[1:]) @ _known(clip, neutral).T)[0]
    best = int(likeness.argmax())
    return *WORDINGS[best], float(likeness[best])


_known_changes: weakref.WeakKeyDictionary[Clip, dict[str, Tensor]] = weakref.WeakKeyDictionary()


def _known(clip: Clip, neutral: str) -> Tensor:
    """Return what every known statement changes, [statements, d], found once for each CLIP."""
    found = _known_changes.setdefault(clip, {})
    if neutral not in found:
        vectors = embed([*(text for _, text in WORDINGS), neutral], clip)
        found[neutral] = _changes(vectors[:-1], vectors[-1:])
    return found[neutral]


def _changes(vectors: Tensor, neutral: Tensor) -> Tensor:
    return F.normalize(vectors - neutral, dim=-1)


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _suggestion(said: str, unknown: tuple[str, ...]) -> str | None:
    """Return the sentence with its unknown words as they may have been meant."""
    known = sorted(word for word in {*spoken(), *WORDS} if len(word) > SHORT)
    meant = said
    for word in unknown:
        close = difflib.get_close_matches(word, known, n=1, cutoff=CLOSE)
        if not close:
            return None
        meant = re.sub(rf"\b{re.escape(word)}\b", close[0], meant)
    return without_negations(meant)
