"""From an edited face to the edited photograph: what the networks say, handed to the transfer.

`faceedit.transfer` works on arrays and knows no network; here are the tensors and the photo around.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from PIL import Image
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.photo import keep_outside, load_mask
from faceedit.photo.regions import REACH, labels_of, read_regions
from faceedit.portrait import Portrait, pasted
from faceedit.transfer import Asked, Readers, Scene, View, carry, read_scene
from faceedit.transfer.readers import readers_of, remembering
from faceedit.types import EditRequest, Face, Output, Sentence
from faceedit.words.worn import named_parts, speaks_of_known_things, speaks_of_parts_only, topics

BEGINS = 0.2  # strength from which a state that the sentence names is made up for
SHOWN = 0.5  # strength from which an edit shows what its sentence names in full
UNCHANGED = (
    "Nothing changed: the drawn face hardly differs after this edit, or the photograph shows it "
    "already. Try more strength, another method (compare) or other words."
)
NOT_PARSED = "this base has no network that finds the regions of a photo; the face was pasted in"
REMEMBERED = 2  # photographs whose regions are kept: each is some 60 MB


@dataclass(frozen=True, eq=False)
class Outcome:
    """The photograph after an edit."""

    image: Image.Image
    changed: Image.Image | None = None  # "L", as large: 0 where the photograph stayed bit for bit
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class Photographs:
    """Carries edits on to photographs, and remembers what it read in the latest of them."""

    _views: OrderedDict[Hashable, tuple[Any, View]] = field(default_factory=OrderedDict)
    _readers: tuple[Backbones, Readers] | None = None

    def after(
        self,
        portrait: Portrait,
        source: Face,
        edited: Face,
        backbones: Backbones,
        sentence: Sentence,
        request: EditRequest,
        output: Output,
    ) -> Outcome | None:
        """Return the photo after an edit; None for a face that no photo shows, or if unwanted."""
        if portrait.photo is None or portrait.aligned is None or output is Output.CHARACTER:
            return None
        mask = request.mask
        if output is Output.PASTED:
            image = pasted(portrait, source, edited)
            if mask is not None and read_regions(mask) is None:
                image = keep_outside(portrait.photo, image, load_mask(mask))
            return Outcome(image)
        if backbones.segmenter is None:
            return Outcome(pasted(portrait, source, edited), notes=(NOT_PARSED,))
        prompt, strength = sentence.prompt[0], request.strength
        return self.carried(
            portrait, source, edited, backbones, mask, prompt=prompt, strength=strength
        )

    def carried(
        self,
        portrait: Portrait,
        source: Face,
        edited: Face,
        backbones: Backbones,
        mask: Any = None,
        *,
        prompt: str = "",
        strength: float = 1.0,
    ) -> Outcome:
        """Return the photograph with an edit carried on to it; strength 0 gives the photo itself.

        Args:
            portrait: Has the photo and its aligned face.
            source: The drawn face before the edit.
            edited: And after; its mask says where the method acted.
            backbones: Needs `segmenter`.
            mask: Where the user allows changes: region names or a picture as large as the photo.
            prompt: The sentence in plain words: things to wear that it does not name stay.
            strength: Of the edit.
        """
        assert portrait.photo is not None and portrait.aligned is not None
        if edited is source:
            return Outcome(portrait.photo.copy(), Image.new("L", portrait.photo.size))
        readers = self._readers_of(backbones)
        scene = self._scene(portrait, readers)
        limit, allowed = None, None
        if edited.mask is not None:
            limit = _limit(edited.mask, scene)
        if mask is not None and (names := read_regions(mask)) is not None:
            limit = _grown(scene.view, labels_of(names, scene.view.regions))
        elif mask is not None:
            allowed = np.asarray(load_mask(mask))
        before, after = np.asarray(source.to_pil()), np.asarray(edited.to_pil())
        share = float(np.clip((strength - BEGINS) / (1 - BEGINS), 0, 1))
        only = speaks_of_parts_only(prompt)
        known, about = speaks_of_known_things(prompt), topics(prompt)
        asked = Asked(named_parts(prompt), only, known, about, strength >= SHOWN, share)
        result = carry(scene, before, after, readers, limit=limit, allowed=allowed, asked=asked)
        changed = Image.fromarray(result.changed.astype(np.uint8) * 255)
        notes = result.notes if result.changed.any() or result.notes else (UNCHANGED,)
        return Outcome(Image.fromarray(result.image), changed, notes)

    def _readers_of(self, backbones: Backbones) -> Readers:
        """Return how the base's networks read pictures; they remember the latest drawn faces."""
        if self._readers is None or self._readers[0] is not backbones:
            self._readers = backbones, remembering(readers_of(backbones))
        return self._readers[1]

    def _scene(self, portrait: Portrait, readers: Readers) -> Scene:
        """Return the photograph, read; what was read is remembered by the portrait's key."""
        assert portrait.photo is not None and portrait.aligned is not None
        photo = np.asarray(portrait.photo)
        if portrait.key is not None and portrait.key in self._views:
            frame, view = self._views[portrait.key]
            self._views.move_to_end(portrait.key)
            return Scene(photo, frame, view)
        scene = read_scene(photo, portrait.aligned.quad, readers)
        if portrait.key is not None:
            self._views[portrait.key] = (scene.frame, scene.view)
            while len(self._views) > REMEMBERED:
                self._views.popitem(last=False)
        return scene


def _limit(mask: Tensor, scene: Scene) -> np.ndarray:
    """Return a mask [1, 1, h, w] of the aligned face in the frame, [h, w] in [0, 1].

    The drawn face is limited by it already, so here it only says where nothing may happen at all.
    """
    drawn = np.ascontiguousarray(mask[0, 0].detach().float().cpu().numpy())
    placed = scene.frame.spread(drawn) * scene.frame.inside
    return np.clip(placed * 4, 0, 1)


def _grown(view: View, names: tuple[str, ...]) -> np.ndarray:
    """Return where regions of the photograph are, slightly grown and soft at the edge, [h, w]."""
    reach = max(1, round(REACH * view.square[2]))
    size = (2 * reach + 1, 2 * reach + 1)
    grown = cv2.dilate(view.region(*names), np.ones(size, np.uint8))
    return np.clip(cv2.boxFilter(grown, -1, size), 0, 1)
