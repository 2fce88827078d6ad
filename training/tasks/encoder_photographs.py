"""What photographs add to the encoder's training: their lessons, and how wrong their codes are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones.attributes import encode
from faceedit.backbones.segmenter import Segmenter
from faceedit.world import SPECS
from training.config import ConfigError
from training.data.augment import augment
from training.data.shards import WorldBatch
from training.photographs.lessons import Lesson, PhotoLessons, attribute_of_columns
from training.tasks.attributes import HEADS, lens

if TYPE_CHECKING:
    from training.tasks.encoder import EncoderTask

__all__ = ["PhotoTeacher", "character_error"]

READ_NUMBER = 4.0  # weight of a number's squared error beside a choice's cross-entropy


class PhotoTeacher:
    """Labelled photographs beside the renders of every batch.

    Args:
        task: Its encoder, as it is before it learns, fills what the labels do not say.

    Raises:
        ConfigError: If there is no encoder to go on from, or the folder cannot be used.
    """

    def __init__(self, task: EncoderTask) -> None:
        self.task = task
        o = task.options
        if not o.init_weights:
            raise ConfigError("photographs need an encoder to go on from: give init_weights too")
        size = task.generator.config.resolution
        self.lessons = PhotoLessons(Path(o.photographs), size, o.photo_fold, o.photo_folds)
        segmenter = task.reads("segmenter", Segmenter, 1.0)
        encoder = task.encoder.eval()
        self.lessons.prepare(encoder, segmenter, task.reading, task.attribute_mapping)
        self.columns = attribute_of_columns()
        self.columns_each = torch.bincount(self.columns).clamp(max=2)[self.columns]

    def batch(self, renders: WorldBatch) -> tuple[WorldBatch, Lesson]:
        """Return renders, some in other places or under cloth, and photographs."""
        o = self.task.options
        renders = self.lessons.changed(renders, o.covered, o.other_place)
        return renders, self.lessons.draw(o.photo_batch_size)

    def terms(self, lesson: Lesson, code: Tensor) -> dict[str, Tensor]:
        """Return how far codes of photographs, [n, num_ws, w_dim], are from their characters'."""
        task, o = self.task, self.task.options
        off = code - task.exact(lesson.attributes)
        counts = lesson.weights[:, self.columns] / self.columns_each
        said = (off @ task.reading).square() * counts[:, None]
        terms = {
            "photo_w": o.weight_photo_w * (off @ task.scales).square().mean(),
            "photo_said": o.weight_photo_said * said.mean(),
        }
        if task.size == task.generator.config.resolution and o.weight_photo_drawn:
            drawn = augment(task.generator.synthesis(code), lens(1.0))
            error = character_error(task.reader.raw(drawn), lesson)
            terms["photo_drawn"] = o.weight_photo_drawn * error
        return terms


def character_error(raw: dict[str, Tensor], lesson: Lesson) -> Tensor:
    """Return how far what was read off drawn portraits is from what photographs show; a scalar."""
    errors, names = [], list(SPECS)
    for head in HEADS:
        i = names.index(head.name)
        true, weight = lesson.attributes.values[:, i], lesson.weights[:, i]
        if head.values:
            loss = F.cross_entropy(raw[head.name], true.round().long(), reduction="none")
            loss = loss / math.log(len(head.values))
        else:
            loss = READ_NUMBER * (raw[head.name] - encode(head, true)).square().sum(1)
        errors.append((weight * loss).mean())
    return torch.stack(errors).mean()
