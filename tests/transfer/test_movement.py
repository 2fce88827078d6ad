"""What moves in the drawn pair moves in the photograph, and nothing else does."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from faceedit.transfer import Asked
from faceedit.transfer.apply import apply
from faceedit.transfer.lids import lid_field, move_lids
from faceedit.transfer.movement import find_movement, read_mouth
from faceedit.transfer.points import curves_of, own_frame, similarity
from faceedit.transfer.reshape import reshape
from faceedit.transfer.spline import Grid, kernel, solve_plates
from tests.transfer.people import DRAWN, PHOTO, drawn, meet, person, picture, scene

# Somebody else than the photograph shows, as an inversion is.
OTHER = {"skin_tone": 0.6, "face_width": 0.4, "hair_style": "long straight", "lip_fullness": 0.5}


SMILE, FROWN, SHUT = {"smile": 1.0}, {"smile": -0.8}, {"eye_open": 0.0}
LAUGH = {"smile": 0.9, "mouth_open": 0.9}


@pytest.fixture(scope="module")
def photo():
    changes = ({}, SMILE, FROWN, SHUT, LAUGH, {"hair_color": "red"})
    meet(person(), person(**LAUGH), *(person(**OTHER, **change) for change in changes))
    return scene(person())


def _carried(photo, **change):
    before = drawn(person(**OTHER), photo)
    after = drawn(person(**OTHER, **change), photo)
    return reshape(photo.view, before, after)


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_plates_through_points_of_a_known_map_are_that_map_between_them():
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (40, 2))
    matrix, shift = np.array([[0.1, -0.2], [0.05, 0.3]]), np.array([0.4, -0.1])
    solved = solve_plates(points, points @ matrix.T + shift, smoothing=0.0)
    at = rng.uniform(-1, 1, (200, 2))
    values = kernel(at, points) @ solved[:-3] + solved[-3] + at @ solved[-2:]
    assert np.abs(values - (at @ matrix.T + shift)).max() < 1e-6


def test_a_field_on_a_grid_is_read_at_the_right_pixels_of_a_turned_frame():
    grid = Grid(np.array([-1.0, -1.0]), 0.1, (21, 21))
    turn = similarity(np.array([[20.0, 30.0], [80.0, 45.0]]), np.array([[-0.5, 0.0], [0.5, 0.0]]))
    spread = grid.spread(grid.nodes, turn, (slice(25, 50), slice(30, 70)))
    x, y = np.arange(30, 70), np.arange(25, 50)[:, None]
    expected = x[..., None] * turn[:, 0] + y[..., None] * turn[:, 1] + turn[:, 2]
    assert np.abs(spread - expected).max() < 2e-2


def test_a_pair_that_does_not_move_moves_nothing(photo):
    assert _carried(photo).extent() is None


def test_a_pair_whose_colours_change_moves_nothing_although_its_landmarks_tremble(photo):
    before = drawn(person(**OTHER), photo)
    after = drawn(person(**OTHER, hair_color="red"), photo, noise=0.0015)
    assert reshape(photo.view, before, after).move is None


@pytest.mark.parametrize(
    "change",
    [SMILE, SHUT, LAUGH],
)
def test_a_carried_expression_is_much_nearer_to_the_truth_than_pasting(photo, change):
    carried, _ = apply(photo.photo, photo.frame, _carried(photo, **change))
    true = picture(person(**change), PHOTO)
    pasted = cv2.resize(picture(person(**OTHER, **change), DRAWN), (PHOTO, PHOTO))
    assert _psnr(carried, true) > _psnr(pasted, true) + 6


def test_a_smile_lifts_the_corners_of_the_mouth_and_a_frown_lowers_them(photo):
    def corner(smile: float) -> float:
        seen = _carried(photo, smile=smile).on(photo.view)
        return float(read_mouth(own_frame(curves_of(seen))).lift.mean())

    calm = float(read_mouth(own_frame(curves_of(photo.view))).lift.mean())
    assert corner(1.0) > calm + 0.03
    assert corner(-0.8) < calm - 0.03


def test_pixels_outside_of_the_head_stay_bit_for_bit(photo):
    carried, changed = apply(photo.photo, photo.frame, _carried(photo, **LAUGH))
    assert (carried[~changed] == photo.photo[~changed]).all()
    assert changed.any()
    assert not changed[:30].any()
    assert not changed[:, :15].any()


def test_closed_eyes_show_skin_where_the_iris_was(photo):
    open_eyes, shut = photo.view.image, _carried(photo, **SHUT).on(photo.view).image
    for x, y in np.round(curves_of(photo.view)["irises"]).astype(int):
        was, now = (image[y - 2 : y + 2, x - 2 : x + 3].mean() for image in (open_eyes, shut))
        skin = open_eyes[y - 22 : y - 18, x - 2 : x + 3].mean()
        assert abs(now - skin) < 0.6 * abs(was - skin)


def test_closed_lids_meet_where_the_lower_one_was_and_keep_the_brow(photo):
    face = own_frame(curves_of(photo.view))
    lids = move_lids(face, "left", 0.0)
    assert lids.shut
    x = float(lids.x[len(lids.x) // 2])
    line = float(np.interp(x, lids.x, lids.new_upper))
    above = lid_field(lids, np.array([[[x, line - 1e-4]]]))
    at_brow = lid_field(lids, np.array([[[x, float(lids.brow.min())]]]))
    edge = float(np.interp(x, lids.x, lids.upper))
    assert line + above[0, 0] == pytest.approx(edge, abs=2e-3)
    assert at_brow[0, 0] == pytest.approx(0, abs=1e-9)


def test_a_mouth_that_opens_shows_its_dark_inside_and_teeth(photo):
    layers = _carried(photo, **LAUGH)
    inside = layers.cover[layers.alpha > 0.9].mean(1)
    assert len(inside) > 50
    assert inside.min() < 60
    assert inside.max() > 120


def test_an_open_mouth_closes_when_the_drawn_one_does():
    laughing = scene(person(**LAUGH))
    before, after = drawn(person(**OTHER, **LAUGH), laughing), drawn(person(**OTHER), laughing)
    seen = reshape(laughing.view, before, after).on(laughing.view)
    was = read_mouth(own_frame(curves_of(laughing.view))).gap
    assert was > 0.1
    assert read_mouth(own_frame(curves_of(seen))).gap < 0.35 * was


def test_a_part_that_nobody_sees_stays_as_it_is(photo):
    face = own_frame(curves_of(photo.view))
    before = own_frame(curves_of(drawn(person(**OTHER), photo)))
    after = own_frame(curves_of(drawn(person(**OTHER, **SHUT), photo)))
    assert find_movement(face, before, after).lids["left"] == 0.0
    hidden = find_movement(face, before, after, frozenset({"eyes"}))
    assert set(hidden.lids.values()) == {1.0}


def test_without_landmarks_nothing_is_moved(photo):
    from dataclasses import replace

    blind = replace(photo.view, points=None)
    before, after = drawn(person(**OTHER), photo), drawn(person(**OTHER, **SMILE), photo)
    assert reshape(blind, before, after).extent() is None


def test_what_the_reader_says_of_eyes_and_mouth_is_believed_over_timid_landmarks(photo):
    from dataclasses import replace

    before = drawn(person(**OTHER), photo)
    told = {"eye_open": 0.8, "mouth_open": 0.05, "smile": 0.0}
    first = replace(before, traits=told)
    shut = replace(before, traits=told | {"eye_open": 0.05})
    laughs = replace(before, traits=told | {"mouth_open": 0.7, "smile": 0.7})
    laughing = reshape(photo.view, first, laughs)
    assert reshape(photo.view, first, shut).gain.min() < 0.5  # lashes
    eyes = curves_of(photo.view)["irises"]
    opening = (laughing.alpha > 0.5).sum(0).max()  # px, at its highest
    assert opening > 0.12 * np.hypot(*(eyes[1] - eyes[0]))


def _asked(photo, traits, **asked):
    """Return the movement where a pair shows one and the same face, with some traits."""
    face = replace(drawn(person(**OTHER), photo), traits={"age": 40.0, **traits})
    return reshape(photo.view, face, replace(face, asked=Asked(only=True, **asked)))


def test_a_laugh_that_the_drawn_face_had_already_is_reached_if_the_sentence_names_it(photo):
    laughs = {"smile": 0.9, "mouth_open": 0.8}
    kinds, about = {"mouth": frozenset({"laughing"})}, frozenset({"mouth"})
    assert _asked(photo, laughs, about=about).extent() is None
    opened = _asked(photo, laughs, kinds=kinds, about=about)
    assert opened.alpha is not None and opened.alpha.max() == 1  # the inside of a mouth
    half = _asked(photo, laughs, kinds=kinds, about=about, share=0.5)
    assert 0.2 < np.abs(half.move).max() / np.abs(opened.move).max() < 0.8
    serious = _asked(photo, {"smile": 0.0, "mouth_open": 0.0}, kinds=kinds, about=about)
    assert serious.extent() is None  # the method did not do it


def test_a_sentence_about_hair_moves_nothing(photo):
    before, after = drawn(person(**OTHER), photo), drawn(person(**OTHER, **LAUGH), photo)
    about = Asked(only=True, about=frozenset({"hair"}))
    assert reshape(photo.view, before, after).extent() is not None
    assert reshape(photo.view, before, replace(after, asked=about)).extent() is None


def test_a_frown_that_the_drawn_face_had_already_is_reached_if_the_sentence_names_it(photo):
    sad, about = {"smile": -0.8, "mouth_open": 0.0}, frozenset({"mouth"})
    assert _asked(photo, sad, about=about).extent() is None
    found = _asked(photo, sad, kinds={"mouth": frozenset({"frowning"})}, about=about)
    x, y = curves_of(photo.view)["outer_upper_lip"][0].round().astype(int)
    assert found.move[y, x, 1] < -0.5  # the corner's pixels come from above it: it went down
    inner = curves_of(photo.view)["brow_left"][-1].round().astype(int)
    assert found.move[inner[1], inner[0], 1] < -0.2
