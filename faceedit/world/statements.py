"""What can be said about a portrait: statements with the exact conditions of their truth.

A *statement* ("hair_color=red") is a claim with a condition on the attributes, a note of what must
be in view for it to be seen, and its *wordings*. A wording starts with its verb, which tells the
grammar of `captions` how to build it into a sentence:

    has red hair         -> "a woman with red hair", "she has red hair", "red hair"
    wears round glasses  -> "a man wearing round glasses", "he wears round glasses", "round glasses"
    is smiling           -> "a smiling man", "he is smiling", "smiling"
    without a beard      -> "a man without a beard", "without a beard"
    in dim light         -> "a man in dim light" (any other first word: said last, as it stands)
    a woman              -> the subject of the sentence

Each value keeps some wordings for the split "heldout": no training caption ever contains them, so
that reading them measures generalisation. They use words that training does show, put together in a
way that it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from faceedit.world.attributes import SPECS, FaceAttributes

INFINITY = float("inf")


# ------------------------------------------------------------------------------ conditions
@dataclass(frozen=True)
class Within:
    """Holds from `low` to `high`; unsure for `gap` beyond either end, where eyes would disagree."""

    low: float = -INFINITY
    high: float = INFINITY
    gap: float = 0.0

    def judge(self, attributes: FaceAttributes, name: str) -> tuple[Tensor, Tensor]:
        """Return where it holds and where it surely does not, two [n] bools."""
        x = attributes.column(name)
        return (x >= self.low) & (x <= self.high), (x < self.low - self.gap) | (
            x > self.high + self.gap
        )


@dataclass(frozen=True)
class Hue:
    """Holds near a point of the colour circle; unsure for `gap` further on, both in turns."""

    centre: float
    width: float
    gap: float = 0.05

    def judge(self, attributes: FaceAttributes, name: str) -> tuple[Tensor, Tensor]:
        """Return where it holds and where it surely does not, two [n] bools."""
        turn = (attributes.column(name) - self.centre + 0.5) % 1.0 - 0.5
        return turn.abs() <= self.width, turn.abs() > self.width + self.gap


@dataclass(frozen=True)
class OneOf:
    """Holds for some values of a categorical attribute; unsure for others."""

    values: tuple[str, ...]
    unsure: tuple[str, ...] = ()

    def judge(self, attributes: FaceAttributes, name: str) -> tuple[Tensor, Tensor]:
        """Return where it holds and where it surely does not, two [n] bools."""
        names = SPECS[name].values
        index = attributes.column(name).round().long()
        holds = torch.tensor([v in self.values for v in names], device=index.device)
        doubt = torch.tensor([v in self.unsure for v in names], device=index.device)
        return holds[index], ~(holds | doubt)[index]


@dataclass(frozen=True)
class HairColor:
    """Holds for hair that looks like one of these colours: with age, natural hair turns grey."""

    values: tuple[str, ...]
    unsure: tuple[str, ...] = ()

    def judge(self, attributes: FaceAttributes, name: str) -> tuple[Tensor, Tensor]:
        """Return where it holds and where it surely does not, two [n] bools."""
        yes, no = OneOf(self.values, self.unsure).judge(attributes, name)
        age = attributes.column("age")
        turns = OneOf(_DYEABLE).judge(attributes, name)[0]
        grey = torch.full_like(yes, "grey" in self.values)
        between = turns & (age > GREYING[0]) & (age < GREYING[1])
        turned = turns & (age >= GREYING[1])
        no = torch.where(turned, ~grey & ("grey" not in self.unsure), no)
        return torch.where(turned, grey, yes) & ~between, no & ~(between & (yes | grey))


GREYING = (62.0, 76.0)  # years: natural hair is plainly coloured before, plainly grey after
_DYEABLE = ("black", "dark brown", "brown", "blond", "red")  # the colours that turn grey
Condition = Within | Hue | OneOf | HairColor


def _is(*values: str, unsure: tuple[str, ...] = ()) -> OneOf:
    return OneOf(values, unsure)


def _not(name: str, *values: str) -> OneOf:
    return OneOf(tuple(v for v in SPECS[name].values if v not in values))


def _above(low: float, gap: float) -> Within:
    return Within(low=low, gap=gap)


def _below(high: float, gap: float) -> Within:
    return Within(high=high, gap=gap)


# ------------------------------------------------------------------------------ what is in view
@dataclass(frozen=True)
class View:
    """When a part of the face can be seen.

    Attributes:
        when: Conditions on the attributes; the part is hidden where one does not surely hold.
        regions: Region names of the segmentation that together must fill `share` of the picture.
        share: Fraction of the pixels, used only where a segmentation is given.
    """

    when: Mapping[str, Condition]
    regions: tuple[str, ...] = ()
    share: float = 0.0


_UNCOVERED = _is("none", "headband")  # hats that leave the haircut in view
_HAIRY = _not("hair_style", "bald")
_EARS_FREE = _not("hair_style", "bob", "long straight", "long wavy", "afro")
VIEWS: dict[str, View] = {
    "face": View({}),
    "skin": View({}, ("skin",), 0.02),
    "hair": View({"hair_style": _HAIRY}, ("hair",), 0.012),
    "haircut": View({"hat": _UNCOVERED}),
    "long hair": View({"hair_style": _HAIRY, "hat": _UNCOVERED}, ("hair",), 0.03),
    "forehead": View({"hat": _is("none")}),
    "hat": View({}, ("hat",), 0.012),
    "irises": View({"glasses": _not("glasses", "sunglasses"), "eye_open": _above(0.45, 0)}),
    "eyes": View({"glasses": _not("glasses", "sunglasses")}),
    "brows": View({"glasses": _not("glasses", "sunglasses"), "hat": _UNCOVERED}),
    "lips": View({}, ("lips", "mouth"), 0.002),
    "upper lip": View({"moustache": _below(0.1, 0)}, ("lips", "mouth"), 0.002),
    "jaw": View({"beard": _is("none", "stubble")}),
    "ears": View({"hair_style": _EARS_FREE}, ("ear", "earring"), 0.004),
    "earrings": View({"hair_style": _EARS_FREE}, ("earring",), 0.0005),
    "clothes": View({}, ("cloth",), 0.02),
    "background": View({}, ("background",), 0.08),
}  # fmt: skip


# ------------------------------------------------------------------------------ statements
@dataclass(frozen=True)
class Statement:
    """A claim about a face that is true or false.

    Attributes:
        name: What it is about: an attribute of the world, or a derived one such as "expression".
            Statements with the same name say the same thing in different degree, so a sentence
            holds at most one of them.
        value: What it claims.
        when: It is true where all these conditions hold, false where one surely does not.
        view: The key of VIEWS that must be in sight.
        train: Wordings for training.
        heldout: Wordings that training never sees.
        more: Comparative wordings ("has a wider smile"), for training.
        weight: How often it is said, relative to others that are true of the same face.
        general: It covers several other values ("wears a hat"), so it is not an answer beside them.
    """

    name: str
    value: str
    when: Mapping[str, Condition]
    view: str
    train: tuple[str, ...]
    heldout: tuple[str, ...]
    more: tuple[str, ...] = ()
    weight: float = 1.0
    general: bool = False

    @property
    def key(self) -> str:
        """The statement's unique name, "attribute=value"."""
        return f"{self.name}={self.value}"


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip())


