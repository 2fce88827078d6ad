"""Descents and line searches: units, patience, schedules and guidance, in numbers."""

import math

import pytest
import torch
from torch import nn

from faceedit.additions import Additions
from faceedit.backbones.diffusion import Trajectory
from faceedit.editor import FaceEditor
from faceedit.methods.clip_pae import ClipPae
from faceedit.methods.clip_regression import ClipRegression, ClipRegressionConfig
from faceedit.optimization.codes import (
    _stalled,
    code_unit,
    descend,
    layer_gate,
    ramp,
    set_units,
    w_plus_unit,
)
from faceedit.optimization.directions import best_step, regressed_directions, select
from faceedit.optimization.guidance import (
    Guidance,
    blurred,
    guided,
    rms,
    spherical_distance,
)
from faceedit.optimization.noise import descend_noise
from faceedit.scores import Scores
from faceedit.types import Space
from tests.methods.known import (
    ENTRIES,
    LAYERS,
    PlusMinus,
    RedAngle,
    direction,
    networks,
    plain_face,
    sentence_at,
)

# Units --------------------------------------------------------------------------------------------


def constant(_progress: float) -> float:
    """A learning rate that stays as it is."""
    return 1.0


def test_a_unit_is_two_deviations_of_random_codes(backbones):
    generator = backbones.generator
    w = generator.sample_w_plus(2000, torch.Generator().manual_seed(4), 1.0)[:, 0]
    torch.testing.assert_close(w_plus_unit(generator), 2 * w.std(0), rtol=0.25, atol=0)
    s = generator.styles(generator.sample_w_plus(2000, torch.Generator().manual_seed(4), 1.0))
    unit = code_unit(generator, Space.S)
    moves = s.std(0) > 1e-3
    torch.testing.assert_close(unit[moves], 2 * s.std(0)[moves], rtol=0.25, atol=0)


def test_entries_that_never_move_have_the_mean_unit():
    class Still(PlusMinus):
        def sample_w_plus(self, n, draws, truncation_psi):
            code = super().sample_w_plus(n, draws, truncation_psi).clone()
            code[..., 0] = 5.0
            return code

    unit = w_plus_unit(Still())
    assert unit.tolist() == pytest.approx([1.5, 2, 2, 2], rel=1e-2)


def test_a_method_is_measured_from_the_mean_code_in_units():
    class Bag(nn.Module):
        centre, unit = torch.zeros(ENTRIES), torch.ones(ENTRIES)

    generator, bag = PlusMinus(), Bag()
    generator.w_avg.fill_(7.0)
    set_units(bag, generator)
    assert bag.centre.tolist() == [7] * ENTRIES
    assert bag.unit.tolist() == pytest.approx([2] * ENTRIES, rel=1e-2)


def test_a_gate_is_open_for_the_chosen_layers():
    generator = PlusMinus()
    assert layer_gate(None, generator).flatten().tolist() == [1] * LAYERS
    assert layer_gate((1, 2), generator).flatten().tolist() == [0, 1, 0]
    assert layer_gate((1, 9), generator).flatten().tolist() == [0, 1, 1]


# Descent ------------------------------------------------------------------------------------------


def calls(score, **settings) -> int:
    """How often a descent of at most 50 steps asks for the score."""
    seen = []

    def counted(code):
        seen.append(code)
        return score(len(seen), code)

    descend(torch.zeros(1, 2), torch.ones(2), counted, 50, 0.1, **settings)
    return len(seen)


def test_a_descent_stops_when_nothing_is_gained_and_not_before():
    def flat(_, code):
        return 0.0 * code.sum() + 1.0

    def falling(number, code):
        return 0.0 * code.sum() - float(number)

    assert calls(flat, patience=4) == 2 * 4 + 1
    assert calls(falling, patience=4) == 51
    assert calls(flat) == 51  # no patience is no end


