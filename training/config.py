"""One dataclass a run: a recipe gives the defaults, flags override them, unknown keys are errors.

Flags are named as in diffusers' training examples. What only one task knows (a channel count, a
loss weight) is a field of that task's `options_class`, set in the recipe's `options:` mapping or
with `--set key=value`.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import difflib
import functools
import json
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ROOT", "ConfigError", "TrainConfig", "build_options", "parse_config", "unknown"]

ROOT = Path(__file__).resolve().parents[1]
RECIPES = Path(__file__).resolve().parent / "recipes"
# What --dry_run changes: nothing published is touched.
DRY: dict[str, Any] = {
    "max_train_steps": 2,
    "train_batch_size": 2,
    "output_dir": ".runs/dry_run",
    "export_dir": "",
    "resume_from_checkpoint": "",
    "overwrite": True,
    "evaluate": False,
}


class ConfigError(ValueError):
    """A flag, a recipe or an option that cannot be used; the text says what to do."""


def _flag(default: Any, text: str, choices: tuple[str, ...] = ()) -> Any:
    """Return a dataclass field with the help text (and choices) of its flag."""
    return field(default=default, metadata={"help": text, "choices": choices})


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run."""

    task: str = _flag("", "what to train, see --list")
    recipe: str = _flag("", "recipe name or YAML path; default: the task's own")
    stage: int = _flag(0, "which of the recipe's stages, from 1; 0: the recipe without any")
    output_dir: str = _flag("", "checkpoints, log, sheets; default: .runs/<task>")
    export_dir: str = _flag("", "where the weights go; default: <output_dir>/export")
    data_dir: str = _flag(".data/world", "folder with the world's train and heldout shards")
    base: str = _flag("hub_cards/portraits-128", "folder of the networks that stay frozen")
    seed: int = _flag(0, "decides initial weights, order of the data and every draw")

    train_batch_size: int = _flag(16, "samples a process in one forward pass")
    gradient_accumulation_steps: int = _flag(1, "forward passes before each update")
    max_train_steps: int = _flag(1000, "updates in all, over all resumptions")
    max_minutes: float = _flag(0.0, "save and stop after so long in this process; 0: no limit")
    learning_rate: float = _flag(1e-3, "peak learning rate")
    lr_scheduler: str = _flag("cosine", "after warm-up", ("constant", "cosine"))
    lr_warmup_steps: int = _flag(0, "updates of linear warm-up")
    lr_decay_share: float = _flag(0.4, "cosine acts over this last share of the run")
    adam_beta1: float = _flag(0.9, "Adam's first decay")
    adam_beta2: float = _flag(0.99, "Adam's second decay")
    adam_epsilon: float = _flag(1e-8, "Adam's epsilon")
    adam_weight_decay: float = _flag(0.0, "decoupled weight decay")
    max_grad_norm: float = _flag(0.0, "clip each turn's gradient to this norm; 0: do not")
    ema_decay: float = _flag(0.999, "decay a step of the averaged weights; 0: keep none")
    mixed_precision: str = _flag("no", "autocast", ("no", "bf16"))
    channels_last: bool = _flag(False, "keep convolution weights in channels-last order")

    checkpointing_steps: int = _flag(0, "save every so many updates; 0: by time only")
    checkpointing_minutes: float = _flag(10.0, "save every so many minutes; 0: by steps only")
    checkpoints_total_limit: int = _flag(2, "checkpoints kept")
    resume_from_checkpoint: str = _flag("", "'latest' or a checkpoint folder")
    overwrite: bool = _flag(False, "start afresh although the output folder has checkpoints")
    refresh_data: bool = _flag(False, "on resuming, also use shards rendered since")
    logging_steps: int = _flag(50, "updates between two lines of the log")
    sample_minutes: float = _flag(10.0, "minutes between two sample sheets; 0: only at the end")
    evaluate: bool = _flag(True, "measure on held-out data when training is complete")
    eval_only: bool = _flag(False, "only load the checkpoint, draw samples, evaluate and export")
    cpu: bool = _flag(False, "use the CPU although an accelerator is present")
    memory: float = _flag(4.0, "GB for the images that fits and sheets draw at once")
    dry_run: bool = _flag(False, "two updates of two samples, to see that everything fits")

    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values that cannot be trained with."""
        for name in ("train_batch_size", "gradient_accumulation_steps", "logging_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("max_train_steps", "max_minutes", "checkpointing_minutes", "learning_rate"):
            if not getattr(self, name) >= 0:  # also refuses NaN
                raise ConfigError(f"--{name} is {getattr(self, name)}; it must not be negative")
        if not self.memory > 0:
            raise ConfigError(f"--memory is {self.memory}; it must be more than 0 GB")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"--ema_decay is {self.ema_decay}; it must be in [0, 1)")
        if self.checkpoints_total_limit < 1:
            raise ConfigError("--checkpoints_total_limit must be at least 1")

    @property
    def output_path(self) -> Path:
        """The run's folder, absolute."""
        return _inside(self.output_dir or f".runs/{self.task}")

    @property
    def export_path(self) -> Path:
        """Where the finished component is written, absolute."""
        return _inside(self.export_dir) if self.export_dir else self.output_path / "export"

    @property
    def data_path(self) -> Path:
        """The folder that holds a folder of shards a split, absolute."""
        return _inside(self.data_dir)

    @property
    def base_path(self) -> Path:
        """The base repo's folder, absolute."""
        return _inside(self.base)

    def as_dict(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        return dataclasses.asdict(self)


def _inside(path: str) -> Path:
    """Resolve a path against the repository root; absolute paths stay as they are."""
    return ROOT / Path(path).expanduser()


def unknown(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a misspelt name, with the nearest spelling."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ConfigError(f"unknown {kind} {name!r}{hint} Choose from: {', '.join(known) or 'none'}")


def parse_config(arguments: Sequence[str]) -> TrainConfig:
    """Turn command-line arguments into a run.

    Args:
        arguments: Flags as typed, without the program name.

    Raises:
        ConfigError: For an unknown flag, recipe key or value; the text names the remedy.
    """
    parser = build_parser()
    typed, rest = parser.parse_known_args(list(arguments))
    if rest:
        raise unknown("flag", rest[0].split("=")[0], (f"--{f.name}" for f in _flags()))
    given = {name: value for name, value in vars(typed).items() if value is not None}
    options = dict(_assignment(text) for text in given.pop("set", []))
    if not given.get("task"):
        raise ConfigError("say what to train: --task NAME (python -m training.train --list)")
    values = read_recipe(given.get("recipe") or own_recipe(given), explicit="recipe" in given)
    recipe_task = values.pop("task", given["task"])
    if recipe_task != given["task"]:
        raise ConfigError(f"the recipe is for task {recipe_task!r}, not {given['task']!r}")
    values = at_stage(values, int(given.get("stage") or 0))
    values["options"] = {**(values.get("options") or {}), **options}
    values = beside_base(values, given)
    config = _construct(TrainConfig, {**values, **given}, "recipe key")
    return dataclasses.replace(config, **DRY) if config.dry_run else config


def own_recipe(given: dict[str, Any]) -> str:
    """Return the recipe of a task for the base that was asked for.

    Bases that frame faces as FFHQ does hold official weights; where a task has a recipe for those,
    with the papers' settings for OpenAI's CLIP, it is in recipes/ffhq.
    """
    task, config = str(given["task"]), _inside(str(given.get("base") or ".")) / "config.json"
    official = RECIPES / "ffhq" / f"{task}.yaml"
    try:
        framing = json.loads(config.read_text("utf-8")).get("framing") if official.is_file() else ""
    except (OSError, ValueError, AttributeError):
        framing = ""
    return str(official) if framing == "ffhq" else task


def beside_base(values: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's values with the export beside the base that was asked for.

    A recipe exports over the weights that belong to its own base. What is trained for another base
    goes into a folder of the same name beside that one, where the editor looks for it.
    """
    own = str(values.get("base") or TrainConfig.base)
    asked = str(given.get("base") or own)
    if "export_dir" in given or not values.get("export_dir") or _inside(asked) == _inside(own):
        return values
    return {**values, "export_dir": str(_inside(asked).parent / Path(values["export_dir"]).name)}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser whose flags are the fields of `TrainConfig`."""
    parser = _Parser(
        prog="train.py",
        description="Train one task. Defaults come from training/recipes/<task>.yaml.",
        allow_abbrev=False,
    )
    for entry in _flags():
        kind = _plain_type(TrainConfig, entry.name)
        text = entry.metadata["help"].replace("%", "%%")
        if kind is bool:
            parser.add_argument(
                f"--{entry.name}", action=argparse.BooleanOptionalAction, default=None, help=text
            )
        else:
            choices = entry.metadata["choices"] or None
            parser.add_argument(f"--{entry.name}", type=kind, choices=choices, help=text)
    parser.add_argument(
        "--set",
        action="append",
        default=None,
        metavar="KEY=VALUE",
        help="set one of the task's own options; may be repeated",
    )
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of leaving the process."""

    def error(self, message: str) -> typing.NoReturn:
        raise ConfigError(message)


def _flags() -> list[dataclasses.Field[Any]]:
    return [entry for entry in fields(TrainConfig) if entry.name != "options"]


def read_recipe(name: str, explicit: bool = True) -> dict[str, Any]:
    """Read `recipes/<name>.yaml` or a path; a task without a recipe has dataclass defaults.

    Raises:
        ConfigError: If the file is missing although it was asked for, or is not a mapping.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.is_file():
        if not explicit:
            return {}
        raise unknown("recipe", name, (p.stem for p in RECIPES.glob("*.yaml")))
    try:
        content = copy.deepcopy(_parsed(path.read_text(encoding="utf-8"))) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must be a mapping of settings")
    return content


@functools.lru_cache(maxsize=128)
def _parsed(text: str) -> Any:
    """Return what YAML says; one list of runs reads every recipe several times."""
    return yaml.safe_load(text)


BESIDE = (
    "stages",
    "minutes",
    "needs",
    "given",
)  # of a recipe: for training.reproduce, not for a run


def at_stage(recipe: dict[str, Any], stage: int) -> dict[str, Any]:
    """Return a recipe's values for one of its stages: its own, with the stage's in their place.

    A recipe's `stages` are runs that each go on from the weights of the one before. A stage names
    what differs from the recipe: settings, and options, of which those of `method` are merged too.

    Args:
        recipe: What its file holds, `stages` included or not.
        stage: From 1; 0 leaves the stages out.

    Raises:
        ConfigError: If there is no such stage.
    """
    values = {name: value for name, value in recipe.items() if name not in BESIDE}
    stages = recipe.get("stages") or []
    if not stage:
        return values
    if not 1 <= stage <= len(stages):
        raise ConfigError(f"--stage is {stage}; the recipe has {len(stages)} stages")
    changed = dict(stages[stage - 1] or {})
    options, more = dict(values.get("options") or {}), dict(changed.pop("options", None) or {})
    if "method" in more:
        more["method"] = {**(options.get("method") or {}), **more["method"]}
    changed.pop("why", None)  # says in words what the stage is for
    changed.pop("minutes", None)  # what it cost on one core
    return {**values, **changed, "options": {**options, **more}}


def _assignment(text: str) -> tuple[str, Any]:
    """Split `key=value`; the value is read as YAML, so `3`, `true`, `[1, 2]` are what they seem."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise ConfigError(f"--set {text!r}: write --set key=value")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text!r}: the value is not valid YAML") from error


def build_options(options_class: type, values: dict[str, Any]) -> Any:
    """Make a task's options from a mapping.

    Raises:
        ConfigError: For an unknown option or a value of the wrong type.
    """
    return _construct(options_class, values, "option")


def _construct(target: type, values: dict[str, Any], kind: str) -> Any:
    names = [entry.name for entry in fields(target)]
    for name in values:
        if name not in names:
            raise unknown(kind, str(name), names)
    return target(**{n: _coerce(v, _plain_type(target, n), kind, n) for n, v in values.items()})


def _plain_type(target: type, name: str) -> Any:
    """Return a field's type with `| None` taken off."""
    hint = _hints(target)[name]
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


_hints = functools.cache(typing.get_type_hints)


def _coerce(value: Any, kind: Any, what: str, name: str) -> Any:
    """Turn a YAML value into the field's type, or say why not."""
    origin = typing.get_origin(kind) or kind
    if value is None:
        return None
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    if origin is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return float(value)  # YAML reads 1e-3 as a string
    elif origin is typing.Literal:
        if value in typing.get_args(kind):
            return value
    elif isinstance(value, origin) and not (origin is int and isinstance(value, bool)):
        return value
    wanted = str(kind) if origin is typing.Literal else origin.__name__
    raise ConfigError(f"{what} {name!r} is {value!r}; it must be of type {wanted}")
