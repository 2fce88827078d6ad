"""CLIP-PAE in diffusion: the run keeps what nothing asks to change, and comes nearer to its aim."""

import dataclasses
import subprocess
import sys

import pytest
import torch

from faceedit import FaceEditor
from faceedit.additions import Additions
from faceedit.backbones.diffusion import Diffusion, resize
from faceedit.errors import MissingBackboneError, RepoError, RequestError
from faceedit.inversion import encode, to_space
from faceedit.method_repo import save_method
from faceedit.methods.clip_pae_diffusion import ClipPaeDiffusion
from faceedit.optimization.bottleneck import Bottleneck, Displacement
from faceedit.optimization.code_draft import descend_code
from faceedit.optimization.guidance import Guidance, blurred, guided
from faceedit.optimization.noise import descend_noise, replay
from faceedit.optimization.pixels import cutouts, keep_detail, keep_unchanged
from faceedit.types import Space
from faceedit.words.sentence import read

# An untrained segmenter sees a little of every region everywhere, so nothing is held unless asked.
FEW = {"steps": 10, "iterations": 1, "draft_iterations": 2, "additions": Additions()}
FEW |= {"inner_steps": 1, "repeats": 1, "cutouts": 2}


@pytest.fixture
def source(face, backbones):
    return to_space(face, Space.X_T, backbones)


def build(backbones, **settings) -> ClipPaeDiffusion:
    return ClipPaeDiffusion.build(backbones, **{**FEW, **settings})


def test_no_guidance_gives_the_photo_back(source, sentence, backbones):
    edited = build(backbones, scale=0.0).edit(source, sentence, backbones)
    assert torch.allclose(edited.image, source.image, atol=1e-4)


@pytest.mark.parametrize("mode", ["x0", "full", "jacobian_free", "bottleneck"])
@pytest.mark.parametrize("target", ["pae", "text", "directional"])
def test_guidance_comes_nearer_to_its_target(mode, target, source, sentence, backbones):
    # What is drawn anew under noise by an untrained network is anything; the draft has its tests.
    method = build(backbones, mode=mode, target=target, scale=2.0, draft_iterations=0)
    torch.manual_seed(1)
    edited = method.edit(source, sentence, backbones)
    goal = method.goal(source.image, sentence, backbones)
    with torch.no_grad():
        before, after = (
            method._clip_distance(face.image, goal, backbones).mean() for face in (source, edited)
        )
    assert after < before


def test_edit_comes_nearer_to_its_target(source, sentence, backbones):
    method = build(backbones)
    torch.manual_seed(1)
    edited = method.edit(source, sentence, backbones)
    goal = method.goal(source.image, sentence, backbones)
    before, after = (
        method._clip_distance(face.image, goal, backbones).mean() for face in (source, edited)
    )
    assert after < before


def test_negative_strength_goes_the_other_way(source, sentence, backbones):
    method = build(backbones)
    distances = []
    for strength in (1.0, -1.0):
        torch.manual_seed(1)
        edited = method.edit(source, sentence, backbones, strength=strength)
        distances.append(method.objective(source, edited, sentence, backbones)["clip"])
    assert distances[0] < distances[1]


def test_each_image_of_a_batch_is_edited_as_if_alone(source, sentence, backbones):
    method = build(backbones)
    torch.manual_seed(1)
    both = method.edit(source, sentence, backbones)
    torch.manual_seed(1)
    first = dataclasses.replace(
        source,
        image=source.image[:1],
        latent=dataclasses.replace(source.latent, code=source.latent.code[:1]),
    )
    alone = method.edit(first, sentence, backbones)
    assert torch.allclose(both.image[:1], alone.image, atol=1e-3)


def test_noise_of_the_source_replays_to_it(source, backbones):
    small = resize(source.image, backbones.diffusion.resolution)
    path = backbones.diffusion.inverted(small, 10, 0.8, 1)
    with torch.no_grad():
        assert torch.allclose(replay(backbones.diffusion, path.end, path, 10), small, atol=1e-4)


