"""What can be trained: a plain dict of functions, each importing its task when asked.

Beside these, every method in `faceedit.methods.METHODS` is a task under its own name: trained
methods through `tasks/method.py` (or a task derived from it), fitted ones through `tasks/fit.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from training.config import unknown

if TYPE_CHECKING:
    from training.task import Task

__all__ = ["READS", "TASKS", "reads", "task_class", "task_names"]


def _generator() -> type[Task]:
    from training.tasks.generator import GeneratorTask

    return GeneratorTask


def _encoder() -> type[Task]:
    from training.tasks.encoder import EncoderTask

    return EncoderTask


def _photo_encoder() -> type[Task]:
    from training.tasks.photo_encoder import PhotoEncoderTask

    return PhotoEncoderTask


def _clip() -> type[Task]:
    from training.tasks.clip import ClipTask

    return ClipTask


def _identity() -> type[Task]:
    from training.tasks.identity import IdentityTask

    return IdentityTask


def _segmenter() -> type[Task]:
    from training.tasks.segmenter import SegmenterTask

    return SegmenterTask


def _attributes() -> type[Task]:
    from training.tasks.attributes import AttributesTask

    return AttributesTask


def _diffusion() -> type[Task]:
    from training.tasks.diffusion import DiffusionTask

    return DiffusionTask


TASKS: dict[str, Callable[[], type[Task]]] = {
    "generator": _generator,
    "encoder": _encoder,
    "photo_encoder": _photo_encoder,
    "clip": _clip,
    "identity": _identity,
    "segmenter": _segmenter,
    "attributes": _attributes,
    "diffusion": _diffusion,
    # The judges differ in recipe only: seed and shape. They measure and are never part of a loss.
    "judge_identity": _identity,
    "judge_attributes": _attributes,
}


def _mapper() -> type[Task]:
    from training.tasks.mapper import MapperTask

    return MapperTask


def _grouped() -> type[Task]:
    from training.tasks.grouped import GroupedTask

    return GroupedTask


def _counterfactual() -> type[Task]:
    from training.tasks.counterfactual import CounterfactualTask

    return CounterfactualTask


def _fit() -> type[Task]:
    from training.tasks.fit import FitTask

    return FitTask


# Methods whose kind does not say how they learn; clip_pae is optimized from a start that is fitted.
METHOD_TASKS: dict[str, Callable[[], type[Task]]] = {
    "clip_pae": _fit,
    "counterfactual": _counterfactual,
    "maniclip": _grouped,
    "styleclip_mapper": _mapper,
}


# The networks of the base repo that a task reads; for its order in `reproduce` and its fingerprint.
READS: dict[str, tuple[str, ...]] = {
    "counterfactual": ("encoder", "attributes"),  # beside what the method itself reads
    "generator": ("segmenter",),
    "encoder": ("generator", "identity", "segmenter", "attributes"),
    "photo_encoder": ("encoder", "generator", "landmarks", "segmenter"),
}


def reads(task: str) -> tuple[str, ...]:
    """Return the networks of the base repo that a task reads."""
    if task in TASKS:
        return READS.get(task, ())
    from faceedit.methods import METHODS

    needs = METHODS[task].needs | {"generator", "clip"} | set(READS.get(task, ()))
    return tuple(sorted(needs))


def task_names() -> list[str]:
    """Return every name that `--task` accepts."""
    return sorted([*TASKS, *_method_kinds()])


def task_class(name: str) -> type[Task]:
    """Return the class of a task.

    Raises:
        ConfigError: If there is none of that name; the text lists the names.
    """
    if name in TASKS:
        return TASKS[name]()
    kinds = _method_kinds()
    if name not in kinds:
        raise unknown("task", name, [*TASKS, *kinds])
    if name in METHOD_TASKS:
        return METHOD_TASKS[name]()
    if kinds[name] == "fitted":
        return _fit()
    from training.tasks.method import MethodTask

    return MethodTask


def _method_kinds() -> dict[str, str]:
    """Return the methods that learn something, with their kind; the others store nothing."""
    from faceedit.methods import METHODS

    learn = ("trained", "fitted")
    return {n: m.kind for n, m in METHODS.items() if m.kind in learn or n in METHOD_TASKS}
