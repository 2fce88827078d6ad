"""A method's repo: written, read, with one set of weights or one a sentence, and sent to the Hub.

`config.json` says which method it is, its settings, and by which networks it was made. A method
that learns one sentence a set of weights has no `method_config` there but `variants`, which maps a
sentence to the subfolder that holds the weights that learned it: {"red hair": "red-hair"}. Each
subfolder is a method's folder of its own.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from faceedit import hub
from faceedit.errors import RepoError, RequestError
from faceedit.former_settings import ADDED, LACKED, present_name, present_settings
from faceedit.hub.remote import SENT, has_card, send
from faceedit.method import EditMethod
from faceedit.notes import short_card
from faceedit.version import __version__
from faceedit.words.sentence import NEUTRAL, clean, embed, plain
from faceedit.words.wishes import wishes

if TYPE_CHECKING:
    from faceedit.backbones import Backbones
    from faceedit.backbones.clip import Clip


# What the settings of a method that learned nothing depend on: scales of codes and of cosines.
TUNED_ON = frozenset({"generator", "clip"})
FORMER_FORMAT = 1  # whose settings had other names

# Cosines between what a prompt and what a learned sentence change in "a face".
SAME = 0.9  # from here on they say the same in other words
FAR = 0.75  # below it they speak of different things


def save_method(
    method: EditMethod,
    folder: Path | str,
    *,
    base: str,
    fingerprint: Mapping[str, str],
    half: bool = True,
) -> None:
    """Write a method repo: config.json, and model.safetensors where the method learned something.

    Args:
        method: What to save.
        folder: Where; made if absent, its other files stay.
        base: The base repo's id, like "faceedit/portraits-128".
        fingerprint: `hub.fingerprint` of the base that the method was made with. The networks that
            an edit reads are recorded; of a method that learned nothing only those that its
            settings were tuned on.
        half: Whether floating point numbers are stored with 16 bits.
    """
    learned = bool(method.state_dict())
    facts = {"method_config": asdict(method.config)}
    config = _config(method, base, fingerprint, facts)
    hub.write_folder(Path(folder), config, method.state_dict() if learned else None, half=half)


def _config(
    method: EditMethod, base: str, fingerprint: Mapping[str, str], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the config.json of a method's repo; `facts` are what this kind of repo says more."""
    learned = method.kind != "optimized" or bool(method.state_dict())
    networks = method.edit_needs() if learned else method.edit_needs() & TUNED_ON
    return {
        "library_name": "faceedit",
        "kind": "method",
        "format_version": hub.FORMAT_VERSION,
        "faceedit_version": __version__,
        "method": method.name,
        **facts,
        "base_model_name_or_path": base,
        "base_fingerprint": {n: fingerprint[n] for n in sorted(networks) if n in fingerprint},
    }


def load_method(method_class: type[EditMethod], folder: Path) -> EditMethod:
    """Load a method from its folder, frozen, in evaluation mode.

    Raises:
        RepoError: If a file is missing or damaged, or belongs to another method.
    """
    name = method_of(folder)
    if name != method_class.name:
        raise RepoError(f"{folder} holds {name!r}, not {method_class.name!r}")
    config = hub.read_config(folder)
    values, lacked = config.get("method_config", {}), ADDED.get(name, frozenset[str]())
    if config.get("format_version") == FORMER_FORMAT:
        values = present_settings(name, values, folder)
        lacked |= LACKED.get(name, frozenset()) | {"strength_scale"}
    settings = hub.build_config(method_class.config_class, values, folder, lacked)
    method = hub.build_filled(lambda: method_class(settings), folder, optional=True)
    return method.eval().requires_grad_(False)


def method_of(folder: Path) -> str:
    """Return the name of the method that a folder holds.

    Raises:
        RepoError: If it holds none.
    """
    config = hub.read_config(folder)
    name = hub.method_of(folder)
    if config.get("format_version") == FORMER_FORMAT:
        settings = config.get("method_config")
        return present_name(name, settings if isinstance(settings, dict) else {})
    return name


def repo_of(name: str, owner: str = hub.OWNER) -> str:
    """Return the repo id of a method; Hub names have hyphens."""
    return f"{owner}/{name.replace('_', '-')}"


def write_repo(
    folder: Path, source: EditMethod | Path, backbones: Backbones, base_folder: Path
) -> None:
    """Write a method's whole repo: weights, the networks of its own, the base's name and a card.

    Args:
        folder: Where; made if absent. A README.md that is there stays.
        source: The method; or the folder of one with variants, which is copied as it is.
        backbones: Hold the networks that the method brings.
        base_folder: Where they came from.
    """
    base = hub.name_of(base_folder)
    if isinstance(source, Path):
        shutil.copytree(source, folder, dirs_exist_ok=True)
    else:
        prints = hub.fingerprint(base_folder)
        save_method(source, folder, base=base, fingerprint=prints, half=False)
        for network in sorted(source.brings):
            backbones.require(network, source.name).save(folder, half=False)
    if (revision := hub.revision_of(base_folder)) is not None:
        hub.write_folder(folder, {**hub.read_config(folder), "base_revision": revision}, None)
    if not (folder / "README.md").exists():
        write_card(folder, folder.resolve().name)


def write_card(folder: Path, repo_id: str) -> None:
    """Write a short README.md into a method's repo."""
    base = str(hub.read_config(folder)["base_model_name_or_path"])
    card = short_card(method_of(folder), base, repo_id)
    (folder / "README.md").write_text(card, encoding="utf-8")


