"""The segmenter and the landmarks: what is where in a face, in drawings and in photographs.

Both are learned together on one trunk, from renders, whose every pixel and point is known, and, if
a folder of labelled photographs is given, from what those say (`training/photographs`). Each is
exported as a network of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean as mean
from typing import Any, ClassVar

import cv2
import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.landmarks import Landmarker, LandmarkerConfig
from faceedit.backbones.segmenter import Segmenter, SegmenterConfig
from faceedit.hub import WEIGHTS, load_network, save_network
from faceedit.metrics.image import intersection_over_union
from faceedit.photo.framing import Framing
from faceedit.world import LANDMARKS, REGIONS
from training.config import ROOT, TrainConfig
from training.data.shards import WorldShards
from training.memory import keep_freed_memory
from training.photographs.beards import find_beard
from training.photographs.hair import find_long_hair
from training.photographs.measure import EYES_AND_MOUTH, find_points, point_errors, region_scores
from training.photographs.portraits import LabelledPhoto
from training.photographs.regions import PARSED
from training.photographs.renders import read_renders
from training.photographs.samples import SIDE, ZOOM, FaceBatch, FaceSamples, photographs
from training.photographs.textures import Scenes
from training.provenance import register_component
from training.sheets import contact_sheet
from training.task import Task, Turn
from training.tasks.segmenter_start import begin_from

__all__ = ["SegmenterTask", "paint"]

SPREAD = 1.2  # places of a landmark map: standard deviation of the bump that it should be
logger = logging.getLogger(__name__)

HEAD_RATE = 3.0  # learning rate of the landmarks' own layers over that of the trunk
POINT_UNIT = 0.2  # of the side: about the distance between the pupils


@dataclass(frozen=True)
class SegmenterOptions:
    """Sizes, what is learned from, and the weights of the losses."""

    widths: tuple[int, ...] = (32, 48, 96, 128, 112)
    fold: int = 4
    detail: int = 16
    photographs: str = ""  # folder of labelled photographs; "" learns from renders only
    unsure_hair: tuple[str, ...] = ()  # photographs whose hair or beard is not found by colour
    held_out: int = -1  # the fold of the photographs that is not learned from; -1 learns from all
    photo_share: float = 0.5  # of the samples
    scenes: str = ""  # folders of pictures to put behind people, joined by ":"
    drawings: str = ""  # folders of further renders, joined by ":"
    init: str = ""  # folder of a segmenter to go on from, larger or not; landmarks beside it too
    balance: float = 0.4  # a region's pixels weigh ~ (1 / its share of the picture) ** balance
    weight_dice: float = 0.5
    weight_photo_dice: float = 1.0
    weight_certain: float = 0.02  # of the entropy where photographs leave the region open
    weight_points: float = 4.0  # mean distance, in distances of the pupils
    weight_maps: float = 0.25  # cross-entropy of the landmarks' maps
    weight_seen: float = 0.3
    points_every: int = 1  # steps: landmarks that are good already may be looked at less often
    evaluation_images: int = 1000


class FaceStep(nn.Module):
    """Scores regions and landmarks of a batch."""

    def __init__(self, segmenter: Segmenter, landmarks: Landmarker, task: SegmenterTask) -> None:
        super().__init__()
        self.segmenter, self.landmarks = segmenter, landmarks
        self._task = (task,)  # in a tuple: the task is not a submodule

    def forward(self, batch: FaceBatch) -> dict[str, Tensor]:
        """Return the terms of the loss."""
        (task,) = self._task
        options = task.options
        down = self.segmenter.descend(batch.image)
        fine = self.segmenter.ascend(down)
        row, column = torch.randint(0, 2, (2,)).tolist()
        logits = self.segmenter.read(batch.image, fine, (row, column))
        allowed = allowed_regions(batch.bits[:, row::2, column::2])
        terms = region_terms(logits, allowed, batch.photo, task.region_weights)
        if task.global_step % options.points_every == 0:
            points, seen, maps = self.landmarks.read(fine, down[-1])
            terms |= point_terms(points, seen, maps, batch)
        weights = {
            "regions": 1.0,
            "dice": options.weight_dice,
            "photo_dice": options.weight_photo_dice,
            "open": options.weight_certain,
            "points": options.weight_points,
            "maps": options.weight_maps,
            "seen": options.weight_seen,
        }
        return {name: weights[name] * value for name, value in terms.items()}


def allowed_regions(bits: Tensor) -> Tensor:
    """Turn bits [n, h, w] into booleans, [n, regions, h, w]."""
    place = torch.arange(len(PARSED), device=bits.device)
    return (bits[:, None] >> place[None, :, None, None]) & 1 > 0


def region_terms(
    logits: Tensor, allowed: Tensor, photo: Tensor, weights: Tensor
) -> dict[str, Tensor]:
    """Score regions: minus the log of the probability of any region that a pixel may show.

    Args:
        logits: [n, regions, h, w].
        allowed: The same shape, bool.
        photo: [n] bool; overlap (Dice) is taken among these and among the others.
        weights: Of a pixel that can only be one region, [regions].
    """
    log_share = logits.log_softmax(1)
    missed = -log_share.masked_fill(~allowed, -1e4).logsumexp(1)
    count = allowed.sum(1)
    mean_weight = (allowed * weights[:, None, None]).sum(1) / count.clamp(min=1)
    weight = torch.where(count == 1, mean_weight, 1.0 / count.clamp(min=1).sqrt())
    weight = torch.where(count == len(PARSED), 0.0, weight)
    terms = {"regions": (missed * weight).sum() / weight.sum().clamp(min=1)}
    share, certain = log_share.exp(), allowed & (count == 1)[:, None]
    counted = share.masked_fill(allowed & ~certain, 0)  # nothing is said of what is only possible
    for name, rows in (("dice", ~photo), ("photo_dice", photo)):
        if bool(rows.any()):
            terms[name] = dice_distance(counted[rows], certain[rows].float())
    if bool(photo.any()):
        entropy = -(share * log_share).sum(1)
        terms["open"] = entropy[photo].mean()
    return terms


def dice_distance(share: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - the mean Dice overlap of the regions that occur in the batch.

    Args:
        share: Probabilities, [n, regions, h, w].
        truth: 0 or 1, the same shape.
    """
    both = (share * truth).sum((0, 2, 3))
    sizes = share.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    present = truth.sum((0, 2, 3)) > 0
    return 1 - (2 * both / sizes.clamp(min=1))[present].mean()


