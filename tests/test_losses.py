"""Terms that methods share, in numbers worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from faceedit.losses import terms, text
from faceedit.losses.outside import change_outside, region_weights
from faceedit.losses.pae import PaeSettings
from faceedit.losses.text import text_direction, text_distance
from faceedit.losses.true_edits import Meaning, disturbed, image_distance, unseen
from faceedit.types import Sentence
from tests.methods.known import (
    Columns,
    GreenAngle,
    RedAngle,
    direction,
    plain_face,
    sentence_at,
)

SIXTY, RIGHT = math.pi / 3, math.pi / 2


def picture(red: float = 0, green: float = 0) -> torch.Tensor:
    return plain_face(red, green).image


def test_clip_distance_is_one_minus_the_mean_cosine():
    images = torch.cat([picture(0), picture(RIGHT)])
    distance = terms.clip_distance(RedAngle(), images, sentence_at(SIXTY))
    assert distance.item() == pytest.approx(1 - (0.5 + math.sqrt(3) / 2) / 2)


def test_identity_distance_is_one_minus_the_mean_cosine():
    before = torch.cat([picture(green=0), picture(green=1)])
    after = torch.cat([picture(green=SIXTY), picture(green=1)])
    assert terms.identity_distance(GreenAngle(), before, after).item() == pytest.approx(0.25)
    with pytest.raises(ValueError, match=r"shapes \[2, 3, 8, 8\] and \[1, 3, 8, 8\]"):
        terms.identity_distance(GreenAngle(), before, after[:1])


def test_squared_distance_of_codes_is_summed_over_a_code_and_averaged_over_a_batch():
    a, b = torch.zeros(2, 3, 2), torch.zeros(2, 3, 2)
    b[0] = 1.0  # six entries
    b[1, 0, 0] = 2.0
    assert terms.latent_l2(a, b).item() == (6 + 4) / 2
    assert terms.latent_l2(a, b, 2.0).item() == (6 + 4) / 2 / 4
    assert terms.latent_l2(a, b, torch.tensor([1.0, 2.0])).item() == (3 + 3 / 4 + 4) / 2
    with pytest.raises(ValueError, match="shapes"):
        terms.latent_l2(a, b[:1])


# What a sentence asks for -------------------------------------------------------------------------


class Space3(RedAngle):
    """Embeddings with a third axis, which no image has."""

    embed_dim = 3

    def encode_image(self, image):
        return F.pad(super().encode_image(image), (0, 1))


@pytest.fixture
def clip(monkeypatch):
    """Whatever is said of a face, it differs by the third axis from saying nothing."""
    clip = Space3()
    monkeypatch.setitem(text._COMMON, clip, torch.tensor([0.0, 0.0, 1.0]))
    return clip


# A sentence that leads along (0, 1, 1), of which (0, 0, 1) is what all sentences share.
UPWARDS = Sentence(("x",), "a face", torch.tensor([[1.0, 1, 1]]), torch.tensor([[1.0, 0, 0]]))


@pytest.mark.parametrize(
    ("angle", "distance"),
    [
        (0.0, 1.0),  # no change
        (RIGHT, 1 - math.sin(math.pi / 4)),  # by (-1, 1): half of it is the right way
        (0.2, 1 - math.sin(0.2) / 0.5),  # a change shorter than 0.5 counts by its length
        (-0.2, 1 + math.sin(0.2) / 0.5),
    ],
)
def test_a_change_counts_by_its_direction_and_a_small_one_by_its_length(clip, angle, distance):
    found = text_distance("direction", picture(0), picture(angle), UPWARDS, clip)
    assert found.item() == pytest.approx(distance, abs=1e-5)


def test_direction_of_a_text_is_unit_and_from_the_neutral_one():
    wanted = torch.tensor([[0.0, 1, 1]]) / math.sqrt(2)
    torch.testing.assert_close(text_direction(UPWARDS), wanted)


def test_global_looks_at_the_edit_alone(clip):
    angles = direction(SIXTY)
    sentence = Sentence(("x",), "", F.pad(angles, (0, 1))[None], torch.zeros(1, 3))
    for before in (0.0, 1.0):
        found = text_distance("global", picture(before), picture(0), sentence, clip)
        assert found.item() == pytest.approx(0.5)


def test_common_direction_is_the_mean_of_all_that_is_said_less_the_neutral(monkeypatch):
    clip = Space3()
    corpora = {
        "hair": text_corpus([[0.0, 1, 0], [0.0, 3, 0]]),
        "hat": text_corpus([[0.0, 2, 4], [4.0, 2, 0]]),
    }
    monkeypatch.setattr(text, "read_corpora", lambda given: corpora)
    monkeypatch.setattr(text, "embed", lambda words, given: torch.tensor([[1.0, 2, 0]]))
    assert text.common_direction(clip).tolist() == [0, 0, 1]  # the mean is (1, 2, 1)


def text_corpus(rows):
    from faceedit.losses.projections import EmbeddedCorpus

    vectors = torch.tensor(rows)
    return EmbeddedCorpus(vectors[:1], vectors[1:], torch.zeros(0, 3))


def test_pae_loss_asks_for_the_images_own_embedding_moved(face_free_pae):
    clip, sentence = face_free_pae
    settings = PaeSettings("none", alpha_plain=10.0)  # e_I + e_T, in equal parts
    found = text_distance("pae", picture(0), picture(0), sentence, clip, settings)
    assert found.item() == pytest.approx(1 - math.cos(math.pi / 4))


@pytest.fixture
def face_free_pae(clip):
    target = torch.tensor([[0.0, 1.0, 0.0]])
    return clip, Sentence(("red hair",), "a face", target, torch.zeros(1, 3))


# Where a change is allowed ------------------------------------------------------------------------


def test_a_change_outside_is_the_weighted_mean_over_pixels_and_colours():
    before, after = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    after[0, 0, 0, 0] = 0.6  # a mean of 0.2 over the colours of one of four pixels
    after[1] = 0.4
    editable = torch.zeros(2, 1, 2, 2)
    editable[1, 0, 0] = 1.0  # the upper half may change
    editable[1, 0, 1, 0] = 0.5
    weights = torch.ones(2, 1, 2, 2)
    weights[0, 0, 0, 0] = 3.0
    found = change_outside(before, after, editable, weights).tolist()
    assert found == pytest.approx([3 * 0.2 / 4, 0.4 * (0.5 + 1) / 4])


def test_regions_of_one_size_count_alike_and_absent_ones_not_at_all():
    weights = region_weights(Columns(), torch.zeros(1, 3, 8, 8))
    torch.testing.assert_close(weights, torch.ones(1, 1, 8, 8))


# True edits ---------------------------------------------------------------------------------------


def test_a_place_counts_as_changed_from_four_hundredths_and_reaches_on():
    source, truth = torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    truth[..., 32, 32] = 0.05  # changed, and so are its neighbours: 1 px at 64 px
    truth[..., 0, 0] = 0.03  # not changed
    edited = truth.clone()
    edited[..., 32, 33] += 1.0
    alone = 1 / 64**2
    assert image_distance(source, edited, truth, 3.0).item() == pytest.approx(alone)
    edited = truth.clone()
    edited[..., 32, 34] += 1.0
    assert image_distance(source, edited, truth, 3.0).item() == pytest.approx(4 * alone)
    edited = truth.clone()
    edited[..., 0, 0] += 1.0
    assert image_distance(source, edited, truth, 3.0).item() == pytest.approx(4 * alone)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_numbers_of_what_a_reader_should_see():
    wanted = {"hair": torch.tensor([[False, True]])}
    none = torch.zeros(1).bool()
    seen = {"hair": torch.tensor([[1.0, 0.0]]), "age": torch.tensor([[0.2]])}
    meaning = Meaning(wanted, {"hair": ~none, "age": none}, seen, {"age": torch.tensor([-1.0])})
    now = {"hair": torch.tensor([[0.0, 1.0]]), "age": torch.tensor([[0.05]])}
    # log-odds rise from -1 to 1, so 1 lacks to 3; age falls by 0.15, which counts as 1.
    assert unseen(now, meaning).item() == pytest.approx((softplus(1) + softplus(2)) / 2)


def test_numbers_of_what_a_reader_should_not_see():
    free = torch.zeros(2).bool()
    even, sure = torch.zeros(2, 2), torch.tensor([[math.log(3.0), 0.0]] * 2)
    meaning = Meaning(
        {"hat": torch.zeros(2, 2).bool()},
        {"hat": torch.tensor([False, True]), "age": free},
        {"hat": even, "age": torch.zeros(2, 1)},
    )
    now = {"hat": sure, "age": torch.tensor([[0.5], [-0.1]])}
    # From (1/2, 1/2) to (3/4, 1/4): KL = ln(2/3) / 2 + ln(2) / 2, of one of the two faces.
    kl = (math.log(2 / 3) + math.log(2)) / 2
    assert disturbed(now, meaning).item() == pytest.approx(kl / 2 + (0.5 + 0.1) / 2, rel=1e-5)
