"""e4e: one pass from an aligned face to its w_plus code.

Paper: Tov et al., "Designing an Encoder for StyleGAN Image Manipulation", arXiv:2102.02766,
Section 4; the pyramid is pSp's (Richardson et al., arXiv:2008.00951).
Notation (here -> paper): base -> w, delta_w -> Delta_i, code -> (w, w + Delta_1, ...).

`EncoderConfig()` is the official size; there every layer has a head of its own, 267 M parameters
for 1024 px. `share_heads` and narrower heads make the same network small enough for one CPU core.
Small bodies miss where eyes look; `fovea`, ours, adds to every layer what a second look finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.attributes import Fovea, check_fovea
from faceedit.backbones.identity import IrSeBody
from faceedit.backbones.layers import EqualLinear

HEAD_SLOPE = 0.01  # of the heads' LeakyReLU; not StyleGAN's 0.2


@dataclass(frozen=True)
class EncoderConfig:
    """Size of the encoder; the defaults are the official e4e for 1024 px.

    Attributes:
        num_ws: Layers of the generator that take a w.
        w_dim: Length of a w.
        input_size: Side in px to which faces are pooled before they are encoded.
        widths: Channels of the four stages of the IR-SE body.
        units: Residual units of the four stages.
        fold: Each fold x fold block of pixels becomes the channels of one stem pixel; 1 officially.
        squeeze: Channel divisor inside squeeze-and-excitation.
        levels: First layer read from the medium and from the fine map of the pyramid.
        head_channels: Channels of the pyramid and of the heads.
        share_heads: The layers of a level share the convolutions of their head and differ in the
            last linear map only; False officially.
        codes: "delta": layer i is base + delta_i (e4e); "absolute": each layer has its own code
            (pSp); "single": one w for all layers, from the pooled coarse map ("W encoder").
        fovea: Top, bottom, left and right, in px of the input, of a square that is looked at a
            second time without folding (`attributes.Fovea`); empty for none, as officially.
        fovea_widths: Channels of that look's stem and stages.
        fovea_colors: Places in the square whose mean colour is measured.
        fovea_hidden: Numbers that the second look is summed up in.
    """

    added_later: ClassVar[frozenset[str]] = frozenset(
        {"fovea", "fovea_widths", "fovea_colors", "fovea_hidden"}
    )

    num_ws: int = 18
    w_dim: int = 512
    input_size: int = 256
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    units: tuple[int, int, int, int] = (3, 4, 14, 3)
    fold: int = 1
    squeeze: int = 16
    levels: tuple[int, int] = (3, 7)
    head_channels: int = 512
    share_heads: bool = False
    codes: Literal["delta", "absolute", "single"] = "delta"
    fovea: tuple[int, ...] = ()
    fovea_widths: tuple[int, ...] = (20, 32, 48)
    fovea_colors: int = 8
    fovea_hidden: int = 96

    def __post_init__(self) -> None:
        """Accept lists (config.json has no tuples) and refuse what cannot be built."""
        for name in ("widths", "units", "levels", "fovea", "fovea_widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.widths) != 4 or len(self.units) != 4:
            raise ValueError(
                f"the pyramid needs four stages, got widths {self.widths}, units {self.units}"
            )
        if self.codes not in ("delta", "absolute", "single"):
            raise ValueError(
                f"codes is {self.codes!r}; choose from 'delta', 'absolute' and 'single'"
            )
        size = self.input_size // self.fold // 16
        if size * self.fold * 16 != self.input_size or size & (size - 1):
            raise ValueError(
                f"input_size is {self.input_size}; it must be a power of two times {16 * self.fold}"
            )
        if self.fovea:
            check_fovea(self.fovea, self.input_size, 2 ** (len(self.fovea_widths) - 1))

    @property
    def coarse_size(self) -> int:
        """Side of the last map of the body: 16 officially; the finer two double it."""
        return self.input_size // self.fold // 16

    def level(self, layer: int) -> int:
        """Return the level that a layer is read from: 0 coarse, 1 medium, 2 fine."""
        return sum(layer >= start for start in self.levels)


# The portrait world's encoder: 128 px, 12 layers, 2.6 M parameters (5 MiB in half precision).
PORTRAIT_ENCODER = EncoderConfig(
    num_ws=12,
    w_dim=256,
    input_size=128,
    widths=(24, 48, 96, 160),
    units=(1, 2, 2, 2),
    fold=2,
    squeeze=8,
    head_channels=104,
    share_heads=True,
    fovea=(48, 112, 32, 96),
)


class StyleHead(nn.Module):
    """Strided convolutions down to one pixel, then one linear map for each of its layers."""

    def __init__(self, channels: int, size: int, w_dim: int, layers: int) -> None:
        super().__init__()
        count = size.bit_length() - 1  # convolutions that halve `size` down to 1
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, 2, 1) for _ in range(count))
        self.linears = nn.ModuleList(EqualLinear(channels, w_dim) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """[n, channels, size, size] -> [n, layers, w_dim]."""
        for conv in self.convs:
            x = F.leaky_relu(conv(x), HEAD_SLOPE)
        x = x.flatten(1)
        return torch.stack([linear(x) for linear in self.linears], dim=1)


class SecondLook(nn.Module):
    """What a look at the middle of the face at full resolution adds to the code of every layer.

    Nothing at first, so that a trained encoder which gets one goes on from where it was.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.fovea = Fovea(config.fovea, config.fovea_widths, config.fovea_colors)
        self.hidden = nn.Linear(self.fovea.outputs, config.fovea_hidden)
        self.linear = nn.Linear(config.fovea_hidden, config.w_dim)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, image: Tensor) -> Tensor:
        """[n, 3, input_size, input_size] -> [n, 1, w_dim]."""
        seen = self.hidden(self.fovea(image))
        return self.linear(F.leaky_relu(seen, HEAD_SLOPE))[:, None]


