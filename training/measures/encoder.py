"""How good the encoder's inversions are: the person, what is visible, the pixels."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.backbones.attributes import AttributeReader
from faceedit.backbones.encoder import Encoder
from faceedit.backbones.identity import Identity
from faceedit.backbones.stylegan2 import Generator
from faceedit.hub import WEIGHTS, load_network
from faceedit.inversion import refine
from faceedit.metrics.attributes import reading_accuracy, region_shares
from faceedit.metrics.image import psnr
from faceedit.world import REGIONS, SPECS
from training.measures.generator import EIGHT_BITS, attribute_mapping, exact_image, joined
from training.measures.networks import (
    Found,
    Limit,
    Measure,
    Setting,
    batches,
    judge_identity,
    mean,
    network,
    numbers,
    shards,
)
from training.tasks.attribute_mapping import AttributeMapping

__all__ = ["encoder"]

REFINE_STEPS = 60
REFINE_BATCH = 8
EXACT, ITSELF = "drawn from the true attributes", "the renders themselves"  # ceilings


@dataclass(frozen=True)
class Networks:
    """What measuring the encoder takes."""

    encoder: Encoder
    generator: Generator
    reader: AttributeReader  # the judge
    recognizer: Identity  # the judge
    exact: AttributeMapping | None
    identity: Identity | None  # not the judge: refinement uses it

    @classmethod
    def load(cls, setting: Setting) -> Networks:
        """Load them.

        Raises:
            MissingWeightsError: If one is missing.
        """
        folder = setting.folder("identity")
        guide = load_network(Identity, folder) if (folder / WEIGHTS).is_file() else None
        return cls(
            network(setting, "encoder", Encoder),
            network(setting, "generator", Generator),
            network(setting, "judge_attributes", AttributeReader),
            network(setting, "judge_identity", Identity),
            attribute_mapping(setting),
            guide and guide.to(setting.device).eval().requires_grad_(False),
        )


def encoder(setting: Setting) -> Found:
    """Measure inversions of held-out renders: the person, what is visible, the pixels."""
    nets = Networks.load(setting)
    people = setting.known.get("judge_identity") or judge_identity(setting).details
    held = shards(setting, "heldout")
    rows = range(min(setting.count, len(held)))
    scores, readings, truth, regions = _invert_all(setting, nets, rows)
    shares = region_shares(regions, REGIONS)
    heads = nets.reader.config.heads

    def kept(answers: dict[str, Tensor], true: dict[str, Tensor]) -> dict[str, float]:
        return reading_accuracy(heads, answers, true, shares)

    # Where the exact code is known, what the generator makes of it is the most that can be kept.
    drawn = "drawn" in readings
    best = readings["drawn" if drawn else "render"]
    as_read = {**truth, **readings["render"]}

    by_truth = kept(readings["made"], truth)
    others = {name: answer.roll(1) for name, answer in readings["made"].items()}

    def measure(what: str, true: dict[str, Tensor], floor: str) -> Measure:
        return Measure(
            f"visible attributes kept: reading equals {what}",
            known_mean(kept(readings["made"], true)),
            0.9,
            Limit(known_mean(kept(others, true)), floor),
            Limit(known_mean(kept(best, true)), EXACT if drawn else ITSELF),
        )

    measures = [
        _likeness(scores, people),
        measure("the truth", truth, "someone else's inversion"),
        measure("that of the render", as_read, "someone else's"),
    ]
    measures += _pixel_measures(scores)
    measures += _refinement_measures(setting, nets, scores)
    details = {**scores, **{f"kept/{name}": value for name, value in by_truth.items()}}
    return Found(measures, numbers(details) | {"images": len(rows)})


def _likeness(scores: dict[str, float], people: Mapping[str, Any]) -> Measure:
    """Return how alike the judge finds inversions and renders."""
    return Measure(
        "judge's likeness (cosine) of inversion and render",
        scores["likeness"],
        0.8,
        Limit(people["cosine_different"], "two people"),
        Limit(people["cosine_same"], "one person in two renders"),
    )


def known_mean(values: dict[str, float]) -> float:
    """Return the mean of those that are known."""
    return mean(value for value in values.values() if not math.isnan(value))


@torch.no_grad()
def _invert_all(
    setting: Setting, nets: Networks, rows: range
) -> tuple[dict[str, float], dict[str, Any], dict[str, Tensor], Tensor]:
    """Invert renders; return mean scores, what the judge reads, the truth and the regions."""
    found = defaultdict(list)
    read: dict[str, list[dict[str, Tensor]]] = {"made": [], "render": [], "drawn": []}
    values, regions = [], []
    middle = nets.generator.synthesis(nets.generator.broadcast(nets.generator.w_avg[None]))
    for batch in batches(shards(setting, "heldout"), rows, setting):
        image = batch.image
        made = nets.generator.synthesis(nets.encoder(image)).clamp(-1, 1)
        person = nets.recognizer(image)
        found["likeness"].append((nets.recognizer(made) * person).sum(1))
        found["psnr"].append(psnr(made, image))
        found["psnr_mean_face"].append(psnr(middle.expand_as(image), image))
        if nets.exact is not None:
            drawn = exact_image(nets.generator, nets.exact, batch)
            found["psnr_exact_code"].append(psnr(drawn, image))
            found["likeness_exact_code"].append((nets.recognizer(drawn) * person).sum(1))
            read["drawn"].append(nets.reader.read(drawn))
        read["made"].append(nets.reader.read(made))
        read["render"].append(nets.reader.read(image))
        values.append(batch.values.cpu())
        regions.append(batch.segmentation.cpu())
    scores = {name: float(torch.cat(parts).mean()) for name, parts in found.items()}
    readings = {name: joined(parts) for name, parts in read.items() if parts}
    truth = dict(zip(SPECS, torch.cat(values).unbind(1), strict=True))
    return scores, readings, truth, torch.cat(regions)


def _pixel_measures(scores: dict[str, float]) -> list[Measure]:
    ceiling = None
    if "psnr_exact_code" in scores:
        ceiling = Limit(scores["psnr_exact_code"], EXACT)
    floor = Limit(scores["psnr_mean_face"], "the mean face")
    name = "PSNR of inversions"
    return [Measure(name, scores["psnr"], None, floor, ceiling, unit="dB")]


def _refinement_measures(
    setting: Setting, nets: Networks, scores: dict[str, float]
) -> list[Measure]:
    """Refine the inversions of the first renders; also notes the judge's likeness in `scores`."""
    held = shards(setting, "heldout")
    rows = range(min(setting.refined, setting.count, len(held)))
    backbones = Backbones(generator=nets.generator, identity=nets.identity)
    before, after, likeness = [], [], []
    for start in range(0, len(rows), REFINE_BATCH):
        part = rows[start : start + REFINE_BATCH]
        image = held.rows(list(part)).to(setting.device).image
        with torch.no_grad():
            code = nets.encoder(image)
            before.append(psnr(nets.generator.synthesis(code).clamp(-1, 1), image))
        code = refine(image, code, backbones, REFINE_STEPS)
        with torch.no_grad():
            made = nets.generator.synthesis(code).clamp(-1, 1)
            after.append(psnr(made, image))
            likeness.append((nets.recognizer(made) * nets.recognizer(image)).sum(1))
    scores["likeness_refined"] = float(torch.cat(likeness).mean())
    return [
        Measure(
            f"PSNR after {REFINE_STEPS} steps of refinement, {len(rows)} renders",
            float(torch.cat(after).mean()),
            25.0,
            Limit(float(torch.cat(before).mean()), "before refinement"),
            Limit(EIGHT_BITS, "rounding to 8 bits"),
            unit="dB",
        )
    ]
