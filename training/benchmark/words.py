"""How words are read: everyday wordings, nonsense, and whether what is denied is never drawn.

`python -m training.evaluate --words` prints three numbers. Wordings are right if all their words
are known and the nearest known statement is the one that is meant. For denials, faces are drawn
until enough show a thing and enough do not; every way to say "no" that asks the methods for
another sentence is then tried on all of them, and the judge says who has it afterwards.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from faceedit.backbones.clip import Clip
from faceedit.editor import FaceEditor
from faceedit.errors import FaceEditError
from faceedit.inversion import to_space
from faceedit.notes import METHOD_NOTES
from faceedit.types import EditRequest, Face, Latent, Space
from faceedit.words.polarity import without_negations
from faceedit.words.sentence import NEUTRAL, read
from faceedit.words.understanding import Understanding, nearest_statement, understand
from faceedit.words.wishes import wishes
from faceedit.world.captions import is_true, visible
from faceedit.world.population import attributes_from_noise
from training.benchmark.judges import Judges
from training.benchmark.wordings import (
    CAPTIONS,
    DENIED,
    EVERYDAY,
    MEANINGLESS,
    NOT,
    Meant,
    listed,
)
from training.benchmark.wordings_held_out import HELD_OUT
from training.config import ROOT

FAST = tuple(name for name, note in METHOD_NOTES.items() if note.speed == "fast")
POOL = 6000  # people of whom some are drawn; what is rare is measured on fewer faces
MOST_DRAWN = 4  # times as many as are wanted
SEED = 1000


@dataclass(frozen=True)
class Denial:
    """What became of some faces when a thing was denied."""

    thing: str
    method: str
    said: str
    had: int
    lost: int
    lacked: int
    gained: int
    refused: str = ""  # why nothing was edited, in the words that a user reads

    def line(self) -> str:
        """Return it as a row of the table."""
        if self.refused:
            return f"{self.thing:14} {self.method:18} {self.said:32} refused: {self.refused}"
        share = f"{self.lost / self.had:.2f}" if self.had else "-"
        return (
            f"{self.thing:14} {self.method:18} {self.said:32} "
            f"lost {self.lost:2}/{self.had:<2} = {share}  gained {self.gained}/{self.lacked}"
        )


def main(arguments: Sequence[str]) -> int:
    """Measure from command-line arguments and print the tables."""
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("--words", action="store_true", help="measure how words are read")
    parser.add_argument("--faces", type=int, default=24, help="that have it, and that do not")
    parser.add_argument("--methods", default=",".join(FAST))
    parser.add_argument("--things", default="", help="only these, like 'beard,hat'")
    parser.add_argument("--texts-only", action="store_true", help="no faces")
    parser.add_argument("--faces-only", action="store_true", help="no texts")
    parser.add_argument("--base", default="hub_cards/portraits-128")
    parser.add_argument("--judges", default="hub_cards/judges")
    typed = parser.parse_args(arguments)
    editor = FaceEditor.from_pretrained(ROOT / typed.base)
    if not typed.faces_only:
        print(texts(editor), flush=True)
    if typed.texts_only:
        return 0
    judges = Judges.load(ROOT / typed.judges, scaled=False)  # readings are taken as they are
    things = [word.strip() for word in typed.things.split(",") if word.strip()]
    for found in denials(editor, judges, typed.methods.split(","), things, typed.faces):
        print(found.line(), flush=True)
    return 0


def texts(editor: FaceEditor) -> str:
    """Return how many wordings are right and how much nonsense is warned of, with what is not."""
    clip = editor.backbones.require("clip", "the measure of words")
    lines = _score("everyday wordings understood", EVERYDAY, clip)
    for name, (first, table) in HELD_OUT.items():
        lines += _score(f"{name}, {first:.2f} when first read, now", listed(table), clip)
    silent = [f"  {text!r}" for text in MEANINGLESS if not _is_told(understand(text, clip))]
    warned = len(MEANINGLESS) - len(silent)
    lines += [f"meaningless ones warned of: {warned} of {len(MEANINGLESS)}", *silent]
    return "\n".join(lines)


def _score(name: str, wordings: Sequence[tuple[str, Meant]], clip: Clip) -> list[str]:
    """Return the share of wordings that are understood, and how the others are read."""
    wrong = []
    for text, meant in wordings:
        found = understand(text, clip)
        parts = wishes(found.plain)
        nearest = [nearest_statement(part, clip)[0] for part in parts]
        if not _is_right(found, meant, parts, nearest):
            wrong.append(f"  {text!r} is read as {found.plain!r}, nearest to {', '.join(nearest)}")
    return [f"{name}: {1 - len(wrong) / len(wordings):.3f} of {len(wordings)}", *wrong]


def _is_right(
    found: Understanding, meant: Meant, parts: Sequence[str], nearest: Sequence[str]
) -> bool:
    """Whether every thing that is meant is among what is read, or may be and is warned of."""
    if any("?" in keys for keys in meant) and _is_told(found):
        return True
    said = {*parts, *nearest, found.plain}
    said |= {key for key, captions in CAPTIONS.items() if said & set(captions)}
    return found.understood and all(said & set(keys) for keys in meant)


def _is_told(found: Understanding) -> bool:
    """Whether the user reads that something was not understood as it stands."""
    return not found.understood or bool(found.remarks)


def denials(
    editor: FaceEditor, judges: Judges, methods: Sequence[str], things: Sequence[str], faces: int
) -> Iterator[Denial]:
    """Yield what every method makes of every denial of some things."""
    faces_of = functools.cache(functools.partial(_faces, editor, judges, wanted=faces))
    turns: list[list[tuple[str, str, str]]] = [[] for _ in NOT]
    for bare, named, statement in DENIED:
        if things and bare not in things:
            continue
        # Ways that ask the methods for the same sentence give the same picture.
        said = dict.fromkeys(without_negations(way.format(bare=bare, a=named)) for way in NOT)
        for turn, text in zip(turns, said, strict=False):
            turn.append((bare, text, statement))
    # What most ways say comes first, for all things: a run that is stopped has seen them all.
    for bare, text, statement in itertools.chain(*turns):
        having, lacking = faces_of(statement)
        for method in methods:
            yield _tried(editor, judges, bare, method, text, statement, having, lacking)


@torch.no_grad()
def _faces(
    editor: FaceEditor, judges: Judges, statement: str, wanted: int
) -> tuple[Tensor, Tensor]:
    """Draw codes of faces for which the judge says that a statement holds, and does not.

    Whom a noise will show is known before anything is drawn, so few are drawn in vain.
    """
    generator = editor.backbones.require("generator", "the measure of words")
    source = torch.Generator().manual_seed(SEED)
    noise = torch.randn(POOL, generator.config.z_dim, generator=source)
    people = attributes_from_noise(noise)
    # Of ears below hair, the judge could only guess whether they wear something.
    holds, in_view = is_true(statement, people), visible(statement, people)
    found = []
    for has in (True, False):
        codes: list[Tensor] = []
        for some in noise[in_view & (holds == has)].split(wanted)[:MOST_DRAWN]:
            drawn = generator.truncate(generator.mapping(some.to(generator.const)), 1.0)
            seen = is_true(statement, judges.read(generator.synthesis(drawn))[0])
            codes += list(drawn[seen == has])
            if len(codes) >= wanted:
                break
        found.append(torch.stack(codes[:wanted]) if codes else drawn[:0])
    return found[0], found[1]


@torch.no_grad()
def _tried(
    editor: FaceEditor,
    judges: Judges,
    thing: str,
    name: str,
    text: str,
    statement: str,
    having: Tensor,
    lacking: Tensor,
) -> Denial:
    backbones = editor.backbones
    try:
        method = editor.method(name, editor.library.variant(EditRequest(text, name)))
    except FaceEditError as error:
        return Denial(thing, name, text, 0, 0, 0, 0, str(error))
    codes = torch.cat([having, lacking])
    image = backbones.require("generator", name).synthesis(codes)
    source = to_space(Face(image, Latent(codes, Space.W_PLUS)), method.space, backbones)
    sentence = read([text] * len(codes), NEUTRAL, backbones.require("clip", name))
    edited = method.edit(source, sentence, backbones)
    has = is_true(statement, judges.read(edited.image)[0])
    had, lacked = len(having), len(lacking)
    lost, gained = int((~has[:had]).sum()), int(has[had:].sum())
    return Denial(thing, name, text, had, lost, lacked, gained)
