"""Plant faults one at a time in a copy of the tree and count those that tests notice.

python -m tests.mutants                     the list of tests/mutants.yaml
python -m tests.mutants --only pae          those whose file or words have this in them
python -m tests.mutants --map [FILE ...]    note which tests come by which lines
python -m tests.mutants --sample 100        as many random faults, shown to the tests of the map
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.calls import PLACE, Recorder, read_calls
from tests.mutants.faults import Fault, read_faults
from tests.mutants.runs import PASSED, Run, copied_tree, prepare, run_tests
from tests.mutants.sample import draw

LIMIT = 600.0  # seconds of a processor for the tests of one fault
SAMPLE_LIMIT = 90.0  # the same of a random fault
QUICK = 20.0  # seconds of tests that a random fault is shown at most, by their times in the map
UNTESTED = Run(PASSED, 0.0, "")  # no test comes by


def main(words: Sequence[str] | None = None) -> int:
    typed = _parser().parse_args(words)
    prepare()
    with copied_tree() as tree:
        if typed.map is not None:
            return make_map(tree, typed.map)
        if typed.sample:
            faults = draw(tree, read_calls(), typed.sample, typed.seed, typed.below, QUICK)
        else:
            faults = [f for f in read_faults() if typed.only in f"{f.file} {f.what}"]
            if not (typed.passing or passes_untouched(tree, faults)):
                return 2
        limit = SAMPLE_LIMIT if typed.sample else LIMIT
        return 0 if try_all(tree, faults[typed.skip :], typed.least, limit) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--only", default="", metavar="TEXT", help="faults whose file or words contain this")
    add("--passing", action="store_true", help="take it that the tests pass as they are")
    add("--sample", type=int, default=0, metavar="N", help="random faults instead of the list")
    add("--skip", type=int, default=0, metavar="N", help="leave out the first ones")
    add("--seed", type=int, default=0, help="of the random faults")
    add("--below", default="faceedit", metavar="A,B", help="folders or files of random faults")
    add("--map", nargs="*", metavar="FILE", help="note which tests come by which lines, and end")
    add("--least", type=float, default=1.0, help="share that must be noticed, in [0, 1]")
    return parser


def passes_untouched(tree: Path, faults: Sequence[Fault]) -> bool:
    """Return whether the tests pass without any fault; else nothing could be learned from them."""
    named = sorted({test for fault in faults for test in fault.tests})
    run = run_tests(tree, named, LIMIT * 4)
    if not run.passed:
        print(run.log[-4000:], "the tests do not pass as they are", sep="\n")
    return run.passed


def try_all(tree: Path, faults: Sequence[Fault], least: float, limit: float) -> bool:
    """Plant every fault in turn, print what came of it, and return whether enough was noticed.

    Args:
        tree: What `copied_tree` gave.
        faults: To be planted.
        least: Share that must be noticed.
        limit: Seconds for the tests of one fault; tests that take longer notice it.
    """
    noticed, errors = 0, 0
    for number, fault in enumerate(faults, start=1):
        path = tree / fault.file
        text = path.read_text(encoding="utf-8")
        path.write_text(fault.planted(text), encoding="utf-8")
        run = run_tests(tree, ["-x", *fault.tests], limit) if fault.tests else UNTESTED
        path.write_text(text, encoding="utf-8")
        noticed += run.noticed
        word = "noticed" if run.noticed else "UNNOTICED"
        if not (run.noticed or run.passed):
            errors += 1
            word = "ERROR"  # its tests could not be run
            print(run.log[-1500:])
        print(f"{number:3} {word:9} {run.seconds:5.1f} s  {fault.file}: {fault.what}", flush=True)
    share = noticed / len(faults) if faults else 1.0
    print(f"{noticed} of {len(faults)} faults were noticed: {share:.2f}; errors: {errors}")
    return share >= least and not errors


def make_map(tree: Path, files: Sequence[str]) -> int:
    """Run test files, all of them without any, and note what their tests come by."""
    run = run_tests(tree, ["--durations=80", *files], 20 * LIMIT, [Recorder(tree, PLACE)])
    print(run.log[-12000:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
