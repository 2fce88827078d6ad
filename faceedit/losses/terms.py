"""Terms that several papers share: one function each, lower is better, named after its formula."""

from __future__ import annotations

from torch import Tensor

from faceedit.backbones.clip import Clip
from faceedit.backbones.identity import Identity
from faceedit.types import Sentence


def clip_distance(clip: Clip, image: Tensor, sentence: Sentence) -> Tensor:
    """Return how far images are from what is wanted; 0 where CLIP sees them as one.

    D_CLIP(G(w), t) = 1 - <E_I(G(w)), E_T(t)>, the first term of StyleCLIP Equation 1
    (arXiv:2103.17249). The official code divides CLIP's logits by 100, which is the same for
    OpenAI's weights only; the cosine is the same for all.

    Args:
        clip: E_I and E_T; it resizes and normalises by itself.
        image: [n, 3, h, w], RGB in [-1, 1].
        sentence: Its target is [n, d] or [1, d], of unit length.

    Returns:
        The mean over the batch, a scalar in [0, 2].
    """
    return 1 - (clip.encode_image(image) * sentence.target).sum(dim=-1).mean()


def identity_distance(identity: Identity, image_a: Tensor, image_b: Tensor) -> Tensor:
    """Return how far apart two faces are as people; 0 for equal embeddings.

    L_ID(w) = 1 - <R(G(w_s)), R(G(w))>, StyleCLIP Equation 2 (arXiv:2103.17249).

    Args:
        identity: R, the face recognition network; it crops and resizes by itself.
        image_a: Aligned faces, [n, 3, h, w], RGB in [-1, 1].
        image_b: Their edits, same shape and range, in the same order.

    Returns:
        The mean over the batch, a scalar in [0, 2].

    Raises:
        ValueError: If the two batches differ in shape.
    """
    _same_shape(image_a, image_b)
    return 1 - (identity(image_a) * identity(image_b)).sum(dim=-1).mean()


def latent_l2(code_a: Tensor, code_b: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Return the squared distance of two codes, summed over a code: ||w - w_s||^2.

    The L2 term of StyleCLIP Equation 1 as the official code computes it: the *sum* of squares, so
    it grows with the code's length; the paper prints the norm.

    Args:
        code_a: [n, ...].
        code_b: Same shape.
        scale: What a difference is divided by first, for instance each channel's deviation.

    Returns:
        The mean over the batch, a scalar.

    Raises:
        ValueError: If the codes differ in shape.
    """
    _same_shape(code_a, code_b)
    return ((code_a - code_b) / scale).square().flatten(1).sum(dim=1).mean()


def _same_shape(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ValueError(f"the two batches have shapes {list(a.shape)} and {list(b.shape)}")
