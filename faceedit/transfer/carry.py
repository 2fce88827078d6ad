"""The story: read the photograph and the pair, let each operator answer, apply what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from faceedit.transfer.apply import apply
from faceedit.transfer.asked import ANYTHING, Asked
from faceedit.transfer.frame import Frame, frame_around
from faceedit.transfer.layers import Layers
from faceedit.transfer.makeup import make_up
from faceedit.transfer.recolour import recolour
from faceedit.transfer.replace import replace_parts
from faceedit.transfer.reshade import reshade
from faceedit.transfer.reshape import reshape
from faceedit.transfer.view import Native, Planes, View

Operator = Callable[[View, View, View], Layers]

# Each sees the photograph as those before it left it. What moves goes first; what is laid on top
# goes last, so that a hat covers hair that has its new colour.
OPERATORS: tuple[Operator, ...] = (reshape, reshade, recolour, make_up, replace_parts)

WIDE = 1.0  # the wide cut that is parsed around the square reaches this far, in its sides
SEAM = 0.08  # sides of the square over which its own regions turn into those of the wide cut


@dataclass(frozen=True)
class Readers:
    """How pictures are read.

    Attributes:
        parse: An upright square picture [k, k, 3] float32 in [0, 255] -> region name -> [m, m]
            float32 probabilities that add up to 1, filling the same square.
        locate: The same picture -> landmarks [n, 3] float32: x and y in sides of the square, and
            how surely each is in view, in [0, 1]. None: no landmarks.
        names: Of the landmarks, n of them.
        describe: A drawn face, like the above -> its traits, name -> number. None: unknown.
        drawn: Like `parse`, for drawn faces, which need less care. None: `parse`.
    """

    parse: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    locate: Callable[[np.ndarray], np.ndarray] | None = None
    names: tuple[str, ...] = ()
    describe: Callable[[np.ndarray], Mapping[str, float]] | None = None
    drawn: Callable[[np.ndarray], Mapping[str, np.ndarray]] | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """A photograph that was read: many edits can be carried on to it."""

    photo: np.ndarray  # [h, w, 3] uint8
    frame: Frame
    view: View


@dataclass(frozen=True, eq=False)
class Carried:
    """A photograph that an edit was carried on to."""

    image: np.ndarray  # [h, w, 3] uint8
    changed: np.ndarray  # [h, w] bool: outside of it the image is the photograph bit for bit
    notes: tuple[str, ...]  # plain sentences: what could not be carried


def read_scene(photo: np.ndarray, quad: np.ndarray, readers: Readers) -> Scene:
    """Read a photograph around one face.

    Args:
        photo: RGB, [h, w, 3] uint8.
        quad: The corners of the face's aligned square, [4, 2]; see `frame_around`.
        readers: Of regions and landmarks.
    """
    height, width = photo.shape[:2]
    frame = frame_around(quad, (height, width))
    return Scene(photo, frame, _read_photo(photo, frame, readers))


def carry(
    scene: Scene,
    before: np.ndarray,
    after: np.ndarray,
    readers: Readers,
    *,
    limit: np.ndarray | None = None,
    allowed: np.ndarray | None = None,
    asked: Asked = ANYTHING,
) -> Carried:
    """Carry what differs between two drawn faces on to the photograph.

    Args:
        scene: The photograph, read.
        before: The drawn face that stands for the photograph, [k, k, 3] uint8, RGB, aligned.
        after: The same face edited.
        readers: Of regions and landmarks, those that the scene was read with.
        limit: How much the photograph may change, in the frame, [h, w] float32 in [0, 1].
        allowed: The same in the photograph itself, [h, w] uint8, white = may.
        asked: What the sentence names of things that are worn or grown; the rest stays.
    """
    layers = find_layers(
        scene.view,
        read_drawn(before, scene.frame, readers),
        replace(read_drawn(after, scene.frame, readers), asked=asked),
    )
    if limit is not None:
        layers = layers.limited(limit)
    image, changed = apply(scene.photo, scene.frame, layers, allowed)
    return Carried(image, changed, layers.notes)


def find_layers(photo: View, before: View, after: View) -> Layers:
    """Ask one operator after another, each over what those before it made."""
    layers, seen = Layers(), photo
    for operator in OPERATORS:
        found = operator(seen, before, after)
        layers, seen = layers.then(found), found.on(seen)
    return layers


def read_drawn(face: np.ndarray, frame: Frame, readers: Readers) -> View:
    """Return a drawn face [k, k, 3] uint8 in the frame."""
    own = face.astype(np.float32)
    parse = readers.drawn or readers.parse
    native = Native(own, _resized(parse(own), face.shape[0]))
    points, seen = _landmarks(own, frame, readers)
    return View(
        traits={} if readers.describe is None else readers.describe(own),
        image=np.clip(frame.place(own), 0, 255),
        regions=Planes(native.regions, lambda name: frame.spread(native.regions[name])),
        known=frame.inside,
        square=frame.square,
        pixel=frame.square[2] / face.shape[0],
        points=points,
        names=readers.names,
        seen=seen,
        native=native,
    )


def _resized(regions: Mapping[str, np.ndarray], size: int) -> Mapping[str, np.ndarray]:
    """Return regions at the size of the face that they are of."""
    return {
        name: plane
        if plane.shape[0] == size
        else cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA)
        for name, plane in regions.items()
    }


def _read_photo(photo: np.ndarray, frame: Frame, readers: Readers) -> View:
    """Return the photograph in the frame; beyond the square its regions come from a wider cut."""
    image = np.clip(frame.cut(photo), 0, 255)
    left, top, side = frame.square
    near = _square_cut(image, left, top, side)
    far = _square_cut(image, left - WIDE / 2 * side, top - WIDE / 2 * side, (1 + WIDE) * side)
    close, wide = readers.parse(near), readers.parse(far)
    x, y = np.arange(frame.shape[1]), np.arange(frame.shape[0])
    across = np.minimum(x - left, left + side - x)[None] / (SEAM * side)
    down = np.minimum(y - top, top + side - y)[:, None] / (SEAM * side)
    weight = np.clip(np.minimum(across, down), 0, 1).astype(np.float32)

    def joined(name: str) -> np.ndarray:
        around = frame.spread(wide[name], 1 + WIDE)
        return around + (frame.spread(close[name]) - around) * weight

    points, seen = _landmarks(near, frame, readers)
    return View(
        image=image,
        regions=Planes(close, joined),
        known=frame.known,
        square=frame.square,
        pixel=max(1.0, frame.scale),
        points=points,
        names=readers.names,
        seen=seen,
    )


def _square_cut(image: np.ndarray, left: float, top: float, side: float) -> np.ndarray:
    """Return a square of a picture at half a thousand pixels at most, mirrored beyond it."""
    size = int(np.clip(round(side), 64, 512))
    step = side / size
    matrix = np.array([[step, 0, left + (step - 1) / 2], [0, step, top + (step - 1) / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT_101
    )


def _landmarks(
    square: np.ndarray, frame: Frame, readers: Readers
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the landmarks of the aligned square in px of the frame, and how surely each shows."""
    if readers.locate is None:
        return None, None
    found = readers.locate(square)
    left, top, side = frame.square
    points = found[:, :2] * side + (left - 0.5, top - 0.5)
    return points.astype(np.float32), found[:, 2].astype(np.float32)
