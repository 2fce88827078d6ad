"""Descent along the noise that a whole run of DDIM starts from: a draft of an edit.

Paper: "End-to-End Diffusion Latent Optimization Improves Classifier Guidance" (DOODL), Wallace et
al. 2023, arXiv:2303.13703. A gradient through the whole run asks what noise the network would draw
the wish from; guidance asks at each step alone what picture a score would like better. Differs from
the paper: the source comes back exactly by the corrections of its inversion, not by coupled
latents; Adam makes the steps, small ones where the gradient is small (STEADY), so that places that
have nothing to do with the wish stay; noise that has become alike over SLOW pixels, from which the
network draws patches of one colour, is penalised.

Notation (here -> paper): noise -> x_T, score -> the model-based loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from faceedit.backbones.diffusion import Diffusion, Trajectory
from faceedit.optimization.guidance import Progress, rms

__all__ = ["descend_noise", "replay"]

SLOW = 4  # px
WEIGHT_SLOW = 0.3
STEADY = 0.5  # of the root mean square gradient: what is smaller makes smaller steps
WARM, COOL = 3, 0.4  # first iterations that are shorter, share of them at the end that are
REMEMBERED_SIDE = 128  # px from which on calls of the network are made again, not remembered


def descend_noise(
    diffusion: Diffusion,
    path: Trajectory,
    steps: int,
    score: Callable[[Tensor], Tensor],
    iterations: int,
    rate: float,
) -> Iterator[Progress]:
    """Move the noise at the end of `path`; yields it after each iteration, the draft as `clean`.

    Args:
        diffusion: The network and its schedule.
        path: The inverted source; what its steps miss is put back.
        steps: Steps that the whole schedule would take; few will do, a draft is not a final image.
        score: What to descend: images [n, 3, h, w] -> [n].
        iterations: Gradients.
        rate: Change of each number of the noise an iteration, at most; negative ascends.
    """
    with torch.inference_mode(False):
        start = path.end.detach().clone()
        noise = start.clone().requires_grad_(True)
        length = start.flatten(1).norm(dim=1)[:, None, None, None]
        optimizer = torch.optim.Adam([noise], betas=(0.9, 0.99), eps=STEADY)
    for index in range(iterations):
        with torch.inference_mode(False), torch.enable_grad():
            cooled = min(1.0, (iterations - index) / (COOL * iterations))
            optimizer.param_groups[0]["lr"] = abs(rate) * min(1.0, (index + 1) / WARM, cooled)
            clean = replay(diffusion, noise, path, steps)
            aim = score(clean).sum() if rate > 0 else -score(clean).sum()
            slow = F.avg_pool2d(noise - start, SLOW).square().mean(dim=(1, 2, 3)).sum() * SLOW**2
            gradient = torch.autograd.grad(aim + WEIGHT_SLOW * slow, noise)[0]
            noise.grad = gradient / rms(gradient)
            optimizer.step()
            with torch.no_grad():  # noise of another length is not noise
                noise *= length / noise.flatten(1).norm(dim=1)[:, None, None, None]
        shown = noise.detach()
        state = Progress(index, iterations, path.times[-1], shown, clean.detach())
        yield state
        if state.image is not shown:
            with torch.inference_mode(False), torch.no_grad():
                noise.copy_(state.image)


def replay(diffusion: Diffusion, noise: Tensor, path: Trajectory, steps: int) -> Tensor:
    """Return what DDIM draws from noise [n, 3, h, w] along a path's timesteps, with a gradient."""
    gap, image = diffusion.count // steps, noise

    def step(image: Tensor, place: int) -> Tensor:
        time = path.times[place]
        cleaner = diffusion.cleaner(diffusion.estimate(image, time), time - gap, time)
        return cleaner + path.corrections[place]

    for place in reversed(range(len(path.times))):
        if noise.shape[-1] > REMEMBERED_SIDE:
            image = checkpoint(step, image, place, use_reentrant=False)
        else:
            image = step(image, place)
    return image
