"""What the names in a pickle stand for: harmless things that check what they are given.

The few names that model files need (tensors, arrays, dictionaries) have stand-ins here. Objects of
known model libraries become an `Inert`, which keeps what was stored and does nothing. Any other
name refuses the file. NVIDIA's pickles carry the source code of their classes, which is dropped
unread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from faceedit.convert.budget import Budget, FileError, UnsafeFileError

MAX_NAMES = 2_000  # different names of functions and classes in a file
MAX_SPREAD = 100  # times that a tensor may be larger than the numbers it is a view of
MAX_SIDES = 16  # of a tensor or array
MAX_NAME = 200  # characters of a name
PLAIN_KEYS = (str, bytes, bool, float, type(None))

# Objects of these become an `Inert`; a name that ends in "." stands for all that begins with it.
INERT = (
    "__torch__.",  # the modules of a TorchScript archive
    "argparse.Namespace",
    "dnnlib.tflib.network.Network",  # NVIDIA, TensorFlow
    "omegaconf.",
    "pathlib.",
    "torch.device",
    "torch.nn.modules.",
    "types.SimpleNamespace",
    "typing.Any",
)
STORAGES = {  # the class of a tensor's memory -> the type of its numbers
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}


def checked_key(key: Any) -> Any:
    """Return a key of a dictionary or a member of a set; it is looked at before it is hashed.

    Raises:
        FileError: If it is anything but a name, a number or a few of them.
    """
    parts = key if isinstance(key, tuple) and len(key) <= MAX_SIDES else (key,)
    for part in parts:
        small = isinstance(part, int) and abs(part) < 2**64
        if not (small or isinstance(part, (*PLAIN_KEYS, Token))):
            raise FileError(f"it has a {type(part).__name__} for a key, where a name should be")
    return key


class Inert:
    """An object of a class that is not loaded here: what was stored about it, nothing else.

    Attributes:
        path: The full name of its class.
        args: What its constructor would have been given.
        state: What was stored of it, mostly its attributes by name.
        items: What was put into it, where it was a container.
    """

    path = ""

    def __init__(self, *args: Any) -> None:
        self.args: tuple[Any, ...] = args
        self.state: Any = {}
        self.items: dict[Any, Any] = {}


class Storages(Protocol):
    """Where the numbers of a file's tensors are found."""

    def find(self, key: str, dtype: torch.dtype, numel: int, view: Any) -> Tensor:
        """Return the numbers of one storage, [numel]."""


class Dictionary(dict):
    """A dictionary of any class; attributes that were stored with it are left out."""


class DefaultDictionary(Dictionary):
    """A `collections.defaultdict`, whose factory is left out."""


class Call:
    """What a pickle may call; every call is paid for."""

    __slots__ = ("_budget", "_function")

    def __init__(self, function: Callable[..., Any], budget: Budget) -> None:
        self._function, self._budget = function, budget

    def __call__(self, *args: Any) -> Any:
        """Pay, call, and pay for the tensor that may come of it."""
        self._budget.copy(args)
        made = self._function(*args)
        if isinstance(made, Tensor):
            self._budget.hold(made)
        return made


class Token:
    """A name that is only passed on, like the class of a storage."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Any = None) -> None:
        self.name, self.value = name, value


class Storage:
    """The memory of a tensor."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers


class Kind:
    """A `numpy.dtype`."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        if not isinstance(code, str) or len(code) > MAX_SIDES:
            raise FileError("it holds an array of an unknown kind, not an array of numbers")
        self.code, self.order = code, "="

    def set_state(self, state: Any) -> None:
        """Take over the byte order, "<" or ">"."""
        if not isinstance(state, tuple) or len(state) < 2 or not isinstance(state[1], str):
            raise FileError("it holds an array of an unknown kind")
        self.order = state[1]

    def numpy(self) -> np.dtype:
        """Return the type itself, if it is one of plain numbers or texts."""
        kind = np.dtype(self.code)
        if kind.kind not in "biufcSU" or kind.subdtype is not None:
            raise FileError(f"it holds an array of {self.code!r}, which is not an array of numbers")
        return kind.newbyteorder(">") if self.order == ">" else kind


class Array:
    """A `numpy.ndarray` whose numbers come later."""

    def __init__(self) -> None:
        self.array: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        """Take over (version, shape, type, whether columns come first, bytes)."""
        _, shape, kind, columns_first, raw = state
        self.array = _array(raw, kind, shape, "F" if columns_first is True else "C")


def _sizes(value: Any) -> tuple[int, ...]:
    """Return a shape or strides, checked to be a few whole numbers."""
    fits = isinstance(value, tuple | list) and len(value) <= MAX_SIDES
    if not fits or not all(type(side) is int and 0 <= side < 2**48 for side in value):
        raise FileError("it holds a tensor whose shape is not a list of a few numbers")
    return tuple(value)


def _array(raw: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """Return an array of bytes that were checked to be as many as it needs."""
    if isinstance(raw, str):  # written by Python 2
        raw = raw.encode("latin1")
    if not isinstance(kind, Kind) or not isinstance(raw, bytes | bytearray):
        raise FileError("it holds an array of objects, which is not an array of numbers")
    sides, wanted = _sizes(shape), kind.numpy()
    numbers = np.frombuffer(raw, wanted).astype(wanted.newbyteorder("="))  # a copy of its own
    return numbers.reshape(sides, order="F" if order == "F" else "C")


def _scalar(kind: Any, raw: Any) -> Any:
    """Return a NumPy number as a plain one."""
    return _array(raw, kind, ()).item()


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """Return a tensor that lies in a storage; checked to lie inside."""
    if not isinstance(storage, Storage) or not isinstance(offset, int):
        raise FileError("it holds a tensor without a storage")
    sides = _sizes(size)
    wanted = int(np.prod(sides, dtype=object)) if sides else 1
    if wanted > MAX_SPREAD * max(storage.numbers.numel(), 1):
        raise FileError(f"it holds a tensor of shape {list(sides)} with far fewer numbers")
    return storage.numbers.as_strided(sides, _sizes(stride), offset)


def _first(value: Any, *_: Any) -> Any:
    return value


def _typed_tensor(function: Any, _type: Any, args: Any, _state: Any) -> Any:
    """Return a tensor that carries attributes, without them."""
    if not isinstance(function, Call) or not isinstance(args, tuple):
        raise UnsafeFileError("it rebuilds a tensor by an unknown function")
    return function(*args)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Return bytes that were written as text."""
    if not isinstance(text, str) or not isinstance(encoding, str) or len(encoding) > MAX_NAME:
        raise FileError("it holds bytes of an unknown kind")
    if encoding not in ("latin1", "latin-1"):
        raise UnsafeFileError(f"it decodes text by {encoding!r}")
    return text.encode("latin1")


