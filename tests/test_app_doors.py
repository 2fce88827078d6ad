"""What a request may open: raw requests to every endpoint of the running page, as anybody sends."""

import base64
import io
import json
import os
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import gradio as gr
import httpx
import pytest
from PIL import Image

from demo.doors import NOT_FETCHED, REFUSED, Doors
from tests.test_app import METHODS, editor, space  # noqa: F401 (fixtures)

SECRET = "planted-secret-0123456789"
_opened: list[str] = []
sys.addaudithook(lambda event, given: _opened.append(str(given[0])) if event == "open" else None)


def png(color: str = "green") -> bytes:
    stored = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(stored, "PNG")
    return stored.getvalue()


class Visitor:
    """Sends requests by hand, in a session of its own or in none."""

    def __init__(self, url: str, page: gr.Blocks, session: str | None) -> None:
        self.page, self.session = page, session
        self.http = httpx.Client(base_url=f"{url.rstrip('/')}/gradio_api", timeout=60)

    def upload(self, content: bytes | None = None, name: str = "photo.png") -> str:
        files = {"files": (name, content or png())}
        return str(self.http.post("/upload", files=files).json()[0])

    def ask(self, function: Any, data: list[Any]) -> str:
        """Call a function of the page by its number, as the page does, public or not."""
        body = {"data": data, "fn_index": function._id, "session_hash": self.session}
        if not function.queue:
            return self.http.post("/run/predict", json=body).text
        joined = self.http.post("/queue/join", json=body)
        if joined.is_error:  # a validator found the request wanting
            return joined.text
        with self.http.stream("GET", "/queue/data", params={"session_hash": self.session}) as got:
            return self._until(got, "process_completed")

    def call(self, name: str, photo: Any) -> str:
        """Call an endpoint by its name, as a script does."""
        (function,) = (f for f in self.page.fns.values() if f.api_name == name)
        body = {"data": values(function, photo), "session_hash": self.session}
        joined = self.http.post(f"/call/{name}", json=body)
        if joined.is_error:
            return f"event: error {joined.text}"
        event = joined.json()["event_id"]
        with self.http.stream("GET", f"/call/{name}/{event}") as got:
            return "".join(got.iter_text())

    def _until(self, got: httpx.Response, end: str) -> str:
        lines = []
        for line in got.iter_lines():
            lines.append(line)
            if f'"{end}"' in line or "unexpected_error" in line:
                break
        return "\n".join(lines)


def values(function: Any, photo: Any) -> list[Any]:
    """Return what a function is called with: the photo where it takes one, else in front."""
    known = {"prompt": "red hair", "person": -1, "face_index": -1}
    data: list[Any] = []
    for block in function.inputs:
        name = getattr(block, "label", None) or ""
        if isinstance(block, gr.Image):
            data.append(photo)
        elif block.elem_id == "prompt":
            data.append("red hair")
        elif isinstance(block, gr.CheckboxGroup):
            data.append(METHODS[:1])
        elif isinstance(block, gr.State):
            data.append(None)
        else:
            data.append(known.get(name, getattr(block, "value", None)))
    if not any(isinstance(block, gr.Image) for block in function.inputs):
        data = [photo, *data[1:]]
    return data


def takes_photo(function: Any) -> bool:
    return any(isinstance(block, gr.Image) for block in function.inputs)


def succeeded(answer: str) -> bool:
    return '"success":true' in answer.replace(" ", "") or answer.startswith('{"data"')


