"""A sentence as the renderer's exact change, and what is said of results."""

import pytest
import torch
from PIL import Image

from demo import measures
from demo.measures import Tile
from demo.people import Person, is_easy_to_see
from demo.truth import in_words, statements_of, truth_of
from faceedit.types import EditRequest, EditResult, Latent, Space
from faceedit.world import FaceAttributes
from faceedit.world.captions import _bare, is_true
from faceedit.world.statements import STATEMENTS


@pytest.mark.parametrize(
    ("prompt", "keys"),
    [
        ("red hair", {"hair_color=red"}),
        ("Gray hair!", {"hair_color=grey"}),
        ("a smiling woman", {"femininity=woman", "smile=smile"}),
        ("make her smile", {"smile=smile"}),
        ("not smiling", {"smile=neutral"}),
        ("long wavy red hair", {"hair_color=red", "hair_style=long wavy"}),
        ("green hair and blue eyes", {"hair_color=green", "eye_color=blue"}),
        ("dark brown eyes", {"eye_color=brown"}),
        ("a man with a full beard", {"femininity=man", "beard=full"}),
        ("remove the glasses", {"glasses=none"}),
        ("take off his hat", {"hat=none"}),
        ("a young woman with pink hair wearing a red hat",
         {"age=young", "femininity=woman", "hair_color=pink", "hat_hue=red"}),
        ("against a blue background", {"background_hue=blue"}),
        ("angry", set()),
        ("", set()),
        ("🙂 привет", set()),
    ],
)  # fmt: skip
def test_sentences_are_read(prompt, keys):
    assert {statement.key for statement in statements_of(prompt)} == keys


def test_every_plain_wording_of_the_world_is_read():
    missed = []
    for statement in STATEMENTS:
        said = {found.name for found in statements_of(_bare(statement.train[0]))}
        if statement.name not in said:
            missed.append(statement.key)
    assert len(missed) <= 0.05 * len(STATEMENTS), missed


@pytest.mark.parametrize(
    "prompt",
    ["red hair", "an old person", "smiling", "a beard", "round glasses", "blue background",
     "surprised", "a square jaw", "facing left", "a middle-aged man", "a red hat"],
)  # fmt: skip
def test_the_exact_change_makes_the_sentence_true_and_nothing_else(prompt, monkeypatch):
    import faceedit.world

    rendered = []

    def counterfactual(attributes, size, **changes):
        rendered.append(attributes.replace(**changes))
        return type("Render", (), {"image": torch.zeros(1, 3, 8, 8)})

    monkeypatch.setattr(faceedit.world, "counterfactual", counterfactual)
    before = FaceAttributes.default()
    someone = Person(1, before, torch.ones(1, 3, 8, 8), torch.zeros(1, 8, 8))
    truth = truth_of(someone, prompt)
    assert truth is not None
    for key in truth.statements:
        assert bool(is_true(key, rendered[0]))
    moved = (before.values != rendered[0].values).sum()
    assert int(moved) == len(truth.changes)
    assert all(name.replace("_", " ") in in_words(truth) for name in truth.changes)


def test_what_is_true_already_needs_no_render():
    someone = Person(1, FaceAttributes.default(), torch.ones(1, 3, 8, 8), torch.zeros(1, 8, 8))
    truth = truth_of(someone, "without glasses")
    assert truth is not None and truth.changes == {}
    assert truth.image is someone.image
    assert "already" in in_words(truth)


def test_a_sentence_that_the_world_does_not_know_has_no_truth():
    someone = Person(1, FaceAttributes.default(), torch.ones(1, 3, 8, 8), torch.zeros(1, 8, 8))
    assert truth_of(someone, "a vampire") is None


def test_sampled_people_show_their_hair():
    seeds = [seed for seed in range(60) if is_easy_to_see(seed)]
    assert 10 < len(seeds) < 50


# ------------------------------------------------------------------------------ measures
def result_of(space: Space, step: torch.Tensor) -> EditResult:
    source = Latent(torch.zeros_like(step), space)
    picture = Image.new("RGB", (8, 8))
    return EditResult(picture, picture, source, Latent(step, space), EditRequest("red hair"))


def test_layers_are_relative_to_the_one_that_moved_most(backbones):
    step = torch.zeros(1, 8, 16)
    step[0, 2], step[0, 5] = 2.0, 1.0
    layers = measures.layer_reaction(result_of(Space.W_PLUS, step), backbones)
    assert layers == [0, 0, 1, 0, 0, 0.5, 0, 0]
    assert "layer 2 most" in measures.layers_picture(layers, "X")


def test_styles_count_for_the_layer_that_they_come_from(backbones):
    generator = backbones.generator
    sizes = [layer.channels for layer in generator.style_layers]
    step = torch.zeros(1, sum(sizes))
    step[0, sum(sizes[:3])] = 1.0  # the fourth style layer
    layers = measures.layer_reaction(result_of(Space.S, step), backbones)
    assert len(layers) == generator.num_ws
    assert layers.index(1.0) == generator.style_layers[3].w_index


def test_no_edit_and_other_spaces_have_no_layers(backbones):
    assert measures.layer_reaction(result_of(Space.W_PLUS, torch.zeros(1, 8, 16)), backbones) == []
    assert measures.layer_reaction(result_of(Space.X_T, torch.ones(1, 3, 8, 8)), backbones) == []


def test_collateral_is_none_for_the_same_picture_and_leaves_out_what_was_meant(backbones):
    before = torch.zeros(1, 3, 32, 32)
    after = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert measures.collateral(before, before, set(), backbones) == pytest.approx(0, abs=1e-6)
    all_of_it = measures.collateral(before, after, set(), backbones)
    assert 0 < all_of_it <= 1
    heads = {head.name for head in backbones.attributes.config.heads}
    assert measures.collateral(before, after, heads, backbones) == 0


def tile(name: str, *numbers: float) -> Tile:
    return Tile(name, name.title(), "f.png", "f.png", 0.5, *numbers)


def test_the_verdict_says_which_and_why():
    tiles = [tile("a", 0.4, 0.5, 0.2), tile("b", 0.3, 0.9, 0.05), tile("c", 0.05, 1.0, 0.0)]
    words = measures.verdict(tiles)
    assert "Best compromise: B" in words and "75%" in words and "(A)" in words
    assert "No method did this" in measures.verdict([tile("a", -0.1, 1, 0)])
    assert measures.verdict([]) == ""
    assert "Truth" not in measures.verdict([tile("truth", 0.9, 1, 0), tile("a", 0.1, 1, 0)])


def test_the_table_can_be_read_and_cannot_inject():
    bad = Tile("a", "<b>A</b>", "f", "f", 12.0, 0.1, None, 0.03, note="<i>")
    table = measures.table([bad])
    assert "<b>" not in table and "<i>" not in table.replace("<i style", "<j")
    assert table.count('scope="col"') == 5 and 'scope="row"' in table
    assert "12 s" in table and "3.0%" in table


def test_the_mask_lights_where_an_edit_acted():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    picture = measures.mask_picture(mask, Image.new("RGB", (8, 8), "white"))
    assert picture.getpixel((0, 4)) == (255, 255, 255)
    assert picture.getpixel((7, 4))[0] < 100
