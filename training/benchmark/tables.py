"""The results as pages: `docs/benchmark.md` for a stranger, and every number for who asks.

Both are written anew each time from the results of all sets; what stands between the markers of
the conclusions is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from faceedit.methods import METHODS
from faceedit.notes import METHOD_NOTES
from training.benchmark.front import DETAILS, TEST, front_page
from training.benchmark.prompts import PROMPTS
from training.benchmark.results import PHOTOGRAPHS, SETS

__all__ = ["page", "write_page"]

BEGIN, END = "<!-- conclusions: kept when the page is written anew -->", "<!-- end -->"
TO_BE_WRITTEN = "_No conclusions yet: write them here; they stay._"


# ------------------------------------------------------------------------------ the pages
INTRODUCTION = """\
# Every number of the benchmark

What is measured, on whom and by whom is in [benchmark.md](benchmark.md). Written by
`python -m training.evaluate`; intervals are 95%, by people; every number is in
`hub_cards/benchmark/results*.json`, every edit in `hub_cards/benchmark/*.csv.xz`. `random_face` is
someone else of whom the sentence is true; `random_direction` a step of the true edit's size.
"""

TARGETS_NOTE = """\
Everything else is equal, the steps too. `from_photo`: the descent begins at the photo, as in the
paper, and not along a fitted direction. `unheld`: no segmenter holds what the sentence is not
about."""

HOW_TO_READ = """\
- **true**: share of edits whose sentence the judge reads as true. **all true**: of sentences with
  several statements. **floor**, **ceiling**: the same of the source and of the true edit, on the
  row's own edits.
- **identity**: the judge's cosine of edited and source face, of edits that do not touch identity.
  **others change**: share of the other visible attributes that the judge reads differently.
- **PSNR in, out**: dB to the true edit where it changes the picture, and elsewhere; **features
  in, out**: distance to it in the judge's features. **kept out**: dB to the source elsewhere.
- **at equal success**: identity and others change at the strength where success first reaches 70%
  of the true edit's; "-" where no strength reaches it.
- **linear**: Spearman's correlation of strength and the judge's score. **undone**: feature distance
  to the source after the edit and its reverse. **paraphrase**: deviation of the score over three
  wordings. **KID** x 1000 against renders, in the judge's features.
- Flags: **no-op** (keeps the face, makes nothing true), **replacement** (another person),
  **adversarial** (pleases the CLIP of training, not the judge).
"""

TITLES = {
    "renders": "Dev people, whose true edits are known",
    TEST: "Test people",
    "samples": "Random samples of the generator",
    "photos": "The drawn faces of photographs",
}
PHOTOGRAPHS_NOTE = """\
Written by `python -m training.evaluate --set photographs --photos DIR`. Every photograph is edited
whole, at its own size, by each of {sentences} sentences. The judges are networks that nobody here
made (`training/benchmark/photo_judges.py`): **true**, the sentence came true (MediaPipe's face
mesh, colours, and an age network); **same person**, dlib's face descriptor moved by at most 0.5;
**still a photograph**, skin kept its fine detail; **untouched**, what lies away from the person is
as it was. **All four**: the mean over the sentences of the share of edits with all four verdicts.
Seconds: CPU, median, the first reading of a photograph included. What is carried on depends on the
drawn face and on the sentence: it says which parts may change, and what it names is reached where
the drawn face shows it after the edit, even if it did before. Words outside the judges' twelve
sentences, and what a person would call beautiful, are not measured here: look at the sheets."""


def write_page(results: Mapping[str, Mapping[str, Any]], path: Path, plots: str = "plots") -> None:
    """Write the page and that of details; conclusions that stand in the page already are kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    earlier = path.read_text(encoding="utf-8") if path.is_file() else ""
    concluded = "\n".join([BEGIN, conclusions(earlier), END])
    path.write_text(front_page(results, concluded, plots), encoding="utf-8")
    path.with_name(DETAILS).write_text(page(results, plots), encoding="utf-8")


def conclusions(text: str) -> str:
    """Return what stands between the markers of a page."""
    if BEGIN not in text or END not in text:
        return TO_BE_WRITTEN
    return text.split(BEGIN, 1)[1].split(END, 1)[0].strip() or TO_BE_WRITTEN


