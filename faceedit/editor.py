"""The story: a photo and a sentence become a code, the code is edited, the face is put back."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from faceedit import hub
from faceedit.backbones import Backbones, load_backbones
from faceedit.errors import RepoError, RequestError, UnknownMethodError
from faceedit.inversion import invert, to_space, to_tensor
from faceedit.method import EditMethod, load_method, save_method
from faceedit.methods import METHODS, method_class
from faceedit.photo import AlignedFace, Framing, Photo, align, crop_quad, load_photo, paste_back
from faceedit.sentence import read
from faceedit.types import EditRequest, EditResult, Face, Latent, Sentence, Space

if TYPE_CHECKING:
    import PIL.Image

logger = logging.getLogger(__name__)

BASE = "faceedit/portraits-128"
PREFERRED = "styleclip_global"  # what an editor uses that was loaded from a base and told nothing
REMEMBERED = 16  # inversions kept, the latest used; each is a few hundred kB


@dataclass(frozen=True, eq=False)
class Portrait:
    """A photo on its way: its aligned face and that face's code. A generated face has no photo."""

    face: Face  # its code is in w_plus
    photo: PIL.Image.Image | None = None
    aligned: AlignedFace | None = None


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
    ) -> None:
        self.backbones = backbones
        self.default = default
        self.framing = framing
        self.base_folder = base_folder
        self._download = download
        self._methods: dict[tuple[str, str | None], EditMethod] = {
            (name, None): method for name, method in (methods or {}).items()
        }
        self._portraits: OrderedDict[tuple[Any, ...], Portrait] = OrderedDict()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = BASE,
        *,
        base: FaceEditor | None = None,
        device: str | torch.device = "cpu",
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
    ) -> Self:
        """Load an editor from a method's repo or from the base that methods share.

        Args:
            name: "faceedit/styleclip-global", "faceedit/portraits-128", another repo or a folder.
                Bundled copies are found first, then folders, then the Hub.
            base: An editor whose networks are to be shared instead of loaded again.
            device: Where to compute, like "cpu" or "cuda".
            revision: A branch, tag or commit on the Hub.
            cache_dir: Where downloads are kept, if not in the usual place.
            token: For private repos, if not logged in.
            local_files_only: Never ask the Hub.
            force_download: Ask the Hub even for what is in its cache.

        Raises:
            RepoError: If a repo cannot be found, read or does not fit; the message says what to do.
            UnknownMethodError: If the repo holds a method that this version does not know.
        """
        download = hub.Download(revision, cache_dir, token, local_files_only, force_download)
        folder = hub.find_repo(name, download)
        config = hub.read_config(folder)
        is_base = config.get("kind") == "base"
        if base is not None and base.base_folder is not None:
            base_folder, backbones = base.base_folder, base.backbones
        else:
            base_folder = folder if is_base else hub.find_base(folder, download)
            backbones = load_backbones(base_folder).to(device)
        others = replace(download, revision=None)  # the revision was of the repo that was named
        ffhq = hub.read_base(base_folder).get("framing") == "ffhq"
        framing = Framing.FFHQ if ffhq else Framing.WORLD
        editor = cls(backbones, framing=framing, base_folder=base_folder, download=others)
        if not is_base:
            editor._add(folder, config)
        return editor

    def _add(self, folder: Path, config: dict[str, Any]) -> None:
        """Load the method of a folder and make it the default."""
        name = str(config.get("method"))
        if self.base_folder is not None:
            hub.check_fingerprint(folder, self.base_folder)
        self._methods[name, None] = self._placed(load_method(method_class(name), folder))
        self.default = name

    # Editing --------------------------------------------------------------------------------------

    def edit(
        self,
        photo: Photo | Face,
        prompt: str,
        *,
        strength: float = 1.0,
        seed: int = 0,
        method: str | None = None,
        variant: str | None = None,
        neutral: str = "a face",
        layers: tuple[int, int] | None = None,
        mask: Photo | None = None,
        paste_back: bool = True,
        face_index: int | None = None,
        refine_steps: int = 0,
    ) -> EditResult:
        """Return the photo with its face changed as the sentence says.

        Args:
            photo: A path, a PIL image, an array [h, w, 3] or a `Face` from `sample` or `invert`.
            prompt: What is wanted, like "red hair" or "a smiling face".
            strength: 0 gives the photo back, 1 is the method's usual edit; beyond is stronger.
            seed: For methods that draw random numbers.
            method: A name in METHODS; None is the editor's own.
            variant: Which of its sentences, for methods that learn one sentence a set of weights.
            neutral: What the photo shows, in as many words as matter.
            layers: The w_plus layers [first, end) that may change; None is all.
            mask: As large as the photo; only its white parts may change.
            paste_back: Whether the result is the whole photo or only the aligned face.
            face_index: Which face of several, 0 is the largest.
            refine_steps: Steps of descent that bring the inversion closer to the photo.

        Raises:
            FaceEditError: One of its children, for whatever a user can mend.
        """
        request = EditRequest(
            prompt, method, strength, neutral, variant, seed=seed, layers=layers, mask=mask
        )
        portrait = self._portrait(photo, face_index, refine_steps)
        return self._edit(portrait, request, paste_back)

    def compare(
        self,
        photo: Photo | Face,
        prompt: str,
        methods: Iterable[str] | None = None,
        *,
        strength: float = 1.0,
        seed: int = 0,
        neutral: str = "a face",
        mask: Photo | None = None,
        paste_back: bool = True,
        face_index: int | None = None,
        refine_steps: int = 0,
    ) -> Iterator[EditResult]:
        """Yield the same edit by one method after another; all by default, as they get ready.

        `result.request.method` says whose it is. The arguments are checked at the call, not at
        the first result; see `edit` for what they mean.
        """
        names = self.available() if methods is None else list(methods)
        for name in names:
            method_class(name)
        if not names:
            raise UnknownMethodError("no method to compare; name at least one")
        requests = [
            EditRequest(prompt, name, strength, neutral, seed=seed, mask=mask) for name in names
        ]
        portrait = self._portrait(photo, face_index, refine_steps)
        return (self._edit(portrait, request, paste_back) for request in requests)

    def sample(self, seed: int = 0, truncation_psi: float = 0.7) -> Face:
        """Return a face that no photo shows; `edit` takes it, `to_pil()` shows it.

        Args:
            seed: Which one.
            truncation_psi: 1 for the full variety, less for more usual faces, 0 for the mean one.
        """
        EditRequest("a face", seed=seed)  # for its check of the seed
        if not 0 <= truncation_psi <= 1.5:
            raise RequestError(f"truncation_psi is {truncation_psi}; it must lie in [0, 1.5]")
        generator = self.backbones.require("generator", "sample")
        source = torch.Generator().manual_seed(int(seed))
        with torch.no_grad():
            w_plus = generator.sample_w_plus(1, source, truncation_psi)
            return Face(generator.synthesis(w_plus), Latent(w_plus, Space.W_PLUS))

    def invert(self, photo: Photo, *, face_index: int | None = None, refine_steps: int = 0) -> Face:
        """Return the generator's version of the photo's face, with its code in w_plus."""
        return self._portrait(photo, face_index, refine_steps).face

    def _portrait(self, photo: Photo | Face, face_index: int | None, refine_steps: int) -> Portrait:
        """Find the face and its code; remembered by what the photo shows."""
        if isinstance(photo, Face):
            return Portrait(photo)
        image = load_photo(photo)
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        key = (digest, image.size, face_index, refine_steps)
        if key not in self._portraits:
            generator = self.backbones.require("generator", "an edit")
            size = generator.config.resolution
            aligned = align(image, face_index, size, framing=self.framing)
            crop = to_tensor(aligned.image)
            face = invert(crop, Space.W_PLUS, self.backbones, refine_steps)
            self._portraits[key] = Portrait(face, aligned=aligned)
        self._portraits.move_to_end(key)
        while len(self._portraits) > REMEMBERED:
            self._portraits.popitem(last=False)
        return replace(self._portraits[key], photo=image)

    def _edit(self, portrait: Portrait, request: EditRequest, whole: bool) -> EditResult:
        """Edit a face whose code is known, and put the result together."""
        start = time.perf_counter()
        method = self.method(request.method, request.variant)
        request = replace(request, method=method.name)
        clip = self.backbones.require("clip", method.name)
        sentence = read(request.prompt, request.neutral, clip)
        source = to_space(portrait.face, method.space, self.backbones)
        if request.mask is not None:
            source = replace(source, mask=_aligned_mask(request.mask, portrait))
        with _seeded(request.seed):
            edited = method.edit(source, sentence, self.backbones, request.strength, request.layers)
        return EditResult(
            image=_compose(portrait, source, edited) if whole else edited.to_pil(),
            reconstruction=portrait.face.to_pil(),
            source=source.latent,
            edited=edited.latent,
            request=request,
            mask=edited.mask,
            face=edited.to_pil(),
            scores=self._scores(source, edited, sentence),
            seconds=time.perf_counter() - start,
        )

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

    # Methods --------------------------------------------------------------------------------------

    def method(self, name: str | None = None, variant: str | None = None) -> EditMethod:
        """Return a method, loaded on its first use.

        Raises:
            UnknownMethodError: If there is none of that name.
            RepoError: If its weights cannot be found or do not fit this base.
        """
        name = name or self.default or PREFERRED
        wanted = method_class(name)
        if (name, variant) not in self._methods:
            self._methods[name, variant] = self._placed(self._load(wanted, variant))
        return self._methods[name, variant]

    def _load(self, wanted: type[EditMethod], variant: str | None) -> EditMethod:
        """Find a method's repo, check that it fits the base, and load it."""
        repo = repo_of(wanted.name)
        folder = hub.find_local(repo, self.base_folder)
        if folder is None and wanted.kind == "optimized":
            return wanted.build(
                self.backbones
            ).eval()  # it has learned nothing that could be absent
        folder = folder or hub.find_repo(repo, self._download)
        if variant is not None:
            folder = _variant_folder(folder, variant)
        if self.base_folder is not None:
            hub.check_fingerprint(folder, self.base_folder)
        return load_method(wanted, folder)

    def available(self) -> list[str]:
        """Return the names of the methods that work here without a download."""
        loaded = {name for name, _ in self._methods}
        return [
            name
            for name in METHODS
            if name in loaded or hub.find_local(repo_of(name), self.base_folder) is not None
        ]

    def _placed(self, method: EditMethod) -> EditMethod:
        """Move a method to where the networks compute."""
        generator = self.backbones.generator
        return method if generator is None else method.to(generator.w_avg.device)

    # Moving and saving ----------------------------------------------------------------------------

    def to(self, device: str | torch.device) -> Self:
        """Move everything to `device`, like "cuda"; returns itself."""
        self.backbones.to(device)
        for method in self._methods.values():
            method.to(device)
        self._portraits.clear()
        return self

    def save_pretrained(self, folder: str | Path, *, save_base: bool = False) -> None:
        """Write the editor's method as a repo's folder, which `from_pretrained` reads.

        Args:
            folder: Where; made if absent.
            save_base: Also copy the base next to it, so that both work on a machine with neither.

        Raises:
            RepoError: If the networks came from no folder, so that nothing can name them.
        """
        if self.base_folder is None:
            raise RepoError("this editor's networks came from no folder; save them as a base first")
        folder = Path(folder)
        neighbour = folder.resolve().parent / self.base_folder.name
        save_method(
            self.method(),
            folder,
            base=f"{hub.OWNER}/{self.base_folder.name}",
            fingerprint=hub.fingerprint(self.base_folder),
            half=False,
        )
        if save_base and neighbour != self.base_folder.resolve():
            shutil.copytree(self.base_folder, neighbour, dirs_exist_ok=True)


