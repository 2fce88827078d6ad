"""e4e and its relatives: the official numbers, and what inversion relies on."""

import dataclasses
import json
from functools import cache

import pytest
import torch

from faceedit import hub
from faceedit.backbones.encoder import PORTRAIT_ENCODER, Encoder, EncoderConfig
from faceedit.convert.encoder import convert_encoder
from tests.golden import official


@cache
def official_encoder(heads: bool) -> Encoder:
    """Return the official size with the golden weights; e4e and pSp differ in `codes` only."""
    golden = official.load("e4e_encoder_64" if heads else "w_encoder_64")
    codes = "delta" if heads else "single"
    config = EncoderConfig(num_ws=golden.parameters["n_styles"], codes=codes)
    with torch.device("meta"):
        encoder = Encoder(config)
    encoder.load_state_dict(convert_encoder(golden.state_dict(), config), assign=True)
    return encoder.eval()


@pytest.fixture(scope="module")
def small() -> Encoder:
    torch.manual_seed(0)
    return Encoder(PORTRAIT_ENCODER).eval()


@pytest.mark.parametrize(
    ("name", "codes"),
    [("e4e_encoder_64", "delta"), ("psp_encoder_64", "absolute"), ("w_encoder_64", "single")],
)
@torch.no_grad()
def test_encoder_gives_the_official_codes(name, codes):
    golden = official.load(name)
    encoder = official_encoder(heads=codes != "single")
    encoder.config = dataclasses.replace(encoder.config, codes=codes)
    difference, allowed = golden.difference("codes", encoder(golden.input("image")))
    assert difference <= allowed


@pytest.mark.slow
@torch.no_grad()
def test_progressive_stages_give_the_official_codes():
    golden = official.load("e4e_encoder_64")
    encoder = official_encoder(heads=True)
    encoder.config = dataclasses.replace(encoder.config, codes="delta")
    for output, layers in (("codes_WTraining", 0), ("codes_Delta2Training", 2)):
        difference, allowed = golden.difference(output, encoder(golden.input("image"), layers))
        assert difference <= allowed, output


def test_conversion_wants_a_head_a_layer():
    with pytest.raises(ValueError, match="share_heads"):
        convert_encoder({}, PORTRAIT_ENCODER)


def test_conversion_reduces_a_repeated_mean_w():
    config = EncoderConfig(num_ws=3, w_dim=4)
    mean = torch.arange(4.0)
    assert torch.equal(convert_encoder({}, config, mean.repeat(3, 1))["w_avg"], mean)
    with pytest.raises(ValueError, match="layer to layer"):
        convert_encoder({}, config, torch.arange(12.0).reshape(3, 4))


@torch.no_grad()
def test_codes_are_relative_to_the_mean_w(small):
    image = torch.rand(2, 3, 128, 128) * 2 - 1
    before = small(image)
    small.w_avg += 1
    assert torch.allclose(small(image), before + 1, atol=1e-5)
    small.w_avg -= 1


@torch.no_grad()
def test_without_deltas_all_layers_share_one_w(small):
    image = torch.rand(2, 3, 128, 128) * 2 - 1
    code = small(image, layers=0)
    assert code.shape == (2, 12, 256)
    assert torch.equal(code, code[:, :1].expand_as(code))
    some = small(image, layers=3)
    assert torch.equal(some[:, 4:], some[:, :1].expand(2, 8, 256))
    assert torch.equal(some[:, :4], small(image)[:, :4])


@torch.no_grad()
def test_encoder_pools_larger_faces(small):
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    large = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(small(large), small(image), atol=1e-4)


def test_portrait_encoder_fits_five_mebibytes_in_half_precision(small, tmp_path):
    hub.save_network(small, tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 5 * 2**20


def test_saved_encoder_loads_as_the_same_network(small, tmp_path):
    hub.save_network(small, tmp_path, half=False)
    loaded = hub.load_network(Encoder, tmp_path)
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(image), small(image))


def test_config_survives_json():
    values = json.loads(json.dumps(dataclasses.asdict(PORTRAIT_ENCODER)))
    assert EncoderConfig(**values) == PORTRAIT_ENCODER


@pytest.mark.parametrize("codes", ["delta", "single"])
def test_a_second_look_adds_one_offset_that_its_square_alone_decides(codes):
    torch.manual_seed(0)
    shape = dataclasses.replace(PORTRAIT_ENCODER, codes=codes)
    encoder = Encoder(shape).eval()
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    inside, outside = image.clone(), image.clone()
    inside[..., 80, 60] += 1
    outside[..., 20, 60] += 1
    with torch.no_grad():
        assert not encoder.second_look(image).any()  # an untrained one finds nothing
        torch.nn.init.normal_(encoder.second_look.linear.weight)
        seen = encoder.second_look(image)
        first = encoder._first_look(encoder.maps(image), None)
        assert torch.equal(encoder.offsets(image), first + seen)
        assert seen.shape == (1, 1, 256)
        assert torch.equal(encoder.second_look(outside), seen)
        assert not torch.equal(encoder.second_look(inside), seen)


def test_encoders_from_before_the_second_look_load(tmp_path):
    before = Encoder(dataclasses.replace(PORTRAIT_ENCODER, fovea=()))
    hub.save_network(before, tmp_path, half=False)
    config = json.loads((tmp_path / "config.json").read_text())
    for name in EncoderConfig.added_later:
        del config[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert hub.load_network(Encoder, tmp_path).config == before.config


def test_a_second_look_outside_of_the_picture_is_refused():
    with pytest.raises(ValueError, match="fovea"):
        dataclasses.replace(PORTRAIT_ENCODER, fovea=(100, 164, 32, 96))


def test_unknown_codes_are_refused():
    with pytest.raises(ValueError, match="absolute"):
        EncoderConfig(codes="relative")