def _say(
    name: str,
    value: str,
    when: Mapping[str, Condition],
    train: str,
    heldout: str,
    *,
    view: str = "face",
    more: str = "",
    weight: float = 1.0,
    general: bool = False,
) -> Statement:
    """Build a statement; wordings are separated by "|"."""
    return Statement(
        name, value, when, view, _split(train), _split(heldout), _split(more), weight, general
    )


def _identity() -> list[Statement]:
    woman, man = _above(0.7, 0.1), _below(0.3, 0.1)
    return [
        _say("femininity", "woman", {"femininity": woman},
             "a woman | a lady | a female person | a female", "a woman's face | a female face"),
        _say("femininity", "man", {"femininity": man},
             "a man | a gentleman | a male person | a male", "a man's face | a male face"),
        _say("age", "young", {"age": _below(30, 6)},
             "is young | is youthful | is in the twenties | has a young face",
             "has a youthful face | is young-looking", more="is younger | looks younger"),
        _say("age", "middle-aged", {"age": Within(42, 56, 5)},
             "is middle-aged | is of middle age | is around fifty | is in the forties",
             "has a middle-aged face | has a face of middle age"),
        _say("age", "old", {"age": _above(65, 7)},
             "is old | is elderly | is aged | has an old face | has wrinkles",
             "has an elderly face | is old-looking",
             more="is older | looks older | has more wrinkles"),
        _say("skin_tone", "light", {"skin_tone": _below(0.25, 0.1)},
             "has light skin | has pale skin | has fair skin | is pale",
             "has a pale skin tone | is light-skinned", view="skin",
             more="has lighter skin | has paler skin"),
        _say("skin_tone", "medium", {"skin_tone": Within(0.42, 0.58, 0.08)},
             "has tan skin | has medium skin | has olive skin | is tanned",
             "has a tan skin tone | is tan-skinned", view="skin", weight=0.8),
        _say("skin_tone", "dark", {"skin_tone": _above(0.75, 0.1)},
             "has dark skin | has deep brown skin | has dark brown skin | has a dark skin tone",
             "is dark-skinned | has a deep brown skin tone", view="skin",
             more="has darker skin"),
        _say("freckles", "freckles", {"freckles": _above(0.35, 0.25)},
             "has freckles | is freckled | has a freckled face | has freckled skin",
             "has skin with freckles | has a face full of freckles", more="has more freckles"),
        _say("freckles", "none", {"freckles": _below(0.05, 0.2)},
             "has no freckles | without freckles | has skin without freckles",
             "has a face without freckles | has a face with no freckles",
             more="has fewer freckles", weight=0.15),
    ]  # fmt: skip