@pytest.mark.parametrize("rate", [0.1, -0.1])
def test_a_draft_descends_by_noise_that_keeps_its_length(rate, source, backbones):
    path = backbones.diffusion.inverted(torch.randn(2, 3, 16, 16), 10, 0.5, 1)

    def score(image):
        return (image - 1).square().mean((1, 2, 3))

    runs = list(descend_noise(backbones.diffusion, path, 10, score, 5, rate))
    first, last = (score(state.clean) for state in (runs[0], runs[-1]))
    assert ((last < first) == (rate > 0)).all()
    lengths = [noise.flatten(1).norm(dim=1) for noise in (path.end, runs[-1].image)]
    assert torch.allclose(*lengths, rtol=1e-4)


def test_large_drafts_are_the_same_with_less_memory(source, backbones, monkeypatch):
    path, drafts = backbones.diffusion.inverted(torch.randn(1, 3, 16, 16), 10, 0.5, 1), []
    for side in (128, 8):
        monkeypatch.setattr("faceedit.optimization.noise.REMEMBERED_SIDE", side)
        score = lambda image: image.square().mean((1, 2, 3))  # noqa: E731
        *_, last = descend_noise(backbones.diffusion, path, 10, score, 3, 0.1)
        drafts.append(last.clean)
    assert torch.allclose(*drafts, atol=1e-5)


def test_a_draft_by_the_generator_descends_and_keeps_what_its_picture_kept(source, backbones):
    generator = backbones.generator
    code = encode(source.image, backbones)
    small = resize(generator.synthesis(code), 16)

    def score(image):
        return (image - 1)[..., :8].square().mean((1, 2, 3))

    drafts = [state.clean for state in descend_code(generator, code, small, score, 8, 0.05)]
    assert (score(drafts[-1]) < score(small)).all()
    with torch.no_grad():
        still = descend_code(generator, code, small, lambda x: 0 * x.sum((1, 2, 3)), 2, 0.3)
        assert torch.equal([state.clean for state in still][-1], small)


def test_a_draft_by_the_generator_may_be_drawn_anew_without_guidance(source, sentence, backbones):
    plain = build(backbones, draft="generator", guided_redraw=False, changed=0.03, unchanged=0.01)
    torch.manual_seed(1)
    edited = plain.edit(source, sentence, backbones)
    assert edited.image.isfinite().all() and not torch.equal(edited.image, source.image)
    still = plain.edit(source, sentence, backbones, strength=0.0)
    assert torch.allclose(still.image, source.image, atol=1e-4)
    without = dataclasses.replace(backbones, generator=None)
    with pytest.raises(MissingBackboneError, match="a draft by the generator needs"):
        plain.edit(source, sentence, without)


def test_what_a_draft_did_not_touch_stays_to_the_pixel(source, sentence, backbones):
    method = build(backbones, changed=0.3, unchanged=0.2)
    goal = method.goal(source.image, sentence, backbones)
    draft = goal.small.clone()
    draft[..., :4, :4] = 1
    path = method.path(goal, backbones.diffusion)
    start, region = method._redrawn(goal, draft, path, backbones, None, None)
    assert region[..., :3, :3].min() > 0.5 and not region[..., 10:, 10:].any()
    assert torch.equal(start[..., 10:, 10:], path.end[..., 10:, 10:])
    assert not torch.equal(start[..., :3, :3], path.end[..., :3, :3])


def test_what_lies_outside_is_held_where_a_characteristic_shows_somewhere(
    source, backbones, caplog
):
    sentence = read("red hair", "a face", backbones.clip)
    held, free = (
        build(backbones, additions=Additions(weight_outside=weight)) for weight in (30.0, 0.0)
    )
    changed = []
    for method in (held, free):
        torch.manual_seed(0)
        edited = method.edit(source, sentence, backbones)
        changed.append(held.objective(source, edited, sentence, backbones)["outside"])
    assert 0 < changed[0] < changed[1]
    without = dataclasses.replace(backbones, segmenter=None)
    assert "outside" not in held.objective(source, source, sentence, without)
    assert "no segmenter" in caplog.text


def test_code_of_an_edit_denoises_to_it(source, sentence, backbones):
    from faceedit.backbones.diffusion import reconstruct

    # This moves an untrained network's images least: sharp ones are not the same after resizing.
    edited = build(backbones, mode="x0", repeats=1).edit(source, sentence, backbones)
    drawn = reconstruct(backbones.diffusion, edited.latent.code)
    assert (drawn - resize(edited.image, 16)).abs().mean() < 0.05


