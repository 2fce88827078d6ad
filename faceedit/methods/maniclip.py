"""ManiCLIP: a transformer reads a face's code and a sentence and offers an offset of the code.

Paper: Wang et al., "ManiCLIP: Multi-Attribute Face Manipulation from Text", IJCV 2024,
arXiv:2210.00445.
Notation (here -> paper's code): code -> styles, delta_w -> offset, text -> text embedding,
`OffsetTransformer` -> TransModel, weight_entropy -> loss_minmaxentropy_coef.

Two ideas keep what the words do not mention. *Decoupling by group sampling*: in training a sentence
consists of segments of one category only (hair, or the mouth, ...), which `training` draws from the
recipe's groups. *The entropy constraint*: an offset should use few entries of the code. Three modes
of inference: "single" reads the whole sentence at once; "decoupled" splits it into one segment a
category (`segments`), asks for an offset for each and adds them; "sequential" applies what the
sentence wishes (`wishes`) one after the other.

Differs from the paper: its network takes one w, repeated for all layers; ours takes the layers of
w_plus as they are, so that inverted photos fit. Codes and offsets are in units of twice each
entry's deviation over random faces (`centre`, `unit`), which is 1 for official generators; official
weights have centre 0 and unit 1. CLIP's embeddings have length 1 here and are multiplied by
`text_scale`, the usual length of ViT-B/32's. The official code truncates after the offset, which
multiplies it by 0.7 (`scale`). All layers may move by the mean of their offsets (`tied_layers`).
The entropy is summed over 14 x 512 entries
there and brought to that count here. The background term leaves out hats, and the face colour term
glasses and beards, which sentences may ask for. `initial_scale` makes the first offsets small, for
short trainings. The weights of the terms are official, but cosines of a small CLIP spread wider
than OpenAI's, so a recipe may raise the others, and choose how the CLIP term compares
(`clip_loss`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.losses import terms as losses
from faceedit.losses.pae import PaeSettings
from faceedit.losses.text import text_distance
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.codes import add_units, set_units
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import wish_sequence
from faceedit.words.wishes import one_wish, segments, wishes

REFERENCE_ENTRIES = 14 * 512  # of the official code: what weight_entropy was chosen for
ENTROPY_SCALE = 1e-4  # in the official loss
MAX_LAYERS = 20  # of w_plus; a generator of 1024 px has 18
SPLITS = {"single": one_wish, "decoupled": segments, "sequential": wishes}  # by mode of inference
BACKGROUND = ("background", "neck", "cloth")  # regions that an edit shall keep
FACE = ("skin", "nose", "ear")  # whose colour it shall keep


@dataclass(frozen=True)
class ManiClipConfig(MethodConfig):
    """Settings of ManiCLIP; the defaults are those of the official weights."""

    takes = frozenset({"tied_layers", "clip_loss", "pae_alpha"})

    # Sizes
    w_dim: int = 512
    embed_dim: int = 512  # of CLIP
    # The paper's
    heads: int = 8
    layers: int = 6
    feed_forward: int = 2048
    dropout: float = 0.2
    text_scale: float = 10.0  # length of the sentence's embedding as the network takes it
    scale: float = 0.7  # of the offset; the official truncation
    mode: Literal["single", "decoupled", "sequential"] = "single"  # of inference
    entropy: Literal["minmax", "l1"] = "minmax"  # how sizes of entries become shares
    weight_clip: float = 1.0
    weight_identity: float = 0.05
    weight_background: float = 1.0
    weight_face_color: float = 0.05
    weight_offset: float = 0.1
    weight_entropy: float = 0.2
    # Ours
    additions: Additions = Additions()
    initial_scale: float = 1.0  # of the offset before training


class OffsetTransformer(nn.Module):
    """The code's layers are the tokens; the sentence is the one token that they attend to."""

    positions: Tensor

    def __init__(self, config: ManiClipConfig) -> None:
        super().__init__()
        size = config.w_dim
        # Absent where CLIP's embedding fits, as in the official network.
        self.text_project = (
            nn.Identity() if config.embed_dim == size else nn.Linear(config.embed_dim, size)
        )
        self.text_map, self.code_map = nn.Linear(size, size), nn.Linear(size, size)
        self.text_norm, self.code_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        # Not batch_first: torch computes that in another way where no gradient is asked for, and
        # an edit would differ in its last digits from the image that training scored.
        layer = nn.TransformerDecoderLayer(size, config.heads, config.feed_forward, config.dropout)
        norm = nn.LayerNorm(size)
        nn.init.constant_(norm.weight, config.initial_scale)
        self.decoder = nn.TransformerDecoder(layer, config.layers, norm)
        self.position_dropout = nn.Dropout(config.dropout / 2)  # officially 0.1 beside 0.2
        self.register_buffer("positions", sinusoids(MAX_LAYERS, size), persistent=False)
        for weight in self.decoder.parameters():
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)  # torch gives every layer a copy of the first

    def forward(self, code: Tensor, text: Tensor) -> Tensor:
        """Return offsets [n, num_ws, w_dim] for codes of that shape and embeddings [n, d]."""
        memory = self.text_norm(twice(self.text_map, self.text_project(text)))
        tokens = self.position_dropout(code + self.positions[: code.shape[1]])
        tokens = self.code_norm(twice(self.code_map, tokens))
        offset: Tensor = self.decoder(tokens.transpose(0, 1), memory[None])
        return offset.transpose(0, 1)


