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