@pytest.mark.parametrize(
    "settings",
    [
        {"start_noise": "sdedit"},
        {"start_noise": "noise"},
        {"repeats": 2, "changed": 0.09},
        {"draft_rate": 0.5},
    ],
)
def test_what_is_drawn_follows_the_seed(settings, source, sentence, backbones):
    method = build(backbones, **settings)
    images = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        images.append(method.edit(source, sentence, backbones).image)
    assert torch.equal(images[0], images[1])
    assert not torch.allclose(images[0], images[2], atol=1e-3)


def test_fresh_noise_on_the_way_changes_the_edit(source, sentence, backbones):
    images = []
    for eta in (0.0, 1.0):
        torch.manual_seed(1)
        images.append(build(backbones, eta=eta).edit(source, sentence, backbones).image)
    assert not torch.allclose(*images, atol=1e-3)


def test_halves_of_the_network_say_what_the_whole_says(backbones):
    diffusion, image = backbones.diffusion, torch.randn(2, 3, 16, 16)
    halves = Bottleneck(diffusion)
    features = halves.encode(image, 400)
    said, whole = halves.decode(features, None, image, 400), diffusion.estimate(image, 400)
    assert torch.allclose(said.noise, whole.noise, atol=1e-5)
    assert torch.allclose(said.clean, whole.clean, atol=1e-5)


def test_a_displaced_bottleneck_moves_the_clean_image_and_not_the_noise(backbones):
    diffusion, image = backbones.diffusion, torch.randn(2, 3, 16, 16)
    run = Displacement(diffusion, 2)
    whole = diffusion.estimate(image, 400)

    def score(clean):
        return (clean - 1).square().mean((1, 2, 3))

    first = run.estimate(image, 400, score, 1.0)
    second = run.estimate(image, 400, score, 1.0)
    assert torch.allclose(first.noise, whole.noise, atol=1e-5)
    assert (score(first.clean) < score(whole.clean)).all()
    assert (score(second.clean) < score(first.clean)).all()


def test_a_network_without_a_bottleneck_is_refused(backbones):
    with pytest.raises(RequestError, match="needs a UNet2DModel with a mid_block, not Identity"):
        Bottleneck(Diffusion(torch.nn.Identity(), backbones.diffusion.scheduler))


def test_early_levels_are_gone_through_again_where_something_pulls():
    guidance = Guidance(repeats=3, repeat_stop=0.4)
    assert [guidance.passes(index, 5) for index in range(5)] == [3, 3, 1, 1, 1]
    assert Guidance(scale=0.0, repeats=3).passes(0, 5) == 1
    assert Guidance(repeats=3, guidance_from=0.2).passes(0, 5) == 1


def test_noisy_images_are_scored_without_the_detail_that_noise_hides(backbones):
    diffusion, seen = backbones.diffusion, []
    image = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def score(clean):
        seen.append(clean.detach())
        return clean.square().mean((1, 2, 3))

    def rough(sharpness, time, mode="full"):
        guided(diffusion, image.clone(), time, score, Guidance(mode=mode, blur=sharpness), 1.0)
        return seen[-1].diff(dim=-1).square().mean().item()

    late, early = 100, 600
    for mode in ("full", "x0", "jacobian_free", "bottleneck"):
        assert rough(0.05, early, mode) < 0.5 * rough(0.0, early, mode)
    assert rough(0.05, late) / rough(0.0, late) > rough(0.05, early) / rough(0.0, early)
    assert rough(1e-4, early) == rough(0.0, early)


def test_blur_keeps_the_mean_and_ends_detail():
    image = torch.zeros(1, 3, 33, 33)
    image[..., 16, 16] = 1
    soft = blurred(image, 2.0)
    assert soft.sum().item() == pytest.approx(3, rel=1e-4)
    spread = (torch.arange(33.0) - 16).square() @ soft[0, 0].sum(0)
    assert spread.item() == pytest.approx(4, rel=0.05)  # of a Gaussian: sigma squared
    assert torch.allclose(blurred(torch.ones(1, 3, 8, 8), 5.0), torch.ones(1, 3, 8, 8))


