import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from faceedit import hub
from faceedit.backbones.segmenter import SegmenterConfig
from faceedit.editor import FaceEditor
from faceedit.errors import FaceEditError, PromptError, RepoError, RequestError, UnknownMethodError
from faceedit.inversion import invert, pixel_distance, refine, to_space, to_tensor
from faceedit.method_repo import repo_of, save_method
from faceedit.methods import METHODS
from faceedit.photo.regions import region_mask
from faceedit.scores import Scores
from faceedit.types import Face, Latent, Space
from faceedit.words.sentence import read

pytestmark = pytest.mark.usefixtures("no_faces")
OPTIMIZED = "styleclip_optimization"
FITTED = "styleclip_global"


def save_methods(folder, base_folder, backbones):
    """Write the repos of both methods next to a base, as they lie in hub_cards/."""
    prints = hub.fingerprint(base_folder)
    latents = backbones.generator.sample_w_plus(32, torch.Generator().manual_seed(1), 1.0)
    for name, settings in {FITTED: {"images": 4}, OPTIMIZED: {"steps": 2}}.items():
        method = METHODS[name].build(backbones, **settings)
        if method.kind == "fitted":
            method.fit(latents, None, backbones)
        base = f"somebody/{base_folder.name}"
        save_method(
            method, folder / repo_of(name).split("/")[1], base=base, fingerprint=prints, half=False
        )


@pytest.fixture(scope="module")
def shelf(base_folder, backbones):
    save_methods(base_folder.parent, base_folder, backbones)
    return base_folder.parent


@pytest.fixture(scope="module")
def editor(shelf, base_folder):
    return FaceEditor.from_pretrained(base_folder)


@pytest.fixture
def drawing():
    """A small square picture, which is taken as an aligned face when no face is found in it."""
    noise = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)


def test_edit_gives_a_picture_as_large_as_the_photo(editor, drawing):
    result = editor.edit(drawing, "red hair")
    assert result.image.size == drawing.size
    assert result.face.size == result.reconstruction.size == (32, 32)
    assert result.request.method == FITTED
    assert result.seconds > 0
    assert set(result.scores) == {"clip_score", "clip_gain", "identity"}


def test_later_edits_of_a_photo_look_at_its_face_no_more(editor, drawing):
    first = editor.edit(drawing, "red hair")
    seen = []
    networks = editor.backbones
    hooks = [
        network.register_forward_pre_hook(lambda module, given: seen.append(module))
        for network in (networks.identity, networks.clip.model.vision_model, networks.encoder)
    ]
    assert first.scores["identity"] <= 1  # read once, so that the photo's face has been seen
    seen.clear()
    again = editor.edit(drawing, "red hair")
    assert seen == []  # nor is anything scored before somebody asks
    assert again.scores == first.scores == copy.deepcopy(first.scores)
    for hook in hooks:
        hook.remove()
    assert seen.count(networks.identity) == seen.count(networks.clip.model.vision_model) == 1
    assert again.image.tobytes() == first.image.tobytes()


def test_scores_compare_the_two_faces(editor):
    face, other = editor.sample(1), editor.sample(2)
    both = torch.cat([face.image, other.image])
    sentence = read("red hair", "a face", editor.backbones.clip)
    found = Scores().of(face, other, sentence, editor.backbones)
    seen, known = editor.backbones.clip.encode_image(both), editor.backbones.identity(both)
    fits = seen @ sentence.target[0]
    assert found["clip_score"] == pytest.approx(float(fits[1]), abs=1e-6)
    assert found["clip_gain"] == pytest.approx(float(fits[1] - fits[0]), abs=1e-6)
    assert found["identity"] == pytest.approx(float(known[0] @ known[1]), abs=1e-6)


def test_edit_with_zero_strength_gives_the_photo_back(editor, drawing):
    result = editor.edit(drawing, "red hair", strength=0)
    assert np.array_equal(np.array(result.image), np.array(drawing))
    assert torch.equal(result.source.code, result.edited.code)


def test_edit_as_a_character_gives_the_generators_face(editor, drawing):
    result = editor.edit(drawing, "red hair", output="character")
    assert result.image.size == (32, 32)


def test_an_edit_of_a_photo_leaves_it_bit_for_bit_outside_what_changed(editor, drawing):
    photo = np.array(drawing)
    for result in editor.compare(drawing, "red hair", (FITTED, OPTIMIZED)):
        changed = np.array(result.changed) > 0
        assert np.array_equal(np.array(result.image)[~changed], photo[~changed])
        assert result.image.size == result.changed.size == drawing.size


