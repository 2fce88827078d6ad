"""Directions that others measured -> our fitted methods: StyleCLIP's, InterFaceGAN's, GANSpace's.

Sources: orpatashnik/StyleCLIP (global_directions), genforce/interfacegan, harskish/ganspace and the
copies that omertov/encoder4editing ships. These files hold arrays and no settings, so what they
mean follows from the base that they belong to and, for names, from tables here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones.stylegan2 import GeneratorConfig, style_layout
from faceedit.convert.budget import FileError
from faceedit.convert.reading import Source
from faceedit.methods.ganspace import GanSpace, GanSpaceConfig
from faceedit.methods.interfacegan import InterFaceGan, InterFaceGanConfig
from faceedit.methods.styleclip_global import GlobalConfig, StyleClipGlobal
from faceedit.words.named_edits import Wordings

ALPHA, BETA = 4.1, 0.15  # of StyleCLIP's notebook: deviations, smallest relevance
REACH = 3.0  # how far along a unit normal strength 1 goes; InterFaceGAN's tools go from -3 to 3

# Names that say nothing of what a boundary is about.
GENERAL = r"(boundary|boundaries|direction|directions|w|w_boundary|output|results|tmp|data|)\d*"
# InterFaceGAN's attributes: name in the file -> what the two sides are called.
SIDES = {
    "age": ("an old face | an elderly person", "a young face | a young person"),
    "eyeglasses": ("glasses | a face with glasses", "no glasses | a face without glasses"),
    "pose": ("a head turned to one side | a turned head", "a head turned to the other side"),
    "gender": ("a man | a male face", "a woman | a female face"),
    "smile": ("a smiling face | a happy face", "a serious face | a sad face"),
}
# GANSpace's FFHQ edits (notebooks/figure_teaser.ipynb): wording -> component, layers [first, end),
# deviations. They hold for the official file only: signs and order differ from fit to fit.
FFHQ_EDITS = {
    "a smiling face": (46, 4, 5, -20.0),
    "a big smile": (19, 4, 5, 20.0),
    "a wide smile": (23, 3, 6, 20.0),
    "open eyes": (54, 7, 8, 20.0),
    "a trimmed beard": (58, 7, 9, 20.0),
    "white hair": (57, 7, 10, -24.0),
    "lipstick": (34, 10, 11, 20.0),
    "wrinkles": (20, 6, 7, -18.0),
    "curly hair": (47, 3, 6, 20.0),
    "a bald head": (21, 2, 5, 20.0),
    "a low hairline": (21, 4, 5, -20.0),
    "looking up": (11, 1, 4, 20.0),
    "light from the side": (15, 8, 9, 10.0),
    "sunlight in the face": (10, 8, 9, 10.0),
    "dark hair": (16, 8, 9, 20.0),
    "a round face": (37, 0, 5, 20.0),
    "thick eyebrows": (37, 8, 9, 20.0),
    "a long nose": (51, 4, 5, -20.0),
    "a disgusted face": (43, 6, 8, -30.0),
    "an awed face": (23, 3, 6, -15.0),
    "a screaming face": (35, 3, 7, -15.0),
    "an overexposed photo": (27, 8, 18, 15.0),
    "a boyish face": (8, 2, 5, 20.0),
    "a large jaw": (22, 3, 6, 20.0),
}
FFHQ_DEVIATIONS = (2.86, 2.63, 2.59, 2.42, 2.27)  # of the official file's first components
UNNAMED = 20  # components that other files' edits are made of, two deviations each way


def numbers(value: Any) -> Tensor:
    """Return an array or tensor as float32."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = torch.from_numpy(value.astype(np.float32))
    if not isinstance(value, Tensor):
        raise FileError(f"it holds a {type(value).__name__} where numbers should be")
    return value.detach().float()


# StyleCLIP ----------------------------------------------------------------------------------------