@pytest.mark.parametrize(
    ("scores", "stalled"),
    [
        ([3.0, 2.0, 2.0, 2.0], False),  # not yet twice as many as the patience
        ([3.0, 2.0, 2.0, 2.0, 2.0], True),  # 2 before the last two, 2 among them
        ([3.0, 2.0, 2.0, 2.0, 1.0], False),
        ([3.0, 2.0, 2.0, 2.0, 1.95], True),  # a gain of 0.05, and 0.1 is asked for
        ([3.0, 2.0, 2.0, 1.8, 5.0], False),  # the best counts, not the last
    ],
)
def test_stalling_is_a_gain_below_what_is_asked_for(scores, stalled):
    assert _stalled(scores, 2, 0.1) is stalled
    assert not _stalled(scores, None, 0.1)


def test_the_best_code_on_the_way_is_returned_and_never_the_start():
    target = torch.tensor([[1.0, 0.0]])

    def score(code):
        return (code - target).abs().sum()

    found = descend(torch.zeros(1, 2), torch.tensor([1.0, 0.0]), score, 3, 0.45, constant)
    # Adam steps by its rate: 0.45, 0.9, 1.35.
    assert found[0, 1] == 0  # a unit of 0 keeps an entry
    assert found[0, 0].item() == pytest.approx(0.9, abs=1e-3)
    near = target + torch.tensor([0.01, 0.0])
    assert not torch.equal(descend(near, torch.ones(2), score, 1, 0.4, constant), near)


def test_a_shared_offset_is_in_units_and_begins_where_it_is_told():
    start = torch.arange(6.0).reshape(1, 3, 2)
    seen = []

    def score(code):
        seen.append(code.detach() - start)
        return code.sum()

    unit, first = torch.tensor([1.0, 3.0]), torch.tensor([[[2.0, 2.0]]])
    descend(start, unit, score, 1, 0.5, constant, shared=True, first=first)
    torch.testing.assert_close(seen[0], torch.tensor([2.0, 6.0]).expand(1, 3, 2))
    torch.testing.assert_close(seen[1], torch.tensor([1.5, 4.5]).expand(1, 3, 2))


def test_the_rate_follows_its_schedule():
    rates, seen = [], []

    def schedule(progress):
        rates.append(progress)
        return 1.0

    def score(code):
        seen.append(code)
        return code.sum()

    descend(torch.zeros(1, 1), torch.ones(1), score, 3, 0.1, schedule)
    assert rates == [0.25, 0.5, 0.75]
    assert [ramp(0.025), ramp(0.5), ramp(0.875)] == pytest.approx([0.5, 1.0, 0.5])


# How far to go ------------------------------------------------------------------------------------


def turned_by(size: float) -> torch.Tensor:
    return plain_face(red=size).image


def test_a_step_must_be_worth_its_length():
    """Cosines to 60 degrees at 0, 0.5 and 60 degrees: 0.5, 0.854 and 1."""
    sizes = torch.tensor([0.0, 0.5, math.pi / 3])

    def draw(codes):
        return torch.cat([turned_by(float(c)) for c in codes])

    def chosen(penalty):
        target = direction(math.pi / 3)[None]
        return best_step(sizes[None], sizes, draw, target, RedAngle(), penalty).item()

    assert [chosen(p) for p in (0.0, 0.2, 0.4, 0.6, 0.8)] == [2, 2, 1, 1, 0]


def test_a_descent_of_clip_pae_begins_as_far_along_its_direction_as_is_worth_it():
    sizes = (0.0, 0.2, 0.5)
    method = ClipPae.build(networks(), init="direction", target="text", step_sizes=sizes)
    method.directions.zero_()
    method.directions[0, 1] = 3.0  # up in CLIP's plane is the first entry of w, which is red
    source, sentence = plain_face(code=0), sentence_at(0.8, neutral=-0.8)
    backbones = networks()
    goal = method.goal(source, sentence, backbones)
    offset = method.first_offset(source, goal, sentence, backbones)
    # 0.2 is the root mean square of four entries: 0.4 in one, and in units of 2 that is 0.8.
    assert offset.flatten().tolist() == pytest.approx([0.4, 0, 0, 0])
    dear = ClipPae.build(backbones, init="direction", target="text", step_penalty=9.0)
    dear.load_state_dict(method.state_dict())
    assert not dear.first_offset(source, goal, sentence, backbones).any()


