"""Layers of the StyleGAN2 family in plain PyTorch operations.

Paper: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", arXiv:1912.04958.

Two choices keep these layers fast on a CPU and exactly equal to the official operations:

* Modulation scales the activations, and demodulation the result (the paper's section 2.2 before
  it folds both into the weights). No sample gets a kernel of its own: a batch is one convolution.
* Upsampling convolves with stride 1/2 first and blurs afterwards, as the official code does.
  Folding the blur into one 6x6 kernel, or into four 3x3 polyphase kernels, gives the same numbers
  for four times the multiplications: measured at 64 -> 128 px, bf16, one core, 71 ms and 79 ms
  against 23 ms + 14 ms for a batch of 16. The blur as one depthwise 4x4 convolution beat three
  average poolings and sums of slices by far, and equals two separable passes.

One picture of 256 px and more, drawn without gradients, is the exception to the first: there both
scales go into the kernel and what is added is added in place, because every pass over features of
1024 px moves 256 MB, and memory that is new has to be cleared by the system first.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLUR_TAPS = (
    1.0,
    3.0,
    3.0,
    1.0,
)  # the binomial filter of all StyleGAN2 resampling, before its sum is taken out
LARGE = 256  # px from which a pass over the features costs more than scaling a kernel
LEAKY_SLOPE = 0.2
ACTIVATION_GAIN = math.sqrt(2.0)  # restores the variance that the leaky ReLU removes


def blur_kernel(gain: float = 1.0) -> Tensor:
    """Return the two-dimensional FIR filter, [4, 4] float32, whose entries sum to `gain`."""
    share = gain / sum(BLUR_TAPS) ** 2
    return torch.tensor([[a * b * share for b in BLUR_TAPS] for a in BLUR_TAPS])


def _depthwise(kernel: Tensor, x: Tensor) -> Tensor:
    """Repeat a [kh, kw] filter for every channel of `x`, in its dtype: [c, 1, kh, kw]."""
    return kernel.to(x).expand(x.shape[1], 1, *kernel.shape)


def blur(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Filter every channel with the same FIR kernel, zeros outside.

    Args:
        x: Features, [n, c, h, w].
        kernel: A symmetric filter, [k, k] (symmetric, so convolution and correlation agree).
        padding: Rows and columns of zeros on each side.

    Returns:
        [n, c, h + 2 * padding - k + 1, w + 2 * padding - k + 1].
    """
    return F.conv2d(x, _depthwise(kernel, x), padding=padding, groups=x.shape[1])


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Double the size: zeros between the pixels, then the FIR filter (its entries sum to 4).

    Computed in the dtype of `x` even under autocast: it carries the accumulated image.
    """
    with torch.autocast(x.device.type, enabled=False):
        weight = _depthwise(kernel, x)
        return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=x.shape[1])


def _planes(x: Tensor) -> Tensor:
    """Return one picture's features [1, c, h, w] with each channel in one piece of memory.

    As a transposed matrix; `contiguous` walks through memory three times as long.
    """
    _, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(h * w, c).t().contiguous().view(1, c, h, w)


def _pixels(x: Tensor) -> Tensor:
    """Return what `_planes` was given: each pixel in one piece, as "channels_last" has it."""
    _, c, h, w = x.shape
    return x.reshape(c, h * w).t().contiguous().view(1, h, w, c).permute(0, 3, 1, 2)


def per_channel(values: Tensor, x: Tensor) -> Tensor:
    """Return one value a channel, [n or 1, c], as [n or 1, c, 1, 1] in the dtype of `x`."""
    return values.to(x)[:, :, None, None]


class PixelNorm(nn.Module):
    """Scale vectors to unit mean square: x / sqrt(mean(x^2) + 1e-8)."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Normalise along `dim`; same shape."""
        return x * torch.rsqrt(x.square().mean(self.dim, keepdim=True) + 1e-8)


