"""True edits of the world as tables, banks of faces and sentences, and the task that uses them."""

import dataclasses
import shutil

import pytest
import torch

from faceedit.method_repo import load_method
from faceedit.methods.counterfactual import CounterfactualEditor
from faceedit.world import SPECS, FaceAttributes, sample_attributes
from faceedit.world.captions import STATEMENTS, TRUE, truth
from faceedit.world.statements import INDEX
from training.config import ConfigError, TrainConfig
from training.data.true_edits import SHIFTS, TrueEdits
from training.loop.loop import Loop
from training.tasks import reads, task_class
from training.tasks.attribute_mapping import (
    AttributeMapping,
    AttributeMappingConfig,
    save_attribute_mapping,
)
from training.tasks.counterfactual import CounterfactualTask
from training.tasks.counterfactual_step import ThroughCamera
from training.tasks.edit_banks import sentences

from .shards import write_shard

PEOPLE = 200


@pytest.fixture(scope="module")
def edits():
    return TrueEdits()


@pytest.fixture(scope="module")
def people():
    return sample_attributes(PEOPLE, 3).values


def said(*keys):
    """The same statements for everybody, [PEOPLE, 4]."""
    numbers = [INDEX[key] for key in keys] + [-1] * (4 - len(keys))
    return torch.tensor(numbers).expand(PEOPLE, 4)


PLAIN = torch.zeros(PEOPLE, 4)


# True edits ---------------------------------------------------------------------------------------


def test_every_statement_can_be_made_true_and_only_its_attributes_move(edits, people):
    for number, statement in enumerate(STATEMENTS):
        which = torch.full((PEOPLE, 1), number)
        after = edits.apply(people, which, PLAIN[:, :1])
        assert edits.true(after, which[:, 0]).all(), statement.key
        columns = (after != people).any(0).nonzero().flatten().tolist()
        names = [list(dict(zip_names()))[i] for i in columns]
        assert set(names) <= set(statement.when), statement.key


def zip_names():
    from faceedit.world import SPECS

    return ((name, None) for name in SPECS)


def test_tables_agree_with_the_worlds_own_truth(edits, people):
    known = truth(FaceAttributes(people)) == TRUE
    for key in ("smile=smile", "glasses=any", "background_hue=red", "age=middle-aged"):
        which = torch.full((PEOPLE,), INDEX[key])
        ours = edits.true(people, which)
        assert not (known[:, INDEX[key]] & ~ours).any(), key


def test_values_that_statements_ask_for(edits):
    which = said("hair_style=bald", "glasses=any", "smile=smile")[:2]
    values, meant, ways = edits.wanted(which)
    named = {
        name: [SPECS[name].values[i] for i in mask[0].nonzero().flatten()]
        for name, mask in values.items()
        if mask.any()
    }
    assert set(named) == {"hair_style", "glasses"}  # a smile is an amount
    assert named["hair_style"] == ["bald"]
    assert "none" not in named["glasses"] and len(named["glasses"]) > 1
    assert {name for name, mask in meant.items() if mask.any()} == {*named, "smile"}
    assert {name: way[0].item() for name, way in ways.items() if way.any()} == {"smile": 1.0}
    _, _, ways = edits.wanted(said("age=young", "lipstick=lipstick"))
    going = {name: way[0].item() for name, way in ways.items() if way.any()}
    assert going == {"age": -1.0, "lipstick": 1.0}


def test_what_is_true_already_stays_as_it_is(edits, people):
    which = said("smile=smile", "hair_color=red")
    once = edits.apply(people, which, PLAIN)
    assert torch.equal(edits.apply(once, which, PLAIN), once)


def test_comparatives_move_by_their_degree_and_within_the_range(edits, people):
    which = said("age=old")
    ages = []
    for share in SHIFTS.values():
        after = FaceAttributes(edits.apply(people, which, PLAIN + share))
        ages.append(after.column("age"))
        assert after.column("age").max() <= 85
    before = FaceAttributes(people).column("age")
    assert (before <= ages[0]).all() and (ages[0] <= ages[1]).all() and (ages[1] <= ages[2]).all()


def test_overdoing_goes_to_the_end_of_what_has_a_scale_and_leaves_the_rest(edits, people):
    which = said("smile=smile", "hair_color=red", "age=old")
    once, twice = edits.apply(people, which, PLAIN), edits.overdo(people, which, PLAIN)
    before, after = FaceAttributes(once), FaceAttributes(twice)
    for name in ("smile", "age"):
        assert (after.column(name) == SPECS[name].high).all()
        assert (before.column(name) <= after.column(name)).all()
    rest = [i for i, name in enumerate(SPECS) if name not in ("smile", "age")]
    assert torch.equal(once[:, rest], twice[:, rest])


