"""The loop's promises: exact resume, a clean stop, clear errors, the same on two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.config import ConfigError, TrainConfig
from training.loop.checkpoint import find_checkpoint, list_checkpoints, remove_checkpoints
from training.loop.log import DivergenceError
from training.loop.loop import Loop
from training.loop.schedule import phase_at, rate_factor, schedule
from training.task import Phase

from .toy import ToyTask

TOY = Path(__file__).with_name("toy.py")
ROOT = TOY.parents[2]
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu"]
LAUNCH += [str(TOY)]
STATE_FILES = ("modules.safetensors", "averages.safetensors", "optimizers.safetensors")


def settings(output: Path, **changes) -> TrainConfig:
    values = {
        "task": "toy",
        "output_dir": str(output),
        "train_batch_size": 4,
        "max_train_steps": 40,
        "logging_steps": 10,
        "learning_rate": 0.01,
        "cpu": True,
        **changes,
    }
    return TrainConfig(**values)


def train(output: Path, **changes):
    return Loop(settings(output, **changes), ToyTask).run()


def flags(config: TrainConfig) -> list[str]:
    """Return the command-line arguments of a run."""
    result = []
    for name, value in config.as_dict().items():
        if name == "options":
            result += [part for key, v in value.items() for part in ("--set", f"{key}={v}")]
        elif isinstance(value, bool):
            result.append(f"--{name}" if value else f"--no-{name}")
        elif value != "":
            result += [f"--{name}", str(value)]
    return result


def state_bytes(output: Path, step: int) -> list[bytes]:
    return [(output / f"checkpoint-{step}" / name).read_bytes() for name in STATE_FILES]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_resuming_after_sigkill_equals_an_uninterrupted_run_to_the_bit(tmp_path):
    killed = settings(
        tmp_path / "killed", checkpointing_steps=5, options={"delay": 0.02}, max_train_steps=2000
    )
    command = [sys.executable, str(TOY), *flags(killed)]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list_checkpoints(killed.output_path)) >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    step = json.loads((list_checkpoints(killed.output_path)[-1] / "state.json").read_text())["step"]
    total = {"max_train_steps": 2000, "max_minutes": 0.0, "lr_scheduler": "constant"}
    end = step + 13  # past the first phase
    resumed = {"resume_from_checkpoint": "latest", "checkpointing_steps": end}
    loop = Loop(settings(tmp_path / "killed", **{**total, **resumed}), ToyTask)
    assert loop.step == step
    stop_at(loop, end)
    whole = Loop(settings(tmp_path / "whole", **total), ToyTask)
    stop_at(whole, end)
    assert state_bytes(tmp_path / "killed", end) == state_bytes(tmp_path / "whole", end)


def stop_at(loop: Loop, step: int) -> None:
    """Run a loop to a step as a signal there would."""
    before = loop.task.before_step

    def watch() -> None:
        loop.signalled = loop.step == step - 1
        before()

    loop.task.before_step = watch
    assert loop.run().step == step


def test_run_in_pieces_equals_run_in_one_with_accumulation_and_clipping(tmp_path):
    both = {"gradient_accumulation_steps": 2, "max_grad_norm": 0.5, "lr_warmup_steps": 5}
    train(tmp_path / "whole", **both)
    stop_at(Loop(settings(tmp_path / "pieces", sample_minutes=1e-9, **both), ToyTask), 17)
    train(tmp_path / "pieces", resume_from_checkpoint="latest", **both)
    assert state_bytes(tmp_path / "pieces", 40) == state_bytes(tmp_path / "whole", 40)


def test_max_minutes_saves_exports_and_stops(tmp_path, monkeypatch):
    monkeypatch.setattr("training.loop.loop.STARTED", time.monotonic())
    outcome = train(tmp_path, max_minutes=1 / 60, max_train_steps=100_000)
    assert outcome.reason == "time"
    assert 0 < outcome.step < 100_000
    assert list_checkpoints(tmp_path)[-1].name == f"checkpoint-{outcome.step}"
    assert (tmp_path / "export" / "model.safetensors").is_file()


def test_complete_run_writes_log_sheet_scores_and_weights(tmp_path):
    outcome = train(tmp_path)
    lines = [json.loads(text) for text in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    assert {"phase", "images", "seconds", "learning_rate", "fit/square"} <= set(lines[0])
    assert lines[-1]["fit/square"] < lines[0]["fit/square"]
    assert list((tmp_path / "samples").glob("step-*.jpg"))
    stored = json.loads((tmp_path / "evaluation.json").read_text())
    assert stored["error"] == outcome.scores["error"]
    average = load_file(tmp_path / "checkpoint-40" / "averages.safetensors")
    exported = load_file(tmp_path / "export" / "model.safetensors")
    assert torch.equal(exported["0.weight"], average["net/0.weight"])


def test_turn_learns_alone_after_a_phase_in_which_another_moved_last(tmp_path):
    options = {"phases": 3}
    stop_at(Loop(settings(tmp_path / "short", options=options), ToyTask), 10)
    train(tmp_path / "long", options=options)
    before = load_file(tmp_path / "short" / "checkpoint-10" / "modules.safetensors")
    after = load_file(tmp_path / "long" / "checkpoint-40" / "modules.safetensors")
    assert not torch.equal(before["net/0.weight"], after["net/0.weight"])
    assert torch.equal(before["critic/weight"], after["critic/weight"])


def test_evaluation_alone_changes_no_weights(tmp_path):
    with pytest.raises(ConfigError, match="nothing to evaluate"):
        train(tmp_path, eval_only=True)
    outcome = train(tmp_path, max_train_steps=20)
    before = state_bytes(tmp_path, 20)
    again = train(tmp_path, max_train_steps=20, eval_only=True)
    assert again.scores == outcome.scores and state_bytes(tmp_path, 20) == before


def test_log_is_cut_back_to_the_checkpoint(tmp_path):
    stop_at(Loop(settings(tmp_path), ToyTask), 15)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 20}\n{"step": 2')  # an update that was lost, and a torn line
    train(tmp_path, resume_from_checkpoint="latest")
    steps = [json.loads(t)["step"] for t in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [10, 20, 30, 40]


def test_interrupted_save_leaves_the_old_checkpoint_in_charge(tmp_path):
    stop_at(Loop(settings(tmp_path), ToyTask), 15)
    torn = tmp_path / ".checkpoint-20.123"
    torn.mkdir()
    (torn / "state.json").write_text("{}")
    found = find_checkpoint(settings(tmp_path, resume_from_checkpoint="latest"))
    assert found is not None and found.state["step"] == 15
    train(tmp_path, resume_from_checkpoint="latest")
    assert not torn.exists()


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    train(tmp_path, checkpointing_steps=5, checkpoints_total_limit=3)
    assert [p.name for p in list_checkpoints(tmp_path)] == [
        f"checkpoint-{step}" for step in (30, 35, 40)
    ]


def test_fresh_run_over_an_old_one_is_refused_unless_asked_for(tmp_path):
    train(tmp_path, max_train_steps=5)
    with pytest.raises(ConfigError, match="--resume_from_checkpoint latest"):
        train(tmp_path)
    train(tmp_path, overwrite=True, max_train_steps=6)
    assert [p.name for p in list_checkpoints(tmp_path)] == ["checkpoint-6"]


def test_checkpoint_of_another_network_is_refused(tmp_path):
    train(tmp_path, max_train_steps=5)
    with pytest.raises(ConfigError, match="does not fit this run"):
        train(tmp_path, resume_from_checkpoint="latest", options={"width": 9})


def test_nan_stops_the_run_and_spares_the_checkpoint(tmp_path):
    options = {"explode_at": 23}
    with pytest.raises(DivergenceError, match=r"fit/loss, fit/square, .* became infinite"):
        train(tmp_path, checkpointing_steps=8, options=options)
    assert list_checkpoints(tmp_path)[-1].name == "checkpoint-16"


def test_bad_flag_is_a_clear_error_from_the_literal_command(tmp_path):
    command = [sys.executable, "training/train.py", "--task", "generator", "--lerning_rate", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment())
    assert done.returncode == 2
    assert "unknown flag '--lerning_rate'; did you mean '--learning_rate'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_two_processes_equal_one_with_a_doubled_batch(tmp_path):
    # One phase: the toy's first one would take 3 samples a process in both runs.
    same = {"max_train_steps": 20, "options": {"dropout": 0.0, "phases": 1}}
    two = settings(tmp_path / "two", train_batch_size=3, **same)
    subprocess.run([*LAUNCH, *flags(two)], cwd=ROOT, check=True, env=environment())
    state = json.loads((tmp_path / "two" / "checkpoint-20" / "state.json").read_text())
    assert state["processes"] == 2 and state["position"] == 20 * 6
    train(tmp_path / "one", train_batch_size=6, **same)
    for name in STATE_FILES[:2]:
        a = load_file(tmp_path / "one" / "checkpoint-20" / name)
        b = load_file(tmp_path / "two" / "checkpoint-20" / name)
        for key, value in a.items():
            torch.testing.assert_close(b[key], value, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_two_killed_processes_resume_to_the_bit(tmp_path):
    killed, whole = (
        settings(tmp_path / name, checkpointing_steps=5, options={"delay": delay})
        for name, delay in (("killed", 0.1), ("whole", 0.0))
    )
    process = subprocess.Popen([*LAUNCH, *flags(killed)], cwd=ROOT, env=environment())
    wait_for(lambda: list_checkpoints(killed.output_path), process)
    workers = descendants(process.pid)
    assert len(workers) >= 3  # torch's launcher, which replaced the first, and two workers
    process.send_signal(signal.SIGKILL)  # the launcher alone: nobody tells the workers
    process.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in workers))
    for config in (replace(killed, resume_from_checkpoint="latest"), whole):
        subprocess.run([*LAUNCH, *flags(config)], cwd=ROOT, check=True, env=environment())
    assert state_bytes(killed.output_path, 40) == state_bytes(whole.output_path, 40)


def wait_for(condition, process=None, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, "it ended by itself"
        if time.monotonic() > deadline:
            if process is not None:
                process.kill()
            raise AssertionError("it takes too long")
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """Return a process's children and theirs."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            children += [child, *descendants(child)]
    return children


