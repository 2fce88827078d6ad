"""BiSeNet's face parser (`79999_iter.pth` of face-parsing.PyTorch) -> our face parser.

The official file is a bare state_dict with `cp.*` (the context path on ResNet-18), `ffm.*` and
`conv_out.*`; `conv_out16.*` and `conv_out32.*` are heads that only its training reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from faceedit.backbones.face_parser import CELEBA_CLASSES, FaceParserConfig

SIGN = "cp.resnet.conv1.weight"
_PLACES = {  # official -> ours, of a convolution with its normalisation
    "cp.arm16.conv": "refine_medium.layer",
    "cp.arm32.conv": "refine_coarse.layer",
    "cp.conv_head16": "medium",
    "cp.conv_head32": "coarse",
    "cp.conv_avg": "whole",
    "ffm.convblk": "fuse.layer",
    "conv_out.conv": "hidden",
}
_NAMES = {
    **{f"{theirs}.conv": f"{ours}.conv" for theirs, ours in _PLACES.items()},
    **{f"{theirs}.bn": f"{ours}.norm" for theirs, ours in _PLACES.items()},
    **{f"cp.arm{size}.conv_atten": f"{ours}.gate" for size, ours in
       (("16", "refine_medium"), ("32", "refine_coarse"))},
    **{f"cp.arm{size}.bn_atten": f"{ours}.gate_norm" for size, ours in
       (("16", "refine_medium"), ("32", "refine_coarse"))},
    "cp.resnet.conv1": "stem.conv",
    "cp.resnet.bn1": "stem.norm",
    "ffm.conv1": "fuse.reduce",
    "ffm.conv2": "fuse.expand",
    "conv_out.conv_out": "logits",
}  # fmt: skip
_UNIT = {  # inside a residual unit
    "conv1": "first.conv",
    "bn1": "first.norm",
    "conv2": "conv",
    "bn2": "norm",
    "downsample.0": "shortcut.0",
    "downsample.1": "shortcut.1",
}
_COUNTER = "num_batches_tracked"  # of a normalisation; files of old PyTorch are without


def face_parser_config(official: Mapping[str, Tensor]) -> FaceParserConfig:
    """Read the sizes off an official state_dict.

    Raises:
        ValueError: If it tells other classes apart than CelebAMask-HQ's, or is no BiSeNet.
    """
    if SIGN not in official or "conv_out.conv_out.weight" not in official:
        raise ValueError(f"not a BiSeNet: {SIGN} or conv_out.conv_out.weight is missing")
    classes = official["conv_out.conv_out.weight"].shape[0]
    if classes != len(CELEBA_CLASSES):
        raise ValueError(
            f"it tells {classes} classes apart; CelebAMask-HQ's networks tell {len(CELEBA_CLASSES)}"
        )
    stages = [f"cp.resnet.layer{stage}." for stage in range(1, 5)]
    return FaceParserConfig(
        widths=tuple(official[f"{stage}0.conv2.weight"].shape[0] for stage in stages),
        units=tuple(
            len({key[len(stage) :].split(".")[0] for key in official if key.startswith(stage)})
            for stage in stages
        ),
        context=official["cp.conv_avg.conv.weight"].shape[0],
    )


def convert_face_parser(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an official state_dict to ours.

    Returns:
        A state_dict for `FaceParser`, to be loaded strictly.

    Raises:
        ValueError: If a key is not one of BiSeNet's.
    """
    ours: dict[str, Tensor] = {}
    for key, value in official.items():
        place, _, part = key.rpartition(".")
        if key.startswith(("conv_out16.", "conv_out32.")):
            continue
        name = _place(place, key)
        ours[f"{name}.{part}"] = value
        if part == "running_mean":
            ours.setdefault(f"{name}.{_COUNTER}", torch.tensor(0))
    return ours


def _place(official: str, key: str) -> str:
    if official in _NAMES:
        return _NAMES[official]
    match = re.fullmatch(r"cp\.resnet\.layer([1-4])\.(\d+)\.(.+)", official)
    if match is None or match[3] not in _UNIT:
        raise ValueError(f"{key!r} is not a tensor of BiSeNet; is this 79999_iter.pth?")
    return f"stages.{int(match[1]) - 1}.{match[2]}.{_UNIT[match[3]]}"
