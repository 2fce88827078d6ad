"""Which methods are here: finding their repos, and loading each on its first use."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch

from faceedit import hub
from faceedit.backbones import Backbones, load_backbones, load_component
from faceedit.errors import PromptError, RepoError, RequestError
from faceedit.method import EditMethod
from faceedit.method_repo import (
    find_variant,
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
from faceedit.types import EditRequest

logger = logging.getLogger(__name__)


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
            backbones = load_backbones(base_folder).to(device or "cpu")
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
        loaded = {name for name, _ in self._methods}
        return [name for name in METHODS if name in loaded or self._is_here(name)]

    def preferred(self) -> str:
        """Return the method of an edit that names none."""
        if self.default is not None:
            return self.default
        here = (name for name in PREFERRED if (name, None) in self._methods or self._is_here(name))
        return next(here, PREFERRED[-1])

    def _load(self, wanted: type[EditMethod], variant: str | None) -> EditMethod:
        """Find a method's repo, check that it fits the base, and load it."""
        folder = self._folder_of(wanted)
        if folder is None:
            return wanted.build(self.backbones).eval()
        if variant is not None:
            folder = find_variant(folder, variant)
        elif variants := read_variants(folder):
            raise RequestError(f"{wanted.name} needs a variant; choose from {variants}")
        if self.base_folder is not None:
            hub.check_fingerprint(folder, self.base_folder)
        self._borrow(wanted, folder)
        return load_method(wanted, folder)

    def _borrow(self, wanted: type[EditMethod], folder: Path) -> None:
        """Add the networks that lie in a method's own repo to those that the methods share."""
        absent = sorted(wanted.brings - set(self.backbones.present()))
        if absent:
            loaded = {name: self._placed(load_component(name, folder)) for name in absent}
            self.backbones = replace(self.backbones, **loaded)

    def _folder_of(self, wanted: type[EditMethod]) -> Path | None:
        """Return a method's repo; None for one that has learned nothing that could be absent."""
        if wanted.name in self._repos:
            return self._repos[wanted.name]
        repo = self._repo_of(wanted.name)
        folder = hub.find_local(repo, self.base_folder)
        absent = wanted.brings - set(self.backbones.present())
        fits = folder and (self.base_folder is None or hub.fits_base(folder, self.base_folder))
        if not fits and wanted.kind == "optimized" and not absent:
            return None  # its own settings will do, where another base's start would not
        return folder or hub.find_repo(repo, self._download)

    def _is_here(self, name: str) -> bool:
        """Whether a method's folder is on this machine and was made with this base."""
        folder = hub.find_local(self._repo_of(name), self.base_folder)
        if folder is None or self.base_folder is None:
            return folder is not None
        return hub.fits_base(folder, self.base_folder)

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