def test_a_fit_of_clip_pae_finds_the_entry_that_clip_sees(backbones):
    method = ClipPae.build(backbones, init="direction")
    latents = backbones.generator.sample_w_plus(64, torch.Generator().manual_seed(2), 1.0)
    method.fit(latents, None, backbones)
    seen = backbones.clip.encode_image(backbones.generator.synthesis(latents))
    x = (latents[:, 0] - latents[:, 0].mean(0)) / latents[:, 0].std(0, correction=0)
    told = (seen - seen.mean(0)) @ method.directions.T
    agree = (told * x).mean(0)
    assert (agree > 0).all()  # what is regressed on CLIP's view goes with it
    with pytest.raises(ValueError, match='init="source" needs no fit'):
        ClipPae.build(backbones).fit(latents, None, backbones)


def test_selected_relevances_are_shares_of_the_largest():
    relevance = torch.tensor([[0.1, -0.4, 0.2]])
    assert select(relevance, keep=2)[0].tolist() == pytest.approx([0, -1, 0.5])
    assert select(relevance, keep=1, beta=0.1)[0].tolist() == pytest.approx([0.25, -1, 0.5])
    assert select(relevance, keep=3, beta=0.15)[0].tolist() == pytest.approx([0, -1, 0.5])


def test_a_ridge_shrinks_what_is_regressed():
    seen = torch.tensor([[1.0, 0], [-1, 0], [1, 0], [-1, 0]])  # variance 1 and 0: mean 0.5
    s = 3 * seen[:, :1] + 5
    rows = regressed_directions(s, seen, torch.tensor([0.0, 1.0]), ridge=2.0)
    # In deviations of s the slope is 1; the ridge of 2 mean variances makes it 1 / (1 + 1).
    assert rows[0].tolist() == pytest.approx([0.5, 0])


def test_a_regressed_step_is_relevance_times_deviation_of_what_is_kept():
    config = ClipRegressionConfig(num_channels=3, embed_dim=2, keep=2, step_sizes=(1.0,))
    method = ClipRegression(config)
    method.directions.copy_(torch.tensor([[3.0, 0], [1.0, 0], [-2.0, 0]]))
    method.deviation.copy_(torch.tensor([1.0, 1.0, 10.0]))
    method.covariance.copy_(torch.eye(2) / 4)  # a spread of a half
    step = method.delta_s(sentence_at(0.0, neutral=math.pi))  # along (1, 0)
    assert step[0].tolist() == pytest.approx([6, 0, -40], rel=1e-5)


# Guidance -----------------------------------------------------------------------------------------


def test_guidance_weighs_one_and_falls_over_the_last_third_of_its_window():
    guidance = Guidance(guidance_from=0.1, guidance_until=0.7)
    weights = [guidance.weight(index, 20) for index in (1, 2, 10, 11, 12, 13, 14)]
    assert weights == pytest.approx([0, 1, 1, 0.75, 0.5, 0.25, 0])


def test_distance_on_a_sphere_is_half_the_squared_angle():
    for angle in (0.3, 1.2, math.pi / 2):
        found = spherical_distance(direction(0.0)[None], direction(angle)[None])
        assert found.item() == pytest.approx(angle**2 / 2, rel=1e-4)
    assert spherical_distance(direction(1.0)[None], direction(1.0)[None]).item() < 1e-9


def test_root_mean_square_is_of_each_image():
    x = torch.stack([torch.full((3, 2, 2), -3.0), torch.zeros(3, 2, 2)])
    x[1, 0] = 2.0
    assert rms(x).flatten().tolist() == pytest.approx([3.0, math.sqrt(4 / 3)])


def test_small_blurs_are_left_out():
    image = torch.rand(1, 3, 16, 16)
    assert blurred(image, 0.29) is image
    assert not torch.equal(blurred(image, 0.31), image)


