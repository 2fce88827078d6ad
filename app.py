"""The Space: drop in a photo, write what should change, see before and after.

Widgets in, `FaceEditor.edit`, widgets out; no model code. `python app.py` serves it on
http://127.0.0.1:7860; the networks load in the background while the page opens.
"""

from __future__ import annotations

import contextlib
import html
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr
from PIL import Image

from faceedit.errors import FaceEditError
from faceedit.photo import load_photo

if TYPE_CHECKING:
    from faceedit import FaceEditor

logger = logging.getLogger(__name__)

REPO = os.environ.get("FACEEDIT_REPO", "faceedit/portraits-128")
METHODS = {  # name -> what the menu says; a dictionary, because faceedit's own would load PyTorch
    "styleclip_optimization": "StyleCLIP, optimisation: some seconds",
    "styleclip_global": "StyleCLIP, global direction: at once",
}
PROMPTS = [
    "red hair",
    "a smiling woman",
    "a man with a full beard",
    "a person with glasses",
    "an old person",
    "green eyes",
]
ANY_FACE = -1
RANKS = dict(enumerate(["first", "second", "third", "fourth", "fifth", "sixth"]))
MAX_SHOWN = 1600  # px; larger photos are scaled down, so that results load fast
KEPT = 3600  # seconds after which uploads and results are deleted
QUIET: dict[str, Any] = {"print_exception": False}  # of gr.Error: it is the user's, not ours
CSS = """
.gradio-container { max-width: 1200px !important; margin: 0 auto !important }
#edit { min-height: 3rem }
"""
INTRO = """# faceedit
Drop in a photo with one face, or sample a face that nobody has, and say what should change.
The generator knows animated-film portraits only, so a photo comes back as the character that
resembles it most."""
CONSENT = """Use pictures of yourself or of people who have agreed, and do not pass an edited
picture off as a real one. Pictures stay on the machine that runs this page and are deleted from
it within two hours; nothing is collected."""


class Loader:
    """The editor, loaded once, in the background; a failed load is tried again when asked for."""

    def __init__(self, repo: str) -> None:
        self.repo = repo
        self._lock = threading.Lock()
        self._editor: Future[FaceEditor] | None = None

    def start(self) -> Future[FaceEditor]:
        """Begin to load, unless that is under way or done."""
        with self._lock:
            failed = self._editor and self._editor.done() and self._editor.exception()
            if self._editor is None or failed:
                self._editor = Future()
                threading.Thread(target=self._load, args=(self._editor,), daemon=True).start()
            return self._editor

    def get(self) -> FaceEditor:
        """Return the editor; waits while it loads."""
        return self.start().result()

    def _load(self, editor: Future[FaceEditor]) -> None:
        try:
            from faceedit import FaceEditor  # loads PyTorch

            editor.set_result(FaceEditor.from_pretrained(self.repo))
        except BaseException as error:  # handed to whoever asks for the editor
            editor.set_exception(error)


def path_of(upload: Any) -> str | None:
    """Return the uploaded file's path as it is.

    gradio's own step opens the file first, and a damaged one ends there, without words for the
    user.
    """
    return upload.path if upload is not None else None


@contextlib.contextmanager
def plain_words() -> Iterator[None]:
    """Show an error as a message in the page; a bug is logged and only named there."""
    try:
        yield
    except gr.Error:
        raise
    except FaceEditError as error:
        raise gr.Error(_sentence(error), title="That did not work", **QUIET) from None
    except Exception as error:
        logger.exception("an unexpected error")
        raise gr.Error(
            "This is a fault of the program, not yours. The log has the details.",
            title="Something broke",
            **QUIET,
        ) from error


def _sentence(error: BaseException) -> str:
    """Return an error's message with a capital letter and nothing that a page could execute."""
    words = str(error) or type(error).__name__
    return html.escape(words[0].upper() + words[1:], quote=False)


def check(photo: Any, _seed: Any, prompt: str, *rest: Any) -> tuple[Any, ...]:
    """Mark the fields that are still empty; runs before a place in the queue is taken."""
    return (
        gr.validate(photo is not None, "Upload a photo or sample a face"),
        gr.validate(True, ""),
        gr.validate(bool(prompt and prompt.strip()), "Say what should change, like 'red hair'"),
        *(gr.validate(True, "") for _ in rest),
    )


