"""Files of methods become repos beside a base, and edit as the official numbers say."""

import argparse
import json
import pickle
import re
import shutil

import numpy as np
import pytest
import torch

from faceedit.backbones.stylegan2 import GeneratorConfig
from faceedit.convert import convert
from faceedit.convert.budget import FileError
from faceedit.convert.directions import FFHQ_DEVIATIONS, convert_global
from faceedit.convert.maniclip import from_maniclip
from faceedit.convert.reading import Source
from faceedit.convert.styleclip_mapper import from_styleclip
from faceedit.editor import FaceEditor
from faceedit.errors import RepoError
from faceedit.methods.feat import Feat
from faceedit.methods.ffclip import FfClip, FfClipConfig
from faceedit.methods.maniclip import ManiClip, ManiClipConfig
from faceedit.methods.styleclip_mapper import StyleClipMapper
from tests.convert import files
from tests.golden import official as golden_files


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def editor(base):
    return FaceEditor.from_pretrained(base)


def edited(folder, editor, prompt="red hair", **settings):
    """Load a converted method's folder and edit a generated face; return both codes."""
    loaded = FaceEditor.from_pretrained(folder, base=editor)
    result = loaded.edit(loaded.sample(3), prompt, **settings)
    return result.source.code, result.edited.code


# ------------------------------------------------------------------------- mappers
def mapper_state(levels=("course", "medium"), w_dim=16) -> dict[str, torch.Tensor]:
    names = [f"{level}_mapping.mapping" for level in levels] or ["mapping.mapping"]
    return {
        f"mapper.{name}.{i}.{part}": 30 * torch.randn(*([w_dim] * (2 if part == "weight" else 1)))
        for name in names
        for i in range(1, 5)
        for part in ("weight", "bias")
    }


def save_mapper(path, official, description="a surprised face", **settings):
    state = mapper_state(**settings)
    state |= {f"decoder.{k}": v for k, v in files.rosinality(official.generator).items()}
    options = {"description": description, "no_fine_mapper": True, "device": "cuda:0"}
    torch.save({"state_dict": state, "opts": options}, path)
    return path


def test_mapper_becomes_a_repo_that_edits(base, official, editor, tmp_path):
    into = base.parent / "styleclip-mapper"
    path = save_mapper(tmp_path / "surprised.pt", official)
    done = convert(path, into, base=base)
    assert (done.kind, done.name, done.notes) == ("styleclip-mapper", "styleclip_mapper", ())
    config = json.loads((into / "config.json").read_text())
    assert config["method_config"]["sentence"] == "a surprised face"
    assert config["base_model_name_or_path"] == "faceedit/base"
    assert config["converted_from"]["files"]["surprised.pt"].startswith("sha256:")
    before, after = edited(into, editor, "a surprised face")
    assert not torch.equal(before, after)
    names = {"medium": (before[:, 4:] - after[:, 4:]), "coarse": (before[:, :4] - after[:, :4])}
    assert all(part.abs().max() > 0 for part in names.values())


def test_several_mappers_become_one_repo(base, official, editor, tmp_path):
    paths = [
        save_mapper(tmp_path / f"{name}.pt", official, name.replace("_", " "))
        for name in ("purple_hair", "surprised")
    ]
    convert(paths, tmp_path / "styleclip-mapper", base=base)
    config = json.loads((tmp_path / "styleclip-mapper/config.json").read_text())
    assert config["variants"] == {"purple hair": "purple-hair", "surprised": "surprised"}
    assert (tmp_path / "styleclip-mapper/surprised/model.safetensors").is_file()


def test_mapper_of_another_generator_is_noticed(base, official, tmp_path):
    path = save_mapper(tmp_path / "afro.pt", official)
    saved = torch.load(path)
    saved["state_dict"]["decoder.input.input"] = saved["state_dict"]["decoder.input.input"] * 2
    torch.save(saved, path)
    done = convert(path, tmp_path / "styleclip-mapper", base=base)
    assert any("another generator" in note for note in done.notes)


