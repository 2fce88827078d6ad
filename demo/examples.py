"""People to begin with: photographs of nobody, and people of the portrait world.

The photographs were made with Stable Diffusion 3 and are CC0 (faker-js/assets-person-portrait,
named as there); nobody in them exists. The folder also holds the edit that the page opens with.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from demo.files import ResultFiles
from demo.people import person
from faceedit.photo.provenance import Provenance, SourceType

FOLDER = Path(__file__).parent / "examples"
CREDIT = """The photographs show nobody: made with Stable Diffusion 3, CC0,
faker-js/assets-person-portrait."""
FIRST_PROMPT = "red hair"  # of the edit that the page opens with, of the first example
THUMB = 96  # px


@dataclass(frozen=True)
class Example:
    """Somebody to click: a photograph's name in the folder, or a rendered person's number."""

    words: str  # for screen readers
    photo: str = ""
    seed: int = -1


EXAMPLES = (
    Example("a photograph of a woman in a garden", photo="female-28"),
    Example("a photograph of a man in a blue shirt", photo="male-13"),
    Example("a photograph of a woman with long dark hair", photo="female-45"),
    Example("a photograph of a young man", photo="male-5"),
    Example("a photograph of an older woman", photo="female-33"),
    Example("a photograph of a man with a goatee", photo="male-79"),
    Example("a person of the portrait world", seed=22),
    Example("another person of the portrait world", seed=92),
)


def picture_of(example: Example, files: ResultFiles) -> str:
    """Return an example as a file of the present visitor."""
    if example.photo:
        with Image.open(FOLDER / f"{example.photo}.jpg") as photo:
            note = Provenance(SourceType.GENERATED, models=())
            return files.picture(photo.convert("RGB"), example.photo, note)
    note = Provenance(SourceType.RENDERED)
    return files.picture(person(example.seed).to_pil(), f"person-{example.seed}", note)


def offered(world: bool = True) -> tuple[Example, ...]:
    """Return the examples for a base: without rendered people where it draws photographs."""
    return tuple(example for example in EXAMPLES if world or example.photo)


@functools.cache
def thumbnails(world: bool = True) -> list[tuple[Image.Image, str]]:
    """Return a small square picture of every example of a base, with its words."""
    return [(_thumbnail(example), example.words) for example in offered(world)]


def _thumbnail(example: Example) -> Image.Image:
    if not example.photo:
        name = FOLDER / f"person-{example.seed}.png"
        with Image.open(name) as drawn:
            return drawn.convert("RGB")
    with Image.open(FOLDER / f"{example.photo}.jpg") as photo:
        return photo.convert("RGB").resize((THUMB, THUMB), Image.Resampling.LANCZOS)


def first_pair() -> tuple[str, str]:
    """Return the finished edit that the page opens with: before and after."""
    return str(FOLDER / f"{EXAMPLES[0].photo}.jpg"), str(FOLDER / "first-edit.jpg")
