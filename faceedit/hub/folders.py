"""A repo's folder: config.json + model.safetensors, read strictly and written whole.

A *base repo* holds the shared networks, each in a folder of its own; a *method repo* holds what
one method learned and names the base that it was made with, by fingerprint. Weights are safetensors
only: pickles can run code when they are opened.
"""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
from torch import Tensor, nn

from faceedit.errors import RepoError
from faceedit.hub.checks import drafting, problem, read_json, short, told
from faceedit.hub.undrawn import Undrawn
from faceedit.regular_files import IrregularFileError, naming, open_regular

FORMAT_VERSION = 2  # of the folders; raised when an older faceedit could not read a newer folder
DRAFT = ".writing-"  # begins the names of folders in which files are only being written
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
        config = read_json(path)
    except FileNotFoundError:
        raise RepoError(f"{folder} has no {CONFIG}; it is not a faceedit repo") from None
    version = config.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise RepoError(
            f"{path} has format_version {short(version)}, this faceedit reads up to "
            f"{FORMAT_VERSION}; try `pip install -U faceedit`"
        )
    return config


def read_base(folder: Path) -> dict[str, Any]:
    """Return the config.json of a base repo: its "components" map a network's name to its folder.

    Raises:
        RepoError: If the folder is not a base repo.
    """
    config = read_config(folder)
    components = config.get("components")
    if config.get("kind") != "base" or not isinstance(components, dict):
        raise RepoError(f"{folder} is not a base repo: its {CONFIG} lists no components")
    for name, place in components.items():
        if not isinstance(place, str) or Path(place).is_absolute() or ".." in Path(place).parts:
            raise RepoError(
                f"{folder / CONFIG} puts {short(name)} outside its own folder: {short(place)}"
            )
    return config


def method_of(folder: Path) -> str:
    """Return the name of the method that a folder holds.

    Raises:
        RepoError: If it holds none.
    """
    name = read_config(folder).get("method")
    if not isinstance(name, str):
        raise RepoError(f"{folder} is not a repo of faceedit: its {CONFIG} names no method")
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
    if not isinstance(values, Mapping):
        raise RepoError(f"{where}: the settings are {short(values)}; they must be an object")
    known = fields(config_class)  # type: ignore[arg-type]
    names = [field.name for field in known]
    later = lacked | getattr(config_class, "added_later", frozenset())
    values = {field.name: field.default for field in known if field.name in later} | dict(values)
    unknown, missing = sorted(set(values) - set(names)), [n for n in names if n not in values]
    if unknown or missing:
        problems = [f"unknown settings {short(unknown)}"] if unknown else []
        problems += [f"missing settings {missing}"] if missing else []
        raise RepoError(f"{where} does not fit {config_class.__name__}: {', '.join(problems)}")
    hints = get_type_hints(config_class)
    settings = {name: _frozen(values[name]) for name in names}
    for name, value in settings.items():
        if wrong := problem(name, value, hints[name]):
            raise RepoError(f"{where}: {wrong}")
    try:
        return config_class(**settings)
    except Exception as error:  # sizes that fit no network fail in many ways
        raise RepoError(f"{where} does not fit {config_class.__name__}: {told(error)}") from error


