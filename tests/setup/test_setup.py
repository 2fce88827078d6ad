"""One command makes a base and its methods from official files, once."""

import hashlib
import json
import shutil

import pytest

from faceedit import hub
from faceedit.__main__ import main
from faceedit.setup.plan import State, Wishes, plan
from faceedit.setup.run import Setup
from faceedit.setup.sources import SetupError, known, read_sources
from tests.setup.conftest import setup
from tests.setup.rehearsal import MAPPERS, write_official
from tests.setup.server import serving
from tests.test_import_time import run_python

METHODS = ("styleclip-global", "ganspace", "interfacegan", "styleclip-mapper")


def states(into, given=None, **wishes):
    tasks = plan(read_sources("ffhq"), Wishes(into, given, **wishes))
    return {task.item.name: task.state for task in tasks}


def snapshot(folder):
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
    }


# ------------------------------------------------------------------------- the list
def test_known_lists_are_sound_and_every_licence_has_a_text():
    for name in known():
        sources = read_sources(name)
        assert all(licence.text.startswith("https://") for licence in sources.licences.values())
        for item in sources.items:
            assert item.licences, item.name
            assert item.by_hand or all(file.addresses for file in item.files), item.name


def test_misspelt_list_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('title = "x"\nbase = "b"\n[licences]\n[[items]]\nname = "a"\ntitel = "t"\n')
    with pytest.raises(SetupError, match=r"mine\.toml"):
        read_sources(path)
    with pytest.raises(SetupError, match="choose from ffhq"):
        read_sources("cars")


# ------------------------------------------------------------------------- what it makes
def test_files_become_a_base_and_every_method_beside_it(made):
    config = hub.read_base(made / "base")
    assert set(config["components"]) == {
        "generator", "encoder", "clip", "identity", "face_parser",
    }  # fmt: skip
    assert config["framing"] == "ffhq" and config["resolution"] == 256
    assert config["converted_from"]["encoder"]["kind"] == "e4e"
    for name in METHODS:
        assert hub.fits_base(made / name, made / "base"), name
    variants = hub.read_config(made / "styleclip-mapper")["variants"]
    assert sorted(variants) == sorted(MAPPERS.values())


def test_nothing_half_written_is_left(made):
    left = [path.name for path in made.rglob("*") if path.name.startswith(".")]
    assert left == [] and not (made / "downloads").exists()


def test_second_run_changes_nothing_and_asks_for_nothing(copied, given, capsys):
    before = snapshot(copied)
    assert main(["setup", "ffhq", "--from", str(given), "--into", str(copied), "--offline",
                 "--trust-files"]) == 0  # fmt: skip
    assert snapshot(copied) == before
    output = capsys.readouterr().out
    assert "has everything already" in output and "licence" not in output
    assert output.count("python -m faceedit") == 3


def test_what_is_missing_is_added_and_the_rest_stays(copied, given):
    shutil.rmtree(copied / "ganspace")
    before = snapshot(copied / "base")
    assert setup(given, copied, "--memory", "1") == 0
    assert (copied / "ganspace/config.json").is_file() and snapshot(copied / "base") == before


def test_new_mappers_join_those_that_are_there(copied, given, tmp_path):
    more = shutil.copytree(given, tmp_path / "more")
    assert states(copied, more, offline=True, trust=True)["styleclip-mapper"] is State.HERE
    shutil.copy(given / "surprised.pt", more / "angry.pt")
    assert states(copied, more, offline=True, trust=True)["styleclip-mapper"] is State.GIVEN


def test_methods_of_another_generator_are_made_anew(copied, given):
    config = copied / "ganspace/config.json"
    changed = json.loads(config.read_text())
    changed["base_fingerprint"]["generator"] = "sha256:0000"
    config.write_text(json.dumps(changed))
    assert states(copied, given, offline=True, trust=True)["ganspace"] is State.GIVEN


def test_check_finds_a_method_that_changes_nothing(copied, given, capsys):
    from safetensors.torch import load_file, save_file

    path = copied / "styleclip-global/model.safetensors"
    save_file({name: tensor * 0 for name, tensor in load_file(path).items()}, path)
    shutil.rmtree(copied / "ganspace")  # so that there is something to do
    assert setup(given, copied, "--memory", "1") == 2
    assert "styleclip_global changes nothing" in capsys.readouterr().err


