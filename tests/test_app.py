"""The demo page, driven through its API with an editor of no networks; one slow test has them."""

import html
import json
import logging
import re
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError, ValidationError
from PIL import Image

import app
from demo import menu, subject
from demo.loading import GPU, Loader
from demo.people import Person
from demo.settings import KEPT, Settings
from demo.subject import Subject, Subjects
from demo.words import sentence
from faceedit.errors import NoFaceError, PromptError, RepoError, RequestError
from faceedit.photo.provenance import SourceType, read
from faceedit.types import Face, Latent, Space
from faceedit.world import FaceAttributes

METHODS = ["styleclip_global", "styleclip_optimization"]


def face_of(value: float) -> Face:
    return Face(torch.full((1, 3, 16, 16), value), Latent(torch.zeros(1, 4, 8), Space.W_PLUS))


class FakeEditor:
    """Answers like a FaceEditor, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, str, dict[str, Any]]] = []
        self.backbones = SimpleNamespace(attributes=None, generator=None)

    def available(self) -> list[str]:
        return METHODS

    def method(self, name: str) -> None:
        if name == "feat":
            raise RepoError("feat was made for another base")

    def edit(self, photo: Any, prompt: str, **settings: Any) -> SimpleNamespace:
        self.asked.append((photo, prompt, settings))
        if prompt == "crash":
            raise RuntimeError("secret /path")
        if prompt == "no face":
            raise NoFaceError("no face was found in <b>this</b> photo")
        if prompt == "one fails" and settings["method"] == METHODS[0]:
            raise PromptError("this method knows other sentences")
        edited = Latent(torch.arange(4.0)[None, :, None].expand(1, 4, 8), Space.W_PLUS)
        return SimpleNamespace(
            image=Image.new("RGB", (40, 30), "red"),
            face=Image.new("RGB", (16, 16), "red"),
            seconds=0.25,
            doubts=("'xyzzyq' means <b>nothing",) if prompt == "xyzzyq" else (),
            scores={"clip_gain": 0.1 * settings["strength"], "identity": 0.9},
            request=SimpleNamespace(method=settings["method"], prompt=prompt),
            source=Latent(torch.zeros(1, 4, 8), Space.W_PLUS),
            edited=edited,
            mask=torch.ones(1, 1, 16, 16) if settings.get("mask") else None,
        )


class ReadyLoader(Loader):
    def __init__(self, editor: FakeEditor) -> None:
        super().__init__("faceedit/portraits-128")
        self.editor = editor

    def get(self) -> Any:
        return self.editor


def someone(seed: int) -> Person:
    return Person(seed, FaceAttributes.default(), torch.ones(1, 3, 16, 16), torch.zeros(1, 16, 16))


@pytest.fixture(scope="module")
def editor() -> FakeEditor:
    return FakeEditor()


@pytest.fixture(scope="module")
def space(editor, tmp_path_factory) -> Iterator[app.App]:
    """The page's parts, with people and faces that cost nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        space = app.App(loader=ReadyLoader(editor))
        space.menu.set_available(METHODS)
        space.subjects.crowd = SimpleNamespace(next=lambda: someone(7))
        patch.setattr(subject, "person", someone)
        patch.setattr(
            space.subjects, "_person", lambda seed: Subject(face_of(0.5), person=someone(seed))
        )
        patch.setattr(
            space.subjects,
            "_photo",
            lambda path, index: Subject(face_of(-0.5), subject.shown(path), index),
        )
        yield space


