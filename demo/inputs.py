"""What all tabs share: whose face, what should change, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo import examples
from demo.files import ResultFiles
from demo.style import GO, OLD
from demo.subject import ANY_FACE, NOBODY, Subjects, faces_of, is_person, thumbnails
from demo.words import plain_words

PHOTOGRAPHIC = [  # for bases of photographs: what their methods were published with
    "a smiling face",
    "blonde hair",
    "an old face",
    "curly hair",
    "a beard",
    "a surprised face",
    "grey hair",
    "blue eyes",
    "a tanned face",
    "red lipstick",
    "a young face",
    "an angry face",
]
PROMPTS = [
    "red hair",
    "sunglasses",
    "a laughing face",
    "an old face",
    "a beanie",
    "blonde hair",
    "a full beard",
    "round glasses",
    "blue eyes",
    "red lipstick",
    "closed eyes",
    "a sun hat",
]
REGIONS = [
    ("everywhere", ""),
    ("hair", "hair"),
    ("mouth", "mouth"),
    ("eyes", "eyes"),
    ("skin", "skin"),
    ("background", "background"),
]
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
LIGHT: dict[str, Any] = {"queue": False, "show_progress": "hidden", **PRIVATE}
# Fast edits have a queue of their own, so that no comparison holds them up.
FAST: dict[str, Any] = {"concurrency_limit": 30, "concurrency_id": "fast"}  # see `turns`


def path_of(upload: Any) -> str | None:
    """Return the uploaded file's path as it is.

    gradio's own step opens the file first, and a damaged one ends there, without words for the
    user. That the visitor may name this file was found before (`demo.doors`).
    """
    return upload.path if upload is not None else None


class Inputs:
    """The widgets that all tabs share, and what happens when they are used."""

    def __init__(self, subjects: Subjects, files: ResultFiles) -> None:
        self.subjects = subjects
        self.files = files
        self.prompts = PROMPTS if subjects.world else PHOTOGRAPHIC

    def build(self) -> None:
        """Make the sentence, the chips and the people; call it inside a column."""
        self.prompt = gr.Textbox(
            label="What should change?",
            placeholder=self.prompts[0],
            max_lines=2,
            max_length=500,
            submit_btn=True,
            elem_id="prompt",
        )
        with gr.Row(elem_id="chips"):
            self.chips = [
                gr.Button(words, size="sm", min_width=60, elem_classes="fe-chip")
                for words in self.prompts
            ]
        gr.Markdown("**Whose face?** Click a person, or bring your own photo.", elem_id="whose")
        with gr.Row(elem_id="people"):
            self.examples = gr.Gallery(
                examples.thumbnails(self.subjects.world),
                label="People to click",
                show_label=False,
                format="png",
                columns=len(examples.offered(self.subjects.world)),
                rows=1,
                height="auto",
                buttons=[],
                allow_preview=False,
                interactive=False,
                elem_id="examples",
                scale=4,
            )
            self.photo = gr.Image(
                label="Your photo",
                show_label=False,
                buttons=[],
                type="filepath",
                format="png",
                sources=["upload", "webcam", "clipboard"],
                height=112,
                min_width=120,
                elem_id="photo",
                scale=1,
            )
            self.photo.preprocess = path_of  # type: ignore[method-assign]
        with gr.Group(visible=False) as self.picker_box:
            self.picker = gr.Gallery(
                label="Several faces: click the one to edit",
                format="png",
                columns=4,
                height=130,
                allow_preview=False,
                interactive=False,
                elem_id="picker",
            )
            self.picked = gr.Radio([], label="Which face, the largest first", elem_id="picked")
        # Not for eyes, but parameters of every endpoint:
        self.person = gr.Number(NOBODY, label="person", precision=0, visible="hidden")
        self.face_index = gr.Number(ANY_FACE, label="face_index", precision=0, visible="hidden")
        self.region = gr.Dropdown(
            REGIONS, value="", label="Where may it change?", elem_id="region", render=False
        )
        self.seed = gr.Number(0, label="Seed", precision=0, minimum=0, render=False)
        self.whole = gr.Checkbox(
            True,
            label="Show the photograph (off: how the generator sees it)",
            elem_id="whole",
            render=False,
        )

    def build_more(self) -> None:
        """Show what few visitors need: region, seed, the view, and people drawn anew."""
        with gr.Row():
            self.region.render()
            self.seed.render()
        self.whole.render()
        world = self.subjects.world
        words = "Draw a new person of the portrait world" if world else "Draw a face of nobody"
        self.sample_button = gr.Button(words, size="sm", elem_id="sample")

    @property
    def values(self) -> list[Any]:
        """What every endpoint gets first: photo, person, face_index, prompt, region."""
        return [self.photo, self.person, self.face_index, self.prompt, self.region]

    def connect(self, run: Any, asked: list[Any], outputs: list[Any]) -> None:
        """Say what happens when the widgets are used.

        Args:
            run: The edit of the stage, which follows a new face at once.
            asked: Its inputs.
            outputs: Its outputs.
        """
        sampled = self.sample_button.click(
            self.sample,
            None,
            [self.photo, self.person],
            api_name="sample",
            concurrency_limit=2,
            concurrency_id="render",
        )
        for words, chip in zip(self.prompts, self.chips, strict=True):
            chip.click(None, None, self.prompt, js=f"() => {words!r}", **LIGHT).then(
                None, None, None, js=GO, **LIGHT
            )
        self.prompt.submit(None, None, None, js=GO, **LIGHT)
        own = [self.photo.upload, self.photo.clear, self.photo.input]
        brought = gr.on(
            own, lambda: (NOBODY, ANY_FACE), None, [self.person, self.face_index], **LIGHT
        )
        person = [self.photo, self.person, self.face_index]
        taken = self.examples.select(self.take, None, person, **LIGHT)
        self.photo.change(
            self.look,
            [self.photo, self.person],
            [self.picker_box, self.picker, self.picked],
            show_progress="hidden",
            concurrency_limit=2,
            concurrency_id="look",
            **PRIVATE,
        )
        one = self.picked.input(_index, self.picked, self.face_index, **LIGHT)
        other = self.picker.select(_selected, None, [self.picked, self.face_index], **LIGHT)
        for event in (sampled, brought, taken, one, other):
            event.then(run, asked, outputs, show_progress="minimal", **FAST, **PRIVATE)
        changed = [self.prompt.input, self.photo.change, self.region.change]
        gr.on(changed, None, None, None, js=OLD, **LIGHT)

    def take(self, event: gr.SelectData) -> tuple[str, int, int]:
        """Bring an example: its picture, its number if it was rendered, and no face index."""
        example = examples.offered(self.subjects.world)[int(event.index)]
        with plain_words():
            picture = examples.picture_of(example, self.files)
        return picture, example.seed if not example.photo else NOBODY, ANY_FACE

    def sample(self) -> tuple[str, int]:
        """Draw a face that nobody has; of rendered people the exact edit is known, too.

        Returns:
            The portrait and its number, to be given back as `person`.
        """
        from faceedit.photo.provenance import Provenance, SourceType

        with plain_words():
            seed = self.subjects.somebody()
            portrait = self.subjects.picture(seed)
            note = Provenance(SourceType.RENDERED)
            if not self.subjects.world:
                note = Provenance(SourceType.GENERATED, models=(self.subjects.base,))
            return self.files.picture(portrait, f"person-{seed}", note), seed

    def look(self, photo: str | None, person: int | None) -> Iterator[tuple[Any, Any, Any]]:
        """Show the picker if a photo has several faces."""
        hidden = (gr.update(visible=False), None, gr.update(choices=[], value=None))
        if photo is None or is_person(person):
            yield hidden
            return
        try:
            count = len(faces_of(photo))
            small = thumbnails(photo) if count > 1 else []
        except Exception:  # the edit itself will say what is wrong with the photo
            yield hidden
            return
        if count < 2:
            yield hidden
            return
        names = [f"Face {i + 1}" for i in range(count)]
        choices = [(name, i) for i, name in enumerate(names)]
        yield (
            gr.update(visible=True),
            list(zip(small, names, strict=True)),
            gr.update(choices=choices, value=None),
        )


def _index(picked: int | None) -> int:
    return ANY_FACE if picked is None else int(picked)


def _selected(event: gr.SelectData) -> tuple[int, int]:
    return int(event.index), int(event.index)
