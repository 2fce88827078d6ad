"""Reads the golden files: outputs of official implementations under pseudo-random weights.

A tensor's values depend on its official key and shape only, so anyone can draw the weights again:
value = f(n), n = RandomState(crc32(salt + key)).standard_normal(shape), f from `RULES`.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parent

# Pattern of the official key, rank or None, f(n, fan). The first row that fits counts; f None: a
# constant of the module, not drawn.
RULES: list[tuple[str, int | None, Callable[[Any, float], Any] | None]] = [
    (r"(num_batches_tracked|(^|\.)pe|\.kernel|resample_filter|logit_scale)$", None, None),
    (r"running_var$", None, lambda n, fan: 1 + 0.1 * abs(n)),
    (r"running_mean$", None, lambda n, fan: 0.1 * n),
    (r"(noises\.noise_\d+|noise_const)$", None, lambda n, fan: n),
    (r"(noise\.weight|noise_strength)$", None, lambda n, fan: 0.3 + 0.2 * n),
    (r"(^|\.)(style\.\d+|mapping\.(fc)?\d+)\.weight$", 2, lambda n, fan: 100 * n),
    (r"(^|\.)(style\.\d+|mapping\.(fc)?\d+)\.bias$", 1, lambda n, fan: 10 * n),
    (r"(modulation|affine)\.bias$", 1, lambda n, fan: 1 + 0.1 * n),
    (r"(modulation|affine|(^|\.)linear)\.weight$", None, lambda n, fan: n),
    (r"(input\.input|\.const|w_avg)$", None, lambda n, fan: n),
    (r"^synthesis\.b\d+\..*weight$", 4, lambda n, fan: n),
    (r"weight$", 5, lambda n, fan: n),
    (r"attention_layer\.k_matrix\.weight$", 2, lambda n, fan: 0.35 * n),
    (r"^att_mapper\.\d+\.q_matrix\.weight$", 2, lambda n, fan: 0.07 * n / fan**0.5),
    (r"^att_convs\.17\.weight$", 4, lambda n, fan: 0.3 * n * (2 / fan) ** 0.5),
    (r"bias$", None, lambda n, fan: 0.1 * n),
    (r"weight$", 1, lambda n, fan: 0.75 + 0.15 * n),
    (r"", 4, lambda n, fan: n * (2 / fan) ** 0.5),
    (r"", 2, lambda n, fan: n / fan**0.5),
    (r"", 1, lambda n, fan: 0.1 * n),
]


@dataclass(frozen=True)
class Golden:
    """One golden file."""

    about: dict[str, Any]  # the JSON
    values: dict[str, np.ndarray]  # the npz

    @property
    def parameters(self) -> dict[str, Any]:
        return self.about["parameters"]

    def state_dict(self, layout: str = "state_dict", prefix: str = "") -> dict[str, Tensor]:
        """Draw the official state dict; constants are zeros, and `prefix` is drawn by too."""
        tensors = self.about["layout"][layout]
        return {key: self._weight(prefix + key, shape) for key, shape, *_ in tensors}

    def input(self, name: str) -> Tensor:
        """Draw an input of the official run."""
        entry = self.about["inputs"][name]
        drawn = self._normal(entry["key"], entry["shape"])
        return torch.from_numpy((drawn * entry["scale"] + entry["shift"]).astype(np.float32))

    def difference(self, name: str, mine: Tensor) -> tuple[float, float]:
        """Return the largest absolute difference to an official output, and what is allowed."""
        output = self.about["outputs"][name]
        flat = mine.detach().numpy().reshape(-1)
        if output["sampled"]:
            flat = flat[self.values[f"{name}__idx"]]
        wanted = self.values[f"{name}__val"].reshape(-1)
        return float(np.abs(flat - wanted).max()), output["atol"]

    def _normal(self, key: str, shape: list[int]) -> np.ndarray:
        seed = zlib.crc32((self.about["salt"] + key).encode()) & 0xFFFFFFFF
        return np.random.RandomState(seed).standard_normal(tuple(shape))

    def _weight(self, key: str, shape: list[int]) -> Tensor:
        rule = next(f for p, rank, f in RULES if re.search(p, key) and rank in (None, len(shape)))
        if rule is None:
            return torch.zeros(shape)
        drawn = np.asarray(rule(self._normal(key, shape), float(np.prod(shape[1:]))))
        return torch.from_numpy(drawn.astype(np.float32).reshape(shape))


def load(name: str) -> Golden:
    """Read `tests/golden/<name>.json` and `.npz`."""
    with np.load(FOLDER / f"{name}.npz") as file:
        values = {key: file[key] for key in file.files}
    return Golden(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")), values)
