"""Requests to every endpoint of the running page, with values that no page sends.

An answer may be a result, or an error in words. It may not be "a fault of the program", and the log
may not tell of an unexpected error.
"""

from __future__ import annotations

import io
import json
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests.fuzz.mutators import damaged_tree, odd_json, sentence

FAULT = "fault of the program"
_told: list[str] = []


class _Listener(logging.Handler):
    """Remembers what the page logs as its own fault."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            _told.append(f"{record.getMessage()} {record.exc_text or record.exc_info}")


def requests(folder: Path) -> Callable[[random.Random], Callable[[], Any]]:
    """Serve the page with small networks and send odd requests."""
    import app
    from demo.loading import Loader
    from demo.settings import Settings
    from tests.conftest import make_backbones
    from tests.fuzz.targets import _base
    from tests.test_editor import save_methods

    logging.getLogger().addHandler(_Listener())
    save_methods(folder, _base(folder), make_backbones())  # that descends for two steps
    served = app.App(Settings(repo=str(_base(folder))), Loader(str(_base(folder))))
    page = served.build()
    url = served.launch(page, prevent_thread_lock=True, quiet=True)
    http = httpx.Client(base_url=f"{url.rstrip('/')}/gradio_api", timeout=60)
    endpoints = http.get("/info").json()["named_endpoints"]
    stored = io.BytesIO()
    Image.new("RGB", (60, 50), "red").save(stored, "PNG")
    upload = http.post("/upload", files={"files": ("a.png", stored.getvalue())}).json()[0]

    def attempt(draws: random.Random) -> Callable[[], Any]:
        name = draws.choice(list(endpoints))
        data = [_value(p, upload, draws) for p in endpoints[name]["parameters"]]
        for _ in range(draws.choice((0, 1, 1, 2))):
            if data:
                place = draws.randrange(len(data))
                data[place] = draws.choice((odd_json(draws), sentence(draws)))
        body = {"data": damaged_tree(data, draws) if draws.random() < 0.3 else data}
        text = json.dumps(body)
        (folder / "input.json").write_text(f"{name} {text[:100_000]}")
        return lambda: _send(http, name, text)

    return attempt


def _value(parameter: dict[str, Any], upload: str, draws: random.Random) -> Any:
    """Return what a page would send."""
    name = parameter["parameter_name"]
    known = {"prompt": "red hair", "person": draws.choice((-1, 7)), "face_index": -1, "region": ""}
    known |= {"method": "styleclip_optimization", "methods": ["tedigan"], "strength": 0}
    if name == "photo":
        return {"path": upload, "meta": {"_type": "gradio.FileData"}}
    return known.get(name, parameter.get("parameter_default"))


def _send(http: httpx.Client, name: str, text: str) -> None:
    del _told[:]
    headers = {"Content-Type": "application/json"}
    joined = http.post(f"/call{name}", content=text.encode("utf-8", "replace"), headers=headers)
    answer = joined.text
    if joined.is_success and "event_id" in joined.json():
        with http.stream("GET", f"/call{name}/{joined.json()['event_id']}") as got:
            answer = "".join(got.iter_text())
    if FAULT in answer or _told:
        raise AssertionError(f"{name}: {answer[-300:]} {_told[:1]}")
    if joined.status_code >= 500 and joined.status_code != 503:
        raise AssertionError(f"{name}: status {joined.status_code}: {answer[:300]}")
