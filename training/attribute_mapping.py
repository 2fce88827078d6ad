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
from faceedit.world import NOISE_DIM, SPECS, FaceAttributes, attributes_from_noise
from faceedit.world.attributes import CIRCULAR
from training.config import ConfigError

__all__ = [
    "FILE_NAME",
    "AttributeMapping",
    "AttributeMappingConfig",
    "load_attribute_mapping",
    "people_of_z",
    "save_attribute_mapping",
]

FILE_NAME = "attribute_mapping.safetensors"  # beside the generator's model.safetensors
LEAST_SPREAD = 0.25  # rare one-hot values are not scaled up beyond this standard deviation
POPULATION = 4096  # people whose mean and spread standardise the embedding


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
        chroma = (name.replace("_hue", "_saturation"), name.replace("_hue", "_value"))
        if name.endswith("_hue") and all(part in SPECS for part in chroma):
            strength = attributes.column(chroma[0]) * attributes.column(chroma[1])
            columns.append(_on_circle(column) * strength[:, None])
    return torch.cat(columns, dim=1)


def _on_circle(turns: Tensor) -> Tensor:
    """Map turns [n] to (sine, cosine), [n, 2]."""
    angle = turns * (2 * math.pi)
    return torch.stack([angle.sin(), angle.cos()], dim=1)


class AttributeMapping(nn.Module):
    """Attributes -> w: standardised embedding, then a plain network with leaky ReLUs."""

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

    def forward(self, attributes: FaceAttributes) -> Tensor:
        """Return w, [n, w_dim], in the parameters' dtype even under autocast."""
        with torch.autocast(attributes.values.device.type, enabled=False):
            x = (embed(attributes).to(self.mean) - self.mean) / self.spread
            return self.output(self.hidden(x))


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
    mapping.load_state_dict(tensors)
    return mapping.eval()
