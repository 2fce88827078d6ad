"""Official StyleCLIP mappers (`afro.pt`, ...) -> our latent mapper.

Source: orpatashnik/StyleCLIP, mapper/latent_mappers.py. A file holds `state_dict` with `mapper.*`
and the whole generator as `decoder.*`, and `opts`, whose `description` is the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from faceedit.methods.styleclip_mapper import MapperConfig

_LEVELS = {"course": "coarse", "medium": "medium", "fine": "fine"}  # misspelt in the official files


def from_styleclip(
    official: Mapping[str, Tensor], sentence: str = ""
) -> tuple[MapperConfig, dict[str, Tensor]]:
    """Rename an official mapper; levels that it lacks are switched off.

    Args:
        official: The mapper's tensors, without the prefix `mapper.`.
        sentence: What it has learned.

    Returns:
        The configuration the tensors imply and a state dict for a strict load.

    Raises:
        ValueError: If it is no mapper of w_plus codes.
    """
    if any(re.match(r"mapper_\d+\.", key) for key in official):
        raise ValueError("it moves style channels; only mappers of w_plus codes can be converted")
    ours: dict[str, Tensor] = {}
    for key, value in official.items():
        match = re.fullmatch(r"(?:(?:(\w+)_)?mapping\.)?mapping\.(\d+)\.(weight|bias)", key)
        if match is None or (match[1] and match[1] not in _LEVELS):
            raise ValueError(f"{key!r} is no tensor of a StyleCLIP mapper")
        level = f"{_LEVELS[match[1]]}." if match[1] else ""
        ours[f"mapper.{level}{match[2]}.{match[3]}"] = value
    single = "mapper.1.weight" in ours
    present = {name: single or f"mapper.{name}.1.weight" in ours for name in _LEVELS.values()}
    if not any(present.values()):
        raise ValueError("it holds no level of a StyleCLIP mapper")
    weights = [value for key, value in ours.items() if key.endswith("1.weight")]
    w_dim = weights[0].shape[1]
    numbers = {int(key.split(".")[-2]) for key in ours}
    config = MapperConfig(
        w_dim=w_dim,
        depth=max(numbers),
        **present,
        single=single,
        norm_axis="layers",
        sentence=sentence,
    )
    return config, ours | {"centre": torch.zeros(w_dim), "unit": torch.ones(w_dim)}
