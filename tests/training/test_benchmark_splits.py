"""Dev and test people, looks at the latter, typed sentences, and whether differences are real."""

import re

import numpy as np
import pytest

from faceedit.version import __version__
from faceedit.words.statements import WORDINGS
from faceedit.world import sample_attributes
from faceedit.world.captions import caption
from training.benchmark.compare import between_sets, difference, holm, pairs, smallest_told
from training.benchmark.ledger import Looks, check_release, read_looks, second_looks
from training.benchmark.people import SPLITS, choose, set_digest
from training.benchmark.plan import Plan
from training.benchmark.prompts import PROMPTS, fits
from training.benchmark.results import read_results
from training.benchmark.run import Benchmark
from training.benchmark.typed import TEMPLATES, THINGS, typed
from training.benchmark.wordings import EVERYDAY
from training.benchmark.wordings_held_out import HELD_OUT
from training.config import ROOT, ConfigError
from training.data.make_world import SEEDS

TEST_DIGEST = "dd2fe1ec26f6"  # of the test items; another one needs a new SET_VERSION
RELEASE = ".".join(__version__.split(".")[:2])


# People -------------------------------------------------------------------------------------------


def test_test_people_are_others_and_each_is_edited_once():
    dev, test = choose(SPLITS["dev"].count), choose(SPLITS["test"].count, "test")
    assert set_digest(test) == TEST_DIGEST
    faces = [item.face for item in test]
    assert len(set(faces)) == len(test) == 400
    assert not {item.face for item in dev} & set(faces)
    assert all(bool(fits(item.prompt, sample_attributes(1, item.face))) for item in test)
    # torch reads 32 bits of a seed: nobody may come round to one who is trained on.
    assert max(faces) < 1 << 32
    assert min(faces) > max(SEEDS.values()) + 1_000_000


def test_every_sentence_is_asked_of_test_people_alike_often():
    keys = [item.prompt.key for item in choose(SPLITS["test"].count, "test")]
    assert set(keys) == set(PROMPTS)
    assert max(map(keys.count, PROMPTS)) - min(map(keys.count, PROMPTS)) <= 1


# Looks --------------------------------------------------------------------------------------------


def look(path, rows, commit="c0ffee", again="", release="0.1", ended=True):
    looks = Looks(path, release, rows, again)
    for row in rows:
        looks.begin(row, commit)
        if ended:
            looks.end(row)


def test_second_look_needs_a_reason_which_is_kept(tmp_path):
    ledger = tmp_path / "looks.json"
    look(ledger, {"feat": "a"})
    with pytest.raises(ConfigError, match=r'feat was looked at on .* --again "reason"'):
        look(ledger, {"ffclip": "b", "feat": "a"})
    assert [seen["row"] for seen in read_looks(ledger)] == ["feat"]  # nothing was looked at
    look(ledger, {"feat": "a", "ffclip": "b"}, again="a judge was wrong")
    assert second_looks(ledger) == {"feat": ["0.1: a judge was wrong"]}
    assert [seen["row"] for seen in read_looks(ledger)] == ["feat", "feat", "ffclip"]
    assert {seen["commit"] for seen in read_looks(ledger)} == {"c0ffee"}
    assert all(seen["ended"] for seen in read_looks(ledger))


def test_stopped_look_goes_on_with_the_same_weights_only(tmp_path):
    ledger = tmp_path / "looks.json"
    look(ledger, {"feat": "a"}, ended=False)
    look(ledger, {"feat": "a"}, ended=False)
    assert len(read_looks(ledger)) == 1
    with pytest.raises(ConfigError, match="looked at"):
        look(ledger, {"feat": "other weights"})
    look(ledger, {"feat": "other weights"}, release="0.2")
    assert len(read_looks(ledger)) == 2


def test_release_is_the_version_that_is_measured():
    check_release(RELEASE)
    for wrong in ("", "9.9", __version__):
        with pytest.raises(ConfigError, match=f"needs --release {RELEASE}"):
            check_release(wrong)
    for plan in (Plan(split="test"), Plan(split="test", release=RELEASE, targets=True)):
        with pytest.raises(ConfigError):
            Benchmark(plan)
    with pytest.raises(ConfigError, match="--set renders"):
        Benchmark(Plan(set="samples", split="test", release=RELEASE))


# Typed sentences ----------------------------------------------------------------------------------


