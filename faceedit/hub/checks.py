"""What a repo's folder says is looked at before anything is built from it: files, types, sizes.

A folder can come from anywhere. Its config.json may be nested a thousand times or name a million
layers, and its files may be pipes. So JSON is read with limits, and every setting must have its
type and a size that a network can have. A network is first drafted on PyTorch's meta device, where
it takes no memory and may not have more parameters than the weights beside it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from torch.nn.modules import module as modules

from faceedit.errors import RepoError
from faceedit.hub.undrawn import Undrawn
from faceedit.regular_files import MAX_TEXT, IrregularFileError, open_regular, read_regular

MAX_DEPTH = 12  # of objects inside objects in a config.json
MAX_NUMBER = 100_000  # of layers, channels, tokens, ... in a setting; CLIP's vocabulary has 49,408
MAX_TURNS = 10_000  # of a descent, in settings that are named after them
TURNS = ("steps", "iterations", "repeats", "faces", "images")
MAX_PARTS = 20  # modules for each parameter, and as many again for every network
SHOWN = 60  # characters of a wrong value in a message
MAX_REASON = 200  # characters of another library's own message


def read_json(path: Path, largest: float = 2**53) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        FileNotFoundError: If it is absent.
        RepoError: If it cannot be read, is not an object, is nested too deeply, or holds a number
            that is not finite or above `largest`; the message names the file and the key.
    """
    try:
        content = json.loads(read_regular(path, MAX_TEXT).decode("utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise RepoError(f"{path} cannot be read ({error}); download it again") from error
    except RecursionError:
        raise RepoError(f"{path} is nested too deeply; download it again") from None
    if not isinstance(content, dict):
        raise RepoError(f"{path} must hold one JSON object")
    _check_tree(content, path, "", largest, MAX_DEPTH)
    return content


def _check_tree(value: Any, path: Path, key: str, largest: float, depth: int) -> None:
    """Raise unless a part of a JSON file is nested little and its numbers are sound."""
    if isinstance(value, dict | list):
        if depth <= 0:
            raise RepoError(f"{path} is nested too deeply at {short(key)}")
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, member in pairs:
            _check_tree(member, path, f"{key}.{name}" if key else str(name), largest, depth - 1)
    elif isinstance(value, int | float) and not abs(value) <= largest:  # not even if it is nan
        raise RepoError(f"{path}: {short(key)} is {short(value)}; numbers go up to {largest:g}")
    elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise RepoError(f"{path}: {short(key)} is {short(value)}, which is not a text")


def short(value: Any) -> str:
    """Return a value for a message, cut off where it is long."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = f"a {type(value).__name__} that is too long to print"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def told(error: BaseException) -> str:
    """Return what went wrong inside of a library for a message: some errors hold a whole file."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]}..."


def check_regular(folder: Path) -> None:
    """Raise unless all files of a folder are regular ones: other libraries will open them.

    Raises:
        RepoError: If one is a pipe, a device or a socket, or cannot be read; the message names it.
    """
    try:
        for entry in os.scandir(folder):
            if not entry.is_dir():
                open_regular(entry.path).close()
    except IrregularFileError as error:
        raise RepoError(f"{entry.path} cannot be used: {error}") from None
    except OSError as error:
        raise RepoError(f"{folder} cannot be read ({error}); download it again") from error


def problem(name: str, value: Any, hint: Any) -> str | None:
    """Return what is wrong with a setting, or None.

    Args:
        name: The field of the config's dataclass.
        value: What the file says.
        hint: The field's type.
    """
    if not _fits(value, hint):
        return f"{name} is {short(value)}; it must be {_words(hint)}"
    most = MAX_TURNS if any(turn in name for turn in TURNS) else MAX_NUMBER
    if any(abs(number) > most for number in _numbers(value)):
        return f"{name} is {short(value)}; numbers here go up to {most:,}"
    return None


def check_settings(config: Any, where: Path) -> None:
    """Raise unless every field of a config has its type.

    Raises:
        RepoError: The message names the file and the field.
    """
    hints = get_type_hints(type(config))
    for field in fields(config):
        if wrong := problem(field.name, getattr(config, field.name), hints[field.name]):
            raise RepoError(f"{where}: {wrong}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON, or of a config, fits a type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in args)
    if origin is Literal:
        return any(type(value) is type(option) and value == option for option in args)
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return False
        each = args[:1] * len(value) if args[-1:] == (...,) else args
        return len(each) == len(value) and all(map(_fits, value, each))
    if is_dataclass(hint) and isinstance(value, Mapping):
        known = get_type_hints(hint)
        return all(name in known and _fits(item, known[name]) for name, item in value.items())
    return _fits_plain(value, hint)


def _fits_plain(value: Any, hint: Any) -> bool:
    """The same for types without parts; what is none of them is left to the dataclass itself."""
    if hint in (int, float):
        allowed = int if hint is int else int | float
        return isinstance(value, allowed) and not isinstance(value, bool) and abs(value) < math.inf
    if hint is type(None):
        return value is None
    return isinstance(value, hint) if hint in (bool, str) or is_dataclass(hint) else True


def _words(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _numbers(value: Any) -> Iterator[int | float]:
    """Yield the numbers in a setting."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, tuple | list | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(item)


class _TooManyError(Exception):
    """A network has more parameters than there are weights for."""


@contextlib.contextmanager
def drafting(tensors: int) -> Iterator[None]:
    """Build networks without memory inside; more parameters than `tensors` end it.

    Raises:
        ValueError: If there are more.
    """
    me, left = threading.get_ident(), {"parameters": tensors, "parts": MAX_PARTS * (tensors + 10)}

    def count(kind: str) -> None:
        if threading.get_ident() == me:  # hooks are of all threads
            left[kind] -= 1
            if left[kind] < 0:
                raise _TooManyError

    hooks = [
        modules.register_module_parameter_registration_hook(lambda *_: count("parameters")),
        modules.register_module_module_registration_hook(lambda *_: count("parts")),
    ]
    try:
        with torch.device("meta"), Undrawn():
            yield
    except _TooManyError:
        raise ValueError(f"it has more parameters than the {tensors} that are stored") from None
    finally:
        for hook in hooks:
            hook.remove()
