"""What every method promises holds for the settings that are published, not for defaults alone.

The folders of `hub_cards/` give the settings; networks are tiny, so sizes are those of the tiny
networks, and numbers of steps are small. All else is as it ships.
"""

import dataclasses
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faceedit.backbones import Backbones
from faceedit.hub.find import BUNDLED
from faceedit.inversion import to_space
from faceedit.method import EditMethod
from faceedit.method_repo import load_method, save_method
from faceedit.methods import METHODS
from faceedit.photo import align
from faceedit.photograph import Photographs
from faceedit.portrait import Portrait
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import read
from tests.conftest import make_backbones

FEW = {"steps": 6, "iterations": 1, "draft_iterations": 2, "draft_steps": 10, "faces": 2}
FEW |= {"population": 32, "images": 2, "gradient_faces": 4}
DIFFUSION = {"steps": 10}  # must divide the schedule
TWO = "red hair and glasses"


def shipped() -> dict[str, Path]:
    """The published folder of every method; of variants, the first one's."""
    found = {}
    for name in METHODS:
        folder = BUNDLED / name.replace("_", "-")
        places = [folder, *sorted(folder.glob("*/"))]
        with_settings = [p for p in places if "method_config" in read_config(p)]
        if with_settings:
            found[name] = with_settings[0]
    return found


def read_config(folder: Path) -> dict:
    path = folder / "config.json"
    return json.loads(path.read_text()) if path.is_file() else {}


@cache
def published_settings(name: str) -> dict:
    content = read_config(shipped()[name])["method_config"]
    return {key: as_tuple(value) for key, value in content.items()}


def as_tuple(value):
    """JSON has lists where settings have tuples."""
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value


@pytest.fixture(scope="module")
def tied() -> Backbones:
    """Tiny networks whose generator has learned one w for all its layers, as the published one."""
    backbones = make_backbones()
    config = dataclasses.replace(backbones.generator.config, tied_layers=True)
    backbones.generator.config = config
    return backbones


@pytest.fixture(scope="module")
def made(tied):
    """Make a method as it ships, each once."""

    @cache
    def make(name: str) -> EditMethod:
        settings, kind = dict(published_settings(name)), METHODS[name]
        fields = {field.name for field in dataclasses.fields(kind.config_class)}
        few = {**FEW, **(DIFFUSION if name == "clip_pae_diffusion" else {})}
        settings |= {key: value for key, value in few.items() if key in fields}
        sizes = kind.sizes(tied) if name != "styleclip_mapper" else {"w_dim": 16}
        for size in (*sizes, "num_components"):
            settings.pop(size, None)
        method = kind.build(tied, **settings)
        if kind.kind == "fitted" or settings.get("init") == "direction":
            latents = tied.generator.sample_w_plus(48, torch.Generator().manual_seed(1), 1.0)
            method.fit(latents, None, tied)
        if kind.kind == "trained":  # untrained ones begin with steps that can hardly be told apart
            with torch.no_grad():
                for parameter in method.parameters():
                    parameter.add_(0.05 * torch.randn_like(parameter))
        return method.eval().requires_grad_(False)

    return make


@pytest.fixture(params=list(shipped()))
def name(request) -> str:
    return request.param


@pytest.fixture
def method(name, made) -> EditMethod:
    return made(name)


@pytest.fixture(scope="module")
def sources(tied):
    @cache
    def make(space: Space) -> Face:
        w_plus = tied.generator.sample_w_plus(1, torch.Generator().manual_seed(5), 0.7)
        with torch.no_grad():
            face = Face(tied.generator(w_plus), Latent(w_plus, Space.W_PLUS))
        return to_space(face, space, tied)

    return make


@pytest.fixture(scope="module")
def edits(made, sources, tied):
    """Edit with a method, a sentence and a strength; each once."""

    @cache
    def edit(name: str, prompt: str, strength: float = 1.0) -> Face:
        method = made(name)
        torch.manual_seed(3)
        words = read(prompt, "a face", tied.clip)
        return method.edit(sources(method.space), words, tied, strength)

    return edit


@pytest.fixture
def sentence(tied) -> Sentence:
    return read("red hair", "a face", tied.clip)


def test_every_method_ships_but_the_one_that_another_stands_for():
    assert set(METHODS) - set(shipped()) <= {"styleclip_global"}  # clip_regression ships


def test_published_settings_are_known_and_read_back_the_same(name):
    settings = published_settings(name)
    config = METHODS[name].config_class(**settings)
    fields = {field.name for field in dataclasses.fields(config)}
    assert set(settings) <= fields
    read_back = json.loads(json.dumps(dataclasses.asdict(config)))
    given = json.loads(json.dumps(settings))
    assert {key: read_back[key] for key in given} == given


def test_an_edit_changes_the_face_and_keeps_its_shape(name, method, edits, sources):
    source, edited = sources(method.space), edits(name, "red hair")
    assert edited.image.shape == source.image.shape and edited.image.isfinite().all()
    assert edited.latent.code.shape == source.latent.code.shape
    # An untrained segmenter lets a third of every pixel change, which denoising counts as nothing.
    changed = not torch.equal(edited.latent.code, source.latent.code)
    assert changed or name == "clip_pae_diffusion"


@pytest.fixture(scope="module")
def portrait(sources) -> Portrait:
    """A photograph whose face is the drawn one."""
    noise = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)
    aligned = align(photo, size=32, aligned=True)
    return Portrait(sources(Space.W_PLUS), photo, aligned, key="one")


@pytest.fixture(scope="module")
def photographs() -> Photographs:
    return Photographs()


