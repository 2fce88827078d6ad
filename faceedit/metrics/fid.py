"""Distances between two sets of images, taken in the features of some network.

FID: Heusel et al., arXiv:1706.08500. KID: Binkowski et al., arXiv:1801.01401. Both are lower for
more alike sets, and depend on the network: numbers compare only within one feature space.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _check(a: Tensor, b: Tensor) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"features have shapes {tuple(a.shape)} and {tuple(b.shape)}; "
            "they must be [n, d] and [m, d] with at least two rows each"
        )


def _gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean [d] and covariance [d, d], float64."""
    features = features.double()
    return features.mean(0), torch.cov(features.T).reshape(features.shape[1], -1)


def fid(a: Tensor, b: Tensor) -> float:
    """Return the Frechet distance of the two Gaussians that fit the feature sets.

    |mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)). The trace of the root is taken from the
    symmetric C_a^(1/2) C_b C_a^(1/2), which has the same eigenvalues and needs no complex numbers.

    Args:
        a: Features of one set, [n, d].
        b: Features of the other, [m, d]; n and m well above d.

    Returns:
        The distance, at least 0 up to rounding; 0 for equal means and covariances.

    Raises:
        ValueError: If the shapes do not fit.
    """
    _check(a, b)
    mean_a, cov_a = _gaussian(a)
    mean_b, cov_b = _gaussian(b)
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    distance = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * shared
    return float(distance)


def kid(a: Tensor, b: Tensor) -> float:
    """Return the unbiased squared MMD with the cubic kernel (x.y / d + 1)^3; may be negative.

    Args:
        a: Features of one set, [n, d].
        b: Features of the other, [m, d].

    Returns:
        About 0 for two samples of one distribution, also where n and m are small.

    Raises:
        ValueError: If the shapes do not fit.
    """
    _check(a, b)
    a, b = a.double(), b.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        table = kernel(x, x)
        return (table.sum() - table.diagonal().sum()) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * kernel(a, b).mean())