def _bytes(text: Any = b"") -> bytes:
    """Return bytes as they are; a number would ask for that many."""
    if isinstance(text, bytes | bytearray):
        return bytes(text)
    raise FileError("it holds bytes of an unknown kind")


def _items(value: Any) -> list[Any]:
    """Return what a list or tuple holds."""
    if not isinstance(value, list | tuple):
        raise FileError(f"it makes a list of a {type(value).__name__}")
    return list(value)


def _set(value: Any = ()) -> set[Any]:
    """Return a set of members that were looked at."""
    return {checked_key(member) for member in _items(value)}


def _new_object(kind: Any, *_: Any) -> Any:
    """Return an empty object of an inert class (`copyreg`, old protocols)."""
    if isinstance(kind, type) and issubclass(kind, Inert | Dictionary):
        return kind()
    raise UnsafeFileError("it makes an object of an unknown class")


def _persistent(meta: Any) -> Inert:
    """Return an NVIDIA module: the name of its class and its state, without its source code."""
    name = meta.get("class_name") if isinstance(meta, dict) else None
    if not isinstance(name, str) or not name.isidentifier() or len(name) > MAX_NAME:
        raise FileError("it holds a module of NVIDIA's without a name")
    new = inert_class(f"nvidia.{name}")()
    new.state = meta["state"]
    return new


CALLS: dict[str, Callable[..., Any]] = {
    "_codecs.encode": _encode,
    "builtins.bytearray": _bytes,
    "builtins.bytes": _bytes,
    "builtins.frozenset": lambda *args: frozenset(_set(*args)),
    "builtins.set": _set,
    "copyreg._reconstructor": _new_object,
    "numpy._core.multiarray._reconstruct": lambda *_: Array(),
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _array,
    "torch.Size": lambda sides: tuple(_items(sides)),
    "torch._tensor._rebuild_from_type_v2": _typed_tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.jit._pickle.build_boollist": _items,
    "torch.jit._pickle.build_doublelist": _items,
    "torch.jit._pickle.build_intlist": _items,
    "torch.jit._pickle.build_tensorlist": _items,
    "torch.jit._pickle.restore_type_tag": _first,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
}
CLASSES: dict[str, type] = {
    "builtins.dict": Dictionary,
    "collections.OrderedDict": Dictionary,
    "collections.defaultdict": DefaultDictionary,
    "dnnlib.EasyDict": Dictionary,
    "dnnlib.util.EasyDict": Dictionary,
    "easydict.EasyDict": Dictionary,
    "numpy.dtype": Kind,
}
RENAMED = (  # what these were called when a file was written -> now
    ("__builtin__.", "builtins."),
    ("copy_reg.", "copyreg."),
    ("numpy.core.", "numpy._core."),
)
TOKENS = {
    "builtins.bool",
    "builtins.float",
    "builtins.int",
    "builtins.list",
    "builtins.object",
    "builtins.str",
    "builtins.tuple",
    "numpy.ndarray",
    "torch.Tensor",
    "torch.nn.parameter.Parameter",
    *(str(dtype) for dtype in STORAGES.values()),
}
LOAD_FROM_BYTES = "torch.storage._load_from_bytes"


def inert_class(path: str) -> type[Inert]:
    """Return a class of objects that do nothing, by its full name."""
    return type(path.rsplit(".", 1)[-1] or "Inert", (Inert,), {"path": path})


def current_name(name: str) -> str:
    """Return what a function or class is called today."""
    for before, now in RENAMED:
        if name.startswith(before):
            return now + name.removeprefix(before)
    return name


def stand_in(name: str, budget: Budget) -> Any:
    """Return what stands for a name in a pickle, as `current_name` spells it.

    Raises:
        UnsafeFileError: If no model file needs that name.
    """
    owner, _, last = name.rpartition(".")
    if name in CALLS:
        return Call(CALLS[name], budget)
    if name in CLASSES:
        return CLASSES[name]
    if owner in ("torch", "torch.storage", "torch.cuda") and last in STORAGES:
        return Token(name, STORAGES[last])
    if name in TOKENS:
        return Token(name)
    if any(name == known or (known[-1] == "." and name.startswith(known)) for known in INERT):
        return inert_class(name)
    raise UnsafeFileError(
        f"it asks for {name!r}, which no model file needs; such a file can run code when it is "
        "opened by others, and was not opened here"
    )
