"""The data's promises: a function of seed and position, mirrored truthfully, fixed at start."""

import dataclasses

import numpy as np
import pytest
import torch

from faceedit.world import FaceAttributes
from training.config import ConfigError
from training.data.shards import (
    WorldBatch,
    WorldShards,
    hashed_bits,
    mix,
    order,
    to_float,
    to_uint8,
)

from .shards import write_index, write_shard


@pytest.fixture
def folder(tmp_path):
    for number, count in enumerate((5, 5, 3)):
        write_shard(tmp_path / "train", number, count)
    return tmp_path / "train"


def same(a: WorldBatch, b: WorldBatch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def joined(batches: list[WorldBatch]) -> WorldBatch:
    names = [field.name for field in dataclasses.fields(WorldBatch)]
    return WorldBatch(**{n: torch.cat([getattr(b, n) for b in batches]) for n in names})


def test_batch_depends_on_seed_and_positions_only(folder):
    data, again = WorldShards(folder, seed=3, flip=True), WorldShards(folder, seed=3, flip=True)
    whole = data.batch(range(8, 24))
    assert same(whole, joined([again.batch(range(s, s + 4)) for s in (8, 12, 16, 20)]))
    assert not same(whole, WorldShards(folder, seed=4, flip=True).batch(range(8, 24)))


def test_every_epoch_shows_every_row_once_in_another_order():
    first, second = order(13, range(13), 0), order(13, range(13, 26), 0)
    assert sorted(first) == sorted(second) == list(range(13))
    assert list(first) != list(second)


def test_rows_come_from_the_right_shard(folder):
    batch = WorldShards(folder).rows([12, 0, 7])
    assert to_uint8(batch.image)[:, 0, 0, 0].tolist() == [2, 0, 2]
    assert batch.index.tolist() == [12, 0, 7]
    assert batch.image.shape == (3, 3, 16, 16) and batch.segmentation.dtype == torch.uint8
    assert isinstance(batch.attributes, FaceAttributes)


def test_pixels_survive_the_way_to_floats_and_back():
    pixels = torch.arange(256, dtype=torch.uint8)
    assert to_float(pixels).min() == -1 and to_float(pixels).max() == 1
    assert torch.equal(to_uint8(to_float(pixels)), pixels)


def test_mirrored_items_mirror_image_regions_and_attributes(folder):
    plain, flipped = WorldShards(folder, flip=False), WorldShards(folder, flip=True)
    positions = range(40)
    a, b = plain.batch(positions), flipped.batch(positions)
    chosen = b.mirrored
    assert 8 < int(chosen.sum()) < 32 and not a.mirrored.any()
    assert torch.equal(b.image[chosen], a.image[chosen].flip(-1))
    assert torch.equal(b.segmentation[chosen], a.segmentation[chosen].flip(-1))
    assert torch.equal(b.values[chosen], a.attributes.mirror().values[chosen])
    assert torch.equal(b.image[~chosen], a.image[~chosen])


def test_mirroring_is_fair_and_independent_of_batching():
    bits = hashed_bits(0, range(10_000))
    assert abs(bits.mean() - 0.5) < 0.02
    assert np.array_equal(bits[100:110], hashed_bits(0, range(100, 110)))
    assert len({mix(0, step) for step in range(1000)}) == 1000


def test_shards_added_later_are_used_only_when_asked_for(folder):
    state = WorldShards(folder).state()
    write_shard(folder, 3, 4)
    assert len(WorldShards(folder, recorded=state)) == 13
    assert WorldShards(folder, recorded=state).state() == state
    assert len(WorldShards(folder)) == 17


def test_half_written_shards_are_not_seen(folder):
    (folder / ".00003.safetensors.partial").write_bytes(b"torn")
    assert len(WorldShards(folder)) == 13


def test_missing_damaged_and_foreign_shards_are_clear_errors(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"training\.data\.make_world --split heldout"):
        WorldShards(tmp_path / "heldout")
    state = WorldShards(folder).state()
    (folder / "00001.safetensors").write_bytes(b"torn")
    with pytest.raises(ConfigError, match=r"00001\.safetensors cannot be read"):
        WorldShards(folder)
    write_shard(folder, 1, 4)
    with pytest.raises(ConfigError, match="rendered again"):
        WorldShards(folder, recorded=state)
    write_index(folder, attributes=["smile"])
    with pytest.raises(ConfigError, match="other attributes"):
        WorldShards(folder)