def _signed(
    name: str, low: str, high: str, *, view: str = "face", weight: float = 0.45
) -> list[Statement]:
    """Two opposite statements about a shape; each text is "value; train; heldout; comparative"."""
    statements = []
    for text, when in ((low, _below(-0.5, 0.35)), (high, _above(0.5, 0.35))):
        value, train, heldout, more = (part.strip() for part in text.split(";"))
        statements.append(
            _say(name, value, {name: when}, train, heldout, view=view, more=more, weight=weight)
        )
    return statements


def _shape() -> list[Statement]:
    return [
        *_signed(
            "face_width",
            "narrow; has a narrow face | has a slim face | has a thin face | is thin-faced;"
            " has a narrow head | is slim-faced; has a narrower face | has a slimmer face",
            "wide; has a wide face | has a broad face | is broad-faced | has a wide head;"
            " is wide-faced | has a broad head; has a wider face | has a broader face",
        ),
        *_signed(
            "jaw_width",
            "tapered; has a tapered jaw | has a narrow jaw | has a slim jaw | has a narrow jawline;"
            " has a tapered jawline | has a jaw that is narrow; has a narrower jaw",
            "square; has a square jaw | has a wide jaw | has a strong jaw | has a square jawline;"
            " has a strong jawline | has a jaw that is square; has a wider jaw",
            view="jaw",
        ),
        *_signed(
            "chin_width",
            "pointed; has a pointed chin | has a narrow chin | has a sharp chin;"
            " has a chin that is pointed | has a small pointed chin; has a more pointed chin",
            "broad; has a broad chin | has a wide chin | has a blunt chin;"
            " has a chin that is broad | has a big broad chin; has a broader chin",
            view="jaw",
            weight=0.25,
        ),
        *_signed(
            "cheek_fullness",
            "hollow; has hollow cheeks | has sunken cheeks | has thin cheeks;"
            " has cheeks that are hollow | is hollow-cheeked; has thinner cheeks",
            "chubby; has chubby cheeks | has full cheeks | has round cheeks | is chubby;"
            " has cheeks that are chubby | is chubby-cheeked; has fuller cheeks | is chubbier",
            view="jaw",
            weight=0.35,
        ),
        *_signed(
            "nose_width",
            "narrow; has a narrow nose | has a thin nose | has a slim nose;"
            " has a nose that is narrow | is narrow-nosed; has a narrower nose",
            "wide; has a wide nose | has a broad nose | has a flat nose;"
            " has a nose that is wide | is broad-nosed; has a wider nose | has a broader nose",
        ),
        *_signed(
            "nose_length",
            "short; has a short nose | has a small nose | has a little nose;"
            " has a nose that is short | is short-nosed; has a shorter nose | has a smaller nose",
            "long; has a long nose | has a big nose | has a large nose;"
            " has a nose that is long | is long-nosed; has a longer nose | has a bigger nose",
        ),
        *_signed(
            "eye_size",
            "small; has small eyes | has little eyes | has tiny eyes;"
            " has eyes that are small | is small-eyed; has smaller eyes",
            "large; has big eyes | has large eyes | is big-eyed;"
            " has eyes that are big | is large-eyed; has bigger eyes | has larger eyes",
            view="eyes",
        ),
        *_signed(
            "eye_spacing",
            "close; has close-set eyes | has eyes close together | has eyes set close together;"
            " has eyes that are close together | has eyes that are close-set;"
            " has eyes closer together",
            "wide; has wide-set eyes | has eyes far apart | has eyes set far apart;"
            " has eyes that are far apart | has eyes that are wide-set; has eyes further apart",
            view="eyes",
            weight=0.3,
        ),
        *_signed(
            "brow_thickness",
            "thin; has thin eyebrows | has thin brows | has fine eyebrows | has narrow eyebrows;"
            " has fine brows | has eyebrows that are thin; has thinner eyebrows",
            "thick; has thick eyebrows | has bushy eyebrows | has thick brows | has heavy eyebrows;"
            " has bushy brows | has eyebrows that are thick; has thicker eyebrows",
            view="brows",
        ),
        *_signed(
            "lip_fullness",
            "thin; has thin lips | has narrow lips | is thin-lipped;"
            " has lips that are thin | has a mouth with thin lips; has thinner lips",
            "full; has full lips | has thick lips | has plump lips | is full-lipped;"
            " has lips that are full | has a mouth with full lips;"
            " has fuller lips | has bigger lips",
            view="upper lip",
        ),
        *_signed(
            "mouth_width",
            "narrow; has a narrow mouth | has a small mouth | has a little mouth;"
            " has a mouth that is small | has a mouth that is narrow; has a smaller mouth",
            "wide; has a wide mouth | has a big mouth | has a large mouth;"
            " has a mouth that is wide | has a mouth that is big; has a wider mouth",
            weight=0.25,
        ),
        *_signed(
            "ear_size",
            "small; has small ears | has little ears | has tiny ears;"
            " has ears that are small | is small-eared; has smaller ears",
            "large; has big ears | has large ears | is big-eared;"
            " has ears that are big | is large-eared; has bigger ears",
            view="ears",
            weight=0.25,
        ),
    ]


