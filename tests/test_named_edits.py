"""Named edits: a sentence finds the edit that it means, and scores say what they should."""

import math

import pytest
import torch
import torch.nn.functional as F

from faceedit.backbones.attributes import AttributeHead
from faceedit.types import Sentence
from faceedit.words.named_edits import (
    EditNames,
    choose,
    gaps,
    measure,
    named_wishes,
    parse,
    readable,
)
from faceedit.words.sentence import read
from faceedit.words.statements import WORDINGS
from faceedit.world import SPECS

HEADS = (AttributeHead("smile", -1, 1), AttributeHead("hair_color", 0, 1, ("brown", "red")))
TWO = (("smile+", "a smile"), ("smile+", "happy"), ("smile-", "sad"), ("hair_color=red", "red"))


def test_every_key_names_something_of_the_world():
    heads = tuple(AttributeHead(s.name, s.low, s.high, s.values) for s in SPECS.values())
    assert readable(WORDINGS, heads) == WORDINGS


def test_only_what_the_reader_reads_is_left():
    assert {parse(key)[0] for key, _ in readable(WORDINGS, HEADS)} == {"smile", "hair_color"}
    with pytest.raises(ValueError, match="none of the named edits"):
        readable(WORDINGS, (AttributeHead("charm", 0, 1),))


def test_sentence_picks_its_own_wording_whatever_the_photo_shows():
    names = EditNames(TWO, 8)
    names.embeddings.copy_(F.normalize(torch.randn(4, 8), dim=1))
    neutral = F.normalize(torch.randn(1, 8), dim=1).expand(3, 8)
    sentence = Sentence(("happy", "sad", "red"), "a face", names.embeddings[1:], neutral)
    chosen = [names.keys[i] for i in names.nearest(sentence)]
    assert chosen == ["smile+", "smile-", "hair_color=red"]


def test_wording_that_the_photo_shows_already_is_not_picked():
    names = EditNames(TWO[2:], 8)
    names.embeddings.copy_(F.normalize(torch.randn(2, 8), dim=1))
    neutral = names.embeddings[:1]
    for target in (names.embeddings[1:], -names.embeddings[1:] + 3 * neutral):
        change = F.normalize(target - neutral, dim=1)
        likely = change @ F.normalize(names.embeddings[1:] - neutral, dim=1).T > 0
        chosen = names.nearest(Sentence(("red",), "sad", target, neutral))
        assert int(chosen) == (1 if likely else 0)


def test_what_has_no_edit_of_its_own_to_be_absent_is_taken_back(backbones):
    said = (("hat=cap", "a hat"), ("hat=none", "no hat"), ("moustache+", "a moustache"))
    names = EditNames((*said, ("femininity+", "no moustache")), backbones.clip.embed_dim)
    names.embed(backbones.clip)
    for prompt, sign, key in (
        ("no hat", 1, "hat=none"),
        ("no moustache", -1, "moustache+"),
        ("a moustache", 1, "moustache+"),
    ):
        ((wish, asked),) = named_wishes(
            read(prompt, "a face", backbones.clip), names, backbones.clip
        )
        assert (float(asked), names.keys[int(names.nearest(wish))]) == (sign, key)


def test_scores_rise_with_what_the_key_says():
    names = EditNames(TWO, 8)
    answers = {"smile": torch.tensor([-0.5, 0.5]), "hair_color": torch.tensor([[3.0, 0], [0, 3.0]])}
    assert names.scores(HEADS, answers).tolist() == [[-0.5, 0.5, -3.0], [0.5, -0.5, 3.0]]


def test_classes_leave_out_the_middle_of_a_number_and_nothing_of_a_value():
    names = EditNames(TWO, 8)
    classes = names.classes(torch.linspace(-1, 0.2, 50)[:, None].repeat(1, 3))
    assert [int((classes[:, 0] == c).sum()) for c in (1, 0, -1)] == [15, 20, 15]
    assert [int((classes[:, 2] == c).sum()) for c in (1, 0, -1)] == [9, 0, 41]


def test_hard_labels_are_scores_too():
    names = EditNames(TWO, 8)
    scores = names.read_labels(torch.tensor([[0.25, 1.0], [0.5, 0.0]]), HEADS)
    assert scores.tolist() == [[0.25, -0.25, 20.0], [0.5, -0.5, -20.0]]


def test_best_move_changes_one_attribute_and_has_the_sign_that_raises_it():
    effects = torch.tensor([[1.0, 1.0], [-0.5, 0.05], [0.0, 0.4]])
    moves, lengths = choose(effects, torch.tensor([1.0, 1.0]), ("smile", "age"), limit=4)
    assert moves[:, 0].tolist() == [1, 2]
    assert lengths[:, 0].tolist() == pytest.approx([-2.0, 2.5])


def test_log_odds_of_values_together_are_those_of_their_sum():
    names = EditNames((("hair_color=brown|red", "brown or red"),), 8)
    heads = (AttributeHead("hair_color", 0, 1, ("brown", "red", "blond")),)
    odds = names.scores(heads, {"hair_color": torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 60.0]])})
    assert odds[:, 0].tolist() == pytest.approx([math.log(2), -20.0])  # no surer than a hard label


def test_a_gap_is_from_the_mean_face_to_those_whom_it_holds_for():
    scores = torch.tensor([[1.0, 0.0], [3.0, 0.0], [8.0, 0.0]])
    classes = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [1.0, -1.0]])
    assert gaps(scores, classes).tolist() == [5.5 - 4.0, 0.0]


def test_an_effect_is_half_the_difference_of_both_signs_a_unit():
    def draw(move, length):
        return torch.tensor([[1.0], [3.0]]) * move * length + 7 + length**2  # even parts cancel

    effects = measure(draw, 3, 2.0, lambda images: images)
    assert effects[:, 0].tolist() == [0, 2, 4]  # the mean of two faces


def test_a_move_is_good_by_what_it_changes_alone_and_how_much_of_what_is_wanted_it_reaches():
    attributes = ("smile", "smile", "age")  # two edits of one attribute do not spoil each other
    effects = torch.tensor([[1.0, -1.0, 0.5], [0.3, -0.3, 0.0], [2.0, -2.0, 2.0]])
    wanted = torch.tensor([2.0, 2.0, 2.0])
    # Of the smile: 1 / 1.25 and reached; 1 but 0.3 * 4 / 2 of it; 0.5 and reached.
    moves, lengths = choose(effects, wanted, attributes, limit=4, keep=3)
    assert moves[0].tolist() == [0, 1, 2] == moves[1].tolist()
    assert lengths[0].tolist() == pytest.approx([2, 4, 1])
    assert lengths[1].tolist() == pytest.approx([-2, -4, -1])
    assert moves[2, 0] == 2 and lengths[2, 0] == pytest.approx(1)
