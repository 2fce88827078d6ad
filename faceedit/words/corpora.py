"""The corpora of CLIP-PAE: what can be said of each characteristic of a face, in short prompts.

Paper: arXiv:2210.03919; see `faceedit.losses.pae` for what is done with them. The wordings are
ours: plain words that a CLIP of any size reads, about what shows in photos of faces. PLACES, where
each of them shows, is ours, too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Corpus:
    """What can be said of one characteristic, as short prompts.

    `positive` and `negative` are the two ends of it; where there are no ends (colours), they are
    two groups that between them cover it. `neutral` says the characteristic is as it always is.
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    neutral: tuple[str, ...]

    @property
    def prompts(self) -> tuple[str, ...]:
        """All prompts that span the subspace."""
        return self.positive + self.negative


@dataclass(frozen=True)
class Place:
    """Where a characteristic shows: regions of a segmenter, and how far around them it may grow."""

    regions: tuple[str, ...]
    margin: float = 0.0  # share of the image's side


def _corpus(positive: str, negative: str, neutral: str) -> Corpus:
    """Build a corpus from lists that are separated by commas."""
    lists = (
        tuple(prompt.strip() for prompt in x.split(",")) for x in (positive, negative, neutral)
    )
    return Corpus(*lists)


CORPORA: dict[str, Corpus] = {
    "hair_color": _corpus(
        "blond hair, golden hair, red hair, ginger hair, white hair, pink hair, blue hair, "
        "green hair",
        "black hair, dark hair, dark brown hair, brown hair, grey hair, silver hair",
        "hair, a face with hair",
    ),
    "hairstyle": _corpus(
        "long hair, long straight hair, long wavy hair, curly hair, an afro, a ponytail, "
        "voluminous hair, a fringe",
        "bald, no hair, a buzz cut, short hair, a short haircut, a bob haircut, a mohawk, a quiff, "
        "hair in a bun",
        "hair, a haircut",
    ),
    "expression": _corpus(
        "a happy face, a smile, smiling, a broad smile, laughing, a cheerful face, "
        "a surprised face",
        "a sad face, a frown, frowning, an angry face, a serious face, not smiling, "
        "a fearful face, a disgusted face",
        "a neutral expression, a calm face",
    ),
    "glasses": _corpus(
        "glasses, wearing glasses, eyeglasses, spectacles, round glasses, square glasses, "
        "sunglasses, dark glasses",
        "no glasses, without glasses, bare eyes",
        "a face, eyes",
    ),
    "beard": _corpus(
        "a beard, a full beard, a thick beard, stubble, a goatee, a moustache, facial hair, "
        "bearded",
        "no beard, without a beard, clean-shaven, a shaved face, no moustache, no facial hair",
        "a face, a chin",
    ),
    "age": _corpus(
        "a young person, a young face, young, youthful, in the twenties",
        "an old person, an old face, old, elderly, wrinkles, aged, middle-aged",
        "a person, an adult",
    ),
    "makeup": _corpus(
        "make-up, heavy make-up, lipstick, red lipstick, pink lipstick, eyeshadow, eye make-up, "
        "rosy cheeks, painted lips",
        "no make-up, without make-up, no lipstick, without lipstick, natural lips, no eyeshadow",
        "a face, lips",
    ),
    "hat": _corpus(
        "a hat, wearing a hat, a cap, a baseball cap, a beanie, a knitted hat, a headband, "
        "a sun hat, a straw hat",
        "no hat, without a hat, bareheaded",
        "a head, a face",
    ),
    "eye_color": _corpus(
        "blue eyes, green eyes, grey eyes, light eyes",
        "brown eyes, hazel eyes, dark eyes",
        "eyes, a face with eyes",
    ),
    "gender": _corpus(
        "a woman, a lady, female, a woman's face, feminine",
        "a man, a gentleman, male, a man's face, masculine",
        "a person, a face",
    ),
    "skin_color": _corpus(
        "light skin, pale skin, fair skin, pale",
        "dark skin, deep brown skin, tan skin, olive skin, tanned",
        "skin, a face",
    ),
    "freckles": _corpus(
        "freckles, freckled, a freckled face, freckled skin",
        "no freckles, without freckles, clear skin",
        "skin, a face",
    ),
    "eyes": _corpus(
        "large eyes, big eyes, wide open eyes, open eyes",
        "small eyes, tiny eyes, closed eyes, eyes shut",
        "eyes, a face with eyes",
    ),
    "mouth": _corpus(
        "a large mouth, a wide mouth, full lips, thick lips, an open mouth",
        "a small mouth, a narrow mouth, thin lips, a closed mouth",
        "a mouth, lips",
    ),
    "nose": _corpus(
        "a big nose, a large nose, a wide nose, a long nose",
        "a small nose, a narrow nose, a short nose, a thin nose",
        "a nose, a face with a nose",
    ),
    "eyebrows": _corpus(
        "thick eyebrows, bushy eyebrows, heavy eyebrows, raised eyebrows, arched eyebrows",
        "thin eyebrows, fine eyebrows, knitted eyebrows, lowered eyebrows",
        "eyebrows, a face",
    ),
    "face_shape": _corpus(
        "a wide face, a broad face, chubby cheeks, full cheeks, a square jaw",
        "a narrow face, a slim face, hollow cheeks, thin cheeks, a pointed chin",
        "a face, a head",
    ),
    "earrings": _corpus(
        "earrings, wearing earrings, hoop earrings, stud earrings",
        "no earrings, without earrings, bare ears",
        "ears, a face",
    ),
    "pose": _corpus(
        "the head turned to the left, looking to the left, looking up, head up",
        "the head turned to the right, looking to the right, looking down, head down",
        "looking straight ahead, a frontal face",
    ),
    "lighting": _corpus(
        "bright light, warm light, sunlight, light from the left",
        "dim light, cold light, dark, light from the right",
        "even light, a portrait",
    ),
}
# Those that are missing here (a pose, the light, a sex) show everywhere.
PLACES: dict[str, Place] = {
    "hair_color": Place(("hair", "brows"), 0.015),
    "hairstyle": Place(("hair", "hat", "ear"), 0.08),
    "expression": Place(("skin", "nose", "lips", "mouth", "brows", "eyes", "beard")),
    "glasses": Place(("glasses", "lens", "eyes", "brows"), 0.055),
    "beard": Place(("beard", "lips"), 0.06),
    "age": Place(
        ("skin", "nose", "lips", "mouth", "brows", "eyes", "beard", "ear", "neck", "hair"), 0.01
    ),
    "makeup": Place(("eyes", "lips", "skin"), 0.01),
    "hat": Place(("hat", "hair"), 0.05),
    "eye_color": Place(("eyes",), 0.01),
    "skin_color": Place(("skin", "nose", "lips", "ear", "neck"), 0.01),
    "freckles": Place(("skin", "nose")),
    "eyes": Place(("eyes", "brows"), 0.015),
    "mouth": Place(("lips", "mouth"), 0.04),
    "nose": Place(("nose",), 0.03),
    "eyebrows": Place(("brows", "eyes"), 0.03),
    "earrings": Place(("ear", "earring"), 0.06),
}
