"""The files of a batch: which photos there are, who edits them, which of them are done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from faceedit.errors import RequestError
from faceedit.regular_files import naming, open_regular, read_regular
from faceedit.types import EditRequest

# Files that are meant to be photos; those that cannot be read (HEIC) are listed with the reason.
PHOTO_SUFFIXES = {
    *(".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"),
    *(".bmp", ".gif", ".ppm", ".avif", ".heic", ".heif"),
}
MANIFEST = "manifest-{}-of-{}.jsonl"  # one a process, so that none waits for another
MAX_MANIFEST = 256 * 2**20  # bytes
KEYS = ("output", "source", "settings", "picture")  # of a row: a name and three digests
LONGEST = 200  # bytes of a result's name; most disks take 255, and drafts are a little longer


@dataclass(frozen=True)
class Shard:
    """Which share of the photos this process takes: number `index` of `count`."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise RequestError(
                f"the shard is {self.index}/{self.count}; it must be I/N with I from 0 to N - 1"
            )

    @classmethod
    def read(cls, text: str | None, environment: Mapping[str, str]) -> Shard:
        """Return what "1/4" says, else what a launcher says, else everything.

        Raises:
            RequestError: If it is not two whole numbers.
        """
        if text is None:
            text = f"{environment.get('RANK', '0')}/{environment.get('WORLD_SIZE', '1')}"
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal()):
            raise RequestError(f"the shard is {text!r}; it must be I/N, like 0/4")
        return cls(int(index), int(count))


def output_folder(folder: Path, named: str | None, *settings: str) -> Path:
    """Return where results go: as named, else beside the photos, in a folder of what was asked.

    ("holiday", None, "Red hair!", "ffclip") -> holiday-edited/red-hair_ffclip
    """
    if named is not None:
        return Path(named).expanduser()
    whole = folder.resolve()
    words = [re.sub(r"[^\w.+]+", "-", text.lower()).strip("-.") for text in settings]
    return whole.with_name(f"{whole.name or 'photos'}-edited") / _short(
        "_".join(filter(None, words))
    )


def _short(name: str) -> str:
    """Return a name that every disk takes: the end of one that is too long becomes a digest."""
    stored = os.fsencode(name)
    if len(stored) <= LONGEST:
        return name
    mark = hashlib.blake2b(stored, digest_size=6).hexdigest()
    return f"{stored[: LONGEST - 13].decode(errors='ignore')}-{mark}"


def plan(folder: Path, output: Path, suffix: str) -> dict[Path, Path]:
    """Return the photos of a folder by name, each with where its result goes.

    Results are called as their photos; where two photos differ in suffix only, both keep theirs.

    Raises:
        RequestError: If there is no such folder, no photo in it, or `output` is the folder itself.
    """
    if not folder.is_dir():
        raise RequestError(f"there is no folder {str(folder)!r}; check the path")
    if output.exists() and (not output.is_dir() or output.samefile(folder)):
        raise RequestError(f"the results cannot go to {str(output)!r}; name another folder")
    photos = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PHOTO_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )
    if not photos:
        endings = ", ".join(sorted(PHOTO_SUFFIXES))
        raise RequestError(f"{str(folder)!r} contains no photo ({endings})")
    stems = Counter(path.stem.lower() for path in photos)
    alone = {path: stems[path.stem.lower()] == 1 for path in photos}
    return {p: output / f"{_short(p.stem if alone[p] else p.name)}{suffix}" for p in photos}


