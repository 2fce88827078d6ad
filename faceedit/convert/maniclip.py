"""The official ManiCLIP weights (`pretrained_edit_model.pth.tar`) -> our ManiCLIP.

Source: hwang1996/ManiCLIP, train.py. The file holds `state_dict` with the network's own tensors and
a whole CLIP as `clip_model.*`, which is left out: ours comes with the base.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from faceedit.methods.maniclip import ManiClipConfig

_NAMES = {  # official -> ours
    "x_map.0": "code_map",
    "text_map.0": "text_map",
    "norm1": "text_norm",
    "norm2": "code_norm",
}


def from_maniclip(official: Mapping[str, Tensor]) -> tuple[ManiClipConfig, dict[str, Tensor]]:
    """Rename the official weights; the number of attention heads, 8, does not show in them.

    Args:
        official: The state_dict; `clip_model.*` is ignored, and the constant positions are ours.

    Returns:
        The configuration the shapes imply and a state dict for a strict load.

    Raises:
        ValueError: If a key is unknown or missing.
    """
    ours: dict[str, Tensor] = {}
    for key, value in official.items():
        if key.startswith("clip_model.") or key == "pos_encoder.pe":
            continue
        place, _, part = key.rpartition(".")
        if place in _NAMES:
            ours[f"transformer.{_NAMES[place]}.{part}"] = value
        elif key.startswith("decoder."):
            ours[f"transformer.{key}"] = value
        else:
            raise ValueError(f"{key!r} is not a tensor of ManiCLIP")
    if "transformer.code_map.weight" not in ours:
        raise ValueError("x_map.0.weight is missing; is this ManiCLIP's edit model?")
    w_dim = ours["transformer.code_map.weight"].shape[0]
    layers = {m[1] for key in ours if (m := re.search(r"decoder\.layers\.(\d+)\.", key))}
    config = ManiClipConfig(
        w_dim=w_dim,
        embed_dim=w_dim,
        layers=len(layers),
        feed_forward=ours["transformer.decoder.layers.0.linear1.weight"].shape[0],
    )
    return config, ours | {"centre": torch.zeros(w_dim), "unit": torch.ones(w_dim)}
