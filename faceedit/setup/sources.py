"""The list of official files: addresses, sizes, hashes and licences, read from a TOML file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceedit.convert import KINDS, NETWORKS
from faceedit.errors import FaceEditError

HERE = Path(__file__).resolve().parent
FULL = 64  # hexadecimal digits of a SHA-256


class SetupError(FaceEditError):
    """Official weights cannot be fetched, checked or placed; the message says what to do."""


@dataclass(frozen=True)
class Licence:
    """What a file may be used for."""

    name: str
    text: str  # its address


@dataclass(frozen=True)
class SourceFile:
    """One official file.

    Attributes:
        name: What it is called here.
        addresses: Where it is, best first: "https://...", or "hf://owner/repo/file" for the Hub.
        size: In bytes, if known.
        sha256: Its hash in hexadecimal, or only the beginning of it, as far as it is known.
        also: Other names by which people have it.
    """

    name: str
    addresses: tuple[str, ...] = ()
    size: int | None = None
    sha256: str | None = None
    also: tuple[str, ...] = ()

    @property
    def certainty(self) -> str:
        """Say how much of the file is known, and so can be checked."""
        if self.sha256 is None:
            return "only its size is known" if self.size else "neither hash nor size is known"
        if len(self.sha256) < FULL:
            return f"only the first {len(self.sha256)} of {FULL} digits of its hash are known"
        return "checked by its SHA-256"


@dataclass(frozen=True)
class Item:
    """Files that together become networks of the base, or one method beside it.

    Attributes:
        name: Of the item; for a method also the folder that it becomes.
        title: What it is.
        files: All that it is made of.
        makes: Kind of conversion (see `faceedit.convert.KINDS`) -> network or method.
        licences: Names in `Sources.licences`.
        needed: Whether no edit is possible without it.
        any: Whether some of the files are enough.
        by_hand: How to get files that no program can fetch; empty for the others.
    """

    name: str
    title: str
    files: tuple[SourceFile, ...]
    makes: Mapping[str, str]
    licences: tuple[str, ...] = ()
    needed: bool = False
    any: bool = False
    by_hand: str = ""

    @property
    def is_network(self) -> bool:
        """Whether it becomes a part of the base."""
        return all(kind in NETWORKS for kind in self.makes)

    @property
    def size(self) -> int:
        """Bytes of its files, as far as they are known."""
        return sum(file.size or 0 for file in self.files)


@dataclass(frozen=True)
class Sources:
    """All that there is of one domain.

    Attributes:
        title: What it is.
        base: Name of the base's folder.
        items: In the order in which they are made; of several that make the same, the first counts.
        licences: By name.
    """

    title: str
    base: str
    items: tuple[Item, ...]
    licences: Mapping[str, Licence] = field(default_factory=dict)


def known() -> list[str]:
    """Return the names of the lists that come with faceedit."""
    return sorted(path.stem for path in HERE.glob("*.toml"))


def read_sources(name: str | Path) -> Sources:
    """Return a list of official files.

    Args:
        name: One of `known()`, or the path of a TOML file of the same form.

    Raises:
        SetupError: If there is no such list, or something in it is missing or misspelt.
    """
    path = Path(name) if Path(name).suffix == ".toml" else HERE / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SetupError(
            f"there is no list of files {str(name)!r}; choose from {', '.join(known())}"
        ) from None
    except (OSError, ValueError) as error:
        raise SetupError(f"{path} cannot be read ({error})") from error
    try:
        licences = {key: Licence(**value) for key, value in data["licences"].items()}
        items = tuple(_item(entry) for entry in data["items"])
        sources = Sources(data["title"], data["base"], items, licences)
    except (KeyError, TypeError, AttributeError) as error:
        raise SetupError(f"{path}: {error!r} is missing or unknown") from error
    _check(sources, path)
    return sources


def _item(entry: dict[str, Any]) -> Item:
    """Return an item as the file has it."""
    given = dict(entry)
    files = [_file(part) for part in given.pop("files", ())]
    files += [SourceFile(name) for name in given.pop("names", ())]
    return Item(files=tuple(files), licences=tuple(given.pop("licences", ())), **given)


def _file(entry: dict[str, Any]) -> SourceFile:
    given = dict(entry)
    return SourceFile(
        given.pop("name"),
        tuple(given.pop("addresses", ())),
        given.pop("bytes", None),
        given.pop("sha256", None),
        tuple(given.pop("also", ())),
        **given,
    )


def _check(sources: Sources, path: Path) -> None:
    """Raise unless every kind, licence and hash of a list can be used."""
    for item in sources.items:
        if not item.files or not item.makes:
            raise SetupError(f"{path}: {item.name} has no files, or makes nothing")
        if unknown := sorted(set(item.makes) - set(KINDS)):
            raise SetupError(f"{path}: {item.name} is made by {unknown}; choose from {list(KINDS)}")
        if unknown := sorted(set(item.licences) - set(sources.licences)):
            raise SetupError(
                f"{path}: {item.name} has the licences {unknown}, which are not listed"
            )
        for file in item.files:
            if file.sha256 is not None and not re.fullmatch(r"[0-9a-f]{8,64}", file.sha256):
                raise SetupError(f"{path}: the hash of {file.name} is {file.sha256!r}")
            if "/" in file.name or "\\" in file.name or file.name.startswith("."):
                raise SetupError(f"{path}: {file.name!r} is not the name of a file")
