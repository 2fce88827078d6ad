"""The measures, on inputs whose answer is known."""

import pytest
import torch

from faceedit.backbones.attributes import AttributeHead
from faceedit.metrics.attributes import (
    balanced_accuracy,
    classes,
    in_sight,
    reading_accuracy,
    region_shares,
)
from faceedit.metrics.fid import fid, kid
from faceedit.metrics.identity import acceptance_at, area_under_curve, verification_auc
from faceedit.metrics.image import intersection_over_union, psnr


def features(n: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(seed)) * scale + shift


def test_fid_of_a_set_with_itself_is_zero():
    a = features(200, 0)
    assert fid(a, a) == pytest.approx(0, abs=1e-6)


def test_fid_of_shifted_features_is_the_squared_shift():
    a = features(300, 0)
    assert fid(a, a + 0.5) == pytest.approx(8 * 0.25, rel=1e-6)


def test_fid_of_scaled_gaussians_is_the_known_value():
    a = features(400, 0)
    cov = torch.cov(a.T.double())
    centred = (a - a.mean(0)).double()
    assert fid(centred, 2 * centred) == pytest.approx(float(cov.trace()), rel=1e-5)


def test_fid_does_not_care_about_order_or_side():
    a, b = features(100, 0), features(120, 1, 0.3, 1.4)
    assert fid(a, b) == pytest.approx(fid(b, a.flip(0)), rel=1e-6)


def test_kid_is_near_zero_for_one_distribution_and_larger_for_two():
    a, b, c = features(300, 0), features(300, 1), features(300, 2, 1.0)
    assert abs(kid(a, b)) < 0.05
    assert kid(a, c) > 0.5


def test_features_of_different_width_are_refused():
    with pytest.raises(ValueError, match="shapes"):
        fid(torch.zeros(4, 3), torch.zeros(4, 2))


def test_auc_counts_ties_as_half():
    scores = torch.tensor([1.0, 2.0, 3.0])
    assert area_under_curve(scores, scores) == pytest.approx(0.5)
    assert area_under_curve(scores + 5, scores) == 1
    assert area_under_curve(torch.tensor([2.0]), scores) == pytest.approx(0.5)


def test_verification_is_perfect_for_clustered_embeddings():
    person = torch.arange(6).repeat_interleave(3)
    embedding = torch.nn.functional.one_hot(person, 6).float()
    assert verification_auc(embedding, person) == 1
    shuffled = embedding[torch.randperm(18, generator=torch.Generator().manual_seed(0))]
    assert verification_auc(shuffled, person) < 0.8


def test_acceptance_at_a_false_rate():
    negative = torch.linspace(0, 1, 101)
    assert acceptance_at(torch.tensor([0.5, 0.995]), negative, 0.01) == pytest.approx(0.5)


def test_psnr_of_a_known_error():
    image = torch.zeros(1, 3, 4, 4)
    assert psnr(image + 0.2, image).item() == pytest.approx(20.0, abs=1e-3)
    assert psnr(image, image).item() == pytest.approx(100.0)


def test_iou_of_half_overlapping_labels():
    true = torch.tensor([[0, 0, 1, 1]])
    found = torch.tensor([[0, 1, 1, 1]])
    overlap = intersection_over_union(found, true, 3)
    assert overlap[:2].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert overlap[2].isnan()


def test_balanced_accuracy_counts_rare_values_like_frequent_ones():
    true = torch.tensor([0] * 9 + [1])
    assert balanced_accuracy(torch.zeros(10), true) == pytest.approx(0.5)
    assert balanced_accuracy(true, true) == 1


def test_values_in_the_middle_are_not_clear():
    head = AttributeHead("smile", -1, 1)
    found = classes(head, torch.tensor([-0.9, -0.2, 0.3, 0.8]), (-1.0, 1.0))
    assert found.tolist() == [0, -1, -1, 1]


def test_hues_near_a_border_between_sectors_are_not_clear():
    head = AttributeHead("hue", 0, 1, circular=True)
    hue = torch.tensor([0.0, 0.99, 1 / 12, 1 / 6])
    assert classes(head, hue, (0.0, 1.0)).tolist() == [0, 0, -1, 1]


def test_eye_color_is_out_of_sight_behind_sunglasses():
    segmentation = torch.zeros(3, 10, 10, dtype=torch.uint8)
    segmentation[:2, :2] = 1
    shares = region_shares(segmentation, ("background", "eyes"))
    truth = {
        "eye_color": torch.zeros(3),
        "glasses": torch.tensor([0.0, 3.0, 0.0]),
        "eye_open": torch.ones(3),
    }
    values = {"glasses": ("none", "round", "square", "sunglasses"), "eye_color": ("brown", "blue")}
    assert in_sight("eye_color", truth, values, shares).tolist() == [True, False, False]


def test_perfect_readings_are_fully_accurate():
    heads = (AttributeHead("smile", -1, 1), AttributeHead("hat", 0, 1, ("none", "cap")))
    truth = {"smile": torch.linspace(-1, 1, 100), "hat": torch.arange(100) % 2.0}
    assert reading_accuracy(heads, truth, truth, {}) == {"smile": 1.0, "hat": 1.0}
    wrong = {"smile": -truth["smile"], "hat": torch.zeros(100)}
    assert reading_accuracy(heads, wrong, truth, {}) == {"smile": 0.0, "hat": 0.5}
