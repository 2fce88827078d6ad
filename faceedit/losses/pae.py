"""CLIP-PAE's target: the image's own embedding, moved only in the subspace of one characteristic.

Paper: Zhou et al., "CLIP-PAE: Projection-Augmentation Embedding to Extract Relevant Features for a
Disentangled, Interpretable, and Controllable Text-Guided Face Manipulation", SIGGRAPH 2023,
arXiv:2210.03919.
Notation (here -> paper): image -> e_I, text -> e_T, basis -> b_1..b_N, project -> P_W,
coefficients -> c_k, alpha -> the augmenting power.

A *corpus* is a list of prompts about one characteristic (hair colour, glasses, ...). Its prompts
span a subspace W of CLIP's space. The projection-augmentation embedding keeps everything of the
image's embedding that lies outside W, and inside W weakens what is there and puts as much in the
direction of the sentence:

    w = P_W(e_I),  r = e_I - w,  c_k = <w, b_k>,  d_k = <P_W(e_T), b_k>
    PAE = sum_k (c_k - alpha |c_k|) b_k + alpha (sum_k |c_k| / sum_k d_k) P_W(e_T) + r

`pae_sentence` puts it in the place of a sentence's target, so that every method that descends
CLIP's distance to `sentence.target` can use it.

Differs from the official code: it adds all of e_T where the paper adds P_W(e_T)
(`PaeSettings.added_text`), and a sum of d_k near 0 cannot blow the target up (`mass`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones.clip import Clip
from faceedit.losses.projections import (
    EmbeddedCorpus,
    Projection,
    coefficients,
    make_basis,
    project,
)
from faceedit.types import Sentence
from faceedit.words.corpora import CORPORA, Corpus
from faceedit.words.sentence import embed

logger = logging.getLogger(__name__)

IMAGE_NORM = 10.0  # length of ViT-B/32's image embeddings: what the plain form's alpha refers to
SMALLEST_MASS = 0.2  # share of sum |d_k| below which sum d_k is no measure of the text's mass
FIT = 0.35  # cosine to the nearest prompt below which no characteristic fits a sentence


# ------------------------------------------------------------------------------ corpora


_READ: WeakKeyDictionary[Clip, dict[str, EmbeddedCorpus]] = WeakKeyDictionary()


@torch.no_grad()
def read_corpora(clip: Clip, names: Sequence[str] | None = None) -> dict[str, EmbeddedCorpus]:
    """Return corpora as this CLIP sees them; each is read once, and forgotten with the CLIP.

    Args:
        clip: Reads the prompts.
        names: Which of CORPORA; None = all.
    """
    known = _READ.setdefault(clip, {})
    wanted = tuple(CORPORA) if names is None else tuple(names)
    for name in wanted:
        if name not in known:
            known[name] = embed_corpus(CORPORA[name], clip)
    return {name: known[name] for name in wanted}


def embed_corpus(corpus: Corpus, clip: Clip) -> EmbeddedCorpus:
    """Return a corpus as this CLIP sees it."""
    lists = (corpus.positive, corpus.negative, corpus.neutral)
    vectors = embed([prompt for prompts in lists for prompt in prompts], clip)
    return EmbeddedCorpus(*vectors.split([len(prompts) for prompts in lists]))


# ------------------------------------------------------------------------------ choice
_FILLERS = {"a", "an", "the", "of", "in", "on", "to", "with", "and", "is", "has", "have"}
_FILLERS |= {"wearing", "wears", "person", "face"}


def choose(prompt: str, text: Tensor, clip: Clip, fit: float = FIT) -> tuple[str, ...]:
    """Return the characteristics that a sentence is about; none where no corpus fits.

    A corpus whose own words are in the sentence is about it, so "a woman with red hair" has two.
    Where no words match, the corpus with the prompt nearest to the sentence is taken (`fitness`).

    Args:
        prompt: The sentence's words.
        text: Its unit embedding, [d].
        clip: Reads the prompts.
        fit: The least cosine.
    """
    named = tuple(name for name, corpus in CORPORA.items() if _is_named(prompt, corpus))
    if named:
        return named
    fits = fitness(text, read_corpora(clip))
    best = max(fits, key=lambda name: fits[name])
    if fits[best] >= fit:
        logger.info("the prompt %r is read as one about %s", prompt, best)
        return (best,)
    logger.warning(
        "no characteristic fits %r (the nearest is %s, at %.2f); it is edited without a subspace, "
        "so more than it says may change; characteristics: %s",
        prompt, best, fits[best], ", ".join(CORPORA),
    )  # fmt: skip
    return ()


def fitness(text: Tensor, corpora: Mapping[str, EmbeddedCorpus]) -> dict[str, float]:
    """Return each corpus's largest cosine to a text [d], seen from the mean neutral prompt."""
    centre = torch.cat([corpus.neutral for corpus in corpora.values()]).mean(dim=0).to(text)
    seen = F.normalize(text - centre, dim=-1)
    return {
        name: (F.normalize(corpus.prompts.to(text) - centre, dim=-1) @ seen).max().item()
        for name, corpus in corpora.items()
    }


