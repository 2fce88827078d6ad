"""Every format of official files is read, and no file can run code, whatever it says."""

import argparse
import io
import os
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from faceedit.convert.budget import FileError, UnsafeFileError
from faceedit.convert.reading import attributes, module_tensors, read_merges, read_source
from faceedit.convert.stand_ins import Inert
from tests.convert.files import legacy_file, module_named, torch_archive, vocabulary


def tensors() -> dict[str, torch.Tensor]:
    return {
        "weight": torch.randn(3, 4),
        "half": torch.randn(5).half(),
        "brain": torch.randn(2, 2).bfloat16(),
        "count": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "view": torch.randn(6, 6)[1:3, ::2],
        "none": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2)),
    }


def assert_equal(mine, wanted):
    assert list(mine) == list(wanted)
    for name, tensor in wanted.items():
        assert mine[name].dtype == tensor.dtype and torch.equal(mine[name], tensor), name


# ------------------------------------------------------------------------- formats
@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_of_both_formats_are_read(tmp_path, zipped):
    state = OrderedDict(tensors())
    state._metadata = OrderedDict(version=1)
    saved = {"state_dict": state, "opts": argparse.Namespace(lr=0.1), "epoch": 3}
    saved["more"] = defaultdict(list, a=[1, 2])
    torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    data = read_source(tmp_path / "a.pt").data
    assert_equal(data["state_dict"], state)
    assert attributes(data["opts"]) == {"lr": 0.1}
    assert data["epoch"] == 3 and data["more"] == {"a": [1, 2]}


def test_tensors_that_shared_memory_are_equal_again(tmp_path):
    whole = torch.arange(10.0)
    torch.save({"whole": whole, "part": whole[2:4]}, tmp_path / "a.pt")
    assert read_source(tmp_path / "a.pt").data["part"].tolist() == [2, 3]


def test_torchscript_archives_give_their_tensors(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Conv2d(1, 2, 1))
    module.register_buffer("mean", torch.tensor([4.0]))
    torch.jit.save(torch.jit.script(module), str(tmp_path / "a.pt"))
    assert_equal(
        dict(sorted(module_tensors(read_source(tmp_path / "a.pt").data))),
        dict(sorted(module.state_dict().items())),
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickled_arrays_are_read(tmp_path, protocol):
    value = [
        [np.arange(3, dtype="f4"), np.asfortranarray(np.arange(6.0).reshape(2, 3))],
        [np.float64(2.5), np.zeros((2, 0)), np.array(["a", "bc"]), np.arange(3, dtype=">f8")],
    ]
    (tmp_path / "S_mean_std").write_bytes(pickle.dumps(value, protocol=protocol))
    mine = read_source(tmp_path / "S_mean_std").data
    for a, b in zip(mine[0] + mine[1], value[0] + value[1], strict=True):
        assert np.array_equal(a, b)


def test_arrays_and_safetensors_are_read(tmp_path):
    array = np.random.default_rng(0).random((3, 4)).astype("f2")
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "b.npz", mean=array, std=array[0])
    save_file({"w": torch.ones(2)}, tmp_path / "c.safetensors")
    assert np.array_equal(read_source(tmp_path / "a.npy").data, array)
    assert list(read_source(tmp_path / "b.npz").data) == ["mean", "std"]
    assert read_source(tmp_path / "c.safetensors").data["w"].tolist() == [1, 1]


def test_what_a_file_is_does_not_depend_on_its_name(tmp_path):
    torch.save({"w": torch.ones(1)}, tmp_path / "model.pkl")
    assert read_source(tmp_path / "model.pkl").data["w"].item() == 1


def test_objects_of_known_libraries_become_inert(tmp_path, monkeypatch):
    class DictConfig:
        pass

    fake = module_named("omegaconf.dictconfig", DictConfig=DictConfig)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
        patch.setitem(sys.modules, "omegaconf.dictconfig", fake)
        made = DictConfig()
        made._content = {"size": 1024}
        torch.save({"opts": made}, tmp_path / "a.pt")
    found = read_source(tmp_path / "a.pt").data["opts"]
    assert isinstance(found, Inert) and found.path == "omegaconf.dictconfig.DictConfig"
    assert found.state == {"_content": {"size": 1024}}


def test_merges_are_read_up_to_what_the_network_has(tmp_path):
    path = vocabulary(tmp_path / "v.txt.gz", [("r", "e"), ("re", "d</w>"), ("a", "b")])
    assert read_merges(path, 2) == [("r", "e"), ("re", "d</w>")]
    with pytest.raises(FileError, match="no 9 merges"):
        read_merges(path, 9)


