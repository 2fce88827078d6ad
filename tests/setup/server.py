"""A server of files on the loopback interface, which can misbehave in every usual way."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Holds the files by path; `answers` are handlers of paths that do something else."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, Callable[[Handler], None]] = {}
        self.ranges = True  # whether parts of a file can be asked for
        self.requests: list[tuple[str, str]] = []  # path and range
        server = self

        class Bound(Handler):
            state = server

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class Handler(BaseHTTPRequestHandler):
    state: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.state.requests.append((self.path, self.headers.get("Range", "")))
        answer = self.state.answers.get(self.path)
        if answer is not None:
            answer(self)
        elif self.path in self.state.files:
            self.give(self.state.files[self.path])
        else:
            self.fail(404)

    def log_message(self, *arguments: object) -> None:
        pass

    def give(self, data: bytes, only: int | None = None, kind: str = "application/x") -> None:
        """Answer with a file, or with its first `only` bytes and a cut connection."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found and self.state.ranges else 0
        if start >= len(data) and start:
            return self.fail(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        self.wfile.write(data[start:] if only is None else data[start : start + only])
        if only is not None:
            self.close_connection = True

    def fail(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def redirect(self, place: str) -> None:
        self.fail(302, Location=place)


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()
