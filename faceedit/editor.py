"""The story: a photo and a sentence become a code, the code is edited, the face is put back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch

from faceedit import arguments, hub
from faceedit.backbones import Backbones
from faceedit.computing import computing, precision, seeded
from faceedit.errors import RequestError, UnknownMethodError
from faceedit.library import Library
from faceedit.masks import mask_of
from faceedit.method import EditMethod
from faceedit.methods import METHODS, method_class
from faceedit.photo import Framing, Photo
from faceedit.photograph import Photographs
from faceedit.portrait import Portrait, Step, after
from faceedit.portraits import Portraits
from faceedit.progress import Listener, listening
from faceedit.remarks import remarks_on
from faceedit.scores import Scores
from faceedit.sharing import Sharing
from faceedit.types import (
    MAX_SEED,
    EditRequest,
    EditResult,
    Face,
    Latent,
    Output,
    Space,
    read_output,
)
from faceedit.waiting import announce, compared, seconds
from faceedit.words.frames import frames_of
from faceedit.words.sentence import read

BASE = "faceedit/portraits-128"


class FaceEditor(Sharing):
    """Edit faces with sentences.

    Holds the shared networks and the methods; all mathematics is in the methods' files.

    Args:
        backbones: The networks.
        methods: Methods that are loaded already, by name.
        default: The method of an edit that names none.
        framing: How much of a photo an aligned face shows; what the networks were trained with.
        base_folder: Where the networks came from; methods are looked for next to it.
        download: How to ask the Hub for methods that are not on this machine.
        dtype: The precision of an edit's computation; see `from_pretrained`.
    """

    def __init__(
        self,
        backbones: Backbones,
        methods: dict[str, EditMethod] | None = None,
        *,
        default: str | None = None,
        framing: Framing = Framing.WORLD,
        base_folder: Path | None = None,
        download: hub.Download | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.library = Library(
            backbones,
            methods,
            default=default,
            framing=framing,
            base_folder=base_folder,
            download=download,
        )
        self.dtype = precision(dtype)
        self._portraits = Portraits()
        self._photographs = Photographs()
        self._scores = Scores()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = BASE,
        *,
        base: FaceEditor | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
    ) -> Self:
        """Load an editor from a method's repo or from the base that methods share.

        Args:
            name: "faceedit/clip-regression", "faceedit/portraits-128", another repo or a folder.
                Bundled copies are found first, then folders, then the Hub.
            base: An editor whose networks are to be shared instead of loaded again.
            device: Where to compute, like "cuda"; None is the CPU, or where `base` computes.
            dtype: The precision to compute in: float32 by default; bfloat16 is faster on a GPU.
                Weights and codes stay in float32.
            revision: A branch, tag or commit on the Hub.
            cache_dir: Where downloads are kept, if not in the usual place.
            token: For private repos, if not logged in.
            local_files_only: Never ask the Hub.
            force_download: Ask the Hub even for what is in its cache.

        Raises:
            RepoError: If a repo cannot be found, read or does not fit; the message says what to do.
            UnknownMethodError: If the repo holds a method that this version does not know.
            RequestError: If `device` or `dtype` cannot be used.
        """
        dtype = precision(dtype)
        if base is not None and not isinstance(base, FaceEditor):
            raise RequestError(f"base is {arguments.shown(base)}; it must be a FaceEditor")
        if device is not None:
            device = arguments.device(device)
        arguments.optional_name(revision, "revision")
        download = hub.Download(revision, cache_dir, token, local_files_only, force_download)
        library = Library.open(name, download, None if base is None else base.library, device)
        editor = cls(library.backbones, dtype=dtype or (None if base is None else base.dtype))
        editor.library = library
        return editor

    # What it holds --------------------------------------------------------------------------------

    @property
    def backbones(self) -> Backbones:
        """The shared networks."""
        return self.library.backbones

    @property
    def default(self) -> str | None:
        """The method of an edit that names none; None where nobody chose one."""
        return self.library.default

    @property
    def framing(self) -> Framing:
        """How much of a photo an aligned face shows."""
        return self.library.framing

    @property
    def base_folder(self) -> Path | None:
        """Where the networks came from."""
        return self.library.base_folder

    def method(self, name: str | None = None, variant: str | None = None) -> EditMethod:
        """Return a method, loaded on its first use.

        Raises:
            UnknownMethodError: If there is none of that name.
            RepoError: If its weights cannot be found or do not fit this base.
        """
        name = arguments.optional_name(name, "name")
        return self.library.method(name, arguments.optional_name(variant, "variant"))

    def available(self) -> list[str]:
        """Return the names of the methods that work here, with this base, without a download."""
        return self.library.available()

    # Editing --------------------------------------------------------------------------------------

    def edit(
        self,
        photo: Photo | Face | EditResult,
        prompt: str,
        *,
        strength: float = 1.0,
        seed: int = 0,
        method: str | None = None,
        variant: str | None = None,
        neutral: str = "a face",
        layers: tuple[int, int] | None = None,
        mask: Photo | Sequence[str] | None = None,
        output: Output | str = Output.PHOTOGRAPH,
        face_index: int | None = None,
        refine_steps: int = 0,
        steps: int | None = None,
        faithful: bool = False,
        progress: Listener | None = None,
    ) -> EditResult:
        """Return the photo with its face changed as the sentence says.

        Args:
            photo: A path, a PIL image, an array [h, w, 3], a `Face` from `sample` or `invert`, or
                the result of an edit, to go on from: its photo and its alignment are kept.
            prompt: What is wanted, like "red hair" or "a smiling face".
            strength: 0 gives the photo back, 1 is the method's usual edit; beyond is stronger.
            seed: For methods that draw random numbers.
            method: A name in METHODS; None is the editor's own.
            variant: Which of its sentences, for methods that learn one sentence a set of weights;
                None takes the one that comes nearest to the prompt.
            neutral: What the photo shows, in as many words as matter.
            layers: The w_plus layers [first, end) that may change; None is all.
            mask: Where the edit may act: regions by name ("hair", "hair+mouth", a list), or a
                picture as large as the photo, white = may change.
            output: "photograph" gives the photo itself with the edit carried on to it, "character"
                the generator's own face (also in `result.face`), "pasted" that face pasted into
                the photo, for bases whose faces are like photographs.
            face_index: Which face of several, 0 is the largest.
            refine_steps: Steps of descent that bring the inversion closer to the photo.
            steps: Of a method that descends; fewer are faster. None is its own number.
            faithful: Tune the generator to this photo first, some minutes at 1024 px on a CPU, so
                that it draws this very face. What was tuned is kept as a small file
                (`faceedit.pivotal`) and used again for further edits of the photo.
            progress: Called with the steps that are done and their number, while a method descends.

        Raises:
            FaceEditError: One of its children, for whatever a user can mend.
        """
        request = EditRequest(
            prompt, method, strength, neutral, variant, seed=seed, layers=layers, mask=mask,
            steps=steps,
        )  # fmt: skip
        wanted = read_output(output)
        with listening(progress):
            self._chosen(request)  # what cannot be done is said before a face is searched for
            portrait = self._portrait(photo, face_index, refine_steps, faithful)
            return self.edit_portrait(portrait, request, wanted)

    def _portrait(
        self,
        photo: Photo | Face | EditResult,
        face_index: int | None,
        refine_steps: int,
        tuned: bool = False,
    ) -> Portrait:
        """Find the face and its code; remembered by what the photo shows."""
        if isinstance(photo, Face):
            if tuned:
                raise RequestError("faithful needs a photo; a generated face is faithful already")
            return Portrait(photo)
        if isinstance(photo, EditResult):
            if photo.step is None:
                raise RequestError("this result came from no editor; edit its image instead")
            return after(photo.step, photo.step.portrait.networks or self.backbones)
        return self._portraits.found(photo, self.library, face_index, refine_steps, tuned)

    def edit_portrait(
        self, portrait: Portrait, request: EditRequest, output: Output = Output.PHOTOGRAPH
    ) -> EditResult:
        """Edit a face whose code is known, and put the result together.

        `edit` is this after the inversion; whoever inverts many photos at once calls it alone.
        """
        start = time.perf_counter()
        request, method = self._chosen(request)
        if request.strength != 0:
            announce(method, self.library)
        clip = self.library.require("clip", method.name)
        sentence = read(request.prompt, request.neutral, clip, frames_of(clip, method.frames))
        backbones = portrait.drawn_by(self.backbones)
        source = portrait.source(method.space, backbones)
        if request.mask is not None:
            source = replace(source, mask=mask_of(request.mask, portrait, self.library))
        # On top of earlier edits the mask has to wait until those are drawn, too.
        given = source if portrait.extra is None else replace(source, mask=None)
        with seeded(request.seed), computing(self.dtype, source.latent.code.device):
            networks = method.reading(backbones)
            edited = method.edit(given, sentence, networks, request.strength, request.layers)
        edited = source if edited is given else portrait.seen(source, edited, backbones)
        outcome = self._photographs.after(
            portrait, source, edited, self.backbones, sentence, request, output
        )
        doubts, notes = remarks_on(
            request, sentence, portrait, source, edited, outcome, self.library
        )
        return EditResult(
            image=edited.to_pil() if outcome is None else outcome.image,
            reconstruction=portrait.face.to_pil(),
            source=source.latent,
            edited=edited.latent,
            request=request,
            mask=edited.mask,
            face=edited.to_pil(),
            changed=None if outcome is None else outcome.changed,
            doubts=doubts,
            notes=notes,
            scores=self._scores.of(source, edited, sentence, self.backbones),
            seconds=time.perf_counter() - start,
            step=Step(portrait, source, edited, None if outcome is None else outcome.image),
        )

    def _chosen(self, request: EditRequest) -> tuple[EditRequest, EditMethod]:
        """Return the method of an edit, ready to run, and the request with its name."""
        variant = self.library.variant(request)
        method = self.method(request.method, variant)
        if request.steps is not None:
            method = method.with_steps(request.steps)
        return replace(request, method=method.name, variant=variant), method

    # Comparing and drawing ------------------------------------------------------------------------

    def compare(
        self,
        photo: Photo | Face | EditResult,
        prompt: str,
        methods: Iterable[str] | None = None,
        *,
        strength: float = 1.0,
        seed: int = 0,
        neutral: str = "a face",
        mask: Photo | Sequence[str] | None = None,
        output: Output | str = Output.PHOTOGRAPH,
        face_index: int | None = None,
        refine_steps: int = 0,
        steps: int | None = None,
        progress: Listener | None = None,
    ) -> Iterator[EditResult]:
        """Yield the same edit by one method after another, as they get ready.

        By default by all that work here, know the sentence and take less than a minute; a log
        message names those that would take longer. `result.request.method` says whose it is. The
        arguments are checked at the call, not at the first result; see `edit` for what they mean.
        `steps` shortens the methods that descend.
        """
        if methods is not None:
            names = arguments.names(methods, "methods")
        else:
            names = compared(self.library, prompt, steps)
        for name in names:
            method_class(name)
        if not names:
            raise UnknownMethodError("no method to compare; name at least one")
        requests = [
            EditRequest(
                prompt, name, strength, neutral, seed=seed, mask=mask,
                steps=steps if METHODS[name].kind == "optimized" else None,
            )
            for name in names
        ]  # fmt: skip
        wanted = read_output(output)
        portrait = self._portrait(photo, face_index, refine_steps)
        return self._edited_by(portrait, requests, wanted, progress)

    def _edited_by(
        self,
        portrait: Portrait,
        requests: Sequence[EditRequest],
        output: Output,
        progress: Listener | None,
    ) -> Iterator[EditResult]:
        """Yield one edit after another."""
        for request in requests:
            with listening(progress):
                result = self.edit_portrait(portrait, request, output)
            yield result

    def seconds(self, method: str | None = None, steps: int | None = None) -> float:
        """Return about how long one edit by a method will take here; 0 for the fast ones.

        Args:
            method: Its name; None is the editor's own.
            steps: As in `edit`.
        """
        return seconds(self.library, method, steps)

    def sample(self, seed: int = 0, truncation_psi: float = 0.7) -> Face:
        """Return a face that no photo shows; `edit` takes it, `to_pil()` shows it.

        Args:
            seed: Which one.
            truncation_psi: 1 for the full variety, less for more usual faces, 0 for the mean one.
        """
        seed = arguments.whole(seed, "seed", 0, MAX_SEED)
        truncation_psi = arguments.real(truncation_psi, "truncation_psi", 0, 1.5)
        generator = self.library.require("generator", "sample")
        source = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            w_plus = generator.sample_w_plus(1, source, truncation_psi)
            return Face(generator.synthesis(w_plus), Latent(w_plus, Space.W_PLUS))

    def invert(self, photo: Photo, *, face_index: int | None = None, refine_steps: int = 0) -> Face:
        """Return the generator's version of the photo's face, with its code in w_plus."""
        return self._portrait(photo, face_index, refine_steps).face

    # Moving ---------------------------------------------------------------------------------------

    def to(self, device: str | torch.device) -> Self:
        """Move everything to `device`, like "cuda"; returns itself."""
        self.library.to(arguments.device(device))
        self._portraits.clear()
        self._photographs, self._scores = Photographs(), Scores()
        return self