def test_an_edit_that_changes_nothing_says_so(editor, drawing):
    result = editor.edit(drawing, "red hair", strength=1e-6)
    assert not np.array(result.changed).any()
    assert any("Nothing changed" in note for note in result.notes)


@pytest.mark.parametrize("grey", [False, True])
def test_grey_and_16_bit_photographs_stay_bit_for_bit_where_nothing_changed(editor, drawing, grey):
    deep = np.array(drawing.convert("L") if grey else drawing).astype(np.uint16) * 257
    result = editor.edit(deep, "red hair")
    photo = np.array(drawing.convert("L").convert("RGB") if grey else drawing)
    changed = np.array(result.changed) > 0
    assert result.image.mode == "RGB" and result.image.size == drawing.size
    assert np.array_equal(np.array(result.image)[~changed], photo[~changed])


def test_edit_refuses_an_output_that_does_not_exist(editor, drawing):
    with pytest.raises(RequestError, match="photograph, character, pasted"):
        editor.edit(drawing, "red hair", output="painting")


def test_edit_takes_paths_arrays_and_generated_faces(editor, drawing, tmp_path):
    drawing.save(tmp_path / "photo.png")
    images = [
        np.array(editor.edit(photo, "red hair").image)
        for photo in (drawing, np.array(drawing), tmp_path / "photo.png")
    ]
    assert np.array_equal(images[0], images[1])
    assert np.array_equal(images[0], images[2])
    assert editor.edit(editor.sample(3), "red hair").image.size == (32, 32)


def test_edit_inside_a_mask_leaves_the_rest_of_the_photo_alone(editor, drawing):
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[:, :24] = 255
    result = editor.edit(drawing, "red hair", strength=5, mask=mask)
    assert np.array_equal(np.array(result.image)[:, 36:], np.array(drawing)[:, 36:])
    assert result.mask is not None


def test_nothing_outside_a_transparent_mask_changes(editor, drawing):
    white = np.full((64, 64, 4), 255, dtype=np.uint8)
    white[:, 24:, 3] = 0  # where it is transparent, it is white below
    result = editor.edit(drawing, "red hair", strength=5, mask=Image.fromarray(white))
    kept = np.asarray(result.image)[:, 32:]
    assert np.array_equal(kept, np.asarray(drawing.convert("RGB"))[:, 32:])


def test_edit_refuses_a_mask_of_another_size(editor, drawing):
    with pytest.raises(RequestError, match="20 x 20 px and the photo 64 x 64"):
        editor.edit(drawing, "red hair", mask=np.full((20, 20), 255, dtype=np.uint8))


def test_edit_leaves_the_callers_random_numbers_alone(editor, drawing):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    editor.edit(drawing, "red hair", method=OPTIMIZED, seed=9)
    assert torch.equal(torch.rand(3), expected)


def test_inversion_is_remembered_by_what_the_photo_shows(shelf, base_folder, drawing):
    editor = FaceEditor.from_pretrained(base_folder)
    first = editor.invert(drawing)
    editor.backbones.encoder.forward = None  # so that inverting once more would fail
    assert editor.invert(drawing.copy()).latent.code is first.latent.code


def test_compare_yields_every_method_in_turn(editor, drawing):
    results = list(editor.compare(drawing, "red hair", strength=0))  # which hardly computes
    assert [result.request.method for result in results] == editor.available()
    assert {FITTED, OPTIMIZED} <= set(editor.available())


def test_compare_checks_its_arguments_before_the_first_result(editor, drawing):
    with pytest.raises(PromptError):
        editor.compare(drawing, "")
    with pytest.raises(UnknownMethodError, match="choose from"):
        editor.compare(drawing, "red hair", ["magic"])


def test_sample_is_the_same_for_the_same_seed(editor):
    assert torch.equal(editor.sample(4).image, editor.sample(4).image)
    assert not torch.equal(editor.sample(4).image, editor.sample(5).image)


def test_sample_refuses_a_bad_seed_or_truncation(editor):
    with pytest.raises(RequestError, match="seed"):
        editor.sample(-1)
    with pytest.raises(RequestError, match="truncation_psi"):
        editor.sample(1, truncation_psi=float("nan"))


def test_method_repo_makes_its_method_the_default(shelf, drawing):
    editor = FaceEditor.from_pretrained(shelf / "styleclip-optimization")
    assert editor.edit(drawing, "red hair").request.method == OPTIMIZED


