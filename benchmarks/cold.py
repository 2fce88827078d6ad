"""What a user waits for once: importing, loading, the first edit; in a process of its own.

`python -m benchmarks.cold hub_cards/portraits-128` prints JSON, because an import is only cold, and
the peak of memory only the editor's, in a fresh process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from training.config import ROOT

__all__ = ["cold_start", "import_seconds"]

PROMPT = "red hair"


def import_seconds(module: str, times: int) -> float:
    """Return the least time that `import module` took in fresh processes, s."""
    code = f"import time; a = time.perf_counter(); import {module}; print(time.perf_counter() - a)"
    return min(float(_output("-c", code)) for _ in range(times))


def cold_start(base: Path) -> dict[str, Any]:
    """Return "import", "load" and "first_edit" in seconds and "peak_mib", of a fresh process."""
    found: dict[str, Any] = json.loads(_output("-m", "benchmarks.cold", str(base)))
    return found


def _output(*words: str) -> str:
    ended = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ended.stdout.splitlines()[-1]


def _measure(base: Path) -> dict[str, Any]:
    start = time.perf_counter()
    from faceedit import FaceEditor
    from training.memory import peak_mib

    imported = time.perf_counter()
    editor = FaceEditor.from_pretrained(base)
    loaded = time.perf_counter()
    name = next(iter(editor.available()), "styleclip_optimization")
    name = "clip_regression" if "clip_regression" in editor.available() else name
    editor.edit(editor.sample(0), PROMPT, method=name)
    return {
        "import": imported - start,
        "load": loaded - imported,
        "first_edit": time.perf_counter() - loaded,
        "method": name,
        "peak_mib": peak_mib(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(Path(sys.argv[1]))) + "\n")
