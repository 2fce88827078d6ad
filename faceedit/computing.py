"""How an edit is computed: in which precision, and from which seed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from faceedit import arguments
from faceedit.errors import RequestError


def precision(dtype: torch.dtype | None) -> torch.dtype | None:
    """Return what autocast is to use; None for float32.

    Raises:
        RequestError: If nothing can be computed in that dtype.
    """
    if not any(dtype is known for known in (None, torch.float32, torch.bfloat16, torch.float16)):
        raise RequestError(
            f"dtype is {arguments.shown(dtype)}; it must be torch.float32, bfloat16 or float16"
        )
    return None if dtype is torch.float32 else dtype


@contextlib.contextmanager
def computing(dtype: torch.dtype | None, device: torch.device) -> Iterator[None]:
    """Compute in a precision inside; None: in that of the weights."""
    if dtype is None:
        yield
        return
    with torch.autocast(device.type, dtype):
        yield


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from this seed inside; the caller's own random numbers go on as if nothing happened."""
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        yield
