"""From an edit to its numbers: what is written down of one case and one row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from faceedit.backbones.attributes import AttributeHead
from faceedit.editor import FaceEditor
from faceedit.words.sentence import read
from training.benchmark.contestants import NEUTRAL
from training.benchmark.faces import Case
from training.benchmark.judges import (
    Judges,
    Look,
    changed_region,
    collateral,
    feature_distance,
    masked_psnr,
    others_in_sight,
    progress,
    shares_of,
    success,
)
from training.benchmark.row import Edit, Row
from training.benchmark.typed import typed

__all__ = ["Measurer"]

FAST_EXTRAS, SLOW_EXTRAS = 4, 6  # every how many items are also undone and paraphrased


@dataclass(frozen=True)
class Seen:
    """What the judges make of a case before anybody edits it."""

    source: Look
    photo: Look
    truth: Look | None
    heads: list[AttributeHead]  # that an edit should leave
    region: Tensor | None  # [1, 1, h, w], where the true edit can be seen
    fit: Tensor  # [], the training CLIP's cosine of source and sentence
    target: Tensor  # [d], the sentence


class Measurer:
    """Measures edits; what it sees of a case is kept with the case."""

    def __init__(self, editor: FaceEditor, judges: Judges, extras: bool = True) -> None:
        self.editor = editor
        self.judges = judges
        self.extras = extras  # whether some edits are also undone and paraphrased

    @torch.no_grad()
    def seen(self, case: Case) -> Seen:
        """Return what is seen of a case beforehand."""
        if "seen" not in case.cache:
            case.cache["seen"] = self._see(case)
        found: Seen = case.cache["seen"]
        return found

    def _see(self, case: Case) -> Seen:
        judges, prompt = self.judges, case.item.prompt
        heads = judges.reader.config.heads
        before, after = shares_of(case.segmentation), shares_of(case.truth_segmentation)
        others = others_in_sight(prompt, heads, case.person, before, after or before)
        clip = self.editor.backbones.clip
        target = read(prompt.text, NEUTRAL, clip).target[0]
        region = None if case.truth is None else changed_region(case.photo, case.truth)
        return Seen(
            judges.look(case.source.image),
            judges.look(case.photo),
            None if case.truth is None else judges.look(case.truth),
            others,
            region,
            (clip.encode_image(case.source.image)[0] @ target).cpu(),
            target,
        )

    def record(self, row: Row, case: Case) -> tuple[dict[str, Any], Tensor]:
        """Edit a case at every strength and return the record, and the picture of strength 1."""
        item = case.item
        edits = row.sweep(case, item.prompt.text, row.strengths)
        middle = edits[row.strengths.index(1.0)]
        images = torch.cat([edit.image for edit in edits])
        look, numbers = self.numbers(case, images, row.of_photo)
        record: dict[str, Any] = {
            "item": item.index,
            "face": item.face,
            "prompt": item.prompt.key,
            "seconds": middle.seconds,
            "strengths": {str(a): numbers[k] for k, a in enumerate(row.strengths)},
            "start": self._start(case),
            "pooled": look.pooled[row.strengths.index(1.0)],
        }
        every = SLOW_EXTRAS if row.slow else FAST_EXTRAS
        if self.extras and row.method and item.index % every == 0:
            record |= self._extras(row, case, middle, look)
        if row.method and (not row.slow or item.index % every == 0):
            record["typed"] = self._typed(row, case)
        return record, middle.image

    @torch.no_grad()
    def numbers(
        self, case: Case, images: Tensor, of_photo: bool = False
    ) -> tuple[Look, list[dict[str, float]]]:
        """Return what the judges see in edits of a case, [n, 3, h, w], and their numbers.

        Args:
            case: What was edited.
            images: The edits.
            of_photo: Whether they are edits of the photo, and not of the source.
        """
        seen, prompt = self.seen(case), case.item.prompt
        before, start = seen.source, case.source.image
        if of_photo:
            before, start = seen.photo, case.photo
        look = self.judges.look(images)
        true = success(prompt, look)
        clip = self.editor.backbones.clip
        columns: dict[str, Tensor] = {
            "success": true.all(1).float(),
            "share": true.float().mean(1),
            "progress": progress(prompt, look),
            "identity": look.identity @ before.identity[0],
            "identity_photo": look.identity @ seen.photo.identity[0],
            "collateral": collateral(self.judges, seen.heads, before, look),
            "clip_gain": (clip.encode_image(images) @ seen.target).cpu() - seen.fit,
        }
        if seen.region is not None and seen.truth is not None and case.truth is not None:
            inside, outside = seen.region, 1 - seen.region
            columns |= {
                "psnr_in": masked_psnr(images, case.truth, inside),
                "psnr_out": masked_psnr(images, case.truth, outside),
                "kept_out": masked_psnr(images, start, outside),
                "feature_in": feature_distance(look.maps, seen.truth.maps, inside),
                "feature_out": feature_distance(look.maps, seen.truth.maps, outside),
            }
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        return look, [dict(zip(columns, row, strict=True)) for row in rows]

    def _start(self, case: Case) -> dict[str, float]:
        """Return what the judge reads off the unedited face: where every curve begins."""
        seen, prompt = self.seen(case), case.item.prompt
        return {
            "success": float(success(prompt, seen.source).all()),
            "progress": float(progress(prompt, seen.source)[0]),
        }

    def _typed(self, row: Row, case: Case) -> dict[str, float]:
        """Ask for the edit as people type; who refuses leaves the face as it was."""
        edit = row.asked(case, typed(case.item.prompt, case.item.index))
        start = case.photo if row.of_photo else case.source.image
        image = start if edit is None else edit.image
        numbers = self.numbers(case, image, row.of_photo)[1][0]
        return {name: numbers[name] for name in ("success", "identity", "collateral")}

    def _extras(self, row: Row, case: Case, edit: Edit, look: Look) -> dict[str, Any]:
        """Undo the edit, and say the sentence in other words."""
        seen, prompt = self.seen(case), case.item.prompt
        found: dict[str, Any] = {}
        undone = None if edit.face is None else row.undo(case, edit.face, prompt.text)
        if undone is not None:
            whole = torch.ones_like(undone[:, :1])
            maps = self.judges.look(undone).maps
            found["undone"] = float(feature_distance(maps, seen.source.maps, whole)[0])
            found["undone_psnr"] = float(masked_psnr(undone, case.source.image, whole)[0])
        others = [row.sweep(case, text, (1.0,))[0].image for text in prompt.texts[1:]]
        if others:
            said = self.judges.look(torch.cat(others))
            place = row.strengths.index(1.0)
            plain = progress(prompt, look)[place : place + 1]
            scores = torch.cat([plain, progress(prompt, said)])
            found["paraphrase_std"] = float(scores.std(correction=0))
            found["paraphrase_success"] = float(success(prompt, said).all(1).float().mean())
        return found
