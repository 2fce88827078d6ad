"""What carrying an edit is made of, in numbers worked out by hand: frames, layers, light, grain."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from faceedit.transfer import Layers, View, frame_around
from faceedit.transfer.apply import apply
from faceedit.transfer.drawing import Sheet, blur, sheet_over, smooth_step, superellipse
from faceedit.transfer.frame import Frame
from faceedit.transfer.grain import TILE, measure_grain
from faceedit.transfer.head import Head, rotation
from faceedit.transfer.layers import sample
from faceedit.transfer.light import Light, display, linear
from faceedit.transfer.points import dense, polygon, seen_of, similarity, upright
from faceedit.transfer.recolour import _step
from faceedit.transfer.spline import Grid, kernel, solve_plates


def square(left: float, top: float, side: float) -> np.ndarray:
    corners = [[0, 0], [0, side], [side, side], [side, 0]]
    return np.array(corners, float) + np.array([left, top])


# ------------------------------------------------------------------------------ the frame


def test_a_frame_reaches_two_fifths_beside_and_three_fifths_below_and_is_256_px_at_least():
    frame = frame_around(square(100, 50, 64), (200, 300))
    assert frame.shape == (512, 461)  # 2.0 and 1.8 sides
    assert frame.square == pytest.approx((102.4, 102.4, 256.0))
    assert frame.scale == pytest.approx(4)
    # The middle of the photograph's pixel 100, half a pixel right of the edge, is 2 px inside.
    assert frame.matrix @ (100, 50, 1) == pytest.approx((103.9, 103.9))
    assert frame.back @ (103.9, 107.9, 1) == pytest.approx((100, 51))


@pytest.mark.parametrize(
    ("left", "side", "photo", "shape", "work"),
    [
        (0, 600, (600, 600), (512, 512), 512),  # no larger than 512 px a side
        (1000, 1000, (4000, 4000), (896, 807), 448),  # and 896 px in all
        (0, 300, (300, 300), (300, 300), 300),  # no enlargement where there are pixels
    ],
)
def test_a_frame_ends_where_the_photograph_does_and_has_a_largest_size(
    left, side, photo, shape, work
):
    frame = frame_around(square(left, left, side), photo)
    assert frame.shape == shape
    assert frame.square[2] == pytest.approx(work)


def test_a_box_of_the_frame_is_found_in_the_photograph():
    frame = frame_around(square(100, 50, 64), (200, 300))
    box = (102.4, 102.4, 358.4, 358.4)
    assert frame.reach(*box) == (99, 49, 165, 115)
    assert frame.reach(*box, pad=2) == (97, 47, 167, 117)
    assert frame.reach(-9000, -9000, 9000, 9000) == (0, 0, 300, 200)


PLAIN = Frame(np.eye(2, 3), (90, 80), (10.0, 20.0, 44.0), (90, 80))


def test_a_drawn_face_fills_the_square_and_a_wider_one_lies_around_its_middle():
    ramp = np.arange(4, dtype=np.float32)
    picture = np.add.outer(10 * ramp, ramp)
    # Pixels of 11 px: column 1 has its middle at 10 + 1.5 * 11 - 0.5, row 2 at 20 + 2.5 * 11 - 0.5.
    assert PLAIN.place(picture)[47, 26] == pytest.approx(21, abs=1e-3)
    assert PLAIN.spread(picture)[47, 26] == pytest.approx(21, abs=1e-3)
    # Of three sides: pixels of 33 px, the first begins a side further left and higher.
    assert PLAIN.spread(picture, 3.0)[25, 48] == pytest.approx(12, abs=1e-3)
    assert PLAIN.inside.sum() == 44 * 44
    assert PLAIN.inside[20, 10] == PLAIN.inside[63, 53] == 1
    assert PLAIN.inside[19, 10] == PLAIN.inside[64, 53] == 0


def test_a_photograph_is_reduced_before_it_is_cut_and_its_pixels_stay_in_place():
    photo = np.broadcast_to(np.arange(240, dtype=np.uint8)[:, None], (240, 240))
    matrix = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375]])  # four pixels become one
    frame = Frame(matrix, (60, 60), (10.0, 10.0, 40.0), (240, 240))
    rows = frame.cut(np.dstack([photo] * 3))[..., 0]
    assert rows[10, 30] == pytest.approx(41.5, abs=0.6)
    assert rows[40, 5] == pytest.approx(161.5, abs=0.6)
    assert frame.known.min() == 1
    beyond = Frame(matrix - [[0, 0, 10], [0, 0, 0]], (60, 60), (10.0, 10.0, 40.0), (240, 240))
    assert beyond.known[30, 45] == 1 and beyond.known[30, 52] == 0


# ------------------------------------------------------------------------------ layers


def full(value: float, *shape: int) -> np.ndarray:
    return np.full(shape or (6, 6, 3), value, np.float32)


def test_layers_one_after_another_in_numbers():
    first = Layers(gain=full(2), shift=full(3), cover=full(100), alpha=full(0.5, 6, 6))
    later = Layers(
        gain=full(0.5), shift=full(10), cover=full(200), alpha=full(0.5, 6, 6),
        grain=full(0.25, 6, 6),
    )  # fmt: skip
    both = first.then(later)
    assert both.gain[0, 0, 0] == 1 and both.shift[0, 0, 0] == 11.5
    assert both.alpha[0, 0] == 0.75
    assert both.cover[0, 0, 0] == pytest.approx(460 / 3)  # 60, and two thirds of the way to 200
    assert both.grain[0, 0] == pytest.approx(0.5)  # all of it below, a quarter of it above
    view = View(full(50), {"hat": full(1, 6, 6)}, full(1, 6, 6), (0, 0, 6))
    seen = both.on(view)
    assert seen.image[0, 0, 0] == pytest.approx(130.375)
    assert later.on(first.on(view)).image[0, 0, 0] == pytest.approx(130.375)
    assert seen.regions["hat"][0, 0] == pytest.approx(0.25)  # what covers it is no hat


def test_layers_are_weakened_by_a_mask():
    layers = Layers(
        move=full(4, 6, 6, 2), gain=full(2), shift=full(10), cover=full(9), alpha=full(0.5, 6, 6)
    )
    half = layers.limited(full(0.5, 6, 6))
    found = [float(field.flat[0]) for field in (half.move, half.gain, half.shift, half.alpha)]
    assert found == [2, 1.5, 5, 0.25]
    assert half.cover[0, 0, 0] == 9


@pytest.mark.parametrize(
    ("layers", "acts"),
    [
        (Layers(move=full(5e-4, 6, 6, 2)), False),
        (Layers(move=full(-2e-3, 6, 6, 2)), True),
        (Layers(gain=full(1.00005)), False),
        (Layers(gain=full(0.9998)), True),
        (Layers(shift=full(0.005)), False),
        (Layers(shift=full(-0.02)), True),
        (Layers(cover=full(9), alpha=full(5e-5, 6, 6)), False),
        (Layers(cover=full(9), alpha=full(2e-4, 6, 6)), True),
        (Layers(shift=full(0), gain=full(1.5)), True),
    ],
)
def test_layers_act_where_they_would_be_seen(layers, acts):
    assert (layers.extent() is not None) == acts


def test_a_movement_says_where_a_pixel_comes_from():
    field = np.tile(np.arange(9, dtype=np.float32), (9, 1))
    move = np.zeros((9, 9, 2), np.float32)
    move[..., 0] = 2
    assert sample(field, move)[4].tolist() == [2, 3, 4, 5, 6, 7, 8, 8, 8]
    assert sample(field.T, move)[4].tolist() == [4] * 9
    first = Layers(move=move).then(Layers(move=move))
    assert first.move[4, 2].tolist() == [4, 0]


def test_layers_end_softly_at_an_edge_of_the_frame_that_lies_within_the_photograph():
    photo = np.full((300, 300, 3), 100, np.uint8)
    within = Frame(
        np.array([[1.0, 0, -100], [0, 1, -100]]), (100, 100), (20.0, 20.0, 60.0), (300, 300)
    )
    image, changed = apply(photo, within, Layers(shift=full(80, 100, 100, 3)))
    assert image[150, 150, 0] == 180
    assert image[103, 150, 0] == 140  # 3 px of 6: half of it
    assert image[196, 150, 0] == image[150, 196, 0] == image[150, 103, 0] == 140
    assert not changed[:99].any() and not changed[:, 201:].any()
    whole = Frame(np.eye(2, 3), (300, 300), (20.0, 20.0, 60.0), (300, 300))
    image, _ = apply(photo, whole, Layers(shift=full(80, 300, 300, 3)))
    assert image.min() == 180  # the photograph ends there, too
    allowed = np.full((300, 300), 51, np.uint8)
    allowed[:, 200:] = 0
    image, changed = apply(photo, whole, Layers(shift=full(80, 300, 300, 3)), allowed)
    assert image[5, 5, 0] == 116  # a fifth of 80
    assert image[5, 250, 0] == 100 and not changed[:, 200:].any()


# ------------------------------------------------------------------------------ light and grain


def test_light_on_a_surface_in_numbers():
    light = Light(np.array([0.3, -0.2]), np.ones(3))
    normals = np.array([[0, 0, 1], [0.6, 0, 0.8], [0, 0.6, 0.8], [0, 0, -1], [-1, 0, 0]])
    assert light.on(normals).tolist() == pytest.approx([1.0, 1.05, 0.75, 0.35, 0.12])
    strong = Light(np.array([3.0, 4.0]), np.ones(3))
    assert strong.on(normals)[1] == pytest.approx(1.7)
    assert strong.towards.tolist() == pytest.approx([0.6, 0.8])
    assert linear(np.array([0, 127.5, 255, 300])).tolist() == pytest.approx(
        [0, 0.21764, 1, 1], 1e-4
    )
    assert display(np.array([0, 0.21764, 1, 2])).tolist() == pytest.approx(
        [0, 127.5, 255, 255], 1e-4
    )


def noisy(sigma: float, shared: bool = False, soft: float = 0.0, level: float = 120) -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, 1, (320, 320, 3))
    noise = np.repeat(noise[..., :1], 3, 2) if shared else noise
    if soft:
        noise = cv2.GaussianBlur(noise, (0, 0), soft)
    noise *= sigma / noise.std()
    return np.clip(np.rint(level + noise), 0, 255).astype(np.uint8)


BOX = (0, 0, 320, 320)


@pytest.mark.parametrize(("sigma", "found"), [(4.0, 4.0), (8.0, 8.0), (25.0, 12.0)])
def test_grain_is_as_strong_as_the_photographs_up_to_what_texture_has(sigma, found):
    tile = measure_grain(noisy(sigma), BOX).tile
    assert tile.std() == pytest.approx(found, rel=0.12)
    assert np.abs(tile.mean((0, 1))).max() < 0.01


def test_grain_is_as_coarse_and_as_coloured_as_the_photographs():
    def beside(tile: np.ndarray) -> float:
        return float((tile[:, 1:] * tile[:, :-1]).mean() / tile.var())

    def across(tile: np.ndarray) -> float:
        return float(np.corrcoef(tile[..., 0].ravel(), tile[..., 1].ravel())[0, 1])

    fine, grey, soft = (
        measure_grain(noisy(6.0, **kinds), BOX).tile
        for kinds in ({}, {"shared": True}, {"soft": 1.0})
    )
    assert abs(beside(fine)) < 0.12 and abs(across(fine)) < 0.15
    assert across(grey) > 0.95
    assert beside(soft) == pytest.approx(np.exp(-1 / 4), abs=0.08)  # of a Gaussian of 1 px


def test_no_grain_is_read_where_the_sensor_saw_nothing_or_too_much_or_in_a_tiny_box():
    for level in (4, 250):
        assert not measure_grain(noisy(2.0, level=level), BOX).tile.any()
    assert not measure_grain(noisy(4.0), (0, 0, 31, 320)).tile.any()


def test_grain_lies_at_the_same_place_whatever_is_asked_for():
    grain = measure_grain(noisy(4.0), BOX)
    assert TILE == 256
    assert np.array_equal(grain.field(300, 5, 3, 2), grain.tile[5:7, 44:47])


# ------------------------------------------------------------------------------ curves and plates


def test_plates_in_numbers():
    at, points = np.array([[2.0, 0.0]]), np.array([[0.0, 0.0], [2.0, 1.0]])
    assert kernel(at, points)[0].tolist() == pytest.approx([4 * np.log(2), 0], abs=1e-6)
    points = np.array([[0.0, 0], [2, 0], [0, 2], [2, 2], [1, 1]])
    values = np.array([[0.0], [0], [0], [0], [5]])

    def middle(smoothing: float) -> float:
        solved = solve_plates(points, values, smoothing)
        return float((kernel(points[4:], points) @ solved[:5] + solved[5])[0, 0] + solved[6:].sum())

    assert middle(0.0) == pytest.approx(5)
    assert middle(1e7) == pytest.approx(1, abs=1e-3)  # the plane through their mean
    assert 1 < middle(1.0) < 5


def test_nodes_of_a_grid_and_its_corners():
    grid = Grid(np.array([-1.0, 2.0]), 0.5, (3, 5))
    assert grid.nodes.shape == (3, 5, 2)
    assert grid.nodes[2, 4].tolist() == [1, 3]
    assert grid.corners.tolist() == [[-1, 2], [-1, 3], [1, 3], [1, 2]]


def test_curves_in_numbers():
    bend = dense(np.array([[0.0, 0], [3, 4], [6, 8]]), 5)
    assert np.allclose(bend, [[0, 0], [1.5, 2], [3, 4], [4.5, 6], [6, 8]])
    # A natural spline through (0, 0), (1, 1), (2, 0): steps of root 2, no bend at its ends.
    arch = dense(np.array([[0.0, 0], [1, 1], [2, 0]]), 5)
    assert arch[1].tolist() == pytest.approx([0.5, 0.6875])
    eyes = {f"upper_lid_{side}": np.array([[x - 4.0, 20], [x, 17], [x + 4, 20]])
            for side, x in (("left", 10.0), ("right", 30.0))}  # fmt: skip
    assert upright(eyes) @ (20, 20, 1) == pytest.approx((0, 0))
    assert upright(eyes) @ (30, 30, 1) == pytest.approx((0.5, 0.5))
    turned = similarity(np.array([[0.0, 0], [1, 0]]), np.array([[5.0, 5], [5, 7]]))
    assert turned @ (0, 1, 1) == pytest.approx((3, 5))  # twice as large, a quarter turn
    box = polygon((40, 40), np.array([[10.0, 10], [30, 10]]), np.array([[10.0, 20], [30, 20]]))
    assert box[15, 20] == 1 and box[25, 20] == box[15, 5] == 0


def test_how_surely_curves_are_seen_is_their_points_mean():
    names = tuple(f"left_brow_{i}" for i in range(5))
    view = View(full(0), {}, full(1, 6, 6), (0, 0, 6), points=np.zeros((5, 2)), names=names)
    assert seen_of(view, "brow_left") == 1  # nobody says otherwise
    assert seen_of(replace(view, seen=np.array([1, 1, 0, 0, 0.5])), "brow_left") == 0.5


# ------------------------------------------------------------------------------ the head and sheets


HEAD = Head(np.eye(3), 2.0, np.array([200.0, 180.0]), np.array([1.1, 1.0, 1.0]))


def test_a_view_of_a_head_in_numbers():
    assert HEAD.project(np.array([10, 20, 5])).tolist() == pytest.approx([222, 140])
    assert HEAD.facing(np.array([10, 20, 5])) == 5
    x, y = HEAD.plane((200, 300))
    assert (x[140, 222], y[140, 222]) == pytest.approx((10, 20))
    twice, beside = HEAD.scaled(2.0), HEAD.moved(np.array([10, 20]))
    assert twice.scale == 4 and twice.origin.tolist() == [400.5, 360.5]
    assert beside.scale == 2 and beside.origin.tolist() == [190, 160]
    assert rotation(np.pi / 2, 0, 0) @ (0, 0, 1) == pytest.approx((1, 0, 0))  # to the right
    assert rotation(0, np.pi / 2, 0) @ (0, 1, 0) == pytest.approx((0, 0, 1))
    assert rotation(0, 0, np.pi / 2) @ (1, 0, 0) == pytest.approx((0, 1, 0))
    ball = Head(np.eye(3), 2.0, np.array([50.0, 50.0]), np.ones(3))
    points, inside = ball.meet((100, 100), np.array([0.0, 0, 3]), np.array([10.0, 10, 10]))
    assert points[50, 50].tolist() == pytest.approx([0, 0, 13]) and inside[50, 50] == 1
    assert points[50, 60].tolist() == pytest.approx([5, 0, 3 + np.sqrt(75)])
    assert inside[50, 60] == pytest.approx(0.5)
    assert inside[50, 80] == pytest.approx(-0.5)  # passes 5 mm beside it
    assert ball.on_ellipsoid(np.array([60, 50]), np.zeros(3), np.full(3, 10.0))[0] == pytest.approx(
        5
    )
    start, direction = ball.rays((100, 100))
    assert start[40, 60].tolist() == [5, 5, 0] and direction.tolist() == [0, 0, 1]


def test_a_sheet_is_finer_than_the_frame_as_far_as_it_may_be():
    sheet = sheet_over(np.array([[50.0, 60.0], [70.0, 64.0]]), HEAD, (100, 100), margin=5.0)
    assert sheet.box == (40, 50, 81, 75)
    assert sheet.fine == 2  # 3.2 px a millimetre want 1.6
    assert sheet.shape == (50, 82)
    assert sheet.millimetre == 4
    assert sheet.to_sheet(np.array([40.0, 50.0])).tolist() == [0.5, 0.5]
    assert sheet.head.project(np.zeros(3)).tolist() == pytest.approx([320.5, 260.5])
    far = Head(np.eye(3), 0.2, np.zeros(2), np.ones(3))
    assert sheet_over(np.array([[5.0, 5.0]]), far, (100, 100), margin=1.0).fine == 4
    edge = sheet_over(np.array([[-90.0, 500.0]]), HEAD, (100, 100), margin=1.0)
    assert edge.shape == (2, 2)  # never empty


def test_what_a_sheet_shows_lies_in_its_box():
    sheet = Sheet((2, 3, 6, 5), 2, HEAD)
    field = full(1, 4, 8)
    field[:, :4] = 0
    whole = sheet.give(field, (8, 9))
    assert whole.sum() == 4 and whole[3:5, 4:6].min() == 1
    assert np.array_equal(sheet.take(np.arange(72).reshape(8, 9) > 0), full(1, 4, 8))
    layers = sheet.laid(full(200, 4, 8, 3), field, (8, 9), grain=0.4)
    assert layers.cover[3, 4].tolist() == pytest.approx([200] * 3)
    assert layers.alpha[3, 4] == 1 and layers.alpha[3, 2] == 0
    assert layers.grain[0, 0] == pytest.approx(0.4)
    wide = Sheet((0, 0, 40, 40), 1, HEAD)
    line = wide.stroked(np.array([[5.0, 20], [35, 20]]), 3.0)  # 6 px
    assert line[:, 20].sum() == pytest.approx(7, abs=1)  # OpenCV softens its rim
    box = wide.filled(np.array([[10.0, 10], [30, 10], [30, 30], [10, 30]]))
    assert box.sum() == pytest.approx(21 * 21, rel=0.06)


def test_a_movement_of_colours_counts_by_degrees():
    assert [_step(value, 4.0, 8.0) for value in (3, 4, 5, 6, 9)] == [0, 0, 0.15625, 0.5, 1]


def test_soft_edges_in_numbers():
    x = np.array([-1, 0, 0.25, 0.5, 1, 2])
    assert smooth_step(0, 1, x).tolist() == [0, 0, 0.15625, 0.5, 1, 1]
    assert smooth_step(1, 0, x).tolist() == [1, 1, 0.84375, 0.5, 0, 0]
    ellipse = superellipse((10, 20), (4, 2), 2, count=4)
    assert np.allclose(ellipse, [[14, 20], [10, 22], [6, 20], [10, 18]])
    boxy = superellipse((0, 0), (1, 1), 4, count=8)
    assert boxy[1].tolist() == pytest.approx([0.5**0.25] * 2)
    point = np.zeros((61, 61), np.float32)
    point[30, 30] = 1
    assert np.array_equal(blur(point, 0.2), point)
    for sigma in (2.0, 7.0):  # a wide one is made coarsely, and is as wide
        soft = blur(point, sigma)
        spread = np.sqrt((soft.sum(0) * (np.arange(61) - 30) ** 2).sum() / soft.sum())
        assert spread == pytest.approx(sigma, rel=0.12)