def test_half_precision_takes_half_the_room(given, made, tmp_path):
    assert setup(given, tmp_path / "half", "--half", "--memory", "1",
                 "--without", "styleclip-mapper,ganspace,interfacegan") == 0  # fmt: skip
    small, large = (p / "base/encoder/model.safetensors" for p in (tmp_path / "half", made))
    assert small.stat().st_size < 0.55 * large.stat().st_size


# ------------------------------------------------------------------------- what is asked first
def test_licences_come_first_and_nothing_is_done_without_a_yes(given, tmp_path, capsys):
    into = tmp_path / "ffhq"
    code = main(["setup", "ffhq", "--from", str(given), "--into", str(into), "--trust-files"])
    output = capsys.readouterr()
    assert code == 2 and not into.exists()
    assert "NVIDIA Source Code License-NC" in output.out
    assert "nvlabs.github.io/stylegan2/license.html" in output.out
    assert "--accept-licences" in output.err


def test_dry_run_and_list_do_nothing(given, tmp_path, capsys):
    into = tmp_path / "ffhq"
    assert main(["setup", "ffhq", "--into", str(into), "--dry-run"]) == 0
    assert "e4e: to be downloaded" in capsys.readouterr().out
    assert main(["setup", "ffhq", "--into", str(into), "--list"]) == 0
    assert "Google Drive" in capsys.readouterr().out
    assert main(["setup", "ffhq", "--into", str(into), "--list", "--from", str(given)]) == 0
    output = capsys.readouterr().out
    assert "is not taken: it has" in output  # seeded files are not the published ones
    assert "only the first 8 of 64 digits" in output
    assert not into.exists()


def test_files_with_another_hash_need_the_users_word(given, tmp_path):
    found = states(tmp_path, given, offline=True)
    assert found["e4e"] is State.ABSENT
    assert states(tmp_path, given, offline=True, trust=True)["e4e"] is State.GIVEN


def test_own_files_that_are_not_taken_are_named_before_anything_is_downloaded(given, tmp_path):
    told = []
    setup = Setup(
        read_sources("ffhq"), Wishes(tmp_path / "ffhq", given), told.append, lambda: False
    )
    with pytest.raises(SetupError, match="nothing was done"):
        setup.run()
    untaken = [line for line in told if "is not taken: it has" in line]
    assert any(
        "e4e_ffhq_encode.pt" in line and "--trust-files takes it" in line for line in untaken
    )
    assert told.index(untaken[0]) < told.index("These files have licences of their own:")


def test_generator_alone_stands_in_where_the_encoder_is_left_out(tmp_path):
    assert states(tmp_path)["generator"] is State.UNNEEDED
    assert states(tmp_path, without=("e4e",))["generator"] is State.FETCH


def test_files_that_are_here_go_before_downloads_of_the_same(given, tmp_path):
    hubs = tmp_path / "hub"
    hubs.mkdir()
    for name in ("pytorch_model.bin", "tokenizer.json"):
        (hubs / name).write_bytes(b"something")
    found = states(tmp_path / "ffhq", hubs, trust=True)
    assert (found["clip"], found["clip-hub"]) == (State.UNNEEDED, State.GIVEN)


def test_folders_and_names_that_cannot_be_are_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for wishes, words in (
        (Wishes(tmp_path, tmp_path / "absent"), "not a folder"),
        (Wishes(tmp_path / "file"), "not a folder"),
        (Wishes(tmp_path, without=("encoder",)), "choose from"),
    ):
        with pytest.raises(SetupError, match=words):
            wishes.check(read_sources("ffhq"))


