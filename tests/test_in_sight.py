"""When an attribute can be seen: how much of a region shows it, and what hides it."""

import pytest
import torch

from faceedit.metrics.attributes import SIGHT, in_sight
from faceedit.world import SPECS, FaceAttributes

LEAST = {  # pixels of ten thousand
    "skin_tone": 300, "freckles": 400, "blush": 400, "eye_color": 30, "gaze_x": 30, "gaze_y": 30,
    "brow_thickness": 30, "brow_arch": 30, "brow_height": 30, "brow_raise": 30, "ear_size": 60,
    "lip_fullness": 20, "mouth_open": 20, "lipstick": 30, "lip_hue": 30, "hair_color": 300,
    "fringe": 300, "hair_volume": 400, "parting": 400, "hat_hue": 200, "earrings": 60,
    "background_hue": 800, "background_saturation": 800, "background_value": 800,
    "clothing": 400, "cloth_hue": 400, "cloth_saturation": 400, "cloth_value": 400,
}  # fmt: skip
WITHIN = [
    ("freckles", "skin_tone", 0.0, 0.65), ("blush", "skin_tone", 0.0, 0.65),
    ("eye_color", "eye_open", 0.45, 1.0), ("gaze_x", "eye_open", 0.45, 1.0),
    ("gaze_y", "eye_open", 0.45, 1.0), ("eye_size", "eye_open", 0.45, 1.0),
    ("eye_tilt", "eye_open", 0.45, 1.0), ("eyeshadow", "skin_tone", 0.0, 0.8),
    ("forehead", "fringe", 0.0, 0.3), ("lip_hue", "lipstick", 0.5, 1.0),
    ("hair_color", "age", 18.0, 55.0), ("background_hue", "background_saturation", 0.12, 1.0),
    ("background_hue", "background_value", 0.25, 1.0),
    ("background_saturation", "background_value", 0.25, 1.0),
    ("cloth_hue", "cloth_saturation", 0.15, 1.0), ("cloth_hue", "cloth_value", 0.25, 1.0),
    ("cloth_saturation", "cloth_value", 0.25, 1.0),
]  # fmt: skip
PLAIN = {
    "skin_tone": 0.4, "eye_open": 0.8, "fringe": 0.2, "lipstick": 0.8, "age": 30.0,
    "background_saturation": 0.6, "background_value": 0.6, "cloth_saturation": 0.6,
    "cloth_value": 0.6, "glasses": "none", "beard": "none",
}  # fmt: skip
VALUES = {name: spec.values for name, spec in SPECS.items() if spec.values}


def seen(name: str, share: float = 0.5, **changes) -> bool:
    """Return whether an attribute shows on somebody who hides nothing, but for the changes."""
    face = {**PLAIN, "hair_style": "bob", "hat": "beanie" if name == "hat_hue" else "none"}
    person = FaceAttributes.default(1).replace(**{**face, **changes})
    truth = {other: person.column(other) for other in SPECS}
    (region, *_) = SIGHT[name].regions or ("skin",)
    return bool(in_sight(name, truth, VALUES, {region: torch.tensor([share])})[0])


def test_every_bound_of_sight_is_tested():
    assert {name for name, sight in SIGHT.items() if sight.regions} == set(LEAST)
    within = {(name, other) for name, sight in SIGHT.items() for other in sight.within}
    assert within == {(name, other) for name, other, _, _ in WITHIN}


@pytest.mark.parametrize("name", LEAST)
def test_an_attribute_shows_from_so_many_pixels_on(name):
    assert not seen(name, (LEAST[name] - 0.5) / 10_000)
    assert seen(name, (LEAST[name] + 0.5) / 10_000)


@pytest.mark.parametrize(("name", "other", "low", "high"), WITHIN)
def test_an_attribute_shows_where_another_lies_between(name, other, low, high):
    spec = SPECS[other]
    step = 0.001 * (spec.high - spec.low)
    assert seen(name, **{other: low + step}) and seen(name, **{other: high - step})
    if low > spec.low:
        assert not seen(name, **{other: low - step})
    if high < spec.high:
        assert not seen(name, **{other: high + step})


@pytest.mark.parametrize(
    ("name", "hides"),
    [
        ("eye_color", {"glasses": "sunglasses"}), ("eye_spacing", {"glasses": "sunglasses"}),
        ("eye_depth", {"glasses": "round"}), ("eye_open", {"glasses": "sunglasses"}),
        ("brow_arch", {"glasses": "sunglasses"}), ("forehead", {"hat": "headband"}),
        ("jaw_width", {"beard": "goatee"}), ("chin_length", {"beard": "full"}),
        ("chin_width", {"beard": "full"}), ("hair_style", {"hat": "beanie"}),
        ("fringe", {"hair_style": "quiff"}), ("hair_volume", {"hair_style": "buzz cut"}),
        ("parting", {"hair_style": "afro"}), ("hat_hue", {"hat": "sun hat"}),
    ],
)  # fmt: skip
def test_an_attribute_is_hidden_by_what_lies_before_it(name, hides):
    assert seen(name)
    assert not seen(name, **hides)
