"""Projections on subspaces of CLIP: a basis of a few sentences, and what of a vector lies in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor

RANK_TOLERANCE = 1e-3  # of the largest singular value


@dataclass(frozen=True)
class EmbeddedCorpus:
    """A corpus as CLIP sees it: unit embeddings, one a row."""

    positive: Tensor  # [p, d]
    negative: Tensor  # [q, d]
    neutral: Tensor  # [r, d]

    @property
    def prompts(self) -> Tensor:
        """Everything that spans the subspace, [p + q, d]."""
        return torch.cat([self.positive, self.negative])


class Projection(StrEnum):
    """How prompts become the basis of a subspace."""

    SPAN = "span"  # principal axes of the span of all prompts (SVD); no order, every prompt counts
    GRAM_SCHMIDT = "gram_schmidt"  # the paper's semantic basis: prompts made orthogonal in order
    SYMMETRIC = "symmetric"  # Loewdin: the orthonormal basis that is nearest to the prompts
    PCA = "pca"  # principal components of the prompts around their mean
    CONTRAST = "contrast"  # principal axes of positive minus negative: only what tells them apart
    NONE = "none"  # no subspace: e_I + alpha e_T


def make_basis(
    corpora: Sequence[EmbeddedCorpus], projection: Projection, components: int
) -> Tensor:
    """Return an orthonormal basis of the subspace that corpora span together, [k, d].

    Args:
        corpora: At least one.
        projection: How; not NONE, which has no basis.
        components: How many rows at most, for PCA and CONTRAST; never more than a third of the
            prompts, which a basis would merely memorise.
    """
    prompts = torch.cat([corpus.prompts for corpus in corpora])
    components = max(1, min(components, len(prompts) // 3))
    if projection is Projection.SPAN:
        return span(prompts)
    if projection is Projection.GRAM_SCHMIDT:
        return gram_schmidt(prompts)
    if projection is Projection.SYMMETRIC:
        return symmetric(prompts)
    if projection is Projection.PCA:
        return principal(prompts - prompts.mean(dim=0), components)
    if projection is Projection.CONTRAST:
        gaps = [(c.positive[:, None] - c.negative[None]).flatten(0, 1) for c in corpora]
        return principal(torch.cat(gaps), components)
    raise ValueError(f"projection {projection.value!r} has no basis")


def span(vectors: Tensor) -> Tensor:
    """Return an orthonormal basis of the span of the rows, [rank, d], strongest axis first."""
    _, singular, axes = torch.linalg.svd(vectors, full_matrices=False)
    return axes[singular > RANK_TOLERANCE * singular.max()]


def principal(vectors: Tensor, components: int) -> Tensor:
    """Return the first principal axes of the rows around 0, [at most components, d]."""
    return span(vectors)[:components]


def gram_schmidt(vectors: Tensor) -> Tensor:
    """Return the rows made orthonormal one after the other, [rank, d].

    The first keeps everything that it shares with the others; rows that add nothing are left out.
    """
    rows: list[Tensor] = []
    for vector in F.normalize(vectors, dim=-1):
        rest = vector
        for row in rows:
            rest = rest - (rest @ row) * row
        if rest.norm() > RANK_TOLERANCE:
            rows.append(rest / rest.norm())
    return torch.stack(rows)


def symmetric(vectors: Tensor) -> Tensor:
    """Return the orthonormal rows nearest to the given ones, [n, d]: (V V^T)^(-1/2) V (Loewdin).

    No row is preferred, whatever the order. Where the rows depend on one another, the result is
    the tight frame of the same subspace: `project` is still the exact projection.
    """
    left, singular, axes = torch.linalg.svd(F.normalize(vectors, dim=-1), full_matrices=False)
    kept = singular > RANK_TOLERANCE * singular.max()
    return left[:, kept] @ axes[kept]


def coefficients(vectors: Tensor, basis: Tensor) -> Tensor:
    """Return the coefficients [..., k] of vectors [..., d] in a basis [k, d]."""
    return vectors @ basis.T


def project(vectors: Tensor, basis: Tensor) -> Tensor:
    """Return P_W of vectors [..., d], for an orthonormal basis [k, d] of W."""
    return coefficients(vectors, basis) @ basis
