"""A sheet of labelled photographs: each with its regions, its landmarks and its character."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import torch
from torch import Tensor

from faceedit.backbones import Backbones, load_backbones
from faceedit.inversion import invert
from faceedit.photo.framing import Framing
from faceedit.types import Space
from training.photographs.measure import to_image
from training.photographs.portraits import LabelledPhoto, PortraitFolder, SkippedPhotoError

__all__ = ["photograph_sheet"]

SIDE = 96  # px of a tile
COUNT, COLUMNS = 32, 8  # of the portraits, and portraits in a row
GAP = 4
INK, SEEN, HIDDEN = 0.45, (40, 255, 90), (255, 90, 60)  # share of the colour; dots


def photograph_sheet(root: Path, base: Path, size: int) -> PIL.Image.Image:
    """Return a sheet of some of a folder's portraits, taken evenly.

    Each is a square of four tiles: the photograph, its regions, its landmarks (those that are
    thought to be hidden in another colour), and the character that the encoder sees.

    Args:
        root: The folder, see `training.photographs.portraits`.
        base: The networks; what it has not got leaves a tile empty.
        size: The side at which the encoder's pictures are cut.
    """
    folder, networks = PortraitFolder(root), load_backbones(base)
    names = list(folder.labels)
    chosen = [names[i] for i in np.linspace(0, len(names) - 1, min(COUNT, len(names))).astype(int)]
    squares = []
    for name in chosen:
        try:
            photo = folder.read(name, 2 * SIDE, Framing.WORLD)
            squares.append(_square(photo, networks, size))
        except SkippedPhotoError:
            continue
    rows = [squares[i : i + COLUMNS] for i in range(0, len(squares), COLUMNS)]
    step = 2 * SIDE + GAP
    sheet = np.full((len(rows) * step - GAP, COLUMNS * step - GAP, 3), 250, np.uint8)
    for i, row in enumerate(rows):
        for j, square in enumerate(row):
            sheet[i * step : i * step + 2 * SIDE, j * step : j * step + 2 * SIDE] = square
    return PIL.Image.fromarray(sheet)


@torch.no_grad()
def _square(photo: LabelledPhoto, networks: Backbones, size: int) -> np.ndarray:
    image = to_image(photo)
    tiles = [_small(photo.image), *(np.full((SIDE, SIDE, 3), 250, np.uint8) for _ in range(3))]
    if networks.segmenter is not None:
        labels = networks.segmenter.segment(image)[0].numpy()
        colors = _colors(len(networks.segmenter.config.regions))[labels]
        tiles[1] = _small((INK * colors + (1 - INK) * photo.image).astype(np.uint8))
    if networks.landmarks is not None:
        found = networks.landmarks.find(image)
        tiles[2] = _small(photo.image)
        for (x, y), seen in zip(found.points[0].tolist(), found.visible[0].tolist(), strict=True):
            spot, color = (round(x * 4), round(y * 4)), SEEN if seen > 0.5 else HIDDEN
            cv2.circle(tiles[2], spot, 4, color, -1, cv2.LINE_AA, 3)
    if networks.encoder is not None and networks.generator is not None:
        aligned = torch.nn.functional.interpolate(image, (size, size), mode="area")
        tiles[3] = _small(_pixels(invert(aligned, Space.W_PLUS, networks).image[0]))
    return np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])


def _small(picture: np.ndarray) -> np.ndarray:
    how = cv2.INTER_AREA if len(picture) > SIDE else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(picture, (SIDE, SIDE), interpolation=how))


def _pixels(image: Tensor) -> np.ndarray:
    pixels = image.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def _colors(count: int) -> np.ndarray:
    """Return a colour for every region, [count, 3]; neighbours in the list differ."""
    hues = (np.arange(count) * 0.618 % 1 * 180).astype(np.uint8)
    wheel = np.stack([hues, np.full(count, 210), np.full(count, 235)], 1).astype(np.uint8)
    return np.asarray(cv2.cvtColor(wheel[None], cv2.COLOR_HSV2RGB)[0])