@pytest.mark.parametrize("kind", ["levels", "levels_nofine", "single"])
def test_mapper_matches_official_numbers(kind):
    golden = golden_files.load("styleclip_mappers")
    config, state = from_styleclip(golden.state_dict(kind, f"{kind}."))
    method = StyleClipMapper(config)
    method.load_state_dict(state, strict=True)
    assert config.single == (kind == "single") and config.fine == (kind != "levels_nofine")
    difference, allowed = golden.difference(kind, method.mapper(golden.input("w_plus")))
    assert difference <= allowed


def test_mapper_has_the_official_number_of_parameters():
    for levels, count in ((("course", "medium", "fine"), 3_151_872), ((), 1_050_624)):
        state = mapper_state(levels, w_dim=512)
        config, _ = from_styleclip({k.removeprefix("mapper."): v for k, v in state.items()})
        with torch.device("meta"):
            method = StyleClipMapper(config)
        assert sum(weight.numel() for weight in method.parameters()) == count


@pytest.mark.parametrize("kind", ["stylespace_norgb", "stylespace_full"])
def test_mapper_of_style_channels_matches_official_numbers(kind):
    golden = golden_files.load("styleclip_mappers")
    dims = golden.parameters["style_dims"]
    config, state = from_styleclip(golden.state_dict(kind, f"{kind}."))
    assert (config.space, list(config.style_dims)) == ("s", dims)
    assert config.to_rgb == (kind == "stylespace_full")
    method = StyleClipMapper(config)
    method.load_state_dict(state, strict=True)
    s = torch.cat([golden.input(f"s_{i:02}").flatten(1) for i in range(len(dims))], dim=1)
    for i, mine in enumerate(method.mapper(s).split(dims, dim=1)):
        difference, allowed = golden.difference(f"{kind}_{i:02}", mine)
        assert difference <= allowed, i


def style_mapper_state(dims, layers) -> dict[str, torch.Tensor]:
    return {
        f"mapper.mapper_{layer}.mapping.{i}.{part}": 30 * torch.randn(*shape)
        for layer in layers
        for i in range(1, 5)
        for part, shape in (("weight", [dims[layer]] * 2), ("bias", [dims[layer]]))
    }


def test_mapper_of_style_channels_becomes_a_repo_that_edits(base, official, editor, tmp_path):
    generator, into = official.generator, tmp_path / "styleclip-mapper"
    moved = [layer.index for layer in generator.style_layers if not layer.is_rgb]
    state = style_mapper_state(generator.style_dims, moved)
    options = {"description": "a surprised face", "work_in_stylespace": True}
    torch.save({"state_dict": state, "opts": options}, tmp_path / "best_model.pt")
    done = convert(tmp_path / "best_model.pt", into, base=base)
    assert done.parameters == sum(tensor.numel() for tensor in state.values())
    before, after = edited(into, editor, "a surprised face")
    assert before.shape == (1, sum(generator.style_dims))
    for layer in generator.style_layers:
        same = torch.equal(before[:, layer.channels_slice], after[:, layer.channels_slice])
        assert same == layer.is_rgb


def test_mapper_of_other_style_channels_than_the_bases_is_refused(base, tmp_path):
    state = style_mapper_state((16, 16), (0, 1))
    torch.save({"state_dict": state, "opts": {}}, tmp_path / "best_model.pt")
    with pytest.raises(FileError, match=r"style_dims \(16, 16\)"):
        convert(tmp_path / "best_model.pt", tmp_path / "styleclip-mapper", base=base)


@pytest.mark.parametrize("layers", [(0, 2), (0, 1, 2, 3), (1,), (2, 3)])
def test_mapper_of_some_style_layers_is_refused(layers):
    state = style_mapper_state([2] * 8, layers)
    with pytest.raises(ValueError, match=re.escape(f"style layers {list(layers)}")):
        from_styleclip({key.removeprefix("mapper."): value for key, value in state.items()})


def test_mapper_with_a_tensor_of_something_else_is_refused():
    for stranger in ("mapper_0.bias", "course_mapping.mapping.1.weight"):
        with pytest.raises(ValueError, match=f"'{stranger}' is not a tensor"):
            from_styleclip({"mapper_0.mapping.1.weight": torch.ones(2, 2), stranger: torch.ones(2)})


