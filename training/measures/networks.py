"""How good the networks are: numbers on held-out renders, each between a floor and a ceiling.

A floor is what something worthless would get (a blind guess, blurred pictures), a ceiling what
nothing can beat in this measurement (the renders themselves). The judges measure; no training task
reads them. Where a task measures its own network, its `evaluate` is called, with the judge or the
published weights in place of those in training.

The generator's and the encoder's measures are in `generator_measures.py`, `encoder_measures.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from faceedit.backbones.attributes import AttributeHead, AttributeReader
from faceedit.backbones.clip import Clip
from faceedit.backbones.identity import Identity
from faceedit.backbones.segmenter import Segmenter
from faceedit.hub import WEIGHTS, load_network
from faceedit.metrics.attributes import HUE_SECTORS
from faceedit.metrics.image import intersection_over_union
from faceedit.world import REGIONS
from faceedit.world.captions import Split, truth
from faceedit.world.statements import questions
from training.config import RECIPES, ConfigError, parse_config
from training.data.shards import WorldBatch, WorldShards
from training.task import Task
from training.tasks import task_class
from training.tasks.clip_scores import RECALL_PAIRS, recall_at_1, zero_shot

__all__ = [
    "Found",
    "Limit",
    "Measure",
    "MissingWeightsError",
    "Setting",
    "attributes",
    "batches",
    "clip",
    "identity",
    "judge_attributes",
    "judge_identity",
    "network",
    "segmenter",
]

BATCH = 50  # pictures at a time

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class MissingWeightsError(ConfigError):
    """Something cannot be measured yet because a network has not been trained."""


@dataclass(frozen=True)
class Setting:
    """What is measured on what."""

    data: Path  # has the splits heldout, train and people
    base: Path  # the published networks
    judges: Path  # the networks that measure
    count: int = 1000  # held-out renders
    refined: int = 64  # of them that are also inverted with refinement
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    # Details of networks measured before, with the same weights: limits need not be found again.
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def folder(self, name: str) -> Path:
        """Return the folder of a network; `judge_` names one of the judges."""
        if name.startswith("judge_"):
            return self.judges / name.removeprefix("judge_")
        return self.base / name


@dataclass(frozen=True)
class Limit:
    """A floor or a ceiling: its value, and what it is the value of."""

    value: float
    meaning: str


@dataclass(frozen=True)
class Measure:
    """One number with what it takes to judge it."""

    name: str
    value: float
    bar: float | None = None  # to be reached; None: only reported
    floor: Limit | None = None
    ceiling: Limit | None = None
    higher: bool = True  # whether higher is better
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None if there is none."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.higher else self.value <= self.bar


@dataclass(frozen=True)
class Found:
    """What measuring a network gave: the table's numbers, and everything else that was counted."""

    measures: list[Measure]
    details: dict[str, Any] = field(default_factory=dict)


# ------------------------------------------------------------------------------ networks and data
def network(setting: Setting, name: str, kind: type[AnyModule]) -> AnyModule:
    """Load a frozen network; `judge_attributes` and `judge_identity` are the judges.

    Raises:
        MissingWeightsError: If it has not been trained.
    """
    require(setting, name)
    folder = setting.folder(name)
    loaded = Clip.from_folder(folder) if kind is Clip else load_network(kind, folder)
    return loaded.to(setting.device).eval().requires_grad_(False)  # type: ignore[return-value]


def require(setting: Setting, name: str) -> None:
    """Raise MissingWeightsError unless a network has been trained."""
    folder = setting.folder(name)
    if not (folder / WEIGHTS).is_file():
        raise MissingWeightsError(f"{name} has no weights in {folder} yet")


def shards(setting: Setting, split: str) -> WorldShards:
    """Open the renders of a split, on the CPU."""
    return WorldShards(setting.data / split)


def batches(data: WorldShards, rows: Iterable[int], setting: Setting) -> Iterator[WorldBatch]:
    """Yield these rows, in order, in batches on the setting's device."""
    chosen = list(rows)
    for start in range(0, len(chosen), BATCH):
        yield data.rows(chosen[start : start + BATCH]).to(setting.device)


def finished(setting: Setting, recipe: str, part: str, trained: nn.Module, **options: int) -> Task:
    """Return a recipe's task as it is after training, with `trained` as its averaged network.

    Args:
        setting: Where data and networks are.
        recipe: Its name; also the name of its task.
        part: Name of the network in the task's `modules`.
        trained: The network.
        options: Options of the task to be set.
    """
    config = parse_config(["--task", recipe, "--recipe", str(RECIPES / f"{recipe}.yaml")])
    config = replace(
        config,
        data_dir=str(setting.data),
        base=str(setting.base),
        options={**config.options, **options},
    )
    task = task_class(recipe)(config, setting.device)
    task.averages[part] = trained
    return task


