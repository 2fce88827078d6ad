"""The CLIP task: exact truth decides the negatives, and batches are functions of their place."""

import dataclasses
import math
import random

import pytest
import torch

from faceedit.backbones.attributes import encode
from faceedit.backbones.clip import Clip
from faceedit.world import SPECS, sample_attributes
from faceedit.world.captions import FALSE, STATEMENTS, TRUE, describe, truth
from tests.training.shards import write_shard
from training.config import ConfigError, TrainConfig
from training.data.paint import Coat
from training.task import Phase
from training.tasks.clip import ClipOptions, ClipTask, disturb
from training.tasks.clip_losses import (
    NUMBERS,
    NumberHead,
    Questions,
    contrast,
    number_weights,
    pair_truth,
    reading_loss,
    said_matrix,
)
from training.tasks.clip_scores import distinct_pairs
from training.tasks.clip_start import learn_tokenizer

TINY = {
    "image_size": 16,
    "patch_size": 8,
    "vision_width": 16,
    "vision_layers": 1,
    "text_width": 16,
    "text_layers": 1,
    "head_width": 8,
    "embed_dim": 8,
    "vocabulary": 600,
}


@pytest.fixture(scope="module")
def people():
    return sample_attributes(60, seed=2)


def test_a_caption_is_true_of_its_own_picture(people):
    known = truth(people)
    true, false = pair_truth(known, said_matrix(describe(people, seed=1)))
    assert true.diagonal().all() and not false.diagonal().any()


def test_a_pair_is_never_both_true_and_false(people):
    true, false = pair_truth(truth(people), said_matrix(describe(people, seed=1)))
    assert not (true & false).any()
    assert (~true & ~false).any()  # some are neither: out of sight, or a matter of taste


def test_contrast_is_the_softmax_over_negatives():
    logits = torch.tensor([[2.0, 1.0, 0.5]])
    positive = torch.tensor([[True, False, False]])
    negative = torch.tensor([[False, True, False]])
    wanted = -math.log(math.exp(2) / (math.exp(2) + math.exp(1)))
    assert contrast(logits, positive, negative).item() == pytest.approx(wanted, abs=1e-5)


def test_contrast_without_negatives_is_zero_with_a_finite_gradient():
    logits = torch.randn(2, 3, requires_grad=True)
    loss = contrast(logits, torch.ones(2, 3).bool(), torch.zeros(2, 3).bool())
    loss.backward()
    assert loss.item() == 0 and logits.grad.isfinite().all()


def test_reading_loss_leaves_out_what_is_unsure():
    known = torch.tensor([[TRUE, -1], [FALSE, -1]], dtype=torch.int8)
    logits = torch.tensor([[9.0, 9.0], [-9.0, -9.0]])
    assert reading_loss(logits, known, torch.ones(2, 2)).item() < 1e-3


def test_asking_costs_nothing_where_the_true_value_wins(people):
    known = truth(people)
    weights = torch.ones(2, len(STATEMENTS))
    right = 50.0 * (known == TRUE).float()
    assert Questions()(right, known, weights).item() < 1e-3
    assert Questions()(-right, known, weights).item() > 10


def test_distinct_pairs_contradict_one_another(people):
    known, written = truth(people), describe(people, seed=4, count=5)
    chosen = distinct_pairs(known, written, 20, random.Random(0))
    _, false = pair_truth(known[chosen], said_matrix([written[i] for i in chosen]))
    assert len(chosen) > 10
    assert (false | torch.eye(len(chosen)).bool()).all()


def test_tokenizer_has_the_size_asked_for():
    tokenizer = learn_tokenizer(560, 32, captions=400)
    assert len(tokenizer) == 560


def test_disturbed_pictures_keep_their_size_and_their_originals():
    image = torch.rand(4, 3, 32, 32)
    before = image.clone()
    assert disturb(image, ClipOptions(blur=1.0, shift=0.1)).shape == image.shape
    assert torch.equal(image, before)


@pytest.fixture
def task(tmp_path) -> ClipTask:
    write_shard(tmp_path / "train", 0, 12, size=32)
    config = TrainConfig(task="clip", data_dir=str(tmp_path), options=TINY)
    made = ClipTask(config, torch.device("cpu"))
    made.open_data(None)
    made.phase = Phase("match")
    return made


def test_a_batch_is_a_function_of_its_place(task):
    whole, part = task.batch(range(4, 10)), task.batch(range(6, 8))
    assert torch.equal(whole.image[2:4], part.image)
    assert torch.equal(whole.said[2:4], part.said)
    length = part.tokens.shape[1]
    assert torch.equal(whole.tokens[2:4, :length], part.tokens)


def test_the_first_phase_has_no_captions(task):
    task.phase = Phase("look")
    batch = task.batch(range(4))
    terms = task.turns()[0].step(batch)
    assert not len(batch.owner) and set(terms) == {"read", "ask"}


def test_the_second_phase_trains_both_towers(task):
    step = task.turns()[0].step
    terms = step(task.batch(range(6)))
    sum(value for name, value in terms.items() if not name.startswith("log_")).backward()
    model = task.clip.model
    for weight in (model.visual_projection.weight, model.text_projection.weight):
        assert weight.grad is not None and weight.grad.abs().sum() > 0
    assert step.prototypes.read(torch.zeros(1, 8)).shape == (1, len(STATEMENTS))


