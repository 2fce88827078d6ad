"""How good the generator's pictures are: random faces, and reconstructions of known people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones.attributes import AttributeHead, AttributeReader
from faceedit.backbones.stylegan2 import Generator
from faceedit.metrics.fid import fid, kid
from faceedit.metrics.image import psnr
from faceedit.world import sample_attributes
from training.data.shards import WorldBatch
from training.measures.networks import (
    BATCH,
    Found,
    Limit,
    Measure,
    Setting,
    batches,
    network,
    numbers,
    shards,
)
from training.tasks.attribute_mapping import FILE_NAME, AttributeMapping, load_attribute_mapping

__all__ = [
    "EIGHT_BITS",
    "attribute_mapping",
    "exact_image",
    "gaussian_blur",
    "generator",
    "joined",
    "look",
    "samples",
    "value_shares",
]

LEAST_SHARE = 0.02  # of the world's people: rarer values are not counted
POPULATION = 20_000  # people whose attributes tell the world's shares
EIGHT_BITS = 10 * math.log10(12 * 255**2)  # dB: PSNR of rounding to 256 levels, 58.9


@dataclass(frozen=True)
class Look:
    """What the judge sees in a set of pictures."""

    features: Tensor  # [n, d], the space of the FID
    answers: dict[str, Tensor]  # [n] by attribute; empty if not asked for


@torch.no_grad()
def look(judge: AttributeReader, images: Iterable[Tensor], answers: bool = False) -> Look:
    """Show pictures to the judge, batch by batch."""
    features, read = [], []
    for image in images:
        features.append(judge.pooled(image).cpu())
        if answers:
            read.append(judge.read(image))
    return Look(torch.cat(features), joined(read))


def joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Join answers of batches, on the CPU."""
    return {name: torch.cat([part[name] for part in parts]).cpu() for name in (parts or [{}])[0]}


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Blur [n, c, h, w] with a Gaussian of `sigma` px; the border is repeated outwards."""
    radius = math.ceil(3 * sigma)
    x = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    channels = image.shape[1]
    rows = (kernel / kernel.sum()).expand(channels, 1, 1, -1)
    image = F.pad(image, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(image, rows, groups=channels), rows.mT, groups=channels)


@torch.no_grad()
def samples(made_by: Generator, count: int, psi: float, seed: int = 0) -> Iterator[Tensor]:
    """Yield `count` random faces in batches, [n, 3, h, w] in [-1, 1]."""
    source = torch.Generator().manual_seed(seed)
    for start in range(0, count, BATCH):
        codes = made_by.sample_w_plus(min(BATCH, count - start), source, psi)
        yield made_by.synthesis(codes).clamp(-1, 1)


@torch.no_grad()
def generator(setting: Setting) -> Found:
    """Compare random faces with renders, and reconstructions from exact attributes with theirs.

    The reference are held-out renders. Everything that is compared with them is as many other
    people: the samples, training renders (the ceiling) and those blurred (the bar and the floor).
    """
    made_by = network(setting, "generator", Generator)
    judge = network(setting, "judge_attributes", AttributeReader)
    wanted, others = two_sets(setting)
    count = len(list(others[1]))

    def renders(change: Callable[[Tensor], Tensor] = lambda x: x) -> Iterator[Tensor]:
        return (change(batch.image) for batch in batches(*others, setting))

    reference = look(judge, (batch.image for batch in batches(*wanted, setting))).features
    seen = look(judge, samples(made_by, count, 1.0), answers=True)
    other = look(judge, renders(), answers=True)
    blurred = [look(judge, renders(partial(gaussian_blur, sigma=s))).features for s in (1, 2)]
    scores = [fid(each, reference) for each in (seen.features, other.features, *blurred)]
    measures = [
        Measure(
            "FID of samples (psi 1) in the judge's features",
            scores[0],
            scores[2],
            Limit(scores[3], "renders blurred 2 px"),
            Limit(scores[1], "other renders"),
            higher=False,
        )
    ]
    shares = value_shares(judge.config.heads, seen.answers, other.answers)
    measures += _share_measures(shares)
    measures += _reconstruction_measures(setting, made_by)
    details = {
        "samples": count,
        "references": len(reference),
        "fid": scores[0],
        "fid_renders": scores[1],
        "fid_blurred_1px": scores[2],
        "fid_blurred_2px": scores[3],
        "kid": kid(seen.features, reference),
        "kid_renders": kid(other.features, reference),
        "kid_blurred_1px": kid(blurred[0], reference),
    }
    under = [name for name, share in shares.items() if _is_common(share) and _kept(share) < 0.5]
    return Found(measures, numbers(details) | {"under_half": under, "shares": shares})


def two_sets(setting: Setting) -> tuple[tuple[Any, range], tuple[Any, range]]:
    """Return two sets of different people, equally large: held-out and training renders.

    Where too few training renders are there, the held-out ones are halved.
    """
    held = shards(setting, "heldout")
    count = min(setting.count, len(held))
    if (setting.data / "train" / "index.json").is_file():
        train = shards(setting, "train")
        if len(train) >= count:
            return (held, range(count)), (train, range(count))
    return (held, range(0, count, 2)), (held, range(1, count, 2))


Shares = dict[str, dict[str, float]]  # "glasses=round" -> who (world, renders, samples) -> share


def value_shares(
    heads: Iterable[AttributeHead], seen: dict[str, Tensor], other: dict[str, Tensor]
) -> Shares:
    """Return how often each named value occurs.

    "world" is the truth of the population; "samples" and "renders" are as the judge reads them, so
    renders say how far the judge itself is off.
    """
    people, shares = sample_attributes(POPULATION, seed=0), {}
    for head in heads:
        for index, value in enumerate(head.values):
            columns = (people.column(head.name), other[head.name], seen[head.name])
            names = ("world", "renders", "samples")
            found = [float((column.round() == index).double().mean()) for column in columns]
            shares[f"{head.name}={value}"] = {
                n: round(v, 4) for n, v in zip(names, found, strict=True)
            }
    return shares


def _is_common(share: dict[str, float]) -> bool:
    return share["world"] >= LEAST_SHARE


def _kept(share: dict[str, float], who: str = "samples") -> float:
    return share[who] / share["world"]


def _share_measures(shares: Shares) -> list[Measure]:
    """Return how far the least kept value falls, and how many fall under a half."""
    common = {name: share for name, share in shares.items() if _is_common(share)}
    least = {w: min(_kept(share, w) for share in common.values()) for w in ("samples", "renders")}
    under = {
        w: sum(_kept(share, w) < 0.5 for share in common.values()) for w in ("samples", "renders")
    }
    single = len(common) - len({name.split("=")[0] for name in common})
    read = "renders, as the judge reads them"
    return [
        Measure(
            "least share of a common value, over the world's",
            least["samples"],
            0.5,
            Limit(0.0, "one face only"),
            Limit(least["renders"], read),
        ),
        Measure(
            f"values under half their share, of {len(common)}",
            under["samples"],
            0,
            Limit(single, "one face only"),
            Limit(under["renders"], read),
            higher=False,
        ),
    ]


def _reconstruction_measures(setting: Setting, made_by: Generator) -> list[Measure]:
    """Return the PSNR of G(A(attributes)) on held-out renders."""
    exact = attribute_mapping(setting)
    if exact is None:
        return []
    held = shards(setting, "heldout")
    rows = range(min(setting.count, len(held)))
    sums = [batch.image.sum(0) for batch in batches(held, rows, setting)]
    mean = torch.stack(sums).sum(0) / len(rows)
    quality, floor = [], []
    for batch in batches(held, rows, setting):
        quality.append(psnr(exact_image(made_by, exact, batch), batch.image))
        floor.append(psnr(mean.expand_as(batch.image), batch.image))
    return [
        Measure(
            "PSNR of held-out renders drawn from their attributes",
            float(torch.cat(quality).mean()),
            None,
            Limit(float(torch.cat(floor).mean()), "the mean picture"),
            Limit(EIGHT_BITS, "rounding to 8 bits"),
            unit="dB",
        )
    ]


def attribute_mapping(setting: Setting) -> AttributeMapping | None:
    """Load A, which stands beside the generator; None if it does not."""
    folder = setting.folder("generator")
    if not (folder / FILE_NAME).is_file():
        return None
    return load_attribute_mapping(folder).to(setting.device).requires_grad_(False)


def exact_image(made_by: Generator, exact: AttributeMapping, batch: WorldBatch) -> Tensor:
    """Return G(A(attributes)), [n, 3, h, w]."""
    w_plus = made_by.broadcast(exact(batch.attributes))
    return made_by.synthesis(w_plus).clamp(-1, 1)
