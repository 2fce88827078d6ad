"""Render the portrait world into shards: `python -m training.data.make_world --count 20000`.

Each shard holds 500 portraits as uint8, is written whole or not at all, and is skipped when it is
there already: stop at any moment and run the same command again. Portrait `i` of a split is a
function of its number (`people_of`), so any single one can be rendered anew.

Splits: `train` and `heldout` show everybody once; `people` shows the same person in several views
that follow one another, for face recognition.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing as mp
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from training.config import ROOT, ConfigError
from training.data.shards import shard_files, to_uint8

if TYPE_CHECKING:
    from faceedit.world import FaceAttributes

__all__ = ["SEEDS", "SHARD_SIZE", "WorldJob", "main", "make_split", "people_of", "world_seed"]

SHARD_SIZE = 500  # portraits a file: 33 MB at 128 px
# Portraits of a split unless --count says otherwise.
COUNTS = {"train": 20_000, "heldout": 2_000, "people": 6_000}
VIEWS = 4  # portraits of each person in `people`
# First seed of a split. torch's CPU generator reads only the lower 32 bits of a seed.
SEEDS = {"train": 0, "people": 1 << 30, "heldout": 1 << 31}


@dataclass(frozen=True)
class WorldJob:
    """What to render and how."""

    folder: Path  # the split's folder, named after the split
    count: int
    size: int = 128  # px
    supersampling: int = 2  # rays a pixel along each side
    views: int = VIEWS  # of each person, in the split `people`
    workers: int = 1
    compiled: bool = False
    device: str = "cpu"
    quiet: bool = False

    @property
    def split(self) -> str:
        """The split's name."""
        return self.folder.name

    def rows(self, shard: int) -> range:
        """Return the portraits of a shard."""
        return range(shard * SHARD_SIZE, min((shard + 1) * SHARD_SIZE, self.count))

    def path(self, shard: int) -> Path:
        """Return a shard's file."""
        return self.folder / f"{shard:05d}.safetensors"


