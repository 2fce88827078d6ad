"""Real trainings, killed at random moments and while they save, end as if nothing had been.

`python -m tests.fuzz.kills --tasks interfacegan,maniclip,generator --processes 1,2 --kills 10`
trains each task once without a kill and once with: the launcher is killed (SIGKILL, nobody else is
told), its workers must end by themselves, and the run goes on. All files of the last checkpoint and
the exported weights must be equal to the bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.training.shards import write_shard
from tests.training.test_generator_task import SIZE
from tests.training.test_generator_task import TINY as GENERATOR
from tests.training.test_loop import descendants, is_alive
from training.loop.checkpoint import FILES, list_checkpoints

BASE = "hub_cards/portraits-128"
TINY: dict[str, list[str]] = {
    "interfacegan": ["--base", BASE, "--train_batch_size", "16", "--set", "samples=160"],
    "maniclip": ["--base", BASE, "--train_batch_size", "2", "--max_train_steps", "24"],
    "generator": [
        *("--train_batch_size", "4", "--max_train_steps", "120"),
        *(part for key, value in GENERATOR.items() for part in ("--set", f"{key}={value}")),
    ],
}
EVERY = 4  # steps between two checkpoints
PATIENCE = 120  # seconds that workers have to end, on a busy machine


def main() -> int:
    parser = argparse.ArgumentParser(prog="kills", description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", default=",".join(TINY))
    parser.add_argument("--processes", default="1,2")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flags", default="", help="more flags of every run, like --data_dir X")
    typed = parser.parse_args()
    wrong = 0
    for task in typed.tasks.split(","):
        for count in map(int, typed.processes.split(",")):
            with tempfile.TemporaryDirectory(prefix="faceedit-kills-") as folder:
                told = _compare(task, count, Path(folder), typed)
            print(json.dumps(told), flush=True)
            wrong += not told["equal"] or bool(told["survivors"])
    return 1 if wrong else 0


def _compare(task: str, count: int, folder: Path, typed: argparse.Namespace) -> dict[str, object]:
    """Train without and with kills."""
    draws = random.Random(f"{typed.seed}/{task}/{count}")
    write_shard(folder / "world" / "train", 0, 12, SIZE)
    write_shard(folder / "world" / "heldout", 1, 4, SIZE)
    begun = time.monotonic()
    subprocess.run(_command(task, count, folder / "whole", typed), check=True, env=_env())
    whole = time.monotonic() - begun
    kills = saving = survivors = 0
    while kills < typed.kills:
        command = _command(task, count, folder / "killed", typed)
        process = subprocess.Popen(command, env=_env(), stderr=subprocess.DEVNULL)
        workers: set[int] = set()
        while_saving = kills % 3 == 2
        end = time.monotonic() + draws.uniform(0.1, 1.0) * whole
        while process.poll() is None and time.monotonic() < end:
            workers |= set(descendants(process.pid))
            if while_saving and list((folder / "killed").glob(".checkpoint-*")):
                saving += 1
                break
            time.sleep(0.002 if while_saving else 0.02)
        if process.poll() is not None:
            break  # it came to its end
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        survivors += not _ended(workers)
    subprocess.run(_command(task, count, folder / "killed", typed), check=True, env=_env())
    prints = [_prints(folder / name) for name in ("whole", "killed")]
    return {
        "task": task,
        "processes": count,
        "kills": kills,
        "while_saving": saving,
        "survivors": survivors,
        "files": len(prints[0]),
        "equal": prints[0] == prints[1] and bool(prints[0]),
    }


def _ended(workers: set[int]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while any(is_alive(pid) for pid in workers):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _command(task: str, count: int, output: Path, typed: argparse.Namespace) -> list[str]:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(count)]
    flags = ["--task", task, "--cpu", "--output_dir", str(output), *TINY[task]]
    flags += ["--data_dir", str(output.parent / "world")]
    flags += ["--base", str(output.parent)] if task == "generator" else []
    flags += ["--export_dir", str(output / "export"), "--checkpointing_steps", str(EVERY)]
    flags += ["--no-evaluate", "--sample_minutes", "0", *typed.flags.split()]
    resume = ["--resume_from_checkpoint", "latest"] if list_checkpoints(output) else ["--overwrite"]
    return [*launch, "--cpu", "training/train.py", *flags, *resume]


def _env() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _prints(output: Path) -> dict[str, str]:
    """Return the hashes of what a run has made, but for its times."""
    last = list_checkpoints(output)[-1:]
    paths = [folder / name for folder in last for name in FILES[:3]]
    paths += sorted((output / "export").glob("**/*.safetensors"))
    return {str(p.relative_to(output)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


if __name__ == "__main__":
    sys.exit(main())
