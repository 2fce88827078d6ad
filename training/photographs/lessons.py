"""What labelled photographs teach the encoder: pictures, and whom it should draw for each.

A photograph gets a full target, not some labels only: what nobody saw (the shape of the face, the
colour of the eyes) is what the encoder itself made of it before, drawn a little towards the
average. So every target is a person whom the generator draws as sharply as any.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as dc_replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.photo.framing import Framing
from faceedit.world import REGIONS, SPECS, FaceAttributes, sample_attributes
from faceedit.world.attributes import CIRCULAR
from training.config import ConfigError
from training.data.augment import Augmentation, augment, bends, random_grid, warp
from training.data.shards import WorldBatch, to_uint8
from training.photographs.characters import Character, character_of
from training.photographs.portraits import LabelledPhoto, PortraitFolder, SkippedPhotoError
from training.photographs.regions import outline
from training.photographs.scenes import Scene, drape, face_into, recolor_hair, value
from training.photographs.scenes import other_place as laid_before

__all__ = ["Lesson", "PhotoLessons", "unembedded"]

SIDE, ZOOM = 192, 1.2  # px of a photograph, and how much more than a portrait's frame it shows
OTHER_FACE, OTHER_HAIR, COVERED, OTHER_PLACE = 0.3, 0.25, 0.28, 0.4  # shares of the pictures
HAIR = ("black", "dark brown", "brown", "blond", "red", "grey", "blond")  # blond is rare
ALIKE = {"skin_tone": 0.3, "yaw": 10.0, "age": 28.0}  # of two whose faces may be exchanged
KEPT_FROM_HEAD = ("hair_style", "hair_color", "hair_volume", "parting", "fringe")
TOWARDS_AVERAGE = 0.3  # of what is not known of a photograph
CAMERA = Augmentation(color=0.4, gray=0.03, blur=0.8, noise=0.06, coarse=0.1, shade=0.08, cover=0.1)
HAT = list(SPECS).index("hat")
FACE = ("skin", "nose", "lips", "mouth", "eyes", "brows", "beard", "glasses", "lens")
TURN, SCALE, SHIFT, BEND = 6.0, 0.09, 0.03, 0.02  # degrees; shares, as in `augment`


@dataclass(frozen=True)
class Lesson:
    """Changed photographs with their targets.

    Attributes:
        image: [n, 3, h, w] in [-1, 1].
        attributes: Whom they should become.
        weights: [n, A], how much each attribute counts; 0 where nobody knows it.
    """

    image: Tensor
    attributes: FaceAttributes
    weights: Tensor


class PhotoLessons:
    """Draws lessons from a folder of labelled photographs.

    Args:
        folder: See `portraits`.
        size: Side of the pictures, px.
        fold: Photographs whose place divided by `folds` leaves this are held out; -1: none.
        folds: How many parts the folder is divided into.

    Raises:
        ConfigError: If the folder or all of its photographs cannot be used.
    """

    def __init__(self, folder: Path, size: int, fold: int = -1, folds: int = 3) -> None:
        self.size = size
        found = list(PortraitFolder(folder).every(SIDE, Framing.WORLD, ZOOM))
        self.skipped = [str(photo) for photo in found if isinstance(photo, SkippedPhotoError)]
        photos = [photo for photo in found if isinstance(photo, LabelledPhoto)]
        self.learned = [p for i, p in enumerate(photos) if i % folds != fold]
        if not self.learned:
            raise ConfigError(f"none of the photographs in {folder} can be used: {self.skipped}")
        self.scenes: list[Scene] = []
        self.guesses = torch.empty(0)

    @torch.no_grad()
    def prepare(self, encoder: Any, segmenter: Any, reading: Tensor, mapping: Any) -> None:
        """Look at the photographs as the networks see them before they learn.

        Args:
            encoder: Its codes say what labels do not.
            segmenter: Says where hair is.
            reading: [w_dim, k], reads the standardised embedding off `w - mean(w)`.
            mapping: Attributes -> w.
        """
        population = sample_attributes(4096, seed=0)
        mean_w = mapping(population).mean(0)
        framed = torch.cat([self._framed(photo.image) for photo in self.learned])
        codes = torch.cat([encoder(part) for part in framed.split(16)]).mean(1)
        guessed = unembedded((codes - mean_w) @ reading * mapping.spread + mapping.mean)
        middle = population.values.mean(0)
        for i, (name, spec) in enumerate(SPECS.items()):
            if not spec.categorical and name not in CIRCULAR:
                guessed[:, i] = torch.lerp(guessed[:, i], middle[i], TOWARDS_AVERAGE)
        whole = torch.cat([to_tensor(photo.image, self.size) for photo in self.learned])
        regions = torch.cat([segmenter.segment(part) for part in whole.split(16)]).numpy()
        pairs = zip(self.learned, regions, strict=True)
        self.scenes = [_scene(photo, labels) for photo, labels in pairs]
        self.guesses = torch.stack(
            [_plausible(g, s) for g, s in zip(guessed, self.scenes, strict=True)]
        )

    def _framed(self, image: np.ndarray) -> Tensor:
        """Return the part of a wider crop that a portrait's frame shows."""
        margin = round(SIDE * (1 - 1 / ZOOM) / 2)
        return to_tensor(image[margin:-margin, margin:-margin], self.size)

    def draw(self, count: int) -> Lesson:
        """Draw changed photographs; torch's default generator decides."""
        rng = np.random.default_rng(int(torch.randint(1 << 62, (1,))))
        drawn = [self._draw_one(rng) for _ in range(count)]
        image = torch.cat([to_tensor(scene.image, SIDE) for scene, _ in drawn])
        weights = torch.stack([scene.character.weights for scene, _ in drawn])
        values = [torch.where(s.character.weights > 0, s.character.values, g) for s, g in drawn]
        people = FaceAttributes(torch.stack(values))
        flipped = torch.rand(count) < 0.5
        image = torch.where(flipped[:, None, None, None], image.flip(-1), image)
        mirrored = torch.where(flipped[:, None], people.mirror().values, people.values)
        grid = (random_grid(image, TURN, SCALE, SHIFT) + bends(image, BEND)) / ZOOM
        grid = F.interpolate(grid.permute(0, 3, 1, 2), (self.size, self.size), mode="bilinear")
        image = augment(warp(image, grid.permute(0, 2, 3, 1)), CAMERA)
        return Lesson(image, FaceAttributes(mirrored), weights)

    def changed(self, batch: WorldBatch, covered: float, other_place: float) -> WorldBatch:
        """Drape cloth around some renders, and lay places of photographs behind some.

        Args:
            batch: Renders.
            covered: Share of those with a bare head.
            other_place: Share of all.
        """
        rng = np.random.default_rng(int(torch.randint(1 << 62, (1,))))
        image, values = batch.image.clone(), batch.values.clone()
        for i in range(len(batch)):
            place = self.place(rng) if rng.random() < other_place else None
            cloth = rng.random() < covered and values[i, HAT] == 0
            if not cloth and place is None:
                continue
            scene = _render(batch, i)
            scene = drape(scene, rng) if cloth else scene
            if place is not None:
                place = cv2.resize(place, scene.image.shape[:2], interpolation=cv2.INTER_AREA)
                scene = laid_before(scene, place)
            image[i] = to_tensor(scene.image, image.shape[-1])[0]
            values[i] = scene.character.values
        return dc_replace(batch, image=image, values=values)

    def _draw_one(self, rng: np.random.Generator) -> tuple[Scene, Tensor]:
        """Return a changed photograph, and what is guessed where its character says nothing."""
        i = int(rng.integers(len(self.scenes)))
        scene, guess = self.scenes[i], self.guesses[i]
        if rng.random() < OTHER_FACE and (others := self._alike(i)):
            j = int(rng.choice(others))
            scene = face_into(self.scenes[j], scene)
            head = torch.tensor([name in KEPT_FROM_HEAD for name in SPECS])
            guess = torch.where(head, guess, self.guesses[j])
        if rng.random() < OTHER_HAIR:
            scene = recolor_hair(scene, str(rng.choice(HAIR)), rng)
        if value(scene, "hat") == 0 and rng.random() < COVERED:
            scene = drape(scene, rng)
        place = self.place(rng)
        if place is not None and rng.random() < OTHER_PLACE:
            scene = laid_before(scene, place)
        return scene, guess

    def _alike(self, i: int) -> list[int]:
        """Return photographs whose faces may be laid into this head."""
        mine = self.scenes[i]

        def alike(other: Scene) -> bool:
            same = (value(other, "femininity") > 0.5) == (value(mine, "femininity") > 0.5)
            near = (abs(value(other, n) - value(mine, n)) < most for n, most in ALIKE.items())
            return same and all(near)

        return [j for j, other in enumerate(self.scenes) if j != i and alike(other)]

    def place(self, rng: np.random.Generator) -> np.ndarray | None:
        """Return what stands beside somebody's head, as a background; None if it is too little."""
        photo = self.learned[int(rng.integers(len(self.learned)))]
        top, high, wide = int(rng.integers(SIDE // 4)), int(0.55 * SIDE), int(0.3 * SIDE)
        rows = slice(top, top + high)
        columns = slice(0, wide) if rng.random() < 0.5 else slice(SIDE - wide, SIDE)
        if (photo.person[rows, columns] > 60).mean() > 0.35:
            return None
        strip = photo.image[rows, columns]
        strip = np.concatenate([strip, strip[:, ::-1]], axis=1)
        return np.asarray(cv2.resize(strip, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))


def to_tensor(image: np.ndarray, size: int) -> Tensor:
    """Return a picture as [1, 3, size, size] in [-1, 1]."""
    if len(image) != size:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    pixels = torch.from_numpy(np.ascontiguousarray(image))
    return pixels.permute(2, 0, 1)[None].float().div(127.5).sub(1)


def _scene(photo: LabelledPhoto, labels: np.ndarray) -> Scene:
    side = len(photo.image)
    face, person = outline(photo.mesh, "face", side), photo.person > 127
    hair = np.zeros_like(face)
    if photo.labels["hair_color"] not in ("covered", "bald"):
        found = (labels == REGIONS.index("hair")).astype(np.uint8)
        found = cv2.resize(found, (side, side), interpolation=cv2.INTER_LINEAR)
        core = cv2.erode(face.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=4)
        hair = (found > 0) & person & (core == 0)
    return Scene(photo.image, face, person, hair, character_of(photo))


def _render(batch: WorldBatch, i: int) -> Scene:
    """Return a render as a scene of which everything is known."""
    labels = batch.segmentation[i].numpy()
    names = np.array(REGIONS)[labels]
    image = to_uint8(batch.image[i]).permute(1, 2, 0).numpy()
    known = Character(batch.values[i].clone(), torch.ones(len(SPECS)))
    return Scene(image, np.isin(names, FACE), names != "background", names == "hair", known)


def _plausible(guess: Tensor, scene: Scene) -> Tensor:
    """Take what men seldom have out of a guess about a man, and light eyes where few have them."""
    changed = dict(zip(SPECS, guess.tolist(), strict=True))
    if value(scene, "femininity") < 0.5:
        changed |= {"lipstick": 0.0, "eyeshadow": 0.0, "blush": min(changed["blush"], 0.25)}
    if value(scene, "skin_tone") > 0.35 or value(scene, "hair_color") == 0:
        changed["eye_color"] = 0.0
    return torch.tensor([changed[name] for name in SPECS])


def unembedded(embedding: Tensor) -> Tensor:
    """Return the attributes whose embedding is nearest, [n, A]; the inverse of `embed`."""
    values, at = torch.zeros(len(embedding), len(SPECS)), 0
    for i, (name, spec) in enumerate(SPECS.items()):
        if spec.categorical:
            values[:, i] = embedding[:, at : at + len(spec.values)].argmax(1)
            at += len(spec.values)
        elif name in CIRCULAR:
            turns = torch.atan2(embedding[:, at], embedding[:, at + 1]) / (2 * math.pi)
            values[:, i] = turns % 1
            at += 2
        else:
            values[:, i] = embedding[:, at].clamp(spec.low, spec.high)
            at += 1
        at += 2 * has_chroma(name)
    return values


def has_chroma(name: str) -> bool:
    """Tell whether `embed` gives a hue once more, times saturation and value."""
    parts = (name.replace("_hue", "_saturation"), name.replace("_hue", "_value"))
    return name.endswith("_hue") and all(part in SPECS for part in parts)


def attribute_of_columns() -> Tensor:
    """Return to which attribute each column of `embed` belongs, [k]."""
    owners: Sequence[int] = [
        i
        for i, (name, spec) in enumerate(SPECS.items())
        for _ in range(_columns(name, len(spec.values)) + 2 * has_chroma(name))
    ]
    return torch.tensor(owners)


def _columns(name: str, values: int) -> int:
    return values or (2 if name in CIRCULAR else 1)
