"""What every method promises. A new method is found here by itself: it is in METHODS."""

import dataclasses
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import faceedit.methods
from faceedit import hub
from faceedit.backbones import Backbones
from faceedit.errors import MissingBackboneError, UnknownMethodError
from faceedit.inversion import to_space
from faceedit.method import EditMethod, MethodConfig, keep_outside_mask
from faceedit.method_repo import load_method, save_method
from faceedit.methods import METHODS, method_class
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import read

# Enough for an optimized method to get somewhere on tiny networks. An untrained segmenter sees a
# little of every region everywhere, so nothing is held by it.
FEW = {"steps": 12, "iterations": 1, "draft_iterations": 2, "additions": {}, "images": 2}
FEW |= {"faces": 2, "gradient_faces": 4}
OF_SCHEDULE = {"steps": 10}  # of denoising: it must divide the schedule
PROMPT = "red hair"


def of_kind(*kinds: str) -> list[str]:
    return [name for name, method in METHODS.items() if method.kind in kinds]


def make_method(name: str, backbones: Backbones, **settings: Any) -> EditMethod:
    """Build a method on tiny networks, and fit it if it is one that is fitted."""
    wanted = METHODS[name]
    names = {field.name for field in dataclasses.fields(wanted.config_class)}
    few = {**FEW, **settings, **(OF_SCHEDULE if "diffusion" in wanted.needs else {})}
    settings = {name: value for name, value in few.items() if name in names}
    method = wanted.build(backbones, **settings)
    if wanted.kind == "fitted":
        latents = backbones.generator.sample_w_plus(16, torch.Generator().manual_seed(1), 1.0)
        method.fit(latents, None, backbones)
    return method.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def made(backbones):
    """Make a method, each once, when a test asks for it."""
    return cache(lambda name: make_method(name, backbones))


@pytest.fixture(params=list(METHODS))
def method(request, made) -> EditMethod:
    return made(request.param)


@pytest.fixture(scope="module")
def face(backbones) -> Face:
    w_plus = backbones.generator.sample_w_plus(1, torch.Generator().manual_seed(5), 0.7)
    with torch.no_grad():
        return Face(backbones.generator(w_plus), Latent(w_plus, Space.W_PLUS))


@pytest.fixture(scope="module")
def in_space(face, backbones):
    """The face with its code in a space, each once."""
    return cache(lambda space: to_space(face, space, backbones))


@pytest.fixture
def source(method, in_space) -> Face:
    return in_space(method.space)


@pytest.fixture(scope="module")
def edits(made, in_space, backbones):
    """A method's edit of the face, each once; tests that only look at it share it."""

    def edit(name: str) -> Face:
        method = made(name)
        torch.manual_seed(3)
        return method.edit(
            in_space(method.space), read(PROMPT, "a face", backbones.clip), backbones
        )

    return cache(edit)


@pytest.fixture
def sentence(backbones) -> Sentence:
    return read(PROMPT, "a face", backbones.clip)


# Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(METHODS))
def test_method_has_one_name_everywhere(name):
    wanted = METHODS[name]
    assert wanted.name == name
    assert wanted.__module__ == f"faceedit.methods.{name}"
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)


@pytest.mark.parametrize("name", list(METHODS))
def test_method_says_which_paper_it_is(name):
    text = Path(faceedit.methods.__file__).with_name(f"{name}.py").read_text()
    assert re.search(r"arXiv:\d{4}\.\d{5}", text)


@pytest.mark.parametrize("name", list(METHODS))
def test_method_config_is_frozen_and_has_defaults(name):
    config_class = METHODS[name].config_class
    assert issubclass(config_class, MethodConfig)
    with pytest.raises(dataclasses.FrozenInstanceError):
        field = dataclasses.fields(config_class)[0].name
        setattr(config_class(), field, None)


def test_unknown_method_lists_the_known_ones():
    with pytest.raises(UnknownMethodError, match="styleclip_global"):
        method_class("styleclip_gobal")


# The edit -----------------------------------------------------------------------------------------


def test_edit_with_zero_strength_returns_the_source(method, source, sentence, backbones):
    assert method.edit(source, sentence, backbones, strength=0) is source


def test_edit_returns_an_image_and_a_code_like_the_source(method, source, edits):
    edited = edits(method.name)
    assert edited.image.shape == source.image.shape
    assert edited.latent.code.shape == source.latent.code.shape
    assert edited.latent.space is method.space
    assert edited.image.isfinite().all()
    assert not edited.image.requires_grad


def test_edit_changes_the_face(method, source, edits):
    assert not torch.equal(edits(method.name).latent.code, source.latent.code)


def test_edit_leaves_the_source_and_the_networks_alone(method, source, sentence, backbones):
    code = source.latent.code.clone()
    before = {k: v.clone() for k, v in backbones.generator.state_dict().items()}
    method.edit(source, sentence, backbones)
    assert torch.equal(source.latent.code, code)
    for name, tensor in backbones.generator.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(p.grad is None for n in backbones.present().values() for p in n.parameters())


