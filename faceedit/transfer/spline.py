"""A smooth field through moved points: thin plates (Duchon 1977; Bookstein, IEEE PAMI 11(6), 1989).

All lengths are in the face's own unit, so one smoothing serves faces of every size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SMOOTHING = 2e-3  # of a plate: more follows noisy points less


def solve_plates(
    points: np.ndarray, values: np.ndarray, smoothing: float = SMOOTHING
) -> np.ndarray:
    """Return the coefficients [k + 3, d] of the plates that bend least and pass by the values.

    Args:
        points: [k, 2].
        values: At the points, [k, d].
        smoothing: How little they need to pass through them.
    """
    k = len(points)
    system = np.zeros((k + 3, k + 3))
    system[:k, :k] = kernel(points, points) + smoothing * np.eye(k)
    system[:k, k] = system[k, :k] = 1
    system[:k, k + 1 :], system[k + 1 :, :k] = points, points.T
    return np.linalg.solve(system, np.concatenate([values, np.zeros((3, values.shape[1]))]))


def kernel(at: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return r^2 log r between places [n, 2] and points [k, 2], [n, k]."""
    x = at[:, :1] - points[:, 0]
    y = at[:, 1:] - points[:, 1]
    square = x * x + y * y
    return 0.5 * square * np.log(square + 1e-12)


@dataclass(frozen=True, eq=False)
class Grid:
    """Nodes over the face's own frame, at which plates are evaluated."""

    low: np.ndarray  # (x, y) of the first node
    step: float
    shape: tuple[int, int]  # rows, columns

    @property
    def nodes(self) -> np.ndarray:
        """Places of the nodes, [rows, columns, 2]."""
        x = self.low[0] + self.step * np.arange(self.shape[1])
        y = self.low[1] + self.step * np.arange(self.shape[0])
        return np.stack(np.meshgrid(x, y), -1)

    @property
    def corners(self) -> np.ndarray:
        """The corners of its box, [4, 2]."""
        high = self.low + self.step * (np.array(self.shape[::-1]) - 1)
        return np.array([self.low, (self.low[0], high[1]), high, (high[0], self.low[1])])

    def spread(self, values: np.ndarray, to_own: np.ndarray, box: Box) -> np.ndarray:
        """Return values at the nodes [rows, columns, d] at the pixels of a box; 0 beyond the grid.

        Args:
            values: At the nodes.
            to_own: From px of the frame to the own frame, [2, 3].
            box: Rows and columns of the frame.
        """
        rows, columns = box
        matrix = to_own / self.step
        matrix[:, 2] -= self.low / self.step
        matrix[:, 2] += matrix[:, :2] @ (columns.start, rows.start)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(values.astype(np.float32), matrix, size, flags=flags)


Box = tuple[slice, slice]
