"""Hair's matte: shade on skin is no hair, strands before a wall are, specks are not."""

import numpy as np

from faceedit.transfer.matte import hair_matte

SIZE, EDGE = 120, 60
HAIR, SKIN, SHADE, WALL = (40, 30, 25), (190, 150, 130), (120, 95, 80), (200, 210, 215)


def scene(below, shade=None):
    """Return a picture of hair above something else, the parser's chance and where skin is."""
    rng = np.random.default_rng(0)
    image = np.empty((SIZE, SIZE, 3), np.float32)
    image[:EDGE], image[EDGE:] = HAIR, below
    if shade is not None:
        image[EDGE : EDGE + 6] = shade
    image += rng.normal(0, 3, (SIZE, SIZE, 1))
    chance = np.zeros((SIZE, SIZE), np.float32)
    chance[: EDGE + 2] = 1.0  # the parser's edge is off by two pixels
    return image, chance


def test_shade_on_skin_beside_hair_stays_skin():
    image, chance = scene(SKIN, SHADE)
    found = hair_matte(image, chance, 1 - chance, 12.0)
    assert found[: EDGE - 3].min() > 0.9
    assert found[EDGE + 1 :].max() < 0.35


def test_a_strand_before_a_wall_is_hair_and_the_wall_is_not():
    image, chance = scene(WALL)
    image[EDGE : EDGE + 6, 50:53] = HAIR
    found = hair_matte(image, chance, np.zeros_like(chance), 12.0)
    assert found[EDGE + 3, 51] > 0.9
    assert found[EDGE + 3, 70] < 0.05


def test_specks_away_from_the_hair_are_none():
    image, chance = scene(WALL)
    image[100:104, 20:24] = HAIR
    chance[100:104, 20:24] = 0.6
    assert hair_matte(image, chance, np.zeros_like(chance), 12.0)[95:].max() == 0


def test_a_piece_of_which_nothing_is_certain_is_no_hair():
    image = np.full((120, 160, 3), 200, np.float32)
    chance, bare = np.zeros((120, 160), np.float32), np.zeros((120, 160), np.float32)
    head, ceiling = (slice(60, 100), slice(50, 110)), (slice(5, 20), slice(20, 140))
    image[head] = image[ceiling] = 40
    chance[head], chance[ceiling] = 1.0, 0.7
    alpha = hair_matte(image, chance, bare, 6.0)
    assert alpha[head].mean() > 0.9
    assert alpha[ceiling].max() == 0
    chance[5:20, 60:64] = 0.9
    assert hair_matte(image, chance, bare, 6.0)[ceiling].mean() > 0.5
