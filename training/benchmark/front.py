"""The page that a stranger reads: the question, the sets, the judges, one table, one plot, limits.

Everything else is on the page of details. Numbers of the table are of the test people wherever a
row was measured on them, else of dev, which the table says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.benchmark.compare import LEVEL
from training.benchmark.results import TEST_PEOPLE as TEST
from training.benchmark.typed import TEMPLATES

__all__ = ["DETAILS", "TEST", "front_page", "shown_rows"]

DETAILS = "benchmark-details.md"
Rows = Mapping[str, Mapping[str, Any]]

QUESTION = """\
# Which method edits best?

Somebody has a face and a sentence, like "red hair". Which of the methods here makes the sentence
true most often, and which keeps the person and all else as it was?

## How it is measured

- **Faces.** Drawn people of the portrait world. Its renderer knows the *true edit* of everybody:
  the same person with red hair. Every method edits the same people with the same 33 sentences.
- **Two sets of people.** Everything was chosen while looking at *dev* (strengths are set on random
  samples of the generator, without the judges). *Test* shows {people} other people, each once. It
  is looked at once per release and row; every look is in `hub_cards/benchmark/looks.json`.
- **Judges.** Two networks of another shape and seed than those that methods learn with; no training
  reads them. One says whether the sentence is true of the face (*success*) and which share of the
  other visible attributes it reads otherwise (*others change*), one whether it is the same person
  (*identity*, a cosine). They ship with their scale: every machine gets the same
  numbers, to a unit of the last digit.
- **Typed.** Success when the same is asked for as people type ("can u gimme red hair pls"), by
  {templates} templates that no recipe, caption or word list contains.

## The table
"""

READING = """\
Intervals are 95%, by people. ↑: higher is better, ↓: lower. **drop**: success on dev less success
on test, every sentence counted alike. `oracle` is the true edit and `oracle_inverted` that picture
as the generator draws it: compare with them and not with 1. Rows with "dev" have not been measured
on test people. The best mean of success and identity stands first. † ships with additions to its
paper.
"""

LIMITS = """\
## Limits

- Drawn people, 128 px. [Photographs](photographs.md) are measured apart, by other judges.
- The judges err: they read {oracle} of the true edits as true.
- Methods marked † are not their papers' alone: each ships with what made it work on this base, and
  the row in its published form is not measured.
- Methods that learned from true edits (`counterfactual`) have an advantage here that photographs do
  not give them. `clip_regression` and `counterfactual` are ours.
- The world knows 33 sentences' attributes; words outside of it are not measured.

## More

[{details}]({details}) has every column, sentence and pair;
`hub_cards/benchmark/` every number and edit. `python -m training.evaluate --all --split dev` makes
the dev tables and plots anew; a row of test people is
`python -m training.evaluate --set renders --split test --release X.Y --methods NAME`.
{cost}
"""

COST = """\
An edit of dev costs 10 s of CPU with all fast methods together, 25 s with the three descents and a
minute with diffusion; drawing a person before and after, 1 to 5 s. The fast methods on dev take
about 45 minutes of one core."""


def front_page(results: Mapping[str, Mapping[str, Any]], concluded: str, plots: str) -> str:
    """Return the page; `concluded` are its conclusions, `plots` the way to the plots."""
    test = results.get(TEST, {})
    rows = shown_rows(results)
    people = max((row["faces"] for row in test.get("rows", {}).values()), default="no")
    parts = [QUESTION.format(people=people, templates=len(TEMPLATES))]
    parts += [*table(rows, test.get("drop", {})), "", READING]
    parts += _second_looks(test.get("again", {}))
    if test:
        parts += [f"![success with intervals]({plots}/{TEST}-success.png)", ""]
        parts += ["## Which differences are real", "", *told_apart(test), ""]
    parts += ["## What to conclude", "", concluded, ""]
    oracle = rows.get("oracle", {}).get("success", {}).get("value")
    share = "not all" if oracle is None else f"{oracle:.2f}"
    parts.append(LIMITS.format(oracle=share, details=DETAILS, cost=COST))
    return "\n".join(parts)


def shown_rows(results: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return every row with its "split": of test people where there are any of it, else of dev."""
    dev = results.get("renders", {}).get("rows", {})
    test = results.get(TEST, {}).get("rows", {})
    found = {name: {**row, "split": "dev"} for name, row in dev.items()}
    for name, row in test.items():
        known = {key: dev[name][key] for key in ("seconds", "cost") if name in dev}
        found[name] = {**row, **known, "split": "test"}
    return found


def table(rows: Rows, drops: Mapping[str, Any]) -> list[str]:
    """Return the one table, the true edit and its inversion first."""
    from training.benchmark.tables import marked, ordered, row_of

    titles = ["row", "edits", "success ↑", "identity ↑", "others change ↓", "typed ↑", "drop"]
    lines = [row_of([*titles, "s ↓"]), row_of(["---", *["---:"] * 7])]
    for name, row in ordered(rows):
        if row["kind"] != "method" and name not in ("oracle", "oracle_inverted"):
            continue
        cells = [_with_interval(row.get(k)) for k in ("success", "identity_kept", "collateral")]
        typed = _with_interval(row.get("typed"))
        drop = _signed(drops.get(name, {}).get("success"))
        seconds = f"{row['seconds']:.2f}" if row["kind"] == "method" and row["seconds"] else "-"
        edits = f"{row['n']} {row['split']}"
        lines.append(row_of([f"`{name}`{marked(name)}", edits, *cells, typed, drop, seconds]))
    return lines


def _with_interval(number: Mapping[str, Any] | None) -> str:
    if number is None or number["value"] is None:
        return "-"
    text = f"{number['value']:.2f}"
    return text if number["low"] is None else f"{text} ({number['low']:.2f}-{number['high']:.2f})"


def _signed(number: Mapping[str, float] | None) -> str:
    if number is None:
        return "-"
    return f"{number['value']:+.2f} ({number['low']:+.2f} to {number['high']:+.2f})"


def _second_looks(again: Mapping[str, Sequence[str]]) -> list[str]:
    lines = [f"- `{row}` was looked at again ({'; '.join(why)})" for row, why in again.items()]
    return ["**Second looks at the test people:**", "", *lines, ""] if lines else []


def told_apart(test: Mapping[str, Any]) -> list[str]:
    """Return which pairs the test people cannot tell apart, and how small a difference they can."""
    names = {"success": "success", "identity": "identity", "collateral": "others change"}
    people = max(row["faces"] for row in test["rows"].values())
    lines = [
        "Every two methods are compared on the edits that both made; p-values are Holm's among all "
        f"pairs of a measure, at {LEVEL:.0%}.",
        "",
    ]
    for measure, name in names.items():
        found = test["pairs"].get(measure, [])
        alike = [f"`{p['first']}`/`{p['second']}`" for p in found if p["holm"] >= LEVEL]
        least = test["told"].get(measure)
        told = "" if least is None else f", differences under {least:.3f} cannot be told"
        lines.append(
            f"- **{name}**: with n = {people} people{told} (power 80%, one pair on its own). "
            f"{len(found) - len(alike)} of {len(found)} pairs differ; not told apart: "
            f"{', '.join(alike) or 'none'}."
        )
    return lines
