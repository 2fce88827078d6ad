"""Measures of networks: bars, chance, groups of people, in numbers worked out by hand."""

import math

import pytest
import torch

from faceedit.backbones.attributes import AttributeHead
from training.measures.encoder import known_mean
from training.measures.generator import gaussian_blur
from training.measures.networks import Measure, chance, mean
from training.measures.photographs import Report


@pytest.mark.parametrize(
    ("value", "bar", "higher", "met"),
    [
        (0.9, 0.9, True, True),
        (0.89, 0.9, True, False),
        (0.04, 0.04, False, True),
        (0.05, 0.04, False, False),
        (0.5, None, True, None),
    ],
)
def test_a_bar_is_met_from_the_right_side(value, bar, higher, met):
    assert Measure("m", value, bar, higher=higher).met is met


def test_chance_is_one_over_the_choices_of_each_head():
    heads = [
        AttributeHead("smile", -1, 1),  # low or high
        AttributeHead("hue", 0, 1, circular=True),  # six sectors
        AttributeHead("glasses", 0, 1, ("none", "round", "square", "sunglasses")),
    ]
    assert chance(heads) == pytest.approx((1 / 2 + 1 / 6 + 1 / 4) / 3)


def test_means_leave_out_what_is_not_known():
    assert mean([1.0, 2.0, 6.0]) == 3.0 and math.isnan(mean([]))
    assert known_mean({"a": 1.0, "b": math.nan, "c": 4.0}) == 2.5


def test_a_gap_is_between_groups_that_are_large_enough():
    report = Report()
    people = [("man", 30, 0.1)] * 5 + [("woman", 60, 0.2)] * 5 + [("child", 10, 9.0)] * 4
    for number, (sex, years, error) in enumerate(people):
        key = str(number)
        report.scores[key] = {"eye_points": error}
        report.labels[key] = {"skin": "any", "sex": sex, "visible_age": years}
    gap, who = report.gap("eye_points")
    # Nine are under 35, five of them with 0.1 and four with 9: that is a larger gap than of sexes.
    assert gap == pytest.approx((5 * 0.1 + 4 * 9) / 9 - 0.2)
    assert who == "age: over 55 to under 35"
    assert report.value("eye_points", ["0", "5"]) == pytest.approx(0.15)


def test_a_blur_keeps_the_light_and_has_the_deviation_asked_for():
    image = torch.zeros(1, 1, 41, 41)
    image[..., 20, 20] = 1.0
    soft = gaussian_blur(image, 3.0)[0, 0]
    places = torch.arange(41.0) - 20
    assert soft.sum().item() == pytest.approx(1, abs=1e-4)
    assert (places.square() @ soft.sum(0)).item() == pytest.approx(9, rel=0.03)
    assert torch.allclose(gaussian_blur(torch.ones(1, 3, 8, 8), 3.0), torch.ones(1, 3, 8, 8))