def _expression() -> list[Statement]:
    closed = _below(0.08, 0.15)
    return [
        _say("smile", "frown", {"smile": _below(-0.4, 0.3)},
             "is frowning | has a frown | is sad | is unhappy | has a sad face",
             "has an unhappy face | is sad-looking | has a frown on the face",
             more="is smiling less | is sadder | is less happy"),
        _say("smile", "neutral", {"smile": Within(-0.15, 0.2, 0.12), "mouth_open": closed},
             "is serious | has a neutral expression | is not smiling | has a straight face",
             "has a serious expression | is serious-looking", weight=0.7),
        _say("smile", "smile", {"smile": _above(0.35, 0.2)},
             "is smiling | has a smile | is happy | is cheerful | has a happy face",
             "has a cheerful face | is happy-looking | has a smile on the face",
             more="is smiling more | is happier | has a bigger smile"),
        _say("smile", "broad smile", {"smile": _above(0.7, 0.2)},
             "has a broad smile | has a wide smile | has a big smile | is smiling broadly",
             "is smiling widely | has a wide smile on the face", general=True,
             more="has a wider smile | has a broader smile | is smiling more broadly"),
        _say("expression", "laughing",
             {"smile": _above(0.45, 0.25), "mouth_open": _above(0.4, 0.2)},
             "is laughing | is laughing out loud | has a laughing face"
             " | is smiling with an open mouth",
             "is happy and laughing | has an open-mouthed smile"),
        _say("expression", "surprised",
             {"brow_raise": _above(0.55, 0.3), "mouth_open": _above(0.45, 0.25),
              "smile": _below(0.3, 0.2)},
             "is surprised | is astonished | has a surprised face | has a surprised expression",
             "has an astonished face | is surprised-looking", more="is more surprised", weight=1.5),
        _say("mouth_open", "open", {"mouth_open": _above(0.3, 0.2)},
             "has an open mouth | is open-mouthed | has the mouth open",
             "has a mouth that is open | with the mouth open", view="lips",
             more="has the mouth open wider | has a wider open mouth", weight=0.7),
        _say("mouth_open", "closed", {"mouth_open": closed},
             "has a closed mouth | has the mouth closed | has the mouth shut",
             "has a mouth that is closed | with the mouth closed", view="lips", weight=0.25),
        _say("eye_open", "closed", {"eye_open": _below(0.12, 0.2)},
             "has closed eyes | has the eyes closed | has the eyes shut | is sleeping",
             "has eyes that are closed | with the eyes closed", view="eyes", weight=2.0),
        _say("eye_open", "open", {"eye_open": _above(0.45, 0.3)},
             "has open eyes | has the eyes open | is awake",
             "has eyes that are open | with the eyes open", view="eyes", weight=0.15),
        _say("brow_raise", "raised", {"brow_raise": _above(0.55, 0.35)},
             "has raised eyebrows | has raised brows | has the eyebrows raised",
             "has eyebrows that are raised | with raised eyebrows", view="brows",
             more="has higher eyebrows", weight=0.6),
        _say("brow_raise", "knitted", {"brow_raise": _below(-0.45, 0.35)},
             "has knitted eyebrows | has knitted brows | has lowered eyebrows",
             "has eyebrows that are knitted | with knitted brows", view="brows", weight=0.6),
    ]  # fmt: skip


#: value -> words for it; the first is the plain one
_HAIR_WORDS = {
    "black": ("black", "jet-black", "raven"),
    "dark brown": ("dark brown", "deep brown", "dark chestnut"),
    "brown": ("brown", "chestnut", "light brown"),
    "blond": ("blond", "golden", "fair"),
    "red": ("red", "ginger", "copper"),
    "grey": ("grey", "silver", "greying"),
    "white": ("white", "snow-white", "all white"),
    "blue": ("blue", "bright blue", "dyed blue"),
    "pink": ("pink", "bright pink", "dyed pink"),
    "green": ("green", "bright green", "dyed green"),
}
_HAIR_NEIGHBOURS = {  # colours that eyes may take for one another
    "black": ("dark brown",), "dark brown": ("black", "brown"), "brown": ("dark brown",),
    "grey": ("white",), "white": ("grey",),
}  # fmt: skip
_HAIRCUTS = {  # style -> train; heldout
    "bald": "is bald | has a bald head | is bald-headed | has no hair | without hair;"
    " has a head without hair | has a shaved bald head",
    "buzz cut": "has a buzz cut | has very short hair | has cropped hair | is buzz-cut;"
    " has hair in a buzz cut | has a cropped haircut",
    "short": "has a short haircut | has a plain short haircut | has a short side parting;"
    " has a short plain haircut | has a haircut that is short",
    "quiff": "has a quiff | has a swept-up quiff | has hair brushed up | has brushed-up hair;"
    " has hair in a quiff | has swept-up hair",
    "bob": "has a bob | has a bob haircut | has bobbed hair | has chin-length hair;"
    " has hair in a bob | has a chin-length haircut",
    "long straight": "has long straight hair | has straight long hair | has straight hair;"
    " has hair that is long and straight | is straight-haired",
    "long wavy": "has long wavy hair | has wavy hair | has wavy long hair | is wavy-haired;"
    " has hair that is long and wavy | has hair in waves",
    "afro": "has an afro | has an afro haircut | has afro hair | has big round afro hair;"
    " has hair in an afro | has a big round afro",
    "curly": "has curly hair | has curls | is curly-haired | has short curls;"
    " has hair in curls | has hair that is curly",
    "mohawk": "has a mohawk | has a mohawk haircut | has mohawk hair | has a tall mohawk;"
    " has hair in a mohawk | has a tall mohawk haircut",
    "bun": "has a bun | has hair in a bun | has hair tied in a bun | has a hair bun;"
    " has a bun of hair | has the hair in a bun",
    "ponytail": "has a ponytail | has hair in a ponytail | has hair tied in a ponytail;"
    " has a hair ponytail | has the hair in a ponytail",
}