def test_overdone_comparatives_move_twice_as_far(edits, people):
    young = people.clone()
    young[:, list(SPECS).index("age")] = 20.0
    which, shift = said("age=old"), PLAIN + SHIFTS["slightly"]
    ages = [
        FaceAttributes(values).column("age")
        for values in (young, edits.apply(young, which, shift), edits.overdo(young, which, shift))
    ]
    torch.testing.assert_close(ages[2] - ages[0], 2 * (ages[1] - ages[0]))


def test_undoing_makes_what_was_true_false(edits, people):
    which = said("glasses=round", "hair_color=red", "smile=smile")
    made = edits.apply(people, which, PLAIN)
    others = people[torch.randint(0, PEOPLE, (PEOPLE, 6))]
    before = edits.undo(made, which, PLAIN, others)
    for column in range(3):
        assert edits.true(before, which[:, column]).float().mean() < 0.1


def test_undoing_what_is_not_so_goes_the_other_way(edits):
    plain = FaceAttributes.default(1)
    others = sample_attributes(4, 1).values[None]
    which = torch.tensor([[INDEX["age=old"]]])
    before = FaceAttributes(edits.undo(plain.values, which, torch.zeros(1, 1), others))
    assert before.column("age") < plain.column("age")


def test_statements_that_cannot_be_seen_together_are_known(edits):
    fits = edits.together()
    assert torch.equal(fits, fits.T)
    assert fits[INDEX["hair_color=red"], INDEX["hair_style=afro"]]
    for one, other in (
        ("hair_color=red", "hair_style=bald"),
        ("smile=smile", "smile=frown"),
        ("eye_color=blue", "glasses=sunglasses"),
    ):
        assert not fits[INDEX[one], INDEX[other]]


# Sentences ----------------------------------------------------------------------------------------


def test_sentences_keep_away_from_what_is_held_out(backbones):
    absent, apart = ("hair_color=red",), [("glasses=round", "smile=smile")]
    bank = sentences(300, backbones.clip, 0, absent=absent, apart=apart)
    assert len(bank) == 300
    assert INDEX["hair_color=red"] not in bank.which.tolist()
    both = {INDEX[key] for key in apart[0]}
    for row in bank.which.tolist():
        assert INDEX["hair_color=red"] not in row
        assert not both <= set(row)
    assert (bank.shift > 0).any() and (bank.which[:, 3] >= 0).any()
    assert torch.allclose(bank.target.norm(dim=1), torch.ones(300), atol=1e-4)


def test_sentences_are_the_same_for_the_same_seed(backbones):
    one, other = (sentences(8, backbones.clip, 4) for _ in range(2))
    assert torch.equal(one.which, other.which)
    assert torch.equal(one.target, other.target)


def test_sentences_of_given_statements_only(backbones):
    bank = sentences(5, backbones.clip, 0, only=[("glasses=round", "smile=smile")])
    assert set(bank.which.flatten().tolist()) == {
        -1, INDEX["glasses=round"], INDEX["smile=smile"],
    }  # fmt: skip


# The task -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(base_folder, tmp_path_factory):
    """The tiny base with a network from attributes to w beside its generator."""
    folder = tmp_path_factory.mktemp("counterfactual") / base_folder.name
    shutil.copytree(base_folder, folder)
    torch.manual_seed(0)
    config = AttributeMappingConfig(w_dim=16, width=16, layers=2)
    save_attribute_mapping(AttributeMapping(config), folder / "generator")
    return folder


@pytest.fixture
def settings(base, tmp_path):
    write_shard(tmp_path / "data" / "train", 0, 24, 32)
    write_shard(tmp_path / "data" / "heldout", 1, 12, 32)

    def make(**options):
        defaults = {
            "prompts": ("red hair",),
            "faces": 20,
            "sentences": 40,
            "heldout_faces": 8,
            "absent": ("hair_style=quiff",),
            "apart": (("hair_color=red", "glasses=round"),),
            "method": {"width": 16, "traits": 8, "blocks": 1},
        }
        return TrainConfig(
            task="counterfactual",
            base=str(base),
            data_dir=str(tmp_path / "data"),
            output_dir=str(tmp_path / "run"),
            train_batch_size=16,
            max_train_steps=12,
            learning_rate=1e-2,
            ema_decay=0.5,
            logging_steps=4,
            cpu=True,
            options={**defaults, **options},
        )

    return make


def opened(config):
    task = CounterfactualTask(config, torch.device("cpu"))
    task.open_data(None)
    return task


