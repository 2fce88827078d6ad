"""The whole product on a base of official shape: what works, works; what does not says why."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from faceedit import hub
from faceedit.__main__ import main
from faceedit.editor import FaceEditor
from faceedit.errors import MissingBackboneError, RepoError, RequestError
from faceedit.inversion import pixel_distance, search, to_tensor
from faceedit.methods import METHODS
from faceedit.methods.styleclip_optimization import OptimizationConfig
from faceedit.waiting import compared
from training.config import ROOT

PHOTO = ROOT / "demo/examples/female-45.jpg"
WORK = {"styleclip_global", "ganspace", "interfacegan", "styleclip_mapper", "clip_pae",
        "styleclip_optimization", "tedigan"}  # fmt: skip


@pytest.fixture(scope="module")
def editor(made):
    return FaceEditor.from_pretrained(made / "base")


@pytest.fixture(scope="module")
def face(editor):
    return editor.sample(7)


# ----------------------------------------------------------------- 1: nothing of another base
@pytest.mark.parametrize("name", ["styleclip_optimization", "tedigan", "clip_pae"])
def test_methods_that_learn_nothing_run_with_the_papers_settings(editor, name):
    assert editor.method(name).config == METHODS[name].build(editor.backbones).config
    assert editor.library.readiness(name).settings == "the paper's settings"


def test_papers_settings_are_not_those_of_the_portrait_world(editor):
    world = FaceEditor.from_pretrained("faceedit/portraits-128").method("styleclip_optimization")
    mine = editor.method("styleclip_optimization").config
    assert mine == OptimizationConfig() != world.config
    assert not mine.additions.ties(editor.backbones.generator)


def test_denoiser_of_another_base_is_not_used(editor):
    with pytest.raises(RepoError, match="setup ffhq --into"):
        editor.method("clip_pae_diffusion")


# ----------------------------------------------------------------- 2, 3: what works, and why not
def test_every_method_works_or_says_what_it_needs_and_how_to_get_it(editor, made, capsys):
    states = {name: editor.library.readiness(name) for name in METHODS}
    assert {name for name, state in states.items() if state.works} == WORK
    assert set(editor.available()) == WORK
    for name, state in states.items():
        if not state.works:
            told = ("faceedit setup", "faceedit convert", "training/train.py", "portrait world")
            assert any(words in state.needs for words in (*told, "attribute reader")), name
            with pytest.raises(RepoError):
                editor.method(name)
    assert main(["info", "--repo", str(made / "base")]) == 0
    output = capsys.readouterr().out
    assert "ready" not in output and "needs a download" not in output
    convert = f"`python -m faceedit convert FILE --base {made}"
    assert f"feat: trained, edits w_plus; not here: {convert}" in output


def test_missing_network_names_this_base_and_the_command(made):
    bare = FaceEditor.from_pretrained(made / "base")
    bare.library.backbones = replace(bare.backbones, identity=None)
    assert "tedigan" not in bare.available()
    with pytest.raises(MissingBackboneError, match=rf"{made.name}/base lacks.*setup ffhq"):
        bare.method("tedigan")


def test_base_of_a_generator_alone_says_what_every_method_needs(made, tmp_path, capsys):
    base = tmp_path / "ffhq/base"
    shutil.copytree(made / "base/generator", base / "generator")
    hub.save_base(base, {"generator": "generator"}, framing="ffhq", converted_from={})
    assert FaceEditor.from_pretrained(base).available() == []
    assert main(["info", "--repo", str(base)]) == 0
    lines = capsys.readouterr().out.split("methods:")[1].strip().splitlines()
    assert len(lines) == len(METHODS) and all("; not here: " in line for line in lines)
    assert f"`python -m faceedit setup ffhq --into {base.parent}` brings it" in lines[0]
    assert main(["edit", "sample:1", "red hair", "--repo", str(base)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no method works with this base yet" in error


def test_comparison_shows_every_method_that_works_and_can_be_shortened(made, tmp_path, capsys):
    picture = tmp_path / "compared.png"
    asked = ["compare", "sample:1", "purple hair", "--repo", str(made / "base")]
    assert main([*asked, "--steps", "1", "-o", str(picture)]) == 0
    output = capsys.readouterr().out
    assert {name for name in METHODS if f"{name}: " in output} == WORK
    with Image.open(picture) as sheet:
        assert sheet.width > len(WORK) * sheet.height


def test_comparison_starts_no_long_descents_by_itself(editor, face, caplog, monkeypatch):
    monkeypatch.setattr("faceedit.waiting.LONG", 1e-6)
    names = compared(editor.library, "a smiling face", None)
    assert names and all(METHODS[name].kind != "optimized" for name in names)
    assert "clip_pae (about" in caplog.text and "name them to run" in caplog.text


# ----------------------------------------------------------------- 4: the best that is there
def test_edit_without_a_method_takes_the_best_that_is_there(editor, face):
    assert editor.edit(face, "a smiling face").request.method == "styleclip_global"


def test_base_without_any_method_says_what_the_first_choices_need(made, tmp_path):
    alone = shutil.copytree(made / "base", tmp_path / "ffhq/base")
    bare = FaceEditor.from_pretrained(alone)
    assert bare.library.preferred() == "clip_pae"  # learns nothing, so it works anywhere
    bare.library.backbones = replace(bare.backbones, identity=None)
    with pytest.raises(RepoError, match=r"no method works with this base yet.*styleclip_global"):
        bare.edit(bare.sample(1), "red hair")


# ----------------------------------------------------------------- 5: photographs' regions
def test_photograph_keeps_its_pixels_and_masks_go_by_name(editor):
    photo = Image.open(PHOTO).convert("RGB").resize((384, 384))
    assert editor.backbones.segmenter is not None
    result = editor.edit(photo, "a smiling face", method="interfacegan", mask="hair")
    assert result.image.size == photo.size
    outside = np.asarray(result.changed) == 0
    assert (np.asarray(result.image)[outside] == np.asarray(photo)[outside]).all()
    with pytest.raises(RequestError, match="no region 'knee'"):
        editor.edit(photo, "a smiling face", method="interfacegan", mask="knee")


# ----------------------------------------------------------------- 10: descents can be shortened
def test_descents_tell_their_steps_and_can_be_shortened(editor, face):
    seen = []
    editor.edit(face, "red hair", method="styleclip_optimization", steps=3,
                progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    with pytest.raises(RequestError, match="takes no steps"):
        editor.edit(face, "red hair", method="interfacegan", steps=3)
    assert editor.seconds("styleclip_optimization", 3) < editor.seconds("styleclip_optimization")
    assert editor.seconds("interfacegan") == 0


def test_long_descent_says_so_before_it_begins(editor, face, caplog, monkeypatch):
    monkeypatch.setattr("faceedit.waiting.LONG", 1e-6)
    editor.edit(face, "red hair", method="styleclip_optimization", steps=1)
    assert "takes about" in caplog.text and "styleclip_global answers at once" in caplog.text


# ----------------------------------------------------------------- 11: as the papers' code
def test_clip_is_fed_and_asked_as_the_papers_code_does(editor):
    clip = editor.backbones.clip
    assert clip.config.wording == "web" and clip.config.pixels == "openai"
    fed = {name: METHODS[name].reading(editor.backbones).clip.config.pixels for name in WORK}
    ways = {name for name, pixels in fed.items() if pixels == "styleclip"}
    assert ways == {"styleclip_optimization", "styleclip_mapper", "tedigan"}


# ----------------------------------------------------------------- 13: without an encoder
def test_base_without_an_encoder_searches_for_the_face(editor):
    backbones = replace(editor.backbones, encoder=None, identity=None)
    generator = backbones.generator
    with torch.no_grad():
        wanted = editor.sample(3).image
        mean = generator.synthesis(generator.broadcast(generator.w_avg[None]))
    code = search(wanted, backbones, steps=30)
    with torch.no_grad():
        found = generator.synthesis(code)
    assert pixel_distance(found, wanted) < 0.8 * pixel_distance(mean, wanted)


def test_search_is_said_in_the_results_notes(made):
    bare = FaceEditor.from_pretrained(made / "base")
    bare.library.backbones = replace(bare.backbones, encoder=None)
    photo = Image.open(PHOTO).convert("RGB").resize((128, 128))
    result = bare.edit(photo, "a smiling face", method="interfacegan", refine_steps=2)
    assert any("no encoder" in note for note in result.notes)
    assert to_tensor(result.image).shape[-1] == 128
