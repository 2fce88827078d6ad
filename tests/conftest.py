"""Tiny real networks for all tests: same classes as the published ones, random weights."""

import os

# Read when huggingface_hub is first imported, so before any import of ours.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

from pathlib import Path

import pytest
import torch

from faceedit import hub
from faceedit.backbones import Backbones
from faceedit.backbones.attributes import AttributeHead, AttributeReader, AttributesConfig
from faceedit.backbones.clip import Clip, ClipConfig
from faceedit.backbones.clip_tokenizer import build_tokenizer
from faceedit.backbones.diffusion import Diffusion
from faceedit.backbones.encoder import Encoder, EncoderConfig
from faceedit.backbones.identity import Identity, IdentityConfig
from faceedit.backbones.segmenter import Segmenter, SegmenterConfig
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig

REGION_NAMES = ("background", "skin", "hair")


def make_generator() -> Generator:
    config = GeneratorConfig(
        resolution=32, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=16
    )
    generator = Generator(config)
    generator.set_w_avg(torch.Generator().manual_seed(0), samples=64)
    return generator


def make_encoder(generator: Generator) -> Encoder:
    return Encoder(
        EncoderConfig(
            num_ws=generator.num_ws,
            w_dim=generator.config.w_dim,
            input_size=32,
            widths=(8, 8, 8, 8),
            units=(1, 1, 1, 1),
            squeeze=4,
            head_channels=8,
            share_heads=True,
        )
    )


def make_identity() -> Identity:
    return Identity(
        IdentityConfig(
            widths=(8, 8),
            units=(1, 1),
            embedding_dim=8,
            aligned_size=32,
            crop=(4, 28, 4, 28),
            input_size=16,
            squeeze=4,
        )
    )


def make_clip() -> Clip:
    tokenizer = build_tokenizer([], context_length=24)
    config = ClipConfig(
        image_size=32,
        patch_size=8,
        vision_width=16,
        vision_layers=2,
        vision_heads=2,
        text_width=16,
        text_layers=2,
        text_heads=2,
        context_length=24,
        vocab_size=len(tokenizer),
        start_token=tokenizer.start_token,
        end_token=tokenizer.end_token,
        embed_dim=16,
    )
    with torch.random.fork_rng(devices=[]):  # the same CLIP whatever was drawn before
        torch.manual_seed(1)
        return Clip(config, tokenizer)


def make_attributes() -> AttributeReader:
    heads = (AttributeHead("smile", -1, 1), AttributeHead("hair_color", 0, 1, ("brown", "red")))
    config = AttributesConfig(heads=heads, input_size=32, widths=(8, 8), hidden=8)
    return AttributeReader(config)


def make_diffusion() -> Diffusion:
    from diffusers import DDIMScheduler, UNet2DModel

    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        norm_num_groups=4,
        add_attention=False,
    )
    return Diffusion(unet, DDIMScheduler(clip_sample=False, prediction_type="v_prediction"))


def make_backbones() -> Backbones:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = make_generator()
        return Backbones(
            generator=generator,
            clip=make_clip(),
            identity=make_identity(),
            encoder=make_encoder(generator),
            segmenter=Segmenter(SegmenterConfig(REGION_NAMES, widths=(8, 8))),
            attributes=make_attributes(),
            diffusion=make_diffusion(),
        ).freeze()


def save_base(backbones: Backbones, folder: Path) -> Path:
    """Write a base repo of these networks in full precision; a denoiser lies with its method."""
    shared = {name: n for name, n in backbones.present().items() if name != "diffusion"}
    for name, network in shared.items():
        if name == "clip":
            network.save(folder / name, half=False)
        else:
            hub.save_network(network, folder / name, half=False)
    hub.save_base(folder, {name: name for name in shared}, resolution=32)
    return folder


@pytest.fixture(scope="session")
def backbones() -> Backbones:
    return make_backbones()


@pytest.fixture(scope="session")
def base_folder(backbones, tmp_path_factory) -> Path:
    return save_base(backbones, tmp_path_factory.mktemp("hub") / "portraits-tiny")


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same numbers, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def no_faces(monkeypatch):
    """The detector finds no face, as in the drawings of most tests; it would look ten times."""
    monkeypatch.setattr("faceedit.photo.alignment.detect_faces", lambda photo, every: [])
