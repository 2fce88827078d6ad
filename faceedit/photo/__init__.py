"""The way in and the way out of a photo: read it, find the face, cut it out upright, paste it back.

Coordinates are (x, y) in pixels of the photo; (0, 0) is the outer corner of its first pixel.
Importing the package is cheap: a name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceedit.photo.alignment import AlignedFace, align
    from faceedit.photo.cropping import crop_quad
    from faceedit.photo.detection import DetectedFace, detect_faces
    from faceedit.photo.framing import Framing, face_quad
    from faceedit.photo.masks import keep_outside, load_mask
    from faceedit.photo.pasting import paste_back
    from faceedit.photo.reading import MAX_KEPT, Photo, load_photo

__all__ = [
    "MAX_KEPT",
    "AlignedFace",
    "DetectedFace",
    "Framing",
    "Photo",
    "align",
    "crop_quad",
    "detect_faces",
    "face_quad",
    "keep_outside",
    "load_mask",
    "load_photo",
    "paste_back",
]

_HOMES = {
    "MAX_KEPT": "reading",
    "AlignedFace": "alignment",
    "DetectedFace": "detection",
    "Framing": "framing",
    "Photo": "reading",
    "align": "alignment",
    "crop_quad": "cropping",
    "detect_faces": "detection",
    "face_quad": "framing",
    "keep_outside": "masks",
    "load_mask": "masks",
    "load_photo": "reading",
    "paste_back": "pasting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
