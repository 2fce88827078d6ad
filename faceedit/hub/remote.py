"""The Hub itself: fetch a repo into the local cache, send a folder, and say plainly what failed.

Everything else about repos is in `faceedit.hub`. `huggingface_hub` does the transfers, the cache
and the offline mode; here its errors are put into words that say what to do.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faceedit.errors import RepoError

# Always the same patterns: a snapshot fetched with others counts as incomplete when offline.
PATTERNS = ["*.json", "*.safetensors", "*.txt", "README.md"]
# What a model repo may hold; nothing else is sent.
SENT = [*PATTERNS, "*.md", "*.jpg", "*.png", "*.yaml"]
CACHED = re.compile(r"models--(?P<owner>[^/\\]+?)--(?P<repo>[^/\\]+)")


@dataclass(frozen=True)
class Download:
    """How to ask the Hub, in the words of `huggingface_hub.snapshot_download`."""

    revision: str | None = None
    cache_dir: str | Path | None = None
    token: str | bool | None = None
    local_files_only: bool = False
    force_download: bool = False


@dataclass(frozen=True)
class Sent:
    """What has come of a folder that was sent."""

    url: str  # of the repo, or of the pull request
    commit: str  # the repo's newest commit, which is an old one if nothing had changed


def fetch(name: str, download: Download) -> Path:
    """Return a repo's folder in the local cache, filled from the Hub where it has to be.

    Raises:
        RepoError: If it cannot be had; the message says why and what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    # Of whichever HTTP library the Hub's client uses.
    connection_error: type[BaseException] = HfHubHTTPError.__mro__[1]
    try:
        return Path(snapshot_download(name, allow_patterns=PATTERNS, **asdict(download)))
    except HFValidationError as error:
        problem = f"'{name}' is not a repo id; ids look like 'faceedit/portraits-128'"
        raise RepoError(problem) from error
    except (OSError, connection_error) as error:
        raise RepoError(_problem(name, download, error)) from error


def _problem(name: str, download: Download, error: BaseException) -> str:
    """Say in plain words why the Hub did not give a repo."""
    from huggingface_hub import errors

    # GatedRepoError is a RepositoryNotFoundError too, so it comes first.
    if isinstance(error, errors.GatedRepoError):
        return (
            f"'{name}' asks you to accept its terms: open its page on the Hub, accept, "
            "then run `hf auth login`"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"no model repo '{name}' on the Hub (or it is private: run `hf auth login`)"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"'{name}' has no revision '{download.revision}'"
    if isinstance(error, errors.LocalTokenNotFoundError):
        return f"token=True was asked for '{name}' and nobody is logged in: run `hf auth login`"
    if isinstance(error, errors.EntryNotFoundError | errors.OfflineModeIsEnabled):
        return _not_cached(name, download, error)
    response = getattr(error, "response", None)
    if getattr(response, "status_code", None) == 401:
        return f"the Hub refused the token for '{name}': run `hf auth login` again"
    return f"the Hub did not give '{name}' ({type(error).__name__}); try again later"


def _not_cached(name: str, download: Download, error: BaseException) -> str:
    """Say why a repo that is not in the cache, or only in part, could not be fetched."""
    from huggingface_hub import constants
    from huggingface_hub.errors import IncompleteSnapshotError

    reason = "the Hub cannot be reached"
    if constants.is_offline_mode():
        reason = "HF_HUB_OFFLINE is set"
    elif download.local_files_only:
        reason = "local_files_only=True"
    where = "is not in the local cache"
    if isinstance(error, IncompleteSnapshotError):
        where = "is only partly in the local cache"
        if files := re.search(r"missing \(([^)]*(?:\(\d+ more\))?)\)", str(error)):
            where += f" ({files[1]} missing)"
    revision = f" --revision {download.revision}" if download.revision else ""
    return (
        f"'{name}' {where} and {reason}. Download it once with `hf download {name}{revision}` "
        "while online, or pass a local folder"
    )


def cached_id(folder: Path) -> tuple[str, str] | None:
    """Return the repo id and the commit of a folder in the Hub's cache; None for other folders."""
    parts = folder.parts
    for place, part in enumerate(parts[:-2]):
        found = CACHED.fullmatch(part)
        if found and parts[place + 1] == "snapshots":
            return f"{found['owner']}/{found['repo']}", parts[place + 2]
    return None


def has_card(repo_id: str, token: str | bool | None = None) -> bool:
    """Whether a model repo has a README.md already, which is not to be overwritten."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    try:
        return HfApi(token=token).file_exists(repo_id, "README.md")
    except (OSError, HFValidationError):
        return False  # sending will say what is wrong


def send(
    folder: Path,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str = "Upload with faceedit",
    patterns: list[str] | None = None,
    kind: str = "model",
) -> Sent:
    """Make a repo if there is none and send a folder; a folder that is there already changes none.

    Args:
        folder: What to send.
        repo_id: "owner/name".
        private: Whether a new repo is private; None is the owner's habit.
        token: If not logged in.
        revision: The branch; made if there is none.
        create_pr: Propose a pull request instead of changing the branch.
        commit_message: The commit's first line.
        patterns: Which files; those of a model repo by default.
        kind: "model" or "space".

    Raises:
        RepoError: If the Hub does not take it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    space: dict[str, Any] = {"space_sdk": "gradio"} if kind == "space" else {}
    api = HfApi(token=token)
    try:
        repo = api.create_repo(repo_id, private=private, repo_type=kind, exist_ok=True, **space)
        if revision is not None and not create_pr:
            api.create_branch(repo_id, branch=revision, repo_type=kind, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            repo_type=kind,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
            allow_patterns=SENT if patterns is None else patterns,
        )
    except HFValidationError as error:
        problem = f"'{repo_id}' is not a repo id; ids look like 'your-name/my-edits'"
        raise RepoError(problem) from error
    except (OSError, ValueError) as error:
        raise RepoError(_refusal(repo_id, error)) from error
    return Sent(commit.pr_url or str(repo), commit.oid)


def _refusal(repo_id: str, error: Exception) -> str:
    """Say in plain words why the Hub did not take a folder."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"'{repo_id}' was not sent: HF_HUB_OFFLINE is set"
    if isinstance(error, errors.LocalTokenNotFoundError) or status == 401:
        return f"the Hub wants to know who sends '{repo_id}': run `hf auth login`"
    if status == 403:
        return f"you may not write to '{repo_id}': use a name of your own and a token with write"
    first = str(error).strip().splitlines() or [type(error).__name__]
    return f"the Hub did not take '{repo_id}': {first[0]}"
