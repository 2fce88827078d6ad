"""Folders of labelled photographs: what they say, how they are changed, and what is refused."""

import json
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from faceedit.photo import detection
from faceedit.photo.framing import Framing
from faceedit.world import LANDMARKS, REGIONS
from training.config import ConfigError
from training.measures import photographs as table_of
from training.photographs import layers
from training.photographs.beards import find_beard
from training.photographs.hair import find_long_hair
from training.photographs.layers import HIDDEN, SEEN, Sample
from training.photographs.measure import JUDGED, point_errors, region_scores, to_image
from training.photographs.portraits import LabelledPhoto, PortraitFolder, SkippedPhotoError
from training.photographs.regions import BIT, OUTLINES, PARSED, exact, outline, possible_regions
from training.photographs.renders import Rendered
from training.photographs.samples import FaceSamples, from_photo
from training.photographs.textures import Scenes
from training.tasks.segmenter import allowed_regions, region_terms
from training.tasks.segmenter_start import begin_from

SIDE = 96
LABELS = {
    "id": "a",
    **{"sex": "female", "visible_age": 40, "skin": "light", "hair_color": "brown"},
    **{"hair_length": "long", "beard": "none", "moustache": False, "glasses": "none"},
    **{"headwear": "none", "mouth_open": False, "fringe": False, "hairline": "full"},
}
# An ellipse for every closed line of the mesh: centre and radii in shares of the side.
ELLIPSES = {
    "face": [(0.5, 0.5, 0.25, 0.32)],
    "lips": [(0.5, 0.68, 0.09, 0.045)],
    "mouth": [(0.5, 0.68, 0.07, 0.012)],
    "eyes": [(0.4, 0.45, 0.05, 0.025), (0.6, 0.45, 0.05, 0.025)],
    "brows": [(0.6, 0.37, 0.07, 0.015), (0.4, 0.37, 0.07, 0.015)],
    "nose": [(0.5, 0.55, 0.05, 0.06)],
}


def mesh_points() -> np.ndarray:
    mesh = np.full((478, 2), SIDE / 2, np.float64)
    for name, rings in OUTLINES.items():
        for ring, (x, y, rx, ry) in zip(rings, ELLIPSES[name], strict=True):
            turn = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
            turn = turn - np.pi / 2 if name == "face" else np.pi - turn  # from the top, or the left
            spots = np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], 1)
            mesh[list(ring)] = spots * SIDE
    mesh[468], mesh[473] = (0.4 * SIDE, 0.45 * SIDE), (0.6 * SIDE, 0.45 * SIDE)
    mesh[1], mesh[2] = (0.5 * SIDE, 0.58 * SIDE), (0.5 * SIDE, 0.61 * SIDE)
    mesh[[50, 205, 117, 36]] = (0.36 * SIDE, 0.52 * SIDE)  # bare cheeks
    mesh[[280, 425, 346, 266]] = (0.64 * SIDE, 0.52 * SIDE)
    return mesh


