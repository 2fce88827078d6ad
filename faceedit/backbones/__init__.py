"""The frozen networks that methods read, and how a base repo's folder becomes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from torch import device as Device
from torch import nn

from faceedit import hub
from faceedit.errors import MissingBackboneError, RepoError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backbones:
    """Networks that are read and never trained by a method; each may be absent.

    They are in evaluation mode, ask for no gradient of their weights, and pass gradients on to
    their inputs.
    """

    generator: Any = None  # w_plus or s -> image
    clip: Any = None  # images and sentences -> unit embeddings
    identity: Any = None  # image -> unit embedding of who it is
    encoder: Any = None  # image -> w_plus
    photo_encoder: Any = None  # photograph, and what the others see in it -> w_plus
    segmenter: Any = None  # image -> region logits
    face_parser: Any = None  # drawn face -> region logits; in the segmenter's place where it can be
    landmarks: Any = None  # image -> named points of the face
    attributes: Any = None  # image -> what it shows, by name
    diffusion: Any = None  # the denoising network of the diffusion methods

    def require(self, name: str, reader: str = "this") -> Any:
        """Return the network of that name, for `reader` (a method's name).

        Raises:
            MissingBackboneError: If it was not loaded.
        """
        network = getattr(self, name)
        if network is None:
            raise MissingBackboneError(
                f"{reader} needs the network {name!r}, and the base that is loaded has none; "
                "`faceedit info` says how to get it"
            )
        return network

    def parsing(self, names: Iterable[str] = ()) -> Self:
        """Return the networks with the one that reads drawn faces as `segmenter`.

        That is the base's `face_parser` where it has one that knows all these regions; the
        segmenter of photographs knows some that it does not, like beards.
        """
        parser = self.face_parser
        if parser is None or not set(names) <= set(parser.config.regions):
            return self
        return replace(self, segmenter=parser)

    def present(self) -> dict[str, nn.Module]:
        """Return the networks that are loaded, by name."""
        everything = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: network for name, network in everything.items() if network is not None}

    def to(self, device: str | Device) -> Self:
        """Move every network to `device`; returns itself, as `nn.Module.to` does."""
        for network in self.present().values():
            network.to(device)
        return self

    def freeze(self) -> Self:
        """Put every network in evaluation mode and switch off its weights' gradients."""
        for network in self.present().values():
            network.eval().requires_grad_(False)
        return self


def load_backbones(folder: Path, names: Iterable[str] | None = None) -> Backbones:
    """Load the networks of a base repo's folder, frozen, in float32, on the CPU.

    Args:
        folder: A folder whose config.json says {"kind": "base", "components": {name: subfolder}}.
        names: Which of them to load; all of them by default.

    Raises:
        RepoError: If the folder is not a base repo or a component cannot be loaded.
    """
    components = hub.read_base(folder)["components"]
    wanted = list(components if names is None else names)
    for name in wanted:
        if name not in components or name not in _LOADERS:
            raise RepoError(f"{folder} has no network {name!r}; it has {sorted(components)}")
    loaded = {name: _LOADERS[name](folder / components[name]) for name in wanted}
    return Backbones(**loaded).freeze()


PHOTOGRAPH_READERS = ("segmenter", "landmarks")  # read photographs, whatever the generator draws
READERS_HOME = "faceedit/portraits-128"


def with_photograph_readers(backbones: Backbones, base: Path) -> Backbones:
    """Return the networks with those that read photographs, borrowed where a base lacks them.

    Regions and landmarks of a photograph are the same for every generator. They are taken from the
    portrait world's base where that is on this machine; without it the base stays as it is.
    """
    absent = [name for name in PHOTOGRAPH_READERS if getattr(backbones, name) is None]
    if not absent or hub.read_base(base).get("framing") != "ffhq":
        return backbones
    try:
        home = hub.find_repo(READERS_HOME, hub.Download(local_files_only=True))
        return replace(backbones, **load_readers(home, absent))
    except RepoError as error:
        logger.info("photographs are read without %s: %s", ", ".join(absent), error)
        return backbones


def load_readers(home: Path, names: Iterable[str]) -> dict[str, nn.Module]:
    """Return some networks of a base, frozen, by name."""
    components = hub.read_base(home)["components"]
    return {name: load_component(name, home / components[name]) for name in names}


def load_component(name: str, folder: Path) -> nn.Module:
    """Load one network from its own folder, frozen, in float32, on the CPU.

    Raises:
        RepoError: If it cannot be loaded.
    """
    return _LOADERS[name](folder).eval().requires_grad_(False)


def _load_module(module: str, class_name: str) -> Callable[[Path], nn.Module]:
    """Return a loader that imports the network's file only when a folder holds one."""

    def load(folder: Path) -> nn.Module:
        network_class = getattr(import_module(f"faceedit.backbones.{module}"), class_name)
        return hub.load_network(network_class, folder)

    return load


def _load_clip(folder: Path) -> nn.Module:
    """CLIP brings its tokenizer, so it loads itself."""
    from faceedit.backbones.clip import Clip

    return Clip.from_folder(folder)


def _load_diffusion(folder: Path) -> nn.Module:
    """The denoiser lies as diffusers wants it, in two folders of its own."""
    from faceedit.backbones.diffusion import Diffusion

    return Diffusion.from_folder(folder)


_LOADERS: dict[str, Callable[[Path], nn.Module]] = {
    "generator": _load_module("stylegan2", "Generator"),
    "clip": _load_clip,
    "identity": _load_module("identity", "Identity"),
    "encoder": _load_module("encoder", "Encoder"),
    "photo_encoder": _load_module("photo_encoder", "PhotoEncoder"),
    "segmenter": _load_module("segmenter", "Segmenter"),
    "face_parser": _load_module("face_parser", "FaceParser"),
    "landmarks": _load_module("landmarks", "Landmarker"),
    "attributes": _load_module("attributes", "AttributeReader"),
    "diffusion": _load_diffusion,
}
