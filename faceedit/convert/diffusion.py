"""Denoisers in the layout of the first DDPM code for PyTorch -> diffusers' `UNet2DModel`.

Sources: pesser/pytorch_diffusion and ermongroup/SDEdit (`celeba_hq.ckpt`), gwang-kim/DiffusionCLIP
(`human_*.pth`): bare state_dicts whose keys are `temb.dense.0`, `down.0.block.0.norm1`,
`mid.attn_1.q`, `up.5.upsample.conv`, ...; the CelebA-HQ network has 450 tensors.

diffusers counts the way up from the deepest level, where these count from the finest. It ties the
widths of the first convolution and of the time embedding to the finest level, and puts attention
on whole levels, so networks that do otherwise are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from faceedit.backbones.diffusion import Diffusion

__all__ = ["convert_unet", "save_denoiser", "unet_config"]

_OUTSIDE = {  # official -> ours
    "temb.dense.0": "time_embedding.linear_1",
    "temb.dense.1": "time_embedding.linear_2",
    "conv_in": "conv_in",
    "norm_out": "conv_norm_out",
    "conv_out": "conv_out",
}
_RESNET = {
    "norm1": "norm1",
    "conv1": "conv1",
    "temb_proj": "time_emb_proj",
    "norm2": "norm2",
    "conv2": "conv2",
    "nin_shortcut": "conv_shortcut",
}
_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_MIDDLE = {"block_1": "resnets.0", "block_2": "resnets.1", "attn_1": "attentions.0"}
_LEVEL = re.compile(r"(down|up)\.(\d+)\.(block|attn)\.(\d+)\.(\w+)")
_SAMPLER = re.compile(r"(down|up)\.(\d+)\.(down|up)sample\.conv")
DIFFUSERS = "time_embedding.linear_1.weight"  # a tensor that only diffusers' layout has
_FORMER = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_GROUPS = 32  # of every GroupNorm in these networks


def unet_config(official: Mapping[str, Tensor], sample_size: int) -> dict[str, Any]:
    """Read the arguments of `UNet2DModel` off an official state_dict.

    Args:
        official: The official state_dict.
        sample_size: Side of the images that it was trained with, px; no tensor says it.

    Raises:
        ValueError: If it is no such network, or one that diffusers cannot hold.
    """
    if "temb.dense.0.weight" not in official or "conv_in.weight" not in official:
        raise ValueError("not a DDPM in the original layout: 'temb.dense.0.weight' is missing")
    levels = 1 + max(int(m[2]) for m in map(_LEVEL.match, official) if m)
    widths = tuple(
        official[f"down.{level}.block.0.conv2.weight"].shape[0] for level in range(levels)
    )
    base = official["conv_in.weight"].shape[0]
    if widths[0] != base:
        raise ValueError(
            f"the finest level is {widths[0]} wide and the first convolution {base}; "
            "diffusers' UNet2DModel needs them equal"
        )
    layers = 1 + max(int(m[4]) for m in map(_LEVEL.match, official) if m and m[1] == "down")
    attention = [_has_attention(official, level, layers) for level in range(levels)]
    return _arguments(official, sample_size, widths, layers, attention)


def _arguments(
    state: Mapping[str, Tensor],
    sample_size: int,
    widths: Sequence[int],
    layers: int,
    attention: Sequence[bool],
) -> dict[str, Any]:
    """Return the arguments of a `UNet2DModel` that follows the first DDPM code."""
    return {
        "sample_size": sample_size,
        "in_channels": state["conv_in.weight"].shape[1],
        "out_channels": state["conv_out.weight"].shape[0],
        "block_out_channels": tuple(widths),
        "layers_per_block": layers,
        "down_block_types": tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        "up_block_types": tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in attention[::-1]),
        "attention_head_dim": None,  # one head
        "downsample_padding": 0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "norm_eps": 1e-6,
        "norm_num_groups": _GROUPS,
        "act_fn": "silu",
    }


def save_denoiser(
    official: Mapping[str, Tensor], folder: Path | str, sample_size: int = 256, half: bool = False
) -> None:
    """Write official weights as a folder that `Diffusion` and the pipeline read.

    The schedule is the one that all these networks were trained with: linear, 1000 steps.

    Args:
        official: The official state_dict.
        folder: Where; made if absent.
        sample_size: Side of the images that it was trained with, px.
        half: Whether to store 16-bit numbers.

    Raises:
        ValueError: If it is no such network, or one that diffusers cannot hold.
    """
    from diffusers import DDIMScheduler, UNet2DModel

    if DIFFUSERS in official:
        state = {_present(name): tensor.float() for name, tensor in official.items()}
        unet = UNet2DModel(**diffusers_config(state, sample_size))
    else:
        state = convert_unet(official)
        unet = UNet2DModel(**unet_config(official, sample_size))
    unet.load_state_dict(state)
    Diffusion(unet, DDIMScheduler(clip_sample=False)).save(folder, half=half)


def diffusers_config(state: Mapping[str, Tensor], sample_size: int) -> dict[str, Any]:
    """Read the arguments of `UNet2DModel` off the state_dict of one, like google/ddpm-celebahq-256.

    Args:
        state: By diffusers' present names.
        sample_size: Side of the images that it was trained with, px.
    """
    levels = len({name.split(".")[1] for name in state if name.startswith("down_blocks.")})
    layers = len(
        {name.split(".")[3] for name in state if name.startswith("down_blocks.0.resnets.")}
    )
    widths = [state[f"down_blocks.{i}.resnets.0.conv2.weight"].shape[0] for i in range(levels)]
    looks = [any(name.startswith(f"down_blocks.{i}.attentions.") for name in state)
             for i in range(levels)]  # fmt: skip
    return _arguments(state, sample_size, widths, layers, looks)


def _present(name: str) -> str:
    """Return the name that diffusers gives a tensor now; its first files have others."""
    for former, now in _FORMER.items():
        name = name.replace(f".{former}.", f".{now}.")
    return name


def convert_unet(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an official state_dict.

    Args:
        official: The official state_dict.

    Returns:
        A float32 state_dict for `UNet2DModel(**unet_config(...))`, to be loaded strictly.

    Raises:
        ValueError: If a key is unknown.
    """
    numbers = [int(m[2]) for m in map(_LEVEL.match, official) if m]
    levels = 1 + max(numbers, default=-1)
    renamed = {}
    for key, value in official.items():
        name = _name(key, levels)
        if _is_projection(key):  # 1x1 convolutions there, linear layers here
            value = value.flatten(1)
        renamed[name] = value.float()
    return renamed


