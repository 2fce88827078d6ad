"""FFCLIP: one network that edits by any sentence, its words aligned with layers and channels of w.

Paper: Zhu et al., "One Model to Edit Them All: Free-Form Text-Driven Image Manipulation with
Semantic Modulations", NeurIPS 2022, arXiv:2210.07883.
Notation (here -> paper): code -> w, text -> e (the text embedding), SemanticModulation -> the
cross-modality semantic modulation module, made of SemanticAlignment (linear transformations and
cross attention) and SemanticInjection; reaction -> the attention over layers, offset -> delta_w.
Differs from the paper:
* Codes enter, and offsets leave, in units of twice each entry's deviation over random faces
  (`centre`, `unit`), which is 1 for official generators; official weights have centre 0 and unit 1.
* A random face has the same w in all layers, and the paper's module then gives all layers the same
  offset; the official training inverts photographs instead. Each layer gets a learned code
  (`layer_codes`), and the offset is read off by a linear map a layer (`readout`), which also lets
  it be negative. Both are absent from official weights.
* All layers may be given the mean of their offsets (`one_offset`). A generator that has seen only
  one w for all its layers draws faces along it; an offset a layer leads to pictures that please
  CLIP, with twice as much changed beside.
* The text is the difference to the neutral sentence (`text`), of fixed length.
* A sentence of several wishes may be split (`faceedit.words.wishes`) and fulfilled wish by wish,
  each asked of the code that the ones before have made (`in_turn`); the paper asks for all at once.
* The CLIP term compares the change of the image with the difference of the texts (`aim`); the
  paper's looks at the edited image alone, by which a small CLIP changes more than was asked.
* Loss weights are for a small CLIP, whose cosines spread wider than OpenAI's, and for means over
  the batch, where the official code sums the CLIP term and averages the others. The background is
  what the segmenter calls so (or clothes) in both images, where the official code holds all but
  the hair.
* `arch="per_layer"` is the module as summaries of the paper describe it; see `PerLayerModulation`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones import Backbones
from faceedit.backbones.layers import LayerwiseLinear, PixelNorm
from faceedit.losses import terms as losses
from faceedit.losses.pae import PaeSettings
from faceedit.losses.text import Aim, text_direction, text_distance
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.codes import w_plus_unit
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import in_turn
from faceedit.words.wishes import one_wish, wishes

SMALL = 0.02  # spread of an untrained offset, in units: the first edits are hardly visible
GROUPS = (4, 8)  # where the medium and the fine layers begin


@dataclass(frozen=True)
class FfClipConfig(MethodConfig):
    """Settings of the module and of its training."""

    added_later = MethodConfig.added_later | {"in_turn", "one_offset"}
    arch: Literal["ffclip", "per_layer"] = "ffclip"
    num_ws: int = 18
    w_dim: int = 512
    text_dim: int = 512
    blocks: int = 4
    heads: int = 8  # of each attention of "per_layer"
    in_turn: bool = False  # split sentences of several wishes, except in training
    layer_codes: bool = True
    readout: bool = True
    one_offset: bool = False  # the same in all layers, for a generator that was trained with one w
    text: Literal["direction", "embedding"] = "direction"
    text_norm: float = 10.0  # length of the text at the input; ViT-B/32's embeddings have about 10
    injection_scales: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of coarse, medium, fine layers
    aim: Aim = "direction"  # "global" is the paper's; see `faceedit.losses.text`
    pae_alpha: float = 2.0  # where the aim is "pae"
    kept_regions: tuple[str, ...] = ("background", "cloth")
    weight_clip: float = 1.0
    weight_identity: float = 0.3  # the official weights, for a weight_clip of 8: 0.9,
    weight_latent_l1: float = 0.4  # 1.6,
    weight_background: float = 2.0  # 2.0,
    weight_clip_image: float = 0.0  # and 1.0


class SemanticAlignment(nn.Module):
    """Find which layers and which channels of w a sentence is about: linear maps, cross attention.

    Both attentions are the official code's: over layers without a scale, over channels with keys of
    rank 1 (`channel_key` maps every entry of the text to one number a layer).
    """

    def __init__(self, num_ws: int, w_dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(w_dim, w_dim, bias=False)  # of the text
        self.key = nn.Linear(w_dim, w_dim, bias=False)  # of the code
        self.value = nn.Linear(w_dim, w_dim, bias=False)
        self.channel_query = nn.Linear(w_dim, w_dim, bias=False)
        self.channel_key = nn.Linear(1, num_ws, bias=False)
        self.channel_value = nn.Linear(w_dim, w_dim, bias=False)
        # The scores have no 1 / sqrt(w_dim): without this the softmax would start saturated.
        nn.init.normal_(self.query.weight, std=1 / w_dim)

    def forward(self, x: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return what of the code the text is about, and how much each layer reacts.

        Args:
            x: Normalised code, [n, num_ws, w_dim].
            text: [n, w_dim].

        Returns:
            [n, num_ws, w_dim], and the reaction, [n, num_ws], which sums to 1.
        """
        size = x.shape[-1:]
        scores = torch.einsum("nld,nd->nl", self.key(x), self.query(text))
        reaction = scores.softmax(dim=1)
        by_layer = reaction[..., None] * self.value(x)
        keys = self.channel_key(text[..., None])  # [n, w_dim, num_ws]
        attention = (keys @ self.channel_query(x) / math.sqrt(size[0])).softmax(dim=-1)
        # the mean over layers of (values @ attention), which is linear in the values
        by_channel = self.channel_value(x).mean(dim=1, keepdim=True) @ attention
        return F.layer_norm(by_layer + F.layer_norm(by_channel, size), size), reaction


