"""Files of networks become a base folder that an editor loads, number by number."""

import json

import pytest
import torch
from PIL import Image

from faceedit import hub
from faceedit.__main__ import main
from faceedit.backbones import load_backbones
from faceedit.backbones.clip import Clip, ClipConfig
from faceedit.backbones.encoder import Encoder, EncoderConfig
from faceedit.backbones.identity import Identity, IdentityConfig
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.convert import KINDS, convert
from faceedit.convert.budget import FileError, UnsafeFileError
from faceedit.convert.stylegan2 import from_nvidia
from faceedit.editor import FaceEditor
from faceedit.photo import Framing
from tests.convert import files
from tests.golden import official as golden_files
from tests.test_import_time import HEAVY, run_python


@pytest.mark.slow  # 30 M weights to draw, and 1024 px to compute
def test_official_size_matches_official_numbers(tmp_path):
    golden = golden_files.load("rosinality_generator_1024")
    state = {"g_ema": golden.state_dict(), "latent_avg": golden.input("truncation_latent")[0]}
    torch.save(state, tmp_path / "stylegan2-ffhq-config-f.pt")
    convert(tmp_path / "stylegan2-ffhq-config-f.pt", tmp_path / "base")
    editor = FaceEditor.from_pretrained(tmp_path / "base")
    generator = editor.backbones.generator
    assert (generator.config, generator.num_ws) == (GeneratorConfig(), 18)
    w_plus = generator.truncate(
        generator.mapping(golden.input("z")), golden.parameters["truncation"]
    )
    difference, allowed = golden.difference("img_z", generator(w_plus))
    assert difference <= allowed


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def nvidia():
    return golden_files.load("nvidia_generator_64_small_clamp")


# ------------------------------------------------------------------------- the base
def test_converted_networks_are_the_official_ones(base, official):
    loaded = load_backbones(base)
    for name, network in official.present().items():
        mine = getattr(loaded, name)
        if name != "clip":  # its heads are not in the tensors, so they are compared below
            assert mine.config == network.config
        for key, tensor in network.state_dict().items():
            assert torch.equal(mine.state_dict()[key], tensor), (name, key)
    text = ["red hair", "a hat"]
    assert torch.equal(loaded.clip.encode_text(text), official.clip.encode_text(text))


def test_base_takes_photographs_as_ffhq_frames_them(base):
    config = json.loads((base / "config.json").read_text())
    assert config["kind"] == "base" and config["framing"] == "ffhq" and config["resolution"] == 32
    assert set(config["components"]) == {"generator", "encoder", "identity", "clip"}
    origin = config["converted_from"]["generator"]
    assert origin["kind"] == "stylegan2"
    assert origin["files"]["stylegan2-ffhq-config-f.pt"].startswith("sha256:")
    assert FaceEditor.from_pretrained(base).framing is Framing.FFHQ


def test_base_edits_a_photograph(base):
    editor = FaceEditor.from_pretrained(base)
    photo = Image.radial_gradient("L").resize((64, 64)).convert("RGB")
    with torch.enable_grad():
        result = editor.edit(photo, "red hair", method="styleclip_optimization", strength=0.5)
    assert result.image.size == (64, 64)


def test_half_precision_takes_half_the_room(base, shelf, tmp_path):
    convert(shelf / "stylegan2-ffhq-config-f.pt", tmp_path / "base", half=True)
    small, large = (p / "generator/model.safetensors" for p in (tmp_path / "base", base))
    assert small.stat().st_size < 0.75 * large.stat().st_size


def test_what_is_missing_for_photographs_is_said(shelf, tmp_path):
    done = convert(shelf / "stylegan2-ffhq-config-f.pt", tmp_path / "base")
    assert done.name == "generator" and done.kind == "stylegan2"
    assert "encoder (e4e_ffhq_encode.pt), clip (ViT-B-32.pt)" in done.notes[-1]


def test_encoder_of_another_generator_is_noticed(shelf, official, tmp_path):
    convert(shelf / "stylegan2-ffhq-config-f.pt", tmp_path / "base")
    saved = torch.load(shelf / "e4e_ffhq_encode.pt")
    saved["state_dict"]["decoder.input.input"] = saved["state_dict"]["decoder.input.input"] + 1
    torch.save(saved, tmp_path / "e4e.pt")
    notes = convert(tmp_path / "e4e.pt", tmp_path / "base").notes
    assert any("another generator" in note for note in notes)
    notes = convert(shelf / "e4e_ffhq_encode.pt", tmp_path / "base").notes
    assert not any("another generator" in note for note in notes)


def test_networks_of_different_sizes_do_not_become_one_base(shelf, official, tmp_path):
    convert(shelf / "e4e_ffhq_encode.pt", tmp_path / "base")
    config = GeneratorConfig(64, 16, 16, 2, channel_base=256, channel_max=16)
    torch.save({"g_ema": files.rosinality(Generator(config))}, tmp_path / "large.pt")
    with pytest.raises(FileError, match=r"num_ws 10, the encoder in .* has 8"):
        convert(tmp_path / "large.pt", tmp_path / "base")


