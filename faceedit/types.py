"""The nouns: what flows from a photo and a sentence to an edited face.

Every type is frozen; make a changed copy with `dataclasses.replace`. Images are RGB in [-1, 1],
[n, 3, h, w], everywhere between the photo and the result.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from faceedit.arguments import optional_name, real, shown, whole
from faceedit.errors import PromptError, RequestError

if TYPE_CHECKING:
    import PIL.Image
    from torch import Tensor

MAX_PROMPT = 500  # characters; CLIP reads far fewer words, and this is more than any sentence needs
MAX_STRENGTH = 10.0  # of either sign; 1 is the paper's edit, far beyond it images break
MAX_LAYER = 1_000  # no generator has so many
MAX_STEPS = 10_000  # of a descent
MAX_SEED = 2**63 - 1  # what torch.Generator.manual_seed takes


class Output(StrEnum):
    """What an edit of a photograph gives back."""

    PHOTOGRAPH = "photograph"  # itself, with what the edit changed carried on to it
    CHARACTER = "character"  # the generator's own edited face
    PASTED = "pasted"  # that face pasted into the photograph


class Space(StrEnum):
    """The spaces that methods edit in."""

    Z = "z"  # [n, z_dim], the mapping network's input
    W = "w"  # [n, w_dim], the mapping network's output
    W_PLUS = "w_plus"  # [n, num_ws, w_dim], one w a layer
    S = "s"  # [n, sum(style_dims)], every layer's channel-wise styles, joined
    X_T = "x_t"  # [n, 3, h, w], noise from DDIM inversion


@dataclass(frozen=True)
class Latent:
    """A code and the space it lives in."""

    code: Tensor
    space: Space


@dataclass(frozen=True)
class Sentence:
    """What is wanted and what is there, in words and as CLIP sees them."""

    prompt: tuple[str, ...]  # one wanted sentence an image
    neutral: str  # what the photo shows already
    target: Tensor  # [n, d], unit norm: the embedding to reach
    neutral_embedding: Tensor  # [n, d], unit norm


@dataclass(frozen=True)
class Face:
    """An image with the code that makes it."""

    image: Tensor  # [n, 3, h, w], RGB in [-1, 1]
    latent: Latent
    mask: Tensor | None = None  # [n, 1, h, w] in [0, 1]: where an edit may act; None = everywhere

    def to_pil(self, index: int = 0) -> PIL.Image.Image:
        """Return one of the images for saving and showing, 8 bits a channel."""
        from PIL import Image

        pixels = self.image[index].detach().float().clamp(-1, 1).add(1).mul(127.5).round()
        return Image.fromarray(pixels.permute(1, 2, 0).byte().cpu().numpy())


@dataclass(frozen=True)
class EditRequest:
    """One edit as a user asks for it. Everything a user can set is checked here.

    Raises:
        PromptError: If the prompt or the neutral sentence is empty, too long or not text.
        RequestError: If another setting cannot be used; the message says what can.
    """

    prompt: str
    method: str | None = None  # a name in METHODS; None = the editor's own
    strength: float = 1.0  # 0 gives the source back, 1 is the paper's edit
    neutral: str = "a face"
    variant: str | None = None  # for methods that learn one sentence a set of weights
    seed: int = 0
    layers: tuple[int, int] | None = None  # w_plus layers [first, end) that may change; None = all
    mask: Any = None  # region names ("hair+mouth"), or a picture as large as the photo: white = may
    steps: int | None = None  # of a method that descends; None = its own number

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", _checked_text(self.prompt, "prompt"))
        object.__setattr__(self, "neutral", _checked_text(self.neutral, "neutral sentence"))
        object.__setattr__(self, "strength", _checked_strength(self.strength))
        object.__setattr__(self, "seed", whole(self.seed, "seed", 0, MAX_SEED))
        object.__setattr__(self, "layers", _checked_layers(self.layers))
        if self.steps is not None:
            object.__setattr__(self, "steps", whole(self.steps, "steps", 1, MAX_STEPS))
        for name in ("method", "variant"):
            optional_name(getattr(self, name), name)


@dataclass(frozen=True)
class EditResult:
    """What an edit gives back; an editor's `edit` also takes it in place of a photo, to go on.

    `source` and `edited` are codes in the method's space. There is no way from s to w_plus, so what
    an edit in s moved is no part of the `edited` code of a later edit in w_plus; its image has it.
    """

    image: PIL.Image.Image  # the edited photo, or the edited face where that was asked for
    reconstruction: PIL.Image.Image  # the aligned face as the generator redraws it, not edited
    source: Latent
    edited: Latent
    request: EditRequest
    mask: Tensor | None = None  # [1, 1, h, w] in [0, 1]: where the edit acted, if limited
    face: PIL.Image.Image | None = None  # the edited aligned face
    changed: PIL.Image.Image | None = (
        None  # "L", as large as the photo: 0 where it stayed as it was
    )
    doubts: tuple[str, ...] = ()  # why it may not be what was asked for: words, an empty mask
    notes: tuple[str, ...] = ()  # plain sentences: what is not as it was asked for
    scores: Mapping[str, float] = field(default_factory=dict)  # measured when they are first read
    seconds: float = 0.0
    step: Any = field(default=None, repr=False, compare=False)  # where the next edit goes on from


def check_shape(tensor: Tensor, shape: Sequence[int | None], name: str = "tensor") -> None:
    """Raise unless `tensor` has this shape; None stands for any size.

    Raises:
        ValueError: With the shape that was given and the one that is needed.
    """
    given = tuple(tensor.shape)
    fits = len(given) == len(shape) and all(
        want is None or want == size for size, want in zip(given, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{name} has shape {list(given)}; it must be [{wanted}]")


def read_output(output: object) -> Output:
    """Return what is asked for as an `Output`.

    Raises:
        RequestError: If there is no such output; the message lists them.
    """
    try:
        return Output(output)  # type: ignore[arg-type]
    except ValueError:
        known = ", ".join(known.value for known in Output)
        raise RequestError(f"output is {shown(output)}; it must be one of {known}") from None


def _checked_text(text: object, what: str) -> str:
    """Return the sentence without stray white space, or say what is wrong with it."""
    if not isinstance(text, str):
        raise PromptError(f"the {what} is a {type(text).__name__}; it must be text like 'red hair'")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise PromptError(f"the {what} holds half a character; write it again")
    words = " ".join(text.replace("\0", " ").split())
    if not words:
        raise PromptError(f"the {what} is empty; describe the face you want, like 'red hair'")
    if len(words) > MAX_PROMPT:
        raise PromptError(
            f"the {what} has {len(words):,} characters; at most {MAX_PROMPT} can be read, "
            "and a few words work best"
        )
    return words


def _checked_strength(strength: object) -> float:
    """Return the strength as a finite float within the limits; text is read as a number."""
    if isinstance(strength, str):
        try:
            strength = float(strength)
        except ValueError:
            raise RequestError(
                f"strength is {shown(strength)}; it must be a number like 1.0"
            ) from None
    if isinstance(strength, numbers.Real) and strength != strength:
        raise RequestError("strength is nan; it must be finite, 0 gives the photo back")
    return real(strength, "strength", -MAX_STRENGTH, MAX_STRENGTH)


def _checked_layers(layers: object) -> tuple[int, int] | None:
    """Return the range of w_plus layers [first, end)."""
    if layers is None:
        return None
    if isinstance(layers, str | bytes) or not isinstance(layers, Sequence) or len(layers) != 2:
        raise RequestError(f"layers is {shown(layers)}; it must be (first, end), like (4, 8)")
    first, end = (whole(layer, "layers", 0, MAX_LAYER) for layer in layers)
    if not first < end:
        raise RequestError(f"layers is ({first}, {end}); it needs 0 <= first < end, like (4, 8)")
    return first, end