def test_attacked_pictures_are_read_worse_after_a_small_move(task):
    task.options = dataclasses.replace(task.options, attack=0.5, attack_size=0.1)
    step, batch = task.turns()[0].step, task.batch(range(8))
    pictures = batch.image
    attacked = step._attacked(pictures, batch)
    moved = (attacked - pictures).abs()
    assert torch.equal(attacked[4:], pictures[4:])
    assert 0 < moved[:4].max() <= 0.1 + 1e-6

    def loss(image):
        terms = step._look(step.clip.encode_image(image), batch.truth[:4])
        return sum(terms.values()).item()

    assert loss(attacked[:4]) > loss(pictures[:4])


def test_training_goes_on_from_a_folder(task, tmp_path):
    task.export(tmp_path / "clip")
    config = dataclasses.replace(
        task.config, options={**TINY, "init_weights": str(tmp_path / "clip")}
    )
    again = ClipTask(config, torch.device("cpu"))
    image = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(
        again.clip.eval().encode_image(image),
        task.clip.eval().encode_image(image),
        atol=0.01,
        rtol=0,
    )
    assert all(parameter.requires_grad for parameter in again.clip.parameters())
    other = dataclasses.replace(config, options={**config.options, "vision_width": 24})
    with pytest.raises(ConfigError, match="another shape"):
        ClipTask(other, torch.device("cpu"))


def test_a_frozen_text_tower_stays_to_the_bit_while_pictures_are_learned(task, tmp_path):
    task.export(tmp_path / "clip")
    options = {
        **TINY,
        "init_weights": str(tmp_path / "clip"),
        "caption_free_share": 0,
        "pixels": "foveal",
    }
    config = dataclasses.replace(task.config, options={**options, "freeze_text": True})
    frozen = ClipTask(config, torch.device("cpu"))
    frozen.open_data(None)
    frozen.phase = Phase("match")
    words = Clip.from_folder(tmp_path / "clip").encode_text(["red hair", "a bald man"])
    (turn,) = frozen.turns()
    optimizer = torch.optim.AdamW(turn.groups(), lr=0.01, weight_decay=0.1)
    terms = turn.step(frozen.batch(range(6)))
    sum(value for name, value in terms.items() if not name.startswith("log_")).backward()
    optimizer.step()
    assert frozen.clip.model.visual_projection.weight.grad.abs().sum() > 0
    frozen.export(tmp_path / "after")
    after = Clip.from_folder(tmp_path / "after")
    assert torch.equal(after.encode_text(["red hair", "a bald man"]), words)
    assert after.config.pixels == "foveal"
    for wrong in ({"init_weights": ""}, {"caption_free_share": 0.5}):
        with pytest.raises(ConfigError, match="freeze_text"):
            ClipTask(
                dataclasses.replace(config, options={**config.options, **wrong}),
                torch.device("cpu"),
            )


def test_numbers_count_where_they_are_in_sight_and_unpainted(task):
    world = task.data.batch(range(6))
    bare, painted = Coat(0, (0, 0, 0), 0.0), Coat(0, (0, 0, 0), 0.5)
    clear = number_weights(world, [bare] * 5 + [painted])
    assert clear.shape == (6, len(NUMBERS))
    assert (clear[:5] > 0).all() and not clear[5].any()
    numbers = NumberHead(4)
    pooled = torch.randn(6, 4)
    assert numbers(pooled, world.values, torch.zeros_like(clear)).item() == 0
    assert numbers(pooled, world.values, clear).item() > 0


def test_numbers_cost_nothing_where_every_number_is_told_exactly(task):
    world = task.data.batch(range(6))
    clear = torch.ones(6, len(NUMBERS))
    numbers = NumberHead(6)  # one pooled entry a picture, so that the map can know the answers
    names = list(SPECS)
    told = [encode(head, world.values[:, names.index(head.name)]) for head in NUMBERS]
    with torch.no_grad():
        numbers.linear.weight.copy_(torch.cat(told, dim=1).T)
        numbers.linear.bias.zero_()
    assert numbers(torch.eye(6), world.values, clear).item() < 1e-10


def test_held_texts_are_pulled_back_to_where_they_were(task, tmp_path):
    task.export(tmp_path / "clip")
    options = {
        **TINY,
        "init_weights": str(tmp_path / "clip"),
        "caption_free_share": 0,
        "hold_text": 5.0,
    }
    config = dataclasses.replace(task.config, options=options)
    held = ClipTask(config, torch.device("cpu"))
    held.open_data(None)
    held.phase = Phase("match")
    step, batch = held.turns()[0].step, held.batch(range(6))
    assert step(batch)["hold"].item() == pytest.approx(0, abs=1e-4)
    with torch.no_grad():
        held.clip.model.text_projection.weight.add_(torch.randn(8, 16))
    drift = step(batch)["hold"]
    drift.backward()
    assert drift.item() > 0.1
    assert held.clip.model.text_projection.weight.grad.abs().sum() > 0
    with pytest.raises(ConfigError, match="hold_text"):
        ClipTask(
            dataclasses.replace(config, options={**options, "init_weights": ""}),
            torch.device("cpu"),
        )
