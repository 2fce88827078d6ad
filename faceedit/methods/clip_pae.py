"""CLIP-PAE: descend towards the face's own embedding, moved in one characteristic's subspace only.

Paper: Zhou et al., "CLIP-PAE: Projection-Augmentation Embedding to Extract Relevant Features for a
Disentangled, Interpretable, and Controllable Text-Guided Face Manipulation", SIGGRAPH 2023,
arXiv:2210.03919.
Notation (here -> paper): source.image -> the original image, PaeSettings.alpha -> the augmenting
power; the rest is in `faceedit.losses.pae`, where the target is made.
Differs from the paper: the code moves in w_plus from the inverted photo, with StyleCLIP's learning
rate ramp and tens of steps, where the official demo moves z for 10,000; the target is made once for
a face and not anew at each step, on which it does not depend. The identity and latent terms are
those of the official code's options; `tied_layers` moves all layers alike; `weight_outside` holds
the picture where the characteristic does not show (`faceedit.losses.outside`), which a small CLIP
hardly sees. `strength` goes along the straight line to the optimum; `alpha` is the paper's own
control and asks for a new descent. A descent from the photo often ends beside what is asked for:
CLIP's slopes lead black hair to blue when it should be red. It may begin further on
(`init="direction"`), along what faces that differ so in CLIP's eyes have in common in w
(`faceedit.optimization.directions`, fitted).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.losses import terms as losses
from faceedit.losses.outside import PreservedRegion
from faceedit.losses.pae import (
    PaeSettings,
    consistency_distance,
    diversity_penalty,
    pae_sentence,
    sentence_bases,
    sentence_characteristics,
)
from faceedit.losses.text import common_direction
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.codes import descend, layer_gate, w_plus_unit
from faceedit.optimization.directions import best_step, regressed_directions
from faceedit.optimization.effort import effort
from faceedit.types import Face, Latent, Sentence, Space

CHUNK = 64  # images drawn and encoded at once while fitting, at most


@dataclass(frozen=True)
class ClipPaeConfig(MethodConfig):
    """Settings of the target and of the descent."""

    takes = frozenset({"tied_layers", "weight_outside"})

    # Sizes
    w_dim: int = 512
    embed_dim: int = 512  # of CLIP
    # The paper's
    target: Literal["pae", "text"] = "pae"  # "text": the sentence itself, the paper's baseline
    projection: str = "span"  # a `projections.Projection`
    alpha: float = 2.0  # augmenting power
    components: int = 10  # of a PCA or contrast basis, at most
    characteristics: tuple[str, ...] | None = None  # names in CORPORA; None = chosen by the words
    added_text: Literal["projected", "full"] = "projected"
    weight_clip: float = 1.0
    weight_latent_l2: float = 1.0  # of the mean square offset in official units
    weight_identity: float = 0.5
    weight_consistency: float = 0.0  # 0.1 holds what is outside the subspace still more firmly
    weight_diversity: float = 0.0  # 0.01 drives the variations in a batch of one face apart
    # Ours
    additions: Additions = Additions()
    normalize_text_direction: bool = False  # of a contrast: alpha is then its length
    steps: int = 60
    learning_rate: float = 0.05  # Adam's, in official units (`faceedit.optimization.codes`)
    patience: int | None = 15  # steps without gain after which the descent ends
    layers: tuple[int, int] | None = None  # first and end of the w layers that move; None = all
    init: Literal["source", "direction"] = "source"  # of the descent; "direction" is fitted
    step_sizes: tuple[float, ...] = (0.0, 0.2, 0.4, 0.55, 0.75, 1.1)  # of the first, RMS in units
    step_penalty: float = 0.026  # gain in cosine that a size of 1 has to bring
    ridge: float = 0.3  # of the fit; share of the mean variance of CLIP's entries


@dataclass(frozen=True)
class Goal:
    """What a descent is after, and where it must not go."""

    sentence: Sentence  # with the target that is descended to
    bases: list[Tensor | None]  # of the subspace of each prompt's characteristic
    seen: Tensor  # [n, d], the source's own unit embedding
    held: PreservedRegion | None = None  # where what each prompt is about does not show


class ClipPae(EditMethod):
    """Edit by minimizing 1 - cos(CLIP(G(w)), PAE)."""

    name = "clip_pae"
    kind = "optimized"
    config_class = ClipPaeConfig
    space = Space.W_PLUS
    needs = frozenset({"generator", "clip", "identity"})

    directions: Tensor  # [w_dim, d], official units of w by CLIP's view; where an init is fitted

    def __init__(self, config: ClipPaeConfig) -> None:
        super().__init__(config)
        if config.init == "direction":
            self.register_buffer("directions", torch.zeros(config.w_dim, config.embed_dim))
        self.settings = PaeSettings.of(config)

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the sizes of these networks."""
        generator = backbones.require("generator", cls.name)
        return {"w_dim": generator.config.w_dim, "embed_dim": backbones.clip.embed_dim}

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w_s + strength * (w - w_s)) for the w that minimizes `objective`."""
        start, generator = source.latent.code.detach(), backbones.generator
        if not len(start):
            return source
        gate = layer_gate(self.config.layers, generator).to(start)
        goal = self.goal(source, sentence, backbones)

        def score(code: Tensor) -> Tensor:
            edited = Face(generator.synthesis(code), Latent(code, self.space))
            terms = self._terms(source, edited, goal, backbones)
            return torch.stack(list(terms.values())).sum()

        unit = gate * w_plus_unit(generator).to(start)
        config = self.config
        code = descend(
            start, unit, score, config.steps, config.learning_rate,
            patience=config.patience, shared=config.additions.ties(generator),
            first=self.first_offset(source, goal, sentence, backbones),
        )  # fmt: skip
        code = start + strength * (code - start)
        with torch.no_grad():
            return Face(generator.synthesis(code), Latent(code, self.space), source.mask)

    @torch.no_grad()
    def first_offset(
        self, source: Face, goal: Goal, sentence: Sentence, backbones: Backbones
    ) -> Tensor | None:
        """Return where the descent begins, [n, 1, w_dim] in official units; None = at the source.

        As far along the sentence's direction as brings the image nearest to the goal, less a
        penalty for the way. The weights that hold the face have no say in it: they pull back later.
        """
        if self.config.init == "source":
            return None
        code, generator = source.latent.code, backbones.generator
        delta_t = (sentence.target - sentence.neutral_embedding).to(self.directions)
        along = delta_t @ self.directions.T  # [n, w_dim]
        along = along / along.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-8)
        sizes = torch.tensor(self.config.step_sizes).to(code)
        offsets = (sizes[:, None] * along[:, None]).expand(len(code), -1, -1)  # [n, sizes, w]
        unit = layer_gate(self.config.layers, generator).to(code) * w_plus_unit(generator).to(code)
        codes = code[:, None] + offsets[:, :, None] * unit  # [n, sizes, num_ws, w_dim]
        best = best_step(
            codes, sizes, generator.synthesis, goal.sentence.target, backbones.clip,
            self.config.step_penalty,
        )  # fmt: skip
        return offsets[torch.arange(len(code)), best][:, None]

    @torch.no_grad()
    def fit(self, latents: Tensor, labels: Tensor | None, backbones: Backbones) -> None:
        """Learn what random faces, w_plus codes [n, num_ws, w_dim], have in common in w.

        Raises:
            ValueError: If the settings say that descents begin at the source.
        """
        del labels
        if self.config.init == "source":
            raise ValueError('init="source" needs no fit; set init="direction"')
        clip = backbones.clip
        at_once = effort().images(backbones.generator.config.resolution, CHUNK)
        images = (backbones.generator.synthesis(part) for part in latents.split(at_once))
        seen = torch.cat([clip.encode_image(part) for part in images])
        common = common_direction(clip).to(seen)
        rows = regressed_directions(latents[:, 0], seen, common, self.config.ridge)
        self.directions.copy_(rows)

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return the distance to the target and the terms that keep the face."""
        return self._terms(source, edited, self.goal(source, sentence, backbones), backbones)

    def goal(self, source: Face, sentence: Sentence, backbones: Backbones) -> Goal:
        """Return what the source's edit is to reach; it stays the same throughout a descent."""
        clip, config = backbones.clip, self.config
        bases: list[Tensor | None] = [None]  # no subspace
        names, held = None, None
        if config.additions.weight_outside:
            names = sentence_characteristics(sentence, clip, self.settings)
            held = PreservedRegion.of(backbones.segmenter, source.image, names)
        if config.target == "pae" or config.weight_consistency or config.weight_diversity:
            bases = sentence_bases(sentence, clip, self.settings, names)
        if config.target == "pae":
            sentence = pae_sentence(sentence, source.image, clip, self.settings, bases)
        with torch.no_grad():
            return Goal(sentence, bases, clip.encode_image(source.image), held)

    def _terms(
        self, source: Face, edited: Face, goal: Goal, backbones: Backbones
    ) -> dict[str, Tensor]:
        config = self.config
        after = backbones.clip.encode_image(edited.image)
        unit = w_plus_unit(backbones.generator).to(source.latent.code)
        offset = (edited.latent.code - source.latent.code) / unit
        terms = {
            "clip": config.weight_clip * (1 - (after * goal.sentence.target).sum(dim=-1).mean()),
            "latent_l2": config.weight_latent_l2 * offset.square().mean(),
        }
        if config.weight_identity:
            terms["identity"] = config.weight_identity * losses.identity_distance(
                backbones.identity, source.image, edited.image
            )
        if goal.held is not None:
            terms["outside"] = (
                config.additions.weight_outside * goal.held.change(edited.image).mean()
            )
        if config.weight_consistency:
            distance = consistency_distance(after, goal.seen, goal.bases)
            terms["consistency"] = config.weight_consistency * distance
        if config.weight_diversity and len(after) > 1:
            terms["diversity"] = config.weight_diversity * diversity_penalty(after, goal.bases)
        return terms
