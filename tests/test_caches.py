"""What is remembered is asked for anew when anything that decides it is another."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from faceedit.backbones.clip import Clip
from faceedit.editor import FaceEditor
from faceedit.hub.fingerprints import digest
from faceedit.losses.pae import read_corpora
from faceedit.losses.text import common_direction
from faceedit.optimization.codes import code_unit
from faceedit.types import Space
from tests.methods.known import PlusMinus

pytestmark = pytest.mark.usefixtures("no_faces")


@pytest.fixture(scope="module")
def editor(base_folder) -> FaceEditor:
    return FaceEditor.from_pretrained(base_folder)


def drawing(seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)


def test_an_inversion_is_that_of_this_photo_and_of_these_steps(editor):
    first = editor.invert(drawing()).latent.code
    assert editor.invert(drawing()).latent.code is first
    assert not torch.equal(editor.invert(drawing(1)).latent.code, first)
    refined = editor.invert(drawing(), refine_steps=2).latent.code
    assert not torch.equal(refined, first)
    assert editor.invert(drawing()).latent.code is first
    wide = drawing().resize((96, 96))  # the same corner, of another size
    assert not torch.equal(editor.invert(wide).latent.code, first)


def test_an_inverted_path_is_that_of_these_steps_this_depth_and_these_iterations(backbones):
    diffusion, image = backbones.diffusion, torch.randn(1, 3, 16, 16)
    plain = diffusion.inverted(image, 10, 0.5, 1)
    assert diffusion.inverted(image.clone(), 10, 0.5, 1) is plain
    for plan in ((20, 0.5, 1), (10, 0.6, 1), (10, 0.5, 2)):
        other = diffusion.inverted(image, *plan)
        assert other is not plain and diffusion.inverted(image, *plan) is other
    assert diffusion.inverted(image[..., :8, :8], 10, 0.5, 1).end.shape[-1] == 8


def test_only_the_latest_inversions_are_kept(backbones):
    diffusion = backbones.diffusion
    images = [torch.full((1, 3, 4, 4), float(k)) for k in range(9)]
    paths = [diffusion.inverted(image, 10, 0.1, 1) for image in images]
    assert diffusion.inverted(images[-1], 10, 0.1, 1) is paths[-1]
    assert diffusion.inverted(images[0], 10, 0.1, 1) is not paths[0]


def test_every_clip_reads_words_for_itself(backbones):
    torch.manual_seed(9)
    one, other = backbones.clip, Clip(backbones.clip.config, backbones.clip.tokenizer).eval()
    rows = [read_corpora(clip, ["hat"])["hat"].positive for clip in (one, other)]
    assert read_corpora(one, ["hat"])["hat"].positive is rows[0]
    assert not torch.allclose(*rows)
    assert not torch.allclose(common_direction(one), common_direction(other))


def test_every_generator_has_units_of_its_own_in_each_space(backbones):
    class Wider(PlusMinus):
        def sample_w_plus(self, n, draws, truncation_psi):
            return 3 * super().sample_w_plus(n, draws, truncation_psi)

    units = [code_unit(generator, Space.W_PLUS)[0].item() for generator in (PlusMinus(), Wider())]
    assert units[1] == pytest.approx(3 * units[0])
    w, s = (code_unit(backbones.generator, space) for space in (Space.W_PLUS, Space.S))
    assert w.shape != s.shape and code_unit(backbones.generator, Space.W_PLUS) is w


def test_a_file_that_changed_has_another_digest_also_at_its_old_size(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"one")
    before = digest(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    assert digest(path) != before
    path.write_bytes(b"three")
    assert digest(path) != before
