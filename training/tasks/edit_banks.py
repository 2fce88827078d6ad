"""Faces with known attributes and sentences with known meaning, computed once and kept on disk.

Both banks depend on the base's networks only, so they are named after those networks' fingerprints
and shared by all runs beside each other: a change of the method's design costs nothing anew.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from faceedit.words.sentence import embed
from faceedit.world import NOISE_DIM
from faceedit.world.captions import STATEMENTS, Split, compose
from faceedit.world.statements import INDEX
from training.config import ConfigError
from training.data.photographed import photograph
from training.data.shards import WorldShards
from training.data.true_edits import SHIFTS, TrueEdits
from training.tasks.attribute_mapping import people_of_z

__all__ = ["FaceBank", "SentenceBank", "encoded", "imagined", "kept", "sentences"]

MOST_CHANGES = 4
COUNT_WEIGHTS = (0.5, 0.24, 0.15, 0.11)  # of sentences with 1, 2, 3, 4 changes
COMPARATIVES = 0.15  # share of the sentences that ask for more of something
WHO = ("{}", "{}", "this person {}", "a person who {}", "the face {}", "a face that {}")
GRADED = re.compile(r"\b(more|fewer|less|further|\w+er)\b")  # what "slightly" is said of
AT_ONCE = 64  # pictures or sentences
AnyBank = TypeVar("AnyBank", "FaceBank", "SentenceBank")


@dataclass(frozen=True)
class FaceBank:
    """Codes of people whose attributes are known."""

    code: Tensor  # [n, num_ws, w_dim] float16
    values: Tensor  # [n, A]


@dataclass(frozen=True)
class SentenceBank:
    """Sentences that ask for something, and what they ask for."""

    target: Tensor  # [n, d], as `faceedit.words.sentence.read` gives it
    which: Tensor  # [n, 4], indices into STATEMENTS, -1 where there are fewer
    shift: Tensor  # [n, 4], of comparatives, how far; else 0

    def __len__(self) -> int:
        return len(self.target)


def kept(folder: Path, kind: type[AnyBank], key: Any, make: Callable[[], AnyBank]) -> AnyBank:
    """Return a bank from its file, or make it and write the file.

    Args:
        folder: Where banks lie.
        kind: FaceBank or SentenceBank.
        key: JSON values that decide the content.
        make: Computes it.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{kind.__name__.lower()}-{digest}.safetensors"
    if path.is_file():
        return kind(**load_file(path))
    bank = make()
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    save_file({f.name: getattr(bank, f.name).contiguous() for f in fields(bank)}, partial)
    partial.replace(path)
    return bank


# ------------------------------------------------------------------------------ faces
@torch.no_grad()
def encoded(data: WorldShards, encoder: Any, count: int, camera_share: float) -> FaceBank:
    """Invert renders as photos are inverted at editing time; their truth stays known.

    Args:
        data: A split's renders.
        encoder: Image -> w_plus.
        count: How many; all of a smaller split.
        camera_share: Share of the pictures that are changed as a camera would.
    """
    codes, values = [], []
    device = encoder.w_avg.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for start in tqdm(range(0, min(count, len(data)), AT_ONCE), desc="inverting renders"):
            batch = data.rows(range(start, min(start + AT_ONCE, count, len(data)))).to(device)
            codes.append(encoder(photograph(batch, camera_share)[0]).half().cpu())
            values.append(batch.values.cpu())
    return FaceBank(torch.cat(codes), torch.cat(values))


@torch.no_grad()
def imagined(generator: Any, count: int) -> FaceBank:
    """Return random codes of the mapping network, w in every layer; it knows whom a z shows.

    Raises:
        ConfigError: If its z does not hold the world's noise.
    """
    width = generator.config.z_dim
    if width < NOISE_DIM:
        raise ConfigError(f"z_dim is {width}; the world's noise has {NOISE_DIM} columns")
    z = torch.randn(count, width, generator=torch.Generator().manual_seed(1))
    people = people_of_z(z)
    w = [generator.mapping(part.to(generator.w_avg)).cpu() for part in z.split(1024)]
    return FaceBank(torch.cat(w)[:, None].half(), people.values)