# ------------------------------------------------------------------------- hostile files
class Gadget:
    """Calls a function with arguments when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


MARK = "hostile-file-ran"  # what each gadget would leave in the current folder
GADGETS = {
    "os.system": Gadget(os.system, f"touch {MARK}"),
    "subprocess": Gadget(subprocess.check_call, ["touch", MARK]),
    "eval": Gadget(eval, f"open({MARK!r}, 'w').close()"),
    "exec": Gadget(exec, f"open({MARK!r}, 'w').close()"),
    "open": Gadget(open, MARK, "w"),
    "getattr": Gadget(getattr, "a", "upper"),
    "__import__": Gadget(__import__, "antigravity"),
    "torch.load": Gadget(torch.load, "other.pt"),
    "torch.hub": Gadget(torch.hub.load, "a/b", "c"),
    "torch.jit": Gadget(torch.jit.load, "other.pt"),
    "numpy.load": Gadget(np.load, "other.npy", None, True),
    "pickle.loads": Gadget(pickle.loads, pickle.dumps(1)),
    "unlink": Gadget(os.unlink, "other.npy"),
    "partial": Gadget(__import__("functools").partial, print, "x"),
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def ways_to_hide(gadget, path) -> dict[str, bytes]:
    """The same gadget as a bare pickle, and nested in everything that holds pickles."""
    plain = {p: pickle.dumps(gadget, protocol=p) for p in (2, 4)}
    inside = pickle.dumps({"state_dict": {"w": [gadget]}}, protocol=2)
    return {
        "pickle 2": plain[2],
        "pickle 4": plain[4],
        "in a zip": torch_archive(path, inside).read_bytes(),
        "in an old file": legacy_file(path, {"w": torch.ones(1), "opts": gadget}).read_bytes(),
        "in a new file": _new_file(path, {"w": torch.ones(1), "opts": gadget}),
        "as a state": pickle.dumps(Gadget(OrderedDict, [("w", gadget)])),
    }


def _new_file(path, value) -> bytes:
    torch.save(value, path)
    return path.read_bytes()


@pytest.mark.parametrize("name", GADGETS)
def test_hostile_pickles_are_refused_and_run_nothing(name, tmp_path):
    for way, raw in ways_to_hide(GADGETS[name], tmp_path / "made.pt").items():
        path = tmp_path / "hostile.pt"
        path.write_bytes(raw)
        with pytest.raises(UnsafeFileError, match=r"hostile\.pt was refused"):
            read_source(path)
        assert not (tmp_path / MARK).exists(), way


def test_protocol_0_is_not_even_opened(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"cos\nsystem\n(S'touch " + MARK.encode() + b"'\ntR.")
    with pytest.raises(FileError, match="unknown"):
        read_source(tmp_path / "a.pkl")
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("nested", ["pickle", "torch"])
def test_gadgets_inside_the_bytes_of_a_storage_are_refused(tmp_path, nested):
    gadget = GADGETS["os.system"]
    inner = pickle.dumps(gadget)
    if nested == "torch":
        inner = legacy_file(tmp_path / "in.pt", gadget).read_bytes()
    outer = Gadget(torch.storage._load_from_bytes, inner)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"G_ema": outer}))
    with pytest.raises(UnsafeFileError, match=r"posix\.system|nt\.system"):
        read_source(tmp_path / "a.pkl")
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize(
    ("place", "value"), [(0, 1), (0, "module"), (2, 1.5), (4, "many"), (1, "text")]
)
def test_what_points_to_data_by_something_else_is_refused(tmp_path, place, value):
    """PyTorch's storages are ("storage", kind, key, device, numel); nothing else is one."""

    class Pickler(pickle._Pickler):
        def persistent_id(self, found):
            if not isinstance(found, torch.UntypedStorage):
                return None
            pid = ["storage", torch.FloatStorage, "0", "cpu", 4]
            pid[place] = value
            return tuple(pid)

    class Tensor4:
        def __reduce__(self):
            storage = torch.ones(4).untyped_storage()
            return torch._utils._rebuild_tensor_v2, (storage, 0, (4,), (1,), False, OrderedDict())

    content = io.BytesIO()
    Pickler(content, protocol=2).dump({"w": Tensor4()})
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", content.getvalue())
        archive.writestr("a/data/0", torch.ones(4).numpy().tobytes())
        archive.writestr("a/version", b"3\n")
    with pytest.raises(FileError, match=r"a\.pt"):
        read_source(tmp_path / "a.pt")


def test_known_names_reach_no_further(tmp_path):
    for text in (b"torch.nn.modules\nos.system", b"numpy\ndtype.mro", b"torch\nload"):
        raw = b"\x80\x02c" + text + b"\n(U\x02idtR."
        (tmp_path / "a.pkl").write_bytes(raw)
        try:
            data = read_source(tmp_path / "a.pkl").data
        except UnsafeFileError:
            continue
        assert isinstance(data, Inert)  # a name and its arguments, never a call


