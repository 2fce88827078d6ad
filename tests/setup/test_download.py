"""Downloads survive what networks, servers and disks do, and nothing half-written is taken."""

import hashlib
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from faceedit.setup.download import fetch, find
from faceedit.setup.sources import SetupError, SourceFile
from tests.fake_hub import running
from tests.setup.server import serving

DATA = bytes(range(256)) * 4000
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server():
    with serving() as running:
        running.files["/weights.pt"] = DATA
        yield running


@pytest.fixture
def waits():
    return []


def source(*addresses, **facts):
    return SourceFile("weights.pt", addresses, **{"size": len(DATA), "sha256": HASH, **facts})


def get(file, folder, waits):
    told = []
    path = fetch(file, folder, told.append, waits.append)
    return path, told


def parts(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_comes_whole_and_a_second_time_asks_nobody(server, tmp_path, waits):
    file = source(f"{server.url}/weights.pt")
    path, told = get(file, tmp_path, waits)
    assert path.read_bytes() == DATA and told == [] and parts(tmp_path) == ["weights.pt"]
    get(file, tmp_path, waits)
    assert len(server.requests) == 1


def test_redirect_is_followed(server, tmp_path, waits):
    server.answers["/moved"] = lambda ask: ask.redirect("/weights.pt")
    path, _ = get(source(f"{server.url}/moved"), tmp_path, waits)
    assert path.read_bytes() == DATA


def test_cut_connection_goes_on_where_it_broke_off(server, tmp_path, waits):
    cuts = iter([300_000, 200_000])
    server.answers["/weights.pt"] = lambda ask: ask.give(DATA, next(cuts, None))
    path, _ = get(source(f"{server.url}/weights.pt"), tmp_path, waits)
    assert path.read_bytes() == DATA
    assert [asked for _, asked in server.requests] == ["", "bytes=300000-", "bytes=500000-"]


def test_download_of_an_earlier_run_goes_on(server, tmp_path, waits):
    (tmp_path / "weights.pt.part").write_bytes(DATA[:1000])
    path, _ = get(source(f"{server.url}/weights.pt"), tmp_path, waits)
    assert path.read_bytes() == DATA and server.requests == [("/weights.pt", "bytes=1000-")]


def test_part_of_another_file_is_fetched_again_from_the_beginning(server, tmp_path, waits):
    (tmp_path / "weights.pt.part").write_bytes(b"x" * 1000)
    path, _ = get(source(f"{server.url}/weights.pt"), tmp_path, waits)
    assert path.read_bytes() == DATA
    assert [asked for _, asked in server.requests] == ["bytes=1000-", ""]


def test_part_is_not_trusted_where_no_size_and_hash_are_known(server, tmp_path, waits):
    (tmp_path / "weights.pt.part").write_bytes(b"x" * 1000)
    file = source(f"{server.url}/weights.pt", size=None, sha256=None)
    path, _ = get(file, tmp_path, waits)
    assert path.read_bytes() == DATA and server.requests == [("/weights.pt", "")]


def test_server_without_ranges_sends_the_file_anew(server, tmp_path, waits):
    server.ranges = False
    cuts = iter([300_000])
    server.answers["/weights.pt"] = lambda ask: ask.give(DATA, next(cuts, None))
    path, _ = get(source(f"{server.url}/weights.pt"), tmp_path, waits)
    assert path.read_bytes() == DATA


def test_connection_that_breaks_again_and_again_is_given_up(server, tmp_path, waits):
    server.answers["/weights.pt"] = lambda ask: ask.give(DATA, 0)
    with pytest.raises(SetupError, match="5 times in a row"):
        get(source(f"{server.url}/weights.pt"), tmp_path, waits)
    assert waits == [2.0, 4.0, 8.0, 16.0]


def test_busy_server_is_asked_again_when_it_says(server, tmp_path, waits):
    busy = iter([429, 503])

    def answer(ask):
        code = next(busy, None)
        return ask.give(DATA) if code is None else ask.fail(code, Retry_After="7")

    server.answers["/weights.pt"] = answer
    path, _ = get(source(f"{server.url}/weights.pt"), tmp_path, waits)
    assert path.read_bytes() == DATA and waits == [7.0, 7.0]


def test_next_address_is_taken_where_one_has_not_the_file(server, tmp_path, waits):
    addresses = [f"{server.url}/gone.pt", f"{server.url}/weights.pt"]
    path, told = get(source(*addresses), tmp_path, waits)
    assert path.read_bytes() == DATA and "gone.pt does not give it (it answers 404" in told[0]


def test_wrong_hash_is_never_kept(server, tmp_path, waits):
    server.files["/other.pt"] = bytes(reversed(DATA))
    addresses = [f"{server.url}/other.pt", f"{server.url}/weights.pt"]
    path, told = get(source(*addresses), tmp_path, waits)
    assert path.read_bytes() == DATA and "its SHA-256 is" in told[0]
    (tmp_path / "weights.pt").unlink()
    with pytest.raises(SetupError, match="name its folder with --from"):
        get(source(addresses[0]), tmp_path, waits)
    assert parts(tmp_path) == []


def test_beginning_of_a_hash_is_checked_and_said_to_be_no_more(server, tmp_path, waits):
    short = source(f"{server.url}/weights.pt", sha256=HASH[:8])
    assert get(short, tmp_path, waits)[0].is_file()
    assert short.certainty == "only the first 8 of 64 digits of its hash are known"
    (tmp_path / "weights.pt").unlink()
    wrong = source(f"{server.url}/weights.pt", sha256="0" * 8)
    with pytest.raises(SetupError, match="its SHA-256 is"):
        get(wrong, tmp_path, waits)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_web_page_in_place_of_the_file_is_noticed(server, tmp_path, waits, kind):
    page = b"<!DOCTYPE html><html>Sign in to your proxy</html>"
    server.answers["/page"] = lambda ask: ask.give(page, kind=kind)
    for facts in ({}, {"size": None, "sha256": None}):
        with pytest.raises(SetupError, match="web page"):
            get(source(f"{server.url}/page", **facts), tmp_path, waits)
        assert parts(tmp_path) == []


def test_file_that_goes_on_without_end_is_left(server, tmp_path, waits):
    server.files["/long"] = DATA * 3
    with pytest.raises(SetupError, match="bytes, the official file has"):
        get(source(f"{server.url}/long"), tmp_path, waits)
    assert parts(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_full_disk_is_said_and_nothing_is_left_on_it(server, tmp_path, waits):
    (tmp_path / "weights.pt.part").symlink_to("/dev/full")
    with pytest.raises(SetupError, match="the disk is full"):
        get(source(f"{server.url}/weights.pt"), tmp_path, waits)
    assert parts(tmp_path) == []


def test_too_small_a_disk_is_noticed_before_the_first_byte(server, tmp_path, waits, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(SetupError, match=r"needs 0\.00 GB and .* has 0\.00 GB free"):
        get(source(f"{server.url}/weights.pt"), tmp_path, waits)
    assert server.requests == []


def test_unreachable_and_senseless_addresses_are_named(tmp_path, waits):
    file = source("http://127.0.0.1:1/weights.pt", "weights.pt")
    with pytest.raises(SetupError, match=r"cannot be reached.*not an address of the web"):
        get(file, tmp_path, waits)


def test_files_are_found_in_subfolders_but_not_everywhere(tmp_path):
    deep = tmp_path / "a/b/c/d"
    deep.mkdir(parents=True)
    for place in (tmp_path / "a", deep):
        (place / "x.pt").write_bytes(b"")
    (deep / "y.pt").write_bytes(b"")
    assert find(tmp_path, {"x.pt", "y.pt"}) == {"x.pt": tmp_path / "a/x.pt"}


def test_file_on_the_hub_comes_by_its_own_client(tmp_path, waits, monkeypatch):
    (tmp_path / "repo/sub").mkdir(parents=True)
    (tmp_path / "repo/sub/weights.pt").write_bytes(DATA)
    with running(monkeypatch, tmp_path) as hub:
        hub.add("owner/faces", tmp_path / "repo")
        addresses = ["hf://owner/absent/weights.pt", "hf://owner/faces/sub/weights.pt"]
        path, told = get(source(*addresses), tmp_path / "downloads", waits)
    assert path.read_bytes() == DATA and "owner/absent" in told[0]
