"""The Compare tab: one sentence, several methods, tiles that fill in one after another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo import measures
from demo.files import ResultFiles
from demo.inputs import LIGHT, Inputs
from demo.loading import GPU
from demo.measures import Tile
from demo.menu import MethodMenu, title
from demo.people import Person, to_pil
from demo.style import NEW
from demo.subject import Subject, Subjects, has_face, is_person
from demo.truth import Truth, attributes_of, in_words, statements_of, truth_of
from demo.words import need, plain_words, sentence
from faceedit.errors import FaceEditError
from faceedit.photo.provenance import Provenance, SourceType

if TYPE_CHECKING:
    from demo.stage import StageWidgets

PATIENCE = 90  # seconds for the exact render
COMPUTE: dict[str, Any] = {"concurrency_limit": 30, "concurrency_id": "compute"}  # see `turns`
Exact = Future[tuple[Truth | None, float]] | None  # the exact edit and the seconds that it took
_RENDERERS = ThreadPoolExecutor(2, thread_name_prefix="truth")


@dataclass
class Comparison:
    """What a visitor sees on the tab: kept by gradio for each visitor."""

    tiles: list[Tile] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    before: str = ""  # the photo
    redrawn: str = ""  # the face as the generator redraws it
    rendered: str = ""  # the person as the renderer drew them
    chosen: int = 0
    asked: dict[str, Any] = field(default_factory=dict)  # for settings.json


def check(
    photo: Any, person: Any, _index: Any, prompt: str, _region: Any, methods: Any, *rest: Any
) -> tuple[Any, ...]:
    """Mark the fields that are still empty; runs before a place in the queue is taken."""
    fine = gr.validate(True, "")
    return (
        gr.validate(has_face(photo, person), "Upload a photo or sample a face"),
        fine,
        fine,
        gr.validate(bool(prompt and prompt.strip()), "Say what should change, like 'red hair'"),
        fine,
        gr.validate(bool(methods), "Tick at least one method"),
        *(fine for _ in rest),
    )


class Compare:
    """What the tab does."""

    def __init__(self, subjects: Subjects, files: ResultFiles, menu: MethodMenu) -> None:
        self.subjects = subjects
        self.files = files
        self.menu = menu

    def duration(self, _photo: Any, _person: Any, _index: Any, _prompt: Any, _region: Any,
                 methods: list[str], *_: Any) -> int:  # fmt: skip
        """Return the seconds that a comparison may take, for ZeroGPU's accounts."""
        return 10 + round(sum(2 * self.menu.expected(name) for name in methods or []))

    def compare(
        self,
        photo: str | None = None,
        person: int | None = None,
        face_index: int | None = None,
        prompt: str = "",
        region: str = "",
        methods: list[str] | None = None,
        strength: float = 1.0,
        whole: bool = True,
        seed: float = 0,
    ) -> Iterator[tuple[Any, ...]]:
        """Edit one face with several methods, one after another, and measure each result.

        Args:
            photo: The photo. Not needed where `person` is given.
            person: The number of a sampled face, from the endpoint `sample`; -1 for none.
            face_index: Which face of several, 0 for the largest; -1 for the one that stands out.
            prompt: What is wanted, like "red hair".
            region: Where it may change: "hair", "mouth", "eyes", "skin", "background"; "" is
                everywhere.
            methods: Names of methods.
            strength: 0 changes nothing, 1 is the usual edit, below 0 is the opposite.
            whole: Whether to show the photograph, edited; else the face as the generator has it.
            seed: For methods that draw random numbers.

        Returns:
            The pictures with captions; a table; which is best and why; before and after; the
            layers of the chosen result; where it acted; a zip of everything; the measures.
        """
        with plain_words():
            methods = list(dict.fromkeys(methods or []))
            need(methods, "Tick at least one method.")
            editor = self.subjects.loader.get()
            subject = self.subjects.subject(photo, person, face_index)
            said = statements_of(prompt)
            exact = self._render(subject, prompt)
            seen = self._begin(subject)
            seen.asked = {
                "prompt": prompt,
                "strength": strength,
                "region": region or "everywhere",
                "methods": list(methods),
                "seed": int(seed or 0),
                "person": int(person) if person is not None and is_person(person) else None,
                "face_index": face_index,
                "base": self.subjects.base,
            }
            for done, name in enumerate(methods):
                yield self._show(seen, whole, f"{title(name)}: {done + 1} of {len(methods)} ...")
                try:
                    result = subject.edit(
                        editor, prompt, region, method=name, strength=strength, seed=int(seed or 0)
                    )
                except FaceEditError as error:
                    seen.failed.append(f"{title(name)}: {sentence(error)}")
                    continue
                self.menu.record(name, result.seconds)
                seen.tiles.append(self._tile(result, subject, attributes_of(said)))
                self._add_truth(seen, exact, subject, prompt, wait=False)
            need(seen.tiles, "No method could do this. " + " ".join(seen.failed))
            yield self._show(seen, whole, "The exact edit ..." if exact else "Done.")
            self._add_truth(seen, exact, subject, prompt, wait=True)
            yield self.finish(seen, whole)

    def finish(self, seen: Comparison, whole: bool) -> tuple[Any, ...]:
        """Order what is there, the best first, and pack it; also where a visitor stopped."""
        if not seen.tiles:
            return self._show(seen, whole, "Stopped before the first result.")
        seen.tiles, seen.chosen = measures.in_order(seen.tiles), 0
        pictures = {"before": seen.before, "redrawn": seen.redrawn}
        packed = self.files.zip(seen.tiles, pictures, seen.asked)
        return self._show(seen, whole, packed=packed)

    def _render(self, subject: Subject, prompt: str) -> Exact:
        """Begin to render the exact edit beside the methods."""
        if subject.person is None:
            return None
        return _RENDERERS.submit(_timed_truth, subject.person, prompt)

    def _begin(self, subject: Subject) -> Comparison:
        """Save what the results are compared with."""
        base = (self.subjects.base,)
        kind = SourceType.EDITED if subject.photo is not None else SourceType.RENDERED
        before = self.files.picture(subject.before, "before", Provenance(kind, models=()))
        redrawn = Provenance(SourceType.GENERATED, models=base)
        return Comparison(
            before=before,
            redrawn=self.files.picture(subject.face.to_pil(), "redrawn", redrawn),
            rendered=before if subject.person is not None else "",
        )

    def _tile(self, result: Any, subject: Subject, meant: set[str]) -> Tile:
        """Measure and save one result."""
        from faceedit.inversion import to_tensor

        name = result.request.method
        backbones = self.subjects.loader.get().backbones
        note = label(result, self.subjects.base, subject)
        face = self.files.picture(result.face, name, note)
        whole = face
        if subject.photo is not None:
            whole = self.files.picture(result.image, f"{name}_photo", note)
        tile = Tile(
            name,
            title(name),
            face,
            whole,
            round(result.seconds, 3),
            result.scores.get("clip_gain"),
            result.scores.get("identity"),
            layers=measures.layer_reaction(result, backbones),
            doubts=tuple(getattr(result, "doubts", ())),
        )
        if backbones.attributes is not None:
            after = to_tensor(result.face).to(subject.face.image)
            tile.collateral = measures.collateral(subject.face.image, after, meant, backbones)
        if result.mask is not None:
            acted = measures.mask_picture(result.mask, result.face)
            tile.mask = self.files.picture(acted, f"{name}_mask", note)
        return tile

    def _add_truth(
        self,
        seen: Comparison,
        exact: Exact,
        subject: Subject,
        prompt: str,
        *,
        wait: bool,
    ) -> None:
        """Put the renderer's own edit among the tiles, once it is there."""
        there = any(tile.name == "truth" for tile in seen.tiles)
        if exact is None or there or not (wait or exact.done()):
            return
        try:
            truth, took = exact.result(timeout=PATIENCE)
        except TimeoutError:
            seen.failed.append("Ground truth: the renderer took too long")
            return
        if truth is None or subject.person is None:
            words = "There is no ground truth: the renderer does not draw what the sentence says."
            if words not in seen.failed:
                seen.failed.append(words)
            return
        backbones = self.subjects.loader.get().backbones
        path = self.files.picture(to_pil(truth.image), "truth", Provenance(SourceType.RENDERED))
        original = subject.person.image.to(subject.face.image)
        drawn = replace(subject.face, image=original)
        found = measures.scores(drawn, truth.image, prompt, backbones)
        tile = Tile(
            "truth",
            "Ground truth",
            path,
            path,
            round(took, 3),
            found.get("clip_gain"),
            found.get("identity"),
            note=f"the renderer sets {in_words(truth)}",
        )
        if backbones.attributes is not None:
            meant = attributes_of(statements_of(prompt))
            after = truth.image.to(original)
            tile.collateral = measures.collateral(original, after, meant, backbones)
        seen.tiles.append(tile)

    def _show(
        self, seen: Comparison, whole: bool, doing: str = "", packed: str | None = None
    ) -> tuple[Any, ...]:
        """Return what the widgets show; while it is `doing` something, that in place of words."""
        words = doing or measures.verdict(seen.tiles)
        if seen.failed:
            words += "\n\n" + "\n".join(f"- {line}" for line in seen.failed)
        pair, layers, acted = self.choose(seen, whole)
        return (
            tiles_of(seen, whole),
            measures.table(seen.tiles),
            words,
            pair,
            layers,
            acted,
            packed,
            [tile.facts() for tile in seen.tiles],
            seen,
        )

    def choose(self, seen: Comparison, whole: bool) -> tuple[Any, str, Any]:
        """Return the chosen tile's before and after, its layers, and where it acted."""
        if not seen.tiles:
            return None, "", None
        tile = seen.tiles[min(seen.chosen, len(seen.tiles) - 1)]
        before = seen.before if whole else seen.redrawn
        if tile.name == "truth":
            before = seen.rendered
        words = measures.chosen(tile)
        return (before, tile.whole if whole else tile.face), words, tile.mask

    def select(self, seen: Comparison, whole: bool, event: gr.SelectData) -> tuple[Any, ...]:
        """Show the tile that was clicked in the slider."""
        seen.chosen = int(event.index)
        return (*self.choose(seen, whole), seen)

    def paste(self, seen: Comparison, whole: bool) -> tuple[Any, ...]:
        """Show the results in the photo or the faces alone; nothing is computed again."""
        return (tiles_of(seen, whole), *self.choose(seen, whole))


