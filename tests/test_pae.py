"""CLIP-PAE's target: official numbers, what its formulas promise, its use in other methods."""

import dataclasses
import logging

import pytest
import torch
import torch.nn.functional as F

from faceedit.inversion import to_space
from faceedit.losses import pae
from faceedit.losses.pae import PaeSettings
from faceedit.losses.projections import (
    EmbeddedCorpus,
    Projection,
    coefficients,
    gram_schmidt,
    make_basis,
    principal,
    project,
    span,
    symmetric,
)
from faceedit.methods import METHODS
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.corpora import CORPORA
from faceedit.words.sentence import embed, read
from tests.golden import official
from tests.test_contract import make_method

BASES = [p for p in Projection if p is not Projection.NONE]
ROWS = {"emotion": slice(0, 6), "eye": slice(6, 8), "mouth": slice(8, 10)}


# Official numbers ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden() -> official.Golden:
    return official.load("clip_pae_targets")


@pytest.fixture(scope="module")
def images(golden) -> torch.Tensor:
    """Image features, once for each text: text-major, as in the official code."""
    return golden.input("image_features").repeat(4, 1)


@pytest.fixture(scope="module")
def prompts(golden) -> torch.Tensor:
    rows = golden.input("basis_prompt_embeddings") + golden.input("text_common")
    return F.normalize(rows, dim=-1)


@pytest.fixture(scope="module")
def texts(golden, prompts) -> torch.Tensor:
    rows = golden.input("text_embeddings") + golden.input("text_common")
    rows[0] = prompts[0]
    return F.normalize(rows, dim=-1).repeat_interleave(3, dim=0)


def check(golden, name: str, mine: torch.Tensor) -> None:
    difference, allowed = golden.difference(name, mine)
    assert difference <= allowed, name


def powers(golden) -> list[tuple[float, str]]:
    return [(power, f"p{power:g}") for power in golden.parameters["powers"]]


def test_gram_schmidt_matches_official_numbers(golden, prompts):
    check(golden, "gram_schmidt_emotion", gram_schmidt(prompts[ROWS["emotion"]]))


def test_pca_finds_the_official_components_and_explains_more(golden):
    """The official one is randomized, so on a flat spectrum it comes near, not to the digit."""
    corpus = golden.input("corpus_embeddings") + golden.input("text_common")
    whitened = (corpus - corpus.mean(dim=0)) / corpus.std(dim=0, correction=0)
    mine = principal(whitened, golden.parameters["components"])
    wanted = torch.from_numpy(golden.values["pca_basis_5__val"])
    assert ((mine * wanted).sum(dim=-1).abs() > 0.85).all()
    assert (whitened @ mine.T).var() >= (whitened @ wanted.T).var()


def test_plain_form_matches_official_numbers(golden, images, texts):
    images_found = torch.zeros_like(images)
    for power, name in powers(golden):
        length = images.norm(dim=-1, keepdim=True)
        whole = (images + power * texts).norm(dim=-1, keepdim=True)
        for i, image in enumerate(images / length):  # ours is for images of one length, and unit
            settings = PaeSettings(alpha_plain=power * pae.IMAGE_NORM / length[i].item())
            mine = pae.pae_target(image[None], texts[i][None], texts[i][None], None, settings)
            images_found[i] = mine[0] * whole[i]
        check(golden, f"pae_emotion_{name}", images_found)


@pytest.mark.parametrize("attribute", list(ROWS))
def test_gram_schmidt_target_matches_official_numbers(attribute, golden, images, texts, prompts):
    basis = gram_schmidt(prompts[ROWS[attribute]])
    for power, name in powers(golden):
        if f"paeGS+_{attribute}_{name}" in golden.about["outputs"]:
            mine = pae.augment(images, basis, power, texts, pae.mass(texts, basis))
            check(golden, f"paeGS+_{attribute}_{name}", mine)


