import hashlib
import json
import os
import shutil
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from faceedit import hub
from faceedit.backbones import load_backbones
from faceedit.errors import RepoError
from faceedit.hub import fingerprints
from faceedit.regular_files import CACHE, open_regular


@dataclass(frozen=True)
class ToyConfig:
    width: int = 3
    scale: float = 1.0
    name: str = "toy"
    sizes: tuple[int, ...] = (1, 2)


class Toy(nn.Module):
    config_class = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.linear = nn.Linear(config.width, config.width)
        self.register_buffer("steps", torch.tensor(7))


@pytest.fixture
def folder(tmp_path):
    hub.save_network(Toy(ToyConfig(width=4)), tmp_path / "toy", half=False)
    return tmp_path / "toy"


def change_config(folder, **changes):
    path = folder / hub.CONFIG
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, **changes}))


def test_nothing_is_drawn_for_a_network_that_a_file_fills(folder):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    hub.load_network(Toy, folder)
    assert torch.equal(torch.rand(2), expected)
    assert Toy(ToyConfig(width=4)).linear.weight.std() > 0  # elsewhere it is


def test_network_is_the_same_after_saving_and_loading(tmp_path):
    before = Toy(ToyConfig(width=4, sizes=(5, 6)))
    hub.save_network(before, tmp_path, half=False)
    after = hub.load_network(Toy, tmp_path)
    assert after.config == before.config
    assert not after.training
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name])


def test_saving_in_half_keeps_integers_and_loads_in_float32(tmp_path):
    before = Toy(ToyConfig())
    hub.save_network(before, tmp_path)
    stored = load_file(tmp_path / hub.WEIGHTS)
    assert stored["linear.weight"].dtype == torch.float16
    assert stored["steps"].dtype == torch.int64
    after = hub.load_network(Toy, tmp_path)
    assert after.linear.weight.dtype == torch.float32
    assert torch.allclose(after.linear.weight, before.linear.weight, atol=1e-3)


def test_saving_leaves_nothing_but_the_two_files(folder):
    assert sorted(path.name for path in folder.iterdir()) == [hub.CONFIG, hub.WEIGHTS]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_saving_refuses_weights_that_16_bits_cannot_hold_and_keeps_the_old_file(folder, value):
    old = (folder / hub.WEIGHTS).read_bytes()
    module = Toy(ToyConfig(width=4))
    with torch.no_grad():
        module.linear.bias[0] = value
    with pytest.raises(ValueError, match=r"linear\.bias"):
        hub.save_network(module, folder)
    assert (folder / hub.WEIGHTS).read_bytes() == old


def test_loading_names_a_missing_tensor(folder):
    tensors = load_file(folder / hub.WEIGHTS)
    del tensors["linear.bias"]
    save_file(tensors, folder / hub.WEIGHTS)
    with pytest.raises(RepoError, match=r"missing tensors linear\.bias"):
        hub.load_network(Toy, folder)


def test_loading_names_an_unknown_tensor(folder):
    tensors = {**load_file(folder / hub.WEIGHTS), "surprise": torch.zeros(1)}
    save_file(tensors, folder / hub.WEIGHTS)
    with pytest.raises(RepoError, match="unknown tensors surprise"):
        hub.load_network(Toy, folder)


def test_loading_names_a_tensor_of_another_shape(folder):
    change_config(folder, width=5)
    with pytest.raises(RepoError, match=r"linear\.weight has shape \[4, 4\], Toy needs \[5, 5\]"):
        hub.load_network(Toy, folder)


def test_loading_refuses_a_pickle_and_never_opens_it(folder):
    (folder / hub.WEIGHTS).unlink()
    torch.save({"linear.bias": torch.zeros(4)}, folder / "pytorch_model.bin")
    with pytest.raises(RepoError, match=r"pickle \(pytorch_model\.bin\)"):
        hub.load_network(Toy, folder)


def test_loading_refuses_a_pickle_that_is_named_safetensors(folder):
    torch.save({"linear.bias": torch.zeros(4)}, folder / hub.WEIGHTS)
    with pytest.raises(RepoError, match="pickle under another name"):
        hub.load_network(Toy, folder)


