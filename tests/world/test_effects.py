"""The ground truth of edits: a counterfactual changes what is declared and nothing else."""

import pytest
import torch

from faceedit.world import REGIONS, SPECS, FaceAttributes, counterfactual, render
from faceedit.world.effects import EFFECTS

SIZE = 48  # px, one ray a pixel: no pixel mixes two regions
VISIBLE = 4 / 255  # a change smaller than this is soft light from afar


@pytest.fixture(scope="module")
def people() -> FaceAttributes:
    """Two people who between them show every region."""
    plain = FaceAttributes.default(1)
    man = plain.replace(hair_color="brown", beard="full", moustache=0.8, glasses="round", age=70.0)
    man = man.replace(earrings="hoops", femininity=0.2, freckles=0.8, mouth_open=0.5, smile=0.4)
    woman = plain.replace(hair_style="long wavy", hat="beanie", lipstick=0.8, femininity=0.9)
    woman = woman.replace(earrings="studs", clothing="shirt", blush=0.5)
    return FaceAttributes.cat([man, woman])


@pytest.fixture(scope="module")
def before(people):
    return render(people, SIZE, supersampling=1)


@pytest.mark.parametrize("name", SPECS)
def test_counterfactual_changes_only_the_declared_regions(name, people, before):
    spec = SPECS[name]
    middle = 1.0 if spec.categorical else spec.low
    for value in (middle, spec.high):
        after = counterfactual(people, SIZE, supersampling=1, **{name: value})
        changed = (after.image - before.image).abs().amax(1) > VISIBLE
        allowed = torch.zeros_like(changed)
        for region in EFFECTS[name]:
            label = REGIONS.index(region)
            allowed |= (before.segmentation == label) | (after.segmentation == label)
        found = before.segmentation[changed & ~allowed].unique().tolist()
        assert not found, f"{name} = {value} also changed {[REGIONS[i] for i in found]}"


def test_every_attribute_can_be_seen(people, before):
    """An attribute that changes no pixel of anyone would be no attribute."""
    for name, spec in SPECS.items():
        shown = people.replace(hair_style="short", parting="left", lipstick=0.8, hat="cap")
        shown = shown.replace(mouth_open=0.0, eye_open=0.8)
        low = render(shown.replace(**{name: 1.0 if spec.categorical else spec.low}), SIZE, 1)
        high = render(shown.replace(**{name: 0.0 if spec.categorical else spec.high}), SIZE, 1)
        assert (low.image - high.image).abs().amax() > VISIBLE, name
