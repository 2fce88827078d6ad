"""Whether one method does better than another: paired differences, by people, many at once.

Two methods are compared on the edits that both made. Edits of one person go together, so people are
what is drawn (intervals) and whose sign is turned (tests). Where many pairs are compared, p-values
are Holm's: the chance that any of the differences called real is none stays under 5%.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.benchmark.ledger import LEDGER, second_looks
from training.benchmark.prompts import PROMPTS
from training.benchmark.results import TEST_PEOPLE, read_edits
from training.benchmark.summary import Bootstrap

__all__ = ["Difference", "between_sets", "compared", "difference", "holm", "pairs", "smallest_told"]

FLIPS = 20_000
SEED = 1
LEVEL = 0.05
Edit = Mapping[str, Any]  # "item", "face", "prompt", and a number by each measure
MEASURES = ("success", "identity", "collateral")
Z_POWER = 0.8416  # the normal quantile of 80%: how often a difference is to be found
Z_LEVEL = 1.96  # of 2.5% at either end


@dataclass(frozen=True)
class Difference:
    """A mean difference, first less second, with its 95% interval and its p-value.

    Attributes:
        value: The mean over edits.
        low: Where the interval begins.
        high: Where it ends.
        error: Its standard error.
        p: Of a sign test by people: how often chance alone gives as much.
        edits: That both made.
        people: Whom they show.
    """

    value: float
    low: float
    high: float
    error: float
    p: float
    edits: int
    people: int


def difference(
    first: Mapping[int, float], second: Mapping[int, float], faces: Mapping[int, int]
) -> Difference:
    """Compare two methods on the edits that both made.

    Args:
        first: A number of every edit.
        second: The same of the other method.
        faces: Whom the edits show.
    """
    items = sorted(first.keys() & second.keys())
    gaps = np.array([first[item] - second[item] for item in items], dtype=float)
    draws = Bootstrap([faces[item] for item in items])
    means = draws.means(gaps)
    low, high = np.percentile(means, (2.5, 97.5))
    return Difference(
        float(gaps.mean()),
        float(low),
        float(high),
        float(means.std()),
        _chance(gaps, draws.place),
        len(items),
        int(draws.place.max()) + 1,
    )


def _chance(gaps: np.ndarray, place: np.ndarray) -> float:
    """Return how often turning the signs of whole people at random gives as large a sum."""
    sums = np.bincount(place, weights=gaps)
    signs = np.random.default_rng(SEED).integers(0, 2, (FLIPS, len(sums))) * 2.0 - 1.0
    at_least = np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9
    return float((1 + at_least.sum()) / (1 + FLIPS))


def holm(chances: Sequence[float]) -> list[float]:
    """Return Holm's p-values (1979): the k-th smallest of n times n - k + 1, never falling."""
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    adjusted, most = [0.0] * len(chances), 0.0
    for rank, place in enumerate(order):
        most = max(most, min(1.0, chances[place] * (len(chances) - rank)))
        adjusted[place] = most
    return adjusted


def pairs(rows: Mapping[str, Sequence[Edit]]) -> dict[str, list[dict[str, Any]]]:
    """Return every pair of rows by measure, Holm's p-values among the pairs of one measure.

    Identity is compared on edits that do not touch it, as in the table.

    Args:
        rows: Each row's edits, as `results.read_edits` reads them.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    faces = {edit["item"]: edit["face"] for edits in rows.values() for edit in edits}
    for measure in MEASURES:
        values = {name: _values(edits, measure) for name, edits in rows.items()}
        lines = []
        for first, second in itertools.combinations(values, 2):
            if values[first].keys() & values[second].keys():
                compared = difference(values[first], values[second], faces)
                lines.append({"first": first, "second": second, **_rounded(asdict(compared))})
        for line, chance in zip(lines, holm([line["p"] for line in lines]), strict=True):
            line["holm"] = round(chance, 5)
        found[measure] = lines
    return found


def _values(edits: Sequence[Edit], measure: str) -> dict[int, float]:
    return {
        edit["item"]: edit[measure]
        for edit in edits
        if measure != "identity" or not PROMPTS[edit["prompt"]].touches_identity
    }


def _rounded(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in fields.items()}


def smallest_told(lines: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the true difference that four in five such comparisons would find, at 5% alone.

    Of the pairs with the most people.
    """
    most = max((line["people"] for line in lines), default=0)
    errors = [line["error"] for line in lines if line["error"] > 0 and line["people"] == most]
    return round((Z_LEVEL + Z_POWER) * float(np.median(errors)), 4) if errors else None


def compared(methods: Collection[str], folder: Path) -> dict[str, Any]:
    """Return what the pages say of test people beside the rows themselves.

    Args:
        methods: The rows that are compared; baselines are not.
        folder: Of the results: the edits of test and dev people, and the looks at the former.
    """
    edits = read_edits(folder / f"{TEST_PEOPLE}.csv.xz")
    rows = {name: found for name, found in edits.items() if name in methods}
    lines = pairs(rows)
    dev = folder / "renders.csv.xz"
    chosen_on = read_edits(dev) if dev.is_file() else {}
    drops = {
        name: {key: between_sets(chosen_on[name], rows[name], key) for key in MEASURES}
        for name in rows
        if name in chosen_on
    }
    told = {measure: smallest_told(found) for measure, found in lines.items()}
    again = second_looks(folder / LEDGER)
    return {"pairs": lines, "told": told, "drop": drops, "again": again}


# ------------------------------------------------------------------------------ two sets
def between_sets(first: Sequence[Edit], second: Sequence[Edit], measure: str) -> dict[str, float]:
    """Compare a method on two sets of people: first less second, every sentence counted alike.

    Args:
        first: Its edits of one set, each with "face", "prompt" and the measure.
        second: Those of the other.
        measure: The name of a number.

    Returns:
        "first", "second", "value" (first less second), and "low" and "high" of a 95% interval.
    """
    shared = {edit["prompt"] for edit in first} & {edit["prompt"] for edit in second}
    means, draws = zip(
        *(_by_sentence(edits, shared, measure) for edits in (first, second)),
        strict=True,
    )
    apart = draws[1][np.random.default_rng(SEED).permutation(len(draws[1]))]  # drawn on their own
    low, high = np.nanpercentile(draws[0] - apart, (2.5, 97.5))
    named = {"first": means[0], "second": means[1], "value": means[0] - means[1]}
    return {k: round(float(v), 5) for k, v in {**named, "low": low, "high": high}.items()}


def _by_sentence(
    edits: Sequence[Edit], prompts: set[str], measure: str
) -> tuple[float, np.ndarray]:
    """Return the mean over sentences of a measure, and that of every draw of people."""
    draws = Bootstrap([edit["face"] for edit in edits])
    plain, drawn = [], []
    for prompt in sorted(prompts):
        column = np.array(
            [float(e[measure]) if e["prompt"] == prompt else math.nan for e in edits], dtype=float
        )
        plain.append(float(np.nanmean(column)))
        drawn.append(draws.means(column))
    return float(np.mean(plain)), np.nanmean(np.stack(drawn), axis=0)