@pytest.fixture(scope="module")
def client(space) -> Iterator[Client]:
    page = space.build()
    url = space.launch(page, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield Client(url, verbose=False, httpx_kwargs={"timeout": 120})
    page.close()


@pytest.fixture
def photo(tmp_path: Path) -> Any:
    Image.new("RGB", (40, 30), "green").save(tmp_path / "photo.png")
    return handle_file(tmp_path / "photo.png")


def ask(client: Client, photo: Any, prompt: str = "red hair", **settings: Any) -> Any:
    settings = {"methods": METHODS, **settings}
    return client.predict(photo=photo, prompt=prompt, api_name="/compare", **settings)


# ------------------------------------------------------------------------------ compare
def test_every_method_is_a_tile_with_its_time_and_measures(client, photo):
    gallery, table, best, *_, facts = ask(client, photo)
    assert [tile["name"] for tile in facts] == METHODS
    captions = [tile["caption"] for tile in gallery]
    assert captions[0] == "StyleCLIP global directions · 0.2 s"
    assert table.count("<tr>") == 3
    assert "closer" in best or "Best" in best


def test_a_method_that_is_asked_for_again_and_again_runs_once(client, editor, photo):
    del editor.asked[:]
    *_, facts = ask(client, photo, methods=METHODS[:1] * 500)
    assert len(facts) == len(editor.asked) == 1


def test_results_come_one_after_another(client, photo):
    job = client.submit(photo=photo, prompt="red hair", methods=METHODS, api_name="/compare")
    job.result()
    counts = [len(output[0]) for output in job.outputs()]
    assert counts == [0, 1, 2, 2]
    assert job.outputs()[0][2].startswith("StyleCLIP global directions: 1 of 2")


def test_pictures_are_exact_and_say_what_they_are(client, photo):
    gallery, *_ = ask(client, photo, whole=True)
    path = gallery[0]["image"]
    picture = Image.open(path)
    assert picture.size == (40, 30)
    assert picture.convert("RGB").tobytes() == Image.new("RGB", (40, 30), "red").tobytes()
    note = read(path)
    assert note.source_type is SourceType.EDITED
    assert note.method == METHODS[0]
    assert note.models == ("faceedit/portraits-128", "faceedit/styleclip-global")


def test_settings_reach_the_editor(client, editor, photo):
    ask(client, photo, strength=1.5, region="hair", seed=3, face_index=2)
    picture, prompt, settings = editor.asked[-1]
    assert (picture.size, prompt) == ((40, 30), "red hair")
    assert settings["strength"] == 1.5
    assert settings["mask"] == "hair"
    assert settings["seed"] == 3
    assert settings["face_index"] == 2


def test_a_mask_and_the_layers_are_shown(client, photo):
    *_, layers, acted, _, facts = ask(client, photo, region="mouth")
    assert Image.open(acted).size == (16, 16)
    assert facts[0]["layers"] == [
        0,
        pytest.approx(1 / 3, abs=1e-3),
        pytest.approx(2 / 3, abs=1e-3),
        1,
    ]
    assert "moves layer 3 most" in layers


def test_the_zip_holds_all_pictures_and_the_settings_under_names_of_ours(client, tmp_path):
    photo = tmp_path / "..\\..\\..%2fup.png"
    Image.new("RGB", (40, 30), "green").save(photo)
    *_, packed, _ = ask(client, handle_file(photo), "../../red hair", strength=2)
    with zipfile.ZipFile(packed) as opened:
        names = set(opened.namelist())
        settings = json.loads(opened.read("settings.json"))
    made = {f"{name}{end}.png" for name in METHODS for end in ("", "_photo", "_mask")}
    assert {"before.png", "redrawn.png", f"{METHODS[0]}.png", f"{METHODS[0]}_photo.png"} <= names
    assert names <= made | {"before.png", "redrawn.png", "settings.json"}
    assert settings["prompt"] == "../../red hair"
    assert settings["strength"] == 2
    assert settings["results"][1]["name"] == METHODS[1]


def test_a_sampled_face_gets_the_ground_truth(client, space, monkeypatch):
    from demo import compare

    truth = SimpleNamespace(
        image=torch.zeros(1, 3, 16, 16), changes={"hair_color": "red"}, statements=("x",)
    )
    monkeypatch.setattr(compare, "truth_of", lambda person, prompt: truth)
    monkeypatch.setattr(compare.measures, "scores", lambda *_: {"clip_gain": 0.3, "identity": 1.0})
    path, person = client.predict(api_name="/sample")
    assert read(path).source_type is SourceType.RENDERED
    gallery, table, *_, facts = ask(client, None, person=person)
    assert "truth" in [tile["name"] for tile in facts]
    assert "the renderer sets hair color to red" in table
    assert any("Ground truth" in tile["caption"] for tile in gallery)


def test_one_method_that_fails_leaves_the_others(client, photo):
    _, _, best, *_, facts = ask(client, photo, "one fails")
    assert [tile["name"] for tile in facts] == METHODS[1:]
    assert "StyleCLIP global directions: This method knows other sentences" in best


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


def test_numbers_of_nobody_are_told_in_words(space):
    for person, face_index in ((10**30, None), (1.5, None), (-1, 10**30)):
        with pytest.raises(RequestError, match=r"person|face_index"):
            Subjects(space.loader).subject("photo.png", person, face_index)


def test_the_page_says_that_nobody_has_this_number(client):
    for name in ("/edit", "/compare", "/strip"):
        with pytest.raises(AppError, match=r"(?i)person|number") as told:
            client.predict(person=10**30, prompt="red hair", api_name=name)
        assert "fault of the program" not in str(told.value)


def test_a_bug_shows_no_details(client, photo):
    with pytest.raises(AppError, match="fault of the program") as caught:
        ask(client, photo, "crash")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prompt": "  "}, "Say what should change"),
        ({"photo": None}, "Upload a photo"),
        ({"photo": None, "person": -1}, "Upload a photo"),
        ({"methods": []}, "Tick at least one"),
    ],
)
def test_what_is_missing_is_marked(client, photo, settings, words):
    with pytest.raises(ValidationError, match=words):
        ask(client, **{"photo": photo, **settings})


