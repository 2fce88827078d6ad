"""Photographs teach the encoder: what labels say of a character, new pictures out of old ones."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from faceedit.backbones.photo_encoder import Output, PhotoEncoder, PhotoEncoderConfig
from faceedit.world import SPECS, FaceAttributes, sample_attributes
from faceedit.world.attributes import BEARDS, HAIR_STYLES, HATS
from training.config import ConfigError, TrainConfig
from training.photographs.characters import Character, character_of
from training.photographs.likeness import CHARACTER_MEASURES, character_scores, skin_rank
from training.photographs.portraits import LabelledPhoto
from training.photographs.reading import fit_gate, outputs, ridge
from training.tasks.attribute_mapping import embed
from training.tasks.photo_encoder import PhotoEncoderTask, write_reading

SIDE = 96
TURN = 2 * math.pi
LABELS = {
    **{"sex": "female", "visible_age": 40, "skin": "medium", "hair_color": "brown"},
    **{"hair_length": "long", "hair_texture": "wavy", "beard": "none", "moustache": False},
    **{"glasses": "none", "headwear": "none", "expression": "slight smile"},
    **{"mouth_open": False, "earrings": "unclear"},
}


def photo(**labels) -> LabelledPhoto:
    """A grey picture with a mesh whose eyes and mouth have places."""
    mesh = np.full((478, 2), SIDE / 2.0)
    places = {33: (34, 40), 263: (62, 40), 468: (38, 40), 473: (58, 40), 1: (48, 52), 13: (48, 62)}
    places |= {14: (48, 62), 61: (40, 62), 291: (56, 62), 152: (48, 74), 10: (48, 22)}
    for number, place in places.items():
        mesh[number] = place
    image = np.full((SIDE, SIDE, 3), 128, np.uint8)
    known = np.full((SIDE, SIDE), 255, np.uint8)
    return LabelledPhoto("x", LABELS | labels, image, mesh, known, known > 0)


def said(character: Character) -> dict[str, float]:
    """What a character says."""
    told = zip(SPECS, character.values.tolist(), character.known.tolist(), strict=True)
    return {name: number for name, number, known in told if known}


def test_a_womans_character_has_no_beard_and_her_own_hair():
    found = said(character_of(photo()))
    assert found["femininity"] > 0.5 and BEARDS[int(found["beard"])] == "none"
    assert found["moustache"] == 0 and found["age"] == 40
    assert HAIR_STYLES[int(found["hair_style"])] == "long wavy"


def test_what_a_label_does_not_say_is_not_taught():
    found = said(
        character_of(photo(headwear="headscarf", hair_color="covered", hair_length="covered"))
    )
    assert HATS[int(found["hat"])] == "beanie"
    assert not {"hair_color", "hair_style", "fringe", "earrings", "nose_width"} & set(found)


def test_a_nose_beside_the_middle_of_the_eyes_turns_the_head():
    turned = photo()
    turned.mesh[1] = (52, 52)
    assert said(character_of(photo()))["yaw"] == 0
    assert said(character_of(turned))["yaw"] > 10


def test_measures_tell_right_characters_from_wrong_ones():
    right = said(character_of(photo()))
    wrong = right | {"femininity": 0.1, "age": 70.0, "beard": 3.0, "moustache": 0.9, "hat": 1.0}
    wrong |= {
        "hair_color": 4.0,
        "hair_style": 0.0,
        "smile": -0.5,
        "mouth_open": 0.9,
        "glasses": 2.0,
    }
    good, bad = character_scores(LABELS, right), character_scores(LABELS, wrong)
    asked = {m.name for m in CHARACTER_MEASURES} - {"head covered where it is"}
    assert {good[name] for name in asked} == {1.0} and {bad[name] for name in asked} == {0.0}
    assert "head covered where it is" not in good


@pytest.mark.parametrize(
    ("measure", "label", "reading", "right"),
    [
        ("sex", {"sex": "female"}, {"femininity": 0.51}, True),
        ("sex", {"sex": "female"}, {"femininity": 0.49}, False),
        ("sex", {"sex": "male"}, {"femininity": 0.49}, True),
        ("women without a moustache", {"sex": "female"}, {"moustache": 0.49}, True),
        ("women without a moustache", {"sex": "female"}, {"moustache": 0.51}, False),
        ("women without a moustache", {"sex": "male"}, {"moustache": 0.1}, None),
        ("women without a beard", {"sex": "female"}, {"beard": 1.0}, False),
        ("age group (under 35, to 55, over)", {"visible_age": 35}, {"age": 55.0}, True),
        ("age group (under 35, to 55, over)", {"visible_age": 34}, {"age": 35.0}, False),
        ("age group (under 35, to 55, over)", {"visible_age": 55}, {"age": 56.0}, False),
        ("hair colour", {"hair_color": "black"}, {"hair_color": 1.0}, True),  # dark brown
        ("hair colour", {"hair_color": "brown"}, {"hair_color": 1.0}, False),
        ("hair colour", {"hair_color": "unclear"}, {"hair_color": 1.0}, None),
        ("hair length", {"hair_length": "very short"}, {"hair_style": 2.0}, True),
        ("hair length", {"hair_length": "chin"}, {"hair_style": 4.0}, True),
        ("hair length", {"hair_length": "long"}, {"hair_style": 11.0}, True),  # a ponytail
        ("hair length", {"hair_length": "long"}, {"hair_style": 10.0}, False),  # a bun
        ("hair length", {"hair_length": "unclear"}, {"hair_style": 4.0}, None),
        ("beard (goatee or full), yes or no", {"beard": "stubble"}, {"beard": 1.0}, True),
        ("beard (goatee or full), yes or no", {"beard": "goatee"}, {"beard": 3.0}, True),
        ("beard (goatee or full), yes or no", {"beard": "stubble"}, {"beard": 2.0}, False),
        ("no glasses where there are none", {"glasses": "none"}, {"glasses": 1.0}, False),
        ("no glasses where there are none", {"glasses": "round"}, {"glasses": 1.0}, None),
        ("head covered where it is", {"headwear": "cap"}, {"hat": 2.0}, True),
        ("head covered where it is", {"headwear": "cap"}, {"hat": 0.0}, False),
        ("head bare where it is", {"headwear": "none"}, {"hat": 2.0}, False),
        ("head bare where it is", {"headwear": "cap"}, {"hat": 2.0}, None),
        ("smile", {"expression": "slight smile"}, {"smile": 0.31}, True),
        ("smile", {"expression": "slight smile"}, {"smile": 0.29}, False),
        ("smile", {"expression": "neutral"}, {"smile": 0.29}, True),
        ("mouth open", {"mouth_open": True}, {"mouth_open": 0.31}, True),
        ("mouth open", {"mouth_open": True}, {"mouth_open": 0.29}, False),
    ],
)
def test_a_measure_of_a_character_has_these_bounds(measure, label, reading, right):
    (found,) = (m for m in CHARACTER_MEASURES if m.name == measure)
    assert found.right(label, reading) is right


def test_measures_of_characters_have_these_bars():
    assert {m.name.split(" (")[0]: m.bar for m in CHARACTER_MEASURES} == {
        "sex": 0.98, "women without a beard": 0.99, "women without a moustache": 0.99,
        "age group": 0.75, "hair colour": 0.88, "hair length": 0.88, "beard": 0.93,
        "no glasses where there are none": 0.97, "head covered where it is": 0.8,
        "head bare where it is": 0.97, "smile": 0.85, "mouth open": 0.88,
    }  # fmt: skip


def test_skin_tones_are_ranked_over_all_photographs():
    right = said(character_of(photo()))
    skins = {"very light": 0.1, "medium": 0.5, "dark": 0.9}
    rows = [
        character_scores(LABELS | {"skin": s}, right | {"skin_tone": t}) for s, t in skins.items()
    ]
    assert skin_rank(rows) == pytest.approx(1.0)
    assert skin_rank(rows[:1]) is None


def test_what_is_read_reaches_the_map_to_w_as_that_map_was_trained():
    people = sample_attributes(32, seed=4)
    features = torch.nn.functional.one_hot(torch.arange(len(people))).float()
    plain = tuple(replace(o, read=(), meant=(), fixed=()) for o in outputs())
    sizes = {"features": len(people), "narrow": len(people), "gate": 4, "w_dim": 8, "width": 8}
    network = PhotoEncoder(PhotoEncoderConfig(plain, **sizes))
    told = torch.cat([as_read(output, people) for output in plain], 1)
    write_reading(network, told, torch.zeros(told.shape[1]))
    with torch.no_grad():
        read = network.embedding(network.read(features))
    assert torch.allclose(read, embed(people), atol=1e-5)


def as_read(output: Output, people: FaceAttributes) -> torch.Tensor:
    """Return columns that say an attribute of people."""
    column = people.column(output.name)
    if output.values:
        return torch.nn.functional.one_hot(column.long(), len(output.values)).float() - 0.3
    if output.circular:
        return 0.5 * torch.stack([(column * TURN).sin(), (column * TURN).cos()], 1)
    return column[:, None]


def test_a_ridge_regression_finds_a_line_and_leaves_out_what_does_not_count():
    x = torch.randn(200, 3)
    wanted = x @ torch.tensor([[1.0], [-2.0], [0.0]]) + 5
    wanted[:50] = 100.0
    counts = torch.ones(200)
    counts[:50] = 0
    slope, bias = ridge([x[:, :2], x[:, 2:]], wanted, counts, 1e-4)
    assert torch.allclose(slope[:, 0], torch.tensor([1.0, -2.0, 0.0]), atol=1e-2)
    assert abs(float(bias) - 5) < 1e-2


def test_what_tells_photographs_is_found():
    photos, renders = torch.randn(60, 8) + torch.eye(8)[0] * 6, torch.randn(90, 8)
    weight, bias = fit_gate(photos, renders)
    assert (photos @ weight + bias > 0).all() and (renders @ weight + bias < 0).all()


def test_the_encoder_of_photographs_wants_photographs(tmp_path):
    config = TrainConfig(task="photo_encoder", output_dir=str(tmp_path), cpu=True)
    with pytest.raises(ConfigError, match="photographs=FOLDER"):
        PhotoEncoderTask(config, torch.device("cpu"))
