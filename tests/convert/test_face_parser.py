"""BiSeNet's face parser: the official layout, its numbers written out, and what it is used for."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from faceedit import hub
from faceedit.backbones import load_backbones
from faceedit.backbones.face_parser import CELEBA_CLASSES, FaceParserConfig
from faceedit.convert import convert
from faceedit.convert.budget import FileError
from faceedit.editor import FaceEditor
from faceedit.methods.ffclip import FfClip
from tests.convert import files

SMALL = FaceParserConfig(widths=(8, 12, 16, 24), context=8)
BYTES = 52_650_752  # of the published file's tensors without counters and its training's heads


@pytest.fixture(scope="module")
def state():
    return files.bisenet(SMALL, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def parsed(state, tmp_path_factory):
    """A base folder with the parser in it, and the parser."""
    folder = tmp_path_factory.mktemp("parser")
    torch.save(state, folder / "79999_iter.pth")
    done = convert(folder / "79999_iter.pth", folder / "base")
    assert (done.kind, done.name) == ("bisenet", "face_parser")
    assert "photographs are still read by" in done.notes[0]
    return folder / "base", load_backbones(folder / "base").face_parser


def official_logits(state, image):
    """Return the 19 classes' logits of pictures of 512 px, by the published formulas and names."""

    def conv(x, name, stride=1):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def norm(x, name):
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{name}.{part}"] for part in parts))

    def layer(x, name):
        return F.relu(norm(conv(x, f"{name}.conv"), f"{name}.bn"))

    def unit(x, name, stride):
        skip = x
        if f"{name}.downsample.0.weight" in state:
            skip = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        x = F.relu(norm(conv(x, f"{name}.conv1", stride), f"{name}.bn1"))
        return F.relu(norm(conv(x, f"{name}.conv2"), f"{name}.bn2") + skip)

    def refined(x, name):
        x = layer(x, f"{name}.conv")
        gate = norm(conv(F.adaptive_avg_pool2d(x, 1), f"{name}.conv_atten"), f"{name}.bn_atten")
        return x * gate.sigmoid()

    mean, std = (torch.tensor(c)[:, None, None] for c in
                 ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))  # fmt: skip
    x = ((image + 1) / 2 - mean) / std
    x = F.max_pool2d(F.relu(norm(conv(x, "cp.resnet.conv1", 2), "cp.resnet.bn1")), 3, 2, 1)
    maps = []
    for stage in range(1, 5):
        for number in range(2):
            stride = 2 if stage > 1 and number == 0 else 1
            x = unit(x, f"cp.resnet.layer{stage}.{number}", stride)
        maps.append(x)
    whole = layer(F.adaptive_avg_pool2d(maps[3], 1), "cp.conv_avg")
    x = F.interpolate(refined(maps[3], "cp.arm32") + whole, maps[2].shape[2:])
    x = refined(maps[2], "cp.arm16") + layer(x, "cp.conv_head32")
    x = layer(F.interpolate(x, maps[1].shape[2:]), "cp.conv_head16")
    x = layer(torch.cat([maps[1], x], 1), "ffm.convblk")
    gate = conv(F.relu(conv(F.adaptive_avg_pool2d(x, 1), "ffm.conv1")), "ffm.conv2")
    x = x * gate.sigmoid() + x
    x = conv(layer(x, "conv_out.conv"), "conv_out.conv_out")
    return F.interpolate(x, image.shape[2:], mode="bilinear", align_corners=True)


@torch.no_grad()
def test_converted_parser_gives_the_official_probabilities(state, parsed):
    _, parser = parsed
    image = torch.rand(2, 3, 512, 512, generator=torch.Generator().manual_seed(1)) * 2 - 1
    each = official_logits(state, image).softmax(1)
    assert each.amax() > 0.3  # it tells something apart
    mine = parser(image).softmax(1)
    assert parser.config.regions == (
        "background", "skin", "brows", "eyes", "glasses", "ear", "earring", "nose", "mouth",
        "lips", "neck", "cloth", "hair", "hat",
    )  # fmt: skip
    for place, classes in {"skin": [1], "brows": [2, 3], "lips": [12, 13], "hair": [17]}.items():
        wanted = each[:, classes].sum(1)
        assert torch.allclose(mine[:, parser.config.regions.index(place)], wanted, atol=1e-5), place
    assert torch.allclose(parser.mask(image, "brows", "hair")[:, 0],
                          each[:, [2, 3, 17]].sum(1), atol=1e-5)  # fmt: skip


