"""A damaged or hostile folder is told from a sound one by its file and key, before it is built."""

import json
import os
import shutil
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from faceedit import hub
from faceedit.backbones import load_backbones
from faceedit.errors import RepoError
from faceedit.hub.fingerprints import check_fingerprint
from faceedit.method_repo import load_method, save_method
from faceedit.methods.ffclip import FfClip


@pytest.mark.parametrize(("depth", "read"), [(12, True), (13, False)])
def test_a_config_may_hold_objects_within_objects_twelve_deep(tmp_path, depth, read):
    (tmp_path / "config.json").write_text('{"a":' * depth + "1" + "}" * depth)
    if read:
        assert hub.read_json(tmp_path / "config.json")["a"]
    else:
        with pytest.raises(RepoError, match=r"nested too deeply at a\.a"):
            hub.read_json(tmp_path / "config.json")


@pytest.mark.parametrize(
    "content", [{"kind": "method", "components": {"clip": "clip"}}, {"kind": "base"},
                {"kind": "base", "components": ["clip"]}]
)  # fmt: skip
def test_a_base_says_that_it_is_one_and_lists_its_networks(tmp_path, content):
    (tmp_path / "config.json").write_text(json.dumps({"format_version": 1, **content}))
    with pytest.raises(RepoError, match="lists no components"):
        hub.read_base(tmp_path)


@pytest.mark.parametrize(("number", "read"), [(7, True), (-7, True), (8, False), (-8, False)])
def test_a_number_of_a_config_may_be_as_large_as_is_said(tmp_path, number, read):
    (tmp_path / "config.json").write_text(f'{{"a": {{"b": [1, {number}]}}}}')
    if read:
        assert hub.read_json(tmp_path / "config.json", 7)["a"]["b"][1] == number
    else:
        with pytest.raises(RepoError, match=r"a\.b\.1 is -?8; numbers go up to 7"):
            hub.read_json(tmp_path / "config.json", 7)


@pytest.fixture
def base(base_folder, tmp_path):
    shutil.copytree(base_folder, tmp_path / "base")
    return tmp_path / "base"


def changed(folder, **values):
    path = folder / hub.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 50 + "1" + "}" * 50,
        '{"kind": NaN}',
        '{"a": 1e999}',
        '{"a": ' + "9" * 400 + "}",
        '{"a": ' + "9" * 5000 + "}",
        '{"a": 99999999999999999999}',
        '{"kind": "\\ud800"}',
        "\xff",
        "[]",
    ],
)
def test_json_that_is_nested_or_holds_numbers_without_end_is_refused(text, tmp_path):
    (tmp_path / hub.CONFIG).write_bytes(text.encode("latin1"))
    with pytest.raises(RepoError, match=hub.CONFIG):
        hub.read_config(tmp_path)


@pytest.mark.parametrize(
    ("network", "key", "value"),
    [
        ("generator", "channel_max", 10**6),
        ("generator", "channel_max", 90_000),
        ("generator", "mapping_layers", 99_999),
        ("generator", "mapping_layers", -3),
        ("generator", "w_dim", 0),
        ("generator", "conv_clamp", "much"),
        ("encoder", "widths", [1, 2, 3, {}]),
        ("encoder", "units", [9_999, 9_999, 9_999, 9_999]),
        ("encoder", "squeeze", 0),
        ("encoder", "fold", 0),
        ("segmenter", "regions", [1, 2]),
        ("identity", "widths", None),
        ("clip", "text_config", {}),
        ("clip", "projection_dim", "wide"),
        ("generator", "conv_clamp", 10**400),
    ],
)
def test_settings_that_no_network_has_are_named_before_anything_is_built(base, network, key, value):
    folder = base / json.loads((base / hub.CONFIG).read_text())["components"].get(network, network)
    if not folder.is_dir():
        pytest.skip(f"the small base has no {network}")
    changed(folder, **{key: value})
    begun = time.process_time()
    with pytest.raises(RepoError, match=str(folder)):
        load_backbones(base, [network])
    assert time.process_time() - begun < 8


def test_a_message_does_not_hold_a_damaged_file(base):
    path = base / "clip" / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:900] + b"\x81" + path.read_bytes()[900:])
    with pytest.raises(RepoError, match="invalid start byte") as caught:
        load_backbones(base, ["clip"])
    assert len(str(caught.value)) < 500


def test_weights_of_another_kind_or_not_finite_are_refused(base):
    path = base / "generator" / hub.WEIGHTS
    stored = load_file(path)
    name = next(name for name, tensor in stored.items() if tensor.is_floating_point())
    for wrong in (torch.full_like(stored[name], float("nan")), stored[name].to(torch.int8)):
        save_file({**stored, name: wrong.contiguous()}, path)
        with pytest.raises(RepoError, match=name):
            load_backbones(base, ["generator"])


@pytest.mark.parametrize("prints", [[1], "x", {"clip": 5}, {"clip": None}])
def test_fingerprints_that_are_none_are_named(base, prints):
    method = base.parent / "method"
    method.mkdir()
    (method / hub.CONFIG).write_text(json.dumps({"base_fingerprint": prints}))
    with pytest.raises(RepoError, match="base_fingerprint"):
        check_fingerprint(method, base)


def test_files_of_a_repo_are_regular_files(base):
    for name in ("generator/config.json", "generator/model.safetensors", "clip/tokenizer.json"):
        saved = (base / name).read_bytes()
        (base / name).unlink()
        os.mkfifo(base / name)
        with pytest.raises(RepoError, match="is a pipe"):
            load_backbones(base)
        (base / name).unlink()
        (base / name).write_bytes(saved)
    load_backbones(base)


def test_settings_of_a_method_have_their_types(base, backbones, tmp_path):
    folder, prints = tmp_path / "ffclip", hub.fingerprint(base)
    method = FfClip.build(backbones)
    save_method(method, folder, base="somebody/base", fingerprint=prints, half=False)
    assert load_method(FfClip, folder).config == method.config
    settings = json.loads((folder / hub.CONFIG).read_text())["method_config"]
    for key, value in (("blocks", 90_000), ("blocks", "4"), ("injection_scales", [1]), ("text", 1)):
        changed(folder, method_config={**settings, key: value})
        with pytest.raises(RepoError, match=hub.CONFIG):
            load_method(FfClip, folder)
    changed(folder, method_config=[])
    with pytest.raises(RepoError, match="must be an object"):
        load_method(FfClip, folder)