def test_loading_recognises_a_git_lfs_pointer(folder):
    (folder / hub.WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    with pytest.raises(RepoError, match="git lfs pull"):
        hub.load_network(Toy, folder)


def test_loading_recognises_a_file_that_was_cut_short(folder):
    data = (folder / hub.WEIGHTS).read_bytes()
    (folder / hub.WEIGHTS).write_bytes(data[:-8])
    with pytest.raises(RepoError, match="cut short"):
        hub.load_network(Toy, folder)


def test_loading_says_that_the_weights_are_missing(folder):
    (folder / hub.WEIGHTS).unlink()
    with pytest.raises(RepoError, match="has no model"):
        hub.load_network(Toy, folder)


def test_config_with_an_unknown_setting_is_refused(folder):
    change_config(folder, colour="red")
    with pytest.raises(RepoError, match=r"unknown settings .*colour"):
        hub.load_network(Toy, folder)


def test_config_with_a_missing_setting_is_refused(folder):
    (folder / hub.CONFIG).write_text('{"width": 4}')
    with pytest.raises(RepoError, match=r"missing settings .*scale"):
        hub.load_network(Toy, folder)


@pytest.mark.parametrize("change", [{"width": "4"}, {"width": 4.5}, {"name": 3}, {"scale": None}])
def test_config_with_a_value_of_the_wrong_type_is_refused(folder, change):
    change_config(folder, **change)
    with pytest.raises(RepoError, match=next(iter(change))):
        hub.load_network(Toy, folder)


def test_config_of_a_newer_format_asks_for_an_update(folder):
    change_config(folder, format_version=99)
    with pytest.raises(RepoError, match="pip install -U faceedit"):
        hub.read_config(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_config_that_is_no_json_object_is_refused(folder, text):
    (folder / hub.CONFIG).write_text(text)
    with pytest.raises(RepoError, match=hub.CONFIG):
        hub.read_config(folder)


def test_repo_is_found_as_a_folder(folder):
    assert hub.find_repo(folder) == folder
    assert hub.find_repo(str(folder)) == folder


def test_bundled_copy_is_found_first(folder, monkeypatch):
    monkeypatch.setattr(hub.find, "BUNDLED", folder.parent)
    assert hub.find_repo("faceedit/toy") == folder


def test_bundled_copies_are_ours_only(folder, monkeypatch):
    monkeypatch.setattr(hub.find, "BUNDLED", folder.parent)
    with pytest.raises(RepoError):
        hub.find_repo("somebody/toy")


def test_base_is_found_next_to_its_method(tmp_path, folder):
    method = tmp_path / "method"
    hub.write_folder(method, {"base_model_name_or_path": "somebody/toy"}, None)
    assert hub.find_base(method) == folder


@pytest.mark.parametrize("name", ["./nope", "/nope/nope", "~/nope-nope", "a/b/c", "..\\nope"])
def test_folder_that_does_not_exist_is_not_looked_up_on_the_hub(name):
    with pytest.raises(RepoError, match="does not exist"):
        hub.find_repo(name)


@pytest.mark.parametrize("name", ["", "  "])
def test_empty_name_is_refused(name):
    with pytest.raises(RepoError, match="empty"):
        hub.find_repo(name)


def test_file_in_place_of_a_folder_is_refused(folder):
    with pytest.raises(RepoError, match="is a file"):
        hub.find_repo(folder / hub.CONFIG)


def test_name_that_is_no_repo_id_is_refused():
    with pytest.raises(RepoError, match="repo id"):
        hub.find_repo("what is this?")


def test_offline_says_how_to_fetch_the_repo_once():
    with pytest.raises(RepoError, match=r"HF_HUB_OFFLINE is set.*hf download somebody/missing"):
        hub.find_repo("somebody/missing")


def test_base_repo_loads_all_its_networks_frozen(base_folder, backbones):
    loaded = load_backbones(base_folder)
    assert set(loaded.present()) == set(hub.read_base(base_folder)["components"])
    for network in loaded.present().values():
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())
    w_plus = torch.zeros(1, backbones.generator.num_ws, backbones.generator.config.w_dim)
    assert torch.equal(loaded.generator(w_plus), backbones.generator(w_plus))
    words = ["a face with red hair"]
    assert torch.equal(loaded.clip.encode_text(words), backbones.clip.encode_text(words))


def test_base_repo_loads_only_the_networks_that_are_named(base_folder):
    assert set(load_backbones(base_folder, ["generator"]).present()) == {"generator"}
    with pytest.raises(RepoError, match="no network 'painter'"):
        load_backbones(base_folder, ["painter"])


def test_base_repo_cannot_point_outside_its_folder(tmp_path):
    hub.save_base(tmp_path, {"generator": "../elsewhere"})
    with pytest.raises(RepoError, match="outside"):
        hub.read_base(tmp_path)


def test_method_folder_is_not_taken_for_a_base(folder):
    with pytest.raises(RepoError, match="not a base repo"):
        load_backbones(folder)


def test_fingerprint_accepts_its_own_base_and_refuses_another(base_folder, tmp_path):
    method = tmp_path / "method"
    hub.write_folder(method, {"base_fingerprint": hub.fingerprint(base_folder)}, None)
    hub.check_fingerprint(method, base_folder)
    other = shutil.copytree(base_folder, tmp_path / "other")
    tensors = load_file(other / "generator" / hub.WEIGHTS)
    tensors["const"] += 1
    save_file(tensors, other / "generator" / hub.WEIGHTS)
    with pytest.raises(RepoError, match="made for another generator"):
        hub.check_fingerprint(method, other)


# ------------------------------------------------------------------------- hashes of large files
@pytest.fixture
def large(tmp_path, monkeypatch):
    """A file that counts as large, and how many hashes were made of files."""
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprints, "LARGE", 1000)
    path, made = tmp_path / "weights", []
    path.write_bytes(b"x" * 2000)
    monkeypatch.setattr(fingerprints, "open_regular", lambda p: made.append(p) or open_regular(p))
    return path, made


def fresh_digest(path):
    """Return a file's digest as the next start of the program would."""
    fingerprints._digest.cache_clear()
    return fingerprints.digest(path)


def test_hash_of_a_large_file_is_made_once_for_all_starts(large):
    path, made = large
    first = fresh_digest(path)
    assert first == "sha256:" + hashlib.sha256(b"x" * 2000).hexdigest()
    assert fresh_digest(path) == first and len(made) == 1
    path.write_bytes(b"y" * 2000)  # as large, and later
    os.utime(path, ns=(1, 1))
    assert fresh_digest(path) != first and len(made) == 2


@pytest.mark.parametrize("damage", ["", "[", '{"a": 3}', '{"%s": "sha256:forged"}'])
def test_kept_hashes_that_are_damaged_are_made_anew(large, damage):
    path, made = large
    first = fresh_digest(path)
    kept = fingerprints._place()
    key = next(iter(json.loads(kept.read_text())))
    kept.write_text(damage % key if "%s" in damage else damage)
    assert fresh_digest(path) == first and len(made) == 2


def test_small_files_leave_nothing_behind(large, tmp_path):
    small = tmp_path / "small"
    small.write_bytes(b"x")
    fresh_digest(small)
    assert not (tmp_path / "cache").exists()
