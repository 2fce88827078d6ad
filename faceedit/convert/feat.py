"""Edits of Psarpei/GanVinci's FEAT -> our method: names, settings, and its joined attention summed.

A checkpoint's `weights` hold a whole generator (`generator.*`) beside the edit's own tensors; only
those are read. Where editing begins (`att_start`) is not in the tensors but in the folder's name.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from faceedit.methods.feat import Feat, FeatConfig


def from_ganvinci(
    state: Mapping[str, Tensor], first: int, alpha: float = 0.5, mask_threshold: float = 0.0
) -> Feat:
    """Return the method with one sentence's weights; it edits as GanVinci does with fixed noise.

    Args:
        state: The own tensors, `att_conv1.*`, `att_convs.*`, `mapper.*`; `generator.*` is ignored.
        first: The first w layer that is moved, `att_start`.
        alpha: Size of the displacement; 0.5 in training.
        mask_threshold: Below it the map is set to 0; 0 as in training, 0.8 is theirs for use.

    Raises:
        ValueError: If tensors are missing.
    """
    depth = sum(key.startswith("mapper.") and key.endswith(".weight") for key in state) // 2
    sources = sum(key.startswith("att_convs.") and key.endswith(".weight") for key in state)
    if not depth or sources < 2 or "att_conv1.weight" not in state:
        raise ValueError("not an edit of GanVinci's FEAT: no mapper.* or att_convs.*")
    end = first + depth
    channels = [_source(state, i).shape[1] for i in range(sources)]  # the image's 3 are the last
    config = FeatConfig(
        num_ws=sources,
        w_dim=state["mapper.0.weight"].shape[0],
        text_dim=0,
        feature_channels=tuple(channels[:-1]),
        layers=(first, end),
        blend_layer=end - 1,
        displacement_scale=alpha,
        mask_threshold=mask_threshold,
        weight_tv=1e-5 * 4 * 2 ** ((end) // 2),  # theirs is of the sum, ours of the length
    )
    method = Feat(config)
    w_dim = config.w_dim
    ours = {"centre": torch.zeros(w_dim), "unit": torch.ones(w_dim)}
    ours |= _mapper(state, depth) | _attention(state, sources)
    method.load_state_dict(ours, strict=True)
    return method.eval()


def _mapper(state: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Stack the layers' matrices; theirs alternate hidden, output, hidden, ..."""
    return {
        f"mapper.{name}.{part}": torch.stack(
            [state[f"mapper.{2 * i + offset}.{part}"] for i in range(depth)]
        )
        for offset, name in enumerate(("hidden", "output"))
        for part in ("weight", "bias")
    }


def _attention(state: Mapping[str, Tensor], sources: int) -> dict[str, Tensor]:
    """Fuse each source's convolution with its part of the last one: [C, c] and [1, C] -> [1, c].

    Nothing stands between the two but a resizing, so the result is the same.
    """
    last = f"att_convs.{sources - 1}"
    shares = state[f"{last}.weight"].flatten().chunk(sources)  # C numbers a source
    ours: dict[str, Tensor] = {}
    for i, share in enumerate(shares):
        weight, bias = _source(state, i).flatten(1), _source(state, i, "bias")
        ours[f"attention.convs.{i}.weight"] = (share @ weight)[None, :, None, None]
        ours[f"attention.convs.{i}.bias"] = (share @ bias)[None]
    ours["attention.convs.0.bias"] = ours["attention.convs.0.bias"] + state[f"{last}.bias"]
    return ours


def _source(state: Mapping[str, Tensor], index: int, part: str = "weight") -> Tensor:
    """Return the tensor of a source: the first at 4 px has a name of its own."""
    return state[f"att_convs.{index - 1}.{part}" if index else f"att_conv1.{part}"]
