"""The story: a photo and a sentence become a code, the code is edited, the face is put back."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch

from faceedit import arguments, hub
from faceedit.backbones import Backbones
from faceedit.errors import RequestError, UnknownMethodError
from faceedit.estimate import LONG, in_words, seconds_of
from faceedit.inversion import MAX_REFINE_STEPS, to_tensor
from faceedit.library import Library
from faceedit.method import EditMethod
from faceedit.method_repo import push_repo
from faceedit.methods import METHODS, method_class
from faceedit.notes import PREFERRED
from faceedit.photo import Framing, Photo, crop_quad, keep_outside, load_mask, load_photo
from faceedit.photo.regions import read_regions, region_mask
from faceedit.photograph import Outcome, Photographs
from faceedit.portrait import Portrait, Step, after, pasted
from faceedit.portraits import SEARCHED, Portraits
from faceedit.progress import Listener, listening
from faceedit.types import (
    MAX_SEED,
    EditRequest,
    EditResult,
    Face,
    Latent,
    Output,
    Sentence,
    Space,
    read_output,
)
from faceedit.words.frames import frames_of
from faceedit.words.sentence import read
from faceedit.words.understanding import Understanding, understand

logger = logging.getLogger(__name__)

BASE = "faceedit/portraits-128"
NOT_PARSED = "this base has no network that finds the regions of a photo; the face was pasted in"
VISIBLE = 2 / 255  # of a mask; what it lets through below this cannot be seen
MAX_FACES = 10_000  # in a photo


class FaceEditor:
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
        self.dtype = _precision(dtype)
        self._portraits = Portraits()
        self._photographs = Photographs()

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
        dtype = _precision(dtype)
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
        with listening(progress):
            portrait = self._portrait(photo, face_index, refine_steps, faithful)
            return self.edit_portrait(portrait, request, read_output(output))

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
            names = self._compared(prompt, steps)
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

    def _compared(self, prompt: str, steps: int | None) -> list[str]:
        """Return the methods of a comparison: those that know the sentence and are not slow."""
        names = [name for name in self.available() if self.library.knows(name, prompt)]
        slow = {name: time for name in names if (time := self.seconds(name, steps)) > LONG}
        if slow:
            listed = ", ".join(f"{name} (about {in_words(time)})" for name, time in slow.items())
            logger.warning("left out, because they take long here: %s; name them to run", listed)
        return [name for name in names if name not in slow]

    def seconds(self, method: str | None = None, steps: int | None = None) -> float:
        """Return about how long one edit by a method will take here; 0 for the fast ones.

        Args:
            method: Its name; None is the editor's own.
            steps: As in `edit`.
        """
        if METHODS[method or self.library.preferred()].kind != "optimized":
            return 0.0
        loaded = self.method(method)
        if steps is not None:
            loaded = loaded.with_steps(steps)
        return seconds_of(loaded, self.backbones)

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
        if face_index is not None:
            face_index = arguments.whole(face_index, "face_index", 0, MAX_FACES)
        refine_steps = arguments.whole(refine_steps, "refine_steps", 0, MAX_REFINE_STEPS)
        image = load_photo(photo)
        return self._portraits.found(image, self.library, face_index, refine_steps, tuned)

    def edit_portrait(
        self, portrait: Portrait, request: EditRequest, output: Output = Output.PHOTOGRAPH
    ) -> EditResult:
        """Edit a face whose code is known, and put the result together.

        `edit` is this after the inversion; whoever inverts many photos at once calls it alone.
        """
        start = time.perf_counter()
        variant = self.library.variant(request)
        method = self.method(request.method, variant)
        request = replace(request, method=method.name, variant=variant)
        if request.steps is not None:
            method = method.with_steps(request.steps)
        if request.strength != 0:
            self._announce(method)
        clip = self.library.require("clip", method.name)
        sentence = read(request.prompt, request.neutral, clip, frames_of(clip, method.frames))
        backbones = self._networks(portrait)
        source = portrait.source(method.space, backbones)
        if request.mask is not None:
            source = replace(source, mask=self._mask(request.mask, portrait))
        # On top of earlier edits the mask has to wait until those are drawn, too.
        given = source if portrait.extra is None else replace(source, mask=None)
        with _seeded(request.seed), self._computing():
            networks = method.reading(backbones)
            edited = method.edit(given, sentence, networks, request.strength, request.layers)
        edited = source if edited is given else portrait.seen(source, edited, backbones)
        outcome = self._outcome(portrait, source, edited, request, sentence, output)
        understood = understand(request.prompt, clip, request.neutral)
        doubts = _doubts(understood, source)
        notes = doubts + understood.remarks
        if portrait.photo is not None and self.backbones.encoder is None:
            notes += (SEARCHED,)
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
            notes=notes + (() if outcome is None else outcome.notes),
            scores=self._scores(source, edited, sentence),
            seconds=time.perf_counter() - start,
            step=Step(portrait, source, edited, None if outcome is None else outcome.image),
        )

    def _networks(self, portrait: Portrait) -> Backbones:
        """Return the networks for a face: those of now, with the generator tuned to its photo."""
        if portrait.networks is None:
            return self.backbones
        return replace(self.backbones, generator=portrait.networks.generator)

    def _announce(self, method: EditMethod) -> None:
        """Say so before an edit that takes long, and how it can be shortened."""
        seconds = seconds_of(method, self.backbones)
        if seconds > LONG:
            generator = self.backbones.generator
            where = "here" if generator is None else f"on {generator.w_avg.device.type} here"
            logger.warning(
                "%s takes about %s %s (%d steps); steps=%d is faster, a GPU much, and %s at once",
                method.name, in_words(seconds), where, method.config.steps,
                max(1, method.config.steps // 4), self._fast_method(),
            )  # fmt: skip

    def _fast_method(self) -> str:
        """Return the first method that answers at once, in words."""
        fast = (name for name in PREFERRED if METHODS[name].kind != "optimized")
        name = next((name for name in fast if self.library.readiness(name).works), None)
        return "no other method answers" if name is None else f"{name} answers"

    def _outcome(
        self,
        portrait: Portrait,
        source: Face,
        edited: Face,
        request: EditRequest,
        sentence: Sentence,
        output: Output,
    ) -> Outcome | None:
        """Return the photo after an edit; None for a face that no photo shows, or if unwanted."""
        if portrait.photo is None or portrait.aligned is None or output is Output.CHARACTER:
            return None
        mask = request.mask
        if output is Output.PASTED:
            image = pasted(portrait, source, edited)
            if mask is not None and read_regions(mask) is None:
                image = keep_outside(portrait.photo, image, load_mask(mask))
            return Outcome(image)
        if self.backbones.segmenter is None:
            return Outcome(pasted(portrait, source, edited), notes=(NOT_PARSED,))
        prompt, strength = sentence.prompt[0], request.strength
        return self._photographs.carried(
            portrait, source, edited, self.backbones, mask, prompt=prompt, strength=strength
        )

    def _mask(self, mask: Any, portrait: Portrait) -> torch.Tensor:
        """Return where an edit may act, [1, 1, h, w] in [0, 1], from region names or a picture."""
        names = read_regions(mask)
        if names is None:
            return _aligned_mask(mask, portrait)
        backbones = self.backbones.parsing(names)
        if backbones.segmenter is None:
            self.library.require("segmenter", "a mask by name")
        return region_mask(portrait.face.image, names, backbones.segmenter)

    @torch.no_grad()
    def _scores(self, source: Face, edited: Face, sentence: Sentence) -> dict[str, float]:
        """Measure an edit by the networks that the methods see, not by independent judges.

        clip_score is the cosine of image and sentence, clip_gain how much the edit raised it,
        identity the cosine of the two faces; higher is better for all three.
        """
        both = torch.cat([source.image, edited.image])
        fits = self.backbones.clip.encode_image(both) @ sentence.target[0]
        scores = {"clip_score": fits[1].item(), "clip_gain": (fits[1] - fits[0]).item()}
        if self.backbones.identity is not None:
            before, after = self.backbones.identity.embed(both)
            scores["identity"] = (before @ after).item()
        return scores

    # Moving and saving ----------------------------------------------------------------------------

    def to(self, device: str | torch.device) -> Self:
        """Move everything to `device`, like "cuda"; returns itself."""
        self.library.to(arguments.device(device))
        self._portraits.clear()
        self._photographs = Photographs()
        return self

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute in the editor's precision inside."""
        generator = self.backbones.generator
        if self.dtype is None or generator is None:
            yield
            return
        with torch.autocast(generator.w_avg.device.type, self.dtype):
            yield

    def save_pretrained(self, folder: str | Path, *, save_base: bool = False) -> None:
        """Write the editor's method as a repo's folder, which `from_pretrained` reads.

        Args:
            folder: Where; made if absent. A README.md that is there stays.
            save_base: Also copy the base next to it, so that both work on a machine with neither.

        Raises:
            RepoError: If the networks came from no folder, so that nothing can name them.
        """
        folder = arguments.folder(folder, "folder")
        self.library.save(folder)
        base = self.base_folder
        if save_base and base is not None:
            neighbour = folder.resolve().parent / hub.name_of(base).split("/")[1]
            if neighbour != base.resolve():
                shutil.copytree(base, neighbour, dirs_exist_ok=True)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        commit_message: str = "Upload with faceedit",
    ) -> str:
        """Send the editor's method to the Hub and return the repo's address.

        The base is not sent: the repo names it, as `save_pretrained` does. A card that the repo
        has already is not overwritten.

        Args:
            repo_id: "your-name/my-edits"; made if there is none.
            private: Whether a new repo is private; None is the owner's habit.
            token: If not logged in.
            revision: The branch; made if there is none.
            create_pr: Propose a pull request instead of changing the branch.
            commit_message: The commit's first line.

        Raises:
            RepoError: If the networks came from no folder, or the Hub does not take it.
        """
        return push_repo(
            repo_id,
            self.library.save,
            private=private,
            token=token,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
        )


