"""Whatever a caller gives, what comes back is a result or an error that says what is allowed."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from faceedit import FaceEditor
from faceedit.errors import FaceEditError, RequestError

ODD = (
    10**400,
    -1,
    1.5,
    math.nan,
    math.inf,
    Fraction(10**400),
    "x",
    b"x",
    "\ud800",
    "\0",
    [],
    {},
    (),
)
ODD += (object(), np.zeros(3), torch.zeros(2), True, lambda: None, 3 + 4j, "~nobody-there/x", [[]])


@pytest.fixture(scope="module")
def editor(backbones):
    return FaceEditor(backbones)


def attempt(call, **arguments):
    """Return what is wrong if the call ends with any other error than ours."""
    try:
        call(**arguments)
    except FaceEditError as error:
        assert len(str(error)) < 700, arguments
    except Exception as error:
        return f"{arguments}: {type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize(
    "name",
    ["strength", "seed", "method", "variant", "neutral", "layers", "mask", "output", "prompt"],
)
def test_odd_settings_of_an_edit_are_named(editor, name):
    face = editor.sample(0)
    usual = {"photo": face, "prompt": "red hair", "method": "styleclip_optimization", "strength": 0}
    wrong = [attempt(editor.edit, **{**usual, name: value}) for value in ODD]
    assert not list(filter(None, wrong))


def test_odd_photos_faces_and_steps_are_named(editor):
    photo = np.zeros((64, 64, 3), np.uint8)
    wrong = [attempt(editor.edit, photo=value, prompt="red hair") for value in ODD]
    for name in ("face_index", "refine_steps"):
        wrong += [attempt(editor.invert, photo=photo, **{name: value}) for value in ODD]
    assert not list(filter(None, wrong))


def test_odd_seeds_devices_folders_and_lists_are_named(editor, base_folder):
    wrong = []
    for value in ODD:
        wrong.append(attempt(editor.sample, seed=value))
        wrong.append(attempt(editor.sample, truncation_psi=value))
        wrong.append(attempt(editor.to, device=value))
        wrong.append(attempt(editor.method, name=value))
        wrong.append(attempt(editor.compare, photo=editor.sample(0), prompt="x", methods=value))
        wrong.append(attempt(FaceEditor.from_pretrained, name=base_folder, device=value))
        wrong.append(attempt(FaceEditor.from_pretrained, name=base_folder, dtype=value))
        wrong.append(attempt(FaceEditor.from_pretrained, name=base_folder, base=value))
    assert not list(filter(None, wrong))


def test_one_name_is_no_list_of_names(editor):
    with pytest.raises(RequestError, match="list of names"):
        editor.compare(editor.sample(0), "red hair", "ffclip")


def test_a_message_stays_short_however_much_was_given(editor):
    for photo in ("a" * 5000, "no such file " * 1000):
        with pytest.raises(FaceEditError) as told:
            editor.edit(photo, "red hair")
        assert photo[:60] in str(told.value) and len(str(told.value)) < 1600