# ------------------------------------------------------------------------- ManiCLIP
def maniclip_state(method: ManiClip) -> dict[str, torch.Tensor]:
    names = {"code_map": "x_map.0", "text_map": "text_map.0"}
    names |= {"text_norm": "norm1", "code_norm": "norm2"}
    state = {"pos_encoder.pe": torch.zeros(20, 1, 16), "clip_model.logit_scale": torch.ones(())}
    for key, value in method.transformer.state_dict().items():
        place = key.partition(".")[0]
        state[key.replace(place, names.get(place, place), 1)] = value
    return state


def test_maniclip_becomes_a_repo_that_edits(base, editor, tmp_path):
    method = ManiClip(ManiClipConfig(w_dim=16, embed_dim=16, layers=2, feed_forward=24)).eval()
    saved = {"epoch": 1, "state_dict": maniclip_state(method), "optimizer": {"state": {}}}
    torch.save(saved, tmp_path / "pretrained_edit_model.pth.tar")
    done = convert(tmp_path / "pretrained_edit_model.pth.tar", tmp_path / "maniclip", base=base)
    assert done.parameters == sum(p.numel() for p in method.parameters())
    before, after = edited(tmp_path / "maniclip", editor)
    sentence = editor.backbones.clip.encode_text(["a face"])  # any: only the weights are compared
    loaded = FaceEditor.from_pretrained(tmp_path / "maniclip", base=editor).method()
    mine, theirs = loaded.transformer(before, sentence), method.transformer(before, sentence)
    assert torch.allclose(mine, theirs, atol=1e-6)
    assert not torch.equal(before, after)


def test_maniclip_matches_official_numbers():
    golden = golden_files.load("maniclip_transmodel")
    config, state = from_maniclip(golden.state_dict())
    method = ManiClip(config).eval()
    method.load_state_dict(state, strict=True)
    assert sum(weight.numel() for weight in method.parameters()) == 25_752_576
    styles = golden.input("styles")[:, None].expand(-1, golden.parameters["n_latent"], -1)
    offset = method.transformer(styles, golden.input("text_embedding"))
    difference, allowed = golden.difference("offset", offset)
    assert difference <= allowed


# ------------------------------------------------------------------------- FFCLIP, FEAT
def test_ffclip_becomes_a_repo_that_edits(base, editor, tmp_path):
    config = FfClipConfig(num_ws=8, w_dim=16, text_dim=16, layer_codes=False, readout=False)
    method = FfClip(config)
    renames = {
        "alignment.query": "q_matrix",
        "alignment.key": "k_matrix",
        "alignment.value": "v_matrix",
        "alignment.channel_": "attention_layer.",
        "injection.gamma": "gamma_",
        "injection.beta": "beta_",
    }
    state = {"module.generator.input.input": torch.ones(1)}
    for key, value in method.modulation.state_dict().items():
        _, block, rest = key.split(".", 2)
        for ours, theirs in renames.items():
            rest = rest.replace(ours, theirs)
        for part in ("query", "key", "value"):
            rest = rest.replace(f"attention_layer.{part}", f"attention_layer.{part[0]}_matrix")
        state[f"module.att_mapper.att_mapper.{block}.{rest}"] = value
    torch.save({"state_dict": state, "opts": {}}, tmp_path / "faces.pt")
    done = convert(tmp_path / "faces.pt", tmp_path / "ffclip", base=base)
    assert done.parameters == sum(weight.numel() for weight in method.parameters())
    before, after = edited(tmp_path / "ffclip", editor)
    assert not torch.equal(before, after)


def feat_state(moved=4, channels=5) -> dict[str, torch.Tensor]:
    sources = [16, 16, 16, 16, 16, 8, 8, 3]  # of the tiny generator's convolutions, and its image
    names = ["att_conv1", *(f"att_convs.{i}" for i in range(7))]
    state = {}
    for name, width in zip(names, sources, strict=True):
        state[f"{name}.weight"] = torch.randn(channels, width, 1, 1)
        state[f"{name}.bias"] = torch.randn(channels)
    state["att_convs.7.weight"] = torch.randn(1, 8 * channels, 1, 1)
    state["att_convs.7.bias"] = torch.randn(1)
    for i in range(2 * moved):
        state[f"mapper.{i}.weight"] = torch.randn(16, 16) / 4
        state[f"mapper.{i}.bias"] = torch.randn(16)
    return state


