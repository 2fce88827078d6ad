import json
import shutil
import subprocess

import pytest
import torch

from faceedit import hub
from faceedit.backbones.clip import Clip
from faceedit.backbones.stylegan2 import Generator
from faceedit.editor import FaceEditor
from faceedit.method_repo import save_method
from faceedit.methods import METHODS
from tests.fake_hub import TOKEN, running
from training.config import ROOT, ConfigError
from training.publish import cards, optimized_methods, recertify
from training.publish import repos as publish

BASE, METHOD, OTHER = "portraits-128", "styleclip-global", "styleclip-optimization"


@pytest.fixture(scope="module")
def finished_checkout(base_folder, backbones, tmp_path_factory):
    """A checkout as small as can be: a base, two methods, cards, a Space."""
    root = tmp_path_factory.mktemp("checkout")
    shelf = root / "hub_cards"
    shutil.copytree(base_folder, shelf / BASE)
    latents = backbones.generator.sample_w_plus(16, torch.Generator().manual_seed(1), 1.0)
    method = METHODS["styleclip_global"].build(backbones, images=2)
    method.fit(latents, None, backbones)
    prints = hub.fingerprint(shelf / BASE)
    save_method(method, shelf / METHOD, base=f"faceedit/{BASE}", fingerprint=prints, half=False)
    optimized_methods.write_optimized(
        ["styleclip_optimization"], shelf / BASE, shelf, overwrite=False
    )
    (shelf / METHOD / "samples").mkdir()
    (shelf / METHOD / "samples" / "grid.jpg").write_bytes(b"picture")
    (shelf / "benchmark").mkdir()
    rows = {"styleclip_global": {"success": 0.83217}}
    (shelf / "benchmark" / "results.json").write_text(json.dumps(rows))
    cards.write_cards(shelf)
    shutil.copy(ROOT / "README.md", root)
    (root / "app.py").write_text("# the Space\n")
    (root / "tests").mkdir()
    (root / "tests" / "test_app.py").touch()
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    return root


@pytest.fixture
def checkout(finished_checkout, tmp_path):
    return shutil.copytree(finished_checkout, tmp_path / "checkout")


@pytest.fixture
def online(monkeypatch, tmp_path):
    with running(monkeypatch, tmp_path) as server:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def run(checkout, *flags, org="faceedit"):
    return publish.main(["--org", org, "--root", str(checkout), *flags])


def newest(server, name, kind="model"):
    repo = server.repos[kind, name]
    return repo.branches["main"], repo.commits[repo.branches["main"]]


def test_dry_run_lists_all_in_order_and_asks_nobody(checkout, online, capsys):
    assert run(checkout, "--dry_run") == 0
    kinds = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert kinds == [
        ["base", f"faceedit/{BASE}"],
        ["method", f"faceedit/{METHOD}"],
        ["method", f"faceedit/{OTHER}"],
        ["space", "faceedit/faceedit"],
    ]
    assert not online.requests


def test_what_is_pushed_is_what_lies_there(checkout, online):
    assert run(checkout) == 0
    commit, base = newest(online, f"faceedit/{BASE}")
    _, method = newest(online, f"faceedit/{METHOD}")
    shelf = checkout / "hub_cards"
    for folder, files in ((shelf / BASE, base), (shelf / METHOD, method)):
        for name, data in files.items():
            if (name, files) != (hub.CONFIG, method):
                assert (folder / name).read_bytes() == data
    config = json.loads(method[hub.CONFIG])
    assert config.pop("base_revision") == commit
    assert config == hub.read_config(shelf / METHOD)
    assert "samples/grid.jpg" in method


def test_space_runs_without_tests_and_trainings_and_lists_every_model(checkout, online):
    assert run(checkout) == 0
    _, files = newest(online, "faceedit/faceedit", "space")
    assert {"README.md", "app.py", f"hub_cards/{BASE}/{hub.CONFIG}"} <= set(files)
    assert not [name for name in files if name.startswith(("tests/", "training/"))]
    front = files["README.md"].decode().split("---")[1]
    assert all(f"faceedit/{name}" in front for name in (BASE, METHOD, OTHER))


def test_collection_holds_every_repo_once(checkout, online):
    assert run(checkout) == run(checkout) == 0
    (collection,) = online.collections.values()
    names = [item["id"] for item in collection["items"]]
    assert names == [f"faceedit/{name}" for name in (BASE, METHOD, OTHER, "faceedit")]


def test_second_push_changes_nothing(checkout, online):
    assert run(checkout) == 0
    before = {name: len(repo.commits) for name, repo in online.repos.items()}
    assert run(checkout) == 0
    assert {name: len(repo.commits) for name, repo in online.repos.items()} == before