def test_what_is_not_understood_is_never_called_best(client, photo):
    _, _, best, *_, facts = ask(client, photo, "xyzzyq")
    assert html.unescape(best) == "**No result is called the best.** 'xyzzyq' means <b>nothing."
    assert "<b>" not in best
    assert facts[0]["doubts"] == ["'xyzzyq' means <b>nothing"]


def test_an_edit_that_changed_nothing_is_never_called_best(client, photo):
    _, _, best, *_ = ask(client, photo, strength=0.05)  # a gain of 0.005
    assert best == "No method did this. Try other words or more strength."


# ------------------------------------------------------------------------------ the other tabs
def test_one_edit_by_one_method(client, photo):
    path, facts = client.predict(
        photo=photo, prompt="red hair", method=METHODS[1], strength=2, whole=True, api_name="/edit"
    )
    assert Image.open(path).size == (40, 30)
    assert facts["method"] == METHODS[1]
    assert facts["clip_gain"] == pytest.approx(0.2)


def test_the_strip_has_five_strengths(client, editor):
    pictures = client.predict(person=3, prompt="red hair", api_name="/strip")
    assert len(pictures) == 5
    assert [asked[2]["strength"] for asked in editor.asked[-5:]] == [-1, 0, 0.5, 1, 2]


def test_edits_are_chained_and_a_new_face_starts_anew(client, editor):
    first = client.predict(person=3, prompt="red hair", api_name="/compose")
    second = client.predict(person=3, prompt="a smiling woman", api_name="/compose")
    assert (len(first[1]), len(second[1])) == (1, 2)
    assert second[1][1]["caption"].startswith("2: a smiling woman")
    assert not isinstance(editor.asked[-1][0], Face)
    third = client.predict(person=4, prompt="a smiling woman", api_name="/compose")
    assert len(third[1]) == 1
    assert isinstance(editor.asked[-1][0], Face)


def test_undo_takes_the_last_step_back(space):
    from demo.compose import Chain, Compose

    page = Compose(space.subjects, space.files, space.menu)
    *_, chain = page.add(None, 3, -1, "red hair", "", METHODS[0], 1.0, Chain())
    *_, chain = page.add(None, 3, -1, "old", "", METHODS[0], 1.0, chain)
    pair, tiles, *_, chain = page.undo(chain)
    assert len(chain.results) == len(tiles) == 1
    assert pair[1] == tiles[0][0]
    assert page.undo(page.undo(chain)[-1])[0] is None


