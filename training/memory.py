"""Keeps freed memory in the process: a fresh page can cost more than the numbers on it."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of glibc's mallopt
LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the C library not to hand freed blocks back to the system; return whether it obeys.

    Tensors of tens of megabytes otherwise get fresh pages at every allocation, and a virtual
    machine takes up to 10 microseconds for each 4 KiB: a bf16 product of 8 million numbers took
    42 ms instead of 1.3 ms, and the generator's training at 128 px a third longer. It costs the
    largest amount of memory that was ever in use. Only glibc knows this; elsewhere nothing
    happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST_INT))
