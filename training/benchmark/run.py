"""Run the benchmark: `python -m training.evaluate --set renders --methods all`.

Everything is resumable: pictures of the set and records of the edits are kept, and whatever is
there for these weights is not made again. Several processes share the work:
`accelerate launch --num_processes 2 --cpu training/evaluate.py --set renders --cpu`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from faceedit import hub
from faceedit.editor import FaceEditor
from faceedit.errors import FaceEditError
from training.benchmark import tables
from training.benchmark.baselines import baselines
from training.benchmark.compare import compared
from training.benchmark.contestants import MethodRow, method_rows
from training.benchmark.cost import cost
from training.benchmark.faces import EvaluationSet, RenderSet
from training.benchmark.front import shown_rows
from training.benchmark.judged_faces import PhotoSet, SampleSet
from training.benchmark.judges import Judges
from training.benchmark.ledger import LEDGER, Looks, check_release
from training.benchmark.measuring import Measurer
from training.benchmark.people import GRID_FACES, GRID_ITEMS, Item, grid_items, set_digest
from training.benchmark.plan import _PATHS, Plan, _parser, all_of
from training.benchmark.plots import write_plots
from training.benchmark.prompts import GRID
from training.benchmark.records import Records
from training.benchmark.results import (
    TEST_COLUMNS,
    read_results,
    results_file,
    write_csv,
    write_results,
)
from training.benchmark.row import Row
from training.benchmark.scale import SCALE
from training.benchmark.sheets import sheet_name, write_sheet, write_target_sheet
from training.benchmark.summary import brackets, flags, matched_on, summarize
from training.benchmark.targets import TARGETS
from training.config import ROOT, ConfigError
from training.provenance import commit

__all__ = ["Benchmark", "main"]

RECORD_VERSION = "3"  # raised whenever a number of a record would be another one
WAIT = timedelta(hours=12)  # that one process may take longer than another
# Networks of the base that no edit here depends on: renders keep the encoder's code, to the bit.
UNSEEN = frozenset({"attributes", "photo_encoder"})
SLOWEST_LINES = 2  # of the contact sheets of rows that start anew for every strength


def main(arguments: Sequence[str]) -> int:
    """Measure from command-line arguments; return the exit status (2: something to correct)."""
    typed = vars(_parser().parse_args(arguments))
    paths = {k: ROOT / v for k, v in typed.items() if isinstance(v, str) and k in _PATHS}
    photos = Path(typed["photos"]) if typed["photos"] else None
    everything = typed.pop("all")
    plan = Plan(**{**typed, **paths, "photos": photos})
    try:
        for part in all_of(plan) if everything else (plan,):
            benchmark = Benchmark(part)
            benchmark.run()
            if benchmark.main_process:
                print("\n".join(benchmark.written))
    except (ConfigError, FaceEditError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


class Benchmark:
    """One set, all rows: edits that are missing are made, then everything is written.

    Args:
        plan: What is wanted.
    """

    def __init__(self, plan: Plan) -> None:
        from accelerate import PartialState

        if any(count is not None and count < 1 for count in (plan.count, plan.slow_count)):
            raise ConfigError("--count and --slow_count must be at least 1")
        if plan.split == "test" and plan.set != "renders":
            raise ConfigError("--split test is of --set renders")
        if plan.split == "test":
            check_release(plan.release)
            if plan.targets:
                raise ConfigError("targets are chosen among, so --targets goes with --split dev")
        if plan.set == "photos" and plan.photos is None:
            raise ConfigError("--set photos needs --photos DIR")
        self.plan = plan
        self.state = PartialState(cpu=plan.cpu, timeout=WAIT)
        self.device = torch.device("cpu") if plan.cpu else self.state.device
        self.editor = FaceEditor.from_pretrained(plan.base, device=self.device)
        self.judges = Judges.load(plan.judges, self.device)
        self.measurer = Measurer(self.editor, self.judges, extras=plan.people.swept)
        self.rows, self.skipped = method_rows(self.editor, plan.methods)
        self.baselines = baselines(self.editor, plan.set == "renders")
        for row in (*self.rows, *self.baselines):
            if not plan.people.swept:
                row.strengths = (1.0,)
        self.written: list[str] = []

    @property
    def main_process(self) -> bool:
        """Whether this process writes the tables."""
        return bool(self.state.is_main_process)

    @property
    def _draws_sheets(self) -> bool:
        return self.plan.sheets and self.plan.result_name == "renders"

    @cached_property
    def faces(self) -> EvaluationSet:
        """The evaluation set."""
        plan = self.plan
        if plan.set == "renders":
            drawn = (plan.quick_count, plan.cache, plan.compiled, plan.supersampling, plan.split)
            return RenderSet(self.editor, *drawn)
        if plan.set == "samples":
            return SampleSet(self.editor, self.judges, plan.quick_count)
        assert plan.photos is not None
        return PhotoSet(self.editor, self.judges, plan.quick_count, plan.photos)

    @cached_property
    def base_key(self) -> str:
        """A hash of what every number depends on: base, judges, set, and how it is measured."""
        content = hashlib.sha256(f"{RECORD_VERSION} {self.faces.version}".encode())
        prints = hub.fingerprint(self.plan.base)
        edits = {name: prints[name] for name in prints if name not in UNSEEN}
        content.update(json.dumps(edits, sort_keys=True).encode())
        judging = (f"attributes/{hub.WEIGHTS}", f"attributes/{SCALE}", f"identity/{hub.WEIGHTS}")
        for name in judging:
            content.update((self.plan.judges / name).read_bytes())
        return content.hexdigest()[:12]

    def records(self, row: Row) -> Records:
        """Return what is kept of a row."""
        name = f"{row.recorded_as.replace(':', '-')}-{row.key()}".strip("-")
        folder = self.plan.work / f"{self.plan.result_name}-{self.base_key}" / name
        return Records(folder, int(self.state.process_index))

    # Making -----------------------------------------------------------------------------------

    def run(self) -> None:
        """Make what is missing and write everything that follows."""
        self._prepare()
        rows = [*self.baselines, *self.rows]
        looks = self._looks()
        for row in rows:
            if looks and self.main_process:
                looks.begin(row.name, commit())
            self._edit_all(row)
            self._end_look(looks, row)
        targets = self._target_rows()
        for row in targets:
            self._edit_all(row)
        self.state.wait_for_everyone()
        if self.main_process:
            for row in self.rows:
                self._end_look(looks, row)
            self._write(rows, targets)
        if self._draws_sheets:
            for row in self.rows:
                self._edit_sheet(row)
            for row in targets:
                self._edit_cells(row, self.faces.items[: len(GRID)])
            self.state.wait_for_everyone()
            if self.main_process:
                self._write_sheets()
                self._write_target_sheets(targets)

    def _looks(self) -> Looks | None:
        """Return the ledger of test people; who only writes pages anew does not look."""
        if self.plan.split != "test":
            return None
        rows = {row.name: f"{self.base_key}-{row.key()}" for row in self.rows if self._missing(row)}
        return Looks(self.plan.out / LEDGER, self.plan.release, rows, self.plan.again)

    def _end_look(self, looks: Looks | None, row: Row) -> None:
        if looks and self.main_process and not self._missing(row):
            looks.end(row.name)

    def _prepare(self) -> None:
        total = self.faces.pictures() if isinstance(self.faces, RenderSet) else 0
        share = -(-total // int(self.state.num_processes))
        with self._bar(share, "renders of the set") as bar:
            self.faces.prepare(int(self.state.process_index), int(self.state.num_processes), bar)
        self.state.wait_for_everyone()

    def _target_rows(self) -> list[MethodRow]:
        """Return CLIP-PAE, in the generator and in diffusion, with each of its targets."""
        if not self.plan.targets:
            return []
        measured = {row.name for row in self.rows}
        return [
            MethodRow(self.editor, method, f"{method}:{target}", settings)
            for method, targets in TARGETS.items()
            if method in measured
            for target, settings in targets.items()
        ]

    def _sheet_lines(self, row: Row) -> int:
        """Return how many faces the row's contact sheet shows."""
        if row.slowest:
            return SLOWEST_LINES
        return self.plan.slow_lines if row.slow else GRID_FACES

    def _mine(self, items: Sequence[Item]) -> list[Item]:
        """Return this process's share of items, whatever the others have done by now."""
        return list(items[int(self.state.process_index) :: int(self.state.num_processes)])

    def _edit_all(self, row: Row) -> None:
        """Make and measure the edits of a row that are not recorded; a failure ends the row."""
        records = self.records(row)
        try:
            for item in self._watched(self._mine(self._missing(row)), row.name):
                record, image = self.measurer.record(row, self.faces.case(item))
                if row.method and self._draws_sheets and item.index < GRID_ITEMS:
                    records.keep_picture(item.index, image)
                records.write(record)
        except FaceEditError as error:
            self.skipped[row.name] = str(error)

    def _missing(self, row: Row) -> list[Item]:
        """Return the items of a row that are not recorded."""
        known = self.records(row).read()
        items = self.faces.items[: self._count(row)]
        return [item for item in items if item.index not in known and row.supports(item.prompt)]

    def _count(self, row: Row) -> int:
        """Return how many edits of a row are measured."""
        slow, slowest = self.plan.slow_count, self.plan.people.slowest_count
        if row.slowest:
            return min(slow or slowest, slowest)
        return (slow or self.plan.people.slow_count) if row.slow else self.plan.quick_count

    def _edit_sheet(self, row: Row) -> None:
        """Make the cells of a row's contact sheet that were not among the measured edits."""
        if row.name in self.skipped:
            return
        items = grid_items(self.faces.items, self._sheet_lines(row))
        self._edit_cells(row, [item for item in items if row.supports(item.prompt)])

    def _edit_cells(self, row: Row, items: Sequence[Item]) -> None:
        """Make the edited pictures of these items that are not kept yet."""
        records = self.records(row)
        cells = [item for item in self._mine(items) if not records.picture(item.index).is_file()]
        for item in self._watched(cells, f"sheet of {row.name}"):
            edit = row.sweep(self.faces.case(item), item.prompt.text, (1.0,))[0]
            records.keep_picture(item.index, edit.image)

    def _watched(self, items: Sequence[Item], words: str) -> Iterator[Item]:
        with self._bar(len(items), words) as bar:
            for item in items:
                yield item
                bar.update(1)

    def _bar(self, total: int, words: str) -> Any:
        hidden = True if not self.main_process or total == 0 else None
        return tqdm(total=total, desc=words, unit="edit", disable=hidden, mininterval=1)

    # Writing ----------------------------------------------------------------------------------

    def _write(self, rows: Sequence[Row], targets: Sequence[Row]) -> None:
        plan = self.plan
        found = {row.name: self.records(row).read() for row in rows}
        result = self.result(rows, found)
        result["targets"] = self._lines(targets, {r.name: self.records(r).read() for r in targets})
        path, edits = (
            results_file(plan.out, plan.result_name),
            plan.out / f"{plan.result_name}.csv.xz",
        )
        if plan.split == "test":  # rows that were looked at earlier stay
            write_csv(found, edits, TEST_COLUMNS, keep=True)
            earlier = read_results(plan.out).get(plan.result_name, {"rows": {}})["rows"]
            result["rows"] = {**earlier, **result["rows"]}
            methods = [name for name, row in result["rows"].items() if row["kind"] == "method"]
            result |= compared(methods, plan.out)
        else:
            write_csv(found, edits)
        write_results(result, path)
        self.written += [str(path), str(edits)]
        self.written += write_plots(result["rows"], plan.plots, plan.result_name)
        tables.write_page(read_results(plan.out), plan.page, _relative(plan))
        self.written.append(str(plan.page))
        readme = plan.page.parent.parent / "README.md"  # beside the docs; tests have none there
        shown = shown_rows(read_results(plan.out))
        if plan.set == "renders" and tables.write_short_table(shown, readme):
            self.written.append(str(readme))

    def result(self, rows: Sequence[Row], found: Mapping[str, Any]) -> dict[str, Any]:
        """Return everything that is known of a set, as JSON values; "rows" is keyed by name."""
        lines = self._lines(rows, found)
        return {
            "format_version": 1,
            "set": f"{self.faces.version}, {len(self.faces.items)} items, "
            f"digest {set_digest(self.faces.items)}",
            "base": self.plan.base.name,
            "key": self.base_key,
            "device": torch.cuda.get_device_name(self.device)
            if self.device.type == "cuda"
            else f"CPU, {torch.get_num_threads()} threads",
            "commit": commit(),
            "rows": lines,
            "brackets": brackets(lines),
            "skipped": {**self.skipped, **getattr(self.faces, "failed", {})},
        }

    def _lines(self, rows: Sequence[Row], found: Mapping[str, Any]) -> dict[str, Any]:
        known = {row.name: self.records(row).read() for row in self.baselines}
        oracle = known["oracle"] if self.faces.has_truth else None
        reference = self._reference(known)
        learned = {
            row.name: found[row.name].keys()
            for row in rows
            if isinstance(row, MethodRow) and row.variants and found[row.name]
        }
        lines = {}
        for row in rows:
            if not found[row.name]:
                continue
            line = summarize(found[row.name], oracle, reference)
            compared = {k: matched_on(found[row.name], v, oracle) for k, v in learned.items()}
            line["matched_on"] = {name: at for name, at in compared.items() if at is not None}
            line["kind"] = "method" if row.method else "baseline"
            line["cost"] = self._cost(row) if isinstance(row, MethodRow) else {}
            # Better in a process of its own than between other rows and judges, where it is known.
            line["seconds"] = line["cost"].get("seconds_alone") or line["seconds"]
            line["flags"] = flags(line)
            lines[row.name] = line
        return lines

    def _reference(self, known: Mapping[str, Any]) -> torch.Tensor | None:
        """Return what pictures should look like: the true edits, or the unedited faces."""
        records = known["oracle" if self.faces.has_truth else "no_edit"]
        vectors = [record["pooled"] for record in records.values()]
        return torch.tensor(vectors) if vectors else None

    def _cost(self, row: MethodRow) -> dict[str, Any]:
        """Return time and memory of a method, measured once for its weights."""
        path = self.records(row).folder / "cost.json"
        sizes = {name: round(value, 3) for name, value in row.megabytes().items()}
        if path.is_file():
            return {**sizes, **json.loads(path.read_text(encoding="utf-8"))}
        if not self.plan.costs or row.settings:
            return sizes
        measured = cost(self.plan.base, row.method_name, self.plan.cpu)
        if "problem" not in measured:
            path.write_text(json.dumps(measured) + "\n", encoding="utf-8")
        return {**sizes, **measured}

    def _write_sheets(self) -> None:
        for row in self.rows:
            records = self.records(row)
            if row.name in self.skipped or not any(records.folder.glob("*.png")):
                continue
            path = self.plan.sheet_dir / sheet_name(row.name)
            lines = self._sheet_lines(row)
            size = write_sheet(self.faces, records, path, lines)
            self.written.append(f"{path}: {size / 1000:.0f} kB")

    def _write_target_sheets(self, targets: Sequence[MethodRow]) -> None:
        for method in dict.fromkeys(row.method_name for row in targets):
            rows = [row for row in targets if row.method_name == method]
            if any(row.name in self.skipped for row in rows):
                continue
            kept = {row.name.partition(":")[2]: self.records(row) for row in rows}
            path = self.plan.sheet_dir / sheet_name(f"{method}_targets")
            size = write_target_sheet(self.faces, kept, path)
            self.written.append(f"{path}: {size / 1000:.0f} kB")


def _relative(plan: Plan) -> str:
    """Return the way from the page to the plots."""
    try:
        return plan.plots.relative_to(plan.page.parent).as_posix()
    except ValueError:
        return plan.plots.as_posix()
