"""What a photograph shows, read off what the base's networks see in it: ridge regressions.

A hundred labelled photographs carry no more than a linear map, and the networks' maps tell sex,
age, hair and coverings of people whom they were never told of. What has no label (how a face is
shaped) is learned from renders, of which everything is known, and moved so that the average
photograph is the average person. Make-up and freckles, which neither says, are left away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones.photo_encoder import NARROW, Output
from faceedit.world import SPECS, sample_attributes
from faceedit.world.attributes import CIRCULAR, OLDEST, YOUNGEST
from training.tasks.attribute_mapping import has_chroma

__all__ = ["Examples", "fit_gate", "fit_reading", "outputs"]

RIDGE = 1.0  # variance that is added; the features that are looked at have 1 together
LEAST_SPREAD = 0.05  # of a feature, as a share of the mean spread
POPULATION = 4096
Curve = tuple[tuple[float, ...], tuple[float, ...]]  # readings, and what is drawn for them


@dataclass(frozen=True)
class Plan:
    """How an attribute is read.

    Attributes:
        seen: Sets of what it is read off; what several sets say is averaged.
        renders: Weight of all renders beside all photographs.
        ridge: As RIDGE.
        curve: Between its points what is drawn is interpolated; None: what is read.
        lean: Added to what speaks for a value of a choice.
    """

    seen: tuple[tuple[str, ...], ...]
    renders: float = 0.0
    ridge: float = RIDGE
    curve: Curve | None = None
    lean: Mapping[str, float] = field(default_factory=dict)


def _nothing_below(least: float, drawn: float) -> Curve:
    """Return a curve that draws nothing up to a reading, and `drawn` soon above it."""
    return ((0.0, least, least + 0.08, 1.0), (0.0, 0.0, drawn, 1.0))


# Labelled attributes. Drawn ages are those that show: the judge reads 45 to 55 as 42.
LABELLED: dict[str, Plan] = {
    "femininity": Plan(
        (("code", "coarse", "fine", "tones", "parsed"),),
        curve=((0.0, 0.45, 0.55, 1.0), (0.08, 0.12, 0.88, 0.92)),
    ),
    "age": Plan(
        (("points", "tones", "parsed_fine"), ("code", "points", "tones", "parsed_fine", "fine")),
        curve=((18, 36, 39, 53, 56, 90), (YOUNGEST, 24, 40, 52, 68, OLDEST)),
    ),
    "skin_tone": Plan((("code", "tones"),), 0.1),
    "beard": Plan(
        (("points",), ("beard", "tones", "mouth"), ("points", "beard")),
        ridge=2.0,
        lean={"goatee": 0.05, "full": 0.05},
    ),
    "moustache": Plan(
        (("points", "beard"), ("beard", "tones", "mouth")),
        ridge=3.0,
        curve=_nothing_below(0.36, 0.6),
    ),
    "hair_style": Plan((("code", "coarse", "tones", "parsed", "parsed_fine"),), 0.25, 3.0),
    "hair_color": Plan((("code", "coarse", "tones"),), 0.25, 2.0),
    "fringe": Plan((("parsed_fine", "parsed", "code"),), 0.2, curve=_nothing_below(0.36, 0.6)),
    "hat": Plan((("parsed_fine", "parsed", "found", "tones"),), 0.4, lean={"none": -0.15}),
    "glasses": Plan(
        (("parsed_fine", "parsed", "found", "tones", "visible"),), 0.6, lean={"none": 0.1}
    ),
    "earrings": Plan((("code", "fine", "tones", "parsed_fine"),), 0.2, lean={"none": 0.2}),
    "smile": Plan(
        (("fine", "parsed_fine", "mouth"), ("code", "fine")),
        curve=((-0.4, 0.22, 0.29, 0.5, 0.9), (-0.3, 0.0, 0.45, 0.6, 0.95)),
    ),
    "mouth_open": Plan(
        (("mouth", "beard"), ("mouth",)),
        ridge=0.1,
        curve=((0.0, 0.26, 0.32, 0.6, 1.0), (0.0, 0.0, 0.4, 0.6, 0.95)),
    ),
    "yaw": Plan((("points",),), 0.2),
}
# Learned from renders alone: off what, and how much of a difference from the average is drawn.
OFF_SHAPE, OFF_HAIR = (("points", "code"), 0.7), (("code", "tones"), 0.6)
# As the encoder sees them: colours, light, clothes; the linear map from w says them of renders.
OFF_CODE = ("background_", "cloth", "hat_hue", "light_")
# Said of nobody: a brown eye is what most have, and what an edit to another colour starts from.
FIXED = {
    **dict.fromkeys(("lipstick", "eyeshadow", "freckles", "asymmetry", "smirk"), 0.0),
    **{"blush": 0.1, "lip_hue": 0.5, "eye_color": 0.0, "parting": 0.0, "hair_phase": 0.5},
}


@dataclass(frozen=True)
class Examples:
    """Pictures with what the networks see in them and who they show.

    Attributes:
        seen: Sets of features, each [n, k].
        values: [n, A] in the order of SPECS; ages of photographs are those that show.
        known: [n, A] bool, what of the values is known.
        photographs: How many of the first are photographs; the others are renders.
        coarse: [n, channels], the encoder's last map, averaged, for the gate.
    """

    seen: dict[str, Tensor]
    values: Tensor
    known: Tensor
    photographs: int
    coarse: Tensor

    def photos(self, rows: Tensor) -> Examples:
        """Return some of the photographs, and all renders."""
        every = torch.cat([rows, torch.arange(self.photographs, len(self.values))])
        return Examples(
            seen={name: part[every] for name, part in self.seen.items()},
            values=self.values[every],
            known=self.known[every],
            photographs=len(rows),
            coarse=self.coarse[every],
        )


def outputs() -> tuple[Output, ...]:
    """Return what is read, in the order of SPECS."""
    made = []
    for name, spec in SPECS.items():
        number = not spec.categorical and name not in CIRCULAR
        curve: Curve | None = ((spec.low, spec.high),) * 2 if number else None
        if name in LABELLED:
            curve = LABELLED[name].curve or curve
        read, meant = curve or ((), ())
        fixed: tuple[float, ...] = ()
        if name in FIXED:
            people = torch.full((1, len(SPECS)), FIXED[name])
            fixed, read, meant = tuple(_wanted(name, people)[0].tolist()), (), ()
        sets = (
            {part for seen in LABELLED[name].seen for part in seen} if name in LABELLED else set()
        )
        hue, wide = has_chroma(name), not sets <= set(NARROW)
        made.append(Output(name, spec.values, name in CIRCULAR, hue, read, meant, fixed, wide))
    return tuple(made)


def fit_reading(
    examples: Examples, off_code: Tensor, off_code_bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Fit what is read.

    Args:
        examples: Photographs and renders.
        off_code: [w_dim, k], reads the embedding of attributes off the encoder's code.
        off_code_bias: [k].

    Returns:
        The linear map from all features, [features, columns], and its bias, [columns].
    """
    places = _places(examples.seen)
    total = sum(part.shape[1] for part in examples.seen.values())
    weights, biases, at = [], [], 0
    for output in outputs():
        name, columns = output.name, output.columns
        weight, bias = torch.zeros(total, output.told), torch.zeros(output.told)
        if output.fixed:
            pass
        elif name.startswith(OFF_CODE):
            weight[places["code"]] = off_code[:, at : at + columns]
            bias = off_code_bias[at : at + columns].clone()
        elif name in LABELLED:
            weight, bias = _off_labels(name, examples, places, weight)
        else:
            weight, bias = _off_renders(name, examples, places, weight)
        weights.append(weight)
        biases.append(bias)
        at += columns + 2 * output.colored
    return torch.cat(weights, 1), torch.cat(biases)


