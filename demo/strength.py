"""The Strength tab: one fast method, redrawn while the slider moves, and a strip of five."""

from __future__ import annotations

from typing import Any

import gradio as gr

from demo import measures
from demo.compare import COMPUTE, label
from demo.files import ResultFiles
from demo.inputs import LIGHT, Inputs
from demo.loading import GPU
from demo.menu import MethodMenu
from demo.subject import Subjects, has_face
from demo.words import need, plain_words, seconds
from faceedit.photo.provenance import Provenance, SourceType

STRIP = (-1.0, 0.0, 0.5, 1.0, 2.0)
HINT = "Sample a face or upload a photo, write what should change, then move the slider."


class Strength:
    """What the tab does."""

    def __init__(self, subjects: Subjects, files: ResultFiles, menu: MethodMenu) -> None:
        self.subjects = subjects
        self.files = files
        self.menu = menu

    def edit(
        self,
        photo: str | None = None,
        person: int | None = None,
        face_index: int | None = None,
        prompt: str = "",
        region: str = "",
        method: str = "clip_regression",
        strength: float = 1.0,
        seed: float = 0,
        whole: bool = False,
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
            whole: Whether to put the face back into the photo; else the aligned face.

        Returns:
            The edited picture, and what was measured.
        """
        with plain_words():
            editor = self.subjects.loader.get()
            subject = self.subjects.subject(photo, person, face_index)
            result = subject.edit(
                editor, prompt, region, method=method, strength=strength, seed=int(seed or 0)
            )
            self.menu.record(method, result.seconds)
            picture = result.image if whole and subject.photo is not None else result.face
            note = label(result, self.subjects.base, subject)
            facts = {"method": method, "strength": strength, "seconds": round(result.seconds, 3)}
            facts |= {name: round(value, 4) for name, value in result.scores.items()}
            return self.files.picture(picture, method, note), facts

    def move(
        self,
        photo: str | None = None,
        person: int | None = None,
        face_index: int | None = None,
        prompt: str = "",
        region: str = "",
        method: str | None = None,
        strength: float = 1.0,
    ) -> tuple[Any, Any, str]:
        """Redraw the face for the slider, without a place in the queue."""
        if not has_face(photo, person) or not (prompt or "").strip() or not method:
            return None, None, HINT
        with plain_words():
            editor = self.subjects.loader.get()
            subject = self.subjects.subject(photo, person, face_index)
            mask = {"mask": region} if region else {}
            result = editor.edit(subject.face, prompt, method=method, strength=strength, **mask)
            note = label(result, self.subjects.base, subject)
            redrawn = Provenance(SourceType.GENERATED, models=(self.subjects.base,))
            tile = measures.Tile(
                method, f"strength {strength:g}", "", "", result.seconds,
                result.scores.get("clip_gain"), result.scores.get("identity"),
            )  # fmt: skip
            return (
                self.files.picture(subject.face.to_pil(), "before", redrawn),
                self.files.picture(result.face, method, note),
                tile.caption,
            )

    def strip(
        self,
        photo: str | None = None,
        person: int | None = None,
        face_index: int | None = None,
        prompt: str = "",
        region: str = "",
        method: str = "clip_regression",
    ) -> list[tuple[str, str]]:
        """Edit one face with one method at five strengths, from -1 to 2.

        Args:
            photo: The photo. Not needed where `person` is given.
            person: The number of a sampled face, from the endpoint `sample`; -1 for none.
            face_index: Which face of several, 0 for the largest; -1 for the one that stands out.
            prompt: What is wanted, like "red hair".
            region: Where it may change; "" is everywhere.
            method: The method's name.

        Returns:
            The five pictures with captions.
        """
        with plain_words():
            need(prompt and prompt.strip(), "Say what should change, like 'red hair'.")
            need(method, "Choose a method.")
            editor = self.subjects.loader.get()
            subject = self.subjects.subject(photo, person, face_index)
            mask = {"mask": region} if region else {}
            pictures = []
            for strength in STRIP:
                result = editor.edit(subject.face, prompt, method=method, strength=strength, **mask)
                note = label(result, self.subjects.base, subject)
                path = self.files.picture(result.face, f"{method}_{strength:g}", note)
                pictures.append((path, f"{strength:g} · {seconds(result.seconds)}"))
            return pictures


def build(page: Strength, inputs: Inputs) -> gr.Dropdown:
    """Make the tab's widgets, connect them, and return the choice of method."""
    method = gr.Dropdown(
        page.menu.fast(), value=page.menu.first(), label="Method", elem_id="strength-method"
    )
    strength = gr.Slider(
        -2, 3, value=1, step=0.05, label="Strength: the face follows while you move it",
        elem_id="strength",
    )  # fmt: skip
    note = gr.Markdown(HINT, elem_id="strength-note")
    with gr.Row():
        settings: dict[str, Any] = {
            "format": "png",
            "type": "filepath",
            "interactive": False,
            "height": 320,
            "buttons": ["download"],
        }
        before = gr.Image(label="Before", elem_id="strength-before", **settings)
        after = gr.Image(label="After", elem_id="strength-after", **settings)
    go = gr.Button("Show five strengths", elem_id="strip-go")
    strip = gr.Gallery(
        label="Five strengths", format="png", columns=5, fit_columns=False,
        height="auto", object_fit="contain", allow_preview=False, interactive=False,
        elem_id="strip",
    )  # fmt: skip

    gr.on(
        [strength.input, method.input],
        page.move,
        [*inputs.values, method, strength],
        [before, after, note],
        trigger_mode="always_last",
        **LIGHT,
    )
    go.click(GPU(page.strip), [*inputs.values, method], strip, api_name="strip", **COMPUTE)
    # For programs only: the same edit with every setting, one method, one picture.
    picture, facts = gr.Image(visible="hidden"), gr.JSON(visible="hidden")
    seed, whole = gr.Number(0, label="seed", visible="hidden"), gr.Checkbox(visible="hidden")
    any_method = gr.Textbox("clip_regression", label="method", visible="hidden")
    any_strength = gr.Number(1.0, label="strength", visible="hidden")
    gr.Button(visible="hidden").click(
        GPU(page.edit),
        [*inputs.values, any_method, any_strength, seed, whole],
        [picture, facts],
        api_name="edit",
        **COMPUTE,
    )
    return method
