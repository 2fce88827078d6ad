"""The method that learns from true edits: both signs, and what its score says."""

import dataclasses

import pytest
import torch

from faceedit.additions import Additions
from faceedit.errors import MissingBackboneError
from faceedit.losses.true_edits import Meaning, disturbed, image_distance, log_odds, unseen
from faceedit.methods.counterfactual import (
    Counterfactual,
    CounterfactualEditor,
)
from faceedit.types import Face, Latent, Space
from faceedit.words.sentence import read, turned_round
from faceedit.words.wishes import wishes


@pytest.fixture
def method(backbones):
    return CounterfactualEditor.build(backbones, width=16, traits=8)


@pytest.fixture
def source(backbones):
    w_plus = backbones.generator.sample_w_plus(3, torch.Generator().manual_seed(5), 0.7)
    with torch.no_grad():
        return Face(backbones.generator(w_plus), Latent(w_plus, Space.W_PLUS))


@pytest.fixture
def sentence(backbones):
    return read(["red hair", "glasses", "an old face"], "a face", backbones.clip)


def with_truth(sentence, source, delta, backbones):
    """A sentence whose true edit adds `delta` to the code."""
    code = source.latent.code + delta
    with torch.no_grad():
        truth = Face(backbones.generator(code), Latent(code, Space.W_PLUS))
    return Counterfactual(*(getattr(sentence, f.name) for f in dataclasses.fields(sentence)), truth)


def moved(source, delta, backbones):
    code = source.latent.code + delta
    return Face(backbones.generator(code), Latent(code, Space.W_PLUS))


def test_edit_is_linear_in_strength_on_either_side(method, source, sentence, backbones):
    start = source.latent.code
    for sign in (1, -1):
        steps = [
            method.edit(source, sentence, backbones, sign * a).latent.code - start for a in (0.5, 2)
        ]
        assert torch.allclose(4 * steps[0], steps[1], atol=1e-5)


def test_more_than_one_leads_on_to_the_second_level(method, source, sentence, backbones):
    method = CounterfactualEditor(dataclasses.replace(method.config, learned_overdrive=True))
    start = source.latent.code

    def moved_by(strength):
        return method.edit(source, sentence, backbones, strength).latent.code - start

    with torch.no_grad():
        levels = [method.displacement(start, sentence, backbones, level) for level in (1.0, 2.0)]
    assert not torch.allclose(2 * levels[0], levels[1])
    for strength in (0.5, 1.0):
        assert torch.allclose(moved_by(strength), strength * levels[0], atol=1e-5)
    assert torch.allclose(moved_by(1.5), (levels[0] + levels[1]) / 2, atol=1e-5)
    assert torch.allclose(moved_by(2.0), levels[1].expand_as(start), atol=1e-5)


def test_taking_away_is_another_question_than_adding(method, source, sentence, backbones):
    code = source.latent.code
    with torch.no_grad():
        added, taken = (method.displacement(code, sentence, backbones, s) for s in (1.0, -1.0))
    assert not torch.allclose(added, taken)


def test_a_negative_strength_takes_back_the_step_that_most_likely_led_there(
    method, source, backbones
):
    method.eval()
    hat = read("red hair", "a face", backbones.clip)  # it has no other end
    with torch.no_grad():
        led, leads = (
            method.displacement(source.latent.code, hat, backbones, level) for level in (-1.0, 1.0)
        )
        moved = method.edit(source, hat, backbones, -0.5).latent.code - source.latent.code
    assert not torch.allclose(led, leads, atol=1e-4)
    assert torch.allclose(moved, -0.5 * led.expand_as(moved), atol=1e-5)


def test_a_negative_strength_of_what_has_another_end_asks_for_that(method, source, backbones):
    method.eval()
    old, young = (read(p, "a face", backbones.clip) for p in ("an old face", "a young face"))
    back = method.edit(source, old, backbones, -0.5).latent.code
    forth = method.edit(source, young, backbones, 0.5).latent.code
    assert not torch.allclose(back, source.latent.code, atol=1e-4)
    asked = turned_round(old, wishes, backbones.clip)
    there = method.edit(source, asked, backbones, 0.5).latent.code
    assert torch.allclose(back, there, atol=1e-5)
    assert asked.prompt == young.prompt or not torch.allclose(forth, there)


