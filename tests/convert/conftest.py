"""Tiny networks of official layouts, and the base folder that their files make."""

from pathlib import Path

import pytest
import torch

from faceedit.backbones import Backbones
from faceedit.backbones.clip import Clip, ClipConfig
from faceedit.backbones.clip_tokenizer import build_tokenizer
from faceedit.backbones.encoder import Encoder, EncoderConfig
from faceedit.backbones.identity import Identity, IdentityConfig
from faceedit.convert import convert
from tests.conftest import make_generator
from tests.convert import files

MERGES = [("r", "e"), ("re", "d</w>"), ("h", "a")]


@pytest.fixture(scope="package")
def official() -> Backbones:
    """Networks as small as official names allow."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = make_generator()
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.data.fill_(0.1)
        encoder = Encoder(
            EncoderConfig(
                num_ws=generator.num_ws,
                w_dim=16,
                input_size=32,
                widths=(8, 16, 24, 32),
                units=(2, 1, 2, 1),
                squeeze=4,
                head_channels=32,
            )
        )
        encoder.w_avg.copy_(generator.w_avg)
        identity = Identity(
            IdentityConfig(widths=(8, 16), units=(2, 1), embedding_dim=8, input_size=16, squeeze=4)
        )
        tokenizer = build_tokenizer(MERGES, 24)
        clip = Clip(
            ClipConfig(
                image_size=32,
                patch_size=16,
                vision_width=64,
                vision_layers=1,
                vision_heads=1,
                text_width=64,
                text_layers=1,
                text_heads=1,
                context_length=24,
                vocab_size=len(tokenizer),
                start_token=len(tokenizer) - 2,
                end_token=len(tokenizer) - 1,
                embed_dim=16,
            ),
            tokenizer,
        )
        backbones = Backbones(generator=generator, encoder=encoder, identity=identity, clip=clip)
        return backbones.freeze()


@pytest.fixture(scope="package")
def shelf(official, tmp_path_factory) -> Path:
    """A folder with the four files that a base is made of."""
    folder = tmp_path_factory.mktemp("official")
    generator = official.generator
    state = {"g_ema": files.rosinality(generator), "latent_avg": generator.w_avg}
    torch.save(state, folder / "stylegan2-ffhq-config-f.pt")
    coded = {f"encoder.{name}": t for name, t in files.encoder(official.encoder).items()}
    coded |= {f"decoder.{name}": t for name, t in files.rosinality(generator).items()}
    mean = generator.w_avg.repeat(generator.num_ws, 1)
    options = {"encoder_type": "Encoder4Editing", "start_from_latent_avg": True}
    torch.save(
        {"state_dict": coded, "latent_avg": mean, "opts": options}, folder / "e4e_ffhq_encode.pt"
    )
    files.legacy_file(folder / "model_ir_se50.pth", files.recognition(official.identity))
    torch.save(files.openai_clip(official.clip), folder / "ViT-B-32.pt")
    files.vocabulary(folder / "bpe_simple_vocab_16e6.txt.gz", MERGES)
    return folder


@pytest.fixture(scope="package")
def base(shelf, tmp_path_factory) -> Path:
    """The base that the files are converted into."""
    folder = tmp_path_factory.mktemp("ffhq") / "base"
    for name in ("stylegan2-ffhq-config-f.pt", "e4e_ffhq_encode.pt", "model_ir_se50.pth"):
        convert(shelf / name, folder)
    convert(shelf / "ViT-B-32.pt", folder)
    return folder
