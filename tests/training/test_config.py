"""The settings' promises: recipe, then flags; anything unknown or wrong is named with a remedy."""

from dataclasses import dataclass

import pytest

from training import config as module
from training.config import ConfigError, TrainConfig, build_options, parse_config


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RECIPES", tmp_path)
    text = "learning_rate: 1e-4\nmax_train_steps: 7\noptions:\n  width: 3\n  name: a\n"
    (tmp_path / "toy.yaml").write_text(text)
    return tmp_path


@dataclass(frozen=True)
class Options:
    width: int = 1
    name: str = ""
    scale: float = 1.0
    sizes: tuple[int, ...] = (1,)
    deep: bool = False
    limit: int | None = None


def test_flags_override_the_recipe_which_overrides_the_defaults(recipes):
    config = parse_config(["--task", "toy", "--max_train_steps", "9", "--set", "width=4"])
    assert (config.learning_rate, config.max_train_steps, config.seed) == (1e-4, 9, 0)
    assert config.options == {"width": 4, "name": "a"}


def test_task_without_recipe_has_the_defaults(recipes):
    assert parse_config(["--task", "other"]) == TrainConfig(task="other")


def test_recipe_can_be_chosen_by_name_and_path(recipes):
    (recipes / "toy-gpu.yaml").write_text("task: toy\ntrain_batch_size: 64\n")
    path = str(recipes / "toy-gpu.yaml")
    assert parse_config(["--task", "toy", "--recipe", "toy-gpu"]).train_batch_size == 64
    assert parse_config(["--task", "toy", "--recipe", path]).train_batch_size == 64


def test_switches_can_be_turned_off_again(recipes):
    assert not parse_config(["--task", "toy", "--no-evaluate"]).evaluate


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "--task NAME"),
        (["--task", "toy", "--seeed", "1"], "unknown flag '--seeed'; did you mean '--seed'?"),
        (["--task", "toy", "--seed", "one"], "argument --seed: invalid int value: 'one'"),
        (["--task", "toy", "--mixed_precision", "fp16"], "invalid choice: 'fp16'"),
        (["--task", "toy", "--train_batch_size", "0"], "must be at least 1"),
        (["--task", "toy", "--learning_rate", "nan"], "must not be negative"),
        (["--task", "toy", "--set", "width"], "write --set key=value"),
        (["--task", "toy", "--recipe", "toi"], "unknown recipe 'toi'; did you mean 'toy'?"),
    ],
)
def test_wrong_flags_are_named_with_a_remedy(recipes, arguments, text):
    with pytest.raises(ConfigError) as caught:
        parse_config(arguments)
    assert text in str(caught.value)


def test_unknown_recipe_keys_and_wrong_types_are_errors(recipes):
    (recipes / "toy.yaml").write_text("lr: 3\n")
    with pytest.raises(ConfigError, match="unknown recipe key 'lr'"):
        parse_config(["--task", "toy"])
    (recipes / "toy.yaml").write_text("max_train_steps: many\n")
    with pytest.raises(ConfigError, match="'max_train_steps' is 'many'; it must be of type int"):
        parse_config(["--task", "toy"])
    (recipes / "toy.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match="mapping"):
        parse_config(["--task", "toy"])


def test_options_are_typed():
    made = build_options(Options, {"scale": "1e-3", "sizes": [4, 8], "limit": 3, "deep": True})
    assert made == Options(scale=1e-3, sizes=(4, 8), limit=3, deep=True)
    assert build_options(Options, {"limit": None}).limit is None


@pytest.mark.parametrize("values", [{"width": True}, {"width": 1.5}, {"deep": 1}, {"scale": "x"}])
def test_options_of_the_wrong_type_are_errors(values):
    with pytest.raises(ConfigError, match="must be of type"):
        build_options(Options, values)


def test_unknown_option_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown option 'widht'; did you mean 'width'"):
        build_options(Options, {"widht": 1})


def test_every_shipped_recipe_can_be_parsed():
    for path in module.RECIPES.glob("*.yaml"):
        content = module.read_recipe(path.stem)
        task = content.get("task", path.stem)
        assert parse_config(["--task", task, "--recipe", path.stem]).task == task
