"""Where a characteristic shows: pixels there may change, all others are held."""

from types import SimpleNamespace

import pytest
import torch

from faceedit.losses.outside import change_outside, places_of, region_weights, shown
from faceedit.words.corpora import CORPORA, PLACES, Place
from faceedit.world import REGIONS


class ByColor:
    """Calls white pixels hair and all others skin."""

    config = SimpleNamespace(regions=("hair", "skin"))

    def __call__(self, image):
        hair = 50 * image.mean(dim=1, keepdim=True)
        return torch.cat([hair, -hair], dim=1)


ALIKE = torch.ones(1, 1, 1, 1)  # all pixels count the same


def picture(*columns: int) -> torch.Tensor:
    """Black, with white columns."""
    image = -torch.ones(1, 3, 20, 20)
    image[..., list(columns)] = 1.0
    return image


def free(source: torch.Tensor, edited: torch.Tensor, places) -> torch.Tensor:
    return torch.maximum(
        shown(ByColor(), source, places, grown=True), shown(ByColor(), edited, places)
    )


def outside(edited: torch.Tensor, *places: Place, source: torch.Tensor | None = None) -> float:
    source = picture(0, 1) if source is None else source
    return change_outside(source, edited, free(source, edited, [places]), ALIKE).item()


def test_a_change_counts_where_the_place_is_not():
    faded, tinted = picture(0, 1), picture(0, 1)
    faded[..., :2] -= 0.5
    tinted[..., -1] += 0.5
    assert outside(faded, Place(("hair",))) == pytest.approx(0, abs=1e-6)
    assert outside(tinted, Place(("hair",))) == pytest.approx(0.5 / 20, abs=1e-6)
    assert outside(tinted, Place(("hair",)), Place(("skin",))) == pytest.approx(0, abs=1e-6)
    assert outside(tinted) == 0  # nobody said where: anywhere


def test_a_place_reaches_as_far_as_it_may_and_where_it_is_after_the_edit():
    tinted = picture(0, 1)
    tinted[..., 2:4] += 0.5
    assert outside(tinted, Place(("hair",), margin=0.1)) == pytest.approx(0, abs=1e-6)
    assert outside(tinted, Place(("hair",), margin=0.05)) > 0
    assert outside(picture(0, 1, 8), Place(("hair",))) == pytest.approx(0, abs=1e-6)


def test_around_a_place_that_vanishes_may_change_and_around_one_that_appears_may_not():
    vanished = picture()  # there was hair in the first two columns
    vanished[..., 2:4] += 0.5
    assert outside(vanished, Place(("hair",), margin=0.1)) == pytest.approx(0, abs=1e-6)
    appeared = picture(0, 1, 8)
    appeared[..., 9] += 0.5
    assert outside(appeared, Place(("hair",), margin=0.1)) == pytest.approx(0.5 / 20, abs=1e-6)


def test_only_pixels_have_a_gradient():
    edited = picture(0, 1)
    edited[..., 2:] += 0.2
    edited.requires_grad_()
    source = picture(0, 1)
    change_outside(source, edited, free(source, edited, [(Place(("hair",)),)]), ALIKE).backward()
    assert not edited.grad[..., :2].any() and (edited.grad[..., 2:] > 0).all()


def test_a_place_that_the_segmenter_does_not_know_is_everywhere():
    assert outside(picture(0, 1) + 0.5, Place(("hat",))) == pytest.approx(0, abs=1e-6)
    assert outside(picture(0, 1) + 0.5, Place(("hat", "hair"))) > 0.4


def test_every_picture_has_its_own_place():
    edited = torch.cat([picture(0, 1, 8), picture(0, 1, 8)])
    edited[..., -1] += 0.5
    source = picture(0, 1).expand(2, -1, -1, -1)
    places = [(Place(("hair",)),), ()]
    changed = change_outside(source, edited, free(source, edited, places), ALIKE)
    assert changed.tolist() == pytest.approx([0.5 / 20, 0], abs=1e-6)


def test_a_pixel_of_a_small_region_counts_more():
    counts = region_weights(ByColor(), picture(0))  # hair is a twentieth of it, skin the rest
    assert counts.mean().item() == pytest.approx(1)
    assert (counts[..., 0] / counts[..., 1]).mean().item() == pytest.approx(19**0.5, rel=1e-3)
    skin = change_outside(picture(0), picture(0, 5), torch.zeros(1, 1, 20, 20), counts)
    assert skin.item() == pytest.approx(2 / 20 * counts[..., 1].mean().item(), rel=1e-4)


def test_places_are_those_of_corpora_and_of_the_worlds_regions():
    assert set(PLACES) < set(CORPORA)
    for place in PLACES.values():
        assert set(place.regions) <= set(REGIONS) and 0 <= place.margin < 0.2
    assert places_of(["hat", "glasses"]) == (PLACES["hat"], PLACES["glasses"])
    assert places_of(["hat", "gender"]) == places_of([]) == ()
