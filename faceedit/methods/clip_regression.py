"""CLIP regression: what faces that differ in CLIP's eyes have in common in s is the edit.

Paper: none; ours, after Lyu et al., "DeltaEdit: Exploring Text-free Training for Text-Driven Image
Manipulation", CVPR 2023, arXiv:2303.06285: codes are learned from differences of CLIP's image
embeddings, and asked for with those of texts. There a network answers for one face; here a ridge
regression answers for all faces alike (`faceedit.optimization.directions`). As in StyleCLIP's
global directions (arXiv:2103.17249, Section 6) the answer is a step in s of the most relevant
channels.

    R = Delta t . Sigma_es (Sigma_ee + l)^-1 / sqrt(Delta t . Sigma_ee Delta t)
    edit: s + strength * length * scale * sigma * (R where it is among the largest, else 0)

Moving one channel alone, as StyleCLIP measures relevance, leaves the faces that a generator draws,
and what CLIP says of such pictures helps little. How far to go is for the user to find in
StyleCLIP; here CLIP looks at the face that far on, at several lengths, and takes the best
(`step_sizes`). A sentence of several wishes may be taken apart (`sequential`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.losses.text import common_direction
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.directions import best_step, regressed_directions, select
from faceedit.optimization.effort import effort
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import wish_sequence
from faceedit.words.wishes import one_wish, wishes

CHUNK = 64  # images rendered and encoded at once while fitting, at most


@dataclass(frozen=True)
class ClipRegressionConfig(MethodConfig):
    """Settings of the regression and of the step."""

    takes = frozenset({"sequential"})

    # Sizes
    num_channels: int = 9088  # of s
    embed_dim: int = 512  # of CLIP
    # Ours: there is no paper
    additions: Additions = Additions()
    scale: float = 0.13  # of the step at strength 1
    keep: int = 600  # channels that a sentence moves
    ridge: float = 0.3  # of the regression; share of the mean variance of CLIP's entries
    step_sizes: tuple[float, ...] = (0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 1.9)  # CLIP chooses per face
    step_penalty: float = 0.02  # gain in cosine that a size of 1 more has to bring


class ClipRegression(EditMethod):
    """Edit with s + strength * length * scale * delta_s."""

    name = "clip_regression"
    kind = "fitted"
    config_class = ClipRegressionConfig
    space = Space.S
    needs = frozenset({"generator", "clip"})

    directions: Tensor  # [C, d], by how many deviations channels differ where CLIP's view does by 1
    deviation: Tensor  # [C], of each channel over random faces
    covariance: Tensor  # [d, d], of CLIP's view of random faces

    def __init__(self, config: ClipRegressionConfig) -> None:
        super().__init__(config)
        self.register_buffer("directions", torch.zeros(config.num_channels, config.embed_dim))
        self.register_buffer("deviation", torch.zeros(config.num_channels))
        self.register_buffer("covariance", torch.zeros(config.embed_dim, config.embed_dim))

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the sizes of these networks."""
        generator = backbones.require("generator", cls.name)
        clip = backbones.require("clip", cls.name)
        return {"num_channels": sum(generator.style_dims), "embed_dim": clip.embed_dim}

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(s + strength * length * scale * delta_s), delta_s summed over the wishes."""
        code = source.latent.code
        split = wishes if self.config.additions.sequential else one_wish
        turns = wish_sequence(sentence, split, backbones.clip)
        step = sum(asked.flatten(1) * self.delta_s(wish) for wish, asked in turns)
        step = self.config.scale * torch.as_tensor(step).to(code)
        length = self.best_length(code, step, sentence, backbones)
        code = code + strength * length * step
        image = backbones.generator.synthesis_from_styles(code)
        return Face(image, Latent(code, self.space), source.mask)

    @torch.no_grad()
    def best_length(
        self, code: Tensor, step: Tensor, sentence: Sentence, backbones: Backbones
    ) -> Tensor:
        """Return for each face how far to go along the step, [n, 1]; see `best_step`."""
        sizes = torch.tensor(self.config.step_sizes).to(code)
        if len(sizes) == 1 or not len(code):
            return sizes[:1].expand(len(code), 1)
        tried = code[:, None] + sizes[:, None] * step[:, None]  # [n, sizes, C]
        draw = backbones.generator.synthesis_from_styles
        penalty = self.config.step_penalty
        return sizes[best_step(tried, sizes, draw, sentence.target, backbones.clip, penalty)][
            :, None
        ]

    def delta_s(self, sentence: Sentence) -> Tensor:
        """Return the step of a sentence, [n, C]: the largest relevances, times the deviations.

        A regressed relevance is in deviations already: some sentences need more than others.
        """
        relevance = self.relevance(sentence)
        chosen = select(relevance, self.config.keep)  # as shares of the largest
        return chosen * relevance.abs().amax(dim=1, keepdim=True) * self.deviation

    def relevance(self, sentence: Sentence) -> Tensor:
        """Return by how many deviations channels differ for the words, over faces' spread, [n, C].

        A rare thing is far from most faces, and is learned as nearer than it is: it needs more.
        """
        delta_t = F.normalize(sentence.target - sentence.neutral_embedding, dim=-1)
        delta_t = delta_t.to(self.directions)
        spread = ((delta_t @ self.covariance) * delta_t).sum(dim=-1, keepdim=True)
        return delta_t @ self.directions.T / spread.clamp(min=1e-8).sqrt()

    @torch.no_grad()
    def fit(self, latents: Tensor, labels: Tensor | None, backbones: Backbones) -> None:
        """Regress the channels of random faces on CLIP's view of them.

        Args:
            latents: Codes of random faces, w_plus [n, num_ws, w_dim] or s [n, C]; thousands.
            labels: Not used.
            backbones: Needs `generator` and `clip`.

        Raises:
            ValueError: If there are fewer than two codes.
        """
        del labels
        generator, clip = backbones.generator, backbones.clip
        if len(latents) < 2:
            raise ValueError(f"got {len(latents)} codes; give thousands, at least 2")
        parts = [generator.styles(part) if part.ndim == 3 else part for part in latents.split(512)]
        s = torch.cat(parts)
        self.deviation.copy_(s.std(dim=0, correction=0))
        at_once = effort().images(generator.config.resolution, CHUNK)
        chunks = (generator.synthesis_from_styles(part) for part in s.split(at_once))
        seen = torch.cat([clip.encode_image(images) for images in chunks])
        common = common_direction(clip).to(seen)
        self.directions.copy_(regressed_directions(s, seen, common, self.config.ridge))
        seen = seen - (seen @ common)[:, None] * common
        self.covariance.copy_(seen.T.cov(correction=0))
