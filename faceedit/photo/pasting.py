"""Put an edited face back into its photo."""

from __future__ import annotations

from typing import cast

import numpy as np
from PIL import Image

from faceedit.errors import PhotoError
from faceedit.photo.alignment import AlignedFace
from faceedit.photo.reading import MIN_SIDE, Photo, load_photo


def paste_back(
    photo: Photo,
    aligned: AlignedFace,
    edited: Image.Image,
    *,
    mask: Image.Image | None = None,
    feather: float = 0.1,
) -> Image.Image:
    """Return the photo with the edited face in its old place; pixels outside keep their values.

    Args:
        photo: The photo that was given to `align`.
        aligned: What `align` returned for it.
        edited: The changed face, square, of any size.
        mask: Where to paste, "L", aligned like `edited`: white = edited. None = everywhere.
        feather: Width of the seam, in sides of the crop. There is no seam along an edge of the
            crop that lies on or beyond the photo's edge.

    Raises:
        PhotoError: If the photo cannot be read or the edited face is not square.
    """
    result = load_photo(photo).copy()
    if edited.width != edited.height:
        raise PhotoError(
            f"the edited face has {edited.width} x {edited.height} px; it must be square"
        )
    low = np.maximum(np.floor(aligned.quad.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(aligned.quad.max(axis=0)), result.size).astype(int)
    if (high <= low).any():
        return result
    side = max(MIN_SIDE, round(aligned.side))
    edited = edited.convert("RGB")
    if side < edited.width:  # reduce first: the warp alone would alias
        edited = edited.resize((side, side), Image.Resampling.LANCZOS)
    weight = _seam(aligned.quad, result.size, edited.width, feather)
    if mask is not None:
        allowed = mask.convert("L").resize(edited.size, Image.Resampling.BILINEAR)
        weight = weight * (np.asarray(allowed, dtype=np.float64) / 255)
    weight_image = Image.fromarray(np.rint(weight * 255).astype(np.uint8))

    region = cast("tuple[int, int]", tuple((high - low).tolist()))
    coefficients = _perspective(aligned.quad - low, edited.width)
    face = edited.transform(
        region, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC
    )
    seam = weight_image.transform(
        region, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR
    )
    result.paste(face, (int(low[0]), int(low[1])), seam)
    return result


def _seam(quad: np.ndarray, photo_size: tuple[int, int], side: int, feather: float) -> np.ndarray:
    """Return how much of the edited face shows, [side, side] in [0, 1]: 0 at its edges, 1 inside.

    An edge of the crop on or beyond the photo's edge stays 1: there is nothing to blend with.
    """
    place = (np.arange(side) + 0.5) / side
    width = max(feather, 1e-6)
    top_left, bottom_left, bottom_right, top_right = range(4)
    edges = {  # corners of the edge -> distance from it in sides of the crop
        (top_left, bottom_left): place[None, :],
        (bottom_right, top_right): 1 - place[None, :],
        (top_left, top_right): place[:, None],
        (bottom_left, bottom_right): 1 - place[:, None],
    }
    weight = np.ones((side, side))
    for corners, distance in edges.items():
        ends = quad[list(corners)]
        beyond = (ends < 0.5).all(axis=0) | (ends > np.array(photo_size) - 0.5).all(axis=0)
        if not beyond.any():
            ramp = np.clip(distance / width, 0, 1)
            weight = weight * (ramp * ramp * (3 - 2 * ramp))
    return weight


def _perspective(quad: np.ndarray, side: int) -> list[float]:
    """Return PIL's eight numbers that map a place in the photo to its place in the crop.

    With (u, v) in the crop and (x, y) in the photo: u = (a x + b y + c) / (g x + h y + 1) and
    v = (d x + e y + f) / (g x + h y + 1); the four corners give eight linear equations.
    """
    crop = np.array([[0, 0], [0, side], [side, side], [side, 0]], dtype=np.float64)
    rows, targets = [], []
    for (x, y), (u, v) in zip(quad, crop, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        targets += [u, v]
    return np.linalg.solve(np.array(rows), np.array(targets)).tolist()
