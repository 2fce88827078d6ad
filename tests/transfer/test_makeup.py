"""What a sentence puts on skin lies where it belongs, and only if the drawn face gained it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceedit.transfer import Asked
from faceedit.transfer.makeup import make_up
from faceedit.transfer.points import curves_of
from tests.transfer.people import drawn, person, scene


@pytest.fixture(scope="module")
def photo():
    return scene(person())


@pytest.fixture(scope="module")
def face(photo):
    return drawn(person(skin_tone=0.6), photo)


def _made_up(photo, face, before, after, share=1.0, **kinds):
    asked = Asked({part: frozenset({kind}) for part, kind in kinds.items()}, share=share)
    first = replace(face, traits=before)
    return make_up(photo.view, first, replace(face, traits=after, asked=asked))


def _at(photo, curve: str, place: int, right: float = 0.0, down: float = 0.0) -> tuple[int, int]:
    """Return a row and a column at a point of a curve, moved by distances of the eyes."""
    curves = curves_of(photo.view)
    unit = np.hypot(*(curves["irises"][1] - curves["irises"][0]))
    x, y = curves[curve][place] + np.array([right, down]) * unit
    return round(y), round(x)


def test_freckles_darken_cheeks_most_in_blue_and_leave_eyes_and_lips(photo, face):
    told = {"freckles": 0.5}
    gain = _made_up(photo, face, told, told, skin="freckles").gain
    row, column = _at(photo, "irises", 0, down=0.4)
    cheek = gain[row - 5 : row + 6, column - 5 : column + 6]
    assert cheek.min() < 0.85 < np.median(cheek)  # spots, not a shade
    dark = cheek.reshape(-1, 3)[cheek.min(2).argmin()]
    assert dark[2] < dark[1] < dark[0] <= 1
    assert gain[_at(photo, "irises", 0)].min() > 0.999
    assert gain[_at(photo, "outer_upper_lip", 3, down=0.04)].min() > 0.99


@pytest.mark.parametrize(("share", "least", "most"), [(1.0, 0.70, 0.86), (0.5, 0.84, 0.93)])
def test_blush_takes_green_from_the_cheeks_by_the_strength(photo, face, share, least, most):
    found = _made_up(photo, face, {"blush": 0.1}, {"blush": 0.3}, share, skin="blush")
    assert least < found.gain[..., 1].min() < most
    assert found.gain[..., 0].min() > 0.96


def test_eyeshadow_has_the_colour_that_is_named_and_spares_the_eye(photo, face):
    found = _made_up(photo, face, {"eyeshadow": 0.1}, {"eyeshadow": 0.3}, eyeshadow="blue")
    lid = found.shift[_at(photo, "upper_lid_left", 2, down=-0.05)]
    assert lid[2] > lid[0] + 10
    assert np.abs(found.shift[_at(photo, "irises", 0)]).max() < 2
    assert np.abs(found.shift[_at(photo, "outer_upper_lip", 3)]).max() == 0


def test_nothing_is_painted_that_the_drawn_face_did_not_gain(photo, face):
    for trait, part, kind in (
        ("freckles", "skin", "freckles"),
        ("blush", "skin", "blush"),
        ("eyeshadow", "eyeshadow", ""),
    ):
        found = _made_up(photo, face, {trait: 0.2}, {trait: 0.1}, **{part: kind})
        assert found.extent() is None
        named = _made_up(photo, face, {trait: 0.2}, {trait: 0.9})
        assert named.extent() is None
