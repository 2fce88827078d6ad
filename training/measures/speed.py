"""How long an editor takes and how much memory: measured in a process of its own.

`python -m training.measures.speed hub_cards/portraits-128` prints JSON; `training.evaluate` calls
it so, because loading is only cold, and the peak of memory only this editor's, in a fresh process.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.config import ROOT, ConfigError
from training.measures.networks import Found, Limit, Measure, Setting, require
from training.memory import peak_mib

__all__ = ["measure", "speed"]

PROMPT = "red hair"
REPEATS = 3
LOADING_BAR = 3.0  # s
EDIT_BARS = {"clip_regression": 0.2, "styleclip_optimization": 8.0}  # s


def speed(setting: Setting) -> Found:
    """Measure loading and edits of the base's editor on the CPU.

    Raises:
        MissingWeightsError: If the base has no generator or no CLIP yet.
        ConfigError: If the measuring process fails.
    """
    require(setting, "generator")
    require(setting, "clip")
    words = [sys.executable, "-m", "training.measures.speed", str(setting.base)]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode != 0:
        raise ConfigError(f"measuring speed failed: {ended.stderr.strip().splitlines()[-1]}")
    found = json.loads(ended.stdout.splitlines()[-1])
    least = Limit(found["seconds"]["draw"], "drawing one picture")
    loading = found["seconds"]["load"]
    measures = [Measure("loading the editor", loading, LOADING_BAR, higher=False, unit="s")]
    for name, seconds in found["seconds"].items():
        if name.startswith("edit/"):
            method = name.removeprefix("edit/")
            what = f"edit of an inverted face by {method}"
            bar = EDIT_BARS.get(method)
            measures.append(Measure(what, seconds, bar, None, least, higher=False, unit="s"))
    if "invert" in found["seconds"]:
        seconds = found["seconds"]["invert"]
        measures.append(
            Measure("inversion of an aligned face", seconds, None, None, least, False, "s")
        )
    if found["peak_mib"]:
        measures.append(
            Measure("peak memory of all that", found["peak_mib"], higher=False, unit="MiB")
        )
    return Found(measures, found)


def measure(base: Path) -> dict[str, Any]:
    """Load the editor of a base and time what it does; call it in a fresh process."""
    start = time.perf_counter()
    import torch

    from faceedit.editor import FaceEditor
    from faceedit.errors import FaceEditError
    from faceedit.inversion import invert
    from faceedit.types import Space

    imported = time.perf_counter()
    editor = FaceEditor.from_pretrained(base)
    seconds = {"import": imported - start, "load": time.perf_counter() - imported}
    face = editor.sample(0)
    generator = editor.backbones.generator
    with torch.no_grad():
        seconds["draw"] = _median(lambda: generator.synthesis(face.latent.code))
    if editor.backbones.encoder is not None:
        seconds["invert"] = _median(lambda: invert(face.image, Space.W_PLUS, editor.backbones))
    failed = {}
    for method in editor.available():
        try:
            edit = _edit_by(editor, face, method)
            seconds[f"edit/{method}"] = _median(edit)
        except FaceEditError as error:
            failed[method] = str(error)
    return {
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "failed": failed,
        "peak_mib": peak_mib(),
        "mib_on_disk": _sizes(base),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _edit_by(editor: Any, face: Any, method: str) -> Callable[[], Any]:
    return lambda: editor.edit(face, PROMPT, method=method)


def _median(run: Callable[[], Any]) -> float:
    """Return the median time of some runs, after one that does not count."""
    run()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _sizes(base: Path) -> dict[str, float]:
    """Return how large each network's weights are, MiB."""
    files = sorted(base.glob("*/model.safetensors"))
    return {path.parent.name: round(path.stat().st_size / 2**20, 2) for path in files}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