def test_nothing_to_make_a_base_of_is_said(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert setup(tmp_path / "empty", tmp_path / "ffhq") == 2
    assert "has no generator and no clip" in capsys.readouterr().err


# ------------------------------------------------------------------------- downloads, end to end
def listing(given, server, tmp_path, **changes):
    """Write a list of the base's files, as they are on a server, with their hashes."""
    names = {
        "e4e": ("e4e_ffhq_encode.pt", {"stylegan2": "generator", "e4e": "encoder"}),
        "clip": ("ViT-B-32.pt", {"clip": "clip"}),
        "ganspace": ("ffhq_pca.pt", {"ganspace": "ganspace"}),
    }
    lines = ['title = "toys"', 'base = "base"', "[licences.mit]", 'name = "MIT"', 'text = "x"']
    for item, (name, makes) in names.items():
        lines += ["[[items]]", f'name = "{item}"', f'title = "{item}"', 'licences = ["mit"]']
        table = ", ".join(f'{kind} = "{what}"' for kind, what in makes.items())
        lines.append(f"makes = {{ {table} }}")
        members = [name, "bpe_simple_vocab_16e6.txt.gz"] if item == "clip" else [name]
        for member in members:
            data = (given / member).read_bytes()
            server.files[f"/{member}"] = data
            lines += ["[[items.files]]", f'name = "{member}"', f"bytes = {len(data)}"]
            lines.append(f'sha256 = "{changes.get(member, hashlib.sha256(data).hexdigest())}"')
            lines.append(f'addresses = ["{server.url}/{member}"]')
    path = tmp_path / "toys.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(path, into, told, **wishes):
    setup = Setup(read_sources(path), Wishes(into, **wishes), told.append, lambda: True,
                  memory=1.0, wait=lambda seconds: None)  # fmt: skip
    return setup.run()


def test_everything_is_downloaded_converted_checked_and_tidied(given, tmp_path):
    told = []
    with serving() as server:
        path = listing(given, server, tmp_path)
        done = run(path, tmp_path / "toys", told)
    assert [task.item.name for task in done] == ["e4e", "clip", "ganspace"]
    assert not (tmp_path / "toys/downloads").exists()
    assert any("ganspace: works" in line for line in told)


def test_failed_download_keeps_what_was_made_and_the_next_run_goes_on(given, tmp_path):
    told, into = [], tmp_path / "toys"
    with serving() as server:
        path = listing(given, server, tmp_path)
        clip = server.files.pop("/ViT-B-32.pt")
        with pytest.raises(SetupError, match=r"has no clip.*404"):
            run(path, into, told)
        before = snapshot(into / "base/encoder")
        server.files["/ViT-B-32.pt"] = clip
        run(path, into, told)
    assert snapshot(into / "base/encoder") == before
    assert sum(asked == "/e4e_ffhq_encode.pt" for asked, _ in server.requests) == 1


def test_optional_method_that_cannot_be_had_stops_nothing(given, tmp_path):
    told = []
    with serving() as server:
        path = listing(given, server, tmp_path, **{"ffhq_pca.pt": "0" * 64})
        run(path, tmp_path / "toys", told)
    assert any("ganspace could not be made" in line for line in told)
    assert not (tmp_path / "toys/ganspace").exists()


def test_damaged_file_that_passes_for_a_network_is_refused(given, tmp_path):
    broken = shutil.copytree(given, tmp_path / "broken")
    (broken / "e4e_ffhq_encode.pt").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(SetupError, match="gets no encoder: e4e: "):
        run("ffhq", tmp_path / "ffhq", [], given=broken, offline=True, trust=True)


# ------------------------------------------------------------------------- the official size
@pytest.mark.slow  # 4 GB of files, two minutes of CPU
def test_official_size_is_made_within_three_gigabytes_and_five_minutes(tmp_path):
    write_official(tmp_path / "files", full=True)
    code = (
        "import resource, sys\n"
        "from faceedit.__main__ import main\n"
        "from training.memory import peak_mib\n"
        "code = main(sys.argv[1:])\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print('USED', code, peak_mib() / 2**10, used.ru_utime + used.ru_stime)"
    )
    command = ["setup", "ffhq", "--from", str(tmp_path / "files"), "--into", str(tmp_path / "ffhq")]
    command += ["--trust-files", "--accept-licences", "--offline"]
    output = run_python("-c", code, *command).stdout
    status, gigabytes, seconds = map(float, output.rpartition("USED")[2].split())
    assert status == 0 and "styleclip_global: works" in output
    assert gigabytes < 3 and seconds < 300