def test_edit_is_the_same_twice_and_needs_only_the_networks_that_it_names(
    method, source, sentence, backbones, edits
):
    named = Backbones(**{name: getattr(backbones, name) for name in method.needs})
    torch.manual_seed(3)
    again = method.edit(source, sentence, named)
    assert torch.equal(again.image, edits(method.name).image)


def test_edit_names_the_network_that_is_missing(method, source, sentence, backbones):
    name = "generator" if "generator" in method.needs else sorted(method.needs)[0]
    without = dataclasses.replace(backbones, **{name: None})
    with pytest.raises(MissingBackboneError, match=name):
        method.edit(source, sentence, without)


def test_edit_refuses_a_code_of_another_space(method, source, sentence, backbones):
    elsewhere = dataclasses.replace(source, latent=Latent(source.latent.code, Space.Z))
    with pytest.raises(ValueError, match=f"{method.name} edits {method.space.value} codes, got z"):
        method.edit(elsewhere, sentence, backbones)


def test_edit_leaves_pixels_outside_the_mask_alone(method, source, sentence, backbones):
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :16] = 1
    edited = method.edit(dataclasses.replace(source, mask=mask), sentence, backbones)
    assert torch.equal(edited.image[..., 16:], source.image[..., 16:])


def test_a_mask_lets_as_much_of_the_change_through_as_it_says():
    latent = Latent(torch.zeros(1, 2, 4), Space.W_PLUS)
    mask = torch.tensor([[0.0, 0.25], [0.5, 1.0]])[None, None]
    source = Face(torch.ones(1, 3, 2, 2), latent, mask)
    kept = keep_outside_mask(source, Face(torch.full((1, 3, 2, 2), 3.0), latent))
    assert kept.image[0, 0].tolist() == [[1.0, 1.5], [2.0, 3.0]]
    small = dataclasses.replace(source, mask=torch.full((1, 1, 1, 1), 0.5))
    kept = keep_outside_mask(small, Face(torch.full((1, 3, 2, 2), 3.0), latent))
    assert kept.image.unique().tolist() == [2.0] and kept.mask.shape == (1, 1, 2, 2)


def test_edit_leaves_layers_outside_the_range_alone(method, source, sentence, backbones):
    if method.space not in (Space.W_PLUS, Space.S):
        pytest.skip("its codes have no layers")
    edited = method.edit(source, sentence, backbones, layers=(2, 4))
    kept = layer_of_each_number(method.space, backbones)
    outside = (kept < 2) | (kept >= 4)
    assert torch.equal(edited.latent.code[:, outside], source.latent.code[:, outside])


def layer_of_each_number(space: Space, backbones: Backbones) -> torch.Tensor:
    """The w_plus layer that each entry of a code's second axis belongs to."""
    generator = backbones.generator
    if space is Space.W_PLUS:
        return torch.arange(generator.num_ws)
    return torch.cat([torch.full((x.channels,), x.w_index) for x in generator.style_layers])


# Saving -------------------------------------------------------------------------------------------


def test_saved_method_edits_the_same_after_loading(
    method, source, sentence, backbones, edits, tmp_path
):
    prints = dict.fromkeys(backbones.present(), "sha256:0")
    save_method(method, tmp_path, base="faceedit/tiny", fingerprint=prints, half=False)
    loaded = load_method(type(method), tmp_path)
    assert loaded.config == method.config
    torch.manual_seed(3)
    after = loaded.edit(source, sentence, backbones)
    assert torch.equal(edits(method.name).image, after.image)


def test_saved_method_holds_no_frozen_network(method, tmp_path):
    prints = dict.fromkeys(method.needs, "sha256:0")
    save_method(method, tmp_path, base="faceedit/tiny", fingerprint=prints)
    has_weights = (tmp_path / hub.WEIGHTS).exists()
    assert has_weights == (method.kind != "optimized")


# The score ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", of_kind("trained", "optimized"))
def test_objective_gives_scalar_terms(name, made, in_space, sentence, backbones, edits):
    source = in_space(made(name).space)
    terms = made(name).objective(source, edits(name), sentence, backbones)
    assert terms
    assert all(term.shape == () and term.isfinite() for term in terms.values())


@pytest.mark.parametrize("name", of_kind("trained"))
def test_training_scores_the_image_that_edit_returns(name, backbones, face, sentence):
    method = make_method(name, backbones).requires_grad_(True)
    source = to_space(face, method.space, backbones)
    trained = method(source, sentence, backbones)
    assert torch.equal(trained.image, method.edit(source, sentence, backbones).image)
    sum(method.objective(source, trained, sentence, backbones).values()).backward()
    assert any(p.grad is not None and p.grad.any() for p in method.parameters())


@pytest.mark.parametrize("name", of_kind("optimized"))
def test_optimized_edit_lowers_its_own_objective(name, made, in_space, sentence, backbones, edits):
    method = made(name)
    source = in_space(method.space)
    with torch.no_grad():
        before = sum(method.objective(source, source, sentence, backbones).values())
        after = sum(method.objective(source, edits(name), sentence, backbones).values())
    assert after < before
