"""The attribute reader, trained on the world's exact attributes; also the judge of another shape.

`attributes` and `judge_attributes` are this one task with two recipes: the judge, which is used for
measuring only, has another seed, other widths, and measures colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.attributes import (
    AttributeHead,
    AttributeReader,
    AttributesConfig,
    encode,
)
from faceedit.hub import save_network
from faceedit.metrics.attributes import in_sight, reading_accuracy, region_shares
from faceedit.world import REGIONS, SPECS
from faceedit.world.attributes import CIRCULAR
from training.config import TrainConfig
from training.data.augment import Augmentation, augment
from training.data.shards import WorldBatch, WorldShards
from training.memory import keep_freed_memory
from training.task import Task, Turn

__all__ = ["HEADS", "AttributesTask"]

UNREADABLE = ("hair_phase",)  # means nothing by itself
HEADS = tuple(
    AttributeHead(spec.name, spec.low, spec.high, spec.values, spec.name in CIRCULAR)
    for spec in SPECS.values()
    if spec.name not in UNREADABLE
)
LEAST_SEEN = 0.15  # share of a batch, at least, by which an attribute's loss is divided
CHOICES = {spec.name: spec.values for spec in SPECS.values() if spec.categorical}


@dataclass(frozen=True)
class AttributesOptions:
    """Size of the reader, and what it is trained to bear."""

    widths: tuple[int, ...] = (32, 64, 96, 128)
    depth: int = 1
    hidden: int = 192
    dropout: float = 0.1
    colors: int = 0  # places whose colour is measured
    fovea: tuple[int, ...] = ()  # top, bottom, left, right of a second look, px; none if empty
    fovea_widths: tuple[int, ...] = (32, 56, 80)
    fovea_colors: int = 8
    robust: float = 1.0  # strength of blur, noise and misalignment; 0 trains on clean renders
    out_of_sight: float = 0.1  # weight of attributes that the picture hides
    balance_values: bool = False  # attributes that are seldom in sight weigh as much as the others
    balance: float = 0.6  # weight ~ (1 / frequency) ** balance; 1 makes all values count alike
    evaluation_images: int = 1000


class Balance:
    """Weights that let rare values of an attribute count more, from how often they occur."""

    def __init__(self, values: Tensor, power: float) -> None:
        self.weights: dict[str, Tensor] = {}
        self.variance: dict[str, float] = {}
        for head in HEADS:
            column = values[:, list(SPECS).index(head.name)]
            bins = self._bins(head, column)
            share = torch.bincount(bins, minlength=self.count(head)).float() / len(bins)
            weight = share.clamp(min=2e-3) ** -power
            self.weights[head.name] = weight / (weight * share).sum()
            if not head.values:
                raw = encode(head, column)
                self.variance[head.name] = float(raw.var(0).sum().clamp(min=1e-3))

    @staticmethod
    def count(head: AttributeHead) -> int:
        """How many bins an attribute has."""
        return len(head.values) or (1 if head.circular else 8)

    def _bins(self, head: AttributeHead, column: Tensor) -> Tensor:
        if head.values:
            return column.round().long()
        share = (column - head.low) / (head.high - head.low)
        count = self.count(head)
        return (share * count).long().clamp(0, count - 1)

    def of(self, head: AttributeHead, column: Tensor) -> Tensor:
        """Return the weight of every value, [n]."""
        return self.weights[head.name].to(column.device)[self._bins(head, column)]


class AttributesStep(nn.Module):
    """Weighted cross-entropy for choices, weighted squared error over variance for numbers."""

    def __init__(self, reader: AttributeReader, task: AttributesTask) -> None:
        super().__init__()
        self.reader = reader
        self.task = (task,)  # in a tuple: the task is not a submodule

    def forward(self, batch: WorldBatch) -> dict[str, Tensor]:
        """Score what is read off augmented renders."""
        task, options = self.task[0], self.task[0].options
        raw = self.reader.raw(augment(batch.image, lens(options.robust)))
        return reading_losses(
            raw, batch, task.balance, options.out_of_sight, options.balance_values
        )


def reading_losses(
    raw: dict[str, Tensor],
    batch: WorldBatch,
    balance: Balance,
    out_of_sight: float = 0.1,
    balance_values: bool = True,
) -> dict[str, Tensor]:
    """Return how far what was read is from the truth: the mean over choices and over numbers.

    Args:
        raw: What `AttributeReader.raw` gave for pictures of the people of `batch`.
        batch: The truth, and what of it is in sight.
        balance: Weights of the values.
        out_of_sight: Weight of attributes that a picture hides.
        balance_values: Attributes that are seldom in sight weigh as much as the others.
    """
    truth = {name: batch.attributes.column(name) for name in SPECS}
    shares = region_shares(batch.segmentation, REGIONS)
    mean = balanced_mean if balance_values else _mean
    choices, numbers = [], []
    for head in HEADS:
        true, answer = truth[head.name], raw[head.name]
        seen = in_sight(head.name, truth, CHOICES, shares).float()
        weight = balance.of(head, true) * (out_of_sight + (1 - out_of_sight) * seen)
        if head.values:
            loss = F.cross_entropy(answer, true.round().long(), reduction="none")
            choices.append(mean(weight, loss) / math.log(len(head.values)))
        else:
            error = (answer - encode(head, true)).square().sum(1)
            numbers.append(mean(weight, error) / balance.variance[head.name])
    return {"choices": torch.stack(choices).mean(), "numbers": torch.stack(numbers).mean()}


def _mean(weight: Tensor, loss: Tensor) -> Tensor:
    return (weight * loss).mean()


def balanced_mean(weight: Tensor, loss: Tensor) -> Tensor:
    """Return the mean of losses [n] over what counts, whatever its share of the batch."""
    # The floor keeps one picture, the only one with a hat, from deciding the whole step.
    return (weight * loss).sum() / weight.sum().clamp(min=LEAST_SEEN * len(weight))


def lens(strength: float) -> Augmentation:
    """Return what the reader must bear; colours stay, because they are what it reads."""
    return Augmentation(
        color=0.08 * strength,
        blur=0.9 * strength,
        noise=0.05 * strength,
        coarse=0.08 * strength,
        rotation=2 * strength,
        scale=0.03 * strength,
        shift=0.015 * strength,
    )


class AttributesTask(Task):
    """Trains `AttributeReader` on `train`, measures balanced accuracy on `heldout`."""

    options_class: ClassVar[type] = AttributesOptions
    averaged: ClassVar[tuple[str, ...]] = ("reader",)
    options: AttributesOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        if device.type == "cpu":
            keep_freed_memory()
        o = self.options
        self.reader = AttributeReader(
            AttributesConfig(
                HEADS,
                widths=o.widths,
                depth=o.depth,
                hidden=o.hidden,
                dropout=o.dropout,
                colors=o.colors,
                fovea=o.fovea,
                fovea_widths=o.fovea_widths,
                fovea_colors=o.fovea_colors,
            )
        )

    def modules(self) -> dict[str, nn.Module]:
        """The reader alone."""
        return {"reader": self.reader}

    def turns(self) -> list[Turn]:
        """One turn."""
        return [Turn("reader", AttributesStep(self.reader, self))]

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Open the training renders and count how often each value occurs."""
        folder = self.config.data_path / "train"
        self.data = WorldShards(folder, recorded, self.config.seed, flip=True, device=self.device)
        values = torch.cat([shard.values for shard in self.data.shards]).float()
        self.balance = Balance(values, self.options.balance)
        return self.data.state()

    def batch(self, positions: range) -> WorldBatch:
        """Return renders, half of them mirrored."""
        return self.data.batch(positions)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return the balanced accuracy over clearly visible values: the mean, and each."""
        reader = self.averaged_or_live("reader")
        assert isinstance(reader, AttributeReader)
        data = WorldShards(self.config.data_path / "heldout", device=self.device)
        count = min(self.options.evaluation_images, len(data))
        answers: list[dict[str, Tensor]] = []
        values, shares = [], []
        for start in range(0, count, 50):
            batch = data.rows(range(start, min(start + 50, count))).to(self.device)
            answers.append({k: v.cpu() for k, v in reader.read(batch.image).items()})
            values.append(batch.values.cpu())
            seen = region_shares(batch.segmentation, REGIONS)
            shares.append({name: share.cpu() for name, share in seen.items()})
        truth = dict(zip(SPECS, torch.cat(values).unbind(1), strict=True))
        accuracy = reading_accuracy(HEADS, _joined(answers), truth, _joined(shares))
        known = {name: value for name, value in accuracy.items() if not math.isnan(value)}
        kinds = {head.name: bool(head.values) for head in HEADS}
        mean = {
            kind: [v for name, v in known.items() if kinds[name] == choice]
            for kind, choice in (("choices", True), ("numbers", False))
        }
        return {
            "balanced_accuracy": sum(known.values()) / max(len(known), 1),
            **{f"balanced_accuracy/{kind}": sum(v) / max(len(v), 1) for kind, v in mean.items()},
            "images": count,
            **{f"accuracy/{name}": value for name, value in known.items()},
        }

    def export(self, folder: Path) -> None:
        """Write the averaged reader."""
        save_network(self.averaged_or_live("reader"), folder)


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
