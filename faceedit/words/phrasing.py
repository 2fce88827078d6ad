"""What is said of a part of the face in whatever order, as captions say it.

"Grow her hair out", "the eyes blue" and "bold brows" say one thing of one part. A base that was
trained on captions knows "long hair", "blue eyes" and "thick eyebrows", and those in this order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["SAID_OF_PARTS", "as_captions_say"]

Knows = Callable[[str], bool]


@dataclass(frozen=True)
class _Part:
    """A part of the face: its words, how captions call it, and what can be said of it.

    Attributes:
        words: That name it.
        called: The caption, with a place for what is said: "{} hair".
        said: How captions say it -> words and verbs that say so, in the order of captions.
        unfit: Words that captions know and never say of it.
    """

    words: frozenset[str]
    called: str
    said: Mapping[str, frozenset[str]]
    unfit: frozenset[str] = frozenset()


def _part(words: str, called: str, said: Mapping[str, str], unfit: str = "") -> _Part:
    every = {plain: frozenset(others.split()) | {plain} for plain, others in said.items()}
    return _Part(frozenset(words.split()), called, every, frozenset(unfit.split()))


_SIZES = (
    "big bigger large larger huge small smaller tiny long longer thick thicker thin thinner wide "
    "little"
)


_PARTS: tuple[_Part, ...] = (
    _part("hair hairs hairdo hairstyle haircut locks mane tresses strands", "{} hair", {
        "very short": "buzzed clipped cropped",
        "short": "shorten crop chop cut trim shorter bobbed",
        "long": "longer grow growing grown lengthen extend extended lengthy flowing "
                "shoulder-length waist-length extensions",
        "voluminous": "thicker thicken volume fluffy fluff fuller big bigger bouncy volumise "
                      "volumize puffy teased",
        "straight": "straighten straightened sleek iron ironed",
        "wavy": "waves wave beachy tousled",
        "curly": "curl curled curls curlier perm permed frizzy kinky coily ringlets",
        "black": "raven ebony jet-black jet inky coal onyx midnight blacken",
        "brown": "brunette brunet chestnut chocolate mahogany hazelnut caramel coffee mocha walnut "
                 "cocoa mousy tawny hazel",
        "blond": "blonde golden gold honey flaxen sandy platinum straw wheat butter champagne "
                 "bleach bleached yellow blonder lighten highlights",
        "red": "ginger auburn copper titian crimson scarlet ruby cherry fiery flaming rusty "
               "maroon burgundy carrot russet redder redden",
        "grey": "gray silver silvery greying graying steel slate greyer grayer",
        "white": "snowy snow-white ivory whiten whiter",
        "blue": "navy azure turquoise cobalt cyan sapphire indigo aqua",
        "pink": "rose magenta fuchsia bubblegum salmon",
        "green": "emerald mint lime jade teal",
    }, "cropped shoulder-length"),
    _part("eye eyes iris irises eyeballs", "{} eyes", {
        "closed": "close closing shut",
        "wide open": "open opened opening",
        "big": "bigger large larger enlarge huge enormous giant doe widen",
        "small": "smaller tiny shrink beady",
        "blue": "azure sapphire cobalt turquoise icy sky-blue bluer",
        "green": "emerald jade greener",
        "brown": "hazel amber chocolate dark browner",
        "grey": "gray silver steel",
    }),
    _part("brow brows eyebrow eyebrows", "{} eyebrows", {
        "thick": "thicker thicken bushy bushier bold bolder heavy full fuller dense fat unibrow "
                 "big bigger large larger huge wide wider",
        "thin": "small smaller thinner thinned fine pluck plucked waxed skinny sparse tweeze",
        "raised": "raise lift lifted high",
        "knitted": "knit furrow furrowed lowered angry",
    }),
    _part("lip lips", "{} lips", {
        "full": "fuller thick thicker plump plumped plumper big bigger puffy pouty luscious "
                "juicy inject",
        "thin": "thinner narrow skinny",
        "red": "rosy scarlet crimson ruby cherry redden redder",
        "pink": "rose coral fuchsia pinker",
    }),
    _part("mouth", "{} mouth", {
        "an open": "open opened opening agape",
        "a closed": "closed close closing shut",
        "a wide": "wide wider big bigger large",
        "a small": "small smaller tiny narrow",
    }),
    _part("nose", "{} nose", {
        "a big": "big bigger large larger huge enormous long longer enlarge lengthen",
        "a small": "small smaller tiny short shorter petite button shrink reduce cute",
        "a wide": "wide wider broad broader widen flat",
        "a narrow": "narrow narrower thin thinner slim slimmer",
    }),
    _part("ear ears", "{} ears", {
        "big": "bigger large larger huge enlarge sticking-out floppy",
        "small": "smaller tiny",
    }),
    _part("skin complexion skintone", "{} skin", {
        "dark": "darker darken black brown ebony deep",
        "light": "lighter lighten fair fairer white whiten",
        "pale": "paler porcelain ghostly pallid pasty milky",
        "tan": "tanned tanner bronzed bronze sun-kissed sunburnt",
    }),
    _part("cheek cheeks", "{} cheeks", {
        "chubby": "chubbier plump plumper full fuller round fat puffy",
        "hollow": "sunken gaunt thin hollowed",
        "rosy": "red pink flushed blushing rosier",
    }),
    _part("jaw jawline", "{} jaw", {
        "a square": "square strong stronger chiselled chiseled broad wide manly sharp",
        "a narrow": "narrow narrower slim soft weak small",
    }),
    _part("face expression look", "a {} face", {
        "young": "younger youthful rejuvenate",
        "old": "older aged age elderly",
        "wide": "wider round rounder broad fat fatter",
        "narrow": "narrower slim slimmer thin thinner long slender",
        "happy": "happier cheerful joyful merry jolly",
        "sad": "sadder gloomy miserable tearful crying",
        "serious": "stern solemn neutral straight grave",
        "angry": "furious mad cross fierce",
        "surprised": "shocked astonished amazed startled stunned",
        "frowning": "grumpy sulky scowling",
    }),
    _part("earring earrings", "{} earrings", {
        "hoop": "hoops hooped ring round big large huge bigger larger creole creoles",
        "stud": "studs small tiny pearl diamond smaller dot",
    }, _SIZES + " round"),
    _part("headband", "{} headband", {}, _SIZES),
    _part("moustache mustache", "{} moustache", {"a thick": "bushy big full walrus handlebar long"},
          "big full long"),
    _part("spectacles glasses eyeglasses", "{} glasses", {
        "round": "circular", "square": "rectangular nerdy nerd boxy",
    }, _SIZES),
)  # fmt: skip
# Every word that says something of a part, or names one.
SAID_OF_PARTS = frozenset(
    word
    for part in _PARTS
    for group in (part.words, *part.said.values())
    for word in group
    if " " not in word
)
# Verbs that say of the part after them how it becomes.
_VERBS = (
    r"grow|lengthen|extend|shorten|crop|chop|cut|trim|curl|perm|straighten|iron|bleach|lighten|"
    r"darken|whiten|redden|thicken|fluff|close|shut|open|widen|enlarge|shrink|reduce|pluck|raise|"
    r"lift|furrow|knit|plump|tan|slim|narrow|blacken|tweeze"
)
_ALSO_HOW = r"(?!(?:open|tan|slim|narrow|plump)\b)"  # verbs that also say how a part is
_VERB_FIRST = re.compile(
    rf"^(?:(?:{_VERBS})\s+(?:(?:up|out|down)\s+)?(?:the|his|her|their|its|my|your)\s"
    rf"|{_ALSO_HOW}(?:{_VERBS})\s)"
)
_JOINT = re.compile(r"(\s*[,;.:]\s*|\s+(?:and|with|but|plus|wearing|who|that|in an?)\s+)")
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_IDLE = frozenset({
    "is", "are", "be", "should", "must", "get", "make", "made", "turn", "to", "out", "up", "down",
    "off", "all", "colour", "color", "coloured", "colored", "wide", "tone", "length", "shape",
    "size", "than", "into", "let", "go", "become", "becomes",
})  # fmt: skip


def as_captions_say(text: str, knows: Knows) -> str:
    """Return a sentence whose parts say of the face what captions say, in their order.

    What is said so already, or is not about a part with something said of it, stays as it is.

    "the eyes blue" -> "blue eyes"; "grow her hair out" -> "long hair"

    Args:
        text: A sentence in small letters.
        knows: Tells for a word whether it is known.
    """
    pieces = _JOINT.split(re.sub(r"\b(hair|eyes|lips|skin)\s*[:=-]+ (?=\w)", r"\1 ", text))
    pieces[::2] = [_said(piece, knows) for piece in pieces[::2]]
    return "".join(pieces)


def _said(piece: str, knows: Knows) -> str:
    """Return one part of a sentence; itself where nothing has to be said in another way."""
    words = _WORD.findall(piece)
    named = [part for part in _PARTS if part.words & set(words)]
    if len(named) != 1:
        return piece
    part = named[0]
    place = max(k for k, word in enumerate(words) if word in part.words)
    found = [plain for plain, others in part.said.items() if others & set(words)]
    unfit = part.unfit & set(words)
    if not found:
        kept = re.sub(rf"\b(?:{'|'.join(sorted(unfit))})\b *", "", piece) if unfit else piece
        return kept if kept.strip() else piece
    every = frozenset().union(*part.said.values())
    after = [word for word in words[place + 1 :] if word in every]
    strange = [word for word in words if not knows(word)]
    if not (after or strange or unfit or _VERB_FIRST.match(piece)):
        return piece
    rest = [word for word in strange if word not in every | part.words | _IDLE]
    return " ".join([*rest, part.called.format(" ".join(_fewer(found)))])


def _fewer(found: list[str]) -> list[str]:
    """Return what is said without what a stronger word says already."""
    if "very short" in found:
        found = [plain for plain in found if plain != "short"]
    if "wide open" in found:
        found = [plain for plain in found if plain not in ("big", "closed")]
    return found
