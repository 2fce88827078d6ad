"""The Methods tab: how each method works, its paper, its repo and its row of the benchmark."""

from __future__ import annotations

import html
from collections.abc import Sequence

from demo.menu import benchmark_row, note_of
from faceedit.notes import SPEED_WORDS, MethodNote

OWNER = "faceedit"
HUB = "https://huggingface.co"
_KINDS = {
    "trained": "trained beforehand",
    "fitted": "fitted to samples beforehand",
    "optimized": "learns nothing beforehand",
}


def guide(names: Sequence[str]) -> str:
    """Return the tab as HTML: one section a method."""
    notes = [note for name in names if (note := note_of(name)) is not None]
    if not notes:
        return "<p>No method is here yet.</p>"
    index = "".join(
        f'<li><a href="#method-{note.name}">{html.escape(note.title)}</a></li>' for note in notes
    )
    return (
        '<div class="fe-guide"><nav aria-label="Methods"><ul>'
        + index
        + "</ul></nav>"
        + "".join(_section(note) for note in notes)
        + "</div>"
    )


def _section(note: MethodNote) -> str:
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in note.how_it_works)
    limits = "".join(f"<li>{html.escape(line)}</li>" for line in note.limits)
    kind = f"{_KINDS.get(note.kind, note.kind)}; edits {note.space}; {SPEED_WORDS[note.speed]}"
    repo = f"{OWNER}/{note.repo}"
    return (
        f'<section id="method-{note.name}"><h3>{html.escape(note.title)}</h3>'
        f"<p>{_paper(note)}<br><small>{html.escape(kind)} · "
        f'<a href="{HUB}/{repo}" rel="noreferrer" target="_blank">{repo}</a></small></p>'
        f"<ol>{lines}</ol><p><b>Good for</b> {html.escape(note.good_for)}.</p>"
        f"<details><summary>Limits</summary><ul>{limits}</ul></details>{_row(note.name)}</section>"
    )


def _paper(note: MethodNote) -> str:
    if note.paper is None:
        return "First published here."
    paper = note.paper
    section = f", {note.section}" if note.section else ""
    words = f"{paper.short_authors}: {paper.title}. {paper.venue} {paper.year}{section}"
    return f'<a href="{paper.url}" rel="noreferrer" target="_blank">{html.escape(words)}</a>'


def _row(name: str) -> str:
    """Return the method's numbers as a small table, or that there are none yet."""
    numbers = benchmark_row(name)
    if not numbers:
        return "<p><small>Not in the benchmark yet.</small></p>"
    heads = "".join(
        f'<th scope="col">{html.escape(measure.replace("_", " "))}</th>' for measure in numbers
    )
    cells = "".join(f"<td>{value:.3g}</td>" for value in numbers.values())
    return (
        '<div class="fe-scroll" tabindex="0" role="region" aria-label="Benchmark">'
        f'<table class="fe-table"><thead><tr>{heads}</tr></thead>'
        f"<tbody><tr>{cells}</tr></tbody></table></div>"
    )
