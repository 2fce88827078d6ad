"""Official files become plain data: dictionaries, tensors and arrays. No file can run code here.

What a file is is read off its first bytes, because downloads are often misnamed: PyTorch's formats
(old and new, and TorchScript archives, whose code is not loaded), pickles of NumPy arrays and of
NVIDIA's networks, .npy, .npz and .safetensors.
"""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceedit.convert.pickles import (
    MAGIC,
    FileError,
    Inert,
    UnsafeFileError,
    plain,
    read_legacy,
    unpickle,
)

MAX_MERGES = 64 * 2**20  # bytes of an unpacked vocabulary; CLIP's has 3 MB
MAX_RATIO = 200  # times that an .npz may be larger unpacked
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
        with self.path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def read_source(path: Path | str) -> Source:
    """Read a file of any of the formats.

    Raises:
        UnsafeFileError: If it asks for code.
        FileError: If it is absent, damaged or of another format; the message begins with its name.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileError(f"{path} {what}; name the file that you downloaded")
    try:
        return Source(path, _read(path))
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{path} was refused: {error}") from error
    except FileError as error:
        raise FileError(f"{path} cannot be read: {error}") from error
    except MemoryError as error:
        raise FileError(f"{path} cannot be read: there is not enough memory") from error


def _read(path: Path) -> Any:
    """Read a file by what it begins with."""
    with path.open("rb") as file:
        start = file.read(32)
    for begins, what in NOT_MODELS.items():
        if start.startswith(begins):
            raise FileError(f"it {what}")
    if start.startswith(b"\x93NUMPY"):
        return _read_npy(path)
    if start.startswith(b"PK\x03\x04"):
        return _read_zip(path)
    if start.startswith(b"\x80"):
        return _read_pickle(path)
    if start[8:9] == b"{":
        return _read_safetensors(path)
    raise FileError("its format is unknown; it may be damaged, download it again")


def _read_npy(path: Path) -> np.ndarray:
    """Read one array of numbers."""
    try:  # mapped first: an array that claims more than the file holds is refused
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise FileError(f"it is no array of numbers ({error})") from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise FileError(f"it is damaged or cut short ({error})") from error


def _read_pickle(path: Path) -> Any:
    """Read a pickle, or a file of torch.save's old format, which begins with several."""
    with path.open("rb") as file:
        value = unpickle(file)
        if isinstance(value, int) and value == MAGIC:
            value = read_legacy(file, path.stat().st_size)
    return plain(value)


def _read_zip(path: Path) -> Any:
    """Read an .npz, or an archive of torch.save or of TorchScript."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if names and all(name.endswith(".npy") for name in names):
                return _read_npz(path, archive)
            pickles = [name for name in names if name.split("/")[1:] == ["data.pkl"]]
            if len(pickles) != 1:
                raise FileError("it is an archive, but no model's; unpack it first")
            return _read_archive(archive, pickles[0].split("/")[0])
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise FileError(f"it is damaged or cut short ({error})") from error


def _read_npz(path: Path, archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """Read named arrays."""
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > MAX_RATIO * path.stat().st_size:
        raise FileError("it would be far larger when unpacked than any such file")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except ValueError as error:
        raise FileError(f"it holds no arrays of numbers ({error})") from error


class _Members:
    """The storages of an archive: a member each."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        self._archive, self._folder = archive, folder
        self._read: dict[str, Tensor] = {}

    def find(self, key: str, dtype: torch.dtype, numel: int, view: Any) -> Tensor:
        """Read a member as numbers."""
        del view  # of the old format only
        if key not in self._read:
            raw = bytearray(_member(self._archive, f"{self._folder}/data/{key}"))
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


def _read_archive(archive: zipfile.ZipFile, folder: str) -> Any:
    """Read the data of an archive of torch.save or TorchScript; code in it is left alone."""
    import io

    names = set(archive.namelist())
    order = f"{folder}/byteorder"
    if order in names and _member(archive, order).strip() != b"little":
        raise FileError("it was written by a machine with another byte order")
    file = io.BytesIO(_member(archive, f"{folder}/data.pkl"))
    return plain(unpickle(file, _Members(archive, folder)))


def module_tensors(module: Inert, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a module that was stored whole, by their names in its state_dict.

    Args:
        module: A module of NVIDIA's pickles or of a TorchScript archive.
        prefix: What the names begin with.
    """
    state = module.state if isinstance(module.state, Mapping) else {}
    parts = [state.get(part) or {} for part in ("_parameters", "_buffers", "_modules")]
    members = {name: value for part in parts for name, value in part.items()}
    for name, value in (members or state).items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Inert):
            yield from module_tensors(value, f"{prefix}{name}.")


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
        opener = gzip.open if path.read_bytes()[:2] == b"\x1f\x8b" else open
        with opener(path, "rb") as file:
            lines = file.read(MAX_MERGES).decode("utf-8").split("\n")[1 : count + 1]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read as a vocabulary ({error})") from error
    pairs = [tuple(line.split()) for line in lines]
    if len(pairs) < count or any(len(pair) != 2 for pair in pairs):
        raise FileError(
            f"{path} has no {count:,} merges; it should be OpenAI's bpe_simple_vocab_16e6.txt.gz"
        )
    return [(left, right) for left, right in pairs]
