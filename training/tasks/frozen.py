"""Networks that trainings read and never change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from faceedit.backbones.attributes import AttributeReader
from faceedit.hub import AnyModule, load_network
from training.config import TrainConfig


def frozen(
    kind: type[AnyModule],
    name: str,
    weights: Mapping[str, float],
    config: TrainConfig,
    device: torch.device,
) -> AnyModule | None:
    """Return a network of the base for a loss; None if the base has none or the loss is off."""
    folder = config.base_path / name
    if weights[name] == 0 or not (folder / "model.safetensors").is_file():
        return None
    return load_network(kind, folder).eval().requires_grad_(False).to(device)


def more_readers(folders: Iterable[str], device: torch.device) -> list[AttributeReader]:
    """Return attribute readers for a loss from other folders than the base's."""
    found = [load_network(AttributeReader, Path(folder)) for folder in folders]
    return [reader.eval().requires_grad_(False).to(device) for reader in found]