def save_feat(path, official, **settings):
    generator = {f"generator.{k}": v for k, v in files.rosinality(official.generator).items()}
    args = argparse.Namespace(att_start=0, text="blond hair", alpha=0.25)
    saved = {"weights": feat_state(**settings) | generator, "optim": {}, "args": args}
    path.parent.mkdir(exist_ok=True)
    torch.save(saved, path)
    return path


def test_feat_edit_becomes_a_repo_that_edits(base, official, editor, tmp_path):
    assert official.generator.config.channels(32) == 8
    path = save_feat(tmp_path / "20000_blond hair.pt", official)
    convert(path, tmp_path / "feat", base=base)
    method = FaceEditor.from_pretrained(tmp_path / "feat", base=editor).method()
    assert isinstance(method, Feat)
    assert (method.config.layers, method.config.displacement_scale) == ((0, 4), 0.25)
    before, after = edited(tmp_path / "feat", editor, "blond hair")
    assert torch.equal(before[:, 4:], after[:, 4:])
    assert not torch.equal(before[:, :4], after[:, :4])


def test_feat_edit_learns_its_layers_from_its_folder(base, official, editor, tmp_path):
    path = save_feat(tmp_path / "4-8" / "05000_beard.pt", official)
    saved = torch.load(path, weights_only=False)
    del saved["args"]
    torch.save(saved, path)
    convert(path, tmp_path / "feat", base=base)
    method = FaceEditor.from_pretrained(tmp_path / "feat", base=editor).method()
    assert method.config.layers == (4, 8) and method.config.blend_image
    assert edited(tmp_path / "feat", editor)[1].shape == (1, 8, 16)


# ------------------------------------------------------------------------- denoisers
def test_denoiser_becomes_a_repo_that_gives_official_numbers(base, editor, tmp_path):
    diffusion = pytest.importorskip("faceedit.backbones.diffusion")
    pytest.importorskip("diffusers")
    golden = golden_files.load("ddpm_unet_small")
    torch.save(golden.state_dict(), tmp_path / "celeba_hq.ckpt")
    done = convert(tmp_path / "celeba_hq.ckpt", tmp_path / "clip-pae-diffusion", base=base)
    assert (done.kind, done.name) == ("ddpm", "clip_pae_diffusion")
    loaded = diffusion.Diffusion.from_folder(tmp_path / "clip-pae-diffusion")
    assert loaded.resolution == golden.parameters["image_size"]
    noise = loaded.unet(golden.input("x"), torch.tensor([17])).sample
    difference, allowed = golden.difference("eps_t17", noise)
    assert difference <= allowed
    method = FaceEditor.from_pretrained(tmp_path / "clip-pae-diffusion", base=editor).method()
    assert method.name == "clip_pae_diffusion"


# ------------------------------------------------------------------------- global directions
def save_global(folder, generator, rows=None, dtype="f4"):
    dims = [layer.channels for layer in generator.style_layers]
    plain = sum(layer.channels for layer in generator.style_layers if not layer.is_rgb)
    draws = np.random.default_rng(0)
    np.save(folder / "fs3.npy", draws.standard_normal((rows or plain, 16)).astype(dtype))
    statistics = [[draws.random(n, dtype="f4") for n in dims] for _ in range(2)]
    (folder / "S_mean_std").write_bytes(pickle.dumps(statistics))
    return [folder / "fs3.npy", folder / "S_mean_std"]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_global_directions_become_a_repo_that_edits(base, official, editor, tmp_path, dtype):
    paths = save_global(tmp_path, official.generator, dtype=dtype)
    convert(paths, tmp_path / "styleclip-global", base=base)
    method = FaceEditor.from_pretrained(tmp_path / "styleclip-global", base=editor).method()
    assert (method.config.alpha, method.config.beta) == (4.1, 0.15)
    rgb = torch.cat(
        [torch.full((x.channels,), x.is_rgb) for x in editor.backbones.generator.style_layers]
    )
    norms = method.directions.norm(dim=1)
    assert torch.allclose(norms[~rgb], torch.ones(int((~rgb).sum())))
    assert not norms[rgb].any() and (method.deviation > 0).all()
    before, after = edited(tmp_path / "styleclip-global", editor)
    assert not torch.equal(before, after) and torch.equal(before[:, rgb], after[:, rgb])