def _hair_color(value: str, words: tuple[str, ...]) -> Statement:
    plain, second, third = words
    dyed = value in ("blue", "pink", "green")
    spelled = f"has {plain} hair | is {plain.replace(' ', '-')}-haired | has {second} hair"
    extra = f" | has {third} hair | has hair that is {plain}"
    when = {"hair_color": HairColor((value,), _HAIR_NEIGHBOURS.get(value, ()))}
    return _say(
        "hair_color",
        value,
        when,
        spelled + extra,
        f"has {plain}-coloured hair | has hair of a {plain} colour | has hair that is {second}",
        view="hair",
        weight=2.0 if dyed else 1.6,
    )


def _hair() -> list[Statement]:
    statements = [_hair_color(value, words) for value, words in _HAIR_WORDS.items()]
    for style, text in _HAIRCUTS.items():
        train, heldout = text.split(";")
        # A bald or cropped head and two haircuts of one length are hard to tell apart.
        near = {"bald": ("buzz cut",), "short": ("quiff", "curly")}.get(style, ())
        statements.append(
            _say("hair_style", style, {"hair_style": OneOf((style,), near)}, train, heldout,
                 view="haircut", weight=1.6)
        )  # fmt: skip
    longish = ("long straight", "long wavy")
    cropped = ("buzz cut", "short", "quiff")
    fringed = _is("short", "bob", "long straight", "long wavy", "curly")
    return [
        *statements,
        _say("hair_style", "long", {"hair_style": OneOf(longish, ("bob", "ponytail", "afro"))},
             "has long hair | is long-haired | has a long haircut | has hair down to the shoulders",
             "has hair that is long | has shoulder-length long hair", view="long hair",
             more="has longer hair", general=True),
        _say("hair_style", "short hair",
             {"hair_style": OneOf(cropped, ("bald", "curly", "mohawk", "bun", "ponytail", "bob"))},
             "has short hair | is short-haired | has short-cut hair",
             "has hair that is short | has hair in a short cut", view="haircut",
             more="has shorter hair", general=True),
        _say("fringe", "fringe", {"fringe": _above(0.5, 0.25), "hair_style": fringed},
             "has a fringe | has bangs | has hair over the forehead | has a hair fringe",
             "has hair with a fringe | has hair with bangs", view="forehead", weight=0.8),
        _say("fringe", "none", {"fringe": _below(0.1, 0.3)},
             "has no fringe | without bangs | has no bangs | without a fringe",
             "has hair without bangs | has hair without a fringe", view="forehead", weight=0.1),
        _say("hair_volume", "voluminous",
             {"hair_volume": _above(0.5, 0.4),
              "hair_style": _not("hair_style", "bald", "buzz cut", "mohawk")},
             "has voluminous hair | has thick hair | has full hair",
             "has hair with volume | has hair that is voluminous", view="long hair",
             more="has fuller hair | has more hair volume", weight=0.25),
    ]  # fmt: skip


def _facial_hair() -> list[Statement]:
    no_beard, no_moustache = _is("none"), _below(0.1, 0.2)
    return [
        _say("beard", "none", {"beard": _is("none")},
             "has no beard | without a beard | is beardless",
             "has a face without a beard | has a face with no beard", weight=0.2, view="jaw"),
        _say("beard", "stubble", {"beard": _is("stubble")},
             "has stubble | is unshaven | has a stubble beard | is stubbled",
             "has a face with stubble | has an unshaven face", weight=1.4),
        _say("beard", "goatee", {"beard": _is("goatee")},
             "has a goatee | has a goatee beard | has a chin beard",
             "has a beard on the chin | has a face with a goatee", weight=1.4),
        _say("beard", "full", {"beard": _is("full")},
             "has a full beard | has a thick beard | has a big beard | has a bushy beard",
             "has a face with a full beard | has a beard that is full", weight=1.4,
             more="has a fuller beard | has a thicker beard"),
        _say("beard", "any", {"beard": _is("goatee", "full", unsure=("stubble",))},
             "has a beard | is bearded | has facial hair",
             "has a bearded face | has a face with a beard", general=True,
             more="has more beard"),
        _say("moustache", "moustache", {"moustache": _above(0.45, 0.3)},
             "has a moustache | is moustached | has a thick moustache | has a moustache on the lip",
             "has a face with a moustache | has hair on the upper lip",
             more="has a thicker moustache"),
        _say("moustache", "none", {"moustache": _below(0.1, 0.2)},
             "has no moustache | without a moustache | has a shaved upper lip",
             "has a face without a moustache | has an upper lip without a moustache", weight=0.12),
        _say("shaven", "shaven",
             {"beard": no_beard, "moustache": no_moustache, "femininity": _below(0.3, 0.1)},
             "is clean-shaven | has a clean-shaven face | has a shaved face | is cleanly shaved",
             "has no facial hair | without facial hair", weight=0.7),
    ]  # fmt: skip


