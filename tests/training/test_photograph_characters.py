"""Photographs teach the encoder: what labels say of a character, new pictures out of old ones."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from faceedit.backbones.photo_encoder import Output, PhotoEncoder, PhotoEncoderConfig
from faceedit.world import SPECS, FaceAttributes, sample_attributes
from faceedit.world.attributes import BEARDS, HAIR_STYLES, HATS
from training.config import ConfigError, TrainConfig
from training.photographs.characters import Character, character_of
from training.photographs.lessons import attribute_of_columns, unembedded
from training.photographs.likeness import CHARACTER_MEASURES, character_scores, skin_rank
from training.photographs.portraits import LabelledPhoto
from training.photographs.reading import fit_gate, outputs, ridge
from training.photographs.scenes import Scene, drape, face_into, recolor_hair, value
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


def scene(**said) -> Scene:
    """A face of skin colour under brown hair before a green wall."""
    y, x = np.mgrid[:SIDE, :SIDE]
    face = ((x - 48) / 22) ** 2 + ((y - 50) / 28) ** 2 < 1
    hair = (((x - 48) / 30) ** 2 + ((y - 40) / 34) ** 2 < 1) & ~face
    image = np.full((SIDE, SIDE, 3), (40, 120, 50), np.uint8)
    image[hair], image[face] = (90, 60, 40), (220, 170, 140)
    image[hair] += (10 * (x[hair] % 3 == 0)).astype(np.uint8)[:, None]  # strands
    blank = Character(FaceAttributes.default().values[0], torch.zeros(len(SPECS)))
    return Scene(image, face, face | hair, hair, blank.replaced(hat="none", **said))


def said(character: Character) -> dict[str, float]:
    """What a character says."""
    known = zip(SPECS, character.values.tolist(), character.weights.tolist(), strict=True)
    return {name: number for name, number, weight in known if weight > 0}


def test_a_womans_character_has_no_beard_and_her_own_hair():
    found = said(character_of(photo()))
    assert found["femininity"] > 0.5 and BEARDS[int(found["beard"])] == "none"
    assert found["moustache"] == 0 and 40 < found["age"] < 50
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


def test_recoloured_hair_has_the_colour_that_its_label_says_and_the_face_stays():
    before = scene(hair_color="brown")
    blond = recolor_hair(before, "blond", np.random.default_rng(0))
    assert said(blond.character)["hair_color"] == 3
    lightness = cv2.cvtColor(blond.image, cv2.COLOR_RGB2LAB)[before.hair, 0].mean()
    assert lightness > 130  # of 255; brown has 68
    inner = cv2.erode(before.face.astype(np.uint8), np.ones((9, 9))) > 0
    assert np.array_equal(blond.image[inner], before.image[inner])
    assert blond.image[before.hair].std() > 2  # strands stay


@pytest.mark.parametrize("seed", range(6))
def test_cloth_hides_the_hair_shows_the_face_and_is_a_hat_of_its_colour(seed):
    before = scene(hair_color="brown", fringe=0.0)
    after = drape(before, np.random.default_rng(seed))
    assert HATS[int(value(after, "hat"))] == "beanie"
    assert "fringe" not in said(after.character)
    middle = (slice(45, 60), slice(40, 56))
    assert np.array_equal(after.image[middle], before.image[middle])
    crown = (slice(10, 18), slice(44, 52))
    assert after.hair[crown].sum() == 0 and before.hair[crown].any()


def test_a_face_laid_into_a_head_brings_its_age_and_leaves_the_hair():
    old = scene(age=70.0, hair_color="grey", skin_tone=0.3)
    young = scene(age=20.0, hair_color="black", skin_tone=0.3)
    mixed = said(face_into(old, young).character)
    assert mixed["age"] == 70 and mixed["hair_color"] == 0


def test_attributes_come_back_from_their_embedding():
    people = sample_attributes(200, seed=4)
    back = unembedded(embed(people))
    assert torch.allclose(back, people.values, atol=1e-4)
    assert len(attribute_of_columns()) == embed(people).shape[1]


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
