"""Edits with names, for methods that know directions but no sentences.

InterFaceGAN, GANSpace and StyleSpace find directions for what an attribute reader can tell, and
know nothing of words. Here every such edit has a key, like "smile+" or "hair_color=red", and
wordings; a sentence picks the edit whose wording changes CLIP's embedding in the most similar way.
The fits share how an edit's score is read off a face and how the best of many moves is chosen.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones import Backbones
from faceedit.backbones.attributes import AttributeHead
from faceedit.types import Sentence
from faceedit.words.lexicon import thing_absent_in
from faceedit.words.sentence import embed, wish_sequence
from faceedit.words.statements import WORDINGS as WORDINGS
from faceedit.words.statements import Wordings
from faceedit.words.wishes import wishes

logger = logging.getLogger(__name__)

FAR = 0.3  # a cosine below this says that the nearest edit is hardly what was asked for
CHUNK = 32  # faces drawn and read at once
CLEAR_SHARE = 0.3  # of the faces, at each end, that a continuous attribute plainly holds for or not
LEAST_SHARE = 0.02  # of the faces that count as positive for a value that is hardly ever seen
SURE = 20.0  # the log odds that a hard label stands for


def parse(key: str) -> tuple[str, str]:
    """Return an edit's attribute and what of it: "+", "-", or values joined by "|".

    Raises:
        ValueError: If it is not a key.
    """
    match = re.fullmatch(r"(\w+)(?:([+-])|=(.+))", key)
    if match is None:
        raise ValueError(f"{key!r} names no edit; write 'smile+', 'smile-' or 'hair_color=red'")
    return match[1], match[2] or match[3]


def readable(wordings: Wordings, heads: Sequence[AttributeHead]) -> Wordings:
    """Return the wordings whose attribute and values are all among these heads.

    Raises:
        ValueError: If none is left.
    """
    known = {head.name: head for head in heads}

    def is_known(key: str) -> bool:
        name, what = parse(key)
        if name not in known:
            return False
        if what in "+-":
            return not known[name].values and not known[name].circular
        return set(what.split("|")) <= set(known[name].values)

    left = tuple((key, text) for key, text in wordings if is_known(key))
    if not left:
        raise ValueError(f"none of the named edits can be read; the heads are {sorted(known)}")
    return left


def sizes(method: str, backbones: Backbones) -> dict[str, int]:
    """Return the sizes that codes in w and CLIP give to a method of named edits."""
    return {
        "w_dim": backbones.require("generator", method).config.w_dim,
        "embed_dim": backbones.require("clip", method).embed_dim,
    }


def known(method: str, backbones: Backbones, wordings: Wordings | None = None) -> Wordings:
    """Return those of the wordings that the base's attribute reader can judge; None = WORDINGS.

    Without a reader, wordings that are given are all taken: scores come from elsewhere then.
    """
    if backbones.attributes is None and wordings is not None:
        return tuple((key, text) for key, text in wordings)
    reader = backbones.require("attributes", method)
    return readable(wordings or WORDINGS, reader.config.heads)


def one_edit_per_wish(
    code: Tensor,
    sentence: Sentence,
    clip: Any,
    names: EditNames,
    step: Callable[[Tensor, Sentence, Tensor], Tensor],
) -> Tensor:
    """Return codes [n, num_ws, w_dim] after one named edit per wish, one after the other.

    Args:
        code: Before.
        sentence: One for all faces or one a face.
        clip: Reads the wishes.
        names: The edits that the method knows.
        step: How far one wish moves the codes that the ones before have made; its third argument
            is the wish's sign, [n, 1, 1].
    """
    for wish, sign in named_wishes(sentence, names, clip):
        sign = sign.to(code)
        code = code + (sign != 0) * step(code, wish, sign)
    return code


def named_wishes(sentence: Sentence, names: EditNames, clip: Any) -> list[tuple[Sentence, Tensor]]:
    """Return what a sentence asks for, part after part, see `wish_sequence`.

    "No moustache" has no edit of its own, and the nearest name is about something else. Then the
    moustache is taken back.
    """

    def instead(part: str) -> list[tuple[str, float]] | None:
        thing = thing_absent_in(part)
        if thing is None:
            return None
        own, others = names.attributes_near((part, thing), sentence, clip)
        return None if own == others else [(thing, -1.0)]

    return wish_sequence(sentence, wishes, clip, instead=instead)


class EditNames(nn.Module):
    """The edits that a method knows by name, and CLIP's view of their wordings."""

    embeddings: Tensor  # [wordings, d], unit length
    owner: Tensor  # [wordings], the index in `keys` of each wording's edit

    def __init__(self, wordings: Wordings, embed_dim: int) -> None:
        super().__init__()
        self.sentences = tuple(sentence for _, sentence in wordings)
        self.keys = tuple(dict.fromkeys(key for key, _ in wordings))
        self.attributes = tuple(parse(key)[0] for key in self.keys)
        owner = torch.tensor([self.keys.index(key) for key, _ in wordings], dtype=torch.long)
        self.register_buffer("owner", owner, persistent=False)
        self.register_buffer("embeddings", torch.zeros(len(wordings), embed_dim))

    def embed(self, clip: Any) -> None:
        """Fill the embeddings, each the mean over the same frames as a user's sentence."""
        self.embeddings.copy_(embed(self.sentences, clip))

    def nearest(self, sentence: Sentence) -> Tensor:
        """Return which edit each sentence asks for, [n] indices into `keys`.

        Both are compared as changes from what the photo shows: the cosine of target - neutral and
        wording - neutral. A wording that says the same as the neutral sentence is not a change.
        """
        neutral = sentence.neutral_embedding.to(self.embeddings)
        delta_t = F.normalize(sentence.target.to(neutral) - neutral, dim=-1)  # [n, d]
        changes = F.normalize(self.embeddings - neutral[:, None], dim=-1)  # [n, wordings, d]
        likeness, best = torch.einsum("nd,nmd->nm", delta_t, changes).max(dim=1)
        chosen = self.owner[best]
        for prompt, cosine, index in zip(
            sentence.prompt, likeness.tolist(), chosen.tolist(), strict=True
        ):
            importance = logging.INFO if cosine >= FAR else logging.WARNING
            logger.log(importance, "%r: the nearest is %s (%.2f)", prompt, self.keys[index], cosine)
        return chosen

    def attributes_near(
        self, texts: Sequence[str], sentence: Sentence, clip: Any
    ) -> tuple[str, ...]:
        """Return the attribute of the edit that each text is nearest to."""
        neutral = sentence.neutral_embedding[:1].to(self.embeddings)
        wanted = F.normalize(embed(texts, clip).to(neutral) - neutral, dim=-1)
        changes = F.normalize(self.embeddings - neutral, dim=-1)
        best = self.owner[(wanted @ changes.T).argmax(dim=1)]
        return tuple(self.attributes[index] for index in best.tolist())

    def scores(self, heads: Sequence[AttributeHead], answers: Mapping[str, Tensor]) -> Tensor:
        """Return how much each edit's attribute holds, [n, keys].

        A number in its unit, with the other sign for a "-" edit; the log odds of a value or of
        several together.

        Args:
            heads: What the reader reads.
            answers: What it said: values [n], logits [n, values] of categorical attributes.
        """
        values = {head.name: head.values for head in heads}
        columns = []
        for key in self.keys:
            name, what = parse(key)
            answer = answers[name].float()
            if what in "+-":
                columns.append(answer if what == "+" else -answer)
                continue
            inside = torch.tensor([v in what.split("|") for v in values[name]]).to(answer.device)
            columns.append(_log_odds(answer, inside))
        return torch.stack(columns, dim=1)

    @torch.no_grad()
    def read(self, images: Tensor, reader: Any) -> Tensor:
        """Return the scores of images, [n, keys]."""
        return self.scores(reader.config.heads, reader(images))

    @torch.no_grad()
    def read_latents(self, w_plus: Tensor, backbones: Backbones) -> Tensor:
        """Return the scores of the faces of w_plus codes, [n, keys], drawn some at a time."""
        parts = [
            self.read(backbones.generator(codes), backbones.attributes)
            for codes in w_plus.split(CHUNK)
        ]
        return torch.cat(parts)

    def read_labels(self, labels: Tensor, heads: Sequence[AttributeHead]) -> Tensor:
        """Return the scores of hard labels, [n, keys].

        Args:
            labels: [n, heads], a column a head: its value, or the index of its value.
            heads: What the labels say, in order.

        Raises:
            ValueError: If there is not one column a head.
        """
        if labels.ndim != 2 or labels.shape[1] != len(heads):
            raise ValueError(f"labels have shape {tuple(labels.shape)}, not [n, {len(heads)}]")
        answers = {}
        for head, column in zip(heads, labels.float().unbind(1), strict=True):
            sure = F.one_hot(column.round().long(), len(head.values)) if head.values else None
            answers[head.name] = column if sure is None else SURE * sure.float()
        return self.scores(heads, answers)

    def classes(self, scores: Tensor) -> Tensor:
        """Return whom an edit plainly holds for: 1, for whom not: -1, and 0 between, [n, keys].

        The ends of a number; of a value those that show it against the rest, where a value that
        hardly anybody shows holds for the likeliest few.
        """
        n = len(scores)
        ranks = scores.argsort(dim=0, descending=True, stable=True).argsort(dim=0)
        labels = torch.zeros_like(scores)
        for index, key in enumerate(self.keys):
            if parse(key)[1] in "+-":
                positive = negative = max(1, int(CLEAR_SHARE * n))
            else:
                shown = int((scores[:, index] > 0).sum())
                positive = min(max(shown, int(LEAST_SHARE * n), 1), n // 2)
                negative = n - positive
            labels[:, index] -= (ranks[:, index] >= n - negative).float()
            labels[:, index] += (ranks[:, index] < positive).float()
        return labels


def _log_odds(logits: Tensor, inside: Tensor) -> Tensor:
    """Return log p / (1 - p) of some values together, [n], from logits [n, values]."""
    inner = logits.masked_fill(~inside, -torch.inf).logsumexp(dim=1)
    outer = logits.masked_fill(inside, -torch.inf).logsumexp(dim=1)
    return (inner - outer).clamp(-SURE, SURE)


def gaps(scores: Tensor, classes: Tensor) -> Tensor:
    """Return how far above the mean face those lie whom an edit holds for, [keys], in its score."""
    holds = (classes > 0).float()
    return (scores * holds).sum(0) / holds.sum(0).clamp(min=1) - scores.mean(0)


@torch.no_grad()
def measure(
    draw: Callable[[int, float], Tensor], moves: int, amplitude: float, read: Callable
) -> Tensor:
    """Return what moves do to scores, [moves, keys] a unit of the move, by central differences.

    Args:
        draw: Images of some faces for a move and how far they are moved, of either sign.
        moves: How many there are.
        amplitude: How far to move.
        read: Scores [n, keys] of images.
    """
    rows = []
    for move in range(moves):
        high, low = (read(draw(move, sign * amplitude)).mean(dim=0) for sign in (1, -1))
        rows.append((high - low) / (2 * amplitude))
        if move % 100 == 0:
            logger.info("measured %d of %d moves", move + 1, moves)
    return torch.stack(rows)


def choose(
    effects: Tensor, wanted: Tensor, attributes: Sequence[str], limit: float, keep: int = 1
) -> tuple[Tensor, Tensor]:
    """Return the best moves for every edit, and how far to go.

    A move is good for an edit if it changes that attribute more than all others together, and
    changes it enough within the limit: own / (own + others) with squared effects, times the share
    of what is wanted that it reaches.

    Args:
        effects: [moves, keys], in deviations of each score, a unit of the move.
        wanted: [keys], how many deviations the score shall rise.
        attributes: The attribute that each edit is about.
        limit: How far a move may go.
        keep: How many moves to return, the best first.

    Returns:
        Indices of moves [keys, keep], and signed lengths [keys, keep] within the limit.
    """
    names = list(dict.fromkeys(attributes))
    group = torch.tensor([names.index(name) for name in attributes], device=effects.device)
    own = effects.square()
    energy = torch.stack([own[:, group == i].amax(1) for i in range(len(names))], dim=1)
    others = energy.sum(1, keepdim=True) - energy[:, group]
    reached = (effects.abs() * limit / wanted.clamp(min=1e-6)).clamp(max=1)
    goodness = own / (own + others).clamp(min=1e-12) * reached
    moves = goodness.topk(keep, dim=0).indices.T  # [keys, keep]
    rise = effects.T.gather(1, moves)
    length = (wanted[:, None] / rise.abs().clamp(min=1e-9)).clamp(max=limit)
    return moves, length * torch.where(rise < 0, -1.0, 1.0)