# ------------------------------------------------------------------------- generators
def test_generator_of_an_encoder_can_be_taken(shelf, official, tmp_path):
    convert(shelf / "e4e_ffhq_encode.pt", tmp_path / "base", kind="stylegan2")
    loaded = load_backbones(tmp_path / "base").generator
    w_plus = torch.randn(1, 8, 16)
    assert torch.equal(loaded(w_plus), official.generator(w_plus))
    assert torch.equal(loaded.w_avg, official.generator.w_avg)


def test_checkpoint_without_mean_and_noise_gets_both(official, tmp_path):
    torch.save({"g_ema": files.rosinality(official.generator, noises=False)}, tmp_path / "a.pt")
    done = convert(tmp_path / "a.pt", tmp_path / "base")
    assert any("mean w" in note for note in done.notes)
    assert any("noise" in note for note in done.notes)
    loaded = load_backbones(tmp_path / "base").generator
    assert torch.allclose(loaded.w_avg, official.generator.w_avg, atol=0.5)
    assert loaded.w_avg.abs().sum() > 0


def clamp_facts(golden) -> dict[str, dict]:
    clamp = golden.parameters["constructor"].get("conv_clamp")
    return {"": {"c_dim": 0, "z_dim": 96}, "synthesis.b4.conv1": {"conv_clamp": clamp}}


def assert_official_image(golden, folder):
    generator = load_backbones(folder).generator
    difference, allowed = golden.difference("img_ws", generator(golden.input("ws")))
    assert difference <= allowed
    psi, cutoff = (golden.parameters[f"truncation_{part}"] for part in ("psi", "cutoff"))
    w_plus = generator.truncate(generator.mapping(golden.input("z")), psi, cutoff)
    difference, allowed = golden.difference("img_z", generator(w_plus))
    assert difference <= allowed


def test_nvidia_pickle_gives_the_official_image(nvidia, tmp_path):
    path = files.save_nvidia(tmp_path / "ffhq.pkl", nvidia.state_dict(), clamp_facts(nvidia))
    done = convert(path, tmp_path / "base")
    assert done.kind == "stylegan2"
    assert_official_image(nvidia, tmp_path / "base")


def test_tensorflow_pickle_gives_the_same_generator(nvidia, tmp_path):
    state = nvidia.state_dict()
    path = files.save_tensorflow(tmp_path / "ffhq.pkl", files.tensorflow_variables(state))
    convert(path, tmp_path / "base")
    loaded = load_backbones(tmp_path / "base").generator.state_dict()
    config, wanted = from_nvidia(state)
    assert hub.read_config(tmp_path / "base/generator")["resolution"] == config.resolution
    for name, tensor in wanted.items():
        assert torch.allclose(loaded[name], tensor, atol=1e-6), name


def test_networks_that_have_no_counterpart_are_refused(nvidia, tmp_path):
    facts = {"": {"c_dim": 10}}
    path = files.save_nvidia(tmp_path / "a.pkl", nvidia.state_dict(), facts)
    with pytest.raises(FileError, match="class labels"):
        convert(path, tmp_path / "base")
    facts = {"synthesis.b8": {"architecture": "resnet"}}
    path = files.save_nvidia(tmp_path / "b.pkl", nvidia.state_dict(), facts)
    with pytest.raises(FileError, match="resnet"):
        convert(path, tmp_path / "base")
    assert not (tmp_path / "base").exists()


# ------------------------------------------------------------------------- encoders and CLIP
def test_pixel2style2pixel_gives_absolute_codes(official, shelf, tmp_path):
    saved = torch.load(shelf / "e4e_ffhq_encode.pt")
    saved["opts"]["encoder_type"] = "GradualStyleEncoder"
    torch.save(saved, tmp_path / "a.pt")
    assert convert(tmp_path / "a.pt", tmp_path / "base").kind == "psp"
    config = hub.read_config(tmp_path / "base/encoder")
    assert config["codes"] == "absolute"


def test_encoder_that_does_not_say_which_is_asked_for(shelf, tmp_path):
    saved = torch.load(shelf / "e4e_ffhq_encode.pt")
    del saved["opts"]
    torch.save(saved, tmp_path / "a.pt")
    with pytest.raises(FileError, match="--kind e4e or --kind psp"):
        convert(tmp_path / "a.pt", tmp_path / "base")
    assert convert(tmp_path / "a.pt", tmp_path / "base", kind="e4e").kind == "e4e"