def test_wishes_are_fulfilled_one_after_the_other(method, source, backbones):
    method.eval()
    both = read("a red mohawk with glasses", "a face", backbones.clip)
    edited, expected = method.edit(source, both, backbones), source
    for wish in ("red hair", "a mohawk", "glasses"):
        expected = method.edit(expected, read(wish, "a face", backbones.clip), backbones)
    assert torch.allclose(edited.latent.code, expected.latent.code, atol=1e-4)
    together = CounterfactualEditor(
        dataclasses.replace(method.config, additions=Additions(sequential=False))
    )
    together.load_state_dict(method.state_dict())
    assert not torch.allclose(
        together.eval().edit(source, both, backbones).latent.code, expected.latent.code, atol=1e-4
    )


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("red hair", ["red hair"]),
        ("blond curly hair and glasses", ["blond hair", "curly hair", "glasses"]),
        ("a red-haired man with a beard", ["red hair", "a beard"]),
        ("long and curly brown hair", ["brown hair", "long and curly hair"]),
        ("make her look happy and old", ["old", "happy"]),
        ("a man with a full beard", ["a man with a full beard"]),
        ("glorp and zib", ["glorp and zib"]),
    ],
)
def test_wishes_of_a_sentence(prompt, expected):
    assert wishes(prompt) == expected


def test_one_sentence_serves_a_batch_of_faces(method, source, sentence, backbones):
    one = read("red hair", "a face", backbones.clip)
    edited = method.edit(source, one, backbones)
    alone = Face(source.image[:1], Latent(source.latent.code[:1], Space.W_PLUS))
    expected = method.edit(alone, sentence_of(sentence, 0), backbones)
    assert torch.allclose(edited.latent.code[:1], expected.latent.code, atol=1e-5)


def sentence_of(sentence, index):
    chosen = slice(index, index + 1)
    return dataclasses.replace(
        sentence,
        prompt=sentence.prompt[chosen],
        target=sentence.target[chosen],
        neutral_embedding=sentence.neutral_embedding[chosen],
    )


def test_true_edit_scores_best(method, source, sentence, backbones):
    delta = 0.3 * torch.randn(3, 1, 16)
    known = with_truth(sentence, source, delta, backbones)
    scores = []
    for share in (0.0, 0.5, 1.0, 1.5):
        edited = moved(source, share * delta, backbones)
        scores.append(sum(method.objective(source, edited, known, backbones).values()).item())
    assert min(scores) == scores[2]


def test_without_truth_clip_decides(method, source, sentence, backbones):
    edited = moved(source, 0.1, backbones)
    assert set(method.objective(source, edited, sentence, backbones)) == {"clip", "latent_l2"}


def meaning():
    """Hair of the last two of three values is asked for; nothing is said of hats and age."""
    wanted = {"hair": torch.tensor([[False, True, True]]), "hat": torch.tensor([[False, False]])}
    meant = {name: torch.tensor([name == "hair"]) for name in ("hair", "hat", "age")}
    hair, hat, age = torch.tensor([[2.0, 1.0, 1.0]]), torch.zeros(1, 2), torch.zeros(1, 1)
    return Meaning(wanted, meant, {"hair": hair, "hat": hat, "age": age})


def test_what_a_reader_should_see_scores_better_the_surer_it_is():
    known = meaning()
    hair = known.seen["hair"]
    odds = log_odds(hair, known.wanted["hair"]).item()
    assert odds == pytest.approx(torch.tensor(2.0).log().item() - 1, abs=1e-5)
    scores = [
        unseen({**known.seen, "hair": hair + torch.tensor([0.0, more, more])}, known).item()
        for more in (0.0, 1.0, 3.0)
    ]
    assert scores[0] > scores[1] > scores[2] > 0
    assert unseen({**known.seen, "hat": torch.randn(1, 2)}, known).item() == scores[0]


