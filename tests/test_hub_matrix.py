"""`from_pretrained` through everything that can go wrong between here and the Hub."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from faceedit import hub
from faceedit.editor import FaceEditor
from faceedit.errors import RepoError, RequestError, UnknownMethodError
from faceedit.method_repo import save_method
from faceedit.methods import METHODS
from tests.fake_hub import TOKEN, FakeHub, running

OPTIMIZED, FITTED = "styleclip-optimization", "styleclip-global"
BASE = "portraits-tiny"


@pytest.fixture(scope="module")
def shelf(base_folder, backbones, tmp_path_factory) -> Path:
    """A base and two methods as folders side by side."""
    shelf = tmp_path_factory.mktemp("shelf")
    shutil.copytree(base_folder, shelf / BASE)
    prints = hub.fingerprint(base_folder)
    latents = backbones.generator.sample_w_plus(16, torch.Generator().manual_seed(1), 1.0)
    for repo, settings in ((FITTED, {"images": 2}), (OPTIMIZED, {"steps": 2})):
        method = METHODS[repo.replace("-", "_")].build(backbones, **settings)
        if method.kind == "fitted":
            method.fit(latents, None, backbones)
        save_method(method, shelf / repo, base=f"org/{BASE}", fingerprint=prints, half=False)
    return shelf


@pytest.fixture
def online(monkeypatch, tmp_path):
    with running(monkeypatch, tmp_path) as server:
        yield server


@pytest.fixture
def stocked(online, shelf) -> FakeHub:
    """The Hub with the base and both methods."""
    for repo in (BASE, FITTED, OPTIMIZED):
        online.add(f"org/{repo}", shelf / repo)
    return online


def load(name: str, **arguments) -> FaceEditor:
    return FaceEditor.from_pretrained(name, **arguments)


def copy_with(shelf: Path, repo: str, folder: Path, **changes) -> Path:
    """Copy a repo's folder and change its config."""
    copied = shutil.copytree(shelf / repo, folder / repo)
    config = json.loads((copied / hub.CONFIG).read_text())
    (copied / hub.CONFIG).write_text(json.dumps({**config, **changes}))
    return copied


# What works ---------------------------------------------------------------------------------------


def test_method_from_the_hub_edits_like_the_one_from_a_folder(stocked, shelf):
    near, far = load(shelf / FITTED), load(f"org/{FITTED}")
    face = near.sample(seed=3)
    assert torch.equal(far.sample(seed=3).latent.code, face.latent.code)
    edits = [editor.edit(face, "red hair").edited.code for editor in (near, far)]
    assert torch.equal(*edits)


def test_after_one_download_no_request_is_needed(stocked, monkeypatch):
    before = load(f"org/{FITTED}").sample(seed=1).latent.code
    stocked.close()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(load(f"org/{FITTED}").sample(seed=1).latent.code, before)


def test_after_one_download_the_hub_may_be_unreachable(stocked):
    load(f"org/{FITTED}")
    stocked.close()
    load(f"org/{FITTED}")


def test_offline_variable_is_obeyed_by_a_fresh_process(stocked, tmp_path):
    """HF_HUB_OFFLINE is read when huggingface_hub is imported, so only a process shows it."""
    load(f"org/{OPTIMIZED}")
    stocked.close()
    code = (
        "from faceedit import FaceEditor\n"
        f"print(FaceEditor.from_pretrained('org/{OPTIMIZED}').default)\n"
        "try: FaceEditor.from_pretrained('org/other')\n"
        "except ValueError as error: print(error)\n"
    )
    settings = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "styleclip_optimization" in done.stdout
    assert "HF_HUB_OFFLINE is set" in done.stdout


def test_second_method_on_the_same_base_shares_it_and_downloads_only_itself(stocked):
    first = load(f"org/{FITTED}")
    stocked.requests.clear()
    second = load(f"org/{OPTIMIZED}", base=first)
    assert second.backbones is first.backbones
    assert second.default == "styleclip_optimization"
    assert not [request for request in stocked.requests if BASE in request]


