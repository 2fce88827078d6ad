"""Painted pictures: the colour lands where it should, and only what it covers becomes doubtful."""

import random

import pytest
import torch

from faceedit.world import REGIONS, sample_attributes
from faceedit.world.captions import STATEMENTS, UNSURE, truth
from training.data.paint import PARTS, Coat, draw_coat, paint

HAIR = next(i for i, part in enumerate(PARTS) if part.regions == ("hair",))


@pytest.fixture
def picture():
    segmentation = torch.zeros(1, 12, 12, dtype=torch.uint8)
    segmentation[:, :6] = REGIONS.index("hair")
    return torch.zeros(1, 3, 12, 12), segmentation, truth(sample_attributes(1, seed=3))


def test_paint_covers_its_region_alone(picture):
    painted, _ = paint(*picture, [Coat(HAIR, (1.0, -1.0, 0.5), 0.5)])
    assert torch.allclose(painted[0, :, 2, 6], torch.tensor([0.5, -0.5, 0.25]))
    assert (painted[0, :, 8:] == 0).all()  # the edge is soft, one pixel wide


def test_only_the_painted_colour_becomes_doubtful(picture):
    known = picture[2]
    _, left = paint(*picture, [Coat(HAIR, (1.0, 1.0, 1.0), 0.5)])
    for k, statement in enumerate(STATEMENTS):
        expected = UNSURE if statement.name == "hair_color" else known[0, k]
        assert left[0, k] == expected, statement.key


def test_a_picture_without_paint_stays(picture):
    painted, left = paint(*picture, [Coat(0, (1.0, 1.0, 1.0), 0.0)])
    assert torch.equal(painted, picture[0]) and torch.equal(left, picture[2])


def test_parts_name_regions_and_attributes_that_exist():
    names = {statement.name for statement in STATEMENTS}
    for part in PARTS:
        assert set(part.regions) <= set(REGIONS) and set(part.doubtful) <= names


def test_a_share_of_the_draws_is_painted():
    coats = [draw_coat(random.Random(seed), 0.3) for seed in range(400)]
    assert 0.2 < sum(coat.weight > 0 for coat in coats) / 400 < 0.4
    assert {coat.part for coat in coats} == set(range(len(PARTS)))
