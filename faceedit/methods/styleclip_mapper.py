"""StyleCLIP latent mapper: a small network learns one sentence, then edits any face in one pass.

Paper: Patashnik et al., "StyleCLIP: Text-Driven Manipulation of StyleGAN Imagery", ICCV 2021,
arXiv:2103.17249, Section 5.
Notation (here -> paper): code -> w, delta_w -> M_t(w), coarse, medium, fine -> M_t^c, M_t^m, M_t^f,
source.image -> G(w), weight_latent_l2 -> lambda_L2, weight_identity -> lambda_ID.
Differs from the paper: as in its official code, M_t(w) is multiplied by 0.1 (`scale`), and the
latent term is the mean square of delta_w where Equation 5 prints its norm. Codes are given to the
networks, and moved, in units of twice each entry's deviation over random faces (`centre`, `unit`),
which is 1 for official generators, so that the loss weights mean the same for generators of any
scale; official weights have centre 0 and unit 1. The official code normalises a code over its
layers, which for codes with equal layers leaves nothing but signs; ours normalises every layer's
own vector (`norm_axis`). The networks may be narrower than the code (`width`). Cosines of a small
CLIP spread wider than OpenAI's, so a recipe may weigh the other terms higher. As the official code
can, it also moves style codes (`space: s`): each layer's channels have a network of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from faceedit.backbones import Backbones
from faceedit.backbones.layers import EqualLinear, PixelNorm
from faceedit.losses import terms as losses
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.codes import add_units, set_units
from faceedit.types import Face, Latent, Sentence, Space

LAYER_GROUPS = ("coarse", "medium", "fine")


@dataclass(frozen=True)
class MapperConfig(MethodConfig):
    """Settings of the mapper; the defaults are the official ones, but for `norm_axis`."""

    # Sizes
    space: Literal["w_plus", "s"] = "w_plus"
    w_dim: int = 512  # not read in s
    style_dims: tuple[int, ...] = ()  # channels of every style layer; read in s only
    # The paper's
    to_rgb: bool = False  # in s: whether the styles of toRGB layers, mere colours, are moved too
    depth: int = 4  # fully connected layers in each network
    coarse: bool = True  # whether the layers [0, medium_from) are moved
    medium: bool = True  # [medium_from, fine_from)
    fine: bool = True  # [fine_from, num_ws)
    medium_from: int = 4
    fine_from: int = 8
    single: bool = False  # one network for all layers, the official SingleMapper; not in s
    lr_multiplier: float = 0.01  # of the equalised learning rate
    scale: float = 0.1  # of M_t(w); in the official code, not in the paper
    sentence: str = ""  # what it has learned
    weight_clip: float = 1.0
    weight_latent_l2: float = 0.8  # lambda_L2 of Equation 5
    weight_identity: float = 0.1  # lambda_ID of Equation 5; 0 where the edit changes who it is
    # Ours
    norm_axis: Literal["entries", "layers"] = "entries"  # "layers" is the official one, see above
    width: int = 0  # of the hidden layers; 0 = that of the code

    def __post_init__(self) -> None:
        """Refuse one network for style layers, which differ in width."""
        super().__post_init__()
        if self.space == "s" and self.single:
            raise ValueError("single is set, but space is 's', where every layer has its own width")


class Mapper(nn.Sequential):
    """M_t of one part of a code: pixel norm, then fully connected layers; [..., size] both ways."""

    def __init__(self, config: MapperConfig, size: int) -> None:
        widths = [config.width or size] * (config.depth - 1)
        sizes = [size, *widths, size]
        rate = config.lr_multiplier
        super().__init__(
            PixelNorm(dim=-1 if config.norm_axis == "entries" else 1),
            *(
                EqualLinear(sizes[i], sizes[i + 1], lr_multiplier=rate, activate=True)
                for i in range(config.depth)
            ),
        )


class PartsMapper(nn.Module):
    """M_t(w) = (M_t^c(w_c), M_t^m(w_m), M_t^f(w_f)) (Equation 3), for any parts of a code.

    Args:
        starts: Part's name -> where it begins along axis 1; the first at 0, each ends at the next.
        networks: Part's name -> its network; a part that has none gives 0.
    """

    def __init__(self, starts: Mapping[str, int], networks: Mapping[str, Mapper]) -> None:
        super().__init__()
        self.starts = dict(starts)
        for name, network in networks.items():
            self.add_module(name, network)

    def forward(self, code: Tensor) -> Tensor:
        """Map a code to its offset of the same shape."""
        parts = code.tensor_split(list(self.starts.values())[1:], dim=1)
        named = zip(self.starts, parts, strict=True)
        return torch.cat([self._map(name, part) for name, part in named], dim=1)

    def _map(self, name: str, part: Tensor) -> Tensor:
        mapper = self._modules.get(name)
        return torch.zeros_like(part) if mapper is None or not part.shape[1] else mapper(part)


def make_mapper(config: MapperConfig) -> nn.Module:
    """Return M_t of the codes and the parts that the settings name."""
    if config.single:
        return Mapper(config, config.w_dim)
    return style_mapper(config) if config.space == Space.S else w_plus_mapper(config)


def w_plus_mapper(config: MapperConfig) -> PartsMapper:
    """Return M_t of w_plus codes, [n, num_ws, w_dim]: a network per layer group."""
    starts = (0, config.medium_from, config.fine_from)
    moved = [group for group in LAYER_GROUPS if getattr(config, group)]
    networks = {group: Mapper(config, config.w_dim) for group in moved}
    return PartsMapper(dict(zip(LAYER_GROUPS, starts, strict=True)), networks)


def style_mapper(config: MapperConfig) -> PartsMapper:
    """Return M_t of style codes, [n, sum(style_dims)]: a network per style layer."""
    sizes, names = config.style_dims, [str(layer) for layer in range(len(config.style_dims))]
    starts = dict(zip(names, accumulate(sizes, initial=0), strict=False))  # the last sum is s's end
    moved = [layer for layer in range(len(sizes)) if is_moved(layer, config)]
    return PartsMapper(starts, {names[layer]: Mapper(config, sizes[layer]) for layer in moved})


def is_moved(layer: int, config: MapperConfig) -> bool:
    """Return whether a style layer has a network: its group is on, and toRGB layers if wanted.

    The order of layers is that of `style_layout`: two at 4 px, then three a resolution, toRGB last;
    a toRGB layer shares its w with the next resolution's first.
    """
    w_index = layer - (layer + 1) // 3
    group = LAYER_GROUPS[(w_index >= config.medium_from) + (w_index >= config.fine_from)]
    return bool(getattr(config, group)) and (config.to_rgb or layer % 3 != 1)


class StyleClipMapper(EditMethod):
    """Edit with w + scale * M_t(w), w being a w_plus or a style code."""

    name = "styleclip_mapper"
    kind = "trained"
    config_class = MapperConfig
    space = Space.W_PLUS  # of the default settings; an instance has that of its settings
    needs = frozenset({"generator", "clip", "identity"})
    pixels = "styleclip"

    centre: Tensor  # [w_dim], or [sum(style_dims)]: what codes are measured from
    unit: Tensor  # the same: what an offset of 1 is worth in each entry

    def __init__(self, config: MapperConfig) -> None:
        super().__init__(config)
        self.space = Space(config.space)  # type: ignore[misc]  # the settings decide
        self.mapper = make_mapper(config)
        entries = sum(config.style_dims) if self.space is Space.S else config.w_dim
        add_units(self, entries)

    @classmethod
    def build(cls, backbones: Backbones, **settings: Any) -> Self:
        """Return a mapper that has learned nothing yet, in the units of this generator."""
        generator = backbones.require("generator", cls.name)
        sizes: dict[str, Any] = {"w_dim": generator.config.w_dim}
        if settings.get("space") == Space.S:
            sizes = {"w_dim": 0, "style_dims": generator.style_dims}
        method = cls(MapperConfig(**{**sizes, **settings}))
        set_units(method, generator, method.space)
        return method

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w + strength * scale * M_t(w)); the sentence is in the weights."""
        code = source.latent.code
        delta_w = self.mapper((code - self.centre) / self.unit) * self.unit
        code = code + strength * self.config.scale * delta_w
        generator = backbones.generator
        draw = generator.synthesis_from_styles if self.space is Space.S else generator
        return Face(draw(code), Latent(code, self.space), source.mask)

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return the weighted terms of Equation 5; their sum is L(w).

        In s the latent term is the sum of every style layer's mean square, as in the official code.
        """
        config = self.config
        moved = (edited.latent.code - source.latent.code) / self.unit
        parts = moved.split(config.style_dims, dim=1) if self.space is Space.S else (moved,)
        latent_l2 = torch.stack([part.square().mean() for part in parts]).sum()
        terms = {
            "clip": config.weight_clip
            * losses.clip_distance(backbones.clip, edited.image, sentence),
            "latent_l2": config.weight_latent_l2 * latent_l2,
        }
        if config.weight_identity:
            terms["identity"] = config.weight_identity * losses.identity_distance(
                backbones.identity, source.image, edited.image
            )
        return terms
