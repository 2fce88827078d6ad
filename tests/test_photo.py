"""The photo path: what can be read, where the face is, and that pasting back leaves the rest."""

import functools
import io
import json
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw, ImageFilter

from faceedit.errors import NoFaceError, PhotoError
from faceedit.photo import (
    MAX_KEPT,
    AlignedFace,
    Framing,
    align,
    crop_quad,
    cropping,
    detect_faces,
    detection,
    face_quad,
    load_photo,
    paste_back,
)
from faceedit.photo.reading import BACKGROUND

GOLDEN = Path(__file__).parent / "golden"
SRGB = ImageCms.createProfile("sRGB")
EYES_NOSE_MOUTH = np.array([[0.41, 0.48], [0.59, 0.48], [0.49, 0.585], [0.43, 0.67], [0.57, 0.67]])


@functools.cache
def draw_face(side: int, skin: tuple[int, int, int] = (224, 172, 140)) -> Image.Image:
    """Paint a face, RGBA, that CenterFace takes for one; its points are EYES_NOSE_MOUTH * side."""
    axis = (np.arange(2 * side) + 0.5) / (2 * side)
    x, y = np.meshgrid(axis, axis)
    image, alpha = np.full((2 * side, 2 * side, 3), 150.0), np.zeros_like(x)

    def blob(at, radii, color, soft=0.15, opacity=1.0, twice=False):
        across = abs(x - 0.5) + 0.5 if twice else x
        distance = ((across - at[0]) / radii[0]) ** 2 + ((y - at[1]) / radii[1]) ** 2
        weight = np.clip((1 - distance) / soft + 0.5, 0, 1) * opacity
        image[:] = image * (1 - weight[..., None]) + np.array(color) * weight[..., None]
        alpha[:] = np.maximum(alpha, weight)

    tone, hair, pupil = np.array(skin), (60, 40, 30), (50, 35, 25)
    blob((0.5, 0.44), (0.25, 0.33), hair)
    blob((0.5, 1.12), (0.4, 0.3), (60, 80, 140))  # shirt
    blob((0.5, 0.8), (0.1, 0.16), tone * 0.7)  # neck
    blob((0.5, 0.53), (0.2, 0.275), tone * 0.78)
    blob((0.5, 0.52), (0.18, 0.25), tone, soft=0.8)
    blob((0.5, 0.45), (0.1, 0.16), tone * 1.06, soft=1.2, opacity=0.7)
    blob((0.5, 0.27), (0.2, 0.09), hair)
    blob((0.59, 0.475), (0.06, 0.04), tone * 0.75, soft=1, twice=True)  # eyes
    blob((0.59, 0.437), (0.055, 0.012), hair, soft=0.6, twice=True)
    blob((0.59, 0.48), (0.04, 0.02), (245, 245, 245), twice=True)
    blob((0.59, 0.48), (0.019, 0.02), pupil, twice=True)
    blob((0.59, 0.464), (0.044, 0.007), pupil, soft=0.6, twice=True)
    blob((0.62, 0.58), (0.06, 0.05), tone * (1.05, 0.9, 0.88), soft=1, opacity=0.6, twice=True)
    blob((0.5, 0.53), (0.022, 0.08), tone * 1.1, soft=1.2, opacity=0.8)  # nose
    blob((0.532, 0.545), (0.012, 0.06), tone * 0.8, soft=1, opacity=0.5, twice=True)
    blob((0.5, 0.585), (0.034, 0.02), tone * 1.02, soft=0.6)
    blob((0.517, 0.598), (0.011, 0.007), tone * 0.45, soft=0.8, twice=True)
    blob((0.5, 0.607), (0.035, 0.008), tone * 0.7, soft=1, opacity=0.8)
    blob((0.5, 0.672), (0.068, 0.02), (185, 85, 85), soft=0.3)  # mouth
    blob((0.5, 0.668), (0.066, 0.005), (110, 40, 40), soft=0.6)
    blob((0.5, 0.708), (0.05, 0.012), tone * 0.75, soft=1, opacity=0.7)
    rgba = np.dstack([image.clip(0, 255), alpha * 255]).astype(np.uint8)
    return Image.fromarray(rgba).resize((side, side), Image.Resampling.LANCZOS)


