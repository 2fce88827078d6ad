"""Which methods are here: finding their repos, and loading each on its first use."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch

from faceedit import hub
from faceedit.backbones import (
    Backbones,
    load_backbones,
    load_component,
    with_photograph_readers,
)
from faceedit.errors import MissingBackboneError, PromptError, RepoError, RequestError
from faceedit.memory import keep_freed_memory
from faceedit.method import EditMethod
from faceedit.method_repo import (
    find_variant,
    left_undone,
    load_method,
    method_of,
    nearest_variant,
    read_variants,
    repo_of,
    write_repo,
)
from faceedit.methods import METHODS, method_class
from faceedit.notes import PREFERRED
from faceedit.photo import Framing
from faceedit.readiness import OPTIONAL, Readiness, place_of, readiness
from faceedit.remedies import WORLD_ONLY, Place
from faceedit.types import EditRequest

logger = logging.getLogger(__name__)
FROM_THE_HUB = "styleclip_global"  # what is fetched where no method of a downloaded base is here


LARGE = 512  # px of pictures from which on clearing memory takes as long as drawing


class Library:
    """The shared networks, and the methods that work with them.

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
        self._repos: dict[str, Path] = {}  # of methods with variants that were named by folder

    @classmethod
    def open(
        cls,
        name: str | Path,
        download: hub.Download,
        shared: Self | None = None,
        device: str | torch.device | None = None,
    ) -> Self:
        """Open a base's repo, or a method's repo with the base that it names.

        Args:
            name: A repo id or a folder.
            download: How to ask the Hub.
            shared: A library whose networks are to be used instead of loading them again.
            device: Where to compute; None is the CPU, or where `shared` computes.

        Raises:
            RepoError: If a repo cannot be found, read or does not fit.
            UnknownMethodError: If the repo holds a method that this version does not know.
            RequestError: If the shared networks are on another device.
        """
        folder = hub.find_repo(name, download)
        is_base = hub.read_config(folder).get("kind") == "base"
        wanted = None if is_base else method_class(method_of(folder))
        others = replace(download, revision=None)  # the revision was of the repo that was named
        if shared is None:
            base_folder = folder if is_base else hub.find_base(folder, download)
            ffhq = hub.read_base(base_folder).get("framing") == "ffhq"
            framing = Framing.FFHQ if ffhq else Framing.WORLD
            backbones = load_backbones(base_folder)
            backbones = with_photograph_readers(backbones, base_folder).to(device or "cpu")
            _prepare(backbones)
            library = cls(backbones, framing=framing, base_folder=base_folder, download=others)
        else:
            shared.require_sharing(folder if is_base else None, device)
            library = cls(
                shared.backbones,
                framing=shared.framing,
                base_folder=shared.base_folder,
                download=others,
            )
        if wanted is not None:
            library._add(folder, wanted)
        return library

    def _add(self, folder: Path, wanted: type[EditMethod]) -> None:
        """Load the method of a folder and make it the default."""
        if self.base_folder is not None:
            hub.check_fingerprint(folder, self.base_folder)
        if read_variants(folder):  # each is loaded when a prompt asks for it
            self._repos[wanted.name] = folder
        else:
            self._borrow(wanted, folder)
            self._methods[wanted.name, None] = self._placed(load_method(wanted, folder))
        self.default = wanted.name

    def require_sharing(self, folder: Path | None, device: str | torch.device | None) -> None:
        """Raise unless these networks can be shared: where they are, and as the base they are.

        Raises:
            RequestError: If they are on another device.
            RepoError: If `folder` is another base.
        """
        generator = self.backbones.generator
        if device is not None and generator is not None:
            here, there = torch.device(device), generator.w_avg.device
            if (here.type, here.index or 0) != (there.type, there.index or 0):
                raise RequestError(
                    f"the shared networks are on {there}, not on {here}; leave `device` out"
                )
        if folder is None or self.base_folder is None:
            return
        if hub.fingerprint(folder) != hub.fingerprint(self.base_folder):
            raise RepoError(
                f"{folder.name} is another base than that of `base`; leave one of them out"
            )

    # Methods --------------------------------------------------------------------------------------

    def method(self, name: str | None = None, variant: str | None = None) -> EditMethod:
        """Return a method, loaded on its first use.

        Raises:
            UnknownMethodError: If there is none of that name.
            RepoError: If its weights cannot be found or do not fit this base.
        """
        name = name or self.preferred()
        wanted = method_class(name)
        if (name, variant) not in self._methods:
            self._methods[name, variant] = self._placed(self._load(wanted, variant))
        return self._methods[name, variant]

    def variant(self, request: EditRequest) -> str | None:
        """Return the variant that is asked for, or the nearest to the prompt; None without any.

        Raises:
            RequestError: If no variant comes near to the prompt.
        """
        name = request.method or self.preferred()
        if request.variant is not None or (name, None) in self._methods:
            return request.variant
        folder = self._folder_of(method_class(name))
        if folder is None:
            return None
        clip = self.backbones.require("clip", name)
        return nearest_variant(request.prompt, folder, clip)

    def left_undone(self, request: EditRequest) -> str | None:
        """Return what of a prompt the chosen variant of a method does not do; None if nothing."""
        name = request.method or self.preferred()
        folder = self._folder_of(method_class(name)) if request.variant else None
        if request.variant is None or folder is None:
            return None
        clip = self.backbones.require("clip", name)
        return left_undone(request.prompt, request.variant, folder, clip)

    def knows(self, name: str, prompt: str) -> bool:
        """Return whether a method can be asked for this prompt."""
        try:
            self.variant(EditRequest(prompt, name))
        except PromptError:  # is wrong with every method
            raise
        except RequestError as error:
            logger.info("%s is left out: %s", name, error)
            return False
        return True

    def available(self) -> list[str]:
        """Return the names of the methods that work here, with this base, without a download."""
        return [name for name in METHODS if self.readiness(name).works]

    def readiness(self, name: str) -> Readiness:
        """Return whether a method works with this base, or what it needs and how to get it.

        Raises:
            UnknownMethodError: If there is none of that name.
        """
        wanted = method_class(name)
        present = set(self.backbones.present())
        folder = hub.find_local(self._repo_of(name), self.base_folder)
        found = readiness(wanted, folder, self.base_folder, present)
        if not found.works and name in {loaded for loaded, _ in self._methods} | set(self._repos):
            missing = sorted(wanted.edit_needs() - present - OPTIONAL)
            needs = "; ".join(f"{lacked}: {self.place.network(lacked)}" for lacked in missing)
            return Readiness(name, not missing, needs)
        return found

    @property
    def place(self) -> Place:
        """The base, as messages about what it lacks need it."""
        return place_of(self.base_folder)

    def require(self, network: str, reader: str) -> Any:
        """Return a network of the base, for `reader`.

        Raises:
            MissingBackboneError: If the base has none; the message says how to get one.
        """
        if getattr(self.backbones, network) is None:
            where = "the base" if self.base_folder is None else str(self.base_folder)
            raise MissingBackboneError(
                f"{reader} needs the network {network!r}, which {where} lacks: "
                f"{self.place.network(network)}"
            )
        return self.backbones.require(network, reader)

    def preferred(self) -> str:
        """Return the method of an edit that names none: the best of those that work here.

        Raises:
            RepoError: If none works; the message says what the first choices need.
        """
        if self.default is not None:
            return self.default
        states = [self.readiness(name) for name in PREFERRED]
        works = [state for state in states if state.works]
        own = [state.name for state in works if not state.settings]
        if own:
            return own[0]
        if self.base_folder is not None and hub.revision_of(self.base_folder) is not None:
            return FROM_THE_HUB  # where the base came from
        if works:
            return works[0].name
        first = [s for s in states if s.name not in WORLD_ONLY or not self.place.official][:3]
        reasons = "; ".join(f"{state.name}: {state.needs}" for state in first)
        raise RepoError(f"no method works with this base yet. {reasons}")

    def _load(self, wanted: type[EditMethod], variant: str | None) -> EditMethod:
        """Find a method's repo, check that it fits the base, and load it."""
        folder = self._folder_of(wanted)
        if folder is None:
            for network in sorted(wanted.edit_needs()):
                self.require(network, wanted.name)
            return wanted.build(self.backbones).eval()
        if variant is not None:
            folder = find_variant(folder, variant)
        elif variants := read_variants(folder):
            raise RequestError(f"{wanted.name} needs a variant; choose from {variants}")
        self._borrow(wanted, folder)
        return load_method(wanted, folder)

    def _borrow(self, wanted: type[EditMethod], folder: Path) -> None:
        """Add the networks that lie in a method's own repo to those that the methods share."""
        absent = sorted(wanted.brings - set(self.backbones.present()))
        if absent:
            loaded = {name: self._placed(load_component(name, folder)) for name in absent}
            self.backbones = replace(self.backbones, **loaded)

    def _folder_of(self, wanted: type[EditMethod]) -> Path | None:
        """Return a method's repo; None for one that has learned nothing that could be absent.

        Raises:
            RepoError: If there is none for this base; the message says how to get one.
        """
        if wanted.name in self._repos:
            return self._repos[wanted.name]
        repo = self._repo_of(wanted.name)
        folder = hub.find_local(repo, self.base_folder)
        absent = wanted.brings - set(self.backbones.present())
        fits = folder and (self.base_folder is None or hub.fits_base(folder, self.base_folder))
        if fits:
            return folder
        if wanted.kind == "optimized" and not absent:
            if folder is not None:
                logger.info("%s is set up for another base; its paper's settings are used", folder)
            return None
        if folder is None and not self.place.official:
            folder = hub.find_repo(repo, self._download)
            if self.base_folder is None or hub.fits_base(folder, self.base_folder):
                return folder
        needs = readiness(wanted, folder, self.base_folder, self.backbones.present()).needs
        raise RepoError(f"{wanted.name} does not work with this base: {needs}")

    def _repo_of(self, name: str) -> str:
        """Return a method's repo, which has the owner of the base."""
        if self.base_folder is None:
            return repo_of(name)
        return repo_of(name, hub.name_of(self.base_folder).split("/")[0])

    # Moving and saving ----------------------------------------------------------------------------

    def _placed(self, module: hub.AnyModule) -> hub.AnyModule:
        """Move a method or a network to where the networks compute."""
        generator = self.backbones.generator
        return module if generator is None else module.to(generator.w_avg.device)

    def to(self, device: str | torch.device) -> None:
        """Move everything to `device`, like "cuda"."""
        self.backbones.to(device)
        for method in self._methods.values():
            method.to(device)

    def save(self, folder: Path) -> None:
        """Write the default method as a repo's folder; one with variants with all of them.

        Raises:
            RepoError: If the networks came from no folder, so that nothing can name them.
        """
        if self.base_folder is None:
            raise RepoError("this editor's networks came from no folder; save them as a base first")
        name = self.preferred()
        source = self._repos[name] if name in self._repos else self.method(name)
        write_repo(folder, source, self.backbones, self.base_folder)


def _prepare(backbones: Backbones) -> None:
    """Let the process keep the memory that large pictures take, where they are drawn on a CPU."""
    generator = backbones.generator
    if generator is None or generator.w_avg.device.type != "cpu":
        return
    if generator.config.resolution >= LARGE:
        keep_freed_memory()
