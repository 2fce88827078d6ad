"""The stage: one large picture before and after, the strength under it, and the last ten edits.

Every tab works on the same face, sentence and strength; what is chosen in one shows here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from demo import examples
from demo.compare import label
from demo.files import ResultFiles
from demo.inputs import FAST, LIGHT, Inputs
from demo.loading import GPU
from demo.menu import MethodMenu, title
from demo.subject import Subject, Subjects, has_face
from demo.words import escaped, need, plain_words, seconds
from faceedit.photo.provenance import Provenance, SourceType

STRIP = (-1.0, 0.0, 0.5, 1.0, 2.0)
MOST_KEPT = 10  # edits in the undo strip
OPENING = (
    f"**{examples.FIRST_PROMPT}**: drag the line. What is not hair is the photograph's own, pixel "
    "by pixel. Click a word to change something else."
)
HINT = "Choose a person or upload a photo, then say what should change."


@dataclass(frozen=True)
class Shown:
    """One edit on the stage. Pictures are paths of labelled files."""

    before: str
    after: str
    words: str
    prompt: str
    strength: float
    of: tuple[Any, ...]  # the face, the sentence and the method: the same while the slider moves
    acted: str | None = None


@dataclass
class History:
    """What a visitor has seen, the latest last: kept by gradio for each visitor."""

    edits: list[Shown] = field(default_factory=list)

    def add(self, shown: Shown) -> None:
        """Keep an edit; moving the slider changes the last one in place of adding many."""
        if self.edits and self.edits[-1].of == shown.of:
            self.edits.pop()
        self.edits = [*self.edits, shown][-MOST_KEPT:]

    def gallery(self) -> list[tuple[str, str]]:
        """Return the strip's pictures with captions, the latest first."""
        return [(one.after, one.prompt) for one in reversed(self.edits)]