def test_pushed_to_another_owner_it_loads_from_there(checkout, online, tmp_path):
    assert run(checkout, org="acme") == 0
    _, files = newest(online, f"acme/{METHOD}")
    text = files["README.md"].decode()
    assert f'from_pretrained("acme/{METHOD}")' in text
    assert f"faceedit/{METHOD}" not in text
    near = FaceEditor.from_pretrained(checkout / "hub_cards" / METHOD)
    far = FaceEditor.from_pretrained(f"acme/{METHOD}")
    assert hub.name_of(far.base_folder) == f"acme/{BASE}"
    face = near.sample(seed=3)
    edits = [editor.edit(face, "red hair").edited.code for editor in (near, far)]
    assert torch.equal(*edits)


def test_new_repos_can_be_private(checkout, online):
    assert run(checkout, "--private", "--no_space") == 0
    assert all(repo.private for repo in online.repos.values())
    assert not online.collections


def number_that_nobody_measured(checkout):
    path = checkout / "hub_cards" / METHOD / "README.md"
    path.write_text(path.read_text().replace("0.8322", "0.99"))
    return "is 0.99 in model-index and 0.8322 in the JSON"


def numbers_without_a_benchmark(checkout):
    (checkout / "hub_cards" / "benchmark" / "results.json").unlink()
    return "not in the benchmark's JSON"


def no_card(checkout):
    (checkout / "hub_cards" / OTHER / "README.md").unlink()
    return f"{OTHER}: there is no README.md"


def another_base(checkout):
    path = checkout / "hub_cards" / METHOD / hub.CONFIG
    config = json.loads(path.read_text())
    config["base_fingerprint"]["clip"] = "sha256:0000"
    path.write_text(json.dumps(config))
    return "was made for another clip"


def absent_base(checkout):
    path = checkout / "hub_cards" / OTHER / hub.CONFIG
    text = path.read_text().replace(f"faceedit/{BASE}", "faceedit/gone")
    path.write_text(text)
    return "its base 'gone' is not in hub_cards"


def pickle(checkout):
    (checkout / "hub_cards" / METHOD / "old.pt").write_bytes(b"")
    return "old.pt is a pickle"


def broken_space(checkout):
    path = checkout / "README.md"
    path.write_text(path.read_text().replace("sdk: gradio", "sdk: docker"))
    return "Space: sdk must be gradio"


@pytest.mark.parametrize(
    "spoil",
    [
        number_that_nobody_measured,
        numbers_without_a_benchmark,
        no_card,
        another_base,
        absent_base,
        pickle,
        broken_space,
    ],
)
def test_nothing_is_pushed_while_something_is_wrong(checkout, online, capsys, spoil):
    message = spoil(checkout)
    assert run(checkout) == 2
    assert message in capsys.readouterr().err
    assert not online.requests


def test_refusal_of_the_hub_is_told(checkout, online, capsys):
    assert run(checkout, org="forbidden") == 2
    assert "may not write to 'forbidden/portraits-128'" in capsys.readouterr().err


def test_push_that_broke_off_goes_on(checkout, online, monkeypatch):
    true_send = publish.send

    def breaks_at_the_space(folder, repo_id, **arguments):
        if arguments["kind"] == "space":
            raise ConfigError("cut off")
        return true_send(folder, repo_id, **arguments)

    monkeypatch.setattr(publish, "send", breaks_at_the_space)
    assert run(checkout) == 2
    before = {name: len(repo.commits) for name, repo in online.repos.items()}
    monkeypatch.setattr(publish, "send", true_send)
    assert run(checkout) == 0
    assert {name: len(online.repos[name].commits) for name in before} == before
    assert ("space", "faceedit/faceedit") in online.repos


@pytest.mark.parametrize("org", ["", "a/b", "no owner"])
def test_owner_that_is_no_name_is_refused(checkout, org, capsys):
    assert run(checkout, "--dry_run", org=org) == 2
    assert "--org" in capsys.readouterr().err


def test_checkout_without_a_base_is_refused(tmp_path, capsys):
    (tmp_path / "hub_cards").mkdir()
    assert run(tmp_path, "--dry_run") == 2
    assert "holds no base" in capsys.readouterr().err


def test_ids_are_renamed_whole(checkout):
    text = f"faceedit/{METHOD}, faceedit/{BASE}; faceedit/methods/x.py, faceedit/{BASE}-more"
    renamed = publish.renamed(text, "acme", [METHOD, BASE])
    assert renamed == f"acme/{METHOD}, acme/{BASE}; faceedit/methods/x.py, faceedit/{BASE}-more"


