import argparse
import inspect

import pytest
from PIL import Image

from faceedit.__main__ import main
from faceedit.errors import PhotoError
from tests.test_editor import save_methods


@pytest.fixture(scope="module")
def repo(base_folder, backbones):
    save_methods(base_folder.parent, base_folder, backbones)
    return str(base_folder)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.radial_gradient("L").resize((64, 64)).save(path)
    return str(path)


def test_sample_writes_a_face(repo, tmp_path, capsys):
    output = tmp_path / "face.png"
    assert main(["sample", "--seed", "3", "--repo", repo, "-o", str(output)]) == 0
    assert Image.open(output).size == (32, 32)
    assert str(output) in capsys.readouterr().out


def test_edit_writes_a_picture_as_large_as_the_photo(repo, photo, tmp_path):
    output = tmp_path / "edited.jpg"
    arguments = ["edit", photo, "red hair", "--repo", repo, "-o", str(output)]
    assert main([*arguments, "--method", "styleclip_global", "--layers", "2:6"]) == 0
    assert Image.open(output).size == (64, 64)


def test_edit_takes_a_region_by_name(repo, photo, tmp_path, capsys):
    output = tmp_path / "edited.png"
    arguments = ["edit", photo, "red hair", "--repo", repo, "-o", str(output)]
    assert main([*arguments, "--mask", "hair"]) == 0
    assert main([*arguments, "--mask", "nostril"]) == 2
    assert "choose from background, skin, hair" in capsys.readouterr().err


def test_edit_takes_a_generated_face(repo, tmp_path):
    output = tmp_path / "edited.png"
    assert main(["edit", "sample:7", "red hair", "--repo", repo, "-o", str(output)]) == 0
    assert output.exists()


def test_compare_writes_one_sheet(repo, photo, tmp_path, capsys):
    output = tmp_path / "sheet.png"
    assert main(["compare", photo, "red hair", "--repo", repo, "-o", str(output)]) == 0
    assert Image.open(output).width > 3 * 256
    assert "styleclip_optimization" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["edit", "compare", "batch"])