@pytest.mark.parametrize("way", [1.0, -1.0])
def test_an_amount_is_seen_more_clearly_the_further_it_goes_its_way(way):
    known = dataclasses.replace(meaning(), rising={"age": torch.tensor([way])})
    scores = [
        unseen({**known.seen, "age": torch.tensor([[way * further]])}, known).item()
        for further in (-0.2, 0.0, 0.2)
    ]
    assert scores[0] > scores[1] > scores[2] > 0
    silent = dataclasses.replace(known, rising={"age": torch.zeros(1)})
    assert unseen({**known.seen, "age": torch.ones(1, 1)}, silent) == unseen(known.seen, silent)


def test_what_nothing_is_said_of_should_look_as_before():
    known = meaning()
    assert disturbed(known.seen, known).item() == 0
    assert disturbed({**known.seen, "hair": torch.randn(1, 3)}, known).item() == 0
    assert disturbed({**known.seen, "age": torch.tensor([[0.5]])}, known).item() == 0.5
    assert disturbed({**known.seen, "hat": torch.tensor([[1.0, 0.0]])}, known).item() > 0


def test_objective_asks_the_reader_where_it_is_said_what_to_see(
    method, source, sentence, backbones
):
    wanted = {"hair_color": torch.tensor([[False, True]]).expand(3, -1)}
    meant = {"hair_color": torch.ones(3, dtype=torch.bool), "smile": torch.zeros(3).bool()}
    seen = backbones.attributes.raw(source.image)
    known = Counterfactual(
        (), "", sentence.target, sentence.target, meaning=Meaning(wanted, meant, seen)
    )
    code = source.latent.code.clone().requires_grad_()
    edited = Face(backbones.generator(code), Latent(code, Space.W_PLUS))
    terms = method.objective(source, edited, known, backbones)
    assert set(terms) == {"unseen", "disturbed"}
    assert terms["disturbed"].item() == pytest.approx(0, abs=1e-5)
    terms["unseen"].backward()
    assert code.grad.abs().sum() > 0
    with pytest.raises(MissingBackboneError, match="attributes"):
        method.objective(source, edited, known, dataclasses.replace(backbones, attributes=None))


def test_pixels_that_should_not_move_count_more():
    source, truth = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    truth[..., :8] = 1.0
    inside, outside = truth.clone(), truth.clone()
    inside[..., 0] -= 0.5
    outside[..., -1] -= 0.5
    near = image_distance(source, inside, truth, weight_outside=3.0)
    far = image_distance(source, outside, truth, weight_outside=3.0)
    assert far.item() == pytest.approx(4 * near.item())


def test_learns_a_true_edit_that_depends_on_the_face(method, source, sentence, backbones):
    """What is asked for moves a face to a place of the sentence's, wherever it comes from."""
    torch.manual_seed(1)
    generator = backbones.generator
    places = torch.randn(3, 16) * 0.3
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-2)
    losses = []
    for _ in range(100):
        w_plus = generator.sample_w_plus(3, torch.Generator().manual_seed(len(losses)), 1.0)
        face = Face(source.image, Latent(w_plus, Space.W_PLUS))
        truth = Face(source.image, Latent(w_plus + places[:, None], Space.W_PLUS))
        known = Counterfactual((), "", sentence.target, sentence.target, truth)
        edited = method(face, known, backbones)
        loss = method.objective(face, edited, known, backbones)["code"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_what_is_hard_to_take_away_is_taken_back(method, source, backbones):
    settings = dataclasses.replace(method.config, additions=Additions(sequential=True))
    method = CounterfactualEditor(settings).eval()
    with torch.no_grad():
        away, worn = (
            method.displacement(
                source.latent.code, read(prompt, "a face", backbones.clip), backbones, sign
            )
            for prompt, sign in (("no earrings", 1.0), ("earrings", -1.0))
        )
    assert torch.allclose(away, -worn, atol=1e-6)
