"""Say where a cold start's time goes: `python -m benchmarks.startup [PHOTO] [--repo BASE]`.

Everything is done once in a fresh process, as `python -m faceedit edit` does it, and each part is
given in CPU seconds, which other processes disturb less than the clock.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from training.config import ROOT

__all__ = ["main", "parts"]

PHOTO = ROOT / "demo/examples/female-28.jpg"
BASE = ROOT / "hub_cards/portraits-128"
PROMPT = "red hair"


class Watch:
    """Notes how much CPU time each part took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {"Python itself": time.process_time()}

    def part(self, name: str, run: Callable[[], Any]) -> Any:
        """Do a part and note its time; what was noted inside of it is not counted twice."""
        before, inside = time.process_time(), sum(self.seconds.values())
        made = run()
        inside = sum(self.seconds.values()) - inside
        self.seconds[name] = time.process_time() - before - inside
        return made

    def watched(self, name: str, load: Callable[[Path], Any]) -> Callable[[Path], Any]:
        """Return a loader whose time is noted."""
        return lambda folder: self.part(name, partial(load, folder))


def parts(photo: Path, base: Path) -> dict[str, Any]:
    """Return the CPU seconds of each part of a cold start here, and how many modules it imported.

    Args:
        photo: What is edited.
        base: The folder of a base.
    """
    watch = Watch()
    for name in ("torch", "cv2", "scipy.optimize", "faceedit.editor"):
        watch.part(f"import {name}", partial(importlib.import_module, name))
    from faceedit import FaceEditor, backbones

    for name, load in list(backbones._LOADERS.items()):
        backbones._LOADERS[name] = watch.watched(f"load {name}", load)
    editor = watch.part("load the rest", lambda: FaceEditor.from_pretrained(base))
    watch.part("load the method", editor.method)
    face = watch.part("find and invert the face", lambda: editor.invert(photo))
    del face
    result = watch.part("edit and carry on", lambda: editor.edit(photo, PROMPT))
    with tempfile.TemporaryDirectory() as folder:
        watch.part("write", lambda: result.image.save(Path(folder) / "edited.jpg"))
    again = watch.part("(a second sentence, warm)", lambda: editor.edit(photo, "sunglasses"))
    del again
    return {"seconds": watch.seconds, "modules": len(sys.modules)}


def main(words: Sequence[str] | None = None) -> int:
    """Measure a fresh process and print its parts, the longest first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", default=PHOTO)
    parser.add_argument("--repo", type=Path, default=BASE, help="a base's folder")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    typed = parser.parse_args(words)
    if typed.here:
        sys.stdout.write(json.dumps(parts(typed.photo, typed.repo)) + "\n")
        return 0
    command = [sys.executable, "-m", "benchmarks.startup", str(typed.photo.resolve()), "--here"]
    command += ["--repo", str(typed.repo.resolve())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    warm = {name for name in found["seconds"] if name.startswith("(")}
    total = sum(took for name, took in found["seconds"].items() if name not in warm)
    for name, took in sorted(found["seconds"].items(), key=lambda pair: -pair[1]):
        sys.stdout.write(f"{took:7.2f} s  {name}\n")
    sys.stdout.write(f"{total:7.2f} s  photo to file; {found['modules']} modules\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
