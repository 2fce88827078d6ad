"""FEAT: a mapper says how the face changes, an attention map says where; nothing else moves.

Paper: Hou et al., "FEAT: Face Editing with Attention", arXiv:2202.02713. It has no official code;
the arithmetic is that of the re-implementation Psarpei/GanVinci, whose edits load through
`faceedit.convert.feat`.
Notation (here -> paper): code -> w, LatentMapper -> the latent mapper, Attention -> the attention
module, mask -> the attention map m (1 where the edit acts), blend_layer -> the layer where original
and modified features are blended.
Differs from the paper:
* One model may read the sentence and edit by any, where the paper trains one per sentence: the
  text shifts and scales the mapper's hidden layers and the attention's channels (`text_dim`).
* All layers may be moved alike, by their displacements' sum (`tied_layers`).
* The map may be exactly 0 and 1 at its ends already in training (`mask_cut="ramp"`); its gradient
  is the sigmoid's everywhere, so that a region that was shut can open again.
* The skip (toRGB) image may be blended too (`blend_skip`), features are blended at all layers from
  `blend_layer` on (`blend_downstream`), and the image at last (`blend_image`): then not one pixel
  changes outside of the mask, by construction.
* A sentence of several wishes may be taken apart (`sequential`, not in training): the displacement
  is the sum of one a wish, each asked of the code that the ones before have made, and the map is
  the largest of the wishes' maps.
* The attention sums 1x1 convolutions of each layer's features, each resized with few channels,
  where the re-implementation joins them all; without text the map's logit is linear in the
  features, and the sum is exactly that.
* Codes are given to the mapper, and moved, in units of twice each entry's deviation over random
  faces (`centre`, `unit`); the map's boundary is measured in image sides, so that weights suit
  every resolution. Noise is fixed, so both passes have the same.
* The CLIP term may compare the change of the image with the difference of the texts (`clip_loss`);
  a term may keep the person (`weight_identity`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.backbones.layers import LayerwiseLinear, upsample
from faceedit.losses import terms as losses
from faceedit.losses.pae import PaeSettings
from faceedit.losses.text import text_direction, text_distance
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.codes import add_units, set_units
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import wish_sequence
from faceedit.words.wishes import one_wish, wishes

SMALL = 0.04  # spread of an untrained displacement: the first edits are hardly visible
FIRST_LOGIT = 1.0  # of an untrained map: mostly open, so that the mapper has something to learn by


@dataclass(frozen=True)
class FeatConfig(MethodConfig):
    """Settings of mapper, attention and blending, and of their training."""

    takes = frozenset({"sequential", "tied_layers", "clip_loss", "pae_alpha"})

    # Sizes
    num_ws: int = 18
    w_dim: int = 512
    feature_channels: tuple[int, ...] = ()  # of each styled convolution; the image comes last
    # The paper's
    layers: tuple[int, int] = (0, 8)  # the w layers [first, end) that the mapper moves
    blend_layer: int = 7  # of `feature_hook`, so from 0; the paper's layer minus 1
    displacement_scale: float = 0.5  # displacement per unit of the mapper's output
    mask_threshold: float = 0.0  # below it the map is 0
    attention_channels: int = 32  # C; where there is no text, the sum needs only one
    weight_clip: float = 1.0
    weight_latent_l2: float = 0.8
    weight_area: float = 0.005
    weight_tv: float = 6.4e-4  # of the boundary's length in image sides
    # Ours
    additions: Additions = Additions()
    text_dim: int = 0  # of one model for all sentences; 0: one sentence per set of weights
    text_norm: float = 10.0  # length of the text at the input; ViT-B/32's embeddings have about 10
    mapper_width: int = 0  # of the mapper's hidden layer; 0: w_dim
    mask_cut: Literal["ramp", "hard"] = "hard"  # "ramp": from 0 to 1, and its gradient everywhere
    blend_skip: bool = False
    blend_downstream: bool = False
    blend_image: bool = False
    weight_identity: float = 0.0


class LatentMapper(nn.Module):
    """Two linear maps a layer with a ReLU between; the text modulates the hidden layer."""

    def __init__(self, layers: int, w_dim: int, width: int, text_dim: int) -> None:
        super().__init__()
        self.hidden = LayerwiseLinear(layers, w_dim, width, 1 / math.sqrt(w_dim))
        self.output = LayerwiseLinear(layers, width, w_dim, SMALL / math.sqrt(width))
        self.text = nn.Linear(text_dim, 2 * layers * width) if text_dim else None

    def forward(self, code: Tensor, text: Tensor | None) -> Tensor:
        """Map w, [n, layers, w_dim], and the text, [n, text_dim], to a displacement like w."""
        hidden = F.relu(self.hidden(code))
        if self.text is not None:
            gamma, beta = self.text(text).unflatten(1, (2, *hidden.shape[1:])).unbind(1)
            hidden = hidden * (1 + gamma) + beta
        return self.output(hidden)


class Attention(nn.Module):
    """The logit of the map from all features of the original and its image."""

    def __init__(self, sources: Sequence[int], channels: int, text_dim: int) -> None:
        super().__init__()
        channels = channels if text_dim else 1
        self.convs = nn.ModuleList(nn.Conv2d(source, channels, 1) for source in sources)
        self.text = nn.Linear(text_dim, 2 * channels) if text_dim else None
        self.logit = nn.Conv2d(channels, 1, 1) if text_dim else None
        if self.logit is not None and self.logit.bias is not None:
            nn.init.constant_(self.logit.bias, FIRST_LOGIT)

    def forward(self, sources: Sequence[Tensor], text: Tensor | None, size: int) -> Tensor:
        """Return the logit, [n, 1, size, size].

        Args:
            sources: Features of each layer, [n, c, h, w], and the image last.
            text: [n, text_dim], or None where the sentence is in the weights.
            size: Side of the map, px.
        """
        total = sources[0].new_zeros(1)
        for conv, source in zip(self.convs, sources, strict=True):
            # Adding is joining, one layer at a time; both orders are equal, the small one is fast.
            small = source.shape[-1] <= size
            total = total + (resize(conv(source), size) if small else conv(resize(source, size)))
        if self.text is None or self.logit is None:
            return total
        gamma, beta = self.text(text)[..., None, None].chunk(2, dim=1)
        return self.logit(F.leaky_relu(total * (1 + gamma) + beta, 0.2))


class Feat(EditMethod):
    """Edit with G(w + scale M(w, t)), its features blended with those of G(w) by the map."""

    name = "feat"
    kind = "trained"
    config_class = FeatConfig
    space = Space.W_PLUS
    needs = frozenset({"generator", "clip", "identity"})

    centre: Tensor  # [w_dim], what codes are measured from
    unit: Tensor  # [w_dim], what a displacement of 1 is worth in each entry

    def __init__(self, config: FeatConfig) -> None:
        super().__init__(config)
        first, end = config.layers
        width = config.mapper_width or config.w_dim
        self.mapper = LatentMapper(end - first, config.w_dim, width, config.text_dim)
        sources = (*config.feature_channels, 3)
        self.attention = Attention(sources, config.attention_channels, config.text_dim)
        add_units(self, config.w_dim)

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the sizes of these networks.

        All layers are moved, and features are blended from the last convolution at a quarter of
        the image's resolution on, unless the settings say otherwise.
        """
        generator = backbones.require("generator", cls.name)
        config = generator.config
        quarter = max(0, len(config.resolutions) - 3)
        return {
            "num_ws": generator.num_ws,
            "w_dim": config.w_dim,
            "text_dim": backbones.require("clip", cls.name).embed_dim,
            "feature_channels": feature_channels(config),
            "layers": (0, generator.num_ws),
            "blend_layer": 2 * quarter,
        }

    @classmethod
    def build(cls, backbones: Backbones, **settings: Any) -> Self:
        """Return one that has learned nothing yet, in the sizes and units of these networks."""
        method = super().build(backbones, **settings)
        set_units(method, backbones.generator)
        return method

    # The edit -------------------------------------------------------------------------------------

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return the blend of G(w) and G(w + strength * displacement), and the map as its mask."""
        generator, config = backbones.generator, self.config
        before, turns = source.latent.code, self._turns(sentence, backbones)
        tied = config.additions.ties(generator)
        moved = torch.zeros_like(before)
        for wish, asked in turns:
            step = self.displacement(before + moved, wish, tied)
            moved = moved + asked.to(before) * step
        after = before + strength * moved
        features, image = trace(generator, before)
        mask = self._attend_all(features, image, turns)

        def blend(layer: int, x: Tensor) -> Tensor:
            if layer == config.blend_layer or (
                config.blend_downstream and layer > config.blend_layer
            ):
                return torch.lerp(features[layer], x, resize(mask, x.shape[-1]).to(x))
            return x

        drawn = generator.synthesis(after, feature_hook=blend)
        if config.blend_skip:
            drawn = drawn + self._skip_correction(before, after, mask, generator)
        mask = resize(mask, drawn.shape[-1])
        if source.mask is not None:
            mask = mask * resize(source.mask.to(mask), mask.shape[-1])
        if config.blend_image:
            drawn = torch.lerp(source.image.to(drawn), drawn, mask.to(drawn))
        return Face(drawn, Latent(after, self.space), mask)

    def edit(
        self,
        source: Face,
        sentence: Sentence,
        backbones: Backbones,
        strength: float = 1.0,
        layers: tuple[int, int] | None = None,
    ) -> Face:
        """As for every method; an image that was drawn anew for `layers` is blended again."""
        edited = super().edit(source, sentence, backbones, strength, layers)
        if edited is source or (layers is None and source.mask is None):
            return edited
        mask = self.mask(source, sentence, backbones)
        if layers is not None:
            edited = replace(edited, image=torch.lerp(source.image, edited.image, mask))
        return replace(edited, mask=mask)

    def displacement(self, code: Tensor, sentence: Sentence, tied: bool = False) -> Tensor:
        """Return how the mapper moves codes, [n, num_ws, w_dim]; 0 where it may not."""
        first, end = self.config.layers
        with torch.autocast(code.device.type, enabled=False):
            x = (code.float()[:, first:end] - self.centre) / self.unit
            moved = (
                self.config.displacement_scale
                * self.unit
                * self.mapper(x, self._text(sentence, len(x)))
            )
            if tied:  # a sum that spreads as one layer's: a mean starts too small
                alike = moved.sum(dim=1, keepdim=True) / math.sqrt(moved.shape[1])
                moved = alike.expand_as(moved)
            rest = (0, 0, first, self.config.num_ws - end)
            return F.pad(moved, rest).to(code)

    def attend(self, features: Sequence[Tensor], image: Tensor, sentence: Sentence) -> Tensor:
        """Return the map from the original's features, [n, 1, r, r] in [0, 1]."""
        config = self.config
        text = self._text(sentence, len(image))
        with torch.autocast(image.device.type, enabled=False):
            sources = [x.float() for x in (*features, image)]
            side = min(feature_side(config.blend_layer), image.shape[-1])  # of the map
            logit = self.attention(sources, text, side)
            soft = torch.sigmoid(logit)
            if config.mask_cut == "hard":
                return torch.where(soft < config.mask_threshold, torch.zeros_like(soft), soft)
            low = config.mask_threshold
            cut = ((soft - low) / (1 - 2 * low)).clamp(0, 1)
            return soft + (cut - soft).detach()  # the value is `cut`, the gradient the sigmoid's

    @torch.no_grad()
    def mask(self, source: Face, sentence: Sentence, backbones: Backbones) -> Tensor:
        """Return where an edit of this face would act, [n, 1, h, w] in [0, 1]."""
        features, image = trace(backbones.generator, source.latent.code)
        turns = self._turns(sentence, backbones)
        mask = resize(self._attend_all(features, image, turns), image.shape[-1])
        if source.mask is None:
            return mask
        return mask * resize(source.mask.to(mask), mask.shape[-1])

    def _turns(self, sentence: Sentence, backbones: Backbones) -> list[tuple[Sentence, Tensor]]:
        """Return the sentence's wishes and whom each is asked of, see `faceedit.words.sentence`."""
        split = wishes if self.config.additions.sequential and not self.training else one_wish
        return wish_sequence(sentence, split, backbones.clip, take_back=not self.training)

    def _attend_all(
        self, features: Sequence[Tensor], image: Tensor, turns: list[tuple[Sentence, Tensor]]
    ) -> Tensor:
        """Return the largest of the wishes' maps, [n, 1, r, r] in [0, 1]."""
        maps = [
            asked.abs()[..., None].to(image) * self.attend(features, image, wish)
            for wish, asked in turns
        ]
        return torch.stack(maps).amax(dim=0)

    def _text(self, sentence: Sentence, n: int) -> Tensor | None:
        """Return the text as both modules read it, [n, text_dim]."""
        if not self.config.text_dim:
            return None
        return self.config.text_norm * text_direction(sentence).expand(n, -1)

    def _skip_correction(
        self, before: Tensor, after: Tensor, mask: Tensor, generator: Any
    ) -> Tensor | float:
        """Return what blends the skip image of the resolutions below `blend_layer`, as an image.

        The skip image is only ever enlarged and added to, which is linear: blending it there is
        adding (1 - m) (original - edited), enlarged as often, to the result.
        """
        size = feature_side(self.config.blend_layer) // 2
        if size < generator.config.resolutions[0]:
            return 0.0  # nothing has been accumulated yet
        with torch.no_grad():
            original = generator.synthesis(before, resolution=size)
        gap = (1 - resize(mask, size)) * (original - generator.synthesis(after, resolution=size))
        while gap.shape[-1] < generator.config.resolution:
            gap = upsample(gap, generator.kernel)
        return gap

    # The loss -------------------------------------------------------------------------------------

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return the weighted terms: the sentence comes true by a small step in a small region."""
        config = self.config
        first, end = config.layers
        moved = (edited.latent.code - source.latent.code)[:, first:end] / self.unit
        settings = PaeSettings(alpha=config.additions.pae_alpha)
        clip_loss = config.additions.clip_loss
        distance = text_distance(
            clip_loss, source.image, edited.image, sentence, backbones.clip, settings
        )
        terms = {
            "clip": config.weight_clip * distance,
            "latent_l2": config.weight_latent_l2 * moved.square().mean(),
        }
        if edited.mask is not None:
            terms["area"] = config.weight_area * edited.mask.mean()
            terms["tv"] = config.weight_tv * total_variation(edited.mask)
        if config.weight_identity:
            terms["identity"] = config.weight_identity * losses.identity_distance(
                backbones.identity, source.image, edited.image
            )
        return terms


# ------------------------------------------------------------------------------ the generator's
def feature_channels(config: Any) -> tuple[int, ...]:
    """Return the channels after each styled convolution of a generator of this configuration."""
    last = config.resolutions[0]
    return tuple(config.channels(r) for r in config.resolutions for _ in range(1 + (r > last)))


def feature_side(layer: int) -> int:
    """Return the side of the features that `feature_hook` sees at a layer, px: 4, 8, 8, 16, ..."""
    return int(4 * 2 ** ((layer + 1) // 2))


@torch.no_grad()
def trace(generator: Any, code: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the features of all layers of the original, and its image."""
    features: list[Tensor] = []

    def keep(layer: int, x: Tensor) -> Tensor:
        del layer
        features.append(x)
        return x

    image = generator.synthesis(code, feature_hook=keep)
    return features, image


def resize(x: Tensor, size: int) -> Tensor:
    """Return square maps [n, c, h, h] at another side, bilinear without antialiasing."""
    side = x.shape[-1]
    if side == size:
        return x
    if side % (2 * size) == 0:  # bilinear then means the middle four of each cell: read only those
        cell = side // size
        rows = x[..., cell // 2 - 1 :: cell, :] + x[..., cell // 2 :: cell, :]
        return (rows[..., cell // 2 - 1 :: cell] + rows[..., cell // 2 :: cell]) / 4
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False)


def total_variation(mask: Tensor) -> Tensor:
    """Return the length of the map's boundary in image sides, the mean over the batch, a scalar.

    The sum of absolute differences, which the re-implementation takes, divided by the side.

    Args:
        mask: [n, 1, h, w] in [0, 1].
    """
    rows = (mask[..., 1:, :] - mask[..., :-1, :]).abs().flatten(1).sum(dim=1)
    columns = (mask[..., 1:] - mask[..., :-1]).abs().flatten(1).sum(dim=1)
    return (rows + columns).mean() / mask.shape[-1]
