"""What the world's CLIP is trained by: statements told, numbers read, captions that contrast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.attributes import encode
from faceedit.metrics.attributes import in_sight, region_shares
from faceedit.world import REGIONS, SPECS, sample_attributes
from faceedit.world.captions import (
    FALSE,
    STATEMENTS,
    TRUE,
    Caption,
    questions,
    truth,
)
from training.data.paint import Coat
from training.data.shards import WorldBatch
from training.tasks.attributes import CHOICES, HEADS, Balance, balanced_mean

NUMBERS = tuple(head for head in HEADS if not head.values)  # attributes that have a scale
RARE_POWER = 0.6  # weight of a number's value ~ (1 / frequency) ** this
OUT_OF_SIGHT = 0.02  # weight of a number that the picture hides


def pair_truth(known: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
    """Return which captions are true and which are surely false of which pictures.

    Args:
        known: What is true of each picture, [n, S] int8.
        said: What each caption says, [m, S], 1 or 0.

    Returns:
        Two bools [n, m]: everything said is true and in view; something said is false.
    """
    holds = (known == TRUE).float() @ said.T
    fails = (known == FALSE).float() @ said.T
    return holds >= said.sum(dim=1), fails > 0


def contrast(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Return the contrastive loss of each row against its negatives, averaged.

    For every positive pair the softmax runs over that pair and the row's negatives only, so two
    true captions of one picture do not push each other away: -log(e^p / (e^p + sum e^n)).

    Args:
        logits: [rows, columns].
        positive: [rows, columns] bool.
        negative: [rows, columns] bool.
    """
    others = logits.masked_fill(~negative, -1e4).logsumexp(dim=1, keepdim=True)  # [rows, 1]
    loss = F.softplus(others - logits).masked_fill(~positive, 0.0).sum(dim=1)
    count = positive.sum(dim=1)
    return (loss / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


def reading_loss(logits: Tensor, known: Tensor, weights: Tensor) -> Tensor:
    """Return the error of telling statements, leaving out what is unsure.

    Args:
        logits: [n, S].
        known: [n, S] int8: TRUE, FALSE or UNSURE.
        weights: [2, S], how much a false and a true one count; see `balance`.
    """
    weight = (known == FALSE) * weights[0] + (known == TRUE) * weights[1]
    target = (known == TRUE).float()
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * weight).sum() / weight.sum().clamp(min=1e-6)


@cache
def balance(people: int = 4000) -> Tensor:
    """Return weights [2, S] that make false and true weigh the same, whatever their share."""
    known = truth(sample_attributes(people, seed=0))
    shares = torch.stack([(known == FALSE).float().mean(0), (known == TRUE).float().mean(0)])
    return 0.5 / shares.clamp(min=0.02)


class Questions(nn.Module):
    """Which statements answer the same question, and what asking costs."""

    columns: Tensor  # [Q, V] indices of statements, padded with the first
    real: Tensor  # [Q, V] bool, what is not padding

    def __init__(self) -> None:
        super().__init__()
        index = {statement.key: i for i, statement in enumerate(STATEMENTS)}
        rows = [[index[f"{name}={v}"] for v in values] for name, values in questions().items()]
        longest = max(map(len, rows))
        columns = [row + row[:1] * (longest - len(row)) for row in rows]
        real = [[i < len(row) for i in range(longest)] for row in rows]
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("real", torch.tensor(real), persistent=False)

    def forward(self, logits: Tensor, known: Tensor, weights: Tensor) -> Tensor:
        """Return the cross entropy of answering every question, rare answers weighing more.

        Args:
            logits: How well each statement fits each picture, [n, S].
            known: [n, S] int8: TRUE, FALSE or UNSURE; unsure values are no choice.
            weights: [2, S], see `balance`; the second row is used.
        """
        answers = known[:, self.columns]  # [n, Q, V]
        true = (answers == TRUE) & self.real
        choice = true | ((answers == FALSE) & self.real)
        scores = logits[:, self.columns].masked_fill(~choice, -1e4).log_softmax(dim=-1)
        weight = true * weights[1][self.columns]
        return -(scores * weight).sum() / weight.sum().clamp(min=1e-6)


class Prototypes(nn.Module):
    """A direction of the joint space for every statement."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        # Short, so that a step of Adam turns them far.
        self.direction = nn.Parameter(0.05 * torch.randn(len(STATEMENTS), embed_dim))
        self.log_gain = nn.Parameter(torch.tensor(math.log(15.0)))  # from a cosine to a logit

    def read(self, image: Tensor) -> Tensor:
        """Return the logits [n, S] of every statement for unit embeddings [n, d] of pictures.

        Without a bias, so that 0 separates true from false for all of them, and the cosines of
        several statements with one picture can be compared.
        """
        return self.log_gain.exp() * image @ F.normalize(self.direction, dim=-1).T

    def meaning(self, said: Tensor) -> Tensor:
        """Return unit vectors [m, d]: where captions that say this, [m, S], should point."""
        return F.normalize(said @ F.normalize(self.direction, dim=-1), dim=-1)


class NumberHead(nn.Module):
    """Reads every number, such as the width of a nose, off the pooled token by a linear map.

    Statements call only the widest and the narrowest noses by name. That everything between has its
    number too tells the tower much sooner where a nose ends. Dropped at export.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, sum(head.outputs for head in NUMBERS))

    def forward(self, pooled: Tensor, values: Tensor, clear: Tensor) -> Tensor:
        """Return the mean over all numbers of the weighted squared error, as a share of variance.

        Args:
            pooled: [n, width].
            values: The attributes, [n, A].
            clear: How much each number counts, [n, len(NUMBERS)].
        """
        columns = dict(zip(SPECS, values.unbind(dim=1), strict=True))
        answers = self.linear(pooled).split([head.outputs for head in NUMBERS], dim=1)
        errors = []
        for head, answer, weight in zip(NUMBERS, answers, clear.unbind(dim=1), strict=True):
            error = (answer - encode(head, columns[head.name])).square().sum(dim=1)
            errors.append(balanced_mean(weight, error) / number_balance().variance[head.name])
        return torch.stack(errors).mean()


@cache
def number_balance(people: int = 4000) -> Balance:
    """Return the weights that let rare values of a number count more."""
    return Balance(sample_attributes(people, seed=0).values, RARE_POWER)


def number_weights(world: WorldBatch, coats: Sequence[Coat]) -> Tensor:
    """Return how much each number counts, [n, len(NUMBERS)]; nothing where a picture is painted."""
    columns = {name: world.attributes.column(name) for name in SPECS}
    shares = region_shares(world.segmentation, REGIONS)
    bare = torch.tensor([float(coat.weight == 0) for coat in coats], device=world.image.device)
    weights = []
    for head in NUMBERS:
        seen = in_sight(head.name, columns, CHOICES, shares).float()
        rare = number_balance().of(head, columns[head.name])
        weights.append(bare * rare * seen.clamp(min=OUT_OF_SIGHT))
    return torch.stack(weights, dim=1)


def said_matrix(written: Sequence[Caption]) -> Tensor:
    """Return what each caption says, [m, S] of 1 and 0."""
    said = torch.zeros(len(written), len(STATEMENTS))
    for row, one in enumerate(written):
        said[row, list(one.statements)] = 1.0
    return said
