"""The benchmark: its set stays the same, its numbers point the right way, its runs go on."""

import json
import lzma
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faceedit import hub
from faceedit.editor import FaceEditor
from faceedit.hub import folders, save_network
from faceedit.inversion import to_space
from faceedit.method_repo import load_method, save_method
from faceedit.methods import METHODS
from faceedit.version import __version__
from faceedit.words.sentence import read
from faceedit.world import FaceAttributes, sample_attributes
from faceedit.world.captions import FALSE, TRUE, is_true, truth
from faceedit.world.statements import INDEX
from tests.conftest import make_clip, make_encoder, make_generator
from tests.training.shards import write_shard
from tests.training.test_evaluate import make_judge, make_recognizer
from training import evaluate
from training.benchmark import calibrate, summary, tables
from training.benchmark.baselines import NoEdit, Oracle, RandomDirection
from training.benchmark.contestants import MethodRow, method_rows
from training.benchmark.faces import RenderSet
from training.benchmark.fit_scale import fit_scale
from training.benchmark.front import DETAILS
from training.benchmark.judges import Judges, collateral, masked_psnr, success
from training.benchmark.measuring import Measurer
from training.benchmark.people import GRID_ITEMS, choose, grid_items, set_digest
from training.benchmark.plan import Plan, all_of
from training.benchmark.prompts import GRID, PROMPTS, fits
from training.benchmark.records import Records
from training.benchmark.results import read_results
from training.benchmark.run import Benchmark
from training.benchmark.scale import SCALE, Scale
from training.config import ROOT, ConfigError
from training.fingerprint import code_files
from training.tasks import task_names
from training.tasks.attributes import HEADS

DIGEST = "ac897b965a1a"  # of the first items; another one needs a new SET_VERSION
PUBLISHED = ROOT / "hub_cards" / "benchmark" / "results.json"