class Manifest:
    """What is known of the pictures in a folder of results: what each was made from, and how.

    Args:
        folder: Of the results.
        shard: Whose file is written; those of all are read.
        prints: A digest of everything beside the photo that decides a result.
    """

    def __init__(self, folder: Path, shard: Shard, prints: str) -> None:
        self.folder, self.prints = folder, prints
        self.path = folder / MANIFEST.format(shard.index, shard.count)
        self._known: set[tuple[str, ...]] = set()

    def open(self, outputs: Iterable[Path], overwrite: bool = False) -> None:
        """Read what is known and start this process's file.

        Args:
            outputs: What this process is going to write.
            overwrite: Whether whatever is there may be written over.

        Raises:
            RequestError: If there are pictures that this very run, with these settings, did not
                make, and that would be written over; or if nothing can be written there.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._start()
        except OSError as error:
            raise RequestError(
                f"cannot write to {str(self.folder)!r} ({error.strerror or error}); name another"
            ) from error
        self._read()
        foreign = [] if overwrite else [o.name for o in outputs if not self.may_replace(o)]
        if foreign:
            raise RequestError(
                f"{str(self.folder)!r} has {_listed(foreign)} that this batch, with these "
                "settings, did not make; name another folder, or --overwrite"
            )

    def _read(self) -> None:
        """Read what all processes have recorded so far."""
        for manifest in sorted(self.folder.glob(MANIFEST.format("*", "*"))):
            for line in _lines(manifest):
                try:
                    row = json.loads(line)
                    self._known.add(tuple(row[key] for key in KEYS))
                except (ValueError, KeyError, TypeError):
                    continue  # a line that was cut short; its picture is made again

    def _start(self) -> None:
        """Start this process's file, or go on with it."""
        with self.path.open("a+b") as file:
            if file.tell() and (file.seek(-1, 2), file.read())[1] != b"\n":
                file.write(b"\n")  # after a line that was cut short

    def may_replace(self, output: Path) -> bool:
        """Whether a result may be written: nothing is there, or what these settings made.

        What is no picture any more, a file cut short, is nobody's loss.
        """
        try:
            picture = digest(output)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        made = any(
            row[0] == output.name and row[2:] == (self.prints, picture) for row in self._known
        )
        return made or not _is_picture(output)

    def put(self, write: Callable[[Path], None], output: Path, overwrite: bool) -> None:
        """Write a result to its place, whole, and never over what these settings did not make.

        Raises:
            RequestError: If another run has written there meanwhile.
        """
        draft = output.with_name(f".{secrets.token_hex(8)}{output.suffix}")
        try:
            write(draft)
            self._read()  # another process may have been here since
            if overwrite or (output.exists() and self.may_replace(output)):
                os.replace(draft, output)
            else:
                _move_to_free(draft, output)
        except FileExistsError:
            raise RequestError(
                f"another run has written {output.name!r} meanwhile; give each run its own folder"
            ) from None
        finally:
            draft.unlink(missing_ok=True)

    def has(self, photo: Path, output: Path) -> bool:
        """Return whether a result is there, whole, and would come out the same."""
        try:
            row = (output.name, digest(photo), self.prints, digest(output))
        except OSError:
            return False
        return row in self._known

    def add(self, photo: Path, output: Path, request: EditRequest, seconds: float) -> None:
        """Record a result that has just been written."""
        row = {
            "photo": photo.name,
            "output": output.name,
            "source": digest(photo),
            "settings": self.prints,
            "picture": digest(output),
            "method": request.method,
            "prompt": request.prompt,
            "strength": request.strength,
            "seconds": round(seconds, 3),
        }
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")  # in ASCII: names can be in any encoding


def _lines(manifest: Path) -> list[str]:
    """Return the lines of a manifest.

    Raises:
        RequestError: If it is not a file that can be read.
    """
    try:
        return read_regular(manifest, MAX_MANIFEST).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise RequestError(f"{manifest} cannot be read ({error}); name another folder") from error


def digest(path: Path) -> str:
    """Return a short hash of a file's bytes."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, _blake2b).hexdigest()  # type: ignore[arg-type]


def _blake2b() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _is_picture(path: Path) -> bool:
    """Whether a file can be opened as a picture."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.load()
    except Exception:  # decoders of damaged files raise nearly anything
        return False
    return True


def _move_to_free(draft: Path, output: Path) -> None:
    """Move a file to a name that nobody has taken.

    Raises:
        FileExistsError: If somebody has.
    """
    with contextlib.suppress(OSError):
        os.link(draft, output)  # fails at once where the name is taken
        return
    with output.open("x"):  # a disk without links: the empty file takes the name
        pass
    os.replace(draft, output)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
