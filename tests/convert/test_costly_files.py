"""A few bytes can ask for endless work or memory: such files are refused at once."""

import io
import os
import socket
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from faceedit.convert import convert
from faceedit.convert.budget import FileError
from faceedit.convert.reading import module_tensors, read_source
from faceedit.convert.stand_ins import Inert


def doubled(times: int = 60) -> bytes:
    """Steps that leave one tuple of twice the same tuple, and so on: 2 ** times leaves."""
    return b"N" + b"q\x00h\x00\x86" * times


COSTLY = {
    "a key of a dictionary": b"}" + doubled() + b"Ns.",
    "keys of a dictionary": b"}(" + doubled() + b"Nu.",
    "a member of a set": b"\x8f(" + doubled() + b"\x90.",
    "a frozen set": b"(" + doubled() + b"\x91.",
    "a set made by a call": b"cbuiltins\nset\n](" + doubled() + b"e\x85R.",
    "a dictionary made by a call": b"ccollections\nOrderedDict\n](" + doubled() + b"N\x86e\x85R.",
    "the name of a dtype": b"cnumpy\ndtype\n" + doubled() + b"\x85R.",
    "a byte order": b"cnumpy\ndtype\n\x8c\x02f4\x85R(K\x03" + doubled() + b"tb.",
    "an encoding": b"c_codecs\nencode\n\x8c\x01a" + doubled() + b"\x86R.",
    "a huge number for a key": b"}\x8b" + (2**20).to_bytes(4, "little") + b"\x7f" * 2**20 + b"Ns.",
    "a note far away": b"]r\x7f\xf0\xfa\x02.",
    "bytes that are not there": b"B\x00\x00\x00\xf0.",
    "text that is not there": b"\x8d" + (2**60).to_bytes(8, "little") + b".",
    "lists of twice the same list": b"]q\x00" + b"](h\x00h\x00eq\x00" * 60 + b".",
    "a text copied again and again": (
        b"c_codecs\nencode\nq\x00X" + (2**20).to_bytes(4, "little") + b"a" * 2**20 + b"\x85q\x01]"
        + b"h\x00h\x01Ra" * 5_000 + b"."
    ),
    "too many steps": b"N0" * 300_000 + b"N.",
    "too many names": b"".join(b"cpathlib\nx%d\n0" % i for i in range(5_000)) + b"N.",
    "containers in one another": b"]" * 5_000 + b"a" * 4_999 + b".",
}  # fmt: skip


@pytest.mark.parametrize("name", COSTLY)
def test_pickles_that_ask_for_endless_work_are_refused_at_once(name, tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + COSTLY[name])
    begun = time.process_time()
    with pytest.raises(FileError):
        read_source(tmp_path / "a.pkl")
    assert time.process_time() - begun < 8


@pytest.mark.parametrize("name", [name for name in COSTLY if "not there" in name or "far" in name])
def test_memory_is_taken_for_what_a_file_holds_and_not_for_what_it_claims(name, tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04" + COSTLY[name])
    tracemalloc.start()
    with pytest.raises(FileError):
        read_source(tmp_path / "a.pkl")
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_modules_that_hold_themselves_end():
    module = Inert()
    module.state = {"_modules": {"a": module, "b": module}}
    with pytest.raises(FileError, match="without end"):
        list(module_tensors(module))


@pytest.mark.parametrize(
    "header",
    [b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,", b"(" * 9_000, b"\xff\x00{", b"'''"],
)
def test_headers_of_arrays_that_are_no_headers_are_refused(header, tmp_path):
    head = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / "a.npy").write_bytes(head + bytes(16))
    with pytest.raises(FileError, match="not an array of numbers"):
        convert(tmp_path / "a.npy", tmp_path / "base")


def test_arrays_that_claim_more_than_they_hold_are_refused_before_memory_is_taken(tmp_path):
    for dtype, shape in (("<f8", (2**40,)), ("<f8", (2**62, 2**62)), ("V8", (1,)), ("O", (1,))):
        buffer = io.BytesIO()
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(buffer, header)
        path = tmp_path / "a.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", buffer.getvalue() + bytes(8 * (dtype != "<f8")))
        with pytest.raises(FileError, match="not an array of numbers"):
            read_source(path)


def test_archives_with_names_that_are_no_text_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("ärchive/data.pkl", b"\x80\x02N.")
    raw = (tmp_path / "a.pt").read_bytes().replace("ä".encode(), b"\xff\xfe")
    (tmp_path / "a.pt").write_bytes(raw)
    with pytest.raises(FileError, match="damaged"):
        convert(tmp_path / "a.pt", tmp_path / "base")


def test_what_is_not_a_regular_file_is_named_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.pt"))
        for path, what in (
            (tmp_path / "pipe.pt", "is a pipe"),
            (tmp_path / "socket.pt", "is a socket"),
            ("/dev/zero", "is a device"),
        ):
            with pytest.raises(FileError, match=what):
                read_source(path)
