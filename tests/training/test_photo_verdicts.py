"""What makes a sentence true of a photograph, from both sides of every bound."""

import numpy as np
import pytest

from training.benchmark import photo_verdicts as judges
from training.benchmark.photo_verdicts import SENTENCES, Look, Pair, Places

ROWS = (
    "face",
    "lips",
    "eyes",
    "irises",
    "cheeks",
    "chin",
    "crown",
    "away",
)  # a row of a picture each
POINTS = 478


def places() -> Places:
    masks = {}
    for row, name in enumerate(ROWS):
        masks[name] = np.zeros((len(ROWS), 6), bool)
        masks[name][row] = True
    return Places(**masks, height=100.0)


def pair(before=None, after=None, looks=(None, None)) -> Pair:
    """Return two pictures in CIELAB by the colours of their places; (50, 0, 0) elsewhere."""
    pictures = []
    for given in (before or {}, after or {}):
        lab = np.tile(np.array([50.0, 0, 0]), (len(ROWS), 6, 1))
        for name, colour in given.items():
            lab[ROWS.index(name)] = colour
        pictures.append(lab)
    empty = Look(np.zeros((len(ROWS), 6, 3), np.uint8), None)
    return Pair(looks[0] or empty, looks[1] or empty, places(), *pictures)


def true(key: str, *words, **named) -> bool:
    return SENTENCES[key].true(pair(*words, **named))


def colour(light: float, hue: float, chroma: float) -> tuple[float, float, float]:
    angle = np.deg2rad(hue)
    return light, chroma * np.cos(angle), chroma * np.sin(angle)


@pytest.mark.parametrize(
    ("key", "crown", "so"),
    [
        ("red_hair", colour(40, 1, 21), True), ("red_hair", colour(40, -2, 21), False),
        ("red_hair", colour(40, 59, 21), True), ("red_hair", colour(40, 62, 21), False),
        ("red_hair", colour(40, 30, 19), False), ("red_hair", colour(5, 30, 21), True),
        ("blonde_hair", colour(46, 61, 19), True), ("blonde_hair", colour(46, 58, 19), False),
        ("blonde_hair", colour(46, 99, 19), True), ("blonde_hair", colour(46, 102, 19), False),
        ("blonde_hair", colour(44, 80, 19), False), ("blonde_hair", colour(46, 80, 17), False),
        ("green_hair", colour(40, 112, 15), True), ("green_hair", colour(40, 108, 15), False),
        ("green_hair", colour(40, 150, 13), False), ("green_hair", colour(2, 150, 15), True),
    ],
)  # fmt: skip
def test_hair_has_a_hue_a_chroma_and_a_lightness(key, crown, so):
    assert true(key, {}, {"crown": crown}) == so


def test_hair_must_have_changed_and_skin_must_not():
    red = colour(40, 30, 25)
    nearly = tuple(np.array(red) - (0, 0, 7.9))
    assert not true("red_hair", {"crown": nearly}, {"crown": red})
    assert true("red_hair", {"crown": tuple(np.array(red) - (0, 0, 8.1))}, {"crown": red})
    assert true("red_hair", {}, {"crown": red, "cheeks": (57.9, 0, 0)})
    assert not true("red_hair", {}, {"crown": red, "cheeks": (58.1, 0, 0)})


@pytest.mark.parametrize(
    ("key", "after", "so"),
    [
        ("blue_eyes", {"irises": (50, 0, -5.1)}, True),
        ("blue_eyes", {"irises": (50, 0, -4.9)}, False),
        ("blue_eyes", {"irises": (50, 0, -9), "cheeks": (50, 0, -9)}, False),
        ("lipstick", {"lips": (50, 5.1, 0)}, True),
        ("lipstick", {"lips": (50, 4.9, 0)}, False),
        ("lipstick", {"lips": (50, 12, 0), "cheeks": (50, 8, 0)}, False),
        ("beard", {"chin": (40.9, 0, 0)}, True),
        ("beard", {"chin": (41.1, 0, 0)}, False),
        ("beard", {"chin": (30, 0, 0), "cheeks": (35, 0, 0)}, False),
        ("beanie", {"crown": (64.1, 0, 0)}, True),
        ("beanie", {"crown": (63.9, 0, 0)}, False),
        ("beanie", {"crown": (90, 0, 0), "cheeks": (59, 0, 0)}, False),
    ],
)
def test_colours_count_beyond_a_bound_and_where_skin_did_not_follow(key, after, so):
    assert true(key, {}, after) == so