def test_the_slider_needs_a_face_and_words_but_never_fails_for_want_of_them(space):
    from demo.stage import HINT, Stage

    page = Stage(space.subjects, space.files, space.menu)
    assert page.redraw(None, None, -1, "red hair", "", METHODS[0])[1] == HINT
    assert page.redraw(None, 3, -1, " ", "", METHODS[0])[1] == HINT
    (before, after), words, *_ = page.redraw(None, 3, -1, "red hair", "", METHODS[0], 0.5)
    assert Image.open(before).size == Image.open(after).size
    assert "0.2 s · strength 0.5" in words


def test_the_last_ten_edits_are_kept_and_the_slider_adds_none(space):
    from demo.stage import MOST_KEPT, Stage

    page, history = Stage(space.subjects, space.files, space.menu), None
    for strength in (0.5, 1.0, 1.5):
        *_, strip, history = page.redraw(
            None, 3, -1, "red hair", "", METHODS[0], strength, history=history
        )
    assert len(strip) == 1 and history.edits[-1].strength == 1.5
    for i in range(MOST_KEPT):
        *_, strip, history = page.redraw(None, 3, -1, f"edit {i}", "", METHODS[0], history=history)
    assert [words for _, words in strip] == [f"edit {i}" for i in reversed(range(MOST_KEPT))]
    pair, _, _, strength = page.recall(history, SimpleNamespace(index=0))
    assert pair[1] == strip[0][0] and strength == 1.0


def test_an_example_is_a_file_of_the_visitor(client, space):
    from demo import examples

    for example in examples.EXAMPLES[:2]:
        path = examples.picture_of(example, space.files)
        assert Path(path).is_relative_to(space.files.folder)
        assert read(path).source_type is SourceType.GENERATED
        gallery, *_ = ask(client, handle_file(path))
        assert len(gallery) == len(METHODS)
    assert all(Path(path).is_file() for path in examples.first_pair())


def test_the_best_comes_first_and_a_method_that_did_nothing_says_so():
    from demo.measures import Tile, in_order

    def tile(name: str, gain: float, identity: float = 0.9) -> Tile:
        return Tile(name, name, "", "", 1.0, gain, identity, 0.05)

    tiles = [tile("idle", 0.0), tile("other", 0.3, 0.5), tile("truth", 0.3), tile("good", 0.3)]
    ordered = in_order(tiles)
    assert [one.name for one in ordered] == ["good", "truth", "other", "idle"]
    assert ordered[-1].caption == "idle · 1.0 s · did not change what you asked"


def test_the_guide_explains_every_method_and_reads_the_benchmark(tmp_path):
    from demo.guide import guide
    from faceedit.notes import METHOD_NOTES

    page = guide(list(METHOD_NOTES))
    assert page.count("<section") == len(METHOD_NOTES)
    assert "arxiv.org/abs/2103.17249" in page
    path = tmp_path / "results.json"
    for written in (
        {"methods": {"feat": {"identity": 0.9, "note": "x"}}},
        {"methods": [{"method": "feat", "identity": {"mean": 0.9}}]},
        {"feat": {"identity": 0.9}},
    ):
        path.write_text(json.dumps(written))
        assert menu.benchmark_row("feat", path) == {"identity": 0.9}
    path.write_text("[broken")
    assert menu.benchmark_row("feat", path) == {}


# ------------------------------------------------------------------------------ the page itself
def test_the_api_is_described(client):
    described = client.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == {"/sample", "/compare", "/edit", "/strip", "/compose"}
    names = [p["parameter_name"] for p in described["/compare"]["parameters"]]
    assert names == [
        "photo", "person", "face_index", "prompt", "region", "methods", "strength", "whole", "seed",
    ]  # fmt: skip


def test_the_page_keeps_no_history_and_no_uploads(space):
    page = space.build()
    assert page.delete_cache == (KEPT, KEPT)
    assert re.search(r"run_history=False", Path(app.__file__).read_text())
    kinds = gr.Image | gr.ImageSlider | gr.Gallery
    images = [block for block in page.blocks.values() if isinstance(block, kinds)]
    assert len(images) > 6
    assert all(block.format == "png" for block in images if block.elem_id)
    assert page._queue.max_size == app.WAITING


