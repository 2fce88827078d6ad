"""A render is a function of one attribute vector; people and their mirror images."""

import numpy as np
import pytest
import torch

from faceedit.world import (
    NOISE_DIM,
    REGIONS,
    SPECS,
    WORLD_VERSION,
    FaceAttributes,
    attributes_from_noise,
    render,
    sample_attributes,
)
from tests.golden import world as golden


def test_batch_equals_its_images_one_by_one():
    people = sample_attributes(2, seed=1)
    batch = render(people, 32, supersampling=1)
    for i in range(2):
        alone = render(people[i], 32, supersampling=1)
        assert torch.equal(batch.image[i : i + 1], alone.image)
        assert torch.equal(batch.segmentation[i : i + 1], alone.segmentation)


def test_renders_are_those_that_the_worlds_version_stands_for():
    """Whoever trains on this version's pictures gets these; another look is another version."""
    assert golden.version() == WORLD_VERSION, "python -m tests.golden.world records the new look"
    for now, before in zip(golden.pictures(), golden.recorded(), strict=True):
        apart = np.abs(now.astype(int) - before.astype(int))
        assert (apart <= 1).mean() > 0.998 and apart.mean() < 0.01


def test_seeds_draw_the_people_that_the_worlds_version_stands_for_with_their_landmarks():
    now, before = golden.numbers(), golden.recorded_numbers("people", "points", "visible")
    np.testing.assert_allclose(now["people"], before["people"], atol=1e-4)
    np.testing.assert_allclose(now["points"], before["points"], atol=4e-4)
    assert (now["visible"] == before["visible"]).mean() > 0.998


def test_formulas_of_heads_say_what_the_worlds_version_stands_for():
    now, before = golden.formulas(), golden.recorded_formulas()
    assert now.keys() == before.keys()
    for name, values in before.items():
        size = values[-1]
        assert np.abs(now[name] - values).max() <= 1e-4 * size + 1e-9, name


def test_render_shapes_and_ranges():
    result = render(sample_attributes(1, seed=2), 32)
    assert result.image.shape == (1, 3, 32, 32)
    assert result.image.abs().max() <= 1
    assert result.segmentation.dtype == torch.uint8
    assert int(result.segmentation.max()) < len(REGIONS)


def test_empty_batch_renders_nothing():
    assert render(sample_attributes(1, 0)[0:0], 32).image.shape == (0, 3, 32, 32)


def test_size_that_cannot_be_rendered_is_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        render(sample_attributes(1, 0), 30)


def test_mirrored_attributes_give_the_mirrored_picture_but_for_strands():
    people = sample_attributes(1, seed=4).replace(hair_style="buzz cut", hat="none")
    there = render(people, 32, supersampling=1).image
    back = render(people.mirror(), 32, supersampling=1).image.flip(-1)
    other = render(sample_attributes(1, seed=5), 32, supersampling=1).image
    assert (there - back).abs().mean() < 0.25 * (there - other).abs().mean()
    assert torch.equal(people.mirror().mirror().values, people.values)


def test_population_stays_in_range_and_shows_every_value():
    people = sample_attributes(20_000, seed=0)
    for name, spec in SPECS.items():
        column = people.column(name)
        assert column.min() >= spec.low and column.max() <= spec.high, name
        for i, value in enumerate(spec.values):
            assert (column == i).float().mean() > 0.02, f"{name}: {value}"


def test_people_are_a_function_of_their_noise():
    noise = torch.randn(5, NOISE_DIM + 3)
    people = attributes_from_noise(noise)
    again = attributes_from_noise(noise[:, :NOISE_DIM])
    assert torch.equal(people.values, again.values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hair": 1.0}, "unknown attribute"),
        ({"hair_color": "violet"}, "choose from"),
        ({"smile": 1.5}, "from -1.0 to 1.0"),
        ({"smile": float("nan")}, "from -1.0 to 1.0"),
    ],
)
def test_bad_changes_say_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=message):
        FaceAttributes.default().replace(**changes)
