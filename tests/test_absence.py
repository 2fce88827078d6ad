"""What is wanted gone: who shows it is edited until it is gone, and nobody else."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from faceedit.absence import edit_where_shown, not_gone, shown
from faceedit.backbones.attributes import AttributeHead
from faceedit.types import Face, Latent, Space
from faceedit.words.frames import HOUSE
from faceedit.words.sentence import read


class Red:
    """Sees a hat where the picture is red, and as much lipstick as it is green."""

    config = SimpleNamespace(
        heads=(
            AttributeHead("hat", 0, 2, ("none", "beanie", "cap")),
            AttributeHead("lipstick", 0.0, 1.0),
        )
    )

    def __call__(self, images):
        red, green = images[:, 0].mean((1, 2)), images[:, 1].mean((1, 2))
        chance = red.clamp(0.01, 0.99)
        hat = torch.stack([(1 - chance).log(), chance.log(), torch.full_like(red, -99)], dim=1)
        return {"hat": hat, "lipstick": green}


def faces(*red: float, green: float = 0.0) -> Face:
    image = torch.zeros(len(red), 3, 4, 4)
    image[:, 0], image[:, 1] = torch.tensor(red)[:, None, None], green
    return Face(image, Latent(torch.zeros(len(red), 1, 2), Space.W_PLUS))


class Less:
    """An edit that takes red away, adds 1 to the code, and notes what it was asked."""

    def __init__(self, red: float = 0.6):
        self.asked, self.red = [], red

    def __call__(self, face, sentence):
        self.asked.append((sentence.prompt, len(face.image)))
        image = face.image - torch.tensor([self.red, 0, 0])[:, None, None]
        return Face(image, Latent(face.latent.code + 1, face.latent.space), face.mask)


@pytest.fixture
def seeing(backbones):
    return replace(backbones, attributes=Red())


def edit(source, prompt, backbones, until_gone=True, red=0.6):
    method = Less(red)
    sentence = read(prompt, "a face", backbones.clip)
    edited = edit_where_shown(source, sentence, backbones, method, HOUSE, until_gone=until_gone)
    return edited, method.asked


def test_who_shows_it_is_edited_until_it_is_gone_and_nobody_else(seeing):
    source = faces(0.95, 0.5, 0.1)
    edited, _ = edit(source, "no hat", seeing)
    assert edited.latent.code[:, 0, 0].tolist() == [2, 1, 0]
    assert edited.image[:, 0, 0, 0].tolist() == pytest.approx([-0.25, -0.1, 0.1])
    once, asked = edit(source, "no hat", seeing, until_gone=False)
    assert once.latent.code[:, 0, 0].tolist() == [1, 1, 0]
    assert asked == [(("no hat",), 2)]


def test_what_is_wanted_beside_it_is_asked_of_everybody(seeing):
    edited, asked = edit(faces(0.5, 0.1), "red hair without a hat", seeing)
    assert edited.latent.code[:, 0, 0].tolist() == [1, 1]
    assert sorted(asked) == [(("no hat, red hair",), 1), (("red hair",), 1)]


def test_a_face_is_edited_at_most_three_times(seeing):
    edited, _ = edit(faces(0.95), "no hat", seeing, red=0.2)
    assert edited.latent.code[0, 0, 0] == 3


def test_a_repeated_edit_that_shows_no_less_or_leads_far_away_is_not_taken(seeing):
    sentence = read("no hat", "a face", seeing.clip)
    for less, longer in ((0.0, 1), (0.6, 2)):
        steps = []

        def forward(face, words, less=less, longer=longer, steps=steps):
            steps.append(longer if steps else 1)
            image = face.image - torch.tensor([less, 0, 0])[:, None, None]
            return Face(image, Latent(face.latent.code + steps[-1], Space.W_PLUS))

        edited = edit_where_shown(faces(0.95), sentence, seeing, forward, HOUSE, until_gone=True)
        assert edited.latent.code[0, 0, 0] == 1 and len(steps) == 2


def test_what_nobody_can_tell_is_edited_once(seeing, backbones):
    for prompt, networks in (("no freckles", seeing), ("no hat", backbones)):
        assert edit(faces(-0.5, 0.9), prompt, networks)[1] == [((prompt,), 2)]


def test_what_is_to_be_there_is_left_to_the_method(seeing):
    assert edit(faces(0.9, -0.5), "a hat", seeing)[1] == [(("a hat",), 2)]


def test_amounts_and_chances_tell_how_much_is_shown():
    images = faces(0.8, 0.1, green=0.4).image
    assert shown("a hat", images, Red()).tolist() == pytest.approx([0.8, 0.1])
    assert shown("lipstick", images, Red()).tolist() == pytest.approx([0.4, 0.4])
    assert shown("make-up", images, Red()).tolist() == pytest.approx([0.4, 0.4])
    assert shown("a fringe", images, Red()) is None


def test_what_an_edit_could_not_take_away_is_said(backbones):
    sentence = read("no hat and no lipstick", "a face", backbones.clip)
    said = not_gone(faces(0.9, green=0.4), sentence, Red())
    assert said == "this method did not take away a hat; try another one"
    assert not_gone(faces(0.4), sentence, Red()) is None
    assert not_gone(faces(0.9), read("a hat", "a face", backbones.clip), Red()) is None
    assert not_gone(faces(0.9), sentence, None) is None
