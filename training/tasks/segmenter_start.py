"""A segmenter that begins with what a smaller one knows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from faceedit.backbones.segmenter import Segmenter

__all__ = ["begin_from"]


@torch.no_grad()
def begin_from(network: Segmenter, trained: Segmenter) -> None:
    """Copy a trained segmenter into a larger one, that then finds nearly the same.

    The larger one may look at twice the resolution with blocks of twice the side, have more
    channels, one more level and further regions.
    """
    old, ratio = trained.config, network.config.fold // trained.config.fold
    state = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    stem = state["stem.0.weight"].unflatten(1, (3, old.fold, old.fold))
    stem = stem.repeat_interleave(ratio, 2).repeat_interleave(ratio, 3) / ratio**2
    state["stem.0.weight"] = stem.flatten(1, 3)
    for kind in ("weight", "bias"):
        logits = state[f"logits.{kind}"].unflatten(0, (len(old.regions), old.fold, old.fold))
        logits = logits.repeat_interleave(ratio, 1).repeat_interleave(ratio, 2)
        state[f"logits.{kind}"] = logits.flatten(0, 2)
    added = len(network.config.widths) - len(old.widths)
    moved = {}
    for name, tensor in state.items():  # a new coarsest level comes first on the way up
        first, _, rest = name.partition(".")
        if first in ("lateral", "up"):
            number, _, rest = rest.partition(".")
            name = f"{first}.{int(number) + added}.{rest}"
        moved[name] = tensor
    for level in range(added):
        _silence(network.lateral[level])
        (layer, *_) = network.up[level].children()
        nn.init.dirac_(next(layer.parameters()))
    if network.config.detail and not old.detail:
        _silence(network.correction)
    current = network.state_dict()
    for name, tensor in moved.items():
        _copy_corner(current[name], tensor, zero_rest=name.endswith("weight"))
    if len(network.config.regions) > len(old.regions):
        current["logits.bias"][len(old.regions) * network.config.fold**2 :] = -5.0


def _silence(layer: nn.Module) -> None:
    """Make a layer say nothing yet."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _copy_corner(into: Tensor, tensor: Tensor, zero_rest: bool) -> None:
    """Copy a tensor into the first places of a larger one; its outputs read none of the others."""
    if tensor.ndim == 0:
        into.copy_(tensor)
        return
    if zero_rest and tensor.ndim == 4:
        into[: len(tensor), tensor.shape[1] :] = 0
    into[tuple(slice(size) for size in tensor.shape)] = tensor
