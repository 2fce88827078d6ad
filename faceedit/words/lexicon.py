"""What words mean in plain words: opposites, other names of the same thing, things one can lack."""

from __future__ import annotations

import re

__all__ = [
    "ANYONE",
    "PARTS",
    "THINGS",
    "bare",
    "opposite_of",
    "other_end_of",
    "thing_absent_in",
    "word_set",
]


def word_set(text: str) -> frozenset[str]:
    """Return the words of a list that is written as a sentence."""
    return frozenset(text.split())


ANYONE = frozenset({
    "a face", "face", "a woman", "a man", "woman", "man", "a person", "person", "someone",
    "somebody", "the man", "the woman", "the face", "him", "her", "them", "he", "she", "they",
    "guy", "lady", "gentleman", "people", "head", "portrait", "photo", "picture",
})  # fmt: skip
# Parts that every face has: alone they ask for nothing.
PARTS = frozenset({
    "hair", "eyes", "eye", "skin", "ears", "ear", "lips", "mouth", "nose", "eyebrows", "brows",
    "eyelids", "cheeks", "chin", "jaw", "upper lip", "head", "face", "forehead",
})  # fmt: skip
# Things that can be taken off or away, by which a list goes on: "remove the hat and glasses".
THINGS = frozenset({
    "hat", "cap", "beanie", "headband", "headwear", "sun hat", "glasses", "sunglasses", "shades",
    "spectacles", "eyeglasses", "specs", "beard", "moustache", "mustache", "goatee", "stubble",
    "facial hair", "earrings", "earring", "studs", "hoops", "make-up", "makeup", "lipstick",
    "eyeshadow", "freckles", "fringe", "bangs", "wrinkles", "ponytail", "bun", "mohawk", "curls",
    "smile", "frown", "jewellery", "jewelry",
})  # fmt: skip

_COLORS = r"red|ginger|auburn|copper|blonde?|golden|grey|gray|silver|white|blue|pink|green|purple"
# What is absent -> what is there instead; the first that is found in the words holds.
_OPPOSITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"\b(?:{pattern})\b"), text)
    for pattern, text in (
        (r"clean[- ]?shaven|shaved face|shaven", "a full beard"),
        (r"moustached?|mustached?", "no moustache"),
        (
            r"beard(?:ed|s)?|facial hair|goatee|stubbl(?:e|ed|y)|unshaven|whiskers|scruff|"
            r"sideburns|fuzz",
            "a clean-shaven face",
        ),
        (
            r"(?:sun|eye)?glasses|shades|spectacles?|spectacled|bespectacled|specs|eyewear|"
            r"sunnies|goggles|frames|aviators",
            "without glasses",
        ),
        (r"hats?|caps?|beanie|headband|headwear|headgear|hatted|sunhat|bonnet|bandana", "no hat"),
        (r"earrings?|studs|hoops|jewell?e?ry|piercings?", "no earrings"),
        (r"lipstick|lip gloss|painted lips", "no lipstick"),
        (r"eye ?shadow|eye make-?up|mascara|eyeliner|painted eyelids", "no eyeshadow"),
        (r"make-?up|made[- ]up|cosmetics", "no make-up"),
        (r"freckle[sd]?|freckly", "no freckles"),
        (r"fringe|bangs", "no fringe"),
        (r"(?:laugh|giggl)(?:ing|s|ter)?|grin(?:ning)?|smil(?:e|es|ing|ey)|happy|cheerful|joyful",
         "not smiling"),
        (r"unhappy|sad|frown(?:ing|s)?|gloomy|scowl(?:ing)?|grumpy|miserable", "a smiling face"),
        (r"angry|knitted", "raised eyebrows"),
        (r"surprised|astonished|shocked|amazed|raised eyebrows", "a serious face"),
        (r"serious|expression|neutral|stern", "a smiling face"),
        (r"open mouth|mouth (?:is )?open|open-mouthed", "a closed mouth"),
        (r"(?:closed|shut) mouth|mouth (?:is )?(?:closed|shut)", "an open mouth"),
        (r"(?:closed|shut) eyes|eyes (?:are )?(?:closed|shut)|sleeping|asleep", "open eyes"),
        (r"open eyes|eyes (?:are )?open|awake", "closed eyes"),
        (r"bald(?:-headed)?|shaved head", "short hair"),
        (rf"(?:{_COLORS})(?:[- ](?:coloured|haired))?(?: hair)?$(?<!eyes)|redhead", "brown hair"),
        (r"(?:dark|deep|light)? ?brown hair|brown|brunette|black hair|dark hair", "blond hair"),
        (r"black", "blond hair"),
        (r"(?:blue|green|grey|gray|hazel|light|amber)[- ]eye[sd]", "brown eyes"),
        (r"(?:brown|dark)[- ]eye[sd]", "blue eyes"),
        (r"curly|curls|wavy|waves|afro|frizzy", "straight hair"),
        (r"straight", "curly hair"),
        (r"long(?:[- ]hair(?:ed)?)?$|long hair|voluminous|ponytail|bun", "short hair"),
        (r"short(?:[- ]hair(?:ed)?)?$|short hair|buzz cut|cropped|quiff|mohawk|bob", "long hair"),
        (r"wrinkles?|wrinkled|old(?:er)?|elderly|aged|senior|middle-aged", "a young face"),
        (r"young(?:er)?|youthful|childish", "an old face"),
        (r"big nose|long nose|large nose", "a small nose"),
        (r"small nose|short nose", "a big nose"),
        (r"wide nose|broad nose", "a narrow nose"),
        (r"narrow nose|thin nose", "a wide nose"),
        (r"(?:big|large) eyes|big-eyed", "small eyes"),
        (r"(?:small|tiny) eyes", "big eyes"),
        (r"(?:big|large) ears", "small ears"),
        (r"(?:thick|bushy|heavy) (?:eye)?brows", "thin eyebrows"),
        (r"(?:thin|fine) (?:eye)?brows", "thick eyebrows"),
        (r"(?:full|thick|plump|big) lips", "thin lips"),
        (r"thin lips", "full lips"),
        (r"chubby|plump|fat|full cheeks|round cheeks", "hollow cheeks"),
        (r"hollow cheeks|thin|slim|skinny", "chubby cheeks"),
        (r"wide face|broad face", "a narrow face"),
        (r"narrow face", "a wide face"),
        (r"square jaw|strong jaw", "a narrow jaw"),
        (r"pale|light skin|fair skin|fair", "tan skin"),
        (r"dark skin|dark-skinned|tan(?:ned)?|olive skin", "light skin"),
        (r"m[ae]n|male|masculine|gentleman", "a woman"),
        (r"wom[ae]n|female|feminine|lady", "a man"),
        (r"rosy|blush(?:ing)?|rouge", "pale cheeks"),
        (r"hair(?:ed|y)?", "a bald head"),
    )
)  # fmt: skip


