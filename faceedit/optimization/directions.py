"""Directions that CLIP's view of faces gives to codes, and how far CLIP would go along one.

Learning codes from differences of CLIP's image embeddings and asking with those of texts is Lyu et
al., "DeltaEdit", CVPR 2023, arXiv:2303.06285; there by a network for one face, here by regression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def regressed_directions(s: Tensor, seen: Tensor, common: Tensor, ridge: float) -> Tensor:
    """Return by how many of its deviations each channel differs where CLIP's view differs by 1.

    The ridge regression of standardised channels on image embeddings, Sigma_se (Sigma_ee + l)^-1:
    an embedding direction times this is the step between faces that differ in it and in nothing
    else that CLIP sees.

    Args:
        s: Codes of random faces, [n, channels], in any space.
        seen: CLIP's image embeddings of them, [n, d].
        common: Unit direction [d] that all texts share and no image follows
            (`losses.text.common_direction`); it moves nothing.
        ridge: l, in mean variances of the embeddings' entries.

    Returns:
        [channels, d].
    """
    x = (s - s.mean(dim=0)).double() / s.std(dim=0, correction=0).clamp(min=1e-8).double()
    e = (seen - seen.mean(dim=0)).double()
    covariance = e.T @ e / len(e)
    penalty = ridge * covariance.diagonal().mean() * torch.eye(len(covariance)).to(covariance)
    rows = torch.linalg.solve(covariance + penalty, e.T @ x / len(e)).T.float()
    return rows - (rows @ common)[:, None] * common


@torch.no_grad()
def best_step(
    codes: Tensor,
    sizes: Tensor,
    draw: Callable[[Tensor], Tensor],
    target: Tensor,
    clip: Any,
    step_penalty: float,
) -> Tensor:
    """Return which of several steps CLIP finds worth its length, [n].

    It is the one with the largest cosine of image and target, less `step_penalty` times its size.
    Along a line that faces vary on, more of it pleases CLIP up to where the thing is there.

    Args:
        codes: Where each step ends, [n, steps, ...].
        sizes: How long each is, [steps].
        draw: Codes [m, ...] -> images.
        target: What is wanted, unit embeddings [n, d] or [1, d].
        clip: Looks at the images.
        step_penalty: Gain in cosine that a size of 1 has to bring.
    """
    seen = clip.encode_image(draw(codes.flatten(0, 1))).unflatten(0, codes.shape[:2])
    fit = (seen * target[:, None].to(seen)).sum(dim=-1) - step_penalty * sizes
    return fit.argmax(dim=1)


def select(relevance: Tensor, keep: int, beta: float | None = None) -> Tensor:
    """Return relevances with all but the largest set to 0, divided by the largest.

    Args:
        relevance: R, [n, channels], the cosine of each channel's direction and delta_t.
        keep: How many channels stay where there is no beta; at least one always does.
        beta: Channels below this stay where they are; one that reaches it moves.

    Returns:
        [n, channels], the largest absolute value of each row is 1 (0 where nothing is relevant).
    """
    size = relevance.abs()
    largest = size.amax(dim=1, keepdim=True)
    if beta is None:
        keep = max(1, min(keep, size.shape[1]))
        threshold = size.topk(keep, dim=1).values[:, -1:]
    else:
        threshold = largest.clamp(max=beta)
    return torch.where(size >= threshold, relevance, 0.0) / largest.clamp(min=1e-12)
