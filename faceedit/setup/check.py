"""The check at the end: an edit of a random face by every method that works on the new base."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from faceedit import hub
from faceedit.backbones import load_backbones, load_component, with_photograph_readers
from faceedit.editor import FaceEditor
from faceedit.errors import FaceEditError
from faceedit.method_repo import read_variants
from faceedit.methods import METHODS
from faceedit.photo import Framing
from faceedit.setup.sources import SetupError
from faceedit.types import Face, Output

PROMPT = "a smiling face"
SEED = 7  # of the random face
BYTES_A_PIXEL = 4_000  # of the generator's image that a descent's step remembers
RESTING = 1.4  # GB of the networks and of Python beside it


def check_base(base: Path, memory: float) -> Iterator[str]:
    """Yield a line for each method: that its edit is finite, changes the face, and is exact at 0.

    Args:
        base: The base's folder; the methods lie beside it.
        memory: GB that may be used. Descents that need more, and those that read the encoder, the
            largest network, are not tried with less.

    Raises:
        SetupError: If an edit fails.
    """
    components = hub.read_base(base)["components"]
    if "encoder" in components:
        yield _check_encoder(base, base / components["encoder"])
        gc.collect()
    names = [name for name in components if name != "encoder"]
    backbones = with_photograph_readers(load_backbones(base, names), base)
    editor = FaceEditor(backbones, framing=Framing.FFHQ, base_folder=base)
    face = editor.sample(SEED)
    if not bool(face.image.isfinite().all()):
        raise SetupError(f"{base} draws faces that are not finite; convert the generator again")
    needed = BYTES_A_PIXEL * face.image.shape[-1] ** 2 / 1e9 + RESTING
    for name in METHODS:
        if not editor.library.readiness(name).works:
            continue
        if METHODS[name].kind == "optimized" and needed > memory:
            yield f"{name}: not tried, a descent needs some {needed:.0f} GB (--memory {needed:.0f})"
            continue
        yield f"{name}: {_check_method(editor, face, name)}"


def _check_method(editor: FaceEditor, face: Face, name: str) -> str:
    """Return "works" for a method whose edit is as it must be.

    Raises:
        SetupError: If it is not.
    """
    asked: dict[str, Any] = {
        "method": name,
        "variant": _variant(editor, name),
        "output": Output.CHARACTER,
    }
    steps = 2 if METHODS[name].kind == "optimized" else None
    if name == "clip_pae_diffusion":
        steps = None  # shorter ones do not fit its schedule
    try:
        edited = editor.edit(face, PROMPT, steps=steps, **asked)
        same = editor.edit(face, PROMPT, strength=0.0, **asked)
    except FaceEditError as error:
        raise SetupError(f"{name} does not edit a face: {error}") from error
    if not bool(edited.edited.code.isfinite().all()):
        raise SetupError(f"{name} makes a code that is not finite; convert it again")
    if torch.equal(edited.edited.code, edited.source.code):
        raise SetupError(f"{name} changes nothing; convert it again")
    if not torch.equal(same.edited.code, same.source.code):
        raise SetupError(f"{name} changes a face at strength 0")
    return f"works ({edited.seconds:.1f} s)"


def _variant(editor: FaceEditor, name: str) -> str | None:
    """Return the first sentence of a method that learns one a set of weights; None of others."""
    assert editor.base_folder is not None
    folder = editor.base_folder.parent / name.replace("_", "-")
    variants = read_variants(folder) if (folder / hub.CONFIG).is_file() else {}
    return next(iter(variants.values()), None)


@torch.no_grad()
def _check_encoder(base: Path, folder: Path) -> str:
    """Return a line on the encoder, which reads a grey picture.

    Raises:
        SetupError: If its codes are not finite.
    """
    encoder: Any = load_component("encoder", folder)
    size = encoder.config.input_size
    code = encoder(torch.zeros(1, 3, size, size))
    if not bool(code.isfinite().all()):
        raise SetupError(f"the encoder of {base} finds codes that are not finite; convert it again")
    return f"encoder: works, {code.shape[1]} layers"
