"""Words -> Sentence: what is wanted and what is there, as CLIP sees them."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.errors import PromptError
from faceedit.types import Sentence
from faceedit.words.everyday import in_plain_words
from faceedit.words.frames import frames_of, has_read_the_web
from faceedit.words.lexicon import other_end_of, thing_absent_in
from faceedit.words.polarity import denies, turned, without_negations
from faceedit.words.spelling import mended
from faceedit.words.strangers import strangers, without
from faceedit.words.vocabulary import knows

if TYPE_CHECKING:
    from faceedit.backbones.clip import Clip

logger = logging.getLogger(__name__)

NEUTRAL = "a face"
REMEMBERED = 512  # sentences that were read, of each CLIP
_READ: WeakKeyDictionary[Any, dict[tuple[str, tuple[str, ...]], Tensor]] = WeakKeyDictionary()
LETTERS = ("L", "N")  # Unicode categories that words are made of


def read(
    prompt: str | Sequence[str],
    neutral: str,
    clip: Clip,
    templates: Sequence[str] | None = None,
) -> Sentence:
    """Turn words into what methods work with.

    Args:
        prompt: What is wanted; one sentence, or one for each image of a batch.
        neutral: What the photo shows already, like "a face".
        clip: Reads the words.
        templates: Frames with one "{}" each, over which an embedding is averaged; None takes those
            of this CLIP, see `faceedit.words.frames`.

    Returns:
        The sentence; both embeddings are [n, embed_dim] of unit length, n the number of prompts.

    Raises:
        PromptError: If there are no words in one of the sentences.
    """
    prompts = (prompt,) if isinstance(prompt, str) else tuple(prompt)
    wanted = tuple(plain(text, clip) for text in prompts)
    shown = clean(neutral, "neutral sentence")
    vectors = embed((*wanted, shown), clip, templates)
    there = vectors[-1:].expand(len(wanted), -1).contiguous()
    if has_read_the_web(clip) and any(map(denies, prompts)):
        # The way leads from what is to go: "a face with a beard" -> "a clean-shaven face".
        there = embed([turned(clean(text), shown)[1] for text in prompts], clip, templates)
    return Sentence(wanted, shown, vectors[:-1], there)


def plain(prompt: str, clip: Clip) -> str:
    """Return a sentence as CLIP and the methods get it.

    What is denied is said as its opposite, and words that CLIP has never read are said in others,
    or left out where they describe what it knows; a sentence without either stays as it is. A CLIP
    that has read the web gets the words of the user, as in the papers, but for what is denied.

    Raises:
        PromptError: If there are no words in it.
    """
    found = reworded(prompt, clip)
    return without(found.left_out, found.said)


@dataclass(frozen=True)
class Reworded:
    """A sentence in words that CLIP knows, as far as there are any.

    Attributes:
        said: The sentence.
        left_out: Words of it that are to be left out, see `faceedit.words.strangers`.
        read_as: Words with a slip, and what was read, see `faceedit.words.spelling`.
    """

    said: str
    left_out: tuple[str, ...] = ()
    read_as: tuple[tuple[str, str], ...] = ()


def reworded(prompt: str, clip: Clip) -> Reworded:
    """Return a sentence in words that CLIP knows, as far as there are any, and what to leave out.

    Raises:
        PromptError: If there are no words in it.
    """
    if has_read_the_web(clip):
        return Reworded(turned(clean(prompt), NEUTRAL)[0])

    def known(word: str) -> bool:
        return knows(word, clip)

    text, read_as = mended(clean(prompt), known)
    said = in_plain_words(without_negations(text), known)
    return Reworded(said, tuple(strangers(said, known)), read_as)


@torch.no_grad()
def embed(texts: Sequence[str], clip: Clip, templates: Sequence[str] | None = None) -> Tensor:
    """Return unit embeddings [n, embed_dim], each the mean over the templates; see `read`."""
    frames = tuple(frames_of(clip) if templates is None else templates)
    if not texts or not has_read_the_web(clip):
        return _embedded(texts, clip, frames)
    # 79 frames a sentence cost seconds; a CLIP of the web is never trained here.
    known = _READ.setdefault(clip, {})
    if len(known) > REMEMBERED:
        known.clear()
    new = [text for text in dict.fromkeys(texts) if (text, frames) not in known]
    if new:
        rows = _embedded(new, clip, frames)
        known.update({(text, frames): row for text, row in zip(new, rows, strict=True)})
    place = clip.model.logit_scale.device
    return torch.stack([known[text, frames].to(place) for text in texts])


def _embedded(texts: Sequence[str], clip: Clip, templates: Sequence[str]) -> Tensor:
    """Return unit embeddings, read now."""
    return F.normalize(clip.encode_framed(texts, templates).mean(dim=1), dim=-1)


def wish_sequence(
    sentence: Sentence,
    split: Callable[[str], list[str]],
    clip: Clip,
    *,
    take_back: bool = False,
    instead: Callable[[str], Sequence[tuple[str, float]] | None] = lambda part: None,
) -> list[tuple[Sentence, Tensor]]:
    """Return what a sentence asks for, part after part.

    Args:
        sentence: Of n prompts.
        split: Takes a prompt apart, see `faceedit.words.wishes`.
        clip: Reads the parts.
        take_back: Whether what is said to be absent is also asked for with the other sign, for
            methods that bring a hat better than they take one off.
        instead: Says for a part what is asked for in its place, and how much; below 0 that is to
            be taken back. None leaves the part as it is.

    Returns:
        The prompts' next parts as a sentence of n, and 1 where there is one, -1 where it is to be
        taken back (or what `instead` says), else 0, [n, 1, 1]. A prompt of one part is read as it
        was embedded for it.
    """
    whole: list[list[str]] = [split(prompt) for prompt in sentence.prompt]
    asked = [[p for part in row for p in instead(part) or [(part, 1.0)]] for row in whole]
    if take_back:
        for row, said in zip(whole, asked, strict=True):
            said += [(thing, -1.0) for part in row if (thing := thing_absent_in(part))]
    parts = [[part for part, _ in said] for said in asked]
    signs = [[sign for _, sign in said] for said in asked]
    turns = []
    for turn in range(max((len(row) for row in parts), default=1)):
        now = torch.tensor([row[turn] if turn < len(row) else 0.0 for row in signs] or [1.0])
        target = sentence.target
        rows = [
            k
            for k, row in enumerate(parts)
            if turn < len(row) and (len(row) > 1 or row != whole[k])
        ]
        if rows:
            read_now = embed([parts[k][turn] for k in rows], clip).to(target)
            target = target.index_copy(0, torch.tensor(rows, device=target.device), read_now)
        turns.append((replace(sentence, target=target), now.to(target)[:, None, None]))
    return turns


def turned_round(
    sentence: Sentence, split: Callable[[str], list[str]], clip: Clip
) -> Sentence | None:
    """Return a sentence that asks for the other end of all it says; None where there is none."""
    turned = []
    for prompt in sentence.prompt:
        ends = [other_end_of(wish) for wish in split(prompt)]
        if not ends or None in ends:
            return None
        turned.append(", ".join(end for end in ends if end))
    target = embed(turned, clip).to(sentence.target) if turned else sentence.target
    return replace(sentence, prompt=tuple(turned), target=target) if turned else None


def clean(text: str, what: str = "prompt") -> str:
    """Return a sentence as CLIP should read it: words and punctuation, single spaces.

    Emoji and other pictures are no words to CLIP, so they are left out and a warning says so.

    Raises:
        PromptError: If nothing readable is left.
    """
    plain = unicodedata.normalize("NFKC", text)
    kept = "".join(letter if _readable(letter) else " " for letter in plain)
    left_out = sorted({c for c in plain if unicodedata.category(c) in ("So", "Cn", "Co")})
    words = re.sub(r"\s+", " ", kept).strip()
    if not any(unicodedata.category(letter).startswith(LETTERS) for letter in words):
        raise PromptError(
            f"the {what} contains no words; describe the face you want, like 'red hair'"
        )
    if left_out:
        logger.warning("the %s is read without %s, which CLIP does not know", what, left_out)
    return words


def _readable(letter: str) -> bool:
    """Return whether a character is a letter, a digit, a mark on one, punctuation or space."""
    category = unicodedata.category(letter)
    return category[0] in "LNPZ" or category in ("Mn", "Mc", "Sm", "Sc", "Sk")
