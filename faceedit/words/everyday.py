"""Everyday words for what a face can show, in the plain words that captions use.

A CLIP that was trained on little has never seen "auburn" or "specs". What it does not know is said
in words that it does; what it knows stays as it is. Only other names of the same thing stand here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["PHRASES", "WORDS", "in_plain_words", "words_of"]

Knows = Callable[[str], bool]  # whether a word is known to those who read it

_PART = r"(hair|eyes|lips|eyebrows|brows|skin|nose|mouth|ears|chin|jaw|cheeks|face|beard)"
_WHOSE = r"(?:the|his|her|their|its|my|your)"
_WHO = (
    r"(?:him|her|them|it|me|us|(?:the|this|that|my) "
    r"(?:person|man|woman|guy|girl|boy|lady|gentleman|kid|model|subject|face|photo|picture))"
)
# Ages in numbers: years, decades, and what captions call them.
_AGES = (
    (r"1?\d|2\d|ten|twelve|(?:six|eigh|nine)?teen|twenty(?:[ -]\w+)?", r"twenties|teens|20'?s",
     "young"),
    (r"[45]\d|(?:forty|fifty)(?:[ -]\w+)?", r"forties|fifties|[45]0'?s", "middle-aged"),
    (r"[6-9]\d|1\d\d|(?:sixty|seventy|eighty|ninety)(?:[ -]\w+)?",
     r"sixties|seventies|eighties|nineties|[6-9]0'?s", "old"),
)  # fmt: skip
_NUMBER = r"(?:\d+|ten|fifteen|twenty|thirty|forty|fifty)"
# How wishes begin and end that are said to somebody: they say nothing of a face.
_ASKED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"^(?:please|kindly|just|hey|ok|now|maybe)\b[ ,]*", ""),
        (r"^(?:can|could|would|will) (?:you|we|he|she|they)(?: please)?\b", ""),
        (r"^i(?:'d| would| really)* (?:want|like|love|need|wish)(?: to)?(?: (?:see|have|get))?\b",
         ""),
        (r"^(?:i want|i'd like|let me see|show me|show|try|what about|how about|imagine)\b", ""),
        (rf"^(?:make|turn|dye|colou?r|paint|change|get|cut|style|do|give|switch) {_WHOSE} {_PART}"
         r" (?:in(?:to)? |to be |to look |to |look |be )?(?:an? )?([a-z -]+)", r"\2 \1"),
        (rf"^(?:make|turn|let|have|get|change) {_WHO}"
         r" (?:in(?:to)? |to |be |look |wear |have |go |get |become |like )*", ""),
        (rf"^(?:give|put|add|draw|grow|get|let)(?: {_WHO})?(?: have| wear| some)*\b", ""),
        (r"^(?:make|turn|change)(?: (?:it|in)?to)?\b", ""),
        (rf" (?:on|to|for|onto) (?:{_WHO}|{_WHOSE} (?:face|head|eyes|nose|lips|ears))$", ""),
        (r"^(?:add|put on|wear)\b", ""),
        (r"\b(?:please|thanks|thank you)$", ""),
        (r" like (?:his|her|their|my|your|an?|the) .*$", ""),
        (r"(?<=\w) (?:so )?(?:hard|a lot|very much|even more|instead)$", ""),
        *((rf"\b(?:{age})(?:[ -]years?)?[ -]olds?\b|\bin {_WHOSE} (?:{decade})\b", said)
          for age, decade, said in _AGES),
        (rf"\b(?:{_NUMBER}|a few|many|some|several) (?:years|decades) older\b", "an old face"),
        (rf"\b(?:{_NUMBER}|a few|many|some|several) (?:years|decades) younger\b", "a young face"),
        (r"\bmouth (?:is )?(?:wide )?open\b|\bopen(?:ed)? mouth\b", "open mouth"),
        (r"\beyes (?:are )?(closed|shut|wide open|open)$", r"\1 eyes"),
        (r"\b(dark|light|fair|pale|tan|olive|brown|black|white)-skinned\b", r"\1 skin"),
    )
)  # fmt: skip
_STATED = re.compile(
    r"^(?:(?:he|she|it|who)'s|they're|(?:he|she|they|it|who|the (?:person|man|woman|face)) "
    r"(?:is|are|has|have|wears?|should(?: (?:be|have|wear|look|get))?|with))(?!\w)"
)
# Groups of words first: what they say together is not what each says.
PHRASES: dict[str, str] = {
    "salt and pepper": "grey", "salt-and-pepper": "grey", "strawberry blonde": "blond",
    "strawberry blond": "blond", "platinum blonde": "blond", "platinum blond": "blond",
    "dirty blonde": "blond", "dirty blond": "blond", "ash blonde": "blond",
    "silver fox": "grey hair",
    "five o'clock shadow": "stubble", "5 o'clock shadow": "stubble", "designer stubble": "stubble",
    "three-day beard": "stubble", "three day beard": "stubble", "soul patch": "a goatee",
    "van dyke": "a goatee", "handlebar moustache": "a moustache", "facial hair": "a beard",
    "man bun": "hair in a bun", "top knot": "hair in a bun", "pony tail": "a ponytail",
    "crew cut": "a buzz cut", "buzz cut": "a buzz cut", "pixie cut": "short hair",
    "shaved head": "a bald head", "no hair": "a bald head", "side part": "a short side parting",
    "bob cut": "a bob haircut", "reading glasses": "glasses", "nerd glasses": "glasses",
    "pair of glasses": "glasses", "dark glasses": "sunglasses", "sun glasses": "sunglasses",
    "eye glasses": "glasses", "baseball hat": "a baseball cap", "trucker hat": "a cap",
    "trucker cap": "a cap", "bobble hat": "a beanie", "wool hat": "a woolly hat",
    "wooly hat": "a woolly hat", "winter hat": "a woolly hat", "knit hat": "a knitted hat",
    "knit cap": "a knitted cap", "bucket hat": "a sun hat", "beach hat": "a sun hat",
    "floppy hat": "a sun hat", "alice band": "a headband", "hair band": "a headband",
    "sweat band": "a headband", "ear rings": "earrings", "hoop earrings": "hoop earrings",
    "ear studs": "stud earrings", "lip stick": "lipstick", "lip gloss": "lipstick",
    "eye shadow": "eyeshadow", "smoky eyes": "eyeshadow", "smokey eyes": "eyeshadow",
    "eye makeup": "eye make-up", "make up": "make-up", "poker face": "a serious face",
    "straight face": "a serious face", "stone-faced": "serious", "cracking up": "laughing",
    "in stitches": "laughing", "over the moon": "happy", "good mood": "happy",
    "bad mood": "sad", "wide awake": "wide open eyes", "eyes wide open": "wide open eyes",
    "mouth agape": "an open mouth", "jaw dropped": "an open mouth", "jaw-dropped": "surprised",
    "middle aged": "middle-aged", "senior citizen": "an old face", "old-timer": "an old face",
    "laugh lines": "wrinkles", "crow's feet": "wrinkles", "baby face": "a young face",
    "baby-faced": "young", "in the prime": "young", "double chin": "chubby cheeks",
    "bags of hair": "voluminous hair", "big hair": "voluminous hair", "lots of hair":
    "voluminous hair", "full head of hair": "voluminous hair", "sticking-out ears": "big ears",
    "jug ears": "big ears", "strong chin": "a broad chin", "tanned skin": "tan skin",
    "ebony skin": "dark skin", "black skin": "dark skin", "brown skin": "dark skin",
    "white skin": "light skin", "fair-skinned": "fair skin", "sun-kissed": "tan skin",
    "rosy cheeked": "rosy cheeks", "round face": "a wide face", "long face": "a narrow face",
}  # fmt: skip
WORDS: dict[str, str] = {
    # hair
    "ginger": "red", "auburn": "red", "copper": "red", "titian": "red", "redhead": "red hair",
    "redheaded": "red-haired", "red-headed": "red-haired", "gingers": "red hair",
    "blonde": "blond", "blondie": "blond hair", "fair-haired": "blond-haired", "flaxen": "blond",
    "sandy": "blond", "honey": "blond", "platinum": "blond", "towheaded": "blond-haired",
    "brunette": "brown hair", "brunet": "brown hair", "mahogany": "brown", "chocolate": "brown",
    "hazelnut": "brown", "raven": "black", "ebony": "black", "jet-black": "black", "inky": "black",
    "gray": "grey", "greyish": "grey", "silvery": "silver", "snowy": "white", "rose": "pink",
    "magenta": "pink", "teal": "green", "baldheaded": "bald", "balding": "bald",
    "bald-headed": "bald", "skinhead": "a bald head", "hairless": "bald", "buzzcut": "a buzz cut",
    "topknot": "hair in a bun", "updo": "hair in a bun", "chignon": "hair in a bun",
    "mohican": "a mohawk", "pompadour": "a quiff", "perm": "curly hair", "permed": "curly",
    "ringlets": "curls", "frizzy": "curly", "kinky": "curly", "coily": "curly", "curl": "curly",
    "waves": "wavy hair", "fringed": "with a fringe", "shoulder-length": "long",
    "lengthy": "long", "locks": "hair", "cropped": "very short", "close-cropped": "very short",
    # facial hair
    "mustache": "moustache", "mustached": "moustached", "mustachioed": "moustached",
    "tache": "moustache", "stache": "moustache", "whiskers": "a beard", "scruff": "stubble",
    "scruffy": "with stubble", "stubbly": "with stubble", "beardy": "bearded", "beards": "a beard",
    "goateed": "with a goatee", "clean-shaved": "clean-shaven",
    # worn
    "specs": "glasses", "eyewear": "glasses", "eyeglass": "glasses", "bifocals": "glasses",
    "readers": "glasses", "sunnies": "sunglasses", "aviators": "sunglasses", "wayfarers":
    "sunglasses", "ray-bans": "sunglasses", "sunglass": "sunglasses", "headgear": "a hat",
    "headwear": "a hat", "sunhat": "a sun hat", "toque": "a beanie", "hats": "a hat",
    "bandana": "a headband", "bandanna": "a headband", "sweatband": "a headband",
    "hairband": "a headband", "snapback": "a cap", "visor": "a cap", "earring": "earrings",
    "hoops": "hoop earrings", "jewelry": "earrings", "jewellery": "earrings",
    # make-up
    "makeup": "make-up", "cosmetics": "make-up", "lipgloss": "lipstick", "rouge": "rosy cheeks",
    "blusher": "rosy cheeks", "blush": "rosy cheeks", "flushed": "rosy cheeks",
    "mascara": "eye make-up", "eyeliner": "eye make-up", "freckly": "freckled",
    "freckle": "freckles",
    # expression
    "grin": "a broad smile", "grinning": "smiling broadly", "grins": "smiling broadly",
    "beaming": "smiling broadly", "smiley": "smiling", "smiles": "smiling", "smirk": "smiling",
    "smirking": "smiling", "cheery": "cheerful", "joyful": "happy", "joyous": "happy",
    "glad": "happy", "delighted": "happy", "merry": "happy", "jolly": "happy", "pleased": "happy",
    "happily": "happy", "happier": "happy", "joy": "happy", "giggling": "laughing",
    "giggle": "laughing", "laugh": "laughing", "laughs": "laughing", "laughter": "laughing",
    "chuckling": "laughing", "shocked": "surprised", "amazed": "surprised", "stunned": "surprised",
    "startled": "surprised", "astounded": "surprised", "gobsmacked": "surprised",
    "flabbergasted": "surprised", "surprise": "surprised", "gloomy": "sad", "miserable": "sad",
    "depressed": "sad", "sorrowful": "sad", "upset": "sad", "melancholy": "sad", "glum": "sad",
    "sadder": "sad", "grumpy": "frowning", "scowling": "frowning", "scowl": "a frown",
    "frowns": "frowning", "frowny": "frowning", "sulking": "frowning", "sulky": "frowning",
    "angry": "frowning", "mad": "frowning", "furious": "frowning", "cross": "frowning",
    "annoyed": "frowning", "stern": "serious", "deadpan": "serious", "solemn": "serious",
    "expressionless": "serious", "unsmiling": "not smiling", "asleep": "sleeping",
    "sleep": "sleeping", "sleepy": "sleeping", "snoozing": "sleeping", "yawning": "an open mouth",
    "gaping": "open-mouthed", "screaming": "an open mouth", "shouting": "an open mouth",
    # age and sex
    "aged": "old", "ancient": "old", "senior": "old", "geriatric": "old", "aging": "old",
    "ageing": "old", "oldie": "an old face", "pensioner": "an old face", "grandma": "an old woman",
    "grandmother": "an old woman", "granny": "an old woman", "grandpa": "an old man",
    "grandfather": "an old man", "granddad": "an old man", "wrinkly": "wrinkles",
    "wrinkled": "wrinkles", "wrinkle": "wrinkles", "youth": "young", "youngster": "a young face",
    "teen": "a young face", "teenager": "a young face", "teenage": "young", "kid": "a young face",
    "child": "a young face", "childlike": "young", "juvenile": "young", "boyish": "young",
    "girlish": "young", "boy": "a young man", "lad": "a young man", "girl": "a young woman",
    "lass": "a young woman", "guy": "a man", "bloke": "a man", "dude": "a man", "chap": "a man",
    "fellow": "a man", "men": "a man", "masculine": "male", "manly": "male", "gal": "a woman",
    "women": "a woman", "feminine": "female", "womanly": "female", "girly": "female",
    # shape and skin
    "plump": "chubby", "fat": "chubby", "fatter": "chubby", "overweight": "chubby", "tubby":
    "chubby", "podgy": "chubby", "chubbier": "chubby", "gaunt": "hollow cheeks", "skinny":
    "a thin face", "thinner": "a thin face", "slender": "a slim face", "lean": "a slim face",
    "bony": "hollow cheeks", "hollow-cheeked": "hollow cheeks", "huge": "big", "enormous": "big",
    "giant": "big", "massive": "big", "petite": "small", "wee": "small", "pouty": "full",
    "luscious": "full", "chiselled": "square", "chiseled": "square", "jawed": "jaw",
    "suntanned": "tan skin", "bronzed": "tan skin", "tan": "tan skin", "sunburnt": "tan skin",
    "pallid": "pale", "ashen": "pale", "pasty": "pale", "porcelain": "pale",
    # eyes
    "azure": "blue", "sapphire": "blue", "bluish": "blue", "greenish": "green", "jade": "green",
    "hazel": "brown", "blue-eyed": "blue eyes", "green-eyed": "green eyes", "brown-eyed":
    "brown eyes", "grey-eyed": "grey eyes", "brows": "eyebrows", "eyebrow": "eyebrows",
    "eye": "eyes", "lip": "lips", "ear": "ears", "cheek": "cheeks", "bushier": "bushy",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_NOUNS = r"(?:hair|eyes|skin|face|cheeks|lips|head|nose|ears)"


def words_of(text: str) -> list[str]:
    """Return the words of a sentence in small letters, hyphens kept: "a clean-shaven man"."""
    return _WORD.findall(text.lower())


def in_plain_words(text: str, knows: Knows) -> str:
    """Return a sentence with its unknown words said in plain ones; itself where it has none.

    "make his hair ginger" -> "red hair"; "specs" -> "glasses"

    Args:
        text: One sentence.
        knows: Tells for a word, in small letters, whether it is known.
    """
    asked = " ".join(text.lower().replace("\u2019", "'").split())
    plain = asked
    for _ in range(2):  # "please make him wear a hat" begins twice
        for pattern, said in _ASKED:
            plain = pattern.sub(said, plain).strip(" ,.!?")
    if all(_known(word, knows) for word in words_of(plain)):
        return text if plain in (asked, "") else _tidy(plain)
    plain = _STATED.sub("", plain).strip()
    for phrase in sorted(PHRASES, key=len, reverse=True):
        if any(not _known(word, knows) for word in words_of(phrase)):
            plain = re.sub(rf"\b{re.escape(phrase)}\b", PHRASES[phrase], plain)
    plain = _WORD.sub(lambda found: _plain(found[0], knows), plain)
    return _tidy(plain) or text


def _known(word: str, knows: Knows) -> bool:
    return knows(word) or ("-" in word and all(knows(part) for part in word.split("-") if part))


def _plain(word: str, knows: Knows) -> str:
    """Return a word as it is if it is known, else what says the same, else the nearest form."""
    if _known(word, knows):
        return word
    if word in WORDS:
        return WORDS[word]
    if "-" in word:
        return "-".join(_plain(part, knows) for part in word.split("-"))
    for end, other in (("s", ""), ("es", ""), ("", "s"), ("y", "ies"), ("ed", ""), ("d", "")):
        if word.endswith(end) and len(word) > 4:
            form = word[: len(word) - len(end)] + other
            if knows(form) or form in WORDS:
                return WORDS.get(form, form)
    return word


def _tidy(text: str) -> str:
    """Return a sentence without what putting words into it has doubled."""
    text = re.sub(rf"\b({_NOUNS}) \1\b", r"\1", text)
    text = re.sub(r"\b(?:an?|the|some|his|her|their) (?:big |wide )?(?=(?:an?|the) )", "", text)
    text = re.sub(r"\ba (?=(?:\w+ )?hair\b(?!\w| ?cut))", "", text)
    text = re.sub(r"\b(\w+) \1\b", r"\1", text)
    text = re.sub(
        r"\ba (?=(?:\w+ )?(?:glasses|sunglasses|earrings|wrinkles|lips|eyes)\b)", "", text
    )
    return " ".join(text.split())
