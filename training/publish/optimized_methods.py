"""Give methods that learn nothing a folder: `python -m training.publish.optimized_methods`.

An optimized method has settings and no weights; its repo is a `config.json`, so that
`FaceEditor.from_pretrained` is the one way to load any method. Folders that are there already stay
as they are, because settings are tuned in them; `--overwrite` writes the method's defaults.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from faceedit import hub
from faceedit.backbones import load_backbones
from faceedit.errors import FaceEditError
from faceedit.method_repo import repo_of, save_method
from faceedit.methods import METHODS
from training.config import ROOT, ConfigError, unknown

__all__ = ["main", "write_optimized"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write folders as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="optimized_methods", description=__doc__.split("\n")[0])
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="all that learn nothing")
    parser.add_argument("--base", default="hub_cards/portraits-128", help="folder of the networks")
    parser.add_argument("--hub_cards", default="hub_cards", metavar="DIR", help="where they go")
    parser.add_argument("--overwrite", action="store_true", help="also those that are there")
    typed = parser.parse_args(arguments)
    try:
        written = write_optimized(
            typed.methods, ROOT / typed.base, ROOT / typed.hub_cards, typed.overwrite
        )
    except (ConfigError, FaceEditError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"wrote {path}" for path in written) or "nothing to write")
    return 0


def write_optimized(
    names: Sequence[str], base: Path, hub_cards: Path, overwrite: bool
) -> list[Path]:
    """Write the config.json of optimized methods and return the folders that were written.

    Methods that bring a network are left to the task that trains it.

    Raises:
        ConfigError: If a name is not that of an optimized method.
    """
    possible = [
        name for name, method in METHODS.items() if method.kind == "optimized" and not method.brings
    ]
    for name in names:
        if name not in possible:
            raise unknown("method without weights", name, possible)
    prints, written = hub.fingerprint(base), []
    # Sizes come from the generator and CLIP; the other networks need not be read for them.
    backbones = load_backbones(base, ["generator", "clip"])
    for name in names or possible:
        folder = hub_cards / repo_of(name).split("/")[1]
        if (folder / hub.CONFIG).is_file() and not overwrite:
            continue
        method = METHODS[name].build(backbones)
        save_method(method, folder, base=f"{hub.OWNER}/{base.name}", fingerprint=prints)
        written.append(folder)
    return written


if __name__ == "__main__":
    sys.exit(main())
