"""What a sentence wants and what it denies, everyday words, and words that mean nothing."""

import json
import re
from pathlib import Path

import pytest
import torch

from faceedit.words.everyday import in_plain_words, words_of
from faceedit.words.polarity import Wish, denies, read_wishes, without_negations
from faceedit.words.sentence import plain, read, turned_round, wish_sequence
from faceedit.words.spelling import mended, mended_word
from faceedit.words.strangers import strangers, without
from faceedit.words.understanding import nearest_statement, understand
from faceedit.words.vocabulary import SHORT, spoken
from faceedit.words.wishes import wishes
from training.benchmark.wordings import DENIED, EVERYDAY, MEANINGLESS, NOT, listed
from training.benchmark.wordings_held_out import HELD_OUT

TOKENIZER = Path("hub_cards/portraits-128/clip/tokenizer.json")
OPPOSITES = {
    "beard": "a clean-shaven face",
    "facial hair": "a clean-shaven face",
    "moustache": "no moustache",
    "glasses": "without glasses",
    "sunglasses": "without glasses",
    "hat": "no hat",
    "smile": "not smiling",
    "earrings": "no earrings",
    "lipstick": "no lipstick",
    "freckles": "no freckles",
    "fringe": "no fringe",
    "eyeshadow": "no eyeshadow",
    "goatee": "a clean-shaven face",
    "cap": "no hat",
}


@pytest.fixture(scope="module")
def knows():
    """Whether the base's own tokenizer has a word whole."""
    vocabulary = json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]["vocab"]

    def part_is_known(part: str) -> bool:
        return part in spoken() or (len(part) > SHORT and f"{part}</w>" in vocabulary)

    return lambda word: all(part_is_known(part) for part in re.split(r"['-]", word) if part)


@pytest.mark.parametrize("way", NOT)
@pytest.mark.parametrize(("bare", "named"), [(bare, named) for bare, named, _ in DENIED])
def test_every_way_to_say_not_asks_for_the_opposite(way, bare, named):
    said = without_negations(way.format(bare=bare, a=named))
    assert OPPOSITES[bare] in said.split(", ")
    assert said.replace("red hair, ", "") == OPPOSITES[bare]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("not bearded", "a clean-shaven face"),
        ("beardless", "a clean-shaven face"),
        ("shave his beard off", "a clean-shaven face"),
        ("make-up free", "no make-up"),
        ("unsmiling", "not smiling"),
        ("he isn't smiling", "not smiling"),
        ("stop smiling", "not smiling"),
        ("no hair", "a bald head"),
        ("he isn't bald", "short hair"),
        ("hair that is not red", "brown hair"),
        ("not old", "a young face"),
        ("not clean-shaven", "a full beard"),
        ("neither glasses nor a hat", "without glasses, no hat"),
        ("no hat, beard or glasses", "no hat, a clean-shaven face, without glasses"),
        ("get rid of her glasses and hat", "without glasses, no hat"),
        ("remove the hat and add red hair", "no hat, red hair"),
        ("no beard and red hair", "a clean-shaven face, red hair"),
        ("red hair, not smiling", "red hair, not smiling"),
        ("a woman without a hat", "no hat"),
        ("without a fringe, with glasses", "no fringe, glasses"),
        # twice denied is wanted
        ("not without glasses", "glasses"),
        ("don't remove the glasses", "glasses"),
        ("not beardless", "beard"),
        ("not only a hat but also glasses", "a hat and glasses"),
        ("smile less", "not smiling"),
        ("trim the beard off", "a clean-shaven face"),
        ("this character should not have any earrings", "no earrings"),
        ("he hasn't shaved in days", "stubble"),
        ("take ten years off him", "a young face"),
    ],
)
def test_negations_are_read_once_for_all_methods(prompt, said):
    assert without_negations(prompt) == said


@pytest.mark.parametrize(
    "prompt",
    ["red hair", "a woman with glasses", "Clean-shaven", "a nose ring", "unhappy",
     "an unshaven man", "a cap on the head", "note the nose", "a knotted scarf", "a hat on"],
)  # fmt: skip
def test_a_sentence_that_denies_nothing_stays_as_it_is(prompt):
    assert not denies(prompt)
    assert without_negations(prompt) == prompt


def test_wishes_say_what_is_wanted_and_what_is_not():
    assert read_wishes("a man with red hair, not smiling and without a hat or glasses") == [
        Wish("red hair"),
        Wish("smiling", present=False),
        Wish("hat", present=False),
        Wish("glasses", present=False),
    ]