def test_task_is_found_by_its_name_and_says_what_it_reads():
    assert task_class("counterfactual") is CounterfactualTask
    assert reads("counterfactual") == ("attributes", "clip", "encoder", "generator")


def test_batches_are_functions_of_seed_and_place(settings):
    one, other = opened(settings(share_negative=0.0)), opened(settings(share_negative=0.0))
    (source, sentence), *_ = one.batch(range(3, 9))
    (again, words), *_ = other.batch(range(5, 11))
    assert torch.equal(source.latent.code[2:], again.latent.code[:4])
    assert torch.equal(sentence.target[2:], words.target[:4])
    assert torch.equal(sentence.truth.latent.code[2:], words.truth.latent.code[:4])


def test_true_step_of_strength_one_can_be_target_scaleed(settings):
    def steps(target_scale):
        (source, sentence), *_ = opened(settings(target_scale=target_scale)).batch(range(16))
        return sentence.truth.latent.code - source.latent.code

    assert steps(1.0).abs().sum() > 0
    assert torch.allclose(steps(1.5), 1.5 * steps(1.0), atol=1e-5)


def test_overdone_edits_need_a_method_that_knows_them(settings):
    with pytest.raises(ConfigError, match="share_overdone needs the method's learned_overdrive"):
        opened(settings(share_overdone=0.2))


LOOKS = {
    "share_overdone": 0.5,
    "reader_phase_share": 0.5,
    "method": {"width": 16, "learned_overdrive": True},
}


def test_reader_looks_at_overdone_edits_in_the_last_phase(settings):
    config = settings(**LOOKS, reader_phase_edits=3)
    task = opened(config)
    codes, looks = task.phases()
    task.enter(codes)
    step = task.turns()[0].step
    assert set(step(*task.batch(range(64)))) == {"code"}
    task.enter(looks)
    _, (source, sentence), _ = batch = task.batch(range(64))
    assert source.image.shape[-1] == 1  # the others are not drawn
    asked = sentence.meaning.wanted["hair_color"]
    assert asked.any() and not asked.all()
    terms = step(*batch)
    assert terms["disturbed"] > 0
    terms["unseen"].backward()
    moved = [p.grad.abs().sum().item() for p in task.method.parameters() if p.grad is not None]
    assert sum(moved) > 0


def test_edits_of_strength_one_are_compared_with_the_true_picture(settings):
    task = opened(settings(**LOOKS, reader_phase_edits=3, reader_phase_true_edits=4))
    task.enter(task.phases()[1])
    step = task.turns()[0].step
    added, *_ = task.batch(range(64))
    terms = step._compared(*added)
    assert set(terms) == {"image", "disturbed"}
    assert terms["image"] > 0
    source, sentence = added
    with torch.no_grad():  # what lands on the true code looks like it, whatever the camera does
        done = dataclasses.replace(sentence, truth=task.method(source, sentence, task.backbones))
    exact = step._compared(source, done)
    assert all(value.item() == pytest.approx(0, abs=1e-6) for value in exact.values())


def test_camera_takes_every_picture_of_a_step_alike(settings):
    task = opened(settings(**LOOKS))
    image = torch.rand(4, 3, 32, 32) * 2 - 1
    reader = task.looked.require("attributes", "a test")
    once, again = (ThroughCamera(reader, 3).raw(image) for _ in range(2))
    other, plain = ThroughCamera(reader, 4).raw(image), reader.raw(image)
    for name, answer in once.items():
        assert torch.equal(answer, again[name])
    assert any(not torch.allclose(once[name], other[name]) for name in once)
    assert any(not torch.allclose(once[name], plain[name]) for name in once)


def test_looks_need_overdone_edits(settings):
    with pytest.raises(ConfigError, match="reader_phase_share needs share_overdone"):
        opened(settings(reader_phase_share=0.5))


def test_training_lowers_the_objective_measures_and_exports(settings, tmp_path):
    config = settings(
        share_overdone=0.25, method={"width": 16, "traits": 8, "learned_overdrive": True}
    )
    task = opened(config)
    fresh = task.turns()[0].step(*task.batch(range(64)))["code"].item()
    outcome = Loop(config, CounterfactualTask).run()
    assert set(outcome.scores) >= {
        "seen_error", "seen_undone", "wordings_size", "combinations_error", "values_error",
    }  # fmt: skip
    loaded = load_method(CounterfactualEditor, tmp_path / "run" / "export")
    task.method.load_state_dict(loaded.state_dict())
    trained = task.turns()[0].step(*task.batch(range(64)))["code"].item()
    assert trained < fresh
    assert (tmp_path / "edit_banks").is_dir()
