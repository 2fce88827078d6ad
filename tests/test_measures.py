"""What the Space says of results, in numbers worked out by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from demo.measures import Tile, best_of, collateral, in_order, verdict
from faceedit.backbones import Backbones
from faceedit.backbones.attributes import AttributeHead


def tile(name: str, sentence=None, identity=None, collateral=None, **more) -> Tile:
    return Tile(name, name.upper(), "", "", 1.0, sentence, identity, collateral, **more)


@pytest.mark.parametrize(("gain", "seen"), [(0.019, False), (0.02, True), (-0.5, False)])
def test_a_rise_of_two_hundredths_is_an_answer(gain, seen):
    assert tile("a", gain).answers() is seen
    assert ("did not change what you asked" in tile("a", gain).caption) is not seen
    assert tile("a").answers()  # nothing is known of it
    assert "exact edit" in tile("truth", gain).caption


def test_the_best_keeps_most_among_those_that_answer_half_as_strongly():
    strong = tile("strong", 0.4, 0.5, 0.3)
    kept = tile("kept", 0.2, 0.9, 0.1)
    weak = tile("weak", 0.19, 1.0, 0.0)
    assert best_of([strong, kept, weak]) is kept  # 0.1 + 0.05 against 0.3 + 0.25
    assert best_of([strong, weak]) is strong
    assert best_of([tile("a", 0.3, 0.9, 0.20), tile("b", 0.3, 0.6, 0.04)]).name == "b"
    assert best_of([tile("a", 0.3, 0.9, 0.18), tile("b", 0.3, 0.6, 0.04)]).name == "a"
    doubted = tile("doubted", 0.4, 1.0, 0.0, doubts=("it is about hats",))
    assert best_of([doubted]) is None and "It is about hats." in verdict([doubted])
    assert "reaches 50% of the strongest answer (STRONG)" in verdict([strong, kept, weak])


def test_the_best_comes_first_then_the_truth_then_what_answers():
    tiles = [
        tile("no", 0.0, 1, 0),
        tile("far", 0.3, 0.2, 0.9),
        tile("truth"),
        tile("best", 0.3, 1, 0),
    ]
    assert [t.name for t in in_order(tiles)] == ["best", "truth", "far", "no"]


class Reader(nn.Module):
    """Reads the same two people whatever it is shown."""

    config = SimpleNamespace(
        heads=(
            AttributeHead("smile", -1, 1),
            AttributeHead("cloth_hue", 0, 1, circular=True),
            AttributeHead("glasses", 0, 1, ("none", "round")),
            AttributeHead("hair_phase", 0, 1),
        )
    )

    def forward(self, images):
        return {
            "smile": torch.tensor([0.1, -0.4]),
            "cloth_hue": torch.tensor([0.9, 0.1]),
            "glasses": torch.tensor([[0.0, 0.0], [math.log(9.0), 0.0]]),
            "hair_phase": torch.tensor([0.0, 1.0]),
        }


def test_collateral_is_the_mean_share_that_moved_of_what_is_not_named():
    backbones = Backbones(attributes=Reader())
    picture = torch.zeros(1, 3, 4, 4)
    smile, hue, glasses = 0.5 / 2, 2 * 0.2, 0.9 - 0.5
    found = collateral(picture, picture, set(), backbones)
    assert found == pytest.approx((smile + hue + glasses) / 3)
    assert collateral(picture, picture, {"smile", "glasses"}, backbones) == pytest.approx(hue)
    assert collateral(picture, picture, {"smile", "glasses", "cloth_hue"}, backbones) == 0