def _off_labels(
    name: str, examples: Examples, places: Mapping[str, Tensor], weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Fit an attribute to labels, and to renders where the plan says so."""
    plan, photos, index = LABELLED[name], examples.photographs, list(SPECS).index(name)
    wanted = _wanted(name, examples.values)
    counts = examples.known[:, index].float()
    counts[photos:] *= plan.renders * float(counts[:photos].sum()) / max(1, len(counts) - photos)
    known, bias = counts > 0, torch.zeros(wanted.shape[1])
    for seen in plan.seen:
        parts = [examples.seen[part][known] for part in seen]
        slope, offset = ridge(parts, wanted[known], counts[known], plan.ridge)
        weight[torch.cat([places[part] for part in seen])] += slope / len(plan.seen)
        bias += offset / len(plan.seen)
    for value, lean in plan.lean.items():
        bias[SPECS[name].values.index(value)] += lean
    return weight, bias


def _off_renders(
    name: str, examples: Examples, places: Mapping[str, Tensor], weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Fit an attribute to renders; the average photograph is made the average person."""
    photos, spec = examples.photographs, SPECS[name]
    seen, moved = OFF_HAIR if name == "hair_volume" else OFF_SHAPE
    parts = [examples.seen[part] for part in seen]
    wanted = _wanted(name, examples.values[photos:])
    slope, bias = ridge([p[photos:] for p in parts], wanted, torch.ones(len(wanted)), RIDGE)
    if not spec.categorical:
        read = torch.cat([part[:photos] for part in parts], 1) @ slope + bias
        people = sample_attributes(POPULATION, seed=0).column(name)
        scale = moved * min(1.0, float(people.std() / read.std()))
        slope, bias = slope * scale, people.mean() + (bias - read.mean(0)) * scale
    weight[torch.cat([places[part] for part in seen])] = slope
    return weight, bias


def ridge(
    parts: Sequence[Tensor], wanted: Tensor, counts: Tensor, penalty: float
) -> tuple[Tensor, Tensor]:
    """Fit a linear map by least squares with a penalty; sets of features count alike.

    Args:
        parts: Sets of features, each [n, k].
        wanted: [n, columns].
        counts: [n], how much each row counts.
        penalty: As RIDGE.

    Returns:
        [sum of k, columns] and [columns].
    """
    x, counts = torch.cat(list(parts), 1), counts / counts.sum() * len(counts)
    middle = (x * counts[:, None]).mean(0)
    spread = ((x - middle).square() * counts[:, None]).mean(0).sqrt()
    spread = spread + LEAST_SPREAD * spread.mean() + 1e-6
    share = torch.cat([torch.full((p.shape[1],), (p.shape[1] * len(parts)) ** -0.5) for p in parts])
    scale, usual = share / spread, (wanted * counts[:, None]).mean(0)
    z = (x - middle) * scale * counts.sqrt()[:, None]
    grown = z @ z.T + penalty * torch.eye(len(z))
    slope = scale[:, None] * (
        z.T @ torch.linalg.solve(grown, (wanted - usual) * counts.sqrt()[:, None])
    )
    return slope, usual - middle @ slope


def fit_gate(photographs: Tensor, others: Tensor, penalty: float = 1e-3) -> tuple[Tensor, Tensor]:
    """Fit what tells photographs [n, k] from other pictures [m, k]: a weight [k], a bias []."""
    x = torch.cat([photographs, others])
    middle, spread = x.mean(0), x.std(0) + 1e-4
    z, is_photo = (x - middle) / spread, torch.zeros(len(x))
    is_photo[: len(photographs)] = 1
    counts = torch.where(is_photo > 0, 0.5 / len(photographs), 0.5 / len(others))
    weight = torch.zeros(x.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    descent = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        told = F.binary_cross_entropy_with_logits(z @ weight + bias, is_photo, reduction="none")
        total = (told * counts).sum() + penalty * weight.square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        descent.step(loss)
    weight, bias = weight.detach(), bias.detach()
    return weight / spread, bias - (weight * middle / spread).sum()


def _places(seen: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return where each set of features is among all."""
    places, at = {}, 0
    for name, part in seen.items():
        places[name] = torch.arange(at, at + part.shape[1])
        at += part.shape[1]
    return places


def _wanted(name: str, values: Tensor) -> Tensor:
    """Return an attribute of people [n, A] as it is read: one-hot, on the circle, or as it is."""
    spec, column = SPECS[name], values[:, list(SPECS).index(name)]
    if spec.categorical:
        return F.one_hot(column.round().long(), len(spec.values)).float()
    if name in CIRCULAR:
        angle = column * (2 * math.pi)
        return torch.stack([angle.sin(), angle.cos()], 1)
    return column[:, None]