@pytest.mark.parametrize("attribute", ["emotion", "eye"])
def test_target_of_raw_prompts_matches_official_numbers(attribute, golden, images, texts, prompts):
    for power, name in powers(golden):
        if f"pae+_{attribute}_{name}" in golden.about["outputs"]:
            mine = pae.augment(images, prompts[ROWS[attribute]], power, texts, 1.0)
            check(golden, f"pae+_{attribute}_{name}", mine)


def test_pca_target_matches_official_numbers(golden, images, texts):
    basis = torch.from_numpy(golden.values["pca_basis_5__val"]).reshape(5, -1)
    for power, name in powers(golden):
        mass = coefficients(texts, basis).sum(dim=-1)  # not guarded, as in the official code
        mine = pae.augment(images, basis, power, texts, mass)
        check(golden, f"paePCA+_emotion_{name}", mine)


def test_direct_projection_matches_official_numbers(golden, texts, prompts):
    basis = gram_schmidt(prompts[ROWS["emotion"]])
    check(golden, "dpeGS_emotion_p8", coefficients(texts, basis))


# Formulas -----------------------------------------------------------------------------------------


@pytest.fixture
def corpus() -> EmbeddedCorpus:
    rows = F.normalize(torch.randn(11, 32) + torch.randn(32), dim=-1)
    return EmbeddedCorpus(rows[:5], rows[5:9], rows[9:])


@pytest.mark.parametrize("projection", BASES)
def test_basis_is_orthonormal(projection, corpus):
    basis = make_basis([corpus], projection, 3)
    assert torch.allclose(basis @ basis.T, torch.eye(len(basis)), atol=1e-5)


def test_a_corpus_is_named_by_all_words_of_one_of_its_prompts():
    corpus = dataclasses.replace(
        CORPORA["hairstyle"], positive=("curly red hair",), negative=("bald",), neutral=()
    )
    assert pae._is_named("curly red hair", corpus)  # no more and no less
    assert pae._is_named("a hat and curly red hair", corpus) and pae._is_named("bald", corpus)
    assert not pae._is_named("red hair", corpus)


def test_a_span_has_as_many_axes_as_directions_that_matter():
    """A row that nearly is the sum of others adds no axis, one that is small but its own does."""
    rows = torch.eye(4)[:3].clone()
    rows[2] = rows[0] + 1e-5 * rows[2]
    assert len(span(rows)) == 2
    rows[2] = torch.tensor([1.0, 0, 0.05, 0])
    assert len(span(rows)) == 3
    assert torch.allclose(span(2 * torch.eye(4)[:2]).abs().sum(0), torch.tensor([1.0, 1, 0, 0]))


@pytest.mark.parametrize("projection", BASES)
def test_projection_removes_what_is_outside_the_subspace(projection, corpus):
    basis = make_basis([corpus], projection, 3)
    vectors = torch.randn(4, 32)
    inside = project(vectors, basis)
    rank = torch.linalg.matrix_rank(torch.cat([corpus.prompts, inside]))
    assert rank == len(corpus.prompts)
    assert torch.allclose(project(inside, basis), inside, atol=1e-5)
    assert torch.allclose((vectors - inside) @ basis.T, torch.zeros(4, len(basis)), atol=1e-5)


@pytest.mark.parametrize("projection", ["span", "gram_schmidt", "symmetric"])
def test_bases_of_all_prompts_span_the_same_subspace(projection, corpus):
    basis = make_basis([corpus], Projection(projection), 3)
    assert torch.allclose(project(corpus.prompts, basis), corpus.prompts, atol=1e-5)


@pytest.mark.parametrize("projection", ["span", "gram_schmidt", "symmetric"])
def test_dependent_prompts_do_no_harm(projection):
    rows = F.normalize(torch.randn(3, 32), dim=-1)
    twice = EmbeddedCorpus(rows[[0, 1, 0]], rows[[2, 1]], rows[:1])
    basis = make_basis([twice], Projection(projection), 3)
    assert torch.allclose(project(rows, basis), rows, atol=1e-5)