def test_fewer_rows_leave_the_last_layers_alone(official, tmp_path):
    plain = [x.channels for x in official.generator.style_layers if not x.is_rgb]
    paths = save_global(tmp_path, official.generator, rows=sum(plain[:3]))
    sources = [
        Source(paths[0], np.load(paths[0])),
        Source(paths[1], pickle.loads(paths[1].read_bytes())),
    ]
    method = convert_global(sources, official.generator.config)
    moved = [x for x in official.generator.style_layers if not x.is_rgb]
    assert method.directions[moved[2].channels_slice].abs().sum() > 0
    assert not method.directions[moved[3].start :].any()


@pytest.mark.parametrize("rows", [5376, 6048])
def test_official_directions_fit_the_official_generator(rows, tmp_path):
    dims = [512] * 15 + [256] * 3 + [128] * 3 + [64] * 3 + [32] * 2
    statistics = [[np.ones(n, "f4") for n in dims] for _ in range(2)]
    sources = [
        Source(tmp_path / "fs3.npy", np.ones((rows, 512), "f2")),
        Source(tmp_path / "S", statistics),
    ]
    method = convert_global(sources, GeneratorConfig())
    assert method.directions.shape == (9088, 512)
    assert int((method.directions.abs().sum(1) > 0).sum()) == rows


@pytest.mark.parametrize(("rows", "message"), [(17, "must have"), (None, "needs? two files")])
def test_directions_that_do_not_fit_are_refused(base, official, tmp_path, rows, message):
    paths = save_global(tmp_path, official.generator, rows=rows)
    with pytest.raises(FileError, match=message):
        convert(paths if rows else paths[:1], tmp_path / "styleclip-global", base=base)


# ------------------------------------------------------------------------- InterFaceGAN, GANSpace
def test_boundaries_become_a_repo_that_edits(base, editor, tmp_path):
    normals = {name: torch.nn.functional.normalize(torch.randn(1, 16)) for name in ("age", "smile")}
    np.save(tmp_path / "stylegan2_ffhq_age_w_boundary.npy", normals["age"].double().numpy())
    torch.save(normals["smile"], tmp_path / "smile.pt")
    paths = [tmp_path / "stylegan2_ffhq_age_w_boundary.npy", tmp_path / "smile.pt"]
    convert(paths, tmp_path / "interfacegan", base=base)
    method = FaceEditor.from_pretrained(tmp_path / "interfacegan", base=editor).method()
    assert method.names.keys == ("age+", "age-", "smile+", "smile-")
    for prompt, name, sign in (
        ("an old face", "age", 1),
        ("a young face", "age", -1),
        ("a smiling face", "smile", 1),
    ):
        before, after = edited(tmp_path / "interfacegan", editor, prompt, strength=0.5)
        step = sign * 1.5 * normals[name]  # strength * REACH along the unit normal
        assert torch.allclose(after - before, step.expand(8, -1), atol=1e-5), prompt


def test_boundaries_of_other_generators_are_refused_unless_named(base, tmp_path):
    path = tmp_path / "stylegan_ffhq_smile_w_boundary.npy"
    np.save(path, np.eye(1, 16))
    with pytest.raises(FileError, match="StyleGAN1"):
        convert(path, tmp_path / "interfacegan", base=base)
    convert(path, tmp_path / "interfacegan", kind="interfacegan", base=base)


