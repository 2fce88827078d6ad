"""Edit a face with a sentence: published text-driven methods, one file each, side by side.

    from faceedit import FaceEditor
    editor = FaceEditor.from_pretrained("faceedit/clip-regression")
    editor.edit("photo.jpg", "red hair").image.save("edited.png")

Importing the package is cheap: PyTorch is loaded when one of the public names is first used.
"""

from typing import TYPE_CHECKING, Any

from faceedit.version import __version__

if TYPE_CHECKING:
    from faceedit.editor import FaceEditor
    from faceedit.errors import FaceEditError
    from faceedit.methods import METHODS
    from faceedit.pipeline.clip_pae_diffusion import ClipPaeDiffusionPipeline
    from faceedit.types import EditRequest, EditResult

__all__ = [
    "METHODS",
    "ClipPaeDiffusionPipeline",
    "EditRequest",
    "EditResult",
    "FaceEditError",
    "FaceEditor",
    "__version__",
]

_HOMES = {
    "FaceEditor": "faceedit.editor",
    "EditRequest": "faceedit.types",
    "EditResult": "faceedit.types",
    "FaceEditError": "faceedit.errors",
    "METHODS": "faceedit.methods",
    "ClipPaeDiffusionPipeline": "faceedit.pipeline.clip_pae_diffusion",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'faceedit' has no attribute {name!r}; it has {__all__}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, those not loaded yet included."""
    return sorted({*globals(), *__all__})
