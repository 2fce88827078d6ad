"""Faces of which nobody knows the truth: random samples of the generator, and photographs."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

from faceedit.editor import FaceEditor
from faceedit.errors import FaceEditError
from faceedit.inversion import invert, to_tensor
from faceedit.photo import align
from faceedit.types import Face, Space
from faceedit.world import FaceAttributes
from training.benchmark.faces import Case, EvaluationSet
from training.benchmark.judges import Judges
from training.benchmark.people import Item
from training.benchmark.prompts import PROMPTS, fits
from training.config import ConfigError
from training.publish.gallery import photo_files

__all__ = ["PhotoSet", "SampleSet"]

SAMPLE_PSI = 0.8


class _JudgedSet(EvaluationSet):
    """Faces of which nobody knows the truth: the judge says which prompts are false of them."""

    def __init__(self, editor: FaceEditor, judges: Judges, faces: int, count: int) -> None:
        super().__init__(editor, [])
        self.judges = judges
        prompts = list(PROMPTS.values())
        for index in range(count):
            face = index % faces
            person = self._person(face)
            start = index + index // faces
            turned = [prompts[(start + k) % len(prompts)] for k in range(len(prompts))]
            suited = [prompt for prompt in turned if bool(fits(prompt, person))]
            self.items.append(Item(index, face, (suited or turned)[0]))

    def _face(self, number: int) -> tuple[Face, Tensor]:
        """Return a face as the generator draws it, and what it was made from."""
        raise NotImplementedError

    def _person(self, number: int) -> FaceAttributes:
        return self.judges.look(self._face(number)[1]).people

    def _make(self, item: Item) -> Case:
        source, photo = self._face(item.face)
        return Case(item, source, photo, self._person(item.face))


class SampleSet(_JudgedSet):
    """Random faces of the generator: no inversion stands between a method and its face."""

    name = "samples"

    def __init__(self, editor: FaceEditor, judges: Judges, count: int) -> None:
        super().__init__(editor, judges, max(count, 1), count)

    def _face(self, number: int) -> tuple[Face, Tensor]:
        face = self.editor.sample(number, SAMPLE_PSI)
        return face, face.image


class PhotoSet(_JudgedSet):
    """Photographs of a folder, each with several prompts.

    Raises:
        ConfigError: If no face is found in any of them.
    """

    name = "photos"

    def __init__(self, editor: FaceEditor, judges: Judges, count: int, folder: Path) -> None:
        self.faces: list[tuple[Face, Tensor]] = []
        self.failed: dict[str, str] = {}
        self.digest = ""
        prints = hashlib.sha256()
        size = editor.backbones.require("generator", "the benchmark").config.resolution
        for path in photo_files(folder):
            try:
                crop = to_tensor(align(path, None, size, framing=editor.framing).image)
            except FaceEditError as error:
                self.failed[path.name] = str(error)
                continue
            prints.update(crop.numpy().tobytes())
            crop = crop.to(editor.backbones.generator.w_avg)
            self.faces.append((invert(crop, Space.W_PLUS, editor.backbones), crop))
        if not self.faces:
            raise ConfigError(f"no face was found in {folder}")
        self.digest = prints.hexdigest()[:8]
        super().__init__(editor, judges, len(self.faces), min(count, 8 * len(self.faces)))

    @property
    def version(self) -> str:
        """Also what the photos are."""
        return f"{super().version}-{self.digest}"

    def _face(self, number: int) -> tuple[Face, Tensor]:
        return self.faces[number]