def point_terms(points: Tensor, seen: Tensor, maps: Tensor, batch: FaceBatch) -> dict[str, Tensor]:
    """Score landmarks: distances, maps, visibility. Hidden points count a third."""
    known = batch.points.isfinite().all(-1)
    inside = known & ((batch.points > 0.01) & (batch.points < 0.99)).all(-1)
    truth = torch.where(known[..., None], batch.points, 0.5)
    weight = inside.float() * torch.where(batch.seen == 0, 0.3, 1.0)
    weight = weight * torch.where(batch.photo, 2.0, 1.0)[:, None]
    away = (points - truth).div(POINT_UNIT).pow(2).sum(-1).add(1e-5).sqrt()
    total = weight.sum().clamp(min=1)
    h, w = maps.shape[-2:]
    bump = _bumps(truth, h, w)
    spread = -(bump * maps.flatten(2).log_softmax(-1)).sum(-1)
    told = batch.seen >= 0
    seen_loss = F.binary_cross_entropy_with_logits(
        seen, batch.seen.clamp(min=0).float(), told.float()
    )
    return {
        "points": (away * weight).sum() / total,
        "maps": (spread * weight).sum() / total,
        "seen": seen_loss,
    }


def _bumps(points: Tensor, h: int, w: int) -> Tensor:
    """Return a Gaussian around each point over the places of a map, [n, k, h * w], sum 1."""
    rows = torch.arange(h, device=points.device) + 0.5 - points[..., 1:] * h
    columns = torch.arange(w, device=points.device) + 0.5 - points[..., :1] * w
    shares = [(-0.5 * (d / SPREAD) ** 2).softmax(-1) for d in (rows, columns)]
    return (shares[0][..., :, None] * shares[1][..., None, :]).flatten(2)


