"""Everyday words for what a face can show, in the plain words that captions use.

A CLIP that was trained on little has never seen "auburn" or "specs". What it does not know is said
in words that it does; what it knows stays as it is. Only other names of the same thing stand here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from faceedit.words.lexicon import word_set
from faceedit.words.phrasing import as_captions_say

__all__ = ["PHRASES", "WORDS", "in_plain_words", "words_of"]

Knows = Callable[[str], bool]  # whether a word is known to those who read it

_PART = r"(hair|eyes|lips|eyebrows|brows|skin|nose|mouth|ears|chin|jaw|cheeks|face|beard)"
_WHOSE = r"(?:the|his|her|their|its|my|your)"
_SOMEBODY = (
    r"(?:person|man|woman|guy|girl|boy|lady|gentleman|kid|model|subject|face|photo|picture|dude|"
    r"bloke|chap|fella|fellow|lad|lass|baby|child|dad|daddy|mum|mom|mommy|mummy|friend|character|"
    r"one|portrait)"
)
_WHO = rf"(?:him|her|them|it|me|us|daddy|mommy|mummy|(?:the|this|that|my|our) (?:\w+ )?{_SOMEBODY})"
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
        (r"^(?:i|it|perhaps|maybe)\b.*?\b(?:looks? (?:like )?(?:as|with|in)|(?:with|has) the"
         r"|imagine \w+ (?:with|as)"
         r"|(?:that|if) (?:he|she|they) (?:has|had|have|is|was|were|wears?)) (?=\w)", ""),
        (rf"^{_WHOSE} {_PART}, (?:make|turn|dye|colou?r) (?:it|them) (\w+)$", r"\2 \1"),
        (r"^(?:he|she|they)? ?(?:looks?|is) (?:about|around|nearly|over)? ?"
         r"(?:sixty|seventy|eighty|ninety|[6-9]\d)$", "an old face"),
        (r"^(?:some )?(?:kind|sort) of (?=\w)", ""),
        (r"^(?:what|how) (?:if|about|would|might|will|does|do)\b"
         r"(?: (?:i|he|she|they|it|we|you|this|that|the \w+))?"
         r"(?: (?:look|be|been|was|were|had|have|"
         r"wore|looked|seem|wear|is))*(?: like)?\b(?: if)?", ""),
        (r"^(?:he|she|they|you|i|we)?(?:'d|'ll| could| would| should| might| can)*"
         r" ?\b(?:do with|suit|benefit from|looks? (?:good|better|great|nice|best) (?:with|in|as)|"
         r"needs?(?: to (?:be|have|wear|look))?|would look)\b", ""),
        (r"^(?:can|could|may|might|should|shall|is|are|was|will|does|do|did)"
         rf" (?:he|she|they|it|{_WHOSE} (?={_PART}))\b(?: (?:be|have|wear|look|get|become))?", ""),
        (r"^(?:it's|it is|because|since|as) [^,]*, *", ""),
        (r"^(?:the |an? )?(?:ghost|hint|suggestion|trace|shadow|flash|dash|splash|pop|touch|bit|"
         r"pair|set|loads|tons|plenty|smattering|sprinkling|dusting|head) of (?:an? )?(?=\w)", ""),
        (rf"^tak(?:e|es|ing) (?:{_NUMBER}|a few|many|some|several) (?:years|decades) off\b.*",
         "a young face"),
        (rf"^(?:put|add)s? (?:{_NUMBER}|a few|many|some|several) (?:years|decades) (?:on|to)\b.*",
         "an old face"),
        (rf"^age (?:{_WHO}|the \w+|{_WHOSE} \w+)$", "an old face"),
        (rf"^rejuvenate (?:{_WHO}|the \w+|{_WHOSE} \w+)$", "a young face"),
        (r" (?:he|she|they) (?:looks?|is|has|are|seems?|have|wears?|wore)$", ""),
        (rf"(?<!hair) (?:a?round|on|over|across|upon) {_WHOSE} (?:head|face|neck|forehead|eyes)$",
         ""),
        (r"\bhair (?:\w+ )*(?:in|into) an? (ponytail|bob|mohawk|afro|quiff)\b", r"a \1"),
        (r"\bhair (?:\w+ )+(?:in|into) an? bun\b", "hair in a bun"),
        (r"^(?:the |an? )?(?:[\w-]+ )?waves$", "long wavy hair"),
        (r"\bsun glasses\b", "sunglasses"),
        (r"^(?:it |that |the hair )?(shorter|longer)$", r"\1 hair"),
        (r" than (?:before|now|it is|they are|he|she|usual|normal|this|that|in)\b.*$", ""),
        (r"\bas (\w+) as .*$", r"\1"),
        (r"(?<=\w) as an? \w+$", ""),
        (r"\b(?:a )?(?:tiny bit|little bit|bit|touch|tad|whole lot|lot) (?=\w+(?:er|ier)\b|more\b)",
         ""),
        (r"\b(?:really|super|extra|way|so|quite|rather|pretty|totally|proper|kinda|somewhat)"
         r" (?=(?!much|many)\w)", ""),
        (r"^(?:i want|i'd like|let me see|show me|show|try|what about|how about|imagine)\b", ""),
        (rf"^(?:make|turn|dye|colou?r|paint|change|get|cut|style|do|give|switch) {_WHOSE} {_PART}"
         r" (?:in(?:to)? |to be |to look |to |look |be )?(?:an? )?([a-z -]+)", r"\2 \1"),
        (rf"^(?:make|turn|let|have|get|change) {_WHO}"
         r" (?:in(?:to)? |to |be |look |wear |have |go |get |become |like )*", ""),
        (rf"^(?:give|put|add|draw|get|let|stick|slap|pop|throw)(?: (?:on|in))?(?: {_WHO})?"
         r"(?: have| wear| some)*\b", ""),
        (rf"^(?:grow|try)(?: {_WHO})? (?=an?\b|some\b)", ""),
        (r"^(?:make|turn|change)(?: (?:it|in)?to)?(?![\w-])", ""),
        (rf" (?:on|to|for|onto) (?:{_WHO}|{_WHOSE} (?:face|head|eyes|nose|lips|ears))$", ""),
        (r"^(?:add|put on|wear)\b", ""),
        (r"\b(?:please|pls|plz|thanks|thx|thank you|lol|haha|ok)$", ""),
        (r" like (?:his|her|their|my|your|an?|the|you|i|he|she|they|in|on)\b.*$", ""),
        (r"(?<=\w) (?:so )?(?:hard|a lot|very much|even more|instead|all over|everywhere)$", ""),
        (r"\b(?:going )?(?:greying|graying|gr[ae]y)(?! (?:hair|eyes))(?=$| at )", "grey hair"),
        *((rf"\b(?:{age})(?:[ -]years?)?[ -]olds?\b|\bin {_WHOSE} (?:{decade})\b", said)
          for age, decade, said in _AGES),
        (rf"\b(?:{_NUMBER}|a few|many|some|several) (?:years|decades) older\b", "an old face"),
        (rf"\b(?:{_NUMBER}|a few|many|some|several) (?:years|decades) younger\b", "a young face"),
        (r"\bmouth (?:is )?(?:wide )?open\b|\bopen(?:ed)? mouth\b", "open mouth"),
        (r"\beyes (?:are )?(closed|shut|wide open|open)$", r"\1 eyes"),
        (r"\b(dark|light|fair|pale|tan|olive|brown|black|white)-skinned\b", r"\1 skin"),
    )
)  # fmt: skip
# Unknown words that say nothing of how a face looks.
_IDLE = word_set(
    "pls plz ol ole must gotta gonna wanna should would could super totally kinda sorta nice "
    "lovely beautiful cute cool sick awesome gorgeous sexy handsome stylish trendy fancy "
    "classy elegant fashionable stunning amazing great perfect proper real realistic "
    "natural-looking actual bit touch hint tad rather quite pair set kind type sort style "
    "styled while wants needs appear appears appearing please simply also there visible what "
    "if when then than because which whose do does did am been being may might shall will i'd "
    "i'll i'm it's that's let's how why where soft silky shiny smooth healthy had here just "
    "even still about such whole entire equipped"
)
_STATED = re.compile(
    r"^(?:(?:he|she|it|who)'s|they're|(?:he|she|they|it|who|the (?:person|man|woman|face)) "
    r"(?:is|are|has|have|wears?|should(?: (?:be|have|wear|look|get))?|with))(?!\w)"
)
# Groups of words first: what they say together is not what each says.
PHRASES: dict[str, str] = {
    "woollen cap": "a woolly hat", "woolen cap": "a woolly hat", "wool cap": "a woolly hat",
    "woollen hat": "a woolly hat", "woolen hat": "a woolly hat", "baby blues": "blue eyes",
    "chipmunk cheeks": "chubby cheeks", "peach fuzz": "stubble",
    "beach waves": "wavy hair", "beachy waves": "wavy hair", "buzzed head": "a buzz cut",
    "number one": "a buzz cut", "number two": "a buzz cut", "close crop": "a buzz cut",
    "skin tone": "skin", "skin colour": "skin",
    "skin color": "skin", "hair colour": "hair", "hair color": "hair", "eye colour": "eyes",
    "eye color": "eyes", "doe eyes": "big eyes", "resting face": "a serious face",
    "pigtails": "a ponytail", "high ponytail": "a ponytail", "space buns": "hair in a bun",
    "messy bun": "hair in a bun", "undercut": "short hair", "bowl cut": "a bob haircut",
    "page boy": "a bob haircut", "skin fade": "a buzz cut", "high and tight": "a buzz cut",
    "short back and sides": "short hair", "comb over": "short hair", "mutton chops": "a full beard",
    "john lennon glasses": "round glasses", "harry potter glasses": "round glasses",
    "granny glasses": "round glasses", "blood red lips": "red lipstick",
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
    "barnet": "hair", "poofy": "voluminous", "puffy": "voluminous", "fluffy": "voluminous",
    "bouncy": "voluminous", "sleek": "straight",
    "buzzed": "very short", "mullet": "long hair", "dreads": "long curly hair",
    "dreadlocks": "long curly hair", "braids": "long hair", "braid": "long hair",
    "cornrows": "a buzz cut", "pixie": "very short", "undercut": "short hair",
    "extensions": "long hair", "bouffant": "voluminous hair", "mop": "voluminous hair",
    "shaggy": "long wavy hair", "tousled": "wavy", "spiky": "a quiff", "slicked": "short",
    "fro": "an afro", "baldy": "a bald head", "slaphead": "a bald head", "cueball": "a bald head",
    "bleached": "blond", "greyed": "grey", "peroxide": "blond",
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
    "goateed": "with a goatee", "clean-shaved": "clean-shaven", "sideburns": "a full beard",
    "stubbled": "with stubble", "unshaved": "unshaven", "fuzz": "a beard",
    "fuzzy": "with stubble", "tash": "moustache",
    "mo": "moustache", "handlebar": "moustache", "vandyke": "a goatee",
    # worn
    "specs": "glasses", "eyewear": "glasses", "eyeglass": "glasses", "bifocals": "glasses",
    "readers": "glasses", "sunnies": "sunglasses", "aviators": "sunglasses", "wayfarers":
    "sunglasses", "ray-bans": "sunglasses", "sunglass": "sunglasses", "headgear": "a hat",
    "headwear": "a hat", "sunhat": "a sun hat", "toque": "a beanie", "hats": "a hat",
    "bandana": "a headband", "bandanna": "a headband", "sweatband": "a headband",
    "hairband": "a headband", "snapback": "a cap", "visor": "a cap", "earring": "earrings",
    "monocle": "round glasses", "goggles": "glasses", "stetson": "a sun hat", "fedora": "a sun hat",
    "panama": "a sun hat", "bonnet": "a beanie", "tuque": "a beanie", "flatcap": "a cap",
    "hoops": "hoop earrings", "jewelry": "earrings", "jewellery": "earrings",
    # make-up
    "makeup": "make-up", "cosmetics": "make-up", "lipgloss": "lipstick", "rouge": "rosy cheeks",
    "blusher": "rosy cheeks", "blush": "rosy cheeks", "flushed": "rosy cheeks",
    "nude": "natural", "lippy": "lipstick", "complected": "skin", "complexioned": "skin",
    "lippie": "lipstick", "lipsticked": "lipstick",
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
    "grandfather": "an old man", "granddad": "an old man", "grandad": "an old man",
    "gramps": "an old man", "nan": "an old woman", "nana": "an old woman", "elder": "old",
    "hag": "an old woman", "oap": "an old face", "toddler": "a young face", "infant": "a young "
    "face", "baby": "a young face", "teenaged": "young", "adolescent": "young", "dame": "a woman",
    "fella": "a man", "feller": "a man", "wrinkly": "wrinkles",
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
    "complexion": "skin", "pallid": "pale", "ashen": "pale", "pasty": "pale", "porcelain": "pale",
    # eyes
    "azure": "blue", "sapphire": "blue", "bluish": "blue", "greenish": "green", "jade": "green",
    "hazel": "brown", "blue-eyed": "blue eyes", "green-eyed": "green eyes", "brown-eyed":
    "brown eyes", "grey-eyed": "grey eyes", "brows": "eyebrows", "eyebrow": "eyebrows",
    "eye": "eyes", "lip": "lips", "ear": "ears", "cheek": "cheeks", "bushier": "bushy",
    # further everyday words
    "crying": "sad", "weeping": "sad", "tearful": "sad", "teary": "sad", "sadness": "sad",
    "sorrow": "sad", "grief": "sad", "heartbroken": "sad", "mournful": "sad", "downcast": "sad",
    "horrified": "surprised", "scared": "surprised", "afraid": "surprised",
    "frightened": "surprised", "terrified": "surprised", "bewildered": "surprised",
    "shock": "surprised", "astonishment": "surprised", "dumbfounded": "surprised",
    "cackling": "laughing", "glee": "laughing", "gleeful": "laughing", "ecstatic": "laughing",
    "hysterical": "laughing", "chuckle": "laughing", "happiness": "happy", "delight": "happy",
    "cheer": "happy", "joyfully": "happy", "content": "happy", "thrilled": "happy",
    "elated": "happy", "smug": "smiling", "amusement": "smiling", "amused": "smiling",
    "pouting": "frowning", "menacing": "frowning", "evil": "frowning", "fierce": "frowning",
    "moody": "frowning", "pout": "frowning", "broody": "frowning", "anger": "an angry face",
    "rage": "an angry face", "bored": "serious", "stoic": "serious", "napping": "sleeping",
    "dozing": "sleeping", "snooze": "sleeping", "woollen": "woolly", "woolen": "woolly",
    "wool": "woolly",
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
    said = as_captions_say(plain, lambda word: _known(word, knows))
    if all(_known(word, knows) for word in words_of(said)):
        return text if said in (asked, "") else _tidy(said)
    plain = _STATED.sub("", plain).strip()
    for phrase in sorted(PHRASES, key=len, reverse=True):
        if any(not _known(word, knows) for word in words_of(phrase)):
            plain = re.sub(rf"\b{re.escape(phrase)}\b", PHRASES[phrase], plain)
    plain = " ".join(_WORD.sub(lambda found: _plain(found[0], knows), plain).split())
    plain = as_captions_say(plain, lambda word: _known(word, knows))
    return _tidy(plain) or text


def _known(word: str, knows: Knows) -> bool:
    return knows(word) or ("-" in word and all(knows(part) for part in word.split("-") if part))


def _plain(word: str, knows: Knows) -> str:
    """Return a word as it is if it is known, else what says the same, else the nearest form."""
    if _known(word, knows):
        return word
    if word in _IDLE:
        return ""
    if word in WORDS:
        return WORDS[word]
    if "-" in word:  # "flame-red"
        parts = [_plain(part, knows) for part in word.split("-")]
        return "-".join([part for part in parts if _known(part, knows)] or parts)
    for end, other in (("s", ""), ("es", ""), ("", "s"), ("ies", "y"), ("ed", ""), ("d", ""),
                       ("ier", "y"), ("iest", "y"), ("er", ""), ("est", ""),
                       ("ish", ""), ("ing", "")):  # fmt: skip
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