class LayerwiseLinear(nn.Module):
    """A linear map of its own for every layer: [n, layers, in] -> [n, layers, out]."""

    def __init__(self, layers: int, in_features: int, out_features: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(layers, out_features, in_features) * std)
        self.bias = nn.Parameter(torch.zeros(layers, out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map each layer by its own weights."""
        return torch.einsum("nli,loi->nlo", x, self.weight) + self.bias


class EqualLinear(nn.Module):
    """A linear layer with an equalised learning rate.

    y = x (weight * lr_multiplier / sqrt(in))^T + bias * lr_multiplier, and with `activate`
    sqrt(2) * leaky_relu(y). `weight` is stored as N(0, 1) / lr_multiplier.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias_init: float = 0.0,
        lr_multiplier: float = 1.0,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier))
        self.lr_multiplier = lr_multiplier
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in_features] to [..., out_features]."""
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.lr_multiplier)
        return F.leaky_relu(y, LEAKY_SLOPE) * ACTIVATION_GAIN if self.activate else y


class EqualConv2d(nn.Module):
    """A convolution with an equalised learning rate; `weight` is stored as N(0, 1)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.stride = stride
        self.padding = (kernel_size // 2) if stride == 1 else 0

    def forward(self, x: Tensor) -> Tensor:
        """Map [n, in_channels, h, w] to [n, out_channels, h', w']."""
        weight = self.weight * self.weight_gain
        return F.conv2d(x, weight, self.bias, stride=self.stride, padding=self.padding)


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """Return the factor that brings each output channel back to unit variance, [n, out].

    1 / sqrt(sum over inputs and taps of (style * weight)^2 + 1e-8), arXiv:1912.04958 Equation 3.

    Args:
        weight: The kernel with its gain, [out, in, k, k].
        style: One scale an input channel, [n, in].
    """
    with torch.autocast(weight.device.type, enabled=False):
        energy = weight.square().sum((2, 3))  # [out, in]; no sample's kernel is ever formed
        return torch.rsqrt(style.square() @ energy.T + 1e-8)


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias and leaky ReLU: one layer of the synthesis network.

    Holds the affine map of the layer (`affine`: w -> style) although `forward` takes the style, so
    that an edit in s and an edit in w run through the same code.
    """

    noise: Tensor
    kernel: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        *,
        up: bool = False,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.affine = EqualLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise", torch.randn(resolution, resolution))
        self.weight_gain = 1 / math.sqrt(in_channels * 9)
        self.up = up
        self.clamp = clamp
        if up:
            self.register_buffer("kernel", blur_kernel(gain=4.0), persistent=False)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve, doubling the size first where the layer does so."""
        if not self.up:
            return F.conv2d(x, weight, padding=1)
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # [n, out, 2h + 1, 2w + 1]
        return blur(x, self.kernel, padding=1)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None = None) -> Tensor:
        """Apply the layer.

        sqrt(2) * leaky_relu(demodulation * conv(style * x) + noise_strength * noise + bias); the
        factor sqrt(2) moves into the three summands, because leaky_relu(a x) = a leaky_relu(x) for
        a > 0, which saves a pass over the features.

        Args:
            x: Features, [n, in, h, w].
            style: Scales of the input channels, [n, in].
            noise: [n or 1, 1, h', w'] in units of the noise strength, or None for no noise.

        Returns:
            [n, out, h', w'], twice the size if the layer upsamples.
        """
        weight = self.weight * self.weight_gain
        scale = demodulation(weight, style) * ACTIVATION_GAIN
        if len(style) == 1 and self.noise.shape[-1] >= LARGE and not torch.is_grad_enabled():
            return self._one_picture(
                x, weight * style[:, :, None, None] * scale.T[..., None, None], noise
            )
        x = self.convolve(x * per_channel(style, x), weight)
        shift = per_channel(self.bias[None] * ACTIVATION_GAIN, x)
        if noise is not None:
            shift = shift + (noise * self.noise_strength * ACTIVATION_GAIN).to(x)
        x = torch.addcmul(shift, x, per_channel(scale, x))
        x = F.leaky_relu(x, LEAKY_SLOPE, inplace=True)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

    def _one_picture(self, x: Tensor, kernel: Tensor, noise: Tensor | None) -> Tensor:
        """Do what `forward` does with a kernel that holds both scales, in as few passes."""
        bias = self.bias * ACTIVATION_GAIN
        if self.up:
            # planes: there this operation is twice as fast, and the same to the bit
            x = _pixels(F.conv_transpose2d(_planes(x), kernel.transpose(0, 1), stride=2))
            taps = _depthwise(self.kernel, x)
            x = F.conv2d(x, taps, bias.to(taps), padding=1, groups=x.shape[1])
        else:
            x = F.conv2d(x, kernel, bias, padding=1)
        if noise is not None:
            x.add_((noise * self.noise_strength * ACTIVATION_GAIN).to(x))
        x = F.leaky_relu(x, LEAKY_SLOPE, inplace=True)
        return x if self.clamp is None else x.clamp_(-self.clamp, self.clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three colours, without demodulation.

    The style is the affine map's output before any gain (the TensorFlow and rosinality convention);
    NVIDIA's PyTorch code multiplies it by 1 / sqrt(in), which is here part of the weight.
    """

    def __init__(self, in_channels: int, w_dim: int, *, clamp: float | None = None) -> None:
        super().__init__()
        self.affine = EqualLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.weight_gain = 1 / math.sqrt(in_channels)
        self.clamp = clamp

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map features [n, in, h, w] and style [n, in] to colours [n, 3, h, w]."""
        weight = self.weight * self.weight_gain
        if len(style) == 1 and x.shape[-1] >= LARGE and not torch.is_grad_enabled():
            x = F.conv2d(x, weight * style[:, :, None, None], self.bias)
            return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)
        x = x * per_channel(style, x)
        x = F.conv2d(x, weight, self.bias)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)
