"""What photographs add to the encoder's training: their lessons, and how wrong their codes are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.attributes import encode
from faceedit.backbones.encoder import Encoder
from faceedit.backbones.segmenter import Segmenter
from faceedit.world import SPECS
from training.config import ConfigError
from training.data.augment import augment
from training.data.shards import WorldBatch
from training.photographs.lessons import Lesson, PhotoLessons, attribute_of_columns
from training.tasks.attributes import HEADS, lens

if TYPE_CHECKING:
    from training.tasks.encoder import EncoderTask

__all__ = ["PhotoStep", "PhotoTeacher", "begin_photo_look", "character_error"]

DRAWN = 6  # photographs of a batch whose portraits are drawn and read
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
        """Return how far codes of photographs, [n, 1, w_dim], are from their characters'."""
        task, o = self.task, self.task.options
        off = code - task.exact(lesson.attributes)
        counts = lesson.weights[:, self.columns] / self.columns_each
        said = (off @ task.reading).square() * counts[:, None]
        terms = {
            "photo_w": o.weight_photo_w * (off @ task.scales).square().mean(),
            "photo_said": o.weight_photo_said * said.mean(),
        }
        if task.size == task.generator.config.resolution and o.weight_photo_drawn:
            codes = code[:DRAWN].expand(-1, task.generator.config.num_ws, -1)
            drawn = augment(task.generator.synthesis(codes), lens(1.0))
            error = character_error(task.reader.raw(drawn), lesson.first(DRAWN))
            terms["photo_drawn"] = o.weight_photo_drawn * error
        return terms


class PhotoStep(nn.Module):
    """Teach the part of the encoder that is for photographs; the other stays as it is."""

    def __init__(self, teacher: PhotoTeacher) -> None:
        super().__init__()
        self.look = teacher.task.encoder.photo_look
        self._teacher = (teacher,)

    def forward(self, batch: WorldBatch) -> dict[str, Tensor]:
        """Return the weighted terms."""
        from training.tasks.encoder import photograph

        (teacher,) = self._teacher
        task, o = teacher.task, teacher.task.options
        renders, lesson = teacher.batch(batch)
        image, _ = photograph(renders, o.camera_share)
        seen = torch.cat([lesson.image, image])
        count = len(lesson.image)
        code = self.look(seen).float() + task.encoder.w_avg
        off = code[count:] - task.exact(renders.attributes)
        distance = (off @ task.scales).square().mean()
        with torch.no_grad():
            coarse = task.encoder.body(torch.cat([lesson.image, batch.image]))[-1]
        is_photo = (torch.arange(len(seen), device=seen.device) < count).float()
        told = F.binary_cross_entropy_with_logits(self.look.logit(coarse), is_photo)
        terms = {"renders": o.weight_photo_renders * distance, "tell": o.weight_tell * told}
        return terms | teacher.terms(lesson, code[:count])


@torch.no_grad()
def begin_photo_look(encoder: Encoder) -> None:
    """Let the look at photographs begin as what the encoder makes of renders."""
    look = encoder.photo_look
    assert look is not None
    look.body.load_state_dict(encoder.body.state_dict())
    look.coarse.load_state_dict(encoder.coarse.state_dict())
    look.head.convs.load_state_dict(encoder.heads[0].convs.state_dict())
    look.head.linears[0].load_state_dict(encoder.heads[0].linears[0].state_dict())
    if look.second_look is not None:
        look.second_look.load_state_dict(encoder.second_look.state_dict())


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