class Encoder(nn.Module):
    """E, which maps an aligned face to w_plus."""

    config_class: ClassVar[type[EncoderConfig]] = EncoderConfig
    w_avg: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.body = IrSeBody(config.widths, config.units, config.fold, config.squeeze)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))  # the generator's mean w
        self.second_look = SecondLook(config) if config.fovea else None
        if config.codes == "single":
            self.linear = EqualLinear(config.widths[-1], config.w_dim)
            return
        channels = config.head_channels
        # Officially the coarse map already has the channels of the heads and needs no convolution.
        same = config.widths[3] == channels
        self.coarse = nn.Identity() if same else nn.Conv2d(config.widths[3], channels, 1)
        self.lateral_medium = nn.Conv2d(config.widths[2], channels, 1)
        self.lateral_fine = nn.Conv2d(config.widths[1], channels, 1)
        self.heads = nn.ModuleList(
            StyleHead(channels, config.coarse_size * 2**level, config.w_dim, len(layers))
            for level, layers in self._head_layers()
        )

    def _head_layers(self) -> list[tuple[int, list[int]]]:
        """Return (level, layers) of every head, in the order of the layers."""
        config = self.config
        layers = range(config.num_ws)
        if not config.share_heads:
            return [(config.level(layer), [layer]) for layer in layers]
        groups = [(level, [i for i in layers if config.level(i) == level]) for level in range(3)]
        return [(level, group) for level, group in groups if group]

    def maps(self, image: Tensor) -> list[Tensor]:
        """Return the body's feature maps of aligned faces [n, 3, h, w], the finest first."""
        return self.body(self._sized(image))

    def _sized(self, image: Tensor) -> Tensor:
        size = self.config.input_size
        if image.shape[-2:] != (size, size):
            image = F.adaptive_avg_pool2d(image, size)
        return image

    def pyramid(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the coarse, medium and fine maps that the heads read, from those of the body."""
        _, fine, medium, coarse = maps
        coarse = self.coarse(coarse)
        medium = _enlarge(coarse, medium) + self.lateral_medium(medium)
        fine = _enlarge(medium, fine) + self.lateral_fine(fine)
        return [coarse, medium, fine]

    def offsets(
        self, image: Tensor, layers: int | None = None, maps: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Return the code without the mean w, which is what the network itself computes.

        Args:
            image: Aligned faces, [n, 3, h, w], RGB in [-1, 1], any size; pooled here.
            layers: Layers above this one repeat the base (e4e's progressive training: 0 gives one
                w for all); None for all deltas. Only for codes = "delta".
            maps: What `maps` says of these images, if it is known already.

        Returns:
            [n, num_ws, w_dim]. In "delta" the first entry is the base.
        """
        image = self._sized(image)
        codes = self._first_look(self.body(image) if maps is None else maps, layers)
        return codes if self.second_look is None else codes + self.second_look(image)

    def _first_look(self, maps: Sequence[Tensor], layers: int | None) -> Tensor:
        config = self.config
        if config.codes == "single":
            pooled = maps[-1].mean((2, 3))
            return self.linear(pooled)[:, None].repeat(1, config.num_ws, 1)
        levels = self.pyramid(maps)
        heads = zip(self._head_layers(), self.heads, strict=True)
        outputs = torch.cat([head(levels[level]) for (level, _), head in heads], dim=1)
        if config.codes == "absolute":
            return outputs
        base, delta_w = outputs[:, :1], outputs[:, 1:]
        if layers is not None:
            used = torch.arange(1, config.num_ws, device=delta_w.device) <= layers
            delta_w = delta_w * used[:, None]
        return torch.cat([base, base + delta_w], dim=1)

    def forward(
        self, image: Tensor, layers: int | None = None, maps: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Return the w_plus codes of aligned faces.

        code_0 = w_avg + base, code_i = w_avg + base + delta_i (e4e, Section 4).

        Args:
            image: Aligned faces, [n, 3, h, w], RGB in [-1, 1], any size.
            layers: As in `offsets`.
            maps: As in `offsets`.

        Returns:
            [n, num_ws, w_dim], float32.
        """
        return self.offsets(image, layers, maps).float() + self.w_avg


def _enlarge(coarse: Tensor, like: Tensor) -> Tensor:
    """Resize to the side of another map; corners aligned, as the official weights expect."""
    return F.interpolate(coarse, size=like.shape[-2:], mode="bilinear", align_corners=True)
