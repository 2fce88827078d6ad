"""A pickle is read here without running any of it: every name in it stands for a harmless stub.

A pickle names functions and classes, and a plain unpickler imports and calls whatever it names.
Here nothing that a pickle names is ever imported. The few names that model files need (tensors,
arrays, dictionaries) have stand-ins below that check what they are given; objects of known model
libraries become an `Inert`, which keeps what was stored and does nothing; any other name refuses
the file. NVIDIA's pickles carry the source code of their classes; it is dropped unread.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

import numpy as np
import torch
from torch import Tensor

from faceedit.errors import RepoError

MAX_MEMO = 50_000_000  # entries; a pickle can claim any number and have memory set aside for it
MAX_SPREAD = 100  # times that a tensor may be larger than the numbers it is a view of
MAX_NESTING = 4  # of pickles inside pickles

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


class FileError(RepoError):
    """A file cannot be converted: damaged, unknown, or not what it was taken for."""


class UnsafeFileError(FileError):
    """A file asks for code that no model file needs; it was not opened."""


class Inert:
    """An object of a class that is not loaded here: what was stored about it, nothing else.

    Attributes:
        path: The full name of its class.
        args: What its constructor would have been given.
        state: What was stored of it, mostly its attributes by name.
        items: What was put into it, where it was a container.
    """

    path = ""
    args: tuple[Any, ...]
    state: Any
    items: dict[Any, Any]

    def __new__(cls, *args: Any, **_: Any) -> Inert:
        """Keep the arguments; `__init__` is never told of them."""
        new = object.__new__(cls)
        new.args, new.state, new.items = args, {}, {}
        return new

    def __init__(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    def __setstate__(self, state: Any) -> None:
        """Keep the attributes apart instead of setting them."""
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Keep what is put into a dictionary's descendant."""
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Keep what is put into a list's descendant."""
        self.items[len(self.items)] = value

    def extend(self, values: Any) -> None:
        """Keep what is put into a list's descendant."""
        for value in values:
            self.append(value)


class Storages(Protocol):
    """Where the numbers of a file's tensors are found."""

    def find(self, key: str, dtype: torch.dtype, numel: int, view: Any) -> Tensor:
        """Return the numbers of one storage, [numel]."""


class _Dict(dict):
    """A dictionary of any class; attributes that were stored with it are left out."""

    def __setstate__(self, state: Any) -> None:
        """Leave them out, such as the `_metadata` of a state_dict."""


class _DefaultDict(_Dict):
    """A `collections.defaultdict`, whose factory is left out."""

    def __init__(self, *_: Any) -> None:
        super().__init__()


class _Call:
    """What a pickle may call. It cannot be given a state, so no file can change it for the next."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        """Refuse."""
        raise UnsafeFileError("it tries to change a function")


class _Token:
    """A name that is only passed on, like the class of a storage."""

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Any = None) -> None:
        self.name, self.value = name, value

    def __setstate__(self, state: Any) -> None:
        """Refuse."""
        raise UnsafeFileError(f"it tries to change {self.name}")


class _Storage:
    """The memory of a tensor."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers

    def __setstate__(self, state: Any) -> None:
        """Refuse."""
        raise UnsafeFileError("it tries to change a storage")


class _Kind:
    """A `numpy.dtype`."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code, self.order = str(code), "="

    def __setstate__(self, state: Any) -> None:
        """Take over the byte order, "<" or ">"."""
        self.order = str(state[1])

    def numpy(self) -> np.dtype:
        """Return the type itself, if it is one of plain numbers or texts."""
        kind = np.dtype(self.code)
        if kind.kind not in "biufcSU" or kind.subdtype is not None:
            raise FileError(f"it holds an array of {self.code!r}, which is no array of numbers")
        return kind.newbyteorder(">") if self.order == ">" else kind


class _Array:
    """A `numpy.ndarray` whose numbers come later."""

    def __init__(self) -> None:
        self.array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        """Take over (version, shape, type, whether columns come first, bytes)."""
        _, shape, kind, columns_first, raw = state
        self.array = _array(raw, kind, shape, "F" if columns_first else "C")


def _array(raw: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """Return an array of bytes that were checked to be as many as it needs."""
    if isinstance(raw, str):  # written by Python 2
        raw = raw.encode("latin1")
    if not isinstance(kind, _Kind) or not isinstance(raw, bytes | bytearray):
        raise FileError("it holds an array of objects, which is no array of numbers")
    shape = tuple(int(side) for side in shape)
    wanted = kind.numpy()
    numbers = np.frombuffer(raw, wanted).astype(wanted.newbyteorder("="))  # a copy of its own
    return numbers.reshape(shape, order="F" if order == "F" else "C")


def _scalar(kind: Any, raw: Any) -> Any:
    """Return a NumPy number as a plain one."""
    return _array(raw, kind, ()).item()


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    """Return a tensor that lies in a storage; checked to lie inside."""
    if not isinstance(storage, _Storage):
        raise FileError("it holds a tensor without a storage")
    size, stride = tuple(map(int, size)), tuple(map(int, stride))
    wanted = int(np.prod(size, dtype=object)) if size else 1
    if wanted > MAX_SPREAD * max(storage.numbers.numel(), 1):
        raise FileError(f"it holds a tensor of shape {list(size)} with far fewer numbers")
    return storage.numbers.as_strided(size, stride, int(offset))


def _first(value: Any, *_: Any) -> Any:
    return value


def _typed_tensor(function: Any, _type: Any, args: Any, _state: Any) -> Any:
    """Return a tensor that carries attributes, without them."""
    if not isinstance(function, _Call):
        raise UnsafeFileError("it rebuilds a tensor by an unknown function")
    return function(*args)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Return bytes that were written as text."""
    if encoding not in ("latin1", "latin-1"):
        raise UnsafeFileError(f"it decodes text by {encoding!r}")
    return text.encode("latin1")


