"""What the weights that ship make of denials, of the order of wishes and of opposites."""

import pytest
import torch

from faceedit.editor import FaceEditor
from faceedit.types import Face, Latent, Space
from faceedit.words.sentence import read
from training.benchmark.judges import Judges
from training.benchmark.words import denials
from training.config import ROOT

BASE = ROOT / "hub_cards/portraits-128"


@pytest.fixture(scope="module")
def editor() -> FaceEditor:
    return FaceEditor.from_pretrained(BASE)


@pytest.fixture(scope="module")
def judges() -> Judges:
    return Judges.load(ROOT / "hub_cards/judges", scaled=False)


@pytest.fixture(scope="module")
def faces(editor) -> Face:
    generator = editor.backbones.generator
    codes = generator.sample_w_plus(6, torch.Generator().manual_seed(4242), 0.7)
    with torch.no_grad():
        return Face(generator.synthesis(codes), Latent(codes, Space.W_PLUS))


def edited(editor: FaceEditor, faces: Face, prompt: str, strength: float = 1.0) -> Face:
    words = read([prompt] * len(faces.image), "a face", editor.backbones.clip)
    return editor.method("counterfactual").edit(faces, words, editor.backbones, strength)


def test_nobody_gains_what_is_denied_and_who_has_it_loses_it(editor, judges):
    found = list(denials(editor, judges, ["counterfactual"], ["glasses", "beard"], 6))
    assert {one.thing for one in found} == {"glasses", "beard"} and len(found) == 4
    for one in found:
        assert (one.had, one.lacked, one.gained) == (6, 6, 0), one
        assert one.lost >= 0.7 * one.had, one


def test_the_order_of_wishes_changes_nothing(editor, faces):
    one = edited(editor, faces, "red hair and a hat")
    other = edited(editor, faces, "a hat and red hair")
    assert torch.allclose(one.latent.code, other.latent.code, atol=1e-5)


def test_the_opposite_of_an_old_person_is_plainly_younger(editor, faces, judges):
    def age(face: Face) -> torch.Tensor:
        return judges.read(face.image)[0].column("age")

    younger = age(edited(editor, faces, "an old person", -1.0))
    assert (younger < age(faces)).all() and younger.mean() < age(faces).mean() - 5
