"""The frames that sentences are read in: a sentence's embedding is the mean over its frames.

The portrait world's CLIP reads everything in `HOUSE`. OpenAI's CLIP gets what a paper's code gives
it: the raw sentence (`RAW`), and for StyleCLIP's global directions `IMAGENET`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# The frames have to suit any wording: "red hair", "smiling", "a man with a beard".
HOUSE = ("{}", "portrait, {}", "face, {}", "person, {}")
RAW = ("{}",)

_VIEWS = (
    "a photo", "a bad photo", "a good photo", "a bright photo", "a dark photo", "a cropped photo",
    "a blurry photo", "a close-up photo", "a black and white photo", "a jpeg corrupted photo",
    "a pixelated photo", "a low resolution photo", "a rendering", "a rendition", "a sculpture",
    "a drawing", "a painting", "a doodle", "a sketch", "a tattoo", "graffiti", "art", "itap",
)  # fmt: skip
_LOOKS = ("clean", "dirty", "cool", "large", "small", "nice", "weird", "hard to see")
_STUFFS = ("embroidered", "plastic", "origami", "toy", "cartoon", "plushie")
# The 79 frames of StyleCLIP's `MapTS.py`: CLIP's 80 for ImageNet without "a photo of many {}.".
IMAGENET = (
    *(f"{view} of {article} {{}}." for view in _VIEWS for article in ("a", "the")),
    *(f"a photo of {article} {look} {{}}." for look in _LOOKS for article in ("a", "the")),
    *(f"{article} {stuff} {{}}." for stuff in _STUFFS for article in ("a", "the")),
    "a {} in a video game.", "the {} in a video game.",
    "a photo of my {}.", "a photo of one {}.", "itap of my {}.",
)  # fmt: skip


def frames_of(clip: Any, papers: Sequence[str] = RAW) -> Sequence[str]:
    """Return the frames of a CLIP: the house's own for the portrait world's, else a paper's.

    Args:
        clip: Its `config.wording` says which it is.
        papers: What a method's paper reads sentences in.
    """
    return papers if has_read_the_web(clip) else HOUSE


def has_read_the_web(clip: Any) -> bool:
    """Whether a CLIP was trained on texts of the web, not on the portrait world's captions."""
    return getattr(getattr(clip, "config", None), "wording", "house") == "web"