class Stage:
    """What the page does with one face, one sentence and one method."""

    def __init__(self, subjects: Subjects, files: ResultFiles, menu: MethodMenu) -> None:
        self.subjects = subjects
        self.files = files
        self.menu = menu

    def redraw(
        self,
        photo: str | None = None,
        person: int | None = None,
        face_index: int | None = None,
        prompt: str = "",
        region: str = "",
        method: str | None = None,
        strength: float = 1.0,
        seed: float = 0,
        whole: bool = True,
        history: History | None = None,
    ) -> tuple[Any, ...]:
        """Edit for the page: picture, words, where it changed, the strip, and the history."""
        history = history or History()
        if not has_face(photo, person) or not (prompt or "").strip():
            return gr.skip(), HINT, gr.skip(), gr.skip(), history
        with plain_words():
            name = method or self.menu.first()
            need(name, "No fast method is here.")
            subject = self.subjects.subject(photo, person, face_index)
            of = (photo, person, face_index, prompt, region, name, seed, whole)
            known = next((one for one in reversed(history.edits) if _face(one) == _part(of)), None)
            before = known.before if known else self._before(subject, whole)
            result = self._result(subject, prompt, region, str(name), strength, seed)
            picture = result.image if whole and subject.photo is not None else result.face
            note = label(result, self.subjects.base, subject)
            after = self.files.picture(picture, str(name), note)
            acted = self._acted(result, whole, note)
            words = told(result, strength)
            history.add(Shown(before, after, words, prompt, strength, of, acted))
            return (before, after), words, acted, history.gallery(), history

    def _result(
        self, subject: Subject, prompt: str, region: str, name: str, strength: float, seed: float
    ) -> Any:
        editor = self.subjects.loader.get()
        result = subject.edit(
            editor, prompt, region, method=name, strength=strength, seed=int(seed or 0)
        )
        self.menu.record(name, result.seconds)
        return result

    def _before(self, subject: Subject, whole: bool) -> str:
        """Save what the result is compared with."""
        if whole and subject.photo is not None:
            note = Provenance(SourceType.EDITED, models=())
            return self.files.picture(subject.photo, "before", note)
        note = Provenance(SourceType.GENERATED, models=(self.subjects.base,))
        return self.files.picture(subject.face.to_pil(), "before", note)

    def _acted(self, result: Any, whole: bool, note: Provenance) -> str | None:
        """Save where the photograph changed, white; None where that says nothing."""
        changed = getattr(result, "changed", None)
        if not whole or changed is None:
            return None
        return self.files.picture(changed.convert("RGB"), "changed", note)

    def edit(
        self,
        photo: str | None = None,
        person: int | None = None,
        face_index: int | None = None,
        prompt: str = "",
        region: str = "",
        method: str = "counterfactual",
        strength: float = 1.0,
        seed: float = 0,
        whole: bool = True,
    ) -> tuple[str, dict[str, Any]]:
        """Edit one face with one method.

        Args:
            photo: The photo. Not needed where `person` is given.
            person: The number of a sampled face, from the endpoint `sample`; -1 for none.
            face_index: Which face of several, 0 for the largest; -1 for the one that stands out.
            prompt: What is wanted, like "red hair".
            region: Where it may change: "hair", "mouth", "eyes", "skin", "background"; "" is
                everywhere.
            method: The method's name.
            strength: 0 changes nothing, 1 is the usual edit, below 0 is the opposite.
            seed: For methods that draw random numbers.
            whole: Whether to return the photograph, edited; else the face as the generator has it.

        Returns:
            The edited picture, and what was measured.
        """
        with plain_words():
            subject = self.subjects.subject(photo, person, face_index)
            result = self._result(subject, prompt, region, method, strength, seed)
            picture = result.image if whole and subject.photo is not None else result.face
            note = label(result, self.subjects.base, subject)
            facts = {"method": method, "strength": strength, "seconds": round(result.seconds, 3)}
            facts |= {name: round(value, 4) for name, value in result.scores.items()}
            facts["notes"] = list(getattr(result, "notes", ()))
            return self.files.picture(picture, method, note), facts

    def strip(
        self,
        photo: str | None = None,
        person: int | None = None,
        face_index: int | None = None,
        prompt: str = "",
        region: str = "",
        method: str | None = None,
        seed: float = 0,
        whole: bool = True,
    ) -> list[tuple[str, str]]:
        """Edit one face with one method at five strengths, from -1 to 2.

        Args:
            photo: The photo. Not needed where `person` is given.
            person: The number of a sampled face, from the endpoint `sample`; -1 for none.
            face_index: Which face of several, 0 for the largest; -1 for the one that stands out.
            prompt: What is wanted, like "red hair".
            region: Where it may change; "" is everywhere.
            method: The method's name; none is the best fast one.
            seed: For methods that draw random numbers.
            whole: Whether to return the photograph, edited; else the face as the generator has it.

        Returns:
            The five pictures with captions.
        """
        with plain_words():
            need(prompt and prompt.strip(), "Say what should change, like 'red hair'.")
            name = method or self.menu.first()
            need(name, "Choose a method.")
            subject = self.subjects.subject(photo, person, face_index)
            pictures = []
            for strength in STRIP:
                result = self._result(subject, prompt, region, str(name), strength, seed)
                picture = result.image if whole and subject.photo is not None else result.face
                note = label(result, self.subjects.base, subject)
                path = self.files.picture(picture, f"{name}_{strength:g}", note)
                pictures.append((path, f"{strength:g} · {seconds(result.seconds)}"))
            return pictures

    def recall(self, history: History, event: gr.SelectData) -> tuple[Any, ...]:
        """Show an edit of the strip again."""
        shown = list(reversed(history.edits))[int(event.index)]
        return (shown.before, shown.after), shown.words, shown.acted, shown.strength


def told(result: Any, strength: float) -> str:
    """Return what is said of an edit: the method, the time, and what a visitor should know."""
    notes = escaped(" ".join(getattr(result, "notes", ())))
    line = f"**{title(result.request.method)}** · {seconds(result.seconds)}"
    return f"{line} · strength {strength:g}" + (f"\n\n{notes}" if notes else "")


def _part(of: Sequence[Any]) -> tuple[Any, ...]:
    """Return what the picture before an edit depends on: the face and the view."""
    return (*of[:3], of[-1])