@pytest.fixture(scope="module")
def served(space) -> Iterator[tuple[str, gr.Blocks]]:  # noqa: F811
    page = space.build()
    yield space.launch(page, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1"), page
    page.close()


@pytest.fixture
def visitor(served) -> Visitor:
    return Visitor(*served, session="one")


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    (tmp_path / "planted.txt").write_text(SECRET)
    (tmp_path / "planted.png").write_bytes(png("purple"))
    return tmp_path


def functions(page: gr.Blocks) -> list[Any]:
    """Return everything that a request can run; those without code run in the browser."""
    return [function for function in page.fns.values() if function.fn is not None]


def test_no_endpoint_opens_a_file_that_was_not_uploaded(visitor, planted):
    tried = 0
    for function in functions(visitor.page):
        answers = set()
        for name in ("planted.txt", "planted.png", "nothing.png"):
            path = str(planted / name)
            _opened.clear()
            for photo in ({"path": path}, {"path": path, "meta": {"_type": "gradio.FileData"}}):
                answer = visitor.ask(function, values(function, photo))
                assert not [one for one in _opened if one.startswith(str(planted))], function
                assert SECRET[:14] not in answer and str(planted) not in answer
                answers.add(answer.split('"event_id"')[0])
            tried += 1
        if takes_photo(function):
            assert len(answers) == 1, answers  # present and absent sound the same
            assert not succeeded(answers.pop())
    assert tried > 3 * 10


def test_every_endpoint_that_takes_a_photo_takes_an_upload(visitor):
    path = visitor.upload()
    taking = [function for function in functions(visitor.page) if takes_photo(function)]
    assert len(taking) >= 6
    for function in taking:
        answer = visitor.ask(function, values(function, {"path": path}))
        assert succeeded(answer), (function, answer)


@pytest.mark.parametrize("name", ["edit", "compare", "strip", "compose"])
def test_a_script_without_a_session_may_use_what_it_uploads(served, planted, name):
    script = Visitor(*served, session=None)
    uploaded = script.call(name, {"path": script.upload(png("yellow"))})
    assert "event: complete" in uploaded, uploaded
    refused = script.call(name, {"path": str(planted / "planted.png")})
    assert "event: error" in refused and REFUSED in refused


def test_links_dots_and_other_folders_lead_nowhere(visitor, planted, space):  # noqa: F811
    uploaded = Path(visitor.upload())
    link = uploaded.with_name("link.png")
    link.symlink_to(planted / "planted.png")
    up = os.path.relpath(planted / "planted.png", uploaded.parent)
    (space.files.folder.parent / "loose.png").write_bytes(png())
    bad = [
        str(link),
        f"{uploaded.parent}/{up}",
        f"{uploaded}/../../loose.png",
        str(space.files.folder.parent / "loose.png"),
        str(uploaded.parent),
        f"~/{uploaded.name}",
        f"{uploaded}\0.png",
        "/" + "x" * 5000,
        f"/gradio_api/file={planted / 'planted.png'}",
        ["/etc/passwd"],
        {"path": str(uploaded)},
        7,
    ]
    for path in bad:
        answer = visitor.call("edit", {"path": path})
        assert "event: error" in answer and REFUSED in answer, (path, answer)
    assert "event: complete" in visitor.call("edit", {"path": f"{uploaded.parent}/./photo.png"})


def test_what_one_visitor_uploads_or_makes_is_closed_to_the_next(served):
    one, two = (Visitor(*served, session=name) for name in ("anna", "berta"))
    path = one.upload(png("orange"))
    assert "event: complete" in one.call("edit", {"path": path})
    for other in (two, Visitor(*served, session=None)):
        assert REFUSED in other.call("edit", {"path": path})
    assert two.upload(png("orange")) == path  # the same picture lies in the same place
    assert "event: complete" in two.call("edit", {"path": path})
    made = json.loads(one.call("edit", {"path": path}).split("data: ")[-1])[0]["path"]
    assert "event: complete" in one.call("edit", {"path": made})
    assert REFUSED in two.call("edit", {"path": made})


class Bait(BaseHTTPRequestHandler):
    """Serves a picture and notes that somebody came."""

    fetched: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.fetched.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(png())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def bait() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Bait)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/bait.png"
    server.shutdown()


def test_addresses_are_not_fetched(visitor, bait):
    meta = {"_type": "gradio.FileData"}
    for photo in ({"path": bait, "meta": meta}, {"url": bait}, {"path": f"file:{bait}"}):
        answer = visitor.call("edit", photo)
        assert NOT_FETCHED in answer, answer
    for route in (f"/file={bait}", f"/file/{bait}", "/file=https%3A//example.org/x.png"):
        assert visitor.http.get(route).status_code in (403, 404)
    assert visitor.http.get(f"/file={bait}").text == NOT_FETCHED
    assert Bait.fetched == []


