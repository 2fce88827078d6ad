"""Trains one mapper a sentence, all of them side by side in one run.

Every step draws one batch of faces, renders them once, and lets each sentence's mapper move by its
own loss with its own optimizer. The mappers share nothing but the sources, so the result is that of
as many separate runs, for less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from torch import Tensor, nn

from faceedit import hub
from faceedit.method import EditMethod
from faceedit.method_repo import folder_name, save_variants
from faceedit.types import Face, Sentence
from training.config import ConfigError, TrainConfig
from training.sheets import contact_sheet, save_sheet
from training.task import Turn
from training.tasks.method import (
    HELDOUT,
    SHEET_FACES,
    MethodOptions,
    MethodStep,
    MethodTask,
    edited_in_parts,
)

__all__ = ["MapperOptions", "MapperTask"]


@dataclass(frozen=True)
class MapperOptions(MethodOptions):
    """What a recipe says about the training of mappers: one for each of its prompts."""

    own: dict[str, Any] = field(default_factory=dict)  # prompt -> settings that differ from
    # `method`, like {"blue hair": {"coarse": false}}


class VariantStep(nn.Module):
    """A step of one mapper: the method's own, with the one sentence that it learns."""

    def __init__(self, step: MethodStep, sentence: Sentence) -> None:
        super().__init__()
        self.step = step
        self.sentence = sentence

    def forward(self, source: Face) -> dict[str, Tensor]:
        """Return the terms of the edit."""
        return dict(self.step(source, self.sentence))


class MapperTask(MethodTask):
    """A method that learns one sentence a set of weights, for all prompts of the recipe."""

    options_class = MapperOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        prompts, own = self.options.prompts, self.options.own
        strangers = sorted(set(own) - set(prompts))
        if strangers:
            raise ConfigError(f"`own` has settings for {strangers}, which are no prompts")
        if any("space" in settings for settings in own.values()):
            raise ConfigError("`own` names a space; all mappers of a run share their faces' codes")
        places = [folder_name(prompt) for prompt in prompts]
        if len(set(places)) < len(places) or not all(places):
            raise ConfigError(f"two prompts would share a folder: {places}")
        self.mappers = nn.ModuleDict()
        for prompt, place in zip(prompts, places, strict=True):
            settings = {**self.options.method, **own.get(prompt, {}), "sentence": prompt}
            self.mappers[place] = self.kind.build(self.backbones, **settings)

    def modules(self) -> dict[str, nn.Module]:
        """All mappers are trained."""
        return {"method": self.mappers}

    def turns(self) -> Sequence[Turn]:
        """One turn a sentence."""
        turns = []
        for number, (place, mapper) in enumerate(self.mappers.items()):
            assert isinstance(mapper, EditMethod)
            step = MethodStep(mapper, self.backbones)
            turns.append(Turn(place, VariantStep(step, self.sentences.pick([number]))))
        return turns

    def batch(self, positions: range) -> Face:
        """Return random faces; every mapper has its own sentence."""
        faces, _ = super().batch(positions)
        return faces

    def samples(self) -> PIL.Image.Image:
        """Return a sheet: a face a row, a sentence a column."""
        faces = self.faces(range(HELDOUT, HELDOUT + SHEET_FACES))
        columns = [faces.image]
        for number, mapper in enumerate(self._variants().values()):
            sentence = self.sentences.pick([number])
            columns.append(edited_in_parts(mapper, faces, sentence, self.backbones))
        images = torch.stack(columns, dim=1).flatten(0, 1)
        return contact_sheet(images, len(columns), ["source", *self.options.prompts])

    def evaluate(self) -> dict[str, float]:
        """Return each sentence's gain in CLIP's cosine, and the mean terms, on unseen faces."""
        size = self.config.train_batch_size
        rounds = max(1, self.options.evaluation_faces // size)
        clip, totals = self.backbones.clip, dict[str, float]()
        variants = self._variants()

        def count(name: str, value: Tensor, share: int) -> None:
            totals[name] = totals.get(name, 0.0) + float(value) / share

        for start in range(HELDOUT, HELDOUT + rounds * size, size):
            source = self.batch(range(start, start + size))
            before = clip.encode_image(source.image)
            for number, (prompt, mapper) in enumerate(variants.items()):
                sentence = self.sentences.pick([number])
                edited = mapper.edit(source, sentence, self.backbones)
                for name, value in mapper.objective(
                    source, edited, sentence, self.backbones
                ).items():
                    count(name, value, rounds * len(variants))
                gain = (clip.encode_image(edited.image) - before) @ sentence.target[0]
                count(f"{folder_name(prompt)}/clip_gain", gain.mean(), rounds)
        return totals

    def export(self, folder: Path) -> None:
        """Write the repo: an index, a subfolder a sentence, and a sheet."""
        base = self.config.base_path
        name, prints = f"{hub.OWNER}/{base.name}", hub.fingerprint(base)
        save_variants(self._variants(), folder, base=name, fingerprint=prints)
        save_sheet(self.samples(), folder / "samples" / "grid.jpg")

    def _variants(self) -> dict[str, EditMethod]:
        """Return the averaged mapper of every sentence."""
        best = self.averaged_or_live("method")
        assert isinstance(best, nn.ModuleDict)
        mappers = [mapper for mapper in best.values() if isinstance(mapper, EditMethod)]
        return dict(zip(self.options.prompts, mappers, strict=True))
