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
CLIP spread wider than OpenAI's, so a recipe may weigh the other terms higher.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from faceedit import losses
from faceedit.backbones import Backbones
from faceedit.backbones.layers import EqualLinear, PixelNorm
from faceedit.descent import w_plus_unit
from faceedit.method import EditMethod, MethodConfig
from faceedit.types import Face, Latent, Sentence, Space

LEVELS = ("coarse", "medium", "fine")


@dataclass(frozen=True)
class MapperConfig(MethodConfig):
    """Settings of the mapper; the defaults are the official ones, but for `norm_axis`."""

    w_dim: int = 512
    width: int = 0  # of the hidden layers; 0 = w_dim
    depth: int = 4  # fully connected layers in each network
    coarse: bool = True  # whether the layers [0, medium_from) are moved
    medium: bool = True  # [medium_from, fine_from)
    fine: bool = True  # [fine_from, num_ws)
    medium_from: int = 4
    fine_from: int = 8
    single: bool = False  # one network for all layers, the official SingleMapper
    lr_multiplier: float = 0.01  # of the equalised learning rate
    norm_axis: Literal["entries", "layers"] = "entries"  # "layers" is the official one
    scale: float = 0.1  # of M_t(w); in the official code, not in the paper
    sentence: str = ""  # what it has learned
    weight_clip: float = 1.0
    weight_latent_l2: float = 0.8  # lambda_L2 of Equation 5
    weight_identity: float = 0.1  # lambda_ID of Equation 5; 0 where the edit changes who it is


class Mapper(nn.Sequential):
    """M_t of one level: pixel norm, then fully connected layers; [n, layers, w_dim] both ways."""

    def __init__(self, config: MapperConfig) -> None:
        widths = [config.width or config.w_dim] * (config.depth - 1)
        sizes = [config.w_dim, *widths, config.w_dim]
        rate = config.lr_multiplier
        super().__init__(
            PixelNorm(dim=-1 if config.norm_axis == "entries" else 1),
            *(
                EqualLinear(sizes[i], sizes[i + 1], lr_multiplier=rate, activate=True)
                for i in range(config.depth)
            ),
        )


class LevelsMapper(nn.Module):
    """M_t(w) = (M_t^c(w_c), M_t^m(w_m), M_t^f(w_f)) (Equation 3); a level that is off gives 0."""

    def __init__(self, config: MapperConfig) -> None:
        super().__init__()
        self.starts = (config.medium_from, config.fine_from)
        for level in LEVELS:
            if getattr(config, level):
                self.add_module(level, Mapper(config))

    def forward(self, code: Tensor) -> Tensor:
        """Map a w_plus code to delta_w, both [n, num_ws, w_dim]."""
        parts = code.tensor_split(self.starts, dim=1)
        return torch.cat([self._map(name, part) for name, part in self._named(parts)], dim=1)

    def _named(self, parts: Iterable[Tensor]) -> Iterable[tuple[str, Tensor]]:
        return zip(LEVELS, parts, strict=True)

    def _map(self, level: str, code: Tensor) -> Tensor:
        mapper = self._modules.get(level)
        return torch.zeros_like(code) if mapper is None or not code.shape[1] else mapper(code)


class StyleClipMapper(EditMethod):
    """Edit with w + scale * M_t(w)."""

    name = "styleclip_mapper"
    kind = "trained"
    config_class = MapperConfig
    space = Space.W_PLUS
    needs = frozenset({"generator", "clip", "identity"})

    centre: Tensor  # [w_dim], what codes are measured from
    unit: Tensor  # [w_dim], what an offset of 1 is worth in each entry

    def __init__(self, config: MapperConfig) -> None:
        super().__init__(config)
        self.mapper = Mapper(config) if config.single else LevelsMapper(config)
        self.register_buffer("centre", torch.zeros(config.w_dim))
        self.register_buffer("unit", torch.ones(config.w_dim))

    @classmethod
    def build(cls, backbones: Backbones, **settings: Any) -> Self:
        """Return a mapper that has learned nothing yet, in the units of this generator."""
        generator = backbones.require("generator", cls.name)
        method = cls(MapperConfig(**{"w_dim": generator.config.w_dim, **settings}))
        method.centre.copy_(generator.w_avg)
        method.unit.copy_(w_plus_unit(generator))
        return method

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w + strength * scale * M_t(w)); the sentence is in the weights."""
        code = source.latent.code
        delta_w = self.mapper((code - self.centre) / self.unit) * self.unit
        code = code + strength * self.config.scale * delta_w
        return Face(backbones.generator(code), Latent(code, self.space), source.mask)

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return the weighted terms of Equation 5; their sum is L(w)."""
        config = self.config
        moved = (edited.latent.code - source.latent.code) / self.unit
        terms = {
            "clip": config.weight_clip
            * losses.clip_distance(backbones.clip, edited.image, sentence),
            "latent_l2": config.weight_latent_l2 * moved.square().mean(),
        }
        if config.weight_identity:
            terms["identity"] = config.weight_identity * losses.identity_distance(
                backbones.identity, source.image, edited.image
            )
        return terms
