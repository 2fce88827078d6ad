"""Whether what files hold fits the base that it is put into, or beside."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from faceedit import hub
from faceedit.backbones.encoder import EncoderConfig
from faceedit.backbones.stylegan2 import GeneratorConfig, style_layout
from faceedit.convert import networks
from faceedit.convert.budget import FileError
from faceedit.convert.detection import part, tensors_of
from faceedit.convert.reading import Source
from faceedit.convert.stylegan2 import from_rosinality
from faceedit.errors import FaceEditError, RepoError
from faceedit.method import EditMethod

OTHER_GENERATOR = "it was trained with another generator than this base's; edits may do little"


def methods_beside(base: Path) -> list[Path]:
    """Return the folders of methods beside a base that fit it."""
    if not (base / hub.CONFIG).is_file():
        return []
    fitting = []
    for place in sorted(base.resolve().parent.iterdir()):
        try:
            if hub.read_config(place).get("kind") == "method" and hub.fits_base(place, base):
                fitting.append(place)
        except (FaceEditError, OSError):  # something else
            continue
    return fitting


def layers(base: Path) -> int | None:
    """Return the layers of a base's generator, if there is one."""
    if not (base / hub.CONFIG).is_file():
        return None
    config = networks.read_component(base, "generator", GeneratorConfig)
    return None if config is None else config.num_ws


def decoder_notes(source: Source, base: Path) -> list[str]:
    """Say so where a file was trained with another generator than the base's.

    Encoders, mappers and FEAT edits come with the generator that they were trained with.
    """
    tensors = tensors_of(source)
    prefix = next((p for p in ("decoder.", "generator.") if f"{p}input.input" in tensors), None)
    if prefix is None or not (base / hub.CONFIG).is_file():
        return []
    place = hub.read_base(base)["components"].get("generator")
    if place is None:
        return []
    theirs = part(tensors, prefix)
    try:
        _, decoder = from_rosinality(
            {name: value for name, value in theirs.items() if isinstance(value, Tensor)}
        )
    except ValueError:
        return []
    return [] if _same(decoder, base / place) else [OTHER_GENERATOR]


def _same(decoder: dict[str, Tensor], folder: Path) -> bool:
    """Whether two generators have the same weights, as far as 16 bits tell; noise may differ."""
    from safetensors import safe_open

    with safe_open(folder / hub.WEIGHTS, "pt") as stored:
        for name in ("const", "mapping.1.weight", "blocks.1.conv0.weight", "blocks.2.conv1.bias"):
            if name not in decoder or name not in stored.keys():  # noqa: SIM118
                return False
            mine = stored.get_tensor(name).float()
            if mine.shape != decoder[name].shape or not torch.allclose(
                mine, decoder[name].float(), rtol=2e-3, atol=1e-4
            ):
                return False
    return True


def checked_base(base: Path | str | None, into: Path, kind: str) -> Path:
    """Return the base folder that a method belongs to.

    Raises:
        RepoError: If none was named, or it lacks a network.
    """
    if base is None:
        raise RepoError(
            f"{kind} is a method and belongs to a base: name the folder with its networks as "
            f"--base, and another one as --into, like {into.parent / kind}"
        )
    folder = Path(base).expanduser()
    components = hub.read_base(folder)["components"]
    missing = [name for name in ("generator", "clip") if name not in components]
    if missing:
        raise RepoError(f"{folder} has no {' and no '.join(missing)} yet; convert that first")
    if (into / hub.CONFIG).is_file() and hub.read_config(into).get("kind") == "base":
        raise RepoError(f"{into} is a base; a method needs a folder of its own, like {kind}")
    return folder


def base_name(base: Path, into: Path) -> str:
    """Return the name by which the method's folder finds its base."""
    if base.resolve().parent == into.resolve().parent:
        return f"{hub.OWNER}/{base.resolve().name}"  # a neighbour, wherever both are moved
    return str(base.resolve())


def check_fit(method: EditMethod, base: Path) -> None:
    """Raise unless a method has the sizes of its base's networks.

    Raises:
        FileError: If it has not; the message names both.
    """
    generator = networks.read_component(base, "generator", GeneratorConfig)
    encoder = networks.read_component(base, "encoder", EncoderConfig)
    clip = hub.read_config(base / hub.read_base(base)["components"]["clip"])
    sizes = {
        "w_dim": generator.w_dim,
        "style_dims": tuple(layer.channels for layer in style_layout(generator)),
        "num_ws": generator.num_ws if encoder is None else encoder.num_ws,
        "embed_dim": clip["projection_dim"],
        "text_dim": clip["projection_dim"],
    }
    for name, size in sizes.items():
        mine = getattr(method.config, name, size)
        if mine and mine != size:
            raise FileError(f"it has {name} {mine}, the networks in {base} have {size}")
