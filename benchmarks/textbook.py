"""The textbook formulations that ours replace: same numbers, written as the papers' codes do it.

* A modulated convolution gives every sample a kernel of its own and runs all as one grouped
  convolution (Karras et al., arXiv:1912.04958, section 2.2); upsampling inserts zeros and filters.
* The CLIP loss enlarges the image by nearest neighbours (7-fold at 224 px) and takes average
  pools of it (StyleCLIP, arXiv:2103.17249, official code).
* FEAT's attention resizes all features to the map's size, joins them to one tensor, and convolves
  that (Hou et al., arXiv:2202.02713).

`installed()` puts them in the place of ours, so that any code can be timed with either: a step of
an optimisation, a training step, a whole edit. They are a reference to measure by, not to use.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones import stylegan2
from faceedit.backbones.clip import Clip
from faceedit.backbones.layers import ACTIVATION_GAIN, LEAKY_SLOPE, StyledConv, ToRGB
from faceedit.methods.feat import Attention

__all__ = ["attention", "clip_pixels", "installed", "modulated_conv", "upsample"]


def modulated_conv(
    x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool = True, up: bool = False
) -> Tensor:
    """Convolve each sample with its own kernel, as one grouped convolution.

    Args:
        x: Features, [n, in, h, w].
        weight: The kernel with its gain, [out, in, k, k].
        style: One scale an input channel, [n, in].
        demodulate: Whether kernels are brought to unit length.
        up: Whether the size is doubled; the blur comes after this, and the result is one larger.

    Returns:
        [n, out, h, w], or [n, out, 2h + 1, 2w + 1].
    """
    count, channels, height, width = x.shape
    out, _, size, _ = weight.shape
    kernels = weight[None] * style[:, None, :, None, None]  # [n, out, in, k, k]
    if demodulate:
        kernels = kernels * torch.rsqrt(kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    joined = x.reshape(1, count * channels, height, width)
    if up:
        kernels = kernels.transpose(1, 2).reshape(count * channels, out, size, size)
        y = F.conv_transpose2d(joined, kernels.to(joined), stride=2, groups=count)
    else:
        kernels = kernels.reshape(count * out, channels, size, size)
        y = F.conv2d(joined, kernels.to(joined), padding=size // 2, groups=count)
    return y.reshape(count, out, *y.shape[-2:])


def blur(x: Tensor, kernel: Tensor) -> Tensor:
    """Filter each channel as an image of its own, one row and column of zeros on each side."""
    count, channels = x.shape[:2]
    padded = F.pad(x, (1, 1, 1, 1))
    single = padded.reshape(count * channels, 1, *padded.shape[-2:])
    y = F.conv2d(single, torch.flip(kernel, (0, 1)).to(single)[None, None])
    return y.reshape(count, channels, *y.shape[-2:])


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Double the size: put zeros between the pixels, then filter; [n, c, h, w] -> [n, c, 2h, 2w].

    Computed in the dtype of `x` even under autocast, as ours.
    """
    count, channels, height, width = x.shape
    with torch.autocast(x.device.type, enabled=False):
        spread = F.pad(x[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1))
        spread = spread.reshape(count, channels, 2 * height, 2 * width)
        single = F.pad(spread, (2, 1, 2, 1)).reshape(
            count * channels, 1, 2 * height + 3, 2 * width + 3
        )
        y = F.conv2d(single, torch.flip(kernel, (0, 1)).to(single)[None, None])
        return y.reshape(count, channels, 2 * height, 2 * width)


def styled_conv(self: StyledConv, x: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
    """Do what `StyledConv.forward` does, one operation after another."""
    x = modulated_conv(x, self.weight * self.weight_gain, style, up=self.up)
    if self.up:
        x = blur(x, self.kernel)
    if noise is not None:
        x = x + (noise * self.noise_strength).to(x)
    x = x + self.bias.to(x)[None, :, None, None]
    x = F.leaky_relu(x, LEAKY_SLOPE) * ACTIVATION_GAIN
    return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


def to_rgb(self: ToRGB, x: Tensor, style: Tensor) -> Tensor:
    """Do what `ToRGB.forward` does, with a kernel a sample."""
    y = modulated_conv(x, self.weight * self.weight_gain, style, demodulate=False)
    y = y + self.bias.to(y)[None, :, None, None]
    return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)


def clip_pixels(self: Clip, image: Tensor) -> Tensor:
    """Resize images for CLIP by enlarging and pooling, as StyleCLIP does: 1024 px * 7 / 32 = 224.

    Where CLIP is fed as OpenAI does ("openai"), its mean and deviation are taken out afterwards.

    Args:
        self: Says the size.
        image: [n, 3, h, h], h a multiple of 32, RGB in [-1, 1].
    """
    enlarged = F.interpolate(image, scale_factor=self.config.image_size // 32, mode="nearest")
    pooled = F.avg_pool2d(enlarged, image.shape[-1] // 32)
    if self.config.pixels == "styleclip":
        return pooled
    mean = pooled.new_tensor(self.config.pixel_mean)[:, None, None]
    std = pooled.new_tensor(self.config.pixel_std)[:, None, None]
    return (pooled.add(1).div(2) - mean) / std


def attention(self: Attention, sources: Sequence[Tensor], text: Tensor | None, size: int) -> Tensor:
    """Do what `Attention.forward` does on all features joined; [n, 1, size, size]."""
    resized = [F.interpolate(source, (size, size), mode="bilinear") for source in sources]
    joined = torch.cat(resized, dim=1)
    convs = [conv for conv in self.convs if isinstance(conv, nn.Conv2d)]
    weight = torch.cat([conv.weight for conv in convs], dim=1)
    bias = torch.stack([conv.bias for conv in convs if conv.bias is not None]).sum(dim=0)
    total = F.conv2d(joined, weight, bias)
    if self.text is None or self.logit is None:
        return total
    gamma, beta = self.text(text)[..., None, None].chunk(2, dim=1)
    return self.logit(F.leaky_relu(total * (1 + gamma) + beta, 0.2))


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Compute as the textbook says inside, whoever asks."""
    with contextlib.ExitStack() as stack:
        for place, name, function in (
            (StyledConv, "forward", styled_conv),
            (ToRGB, "forward", to_rgb),
            (stylegan2, "upsample", upsample),
            (Clip, "pixels", clip_pixels),
            (Attention, "forward", attention),
        ):
            stack.enter_context(patch.object(place, name, function))
        yield
