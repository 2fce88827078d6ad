"""Sentences as people type them: by another grammar than any that was learned from.

Every template is a way to ask that no recipe, caption or wording of this project contains (a test
sees to it). What is asked for is worded plainly, so that what they measure is the asking. Edit `i`
of a set is asked for with template `i % len(TEMPLATES)`, as far as the sentence has such a form.
"""

from __future__ import annotations

from collections.abc import Mapping

from training.benchmark.prompts import Prompt

__all__ = ["TEMPLATES", "THINGS", "typed"]

# Filled with what is wanted: {thing} like "a beanie", {be} like "wearing a beanie".
TEMPLATES = (
    "can u gimme {thing} pls",
    "make em {be} pls",
    "{thing} plz!!",
    "i wanna see {thing} on this one",
    "could they be {be}?",
    "what would it look like w/ {thing}",
    "try {thing} maybe",
    "i want this person {be}, thx",
    "hey can we get {thing} here",
    "needs {thing} imo",
    "turn them {be} ok",
    "same person but {be}",
    "just {thing}, nothing else",
    "{thing} instead",
    "should be {be}",
    "swap in {thing}",
    "id like {thing} thx",
    "lemme see them {be}",
    "ok now {thing}",
    "lets go with {thing}",
    "pretend they are {be}",
    "my sister says {thing} would suit them",
    "edit: {thing}",
    "how would they look {be}",
    "-> {thing}",
    "pic should have {thing}",
    "pls make this one {be}",
    "wouldnt {thing} be cool",
    "this but with {thing}",
    "so basically {be}",
    "im thinking {thing}",
    "{thing} would look great i think",
    "is it possible they were {be}",
    "change it so there is {thing} please",
    "more like {thing}",
    "can you do one where they are {be}",
    "for the party i need {thing}",
    "turn this into someone with {thing}",
    "i bet they'd look good {be}",
    "imagine {thing}",
    "what if they had {thing}",
    "the version where it's someone {be}",
    "photoshop {thing} in",
    "make it {thing} :)",
    "we need them {be} asap",
    "the boss wants {thing}",
    "{thing}, thanks in advance",
    "kindly do the needful: {be}",
    "any chance of {thing}?",
    "how about {thing}",
    "my mum wants to see me {be}",
    "could you please do {thing}",
    "would be nice to have {thing}",
    "have them {be} lol",
    "next one: {thing}",
    "picture me with {thing}",
    "it would be funny if they were {be}",
    "go for {thing}",
    "{thing}. thats it",
    "what i really want is someone {be}",
    "mabye {thing}?",
    "jsut make them {be}",
    "dont change anything but {thing} pls",
    "{thing}!!!",
)

# By the prompt's key: {thing}, and {be}.
THINGS: Mapping[str, tuple[str, str]] = {
    "hair_color=red": ("red hair", "red haired"),
    "hair_style=curly": ("curly hair", "curly haired"),
    "glasses=sunglasses": ("sunglasses", "wearing sunglasses"),
    "expression=laughing": ("a laugh", "laughing"),
    "hat=beanie": ("a beanie", "wearing a beanie"),
    "eye_color=blue": ("blue eyes", "blue eyed"),
    "age=old": ("an old face", "old"),
    "hair_style=afro": ("an afro", "wearing an afro"),
    "hair_color=blond": ("blond hair", "blond"),
    "hair_color=black": ("black hair", "black haired"),
    "hair_color=pink": ("pink hair", "pink haired"),
    "hair_style=bald": ("a bald head", "bald"),
    "hair_style=mohawk": ("a mohawk", "wearing a mohawk"),
    "hair_style=long wavy": ("long wavy hair", "seen with long wavy hair"),
    "fringe=fringe": ("a fringe", "wearing a fringe"),
    "beard=full": ("a full beard", "fully bearded"),
    "beard=goatee": ("a goatee", "wearing a goatee"),
    "moustache=moustache": ("a moustache", "wearing a moustache"),
    "shaven=shaven": ("a clean-shaven face", "clean-shaven"),
    "smile=smile": ("a smile", "smiling"),
    "smile=frown": ("a frown", "frowning"),
    "mouth_open=open": ("an open mouth", "seen with an open mouth"),
    "eye_open=closed": ("closed eyes", "seen with closed eyes"),
    "glasses=round": ("round glasses", "wearing round glasses"),
    "glasses=any": ("glasses", "wearing glasses"),
    "hat=sun hat": ("a sun hat", "wearing a sun hat"),
    "eye_color=green": ("green eyes", "green eyed"),
    "lipstick=lipstick": ("lipstick", "wearing lipstick"),
    "hair_color=red+glasses=sunglasses": (
        "red hair and sunglasses",
        "red haired and wearing sunglasses",
    ),
    "beard=full+glasses=round": (
        "a full beard and round glasses",
        "fully bearded and wearing round glasses",
    ),
    "hat=beanie+expression=laughing": (
        "a beanie and a laugh",
        "laughing and wearing a beanie",
    ),
    "hair_color=blond+hair_style=curly+glasses=any": (
        "blond curly hair and glasses",
        "blond, curly haired and wearing glasses",
    ),
    "hair_color=pink+hair_style=mohawk+glasses=sunglasses+expression=laughing": (
        "a pink mohawk, sunglasses and a laugh",
        "laughing and wearing a pink mohawk and sunglasses",
    ),
}


def typed(prompt: Prompt, number: int) -> str:
    """Return a prompt as somebody types it; `number` chooses the template."""
    thing, be = THINGS[prompt.key]
    return TEMPLATES[number % len(TEMPLATES)].format(thing=thing, be=be)
