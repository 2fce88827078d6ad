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
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware

from demo import compare, compose, examples, guide, stage
from demo.doors import Doors, NothingFetched, refuse_unfit
from demo.files import ResultFiles
from demo.inputs import PHOTOGRAPHIC, PRIVATE, REGIONS, Inputs
from demo.loading import Loader
from demo.menu import MethodMenu
from demo.settings import Settings
from demo.style import CSS, KEYS, LINK, THEME
from demo.subject import NOBODY, Subjects, is_person
from demo.temporary import own_temporary_folder
from demo.words import sentence
from faceedit.errors import FaceEditError, RepoError
from faceedit.photo.provenance import Provenance, SourceType

if TYPE_CHECKING:
    from faceedit import FaceEditor

logger = logging.getLogger(__name__)

THREADS = 80  # most of them wait for their turn (`demo.turns`)
WAITING = 60  # visitors in the queue; later ones are asked to try again
TITLE = "faceedit: change a face with a sentence"
INTRO = """# faceedit
**Change a face with a sentence.** The photograph stays a photograph: what the sentence does not
name keeps its own pixels, bit for bit. {methods}, side by side."""


class App:
    """The whole page: what the tabs share, and what happens when a visitor arrives."""

    def __init__(self, settings: Settings | None = None, loader: Loader | None = None) -> None:
        self.settings = settings or Settings()
        self.menu = MethodMenu(self.settings.repo)
        self.loader = loader or Loader(self.settings.repo, self.settings.device, self.warm_up)
        self.subjects = Subjects(self.loader)
        self.files = ResultFiles(self.settings.labelled, self.settings.kept)
        self._looking = threading.Lock()
        self._found_methods = False

    def start(self) -> None:
        """Load the networks, render people ahead and delete old results, in the background."""
        self.loader.start()
        self.files.start()

    def warm_up(self, editor: FaceEditor) -> None:
        """Run every fast method once, so that a visitor's first edit is as fast as the second."""
        self._look_for_methods(editor)
        face = self.subjects.subject(None, 0, None).face
        for _, name in self.menu.fast():
            try:
                editor.edit(face, "red hair", method=name)
            except FaceEditError:  # it knows other sentences
                logger.info("%s is not warmed up", name)
        if self.settings.world:
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
            status, whether to run, photo, person, prompt, region, methods, strength, method.
        """
        asked = dict(request.query_params) if request is not None else {}
        seed = asked.get("person", "")
        person = int(seed) if seed.isdigit() and len(seed) < 10 else NOBODY
        if is_person(person):
            world = self.settings.world
            note = Provenance(SourceType.RENDERED if world else SourceType.GENERATED)
            photo = self.files.picture(self.subjects.picture(person), f"person-{person}", note)
        else:
            photo = examples.picture_of(examples.EXAMPLES[0], self.files)
        prompt = asked.get("prompt", "")[:500]
        region = asked.get("region")
        region = region if region in dict((value, name) for name, value in REGIONS) else gr.skip()
        named = [name for name in asked.get("methods", "").split(",") if name in self.menu.names]
        power = _number(asked.get("strength", ""), -2, 3)
        methods = gr.update(value=named) if named else gr.skip()
        words = prompt or (examples.FIRST_PROMPT if self.settings.world else PHOTOGRAPHIC[0])
        link = (photo, person, words, region, methods, power, gr.skip())
        yield ("Loading the networks ...", False, *link)
        status = self._ready()
        menu = self._menu(asked.get("method", ""))
        rest = (gr.skip(), gr.skip(), gr.skip(), gr.skip(), self._checklist(named), gr.skip(), menu)
        yield (status, bool(prompt), *rest)

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

    def _menu(self, named: str) -> Any:
        choices = self.menu.fast()
        known = named in [name for _, name in choices]
        return gr.update(choices=choices, value=named if known else self.menu.first())

    def build(self) -> gr.Blocks:
        """Return the page, ready to launch."""
        kept = self.settings.kept
        with gr.Blocks(title=TITLE, delete_cache=(kept, kept)) as page:
            methods = "Fourteen methods" if self.settings.world else "All methods of this base"
            gr.Markdown(INTRO.format(methods=methods), elem_id="intro")
            inputs = Inputs(self.subjects, self.files)
            with gr.Row(elem_id="desk"):
                with gr.Column(scale=6, min_width=320, elem_id="stage"):
                    shown = stage.build(self.settings.world)
                with gr.Column(scale=5, min_width=320, elem_id="side"):
                    inputs.build()
                    status = gr.Markdown("Loading the networks ...", elem_id="status")
                    with gr.Tabs():
                        with gr.Tab("Edit", id="edit"):
                            here = stage.Stage(self.subjects, self.files, self.menu)
                            tab = stage.build_tab(here, inputs, shown)
                        with gr.Tab("Compare all methods", id="compare"):
                            all_methods = compare.Compare(self.subjects, self.files, self.menu)
                            shared = compare.build(all_methods, inputs, shown)
                        with gr.Tab("Compose", id="compose"):
                            steps = compose.Compose(self.subjects, self.files, self.menu)
                            compose.build(steps, inputs, shown, tab["method"])
                        with gr.Tab("Methods", id="methods"):
                            gr.HTML(guide.guide(self.menu.names))
            if self.settings.notice:
                gr.Markdown(self.settings.notice, elem_classes="fe-notice")
            gr.Markdown(examples.CREDIT, elem_classes="fe-notice")
            self._connect(page, inputs, shown, tab, shared["methods"], status)
        Doors(self.files.folder).guard(page)
        return page.queue(max_size=WAITING)

    def _connect(
        self,
        page: gr.Blocks,
        inputs: Inputs,
        shown: stage.StageWidgets,
        tab: dict[str, Any],
        methods: Any,
        status: Any,
    ) -> None:
        """Say what happens on arrival, and keep the address of the page up to date."""
        run, asked, outputs = tab["run"], tab["asked"], tab["outputs"]
        inputs.connect(run, asked, outputs)
        linked = gr.State(False)
        settings = [inputs.photo, inputs.person, inputs.prompt, inputs.region]
        settings += [methods, shown.strength, tab["method"]]
        arrived = page.load(
            self.arrive,
            None,
            [status, linked, *settings],
            concurrency_limit=None,
            show_progress="hidden",
            **PRIVATE,
        )
        arrived.then(self.follow, [linked, *asked], outputs, **PRIVATE)
        link = [inputs.prompt, inputs.person, inputs.region, shown.strength, tab["method"]]
        shown.words.change(None, link, None, js=LINK, **PRIVATE)

    def follow(self, linked: bool, *asked: Any) -> Any:
        """Run what a link asks for; without one the page keeps the edit that it opened with."""
        history = asked[-1]
        return self.edit_linked(*asked) if linked else (*[gr.skip()] * 4, history)

    def edit_linked(self, *asked: Any) -> Any:
        """Run the edit of a link on the stage."""
        return stage.Stage(self.subjects, self.files, self.menu).redraw(*asked)

    def launch(self, page: gr.Blocks, **settings: Any) -> str:
        """Serve the page and return its address; see gradio's `launch` for the settings."""
        guards = {
            "middleware": [Middleware(NothingFetched)],
            "exception_handlers": {RequestValidationError: refuse_unfit},
        }
        _, url, _ = page.launch(
            app_kwargs=guards,
            max_file_size="30mb",
            max_threads=THREADS,
            run_history=False,
            _frontend=False,  # else a machine that is busy for 3 s at the start is no localhost
            **settings,
        )
        return str(url)


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
        theme=THEME,
        css=CSS,
        js=KEYS,
        footer_links=["api"],
        mcp_server=has_mcp(),
    )


if __name__ == "__main__":
    main()
