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
one. `strength` goes along the straight line from w_s to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from faceedit import losses
from faceedit.backbones import Backbones
from faceedit.method import EditMethod, MethodConfig
from faceedit.types import Face, Latent, Sentence, Space

REFERENCE_ENTRIES = 18 * 512  # of the official w_plus: what weight_latent_l2 was chosen for
DEVIATION_SAMPLES = 512  # faces over which an entry's deviation is taken
_DEVIATIONS: WeakKeyDictionary[Any, dict[Space, Tensor]] = WeakKeyDictionary()
WARM_UP, COOL_DOWN = 0.05, 0.25  # shares of the steps with a growing and a falling learning rate


@dataclass(frozen=True)
class OptimizationConfig(MethodConfig):
    """Settings of the descent; the weights are those of the official notebook."""

    space: Literal["w_plus", "s"] = "w_plus"
    steps: int = 80
    learning_rate: float = 0.05  # Adam's, in official units; theirs is 0.1, for 300 steps
    weight_clip: float = 1.0
    weight_latent_l2: float = 0.008  # lambda_L2; lower it for stronger edits
    weight_identity: float = 0.005  # lambda_ID; 0 where the edit changes who it is
    layers: tuple[int, int] | None = None  # first and end of the w layers that move; None = all


def learning_rate_ramp(progress: float) -> float:
    """Return the factor of the learning rate: up in the first 5 %, down in the last 25 %.

    Args:
        progress: step / steps, in [0, 1); at 0 the factor is 0, as in the official code.
    """
    fall = min(1.0, (1.0 - progress) / COOL_DOWN)
    return (0.5 - 0.5 * math.cos(math.pi * fall)) * min(1.0, progress / WARM_UP)


class StyleClipOptimization(EditMethod):
    """Edit by minimizing D_CLIP(G(w), t) + lambda_L2 ||w - w_s||^2 + lambda_ID L_ID(w)."""

    name = "styleclip_optimization"
    kind = "optimized"
    config_class = OptimizationConfig
    space = Space.W_PLUS  # of the default settings; an instance has that of its settings
    needs = frozenset({"generator", "clip", "identity"})

    def __init__(self, config: OptimizationConfig) -> None:
        super().__init__(config)
        self.space = Space(config.space)  # type: ignore[misc]  # the settings decide

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w_s + strength * (w - w_s)) for the w that minimizes Equation 1."""
        start = source.latent.code.detach()
        unit = 2 * deviation(backbones.generator, self.space).to(start)
        moves = self._movable(backbones.generator).to(start) * unit
        offset = torch.zeros_like(start, requires_grad=True)  # in official units
        optimizer = torch.optim.Adam([offset], lr=self.config.learning_rate)
        best, lowest = offset.detach(), math.inf
        for step in range(self.config.steps + 1):
            with torch.enable_grad():
                edited = self._draw(start + offset * moves, source, backbones)
                terms = self.objective(source, edited, sentence, backbones)
                loss = torch.stack(list(terms.values())).sum()
            if step > 0 and loss.item() < lowest:
                best, lowest = offset.detach().clone(), loss.item()
            if step == self.config.steps:
                break
            factor = learning_rate_ramp((step + 1) / (self.config.steps + 1))
            optimizer.param_groups[0]["lr"] = self.config.learning_rate * factor
            (offset.grad,) = torch.autograd.grad(loss, offset)
            optimizer.step()
        with torch.no_grad():
            return self._draw(start + strength * best * moves, source, backbones)

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return the weighted terms of Equation 1; their sum is what `forward` descends."""
        config, before, after = self.config, source.latent.code, edited.latent.code
        unit = 2 * deviation(backbones.generator, self.space).to(before)
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
        first, end = self.config.layers or (0, generator.num_ws)
        chosen = torch.zeros(generator.num_ws, 1)
        chosen[first:end] = 1.0
        if self.space is Space.W_PLUS:
            return chosen
        layers = generator.style_layers
        rows = [chosen[a.w_index].expand(a.channels) * float(not a.is_rgb) for a in layers]
        return torch.cat(rows)


@torch.no_grad()
def deviation(generator: Any, space: Space) -> Tensor:
    """Return each entry's standard deviation over random faces: w_plus [w_dim], s [C].

    Entries that never move get the mean deviation, so that dividing by it is safe. It is computed
    once for a generator, and forgotten with it.
    """
    kept = _DEVIATIONS.setdefault(generator, {})
    if space not in kept:
        draws = torch.Generator().manual_seed(0)
        w_plus = generator.sample_w_plus(DEVIATION_SAMPLES, draws, truncation_psi=1.0)
        codes = w_plus[:, 0] if space is Space.W_PLUS else generator.styles(w_plus)
        spread = codes.std(dim=0)
        kept[space] = torch.where(spread > 1e-6, spread, spread.mean().clamp(min=1e-6))
    return kept[space]