def test_noise_drawn_anew_has_the_variance_of_its_level(backbones):
    diffusion, images = backbones.diffusion, torch.zeros(2, 3, 64, 64)
    noisy = diffusion.noisy_again(images, 100, 300, torch.Generator().manual_seed(0))
    wanted = 1 - diffusion.alpha_bar(300) / diffusion.alpha_bar(100)
    assert noisy.var().item() == pytest.approx(wanted, rel=0.05)
    assert torch.equal(noisy[0], noisy[1])


def test_source_stays_where_hardly_anything_changed():
    torch.manual_seed(0)
    source = torch.rand(1, 3, 64, 64)
    edited = source + 0.02 * torch.randn_like(source)
    edited[..., 32:] += 0.5
    result = keep_unchanged(edited, source, 0.08, 0.2)
    assert torch.equal(result[..., :28], source[..., :28])
    assert torch.equal(result[..., 36:], edited[..., 36:])


def test_it_edits_at_another_resolution_of_the_network(source, sentence, backbones):
    edited = build(backbones, resolution=32).edit(source, sentence, backbones)
    assert edited.image.shape == source.image.shape
    assert edited.latent.code.shape[-1] == 32


def test_edit_under_inference_mode_is_the_same(source, sentence, backbones):
    method, images = build(backbones), []
    for mode in (False, True):
        torch.manual_seed(1)
        backbones.diffusion._known.clear()
        with torch.inference_mode(mode):
            images.append(method.edit(source, sentence, backbones).image)
    assert torch.equal(*images)


def test_detail_of_the_source_stays_where_nothing_changed():
    torch.manual_seed(0)
    source = torch.rand(1, 3, 32, 32)
    small = torch.nn.functional.avg_pool2d(source, 2)
    assert torch.allclose(keep_detail(small, small, source), source, atol=1e-6)
    edited = small.clone()
    edited[..., :4] += 1
    result = keep_detail(edited, small, source)
    assert torch.allclose(result[..., 16:], source[..., 16:], atol=1e-4)
    smooth = torch.nn.functional.interpolate(edited, (32, 32), mode="bicubic")
    assert torch.allclose(result[..., :4], smooth[..., :4], atol=0.05)


def test_crops_are_squares_of_the_sizes_asked_for():
    crops = cutouts(torch.zeros(2, 3, 40, 40), 5, torch.Generator().manual_seed(0))
    sides = [crop.shape[-1] for crop in crops]
    assert sides[0] == 40
    assert all(28 <= side <= 40 for side in sides)
    assert all(crop.shape[-2] == crop.shape[-1] for crop in crops)


def test_guidance_acts_within_its_window():
    guidance = Guidance(guidance_from=0.2, guidance_until=0.8)
    weights = [guidance.weight(index, 10) for index in range(10)]
    assert weights[:2] == [0, 0] and weights[8:] == [0, 0]
    assert weights[2] == 1 and weights[7] < weights[5] <= 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"depth": 0.0}, "strength is 0.0"),
        ({"depth": 1.5}, "strength is 1.5"),
        ({"steps": 30}, "30 steps do not divide"),
        ({"steps": 0}, "0 steps do not divide"),
        ({"mode": "fast"}, "grad_mode is 'fast'"),
        ({"target": "image"}, "target is 'image'"),
        ({"draft": "pencil"}, "draft is 'pencil'; choose from noise, generator"),
        ({"start_noise": "middle"}, "start_noise is 'middle'"),
        ({"eta": 2.0}, "eta is 2.0"),
        ({"resolution": 15}, "multiples of 2"),
        ({"blur": -0.1}, "blur is -0.1; it must not be negative"),
        ({"inner_steps": 0}, "inner_steps is 0"),
        ({"repeats": 0}, "repeats is 0"),
        ({"draft_iterations": -1}, "draft_iterations is -1"),
        ({"draft_depth": 0.0}, "strength is 0.0"),
        ({"draft_steps": 30}, "30 steps do not divide"),
        ({"repeat_stop": 1.5}, "up to 1.5 of the run"),
        ({"unchanged": 0.3}, "unchanged is 0.3"),
        ({"cutouts": 0}, "cutouts is 0; it must be at least 1"),
        ({"characteristics": ("wings",)}, "no corpus for"),
    ],
)
def test_bad_settings_are_named(settings, words, source, sentence, backbones):
    with pytest.raises(ValueError, match=words):
        build(backbones, **settings).edit(source, sentence, backbones)