def test_editor_finds_other_methods_at_the_owner_of_its_base(stocked):
    editor = load(f"org/{BASE}")
    assert editor.method("styleclip_global").state_dict()
    assert f"GET /api/models/org/{FITTED}/revision/main" in stocked.requests


def test_revision_is_a_branch_a_tag_or_a_commit_of_the_named_repo_only(stocked, shelf, tmp_path):
    repo = stocked.repos["model", f"org/{OPTIMIZED}"]
    old = repo.branches["main"]
    config = json.loads((shelf / OPTIMIZED / hub.CONFIG).read_text())
    config["method_config"]["steps"] = 3
    repo.commit({hub.CONFIG: json.dumps(config).encode()})
    repo.branches["v1"] = old
    assert load(f"org/{OPTIMIZED}").method().config.steps == 3
    assert load(f"org/{OPTIMIZED}", revision="v1").method().config.steps == 2
    assert load(f"org/{OPTIMIZED}", revision=old).method().config.steps == 2


def test_base_is_fetched_at_the_commit_that_the_method_names(stocked, shelf, tmp_path):
    base = stocked.repos["model", f"org/{BASE}"]
    old = base.branches["main"]
    files = dict(base.commits[old])
    files[f"generator/{hub.WEIGHTS}"] = b"a newer generator, which no method was made for"
    base.commit(files)
    stocked.add(f"org/{FITTED}", copy_with(shelf, FITTED, tmp_path, base_revision=old))
    assert load(f"org/{FITTED}").base_folder.name == old


def test_a_pinned_base_is_fetched_although_another_lies_beside_the_method(stocked, shelf, tmp_path):
    pinned = stocked.repos["model", f"org/{BASE}"].branches["main"]
    method = copy_with(shelf, FITTED, tmp_path, base_revision=pinned)
    other = Path(shutil.copytree(shelf / BASE, tmp_path / BASE))
    assert load(method).base_folder == other  # the same weights need no Hub
    weights = load_file(other / "identity" / hub.WEIGHTS)
    save_file(
        {name: value + 1 for name, value in weights.items()}, other / "identity" / hub.WEIGHTS
    )
    prints = hub.fingerprint(shelf / BASE)
    changed = {"base_revision": pinned, "base_fingerprint": prints}
    method = copy_with(shelf, FITTED, tmp_path / "again", **changed)
    shutil.copytree(other, tmp_path / "again" / BASE)
    assert load(method).base_folder.name == pinned


def test_token_opens_a_private_repo(stocked):
    stocked.repos["model", f"org/{OPTIMIZED}"].private = True
    with pytest.raises(RepoError, match="private"):
        load(f"org/{OPTIMIZED}", token=False)
    assert load(f"org/{OPTIMIZED}", token=TOKEN).default == "styleclip_optimization"


def test_cache_dir_is_where_downloads_go(stocked, tmp_path):
    editor = load(f"org/{OPTIMIZED}", cache_dir=tmp_path / "mine")
    assert editor.base_folder.is_relative_to(tmp_path / "mine")
    assert not (tmp_path / "cache").exists()


def test_force_download_asks_for_what_is_there(stocked):
    load(f"org/{OPTIMIZED}")
    stocked.requests.clear()
    load(f"org/{OPTIMIZED}", force_download=True)
    assert any(request.endswith(hub.CONFIG) for request in stocked.requests)


def test_device_says_where_the_networks_are(stocked):
    editor = load(f"org/{FITTED}", device="cpu")
    assert editor.backbones.generator.w_avg.device.type == "cpu"
    editor.backbones.to("meta")  # stands for a GPU
    with pytest.raises(RequestError, match="shared networks are on"):
        load(f"org/{OPTIMIZED}", base=editor, device="cpu")


