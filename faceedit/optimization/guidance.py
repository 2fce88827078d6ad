"""Guided denoising: each step's estimate is pulled down a score's gradient, in one of three ways.

Papers: "Diffusion Models Beat GANs on Image Synthesis", Dhariwal & Nichol 2021, arXiv:2105.05233,
algorithm 2 (guided DDIM); "RePaint", Lugmayr et al. 2022, arXiv:2201.09865, and "Universal Guidance
for Diffusion Models", Bansal et al. 2023, arXiv:2302.07121 (going through a level again from fresh
noise); the weighing of K. Crowson's CLIP-guided diffusion.

Notation (here -> paper): image -> x_t, estimate.noise -> epsilon_theta, estimate.clean -> x_0 as
predicted at t, alpha_bar -> alpha-bar_t, score -> minus the classifier's log likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones.diffusion import Diffusion, Estimate, Trajectory
from faceedit.errors import RequestError
from faceedit.optimization.bottleneck import Displacement

__all__ = ["GradientMode", "Guidance", "Progress", "denoise", "spherical_distance"]

GradientMode = Literal["x0", "full", "jacobian_free", "bottleneck"]
Score = Callable[[Tensor], Tensor]  # images [n, 3, h, w] -> one number each, [n]; lower is better

X0_RATE = 0.04  # root mean square change of the predicted clean image, a unit of scale
NOISE_RATE = 300.0  # of scale, where gradients change the predicted noise
LEAST_BLUR = 0.3  # px
LARGEST_RMS = 0.05  # a gradient's root mean square is cut to this
NOISIEST = 4.0  # noise over signal from which on blur grows no more


@dataclass(frozen=True)
class Guidance:
    """How strongly, when and by which gradient a run is pulled.

    Raises:
        RequestError: If a setting is out of range.
    """

    mode: GradientMode = "x0"
    # "x0": descend from the predicted clean image; no gradient through the network, cheapest
    # "full": the gradient with respect to x_t, through the network
    # "jacobian_free": as if the predicted noise did not depend on x_t
    # "bottleneck": a displacement of the network's deepest features, carried from step to step
    scale: float = 3.0  # 0 does nothing, about 1 to 10 edits, negative numbers push away
    inner_steps: int = 2  # of descent a denoising step, for "x0" and "bottleneck"
    guidance_from: float = 0.0  # shares of the run between which it pulls
    guidance_until: float = 0.9  # the last steps only clean up
    repeats: int = (
        1  # times that a noise level is gone through, each but the first from fresh noise
    )
    repeat_stop: float = 0.4  # share of the run up to which noise levels are repeated
    blur: float = 0.0  # of what is scored: share of the side, times noise over signal

    def __post_init__(self) -> None:
        if self.mode not in get_args(GradientMode):
            known = ", ".join(get_args(GradientMode))
            raise RequestError(f"grad_mode is {self.mode!r}; choose from {known}")
        if not 0 <= self.guidance_from <= self.guidance_until <= 1:
            raise RequestError(
                f"guidance acts from {self.guidance_from} to {self.guidance_until}; "
                "it needs 0 <= guidance_from <= guidance_until <= 1"
            )
        if self.inner_steps < 1:
            raise RequestError(f"inner_steps is {self.inner_steps}; it must be at least 1")
        if self.repeats < 1 or not 0 <= self.repeat_stop <= 1:
            raise RequestError(
                f"repeats is {self.repeats} up to {self.repeat_stop} of the run; "
                "it must be at least 1, up to a share in [0, 1]"
            )
        if self.blur < 0:
            raise RequestError(f"blur is {self.blur}; it must not be negative")

    def passes(self, index: int, count: int) -> int:
        """Return how often a step is made: once where nothing pulls."""
        pulls = self.scale * self.weight(index, count) != 0
        return self.repeats if pulls and index / count < self.repeat_stop else 1

    def weight(self, index: int, count: int) -> float:
        """Return the factor of the scale at a step: 1, falling to 0 over the last third."""
        progress = index / count
        if not self.guidance_from <= progress < self.guidance_until:
            return 0.0
        length = self.guidance_until - self.guidance_from
        return min(1.0, 3 * (self.guidance_until - progress) / max(length, 1e-9))


@dataclass
class Progress:
    """A run after one of its steps. `image` may be replaced before the run goes on."""

    index: int  # steps done before this one
    count: int  # steps in all
    time: int  # the timestep that was left
    image: Tensor  # x at the next cleaner timestep, [n, 3, h, w]; of a draft, its noise
    clean: Tensor  # the predicted clean image, for previews


def denoise(
    diffusion: Diffusion,
    start: Tensor,
    path: Trajectory,
    steps: int,
    score: Score,
    guidance: Guidance,
    *,
    mask: Tensor | None = None,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
) -> Iterator[Progress]:
    """Denoise from `start` down the timesteps of `path`, guided; yields after each step.

    Args:
        diffusion: The network and its schedule.
        start: x at the last of the path's timesteps, [n, 3, h, w].
        path: The source at every timestep. Its corrections are added where eta is 0.
        steps: Steps that the whole schedule would take.
        score: What to descend.
        guidance: How.
        mask: [n, 1, h, w] in [0, 1]; where it is 0 the result follows the path.
        eta: 0 is DDIM, 1 is DDPM.
        generator: Of eta's noise and of repeats'.

    Raises:
        RequestError: If eta is outside [0, 1].
    """
    if not 0 <= eta <= 1:
        raise RequestError(f"eta is {eta}; it must lie in [0, 1]")
    gap, count, image = diffusion.count // steps, len(path.times), start
    in_bottleneck = guidance.mode == "bottleneck" and guidance.scale != 0
    moved = Displacement(diffusion, guidance.inner_steps) if in_bottleneck else None
    for index, place in enumerate(reversed(range(count))):
        time, weight = path.times[place], guidance.weight(index, count)
        # Not around the loop: a suspended generator would leave the mode on for its caller.
        with torch.inference_mode(False):
            for again in range(guidance.passes(index, count)):
                if again:
                    image = diffusion.noisy_again(image, time - gap, time, generator)
                image = image.detach().clone()
                known = _known(diffusion, image, path, place)
                estimate = guided(diffusion, image, time, score, guidance, weight, known, moved)
                if estimate is known and eta == 0:
                    image = path.images[place]
                else:
                    image = diffusion.cleaner(estimate, time - gap, time, eta, generator)
                    if path.corrections and eta == 0:
                        image = image + path.corrections[place]
                if mask is not None:
                    image = torch.lerp(path.images[place].to(image), image, mask)
            state = Progress(index, count, time, image, estimate.clean)
        yield state
        image = state.image


def _known(diffusion: Diffusion, image: Tensor, path: Trajectory, place: int) -> Estimate | None:
    """Return what the network said of these very images when the path was found, if it was asked.

    A run that nothing pulls stays on the path, and so never asks the network again.
    """
    if not path.noises or not torch.equal(image, path.images[place + 1]):
        return None
    return diffusion.with_noise(image, path.noises[place], path.times[place])


def guided(
    diffusion: Diffusion,
    image: Tensor,
    time: int,
    score: Score,
    guidance: Guidance,
    weight: float,
    known: Estimate | None = None,
    moved: Displacement | None = None,
) -> Estimate:
    """Return the network's estimate, pulled towards a lower score.

    What is scored is blurred the more the noisier the image is: detail that the noise hides still
    is the network's to draw, and a gradient that reached it would paint patches.

    Args:
        diffusion: The network and its schedule.
        image: x_t, [n, 3, h, w].
        time: Its timestep.
        score: What to descend.
        guidance: How.
        weight: Factor of the scale; 0 asks the network only.
        known: The network's estimate of `image`, if it was asked before.
        moved: Of the run so far, for "bottleneck"; a new one if absent.
    """
    scale = weight * guidance.scale
    if scale == 0 or guidance.mode not in ("full", "bottleneck"):
        with torch.no_grad():
            estimate = known or diffusion.estimate(image, time)
        if scale == 0:
            return estimate
    alpha_bar = diffusion.alpha_bar(time)
    sigma = guidance.blur * image.shape[-1] * min(NOISIEST, ((1 - alpha_bar) / alpha_bar) ** 0.5)

    def score_of(clean: Tensor) -> Tensor:
        return score(blurred(clean, sigma))

    if guidance.mode == "bottleneck":
        moved = moved or Displacement(diffusion, guidance.inner_steps)
        return moved.estimate(image, time, score_of, scale)
    if guidance.mode == "x0":
        return _descended(diffusion, image, time, estimate, score_of, guidance.inner_steps, scale)
    with torch.enable_grad():
        if guidance.mode == "full":
            x = image.requires_grad_(True)
            estimate = diffusion.estimate(x, time)
            gradient = torch.autograd.grad(score_of(estimate.clean).sum(), x)[0]
        else:
            clean = estimate.clean.requires_grad_(True)
            gradient = torch.autograd.grad(score_of(clean).sum(), clean)[0] / alpha_bar**0.5
    gradient = gradient * (LARGEST_RMS / rms(gradient)).clamp(max=1.0)
    noise = estimate.noise.detach() + NOISE_RATE * scale * (1 - alpha_bar) ** 0.5 * gradient
    return diffusion.with_noise(image.detach(), noise, time)


def _descended(
    diffusion: Diffusion,
    image: Tensor,
    time: int,
    estimate: Estimate,
    score: Score,
    inner_steps: int,
    scale: float,
) -> Estimate:
    """Move the predicted clean image by steps of one length, and the noise with it."""
    clean = estimate.clean
    for _ in range(inner_steps):
        with torch.enable_grad():
            leaf = clean.detach().requires_grad_(True)
            gradient = torch.autograd.grad(score(leaf).sum(), leaf)[0]
        clean = clean - X0_RATE * scale / inner_steps * gradient / rms(gradient)
    alpha_bar = diffusion.alpha_bar(time)
    return Estimate((image - alpha_bar**0.5 * clean) / (1 - alpha_bar) ** 0.5, clean)


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Return images [n, c, h, w] after a Gaussian blur of a standard deviation in px.

    One of less than 0.3 px would hardly be seen and is left out.
    """
    if sigma < LEAST_BLUR:
        return image
    reach = min(math.ceil(3 * sigma), image.shape[-1] - 1)
    places = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    taps = (-0.5 * (places / sigma).square()).exp()
    taps = taps / taps.sum()
    planes = F.pad(image.flatten(0, 1)[:, None], [reach] * 4, mode="reflect")
    planes = F.conv2d(F.conv2d(planes, taps[None, None, :, None]), taps[None, None, None, :])
    return planes[:, 0].unflatten(0, image.shape[:2])


def rms(x: Tensor) -> Tensor:
    """Return each image's root mean square, [n, 1, 1, 1]; never 0."""
    return x.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)


def spherical_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return 2 arcsin(|a - b| / 2)^2 of unit vectors [n, d]: half the squared angle, [n]."""
    chord = (a - b).square().sum(dim=-1).clamp(min=1e-12).sqrt()
    return 2 * (chord / 2).clamp(max=1 - 1e-6).arcsin().square()
