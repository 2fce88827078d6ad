"""Official StyleCLIP mappers (`afro.pt`, ...) -> our latent mapper.

Source: orpatashnik/StyleCLIP, mapper/latent_mappers.py. A file holds `state_dict` with `mapper.*`
and the whole generator as `decoder.*`, and `opts`, whose `description` is the sentence. The four
classes there are told apart by their keys: LevelsMapper and SingleMapper move w_plus codes,
FullStyleSpaceMapper and WithoutToRGBStyleSpaceMapper style codes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from faceedit.methods.styleclip_mapper import MapperConfig

_LEVELS = {"course": "coarse", "medium": "medium", "fine": "fine"}  # misspelt in the official files


def from_styleclip(
    official: Mapping[str, Tensor], sentence: str = ""
) -> tuple[MapperConfig, dict[str, Tensor]]:
    """Rename an official mapper; what it has no network for is switched off.

    Args:
        official: The mapper's tensors, without the prefix `mapper.`.
        sentence: What it has learned.

    Returns:
        The configuration the tensors imply and a state dict for a strict load.

    Raises:
        ValueError: If it is not a mapper.
    """
    of_styles = any(re.match(r"mapper_\d+\.", key) for key in official)
    config, ours = _of_styles(official) if of_styles else _of_layers(official)
    numbers = {int(key.split(".")[-2]) for key in ours}
    config = replace(config, depth=max(numbers), norm_axis="layers", sentence=sentence)
    entries = sum(config.style_dims) or config.w_dim
    return config, ours | {"centre": torch.zeros(entries), "unit": torch.ones(entries)}


def _of_layers(official: Mapping[str, Tensor]) -> tuple[MapperConfig, dict[str, Tensor]]:
    """Rename a mapper of w_plus codes; levels that it lacks are switched off.

    Raises:
        ValueError: If it is none.
    """
    ours: dict[str, Tensor] = {}
    for key, value in official.items():
        match = re.fullmatch(r"(?:(?:(\w+)_)?mapping\.)?mapping\.(\d+)\.(weight|bias)", key)
        if match is None or (match[1] and match[1] not in _LEVELS):
            raise ValueError(f"{key!r} is not a tensor of a StyleCLIP mapper")
        level = f"{_LEVELS[match[1]]}." if match[1] else ""
        ours[f"mapper.{level}{match[2]}.{match[3]}"] = value
    single = "mapper.1.weight" in ours
    present: dict[str, Any] = {
        name: single or f"mapper.{name}.1.weight" in ours for name in _LEVELS.values()
    }
    if not any(present.values()):
        raise ValueError("it contains no level of a StyleCLIP mapper")
    weights = [value for key, value in ours.items() if key.endswith("1.weight")]
    return MapperConfig(w_dim=weights[0].shape[1], **present, single=single), ours


def _of_styles(official: Mapping[str, Tensor]) -> tuple[MapperConfig, dict[str, Tensor]]:
    """Rename a mapper of style codes, with networks for toRGB's layers or without.

    Raises:
        ValueError: If it is none, or has networks for other layers.
    """
    ours: dict[str, Tensor] = {}
    dims: dict[int, int] = {}  # style layer -> channels
    for key, value in official.items():
        match = re.fullmatch(r"mapper_(\d+)\.mapping\.(\d+)\.(weight|bias)", key)
        if match is None:
            raise ValueError(f"{key!r} is not a tensor of a StyleCLIP mapper of style channels")
        ours[f"mapper.{match[1]}.{match[2]}.{match[3]}"] = value
        if (match[2], match[3]) == ("1", "weight"):
            dims[int(match[1])] = value.shape[1]
    to_rgb = 1 in dims
    layers = range(max(dims, default=0) // 3 * 3 + 2)  # a toRGB layer, every third, is the last
    if sorted(dims) != [layer for layer in layers if to_rgb or layer % 3 != 1]:
        raise ValueError(
            f"it has networks for the style layers {sorted(dims)}; StyleCLIP's mappers have one "
            "for every layer, or for every one but those of toRGB (1, 4, 7, ...)"
        )
    # a toRGB layer reads the features of the layer before it
    style_dims = tuple(dims[layer] if layer in dims else dims[layer - 1] for layer in layers)
    return MapperConfig(space="s", w_dim=0, style_dims=style_dims, to_rgb=to_rgb), ours
