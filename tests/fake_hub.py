"""A Hub in this process: repos, commits, branches, gates, collections, behind the Hub's routes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_fake"
DATE = "2026-01-01T00:00:00.000Z"
Files = dict[str, bytes]


def blob_id(data: bytes) -> str:
    """Return what git calls a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repo:
    """Every commit's files, and what each branch points to."""

    kind: str
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files: Files, branch: str = "main") -> str:
        sha = hashlib.sha1(f"{branch}{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.branches.get(revision)


class FakeHub:
    """Holds the repos; `url` is what HF_ENDPOINT is to be."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.broken = False  # whether every request fails with 500
        hub = self

        class Bound(Handler):
            state = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def add(self, name: str, folder: Path, kind: str = "model", **facts: Any) -> Repo:
        """Put a folder on the Hub as a repo."""
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        repo = self.repos.setdefault((kind, name), Repo(kind, **facts))
        repo.commit(files)
        return repo

    def close(self) -> None:
        """Be unreachable from now on."""
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers as the Hub does, with its error codes in the headers."""

    state: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def log_message(self, *arguments: Any) -> None:
        pass

    # Answering --------------------------------------------------------------------------------

    def _answer(self, verb: str) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        if "agent-harnesses" in path:
            return self._fail(404, "")
        self.state.requests.append(f"{verb} {path}")
        if self.state.broken:
            return self._fail(500, "")
        for verbs, pattern, answer in ROUTES:
            found = re.fullmatch(pattern, path)
            if verb in verbs and found:
                return answer(self, **found.groupdict())
        return self._fail(404, "")

    def _json(self, content: Any, status: int = 200) -> None:
        self._send(json.dumps(content).encode(), {"Content-Type": "application/json"}, status)

    def _send(self, data: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _fail(self, status: int, code: str, message: str = "") -> None:
        self._send(b"{}", {"X-Error-Code": code, "X-Error-Message": message or code}, status)

    def _open(self, kind: str, name: str) -> Repo | None:
        """Return a repo that the caller may see; None after an error was sent."""
        authorization = self.headers.get("Authorization", "")
        known = authorization == f"Bearer {TOKEN}"
        if authorization and not known:
            self._fail(401, "", "Invalid credentials in Authorization header")
            return None
        repo = self.state.repos.get((kind, name))
        if repo is None or (repo.private and not known):
            self._fail(404 if known else 401, "RepoNotFound")
            return None
        return repo

    # Routes -----------------------------------------------------------------------------------

    def create(self) -> None:
        asked = json.loads(self.body)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._fail(401, "")
        name, kind = f"{asked['organization']}/{asked['name']}", asked.get("type") or "model"
        if asked["organization"] == "forbidden":
            return self._fail(403, "")
        url = f"{self.state.url}/{'' if kind == 'model' else kind + 's/'}{name}"
        if (kind, name) in self.state.repos:
            return self._json({"url": url}, 409)
        private = asked.get("visibility") == "private"
        repo = self.state.repos[kind, name] = Repo(kind, private=private)
        repo.commit({})
        return self._json({"url": url})

    def validate(self) -> None:
        self._json({"errors": [], "warnings": []})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        if (repo := self._open(kind, name)) is None:
            return
        files = repo.commits.get(repo.resolve(revision) or "", {})
        answer = [
            {
                "path": file["path"],
                "uploadMode": "regular",
                "shouldIgnore": False,
                "oid": blob_id(files[file["path"]]) if file["path"] in files else None,
            }
            for file in json.loads(self.body)["files"]
        ]
        self._json({"files": answer})

    def commit(self, kind: str, name: str, revision: str) -> None:
        if (repo := self._open(kind, name)) is None:
            return
        files = dict(repo.commits[repo.branches.get(revision, repo.branches["main"])])
        for line in self.body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                value = entry["value"]
                files[value["path"]] = base64.b64decode(value["content"])
        sha = repo.commit(files, revision)
        self._json({"commitUrl": f"{self.state.url}/{name}/commit/{sha}", "commitOid": sha})

    def propose(self, kind: str, name: str) -> None:
        """Open or show the only pull request, whose branch is refs/pr/1."""
        self._json(
            {
                "num": 1,
                "title": "proposal",
                "author": {"name": "me"},
                "createdAt": DATE,
                "status": "draft",
                "repo": {"name": name, "type": kind},
                "isPullRequest": True,
                "filesWithConflicts": [],
                "changes": {"base": "refs/heads/main"},
                "events": [],
            }
        )

    def branch(self, kind: str, name: str, branch: str) -> None:
        if (repo := self._open(kind, name)) is None:
            return None
        if branch in repo.branches:
            return self._fail(409, "")
        repo.branches[branch] = repo.branches["main"]
        return self._json({})

    def info(self, kind: str, name: str, revision: str = "main") -> None:
        if (repo := self._open(kind, name)) is None:
            return None
        sha = repo.resolve(revision)
        if sha is None:
            return self._fail(404, "RevisionNotFound")
        siblings = [{"rfilename": path} for path in repo.commits[sha]]
        return self._json({"id": name, "sha": sha, "siblings": siblings, "private": repo.private})

    def tree(self, kind: str, name: str, revision: str) -> None:
        if (repo := self._open(kind, name)) is None:
            return None
        sha = repo.resolve(revision)
        if sha is None:
            return self._fail(404, "RevisionNotFound")
        files = repo.commits[sha].items()
        return self._json(
            [{"type": "file", "path": p, "size": len(d), "oid": blob_id(d)} for p, d in files]
        )

    def file(self, name: str, revision: str, path: str, kind: str = "model") -> None:
        if (repo := self._open(kind, name)) is None:
            return None
        if repo.gated:
            return self._fail(403, "GatedRepo")
        sha = repo.resolve(revision)
        if sha is None:
            return self._fail(404, "RevisionNotFound")
        if path not in repo.commits[sha]:
            return self._fail(404, "EntryNotFound")
        data = repo.commits[sha][path]
        return self._send(data, {"ETag": f'"{blob_id(data)}"', "X-Repo-Commit": sha})

    def create_collection(self) -> None:
        asked = json.loads(self.body)
        slug = f"{asked['namespace']}/{asked['title'].lower().replace(' ', '-')}-0"
        known = slug in self.state.collections
        collection = self.state.collections.setdefault(
            slug,
            {
                "slug": slug,
                "title": asked["title"],
                "owner": {"name": asked["namespace"]},
                "items": [],
                "lastUpdated": DATE,
                "position": 0,
                "private": False,
                "theme": "orange",
                "upvotes": 0,
            },
        )
        self._json(collection, 409 if known else 200)

    def collection(self, slug: str) -> None:
        self._json(self.state.collections[slug])

    def add_item(self, slug: str) -> None:
        collection, item = self.state.collections[slug], json.loads(self.body)["item"]
        if any(item["id"] == old["id"] for old in collection["items"]):
            return self._fail(409, "")
        entry = {"_id": "0", "id": item["id"], "type": item["type"], "position": 0}
        collection["items"].append(entry)
        return self._json(collection)


API = r"/api/(?P<kind>model|space)s/(?P<name>[^/]+/[^/]+)"
ROUTES: list[tuple[tuple[str, ...], str, Any]] = [
    (("POST",), "/api/repos/create", Handler.create),
    (("POST",), "/api/validate-yaml", Handler.validate),
    (("POST",), "/api/collections", Handler.create_collection),
    (("POST",), r"/api/collections/(?P<slug>.+)/items", Handler.add_item),
    (("GET",), r"/api/collections/(?P<slug>.+)", Handler.collection),
    (("POST",), API + r"/preupload/(?P<revision>.+)", Handler.preupload),
    (("POST",), API + r"/commit/(?P<revision>.+)", Handler.commit),
    (("POST", "GET"), API + "/discussions(/1)?", Handler.propose),
    (("POST",), API + r"/branch/(?P<branch>.+)", Handler.branch),
    (("GET",), API, Handler.info),
    (("GET",), API + r"/revision/(?P<revision>.+)", Handler.info),
    (("GET",), API + r"/tree/(?P<revision>[^/]+)", Handler.tree),
    (
        ("GET", "HEAD"),
        r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        Handler.file,
    ),
]


@contextlib.contextmanager
def running(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[FakeHub]:
    """Serve a Hub and make `huggingface_hub`, which tests hold offline, ask it.

    Args:
        monkeypatch: Undoes what this changes.
        folder: For the cache.
    """
    from huggingface_hub import constants

    hub = FakeHub()
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    try:
        yield hub
    finally:
        hub.close()