def test_the_sentence_that_methods_get_denies_nothing(backbones):
    sentence = read("red hair but no beard", "a face", backbones.clip)
    assert sentence.prompt == ("red hair, a clean-shaven face",)
    opposite = read("red hair, a clean-shaven face", "a face", backbones.clip)
    assert sentence.target.equal(opposite.target)
    assert plain("red hair", backbones.clip) == "red hair"


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("auburn hair", "red hair"),
        ("make his hair ginger", "ginger hair"),
        ("a redhead", "red hair"),
        ("specs", "glasses"),
        ("put glasses on him", "glasses"),
        ("please make her smile", "smile"),
        ("give him a beard", "a beard"),
        ("salt and pepper hair", "grey hair"),
        ("a crew cut", "a buzz cut"),
        ("five o'clock shadow", "stubble"),
        ("grinning", "smiling broadly"),
        ("turn him into a woman", "a woman"),
        ("dark-skinned", "dark skin"),
        ("mouth wide open", "open mouth"),
        ("spectacles", "spectacles"),
        ("an 80-year-old woman", "an old woman"),
        ("look ten years younger", "look a young face"),
        ("he is in his 50s", "he is middle-aged"),
        ("bushy eyebrows like his dad", "bushy eyebrows"),
        ("make him go bald", "bald"),
        ("this person has copper hair", "red hair"),
        ("it would be nice if she had curly hair", "curly hair"),
        ("her eyes, make them green", "green eyes"),
        ("she looks about seventy", "an old face"),
        ("what if he wore a hat?", "a hat"),
    ],
)
def test_unknown_names_are_said_in_plain_words(prompt, said, knows):
    assert in_plain_words(prompt, knows) == said


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("she must have the eyes blue", "blue eyes"),
        ("grow her hair out", "long hair"),
        ("close his eyes", "closed eyes"),
        ("bleach her hair", "blond hair"),
        ("colour of hair: red", "red hair"),
        ("eyebrows really big", "thick eyebrows"),
        ("small pearl earrings", "stud earrings"),
        ("a pale complexion", "pale skin"),
        ("her brow furrowed and her cheeks flushed", "knitted eyebrows and rosy cheeks"),
        # said as captions say it
        ("open eyes", "open eyes"),
        ("tan skin", "tan skin"),
        ("long wavy red hair", "long wavy red hair"),
        ("a beard", "a beard"),
    ],
)
def test_what_is_said_of_a_part_is_put_as_captions_put_it(prompt, said, knows):
    assert in_plain_words(prompt, knows) == said


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("galsses", "glasses"), ("smilling", "smiling"), ("blnd", "blond"), ("frekles", "freckles"),
        ("hiar", "hair"), ("remve", "remove"), ("greyhair", "grey hair"), ("haire", "hair"),
        # words that may be meant as they stand
        ("shirt", None), ("bread", None), ("crown", None), ("hate", None),
        ("qwerty", None), ("chain", None),
        # of several forms of a word the nearest in length, of those the shortest
        ("mustach", "mustache"), ("moustche", "moustache"), ("lipstik", "lipstick"),
        ("beanei", "beanie"), ("curlly", "curly"), ("hta", "hat"), ("hatt", None), ("bren", None),
    ],
)  # fmt: skip
def test_only_what_is_plainly_a_slip_is_mended(word, meant):
    assert mended_word(word) == meant


def test_a_slip_is_mended_and_said(backbones):
    found = understand("no galsses and red hiar", backbones.clip)
    assert found.understood and found.plain == "without glasses, red hair"
    assert found.remarks == ("'galsses' is read as 'glasses'", "'hiar' is read as 'hair'")


def test_nine_of_ten_wordings_of_strangers_have_known_words_only(knows):
    texts = [text for _, table in HELD_OUT.values() for text, _ in listed(table)]
    assert len(texts) >= 200
    unknown = []
    for text in texts:
        said = in_plain_words(without_negations(mended(text, knows)[0]), knows)
        left = without(strangers(said, knows), said)
        if not all(knows(word) for word in words_of(left)):
            unknown.append(text)
    assert len(unknown) <= 0.05 * len(texts), unknown


def test_nine_of_ten_everyday_wordings_have_known_words_only(knows):
    unknown = [
        text
        for text, _ in EVERYDAY
        if not all(knows(w) for w in words_of(in_plain_words(without_negations(text), knows)))
    ]
    assert len(EVERYDAY) >= 150
    assert len(unknown) <= 0.05 * len(EVERYDAY), unknown


