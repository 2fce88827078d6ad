import math

import numpy as np
import pytest
import torch

from faceedit.errors import FaceEditError, PromptError, RequestError
from faceedit.types import MAX_PROMPT, EditRequest, Face, Latent, Space, check_shape


def test_request_defaults_are_the_papers_edit():
    request = EditRequest("red hair")
    assert (request.strength, request.neutral, request.seed) == (1.0, "a face", 0)


def test_request_tidies_white_space():
    assert EditRequest("  red \n\t hair ").prompt == "red hair"


def test_request_keeps_emoji_and_accents():
    assert EditRequest("une tête 🙂").prompt == "une tête 🙂"


@pytest.mark.parametrize("prompt", ["", "   ", "\n", "\0", None, 3, b"red", ["red hair"]])
def test_request_refuses_a_prompt_without_words(prompt):
    with pytest.raises(PromptError, match="red hair"):
        EditRequest(prompt)


def test_request_refuses_ten_thousand_words_and_states_the_limit():
    with pytest.raises(PromptError, match=str(MAX_PROMPT)):
        EditRequest("red " * 10_000)


def test_request_refuses_an_empty_neutral_sentence():
    with pytest.raises(PromptError, match="neutral"):
        EditRequest("red hair", neutral=" ")


@pytest.mark.parametrize("strength", [math.nan, math.inf, -math.inf, 1e9, "much", None, [1]])
def test_request_refuses_a_strength_that_cannot_be_applied(strength):
    with pytest.raises(RequestError, match="strength"):
        EditRequest("red hair", strength=strength)


def test_request_reads_numbers_of_other_libraries():
    request = EditRequest("red hair", strength=np.float32(0.5), seed=np.int64(3))
    assert (request.strength, request.seed) == (0.5, 3)


@pytest.mark.parametrize("seed", [-1, 1.5, 2**64, math.nan, "one", None, True])
def test_request_refuses_a_seed_that_is_no_seed(seed):
    with pytest.raises(RequestError, match="seed"):
        EditRequest("red hair", seed=seed)


@pytest.mark.parametrize("layers", [(4,), (4, 4), (-1, 2), (8, 4), "all", 3, (1, 2, 3)])
def test_request_refuses_layers_that_are_no_range(layers):
    with pytest.raises(RequestError, match="layers"):
        EditRequest("red hair", layers=layers)


def test_request_takes_a_list_of_layers():
    assert EditRequest("red hair", layers=[4, 8]).layers == (4, 8)


@pytest.mark.parametrize("name", ["", " ", 3])
def test_request_refuses_a_method_that_is_no_name(name):
    with pytest.raises(RequestError, match="method"):
        EditRequest("red hair", method=name)


def test_bad_values_are_value_errors_too():
    with pytest.raises(ValueError, match="empty"):
        EditRequest("")
    assert issubclass(PromptError, FaceEditError)


def test_check_shape_takes_any_size_for_none():
    check_shape(torch.zeros(5, 10, 16), (None, 10, 16))


def test_check_shape_says_what_was_given_and_what_is_needed():
    with pytest.raises(ValueError, match=r"w_plus has shape \[5, 9, 16\]; .* \[any, 10, 16\]"):
        check_shape(torch.zeros(5, 9, 16), (None, 10, 16), "w_plus")


def test_face_becomes_a_picture_with_the_full_range():
    image = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    picture = Face(image, Latent(torch.zeros(1, 1), Space.W)).to_pil()
    assert picture.size == (4, 4)
    assert picture.getpixel((0, 0)) == (0, 128, 255)
