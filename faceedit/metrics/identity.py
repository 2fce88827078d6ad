"""Face verification: do embeddings tell whether two pictures show one person?"""

from __future__ import annotations

import torch
from torch import Tensor


def area_under_curve(positive: Tensor, negative: Tensor) -> float:
    """Return how often a positive scores above a negative: the area under the ROC curve.

    Args:
        positive: Scores that should be high, [p].
        negative: Scores that should be low, [q].

    Returns:
        In [0, 1]; 0.5 for chance; ties count half.

    Raises:
        ValueError: If either is empty.
    """
    if len(positive) == 0 or len(negative) == 0:
        raise ValueError(f"need scores of both kinds, got {len(positive)} and {len(negative)}")
    negative = negative.double().sort().values
    positive = positive.double()
    below = torch.searchsorted(negative, positive, right=False)
    not_above = torch.searchsorted(negative, positive, right=True)
    return float((below + not_above).double().mean() / (2 * len(negative)))


def verification_scores(embedding: Tensor, person: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosines of all pairs of one person and of all pairs of two.

    Args:
        embedding: Unit vectors, [n, d].
        person: Who each shows, [n] integers.
    """
    cosine = embedding.double() @ embedding.double().T
    first, second = torch.triu_indices(len(person), len(person), offset=1, device=person.device)
    same = person[first] == person[second]
    scores = cosine[first, second]
    return scores[same], scores[~same]


def verification_auc(embedding: Tensor, person: Tensor) -> float:
    """Return the area under the ROC curve of telling same from different people, over all pairs.

    Args:
        embedding: Unit vectors, [n, d].
        person: Who each shows, [n] integers; at least one person must come twice.

    Raises:
        ValueError: If there is no pair of one person, or none of two.
    """
    return area_under_curve(*verification_scores(embedding, person))


def acceptance_at(positive: Tensor, negative: Tensor, false_rate: float) -> float:
    """Return the share of true pairs accepted at the threshold that accepts `false_rate` others."""
    if not 0 < false_rate < 1:
        raise ValueError(f"false_rate is {false_rate}; it must be between 0 and 1")
    threshold = torch.quantile(negative.double(), 1 - false_rate)
    return float((positive.double() > threshold).double().mean())