def test_the_methods_offered_are_those_that_are_here(monkeypatch, tmp_path):
    monkeypatch.setattr(menu, "CARDS", tmp_path)
    (tmp_path / "feat").mkdir()
    (tmp_path / "feat" / "config.json").write_text("{}")
    offered = menu.MethodMenu("faceedit/portraits-128")
    assert offered.names == ["feat"]
    offered.set_available(["clip_pae", "feat"])
    fast, slow = offered.choices()
    assert (fast.name, fast.fast, slow.name, slow.fast) == ("feat", True, "clip_pae", False)
    assert slow.label.endswith("(about 8.0 s)")
    offered.record("clip_pae", 30)
    assert offered.choices()[1].label.endswith("(about 30 s)")


def test_a_method_that_does_not_fit_the_base_is_not_offered(caplog):
    editor = FakeEditor()
    editor.available = lambda: ["feat", *METHODS]
    space = app.App(loader=ReadyLoader(editor))
    list(space.arrive(None))
    assert space.menu.names == METHODS
    assert "feat is not offered: feat was made for another base" in caplog.text


def test_a_link_sets_the_widgets_and_nothing_wrong_gets_in(space):
    def arrive(**query: str) -> tuple[Any, ...]:
        return next(space.arrive(SimpleNamespace(query_params=query)))

    values = arrive(
        prompt="old", person="12", region="hair", methods=f"{METHODS[1]},evil", strength="99"
    )
    _, run, photo, person, prompt, region, methods, power, _ = values
    assert run is False  # before the networks are there
    assert Image.open(photo).size == (16, 16)
    assert (person, prompt, region, power) == (12, "old", "hair", 3)
    assert methods["value"] == [METHODS[1]]
    skip = gr.skip()
    values = arrive(person="-1", region="<b>", strength="x", methods="evil")
    _, _, photo, person, prompt, *rest = values
    assert (person, prompt) == (-1, "red hair") and Image.open(photo).size == (512, 512)
    assert rest == [skip] * 4


def test_a_link_with_a_sentence_runs_when_the_networks_are_there(space):
    shown = list(space.arrive(SimpleNamespace(query_params={"prompt": "old", "person": "12"})))
    assert [values[1] for values in shown] == [False, True]
    plain = list(space.arrive(SimpleNamespace(query_params={})))
    assert [values[1] for values in plain] == [False, False]


def test_notices_can_be_switched_off_but_not_silently(caplog):
    with caplog.at_level(logging.WARNING):
        plain = Settings.from_environment({})
        assert not caplog.text
        bare = Settings.from_environment(
            {"FACEEDIT_CONSENT_NOTICE": "off", "FACEEDIT_PROVENANCE": "0"}
        )
    assert "have agreed" in plain.notice and "metadata" in plain.notice
    assert bare.notice == ""
    assert "FACEEDIT_CONSENT_NOTICE" in caplog.text and "FACEEDIT_PROVENANCE" in caplog.text


def test_the_notice_on_consent_is_on_the_page(space):
    words = [b.value for b in space.build().blocks.values() if isinstance(b, gr.Markdown)]
    assert any("who have agreed" in str(value) for value in words)


def test_the_operator_says_how_long_files_are_kept_but_never_longer_than_promised():
    for said, kept in (("", 3600), ("90", 90), ("5", 60), ("99999", 3600), ("soon", 3600)):
        settings = Settings.from_environment({"FACEEDIT_KEPT": said})
        assert settings.kept == kept
    assert app.App(Settings(kept=90), loader=ReadyLoader(FakeEditor())).files.kept == 90


def test_old_results_are_deleted(space):
    path = Path(space.files.picture(Image.new("RGB", (8, 8)), "x", None))
    assert space.files.sweep() == 0 and path.is_file()
    assert space.files.sweep(time.time() + KEPT + 60) > 0
    assert not path.exists()


