"""Fits any method that has `fit`: no gradient, no steps, only samples of the generator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from torch import nn
from tqdm import tqdm

from faceedit import hub
from faceedit.method_repo import save_method
from faceedit.methods import method_class
from faceedit.methods.ganspace import GanSpace
from faceedit.methods.interfacegan import InterFaceGan
from faceedit.optimization.effort import effort, within
from faceedit.words.sentence import read
from training.config import ConfigError, TrainConfig
from training.sheets import contact_sheet, save_sheet
from training.task import SolvedTask
from training.tasks.method import (
    HELDOUT,
    SHEET_FACES,
    SHEET_PROMPTS,
    Faces,
    edited_in_parts,
    frozen_backbones,
)
from training.tasks.scores import read_scores

__all__ = ["FitOptions", "FitTask"]


@dataclass(frozen=True)
class FitOptions:
    """What a recipe says about a method's fit."""

    samples: int = 2000  # random faces that it is fitted to
    truncation_psi: float = 1.0
    scores: str = ""  # a CSV file with scores of faces by seed, for interfacegan without a reader
    labels: bool = False  # also read every face's attributes, with the base's attribute reader
    prompts: tuple[str, ...] = ("red hair", "a smiling face", "glasses")  # of the sample sheet
    neutral: str = "a face"
    method: dict[str, Any] = field(default_factory=dict)  # fields of the method's own config


class FitTask(SolvedTask):
    """Any fitted method of `faceedit.methods`."""

    options_class = FitOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        kind = method_class(config.task)
        spared = ("attributes",) if self.options.scores or kind is GanSpace else ()
        self.backbones = frozen_backbones(config, kind, device, spared)
        self.scores = read_scores(self.options.scores) if self.options.scores else None
        settings = dict(self.options.method)
        if self.scores is not None:
            if kind is not InterFaceGan:
                raise ConfigError("only interfacegan is fitted to `scores`")
            settings.setdefault("wordings", self.scores.wordings)
            self.backbones = replace(self.backbones, attributes=None)
        self.method = kind.build(self.backbones, **settings).to(device)
        self.faces = Faces(self.backbones, kind.space, config.seed, self.options.truncation_psi)

    def modules(self) -> dict[str, nn.Module]:
        """The method with its buffers."""
        return {"method": self.method}

    @torch.no_grad()
    def fit(self) -> None:
        """Draw codes in w_plus, read labels if asked to, and let the method fill its buffers.

        Labels are [n, A], a column an attribute in the reader's order: its value, or its index.
        """
        options, size = self.options, self.config.train_batch_size
        if self.scores is not None:
            method: Any = self.method  # one that scores can be fitted to, as was checked
            method.fit_scores(*self.scores.samples(self.backbones), self.backbones)
            return
        count = 2 * size if self.config.dry_run else options.samples
        reader = self.backbones.require("attributes", "labels") if options.labels else None
        if reader is not None:
            size = min(size, effort().images(self.backbones.generator.config.resolution))
        codes, labels = [], []
        for start in tqdm(range(0, count, size), desc=f"{self.config.task}: random faces"):
            places = range(start, min(start + size, count))
            codes.append(self.faces.w_plus(places))
            if reader is not None:
                answers = reader.read(self.faces(places).image)
                labels.append(torch.stack(list(answers.values()), dim=1))
        table = torch.cat(labels) if labels else None
        limits = replace(effort(), memory=self.config.memory, trial=self.config.dry_run)
        with within(limits):
            self.method.fit(torch.cat(codes), table, self.backbones)

    def samples(self) -> PIL.Image.Image:
        """Return a sheet: a face a row, a prompt a column."""
        faces = self.faces(range(HELDOUT, HELDOUT + SHEET_FACES))
        prompts = self.options.prompts[:SHEET_PROMPTS]
        columns = [faces.image]
        for prompt in prompts:
            sentence = read(prompt, self.options.neutral, self.backbones.clip)
            columns.append(edited_in_parts(self.method, faces, sentence, self.backbones))
        images = torch.stack(columns, dim=1).flatten(0, 1)
        return contact_sheet(images, len(columns), ["source", *prompts])

    def export(self, folder: Path) -> None:
        """Write the method's repo: buffers and a sheet."""
        base = self.config.base_path
        name = f"{hub.OWNER}/{base.name}"
        save_method(self.method, folder, base=name, fingerprint=hub.fingerprint(base))
        save_sheet(self.samples(), folder / "samples" / "grid.jpg")