def page(results: Mapping[str, Mapping[str, Any]], plots: str = "plots") -> str:
    """Return the page of details."""
    parts = [INTRODUCTION]
    if PHOTOGRAPHS in results:
        parts += ["## Photographs, edited whole", "", *_photographs(results[PHOTOGRAPHS]), ""]
    for name in (TEST, *SETS):
        if name in results:
            write = _test_set if name == TEST else _set
            parts += [f"## {TITLES[name]}", "", *write(name, results[name], plots)]
    return "\n".join([*parts, "## How to read it", "", HOW_TO_READ.rstrip(), ""])


def _test_set(name: str, result: Mapping[str, Any], plots: str) -> list[str]:
    """Return the tables of the test people: all pairs, and every sentence."""
    rows = result["rows"]
    lines = [row_of(["pair", "success", "p", "identity", "p", "others change", "p"])]
    lines.append(row_of(["---", *["---:"] * 6]))
    table = {
        (pair["first"], pair["second"], measure): pair
        for measure, pairs in result["pairs"].items()
        for pair in pairs
    }
    for first, second in dict.fromkeys(key[:2] for key in table):
        cells = [f"{first} - {second}"]
        for measure in result["pairs"]:
            pair = table[first, second, measure]
            cells.append(f"{pair['value']:+.3f} ({pair['low']:+.3f} to {pair['high']:+.3f})")
            cells.append(f"{pair['holm']:.3f}")
        lines.append(row_of(cells))
    lines += ["", "First less second, on the edits that both made; p: Holm's, among the pairs of a"]
    lines += ["measure.", "", "### Test people, by sentence", "", *prompt_table(rows), ""]
    return [*lines, f"Set: {result['set']}; measured on {result['device']}.", ""]


def _set(name: str, result: Mapping[str, Any], plots: str) -> list[str]:
    rows = result["rows"]
    lines = [*main_table(rows), "", *second_table(rows), ""]
    lines += [f"![success and preservation]({plots}/{name}-preservation.png)", ""]
    lines += [f"![time and quality]({plots}/{name}-time.png)", ""]
    if result.get("targets"):
        lines += ["### The targets of CLIP-PAE", "", TARGETS_NOTE, ""]
        lines += [*targets_table(result["targets"]), ""]
    for learner in sorted({k for line in rows.values() for k in line.get("matched_on", {})}):
        lines += [f"### At equal success, on the sentences that `{learner}` has learned", ""]
        lines += [*equal_table(rows, learner), ""]
    lines += ["### Several wishes in a sentence", "", *wishes_table(rows), ""]
    lines += ["### By sentence", "", *prompt_table(rows), ""]
    notes = [f"{row}: {', '.join(line['flags'])}" for row, line in rows.items() if line["flags"]]
    lines.append(f"Flagged: {'; '.join(notes) or 'none'}.")
    broken = result.get("brackets", [])
    lines.append(f"Outside the bracket of no edit and true edit: {'; '.join(broken) or 'none'}.")
    skipped = [f"{row} ({why})" for row, why in result.get("skipped", {}).items()]
    lines.append(f"Not measured: {', '.join(skipped) or 'none'}.")
    lines += [f"Set: {result['set']}; measured on {result['device']}.", ""]
    return lines


def _photographs(result: Mapping[str, Any]) -> list[str]:
    rows = result["rows"]
    keys = list(next(iter(rows.values()))["by_sentence"]) if rows else []
    count = max((len(row["by_sentence"]) for row in rows.values()), default=0)
    lines = [PHOTOGRAPHS_NOTE.format(sentences=count), "", *photograph_table(rows), ""]
    lines += [row_of(["all four, by sentence", *(key.replace("_", " ") for key in keys)])]
    lines += [row_of(["---", *["---:"] * len(keys)])]
    for name, row in _by_score(rows):
        lines.append(row_of([name, *(_plain(row["by_sentence"].get(key)) for key in keys)]))
    failed = [f"{edit} ({why})" for edit, why in result.get("failed", {}).items()]
    return [*lines, "", f"Set: {result['set']}. Not edited: {', '.join(failed) or 'none'}."]