def test_every_command_says_what_it_did_not_understand(command, repo, photo, tmp_path, capsys):
    given, output = (tmp_path, "out") if command == "batch" else (photo, "out.png")
    said = "glassesss and red hiar"
    arguments = [command, str(given), said, "--repo", repo, "-o", str(tmp_path / output)]
    arguments += ["--methods" if command == "compare" else "--method", "styleclip_global"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert told.count("did you mean: glasses and red hair?") == 1
    assert told.count("'hiar' is read as 'hair'") == 1


def test_the_command_lines_defaults_are_those_of_python():
    from faceedit import FaceEditor
    from faceedit.commands.parser import build_parser

    edit = vars(build_parser().parse_args(["edit", "photo.png", "red hair"]))
    edit["output"] = edit.pop("kind")  # -o is the file
    for name, parameter in inspect.signature(FaceEditor.edit).parameters.items():
        if name in edit and parameter.default is not parameter.empty:
            typed = float(edit[name]) if name == "strength" else edit[name]
            assert typed == parameter.default, name
    psi = inspect.signature(FaceEditor.sample).parameters["truncation_psi"].default
    assert vars(build_parser().parse_args(["sample"]))["truncation_psi"] == psi


def test_info_lists_networks_and_methods(repo, capsys):
    assert main(["info", "--repo", repo]) == 0
    output = capsys.readouterr().out
    assert "generator" in output
    assert "styleclip_global: fitted, edits s; works\n" in output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": "red " * 10_000}, "characters"),
        ({"--strength": "nan"}, "finite"),
        ({"--strength": "much"}, "must be a number"),
        ({"--seed": "-1"}, "seed is -1"),
        ({"--layers": "all"}, "FIRST:END"),
        ({"--method": "magic"}, "choose from"),
        ({"--repo": "./nowhere"}, "does not exist"),
        ({"--repo": "somebody/missing"}, "hf download somebody/missing"),
        ({"--device": "abacus"}, "cannot be used here; use 'cpu'"),
        ({"--device": "vulkan"}, "cannot be used here; use 'cpu'"),
        ({"--device": "privateuseone"}, "cannot be used here; use 'cpu'"),
        ({"--device": "meta"}, "computes nothing; use 'cpu'"),
        ({"photo": "data:image/png;base64," + "A" * 5000}, "this is a data URL"),
        ({"photo": "nowhere.png"}, "nowhere.png"),
        ({"photo": "sample:x"}, "sample:7"),
        ({"-o": "edited.txt"}, "must end in"),
        ({"-o": "nowhere/edited.png"}, "no folder"),
        ({"-o": "/proc/edited.png"}, "/proc"),  # where not even root may write
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_2(
    repo, photo, tmp_path, capsys, monkeypatch, changes, message
):
    monkeypatch.chdir(tmp_path)
    settings = {"photo": photo, "prompt": "red hair", "--repo": repo, "-o": "edited.png"} | changes
    positional = [settings.pop("photo"), settings.pop("prompt")]
    flags = [f"{name}={value}" for name, value in settings.items() if name != "-o"]
    assert main(["edit", *positional, *flags, "-o", settings["-o"]]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png"]


def test_text_file_that_is_called_png_is_one_line_and_exit_code_2(repo, tmp_path, capsys):
    (tmp_path / "text.png").write_text("not a picture")
    arguments = ["edit", str(tmp_path / "text.png"), "red hair", "--repo", repo]
    assert main([*arguments, "-o", str(tmp_path / "out.png")]) == 2
    assert "text.png" in capsys.readouterr().err


def test_unknown_flag_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as error:
        main(["edit", "--magic"])
    assert error.value.code == 2


def test_without_arguments_the_help_is_printed(capsys):
    assert main([]) == 0
    assert "COMMAND" in capsys.readouterr().out


def test_what_costs_little_is_checked_before_the_networks_are_loaded(monkeypatch, tmp_path, photo):
    from faceedit.commands import given

    monkeypatch.setattr(given, "load", lambda _: pytest.fail("the networks were loaded"))
    out = str(tmp_path / "out.png")
    (tmp_path / "black.png").write_bytes(b"")
    for wrong in (
        ["edit", "nowhere.png", "red hair"],
        ["edit", photo, " "],
        ["edit", photo, "red hair", "--method", "magic"],
        ["edit", photo, "red hair", "--mask", str(tmp_path / "black.png")],
        ["compare", "nowhere.png", "red hair"],
        ["compare", photo, "red hair", "--device", "meta"],
        ["sample", "--seed", "-1"],
        ["edit", photo, "red hair", "-o", "/proc/out.png"],  # where not even root may write
        ["compare", photo, "red hair", "-o", str(tmp_path / "none" / "out.png")],
        ["sample", "-o", "/proc/out.png"],
    ):
        assert main(wrong if "-o" in wrong else [*wrong, "-o", out]) == 2, wrong
    assert main(["batch", str(tmp_path / "none"), "red hair"]) == 2


def test_a_console_that_cannot_print_a_name_spoils_nothing(monkeypatch):
    import io

    from faceedit import console

    narrow = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(console.sys, "stdout", narrow)
    console.prepare()
    console.say("foto-\u0142\udce9.png")
    assert b"foto-\\u0142" in narrow.buffer.getvalue()
    narrow.close()
    console.say("nobody reads this")
    monkeypatch.setattr(console.sys, "stdout", None)
    console.say("nor this")


def test_messages_name_flags_and_not_arguments(capsys):
    from faceedit.console import complain

    assert complain("say which with face_index, or set `strength`;\n refine_steps is -1") == 2
    said = capsys.readouterr().err
    assert (
        said == "faceedit: say which with --face-index, or set --strength; --refine-steps is -1\n"
    )


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        (None, 0, ""),
        (PhotoError("no face"), 2, "faceedit: no face"),
        (PermissionError(13, "Permission denied", "a.png"), 2, "faceedit: a.png"),
        (KeyboardInterrupt(), 130, "stopped"),  # as shells know a process that was interrupted
    ],
)
def test_a_command_ends_with_the_code_that_scripts_expect(monkeypatch, capsys, trouble, code, said):
    def run(arguments):
        if trouble is not None:
            raise trouble
        return 0

    class Parser:
        def parse_args(self, argv):
            return argparse.Namespace(run=run)

    monkeypatch.setattr("faceedit.__main__.build_parser", Parser)
    assert main([]) == code
    assert said in capsys.readouterr().err
