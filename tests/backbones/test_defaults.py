"""Sizes that nobody gives are those of the published networks; a config.json leaves them out."""

import dataclasses

import pytest

from faceedit.backbones.attributes import AttributesConfig
from faceedit.backbones.clip import ClipConfig
from faceedit.backbones.encoder import EncoderConfig
from faceedit.backbones.face_parser import FaceParserConfig
from faceedit.backbones.identity import IdentityConfig
from faceedit.backbones.landmarks import LandmarkerConfig
from faceedit.backbones.photo_encoder import PhotoEncoderConfig
from faceedit.backbones.segmenter import SegmenterConfig
from faceedit.backbones.stylegan2 import GeneratorConfig

SIZES = {
    # StyleGAN2 config F on FFHQ
    GeneratorConfig: {
        "resolution": 1024, "z_dim": 512, "w_dim": 512, "mapping_layers": 8,
        "mapping_lr_multiplier": 0.01, "channel_base": 32768, "channel_max": 512,
        "conv_clamp": None, "tied_layers": False,
    },
    # ViT-B/32
    ClipConfig: {
        "image_size": 224, "patch_size": 32, "vision_width": 768, "vision_layers": 12,
        "vision_heads": 12, "text_width": 512, "text_layers": 12, "text_heads": 8,
        "context_length": 77, "vocab_size": 49408, "start_token": 49406, "end_token": 49407,
        "embed_dim": 512, "pixel_mean": (0.48145466, 0.4578275, 0.40821073),
        "pixel_std": (0.26862954, 0.26130258, 0.27577711), "pixels": "openai", "wording": "house",
    },
    # e4e, and its IR-SE50
    EncoderConfig: {
        "num_ws": 18, "w_dim": 512, "input_size": 256, "widths": (64, 128, 256, 512),
        "units": (3, 4, 14, 3), "fold": 1, "squeeze": 16, "levels": (3, 7), "head_channels": 512,
        "share_heads": False, "codes": "delta", "fovea": (), "fovea_widths": (20, 32, 48),
        "fovea_colors": 8, "fovea_hidden": 96,
    },
    IdentityConfig: {
        "widths": (64, 128, 256, 512), "units": (3, 4, 14, 3), "embedding_dim": 512,
        "aligned_size": 256, "crop": (35, 223, 32, 220), "input_size": 112, "fold": 1,
        "squeeze": 16, "dropout": 0.6,
    },
    # BiSeNet of face-parsing.PyTorch
    FaceParserConfig: {
        "widths": (64, 128, 256, 512), "units": (2, 2, 2, 2), "context": 128, "resolution": 512,
    },
    # Ours
    AttributesConfig: {
        "input_size": 128, "fold": 2, "widths": (32, 64, 96, 128), "depth": 1, "hidden": 192,
        "dropout": 0.1, "colors": 0, "fovea": (), "fovea_widths": (32, 56, 80), "fovea_colors": 8,
    },
    LandmarkerConfig: {"fold": 4, "widths": (32, 48, 96, 128, 112), "resolution": 256},
    SegmenterConfig: {"fold": 2, "widths": (24, 48, 96, 128), "detail": 0, "resolution": 0},
    PhotoEncoderConfig: {"narrow": 0, "gate": 160, "w_dim": 256, "width": 256, "layers": 4},
}  # fmt: skip


@pytest.mark.parametrize("config", SIZES, ids=lambda config: config.__name__)
def test_sizes_are_those_of_the_published_networks(config):
    fields = {f.name: f.default for f in dataclasses.fields(config)}
    fields = {name: value for name, value in fields.items() if value is not dataclasses.MISSING}
    fields.pop("classes", None)  # names, which its own test reads
    assert fields == SIZES[config]