# Shelving -----------------------------------------------------------------------------------------


def test_shelving_writes_settings_only_and_keeps_what_is_there(checkout, capsys):
    shelf = checkout / "hub_cards"
    flags = ["--base", str(shelf / BASE), "--hub_cards", str(shelf)]
    folder = shelf / OTHER
    tuned = {**hub.read_config(folder), "default_strength": 2.0}
    hub.write_folder(folder, tuned, None)
    assert optimized_methods.main(["styleclip_optimization", *flags]) == 0
    assert hub.read_config(folder) == tuned
    assert optimized_methods.main(["styleclip_optimization", "--overwrite", *flags]) == 0
    assert "default_strength" not in hub.read_config(folder)
    assert not (folder / hub.WEIGHTS).exists()


def test_shelving_refuses_a_method_with_weights(checkout, capsys):
    shelf = checkout / "hub_cards"
    assert optimized_methods.main(["styleclip_global", "--base", str(shelf / BASE)]) == 2
    assert "method without weights" in capsys.readouterr().err


# Rebasing -----------------------------------------------------------------------------------------


def rebase_with(checkout, before, change):
    """Change the base's CLIP in place, then ask for the methods to be said to fit it."""
    shelf = checkout / "hub_cards"
    place = shelf / BASE / "clip"
    shutil.copytree(place, before)
    clip = Clip.from_folder(place)
    with torch.no_grad():
        change(clip.model)
    clip.save(place)
    return recertify.main([str(before), "--base", str(shelf / BASE), "--hub_cards", str(shelf)])


def test_methods_go_on_with_a_clip_that_sees_otherwise_but_reads_alike(checkout, tmp_path, capsys):
    fitted, base = (checkout / "hub_cards" / name for name in (METHOD, BASE))
    folder = shutil.copytree(
        fitted, fitted.with_name("ganspace")
    )  # of which only the config is read
    hub.write_folder(folder, {**hub.read_config(fitted), "method": "ganspace"}, None)
    weights = (folder / hub.WEIGHTS).read_bytes()
    assert (
        rebase_with(checkout, tmp_path / "clip", lambda m: m.visual_projection.weight.neg_()) == 0
    )
    assert f"wrote {folder}" in capsys.readouterr().out
    assert hub.fits_base(folder, base)
    assert not hub.fits_base(fitted, base)  # it was fitted to how the former one sees pictures
    assert (folder / hub.WEIGHTS).read_bytes() == weights


def test_methods_are_refused_a_clip_that_reads_otherwise(checkout, tmp_path, capsys):
    folder, base = (checkout / "hub_cards" / name for name in (METHOD, BASE))
    before = hub.read_config(folder)
    assert rebase_with(checkout, tmp_path / "clip", lambda m: m.text_projection.weight.neg_()) == 2
    assert "has a cosine of -1.000" in capsys.readouterr().err
    assert hub.read_config(folder) == before and not hub.fits_base(folder, base)


def rebase_generator(checkout, before, change):
    """Change the base's generator in place, then ask for the methods to be said to fit it."""
    shelf = checkout / "hub_cards"
    place = shelf / BASE / "generator"
    shutil.copytree(place, before)
    generator = hub.load_network(Generator, place)
    with torch.no_grad():
        change(generator)
    hub.save_network(generator, place, half=False)
    flags = ["--network", "generator", "--base", str(shelf / BASE), "--hub_cards", str(shelf)]
    return recertify.main([str(before), *flags])


def test_methods_go_on_with_a_generator_that_draws_alike(checkout, tmp_path, capsys):
    fitted, base = (checkout / "hub_cards" / name for name in (METHOD, BASE))
    learned = shutil.copytree(fitted, fitted.with_name("ffclip"))  # of which the config is read
    hub.write_folder(learned, {**hub.read_config(fitted), "method": "ffclip"}, None)
    assert rebase_generator(checkout, tmp_path / "before", lambda g: g.const.mul_(1.001)) == 0
    assert f"wrote {learned}" in capsys.readouterr().out
    assert hub.fits_base(learned, base)
    assert not hub.fits_base(fitted, base)


def test_methods_are_refused_a_generator_that_draws_other_people(checkout, tmp_path, capsys):
    folder, base = (checkout / "hub_cards" / name for name in (METHOD, BASE))
    before = hub.read_config(folder)

    def other_people(generator):
        for block in generator.blocks:
            for layer in block.layers():
                layer.weight.copy_(torch.randn_like(layer.weight))

    assert rebase_generator(checkout, tmp_path / "before", other_people) == 2
    assert "faces have a mean cosine" in capsys.readouterr().err
    assert hub.read_config(folder) == before and not hub.fits_base(folder, base)
