"""Where a repo is: beside another, among the bundled copies, a local folder, or on the Hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from faceedit.errors import RepoError
from faceedit.hub.checks import short
from faceedit.hub.fingerprints import fits_base
from faceedit.hub.folders import CONFIG, read_config
from faceedit.hub.remote import Download, cached_id, fetch

BUNDLED = Path(__file__).resolve().parents[2] / "hub_cards"
OWNER = "faceedit"  # whose repos are bundled: hub_cards/<repo> is a copy of faceedit/<repo>


def find_repo(name: str | Path, download: Download | None = None, near: Path | None = None) -> Path:
    """Return the local folder of a repo, downloaded if it has to be.

    Args:
        name: A repo id ("faceedit/portraits-128") or a folder.
        download: How to ask the Hub. With a revision, only the Hub can answer.
        near: A repo's folder whose neighbours are looked at first.

    Raises:
        RepoError: If it cannot be found; the message says what to do.
    """
    download = download or Download()
    text = str(name)
    if not text.strip():
        raise RepoError("the name of the model repo is empty; try 'faceedit/portraits-128'")
    folder = find_local(text, near) if download.revision is None else None
    if folder is not None:
        return folder
    if _path(text).is_dir():
        raise RepoError(f"'{text}' is a folder, which has no revisions; leave `revision` out")
    if _path(text).is_file():
        raise RepoError(f"'{text}' is a file; name the folder that holds its {CONFIG}")
    if text.startswith((".", "/", "~")) or text.count("/") > 1 or "\\" in text:
        raise RepoError(f"'{text}' looks like a folder but does not exist; check the path")
    return fetch(text, download)


def find_base(method: Path, download: Download | None = None) -> Path:
    """Return the folder of the base that a method's folder names: a neighbour, bundled or the Hub.

    Raises:
        RepoError: If the method names none, or it cannot be found.
    """
    config = read_config(method)
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str):
        raise RepoError(f"{method / CONFIG} names no base (base_model_name_or_path)")
    revision = config.get("base_revision")
    if revision is not None and not isinstance(revision, str):
        raise RepoError(f"{method / CONFIG}: base_revision is {short(revision)}; it must be text")
    local = find_local(base, near=method)
    if local is not None and (revision is None or fits_base(method, local)):
        return local
    return find_repo(base, replace(download or Download(), revision=revision))


def find_local(name: str, near: Path | None = None) -> Path | None:
    """Return a repo's folder on this machine: a neighbour of `near`, bundled, or a path; or None.

    The Hub's own cache is not looked at.
    """
    owner, _, repo = name.partition("/")
    places = [near.parent / name.rsplit("/", 1)[-1]] if near is not None else []
    if owner == OWNER and repo and "/" not in repo:
        places.append(BUNDLED / repo)
    for place in places:
        if (place / CONFIG).is_file():
            return place
    path = _path(name)
    return path if path.is_dir() else None


def _path(name: str) -> Path:
    """Return a name as a path; one like ~nobody stays as it is."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # there is no such user
        return Path(name)


def name_of(folder: Path) -> str:
    """Return the repo id that a folder is known by: from the Hub's cache, else as one of ours."""
    cached = cached_id(folder)
    return cached[0] if cached else f"{OWNER}/{folder.resolve().name}"


def revision_of(folder: Path) -> str | None:
    """Return the commit of a folder in the Hub's cache; None for other folders."""
    cached = cached_id(folder)
    return cached[1] if cached else None
