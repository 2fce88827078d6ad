"""Official OpenAI CLIP weights (`ViT-B-32.pt`) -> our CLIP, which has `transformers`' names.

Source: openai/CLIP, clip/model.py. The official file is a TorchScript archive whose state_dict
holds `visual.*`, `transformer.*`, `token_embedding.weight`, ... and three plain numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from faceedit.backbones.clip import ClipConfig

_NUMBERS = ("input_resolution", "context_length", "vocab_size")  # stored beside the weights
_NAMES = {  # official -> ours
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # misspelt in transformers
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "logit_scale": "logit_scale",
}
_PROJECTIONS = {  # stored the other way round: x @ projection
    "visual.proj": "visual_projection.weight",
    "text_projection": "text_projection.weight",
}
_INSIDE = {  # inside a block
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def clip_config(official: Mapping[str, Tensor]) -> ClipConfig:
    """Read the sizes off an official state_dict (vision transformers only).

    Raises:
        ValueError: If it is not the state_dict of a CLIP with a vision transformer.
    """
    if "visual.proj" not in official or "token_embedding.weight" not in official:
        raise ValueError("not an official CLIP with a vision transformer: 'visual.proj' is missing")
    width, _, patch, _ = official["visual.conv1.weight"].shape
    grid = round((official["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    vocabulary, text_width = official["token_embedding.weight"].shape
    return ClipConfig(
        image_size=grid * patch,
        patch_size=patch,
        vision_width=width,
        vision_layers=_depth(official, "visual.transformer.resblocks."),
        vision_heads=width // 64,
        text_width=text_width,
        text_layers=_depth(official, "transformer.resblocks."),
        text_heads=max(1, text_width // 64),
        context_length=official["positional_embedding"].shape[0],
        vocab_size=vocabulary,
        start_token=vocabulary - 2,
        end_token=vocabulary - 1,
        embed_dim=official["text_projection"].shape[1],
        wording="web",
    )


def _depth(official: Mapping[str, Tensor], prefix: str) -> int:
    return len({key[len(prefix) :].split(".")[0] for key in official if key.startswith(prefix)})


def convert_clip(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an official CLIP state_dict.

    Args:
        official: The official state_dict.

    Returns:
        A float32 state_dict for `Clip.model`, to be loaded strictly.

    Raises:
        ValueError: If a key is unknown.
    """
    ours: dict[str, Tensor] = {}
    for key, value in official.items():
        if key in _NUMBERS:
            continue
        value = value.float()
        if key in _NAMES:
            ours[_NAMES[key]] = value
        elif key in _PROJECTIONS:
            ours[_PROJECTIONS[key]] = value.T.contiguous()
        else:
            ours.update(_block(key, value))
    return ours


def _block(key: str, value: Tensor) -> dict[str, Tensor]:
    """Translate a tensor of a transformer block; the joined q, k, v become three."""
    match = re.fullmatch(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)", key)
    if match is None:
        raise ValueError(f"unknown key {key!r} in the official CLIP weights")
    tower = "vision_model" if match[1] else "text_model"
    place = f"{tower}.encoder.layers.{match[2]}"
    if match[3] == "attn.in_proj":
        parts = zip("qkv", torch.chunk(value, 3), strict=True)
        return {f"{place}.self_attn.{c}_proj.{match[4]}": part.clone() for c, part in parts}
    if match[3] not in _INSIDE:
        raise ValueError(f"unknown key {key!r} in the official CLIP weights")
    return {f"{place}.{_INSIDE[match[3]]}.{match[4]}": value}