def test_a_second_run_into_the_same_folder_is_told_who_holds_it(tmp_path):
    holder = settings(tmp_path, options={"delay": 0.05}, max_train_steps=10_000)
    process = subprocess.Popen(
        [sys.executable, str(TOY), *flags(holder)], env=environment(), stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: (tmp_path / "metrics.jsonl").exists(), process)
        with pytest.raises(ConfigError, match=f"process {process.pid} on .*, since 20"):
            train(tmp_path, overwrite=True)
    finally:
        process.kill()
        process.wait()
    train(tmp_path, overwrite=True, max_train_steps=5)  # the lock ends with its holder


def test_half_a_checkpoint_is_never_taken_for_one_and_is_swept(tmp_path, monkeypatch):
    train(tmp_path, max_train_steps=10, checkpointing_steps=5)
    assert [p.name for p in list_checkpoints(tmp_path)] == ["checkpoint-5", "checkpoint-10"]

    def killed(folder: Path) -> None:
        (folder / "modules.safetensors").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("training.loop.checkpoint.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_checkpoints(tmp_path)
    (tmp_path / "export" / ".writing-x").mkdir(parents=True)  # by a run killed while it exported
    (tmp_path / "checkpoint-7").mkdir()  # as an older version could leave it
    (tmp_path / "checkpoint-7" / "state.json").write_text('{"step": 7}')
    assert [p.name for p in list_checkpoints(tmp_path)] == ["checkpoint-10"]
    train(tmp_path, max_train_steps=10, resume_from_checkpoint="latest")
    assert sorted(p.name for p in tmp_path.glob("*checkpoint-*")) == ["checkpoint-10"]
    assert not (tmp_path / "export" / ".writing-x").exists()


def test_a_full_disk_ends_a_run_with_words_and_leaves_the_last_checkpoint(tmp_path, capsys):
    train(tmp_path, max_train_steps=10, checkpointing_steps=5)
    before = state_bytes(tmp_path, 10)
    config = settings(tmp_path, max_train_steps=20, resume_from_checkpoint="latest")
    command = [sys.executable, str(TOY), *flags(config)]
    # No file may grow beyond 1 kB: what a full disk does to a file, without filling one.
    done = subprocess.run(
        ["bash", "-c", 'trap "" XFSZ; ulimit -f 1; exec "$@"', "-", *command],
        capture_output=True, text=True, env=environment(),
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "checkpoint-20 could not be written" in done.stderr
    assert "checkpoint-10 is whole: make room on the disk, then --resume" in done.stderr
    assert state_bytes(tmp_path, 10) == before
    assert not list(tmp_path.glob(".checkpoint*"))


def test_schedule_gives_exact_steps_first_and_shares_the_rest():
    phases = (Phase("a", share=1), Phase("b", steps=10), Phase("c", share=3))
    assert [end for end, _ in schedule(phases, 50)] == [10, 20, 50]
    assert phase_at(schedule(phases, 50), 9).name == "a"
    assert phase_at(schedule(phases, 50), 10).name == "b"
    assert phase_at(schedule(phases, 50), 60).name == "c"


def test_learning_rate_warms_up_stays_and_falls_to_nothing():
    config = TrainConfig(task="toy", max_train_steps=100, lr_warmup_steps=4, lr_decay_share=0.4)
    factors = [rate_factor(config, step) for step in range(101)]
    assert factors[0] == pytest.approx(0.2)
    assert factors[4:61] == [1.0] * 57
    assert factors[80] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0)
