"""From records to a line of the table: means with intervals, curves, matched success, flags.

Intervals are 95% percentile bootstraps that draw faces, not edits, because several edits of one
face go together. Every row is set beside the unedited face and the true edit of its own items, so
rows with fewer items are compared fairly.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from faceedit.metrics.fid import kid
from training.benchmark.prompts import PROMPTS
from training.benchmark.row import STRENGTHS

__all__ = ["FLAGS", "Interval", "flags", "matched", "matched_on", "summarize"]

DRAWS = 1000
SEED = 0
MATCHED_SHARE = 0.7  # of the true edit's success: where methods are compared at equal success
NO_OP_IDENTITY, NO_OP_GAIN = 0.98, 0.1
REPLACED = 0.4  # the judge's cosine: about 0 for two people, 0.8 for two pictures of one
ADVERSARIAL_SHARE = 0.25  # of the edits
STUCK = 0.1  # gain of the judge's progress below which it sees nothing of the edit
KID_LEAST = 20  # pictures; with fewer the distance is noise
FLAGS = ("no-op", "replacement", "adversarial")
Record = Mapping[str, Any]
MEANS = (
    *("success", "share", "progress", "identity", "identity_photo", "collateral"),
    *("psnr_in", "psnr_out", "kept_out", "feature_in", "feature_out", "clip_gain"),
)
EXTRAS = ("undone", "undone_psnr", "paraphrase_std", "paraphrase_success")


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% interval and the number of edits behind it."""

    value: float
    low: float
    high: float
    n: int

    def json(self) -> dict[str, float | int | None]:
        """Return it as JSON values."""
        pairs = {"value": self.value, "low": self.low, "high": self.high}
        found = {k: round(v, 5) if math.isfinite(v) else None for k, v in pairs.items()}
        return {**found, "n": self.n}


NOTHING = Interval(math.nan, math.nan, math.nan, 0)


class Bootstrap:
    """The same draws of faces for all numbers of a row.

    Args:
        faces: Whom each edit shows.
    """

    def __init__(self, faces: Sequence[int]) -> None:
        names = sorted(set(faces))
        self.place = np.array([names.index(face) for face in faces], dtype=int)
        draws = np.random.default_rng(SEED).multinomial(
            len(names), [1 / len(names)] * len(names), size=DRAWS
        )
        self.weights = draws[:, self.place].astype(float)  # [draws, edits]

    def mean(self, values: Sequence[float | None]) -> Interval:
        """Return the mean of the values that are known, with its interval."""
        column = np.array([math.nan if v is None else v for v in values], dtype=float)
        known = np.isfinite(column)
        if not known.any():
            return NOTHING
        means = self.means(column)
        low, high = np.nanpercentile(means, (2.5, 97.5)) if known.sum() > 1 else (math.nan,) * 2
        return Interval(float(column[known].mean()), float(low), float(high), int(known.sum()))

    def means(self, column: np.ndarray) -> np.ndarray:
        """Return the mean in every draw, [draws]; NaN where a draw holds no known value."""
        known = np.isfinite(column)
        total = self.weights[:, known] @ column[known]
        count = self.weights[:, known].sum(1)
        return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def _column(records: Sequence[Record], name: str, strength: float = 1.0) -> list[float | None]:
    return [record["strengths"].get(str(strength), {}).get(name) for record in records]


# ------------------------------------------------------------------------------ one row
def summarize(
    records: Mapping[int, Record],
    oracle: Mapping[int, Record] | None = None,
    reference: torch.Tensor | None = None,
) -> dict[str, Any]:
    """Return a row's line as JSON values.

    Args:
        records: The row's records, by item.
        oracle: Those of the true edits, where they are known.
        reference: What pictures should look like to the judge, [m, d], for KID.
    """
    rows = [records[item] for item in sorted(records)]
    draws = Bootstrap([row["face"] for row in rows])
    truth = [None if oracle is None else oracle.get(row["item"]) for row in rows]
    line: dict[str, Any] = {"n": len(rows), "faces": len({row["face"] for row in rows})}
    for name in MEANS:
        line[name] = draws.mean(_column(rows, name)).json()
    for name in EXTRAS:
        line[name] = draws.mean([row.get(name) for row in rows]).json()
    asked = [row.get("typed", {}).get("success") for row in rows]
    line["typed"] = draws.mean(asked).json()
    wide = [PROMPTS[row["prompt"]] for row in rows]
    several = [len(prompt.statements) > 1 for prompt in wide]
    reached = _column(rows, "success")
    line["all_true"] = draws.mean(_only(reached, several)).json()
    calm = [not prompt.touches_identity for prompt in wide]
    line["identity_kept"] = draws.mean(_only(_column(rows, "identity"), calm)).json()
    lost = [None if a is None or b is None else a - b for a, b in zip(reached, asked, strict=True)]
    line["typed_loss"] = draws.mean(lost).json()
    line["floor"] = draws.mean([row["start"]["success"] for row in rows]).json()
    line["ceiling"] = draws.mean([_value(row, "success") for row in truth]).json()
    line["linearity"] = draws.mean([linearity(row) for row in rows]).json()
    line["kid"] = _kid(rows, reference)
    line["seconds"] = _median([row["seconds"] for row in rows])
    line["by_prompt"] = by_prompt(rows)
    line["curve"] = curve(rows, draws)
    line["matched"] = matched(rows, draws, MATCHED_SHARE * (line["ceiling"]["value"] or 1.0))
    line["adversarial"] = adversarial_share(rows, oracle)
    line["summary"] = harmonic(line["success"]["value"], line["identity"]["value"])
    return line