class SegmenterTask(Task):
    """Trains `Segmenter` and `Landmarker`, measures mean IoU on the renders of `heldout`."""

    options_class: ClassVar[type] = SegmenterOptions
    averaged: ClassVar[tuple[str, ...]] = ("segmenter", "landmarks")
    options: SegmenterOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        if device.type == "cpu":
            keep_freed_memory()
        fold, widths, detail = self.options.fold, self.options.widths, self.options.detail
        self.segmenter = Segmenter(SegmenterConfig(PARSED, fold, widths, detail, SIDE))
        self.landmarks = Landmarker(LandmarkerConfig(LANDMARKS, fold, widths, SIDE))
        for name in ("stem", "down", "lateral", "up"):  # one trunk while both are trained
            setattr(self.landmarks, name, getattr(self.segmenter, name))
        if self.options.init:
            self._begin_from(ROOT / self.options.init)

    def _begin_from(self, folder: Path) -> None:
        """Go on from a segmenter, and from landmarks if some lie beside it."""
        begin_from(self.segmenter, load_network(Segmenter, folder))
        beside = folder.parent / "landmarks"
        if (beside / WEIGHTS).is_file():
            former = load_network(Landmarker, beside)
            for name in ("maps", "usual"):
                getattr(self.landmarks, name).load_state_dict(getattr(former, name).state_dict())
            with torch.no_grad():
                self.landmarks.seen.copy_(former.seen)

    def modules(self) -> dict[str, nn.Module]:
        """Both networks."""
        return {"segmenter": self.segmenter, "landmarks": self.landmarks}

    def turns(self) -> list[Turn]:
        """One turn for both."""
        step = FaceStep(self.segmenter, self.landmarks, self)
        return [Turn("segmenter", step, groups=self._groups)]

    def _groups(self) -> list[dict[str, Any]]:
        """The trunk may be trained already: what reads the landmarks off it learns faster."""
        trunk = list(self.segmenter.parameters())
        shared = set(map(id, trunk))
        heads = [p for p in self.landmarks.parameters() if id(p) not in shared]
        return [{"params": trunk}, {"params": heads, "lr_scale": HEAD_RATE}]

    def before_step(self) -> None:
        """Leave the normalisation of a trunk that begins from another as it was there."""
        if self.options.init:
            for module in self.segmenter.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Open renders, photographs and scenes."""
        options = self.options
        drawings = [ROOT / path for path in options.drawings.split(":") if path]
        folder = self.config.data_path / "train"
        renders = read_renders([folder, *drawings] if folder.is_dir() or not drawings else drawings)
        learned: list[LabelledPhoto] = []
        self.kept: list[LabelledPhoto] = []
        faults: list[str] = []
        if options.photographs:
            fold = None if options.held_out < 0 else options.held_out
            learned, self.kept, faults = photographs(ROOT / options.photographs, self.framing, fold)
        for fault in faults:
            logger.warning("not learned from: %s", fault)
        learned = [self._with_hair(photo) for photo in learned]
        scenes = Scenes([ROOT / path for path in options.scenes.split(":") if path])
        self.data = FaceSamples(learned, renders, scenes, self.config.seed, options.photo_share)
        labels = torch.stack(
            [
                F.interpolate(r.segmentation[None, None].float(), (64, 64))[0, 0]
                for r in renders[:300]
            ]
        )
        self.region_weights = region_weights(labels.long(), options.balance)
        return {"renders": len(renders), "photographs": len(learned)}

    framing = Framing.WORLD

    def _with_hair(self, photo: LabelledPhoto) -> LabelledPhoto:
        """Add where a beard is, and long hair, carried on from what is found at the start."""
        if photo.id in self.options.unsure_hair:
            return photo
        hair = find_long_hair(photo, ZOOM, self._parse) if self.options.init else None
        return replace(photo, hair=hair, beard=find_beard(photo))

    @torch.no_grad()
    def _parse(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """Return the chances of all regions of a square picture, [SIDE, SIDE] each."""
        small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        image = torch.from_numpy(small).to(self.device).permute(2, 0, 1)[None].div(127.5).sub(1)
        self.segmenter.eval()
        found = self.segmenter(image).softmax(1)[0].cpu().numpy()
        return dict(zip(PARSED, found, strict=True))

    def batch(self, positions: range) -> FaceBatch:
        """Return samples."""
        return self.data.batch(positions)

    def _heldout(self) -> WorldShards:
        return WorldShards(self.config.data_path / "heldout", device=self.device)

    @torch.no_grad()
    def samples(self) -> PIL.Image.Image:
        """Show samples, the regions and points found."""
        segmenter = self.averaged_or_live("segmenter")
        batch = self.data.batch(range(1_000_000, 1_000_008)).to(self.device)
        found = segmenter(batch.image).argmax(1)
        points, _, _ = self.averaged_or_live("landmarks")(batch.image)
        rows = [batch.image, paint(found), mark(batch.image, points)]
        return contact_sheet(torch.cat(rows), 8, row_labels=("sample", "regions", "points"))

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return overlaps and distances on renders, and on the photographs held out."""
        scores = self._on_renders()
        if getattr(self, "kept", None):
            scores |= on_photographs(
                self.kept, self.averaged_or_live("segmenter"), self.averaged_or_live("landmarks")
            )
        return scores

    def _on_renders(self) -> dict[str, float]:
        segmenter, data = self.averaged_or_live("segmenter"), self._heldout()
        found, true = [], []
        count = min(self.options.evaluation_images, len(data))
        for start in range(0, count, 50):
            batch = data.rows(range(start, min(start + 50, count))).to(self.device)
            found.append(segmenter(batch.image).argmax(1).to(torch.uint8))
            true.append(batch.segmentation)
        overlap = intersection_over_union(torch.cat(found), torch.cat(true), len(PARSED))
        scores = {f"iou/{name}": float(v) for name, v in zip(REGIONS, overlap, strict=False)}
        return {"mean_iou": float(overlap[: len(REGIONS)].nanmean()), "images": count, **scores}

    def export(self, folder: Path) -> None:
        """Write the averaged networks: the segmenter here, the landmarks beside it."""
        save_network(self.averaged_or_live("segmenter"), folder)
        beside = folder.parent / "landmarks"
        save_network(self.averaged_or_live("landmarks"), beside)
        register_component(self.config.base_path, beside)


