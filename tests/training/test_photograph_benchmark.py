"""The benchmark on photographs: what the judges conclude from what they see, and the summary."""

import cv2
import numpy as np
import pytest

from training.benchmark import photo_verdicts as judges
from training.benchmark import tables
from training.benchmark.photographs import PhotographPlan, edits_key, measure, summarize
from training.config import ROOT, ConfigError

SIDE = 240
SKIN, HAIR = (205, 160, 135), (60, 45, 35)


def mesh():
    """Return a face mesh whose named points lie on an oval of 100 x 140 px, [478, 2]."""
    points = np.tile([120.0, 150.0], (478, 1))
    angles = np.linspace(0, 2 * np.pi, len(judges.OVAL), endpoint=False) - np.pi / 2
    points[list(judges.OVAL)] = np.stack([120 + 50 * np.cos(angles), 140 + 70 * np.sin(angles)], 1)
    for ring, x in zip(judges.EYES, (97, 143), strict=True):
        turn = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
        points[list(ring)] = np.stack([x + 9 * np.cos(turn), 125 + 4 * np.sin(turn)], 1)
    for (middle, edge), x in zip(judges.IRISES, (97, 143), strict=True):
        points[middle], points[edge] = (x, 125), (x + 4, 125)
    turn = np.linspace(0, 2 * np.pi, len(judges.LIPS), endpoint=False)
    points[list(judges.LIPS)] = np.stack([120 + 18 * np.cos(turn), 178 + 7 * np.sin(turn)], 1)
    points[[61, 291]], points[[13, 14]] = [(102, 178), (138, 178)], [(120, 177), (120, 178)]
    for brow, x in zip(judges.BROWS, (97, 143), strict=True):
        points[list(brow)] = (x, 110)
    for ring, x in zip(judges.CHEEKS, (90, 150), strict=True):
        points[list(ring)] = [(x - 8, 145), (x + 8, 145), (x + 8, 160), (x - 8, 160)]
    turn = np.linspace(0, 2 * np.pi, len(judges.CHIN), endpoint=False)
    points[list(judges.CHIN)] = np.stack([120 + 20 * np.cos(turn), 198 + 10 * np.sin(turn)], 1)
    return points


def portrait(points):
    """Return a picture that the mesh lies on, with noise, so that skin has detail."""
    image = np.full((SIDE, SIDE, 3), (90, 130, 90), np.uint8)
    cv2.ellipse(image, (120, 110), (75, 95), 0, 0, 360, HAIR, -1)
    image[judges.fill(image.shape, points[list(judges.OVAL)])] = SKIN
    image[judges.fill(image.shape, points[list(judges.LIPS)])] = (170, 100, 95)
    noise = np.random.default_rng(0).normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def scene():
    points = mesh()
    image = portrait(points)
    person = np.zeros((SIDE, SIDE), np.float32)
    cv2.ellipse(person, (120, 110), (75, 100), 0, 0, 360, 1.0, -1)
    look = judges.Look(image, points, np.zeros(128), 30.0)
    return look, judges.find_places(points, person)


def edited(look, place, colour, **changes):
    image = look.image.astype(float)
    image[place] += np.array(colour)
    given = {"points": look.points, "descriptor": look.descriptor, "age": look.age, **changes}
    return judges.Look(np.clip(image, 0, 255).astype(np.uint8), **given)


def test_a_photograph_that_nobody_edited_makes_no_sentence_true(scene):
    look, places = scene
    for key in judges.SENTENCES:
        found = judges.judge(key, look, look, places)
        assert not found["true"] and found["person"] and found["photograph"] and found["untouched"]


def test_colours_are_judged_where_the_sentence_is_about(scene):
    look, places = scene
    red = edited(look, places.crown, (110, 0, 0))
    green = edited(look, places.crown, (0, 90, 0))
    assert judges.judge("red_hair", look, red, places)["true"]
    assert not judges.judge("red_hair", look, green, places)["true"]
    assert judges.judge("green_hair", look, green, places)["true"]
    lips = edited(look, places.lips, (30, -40, -30))
    assert judges.judge("lipstick", look, lips, places)["true"]
    painted = edited(look, places.face, (30, -40, -30))  # the cheeks turned as red as the lips
    assert not judges.judge("lipstick", look, painted, places)["true"]


