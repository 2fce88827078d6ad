"""What a command was given: read, and checked before anything that takes long."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from faceedit.errors import RequestError
from faceedit.photo.provenance import Provenance, SourceType

if TYPE_CHECKING:
    from faceedit.editor import FaceEditor
    from faceedit.types import Face


def load(arguments: argparse.Namespace) -> FaceEditor:
    """Load the editor of --repo on --device."""
    from faceedit.editor import FaceEditor

    return FaceEditor.from_pretrained(arguments.repo, device=arguments.device)


def check(arguments: argparse.Namespace) -> None:
    """Check what costs little before the networks are loaded.

    Raises:
        FaceEditError: If the photo, the mask or a setting cannot be used.
    """
    from faceedit.photo import load_mask, load_photo
    from faceedit.photo.regions import read_regions
    from faceedit.types import EditRequest

    asked = vars(arguments)
    prompt = asked.get("prompt", "a face")
    mask, photo = asked.get("mask"), asked.get("photo")
    EditRequest(
        prompt,
        strength=asked.get("strength", 1.0),
        neutral=asked.get("neutral", "a face"),
        seed=asked["seed"],
        mask=mask,
        steps=asked.get("steps"),
    )
    if photo is not None and not (photo.startswith("sample:") and not Path(photo).exists()):
        load_photo(photo)
    if mask is not None and read_regions(mask) is None:
        load_mask(mask)
    named = asked.get("method") or asked.get("methods")
    if named:
        from faceedit.methods import method_class

        for name in named.replace(" ", "").split(","):
            method_class(name)
    check_device(arguments.device)


def check_device(device: str) -> None:
    """Raise RequestError unless PyTorch can compute there."""
    from faceedit import arguments

    arguments.device(device)


def photo_of(editor: FaceEditor, photo: str) -> str | Face:
    """Return the path, or the generated face that 'sample:SEED' asks for."""
    scheme, _, seed = photo.partition(":")
    if scheme != "sample" or Path(photo).exists():
        return photo
    if not seed.isdigit():
        raise RequestError(f"{photo!r} must be 'sample:' and a whole number, like sample:7")
    return editor.sample(int(seed))


def read_layers(text: str | None) -> tuple[int, int] | None:
    """Read '4:8' as (4, 8)."""
    if text is None:
        return None
    first, _, end = text.partition(":")
    if not (first.isdigit() and end.isdigit()):
        raise RequestError(f"--layers is {text!r}; it must be FIRST:END, like 4:8")
    return int(first), int(end)


def note(arguments: argparse.Namespace, methods: str) -> Provenance:
    """Return what an edited picture's metadata say of it."""
    repos = [f"faceedit/{name.replace('_', '-')}" for name in methods.split(", ")]
    models = dict.fromkeys([base_id(arguments), *repos])
    return Provenance(SourceType.EDITED, methods, tuple(models), arguments.prompt)


def base_id(arguments: argparse.Namespace) -> str:
    """Return the id of --repo, or of a folder only its name: a path is nobody's business."""
    folder = Path(arguments.repo).expanduser()
    return folder.resolve().name if folder.is_dir() else str(arguments.repo)
