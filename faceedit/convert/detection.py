"""What a file is, read off its keys and shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from faceedit.convert import KINDS
from faceedit.convert.budget import FileError
from faceedit.convert.reading import Source, attributes, module_tensors
from faceedit.convert.stand_ins import Inert

ENCODERS = {  # encoder_type in the settings of a checkpoint -> kind
    "Encoder4Editing": "e4e",
    "GradualStyleEncoder": "psp",
    "BackboneEncoderUsingLastLayerIntoW": "w-encoder",
}
COMPONENTS = ({"comp", "mean", "std"}, {"lat_comp", "lat_mean", "lat_stdev"})  # of GANSpace
# A tensor's name and what kind of file has it; the first that is found counts.
SIGNS = (
    ("x_map.0.weight", "maniclip"),
    ("mapper.course_mapping.mapping.1.weight", "styleclip-mapper"),
    ("mapper.medium_mapping.mapping.1.weight", "styleclip-mapper"),
    ("mapper.fine_mapping.mapping.1.weight", "styleclip-mapper"),
    ("mapper.mapping.mapping.1.weight", "styleclip-mapper"),
    ("mapper.mapper_0.mapping.1.weight", "styleclip-mapper"),
    ("att_mapper.att_mapper.0.q_matrix.weight", "ffclip"),
    ("att_mapper.0.q_matrix.weight", "ffclip"),
    ("att_conv1.weight", "feat"),
    ("temb.dense.0.weight", "ddpm"),
    ("time_embedding.linear_1.weight", "ddpm"),
    ("encoder.linear.weight", "w-encoder"),
    ("text_projection", "clip"),
    ("text_projection.weight", "clip"),
    ("output_layer.3.weight", "ir-se50"),
    ("cp.resnet.conv1.weight", "bisenet"),
    ("synthesis.b4.const", "stylegan2"),
    ("input.input", "stylegan2"),
)
# Where other training code keeps its networks.
PARTS = ("gen_smooth", "generator_smooth", "generator", "g_running", "netG")
# The same for files that are known and cannot be used.
UNUSABLE = (
    ("g_mapping.dense0.weight", "a StyleGAN1 generator; the methods here edit StyleGAN2's codes"),
    ("style.1.linear.weight_orig", "a StyleGAN1 generator; the methods here edit StyleGAN2's"),
    ("mapping.dense0.weight", "a StyleGAN1 generator; the methods here edit StyleGAN2's codes"),
    ("mapping.dense0.fc.weight", "a StyleGAN1 generator; the methods here edit StyleGAN2's codes"),
    ("block0.conv.weight", "the encoder of a StyleGAN1; the methods here edit StyleGAN2's codes"),
    ("layer0.weight", "a VGG16, which no method here reads"),
    ("mapper.course_mapping.modulation_module_list.0.fc.weight", "HairCLIP, which is not here"),
    ("sm_coarse.mapping.1.weight", "DeltaEdit, which is not here"),
    ("visual.layer1.0.conv1.weight", "a CLIP with a ResNet; take ViT-B-32.pt"),
)


def find_kind(sources: Iterable[Source], wanted: str | None) -> str:
    """Return the kind that the files are of, which must be one for all.

    Args:
        sources: The files; those that hold no tensors (a vocabulary) are passed over.
        wanted: What the caller says it is; only spelling is checked then.

    Raises:
        FileError: If a kind is unknown, or files are of several kinds.
    """
    if wanted is not None:
        kind = wanted.strip().lower().replace("_", "-")
        if kind not in KINDS:
            raise FileError(f"--kind is {wanted!r}; choose from {', '.join(KINDS)}")
        return kind
    kinds = {source.path.name: detect(source) for source in sources}
    if len(set(kinds.values())) != 1:
        given = ", ".join(f"{name}: {kind}" for name, kind in kinds.items())
        raise FileError(f"the files are of several kinds ({given}); convert one kind at a time")
    return next(iter(kinds.values()))


def detect(source: Source) -> str:
    """Return the kind of a file.

    Raises:
        FileError: If nothing in it tells, or it is of a kind that cannot be used.
    """
    data = source.data
    if isinstance(data, np.ndarray | Tensor):
        return _kind_of_array(source, tuple(data.shape))
    if isinstance(data, tuple) and len(data) == 3 and isinstance(data[2], Inert):
        return "stylegan2"  # NVIDIA, TensorFlow: G, D, Gs
    if _is_statistics(data):
        return "styleclip-global"
    if isinstance(data, Mapping):
        if any(names <= set(data) for names in COMPONENTS):
            return "ganspace"
        if "g_ema" in data or isinstance(data.get("G_ema"), Inert):
            return "stylegan2"
    return _kind_of_tensors(source)


def _kind_of_tensors(source: Source) -> str:
    """Return the kind of a file of named tensors."""
    tensors = tensors_of(source)
    for name, kind in SIGNS:
        if name in tensors:
            return kind
    _refuse_unusable(source, tensors)
    if any(name.startswith(("encoder.styles.0.", "styles.0.")) for name in tensors):
        return _kind_of_encoder(source)
    some = ", ".join(sorted(tensors)[:4]) or "nothing that is known"
    raise FileError(
        f"{source.path}: cannot tell what it is (it holds {some}); "
        f"say so with --kind, one of {', '.join(KINDS)}"
    )


def _refuse_unusable(source: Source, tensors: Mapping[str, Tensor]) -> None:
    """Raise if a file is known and cannot be used, also where its networks lie in parts of it.

    Raises:
        FileError: If it is.
    """
    data = source.data if isinstance(source.data, Mapping) else {}
    parts = {key: data[key] for key in PARTS if isinstance(data.get(key), Mapping)}
    for inner in (tensors, *parts.values()):
        names = {str(name).removeprefix("module.") for name in inner}
        for name, what in UNUSABLE:
            if name in names:
                raise FileError(f"{source.path} is {what}")
    for key in parts:
        raise FileError(
            f"{source.path} keeps its generator as {key!r}, as other training code than "
            "rosinality's and NVIDIA's does; StyleGAN1 is not supported, and of a StyleGAN2 take "
            "stylegan2-ffhq-config-f.pt or NVIDIA's .pkl"
        )


def tensors_of(source: Source) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, without "module." and what is not a tensor."""
    data = source.data
    if isinstance(data, Inert):
        return dict(module_tensors(data))
    if not isinstance(data, Mapping):
        return {}
    for key in ("state_dict", "weights", "model"):
        if isinstance(data.get(key), Mapping):
            data = data[key]
            break
    named = {str(name).removeprefix("module."): value for name, value in data.items()}
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _is_statistics(data: Any) -> bool:
    """Whether it is the pickle [means, deviations], a list of arrays each."""
    return (
        isinstance(data, list | tuple)
        and len(data) == 2
        and all(isinstance(part, list | tuple) and len(part) > 0 for part in data)
        and all(isinstance(array, np.ndarray) for part in data for array in part)
    )


def _kind_of_array(source: Source, shape: tuple[int, ...]) -> str:
    """Return the kind of a file that is one array."""
    if len(shape) == 1 or (len(shape) in (2, 3) and shape[0] == 1):
        if source.stem.startswith(("pggan_", "stylegan_")):
            raise FileError(
                f"{source.path} is a boundary of a PGGAN or StyleGAN1, which means nothing to a "
                "StyleGAN2; if it is of your own StyleGAN2, say --kind interfacegan"
            )
        return "interfacegan"
    if len(shape) == 2:
        return "styleclip-global"
    raise FileError(
        f"{source.path} is one array of shape {list(shape)}, which no method here reads"
    )


def _kind_of_encoder(source: Source) -> str:
    """Return "e4e" or "psp": their tensors have the same names, their settings differ."""
    data = source.data
    options = attributes(data.get("opts")) if isinstance(data, Mapping) else {}
    named = options.get("encoder_type")
    if isinstance(named, str) and named in ENCODERS:
        return ENCODERS[named]
    for kind in ("e4e", "psp"):
        if kind in source.stem:
            return kind
    raise FileError(
        f"{source.path} is an encoder, but does not say which; say --kind e4e or --kind psp"
    )
