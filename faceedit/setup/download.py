"""One file from one of its addresses: resumed where it broke off, checked, never half there.

Files on the Hub come by `huggingface_hub`, which has its own cache of what is on the way. For other
addresses there is a small client here: what has arrived lies in NAME.part beside the file's place,
goes on from there by a range request, and is renamed when size and hash are right.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from faceedit.setup.sources import SetupError, SourceFile
from faceedit.version import __version__

HUB = "hf://"
BLOCK = 2**20  # bytes
TIMEOUT = 30  # seconds without a byte
ATTEMPTS = 5  # in a row that brought nothing new
LONGEST_WAIT = 60.0  # seconds between two attempts
SPARE = 64 * 2**20  # bytes that must stay free on the disk
BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers after which asking again can help
PAGES = (b"<!doctype", b"<html", b"<?xml")  # how a web page begins

Tell = Callable[[str], None]


class AddressError(Exception):
    """This address does not give the file; another one may."""


def fetch(
    file: SourceFile, folder: Path, tell: Tell, wait: Callable[[float], None] = time.sleep
) -> Path:
    """Return a file in a folder, from the first of its addresses that gives it whole and right.

    Args:
        file: What is wanted.
        folder: Where; made if absent.
        tell: Is told why an address was given up.
        wait: Sleeps for so many seconds.

    Raises:
        SetupError: If no address gives it, or there is no room; the message lists what was tried.
    """
    path = folder / file.name
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_file() and mismatch(path, file) is None:
        return path
    reasons = []
    for address in file.addresses:
        require_room(folder, file, path.with_name(path.name + ".part"))
        try:
            if address.startswith(HUB):
                _from_hub(address, path)
            else:
                _from_page(address, file, path, wait)
            if wrong := mismatch(path, file):
                path.unlink()
                raise AddressError(wrong)
            return path
        except AddressError as error:
            reasons.append(f"{address}: {error}")
            tell(f"  {file.name}: {address} does not give it ({error})")
        except OSError as error:
            raise _unwritable(error, file, path) from error
    raise SetupError(
        f"{file.name} could not be fetched. {'; '.join(reasons) or 'No address is known'}. "
        "Download it yourself and name its folder with --from"
    )


def mismatch(path: Path, file: SourceFile) -> str | None:
    """Say how a file differs from the official one in size or hash; None where it does not."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"it has {size:,} bytes, the official file has {file.size:,}" + _page_note(path)
    if file.sha256 is not None:
        found = digest(path)
        if not found.startswith(file.sha256):
            given, wanted = found[:8], file.sha256[:8]
            return f"its SHA-256 is {given}..., that of the official file is {wanted}..." + (
                _page_note(path)
            )
    return _page_note(path).removeprefix("; ") or None


def digest(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _page_note(path: Path) -> str:
    """Say so where a file is a web page."""
    with path.open("rb") as stream:
        start = stream.read(64).lstrip().lower()
    return "; it is a web page" if start.startswith(PAGES) else ""


def require_room(folder: Path, file: SourceFile, part: Path) -> None:
    """Raise unless the disk has room for what is missing of a file.

    Raises:
        SetupError: If it has not; the message says how much is needed.
    """
    if file.size is None:
        return
    missing = file.size - (part.stat().st_size if part.is_file() else 0)
    free = shutil.disk_usage(folder).free
    if free < missing + SPARE:
        raise SetupError(
            f"{file.name} needs {missing / 1e9:.2f} GB and {folder} has {free / 1e9:.2f} GB free; "
            "make room, or name another folder with --into"
        )


def _unwritable(error: OSError, file: SourceFile, path: Path) -> SetupError:
    """Say that a file cannot be written; what is on a full disk already is taken away."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        path.with_name(path.name + ".part").unlink(missing_ok=True)
        return SetupError(f"the disk is full: {file.name} did not fit into {path.parent}")
    return SetupError(f"{path} cannot be written ({error.strerror or error})")


# The Hub ------------------------------------------------------------------------------------------


def _from_hub(address: str, path: Path) -> None:
    """Fetch "hf://owner/repo/file" by `huggingface_hub`, which resumes and shows its progress.

    Raises:
        AddressError: If the Hub does not give it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    connection_error: type[BaseException] = HfHubHTTPError.__mro__[1]  # of its HTTP library
    owner, repo, name = address.removeprefix(HUB).split("/", 2)
    incoming = path.parent / ".hub"
    try:
        found = Path(hf_hub_download(f"{owner}/{repo}", name, local_dir=incoming))
    except HFValidationError as error:
        raise AddressError(str(error)) from error
    except (OSError, connection_error) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise AddressError(_first_line(error)) from error
    found.replace(path)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200] or type(error).__name__


# Other addresses ----------------------------------------------------------------------------------


