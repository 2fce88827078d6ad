"""What the judge's readings are worth: quantiles of what it reads and of what is true.

A network that is unsure answers with something usual, so a reading is a rank rather than a number.
The scale is found once, on held-out renders, and ships beside the judge's weights: a benchmark that
found it anew would measure with another ruler wherever other renders lie, or none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from faceedit.backbones.attributes import AttributeHead
from faceedit.hub import WEIGHTS
from faceedit.world import SPECS, WORLD_VERSION, FaceAttributes
from training.config import ConfigError

__all__ = ["SCALE", "Scale"]

SCALE = "scale.safetensors"  # beside the weights of the judge that it is of
QUANTILES = 101
APART = 1e-7  # equal readings must stay in order


@dataclass(frozen=True)
class Scale:
    """The world's value of every reading.

    Attributes:
        read: Quantiles of the readings of each continuous attribute, [q], float32.
        true: Those of the truth, [q].
    """

    read: Mapping[str, np.ndarray]
    true: Mapping[str, np.ndarray]

    @classmethod
    def fit(
        cls, heads: Sequence[AttributeHead], read: FaceAttributes, true: FaceAttributes
    ) -> Scale:
        """Match the quantiles of readings and truth over the same pictures."""
        names = [head.name for head in heads if not head.values and not head.circular]
        return cls(*({name: _quantiles(people, name) for name in names} for people in (read, true)))

    @classmethod
    def load(cls, judge: Path) -> Scale:
        """Read the scale that ships with a judge.

        Raises:
            ConfigError: If there is none, or it is of other weights or another world.
        """
        path = judge / SCALE
        again = "find it with: python -m training.benchmark.fit_scale"
        try:
            with safe_open(path, framework="np") as file:
                facts = file.metadata() or {}
                found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"the judge has no scale in {path} ({error}); {again}") from error
        for what, wanted in _facts(judge).items():
            if facts.get(what) != wanted:
                raise ConfigError(f"{path} is of other {what}; {again}")
        return cls(*(_part(found, kind) for kind in ("read", "true")))

    def save(self, judge: Path, renders: int) -> Path:
        """Write the scale beside the weights of its judge, found on so many renders."""
        named = {f"read/{name}": values for name, values in self.read.items()}
        named |= {f"true/{name}": values for name, values in self.true.items()}
        tensors = {key: torch.from_numpy(values) for key, values in named.items()}
        save_file(tensors, judge / SCALE, {**_facts(judge), "renders": str(renders)})
        return judge / SCALE

    def apply(self, people: FaceAttributes) -> FaceAttributes:
        """Return readings on the world's scale."""
        values = people.values.clone()
        for name, given in self.read.items():
            column = list(SPECS).index(name)
            rising = given.astype(float) + np.arange(len(given)) * APART
            mapped = np.interp(values[:, column].double().numpy(), rising, self.true[name])
            values[:, column] = torch.from_numpy(mapped).to(values)
        return FaceAttributes(values)

    def span(self, name: str) -> tuple[float, float]:
        """Return the 1st and the 99th percentile of a continuous attribute."""
        return float(self.true[name][1]), float(self.true[name][-2])


def _quantiles(people: FaceAttributes, name: str) -> np.ndarray:
    places = np.linspace(0, 1, QUANTILES)
    return np.quantile(people.column(name).numpy(), places).astype(np.float32)


def _part(found: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    start = f"{kind}/"
    return {k.removeprefix(start): v for k, v in found.items() if k.startswith(start)}


def _facts(judge: Path) -> dict[str, str]:
    """Return what the numbers of a scale hold for."""
    weights = hashlib.sha256((judge / WEIGHTS).read_bytes()).hexdigest()
    return {"weights": weights, "world version": WORLD_VERSION}
