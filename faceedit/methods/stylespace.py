"""StyleSpace: a single channel of s often controls a single thing; an atlas says which.

Paper: Wu et al., "StyleSpace Analysis: Disentangled Controls for StyleGAN Image Generation", CVPR
2021, arXiv:2011.12799: channels local to a region, and channels of an attribute.
Notation (here -> paper): code -> s, deviation -> sigma^p, attribute_scores -> theta_u =
|mu^e| / sigma^e.
Differs from the paper: gradient maps are not kept for every channel; random signs on the pixels of
a region give each channel's squared gradient there in expectation, for all channels at once. The
channels that the attribute scores propose are then moved, and ranked by what the attribute reader
sees change. A wish picks the nearest named edit, which moves one channel; a sentence of several
wishes moves one each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.method import EditMethod, MethodConfig
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words import named_edits
from faceedit.words.named_edits import EditNames, Wordings, named_wishes

CHUNK = 8  # faces whose gradients are taken at once
CANDIDATES = 6  # channels that the attribute scores propose for an edit; each is then tried
PROBES = 2  # random signs per face and region; the mean over faces evens them out


@dataclass(frozen=True)
class StyleSpaceConfig(MethodConfig):
    """Settings of the atlas."""

    # Sizes
    num_channels: int = 9088  # of s, those of toRGB included
    embed_dim: int = 512  # of CLIP
    regions: tuple[str, ...] = ("background", "skin", "hair")  # that the segmenter tells apart
    # The paper's
    keep: int = 8  # channels that the atlas lists for an edit and for a region
    gradient_faces: int = 16  # whose gradient maps are taken; 1000 in the paper
    rank: int = 0  # which of an edit's channels is moved; 0 is the best
    # Ours
    wordings: Wordings = named_edits.WORDINGS  # (key, sentence): the edits and how they are called
    step: float = 1.0  # of what a named edit shall change
    amplitude: float = 5.0  # deviations by which a channel is moved to see what it does
    limit: float = 15.0  # deviations that a channel moves at most at strength 1
    faces: int = 6  # around which channels are moved
    population: int = 1500  # faces that are read


def attribute_scores(s: Tensor, positive: Tensor) -> Tensor:
    """Return how plainly each channel differs in faces that show something, [C]: |mean z| / std z.

    Args:
        s: Standardized styles of all faces, (s - mean) / deviation, [n, C].
        positive: Which faces show it, [n] bool.
    """
    chosen = s[positive]
    return chosen.mean(0).abs() / chosen.std(0, correction=0).clamp(min=0.1)


def region_scores(
    s: Tensor, deviation: Tensor, backbones: Backbones, draws: torch.Generator
) -> Tensor:
    """Return how much each channel works in each region rather than in others, [regions, C].

    The squared gradient of the pixels with respect to a channel, in deviations of it, averaged over
    a region, divided by its sum over regions; in [0, 1], the mean over the faces.

    Args:
        s: Styles of some faces, [n, C].
        deviation: Of each channel, [C].
        backbones: Needs `generator` and `segmenter`.
        draws: Their source.
    """
    segmenter = backbones.segmenter
    with torch.enable_grad():
        s = s.detach().requires_grad_(True)
        images = backbones.generator.synthesis_from_styles(s)
        labels = segmenter.segment(images.detach())
        rows = []
        for region in range(len(segmenter.config.regions)):
            mask = (labels == region)[:, None].to(images)  # [n, 1, h, w]
            square = torch.zeros_like(s)
            for _ in range(PROBES if bool(mask.any()) else 0):
                coin = torch.randint(0, 2, images.shape, generator=draws, device=draws.device)
                signs = (2 * coin - 1).to(images)
                (slope,) = torch.autograd.grad((images * mask * signs).sum(), s, retain_graph=True)
                square += (slope * deviation).square()
            rows.append(square / mask.sum((1, 2, 3))[:, None].clamp(min=1))
    density = torch.stack(rows)  # [regions, n, C]
    return (density / density.sum(0).clamp(min=1e-20)).mean(dim=1).detach()


class StyleSpace(EditMethod):
    """Edit with s[channel] + strength * sigmas * deviation[channel]: one number changes."""

    name = "stylespace"
    kind = "fitted"
    config_class = StyleSpaceConfig
    space = Space.S
    needs = frozenset({"generator", "clip", "attributes", "segmenter"})  # the last two: the atlas

    deviation: Tensor  # [C], of each channel over random faces
    edit_channels: Tensor  # [keys, keep], positions in s, the best first
    edit_sigmas: Tensor  # [keys, keep], how many deviations to move, of either sign
    region_channels: Tensor  # [regions, keep], the most local channels
    region_shares: Tensor  # [regions, keep], how local they are, in [0, 1]

    def __init__(self, config: StyleSpaceConfig) -> None:
        super().__init__(config)
        self.names = EditNames(config.wordings, config.embed_dim)
        shapes = {"edit": len(self.names.keys), "region": len(config.regions)}
        self.register_buffer("deviation", torch.zeros(config.num_channels))
        for what, number in shapes.items():
            channels = torch.zeros(number, config.keep, dtype=torch.long)
            self.register_buffer(f"{what}_channels", channels)
        self.register_buffer("edit_sigmas", torch.zeros(shapes["edit"], config.keep))
        self.register_buffer("region_shares", torch.zeros(shapes["region"], config.keep))

    @classmethod
    def build(cls, backbones: Backbones, **settings: Any) -> Self:
        """Return an empty atlas for this generator, reader and segmenter."""
        settings["wordings"] = named_edits.known(cls.name, backbones, settings.get("wordings"))
        return super().build(backbones, **settings)

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the sizes of these networks."""
        return {
            "num_channels": sum(backbones.require("generator", cls.name).style_dims),
            "embed_dim": backbones.require("clip", cls.name).embed_dim,
            "regions": backbones.require("segmenter", cls.name).config.regions,
        }

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(s) with one channel moved a wish, that of the edit nearest to it."""
        code = source.latent.code.clone()
        rows = torch.arange(len(code), device=code.device)
        for wish, asked in named_wishes(sentence, self.names, backbones.clip):
            chosen = self.names.nearest(wish)
            channel = self.edit_channels[chosen, self.config.rank]
            length = self.edit_sigmas[chosen, self.config.rank] * self.deviation[channel]
            amount = asked[:, 0, 0].to(code) * length.to(code)
            code[rows, channel.to(code.device)] += strength * self.config.step * amount
        image = backbones.generator.synthesis_from_styles(code)
        return Face(image, Latent(code, self.space), source.mask)

    def atlas(self, name: str, generator: Any) -> list[tuple[int, int, float]]:
        """Return the channels of an edit's key or of a region, the best first.

        Returns:
            (index of the style layer, index in it, deviations to move or how local it is) each.

        Raises:
            ValueError: If there is no such edit or region.
        """
        if name in self.names.keys:
            row, what, number = self.names.keys.index(name), self.edit_channels, self.edit_sigmas
        elif name in self.config.regions:
            row = self.config.regions.index(name)
            what, number = self.region_channels, self.region_shares
        else:
            known = (*self.names.keys, *self.config.regions)
            raise ValueError(f"the atlas has no {name!r}; choose from {known}")
        rows = []
        for channel, value in zip(what[row].tolist(), number[row].tolist(), strict=True):
            layer = next(x for x in reversed(generator.style_layers) if x.start <= channel)
            rows.append((layer.index, channel - layer.start, value))
        return rows

    @torch.no_grad()
    def fit(self, latents: Tensor, labels: Tensor | None, backbones: Backbones) -> None:
        """Fill the atlas: the best channels of every edit, and the most local of every region.

        Args:
            latents: Codes of random faces, w_plus [n, num_ws, w_dim]; thousands of them.
            labels: Not used.
            backbones: Needs all that `needs` names.
        """
        del labels
        generator = backbones.generator
        s = torch.cat([generator.styles(part) for part in latents.split(512)])
        self.deviation.copy_(s.std(dim=0, correction=0))
        layers = [layer for layer in generator.style_layers if not layer.is_rgb]
        free = torch.cat([torch.arange(x.start, x.start + x.channels) for x in layers])
        self._fit_edits(latents, s, free.to(s.device), backbones)
        self._fit_regions(s[: self.config.gradient_faces], free.to(s.device), backbones)
        self.names.embed(backbones.clip)

    def _fit_edits(self, latents: Tensor, s: Tensor, free: Tensor, backbones: Backbones) -> None:
        """Propose channels by their attribute scores, move them, and keep the best."""
        config, names = self.config, self.names
        scores = names.read_latents(latents[: config.population], backbones)
        classes = names.classes(scores)
        spread = scores.std(dim=0, correction=0).clamp(min=1e-6)
        standard = (s - s.mean(0)) / self.deviation.clamp(min=1e-8)
        standard = standard[: config.population, free]
        proposed = [
            attribute_scores(standard, positive).topk(min(CANDIDATES, len(free))).indices
            for positive in (classes > 0).unbind(1)
        ]
        least = torch.arange(config.keep, device=free.device)  # the atlas must be full
        channels = free[torch.cat([*proposed, least]).unique()]

        def draw(move: int, sigmas: float) -> Tensor:
            codes = s[: config.faces].clone()
            codes[:, channels[move]] += sigmas * self.deviation[channels[move]]
            return backbones.generator.synthesis_from_styles(codes)

        effects = named_edits.measure(
            draw,
            len(channels),
            config.amplitude,
            lambda images: names.read(images, backbones.attributes),
        )
        wanted = named_edits.gaps(scores, classes) / spread
        moves, sigmas = named_edits.choose(
            effects / spread, wanted, names.attributes, config.limit, config.keep
        )
        self.edit_channels.copy_(channels[moves])
        self.edit_sigmas.copy_(sigmas)

    def _fit_regions(self, s: Tensor, free: Tensor, backbones: Backbones) -> None:
        """Rank the channels by how much of their gradient lies in each region."""
        draws = torch.Generator(s.device).manual_seed(0)
        parts = [
            region_scores(part, self.deviation, backbones, draws) * len(part)
            for part in s.split(CHUNK)
        ]
        shares = (torch.stack(parts).sum(0) / len(s))[:, free]
        best = shares.topk(self.config.keep, dim=1)
        self.region_channels.copy_(free[best.indices])
        self.region_shares.copy_(best.values)
