"""The generator's training: its loss, its phases, and a run of a few steps on stand-in renders."""

import json

import pytest
import torch
from safetensors.torch import load_file

from faceedit.backbones.layers import StyledConv
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.hub import load_network, save_network
from faceedit.world import NOISE_DIM, REGIONS, attributes_from_noise, sample_attributes
from tests.training.shards import write_shard
from tests.training.test_evaluate import make_judge
from training.config import ConfigError, parse_config
from training.loop.loop import Loop
from training.tasks.attribute_mapping import (
    AttributeMapping,
    AttributeMappingConfig,
    attributes_off_w,
    embed,
    give_directions,
    load_attribute_mapping,
    people_of_z,
    save_attribute_mapping,
)
from training.tasks.generator import GeneratorOptions, GeneratorTask
from training.tasks.generator_losses import (
    jittered,
    pixel_weights,
    psnr,
    reader_distance,
    reconstruction_terms,
    stretching,
)
from training.tasks.rate_groups import rate_groups

SIZE = 32  # px of the stand-in renders and of the generator
TINY = {
    "resolution": SIZE,
    "z_dim": 128,
    "w_dim": 16,
    "mapping_layers": 2,
    "channel_base": 256,
    "channel_max": 16,
    "distil_batch_size": 4,
    "distil_steps": 2,
    "heldout_images": 8,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_shard(folder / "train", 0, 12, SIZE)
    write_shard(folder / "heldout", 1, 4, SIZE)
    return folder


def make_loop(world, output, *flags, **options) -> Loop:
    sets = [f"--set={k}={v}" for k, v in {**TINY, **options}.items()]
    fixed = ["--task=generator", "--cpu", "--train_batch_size=4", "--logging_steps=1"]
    folders = [f"--data_dir={world}", f"--output_dir={output}", f"--base={output}"]
    folders.append(f"--export_dir={output / 'export'}")  # never the published weights
    return Loop(parse_config([*fixed, *folders, *flags, *sets]), GeneratorTask)


# ------------------------------------------------------------------------------------ the loss
def test_pixel_weights_favour_eyes_and_mouth_over_background():
    segmentation = torch.zeros(1, SIZE, SIZE, dtype=torch.uint8)
    segmentation[:, 4:12, 4:12] = REGIONS.index("eyes")
    segmentation[:, 20:28, 20:28] = REGIONS.index("mouth")
    weights = pixel_weights(segmentation, SIZE)
    assert weights.shape == (1, 1, SIZE, SIZE)
    assert weights.mean().item() == pytest.approx(1)
    background, eyes, mouth = weights[0, 0, 16, 0], weights[0, 0, 8, 8], weights[0, 0, 24, 24]
    assert eyes / background == pytest.approx(12)
    assert mouth / background == pytest.approx(16)
    assert weights[0, 0, 8, 13] == eyes  # the outline counts too
    assert pixel_weights(segmentation, 8).shape == (1, 1, 8, 8)


def test_reconstruction_terms_vanish_for_equal_images_only():
    image, weights = torch.rand(2, 3, SIZE, SIZE), torch.ones(2, 1, SIZE, SIZE)
    assert all(term == 0 for term in reconstruction_terms(image, image, weights))
    shifted = reconstruction_terms(image + 0.5, image, weights)
    assert shifted[0].item() == pytest.approx(0.5, abs=1e-5)
    assert shifted[1].item() == pytest.approx(0.5, abs=1e-5)  # a constant has no edges


def test_an_attribute_reader_tells_pictures_apart():
    reader = make_judge().requires_grad_(False)
    image = torch.rand(2, 3, SIZE, SIZE)
    same, near, far = (reader_distance(reader, image * (1 - a), image) for a in (0, 0.05, 0.5))
    assert same < 1e-3
    assert same < near < far


def test_stretched_samples_differ_as_people_do():
    people = torch.randn(4096, 6, generator=torch.Generator().manual_seed(0))
    people = people * torch.tensor([3, 2, 1, 1, 0.5, 1e-3])
    samples = people * torch.tensor([0.9, 0.8, 1.2, 1, 0.7, 0.5])
    matrix = stretching(people, samples)
    spread = (samples @ matrix).std(0) / people.std(0)
    # What differs more than people do stays; so does that in which nobody differs.
    assert spread.tolist() == pytest.approx([1, 1, 1.2, 1, 1, 0.5], abs=0.03)


def test_jitter_moves_two_sets_alike():
    torch.manual_seed(0)
    image = torch.rand(8, 3, SIZE, SIZE)
    assert jittered(image, image, 0)[0] is image
    first, second = jittered(image, image + 0.5, 1.0)
    assert torch.allclose(second - first, torch.tensor(0.5), atol=1e-5)
    changed = (first - image).abs().mean((1, 2, 3))
    assert changed.max() > 0.1  # moved
    assert 0 < changed.min() < 0.06  # only a little grain


def test_psnr_of_a_constant_error_is_its_formula():
    real = torch.zeros(2, 3, 8, 8)
    assert psnr(real + 0.2, real).tolist() == pytest.approx([20.0, 20.0], abs=1e-4)


def test_learning_rates_undo_the_equalised_gains():
    conv = StyledConv(8, 4, 16, 8)
    scales = {id(p): g["lr_scale"] for g in rate_groups(conv.modules()) for p in g["params"]}
    assert scales[id(conv.weight)] == pytest.approx((8 * 9) ** 0.5)
    assert scales[id(conv.affine.weight)] == pytest.approx(4)
    assert scales[id(conv.bias)] == scales[id(conv.affine.bias)] == 1
    assert len(scales) == len(list(conv.parameters()))


# -------------------------------------------------------------------------- the attribute mapping
def test_embedding_is_finite_and_hues_meet_at_the_ends_of_their_range():
    people = attributes_from_noise(torch.randn(8, NOISE_DIM))
    assert embed(people).isfinite().all()
    ends = [embed(people.replace(background_hue=hue)) for hue in (0.0, 1.0)]
    assert torch.allclose(*ends, atol=1e-5)


def test_attribute_mapping_survives_saving(tmp_path):
    mapping = AttributeMapping(AttributeMappingConfig(w_dim=16)).eval()
    save_attribute_mapping(mapping, tmp_path)
    people = sample_attributes(4, 0)
    loaded = load_attribute_mapping(tmp_path)
    assert torch.allclose(loaded(people), mapping(people), atol=0.02)
    with pytest.raises(ConfigError, match="does not exist"):
        load_attribute_mapping(tmp_path / "nowhere")


def make_generator(w_dim: int) -> Generator:
    size = {"resolution": SIZE, "channel_base": 256, "channel_max": 16}
    return Generator(GeneratorConfig(z_dim=128, w_dim=w_dim, mapping_layers=2, **size)).eval()


def test_what_w_does_not_say_gets_directions_and_no_picture_changes():
    mapping = AttributeMapping(AttributeMappingConfig(w_dim=256)).eval()
    generator = make_generator(w_dim=256).eval()
    people = sample_attributes(4, 0)
    ends = [people.replace(nose_width=width) for width in (-1.0, 1.0)]
    blind = (embed(ends[0]) != embed(ends[1])).any(0)
    with torch.no_grad():
        for layer in (mapping.hidden[0], mapping.direct):
            layer.weight[:, blind] = 0
        assert torch.equal(mapping(ends[0]), mapping(ends[1]))
        before = generator(generator.broadcast(mapping(people)))
        assert give_directions(mapping, generator) == 1
        assert (mapping(ends[0]) - mapping(ends[1])).norm(dim=1).min() > 1
        after = generator(generator.broadcast(mapping(people)))
        assert (after - before).abs().mean() < 0.01 * before.std()
        assert give_directions(mapping, generator) == 0


@torch.no_grad()
def test_attributes_are_read_off_w_by_the_matrix_that_least_squares_gives():
    torch.manual_seed(0)
    mapping = AttributeMapping(AttributeMappingConfig(width=16, layers=2))
    torch.nn.init.zeros_(mapping.output.weight)  # w is linear in the embedding
    people = attributes_from_noise(torch.randn(500, NOISE_DIM))
    wanted = mapping.standardised(people)
    w = mapping(people)
    read = (w - w.mean(0)) @ attributes_off_w(mapping, ridge=1e-4)
    missed = (read - (wanted - wanted.mean(0))).square().mean(0)
    assert (missed / wanted.var(0).clamp(min=1e-3)).median() < 0.05
    weak = attributes_off_w(mapping, ridge=1e4)
    assert weak.abs().max() < 0.01


def test_directions_are_not_given_where_w_has_too_few():
    mapping = AttributeMapping(AttributeMappingConfig(w_dim=16)).eval()
    generator = make_generator(w_dim=16)
    with pytest.raises(ConfigError, match="too few"):
        give_directions(mapping, generator)


# ------------------------------------------------------------------------- the discriminators
# --------------------------------------------------------------------------------- the training
def test_phases_grow_and_distillation_comes_last(world, tmp_path):
    loop = make_loop(world, tmp_path, "--max_train_steps=100")
    ends = [(end, phase.name) for end, phase in loop.schedule]
    wanted = [(54, "8 px"), (74, "16 px"), (98, "32 px"), (100, "distil")]
    assert ends == wanted


def test_options_refuse_noise_that_does_not_fit_z():
    with pytest.raises(ConfigError, match="z_dim"):
        GeneratorOptions(z_dim=8)
    with pytest.raises(ConfigError, match="init_weights"):
        GeneratorOptions(weight_hold=0.5)


def test_a_run_through_all_phases_exports_what_hub_can_load(world, tmp_path):
    loop = make_loop(world, tmp_path, "--max_train_steps=9")
    outcome = loop.run()
    assert outcome.reason == "complete"
    assert set(outcome.scores) == {"psnr", "mapping_error"}
    export = tmp_path / "export"
    generator = load_network(Generator, export)
    assert generator.config.resolution == SIZE
    assert generator.w_avg.abs().sum() > 0
    w = load_attribute_mapping(export)(sample_attributes(2, 0))
    assert generator(generator.broadcast(w)).shape == (2, 3, SIZE, SIZE)
    assert list((tmp_path / "samples").glob("*.jpg"))
    assert json.loads((tmp_path / "heldout.jsonl").read_text().splitlines()[-1])["size"] == SIZE


def test_resumed_run_equals_an_uninterrupted_one(world, tmp_path):
    make_loop(world, tmp_path / "whole", "--max_train_steps=6", "--no-evaluate").run()
    part = make_loop(world, tmp_path / "parts", "--max_train_steps=6", "--no-evaluate")
    for _ in range(3):
        phase = next(p for end, p in part.schedule if part.step < end)
        part._enter(phase)
        part.update(phase)
    part.save()
    resume = ["--max_train_steps=6", "--no-evaluate", "--resume_from_checkpoint=latest"]
    make_loop(world, tmp_path / "parts", *resume).run()
    for name in ("modules", "averages", "optimizers"):
        files = [
            tmp_path / run / "checkpoint-6" / f"{name}.safetensors" for run in ("whole", "parts")
        ]
        whole, parts = (load_file(file) for file in files)
        assert whole.keys() == parts.keys()
        assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_training_continues_from_a_finished_generator(world, tmp_path):
    make_loop(world, tmp_path / "first", "--max_train_steps=3", "--no-evaluate").run()
    start = tmp_path / "first" / "export"
    loop = make_loop(world, tmp_path / "second", "--max_train_steps=3", init_weights=start)
    stored = load_file(start / "model.safetensors")["const"].float()
    assert torch.equal(loop.task.generator.const.detach(), stored)


def test_samples_can_be_aimed_as_far_apart_as_people_are(world, tmp_path):
    make_loop(world, tmp_path / "first", "--max_train_steps=3", "--no-evaluate").run()
    start = tmp_path / "first" / "export"
    loop = make_loop(world, tmp_path / "second", init_weights=start, distil_stretch=True)
    generator = loop.task.generator
    z = torch.randn(8192, TINY["z_dim"], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        people, samples = loop.task.attribute_mapping(people_of_z(z)), generator.mapping(z)
        aims = loop.task.stretched(people)
    directions = torch.linalg.eigh(torch.cov(people.T))[1]
    widest = directions[:, -1]  # in which people differ most
    missing = float((people @ widest).var() / (samples @ widest).var())
    assert missing > 1.5  # the test is of no use otherwise
    found = float((aims @ widest).var() / (people @ widest).var())
    assert found == pytest.approx(missing, rel=0.2)
    with pytest.raises(ConfigError, match="need init_weights"):
        GeneratorOptions(distil_stretch=True)


def test_readers_without_a_weight_are_refused():
    with pytest.raises(ConfigError, match="weight_reader"):
        GeneratorOptions(readers=("somewhere",))


def test_going_on_learns_what_a_reader_sees_while_w_keeps_its_meaning(world, tmp_path):
    make_loop(world, tmp_path / "first", "--max_train_steps=3", "--no-evaluate").run()
    start, ways = tmp_path / "first" / "export", []
    for hold in (0.0, 1e4):
        output = tmp_path / f"hold {hold}"
        for folder in ("attributes", "another"):
            save_network(make_judge(), output / folder, half=False)
        extra = {
            "init_weights": start,
            "weight_reader": 1.0,
            "weight_hold": hold,
            "reader_jitter": 1.0,
        }
        extra["readers"] = f"[{output / 'another'}]"
        loop = make_loop(world, output, "--max_train_steps=12", "--no-evaluate", **extra)
        assert len(loop.task.readers) == 2
        loop.run()
        lines = [json.loads(line) for line in (output / "metrics.jsonl").open()]
        assert any(line.get("paired/reader", 0) > 0 for line in lines)  # at full size only
        assert ("paired/hold" in lines[-1] or "paired/hold" in lines[0]) == (hold > 0)
        people = sample_attributes(8, 0)
        before, after = (load_attribute_mapping(x)(people) for x in (start, output / "export"))
        ways.append((after - before).square().mean().item())
    assert ways[1] < 0.5 * ways[0]


@pytest.mark.slow
def test_training_approaches_the_renders(world, tmp_path):
    flags = ["--max_train_steps=320", "--lr_warmup_steps=5", "--no-evaluate"]
    loop = make_loop(world, tmp_path, *flags, distil_steps=200)
    loop.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    pixel = [line["paired/pixel"] for line in lines if "paired/pixel" in line]
    assert pixel[-1] < 0.7 * pixel[0]
    # Only of the last phase: before it, what the mapping network follows moves as well.
    distance = [line["distil/distance"] for line in lines if line["phase"] == "distil"]
    assert distance[-1] < distance[0]
