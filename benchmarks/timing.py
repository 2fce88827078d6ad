"""How long, how much memory, how many operations: two ways of computing, taken in turns.

A machine that is busy, hot or throttled slows both ways alike if they alternate, so a ratio is the
median over pairs that ran one after the other, never a quotient of two separate averages.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

__all__ = ["Ceiling", "Effort", "Pace", "alternate", "ceiling", "effort", "peak_bytes", "seconds"]

Run = Callable[[], Any]
SHORT = 0.02  # s: quicker runs are repeated until a reading takes this long
MOST_ROUNDS = 25


@dataclass(frozen=True)
class Pace:
    """How patient a measurement is."""

    budget: float = 2.5  # s a comparison may go on for
    least_rounds: int = 3
    slow: float = 2.0  # s; what takes longer than this is run once and compared with nothing


QUICK = Pace(budget=0.0, least_rounds=1, slow=0.0)


def seconds(run: Run, device: torch.device, times: int = 1) -> float:
    """Return the mean time of some runs; on a GPU by events of its own clock."""
    if device.type == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(times):
            run()
        end.record()
        torch.cuda.synchronize(device)
        return float(begin.elapsed_time(end)) / 1000 / times
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


def alternate(ours: Run, theirs: Run | None, device: torch.device, pace: Pace) -> dict[str, Any]:
    """Time two ways of computing in turns: A B, A B, ...

    Args:
        ours: The one.
        theirs: The other, the textbook's; None where there is none.
        device: Whose clock counts.
        pace: How long.

    Returns:
        "seconds" and "textbook_seconds" (medians), "ratio" (the median of textbook / ours),
        "ratio_range" (the least and the largest), "rounds". Of what is slow only "seconds".
    """
    first = seconds(ours, device)  # warm-up: what is planned or cached is there afterwards
    if first > pace.slow > 0:
        return {"seconds": first, "rounds": 1}
    if theirs is not None:
        seconds(theirs, device)
    times = max(1, min(1000, math.ceil(SHORT / max(first, 1e-6))))
    pairs: list[tuple[float, float]] = []
    begun = time.perf_counter()
    while len(pairs) < MOST_ROUNDS:
        a = seconds(ours, device, times)
        b = math.nan if theirs is None else seconds(theirs, device, times)
        pairs.append((a, b))
        if len(pairs) >= pace.least_rounds and time.perf_counter() - begun > pace.budget:
            break
    found: dict[str, Any] = {
        "seconds": statistics.median(a for a, _ in pairs),
        "rounds": len(pairs),
    }
    if theirs is not None:
        ratios = sorted(b / a for a, b in pairs)
        found["textbook_seconds"] = statistics.median(b for _, b in pairs)
        found["ratio"] = statistics.median(ratios)
        found["ratio_range"] = [ratios[0], ratios[-1]]
    return found


# Memory -------------------------------------------------------------------------------------------


def peak_bytes(run: Run, device: torch.device) -> int | None:
    """Return the most memory that tensors of a run held at once, beside what was held before.

    On the CPU every allocation of PyTorch's is added up, so neither pages that the C library keeps
    nor other processes count; scratch of the libraries beneath is not seen.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    changes = [(e["ts"], e["args"]["Bytes"]) for e in events if e.get("name") == "[memory]"]
    held = most = 0
    for _, change in sorted(changes, key=lambda pair: pair[0]):
        held += change
        most = max(most, held)
    return most if changes else None


# The floor ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effort:
    """What a run cannot do without."""

    operations: int  # of convolutions and matrix products; a multiplication and an addition are two
    bytes: int  # that those read and write, each tensor once; all else is taken as free


@dataclass(frozen=True)
class Ceiling:
    """What this machine reaches, measured."""

    operations: float  # a second, in a large matrix product of float32
    bytes: float  # a second, read and written in a copy of what no cache holds

    def floor(self, effort: Effort) -> float:
        """Return the time that no implementation of these operations beats, s."""
        return max(effort.operations / self.operations, effort.bytes / self.bytes)


class _Traffic(TorchDispatchMode):
    """Adds up what convolutions and matrix products read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)]
            self.bytes += sum(x.numel() * x.element_size() for x in tensors)
        return result


def effort(run: Run) -> Effort:
    """Count the operations and the bytes of one run."""
    with FlopCounterMode(display=False) as counter, _Traffic() as traffic:
        run()
    return Effort(counter.get_total_flops(), traffic.bytes)


def ceiling(device: torch.device, side: int = 1024, megabytes: int = 128) -> Ceiling:
    """Measure what the machine can do at best; the largest of a few tries."""
    a, b = (torch.randn(side, side, device=device) for _ in range(2))
    source = torch.zeros(megabytes * 2**18, device=device)
    target = torch.zeros_like(source)
    product = min(seconds(lambda: torch.mm(a, b), device) for _ in range(8))
    copy = min(seconds(lambda: target.copy_(source), device) for _ in range(5))
    return Ceiling(2 * side**3 / product, 2 * source.numel() * source.element_size() / copy)
