"""Push everything to the Hub: `python -m training.publish --org ORG [--dry_run]`.

The base goes first; methods and the diffusion pipeline name its commit as their `base_revision`;
then come the Space and a collection of all. What is there already and the same changes nothing, so
that a push that broke off is simply run again. Nothing is pushed while a card breaks a rule: a
number that the benchmark's JSON does not hold, a missing section, another base.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from faceedit.errors import FaceEditError, RepoError
from faceedit.hub import CONFIG, OWNER, PICKLES, check_fingerprint, read_config
from faceedit.hub.remote import SENT, send
from training.config import ROOT, ConfigError
from training.publish.card_rules import check_card, check_space
from training.publish.cards import repo_folders

__all__ = ["Push", "main", "plan", "problems", "publish"]

SPACE = "faceedit"
COLLECTION = "faceedit: edit a face with a sentence"
# What the Space does not need; the rest of the checkout is what it runs on.
NOT_IN_SPACE = (
    ".github/*",
    ".git*",
    "docs/*",
    "hub_cards/judges/*",
    "hub_cards/templates/*",
    "tests/*",
    "training/*",
)


@dataclass(frozen=True)
class Push:
    """One repo and the folder that it is made of."""

    kind: str  # "base", "method" or "space"
    repo_id: str
    folder: Path
    files: tuple[str, ...]  # in the folder

    @property
    def mib(self) -> float:
        """How large it is."""
        return sum((self.folder / name).stat().st_size for name in self.files) / 2**20


def main(arguments: Sequence[str] | None = None) -> int:
    """Push as the command line says; return the exit status (2: something to correct)."""
    parser = argparse.ArgumentParser(prog="publish", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--org", required=True, help="whose repos: an organisation or a user")
    add("--dry_run", action="store_true", help="only say what would be pushed; asks nobody")
    add("--private", action="store_true", help="new repos are private")
    add("--no_space", action="store_true", help="leave the Space and the collection out")
    add("--root", default=str(ROOT), metavar="DIR", help="the checkout")
    typed = parser.parse_args(arguments)
    try:
        pushes = plan(Path(typed.root), typed.org, with_space=not typed.no_space)
        wrong = problems(Path(typed.root), pushes)
        if wrong:
            raise ConfigError("nothing was pushed:\n  " + "\n  ".join(wrong))
        if typed.dry_run:
            for push in pushes:
                size = f"{len(push.files):4} files {push.mib:7.1f} MiB"
                print(f"{push.kind:7} {push.repo_id:44} {size}")
            return 0
        publish(pushes, typed.org, private=typed.private or None)
    except (ConfigError, FaceEditError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


# ------------------------------------------------------------------------------ planning
def plan(root: Path, org: str, with_space: bool = True) -> list[Push]:
    """Return what is to be pushed, in order: base, methods, Space.

    Raises:
        ConfigError: If `org` is not an owner's name or there is no base.
    """
    if not re.fullmatch(r"[\w.-]+", org):
        raise ConfigError(f"--org is {org!r}; give the name of an organisation or a user")
    pushes = []
    for folder in repo_folders(root / "hub_cards"):
        kind = "base" if read_config(folder).get("kind") == "base" else "method"
        pushes.append(Push(kind, f"{org}/{folder.name}", folder, _model_files(folder)))
    if not any(push.kind == "base" for push in pushes):
        raise ConfigError(f"{root / 'hub_cards'} holds no base; run python -m training.reproduce")
    if with_space:
        pushes.append(Push("space", f"{org}/{SPACE}", root, _space_files(root)))
    return pushes


def _model_files(folder: Path) -> tuple[str, ...]:
    """Return the files of a model repo: what may be sent, by name."""
    names = (p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file())
    return tuple(name for name in names if any(fnmatch(name, pattern) for pattern in SENT))


def _space_files(root: Path) -> tuple[str, ...]:
    """Return the files of the Space: what git keeps, without tests and trainings."""
    command = ["git", "-C", str(root), "ls-files", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(f"{root} is not a git checkout; the Space is made of one") from error
    names = [name for name in listed.split("\0") if name and (root / name).is_file()]
    return tuple(n for n in names if not any(fnmatch(n, pattern) for pattern in NOT_IN_SPACE))


def problems(root: Path, pushes: Sequence[Push]) -> list[str]:
    """Return why these repos must not be pushed; [] if they may."""
    hub_cards, found = root / "hub_cards", []
    for push in pushes:
        name = push.repo_id.split("/")[1]
        if push.kind == "space":
            found += [f"Space: {problem}" for problem in check_space(root / "README.md")]
            continue
        found += [f"{name}: {problem}" for problem in check_card(push.folder, hub_cards)]
        pickles = [p.name for p in push.folder.rglob("*") if p.suffix in PICKLES]
        found += [f"{name}: {pickle} is a pickle" for pickle in pickles]
        if push.kind == "method":
            found += _base_problems(push.folder, hub_cards)
    return found


def _base_problems(folder: Path, hub_cards: Path) -> list[str]:
    """Say whether a method was made for another base than the one that lies beside it."""
    base = str(read_config(folder).get("base_model_name_or_path", "")).split("/")[-1]
    if not (hub_cards / base / CONFIG).is_file():
        return [f"{folder.name}: its base '{base}' is not in {hub_cards.name}"]
    try:
        check_fingerprint(folder, hub_cards / base)
    except RepoError as error:
        return [str(error)]
    return []


# ------------------------------------------------------------------------------ pushing
def publish(pushes: Sequence[Push], org: str, private: bool | None = None) -> None:
    """Push in order, methods with their base's commit, then put all in a collection.

    Raises:
        RepoError: If the Hub does not take something; running it again goes on from there.
    """
    names = [push.repo_id.split("/")[1] for push in pushes if push.kind != "space"]
    commits: dict[str, str] = {}  # a base's name -> what was pushed of it
    with tqdm(pushes, unit="repo", disable=None) as bar:
        for push in bar:
            bar.set_description(push.repo_id)
            with tempfile.TemporaryDirectory() as beside:
                staged = Path(beside)
                stage(push, staged, org, names, commits)
                sent = send(
                    staged,
                    push.repo_id,
                    private=private,
                    kind="space" if push.kind == "space" else "model",
                    commit_message="Publish",
                    patterns=["*"],
                )
            if push.kind == "base":
                commits[push.repo_id.split("/")[1]] = sent.commit
            bar.write(f"{sent.url} at {sent.commit[:8]}")
    if any(push.kind == "space" for push in pushes):
        collect(pushes, org)


def stage(
    push: Push, folder: Path, org: str, names: Sequence[str], commits: dict[str, str]
) -> None:
    """Copy a repo's files; repo ids get the owner, and a method's config its base's commit.

    Weights and pictures are pushed byte for byte, cards too where the owner is ours.
    """
    for name in push.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(push.folder / name, folder / name)
    readme = folder / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(renamed(text, org, names), encoding="utf-8")
    if push.kind == "space":
        _name_models(readme, [f"{org}/{name}" for name in names])
    if push.kind == "method":
        for path in sorted(folder.rglob(CONFIG)):
            _name_base(path, org, commits)


def renamed(text: str, org: str, names: Sequence[str]) -> str:
    """Return a text in which our repo ids have the owner `org`."""
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"\b{OWNER}/({known})\b(?!-)", rf"{org}/\1", text) if known else text


def _name_base(path: Path, org: str, commits: dict[str, str]) -> None:
    """Write the pushed base's id and commit into a method's config; other configs stay."""
    config = json.loads(path.read_text(encoding="utf-8"))
    base = str(config.get("base_model_name_or_path", "")).split("/")[-1]
    if base not in commits:
        return
    config |= {"base_model_name_or_path": f"{org}/{base}", "base_revision": commits[base]}
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _name_models(readme: Path, models: list[str]) -> None:
    """List every model repo in the Space's front matter."""
    from huggingface_hub import SpaceCard

    card = SpaceCard(readme.read_text(encoding="utf-8"))
    if sorted(card.data.get("models") or []) != sorted(models):
        card.data["models"] = models
        readme.write_text(str(card), encoding="utf-8")


def collect(pushes: Sequence[Push], org: str) -> None:
    """Put every repo into the collection, which is made if there is none.

    Raises:
        RepoError: If the Hub does not take it.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        slug = api.create_collection(COLLECTION, namespace=org, exists_ok=True).slug
        for push in pushes:
            kind: Literal["space", "model"] = "space" if push.kind == "space" else "model"
            api.add_collection_item(slug, push.repo_id, item_type=kind, exists_ok=True)
    except OSError as error:
        raise RepoError(f"the Hub did not take the collection: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
