"""One step of the loop in numbers: gradients, clipping, rates, averages; what a resumed run has."""

import json

import pytest
import torch
from torch import nn

from tests.training.shards import write_shard
from training.config import TrainConfig
from training.data.shards import WorldShards
from training.loop.checkpoint import list_checkpoints
from training.loop.loop import Loop
from training.loop.players import follow
from training.loop.schedule import rate_factor
from training.task import Phase, Task, Turn


class Slope(nn.Module):
    """A number whose gradient is the mean of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return {"slope": self.number.sum() * batch.mean(), "log_batch": batch.mean()}


class OneNumber(Task):
    """Learns one number; the batch is where its samples are in the data."""

    averaged = ("one",)
    asked: tuple[object, ...] = ()  # what the data were opened with

    def __init__(self, config, device) -> None:
        super().__init__(config, device)
        self.one = Slope()

    def modules(self):
        return {"one": self.one}

    def turns(self):
        return (Turn("fit", self.one),)

    def phases(self):
        return (Phase("slow", steps=1, learning_rate_scale=0.5), Phase("fast"))

    def open_data(self, recorded):
        self.asked = (*self.asked, recorded)
        return {"shards": 3}

    def batch(self, positions):
        return torch.tensor([float(p) for p in positions])

    def samples(self):
        return None

    def evaluate(self):
        return {}

    def export(self, folder):
        pass


class Ones(OneNumber):
    """The same with a slope of 1 always, by which Adam moves as far as its rate."""

    def batch(self, positions):
        return torch.ones(len(positions))


@pytest.fixture
def loop(tmp_path):
    def make(task=OneNumber, **changes):
        values = {
            "task": "one",
            "output_dir": str(tmp_path),
            "train_batch_size": 2,
            "max_train_steps": 4,
            "learning_rate": 0.1,
            "lr_scheduler": "constant",
            "lr_warmup_steps": 0,
            "adam_weight_decay": 0.0,
            "max_grad_norm": 0.0,
            "ema_decay": 0.0,
            "cpu": True,
        }
        return Loop(TrainConfig(**{**values, **changes}), task)

    return make


def gradient(loop, steps: int = 1) -> float:
    for step in range(steps):
        loop.update(loop.schedule[min(step, 1)][1])
    return loop.task.one.number.grad.item()


def test_accumulated_gradients_are_the_mean_of_one_large_batch(loop):
    assert gradient(loop(gradient_accumulation_steps=2)) == 1.5  # of the samples 0 to 3
    assert gradient(loop(train_batch_size=4)) == 1.5
    assert gradient(loop()) == 0.5
    assert gradient(loop(), steps=2) == 2.5


def test_gradients_are_clipped_to_the_norm_and_the_log_has_it_from_before(loop):
    clipped = loop(max_grad_norm=0.3, train_batch_size=4)
    assert gradient(clipped) == pytest.approx(0.3)
    assert clipped.log.means()["grad_norm"] == pytest.approx(1.5)
    assert gradient(loop(max_grad_norm=9.0, train_batch_size=4)) == 1.5


def test_a_step_is_as_long_as_its_rate_its_phase_and_its_warm_up_say(loop):
    made = loop(Ones)
    numbers = []
    for phase in (0, 1, 1):
        made.update(made.schedule[phase][1])
        numbers.append(made.task.one.number.item())
    assert numbers == pytest.approx([-0.05, -0.15, -0.25], rel=1e-4)  # half the rate at first
    warm = loop(Ones, lr_warmup_steps=1)
    warm.update(warm.schedule[1][1])
    assert warm.task.one.number.item() == pytest.approx(-0.05, rel=1e-4)


def test_logged_terms_are_no_part_of_the_loss(loop):
    made = loop(Ones)
    made.update(made.schedule[1][1])
    assert made.log.means() == pytest.approx({"loss": 0, "slope": 0, "log_batch": 1})


def test_averages_follow_by_the_decay_of_their_warm_up_and_no_slower_than_asked(loop):
    made = loop(Ones, ema_decay=0.9)
    averages = []
    for _ in range(2):
        made.update(made.schedule[1][1])
        averages.append(made.task.averages["one"].number.item())
    first = -0.1 * 9 / 11  # after one step the decay is 2 / 11
    assert averages == pytest.approx([first, 0.25 * first - 0.75 * 0.2], rel=1e-4)  # then 3 / 12
    short = loop(Ones, ema_decay=0.1)
    short.update(short.schedule[1][1])
    assert short.task.averages["one"].number.item() == pytest.approx(-0.09, rel=1e-4)


def test_an_average_moves_by_what_is_left_of_the_decay_and_copies_buffers():
    average, live = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    with torch.no_grad():
        average.weight.fill_(1.0)
        live.weight.fill_(5.0)
        live.running_mean.fill_(7.0)
    follow(average, live, decay=0.75)
    assert average.weight.item() == 2.0 and average.running_mean.item() == 7.0


def saved(loop, **changes):
    """A run of two steps that was saved."""
    made = loop(**changes)
    made.trained_seconds = 100.0
    for _ in range(2):
        made.update(made.schedule[1][1])
    made.save()
    made.lock.release()
    return made


def test_a_resumed_run_goes_on_with_its_seconds_its_step_and_its_place(loop):
    saved(loop)
    resumed = loop(resume_from_checkpoint="latest")
    assert (resumed.step, resumed.position) == (2, 4)
    assert resumed._seconds() > 100.0
    resumed.update(resumed.schedule[1][1])
    resumed.save()
    state = json.loads(
        (list_checkpoints(resumed.config.output_path)[-1] / "state.json").read_text()
    )
    assert state["trained_seconds"] > 100.0


def test_a_resumed_run_reads_the_data_that_it_began_with_unless_it_shall_refresh_them(loop):
    assert saved(loop).task.asked == (None,)
    assert loop(resume_from_checkpoint="latest").task.asked == ({"shards": 3},)
    assert loop(resume_from_checkpoint="latest", refresh_data=True).task.asked == (None,)


def test_shards_that_come_later_are_read_when_the_data_are_refreshed(tmp_path):
    write_shard(tmp_path, 1, 4)
    before = WorldShards(tmp_path)
    recorded = before.state()
    write_shard(tmp_path, 2, 4)
    assert len(WorldShards(tmp_path, recorded)) == len(before) == 4
    assert len(WorldShards(tmp_path)) == 8


def test_rates_rise_by_equal_parts_and_fall_along_half_a_cosine():
    config = TrainConfig(
        task="one", max_train_steps=10, lr_warmup_steps=3, lr_decay_share=0.4, lr_scheduler="cosine"
    )
    rates = [rate_factor(config, step) for step in (0, 1, 2, 3, 5, 6, 7, 8, 10, 11)]
    fallen = (1 + 0.5**0.5) / 2
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, fallen, 0.5, 0, 0])