def numbers(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Round scores for JSON, which knows no NaN."""
    return {k: None if math.isnan(v) else round(float(v), 4) for k, v in scores.items()}


# ------------------------------------------------------------------------------ readers
def judge_attributes(setting: Setting) -> Found:
    """Measure the judge that reads attributes."""
    return _reader(setting, "judge_attributes", 0.95)


def attributes(setting: Setting) -> Found:
    """Measure the reader that trainings use."""
    return _reader(setting, "attributes", None)


def _reader(setting: Setting, name: str, bar: float | None) -> Found:
    reader = network(setting, name, AttributeReader)
    task = finished(setting, name, "reader", reader, evaluation_images=setting.count)
    scores = task.evaluate()
    floor = Limit(chance(reader.config.heads), "blind guess")
    ceiling = Limit(1.0, "the true attributes")
    mean = Measure(
        "balanced accuracy on clearly visible values",
        scores["balanced_accuracy"],
        bar,
        floor,
        ceiling,
    )
    return Found([mean], numbers(scores))


def chance(heads: Iterable[AttributeHead]) -> float:
    """Return the mean balanced accuracy of a guess that does not look."""
    shares = [1 / (len(h.values) or (HUE_SECTORS if h.circular else 2)) for h in heads]
    return sum(shares) / len(shares)


def judge_identity(setting: Setting) -> Found:
    """Measure the judge of who someone is."""
    return _recognition(setting, "judge_identity", 0.98)


def identity(setting: Setting) -> Found:
    """Measure the face recognition that trainings use."""
    return _recognition(setting, "identity", 0.97)


def _recognition(setting: Setting, name: str, bar: float) -> Found:
    recognizer = network(setting, name, Identity)
    task = finished(setting, name, "identity", recognizer, evaluation_images=setting.count)
    task.open_data(None)
    scores = task.evaluate()
    floor, ceiling = Limit(0.5, "blind guess"), Limit(1.0, "never wrong")
    value = scores["verification_auc"]
    measure = Measure("verification AUC on people never seen", value, bar, floor, ceiling)
    return Found([measure], numbers(scores))


def segmenter(setting: Setting) -> Found:
    """Measure the segmenter."""
    trained = network(setting, "segmenter", Segmenter)
    task = finished(setting, "segmenter", "segmenter", trained, evaluation_images=setting.count)
    scores = task.evaluate()
    floor = Limit(usual_overlap(setting), "the commonest region at each place")
    measure = Measure("mean IoU", scores["mean_iou"], 0.85, floor, Limit(1.0, "the true regions"))
    return Found([measure], numbers(scores))


def usual_overlap(setting: Setting) -> float:
    """Return the mean IoU of one segmentation for all: at each place the commonest region."""
    data = shards(setting, "heldout")
    parts = batches(data, range(min(setting.count, len(data))), setting)
    true = torch.cat([batch.segmentation.cpu() for batch in parts])
    votes = torch.stack([(true == region).sum(0) for region in range(len(REGIONS))])
    usual = votes.argmax(0).expand_as(true)
    return float(intersection_over_union(usual, true, len(REGIONS)).nanmean())


# ------------------------------------------------------------------------------ CLIP
@torch.no_grad()
def clip(setting: Setting) -> Found:
    """Measure retrieval and zero-shot reading, with the wordings of training and with others."""
    model = network(setting, "clip", Clip)
    data = shards(setting, "heldout")
    images, known = [], []
    for batch in batches(data, range(min(setting.count, len(data))), setting):
        images.append(model.encode_image(batch.image).cpu())
        known.append(truth(batch.attributes, batch.segmentation[:, ::2, ::2]).cpu())
    image, said = torch.cat(images), torch.cat(known)
    perfect = Limit(1.0, "the true statements")
    measures: list[Measure] = []
    details: dict[str, float] = {}
    split: Split
    for split, words in (("train", "training's wordings"), ("heldout", "new wordings")):
        recall = recall_at_1(model, image, said, split)
        blind = Limit(1 / RECALL_PAIRS, "blind guess")
        name = f"caption to image recall@1 of {RECALL_PAIRS}, {words}"
        measures.append(Measure(name, recall, 0.9 if split == "train" else None, blind, perfect))
    for split, words, bar in (("train", "training's", 0.9), ("heldout", "new", 0.85)):
        answers = zero_shot(model, image, said, split)
        choices = [len(values) for name, values in questions().items() if name in answers]
        blind = Limit(mean(1 / n for n in choices), "blind guess")
        name = f"zero-shot value accuracy, {words} wordings"
        measures.append(Measure(name, mean(answers.values()), bar, blind, perfect))
        details |= {f"zero_shot/{split}/{question}": v for question, v in answers.items()}
    return Found(measures, numbers(details) | {"images": len(image)})


def mean(values: Iterable[float]) -> float:
    """Return the mean; NaN of nothing."""
    found = list(values)
    return sum(found) / len(found) if found else math.nan
