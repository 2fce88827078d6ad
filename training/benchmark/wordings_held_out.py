"""Wordings that were written before anybody looked at what the words module knows.

Each list was read once as it was written, and what failed was then mended by its kind: the first
score is the honest one. `python -m training.evaluate --words --texts-only` prints how they are read
now. Keys are those of `training.benchmark.wordings`; " & " asks for several things, "?" stands for
what a face of this world cannot show, so that a warning is right.
"""

from __future__ import annotations

__all__ = ["HELD_OUT"]

# By ten kinds of people, written 2026-11-30: 0.69 when first read.
_TEN_PEOPLE = {
    "hair_style=long straight|long wavy/hair_style=long straight/hair_style=long wavy/?": (
        "give him a sick mullet"
    ),
    "hair_color=blond": "make her blonde pls | platinum blonde | blnd hair",
    "glasses=sunglasses": "add some shades | aviators | add sunglases",
    "age+": "make me look like a grandpa | more old | add wrinkles",
    "hair_color=red": "fire engine red hair | colour of hair: red",
    "fringe+": "emo fringe | add bangs",
    "smile+": (
        "big ol smile | a cheerful face | I want that he smiles | a subtle smile | laughing out "
        "loud | smilling woman"
    ),
    "beard=goatee|full/beard=full": (
        "give this dude a beard | a gentleman with whiskers | a bushy beard | a full lumberjack "
        "beard"
    ),
    "hair_style=buzz cut|short|quiff/a buzz cut": "buzzed head | crop his hair short",
    "glasses=round|square|sunglasses/glasses=round/glasses=square": "nerd glasses",
    "glasses=none": "could you take her spectacles off please | remve glasses",
    "hat=beanie": "a nice woolly hat",
    "age-": "make him look younger | like a baby face",
    "hair_color=grey": "silver hair | greying at the temples",
    "lipstick+": "rosy red lips | bright red lippy | pink lips | plum lipstick | lipstik",
    "hair_style=curly": "give her a perm | curley hair",
    "earrings=studs|hoops": "clip-on earrings | a pirate's gold earring | hoop earrings",
    "beard=none": "he should be clean shaven | take away the beard of the man | trim the beard off",
    "hair_color=black": "dye her hair black",
    "hair_color=dark brown|brown": "chestnut brown hair",
    "hair_style=bob": "a chin length bob",
    "hair_style=long wavy": "beach waves",
    "hair_style=curly/hair_style=afro": "tight curls",
    "hair_style=long straight|long wavy/hair_style=long straight/hair_style=long wavy": (
        "grow her hair out | make hair longer"
    ),
    "hair_style=bald": "shave his head | man without hair | make daddy bald",
    "hair_style=ponytail": "put her hair up in a ponytail",
    "eye_color=blue": "she must have the eyes blue | ice blue eyes",
    "hat=beanie|headband|cap|sun hat/hat=cap/hat=beanie": "put a hat to him | a cowboy hat",
    "moustache+": "with a moustache big | a handlebar moustache | mustach",
    "mouth_open+": "the mouth open | she looks shocked",
    "eye_open-": "eyes closed like sleeping | eyes shut",
    "eyeshadow+": "smokey eyes | blue eye shadow",
    "lipstick-": "nude lips without lipstick | remove her make-up",
    "brow_thickness+": "bold brows",
    "brow_thickness-": "thin plucked eyebrows",
    "freckles+": "sun-kissed freckles | frekles",
    "smile-": "a serious expression | he is crying sad",
    "skin_tone+": "darker skin tone",
    "skin_tone-": "a pale complexion",
    "eye_open+/eye_size+": "open his eyes wide",
    "hair_color=pink/hair_color=blue/?": "give mommy purple hair",
    "hat=cap": "a baseball cap",
    "smile-/brow_raise-": "a grumpy face | a menacing scowl",
    "hair_color=green": "green hair like the joker",
    "eye_color=green": "emerald green eyes",
    "hair_style=bald & beard=goatee|full/beard=full": "a shaved head and a thick beard",
    "hair_color=black & fringe+": "jet-black hair with a fringe",
    "eye_color=brown/?": "amber eyes",
    "hair_color=pink": "neon pink hair",
    "hair_color=white & hair_style=long straight|long wavy/hair_style=long straight": (
        "elf with long white hair"
    ),
    "beard=stubble": "a five o'clock shadow | designer stubble",
    "beard=goatee": "a goatee",
    "hair_style=bald/?": "a receding hairline",
    "hair_style=buzz cut|short|quiff/a buzz cut/?": "a number one all over",
    "hair_style=mohawk": "a mohawk",
    "age+ & hair_color=grey": "old man with greyhair",
}
# Who asks for what in which form was drawn by lot: 0.57 when first read.
_DRAWN = {
    "smile-": "sad make her | no smiley face",
    "hair_style=afro/hair_style=curly & earrings=studs|hoops": "an afro and gold hoops please",
    "brow_raise-/smile-": "her brow furrowed in anger",
    "beard=goatee": "can y'all give him a little goatee",
    "glasses=round|square|sunglasses/glasses=round/glasses=square": (
        "a person which wears eyeglasses"
    ),
    "cheek_fullness+": "chipmunk cheeks and a nose stud",
    "femininity-": "he is looking like a proper gentleman",
    "eye_color=green/?": "could ye gie her green een",
    "beard=stubble/beard=goatee|full/beard=full": "hasn't shaved in days",
    "hat=beanie|headband|cap|sun hat/hat=cap/hat=beanie": (
        "a thicker headband than before | a wide-brimed hat"
    ),
    "hair_style=bun": "sleek ballerina bun",
    "eye_size+": "bgi eyes",
    "age-": "I'd like the subject to appear about twenty years younger than he does here",
    "blush+": "her cheeks are of red colour",
    "hair_color=blue": "smurf blue barnet",
    "hair_volume+": "poofy hair",
    "nose_length+/nose_width+": "make the nose a bit larger",
    "beard=goatee|full/beard=full": "a big ole beard",
    "glasses=sunglasses": "it's so sunny, she could do with some sunglasses",
    "hair_style=bald": "I would like he has no hairs on the head",
    "hair_style=ponytail": "what would i look like with a ponytail?",
    "age+": "turn me into an old lady",
    "hair_style=bob": "a wee bob",
    "skin_tone+": "dark complected",
    "femininity+": "what if he was a girl?",
    "hair_color=black": "hair as black as the night sky",
    "eye_color=brown": "can his eyes be brown?",
    "earrings=none": "this character should not have any earrings equipped in her ears",
    "skin_tone-": "plae skin",
    "eye_open-": "sleeping like an angel",
    "hair_style=long straight|long wavy/hair_style=long straight/hair_style=long wavy": (
        "realy long hair"
    ),
    "beard=none": "get that fuzz off his chin",
    "hair_color=blond": "might she be a blonde?",
    "freckles+": "kindly put many freckles all over the face",
    "hair_color=grey": "hair all grey he has",
    "hair_style=mohawk": "wish he had a mohawk",
    "mouth_open+": "is he surprised?",
    "lip_fullness+": "give bigger lips",
    "hair_style=curly": "curly as a poodle",
    "hat=beanie|headband|cap|sun hat/hat=cap/hat=beanie/?": "stick a lid on him",
    "hair_color=pink": "pnk hair",
    "hair_style=long wavy": "hair wavy on top",
    "earrings=studs|hoops": "small pearl earrings",
    "hair_color=red": "I need her to be a redhead",
    "brow_thickness+": "eyebrows really big",
    "hair_style=buzz cut|short|quiff/hair_style=bob/?": "she'd suit it shorter",
    "hat=beanie": "woollen cap",
    "glasses=none": "glasses unequipped",
    "eye_color=blue": "baby blues",
    "lipstick+": "lippie on fleek",
    "hat=cap & beard=stubble/beard=goatee|full/beard=full": "a cap and a five-day beard",
    "hat=none/?": "lose the lid",
    "hair_color=white/hair_color=blond/?": "ice queen hair",
    "fringe+": "curtain bangs",
    "smile+/?": "laughin his heid aff",
    "brow_thickness-": "eyebrows of thin form",
    "smile+": "the ghost of a smile",
    "hair_color=dark brown|brown": "brwon hair",
}
# Another lot: 0.72 when first read.
_DRAWN_AGAIN = {
    "femininity-": "make her into a guy",
    "hair_style=long wavy": "give her soft waves",
    "hair_style=buzz cut|short|quiff/a buzz cut": "hair cut very short",
    "hat=sun hat/hat=beanie|headband|cap|sun hat": "hat of straw for the sun",
    "hair_color=grey": "gery hair",
    "hat=beanie|headband|cap|sun hat/hat=cap/hat=beanie & smile+": "a hat and a big smile",
    "eye_color=brown": "deep brown eyes",
    "hair_color=green": "dye it green",
    "beard=goatee": "gaotee",
    "age-": "take ten years off him",
    "blush+": "she could use some colour in her cheeks",
    "brow_raise-/smile-": "make him look angry",
    "hat=none": "take your hat off young man",
    "glasses=square": "try on some square frames",
    "beard=none": "shvae him",
    "smile-/?": "make it look like she has just had some really bad news",
    "hair_color=dark brown|brown": "brown hair and a pointed chin",
    "moustache+": "a proper 80s tache",
    "eyeshadow+": "shimmery eyeshadow",
    "fringe+": "a fringe that covers the forehead",
    "hair_style=afro/hair_style=curly": "afor hair",
    "eye_color=green": "wish my eyes were green",
    "smile+": "dying of laughter | show me some teeth, smile!",
    "age+": "age the suspect",
    "eye_open-": "closd eyes",
    "hair_color=black": "dye my hair jet black",
    "femininity+/?": "change him to a sheila",
    "beard=goatee|full/beard=full": "a man who wears beard",
    "hair_color=pink": "pink hiar",
    "earrings=studs|hoops": "she had pretty little earrings on",
    "hat=beanie": "a grey knitted beanie",
    "smile-": "smile less",
    "hair_color=white": "hair white like the snow",
    "brow_thickness+": "he has very thick the eyebrows",
    "eye_size+": "bigger eyes",
    "lipstick+": "red lipstick",
    "mouth_open+": "shocked he looks",
    "hat=headband/hat=beanie|headband|cap|sun hat/a headband": "tie a headband round her head",
    "nose_length+/nose_width+ & glasses=round|square|sunglasses/glasses=round/glasses=square": (
        "big nose and glasses"
    ),
    "hair_style=bob": "cut her hair into a bob",
    "skin_tone-": "pael skin",
    "hair_color=blond": "natural blonde",
    "hair_style=bun": "hair pulled back in a bun",
    "hair_color=red": "flame-red hair",
    "freckles+": "cute freckles across the nose",
    "hat=cap": "put a cap on backwards",
    "glasses=none": "no glases",
    "brow_thickness-": "skinny eyebrows",
    "hair_style=bald/beard=none": "shave it all off",
    "lip_fullness+": "lips full and soft",
    "glasses=sunglasses": "wear sunglasses",
    "beard=stubble": "scruffier",
    "skin_tone+": "a person of dark skin",
    "hair_style=ponytail": "hair in a ponytail",
    "hair_color=blue": "electric blue hair",
    "eye_color=blue": "bright blue eyes",
    "cheek_fullness+": "fat cheeks",
    "hair_style=curly": "bouncy curls",
    "hair_style=long straight|long wavy/hair_style=long straight/hair_style=long wavy": (
        "let his hair grow"
    ),
}

# Name -> the score when first read, and the wordings with what they mean.
HELD_OUT: dict[str, tuple[float, dict[str, str]]] = {
    "ten people": (0.69, _TEN_PEOPLE),
    "drawn by lot": (0.57, _DRAWN),
    "another lot": (0.72, _DRAWN_AGAIN),
}
