"""Years fold the photograph's skin, and only its skin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceedit.transfer import Asked
from faceedit.transfer.ageing import aged, ageing
from faceedit.transfer.folds import Fold, fold_shade
from faceedit.transfer.movement import find_movement, read_mouth
from faceedit.transfer.points import curves_of, own_frame, upright
from faceedit.transfer.reshade import reshade, skin_mask
from tests.transfer.people import drawn, person, scene


@pytest.fixture(scope="module")
def photo():
    return scene(person())


@pytest.fixture(scope="module")
def face(photo):
    return drawn(person(skin_tone=0.6), photo)


def _aged(view, years: float):
    return replace(view, traits={"age": view.traits["age"] + years})


def test_a_pair_of_one_age_shades_nothing(photo, face):
    assert reshade(photo.view, face, _aged(face, 3.0)).extent() is None


def test_without_a_reader_of_ages_nothing_is_guessed(face):
    assert ageing(face, replace(face, traits={})) == 0.0


def test_age_is_carried_by_degrees_and_both_ways(face):
    amounts = [ageing(face, _aged(face, years)) for years in (-30, 0, 12, 18, 30)]
    assert amounts == sorted(amounts)
    assert amounts[0] < 0 < amounts[2] < amounts[3] <= 1
    assert amounts[1] == 0


def test_an_old_face_is_folded_beside_the_nose_and_its_eyes_and_lips_stay(photo, face):
    gain = reshade(photo.view, face, _aged(face, 30.0)).gain[..., 1]
    skin = skin_mask(
        photo.view, curves_of(photo.view), 1 / np.hypot(*upright(curves_of(photo.view))[:, 0])
    )
    assert gain.min() < 0.85
    assert np.abs(gain[skin == 0] - 1).max() < 1e-3
    x, y = np.round(curves_of(photo.view)["irises"][0]).astype(int)
    assert gain[y, x] == pytest.approx(1, abs=1e-3)


def test_a_younger_face_loses_contrast_in_its_own_folds(photo, face):
    rng = np.random.default_rng(0)
    rough = photo.view.image * (1 + 0.08 * rng.standard_normal(photo.view.shape))[..., None]
    view = replace(photo.view, image=np.clip(rough, 0, 255))
    young = reshade(view, face, _aged(face, -30.0)).on(view).image
    curves = curves_of(view)
    x, y = np.round((curves["upper_lid_left"][0] + curves["outer_upper_lip"][0]) / 2).astype(int)
    patch = slice(y - 8, y + 9), slice(x - 8, x + 9)
    assert young[patch][..., 1].std() < 0.95 * view.image[patch][..., 1].std()


def test_a_fold_is_darkest_on_its_path_and_lighter_beside_it(photo):
    curves = curves_of(photo.view)
    to_own, shape = upright(curves), photo.view.shape
    fold = Fold(np.array([[-0.4, 0.5], [0.4, 0.5]]), depth=0.2, width=0.03, lit=1.0)
    box = slice(0, shape[0]), slice(0, shape[1])
    shade = fold_shade([(fold, 1.0)], own_frame(curves), to_own, box, 0.01)
    column = round((curves["irises"][:, 0]).mean())
    rows = shade[:, column]
    y = (np.arange(shape[0]) * to_own[1, 1]) + to_own[1, 0] * column + to_own[1, 2]
    assert y[rows.argmin()] == pytest.approx(0.5, abs=0.02)
    assert rows.min() < -0.1
    assert rows.max() > 0.03


def test_years_thin_the_lips_and_lower_the_brows(photo, face):
    own = own_frame(curves_of(photo.view))
    still = find_movement(own, own, own)
    older = aged(still, own, 1.0)
    assert older.mouth.upper < 1
    assert older.shifts["brow_left"][:, 1].min() > 0
    assert aged(still, own, 0.0) == still
    assert read_mouth(own).upper > 0


def test_youth_that_the_sentence_names_takes_back_what_years_did(face):
    asked = Asked({"age": frozenset({"young"})}, known=True)

    def rejuvenated(age: float, years: float) -> float:
        before = replace(face, traits={"age": age})
        return ageing(before, replace(before, traits={"age": age + years}, asked=asked))

    assert rejuvenated(75.0, -4.0) == -1.0
    assert -0.6 < rejuvenated(55.0, -4.0) < -0.3
    assert rejuvenated(30.0, 0.0) == 0.0
    assert rejuvenated(75.0, 0.0) == 0.0  # the method did not mean it
