"""What networks are trained by, in numbers worked out by hand."""

import math
from types import SimpleNamespace

import pytest
import torch

from faceedit.world import REGIONS, SPECS, sample_attributes
from faceedit.world.captions import FALSE, TRUE, UNSURE
from training.config import TrainConfig
from training.data.augment import Augmentation
from training.data.shards import hashed_bits, mix, to_float, to_uint8
from training.provenance import PRIVATE, training_args, write_training_args
from training.tasks.attributes import HEADS, Balance, balanced_mean
from training.tasks.clip_losses import contrast, pair_truth, reading_loss
from training.tasks.diffusion import loss_weight
from training.tasks.generator_losses import pixel_weights, reconstruction_terms, shrink
from training.tasks.identity import contrast as identity_contrast
from training.tasks.segmenter import (
    allowed_regions,
    dice_distance,
    point_terms,
    region_terms,
)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


# CLIP ---------------------------------------------------------------------------------------------


def test_a_caption_is_true_if_all_is_and_false_if_anything_is():
    known = torch.tensor([[TRUE, TRUE, FALSE], [TRUE, UNSURE, TRUE]], dtype=torch.int8)
    said = torch.tensor([[1.0, 1, 0], [1, 0, 1], [0, 0, 0]])
    true, false = pair_truth(known, said)
    assert true.tolist() == [[True, False, True], [False, True, True]]
    assert false.tolist() == [[False, True, False], [False, False, False]]