def _frozen(value: Any) -> Any:
    """JSON has lists only; our configs have tuples only."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder's model.safetensors, on the CPU, as they are stored.

    Raises:
        RepoError: If the file is absent, no safetensors file, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    try:
        open_regular(path).close()
    except IrregularFileError as error:
        raise RepoError(f"{path} cannot be used: {error}") from None
    except (OSError, ValueError):
        others = sorted(p.name for p in folder.glob("*") if p.suffix in PICKLES)
        if others:
            raise RepoError(
                f"{folder} holds its weights as a pickle ({', '.join(others)}), which can run code "
                f"when it is opened; faceedit reads {WEIGHTS} only"
            ) from None
        raise RepoError(f"{folder} has no {WEIGHTS}; download it again") from None
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise RepoError(f"{path} {_fault(path)} ({told(error)})") from error


def _fault(path: Path) -> str:
    """Say what a file is that is no safetensors file."""
    with open_regular(path) as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        return "is only a Git LFS pointer; run `git lfs pull`"
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return "is a pickle under another name, which can run code; it was not opened"
    return "is damaged or cut short; download it again"


def load_weights(module: nn.Module, folder: Path) -> None:
    """Fill a module from a folder's model.safetensors; every tensor must be there and fit.

    Raises:
        RepoError: If a tensor is missing, unknown, of another shape or kind, or not finite; the
            message names them.
    """
    stored = read_weights(folder)
    _check_fit(module, stored, folder)
    module.load_state_dict(stored, strict=True)


def build_filled(
    build: Callable[[], AnyModule], folder: Path, inner: str = "", optional: bool = False
) -> AnyModule:
    """Return the network that a folder's config describes, filled from its model.safetensors.

    It is drafted first, without memory, so that a config that does not go with the weights is told
    before a gigabyte is set aside for it.

    Args:
        build: Makes the network.
        folder: With the weights.
        inner: The attribute that the weights belong to, if not the whole network.
        optional: Whether a network that has learned nothing may be without a file.

    Raises:
        RepoError: If the network cannot be built, or the weights do not fit it.
    """
    absent = optional and not (folder / WEIGHTS).exists()
    stored = {} if absent else read_weights(folder)
    try:
        with drafting(len(stored)):
            draft = build()
    except RepoError:
        raise
    except Exception as error:  # sizes that fit no network fail in many ways
        raise RepoError(f"{folder / CONFIG} describes no network: {short(error)}") from error
    of_weights: nn.Module = getattr(draft, inner) if inner else draft
    if absent and of_weights.state_dict():
        read_weights(folder)  # says what is missing
    _check_fit(of_weights, stored, folder)
    with Undrawn():
        network = build()
    filled: nn.Module = getattr(network, inner) if inner else network
    filled.load_state_dict(stored, strict=True)
    return network


def _check_fit(module: nn.Module, stored: Mapping[str, Tensor], folder: Path) -> None:
    """Raise unless tensors are those of a module."""
    wanted = module.state_dict()
    problems = []
    if missing := sorted(set(wanted) - set(stored)):
        problems.append(f"missing tensors {_some(missing)}")
    if extra := sorted(set(stored) - set(wanted)):
        problems.append(f"unknown tensors {_some(extra)}")
    for name in sorted(set(stored) & set(wanted)):
        given, needed = stored[name], wanted[name]
        if given.shape != needed.shape:
            shapes = f"{list(given.shape)}, {type(module).__name__} needs {list(needed.shape)}"
            problems.append(f"{name} has shape {shapes}")
        elif given.is_floating_point() != needed.is_floating_point() or given.is_complex():
            problems.append(f"{name} holds {given.dtype}, {needed.dtype} is needed")
        elif given.is_floating_point() and not given.isfinite().all():
            problems.append(f"{name} holds numbers that are not finite")
    if problems:
        raise RepoError(f"{folder / WEIGHTS} does not fit: {'; '.join(problems[:5])}")


def _some(names: list[str], limit: int = 4) -> str:
    """List a few names, and how many more there are."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(short, names[:limit])) + rest


def load_network(network_class: type[AnyModule], folder: Path | str) -> AnyModule:
    """Build a network from config.json and fill it from model.safetensors, in evaluation mode.

    Raises:
        RepoError: If a file is missing or damaged, or does not fit the class.
    """
    folder = Path(folder)
    config_class = network_class.config_class  # type: ignore[attr-defined]
    config = build_config(config_class, read_config(folder), folder)
    return build_filled(lambda: network_class(config), folder).eval()


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
    """Write config.json, and model.safetensors if there are tensors: beside, then renamed.

    Raises:
        OSError: If a file cannot be written; it names the file, and what was there is whole.
    """
    stored = {name: _storable(name, tensor, half) for name, tensor in (tensors or {}).items()}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=DRAFT) as beside:
        draft = Path(beside)
        if tensors is not None:
            with naming(folder / WEIGHTS):
                _save_tensors(stored, draft / WEIGHTS)
        with naming(folder / CONFIG):
            (draft / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        for name in (WEIGHTS, CONFIG):
            if (draft / name).exists():
                os.replace(draft / name, folder / name)


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file.

    Raises:
        OSError: If it cannot be written: safetensors says so by an error of its own.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path, metadata={"format": "pt"})
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code)) from error


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
