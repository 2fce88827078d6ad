"""Drawn masks: what may change, whatever the file or the numbers look like."""

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import RequestError
from faceedit.photo import keep_outside, load_mask

SHAPE = np.zeros((40, 48), dtype=bool)
SHAPE[10:30, 12:36] = True
WANTED = SHAPE.astype(np.uint8) * 255


def transparent(mode: str) -> Image.Image:
    """White where a change is allowed, transparent elsewhere."""
    drawn = np.zeros((*SHAPE.shape, 4), dtype=np.uint8)
    drawn[SHAPE] = 255
    drawn[~SHAPE, :3] = 255  # white, too, but for its transparency
    return Image.fromarray(drawn).convert(mode)


def palette() -> Image.Image:
    image = Image.fromarray(SHAPE.astype(np.uint8), "P")
    image.putpalette([255, 255, 255] * 2)
    image.info["transparency"] = 0
    return image


@pytest.mark.parametrize(
    "mask",
    [
        SHAPE,
        SHAPE.astype(np.uint8),
        SHAPE.astype(np.int64),
        SHAPE.astype(np.uint16),
        SHAPE.astype(np.float32),
        WANTED,
        np.repeat(WANTED[:, :, None], 3, axis=2),
        Image.fromarray(SHAPE),
        Image.fromarray(SHAPE.astype(np.uint8)),
        Image.fromarray(SHAPE.astype(np.int32)),
        transparent("RGBA"),
        transparent("LA"),
        palette(),
    ],
    ids=lambda mask: str(getattr(mask, "dtype", None) or mask.mode),
)
def test_white_may_change_and_black_and_transparent_may_not(mask, tmp_path):
    assert np.array_equal(np.asarray(load_mask(mask)), WANTED)
    if isinstance(mask, Image.Image) and mask.mode != "I":
        mask.save(tmp_path / "mask.png")
        assert np.array_equal(np.asarray(load_mask(tmp_path / "mask.png")), WANTED)


def test_half_transparent_is_half_allowed():
    half = np.full((20, 20, 4), 255, dtype=np.uint8)
    half[:, :, 3] = 128
    assert abs(int(np.asarray(load_mask(half)).mean()) - 128) <= 1


@pytest.mark.parametrize("nothing", [SHAPE & False, Image.new("RGBA", (40, 40), (255,) * 3 + (0,))])
def test_a_mask_that_allows_nothing_is_refused(nothing):
    with pytest.raises(RequestError, match=r"allows no change.*paint white"):
        load_mask(nothing)


def test_a_coloured_scribble_is_refused():
    scribble = Image.new("RGB", (40, 40), "black")
    scribble.paste("red", (5, 5, 20, 20))
    with pytest.raises(RequestError, match=r"coloured.*paint white"):
        load_mask(scribble)


def test_a_folder_or_no_file_is_said_once(tmp_path):
    for path in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(RequestError, match="the mask cannot be used") as caught:
            load_mask(path)
        assert str(caught.value).count(str(path)) == 1


def test_nothing_outside_a_mask_changes():
    photo = Image.new("RGB", (48, 40), "green")
    edited = Image.new("RGB", (48, 40), "red")
    kept = np.asarray(keep_outside(photo, edited, load_mask(transparent("RGBA"))))
    assert (kept[~SHAPE] == np.asarray(photo)[~SHAPE]).all()
    assert (kept[SHAPE] == np.asarray(edited)[SHAPE]).all()