def test_movement_and_age_are_judged_by_the_mesh_and_the_years(scene):
    look, places = scene
    points = look.points.copy()
    points[[61, 291]] += [(-4, 0), (4, 0)]
    points[14] += (0, 6)
    laughing = edited(look, np.zeros_like(places.face), 0, points=points)
    assert judges.judge("laugh", look, laughing, places)["true"]
    assert not judges.judge("surprise", look, laughing, places)["true"]  # the brows stayed
    for years, old in ((37.9, False), (38.0, True)):
        older = edited(look, np.zeros_like(places.face), 0, age=years)
        assert judges.judge("old", look, older, places)["true"] == old


def test_another_person_smooth_skin_and_a_changed_wall_are_told(scene):
    look, places = scene
    other = np.zeros(128)
    other[0] = 0.55
    stranger = edited(look, places.crown, (0, 0, 0), descriptor=other)
    assert not judges.judge("red_hair", look, stranger, places)["person"]
    assert judges.judge("sunglasses", look, stranger, places)["person"]  # lenses hide the eyes
    blurred = judges.Look(cv2.GaussianBlur(look.image, (0, 0), 2), look.points, look.descriptor)
    assert not judges.judge("old", look, blurred, places)["photograph"]
    wall = edited(look, places.away & (np.arange(SIDE) < 4), (9, 9, 9))
    assert not judges.judge("old", look, wall, places)["untouched"]


def test_the_score_weighs_sentences_alike_and_asks_for_all_four_verdicts():
    good = dict.fromkeys(judges.VERDICTS, True)
    verdicts = {
        "a__old": good,
        "b__old": {**good, "person": False},
        "c__old": {**good, "true": False},
        "a__beard": good,
    }
    line = summarize(verdicts, [3.0, 1.0, 2.0])
    assert line["by_sentence"] == {"old": pytest.approx(1 / 3), "beard": 1.0}
    assert line["score"] == pytest.approx(2 / 3) and line["seconds"] == 2.0
    assert line["true"] == line["person"] == 0.75 and line["untouched"] == 1.0


def test_the_page_and_the_readme_show_the_table_best_first(tmp_path):
    line = {"edits": 2, "score": 0.5, "true": 0.5, "person": 1.0, "photograph": 1.0}
    line |= {"untouched": 1.0, "seconds": 0.9, "by_sentence": {"old": 0.5}}
    rows = {"feat": {**line, "score": 0.25}, "ffclip": line}
    text = tables.page({"photographs": {"set": "2 photographs", "rows": rows}})
    assert text.index("| `ffclip` | 2 | 0.500") < text.index("| `feat` | 2 | 0.250")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{tables.PHOTO_BEGIN}\nold\n{tables.SHORT_END}\nafter\n")
    assert tables.write_short_photographs({"rows": rows}, readme)
    assert "ffclip" in readme.read_text() and "old" not in readme.read_text()
    assert readme.read_text().endswith("after\n")


def test_what_is_missing_is_said_before_anything_is_loaded(tmp_path):
    with pytest.raises(ConfigError, match="is not a folder"):
        measure(PhotographPlan(tmp_path / "none"))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ConfigError, match="holds no b"):
        measure(PhotographPlan(tmp_path, only="a,b"))
    with pytest.raises(ConfigError, match="make judges"):
        measure(PhotographPlan(tmp_path, judge_python=tmp_path / "python"))


def test_edits_are_kept_apart_by_method():
    base = ROOT / "hub_cards/portraits-128"
    keys = [edits_key(name, base) for name in ("ffclip", "feat", "ffclip")]
    assert keys[0] == keys[2] != keys[1]
