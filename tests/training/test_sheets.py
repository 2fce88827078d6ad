"""Contact sheets: where images and labels land."""

import pytest
import torch

from training.sheets import LARGEST, contact_sheet, save_sheet


def test_sheet_has_room_for_labels_and_keeps_colours():
    images = torch.stack([torch.full((3, 8, 8), value) for value in (-1.0, 0.0, 1.0)])
    sheet = contact_sheet(images, 2, gap=2)
    assert sheet.size == (18, 18)
    assert sheet.getpixel((0, 0)) == (0, 0, 0) and sheet.getpixel((0, 10)) == (255, 255, 255)
    labelled = contact_sheet(images, 2, ["one"], ["row"])
    assert labelled.width > sheet.width and labelled.height > sheet.height


def test_sheet_of_nothing_is_refused():
    with pytest.raises(ValueError, match="needs images"):
        contact_sheet([], 2)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_sheet_is_written_whole(tmp_path, name):
    save_sheet(contact_sheet(torch.zeros(1, 3, 8, 8), 1), tmp_path / "deep" / name)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [name]


def test_long_labels_get_lines_of_their_own():
    pictures = torch.zeros(2, 3, 64, 64)
    short, long = (
        contact_sheet(pictures, 2, column_labels=("before", text))
        for text in ("hair", "black curly hair, glasses and a moustache")
    )
    assert long.width == short.width
    assert long.height > short.height


def test_jpeg_is_as_small_as_asked(tmp_path):
    sheet = contact_sheet(torch.rand(16, 3, 128, 128), 4)
    assert save_sheet(sheet, tmp_path / "noise.jpg", 40_000) <= 40_000 < LARGEST
    assert save_sheet(sheet, tmp_path / "whole.jpg", 10_000_000) > LARGEST
