"""Methods as rows of the table, and all rows that take part."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faceedit import hub
from faceedit.editor import FaceEditor
from faceedit.errors import FaceEditError, RequestError
from faceedit.inversion import to_space
from faceedit.method import EditMethod
from faceedit.method_repo import repo_of
from faceedit.methods import METHODS, method_class
from faceedit.types import EditRequest, Face, Space
from faceedit.words.sentence import read
from faceedit.world.statements import find
from training.benchmark.baselines import moved
from training.benchmark.faces import Case
from training.benchmark.prompts import Prompt
from training.benchmark.row import Edit, Row
from training.config import ROOT

__all__ = ["MethodRow", "method_rows"]

NEUTRAL = "a face"
WEIGHTS = ".safetensors"  # ends the names of all weights, those in diffusers' folders too


# ------------------------------------------------------------------------------ methods
class MethodRow(Row):
    """A method as a user gets it, with the strength that it is published with.

    A descent is done once for all strengths, because these methods define strength as the place on
    the straight line from the source to the optimum.

    Args:
        editor: Loads the method.
        name: A name in METHODS.
        label: The row's name; None: the method's.
        settings: Settings of its config that are to be others, for ablations.
    """

    method = True

    def __init__(
        self,
        editor: FaceEditor,
        name: str,
        label: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.editor = editor
        self.method_name = name
        self.name = label or name
        self.folder = hub.find_local(repo_of(name), editor.base_folder)
        published = asdict(method_class(name).config_class())
        if self.folder is not None:
            published |= hub.read_config(self.folder).get("method_config", {})
        given = dict(settings or {})
        self.settings = {k: value for k, value in given.items() if published.get(k) != value}
        self.kind = method_class(name).kind
        self.slow = self.kind == "optimized"
        self.slowest = self.of_photo = method_class(name).space is Space.X_T
        self.line = self.slow and not self.slowest
        if self.slowest:  # every strength would be a guided denoising of its own
            self.strengths = (1.0,)
        self.variants = variant_sentences(self.folder)
        self._loaded: dict[str | None, EditMethod] = {}

    @property
    def recorded_as(self) -> str:
        """The method's name where it is as published, whatever the row is called."""
        return self.name if self.settings else self.method_name

    def supports(self, prompt: Prompt) -> bool:
        """Return whether the method has learned a prompt, or reads any."""
        return not self.variants or self.variant(prompt) is not None

    def variant(self, prompt: Prompt) -> str | None:
        """Return which of the sentences that it has learned says the same as a prompt."""
        for key in prompt.statements[:1] if len(prompt.statements) == 1 else ():
            known = {_plain(text) for text in (*prompt.texts, *_wordings(key))}
            for sentence, place in self.variants.items():
                if _plain(sentence) in known:
                    return place
        return None

    def load(self, prompt: Prompt) -> EditMethod:
        """Return the method with the weights for a prompt."""
        return self._load(self.variant(prompt) if self.variants else None)

    def _load(self, variant: str | None) -> EditMethod:
        if variant not in self._loaded:
            method = self.editor.method(self.method_name, variant)
            if self.settings:
                config = replace(method.config, **self.settings)
                changed = type(method)(config)
                fitted = changed.state_dict()  # a setting may do without some of it
                kept = {k: v for k, v in method.state_dict().items() if k in fitted}
                changed.load_state_dict(kept)
                device = self.editor.backbones.generator.w_avg.device
                method = changed.to(device).eval().requires_grad_(False)
            self._loaded[variant] = method
        return self._loaded[variant]

    def sweep(self, case: Case, text: str, strengths: Sequence[float]) -> list[Edit]:
        """Return the method's edits; seconds are those of one edit with reading the sentence."""
        return self._sweep(self.load(case.item.prompt), case, text, strengths)

    def asked(self, case: Case, text: str) -> Edit | None:
        """Return the edit as a user gets it; a method of few sentences may refuse the text."""
        if not self.variants:
            return super().asked(case, text)
        try:
            variant = self.editor.library.variant(EditRequest(text, self.method_name))
        except RequestError:
            return None
        return self._sweep(self._load(variant), case, text, (1.0,))[0]

    def _sweep(
        self, method: EditMethod, case: Case, text: str, strengths: Sequence[float]
    ) -> list[Edit]:
        if not self.line:
            given = replace(case.source, image=case.photo) if self.of_photo else case.source
            return [self._edit(method, case, given, text, a) for a in strengths]
        full = self._edit(method, case, case.source, text, 1.0)
        assert full.face is not None
        source = to_space(case.source, method.space, self.editor.backbones)
        step = full.face.latent.code - source.latent.code
        found = []
        for strength in strengths:
            there = moved(source, strength * step, self.editor)
            found.append(full if strength == 1 else replace(there, seconds=full.seconds))
        return found

    def undo(self, case: Case, edited: Face, text: str) -> Tensor | None:
        """Return the edit of an edit with strength -1."""
        if edited.latent.space is Space.X_T:
            return None
        method = self.load(case.item.prompt)
        return self._edit(method, case, edited, text, -1.0).image

    def _edit(self, method: EditMethod, case: Case, face: Face, text: str, strength: float) -> Edit:
        backbones = self.editor.backbones
        source = to_space(face, method.space, backbones)  # not the method's time
        start = _now(face.image.device)
        with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
            torch.manual_seed(case.item.index)
            sentence = read(text, NEUTRAL, backbones.clip)
            edited = method.edit(source, sentence, backbones, strength)
        return Edit(edited.image, edited, _now(face.image.device) - start)

    def key(self) -> str:
        """Return a hash of the method's code, settings and weights."""
        content = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
        code = ROOT / "faceedit" / "methods" / f"{self.method_name}.py"
        content.update(code.read_bytes())
        if self.folder is None:
            built = method_class(self.method_name).config_class()
            content.update(json.dumps(asdict(built), sort_keys=True, default=str).encode())
            return content.hexdigest()[:12]
        for path in sorted(self.folder.rglob("*")):
            if path.name == hub.CONFIG or path.suffix == WEIGHTS:
                content.update(path.read_bytes())
        return content.hexdigest()[:12]

    def megabytes(self) -> dict[str, float]:
        """Return what has to be downloaded for it: its own weights, and the networks it needs."""
        own = 0 if self.folder is None else _bytes(self.folder.rglob(f"*{WEIGHTS}"))
        base = self.editor.base_folder
        needs = method_class(self.method_name).needs | {"clip", "generator", "encoder"}
        places = [] if base is None else [base / name / hub.WEIGHTS for name in sorted(needs)]
        return {"own_mb": own / 1e6, "base_mb": _bytes(places) / 1e6}


