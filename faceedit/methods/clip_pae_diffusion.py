"""CLIP-PAE in diffusion: a face DDPM, pulled towards the face's own embedding moved by CLIP-PAE.

Paper: Zhou et al., "CLIP-PAE: Projection-Augmentation Embedding to Extract Relevant Features for a
Disentangled, Interpretable, and Controllable Text-Guided Face Manipulation", SIGGRAPH 2023,
arXiv:2210.03919; the guidance is that of CLIP-guided diffusion (`faceedit.optimization.guidance`).
Notation (here -> paper): source.image -> the original image, alpha -> the augmenting power, depth
-> the share of the noise schedule that an edit goes through; the rest is in `faceedit.losses.pae`,
where the target is made, and in `faceedit.backbones.diffusion`.
Differs from the paper: it edits a GAN's codes, and names no recipe for diffusion. Here an edit is
made in two runs. The first is a *draft* (`faceedit.optimization.noise`): the photo is inverted by
DDIM to nearly pure noise, and the noise descends the distance to the target through a run of a few
steps. The second draws the draft anew: where it differs from the photo it is made partly noisy, and
denoised while the gradient of the distance pulls each step; elsewhere the photo's own inversion is
followed. A gradient alone leaves patches of colour, and the network needs room to make hair of
them; a draft alone has the right things in the right places, but nobody's hair. A generator's code
may be moved in the noise's place (`draft`). What inversion misses is put back at every step, so
that no guidance gives the photo back. Where hardly anything changed in the end, the photo stays;
where the characteristic does not show, change costs (`faceedit.losses.outside`) and nothing is
drawn anew. The network may be smaller than the photo: then its change is drawn larger, and the
photo's own detail stays wherever little has changed.
`strength` multiplies the guidance, and how fast the noise moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.backbones.diffusion import (
    ITERATIONS,
    Diffusion,
    Trajectory,
    draw_noise,
    resize,
)
from faceedit.errors import RequestError
from faceedit.inversion import encode
from faceedit.losses.outside import PreservedRegion
from faceedit.losses.pae import PaeSettings, pae_sentence, sentence_characteristics
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization import pixels
from faceedit.optimization.code_draft import descend_code
from faceedit.optimization.guidance import (
    GradientMode,
    Guidance,
    Progress,
    denoise,
    spherical_distance,
)
from faceedit.optimization.noise import descend_noise
from faceedit.progress import report
from faceedit.types import Face, Latent, Sentence, Space

Target = Literal["pae", "text", "directional"]
StartNoise = Literal["ddim", "sdedit", "noise"]
Draft = Literal["noise", "generator"]


@dataclass(frozen=True)
class ClipPaeDiffusionConfig(MethodConfig):
    """Settings of the target, of the draft, of the run and of the score.

    The paper names no recipe for diffusion. The defaults of the target are its own in kind; all
    others are ours, and those of what ships.
    """

    takes = frozenset({"weight_outside"})

    # Sizes
    resolution: int | None = None  # px to denoise at; None = what the network was trained with
    # The paper's: the target
    target: Target = "pae"  # "text": the sentence itself; "directional": its difference to neutral
    projection: str = "contrast"  # a `projections.Projection`
    alpha: float = 4.0  # augmenting power
    components: int = 10  # of a PCA or contrast basis, at most
    characteristics: tuple[str, ...] | None = None  # names in CORPORA; None = chosen by the words
    added_text: Literal["projected", "full"] = "projected"
    # Of guided diffusion, see `faceedit.optimization.guidance`
    start_noise: StartNoise = "ddim"  # inverted, noised at random, or pure noise (a new face)
    steps: int = 25  # of the whole schedule
    depth: float = 0.6  # share of them that an edit goes through, in (0, 1]
    iterations: int = ITERATIONS  # network calls per step of inversion
    eta: float = 0.0
    mode: GradientMode = "full"
    scale: float = 4.0
    inner_steps: int = 2
    repeats: int = 2  # times that a noise level is gone through
    repeat_stop: float = 0.4
    blur: float = 0.01  # of what is scored, by how noisy it still is
    cutouts: int = 4  # crops that CLIP sees; the first is the whole image
    # Ours
    additions: Additions = Additions(weight_outside=3.0)
    normalize_text_direction: bool = False  # of a contrast: alpha is then its length
    draft: Draft = "noise"  # what a draft descends along: inverted noise, or a generator's code
    draft_iterations: int = 20  # of that descent, before; 0 makes no draft
    draft_steps: int = 10  # of the whole schedule, in a draft
    draft_depth: float = 0.8  # share of them that a draft goes through, in (0, 1]
    draft_rate: float = 0.2  # change of the noise, or of the code in official units, an iteration
    guided_redraw: bool = True  # False: the network alone draws a draft anew
    unchanged: float = 0.08  # a place that changed by less is the source's, of values in [-1, 1]
    changed: float = 0.2  # one that changed by more is the edit's
    weight_clip: float = 2.0
    weight_identity: float = 0.15
    weight_pixels: float = 0.4  # mean change: little everywhere costs as much as much in one place
    weight_range: float = 0.05  # mean square of what lies outside [-1, 1]
    weight_smooth: float = 0.3  # mean square difference of neighbours, beyond the source's


@dataclass(frozen=True)
class Goal:
    """What a run is after, and where it comes from."""

    sentence: Sentence  # with the target that is descended to
    image: Tensor | None  # the source at full size, [n, 3, H, W]; None = a new face
    small: Tensor | None  # the source as the denoiser draws, [n, 3, h, w]
    seen: Tensor | None  # its unit embedding, [n, d]
    held: PreservedRegion | None = None  # where what each prompt is about does not show


class ClipPaeDiffusion(EditMethod):
    """Edit by guided denoising of the inverted photo."""

    name = "clip_pae_diffusion"
    kind = "optimized"
    config_class = ClipPaeDiffusionConfig
    space = Space.X_T
    needs = frozenset({"diffusion", "clip", "identity"})
    brings = frozenset({"diffusion"})

    def __init__(self, config: ClipPaeDiffusionConfig) -> None:
        super().__init__(config)
        for setting, known in (("target", Target), ("start_noise", StartNoise), ("draft", Draft)):
            if getattr(config, setting) not in get_args(known):
                given, names = getattr(config, setting), ", ".join(get_args(known))
                raise RequestError(f"{setting} is {given!r}; choose from {names}")
        for setting, least in (("cutouts", 1), ("draft_iterations", 0)):
            if (given := getattr(config, setting)) < least:
                raise RequestError(f"{setting} is {given}; it must be at least {least}")
        if not 0 <= config.unchanged < config.changed:
            raise RequestError(
                f"unchanged is {config.unchanged} and changed {config.changed}; "
                "they need 0 <= unchanged < changed"
            )
        self.settings = PaeSettings.of(config)

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return the guided reconstruction of the source, and its own inversion as its code."""
        if not len(source.image):
            return source
        goal = self.goal(source.image, sentence, backbones)
        for state in self.run(goal, backbones, strength, mask=source.mask):
            edited = state.image
            report(state.index + 1, state.count)
        code = backbones.diffusion.inverted(self._settled(goal, edited)).end
        return Face(self.view(goal, edited), Latent(code, self.space), source.mask)

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return the distance to the target and the terms that keep the face."""
        goal = self.goal(source.image, sentence, backbones)
        terms = self._terms(edited.image, goal, backbones, [edited.image])
        return {name: term.mean() for name, term in terms.items()}

    def goal(self, image: Tensor | None, sentence: Sentence, backbones: Backbones) -> Goal:
        """Return what an edit of images [n, 3, h, w] is to reach; it stays the same all along."""
        if image is None:
            return Goal(sentence, None, None, None)
        clip, held = backbones.clip, None
        if self.config.additions.weight_outside:
            names = sentence_characteristics(sentence, clip, self.settings)
            held = PreservedRegion.of(backbones.segmenter, image, names)
        with torch.no_grad():
            if self.config.target == "pae":
                sentence = pae_sentence(sentence, image, clip, self.settings)
            seen = clip.encode_image(image)
        small = resize(image, self._size(backbones.diffusion))
        return Goal(sentence, image, small, seen, held)

    def run(
        self,
        goal: Goal,
        backbones: Backbones,
        strength: float = 1.0,
        *,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        path: Trajectory | None = None,
    ) -> Iterator[Progress]:
        """Denoise towards a goal, one step at a time; the last state holds the edited image.

        Args:
            goal: What `goal` returned.
            backbones: Needs `diffusion` and `clip`; `identity` where its weight is not 0.
            strength: Factor of the guidance.
            mask: [n, 1, h, w] in [0, 1]: where the image may change.
            generator: Of every draw; None = torch's own.
            path: The source's inversion, if it is known already.
        """
        config, diffusion = self.config, backbones.diffusion
        path = path or self.path(goal, diffusion, generator)
        start, drafted = path.end, 0
        if mask is not None:
            mask = resize(mask.to(start), start.shape[-1]).clamp(0, 1)
        boxes = torch.Generator().manual_seed(pixels.draw_seed(generator))

        def score(small: Tensor) -> Tensor:
            image = self._drawn(goal, small)
            crops = pixels.cutouts(image, config.cutouts, boxes)
            terms = self._terms(image, goal, backbones, crops)
            return torch.stack(list(terms.values())).sum(dim=0)

        guidance = self._guidance(strength)
        if self.drafts and guidance.scale != 0:
            for state in self._draft(goal, backbones, score, strength, mask):
                drafted, state.count = state.count, state.count + len(path.times)
                yield state
            start, mask = self._redrawn(goal, state.clean, path, backbones, mask, generator)
            if not config.guided_redraw:
                guidance = replace(guidance, scale=0.0)
        for state in denoise(
            diffusion, start, path, config.steps, score, guidance,
            mask=mask, eta=config.eta, generator=generator,
        ):  # fmt: skip
            state.index, state.count = state.index + drafted, state.count + drafted
            yield state

    def _guidance(self, strength: float) -> Guidance:
        """Return how strongly and how often each step is guided."""
        config = self.config
        return Guidance(
            mode=config.mode,
            scale=strength * config.scale,
            inner_steps=config.inner_steps,
            repeats=config.repeats,
            repeat_stop=config.repeat_stop,
            blur=config.blur,
        )

    @property
    def drafts(self) -> bool:
        """Whether a draft is made first: of photos that were inverted."""
        return self.config.draft_iterations > 0 and self.config.start_noise == "ddim"

    def _draft(
        self,
        goal: Goal,
        backbones: Backbones,
        score: Callable[[Tensor], Tensor],
        strength: float,
        mask: Tensor | None,
    ) -> Iterator[Progress]:
        """Move the source's noise, or its code, until what is drawn shows what is asked for."""
        config, small, diffusion = self.config, goal.small, backbones.diffusion
        assert small is not None and goal.image is not None

        def masked(drawn: Tensor) -> Tensor:
            return score(drawn if mask is None else torch.lerp(small, drawn, mask))

        rate = strength * config.draft_rate
        if config.draft == "generator":
            generator = backbones.require("generator", "a draft by the generator")
            code = encode(goal.image.to(generator.w_avg), backbones)
            yield from descend_code(generator, code, small, masked, config.draft_iterations, rate)
            return
        path = diffusion.inverted(small, config.draft_steps, config.draft_depth, config.iterations)
        yield from descend_noise(
            diffusion, path, config.draft_steps, masked, config.draft_iterations, rate
        )

    def _redrawn(
        self,
        goal: Goal,
        draft: Tensor,
        path: Trajectory,
        backbones: Backbones,
        mask: Tensor | None,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """Return where denoising starts from a draft, and the mask of what it draws anew.

        A draft has the right things in the right places, and patches of colour that no face has.
        Under fresh noise the network sees the things only, and draws them as it knows them.
        """
        config, size = self.config, draft.shape[-1]
        assert goal.small is not None
        region = pixels.changed_share(draft, goal.small, config.unchanged, config.changed)
        region = pixels.widened(region)
        if goal.held is not None:
            region = region * resize(goal.held.editable_in(self.view(goal, draft)), size)
        if mask is not None:
            region = region * mask
        noise = draw_noise((1, *draft.shape[1:]), generator).to(draft)
        noisy = backbones.diffusion.noised(draft, noise, path.times[-1])
        return torch.lerp(path.end, noisy, region), region

    def path(
        self,
        goal: Goal,
        diffusion: Diffusion,
        generator: torch.Generator | None = None,
        after_step: Callable[[int], None] | None = None,
    ) -> Trajectory:
        """Return the source at every timestep, from clean to where the run starts.

        Args:
            goal: What `goal` returned.
            diffusion: The network and its schedule.
            generator: Of the noise, where the start draws some.
            after_step: Called with the number of each step of an inversion.

        Raises:
            RequestError: If steps or depth do not fit the schedule, or a new face does not start
                from noise.
        """
        config = self.config
        if config.start_noise == "ddim" and goal.small is not None:
            plan = config.steps, config.depth, config.iterations
            return diffusion.inverted(goal.small, *plan, after_step)
        if goal.small is None and config.start_noise != "noise":
            given = config.start_noise
            raise RequestError(f"start_noise {given!r} needs an image; without one use 'noise'")
        size, n = self._size(diffusion), len(goal.sentence.target)
        clean = torch.zeros(n, 3, size, size) if goal.small is None else goal.small
        clean = clean.to(goal.sentence.target)
        noise = draw_noise(clean.shape, generator).to(clean)
        times = diffusion.plan(config.steps, 1.0 if config.start_noise == "noise" else config.depth)
        images = [clean, *(diffusion.noised(clean, noise, time) for time in times)]
        if config.start_noise == "noise":
            images[-1] = noise
        return Trajectory(tuple(images), tuple(times))

    def _size(self, diffusion: Diffusion) -> int:
        """Return the side to denoise at, px."""
        size = self.config.resolution or diffusion.resolution
        if size < 1 or size % diffusion.multiple:
            raise RequestError(
                f"resolution is {size}; this denoiser takes multiples of {diffusion.multiple} px "
                f"and was trained with {diffusion.resolution}"
            )
        return size

    def view(self, goal: Goal, small: Tensor) -> Tensor:
        """Return what the denoiser drew as large as the source, with the source's own detail."""
        return self._drawn(goal, self._settled(goal, small))

    def _drawn(self, goal: Goal, small: Tensor) -> Tensor:
        """Return the same with every small change that the denoiser made: what is scored."""
        if goal.image is None or goal.small is None or self.config.start_noise == "noise":
            return small if goal.image is None else resize(small, goal.image.shape[-1])
        return pixels.keep_detail(small, goal.small, goal.image)

    def _settled(self, goal: Goal, small: Tensor) -> Tensor:
        """Return what the denoiser drew with the source where it hardly changed."""
        if goal.small is None or self.config.start_noise == "noise":
            return small
        return pixels.keep_unchanged(small, goal.small, self.config.unchanged, self.config.changed)

    def _terms(
        self, image: Tensor, goal: Goal, backbones: Backbones, crops: list[Tensor]
    ) -> dict[str, Tensor]:
        """Return the weighted terms of each image, [n] each."""
        config = self.config
        distances = torch.stack([self._clip_distance(crop, goal, backbones) for crop in crops])
        beyond = image - image.clamp(-1, 1)
        terms = {
            "clip": config.weight_clip * distances.mean(dim=0),
            "range": config.weight_range * beyond.square().mean((1, 2, 3)),
        }
        if goal.image is None or config.start_noise == "noise":
            return terms
        change = image - goal.image
        terms["pixels"] = config.weight_pixels * pixels.mean_change(change)
        terms["smooth"] = config.weight_smooth * pixels.roughness(change)
        if config.weight_identity and backbones.identity is not None:
            with torch.no_grad():
                before = backbones.identity.embed(goal.image)
            after = backbones.identity.embed(image)
            terms["identity"] = config.weight_identity * (1 - (after * before).sum(dim=-1))
        if goal.held is not None:
            terms["outside"] = config.additions.weight_outside * goal.held.change(image)
        return terms

    def _clip_distance(self, crop: Tensor, goal: Goal, backbones: Backbones) -> Tensor:
        """Return the distance of crops [n, 3, h, w] to the target, [n]."""
        after = backbones.clip.encode_image(crop)
        wanted = goal.sentence.target
        if self.config.target == "directional" and goal.seen is not None:
            moved = after - goal.seen
            return 1 - F.cosine_similarity(moved, wanted - goal.sentence.neutral_embedding, dim=-1)
        return spherical_distance(after, wanted.expand(len(after), -1))
