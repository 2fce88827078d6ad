import subprocess
import sys

HEAVY = ("torch", "transformers", "numpy", "PIL", "cv2", "huggingface_hub", "gradio")


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def seconds_to_run(statement: str) -> float:
    """The least of three, so that a busy machine does not decide."""
    code = f"import time; a = time.perf_counter(); {statement}; print(time.perf_counter() - a)"
    return min(float(run_python("-c", code).stdout.split()[-1]) for _ in range(3))


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, faceedit; print(*sys.modules)"
    loaded = set(run_python("-c", code).stdout.split())
    assert not loaded & set(HEAVY)


def test_importing_the_package_takes_less_than_three_tenths_of_a_second():
    assert seconds_to_run("import faceedit") < 0.3


def test_help_loads_nothing_heavy():
    code = (
        "import sys, contextlib\n"
        "from faceedit.__main__ import main\n"
        "with contextlib.suppress(SystemExit): main(['edit', '--help'])\n"
        "print('MODULES', *sys.modules)"
    )
    output = run_python("-c", code).stdout
    assert "--strength" in output
    assert not set(output.split("MODULES")[1].split()) & set(HEAVY)


def test_public_names_are_listed_before_they_are_loaded():
    code = "import faceedit; print(set(faceedit.__all__) <= set(dir(faceedit)))"
    assert run_python("-c", code).stdout.strip() == "True"


def test_public_names_can_be_imported():
    code = "from faceedit import METHODS, EditRequest, EditResult, FaceEditError, FaceEditor"
    run_python("-c", code)


def test_an_unknown_name_is_an_attribute_error():
    code = "import faceedit\ntry: faceedit.nothing\nexcept AttributeError as e: print(e)"
    assert "nothing" in run_python("-c", code).stdout


def test_loading_a_base_does_not_import_the_compiler_of_torch():
    """Random numbers for networks that a file fills would, and take seconds; see `hub.undrawn`."""
    code = (
        "import sys\n"
        "from faceedit import FaceEditor\n"
        "editor = FaceEditor.from_pretrained('hub_cards/portraits-128')\n"
        "for name in ('counterfactual', 'ffclip'): editor.method(name)\n"
        "print('MODULES', *sys.modules)"
    )
    loaded = set(run_python("-c", code).stdout.split("MODULES")[1].split())
    assert "faceedit.hub.undrawn" in loaded
    assert not loaded & {"torch._dynamo", "sympy", "transformers"}
