"""How good a CLIP of the world is: retrieval among captions, and zero-shot answers."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from faceedit.backbones.clip import Clip
from faceedit.world.captions import (
    FALSE,
    STATEMENTS,
    TRUE,
    Caption,
    Split,
    compose,
    find,
    questions,
    value_prompts,
)
from training.tasks.clip_losses import pair_truth, said_matrix

RECALL_PAIRS = 100  # pictures and captions in one retrieval round
RECALL_ROUNDS = 20


def distinct_pairs(
    known: Tensor, written: Sequence[Caption], count: int, rng: random.Random
) -> list[int]:
    """Choose pairs of which no caption is true of another's picture.

    Args:
        known: What is true of each picture, [n, S] int8.
        written: One caption a picture.
        count: How many pairs are wanted; fewer are returned where there are no more.
        rng: Decides the order in which they are tried.
    """
    _, false = pair_truth(known, said_matrix(written))
    apart = false & false.T
    chosen: list[int] = []
    for i in rng.sample(range(len(written)), len(written)):
        if len(chosen) < count and bool(apart[i, chosen].all()):
            chosen.append(i)
    return chosen


def recall_at_1(clip: Clip, image: Tensor, known: Tensor, split: Split) -> float:
    """Return how often the picture nearest to a caption is its own, among 100 distinct pairs.

    Args:
        clip: The CLIP.
        image: Embeddings of n pictures, [n, d].
        known: What is true of them, [n, S] int8.
        split: Which wordings the captions use; they make five statements each.
    """
    hits, total = 0, 0
    for seed in range(RECALL_ROUNDS):
        rng = random.Random(seed)
        sayable = [[s for s, t in enumerate(row) if t == TRUE] for row in known.tolist()]
        written = [compose(row, rng, 5, split) for row in sayable]
        chosen = distinct_pairs(known, written, RECALL_PAIRS, rng)
        text = clip.encode_text([written[i].text for i in chosen]).to(image)
        nearest = (text @ image[chosen].T).argmax(dim=1)
        hits += int((nearest == torch.arange(len(chosen))).sum())
        total += len(chosen)
    return hits / max(total, 1)


def zero_shot(clip: Clip, image: Tensor, known: Tensor, split: Split) -> dict[str, float]:
    """Return the balanced accuracy of answering each question with the nearest wording.

    Every round gives each value a single wording, with no ensemble; the accuracies of a value's
    pictures are averaged first, then the values. A picture counts where one value is surely true.

    Args:
        clip: The CLIP.
        image: Embeddings of n pictures, [n, d].
        known: What is true of them, [n, S] int8.
        split: Which wordings to use.
    """
    scores = {}
    index = {statement.key: i for i, statement in enumerate(STATEMENTS)}
    for name, values in questions().items():
        columns = [index[find(f"{name}={value}").key] for value in values]
        answers = known[:, columns]  # [n, values]
        clear = (answers == TRUE).any(dim=1)
        wordings = [value_prompts(name, value, split) for value in values]
        correct = []
        for turn in range(max(map(len, wordings))):
            text = clip.encode_text([w[turn % len(w)] for w in wordings]).to(image)
            scored = (image @ text.T).masked_fill((answers != TRUE) & (answers != FALSE), -2)
            right = scored.argmax(dim=1) == (answers == TRUE).int().argmax(dim=1)
            for value in range(len(values)):
                asked = clear & (answers[:, value] == TRUE)
                if int(asked.sum()) >= 5:  # fewer pictures say nothing
                    correct.append(right[asked].float().mean().item())
        if correct:
            scores[name] = sum(correct) / len(correct)
    return scores
