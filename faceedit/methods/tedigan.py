"""TediGAN's instance optimization: near the photo in pixels, features and code, and to the words.

Paper: Xia et al., "TediGAN: Text-Guided Diverse Face Image Generation and Manipulation", CVPR 2021,
arXiv:2012.03308; its released code (with CLIP) is described in "Towards Open-World Text-Guided Face
Image Generation and Manipulation", arXiv:2104.08910.
Notation (here -> code): source.image -> x, edited.image -> x_rec, edited.latent.code -> z,
encoder -> E, identity.features -> F.
Differs from the paper: its trained text encoder was never released, so, as in its code, CLIP reads
the sentence. The features are the face recognition network's and are compared in units of their own
size, which stands for the code's weight of 5e-5 on VGG's; codes are compared in official units
(`faceedit.optimization.codes`). The learning rate is ramped and the steps are fewer: 60 for the
code's 200. The best code on the way is returned; `tied_layers` moves all layers alike. `strength`
goes along the straight line to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.losses import terms as losses
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.codes import descend, layer_gate, w_plus_unit
from faceedit.types import Face, Latent, Sentence, Space


@dataclass(frozen=True)
class TediGanConfig(MethodConfig):
    """Settings of the descent; pixel, encoder and CLIP weights are those of the code's `base`."""

    takes = frozenset({"tied_layers"})

    # The paper's
    steps: int = 60
    learning_rate: float = 0.05  # Adam's, in official units
    layers: tuple[int, int] | None = None  # first and end of the w layers that move; None = all
    init: Literal["source", "mean"] = "source"  # "mean": from w_avg, as the code's `ext`
    consistency: Literal["encoder", "source"] = "encoder"  # "source": the code is held to w_s and
    # not to E(x_rec), as in the code's `ext`
    weight_pixel: float = 1.0
    weight_feature: float = 0.2  # of differences in units of the features' own mean square
    weight_encoder: float = 2.0
    weight_clip: float = 2.0  # 0.5 to 5; too little, and the words go unheard
    # Ours
    additions: Additions = Additions()


def pixel_distance(image_a: Tensor, image_b: Tensor) -> Tensor:
    """Return the mean square difference of two batches of images, a scalar."""
    return F.mse_loss(image_a, image_b)


def feature_distance(features_a: Sequence[Tensor], features_b: Sequence[Tensor]) -> Tensor:
    """Return the mean square difference of feature maps in units of the first's mean square.

    Args:
        features_a: The maps of each stage, [n, channels, h, w].
        features_b: The same of other images.

    Returns:
        The mean over images and stages, a scalar; 0 for the same image, about 1 for unlike ones.
    """
    stages = [
        ((a - b).square().flatten(1).mean(1) / a.square().flatten(1).mean(1).clamp(min=1e-8)).mean()
        for a, b in zip(features_a, features_b, strict=True)
    ]
    return torch.stack(stages).mean()


class TediGan(EditMethod):
    """Edit by minimizing pixel + feature + encoder-consistency + CLIP distances."""

    name = "tedigan"
    kind = "optimized"
    config_class = TediGanConfig
    space = Space.W_PLUS
    needs = frozenset({"generator", "clip", "identity", "encoder"})
    pixels = "styleclip"

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w_s + strength * (z - w_s)) for the z that minimizes `objective`."""
        generator, before = backbones.generator, source.latent.code.detach()
        if not len(before):
            return source
        gate = layer_gate(self.config.layers, generator).to(before)
        start = before
        if self.config.init == "mean":
            start = torch.where(gate > 0, generator.w_avg.to(before), before)
        kept = self._measured(source, backbones)

        def score(code: Tensor) -> Tensor:
            edited = Face(generator.synthesis(code), Latent(code, self.space))
            terms = self._terms(source, edited, sentence, kept, backbones)
            return torch.stack(list(terms.values())).sum()

        unit, config = gate * w_plus_unit(generator).to(before), self.config
        tied = config.additions.ties(generator)
        code = descend(start, unit, score, config.steps, config.learning_rate, shared=tied)
        code = before + strength * (code - before)
        with torch.no_grad():
            return Face(generator.synthesis(code), Latent(code, self.space), source.mask)

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return the weighted terms: pixel, feature, encoder and clip."""
        kept = self._measured(source, backbones)
        return self._terms(source, edited, sentence, kept, backbones)

    @torch.no_grad()
    def _measured(self, source: Face, backbones: Backbones) -> list[Tensor]:
        """Return F(x), which stays the same throughout a descent."""
        return list(backbones.identity.features(source.image))

    def _terms(
        self,
        source: Face,
        edited: Face,
        sentence: Sentence,
        features: Sequence[Tensor],
        backbones: Backbones,
    ) -> dict[str, Tensor]:
        """Return the weighted terms; `features` are the source's."""
        config, code = self.config, edited.latent.code
        held_to = source.latent.code
        if config.consistency == "encoder":
            held_to = backbones.encoder(edited.image)
        drift = (code - held_to) / w_plus_unit(backbones.generator).to(code)
        seen = backbones.identity.features(edited.image)
        return {
            "pixel": config.weight_pixel * pixel_distance(source.image, edited.image),
            "feature": config.weight_feature * feature_distance(features, seen),
            "encoder": config.weight_encoder * drift.square().mean(),
            "clip": config.weight_clip
            * losses.clip_distance(backbones.clip, edited.image, sentence),
        }
