"""Small files can ask for much memory, or never end: such photos are refused, or read in bands."""

import io
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import PhotoError
from faceedit.photo import load_photo
from faceedit.photo.reading import END_OF_IMAGE, START_OF_SCAN, count_scans

EOI = bytes([0xFF, END_OF_IMAGE])


def progressive(side: int, repeated: int = 0) -> bytes:
    """Return a progressive JPEG whose last scan is there again and again."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (120, 90, 60)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue().removesuffix(EOI)
    scan = data[data.rindex(bytes([0xFF, START_OF_SCAN])) :]
    return data + scan * repeated + EOI


def test_scans_are_counted_before_a_jpeg_is_decoded(tmp_path):
    buffer = io.BytesIO()
    Image.effect_noise((200, 100), 90).save(buffer, "JPEG", exif=b"Exif\0\0\xff\xda\xff\xda")
    assert count_scans(buffer.getvalue()) == 1
    assert count_scans(progressive(64)) == 10
    assert count_scans(progressive(64, 500) + b"\xff\xda" * 9) == 510  # not what follows the end


@pytest.mark.parametrize(("side", "repeated"), [(2000, 3500), (8000, 40), (9100, 0)])
def test_jpegs_that_take_too_long_to_decode_are_refused_at_once(tmp_path, side, repeated):
    (tmp_path / "a.jpg").write_bytes(progressive(side, repeated))
    begun = time.process_time()
    with pytest.raises(PhotoError, match=r"scans|megapixels"):
        load_photo(tmp_path / "a.jpg")
    assert time.process_time() - begun < 2


def test_usual_progressive_photos_are_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(progressive(3000))
    assert load_photo(tmp_path / "a.jpg").size == (3000, 3000)


def test_large_pictures_are_read_in_bands_and_look_as_before(tmp_path):
    ramp = np.linspace(0, 65535, 9000)[:, None] * np.ones((1, 1000))
    Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / "a.png")
    photo = np.asarray(load_photo(tmp_path / "a.png"))[..., 0].astype(float)
    assert photo.shape == (9000, 1000)
    assert abs(photo[:, 60] - np.linspace(0, 255, 9000)).max() < 1.5


CHILD = """
import resource, sys
from faceedit.photo.reading import load_photo
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert load_photo(sys.argv[1]).size == (7905, 6324)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_80_megapixels_of_16_bits_take_less_than_600_mb(tmp_path):
    Image.new("I;16", (10_000, 8_000), 777).save(tmp_path / "a.png", compress_level=1)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "a.png")], capture_output=True, text=True
    )
    assert int(done.stdout) < 600_000  # kB


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
    for path, what in (
        (tmp_path / "socket.jpg", "socket"),
        (tmp_path / "pipe.jpg", "pipe"),
        ("/dev/zero", "device"),
        (tmp_path, "folder"),
    ):
        with pytest.raises(PhotoError, match=f"is a {what}"):
            load_photo(path)


def test_paths_that_cannot_be_paths_are_photo_errors():
    for path in ("~nobody-of-that-name/a.jpg", "a\0b.jpg", "\ud800.jpg", "x" * 5000, ""):
        with pytest.raises(PhotoError):
            load_photo(path)