def test_no_template_is_known_to_a_recipe_a_caption_or_the_words_module():
    assert len(set(TEMPLATES)) == len(TEMPLATES) >= 60
    people = sample_attributes(3000, 5)
    known = {text.lower().strip(".") for text in caption(people, seed=5)}
    known |= {text for _, text in WORDINGS} | {text for text, _ in EVERYDAY}
    known |= {text for prompt in PROMPTS.values() for text in prompt.texts}
    known |= {w for _, table in HELD_OUT.values() for v in table.values() for w in v.split(" | ")}
    asked = {typed(prompt, k) for prompt in PROMPTS.values() for k in range(len(TEMPLATES))}
    assert len(known) > 2000 and not asked & known
    folders = ("training/recipes", "training/tasks", "faceedit/words", "faceedit/world")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    text = "\n".join(path.read_text("utf-8") for path in files if path.suffix in (".py", ".yaml"))
    longest = [max(re.split(r"\{\w+\}", template), key=len).strip() for template in TEMPLATES]
    sayings = [saying for saying in longest if len(saying.split()) > 2]
    assert len(sayings) > 25 and not [saying for saying in sayings if saying in text]


def test_every_prompt_can_be_typed_with_every_template():
    assert set(THINGS) == set(PROMPTS)
    assert typed(PROMPTS["hair_color=red"], 0) == "can u gimme red hair pls"
    assert typed(PROMPTS["hair_color=red"], 1) == "make em red haired pls"
    assert typed(PROMPTS["hair_color=red"], len(TEMPLATES)) == "can u gimme red hair pls"


# Differences --------------------------------------------------------------------------------------


def numbers(values):
    return dict(enumerate(values))


def test_difference_is_paired_and_counts_people():
    rng = np.random.default_rng(0)
    base = rng.normal(size=200)
    first, second = numbers(base + 0.1 + 0.01 * rng.normal(size=200)), numbers(base)
    alone = difference(first, second, {k: k for k in range(200)})
    assert alone.value == pytest.approx(0.1, abs=0.005) and alone.people == 200
    assert alone.low < 0.1 < alone.high and alone.high - alone.low < 0.01
    assert alone.p == pytest.approx(1 / 20_001)
    same = difference(second, second, {k: k for k in range(200)})
    assert (same.value, same.p) == (0, 1)


def test_edits_of_one_person_are_one_witness():
    gaps = numbers([1.0] * 8 + [0.0] * 8)
    nothing = numbers([0.0] * 16)
    of_one = difference(gaps, nothing, {k: k // 8 for k in range(16)})
    of_eight = difference(gaps, nothing, {k: k for k in range(16)})
    assert of_one.p == 1  # the sign of one person is a coin
    assert of_eight.p == pytest.approx(2 / 2**8, abs=0.003)


def test_holm_multiplies_the_smallest_most():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def edit(item, success):
    numbers = {"success": success, "identity": 0.9, "collateral": 0.1}
    return {"item": item, "face": item, "prompt": "hair_color=red", **numbers}


def test_all_pairs_are_compared_and_the_smallest_difference_that_is_told_shrinks_with_people():
    def rows(count):
        rng = np.random.default_rng(3)
        return {
            name: [edit(k, float(rng.random() < chance)) for k in range(count)]
            for name, chance in (("good", 0.9), ("fair", 0.7), ("other", 0.7))
        }

    found = pairs(rows(400))
    assert [(p["first"], p["second"]) for p in found["success"]] == [
        ("good", "fair"),
        ("good", "other"),
        ("fair", "other"),
    ]
    assert found["success"][0]["holm"] < 0.05 < found["success"][2]["holm"]
    few, many = (smallest_told(pairs(rows(count))["success"]) for count in (100, 400))
    assert many == pytest.approx(few / 2, rel=0.25)
    # 2.8 standard errors of the difference of two independent shares, 0.9 and 0.7.
    assert many == pytest.approx(2.8 * (0.30 / 400) ** 0.5, rel=0.15)


def test_two_sets_are_compared_sentence_by_sentence():
    def edits(start, red, old):
        red = [("hair_color=red", value) for value in red]
        old = [("age=old", value) for value in old]
        return [
            {"face": start + k, "prompt": prompt, "success": value}
            for k, (prompt, value) in enumerate([*red, *old])
        ]

    # Red hair is asked for more often of the first; every sentence counts alike all the same.
    first = edits(0, [1.0] * 30, [0.0, 1.0] * 5)
    second = edits(1000, [1.0] * 10, [0.0] * 10)
    drop = between_sets(first, second, "success")
    assert (drop["first"], drop["second"], drop["value"]) == (0.75, 0.5, 0.25)
    assert drop["low"] < 0.25 < drop["high"] and drop["low"] > 0


def test_published_test_people_were_looked_at_as_the_ledger_says():
    folder = ROOT / "hub_cards/benchmark"
    looks = read_looks(folder / "looks.json")
    rows = [(look["release"], look["row"]) for look in looks if not look["again"]]
    assert len(set(rows)) == len(rows)
    published = read_results(folder)["renders-test"]["rows"]
    ended = {look["row"] for look in looks if look["ended"]}
    assert {name for name, row in published.items() if row["kind"] == "method"} == ended
