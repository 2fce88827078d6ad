"""The head's own hair: it goes on over cloth where its colour does, and not over a dark coat."""

import numpy as np
import pytest

from faceedit.transfer.own_hair import own_hair, with_own_hair
from faceedit.transfer.view import View

SIZE = 160
HAIR, SKIN, WALL, COAT = (60, 40, 30), (200, 160, 140), (180, 200, 210), (90, 120, 160)
HEAD = np.s_[10:40, 58:102]
FACE = np.s_[40:72, 66:94]
LOCKS = (np.s_[40:80, 58:66], np.s_[40:80, 94:102])  # that the parser sees
STRANDS = (np.s_[80:120, 58:66], np.s_[80:120, 94:102])  # that go on over the coat
BODY = np.s_[80:160, 20:140]


def portrait(coat=COAT, strands=True, speck=None) -> View:
    """Return a head with long hair before a wall, of which the parser loses the ends."""
    image = np.empty((SIZE, SIZE, 3), np.float32)
    image[:] = WALL
    image[BODY], image[HEAD], image[FACE] = coat, HAIR, SKIN
    regions = {name: np.zeros((SIZE, SIZE), np.float32) for name in ("hair", "skin", "cloth")}
    regions["hair"][HEAD] = regions["skin"][FACE] = 1
    regions["cloth"][BODY] = 0.9
    for lock in LOCKS:
        image[lock], regions["hair"][lock] = HAIR, 1
    for strand in STRANDS if strands else ():
        image[strand], regions["cloth"][strand], regions["hair"][strand] = HAIR, 0.7, 0.2
    if speck is not None:
        image[10:22, 4:16], regions["hair"][10:22, 4:16] = speck, 0.9
    image += np.random.default_rng(0).normal(0, 2, (SIZE, SIZE, 1))
    regions["background"] = 1 - sum(regions.values())
    return View(image, regions, np.ones((SIZE, SIZE), np.float32), (40.0, 10.0, 80.0))


def test_hair_goes_on_over_a_coat_of_another_colour():
    found = own_hair(portrait())
    for strand in STRANDS:
        assert found[strand][2:-4].mean() > 0.7
    assert found[HEAD].min() > 0.99
    assert found[100:120, 70:90].max() < 0.1  # the coat between them
    without = own_hair(portrait(strands=False))
    assert without[84:, :].max() < 0.1


def test_a_coat_of_the_hairs_colour_is_no_hair():
    found = own_hair(portrait(coat=HAIR))
    assert found[90:, 20:140].max() < 0.5
    assert found[HEAD].min() > 0.99


@pytest.mark.parametrize("colour", [(180, 60, 60), HAIR])
def test_a_speck_away_from_the_head_is_none_of_it_whatever_its_colour(colour):
    assert own_hair(portrait(speck=colour))[10:22, 4:16].max() < 0.05


def test_what_is_hair_after_all_is_neither_wall_nor_cloth():
    view = with_own_hair(portrait(speck=HAIR))
    strand = STRANDS[0]
    assert view.region("cloth")[strand][2:-4].mean() < 0.4
    assert view.region("background")[10:22, 4:16].min() > 0.9
    assert np.array_equal(view.region("skin"), portrait().region("skin"))
