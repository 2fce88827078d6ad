"""The interface that every method fills in: `forward` is the edit, `objective` scores it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.absence import edit_where_shown
from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.backbones.clip import Clip, Pixels
from faceedit.errors import RequestError
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.frames import RAW, frames_of

# Networks that describe faces: a method that learns reads them while it learns, not in an edit.
OBSERVERS = frozenset({"identity", "segmenter", "attributes"})


@dataclass(frozen=True)
class MethodConfig:
    """Settings of a method; a method's file derives its own from this. Saved as `method_config`.

    A config has its fields under three headings: sizes, the paper's, ours. The defaults are the
    paper's. A config that takes some of the shared additions has a field `additions` and names them
    in `takes`.

    Attributes:
        strength_scale: What a user's strength is multiplied by, so that strength 1 has about the
            same effect with every method. `training.benchmark.calibrate` measures it; 1 is the
            paper's edit.
    """

    takes: ClassVar[frozenset[str]] = frozenset()  # fields of `Additions`

    strength_scale: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        """Accept additions as a mapping, as recipes and config.json write them, and check them."""
        given = getattr(self, "additions", None)
        if isinstance(given, Mapping):
            given = Additions(**given)
            object.__setattr__(self, "additions", given)
        if given is not None:
            given.require(self.takes, type(self).__name__)


class EditMethod(nn.Module, ABC):
    """An edit: source face + sentence -> edited face.

    Frozen networks are arguments, never attributes, so `state_dict` holds only what the method
    learned.
    """

    name: ClassVar[str]  # registry key = file name = config name = Hub folder
    kind: ClassVar[Literal["trained", "fitted", "optimized"]]
    config_class: ClassVar[type[Any]]  # its MethodConfig
    space: ClassVar[Space]  # the space whose codes it edits
    needs: ClassVar[frozenset[str]]  # the backbones it reads
    brings: ClassVar[frozenset[str]] = frozenset()  # those of them that lie in its own repo
    # What the paper's code gives OpenAI's CLIP; the portrait world's own CLIP has its own ways.
    frames: ClassVar[tuple[str, ...]] = RAW  # that sentences are read in
    pixels: ClassVar[Pixels] = "openai"  # how images are fed in

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the settings that these networks' sizes decide."""
        del backbones
        return {}

    @classmethod
    def build(cls, backbones: Backbones, **settings: Any) -> Self:
        """Return a method that has learned nothing yet, sized for these networks."""
        return cls(cls.config_class(**{**cls.sizes(backbones), **settings}))

    @classmethod
    def reading(cls, backbones: Backbones) -> Backbones:
        """Return the networks as the paper's code uses them.

        CLIP sees images as it feeds them, and regions are found by the base's own face parser.
        """
        backbones = backbones.parsing()
        if not isinstance(backbones.clip, Clip):
            return backbones
        return replace(backbones, clip=backbones.clip.fed(cls.pixels))

    @classmethod
    def edit_needs(cls) -> frozenset[str]:
        """Return the networks an edit reads: `needs`, without the observers if it has learned."""
        return cls.needs if cls.kind == "optimized" else cls.needs - OBSERVERS

    def with_steps(self, steps: int) -> Self:
        """Return this method with another number of steps; what it learned is shared.

        Raises:
            RequestError: If it takes no steps at editing time.
        """
        if self.kind != "optimized" or not hasattr(self.config, "steps"):
            raise RequestError(f"{self.name} takes no steps, it answers at once; leave `steps` out")
        other = copy.copy(self)
        other.config = replace(self.config, steps=steps)
        return other

    @abstractmethod
    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Apply the paper's edit. The only place where it is written down."""

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Score an edit: weighted scalar terms, lower is better, their sum is the loss."""
        raise NotImplementedError(f"{self.name} is {self.kind} and has no objective")

    def fit(self, latents: Tensor, labels: Tensor | None, backbones: Backbones) -> None:
        """Fill the buffers from samples, without gradients (fitted methods)."""
        raise NotImplementedError(f"{self.name} is {self.kind} and is not fitted to samples")

    @torch.no_grad()
    def edit(
        self,
        source: Face,
        sentence: Sentence,
        backbones: Backbones,
        strength: float = 1.0,
        layers: tuple[int, int] | None = None,
    ) -> Face:
        """Run `forward` for a user, then keep what the user wants untouched.

        Args:
            source: The face, with a code in `self.space`; its mask limits where pixels change.
            sentence: What is wanted.
            backbones: The networks that `needs` names.
            strength: 0 returns `source` itself, 1 is the usual edit: `forward` is given the
                product with the config's `strength_scale`.
            layers: The w_plus layers [first, end) that may change; None = all.

        Raises:
            ValueError: If the code lives in another space.
            RequestError: If `layers` cannot apply.
        """
        if source.latent.space is not self.space:
            raise ValueError(
                f"{self.name} edits {self.space.value} codes, got {source.latent.space.value}; "
                "call invert(..., space) first"
            )
        for network in sorted(self.edit_needs()):
            backbones.require(network, self.name)
        if strength == 0:
            return source

        def act(face: Face, words: Sentence) -> Face:
            return self(face, words, backbones, strength * self.config.strength_scale)

        if strength < 0:
            edited = act(source, sentence)
        else:
            frames = frames_of(backbones.clip, self.frames)
            until_gone = strength >= 1 and self.kind != "optimized"
            edited = edit_where_shown(
                source, sentence, backbones, act, frames, until_gone=until_gone
            )
        if layers is not None:
            edited = keep_other_layers(source, edited, layers, backbones)
        return keep_outside_mask(source, edited)


def keep_other_layers(
    source: Face, edited: Face, layers: tuple[int, int], backbones: Backbones
) -> Face:
    """Return the edit with only the w_plus layers [first, end) changed, drawn anew.

    Raises:
        RequestError: If the space has no layers or the generator has none in that range.
    """
    generator = backbones.require("generator", "an edit of some layers")
    space = source.latent.space
    if space not in (Space.W_PLUS, Space.S):
        raise RequestError(f"{space.value} codes have no layers to choose; leave `layers` out")
    first, end = layers
    if first >= generator.num_ws:
        raise RequestError(f"layers is {layers}; this generator has layers 0 to {generator.num_ws}")
    index = torch.arange(generator.num_ws, device=source.latent.code.device)
    chosen = ((index >= first) & (index < end)).unsqueeze(-1)  # [num_ws, 1]
    if space is Space.S:  # every style belongs to the w that it is computed from
        chosen = torch.cat(
            [chosen[layer.w_index].expand(layer.channels) for layer in generator.style_layers]
        )
    code = torch.where(chosen, edited.latent.code, source.latent.code)
    synthesis = generator.synthesis if space is Space.W_PLUS else generator.synthesis_from_styles
    return replace(edited, image=synthesis(code), latent=Latent(code, space))


def keep_outside_mask(source: Face, edited: Face) -> Face:
    """Return the edit with the source's own pixels wherever the source's mask is 0."""
    if source.mask is None:
        return edited
    size = edited.image.shape[-2:]
    mask = source.mask.to(edited.image)
    if mask.shape[-2:] != size:
        mask = F.interpolate(mask, size=size, mode="bilinear", align_corners=False)
    return replace(edited, image=torch.lerp(source.image, edited.image, mask), mask=mask)
