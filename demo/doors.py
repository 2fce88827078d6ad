"""Which files a request may name: what this visitor uploaded, and what the page made for them.

A file comes in as a path of this machine: gradio stores an upload first and hands its path back,
and whoever writes requests by hand can send any other. So every request passes `Doors.guard`
before gradio or a tab opens anything: the page's own endpoints, public and private, new ones,
validators, and the calls of assistants (MCP).
"""

from __future__ import annotations

import contextvars
import hashlib
import logging
import os
import re
import secrets
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.requests import Request
from starlette.responses import JSONResponse

from demo.words import FAULT

logger = logging.getLogger(__name__)

# Who asks, while their request is being worked on; None for scripts that name no session.
VISITOR: contextvars.ContextVar[str | None] = contextvars.ContextVar("visitor", default=None)
UPLOAD = re.compile(r"[0-9a-f]{64}")  # gradio's name of an upload's folder: salted, so a secret
SERVED = "/gradio_api/file="  # what precedes the path in the address of a file of this page
OPEN = "any"  # the mark of what belongs to no session
OWN = ("app", "demo", "faceedit")  # modules whose errors are faults, not unfit requests
MOST_KNOWN = 4096  # uploads whose visitors are remembered
REFUSED = "This file is not here, or it was not uploaded here by you. Upload the picture again."
NOT_FETCHED = "Pictures are not fetched from other addresses. Upload the picture instead."
UNFIT = "This request does not fit the page. /gradio_api/info describes what it takes."

Call = Callable[..., Awaitable[dict[str, Any]]]
_KEY = secrets.token_bytes(32)


def mark(visitor: str | None) -> str:
    """Return a visitor's mark in names of files: it does not tell their session."""
    if visitor is None:
        return OPEN
    return hashlib.blake2b(visitor.encode(), key=_KEY, digest_size=8).hexdigest()


def new_place(folder: Path) -> Path:
    """Make a folder for results of the present visitor, with a name that nobody can guess."""
    place = folder / f"{mark(VISITOR.get())}.{secrets.token_urlsafe(16)}"
    place.mkdir()
    return place