@pytest.mark.parametrize("projection", ["pca", "contrast"])
def test_a_basis_has_at_most_a_third_of_the_prompts_as_rows(projection, corpus):
    assert len(corpus.prompts) == 9
    assert len(make_basis([corpus], Projection(projection), 10)) == 3
    assert len(make_basis([corpus], Projection(projection), 2)) == 2
    two = EmbeddedCorpus(corpus.positive[:1], corpus.negative[:1], corpus.neutral)
    assert len(make_basis([two], Projection(projection), 10)) == 1


def test_principal_components_are_those_around_the_mean(corpus):
    shift = 5 * F.normalize(torch.randn(32), dim=-1)
    moved = EmbeddedCorpus(corpus.positive + shift, corpus.negative + shift, corpus.neutral)
    a, b = (make_basis([c], Projection.PCA, 3) for c in (corpus, moved))
    assert torch.allclose(project(torch.eye(32), a), project(torch.eye(32), b), atol=1e-3)


# Numbers worked out by hand: W is the plane of the first two axes of four.
PLANE = torch.eye(4)[:2]
IMAGE, TEXT = torch.tensor([[0.6, -0.2, 0.5, 0.1]]), torch.tensor([[0.3, 0.1, 0.7, 0.0]])


def test_numbers_of_the_papers_augmentation():
    """c = (0.6, -0.2), d = (0.3, 0.1): what is received is alpha (0.8 / 0.4) (0.3, 0.1)."""
    along, mass = project(TEXT, PLANE), pae.mass(TEXT, PLANE)
    assert mass.item() == pytest.approx(0.4)
    found = pae.augment(IMAGE, PLANE, 0.5, along, mass)[0].tolist()
    assert found == pytest.approx([0.6 - 0.3 + 0.3, -0.2 - 0.1 + 0.1, 0.5, 0.1])
    full = pae.augment(IMAGE, PLANE, 0.5, TEXT, mass)[0].tolist()
    assert full == pytest.approx([0.6, -0.2, 0.5 + 0.7, 0.1])


def test_numbers_of_the_augmentation_of_axes():
    """They have no side of their own, so both are weakened by what they hold."""
    found = pae.augment_axes(IMAGE, PLANE, 0.5, project(TEXT, PLANE), TEXT)[0].tolist()
    assert found == pytest.approx([0.6 - 0.3 + 0.3, -0.2 + 0.1 + 0.1, 0.5, 0.1])


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        ({"projection": "gram_schmidt", "alpha": 0.5}, [0.6, -0.2, 0.5, 0.1]),
        ({"projection": "span", "alpha": 1.0}, [0.6, 0.2, 0.5, 0.1]),
        ({"projection": "pca", "alpha": 1.0, "added_text": "full"}, [0.6, 0.2, 1.9, 0.1]),
        ({"projection": "contrast", "alpha": 2.0}, [0.6 + 0.4, -0.2, 0.5, 0.1]),
        (
            {"projection": "contrast", "alpha": 2.0, "normalize_text_direction": True},
            [0.6 + 2.0, -0.2, 0.5, 0.1],
        ),
    ],
)
def test_numbers_of_targets(settings, target):
    neutral = torch.tensor([[0.1, 0.1, 0.9, 0.0]])
    found = pae.pae_target(IMAGE, TEXT, neutral, PLANE, PaeSettings(**settings))
    torch.testing.assert_close(found, F.normalize(torch.tensor([target]), dim=-1))


def test_numbers_of_the_target_without_a_subspace():
    found = pae.pae_target(IMAGE, TEXT, TEXT, None, PaeSettings(alpha_plain=20.0))
    wanted = torch.tensor([[0.6 + 0.6, -0.2 + 0.2, 0.5 + 1.4, 0.1]])  # e_I + 2 e_T
    torch.testing.assert_close(found, F.normalize(wanted, dim=-1))


