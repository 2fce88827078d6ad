"""A folder of photos through one edit: many at once, shared by processes, safe to stop and repeat.

Every process takes each n-th photo; which ones, it reads from what launchers set in the environment
(RANK, WORLD_SIZE), so that `accelerate launch -m faceedit batch ...` and `torchrun -m faceedit
batch ...` share the work although nothing here knows either. A picture that is written is recorded
in a manifest with everything that made it; a later run skips it if all of that is still the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from tqdm import tqdm

from faceedit import hub
from faceedit.arguments import whole
from faceedit.batch.files import Manifest, Shard, plan
from faceedit.editor import FaceEditor
from faceedit.errors import FaceEditError, PhotoError, RequestError
from faceedit.inversion import MAX_REFINE_STEPS, invert, to_tensor
from faceedit.method import EditMethod
from faceedit.photo import align, load_photo
from faceedit.photo.regions import read_regions
from faceedit.portrait import Portrait
from faceedit.regular_files import FULL, reason
from faceedit.types import EditRequest, Face, Latent, Output, Space
from faceedit.version import __version__
from faceedit.words.understanding import understand

MAX_TOGETHER = 4096  # photos
PATIENCE = timedelta(hours=24)  # that one process may take longer than another

Save = Callable[[PIL.Image.Image, Path], None]


@dataclass(frozen=True)
class Job:
    """What is done to every photo of a batch.

    Raises:
        RequestError: If a setting cannot be used for a whole folder.
    """

    request: EditRequest
    output: Output = Output.PHOTOGRAPH
    face_index: int | None = None
    refine_steps: int = 0
    batch_size: int = 8  # photos that are inverted together

    def __post_init__(self) -> None:
        whole(self.batch_size, "batch_size", 1, MAX_TOGETHER)
        whole(self.refine_steps, "refine_steps", 0, MAX_REFINE_STEPS)
        if self.request.mask is not None and read_regions(self.request.mask) is None:
            raise RequestError("one picture cannot be the mask of many photos; name regions")


@dataclass
class Report:
    """How a batch went."""

    edited: int = 0
    kept: int = 0  # were there already
    failed: dict[str, str] = field(default_factory=dict)  # file name -> why
    doubts: tuple[str, ...] = ()  # why none may be what was asked for, as of a single edit

    def __add__(self, other: Report) -> Report:
        return Report(
            self.edited + other.edited,
            self.kept + other.kept,
            {**self.failed, **other.failed},
            tuple(dict.fromkeys(self.doubts + other.doubts)),
        )


def edit_folder(
    editor: FaceEditor,
    folder: Path,
    output: Path,
    job: Job,
    save: Save,
    *,
    shard: Shard | None = None,
    suffix: str = ".png",
    overwrite: bool = False,
) -> Report:
    """Edit the photos of a folder, and say of each that could not be edited why.

    Args:
        editor: Has the networks.
        folder: Its photos are taken, those of its subfolders not.
        output: Where the results and the manifest go; made if absent.
        job: What is done.
        save: Writes a picture to a path, whole or not at all.
        shard: This process's share; None is everything.
        suffix: Of the results, which decides their format.
        overwrite: Edit again what is there, and write over whatever has the name of a result.

    Returns:
        The report of this process's share.

    Raises:
        RequestError: If a setting cannot be used, the folder has no photos, or its results would
            fall on pictures that these settings did not make.
        FaceEditError: If the method cannot work on any photo.
    """
    shard = shard or Shard()
    outputs = plan(folder, output, suffix)
    job, prints, doubts = _settle(editor, job)
    manifest = Manifest(output, shard, prints)
    share = list(outputs.items())[shard.index :: shard.count]
    manifest.open([result for _, result in share], overwrite)
    report = Report(doubts=doubts)
    with tqdm(total=len(share), disable=None if shard.index == 0 else True, unit="photo") as bar:
        for start in range(0, len(share), job.batch_size):
            chunk = dict(share[start : start + job.batch_size])
            done = [] if overwrite else [p for p, o in chunk.items() if manifest.has(p, o)]
            report.kept += len(done)
            todo = {photo: out for photo, out in chunk.items() if photo not in done}
            bar.update(len(done))
            for photo, problem in _edit_chunk(editor, todo, job, save, manifest, overwrite):
                _count(report, photo, problem)
                bar.update()
    return report


def _count(report: Report, photo: Path, problem: Exception | None) -> None:
    """Note how a photo went; a setting that fails at once would fail for all, so it is raised.

    Raises:
        FaceEditError: If it is not about the photo and nothing has been edited yet.
    """
    if problem is None:
        report.edited += 1
        return
    about_settings = isinstance(problem, FaceEditError) and not isinstance(problem, PhotoError)
    if about_settings and not report.edited:
        raise problem
    report.failed[photo.name] = _reason(problem)


# One chunk ----------------------------------------------------------------------------------------


def _edit_chunk(
    editor: FaceEditor,
    todo: Mapping[Path, Path],
    job: Job,
    save: Save,
    manifest: Manifest,
    overwrite: bool,
) -> Iterator[tuple[Path, Exception | None]]:
    """Edit some photos; yield each with what went wrong, if anything."""
    found: dict[Path, Portrait] = {}
    for photo in todo:
        try:
            found[photo] = _find(photo, editor, job)
        except Exception as error:  # whatever a file does to a decoder, the others go on
            yield photo, error
    inverted = _invert_together(found, editor, job)
    for photo, portrait in inverted.items():
        try:
            if isinstance(portrait, Exception):
                raise portrait
            # The editor's second half alone: its first, the inversion, was of many photos at once.
            result = editor.edit_portrait(portrait, job.request, job.output)
            manifest.put(partial(save, result.image), todo[photo], overwrite)
            manifest.add(photo, todo[photo], result.request, result.seconds)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise  # every other photo would fail, too
            yield photo, error
        else:
            yield photo, None


def _find(photo: Path, editor: FaceEditor, job: Job) -> Portrait:
    """Return a photo's aligned face; what it has for a code is still empty."""
    size = editor.backbones.require("generator", "an edit").config.resolution
    image = load_photo(photo)
    aligned = align(image, job.face_index, size, framing=editor.framing)
    crop = to_tensor(aligned.image)
    return Portrait(Face(crop, Latent(crop.new_empty(0), Space.W_PLUS)), image, aligned)


