"""The renderer's command: whole shards, resumable, every portrait from a seed of its own."""

import itertools
import json

import pytest
import torch
from safetensors.torch import load_file

from faceedit.world import SPECS, render, sample_attributes
from training.config import ConfigError
from training.data import make_world
from training.data.make_world import WorldJob, main, make_split, people_of, world_seed
from training.data.shards import WorldShards, to_uint8

TINY = {"size": 16, "supersampling": 1, "quiet": True}


@pytest.fixture
def direct(monkeypatch):
    """Render in this process, two portraits a shard."""
    monkeypatch.setattr(make_world, "SHARD_SIZE", 2)

    def render_all(job, shards, bar):
        for shard in shards:
            make_world._render_shard(job, shard)
        make_world._write_index(job)

    monkeypatch.setattr(make_world, "_render_all", render_all)


def test_shards_hold_what_their_seeds_say(direct, tmp_path):
    job = WorldJob(tmp_path / "heldout", 3, **TINY)
    assert make_split(job) == 3
    assert json.loads((job.folder / "index.json").read_text())["attributes"] == list(SPECS)
    last = WorldShards(job.folder).rows([2])
    person = sample_attributes(1, world_seed("heldout", 2))
    again = render(person, 16, 1)
    assert torch.equal(last.values, person.values)
    assert torch.equal(to_uint8(last.image), to_uint8(again.image))
    assert torch.equal(last.segmentation, again.segmentation)


def test_second_run_renders_only_what_is_missing(direct, tmp_path):
    folder = tmp_path / "train"
    make_split(WorldJob(folder, 3, **TINY))
    first = load_file(folder / "00000.safetensors")["image"]
    (folder / "00001.safetensors").write_bytes(b"torn")
    assert make_split(WorldJob(folder, 4, **TINY)) == 2
    assert make_split(WorldJob(folder, 4, **TINY)) == 0
    assert len(WorldShards(folder)) == 4
    assert torch.equal(load_file(folder / "00000.safetensors")["image"], first)


def test_splits_share_no_seed_and_torch_tells_them_apart():
    count = 1 << 30  # torch reads 32 bits of a seed
    starts = sorted(make_world.SEEDS.values())
    assert all(b - a >= count for a, b in itertools.pairwise([*starts, 1 << 32]))
    one, other = (sample_attributes(1, world_seed(s, 5)).values for s in ("train", "heldout"))
    assert not torch.equal(one, other)


def test_shards_of_another_world_are_refused(direct, tmp_path):
    make_split(WorldJob(tmp_path / "train", 2, **TINY))
    with pytest.raises(ConfigError, match="size changed"):
        make_split(WorldJob(tmp_path / "train", 2, **{**TINY, "size": 32}))


def test_people_come_in_views_and_more_people_leave_the_first_as_they_are(direct, tmp_path):
    job = WorldJob(tmp_path / "people", 4, views=2, **TINY)
    make_split(job)
    stored = WorldShards(job.folder)
    assert stored.index["views"] == 2
    values = stored.rows(range(4)).attributes
    assert values["face_width"][0] == values["face_width"][1] != values["face_width"][2]
    assert torch.equal(people_of("people", range(3, 40), 2).values[:1], values.values[3:])


@pytest.mark.slow
def test_command_renders_with_workers(tmp_path):
    flags = ["--split", "train", "--count", "3", "--workers", "2", "--size", "16", "--no-compile"]
    assert main([*flags, "--data_dir", str(tmp_path)]) == 0
    assert len(WorldShards(tmp_path / "train")) == 3
