"""The way in and the way out of a photo: read it, find the face, cut it out upright, paste it back.

Coordinates are (x, y) in pixels of the photo; (0, 0) is the outer corner of its first pixel.
"""

from faceedit.photo.alignment import AlignedFace, align
from faceedit.photo.cropping import crop_quad
from faceedit.photo.detection import DetectedFace, detect_faces
from faceedit.photo.framing import Framing, face_quad
from faceedit.photo.pasting import paste_back
from faceedit.photo.reading import MAX_SIDE, Photo, load_photo

__all__ = [
    "MAX_SIDE",
    "AlignedFace",
    "DetectedFace",
    "Framing",
    "Photo",
    "align",
    "crop_quad",
    "detect_faces",
    "face_quad",
    "load_photo",
    "paste_back",
]
