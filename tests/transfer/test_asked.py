"""What the sentence names may be put on; what it does not name stays, whatever the pair shows."""

from dataclasses import replace

import numpy as np
import pytest

from faceedit.transfer import Asked
from faceedit.transfer.own_hair import own_hair
from faceedit.transfer.recolour import recolour
from faceedit.transfer.replace import replace_parts
from faceedit.transfer.shifts import shifted_fill
from faceedit.transfer.view import Native
from faceedit.words.worn import named_parts, speaks_of_known_things, speaks_of_parts_only, topics
from faceedit.world.attributes import GLASSES, HATS
from tests.transfer.test_replace import SIZE, _overlap, _person

FULL = Asked({"beard": frozenset({"full"})}, only=True)


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        ("a full beard", {"beard": {"full"}}),
        ("a moustache and a goatee", {"beard": {"moustache", "goatee"}}),
        ("a bearded man with round glasses", {"beard": {"full"}, "glasses": {"round"}}),
        ("a clean-shaven face, no hat", {"beard": {"none"}, "hat": {"none"}}),
        ("hoop earrings", {"earrings": {"hoops"}}),
        ("a bald head", {"hair": {"bald"}}),
        ("red hair", {"hair colour": {"named"}}),
        ("a laughing face", {"mouth": {"laughing"}}),
        ("red lipstick and closed eyes", {"lips": {"painted"}, "eyes": {"closed"}}),
        ("an older face", {"age": {"old"}}),
        ("a narrow face", {}),
        ("a young man with freckles", {"age": {"young"}, "skin": {"freckles"}}),
        ("blue eyeshadow and rosy cheeks", {"eyeshadow": {"blue"}, "skin": {"blush"}}),
        ("no freckles", {"skin": {"none"}}),
        ("a frown", {"mouth": {"frowning"}}),
    ],
)
def test_a_sentence_names_what_is_worn_or_grown(sentence, parts):
    assert named_parts(sentence) == {part: frozenset(kinds) for part, kinds in parts.items()}


@pytest.mark.parametrize(
    ("sentence", "about"),
    [
        ("red hair", {"hair"}),
        ("blue eyes", {"irises"}),
        ("closed eyes", {"eyes"}),
        ("red lipstick and a big smile", {"paint", "mouth"}),
        ("eyeshadow", {"paint"}),
        ("a beanie", {"worn"}),
    ],
)
def test_colours_are_told_apart_from_what_moves(sentence, about):
    assert topics(sentence) == about


def test_only_sentences_about_parts_keep_the_rest():
    assert all(map(speaks_of_parts_only, ("red hair", "a laughing face", "a full beard")))
    assert not any(map(speaks_of_parts_only, ("an old face", "a pirate", "a young man")))


def test_an_age_puts_on_nothing_that_it_does_not_name_and_a_strange_word_may():
    assert all(map(speaks_of_known_things, ("an old face", "red hair", "a young man")))
    assert not speaks_of_known_things("a pirate")
    aged = Asked({"age": frozenset({"old"})}, known=True)
    assert not aged.may("earrings")
    assert aged.may("hair") and Asked().may("earrings")


def test_what_the_sentence_does_not_name_is_not_put_on():
    bare = _person(3)
    dressed = _person(3, beard=3.0, moustache=0.8, glasses=float(GLASSES.index("round")))
    found = replace_parts(bare, bare, replace(dressed, asked=FULL))
    assert found.alpha is not None
    x, y = bare.point("left_iris_0").round().astype(int)
    lens = dressed.region("glasses") > 0.5
    assert found.alpha[lens & (dressed.region("beard") < 0.5)].mean() < 0.05
    assert found.alpha[y - 3 : y + 4, x - 3 : x + 4].max() < 0.02
    assert _overlap(found.alpha > 0.4, dressed.region("beard") > 0.5) > 0.5


def test_what_is_asked_for_grows_although_the_drawn_face_had_it_before():
    bare, grown = _person(3), _person(3, beard=3.0, moustache=0.8)
    found = replace_parts(bare, grown, replace(grown, asked=FULL))
    assert found.alpha is not None
    assert _overlap(found.alpha > 0.4, grown.region("beard") > 0.5) > 0.5
    assert replace_parts(grown, grown, replace(grown, asked=FULL)).extent() is None


def test_a_cut_of_hair_keeps_its_colour():
    def asked(sentence: str) -> Asked:
        return Asked(named_parts(sentence), speaks_of_parts_only(sentence), about=topics(sentence))

    brown, red = _person(3, hair_color="brown"), _person(3, hair_color="red")
    before = replace(brown, native=Native(brown.image, brown.regions))
    after = replace(red, native=Native(red.image, red.regions))
    hair = brown.region("hair") > 0.9

    def changed(sentence: str) -> float:
        shift = recolour(brown, before, replace(after, asked=asked(sentence))).shift
        return 0.0 if shift is None else float(np.abs(shift[hair]).mean())

    assert changed("a bob") == changed("curly hair") == 0
    assert changed("curly red hair") > 5 and changed("red hair") > 5


@pytest.mark.parametrize(("drawn", "grey"), [((150, 90, 80), True), ((40, 25, 20), False)])
def test_hair_of_an_old_face_is_grey_though_drawn_hair_keeps_colour(drawn, grey):
    person = _person(3, hair_color="red")
    on = person.region("hair") > 0.5

    def coloured(colour: tuple[int, int, int]) -> np.ndarray:
        return np.where(on[..., None], np.float32(colour), person.image).astype(np.float32)

    before, after = (
        replace(person, native=Native(coloured(c), person.regions)) for c in ((110, 60, 40), drawn)
    )
    photo = replace(person, image=coloured((120, 40, 30)))
    asked = Asked({"age": frozenset({"old"})}, known=True)
    shift = recolour(photo, before, replace(after, asked=asked)).shift
    assert shift is not None
    aged = np.median((photo.image + shift)[on], 0)
    assert (np.ptp(aged) < 12) == grey
    dyed = replace(asked, kinds={**asked.kinds, "hair colour": frozenset({"named"})})
    shift = recolour(photo, before, replace(after, asked=dyed)).shift
    assert shift is not None  # an old face with red hair
    assert np.ptp(np.median((photo.image + shift)[on], 0)) > 12


def test_a_hat_changes_nothing_away_from_the_head():
    bare, hatted = _person(3), _person(3, hat=float(HATS.index("beanie")))
    strange = {name: plane.copy() for name, plane in bare.regions.items()}
    strange["hair"][4:14, 4:14], strange["background"][4:14, 4:14] = 1, 0  # a parser's error
    photo = replace(bare, regions=strange)
    assert own_hair(photo)[4:14, 4:14].max() < 0.2
    asked = Asked({"hat": frozenset({"beanie"})}, only=True)
    extent = replace_parts(photo, bare, replace(hatted, asked=asked)).extent()
    assert extent is not None
    assert not extent[:20, :20].any()
    assert not extent[SIZE * 3 // 4 :].any()


def test_a_large_hole_gets_its_surroundings_pattern_back():
    y, x = np.mgrid[:120, :160]
    tiles = np.where((x // 10 + y // 10) % 2, 190.0, 70.0)[..., None].repeat(3, 2)
    image = tiles.astype(np.float32)
    hole = np.hypot(x - 80, y - 60) < 26
    spoilt = image.copy()
    spoilt[hole] = (255, 0, 0)
    filled = shifted_fill(spoilt, hole, ~hole)
    assert (filled[~hole] == image[~hole]).all()
    right = np.abs(filled - image).max(2)[hole] < 60
    assert right.mean() > 0.75