def _only(values: Sequence[float | None], chosen: Sequence[bool]) -> list[float | None]:
    return [value if keep else None for value, keep in zip(values, chosen, strict=True)]


def _value(record: Record | None, name: str) -> float | None:
    if record is None:
        return None
    found: float | None = record["strengths"]["1.0"].get(name)
    return found


def _median(values: Sequence[float]) -> float | None:
    return round(float(np.median(values)), 5) if values else None


def _kid(rows: Sequence[Record], reference: torch.Tensor | None) -> float | None:
    """Return 1000 times the kernel distance of edited pictures and what pictures look like."""
    if reference is None or min(len(rows), len(reference)) < KID_LEAST:
        return None
    seen = torch.tensor([row["pooled"] for row in rows])
    return round(1000 * kid(seen, reference), 3)


def harmonic(success: float | None, identity: float | None) -> float | None:
    """Return the harmonic mean of success and identity: a number to sort by, of no paper."""
    if success is None or identity is None or success <= 0 or identity <= 0:
        return 0.0
    return round(2 * success * identity / (success + identity), 5)


def linearity(record: Record) -> float | None:
    """Return Spearman's rank correlation of strength and the judge's progress for one edit.

    A method whose strength does nothing has 0; None where there is one strength only.
    """
    strengths = [float(a) for a in record["strengths"]]
    if len(strengths) < 3:
        return None
    values = [record["strengths"][str(a)]["progress"] for a in strengths]
    if max(values) - min(values) < 1e-6:
        return 0.0
    return float(spearmanr(strengths, values).statistic)