def _invert_together(
    found: Mapping[Path, Portrait], editor: FaceEditor, job: Job
) -> dict[Path, Portrait | Exception]:
    """Invert aligned faces at once; one by one where they would disturb each other.

    Refinement measures its step over the batch, so a face's result would depend on its neighbours.
    """
    together = not job.refine_steps and len(found) > 1
    if together:
        try:
            crops = torch.cat([portrait.face.image for portrait in found.values()])
            faces = invert(crops, Space.W_PLUS, editor.backbones)
            pairs = zip(found.items(), _single(faces), strict=True)
            return {photo: replace(portrait, face=face) for (photo, portrait), face in pairs}
        except RuntimeError:  # not enough memory for all of them
            pass
    return {photo: _inverted(portrait, editor, job) for photo, portrait in found.items()}


def _inverted(portrait: Portrait, editor: FaceEditor, job: Job) -> Portrait | Exception:
    """Invert one aligned face; what goes wrong is given back."""
    try:
        crop = portrait.face.image
        face = invert(crop, Space.W_PLUS, editor.backbones, job.refine_steps)
    except Exception as error:
        return error
    return replace(portrait, face=face)


def _single(faces: Face) -> Iterator[Face]:
    """Cut a batch into faces of one."""
    images, codes = faces.image.split(1), faces.latent.code.split(1)
    return (
        Face(image, Latent(code, faces.latent.space))
        for image, code in zip(images, codes, strict=True)
    )


def _reason(error: Exception) -> str:
    """Say on one line what went wrong."""
    text = " ".join(str(error).split())
    if isinstance(error, FaceEditError):
        return text
    if isinstance(error, OSError):
        return reason(error)
    return f"{type(error).__name__}: {text}"


# Settings -----------------------------------------------------------------------------------------


