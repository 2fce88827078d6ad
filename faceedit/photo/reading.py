"""Read a photo from whatever it comes in, or say in plain words what is wrong with it."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin

from faceedit.errors import PhotoError
from faceedit.regular_files import IrregularFileError, read_regular

logger = logging.getLogger(__name__)

Photo = str | Path | Image.Image | np.ndarray  # whatever `load_photo` reads

MAX_KEPT = 50_000_000  # pixels of a photo; larger ones are scaled down to it
MAX_PIXELS = 80_000_000  # of a file or array; decoded that is 240 MB
MAX_JPEG_PIXELS = 400_000_000  # JPEG files can be decoded at 1/2, 1/4 or 1/8 of their size
MAX_SCANNED = 1_600_000_000  # pixels of a JPEG in several scans, times its scans: about 2 s
MAX_BYTES = 256 * 2**20  # of a file
COLOUR_INFO = frozenset({"icc_profile", "transparency"})  # what asks for other numbers
BAND = 4_000_000  # numbers that are worked on at once
MIN_SIDE = 16  # px; nothing smaller shows a face
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
FORMAT_NAMES = "JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF"
BACKGROUND = (192, 192, 192)  # a neutral grey behind transparent pixels
TURNS = {  # EXIF's orientation -> what brings the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# JPEG's markers: a byte 255 and another, which is not 0 or a restart inside of a scan.
MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
WITHOUT_LENGTH = (0x01, 0xD8)


def load_photo(photo: Photo, *, background: tuple[int, int, int] = BACKGROUND) -> Image.Image:
    """Return a photo as an upright RGB image of at most `MAX_KEPT` pixels.

    The camera's rotation (EXIF) and colour profile are applied; transparency is laid over grey;
    grey, palette, CMYK and 16-bit pictures become 8-bit RGB. An RGB image comes back as it is.

    Args:
        photo: A path, a PIL image, or an array [h, w], [h, w, 1], [h, w, 3] or [h, w, 4] with
            integers in [0, 255] (uint16: [0, 65535]) or floats in [0, 1].
        background: The colour behind transparent pixels.

    Raises:
        PhotoError: If it cannot be read; the message says what was given and what to do.
    """
    if isinstance(photo, np.ndarray):
        image, name = _from_array(photo), "the array"
    elif isinstance(photo, Image.Image):
        image, name = photo, "the image"
    elif isinstance(photo, str | Path):
        image, name = _open(photo), f"'{Path(photo).name}'"
    else:
        raise PhotoError(
            f"the photo is a {type(photo).__name__}; give a path, a PIL image or a numpy array"
        )
    _check_size(image, name, MAX_PIXELS)
    if kept_size(image.size) != image.size:
        logger.info(
            "%s has %d x %d px; scaled to %d x %d", name, *image.size, *kept_size(image.size)
        )
    try:
        return _upright(_in_bands(image, background), _orientation(image))
    except PhotoError:
        raise
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise PhotoError(
            f"{name} is damaged or incomplete ({error}); open it in a picture viewer and save "
            "it again, or use another copy"
        ) from error


def kept_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the width and height that a photo of some size is scaled to; its own if it may be."""
    width, height = size
    scale = math.sqrt(MAX_KEPT / (width * height))
    if scale >= 1:
        return size
    return max(1, int(width * scale)), max(1, int(height * scale))


def _open(path: str | Path) -> Image.Image:
    """Open a picture file without decoding it; JPEGs that are too large are set to be reduced."""
    _refuse_address(str(path))
    file = Path(path)
    try:
        file = file.expanduser()
        data = read_regular(file, MAX_BYTES)
    except FileNotFoundError:
        raise PhotoError(f"there is no file '{path}'; check the path and its spelling") from None
    except IrregularFileError as error:
        raise PhotoError(f"'{path}' cannot be read: {error}; name one photo") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise PhotoError(f"'{path}' cannot be read ({error}); check the path") from error
    if not data:
        raise PhotoError(f"'{file.name}' is empty (0 bytes); use another copy of the photo")
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _open_jpeg(data, file.name)
        Image.init()  # registers the rarer formats; an old Pillow lacks some
        formats = [name for name in FORMATS if name in Image.OPEN]
        return Image.open(io.BytesIO(data), formats=formats)
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError(
            f"'{file.name}' is too large ({error}); at most {MAX_PIXELS // 10**6} megapixels "
            f"(JPEG: {MAX_JPEG_PIXELS // 10**6}) can be read, so scale it down first"
        ) from None
    except Exception as error:  # see load_photo
        raise PhotoError(_what_it_is_instead(file.name, data)) from error