def by_prompt(rows: Sequence[Record]) -> dict[str, dict[str, float | int]]:
    """Return success, identity and number of edits by prompt."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for row in rows:
        groups[row["prompt"]].append(row)
    found = {}
    for key in PROMPTS:
        if key in groups:
            inside = groups[key]
            means = {
                name: round(float(np.mean([row["strengths"]["1.0"][name] for row in inside])), 4)
                for name in ("success", "progress", "identity", "collateral")
            }
            found[key] = {**means, "n": len(inside)}
    return found


# ------------------------------------------------------------------------------ curves
def curve(rows: Sequence[Record], draws: Bootstrap) -> list[dict[str, Any]]:
    """Return success, identity and collateral at every strength, with intervals."""
    points = []
    for strength in STRENGTHS:
        if any(str(strength) in row["strengths"] for row in rows):
            names = ("success", "identity", "collateral", "progress")
            means = {name: draws.mean(_column(rows, name, strength)).json() for name in names}
            points.append({"strength": strength, **means})
    return points


def matched(rows: Sequence[Record], draws: Bootstrap, level: float) -> dict[str, Any]:
    """Return what an edit costs at the strength where success first reaches a level.

    Between two strengths everything is taken to be straight; strength 0 is the source itself. Where
    the level is not reached there are no numbers, only the best success.

    Args:
        rows: The row's records.
        draws: For the intervals.
        level: Of success, in [0, 1].
    """
    known = [a for a in STRENGTHS if all(str(a) in row["strengths"] for row in rows)]
    start = np.array([row["start"]["success"] for row in rows], dtype=float)
    tables = {
        "success": [start],
        "identity": [np.ones(len(rows))],
        "collateral": [np.zeros(len(rows))],
    }
    for name, columns in tables.items():
        columns += [np.array(_column(rows, name, a), dtype=float) for a in known]
    sampled = {k: np.stack([draws.means(c) for c in v], 1) for k, v in tables.items()}
    plain = {k: np.array([c.mean() for c in v])[None] for k, v in tables.items()}
    strengths = np.array([0.0, *known])
    found: dict[str, Any] = {
        "level": round(level, 4),
        "best": round(float(plain["success"].max()), 4),
    }
    place = _crossing(plain["success"][0], level)
    if place is None:
        return {**found, "reached": False}
    spots = [_crossing(success, level) for success in sampled["success"]]
    found |= {"reached": True, "strength": round(_at(strengths, place), 4)}
    for name in ("identity", "collateral"):
        values = [_at(sampled[name][i], spot) for i, spot in enumerate(spots) if spot is not None]
        low, high = np.percentile(values, (2.5, 97.5)) if len(values) > 1 else (math.nan, math.nan)
        value = _at(plain[name][0], place)
        found[name] = Interval(value, float(low), float(high), len(rows)).json()
    return found


def matched_on(
    records: Mapping[int, Record], items: Collection[int], oracle: Mapping[int, Record] | None
) -> dict[str, Any] | None:
    """Return `matched` on some items only, where methods with other items are compared fairly.

    Args:
        records: The row's records, by item.
        items: Which of them.
        oracle: Those of the true edits, where they are known; they set the level of success.

    Returns:
        The numbers with "n"; None if the row lacks one of the items.
    """
    if not items or not records.keys() >= set(items):
        return None
    rows = [records[item] for item in sorted(items)]
    truth = [_value(oracle[item], "success") or 0.0 for item in items] if oracle else [1.0]
    level = MATCHED_SHARE * float(np.mean(truth))
    return {"n": len(rows), **matched(rows, Bootstrap([row["face"] for row in rows]), level)}


def _crossing(success: np.ndarray, level: float) -> float | None:
    """Return the place, a fractional index, where a curve first reaches a level; None: nowhere."""
    if success[0] >= level:
        return 0.0
    for i in range(1, len(success)):
        if success[i] >= level:
            return i - 1 + float((level - success[i - 1]) / (success[i] - success[i - 1]))
    return None


def _at(values: np.ndarray, place: float) -> float:
    return float(np.interp(place, np.arange(len(values)), values))


# ------------------------------------------------------------------------------ flags
def adversarial_share(rows: Sequence[Record], oracle: Mapping[int, Record] | None) -> float | None:
    """Return the share of edits that convince the training CLIP and not the judge.

    Such an edit raises CLIP's cosine as much as the true edit does, while the judge sees neither
    the sentence come true nor progress towards it. Of edits whose true edit the judge can read.
    """
    if oracle is None:
        return None
    fooled = []
    for row in rows:
        true = oracle.get(row["item"])
        if true is None or _value(true, "success") != 1:
            continue
        now = row["strengths"]["1.0"]
        likes = now["clip_gain"] >= max(true["strengths"]["1.0"]["clip_gain"], 0.0)
        stuck = now["progress"] - row["start"]["progress"] < STUCK
        fooled.append(float(likes and stuck and now["success"] < 1))
    return round(float(np.mean(fooled)), 4) if fooled else None


def flags(line: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a row as a whole; see FLAGS.

    A no-op keeps the face and makes nothing true. A replacement makes it true with another person.
    An adversarial method pleases the CLIP that it was trained with, and not the judge.
    """
    found = []
    identity = line["identity"]["value"] or 0.0
    gain = (line["success"]["value"] or 0.0) - (line["floor"]["value"] or 0.0)
    if identity > NO_OP_IDENTITY and gain < NO_OP_GAIN:
        found.append("no-op")
    if identity < REPLACED:
        found.append("replacement")
    if (line["adversarial"] or 0.0) > ADVERSARIAL_SHARE:
        found.append("adversarial")
    return found


def brackets(lines: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return where a method leaves the bracket of no edit and true edit, beyond its interval.

    No edit is the floor of success and the ceiling of identity; the true edit the ceiling of
    success and of likeness to itself.
    """
    broken = []
    for name, line in lines.items():
        if line.get("kind") != "method":
            continue
        success, floor, ceiling = (line[k] for k in ("success", "floor", "ceiling"))
        if success["high"] is not None and floor["value"] is not None:
            if success["high"] < floor["value"]:
                broken.append(f"{name} makes fewer sentences true than no edit")
            if ceiling["high"] is not None and success["low"] > ceiling["high"]:
                broken.append(f"{name} makes more sentences true than the true edit")
        if (line["identity"]["value"] or 0.0) > 1 + 1e-4:
            broken.append(f"{name} keeps the person better than no edit")
    return broken