def _make_up() -> list[Statement]:
    painted, shaded = _above(0.45, 0.3), _above(0.35, 0.25)
    colors = [
        _say("lip_hue", value, {"lipstick": painted, "lip_hue": hue},
             f"wears {value} lipstick | has {value} lips | has lips painted {value}",
             f"has lips that are {value} | has a {value} lipstick on the lips",
             view="lips", weight=0.7)
        for value, hue in (("plum", _below(0.22, 0.15)), ("red", Within(0.35, 0.65, 0.15)),
                           ("coral", _above(0.78, 0.15)))
    ]  # fmt: skip
    return [
        _say("lipstick", "lipstick", {"lipstick": painted},
             "wears lipstick | has lipstick | has painted lips | has coloured lips",
             "has lips with lipstick | has lipstick on the lips", view="lips",
             more="wears more lipstick", weight=0.8),
        _say("lipstick", "none", {"lipstick": _below(0.08, 0.25)},
             "wears no lipstick | without lipstick | has unpainted lips | has natural lips",
             "has lips without lipstick | has lips with no lipstick", view="lips", weight=0.15),
        *colors,
        _say("eyeshadow", "eyeshadow", {"eyeshadow": shaded},
             "wears eyeshadow | has eyeshadow | has painted eyelids | has eye make-up",
             "has eyes with eyeshadow | has eye shadow on the eyes", view="eyes",
             more="wears more eyeshadow", weight=0.7),
        _say("eyeshadow", "none", {"eyeshadow": _below(0.08, 0.2)},
             "wears no eyeshadow | without eyeshadow | has no eye make-up",
             "has eyes without eyeshadow | has eyes with no eyeshadow", view="eyes", weight=0.1),
        _say("make_up", "made up", {"lipstick": painted, "eyeshadow": shaded},
             "wears make-up | has make-up | is made up | wears heavy make-up",
             "has a face with make-up | has make-up on the face", view="eyes",
             more="wears more make-up", weight=0.8),
        _say("make_up", "none", {"lipstick": _below(0.08, 0.25), "eyeshadow": _below(0.08, 0.2)},
             "wears no make-up | without make-up | has no make-up",
             "has a face without make-up | has a face with no make-up", view="eyes", weight=0.12),
        _say("blush", "rosy", {"blush": _above(0.5, 0.25)},
             "has rosy cheeks | is blushing | has pink cheeks | is rosy-cheeked",
             "has cheeks that are rosy | has blushing cheeks", view="skin",
             more="has rosier cheeks", weight=0.4),
    ]  # fmt: skip


def _accessories() -> list[Statement]:
    return [
        _say("glasses", "none", {"glasses": _is("none")},
             "wears no glasses | without glasses | has no glasses | has bare eyes",
             "has a face without glasses | has eyes without glasses", weight=0.25),
        _say("glasses", "round", {"glasses": _is("round")},
             "wears round glasses | wears round spectacles | wears glasses with round frames"
             " | wears circular glasses",
             "wears spectacles with round frames | wears glasses that are round", weight=1.6),
        _say("glasses", "square", {"glasses": _is("square")},
             "wears square glasses | wears rectangular glasses | wears glasses with square frames"
             " | wears square spectacles",
             "wears spectacles with square frames | wears glasses that are square", weight=1.6),
        _say("glasses", "sunglasses", {"glasses": _is("sunglasses")},
             "wears sunglasses | wears dark glasses | wears shades | wears black sunglasses",
             "wears dark sunglasses | wears glasses that are dark", weight=1.8),
        _say("glasses", "any", {"glasses": _is("round", "square", unsure=("sunglasses",))},
             "wears glasses | wears spectacles | wears eyeglasses | is bespectacled",
             "wears a pair of glasses | has a face with glasses", general=True),
        _say("hat", "none", {"hat": _is("none")},
             "wears no hat | without a hat | is bareheaded | has no hat",
             "has a head without a hat | has a head with no hat", weight=0.2),
        _say("hat", "beanie", {"hat": _is("beanie")},
             "wears a beanie | wears a knitted hat | wears a woolly hat | wears a knitted cap",
             "wears a knitted beanie | wears a beanie on the head", weight=1.6),
        _say("hat", "headband", {"hat": _is("headband")},
             "wears a headband | wears a hair band | has a headband | wears a sports headband",
             "has a band around the head | wears a headband on the head", weight=1.6),
        _say("hat", "cap", {"hat": _is("cap")},
             "wears a cap | wears a baseball cap | wears a peaked cap | wears a cap with a visor",
             "wears a baseball cap with a visor | wears a cap on the head", weight=1.6),
        _say("hat", "sun hat", {"hat": _is("sun hat")},
             "wears a sun hat | wears a wide-brimmed hat | wears a straw hat | wears a summer hat",
             "wears a hat with a wide brim | wears a sun hat on the head", weight=1.6),
        _say("hat", "any", {"hat": _is("beanie", "cap", "sun hat", unsure=("headband",))},
             "wears a hat | has a hat | is hatted",
             "has a head with a hat | wears a hat on the head", general=True),
        _say("earrings", "none", {"earrings": _is("none")},
             "wears no earrings | without earrings | has no earrings",
             "has ears without earrings | has ears with no earrings", view="ears", weight=0.2),
        _say("earrings", "studs", {"earrings": _is("studs")},
             "wears studs | wears stud earrings | wears small earrings | has ear studs",
             "wears earrings that are studs | has studs in the ears", view="earrings", weight=1.2),
        _say("earrings", "hoops", {"earrings": _is("hoops")},
             "wears hoops | wears hoop earrings | wears big round earrings | wears ring earrings",
             "wears earrings that are hoops | has hoops in the ears", view="earrings", weight=1.2),
        _say("earrings", "any", {"earrings": _is("studs", "hoops")},
             "wears earrings | has earrings | wears ear jewellery",
             "has ears with earrings | wears a pair of earrings", view="earrings", general=True),
    ]  # fmt: skip


