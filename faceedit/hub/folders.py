"""A repo's folder: config.json + model.safetensors, read strictly and written whole.

A *base repo* holds the shared networks, each in a folder of its own; a *method repo* holds what
one method learned and names the base that it was made with, by fingerprint. Weights are safetensors
only: pickles can run code when they are opened.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
from torch import Tensor, nn

from faceedit.errors import RepoError

FORMAT_VERSION = 2  # of the folders; raised when an older faceedit could not read a newer folder
CONFIG, WEIGHTS = "config.json", "model.safetensors"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
FULL_HALF = torch.finfo(torch.float16).max


AnyConfig = TypeVar("AnyConfig")
AnyModule = TypeVar("AnyModule", bound=nn.Module)


def read_config(folder: Path) -> dict[str, Any]:
    """Return a folder's config.json.

    Raises:
        RepoError: If it is absent, damaged or written by a newer faceedit.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RepoError(f"{folder} has no {CONFIG}; it is not a faceedit repo") from None
    except (OSError, ValueError) as error:
        raise RepoError(f"{path} cannot be read ({error}); download it again") from error
    if not isinstance(config, dict):
        raise RepoError(f"{path} must hold one JSON object")
    version = config.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise RepoError(
            f"{path} has format_version {version!r}, this faceedit reads up to {FORMAT_VERSION}; "
            "try `pip install -U faceedit`"
        )
    return config


def read_base(folder: Path) -> dict[str, Any]:
    """Return the config.json of a base repo: its "components" map a network's name to its folder.

    Raises:
        RepoError: If the folder is no base repo.
    """
    config = read_config(folder)
    components = config.get("components")
    if config.get("kind") != "base" or not isinstance(components, dict):
        raise RepoError(f"{folder} is no base repo: its {CONFIG} lists no components")
    for name, place in components.items():
        if not isinstance(place, str) or Path(place).is_absolute() or ".." in Path(place).parts:
            raise RepoError(f"{folder / CONFIG} puts {name!r} outside its own folder: {place!r}")
    return config


def method_of(folder: Path) -> str:
    """Return the name of the method that a folder holds.

    Raises:
        RepoError: If it holds none.
    """
    name = read_config(folder).get("method")
    if not isinstance(name, str):
        raise RepoError(f"{folder} is no repo of faceedit: its {CONFIG} names no method")
    return name


def build_config(
    config_class: type[AnyConfig],
    values: Mapping[str, Any],
    folder: Path,
    lacked: frozenset[str] = frozenset(),
) -> AnyConfig:
    """Rebuild a config dataclass from JSON; every key must be known, every field be there.

    Fields named in `lacked`, or in the class's `added_later`, may be missing, because the weights
    may be older; they get their defaults.

    Raises:
        RepoError: If a key is unknown or missing, or a value has the wrong type.
    """
    where = folder / CONFIG
    known = fields(config_class)  # type: ignore[arg-type]
    names = [field.name for field in known]
    later = lacked | getattr(config_class, "added_later", frozenset())
    values = {field.name: field.default for field in known if field.name in later} | dict(values)
    unknown, missing = sorted(set(values) - set(names)), [n for n in names if n not in values]
    if unknown or missing:
        problems = [f"unknown settings {unknown}"] if unknown else []
        problems += [f"missing settings {missing}"] if missing else []
        raise RepoError(f"{where} does not fit {config_class.__name__}: {', '.join(problems)}")
    hints = get_type_hints(config_class)
    settings = {name: _frozen(values[name]) for name in names}
    for name, value in settings.items():
        if not _fits(value, hints[name]):
            raise RepoError(f"{where}: {name} is {value!r}; it must be {hints[name].__name__}")
    try:
        return config_class(**settings)
    except (TypeError, ValueError) as error:
        raise RepoError(f"{where} does not fit {config_class.__name__}: {error}") from error


def _frozen(value: Any) -> Any:
    """JSON has lists only; our configs have tuples only."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value fits a plain type; other hints are left to the dataclass itself."""
    if hint is bool:
        return isinstance(value, bool)
    if hint in (int, float):
        allowed = int if hint is int else int | float
        return isinstance(value, allowed) and not isinstance(value, bool)
    return isinstance(value, str) if hint is str else True


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder's model.safetensors, on the CPU, as they are stored.

    Raises:
        RepoError: If the file is absent, no safetensors file, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    if not path.is_file():
        others = sorted(p.name for p in folder.glob("*") if p.suffix in PICKLES)
        if others:
            raise RepoError(
                f"{folder} holds its weights as a pickle ({', '.join(others)}), which can run code "
                f"when it is opened; faceedit reads {WEIGHTS} only"
            )
        raise RepoError(f"{folder} has no {WEIGHTS}; download it again")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise RepoError(f"{path} {_fault(path)} ({error})") from error