def _is_named(prompt: str, corpus: Corpus) -> bool:
    """Return whether all words of one of the corpus's prompts are in the sentence."""
    said = _words(prompt)
    return any(words <= said for words in map(_words, corpus.prompts) if words)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+(?:[-'][^\W_]+)*", text.lower())) - _FILLERS


# ------------------------------------------------------------------------------ projections


# ------------------------------------------------------------------------------ augmentation
def augment(
    image: Tensor, basis: Tensor, alpha: float, along: Tensor, text_mass: Tensor | float
) -> Tensor:
    """Return the projection-augmentation embedding, [n, d]: the paper's form.

    e_I - alpha sum_k |c_k| b_k + alpha (sum_k |c_k| / text_mass) along: what the subspace holds is
    weakened, and comes back in the sentence's direction. What lies outside W stays. It is not the
    same for b_k and -b_k, so it is meant for bases whose rows stand for prompts.

    Args:
        image: e_I, [n, d] of any length; the result scales with it.
        basis: [k, d].
        alpha: The augmenting power; 0 gives the image back, about 1 to 4 edits.
        along: The direction that receives, [n, d] or [1, d]: P_W(e_T) in the paper.
        text_mass: sum_k d_k, [n] or [1], see `mass`; a number for all.
    """
    size = coefficients(image, basis).abs()
    received = (size.sum(dim=-1) / text_mass)[:, None] * along
    return image + alpha * (received - size @ basis)


def augment_axes(image: Tensor, basis: Tensor, alpha: float, along: Tensor, text: Tensor) -> Tensor:
    """Return the same for principal axes, [n, d], which have no side of their own.

    Each axis is turned to the image's side (c_k >= 0), which makes the formula
    r + (1 - alpha) w + alpha (sum_k |c_k| / sum_k |d_k|) along: a power of 1 puts the sentence in
    the place of what was there, a larger one goes on in the same direction.

    Args:
        image: As in `augment`, and so are `basis`, `alpha` and `along`.
        basis: See there.
        alpha: See there.
        along: See there.
        text: e_T, [n, d] or [1, d].
    """
    inside = coefficients(image, basis)
    text_mass = coefficients(text, basis).abs().sum(dim=-1).clamp(min=1e-8)
    received = (inside.abs().sum(dim=-1) / text_mass)[:, None] * along
    return image + alpha * (received - inside @ basis)


def mass(text: Tensor, basis: Tensor) -> Tensor:
    """Return sum_k d_k of texts [n, d], or sum_k |d_k| where their signs nearly cancel; [n]."""
    parts = coefficients(text, basis)
    total, size = parts.sum(dim=-1), parts.abs().sum(dim=-1)
    return torch.where(total < SMALLEST_MASS * size, size, total).clamp(min=1e-8)


# ------------------------------------------------------------------------------ the target
@dataclass(frozen=True)
class PaeSettings:
    """How a sentence's target is made."""

    projection: Projection = Projection.SPAN
    alpha: float = 2.0  # augmenting power; the paper's control of the strength
    normalize_text_direction: bool = (
        False  # CONTRAST: alpha is the length of what is added, see `pae_target`
    )
    alpha_plain: float = 8.0  # where there is no subspace; in units of e_T beside IMAGE_NORM e_I
    components: int = 10  # rows of a PCA or contrast basis, at most
    characteristics: tuple[str, ...] | None = None  # names in CORPORA; None = chosen by `choose`
    added_text: Literal["projected", "full"] = (
        "projected"  # what is added: P_W(e_T), or e_T as the code
    )

    @classmethod
    def of(cls, config: Any) -> Self:
        """Return the settings that a method's config holds under the same names."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: getattr(config, name) for name in names if hasattr(config, name)})

    def __post_init__(self) -> None:
        """Accept a projection's name, and refuse characteristics that do not exist."""
        object.__setattr__(self, "projection", Projection(self.projection))
        unknown = sorted(set(self.characteristics or ()) - set(CORPORA))
        if unknown:
            raise ValueError(f"no corpus for {unknown}; choose from {sorted(CORPORA)}")


def pae_sentence(
    sentence: Sentence,
    image: Tensor,
    clip: Clip,
    settings: PaeSettings | None = None,
    bases: Sequence[Tensor | None] | None = None,
) -> Sentence:
    """Return the sentence with the projection-augmentation embedding as what is to be reached.

    Its `neutral_embedding` becomes the images' own embedding, so that methods which follow the
    difference of the two move inside the subspace only.

    Args:
        sentence: Embeddings of one text, or of one for each image.
        image: The images before the edit, [n, 3, h, w], RGB in [-1, 1].
        clip: The CLIP of the sentence.
        settings: The defaults if None.
        bases: What `sentence_bases` returns, if it has been asked already.
    """
    settings = settings or PaeSettings()
    if not len(image):
        none = sentence.target[:0]
        return replace(sentence, prompt=(), target=none, neutral_embedding=none)
    with torch.no_grad():
        seen = clip.encode_image(image)
    n = max(len(seen), len(sentence.target))
    seen, text = seen.expand(n, -1), sentence.target.expand(n, -1)
    bases = bases or sentence_bases(sentence, clip, settings)
    neutral = sentence.neutral_embedding.expand(n, -1)
    rows = []
    for i in range(n):
        one = slice(i, i + 1)
        basis = bases[i % len(bases)]
        rows.append(pae_target(seen[one], text[one], neutral[one], basis, settings))
    prompts = tuple(sentence.prompt[i % len(sentence.prompt)] for i in range(n))
    return replace(sentence, prompt=prompts, target=torch.cat(rows), neutral_embedding=seen)


def pae_target(
    image: Tensor, text: Tensor, neutral: Tensor, basis: Tensor | None, settings: PaeSettings
) -> Tensor:
    """Return unit targets [n, d] for unit embeddings of images and texts.

    Without a basis it is e_I + alpha e_T, the plain form of the official code. A contrast basis
    holds differences of texts, so there it is e_I + alpha P_W(e_T - e_neutral). How long that
    difference is says how far apart a CLIP holds two texts and nothing about faces: ours holds "an
    old face" two fifths as far from "a face" as sunglasses. `normalize_text_direction` makes its
    length 1.

    Args:
        image: e_I, [n, d].
        text: e_T, [n, d].
        neutral: What the photo shows already, [n, d]; for CONTRAST.
        basis: [k, d], orthonormal, or None.
        settings: How.
    """
    if basis is None:
        return F.normalize(IMAGE_NORM * image + settings.alpha_plain * text, dim=-1)
    basis, alpha = basis.to(image), settings.alpha
    if settings.projection is Projection.CONTRAST:
        push = project(text - neutral, basis)
        push = F.normalize(push, dim=-1) if settings.normalize_text_direction else push
        return F.normalize(image + alpha * push, dim=-1)
    along = text if settings.added_text == "full" else project(text, basis)
    if settings.projection in (Projection.SPAN, Projection.PCA):
        return F.normalize(augment_axes(image, basis, alpha, along, text), dim=-1)
    return F.normalize(augment(image, basis, alpha, along, mass(text, basis)), dim=-1)


def sentence_characteristics(
    sentence: Sentence, clip: Clip, settings: PaeSettings
) -> list[tuple[str, ...]]:
    """Return the characteristics that each of a sentence's prompts is about."""
    return [
        settings.characteristics or choose(prompt, text, clip)
        for prompt, text in zip(sentence.prompt, sentence.target, strict=False)
    ]


def sentence_bases(
    sentence: Sentence,
    clip: Clip,
    settings: PaeSettings,
    characteristics: Sequence[tuple[str, ...]] | None = None,
) -> list[Tensor | None]:
    """Return the basis that goes with each of a sentence's prompts; None = there is no subspace.

    Args:
        sentence: What is asked for.
        clip: Reads the corpora.
        settings: How a basis is made.
        characteristics: What `sentence_characteristics` returns, if it has been asked already.
    """
    if settings.projection is Projection.NONE:
        return [None]
    made: dict[tuple[str, ...], Tensor | None] = {(): None}
    bases = []
    for names in characteristics or sentence_characteristics(sentence, clip, settings):
        if names not in made:
            corpora = list(read_corpora(clip, names).values())
            made[names] = make_basis(corpora, settings.projection, settings.components)
        bases.append(made[names])
    return bases


# ------------------------------------------------------------------------------ constraints
def consistency_distance(edited: Tensor, source: Tensor, bases: Sequence[Tensor | None]) -> Tensor:
    """Return how far edits changed what has nothing to do with the sentence; a scalar in [0, 2].

    1 - cos of what lies outside W, before and after.

    Args:
        edited: Unit image embeddings after the edit, [n, d].
        source: Before it, [n, d].
        bases: A basis for each image, or one for all; None = all of the space counts as outside.
    """
    after, before = outside(edited, bases), outside(source, bases)
    return 1 - F.cosine_similarity(after, before, dim=-1).mean()


def diversity_penalty(edited: Tensor, bases: Sequence[Tensor | None]) -> Tensor:
    """Return how alike variations of one face are outside W: their mean pairwise cosine, a scalar.

    Args:
        edited: Unit embeddings of two or more variations, [n, d].
        bases: As in `consistency_distance`.

    Raises:
        ValueError: If there is only one.
    """
    n = len(edited)
    if n < 2:
        raise ValueError("diversity needs two or more variations of a face")
    rest = F.normalize(outside(edited, bases), dim=-1)
    return ((rest @ rest.T).sum() - n) / (n * (n - 1))


def outside(vectors: Tensor, bases: Sequence[Tensor | None]) -> Tensor:
    """Return what of each vector lies outside its subspace, [n, d]."""
    rows = []
    for i, vector in enumerate(vectors):
        basis = bases[i % len(bases)]
        rows.append(vector if basis is None else vector - project(vector, basis.to(vector)))
    return torch.stack(rows) if rows else vectors