def test_dtype_is_the_precision_of_the_computation(stocked):
    exact, rough = load(f"org/{FITTED}"), load(f"org/{FITTED}", dtype=torch.bfloat16)
    face = exact.sample(seed=3)
    images = [editor.edit(face, "red hair").face for editor in (exact, rough)]
    difference = [abs(a - b) for a, b in zip(*(image.tobytes() for image in images), strict=True)]
    assert 0 < max(difference) < 64
    assert load(f"org/{OPTIMIZED}", dtype=torch.float32).dtype is None
    with pytest.raises(RequestError, match="dtype"):
        load(f"org/{FITTED}", dtype=torch.int8)


def test_pictures_on_the_hub_are_not_downloaded(stocked, shelf, tmp_path):
    folder = copy_with(shelf, OPTIMIZED, tmp_path)
    (folder / "samples").mkdir()
    (folder / "samples" / "grid.jpg").write_bytes(b"picture")
    stocked.add(f"org/{OPTIMIZED}", folder)
    load(f"org/{OPTIMIZED}")
    assert not any("grid.jpg" in request for request in stocked.requests)


# What fails, and how it says so -------------------------------------------------------------------


@pytest.mark.parametrize("token", [False, TOKEN])
def test_missing_repo(online, token):
    with pytest.raises(RepoError, match=r"no model repo 'org/missing' on the Hub \(or it is priv"):
        load("org/missing", token=token)


@pytest.mark.parametrize("repo", [BASE, OPTIMIZED])
def test_gated_repo(stocked, repo):
    stocked.repos["model", f"org/{repo}"].gated = True
    message = rf"'org/{repo}' asks you to accept its terms: open its page .* `hf auth login`"
    with pytest.raises(RepoError, match=message):
        load(f"org/{OPTIMIZED}")


def test_a_folder_has_no_revisions(shelf):
    with pytest.raises(RepoError, match=r"is a folder, which has no revisions; leave `revision`"):
        load(shelf / OPTIMIZED, revision="v1")


def test_bad_revision(stocked):
    with pytest.raises(RepoError, match=rf"'org/{OPTIMIZED}' has no revision 'v9'"):
        load(f"org/{OPTIMIZED}", revision="v9")


def test_bad_token(stocked):
    with pytest.raises(RepoError, match="refused the token"):
        load(f"org/{OPTIMIZED}", token="hf_wrong")


def test_nobody_is_logged_in_although_a_token_is_asked_for(stocked):
    with pytest.raises(RepoError, match="nobody is logged in"):
        load(f"org/{OPTIMIZED}", token=True)


def test_not_cached_and_local_files_only(stocked):
    message = r"not in the local cache and local_files_only=True.*`hf download org/styleclip"
    with pytest.raises(RepoError, match=message):
        load(f"org/{OPTIMIZED}", local_files_only=True)
    assert not stocked.requests


