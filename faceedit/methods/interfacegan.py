"""InterFaceGAN: an attribute is a half-space of w; the normal of its boundary is the edit.

Paper: Shen et al., "Interpreting the Latent Space of GANs for Semantic Face Editing", CVPR 2020,
arXiv:1907.10786: one boundary an attribute, and conditional manipulation by projection.
Notation (here -> paper): boundaries -> n, code -> z (here w_plus), conditional -> n_1 -
(n_1 . n_2) n_2, strength * reach -> alpha.
Differs from the paper: labels are those of this base's attribute reader; the support vector machine
has a squared hinge, a balanced weight for both classes and all clear faces, not only the extreme
2 %; several conditions are removed at once. Strength 1 goes as far as those whom the attribute
holds for lie beyond the mean face, so that 1 suits every attribute. A wish picks the nearest named
boundary, a sentence of several wishes one each, which is our addition.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.method import EditMethod, MethodConfig
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words import named_edits
from faceedit.words.named_edits import EditNames, Wordings, one_edit_per_wish

TRAIN_SHARE = 0.7  # of the faces; the others tell the boundary's accuracy
LEAST_COSINE = 0.3  # of a boundary and its conditional one, below which a step grows no further


@dataclass(frozen=True)
class InterFaceGanConfig(MethodConfig):
    """Settings of the boundaries."""

    # Sizes
    w_dim: int = 512
    embed_dim: int = 512  # of CLIP
    # The paper's
    conditions: tuple[str, ...] = ("femininity", "age", "skin_tone", "glasses", "hat", "smile")
    # Ours
    wordings: Wordings = named_edits.WORDINGS  # (key, sentence): the edits and how they are called
    step: float = 1.0  # of the way from the mean face to those whom the attribute holds for
    mode: Literal["relative", "absolute"] = "relative"  # see `forward`
    regularization: float = 0.1  # of the squared normal, against the mean squared hinge


def fit_boundaries(w: Tensor, classes: Tensor, regularization: float) -> tuple[Tensor, Tensor]:
    """Return the boundaries of linear support vector machines, all fitted at once.

    Minimizes regularization / 2 |n|^2 + mean over both classes of max(0, 1 - y (n . w - b))^2.

    Args:
        w: Codes, [n, d].
        classes: y, [n, k] of 1, -1 and, for faces that are left out, 0.
        regularization: Its weight, for codes of which an entry's mean square is 1.

    Returns:
        Unit normals [k, d] and the signed distances [k] of the boundaries from the origin.
    """
    mean, scale = w.mean(0), w.std(0, correction=0).square().mean().sqrt().clamp(min=1e-8)
    centred = (w - mean) / scale
    counts = [(classes == sign).float().sum(0).clamp(min=1) for sign in (1, -1)]
    weights = (classes > 0) / (2 * counts[0]) + (classes < 0) / (2 * counts[1])
    normals = torch.zeros(classes.shape[1], w.shape[1], device=w.device, requires_grad=True)
    bias = torch.zeros(classes.shape[1], device=w.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [normals, bias], max_iter=200, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        hinge = (1 - classes * (centred @ normals.T - bias)).clamp(min=0).square()
        total = (weights * hinge).sum() + regularization / 2 * normals.square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        optimizer.step(loss)
    length = normals.detach().norm(dim=1).clamp(min=1e-12)
    unit = normals.detach() / length[:, None]
    return unit, unit @ mean + bias.detach() / length * scale


def conditional(boundary: Tensor, conditions: Tensor) -> Tensor:
    """Return the unit boundary in the complement of others: n - C^T (C C^T)^-1 C n, made unit.

    Moving along it leaves the distance to every condition's boundary as it is.

    Args:
        boundary: n, [d].
        conditions: C, [k, d]; rows may depend on one another.
    """
    if len(conditions) == 0:
        return boundary
    _, size, basis = torch.linalg.svd(conditions.double(), full_matrices=False)
    basis = basis[size > 1e-4 * size.amax().clamp(min=1e-12)]
    rest = boundary.double() - basis.T @ (basis @ boundary.double())
    if rest.norm() < 1e-3:  # it is a mixture of the conditions: nothing would be left to move along
        return boundary
    return F.normalize(rest, dim=0).to(boundary)


class InterFaceGan(EditMethod):
    """Edit with w + strength * reach * n, n the normal of the attribute's boundary."""

    name = "interfacegan"
    kind = "fitted"
    config_class = InterFaceGanConfig
    space = Space.W_PLUS
    needs = frozenset({"generator", "clip", "attributes"})  # the last one named the boundaries

    boundaries: Tensor  # n, [keys, w_dim], unit length
    distances: Tensor  # [keys], of each boundary from the origin
    reach: Tensor  # [keys], how far those whom it holds for lie beyond the mean face
    accuracy: Tensor  # [keys], on faces that were not fitted, in [0, 1], mean of both classes

    def __init__(self, config: InterFaceGanConfig) -> None:
        super().__init__(config)
        self.names = EditNames(config.wordings, config.embed_dim)
        keys = len(self.names.keys)
        self.register_buffer("boundaries", torch.zeros(keys, config.w_dim))
        for name in ("distances", "reach", "accuracy"):
            self.register_buffer(name, torch.zeros(keys))

    @classmethod
    def build(cls, backbones: Backbones, **settings: Any) -> Self:
        """Return unfitted boundaries for what this base's attribute reader reads."""
        settings["wordings"] = named_edits.known(cls.name, backbones, settings.get("wordings"))
        return super().build(backbones, **settings)

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the sizes of these networks."""
        return named_edits.sizes(cls.name, backbones)

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w + strength * delta_w) for the boundary that each wish is nearest to.

        A sentence of several wishes moves along one boundary a wish, one after the other.
        """
        step = partial(self._step, strength=strength)
        code = source.latent.code
        edited = one_edit_per_wish(code, sentence, backbones.clip, self.names, step)
        image = backbones.generator.synthesis(edited)
        return Face(image, Latent(edited, self.space), source.mask)

    def _step(self, code: Tensor, sentence: Sentence, sign: Tensor, strength: float) -> Tensor:
        """Return how far one wish moves codes, [n, 1, w_dim]; the sign is 1, or -1 to take back.

        There is one sentence for all faces or one a face (m of them). In the mode "absolute" the
        mean of the layers ends strength * reach beyond the boundary, wherever it was, instead of
        moving on by it.
        """
        chosen = self.names.nearest(sentence)
        steps = [self.delta_w(index)[None] for index in chosen.tolist()]
        delta_w = torch.cat([self.boundaries[:0], *steps]).to(code)  # [m, w_dim]
        length = strength * sign[:, 0]  # [m, 1]
        if self.config.mode == "absolute":
            normals = self.boundaries[chosen].to(code)
            now = (code.mean(dim=1) * normals).sum(1) - self.distances[chosen].to(code)
            a_step = (delta_w * normals).sum(1)
            length = length - (now / a_step.clamp(min=1e-8))[:, None]
        return (length * delta_w)[:, None]

    def delta_w(self, index: int) -> Tensor:
        """Return the step of an edit, [w_dim], along its conditional boundary.

        It crosses as much of the attribute's own boundary as the step along the plain normal.
        """
        plain = self.boundaries[index]
        normal = conditional(plain, self.boundaries[self.conditions(index)])
        cosine = (plain @ normal).clamp(min=LEAST_COSINE)
        return self.config.step * self.reach[index] / cosine * normal

    def conditions(self, index: int) -> list[int]:
        """Return the edits whose scores an edit shall leave alone: one for each other attribute."""
        attributes = self.names.attributes
        others = [name for name in self.config.conditions if name != attributes[index]]
        return [attributes.index(name) for name in others if name in attributes]

    @torch.no_grad()
    def fit(self, latents: Tensor, labels: Tensor | None, backbones: Backbones) -> None:
        """Fit every boundary to random faces and what the attribute reader says of them.

        Args:
            latents: Codes of random faces, w_plus [n, num_ws, w_dim]; thousands of them.
            labels: The reader's answers [n, A], a column an attribute: its value or the index of
                its value; None draws the faces and reads how sure the reader is as well.
            backbones: Needs `generator`, `clip` and `attributes`.
        """
        reader = backbones.require("attributes", self.name)
        if labels is None:
            scores = self.names.read_latents(latents, backbones)
        else:
            scores = self.names.read_labels(labels, reader.config.heads)
        self.fit_scores(latents, scores, backbones)

    @torch.no_grad()
    def fit_scores(self, latents: Tensor, scores: Tensor, backbones: Backbones) -> None:
        """Fit every boundary to random faces and how much each attribute holds for them.

        Args:
            latents: w_plus codes, [n, num_ws, w_dim].
            scores: [n, keys], a column an edit: more is more of it, in any unit.
            backbones: Needs `clip`.
        """
        w, classes = latents.mean(dim=1), self.names.classes(scores)
        cut = max(1, int(TRAIN_SHARE * len(w)))
        tried = fit_boundaries(w[:cut], classes[:cut], self.config.regularization)
        self.accuracy.copy_(balanced_accuracy(w[cut:] @ tried[0].T - tried[1], classes[cut:]))
        normals, distances = fit_boundaries(w, classes, self.config.regularization)
        self.boundaries.copy_(normals)
        self.distances.copy_(distances)
        self.reach.copy_(named_edits.gaps(w @ normals.T, classes))
        self.names.embed(backbones.clip)


def balanced_accuracy(distance: Tensor, classes: Tensor) -> Tensor:
    """Return the mean over both classes of the share on the right side, [k]; 1 where empty."""
    right = (distance * classes > 0).float()
    shares = []
    for sign in (1, -1):
        members = (classes == sign).float()
        shares.append((right * members).sum(0) / members.sum(0).clamp(min=1))
        shares[-1][members.sum(0) == 0] = 1.0
    return torch.stack(shares).mean(dim=0)
