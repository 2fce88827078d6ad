"""How many processes a launcher was asked for, and whether it is still there."""

import sys

import pytest

from faceedit.launchers import is_lone_launch, is_orphan, wanted_processes


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["accelerate", "launch", "--cpu", "--num_processes", "3", "train.py"], 3),
        (["accelerate", "launch", "--num-processes", "12", "train.py"], 12),
        (["accelerate", "launch", "--num_processes=4", "--cpu", "7"], 4),
        (["accelerate", "launch", "--num_processes", "many", "train.py"], None),
        (["accelerate", "launch", "--num_processes"], None),
        (["accelerate", "launch", "train.py"], None),
    ],
)
def test_the_number_of_processes_is_read_from_the_launchers_command_line(tmp_path, words, count):
    (tmp_path / "cmdline").write_bytes("\0".join(words).encode())
    assert wanted_processes(tmp_path / "cmdline") == count


def test_a_launcher_that_cannot_be_seen_has_no_number(tmp_path):
    assert wanted_processes(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("more", "lone"),
    [
        ({}, True),
        ({"ACCELERATE_USE_CPU": "TRUE"}, True),
        ({"ACCELERATE_USE_CPU": "false"}, False),
        ({"RANK": "0"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"WORLD_SIZE": "2"}, False),
    ],
)
def test_accelerate_alone_on_a_cpu_is_told_by_its_address_without_a_rank(more, lone):
    assert is_lone_launch({"ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "x", **more}) == lone


def test_accelerate_without_an_address_wants_one_process():
    assert not is_lone_launch({"ACCELERATE_USE_CPU": "true"})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
@pytest.mark.parametrize(
    ("parent", "first", "orphan"),
    [
        (1, b"/sbin/init", True),
        (1, b"python\0-m\0torch.distributed.run", False),
        (1, b"accelerate\0launch", False),
        (7, b"/sbin/init", False),
    ],
)
def test_a_worker_is_orphaned_where_the_first_process_is_its_parent_and_no_launcher(
    tmp_path, parent, first, orphan
):
    (tmp_path / "cmdline").write_bytes(first)
    assert is_orphan(parent, tmp_path / "cmdline") == orphan
    assert not is_orphan(1, tmp_path / "none")
