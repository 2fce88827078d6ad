"""The generator equals the official ones, number by number, and keeps its own promises."""

import dataclasses

import pytest
import torch

from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.convert.stylegan2 import from_nvidia, from_rosinality
from tests.golden import official

TINY = GeneratorConfig(
    resolution=32, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=16
)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def generator() -> Generator:
    """A tiny generator whose noise is switched on."""
    torch.manual_seed(0)
    generator = Generator(TINY).eval()
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.3)
        generator.w_avg.normal_()
    return generator


@pytest.fixture
def w_plus() -> torch.Tensor:
    return torch.randn(3, TINY.num_ws, TINY.w_dim, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def rosinality():
    golden = official.load("rosinality_generator_64")
    config, state = from_rosinality(golden.state_dict(), golden.input("truncation_latent"))
    generator = Generator(config).eval()
    generator.load_state_dict(state, strict=True)
    return golden, generator


def assert_matches(golden: official.Golden, name: str, mine: torch.Tensor) -> None:
    difference, allowed = golden.difference(name, mine)
    assert difference <= allowed, f"{name} differs by {difference:.2e}, allowed {allowed:.2e}"


# ------------------------------------------------------------------------- official numbers
def test_images_match_rosinality_numbers(rosinality):
    golden, generator = rosinality
    w = generator.mapping(golden.input("z"))
    assert_matches(golden, "mapped_w", w)
    psi = golden.parameters["truncation"]
    assert_matches(golden, "img_z", generator(generator.truncate(w, psi)))
    assert_matches(golden, "img_wplus", generator(golden.input("w_plus")))


def test_styles_match_styleclip_numbers(rosinality):
    golden, generator = rosinality
    s = generator.styles(golden.input("w_plus"))
    assert list(generator.style_dims) == golden.parameters["style_channels"]
    for layer in generator.style_layers:
        mine = s[:, layer.channels_slice][:, :32]
        assert_matches(golden, f"s_{layer.index:02d}", mine)
    edit = golden.parameters["s_edit"]
    start = generator.style_layers[edit["index"]].start
    first, last = edit["channels"]
    s[:, start + first : start + last] += edit["add"]
    assert_matches(golden, "img_s_edit", generator.synthesis_from_styles(s))


def test_features_and_skip_images_match_rosinality_numbers(rosinality):
    golden, generator = rosinality
    w_plus, features = golden.input("w_plus"), {}

    def record(layer, x):
        features[layer] = x
        return x

    generator.synthesis(w_plus, feature_hook=record)
    assert sorted(features) == list(range(generator.num_ws - 1))
    for layer, x in features.items():
        name = "feat_w_conv1" if layer == 0 else f"feat_w_convs_{layer - 1}"
        assert_matches(golden, name, x)
    for resolution in generator.config.resolutions:
        mine = generator.synthesis(w_plus, resolution=resolution)
        assert_matches(golden, f"skip_w_{resolution}", mine)


@pytest.mark.parametrize(
    "name",
    [
        "nvidia_generator_64_small_clamp",
        pytest.param("nvidia_generator_64", marks=pytest.mark.slow),  # 27 M weights to draw
    ],
)
def test_images_match_nvidia_numbers(name):
    golden = official.load(name)
    constructor = golden.parameters["constructor"]
    config, state = from_nvidia(golden.state_dict(), constructor.get("conv_clamp"))
    generator = Generator(config).eval()
    generator.load_state_dict(state, strict=True)
    psi, cutoff = (golden.parameters[f"truncation_{part}"] for part in ("psi", "cutoff"))
    w_plus = generator.truncate(generator.mapping(golden.input("z")), psi, cutoff)
    assert_matches(golden, "mapped_ws", w_plus)
    assert_matches(golden, "img_z", generator(w_plus))
    ws = golden.input("ws")
    assert_matches(golden, "img_ws", generator(ws))
    assert_matches(golden, "img_ws_nonoise", generator.synthesis(ws, noise_mode="none"))


def test_converter_reads_the_configuration_off_the_shapes():
    golden = official.load("nvidia_generator_64_small_clamp")
    config, _ = from_nvidia(golden.state_dict(), conv_clamp=2.0)
    wanted = GeneratorConfig(64, 96, 128, 2, channel_base=4096, channel_max=128, conv_clamp=2.0)
    assert config == wanted


def test_converter_refuses_missing_and_unknown_keys():
    state = official.load("nvidia_generator_64_small_clamp").state_dict()
    del state["synthesis.b8.conv0.bias"]
    state["synthesis.b8.conv9.bias"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"missing.*conv0\.bias.*unknown.*conv9\.bias"):
        from_nvidia(state)


# ------------------------------------------------------------------------- official sizes
@pytest.mark.parametrize(
    ("resolution", "num_ws", "styles", "channels", "outside_rgb", "parameters", "buffers"),
    [
        (64, 10, 14, 7168, 4608, 27.03, 0.011),
        (128, 12, 17, 8192, 5376, 29.33, 0.044),
        (256, 14, 20, 8704, 5760, 30.03, 0.17),
        (512, 16, 23, 8960, 5952, 30.28, 0.70),
        (1024, 18, 26, 9088, 6048, 30.37, 2.80),
    ],
)
def test_sizes_follow_the_official_table(
    resolution, num_ws, styles, channels, outside_rgb, parameters, buffers
):
    with torch.device("meta"):
        generator = Generator(GeneratorConfig(resolution=resolution))
    assert generator.num_ws == num_ws
    assert len(generator.style_dims) == styles
    assert sum(generator.style_dims) == channels
    plain = [layer.channels for layer in generator.style_layers if not layer.is_rgb]
    assert sum(plain) == outside_rgb
    assert sum(p.numel() for p in generator.parameters()) / 1e6 == pytest.approx(
        parameters, abs=0.006
    )
    noises = sum(b.numel() for n, b in generator.named_buffers() if n.endswith(".noise"))
    assert noises / 1e6 == pytest.approx(buffers, rel=0.04)


def test_each_style_layer_names_the_w_that_feeds_it():
    rows = [(la.resolution, la.is_rgb, la.w_index) for la in Generator(TINY).style_layers]
    assert rows[:5] == [(4, False, 0), (4, True, 1), (8, False, 1), (8, False, 2), (8, True, 3)]
    assert rows[-1] == (32, True, TINY.num_ws - 1)


@pytest.mark.parametrize("resolution", [4, 0, 100])
def test_config_refuses_impossible_resolutions(resolution):
    with pytest.raises(ValueError, match="power of two"):
        GeneratorConfig(resolution=resolution)


# ------------------------------------------------------------------------- our own promises
def test_synthesis_from_s_equals_synthesis_from_w_plus(generator, w_plus):
    from_s = generator.synthesis_from_styles(generator.styles(w_plus))
    assert torch.equal(from_s, generator(w_plus))


def test_a_batch_equals_its_images_one_by_one(generator, w_plus):
    alone = torch.cat([generator(w[None]) for w in w_plus])
    assert torch.allclose(generator(w_plus), alone, atol=1e-5)


@pytest.mark.parametrize("clamp", [None, 0.6])
def test_one_large_picture_is_the_one_of_a_batch_and_of_a_training(clamp):
    """One picture of 256 px and more is drawn by scaled kernels, without gradients."""
    sizes = {"resolution": 256, "channel_base": 1024, "channel_max": 8, "conv_clamp": clamp}
    generator = Generator(dataclasses.replace(TINY, **sizes)).eval()
    for name, parameter in generator.named_parameters():
        if name.endswith(("noise_strength", "bias")) and "affine" not in name:
            parameter.normal_()
    codes = torch.randn(2, generator.num_ws, TINY.w_dim)
    alone = torch.cat([generator(code[None]) for code in codes])
    assert torch.allclose(generator(codes), alone, rtol=1e-4, atol=1e-4)
    with torch.enable_grad():
        assert torch.allclose(generator(codes[:1]), alone[:1], rtol=1e-4, atol=1e-4)
    for mode in ("none", "const"):
        both = generator.synthesis(codes, noise_mode=mode)
        assert torch.allclose(generator.synthesis(codes[:1], noise_mode=mode), both[:1], atol=1e-3)


def test_truncated_synthesis_returns_the_smaller_image(generator, w_plus):
    image = generator.synthesis(w_plus, resolution=16)
    assert image.shape == (3, 3, 16, 16)
    changed = w_plus.clone()
    changed[:, 6:] = 0  # layers 0 .. 5 make 16 px
    assert torch.equal(image, generator.synthesis(changed, resolution=16))


def test_constant_noise_repeats_and_random_noise_follows_its_generator(generator, w_plus):
    assert torch.equal(generator(w_plus), generator(w_plus))
    draw = [
        generator.synthesis(
            w_plus, noise_mode="random", generator=torch.Generator().manual_seed(seed)
        )
        for seed in (1, 1, 2)
    ]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])
    assert not torch.equal(generator(w_plus), generator.synthesis(w_plus, noise_mode="none"))