def on_photographs(
    photos: Sequence[LabelledPhoto], segmenter: Any, landmarks: Any
) -> dict[str, float]:
    """Return mean overlaps and distances on photographs."""
    rows = [region_scores(photo, segmenter) for photo in photos]
    scores = {f"photo/{name}": mean(row[name] for row in rows) for name in rows[0]}
    errors = [point_errors(photo, find_points(photo, landmarks)) for photo in photos]
    scores["photo/points"] = mean(value for row in errors for value in row.values())
    scores["photo/eyes_and_mouth"] = mean(row[n] for row in errors for n in EYES_AND_MOUTH)
    return scores


def region_weights(labels: Tensor, power: float) -> Tensor:
    """Return how much a pixel of each region weighs, [regions], mean 1 over the pixels.

    Args:
        labels: Label maps that tell how large the regions are.
        power: 0 weighs all pixels alike, 1 all regions.
    """
    count = torch.bincount(labels.flatten().long(), minlength=len(PARSED)).float()
    share = count / count.sum()
    weight = share.clamp(min=1e-3) ** -power
    return weight / (weight * share).sum()


def paint(labels: Tensor) -> Tensor:
    """Give every region of label maps [n, h, w] a colour, [n, 3, h, w] in [-1, 1]."""
    turn = torch.arange(len(PARSED), device=labels.device) * 0.618  # golden ratio: all differ
    channels = [torch.cos(2 * torch.pi * (turn + shift)) for shift in (0, 1 / 3, 2 / 3)]
    return (torch.stack(channels, 1) * 0.8)[labels.long()].movedim(-1, 1)


def mark(image: Tensor, points: Tensor) -> Tensor:
    """Put a dot on every point; points are shares of the side, [n, k, 2]."""
    marked, side = image.clone(), image.shape[-1]
    at = (points * side).long().clamp(0, side - 1)
    for row, places in zip(marked, at, strict=True):
        row[:, places[:, 1], places[:, 0]] = row.new_tensor([[-1.0], [1.0], [-0.5]])
    return marked
