"""Cut a tilted square out of a photo, and continue the photo where the square leaves it."""

from __future__ import annotations

import numpy as np
from PIL import Image


def crop_quad(
    photo: Image.Image, quad: np.ndarray, size: int, transform_size: int | None = None
) -> Image.Image:
    """Return what a photo shows inside a square, size x size px, as FFHQ is cropped.

    What lies outside the photo is its mirror image, which fades into blur and then into the
    photo's median colour.

    Args:
        photo: RGB.
        quad: Its corners, see `face_quad`.
        size: The result's side in pixels.
        transform_size: The side at which it is sampled before it is reduced to `size`. None
            takes what avoids aliasing; the official encoder code has 256.
    """
    quad = np.array(quad, dtype=np.float64)
    shrink = int(np.linalg.norm(quad[3] - quad[0]) / size * 0.5)
    if shrink > 1:
        smaller = (round(photo.width / shrink), round(photo.height / shrink))
        quad *= np.array(smaller) / photo.size
        photo = photo.resize(smaller, Image.Resampling.LANCZOS)
    side = float(np.linalg.norm(quad[3] - quad[0]))
    border = max(round(side * 0.1), 3)
    photo, quad = _cut(photo, quad, border)
    photo, quad = _extend(photo, quad, side, border)
    if transform_size is None:
        transform_size = size * int(np.clip(np.ceil(side / size), 1, 4))
    crop = photo.transform(
        (transform_size, transform_size),
        Image.Transform.QUAD,
        quad.flatten().tolist(),
        Image.Resampling.BILINEAR,
    )
    if size != transform_size:
        crop = crop.resize((size, size), Image.Resampling.LANCZOS)
    return crop


def _bounds(quad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the whole pixels that hold a quad: its lowest and its highest (x, y).

    The official code counts from the middle of the first pixel, hence the half.
    """
    return (
        np.floor(quad.min(axis=0) - 0.5).astype(int),
        np.ceil(quad.max(axis=0) - 0.5).astype(int),
    )


def _cut(photo: Image.Image, quad: np.ndarray, border: int) -> tuple[Image.Image, np.ndarray]:
    """Return the part of the photo around a quad, and the quad in it."""
    low, high = _bounds(quad)
    left, top = np.clip(low - border, 0, np.array(photo.size) - 1).tolist()
    right, bottom = np.minimum(high + border, photo.size).tolist()
    box = (left, top, max(right, left + 1), max(bottom, top + 1))
    return photo.crop(box), quad - (left, top)


def _extend(
    photo: Image.Image, quad: np.ndarray, side: float, border: int
) -> tuple[Image.Image, np.ndarray]:
    """Continue the photo beyond its edges where a quad of this side needs it."""
    low, high = _bounds(quad)
    before = np.maximum(border - low, 0)
    after = np.maximum(high - photo.size + border, 0)
    if max(*before, *after) <= border - 4:
        return photo, quad
    import cv2  # here and not above: only faces at the photo's edge need it

    least = round(side * 0.3)
    before, after = np.maximum(before, least), np.maximum(after, least)
    widths = ((before[1], after[1]), (before[0], after[0]), (0, 0))
    pixels = np.pad(np.asarray(photo, dtype=np.float32), widths, mode="reflect")
    height, width = pixels.shape[:2]
    x, y = np.arange(width)[None, :, None], np.arange(height)[:, None, None]
    # 1 at the outer edge, 0 where the photo begins, negative inside.
    outside = np.maximum(
        1 - np.minimum(x / before[0], (width - 1 - x) / after[0]),
        1 - np.minimum(y / before[1], (height - 1 - y) / after[1]),
    ).astype(np.float32)
    sigma = side * 0.02
    taps = 2 * int(4 * sigma + 0.5) + 1
    blurred = cv2.GaussianBlur(pixels, (taps, taps), sigma, borderType=cv2.BORDER_REFLECT)
    pixels += (blurred - pixels) * np.clip(outside * 3 + 1, 0, 1)
    pixels += (np.median(pixels, axis=(0, 1)) - pixels) * np.clip(outside, 0, 1)
    extended = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return extended, quad + before
