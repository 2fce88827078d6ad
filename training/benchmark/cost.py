"""What a method costs: its time and its largest memory, measured in a process of its own.

`python -m training.benchmark.cost hub_cards/portraits-128 styleclip_global` prints JSON. The peak
of memory is only this method's in a fresh process; on a GPU it is that of the device.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from training.config import ROOT
from training.memory import peak_mib

__all__ = ["cost", "measure"]

PROMPT = "red hair"
SHORT = 1.0  # s: quicker edits are timed several times
REPEATS = 5
TIME_LIMIT = 600  # s


def cost(base: Path, method: str, cpu: bool) -> dict[str, Any]:
    """Return {"seconds_alone", "load_seconds", "peak_mib", "device"}; {"problem"} if it fails."""
    words = [sys.executable, "-m", "training.benchmark.cost", str(base), method]
    words += ["--cpu"] if cpu else []
    try:
        ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        return {"problem": f"no answer within {TIME_LIMIT} s"}
    if ended.returncode != 0:
        return {"problem": (ended.stderr.strip().splitlines() or ["it ended"])[-1]}
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def measure(base: Path, method: str, cpu: bool) -> dict[str, Any]:
    """Load an editor and time one method's edit of one face."""
    start = time.perf_counter()
    import torch

    from faceedit.editor import FaceEditor

    use_cuda = torch.cuda.is_available() and not cpu
    device = torch.device("cuda" if use_cuda else "cpu")
    editor = FaceEditor.from_pretrained(base, device=device)
    editor.method(method, _any_variant(editor, method))
    loaded = time.perf_counter() - start
    face = editor.sample(0)
    variant = _any_variant(editor, method)
    times: list[float] = []
    while len(times) < 2 or (len(times) <= REPEATS and times[-1] < SHORT):
        begun = time.perf_counter()
        editor.edit(face, PROMPT, method=method, variant=variant, output="character")
        times.append(time.perf_counter() - begun)
    return {
        "seconds_alone": round(statistics.median(times[1:]), 5),
        "load_seconds": round(loaded, 3),
        "peak_mib": _peak(device),
        "device": torch.cuda.get_device_name(device) if use_cuda else "CPU",
    }


def _any_variant(editor: Any, method: str) -> str | None:
    """Return one of the sentences that a method has learned, None if it takes any."""
    from training.benchmark.contestants import MethodRow

    return next(iter(MethodRow(editor, method).variants.values()), None)


def _peak(device: Any) -> int | None:
    """Return the most memory that was held, MiB: of the device, or of the process."""
    import torch

    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20)
    return peak_mib()


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--cpu"]
    print(json.dumps(measure(Path(words[0]), words[1], "--cpu" in sys.argv)))
