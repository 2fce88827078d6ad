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


def of(found, name: str) -> torch.Tensor:
    return found.points[:, LANDMARKS.index(name)]


def seen(found, name: str) -> list[bool]:
    return found.visible[:, LANDMARKS.index(name)].tolist()


def test_at_least_98_points_have_names_of_their_own_and_25_have_judged_mesh_numbers():
    assert len(set(LANDMARKS)) == len(LANDMARKS) >= 98
    assert set(JUDGED) <= set(MESH.values())
    assert len(set(MESH.values())) == len(MESH)


def test_points_lie_where_the_render_shows_their_parts():
    people = FaceAttributes.cat([FaceAttributes.default(1), sample_attributes(1, 3)])
    people = people.replace(glasses="none", hat="none", eye_open=0.9, mouth_open=0.0)
    found, drawn = landmarks(people, SIZE), render(people, SIZE, supersampling=1)
    parts = {
        "left_iris_0": ("eyes",),
        "right_iris_0": ("eyes",),
        "nose_tip": ("nose",),
        "lip_bottom": ("lips", "skin"),
        "left_brow_2": ("brows", "skin"),
    }
    for name, regions in parts.items():
        assert all(seen(found, name)), name
        for i, (x, y) in enumerate(of(found, name).tolist()):
            region = REGIONS[int(drawn.segmentation[i, int(y), int(x)])]
            assert region in regions, (name, region)


def test_points_scale_with_the_picture():
    people = sample_attributes(2, 1)
    small, large = landmarks(people, 50), landmarks(people, 100)
    assert torch.allclose(small.points * 2, large.points, atol=1e-3)


def test_the_mirror_image_has_the_mirrored_points():
    people = sample_attributes(3, 7)
    found, turned = landmarks(people, SIZE), landmarks(people.mirror(), SIZE)
    back = turned.points[:, mirrored_landmarks()]
    back[..., 0] = SIZE - back[..., 0]
    exact = [i for i, n in enumerate(LANDMARKS) if "hairline" not in n]  # strands fall anew
    assert (back - found.points)[:, exact].abs().max() < 0.2
    assert mirrored_landmarks()[LANDMARKS.index("left_brow_0")] == LANDMARKS.index("right_brow_0")


def test_what_moves_a_part_moves_its_points():
    people = FaceAttributes.default(1)
    still, open_mouth = landmarks(people, 128), landmarks(people.replace(mouth_open=1.0), 128)
    gap = [float((of(f, "lip_lower") - of(f, "lip_upper"))[0, 1]) for f in (still, open_mouth)]
    assert abs(gap[0]) < 0.5 and gap[1] > 5
    shut = landmarks(people.replace(eye_open=0.0), 128)
    height = [float((of(f, "left_lid_6") - of(f, "left_lid_2"))[0, 1]) for f in (still, shut)]
    assert height[0] > 4 and height[1] < 0.6
    right = landmarks(people.replace(gaze_x=1.0), 128)
    assert of(right, "left_iris_0")[0, 0] > of(still, "left_iris_0")[0, 0] + 0.5


@pytest.mark.parametrize(
    ("change", "hidden"),
    [
        ({"eye_open": 0.0}, "left_iris_0"),
        ({"glasses": "sunglasses"}, "left_iris_0"),
        ({"hair_style": "long straight"}, "left_ear_rim"),
        ({"hat": "beanie"}, "forehead"),
        ({"yaw": 25.0}, "right_outline_1"),
        ({"hair_style": "bald"}, "hairline"),
    ],
)
def test_a_point_is_hidden_by_what_lies_before_it(change, hidden):
    people = FaceAttributes.default(1)
    assert seen(landmarks(people, SIZE), hidden) == [True]
    assert seen(landmarks(people.replace(**change), SIZE), hidden) == [False]


def test_glasses_and_hats_have_points_only_where_they_are_worn():
    people = FaceAttributes.default(1)
    bare = landmarks(people, SIZE)
    worn = landmarks(people.replace(glasses="round", hat="cap"), SIZE)
    for name in ("glasses_bridge", "left_glasses_outer", "hat_brim", "hat_top"):
        assert seen(bare, name) == [False] and seen(worn, name) == [True], name


def test_no_people_have_no_points():
    assert landmarks(sample_attributes(2, 0)[:0], SIZE).points.shape == (0, len(LANDMARKS), 2)
    with pytest.raises(ValueError, match="size is 0"):
        landmarks(FaceAttributes.default(1), 0)
