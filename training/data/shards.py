"""Batches from the world's shards: an endless sequence whose every item is a pure function.

Item `p` of the sequence depends on the seed, on `p` and on the list of shards, and on nothing
else. So the position to resume from is one integer, any number of processes can share the
sequence by taking disjoint ranges of it, and two batches of 8 hold what one of 16 holds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from training.config import ConfigError

if TYPE_CHECKING:
    from faceedit.world import FaceAttributes

__all__ = ["WorldBatch", "WorldShards", "augment_seed", "order"]

GPU_SHARE = 0.4  # of the accelerator's free memory that the shards may fill


@dataclass(frozen=True)
class WorldBatch:
    """Renders with their exact ground truth."""

    image: Tensor  # [n, 3, h, w] float32, RGB in [-1, 1]
    segmentation: Tensor  # [n, h, w] uint8, index into faceedit.world.REGIONS
    values: Tensor  # [n, A] float32, one column an attribute in the order of faceedit.world.SPECS
    index: Tensor  # [n] int64, row in the data set; mirrored or not
    mirrored: Tensor  # [n] bool, whether this item was flipped left to right

    @property
    def attributes(self) -> FaceAttributes:
        """The values under their names."""
        from faceedit.world import FaceAttributes

        return FaceAttributes(self.values)

    def to(self, device: torch.device) -> WorldBatch:
        """Return the batch on another device."""
        moved = {name: value.to(device, non_blocking=True) for name, value in vars(self).items()}
        return WorldBatch(**moved)

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class _Shard:
    """Rows of a shard file; tensors are memory-mapped until touched."""

    name: str
    image: Tensor  # [n, 3, h, w] uint8
    segmentation: Tensor  # [n, h, w] uint8
    values: Tensor  # [n, A] float32


class WorldShards:
    """The renders of one split, read from `.data/world/<split>/*.safetensors`.

    Args:
        folder: The split's folder.
        recorded: What `state()` returned in an earlier run, to use the same shards although more
            have been rendered since; None: every complete shard that is there now.
        seed: Decides the order and which items are mirrored.
        flip: Mirror half of the items; their attributes are mirrored with them.
        device: Where the shards are kept. Those that do not fit an accelerator stay in memory.

    Raises:
        ConfigError: If there is no shard, one is missing or damaged, or the shards were rendered
            from other attributes than this version of the world has.
    """

    def __init__(
        self,
        folder: Path,
        recorded: dict[str, Any] | None = None,
        seed: int = 0,
        flip: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.folder = folder
        self.seed = seed
        self.flip = flip
        names = recorded["shards"] if recorded else sorted(p.name for p in shard_files(folder))
        if not names:
            raise ConfigError(
                f"no shards in {folder}; render some first: "
                f"python -m training.data.make_world --split {folder.name} --count 2000"
            )
        self.index = read_index(folder)
        _check_attributes(folder, self.index)
        self.shards = [_read_shard(folder / name) for name in names]
        self.starts = np.cumsum([0, *(len(shard.values) for shard in self.shards)])
        if recorded and len(self) != recorded["count"]:
            raise ConfigError(
                f"{folder} holds {len(self)} images where the checkpoint saw {recorded['count']}; "
                "it was rendered again: pass --refresh_data or start afresh with --overwrite"
            )
        device = torch.device(device)
        if device.type == "cuda" and self._bytes() < GPU_SHARE * torch.cuda.mem_get_info(device)[0]:
            self.shards = [self._joined(device)]
            self.starts = np.array([0, len(self.shards[0].values)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def state(self) -> dict[str, Any]:
        """Return what fixes the content, for checkpoints."""
        names = [name for shard in self.shards for name in shard.name.split()]
        return {"shards": names, "count": len(self), "world": self.index.get("world_version")}

    def batch(self, positions: range) -> WorldBatch:
        """Return the items at these places of the endless shuffled sequence."""
        rows = order(len(self), positions, self.seed)
        batch = self.rows(rows)
        if not self.flip:
            return batch
        return mirror(batch, torch.from_numpy(hashed_bits(self.seed, positions)))

    def rows(self, rows: Sequence[int] | np.ndarray) -> WorldBatch:
        """Return these rows of the data set, unmirrored, in this order."""
        rows = np.asarray(rows, dtype=np.int64)
        if len(self.shards) == 1:
            shard, pick = self.shards[0], torch.from_numpy(rows)
            pick = pick.to(shard.image.device)
            image, segmentation = shard.image[pick], shard.segmentation[pick]
            values = shard.values[pick]
        else:
            which = np.searchsorted(self.starts, rows, side="right") - 1
            found = [
                (self.shards[s], int(r - self.starts[s])) for s, r in zip(which, rows, strict=True)
            ]
            image = torch.stack([shard.image[row] for shard, row in found])
            segmentation = torch.stack([shard.segmentation[row] for shard, row in found])
            values = torch.stack([shard.values[row] for shard, row in found])
        index = torch.from_numpy(rows).to(image.device)
        still = torch.zeros(len(rows), dtype=torch.bool, device=image.device)
        return WorldBatch(to_float(image), segmentation, values, index, still)

    def _bytes(self) -> int:
        return sum(t.nbytes for s in self.shards for t in (s.image, s.segmentation, s.values))

    def _joined(self, device: torch.device) -> _Shard:
        """Return all shards as one on a device, so that a batch is one gather there."""
        parts = [torch.cat([getattr(s, f) for s in self.shards]).to(device) for f in _FIELDS]
        return _Shard(" ".join(shard.name for shard in self.shards), *parts)


_FIELDS = ("image", "segmentation", "values")


def to_float(image: Tensor) -> Tensor:
    """Turn uint8 pixels 0..255 into float32 in [-1, 1]."""
    return image.float().mul_(2 / 255).sub_(1)


def to_uint8(image: Tensor) -> Tensor:
    """Turn floats in [-1, 1] into the nearest uint8; the inverse of `to_float`."""
    return image.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def mirror(batch: WorldBatch, chosen: Tensor) -> WorldBatch:
    """Flip the chosen items left to right, and with them what their attributes say.

    Args:
        batch: The items.
        chosen: [n] bool.
    """
    chosen = chosen.to(batch.image.device)
    if not bool(chosen.any()):
        return batch
    image = torch.where(chosen[:, None, None, None], batch.image.flip(-1), batch.image)
    regions = torch.where(chosen[:, None, None], batch.segmentation.flip(-1), batch.segmentation)
    values = torch.where(chosen[:, None], batch.attributes.mirror().values, batch.values)
    mirrored = batch.mirrored ^ chosen
    return replace(batch, image=image, segmentation=regions, values=values, mirrored=mirrored)


def order(count: int, positions: range, seed: int) -> np.ndarray:
    """Return which of `count` rows stand at these places of the endless sequence.

    The sequence is one shuffle of all rows after another, so every row comes once an epoch.
    """
    places = np.arange(positions.start, positions.stop, positions.step)
    epochs = places // count
    rows = np.empty(len(places), dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        rows[here] = _shuffle(count, seed, int(epoch))[places[here] % count]
    return rows


@lru_cache(maxsize=4)
def _shuffle(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(count)


def mix(*numbers: int) -> int:
    """Return one well-mixed 63-bit seed from several integers (the splitmix64 finaliser)."""
    state = np.uint64(0x9E3779B97F4A7C15)
    for number in numbers:
        state = _scramble(state ^ np.uint64(number & 0xFFFFFFFFFFFFFFFF))
    return int(state >> np.uint64(1))


def augment_seed(seed: int, position: int) -> int:
    """Return a seed for whatever an item draws for itself, a function of its place alone."""
    return mix(seed, position, 1)


def hashed_bits(seed: int, positions: range) -> np.ndarray:
    """Return a fair bit a position, [n] bool."""
    places = np.arange(positions.start, positions.stop, positions.step, dtype=np.uint64)
    return (_scramble(places ^ np.uint64(mix(seed, 2))) >> np.uint64(40)) % np.uint64(2) == 1


def _scramble(x: Any) -> Any:
    """Mix 64-bit integers (splitmix64); wrapping around is what it is made of."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def shard_files(folder: Path) -> list[Path]:
    """Return the complete shards of a split; half-written ones have another ending."""
    return sorted(folder.glob("[0-9]*.safetensors"))


def read_index(folder: Path) -> dict[str, Any]:
    """Read a split's `index.json`.

    Raises:
        ConfigError: If it is missing or unreadable.
    """
    try:
        return dict(json.loads((folder / "index.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder / 'index.json'} cannot be read ({error})") from error


def _check_attributes(folder: Path, index: dict[str, Any]) -> None:
    """Refuse shards whose columns mean something else than this world's attributes."""
    try:
        from faceedit.world import SPECS
    except ImportError:  # a checkout without the renderer can still read what it rendered
        return
    if list(index.get("attributes", [])) != list(SPECS):
        raise ConfigError(
            f"{folder} was rendered from other attributes than this version of the world has; "
            "delete the folder and render it again with python -m training.data.make_world"
        )


def _read_shard(path: Path) -> _Shard:
    try:
        content = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}); delete it and run python -m training.data.make_world"
        ) from error
    return _Shard(path.name, content["image"], content["segmentation"], content["attributes"])
