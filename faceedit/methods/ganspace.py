"""GANSpace: the principal components of w, each moved on some layers only, are the edits.

Paper: Haerkoenen et al., "GANSpace: Discovering Interpretable GAN Controls", NeurIPS 2020,
arXiv:2004.02546: principal components of w, and layer-wise edits E(v_k, start - end).
Notation (here -> paper): components -> v, mean -> mu, edit_layers -> the layers of E, sigmas *
deviation -> x.
Differs from the paper: there people look at the components and name them; here every component is
moved on every layer range around some faces and named after what the attribute reader sees change.
A wish picks the nearest named edit, a sentence of several wishes one each. Signs are fixed by each
component's largest entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal, Self

import torch
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.method import EditMethod, MethodConfig
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words import named_edits
from faceedit.words.named_edits import EditNames, Wordings, one_edit_per_wish

UNNAMED = 20  # components that are edits by their numbers where nobody can name them
UNNAMED_SIGMAS = 2.0  # deviations that such an edit moves
COARSE_END, MEDIUM_END = 4, 8  # first layer of the medium and of the fine group


@dataclass(frozen=True)
class GanSpaceConfig(MethodConfig):
    """Settings of the components and their names."""

    # Sizes
    w_dim: int = 512
    embed_dim: int = 512  # of CLIP
    # The paper's
    num_components: int = 48  # 80 in the official files
    # Ours
    wordings: Wordings = named_edits.WORDINGS  # (key, sentence): the edits and how they are called
    step: float = 1.0  # of what a named edit shall change
    mode: Literal["offset", "target"] = "offset"  # see `forward`
    amplitude: float = 2.0  # deviations by which a component is moved to see what it does
    limit: float = 6.0  # deviations that a named edit moves at most at strength 1
    faces: int = 8  # around which components are moved
    population: int = 800  # faces that tell how much each score varies


def principal_components(w: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean [d], the components [count, d] and their deviations [count].

    Components are orthonormal, ordered by variance, and signed so that the entry of the largest
    magnitude is positive.

    Args:
        w: Codes, [n, d].
        count: How many components, at most d.
    """
    mean = w.double().mean(0)
    centred = w.double() - mean
    variance, axes = torch.linalg.eigh(centred.T @ centred / len(w))  # in rising order
    components = axes.T.flip(0)[:count]
    largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
    components = components * torch.where(largest < 0, -1.0, 1.0)
    deviation = variance.flip(0)[:count].clamp(min=0).sqrt()
    return mean.to(w), components.to(w), deviation.to(w)


def layer_ranges(num_ws: int) -> list[tuple[int, int]]:
    """Return the layers [start, end) on which components are tried: all, coarse, medium, fine."""
    cuts = [0, min(COARSE_END, num_ws), min(MEDIUM_END, num_ws), num_ws]
    groups = [(a, b) for a, b in pairwise(cuts) if a < b]
    return list(dict.fromkeys([(0, num_ws), *groups]))


