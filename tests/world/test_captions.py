"""Captions say only what is true and in view, in many ways; held-out wordings stay apart."""

import random
import re

import pytest
import torch

from faceedit.world import REGIONS
from faceedit.world.attributes import SPECS, FaceAttributes
from faceedit.world.captions import (
    FALSE,
    SHAPES,
    STATEMENTS,
    TRUE,
    UNSURE,
    _bare,
    _build,
    caption,
    compose,
    describe,
    find,
    is_true,
    questions,
    truth,
    value_prompts,
    visible,
)
from faceedit.world.population import sample_attributes
from faceedit.world.statements import NEUTRAL, VIEWS
from tests.golden import world as golden


@pytest.fixture(scope="module")
def people() -> FaceAttributes:
    return sample_attributes(400, seed=7)


def test_statements_name_attributes_values_and_views_that_exist() -> None:
    for statement in STATEMENTS:
        assert statement.view in VIEWS
        for name, condition in statement.when.items():
            assert name in SPECS
            named = [*getattr(condition, "values", ()), *getattr(condition, "unsure", ())]
            assert set(named) <= set(SPECS[name].values)


def test_every_value_has_three_wordings_and_a_heldout_one() -> None:
    for statement in STATEMENTS:
        assert len(set(statement.train)) >= 3, statement.key
        assert len(statement.heldout) >= 1, statement.key


def test_every_categorical_value_can_be_said() -> None:
    said = {(s.name, s.value) for s in STATEMENTS}
    for name, spec in SPECS.items():
        for value in spec.values:
            if name != "parting":
                assert (name, value) in said


def test_training_never_contains_a_heldout_wording() -> None:
    said = {_bare(w) for s in STATEMENTS for w in (*s.train, *s.more)}
    held = {_bare(w) for s in STATEMENTS for w in s.heldout}
    assert not said & held


def test_captions_make_only_true_statements(people: FaceAttributes) -> None:
    known = truth(people)
    for row, said in enumerate(describe(people, seed=3)):
        assert all(known[row, i] == TRUE for i in said.statements)


def test_captions_mention_one_to_five_things(people: FaceAttributes) -> None:
    for count in range(1, 6):
        for said in describe(people[:50], seed=1, count=count):
            assert count <= len(said.statements) <= count + 1  # the sex may be the subject


def test_three_captions_in_ten_are_spelled_the_american_way(people: FaceAttributes) -> None:
    texts = [said.text for seed in range(5) for said in describe(people, seed=seed)]
    british = [text for text in texts if "grey" in text or "colour" in text]
    american = [text for text in texts if "gray" in text or "color" in text.replace("colour", "")]
    share = len(american) / (len(british) + len(american))
    assert len(british) + len(american) > 50
    assert 0.2 < share < 0.4
    assert not [text for text in american if "grey" in text or "colour" in text]


def test_same_seed_writes_the_same_captions(people: FaceAttributes) -> None:
    assert caption(people, seed=5) == caption(people, seed=5)
    assert caption(people, seed=5) != caption(people, seed=6)


def test_six_sentence_shapes_say_the_same_thing_differently() -> None:
    wordings = ["a woman", "has red hair", "is smiling", "wears a beanie", "against a blue wall"]
    texts = {shape: _build(wordings, shape, random.Random(0)) for shape in SHAPES}
    assert len(set(texts.values())) == len(SHAPES) == 6
    assert texts["phrase"] == ("a smiling woman with red hair wearing a beanie against a blue wall")
    assert all("red hair" in text and "beanie" in text for text in texts.values())


def test_eye_colour_is_not_told_behind_sunglasses_or_closed_lids() -> None:
    face = FaceAttributes.default(3).replace(eye_color="blue")
    face = FaceAttributes.cat(
        [face[0], face[1].replace(glasses="sunglasses"), face[2].replace(eye_open=0.02)]
    )
    assert visible("eye_color=blue", face).tolist() == [True, False, False]
    assert truth(face)[:, STATEMENTS.index(find("eye_color=blue"))].tolist() == [TRUE, -1, -1]


def test_bald_people_and_hats_hide_the_hair() -> None:
    bald = FaceAttributes.default().replace(hair_style="bald", hair_color="red")
    assert not visible("hair_color=red", bald)
    assert not visible("hair_style=bald", bald.replace(hat="beanie"))
    assert is_true("hair_style=bald", bald)


