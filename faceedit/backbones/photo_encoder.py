"""The code of a photograph: who is seen there, as the generator draws such a person best.

An encoder that learned from renders misreads photographs, and what it makes of them lies off the
codes that the generator draws sharply. So a photograph is read the other way round: the maps of
the base's own encoder, parser and landmarks, which exist anyway, tell what it shows (a linear map,
since a hundred labelled photographs carry no more), unlikely mixtures are resolved to one value,
and the generator's known map from attributes to w gives the code. Every code is that of a person
as sharp as a random one. Ours; no paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.layers import EqualLinear
from faceedit.backbones.unet import fit_resolution

GRID = 16  # side of the map of the beard
NARROW = ("code", "points", "tones", "mouth", "beard")  # the last of what is looked at
ENOUGH = 0.05  # share of the picture from which on a region counts as surely there


@dataclass(frozen=True)
class Output:
    """A number or a choice that is read off a photograph.

    Attributes:
        name: Of the attribute.
        values: Named values of a choice; empty for a number.
        circular: Whether it is an angle, given as sine and cosine.
        colored: Whether sine and cosine times saturation and value follow (a hue).
        read: What the linear map says at given places, ascending; empty: as it is.
        meant: What that stands for, as many.
        fixed: Its columns where it is not read but said of everybody; empty: it is read.
        wide: Whether it is read off everything, or off the last `narrow` features alone.
    """

    name: str
    values: tuple[str, ...] = ()
    circular: bool = False
    colored: bool = False
    read: tuple[float, ...] = ()
    meant: tuple[float, ...] = ()
    fixed: tuple[float, ...] = ()
    wide: bool = True

    def __post_init__(self) -> None:
        """Accept lists, as config.json has them."""
        for name in ("values", "read", "meant", "fixed"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def columns(self) -> int:
        """Numbers that say it."""
        return len(self.values) or (2 if self.circular else 1)

    @property
    def told(self) -> int:
        """Those of them that are read off the photograph."""
        return 0 if self.fixed else self.columns


@dataclass(frozen=True)
class PhotoEncoderConfig:
    """What is read and how large the maps are.

    Attributes:
        outputs: In the order in which the generator's map from attributes takes them.
        features: Length of what is read off a photograph.
        narrow: How many of the last of them the attributes are read off that are not wide.
        gate: Channels of the encoder's last map.
        w_dim: Length of a w.
        width: Of the hidden layers of the map from attributes to w.
        layers: Of it.
    """

    outputs: tuple[Output, ...]
    features: int
    narrow: int = 0
    gate: int = 160
    w_dim: int = 256
    width: int = 256
    layers: int = 4

    def __post_init__(self) -> None:
        """Accept dicts, as config.json has them."""
        made = tuple(o if isinstance(o, Output) else Output(**o) for o in self.outputs)
        object.__setattr__(self, "outputs", made)

    def columns(self, wide: bool) -> int:
        """Numbers that one of the two linear maps gives."""
        return sum(output.told for output in self.outputs if output.wide == wide)

    @property
    def embedded(self) -> int:
        """Numbers that the map from attributes to w takes."""
        return sum(output.columns + 2 * output.colored for output in self.outputs)


class PhotoEncoder(nn.Module):
    """Gives photographs a code of their own, and leaves all other pictures theirs."""

    config_class: ClassVar[type[PhotoEncoderConfig]] = PhotoEncoderConfig

    middle: Tensor
    scale: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self, config: PhotoEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.tell = nn.Linear(config.gate, 1)  # a photograph's logit
        self.register_buffer("middle", torch.zeros(config.features))
        self.register_buffer("scale", torch.ones(config.features))
        self.wide = nn.Linear(config.features, config.columns(wide=True))
        self.narrow = nn.Linear(config.narrow, config.columns(wide=False))
        self.register_buffer("mean", torch.zeros(config.embedded))
        self.register_buffer("spread", torch.ones(config.embedded))
        sizes = [config.embedded] + [config.width] * (config.layers - 1)
        self.hidden = nn.Sequential(*(EqualLinear(a, b, activate=True) for a, b in pairwise(sizes)))
        self.output = EqualLinear(sizes[-1], config.w_dim)
        self.direct = EqualLinear(sizes[0], config.w_dim)

    @torch.no_grad()
    def codes(self, image: Tensor, backbones: Any) -> Tensor:
        """Return the codes of aligned faces: photographs get theirs here, others the encoder's.

        Args:
            image: [n, 3, h, w], RGB in [-1, 1], any size.
            backbones: The base's networks; `encoder`, `segmenter` and `landmarks` are read.

        Returns:
            [n, num_ws, w_dim]. What is not a photograph has the encoder's code to the bit.
        """
        encoder = backbones.require("encoder", "inversion")
        maps = encoder.maps(image)
        code = encoder(image, maps=maps)
        photo = self.tell(maps[-1].mean((2, 3)))[:, 0] > 0
        if not photo.any():
            return code
        seen = torch.cat(list(looked(image, maps, code, backbones).values()), 1)
        of_photos = self.character(seen)
        return torch.where(photo[:, None, None], of_photos[:, None].expand_as(code), code)

    def character(self, features: Tensor) -> Tensor:
        """Return the w of whom features show, [n, w_dim]."""
        x = (self.embedding(self.read(features)) - self.mean) / self.spread
        return self.output(self.hidden(x)) + self.direct(x)

    def read(self, features: Tensor) -> Tensor:
        """Return the columns of what is read, in the order of the outputs, [n, columns]."""
        seen = (features - self.middle) / self.scale
        outputs, parts = self.config.outputs, []
        places = {True: 0, False: 0}
        narrow = self.narrow(seen[:, seen.shape[1] - self.config.narrow :])
        told = {True: self.wide(seen), False: narrow}
        for output in outputs:
            start = places[output.wide]
            places[output.wide] = start + output.told
            parts.append(told[output.wide][:, start : start + output.told])
        return torch.cat(parts, 1)

    def embedding(self, told: Tensor) -> Tensor:
        """Return attributes as the map to w takes them: every choice made, every number meant."""
        parts = torch.split(told, [output.told for output in self.config.outputs], 1)
        known = {
            o.name: _decided(o, part) for o, part in zip(self.config.outputs, parts, strict=True)
        }
        columns = []
        for output in self.config.outputs:
            columns.append(known[output.name])
            if output.colored:
                kind = output.name.removesuffix("hue")
                chroma = known[f"{kind}saturation"] * known[f"{kind}value"]
                columns.append(known[output.name] * chroma)
        return torch.cat(columns, 1)


def looked(
    image: Tensor, maps: Sequence[Tensor], code: Tensor, backbones: Any
) -> dict[str, Tensor]:
    """Return what the base's networks see in photographs, each [n, k]; from `NARROW` on few.

    Args:
        image: [n, 3, h, w], RGB in [-1, 1].
        maps: The encoder's, of the same pictures.
        code: The encoder's, [n, num_ws, w_dim].
        backbones: `encoder`, `segmenter` and `landmarks` are read.
    """
    parser = backbones.require("segmenter", "the code of a photograph")
    finder = backbones.require("landmarks", "the code of a photograph")
    parsed = parser.descend(fit_resolution(image, parser.config.resolution, parser.step))
    found = finder.descend(fit_resolution(image, finder.config.resolution, finder.step))
    points, visible, _ = finder.read(finder.ascend(found), found[-1])
    shares = _shares(parser, parser.ascend(parsed))
    small = F.adaptive_avg_pool2d(image, shares.shape[-1])
    parts = {
        "coarse": _pooled(maps[-1], 2),
        "fine": _pooled(maps[-2], 4),
        "parsed_fine": _pooled(parsed[-3], 4),
        "parsed": _pooled(parsed[-2], 4),
        "found": _pooled(found[-2], 4),
        "visible": visible.sigmoid(),
        "code": code.mean(1) - backbones.encoder.w_avg,
        "points": _shape(points, finder.config.names),
        "tones": _tones(small, shares, parser.config.regions),
        "mouth": _mouth(points, shares, finder.config.names, parser.config.regions),
        "beard": _beard(shares, parser.config.regions),
    }
    return {name: part.float() for name, part in parts.items()}


def _decided(output: Output, told: Tensor) -> Tensor:
    """Return a choice as one-hot, an angle on the circle, a number as what it stands for."""
    if output.fixed:
        return told.new_tensor(output.fixed).expand(len(told), -1)
    if output.values:
        return F.one_hot(told.argmax(1), len(output.values)).float()
    if output.circular:
        return F.normalize(told, dim=1)
    if not output.read:
        return told
    meant = np.interp(told.cpu().double().numpy(), output.read, output.meant)
    return torch.from_numpy(meant).to(told)


def _pooled(x: Tensor, side: int) -> Tensor:
    return F.adaptive_avg_pool2d(x, side).flatten(1)


def _shares(parser: Any, fine: Tensor) -> Tensor:
    """Return how likely each region is, [n, regions, side, side], a block of pixels at a time."""
    count = len(parser.config.regions)
    return parser.logits(fine).unflatten(1, (count, -1)).mean(2).float().softmax(1)


def _shape(points: Tensor, names: tuple[str, ...]) -> Tensor:
    """Return points [n, k, 2] turned and scaled so that the irises lie level and 1 apart."""
    left, right = (_mean_of(points, names, f"{side}_iris") for side in ("left", "right"))
    across = right - left
    length = across.norm(dim=1).clamp(min=1e-3)
    cos, sin = (across / length[:, None]).unbind(1)
    moved = (points - ((left + right) / 2)[:, None]) / length[:, None, None]
    x, y = moved.unbind(-1)
    turned = [x * cos[:, None] + y * sin[:, None], y * cos[:, None] - x * sin[:, None]]
    return torch.stack(turned, -1).flatten(1)


def _mean_of(points: Tensor, names: tuple[str, ...], start: str) -> Tensor:
    return points[:, [i for i, name in enumerate(names) if name.startswith(start)]].mean(1)


def _tones(image: Tensor, shares: Tensor, regions: tuple[str, ...]) -> Tensor:
    """Return the regions' shares, and the colours of skin, hair, lips, cloth and background."""
    certain = (shares - 0.5).clamp(min=0)
    color = (image.float() + 1) / 2
    amount = certain.sum((2, 3)) + 1e-3

    def mean(values: Tensor) -> Tensor:
        return torch.einsum("nchw,nkhw->nck", certain, values) / amount[..., None]

    means, squares = mean(color), mean(color.square())
    spread = (squares - means.square()).clamp(min=0).sqrt()
    share = shares.mean((2, 3))
    present = (share / ENOUGH).clamp(max=1)
    at = {name: i for i, name in enumerate(regions)}
    tone = {name: means[:, at[name]] for name in ("skin", "hair", "brows", "lips")}
    hair, skin = tone["hair"], tone["skin"]
    light = hair.mean(1)
    grey = [hair.amax(1) - hair.amin(1), light, (hair[:, 0] - hair[:, 2]) / (light + 0.1)]
    grey.append(light / (skin.mean(1) + 0.1))
    parts = [
        *(hair, skin, hair - skin, tone["brows"], tone["lips"] - skin),
        means[:, at["beard"]] * present[:, at["beard"], None],
        *(spread[:, at["hair"]], spread[:, at["skin"]]),
        *(means[:, at["cloth"]], means[:, at["background"]]),
        *(torch.stack(grey, 1), share.sqrt(), present),
    ]
    return torch.cat(parts, 1)


