"""A draft of an edit drawn by a generator: descent along its code, laid over the photo.

A denoiser's noise has a number for every pixel, so a descent along it paints what pleases CLIP and
no person. A generator's code has a few for the whole face: its drafts have whole hats, lenses and
mouths. The photo stays wherever the generator's own picture of it did not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from faceedit.backbones.diffusion import resize
from faceedit.optimization.codes import ramp, w_plus_unit
from faceedit.optimization.guidance import Progress
from faceedit.optimization.pixels import changed_share

__all__ = ["descend_code"]

WEIGHT_OFFSET = 0.03  # of the mean square offset, in official units
FAINT, CLEAR = 0.05, 0.15  # change of the generator's picture that begins to count, and that counts


def descend_code(
    generator: Any,
    code: Tensor,
    small: Tensor,
    score: Callable[[Tensor], Tensor],
    iterations: int,
    rate: float,
) -> Iterator[Progress]:
    """Move the photos' codes; yields after each iteration, with the draft as `clean`.

    Args:
        generator: Draws faces from codes.
        code: Of the source, [n, num_ws, w_dim].
        small: The source as the denoiser sees it, [n, 3, h, w].
        score: What to descend: images [n, 3, h, w] -> [n].
        iterations: Steps of Adam.
        rate: Its learning rate, in official units (`optimization.codes`); negative ascends.
    """
    shared = generator.config.tied_layers
    unit, side = w_plus_unit(generator).to(code), small.shape[-1]
    with torch.inference_mode(False):
        code, unit = code.detach().clone(), unit.clone()
        with torch.no_grad():
            before = resize(generator.synthesis(code), side)
        offset = torch.zeros_like(code[:, :1] if shared else code).requires_grad_()
        optimizer = torch.optim.Adam([offset], lr=abs(rate))
    for index in range(iterations):
        with torch.inference_mode(False), torch.enable_grad():
            optimizer.param_groups[0]["lr"] = abs(rate) * ramp((index + 1) / (iterations + 1))
            drawn = resize(generator.synthesis(code + offset * unit), side)
            scores = score(small + drawn - before)  # what is laid over has no slope at first
            aim = scores.sum() if rate > 0 else -scores.sum()
            far = offset.square().mean(dim=(1, 2)).sum()
            (offset.grad,) = torch.autograd.grad(aim + WEIGHT_OFFSET * far, offset)
            optimizer.step()
        clean = torch.lerp(small, drawn, changed_share(drawn, before, FAINT, CLEAR))
        yield Progress(index, iterations, 0, offset.detach(), clean.detach())