def _timed_truth(someone: Person, prompt: str) -> tuple[Truth | None, float]:
    """Render the exact edit and say how long it took."""
    start = time.perf_counter()
    truth = truth_of(someone, prompt)
    return truth, time.perf_counter() - start


def _packed(seen: Comparison) -> Any:
    """Let the zip be downloaded once there is one."""
    return gr.update(interactive=bool(seen.tiles))


def tiles_of(seen: Comparison, whole: bool) -> list[tuple[str, str]]:
    """Return the tiles for the gallery."""
    return [(tile.whole if whole else tile.face, tile.caption) for tile in seen.tiles]


def label(result: Any, base: str, subject: Subject) -> Provenance:
    """Return what a result's metadata say."""
    owner = base.split("/")[0] if base.count("/") == 1 else "faceedit"
    models = (base, f"{owner}/{result.request.method.replace('_', '-')}")
    kind = SourceType.EDITED if subject.photo is not None else SourceType.GENERATED
    return Provenance(kind, result.request.method, models, result.request.prompt)


def build(page: Compare, inputs: Inputs, stage: StageWidgets) -> dict[str, Any]:
    """Make the tab's widgets, connect them, and return those that a link can set."""
    choices = page.menu.choices()
    with gr.Row():
        go = gr.Button(
            "Compare", variant="primary", scale=4, elem_id="compare", elem_classes="fe-go"
        )
        stop = gr.Button("Stop", scale=1, min_width=80, elem_id="stop")
    with gr.Accordion("Which methods", open=False):
        methods = gr.CheckboxGroup(
            [(choice.label, choice.name) for choice in choices],
            value=[choice.name for choice in choices if choice.fast],
            show_label=False,
            info="Fast ones are ticked. The others compute for every face: tick them to wait.",
            elem_id="methods",
        )
    best = gr.Markdown(elem_id="verdict", elem_classes="fe-live")
    gallery = gr.Gallery(
        label="Click a result to see it large",
        format="png",
        columns=5,
        fit_columns=False,
        height="auto",
        object_fit="contain",
        allow_preview=False,
        interactive=False,
        elem_id="tiles",
    )
    with gr.Accordion("Measures", open=False):
        table = gr.HTML(elem_id="table")
        layers = gr.HTML(elem_id="layers")
        acted = gr.Image(
            label="Where it acted",
            format="png",
            type="filepath",
            height=200,
            interactive=False,
            buttons=["download"],
            elem_id="where",
        )
    packed = gr.DownloadButton(
        "Download everything (zip with settings.json)", interactive=False, elem_id="zip"
    )
    facts = gr.JSON(label="measures", visible="hidden")
    seen = gr.State(Comparison(), time_to_live=3600)
    pair, strength, whole, seed = stage.pair, stage.strength, inputs.whole, inputs.seed

    outputs = [gallery, table, best, pair, layers, acted, packed, facts, seen]
    running = go.click(
        GPU(duration=page.duration)(page.compare),
        [*inputs.values, methods, strength, whole, seed],
        outputs,
        api_name="compare",
        validator=check,
        show_progress="minimal",  # the full one would cover the tiles that are there already
        show_progress_on=[best],
        **COMPUTE,
    )
    go.click(None, None, None, js=NEW, **LIGHT)
    running.then(_packed, seen, packed, **LIGHT)
    stopped = stop.click(None, cancels=[running], **LIGHT)
    stopped.then(GPU(page.finish), [seen, whole], outputs, **LIGHT).then(
        _packed, seen, packed, **LIGHT
    )
    gallery.select(page.select, [seen, whole], [pair, layers, acted, seen], **LIGHT)
    whole.input(page.paste, [seen, whole], [gallery, pair, layers, acted], **LIGHT)
    return {"methods": methods}