def push_repo(
    repo_id: str,
    write: Callable[[Path], None],
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str = "Upload with faceedit",
) -> str:
    """Send what `write` writes into a folder; return the repo's address. A card there stays.

    The other arguments are those of `hub.remote.send`.

    Raises:
        RepoError: If the Hub does not take it.
    """
    patterns = [name for name in SENT if name not in ("README.md", "*.md")]
    if not has_card(repo_id, token):
        patterns.append("README.md")
    with tempfile.TemporaryDirectory() as beside:
        folder = Path(beside) / repo_id.rsplit("/", 1)[-1]
        write(folder)
        write_card(folder, repo_id)
        return send(
            folder,
            repo_id,
            private=private,
            token=token,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
            patterns=patterns,
        ).url


# Variants ---------------------------------------------------------------------------------------


def folder_name(sentence: str) -> str:
    """Return the subfolder of a sentence: "Red hair!" -> "red-hair"."""
    return re.sub(r"[^a-z0-9]+", "-", sentence.lower()).strip("-")


def read_variants(folder: Path) -> dict[str, str]:
    """Return a repo's sentences with their subfolders; empty where it has one set of weights.

    Raises:
        RepoError: If the index is damaged.
    """
    variants = hub.read_config(folder).get("variants", {})
    sound = isinstance(variants, dict) and all(
        isinstance(place, str) and folder_name(place) == place and place
        for place in variants.values()
    )
    if not sound:
        raise RepoError(f"{folder / hub.CONFIG} has an index of variants that cannot be read")
    return {str(sentence): place for sentence, place in variants.items()}


def find_variant(folder: Path, wanted: str) -> Path:
    """Return the subfolder of a variant, named by its folder or by its sentence.

    Raises:
        RequestError: If there is none of that name; the message lists the choices.
    """
    variants = read_variants(folder)
    if not variants:
        raise RequestError(f"{folder.name} has no variants; leave `variant` out")
    place = variants.get(wanted, wanted)
    if place not in variants.values():
        raise RequestError(
            f"{folder.name} has no variant {wanted!r}; choose from {sorted(variants.values())}"
        )
    return folder / place


def nearest_variant(prompt: str, folder: Path, clip: Clip) -> str | None:
    """Return the variant that learned what comes nearest to a prompt; None without variants.

    The prompt and every sentence are compared by how they differ from "a face", as CLIP reads
    them. `left_undone` tells where another sentence is used than was asked for.

    Raises:
        RequestError: If none comes near; the message lists the sentences that were learned.
    """
    variants = read_variants(folder)
    if not variants:
        return None
    sentences = list(variants)
    wanted = plain(prompt, clip)
    for said in (clean(prompt), wanted):
        if said in variants:
            return variants[said]
    vectors = embed([NEUTRAL, wanted, *sentences], clip)
    changes = F.normalize(vectors[1:] - vectors[:1], dim=-1)
    likeness = changes[1:] @ changes[0]
    best = int(likeness.argmax())
    if likeness[best] < FAR:
        raise RequestError(
            f"{folder.name} edits only what it has learned, and none of it is near {prompt!r}; "
            f"choose from {sentences}, or another method"
        )
    return variants[sentences[best]]


def left_undone(prompt: str, variant: str, folder: Path, clip: Clip) -> str | None:
    """Return what of a prompt a variant does not do, as a sentence for the user; None if nothing.

    A variant makes the one change that it has learned. Of "red hair but no beard" the one for red
    hair leaves the beard, and the one for old faces knows nothing of "a bearded man".
    """
    places = {place: sentence for sentence, place in read_variants(folder).items()}
    learned, wanted = places.get(variant), plain(prompt, clip)
    if learned is None or learned in (clean(prompt), wanted):
        return None
    parts = wishes(wanted)
    vectors = embed([NEUTRAL, learned, *parts], clip)
    changes = F.normalize(vectors[1:] - vectors[:1], dim=-1)
    missed = [
        part for part, alike in zip(parts, changes[1:] @ changes[0], strict=True) if alike < SAME
    ]
    if not missed:
        return None
    if len(missed) == len(parts):
        return f"this method has not learned {wanted!r}; it did {learned!r}"
    undone = " and ".join(repr(part) for part in missed)
    return f"this method makes one change at a time: it did {learned!r}, not {undone}"


def save_variants(
    methods: Mapping[str, EditMethod],
    folder: Path | str,
    *,
    base: str,
    fingerprint: Mapping[str, str],
    half: bool = True,
) -> None:
    """Write a repo of one subfolder a sentence, and the index.

    Args:
        methods: What to save, by the sentence that it learned; all of one class.
        folder: Where; made if absent, its other files stay.
        base: The base repo's id.
        fingerprint: `hub.fingerprint` of the base.
        half: Whether floating point numbers are stored with 16 bits.

    Raises:
        ValueError: If there is nothing to save, or two sentences would share a folder.
    """
    places = {sentence: folder_name(sentence) for sentence in methods}
    if not places or len(set(places.values())) < len(places) or not all(places.values()):
        raise ValueError(f"these sentences make no set of folders: {sorted(places)}")
    folder = Path(folder)
    for sentence, method in methods.items():
        place = folder / places[sentence]
        save_method(method, place, base=base, fingerprint=fingerprint, half=half)
    first = next(iter(methods.values()))
    hub.write_folder(folder, _config(first, base, fingerprint, {"variants": places}), None)
