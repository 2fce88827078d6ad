"""What is asked for: sentences, what makes them true, and whom they can be asked of.

A prompt makes one or more of the world's statements. Its true edit is a change of attributes, so
the portrait world can draw the edit that every method is after. Each prompt has a plain wording and
two paraphrases; those of single statements are wordings that no training caption contains.

Only what the judge can read is asked: a statement that it misses on the true edit says nothing
about a method. How often it reads each prompt's true edit right is listed with the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from faceedit.world import FaceAttributes
from faceedit.world.captions import value_prompts
from faceedit.world.statements import VIEWS, find

__all__ = ["GRID", "PROMPTS", "PROMPTS_VERSION", "Prompt", "fits"]

PROMPTS_VERSION = "1"  # raised whenever a prompt or its true edit changes
Value = float | str

# What the judge may read anew because the true edit moves it too; see faceedit.world.effects.
COUPLED: dict[str, tuple[str, ...]] = {
    "smile": ("mouth_open", "eye_open", "cheek_fullness", "smirk", "mouth_width", "brow_raise"),
    "mouth_open": ("smile", "chin_length", "face_length", "lip_fullness", "lipstick"),
    "eye_open": ("eye_size", "eyeshadow", "gaze_x", "gaze_y", "eye_color"),
    "age": ("hair_color", "forehead", "freckles", "blush", "eyeshadow", "cheek_fullness"),
    "hair_style": ("fringe", "hair_volume", "parting", "forehead", "ear_size", "earrings"),
    "hair_color": ("brow_thickness",),
    "fringe": ("forehead", "brow_height"),
    "hat": ("hat_hue", "fringe", "hair_volume", "parting", "forehead", "hair_style"),
    "glasses": ("eye_size", "eye_depth", "eye_tilt", "brow_thickness", "brow_height"),
    "beard": ("moustache", "jaw_width", "chin_width", "chin_length", "femininity"),
    "moustache": ("lip_fullness", "beard", "femininity", "mouth_height"),
    "lipstick": ("lip_hue", "lip_fullness", "femininity"),
}


@dataclass(frozen=True)
class Prompt:
    """A sentence to be made true.

    Attributes:
        key: Its name, the statements that it makes, joined by "+".
        texts: The plain wording and two paraphrases.
        changes: Attributes that make it true, with the value that they take.
        wearer: Ranges that attributes of the person must lie in for the sentence to suit.
        touches_identity: Whether making it true makes another person of someone.
    """

    key: str
    texts: tuple[str, str, str]
    changes: Mapping[str, Value]
    wearer: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    touches_identity: bool = False

    @property
    def statements(self) -> tuple[str, ...]:
        """The keys of its statements."""
        return tuple(self.key.split("+"))

    @property
    def text(self) -> str:
        """The plain wording."""
        return self.texts[0]

    @property
    def affected(self) -> frozenset[str]:
        """The attributes whose change is not collateral damage."""
        coupled = [other for name in self.changes for other in COUPLED.get(name, ())]
        return frozenset((*self.changes, *coupled))


def fits(prompt: Prompt, people: FaceAttributes) -> Tensor:
    """Return for whom a prompt is surely false now, and true once it is made so, [n] bool.

    Args:
        prompt: What is asked for.
        people: n persons.
    """
    suits = torch.ones(len(people), dtype=torch.bool)
    for name, (low, high) in prompt.wearer.items():
        suits &= (people.column(name) >= low) & (people.column(name) <= high)
    edited = people.replace(**prompt.changes)
    for key in prompt.statements:
        suits &= _stands(key, people)[1] & _stands(key, edited)[0]
    return suits


def _stands(key: str, people: FaceAttributes) -> tuple[Tensor, Tensor]:
    """Return where a statement is seen to be true and where to be false, as `truth` does for all.

    Only the attributes decide what is in view, so that no picture is needed.
    """
    statement = find(key)
    verdicts = [condition.judge(people, name) for name, condition in statement.when.items()]
    view = VIEWS[statement.view].when.items()
    visible = torch.ones(len(people), dtype=torch.bool)
    holds, fails = visible, ~visible
    for name, condition in view:
        visible = visible & condition.judge(people, name)[0]
    for yes, no in verdicts:
        holds, fails = holds & yes, fails | no
    return holds & visible, fails & visible & ~holds


# ------------------------------------------------------------------------------ the table
MAN = {"femininity": (0.0, 0.3)}
WOMAN = {"femininity": (0.7, 1.0)}
YOUNGER = {"age": (18.0, 52.0)}  # hair that has not begun to turn grey


def _one(
    key: str,
    changes: Mapping[str, Value],
    wearer: Mapping[str, tuple[float, float]] | None = None,
    touches_identity: bool = False,
    text: str = "",
) -> Prompt:
    """Build a prompt of one statement, worded as the world words it unless `text` is given."""
    name, value = key.split("=")
    first, second = value_prompts(name, value, "heldout")[:2]
    texts = (text or value_prompts(name, value)[0], first, second)
    return Prompt(key, texts, changes, wearer or {}, touches_identity)


def _hair(value: str) -> Prompt:
    return _one(f"hair_color={value}", {"hair_color": value}, YOUNGER)


def _cut(value: str) -> Prompt:
    return _one(f"hair_style={value}", {"hair_style": value})


LAUGHING = {"smile": 0.9, "mouth_open": 0.7}
SHAVEN: dict[str, Value] = {"beard": "none", "moustache": 0.0}
PROMPTS: dict[str, Prompt] = {
    prompt.key: prompt
    for prompt in (
        _hair("red"),
        _cut("curly"),
        _one("glasses=sunglasses", {"glasses": "sunglasses"}),
        _one("expression=laughing", LAUGHING, text="a laughing face"),
        _one("hat=beanie", {"hat": "beanie"}),
        _one("eye_color=blue", {"eye_color": "blue"}),
        _one("age=old", {"age": 80.0}, {"age": (18.0, 48.0)}, True, text="an old face"),
        _cut("afro"),
        _hair("blond"),
        _hair("black"),
        _hair("pink"),
        _one("hair_style=bald", {"hair_style": "bald"}, MAN, text="a bald head"),
        _cut("mohawk"),
        _cut("long wavy"),
        _one("fringe=fringe", {"fringe": 0.95}),
        _one("beard=full", {"beard": "full"}, MAN),
        _one("beard=goatee", {"beard": "goatee"}, MAN),
        _one("moustache=moustache", {"moustache": 0.95}, MAN),
        _one("shaven=shaven", SHAVEN, MAN, text="a clean-shaven face"),
        _one("smile=smile", {"smile": 0.85}, text="a smiling face"),
        _one("smile=frown", {"smile": -0.9, "mouth_open": 0.0}, text="a frowning face"),
        _one("mouth_open=open", {"mouth_open": 0.8}),
        _one("eye_open=closed", {"eye_open": 0.0}),
        _one("glasses=round", {"glasses": "round"}),
        _one("glasses=any", {"glasses": "square"}),
        _one("hat=sun hat", {"hat": "sun hat"}),
        _one("eye_color=green", {"eye_color": "green"}),
        _one("lipstick=lipstick", {"lipstick": 1.0, "lip_hue": 0.5}, WOMAN),
        Prompt(
            "hair_color=red+glasses=sunglasses",
            (
                "red hair and sunglasses",
                "a person with ginger hair wearing dark glasses",
                "this person has copper hair and wears shades",
            ),
            {"hair_color": "red", "glasses": "sunglasses"},
            YOUNGER,
        ),
        Prompt(
            "beard=full+glasses=round",
            (
                "a full beard and round glasses",
                "a man with a thick beard wearing round spectacles",
                "he has a bushy beard and wears glasses with round frames",
            ),
            {"beard": "full", "glasses": "round"},
            MAN,
        ),
        Prompt(
            "hat=beanie+expression=laughing",
            (
                "laughing and wearing a beanie",
                "a laughing person wearing a knitted hat",
                "the person is laughing and wears a woolly hat",
            ),
            {"hat": "beanie", **LAUGHING},
        ),
        Prompt(
            "hair_color=blond+hair_style=curly+glasses=any",
            (
                "blond curly hair and glasses",
                "a person with golden hair and curls wearing spectacles",
                "this person has blond hair, has curly hair and wears eyeglasses",
            ),
            {"hair_color": "blond", "hair_style": "curly", "glasses": "square"},
            YOUNGER,
        ),
        Prompt(
            "hair_color=pink+hair_style=mohawk+glasses=sunglasses+expression=laughing",
            (
                "laughing, a pink mohawk and sunglasses",
                "a laughing person with pink hair and a mohawk wearing dark glasses",
                "the person is laughing, has pink hair and a mohawk and wears shades",
            ),
            {"hair_color": "pink", "hair_style": "mohawk", "glasses": "sunglasses", **LAUGHING},
            YOUNGER,
        ),
    )
}
GRID: tuple[Prompt, ...] = tuple(list(PROMPTS.values())[:8])  # the columns of the contact sheets
