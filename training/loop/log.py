"""`metrics.jsonl`: a line of means every few steps, for plots, cards and the progress bar."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

__all__ = ["DivergenceError", "MetricsLog", "refuse_nan"]


class DivergenceError(RuntimeError):
    """A loss became infinite or NaN; the last checkpoint is from before that was seen."""


class MetricsLog:
    """`metrics.jsonl`: a line of means every `logging_steps`, cut back to the checkpoint on resume.

    Args:
        output: The run's folder.
        step: Lines of later steps belong to updates that were lost, and are dropped.
        images: Samples taken so far, to start the count of images a second from.
        enabled: False on all but the first process.
    """

    def __init__(self, output: Path, step: int, images: int, enabled: bool) -> None:
        self.path = output / "metrics.jsonl"
        self.enabled = enabled
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = defaultdict(int)
        self.since = time.monotonic()
        self.images = images
        if enabled:
            output.mkdir(parents=True, exist_ok=True)
            _keep_lines(self.path, step)

    def add(self, prefix: str, terms: dict[str, Tensor]) -> None:
        """Collect one forward pass; stays on the device, so it never waits for it."""
        for term, value in terms.items():
            name = prefix + term
            value = value.float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] += 1

    def means(self) -> dict[str, float]:
        """Return the means since the last line."""
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}

    def write(self, step: int, extra: dict[str, Any]) -> dict[str, float]:
        """Append a line and start anew; return the means."""
        means, now = self.means(), time.monotonic()
        rate = (extra["images"] - self.images) / max(now - self.since, 1e-9)
        self.images, self.since = extra["images"], now
        self.sums.clear()
        self.counts.clear()
        if self.enabled:
            line = {"step": step, **extra, "images_per_second": round(rate, 1), **means}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return means


def _keep_lines(path: Path, step: int) -> None:
    """Keep the lines up to a step; none for step 0."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            content = json.loads(line)
        except ValueError:  # cut off by a kill in the middle of a line
            continue
        if content["step"] <= step:
            kept.append(line + "\n")
    draft = path.with_name(f".{path.name}")
    draft.write_text("".join(kept), encoding="utf-8")
    draft.replace(path)  # a kill leaves the old lines or the new ones


def refuse_nan(means: Mapping[str, float], step: int) -> None:
    """Raise DivergenceError if a mean is infinite or NaN."""
    wrong = [name for name, value in means.items() if not math.isfinite(value)]
    if wrong:
        raise DivergenceError(
            f"{', '.join(wrong)} became infinite or NaN before step {step}; lower "
            "--learning_rate or set --max_grad_norm 1, then --resume_from_checkpoint latest"
        )
