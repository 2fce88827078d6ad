"""The demo page, driven through its API with an editor of tiny networks or none."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError
from PIL import Image

import app
from faceedit.errors import NoFaceError, RepoError

CARDS = Path(app.__file__).parent / "hub_cards"
EDITED = Image.new("RGB", (40, 30), "red")


class FakeEditor:
    """Answers like a FaceEditor, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, str, dict[str, Any]]] = []

    def sample(self, seed: int) -> SimpleNamespace:
        return SimpleNamespace(seed=seed, to_pil=lambda: Image.new("RGB", (32, 32), "blue"))

    def edit(self, photo: Any, prompt: str, **settings: Any) -> SimpleNamespace:
        self.asked.append((photo, prompt, settings))
        if prompt == "crash":
            raise RuntimeError("secret /path")
        if prompt == "no face":
            raise NoFaceError("no face was found in <b>this</b> photo")
        face = Image.new("RGB", (16, 16), "red")
        return SimpleNamespace(
            image=EDITED, reconstruction=face, face=face, seconds=0.25, scores={"clip_gain": 0.1}
        )


class ReadyLoader(app.Loader):
    def __init__(self, editor: FakeEditor) -> None:
        super().__init__("none")
        self.editor = editor

    def get(self) -> Any:
        return self.editor


@pytest.fixture(scope="module")
def editor() -> FakeEditor:
    return FakeEditor()


@pytest.fixture(scope="module")
def client(editor: FakeEditor) -> Iterator[Client]:
    demo = app.build_demo(ReadyLoader(editor))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield Client(url, verbose=False)
    demo.close()


@pytest.fixture
def photo(tmp_path: Path) -> Any:
    Image.new("RGB", (40, 30), "green").save(tmp_path / "photo.png")
    return handle_file(tmp_path / "photo.png")


def ask(client: Client, photo: Any, prompt: str = "red hair", **settings: Any) -> Any:
    return client.predict(photo=photo, prompt=prompt, api_name="/edit", **settings)


def test_the_menu_offers_every_method_that_ships():
    from faceedit import METHODS

    shipped = {m for m in METHODS if (CARDS / m.replace("_", "-") / "config.json").is_file()}
    assert set(app.METHODS) == shipped


def test_edit_returns_before_and_after_without_loss(client, editor, photo):
    (before, after), faces, note = ask(client, photo, strength=1.5, face_index=2, whole=True)
    assert Image.open(after).convert("RGB").tobytes() == EDITED.tobytes()
    assert Image.open(before).convert("RGB").getpixel((3, 3)) == (0, 128, 0)
    assert len(faces) == 2
    assert "0.2 s" in note
    picture, prompt, settings = editor.asked[-1]
    assert (picture.size, prompt) == ((40, 30), "red hair")
    assert settings["strength"] == 1.5
    assert settings["face_index"] == 2
    assert settings["method"] == "styleclip_optimization"


def test_edit_without_pasting_back_shows_the_reconstruction_as_before(client, photo):
    (before, _), _, _ = ask(client, photo, whole=False)
    assert Image.open(before).size == (16, 16)


def test_edit_of_a_sampled_face_uses_its_code(editor, photo, tmp_path):
    page = app.Page(ReadyLoader(editor))
    image, seed = page.sample()
    image.save(tmp_path / "face.png")
    path = str(tmp_path / "face.png")
    page.edit(path, seed, "red hair", "styleclip_global", 1.0, True, -1, 0, lambda *a, **k: None)
    assert editor.asked[-1][0].seed == seed


def test_sample_gives_another_face_each_time(client):
    assert Image.open(client.predict(api_name="/sample")).size == (32, 32)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello, no picture", "not a picture but text"),
        (b"", "empty"),
        (b"\xff\xd8\xff", "picture"),
    ],
)
def test_a_bad_file_is_explained(client, tmp_path, content, words):
    (tmp_path / "photo.png").write_bytes(content)
    with pytest.raises(AppError, match=words):
        ask(client, handle_file(tmp_path / "photo.png"))


def test_an_editing_error_is_shown_in_its_own_words_and_cannot_inject(client, photo):
    with pytest.raises(AppError, match="No face was found in &lt;b&gt;this") as caught:
        ask(client, photo, "no face")
    assert "Traceback" not in str(caught.value)


def test_a_bug_shows_no_details(client, photo):
    with pytest.raises(AppError, match="fault of the program") as caught:
        ask(client, photo, "crash")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("prompt", ["", "   "])
def test_an_empty_prompt_is_marked(client, photo, prompt):
    with pytest.raises(ValidationError, match="Say what should change"):
        ask(client, photo, prompt)


def test_a_missing_photo_is_marked(client):
    with pytest.raises(ValidationError, match="Upload a photo"):
        ask(client, None)


def test_the_page_keeps_no_history_and_no_uploads():
    demo = app.build_demo(ReadyLoader(FakeEditor()))
    assert demo.delete_cache == (app.KEPT, app.KEPT)
    source = Path(app.__file__).read_text()
    assert re.search(r"run_history=False", source)
    images = [
        b for b in demo.blocks.values() if isinstance(b, gr.Image | gr.ImageSlider | gr.Gallery)
    ]
    assert len(images) == 3
    assert all(block.format == "png" for block in images)
    assert demo.max_threads and demo._queue.max_size == 20


def test_a_failed_load_is_explained_and_tried_again(monkeypatch):
    import faceedit

    answers: list[Any] = [RepoError("no repo 'x'"), "editor"]

    def from_pretrained(_: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(
        faceedit, "FaceEditor", SimpleNamespace(from_pretrained=from_pretrained), raising=False
    )
    loader = app.Loader("x")
    assert list(app.Page(loader).status())[-1].endswith("No repo 'x'")
    assert list(app.Page(loader).status())[-1] == "Ready."
    assert loader.get() == "editor"


def test_the_editor_is_loaded_once_for_all_who_ask(monkeypatch):
    import faceedit

    loads = []

    def from_pretrained(repo: str) -> object:
        loads.append(repo)
        time.sleep(0.05)
        return object()

    monkeypatch.setattr(
        faceedit, "FaceEditor", SimpleNamespace(from_pretrained=from_pretrained), raising=False
    )
    loader = app.Loader("x")
    with ThreadPoolExecutor(4) as pool:
        editors = list(pool.map(lambda _: loader.get(), range(4)))
    assert loads == ["x"]
    assert len(set(map(id, editors))) == 1


def test_large_photos_are_scaled_down(tmp_path):
    Image.new("RGB", (3000, 1500)).save(tmp_path / "large.png")
    assert app.shown(str(tmp_path / "large.png")).size == (app.MAX_SHOWN, app.MAX_SHOWN // 2)


def test_the_page_edits_with_real_networks(base_folder, tmp_path):
    page = app.Page(app.Loader(str(base_folder)))
    assert list(page.status())[-1] == "Ready."
    image, seed = page.sample()
    image.resize((64, 64)).save(tmp_path / "face.png")
    settings = ("red hair", "styleclip_optimization", 1.0, True, app.ANY_FACE, 0)
    for sampled in (seed, None):
        (before, after), faces, note = page.edit(
            str(tmp_path / "face.png"), sampled, *settings, progress=lambda *_, **__: None
        )
        assert before.size == after.size == ((32, 32) if sampled else (64, 64))
        assert len(faces) == 2
        assert " s" in note