class SemanticInjection(nn.Module):
    """Shift and scale what was found by the text: h (1 + gamma(e)) + beta(e)."""

    def __init__(self, w_dim: int) -> None:
        super().__init__()
        self.gamma, self.beta = (
            nn.Sequential(
                nn.Linear(w_dim, w_dim),
                nn.LayerNorm(w_dim),
                nn.LeakyReLU(0.01),
                nn.Linear(w_dim, w_dim),
            )
            for _ in range(2)
        )

    def forward(self, h: Tensor, text: Tensor) -> Tensor:
        """Modulate h, [n, num_ws, w_dim], by the text, [n, w_dim]."""
        return h * (1 + self.gamma(text)[:, None]) + self.beta(text)[:, None]


class ModulationBlock(nn.Module):
    """One block: normalise over the layers, align, inject, leaky ReLU."""

    def __init__(self, num_ws: int, w_dim: int) -> None:
        super().__init__()
        self.norm = PixelNorm(dim=1)  # over layers, not over channels, as in the official code
        self.alignment = SemanticAlignment(num_ws, w_dim)
        self.injection = SemanticInjection(w_dim)

    def forward(self, x: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next code, [n, num_ws, w_dim], and the reaction, [n, num_ws]."""
        aligned, reaction = self.alignment(self.norm(x), text)
        return F.leaky_relu(self.injection(aligned, text), 0.01), reaction


class SemanticModulation(nn.Module):
    """The paper's module: blocks of alignment and injection, the last one's output is the offset.

    `text_proj` bridges a CLIP whose embeddings are not as long as w.
    """

    def __init__(self, config: FfClipConfig) -> None:
        super().__init__()
        num_ws, w_dim = config.num_ws, config.w_dim
        same = config.text_dim == w_dim
        self.text_proj = nn.Identity() if same else nn.Linear(config.text_dim, w_dim)
        self.layer_codes = nn.Parameter(torch.randn(num_ws, w_dim)) if config.layer_codes else None
        self.blocks = nn.ModuleList(ModulationBlock(num_ws, w_dim) for _ in range(config.blocks))
        std = SMALL / math.sqrt(w_dim)
        self.readout = LayerwiseLinear(num_ws, w_dim, w_dim, std) if config.readout else None

    def forward(self, x: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return the offset and the reactions.

        Args:
            x: Codes, [n, num_ws, w_dim].
            text: [n, text_dim].

        Returns:
            [n, num_ws, w_dim], and [n, blocks, num_ws].
        """
        text = self.text_proj(text)
        if self.layer_codes is not None:
            x = x + self.layer_codes
        reactions = []
        for block in self.blocks:
            x, reaction = block(x, text)
            reactions.append(reaction)
        offset = x if self.readout is None else self.readout(x)
        return offset, torch.stack(reactions, dim=1)


class PerLayerModulation(nn.Module):
    """The module as summaries have it: a linear map and a cross attention for every layer of w.

    Linear map i turns the text into a token, attention i lets layer i of the code look at the
    tokens, and what it returns is added to that layer. Were layer i shown token i alone, the
    attention would have nothing to choose from and the code would not matter.
    """

    def __init__(self, config: FfClipConfig) -> None:
        super().__init__()
        num_ws, w_dim = config.num_ws, config.w_dim
        std = 1 / math.sqrt(config.text_dim)
        self.tokens = LayerwiseLinear(num_ws, config.text_dim, w_dim, std)
        attentions = [
            nn.MultiheadAttention(w_dim, config.heads, batch_first=True) for _ in range(num_ws)
        ]
        for attention in attentions:
            nn.init.normal_(attention.out_proj.weight, std=SMALL / math.sqrt(w_dim))
        self.attentions = nn.ModuleList(attentions)

    def forward(self, x: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """As `SemanticModulation`; a layer's reaction is its share of the offset."""
        num_ws = len(self.attentions)
        tokens = self.tokens(text[:, None].expand(-1, num_ws, -1))
        parts = [
            attention(x[:, i : i + 1], tokens, tokens, need_weights=False)[0]
            for i, attention in enumerate(self.attentions)
        ]
        offset = torch.cat(parts, dim=1)
        sizes = offset.norm(dim=-1)
        return offset, (sizes / sizes.sum(dim=1, keepdim=True).clamp(min=1e-12))[:, None]


class FfClip(EditMethod):
    """Edit with w + offset(w, text)."""

    name = "ffclip"
    kind = "trained"
    config_class = FfClipConfig
    space = Space.W_PLUS
    needs = frozenset({"generator", "clip", "identity", "segmenter"})

    centre: Tensor  # [w_dim], what codes are measured from
    unit: Tensor  # [w_dim], what an offset of 1 is worth in each entry

    def __init__(self, config: FfClipConfig) -> None:
        super().__init__(config)
        per_layer = config.arch == "per_layer"
        self.modulation = PerLayerModulation(config) if per_layer else SemanticModulation(config)
        self.register_buffer("centre", torch.zeros(config.w_dim))
        self.register_buffer("unit", torch.ones(config.w_dim))

    @classmethod
    def build(cls, backbones: Backbones, **settings: Any) -> Self:
        """Return one that has learned nothing yet, in the sizes and units of these networks."""
        generator = backbones.require("generator", cls.name)
        sizes = {
            "num_ws": generator.num_ws,
            "w_dim": generator.config.w_dim,
            "text_dim": backbones.require("clip", cls.name).embed_dim,
        }
        method = cls(FfClipConfig(**{**sizes, **settings}))
        method.centre.copy_(generator.w_avg)
        method.unit.copy_(w_plus_unit(generator))
        return method

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w + strength * offset)."""
        code = source.latent.code
        offset = torch.zeros_like(code)
        split = wishes if self.config.in_turn and not self.training else one_wish
        for wish, asked in in_turn(sentence, split, backbones.clip):
            offset = offset + asked.to(code) * self.modulate(code + offset, wish)[0]
        code = code + strength * offset
        return Face(backbones.generator(code), Latent(code, self.space), source.mask)

    def modulate(self, code: Tensor, sentence: Sentence) -> tuple[Tensor, Tensor]:
        """Return the offset [n, num_ws, w_dim] and the reactions [n, blocks, num_ws] of w_plus."""
        with torch.autocast(code.device.type, enabled=False):  # the norm over layers needs 24 bits
            x = (code.float() - self.centre) / self.unit
            text = self._text(sentence).to(x).expand(len(x), -1)
            offset, reactions = self.modulation(x, text)
            if self.config.one_offset:
                offset = offset.mean(dim=1, keepdim=True)
            return (offset * self._gates().to(x) * self.unit).to(code), reactions

    @torch.no_grad()
    def reaction(self, source: Face, sentence: Sentence) -> Tensor:
        """Return how much each layer of w reacts to the sentence, [n, num_ws]; sums to 1.

        The mean over the blocks of the attention over layers; for a bar chart.
        """
        return self.modulate(source.latent.code, sentence)[1].mean(dim=1)

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return the weighted terms: the sentence comes true, person, code and background stay."""
        config, before, after = self.config, source.image, edited.image
        moved = (edited.latent.code - source.latent.code) / self.unit
        settings = PaeSettings(alpha=config.pae_alpha)
        distance = text_distance(config.aim, before, after, sentence, backbones.clip, settings)
        terms = {
            "clip": config.weight_clip * distance,
            "latent_l1": config.weight_latent_l1 * moved.abs().mean(),
        }
        if config.weight_identity:
            terms["identity"] = config.weight_identity * losses.identity_distance(
                backbones.identity, before, after
            )
        if config.weight_background:
            terms["background"] = config.weight_background * region_distance(
                backbones.segmenter, before, after, config.kept_regions
            )
        if config.weight_clip_image:
            a, b = backbones.clip.encode_image(before), backbones.clip.encode_image(after)
            # embeddings as long as ViT-B/32's, for which the official weight was chosen
            terms["clip_image"] = config.weight_clip_image * config.text_norm * (a - b).abs().mean()
        return terms

    def _text(self, sentence: Sentence) -> Tensor:
        """Return the text as the module reads it, [n, text_dim]."""
        direction = self.config.text == "direction"
        unit = text_direction(sentence) if direction else sentence.target
        return self.config.text_norm * unit

    def _gates(self) -> Tensor:
        """Return each layer's injection scale, [num_ws, 1]."""
        gates = torch.ones(self.config.num_ws, 1)
        bounds = (0, *GROUPS, self.config.num_ws)
        for scale, first, end in zip(
            self.config.injection_scales, bounds[:-1], bounds[1:], strict=True
        ):
            gates[first:end] = scale
        return gates


def region_distance(
    segmenter: Any, source: Tensor, edited: Tensor, names: tuple[str, ...]
) -> Tensor:
    """Return the mean square difference where both images show one of these regions, a scalar.

    So a hat may cover the background, but the background may not change beside it.

    Args:
        segmenter: Names the regions; those that it does not know are left out.
        source: [n, 3, h, w], RGB in [-1, 1].
        edited: Same shape.
        names: Region names.
    """
    known = [name for name in names if name in segmenter.config.regions]
    with torch.no_grad():
        kept = segmenter.mask(source, *known) * segmenter.mask(edited, *known)
    difference = (edited - source).square().mean(dim=1, keepdim=True)
    return (kept * difference).sum() / kept.sum().clamp(min=1.0)
