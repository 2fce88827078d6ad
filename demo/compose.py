"""The Compose tab: one edit after another on the same face, and back again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.compare import COMPUTE, label
from demo.files import ResultFiles
from demo.inputs import LIGHT, Inputs
from demo.loading import GPU
from demo.menu import MethodMenu, title
from demo.subject import Subject, Subjects, is_person
from demo.words import need, plain_words, seconds
from faceedit.photo.provenance import Provenance, SourceType

if TYPE_CHECKING:
    from demo.stage import StageWidgets

MOST_STEPS = 12


@dataclass
class Chain:
    """The edits that were made one on the other."""

    whose: tuple[Any, ...] | None = None  # another face starts anew
    start: str = ""  # path of the face before all of them
    results: list[Any] = field(default_factory=list)  # of FaceEditor.edit
    tiles: list[tuple[str, str]] = field(default_factory=list)


class Compose:
    """What the tab does."""

    def __init__(self, subjects: Subjects, files: ResultFiles, menu: MethodMenu) -> None:
        self.subjects = subjects
        self.files = files
        self.menu = menu

    def add(
        self,
        photo: str | None = None,
        person: int | None = None,
        face_index: int | None = None,
        prompt: str = "",
        region: str = "",
        method: str = "counterfactual",
        strength: float = 1.0,
        chain: Chain | None = None,
    ) -> tuple[Any, ...]:
        """Edit the face as the last step left it; steps are kept for each session.

        Args:
            photo: The photo. Not needed where `person` is given.
            person: The number of a sampled face, from the endpoint `sample`; -1 for none.
            face_index: Which face of several, 0 for the largest; -1 for the one that stands out.
            prompt: What is wanted next, like "red hair".
            region: Where it may change; "" is everywhere.
            method: The method's name; None is the one that is offered first.
            strength: 0 changes nothing, 1 is the usual edit, below 0 is the opposite.
            chain: Kept by gradio.

        Returns:
            Before all steps and after the last; one picture a step.
        """
        with plain_words():
            need(prompt and prompt.strip(), "Say what should change, like 'red hair'.")
            method = method or self.menu.first()
            need(method, "Choose a method.")
            editor = self.subjects.loader.get()
            subject = self.subjects.subject(photo, person, face_index)
            whose = (person,) if is_person(person) else (photo, face_index)
            if chain is None or chain.whose != whose:
                chain = Chain(whose, self._start(subject))
            need(len(chain.results) < MOST_STEPS, f"{MOST_STEPS} steps are the most; undo some.")
            settings: dict[str, Any] = {"method": method, "strength": strength}
            if chain.results:
                mask = {"mask": region} if region else {}
                result = editor.edit(chain.results[-1], prompt, **settings, **mask)
            else:
                result = subject.edit(editor, prompt, region, **settings)
            note = label(result, self.subjects.base, subject)
            picture = result.image if subject.photo is not None else result.face
            path = self.files.picture(picture, f"step{len(chain.results) + 1}", note)
            words = f"{len(chain.results) + 1}: {prompt} · {strength:g} · {title(method)}"
            words = " · ".join([words, *getattr(result, "doubts", ())])
            chain.results.append(result)
            chain.tiles.append((path, f"{words} · {seconds(result.seconds)}"))
            return show(chain)

    def _start(self, subject: Subject) -> str:
        """Save the picture before all steps."""
        if subject.photo is not None:
            note = Provenance(SourceType.EDITED, models=())
            return self.files.picture(subject.photo, "before", note)
        note = Provenance(SourceType.GENERATED, models=(self.subjects.base,))
        return self.files.picture(subject.face.to_pil(), "before", note)

    def undo(self, chain: Chain) -> tuple[Any, ...]:
        """Take the last step back."""
        if chain.results:
            chain.results.pop()
            chain.tiles.pop()
        return show(chain)


def show(chain: Chain) -> tuple[Any, ...]:
    """Return what the widgets show."""
    pair = (chain.start, chain.tiles[-1][0]) if chain.tiles else None
    many = bool(chain.tiles)
    return pair, list(chain.tiles), gr.update(interactive=many), gr.update(interactive=many), chain


def build(page: Compose, inputs: Inputs, stage: StageWidgets, method: gr.Dropdown) -> None:
    """Make the tab's widgets and connect them; the method is the one of the Edit tab."""
    gr.Markdown("Write an edit, add it, write the next: each works on what the last one left.")
    with gr.Row():
        add = gr.Button("Add this edit", variant="primary", elem_id="add", elem_classes="fe-go")
        undo = gr.Button("Undo", interactive=False, elem_id="undo")
        again = gr.Button("Start over", interactive=False, elem_id="again")
    steps = gr.Gallery(
        label="Steps", format="png", columns=4, fit_columns=False, height="auto",
        object_fit="contain", allow_preview=False, interactive=False, elem_id="steps",
    )  # fmt: skip
    chain = gr.State(Chain(), time_to_live=3600)

    pair, strength = stage.pair, stage.strength
    outputs = [pair, steps, undo, again, chain]
    add.click(
        GPU(page.add),
        [*inputs.values, method, strength, chain],
        outputs,
        api_name="compose",
        show_progress_on=[pair],
        **COMPUTE,
    )
    undo.click(page.undo, chain, outputs, **LIGHT)
    again.click(lambda: show(Chain()), None, outputs, **LIGHT)
