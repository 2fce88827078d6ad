"""The benchmark's numbers: intervals as wide as they say, changes counted both ways."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from faceedit.backbones.attributes import AttributeHead
from faceedit.methods.counterfactual import CounterfactualConfig
from faceedit.methods.feat import FeatConfig
from faceedit.world import SPECS, FaceAttributes
from training.benchmark import calibrate, summary
from training.benchmark.judges import (
    Look,
    changed_region,
    collateral,
    feature_distance,
    masked_psnr,
    others_in_sight,
    progress,
    success,
)
from training.benchmark.prompts import PROMPTS
from training.benchmark.scale import Scale

# Intervals ----------------------------------------------------------------------------------------


def test_an_interval_of_95_percent_is_as_wide_as_that_of_a_normal_mean():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    found = summary.Bootstrap(list(range(400))).mean(values.tolist())
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)
    assert (found.high + found.low) / 2 == pytest.approx(found.value, abs=0.1 * half)
    assert found.n == 400


def test_edits_of_one_face_count_as_one_draw():
    """Twenty equal edits of each of ten faces say no more than one of each does."""
    faces = list(range(10))
    values = [float(f) for f in faces]
    once = summary.Bootstrap(faces).mean(values)
    many = summary.Bootstrap(faces * 20).mean(values * 20)
    apart = summary.Bootstrap(list(range(200))).mean(values * 20)
    assert (many.low, many.high) == pytest.approx((once.low, once.high))
    ratio = (many.high - many.low) / (apart.high - apart.low)
    assert ratio == pytest.approx(math.sqrt(20), rel=0.15)


def test_unknown_values_are_left_out_and_one_alone_has_no_interval():
    bootstrap = summary.Bootstrap([4, 4, 7])
    found = bootstrap.mean([1.0, None, 3.0])
    assert (found.value, found.n) == (2.0, 2) and (found.low, found.high) == (1.0, 3.0)
    alone = bootstrap.mean([1.0, None, None])
    assert (alone.value, alone.n) == (1.0, 1) and math.isnan(alone.low)
    assert alone.json() == {"value": 1.0, "low": None, "high": None, "n": 1}
    assert summary.Interval(1 / 3, 0.25, 0.5, 4).json()["value"] == 0.33333


def test_a_level_is_crossed_where_the_straight_line_says():
    crossing = summary._crossing
    curve = np.array([0.1, 0.3, 0.2, 0.7])
    assert crossing(curve, 0.2) == pytest.approx(0.5)
    assert crossing(curve, 0.45) == pytest.approx(2.5)
    assert crossing(curve, 0.1) == 0.0 and crossing(curve, 0.3) == 1.0
    assert crossing(curve, 0.71) is None
    assert summary._at(np.array([1.0, 3.0, 7.0]), 1.25) == 4.0


# What changed -------------------------------------------------------------------------------------

SMILE, HUE = AttributeHead("smile", -1, 1), AttributeHead("cloth_hue", 0, 1, circular=True)
GLASSES = AttributeHead("glasses", 0, 1, SPECS["glasses"].values)


def look_of(**values) -> Look:
    people = FaceAttributes.default(len(next(iter(values.values()))))
    people = people.replace(**{name: torch.tensor(v) for name, v in values.items()})
    none = torch.zeros(len(people), 0)
    return Look(people, {}, none, none, [])


@pytest.mark.parametrize("way", [1.0, -1.0])
def test_an_attribute_that_falls_has_changed_like_one_that_rises(way):
    judges = SimpleNamespace(span=lambda head: (head.low, head.high))
    before, after = look_of(smile=[0.0] * 3), look_of(smile=[way * 0.45, way * 0.55, way])
    assert collateral(judges, [SMILE], before, after).tolist() == [0, 1, 1]  # a quarter of 2


def test_hues_change_around_the_circle_and_values_when_another_is_likeliest():
    judges = SimpleNamespace(span=lambda head: (head.low, head.high))
    before = look_of(cloth_hue=[0.95] * 4, glasses=[0.0, 0.0, 1.0, 2.0])
    after = look_of(cloth_hue=[0.05, 0.15, 0.80, 0.70], glasses=[0.0, 1.0, 1.0, 0.0])
    assert collateral(judges, [HUE], before, after).tolist() == [0, 1, 0, 1]
    both = collateral(judges, [HUE, GLASSES], before, after)
    assert both.tolist() == [0, 1, 0, 1]
    assert collateral(judges, [GLASSES], before, after).tolist() == [0, 1, 0, 1]
    assert collateral(judges, [], before, after).tolist() == [0] * 4


def test_span_of_the_scale_decides_what_a_change_is():
    narrow = SimpleNamespace(span=lambda head: (-0.2, 0.2))
    before, after = look_of(smile=[0.0, 0.0]), look_of(smile=[0.09, -0.11])
    assert collateral(narrow, [SMILE], before, after).tolist() == [0, 1]


def test_the_changed_region_is_widened_by_a_twentieth():
    before, after = torch.zeros(1, 3, 40, 40), torch.zeros(1, 3, 40, 40)
    after[0, 1, 20, 20] = -0.06
    after[0, 1, 5, 5] = 0.04  # too little to be seen
    region = changed_region(before, after)
    assert region.sum().item() == 5 * 5  # 2 px to every side
    assert region[0, 0, 18:23, 18:23].all()


def test_features_are_compared_unit_by_unit_within_a_mask():
    a, b = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    a[:, 0], b[:, 0] = 5.0, 1.0  # one direction: no distance
    b[:, :, 0, 0] = torch.tensor([0.0, 9.0])  # at right angles: a distance of 2
    whole = torch.ones(1, 1, 2, 2)
    assert feature_distance([a], [b], whole).item() == pytest.approx(2 / 4)
    assert feature_distance([a, a], [b, a], whole).item() == pytest.approx(2 / 8)
    corner = torch.zeros(1, 1, 2, 2)
    corner[..., 0, 0] = 1
    assert feature_distance([a], [b], corner).item() == pytest.approx(2)
    assert feature_distance([a], [b], 0 * whole).isnan().all()


def test_psnr_is_of_values_that_can_be_seen():
    white, brighter = torch.ones(1, 3, 2, 2), torch.full((1, 3, 2, 2), 3.0)
    assert masked_psnr(brighter, white, torch.ones(1, 1, 2, 2)).item() == 100
    grey = torch.zeros(1, 3, 2, 2)
    assert masked_psnr(grey, white, torch.ones(1, 1, 2, 2)).item() == pytest.approx(
        6.0206, abs=1e-3
    )
    assert masked_psnr(0.8 * white, white, torch.ones(1, 1, 2, 2)).item() == pytest.approx(
        20, abs=1e-3
    )


def test_progress_is_the_probability_or_the_place_on_the_way():
    red = PROMPTS["hair_color=red"]
    place = SPECS["hair_color"].values.index("red")
    chances = torch.full((2, len(SPECS["hair_color"].values)), 0.1)
    chances[1, place] = 0.7
    look = replace(look_of(age=[30.0, 30.0]), chances={"hair_color": chances.double()})
    assert progress(red, look).tolist() == pytest.approx([0.1, 0.7])
    old = next(p for p in PROMPTS.values() if p.statements == ("age=old",))
    low, high = SPECS["age"].low, SPECS["age"].high
    ages = look_of(age=[low, (low + high) / 2, high])
    assert progress(old, ages).tolist() == pytest.approx([0, 0.5, 1], abs=1e-6)
    assert success(old, ages)[:, 0].tolist() == [False, False, True]


def test_what_an_edit_affects_or_hides_is_no_collateral():
    heads = [SMILE, GLASSES, AttributeHead("eye_color", 0, 1, SPECS["eye_color"].values)]
    person = FaceAttributes.default(1).replace(glasses="none", eye_open=1.0)
    shades = next(p for p in PROMPTS.values() if p.statements == ("glasses=sunglasses",))
    names = [head.name for head in others_in_sight(shades, heads, person, {}, {})]
    assert names == ["smile"]  # glasses are asked for, and eyes are behind them


def test_readings_are_put_in_the_place_of_the_truth_by_rank():
    people = FaceAttributes.default(101)
    true = people.replace(smile=torch.linspace(-1, 1, 101))
    read = people.replace(smile=torch.linspace(-0.2, 0.2, 101))
    scale = Scale.fit([SMILE], read, true)
    asked = FaceAttributes.default(3).replace(smile=torch.tensor([-0.2, 0.05, 0.1]))
    assert scale.apply(asked).column("smile").tolist() == pytest.approx([-1, 0.25, 0.5], abs=1e-4)
    assert scale.span("smile") == pytest.approx((-0.98, 0.98))


# Calibration --------------------------------------------------------------------------------------


def curve(gain, identity=1.0) -> calibrate.Curve:
    identities = identity if isinstance(identity, tuple) else (identity,) * len(calibrate.SCALES)
    return calibrate.Curve(tuple(gain), identities, 1)


def test_strengths_that_show_someone_else_are_left_out():
    straight = [0.25 * scale for scale in calibrate.SCALES]  # 0.5 at a strength of 2
    kept = tuple(1.0 if scale <= 1 else 0.69 for scale in calibrate.SCALES)
    assert calibrate.choose_scale(curve(straight, kept), 0.5) == pytest.approx(0.92)
    assert calibrate.choose_scale(curve(straight, 0.7), 0.5) == 2.0


def test_a_method_that_has_learned_what_more_than_one_means_is_asked_for_two_at_most():
    learned, plain = (CounterfactualConfig(learned_overdrive=value) for value in (True, False))
    assert calibrate.largest_strength(learned) == 2.0
    assert calibrate.largest_strength(plain) == calibrate.largest_strength(FeatConfig()) == math.inf
    straight = curve([0.25 * scale for scale in calibrate.SCALES])
    assert calibrate.choose_scale(straight, most=calibrate.largest_strength(learned)) <= 2.0
    assert calibrate.choose_scale(straight) > 2.0
