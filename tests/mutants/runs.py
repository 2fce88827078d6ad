"""A copy of the tree, and processes that run tests in it.

Processes are forked from one that has the large libraries loaded already and nothing of ours, so
that a fault costs its tests and not the loading of PyTorch.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OURS = ("tests", "faceedit", "training", "demo", "app", "benchmarks")
LARGE = (
    *("torch", "numpy", "scipy.stats", "PIL.Image", "PIL.ImageCms", "cv2", "yaml", "pytest"),
    *("safetensors.torch", "huggingface_hub", "transformers", "diffusers", "accelerate"),
    *("diffusers.models.unets.unet_2d", "diffusers.schedulers.scheduling_ddim"),
)
MEMORY = 12 << 30  # bytes of address space: a fault may ask for any amount
PASSED, FAILED, INTERRUPTED, MISUSED = 0, 1, 2, 4  # pytest's
NOT_LOADED = "found no collectors"  # it says of tests whose file cannot be loaded


@dataclass(frozen=True)
class Run:
    """How tests went."""

    code: int | None  # pytest's; None: they were stopped after the limit
    seconds: float
    log: str

    @property
    def noticed(self) -> bool:
        """Whether something was wrong: a test failed, could not be loaded, or did not end."""
        if self.code == MISUSED:
            return NOT_LOADED in self.log
        return self.code in (FAILED, INTERRUPTED, None) or (self.code or 0) < 0

    @property
    def passed(self) -> bool:
        return self.code == PASSED


def prepare() -> None:
    """Load what every run needs, and be one thread: a process of several cannot be forked."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in LARGE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import torch

    torch.set_num_threads(1)


@contextlib.contextmanager
def copied_tree() -> Iterator[Path]:
    """Copy what git knows of, and new files, to a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="faceedit-mutants-") as place:
        tree = Path(place) / "tree"
        words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout
        for name in filter(None, os.fsdecode(listed).split("\0")):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, tree / name)
        yield tree


def run_tests(tree: Path, words: Sequence[str], limit: float, plugins: Sequence[Any] = ()) -> Run:
    """Run pytest in a copied tree, in a process of its own.

    Args:
        tree: What `copied_tree` gave.
        words: pytest's arguments.
        limit: Seconds of a processor after which it is ended; a busy machine gives it ten times
            as long, then what it has started is ended, too.
        plugins: Of pytest.
    """
    log, begun = tree.parent / "log.txt", time.monotonic()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
        _become_pytest(tree, words, log, plugins)
    code = _wait(child, begun + 10 * limit)
    return Run(code, time.monotonic() - begun, log.read_text(encoding="utf-8", errors="replace"))


def _wait(child: int, deadline: float) -> int | None:
    """Return how a process ended; end its group, and return None, where it takes too long."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.02)


def _become_pytest(
    tree: Path, words: Sequence[str], log: Path, plugins: Sequence[Any]
) -> None:  # never returns
    """Forget our own modules and run the copied tree's tests."""
    code = INTERRUPTED
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.chdir(tree)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.path[:] = [str(tree), *(p for p in sys.path if p and Path(p).resolve() != ROOT)]
        for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
            del sys.modules[name]
        import pytest

        base = f"--basetemp={tree.parent / 'tmp'}"
        code = int(pytest.main(["-q", "--no-header", base, *words], plugins=list(plugins)))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