def _precision(dtype: torch.dtype | None) -> torch.dtype | None:
    """Return what autocast is to use; None for float32.

    Raises:
        RequestError: If nothing can be computed in that dtype.
    """
    if not any(dtype is known for known in (None, torch.float32, torch.bfloat16, torch.float16)):
        raise RequestError(
            f"dtype is {arguments.shown(dtype)}; it must be torch.float32, bfloat16 or float16"
        )
    return None if dtype is torch.float32 else dtype


def _doubts(understood: Understanding, source: Face) -> tuple[str, ...]:
    """Return why an edit may not be what was asked for: words or a mask of little effect."""
    found = [] if understood.warning is None else [understood.warning]
    if source.mask is not None and float(source.mask.max()) < VISIBLE:
        found.append("the mask allows no change on this face, so nothing was edited")
    return tuple(found)


def _aligned_mask(mask: Any, portrait: Portrait) -> torch.Tensor:
    """Return the part of a photo's mask that lies on its aligned face, [1, 1, h, w] in [0, 1]."""
    drawn = load_mask(mask)
    photo = portrait.photo or portrait.face.to_pil()
    if drawn.size != photo.size:
        given, needed = "{} x {}".format(*drawn.size), "{} x {}".format(*photo.size)
        raise RequestError(f"the mask has {given} px and the photo {needed}; they must be equal")
    if portrait.aligned is not None:
        drawn = crop_quad(drawn.convert("RGB"), portrait.aligned.quad, portrait.aligned.size)
    return to_tensor(drawn.convert("RGB")).add(1).div(2)[:, :1].to(portrait.face.image)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from this seed inside; the caller's own random numbers go on as if nothing happened."""
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        yield