def opposite_of(what: str) -> str:
    """Return what a face shows that is without something: "a beard" -> "a clean-shaven face".

    What has no known opposite is said as "without ...".
    """
    words = what.lower()
    for pattern, text in _OPPOSITES:
        if pattern.search(words):
            return text
    return f"without {what}"


# What is said to be absent, and the thing itself: for methods that can take it back.
_ABSENT = {
    "a clean-shaven face": "a beard",
    "clean-shaven": "a beard",
    "no moustache": "a moustache",
    "without glasses": "glasses",
    "no glasses": "glasses",
    "no hat": "a hat",
    "without a hat": "a hat",
    "no earrings": "earrings",
    "no lipstick": "lipstick",
    "no eyeshadow": "eyeshadow",
    "no make-up": "make-up",
    "no freckles": "freckles",
    "no fringe": "a fringe",
    "not smiling": "a smile",
}


def thing_absent_in(part: str) -> str | None:
    """Return what a part of a sentence says is not there: "no hat" -> "a hat"; None if nothing."""
    return _ABSENT.get(part.lower())


# What a face without something shows, in words that deny nothing: for a CLIP that hears the thing
# in its denial and has read more than captions.
_BARE = {
    "no moustache": "a clean-shaven upper lip",
    "without glasses": "bare eyes",
    "no hat": "a bare head",
    "no earrings": "bare ears",
    "no lipstick": "natural lips",
    "no eyeshadow": "natural eyelids",
    "no make-up": "a natural face",
    "no freckles": "clear skin",
    "no fringe": "a bare forehead",
    "not smiling": "a serious face",
}


def bare(opposite: str) -> str:
    """Return what `opposite_of` says without "no" in it: "no hat" -> "a bare head"."""
    return _BARE.get(opposite, opposite)


# Ends of a scale: a strength below 0 goes to the other one, and not only back to the middle.
_ENDS = frozenset({
    "a young face", "an old face", "a small nose", "a big nose", "a narrow nose", "a wide nose",
    "small eyes", "big eyes", "small ears", "thin eyebrows", "thick eyebrows", "thin lips",
    "full lips", "hollow cheeks", "chubby cheeks", "a narrow face", "a wide face", "a narrow jaw",
    "tan skin", "light skin", "short hair", "long hair", "a closed mouth", "an open mouth",
    "open eyes", "closed eyes",
})  # fmt: skip


def other_end_of(wish: str) -> str | None:
    """Return the other end of what a wish is about: "an old person" -> "a young face".

    None for what has no other end, like glasses or a colour.
    """
    opposite = opposite_of(wish)
    return opposite if opposite in _ENDS else None
