"""What is new or gone in a photograph: heads are found, things sit where the renderer knows."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from faceedit.transfer.apply import apply
from faceedit.transfer.fill import mirrored_fill, spread_colours
from faceedit.transfer.frame import Frame
from faceedit.transfer.head import AVERAGE_HEAD, SKULL_AXES, SKULL_CENTRE, Head, fit_head, rotation
from faceedit.transfer.light import (
    FACE_AXES,
    FACE_CENTRE,
    Light,
    display,
    read_light,
    surface_normals,
)
from faceedit.transfer.replace import replace_parts
from faceedit.transfer.view import View
from faceedit.world import REGIONS, render, sample_attributes
from faceedit.world.attributes import GLASSES, HATS
from faceedit.world.landmarks import LANDMARKS, landmarks

SIZE = 128
BARE = {"hat": 0.0, "glasses": 0.0, "earrings": 0.0, "beard": 0.0, "moustache": 0.0}
CUT = {"hair_style": 2.0, "yaw": 6.0, "pitch": 0.0, "smile": 0.1, "mouth_open": 0.0}


def _head(yaw=0.0, pitch=0.0, roll=0.0):
    return Head(rotation(yaw, pitch, roll), 2.0, np.array([200.0, 180.0]), np.ones(3))


def test_a_head_is_found_as_it_is_turned():
    truth = _head(yaw=0.3, pitch=-0.08, roll=0.12)
    points = {name: truth.project(np.array(place)) for name, place in AVERAGE_HEAD.items()}
    found = fit_head(points)
    assert abs(found.scale - truth.scale) < 0.05
    assert np.abs(found.turn - truth.turn).max() < 0.06
    with pytest.raises(ValueError, match="both pupils"):
        fit_head({"chin": np.zeros(2)})


def test_rays_meet_an_ellipsoid_on_its_surface_before_its_centre():
    head = _head(yaw=0.2, pitch=0.1)
    points, inside = head.meet((360, 400), SKULL_CENTRE, SKULL_AXES)
    hit = points[inside > 0.05]
    on_it = (((hit - SKULL_CENTRE) / SKULL_AXES) ** 2).sum(1)
    assert np.abs(on_it - 1).max() < 1e-3
    assert (head.facing(hit) > head.facing(SKULL_CENTRE)).all()
    rows, columns = np.nonzero(inside > 0.05)
    assert np.abs(head.project(hit) - np.stack([columns, rows], 1)).max() < 0.05


def test_a_hole_in_stripes_is_filled_with_stripes():
    x = np.arange(96)
    stripes = np.repeat((128 + 90 * np.sin(x / 2.5))[None, :, None], 96, 0).repeat(3, 2)
    image = stripes.astype(np.float32)
    hole = np.zeros((96, 96), bool)
    hole[30:60, 36:60] = True
    spoilt = image.copy()
    spoilt[hole] = 0
    filled = mirrored_fill(spoilt, hole, np.ones_like(hole))
    assert (filled[~hole] == spoilt[~hole]).all()
    error = np.abs(filled - image)[hole].mean()
    smooth = np.abs(spread_colours(spoilt, ~hole) - image)[hole].mean()
    assert error < 0.9 * smooth
    assert filled[hole].std() > 0.5 * image[hole].std()


def test_light_from_the_left_is_read_from_the_skin():
    head = _head()
    lit = Light(np.array([-0.35, 0.1]), np.ones(3))
    points, inside = head.meet((420, 400), FACE_CENTRE, FACE_AXES)
    normals = surface_normals(points, FACE_CENTRE, FACE_AXES, head)
    face = display(0.4 * lit.on(normals))[..., None].repeat(3, 2)
    found = read_light(face, (inside > 0).astype(np.float32), head)
    assert found.slope[0] == pytest.approx(-0.35, abs=0.08)


@cache
def _person(seed, **wanted):
    """A render as a photograph's view, with everything that the renderer knows of it."""
    person = sample_attributes(1, seed).replace(**(BARE | CUT | wanted))
    drawn = render(person, SIZE)
    image = drawn.image[0].permute(1, 2, 0).add(1).mul(127.5).numpy().astype(np.float32)
    label = drawn.segmentation[0].numpy()
    points = landmarks(person, SIZE).points[0].numpy() - 0.5
    regions = {name: (label == i).astype(np.float32) for i, name in enumerate(REGIONS)}
    ones = np.ones((SIZE, SIZE), np.float32)
    return View(
        image, regions, ones, (0.0, 0.0, float(SIZE)), 1.0, points.astype(np.float32), LANDMARKS
    )


def _overlap(a, b):
    return (a & b).sum() / max((a | b).sum(), 1)


@pytest.mark.parametrize(("kind", "share"), [("beanie", 0.55), ("sun hat", 0.45)])
def test_a_hat_lies_where_the_renderer_puts_it(kind, share):
    bare, hatted = _person(3), _person(3, hat=float(HATS.index(kind)))
    found = replace_parts(bare, bare, hatted)
    truth = hatted.region("hat") > 0.5
    assert found.alpha is not None
    assert _overlap(found.alpha > 0.5, truth) > share


@pytest.mark.parametrize("style", ["round", "sunglasses"])
def test_glasses_sit_on_the_pupils(style):
    bare, worn = _person(3), _person(3, glasses=float(GLASSES.index(style)))
    found = replace_parts(bare, bare, worn)
    assert found.alpha is not None
    x, y = bare.point("left_iris_0").round().astype(int)
    seen = found.alpha[y - 2 : y + 3, x - 2 : x + 3].mean()
    assert seen > 0.8 if style == "sunglasses" else seen < 0.3
    if style == "sunglasses":
        assert found.cover[y, x].max() < 60
    truth = worn.region("glasses", "lens") > 0.5
    assert (found.alpha > 0.5)[~truth].mean() < 0.05


def test_a_beard_grows_on_the_jaw_and_never_on_the_lips():
    bare, grown = _person(3), _person(3, beard=3.0, moustache=0.8)
    found = replace_parts(bare, bare, grown)
    assert found.alpha is not None
    truth = grown.region("beard") > 0.5
    assert _overlap(found.alpha > 0.4, truth) > 0.5
    lips = bare.region("lips") > 0.5
    assert found.alpha[lips].mean() < 0.2


def test_what_both_faces_wear_is_not_carried():
    worn = _person(3, glasses=float(GLASSES.index("round")))
    found = replace_parts(_person(3), worn, worn)
    assert found.extent() is None


def test_outside_of_what_is_drawn_the_photograph_stays_bit_for_bit():
    bare, hatted = _person(3), _person(3, hat=float(HATS.index("beanie")))
    photo = np.clip(bare.image, 0, 255).round().astype(np.uint8)
    frame = Frame(np.eye(2, 3), (SIZE, SIZE), (0.0, 0.0, float(SIZE)), (SIZE, SIZE))
    image, changed = apply(photo, frame, replace_parts(bare, bare, hatted))
    assert changed.any() and not changed.all()
    assert (image[~changed] == photo[~changed]).all()
    assert (image[:40, :8] == photo[:40, :8]).all()


def test_a_picture_without_landmarks_is_left_alone():
    bare, hatted = _person(3), _person(3, hat=float(HATS.index("beanie")))
    blind = replace(bare, points=None, names=())
    assert replace_parts(blind, bare, hatted).extent() is None
