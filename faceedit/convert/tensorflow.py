"""NVIDIA's TensorFlow StyleGAN2 -> the names and shapes of NVIDIA's PyTorch one.

Source: NVlabs/stylegan2, whose pickles hold the networks (G, D, Gs); Gs is the one to use. The
names of `stylegan2-ffhq-config-f.pkl` go through here to `faceedit.convert.stylegan2.from_nvidia`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from faceedit.convert.stand_ins import Inert

LEAST_VERSION = 2  # of a pickled network; older ones store their variables in another way


def variables(network: Inert, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield the variables of a pickled network and its components by name.

    Raises:
        ValueError: If it is too old or no network.
    """
    state = network.state if isinstance(network.state, Mapping) else {}
    if "variables" not in state or int(state.get("version", 0)) < LEAST_VERSION:
        raise ValueError("this TensorFlow network is of a version that is not known")
    for name, value in state["variables"]:
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise ValueError("this TensorFlow network has a variable that is no array")
        yield f"{prefix}{name}", value
    for name, component in dict(state.get("components") or {}).items():
        yield from variables(component, f"{prefix}{name}/")


def from_tensorflow(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Rename and turn round the variables of Gs.

    TensorFlow stores convolutions as [h, w, in, out], those that enlarge mirrored, matrices as
    [in, out], and the modulation's bias without the 1 that is added to it.

    Args:
        arrays: `synthesis/4x4/Conv/weight`, `mapping/Dense0/bias`, `dlatent_avg`, ...

    Returns:
        The state dict of NVIDIA's PyTorch generator.

    Raises:
        ValueError: If a variable is unknown.
    """
    state: dict[str, Tensor] = {}
    for name, value in arrays.items():
        found = _rename(name)
        if found is None:
            raise ValueError(f"{name!r} is not a variable of a TensorFlow StyleGAN2")
        if found:
            state[found] = torch.from_numpy(np.ascontiguousarray(_turn(name, value)))
    return state


def _rename(name: str) -> str | None:
    """Return NVIDIA's PyTorch name, "" for what it has not, None for what is unknown."""
    if name in ("lod", "synthesis/lod"):
        return ""
    if name == "dlatent_avg":
        return "mapping.w_avg"
    if match := re.fullmatch(r"mapping/Dense(\d+)/(weight|bias)", name):
        return f"mapping.fc{match[1]}.{match[2]}"
    if name == "synthesis/4x4/Const/const":
        return "synthesis.b4.const"
    if match := re.fullmatch(r"synthesis/noise(\d+)", name):
        number = int(match[1])
        resolution, conv = 4 * 2 ** ((number + 1) // 2), 0 if number % 2 else 1
        return f"synthesis.b{resolution}.conv{conv}.noise_const"
    match = re.fullmatch(r"synthesis/(\d+)x\1/(Conv|Conv0_up|Conv1|ToRGB)/(\w+)", name)
    if match is None:
        return None
    layer = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}[match[2]]
    parts = {
        "weight": "weight",
        "bias": "bias",
        "mod_weight": "affine.weight",
        "mod_bias": "affine.bias",
        "noise_strength": "noise_strength",
    }
    return f"synthesis.b{match[1]}.{layer}.{parts[match[3]]}" if match[3] in parts else None


def _turn(name: str, value: np.ndarray) -> np.ndarray:
    """Bring a variable into PyTorch's shape."""
    value = value.astype(np.float32)
    if name.endswith("mod_bias"):
        return value + 1
    if name.endswith("mod_weight") or re.fullmatch(r"mapping/Dense\d+/weight", name):
        return value.T
    if name.endswith("Const/const"):
        return value.reshape(value.shape[-3:])
    if re.fullmatch(r"synthesis/noise\d+", name):
        return value.reshape(value.shape[-2:])
    if name.endswith("/weight"):
        kernel = value[::-1, ::-1] if "Conv0_up" in name else value
        return kernel.transpose(3, 2, 0, 1)
    return value