def _mouth(
    points: Tensor, shares: Tensor, names: tuple[str, ...], regions: tuple[str, ...]
) -> Tensor:
    """Return how the lips stand: the gap between them, their corners, and what is between them."""
    shape = _shape(points, names).unflatten(1, (-1, 2))
    at = {name: shape[:, i] for i, name in enumerate(names)}
    left, right = at["left_lip_0"], at["right_lip_0"]
    middle, width = (left + right) / 2, (right - left).norm(dim=1)
    gap = (at["lip_lower"] - at["lip_upper"])[:, 1]
    share = shares.mean((2, 3))
    inside, lips = (share[:, regions.index(name)] for name in ("mouth", "lips"))
    heights = [(middle - at[f"lip_{name}"])[:, 1] for name in ("upper", "lower", "bottom", "top")]
    thick = [(at["lip_bottom"] - at["lip_lower"])[:, 1], (at["lip_upper"] - at["lip_top"])[:, 1]]
    some = [inside * 30, (inside * 100).clamp(max=1), inside / (inside + lips + 1e-3), lips * 30]
    return torch.stack([width, gap, gap / width, middle[:, 1], *heights, *thick, *some], 1)


def _beard(shares: Tensor, regions: tuple[str, ...]) -> Tensor:
    """Return where a beard is, in the lower half of the picture."""
    beard = shares[:, regions.index("beard")]
    amount = beard.mean((1, 2))
    lower = _pooled(beard[:, None], GRID)[:, GRID * GRID // 2 :]
    return torch.cat([amount[:, None].sqrt(), (amount * 30).clamp(max=1)[:, None], lower], 1)
