"""The Space: a face, a sentence, and every method's answer side by side.

`python app.py` serves it on http://127.0.0.1:7860; the networks load in the background while the
page opens. The tabs are in `demo/`; nothing here computes.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr
from starlette.middleware import Middleware

from demo import compare, compose, guide, strength
from demo.doors import Doors, NothingFetched
from demo.files import KEPT, ResultFiles
from demo.inputs import PRIVATE, REGIONS, Inputs
from demo.loading import Loader
from demo.menu import MethodMenu
from demo.people import person as somebody
from demo.settings import Settings
from demo.style import CSS, KEYS, LINK
from demo.subject import Subjects
from demo.temporary import own_temporary_folder
from demo.words import sentence
from faceedit.errors import FaceEditError, RepoError
from faceedit.photo.provenance import Provenance, SourceType

if TYPE_CHECKING:
    from faceedit import FaceEditor

logger = logging.getLogger(__name__)

THREADS = 80  # most of them wait for their turn (`demo.turns`)
WAITING = 60  # visitors in the queue; later ones are asked to try again
INTRO = """# faceedit
Take a face, say what should change, and see how the published methods answer, side by side.
The generator knows animated-film portraits only, so a photo comes back as the character that
resembles it most. **Sample a face** draws somebody whom nobody is: there the exact edit is known
and shown as *ground truth*."""


class App:
    """The whole page: what the tabs share, and what happens when a visitor arrives."""

    def __init__(self, settings: Settings | None = None, loader: Loader | None = None) -> None:
        self.settings = settings or Settings()
        self.menu = MethodMenu(self.settings.repo)
        self.loader = loader or Loader(self.settings.repo, self.settings.device, self.warm_up)
        self.subjects = Subjects(self.loader)
        self.files = ResultFiles(self.settings.labelled)
        self._looking = threading.Lock()
        self._found_methods = False

    def start(self) -> None:
        """Load the networks, render people ahead and delete old results, in the background."""
        self.loader.start()
        self.files.start()

    def warm_up(self, editor: FaceEditor) -> None:
        """Run every fast method once, so that a visitor's first edit is as fast as the second."""
        self._look_for_methods(editor)
        face = self.subjects.subject(None, somebody(0).seed, None).face
        for _, name in self.menu.fast():
            try:
                editor.edit(face, "red hair", method=name)
            except FaceEditError:  # it knows other sentences
                logger.info("%s is not warmed up", name)
        self.subjects.crowd.start()

    def _look_for_methods(self, editor: FaceEditor) -> None:
        """Offer the methods that are here and fit the base, once."""
        with self._looking:
            if self._found_methods:
                return
            fitting = []
            for name in editor.available():
                try:
                    editor.method(name)
                except RepoError as error:
                    logger.warning("%s is not offered: %s", name, error)
                    continue
                except FaceEditError:  # it needs a sentence to know what to load
                    logger.debug("%s loads with its first sentence", name)
                fitting.append(name)
            self.menu.set_available(fitting)
            self._found_methods = True

    def arrive(self, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Set what a link asks for, and say when the networks are there.

        Yields:
            status, photo, person, prompt, region, methods, strength, and the methods of two tabs.
        """
        asked = dict(request.query_params) if request is not None else {}
        seed = asked.get("person", "")
        photo, person = gr.skip(), gr.skip()
        if seed.isdigit() and len(seed) < 10:
            someone = somebody(int(seed))
            note = Provenance(SourceType.RENDERED)
            photo = self.files.picture(someone.to_pil(), f"person-{seed}", note)
            person = int(seed)
        prompt = asked["prompt"][:500] if asked.get("prompt") else gr.skip()
        region = asked.get("region")
        region = region if region in dict((value, name) for name, value in REGIONS) else gr.skip()
        named = [name for name in asked.get("methods", "").split(",") if name in self.menu.names]
        power = _number(asked.get("strength", ""), -2, 3)
        methods = gr.update(value=named) if named else gr.skip()
        link = (photo, person, prompt, region, methods, power, gr.skip(), gr.skip())
        yield ("Loading the networks ...", *link)
        status = self._ready()
        yield (status, *[gr.skip()] * 4, self._checklist(named), gr.skip(), *self._menus())

    def _ready(self) -> str:
        """Wait for the networks and say whether they are there."""
        try:
            self._look_for_methods(self.loader.get())
        except FaceEditError as error:
            return f"**The networks cannot be loaded.** {sentence(error)}"
        except Exception:
            logger.exception("the networks cannot be loaded")
            return "**The networks cannot be loaded.** The log has the details."
        return "Ready."

    def _checklist(self, named: list[str]) -> Any:
        choices = self.menu.choices()
        ticked = named or [choice.name for choice in choices if choice.fast]
        return gr.update(choices=[(c.label, c.name) for c in choices], value=ticked)

    def _menus(self) -> tuple[Any, Any]:
        menu = gr.update(choices=self.menu.fast(), value=self.menu.first())
        return menu, menu

    def build(self) -> gr.Blocks:
        """Return the page, ready to launch."""
        with gr.Blocks(title="faceedit", delete_cache=(KEPT, KEPT)) as page:
            gr.Markdown(INTRO)
            inputs = Inputs(self.subjects, self.files)
            with gr.Row():
                with gr.Column(scale=2, min_width=300):
                    inputs.build()
                    status = gr.Markdown("Loading the networks ...", elem_id="status")
                    if self.settings.notice:
                        gr.Markdown(self.settings.notice, elem_classes="fe-notice")
                with gr.Column(scale=5, min_width=300), gr.Tabs():
                    with gr.Tab("Compare", id="compare"):
                        shared = compare.build(
                            compare.Compare(self.subjects, self.files, self.menu), inputs
                        )
                        self._link(inputs, shared)
                    with gr.Tab("Strength", id="strength"):
                        page_strength = strength.Strength(self.subjects, self.files, self.menu)
                        strength_method = strength.build(page_strength, inputs)
                    with gr.Tab("Compose", id="compose"):
                        page_compose = compose.Compose(self.subjects, self.files, self.menu)
                        compose_method = compose.build(page_compose, inputs)
                    with gr.Tab("Methods", id="methods"):
                        gr.HTML(guide.guide(self.menu.names))
            inputs.connect()
            page.load(
                self.arrive,
                None,
                [
                    status,
                    inputs.photo,
                    inputs.person,
                    inputs.prompt,
                    inputs.region,
                    shared["methods"],
                    shared["strength"],
                    strength_method,
                    compose_method,
                ],
                concurrency_limit=None,
                show_progress="hidden",
                **PRIVATE,
            )
        Doors(self.files.folder).guard(page)
        return page.queue(max_size=WAITING)

    def launch(self, page: gr.Blocks, **settings: Any) -> str:
        """Serve the page and return its address; see gradio's `launch` for the settings."""
        guards = {"middleware": [Middleware(NothingFetched)]}
        _, url, _ = page.launch(
            app_kwargs=guards,
            max_file_size="30mb",
            max_threads=THREADS,
            run_history=False,
            **settings,
        )
        return str(url)

    def _link(self, inputs: Inputs, shared: dict[str, Any]) -> None:
        """Make the button that writes a link to these settings."""
        with gr.Accordion("Share these settings", open=False):
            gr.Markdown("The link holds the settings and a sampled face's number, never a photo.")
            button = gr.Button("Make and copy the link", size="sm", elem_id="share")
            link = gr.Textbox(label="Link", interactive=False, elem_id="link")
        inputs = [
            inputs.prompt,
            inputs.person,
            inputs.region,
            shared["methods"],
            shared["strength"],
        ]
        button.click(None, inputs, link, js=LINK, **PRIVATE)


def _number(text: str, low: float, high: float) -> Any:
    """Return a link's number within its limits, or nothing to change."""
    try:
        return min(max(float(text), low), high)
    except ValueError:
        return gr.skip()


def has_mcp() -> bool:
    """Whether the extra is installed that menu the endpoints to assistants (gradio[mcp])."""
    return importlib.util.find_spec("mcp") is not None


def main() -> None:
    """Serve the page; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where, as on a Space."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    own_temporary_folder()
    app = App(Settings.from_environment())
    page = app.build()
    app.start()
    app.launch(
        page,
        server_name=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        theme=gr.themes.Soft(),
        css=CSS,
        js=KEYS,
        footer_links=["api"],
        mcp_server=has_mcp(),
    )


if __name__ == "__main__":
    main()