@pytest.mark.parametrize(
    ("text", "mass"),
    [((0.3, 0.1), 0.4), ((0.5, -0.2), 0.3), ((0.5, -0.4), 0.9), ((-0.5, 0.1), 0.6)],
)
def test_mass_of_a_text_is_the_sum_unless_the_signs_nearly_cancel(text, mass):
    assert pae.mass(torch.tensor([text]), torch.eye(2)).item() == pytest.approx(mass)


def test_numbers_of_bases():
    rows = torch.tensor([[2.0, 0.0, 0.0], [3.0, 4.0, 0.0], [5.0, 0.0, 0.0]])
    assert gram_schmidt(rows).tolist() == [[1, 0, 0], [0, 1, 0]]
    strong = torch.tensor([[0.0, 3.0, 0.0], [1.0, 0.0, 0.0], [0.0, -3.0, 0.0]])
    assert span(strong).abs().tolist() == [[0, 1, 0], [1, 0, 0]]
    turned = symmetric(torch.tensor([[1.0, 0.2], [0.2, 1.0]]))
    assert turned.abs().tolist() == [[1, 0], [0, 1]] or torch.allclose(
        turned, torch.eye(2), atol=1e-5
    )


def test_numbers_of_consistency_and_diversity():
    """Outside of the plane: (1, 0), (0, 1) and (1, 1)."""
    rows = torch.tensor([[0.3, 0.1, 1.0, 0.0], [0.0, 0.9, 0.0, 1.0], [0.5, 0.5, 1.0, 1.0]])
    near = 1 - 0.5**0.5
    assert pae.consistency_distance(rows[:1], rows[2:], [PLANE]).item() == pytest.approx(near)
    assert pae.diversity_penalty(rows, [PLANE]).item() == pytest.approx(2 * 0.5**0.5 / 3)
    assert pae.diversity_penalty(rows[:2], [None]).item() == pytest.approx(
        0.09 / 1.1**0.5 / 1.81**0.5, rel=1e-4
    )


def test_symmetric_basis_does_not_depend_on_the_order(corpus):
    order = torch.randperm(9)
    rows = corpus.prompts
    assert torch.allclose(symmetric(rows)[order], symmetric(rows[order]), atol=1e-4)
    assert not torch.allclose(gram_schmidt(rows)[order], gram_schmidt(rows[order]))


def test_contrast_ignores_what_both_ends_share(corpus):
    shared = F.normalize(torch.randn(32), dim=-1)
    plain, moved = (
        EmbeddedCorpus(corpus.positive + x, corpus.negative + x, corpus.neutral)
        for x in (0.0, 5 * shared)
    )
    a, b = (make_basis([c], Projection.CONTRAST, 2) for c in (plain, moved))
    assert torch.allclose(project(torch.eye(32), a), project(torch.eye(32), b), atol=1e-4)


@pytest.mark.parametrize("projection", BASES)
def test_target_keeps_what_is_outside_the_subspace(projection, corpus):
    basis = make_basis([corpus], projection, 3)
    image, text = (F.normalize(torch.randn(2, 32), dim=-1) for _ in range(2))
    for alpha in (0.5, 4.0):
        target = pae.augment(image, basis, alpha, project(text, basis), pae.mass(text, basis))
        kept = target - project(target, basis)
        assert torch.allclose(kept, image - project(image, basis), atol=1e-4)


def test_augmentation_with_power_zero_gives_the_image_back(corpus):
    basis = make_basis([corpus], Projection.SPAN, 3)
    image, text = torch.randn(2, 32), torch.randn(2, 32)
    assert torch.equal(pae.augment(image, basis, 0.0, text, 1.0), image)


@pytest.mark.parametrize("projection", ["span", "pca"])
def test_power_turns_what_is_inside_the_subspace_into_the_text(projection, corpus):
    settings = [PaeSettings(Projection(projection), alpha=x) for x in (0.0, 0.25, 0.5, 1.0)]
    basis = make_basis([corpus], settings[0].projection, 3)
    image, text = F.normalize(torch.randn(1, 32), dim=-1), corpus.prompts[:1]
    targets = [pae.pae_target(image, text, text, basis, x) for x in settings]
    inside = [F.normalize(project(x, basis), dim=-1) for x in (*targets, text)]
    cosines = [(x * inside[-1]).sum().item() for x in inside[:-1]]
    assert cosines == sorted(cosines)
    assert cosines[-1] == pytest.approx(1, abs=1e-4)


