"""Aligned face -> Face: find the code whose image is this face, in the space a method asks for.

The encoder answers at once (Tov et al., "Designing an Encoder for StyleGAN Image Manipulation",
SIGGRAPH 2021, arXiv:2102.02766); a few optional steps of descent bring the details closer, at the
price of a code that is edited a little less willingly. For codes in x_t the image itself is made
noisy by DDIM inversion (`faceedit.backbones.diffusion`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.arguments import whole
from faceedit.backbones import Backbones
from faceedit.backbones.diffusion import resize
from faceedit.progress import report
from faceedit.types import Face, Latent, Space, check_shape

if TYPE_CHECKING:
    import PIL.Image

MAX_REFINE_STEPS = 1000
REFINE_RATE = 0.08  # Adam's step, as a share of how far the code's entries lie from w_avg
SEARCH_STEPS = 200  # of the descent that stands in for an encoder
SEARCH_FACES = 256  # that tell how far codes lie from the mean one
WEIGHT_PIXEL = 1.0  # mean square difference at full, half and quarter size
WEIGHT_FEATURE = 0.2  # 1 - cosine of what the identity network sees
WEIGHT_NEAR = 0.02  # mean square distance from the encoder's code, in the same share


def to_tensor(image: PIL.Image.Image) -> Tensor:
    """Return an RGB image as a batch of one, [1, 3, h, w] in [-1, 1]."""
    pixels = torch.from_numpy(np.array(image.convert("RGB")))
    return pixels.permute(2, 0, 1).unsqueeze(0).float().div(127.5).sub(1)


@torch.no_grad()
def invert(image: Tensor, space: Space, backbones: Backbones, refine_steps: int = 0) -> Face:
    """Return the generator's version of an aligned face, with its code.

    Args:
        image: Aligned faces, [n, 3, h, w], RGB in [-1, 1].
        space: Where the code shall live: W_PLUS, S, or X_T, which leaves the image as it is.
        backbones: Needs `generator`, and for X_T only `diffusion`. Without an `encoder` the code is
            searched for, from the mean face on.
        refine_steps: Steps of descent after the encoder; 0 is fastest and easiest to edit. Without
            an encoder the steps of the search; 0 is `SEARCH_STEPS`.

    Raises:
        ValueError: If the image has another shape.
        RequestError: If `refine_steps` is out of range.
    """
    check_shape(image, (None, 3, None, None), "image")
    refine_steps = whole(refine_steps, "refine_steps", 0, MAX_REFINE_STEPS)
    if space is Space.X_T:
        return Face(image, _noise_code(image, backbones))
    generator = backbones.require("generator", "inversion")
    if backbones.encoder is None:
        w_plus = search(image.to(generator.w_avg), backbones, refine_steps or SEARCH_STEPS)
    else:
        w_plus = encode(image.to(generator.w_avg), backbones)
    if refine_steps and backbones.encoder is not None:
        w_plus = refine(image.to(w_plus), w_plus, backbones, refine_steps)
    face = Face(generator.synthesis(w_plus), Latent(w_plus, Space.W_PLUS))
    return to_space(face, space, backbones)


@torch.no_grad()
def encode(image: Tensor, backbones: Backbones) -> Tensor:
    """Return the codes of aligned faces [n, 3, h, w], at once: [n, num_ws, w_dim].

    Photographs have theirs from the base's `photo_encoder`, if it has one.
    """
    encoder = backbones.require("encoder", "inversion")
    if backbones.photo_encoder is None:
        codes: Tensor = encoder(image)
    else:
        codes = backbones.photo_encoder.codes(image, backbones)
    return codes


def to_space(face: Face, space: Space, backbones: Backbones) -> Face:
    """Return the same face with its code in another space; the image stays as it is.

    Raises:
        ValueError: If there is no way from the one space to the other.
    """
    if face.latent.space is space:
        return face
    if face.latent.space is Space.W_PLUS and space is Space.S:
        generator = backbones.require("generator", "a code in s")
        with torch.no_grad():
            return replace(face, latent=Latent(generator.styles(face.latent.code), Space.S))
    if space is Space.X_T:
        return replace(face, latent=_noise_code(face.image, backbones))
    raise ValueError(
        f"no way from {face.latent.space.value} to {space.value} codes; invert the image again"
    )


def _noise_code(image: Tensor, backbones: Backbones) -> Latent:
    """Return images [n, 3, h, w] as far into the noise as DDIM inversion takes them, by default."""
    diffusion = backbones.require("diffusion", "a code in x_t")
    return Latent(diffusion.inverted(resize(image, diffusion.resolution)).end, Space.X_T)


def search(image: Tensor, backbones: Backbones, steps: int = SEARCH_STEPS) -> Tensor:
    """Return a code whose image is close, found by descent from the mean face, [n, num_ws, w_dim].

    First one w is sought for all layers, which every generator has seen, then one a layer.

    Args:
        image: What to reach, [n, 3, h, w], RGB in [-1, 1].
        backbones: Needs `generator`; `identity` makes the features, where it is there.
        steps: How many, of both parts together.
    """
    generator = backbones.require("generator", "a search")
    faces = generator.sample_w_plus(SEARCH_FACES, torch.Generator().manual_seed(0), 1.0)
    spread = faces[:, 0].std(dim=0).mean().clamp(min=1e-4)
    start = generator.broadcast(generator.w_avg.expand(len(image), -1))
    half = steps // 2
    code = _approach(image, start, backbones, half, spread, shared=True) if half else start
    return _approach(image, code, backbones, steps - half, spread)


def refine(image: Tensor, w_plus: Tensor, backbones: Backbones, steps: int) -> Tensor:
    """Descend from the encoder's code to one whose image is closer; [n, num_ws, w_dim].

    Minimises pixel + feature difference + distance from the start with Adam, its rate falling to
    zero along a half cosine.

    Args:
        image: What to reach, [n, 3, h, w], RGB in [-1, 1].
        w_plus: Where to start.
        backbones: Needs `generator`; `identity` makes the features, where it is there.
        steps: How many.
    """
    generator = backbones.require("generator", "refinement")
    start = w_plus.detach()
    spread = (start - generator.w_avg).square().mean().sqrt().clamp(min=1e-4)
    return _approach(image, start, backbones, steps, spread)


@torch.enable_grad()
def _approach(
    image: Tensor,
    start: Tensor,
    backbones: Backbones,
    steps: int,
    spread: Tensor,
    shared: bool = False,
) -> Tensor:
    """Return the code after a descent that takes its image to another; see `refine`.

    Args:
        image: What to reach.
        start: Codes, [n, num_ws, w_dim].
        backbones: Needs `generator`.
        steps: How many.
        spread: How far a code's entries usually lie from the start, a scalar.
        shared: Move all layers by one offset.
    """
    generator = backbones.generator
    offset = torch.zeros_like(start[:, :1] if shared else start).requires_grad_(True)
    optimizer = torch.optim.Adam([offset], lr=REFINE_RATE * spread.item(), betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    wanted = F.interpolate(image, size=(generator.config.resolution,) * 2, mode="area")
    for step in range(steps):
        code = start + offset
        drawn = generator.synthesis(code)
        loss = WEIGHT_PIXEL * pixel_distance(drawn, wanted)
        loss = loss + WEIGHT_NEAR * ((code - start) / spread).square().mean()
        if backbones.identity is not None:
            seen, target = backbones.identity.embed(drawn), backbones.identity.embed(wanted)
            loss = loss + WEIGHT_FEATURE * (1 - (seen * target.detach()).sum(-1)).mean()
        (offset.grad,) = torch.autograd.grad(loss, [offset])
        optimizer.step()
        schedule.step()
        report(step + 1, steps)
    return (start + offset).detach()


def pixel_distance(image_a: Tensor, image_b: Tensor) -> Tensor:
    """Return the mean square difference, averaged over full, half and quarter size; a scalar.

    The smaller sizes keep colours and large shapes in view while details are still off.
    """
    scales = (1, 2, 4)
    terms = [
        F.mse_loss(F.avg_pool2d(image_a, scale), F.avg_pool2d(image_b, scale)) for scale in scales
    ]
    return torch.stack(terms).mean()
