"""Pixel-level agreement of two images and of two segmentations."""

from __future__ import annotations

import torch
from torch import Tensor


def psnr(image: Tensor, reference: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of every image in dB, higher is better.

    10 log10(peak^2 / MSE) with peak = 2, the width of [-1, 1].

    Args:
        image: [n, 3, h, w] in [-1, 1].
        reference: Same shape and range.

    Returns:
        [n]; at most 100 dB, so that equal images do not give infinity.

    Raises:
        ValueError: If the shapes differ.
    """
    if image.shape != reference.shape:
        raise ValueError(f"images differ in shape: {image.shape} and {reference.shape}")
    error = (image.double() - reference.double()).square().flatten(1).mean(1)
    return (10 * torch.log10(4 / error.clamp(min=4e-10))).float()


def intersection_over_union(predicted: Tensor, truth: Tensor, count: int) -> Tensor:
    """Return the IoU of every label over a whole set of segmentations.

    Args:
        predicted: Labels, integers below `count`, any shape.
        truth: Labels of the same shape.
        count: Number of labels.

    Returns:
        [count], NaN for labels that occur in neither.

    Raises:
        ValueError: If the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"labels differ in shape: {predicted.shape} and {truth.shape}")
    pairs = truth.flatten().long() * count + predicted.flatten().long()
    table = torch.bincount(pairs, minlength=count * count).reshape(count, count).double()
    both = table.diagonal()
    return both / (table.sum(0) + table.sum(1) - both)
