"""Which methods work on a base, and what the others need: looked up, nothing is loaded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from faceedit import hub
from faceedit.errors import RepoError
from faceedit.method import EditMethod
from faceedit.remedies import Place

# Learned by a method, and not needed where its settings say so.
OPTIONAL = frozenset({"segmenter", "attributes", "landmarks"})


@dataclass(frozen=True)
class Readiness:
    """Whether a method works on a base.

    Attributes:
        name: The method.
        works: Whether an edit can start now.
        needs: What is missing and the command that brings it; empty where it works.
        settings: Where it works: "" for what it learned, or a word on whose settings it runs with.
    """

    name: str
    works: bool
    needs: str = ""
    settings: str = ""


def place_of(base: Path | None) -> Place:
    """Return what `remedies` needs to know of a base."""
    if base is None:
        return Place()
    try:
        config = hub.read_base(base)
    except RepoError:
        return Place(base)
    return Place(base, "converted_from" in config or config.get("framing") == "ffhq")


def readiness(
    method: type[EditMethod], folder: Path | None, base: Path | None, present: Collection[str]
) -> Readiness:
    """Return whether a method works.

    Args:
        method: Its class.
        folder: Its repo on this machine, or None.
        base: The base's folder, or None where the networks came from none.
        present: Names of the networks that are loaded.
    """
    place, name = place_of(base), method.name
    fits, made_for = False, ""
    if folder is not None:
        try:
            fits = base is None or hub.fits_base(folder, base)
        except RepoError as error:
            return Readiness(name, False, str(error))
        beside = base is not None and folder.resolve().parent == base.resolve().parent
        if beside and not fits:
            made_for = f" ({folder} was made for another base)"
    brought = set(method.brings) if fits else set()
    missing = sorted(method.edit_needs() - brought - set(present) - OPTIONAL)
    learned = method.kind != "optimized" or bool(method.brings - set(present))
    if learned and not fits:
        lacks = place.network("diffusion") if method.brings else place.method(name)
        return Readiness(name, False, f"{lacks}{made_for}")
    if missing:
        lacks = "; ".join(f"{network}: {place.network(network)}" for network in missing)
        return Readiness(name, False, f"the base has no {' and no '.join(missing)} ({lacks})")
    return Readiness(name, True, settings="" if fits else "the paper's settings")
