"""A folder of photographs that somebody has looked at, and what it says about them.

The layout: `photos/<id>.jpg`; `labels.json`, a list of objects with an "id" and what a person saw
(sex, visible_age, skin, hair_color, hair_length, hairline, fringe, beard, moustache, glasses,
headwear, expression, mouth_open, ...); `mesh.json`, 478 points of each face (MediaPipe's mesh with
refined lips and irises) in pixels of a picture 512 px wide; `person/<id>.png`, where the person is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from faceedit.errors import FaceEditError
from faceedit.photo import align, load_photo
from faceedit.photo.cropping import crop_quad
from faceedit.photo.framing import Framing
from training.config import ConfigError

__all__ = ["FOLDS", "MESH_POINTS", "LabelledPhoto", "PortraitFolder", "SkippedPhotoError"]

FOLDS = 4  # into which the photographs are dealt in the order of their labels, to hold one out
MESH_POINTS = 478
MESH_WIDTH = 512  # px of the picture whose pixels the mesh counts
NEEDED = ("sex", "visible_age", "skin", "hair_color", "beard", "glasses", "headwear", "mouth_open")


class SkippedPhotoError(ValueError):
    """One photograph that cannot be used; the text names the file and says why."""


@dataclass(frozen=True)
class LabelledPhoto:
    """An aligned crop with what is known of it.

    Attributes:
        id: Its name in the folder.
        labels: What a person saw.
        image: [side, side, 3] uint8, RGB.
        mesh: [478, 2], x and y in pixels of `image`.
        person: [side, side] uint8, 255 where the person is.
        inside: [side, side] bool, where the crop shows the photograph and not its continuation.
        hair: [side, side] bool, where the hair is, down to its ends; None: not known.
        beard: Two of the same: where a beard surely is, and where it surely is not; None: not
            known.
    """

    id: str
    labels: dict[str, Any]
    image: np.ndarray
    mesh: np.ndarray
    person: np.ndarray
    inside: np.ndarray
    hair: np.ndarray | None = None
    beard: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def pupils(self) -> float:
        """Distance between the pupils in pixels of `image`."""
        return float(np.linalg.norm(self.mesh[473] - self.mesh[468]))


class PortraitFolder:
    """The photographs of a folder, read one at a time.

    Args:
        root: The folder.

    Raises:
        ConfigError: If the folder has no usable labels, mesh or photographs.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.labels: dict[str, dict[str, Any]] = {}
        for i, label in enumerate(_read_json(root / "labels.json", list)):
            if not isinstance(label, dict) or not isinstance(label.get("id"), str):
                raise ConfigError(f'{root / "labels.json"}: entry {i} has no "id"; give it one')
            self.labels[label["id"]] = label
        self.meshes = _read_json(root / "mesh.json", dict)
        if not self.labels or not (root / "photos").is_dir():
            raise ConfigError(f"{root} has no photos/ with labels; see training/photographs")

    def __len__(self) -> int:
        return len(self.labels)

    def photo_path(self, name: str) -> Path:
        """Return a photograph's file."""
        return self.root / "photos" / f"{name}.jpg"

    def read(self, name: str, side: int, framing: Framing, zoom: float = 1.0) -> LabelledPhoto:
        """Return one photograph, aligned.

        Args:
            name: Its id.
            side: Of the crop, in pixels.
            framing: How much a crop shows.
            zoom: Over 1 shows that much more around it.

        Raises:
            SkippedPhotoError: If it has no face, or its labels, mesh or mask cannot be used.
        """
        path, labels = self.photo_path(name), self.labels[name]
        missing = [key for key in NEEDED if key not in labels]
        if missing:
            raise SkippedPhotoError(f"{path.name}: labels.json says no {', '.join(missing)} of it")
        mesh = self._mesh(name)
        try:
            photo = load_photo(path)
            quad = np.asarray(align(photo, None, 64, framing=framing).quad, dtype=np.float64)
        except FaceEditError as error:
            raise SkippedPhotoError(f"{path.name}: {error}") from error
        middle = quad.mean(axis=0)
        quad = middle + (quad - middle) * zoom
        image = np.array(crop_quad(photo, quad, side))
        corners = np.array([[0, 0], [0, side], [side, side], [side, 0]], dtype=np.float32)
        to_crop = cv2.getPerspectiveTransform(quad.astype(np.float32), corners)
        mesh = mesh * (photo.width / MESH_WIDTH)
        points = cv2.perspectiveTransform(mesh[None].astype(np.float32), to_crop)[0]
        person = cv2.resize(self._person(name), photo.size, interpolation=cv2.INTER_LINEAR)
        whole = np.ones((photo.height, photo.width), np.uint8)
        shown, inside = (
            np.asarray(cv2.warpPerspective(layer, to_crop, (side, side)))
            for layer in (person, whole)
        )
        return LabelledPhoto(name, labels, image, points, shown, inside > 0)

    def every(
        self, side: int, framing: Framing, zoom: float = 1.0
    ) -> Iterator[LabelledPhoto | SkippedPhotoError]:
        """Yield all photographs in the order of the labels, or why one cannot be used."""
        for name in self.labels:
            try:
                yield self.read(name, side, framing, zoom)
            except SkippedPhotoError as error:
                yield error

    def _mesh(self, name: str) -> np.ndarray:
        where = f"{self.photo_path(name).name}: mesh.json"
        if name not in self.meshes:
            raise SkippedPhotoError(f"{where} has no points of it")
        try:
            mesh = np.asarray(self.meshes[name], dtype=np.float64)
        except (TypeError, ValueError):
            mesh = np.empty(0)
        if mesh.shape != (MESH_POINTS, 2) or not np.isfinite(mesh).all():
            raise SkippedPhotoError(
                f"{where} holds shape {list(mesh.shape)} for it; "
                f"{MESH_POINTS} finite points [[x, y], ...] are needed"
            )
        return mesh

    def _person(self, name: str) -> np.ndarray:
        path = self.root / "person" / f"{name}.png"
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
        if mask is None:
            raise SkippedPhotoError(f"{name}.jpg: {path} is missing or is not a picture")
        return np.asarray(mask)


def _read_json(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing; the folder needs photos/, labels.json, mesh.json and person/"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error})") from error
    if not isinstance(content, kind):
        raise ConfigError(f"{path} must hold one JSON {'list' if kind is list else 'object'}")
    return content
