"""Find the judge's scale: `python -m training.benchmark.fit_scale`.

It reads the first held-out renders (`python -m training.data.make_world --split heldout`) and
writes `scale.safetensors` beside the judge's weights. Needed once, after the judge was trained.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from faceedit.world import FaceAttributes
from training.benchmark.judges import Judges
from training.benchmark.scale import Scale
from training.config import ROOT, ConfigError
from training.data.shards import WorldShards

__all__ = ["SCALE_IMAGES", "fit_scale", "main"]

SCALE_IMAGES = 1000  # held-out renders that the scale is found on
BATCH = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Find it from command-line arguments; return the exit status (2: something to correct)."""
    parser = argparse.ArgumentParser(prog="fit_scale", description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", default=".data/world", help="folder of the world's shards")
    parser.add_argument("--judges", default="hub_cards/judges", help="folder of the judges")
    typed = parser.parse_args(arguments)
    folder = ROOT / typed.judges
    try:
        judges = Judges.load(folder, scaled=False)
        scale = fit_scale(judges, ROOT / typed.data_dir / "heldout")
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {scale.save(folder / 'attributes', SCALE_IMAGES)}")
    return 0


def fit_scale(judges: Judges, renders: Path, count: int = SCALE_IMAGES) -> Scale:
    """Return the scale of a judge without one, on the first renders of a split.

    Raises:
        ConfigError: If there are fewer renders.
    """
    data = WorldShards(renders)
    if len(data) < count:
        raise ConfigError(
            f"{renders} has {len(data)} renders and {count} are needed: "
            f"python -m training.data.make_world --split heldout --count {count}"
        )
    read, true = [], []
    for start in range(0, count, BATCH):
        rows = data.rows(range(start, min(start + BATCH, count)))
        image = rows.image.to(next(judges.reader.parameters()))
        read.append(judges.read(image)[0].values)
        true.append(rows.values)
    people = (FaceAttributes(torch.cat(parts)) for parts in (read, true))
    return Scale.fit(judges.reader.config.heads, *people)


if __name__ == "__main__":
    sys.exit(main())