def test_old_people_have_grey_hair_unless_it_is_dyed() -> None:
    old = FaceAttributes.default().replace(age=80.0, hair_color="red")
    assert is_true("hair_color=grey", old) and not is_true("hair_color=red", old)
    assert is_true("hair_color=blue", old.replace(hair_color="blue"))
    assert not is_true("hair_color=grey", old.replace(hair_color="blue"))
    turning = truth(old.replace(age=68.0))[0]
    for color in ("grey", "red"):
        assert turning[STATEMENTS.index(find(f"hair_color={color}"))] == UNSURE
    assert turning[STATEMENTS.index(find("hair_color=pink"))] == FALSE


def test_between_two_values_nothing_is_claimed_nor_denied() -> None:
    face = FaceAttributes.default(3).replace(smile=torch.tensor([0.8, 0.27, -0.8]))
    column = STATEMENTS.index(find("smile=smile"))
    assert truth(face)[:, column].tolist() == [TRUE, UNSURE, FALSE]


def test_values_of_a_question_exclude_one_another(people: FaceAttributes) -> None:
    known = truth(people) == TRUE
    for name, values in questions().items():
        columns = [STATEMENTS.index(find(f"{name}={value}")) for value in values]
        assert known[:, columns].sum(dim=1).max() <= 1, name


def test_every_statement_is_true_of_someone() -> None:
    share = (truth(sample_attributes(6000, seed=1)) == TRUE).float().mean(dim=0)
    rare = [s.key for s, p in zip(STATEMENTS, share, strict=True) if p < 0.003]
    assert not rare


def test_absence_is_said_and_denied() -> None:
    bare = FaceAttributes.default().replace(glasses="none", beard="none")
    assert is_true("glasses=none", bare) and is_true("beard=none", bare)
    assert not is_true("glasses=none", bare.replace(glasses="round"))
    assert "no glasses" in value_prompts("glasses", "none")
    assert "without a beard" in value_prompts("beard", "none")
    assert "a clean-shaven face" in value_prompts("shaven", "shaven")


def test_nothing_known_gives_a_neutral_sentence() -> None:
    assert compose([], random.Random(0)).text in NEUTRAL
    assert "a face" in NEUTRAL and "a person" in NEUTRAL


def test_what_is_said_of_people_is_what_was_recorded() -> None:
    now, before = golden.words(), golden.recorded_numbers("truth", "said")
    anew = "python -m tests.golden.world records what is said from now on"
    changed = (now["truth"] != before["truth"]).any(axis=0)
    assert [s.key for s, other in zip(STATEMENTS, changed, strict=True) if other] == [], anew
    assert str(now["said"]) == str(before["said"]), anew


def test_verbs_agree_with_who_it_is(people: FaceAttributes) -> None:
    one = re.compile(r"\b(?:she|he|(?:this|the) (?:person|face|man|woman))( \w+)")
    many = re.compile(r"\bthey( \w+)")
    texts = [_build([*more, "has red hair"], "sentence", random.Random(seed))
             for seed in range(60) for more in ([], ["a woman"])]  # fmt: skip
    told = {match for text in texts for match in one.findall(text)}
    assert told == {" has"}
    assert {match for text in texts for match in many.findall(text)} == {" have"}


@pytest.mark.parametrize(
    ("view", "region", "least"),  # pixels of ten thousand
    [
        ("skin", "skin", 200), ("hair", "hair", 120), ("long hair", "hair", 300),
        ("hat", "hat", 120), ("lips", "mouth", 20), ("upper lip", "lips", 20),
        ("ears", "earring", 40), ("earrings", "earring", 5), ("clothes", "cloth", 200),
        ("background", "background", 800),
    ],
)  # fmt: skip
def test_a_thing_is_told_from_so_many_pixels_on(view: str, region: str, least: int) -> None:
    statement = next(s for s in STATEMENTS if s.view == view)
    face = FaceAttributes.default().replace(
        hair_style="short", hat="none", glasses="none", moustache=0.0
    )
    for pixels, told in ((least - 1, False), (least, True)):
        labels = torch.full((1, 100, 100), REGIONS.index("eyes"), dtype=torch.uint8)
        labels.view(-1)[:pixels] = REGIONS.index(region)
        assert visible(statement, face, labels).tolist() == [told]


def test_bad_arguments_are_refused_with_the_choices(people: FaceAttributes) -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        caption(people, count=6)
    with pytest.raises(ValueError, match="heldout"):
        caption(people, split="test")
    with pytest.raises(ValueError, match="hair_color=red"):
        find("hair_color=mauve")
