"""Folders that were saved before format 2 load, with the settings that they had."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from faceedit import hub
from faceedit.errors import RepoError
from faceedit.method_repo import load_method, method_of
from faceedit.methods import METHODS

FORMER = json.loads(Path(__file__).with_name("former_configs.json").read_text())


def saved_before(folder: Path, name: str, **changes) -> Path:
    """Write a published method as format 1 had it, its weights included."""
    place = {"styleclip_global": "clip-regression", "styleclip_mapper": "styleclip-mapper/red-hair"}
    published = hub.BUNDLED / place.get(name, name.replace("_", "-"))
    settings = {**FORMER[name], **changes}
    if "wordings" in settings:  # the list is long; the former configs here have its start only
        settings["wordings"] = hub.read_config(published)["method_config"]["wordings"]
    shutil.copytree(published, folder)
    facts = {"format_version": 1, "method": name, "method_config": settings}
    hub.write_folder(folder, {**hub.read_config(folder), **facts}, None)
    return published


@pytest.mark.parametrize("name", list(FORMER))
def test_method_saved_before_loads_with_the_settings_of_the_published_one(name, tmp_path):
    published = saved_before(tmp_path / "saved", name)
    wanted = METHODS[method_of(tmp_path / "saved")]
    before, now = (load_method(wanted, folder) for folder in (tmp_path / "saved", published))
    if hasattr(now.config, "additions"):  # what the base says now was said by each method then
        tied = dataclasses.replace(now.config.additions, tied_layers=None)
        then = dataclasses.replace(before.config.additions, tied_layers=None)
        assert then == tied and before.config.additions.tied_layers in (True, None)
    strip = {"additions": {}} if hasattr(now.config, "additions") else {}
    one, other = (dataclasses.replace(method.config, **strip) for method in (before, now))
    assert one == other


def test_setting_that_was_taken_away_is_refused_by_name(tmp_path):
    saved_before(tmp_path / "saved", "feat", mask_temperature=2.0)
    with pytest.raises(RepoError, match=r"mask_temperature to 2\.0"):
        load_method(METHODS["feat"], tmp_path / "saved")


def test_folder_of_this_format_may_lack_settings_that_came_later(tmp_path):
    published = hub.BUNDLED / "clip-pae-diffusion"
    shutil.copytree(published, tmp_path / "saved")
    facts = hub.read_config(published)
    kept = {k: v for k, v in facts["method_config"].items() if k not in ("draft", "guided_redraw")}
    hub.write_folder(tmp_path / "saved", {**facts, "method_config": kept}, None)
    wanted = METHODS["clip_pae_diffusion"]
    assert load_method(wanted, tmp_path / "saved").config == load_method(wanted, published).config
    del kept["alpha" if "alpha" in kept else next(iter(kept))]
    hub.write_folder(tmp_path / "saved", {**facts, "method_config": kept}, None)
    with pytest.raises(RepoError):
        load_method(wanted, tmp_path / "saved")
