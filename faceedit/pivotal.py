"""Pivotal tuning: the generator itself is brought to one photograph, around the photograph's code.

Paper: Roich et al., "Pivotal Tuning for Latent-based Editing of Real Images", ACM TOG 2022,
arXiv:2106.05744. Notation (here -> paper): w_plus -> w_p, the pivot; image -> x; near -> w_r;
WEIGHT_LOCAL -> lambda_R; REACH -> alpha.
Differs from the paper: convolutions change by a matrix of low rank, so that what was tuned is a
small file and not a second generator; pixels are compared at three sizes and the face by the
identity network, where the paper has LPIPS; tens of steps, where it has 350; and the pivot is the
encoder's code, refined a little. Distances are in units of w's spread, which is 1 for the paper's.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.inversion import pixel_distance
from faceedit.progress import report
from faceedit.regular_files import cache_folder

STEPS = 60
REFINE_STEPS = 30  # of the pivot, before
RANK = 12  # of a convolution's change
RATE = 0.006  # Adam's
WEIGHT_FACE = 0.05  # 1 - cosine of what the identity network sees
WEIGHT_LOCAL = 0.1  # lambda_R
REACH = 1.33  # alpha of 30 over 512 entries: root mean square distance of w_r from the pivot
LOCAL_EVERY = 3  # steps: the regularisation costs a second picture
LARGEST = 256 * 2**20  # bytes of a difference that is read back

Difference = Mapping[str, Tensor]  # "NAME.left", "NAME.right" of low rank, or NAME itself


def tune(image: Tensor, w_plus: Tensor, backbones: Backbones, steps: int = STEPS) -> Difference:
    """Return how the generator changes so that a code draws a photograph's own face.

    The best of the steps counts: a face that is drawn closely already is never drawn worse.

    Args:
        image: The aligned face, [1, 3, h, w], RGB in [-1, 1], as large as the generator draws.
        w_plus: Its code, [1, num_ws, w_dim], which stays.
        backbones: Needs `generator`; `identity` is used where it is there.
        steps: How many.
    """
    generator = backbones.require("generator", "tuning")
    draws = torch.Generator().manual_seed(0)
    learned = _unlearned(generator, draws)
    optimizer = torch.optim.Adam(list(learned.values()), lr=RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    unit = generator.sample_w_plus(256, draws, 1.0)[:, 0].std(dim=0) * 2
    least, best = float("inf"), _copied(learned)
    for step in range(steps):
        with torch.enable_grad():
            weights = _changed(generator, learned)
            drawn = torch.func.functional_call(generator, weights, (w_plus,))
            loss = pixel_distance(drawn, image)
            if backbones.identity is not None:
                seen, wanted = backbones.identity.embed(torch.cat([drawn, image]))
                loss = loss + WEIGHT_FACE * (1 - seen @ wanted.detach())
            if float(loss.detach()) < least:  # the first is the generator as it is
                least, best = float(loss.detach()), _copied(learned)
            if step % LOCAL_EVERY == LOCAL_EVERY - 1:
                near = _near(generator, w_plus, unit, draws)
                kept = torch.func.functional_call(generator, weights, (near,))
                with torch.no_grad():
                    before = generator.synthesis(near)
                loss = loss + WEIGHT_LOCAL * LOCAL_EVERY * pixel_distance(kept, before)
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
        schedule.step()
        report(step + 1, steps)
    with torch.no_grad():
        drawn = torch.func.functional_call(generator, _changed(generator, learned), (w_plus,))
        loss = pixel_distance(drawn, image)
        if backbones.identity is not None:
            seen, wanted = backbones.identity.embed(torch.cat([drawn, image]))
            loss = loss + WEIGHT_FACE * (1 - seen @ wanted)
    return best if least < float(loss) else _copied(learned)


def _copied(learned: Difference) -> dict[str, Tensor]:
    """Return a difference as it is kept, in 16 bits."""
    return {name: tensor.detach().half() for name, tensor in learned.items()}


def tuned(backbones: Backbones, difference: Difference) -> Any:
    """Return a copy of the generator with a difference in it, frozen."""
    generator = copy.deepcopy(backbones.require("generator", "tuning"))
    like = generator.w_avg
    changes = {name: tensor.to(like) for name, tensor in difference.items()}
    with torch.no_grad():
        for name, weight in _changed(generator, changes).items():
            generator.get_parameter(name).copy_(weight)
    return generator.eval().requires_grad_(False)


def _unlearned(generator: Any, draws: torch.Generator) -> dict[str, Tensor]:
    """Return what can be learned: pairs of thin matrices for convolutions, whole small tensors."""
    learned = {}
    for name, parameter in generator.named_parameters():
        if not name.startswith("blocks.") or ".affine." in name or "noise" in name:
            continue  # how a code becomes styles stays, so that edits mean the same
        if parameter.ndim == 4 and parameter.shape[-1] > 1:
            rows, columns = parameter.shape[0], parameter[0].numel()
            rank = min(RANK, rows, columns)
            right = torch.randn(rank, columns, generator=draws) / rank**0.5
            learned[f"{name}.left"] = parameter.new_zeros(rows, rank)
            learned[f"{name}.right"] = right.to(parameter)
        else:
            learned[name] = torch.zeros_like(parameter)
    return {name: tensor.detach().requires_grad_(True) for name, tensor in learned.items()}


def _changed(generator: Any, learned: Difference) -> dict[str, Tensor]:
    """Return the parameters that a difference changes, with the difference in them."""
    parameters, changed = dict(generator.named_parameters()), {}
    for name, tensor in learned.items():
        base, _, side = name.rpartition(".")
        if side == "left":
            product = tensor @ learned[f"{base}.right"]
            changed[base] = parameters[base] + product.view_as(parameters[base])
        elif side != "right":
            changed[name] = parameters[name] + tensor
    return changed


@torch.no_grad()
def _near(generator: Any, w_plus: Tensor, unit: Tensor, draws: torch.Generator) -> Tensor:
    """Return a code at a fixed distance from the pivot, towards a random face."""
    other = generator.sample_w_plus(1, draws, 1.0)
    way = (other - w_plus) / unit
    return w_plus + REACH * unit * way / way.square().mean().sqrt().clamp(min=1e-8)


# Keeping ------------------------------------------------------------------------------------------


def place_of(face: Tensor, generator: Any, steps: int = STEPS) -> Path:
    """Return where the difference of a face is kept: named by the face, the generator, the steps.

    What lies in that folder is derived from photographs; it can be deleted at any time.
    """
    told = hashlib.blake2b(digest_size=16)
    for tensor in (face, generator.w_avg, next(generator.blocks.parameters())):
        told.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    told.update(f"{STEPS},{RANK},{RATE},{steps}".encode())
    return cache_folder() / "tuned" / f"{told.hexdigest()}.safetensors"


def save(difference: Difference, path: Path) -> None:
    """Write a difference, whole or not at all."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    save_file({name: tensor.contiguous() for name, tensor in difference.items()}, draft)
    draft.replace(path)


def load(path: Path, generator: Any) -> Difference | None:
    """Return a difference that was kept, or None where there is none that fits the generator."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.stat().st_size > LARGEST:
            return None
        found = load_file(path)
    except (OSError, SafetensorError, ValueError):
        return None
    wanted = _unlearned(generator, torch.Generator())
    fits = {name: tensor.shape for name, tensor in found.items()} == {
        name: tensor.shape for name, tensor in wanted.items()
    }
    sound = fits and all(bool(tensor.isfinite().all()) for tensor in found.values())
    return found if sound else None
