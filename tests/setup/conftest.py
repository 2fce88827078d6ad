"""The rehearsal's files, and what `faceedit setup` makes of them, once for all tests."""

import shutil

import pytest

from faceedit.__main__ import main
from tests.setup.rehearsal import write_official

CHECKED = 6  # GB: enough for the check to try descents at 256 px


@pytest.fixture(scope="package")
def given(tmp_path_factory):
    """A folder with files of official formats."""
    return write_official(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="package")
def made(given, tmp_path_factory):
    """The folder that they become."""
    into = tmp_path_factory.mktemp("made") / "ffhq"
    assert setup(given, into) == 0
    return into


@pytest.fixture
def copied(made, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(made, tmp_path / "ffhq")


def setup(given, into, *more):
    """Run the command as a user with files and no network would."""
    return main(
        ["setup", "ffhq", "--from", str(given), "--into", str(into), "--trust-files",
         "--accept-licences", "--offline", *more]
    )  # fmt: skip
