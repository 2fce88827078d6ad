"""What launchers leave to the programs that they start: their number, and an end with the launcher.

accelerate's launcher starts as many processes as it is asked for on GPUs, but on a CPU it starts
one and sets only the rendezvous address (read in accelerate 1.15, `launch_command`: `--cpu` always
takes the simple launcher). A run would then quietly see half of its work. So a program that may be
launched replaces itself by torch's own launcher with the number that was asked for.

No launcher ends its workers when it is killed itself. They would go on and write for ever, beside
those of the next start. So every worker asks to be ended with its launcher.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from faceedit.errors import RequestError

PARENT_DEATH = 1  # PR_SET_PDEATHSIG of Linux's prctl
LOOK = 0.5  # seconds between two looks at the launcher, where the system does not tell
LAUNCHED = ("TORCHELASTIC_RUN_ID", "ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_CPU")


def start_processes(target: Sequence[str], arguments: Sequence[str]) -> None:
    """Replace this process by a launcher of several, if that is what accelerate was asked for.

    A process that a launcher has started also ends with it from now on.

    Args:
        target: What is run: a file, or "-m" and a module.
        arguments: Its flags.

    Raises:
        RequestError: If it cannot be seen how many processes are wanted.
    """
    if any(name in os.environ for name in LAUNCHED):
        end_with_parent()
    if not is_lone_launch(os.environ):
        return
    count = wanted_processes(Path(f"/proc/{os.getppid()}/cmdline"))
    if count is None:
        raise RequestError(
            "accelerate starts a single process on a CPU; for several, use torchrun "
            f"--nproc_per_node N {' '.join(target)} ..."
        )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", str(count), *target, *arguments]
    os.environ.pop("MASTER_ADDR")
    os.environ.pop("MASTER_PORT", None)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.stderr.flush()
    os.execv(sys.executable, command)  # it stays this process's parent's child, and ends with it


def end_with_parent() -> None:
    """Let this process be killed when the process that started it ends, however that ends."""
    parent = os.getppid()
    if is_orphan(parent, Path("/proc/1/cmdline")):  # its launcher ended while this one started
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended a moment ago
            os.kill(os.getpid(), signal.SIGKILL)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def is_orphan(parent: int, first: Path) -> bool:
    """Tell whether a launched process has lost its launcher: the system's first process has it.

    Args:
        parent: The number of the parent process.
        first: The command line of process 1, which in a container may be the launcher itself.
    """
    if parent != 1 or not sys.platform.startswith("linux"):
        return False
    try:
        command = first.read_bytes()
    except OSError:
        return False
    return b"torch" not in command and b"accelerate" not in command


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
