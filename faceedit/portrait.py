"""A face on its way through one edit or several: the photo around it, its code, how it looks now.

Edits compose in codes, so that nothing is encoded twice: what an edit moved in w_plus stays in
w_plus, what it moved in s is kept as an offset of the styles. Styles are affine in w_plus, so both
add up whatever their order: s = styles(w_plus) + offset. A method in w_plus does not see the
offset; the picture is drawn with it afterwards. What an earlier edit showed and no code draws (it
was limited to a mask, or blended features) is kept as a picture that is added on top.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.inversion import to_space, to_tensor
from faceedit.method import keep_outside_mask
from faceedit.photo import AlignedFace, paste_back
from faceedit.types import Face, Latent, Space

if TYPE_CHECKING:
    import PIL.Image


@dataclass(frozen=True, eq=False)
class Portrait:
    """A photo on its way: its aligned face and that face's code. A generated face has no photo."""

    face: Face  # its code is in w_plus; its image is what is seen now
    photo: PIL.Image.Image | None = None
    aligned: AlignedFace | None = None
    offset: Tensor | None = None  # [1, sum(style_dims)]: what earlier edits added in s
    extra: Tensor | None = None  # [1, 3, h, w]: what is seen and the codes do not draw
    key: Hashable = None  # of the photo and the face in it, where an editor remembers them
    networks: Backbones | None = None  # with a generator that was tuned to the photo; None = usual

    def drawn_by(self, backbones: Backbones) -> Backbones:
        """Return the networks of now, with the generator that was tuned to the photo, if any."""
        if self.networks is None:
            return backbones
        return replace(backbones, generator=self.networks.generator)

    def source(self, space: Space, backbones: Backbones) -> Face:
        """Return the face for a method of that space; its image is what is seen now."""
        if space is Space.X_T and self.aligned is not None and self.extra is None:
            # A denoiser edits the photo itself, not what the generator makes of it.
            photo = to_tensor(self.aligned.image).to(self.face.image)
            return to_space(replace(self.face, image=photo), space, backbones)
        face = to_space(self.face, space, backbones)
        if space is Space.S and self.offset is not None:
            return replace(face, latent=Latent(face.latent.code + self.offset, space))
        return face

    @torch.no_grad()
    def seen(self, source: Face, edited: Face, backbones: Backbones) -> Face:
        """Return a method's edit as it looks on top of the earlier ones; no edit stays as it is.

        Args:
            source: What the method was given, with the mask that limits what is seen.
            edited: What it made.
            backbones: Needs `generator`.
        """
        if self.extra is None:
            return edited
        if self.offset is not None and edited.latent.space is Space.W_PLUS:
            image = _draw(edited.latent.code, self.offset, backbones)
            edited = replace(edited, image=image)
        return keep_outside_mask(source, replace(edited, image=edited.image + self.extra))


@dataclass(frozen=True, eq=False)
class Step:
    """One edit that was made, as much of it as the next one continues from."""

    portrait: Portrait  # before it
    source: Face
    edited: Face
    photo: PIL.Image.Image | None = None  # after it; None where the face was drawn, not seen


@torch.no_grad()
def after(step: Step, backbones: Backbones) -> Portrait:
    """Return the face after an edit, ready for the next; the photo is the one it was carried on to.

    A code that is neither in w_plus nor in s (a diffusion method's) cannot be carried on: there
    the picture is encoded again.
    """
    before, edited = step.portrait, step.edited
    if edited is step.source:
        return before
    w_plus, offset = before.face.latent.code, before.offset
    if edited.latent.space is Space.S:
        offset = edited.latent.code - backbones.require("generator", "an edit").styles(w_plus)
    elif edited.latent.space is Space.W_PLUS:
        w_plus = edited.latent.code
    else:
        w_plus, offset = backbones.require("encoder", "one more edit")(edited.image), None
    return Portrait(
        Face(edited.image, Latent(w_plus, Space.W_PLUS)),
        photo=step.photo,
        aligned=before.aligned,
        offset=offset,
        extra=edited.image - _draw(w_plus, offset, backbones),
        networks=before.networks,
    )


def pasted(portrait: Portrait, source: Face, edited: Face) -> PIL.Image.Image:
    """Paste the edited face's own pixels into its photo; strength 0 gives the photo itself."""
    if portrait.photo is None or portrait.aligned is None:
        return edited.to_pil()
    if edited is source:
        return portrait.photo.copy()
    mask = None
    if source.mask is not None:
        mask = Face(source.mask.mul(2).sub(1).expand(-1, 3, -1, -1), source.latent).to_pil()
    return paste_back(portrait.photo, portrait.aligned, edited.to_pil(), mask=mask)


def _draw(w_plus: Tensor, offset: Tensor | None, backbones: Backbones) -> Tensor:
    """Draw the face of a code in w_plus and an offset in s."""
    generator = backbones.require("generator", "one more edit")
    if offset is None:
        return generator.synthesis(w_plus)
    return generator.synthesis_from_styles(generator.styles(w_plus) + offset)