def test_a_photograph_stays_bit_for_bit_where_an_edit_does_not_show(
    name, made, edits, sources, portrait, photographs, tied
):
    source, photo = sources(made(name).space), np.array(portrait.photo)
    outcome = photographs.carried(portrait, source, edits(name, "red hair"), tied)
    stayed = np.array(outcome.changed) == 0
    assert np.array_equal(np.array(outcome.image)[stayed], photo[stayed])
    assert outcome.image.size == outcome.changed.size == portrait.photo.size


def test_no_strength_returns_the_source(method, sources, sentence, tied):
    source = sources(method.space)
    assert method.edit(source, sentence, tied, strength=0) is source


def test_a_negative_strength_edits_and_differs_from_a_positive_one(name, method, edits, sources):
    source = sources(method.space)
    forth, back = (edits(name, "red hair", strength) for strength in (1.0, -1.0))
    assert back.image.isfinite().all()
    assert not torch.equal(back.latent.code, source.latent.code)
    assert not torch.allclose(back.latent.code, forth.latent.code, atol=1e-5)


def test_two_wishes_are_not_one(name, edits):
    if name == "styleclip_mapper":
        pytest.skip("its sentence is in its weights")
    if name in ("ganspace", "interfacegan", "stylespace"):
        first, both = edits(name, "red hair"), edits(name, "red hair and a smiling face")
    else:
        first, both = edits(name, "red hair"), edits(name, TWO)
    assert both.image.isfinite().all()
    assert not torch.allclose(both.latent.code, first.latent.code, atol=1e-5)


@pytest.mark.parametrize("name", ["clip_regression", "counterfactual", "ffclip", "maniclip"])
def test_wishes_are_fulfilled_one_after_the_other_where_the_settings_say_so(
    name, made, edits, sources, tied
):
    config = made(name).config
    assert config.mode == "sequential" if name == "maniclip" else config.additions.sequential
    source, method = sources(made(name).space), made(name)
    both = edits(name, TWO).latent.code
    if name == "clip_regression":  # its wishes' steps add up, and CLIP looks at the sum
        steps = [method.delta_s(read(p, "a face", tied.clip)) for p in ("red hair", "glasses")]
        moved = both - source.latent.code
        sizes = torch.tensor(config.step_sizes)
        along = config.strength_scale * config.scale * sum(steps)
        lengths = moved[:, along[0] != 0] / along[:, along[0] != 0]
        assert (sizes - lengths.mean()).abs().min() < 1e-3 and lengths.std() < 1e-3
        return
    one = dataclasses.replace(config, strength_scale=1.0)
    plain = type(method)(one).eval()
    plain.load_state_dict(method.state_dict())
    whole = plain.edit(source, read(TWO, "a face", tied.clip), tied).latent.code
    after = source
    for prompt in ("red hair", "glasses"):
        after = plain.edit(after, read(prompt, "a face", tied.clip), tied)
    torch.testing.assert_close(whole, after.latent.code, rtol=1e-3, atol=1e-4)


TIED = [n for n in shipped() if "tied_layers" in getattr(METHODS[n].config_class, "takes", ())]


@pytest.mark.parametrize("name", TIED)
def test_all_layers_move_alike_on_a_base_that_needs_it(name, made, edits, sources):
    source = sources(made(name).space)
    moved = edits(name, "red hair").latent.code - source.latent.code
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved), rtol=1e-4, atol=1e-5)


def test_a_users_strength_is_multiplied_by_the_published_scale(name, method, edits, sources, tied):
    scale = method.config.strength_scale
    assert scale == published_settings(name)["strength_scale"] > 0
    torch.manual_seed(3)
    with torch.no_grad():
        plain = method(sources(method.space), read("red hair", "a face", tied.clip), tied, scale)
    assert torch.equal(plain.latent.code, edits(name, "red hair").latent.code)


def test_a_descent_begins_along_a_direction_where_the_settings_say_so(made, sources, tied):
    method = made("clip_pae")
    assert method.config.init == "direction" and method.directions.abs().sum() > 0
    source, words = sources(method.space), read("red hair", "a face", tied.clip)
    goal = method.goal(source, words, tied)
    first = method.first_offset(source, goal, words, tied)
    sizes = first.square().mean(dim=(1, 2)).sqrt()
    steps = torch.tensor(method.config.step_sizes)
    assert (steps - sizes).abs().min() < 1e-4


@pytest.mark.parametrize("name", [n for n in shipped() if METHODS[n].kind != "fitted"])
def test_every_term_of_the_published_objective_is_a_number(name, made, edits, sources, tied):
    method = made(name)
    words = read("red hair", "a face", tied.clip)
    with torch.no_grad():
        terms = method.objective(sources(method.space), edits(name, "red hair"), words, tied)
    assert terms and all(t.shape == () and t.isfinite() for t in terms.values())
    used = {f"weight_{term}" for term in terms}
    given = {k for k, v in published_settings(name).items() if k.startswith("weight_") and v}
    extra = {"weight_diversity", "weight_consistency"}  # of several variations; of a subspace
    extra |= {f"weight_{k}" for k in ("code", "image", "outside", "unseen", "disturbed")}  # truth
    assert given - extra <= used


def test_it_edits_the_same_after_saving_and_loading(name, method, edits, sources, tied, tmp_path):
    prints = dict.fromkeys(tied.present(), "sha256:0")
    save_method(method, tmp_path, base="faceedit/tiny", fingerprint=prints, half=False)
    loaded = load_method(type(method), tmp_path)
    assert loaded.config == method.config
    torch.manual_seed(3)
    words = read("red hair", "a face", tied.clip)
    again = loaded.edit(sources(method.space), words, tied)
    assert torch.equal(again.image, edits(name, "red hair").image)