def test_editors_can_share_the_networks(shelf, editor):
    other = FaceEditor.from_pretrained(shelf / "styleclip-global", base=editor)
    assert other.backbones.generator is editor.backbones.generator


def test_saved_editor_edits_the_same_after_loading(editor, drawing, tmp_path):
    editor.save_pretrained(tmp_path / "mine", save_base=True)
    loaded = FaceEditor.from_pretrained(tmp_path / "mine")
    assert loaded.base_folder == tmp_path / "portraits-tiny"
    before = editor.edit(drawing, "red hair").edited.code
    assert torch.equal(before, loaded.edit(drawing, "red hair").edited.code)


def test_method_of_another_base_is_refused(shelf, base_folder, tmp_path):
    shutil.copytree(shelf, tmp_path / "shelf")
    weights = tmp_path / "shelf" / base_folder.name / "generator" / hub.WEIGHTS
    other = hub.read_weights(weights.parent)
    other["const"] += 1
    from safetensors.torch import save_file

    save_file(other, weights)
    with pytest.raises(RepoError, match="another generator"):
        FaceEditor.from_pretrained(tmp_path / "shelf" / "styleclip-global")


def test_repo_of_a_method_that_is_not_known_says_so(shelf, base_folder, tmp_path):
    hub.write_folder(
        base_folder.parent / "magic",
        {"method": "magic", "base_model_name_or_path": f"somebody/{base_folder.name}"},
        None,
    )
    with pytest.raises(UnknownMethodError, match="magic"):
        FaceEditor.from_pretrained(base_folder.parent / "magic")


@pytest.mark.parametrize("photo", ["nowhere.png", 3, None, np.zeros((2, 2))])
def test_edit_refuses_what_is_no_photo(editor, photo):
    with pytest.raises(FaceEditError):
        editor.edit(photo, "red hair")


# Inversion ----------------------------------------------------------------------------------------


def test_inversion_gives_the_image_of_its_code(backbones, drawing):
    face = invert(to_tensor(drawing.resize((32, 32))), Space.W_PLUS, backbones)
    assert torch.equal(face.image, backbones.generator(face.latent.code))


def test_code_in_s_draws_the_same_image_as_in_w_plus(backbones, drawing):
    face = invert(to_tensor(drawing.resize((32, 32))), Space.S, backbones)
    drawn = backbones.generator.synthesis_from_styles(face.latent.code)
    assert torch.allclose(drawn, face.image, atol=1e-5)


def test_refinement_comes_closer_to_the_photo(backbones):
    seed = torch.Generator().manual_seed(2)
    start, goal = backbones.generator.sample_w_plus(2, seed, 1.0).split(1)
    with torch.no_grad():
        wanted, before = backbones.generator(goal), backbones.generator(start)
        after = backbones.generator(refine(wanted, start, backbones, steps=20))
    assert (after - wanted).square().mean() < 0.8 * (before - wanted).square().mean()


def test_refinement_stays_nearer_to_the_encoders_code_the_more_that_weighs(backbones, monkeypatch):
    seed = torch.Generator().manual_seed(2)
    start, goal = backbones.generator.sample_w_plus(2, seed, 1.0).split(1)
    with torch.no_grad():
        wanted = backbones.generator(goal)
    ways = []
    for weight in (0.0, 1.0, 10.0):
        monkeypatch.setattr("faceedit.inversion.WEIGHT_NEAR", weight)
        moved = refine(wanted, start, backbones, steps=10) - start
        ways.append(moved.square().mean().item())
    assert ways[0] > 1.1 * ways[1] > 1.1 * 1.1 * ways[2]


def test_pictures_are_compared_at_full_half_and_quarter_size():
    a, b = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    b[..., ::2] = 1.0  # every second column: half of the pixels, and 0.5 when they are averaged
    assert pixel_distance(a, b).item() == pytest.approx((0.5 + 0.25 + 0.25) / 3)


def test_refinement_refuses_too_many_steps(backbones):
    with pytest.raises(RequestError, match="refine_steps"):
        invert(torch.zeros(1, 3, 32, 32), Space.W_PLUS, backbones, refine_steps=10**6)


def test_there_is_no_way_from_s_to_w_plus(backbones):
    face = Face(torch.zeros(1, 3, 32, 32), Latent(torch.zeros(1, 8), Space.S))
    with pytest.raises(ValueError, match="no way from s to w_plus"):
        to_space(face, Space.W_PLUS, backbones)


def test_picture_survives_the_way_to_a_tensor_and_back(drawing):
    face = Face(to_tensor(drawing), Latent(torch.zeros(1, 1), Space.W))
    assert np.array_equal(np.array(face.to_pil()), np.array(drawing))


