"""What is carried on to a photograph changes what it should, exactly, and leaves the rest alone."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from faceedit.transfer import Frame, Layers, Readers, View, carry, frame_around, read_scene
from faceedit.transfer.apply import apply
from faceedit.transfer.carry import read_drawn
from faceedit.transfer.layers import carried_points
from faceedit.transfer.matte import guided_matte, unmixed
from faceedit.transfer.recolour import recolour

QUAD = np.array([[20, 20], [20, 148], [148, 148], [148, 20]], float)


def turned(quad: np.ndarray, degrees: float) -> np.ndarray:
    """Return a square turned around its middle."""
    angle, middle = np.deg2rad(degrees), quad.mean(0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (quad - middle) @ turn.T + middle


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def bump(frame: Frame, value: float) -> np.ndarray:
    """Return a field that is `value` in the middle of the square and 0 far from it."""
    left, top, side = frame.square
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    distance = np.hypot(x - left - side / 2, y - top - side / 2) / side
    return (value * np.clip(1 - 3 * distance, 0, 1)).astype(np.float32)


def disc(size: int = 128) -> np.ndarray:
    """Return which pixels are "hair" in these tests: a disc in the upper half."""
    y, x = np.mgrid[:size, :size] + 0.5
    return np.clip(size * 0.22 - np.hypot(x - size / 2, y - size * 0.4) + 0.5, 0, 1)


def face(colour: tuple[int, int, int], size: int = 128) -> np.ndarray:
    """Return a drawn face: a disc of "hair" on grey."""
    part = disc(size)[..., None]
    return np.rint(128 * (1 - part) + np.array(colour) * part).astype(np.uint8)


def parse(picture: np.ndarray) -> dict[str, np.ndarray]:
    hair = disc(picture.shape[0]).astype(np.float32)
    return {"hair": hair, "background": 1 - hair}


READERS = Readers(parse)


def hairy(size: int = 200) -> np.ndarray:
    """Return a photograph whose disc has strands of brown, on a green wall."""
    rng = np.random.default_rng(1)
    strands = np.repeat(rng.normal(0, 14, (1, size, 1)), size, 0)
    part = np.zeros((size, size, 1), np.float32)
    part[20:148, 20:148, 0] = disc()
    hair = np.array([96, 64, 44]) + strands
    return np.clip(np.rint(part * hair + (1 - part) * (70, 150, 80)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("tilt", [0, 17, -90, 180])
def test_the_frame_shows_the_aligned_square_upright(tilt):
    frame = frame_around(turned(QUAD, tilt), (180, 200))
    left, top, side = frame.square
    corners = np.array([[0, 0], [0, side], [side, side], [side, 0]]) + np.array([left, top]) - 0.5
    back = corners @ frame.back[:, :2].T + frame.back[:, 2] + 0.5
    assert np.abs(back - turned(QUAD, tilt)).max() < 0.6


def test_layers_that_follow_one_another_are_one_layer():
    photo = np.random.default_rng(0).uniform(60, 180, (64, 64, 3)).astype(np.float32)
    photo = cv2.GaussianBlur(photo, (0, 0), 3)

    view = View(photo, {}, np.ones((64, 64), np.float32), (0, 0, 64))
    x = np.linspace(0, np.pi, 64, dtype=np.float32)
    wave = np.outer(np.sin(x), np.sin(x))
    first = Layers(gain=1 + 0.2 * np.dstack([wave] * 3), cover=photo * 0 + 200, alpha=0.5 * wave)
    second = Layers(move=np.dstack([wave, -wave]), shift=-20 * np.dstack([wave] * 3))
    together = first.then(second).on(view).image
    apart = second.on(first.on(view)).image
    assert np.abs(together - apart).max() < 1.5


def test_points_move_with_the_pixels_that_they_mark():
    x = np.linspace(0, np.pi, 80, dtype=np.float32)
    move = 4 * np.dstack([np.outer(np.sin(x), np.sin(x)), np.outer(np.sin(x), np.sin(x)) * 0.5])
    points = np.array([[40.0, 40.0], [20.0, 55.0]], np.float32)
    new = carried_points(points, move)
    at = np.rint(new).astype(int)
    came_from = new + move[at[:, 1], at[:, 0]]
    assert np.abs(came_from - points).max() < 0.3


@pytest.mark.parametrize("tilt", [0, 23])
def test_a_known_shift_is_added_to_the_photograph_and_nothing_else_is_touched(tilt):
    photo = np.clip(noise(180, 200), 40, 200)
    frame = frame_around(turned(QUAD, tilt), photo.shape[:2])
    layers = Layers(shift=np.dstack([bump(frame, 30.0)] * 3))
    image, changed = apply(photo, frame, layers)
    assert np.array_equal(image[~changed], photo[~changed])
    difference = image.astype(int) - photo
    assert abs(int(difference[84, 84].mean()) - 30) <= 2
    assert difference.min() >= 0 and changed.mean() < 0.4


def test_a_known_movement_moves_the_photograph():
    ramp = np.tile(np.arange(200, dtype=np.uint8), (180, 1))
    photo = np.dstack([ramp] * 3)
    frame = frame_around(QUAD, photo.shape[:2])
    move = np.dstack([bump(frame, 8.0) * 0, bump(frame, 0.0)])
    move[..., 0] = bump(frame, 8.0)
    image, changed = apply(photo, frame, Layers(move=move))
    expected = ramp[84, 84] + 8.0 / frame.scale
    assert abs(float(image[84, 84, 0]) - expected) <= 1
    assert np.array_equal(image[~changed], photo[~changed])


def test_layers_of_nothing_give_the_photograph():
    photo = noise(90, 120)
    frame = frame_around(QUAD / 2, photo.shape[:2])
    quiet = Layers(gain=np.ones((*frame.shape, 3), np.float32), notes=("said",))
    image, changed = apply(photo, frame, quiet)
    assert np.array_equal(image, photo) and not changed.any()


def test_a_region_takes_the_colour_that_the_pair_took_and_keeps_its_strands():
    photo = hairy()
    scene = read_scene(photo, QUAD, READERS)
    result = carry(scene, face((90, 60, 40)), face((170, 40, 30)), READERS)
    lab = [
        cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[60:84, 68:100]
        for image in (photo, result.image)
    ]
    assert lab[1][..., 1].mean() > lab[0][..., 1].mean() + 15  # redder
    strands = [patch[..., 0].mean(0) - patch[..., 0].mean() for patch in lab]
    assert np.corrcoef(*strands)[0, 1] > 0.95
    wall = np.abs(result.image.astype(int) - photo)[150:, 150:]
    assert wall.max() == 0
    assert np.array_equal(result.image[~result.changed], photo[~result.changed])


def test_a_pair_that_does_not_differ_changes_nothing():
    scene = read_scene(hairy(), QUAD, READERS)
    result = carry(scene, face((90, 60, 40)), face((90, 60, 40)), READERS)
    assert np.array_equal(result.image, scene.photo) and not result.changed.any()


def test_an_edit_stays_inside_what_is_allowed():
    photo, before, after = hairy(), face((90, 60, 40)), face((170, 40, 30))
    scene = read_scene(photo, QUAD, READERS)
    allowed = np.zeros(photo.shape[:2], np.uint8)
    allowed[:, :84] = 255
    result = carry(scene, before, after, READERS, allowed=allowed)
    assert np.array_equal(result.image[:, 84:], photo[:, 84:])
    assert (result.image[:, :84] != photo[:, :84]).any()
    none = carry(scene, before, after, READERS, limit=np.zeros(scene.frame.shape, np.float32))
    assert np.array_equal(none.image, photo)


def test_a_second_edit_is_carried_on_top_of_the_first():
    scene = read_scene(hairy(), QUAD, READERS)
    brown, red, blond = (face(c) for c in ((90, 60, 40), (170, 40, 30), (220, 190, 120)))
    first = carry(scene, brown, red, READERS)
    second = carry(read_scene(first.image, QUAD, READERS), red, blond, READERS)
    middle = second.image[72, 84].astype(int)
    assert middle[0] > 150 and middle[1] > 110
    assert np.array_equal(second.image[~second.changed], first.image[~second.changed])


def test_a_face_at_the_border_and_one_of_two_are_edited_alone():
    photo = np.concatenate([hairy(), hairy()], 1)[:, 40:]
    quad = QUAD - (40, 0)  # its square begins left of the photograph
    scene = read_scene(photo, quad, READERS)
    result = carry(scene, face((90, 60, 40)), face((170, 40, 30)), READERS)
    assert result.image.shape == photo.shape
    assert result.changed[:, :110].any() and not result.changed[:, 165:].any()


def test_a_matte_has_the_alpha_that_mixed_two_colours_and_unmixing_finds_the_front():
    alpha = cv2.GaussianBlur(disc(160).astype(np.float32), (0, 0), 2.5)
    front, back = np.array([40.0, 30, 25]), np.array([215.0, 225, 235])
    image = (front * alpha[..., None] + back * (1 - alpha[..., None])).astype(np.float32)
    rough = (cv2.GaussianBlur(alpha, (0, 0), 4) > 0.5).astype(np.float32)
    found = guided_matte(image, rough, 10.0)
    assert np.abs(found - alpha).mean() < 0.03
    edge = np.flatnonzero((alpha > 0.3) & (alpha < 0.9))
    colour = unmixed(image, found, 10.0, edge)
    assert np.abs(colour - front).mean() < 0.3 * np.abs(image.reshape(-1, 3)[edge] - front).mean()


def test_colours_move_little_where_the_pair_moves_little():
    scene = read_scene(hairy(), QUAD, READERS)
    views = [read_drawn(face(c), scene.frame, READERS) for c in ((90, 60, 40), (96, 70, 40))]
    layers = recolour(scene.view, *views)
    assert layers.move is None and layers.cover is None
    assert layers.shift is None or np.abs(layers.shift).max() < 30


def test_24_megapixels_come_back_as_24_megapixels_in_time():
    photo = cv2.resize(hairy(), (6000, 4000), interpolation=cv2.INTER_LINEAR)
    quad = QUAD * (30, 20)
    start = time.process_time()
    scene = read_scene(photo, quad, READERS)
    result = carry(scene, face((90, 60, 40)), face((170, 40, 30)), READERS)
    assert time.process_time() - start < 20  # 2 s on two quiet cores; machines that test are busy
    assert result.image.shape == photo.shape
    assert np.array_equal(result.image[~result.changed], photo[~result.changed])
    assert result.changed.any()
