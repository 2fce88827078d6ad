"""Make `accelerate launch --cpu --num_processes 2` start two processes.

Accelerate's launcher starts as many processes as it is asked for on GPUs, but on a CPU it starts
one and sets only the rendezvous address (read in accelerate 1.15, `launch_command`: `--cpu` always
takes the simple launcher). A run would then quietly see half of its batch. So train.py replaces
itself by torch's own launcher with the number that was asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from training.config import ConfigError

__all__ = ["start_processes"]


def start_processes(script: str | None, arguments: Sequence[str]) -> None:
    """Replace this process by a launcher of several, if that is what accelerate was asked for.

    Args:
        script: The file that is run; None where it cannot be run again, as in a test.
        arguments: Its flags.

    Raises:
        ConfigError: If it cannot be seen how many processes are wanted.
    """
    if script is None or not is_lone_launch(os.environ):
        return
    count = wanted_processes(Path(f"/proc/{os.getppid()}/cmdline"))
    if count is None:
        raise ConfigError(
            "accelerate starts a single process on a CPU; for several, use torchrun "
            f"--nproc_per_node N {script} --cpu ..."
        )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", str(count), script, *arguments]
    os.environ.pop("MASTER_ADDR")
    os.environ.pop("MASTER_PORT", None)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.stderr.flush()
    os.execv(sys.executable, command)


def is_lone_launch(environment: Mapping[str, str]) -> bool:
    """Tell whether accelerate meant several CPU processes (it sets an address) but gave no rank."""
    return (
        environment.get("ACCELERATE_USE_CPU", "").lower() == "true"
        and "MASTER_ADDR" in environment
        and not {"LOCAL_RANK", "RANK", "WORLD_SIZE", "PMI_SIZE"} & set(environment)
    )


def wanted_processes(cmdline: Path) -> int | None:
    """Read `--num_processes N` (or with a hyphen, or `=N`) from a launcher's command line."""
    try:
        words = cmdline.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    for place, word in enumerate(words):
        flag, _, value = word.partition("=")
        if flag in ("--num_processes", "--num-processes"):
            value = value or (words[place + 1] if place + 1 < len(words) else "")
            return int(value) if value.isdigit() else None
    return None
