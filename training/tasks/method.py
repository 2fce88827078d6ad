"""Trains any method that has an `objective`: act as for a user, then score what was made.

The trainer knows no formula; `MethodStep` is all of it. Sources are random faces of the frozen
generator, sentences are the recipe's prompts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from torch import Tensor, nn

from faceedit import hub
from faceedit.backbones import Backbones, load_backbones, with_photograph_readers
from faceedit.method import EditMethod
from faceedit.method_repo import save_method
from faceedit.methods import method_class
from faceedit.optimization.effort import effort
from faceedit.readiness import place_of
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import read
from training.config import ConfigError, TrainConfig
from training.data.shards import augment_seed, mix
from training.sheets import contact_sheet, save_sheet
from training.task import Task, Turn

__all__ = ["Faces", "MethodOptions", "MethodStep", "MethodTask", "Sentences"]

HELDOUT = 1 << 40  # first place of the endless sequence that training never reaches
SHEET_FACES, SHEET_PROMPTS = 4, 7


@dataclass(frozen=True)
class MethodOptions:
    """What a recipe says about a method's training."""

    prompts: tuple[str, ...] = ()  # sentences to learn
    neutral: str = "a face"
    truncation_psi: float = 0.7  # of the faces that it learns on
    method: dict[str, Any] = field(default_factory=dict)  # fields of the method's own config
    evaluation_faces: int = 64
    init_weights: str = ""  # folder of the same method, as exported, to go on from


class MethodStep(nn.Module):
    """One training step as a forward pass, which is where DDP hangs its gradient exchange."""

    def __init__(self, method: EditMethod, backbones: Backbones) -> None:
        super().__init__()
        self.method = method
        self.backbones = backbones  # a dataclass, so its networks are not registered here

    def forward(self, source: Face, sentence: Sentence) -> dict[str, Tensor]:
        """Edit the batch exactly as a user's photo is edited, then score the edit."""
        edited = self.method(source, sentence, self.backbones)
        return self.method.objective(source, edited, sentence, self.backbones)


class Faces:
    """Random faces of the generator; face `p` is a function of the seed and of `p` alone."""

    def __init__(self, backbones: Backbones, space: Space, seed: int, psi: float) -> None:
        self.generator = backbones.require("generator", "training a method")
        if space not in (Space.W, Space.W_PLUS, Space.S):
            raise ConfigError(f"no random faces with {space.value} codes")
        self.space, self.seed, self.psi = space, seed, psi

    @torch.no_grad()
    def w_plus(self, positions: range) -> Tensor:
        """Return the codes at these places before any change of space, [n, num_ws, w_dim]."""
        width = self.generator.config.z_dim
        draws = [torch.Generator().manual_seed(augment_seed(self.seed, p)) for p in positions]
        z = torch.stack([torch.randn(width, generator=draw) for draw in draws])
        w = self.generator.mapping(z.to(self.generator.w_avg))
        return self.generator.truncate(w, self.psi)

    @torch.no_grad()
    def __call__(self, positions: range) -> Face:
        """Return the faces at these places, with codes in the method's space."""
        w_plus = self.w_plus(positions)
        styles = self.generator.styles(w_plus)  # once: image and code both come from them
        codes = {Space.W: w_plus[:, 0], Space.W_PLUS: w_plus, Space.S: styles}
        image = self.generator.synthesis_from_styles(styles)
        return Face(image, Latent(codes[self.space].contiguous(), self.space))


class Sentences:
    """The recipe's prompts, read once; which one place `p` gets depends on seed and `p` alone."""

    def __init__(self, prompts: Sequence[str], neutral: str, clip: Any, seed: int) -> None:
        if not prompts:
            raise ConfigError(
                "the recipe names no prompts; add options: {prompts: [...]} or "
                "--set 'prompts=[\"red hair\"]'"
            )
        self.all = read(prompts, neutral, clip)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.all.prompt)

    def __call__(self, positions: range) -> Sentence:
        """Return one sentence a place."""
        return self.pick([mix(self.seed, p, 3) % len(self) for p in positions])

    def pick(self, chosen: Sequence[int]) -> Sentence:
        """Return the prompts of these numbers as one batch."""
        return replace(
            self.all,
            prompt=tuple(self.all.prompt[number] for number in chosen),
            target=self.all.target[list(chosen)],
            neutral_embedding=self.all.neutral_embedding[list(chosen)],
        )


