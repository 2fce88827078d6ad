"""Every weight of a training's recipe scales its own term of the loss, and no other."""

import dataclasses

import pytest
import torch

from tests.training.test_network_tasks import OPTIONS, base, world  # noqa: F401  # fixtures
from training.config import TrainConfig
from training.loop.loop import Loop
from training.tasks import task_class

SIZES = {
    "generator": {
        "resolution": 32, "z_dim": 128, "w_dim": 16, "mapping_layers": 2, "channel_base": 256,
        "channel_max": 16, "distil_batch_size": 4, "distil_steps": 2, "heldout_images": 8,
    },
    **OPTIONS,
}  # fmt: skip
WEIGHTS = {
    "encoder": (
        "w", "said", "delta", "pixel", "pyramid", "feature", "identity", "attributes", "truth",
    ),
    "generator": ("pixel", "pyramid", "feature", "reader"),
    "segmenter": ("dice", "points", "maps", "seen"),
    "identity": ("traits",),
}  # fmt: skip
CASES = [(task, weight) for task, weights in WEIGHTS.items() for weight in weights]


@pytest.fixture(scope="module")
def score(world, base, tmp_path_factory):  # noqa: F811
    """Score one batch of a task with some weights changed; its task is made once."""
    made = {}

    def make(name):
        options = SIZES[name] | {f"weight_{weight}": 1.0 for weight in WEIGHTS[name]}
        config = TrainConfig(
            task=name, output_dir=str(tmp_path_factory.mktemp(name)), data_dir=str(world),
            base=str(base), train_batch_size=4, max_train_steps=12, cpu=True, options=options,
        )  # fmt: skip
        loop = Loop(config, task_class(name))
        for _, phase in loop.schedule:  # to the one that draws at full size
            loop._enter(phase)
            if getattr(loop.task, "size", 0) == 32:
                break
        return loop.task, loop.task.batch(range(4))

    def run(name, **weights):
        if name not in made:
            made[name] = make(name)
        task, batch = made[name]
        options = task.options
        changed = dataclasses.replace(options, **weights)
        try:
            task.options = changed
            turn = task.turns()[0]
            torch.manual_seed(0)
            with torch.no_grad():
                terms = turn.step(*batch) if isinstance(batch, tuple) else turn.step(batch)
        finally:
            task.options = options
        return {key: value.item() for key, value in terms.items()}

    return run


@pytest.mark.parametrize(("name", "weight"), CASES)
def test_a_weight_of_a_recipe_scales_its_own_term(name, weight, score):
    plain, heavy = score(name), score(name, **{f"weight_{weight}": 3.0})
    assert abs(plain[weight]) > 1e-9
    assert heavy.pop(weight) == pytest.approx(3 * plain.pop(weight), rel=1e-4)
    assert heavy == pytest.approx(plain, rel=1e-4, abs=1e-7, nan_ok=True)