@torch.no_grad()
def test_faces_of_any_size_are_looked_at_at_one(parsed):
    _, parser = parsed
    image = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(2)) * 2 - 1
    doubled = F.interpolate(image, scale_factor=2, mode="nearest")
    assert parser.segment(doubled).shape == (1, 1024, 1024)
    near = (parser(doubled).softmax(1)[..., ::2, ::2] - parser(image).softmax(1)).abs().mean()
    assert near < 0.01


def test_layout_has_the_size_of_the_published_file():
    layout = files.bisenet(FaceParserConfig())
    used = [t for k, t in layout.items() if "out16" not in k and "out32" not in k and t.ndim]
    assert sum(tensor.numel() * tensor.element_size() for tensor in used) == BYTES


def test_file_without_counters_or_from_several_gpus_is_the_same(state, parsed, tmp_path):
    bare = {f"module.{k}": v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(bare, tmp_path / "a.pth")
    convert(tmp_path / "a.pth", tmp_path / "base")
    mine, wanted = (p / "face_parser/model.safetensors" for p in (tmp_path / "base", parsed[0]))
    assert mine.read_bytes() == wanted.read_bytes()


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: without(s, "ffm.conv1.weight"), r"missing \['fuse\.reduce\.weight'\]"),
        (lambda s: s | {"cp.spatial.weight": torch.ones(1)}, "not a tensor of BiSeNet"),
        (lambda s: s | {"ffm.conv2.weight": torch.ones(3, 1, 1, 1)}, "has shape"),
        (lambda s: s | {"conv_out.conv_out.weight": torch.ones(11, 16, 1, 1)}, "11 classes"),
        (lambda s: without(s, "conv_out.conv_out.weight"), "not a BiSeNet"),
    ],
    ids=["missing", "unknown", "shape", "classes", "headless"],
)
def test_damaged_parser_is_refused_and_nothing_is_written(state, tmp_path, damage, message):
    torch.save(damage(state), tmp_path / "a.pth")
    with pytest.raises(FileError, match=message):
        convert(tmp_path / "a.pth", tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_method_of_the_base_stays_fit_where_a_parser_joins(base, state, tmp_path):
    import shutil

    copy = shutil.copytree(base, tmp_path / "base")
    before = hub.fingerprint(copy)
    torch.save(state, tmp_path / "79999_iter.pth")
    convert(tmp_path / "79999_iter.pth", copy)
    after = hub.fingerprint(copy)
    assert {name: after[name] for name in before} == before and "face_parser" in after


# ------------------------------------------------------------------------- what it is used for
def test_parser_reads_drawn_faces_and_the_segmenter_photographs(base, parsed):
    parser = parsed[1]
    editor = FaceEditor.from_pretrained(base)
    photographs = editor.backbones.segmenter
    assert "beard" in photographs.config.regions
    editor.library.backbones = replace(editor.backbones, face_parser=parser)
    assert editor.backbones.segmenter is photographs  # which carries edits on to photographs
    assert FfClip.reading(editor.backbones).segmenter is parser  # what a training keeps
    assert editor.backbones.parsing(("hair", "lips")).segmenter is parser
    assert editor.backbones.parsing(("beard",)).segmenter is photographs  # not one of its classes
    face = editor.sample(1)
    seen = []
    parser.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape))
    editor.edit(face, "red hair", method="styleclip_optimization", steps=1, mask="hair")
    assert seen


def test_every_class_is_a_region_that_methods_know():
    from faceedit.world import REGIONS

    assert set(CELEBA_CLASSES) <= set(REGIONS) and len(CELEBA_CLASSES) == 19