def convert_global(sources: Sequence[Source], generator: GeneratorConfig) -> StyleClipGlobal:
    """Return StyleCLIP's global directions from fs3.npy and the pickle S_mean_std.

    Rows of fs3 are the channels of all layers but toRGB's, in order; a file may end after any
    layer. Rows are made unit again, because half precision wears them.

    Args:
        sources: Both files, in any order.
        generator: The base's generator.

    Raises:
        FileError: If one of the two is missing, or does not fit the generator.
    """
    arrays = [source for source in sources if isinstance(source.data, np.ndarray | Tensor)]
    statistics = [source for source in sources if isinstance(source.data, list | tuple)]
    if len(arrays) != 1 or len(statistics) != 1:
        raise FileError(
            "global directions need two files: fs3.npy and the styles' statistics, S_mean_std"
        )
    rows, layout = numbers(arrays[0].data), style_layout(generator)
    plain = [layer for layer in layout if not layer.is_rgb]
    fitting = list(accumulate(layer.channels for layer in plain))
    if rows.ndim != 2 or len(rows) not in fitting:
        raise FileError(
            f"{arrays[0].path} has shape {list(rows.shape)}; for this generator it must have "
            f"{fitting[-1]} rows, or fewer up to the end of a layer: {fitting[-4:]}"
        )
    config = GlobalConfig(
        num_channels=sum(layer.channels for layer in layout),
        embed_dim=rows.shape[1],
        alpha=ALPHA,
        beta=BETA,
    )
    method = StyleClipGlobal(config)
    for layer, end in zip(plain, fitting, strict=True):
        if end <= len(rows):
            part = F.normalize(rows[end - layer.channels : end], dim=1)
            method.directions[layer.channels_slice] = part
    method.deviation.copy_(_deviations(statistics[0], [layer.channels for layer in layout]))
    return method


def _deviations(source: Source, channels: Sequence[int]) -> Tensor:
    """Return every style's deviation, [sum(channels)], from [means, deviations]."""
    deviations = [numbers(part).flatten() for part in source.data[1]]
    if [len(part) for part in deviations] != list(channels):
        raise FileError(
            f"{source.path} holds statistics of {len(deviations)} style layers with "
            f"{sum(map(len, deviations))} channels; this generator has {len(channels)} with "
            f"{sum(channels)}"
        )
    return torch.cat(deviations)


# InterFaceGAN -------------------------------------------------------------------------------------


def convert_boundaries(sources: Sequence[Source], embed_dim: int) -> InterFaceGan:
    """Return InterFaceGAN's edits from one file a boundary; the file's name names the attribute.

    Strength 1 goes `REACH` along the unit normal, the other side of a boundary the other way; no
    boundary is taken out of another.

    Args:
        sources: Arrays of shape [1, w_dim].
        embed_dim: Of the base's CLIP.

    Raises:
        FileError: If a file has a direction of its own for each layer, or no length.
    """
    normals = {attribute_of(source): _normal(source) for source in sources}
    if len(normals) < len(sources):
        raise FileError(f"two files are named after one attribute: {sorted(normals)}")
    wordings, rows = [], []
    for name, normal in normals.items():
        readable = name.replace("_", " ")
        sides = SIDES.get(name, (readable, f"no {readable}"))
        for sign, side, texts in zip((1, -1), "+-", sides, strict=True):
            wordings += [(f"{name}{side}", text.strip()) for text in texts.split("|")]
            rows.append(sign * normal)
    boundaries = torch.stack(rows)
    config = InterFaceGanConfig(
        w_dim=boundaries.shape[1], embed_dim=embed_dim, wordings=tuple(wordings), conditions=()
    )
    method = InterFaceGan(config)
    method.boundaries.copy_(boundaries)
    method.reach.fill_(REACH)
    return method


def attribute_of(source: Source) -> str:
    """Return what a boundary's file is about: "stylegan2_ffhq_smile_w_boundary" -> "smile".

    InterFaceGAN's training writes every boundary as boundary.npy into a folder of its own, whose
    name tells then.

    Raises:
        FileError: If neither the file nor its folder is named after an attribute.
    """
    name = _named_after(source.stem)
    if not name:
        name = _named_after(source.path.resolve().parent.name.lower())
        if not name:
            raise FileError(
                f"{source.path} is not named after what it edits; name it like smile.npy, or put "
                "it into a folder of that name"
            )
    return name