def scene(
    *faces: tuple[int, int, int], size: tuple[int, int] = (640, 480), tilt: float = 0
) -> Image.Image:
    """Put drawn faces (left, top, side) before a soft background."""
    x, y = np.meshgrid(np.linspace(0, 4, size[0]), np.linspace(0, 3, size[1]))
    waves = [110 + 30 * np.sin(x + c) + 20 * np.cos(2 * y - c) for c in range(3)]
    image = Image.fromarray(np.stack(waves, axis=2).astype(np.uint8))
    for left, top, side in faces:
        image.paste(draw_face(side).convert("RGB"), (left, top), draw_face(side).getchannel("A"))
    return image.rotate(tilt, Image.Resampling.BICUBIC) if tilt else image


def rms(a: Image.Image, b: Image.Image) -> float:
    """Return the root mean square difference in levels of 255."""
    return float(np.sqrt(np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)))


# Reading


def test_load_photo_returns_rgb_images_unchanged():
    image = scene(size=(90, 60))
    assert load_photo(image).tobytes() == image.tobytes()


@pytest.mark.parametrize("as_text", [True, False])
def test_load_photo_reads_paths(tmp_path, as_text):
    path = tmp_path / "photo with ünïcode name.png"
    scene(size=(90, 60)).save(path)
    assert load_photo(str(path) if as_text else path).tobytes() == scene(size=(90, 60)).tobytes()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "bmp", "gif"])
def test_load_photo_reads_every_common_format(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    scene(size=(90, 60)).save(path)
    photo = load_photo(path)
    assert (photo.mode, photo.size) == ("RGB", (90, 60))
    assert rms(photo, scene(size=(90, 60))) < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_load_photo_turns_the_photo_as_the_camera_says(tmp_path, orientation):
    upright = scene((10, 10, 64), size=(120, 80))
    stored = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    assert load_photo(tmp_path / "turned.png").tobytes() == upright.tobytes()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_load_photo_survives_a_damaged_exif_block(tmp_path):
    scene(size=(90, 60)).save(tmp_path / "a.jpg", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert load_photo(tmp_path / "a.jpg").size == (90, 60)


@pytest.mark.parametrize("profile", [b"garbage", ImageCms.ImageCmsProfile(SRGB).tobytes()])
def test_load_photo_survives_colour_profiles(tmp_path, profile):
    scene(size=(90, 60)).save(tmp_path / "a.png", icc_profile=profile)
    assert load_photo(tmp_path / "a.png").tobytes() == scene(size=(90, 60)).tobytes()


def swapped_primaries() -> bytes:
    """A profile by which red is blue and blue is red: sRGB's, with two of its entries renamed."""
    data = bytearray(ImageCms.ImageCmsProfile(SRGB).tobytes())
    count = int.from_bytes(data[128:132], "big")
    rows = {bytes(data[k : k + 4]): k for k in range(132, 132 + 12 * count, 12)}
    for old, new in ((b"rXYZ", b"bXYZ"), (b"bXYZ", b"rXYZ")):
        data[rows[old] : rows[old] + 4] = new
    for name in ("sRGB", "sRGB".encode("utf-16-be").decode("latin1")):
        data = data.replace(name.encode("latin1"), b"x" * len(name))
    return bytes(data)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_load_photo_shows_the_colours_that_the_cameras_profile_means(tmp_path, suffix):
    path = tmp_path / f"wide.{suffix}"
    Image.new("RGB", (40, 40), (250, 120, 10)).save(path, icc_profile=swapped_primaries())
    found = load_photo(path).getpixel((20, 20))
    assert found == pytest.approx((10, 120, 250), abs=4)


def test_load_photo_drops_what_the_camera_wrote_and_leaves_its_argument_alone():
    image = scene(size=(5000, 60))
    image.info["icc_profile"] = b"garbage"
    photo = load_photo(image)
    assert photo.info == {}
    assert image.info == {"icc_profile": b"garbage"}
    assert image.size == (5000, 60)


def test_load_photo_lays_transparency_over_grey():
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 255))
    image.paste((0, 255, 0, 0), (0, 0, 20, 40))
    photo = load_photo(image)
    assert photo.getpixel((5, 5)) == BACKGROUND
    assert photo.getpixel((30, 5)) == (255, 0, 0)