def test_contrast_moves_towards_the_end_that_is_asked_for(corpus):
    settings = PaeSettings(Projection.CONTRAST)
    basis = make_basis([corpus], settings.projection, 3)
    image, neutral = (F.normalize(torch.randn(1, 32), dim=-1) for _ in range(2))
    ends = (corpus.positive.mean(0, keepdim=True), corpus.negative.mean(0, keepdim=True))
    high, low = (pae.pae_target(image, end, neutral, basis, settings) for end in ends)
    assert ((high - low) * (ends[0] - ends[1])).sum() > 0


@pytest.mark.parametrize("normalize_text_direction", [False, True])
def test_a_normalized_direction_moves_a_weak_sentence_as_far_as_a_strong_one(
    corpus, normalize_text_direction
):
    settings = PaeSettings(Projection.CONTRAST, normalize_text_direction=normalize_text_direction)
    basis = make_basis([corpus], settings.projection, 3)
    image, neutral = (F.normalize(torch.randn(1, 32), dim=-1) for _ in range(2))
    strong = corpus.positive.mean(0, keepdim=True)
    weak = neutral + 0.3 * (strong - neutral)
    far, near = (pae.pae_target(image, t, neutral, basis, settings) for t in (strong, weak))
    assert torch.allclose(far, near, atol=1e-5) == normalize_text_direction


def test_text_mass_near_zero_does_not_blow_the_target_up():
    basis = torch.eye(4)[:2]
    text = torch.tensor([[0.7, -0.7001, 0.1, 0.0]])
    assert pae.mass(text, basis).item() == pytest.approx(1.4, abs=1e-3)


def test_consistency_and_diversity_look_outside_the_subspace_only():
    basis = torch.eye(4)[:2]
    source = torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    inside = source + torch.tensor([[0.3, -0.4, 0.0, 0.0]])
    outside = source + torch.tensor([[0.0, 0.0, 0.5, -0.5]])
    assert pae.consistency_distance(inside, source, [basis]).item() == pytest.approx(0, abs=1e-6)
    assert pae.consistency_distance(outside, source, [basis]) > 0.1
    alike = pae.diversity_penalty(torch.cat([source, inside]), [basis])
    apart = pae.diversity_penalty(torch.cat([source, outside]), [basis])
    assert alike.item() == pytest.approx(1, abs=1e-5) and apart < alike
    with pytest.raises(ValueError, match="two or more"):
        pae.diversity_penalty(source, [basis])


# Corpora and their choice -------------------------------------------------------------------------


def test_there_are_corpora_for_at_least_ten_characteristics():
    assert len(CORPORA) >= 10
    for corpus in CORPORA.values():
        assert len(corpus.positive) >= 3 and len(corpus.negative) >= 3 and corpus.neutral
        assert len(set(corpus.prompts)) == len(corpus.prompts)


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("red hair", {"hair_color"}),
        ("a happy face", {"expression"}),
        ("wearing round glasses", {"glasses"}),
        ("an old man", {"age", "gender"}),
        ("a woman with long red hair", {"gender", "hair_color", "hairstyle"}),
        ("blue eyes", {"eye_color"}),
        ("a face without a beard", {"beard"}),
    ],
)
def test_words_choose_their_own_characteristic(prompt, wanted, backbones):
    text = embed([prompt], backbones.clip)[0]
    assert set(pae.choose(prompt, text, backbones.clip)) == wanted


