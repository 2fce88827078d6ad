"""What people write: everyday wordings with what they mean, ways to say "not", and nonsense.

None of these decides what the words module knows; they measure it (`training.evaluate --words`).
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CAPTIONS", "DENIED", "EVERYDAY", "MEANINGLESS", "NOT", "Meant", "everyday", "listed"]

# Named edits (`faceedit.words.named_edits`), joined by "/" where either is right, and wordings.
_EVERYDAY = {
    "hair_color=red": "ginger hair | auburn hair | a redhead | make his hair red | copper-coloured "
    "hair | she has ginger hair | titian hair",
    "hair_color=blond": "blonde | blonde hair | a blonde woman | platinum blonde hair | make her "
    "hair blonde | golden locks",
    "hair_color=black": "jet-black hair | raven hair | dye the hair black | ebony hair",
    "hair_color=dark brown|brown": "brunette | a brunette | chocolate brown hair | chestnut hair",
    "hair_color=grey": "gray hair | silvery hair | salt and pepper hair | a silver fox",
    "hair_color=white": "snow-white hair | turn his hair white",
    "hair_color=pink": "hair dyed pink | make the hair pink",
    "hair_color=blue": "bright blue hair | change the hair to blue",
    "hair_color=green": "dye his hair green | bright green hair",
    "hair_style=bald": "bald-headed | a bald man | shave his head | hairless | make him bald | "
    "a shaved head",
    "hair_style=buzz cut|short|quiff": "short-haired | a short haircut for him",
    "a buzz cut": "cropped hair | a crew cut | buzzcut",
    "hair_style=bob/hair_style=long straight": "a bob | bobbed hair",
    "hair_style=long straight|long wavy/hair_style=long straight/hair_style=long wavy": (
        "long-haired | give him long hair | shoulder-length hair | hair down to the shoulders"
    ),
    "hair_style=long wavy": "wavy long hair | long hair with waves",
    "hair_style=afro/hair_style=curly": "afro hair | a big round afro",
    "hair_style=curly": "curls | curly-haired | permed hair | ringlets | make her hair curly",
    "hair_style=mohawk": "a mohican | a tall mohawk",
    "hair_style=bun": "hair tied in a bun | a man bun | a topknot",
    "hair_style=ponytail": "hair in a pony tail | hair tied in a ponytail",
    "fringe+": "fringe | with bangs | hair over the forehead",
    "hair_volume+": "big hair | full hair | lots of hair",
    "smile+": "smile | smiling | a grin | grinning | happy | a cheerful person | laugh | laughing "
    "out loud | make her smile | beaming | joyful | make him happier | a big grin",
    "smile-": "sad | a frown | unhappy | gloomy | make him look sad | scowling | a sad woman",
    "mouth_open+": "surprised | shocked | mouth open | mouth wide open | astonished | gaping",
    "eye_open-": "eyes closed | asleep | eyes shut | a sleeping face",
    "age+": "old | elderly | older | a grandma | make him older | an old man | a senior citizen | "
    "aged | wrinkly | a grandfather",
    "age-": "young | a teenager | younger | make her younger | youthful | a kid",
    "femininity+": "female | a lady | turn him into a woman | feminine",
    "femininity-": "male | a guy | a gentleman | masculine",
    "skin_tone+": "dark-skinned | a dark skin tone | ebony skin",
    "skin_tone-": "pale | fair skin | light-skinned",
    "freckles+": "freckled | freckly | a face full of freckles",
    "beard=goatee|full/beard=full": "bearded | beard | give him a beard | a bushy beard | a thick "
    "beard | grow a beard | whiskers | facial hair",
    "beard=goatee": "goatee | a chin beard | a soul patch",
    "beard=stubble": "five o'clock shadow | unshaven | stubbly | three-day beard",
    "beard=none": "clean-shaven | no facial hair | shaved | remove the beard | without a beard",
    "moustache+": "mustache | a mustache | a handlebar moustache | moustached",
    "glasses=round|square|sunglasses/glasses=round/glasses=square": "spectacles | specs | "
    "eyeglasses | wearing glasses | put glasses on him | reading glasses | a pair of glasses",
    "glasses=sunglasses": "shades | sun glasses | dark glasses | wearing shades | aviators",
    "glasses=round": "round spectacles | glasses with round frames",
    "glasses=none": "take the glasses off | remove the specs | not wearing glasses",
    "hat=beanie|headband|cap|sun hat/hat=cap/hat=beanie": "wearing a hat | put a hat on her",
    "hat=cap": "a baseball cap | cap | a trucker hat",
    "hat=beanie": "a knit cap | a woolly hat | a winter hat | bobble hat",
    "hat=none": "hatless | take off the hat | bareheaded",
    "lipstick+": "lip stick | wearing lipstick | makeup",
    "eyeshadow+": "eye shadow | smoky eyes",
    "blush+": "blushing | pink cheeks | flushed cheeks",
    "earrings=studs|hoops": "ear rings | wearing earrings | hoop earrings",
    "eye_color=blue": "blue-eyed | azure eyes | make his eyes blue",
    "eye_color=green": "green-eyed | emerald eyes",
    "eye_color=brown": "brown-eyed",
    "brow_thickness+": "bushy brows | heavy eyebrows",
    "nose_length+": "a large nose | huge nose",
    "cheek_fullness+": "chubby | plump cheeks | full cheeks",
    "lip_fullness+": "thick lips | plump lips",
    "eye_size+": "large eyes | huge eyes",
}
Meant = tuple[tuple[str, ...], ...]  # things that are asked for, each in any of some ways


def listed(table: Mapping[str, str]) -> tuple[tuple[str, Meant], ...]:
    """Return the wordings of a table, each with what it means."""
    return tuple(
        (text.strip(), tuple(tuple(keys.split("/")) for keys in meant.split(" & ")))
        for meant, texts in table.items()
        for text in texts.split(" | ")
    )


EVERYDAY = listed(_EVERYDAY)
# Captions whose nearest named edit is another one although they say this.
CAPTIONS: dict[str, tuple[str, ...]] = {
    "earrings=studs|hoops": ("hoop earrings", "stud earrings", "hoops", "earrings"),
    "earrings=none": ("no earrings",),
    "smile-": ("not smiling", "a serious expression", "a serious face"),
    "hat=headband": ("a headband",),
    "hat=beanie|headband|cap|sun hat": ("a headband",),
    "femininity+": ("a young woman",),
    "beard=full": ("a gentleman with a beard", "a man who wears beard"),
    "smile+": ("smiling woman",),
}

MEANINGLESS = (
    "xyzzyq", "rote Haare", "a golden crown", "galsses", "qwerty", "asdf jkl", "lorem ipsum",
    "a motorcycle", "the quick brown fox", "12345", "cheveux roux", "pelo rojo", "a tattoo",
    "wings", "a sword", "zzz", "fhqwhgads", "blorp", "a dinosaur", "kitchen table", "smilling",
    "sungalsses", "red hiar", "invoice", "a castle", "a helicopter", "python", "mountain lake",
    "vampire teeth", "horns",
)  # fmt: skip

# Twenty ways to say that something is not to be there; {a} is "a beard", {the} "the beard".
NOT = (
    "no {bare}", "without {a}", "remove the {bare}", "get rid of the {bare}", "lose the {bare}",
    "not wearing {a}", "isn't wearing {a}", "doesn't have {a}", "take off the {bare}",
    "take the {bare} off", "no longer wearing {a}", "a person without {a}", "with no {bare}",
    "no more {bare}", "he has no {bare}", "wearing no {bare}", "never wearing {a}",
    "the {bare} removed", "no {bare} at all", "red hair but no {bare}",
)  # fmt: skip
# What is denied: its name, with its article, and the world's statement that must not hold.
DENIED: tuple[tuple[str, str, str], ...] = (
    ("beard", "a beard", "beard=any"),
    ("facial hair", "any facial hair", "beard=any"),
    ("moustache", "a moustache", "moustache=moustache"),
    ("glasses", "glasses", "glasses=any"),
    ("sunglasses", "sunglasses", "glasses=sunglasses"),
    ("hat", "a hat", "hat=any"),
    ("smile", "a smile", "smile=smile"),
    ("earrings", "earrings", "earrings=any"),
    ("lipstick", "lipstick", "lipstick=lipstick"),
    ("freckles", "freckles", "freckles=freckles"),
    ("fringe", "a fringe", "fringe=fringe"),
    ("eyeshadow", "eyeshadow", "eyeshadow=eyeshadow"),
    ("goatee", "a goatee", "beard=goatee"),
    ("cap", "a cap", "hat=cap"),
)


def everyday() -> int:
    """Return how many everyday wordings there are."""
    return len(EVERYDAY)