def photograph_table(rows: Mapping[str, Any]) -> list[str]:
    """Return the table of photographs, the best first."""
    titles = ["method", "edits", "all four", "true", "same person", "still a photograph"]
    lines = [row_of([*titles, "untouched", "s"]), row_of(["---", *["---:"] * 7])]
    for name, row in _by_score(rows):
        numbers = [row[k] for k in ("score", "true", "person", "photograph", "untouched")]
        cells = [_plain(number) for number in numbers]
        lines.append(row_of([f"`{name}`", str(row["edits"]), *cells, _plain(row["seconds"])]))
    return lines


def _by_score(rows: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(rows.items(), key=lambda item: -(item[1]["score"] or 0.0))


def main_table(rows: Mapping[str, Any]) -> list[str]:
    """Return the table of what matters most, the best summary first below the baselines."""
    head = "| row | n | true | all true | floor | ceiling | identity | others change |"
    head += " at equal success: identity | others change | flags |"
    lines = [head, "| --- | ---: |" + " --- |" * 9]
    for name, line in ordered(rows):
        at = line["matched"]
        equal = [_number(at[k]) if at["reached"] else "-" for k in ("identity", "collateral")]
        cells = [name, str(line["n"]), _interval(line["success"]), _interval(line["all_true"])]
        cells += [_number(line["floor"]), _number(line["ceiling"])]
        cells += [_interval(line["identity_kept"]), _interval(line["collateral"])]
        lines.append(row_of([*cells, *equal, ", ".join(line["flags"]) or "-"]))
    return lines


def second_table(rows: Mapping[str, Any]) -> list[str]:
    """Return the table of everything else."""
    names = ("psnr_in", "psnr_out", "feature_in", "feature_out", "kept_out", "linearity")
    extras = ("undone", "paraphrase_std")
    head = "| row | PSNR in | out | features in | out | kept out | linear | undone | paraphrase |"
    head += " KID | s an edit | MiB at most | MB own | MB networks |"
    lines = [head, "| --- |" + " ---: |" * 13]
    for name, line in ordered(rows):
        cells = [name, *(_number(line[key]) for key in (*names, *extras))]
        cost = line.get("cost", {})
        cells += [
            _plain(line["kid"]),
            _plain(line["seconds"] if line["kind"] == "method" else None),
        ]
        cells += [_plain(cost.get("peak_mib")), _plain(cost.get("own_mb"))]
        lines.append(row_of([*cells, _plain(cost.get("base_mb"))]))
    return lines


def equal_table(rows: Mapping[str, Any], learner: str) -> list[str]:
    """Return what edits cost at equal success, on the items of a method with few sentences."""
    lines = ["| row | n | identity | others change |", "| --- | ---: | --- | --- |"]
    for name, line in ordered(rows):
        at = line.get("matched_on", {}).get(learner)
        if at is not None and at["reached"] and line["kind"] == "method":
            costs = [f"{at[key]['value']:.4f}" for key in ("identity", "collateral")]
            lines.append(row_of([name, str(at["n"]), *costs]))
    return lines


def targets_table(rows: Mapping[str, Any]) -> list[str]:
    """Return how CLIP-PAE's targets compare at equal steps."""
    head = "| target | n | true | identity | others change |"
    head += " at equal success: identity | others change |"
    lines = [head, "| --- | ---: |" + " --- |" * 5]
    for name, line in rows.items():
        at = line["matched"]
        cells = [name, str(line["n"]), _interval(line["success"]), _interval(line["identity"])]
        equal = [_number(at[k]) if at["reached"] else "-" for k in ("identity", "collateral")]
        lines.append(row_of([*cells, _interval(line["collateral"]), *equal]))
    return lines


def prompt_table(rows: Mapping[str, Any]) -> list[str]:
    """Return success by sentence: how well the judge reads the true edit, then each method."""
    first = [name for name in ("no_edit", "oracle", "oracle_inverted") if name in rows]
    shown = first + [name for name, line in ordered(rows) if line["kind"] == "method"]
    lines = ["| sentence | " + " | ".join(shown) + " |", "| --- |" + " ---: |" * len(shown)]
    for key, prompt in PROMPTS.items():
        found = [rows[name]["by_prompt"].get(key) for name in shown]
        if any(found):
            cells = [f"{f['success']:.2f} ({f['n']})" if f else "-" for f in found]
            lines.append(row_of([prompt.text, *cells]))
    return lines


def wishes_table(rows: Mapping[str, Any]) -> list[str]:
    """Return how often sentences of two and of more statements come true as a whole."""
    lines = ["| row | two wishes | three or four |", "| --- | ---: | ---: |"]
    for name, line in ordered(rows):
        cells = [name]
        for least, most in ((2, 2), (3, 4)):
            found = [
                (f["success"], f["n"])
                for key, f in line["by_prompt"].items()
                if least <= len(PROMPTS[key].statements) <= most
            ]
            count = sum(n for _, n in found)
            true = sum(success * n for success, n in found)
            cells.append(f"{true / count:.2f} ({count})" if count else "-")
        if set(cells[1:]) != {"-"}:
            lines.append(row_of(cells))
    return lines


def ordered(rows: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the rows, baselines first, then methods from the best summary down."""
    pairs = list(rows.items())
    plain = [pair for pair in pairs if pair[1]["kind"] != "method"]
    methods = [pair for pair in pairs if pair[1]["kind"] == "method"]
    return plain + sorted(methods, key=lambda pair: -(pair[1]["summary"] or 0))


DAGGER = "†"  # behind a paper's method that ships with additions
SHORT_BEGIN, SHORT_END = "<!-- benchmark: written by training.evaluate -->", "<!-- end -->"


def write_short_table(rows: Mapping[str, Any], path: Path) -> bool:
    """Write the methods' main numbers between the markers of a page; return whether it has any."""
    return _between(path, SHORT_BEGIN, short_table(rows))


PHOTO_BEGIN = "<!-- photographs: written by training.evaluate -->"


def write_short_photographs(result: Mapping[str, Any], path: Path) -> bool:
    """Write the table of photographs between its markers; return whether the page has any."""
    return _between(path, PHOTO_BEGIN, [*photograph_table(result["rows"])])


def _between(path: Path, begin: str, lines: Sequence[str]) -> bool:
    """Write lines between a marker and the end that follows it; return whether it is there."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if begin not in text:
        return False
    before, rest = text.split(begin, 1)
    after = rest.split(SHORT_END, 1)[1]
    path.write_text(before + "\n".join([begin, *lines, SHORT_END]) + after, encoding="utf-8")
    return True


def short_table(rows: Mapping[str, Any]) -> list[str]:
    """Return the table for the README: the inversion's ceiling, then the methods, best first.

    Rows are those of `front.shown_rows`.
    """
    titles = ["method", "paper", "edits", "success ↑", "identity ↑", "collateral change ↓", "s ↓"]
    lines = [row_of(titles), row_of(["---", "---", *["---:"] * 5])]
    for name, row in ordered(rows):
        if row["kind"] != "method" and name != "oracle_inverted":
            continue
        note = METHOD_NOTES.get(name)
        paper = "the true edit, inverted: what moving a code can reach"
        if note is not None:
            paper = "ours" if note.paper is None else f"[{note.arxiv}]({note.paper.url})"
        numbers = [_number(row[key]) for key in ("success", "identity_kept", "collateral")]
        seconds = _plain(row["seconds"]) if row["kind"] == "method" else "-"
        edits = f"{row['n']} {row['split']}"
        lines.append(row_of([f"`{name}`{marked(name)}", paper, edits, *numbers, seconds]))
    lines += ["", f"{DAGGER} ships with additions to its paper; its card and its file name them."]
    return lines


def marked(name: str) -> str:
    """Return the mark behind a row's name, if any."""
    return DAGGER if ships_with_additions(name) else ""


def ships_with_additions(name: str) -> bool:
    """Return whether a paper's method ships with some of `faceedit.additions`."""
    if name not in METHODS or METHOD_NOTES[name].paper is None:
        return False
    return any(field.name == "additions" for field in fields(METHODS[name].config_class))


def row_of(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return "| " + " | ".join(cells) + " |"


def _number(interval: Mapping[str, Any]) -> str:
    return _plain(interval["value"])


def _plain(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 1 or value == 0 else f"{value:.3f}"


def _interval(interval: Mapping[str, Any]) -> str:
    """Write "0.71 (0.65-0.77)"."""
    if interval["value"] is None:
        return "-"
    text = f"{interval['value']:.2f}"
    if interval["low"] is None:
        return text
    return f"{text} ({interval['low']:.2f}-{interval['high']:.2f})"
