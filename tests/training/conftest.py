"""Every test may choose its own precision: accelerate keeps the first choice of a process."""

import pytest


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
