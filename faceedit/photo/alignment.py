"""From a photo to one upright face.

Alignment follows the FFHQ data set (Karras et al., arXiv:1812.04948, appendix C) as encoder4editing
applies it: a square around the eyes and the mouth, turned with the head. The official code reads
four points off 68 landmarks; here they come from five (eyes, nose, corners of the mouth).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from faceedit.errors import NoFaceError, PhotoError
from faceedit.photo.cropping import crop_quad
from faceedit.photo.detection import DetectedFace, detect_faces
from faceedit.photo.framing import Framing, face_quad
from faceedit.photo.reading import MIN_SIDE, Photo, load_photo

DOMINANT = 1.5  # times the size of the next face: then it is the one that is meant
DRAWING_SIDE = 256  # px; a square picture up to this size may be an aligned face as it is
SNAP = 0.15  # of the side; one whose face square is this close to its own corners is aligned

# Where CenterFace puts its points in its boxes, mean of 16 portraits: (x, y) in [0, 1].
POINTS_IN_BOX = np.array(
    [[0.272, 0.409], [0.751, 0.400], [0.517, 0.597], [0.298, 0.742], [0.711, 0.734]]
)


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """An upright square crop, and where it came from."""

    image: Image.Image  # size x size, RGB
    quad: np.ndarray  # [4, 2]: top left, bottom left, bottom right, top right, in the photo
    size: int
    faces: int = 1  # how many the photo shows; 0 if none was looked for or found
    face: DetectedFace | None = None  # None: the picture was taken as aligned already
    framing: Framing = field(default=Framing.FFHQ)

    @property
    def side(self) -> float:
        """The crop's side in pixels of the photo: under `size`, the face is enlarged."""
        return float(np.linalg.norm(self.quad[3] - self.quad[0]))


def align(
    image: Photo,
    face_index: int | None = None,
    size: int = 256,
    *,
    framing: Framing = Framing.FFHQ,
    landmarks: Any = None,
    box: Sequence[float] | None = None,
    aligned: bool | None = None,
) -> AlignedFace:
    """Cut a face out of a photo, upright and square.

    Of several faces the one meant is `face_index`, or the largest where it is 1.5 times as large
    as the next. A square picture of up to 256 px is taken as an aligned face and only resized
    where its face lies about where `framing` would put it, or where it shows none that the
    detector knows, as drawings may.

    Args:
        image: A photo, see `load_photo`.
        face_index: Which face, 0 for the largest; needed where several are of a like size.
        size: The crop's side in pixels.
        framing: How much it shows; use the one that the networks were trained with.
        landmarks: Five points [5, 2] by hand in place of the detector: the eyes, the nose, the
            corners of the mouth, each pair from left to right in the photo.
        box: (left, top, right, bottom) around forehead and chin, in place of the detector.
        aligned: True takes the centred square as it is, False always looks for a face, None
            decides as said above.

    Raises:
        NoFaceError: If no face is found, or not the one that `face_index` asks for.
        PhotoError: If the photo, the points or the box cannot be used, or several faces are of
            a like size and `face_index` is None.
    """
    photo = load_photo(image)
    if size < MIN_SIDE:
        raise PhotoError(f"size is {size}; an aligned face needs at least {MIN_SIDE} px")
    if landmarks is not None:
        faces, by_hand = [_face_from_landmarks(landmarks, photo)], True
    elif box is not None:
        faces, by_hand = [_face_from_box(box, photo)], True
    elif aligned:
        return _frame(photo, size, framing)
    else:
        faces, by_hand = detect_faces(photo, every=bool(face_index)), False
    may_be_aligned = aligned is None and not by_hand and photo.width == photo.height <= DRAWING_SIDE
    if may_be_aligned and not faces:
        if face_index not in (None, 0):
            raise NoFaceError(
                f"face_index is {face_index!r}, but this picture is taken as one face; leave it out"
            )
        return _frame(photo, size, framing)
    face = _choose(faces, face_index)
    quad = face_quad(face.landmarks, framing)
    if may_be_aligned and abs(quad - _frame_quad(photo)).max() < SNAP * photo.width:
        return _frame(photo, size, framing, len(faces), face)
    return AlignedFace(crop_quad(photo, quad, size), quad, size, len(faces), face, framing)