def test_several_faces_bring_the_picker(space, monkeypatch, tmp_path):
    from demo import inputs

    monkeypatch.setattr(inputs, "faces_of", lambda path: (1, 2))
    monkeypatch.setattr(inputs, "thumbnails", lambda path: [Image.new("RGB", (8, 8))] * 2)
    shown, pictures, radio = next(inputs.Inputs(space.subjects, space.files).look("a.png", None))
    assert shown["visible"] and len(pictures) == 2
    assert radio["choices"] == [("Face 1", 0), ("Face 2", 1)]
    hidden, *_ = next(inputs.Inputs(space.subjects, space.files).look(None, 3))
    assert not hidden["visible"]


def test_large_photos_are_scaled_down(tmp_path):
    Image.new("RGB", (3000, 1500)).save(tmp_path / "large.png")
    size = (subject.MAX_SHOWN, subject.MAX_SHOWN // 2)
    assert subject.shown(str(tmp_path / "large.png")).size == size


def test_messages_tell_nobody_where_files_lie():
    error = RepoError(
        "/srv/hub_cards/portraits-128/config.json does not fit; see https://hf.co/a/b"
    )
    assert html.unescape(sentence(error)) == "Config.json does not fit; see https://hf.co/a/b"


def test_messages_name_what_stands_on_the_page():
    said = sentence("say which with face_index, or leave `mask` out")
    assert said == (
        "Say which with the choice of a face below the photo, or leave 'Where may it change?' out"
    )


def test_gpu_is_no_change_without_zerogpu():
    assert GPU(len) is len
    assert GPU(duration=5)(len) is len


# ------------------------------------------------------------------------------ loading
def test_a_failed_load_is_explained_and_tried_again(monkeypatch):
    import faceedit

    answers: list[Any] = [RepoError("no repo 'x'"), FakeEditor()]

    def from_pretrained(*_: Any, **__: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(
        faceedit, "FaceEditor", SimpleNamespace(from_pretrained=from_pretrained), raising=False
    )
    space = app.App(Settings(repo="x"), Loader("x"))
    assert list(space.arrive(None))[-1][0].endswith("No repo 'x'")
    assert list(space.arrive(None))[-1][0] == "Ready."


def test_the_editor_is_loaded_once_for_all_who_ask(monkeypatch):
    import faceedit

    loads = []

    def from_pretrained(repo: str, **_: Any) -> object:
        loads.append(repo)
        time.sleep(0.05)
        return object()

    monkeypatch.setattr(
        faceedit, "FaceEditor", SimpleNamespace(from_pretrained=from_pretrained), raising=False
    )
    loader = Loader("x")
    with ThreadPoolExecutor(4) as pool:
        editors = list(pool.map(lambda _: loader.get(), range(4)))
    assert loads == ["x"]
    assert len(set(map(id, editors))) == 1


@pytest.mark.slow
def test_twenty_visitors_at_once_are_all_served():
    """With the shipped networks: none fails, and memory levels off."""
    resource = pytest.importorskip("resource")
    space = app.App()
    page = space.build()
    url = space.launch(page, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    space.loader.get()

    def visit(number: int) -> int:
        visitor = Client(url, verbose=False, httpx_kwargs={"timeout": 300})
        answer = visitor.predict(
            person=number % 5, prompt="a smiling woman", methods=METHODS[:1], api_name="/compare"
        )
        visitor.predict(person=number % 5, prompt="red hair", method=METHODS[0], api_name="/edit")
        return len(answer[-1])

    peaks = []
    for _ in range(3):
        with ThreadPoolExecutor(20) as pool:
            assert all(count >= 1 for count in pool.map(visit, range(20)))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    page.close()
    assert peaks[2] - peaks[1] < 50, f"MiB after each wave: {peaks}"


@pytest.mark.parametrize(
    ("here", "chosen"),
    [
        (["styleclip_global", "maniclip", "counterfactual"], "counterfactual"),
        (["maniclip", "styleclip_global"], "styleclip_global"),
        (["tedigan", "maniclip"], "maniclip"),
        (["tedigan"], None),
    ],
)
def test_tabs_begin_with_the_method_that_an_editor_prefers(here, chosen):
    known = menu.MethodMenu("faceedit/portraits-128")
    known.set_available(here)
    assert known.first() == chosen
