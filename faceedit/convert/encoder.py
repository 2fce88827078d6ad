"""Official encoder4editing and pSp weights -> our encoder.

An official checkpoint (`e4e_ffhq_encode.pt`) holds `state_dict` with `encoder.*` and `decoder.*`,
and `latent_avg`, [num_ws, w_dim] of equal rows or [w_dim]. Only the encoder is read here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from faceedit.backbones.encoder import EncoderConfig
from faceedit.convert.identity import body_name

_LATERALS = {"latlayer1": "lateral_medium", "latlayer2": "lateral_fine"}


def convert_encoder(
    official: Mapping[str, Tensor], config: EncoderConfig, latent_avg: Tensor | None = None
) -> dict[str, Tensor]:
    """Rename an official encoder state_dict to ours.

    Args:
        official: The encoder's tensors, without the prefix `encoder.`.
        config: The architecture that they are for; its heads must not be shared.
        latent_avg: The generator's mean w, [w_dim] or [num_ws, w_dim]; zero if None.

    Returns:
        A state_dict for `Encoder`, to be loaded strictly.

    Raises:
        ValueError: If the heads are shared, a key is unknown, or latent_avg differs by layer.
    """
    if config.share_heads:
        raise ValueError("official encoders have a head a layer; use share_heads=False")
    renamed = {_name(key, config): value for key, value in official.items()}
    renamed["w_avg"] = _mean_w(latent_avg, config.w_dim)
    return renamed


def _name(key: str, config: EncoderConfig) -> str:
    body = body_name(key, config.units)
    if body is not None:
        return f"body.{body}"
    if match := re.fullmatch(r"styles\.(\d+)\.convs\.(\d+)\.(\w+)", key):
        return f"heads.{match[1]}.convs.{int(match[2]) // 2}.{match[3]}"  # odd ones are LeakyReLU
    if match := re.fullmatch(r"styles\.(\d+)\.linear\.(\w+)", key):
        return f"heads.{match[1]}.linears.0.{match[2]}"
    layer, _, rest = key.partition(".")
    if layer in _LATERALS:
        return f"{_LATERALS[layer]}.{rest}"
    if layer == "linear" and config.codes == "single":
        return key
    raise ValueError(f"{key!r} is not a tensor of an e4e or pSp encoder")


def _mean_w(latent_avg: Tensor | None, w_dim: int) -> Tensor:
    if latent_avg is None:
        return torch.zeros(w_dim)
    rows = latent_avg.reshape(-1, w_dim)
    if not torch.equal(rows, rows[:1].expand_as(rows)):
        raise ValueError("latent_avg differs from layer to layer; one mean w is expected")
    return rows[0].clone()
