"""The segmenter, trained on the world's own region labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.segmenter import Segmenter, SegmenterConfig
from faceedit.hub import save_network
from faceedit.metrics.image import intersection_over_union
from faceedit.world import REGIONS
from training.config import TrainConfig
from training.data.augment import (
    Augmentation,
    augment,
    random_grid,
    replace_region,
    warp,
    warp_labels,
)
from training.data.shards import WorldBatch, WorldShards
from training.memory import keep_freed_memory
from training.sheets import contact_sheet
from training.task import Task, Turn

__all__ = ["SegmenterTask"]

LENS = Augmentation(color=0.6, gray=0.05, blur=1.2, noise=0.08, coarse=0.2)
ROTATION, SCALE, SHIFT = 8.0, 0.12, 0.06  # degrees, relative, share of the side
NEW_BACKGROUND = 0.4  # probability: photos have backgrounds that the world has not


@dataclass(frozen=True)
class SegmenterOptions:
    """Size of the network and weight of the second loss."""

    widths: tuple[int, ...] = (16, 48, 96, 128)
    weight_dice: float = 0.5
    balance: float = 0.4  # a region's pixels weigh ~ (1 / its share of the picture) ** balance
    evaluation_images: int = 1000


class SegmenterStep(nn.Module):
    """Cross-entropy, and a Dice loss that lets brows and earrings count as much as the hair."""

    def __init__(self, segmenter: Segmenter, task: SegmenterTask) -> None:
        super().__init__()
        self.segmenter = segmenter
        self._task = (task,)  # in a tuple: the task is no submodule

    def forward(self, batch: WorldBatch) -> dict[str, Tensor]:
        """Score the segmentation of augmented renders."""
        image, labels = batch.image, batch.segmentation
        image, _ = replace_region(image, labels, REGIONS.index("background"), NEW_BACKGROUND)
        grid = random_grid(image, ROTATION, SCALE, SHIFT)
        image, labels = warp(image, grid), warp_labels(labels, grid).long()
        # One pixel of every block, another one each step: all of them cost as much as the network.
        fold = self.segmenter.config.fold
        row, column = torch.randint(0, fold, (2,)).tolist()
        folded = self.segmenter.folded(augment(image, LENS))
        logits = folded[:, row * fold + column :: fold * fold].float()
        labels = labels[:, row::fold, column::fold]
        (task,) = self._task
        return {
            "cross_entropy": F.cross_entropy(logits, labels, task.region_weights),
            "dice": task.options.weight_dice * dice_distance(logits, labels),
        }


def region_weights(labels: Tensor, power: float) -> Tensor:
    """Return how much a pixel of each region weighs, [regions], mean 1 over the pixels.

    Args:
        labels: Label maps that tell how large the regions are.
        power: 0 weighs all pixels alike, 1 all regions.
    """
    count = torch.bincount(labels.flatten().long(), minlength=len(REGIONS)).float()
    share = count / count.sum()
    weight = share.clamp(min=1e-4) ** -power
    return weight / (weight * share).sum()


def dice_distance(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 - the mean Dice overlap of the regions that occur in the batch.

    Args:
        logits: [n, regions, h, w].
        labels: [n, h, w] int64.
    """
    share = logits.softmax(1)
    truth = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(share)
    both = (share * truth).sum((0, 2, 3))
    sizes = share.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    present = truth.sum((0, 2, 3)) > 0
    return 1 - (2 * both / sizes.clamp(min=1))[present].mean()


class SegmenterTask(Task):
    """Trains `Segmenter` on `train`, measures mean IoU on `heldout`."""

    options_class: ClassVar[type] = SegmenterOptions
    averaged: ClassVar[tuple[str, ...]] = ("segmenter",)
    options: SegmenterOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        if device.type == "cpu":
            keep_freed_memory()
        self.segmenter = Segmenter(SegmenterConfig(REGIONS, widths=self.options.widths))

    def modules(self) -> dict[str, nn.Module]:
        """The segmenter alone."""
        return {"segmenter": self.segmenter}

    def turns(self) -> list[Turn]:
        """One turn."""
        return [Turn("segmenter", SegmenterStep(self.segmenter, self))]

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Open the training renders."""
        folder = self.config.data_path / "train"
        self.data = WorldShards(folder, recorded, self.config.seed, flip=True, device=self.device)
        labels = self.data.rows(range(min(300, len(self.data)))).segmentation
        self.region_weights = region_weights(labels, self.options.balance)
        return self.data.state()

    def batch(self, positions: range) -> WorldBatch:
        """Return renders, half of them mirrored."""
        return self.data.batch(positions)

    def _heldout(self) -> WorldShards:
        return WorldShards(self.config.data_path / "heldout", device=self.device)

    @torch.no_grad()
    def samples(self) -> PIL.Image.Image:
        """Show renders, the labels found, and the true ones."""
        segmenter = self.averaged_or_live("segmenter")
        batch = self._heldout().rows(range(8)).to(self.device)
        found = segmenter(batch.image).argmax(1)
        rows = [batch.image, paint(found), paint(batch.segmentation)]
        return contact_sheet(torch.cat(rows), 8, row_labels=("render", "found", "true"))

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return the mean IoU over regions, and that of each."""
        segmenter, data = self.averaged_or_live("segmenter"), self._heldout()
        found, true = [], []
        count = min(self.options.evaluation_images, len(data))
        for start in range(0, count, 50):
            batch = data.rows(range(start, min(start + 50, count))).to(self.device)
            found.append(segmenter(batch.image).argmax(1).to(torch.uint8))
            true.append(batch.segmentation)
        overlap = intersection_over_union(torch.cat(found), torch.cat(true), len(REGIONS))
        scores = {f"iou/{name}": float(v) for name, v in zip(REGIONS, overlap, strict=True)}
        return {"mean_iou": float(overlap.nanmean()), "images": count, **scores}

    def export(self, folder: Path) -> None:
        """Write the averaged segmenter."""
        save_network(self.averaged_or_live("segmenter"), folder)


def paint(labels: Tensor) -> Tensor:
    """Give every region of label maps [n, h, w] a colour, [n, 3, h, w] in [-1, 1]."""
    turn = torch.arange(len(REGIONS), device=labels.device) * 0.618  # golden ratio: all differ
    channels = [torch.cos(2 * torch.pi * (turn + shift)) for shift in (0, 1 / 3, 2 / 3)]
    return (torch.stack(channels, 1) * 0.8)[labels.long()].movedim(-1, 1)
