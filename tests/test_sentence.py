"""Reading a sentence: unit embeddings, one a prompt, and plain words about what cannot be read."""

import copy
from dataclasses import replace

import pytest
import torch

from faceedit.errors import PromptError
from faceedit.methods import METHODS
from faceedit.words.frames import HOUSE, IMAGENET, RAW, frames_of
from faceedit.words.sentence import clean, embed, plain, read


def test_embeddings_have_unit_length_and_one_row_a_prompt(backbones):
    sentence = read(("red hair", "a hat"), "a face", backbones.clip)
    assert sentence.prompt == ("red hair", "a hat") and sentence.neutral == "a face"
    for vectors in (sentence.target, sentence.neutral_embedding):
        assert vectors.shape == (2, backbones.clip.embed_dim)
        assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)


def test_prompt_equal_to_the_neutral_sentence_asks_for_nothing(backbones):
    sentence = read("a face", "a face", backbones.clip)
    assert torch.allclose(sentence.target, sentence.neutral_embedding, atol=1e-6)


def test_an_embedding_is_the_mean_over_the_templates(backbones):
    frames = ["red hair", "portrait, red hair", "face, red hair", "person, red hair"]
    framed = backbones.clip.encode_text(frames)
    wanted = torch.nn.functional.normalize(framed.mean(dim=0), dim=0)
    assert torch.allclose(embed(["red hair"], backbones.clip)[0], wanted, atol=1e-5)


def of_the_web(clip):
    """Return a CLIP with the same weights that was, by its settings, trained on the web."""
    other = copy.copy(clip)
    other.config, other._fed = replace(clip.config, wording="web"), {}
    return other


def test_clip_of_the_web_reads_the_users_own_words(backbones):
    clip = of_the_web(backbones.clip)
    raw = clip.encode_text(["ginger hair", "Specs"])
    assert torch.allclose(read(("ginger hair", "Specs"), "a face", clip).target, raw, atol=1e-6)
    assert plain("Specs", clip) == "Specs" and plain("Specs", backbones.clip) == "glasses"


def test_clip_of_the_web_is_led_from_what_is_denied_to_a_face_without_it(backbones):
    clip = of_the_web(backbones.clip)
    for prompt, wanted, there in (
        ("no beard", "a clean-shaven face", "a face with a beard"),
        ("Red hair without a hat", "red hair, a bare head", "a face with a hat"),
        ("he isn't smiling", "a serious face", "a face with a smile"),
        ("not old", "a young face", "a face"),
        ("Auburn hair", "Auburn hair", "a face"),
    ):
        sentence = read(prompt, "a face", clip)
        assert sentence.prompt == (wanted,)
        assert torch.allclose(sentence.target, embed([wanted], clip))
        assert torch.allclose(sentence.neutral_embedding, embed([there], clip)), prompt
    both = read(["no hat", "red hair"], "a man", clip)
    assert torch.allclose(both.neutral_embedding, embed(["a man with a hat", "a man"], clip))


def test_sentences_of_the_web_are_read_once_in_each_frame(backbones):
    clip, counted = of_the_web(backbones.clip), []
    tower = clip.model.text_model
    hook = tower.register_forward_pre_hook(lambda _, given: counted.append(len(given[0])))
    first = embed(["red hair", "a face", "red hair"], clip)
    again = embed(["a face", "red hair"], clip)
    framed = embed(["a face"], clip, IMAGENET)
    hook.remove()
    assert sum(counted) == 2 + len(IMAGENET)
    assert torch.equal(first[[1, 0]], again) and torch.equal(first[0], first[2])
    assert not torch.equal(framed[0], again[0])


def test_frames_are_the_papers_for_the_web_and_the_houses_for_the_world(backbones):
    assert len(set(IMAGENET)) == 79 and all(frame.count("{}") == 1 for frame in IMAGENET)
    clip = of_the_web(backbones.clip)
    for method in METHODS.values():
        expected = IMAGENET if method.name == "styleclip_global" else RAW
        assert frames_of(clip, method.frames) == expected
        assert frames_of(backbones.clip, method.frames) == HOUSE


def test_images_are_fed_as_the_papers_code_feeds_them(backbones):
    clip, image = of_the_web(backbones.clip), torch.rand(1, 3, 64, 64) * 2 - 1
    boxed = torch.nn.functional.avg_pool2d(image, 2)
    assert torch.allclose(clip.fed("styleclip").pixels(image), boxed, atol=1e-6)
    assert clip.fed("styleclip").model is clip.model and clip.fed("openai") is clip
    assert backbones.clip.fed("styleclip") is backbones.clip


def test_white_space_and_control_characters_are_dropped():
    assert clean("  red\t\n hair\x00\x1b ") == "red hair"
    assert clean("ｒｅｄ hair") == "red hair"  # noqa: RUF001  full-width letters


def test_accents_and_punctuation_are_kept():
    assert clean("a café-brown beard, isn't it?") == "a café-brown beard, isn't it?"


def test_emoji_are_left_out_and_the_user_is_told(caplog):
    assert clean("red hair 👍") == "red hair"
    assert "👍" in caplog.text


@pytest.mark.parametrize("text", ["", "  ", "👍🎉", "?!", "\x00\x07"])
def test_a_prompt_without_words_is_refused(text):
    with pytest.raises(PromptError, match="no words"):
        clean(text)
