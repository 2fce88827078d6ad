"""Pixels of a guided draft: crops that CLIP sees, what of the photo is kept, and how it changed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones.diffusion import resize

SMALLEST_CUTOUT = 0.7  # share of the side: smaller crops show CLIP no face
SPARE = 0.02  # change of a pixel, root mean square over channels, that costs little
DETAIL_FADES = 0.12  # change of a pixel's mean over its channels that takes its detail to 1 / e


def keep_unchanged(small: Tensor, before: Tensor, unchanged: float, changed: float) -> Tensor:
    """Return an edit with the source wherever hardly anything changed.

    Noise drawn anew never brings a place back exactly, also where nothing was to change.

    Args:
        small: The edit, [n, 3, h, w].
        before: The source, [n, 3, h, w].
        unchanged: Mean difference, around a place, up to which it is the source's.
        changed: The same, from which on it is the edit's.
    """
    return torch.lerp(before, small, changed_share(small, before, unchanged, changed))


def changed_share(small: Tensor, before: Tensor, unchanged: float, changed: float) -> Tensor:
    """Return how far each place counts as changed, [n, 1, h, w] in [0, 1]; see `keep_unchanged`."""
    reach = max(1, round(small.shape[-1] / 32))
    amount = (small - before).abs().mean(dim=1, keepdim=True).detach()
    amount = F.avg_pool2d(amount, 2 * reach + 1, 1, reach, count_include_pad=False)
    return ((amount - unchanged) / (changed - unchanged)).clamp(0, 1)


def widened(region: Tensor) -> Tensor:
    """Return a region [n, 1, h, w] grown by a pixel, with a soft edge."""
    return F.avg_pool2d(F.max_pool2d(region, 3, 1, 1), 3, 1, 1, count_include_pad=False)


def mean_change(change: Tensor) -> Tensor:
    """Return how much images [n, 3, h, w] changed on average, [n]."""
    return ((change.square().mean(dim=1) + SPARE**2).sqrt() - SPARE).mean(dim=(1, 2))


def roughness(change: Tensor) -> Tensor:
    """Return the mean square difference of a change's neighbours, [n, 3, h, w] -> [n]."""
    steps = change.diff(dim=-2), change.diff(dim=-1)
    return sum((step.square().mean((1, 2, 3)) for step in steps), start=change.new_zeros(()))


def keep_detail(small: Tensor, before: Tensor, source: Tensor) -> Tensor:
    """Return an edit made at a smaller size, at the source's size and with its detail.

    Equals the source where nothing changed; where much changed the source's detail would be that
    of things that are gone, and is left out.

    Args:
        small: The edit, [n, 3, h, w].
        before: The source as small, [n, 3, h, w].
        source: The source, [n, 3, H, W].
    """
    if small.shape == source.shape:
        return small
    size = source.shape[-1]
    change = resize(small - before, size)
    smooth = resize(before, size)
    amount = (small - before).abs().mean(dim=1, keepdim=True)
    amount = resize(F.avg_pool2d(amount, 3, 1, 1, count_include_pad=False), size)
    return smooth + change + (source - smooth) * (-(amount / DETAIL_FADES).square()).exp()


def cutouts(image: Tensor, count: int, generator: torch.Generator) -> list[Tensor]:
    """Return crops of images: the whole, then random squares of at least SMALLEST_CUTOUT."""
    side = image.shape[-1]
    crops = [image]
    for draws in torch.rand(count - 1, 3, generator=generator).tolist():
        size = max(1, round(side * (SMALLEST_CUTOUT + (1 - SMALLEST_CUTOUT) * draws[0])))
        top, left = (round(draw * (side - size)) for draw in draws[1:])
        crops.append(image[..., top : top + size, left : left + size])
    return crops


def draw_seed(generator: torch.Generator | None) -> int:
    """Draw the crops' own seed, so that their number does not change any other draw."""
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(2**62, (), generator=generator, device=device))