def photo(**labels) -> LabelledPhoto:
    person = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(person, (SIDE // 2, SIDE // 2), (36, 44), 0, 0, 360, 255, -1)
    image = np.full((SIDE, SIDE, 3), 150, np.uint8)
    whole = np.ones((SIDE, SIDE), bool)
    return LabelledPhoto("a", {**LABELS, **labels}, image, mesh_points(), person, whole)


def may(bits: np.ndarray, x: float, y: float) -> set[str]:
    value = int(bits[int(y * SIDE), int(x * SIDE)])
    return {name for name in PARSED if value & BIT[name]}


def test_a_mesh_a_mask_and_labels_say_which_regions_a_pixel_may_show():
    bits = possible_regions(photo())
    assert may(bits, 0.5, 0.71) == {"lips"}
    assert may(bits, 0.4, 0.45) == {"eyes"}
    assert may(bits, 0.4, 0.37) == {"brows"}
    assert may(bits, 0.02, 0.02) == {"background"}
    assert may(bits, 0.33, 0.62) == {"skin"}
    beside = may(bits, 0.2, 0.5)
    assert "hair" in beside and not beside & {"background", "beard", "hat", "glasses", "eyes"}


def test_what_was_seen_to_be_worn_is_looked_for_and_nothing_else():
    assert "beard" in may(possible_regions(photo(beard="full")), 0.33, 0.62)
    scarf = possible_regions(photo(headwear="headscarf", hair_color="covered"))
    assert may(scarf, 0.5, 0.1) == {"covering"}
    assert "mouth" in may(possible_regions(photo(mouth_open=True)), 0.5, 0.68)


def test_long_hair_is_followed_on_to_the_shoulders_by_its_colour():
    plain = photo()
    rng = np.random.default_rng(0)
    image = np.full((SIDE, SIDE, 3), (40, 90, 200), np.uint8)  # cloth
    image[outline(plain.mesh, "face", SIDE)] = (225, 180, 150)
    truth = np.zeros((SIDE, SIDE), bool)
    truth[10:80, 14:24] = truth[10:80, 72:82] = truth[10:16, 14:82] = True  # down to both sides
    image[truth] = (90, 50, 30)
    image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)

    def parse(picture: np.ndarray) -> dict[str, np.ndarray]:
        near = (truth & (np.arange(SIDE)[:, None] < 40)).astype(np.float32)  # the rest is missed
        return {"hair": near, "neck": np.zeros_like(near)}

    person = np.full((SIDE, SIDE), 255, np.uint8)
    seen = replace(plain, image=image, person=person)
    found = find_long_hair(seen, 1.0, parse)
    assert found is not None
    assert (found & truth).sum() / (found | truth).sum() > 0.85
    bits = possible_regions(replace(seen, hair=found))
    assert may(bits, 19 / SIDE, 0.75) == {"hair"}
    assert "hair" not in may(bits, 0.5, 0.95)
    assert (
        find_long_hair(replace(seen, labels={**LABELS, "hair_length": "short"}), 1.0, parse) is None
    )
    assert "hair" not in may(possible_regions(photo(hair_length="short")), 0.5, 0.95)


def test_a_beard_that_somebody_saw_is_where_the_jaw_is_darker_or_greyer_than_the_cheeks():
    plain = photo(beard="full", moustache=True)
    jaw = outline(plain.mesh, "face", SIDE)
    jaw[: int(plain.mesh[2, 1]) + 4] = False
    for colour in ((70, 45, 35), (150, 150, 150)):
        image = np.full((SIDE, SIDE, 3), (225, 180, 150), np.uint8)
        image[jaw] = colour
        seen = replace(plain, image=image, person=np.full((SIDE, SIDE), 255, np.uint8))
        found = find_beard(seen)
        assert found is not None
        there, bare = found
        assert there[int(plain.mesh[152, 1]) - 4, int(plain.mesh[152, 0])]
        assert not (there & ~jaw).sum() > 0.1 * there.sum()
        assert not (bare & jaw).any()
        bits = possible_regions(replace(seen, beard=found))
        assert may(bits, plain.mesh[152, 0] / SIDE, (plain.mesh[152, 1] - 4) / SIDE) == {"beard"}
    assert find_beard(photo(beard="none")) is None
    assert find_beard(photo(beard="stubble")) is None


def test_partial_labels_ask_for_any_region_that_is_possible():
    logits = torch.full((1, len(PARSED), 2, 2), -8.0)
    logits[:, REGIONS.index("hair")] = 8.0
    weights = torch.ones(len(PARSED))

    def loss(*names: str) -> float:
        bits = torch.full((1, 2, 2), sum(BIT[n] for n in names), dtype=torch.int32)
        terms = region_terms(logits, allowed_regions(bits), torch.tensor([True]), weights)
        return float(terms["regions"])

    assert loss("hair") < 0.01 and loss("hair", "hat") < 0.01
    assert loss("skin", "neck") > 5
    assert loss(*PARSED) == 0


def rendered(size: int = 64) -> Rendered:
    noise = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, size, size), generator=noise, dtype=torch.uint8)
    labels = torch.zeros(size, size, dtype=torch.uint8)
    labels[16:60, 12:52] = REGIONS.index("skin")
    labels[56:] = REGIONS.index("cloth")
    sample = from_photo(photo())
    points = torch.from_numpy(np.nan_to_num(sample.points, nan=SIDE / 2)) / SIDE
    return Rendered(image, labels, points, torch.ones(len(LANDMARKS), dtype=torch.bool))


