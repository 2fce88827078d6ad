"""Photographs have codes of their own; every other picture keeps the encoder's."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faceedit.backbones import load_backbones
from faceedit.backbones.photo_encoder import Output, PhotoEncoder, PhotoEncoderConfig
from faceedit.inversion import encode, to_tensor
from faceedit.photo import align, load_photo
from faceedit.photo.framing import Framing

EXAMPLES = Path("demo/examples")
NAMES = ("encoder", "photo_encoder", "segmenter", "landmarks", "generator", "attributes")


@pytest.fixture(scope="module")
def shipped():
    return load_backbones(Path("hub_cards/portraits-128"), NAMES)


@pytest.fixture(scope="module")
def photographs():
    crops = [
        align(load_photo(EXAMPLES / f"{name}.jpg"), None, 128, framing=Framing.WORLD).image
        for name in ("female-45", "male-5", "female-33")
    ]
    return torch.cat([to_tensor(crop) for crop in crops])


@torch.no_grad()
def test_drawn_faces_have_the_encoders_code_to_the_bit(shipped):
    w = shipped.generator.sample_w_plus(4, torch.Generator().manual_seed(0), 1.0)
    drawn = shipped.generator.synthesis(w).clamp(-1, 1)
    assert torch.equal(encode(drawn, shipped), shipped.encoder(drawn))


@torch.no_grad()
def test_a_photograph_is_drawn_as_the_person_whom_it_shows(shipped, photographs):
    codes = encode(photographs, shipped)
    assert torch.equal(codes, codes[:, :1].expand_as(codes))  # one w for all layers
    read = shipped.attributes.read(shipped.generator.synthesis(codes).clamp(-1, 1))
    young, man, old = range(3)
    assert read["femininity"][young] > 0.5 > read["femininity"][man]
    assert read["age"][old] > 50 > read["age"][young]
    beards = next(h.values for h in shipped.attributes.config.heads if h.name == "beard")
    assert [beards[int(read["beard"][i])] for i in (young, old)] == ["none", "none"]


@torch.no_grad()
def test_a_batch_gives_each_picture_what_it_has_alone(shipped, photographs):
    w = shipped.generator.sample_w_plus(1, torch.Generator().manual_seed(1), 1.0)
    drawn = shipped.generator.synthesis(w).clamp(-1, 1)
    codes = encode(torch.cat([photographs[:1], drawn]), shipped)
    alone = torch.cat([encode(photographs[:1], shipped), encode(drawn, shipped)])
    assert torch.allclose(codes, alone, atol=1e-3)


@torch.no_grad()
def test_a_base_without_it_has_the_encoders_code_for_photographs_too(shipped, photographs):
    without = replace(shipped, photo_encoder=None)
    assert torch.equal(encode(photographs, without), shipped.encoder(photographs))


def test_choices_are_made_and_numbers_are_drawn_as_their_curve_says():
    outputs = (
        Output("hat", ("none", "cap")),
        Output("smile", read=(0.0, 0.4, 0.5, 1.0), meant=(0.0, 0.0, 0.6, 1.0)),
        Output("hat_hue", circular=True),
        Output("lipstick", fixed=(0.25,)),
    )
    network = PhotoEncoder(
        PhotoEncoderConfig(outputs, features=3, narrow=1, gate=4, w_dim=8, width=8)
    )
    told = torch.tensor([[0.2, 0.3, 0.35, 0.0, 2.0], [0.5, 0.1, 0.75, -3.0, 0.0]])
    expected = torch.tensor([[0, 1, 0.0, 0, 1, 0.25], [1, 0, 0.8, -1, 0, 0.25]])
    assert torch.allclose(network.embedding(told), expected)