class GanSpace(EditMethod):
    """Edit with w[start:end] + strength * sigmas * deviation * v."""

    name = "ganspace"
    kind = "fitted"
    config_class = GanSpaceConfig
    space = Space.W_PLUS
    needs = frozenset({"generator", "clip", "attributes"})  # the last one named the components

    mean: Tensor  # [w_dim]
    components: Tensor  # v, [num_components, w_dim], orthonormal, by falling variance
    deviation: Tensor  # [num_components], of the codes along each component
    edit_component: Tensor  # [keys], the component of each named edit
    edit_layers: Tensor  # [keys, 2], the layers [start, end) that it moves
    edit_sigmas: Tensor  # [keys], how many deviations it moves, of either sign

    def __init__(self, config: GanSpaceConfig) -> None:
        super().__init__(config)
        self.names = EditNames(config.wordings, config.embed_dim)
        keys = len(self.names.keys)
        self.register_buffer("mean", torch.zeros(config.w_dim))
        self.register_buffer("components", torch.zeros(config.num_components, config.w_dim))
        self.register_buffer("deviation", torch.zeros(config.num_components))
        self.register_buffer("edit_component", torch.zeros(keys, dtype=torch.long))
        self.register_buffer("edit_layers", torch.zeros(keys, 2, dtype=torch.long))
        self.register_buffer("edit_sigmas", torch.zeros(keys))

    @classmethod
    def build(cls, backbones: Backbones, **settings: Any) -> Self:
        """Return unfitted components for this generator, as many as it can have."""
        w_dim = backbones.require("generator", cls.name).config.w_dim
        wanted = settings.get("num_components", GanSpaceConfig.num_components)
        settings["num_components"] = min(wanted, w_dim)
        if backbones.attributes is None:  # nobody can name the components
            count = min(UNNAMED, settings["num_components"])
            settings["wordings"] = tuple(
                (f"component_{k}{side}", f"component {k}{way}")
                for k in range(count)
                for side, way in (("+", ""), ("-", " reversed"))
            )
        else:
            settings["wordings"] = named_edits.known(cls.name, backbones, settings.get("wordings"))
        return super().build(backbones, **settings)

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the sizes of these networks."""
        return named_edits.sizes(cls.name, backbones)

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w) with a component moved on its layers, the one nearest to each wish.

        A sentence of several wishes moves along one component a wish, one after the other.
        """
        step = partial(self._step, strength=strength)
        code = source.latent.code
        edited = one_edit_per_wish(code, sentence, backbones.clip, self.names, step)
        image = backbones.generator.synthesis(edited)
        return Face(image, Latent(edited, self.space), source.mask)

    def _step(self, code: Tensor, sentence: Sentence, sign: Tensor, strength: float) -> Tensor:
        """Return how far one wish moves codes, [n, num_ws, w_dim]; the sign -1 takes it back.

        In the mode "target" the first layer's coordinate along the component ends there, wherever
        it was, instead of moving on by it; every layer of the range moves as far.
        """
        chosen = self.names.nearest(sentence)
        k = self.edit_component[chosen]  # [m], m one sentence for all faces or one a face
        sigmas = strength * sign[:, 0, 0] * self.config.step * self.edit_sigmas[chosen].to(code)
        if self.config.mode == "target":
            now = self.coordinates(code[:, 0])
            sigmas = sigmas - now.gather(1, k.expand(len(code))[:, None])[:, 0]
        delta_w = (sigmas * self.deviation[k].to(code))[:, None] * self.components[k].to(code)
        start, end = self.edit_layers[chosen].unbind(1)
        layer = torch.arange(code.shape[1], device=code.device)
        inside = (layer >= start[:, None]) & (layer < end[:, None])  # [m, num_ws]
        return inside[..., None] * delta_w[:, None]

    def coordinates(self, w: Tensor) -> Tensor:
        """Return where codes [n, w_dim] lie along the components, [n, count], in deviations."""
        along = (w - self.mean.to(w)) @ self.components.to(w).T
        return along / self.deviation.to(w).clamp(min=1e-8)

    @torch.no_grad()
    def fit(self, latents: Tensor, labels: Tensor | None, backbones: Backbones) -> None:
        """Find the components, and name the best component and layers for every edit.

        Args:
            latents: Codes of random faces, w_plus [n, num_ws, w_dim]; ten thousand or more. The
                first `config.population` are read, the first `config.faces` are moved.
            labels: Not used.
            backbones: Needs `generator` and `clip`; without `attributes` the first components are
                edits by their numbers, two deviations each way.
        """
        del labels
        generator, reader = backbones.generator, backbones.attributes
        mean, components, deviation = principal_components(
            latents.mean(dim=1), self.config.num_components
        )
        self.mean.copy_(mean)
        self.components.copy_(components)
        self.deviation.copy_(deviation)
        if reader is None:
            self._number_edits(generator.num_ws)
            self.names.embed(backbones.clip)
            return
        scores = self.names.read_latents(latents[: self.config.population], backbones)
        spread = scores.std(dim=0, correction=0).clamp(min=1e-6)
        wanted = named_edits.gaps(scores, self.names.classes(scores)) / spread
        faces, ranges = latents[: self.config.faces], layer_ranges(generator.num_ws)
        moves = [(k, *layers) for k in range(len(components)) for layers in ranges]

        def draw(move: int, sigmas: float) -> Tensor:
            k, start, end = moves[move]
            codes = faces.clone()
            codes[:, start:end] += sigmas * deviation[k] * components[k]
            return generator(codes)

        effects = named_edits.measure(
            draw, len(moves), self.config.amplitude, lambda images: self.names.read(images, reader)
        )
        chosen, sigmas = named_edits.choose(
            effects / spread, wanted, self.names.attributes, self.config.limit
        )
        table = torch.tensor(moves, device=chosen.device)[chosen[:, 0]]  # [keys, 3]
        self.edit_component.copy_(table[:, 0])
        self.edit_layers.copy_(table[:, 1:])
        self.edit_sigmas.copy_(sigmas[:, 0])
        self.names.embed(backbones.clip)

    def _number_edits(self, num_ws: int) -> None:
        """Make an edit of each of the first components, both ways, on all layers."""
        for index in range(len(self.names.keys)):
            self.edit_component[index] = index // 2
            self.edit_layers[index] = torch.tensor([0, num_ws])
            self.edit_sigmas[index] = UNNAMED_SIGMAS * (1 if index % 2 == 0 else -1)
