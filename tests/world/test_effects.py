"""The ground truth of edits: a counterfactual changes what is declared and nothing else."""

from functools import cache

import pytest
import torch

from faceedit.world import REGIONS, SPECS, FaceAttributes, counterfactual, render, sample_attributes
from faceedit.world.effects import EFFECTS, FACE, OUTLINE

SIZE = 32  # px, one ray a pixel: no pixel mixes two regions
WIDE = FACE | OUTLINE  # what nearly everything is: a change of these may show nearly everywhere
NARROW = [name for name in SPECS if not EFFECTS[name] >= WIDE]
# One of those whose changes may show in the same places; a test that is slow looks at all of them.
QUICK = {frozenset(EFFECTS[name]): name for name in reversed(NARROW)}.values()
VISIBLE = 4 / 255  # a change smaller than this is soft light from afar


@pytest.fixture(scope="module")
def person() -> FaceAttributes:
    """Someone on whom every attribute shows."""
    person = FaceAttributes.default(1).replace(beard="full", moustache=0.8, glasses="round")
    person = person.replace(
        hair_color="brown", age=60.0, femininity=0.3, freckles=0.8, lipstick=0.8
    )
    return person.replace(earrings="hoops", mouth_open=0.5, smile=0.4, hat="headband")


@cache
def rendered(values: tuple[float, ...]):
    """A person's render, each once: every attribute is changed on the same few."""
    return render(FaceAttributes(torch.tensor([values])), SIZE, supersampling=1)


def undeclared_changes(name, person, value):
    """The regions that changed without leave, and whether anything changed."""
    before = rendered(tuple(person.values[0].tolist()))
    after = counterfactual(person, SIZE, supersampling=1, **{name: value})
    changed = (after.image - before.image).abs().amax(1) > VISIBLE
    allowed = torch.zeros_like(changed)
    for region in EFFECTS[name]:
        label = REGIONS.index(region)
        allowed |= (before.segmentation == label) | (after.segmentation == label)
    found = before.segmentation[changed & ~allowed].unique().tolist()
    return [REGIONS[i] for i in found], bool(changed.any())


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in SPECS]
)
def test_counterfactual_changes_what_is_declared_and_nothing_else(name, person):
    spec = SPECS[name]
    now = float(person.column(name)[0])
    value = spec.high if now < (spec.low + spec.high) / 2 else spec.low
    undeclared, changed = undeclared_changes(name, person, value)
    assert not undeclared, f"{name} = {value} also changed {undeclared}"
    assert changed, f"{name} = {value} cannot be seen"


@pytest.mark.parametrize(
    ("name", "region", "changes"),
    [
        ("blush", "beard", {"beard": "full", "smile": -1.0, "cheek_fullness": 1.0}),
        ("eyeshadow", "lens", {"beard": "none", "glasses": "round", "skin_tone": 1.0}),
    ],
)
def test_the_table_is_as_wide_as_what_can_be_seen(name, region, changes):
    """Through a thin beard the cheeks are seen to blush, and eyeshadow through a lens."""
    face = FaceAttributes.default(1).replace(
        **{"femininity": 0.0, "skin_tone": 0.0, "glasses": "none", "hat": "none", **changes}
    )
    before = render(face.replace(**{name: 0.0}), 64, supersampling=1)
    after = counterfactual(face, 64, supersampling=1, **{name: 1.0})
    changed = (after.image - before.image).abs().amax(1) > VISIBLE
    found = {REGIONS[i] for i in before.segmentation[changed].unique().tolist()}
    assert region in found <= EFFECTS[name]


@pytest.mark.slow
def test_table_of_effects_holds_for_anyone():
    people = sample_attributes(12, seed=9)
    for i, (name, spec) in enumerate(list(SPECS.items()) * 4):
        values = range(len(spec.values)) if spec.categorical else (spec.low, spec.high)
        for value in values:
            undeclared, _ = undeclared_changes(name, people[i % 12], float(value))
            assert not undeclared, f"{name} = {value} also changed {undeclared}"
