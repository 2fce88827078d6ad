"""The benchmark's instruments: what they count is what is there. No test here depends on time."""

import json

import pytest
import torch

from benchmarks.report import BEGIN, END, table, time_text, write_json, write_page
from benchmarks.speed import measure
from benchmarks.timing import QUICK, Ceiling, Effort, alternate, effort, peak_bytes

CPU = torch.device("cpu")
TOP = Ceiling(1e9, 1e8)


def found(**changes):
    row = {
        "key": "draw",
        "what": "drawing",
        "seconds": 0.02,
        "textbook_seconds": 0.05,
        "ratio": 2.5,
        "ratio_range": [2.4, 2.7],
        "target": 2,
        "peak_bytes": 2**20,
        "textbook_peak_bytes": 8 * 2**20,
        "operations": 10**9,
        "bytes": 2**20,
        "floor_seconds": 0.01,
        **changes,
    }
    return {
        "cases": [row, {"key": "gone", "what": "a task", "problem": "no data"}],
        "ceiling": {"operations": 1e11, "bytes": 1e10},
        **{"quick": False, "device": "a chip", "threads": 1, "torch": "2", "date": "2026-11-21"},
        **{"load_average": 1.0, "seconds": 200.0},
    }


def test_peak_is_what_is_held_at_once():
    def run():
        a = torch.zeros(2**18)  # 1 MiB each
        b = a + 1
        del a
        return (b + 1).sum()

    assert peak_bytes(run, CPU) == pytest.approx(2 * 2**20, rel=0.01)


def test_effort_counts_products_and_what_they_read_and_write():
    a, b = torch.randn(8, 16), torch.randn(16, 4)
    counted = effort(lambda: (a @ b).relu())
    assert counted == Effort(2 * 8 * 16 * 4, 4 * (8 * 16 + 16 * 4 + 8 * 4))
    assert TOP.floor(Effort(10**9, 10**9)) == 10


def test_two_ways_take_turns():
    order = []
    timed = alternate(lambda: order.append("a"), lambda: order.append("b"), CPU, QUICK)
    assert timed["rounds"] == 1
    assert order.index("b") == 1  # each is warmed up first
    assert order[2] == "a"
    assert order[-1] == "b"
    assert "ratio" not in alternate(lambda: None, None, CPU, QUICK)


def test_a_case_that_fails_is_a_row_with_a_problem():
    from benchmarks.cases import Case

    def fail():
        raise RuntimeError("no data")

    rows = measure([Case("x", "x", fail), Case("y", "y", int)], CPU, TOP, quick=True)
    assert rows[0]["problem"] == "RuntimeError: no data"
    assert rows[1]["seconds"] > 0


def test_a_generator_is_counted_forward_and_backward(backbones):
    from benchmarks.cases import _drawing

    forward, both = (effort(c.run) for c in _drawing("g", backbones.generator, 2, "tiny"))
    assert 0 < forward.operations < both.operations
    assert 0 < forward.bytes < both.bytes


def test_table_says_what_is_met_and_what_falls_short():
    text = table(found())
    assert "| drawing | 20 ms | 50 ms | **2.50** (2.40-2.70) | 2: met | 1.0 MiB / 8.0 MiB |" in text
    assert "10 ms (1 GFLOP, 1 MiB) | 2.0 |" in text
    assert "Not measured: a task (no data)" in text
    assert "Falls short" not in text
    assert "Falls short: drawing" in table(found(target=3))
    assert "Falls short: drawing" in table(found(memory_target=10))
    assert time_text(2e-6) == "2 µs"


def test_page_keeps_what_stands_around_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_page(found(), page)
    write_page(found(), page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert text.count("drawing |") == 1
    page.write_text("no markers")
    with pytest.raises(ValueError, match="lacks the lines"):
        write_page(found(), page)
    write_json(found(seconds=0.123456), tmp_path / "new" / "speed.json")
    assert (
        json.loads((tmp_path / "new" / "speed.json").read_text())["cases"][0]["seconds"] == 0.1235
    )