class NoNoise(nn.Module):
    """A denoiser that sees no noise at all."""

    def forward(self, image, times):
        return type("Output", (), {"sample": torch.zeros_like(image)})()


@pytest.fixture
def still():
    from diffusers import DDIMScheduler

    from faceedit.backbones.diffusion import Diffusion

    return Diffusion(NoNoise(), DDIMScheduler(clip_sample=False))


def pull(still, mode, slope, scale, inner_steps=1):
    """Guide a black image where the score rises by `slope` in every number."""

    def score(clean):
        return slope * clean.sum((1, 2, 3))

    guidance = Guidance(mode=mode, scale=scale, inner_steps=inner_steps)
    image = torch.zeros(1, 3, 8, 8)
    return guided(still, image, 500, score, guidance, weight=0.5), still.alpha_bar(500)


@pytest.mark.parametrize("inner_steps", [1, 4])
def test_clean_images_descend_by_a_length_that_no_slope_changes(still, inner_steps):
    for slope in (1.0, 1e-3):
        estimate, alpha_bar = pull(still, "x0", slope, scale=2.0, inner_steps=inner_steps)
        # 0.04 a unit of scale, times the weight of 0.5
        assert estimate.clean.unique().tolist() == pytest.approx([-0.04])
        noise = 0.04 * (alpha_bar / (1 - alpha_bar)) ** 0.5  # so that the image is the same
        assert estimate.noise.unique().tolist() == pytest.approx([noise], rel=1e-4)


@pytest.mark.parametrize("mode", ["full", "jacobian_free"])
def test_noise_is_changed_by_the_slope_up_to_a_limit(still, mode):
    for slope, limited in ((1e-5, False), (7.0, True)):
        estimate, alpha_bar = pull(still, mode, slope, scale=2.0)
        # The clean image is the noisy one over sqrt(alpha_bar), and so is its slope.
        gradient = 0.05 if limited else slope / alpha_bar**0.5
        noise = 300 * 2.0 * 0.5 * (1 - alpha_bar) ** 0.5 * gradient
        torch.testing.assert_close(
            estimate.noise, torch.full((1, 3, 8, 8), noise), rtol=1e-3, atol=1e-6
        )
        clean = -noise * ((1 - alpha_bar) / alpha_bar) ** 0.5
        torch.testing.assert_close(
            estimate.clean, torch.full((1, 3, 8, 8), clean), rtol=1e-3, atol=1e-6
        )


def test_layers_are_tied_as_the_base_needs_it_unless_somebody_says():
    class Base:
        class config:  # noqa: N801  # stands for the generator's own
            tied_layers = True

    assert Additions().ties(Base) is True
    assert Additions(tied_layers=False).ties(Base) is False


def test_noise_moves_by_its_warming_rate_against_the_slope_and_keeps_its_length(still):
    """Of a slope that is the same everywhere Adam makes 1 / (1 + STEADY) of its rate."""
    signs = 1.0 - 2.0 * (torch.arange(16.0) % 2)
    noise = signs.expand(1, 3, 16, 16).contiguous()
    nothing = torch.zeros_like(noise)
    path = Trajectory((nothing, noise), (500,), (nothing,))
    for rate in (0.3, -0.3):
        runs = descend_noise(still, path, 10, lambda clean: clean.sum((1, 2, 3)), 10, rate)
        step = rate / 3 / 1.5  # the first of three iterations that are shorter
        wanted = (noise - step) / (1 + step**2) ** 0.5
        torch.testing.assert_close(next(runs).image, wanted, rtol=1e-4, atol=1e-4)


def test_an_edit_is_scored_by_its_cosine_what_it_gained_and_how_alike_the_faces_are():
    editor = FaceEditor(networks())
    before, after = plain_face(red=0.2, green=0.5), plain_face(red=1.0)
    scores = Scores().of(before, after, sentence_at(1.2), editor.backbones)
    assert dict(scores) == pytest.approx(
        {
            "clip_score": math.cos(0.2),
            "clip_gain": math.cos(0.2) - math.cos(1.0),
            "identity": math.cos(0.5),
        }
    )
