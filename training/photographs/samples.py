"""Samples to learn from: renders and labelled photographs under one roof, each changed at random.

A sample is a pure function of (seed, position). Photographs are turned, cropped and lit anew;
renders get backgrounds, prints, scarves and hands that the world has not; both go through a bad
camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from faceedit.photo.framing import Framing
from faceedit.world import LANDMARKS, MESH, mirrored_landmarks
from training.data.shards import augment_seed
from training.photographs import layers
from training.photographs.layers import HIDDEN, SEEN, UNKNOWN, Sample
from training.photographs.portraits import (
    FOLDS,
    LabelledPhoto,
    PortraitFolder,
    SkippedPhotoError,
)
from training.photographs.regions import ALL, BIT, possible_regions
from training.photographs.renders import Rendered
from training.photographs.textures import Random, Scenes, noise

__all__ = ["FaceBatch", "FaceSamples", "from_photo", "photographs"]

SIDE = 256  # px of a sample
ZOOM = 2.2  # how much more than the crop is kept of a photograph, to cut other crops from
WIDE_SHARE = 0.35  # of the photographs: shoulders and long hair lie beyond the aligned square
MESHED = np.array([MESH.get(name, -1) for name in LANDMARKS])
PLAIN_SHARE = 0.4  # of the renders: what the product draws must be read as well as ever
PLAIN = ("lid", "iris", "nose", "lip", "brow")  # points that nothing hides on an open face
NOT_WORN = {"glasses": ("glasses_",), "headwear": ("hat_",)}


@dataclass(frozen=True)
class FaceBatch:
    """Pictures with partial truth; see `layers.Sample`."""

    image: Tensor  # [n, 3, side, side] float32, RGB in [-1, 1]
    bits: Tensor  # [n, side, side] int32
    points: Tensor  # [n, k, 2] float32, shares of the side; NaN where unknown
    seen: Tensor  # [n, k] int8: 1 seen, 0 hidden, -1 unknown
    photo: Tensor  # [n] bool

    def to(self, device: torch.device) -> FaceBatch:
        """Return the batch on another device."""
        return FaceBatch(**{name: value.to(device) for name, value in vars(self).items()})


def photographs(
    root: Path, framing: Framing, held_out: int | None = None
) -> tuple[list[LabelledPhoto], list[LabelledPhoto], list[str]]:
    """Read a folder for learning.

    Args:
        root: See `portraits`.
        framing: Of the base that is taught.
        held_out: Which of the FOLDS not to learn from; None learns from all.

    Returns:
        Those to learn from, those held out, and what is wrong with others.
    """
    learned: list[Any] = []
    kept: list[Any] = []
    faults: list[str] = []
    for i, photo in enumerate(PortraitFolder(root).every(int(SIDE * ZOOM), framing, ZOOM)):
        if isinstance(photo, SkippedPhotoError):
            faults.append(str(photo))
        else:
            (kept if i % FOLDS == held_out else learned).append(photo)
    return learned, kept, faults


def from_photo(photo: LabelledPhoto) -> Sample:
    """Return a photograph as a sample, with what its labels and mesh say."""
    points = np.where(MESHED[:, None] >= 0, photo.mesh[MESHED], np.nan).astype(np.float32)
    seen = np.full(len(LANDMARKS), UNKNOWN, np.int8)
    for i, name in enumerate(LANDMARKS):
        part = name.split("_", 1)[1] if name.startswith(("left_", "right_")) else name
        if part.startswith(PLAIN) and photo.labels["glasses"] == "none":
            seen[i] = SEEN
        for label, parts in NOT_WORN.items():
            if photo.labels[label] == "none" and part.startswith(parts):
                seen[i] = HIDDEN
    return Sample(photo.image.astype(np.float32), possible_regions(photo), points, seen)


class FaceSamples:
    """Makes samples.

    Args:
        photos: Labelled photographs, cut with ZOOM.
        renders: Pictures [n, 3, h, h] uint8 of one or more sizes with segmentation [n, h, h] and
            landmarks, points in shares of the side.
        scenes: What is put behind people.
        seed: Decides everything with the position.
        photo_share: Of the samples.
    """

    def __init__(
        self,
        photos: Sequence[LabelledPhoto],
        renders: Sequence[Rendered],
        scenes: Scenes,
        seed: int,
        photo_share: float,
    ) -> None:
        self.photos = [(from_photo(photo), photo.person) for photo in photos]
        self.renders, self.scenes, self.seed = list(renders), scenes, seed
        self.photo_share = photo_share if photos else 0.0
        self.mirror = mirrored_landmarks()

    def batch(self, positions: range) -> FaceBatch:
        """Return the samples at these places of the endless sequence."""
        made = [self.one(position) for position in positions]
        samples = [sample for sample, _ in made]
        images = np.stack([sample.image for sample in samples])
        return FaceBatch(
            torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().div(127.5).sub(1),
            torch.from_numpy(np.stack([s.bits for s in samples]).astype(np.int32)),
            torch.from_numpy(np.stack([s.points for s in samples])).float() / SIDE,
            torch.from_numpy(np.stack([s.seen for s in samples])),
            torch.tensor([is_photo for _, is_photo in made]),
        )

    def one(self, position: int) -> tuple[Sample, bool]:
        """Return one sample, and whether it is a photograph."""
        random = np.random.default_rng(augment_seed(self.seed, position))
        is_photo = bool(random.random() < self.photo_share)
        if not is_photo and random.random() < PLAIN_SHARE:
            return self._plain(random), False
        sample = self._photo(random) if is_photo else self._render(random)
        if random.random() < 0.7:
            layers.relight(random, sample)
        sample.image = camera(random, np.clip(sample.image, 0, 255), is_photo)
        return sample, is_photo

    def _plain(self, random: Random) -> Sample:
        """A render as it is, in the resolution of the generator's pictures."""
        source = self.renders[random.integers(len(self.renders))].sample()
        if source.side != SIDE:
            return self._moved(random, source, _scaling(source.side), BIT["background"])
        small = cv2.resize(source.image, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
        source.image = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        self._flips(random, source)
        return source

    def _photo(self, random: Random) -> Sample:
        source, person = self.photos[random.integers(len(self.photos))]
        usual = SIDE / (source.side / ZOOM) * (0.5 if random.random() < WIDE_SHARE else 1.0)
        matrix = _placement(random, source.side, usual)
        sample = self._moved(random, source, matrix, ALL)
        person = cv2.warpAffine(person, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
        if self._flips(random, sample):
            person = person[:, ::-1]
        if random.random() < 0.2:
            soft = 1 - person.astype(np.float32) / 255
            layers.new_background(random, sample, self.scenes, soft)
            sample.bits[soft > 0.85] = BIT["background"]
        if random.random() < 0.15:
            layers.cover_head(random, sample, self.scenes)
        if random.random() < 0.12:
            layers.occlude(random, sample, self.scenes)
        return sample

    def _render(self, random: Random) -> Sample:
        rendered = self.renders[random.integers(len(self.renders))]
        source = rendered.sample()
        matrix = _placement(random, source.side, SIDE / source.side)
        sample = self._moved(random, source, matrix, BIT["background"])
        self._flips(random, sample)
        if random.random() < 0.75:
            soft = cv2.GaussianBlur(sample.certainly("background").astype(np.float32), (0, 0), 0.8)
            layers.new_background(random, sample, self.scenes, soft)
        if random.random() < 0.5:
            layers.new_cloth(random, sample, self.scenes)
        if random.random() < 0.4:
            _roughen(random, sample)
        if random.random() < 0.22:
            layers.cover_head(random, sample, self.scenes)
        if random.random() < 0.2:
            layers.occlude(random, sample, self.scenes)
        return sample

    def _moved(self, random: Random, source: Sample, matrix: np.ndarray, beyond: int) -> Sample:
        """A sample seen through another window; `beyond` is what lies outside of its bits."""
        del random
        size, reflect = (SIDE, SIDE), cv2.BORDER_REFLECT_101
        shrinks = np.linalg.norm(matrix[0, :2]) < 0.75
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = cv2.warpAffine(source.image, matrix, size, flags=how, borderMode=reflect)
        # 18 bits are exact as float32; the nearest pixel's are taken
        bits = cv2.warpAffine(
            source.bits.astype(np.float32),
            *(matrix, size),
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT if beyond == ALL else cv2.BORDER_REPLICATE,
            borderValue=float(beyond),
        )
        points = source.points @ matrix[:, :2].T + matrix[:, 2]
        return Sample(image, bits.astype(np.uint32), points.astype(np.float32), source.seen.copy())

    def _flips(self, random: Random, sample: Sample) -> bool:
        if random.random() < 0.5:
            return False
        sample.image = np.ascontiguousarray(sample.image[:, ::-1])
        sample.bits = np.ascontiguousarray(sample.bits[:, ::-1])
        points = sample.points[self.mirror]
        points[:, 0] = SIDE - points[:, 0]
        sample.points, sample.seen = points, sample.seen[self.mirror]
        return True


def _scaling(side: int) -> np.ndarray:
    """The matrix that brings a picture to the side of a sample, pixels by their middles."""
    scale = SIDE / side
    return np.array([[scale, 0.0, (scale - 1) / 2], [0.0, scale, (scale - 1) / 2]])


def _placement(random: Random, side: int, usual: float) -> np.ndarray:
    """Draw a window: the matrix from the picture's pixels to the sample's, [2, 3]."""
    scale = usual * float(np.exp(random.uniform(np.log(0.78), np.log(1.4))))
    angle = float(np.clip(random.normal() * 8, -25, 25))
    matrix = np.array(cv2.getRotationMatrix2D((side / 2, side / 2), angle, scale), float)
    shift = SIDE / 2 - side / 2 + random.normal(size=2) * 0.04 * SIDE
    matrix[:, 2] += shift
    return np.asarray(matrix)


def _roughen(random: Random, sample: Sample) -> None:
    """Give drawn skin pores, spots and lines."""
    skin = sample.certainly("skin", "nose", "neck", "ear")[:, :, None]
    fine = noise(random, SIDE, 110) * random.uniform(0, 0.05)
    rough = noise(random, SIDE, int(random.integers(8, 50))) * random.uniform(0, 0.08)
    sample.image *= 1 + (fine + rough)[:, :, None] * skin


def camera(random: Random, image: np.ndarray, is_photo: bool) -> np.ndarray:
    """Take a picture through a camera of some quality.

    Args:
        random: What to draw from.
        image: [side, side, 3] float32, 0..255.
        is_photo: Photographs are small already: they lose less.
    """
    if random.random() < 0.4:
        low = int(SIDE / random.uniform(1.0, 1.6 if is_photo else 2.3))
        small = cv2.resize(image, (low, low), interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    if random.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(random.uniform(0.3, 1.6)))
    image = _develop(random, image)
    if random.random() < 0.4:
        grain = random.standard_normal(image.shape, dtype=np.float32) * random.uniform(1, 12)
        image = image + grain
    image = np.clip(image, 0, 255)
    if random.random() < 0.35:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(30, 92))]
        coded = cv2.imencode(".jpg", image[:, :, ::-1].astype(np.uint8), quality)[1]
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert decoded is not None
        image = decoded[:, :, ::-1].astype(np.float32)
    return np.ascontiguousarray(image, dtype=np.float32)


def _develop(random: Random, image: np.ndarray) -> np.ndarray:
    """Change white balance, saturation, contrast, brightness and gamma."""
    image = image * (1 + random.standard_normal(3).astype(np.float32) * 0.07)
    gray = image.mean(axis=2, keepdims=True)
    saturation = 0.0 if random.random() < 0.04 else random.uniform(0.55, 1.35)
    image = gray + saturation * (image - gray)
    middle = float(image.mean())
    image = middle + random.uniform(0.65, 1.35) * (image - middle) + random.uniform(-28, 28)
    gamma = float(np.exp(random.uniform(-0.35, 0.35)))
    return 255 * (np.clip(image, 0.5, 255) / 255) ** gamma
