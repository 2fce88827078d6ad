"""The faces of photographs: found, inverted, tuned to where that is wanted, and remembered."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from faceedit import arguments, pivotal
from faceedit.inversion import MAX_REFINE_STEPS, invert, to_tensor
from faceedit.library import Library
from faceedit.photo import Photo, align, load_photo
from faceedit.portrait import Portrait
from faceedit.types import Space

if TYPE_CHECKING:
    import PIL.Image

logger = logging.getLogger(__name__)

SEARCHED = "this base has no encoder, so the face is searched for by descent, which takes longer"
REMEMBERED = 16  # inversions kept, the latest used; each is a few hundred kB
MAX_FACES = 10_000  # in a photo
TUNED = 2  # of them with a generator of their own


class Portraits:
    """Finds the faces of photographs and their codes, and remembers the latest."""

    def __init__(self) -> None:
        self.remembered: OrderedDict[Hashable, Portrait] = OrderedDict()

    def clear(self) -> None:
        """Forget all."""
        self.remembered.clear()

    def found(
        self,
        photo: Photo,
        library: Library,
        face_index: int | None,
        refine_steps: int,
        tuned: bool,
    ) -> Portrait:
        """Return the face of a photo with its code; remembered by what the photo shows.

        Args:
            photo: A path, a picture or an array.
            library: Has the networks.
            face_index: Which face of several, 0 is the largest.
            refine_steps: Steps of descent after the encoder.
            tuned: Whether the generator is tuned to the face, see `faceedit.pivotal`.

        Raises:
            RequestError: If a number is out of its range.
            PhotoError: If the photo cannot be read.
            NoFaceError: If there is none.
            MissingBackboneError: If the base has no generator.
        """
        if face_index is not None:
            face_index = arguments.whole(face_index, "face_index", 0, MAX_FACES)
        refine_steps = arguments.whole(refine_steps, "refine_steps", 0, MAX_REFINE_STEPS)
        image = load_photo(photo)
        if tuned and not refine_steps:
            refine_steps = pivotal.REFINE_STEPS  # a nearer pivot
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        key = (digest, image.size, face_index, refine_steps, tuned)
        if key not in self.remembered:
            portrait = _inverted(image, library, face_index, refine_steps, key)
            self.remembered[key] = _tuned(portrait, library) if tuned else portrait
        self.remembered.move_to_end(key)
        self._forget()
        return replace(self.remembered[key], photo=image)

    def _forget(self) -> None:
        """Forget those that were not used for long, and generators sooner than codes."""
        while len(self.remembered) > REMEMBERED:
            self.remembered.popitem(last=False)
        generators = [key for key, known in self.remembered.items() if known.networks]
        for key in generators[:-TUNED]:
            del self.remembered[key]


def _inverted(
    photo: PIL.Image.Image,
    library: Library,
    face_index: int | None,
    refine_steps: int,
    key: Hashable,
) -> Portrait:
    """Return the face of a photo with its code."""
    generator = library.require("generator", "an edit")
    if library.backbones.encoder is None:
        logger.warning("%s; an encoder answers at once", SEARCHED)
    aligned = align(photo, face_index, generator.config.resolution, framing=library.framing)
    face = invert(to_tensor(aligned.image), Space.W_PLUS, library.backbones, refine_steps)
    return Portrait(face, aligned=aligned, key=key)


def _tuned(portrait: Portrait, library: Library) -> Portrait:
    """Return a photo's face with a generator that is tuned to it; what was tuned is kept."""
    assert portrait.aligned is not None
    backbones, code = library.backbones, portrait.face.latent.code
    crop = to_tensor(portrait.aligned.image).to(code)
    place = pivotal.place_of(torch.cat([crop.flatten(), code.flatten()]), backbones.generator)
    difference = pivotal.load(place, backbones.generator)
    if difference is None:
        difference = pivotal.tune(crop, code, backbones)
        pivotal.save(difference, place)
    networks = replace(backbones, generator=pivotal.tuned(backbones, difference))
    with torch.no_grad():
        image = networks.generator.synthesis(code)
    return replace(portrait, face=replace(portrait.face, image=image), networks=networks)
