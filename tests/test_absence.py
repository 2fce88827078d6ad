"""What is wanted gone: who shows it is edited until it is gone, and nobody else."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from faceedit.absence import edit_where_shown, is_unchanged, not_gone, shown
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


@pytest.mark.parametrize(("red", "edited"), [(0.14, False), (0.16, True)])
def test_a_face_that_shows_fifteen_hundredths_of_a_thing_is_edited(seeing, red, edited):
    found, _ = edit(faces(red), "no hat", seeing)
    assert bool(found.latent.code[0, 0, 0]) == edited


@pytest.mark.parametrize(("red", "steps"), [(0.88, 1), (0.92, 2)])
def test_an_edit_is_repeated_where_three_tenths_of_a_thing_are_left(seeing, red, steps):
    found, _ = edit(faces(red), "no hat", seeing)  # 0.6 less: 0.28, and 0.32
    assert found.latent.code[0, 0, 0] == steps


@pytest.mark.parametrize(
    ("less", "length", "taken"),
    [(0.09, 1.0, False), (0.11, 1.0, True), (0.3, 1.2, True), (0.3, 1.3, False)],
)
def test_a_repeated_edit_is_taken_if_it_shows_a_tenth_less_and_goes_hardly_farther(
    seeing, less, length, taken
):
    steps = []

    def forward(face, words):
        steps.append(length if steps else 1.0)
        image = face.image - torch.tensor([less, 0, 0])[:, None, None]
        return Face(image, Latent(face.latent.code + steps[-1], Space.W_PLUS))

    sentence = read("no hat", "a face", seeing.clip)
    edited = edit_where_shown(faces(0.95), sentence, seeing, forward, HOUSE, until_gone=True)
    assert (float(edited.latent.code[0, 0, 0]) > 1) == taken


def test_what_is_left_of_a_thing_is_said_where_it_is_more_than_half_and_the_edit_was_whole(
    backbones,
):
    sentence = read("no hat", "a face", backbones.clip)
    assert not_gone(faces(0.51), sentence, Red()) is not None
    assert not_gone(faces(0.49), sentence, Red()) is None
    assert not_gone(faces(0.9), sentence, Red(), strength=0.99) is None
    both = read("no hat and no lipstick", "a face", backbones.clip)
    said = not_gone(faces(0.9, green=0.8), both, Red())
    assert said == "this method did not take away a hat and lipstick; try another one"


class Chances:
    """Sees in every picture the same chances of a beard's kinds, and the same moustache."""

    config = SimpleNamespace(
        heads=(
            AttributeHead("beard", 0, 3, ("none", "stubble", "goatee", "full")),
            AttributeHead("moustache", 0.0, 1.0),
        )
    )

    def __init__(self, beard: tuple[float, ...], moustache: float):
        self.beard, self.moustache = beard, moustache

    def __call__(self, images):
        n = len(images)
        return {"beard": torch.tensor(self.beard).log().expand(n, -1),
                "moustache": torch.full((n,), self.moustache)}  # fmt: skip


@pytest.mark.parametrize(
    ("thing", "beard", "moustache", "degree"),
    [
        ("a beard", (0.4, 0.1, 0.2, 0.3), 0.1, 0.6),  # its kinds together
        ("a beard", (0.4, 0.1, 0.2, 0.3), 0.9, 0.9),  # or what shows most
        ("a moustache", (0.1, 0.1, 0.2, 0.6), 0.25, 0.25),
        ("a moustache", (0.1, 0.1, 0.2, 0.6), 1.7, 1.0),
        ("a moustache", (0.1, 0.1, 0.2, 0.6), -0.5, 0.0),
    ],
)
def test_how_much_of_a_thing_is_shown(thing, beard, moustache, degree):
    seen = shown(thing, torch.zeros(2, 3, 4, 4), Chances(beard, moustache))
    assert seen.tolist() == pytest.approx([degree] * 2)


def test_an_edit_that_changes_neither_code_nor_picture_changed_nothing():
    source = faces(0.5)
    same = Face(source.image.clone(), Latent(source.latent.code.clone(), Space.W_PLUS))
    assert is_unchanged(source, same)
    assert not is_unchanged(source, source)  # nothing was asked for
    code = Face(source.image.clone(), Latent(source.latent.code + 1, Space.W_PLUS))
    assert not is_unchanged(source, code)
    assert not is_unchanged(source, Face(source.image + 1, same.latent))


def test_masks_of_faces_that_are_edited_apart_are_put_together(seeing):
    def forward(face, words):
        mask = torch.full((len(face.image), 1, 4, 4), 0.25 if "red" in words.prompt[0] else 0.75)
        return Face(face.image - 0.6, Latent(face.latent.code + 1, Space.W_PLUS), mask)

    sentence = read("no hat and red hair", "a face", seeing.clip)
    edited = edit_where_shown(faces(0.5, 0.1), sentence, seeing, forward, HOUSE, until_gone=False)
    assert edited.mask[:, 0, 0, 0].tolist() == [0.25, 0.25]
    sentence = read("no hat", "a face", seeing.clip)
    edited = edit_where_shown(faces(0.5, 0.1), sentence, seeing, forward, HOUSE, until_gone=False)
    assert edited.mask[:, 0, 0, 0].tolist() == [0.75, 0.0]