def _face_from_landmarks(landmarks: Any, photo: Image.Image) -> DetectedFace:
    """Return five points given by hand as a face, or say what is wrong with them."""
    try:
        points = np.asarray(landmarks, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise PhotoError(
            f"landmarks must be five finite points [[x, y], ...] (eyes, nose, corners of the "
            f"mouth), got shape {list(points.shape)}"
        )
    low, high = points.min(axis=0), points.max(axis=0)
    if (low < 0).any() or (high > photo.size).any():
        raise PhotoError(
            f"the landmarks reach from ({low[0]:g}, {low[1]:g}) to ({high[0]:g}, {high[1]:g}); "
            f"they must lie in the photo of {photo.width} x {photo.height} px"
        )
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    if min(np.linalg.norm(points[1] - points[0]), np.linalg.norm(mouth - eyes)) < 2:
        raise PhotoError("the landmarks lie on one another; the eyes and the mouth must be apart")
    return DetectedFace((*low.tolist(), *high.tolist()), points, 1.0)


def _face_from_box(box: Any, photo: Image.Image) -> DetectedFace:
    """Return a box given by hand as a face with the points of an average upright one."""
    try:
        left, top, right, bottom = (float(side) for side in box)
    except (TypeError, ValueError):
        raise PhotoError(f"box is {box!r}; it must be (left, top, right, bottom)") from None
    inside = 0 <= left < right <= photo.width and 0 <= top < bottom <= photo.height
    if not inside or min(right - left, bottom - top) < MIN_SIDE:
        raise PhotoError(
            f"box is ({left:g}, {top:g}, {right:g}, {bottom:g}); it needs left < right and "
            f"top < bottom, {MIN_SIDE} px apart, in the photo of {photo.width} x {photo.height} px"
        )
    points = POINTS_IN_BOX * (right - left, bottom - top) + (left, top)
    return DetectedFace((left, top, right, bottom), points, 1.0)


def _choose(faces: list[DetectedFace], face_index: int | None) -> DetectedFace:
    """Return the face that is meant, or list the choices."""
    if not faces:
        raise NoFaceError(
            "no face was found; use a photo with the face in view, at least 100 px wide, lit and "
            "not cut off, or give five landmarks; for a drawing that shows one face only, "
            "aligned=True takes it as it is"
        )
    choices = "; ".join(
        f"{i}: {face.extent:.0f} px large at ({(face.box[0] + face.box[2]) / 2:.0f}, "
        f"{(face.box[1] + face.box[3]) / 2:.0f})"
        for i, face in enumerate(faces[:10])
    )
    if face_index is not None:
        whole = isinstance(face_index, int | np.integer) and not isinstance(face_index, bool)
        if not whole or not 0 <= face_index < len(faces):
            count = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
            raise NoFaceError(
                f"face_index is {face_index!r}, but the photo shows {count}; use one of {choices}"
            )
        return faces[face_index]
    if len(faces) > 1 and faces[0].extent < DOMINANT * faces[1].extent:
        raise PhotoError(
            f"the photo shows {len(faces)} faces; say which with face_index, or crop the photo. "
            f"They are {choices}"
        )
    return faces[0]


def _frame_quad(photo: Image.Image) -> np.ndarray:
    """Return the corners of the largest centred square."""
    side = min(photo.size)
    left, top = (photo.width - side) / 2, (photo.height - side) / 2
    corners = [[left, top], [left, top + side], [left + side, top + side], [left + side, top]]
    return np.array(corners)


def _frame(
    photo: Image.Image,
    size: int,
    framing: Framing,
    faces: int = 0,
    face: DetectedFace | None = None,
) -> AlignedFace:
    """Take the centred square as an aligned face."""
    image = ImageOps.fit(photo, (size, size), Image.Resampling.LANCZOS)
    return AlignedFace(image, _frame_quad(photo), size, faces, face, framing)