def test_not_cached_and_offline(stocked, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = r"not in the local cache and HF_HUB_OFFLINE is set\. Download it once with `hf down"
    with pytest.raises(RepoError, match=message):
        load(f"org/{OPTIMIZED}")


def test_not_cached_and_unreachable(stocked):
    stocked.close()
    with pytest.raises(RepoError, match="not in the local cache and the Hub cannot be reached"):
        load(f"org/{OPTIMIZED}")


def test_hub_is_broken(stocked):
    stocked.broken = True
    with pytest.raises(RepoError, match="the Hub cannot be reached"):
        load(f"org/{OPTIMIZED}")


def test_half_cached_and_offline_names_what_is_missing(stocked, monkeypatch):
    base = load(f"org/{BASE}").base_folder
    (base / "generator" / hub.WEIGHTS).unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = r"only partly in the local cache \(generator/model\.safetensors missing\) and HF_HUB"
    with pytest.raises(RepoError, match=message):
        load(f"org/{BASE}")


def test_half_cached_and_online_is_completed(stocked):
    base = load(f"org/{BASE}").base_folder
    (base / "generator" / hub.WEIGHTS).unlink()
    load(f"org/{BASE}")


@pytest.mark.parametrize("name", ["./nope", "a/b/c", "~/nope"])
def test_folder_that_does_not_exist_asks_nobody(stocked, name):
    with pytest.raises(RepoError, match="looks like a folder but does not exist"):
        load(name)
    assert not stocked.requests


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        (b"\x80\x02}q\x00.", "pickle under another name"),
        (None, "cut short; download it again"),
    ],
)
def test_weights_on_the_hub_that_are_none(stocked, shelf, tmp_path, data, message):
    folder = copy_with(shelf, FITTED, tmp_path)
    whole = (folder / hub.WEIGHTS).read_bytes()
    (folder / hub.WEIGHTS).write_bytes(whole[: len(whole) // 2] if data is None else data)
    stocked.add(f"org/{FITTED}", folder)
    with pytest.raises(RepoError, match=message):
        load(f"org/{FITTED}")


def test_base_with_a_pointer_for_weights(stocked, shelf, tmp_path):
    folder = copy_with(shelf, BASE, tmp_path)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"
    (folder / "generator" / hub.WEIGHTS).write_bytes(pointer)
    stocked.add(f"org/{BASE}", folder)
    with pytest.raises(RepoError, match="git lfs pull"):
        load(f"org/{FITTED}")


def test_method_of_another_base(stocked, shelf, tmp_path):
    wrong = {"generator": "sha256:" + "49de" * 16}
    folder = copy_with(shelf, FITTED, tmp_path, base_fingerprint=wrong)
    stocked.add(f"org/{FITTED}", folder)
    with pytest.raises(RepoError, match=r"made for another generator \(49de49de\)"):
        load(f"org/{FITTED}")


def test_shared_base_is_checked_too(stocked, shelf, tmp_path):
    editor = load(f"org/{OPTIMIZED}")
    wrong = {"clip": "sha256:" + "49de" * 16}
    folder = copy_with(shelf, FITTED, tmp_path, base_fingerprint=wrong)
    with pytest.raises(RepoError, match="made for another clip"):
        load(folder, base=editor)


def test_unknown_method_is_told_before_anything_large_is_fetched(stocked, shelf, tmp_path):
    stocked.add(f"org/{OPTIMIZED}", copy_with(shelf, OPTIMIZED, tmp_path, method="magic"))
    with pytest.raises(UnknownMethodError, match=r"'magic'.*pip install -U faceedit"):
        load(f"org/{OPTIMIZED}")
    assert not [request for request in stocked.requests if BASE in request]


def test_repo_that_holds_another_method_than_its_name_says(stocked, shelf):
    stocked.add(f"org/{FITTED}", shelf / OPTIMIZED)
    editor = load(f"org/{BASE}")
    with pytest.raises(RepoError, match="holds 'styleclip_optimization', not 'styleclip_global'"):
        editor.method("styleclip_global")


def test_repo_of_a_newer_format(stocked, shelf, tmp_path):
    stocked.add(f"org/{OPTIMIZED}", copy_with(shelf, OPTIMIZED, tmp_path, format_version=99))
    with pytest.raises(RepoError, match=r"format_version 99.*pip install -U faceedit"):
        load(f"org/{OPTIMIZED}")


def test_repo_of_something_else(online, tmp_path):
    (tmp_path / hub.CONFIG).write_text('{"model_type": "bert"}')
    online.add("org/bert", tmp_path)
    with pytest.raises(RepoError, match="names no method"):
        load("org/bert")


def test_repo_without_a_config(online, tmp_path):
    (tmp_path / "README.md").write_text("nothing here")
    online.add("org/empty", tmp_path)
    with pytest.raises(RepoError, match=r"has no config\.json"):
        load("org/empty")


def test_base_that_a_method_names_and_nobody_has(stocked, shelf, tmp_path):
    folder = copy_with(shelf, OPTIMIZED, tmp_path, base_model_name_or_path="org/gone")
    stocked.add(f"org/{OPTIMIZED}", folder)
    with pytest.raises(RepoError, match="no model repo 'org/gone'"):
        load(f"org/{OPTIMIZED}")


# Saving and sending -------------------------------------------------------------------------------


@pytest.mark.parametrize("repo", [FITTED, OPTIMIZED])
def test_saved_pushed_and_loaded_again_it_edits_the_same(stocked, repo):
    before = load(f"org/{repo}")
    url = before.push_to_hub("me/mine", token=TOKEN)
    assert url == f"{stocked.url}/me/mine"
    after = load("me/mine")
    face = before.sample(seed=3)
    edits = [editor.edit(face, "red hair").edited.code for editor in (before, after)]
    assert torch.equal(*edits)
    config = hub.read_config(hub.find_repo("me/mine"))
    assert config["base_model_name_or_path"] == f"org/{BASE}"
    assert config["base_revision"] == stocked.repos["model", f"org/{BASE}"].branches["main"]


def test_only_harmless_files_are_sent_and_a_card_that_parses(stocked):
    from huggingface_hub import ModelCard

    load(f"org/{FITTED}").push_to_hub("me/mine", token=TOKEN)
    repo = stocked.repos["model", "me/mine"]
    files = repo.commits[repo.branches["main"]]
    assert sorted(files) == ["README.md", hub.CONFIG, hub.WEIGHTS]
    card = ModelCard(files["README.md"].decode())
    assert card.data.base_model == f"org/{BASE}"
    assert card.data.library_name == "faceedit"


def test_second_push_changes_nothing_and_keeps_the_owners_card(stocked):
    editor = load(f"org/{FITTED}")
    editor.push_to_hub("me/mine", token=TOKEN)
    repo = stocked.repos["model", "me/mine"]
    written = {**repo.commits[repo.branches["main"]], "README.md": b"my own words"}
    repo.commit(written)
    count = len(repo.commits)
    editor.push_to_hub("me/mine", token=TOKEN)
    assert len(repo.commits) == count
    assert repo.commits[repo.branches["main"]]["README.md"] == b"my own words"


def test_push_can_be_private_to_a_branch_or_a_proposal(stocked):
    editor = load(f"org/{OPTIMIZED}")
    editor.push_to_hub("me/mine", token=TOKEN, private=True, revision="trial")
    repo = stocked.repos["model", "me/mine"]
    assert repo.private
    assert hub.CONFIG in repo.commits[repo.branches["trial"]]
    assert hub.CONFIG not in repo.commits[repo.branches["main"]]
    assert "discussions/1" in editor.push_to_hub("me/mine", token=TOKEN, create_pr=True)


@pytest.mark.parametrize(
    ("name", "token", "message"),
    [
        ("me/mine", False, "hf auth login"),
        ("forbidden/mine", TOKEN, "may not write"),
        ("no id/at all", TOKEN, "not a repo id"),
    ],
)
def test_push_that_the_hub_refuses(stocked, name, token, message):
    with pytest.raises(RepoError, match=message):
        load(f"org/{OPTIMIZED}").push_to_hub(name, token=token)


def test_push_offline(stocked, monkeypatch):
    editor = load(f"org/{OPTIMIZED}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RepoError, match="HF_HUB_OFFLINE is set"):
        editor.push_to_hub("me/mine", token=TOKEN)


def test_saving_with_the_base_needs_no_hub(stocked, tmp_path, monkeypatch):
    load(f"org/{FITTED}").save_pretrained(tmp_path / "out" / "mine", save_base=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "nothing"))
    loaded = load(tmp_path / "out" / "mine")
    assert loaded.base_folder == tmp_path / "out" / BASE
    assert loaded.default == "styleclip_global"
