"""What saved pictures say of themselves."""

import io
import logging

import pytest
from PIL import Image

from faceedit.photo.provenance import Provenance, SourceType, read, save, switched_on

NOTE = Provenance(
    SourceType.EDITED, "feat", ("faceedit/feat", "faceedit/portraits-128"), 'red "hair" <b> & é\0'
)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_saved_picture_says_what_it_is(tmp_path, suffix):
    path = tmp_path / f"edited.{suffix}"
    save(Image.new("RGB", (16, 16), "red"), path, NOTE)
    note = read(path)
    assert note is not None
    assert note.source_type is SourceType.EDITED
    assert (note.method, note.models) == (NOTE.method, NOTE.models)
    assert note.software.startswith("faceedit ")
    assert note.prompt == 'red "hair" <b> & é '
    packet = path.read_bytes()
    assert b"digitalsourcetype/compositeWithTrainedAlgorithmicMedia" in packet


def test_the_pixels_of_a_png_are_untouched(tmp_path):
    picture = Image.effect_noise((32, 32), 80).convert("RGB")
    save(picture, tmp_path / "x.png", NOTE)
    assert Image.open(tmp_path / "x.png").tobytes() == picture.tobytes()


def test_what_a_photo_says_of_its_owner_is_left_behind(tmp_path):
    photo = Image.new("RGB", (16, 16))
    photo.info = {"exif": b"Exif\0\0secret", "comment": b"secret", "Author": "secret"}
    for suffix in ("png", "jpg", "webp"):
        save(photo, tmp_path / f"x.{suffix}", NOTE)
        assert b"secret" not in (tmp_path / f"x.{suffix}").read_bytes()
    assert photo.info["Author"] == "secret"


def test_the_operator_can_switch_it_off_but_not_silently(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("FACEEDIT_PROVENANCE", "Off")
    with caplog.at_level(logging.WARNING):
        save(Image.new("RGB", (8, 8)), tmp_path / "x.png", NOTE)
    assert read(tmp_path / "x.png") is None
    assert "FACEEDIT_PROVENANCE" in caplog.text
    assert switched_on({}) and not switched_on({"FACEEDIT_PROVENANCE": "0"})


@pytest.mark.parametrize(
    "packet",
    ["", "no xml", "<x:xmpmeta", "<x:xmpmeta></x:xmpmeta>", '<!DOCTYPE a [<!ENTITY b "c">]>'],
)
def test_a_strangers_note_is_none_of_ours(packet):
    picture = Image.new("RGB", (8, 8))
    picture.info = {"xmp": packet.encode()}
    assert read(picture) is None


def test_an_open_file_can_be_written():
    data = io.BytesIO()
    save(Image.new("RGB", (8, 8)), data, NOTE, format="JPEG", quality=90)
    with Image.open(data) as picture:
        assert read(picture) is not None
