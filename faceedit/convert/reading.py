"""Official files become plain data: dictionaries, tensors and arrays. No file can run code here.

What a file is is read off its first bytes, because downloads are often misnamed: PyTorch's formats
(old and new, and TorchScript archives, whose code is not loaded), pickles of NumPy arrays and of
NVIDIA's networks, .npy, .npz and .safetensors.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from faceedit.convert.budget import Budget, FileError, UnsafeFileError
from faceedit.convert.pickles import MAGIC, read_legacy, unpickle
from faceedit.convert.plain import plain
from faceedit.convert.stand_ins import MAX_SIDES, Inert
from faceedit.regular_files import IrregularFileError, open_regular

MAX_MERGES = 64 * 2**20  # bytes of an unpacked vocabulary; CLIP's has 3 MB
MAX_RATIO = 20  # times that an .npz may be larger unpacked
MIN_UNPACKED = 32 * 2**20  # bytes that any .npz may have unpacked
MAX_MEMBERS = 1_000  # arrays of an .npz
MAX_MODULES = 50_000  # of a network that was stored whole
MAX_NESTED = 50  # modules inside modules
NOT_MODELS = {  # first bytes -> what such a file is
    b"version https://git-lfs": "is only a Git LFS pointer; run `git lfs pull`",
    b"<!": "is a web page; Google Drive sends one in place of a large file, download it again",
    b"<html": "is a web page; Google Drive sends one in place of a large file, download it again",
    b"\x89HDF": "is an HDF5 file, and no official file that can be converted is one",
    b"\x1f\x8b": "is packed with gzip; unpack it first",
}


@dataclass(frozen=True)
class Source:
    """A file and what is in it."""

    path: Path
    data: Any

    @property
    def stem(self) -> str:
        """Return the file's name without its ending, in lower case."""
        return self.path.stem.lower()

    def digest(self) -> str:
        """Return "sha256:..." of the file."""
        with open_regular(self.path) as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def read_source(path: Path | str) -> Source:
    """Read a file of any of the formats.

    Raises:
        UnsafeFileError: If it asks for code.
        FileError: If it is absent, damaged or of another format; the message begins with its name.
    """
    path = Path(path).expanduser()
    try:
        with open_regular(path) as file:
            return Source(path, _read(path, file))
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{path} was refused: {error}") from error
    except FileError as error:
        raise FileError(f"{path} cannot be read: {error}") from error
    except FileNotFoundError:
        raise FileError(f"{path} does not exist; name the file that you downloaded") from None
    except IrregularFileError as error:
        raise FileError(f"{path}: {error}; name the file that you downloaded") from None
    except MemoryError as error:
        raise FileError(f"{path} cannot be read: there is not enough memory") from error
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read: {error}") from error


def _read(path: Path, file: BinaryIO) -> Any:
    """Read a file by what it begins with."""
    start = file.read(32)
    file.seek(0)
    for begins, what in NOT_MODELS.items():
        if start.startswith(begins):
            raise FileError(f"it {what}")
    if start.startswith(b"\x93NUMPY"):
        return _array(file.read())
    if start.startswith(b"PK\x03\x04"):
        return _read_zip(file)
    if start.startswith(b"\x80"):
        return _read_pickle(file)
    if start[8:9] == b"{":
        return _read_safetensors(path)
    raise FileError("its format is unknown; it may be damaged, download it again")


def _array(data: bytes) -> np.ndarray:
    """Return one array of numbers from the bytes of an .npy file.

    Raises:
        FileError: If it holds other things than numbers, or more of them than bytes.
    """
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        shape, columns_first, kind = read(stream)
    except (
        Exception
    ) as error:  # its header is Python's source, and damaged ones raise nearly anything
        raise FileError(f"it is not an array of numbers ({type(error).__name__})") from error
    start, count = stream.tell(), math.prod(shape)
    if kind.kind not in "biufc" or kind.subdtype is not None:
        raise FileError("it is not an array of numbers: it holds objects or texts")
    if (
        len(shape) > MAX_SIDES
        or min(shape, default=0) < 0
        or len(data) - start != count * kind.itemsize
    ):
        raise FileError("it is not an array of numbers: its size is not that of its shape")
    if not count:
        return np.empty(shape, kind)
    array = np.frombuffer(data, kind, offset=start).reshape(
        shape, order="F" if columns_first else "C"
    )
    return array.copy(order="K")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise FileError(f"it is damaged or cut short ({error})") from error


def _size(file: BinaryIO) -> int:
    """Return a file's bytes."""
    return os.fstat(file.fileno()).st_size


def _read_pickle(file: BinaryIO) -> Any:
    """Read a pickle, or a file of torch.save's old format, which begins with several."""
    budget = Budget(_size(file))
    value = unpickle(file, budget)
    if isinstance(value, int) and value == MAGIC:
        value = read_legacy(file, budget)
    return plain(value)


