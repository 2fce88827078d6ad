"""An edit's strength says how much of what its sentence names the photograph has to show."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from faceedit import photograph
from faceedit.transfer.carry import Carried
from faceedit.types import Face, Latent, Space


@pytest.mark.parametrize(
    ("strength", "share", "fully"),
    [(0.1, 0.0, False), (0.2, 0.0, False), (0.3, 0.125, False), (0.49, 0.3625, False),
     (0.5, 0.375, True), (0.6, 0.5, True), (1.0, 1.0, True), (2.0, 1.0, True)],
)  # fmt: skip
def test_a_state_is_reached_from_a_fifth_of_the_strength_on(monkeypatch, strength, share, fully):
    asked = []

    def carried(scene, before, after, readers, **given):
        asked.append(given["asked"])
        return Carried(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool), ())

    monkeypatch.setattr(photograph, "carry", carried)
    photographs = photograph.Photographs()
    monkeypatch.setattr(photographs, "_readers_of", lambda backbones: None)
    monkeypatch.setattr(photographs, "_scene", lambda *words: SimpleNamespace(frame=None))
    source, edited = (
        Face(torch.zeros(1, 3, 8, 8), Latent(torch.zeros(1, 1, 2), Space.W_PLUS)) for _ in "ab"
    )
    picture = Image.new("RGB", (8, 8))
    portrait = SimpleNamespace(photo=picture, aligned=picture)
    words = {"prompt": "a laughing face", "strength": strength}
    found = photographs.carried(portrait, source, edited, None, **words)
    assert asked[0].share == pytest.approx(share)
    assert asked[0].fully == fully and asked[0].only and asked[0].known
    assert asked[0].kinds == {"mouth": frozenset({"laughing"})}
    assert found.notes == (photograph.UNCHANGED,)
