"""A step of the counterfactual method: edits compared with true ones, and edits that are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from faceedit.backbones import Backbones
from faceedit.losses.true_edits import Meaning
from faceedit.methods.counterfactual import Counterfactual
from faceedit.types import Face, Latent
from training.data.augment import Augmentation, augment
from training.data.shards import mix

if TYPE_CHECKING:
    from training.tasks.counterfactual import CounterfactualTask

LOOKING = 7  # of the draws that a step makes: the camera's
CAMERA = Augmentation(color=0.15, blur=0.7, noise=0.04, rotation=2.0, scale=0.03, shift=0.015)
Pair = tuple[Face, Counterfactual]


class Undrawn:
    """A generator that draws nothing: images have one pixel, everything else is the generator's."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def synthesis(self, w_plus: Tensor) -> Tensor:
        """Return one black pixel a code."""
        return w_plus.new_zeros(len(w_plus), 3, 1, 1)


class ThroughCamera:
    """A reader of attributes that sees pictures as a camera took them, in every call alike."""

    def __init__(self, reader: Any, seed: int) -> None:
        self._reader, self._seed = reader, seed

    def raw(self, image: Tensor) -> dict[str, Tensor]:
        """Return the reader's raw answers for images [n, 3, h, w]."""
        with torch.random.fork_rng(devices=[image.device] if image.is_cuda else []):
            torch.manual_seed(self._seed)
            answers: dict[str, Tensor] = self._reader.raw(augment(image, CAMERA))
        return answers


class CounterfactualStep(nn.Module):
    """Edit with strength 1, 2 and -1 as a user would, then score by the method's objective."""

    def __init__(self, task: CounterfactualTask) -> None:
        super().__init__()
        self.method = task.method
        self._task = (task,)

    def forward(self, added: Pair, overdone: Pair, taken: Pair) -> dict[str, Tensor]:
        """Return the terms, each the mean over all edits of the three kinds."""
        backbones = self._task[0].used
        total = sum(len(source.image) for source, _ in (added, overdone, taken))
        terms: dict[str, Tensor] = {}
        kinds = ((1.0, added), (2.0, overdone), (-1.0, taken))
        for strength, (source, sentence) in kinds:
            share = len(source.image) / total
            if share == 0:
                continue
            exact = replace(sentence, meaning=None)  # codes decide; what is drawn comes below
            edited = self.method(source, exact, backbones, strength)
            scores = self.method.objective(source, edited, exact, backbones)
            for name, value in scores.items():
                terms[name] = terms.get(name, 0.0) + share * value
        if self._task[0].looking:
            for found in (self._compared(*added), self._looked_at(*overdone)):
                for name, value in found.items():
                    terms[name] = terms.get(name, 0.0) + value
        return terms

    def _drawing(self) -> Backbones:
        """Return networks that draw, with the base's reader behind a camera of this step."""
        task = self._task[0]
        reader = task.looked.require("attributes", "a look at the edits")
        camera: Any = ThroughCamera(reader, mix(task.config.seed, task.global_step, LOOKING))
        return replace(task.backbones, attributes=camera)

    def _compared(self, source: Face, sentence: Counterfactual) -> dict[str, Tensor]:
        """Return how some edits of strength 1 differ from the true ones in what can be seen."""
        task, truth, meaning = self._task[0], sentence.truth, sentence.meaning
        assert truth is not None and meaning is not None
        few = torch.arange(min(task.options.reader_phase_true_edits, len(sentence.target)))
        if len(few) == 0:
            return {}
        drawn = self._drawing()
        with torch.no_grad():
            source, truth = (_drawn(face, few, drawn) for face in (source, truth))
            seen = drawn.require("attributes", self.method.name).raw(truth.image)
        sentence = _said(sentence, few, seen, truth)
        return self.method.objective(source, self.method(source, sentence, drawn), sentence, drawn)

    def _looked_at(self, source: Face, sentence: Counterfactual) -> dict[str, Tensor]:
        """Return what the reader thinks of some edits of strength 2; {} if it can judge none."""
        task, meaning = self._task[0], sentence.meaning
        assert meaning is not None
        asked = [wanted.any(dim=1) for wanted in meaning.wanted.values()]
        legible = torch.stack([*asked, *(way != 0 for way in meaning.rising.values())]).any(dim=0)
        few = legible.nonzero()[: task.options.reader_phase_edits, 0]
        if len(few) == 0:
            return {}
        drawn = self._drawing()
        source = Face(source.image[few], Latent(source.latent.code[few], source.latent.space))
        with torch.no_grad():
            once = self.method(source, _said(sentence, few, {}), drawn, 1.0)
            seen = drawn.require("attributes", self.method.name).raw(once.image)
        sentence = _said(sentence, few, seen)
        return self.method.objective(
            source, self.method(source, sentence, drawn, 2.0), sentence, drawn
        )


def _drawn(face: Face, chosen: Tensor, backbones: Backbones) -> Face:
    """Return some of the faces, drawn."""
    code = face.latent.code[chosen]
    return Face(backbones.generator.synthesis(code), Latent(code, face.latent.space))


def _said(
    sentence: Counterfactual, chosen: Tensor, seen: Mapping[str, Tensor], truth: Face | None = None
) -> Counterfactual:
    """Return some of the sentences, with what a reader saw."""
    assert sentence.meaning is not None
    target, meaning = sentence.target[chosen], sentence.meaning
    wanted, meant, rising = (
        {name: column[chosen] for name, column in columns.items()}
        for columns in (meaning.wanted, meaning.meant, meaning.rising)
    )
    meaning = Meaning(wanted, meant, seen, rising)
    return Counterfactual(("",) * len(chosen), "", target, 0 * target, truth, meaning)