def repo_of(name: str) -> str:
    """Return the repo id of a method; Hub names have hyphens."""
    return f"{hub.OWNER}/{name.replace('_', '-')}"


def _variant_folder(folder: Path, variant: str) -> Path:
    """Return the folder of one sentence's weights, or list the choices."""
    choices = sorted(path.parent.name for path in folder.glob(f"*/{hub.CONFIG}"))
    if variant not in choices:
        raise RequestError(f"{folder.name} has no variant {variant!r}; choose from {choices}")
    return folder / variant


def _aligned_mask(mask: Any, portrait: Portrait) -> torch.Tensor:
    """Return the part of a photo's mask that lies on its aligned face, [1, 1, h, w] in [0, 1]."""
    drawn = load_photo(mask)
    photo = portrait.photo or portrait.face.to_pil()
    if drawn.size != photo.size:
        given, needed = "{} x {}".format(*drawn.size), "{} x {}".format(*photo.size)
        raise RequestError(f"the mask has {given} px and the photo {needed}; they must be equal")
    if portrait.aligned is not None:
        drawn = crop_quad(drawn, portrait.aligned.quad, portrait.aligned.size)
    return to_tensor(drawn.convert("L")).add(1).div(2)[:, :1].to(portrait.face.image)


def _compose(portrait: Portrait, source: Face, edited: Face) -> PIL.Image.Image:
    """Put the edited face back into its photo; an edit of strength 0 gives the photo itself."""
    if portrait.photo is None or portrait.aligned is None:
        return edited.to_pil()
    if edited is source:
        return portrait.photo.copy()
    mask = None
    if source.mask is not None:
        mask = Face(source.mask.mul(2).sub(1).expand(-1, 3, -1, -1), source.latent).to_pil()
    return paste_back(portrait.photo, portrait.aligned, edited.to_pil(), mask=mask)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from this seed inside; the caller's own random numbers go on as if nothing happened."""
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        yield
