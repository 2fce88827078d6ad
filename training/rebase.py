"""Let methods go on with a CLIP that was trained further: `python -m training.rebase BEFORE`.

A learned method's `config.json` names the CLIP that it was made with, and another is refused. One
that was trained further with its texts held (`hold_text` or `freeze_text` of `--task clip`) says
nearly what the former said of a sentence, and sentences are all that most methods read of it. This
looks whether that is so, and only then writes the new CLIP's fingerprint into their configs. Those
that are fitted to how CLIP sees pictures are left alone: `training/train.py` fits them in minutes.
How well they work with it is for `training.evaluate` to say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from faceedit import hub
from faceedit.backbones.clip import Clip
from faceedit.errors import FaceEditError
from faceedit.sentence import embed
from training.benchmark.prompts import PROMPTS
from training.config import ROOT, ConfigError

__all__ = ["main", "rebase"]

FITTED_TO_PICTURES = frozenset({"styleclip_global", "clip_pae"})
LEAST = 0.95  # cosine of a sentence's embeddings before and after


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite configs as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="rebase", description=__doc__.split("\n")[0])
    parser.add_argument("before", metavar="BEFORE", help="folder of the CLIP they were made with")
    parser.add_argument("--base", default="hub_cards/portraits-128", help="folder of the networks")
    parser.add_argument("--hub_cards", default="hub_cards", metavar="DIR", help="where methods are")
    typed = parser.parse_args(arguments)
    try:
        written = rebase(Path(typed.before), ROOT / typed.base, ROOT / typed.hub_cards)
    except (ConfigError, FaceEditError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"wrote {path}" for path in written) or "no method names that CLIP")
    return 0


def rebase(before: Path, base: Path, hub_cards: Path) -> list[Path]:
    """Write the base's CLIP into the configs that name the former one; return their folders.

    Args:
        before: Folder of the CLIP that methods were made with.
        base: Folder of the networks, with the CLIP that was trained further.
        hub_cards: Where the methods' folders are, at any depth.

    Raises:
        ConfigError: If a sentence of the benchmark means something else to the new CLIP.
    """
    place = base / hub.read_base(base)["components"]["clip"]
    former, now = hub.digest(before / hub.WEIGHTS), hub.digest(place / hub.WEIGHTS)
    texts = [text for prompt in PROMPTS.values() for text in prompt.texts]
    old, new = (embed(texts, Clip.from_folder(folder).eval()) for folder in (before, place))
    if old.shape != new.shape:
        raise ConfigError(f"{place} embeds in {new.shape[1]} numbers, {before} in {old.shape[1]}")
    alike = (old * new).sum(dim=-1)
    worst = int(alike.argmin())
    if float(alike[worst]) < LEAST:
        raise ConfigError(
            f'"{texts[worst]}" has a cosine of {float(alike[worst]):.3f} to what it was, less than '
            f"{LEAST}; train the methods anew, or CLIP with a larger hold_text"
        )
    written = []
    for path in sorted(hub_cards.rglob(hub.CONFIG)):
        config = hub.read_config(path.parent)
        prints = config.get("base_fingerprint") or {}
        if prints.get("clip") == former and config.get("method") not in FITTED_TO_PICTURES:
            config["base_fingerprint"] = {**prints, "clip": now}
            hub.write_folder(path.parent, config, None)
            written.append(path.parent)
    print(f"{len(texts)} sentences: mean cosine {float(alike.mean()):.4f}, least {alike.min():.4f}")
    return written


if __name__ == "__main__":
    sys.exit(main())