class Page:
    """What the page does when something is clicked."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def status(self) -> Iterator[str]:
        """Say whether the networks are there."""
        yield "Loading the networks ..."
        try:
            self.loader.get()
        except FaceEditError as error:
            yield f"**The networks cannot be loaded.** {_sentence(error)}"
        except Exception:
            logger.exception("the networks cannot be loaded")
            yield "**The networks cannot be loaded.** The log has the details."
        else:
            yield "Ready."

    def sample(self) -> tuple[Image.Image, int]:
        """Return a face that nobody has, and the seed that makes it."""
        with plain_words():
            seed = secrets.randbelow(2**31)
            return self.loader.get().sample(seed).to_pil(), seed

    def edit(
        self,
        photo: str | None,
        sampled: int | None,
        prompt: str,
        method: str,
        strength: float,
        whole: bool,
        face_index: int,
        seed: float,
        progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008 - gradio's way
    ) -> tuple[tuple[Image.Image, Image.Image], list[tuple[Image.Image, str]], str]:
        """Change the face of a photo as a sentence says.

        Args:
            photo: The photo, with one face.
            sampled: The seed of the face that is shown, if it was sampled.
            prompt: What is wanted, like "red hair".
            method: The method's name.
            strength: 0 changes nothing, 1 is the usual edit, below 0 is the opposite.
            whole: Whether to put the face back into the photo.
            face_index: Which face of several, 0 for the largest; -1 for the one that stands out.
            seed: For methods that draw random numbers.
            progress: Filled in by gradio.
        """
        with plain_words():
            if photo is None:
                raise gr.Error("Upload a photo or sample a face first.", **QUIET)
            picture = shown(photo)
            progress(0.1, desc="Loading the networks (only the first time)")
            editor = self.loader.get()
            progress(0.4, desc="Editing")
            result = editor.edit(
                picture if sampled is None else editor.sample(sampled),
                prompt,
                method=method,
                strength=strength,
                seed=int(seed or 0),
                face_index=None if face_index == ANY_FACE else face_index,
                paste_back=bool(whole),
            )
            if strength * result.scores.get("clip_gain", 0.0) < 0:
                gr.Warning("This may not be what you asked for: try more strength or other words.")
            before = picture if whole and sampled is None else result.reconstruction
            faces = [(result.reconstruction, "as the generator draws it")]
            faces += [(result.face, "edited")] if result.face is not None else []
            return (before, result.image), faces, summary(result)


def build_demo(loader: Loader) -> gr.Blocks:
    """Return the page, ready to launch."""
    page = Page(loader)
    with gr.Blocks(title="faceedit", delete_cache=(KEPT, KEPT)) as demo:
        gr.Markdown(INTRO)
        sampled = gr.State(None, time_to_live=KEPT)  # the seed of the face shown, if sampled
        with gr.Row():
            with gr.Column(min_width=300):
                photo, sample_button = photo_widgets()
                prompt = gr.Textbox(
                    label="What should change?", placeholder=PROMPTS[0], elem_id="prompt"
                )
                gr.Examples([[words] for words in PROMPTS], prompt, label="For example")
                settings = setting_widgets()
                edit_button = gr.Button("Edit", variant="primary", elem_id="edit")
                gr.Markdown(f"<small>{CONSENT}</small>")
            with gr.Column(min_width=300):
                slider, note, faces = result_widgets()

        private: dict[str, Any] = {"api_visibility": "private"}
        compute: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "compute"}
        demo.load(page.status, None, note, concurrency_limit=None, **private)
        own_photo = [photo.upload, photo.clear, photo.input]
        gr.on(own_photo, lambda: None, None, sampled, queue=False, **private)
        sample_button.click(page.sample, None, [photo, sampled], api_name="sample", **compute)
        gr.on(
            [edit_button.click, prompt.submit],
            page.edit,
            [photo, sampled, prompt, *settings],
            [slider, faces, note],
            api_name="edit",
            validator=check,
            show_progress_on=[slider],
            **compute,
        )
    return demo.queue(max_size=20)


def photo_widgets() -> tuple[gr.Image, gr.Button]:
    """Make what shows the photo, and the button that samples one."""
    photo = gr.Image(
        label="Photo",
        type="filepath",
        format="png",
        sources=["upload", "webcam", "clipboard"],
        height=320,
        elem_id="photo",
    )
    photo.preprocess = path_of  # type: ignore[method-assign]
    return photo, gr.Button("Sample a face", size="sm", elem_id="sample")


def setting_widgets() -> list[gr.components.Component]:
    """Make the settings, in the order of `Page.edit`: method, strength, whole, face_index, seed."""
    choices = [(label, name) for name, label in METHODS.items()]
    method = gr.Dropdown(choices, value=choices[0][1], label="Method")
    strength = gr.Slider(
        -2, 3, value=1, step=0.1, label="Strength", info="0 is the photo, below 0 the opposite"
    )
    with gr.Accordion("More", open=False):
        # Off: a drawn face in a photograph looks odd; it is the choice for official FFHQ weights.
        whole = gr.Checkbox(False, label="Put the face back into the photo")
        face_index = gr.Dropdown(
            [("the one that stands out", ANY_FACE)]
            + [(f"{i}: the {rank} largest".replace("first ", ""), i) for i, rank in RANKS.items()],
            value=ANY_FACE,
            label="Which face, if there are several (face_index)",
        )
        seed = gr.Number(0, label="Seed", precision=0, minimum=0)
    return [method, strength, whole, face_index, seed]


def result_widgets() -> tuple[gr.ImageSlider, gr.Markdown, gr.Gallery]:
    """Make what shows the result."""
    slider = gr.ImageSlider(
        label="Before and after",
        type="pil",
        format="png",
        interactive=False,
        buttons=["download", "fullscreen"],
        max_height=600,
        elem_id="result",
    )
    note = gr.Markdown(elem_id="note")
    faces = gr.Gallery(
        label="The face alone", format="png", columns=2, height=260, interactive=False
    )
    return slider, note, faces


def shown(photo: str) -> Image.Image:
    """Return an uploaded photo, upright, at the size at which the page works."""
    picture = load_photo(Path(photo))
    picture.thumbnail((MAX_SHOWN, MAX_SHOWN), Image.Resampling.LANCZOS)
    return picture


def summary(result: Any) -> str:
    """Return the line under the pictures."""
    parts = [f"{result.seconds:.1f} s"]
    if "clip_gain" in result.scores:
        parts.append(f"closer to the sentence by {result.scores['clip_gain']:+.2f} (CLIP)")
    if "identity" in result.scores:
        parts.append(f"same person: {result.scores['identity']:.2f} of 1")
    return " · ".join(parts)


def main() -> None:
    """Serve the page; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where, as on a Space."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    loader = Loader(REPO)
    demo = build_demo(loader)
    loader.start()
    demo.launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        theme=gr.themes.Soft(),
        css=CSS,
        max_file_size="30mb",
        run_history=False,
        footer_links=["api"],
    )


if __name__ == "__main__":
    main()