_EYE_WORDS = {  # value -> plain word, others; neighbours that eyes may take for it
    "brown": (("brown", "dark brown", "chestnut"), ("hazel",)),
    "hazel": (("hazel", "amber", "light brown"), ("brown", "green")),
    "green": (("green", "emerald", "light green"), ("hazel",)),
    "blue": (("blue", "bright blue", "light blue"), ("grey",)),
    "grey": (("grey", "steel-grey", "pale grey"), ("blue",)),
}


def _eyes() -> list[Statement]:
    return [
        _say("eye_color", value, {"eye_color": OneOf((value,), near)},
             f"has {words[0]} eyes | is {words[0]}-eyed | has {words[1]} eyes"
             f" | has {words[2]} eyes",
             f"has {words[0]}-coloured eyes | has eyes that are {words[0]}",
             view="irises", weight=1.3)
        for value, (words, near) in _EYE_WORDS.items()
    ]  # fmt: skip


_HUES = {  # name -> other word, middle and half-width on the colour circle, in turns
    "red": ("crimson", 0.0, 0.035),
    "orange": ("peach", 0.075, 0.025),
    "yellow": ("mustard", 0.15, 0.035),
    "green": ("leaf green", 0.33, 0.09),
    "turquoise": ("teal", 0.49, 0.035),
    "blue": ("navy blue", 0.61, 0.06),
    "purple": ("violet", 0.77, 0.05),
    "pink": ("magenta", 0.9, 0.04),
}


def _hat_colors() -> list[Statement]:
    return [
        _say("hat_hue", value,
             {"hat": _is("beanie", "cap"), "hat_hue": Hue(_HUES[value][1], _HUES[value][2])},
             f"wears a {value} hat | has a {value} hat | wears {value} headwear",
             f"wears a {value}-coloured hat | has a hat that is {value}", view="hat", weight=0.7)
        for value in ("red", "green", "blue", "purple")
    ]  # fmt: skip


def _background() -> list[Statement]:
    strong, seen = _above(0.14, 0.06), _above(0.3, 0.08)
    colored = [
        _say("background_hue", value,
             {"background_hue": Hue(middle, width), "background_saturation": strong,
              "background_value": seen},
             f"against a {value} background | in front of a {value} wall | on a {value} background"
             f" | before a {other} background",
             f"in front of a {value} background | against a {value} wall",
             view="background", weight=0.8)
        for value, (other, middle, width) in _HUES.items()
    ]  # fmt: skip
    return [
        *colored,
        _say("background_value", "dark", {"background_value": _below(0.3, 0.12)},
             "against a dark background | in front of a dark wall | on a black background",
             "in front of a dark background | against a dark wall", view="background",
             more="against a darker background", weight=0.4),
        _say("background_value", "bright", {"background_value": _above(0.74, 0.12)},
             "against a bright background | in front of a bright wall | on a light background",
             "in front of a bright background | against a bright wall", view="background",
             more="against a brighter background", weight=0.4),
    ]  # fmt: skip


_GARMENTS = {  # value -> train; heldout
    "t-shirt": "wears a t-shirt | wears a tee | wears a plain t-shirt | has a t-shirt;"
    " wears a plain tee | is dressed in a t-shirt",
    "shirt": "wears a shirt | wears a collared shirt | wears a shirt with a collar | has a shirt;"
    " wears a button-up shirt with a collar | is dressed in a shirt",
    "hoodie": "wears a hoodie | wears a hooded sweatshirt | wears a sweater with a hood"
    " | has a hoodie;"
    " wears a sweatshirt with a hood | is dressed in a hoodie",
    "turtleneck": "wears a turtleneck | wears a roll-neck | wears a turtleneck sweater"
    " | wears a high-necked sweater; wears a roll-neck sweater | is dressed in a turtleneck",
    "v-neck": "wears a v-neck | wears a v-neck sweater | wears a sweater with a v-neck"
    " | has a v-neck;"
    " wears a v-necked sweater | is dressed in a v-neck",
}