# ------------------------------------------------------------------------------ sentences
@dataclass(frozen=True)
class _Said:
    """A sentence before CLIP has read it."""

    text: str
    which: tuple[int, ...]
    shift: tuple[float, ...]


@torch.no_grad()
def sentences(
    count: int,
    clip: Any,
    seed: int,
    split: Split = "train",
    absent: Collection[str] = (),
    apart: Sequence[Collection[str]] = (),
    only: Sequence[Collection[str]] = (),
) -> SentenceBank:
    """Write sentences that ask for one to four changes, and let CLIP read them.

    Args:
        count: How many.
        clip: Reads them.
        seed: The same seed writes the same sentences.
        split: Whose wordings.
        absent: Keys of statements that are never made.
        apart: Sets of keys of which never all are in one sentence.
        only: If given, every sentence makes exactly one of these sets of statements.
    """
    rng, allowed = random.Random(seed), TrueEdits().together()
    pool = [i for i, statement in enumerate(STATEMENTS) if statement.key not in absent]
    never = [{INDEX[key] for key in keys} for keys in apart]
    said: list[_Said] = []
    while len(said) < count:
        if only:
            said.append(_plain([INDEX[key] for key in rng.choice(only)], split, rng))
        elif split == "train" and rng.random() < COMPARATIVES:
            said.append(_comparative(pool, rng))
        else:
            chosen = _choose(pool, allowed, rng)
            if not any(keys <= set(chosen) for keys in never):
                said.append(_plain(chosen, split, rng))
    targets = []
    for start in tqdm(range(0, count, AT_ONCE), desc=f"reading {split} sentences"):
        targets.append(embed([s.text for s in said[start : start + AT_ONCE]], clip).cpu())
    which = torch.tensor([_filled(s.which, -1) for s in said])
    shift = torch.tensor([_filled(s.shift, 0.0) for s in said])
    return SentenceBank(torch.cat(targets), which, shift)


def _filled(numbers: Sequence[Any], with_: Any) -> list[Any]:
    return [*numbers, *[with_] * (MOST_CHANGES - len(numbers))]


def _choose(pool: list[int], allowed: Tensor, rng: random.Random) -> list[int]:
    """Choose one to four statements that can be true and seen together."""
    count = rng.choices(range(1, MOST_CHANGES + 1), COUNT_WEIGHTS)[0]
    weights = [STATEMENTS[i].weight ** 0.5 for i in pool]
    chosen: list[int] = []
    for i in rng.choices(pool, weights, k=3 * count):
        if len(chosen) < count and all(bool(allowed[i, j]) for j in chosen):
            chosen.append(i)
    return chosen


def _plain(chosen: list[int], split: Split, rng: random.Random) -> _Said:
    """Say statements by the caption grammar, as description or as request."""
    caption = compose(chosen, rng, len(chosen), split)
    shift = []
    for i in caption.statements:  # the grammar says "an older woman" now and then
        graded = any(wording.partition(" ")[2] in caption.text for wording in STATEMENTS[i].more)
        shift.append(SHIFTS[""] if graded else 0.0)
    return _Said(caption.text, caption.statements, tuple(shift))


def _comparative(pool: list[int], rng: random.Random) -> _Said:
    """Ask for more of one thing: "slightly darker skin", "this person is much older"."""
    i = rng.choice([i for i in pool if STATEMENTS[i].more])
    wording, degree = rng.choice(STATEMENTS[i].more), rng.choice(list(SHIFTS))
    if degree:
        wording = GRADED.sub(rf"{degree} \1", wording, count=1)
    text = rng.choice(WHO).format(wording)
    if text == wording:
        verb, _, rest = wording.partition(" ")
        text = rest if verb in ("has", "is", "wears", "looks") else wording
    return _Said(text, (i,), (SHIFTS[degree],))