def _settle(editor: FaceEditor, job: Job) -> tuple[Job, str, tuple[str, ...]]:
    """Try the settings on a drawn face, so that what is wrong with them is known before any photo.

    Returns:
        The job with its method and its variant named, a digest of all that decides a result, and
        why the words may not be understood.
    """
    wanted = job.request
    drawn = editor.edit(
        editor.sample(0),
        wanted.prompt,
        strength=0,  # loads all and computes hardly anything
        method=wanted.method,
        variant=wanted.variant,
        neutral=wanted.neutral,
        mask=wanted.mask,
    )
    request = replace(wanted, method=drawn.request.method, variant=drawn.request.variant)
    facts = {
        "faceedit": __version__,
        "base": None if editor.base_folder is None else hub.fingerprint(editor.base_folder),
        "method": _weights_print(editor.method(request.method, request.variant)),
        "request": asdict(request),
        "job": [job.output, job.face_index, job.refine_steps],
        "dtype": str(editor.dtype),
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    # Whether a mask leaves room for the edit depends on the photo, not on the drawn face.
    understood = understand(request.prompt, editor.backbones.clip, request.neutral)
    undone = editor.library.left_undone(request)
    doubts = tuple(said for said in (understood.warning, undone) if said is not None)
    return replace(job, request=request), digest, doubts + understood.remarks


def _weights_print(method: EditMethod) -> str:
    """Return a digest of a method's settings and of what it has learned."""
    known = hashlib.blake2b(repr(method.config).encode(), digest_size=16)
    for name, tensor in sorted(method.state_dict().items()):
        known.update(name.encode())
        known.update(_bytes(tensor))
    return known.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    """Return a tensor's numbers as bytes, in whatever dtype."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().tobytes()


# Several processes --------------------------------------------------------------------------------


class Group:
    """The processes that a launcher started together: they wait for each other at the end.

    A launcher ends all others when one process ends with an error, so none may tell of its bad
    files before the others are through.

    Args:
        shard: This process's share; without a launcher, or with shares given by hand, there is no
            group.
        environment: Where launchers say how processes find each other.
    """

    def __init__(self, shard: Shard, environment: Mapping[str, str]) -> None:
        self.shard = shard
        self.linked = shard.count > 1 and {"RANK", "MASTER_ADDR"} <= set(environment)
        if self.linked:
            torch.distributed.init_process_group("gloo", timeout=PATIENCE)

    def sum(self, report: Report) -> Report:
        """Return the report of all processes; this one's own where there is no group."""
        if not self.linked:
            return report
        reports: list[Any] = [None] * self.shard.count
        torch.distributed.all_gather_object(reports, report)
        torch.distributed.destroy_process_group()
        return sum(reports[1:], reports[0])


def local_device(device: str, environment: Mapping[str, str]) -> str:
    """Return which of a machine's GPUs this process takes: "cuda" -> "cuda:1" for its second."""
    local = environment.get("LOCAL_RANK", "")
    if device != "cuda" or not local.isdecimal() or torch.cuda.device_count() < 2:
        return device
    return f"cuda:{int(local) % torch.cuda.device_count()}"


def run(
    load: Callable[[str], FaceEditor],
    folder: Path,
    output: Path,
    job: Job,
    save: Save,
    *,
    device: str = "cpu",
    shard: str | None = None,
    suffix: str = ".png",
    overwrite: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> tuple[Report, bool]:
    """Edit this process's share of a folder; return the report of all and whether to print it.

    `load` makes the editor of a device: "cuda" becomes another GPU for each process of a machine.
    `shard` is "I/N", or None for what a launcher says in `environment`. For the others see
    `edit_folder`.

    Raises:
        FaceEditError: As `edit_folder`.
    """
    share = Shard.read(shard, environment)
    plan(folder, output, suffix)  # what is wrong with the folders should be known before loading
    group = Group(share, environment if shard is None else {})
    editor = load(local_device(device, environment))
    report = edit_folder(
        editor, folder, output, job, save, shard=share, suffix=suffix, overwrite=overwrite
    )
    return group.sum(report), not group.linked or share.index == 0


def failures(report: Report) -> Sequence[str]:
    """Return one line a photo that could not be edited: its name and the reason."""
    return [f"{name}: {reason}" for name, reason in sorted(report.failed.items())]
