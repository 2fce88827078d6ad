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
  offset; the official training inverts photographs instead. Each layer may get a learned code
  (`layer_codes`), and the offset be read off by a linear map per layer (`readout`), which also
  lets it be negative. Both are absent from official weights.
* All layers may be given the mean of their offsets (`tied_layers`).
* The text may be the difference to the neutral sentence (`text_input`), of fixed length.
* A sentence of several wishes may be split (`faceedit.words.wishes`) and fulfilled wish by wish,
  each asked of the code that the ones before have made (`sequential`); the paper asks for all at
  once.
* The CLIP term may compare the change of the image with the difference of the texts (`clip_loss`);
  the paper's looks at the edited image alone, by which a small CLIP changes more than was asked.
* All terms are means over the batch, where the official code sums the CLIP term. The background is
  what the segmenter calls so (or clothes) in both images, where the official code holds all but
  the hair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.backbones.layers import LayerwiseLinear, PixelNorm
from faceedit.losses import terms as losses
from faceedit.losses.pae import PaeSettings
from faceedit.losses.text import text_direction, text_distance
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.codes import add_units, set_units
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import wish_sequence
from faceedit.words.wishes import one_wish, wishes

SMALL = 0.02  # spread of an untrained offset, in units: the first edits are hardly visible
GROUPS = (4, 8)  # where the medium and the fine layers begin
KEPT_REGIONS = ("background", "cloth")  # what nobody asks to change; the face is the edit's


@dataclass(frozen=True)
class FfClipConfig(MethodConfig):
    """Settings of the module and of its training."""

    takes = frozenset({"sequential", "tied_layers", "clip_loss", "pae_alpha"})

    # Sizes
    num_ws: int = 18
    w_dim: int = 512
    text_dim: int = 512
    # The paper's
    blocks: int = 4
    injection_scales: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of coarse, medium, fine layers
    text_norm: float = 10.0  # length of the text at the input; ViT-B/32's embeddings have about 10
    weight_clip: float = 8.0
    weight_identity: float = 0.9
    weight_latent_l1: float = 1.6
    weight_background: float = 2.0
    weight_clip_image: float = 1.0
    # Ours
    additions: Additions = Additions()
    layer_codes: bool = False
    readout: bool = False
    text_input: Literal["direction", "embedding"] = "embedding"  # "direction": from the neutral one


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
        self.modulation = SemanticModulation(config)
        add_units(self, config.w_dim)

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the sizes of these networks."""
        generator = backbones.require("generator", cls.name)
        return {
            "num_ws": generator.num_ws,
            "w_dim": generator.config.w_dim,
            "text_dim": backbones.require("clip", cls.name).embed_dim,
        }

    @classmethod
    def build(cls, backbones: Backbones, **settings: Any) -> Self:
        """Return one that has learned nothing yet, in the sizes and units of these networks."""
        method = super().build(backbones, **settings)
        set_units(method, backbones.generator)
        return method

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w + strength * offset)."""
        code, additions = source.latent.code, self.config.additions
        offset, tied = torch.zeros_like(code), additions.ties(backbones.generator)
        split = wishes if additions.sequential and not self.training else one_wish
        for wish, asked in wish_sequence(
            sentence, split, backbones.clip, take_back=not self.training
        ):
            offset = offset + asked.to(code) * self.modulate(code + offset, wish, tied)[0]
        code = code + strength * offset
        return Face(backbones.generator(code), Latent(code, self.space), source.mask)

    def modulate(
        self, code: Tensor, sentence: Sentence, tied: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Return the offset [n, num_ws, w_dim] and the reactions [n, blocks, num_ws] of w_plus."""
        with torch.autocast(code.device.type, enabled=False):  # the norm over layers needs 24 bits
            x = (code.float() - self.centre) / self.unit
            text = self._text(sentence).to(x).expand(len(x), -1)
            offset, reactions = self.modulation(x, text)
            if tied:
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
        settings, clip_loss = (
            PaeSettings(alpha=config.additions.pae_alpha),
            config.additions.clip_loss,
        )
        distance = text_distance(clip_loss, before, after, sentence, backbones.clip, settings)
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
                backbones.segmenter, before, after, KEPT_REGIONS
            )
        if config.weight_clip_image:
            a, b = backbones.clip.encode_image(before), backbones.clip.encode_image(after)
            # embeddings as long as ViT-B/32's, for which the official weight was chosen
            terms["clip_image"] = config.weight_clip_image * config.text_norm * (a - b).abs().mean()
        return terms

    def _text(self, sentence: Sentence) -> Tensor:
        """Return the text as the module reads it, [n, text_dim]."""
        direction = self.config.text_input == "direction"
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