def test_no_file_can_change_what_the_next_file_meets(tmp_path):
    for target in (b"torch._utils\n_rebuild_parameter", b"collections\nOrderedDict"):
        # BUILD with a state for the function or class itself
        (tmp_path / "a.pkl").write_bytes(b"\x80\x02c" + target + b"\n}U\x01aU\x01bsb.")
        with pytest.raises(FileError):
            read_source(tmp_path / "a.pkl")
    torch.save({"p": torch.nn.Parameter(torch.ones(2))}, tmp_path / "b.pt")
    assert read_source(tmp_path / "b.pt").data["p"].tolist() == [1, 1]


def test_other_members_of_an_archive_are_not_read(tmp_path):
    good = io.BytesIO()
    torch.save({"w": torch.ones(2)}, good)
    (tmp_path / "a.pt").write_bytes(good.getvalue())
    with zipfile.ZipFile(tmp_path / "a.pt", "a") as archive:
        archive.writestr("../../evil.pkl", pickle.dumps(GADGETS["os.system"]))
        archive.writestr("archive/code/evil.py", b"import os; os.abort()")
    assert read_source(tmp_path / "a.pt").data["w"].tolist() == [1, 1]
    assert not (tmp_path / MARK).exists()


def test_arrays_of_objects_are_refused(tmp_path):
    objects = np.array([GADGETS["os.system"]], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "b.npz", a=objects)
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(np.array([None, 1], dtype=object)))
    for name in ("a.npy", "b.npz", "c.pkl"):
        with pytest.raises(FileError, match="numbers"):
            read_source(tmp_path / name)
    assert not (tmp_path / MARK).exists()


# ------------------------------------------------------------------------- damaged files
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "unknown"),
        (b"hello", "unknown"),
        (b"<!DOCTYPE html><html>Quota exceeded", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
        (b"\x1f\x8b" + bytes(40), "gzip"),
        (b"PK\x03\x04" + bytes(40), "damaged"),
        (b"\x80\x02}q", "damaged"),
        (b"\x93NUMPY" + bytes(40), "not an array"),
        (b"\x08\0\0\0\0\0\0\0{" + bytes(40), "damaged"),
    ],
)
def test_other_files_are_refused_in_plain_words(tmp_path, content, message):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(FileError, match=message) as error:
        read_source(tmp_path / "a.pt")
    assert str(error.value).startswith(str(tmp_path / "a.pt"))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_files_that_are_cut_short_are_refused(tmp_path, zipped, kept):
    torch.save(tensors(), tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    raw = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(raw[: int(len(raw) * kept)])
    with pytest.raises(FileError, match=r"damaged|cut short"):
        read_source(tmp_path / "a.pt")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        read_source(tmp_path / "nowhere.pt")
    with pytest.raises(FileError, match="is a folder"):
        read_source(tmp_path)


def test_files_that_would_fill_the_memory_are_refused(tmp_path):
    far = b"\x80\x02]r\xff\xff\xff\x7f."  # a memo entry at 2 ** 31
    (tmp_path / "a.pkl").write_bytes(far)
    long = b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"."  # bytes that are not there
    (tmp_path / "b.pkl").write_bytes(long)
    with zipfile.ZipFile(tmp_path / "c.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(50_000_000))
    packed = pickle.dumps({}, protocol=2) + bytes(10_000_000)
    with zipfile.ZipFile(tmp_path / "d.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", packed)
    deep = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
    (tmp_path / "e.pkl").write_bytes(deep)
    for name in "a.pkl", "b.pkl", "c.npz", "d.pt", "e.pkl":
        with pytest.raises(FileError):
            read_source(tmp_path / name)


def test_tensors_outside_their_storage_are_refused(tmp_path):
    torch.save({"w": torch.ones(4)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = next(name for name in members if name.endswith("data.pkl"))
    members[data] = members[data].replace(b"K\x04\x85", b"K\x64\x85")  # size (4,) -> (100,)
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(FileError, match=r"b\.pt"):
        read_source(tmp_path / "b.pt")


def test_a_tensor_far_larger_than_its_numbers_is_refused_before_memory_is_taken(tmp_path):
    """A stride of 0 repeats one number: a few bytes would become gigabytes once they are copied."""
    torch.save({"w": torch.ones(1).expand(50)}, tmp_path / "small.pt")
    assert read_source(tmp_path / "small.pt").data["w"].tolist() == [1.0] * 50
    with torch.device("meta"):
        shape = torch.ones(1).expand(10**9).shape
    bomb = torch.ones(1).as_strided(shape, (0,))
    torch.save({"w": bomb}, tmp_path / "bomb.pt")
    assert (tmp_path / "bomb.pt").stat().st_size < 5000
    with pytest.raises(FileError, match=r"shape \[1000000000\] with far fewer numbers"):
        read_source(tmp_path / "bomb.pt")