@pytest.mark.parametrize(
    ("now", "light", "so"),
    [
        ((0, 0, 1, 1, 0, 0), 30, True),  # dark, far from before, in another pattern
        ((0, 1, 2, 3, 4, 5), 30, False),  # the eyes' own pattern shows through
        ((0, 0, 1, 1, 0, 0), 61, False),  # too light
    ],
)
def test_sunglasses_are_dark_and_hide_what_was_there(now, light, so):
    found = pair()
    eyes = ROWS.index("eyes")
    found.lab_before[eyes, :, 0] = 45 + np.arange(6)
    found.lab_after[eyes, :, 0] = light + np.array(now)
    assert SENTENCES["sunglasses"].true(found) == so


def face(width=40.0, gap=0.0, brow=20.0, open_=8.0, age=None) -> Look:
    """Return a face of 100 x 200 px by its mouth, the height of its brows and its eyes' opening."""
    points = np.zeros((POINTS, 2))
    turn = np.linspace(0, 2 * np.pi, len(judges.OVAL), endpoint=False)
    points[list(judges.OVAL)] = np.stack([50 * np.cos(turn), 100 * np.sin(turn)], 1)
    points[[61, 291]] = (-width / 2, 60), (width / 2, 60)
    points[[13, 14]] = (0, 60 - gap / 2), (0, 60 + gap / 2)
    points[[468, 473]] = (-25, -20), (25, -20)
    for row in judges.BROWS:
        points[list(row)] = (0, -20 - brow)
    for ring, x in zip(judges.EYES, (-25, 25), strict=True):
        turn = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
        points[list(ring)] = np.stack([x + 10 * np.cos(turn), -20 + open_ / 2 * np.sin(turn)], 1)
    return Look(np.zeros((len(ROWS), 6, 3), np.uint8), points, age=age)


@pytest.mark.parametrize(
    ("key", "before", "after", "so"),
    [
        ("laugh", {}, {"width": 42.6}, True),  # 1.06 of 40 is 42.4
        ("laugh", {}, {"width": 42.2}, False),
        ("laugh", {"gap": 4}, {"width": 44, "gap": 3.2}, True),  # 0.005 of 200 is 1 px
        ("laugh", {"gap": 4}, {"width": 44, "gap": 2.8}, False),
        ("laugh", {}, {"gap": 6.2}, True),  # 0.03 of 200 is 6 px
        ("laugh", {}, {"gap": 5.8}, False),
        ("surprise", {}, {"gap": 4.2, "brow": 20.9}, True),  # 0.02, and 1.04 of 20
        ("surprise", {}, {"gap": 3.8, "brow": 20.9}, False),
        ("surprise", {}, {"gap": 4.2, "brow": 20.7}, False),
        ("closed_eyes", {}, {"open_": 4.3}, True),  # 0.55 of 8
        ("closed_eyes", {}, {"open_": 4.5}, False),
        ("old", {"age": 40}, {"age": 48}, True),
        ("old", {"age": 40}, {"age": 47.9}, False),
        ("old", {"age": 61.9}, {"age": 66}, False),
        ("old", {"age": 62}, {"age": 62}, True),  # nobody is asked to look older still
        ("old", {"age": 62}, {"age": 61.9}, False),
        ("old", {"age": 40}, {}, False),
    ],
)
def test_movement_and_years_count_beyond_a_bound(key, before, after, so):
    assert true(key, looks=(face(**before), face(**after))) == so


def test_measures_of_a_face_are_in_its_own_size():
    look = face(width=40, gap=6, brow=20, open_=8)
    assert judges._mouth(look) == pytest.approx((0.4, 0.03))
    assert judges._brow_height(look) == pytest.approx(0.4)
    assert judges._openness(look) == pytest.approx(0.4)