def _clothes() -> list[Statement]:
    strong, seen = _above(0.22, 0.08), _above(0.3, 0.1)
    garments = []
    for value, text in _GARMENTS.items():
        train, heldout = text.split(";")
        garments.append(
            _say("clothing", value, {"clothing": _is(value)}, train, heldout, view="clothes")
        )
    colored = [
        _say("cloth_hue", value,
             {"cloth_hue": Hue(middle, width), "cloth_saturation": strong, "cloth_value": seen},
             f"wears {value} clothes | wears {value} clothing | is dressed in {value}"
             f" | wears {other} clothes",
             f"is wearing {value} | wears {value}-coloured clothes", view="clothes", weight=0.7)
        for value, (other, middle, width) in _HUES.items()
    ]  # fmt: skip
    return [
        *garments,
        *colored,
        _say("cloth_value", "dark", {"cloth_value": _below(0.22, 0.12)},
             "wears dark clothes | wears black clothes | is dressed in black",
             "is wearing black | wears dark clothing", view="clothes", weight=0.3),
        _say("cloth_value", "light",
             {"cloth_value": _above(0.68, 0.12), "cloth_saturation": _below(0.15, 0.08)},
             "wears light clothes | wears white clothes | is dressed in white",
             "is wearing white | wears light clothing", view="clothes", weight=0.5),
    ]  # fmt: skip


def _picture() -> list[Statement]:
    return [
        _say("yaw", "left", {"yaw": _below(-9, 5)},
             "is facing left | is turned to the left | has the head turned left | is looking left",
             "has a head turned to the left | with the face turned left",
             more="is turned further left", weight=0.8),
        _say("yaw", "front", {"yaw": Within(-3.5, 3.5, 4)},
             "is facing the camera | is facing forward | is seen from the front",
             "has the face seen from the front | with the face to the camera", weight=0.4),
        _say("yaw", "right", {"yaw": _above(9, 5)},
             "is facing right | is turned to the right | has the head turned right"
             " | is looking right",
             "has a head turned to the right | with the face turned right",
             more="is turned further right", weight=0.8),
        _say("pitch", "down", {"pitch": _below(-4.5, 3)},
             "is facing down | has the head lowered | has a lowered head | has the head down",
             "has a head that is lowered | with the head down", weight=0.35),
        _say("pitch", "up", {"pitch": _above(4.5, 3)},
             "is facing up | has the head raised | has a raised head | has the head up",
             "has a head that is raised | with the head up", weight=0.35),
        _say("light_azimuth", "left", {"light_azimuth": _below(-25, 20)},
             "in light from the left | lit from the left | under a lamp on the left",
             "in a light that comes from the left | with light from the left", weight=0.35),
        _say("light_azimuth", "right", {"light_azimuth": _above(25, 20)},
             "in light from the right | lit from the right | under a lamp on the right",
             "in a light that comes from the right | with light from the right", weight=0.35),
        _say("light_warmth", "cold", {"light_warmth": _below(-0.5, 0.35)},
             "in cold light | in bluish light | under a cold light",
             "lit by a cold light | with cold light", more="in colder light", weight=0.3),
        _say("light_warmth", "warm", {"light_warmth": _above(0.5, 0.35)},
             "in warm light | in golden light | under a warm light",
             "lit by a warm light | with warm light", more="in warmer light", weight=0.3),
    ]  # fmt: skip


STATEMENTS: tuple[Statement, ...] = (
    *_identity(), *_shape(), *_expression(), *_hair(), *_facial_hair(), *_make_up(),
    *_accessories(), *_hat_colors(), *_eyes(), *_clothes(), *_background(), *_picture(),
)  # fmt: skip
INDEX: dict[str, int] = {statement.key: i for i, statement in enumerate(STATEMENTS)}
NEUTRAL: tuple[str, ...] = (
    "a face", "a person", "a portrait", "a portrait of a person", "a picture of a face",
    "a photo of a person", "someone", "a human face", "a person's face", "the face of a person",
)  # fmt: skip


def questions() -> dict[str, tuple[str, ...]]:
    """Return what can be asked of a face: a name and its values, of which at most one is true."""
    asked: dict[str, list[str]] = {}
    for statement in STATEMENTS:
        if not statement.general:
            asked.setdefault(statement.name, []).append(statement.value)
    return {name: tuple(values) for name, values in asked.items() if len(values) > 1}


def find(statement: Statement | str) -> Statement:
    """Return a statement by its key ("hair_color=red").

    Raises:
        ValueError: If there is none of that name; the error lists what is near.
    """
    if isinstance(statement, Statement):
        return statement
    if statement not in INDEX:
        name = statement.split("=")[0]
        near = [key for key in INDEX if key.startswith(name + "=")] or sorted(
            {s.name for s in STATEMENTS}
        )
        raise ValueError(f"unknown statement {statement!r}; choose from {', '.join(near)}")
    return STATEMENTS[INDEX[statement]]
