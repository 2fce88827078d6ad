"""Where an edit may act: what a user draws or names, brought to the aligned face."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from faceedit.errors import RequestError
from faceedit.inversion import to_tensor
from faceedit.library import Library
from faceedit.photo import crop_quad, load_mask
from faceedit.photo.regions import read_regions, region_mask
from faceedit.portrait import Portrait

VISIBLE = 2 / 255  # of a mask; what it lets through below this cannot be seen


def mask_of(mask: Any, portrait: Portrait, library: Library) -> Tensor:
    """Return where an edit may act, [1, 1, h, w] in [0, 1].

    Args:
        mask: Region names, or a picture as large as the photo.
        portrait: Whose aligned face it is.
        library: Its networks find the regions.

    Raises:
        FaceEditError: If the mask cannot be used, or the base knows no regions.
    """
    names = read_regions(mask)
    if names is None:
        return _aligned(mask, portrait)
    backbones = library.backbones.parsing(names)
    if backbones.segmenter is None:
        library.require("segmenter", "a mask by name")
    return region_mask(portrait.face.image, names, backbones.segmenter)


def allows_nothing(mask: Tensor | None) -> bool:
    """Return whether a mask lets nothing through that could be seen."""
    return mask is not None and float(mask.max()) < VISIBLE


def _aligned(mask: Any, portrait: Portrait) -> Tensor:
    """Return the part of a photo's mask that lies on its aligned face."""
    drawn = load_mask(mask)
    photo = portrait.photo or portrait.face.to_pil()
    if drawn.size != photo.size:
        given, needed = "{} x {}".format(*drawn.size), "{} x {}".format(*photo.size)
        raise RequestError(f"the mask has {given} px and the photo {needed}; they must be equal")
    if portrait.aligned is not None:
        drawn = crop_quad(drawn.convert("RGB"), portrait.aligned.quad, portrait.aligned.size)
    return to_tensor(drawn.convert("RGB")).add(1).div(2)[:, :1].to(portrait.face.image)
