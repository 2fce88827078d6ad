"""Let methods go on with a network that was trained further.

    python -m training.publish.recertify BEFORE

A learned method's `config.json` names the networks that it was made with, and others are refused.
One that was trained further while something held it to what it was does nearly what the former did:

- CLIP with its texts held (`hold_text` or `freeze_text` of `--task clip`) says nearly the same of a
  sentence, and sentences are all that most methods read of it;
- a generator with its w held (`weight_hold` of `--task generator`) draws nearly the same of a w.

This looks whether that is so, and only then writes the new network's fingerprint into their
configs. Methods that are fitted to what the network makes of pictures or draws are left alone:
`training/train.py` fits them in minutes. How well they all work is for `training.evaluate` to say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from faceedit import hub
from faceedit.backbones.clip import Clip
from faceedit.backbones.identity import Identity
from faceedit.backbones.stylegan2 import Generator
from faceedit.errors import FaceEditError
from faceedit.words.sentence import embed
from training.benchmark.prompts import PROMPTS
from training.config import ROOT, ConfigError
from training.tasks import task_class, task_names
from training.tasks.fit import FitTask

__all__ = ["main", "recertify"]

NETWORKS = ("clip", "generator")
FITTED_TO_CLIP = frozenset(
    {"clip_regression", "styleclip_global", "clip_pae"}
)  # to what it makes of pictures
LEAST_READ = 0.95  # cosine of each sentence's embeddings before and after
LEAST_DRAWN = 0.85  # mean cosine, to the base's recognizer, of a face before and after
FACES = 64  # random ones


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite configs as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="recertify", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("before", metavar="BEFORE", help="folder of the network they were made with")
    add("--network", choices=NETWORKS, default="clip", help="which one it is; default: clip")
    add("--base", default="hub_cards/portraits-128", help="folder of the networks")
    add("--hub_cards", default="hub_cards", metavar="DIR", help="where methods are")
    typed = parser.parse_args(arguments)
    folders = (Path(typed.before), ROOT / typed.base, ROOT / typed.hub_cards)
    try:
        written = recertify(*folders, typed.network)
    except (ConfigError, FaceEditError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"wrote {path}" for path in written) or "no method names that network")
    return 0


def recertify(before: Path, base: Path, hub_cards: Path, network: str = "clip") -> list[Path]:
    """Write the base's network into the configs that name the former one; return their folders.

    Args:
        before: Folder of the network that methods were made with.
        base: Folder of the networks, with the one that was trained further.
        hub_cards: Where the methods' folders are, at any depth.
        network: "clip" or "generator".

    Raises:
        ConfigError: If the new network does not do nearly what the former did.
    """
    components = hub.read_base(base)["components"]
    place = base / components[network]
    former, now = hub.digest(before / hub.WEIGHTS), hub.digest(place / hub.WEIGHTS)
    if network == "clip":
        require_read_alike(before, place)
    else:
        require_drawn_alike(before, place, base / components["identity"])
    fitted = FITTED_TO_CLIP if network == "clip" else fitted_methods()
    written = []
    for path in sorted(hub_cards.rglob(hub.CONFIG)):
        config = hub.read_config(path.parent)
        prints = config.get("base_fingerprint") or {}
        if prints.get(network) == former and config.get("method") not in fitted:
            config["base_fingerprint"] = {**prints, network: now}
            hub.write_folder(path.parent, config, None)
            written.append(path.parent)
    return written


def fitted_methods() -> frozenset[str]:
    """Return the methods that are fitted, all of them to what the generator draws."""
    return frozenset(name for name in task_names() if task_class(name) is FitTask)


def require_read_alike(before: Path, now: Path) -> None:
    """Raise ConfigError if a sentence of the benchmark means something else to the new CLIP."""
    texts = [text for prompt in PROMPTS.values() for text in prompt.texts]
    old, new = (embed(texts, Clip.from_folder(folder).eval()) for folder in (before, now))
    if old.shape != new.shape:
        raise ConfigError(f"{now} embeds in {new.shape[1]} numbers, {before} in {old.shape[1]}")
    alike = (old * new).sum(dim=-1)
    worst = int(alike.argmin())
    if float(alike[worst]) < LEAST_READ:
        raise ConfigError(
            f'"{texts[worst]}" has a cosine of {float(alike[worst]):.3f} to what it was, less than '
            f"{LEAST_READ}; train the methods anew, or CLIP with a larger hold_text"
        )
    print(f"{len(texts)} sentences: mean cosine {float(alike.mean()):.4f}, least {alike.min():.4f}")


@torch.no_grad()
def require_drawn_alike(before: Path, now: Path, recognizer: Path) -> None:
    """Raise ConfigError if random codes of the former generator are other people to the new one."""
    old, new = (hub.load_network(Generator, folder).eval() for folder in (before, now))
    if old.config != new.config:
        raise ConfigError(f"the generator in {now} has another size than that in {before}")
    w_plus = old.sample_w_plus(FACES, torch.Generator().manual_seed(0), truncation_psi=1.0)
    identity = hub.load_network(Identity, recognizer).eval()
    faces = (identity(generator(w_plus).clamp(-1, 1)) for generator in (old, new))
    alike = torch.cosine_similarity(*faces).mean().item()
    if alike < LEAST_DRAWN:
        raise ConfigError(
            f"faces have a mean cosine of {alike:.3f} to what they were, less than {LEAST_DRAWN}; "
            "train the methods anew, or the generator with a larger weight_hold"
        )
    print(f"{FACES} faces: mean cosine {alike:.4f}")


if __name__ == "__main__":
    sys.exit(main())
