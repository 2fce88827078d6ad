"""StyleCLIP latent optimization: descend CLIP's distance to a sentence, one face at a time.

Paper: Patashnik et al., "StyleCLIP: Text-Driven Manipulation of StyleGAN Imagery", ICCV 2021,
arXiv:2103.17249, Section 4.
Notation (here -> paper): code -> w, source.latent.code -> w_s, generator -> G, weight_latent_l2 ->
lambda_L2, weight_identity -> lambda_ID.
Differs from the paper: Equation 1 prints the norm of w - w_s, the official code takes the sum of
squares over 18 x 512 entries and we follow it, scaled to that count whatever the generator's size
(`REFERENCE_ENTRIES`). Entries are measured in units of their deviation over random faces times 2,
which is 1 for official generators, so that the settings suit generators of another scale and s as
well as w_plus. The best code on the way is returned, where the official code returns the last but
one. All layers may move alike (`tied_layers`). `strength` goes along the straight line from w_s to
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.losses import terms as losses
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.codes import code_unit, descend, layer_gate
from faceedit.types import Face, Latent, Sentence, Space

REFERENCE_ENTRIES = 18 * 512  # of the official w_plus: what weight_latent_l2 was chosen for


@dataclass(frozen=True)
class OptimizationConfig(MethodConfig):
    """Settings of the descent; the weights are those of the official notebook."""

    takes = frozenset({"tied_layers"})

    # The paper's
    space: Literal["w_plus", "s"] = "w_plus"
    steps: int = 80
    learning_rate: float = 0.05  # Adam's, in official units; theirs is 0.1, for 300 steps
    weight_clip: float = 1.0
    weight_latent_l2: float = 0.008  # lambda_L2; lower it for stronger edits
    weight_identity: float = 0.005  # lambda_ID; 0 where the edit changes who it is
    layers: tuple[int, int] | None = None  # first and end of the w layers that move; None = all
    # Ours
    additions: Additions = Additions()  # layers are tied in w_plus only


class StyleClipOptimization(EditMethod):
    """Edit by minimizing D_CLIP(G(w), t) + lambda_L2 ||w - w_s||^2 + lambda_ID L_ID(w)."""

    name = "styleclip_optimization"
    kind = "optimized"
    config_class = OptimizationConfig
    space = Space.W_PLUS  # of the default settings; an instance has that of its settings
    needs = frozenset({"generator", "clip", "identity"})
    pixels = "styleclip"

    def __init__(self, config: OptimizationConfig) -> None:
        super().__init__(config)
        self.space = Space(config.space)  # type: ignore[misc]  # the settings decide

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w_s + strength * (w - w_s)) for the w that minimizes Equation 1."""
        start = source.latent.code.detach()
        if not len(start):
            return source
        unit = code_unit(backbones.generator, self.space).to(start)
        moves = unit * self._movable(backbones.generator).to(start)

        def score(code: Tensor) -> Tensor:
            edited = self._draw(code, source, backbones)
            terms = self.objective(source, edited, sentence, backbones)
            return torch.stack(list(terms.values())).sum()

        config = self.config
        shared = self.space is Space.W_PLUS and config.additions.ties(backbones.generator)
        code = descend(start, moves, score, config.steps, config.learning_rate, shared=shared)
        with torch.no_grad():
            return self._draw(start + strength * (code - start), source, backbones)

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return the weighted terms of Equation 1; their sum is what `forward` descends."""
        config, before, after = self.config, source.latent.code, edited.latent.code
        unit = code_unit(backbones.generator, self.space).to(before)
        entries = REFERENCE_ENTRIES / before[0].numel()
        terms = {
            "clip": config.weight_clip
            * losses.clip_distance(backbones.clip, edited.image, sentence),
            "latent_l2": config.weight_latent_l2 * entries * losses.latent_l2(after, before, unit),
        }
        if config.weight_identity:
            terms["identity"] = config.weight_identity * losses.identity_distance(
                backbones.identity, source.image, edited.image
            )
        return terms

    def _draw(self, code: Tensor, source: Face, backbones: Backbones) -> Face:
        generator = backbones.generator
        draw = (
            generator.synthesis if self.space is Space.W_PLUS else generator.synthesis_from_styles
        )
        return Face(draw(code), Latent(code, self.space), source.mask)

    def _movable(self, generator: Any) -> Tensor:
        """Return which entries may move, 1 or 0: [num_ws, 1] in w_plus, [C] in s.

        In s the channels of toRGB stay, as in the official code.
        """
        chosen = layer_gate(self.config.layers, generator)
        if self.space is Space.W_PLUS:
            return chosen
        layers = generator.style_layers
        rows = [chosen[a.w_index].expand(a.channels) * float(not a.is_rgb) for a in layers]
        return torch.cat(rows)
