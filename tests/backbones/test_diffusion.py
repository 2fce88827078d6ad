"""The denoiser: diffusers' schedules to the number, inversion that comes back, official weights."""

import json

import pytest
import torch

from faceedit.backbones.diffusion import Diffusion, Estimate, exact, invert, reconstruct, resize
from faceedit.convert.diffusion import convert_unet, save_denoiser, unet_config
from faceedit.errors import RequestError
from faceedit.optimization.guidance import Guidance, denoise
from tests.golden import official

# google/ddpm-celebahq-256, config.json, as published
CELEBA = {
    "sample_size": 256,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (128, 128, 256, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D") + ("UpBlock2D",) * 4,
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 32,
    "act_fn": "silu",
}


class Gaussian(torch.nn.Module):
    """The exact denoiser of images whose pixels are independent, of deviation 0.5."""

    def __init__(self, levels):
        super().__init__()
        self.levels = levels
        self.calls = 0

    def forward(self, image, times):
        self.calls += 1
        level = self.levels[int(times[0])]
        noise = (1 - level) ** 0.5 * image / (level * 0.25 + 1 - level)
        return type("Output", (), {"sample": noise})()


def scheduler(**settings):
    from diffusers import DDIMScheduler

    return DDIMScheduler(**{"clip_sample": False, **settings})


@pytest.fixture
def gaussian() -> Diffusion:
    table = scheduler()
    return Diffusion(Gaussian([float(level) for level in table.alphas_cumprod.double()]), table)


@pytest.mark.parametrize("steps", [10, 25, 50, 100])
@pytest.mark.parametrize("offset", [0, 1])
def test_timesteps_are_those_of_diffusers(steps, offset):
    table = scheduler(steps_offset=offset)
    table.set_timesteps(steps)
    plan = Diffusion(torch.nn.Identity(), table).plan(steps, 1.0)
    assert plan[::-1] == table.timesteps.tolist()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("time", [0, 20, 500, 980])
def test_steps_are_those_of_diffusers(prediction, eta, time):
    table = scheduler(prediction_type=prediction)
    table.set_timesteps(50)
    diffusion = Diffusion(torch.nn.Identity(), table)
    image, output = torch.randn(2, 1, 3, 8, 8)
    seed = torch.Generator().manual_seed(0)
    wanted = table.step(output, time, image, eta=eta, generator=seed)
    estimate = diffusion.split(output, image, time)
    mine = diffusion.cleaner(estimate, time - 20, time, eta, torch.Generator().manual_seed(0))
    # The table is float32: at the last step it knows 1 - alpha to four digits.
    assert torch.allclose(mine, wanted.prev_sample, rtol=1e-3, atol=1e-3)
    assert torch.allclose(estimate.clean, wanted.pred_original_sample, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("to_one", [True, False])
def test_the_last_step_ends_where_the_schedule_says_that_images_are_clean(to_one):
    table = scheduler(set_alpha_to_one=to_one)
    table.set_timesteps(10)
    diffusion = Diffusion(torch.nn.Identity(), table)
    image, output = torch.randn(2, 1, 3, 8, 8)
    wanted = table.step(output, 0, image).prev_sample
    mine = diffusion.cleaner(diffusion.split(output, image, 0), -100, 0)
    assert torch.allclose(mine, wanted, atol=1e-4)
    assert torch.allclose(mine, image, atol=1e-4) != to_one  # else that level is the cleanest


def test_inversion_step_is_the_opposite_of_the_denoising_step(gaussian):
    image, noise = torch.randn(2, 1, 3, 8, 8)
    noisy = gaussian.noisier(image, noise, 400, 420)
    level = gaussian.alpha_bar(420)
    clean = (noisy - (1 - level) ** 0.5 * noise) / level**0.5
    back = gaussian.cleaner(Estimate(noise, clean), 400, 420)
    assert torch.allclose(back, image, atol=1e-5)


def test_fixed_point_inversion_beats_the_usual_one_by_far(gaussian):
    image = 0.5 * torch.randn(4, 3, 16, 16)
    errors = []
    for iterations in (1, 2, 3):
        path = invert(gaussian, image, 50, 0.5, iterations)
        errors.append((reconstruct(gaussian, path.end, 50, 0.5) - image).abs().mean().item())
    assert errors[1] < errors[0] / 5 and errors[2] < errors[1] / 5
    assert errors[2] < 1e-3
    level = gaussian.alpha_bar(path.times[-1])
    assert path.end.std() == pytest.approx((level * 0.25 + 1 - level) ** 0.5, rel=0.1)


def test_corrections_bring_the_images_back_exactly(gaussian):
    path = invert(gaussian, torch.randn(2, 3, 8, 8), 20, 1.0, iterations=1)
    image = path.end
    for place in reversed(range(20)):
        time = path.times[place]
        image = gaussian.cleaner(gaussian.estimate(image, time), time - 50, time)
        image = image + path.corrections[place]
    assert torch.allclose(image, path.images[0], atol=1e-4)


@pytest.mark.parametrize("steps", [5, 10])
def test_inverting_and_sampling_unpulled_ask_the_network_no_more_than_a_plain_loop(gaussian, steps):
    image = torch.randn(2, 3, 8, 8)
    path = invert(gaussian, image, steps, 1.0)
    *_, last = denoise(gaussian, path.end, path, steps, None, Guidance(scale=0.0))
    assert torch.equal(last.image, image)
    assert gaussian.unet.calls <= 2 * steps  # one call a step there, and one a step back


@pytest.mark.parametrize("mode", ["x0", "full", "jacobian_free"])
def test_a_pulled_run_asks_the_network_once_more_per_step_at_most(gaussian, mode):
    path = invert(gaussian, torch.randn(2, 3, 8, 8), 10, 1.0)
    score = lambda image: image.square().mean((1, 2, 3))  # noqa: E731
    *_, last = denoise(gaussian, path.end, path, 10, score, Guidance(mode=mode))
    assert (score(last.image) < score(path.images[0])).all()
    assert gaussian.unet.calls <= 3 * 10


def test_what_inversion_knows_is_what_the_network_says(gaussian):
    path = invert(gaussian, torch.randn(2, 3, 8, 8), 10, 0.5)
    for place, time in enumerate(path.times):
        said = gaussian.estimate(path.images[place + 1], time)
        known = gaussian.with_noise(path.images[place + 1], path.noises[place], time)
        assert torch.equal(said.noise, known.noise) and torch.equal(said.clean, known.clean)


def test_inversions_are_remembered_by_content(gaussian):
    image = torch.randn(1, 3, 8, 8)
    first = gaussian.inverted(image, 10)
    calls = gaussian.unet.calls
    assert gaussian.inverted(image.clone(), 10) is first
    assert gaussian.unet.calls == calls
    assert gaussian.inverted(image + 1, 10) is not first
    assert gaussian.inverted(image, 20) is not first


def test_a_stopped_inversion_is_not_remembered(gaussian):
    def stop(index):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gaussian.inverted(torch.zeros(1, 3, 8, 8), 10, after_step=stop)
    assert not gaussian._known


@pytest.mark.parametrize("strength", [0, -0.1, 1.01, float("nan")])
def test_strength_outside_its_range_is_refused(gaussian, strength):
    with pytest.raises(RequestError, match="strength"):
        gaussian.plan(50, strength)


@pytest.mark.parametrize("steps", [0, -5, 30, 2000])
def test_steps_that_do_not_divide_the_schedule_are_refused(gaussian, steps):
    with pytest.raises(RequestError, match="do not divide the 1000"):
        gaussian.plan(steps, 0.5)


def test_schedules_that_cannot_be_inverted_are_refused():
    with pytest.raises(ValueError, match="pure noise"):
        Diffusion(torch.nn.Identity(), scheduler(rescale_betas_zero_snr=True))


def test_exact_schedules_do_not_clamp():
    from diffusers import DDPMScheduler

    for given in (scheduler(clip_sample=True, timestep_spacing="trailing"), DDPMScheduler()):
        settings = exact(given).config
        assert settings.clip_sample is False
        assert settings.timestep_spacing == "leading"
        assert torch.equal(exact(given).alphas_cumprod, given.alphas_cumprod)


def test_resizing_down_averages_and_up_keeps_constants():
    image = torch.rand(1, 3, 8, 8)
    assert torch.allclose(resize(image, 4), torch.nn.functional.avg_pool2d(image, 2))
    assert torch.allclose(resize(torch.ones(1, 3, 4, 4), 16), torch.ones(1, 3, 16, 16))
    assert resize(image, 8) is image


def test_saved_denoiser_is_the_same_after_loading(backbones, tmp_path):
    backbones.diffusion.save(tmp_path, half=False)
    loaded = Diffusion.from_folder(tmp_path)
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        mine, theirs = (d.estimate(image, 500).clean for d in (backbones.diffusion, loaded))
    assert torch.equal(mine, theirs)
    settings = json.loads((tmp_path / "scheduler" / "scheduler_config.json").read_text())
    assert settings["clip_sample"] is False


# Official weights ---------------------------------------------------------------------------------


@torch.no_grad()
def check_official(name: str, times: tuple[int, ...]) -> None:
    from diffusers import UNet2DModel

    golden = official.load(name)
    weights = golden.state_dict()
    unet = UNet2DModel(**unet_config(weights, golden.parameters["image_size"])).eval()
    unet.load_state_dict(convert_unet(weights))
    for time in times:
        said = unet(golden.input("x"), time).sample
        difference, allowed = golden.difference(f"eps_t{time}", said)
        assert difference <= allowed


def test_converted_network_gives_the_official_numbers():
    check_official("ddpm_unet_small", (0, 17, 999))


@pytest.mark.slow
def test_converted_celeba_network_gives_the_official_numbers():
    check_official("ddpm_unet_celebahq", (17,))


def test_celeba_configuration_is_read_off_the_weights():
    from diffusers import UNet2DModel

    golden = official.load("ddpm_unet_celebahq")
    with torch.device("meta"):
        weights = {
            key: torch.empty(shape) for key, shape, *_ in golden.about["layout"]["state_dict"]
        }
        unet = UNet2DModel(**CELEBA)
    assert unet_config(weights, 256) == CELEBA
    assert sum(p.numel() for p in unet.parameters()) == 113_673_219
    shapes = {name: tensor.shape for name, tensor in unet.state_dict().items()}
    assert {name: tensor.shape for name, tensor in convert_unet(weights).items()} == shapes
    assert len(shapes) == 450


def test_official_weights_become_a_folder_to_edit_with(tmp_path):
    golden = official.load("ddpm_unet_small")
    save_denoiser(golden.state_dict(), tmp_path, golden.parameters["image_size"])
    diffusion = Diffusion.from_folder(tmp_path)
    assert diffusion.prediction == "epsilon" and diffusion.resolution == 64
    x, start = golden.input("x"), 50  # to the clean image, as the official code steps
    with torch.no_grad():
        estimate = diffusion.estimate(x, start)
    for name, mine in (
        ("ddim_50_-1", diffusion.cleaner(estimate, -1, start)),
        ("ddim_50_-1_x0", estimate.clean),
        ("betas", diffusion.scheduler.betas),
    ):
        difference, allowed = golden.difference(name, mine)
        assert difference <= allowed, name


def test_foreign_weights_are_named():
    with pytest.raises(ValueError, match=r"temb\.dense\.0\.weight"):
        unet_config({"conv_in.weight": torch.zeros(1)}, 64)
    with pytest.raises(ValueError, match=r"decoder\.input"):
        convert_unet({"decoder.input": torch.zeros(1)})


def test_a_wider_finest_level_is_refused():
    golden = official.load("ddpm_unet_small")
    with torch.device("meta"):
        weights = {
            key: torch.empty(shape) for key, shape, *_ in golden.about["layout"]["state_dict"]
        }
        weights["conv_in.weight"] = torch.empty(32, 3, 3, 3)
    with pytest.raises(ValueError, match="needs them equal"):
        unet_config(weights, 64)
