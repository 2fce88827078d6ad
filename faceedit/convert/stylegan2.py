"""Official StyleGAN2 weights -> our generator: names, shapes and the configuration they imply.

Sources: rosinality/stylegan2-pytorch@bef283a (`model.py`; the layout of StyleCLIP, pSp and e4e
too) and NVlabs/stylegan3@c233a91 (`training/networks_stylegan2.py`). These functions take a state
dict that is already in memory; they read no file.
"""

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from faceedit.backbones.stylegan2 import GeneratorConfig

StateDict = Mapping[str, Tensor]

# Buffers that the official modules save although they are constants.
_CONSTANTS = re.compile(r"(\.kernel|resample_filter)$")
_LAYER_PARTS = {
    "rosinality": {
        "weight": "conv.weight",
        "affine.weight": "conv.modulation.weight",
        "affine.bias": "conv.modulation.bias",
        "noise_strength": "noise.weight",
        "bias": "activate.bias",
    },
    "nvidia": {
        "weight": "weight",
        "affine.weight": "affine.weight",
        "affine.bias": "affine.bias",
        "noise_strength": "noise_strength",
        "noise": "noise_const",
        "bias": "bias",
    },
}


def from_rosinality(
    state: StateDict, w_avg: Tensor | None = None
) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Map a rosinality generator (`g_ema`) to ours.

    Args:
        state: The official state dict, `style.*`, `input.input`, `convs.*`, ...; the FIR kernels
            are ignored, the noises may be missing (GANSpace's files), ours are then drawn.
        w_avg: `latent_avg` of the checkpoint, [w_dim] or [num_ws, w_dim]; None gives zeros.

    Returns:
        The configuration the shapes imply and a state dict for a strict load.

    Raises:
        ValueError: If keys are missing or left over, or the channels fit no configuration.
    """
    blocks = 1 + len({key.split(".")[1] for key in state if key.startswith("to_rgbs.")})
    names = {"const": "input.input"}
    names |= _mapping_names(state, prefix="style.", first=1)
    for block in range(blocks):
        convs = [f"convs.{2 * block - 2}", f"convs.{2 * block - 1}"] if block else ["conv1"]
        rgb = f"to_rgbs.{block - 1}" if block else "to_rgb1"
        for ours, theirs in zip(_conv_names(block), convs, strict=True):
            names |= _layer_names(ours, theirs, _LAYER_PARTS["rosinality"])
        for index, ours in enumerate(_conv_names(block)):
            noise = f"noises.noise_{2 * block - 1 + index if block else 0}"
            if noise in state:
                names[f"{ours}.noise"] = noise
        parts = {k: v for k, v in _LAYER_PARTS["rosinality"].items() if k.startswith(("w", "a"))}
        names |= _layer_names(f"blocks.{block}.to_rgb", rgb, parts | {"bias": "bias"})
    return _assemble(state, names, blocks, w_avg)


def from_nvidia(
    state: StateDict, conv_clamp: float | None = None
) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Map an NVIDIA PyTorch generator (`G_ema`) to ours.

    Args:
        state: The official state dict, `mapping.fc0.weight`, `synthesis.b4.const`, ...
        conv_clamp: The value in the pickle's constructor arguments; shapes do not tell.

    Returns:
        The configuration the shapes imply and a state dict for a strict load.

    Raises:
        ValueError: If keys are missing or left over, or the channels fit no configuration.
    """
    blocks = len({match[1] for key in state if (match := re.match(r"synthesis\.b(\d+)\.", key))})
    names = {"const": "synthesis.b4.const"}
    names |= _mapping_names(state, prefix="mapping.fc", first=0)
    for block in range(blocks):
        prefix = f"synthesis.b{4 * 2**block}"
        for ours in _conv_names(block):
            theirs = f"{prefix}.{ours.rsplit('.', 1)[1]}"
            names |= _layer_names(ours, theirs, _LAYER_PARTS["nvidia"])
        parts = {k: v for k, v in _LAYER_PARTS["nvidia"].items() if not k.startswith("noise")}
        names |= _layer_names(f"blocks.{block}.to_rgb", f"{prefix}.torgb", parts)
    rest = {key: value for key, value in state.items() if key != "mapping.w_avg"}
    return _assemble(rest, names, blocks, state.get("mapping.w_avg"), conv_clamp)


def _conv_names(block: int) -> list[str]:
    """Return our names of a block's styled convolutions."""
    return [f"blocks.{block}.conv0", f"blocks.{block}.conv1"][0 if block else 1 :]


def _layer_names(ours: str, theirs: str, parts: Mapping[str, str]) -> dict[str, str]:
    """Return our names -> theirs for one layer."""
    return {f"{ours}.{part}": f"{theirs}.{name}" for part, name in parts.items()}


def _mapping_names(state: StateDict, prefix: str, first: int) -> dict[str, str]:
    """Return our names -> theirs for the mapping network; ours count from 1, after PixelNorm."""
    layers = sum(key.startswith(prefix) and key.endswith(".weight") for key in state)
    return {
        f"mapping.{i + 1}.{part}": f"{prefix}{i + first}.{part}"
        for i in range(layers)
        for part in ("weight", "bias")
    }


def _assemble(
    state: StateDict,
    names: Mapping[str, str],
    blocks: int,
    w_avg: Tensor | None,
    conv_clamp: float | None = None,
) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """Check that both sides are used up, bring the tensors into our shapes, read off the sizes."""
    missing = sorted(set(names.values()) - set(state))
    left = sorted(key for key in set(state) - set(names.values()) if not _CONSTANTS.search(key))
    if missing or left:
        raise ValueError(
            f"not a StyleGAN2 generator of {4 * 2 ** (blocks - 1)} px: "
            f"missing {missing[:5]}, unknown {left[:5]}"
        )
    ours = {name: _reshape(name, state[theirs]) for name, theirs in names.items()}
    config = _infer_config(ours, blocks, conv_clamp)
    generator = torch.Generator().manual_seed(
        0
    )  # noises that a file lacks are always the same ones
    for block, resolution in enumerate(config.resolutions):
        for name in _conv_names(block):
            drawn = torch.randn(resolution, resolution, generator=generator)
            noise = ours.setdefault(f"{name}.noise", drawn)
            if tuple(noise.shape) != (resolution, resolution):
                raise ValueError(f"{name}.noise has shape {tuple(noise.shape)} at {resolution} px")
    zeros = ours["const"].new_zeros(config.w_dim)
    ours["w_avg"] = zeros if w_avg is None else w_avg.reshape(-1, config.w_dim)[0]
    return config, ours


def _reshape(name: str, value: Tensor) -> Tensor:
    """Drop the leading axes of size 1 that rosinality's layout has and ours has not."""
    if name.endswith("noise_strength"):
        return value.reshape(())
    ranks = {"const": 3, "noise": 2, "bias": 1}
    rank = ranks.get(name.rsplit(".", 1)[-1])
    if name.endswith("to_rgb.bias"):
        return value.reshape(3)
    if name.endswith("weight") and value.ndim == 5:
        rank = 4
    return value if rank is None else value.reshape(value.shape[-rank:])


def _infer_config(ours: StateDict, blocks: int, conv_clamp: float | None) -> GeneratorConfig:
    """Read the configuration off the shapes.

    Raises:
        ValueError: If no channel_base and channel_max explain the channels.
    """
    channels = [ours[f"blocks.{i}.conv1.weight"].shape[0] for i in range(blocks)]
    sizes = [4 * 2**i for i in range(blocks)]
    config = GeneratorConfig(
        resolution=sizes[-1],
        z_dim=ours["mapping.1.weight"].shape[1],
        w_dim=ours["mapping.1.weight"].shape[0],
        mapping_layers=sum(bool(re.fullmatch(r"mapping\.\d+\.weight", key)) for key in ours),
        channel_base=_channel_base(channels, sizes),
        channel_max=max(channels),
        conv_clamp=conv_clamp,
    )
    if [config.channels(size) for size in sizes] != channels:
        raise ValueError(
            f"channels {channels} at {sizes} px follow no channel_base and channel_max"
        )
    return config


def _channel_base(channels: list[int], sizes: list[int]) -> int:
    """Return the smallest official base (a power of two) that allows these channels."""
    return 2 ** math.ceil(math.log2(max(c * r for c, r in zip(channels, sizes, strict=True))))