def test_clip_needs_its_vocabulary(shelf, tmp_path):
    (tmp_path / "ViT-B-32.pt").write_bytes((shelf / "ViT-B-32.pt").read_bytes())
    with pytest.raises(FileError, match="bpe_simple_vocab"):
        convert(tmp_path / "ViT-B-32.pt", tmp_path / "base")
    vocabulary = shelf / "bpe_simple_vocab_16e6.txt.gz"
    convert([tmp_path / "ViT-B-32.pt", vocabulary], tmp_path / "base")
    assert Clip.from_folder(tmp_path / "base/clip").tokenize(["red"]).shape == (1, 3)


def test_clip_by_the_names_of_transformers_is_the_same(official, base, tmp_path):
    from safetensors.torch import save_file

    state = {name: tensor.clone() for name, tensor in official.clip.model.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    tokenizer = base / "clip/tokenizer.json"
    convert([tmp_path / "model.safetensors", tokenizer], tmp_path / "base")
    loaded = Clip.from_folder(tmp_path / "base/clip")
    assert torch.equal(loaded.encode_text(["red"]), official.clip.encode_text(["red"]))


# ------------------------------------------------------------------------- official sizes
def on_meta(build) -> int:
    with torch.device("meta"):
        return sum(weight.numel() for weight in build().parameters())


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: Generator(GeneratorConfig()), 30_370_060),
        (lambda: Encoder(EncoderConfig()), 267_136_704),
        (lambda: Encoder(EncoderConfig(num_ws=12)), 180_607_680),
        (lambda: Identity(IdentityConfig()), 43_797_696),
        (lambda: Clip(ClipConfig()), 151_277_313),
    ],
    ids=["stylegan2", "e4e-1024", "e4e-128", "ir-se50", "vit-b-32"],
)
def test_networks_have_the_official_number_of_parameters(build, parameters):
    assert on_meta(build) == parameters


# ------------------------------------------------------------------------- what users can mend
def test_unknown_tensors_are_listed(tmp_path):
    torch.save({"state_dict": {"head.weight": torch.ones(1)}}, tmp_path / "a.pt")
    with pytest.raises(FileError, match=r"cannot tell what it is \(it holds head\.weight\)"):
        convert(tmp_path / "a.pt", tmp_path / "base")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mapping.dense0.fc.weight", "StyleGAN1"),
        ("sm_coarse.mapping.1.weight", "DeltaEdit"),
        ("visual.layer1.0.conv1.weight", "ResNet"),
    ],
)
def test_files_without_a_use_are_named(tmp_path, name, message):
    torch.save({name: torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(FileError, match=message):
        convert(tmp_path / "a.pt", tmp_path / "base")


def test_damaged_weights_are_refused_and_nothing_is_written(shelf, tmp_path):
    saved = torch.load(shelf / "stylegan2-ffhq-config-f.pt")
    del saved["g_ema"]["conv1.conv.weight"]
    torch.save(saved, tmp_path / "a.pt")
    with pytest.raises(FileError, match=r"a\.pt cannot be converted as StyleGAN2.*conv1"):
        convert(tmp_path / "a.pt", tmp_path / "base")
    saved = torch.load(shelf / "model_ir_se50.pth")
    saved["output_layer.3.bias"] = torch.zeros(3)
    torch.save(saved, tmp_path / "b.pt")
    with pytest.raises(FileError, match=r"linear\.bias has shape \[3\], not \[8\]"):
        convert(tmp_path / "b.pt", tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_unknown_kind_lists_the_kinds(shelf, tmp_path):
    with pytest.raises(FileError, match="choose from stylegan2, e4e"):
        convert(shelf / "ViT-B-32.pt", tmp_path / "base", kind="gpt")


# ------------------------------------------------------------------------- the command
def test_command_says_what_it_wrote(shelf, tmp_path, capsys):
    path = str(shelf / "stylegan2-ffhq-config-f.pt")
    assert main(["convert", path, "--into", str(tmp_path / "my-ffhq")]) == 0
    output = capsys.readouterr().out
    assert "my-ffhq/generator: generator from stylegan2" in output
    assert "still needs: encoder (e4e_ffhq_encode.pt)" in output


def test_command_reports_an_unsafe_file_in_one_line(tmp_path, capsys):
    (tmp_path / "a.pt").write_bytes(b"\x80\x02cos\nsystem\nU\x04trueq\x01\x85R.")
    assert main(["convert", str(tmp_path / "a.pt"), "--into", str(tmp_path / "b")]) == 2
    error = capsys.readouterr().err
    assert "was refused: it asks for 'os.system'" in error and error.count("\n") == 1
    with pytest.raises(UnsafeFileError):
        convert(tmp_path / "a.pt", tmp_path / "b")


def test_help_of_the_command_lists_the_kinds_and_loads_nothing_heavy():
    code = (
        "import sys, contextlib\n"
        "from faceedit.__main__ import main\n"
        "with contextlib.suppress(SystemExit): main(['convert', '--help'])\n"
        "print('MODULES', *sys.modules)"
    )
    output, modules = run_python("-c", code).stdout.split("MODULES")
    assert all(kind in output for kind in KINDS)
    assert not set(modules.split()) & set(HEAVY)
