"""StyleGAN2 generator: z -> w -> w_plus -> s -> image, one code path for every latent space.

Paper: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", arXiv:1912.04958
(skip architecture, configuration F). Everything follows from the resolution: with
L = log2(resolution) there are 2L - 2 w layers, 2L - 3 noises and 3L - 4 styles.

Official weights (NVIDIA, rosinality) load through `faceedit.convert.stylegan2`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from faceedit.backbones.layers import (
    EqualLinear,
    PixelNorm,
    StyledConv,
    ToRGB,
    blur_kernel,
    upsample,
)

NoiseMode = Literal["const", "random", "none"]
# Called as hook(layer, features) after each styled convolution; what it returns replaces the
# features. `layer` is the index of the w that feeds the convolution, 0 .. num_ws - 2.
FeatureHook = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class GeneratorConfig:
    """Size of a generator; the defaults are the official FFHQ network (configuration F)."""

    added_later: ClassVar[frozenset[str]] = frozenset({"tied_layers"})

    resolution: int = 1024  # px, a power of two, at least 8
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    mapping_lr_multiplier: float = 0.01
    channel_base: int = 32768  # channels(r) = min(channel_base / r, channel_max)
    channel_max: int = 512
    conv_clamp: float | None = None  # limit of every activation; NVIDIA's fp16 networks use 256
    tied_layers: bool = False  # trained with one w for all its layers: edits should move them alike

    def __post_init__(self) -> None:
        """Refuse a resolution that the network cannot have."""
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise ValueError(
                f"resolution is {self.resolution}; it must be a power of two, at least 8"
            )

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Return the sizes of the blocks: 4, 8, ..., resolution."""
        return tuple(2**i for i in range(2, int(math.log2(self.resolution)) + 1))

    @property
    def num_ws(self) -> int:
        """Return how many layers take a w: 12 at 128 px, 18 at 1024 px."""
        return 2 * len(self.resolutions)

    def channels(self, resolution: int) -> int:
        """Return how many feature channels a block has."""
        return min(self.channel_base // resolution, self.channel_max)


@dataclass(frozen=True)
class StyleLayer:
    """One stretch of the joined style tensor s: the layer it modulates, and where it lies."""

    index: int  # position in the list of styles
    resolution: int  # px
    is_rgb: bool  # modulates a toRGB layer, which changes colours only
    w_index: int  # the layer of w_plus that it is computed from
    channels: int
    start: int  # s[:, start : start + channels]

    @property
    def channels_slice(self) -> slice:
        """Return where the layer's channels lie in s."""
        return slice(self.start, self.start + self.channels)


def style_layout(config: GeneratorConfig) -> tuple[StyleLayer, ...]:
    """Return all style layers in their order: conv1, toRGB at 4 px, then conv0, conv1, toRGB."""
    rows = []  # resolution, is_rgb, w index, channels
    for block, resolution in enumerate(config.resolutions):
        channels = config.channels(resolution)
        if block > 0:
            rows.append((resolution, False, 2 * block - 1, config.channels(resolution // 2)))
        rows.append((resolution, False, 2 * block, channels))
        rows.append((resolution, True, 2 * block + 1, channels))
    layers, start = [], 0
    for index, (resolution, is_rgb, w_index, channels) in enumerate(rows):
        layers.append(StyleLayer(index, resolution, is_rgb, w_index, channels, start))
        start += channels
    return tuple(layers)


class SynthesisBlock(nn.Module):
    """The layers of one resolution: two styled convolutions (one at 4 px) and a toRGB layer."""

    def __init__(self, config: GeneratorConfig, resolution: int) -> None:
        super().__init__()
        channels, w_dim, clamp = config.channels(resolution), config.w_dim, config.conv_clamp
        self.resolution = resolution
        if resolution > 4:
            below = config.channels(resolution // 2)
            self.conv0 = StyledConv(below, channels, w_dim, resolution, up=True, clamp=clamp)
        self.conv1 = StyledConv(channels, channels, w_dim, resolution, clamp=clamp)
        self.to_rgb = ToRGB(channels, w_dim, clamp=clamp)

    def convs(self) -> list[StyledConv]:
        """Return the styled convolutions in their order."""
        return [self.conv1] if self.resolution == 4 else [self.conv0, self.conv1]

    def layers(self) -> list[StyledConv | ToRGB]:
        """Return everything that takes a style, in the order of s."""
        return [*self.convs(), self.to_rgb]


class Generator(nn.Module):
    """G: latent code -> image, [n, 3, resolution, resolution], RGB in about [-1, 1], not clamped.

    Calling the module is `synthesis`, because edits happen in w_plus.
    """

    config_class: ClassVar[type[GeneratorConfig]] = GeneratorConfig
    w_avg: Tensor
    kernel: Tensor
    mapping: nn.Sequential

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.style_layers = style_layout(config)
        sizes = [config.z_dim] + [config.w_dim] * config.mapping_layers
        self.mapping = nn.Sequential(
            PixelNorm(),
            *(
                EqualLinear(a, b, lr_multiplier=config.mapping_lr_multiplier, activate=True)
                for a, b in pairwise(sizes)
            ),
        )
        self.register_buffer("w_avg", torch.zeros(config.w_dim))
        self.const = nn.Parameter(torch.randn(config.channels(4), 4, 4))
        self.blocks = nn.ModuleList(SynthesisBlock(config, r) for r in config.resolutions)
        self.register_buffer("kernel", blur_kernel(gain=4.0), persistent=False)

    @property
    def num_ws(self) -> int:
        """Return how many layers take a w."""
        return self.config.num_ws

    @property
    def style_dims(self) -> tuple[int, ...]:
        """Return the channels of every style layer; their sum is the width of s."""
        return tuple(layer.channels for layer in self.style_layers)

    def forward(self, w_plus: Tensor) -> Tensor:
        """Return the images of w_plus codes, with the fixed noise; see `synthesis`."""
        return self.synthesis(w_plus)

    def styles(self, w_plus: Tensor, resolution: int | None = None) -> Tensor:
        """Return s, [n, sum(style_dims)], the affine map of every layer before any gain.

        Computed in the parameters' dtype even under autocast: s is 2 % of the work and 8 bits of
        mantissa would be seen in the image.

        Args:
            w_plus: [n, num_ws, w_dim].
            resolution: Leave out the layers above this size, px; None: all layers.

        Raises:
            ValueError: If w_plus does not fit.
        """
        expected = (self.num_ws, self.config.w_dim)
        if w_plus.ndim != 3 or tuple(w_plus.shape[1:]) != expected:
            shape = tuple(w_plus.shape)
            raise ValueError(
                f"w_plus has shape {shape}; expected (n, {expected[0]}, {expected[1]})"
            )
        with torch.autocast(w_plus.device.type, enabled=False):
            w_plus = w_plus.to(self.const.dtype)
            modules = [m for block in self._blocks_up_to(resolution) for m in block.layers()]
            pairs = zip(modules, self.style_layers, strict=False)
            return torch.cat([m.affine(w_plus[:, layer.w_index]) for m, layer in pairs], dim=1)

    def synthesis(
        self,
        w_plus: Tensor,
        *,
        noise_mode: NoiseMode = "const",
        resolution: int | None = None,
        feature_hook: FeatureHook | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the images of w_plus codes.

        Args:
            w_plus: [n, num_ws, w_dim].
            noise_mode: "const" takes the stored noise (edits must, or skin and hair change too),
                "random" draws, "none" leaves it out.
            resolution: Stop at this size, px, and return the image accumulated so far; None: all.
            feature_hook: Called on the features after each styled convolution.
            generator: Source of "random" noise; None is the global one.

        Returns:
            [n, 3, resolution, resolution], RGB, about [-1, 1].

        Raises:
            ValueError: If w_plus does not fit or there is no such resolution.
        """
        return self.synthesis_from_styles(
            self.styles(w_plus, resolution),
            noise_mode=noise_mode,
            resolution=resolution,
            feature_hook=feature_hook,
            generator=generator,
        )

    def synthesis_from_styles(
        self,
        s: Tensor,
        *,
        noise_mode: NoiseMode = "const",
        resolution: int | None = None,
        feature_hook: FeatureHook | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the images of style codes s, [n, sum(style_dims)]; see `synthesis`.

        Under autocast the features have its dtype; the image is summed in the parameters' dtype.

        Raises:
            ValueError: If s does not fit, or there is no such resolution or noise mode.
        """
        if noise_mode not in ("const", "random", "none"):
            raise ValueError(f"noise_mode is {noise_mode!r}; choose from 'const', 'random', 'none'")
        blocks = self._blocks_up_to(resolution)
        styles = self._split(s, blocks)
        # channels_last: on a CPU 1.3 to 2 times faster than NCHW in these convolutions
        x = self.const.to(_compute_dtype(self.const)).expand(len(s), -1, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        image, layer = None, 0
        for block in blocks:
            for conv in block.convs():
                x = conv(x, next(styles), _noise(conv, x, noise_mode, generator))
                if feature_hook is not None:
                    x = feature_hook(layer, x)
                layer += 1
            colours = block.to_rgb(x, next(styles)).to(self.const.dtype)
            image = colours if image is None else colours + upsample(image, self.kernel)
        assert image is not None  # there is always a block
        return image

    def broadcast(self, w: Tensor) -> Tensor:
        """Repeat w, [n, w_dim], for every layer: w_plus, [n, num_ws, w_dim]."""
        return w[:, None].expand(-1, self.num_ws, -1)

    def truncate(self, w: Tensor, psi: float = 0.7, cutoff: int | None = None) -> Tensor:
        """Pull codes towards the mean: w_avg + psi (w - w_avg).

        Args:
            w: [n, w_dim], or [n, num_ws, w_dim].
            psi: 1 changes nothing, 0 gives the mean face.
            cutoff: How many layers are truncated, from the coarsest; None: all of them.

        Returns:
            w_plus, [n, num_ws, w_dim].
        """
        w_plus = self.broadcast(w) if w.ndim == 2 else w
        truncated = self.w_avg + psi * (w_plus - self.w_avg)
        if cutoff is None:
            return truncated
        return torch.cat([truncated[:, :cutoff], w_plus[:, cutoff:]], dim=1)

    @torch.no_grad()
    def sample_w_plus(
        self, n: int, generator: torch.Generator, truncation_psi: float = 0.7
    ) -> Tensor:
        """Return the codes of n random faces, [n, num_ws, w_dim]; a CPU `generator` fixes them."""
        z = torch.randn(n, self.config.z_dim, generator=generator, device=generator.device)
        return self.truncate(self.mapping(z.to(self.const)), truncation_psi)

    @torch.no_grad()
    def set_w_avg(self, generator: torch.Generator, samples: int = 10_000) -> None:
        """Set w_avg to the mean w of random samples."""
        z = torch.randn(samples, self.config.z_dim, generator=generator, device=generator.device)
        self.w_avg.copy_(self.mapping(z.to(self.const)).mean(0))

    def _blocks_up_to(self, resolution: int | None) -> list[SynthesisBlock]:
        """Return the blocks that make an image of this size."""
        blocks = cast("list[SynthesisBlock]", list(self.blocks))
        if resolution is None:
            return blocks
        if resolution not in self.config.resolutions:
            raise ValueError(f"resolution is {resolution}; choose from {self.config.resolutions}")
        return blocks[: self.config.resolutions.index(resolution) + 1]

    def _split(self, s: Tensor, blocks: list[SynthesisBlock]) -> Iterator[Tensor]:
        """Cut s into the styles of these blocks; s may hold those of later blocks too."""
        sizes = self.style_dims[: 3 * len(blocks) - 1]
        if s.ndim != 2 or s.shape[1] not in (sum(sizes), sum(self.style_dims)):
            raise ValueError(f"s has shape {tuple(s.shape)}; expected (n, {sum(self.style_dims)})")
        return iter(s[:, : sum(sizes)].split(sizes, dim=1))


def _compute_dtype(parameter: Tensor) -> torch.dtype:
    """Return the dtype of features: autocast's where it is on, else the parameters'."""
    device = parameter.device.type
    return (
        torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else parameter.dtype
    )


def _noise(
    conv: StyledConv, x: Tensor, mode: NoiseMode, generator: torch.Generator | None
) -> Tensor | None:
    """Return the noise of one layer, [n or 1, 1, h, w], or None."""
    if mode == "none":
        return None
    if mode == "const":
        return conv.noise[None, None]
    shape = (len(x), 1, *conv.noise.shape)
    device = x.device if generator is None else generator.device
    return torch.randn(shape, generator=generator, device=device).to(conv.noise)
