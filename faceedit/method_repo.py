"""Method repos with one sentence a set of weights: a folder each, and an index of the sentences.

`config.json` of such a repo has no `method_config` but `variants`, which maps a sentence to the
subfolder that holds the weights that learned it: {"red hair": "red-hair"}. Each subfolder is a
method's folder of its own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from faceedit import __version__, hub
from faceedit.errors import RepoError, RequestError
from faceedit.method import EditMethod, save_method
from faceedit.words.sentence import NEUTRAL, clean, embed

if TYPE_CHECKING:
    from faceedit.backbones.clip import Clip

logger = logging.getLogger(__name__)

# Cosines between what a prompt and what a learned sentence change in "a face".
SAME = 0.9  # from here on they say the same in other words
FAR = 0.75  # below it they speak of different things


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
    them. A warning tells where another sentence is used than was asked for.

    Raises:
        RequestError: If none comes near; the message lists the sentences that were learned.
    """
    variants = read_variants(folder)
    if not variants:
        return None
    sentences = list(variants)
    if clean(prompt) in variants:
        return variants[clean(prompt)]
    vectors = embed([NEUTRAL, clean(prompt), *sentences], clip)
    changes = F.normalize(vectors[1:] - vectors[:1], dim=-1)
    likeness = changes[1:] @ changes[0]
    best = int(likeness.argmax())
    if likeness[best] < FAR:
        raise RequestError(
            f"{folder.name} edits only what it has learned, and none of it is near {prompt!r}; "
            f"choose from {sentences}, or another method"
        )
    if likeness[best] < SAME:
        logger.warning("%s has not learned %r; using %r", folder.name, prompt, sentences[best])
    return variants[sentences[best]]


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
    config: dict[str, Any] = {
        "library_name": "faceedit",
        "kind": "method",
        "format_version": hub.FORMAT_VERSION,
        "faceedit_version": __version__,
        "method": first.name,
        "base_model_name_or_path": base,
        "base_fingerprint": {name: fingerprint[name] for name in sorted(first.edit_needs())},
        "variants": places,
    }
    hub.write_folder(folder, config, None)
