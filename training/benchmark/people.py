"""Who is edited, and with what sentence: a function of the split's name.

`choose` draws people and gives each a prompt that is false of them and can be made true; nothing
of the set has to be stored. The first 64 items of dev are the contact sheet: 8 faces times 8
prompts, in an order of which any start holds all faces and all prompts alike often. All other items
show another person each.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faceedit.world import FaceAttributes, sample_attributes
from training.benchmark.prompts import GRID, PROMPTS, Prompt, fits
from training.config import ConfigError

__all__ = ["SPLITS", "Item", "Split", "choose", "grid_items", "set_digest", "stranger"]

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
