"""The tasks of the small networks: each trains, measures and exports; people stay themselves."""

import math

import pytest
import torch
import torch.nn.functional as F

from faceedit.backbones.attributes import AttributeReader, encode
from faceedit.backbones.encoder import Encoder
from faceedit.backbones.identity import Identity, IdentityConfig
from faceedit.backbones.segmenter import Segmenter, SegmenterConfig
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.hub import load_network, save_network
from faceedit.world import REGIONS, SPECS
from tests.training.shards import write_index, write_shard
from tests.training.test_evaluate import make_judge
from training.config import ConfigError, TrainConfig
from training.data.augment import Augmentation, augment, bends, replace_region
from training.data.people import PERSONAL, sample_person
from training.data.shards import WorldShards
from training.loop.loop import Loop
from training.tasks import task_class
from training.tasks.attribute_mapping import (
    AttributeMapping,
    AttributeMappingConfig,
    save_attribute_mapping,
)
from training.tasks.attributes import HEADS, Balance, reading_losses
from training.tasks.encoder import EncoderTask, leveling
from training.tasks.identity import contrast

OPTIONS = {
    "segmenter": {"widths": [4, 8], "evaluation_images": 4},
    "attributes": {"widths": [4, 8, 8], "hidden": 8, "evaluation_images": 4},
    "identity": {
        "widths": [4, 8],
        "units": [1, 1],
        "embedding_dim": 8,
        "crop": [16, 112, 16, 112],
        "input_size": 16,
        "squeeze": 4,
        "evaluation_images": 8,
    },
    "encoder": {
        "widths": [4, 4, 4, 8],
        "units": [1, 1, 1, 1],
        "head_channels": 8,
        "squeeze": 4,
        "reader_jitter": 1.0,
        "balance_directions": 0.5,
        "heldout_images": 4,
        "phase_shares": [0.34, 0.33, 0.33],
    },
}
NETWORKS = {
    "segmenter": Segmenter,
    "attributes": AttributeReader,
    "identity": Identity,
    "encoder": Encoder,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    for split in ("train", "heldout"):
        write_shard(folder / split, 0, 8, size=32)
    write_shard(folder / "people", 0, 40, size=32)
    write_index(folder / "people", views=2)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    config = GeneratorConfig(32, 256, 16, mapping_layers=1, channel_base=256, channel_max=8)
    save_network(Generator(config), folder / "generator")
    mapping = AttributeMapping(AttributeMappingConfig(w_dim=16, width=16, layers=2))
    save_attribute_mapping(mapping, folder / "generator")
    save_network(Segmenter(SegmenterConfig(REGIONS, widths=(4, 8))), folder / "segmenter")
    identity = IdentityConfig(
        (4, 8), (1, 1), 8, aligned_size=32, crop=(4, 28, 4, 28), input_size=16, squeeze=4
    )
    save_network(Identity(identity), folder / "identity")
    for name in ("attributes", "another"):
        save_network(make_judge(), folder / name)
    return folder


@pytest.mark.parametrize("name", OPTIONS)
def test_task_trains_measures_and_exports(name, world, base, tmp_path):
    config = TrainConfig(
        task=name,
        output_dir=str(tmp_path),
        data_dir=str(world),
        base=str(base),
        train_batch_size=4,
        max_train_steps=3,
        logging_steps=1,
        cpu=True,
        options=OPTIONS[name],
    )
    outcome = Loop(config, task_class(name)).run()
    assert outcome.reason == "complete"
    assert outcome.scores["images"] >= 4
    assert (tmp_path / "samples").is_dir() or name == "attributes"
    load_network(NETWORKS[name], tmp_path / "export")


def test_views_of_a_person_share_what_makes_a_person_and_nothing_else():
    values = torch.stack([sample_person(3, seed).values for seed in range(4)])
    same = (values == values[:, :1]).all(1).all(0)
    for spec, fixed in zip(SPECS.values(), same, strict=True):
        if spec.group in PERSONAL:
            assert fixed, spec.name
    changing = [s.name for s, fixed in zip(SPECS.values(), same, strict=True) if not fixed]
    assert {"smile", "hair_style", "yaw", "light_azimuth"} <= set(changing)


def test_contrast_is_low_for_separate_people_and_zero_without_pairs():
    embedding = torch.eye(4)[[0, 0, 1, 1]]
    near = contrast(embedding, torch.tensor([0, 0, 1, 1]), 0.1)
    far = contrast(embedding, torch.tensor([0, 1, 0, 1]), 0.1)
    assert near < 0.01 < far
    assert contrast(embedding, torch.arange(4), 0.1) == 0


def test_augmented_images_keep_shape_and_range_and_follow_the_seed():
    amount = Augmentation(1.0, 0.1, 1.5, 0.1, 0.3, 5, 0.1, 0.05, 0.02, 0.1, 0.3)
    image = torch.rand(4, 3, 32, 32) * 2 - 1
    torch.manual_seed(0)
    first = augment(image, amount)
    torch.manual_seed(0)
    assert torch.equal(first, augment(image, amount))
    assert first.shape == image.shape
    assert first.abs().max() <= 1.01
    assert not math.isnan(first.sum())


def test_bends_are_smooth_small_and_each_picture_s_own():
    field = bends(torch.zeros(3, 3, 64, 64), 0.02)
    assert field.shape == (3, 64, 64, 2)
    assert 0 < field.abs().max() < 3 * 0.02  # a grid spans 2; bicubic overshoots a little
    assert (field[:, 1:] - field[:, :-1]).abs().max() < field.abs().max() / 4
    assert not torch.equal(field[0], field[1])


def test_an_encoder_goes_on_from_a_folder(world, base, tmp_path):
    def config(**options):
        return TrainConfig(
            task="encoder",
            output_dir=str(tmp_path / "run"),
            data_dir=str(world),
            base=str(base),
            options={**OPTIONS["encoder"], **options},
        )

    cpu = torch.device("cpu")
    first = EncoderTask(config(), cpu)
    save_network(first.encoder, tmp_path / "encoder", half=False)
    again = EncoderTask(config(init_weights=str(tmp_path / "encoder")), cpu)
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(first.encoder.eval()(image), again.encoder.eval()(image))
    assert all(parameter.requires_grad for parameter in again.encoder.parameters())
    with pytest.raises(ConfigError, match="another shape"):
        EncoderTask(config(init_weights=str(tmp_path / "encoder"), head_channels=24), cpu)
    look = {"fovea": [8, 24, 8, 24], "fovea_widths": [4, 4]}
    looking = EncoderTask(config(init_weights=str(tmp_path / "encoder"), **look), cpu)
    assert torch.equal(first.encoder(image), looking.encoder.eval()(image))
    save_network(looking.encoder, tmp_path / "looking", half=False)
    EncoderTask(config(init_weights=str(tmp_path / "looking"), **look), cpu)
    with pytest.raises(ConfigError, match="another shape"):
        EncoderTask(config(init_weights=str(tmp_path / "looking")), cpu)


def test_an_encoder_learns_what_all_readers_see(world, base, tmp_path):
    still = {"phase_shares": [0, 0, 1], "camera_share": 0, "reader_jitter": 0}
    readers = {"readers": [str(base / "another")], "weight_truth": 1}
    options = {**OPTIONS["encoder"], **still, **readers}
    folders = {"output_dir": str(tmp_path), "data_dir": str(world), "base": str(base)}
    task = EncoderTask(TrainConfig(task="encoder", options=options, **folders), torch.device("cpu"))
    task.open_data(None)
    task.enter(task.phases()[-1])
    task.encoder.eval()
    step, batch = task.turns()[0].step, task.batch(range(4))
    found, again = step(batch), step(batch)
    assert found["attributes"] == again["attributes"] > 0
    assert found["truth"] == again["truth"] > 0
    task.readers[1].linear.weight.data.neg_()
    answered = step(batch)
    assert answered["attributes"] == found["attributes"], "hidden features, not answers"
    assert abs(answered["truth"] - found["truth"]) > 1e-3
    task.readers[1].hidden[0].weight.data.neg_()
    assert abs(step(batch)["attributes"] - found["attributes"]) > 1e-3


def test_reading_losses_are_small_for_the_truth_and_larger_for_someone_else(world):
    batch = WorldShards(world / "train").rows(range(8))
    truth = {head.name: batch.attributes.column(head.name) for head in HEADS}
    said = {
        head.name: 20.0 * F.one_hot(value.round().long(), len(head.values)).float()
        if head.values
        else encode(head, value)
        for head, value in ((head, truth[head.name]) for head in HEADS)
    }
    balance = Balance(batch.values.float(), 0.8)
    right = reading_losses(said, batch, balance)
    wrong = reading_losses({name: raw.roll(1, 0) for name, raw in said.items()}, batch, balance)
    assert all(right[kind] < 1e-3 < 0.1 < wrong[kind] for kind in ("choices", "numbers"))


def test_leveling_counts_directions_by_their_variance_or_alike():
    w = torch.randn(4096, 3) @ torch.diag(torch.tensor([4.0, 2.0, 1.0])) + 5
    plain, alike = leveling(w, 0.0), leveling(w, 1.0)
    spread = (w - w.mean(0)).square().mean().sqrt()
    assert torch.allclose(plain, torch.eye(3) / spread, atol=1e-4)
    for matrix, least in ((plain, 0.04), (alike, 0.7)):
        squares = ((w - w.mean(0)) @ matrix).square().mean(0)
        assert squares.mean().item() == pytest.approx(1, abs=1e-2)
        assert least < squares.min() / squares.max() < 2 * least


def test_only_the_region_is_replaced():
    image = torch.zeros(2, 3, 16, 16)
    labels = torch.zeros(2, 16, 16, dtype=torch.uint8)
    labels[:, :8] = 3
    changed, filled = replace_region(image, labels, 3, 1.0)
    assert torch.equal(changed[:, :, 8:], image[:, :, 8:])
    assert (filled[:, :, :6] == 1).all()
    assert not torch.equal(changed, image)