def _named_after(name: str) -> str:
    """Return the attribute in a name; "" where it only says that it is a boundary."""
    name = re.sub(r"(_c_[a-z_]+?)?(_w)?_boundary$", "", name)
    name = re.sub(r"^(pggan|stylegan2?)_(celebahq|ffhq)_", "", name)
    name = re.sub(r"\W+", "_", name).strip("_")
    return "" if re.fullmatch(GENERAL, name) else name


def _normal(source: Source) -> Tensor:
    """Return the unit normal, [w_dim]."""
    value = numbers(source.data)
    rows = value.reshape(-1, value.shape[-1])
    if not torch.allclose(rows, rows[:1].expand_as(rows)):
        raise FileError(
            f"{source.path} has another direction for every layer; only boundaries that are the "
            "same for all layers can be converted"
        )
    if not rows[0].isfinite().all() or rows[0].norm() < 1e-6:
        raise FileError(f"{source.path} is not a direction: its length is 0, or it is not finite")
    return F.normalize(rows[0].double(), dim=0).float()


# GANSpace -----------------------------------------------------------------------------------------


def convert_components(source: Source, embed_dim: int, num_ws: int) -> GanSpace:
    """Return GANSpace's edits from its components, as e4e ships them or from GANSpace's cache.

    The published names of edits are given to the official FFHQ file only, which its deviations
    tell; for other files the first components are edits by their numbers. As in the official code
    a strength is where the code shall be along a component, not how far it moves ("target").

    Args:
        source: `mean`, `comp`, `std`, or `lat_mean`, `lat_comp`, `lat_stdev`.
        embed_dim: Of the base's CLIP.
        num_ws: Layers of the base's generator.

    Raises:
        FileError: If the arrays do not fit one another.
    """
    data: Mapping[str, Any] = source.data
    names = ("mean", "comp", "std") if "comp" in data else ("lat_mean", "lat_comp", "lat_stdev")
    mean, components, deviation = (numbers(data[name]) for name in names)
    components = components.reshape(components.shape[0], -1)
    mean, deviation = mean.flatten(), deviation.flatten()
    if components.shape != (len(deviation), len(mean)):
        raise FileError(
            f"{source.path} holds components of {list(components.shape)} that do not fit"
        )
    wordings, moves = _edits(deviation, num_ws)
    config = GanSpaceConfig(
        w_dim=len(mean),
        embed_dim=embed_dim,
        num_components=len(components),
        wordings=wordings,
        mode="target",
    )
    method = GanSpace(config)
    method.mean.copy_(mean)
    method.components.copy_(components)
    method.deviation.copy_(deviation)
    table = torch.tensor(moves)
    method.edit_component.copy_(table[:, 0])
    method.edit_layers.copy_(table[:, 1:3])
    method.edit_sigmas.copy_(table[:, 3])
    return method


def _edits(
    deviation: Tensor, num_ws: int
) -> tuple[Wordings, list[tuple[float, float, float, float]]]:
    """Return the edits' wordings, and (component, first layer, end, deviations) of each."""
    first = torch.tensor(FFHQ_DEVIATIONS)
    official = len(deviation) >= 59 and torch.allclose(deviation[:5], first, atol=0.01)
    moves: dict[str, tuple[float, float, float, float]] = {}
    if official:
        for wording, (k, start, end, sigmas) in FFHQ_EDITS.items():
            if start < num_ws:
                moves[wording] = (k, start, min(end, num_ws), sigmas)
        keys = [f"{re.sub(r'[^a-z]+', '_', wording)}+" for wording in moves]
    else:
        count = min(UNNAMED, len(deviation))
        for k in range(count):
            moves[f"component {k}"] = (k, 0, num_ws, 2.0)
            moves[f"component {k} reversed"] = (k, 0, num_ws, -2.0)
        keys = [f"component_{k}{side}" for k in range(count) for side in "+-"]
    return tuple(zip(keys, moves, strict=True)), list(moves.values())
