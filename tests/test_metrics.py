"""The measures, on inputs whose answer is known."""

import pytest
import torch

from faceedit.backbones.attributes import AttributeHead
from faceedit.metrics.attributes import (
    _nearest_class,
    balanced_accuracy,
    classes,
    in_sight,
    reading_accuracy,
    region_shares,
    span_of,
)
from faceedit.metrics.fid import fid, kid
from faceedit.metrics.identity import (
    acceptance_at,
    area_under_curve,
    verification_auc,
    verification_scores,
)
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


# Numbers worked out by hand -----------------------------------------------------------------------


def test_fid_of_two_known_gaussians():
    """Two points each: means (1, 0) and (2, 2), variances 2 and 8 along the first axis."""
    a, b = torch.tensor([[0.0, 0], [2, 0]]), torch.tensor([[0.0, 2], [4, 2]])
    assert fid(a, b) == pytest.approx(1 + 4 + 2 + 8 - 2 * 4, abs=1e-6)


def test_kid_of_known_points():
    """The kernel is (x y + 1) cubed in one dimension; pairs of a point with itself are left out."""
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    between = (1 + 1 + 27 + 64) / 4  # of 0 with both, of 1 with 2 and with 3
    assert kid(a, b) == pytest.approx(1 + 343 - 2 * between)
    wide = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    assert kid(wide, wide) == pytest.approx(0)  # in two dimensions a product is halved


def test_cosines_of_pairs_are_told_apart_by_who_they_show():
    embedding = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    same, other = verification_scores(embedding, torch.tensor([5, 5, 8]))
    assert same.tolist() == pytest.approx([0.6]) and other.tolist() == pytest.approx([0.0, 0.8])


def test_a_share_of_others_is_accepted_at_the_threshold():
    negative = torch.linspace(0, 1, 11)
    assert acceptance_at(torch.tensor([0.75, 0.85, 0.8]), negative, 0.2) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="between 0 and 1"):
        acceptance_at(negative, negative, 1.0)


def test_what_is_clear_are_the_outer_quarters_of_a_span():
    head = AttributeHead("age", 18, 85)
    ages = torch.tensor([20.0, 29.0, 31.0, 49.0, 51.0, 70.0])
    assert classes(head, ages, (20.0, 60.0)).tolist() == [0, 0, -1, -1, 1, 1]
    assert _nearest_class(head, ages, (20.0, 60.0)).tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("turn", "clear", "nearest"),
    [
        (0.0, 0, 0),
        (0.04, 0, 0),
        (0.06, -1, 0),
        (0.1, -1, 1),
        (0.12, 1, 1),
        (0.5, 3, 3),
        (0.95, -1, 0),
    ],
)
def test_hues_are_six_sectors_around_red(turn, clear, nearest):
    head = AttributeHead("hue", 0, 2, circular=True)
    hue = torch.tensor([2 * turn])
    assert classes(head, hue, (0.0, 2.0)).tolist() == [clear]
    assert _nearest_class(head, hue, (0.0, 2.0)).tolist() == [nearest]


def test_a_span_ends_at_the_first_and_the_last_hundredth():
    head = AttributeHead("smile", -1, 1)
    assert span_of(head, torch.linspace(0, 1, 101)) == pytest.approx((0.01, 0.99))
    assert span_of(head, torch.zeros(0)) == (-1, 1)
    assert span_of(AttributeHead("hue", 0, 1, circular=True), torch.rand(9)) == (0, 1)


def test_rare_classes_are_left_out_and_unclear_values_too():
    truth = torch.tensor([0, 0, 0, 1, 2, 2, -1])
    found = torch.tensor([0, 0, 1, 0, 2, 2, 0])
    assert balanced_accuracy(found, truth) == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert balanced_accuracy(found, truth, least=2) == pytest.approx((2 / 3 + 1) / 2)


def test_an_attribute_is_in_sight_if_its_regions_fill_enough_and_nothing_hides_it():
    truth = {name: torch.zeros(4) for name in ("hair_color", "age")}
    truth["age"] = torch.tensor([17.0, 18.0, 55.0, 56.0])
    plenty = {"hair": torch.full((4,), 0.03)}
    assert in_sight("hair_color", truth, {}, plenty).tolist() == [False, True, True, False]
    assert not in_sight("hair_color", truth, {}, {"hair": torch.full((4,), 0.029)}).any()
    assert not in_sight("hair_color", truth, {}, {}).any()
    assert in_sight("cheekbones", {"cheekbones": torch.zeros(4)}, {}, {}).all()
