"""Stand-in shards: random pixels with valid attributes, so that tests need no rendering."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from faceedit.world import SPECS, WORLD_VERSION, sample_attributes


def write_shard(folder: Path, number: int, count: int, size: int = 16) -> None:
    """Add a shard whose pixel (0, 0, 0) of row i holds `i` and whose attributes are real."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = torch.Generator().manual_seed(number)
    image = torch.randint(0, 256, (count, 3, size, size), generator=noise, dtype=torch.uint8)
    image[:, 0, 0, 0] = torch.arange(count)
    content = {
        "image": image,
        "segmentation": torch.randint(0, 5, (count, size, size), generator=noise).byte(),
        "attributes": sample_attributes(count, number).values,
    }
    save_file(content, folder / f"{number:05d}.safetensors")
    write_index(folder)


def write_index(folder: Path, **changes) -> None:
    content = {"world_version": WORLD_VERSION, "attributes": list(SPECS), **changes}
    (folder / "index.json").write_text(json.dumps(content))
