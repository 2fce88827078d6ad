"""How long an edit will take here: measured on one pass of the network that its steps repeat."""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

import torch

from faceedit.backbones import Backbones
from faceedit.method import EditMethod

# A descent's step costs a pass forwards and one back through generator, CLIP and identity.
PASSES_A_STEP = 3.5
LONG = 60.0  # seconds from which on a user is told before it begins
_SECONDS: WeakKeyDictionary[Any, float] = WeakKeyDictionary()


def seconds_of(method: EditMethod, backbones: Backbones) -> float:
    """Return about how many seconds an edit of one face takes beyond those of the fast methods.

    0 for methods that answer at once. The first call for a network runs it once.
    """
    if method.kind != "optimized" or not hasattr(method.config, "steps"):
        return 0.0
    if "diffusion" in method.needs:
        return _calls(method.config) * _pass(backbones.diffusion, _denoise)
    return method.config.steps * PASSES_A_STEP * _pass(backbones.generator, _draw)


def _calls(config: Any) -> float:
    """Return how many passes of the denoiser an edit by guided diffusion takes."""
    run, draft = config.steps * config.depth, config.draft_steps * config.draft_depth
    guided = 3 * (1 + config.repeat_stop * (config.repeats - 1))
    return run * (config.iterations + guided) + draft * (
        config.iterations + 3 * config.draft_iterations
    )


@torch.no_grad()
def _pass(network: Any, run: Any) -> float:
    """Return the seconds of one pass of a network; measured once."""
    if network is None:
        return 0.0
    if network not in _SECONDS:
        run(network)  # the first pass also sets memory aside
        start = time.perf_counter()
        run(network)
        _SECONDS[network] = time.perf_counter() - start
    return _SECONDS[network]


def _draw(generator: Any) -> None:
    w_plus = generator.broadcast(generator.w_avg[None])
    float(generator.synthesis(w_plus).sum())  # waits for a GPU


def _denoise(diffusion: Any) -> None:
    size = diffusion.resolution
    place = next(diffusion.parameters()).device
    estimate = diffusion.estimate(torch.zeros(1, 3, size, size, device=place), 1)
    float(estimate.clean.sum())


def in_words(seconds: float) -> str:
    """Return a time as people say it: "40 s", "3 min", "2 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
