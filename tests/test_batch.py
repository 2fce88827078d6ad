"""A folder of photos: every photo that can be edited is, whatever lies beside it."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from faceedit import hub
from faceedit.__main__ import main
from faceedit.batch.files import Shard, output_folder, plan
from faceedit.batch.folder import Group, Job, Report, edit_folder
from faceedit.batch.folder import _settle as settle
from faceedit.editor import FaceEditor
from faceedit.errors import RequestError
from faceedit.types import EditRequest, Output
from tests.test_editor import save_methods

PROMPT = "red hair"
pytestmark = pytest.mark.usefixtures("no_faces")


@pytest.fixture(scope="module")
def repo(base_folder, backbones):
    save_methods(base_folder.parent, base_folder, backbones)
    return str(base_folder)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Four drawings, two of one name, and what is not a photo."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "photos"
    folder.mkdir()
    draws = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "b.png", "c.png"):
        noise = draws.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC).save(folder / name)
    (folder / "notes.txt").write_text("not a photo")
    (folder / "more").mkdir()
    return folder


def edit(photos, repo, *flags):
    return main(["batch", str(photos), PROMPT, "--repo", repo, "--as-character", *flags])


def results(folder):
    return sorted(path.name for path in folder.glob("*.png"))


def test_every_photo_is_edited_once_and_as_alone(repo, photos, tmp_path, capsys):
    assert edit(photos, repo) == 0
    output = tmp_path / "photos-edited" / "red-hair_character"
    assert results(output) == ["a.png", "b.jpg.png", "b.png.png", "c.png"]
    assert "4 edited, 0 there already, 0 failed" in capsys.readouterr().out

    alone = tmp_path / "alone.png"
    asked = ["edit", str(photos / "c.png"), PROMPT, "--repo", repo, "--as-character"]
    main([*asked, "-o", str(alone)])
    together = np.array(Image.open(output / "c.png")).astype(int)
    assert np.abs(together - np.array(Image.open(alone))).max() <= 1  # a batch rounds otherwise

    (output / "a.png").unlink()
    (output / "c.png").write_bytes(b"cut short")
    assert edit(photos, repo) == 0
    assert "2 edited, 2 there already, 0 failed" in capsys.readouterr().out
    assert edit(photos, repo, "--strength", "0.5") == 0  # other settings make other pictures
    assert "4 edited, 0 there already" in capsys.readouterr().out


@pytest.fixture(scope="module")
def editor(repo):
    return FaceEditor.from_pretrained(repo)


def run(editor, photos, output, **flags):
    """Edit a folder with an editor that is there already."""
    return edit_folder(
        editor, photos, output, Job(EditRequest(PROMPT), Output.CHARACTER), save_png, **flags
    )


def save_png(image, path):
    image.save(path, "PNG")


def test_a_photo_that_changed_under_its_name_is_edited_again(editor, photos, tmp_path):
    first = run(editor, photos, tmp_path / "out")
    assert (first.edited, first.kept) == (4, 0)
    before = (tmp_path / "out" / "a.png").read_bytes()
    Image.open(photos / "a.png").rotate(90).save(photos / "a.png")
    again = run(editor, photos, tmp_path / "out")
    assert (again.edited, again.kept) == (1, 3)
    assert (tmp_path / "out" / "a.png").read_bytes() != before


def test_results_of_another_base_are_not_taken_for_done(editor, photos, tmp_path, base_folder):
    run(editor, photos, tmp_path / "out")
    shelf = Path(shutil.copytree(base_folder.parent, tmp_path / "shelf"))
    weights = shelf / base_folder.name / "attributes" / hub.WEIGHTS
    save_file({name: value + 1 for name, value in load_file(weights).items()}, weights)
    changed = FaceEditor.from_pretrained(shelf / base_folder.name)
    with pytest.raises(RequestError, match="with these settings, did not make"):
        run(changed, photos, tmp_path / "out")


def test_results_of_other_weights_or_settings_of_the_method_are_not_taken_for_done(
    editor, photos, tmp_path
):
    run(editor, photos, tmp_path / "out")
    method = editor.method()
    kept, config = method.deviation.clone(), method.config
    try:
        method.deviation.mul_(2)
        with pytest.raises(RequestError, match="did not make"):
            run(editor, photos, tmp_path / "out")
        method.deviation.copy_(kept)
        method.config = replace(config, alpha=config.alpha + 1)
        with pytest.raises(RequestError, match="did not make"):
            run(editor, photos, tmp_path / "out")
    finally:
        method.deviation.copy_(kept)
        method.config = config
    assert run(editor, photos, tmp_path / "out").kept == 4


@pytest.mark.parametrize(
    "job",
    [
        Job(EditRequest(PROMPT, strength=0.5), Output.CHARACTER),
        Job(EditRequest(PROMPT, neutral="a man"), Output.CHARACTER),
        Job(EditRequest("blue eyes"), Output.CHARACTER),
        Job(EditRequest(PROMPT, layers=(0, 2)), Output.CHARACTER),
        Job(EditRequest(PROMPT, seed=3), Output.CHARACTER),
        Job(EditRequest(PROMPT), Output.PASTED),
        Job(EditRequest(PROMPT), Output.CHARACTER, face_index=0),
        Job(EditRequest(PROMPT), Output.CHARACTER, refine_steps=1),
    ],
)
def test_every_setting_that_decides_a_result_is_in_its_print(editor, job):
    plain = settle(editor, Job(EditRequest(PROMPT), Output.CHARACTER))[1]
    assert settle(editor, job)[1] != plain
    assert settle(editor, replace(job, batch_size=3))[1] == settle(editor, job)[1]


def test_bad_files_are_listed_with_their_reasons_and_stop_nothing(repo, photos, tmp_path, capsys):
    (photos / "0-empty.jpg").write_bytes(b"")
    (photos / "0-text.png").write_text("not a picture")
    (photos / "big.png").write_bytes((photos / "a.png").read_bytes()[:200])
    assert edit(photos, repo, "--batch-size", "3") == 1
    told = capsys.readouterr()
    assert "4 edited, 0 there already, 3 failed" in told.out
    for name in ("0-empty.jpg: '0-empty.jpg' is empty", "0-text.png", "big.png"):
        assert name in told.err
    assert len(results(tmp_path / "photos-edited" / "red-hair_character")) == 4


def test_a_crash_in_one_edit_is_a_reason_too(repo, photos, monkeypatch, capsys):
    from faceedit.batch import folder as batch

    real = batch.load_photo

    def load(photo):
        if photo.name == "a.png":
            raise RuntimeError("decoder\ncrashed")
        return real(photo)

    monkeypatch.setattr(batch, "load_photo", load)
    assert edit(photos, repo, "--refine-steps", "1") == 1
    assert "a.png: RuntimeError: decoder crashed" in capsys.readouterr().err


def test_processes_share_the_photos_as_launchers_say(repo, photos, tmp_path, monkeypatch, capsys):
    output = tmp_path / "shared"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert edit(photos, repo, "-o", str(output)) == 0
    assert results(output) == ["b.jpg.png", "c.png"]
    assert edit(photos, repo, "-o", str(output), "--shard", "0/1") == 0
    assert "2 edited, 2 there already" in capsys.readouterr().out
    rows = [json.loads(line) for p in output.glob("*.jsonl") for line in p.read_text().splitlines()]
    assert sorted(row["output"] for row in rows) == results(output)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--method", "magic"], "choose from"),
        (["--strength", "much"], "must be a number"),
        (["--layers", "99:100"], "layers"),
        (["--mask", "nostril"], "choose from background, skin, hair"),
        (["--mask", "mask.png"], "name regions"),
        (["--shard", "2/2"], "shard is 2/2"),
        (["--shard", "half"], "like 0/4"),
        (["--batch-size", "0"], "between 1 and"),
        (["--refine-steps", "-1"], "--refine-steps"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_code_2(repo, photos, capsys, flags, message):
    assert edit(photos, repo, *flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("faceedit: ") == 1


def test_pictures_of_others_are_not_written_over(repo, photos, tmp_path, capsys):
    output = tmp_path / "taken"
    output.mkdir()
    mine = (photos / "b.png").read_bytes()
    (output / "a.png").write_bytes(mine)
    assert edit(photos, repo, "-o", str(output)) == 2
    assert "did not make" in capsys.readouterr().err
    assert (output / "a.png").read_bytes() == mine
    assert edit(photos, repo, "-o", str(output), "--overwrite") == 0


def test_folders_that_make_no_sense_are_refused(photos, tmp_path):
    with pytest.raises(RequestError, match="there is no folder"):
        plan(tmp_path / "nowhere", tmp_path / "out", ".png")
    with pytest.raises(RequestError, match="contains no photo"):
        plan(photos / "more", tmp_path / "out", ".png")
    with pytest.raises(RequestError, match="cannot go to"):
        plan(photos, photos, ".png")
    assert output_folder(photos, None).name == "photos-edited"


def test_shards_come_from_the_flag_then_from_the_launcher():
    launched = {"RANK": "3", "WORLD_SIZE": "4"}
    assert Shard.read(None, {}) == Shard(0, 1)
    assert Shard.read(None, launched) == Shard(3, 4)
    assert Shard.read("1/2", launched) == Shard(1, 2)


def test_reports_of_processes_add_up(monkeypatch):
    mine, other = Report(2, 1, {"a.png": "dark"}), Report(1, 0, {"b.png": "empty"})
    assert mine + other == Report(3, 1, {"a.png": "dark", "b.png": "empty"})
    assert Group(Shard(1, 2), {"RANK": "1"}).sum(mine) is mine  # no address: nobody to ask

    def gather(reports, own):
        reports[:] = [own, other]

    for name, stand_in in {
        "init_process_group": lambda *_, **__: None,
        "all_gather_object": gather,
        "destroy_process_group": lambda: None,
    }.items():
        monkeypatch.setattr(torch.distributed, name, stand_in)
    environment = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    assert Group(Shard(0, 2), environment).sum(mine) == mine + other


def test_a_job_says_what_cannot_be_used_for_a_folder():
    with pytest.raises(RequestError, match="batch_size"):
        Job(EditRequest(PROMPT), batch_size=0)


@pytest.mark.slow
def test_accelerate_starts_as_many_processes_as_it_is_asked_for(repo, photos, tmp_path):
    output = tmp_path / "shared"
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu"]
    command += ["-m", "faceedit", "batch", str(photos), PROMPT, "--repo", repo, "-o", str(output)]
    done = subprocess.run(
        [*command, "--as-character"],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("4 edited") == 1
    shares = sorted(path.name for path in output.glob("manifest-*"))
    assert shares == ["manifest-0-of-2.jsonl", "manifest-1-of-2.jsonl"]
    assert all(len((output / name).read_text().splitlines()) == 2 for name in shares)


DISK = """
set -e
mkdir -p "$1"; mount -t tmpfs -o size=12k tmpfs "$1"; head -c "$HELD" /dev/zero > "$1/old.png"
shift; set +e; "$@"; echo "exit $?"; ls -A "$OUTPUT"; wc -c < "$OUTPUT/old.png"
"""


@pytest.mark.parametrize("held", [0, 12288])
def test_a_full_disk_is_said_with_the_files_name_and_what_to_do(held, repo, photos, tmp_path):
    output = tmp_path / "small-disk"
    command = [sys.executable, "-m", "faceedit", "batch", str(photos), PROMPT, "--repo", repo]
    command += ["--as-character", "-o", str(output)]
    if held:  # one picture in place of another
        photo, old = str(photos / "a.png"), str(output / "old.png")
        command[3:6] = ["edit", photo, PROMPT]
        command = [*command[:-1], old]
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", DISK, "-", str(output), *command],
        capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OUTPUT": str(output), "HELD": str(held)},
    )  # fmt: skip
    if "exit" not in done.stdout:
        pytest.skip("no small disk can be mounted here")
    assert "exit 2" in done.stdout and "Traceback" not in done.stderr
    assert f"{output}/" in done.stderr and "No space left on device" in done.stderr
    assert "make room on the disk and run it again" in done.stderr
    assert not any(line.startswith(".") for line in done.stdout.splitlines())  # no draft is left
    assert done.stdout.split()[-1] == str(held)  # what was there is whole


def test_a_second_prompt_leaves_the_first_results_alone(repo, photos, tmp_path):
    assert edit(photos, repo) == 0
    first = tmp_path / "photos-edited" / "red-hair_character"
    kept = {path.name: path.read_bytes() for path in first.glob("*.png")}
    assert main(["batch", str(photos), "round glasses", "--repo", repo, "--as-character"]) == 0
    assert results(tmp_path / "photos-edited" / "round-glasses_character") == results(first)
    assert {path.name: path.read_bytes() for path in first.glob("*.png")} == kept


def test_other_settings_do_not_replace_results_in_a_named_folder(repo, photos, tmp_path, capsys):
    output = ["-o", str(tmp_path / "out")]
    assert edit(photos, repo, *output) == 0
    kept = (tmp_path / "out" / "a.png").read_bytes()
    assert edit(photos, repo, *output, "--strength", "0.5") == 2
    assert "a.png, b.jpg.png, b.png.png and 1 more" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.png").read_bytes() == kept
    assert edit(photos, repo, *output, "--strength", "0.5", "--overwrite") == 0
    assert (tmp_path / "out" / "a.png").read_bytes() != kept


def test_what_another_run_writes_meanwhile_is_not_replaced(
    repo, photos, tmp_path, monkeypatch, capsys
):
    from faceedit.batch.files import Manifest

    real = Manifest.add
    output = tmp_path / "out"
    other = (photos / "b.png").read_bytes()

    def add(self, photo, result, *rest):
        real(self, photo, result, *rest)
        if photo.name == "a.png":  # while the first is being noted, another run writes the last
            (output / "c.png").write_bytes(other)

    monkeypatch.setattr(Manifest, "add", add)
    assert edit(photos, repo, "-o", str(output), "--batch-size", "1") == 1
    assert "another run has written 'c.png' meanwhile" in capsys.readouterr().err
    assert (output / "c.png").read_bytes() == other
    assert not list(output.glob(".*"))


def test_names_of_any_encoding_and_length_are_edited_and_recorded(repo, photos, tmp_path, capsys):
    import os

    picture = (photos / "a.png").read_bytes()
    for path in photos.glob("*.png"):
        path.unlink()
    (photos / "b.jpg").unlink()
    (photos / os.fsdecode(b"caf\xe9.png")).write_bytes(picture)
    (photos / ("x" * 251 + ".png")).write_bytes(picture)
    assert edit(photos, repo) == 0
    assert "2 edited, 0 there already, 0 failed" in capsys.readouterr().out
    assert edit(photos, repo) == 0
    assert "0 edited, 2 there already, 0 failed" in capsys.readouterr().out


def test_results_are_named_by_what_was_asked():
    holiday = Path("/tmp/holiday")
    assert output_folder(holiday, None, "Red hair!", "ffclip").name == "red-hair_ffclip"
    assert output_folder(holiday, None, "red hair").parent.name == "holiday-edited"
    assert len(output_folder(holiday, None, "y" * 500).name) <= 200
    names = {output_folder(holiday, None, "y" * 500 + end).name for end in "ab"}
    assert len(names) == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux who the parent is")
@pytest.mark.parametrize("launcher_lives", [True, False])
def test_a_worker_whose_launcher_ended_while_it_started_ends_too(tmp_path, launcher_lives):
    done = tmp_path / "done"
    worker = (
        "import time, os, pathlib; wait = time.time() + 20\n"
        "if 'orphan' in os.environ:\n"
        "    while os.getppid() == int(os.environ['orphan']) and time.time() < wait:\n"
        "        time.sleep(0.02)\n"
        "from faceedit.launchers import start_processes; start_processes(['x'], [])\n"
        f"pathlib.Path({str(done)!r}).touch()\n"
    )
    start = (
        "import os, subprocess, sys\n"
        f"orphan = {{}} if {launcher_lives} else {{'orphan': str(os.getpid())}}\n"
        "environment = os.environ | {'TORCHELASTIC_RUN_ID': 'x'} | orphan\n"
        f"p = subprocess.Popen([sys.executable, '-c', {worker!r}], env=environment)\n"
        f"print(p.pid, flush=True); p.wait() if {launcher_lives} else os._exit(0)\n"
    )
    launcher = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True)
    pid = int(launcher.stdout)
    waited = time.time() + 20
    while Path(f"/proc/{pid}").exists() and time.time() < waited:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    assert done.exists() == launcher_lives