def _bytes(text: Any = b"") -> bytes:
    """Return bytes as they are; a number would ask for that many."""
    if isinstance(text, bytes | bytearray):
        return bytes(text)
    raise FileError("it holds bytes of an unknown kind")


def _new_object(kind: Any, *_: Any) -> Any:
    """Return an empty object of an inert class (`copyreg`, old protocols)."""
    if isinstance(kind, type) and issubclass(kind, Inert | _Dict):
        return kind()
    raise UnsafeFileError("it makes an object of an unknown class")


def _persistent(meta: Any) -> Inert:
    """Return an NVIDIA module: the name of its class and its state, without its source code."""
    new = _inert_class(f"nvidia.{meta['class_name']}")()
    new.state = meta["state"]
    return new


_CALLS: dict[str, Callable[..., Any]] = {
    "_codecs.encode": _encode,
    "builtins.bytearray": _bytes,
    "builtins.bytes": _bytes,
    "builtins.frozenset": frozenset,
    "builtins.set": set,
    "copyreg._reconstructor": _new_object,
    "numpy._core.multiarray._reconstruct": lambda *_: _Array(),
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _array,
    "torch.Size": tuple,
    "torch._tensor._rebuild_from_type_v2": _typed_tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.jit._pickle.build_boollist": list,
    "torch.jit._pickle.build_doublelist": list,
    "torch.jit._pickle.build_intlist": list,
    "torch.jit._pickle.build_tensorlist": list,
    "torch.jit._pickle.restore_type_tag": _first,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
}
_CLASSES: dict[str, type] = {
    "builtins.dict": _Dict,
    "collections.OrderedDict": _Dict,
    "collections.defaultdict": _DefaultDict,
    "dnnlib.EasyDict": _Dict,
    "dnnlib.util.EasyDict": _Dict,
    "easydict.EasyDict": _Dict,
    "numpy.dtype": _Kind,
}
RENAMED = (  # what these were called when a file was written -> now
    ("__builtin__.", "builtins."),
    ("copy_reg.", "copyreg."),
    ("numpy.core.", "numpy._core."),
)
_TOKENS = {
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


def _inert_class(path: str) -> type[Inert]:
    return type(path.rsplit(".", 1)[-1] or "Inert", (Inert,), {"path": path})


def _stand_in(name: str, nesting: int) -> Any:
    """Return what stands for a name in a pickle.

    Raises:
        UnsafeFileError: If no model file needs that name.
    """
    for before, now in RENAMED:
        if name.startswith(before):
            name = now + name.removeprefix(before)
    owner, _, last = name.rpartition(".")
    if name in _CALLS:
        return _Call(_CALLS[name])
    if name == "torch.storage._load_from_bytes":
        return _Call(lambda raw: _from_bytes(raw, nesting + 1))
    if name in _CLASSES:
        return _CLASSES[name]
    if owner in ("torch", "torch.storage", "torch.cuda") and last in STORAGES:
        return _Token(name, STORAGES[last])
    if name in _TOKENS:
        return _Token(name)
    if any(name == known or (known[-1] == "." and name.startswith(known)) for known in INERT):
        return _inert_class(name)
    raise UnsafeFileError(
        f"it asks for {name!r}, which no model file needs; such a file can run code when it is "
        "opened by others, and was not opened here"
    )


class _Unpickler(pickle.Unpickler):
    """Python's unpickler with nothing to import."""

    def __init__(self, raw: bytes, storages: Storages | None, nesting: int) -> None:
        super().__init__(io.BytesIO(raw), encoding="latin1")
        self._storages, self._nesting = storages, nesting

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in; a dotted name could reach into a module, and finds none."""
        return _stand_in(f"{module}.{name}", self._nesting)

    def persistent_load(self, pid: Any) -> Any:
        """Return the storage that a tensor of PyTorch points to."""
        if self._storages is None or not isinstance(pid, tuple) or len(pid) < 5:
            raise FileError("it points to data outside of itself")
        tag, kind, key, _, numel, *view = pid
        if tag != "storage" or not isinstance(kind, _Token) or kind.value is None:
            raise FileError("it points to data of an unknown kind")
        found = self._storages.find(str(key), kind.value, int(numel), view[0] if view else None)
        return _Storage(found)


def _from_bytes(raw: Any, nesting: int) -> Any:
    """Read a storage that was saved inside a pickle by `torch.save`, under the same rules."""
    if nesting > MAX_NESTING or not isinstance(raw, bytes):
        raise FileError("pickles are nested too deeply in it")
    file = io.BytesIO(raw)
    first = unpickle(file, nesting=nesting)
    if first != MAGIC:
        raise FileError("it holds a storage that PyTorch did not write")
    return read_legacy(file, len(raw), nesting)


def _next_pickle(file: BinaryIO) -> bytes:
    """Return the bytes of the pickle at the file's place; the place moves behind it."""
    start = file.tell()
    for opcode, argument, _ in pickletools.genops(file):
        if "PUT" in opcode.name and isinstance(argument, int) and argument > MAX_MEMO:
            raise FileError("it asks for more memory than it can need")
        if opcode.name.startswith("EXT"):
            raise UnsafeFileError("it uses numbers for names")
    end = file.tell()
    file.seek(start)
    return file.read(end - start)


def unpickle(file: BinaryIO, storages: Storages | None = None, nesting: int = 0) -> Any:
    """Read the next pickle of a file; stand-ins are left in it, see `plain`.

    Raises:
        UnsafeFileError: If it asks for anything but data.
        FileError: If it is damaged.
    """
    try:
        return _Unpickler(_next_pickle(file), storages, nesting).load()
    except FileError:
        raise
    except (MemoryError, RecursionError, OverflowError) as error:
        raise FileError(f"it asks for too much ({type(error).__name__})") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise FileError(f"it is damaged or cut short ({error})") from error


MAGIC = 0x1950A86A20F9469CFC6C  # with which torch.save's old format begins


class _Following:
    """The storages that follow a pickle in the old format of `torch.save`."""

    def __init__(self, size: int) -> None:
        self._left = size  # bytes that they can have together
        self._roots: dict[str, Tensor] = {}

    def find(self, key: str, dtype: torch.dtype, numel: int, view: Any) -> Tensor:
        """Set memory aside for a storage, at most as much as the file is long."""
        if key not in self._roots:
            self._left -= numel * dtype.itemsize
            if numel < 0 or self._left < 0:
                raise FileError("it is cut short")
            self._roots[key] = torch.zeros(numel, dtype=dtype)
        root = self._roots[key]
        if view is None:
            return root
        _, start, length = view
        return root[int(start) : int(start) + int(length)]

    def fill(self, key: str, file: BinaryIO) -> None:
        """Read the numbers of a storage: how many there are, then the numbers."""
        if key not in self._roots:
            raise FileError("it holds a storage that no tensor uses")
        root = self._roots[key]
        count = int.from_bytes(file.read(8), "little")
        raw = bytearray(file.read(root.numel() * root.element_size()))
        if count != root.numel() or len(raw) != root.numel() * root.element_size():
            raise FileError("it is cut short")
        if count:
            root.copy_(torch.frombuffer(raw, dtype=root.dtype))


def read_legacy(file: BinaryIO, size: int, nesting: int = 0) -> Any:
    """Read what follows `MAGIC` in a file of torch.save's old format, before PyTorch 1.6.

    Raises:
        UnsafeFileError: If it asks for anything but data.
        FileError: If it is damaged.
    """
    unpickle(file, nesting=nesting)  # the version of the protocol
    facts = unpickle(file, nesting=nesting)
    if not isinstance(facts, dict) or not facts.get("little_endian", True):
        raise FileError("it was written by a machine with another byte order")
    storages = _Following(size)
    value = unpickle(file, storages, nesting)
    for key in unpickle(file, nesting=nesting):
        storages.fill(str(key), file)
    return value


def plain(value: Any) -> Any:
    """Replace stand-ins by tensors and arrays; containers keep their places, shared ones too."""
    try:
        return _plain(value, {})
    except RecursionError as error:
        raise FileError("it is nested too deeply") from error


def _plain(value: Any, done: dict[int, Any]) -> Any:
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, _Storage):
        return value.numbers
    if isinstance(value, _Token | _Call | _Kind | type):
        return getattr(value, "name", None)
    if not isinstance(value, dict | list | tuple | Inert):
        return value
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, tuple):
        done[id(value)] = tuple(_plain(item, done) for item in value)
        return done[id(value)]
    done[id(value)] = value
    if isinstance(value, Inert):
        value.state, value.items = _plain(value.state, done), _plain(value.items, done)
    elif isinstance(value, list):
        value[:] = [_plain(item, done) for item in value]
    else:
        for key in list(value):
            value[key] = _plain(value[key], done)
    return value
