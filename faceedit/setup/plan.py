"""What is to be done: which items are here, which the user has, which are to be fetched."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from faceedit import hub
from faceedit.errors import RepoError
from faceedit.setup.download import find, mismatch
from faceedit.setup.sources import Item, SetupError, SourceFile, Sources


class State(StrEnum):
    """Where an item stands."""

    HERE = "is here"
    GIVEN = "from your files"
    FETCH = "to be downloaded"
    BY_HAND = "to be downloaded by hand"
    ABSENT = "not available"
    UNNEEDED = "not needed"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Task:
    """What is to be done for an item.

    Attributes:
        item: The item.
        state: Where it stands.
        kinds: Conversions that are missing.
        have: Its files that the user has, by their official names.
        why: What there is to say about it.
    """

    item: Item
    state: State
    kinds: tuple[str, ...] = ()
    have: dict[str, Path] = field(default_factory=dict)
    why: str = ""

    @property
    def open(self) -> bool:
        """Whether there is something to do."""
        return self.state in (State.GIVEN, State.FETCH)

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """The files that it will be made of."""
        if self.item.any:
            return tuple(file for file in self.item.files if file.name in self.have)
        return self.item.files

    @property
    def missing_bytes(self) -> int:
        """How much is to be downloaded, as far as sizes are known."""
        if self.state is not State.FETCH:
            return 0
        return sum(file.size or 0 for file in self.files if file.name not in self.have)


@dataclass(frozen=True)
class Wishes:
    """What the user wants.

    Attributes:
        into: The folder that holds the base and the methods.
        given: A folder with files that the user has.
        without: Items to leave out.
        offline: Whether nothing may be downloaded.
        trust: Whether the user's files are taken whatever their size and hash.
    """

    into: Path
    given: Path | None = None
    without: tuple[str, ...] = ()
    offline: bool = False
    trust: bool = False

    def check(self, sources: Sources) -> None:
        """Raise unless folders and names can be used.

        Raises:
            SetupError: If they cannot.
        """
        names = [item.name for item in sources.items]
        if unknown := sorted(set(self.without) - set(names)):
            raise SetupError(f"there is no item {', '.join(unknown)}; choose from {names}")
        if self.given is not None and not self.given.is_dir():
            raise SetupError(f"--from is {str(self.given)!r}, which is not a folder")
        if self.into.exists() and not self.into.is_dir():
            raise SetupError(f"--into is {str(self.into)!r}, which is not a folder")


def plan(sources: Sources, wishes: Wishes) -> list[Task]:
    """Return what is to be done for every item, in order.

    Of several items that make the same, one whose files the user has goes before one that would
    have to be downloaded, and else the first.

    Raises:
        SetupError: If a folder that is there already is something else.
    """
    base = wishes.into / sources.base
    made = made_already(sources, base)
    given = [_given(item, wishes) for item in sources.items]
    sets = zip(sources.items, given, strict=True)
    whole = [(item, have) for item, (have, _) in sets if _is_whole(item, have)]
    covered: dict[str, str] = {}  # network or method -> the item whose files are given
    for item, _ in whole:
        if item.name not in wishes.without:
            for what in item.makes.values():
                covered.setdefault(what, item.name)
    tasks = []
    for item, (have, doubts) in zip(sources.items, given, strict=True):
        task = _task(item, have, doubts, made, covered, wishes)
        if task.open:
            made |= {item.makes[kind]: item.name for kind in task.kinds}
        tasks.append(task)
    return tasks


def _task(
    item: Item,
    have: dict[str, Path],
    doubts: str,
    made: dict[str, str],
    covered: dict[str, str],
    wishes: Wishes,
) -> Task:
    """Return what is to be done for one item."""
    if item.any and have and item.name in made.values():
        place = wishes.into / item.name
        if set(have) - set(_origin(hub.read_config(place).get("converted_from")).get("files", {})):
            made = {what: name for what, name in made.items() if name != item.name}
    kinds = tuple(kind for kind, what in item.makes.items() if what not in made)
    if not kinds:
        by_me = item.name in [made[what] for what in item.makes.values()]
        return Task(item, State.HERE if by_me else State.UNNEEDED)
    if item.name in wishes.without:
        return Task(item, State.LEFT_OUT)
    if _is_whole(item, have):
        return Task(item, State.GIVEN, kinds, have, doubts)
    kinds = tuple(kind for kind in kinds if covered.get(item.makes[kind], item.name) == item.name)
    if not kinds:
        return Task(item, State.UNNEEDED)
    if item.by_hand:
        return Task(item, State.BY_HAND, kinds, have, doubts or item.by_hand)
    lacking = [file for file in item.files if file.name not in have]
    if wishes.offline or not all(file.addresses for file in lacking):
        names = ", ".join(file.name for file in lacking)
        return Task(item, State.ABSENT, kinds, have, doubts or f"{names} is missing")
    return Task(item, State.FETCH, kinds, have, doubts)


def _is_whole(item: Item, have: Collection[str]) -> bool:
    return bool(have) if item.any else all(file.name in have for file in item.files)


def _given(item: Item, wishes: Wishes) -> tuple[dict[str, Path], str]:
    """Return the files of an item that the user has, and why others of that name are not taken."""
    if wishes.given is None or item.name in wishes.without:
        return {}, ""
    names = {name for file in item.files for name in (file.name, *file.also)}
    found, have, doubts = find(wishes.given, names), {}, []
    for file in item.files:
        path = next((found[name] for name in (file.name, *file.also) if name in found), None)
        if path is None:
            continue
        wrong = None if wishes.trust else mismatch(path, file)
        if wrong is None:
            have[file.name] = path
        else:
            doubts.append(f"{path} is not taken: {wrong} (--trust-files takes it)")
    return have, "; ".join(doubts)


def made_already(sources: Sources, base: Path) -> dict[str, str]:
    """Return which networks and methods are there and fit: what -> the item that made it.

    Raises:
        SetupError: If the base's folder holds something else.
    """
    made: dict[str, str] = {}
    if not (base / hub.CONFIG).is_file():
        return made
    try:
        config = hub.read_base(base)
    except RepoError as error:
        raise SetupError(f"{error}; name another folder with --into") from error
    origins = _origin(config.get("converted_from"))
    for item in sources.items:
        for kind, what in item.makes.items():
            if item.is_network:
                origin = _origin(origins.get(what)) if what in config["components"] else {}
            else:
                origin = _origin_of_method(base.parent / item.name, base)
            if origin.get("kind") == kind and _names(origin, item):
                made.setdefault(what, item.name)
    for what in config["components"]:  # from elsewhere; it is not replaced
        made.setdefault(what, "")
    return made


def _origin_of_method(folder: Path, base: Path) -> dict[str, Any]:
    """Return what a method's folder was converted from, if it fits the base."""
    try:
        if not (folder / hub.CONFIG).is_file() or not hub.fits_base(folder, base):
            return {}
        return _origin(hub.read_config(folder).get("converted_from"))
    except RepoError:
        return {}


def _origin(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(origin: dict[str, Any], item: Item) -> bool:
    """Whether an origin names the files of an item; of a CLIP its vocabulary is not recorded."""
    files = set(_origin(origin.get("files")))
    known = {name for file in item.files for name in (file.name, *file.also)}
    return bool(files) and files <= known


def table(tasks: Sequence[Task], sources: Sources) -> list[str]:
    """Return the items with their states, a line each, and what is known of each file."""
    lines = []
    for task in tasks:
        size = f", {task.item.size / 1e6:,.1f} MB" if task.item.size else ""
        lines.append(f"{task.item.name}: {task.state.value} ({task.item.title}{size})")
        if task.why:
            lines.append(f"    {task.why}")
        for key in task.item.licences:
            lines.append(f"    licence: {sources.licences[key].name}")
        if task.item.by_hand:
            lines.append(f"    files: {', '.join(file.name for file in task.item.files)}")
            continue
        for file in task.item.files:
            addresses = ", ".join(file.addresses)
            lines.append(f"    {file.name}: {file.certainty}; {addresses}")
    return lines
