"""What a run of the benchmark is asked for on the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.benchmark.people import GRID_FACES, SPLITS, Split
from training.benchmark.results import SETS
from training.config import ROOT

SAMPLES = 72  # random samples that are edited


@dataclass(frozen=True)
class Plan:
    """What is measured, on what, and where it goes."""

    set: str = "renders"
    methods: str = "all"
    split: str = "dev"  # of the people of --set renders
    release: str = ""  # that the split "test" is looked at for
    again: str = ""  # why it has to be looked at again
    count: int | None = None  # edits of a quick row; None: the split's
    slow_count: int | None = None  # edits of a row that descends for every face; the same
    slow_lines: int = GRID_FACES  # faces on the contact sheet of such a row
    photos: Path | None = None
    targets: bool = False  # also compare CLIP-PAE's targets
    sheets: bool = True
    costs: bool = True
    compiled: bool = False
    cpu: bool = False
    base: Path = ROOT / "hub_cards/portraits-128"
    judges: Path = ROOT / "hub_cards/judges"
    cache: Path = ROOT / ".data/benchmark"
    work: Path = ROOT / ".runs/benchmark"
    out: Path = ROOT / "hub_cards/benchmark"
    page: Path = ROOT / "docs/benchmark.md"
    plots: Path = ROOT / "docs/plots"
    sheet_dir: Path = ROOT / "docs/sheets"
    supersampling: int = field(default=2)  # of the renders; less is for tests

    @property
    def people(self) -> Split:
        """Whom the split shows, and how many edits of them are made."""
        return SPLITS[self.split]

    @property
    def quick_count(self) -> int:
        """How many edits of a quick row are made."""
        return self.people.count if self.count is None else self.count

    @property
    def result_name(self) -> str:
        """The name of the set's results."""
        return self.set if self.split == "dev" else f"{self.set}-{self.split}"


_PATHS = (
    "base",
    "judges",
    "cache",
    "work",
    "out",
    "page",
    "plots",
    "sheet_dir",
)


def all_of(plan: Plan) -> tuple[Plan, ...]:
    """Return the runs that make every table and plot of a split anew, photographs apart."""
    if plan.split == "test":
        return (replace(plan, set="renders"),)
    samples = replace(plan, set="samples", count=plan.count or SAMPLES)
    return (replace(plan, set="renders", targets=True), samples)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="evaluate", description=__doc__.split("\n")[0])
    add, plan = parser.add_argument, Plan()
    add("--set", choices=SETS, default=plan.set, help="on which faces")
    add("--methods", default=plan.methods, metavar="A,B", help="which methods; all is the default")
    add("--all", action="store_true", help="every table and plot of a split")
    add("--split", choices=SPLITS, default=plan.split, help="dev to choose on, test to report")
    add("--release", default="", metavar="X.Y", help="of --split test: looked at once a release")
    add("--again", default="", metavar="REASON", help="why it is looked at again; is printed")
    add("--count", type=int, help="edits of a quick row; default: the split's")
    add("--slow_count", type=int, help="edits of a row that descends; the same")
    add("--slow_lines", type=int, default=plan.slow_lines, help="faces on the sheet of such a row")
    add("--photos", default="", metavar="DIR", help="the photos of --set photos")
    add("--targets", action="store_true", help="also compare the targets of CLIP-PAE")
    add("--no_sheets", dest="sheets", action="store_false", help="write no contact sheets")
    add("--no_costs", dest="costs", action="store_false", help="measure no memory")
    add("--compiled", action="store_true", help="render with torch.compile")
    add("--cpu", action="store_true", help="use the CPU although an accelerator is present")
    for name in _PATHS:
        flag = "--results_dir" if name == "out" else f"--{name}"
        default = getattr(plan, name).relative_to(ROOT)
        add(flag, dest=name, default=str(default), help=f"default: {default}")
    return parser