@pytest.fixture(scope="module")
def cards(tmp_path_factory, world) -> Path:
    """A tiny base with its own reader, two tiny judges with a scale, and two methods."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("cards")
    base = folder / "portraits-tiny"
    generator = make_generator()
    parts = {"generator": generator, "encoder": make_encoder(generator)}
    parts |= {"identity": make_recognizer(), "attributes": make_judge()}
    for name, part in parts.items():
        save_network(part, base / name, half=False)
    make_clip().save(base / "clip", half=False)
    hub.save_base(base, {name: name for name in (*parts, "clip")}, resolution=32)
    save_network(make_judge(), folder / "judges" / "attributes", half=False)
    save_network(make_recognizer(), folder / "judges" / "identity", half=False)
    judges = Judges.load(folder / "judges", scaled=False)
    fit_scale(judges, world / "heldout", 24).save(folder / "judges" / "attributes", 24)
    backbones = FaceEditor.from_pretrained(base).backbones
    fitted = METHODS["styleclip_global"].build(backbones)
    fitted.directions.normal_()
    fitted.deviation.fill_(0.1)
    descends = METHODS["styleclip_optimization"].build(backbones, steps=2)
    for method in (fitted, descends):
        place = folder / method.name.replace("_", "-")
        prints = hub.fingerprint(base)
        save_method(method, place, base="faceedit/portraits-tiny", fingerprint=prints, half=False)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_shard(folder / "heldout", 1, 24, size=32)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def plan(cards, cache, tmp_path) -> Plan:
    return Plan(
        methods="styleclip_global,styleclip_optimization",
        count=2,
        slow_count=1,
        costs=False,
        cpu=True,
        base=cards / "portraits-tiny",
        judges=cards / "judges",
        cache=cache,
        work=tmp_path / "work",
        out=tmp_path / "out",
        page=tmp_path / "docs" / "benchmark.md",
        plots=tmp_path / "docs" / "plots",
        sheet_dir=tmp_path / "sheets",
        supersampling=1,
    )


@pytest.fixture(scope="module")
def judged(cards, cache):
    """Editor, judges and cases of the set, on tiny networks."""
    editor = FaceEditor.from_pretrained(cards / "portraits-tiny")
    faces = RenderSet(editor, 2, cache, supersampling=1)
    faces.prepare()
    return Measurer(editor, Judges.load(cards / "judges")), [
        faces.case(item) for item in faces.items
    ]


# The set ------------------------------------------------------------------------------------------


def test_set_is_the_same_everywhere():
    items = choose(80)
    assert set_digest(items) == DIGEST
    assert choose(10) == items[:10]
    assert all(bool(fits(item.prompt, sample_attributes(1, item.face))) for item in items)
    later = [item.face for item in items[GRID_ITEMS:]]
    assert len(set(later)) == len(later)


def test_prompts_suit_as_the_world_says():
    people = sample_attributes(32, 9)
    for prompt in GRID:
        columns = [INDEX[key] for key in prompt.statements]
        before = truth(people)[:, columns] == FALSE
        after = truth(people.replace(**prompt.changes))[:, columns] == TRUE
        suits = before.all(1) & after.all(1)
        for name, (low, high) in prompt.wearer.items():
            suits &= (people.column(name) >= low) & (people.column(name) <= high)
        assert torch.equal(fits(prompt, people), suits), prompt.key


def test_start_of_the_set_holds_all_faces_and_prompts_alike_often():
    for count in (8, 24, 64):
        items = choose(count)
        for kind in ([i.face for i in items], [i.prompt.key for i in items]):
            assert {kind.count(value) for value in kind} == {count // 8}
    rows = grid_items(choose(64))
    assert [i.prompt.key for i in rows[:8]] == [prompt.key for prompt in GRID]
    assert len({i.face for i in rows[:8]}) == 1


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=list(PROMPTS))
def test_prompt_says_what_its_true_edit_makes_true(prompt):
    assert set(prompt.statements) <= set(INDEX)
    assert len(set(prompt.texts)) == 3
    person = sample_attributes(1, choose(1)[0].face).replace(age=30.0, hair_style="short")
    person = person.replace(hat="none", glasses="none", femininity=0.1, fringe=0.0)
    edited = person.replace(**prompt.changes)
    assert all(bool(is_true(key, edited)) for key in prompt.statements if "lipstick" not in key)


# The columns --------------------------------------------------------------------------------------


def test_worse_edits_get_worse_numbers(judged):
    measurer, cases = judged
    case = cases[0]
    noise = torch.randn(case.truth.shape, generator=torch.Generator().manual_seed(0))
    steps = [case.truth + amount * noise for amount in (0.0, 0.1, 0.3, 0.9)]
    _, numbers = measurer.numbers(case, torch.cat(steps))
    for name in ("psnr_in", "psnr_out", "kept_out"):
        values = [line[name] for line in numbers]
        assert values == sorted(values, reverse=True), name
    for name in ("feature_in", "feature_out"):
        values = [line[name] for line in numbers]
        assert values == sorted(values), name
    assert numbers[0]["psnr_in"] == 100.0


def test_no_edit_changes_nothing_and_the_oracle_is_the_truth(judged):
    measurer, cases = judged
    for case in cases:
        nothing = measurer.record(NoEdit(), case)[0]["strengths"]["1.0"]
        assert nothing["identity"] == pytest.approx(1, abs=1e-4)
        assert nothing["collateral"] == 0
        assert nothing["kept_out"] == 100
        perfect = measurer.record(Oracle(), case)[0]["strengths"]["1.0"]
        assert perfect["psnr_in"] == perfect["psnr_out"] == 100
        assert perfect["feature_in"] == 0


def test_random_direction_is_as_long_as_the_true_edit(judged):
    measurer, cases = judged
    row = RandomDirection(measurer.editor)
    one, two = row.sweep(cases[0], "", (1.0, 2.0))
    start = cases[0].source.latent.code
    true = cases[0].cache["true_code"]
    size, wanted = (code.norm() for code in (one.face.latent.code - start, true - start))
    assert torch.allclose(size, wanted, rtol=1e-4)
    assert torch.allclose(
        two.face.latent.code - start, 2 * (one.face.latent.code - start), atol=1e-5
    )


def test_an_edit_that_asks_for_seconds_is_made_once_for_all_strengths(judged):
    measurer, cases = judged
    editor, case = measurer.editor, cases[0]
    row = MethodRow(editor, "styleclip_optimization")
    method = row.load(case.item.prompt)
    sentence = read(case.item.prompt.text, "a face", editor.backbones.clip)
    half = method.edit(case.source, sentence, editor.backbones, 0.5)
    shown = row.sweep(case, case.item.prompt.text, (0.5, 1.0))[0]
    assert torch.allclose(shown.image, half.image, atol=1e-5)


def test_scale_puts_readings_in_the_place_of_the_truth():
    true = sample_attributes(200, 3)
    read = FaceAttributes(true.values * 0.2 + 0.1)
    scale = Scale.fit(HEADS, read, true)
    mapped = scale.apply(read)
    assert torch.allclose(mapped.column("smile"), true.column("smile"), atol=0.02)
    order = mapped.column("age").argsort()
    assert torch.equal(read.column("age")[order], read.column("age").sort().values)


def test_judges_measure_with_the_scale_that_ships_with_them_or_not_at_all(cards, tmp_path):
    judges = tmp_path / "judges"
    shutil.copytree(cards / "judges", judges)
    people = FaceAttributes(sample_attributes(50, 4).values)
    before, after = (Judges.load(place).scale for place in (cards / "judges", judges))
    assert torch.equal(before.apply(people).values, after.apply(people).values)
    config = (judges / "attributes" / "config.json").read_text()
    save_network(make_judge(), judges / "attributes", half=False)  # other weights
    assert (judges / "attributes" / "config.json").read_text() == config
    with pytest.raises(ConfigError, match="is of other weights"):
        Judges.load(judges)
    (judges / "attributes" / SCALE).unlink()
    with pytest.raises(ConfigError, match="has no scale"):
        Judges.load(judges)


def test_scale_is_not_found_on_fewer_renders_than_it_says(cards, world):
    judges = Judges.load(cards / "judges", scaled=False)
    with pytest.raises(ConfigError, match="has 24 renders and 25 are needed"):
        fit_scale(judges, world / "heldout", 25)


def test_same_picture_has_no_collateral_and_success_reads_all_statements(judged):
    measurer, cases = judged
    look = measurer.judges.look(torch.cat([cases[0].photo] * 2))
    assert collateral(measurer.judges, HEADS, look, look).tolist() == [0, 0]
    wide = next(prompt for prompt in PROMPTS.values() if len(prompt.statements) == 4)
    true = replace(look, people=look.people.replace(**wide.changes, age=30.0))
    assert success(wide, true).shape == (2, 4)
    assert success(wide, true).all()
    without = replace(true, people=true.people.replace(glasses="none"))
    assert success(wide, without).sum(1).tolist() == [3, 3]


def test_masked_psnr_looks_at_the_mask_only():
    image, other = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    other[..., :2] = 1
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 2:] = 1
    assert masked_psnr(image, other, mask).item() == 100
    assert masked_psnr(image, other, 1 - mask).item() == pytest.approx(6.02, abs=0.01)
    assert masked_psnr(image, other, 0 * mask).isnan().all()


# The summary --------------------------------------------------------------------------------------


def made_up(item: int, gain: float, identity: float, clip_gain: float = 0.0) -> dict:
    """A record whose success and losses grow along the strengths."""
    numbers = {}
    for strength in summary.STRENGTHS:
        numbers[str(strength)] = dict.fromkeys(summary.MEANS, 0.5) | {
            "success": float(gain * strength >= 1),
            "progress": min(1.0, 0.5 * gain * strength),
            "identity": 1 - (1 - identity) * strength,
            "collateral": 0.1 * strength,
            "clip_gain": clip_gain,
        }
    prompt = GRID[item % 8].key
    start = {"success": 0.0, "progress": 0.0}
    found = {"item": item, "face": item // 2, "prompt": prompt, "seconds": 0.1, "start": start}
    return found | {"strengths": numbers, "pooled": [float(item), 1.0]}


def rows_of(gain: float, identity: float, clip_gain: float = 0.0) -> dict[int, dict]:
    return {item: made_up(item, gain, identity, clip_gain) for item in range(40)}


def test_flags_name_what_is_wrong():
    oracle = rows_of(2, 0.9, 0.2)
    good = summary.summarize(rows_of(1, 0.8, 0.1), oracle)
    assert summary.flags(good) == []
    assert good["success"]["value"] == 1 and good["ceiling"]["value"] == 1
    assert summary.flags(summary.summarize(rows_of(0, 0.999), oracle)) == ["no-op"]
    assert summary.flags(summary.summarize(rows_of(1, 0.1), oracle)) == ["replacement"]
    fooled = summary.summarize(rows_of(0, 0.8, 0.3), oracle)
    assert summary.flags(fooled) == ["adversarial"]


def test_methods_are_compared_where_they_succeed_alike():
    oracle = rows_of(2, 0.9)
    careful, rough = (summary.summarize(rows_of(1, i), oracle)["matched"] for i in (0.9, 0.6))
    assert careful["level"] == pytest.approx(0.7)
    # Nothing is true at strength 0.5 and everything at 1, so 0.7 is reached at 0.85.
    assert careful["strength"] == pytest.approx(0.85, abs=1e-3)
    assert careful["identity"]["value"] == pytest.approx(1 - 0.1 * 0.85, abs=1e-3)
    assert rough["identity"]["value"] < careful["identity"]["value"]
    assert rough["collateral"]["value"] == pytest.approx(0.085, abs=1e-3)
    assert not summary.summarize(rows_of(0.1, 0.9), oracle)["matched"]["reached"]


def test_method_of_few_sentences_is_compared_on_those():
    """Odd items are easy: whoever is compared on them alone reaches the level earlier."""
    oracle = rows_of(2, 0.9)
    mixed = {item: made_up(item, 2 if item % 2 else 0.5, 0.9) for item in oracle}
    odd = [item for item in oracle if item % 2]
    at = summary.matched_on(mixed, odd, oracle)
    assert at["n"] == 20 and at["reached"]
    assert at["strength"] < 0.5 < summary.summarize(mixed, oracle)["matched"]["strength"]
    assert summary.matched_on({1: mixed[1]}, odd, oracle) is None
    line = {"kind": "method", "summary": 0.5, "matched_on": {"styleclip_mapper": at}}
    row = tables.equal_table(
        {"feat": line, "ffclip": {**line, "matched_on": {}}}, "styleclip_mapper"
    )
    assert row[2:] == [
        f"| feat | 20 | {1 - 0.1 * at['strength']:.4f} | {at['collateral']['value']:.4f} |"
    ]


def test_records_keep_the_order_of_what_is_nearly_certain(tmp_path, judged):
    records = Records(tmp_path / "row")
    records.write({"item": 0, "progress": [1 - 1e-8, 1 - 1e-9]})
    low, high = records.read()[0]["progress"]
    assert low < high < 1
    measurer, cases = judged
    look = measurer.judges.look(cases[0].photo)
    assert all(chances.dtype == torch.float64 for chances in look.chances.values())


def test_intervals_hold_the_mean_and_shrink_with_faces():
    values = [float(i % 2) for i in range(200)]
    wide = summary.Bootstrap(list(range(10)) * 20).mean([float(i % 10 < 5) for i in range(200)])
    many = summary.Bootstrap(list(range(200))).mean(values)
    assert many.low < many.value == 0.5 < many.high
    assert wide.high - wide.low > many.high - many.low
    assert summary.Bootstrap([1, 2]).mean([None, None]).n == 0


def test_linearity_is_the_rank_correlation_with_strength():
    assert summary.linearity(made_up(0, 1, 0.9)) == pytest.approx(1, abs=0.2)
    assert summary.linearity(made_up(0, 0, 0.9)) == 0
    assert summary.linearity(made_up(0, -1, 0.9)) == pytest.approx(-1, abs=0.2)


def test_leaving_the_bracket_is_noticed():
    oracle = rows_of(2, 0.9)
    lines = {"good": summary.summarize(rows_of(1, 0.8), oracle)}
    lines["good"]["kind"] = "method"
    assert summary.brackets(lines) == []
    lines["good"]["identity"]["value"] = 1.2
    assert summary.brackets(lines) == ["good keeps the person better than no edit"]


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the benchmark has not been run")
def test_published_methods_lie_between_no_edit_and_the_true_edit():
    result = json.loads(PUBLISHED.read_text())
    assert result["brackets"] == []
    targets = result.get("targets") or {}
    for name in (name for name in targets if ":pae" in name):
        pae, text = (targets[n]["matched"] for n in (name, name.replace(":pae", ":text")))
        if pae["reached"] and text["reached"]:
            assert pae["identity"]["high"] >= text["identity"]["value"]
            assert pae["collateral"]["low"] <= text["collateral"]["value"]


# The run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "matters"), [("encoder", True), ("attributes", False)])
def test_numbers_are_kept_while_the_networks_they_depend_on_stay(plan, tmp_path, name, matters):
    base = tmp_path / "portraits-tiny"
    shutil.copytree(plan.base, base)
    before = Benchmark(replace(plan, base=base)).base_key
    network = make_judge() if name == "attributes" else make_encoder(make_generator())
    save_network(network, base / name, half=False)
    assert (Benchmark(replace(plan, base=base)).base_key != before) == matters


def test_run_writes_tables_and_goes_on_where_it_was(plan, monkeypatch):
    Benchmark(plan).run()
    result = json.loads((plan.out / "results.json").read_text())
    rows = result["rows"]
    assert list(rows)[:5] == [
        *("no_edit", "oracle", "oracle_inverted", "random_face", "random_direction")
    ]
    assert rows["styleclip_global"]["n"] == 2
    assert rows["styleclip_optimization"]["n"] == 1
    assert len(rows["styleclip_global"]["curve"]) == 5
    assert rows["styleclip_global"]["cost"]["own_mb"] > 0
    assert rows["styleclip_global"]["paraphrase_std"]["n"] == 1
    table = lzma.decompress((plan.out / "renders.csv.xz").read_bytes()).decode().splitlines()
    assert len(table) == 1 + 2 * (1 + 1 + 5 + 1 + 5 + 5) + 5
    page = plan.page.read_text()
    assert "| `styleclip_global` | 2 dev |" in page
    assert "| styleclip_global | 2 |" in plan.page.with_name(DETAILS).read_text()
    assert {path.name for path in plan.sheet_dir.glob("*.jpg")} == {
        "styleclip-global.jpg",
        "styleclip-optimization.jpg",
    }
    # Conclusions are kept, and nothing is edited twice.
    plan.page.write_text(page.replace(tables.TO_BE_WRITTEN, "Use the first."))
    monkeypatch.setattr(Measurer, "record", None)
    Benchmark(plan).run()
    assert "Use the first." in plan.page.read_text()
    assert json.loads((plan.out / "results.json").read_text())["rows"] == rows


def test_people_of_the_test_are_looked_at_once_and_the_page_says_how_often(plan):
    dev = replace(plan, methods="styleclip_global", sheets=False)
    Benchmark(dev).run()
    look = replace(dev, split="test", release=".".join(__version__.split(".")[:2]))
    Benchmark(look).run()
    result = read_results(plan.out)["renders-test"]
    line = result["rows"]["styleclip_global"]
    assert line["n"] == line["faces"] == 2 and line["typed"]["n"] == 2
    assert [point["strength"] for point in line["curve"]] == [1.0]
    assert result["drop"]["styleclip_global"].keys() == {"success", "identity", "collateral"}
    written = plan.page.read_text(encoding="utf-8")
    assert "| 2 test |" in written and "looked at again" not in written
    Benchmark(look).run()  # nothing is missing, so that only the pages are written anew
    assert plan.page.read_text(encoding="utf-8") == written
    shutil.rmtree(plan.work)
    with pytest.raises(ConfigError, match="styleclip_global was looked at on"):
        Benchmark(look).run()
    Benchmark(replace(look, again="the work folder was lost")).run()
    assert "the work folder was lost" in plan.page.read_text(encoding="utf-8")
    # Rows that are looked at later stand beside those of earlier.
    Benchmark(replace(look, methods="styleclip_optimization", slow_count=2)).run()
    result = read_results(plan.out)["renders-test"]
    assert {"styleclip_global", "styleclip_optimization"} <= result["rows"].keys()
    assert result["drop"].keys() == {"styleclip_global"}  # the other has no edits of dev people
    pair = result["pairs"]["success"][0]
    assert {pair["first"], pair["second"]} == {"styleclip_global", "styleclip_optimization"}
    assert (pair["edits"], pair["people"]) == (2, 2)


def test_all_is_every_set_of_dev_and_people_only_of_test(plan):
    parts = [(part.set, part.targets) for part in all_of(plan)]
    assert parts == [("renders", True), ("samples", False)]
    assert [part.set for part in all_of(replace(plan, split="test"))] == ["renders"]


@pytest.mark.slow
def test_two_processes_share_the_edits(plan, tmp_path):
    flags = {"base": plan.base, "judges": plan.judges, "work": plan.work}
    flags |= {"cache": tmp_path / "pictures", "results_dir": plan.out, "page": plan.page}
    flags |= {"plots": plan.plots, "methods": "styleclip_global", "count": 2}
    words = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher += ["--nproc_per_node", "2", str(ROOT / "training" / "evaluate.py")]
    command = [*launcher, "--set", "renders", "--cpu", "--no_sheets", "--no_costs", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr[-2000:]
    written = sorted(path.name for path in plan.work.rglob("styleclip_global-*/edits-*.jsonl"))
    assert written == ["edits-0.jsonl", "edits-1.jsonl"]
    rows = json.loads((plan.out / "results.json").read_text())["rows"]
    assert rows["styleclip_global"]["n"] == 2


def test_sentences_of_several_wishes_are_counted_by_how_many_they_are():
    by_prompt = {
        "hair_color=red": {"success": 0.0, "n": 9},
        "hair_color=red+glasses=sunglasses": {"success": 1.0, "n": 1},
        "beard=full+glasses=round": {"success": 0.0, "n": 3},
        "hair_color=blond+hair_style=curly+glasses=any": {"success": 0.5, "n": 2},
    }
    line = {"kind": "method", "summary": 0.5, "by_prompt": by_prompt}
    single = {**line, "by_prompt": {"hair_color=red": by_prompt["hair_color=red"]}}
    written = tables.wishes_table({"feat": line, "styleclip_mapper": single})
    assert written[2:] == ["| feat | 0.25 (4) | 0.50 (2) |"]


def test_cut_off_line_is_made_again(tmp_path):
    records = Records(tmp_path / "row")
    records.write({"item": 0, "value": float("nan")})
    records.write({"item": 1, "value": torch.tensor([1.0])})
    text = records.file.read_text()
    records.file.write_text(text[:-5])
    assert set(records.read()) == {0}
    Records(tmp_path / "row").write({"item": 1, "value": 2.0})
    Records(tmp_path / "row", process=1).write({"item": 2, "value": 2.0})
    assert {k: r["value"] for k, r in records.read().items()} == {0: None, 1: 2.0, 2: 2.0}


def test_samples_are_judged_without_a_truth(plan):
    benchmark = Benchmark(replace(plan, set="samples", methods="styleclip_global", count=2))
    benchmark.run()
    result = json.loads((plan.out / "results-samples.json").read_text())
    assert list(result["rows"]) == ["no_edit", "random_direction", "styleclip_global"]
    assert result["rows"]["styleclip_global"]["psnr_in"]["value"] is None
    assert "Random samples" in plan.page.with_name(DETAILS).read_text()


def test_flags_of_the_command_lead_to_the_benchmark(capsys):
    assert evaluate.main(["--set", "photos", "--cpu"]) == 2
    assert "--photos" in capsys.readouterr().err
    assert evaluate.main(["--set", "renders", "--cpu", "--count", "0"]) == 2
    assert "--count" in capsys.readouterr().err


def test_targets_of_clip_pae_are_rows_of_their_own(judged):
    measurer, cases = judged
    prompt = cases[0].item.prompt
    rows = [
        MethodRow(measurer.editor, "clip_pae", f"clip_pae:{target}", {"target": target, "steps": 2})
        for target in ("pae", "text")
    ]
    assert [row.load(prompt).config.target for row in rows] == ["pae", "text"]
    assert rows[0].key() != rows[1].key()
    images = [row.sweep(cases[0], prompt.text, (1.0,))[0].image for row in rows]
    assert not torch.equal(*images)


def test_row_of_a_setting_as_published_shares_the_records_of_the_method(judged):
    editor = judged[0].editor
    own = MethodRow(editor, "clip_pae")
    pae, text = (
        MethodRow(editor, "clip_pae", f"clip_pae:{target}", {"target": target})
        for target in ("pae", "text")
    )
    assert (pae.recorded_as, pae.key()) == (own.recorded_as, own.key())
    assert text.recorded_as == "clip_pae:text" and text.key() != own.key()


def test_rows_say_what_is_left_out(judged):
    rows, skipped = method_rows(judged[0].editor, "styleclip_global,interfacegan")
    assert [row.name for row in rows] == ["styleclip_global"]
    assert skipped == {"interfacegan": "not trained yet"}


# Calibration --------------------------------------------------------------------------------------


def curve_of(gain: list[float], identity: float = 1.0) -> calibrate.Curve:
    return calibrate.Curve(tuple(gain), (identity,) * len(calibrate.SCALES), 1)


def test_scale_is_where_the_wanted_gain_is_reached():
    straight = [0.25 * scale for scale in calibrate.SCALES]
    assert calibrate.choose_scale(curve_of(straight), 0.5) == 2.0
    assert calibrate.choose_scale(curve_of(straight), 0.375) == 1.5
    weak = [min(0.1 * scale, 0.1) for scale in calibrate.SCALES]
    assert calibrate.choose_scale(curve_of(weak), 0.5) == pytest.approx(0.8)
    assert calibrate.choose_scale(curve_of(straight), 1.0, most=2.0) == pytest.approx(1.92)
    rising = [0.15, 0.16, 0.17, 0.181, 0.182, 0.19, 0.195, 0.2]  # more strength is hardly more
    assert calibrate.choose_scale(curve_of(rising), 0.8) == pytest.approx(0.98)
    assert calibrate.choose_scale(curve_of([0.0] * 8), 0.5) == 1.0
    assert calibrate.choose_scale(curve_of(straight, identity=0.0), 0.5) <= 0.25


def test_calibration_writes_the_scale_and_reads_no_judge(cards, monkeypatch):
    opened = []
    original = folders.read_weights
    monkeypatch.setattr(
        folders, "read_weights", lambda folder: (opened.append(Path(folder)), original(folder))[1]
    )
    base, place = cards / "portraits-tiny", cards / "styleclip-global"
    kept = (place / hub.CONFIG).read_text()
    report = calibrate.calibrate(base, "styleclip_global", 2, 1, cpu=True)
    assert opened and not [path for path in opened if "judges" in path.parts]
    scale = report["methods"]["styleclip_global"]["strength_scale"]
    assert hub.read_config(place)["method_config"]["strength_scale"] == scale
    assert hub.read_config(place)["method"] == "styleclip_global"
    assert (place / hub.WEIGHTS).is_file()
    load_method(METHODS["styleclip_global"], place)
    (place / hub.CONFIG).write_text(kept)


def test_strength_is_multiplied_by_the_scale(cards):
    editor = FaceEditor.from_pretrained(cards / "portraits-tiny")
    backbones = editor.backbones
    method = editor.method("styleclip_global")
    scaled = type(method)(replace(method.config, strength_scale=2.5))
    scaled.load_state_dict(method.state_dict())
    source = to_space(editor.sample(0), method.space, backbones)
    sentence = read("red hair", "a face", backbones.clip)
    strong = method.edit(source, sentence, backbones, 2.5)
    assert torch.allclose(scaled.edit(source, sentence, backbones).image, strong.image, atol=1e-6)
    assert scaled.edit(source, sentence, backbones, 0) is source


# Judges judge only --------------------------------------------------------------------------------


def test_no_training_uses_the_benchmark():
    for task in task_names():
        assert not [name for name in code_files(task) if "benchmark" in name], task