def test_load_photo_lays_a_transparent_palette_colour_over_grey(tmp_path):
    image = Image.new("P", (40, 40), 1)
    image.putpalette([0, 0, 0, 200, 10, 20])
    image.paste(0, (0, 0, 20, 40))
    image.save(tmp_path / "palette.png", transparency=0)
    photo = load_photo(tmp_path / "palette.png")
    assert photo.getpixel((5, 5)) == BACKGROUND
    assert photo.getpixel((30, 5)) == (200, 10, 20)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "CMYK", "HSV", "YCbCr", "RGBX"])
def test_load_photo_reads_every_mode(mode):
    photo = load_photo(
        scene(size=(90, 60)).convert("RGB").convert("L").convert("RGB").convert(mode)
    )
    assert (photo.mode, photo.size) == ("RGB", (90, 60))
    assert np.asarray(photo).std() > 5


def test_load_photo_scales_16_bit_grey():
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    buffer = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(buffer, "PNG")
    buffer.seek(0)
    photo = np.asarray(load_photo(Image.open(buffer)))
    assert abs(photo[..., 0] - values / 257).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "top"), [(np.uint8, 255), (np.int64, 255), (np.uint16, 65535), (np.float32, 1)]
)
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_load_photo_reads_arrays(dtype, top, channels):
    ramp = np.linspace(0, 1, 40 * 50).reshape(40, 50)
    array = ramp if channels is None else np.repeat(ramp[..., None], channels, axis=2)
    photo = np.asarray(load_photo((array * top).astype(dtype)))
    assert photo.shape == (40, 50, 3)
    assert abs(photo[..., 0] - ramp * 255).max() <= 1.01


def test_load_photo_reads_alpha_from_arrays():
    array = np.zeros((40, 40, 4), np.uint8)
    assert load_photo(array).getpixel((3, 3)) == BACKGROUND


def test_load_photo_scales_a_huge_photo_down(tmp_path):
    Image.new("RGB", (12_000, 6000), (10, 90, 200)).save(tmp_path / "huge.png")
    photo = load_photo(tmp_path / "huge.png")
    assert photo.size == (10_000, 5000)
    assert photo.width * photo.height <= MAX_KEPT


@pytest.mark.parametrize("size", [(6000, 4000), (12_000, 1000)])
def test_photos_of_24_megapixels_and_wide_ones_keep_every_pixel(tmp_path, size):
    Image.new("RGB", size, (10, 90, 200)).save(tmp_path / "large.jpg")
    assert load_photo(tmp_path / "large.jpg").size == size


def test_load_photo_reduces_a_40000_px_jpeg_while_it_decodes(tmp_path):
    Image.new("RGB", (40_000, 2_500), (10, 90, 200)).save(tmp_path / "huge.jpg")
    start = time.perf_counter()
    photo = load_photo(tmp_path / "huge.jpg")
    assert photo.size == (20_000, 1250)  # half: the largest that a decoder makes within the limit
    assert time.perf_counter() - start < 10


def huge_png(width: int, height: int) -> bytes:
    """Return a PNG whose header promises more pixels than anyone wants to decode."""
    buffer = io.BytesIO()
    Image.new("L", (16, 16)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    scene(size=(300, 200)).save(buffer, "JPEG")
    return buffer.getvalue()


def grey_tiff() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((40, 40), np.nan, np.float32)).save(buffer, "TIFF")
    return buffer.getvalue()