def test_a_value_that_does_not_fit_is_refused_without_names_of_folders(visitor, caplog):
    for photo in (b"x".hex(), 7, [1], {"path": visitor.upload(), "size": "x"}):
        for name in ("edit", "compare"):
            answer = visitor.call(name, photo)
            assert "preprocess" not in answer and str(Path.cwd()) not in answer
            assert "site-packages" not in answer and "/gradio/" not in answer.split("error")[-1]
    assert not [told for told in caplog.records if told.levelname == "ERROR"]  # not our fault


def test_the_first_session_that_uses_an_upload_keeps_it(tmp_path):
    uploads, results = tmp_path / "uploads", tmp_path / "uploads" / "faceedit-results-x"
    results.mkdir(parents=True)
    photo = uploads / ("0" * 64) / "photo.png"
    photo.parent.mkdir()
    photo.write_bytes(png())
    doors = Doors(results, uploads)
    assert doors.open(str(photo), None) == doors.open(str(photo), "one") == photo
    for other in ("two", None):
        with pytest.raises(gr.Error, match="not uploaded here by you"):
            doors.open(str(photo), other)
    os.utime(photo, ns=(0, photo.stat().st_mtime_ns + 1))  # somebody sends the same picture
    assert doors.open(str(photo), "two") == doors.open(str(photo), "one") == photo


def test_assistants_get_nothing_else_either(space, planted, bait):  # noqa: F811
    pytest.importorskip("mcp")
    page = space.build()
    url = space.launch(
        page, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", mcp_server=True
    )
    accepted = {"Accept": "application/json, text/event-stream"}
    http = httpx.Client(base_url=url, timeout=60, headers=accepted, follow_redirects=True)

    def tool(method: str, **params: Any) -> str:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return http.post("/gradio_api/mcp/", json=body).text

    tools = json.loads(tool("tools/list").split("data: ")[-1])["result"]["tools"]
    public = [f for f in functions(page) if f.api_visibility == "public"]
    assert len(tools) == len(public), [one["name"] for one in tools]
    assert sum("photo" in one["inputSchema"]["properties"] for one in tools) >= 4
    picture = f"data:image/png;base64,{base64.b64encode(png('gray')).decode()}"
    worked = []
    for one in tools:
        if "photo" not in one["inputSchema"]["properties"]:
            continue
        given = {"prompt": "red hair", "person": -1, "face_index": -1, "region": ""}
        kinds = one["inputSchema"]["properties"]
        given |= {"methods": METHODS[:1]} if "methods" in kinds else {"method": METHODS[0]}
        for photo in (
            bait,
            f"{url}gradio_api/file={planted}/planted.png",
            f"{planted}/planted.txt",
        ):
            _opened.clear()
            answer = tool("tools/call", name=one["name"], arguments={**given, "photo": photo})
            assert '"isError":true' in answer and SECRET[:14] not in answer
            assert not [path for path in _opened if path.startswith(str(planted))]
        answer = tool("tools/call", name=one["name"], arguments={**given, "photo": picture})
        assert REFUSED not in answer and NOT_FETCHED not in answer, answer
        worked.append('"isError":false' in answer)
    assert any(worked)  # gradio cannot hand over the answers that come with a state
    assert Bait.fetched == []
    page.close()


@pytest.mark.parametrize(
    "body", ['{"data": Infinity}', '{"data": NaN}', '{"data": "\\ud800"}', "7"]
)
def test_a_request_of_the_wrong_form_is_told_so_whatever_it_holds(visitor, body):
    for way in ("/call/edit", "/run/predict", "/queue/join", "/api/compare", "/cancel"):
        answer = visitor.http.post(way, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (404, 422) and len(answer.text) < 500, (way, answer.text)
