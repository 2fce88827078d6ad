"""Does the portrait that is drawn for a photograph show the right character?

What a reader of attributes makes of inverted portraits, against what a person saw in the
photographs (`portraits` says the layout).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor

from faceedit.world.attributes import BEARDS, GLASSES, HAIR_COLORS, HAIR_STYLES, HATS

__all__ = [
    "CHARACTER_MEASURES",
    "CharacterMeasure",
    "character_scores",
    "read_characters",
    "skin_rank",
]

SKINS = ("very light", "light", "medium", "brown", "dark")
SMILES = ("slight smile", "smile with teeth", "laugh")
BEARDED = ("goatee", "full")
LENGTHS = {
    **dict.fromkeys(HAIR_STYLES, "short"),
    **{"bald": "bald", "bob": "chin", "long straight": "long", "long wavy": "long"},
    "ponytail": "long",
}
Label = Mapping[str, Any]
Reading = Mapping[str, float]


@dataclass(frozen=True)
class CharacterMeasure:
    """A question about one portrait.

    Attributes:
        name: What is asked.
        bar: Share of the portraits that should be right.
        right: (label, reading) -> whether it is; None where the label does not say.
    """

    name: str
    bar: float
    right: Callable[[Label, Reading], bool | None]


def _age_group(age: float) -> int:
    return (age >= 35) + (age > 55)


def _dark(color: str) -> str:
    return "black" if color == "dark brown" else color


def _hair_color(label: Label, reading: Reading) -> bool | None:
    if label["hair_color"] not in HAIR_COLORS:
        return None
    return _dark(HAIR_COLORS[int(reading["hair_color"])]) == _dark(label["hair_color"])


def _hair_length(label: Label, reading: Reading) -> bool | None:
    length = str(label.get("hair_length", "unclear")).replace("very ", "")
    if length not in LENGTHS.values():
        return None
    return LENGTHS[HAIR_STYLES[int(reading["hair_style"])]] == length


def _woman(
    test: Callable[[Reading], bool],
) -> Callable[[Label, Reading], bool | None]:
    return lambda label, reading: test(reading) if label["sex"] == "female" else None


def _covered(reading: Reading) -> bool:
    return HATS[int(reading["hat"])] != "none"


CHARACTER_MEASURES = (
    CharacterMeasure("sex", 0.98, lambda a, b: (b["femininity"] > 0.5) == (a["sex"] == "female")),
    CharacterMeasure(
        "women without a beard", 0.99, _woman(lambda b: BEARDS[int(b["beard"])] == "none")
    ),
    CharacterMeasure("women without a moustache", 0.99, _woman(lambda b: b["moustache"] < 0.5)),
    CharacterMeasure(
        "age group (under 35, to 55, over)",
        0.75,
        lambda a, b: _age_group(a["visible_age"]) == _age_group(b["age"]),
    ),
    CharacterMeasure("hair colour", 0.88, _hair_color),
    CharacterMeasure("hair length", 0.88, _hair_length),
    CharacterMeasure(
        "beard (goatee or full), yes or no",
        0.93,
        lambda a, b: (BEARDS[int(b["beard"])] in BEARDED) == (a["beard"] in BEARDED),
    ),
    CharacterMeasure(
        "no glasses where there are none",
        0.97,
        lambda a, b: GLASSES[int(b["glasses"])] == "none" if a["glasses"] == "none" else None,
    ),
    CharacterMeasure(
        "head covered where it is",
        0.8,
        lambda a, b: _covered(b) if a["headwear"] != "none" else None,
    ),
    CharacterMeasure(
        "head bare where it is",
        0.97,
        lambda a, b: not _covered(b) if a["headwear"] == "none" else None,
    ),
    CharacterMeasure(
        "smile", 0.85, lambda a, b: (b["smile"] > 0.3) == (a.get("expression") in SMILES)
    ),
    CharacterMeasure("mouth open", 0.88, lambda a, b: (b["mouth_open"] > 0.3) == a["mouth_open"]),
)


@torch.no_grad()
def read_characters(image: Tensor, encoder: Any, generator: Any, reader: Any) -> list[Reading]:
    """Return what a reader sees in the portraits that are drawn for photographs.

    Args:
        image: Aligned photographs, [n, 3, h, w] in [-1, 1].
        encoder: Image -> w_plus.
        generator: w_plus -> image.
        reader: An `AttributeReader`.
    """
    found: list[Reading] = []
    for part in image.split(16):
        read = reader.read(generator.synthesis(encoder(part)).clamp(-1, 1))
        found += [
            {name: float(column[i]) for name, column in read.items()} for i in range(len(part))
        ]
    return found


def character_scores(label: Label, reading: Reading) -> dict[str, float]:
    """Return 1 or 0 for each measure that applies, and both skin tones, for `skin_rank`."""
    answers = {measure.name: measure.right(label, reading) for measure in CHARACTER_MEASURES}
    scores = {name: float(answer) for name, answer in answers.items() if answer is not None}
    if label["skin"] in SKINS:
        scores["skin tone"] = reading["skin_tone"]
        scores["skin seen"] = float(SKINS.index(label["skin"]))
    return scores


def skin_rank(scores: Iterable[Mapping[str, float]]) -> float | None:
    """Return the rank correlation of drawn and seen skin tones; None where they do not differ."""
    pairs = [(row["skin seen"], row["skin tone"]) for row in scores if "skin seen" in row]
    if len({seen for seen, _ in pairs}) < 2:
        return None
    return float(spearmanr(*zip(*pairs, strict=True))[0])
