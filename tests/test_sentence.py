"""Reading a sentence: unit embeddings, one a prompt, and plain words about what cannot be read."""

import pytest
import torch

from faceedit.errors import PromptError
from faceedit.words.sentence import TEMPLATES, clean, embed, read


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
    framed = backbones.clip.encode_text([t.format("red hair") for t in TEMPLATES])
    wanted = torch.nn.functional.normalize(framed.mean(dim=0), dim=0)
    assert torch.allclose(embed(["red hair"], backbones.clip)[0], wanted, atol=1e-5)


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
