"""What most tests of methods start from: two faces of the tiny generator, and a sentence."""

import pytest
import torch

from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import read


@pytest.fixture
def face(backbones) -> Face:
    w_plus = backbones.generator.sample_w_plus(2, torch.Generator().manual_seed(5))
    with torch.no_grad():
        return Face(backbones.generator(w_plus), Latent(w_plus, Space.W_PLUS))


@pytest.fixture
def sentence(backbones) -> Sentence:
    return read("red hair", "a face", backbones.clip)