def twice(linear: nn.Linear, x: Tensor) -> Tensor:
    """Return y + relu(L y) for y = relu(L x): the same layer, applied two times."""
    y = linear(x).relu()
    return y + linear(y).relu()


def sinusoids(length: int, size: int) -> Tensor:
    """Return the positional encoding of arXiv:1706.03762, Section 3.5, [length, size]."""
    place = torch.arange(length)[:, None]
    angle = place * torch.exp(torch.arange(0, size, 2) * (-math.log(10_000.0) / size))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :size]


class ManiClip(EditMethod):
    """Edit with w + scale * offset(w, sentence)."""

    name = "maniclip"
    kind = "trained"
    config_class = ManiClipConfig
    space = Space.W_PLUS
    needs = frozenset({"generator", "clip", "identity", "segmenter"})

    centre: Tensor  # [w_dim], what codes are measured from
    unit: Tensor  # [w_dim], what an offset of 1 is worth in each entry

    def __init__(self, config: ManiClipConfig) -> None:
        super().__init__(config)
        self.transformer = OffsetTransformer(config)
        add_units(self, config.w_dim)

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the sizes of these networks."""
        generator = backbones.require("generator", cls.name)
        clip = backbones.require("clip", cls.name)
        return {"w_dim": generator.config.w_dim, "embed_dim": clip.embed_dim}

    @classmethod
    def build(cls, backbones: Backbones, **settings: Any) -> Self:
        """Return one that has learned nothing yet, in the sizes and units of these networks."""
        method = super().build(backbones, **settings)
        set_units(method, backbones.generator)
        return method

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w + strength * scale * offset)."""
        code = source.latent.code
        moved = (code - self.centre) / self.unit
        offset, tied = torch.zeros_like(code), self.config.additions.ties(backbones.generator)
        split = one_wish if self.training else SPLITS[self.config.mode]
        for part, asked in wish_sequence(sentence, split, backbones.clip):
            start = moved + offset if self.config.mode == "sequential" else moved
            text = part.target.expand(len(code), -1) * self.config.text_scale
            step = self.transformer(start, text)
            if tied:
                step = step.mean(dim=1, keepdim=True)
            offset = offset + asked * self.config.scale * step
        code = code + strength * offset * self.unit
        return Face(backbones.generator(code), Latent(code, self.space), source.mask)

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return the weighted terms of the official training command; their sum is the loss."""
        config, additions = self.config, self.config.additions
        settings = PaeSettings(alpha=additions.pae_alpha)
        before, after = source.image.clamp(-1, 1), edited.image.clamp(-1, 1)
        labels = [backbones.segmenter.segment(image.detach()) for image in (before, after)]
        kept = [chosen(backbones.segmenter, label, BACKGROUND) for label in labels]
        faces = [chosen(backbones.segmenter, label, FACE) for label in labels]
        offset = (edited.latent.code - source.latent.code) / self.unit / config.scale
        return {
            "clip": config.weight_clip
            * text_distance(
                additions.clip_loss, source.image, edited.image, sentence, backbones.clip, settings
            ),
            "identity": config.weight_identity
            * losses.identity_distance(backbones.identity, before, after),
            "background": config.weight_background
            * background_distance(before, after, kept[0] * kept[1]),
            "face_color": config.weight_face_color
            * color_distance(before, after, faces[0], faces[1]),
            "offset": config.weight_offset * offset.square().mean(),
            "entropy": config.weight_entropy * entropy_penalty(offset, config.entropy),
        }


def chosen(segmenter: Any, labels: Tensor, names: Sequence[str]) -> Tensor:
    """Return 1 where a label is that of one of these regions, else 0, [n, 1, h, w]."""
    regions = segmenter.config.regions
    wanted = torch.tensor([name in names for name in regions], device=labels.device)
    return wanted[labels.long()][:, None].float()


def background_distance(image_a: Tensor, image_b: Tensor, mask: Tensor) -> Tensor:
    """Return the mean square difference where the mask is 1; the mean is over all pixels."""
    return ((image_a - image_b) * mask).square().mean()


def color_distance(image_a: Tensor, image_b: Tensor, mask_a: Tensor, mask_b: Tensor) -> Tensor:
    """Return the mean absolute difference of the mean Lab colours inside the masks.

    Args:
        image_a: [n, 3, h, w], RGB in [-1, 1].
        image_b: The same.
        mask_a: [n, 1, h, w], 1 where the first image's colour counts.
        mask_b: The same of the second.

    Returns:
        A scalar in units of Lab, where lightness goes from 0 to 100.
    """
    return (mean_lab(image_a, mask_a) - mean_lab(image_b, mask_b)).abs().mean()


def mean_lab(image: Tensor, mask: Tensor) -> Tensor:
    """Return the mean CIE Lab colour inside a mask, [n, 3]; without gamma, as in the official code.

    A mask without a pixel gives 0.
    """
    primaries = image.new_tensor(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    primaries = primaries / primaries.sum(dim=1, keepdim=True)  # white is 1, 1, 1
    xyz = torch.einsum("rc,nchw->nrhw", primaries, image.add(1).div(2))
    dark = xyz <= 0.008856
    root = torch.where(dark, 7.787 * xyz + 0.137931, xyz.clamp(min=0.008856) ** (1 / 3))
    x, y, z = root.unbind(dim=1)
    lightness = torch.where(dark[:, 1], 903.3 * xyz[:, 1], 116 * y - 16)
    lab = torch.stack([lightness, 500 * (x - y), 200 * (y - z)], dim=1)
    return (lab * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3)).clamp(min=1)


def entropy_penalty(offset: Tensor, kind: Literal["minmax", "l1"] = "minmax") -> Tensor:
    """Return how evenly an offset is spread over the code; small where few entries stand out.

    "minmax": -sum p log p with p = (a - min a) / (max a - min a), a = |offset|, as in the official
    code. p sums to no 1, so this is not an entropy in the strict sense: it vanishes for entries
    that stay and for those that move as far as the furthest. "l1": the entropy of p = a / sum a as
    a share of the largest possible.

    Args:
        offset: [n, num_ws, w_dim].
        kind: How sizes become shares.

    Returns:
        The mean over the batch, a scalar, in the official scale.
    """
    size = offset.abs().flatten(1)
    if kind == "l1":
        share = size / size.sum(dim=1, keepdim=True).clamp(min=1e-12) + 1e-12
        return -(share * share.log()).sum(dim=1).mean() / math.log(size.shape[1])
    low, high = size.amin(dim=1, keepdim=True), size.amax(dim=1, keepdim=True)
    share = (size - low) / (high - low).clamp(min=1e-12) + 1e-7
    total = -(share * share.log()).sum(dim=1).mean()
    return total * ENTROPY_SCALE * REFERENCE_ENTRIES / size.shape[1]
