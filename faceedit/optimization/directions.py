"""What faces that differ in CLIP's eyes have in common in their codes: a linear map for all faces.

Learning codes from differences of CLIP's image embeddings and asking with those of texts is Lyu et
al., "DeltaEdit", CVPR 2023, arXiv:2303.06285; there by a network for one face, here by regression.
"""

from __future__ import annotations

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
            (`aim.common_direction`); it moves nothing.
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