def test_feature_hook_replaces_features(generator, w_plus):
    seen = []
    image = generator.synthesis(w_plus, feature_hook=lambda layer, x: seen.append(layer) or x * 0)
    assert seen == list(range(TINY.num_ws - 1))
    assert not torch.equal(image, generator(w_plus))


def test_truncation_moves_codes_to_the_mean(generator):
    w = torch.randn(2, TINY.w_dim)
    mean = generator.broadcast(generator.w_avg.expand(2, -1))
    assert torch.allclose(generator.truncate(w, psi=0.0), mean)
    assert torch.equal(generator.truncate(w, psi=1.0)[:, 0] - w < 1e-6, torch.ones(2, 16).bool())
    cut = generator.truncate(w, psi=0.0, cutoff=4)
    assert torch.allclose(cut[:, :4], mean[:, :4])
    assert torch.equal(cut[:, 4:], generator.broadcast(w)[:, 4:])


def test_same_seed_samples_the_same_faces(generator):
    codes = [generator.sample_w_plus(2, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert codes[0].shape == (2, TINY.num_ws, TINY.w_dim)
    assert torch.equal(codes[0], codes[1])


def test_wrong_codes_are_refused_with_the_expected_shape(generator):
    with pytest.raises(ValueError, match=r"expected \(n, 8, 16\)"):
        generator(torch.zeros(2, 3, 16))
    with pytest.raises(ValueError, match="expected"):
        generator.synthesis_from_styles(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="choose from"):
        generator.synthesis(torch.zeros(2, 8, 16), resolution=64)
    with pytest.raises(ValueError, match="noise_mode"):
        generator.synthesis(torch.zeros(2, 8, 16), noise_mode="loud")


def test_bfloat16_autocast_stays_close(generator, w_plus):
    with torch.autocast("cpu", torch.bfloat16):
        image = generator(w_plus)
    assert image.dtype == torch.float32
    exact = generator(w_plus)
    assert (image - exact).abs().mean() < 0.02 * exact.abs().mean()


def test_clamp_limits_features(w_plus):
    torch.manual_seed(0)
    clamped = Generator(dataclasses.replace(TINY, conv_clamp=0.5))
    largest = []
    clamped.synthesis(w_plus, feature_hook=lambda _, x: largest.append(x.abs().max()) or x)
    assert max(largest) <= 0.5


def test_gradients_reach_every_parameter_but_the_mapping(w_plus):
    torch.manual_seed(0)
    generator = Generator(TINY)
    with torch.enable_grad():
        generator(w_plus).square().sum().backward()
    without = [n for n, p in generator.named_parameters() if p.grad is None]
    assert all(name.startswith("mapping.") for name in without)