def _face(shown: Shown) -> tuple[Any, ...]:
    return _part(shown.of)


@dataclass
class StageWidgets:
    """The widgets of the stage."""

    pair: gr.ImageSlider
    strength: gr.Slider
    words: gr.Markdown
    strip: gr.Gallery
    history: gr.State


def build(world: bool = True) -> StageWidgets:
    """Make the widgets; call it inside a column.

    The page opens with a finished edit, which the portrait world's networks have made.
    """
    pair = gr.ImageSlider(
        examples.first_pair() if world else None,
        label="Before and after",
        show_label=False,
        type="filepath",
        format="png",
        interactive=False,
        buttons=["download", "fullscreen"],
        max_height=560,
        elem_id="pair",
    )
    strength = gr.Slider(
        -2,
        3,
        value=1,
        step=0.05,
        label="Strength",
        info="0 is the photograph, below 0 the opposite",
        elem_id="strength",
    )
    words = gr.Markdown(OPENING if world else HINT, elem_id="words", elem_classes="fe-live")
    strip = gr.Gallery(
        label="Your last edits: click one to see it again",
        show_label=False,
        buttons=[],
        format="png",
        columns=MOST_KEPT,
        rows=1,
        height="auto",
        allow_preview=False,
        interactive=False,
        elem_id="history",
    )
    return StageWidgets(pair, strength, words, strip, gr.State(History(), time_to_live=3600))


def build_tab(page: Stage, inputs: Inputs, stage: StageWidgets) -> dict[str, Any]:
    """Make the Edit tab's widgets, connect the stage, and return what a link can set."""
    go = gr.Button("Edit", variant="primary", elem_id="go", elem_classes="fe-go")
    with gr.Accordion("More: method, place, faces, view", open=False, elem_id="more"):
        method = gr.Dropdown(
            page.menu.fast(), value=page.menu.first(), label="Method", elem_id="method"
        )
        inputs.build_more()
        five = gr.Button("Show five strengths", size="sm", elem_id="strip-go")
        strengths = gr.Gallery(
            label="Five strengths", format="png", columns=5, height="auto", object_fit="contain",
            allow_preview=False, interactive=False, elem_id="strip",
        )  # fmt: skip
        acted = gr.Image(
            label="What changed: white; every other pixel is the photograph's own",
            format="png",
            type="filepath",
            height=200,
            interactive=False,
            buttons=["download"],
            elem_id="acted",
        )
    asked = [*inputs.values, method, stage.strength, inputs.seed, inputs.whole, stage.history]
    outputs = [stage.pair, stage.words, acted, stage.strip, stage.history]
    run = GPU(page.redraw)
    go.click(run, asked, outputs, **_EDIT)
    gr.on(
        [stage.strength.input, method.input, inputs.region.input, inputs.whole.input],
        run,
        asked,
        outputs,
        trigger_mode="always_last",
        **_EDIT,
    )
    stage.strip.select(
        page.recall,
        stage.history,
        [stage.pair, stage.words, acted, stage.strength],
        **LIGHT,
    )
    shared = [*inputs.values, method, inputs.seed, inputs.whole]
    five.click(GPU(page.strip), shared, strengths, api_name="strip", **FAST)
    _build_endpoint(page, inputs)
    return {"method": method, "run": run, "asked": asked, "outputs": outputs}


_EDIT: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private", **FAST}


def _build_endpoint(page: Stage, inputs: Inputs) -> None:
    """Offer the edit to programs: every setting, one method, one picture."""
    picture, facts = gr.Image(visible="hidden"), gr.JSON(visible="hidden")
    first = "counterfactual" if page.subjects.world else page.menu.first() or ""
    method = gr.Textbox(first, label="method", visible="hidden")
    strength = gr.Number(1.0, label="strength", visible="hidden")
    gr.Button(visible="hidden").click(
        GPU(page.edit),
        [*inputs.values, method, strength, inputs.seed, inputs.whole],
        [picture, facts],
        api_name="edit",
        **FAST,
    )
