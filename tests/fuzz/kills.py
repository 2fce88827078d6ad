"""Real trainings, killed at random moments and while they save, end as if nothing had been.

`python -m tests.fuzz.kills --tasks interfacegan,maniclip,generator --processes 1,2 --kills 10`
trains each task once without a kill and once with: the launcher is killed (SIGKILL, nobody else is
told), its workers must end by themselves, and the run goes on. All files of the last checkpoint and
the exported weights must be equal to the bit. The networks are tiny, the tasks and the
loop are not. A task that fits without steps is killed at any second.
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
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import accelerate  # noqa: F401 (a copy of this process then has it)
import torch
from safetensors import safe_open

from tests.conftest import make_backbones, save_base
from tests.training.shards import write_shard
from tests.training.test_generator_task import SIZE
from tests.training.test_generator_task import TINY as GENERATOR
from tests.training.test_loop import descendants, is_alive
from training import train
from training.loop.checkpoint import FILES, list_checkpoints

TINY: dict[str, list[str]] = {
    "interfacegan": ["--train_batch_size", "4", "--set", "samples=320"],
    "maniclip": ["--train_batch_size", "2", "--max_train_steps", "80"],
    "generator": [
        *("--train_batch_size", "4", "--max_train_steps", "120"),
        *(part for key, value in GENERATOR.items() for part in ("--set", f"{key}={value}")),
    ],
}
EVERY = 4  # steps between two checkpoints
CHECKPOINTS = 20  # that a whole run writes, at least
PATIENCE = 120  # seconds that workers have to end, on a busy machine


@dataclass
class Counted:
    """What happened to the runs of one task."""

    kills: int = 0
    while_saving: int = 0
    survivors: int = 0
    runs: int = 0  # that came to their end after their kills
    files: int = 0  # that were compared after each of these
    unequal: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(prog="kills", description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", default=",".join(TINY))
    parser.add_argument("--processes", default="1,2")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flags", default="", help="more flags of every run, like --data_dir X")
    typed = parser.parse_args()
    torch.set_num_threads(1)  # a copy of this process has its threads no more
    wrong = 0
    for task in typed.tasks.split(","):
        for count in map(int, typed.processes.split(",")):
            with tempfile.TemporaryDirectory(prefix="faceedit-kills-") as folder:
                told = _compare(task, count, Path(folder), typed)
            print(json.dumps({"task": task, "processes": count, **asdict(told)}), flush=True)
            wrong += bool(told.unequal) or bool(told.survivors) or not told.files
    return 1 if wrong else 0


def _compare(task: str, count: int, folder: Path, typed: argparse.Namespace) -> Counted:
    """Train without a kill, then again and again with kills until there were enough."""
    draws = random.Random(f"{typed.seed}/{task}/{count}")
    write_shard(folder / "world" / "train", 0, 12, SIZE)
    write_shard(folder / "world" / "heldout", 1, 4, SIZE)
    save_base(make_backbones(), folder / "base")
    begun = time.monotonic()
    _finish(_command(task, count, folder / "whole", typed))
    took = time.monotonic() - begun
    whole = _prints(folder / "whole")
    told = Counted(files=len(whole))
    while told.kills < typed.kills:
        output = folder / f"killed-{told.runs}"
        ended = False
        while told.kills < typed.kills and not ended:
            moment = _moment(output, draws, typed.kills - told.kills, told, took)
            ended = not _killed(_command(task, count, output, typed), output, moment, told)
        _finish(_command(task, count, output, typed))
        told.runs += 1
        made = _prints(output)
        told.unequal += sorted(n for n in made.keys() | whole.keys() if made.get(n) != whole.get(n))
    return told


def _moment(
    output: Path, draws: random.Random, to_come: int, told: Counted, took: float
) -> Callable[[float], bool]:
    """Return a function of the seconds since the start that says when to kill.

    Every third kill comes while a checkpoint is written (or weights are), others at any second of
    the start, most a random number of checkpoints later: about all find a place in one run.
    """
    had, random_time = _saved(output), draws.uniform(0.2, took)
    if told.kills % 3 == 2:
        left = _drafts(output)
        return lambda _: bool(_drafts(output) - left)
    if told.kills % 5 == 1 or not list_checkpoints(output.parent / "whole"):
        return lambda seconds: seconds > random_time
    further = had + draws.uniform(0, 2 * max(CHECKPOINTS - had, 0) / (to_come + 1))
    late: list[float] = []  # when that many were there, and then a moment more

    def due(seconds: float) -> bool:
        if not late and _saved(output) >= further and seconds > 1:
            late.append(seconds + draws.uniform(0, 0.3))
        return bool(late) and seconds > late[0]

    return due


def _killed(command: list[str], output: Path, due: Callable[[float], bool], told: Counted) -> bool:
    """Start a run and kill its launcher when it is time; False if it ended before."""
    begun, left = time.monotonic(), _drafts(output)
    process = _start(command)
    workers: set[int] = set()
    looked = 0.0
    while process.poll() is None and not due(time.monotonic() - begun):
        if time.monotonic() - looked > 0.5:  # looking through all processes takes long
            workers, looked = workers | set(descendants(process.pid)), time.monotonic()
        time.sleep(0.002)
    if process.poll() is not None:
        return False
    told.while_saving += bool(_drafts(output) - left)
    process.send_signal(signal.SIGKILL)
    process.wait()
    told.kills += 1
    told.survivors += not _ended(workers)
    return True


def _drafts(output: Path) -> set[Path]:
    """Return what is only being written."""
    return {*output.glob(".checkpoint-*"), *output.glob("export/**/.*")}


def _saved(output: Path) -> int:
    """Return how many checkpoints a run has written in all."""
    return max((int(p.name.split("-")[1]) for p in output.glob("checkpoint-*")), default=0) // EVERY


def _finish(command: list[str]) -> None:
    """Run to the end."""
    process = _start(command, quiet=False)
    while process.poll() is None:
        time.sleep(0.02)
    if process.poll() != 0:
        raise SystemExit(f"a run that nobody killed ended with {process.poll()}")


class Forked:
    """A run of one process that need not import everything again."""

    def __init__(self, arguments: list[str], quiet: bool) -> None:
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                if quiet:
                    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                code = train.main(arguments)
            finally:
                os._exit(code)

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> None:
        while self.poll() is None:
            time.sleep(0.01)


def _start(command: list[str], quiet: bool = True) -> Forked | subprocess.Popen[bytes]:
    """Start a run: by its command, or in a copy of this process if it is but one."""
    if command[command.index("--nproc_per_node") + 1] == "1":
        return Forked(command[command.index("training/train.py") + 1 :], quiet)
    return subprocess.Popen(command, env=_env(), stderr=subprocess.DEVNULL if quiet else None)


def _ended(workers: set[int]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while any(is_alive(pid) for pid in workers):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _command(task: str, count: int, output: Path, typed: argparse.Namespace) -> list[str]:
    # What accelerate's launcher becomes on a CPU (`faceedit.launchers`), without its own start.
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc_per_node", str(count)]
    flags = ["--task", task, "--cpu", "--output_dir", str(output), *TINY[task]]
    flags += ["--data_dir", str(output.parent / "world")]
    flags += ["--base", str(output.parent / ("" if task == "generator" else "base"))]
    flags += ["--export_dir", str(output / "export"), "--checkpointing_steps", str(EVERY)]
    flags += ["--no-evaluate", "--sample_minutes", "0", *typed.flags.split()]
    resume = ["--resume_from_checkpoint", "latest"] if list_checkpoints(output) else ["--overwrite"]
    return [*launch, "training/train.py", *flags, *resume]


def _env() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _prints(output: Path) -> dict[str, str]:
    """Return the hashes of what a run has made, but for its times."""
    last = list_checkpoints(output)[-1:]
    paths = [folder / name for folder in last for name in FILES[:3]]
    paths += sorted((output / "export").glob("**/*.safetensors"))
    return {str(p.relative_to(output)): _print(p) for p in paths}


def _print(path: Path) -> str:
    """Return a hash of a file's tensors and notes; safetensors writes its notes in any order."""
    found = hashlib.sha256()
    with safe_open(path, "numpy") as opened:
        found.update(repr(sorted((opened.metadata() or {}).items())).encode())
        for name in sorted(opened.keys()):
            tensor = opened.get_tensor(name)
            found.update(f"{name} {tensor.dtype} {tensor.shape}".encode() + tensor.tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