BAD_FILES = {
    "empty": (b"", "empty"),
    "text called png": (b"hello, this is not a picture\n" * 9, "text"),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", "text"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "text"),
    "heic": (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "JPEG"),
    "random bytes": (bytes(range(256)) * 4, "not a picture"),
    "truncated jpeg": (jpeg()[: len(jpeg()) // 2], "damaged"),
    "header of a jpeg": (jpeg()[:40], "not a picture"),
    "truncated png": (huge_png(200, 200), "damaged"),
    "40,000 px png": (huge_png(40_000, 40_000), "megapixels"),
    "14,000 px png": (huge_png(12_000, 9_000), "megapixels"),
    "endless png": (huge_png(2**31 - 1, 2**31 - 1), "picture|megapixels"),
    "thin": (huge_png(5000, 3), "16"),
    "nan tiff": (grey_tiff(), "grey values"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", BAD_FILES)
def test_load_photo_says_what_is_wrong_with_a_file(tmp_path, name):
    data, words = BAD_FILES[name]
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with pytest.raises(PhotoError, match=words) as caught:
        load_photo(path)
    assert "photo.png" in str(caught.value) or "picture" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_load_photo_says_that_a_40000_px_jpeg_is_too_large(tmp_path):
    data = bytearray(jpeg())
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = (40_000).to_bytes(2, "big") * 2
    (tmp_path / "huge.jpg").write_bytes(data)
    with pytest.raises(PhotoError, match="40000 x 40000 px = 1600 megapixels"):
        load_photo(tmp_path / "huge.jpg")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("no/such/photo.jpg", "no file"),
        ("https://example.com/face.jpg", "web address"),
        ("bad\0name.jpg", "cannot be read"),
        ("", "folder"),
        (None, "NoneType"),
        (3, "int"),
        ([[1, 2]], "list"),
        (b"bytes", "bytes"),
        (np.full((40, 40, 3), np.nan), "NaN"),
        (np.full((40, 40, 3), np.inf), "NaN or infinite"),
        (np.full((40, 40, 3), -1.0), r"\[-1, 1\]"),
        (np.full((40, 40, 3), 255.0), r"\[0, 1\]"),
        (np.full((40, 40, 3), 999), r"\[0, 255\]"),
        (np.zeros((3, 40, 50)), "channels last"),
        (np.zeros((2, 40, 50, 3)), "one photo at a time"),
        (np.zeros((40, 50, 2)), "height x width x 3"),
        (np.zeros(40), "height x width x 3"),
        (np.array(3.0), "height x width x 3"),
        (np.zeros((0, 40, 3)), "no pixel"),
        (np.zeros((40, 40, 3), complex), "complex"),
        (np.full((40, 40, 3), "x"), "holds"),
        (np.full((40, 40, 3), None), "object"),
        (np.zeros((4, 4, 3)), "at least 16"),
    ],
)
def test_load_photo_says_what_is_wrong_with_what_it_was_given(given, words):
    with pytest.raises(PhotoError, match=words):
        load_photo(given)


def test_load_photo_reports_a_closed_image(tmp_path):
    scene(size=(90, 60)).save(tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    image.close()
    with pytest.raises(PhotoError):
        load_photo(image)


# Finding


def test_detect_faces_finds_the_points_of_a_face():
    (face,) = detect_faces(scene((200, 80, 320)))
    assert abs(face.landmarks - (EYES_NOSE_MOUTH * 320 + (200, 80))).max() < 0.04 * 320
    left, top, right, bottom = face.box
    assert 230 < left < right < 490
    assert 100 < top < bottom < 400


def test_detect_faces_sorts_by_size():
    faces = detect_faces(scene((20, 200, 200), (300, 100, 320)))
    assert [round(face.landmarks[2, 0], -2) for face in faces] == [500, 100]


@pytest.mark.parametrize("degrees", [-40, 25, 90, 180, 270])
def test_detect_faces_finds_tilted_and_turned_faces(degrees):
    photo = scene((170, 90, 300), size=(640, 480))
    turned = photo.rotate(degrees, Image.Resampling.BICUBIC, expand=degrees % 90 == 0)
    (face,) = detect_faces(turned)
    eyes = face.landmarks[1] - face.landmarks[0]
    tilt = np.degrees(np.arctan2(-eyes[1], eyes[0]))
    assert abs((tilt - degrees + 180) % 360 - 180) < 8


def test_the_surest_of_several_looks_wins_and_a_sure_one_ends_the_search(monkeypatch):
    """What a look at 640, 320, 1280 px and so on is sure of; each face says which look it is."""
    looks = []

    def scores(given):
        def look(photo, side, turns, threshold):
            looks.append((side, turns))
            score = given.get((side, turns))
            box = (float(side), 0.0, side + 50.0, 50.0)
            return [] if score is None else [detection.DetectedFace(box, np.zeros((5, 2)), score)]

        return look

    monkeypatch.setattr(detection, "_refine", lambda photo, face: face)
    unsure = {(640, 0): 0.6, (320, 0): 0.7, (640, 3): 0.65}
    monkeypatch.setattr(detection, "_run_detector", scores(unsure))
    assert [face.score for face in detect_faces(scene())] == [0.7]
    assert len(looks) == 2 + 3 * 2  # the photo is no larger than 640 px, so 1280 shows no more
    looks.clear()
    monkeypatch.setattr(detection, "_run_detector", scores({**unsure, (320, 0): 0.8}))
    assert [face.score for face in detect_faces(scene())] == [0.8]
    assert looks == [(640, 0), (320, 0)]


def five(ratio: float = 0.95, lean: float = 0.0, degrees: float = 0.0) -> np.ndarray:
    """Eyes, nose and mouth of a face whose eyes are 100 px apart, turned by degrees.

    Args:
        ratio: Distance from the eyes to the mouth, over that of the eyes.
        lean: Cosine between the two.
        degrees: Clockwise.
    """
    mouth = 100 * ratio * np.array([lean, np.sqrt(1 - lean**2)])
    points = np.array(
        [(-50, 0), (50, 0), mouth / 2, mouth - np.array([20, 0]), mouth + np.array([20, 0])]
    )
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return 500 + points @ matrix.T


@pytest.mark.parametrize(
    ("shape", "upright"),
    [
        ({}, True),
        *(({"degrees": d}, abs(d) < 50) for d in (-50.5, -49.5, 49.5, 50.5, 180)),
        *(({"ratio": r}, 0.5 < r < 2.2) for r in (0.49, 0.51, 2.19, 2.21)),
        *(({"lean": x}, abs(x) < 0.6) for x in (-0.61, -0.59, 0.59, 0.61)),
    ],
)
def test_points_of_an_upright_face_are_told_from_others(shape, upright):
    assert detection._is_upright(five(**shape)) == upright
    assert not detection._is_upright(500 + (five(**shape) - 500) / 200)  # eyes half a pixel apart


@pytest.mark.parametrize(("side", "found"), [(19.9, False), (20.1, True)])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_faces_of_twenty_pixels_are_found_where_they_are_in_the_photo(
    monkeypatch, turns, side, found
):
    """The detector sees the photo turned, at half its size, within a margin of an eighth."""
    seen = []

    def call(pixels, threshold):
        seen.append(pixels.shape)
        row = [80 + 60, 80 + 40, 80 + 60 + side / 2, 80 + 40 + side / 2, 0.9]
        points = 80 + 60 + 0.1 * (five() - 500)
        return np.array([row]), points[None]

    monkeypatch.setattr(detection, "_call_detector", call)
    faces = detection._run_detector(Image.new("RGB", (1280, 640)), 640, turns, 0.5)
    assert seen == [(480, 800, 3) if turns % 2 == 0 else (800, 480, 3)]
    assert len(faces) == found
    if found:
        corner = {0: (120, 80), 1: (1200, 120), 2: (1160, 560), 3: (80, 520)}[turns]
        left, top, right, bottom = faces[0].box
        near = {0: (left, top), 1: (right, top), 2: (right, bottom), 3: (left, bottom)}[turns]
        assert near == pytest.approx(corner)
        assert faces[0].extent == pytest.approx(side) and faces[0].score == 0.9


def faces_at(*places):
    """Return what a look found: score and extent, px, each."""
    boxes = [(10.0, 10.0, 10.0 + side, 10.0 + side) for _, side in places]
    pairs = zip(places, boxes, strict=True)
    return [detection.DetectedFace(box, np.zeros((5, 2)), score) for (score, _), box in pairs]


@pytest.mark.parametrize(
    ("small", "looks"),
    [
        (faces_at((0.9, 100)), 1),  # one face, sure and large: that is it
        (faces_at((0.7, 100)), 2),  # not sure
        (faces_at((0.9, 50)), 2),  # small: others of its size may have been missed
        (faces_at((0.9, 100), (0.6, 100)), 2),  # several
        ([], 2),
    ],
)
def test_one_small_look_is_enough_for_one_large_face_only(small, looks, monkeypatch):
    large, seen = faces_at((0.95, 90), (0.9, 80)), []

    def look(photo, side, turns, threshold):
        seen.append((side, turns))
        return small if side == 320 else large

    monkeypatch.setattr(detection, "_refine", lambda photo, face: face)
    monkeypatch.setattr(detection, "_run_detector", look)
    photo = Image.new("RGB", (600, 400))
    assert detect_faces(photo, every=False) == (small if looks == 1 else large)
    assert seen == [(320, 0), (640, 0)][:looks]
    seen.clear()
    assert detect_faces(photo) == large and seen == [(640, 0)]


def test_detect_faces_finds_none_where_there_is_none():
    noise = np.random.default_rng(0).random((300, 400, 3))
    assert detect_faces(noise) == []
    assert detect_faces(scene()) == []


# Aligning


def golden_cases() -> list[str]:
    settings = json.loads((GOLDEN / "ffhq_alignment.json").read_text())
    return [case["name"] for case in settings["parameters"]["cases"]]


def golden(case: str) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """Return a case's parameters and its recorded values."""
    settings = json.loads((GOLDEN / "ffhq_alignment.json").read_text())
    parameters = next(row for row in settings["parameters"]["cases"] if row["name"] == case)
    with np.load(GOLDEN / "ffhq_alignment.npz") as stored:
        prefix = f"{case}_"
        values = {key[len(prefix) :]: stored[key] for key in stored.files if key.startswith(prefix)}
    return parameters, values


def five_of_68(points: np.ndarray) -> np.ndarray:
    """Return eyes, nose and corners of the mouth of the 68-point scheme."""
    eyes = [points[36:42].mean(axis=0), points[42:48].mean(axis=0)]
    return np.array([*eyes, points[30], points[48], points[54]])


@pytest.mark.parametrize("case", golden_cases())
def test_face_quad_matches_official_numbers(case):
    _, values = golden(case)
    quad = face_quad(five_of_68(values["landmarks__val"].astype(float)))
    assert abs(quad - values["quad__val"].reshape(4, 2)).max() < 1e-6
    assert abs(np.linalg.norm(quad[3] - quad[0]) - values["qsize__val"]) < 1e-6


@pytest.mark.parametrize("case", golden_cases())
def test_crop_quad_matches_official_pixels(case):
    parameters, values = golden(case)
    height, width, shrink = parameters["H"], parameters["W"], max(parameters["shrink"], 1)
    x, y = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    channels = [
        127.5
        + 80 * np.sin((x * (c + 1) + 2 * y) / (23 + 7 * c))
        + 40 * np.cos((3 * y - x) / (31 + 5 * c))
        for c in range(3)
    ]
    photo = Image.fromarray(np.floor(np.stack(channels, axis=2)).astype(np.uint8))
    # The official code counts from pixel centres and adds the half pixel after it has shrunk the
    # photo; ours counts from corners, so that a shrunk photo is not shifted.
    quad = (values["quad__val"].reshape(4, 2) / shrink + 0.5) * shrink
    crop = np.asarray(crop_quad(photo, quad, 256, transform_size=256))
    errors = abs(crop.flatten()[values["pixels__idx"]].astype(int) - values["pixels__val"])
    assert np.mean(errors <= 2) >= 0.99


@pytest.mark.parametrize(
    ("corner", "low", "high"),
    [
        ((10.0, 20.3), (9, 19), (30, 40)),
        ((10.5, 20.5), (10, 20), (30, 40)),
        ((10.6, 20.6), (10, 20), (31, 41)),
    ],
)
def test_bounds_of_a_crop_are_counted_from_the_middle_of_pixels(corner, low, high):
    quad = np.array([(0, 0), (0, 20), (20, 20), (20, 0)]) + corner
    bounds = cropping._bounds(quad)
    assert [tuple(bound.tolist()) for bound in bounds] == [low, high]


def test_align_puts_eyes_and_mouth_where_ffhq_has_them():
    aligned = align(scene((200, 80, 320), tilt=15), size=256)
    (face,) = detect_faces(aligned.image)
    assert abs(face.landmarks[:2].mean(axis=0) - (128, 116)).max() < 10
    assert abs(face.landmarks[1, 1] - face.landmarks[0, 1]) < 8


def test_align_with_the_world_framing_shows_more():
    photo = scene((200, 80, 320))
    assert align(photo, framing=Framing.WORLD).side > 1.15 * align(photo).side


@pytest.mark.slow
def test_world_framing_puts_a_face_where_the_world_has_it():
    from faceedit.world import sample_attributes
    from faceedit.world.render import render

    pixels = render(sample_attributes(8, seed=3), size=128).image.permute(0, 2, 3, 1).numpy()
    faces = [detect_faces((pixel + 1) / 2) for pixel in pixels.clip(-1, 1)]
    quads = [face_quad(face[0].landmarks, Framing.WORLD) / 128 for face in faces if face]
    assert len(quads) >= 7
    corners = [[0, 0], [0, 1], [1, 1], [1, 0]]
    assert abs(np.median(quads, axis=0) - corners).max() < 0.06


def test_align_takes_the_dominant_face():
    photo = scene((20, 250, 180), (240, 60, 380))
    aligned = align(photo, size=64)
    assert aligned.faces == 2
    assert aligned.face.landmarks[2, 0] > 300


def test_align_asks_which_of_several_faces_is_meant():
    photo = scene((20, 140, 280), (340, 140, 280))
    with pytest.raises(PhotoError, match=r"2 faces.*face_index.*0: .* px large at .*1: "):
        align(photo)
    centres = {align(photo, index, 64).face.landmarks[2, 0] > 320 for index in (0, 1)}
    assert centres == {True, False}


@pytest.mark.parametrize("index", [1, -1, 2.5, True, "0"])
def test_align_refuses_a_face_index_that_is_not_there(index):
    with pytest.raises(NoFaceError, match="face_index is"):
        align(scene((200, 80, 320)), index)


def test_align_without_a_face_says_what_to_do():
    with pytest.raises(NoFaceError, match="landmarks"):
        align(scene())


def test_align_takes_a_small_square_drawing_as_it_is():
    drawing = scene(size=(128, 128))
    aligned = align(drawing, size=128)
    assert aligned.faces == 0
    assert aligned.face is None
    assert aligned.image.tobytes() == drawing.tobytes()
    with pytest.raises(NoFaceError):
        align(drawing, aligned=False)


def test_align_takes_the_middle_if_told_that_the_photo_is_aligned():
    photo = scene(size=(640, 480))
    aligned = align(photo, size=480, aligned=True)
    assert aligned.image.tobytes() == photo.crop((80, 0, 560, 480)).tobytes()
    assert aligned.side == 480


def test_align_leaves_an_aligned_picture_where_it_is():
    crop = align(scene((200, 80, 320)), size=128, framing=Framing.WORLD).image
    again = align(crop, size=128, framing=Framing.WORLD)
    assert again.image.tobytes() == crop.tobytes()
    assert again.faces == 1


def test_align_cuts_out_a_face_that_is_off_the_frame_of_a_small_square_picture():
    picture = scene((10, 10, 150), size=(250, 250))
    aligned = align(picture, size=128, framing=Framing.WORLD)
    assert aligned.faces == 1
    assert aligned.side < 200
    assert (
        abs(aligned.face.landmarks.mean(axis=0) - (EYES_NOSE_MOUTH * 150 + 10).mean(0)).max() < 12
    )
    centre = aligned.quad.mean(axis=0)
    assert abs(centre - (85, 85)).max() < 25  # and not the picture's, 125


def test_align_takes_points_by_hand_without_a_detector(monkeypatch):
    monkeypatch.setattr(detection, "_detector", None)
    points = EYES_NOSE_MOUTH * 320 + (200, 80)
    aligned = align(scene((200, 80, 320)), size=64, landmarks=points.tolist())
    assert abs(aligned.quad - face_quad(points)).max() == 0


def test_align_takes_a_box_by_hand():
    photo = scene((200, 80, 320))
    (face,) = detect_faces(photo)
    assert abs(align(photo, box=face.box).quad - align(photo).quad).max() < 0.1 * 320


@pytest.mark.parametrize(
    "points",
    [
        [[1, 2]] * 4,
        [[1, 2]] * 5,
        [[np.nan, 1]] * 5,
        "eyes",
        [["a", "b"]] * 5,
        [[-50, 10], [90, 10], [50, 50], [20, 80], [80, 80]],
        [[10, 10], [9000, 10], [50, 50], [20, 80], [80, 80]],
    ],
)
def test_align_refuses_points_that_cannot_be_a_face(points):
    with pytest.raises(PhotoError, match="landmarks"):
        align(scene(), landmarks=points)


@pytest.mark.parametrize(
    "box", [(1, 2, 3), (10, 10, 12, 300), (300, 10, 10, 300), (0, 0, 9e9, 9), "box", (np.nan,) * 4]
)
def test_align_refuses_a_box_that_cannot_hold_a_face(box):
    with pytest.raises(PhotoError, match="box"):
        align(scene(), box=box)


def test_align_extends_a_face_at_the_edge_of_the_photo():
    photo = scene((-60, -60, 320), size=(400, 400))
    aligned = align(photo, size=128, framing=Framing.WORLD)
    assert aligned.quad.min() < 0
    assert np.asarray(aligned.image).std(axis=(0, 1)).min() > 5


# Pasting back


def tilted_points(tilt: float, centre: tuple[float, float], scale: float) -> np.ndarray:
    turn = np.radians(tilt)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (EYES_NOSE_MOUTH - (0.5, 0.57)) @ rotation * scale + centre


@pytest.mark.parametrize("tilt", [0, 30, -75, 170])
@pytest.mark.parametrize("size", [64, 256, 512])
def test_paste_back_of_the_unchanged_crop_gives_the_photo(tilt, size):
    photo = scene((170, 90, 300))
    aligned = align(photo, size=size, landmarks=tilted_points(tilt, (320, 250), 240))
    back = paste_back(photo, aligned, aligned.image)
    assert rms(back, photo) < (6 if size == 64 else 2)
    if size == 512:
        inside = np.abs(np.asarray(back, int) - np.asarray(photo, int))
        assert np.mean(inside <= 8) > 0.99


@pytest.mark.parametrize("centre", [(320, 250), (30, 40), (600, 450)])
def test_paste_back_changes_nothing_outside_the_crop(centre):
    photo = scene((170, 90, 300))
    aligned = align(photo, size=128, landmarks=tilted_points(20, centre, 120))
    back = np.asarray(paste_back(photo, aligned, Image.new("RGB", (128, 128), "red")))
    canvas = Image.new("L", photo.size)
    ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in aligned.quad], fill=255)
    outside = np.asarray(canvas.filter(ImageFilter.MaxFilter(5))) == 0
    assert (back[outside] == np.asarray(photo)[outside]).all()
    x, y = (int(v) for v in aligned.quad.mean(axis=0))
    if 0 <= x < photo.width and 0 <= y < photo.height:
        assert tuple(back[y, x]) == (255, 0, 0)


def test_paste_back_puts_a_mark_where_it_was():
    photo = scene()
    aligned = align(photo, size=256, landmarks=tilted_points(35, (300, 240), 200))
    edited = aligned.image.copy()
    ImageDraw.Draw(edited).ellipse([180, 90, 200, 110], fill=(255, 0, 0))
    back = np.asarray(paste_back(photo, aligned, edited), int)
    red = (back[..., 0] > 220) & (back[..., 1] < 60)
    found = np.argwhere(red).mean(axis=0)[::-1] + 0.5
    across, down = aligned.quad[3] - aligned.quad[0], aligned.quad[1] - aligned.quad[0]
    wanted = aligned.quad[0] + (190.5 * across + 100.5 * down) / 256
    assert abs(found - wanted).max() < 1


def test_paste_back_fills_a_picture_that_was_aligned_already():
    drawing = scene(size=(128, 128))
    aligned = align(drawing, size=128, aligned=True)
    edited = draw_face(128).convert("RGB")
    assert paste_back(drawing, aligned, edited).tobytes() == edited.tobytes()


def test_paste_back_respects_a_mask():
    photo = scene()
    aligned = align(photo, size=128, aligned=True)
    mask = Image.new("L", (128, 128))
    mask.paste(255, (0, 64, 128, 128))
    back = paste_back(photo, aligned, Image.new("RGB", (128, 128), "red"), mask=mask)
    top = (0, 0, photo.width, photo.height // 2 - 8)
    assert back.crop(top).tobytes() == photo.crop(top).tobytes()
    assert back.getpixel((320, 400)) == (255, 0, 0)


def test_paste_back_outside_the_photo_changes_nothing():
    photo = scene()
    quad = np.array([[-90, -90], [-90, -10], [-10, -10], [-10, -90]], float)
    aligned = AlignedFace(draw_face(64), quad, 64)
    assert paste_back(photo, aligned, draw_face(64)).tobytes() == photo.tobytes()


def test_paste_back_refuses_an_edit_that_is_not_square():
    aligned = align(scene(), size=64, aligned=True)
    with pytest.raises(PhotoError, match="square"):
        paste_back(scene(), aligned, Image.new("RGB", (64, 32)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF picture that is damaged"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC picture or a video"),
        (b"\0" * 4000, "nothing but zeros"),
        (b"8BPS\0\x01" + b"\0" * 40, "Photoshop document"),
        (b"hello, no picture", "but text"),
    ],
)
def test_a_file_is_called_what_it_is(tmp_path, content, words):
    (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(PhotoError, match=words):
        load_photo(tmp_path / "photo.jpg")


def test_a_data_url_is_not_printed():
    with pytest.raises(PhotoError, match="data URL") as caught:
        load_photo("data:image/png;base64," + "A" * 9000)
    assert len(str(caught.value)) < 100
