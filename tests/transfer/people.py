"""Renders of people as photographs and as drawn pairs, read by the renderer's own truth."""

from __future__ import annotations

import functools

import numpy as np
import torch

from faceedit.transfer import Readers, Scene, View, read_scene
from faceedit.transfer.carry import read_drawn
from faceedit.world import LANDMARKS, REGIONS, FaceAttributes, landmarks, render

PHOTO, DRAWN = 192, 96  # px; renders are the slow part of these tests


def person(**changes: float | str) -> FaceAttributes:
    """Return an average woman with some attributes set."""
    plain = {"femininity": 0.9, "hair_style": "bob", "smile": 0.0, "age": 30.0, "eye_open": 0.7}
    return FaceAttributes.default().replace(**(plain | changes))


def picture(attributes: FaceAttributes, size: int) -> np.ndarray:
    """Return a render, [size, size, 3] uint8."""
    pixels = _rendered(_key(attributes), size)[0]
    return pixels.clamp(-1, 1).add(1).mul(127.5).round().permute(1, 2, 0).byte().numpy()


@functools.cache
def _rendered(values: tuple[float, ...], size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a render's picture and its regions."""
    found = render(FaceAttributes(torch.tensor([values])), size, supersampling=1)
    return found.image[0], found.segmentation[0].long()


_LOCATED: dict[tuple[float, ...], tuple[torch.Tensor, torch.Tensor]] = {}


def meet(*people: FaceAttributes) -> None:
    """Find the landmarks of several people at once, which takes hardly longer than of one."""
    found = landmarks(FaceAttributes.cat(people), 1)
    for one, points, visible in zip(people, found.points, found.visible, strict=True):
        _LOCATED[_key(one)] = points, visible


def _key(attributes: FaceAttributes) -> tuple[float, ...]:
    return tuple(attributes.values[0].tolist())


def truth(attributes: FaceAttributes, noise: float = 0.0) -> Readers:
    """Return readers that know whom a picture shows: exact regions, landmarks and age.

    Args:
        attributes: Of the person.
        noise: Standard deviation of the landmarks' error, in sides of the picture.
    """
    labels = _rendered(_key(attributes), DRAWN)[1]
    planes = torch.nn.functional.one_hot(labels, len(REGIONS)).permute(2, 0, 1).float().numpy()
    if _key(attributes) not in _LOCATED:
        meet(attributes)
    places, visible = _LOCATED[_key(attributes)]
    generator = torch.Generator().manual_seed(0)
    points = places + noise * torch.randn(places.shape, generator=generator)
    located = torch.cat([points, visible[:, None]], 1).float().numpy()
    return Readers(
        parse=lambda _: dict(zip(REGIONS, planes, strict=True)),
        locate=lambda _: located,
        names=LANDMARKS,
        describe=lambda _: {"age": float(attributes["age"][0])},
    )


def scene(attributes: FaceAttributes) -> Scene:
    """Return a render as a photograph that fills its aligned square."""
    corners = np.array([[0, 0], [0, PHOTO], [PHOTO, PHOTO], [PHOTO, 0]], float)
    return read_scene(picture(attributes, PHOTO), corners, truth(attributes))


def drawn(attributes: FaceAttributes, photo: Scene, noise: float = 0.0) -> View:
    """Return a render as a drawn face in a photograph's frame."""
    return read_drawn(picture(attributes, DRAWN), photo.frame, truth(attributes, noise))