def test_meaningless_words_are_not_known(knows):
    assert len(MEANINGLESS) >= 30
    for text in MEANINGLESS:
        words = words_of(in_plain_words(text, knows))
        assert not words or not all(knows(word) for word in words), text


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("xyzzyq", "'xyzzyq' means nothing"),
        ("rote Haare", "'rote', 'haare' mean nothing"),
        ("glassesss", "did you mean: glasses?"),
        ("red hairyy", "did you mean: red hair?"),
        ("no glassesss", "did you mean: without glasses?"),
        ("12345 a", "means nothing"),
        ("a person", "asks for nothing"),
    ],
)
def test_what_is_not_understood_is_said_with_a_suggestion(prompt, words, backbones):
    found = understand(prompt, backbones.clip)
    assert not found.understood
    assert words in str(found.warning)


def test_what_is_understood_is_not_warned_of(backbones):
    for prompt in ("red hair", "no beard", "specs"):
        found = understand(prompt, backbones.clip)
        assert found.understood and found.warning is None
    assert found.plain == "glasses"


def test_unknown_words_that_describe_a_known_thing_are_left_out_and_said(backbones):
    for prompt, plainly, left in (
        ("a punk mohawk", "a mohawk", ("punk",)),
        ("no steampunk goggles and red hair", "without glasses, red hair", ()),
        ("Hermione Granger glasses", "glasses", ("hermione", "granger")),
        ("zorgly red hair and qwerty", "red hair and qwerty", ("zorgly",)),
        ("lots of wrinkles", "lots of wrinkles", ()),
        ("zorgly hair", "zorgly hair", ()),  # nothing would be left
        ("curlily red hair", "curlily red hair", ()),  # a known word misspelt
    ):
        found = understand(prompt, backbones.clip)
        assert (found.plain, found.left_out) == (plainly, left)
        assert plain(prompt, backbones.clip) == plainly
    assert understand("a punk mohawk", backbones.clip).remarks == (
        "'punk' means nothing to this model and is left out",
    )


def test_the_nearest_known_statement_is_found(backbones):
    key, text, likeness = nearest_statement("a bald head", backbones.clip)
    assert (key, text) == ("hair_style=bald", "a bald head")
    assert likeness == pytest.approx(1, abs=1e-4)


def test_the_end_of_a_scale_has_another_end_and_a_hat_has_none(backbones):
    old = read("an old person", "a face", backbones.clip)
    assert turned_round(old, wishes, backbones.clip).prompt == ("a young face",)
    both = read("a young man, big eyes", "a face", backbones.clip)
    assert turned_round(both, wishes, backbones.clip).prompt == ("an old face, small eyes",)
    for prompt in ("a hat", "red hair", "an old person with a hat"):
        assert turned_round(read(prompt, "a face", backbones.clip), wishes, backbones.clip) is None


def test_what_is_absent_can_also_be_taken_back(backbones):
    sentence = read("red hair without glasses", "a face", backbones.clip)
    plainly = wish_sequence(sentence, wishes, backbones.clip)
    assert [float(asked) for _, asked in plainly] == [1, 1]
    taken = wish_sequence(sentence, wishes, backbones.clip, take_back=True)
    assert [float(asked) for _, asked in taken] == [1, 1, -1]
    glasses = read("glasses", "a face", backbones.clip)
    assert torch.allclose(taken[2][0].target, glasses.target, atol=1e-5)


def test_other_things_can_be_asked_for_in_place_of_a_part(backbones):
    sentence = read(["no hat, red hair", "no hat", "red hair"], "a face", backbones.clip)
    in_place = {"no hat": (("a hat", -2.0), ("short hair", 0.5))}
    turns = wish_sequence(sentence, wishes, backbones.clip, instead=in_place.get)
    assert [asked.flatten().tolist() for _, asked in turns] == [
        [-2, -2, 1],
        [0.5, 0.5, 0],
        [1, 0, 0],
    ]
    hat = read("a hat", "a face", backbones.clip).target
    assert torch.allclose(turns[0][0].target[:2], hat.expand(2, -1), atol=1e-5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("red hair and a hat", "a hat and red hair"),
        ("laughing, a beanie and glasses", "glasses, a beanie and laughing"),
        ("no hat, a beard", "a beard, no hat"),
    ],
)
def test_wishes_come_in_one_order_however_they_are_said(one, other):
    assert wishes(one) == wishes(other)
    assert "hat" in wishes(one)[0] or "beanie" in wishes(one)[0]
