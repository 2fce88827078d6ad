"""Whose face is being edited: a photo's or a rendered person's, with its code found once."""

from __future__ import annotations

import functools
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from demo.loading import Loader
from demo.people import SEEDS, Crowd, Person, person
from demo.settings import draws_the_world
from demo.words import need
from faceedit.arguments import whole
from faceedit.photo import DetectedFace, detect_faces, load_photo
from faceedit.types import MAX_SEED

if TYPE_CHECKING:
    from faceedit import FaceEditor
    from faceedit.types import Face

MAX_SHOWN = 1600  # px; larger photos are scaled down, so that results load fast
REMEMBERED = 32  # subjects, the latest used; each is a few hundred kB
ANY_FACE = -1  # the one that stands out
NOBODY = -1  # no rendered person; an empty number field would come back as 0
MOST_FACES = 8  # that the picker shows
MANY_FACES = 10_000  # a photo has fewer
THUMB = 96  # px


@dataclass(frozen=True, eq=False)
class Subject:
    """Somebody to edit.

    Attributes:
        face: The generator's version, with its code.
        photo: The uploaded photo; None for a rendered person.
        face_index: Which face of the photo; None for the one that stands out.
        person: The rendered person; None for a photo.
    """

    face: Face
    photo: Image.Image | None = None
    face_index: int | None = None
    person: Person | None = None

    @property
    def before(self) -> Image.Image:
        """The picture as it was brought."""
        if self.photo is not None:
            return self.photo
        return self.person.to_pil() if self.person is not None else self.face.to_pil()

    def edit(self, editor: FaceEditor, prompt: str, region: str = "", **settings: Any) -> Any:
        """Return `FaceEditor.edit`; `region` names the part that may change, "" is all of it."""
        if region:
            settings["mask"] = region
        if self.photo is None:
            return editor.edit(self.face, prompt, **settings)
        return editor.edit(self.photo, prompt, face_index=self.face_index, **settings)


class Subjects:
    """What all tabs share: the networks, the people, and the faces that were looked at."""

    def __init__(self, loader: Loader, crowd: Crowd | None = None) -> None:
        self.loader = loader
        folder = Path(loader.repo).expanduser()
        self.base = folder.name if folder.is_dir() else loader.repo  # tells nobody our paths
        self.world = draws_the_world(loader.repo)  # else people are drawn by the generator
        self.crowd = crowd or Crowd()
        self._known: OrderedDict[tuple[Any, ...], Subject] = OrderedDict()
        self._lock = threading.Lock()

    def subject(self, photo: str | None, seed: float | None, face_index: float | None) -> Subject:
        """Return whom the page shows: the rendered person `seed`, else the photo's face.

        Raises:
            FaceEditError: If the photo cannot be used.
        """
        need(has_face(photo, seed), "Upload a photo or sample a face first.")
        number = whole(seed, "person", 0, MAX_SEED) if is_person(seed) else None
        chosen = face_index is not None and face_index >= 0
        index = whole(face_index, "face_index", 0, MANY_FACES) if chosen else None
        key = (number,) if number is not None else (photo, index)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        made = self._person(number) if number is not None else self._photo(str(photo), index)
        with self._lock:
            self._known[key] = made
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return made

    def picture(self, seed: int) -> Image.Image:
        """Return a sampled person's portrait; on a base of photographs the networks draw it."""
        if self.world:
            return person(seed).to_pil()
        return self.subject(None, seed, None).face.to_pil()

    def somebody(self) -> int:
        """Return the number of somebody whom nobody has seen yet."""
        return self.crowd.next().seed if self.world else secrets.randbelow(SEEDS)

    def _person(self, seed: int) -> Subject:
        if not self.world:
            return Subject(self.loader.get().sample(seed))
        from faceedit.inversion import invert
        from faceedit.types import Space

        someone = person(seed)
        editor = self.loader.get()
        size = editor.backbones.require("generator", "an edit").config.resolution
        image = someone.image.to(editor.backbones.generator.w_avg)
        if image.shape[-1] != size:
            import torch.nn.functional as F

            image = F.interpolate(image, size=(size, size), mode="area")
        return Subject(invert(image, Space.W_PLUS, editor.backbones), person=someone)

    def _photo(self, path: str, index: int | None) -> Subject:
        picture = shown(path)
        face = self.loader.get().invert(picture, face_index=index)
        return Subject(face, photo=picture, face_index=index)


def is_person(seed: float | None) -> bool:
    """Whether this is a rendered person's number."""
    return seed is not None and seed >= 0


def has_face(photo: str | None, seed: float | None) -> bool:
    """Whether there is a face to edit."""
    return photo is not None or is_person(seed)


def shown(path: str) -> Image.Image:
    """Return an uploaded photo, upright, at the size at which the page works."""
    picture = load_photo(Path(path))
    picture.thumbnail((MAX_SHOWN, MAX_SHOWN), Image.Resampling.LANCZOS)
    return picture


@functools.lru_cache(maxsize=16)
def faces_of(path: str) -> tuple[DetectedFace, ...]:
    """Return the faces of an uploaded photo, largest first."""
    return tuple(detect_faces(shown(path))[:MOST_FACES])


def thumbnails(path: str) -> list[Image.Image]:
    """Return a small square picture of every face of an uploaded photo, largest first."""
    photo = shown(path)
    pictures = []
    for face in faces_of(path):
        left, top, right, bottom = face.box
        x, y, reach = (left + right) / 2, (top + bottom) / 2, 0.75 * face.extent
        square = (int(x - reach), int(y - reach), int(x + reach), int(y + reach))
        pictures.append(photo.crop(square).resize((THUMB, THUMB), Image.Resampling.LANCZOS))
    return pictures