def test_samples_are_a_function_of_their_place_and_keep_their_truth():
    samples = FaceSamples([photo()], [rendered()], Scenes([], patterns=4), seed=3, photo_share=0.5)
    batch, again = samples.batch(range(6)), samples.batch(range(2, 6))
    assert torch.equal(batch.image[2:], again.image)
    assert batch.image.shape == (6, 3, 256, 256) and batch.image.abs().max() <= 1
    assert (batch.bits > 0).all()
    assert batch.photo.any() and not batch.photo.all()
    known = batch.points.isfinite().all(-1)
    assert known[~batch.photo].all() and not known[batch.photo].all()


@pytest.mark.parametrize("draw", [layers.cover_head, layers.occlude])
def test_a_layer_says_what_it_shows_and_hides_what_lies_under_it(draw):
    region = "covering" if draw is layers.cover_head else "occluder"
    changed = hidden = 0
    for seed in range(8):
        source = from_photo(photo())
        points = np.nan_to_num(source.points, nan=-1.0)
        sample = Sample(source.image.copy(), exact(np.ones((SIDE, SIDE))), points, source.seen)
        draw(np.random.default_rng(seed), sample, Scenes([], patterns=2))
        laid = sample.bits == BIT[region]
        changed += bool(laid.any())
        for (x, y), seen in zip(points, sample.seen, strict=True):
            if x > 0 and laid[int(y), int(x)]:
                assert seen == HIDDEN
                hidden += 1
    assert changed >= 6 and hidden > 0
    assert SEEN in from_photo(photo()).seen


def test_a_larger_segmenter_begins_with_what_a_smaller_one_knows():
    from faceedit.backbones.segmenter import Segmenter, SegmenterConfig

    torch.manual_seed(0)
    old = Segmenter(SegmenterConfig(REGIONS, fold=2, widths=(6, 8))).eval()
    shape = SegmenterConfig(PARSED, fold=4, widths=(8, 8, 10), detail=4)
    new = Segmenter(shape).eval()
    begin_from(new, old)
    image = torch.randn(2, 3, 32, 32)
    twice = image.repeat_interleave(2, -1).repeat_interleave(2, -2)
    with torch.no_grad():
        found = new(twice)[:, : len(REGIONS)]
        assert torch.allclose(found[..., ::2, ::2], old(image), atol=1e-3)


# ------------------------------------------------------------------------------- folders and tables
@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three photographs; no face is found in c, and b has a mesh of another size."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "person").mkdir()
    for name in "abc":
        picture = np.full((512, 512, 3), 255 if name == "c" else 120, np.uint8)
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.jpg"), picture)
        cv2.imwrite(str(tmp_path / "person" / f"{name}.png"), np.full((64, 64), 255, np.uint8))
    mesh = (mesh_points() * 512 / SIDE).tolist()
    meshes = {"a": mesh, "b": mesh[:468], "c": mesh}
    (tmp_path / "mesh.json").write_text(json.dumps(meshes))
    labels = [{**LABELS, "id": name} for name in "abc"]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    spots = np.array([[205, 230], [307, 230], [256, 300], [215, 348], [297, 348]], float)

    def detect(picture, every):
        blank = np.asarray(picture).mean() > 200
        return [] if blank else [detection.DetectedFace((150, 100, 360, 420), spots, 0.9)]

    monkeypatch.setattr("faceedit.photo.alignment.detect_faces", detect)
    return tmp_path


