"""Baselines that bracket every method: they know the truth, or nothing; none reads the sentence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from faceedit.editor import FaceEditor
from faceedit.inversion import invert
from faceedit.types import Face, Latent, Space
from training.benchmark.faces import Case
from training.benchmark.row import Edit, Row
from training.config import ConfigError

RANDOM_SHARE = 0.5  # of a face's distance from the mean face: a random step where no truth is known


class NoEdit(Row):
    """The face as it was: the floor of success, the ceiling of preservation."""

    name = "no_edit"
    strengths = (1.0,)

    def sweep(self, case: Case, text: str, strengths: Sequence[float]) -> list[Edit]:
        """Return the source."""
        del text
        return [Edit(case.source.image, case.source) for _ in strengths]


class Oracle(Row):
    """The true edit, rendered: what the judge makes of a perfect answer."""

    name = "oracle"
    strengths = (1.0,)
    needs_truth = True
    of_photo = True

    def sweep(self, case: Case, text: str, strengths: Sequence[float]) -> list[Edit]:
        """Return the render of the true edit."""
        del text
        return [Edit(_known(case.truth)) for _ in strengths]


class OracleInverted(Row):
    """The true edit as the generator draws it: the ceiling of whoever moves a code.

    Strength goes along the straight line from the source's code to the true edit's.
    """

    name = "oracle_inverted"
    needs_truth = True

    def __init__(self, editor: FaceEditor) -> None:
        self.editor = editor

    def sweep(self, case: Case, text: str, strengths: Sequence[float]) -> list[Edit]:
        """Return G(w + strength * (w_true - w))."""
        del text
        step = true_code(case, self.editor) - case.source.latent.code
        return [moved(case.source, a * step, self.editor) for a in strengths]


class RandomFace(Row):
    """Another person who has what was asked for: success without any preservation."""

    name = "random_face"
    strengths = (1.0,)
    needs_truth = True
    of_photo = True

    def sweep(self, case: Case, text: str, strengths: Sequence[float]) -> list[Edit]:
        """Return the stranger."""
        del text
        return [Edit(_known(case.stranger)) for _ in strengths]


class RandomDirection(Row):
    """A step of the true edit's size in a random direction: change without meaning."""

    name = "random_direction"

    def __init__(self, editor: FaceEditor) -> None:
        self.editor = editor

    def sweep(self, case: Case, text: str, strengths: Sequence[float]) -> list[Edit]:
        """Return G(w + strength * |w_true - w| d) for a random unit vector d."""
        del text
        code = case.source.latent.code
        if case.truth is not None:
            size = (true_code(case, self.editor) - code).norm()
        else:
            size = RANDOM_SHARE * (code - self.editor.backbones.generator.w_avg).norm()
        draws = torch.Generator().manual_seed(case.item.index)
        direction = torch.randn(code.shape, generator=draws).to(code)
        step = size * direction / direction.norm()
        return [moved(case.source, a * step, self.editor) for a in strengths]


def _known(image: Tensor | None) -> Tensor:
    if image is None:
        raise ConfigError("this baseline needs a set whose true edits are known: --set renders")
    return image


@torch.no_grad()
def true_code(case: Case, editor: FaceEditor) -> Tensor:
    """Return the code of the true edit as the encoder finds it; kept with the case."""
    if "true_code" not in case.cache:
        face = invert(_known(case.truth), Space.W_PLUS, editor.backbones)
        case.cache["true_code"] = face.latent.code
    code: Tensor = case.cache["true_code"]
    return code


@torch.no_grad()
def moved(source: Face, step: Tensor, editor: FaceEditor) -> Edit:
    """Return a face whose code is moved by a step, drawn anew."""
    generator, space = editor.backbones.generator, source.latent.space
    draw = generator.synthesis_from_styles if space is Space.S else generator.synthesis
    code = source.latent.code + step
    image = draw(code)
    return Edit(image, Face(image, Latent(code, space)))


def baselines(editor: FaceEditor, has_truth: bool) -> list[Row]:
    """Return the baselines that a set allows."""
    rows: list[Row] = [
        NoEdit(),
        Oracle(),
        OracleInverted(editor),
        RandomFace(),
        RandomDirection(editor),
    ]
    return [row for row in rows if has_truth or not row.needs_truth]