def _refuse_address(path: str) -> None:
    if path.lstrip().startswith("data:"):
        raise PhotoError("this is a data URL and not a path; save the picture as a file first")
    if path.startswith(("http://", "https://")):
        raise PhotoError(f"'{path}' is a web address; download the photo first")


def _open_jpeg(data: bytes, name: str) -> Image.Image:
    """Open a JPEG, set to be decoded at an eighth of its size or more.

    A file that is stored in several scans is decoded whole, once a scan: a few kilobytes can hold
    thousands of scans. So its scans are counted first, and its size is that of other formats.

    Raises:
        PhotoError: If it is too large, or takes too long to decode.
    """
    # Not by Image.open: it refuses at once what can be read at an eighth of its size.
    image: Image.Image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    scans = count_scans(data)
    _check_size(image, f"'{name}'", MAX_JPEG_PIXELS if scans == 1 else MAX_PIXELS)
    if scans * image.width * image.height > MAX_SCANNED and scans > 1:
        raise PhotoError(
            f"'{name}' is stored in {scans:,} scans of {image.width} x {image.height} px, which "
            "take too long to decode; open it in a picture viewer and save it again"
        )
    pixels, step = image.width * image.height, 1
    while pixels > MAX_PIXELS * step**2:
        step *= 2
    image.draft("RGB", (-(-image.width // step), -(-image.height // step)))
    return image


def count_scans(data: bytes) -> int:
    """Return in how many scans a JPEG is stored: 1 where it is decoded as it comes, row by row.

    Source: ITU-T T.81, annex B: markers of two bytes, most with a length, and after the start of a
    scan bytes without one, up to the next marker.
    """
    scans, place = 0, 2
    while found := MARKER.search(data, place):
        code, place = found[1][0], found.end()
        if code == END_OF_IMAGE:
            break
        scans += code == START_OF_SCAN
        if code not in WITHOUT_LENGTH:
            place += max(2, int.from_bytes(data[place : place + 2], "big"))
    return max(scans, 1)


def _what_it_is_instead(name: str, data: bytes) -> str:
    """Say why a file is not a picture that can be read."""
    wanted = f"give a {FORMAT_NAMES} file"
    if not data.strip(b"\0"):
        return f"'{name}' holds nothing but zeros, like a copy that broke off; copy it again"
    if data.startswith(b"8BPS"):
        return f"'{name}' is a Photoshop document; export it as JPEG or PNG"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return f"'{name}' is an AVIF picture that is damaged or incomplete; use another copy"
    if data[4:8] == b"ftyp":
        return f"'{name}' is a HEIC picture or a video, which cannot be read; export it as JPEG"
    if data.startswith(b"%PDF"):
        return f"'{name}' is a PDF document; {wanted}"
    with contextlib.suppress(UnicodeDecodeError):
        start = data[:64].decode()
        if start.replace("\n", " ").replace("\r", " ").replace("\t", " ").isprintable():
            return f"'{name}' is not a picture but text ({start[:24]!r}...); {wanted}"
    return f"'{name}' is not a picture that can be read, or it is damaged; {wanted}"


def _check_size(image: Image.Image, name: str, most: int) -> None:
    """Raise if a picture has too many pixels to decode, or too few to show a face."""
    width, height = image.size
    if width * height > most:
        raise PhotoError(
            f"{name} has {width} x {height} px = {width * height / 1e6:.0f} megapixels; at most "
            f"{MAX_PIXELS // 10**6} (JPEG files: {MAX_JPEG_PIXELS // 10**6}) can be read, "
            "so scale it down first"
        )
    if min(width, height) < MIN_SIDE:
        raise PhotoError(
            f"{name} has {width} x {height} px; each side needs at least {MIN_SIDE}, "
            "and a face at least 128 to look good"
        )


def _from_array(array: np.ndarray) -> Image.Image:
    """Return an array as an RGB, RGBA or grey image, or say what is wrong with it."""
    shape = "x".join(map(str, array.shape)) or "one number"
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        hint = "one photo at a time" if array.ndim == 4 else "height x width x 3"
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "channels last: array.transpose(1, 2, 0)"
        raise PhotoError(f"the array has shape {shape}; it must be {hint}")
    if not array.size:
        raise PhotoError(f"the array has shape {shape} and contains no pixel; give a photo")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise PhotoError(
            f"the array has shape {shape}; at most {MAX_PIXELS // 10**6} megapixels can be read"
        )
    if array.dtype.kind not in "buif":
        raise PhotoError(f"the array holds {array.dtype}; it must be uint8, uint16 or floats")
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise PhotoError("the array holds NaN or infinite values; they must be finite, in [0, 1]")
    top = {"b": 1, "f": 1}.get(array.dtype.kind, 65535 if array.dtype == np.uint16 else 255)
    if low < 0 or high > top:
        raise PhotoError(
            f"the {array.dtype} array holds values from {low:g} to {high:g}; it must be "
            f"in [0, {top}]" + ("; for [-1, 1] give (array + 1) / 2" if low < 0 else "")
        )
    return Image.fromarray(np.ascontiguousarray(_to_bytes(array, top)))


def _to_bytes(values: np.ndarray, top: float) -> np.ndarray:
    """Return numbers in [0, top] as bytes, a few rows at a time: doubles need much memory."""
    if values.dtype == np.uint8 and top == 255:
        return values
    out = np.empty(values.shape, np.uint8)
    step = max(1, BAND // values[0].size)
    for row in range(0, len(values), step):
        part = values[row : row + step].astype(np.float64)
        out[row : row + step] = np.rint(part * (255 / top))
    return out


def _in_bands(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Return a picture of any mode as RGB of at most `MAX_KEPT` pixels.

    It is worked on in bands of some rows, because a picture may have 80 megapixels and take ten
    times its memory on the way; far too large ones are reduced in each band, as JPEGs are while
    they are decoded.
    """
    kept = kept_size(image.size)
    if kept == image.size and image.mode == "RGB" and not COLOUR_INFO & image.info.keys():
        whole = image.copy()  # nothing is to be done, so nothing takes memory on the way
        whole.info = {}
        return whole
    factor = max(1, image.width // kept[0])
    width, height = (-(-side // factor) for side in image.size)
    top = _grey_top(image) if image.mode.startswith("I") or image.mode == "F" else 0.0
    out = Image.new("RGB", (width, height))
    for row, band in _bands(image, factor):
        part = _to_rgb(band, top, background)
        out.paste(part.reduce(factor) if factor > 1 else part, (0, row // factor))
    if width * height > MAX_KEPT:
        out = out.resize(kept, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return out


def _bands(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield bands of a picture with their first rows, which are multiples of `factor`."""
    rows = max(1, BAND // (image.width * factor)) * factor
    for row in range(0, image.height, rows):
        yield row, image.crop((0, row, image.width, min(row + rows, image.height)))


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """Return how a picture is to be turned, as its camera says; None for not at all."""
    turn = None
    with contextlib.suppress(Exception):  # a damaged EXIF block does not spoil the picture
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return turn


def _upright(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image, top: float, background: tuple[int, int, int]) -> Image.Image:
    """Return a decoded picture of any mode as 8-bit RGB in sRGB; `top` is white in grey ones."""
    if top:
        image = Image.fromarray(_to_bytes(np.asarray(image), top))
    if image.mode in ("CMYK", "RGB") and image.info.get("icc_profile"):
        image = _to_srgb(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, (*background, 255))
        image = Image.alpha_composite(below, image)
    return image.convert("RGB") if image.mode != "RGB" else image


def _grey_top(image: Image.Image) -> float:
    """Return which number is white in a 16-bit, 32-bit or float grey picture.

    Raises:
        PhotoError: If it holds numbers that no picture has.
    """
    ends = [(values.min(), values.max()) for _, band in _bands(image)
            for values in (np.asarray(band),)]  # fmt: skip
    low, high = np.min(ends), np.max(ends)  # NaN if any is
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 65535:
        raise PhotoError(
            f"the picture holds grey values from {low:g} to {high:g}; they must lie in "
            "[0, 1], [0, 255] or [0, 65535]; save it as an 8-bit PNG"
        )
    if image.mode.startswith("I;16"):
        return 65535.0
    return 1.0 if image.mode == "F" and high <= 1 else 255.0 if high <= 255 else 65535.0


def _to_srgb(image: Image.Image) -> Image.Image:
    """Apply a camera's colour profile; phones save wide colours that look dull without it."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        if "srgb" in ImageCms.getProfileDescription(profile).lower():
            return image
        converted = ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # a broken profile: the plain colours are the best guess
    if converted is None:
        return image
    converted.info.pop("icc_profile", None)
    return converted