def _name(key: str, levels: int) -> str:
    """Translate one key."""
    module, _, kind = key.rpartition(".")
    if module in _OUTSIDE:
        return f"{_OUTSIDE[module]}.{kind}"
    if found := _LEVEL.fullmatch(module):
        way, level, part, index, inner = found.groups()
        names, folder = (_RESNET, "resnets") if part == "block" else (_ATTENTION, "attentions")
        if inner in names:
            return f"{_block(way, level, levels)}.{folder}.{index}.{names[inner]}.{kind}"
    if found := _SAMPLER.fullmatch(module):
        way, level, direction = found.groups()
        return f"{_block(way, level, levels)}.{direction}samplers.0.conv.{kind}"
    if found := re.fullmatch(r"mid\.(\w+)\.(\w+)", module):
        names = _ATTENTION if found[1].startswith("attn") else _RESNET
        if found[1] in _MIDDLE and found[2] in names:
            return f"mid_block.{_MIDDLE[found[1]]}.{names[found[2]]}.{kind}"
    raise ValueError(f"{key!r} is not a tensor of a DDPM in the original layout")


def _block(way: str, level: str, levels: int) -> str:
    index = int(level) if way == "down" else levels - 1 - int(level)
    return f"{way}_blocks.{index}"


def _is_projection(key: str) -> bool:
    return re.search(r"attn[._]\d+\.(q|k|v|proj_out)\.weight$", key) is not None


def _has_attention(official: Mapping[str, Tensor], level: int, layers: int) -> bool:
    """Return whether a level has attention, after every block or after none.

    Raises:
        ValueError: If it has some after a part of its blocks.
    """
    found = [f"down.{level}.attn.{index}.q.weight" in official for index in range(layers)]
    found += [f"up.{level}.attn.{index}.q.weight" in official for index in range(layers + 1)]
    if any(found) != all(found):
        raise ValueError(f"level {level} has attention after a part of its blocks only")
    return all(found)
