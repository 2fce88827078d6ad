"""The segmenter and the attribute reader: shapes, units, and learning on a world that is known."""

import json

import pytest
import torch

from faceedit import hub
from faceedit.backbones.attributes import (
    AttributeHead,
    AttributeReader,
    AttributesConfig,
    decode,
    encode,
)
from faceedit.backbones.segmenter import Segmenter, SegmenterConfig
from faceedit.backbones.unet import fit_resolution
from faceedit.world import REGIONS

HEADS = (
    AttributeHead("smile", -1, 1),
    AttributeHead("age", 18, 85),
    AttributeHead("hue", 0, 1, circular=True),
    AttributeHead("hair_color", 0, 2, ("black", "brown", "red")),
)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(SegmenterConfig(REGIONS)).eval()


@pytest.fixture(scope="module")
def reader() -> AttributeReader:
    torch.manual_seed(0)
    return AttributeReader(AttributesConfig(HEADS)).eval()


@torch.no_grad()
def test_segmenter_labels_every_pixel(segmenter):
    image = torch.rand(2, 3, 64, 128) * 2 - 1
    assert segmenter(image).shape == (2, len(REGIONS), 64, 128)
    assert segmenter.segment(image).shape == (2, 64, 128)


@torch.no_grad()
def test_segmenter_looks_at_every_image_at_its_own_resolution():
    torch.manual_seed(0)
    shape = SegmenterConfig(REGIONS, fold=4, widths=(8, 8), detail=4, resolution=64)
    network = Segmenter(shape).eval()
    image = torch.randn(1, 3, 128, 128)
    looked = fit_resolution(image, 64, network.step)
    assert looked.shape[-2:] == (64, 64)
    grown = torch.nn.functional.interpolate(network(looked), (128, 128), mode="bilinear")
    assert torch.allclose(network(image), grown, atol=1e-5)
    assert network(image[..., :37, :50]).shape[-2:] == (37, 50)
    with pytest.raises(ValueError, match="multiple of 8"):
        SegmenterConfig(REGIONS, fold=4, widths=(8, 8), resolution=60)


@torch.no_grad()
def test_masks_of_all_regions_sum_to_one(segmenter):
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.allclose(segmenter.mask(image, *REGIONS), torch.ones(1, 1, 32, 32), atol=1e-5)
    with pytest.raises(ValueError, match="moustache"):
        segmenter.mask(image, "hair", "moustache")


def test_segmenter_refuses_sides_that_it_cannot_halve(segmenter):
    with pytest.raises(ValueError, match="multiples of 16"):
        segmenter(torch.zeros(1, 3, 40, 40))


def test_networks_fit_their_budget(segmenter, reader):
    for network in (segmenter, reader):
        assert sum(p.numel() for p in network.parameters()) < 0.6e6


@torch.no_grad()
def test_reader_answers_in_units(reader):
    answers = reader(torch.rand(2, 3, 128, 128) * 2 - 1)
    assert set(answers) == {head.name for head in HEADS}
    assert answers["hair_color"].shape == (2, 3)
    assert answers["age"].shape == (2,)
    assert (answers["age"] > 18).all()
    read = reader.read(torch.rand(2, 3, 64, 64) * 2 - 1)
    assert read["hair_color"].shape == (2,)


def test_decoding_undoes_encoding():
    for head in HEADS[:3]:
        value = head.low + (head.high - head.low) * torch.tensor([0.05, 0.4, 0.9])
        assert torch.allclose(decode(head, encode(head, value)), value, atol=1e-4)


def test_reader_keeps_its_heads_when_saved(reader, tmp_path):
    hub.save_network(reader, tmp_path, half=False)
    loaded = hub.load_network(AttributeReader, tmp_path)
    assert loaded.config == reader.config
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(image)["smile"], reader(image)["smile"])


def test_fovea_is_a_square_within_the_picture():
    for fovea in ((0, 30, 0, 32), (-4, 28, 0, 32), (100, 132, 0, 32), (0, 30, 0, 30), (8, 8, 0, 0)):
        with pytest.raises(ValueError, match="fovea"):
            AttributesConfig(HEADS, fovea=fovea)


@torch.no_grad()
def test_fovea_sees_its_square_and_nothing_else():
    torch.manual_seed(0)
    reader = AttributeReader(AttributesConfig(HEADS, fovea=(32, 64, 48, 80))).eval()
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    inside, outside = image.clone(), image.clone()
    inside[..., 40, 60] += 1
    outside[..., 20, 60] += 1
    assert not torch.equal(reader.fovea(inside), reader.fovea(image))
    assert torch.equal(reader.fovea(outside), reader.fovea(image))


def test_readers_from_before_the_fovea_load(tmp_path):
    reader = AttributeReader(AttributesConfig(HEADS))
    hub.save_network(reader, tmp_path, half=False)
    config = json.loads((tmp_path / "config.json").read_text())
    for name in ("fovea", "fovea_widths", "fovea_colors"):
        del config[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert hub.load_network(AttributeReader, tmp_path).config == reader.config


def test_segmenter_learns_two_halves():
    torch.manual_seed(0)
    network = Segmenter(SegmenterConfig(("dark", "bright"), widths=(8, 16)))
    labels = torch.zeros(8, 32, 32, dtype=torch.long)
    labels[:4, :, 11:] = 1
    labels[4:, 20:] = 1
    image = (labels[:, None] * 1.0 - 0.5).expand(8, 3, 32, 32) + 0.2 * torch.randn(8, 3, 32, 32)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(network(image), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (network.eval().segment(image) == labels).float().mean() > 0.97