# One edit after another ---------------------------------------------------------------------------

W_PLUS_THEN_S = (OPTIMIZED, FITTED)


def test_edit_goes_on_from_a_result(editor, drawing):
    first = editor.edit(drawing, "red hair", method=OPTIMIZED)
    second = editor.edit(first, "glasses", method=OPTIMIZED)
    assert torch.equal(second.source.code, first.edited.code)
    assert second.image.size == drawing.size
    assert not torch.equal(second.edited.code, first.edited.code)


@pytest.mark.parametrize("order", [W_PLUS_THEN_S, W_PLUS_THEN_S[::-1]])
def test_edits_in_s_and_in_w_plus_add_up_in_either_order(editor, drawing, order):
    first = editor.edit(drawing, "red hair", method=order[0], strength=2)
    second = editor.edit(first, "glasses", method=order[1], strength=2)
    generator = editor.backbones.generator
    w_plus, styles = editor.invert(drawing).latent.code, {}
    for result in (first, second):
        codes = (result.source.code, result.edited.code)
        if result.request.method == OPTIMIZED:
            codes = tuple(generator.styles(code) for code in codes)
        styles[result.request.method] = codes[1] - codes[0]
    both = generator.styles(w_plus) + sum(styles.values())
    expected = generator.synthesis_from_styles(both)
    assert torch.allclose(second.step.edited.image, expected, atol=1e-4)


def test_going_on_with_zero_strength_keeps_what_there_was(editor, drawing):
    first = editor.edit(drawing, "red hair", strength=4)
    second = editor.edit(first, "glasses", strength=0)
    assert np.array_equal(np.array(second.image), np.array(first.image))


def test_going_on_keeps_an_earlier_mask(editor, drawing):
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[:, :24] = 255
    first = editor.edit(drawing, "red hair", strength=5, mask=mask)
    second = editor.edit(first, "glasses", strength=1e-6)
    assert np.array_equal(np.array(second.face)[:, 20:], np.array(second.reconstruction)[:, 20:])
    assert np.array_equal(np.array(first.face), np.array(second.reconstruction))
    masked = editor.edit(first, "glasses", strength=5, mask=255 - mask)
    assert np.array_equal(np.array(masked.image)[:, :12], np.array(first.image)[:, :12])


def test_generated_faces_can_be_edited_twice(editor):
    first = editor.edit(editor.sample(3), "red hair")
    assert editor.edit(first, "glasses").image.size == (32, 32)
    listed = [result.request.method for result in editor.compare(first, "glasses")]
    assert FITTED in listed


def test_result_of_no_editor_is_refused(editor, drawing):
    result = replace(editor.edit(drawing, "red hair"), step=None)
    with pytest.raises(RequestError, match="came from no editor"):
        editor.edit(result, "glasses")


# Regions by name ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", ["hair", "hair+skin", ("hair", "skin"), ["Hair"]])
def test_mask_can_be_a_region_by_name(editor, drawing, mask):
    result = editor.edit(drawing, "red hair", mask=mask)
    assert result.mask.shape == (1, 1, 32, 32)
    assert 0 <= result.mask.min() < result.mask.max() <= 1


@pytest.mark.parametrize("mask", ["nostril", "hair+", ("hair", 3)])
def test_unknown_region_lists_the_known_ones(editor, drawing, mask):
    with pytest.raises(RequestError, match="hair"):
        editor.edit(drawing, "red hair", mask=mask)


def test_mask_that_looks_like_a_path_is_one(editor, drawing, tmp_path):
    with pytest.raises(FaceEditError, match=r"nowhere\.png"):
        editor.edit(drawing, "red hair", mask="nowhere.png")
    Image.new("L", drawing.size, 255).save(tmp_path / "mask.png")
    editor.edit(drawing, "red hair", mask=str(tmp_path / "mask.png"))


def test_region_mask_covers_its_region_and_a_little_more():
    class Halves:
        """Finds hair in the left half of any image."""

        config = SegmenterConfig(("skin", "hair"))

        def mask(self, image, *names):
            left = torch.zeros_like(image[:, :1])
            left[..., : image.shape[-1] // 2] = 1
            return left if names == ("hair",) else 1 - left

    found = region_mask(torch.zeros(1, 3, 64, 64), ("hair",), Halves())[0, 0, 0]
    assert found[:32].eq(1).all() and 0 < found[33] < 1 and found[36:].eq(0).all()
