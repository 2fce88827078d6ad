"""Faces that nobody has: people of the portrait world, rendered ahead of time.

Because a program draws them, everything about them is known, and the exact edit can be drawn too.
"""

from __future__ import annotations

import functools
import logging
import queue
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from faceedit.world import FaceAttributes

logger = logging.getLogger(__name__)

SIZE = 128  # px
AHEAD = 2  # people that wait for somebody to ask
SEEDS = 2**20  # a short number reads well in a link
MOST_TURNED = 15.0  # degrees


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody of the portrait world."""

    seed: int
    attributes: FaceAttributes  # of one
    image: Tensor  # [1, 3, h, w], RGB in [-1, 1]
    labels: Tensor  # [1, h, w], indices into faceedit.world.REGIONS

    def to_pil(self) -> Image.Image:
        """Return the portrait."""
        return to_pil(self.image)


def to_pil(image: Tensor) -> Image.Image:
    """Return the first of some pictures [n, 3, h, w] in [-1, 1]."""
    from faceedit.types import Face, Latent, Space

    return Face(image, Latent(image, Space.X_T)).to_pil()  # the code plays no part


@functools.lru_cache(maxsize=64)
def person(seed: int) -> Person:
    """Render the person of a seed, about a second."""
    from faceedit.world import render, sample_attributes

    attributes = sample_attributes(1, seed)
    drawn = render(attributes, SIZE)
    return Person(seed, attributes, drawn.image, drawn.segmentation)


def is_easy_to_see(seed: int) -> bool:
    """Return whether the face and the hair of this person are in view, so that edits show."""
    from faceedit.world import sample_attributes

    someone = sample_attributes(1, seed)
    return (
        someone.label("hair_style")[0] not in ("bald", "buzz cut")
        and someone.label("hat")[0] == "none"
        and someone.label("glasses")[0] != "sunglasses"
        and abs(float(someone["yaw"])) < MOST_TURNED
        and float(someone["eye_open"]) > 0.4
    )


def draw_seed() -> int:
    """Return the seed of somebody at random who is easy to see."""
    while True:
        seed = secrets.randbelow(SEEDS)
        if is_easy_to_see(seed):
            return seed


class Crowd:
    """Hands out people at once: some are always rendered ahead, in the background."""

    def __init__(self, ahead: int = AHEAD) -> None:
        self._waiting: queue.Queue[Person] = queue.Queue(maxsize=ahead)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to render people ahead, unless that is under way."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._draw, daemon=True)
                self._thread.start()

    def next(self) -> Person:
        """Return somebody whom nobody has seen yet."""
        self.start()
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            return person(draw_seed())

    def _draw(self) -> None:
        while True:
            try:
                someone = person(draw_seed())
            except Exception:
                logger.exception("nobody can be rendered ahead")
                return
            self._waiting.put(someone)
