"""A drawn mask as numbers: white may change, black and transparent may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceedit.errors import PhotoError, RequestError
from faceedit.photo.reading import Photo, load_photo

__all__ = ["keep_outside", "load_mask"]

COLORED = 48  # of 255: spread of a pixel's channels from which on it is not grey
SCRIBBLE = 0.001  # share of the pixels that must be coloured to be meant so
HOW = "paint white what may change, and leave black or transparent what may not"


def load_mask(mask: Photo) -> Image.Image:
    """Return a mask as 8-bit grey, upright, at most as large as `load_photo` makes photos.

    Transparent pixels may not change, half transparent ones by half. Booleans, and integers that
    go no further than 1, mean all or nothing: masks of zeros and ones are as usual as 0 and 255.

    Args:
        mask: A path, a PIL image or an array, see `load_photo`.

    Raises:
        RequestError: If the file cannot be read, if it is coloured or if nothing may change.
    """
    white, black = (_laid_over(mask, grey) for grey in (255, 0))
    # over white and over black it looks alike where it is opaque
    opaque = 255 - (np.asarray(white, np.int16) - np.asarray(black, np.int16)).max(axis=2)
    seen = np.asarray(black, np.int16)
    spread = seen.max(axis=2) - seen.min(axis=2)
    if (spread > COLORED).mean() > SCRIBBLE:
        raise RequestError(f"the mask is coloured, so it does not say what may change; {HOW}")
    allowed = np.asarray(black.convert("L"), np.uint8)
    if 0 < allowed.max() <= 1 and (opaque == 255).all():
        allowed = allowed * np.uint8(255)
    if not allowed.any():
        raise RequestError(f"the mask allows no change anywhere: it is all black; {HOW}")
    return Image.fromarray(allowed)


def _laid_over(mask: Photo, grey: int) -> Image.Image:
    """Return a mask over a plain background, RGB."""
    try:
        return load_photo(_all_or_nothing(mask), background=(grey, grey, grey))
    except PhotoError as error:
        raise RequestError(f"the mask cannot be used: {error}") from error


def _all_or_nothing(mask: Any) -> Any:
    """Return an array of zeros and ones of any type as booleans, whatever else as it is."""
    if isinstance(mask, np.ndarray) and mask.dtype.kind in "iu" and mask.size:
        return mask.astype(bool) if mask.min() >= 0 and mask.max() <= 1 else mask
    if isinstance(mask, str | Path) or not isinstance(mask, Image.Image):
        return mask
    whole = mask.mode in ("I", "I;16", "I;16B", "I;16L") and mask.getextrema()[1] in (0, 1)
    return np.asarray(mask).astype(bool) if whole else mask


def keep_outside(photo: Image.Image, edited: Image.Image, allowed: Image.Image) -> Image.Image:
    """Return an edited photo with the photo's own pixels wherever a mask allows no change."""
    free = allowed.point(lambda value: 255 if value else 0)
    return Image.composite(edited, photo, free)