def test_boundary_with_a_direction_a_layer_is_refused(base, tmp_path):
    torch.save(torch.randn(1, 8, 16), tmp_path / "pose.pt")
    with pytest.raises(FileError, match="every layer"):
        convert(tmp_path / "pose.pt", tmp_path / "interfacegan", base=base)


def components(count: int) -> dict[str, np.ndarray]:
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))
    rows = np.resize(axes, (count, 16)).astype("f4")
    deviations = np.linspace(2, 1, count).astype("f4")
    deviations[:5] = FFHQ_DEVIATIONS[: min(5, count)]
    return {"mean": np.zeros((1, 16), "f4"), "comp": rows[:, None], "std": deviations}


def test_official_components_come_with_the_published_edits(base, editor, tmp_path):
    tensors = {name: torch.from_numpy(array) for name, array in components(80).items()}
    torch.save(tensors, tmp_path / "ffhq_pca.pt")
    convert(tmp_path / "ffhq_pca.pt", tmp_path / "ganspace", base=base)
    method = FaceEditor.from_pretrained(tmp_path / "ganspace", base=editor).method()
    index = method.names.keys.index("a_smiling_face+")
    assert method.edit_component[index] == 46
    assert method.edit_layers[index].tolist() == [4, 5] and method.edit_sigmas[index] == -20
    before, after = edited(tmp_path / "ganspace", editor, "a smiling face")
    changed = (before != after).any(dim=2)[0]
    assert changed.tolist() == [i == 4 for i in range(8)]
    k, deviation = tensors["comp"][46, 0], tensors["std"][46]
    now = before[0, 0] @ k / deviation  # the official edit: (strength - coordinate) deviations
    assert torch.allclose(after[0, 4] - before[0, 4], (-20 - now) * deviation * k, atol=1e-4)


def test_components_of_another_file_are_numbered(base, editor, tmp_path):
    arrays = {
        f"lat_{new}": components(12)[old]
        for new, old in (("mean", "mean"), ("comp", "comp"), ("stdev", "std"))
    }
    np.savez(
        tmp_path / "stylegan2-ffhq_style_ipca_c80_n300000_w.npz", **arrays, act_comp=np.ones(3)
    )
    convert(
        tmp_path / "stylegan2-ffhq_style_ipca_c80_n300000_w.npz", tmp_path / "ganspace", base=base
    )
    method = FaceEditor.from_pretrained(tmp_path / "ganspace", base=editor).method()
    assert method.names.keys[:3] == ("component_0+", "component_0-", "component_1+")


# ------------------------------------------------------------------------- what users can mend
def test_method_needs_a_base_with_networks(base, shelf, tmp_path):
    torch.save(torch.randn(1, 16), tmp_path / "smile.pt")
    with pytest.raises(RepoError, match="name the folder with its networks as --base"):
        convert(tmp_path / "smile.pt", tmp_path / "interfacegan")
    convert(shelf / "stylegan2-ffhq-config-f.pt", tmp_path / "base")
    with pytest.raises(RepoError, match="has no clip yet"):
        convert(tmp_path / "smile.pt", tmp_path / "interfacegan", base=tmp_path / "base")
    with pytest.raises(RepoError, match="folder of its own"):
        convert(tmp_path / "smile.pt", base, base=base)


def test_method_of_another_size_is_refused(base, tmp_path):
    torch.save(torch.randn(1, 512), tmp_path / "smile.pt")
    with pytest.raises(FileError, match=r"smile\.pt: it has w_dim 512, the networks in .* have 16"):
        convert(tmp_path / "smile.pt", tmp_path / "interfacegan", base=base)


def test_files_of_several_kinds_are_refused(base, shelf, tmp_path):
    torch.save(torch.randn(1, 16), tmp_path / "smile.pt")
    paths = [tmp_path / "smile.pt", shelf / "ViT-B-32.pt"]
    with pytest.raises(FileError, match="several kinds"):
        convert(paths, tmp_path / "out", base=base)


