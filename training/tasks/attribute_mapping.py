"""A: the attributes of the portrait world -> w, trained together with the generator.

`generator.synthesis(generator.broadcast(A(attributes)))` reproduces the render of any attributes,
so A gives exact codes for exact truth: it teaches the mapping network which z is which person, and
other trainings (encoder, counterfactual edits) can ask it for the w of an edited face. It is no
part of the product: `faceedit` edits photos, and nobody has the attributes of a photo.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from faceedit.backbones.layers import EqualLinear, PixelNorm
from faceedit.backbones.stylegan2 import Generator
from faceedit.world import NOISE_DIM, SPECS, FaceAttributes, attributes_from_noise
from faceedit.world.attributes import CIRCULAR
from training.config import ConfigError

__all__ = [
    "FILE_NAME",
    "AttributeMapping",
    "AttributeMappingConfig",
    "attributes_off_w",
    "give_directions",
    "has_chroma",
    "load_attribute_mapping",
    "people_of_z",
    "save_attribute_mapping",
]

FILE_NAME = "attribute_mapping.safetensors"  # beside the generator's model.safetensors
LEAST_SPREAD = 0.25  # rare one-hot values are not scaled up beyond this standard deviation
POPULATION = 4096  # people whose mean and spread standardise the embedding
LEAST_READABLE = 0.4  # R2 of a number of the embedding, read linearly off w, that needs no more
DIRECTION_SIZE = 10.0  # standard deviation along a direction that is given; w's own 50th has 9


@dataclass(frozen=True)
class AttributeMappingConfig:
    """Size of the network."""

    w_dim: int = 256
    width: int = 256  # of every hidden layer
    layers: int = 4


def people_of_z(z: Tensor) -> FaceAttributes:
    """Return whom each z of the generator shows, [n, z_dim] with z_dim >= NOISE_DIM.

    The mapping network sees z only after it has been scaled to unit mean square, so the person is
    taken from the scaled z too: otherwise the scale, which it cannot know, would decide near every
    threshold between two values.
    """
    scaled = PixelNorm()(z)
    return attributes_from_noise(scaled[:, :NOISE_DIM])


def embed(attributes: FaceAttributes) -> Tensor:
    """Return attributes as numbers that vary smoothly with the picture, [n, k], not standardised.

    Numbers stay as they are, circular ones become sine and cosine, categories one-hot vectors;
    hues are given once more times saturation and value, because grey has no hue.
    """
    columns = []
    for name, spec in SPECS.items():
        column = attributes.column(name)
        if spec.categorical:
            columns.append(F.one_hot(column.round().long(), len(spec.values)).float())
        elif name in CIRCULAR:
            columns.append(_on_circle(column))
        else:
            columns.append(column[:, None])
        if has_chroma(name):
            parts = _colorfulness(name)
            strength = attributes.column(parts[0]) * attributes.column(parts[1])
            columns.append(_on_circle(column) * strength[:, None])
    return torch.cat(columns, dim=1)


def has_chroma(name: str) -> bool:
    """Tell whether `embed` gives a hue once more, times saturation and value."""
    return name.endswith("_hue") and all(part in SPECS for part in _colorfulness(name))


def _colorfulness(hue: str) -> tuple[str, str]:
    """Return the names of the saturation and the value that belong to a hue."""
    return hue.replace("_hue", "_saturation"), hue.replace("_hue", "_value")


def _on_circle(turns: Tensor) -> Tensor:
    """Map turns [n] to (sine, cosine), [n, 2]."""
    angle = turns * (2 * math.pi)
    return torch.stack([angle.sin(), angle.cos()], dim=1)


class AttributeMapping(nn.Module):
    """Attributes -> w: standardised embedding, then a plain network, and a straight way past it.

    The network alone came to ignore what few pixels show (a nose's width, hoops): their slope is
    small, and what w does not hold cannot be drawn. The straight way holds it from the first step.
    """

    config_class: ClassVar[type[AttributeMappingConfig]] = AttributeMappingConfig

    mean: Tensor  # [k], of the embedding over the world's people
    spread: Tensor  # [k], its standard deviation, at least LEAST_SPREAD

    def __init__(self, config: AttributeMappingConfig) -> None:
        super().__init__()
        self.config = config
        noise = torch.randn(POPULATION, NOISE_DIM, generator=torch.Generator().manual_seed(0))
        population = embed(attributes_from_noise(noise))
        self.register_buffer("mean", population.mean(0))
        self.register_buffer("spread", population.std(0).clamp(min=LEAST_SPREAD))
        sizes = [population.shape[1]] + [config.width] * (config.layers - 1)
        self.hidden = nn.Sequential(*(EqualLinear(a, b, activate=True) for a, b in pairwise(sizes)))
        self.output = EqualLinear(sizes[-1], config.w_dim)
        self.direct = EqualLinear(sizes[0], config.w_dim)

    def forward(self, attributes: FaceAttributes) -> Tensor:
        """Return w, [n, w_dim], in the parameters' dtype even under autocast."""
        with torch.autocast(attributes.values.device.type, enabled=False):
            x = self.standardised(attributes)
            return self.output(self.hidden(x)) + self.direct(x)

    def standardised(self, attributes: FaceAttributes) -> Tensor:
        """Return the embedding with mean 0 and, where it is not rare, spread 1, [n, k]."""
        return (embed(attributes).to(self.mean) - self.mean) / self.spread


@torch.no_grad()
def give_directions(mapping: AttributeMapping, generator: Generator) -> int:
    """Give each number of the embedding that w says little of a direction of w; return how many.

    The directions are those in which w hardly varies, and the generator's affine maps are made
    blind to them first: every picture stays what it was, and training finds what to do with them.

    Args:
        mapping: Changed in place.
        generator: Trained with it; changed in place.

    Raises:
        ConfigError: If more are unsaid than a half of w's directions.
    """
    people = attributes_from_noise(
        torch.randn(2 * POPULATION, NOISE_DIM, generator=torch.Generator().manual_seed(1))
    )
    w, x = mapping(people), mapping.standardised(people)
    axes = torch.linalg.eigh(torch.cov(w.T.double()))[1]  # of the smallest variance first
    unsaid = (_readable(w, x, axes) < LEAST_READABLE).nonzero()[:, 0]
    if len(unsaid) > w.shape[1] // 2:
        raise ConfigError(f"w has {w.shape[1]} directions, too few to give away {len(unsaid)}")
    quiet = axes.float()[:, : len(unsaid)]  # [w_dim, directions]
    for module in generator.blocks.modules():
        if isinstance(affine := getattr(module, "affine", None), EqualLinear):
            blind = affine.weight @ quiet @ quiet.T
            affine.bias.add_(blind @ w.mean(0) * affine.weight_gain / affine.lr_multiplier)
            affine.weight.sub_(blind)
    size = DIRECTION_SIZE / x[:, unsaid].std(0).clamp(min=LEAST_SPREAD)
    mapping.direct.weight[:, unsaid] += quiet * size / mapping.direct.weight_gain
    return len(unsaid)


def _readable(w: Tensor, x: Tensor, axes: Tensor) -> Tensor:
    """Return how well each column of x [n, k] is read linearly off w [n, w_dim], as R2, [k].

    Fitted to one half of the people and tried on the other. Along its own axes scaled to 1, w says
    what it says however little it moves for it.
    """
    moved = (w - w.mean(0)).double() @ axes
    moved = torch.cat([moved / moved.std(0), torch.ones_like(moved[:, :1])], dim=1)
    half, wanted = len(w) // 2, x.double()
    found = moved[half:] @ torch.linalg.lstsq(moved[:half], wanted[:half]).solution
    missed = (found - wanted[half:]).square().mean(0)
    return 1 - missed / wanted[half:].var(0).clamp(min=1e-9)


@torch.no_grad()
def attributes_off_w(mapping: AttributeMapping, ridge: float = 1.0) -> Tensor:
    """Return the matrix [w_dim, k] that reads the standardised embedding off `w - mean(w)`.

    Args:
        mapping: Whose w it is.
        ridge: Variance that is added to every direction of w, so that what is read does not hang on
            directions in which people hardly differ.
    """
    noise = torch.randn(4 * POPULATION, NOISE_DIM, generator=torch.Generator().manual_seed(0))
    people = attributes_from_noise(noise.to(mapping.mean.device))
    w, x = mapping(people).double(), mapping.standardised(people).double()
    moved, wanted = w - w.mean(0), x - x.mean(0)
    variance = moved.T @ moved / len(w)
    flat = ridge * torch.eye(w.shape[1], dtype=w.dtype, device=w.device)
    return torch.linalg.solve(variance + flat, moved.T @ wanted / len(w)).float()


def save_attribute_mapping(mapping: AttributeMapping, folder: Path) -> Path:
    """Write the network beside a generator, in half precision; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    metadata = {
        "config": json.dumps(asdict(mapping.config)),
        "attributes": json.dumps(list(SPECS)),
    }
    tensors = {k: v.detach().half().contiguous().cpu() for k, v in mapping.state_dict().items()}
    partial = path.with_name(f".{FILE_NAME}.partial")
    save_file(tensors, partial, metadata=metadata)
    partial.replace(path)
    return path


def load_attribute_mapping(folder: Path) -> AttributeMapping:
    """Read the network that stands beside a generator, in float32 and evaluation mode.

    Raises:
        ConfigError: If there is none or it was trained for other attributes.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; train it: training/train.py --task generator")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    if json.loads(metadata["attributes"]) != list(SPECS):
        raise ConfigError(f"{path} was trained for other attributes; train the generator again")
    mapping = AttributeMapping(AttributeMappingConfig(**json.loads(metadata["config"])))
    if "direct.weight" not in tensors:  # trained before there was a straight way
        direct = mapping.direct.state_dict()
        tensors |= {f"direct.{name}": torch.zeros_like(value) for name, value in direct.items()}
    mapping.load_state_dict(tensors)
    return mapping.eval()
