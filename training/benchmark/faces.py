"""Whom the methods are tried on: people of the portrait world; photos are in `judged_faces`.

`training.benchmark.people` chooses, `RenderSet` draws people before and after. Pictures are kept in
a cache that any number of processes fill together.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from faceedit.editor import FaceEditor
from faceedit.inversion import invert
from faceedit.types import Face, Space
from faceedit.world import WORLD_VERSION, FaceAttributes, render, sample_attributes
from training.benchmark.people import SET_VERSION, Item, choose, stranger
from training.benchmark.prompts import PROMPTS_VERSION, Prompt
from training.data.shards import to_float, to_uint8

__all__ = ["Case", "EvaluationSet", "RenderSet"]


@dataclass(frozen=True)
class Case:
    """An item with its pictures.

    Attributes:
        item: What is asked for.
        source: What a method is given: the face as the generator redraws it, with its code.
        photo: What it was made from, [1, 3, h, w] in [-1, 1].
        person: What is true of it, or what the judge reads where nobody knows.
        segmentation: The photo's regions, [1, h, w]; the next three too only where they are known.
        truth: The same person with the prompt made true.
        truth_segmentation: Its regions.
        stranger: Another person of whom the prompt is true.
        cache: Room for what is computed once a case.
    """

    item: Item
    source: Face
    photo: Tensor
    person: FaceAttributes
    segmentation: Tensor | None = None
    truth: Tensor | None = None
    truth_segmentation: Tensor | None = None
    stranger: Tensor | None = None
    cache: dict[str, Any] = field(default_factory=dict)


# ------------------------------------------------------------------------------ the sets
class EvaluationSet:
    """Items and their pictures."""

    name: str
    has_truth = False

    def __init__(self, editor: FaceEditor, items: Sequence[Item]) -> None:
        self.editor = editor
        self.items = list(items)
        self._cases: dict[int, Case] = {}

    @property
    def version(self) -> str:
        """What the content depends on beside the networks, in a few words."""
        return f"{self.name}-{SET_VERSION}-{PROMPTS_VERSION}-{WORLD_VERSION}"

    def prepare(self, process: int = 0, processes: int = 1, bar: Any = None) -> None:
        """Draw what is missing of this process's share."""

    def case(self, item: Item) -> Case:
        """Return an item with its pictures; made once."""
        if item.index not in self._cases:
            self._cases[item.index] = self._make(item)
        return self._cases[item.index]

    def _make(self, item: Item) -> Case:
        raise NotImplementedError

    def _inverted(self, image: Tensor) -> Face:
        device = self.editor.backbones.generator.w_avg.device
        return invert(image.to(device), Space.W_PLUS, self.editor.backbones)


class RenderSet(EvaluationSet):
    """Held-out people of the portrait world, whose true edits are known.

    Args:
        editor: Inverts the renders.
        count: How many items.
        folder: The cache of pictures.
        compiled: Whether to render with torch.compile; worth it for hundreds of pictures.
        supersampling: Rays a pixel along each side.
        split: A name in SPLITS.
    """

    has_truth = True

    def __init__(
        self,
        editor: FaceEditor,
        count: int,
        folder: Path,
        compiled: bool = False,
        supersampling: int = 2,
        split: str = "dev",
    ) -> None:
        super().__init__(editor, choose(count, split))
        self.split = split
        self.name = "renders" if split == "dev" else f"renders-{split}"
        self.size = int(editor.backbones.require("generator", "the benchmark").config.resolution)
        self.folder = folder / f"{self.version}-{self.size}px"
        self.compiled = compiled
        self.supersampling = supersampling

    def prepare(self, process: int = 0, processes: int = 1, bar: Any = None) -> None:
        """Render people, true edits and strangers that are not in the cache."""
        wanted = self._wanted()
        self.folder.mkdir(parents=True, exist_ok=True)
        names = sorted(wanted)
        for name in names[process::processes]:
            if not (self.folder / name).is_file():
                self._render(self.folder / name, wanted[name])
            if bar is not None:
                bar.update(1)

    def pictures(self) -> int:
        """Return how many pictures the set needs."""
        return len(self._wanted())

    def _wanted(self) -> dict[str, FaceAttributes]:
        """Return every picture's file name and what it shows."""
        found: dict[str, FaceAttributes] = {}
        for item in self.items:
            person = sample_attributes(1, item.face)
            edited = person.replace(**item.prompt.changes)
            found[_person_file(item.face)] = person
            found[_edit_file(item.face, item.prompt)] = edited
        for prompt in {item.prompt.key: item.prompt for item in self.items}.values():
            found[_edit_file("stranger", prompt)] = stranger(prompt, self.split)
        return found

    def _render(self, path: Path, person: FaceAttributes) -> None:
        drawn = render(person, self.size, self.supersampling, self.compiled)
        content = {"image": to_uint8(drawn.image), "segmentation": drawn.segmentation}
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        save_file({k: v.contiguous() for k, v in content.items()}, partial)
        partial.replace(path)

    def _load(self, name: str) -> tuple[Tensor, Tensor]:
        content = load_file(self.folder / name)
        return to_float(content["image"]), content["segmentation"]

    def _make(self, item: Item) -> Case:
        image, segmentation = self._load(_person_file(item.face))
        edited, edited_segmentation = self._load(_edit_file(item.face, item.prompt))
        other, _ = self._load(_edit_file("stranger", item.prompt))
        source = self._inverted(image)
        device = source.image.device
        return Case(
            item,
            source,
            image.to(device),
            sample_attributes(1, item.face),
            segmentation,
            edited.to(device),
            edited_segmentation,
            other.to(device),
        )


def _person_file(seed: int) -> str:
    return f"{seed}.safetensors"


def _edit_file(who: int | str, prompt: Prompt) -> str:
    changes = repr(sorted(prompt.changes.items()))
    return f"{who}-{hashlib.sha256(changes.encode()).hexdigest()[:8]}.safetensors"