def _read_zip(file: BinaryIO) -> Any:
    """Read an .npz, or an archive of torch.save or of TorchScript."""
    size = _size(file)
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if names and all(name.endswith(".npy") for name in names):
                return _read_npz(archive, size)
            pickles = [name for name in names if name.split("/")[1:] == ["data.pkl"]]
            if len(pickles) != 1:
                raise FileError("it is an archive, but no model's; unpack it first")
            return _read_archive(archive, pickles[0].split("/")[0], size)
    except (FileError, MemoryError):
        raise
    except Exception as error:  # damaged archives raise whatever their bytes lead to
        raise FileError(f"it is damaged or cut short ({error})") from error


def _read_npz(archive: zipfile.ZipFile, size: int) -> dict[str, np.ndarray]:
    """Read named arrays."""
    members = archive.infolist()
    if sum(member.file_size for member in members) > max(MAX_RATIO * size, MIN_UNPACKED):
        raise FileError("it would be far larger when unpacked than any such file")
    if len(members) > MAX_MEMBERS:
        raise FileError(f"it holds {len(members):,} arrays, and no such file has so many")
    return {member.filename[:-4]: _array(archive.read(member)) for member in members}


class _Members:
    """The storages of an archive: a member each."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, size: int) -> None:
        self._archive, self._folder = archive, folder
        self._left = size  # of the bytes that the members can have together
        self._read: dict[str, Tensor] = {}

    def find(self, key: str, dtype: torch.dtype, numel: int, view: Any) -> Tensor:
        """Read a member as numbers."""
        del view  # of the old format only
        if key not in self._read:
            raw = bytearray(_member(self._archive, f"{self._folder}/data/{key}"))
            self._left -= len(raw)
            if self._left < 0:  # members may lie on top of one another
                raise FileError("its members are larger than the archive")
            if numel < 0 or len(raw) < numel * dtype.itemsize:
                raise FileError("a tensor is cut short")
            empty = torch.empty(0, dtype=dtype)
            self._read[key] = torch.frombuffer(raw, dtype=dtype, count=numel) if numel else empty
        return self._read[key]


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a member; PyTorch packs none, so one that is packed could only be meant to burst."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise FileError(f"{name} is missing in it") from None
    if info.compress_type != zipfile.ZIP_STORED:
        raise FileError(f"{name} in it is packed, which PyTorch does not do")
    return archive.read(info)


def _read_archive(archive: zipfile.ZipFile, folder: str, size: int) -> Any:
    """Read the data of an archive of torch.save or TorchScript; code in it is left alone."""
    names = set(archive.namelist())
    order = f"{folder}/byteorder"
    if order in names and _member(archive, order).strip() != b"little":
        raise FileError("it was written by a machine with another byte order")
    file = io.BytesIO(_member(archive, f"{folder}/data.pkl"))
    budget = Budget(size)
    return plain(unpickle(file, budget, _Members(archive, folder, size)))


def module_tensors(
    module: Inert, prefix: str = "", left: list[int] | None = None
) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a module that was stored whole, by their names in its state_dict.

    Args:
        module: A module of NVIDIA's pickles or of a TorchScript archive.
        prefix: What the names begin with.
        left: How many modules may still be looked into, counted down.

    Raises:
        FileError: If modules lie in one another without end.
    """
    left = [MAX_MODULES] if left is None else left
    left[0] -= 1
    if left[0] < 0 or prefix.count(".") > MAX_NESTED:
        raise FileError("its modules lie in one another without end")
    state = module.state if isinstance(module.state, Mapping) else {}
    parts = [state.get(part) for part in ("_parameters", "_buffers", "_modules")]
    found = [part for part in parts if isinstance(part, Mapping)]
    members = {name: value for part in found for name, value in part.items()}
    for name, value in (members or state).items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Inert):
            yield from module_tensors(value, f"{prefix}{name}.", left)


def attributes(value: Any) -> Mapping[str, Any]:
    """Return the settings in a dictionary, a Namespace or nothing, by name."""
    if isinstance(value, Inert):
        value = value.state
    return value if isinstance(value, Mapping) else {}


def read_merges(path: Path, count: int) -> list[tuple[str, str]]:
    """Read the first merges of CLIP's official vocabulary, bpe_simple_vocab_16e6.txt(.gz).

    Args:
        path: The file, packed or not; its first line is a title.
        count: How many to read.

    Raises:
        FileError: If the file is no such list.
    """
    try:
        with open_regular(path) as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            text = (gzip.GzipFile(fileobj=file) if packed else file).read(MAX_MERGES)
        lines = text.decode("utf-8").split("\n")[1 : count + 1]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise FileError(f"{path} cannot be read as a vocabulary ({error})") from error
    pairs = [tuple(line.split()) for line in lines]
    if len(pairs) < count or any(len(pair) != 2 for pair in pairs):
        raise FileError(
            f"{path} has no {count:,} merges; it should be OpenAI's bpe_simple_vocab_16e6.txt.gz"
        )
    return [(left, right) for left, right in pairs]