def test_other_words_are_nearest_to_the_corpus_that_holds_them(corpus):
    other = EmbeddedCorpus(*(-rows for rows in (corpus.positive, corpus.negative, corpus.neutral)))
    fits = pae.fitness(corpus.positive[1], {"one": corpus, "two": other})
    assert fits["one"] == pytest.approx(1, abs=1e-5) and fits["two"] < fits["one"]


def test_other_words_choose_the_nearest_characteristic(corpora_of_two, backbones):
    assert pae.choose("?", corpora_of_two, backbones.clip, fit=0.5) == ("one",)


def test_warns_where_no_characteristic_fits(corpora_of_two, backbones, caplog):
    with caplog.at_level(logging.WARNING, logger="faceedit.losses.pae"):
        assert pae.choose("racing car", corpora_of_two, backbones.clip, fit=1.5) == ()
    assert "no characteristic fits 'racing car'" in caplog.text


@pytest.fixture
def corpora_of_two(corpus, monkeypatch) -> torch.Tensor:
    """Two known corpora instead of ours; returns a text that is one of the first's prompts."""
    other = EmbeddedCorpus(*(-rows for rows in (corpus.positive, corpus.negative, corpus.neutral)))
    monkeypatch.setattr(pae, "read_corpora", lambda clip: {"one": corpus, "two": other})
    return corpus.positive[1]


def test_settings_refuse_a_characteristic_that_does_not_exist():
    with pytest.raises(ValueError, match="hair_color"):
        PaeSettings(characteristics=("hair colour",))
    with pytest.raises(ValueError, match="nonsense"):
        PaeSettings(projection="nonsense")  # type: ignore[arg-type]


# The target in other methods ----------------------------------------------------------------------


@pytest.fixture
def face(backbones) -> Face:
    w_plus = backbones.generator.sample_w_plus(2, torch.Generator().manual_seed(5))
    with torch.no_grad():
        return Face(backbones.generator(w_plus), Latent(w_plus, Space.W_PLUS))


@pytest.fixture
def sentence(backbones) -> Sentence:
    return read("red hair", "a face", backbones.clip)


@pytest.mark.parametrize("projection", list(Projection))
def test_sentence_gets_one_unit_target_for_each_image(projection, face, sentence, backbones):
    settings = PaeSettings(projection=projection)
    aim = pae.pae_sentence(sentence, face.image, backbones.clip, settings)
    assert aim.prompt == sentence.prompt * 2
    assert aim.target.shape == (2, backbones.clip.embed_dim)
    assert torch.allclose(aim.target.norm(dim=-1), torch.ones(2), atol=1e-5)
    assert not torch.allclose(aim.target[0], aim.target[1])


def test_no_images_give_no_targets(face, sentence, backbones):
    aim = pae.pae_sentence(sentence, face.image[:0], backbones.clip)
    assert aim.target.shape == (0, backbones.clip.embed_dim)


def test_each_prompt_has_its_own_subspace(face, backbones):
    both = read(["red hair", "glasses"], "a face", backbones.clip)
    aim = pae.pae_sentence(both, face.image, backbones.clip)
    for i, prompt in enumerate(both.prompt):
        alone = read(prompt, "a face", backbones.clip)
        wanted = pae.pae_sentence(alone, face.image[i : i + 1], backbones.clip)
        assert torch.allclose(aim.target[i], wanted.target[0], atol=1e-5)


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if "clip" in m.needs])
def test_target_is_usable_in_every_method_that_reads_clip(name, face, sentence, backbones):
    method = make_method(name, backbones, steps=2)
    source = to_space(face, method.space, backbones)
    aim = pae.pae_sentence(sentence, face.image, backbones.clip)
    edited = method.edit(source, aim, backbones)
    assert edited.image.isfinite().all()
    assert not torch.equal(edited.latent.code, source.latent.code)
    if method.kind in ("trained", "optimized"):
        plain = dataclasses.replace(sentence, target=sentence.target.expand(2, -1))
        scores = [
            sum(method.objective(source, source, s, backbones).values()) for s in (aim, plain)
        ]
        assert all(score.isfinite() for score in scores)
