"""What an operator sees: a picture in the working frame, its regions and its landmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from faceedit.transfer.asked import ANYTHING, Asked


class Planes(Mapping[str, np.ndarray]):
    """Arrays by name that are made when they are first asked for, and kept.

    Args:
        names: That there are.
        make: Name -> array.
    """

    def __init__(self, names: Iterable[str], make: Callable[[str], np.ndarray]) -> None:
        self._names = tuple(names)
        self._make = make
        self._made: dict[str, np.ndarray] = {}
        self._kept: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def kept(self, name: str, find: Callable[[], np.ndarray]) -> np.ndarray:
        """Return something that was found out about these arrays, found once."""
        if name not in self._kept:
            self._kept[name] = find()
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, eq=False)
class Native:
    """A drawn face as it is, before it was placed in the frame: fast where places do not matter."""

    image: np.ndarray  # [k, k, 3] float32, RGB in [0, 255]
    regions: Mapping[str, np.ndarray]  # name -> [k, k] float32

    def region(self, *names: str) -> np.ndarray:
        """Return the probability of any of these regions, [k, k] in [0, 1]; 0 where unknown."""
        return _any_of(self.regions, names, self.image.shape[:2])


@dataclass(frozen=True, eq=False)
class View:
    """A picture in the working frame. The photograph and both drawn faces share the frame.

    The frame is upright: the head's axis points up whatever the photograph's tilt is. Drawn faces
    fill only the aligned square of it; see `known`.
    """

    image: np.ndarray  # [h, w, 3] float32, RGB in [0, 255]
    regions: Mapping[str, np.ndarray]  # name -> [h, w] float32, probabilities that add up to 1
    known: np.ndarray  # [h, w] float32 in [0, 1]: 0 where the picture was continued, not seen
    square: tuple[float, float, float]  # left, top, side of the aligned square, px of the frame
    pixel: float = 1.0  # size of one of the picture's own pixels, px of the frame; large = soft
    points: np.ndarray | None = None  # [k, 2] float32 landmarks (x, y), px of the frame
    names: tuple[str, ...] = field(default=())  # of the landmarks, k of them
    seen: np.ndarray | None = None  # [k] float32 in [0, 1]: whether a landmark is in view
    # What a drawn face shows in numbers ("age" in years, "freckles" in [0, 1]), and of choices how
    # likely each is ("hat: beanie" in [0, 1]); empty if unknown.
    traits: Mapping[str, float] = field(default_factory=dict)
    native: Native | None = None  # of a drawn face
    asked: Asked = ANYTHING  # of the drawn face after the edit: what the sentence names

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame, px."""
        height, width = self.image.shape[:2]
        return height, width

    def region(self, *names: str) -> np.ndarray:
        """Return the probability of any of these regions, [h, w] in [0, 1]; 0 where unknown."""
        return _any_of(self.regions, names, self.shape)

    def point(self, name: str) -> np.ndarray | None:
        """Return a landmark (x, y) by name, px of the frame; None where there is none."""
        if self.points is None or name not in self.names:
            return None
        return self.points[self.names.index(name)]

    def choice(self, name: str) -> tuple[str, float] | None:
        """Return the likeliest value of a trait and how likely it is; None where unknown."""
        start = f"{name}: "
        found = {key[len(start) :]: p for key, p in self.traits.items() if key.startswith(start)}
        if not found:
            return None
        best = max(found, key=lambda value: found[value])
        return best, found[best]


def _any_of(
    regions: Mapping[str, np.ndarray], names: tuple[str, ...], shape: tuple[int, ...]
) -> np.ndarray:
    """Return the sum of regions in [0, 1]; 0 for those that are not there."""
    found = [regions[name] for name in names if name in regions]
    if not found:
        return np.zeros(shape, np.float32)
    return found[0] if len(found) == 1 else np.minimum(sum(found[1:], start=found[0]), 1)
