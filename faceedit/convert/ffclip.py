"""Official FFCLIP weights (kristen-rang/FFCLIP) -> our method: names, sizes, settings.

The official checkpoint is `{"state_dict", "opts"}` and its keys carry `module.`, a whole generator
(`module.generator.*`) and the mapper (`module.att_mapper.*`); only the mapper is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from faceedit.methods.ffclip import FfClip, FfClipConfig

_PARTS = {
    "q_matrix": "alignment.query",
    "k_matrix": "alignment.key",
    "v_matrix": "alignment.value",
    "attention_layer.q_matrix": "alignment.channel_query",
    "attention_layer.k_matrix": "alignment.channel_key",
    "attention_layer.v_matrix": "alignment.channel_value",
    **{f"{side}_.{i}": f"injection.{side}.{i}" for side in ("gamma", "beta") for i in (0, 1, 3)},
}
_KEY = re.compile(r"(?:.*\.)?att_mapper\.(\d+)\.(.+)\.(weight|bias)$")


def from_official(state: Mapping[str, Tensor]) -> FfClip:
    """Return the method with official weights; it edits as the official code does.

    Args:
        state: The state dict; keys may carry any prefix before `att_mapper.<block>.`.

    Raises:
        ValueError: If tensors are missing, or the mapper holds some that are unknown.
    """
    ours: dict[str, Tensor] = {}
    for key, value in state.items():
        match = _KEY.fullmatch(key)
        if match is None or match[2] == "fc":  # `fc` is made and never used
            continue
        if match[2] not in _PARTS:
            raise ValueError(f"{key} is not of an FFCLIP mapper")
        ours[f"modulation.blocks.{match[1]}.{_PARTS[match[2]]}.{match[3]}"] = value
    method = FfClip(_config(ours))
    missing = sorted(set(method.state_dict()) - set(ours) - {"centre", "unit"})
    if missing:
        raise ValueError(f"not an FFCLIP mapper: missing {missing[:5]}")
    sizes = method.config.w_dim
    ours |= {"centre": torch.zeros(sizes), "unit": torch.ones(sizes)}
    method.load_state_dict(ours, strict=True)
    return method.eval()


def _config(ours: Mapping[str, Tensor]) -> FfClipConfig:
    """Read the sizes off the shapes."""
    name = "modulation.blocks.0.alignment.channel_key.weight"
    if name not in ours:
        raise ValueError("not an FFCLIP mapper: no att_mapper.0.attention_layer.k_matrix.weight")
    w_dim = ours["modulation.blocks.0.alignment.query.weight"].shape[0]
    return FfClipConfig(
        num_ws=ours[name].shape[0],
        w_dim=w_dim,
        text_dim=w_dim,
        blocks=1 + max(int(key.split(".")[2]) for key in ours),
    )
