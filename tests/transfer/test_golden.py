"""What every kind of edit draws is what was looked at and recorded."""

import numpy as np
import pytest

from tests.golden import transfer as golden

# Of the layers' own units (px, factor, levels of 255, shares): below it nothing is seen.
FLOORS = {"move": 2e-3, "gain": 3e-4, "shift": 0.02, "cover": 0.02, "alpha": 5e-4, "grain": 5e-4}
SHARE = 0.003  # of a field's root mean square

BEFORE = golden.recorded()
NAMES = sorted({name.split("/")[0] for name in BEFORE})


@pytest.mark.parametrize("name", NAMES)
def test_an_edit_is_drawn_as_recorded(name):
    now = golden.numbers_of(name)
    before = {key: values for key, values in BEFORE.items() if key.split("/")[0] == name}
    anew = "python -m tests.golden.transfer records how things look from now on"
    assert now.keys() == before.keys(), anew
    for key, values in before.items():
        channels = len(values) % golden.CELLS**2 or 1
        size = float(np.linalg.norm(values[-channels:]))
        least = SHARE * size + FLOORS[key.split("/")[1]]
        apart = float(np.abs(now[key] - values).max())
        assert apart < least, f"{key}: {anew}"


def test_every_edit_is_recorded():
    assert sorted(golden.cases()) == NAMES