def judged(image, other, key="old", **looks):
    here = places()
    first = Look(image, None, **looks.get("before", {}))
    return judges.judge(key, first, Look(other, None, **looks.get("after", {})), here)


@pytest.mark.parametrize(("changed", "kept"), [(0, True), (1, False)])
def test_what_is_away_is_untouched_if_it_moves_by_a_level_at_most(changed, kept):
    image = np.full((len(ROWS), 6, 3), 100, np.uint8)
    other = image.copy()
    other[ROWS.index("away"), 2] += 1 + changed
    found = judged(image, other)
    assert found["untouched"] == kept
    assert found["kept_away"] == pytest.approx(1 - changed / 6)
    assert found["kept"] == pytest.approx(1 - changed / (6 * len(ROWS)))


@pytest.mark.parametrize(
    ("key", "distance", "same"),
    [("old", 0.5, True), ("old", 0.51, False), ("sunglasses", 0.6, True),
     ("sunglasses", 0.61, False), ("old", None, False)],
)  # fmt: skip
def test_a_person_is_the_same_up_to_a_distance_that_lenses_widen(key, distance, same):
    image = np.full((len(ROWS), 6, 3), 100, np.uint8)
    first, second = np.zeros(128), np.zeros(128)
    second[3] = distance or 0
    looks = {"before": {"descriptor": first}}
    looks["after"] = {} if distance is None else {"descriptor": second}
    found = judged(image, image, key, **looks)
    assert found["person"] == same and found["distance"] == distance


@pytest.mark.parametrize(
    ("factor", "real"), [(0.65, False), (0.75, True), (1.35, True), (1.45, False)]
)
def test_skin_keeps_its_detail_within_bounds(factor, real):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 20, (120, 120, 1))
    first, second = (
        np.clip(128 + scale * noise, 0, 255).astype(np.uint8).repeat(3, 2) for scale in (1, factor)
    )
    everywhere, nowhere = np.ones((120, 120), bool), np.zeros((120, 120), bool)
    masks = dict.fromkeys(ROWS, nowhere) | {"face": everywhere, "cheeks": everywhere}
    found = judges.judge("old", Look(first, None), Look(second, None), Places(**masks, height=1.0))
    assert found["photograph"] == real
    assert found["detail"] == pytest.approx(factor, rel=0.03)
    assert found["untouched"] and found["kept_away"] == 1  # there is nothing away from the person


def test_places_of_a_face_in_pixels():
    points = np.zeros((POINTS, 2)) + 150
    turn = np.linspace(0, 2 * np.pi, len(judges.OVAL), endpoint=False) - np.pi / 2
    points[list(judges.OVAL)] = np.stack([150 + 50 * np.cos(turn), 160 + 80 * np.sin(turn)], 1)
    for ring, x in zip(judges.EYES, (130, 170), strict=True):
        turn = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
        points[list(ring)] = np.stack([x + 12 * np.cos(turn), 140 + 12 * np.sin(turn)], 1)
    for (middle, edge), x in zip(judges.IRISES, (130, 170), strict=True):
        points[middle], points[edge] = (x, 140), (x + 10, 140)
    person = np.zeros((320, 300), np.float32)
    person[20:, 60:240], person[:20] = 0.25, 0.15
    found = judges.find_places(points, person)
    assert found.height == pytest.approx(160)
    assert found.face[160, 150] and not found.face[160, 95] and not found.face[75, 150]
    assert found.irises[140, 138] and not found.irises[140, 141]  # 0.9 of the radius
    # A band from 0.10 to 0.26 of the height above the oval, 0.6 of its width below, 0.48 above.
    assert [bool(found.crown[y, 150]) for y in (36, 40, 62, 67)] == [False, True, True, False]
    assert [bool(found.crown[63, x]) for x in (118, 122, 178, 182)] == [False, True, True, False]
    # 0.12 of the height is 19 px.
    assert [bool(found.away[200, x]) for x in (39, 42, 257, 260)] == [True, False, False, True]
    assert not found.away[5, 150] and found.away[0, 5]