class MethodTask(Task):
    """Any trained method of `faceedit.methods`."""

    options_class = MethodOptions
    averaged = ("method",)

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self.kind = method_class(config.task)
        self.backbones = frozen_backbones(config, self.kind, device)
        self.method = self.kind.build(self.backbones, **self.options.method)
        o = self.options
        if o.init_weights:
            hub.load_weights(self.method, Path(o.init_weights))
        self.faces = Faces(self.backbones, self.method.space, config.seed, o.truncation_psi)
        self.sentences = Sentences(o.prompts, o.neutral, self.backbones.clip, config.seed)

    def modules(self) -> dict[str, nn.Module]:
        """The method is all that is trained."""
        return {"method": self.method}

    def turns(self) -> Sequence[Turn]:
        """One turn: the objective of the edit."""
        return (Turn("method", MethodStep(self.method, self.backbones)),)

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Record which networks it is trained on; refuse to go on with others.

        Raises:
            ConfigError: If one that it reads has changed since the checkpoint.
        """
        every = hub.fingerprint(self.config.base_path)
        now = {name: every[name] for name in read_networks(self.kind) if name in every}
        then = (recorded or {}).get("base", now)
        if changed := [name for name in now if then.get(name) != now[name]]:
            raise ConfigError(
                f"{', '.join(changed)} in {self.config.base_path} changed since this checkpoint; "
                "start afresh with --overwrite"
            )
        return {"base": now}

    def batch(self, positions: range) -> Any:
        """Return (Face, Sentence): random faces, each with a sentence; without gradients, once.

        Tasks that learn from something else return that.
        """
        half = self.config.mixed_precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return self.faces(positions), self.sentences(positions)

    def samples(self) -> PIL.Image.Image:
        """Return a sheet: a face a row, a prompt a column."""
        count = min(SHEET_PROMPTS, len(self.sentences))
        faces = self.faces(range(HELDOUT, HELDOUT + SHEET_FACES))
        columns = [faces.image]
        for number in range(count):
            sentence = self.sentences.pick([number] * SHEET_FACES)
            columns.append(edited_in_parts(self._best(), faces, sentence, self.backbones))
        images = torch.stack(columns, dim=1).flatten(0, 1)
        return contact_sheet(images, count + 1, ["source", *self.options.prompts[:count]])

    def evaluate(self) -> dict[str, float]:
        """Return the objective's terms on faces and draws that training has not seen."""
        method, size = self._best(), self.config.train_batch_size
        totals: dict[str, float] = {}
        rounds = max(1, self.options.evaluation_faces // size)
        for round_ in range(rounds):
            start = HELDOUT + round_ * size
            source, sentence = self.batch(range(start, start + size))
            edited = method.edit(source, sentence, self.backbones)
            terms = method.objective(source, edited, sentence, self.backbones)
            for name, value in terms.items():
                totals[name] = totals.get(name, 0.0) + float(value) / rounds
        return totals

    def export(self, folder: Path) -> None:
        """Write the method's repo: weights and a sheet."""
        base = self.config.base_path
        name = f"{hub.OWNER}/{base.name}"
        save_method(self._best(), folder, base=name, fingerprint=hub.fingerprint(base))
        save_sheet(self.samples(), folder / "samples" / "grid.jpg")

    def _best(self) -> EditMethod:
        best = self.averaged_or_live("method")
        assert isinstance(best, EditMethod)
        return best


def edited_in_parts(
    method: EditMethod, faces: Face, sentence: Sentence, backbones: Backbones
) -> Tensor:
    """Return the images of edited faces, as many at once as the memory allows.

    Args:
        method: What edits them.
        faces: n of them.
        sentence: One for all, or one a face.
        backbones: The networks.
    """
    side, count = faces.image.shape[-1], len(faces.image)
    descends = method.kind == "optimized"
    at_once = effort().descents(side) if descends else effort().images(side)
    images = []
    for start in range(0, count, at_once):
        rows = slice(start, start + at_once)
        part = Face(faces.image[rows], replace(faces.latent, code=faces.latent.code[rows]))
        asked = sentence
        if len(sentence.target) == count > 1:
            asked = replace(
                sentence,
                prompt=sentence.prompt[rows],
                target=sentence.target[rows],
                neutral_embedding=sentence.neutral_embedding[rows],
            )
        images.append(method.edit(part, asked, backbones).image)
    return torch.cat(images)


def frozen_backbones(
    config: TrainConfig,
    method: type[EditMethod],
    device: torch.device,
    spared: Collection[str] = (),
) -> Backbones:
    """Load what a method reads, and what its training needs beside.

    Networks that read photographs are borrowed where the base has none.

    Args:
        config: Names the base.
        method: What is trained.
        device: Where to compute.
        spared: Networks that may be absent.

    Raises:
        ConfigError: If the base lacks one; the message says how to get it.
    """
    base, names = config.base_path, read_networks(method)
    components = hub.read_base(base)["components"]
    present = [name for name in names if name in components]
    backbones = method.reading(with_photograph_readers(load_backbones(base, present), base))
    missing = sorted(set(names) - set(backbones.present()) - {"face_parser", *spared})
    if missing:
        place = place_of(base)
        needs = "; ".join(f"{name}: {place.network(name)}" for name in missing)
        raise ConfigError(
            f"--task {config.task} needs networks that {base} lacks: {', '.join(missing)}. {needs}"
        )
    return backbones.to(device)


def read_networks(method: type[EditMethod]) -> list[str]:
    """Return the networks that a training reads: the method's, and those of faces and sentences.

    A base's own face parser reads drawn faces in the segmenter's place; few bases have one.
    """
    parsers = {"face_parser"} if "segmenter" in method.needs else set()
    return sorted(method.needs | {"generator", "clip"} | parsers)
