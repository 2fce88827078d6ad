"""Whom the methods are tried on: people of the portrait world; photos are in `judged_faces`.

The set of renders is a function of a seed: `choose` draws people, gives each a prompt that is false
of them and can be made true, and `RenderSet` draws them before and after. Pictures are kept in a
cache that any number of processes fill together; nothing else of the set has to be stored.

The first 64 items are the contact sheet: 8 faces times 8 prompts, in an order of which any start
holds all faces and all prompts alike often. After them every item is another person.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from faceedit.editor import FaceEditor
from faceedit.inversion import invert
from faceedit.types import Face, Space
from faceedit.world import WORLD_VERSION, FaceAttributes, render, sample_attributes
from training.benchmark.prompts import GRID, PROMPTS, PROMPTS_VERSION, Prompt, fits
from training.config import ConfigError
from training.data.shards import to_float, to_uint8

__all__ = ["Case", "EvaluationSet", "Item", "RenderSet", "choose"]

SET_VERSION = "1"  # raised whenever other people or prompts would be chosen
GRID_FACES = 8
GRID_ITEMS = GRID_FACES * len(GRID)
BLOCK = 64  # people drawn at once
STRANGER = 1 << 20  # distance of the strangers' seeds from those of the set
TRIES = 100_000


@dataclass(frozen=True)
class Item:
    """One edit that is asked of every method."""

    index: int
    face: int  # the person's seed, or the number of the sample or photo
    prompt: Prompt


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


# ------------------------------------------------------------------------------ choosing
@dataclass(frozen=True)
class Split:
    """People of whom nobody is in another split, nor in any split that is trained on.

    Attributes:
        first_seed: Of the people; torch's generator reads the lower 32 bits.
        grid: Whether it begins with the contact sheet, 8 people with 8 edits each.
        count: Edits of a quick row.
        slow_count: Of a row that descends for every face.
        slowest_count: Of a row that starts anew for every strength.
        swept: Whether edits are made at every strength, undone and paraphrased, too.
    """

    first_seed: int
    grid: bool
    count: int
    slow_count: int
    slowest_count: int
    swept: bool


# On dev everything is chosen; test is looked at once a release, and shows everybody once.
SPLITS = {
    "dev": Split(3 << 30, True, 229, 32, 16, swept=True),
    "test": Split(7 << 29, False, 400, 96, 64, swept=False),
}


@dataclass(frozen=True)
class _Candidate:
    """A person who may be chosen, and the keys of the prompts that suit."""

    seed: int
    suited: frozenset[str]


@functools.cache
def _block(start: int) -> tuple[_Candidate, ...]:
    """Return the people of the seeds from one on; every choice begins with the same ones."""
    seeds = range(start, start + BLOCK)
    people = FaceAttributes.cat([sample_attributes(1, seed) for seed in seeds])
    table = {key: fits(prompt, people).tolist() for key, prompt in PROMPTS.items()}
    return tuple(
        _Candidate(seed, frozenset(key for key, suits in table.items() if suits[place]))
        for place, seed in enumerate(seeds)
    )


def _candidates(first: int) -> Iterator[_Candidate]:
    """Yield people one by one."""
    for start in range(first, first + TRIES, BLOCK):
        yield from _block(start)
    raise ConfigError(f"no person fits a prompt among {TRIES}; is a prompt false of nobody?")


@functools.cache
def choose(count: int, split: str = "dev") -> tuple[Item, ...]:
    """Return the first `count` items of a split of the renders: the same for every machine.

    The start of a longer list is the shorter list.
    """
    people = _candidates(SPLITS[split].first_seed)
    sheet = {prompt.key for prompt in GRID}
    items = []
    if SPLITS[split].grid:
        grid = [next(c.seed for c in people if c.suited >= sheet) for _ in range(GRID_FACES)]
        for index in range(min(count, GRID_ITEMS)):
            prompt = GRID[(index + index // GRID_FACES) % len(GRID)]
            items.append(Item(index, grid[index % GRID_FACES], prompt))
    waiting: list[_Candidate] = []  # people whom no prompt has suited yet
    prompts = list(PROMPTS.values())
    for index in range(len(items), count):
        prompt = prompts[index % len(prompts)]
        items.append(Item(index, _next_fit(prompt.key, waiting, people), prompt))
    return tuple(items)


def _next_fit(key: str, waiting: list[_Candidate], people: Iterator[_Candidate]) -> int:
    """Return the seed of the first person that a prompt suits, and let the others wait."""
    for place, candidate in enumerate(waiting):
        if key in candidate.suited:
            return waiting.pop(place).seed
    while True:
        candidate = next(people)
        if key in candidate.suited:
            return candidate.seed
        waiting.append(candidate)


@functools.cache
def _strangers(split: str = "dev") -> dict[str, int]:
    """Return, for every prompt, the seed of a person whom the set does not hold."""
    found: dict[str, int] = {}
    for candidate in _candidates(SPLITS[split].first_seed + STRANGER):
        found = {**{key: candidate.seed for key in candidate.suited}, **found}
        if len(found) == len(PROMPTS):
            break
    return found


def stranger(prompt: Prompt, split: str = "dev") -> FaceAttributes:
    """Return another person, whom the set does not hold, after the prompt was made true."""
    return sample_attributes(1, _strangers(split)[prompt.key]).replace(**prompt.changes)


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


def grid_items(items: Sequence[Item], lines: int = GRID_FACES) -> list[Item]:
    """Return the items of the contact sheet's first lines: a face a line, a prompt a column."""
    column = {prompt.key: place for place, prompt in enumerate(GRID)}
    grid = [item for item in items if item.index < GRID_ITEMS]
    row = {seed: place for place, seed in enumerate(dict.fromkeys(i.face for i in grid))}
    grid = [item for item in grid if row[item.face] < lines]
    return sorted(grid, key=lambda item: (row[item.face], column[item.prompt.key]))


def set_digest(items: Sequence[Item]) -> str:
    """Return a few digits that change when other people or prompts are chosen."""
    text = " ".join(f"{item.index}:{item.face}:{item.prompt.key}" for item in items)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