def _bytes(paths: Any) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def variant_sentences(folder: Path | None) -> dict[str, str]:
    """Return the sentences that a method learned one at a time, with their weights' folders."""
    if folder is None:
        return {}
    listed = hub.read_config(folder).get("variants", {})
    return dict(listed) if isinstance(listed, dict) else {}


def _wordings(key: str) -> tuple[str, ...]:
    statement = find(key)
    return (*statement.train, *statement.heldout)


def _plain(text: str) -> str:
    """Leave out the words that say nothing: "a person with red hair" -> "red hair"."""
    fillers = {"a", "an", "the", "is", "has", "wears", "wearing", "with", "person", "face", "head"}
    return " ".join(word for word in text.lower().split() if word not in fillers)


def _check_there(editor: FaceEditor, name: str) -> None:
    """Raise unless a method can be used without asking the Hub."""
    wanted = method_class(name)
    absent = sorted(n for n in wanted.needs if getattr(editor.backbones, n) is None)
    lacking = [network for network in absent if network not in wanted.brings]
    if lacking:
        raise RequestError(f"the base has no {', '.join(lacking)}")
    if (absent or wanted.kind != "optimized") and name not in editor.available():
        raise RequestError("not trained yet")


def method_rows(editor: FaceEditor, wanted: str) -> tuple[list[Row], dict[str, str]]:
    """Return rows for "all" or a list like "styleclip_global,clip_pae", and what is left out.

    All methods are those whose repos lie beside the base, and those that need none.

    Raises:
        UnknownMethodError: If there is no method of such a name.
    """
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    names = list(METHODS) if "all" in words else words
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    for name in names:
        try:
            _check_there(editor, name)
            rows.append(MethodRow(editor, name))
        except FaceEditError as error:
            skipped[name] = str(error)
    return rows, skipped