def world_seed(split: str, index: int, views: int = VIEWS) -> int:
    """Return the seed of the person in one portrait of a split."""
    return SEEDS[split] + (index // views if split == "people" else index)


def people_of(split: str, rows: range, views: int = VIEWS) -> FaceAttributes:
    """Return who is shown in these rows of a split."""
    from faceedit.world import FaceAttributes, sample_attributes
    from training.data.people import sample_person

    seeds = [world_seed(split, row, views) for row in rows]
    if split != "people":
        return FaceAttributes.cat([sample_attributes(1, seed) for seed in seeds])
    shown = {seed: sample_person(views, seed) for seed in dict.fromkeys(seeds)}
    pairs = zip(seeds, rows, strict=True)
    return FaceAttributes.cat([shown[seed][[row % views]] for seed, row in pairs])


def make_split(job: WorldJob) -> int:
    """Render what is missing of a split; return how many portraits were rendered now.

    Raises:
        ConfigError: If the split is unknown or the folder holds portraits of another world.
    """
    if job.split not in SEEDS:
        raise ConfigError(f"unknown split {job.split!r}; choose from {', '.join(SEEDS)}")
    job.folder.mkdir(parents=True, exist_ok=True)
    _check_same_world(job)
    for leftover in job.folder.glob(".*.partial"):
        leftover.unlink()
    shards = range(-(-job.count // SHARD_SIZE))
    missing = [shard for shard in shards if _stored_rows(job.path(shard)) < len(job.rows(shard))]
    wanted = sum(len(job.rows(shard)) for shard in missing)
    _write_index(job)
    if wanted:
        with tqdm(
            total=job.count,
            initial=job.count - wanted,
            desc=job.split,
            unit="portrait",
            disable=job.quiet,
            mininterval=0.5 if os.isatty(2) else 30,
        ) as bar:
            _render_all(job, missing, bar)
    return wanted


def _render_all(job: WorldJob, shards: Sequence[int], bar: tqdm[Any]) -> None:
    """Render shards in worker processes of one thread each."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(ROOT / ".cache" / "inductor"))
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the workers when they load torch
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    context = mp.get_context("spawn")
    done, lock = context.Value("q", 0), context.Lock()
    workers = min(job.workers, len(shards))
    with context.Pool(workers, _begin_worker, (done, lock)) as pool:
        results = [pool.apply_async(_render_shard, (job, shard)) for shard in shards]
        pool.close()
        _wait(job, results, lambda: done.value, bar)
        pool.join()


def _wait(
    job: WorldJob, results: list[AsyncResult[int]], done: Callable[[], int], bar: tqdm[Any]
) -> None:
    """Move the bar and keep the index current until every shard is written."""
    start, waiting = bar.n, results
    while waiting:
        time.sleep(0.2)
        bar.update(start + done() - bar.n)
        ready = [result for result in waiting if result.ready()]
        if ready:
            for result in ready:
                result.get()  # raises what the worker raised
            _write_index(job)
            waiting = [result for result in waiting if result not in ready]
    bar.update(start + done() - bar.n)


_shared: tuple[Any, Any] | None = None  # a worker's count of rendered portraits, and its lock


def _begin_worker(done: Any, lock: Any) -> None:
    """Receive what the workers share. Nothing here may fail: the pool would try for ever."""
    global _shared
    _shared = done, lock
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business


@functools.cache
def _warm_up(size: int, supersampling: int, compiled: bool) -> None:
    """Set a worker up: one thread, and compiled code that the first worker makes for all."""
    import torch

    from faceedit.world import render, sample_attributes

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if compiled and _shared is not None:
        with _shared[1]:  # the others then find the code in the cache
            render(sample_attributes(2, 0), size, supersampling, compiled=True)


def _render_shard(job: WorldJob, shard: int) -> int:
    """Render and write one shard."""
    import torch
    from safetensors.torch import save_file

    from faceedit.world import render

    _warm_up(job.size, job.supersampling, job.compiled and job.device == "cpu")
    batch = 4 if job.device == "cpu" else 64
    rows = job.rows(shard)
    people = people_of(job.split, rows, job.views)
    images, segmentations, values = [], [], []
    for start in range(0, len(rows), batch):
        attributes = people[start : start + batch].to(job.device)
        result = render(attributes, job.size, job.supersampling, compiled=job.compiled)
        images.append(to_uint8(result.image).cpu())
        segmentations.append(result.segmentation.to(torch.uint8).cpu())
        values.append(attributes.values.float().cpu())
        if _shared is not None:
            with _shared[0].get_lock():
                _shared[0].value += len(attributes)
    content = {
        "image": torch.cat(images),
        "segmentation": torch.cat(segmentations),
        "attributes": torch.cat(values),
    }
    final = job.path(shard)
    partial = final.with_name(f".{final.name}.partial")
    save_file(content, partial)
    partial.rename(final)
    return len(rows)


def _stored_rows(path: Path) -> int:
    """Return how many portraits a shard holds; none if it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return int(file.get_slice("attributes").get_shape()[0])
    except (OSError, SafetensorError):
        return 0


def _facts(job: WorldJob) -> dict[str, Any]:
    """Return what all shards of a split must have in common."""
    from faceedit.world import REGIONS, SPECS, WORLD_VERSION

    return {
        "world_version": WORLD_VERSION,
        "attributes": list(SPECS),
        "regions": list(REGIONS),
        "size": job.size,
        "supersampling": job.supersampling,
        "first_seed": SEEDS[job.split],
        **({"views": job.views} if job.split == "people" else {}),
    }


def _check_same_world(job: WorldJob) -> None:
    path = job.folder / "index.json"
    if not path.is_file():
        return
    stored, facts = json.loads(path.read_text(encoding="utf-8")), _facts(job)
    changed = [name for name, value in facts.items() if stored.get(name) != value]
    if changed:
        raise ConfigError(
            f"{job.folder} was rendered from another world ({', '.join(changed)} changed); "
            "add --overwrite to delete it and render it again"
        )


def _write_index(job: WorldJob) -> None:
    """Write `index.json` beside and rename it."""
    stored = {path.name: _stored_rows(path) for path in shard_files(job.folder)}
    content = {**_facts(job), "count": sum(stored.values()), "shards": stored}
    partial = job.folder / ".index.json.partial"
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    partial.rename(job.folder / "index.json")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make_world", description=__doc__.split("\n")[0])
    parser.add_argument("--split", choices=(*SEEDS, "all"), default="all")
    parser.add_argument("--count", type=int, help="portraits in all; default: " + str(COUNTS))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--data_dir", default=".data/world", help="folder of the splits' folders")
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument(
        "--supersampling",
        type=int,
        default=2,
        help="rays a pixel along each side; 1 is a draft, four times faster, jagged",
    )
    parser.add_argument("--views", type=int, default=VIEWS, help="of each person in `people`")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--overwrite", action="store_true", help="delete what is there first")
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compile the renderer: some minutes once, then four times faster; "
        "default: if there is a C++ compiler and enough to render",
    )
    return parser.parse_args(arguments)


WORTH_COMPILING = 1000  # portraits; below, compiling takes longer than it saves


def main(arguments: Sequence[str] | None = None) -> int:
    """Render from command-line arguments; return the exit status."""
    typed = _parse(arguments)
    from faceedit.world.render import can_compile

    for split in SEEDS if typed.split == "all" else (typed.split,):
        count = typed.count if typed.count is not None else COUNTS[split]
        folder = ROOT / typed.data_dir / split
        compiled = typed.compile
        if compiled is None:
            compiled = can_compile() and count >= WORTH_COMPILING
        if typed.overwrite and folder.is_dir():
            shutil.rmtree(folder)
        workers = max(1, typed.workers if typed.device == "cpu" else 1)
        job = WorldJob(
            folder,
            count,
            typed.size,
            supersampling=typed.supersampling,
            views=typed.views,
            workers=workers,
            compiled=compiled,
            device=typed.device,
        )
        try:
            make_split(job)
        except ConfigError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("stopped; run the same command to go on", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
