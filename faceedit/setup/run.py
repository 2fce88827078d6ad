"""Doing it: licences, files, conversions, the check, and the commands to try."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from faceedit import hub
from faceedit.convert import convert
from faceedit.errors import FaceEditError
from faceedit.setup.check import check_base
from faceedit.setup.download import Tell, fetch
from faceedit.setup.plan import State, Task, Wishes, made_already, plan
from faceedit.setup.sources import Item, SetupError, Sources

DOWNLOADS = "downloads"  # inside the folder; taken away when all is done
BASICS = ("generator", "clip")  # without which no edit is possible


@dataclass(frozen=True)
class Setup:
    """How a base is to be made.

    Attributes:
        sources: What there is.
        wishes: What the user wants of it.
        tell: Prints a line.
        agree: Asks whether the licences are accepted.
        half: Whether weights are stored with 16 bits.
        keep: Whether downloads stay.
        memory: GB that the check may use.
        wait: Sleeps for so many seconds.
    """

    sources: Sources
    wishes: Wishes
    tell: Tell
    agree: Callable[[], bool]
    half: bool = False
    keep: bool = False
    memory: float = 3.0
    wait: Callable[[float], None] = time.sleep

    @property
    def base(self) -> Path:
        """The base's folder."""
        return self.wishes.into / self.sources.base

    def run(self) -> list[Task]:
        """Make what is missing and check it; return the tasks that were done.

        Raises:
            SetupError: If the licences are not accepted, something that is needed cannot be had,
                or an edit fails the check.
        """
        self.wishes.check(self.sources)
        tasks = plan(self.sources, self.wishes)
        if not any(task.open for task in tasks):
            self._require_basics([])
            self.tell(f"{self.wishes.into} has everything already")
            self._say_what_is_left(tasks)
            self._say_commands()
            return []
        for task in tasks:
            if task.open and task.why:  # of the user's own files that are not taken
                self.tell(task.why)
        self._ask(tasks)
        failures: list[str] = []
        done = self._make([item for item in self.sources.items if item.is_network], failures)
        self._require_basics(failures)
        done += self._make([item for item in self.sources.items if not item.is_network], failures)
        for line in check_base(self.base, self.memory):
            self.tell(line)
        self._clean()
        self._say_what_is_left(plan(self.sources, replace(self.wishes, offline=True)))
        self._say_commands()
        return done

    def _ask(self, tasks: list[Task]) -> None:
        """Show the licences, and go on only if they are accepted.

        Raises:
            SetupError: If they are not.
        """
        keys = dict.fromkeys(key for task in tasks if task.open for key in task.item.licences)
        self.tell("These files have licences of their own:")
        for key in keys:
            licence = self.sources.licences[key]
            names = [task.item.name for task in tasks if task.open and key in task.item.licences]
            self.tell(f"  {', '.join(names)}: {licence.name}")
            self.tell(f"    {licence.text}")
        size = sum(task.missing_bytes for task in tasks)
        if size:
            self.tell(f"About {size / 1e9:.2f} GB will be downloaded into {self.wishes.into}")
        if not self.agree():
            raise SetupError("nothing was done; --accept-licences accepts the licences above")

    def _make(self, items: list[Item], failures: list[str]) -> list[Task]:
        """Fetch and convert items; what fails is told, and another item may stand in for it."""
        done: list[Task] = []
        failed: set[str] = set()
        while True:
            wishes = replace(self.wishes, without=(*self.wishes.without, *failed))
            tasks = plan(self.sources, wishes)
            task = next((t for t in tasks if t.open and t.item in items), None)
            if task is None:
                return done
            try:
                self._make_one(task)
                done.append(task)
            except FaceEditError as error:
                failures.append(f"{task.item.name}: {error}")
                self.tell(f"{task.item.name} could not be made: {error}")
                failed.add(task.item.name)
                self._require_another(task, failed, error)

    def _require_another(self, task: Task, failed: set[str], error: FaceEditError) -> None:
        """Raise if an item that is needed failed and no other item makes the same.

        Raises:
            SetupError: If there is none.
        """
        others = [item for item in self.sources.items if item.name not in failed]
        possible = {what for item in others for what in item.makes.values()}
        lost = sorted({task.item.makes[kind] for kind in task.kinds} - possible)
        if task.item.needed and lost:
            raise SetupError(
                f"{self.base} gets no {' and no '.join(lost)}: {task.item.name}: {error} "
                f"(--without {task.item.name} goes on without it)"
            ) from error

    def _make_one(self, task: Task) -> None:
        """Fetch the files of an item and convert them.

        Raises:
            FaceEditError: If that fails.
        """
        paths = []
        for file in task.files:
            path = task.have.get(file.name)
            if path is None:
                path = fetch(file, self.wishes.into / DOWNLOADS, self.tell, self.wait)
                self.tell(f"{file.name}: {file.certainty}")
            elif not self.wishes.trust:
                self.tell(f"{path}: {file.certainty}")
            paths.append(path)
        into = self.base if task.item.is_network else self.wishes.into / task.item.name
        base = None if task.item.is_network else self.base
        for kind in task.kinds:
            made = convert(paths, into, kind, base=base, half=self.half)
            self.tell(f"{made.folder}: {made.name}, {made.parameters:,} parameters")
            for note in made.notes:
                if "still needs" not in note:
                    self.tell(f"  {note}")

    def _require_basics(self, failures: list[str]) -> None:
        """Raise unless the base has what every edit needs.

        Raises:
            SetupError: If it has not.
        """
        made = made_already(self.sources, self.base)
        missing = [name for name in BASICS if name not in made]
        if missing:
            reasons = "; ".join(failures) or "its files are neither given nor to be downloaded"
            raise SetupError(f"{self.base} has no {' and no '.join(missing)}: {reasons}")

    def _clean(self) -> None:
        """Take the downloads away."""
        downloads = self.wishes.into / DOWNLOADS
        if downloads.is_dir() and not self.keep:
            shutil.rmtree(downloads)

    def _say_what_is_left(self, tasks: list[Task]) -> None:
        """List what could be added."""
        for task in tasks:
            if task.state in (State.BY_HAND, State.ABSENT):
                self.tell(f"not here: {task.item.name} ({task.item.title}): {task.why}")
                if task.state is State.BY_HAND:
                    names = ", ".join(file.name for file in task.item.files)
                    self.tell(f"  put any of {names} into a folder and name it with --from")

    def _say_commands(self) -> None:
        """End with three commands to try."""
        has_encoder = "encoder" in hub.read_base(self.base)["components"]
        photo = "photo.jpg" if has_encoder else "sample:7"
        self.tell("Try:")
        self.tell(f'  python -m faceedit edit {photo} "a smiling face" --repo {self.base}')
        self.tell(f'  python -m faceedit compare {photo} "blonde hair" --repo {self.base}')
        self.tell(f"  python -m faceedit info --repo {self.base}")
