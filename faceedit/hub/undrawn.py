"""Networks are built without drawing the numbers that a file is about to overwrite."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

_FILLS = {
    *(init.normal_, init.uniform_, init.kaiming_normal_, init.kaiming_uniform_),
    *(init.xavier_normal_, init.xavier_uniform_, init.trunc_normal_, init.orthogonal_),
    *(Tensor.normal_, Tensor.uniform_),
}
_SCALES = {Tensor.mul, Tensor.div, Tensor.__rdiv__}  # of a tensor and a number


class Undrawn(TorchFunctionMode):
    """Within it, what would be filled with random numbers stays as memory came; zeros stay zeros.

    Drawing two gigabytes takes seconds. And where a network has no memory (the meta device), normal
    numbers and their scaling make PyTorch import its compiler, which takes longer than all else
    that an edit imports.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what was asked for, but draw nothing."""
        del types
        kwargs = dict(kwargs or {})
        if func in _FILLS:
            return args[0] if args else kwargs["tensor"]
        if func is torch.randn:
            kwargs.pop("generator", None)
            func = torch.empty
        if func in _SCALES and args[0].is_meta and isinstance(args[1], int | float):
            return args[0]  # there are no numbers to scale
        return func(*args, **kwargs)