def test_methods_beside_a_base_are_found_by_name(base, official, tmp_path):
    into = base.parent / "interfacegan"
    torch.save(torch.randn(1, 16), tmp_path / "smile.pt")
    assert convert(tmp_path / "smile.pt", into, base=base).notes == ()
    editor = FaceEditor.from_pretrained(base)
    result = editor.edit(editor.sample(1), "a smiling face", method="interfacegan")
    assert not torch.equal(result.source.code, result.edited.code)


# ------------------------------------------------------------------------- names and replacements
def test_boundary_is_named_after_its_folder_where_the_file_says_nothing(base, tmp_path):
    (tmp_path / "smile").mkdir()
    np.save(tmp_path / "smile/boundary.npy", np.random.RandomState(0).randn(1, 16))
    into = tmp_path / "interfacegan"
    convert(tmp_path / "smile/boundary.npy", into, base=base)
    wordings = json.loads((into / "config.json").read_text())["method_config"]["wordings"]
    assert {key for key, _ in wordings} == {"smile+", "smile-"}


def test_boundary_without_any_name_is_asked_for_one(base, tmp_path):
    (tmp_path / "boundaries").mkdir()
    np.save(tmp_path / "boundaries/boundary.npy", np.random.RandomState(0).randn(1, 16))
    with pytest.raises(FileError, match=r"name it like smile\.npy"):
        convert(tmp_path / "boundaries/boundary.npy", tmp_path / "interfacegan", base=base)


def test_replaced_generator_names_the_methods_that_belonged_to_the_old_one(
    base, official, shelf, tmp_path
):
    mine = tmp_path / "base"
    shutil.copytree(base, mine)
    convert(save_mapper(tmp_path / "afro.pt", official), tmp_path / "styleclip-mapper", base=mine)
    same = convert(shelf / "stylegan2-ffhq-config-f.pt", mine)
    assert not any("another" in note for note in same.notes)
    saved = torch.load(shelf / "stylegan2-ffhq-config-f.pt")
    saved["g_ema"]["input.input"] = saved["g_ema"]["input.input"] + 1
    torch.save(saved, tmp_path / "other.pt")
    notes = convert(tmp_path / "other.pt", mine).notes
    assert any("converted again: styleclip-mapper" in note for note in notes)


@pytest.mark.parametrize("part", ["gen_smooth", "generator_smooth"])
def test_generator_of_other_training_code_gets_a_plain_answer(tmp_path, part):
    torch.save({part: {"mapping.dense0.weight": torch.ones(1)}}, tmp_path / "a.pth")
    with pytest.raises(FileError, match="StyleGAN1"):
        convert(tmp_path / "a.pth", tmp_path / "base")
    torch.save({part: {"unheard.of": torch.ones(1)}}, tmp_path / "b.pth")
    with pytest.raises(FileError, match=f"generator as '{part}'"):
        convert(tmp_path / "b.pth", tmp_path / "base")


@pytest.mark.parametrize("former", [False, True], ids=["present names", "first names"])
def test_denoiser_of_diffusers_becomes_the_methods_own(base, tmp_path, former):
    from diffusers import UNet2DModel

    from faceedit.convert.diffusion import diffusers_config

    blocks = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
    unet = UNet2DModel(
        sample_size=16, block_out_channels=(32, 32), layers_per_block=1, norm_num_groups=32,
        down_block_types=blocks[0], up_block_types=blocks[1], attention_head_dim=None,
        downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6,
    )  # fmt: skip
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for name, tensor in unet.state_dict().items():
        for now, then in names.items() if former else ():
            name = name.replace(f".{now}.", f".{then}.")
        state[name] = tensor
    torch.save(state, tmp_path / "diffusion_pytorch_model.bin")
    done = convert(tmp_path / "diffusion_pytorch_model.bin", tmp_path / "made", base=base)
    assert (done.kind, done.name) == ("ddpm", "clip_pae_diffusion")
    loaded = UNet2DModel.from_pretrained(tmp_path / "made/unet")
    image, time = torch.randn(1, 3, 16, 16), 500
    assert torch.allclose(loaded(image, time).sample, unet.eval()(image, time).sample, atol=1e-5)
    read = diffusers_config(unet.state_dict(), 16)
    assert all(unet.config[key] == value for key, value in read.items() if key != "act_fn")
