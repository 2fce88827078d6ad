"""Learning rates of equalised layers, as if their weights were stored unscaled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from faceedit.backbones.layers import EqualConv2d, EqualLinear, StyledConv, ToRGB


def rate_groups(modules: Iterable[nn.Module]) -> list[dict[str, Any]]:
    """Return optimizer groups in which every weight learns as if it were stored unscaled.

    Equalised layers multiply their weights by a gain at run time. Adam's step does not depend on
    the gradient's size, so a gain of 1/38 (3x3 of 160 channels) makes a layer learn 38 times
    slower than a plain one; "lr_scale" gives that back. One learning rate then suits all layers
    and a training of minutes, while the stored weights stay the official ones.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for module in modules:
        scales = {}
        if isinstance(module, EqualLinear | EqualConv2d | StyledConv | ToRGB):
            scales["weight"] = 1 / module.weight_gain
        if isinstance(module, EqualLinear):
            scales["bias"] = 1 / module.lr_multiplier
        for name, parameter in module.named_parameters(recurse=False):
            groups.setdefault(scales.get(name, 1.0), []).append(parameter)
    return [{"params": found, "lr_scale": scale} for scale, found in groups.items()]
