"""Official IR-SE50 weights (`model_ir_se50.pth`) -> our identity network.

The official file is a bare state_dict with `input_layer.*`, `body.{0..23}.*` and `output_layer.*`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

_UNIT = {  # official name inside a unit -> ours
    "res_layer.0": "norm_in",
    "res_layer.1": "conv_in",
    "res_layer.2": "activation",
    "res_layer.3": "conv_out",
    "res_layer.4": "norm_out",
    "res_layer.5.fc1": "excite.reduce",
    "res_layer.5.fc2": "excite.expand",
    "shortcut_layer.0": "shortcut.0",
    "shortcut_layer.1": "shortcut.1",
}
_HEAD = {"0": "norm", "3": "linear", "4": "norm_out"}  # output_layer: 1 is dropout, 2 flattens


def body_name(official: str, units: Sequence[int]) -> str | None:
    """Translate a key of the shared IR-SE body.

    Args:
        official: Key such as `body.7.res_layer.1.weight` or `input_layer.0.weight`.
        units: Units of each stage; the official file numbers them through.

    Returns:
        Our key, relative to the body (`stages.2.0.conv_in.weight`), or None for any other key.
    """
    if official.startswith("input_layer."):
        return official.replace("input_layer.", "stem.", 1)
    match = re.fullmatch(r"body\.(\d+)\.(.+)\.(\w+)", official)
    if match is None or match[2] not in _UNIT:
        return None
    index, stage = int(match[1]), 0
    while stage < len(units) and index >= units[stage]:
        index, stage = index - units[stage], stage + 1
    return f"stages.{stage}.{index}.{_UNIT[match[2]]}.{match[3]}"


def convert_identity(
    official: Mapping[str, Tensor], units: Sequence[int] = (3, 4, 14, 3)
) -> dict[str, Tensor]:
    """Rename an official IR-SE state_dict to ours.

    Args:
        official: The official state_dict.
        units: Units of each stage, as in `IdentityConfig.units`.

    Returns:
        A state_dict for `Identity`, to be loaded strictly.

    Raises:
        ValueError: If a key is not one of IR-SE's.
    """
    renamed = {}
    for key, value in official.items():
        name = body_name(key, units)
        if name is not None:
            renamed[f"body.{name}"] = value
            continue
        match = re.fullmatch(r"output_layer\.(\d+)\.(\w+)", key)
        if match is None or match[1] not in _HEAD:
            raise ValueError(f"{key!r} is not a tensor of IR-SE; is this model_ir_se50.pth?")
        renamed[f"{_HEAD[match[1]]}.{match[2]}"] = value
    return renamed