def _fault(path: Path) -> str:
    """Say what a file is that is no safetensors file."""
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        return "is only a Git LFS pointer; run `git lfs pull`"
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return "is a pickle under another name, which can run code; it was not opened"
    return "is damaged or cut short; download it again"


def load_weights(module: nn.Module, folder: Path) -> None:
    """Fill a module from a folder's model.safetensors; every tensor must be there and fit.

    Raises:
        RepoError: If a tensor is missing, unknown or of another shape; the message names them.
    """
    stored, wanted = read_weights(folder), module.state_dict()
    problems = []
    if missing := sorted(set(wanted) - set(stored)):
        problems.append(f"missing tensors {_some(missing)}")
    if extra := sorted(set(stored) - set(wanted)):
        problems.append(f"unknown tensors {_some(extra)}")
    for name in sorted(set(stored) & set(wanted)):
        if stored[name].shape != wanted[name].shape:
            given, needed = list(stored[name].shape), list(wanted[name].shape)
            problems.append(f"{name} has shape {given}, {type(module).__name__} needs {needed}")
    if problems:
        raise RepoError(f"{folder / WEIGHTS} does not fit: {'; '.join(problems[:5])}")
    module.load_state_dict(stored, strict=True)


def _some(names: list[str], limit: int = 4) -> str:
    """List a few names, and how many more there are."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def load_network(network_class: type[AnyModule], folder: Path | str) -> AnyModule:
    """Build a network from config.json and fill it from model.safetensors, in evaluation mode.

    Raises:
        RepoError: If a file is missing or damaged, or does not fit the class.
    """
    folder = Path(folder)
    config_class = network_class.config_class  # type: ignore[attr-defined]
    network = network_class(build_config(config_class, read_config(folder), folder))
    load_weights(network, folder)
    return network.eval()


def save_network(module: nn.Module, folder: Path | str, half: bool = True) -> None:
    """Write a network's config.json and model.safetensors; either both are new or neither.

    Args:
        module: The network; its `config` is a dataclass.
        folder: Where; made if absent.
        half: Whether floating point numbers are stored with 16 bits.

    Raises:
        ValueError: If a weight is not finite or too large for 16 bits.
    """
    config = asdict(module.config)  # type: ignore[call-overload]
    write_folder(Path(folder), config, module.state_dict(), half=half)


def write_folder(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor] | None,
    half: bool = True,
) -> None:
    """Write config.json, and model.safetensors if there are tensors: beside, then renamed."""
    from safetensors.torch import save_file

    stored = {name: _storable(name, tensor, half) for name, tensor in (tensors or {}).items()}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as beside:
        draft = Path(beside)
        if tensors is not None:
            save_file(stored, draft / WEIGHTS, metadata={"format": "pt"})
        (draft / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        for name in (WEIGHTS, CONFIG):
            if (draft / name).exists():
                os.replace(draft / name, folder / name)


def _storable(name: str, tensor: Tensor, half: bool) -> Tensor:
    """Return a copy that safetensors can store: on the CPU, contiguous, sharing no memory."""
    tensor = tensor.detach().to("cpu")
    if tensor.is_floating_point():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds numbers that are not finite; it was not saved")
        if half and tensor.numel() and tensor.abs().amax().item() > FULL_HALF:
            raise ValueError(f"{name} is too large for 16 bits; save with half=False")
        tensor = tensor.half() if half else tensor
    return tensor.clone(memory_format=torch.contiguous_format)


def save_base(folder: Path | str, components: Mapping[str, str], **facts: Any) -> None:
    """Write the config.json of a base repo whose component folders are there already.

    Args:
        folder: The base repo's folder.
        components: Network name -> its subfolder.
        facts: What else the config should say, like resolution=128.
    """
    config = {"library_name": "faceedit", "kind": "base", "format_version": FORMAT_VERSION}
    write_folder(Path(folder), {**config, **facts, "components": dict(components)}, None)
