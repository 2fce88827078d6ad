"""Landmarks: exact places of named points, and whether they can be seen."""

import pytest
import torch

from faceedit.world import (
    LANDMARKS,
    MESH,
    REGIONS,
    FaceAttributes,
    landmarks,
    mirrored_landmarks,
    render,
    sample_attributes,
)

SIZE = 64
JUDGED = (
    *(33, 133, 362, 263, 159, 145, 386, 374, 468, 473, 70, 107, 336, 300),
    *(1, 98, 327, 61, 291, 13, 14, 0, 17, 10, 152),
)
CHANGES = {
    "plain": {},
    "open mouth": {"mouth_open": 1.0},
    "shut eyes": {"eye_open": 0.0},
    "looking right": {"gaze_x": 1.0},
    "dressed up": {"glasses": "sunglasses", "hat": "cap"},
    "long hair": {"hair_style": "long straight"},
    "turned": {"yaw": 25.0},
    "bald": {"hair_style": "bald"},
    "bearded": {"beard": "full"},
}


@pytest.fixture(scope="module")
def faces():
    """The average face and some changes of it, worked out together, which is faster."""
    people = FaceAttributes.cat([FaceAttributes.default().replace(**c) for c in CHANGES.values()])
    return landmarks(people, SIZE)


def point(faces, face: str, name: str) -> torch.Tensor:
    return faces.points[list(CHANGES).index(face), LANDMARKS.index(name)]


def seen(faces, face: str, name: str) -> bool:
    return bool(faces.visible[list(CHANGES).index(face), LANDMARKS.index(name)])


def test_at_least_98_points_have_names_of_their_own_and_25_have_judged_mesh_numbers():
    assert len(set(LANDMARKS)) == len(LANDMARKS) >= 98
    assert set(JUDGED) <= set(MESH.values())
    assert len(set(MESH.values())) == len(MESH)


def test_points_lie_where_the_render_shows_their_parts():
    people = sample_attributes(1, 3).replace(glasses="none", hat="none", eye_open=0.9)
    people = people.replace(mouth_open=0.0, beard="none", moustache=0.0, fringe=0.0)
    found, drawn = landmarks(people, SIZE), render(people, SIZE, supersampling=1)
    parts = {
        "left_iris_0": ("eyes",),
        "right_iris_0": ("eyes",),
        "nose_tip": ("nose",),
        "lip_bottom": ("lips", "skin"),
        "left_brow_2": ("brows", "skin"),
    }
    for name, regions in parts.items():
        number = LANDMARKS.index(name)
        assert found.visible[0, number], name
        x, y = found.points[0, number].tolist()
        region = REGIONS[int(drawn.segmentation[0, int(y), int(x)])]
        assert region in regions, (name, region)


def test_the_mirror_image_has_the_mirrored_points_and_a_larger_picture_larger_ones():
    people = sample_attributes(1, 7)
    found = landmarks(FaceAttributes.cat([people, people.mirror()]), SIZE)
    back = found.points[1, mirrored_landmarks()]
    back[:, 0] = SIZE - back[:, 0]
    exact = [i for i, name in enumerate(LANDMARKS) if "hairline" not in name]  # strands fall anew
    assert (back - found.points[0])[exact].abs().max() < 0.2
    assert mirrored_landmarks()[LANDMARKS.index("left_brow_0")] == LANDMARKS.index("right_brow_0")
    assert torch.allclose(landmarks(people, 2 * SIZE).points[0], 2 * found.points[0], atol=1e-2)


def test_what_moves_a_part_moves_its_points(faces):
    def gap(face: str, upper: str, lower: str) -> float:
        return float((point(faces, face, lower) - point(faces, face, upper))[1])

    assert abs(gap("plain", "lip_upper", "lip_lower")) < 0.25
    assert gap("open mouth", "lip_upper", "lip_lower") > 2.5
    assert gap("plain", "left_lid_2", "left_lid_6") > 2
    assert gap("shut eyes", "left_lid_2", "left_lid_6") < 0.3
    looking, straight = (point(faces, f, "left_iris_0") for f in ("looking right", "plain"))
    assert looking[0] > straight[0] + 0.25


@pytest.mark.parametrize(
    ("face", "name"),
    [
        ("shut eyes", "left_iris_0"),
        ("dressed up", "left_iris_0"),
        ("dressed up", "forehead"),
        ("long hair", "left_ear_rim"),
        ("turned", "right_outline_5"),
        ("bearded", "chin"),
        ("bald", "hairline"),
    ],
)
def test_a_point_is_hidden_by_what_lies_before_it(faces, face, name):
    assert seen(faces, "plain", name)
    assert not seen(faces, face, name)


@pytest.mark.parametrize("name", ["glasses_bridge", "left_glasses_outer", "hat_brim", "hat_top"])
def test_what_is_not_worn_cannot_be_seen(faces, name):
    assert not seen(faces, "plain", name)
    assert seen(faces, "dressed up", name)


def test_no_people_have_no_points():
    assert landmarks(sample_attributes(2, 0)[:0], SIZE).points.shape == (0, len(LANDMARKS), 2)
    with pytest.raises(ValueError, match="size is 0"):
        landmarks(FaceAttributes.default(1), 0)
