"""Guidance in the denoiser's bottleneck (h-space): a displacement of its deepest features.

Paper: "Diffusion Models already have a Semantic Latent Space" (Asyrp), Kwon et al. 2023,
arXiv:2210.10960. The predicted clean image comes from displaced features, the noise from untouched
ones (the asymmetric reverse process): displacing both cancels out. The skip connections around the
bottleneck keep detail, and few numbers that stand for large parts of the picture can hardly draw
what the network has never seen.

Notation (here -> paper): features -> h_t, moved -> Delta h_t, estimate.clean -> P_t,
estimate.noise -> D_t. Differs from the paper: nothing is trained; the displacement of one edit
descends the score at every step, and the next step starts from the step before's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from faceedit.backbones.diffusion import Diffusion, Estimate
from faceedit.errors import RequestError

__all__ = ["Bottleneck", "Displacement"]

H_RATE = 0.06  # change of the features per unit of scale and step, in their root mean square
WIDEST = 2.5  # root mean square that a displacement may reach, in that of the features


@dataclass(frozen=True)
class Features:
    """What the first half of the network makes of noisy images."""

    deepest: Tensor  # [n, c, h, w], behind the bottleneck
    skipped: tuple[Tensor, ...]  # around it, the finest first
    time: Tensor  # the timestep's embedding, [n, d]


class Bottleneck:
    """The two halves of a `UNet2DModel`, before and after its deepest features.

    Raises:
        RequestError: If the network has no such halves.
    """

    def __init__(self, diffusion: Diffusion) -> None:
        from diffusers import UNet2DModel

        unet: Any = diffusion.unet
        if not isinstance(unet, UNet2DModel) or unet.mid_block is None:
            given = type(unet).__name__
            raise RequestError(
                f"grad_mode 'bottleneck' needs a UNet2DModel with a mid_block, not {given}; "
                "choose 'full', 'x0' or 'jacobian_free'"
            )
        self.diffusion, self.unet = diffusion, unet

    def encode(self, image: Tensor, time: int) -> Features:
        """Return the features of images [n, 3, h, w] at a timestep."""
        unet = self.unet
        times = torch.full((len(image),), time, dtype=torch.long, device=image.device)
        embedded = unet.time_embedding(unet.time_proj(times).to(unet.dtype))
        features = unet.conv_in(image.to(unet.dtype))
        skipped = [features]
        for block in unet.down_blocks:
            features, more = block(features, embedded)[:2]
            skipped.extend(more)
        return Features(unet.mid_block(features, embedded), tuple(skipped), embedded)

    def decode(
        self, features: Features, moved: Tensor | None, image: Tensor, time: int
    ) -> Estimate:
        """Return the estimate of the images whose features these are, displaced or not."""
        unet, rest = self.unet, features.skipped
        drawn = features.deepest if moved is None else features.deepest + moved
        for block in unet.up_blocks:
            count = len(block.resnets)
            rest, used = rest[:-count], rest[-count:]
            drawn = block(drawn, used, features.time)
        output = unet.conv_out(unet.conv_act(unet.conv_norm_out(drawn)))
        return self.diffusion.split(output, image, time)


class Displacement:
    """A displacement that is carried from step to step of one run.

    Args:
        diffusion: The network and its schedule.
        inner_steps: Of descent a denoising step.
    """

    def __init__(self, diffusion: Diffusion, inner_steps: int) -> None:
        self.halves, self.inner_steps = Bottleneck(diffusion), inner_steps
        self.moved: Tensor | None = None

    def estimate(
        self, image: Tensor, time: int, score: Callable[[Tensor], Tensor], scale: float
    ) -> Estimate:
        """Return the noise of the network itself, and the clean image of displaced features.

        Args:
            image: x_t, [n, 3, h, w].
            time: Its timestep.
            score: What to descend: predicted clean images -> one number each.
            scale: How far; 0 keeps the displacement as it is.
        """
        with torch.no_grad():
            features = self.halves.encode(image, time)
            noise = self.halves.decode(features, None, image, time).noise
            size = _rms(features.deepest)
        moved = torch.zeros_like(features.deepest) if self.moved is None else self.moved
        for _ in range(self.inner_steps if scale else 0):
            with torch.enable_grad():
                leaf = moved.detach().requires_grad_(True)
                clean = self.halves.decode(features, leaf, image, time).clean
                gradient = torch.autograd.grad(score(clean).sum(), leaf)[0]
            step = H_RATE * scale / self.inner_steps * size * gradient / _rms(gradient)
            moved = moved - step
        self.moved = moved * (WIDEST * size / _rms(moved)).clamp(max=1)
        with torch.no_grad():
            clean = self.halves.decode(features, self.moved, image, time).clean
        return Estimate(noise, clean)


def _rms(x: Tensor) -> Tensor:
    return x.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
