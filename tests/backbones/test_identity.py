"""Face recognition: the official network's numbers, and what identity losses rely on."""

import dataclasses
import json

import pytest
import torch

from faceedit import hub
from faceedit.backbones.identity import PORTRAIT_IDENTITY, Identity, IdentityConfig
from faceedit.convert.identity import convert_identity
from faceedit.losses.terms import identity_distance
from tests.golden import official


@pytest.fixture(scope="module")
def golden() -> official.Golden:
    return official.load("irse50_idloss")


@pytest.fixture(scope="module")
def irse50(golden) -> Identity:
    network = Identity(IdentityConfig())
    network.load_state_dict(convert_identity(golden.state_dict()))
    return network.eval()


@pytest.fixture(scope="module")
def small() -> Identity:
    torch.manual_seed(0)
    return Identity(PORTRAIT_IDENTITY).eval()


@torch.no_grad()
def test_irse50_gives_the_official_embedding(golden, irse50):
    features = irse50.body(golden.input("face112"))[-1]
    embedding = torch.nn.functional.normalize(irse50.project(features))
    difference, allowed = golden.difference("embedding112", embedding)
    assert difference <= allowed


@pytest.mark.parametrize("size", [128, 256, 1024])
@torch.no_grad()
def test_identity_crop_matches_the_official_loss_at_any_size(golden, irse50, size):
    crop = irse50.crop(golden.input(f"y_hat_{size}"))
    difference, allowed = golden.difference(f"crop112_{size}", crop)
    assert difference <= allowed


@torch.no_grad()
def test_one_minus_cosine_is_the_official_identity_loss(golden, irse50):
    edited, source = golden.input("y_hat_256"), golden.input("y_256")
    source = 0.3 * source + 0.7 * edited  # as the golden file's note says
    loss = identity_distance(irse50, source, edited)
    difference, allowed = golden.difference("idloss_256", loss)
    assert difference <= allowed


def test_converting_a_foreign_tensor_names_it():
    with pytest.raises(ValueError, match=r"decoder\.input"):
        convert_identity({"decoder.input": torch.zeros(1)})


@torch.no_grad()
def test_embeddings_have_unit_length_at_any_image_size(small):
    for size in (64, 128, 256):
        embedding = small.embed(torch.rand(2, 3, size, size) * 2 - 1)
        assert embedding.shape == (2, PORTRAIT_IDENTITY.embedding_dim)
        assert torch.allclose(embedding.norm(dim=1), torch.ones(2), atol=1e-5)


@torch.no_grad()
def test_pixels_outside_the_crop_do_not_matter(small):
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    changed = image.clone()
    top, bottom, left, right = PORTRAIT_IDENTITY.crop
    changed[:, :, :top] = changed[:, :, bottom:] = 1
    changed[..., :left] = changed[..., right:] = -1
    assert torch.equal(small(image), small(changed))


def test_embedding_of_one_face_does_not_depend_on_the_batch(small):
    image = torch.rand(3, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(small(image)[1:2], small(image[1:2]), atol=1e-5)


def test_portrait_identity_fits_its_budget(small):
    assert sum(p.numel() for p in small.parameters()) < 0.85e6


def test_saved_identity_loads_as_the_same_network(small, tmp_path):
    hub.save_network(small, tmp_path, half=False)
    loaded = hub.load_network(Identity, tmp_path)
    assert loaded.config == PORTRAIT_IDENTITY
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(image), small(image))


def test_config_survives_json():
    values = json.loads(json.dumps(dataclasses.asdict(PORTRAIT_IDENTITY)))
    assert IdentityConfig(**values) == PORTRAIT_IDENTITY


def test_input_size_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        IdentityConfig(input_size=100)