def test_contrast_is_averaged_over_a_rows_positives_and_then_over_rows_that_have_some():
    logits = torch.tensor([[2.0, 1.0, 0.5], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    positive = torch.tensor([[True, True, False], [True, False, False], [False, False, True]])
    positive[2] = False
    negative = torch.tensor([[False, False, True], [False, True, True], [True, True, False]])
    first = (softplus(0.5 - 2) + softplus(0.5 - 1)) / 2
    second = math.log(1 + math.exp(3) + math.exp(0))
    assert contrast(logits, positive, negative).item() == pytest.approx((first + second) / 2)


def test_reading_weighs_true_and_false_by_their_own_rows():
    known = torch.tensor([[TRUE, FALSE, UNSURE]], dtype=torch.int8)
    logits, weights = torch.tensor([[1.0, 1.0, 9.0]]), torch.tensor([[2.0] * 3, [5.0] * 3])
    wanted = (5 * softplus(-1) + 2 * softplus(1)) / 7
    assert reading_loss(logits, known, weights).item() == pytest.approx(wanted)


# Readers and recognisers --------------------------------------------------------------------------


def test_a_mean_of_what_counts_is_of_a_seventh_of_the_batch_at_least():
    loss = torch.tensor([3.0, 5.0, 7.0, 9.0])
    weight = torch.tensor([1.0, 0.0, 0.5, 0.0])
    assert balanced_mean(weight, loss).item() == pytest.approx((3 + 3.5) / 1.5)
    assert balanced_mean(0.1 * weight, loss).item() == pytest.approx(0.65 / 0.6)  # 0.15 of four


def test_rare_values_weigh_by_a_power_of_how_rare_they_are_and_one_on_average():
    values = sample_attributes(1000, 0).values
    column = list(SPECS).index("glasses")
    values[:, column] = torch.tensor([0.0] * 900 + [1.0] * 100)
    head = next(head for head in HEADS if head.name == "glasses")
    often, seldom = Balance(values, 0.5).of(head, torch.tensor([0.0, 1.0])).tolist()
    assert seldom / often == pytest.approx(3.0)  # a ninth as frequent
    assert 0.9 * often + 0.1 * seldom == pytest.approx(1.0)


def test_people_are_told_apart_by_the_share_of_their_own_among_all_others():
    embedding = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    person = torch.tensor([4, 4, 9])  # the last one comes once and only serves as another
    wanted = math.log(1 + math.exp((0 - 1) / 0.5))
    assert identity_contrast(embedding, person, 0.5).item() == pytest.approx(wanted)


# The generator ------------------------------------------------------------------------------------


def test_a_pixels_weight_is_the_largest_around_it_and_one_on_average():
    segmentation = torch.full((1, 16, 16), REGIONS.index("background"), dtype=torch.uint8)
    segmentation[0, 8, 8] = REGIONS.index("lips")
    weights = pixel_weights(segmentation, 16)[0, 0]
    assert weights[8, 8] / weights[0, 0] == pytest.approx(12)  # 6 over 0.5
    assert int((weights > weights[0, 0]).sum()) == 5 * 5  # two pixels to every side
    assert weights.mean().item() == pytest.approx(1)


def test_an_edge_that_is_missing_costs_in_the_pyramid_and_a_constant_once():
    weights = torch.ones(1, 1, 16, 16)
    real = torch.zeros(1, 3, 16, 16)
    fine = real.clone()
    fine[..., ::2], fine[..., 1::2] = 0.5, -0.5  # no coarser level sees that
    pixel, pyramid = reconstruction_terms(fine, real, weights)
    assert pixel.item() == pytest.approx(0.5) and pyramid.item() == pytest.approx(0.5)
    half = torch.zeros(1, 1, 16, 16)
    half[..., :8] = 2.0
    one_sided = real.clone()
    one_sided[..., 8:] = 1.0
    assert reconstruction_terms(one_sided, real, half)[0].item() == 0
    assert shrink(torch.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0, 0, 0].item() == 2.5


# Denoisers and parsers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "by_v", "weight"),
    [(0.5, False, 1.0), (0.5, True, 0.5), (0.9, False, 5 / 9), (0.9, True, 0.5), (0.2, True, 0.2)],
)
def test_levels_weigh_by_their_signal_over_noise_up_to_a_limit(level, by_v, weight):
    assert loss_weight(torch.tensor([level]), 5.0, by_v).item() == pytest.approx(weight, rel=1e-4)
    assert loss_weight(torch.tensor([level]), 0.0, by_v).item() == 1.0


def test_dice_is_twice_what_is_shared_over_both_sizes_of_regions_that_occur():
    truth = torch.zeros(1, 3, 2, 2)
    truth[0, 0, 0], truth[0, 1, 1] = 1.0, 1.0  # the third region does not occur
    share = torch.zeros(1, 3, 2, 2)
    share[0, 0] = 0.5  # one of the two pixels' worth, of a size of two
    share[0, 1, 1] = 1.0
    assert dice_distance(share, truth).item() == pytest.approx(1 - (2 * 1 / 4 + 1) / 2)


def test_a_pixel_that_may_be_several_regions_costs_what_all_of_them_lack():
    count = len(allowed_regions(torch.zeros(1, 1, 1, dtype=torch.int64))[0])
    bits = torch.tensor([[[0b1, 0b11]]])
    allowed = allowed_regions(bits)
    assert allowed[0, :2, 0].tolist() == [[True, True], [False, True]]
    logits = torch.zeros(1, count, 1, 2)
    weights = torch.ones(count)
    weights[0] = 3.0
    terms = region_terms(logits, allowed, torch.tensor([False]), weights)
    sure, either = math.log(count), math.log(count / 2)
    root = 1 / math.sqrt(2)
    assert terms["regions"].item() == pytest.approx((3 * sure + root * either) / (3 + root))
    assert set(terms) == {"regions", "dice"}
    of_photo = region_terms(logits, allowed, torch.tensor([True]), weights)
    assert of_photo["open"].item() == pytest.approx(math.log(count))
    nothing = region_terms(logits, allowed | True, torch.tensor([False]), weights)
    assert nothing["regions"].item() == 0


def test_hidden_points_count_a_third_and_those_of_photographs_twice():
    batch = SimpleNamespace(
        points=torch.tensor([[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [torch.nan, 0.5]]]),
        seen=torch.tensor([[1, 0], [1, -1]]),
        photo=torch.tensor([False, True]),
    )
    points = torch.tensor([[[0.7, 0.5], [0.5, 0.9]], [[0.5, 0.5], [0.0, 0.0]]])
    terms = point_terms(points, torch.zeros(2, 2), torch.zeros(2, 2, 4, 4), batch)
    # One and two distances of the pupils off, with weights of 1, 0.3 and 2.
    assert terms["points"].item() == pytest.approx((1 + 0.3 * 2) / 3.3, rel=1e-2)
    assert terms["maps"].item() == pytest.approx(math.log(16), rel=1e-4)
    assert terms["seen"].item() == pytest.approx(3 * math.log(2) / 4, rel=1e-4)


# Data and where weights come from -----------------------------------------------------------------


def test_levels_become_floats_from_minus_one_to_one():
    levels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert to_float(levels).tolist() == pytest.approx([-1, -0.6, 1])
    assert to_uint8(torch.tensor([-3.0, -0.6, 0.997, 2.0])).tolist() == [0, 51, 255, 255]


def test_seeds_are_mixed_by_every_number_and_their_order():
    seeds = {mix(1, 2), mix(2, 1), mix(1, 3), mix(0, 2), mix(1, 2, 0), mix(1)}
    assert len(seeds) == 6 and all(0 <= seed < 2**63 for seed in seeds)
    bits = hashed_bits(3, range(4000))
    assert 0.47 < bits.mean() < 0.53
    assert (bits[10:20] == hashed_bits(3, range(10, 20))).all()
    assert (bits != hashed_bits(4, range(4000))).mean() > 0.4


def test_no_augmentation_is_none_at_all():
    from training.data.augment import augment

    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(augment(image, Augmentation()), image)


def test_weights_say_how_they_were_made_but_not_where_they_lay(tmp_path):
    config = TrainConfig(task="segmenter", output_dir="/secret", seed=7)
    found = training_args(config, torch.device("cpu"), steps=12)
    assert not set(PRIVATE) & set(found["settings"]) and "/secret" not in str(found)
    assert found["settings"]["seed"] == 7 and found["steps"] == 12 and found["device"] == "CPU"
    assert found["libraries"]["torch"] == torch.__version__
    assert found["commit"] == "" or len(found["commit"].rstrip("+")) == 40
    write_training_args(tmp_path, config, torch.device("cpu"), steps=12)
    assert '"steps": 12' in (tmp_path / "training_args.json").read_text()