def _from_page(address: str, file: SourceFile, path: Path, wait: Callable[[float], None]) -> None:
    """Fetch an address into NAME.part, going on where it broke off, and rename it when whole.

    Raises:
        AddressError: If the address does not give the file.
    """
    part = path.with_name(path.name + ".part")
    if file.size is None and file.sha256 is None:
        part.unlink(missing_ok=True)  # nothing could tell whether two halves belong together
    idle, resumed = 0, part.is_file()
    while True:
        before = part.stat().st_size if part.is_file() else 0
        again, pause = _receive(address, file, part)
        if not again:
            wrong = mismatch(part, file)
            if wrong is None:
                break
            part.unlink()
            if not resumed:
                raise AddressError(wrong)
            resumed = False  # the first half was of another file; once more from the beginning
            continue
        arrived = part.stat().st_size if part.is_file() else 0
        idle = 0 if arrived > before else idle + 1
        if idle >= ATTEMPTS:
            raise AddressError(f"{again}, {ATTEMPTS} times in a row")
        wait(min(LONGEST_WAIT, pause if pause is not None else 2.0**idle))
    part.replace(path)


def _receive(address: str, file: SourceFile, part: Path) -> tuple[str, float | None]:
    """Fetch what is missing of a file; return why to ask again ("" = it is whole), and when.

    Raises:
        AddressError: If asking again cannot help.
    """
    start = part.stat().st_size if part.is_file() else 0
    if file.size is not None and start == file.size:
        return "", None
    if not address.startswith(("https://", "http://")):
        raise AddressError("it is not an address of the web")
    request = urllib.request.Request(address, headers={"User-Agent": f"faceedit/{__version__}"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return _take(answer, start, file, part), None
    except urllib.error.HTTPError as error:
        if error.code == 416:  # there is more here than there is there
            part.unlink(missing_ok=True)
            return "it has another length", 0.0
        if error.code in BUSY:
            return f"it answers {error.code} {error.reason}", _pause(error)
        raise AddressError(f"it answers {error.code} {error.reason}") from error
    except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        return f"the connection broke off ({_first_line(error)})", None
    except urllib.error.URLError as error:
        raise AddressError(f"it cannot be reached ({error.reason})") from error
    except ValueError as error:
        raise AddressError(f"it is not an address ({error})") from error


def _pause(error: urllib.error.HTTPError) -> float | None:
    """Return how many seconds the server asks to wait, if it says so in seconds."""
    said = "" if error.headers is None else str(error.headers.get("Retry-After", ""))
    return float(said) if said.isdigit() else None


def _take(answer: http.client.HTTPResponse, start: int, file: SourceFile, part: Path) -> str:
    """Write an answer to the part; return why to ask again, or "" where it is whole.

    Raises:
        AddressError: If it is a web page.
    """
    if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise AddressError("it answers with a web page in place of the file")
    goes_on = answer.status == 206 and _starts_at(answer, start)
    if answer.status == 206 and not goes_on:
        part.unlink(missing_ok=True)
        return "it sends another part than was asked for"
    offset = start if goes_on else 0
    length = answer.headers.get("Content-Length", "")
    expected = offset + int(length) if length.isdigit() else file.size
    with part.open("ab" if goes_on else "wb") as out, _bar(file, expected, offset) as advance:
        while block := answer.read(BLOCK):
            out.write(block)
            advance(len(block))
            if file.size is not None and out.tell() > file.size:
                break  # it is not the file, and could be without end
    arrived = part.stat().st_size
    if expected is not None and arrived < expected:
        return f"the connection broke off after {arrived:,} of {expected:,} bytes"
    return ""


def _starts_at(answer: http.client.HTTPResponse, start: int) -> bool:
    """Whether a partial answer begins where it was asked to."""
    return answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")


@contextlib.contextmanager
def _bar(file: SourceFile, total: int | None, start: int) -> Iterator[Callable[[int], object]]:
    """Show how far a file is, on a terminal."""
    from tqdm import tqdm

    with tqdm(
        total=total, initial=start, desc=file.name, unit="B", unit_scale=True, disable=None
    ) as bar:
        yield bar.update


def find(folder: Path, names: set[str], depth: int = 3) -> dict[str, Path]:
    """Return files of a folder and its subfolders by name, the least deep first.

    Args:
        folder: Where to look.
        names: Which; others are passed over.
        depth: How many levels of subfolders.
    """
    found: dict[str, Path] = {}
    level = [folder]
    for _ in range(depth + 1):
        deeper = []
        for place in level:
            try:
                entries = sorted(place.iterdir())
            except OSError:
                continue
            for entry in entries:
                if entry.name in names and entry.is_file():
                    found.setdefault(entry.name, entry)
                elif entry.is_dir() and not entry.is_symlink():
                    deeper.append(entry)
        level = deeper
    return found
