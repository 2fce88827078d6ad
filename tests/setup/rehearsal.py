"""The rehearsal: every official file in its official format, from seeded weights, in a folder.

    python -m tests.setup.rehearsal FOLDER [--full]

Small networks draw 256 px; --full has the official sizes, at 1024 px. The files then go through
`faceedit setup ffhq --from FOLDER --trust-files`, and what comes of them is used as a user would.
"""

from __future__ import annotations

import argparse
import itertools
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from faceedit.backbones.clip import Clip, ClipConfig
from faceedit.backbones.clip_tokenizer import build_tokenizer
from faceedit.backbones.encoder import Encoder, EncoderConfig
from faceedit.backbones.face_parser import FaceParserConfig
from faceedit.backbones.identity import Identity, IdentityConfig
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.words.frames import IMAGENET
from tests.convert import files

SMALL_GENERATOR = {"resolution": 256, "z_dim": 32, "w_dim": 32, "mapping_layers": 2,
                   "channel_base": 1024, "channel_max": 32}  # fmt: skip
SMALL_PARSER = {"widths": (8, 12, 16, 24), "context": 8}
SMALL_BODY = {"widths": (8, 16, 24, 32), "units": (2, 2, 2, 2), "squeeze": 4}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ("a", "face", "red", "hair", "smiling", "blonde", "with", "old", "person")
FRAMED = tuple(
    dict.fromkeys(re.findall("[a-z]+", " ".join(IMAGENET)))
)  # one token each, as in CLIP
MAPPERS = {"purple_hair": "purple hair", "surprised": "surprised face"}


def merges(count: int) -> Iterator[tuple[str, str]]:
    """Yield so many merges of letters, first those of some words, then any."""
    made: dict[str, tuple[str, str]] = {}  # by what they make, which is a token
    for word in (*WORDS, *FRAMED):
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            made["".join(parts[:2])] = (parts[0], parts[1])
            parts[:2] = ["".join(parts[:2])]
    pairs = itertools.product(LETTERS, LETTERS)
    triples = itertools.product(map("".join, itertools.product(LETTERS, LETTERS)), LETTERS)
    fours = itertools.product(
        map("".join, itertools.product(LETTERS, LETTERS)),
        map("".join, itertools.product(LETTERS, LETTERS)),
    )
    for pair in itertools.chain(pairs, triples, fours):
        if len(made) >= count:
            break
        made.setdefault("".join(pair), pair)
    yield from itertools.islice(made.values(), count)


def networks(full: bool) -> tuple[Generator, Encoder, Identity, Clip]:
    """Return networks of official shapes; small ones have fewer channels."""
    generator = Generator(GeneratorConfig(**({} if full else SMALL_GENERATOR)))
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.05)
    generator.set_w_avg(torch.Generator().manual_seed(0), samples=256)
    sizes = {} if full else {"input_size": 64, "head_channels": 32, **SMALL_BODY}
    encoder = Encoder(
        EncoderConfig(num_ws=generator.num_ws, w_dim=generator.config.w_dim, codes="delta", **sizes)
    )
    encoder.w_avg.copy_(generator.w_avg)
    small = {"embedding_dim": 16, "input_size": 32, **SMALL_BODY}
    identity = Identity(IdentityConfig(**({} if full else small)))
    config = ClipConfig() if full else None
    vocabulary = list(merges(config.vocab_size - 514 if config else 60))
    tokenizer = build_tokenizer(vocabulary, 77)
    if config is None:
        config = ClipConfig(
            image_size=64, patch_size=16, vision_width=64, vision_layers=1, vision_heads=1,
            text_width=64, text_layers=1, text_heads=1, vocab_size=len(tokenizer),
            start_token=len(tokenizer) - 2, end_token=len(tokenizer) - 1, embed_dim=32,
        )  # fmt: skip
    return generator, encoder, identity, Clip(config, tokenizer)


@torch.no_grad()
def write_official(folder: Path, full: bool = False) -> Path:
    """Write every file that `faceedit setup ffhq` knows and can take, from seeded weights."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator, encoder, identity, clip = networks(full)
        _write_base(folder, generator, encoder, identity, clip)
        _write_directions(folder, generator, clip.embed_dim)
        _write_mappers(folder, generator)
        parser = FaceParserConfig(**({} if full else SMALL_PARSER))
        torch.save(files.bisenet(parser, torch.default_generator), folder / "79999_iter.pth")
    return folder


def _write_base(
    folder: Path, generator: Generator, encoder: Encoder, identity: Identity, clip: Clip
) -> None:
    decoder = files.rosinality(generator)
    coded = {f"encoder.{name}": tensor for name, tensor in files.encoder(encoder).items()}
    coded |= {f"decoder.{name}": tensor for name, tensor in decoder.items()}
    mean = generator.w_avg.repeat(generator.num_ws, 1)
    options = {"encoder_type": "Encoder4Editing", "start_from_latent_avg": True}
    torch.save(
        {"state_dict": coded, "latent_avg": mean, "opts": options}, folder / "e4e_ffhq_encode.pt"
    )
    files.legacy_file(folder / "model_ir_se50.pth", files.recognition(identity))
    torch.save(files.openai_clip(clip), folder / "ViT-B-32.pt")
    count = clip.config.vocab_size - 514
    files.vocabulary(folder / "bpe_simple_vocab_16e6.txt.gz", merges(count))


def _write_directions(folder: Path, generator: Generator, embed_dim: int) -> None:
    """Write fs3, the statistics, boundaries and components."""
    layers, w_dim = generator.style_layers, generator.config.w_dim
    plain = sum(layer.channels for layer in layers if not layer.is_rgb)
    np.save(folder / "fs3.npy", torch.randn(plain, embed_dim).numpy().astype(np.float16))
    deviations = [np.full(layer.channels, 0.5, np.float32) for layer in layers]
    means = [np.zeros(layer.channels, np.float32) for layer in layers]
    (folder / "S_mean_std").write_bytes(pickle.dumps([means, deviations], protocol=4))
    for name in ("age", "pose", "smile"):
        torch.save(torch.randn(1, w_dim), folder / f"{name}.pt")
    rows = torch.linalg.qr(torch.randn(w_dim, w_dim))[0]
    torch.save(
        {"comp": rows, "mean": generator.w_avg[None], "std": torch.linspace(2, 1, w_dim)},
        folder / "ffhq_pca.pt",
    )


def _write_mappers(folder: Path, generator: Generator) -> None:
    w_dim, decoder = generator.config.w_dim, files.rosinality(generator)
    for name, sentence in MAPPERS.items():
        state = {
            f"mapper.{level}_mapping.mapping.{i}.{part}": 30
            * torch.randn(*([w_dim] * (2 if part == "weight" else 1)))
            for level in ("course", "medium")
            for i in range(1, 5)
            for part in ("weight", "bias")
        }
        state |= {f"decoder.{key}": tensor for key, tensor in decoder.items()}
        options = {"description": sentence, "no_fine_mapper": True}
        torch.save({"state_dict": state, "opts": options}, folder / f"{name}.pt")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true", help="official sizes, 1024 px")
    typed = parser.parse_args()
    write_official(typed.folder, typed.full)