def test_a_folder_is_read_and_what_cannot_be_used_is_named(folder):
    found = list(PortraitFolder(folder).every(128, Framing.WORLD))
    assert [isinstance(each, LabelledPhoto) for each in found] == [True, False, False]
    assert found[0].image.shape == (128, 128, 3)
    assert "b.jpg" in str(found[1]) and "[468, 2]" in str(found[1])
    assert "c.jpg" in str(found[2]) and isinstance(found[2], SkippedPhotoError)
    face = outline(found[0].mesh, "face", 128)
    assert 0.1 < face.mean() < 0.5


@pytest.mark.parametrize("file", ["labels.json", "mesh.json"])
def test_a_folder_without_labels_is_refused(folder, file):
    (folder / file).unlink()
    with pytest.raises(ConfigError, match=file):
        PortraitFolder(folder)


def test_the_table_gives_bars_gaps_and_what_was_skipped(folder, monkeypatch):
    def make(base, judges):
        return lambda photo, path: {"lips": 0.9, "points": 0.06}

    monkeypatch.setattr(table_of, "READERS", (make,))
    text = table_of.table(table_of.measure_photographs(folder, folder, folder))
    assert "| IoU with the mesh: lips | 0.900 | ≥ 0.82, met | - |" in text
    assert "≤ 0.05, **missed**" in text
    assert "Skipped 2" in text and "b.jpg" in text and "c.jpg" in text


def test_the_largest_gap_is_that_between_groups_of_people():
    report = table_of.Report()
    for i in range(20):
        sex = "female" if i % 2 else "male"
        report.labels[str(i)] = {**LABELS, "sex": sex}
        report.scores[str(i)] = {"lips": 0.9 if sex == "female" else 0.7}
    gap, groups = report.gap("lips")
    assert gap == pytest.approx(0.2) and groups == "sex: male to female"


def test_points_are_off_in_distances_of_the_pupils():
    shown = photo()
    found = {number: shown.mesh[number] + (0, 0.2 * SIDE) for number in JUDGED}
    assert point_errors(shown, found)[1] == pytest.approx(1.0)


class Halves:
    """A segmenter that sees hair on the left, skin in the middle and a wall on the right."""

    config = SimpleNamespace(regions=("background", "skin", "hair", "covering", "beard"))

    def segment(self, image):
        labels = torch.zeros(1, SIDE, SIDE, dtype=torch.long)
        labels[..., : SIDE // 4], labels[..., SIDE // 4 : SIDE // 2] = 2, 1
        labels[:, :1, SIDE // 2 :] = 4
        return labels


def test_regions_of_a_photograph_are_scored_by_their_overlap():
    """The person is the left half here, but for the uppermost quarter, which nobody knows."""
    person, inside = np.zeros((SIDE, SIDE), np.uint8), np.ones((SIDE, SIDE), bool)
    person[:, : SIDE // 2], inside[: SIDE // 4] = 255, False
    seen = replace(photo(), person=person, inside=inside)
    found = region_scores(seen, Halves())
    assert found["person"] == 1.0
    assert found["beard"] == pytest.approx(1 / (2 * SIDE)) and found["covering"] == 0
    assert found["off_person"] == 0
    assert found["lips"] == found["eyes"] == 0.0
    face = outline(seen.mesh, "face", SIDE)
    called = np.zeros((SIDE, SIDE), bool)
    called[:, SIDE // 4 : SIDE // 2], called[0, SIDE // 2 :] = True, True
    assert found["face"] == pytest.approx((face & called).sum() / (face | called).sum())
    right = np.zeros((SIDE, SIDE), np.uint8)
    right[:, SIDE // 2 :] = 255
    other = region_scores(replace(seen, person=right), Halves())
    assert other["person"] == 0.0
    assert other["off_person"] == pytest.approx(0.25 * 0.75)  # the hair, below the unknown quarter
    assert to_image(seen).shape == (1, 3, SIDE, SIDE)
    assert to_image(seen).unique().tolist() == pytest.approx([150 / 127.5 - 1])