class Doors:
    """Decides which files may be opened.

    Args:
        results: The folder in which `new_place` makes folders.
        uploads: gradio's folder of uploads; None asks gradio.
    """

    def __init__(self, results: Path, uploads: Path | None = None) -> None:
        self.results = results.resolve()
        self.given = uploads or Path(get_upload_folder())  # as gradio writes its paths
        self.uploads = self.given.resolve()
        self._known: dict[Path, tuple[int, set[str]]] = {}  # last upload's time, its visitors

    def guard(self, page: gr.Blocks) -> None:
        """Let every request to the page pass these doors."""
        page.process_api = self._guarded(page.process_api)  # type: ignore[method-assign]

    def _guarded(self, process: Call) -> Call:
        async def process_api(block_fn: Any, inputs: list[Any], *rest: Any, **named: Any) -> Any:
            visitor = visitor_of(named)
            token = VISITOR.set(visitor)
            try:
                return await process(block_fn, self._admitted(inputs, visitor), *rest, **named)
            except gr.Error:
                raise
            except Exception as error:  # gradio's own words name files and folders of this machine
                if _is_ours(error):
                    logger.exception("a request fails outside of what the page does")
                    raise gr.Error(FAULT, print_exception=False) from None
                logger.warning("a request does not fit the page: %s", type(error).__name__)
                raise gr.Error(UNFIT, print_exception=False) from None
            finally:
                VISITOR.reset(token)

        return process_api

    def _admitted(self, value: Any, visitor: str | None) -> Any:
        """Return a request's values with every file in them checked."""
        if isinstance(value, dict):
            if "path" in value or "url" in value:
                return self._file(value, visitor)
            return {name: self._admitted(part, visitor) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [self._admitted(part, visitor) for part in value]
        return value

    def _file(self, named: dict[str, Any], visitor: str | None) -> dict[str, Any] | None:
        """Return a file of a request as gradio writes one that it has stored itself."""
        path = named.get("path") or named.get("url")
        if path is None:
            return None
        orig_name = named.get("orig_name")
        stored = self.given / self.open(path, visitor).relative_to(self.uploads)
        return {
            "path": str(stored),
            "orig_name": orig_name if isinstance(orig_name, str) else None,
            "is_stream": False,
            "meta": {"_type": "gradio.FileData"},
        }

    def open(self, path: Any, visitor: str | None) -> Path:
        """Return the real path of a file that a visitor may use.

        Raises:
            gr.Error: In the same words for what is absent, elsewhere or somebody else's.
        """
        if not isinstance(path, str):
            raise gr.Error(REFUSED, print_exception=False)
        if SERVED in path:  # the address under which this page serves the file
            path = unquote(path.split(SERVED, 1)[1])
        elif re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", path):
            raise gr.Error(NOT_FETCHED, print_exception=False)
        try:
            real = Path(path).resolve(strict=True)
            allowed = real.is_file() and self._may(real, visitor)
        except (OSError, ValueError, RuntimeError):  # absent, too long, a zero byte, a loop
            allowed = False
        if not allowed:
            raise gr.Error(REFUSED, print_exception=False)
        return real

    def _may(self, real: Path, visitor: str | None) -> bool:
        if real.parent.parent == self.results:
            owner = real.parent.name.partition(".")[0]
            return owner in (OPEN, mark(visitor))
        if real.parent.parent == self.uploads and UPLOAD.fullmatch(real.parent.name):
            return self._uploaded_by(real, visitor)
        return False

    def _uploaded_by(self, real: Path, visitor: str | None) -> bool:
        """Whether this visitor uploaded a file.

        An upload carries no name of a session, but the page uses it at once: the first session
        to use it is the one that sent it. The same picture lies in the same place for all who
        send it, and each of them writes it anew.
        """
        written = os.stat(real).st_mtime_ns
        seen, visitors = self._known.get(real, (-1, set()))
        if visitor in visitors:
            return True
        if written == seen:
            return False
        if visitor is not None:
            self._remember(real, written, visitors | {visitor})
        return True

    def _remember(self, real: Path, written: int, visitors: set[str]) -> None:
        if len(self._known) >= MOST_KNOWN:  # those that were deleted need no memory
            self._known = {path: known for path, known in self._known.items() if path.exists()}
        self._known[real] = written, visitors


def _is_ours(error: BaseException) -> bool:
    """Whether an error came from the page's code or its results, and not from the request."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in OWN and module != __name__:
            return True
        if frame.f_code.co_name == "postprocess_data":
            return True
    return False


def visitor_of(call: dict[str, Any]) -> str | None:
    """Return the session of a call of gradio's `process_api`, None if it has none of its own.

    A request without a session gets the number of its event instead, and the calls of all
    assistants come through one session of gradio's own.
    """
    session, request = call.get("session_hash"), call.get("request")
    headers = getattr(request, "headers", None) or {}
    if session is None or session == call.get("event_id") or headers.get("x-gradio-user") == "mcp":
        return None
    return str(session)


async def refuse_unfit(request: Request, error: Exception) -> JSONResponse:
    """Answer a request whose body is not of the form that it must have.

    The usual answer repeats the body and cannot be written where that holds an infinite number or
    half of a surrogate pair.
    """
    del request, error
    return JSONResponse({"detail": UNFIT}, status_code=422)


class NothingFetched:
    """Refuses gradio's address that fetches what another machine serves (ASGI middleware)."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer 403 where a file's name is an address, else pass the request on."""
        path = unquote(scope.get("path", ""))
        if scope["type"] == "http" and re.search(r"/(file|proxy)[=/]\s*\w+:/", path):
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": NOT_FETCHED.encode()})
            return
        await self.app(scope, receive, send)
