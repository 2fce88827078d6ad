"""Scores of generated faces from a CSV file, for boundaries on a base without an attribute reader.

The first column is `seed`, the number that `faceedit sample --seed` drew the face with; every other
column is an attribute with a number a face, more for more of it. Anybody's classifier, or a person,
can fill it in.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.convert.directions import SIDES
from faceedit.words.named_edits import Wordings
from training.config import ConfigError

__all__ = ["Scores", "read_scores"]

FEWEST = 20  # faces that a boundary can be fitted to
VARIETY = 0.7  # truncation_psi of `faceedit sample`


@dataclass(frozen=True)
class Scores:
    """A table of scores.

    Attributes:
        seeds: Of the faces.
        names: Of the attributes.
        values: [n, names].
    """

    seeds: tuple[int, ...]
    names: tuple[str, ...]
    values: Tensor

    @property
    def wordings(self) -> Wordings:
        """How the two sides of every attribute are called: (key, sentence)."""
        rows: list[tuple[str, str]] = []
        for name in self.names:
            readable = name.replace("_", " ")
            sides = SIDES.get(name, (readable, f"no {readable}"))
            for side, texts in zip("+-", sides, strict=True):
                rows += [(f"{name}{side}", text.strip()) for text in texts.split("|")]
        return tuple(rows)

    @torch.no_grad()
    def samples(self, backbones: Backbones) -> tuple[Tensor, Tensor]:
        """Return the faces' w_plus codes and their scores of both sides of every attribute."""
        generator = backbones.require("generator", "scores")
        codes = [
            generator.sample_w_plus(1, torch.Generator().manual_seed(seed), VARIETY)
            for seed in self.seeds
        ]
        both = torch.stack([self.values, -self.values], dim=2).flatten(1)  # + and - of each
        return torch.cat(codes), both.to(codes[0])


def read_scores(path: str | Path) -> Scores:
    """Return the table of a CSV file.

    Raises:
        ConfigError: If it cannot be read, has too few rows, or holds something else than numbers.
    """
    try:
        with Path(path).expanduser().open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
    except (OSError, ValueError) as error:
        raise ConfigError(f"scores: {path} cannot be read ({error})") from error
    names = tuple(name.strip() for name in header)
    if names[:1] != ("seed",) or len(names) < 2 or not all(n.isidentifier() for n in names):
        raise ConfigError(f"scores: {path} must begin with a line like 'seed,smile,age'")
    rows = [row for row in rows if row]
    if len(rows) < FEWEST:
        raise ConfigError(f"scores: {path} has {len(rows)} faces; give {FEWEST} at least")
    try:
        table = [[float(value) for value in row] for row in rows]
    except ValueError as error:
        raise ConfigError(f"scores: {path}: {error}") from error
    if any(len(row) != len(names) or not all(map(math.isfinite, row)) for row in table):
        raise ConfigError(f"scores: every line of {path} must hold {len(names)} numbers")
    seeds = tuple(int(row[0]) for row in table)
    return Scores(seeds, names[1:], torch.tensor([row[1:] for row in table]))
