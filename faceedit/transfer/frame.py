"""The working frame: an upright cut of the photograph around the face, larger than its square.

Hair, hats and shoulders reach beyond the aligned square, so the frame does, too. Its resolution
follows the face up to a limit, which keeps the cost of carrying apart from the photograph's size.
Coordinates are (x, y), and (0, 0) is the middle of the first pixel, as in OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

SQUARE_SIDES = (256, 512)  # px of the frame: the aligned square is worked on at this size
LONGEST = 896  # px of the frame
ABOVE, BESIDE, BELOW = 0.4, 0.4, 0.6  # how far the frame reaches beyond the square, in its sides


@dataclass(frozen=True, eq=False)
class Frame:
    """An upright cut around the aligned square of a face."""

    matrix: np.ndarray  # [2, 3] float64: a place in the photograph -> its place in the frame
    shape: tuple[int, int]  # height and width of the frame, px
    square: tuple[float, float, float]  # left, top, side of the aligned square, px of the frame
    photo: tuple[int, int]  # height and width of the photograph, px

    @property
    def scale(self) -> float:
        """Pixels of the frame per pixel of the photograph."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[0, 1]))

    @cached_property
    def back(self) -> np.ndarray:
        """The way from the frame to the photograph, [2, 3] float64."""
        return cv2.invertAffineTransform(self.matrix)

    def cut(self, photo: np.ndarray) -> np.ndarray:
        """Return the photograph [h, w, 3] uint8 in the frame, [h, w, 3] float32 in [0, 255].

        Beyond its border the photograph goes on as its mirror image.
        """
        matrix, source = self.matrix, photo
        shrink = int(1 / self.scale)
        if shrink > 1:  # reduce first: a warp alone would alias
            left, top, right, bottom = self.reach(0, 0, *self.shape[::-1], pad=2 * shrink)
            source = photo[top:bottom, left:right]
            height, width = source.shape[0] // shrink, source.shape[1] // shrink
            source = source[: height * shrink, : width * shrink]
            source = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
            # A small pixel's middle i lies at shrink * i + (shrink - 1) / 2 of the cut.
            small = np.array([[shrink, 0, left + (shrink - 1) / 2], [0, shrink, 0], [0, 0, 1]])
            small[1, 2] = top + (shrink - 1) / 2
            matrix = matrix @ small
        return cv2.warpAffine(
            source,
            matrix,
            self.shape[::-1],
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        ).astype(np.float32)

    def reach(
        self, left: float, top: float, right: float, bottom: float, pad: int = 0
    ) -> tuple[int, int, int, int]:
        """Return the box of the photograph that holds a box of the frame: left, top, right, ..."""
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
        places = corners @ self.back[:, :2].T + self.back[:, 2]
        low = np.floor(places.min(0)).astype(int) - pad
        high = np.ceil(places.max(0)).astype(int) + 1 + pad
        height, width = self.photo
        x0, x1 = np.clip([low[0], high[0]], 0, width).tolist()
        y0, y1 = np.clip([low[1], high[1]], 0, height).tolist()
        return x0, y0, x1, y1

    @cached_property
    def known(self) -> np.ndarray:
        """Where the frame shows the photograph, not its mirror image, [h, w] in [0, 1]."""
        inside = np.ones(self.photo, np.uint8)
        return cv2.warpAffine(inside, self.matrix, self.shape[::-1]).astype(np.float32)

    def place(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture [k, k] or [k, k, d] that fills the aligned square, in the frame.

        Beyond the square it goes on as its last pixel.
        """
        return self._warped(picture, 1.0, cv2.INTER_CUBIC)

    def spread(self, plane: np.ndarray, extent: float = 1.0) -> np.ndarray:
        """Return probabilities [k, k] in the frame, which stay within [0, 1].

        Args:
            plane: Fills a square around the middle of the aligned one.
            extent: That square's side, in sides of the aligned one.
        """
        return self._warped(plane, extent, cv2.INTER_LINEAR)

    def _warped(self, picture: np.ndarray, extent: float, interpolation: int) -> np.ndarray:
        """Return a picture of a square around the middle of the aligned one, in the frame."""
        left, top, side = self.square
        step = extent * side / picture.shape[0]
        out = (extent - 1) / 2 * side
        matrix = np.array(
            [[step, 0, left - out + (step - 1) / 2], [0, step, top - out + (step - 1) / 2]]
        )
        return cv2.warpAffine(
            np.ascontiguousarray(picture, dtype=np.float32),
            matrix,
            self.shape[::-1],
            flags=interpolation,
            borderMode=cv2.BORDER_REPLICATE,
        )

    @cached_property
    def inside(self) -> np.ndarray:
        """Where the aligned square lies, [h, w] in [0, 1]."""
        left, top, side = self.square
        height, width = self.shape
        x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        across = (x >= left - 0.5) & (x <= left + side - 0.5)
        down = (y >= top - 0.5) & (y <= top + side - 0.5)
        return (down[:, None] & across[None]).astype(np.float32)


def frame_around(quad: np.ndarray, photo: tuple[int, int]) -> Frame:
    """Return the frame around an aligned square.

    Args:
        quad: Its corners, top left, bottom left, bottom right, top right, [4, 2], in px of the
            photograph counted from the outer corner of its first pixel.
        photo: Height and width of the photograph, px.
    """
    quad = np.asarray(quad, np.float64)
    right, down = quad[3] - quad[0], quad[1] - quad[0]
    side = float(np.linalg.norm(right))
    axes = np.stack([right, down], 1)  # from the unit square to the photograph
    height, width = photo
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    corners = (corners - quad[0]) @ np.linalg.inv(axes).T  # the photograph, in sides of the square
    low = np.maximum(corners.min(0), (-BESIDE, -ABOVE))
    high = np.minimum(corners.max(0), (1 + BESIDE, 1 + BELOW))
    extent = np.maximum(high - low, 1e-3)
    work = min(max(side, SQUARE_SIDES[0]), SQUARE_SIDES[1], LONGEST / extent.max())
    columns, rows = np.maximum(np.ceil(extent * work - 1e-6), 1).astype(int).tolist()
    # To the frame: take out the square's axes, count from `low`, enlarge; half pixels on the way.
    linear = np.linalg.inv(axes) * work
    offset = linear @ (0.5 - quad[0]) - low * work - 0.5
    matrix = np.concatenate([linear, offset[:, None]], 1)
    square = (float(-low[0] * work), float(-low[1] * work), float(work))
    return Frame(matrix, (rows, columns), square, photo)