def test_a_new_face_needs_noise_to_start_from(sentence, backbones):
    method = build(backbones)
    goal = method.goal(None, sentence, backbones)
    with pytest.raises(RequestError, match="needs an image"):
        list(method.run(goal, backbones))


# Through the editor -------------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path, base_folder, backbones):
    """The method's repo as it is published, with its denoiser inside."""
    import shutil

    shutil.copytree(base_folder, tmp_path / base_folder.name)
    folder = tmp_path / "clip-pae-diffusion"
    method = build(backbones)
    save_method(method, folder, base=f"faceedit/{base_folder.name}", fingerprint={})
    backbones.diffusion.save(folder, half=False)
    return folder


def test_editor_finds_the_denoiser_in_the_repo_of_the_method(repo, drawing):
    editor = FaceEditor.from_pretrained(repo)
    assert isinstance(editor.backbones.diffusion, Diffusion)
    result = editor.edit(drawing, "red hair")
    assert result.request.method == "clip_pae_diffusion"
    again = FaceEditor.from_pretrained(repo.parent / "portraits-tiny")
    assert "clip_pae_diffusion" in again.available()
    other = again.edit(drawing, "red hair", method="clip_pae_diffusion")
    assert other.face.tobytes() == result.face.tobytes()


def test_editor_edits_the_photo_itself(repo, drawing):
    editor = FaceEditor.from_pretrained(repo)
    photo = editor._portrait(drawing, None, 0)
    source = photo.source(Space.X_T, editor.backbones)
    assert not torch.equal(source.image, photo.face.image)
    next_edit = editor.edit(editor.edit(drawing, "red hair"), "a smiling face")
    assert next_edit.image.size == drawing.size


def test_editor_saves_the_denoiser_with_the_method(repo, tmp_path):
    FaceEditor.from_pretrained(repo).save_pretrained(tmp_path / "copy", save_base=True)
    assert FaceEditor.from_pretrained(tmp_path / "copy").backbones.diffusion is not None


@pytest.mark.parametrize("part", ["unet", "scheduler"])
def test_a_repo_without_a_part_of_the_denoiser_says_so(part, repo):
    import shutil

    shutil.rmtree(repo / part)
    with pytest.raises(RepoError, match=f"no {part}/"):
        FaceEditor.from_pretrained(repo)


def test_a_damaged_denoiser_says_so(repo):
    (repo / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(RepoError, match="no denoiser that can be read"):
        FaceEditor.from_pretrained(repo)


def test_a_denoiser_with_a_missing_tensor_says_so(repo):
    from safetensors.torch import load_file, save_file

    path = repo / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors.pop("conv_out.bias")
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(RepoError):
        FaceEditor.from_pretrained(repo)


def test_a_base_whose_method_is_nowhere_lacks_no_network_in_silence(
    base_folder, tmp_path, monkeypatch
):
    import shutil

    alone = shutil.copytree(base_folder, tmp_path / "alone" / base_folder.name)
    monkeypatch.setattr("faceedit.hub.find.BUNDLED", tmp_path)
    editor = FaceEditor.from_pretrained(alone)
    assert "clip_pae_diffusion" not in editor.available()
    with pytest.raises(RepoError, match="clip-pae-diffusion"):
        editor.method("clip_pae_diffusion")


def test_methods_are_listed_without_diffusers():
    code = (
        "import sys\n"
        "from faceedit.methods import METHODS\n"
        "import faceedit.editor\n"
        "print('diffusers' in sys.modules, 'clip_pae_diffusion' in METHODS)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]


@pytest.fixture
def drawing():
    """A small square picture, which is taken as an aligned face when no face is found in it."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)


def test_one_sentence_an_image(source, backbones):
    sentences = read(["red hair", "glasses"], "a face", backbones.clip)
    edited = build(backbones).edit(source, sentences, backbones)
    assert edited.image.shape == source.image.shape
