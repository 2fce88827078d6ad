"""Quick edits never wait for slow ones, and nobody is computed for who has left."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import gradio as gr
import httpx
import pytest
import torch

from demo import turns as module
from demo.doors import VISITOR
from demo.temporary import LOCK, PREFIX, sweep
from demo.turns import PatientEditor, Turns, VisitorLeftError
from tests.test_app import METHODS, FakeEditor, space  # noqa: F401 (a fixture)

STEPS = 40
ROOT = Path(__file__).parents[1]


class Edit(threading.Thread):
    """Makes steps of 25 ms in its turn; draws a number in each."""

    def __init__(self, turns, slow, steps, visitor=None):
        super().__init__(daemon=True)
        self.turns, self.slow, self.steps, self.visitor = turns, slow, steps, visitor
        self.drawn, self.error, self.took = [], None, 0.0

    def run(self):
        VISITOR.set(self.visitor)
        begun = time.monotonic()
        try:
            with self.turns.turn(self.slow), torch.random.fork_rng(devices=[]):
                torch.manual_seed(7)
                for _ in range(self.steps):
                    time.sleep(0.025)
                    self.turns.breathe()
                    self.drawn.append(torch.rand(1).item())
        except Exception as error:
            self.error = error
        self.took = time.monotonic() - begun


def started(*args, **named):
    edit = Edit(*args, **named)
    edit.start()
    return edit


def test_quick_edits_go_before_slow_ones_and_change_no_number_of_theirs():
    turns = Turns()
    slow = [started(turns, True, STEPS) for _ in range(2)]
    time.sleep(0.1)
    for _ in range(5):
        quick = started(turns, False, 1)
        quick.join()
        assert quick.took < 0.9  # a slice and a step, not the 2 s of both slow ones
    for edit in slow:
        edit.join()
    assert slow[0].drawn == slow[1].drawn and len(set(slow[0].drawn)) == STEPS


def test_slow_edits_get_on_however_many_quick_ones_come():
    turns = Turns()
    slow = started(turns, True, 15)
    ended = threading.Event()

    def come_and_go():
        while not ended.is_set():
            with turns.turn():
                time.sleep(0.01)

    crowd = [threading.Thread(target=come_and_go, daemon=True) for _ in range(4)]
    for visitor in crowd:
        visitor.start()
    slow.join(timeout=20)
    ended.set()
    assert len(slow.drawn) == 15


@pytest.mark.parametrize("computes", [True, False])
def test_work_stops_when_its_visitor_has_left(monkeypatch, computes):
    here = threading.Event()
    here.set()
    turns = Turns()
    before = None if computes else started(turns, True, STEPS)
    time.sleep(0.05)
    monkeypatch.setattr(module, "still_here", lambda: here.is_set)
    slow = started(turns, True, 400)
    time.sleep(0.4)
    here.clear()
    slow.join(timeout=2)
    assert isinstance(slow.error, VisitorLeftError)
    if before:
        before.join()
        assert before.error is None
    with turns.turn():  # and the turn is free
        pass


class Descending(FakeEditor):
    """Takes ten seconds for an edit, in steps."""

    def __init__(self, turns):
        super().__init__()
        self.turns, self.began, self.ended = turns, threading.Event(), threading.Event()

    def edit(self, photo, prompt, **settings):
        try:
            for _ in range(10 * STEPS):
                self.turns.breathe()
                self.began.set()
                time.sleep(0.025)
        finally:
            self.ended.set()
        return super().edit(photo, prompt, **settings)


@pytest.fixture(scope="module")
def editor():
    turns = Turns()
    return PatientEditor(Descending(turns), turns)


def test_an_edit_stops_when_its_visitors_connection_is_closed(space, editor):  # noqa: F811
    page = space.build()
    url = space.launch(page, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    http = httpx.Client(base_url=f"{url.rstrip('/')}/gradio_api", timeout=60)
    names = [
        p["parameter_name"]
        for p in http.get("/info").json()["named_endpoints"]["/edit"]["parameters"]
    ]
    given = {"photo": None, "person": 7, "face_index": -1, "prompt": "red hair", "strength": 1}
    given |= {"region": "", "method": METHODS[1], "seed": 0, "whole": True}
    event = http.post("/call/edit", json={"data": [given[n] for n in names]}).json()["event_id"]
    with http.stream("GET", f"/call/edit/{event}"):
        assert editor.began.wait(30)
    assert editor.ended.wait(3)
    page.close()


def test_a_visitor_has_a_few_edits_at_a_time():
    turns = Turns()
    edits = [started(turns, False, 10, visitor="a") for _ in range(module.MOST_EACH)]
    time.sleep(0.1)
    token = VISITOR.set("a")
    with pytest.raises(gr.Error, match="last edits"), turns.turn():
        pass
    VISITOR.reset(token)
    with turns.turn():
        pass
    for edit in edits:
        edit.join()
    VISITOR.set("a")
    with turns.turn():
        pass


CHILD = """
import sys, time
from demo.temporary import own_temporary_folder
folder = own_temporary_folder()
(folder / "upload.png").write_bytes(bytes(1000))
print(folder, flush=True)
time.sleep(60)
"""


def test_temporary_files_go_with_the_process_or_with_the_next_one(tmp_path):
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    for number, left in ((signal.SIGTERM, 0), (signal.SIGKILL, 1)):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD], env=environment, stdout=subprocess.PIPE, text=True
        )
        folder = child.stdout.readline().strip()
        assert os.path.exists(folder)
        assert sweep(tmp_path) == 0  # in use
        child.send_signal(number)
        assert child.wait() == (0 if number == signal.SIGTERM else -number)
        assert len(list(tmp_path.glob(f"{PREFIX}*"))) == left
    assert sweep(tmp_path) == 1 and LOCK


@pytest.mark.slow
def test_a_space_that_is_told_to_end_while_it_computes_leaves_nothing(base_folder, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    environment |= {"GRADIO_SERVER_PORT": str(port), "FACEEDIT_REPO": str(base_folder)}
    served = subprocess.Popen([sys.executable, "app.py"], env=environment, cwd=ROOT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/gradio_api", timeout=300) as http:
            while True:
                with contextlib.suppress(httpx.ConnectError):
                    http.get("/info").raise_for_status()
                    break
                time.sleep(0.5)
            data = [None, 7, -1, "red hair", "", ["tedigan"], 1, True, 0]
            event = http.post("/call/compare", json={"data": data}).json()["event_id"]
            with http.stream("GET", f"/call/compare/{event}") as answer:
                next(line for line in answer.iter_lines() if "TediGAN" in line)  # it computes
                assert list(tmp_path.glob(f"{PREFIX}*/**/*.png"))
                served.terminate()
                begun = time.monotonic()
                assert served.wait(60) == 0 and time.monotonic() - begun < 20
        assert not list(tmp_path.glob(f"{PREFIX}*"))
    finally:
        served.kill()
