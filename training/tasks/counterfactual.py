"""Trains `counterfactual`: faces with known attributes, sentences with known meaning, true edits.

The base has A, the network from attributes to w (`training/tasks/attribute_mapping.py`), and
G(A(a)) is nearly the render of a. So the true edit of a person is A(a') - A(a), known without
drawing anything, and it is learned from thousands of edits a second. What the method gets at
editing time is not A(a), so the codes that it learns on are of three kinds: inversions of renders,
the mapping network's codes, and A(a) with the error of an inversion added.

The step is the user's edit followed by the method's own objective, as for every method. Only the
generator that they are given draws nothing (`Undrawn`), until the last phase, "reader": some edits
are drawn then. Those of strength 1 should look like the true edit, to the pixel and to the base's
reader of attributes; of those of strength 2 the reader should be surer of what was asked for than
at strength 1. It looks as through a camera, so that only what survives blur, noise and another crop
convinces it. The judges' reader is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from faceedit import hub
from faceedit.backbones import Backbones, load_backbones
from faceedit.losses.true_edits import Meaning
from faceedit.method import EditMethod
from faceedit.methods.counterfactual import Counterfactual
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.world import NOISE_DIM, SPECS, FaceAttributes, sample_attributes
from training.config import ConfigError, TrainConfig
from training.data.shards import WorldShards, augment_seed
from training.data.true_edits import TrueEdits
from training.task import Phase, Turn
from training.tasks.attribute_mapping import load_attribute_mapping
from training.tasks.counterfactual_step import CounterfactualStep, Pair, Undrawn
from training.tasks.edit_banks import FaceBank, SentenceBank, encoded, imagined, kept, sentences
from training.tasks.method import HELDOUT, MethodOptions, MethodTask

__all__ = ["CounterfactualOptions", "CounterfactualTask"]

OTHERS = 4  # people asked what they look like where something is taken away
DRAWS = 16  # uniform numbers that an item has
POPULATION = 20_000  # people whose A(a) is learned on


@dataclass(frozen=True)
class CounterfactualOptions(MethodOptions):
    """Where the codes and the sentences come from; prompts are those of the sample sheet."""

    faces: int = 10_000  # renders that are inverted
    camera_share: float = 0.25  # share of them that is changed as photos are
    imagined: int = 10_000  # random codes of the mapping network
    sentences: int = 24_000
    share_encoded: float = 0.45  # of the faces; share_imagined more; the rest is A(a) + error
    share_imagined: float = 0.2
    share_negative: float = 0.25  # of the edits; their strength is -1
    share_overdone: float = 0.0  # of the edits; their strength is 2, by a learned overdrive
    target_scale: float = 1.0  # of the true step: an unsure network falls short
    overdone_extra: float = 0.15  # of the step of strength 1, beyond the true edit of strength 2
    least_psi: float = 0.6  # truncation of the mapping network's codes, from here to 1
    most_error: float = 1.2  # how much of an inversion's error is added to A(a), from 0 to here
    reader_phase_share: float = 0.0  # of the steps: a last phase in which the base's reader looks
    reader_phase_edits: int = 12  # overdone edits per step that it looks at
    reader_phase_true_edits: int = 0  # edits of strength 1 per step, compared with the true picture
    reader_phase_rate_scale: float = 10.0  # learning rate, over what the schedule says
    absent: tuple[str, ...] = ()  # statements that no training sentence makes
    apart: tuple[tuple[str, ...], ...] = ()  # statements that no training sentence makes together
    heldout_faces: int = 512


class CounterfactualTask(MethodTask):
    """True edits of people with known attributes."""

    options_class = CounterfactualOptions
    options: CounterfactualOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        if self.options.share_overdone and not self.method.config.learned_overdrive:
            raise ConfigError("share_overdone needs the method's learned_overdrive: true")
        if self.options.reader_phase_share and not self.options.share_overdone:
            raise ConfigError(
                "reader_phase_share needs share_overdone: the reader looks at overdone edits"
            )
        readers = ["attributes"] if self.options.reader_phase_share else []
        self.looked = load_backbones(config.base_path, readers).to(device)
        self.edits = TrueEdits()
        mapping = load_attribute_mapping(config.base_path / "generator")
        self.attribute_mapping = mapping.requires_grad_(False)
        self.population = sample_attributes(POPULATION, config.seed).values
        self.used: Backbones = replace(self.backbones, generator=Undrawn(self.faces.generator))
        self.looking = False
        self.encoded: FaceBank
        self.imagined: FaceBank
        self.said: SentenceBank

    def turns(self) -> Sequence[Turn]:
        """One turn: the objective of edits of every strength."""
        return (Turn("method", CounterfactualStep(self)),)

    def phases(self) -> Sequence[Phase]:
        """Codes alone; then, if asked for, looks at some drawn edits too."""
        share, scale = self.options.reader_phase_share, self.options.reader_phase_rate_scale
        last = [Phase("reader", share, learning_rate_scale=scale)] if share else []
        return (Phase("codes", 1 - share), *last)

    def enter(self, phase: Phase) -> None:
        """Look at some edits in the last phase."""
        self.looking = phase.name == "reader"

    # What it learns from ------------------------------------------------------------------

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Compute or read the banks."""
        state, o = super().open_data(recorded), self.options
        faces, imagined_, said = o.faces, o.imagined, o.sentences
        if self.config.dry_run:
            faces, imagined_, said = 64, 64, 64
        self.encoded = self._faces("train", faces, o.camera_share)
        generator = self.faces.generator
        if generator.config.z_dim >= NOISE_DIM:
            self.imagined = imagined(generator, imagined_)
        else:  # a tiny generator that has no such noise
            self.imagined = self.encoded
        self.said = self._sentences(said, 0, absent=o.absent, apart=o.apart)
        with torch.no_grad():
            exact = self.attribute_mapping(FaceAttributes(self.encoded.values))
        self.errors = self.encoded.code - exact[:, None].half()
        return state

    def _faces(self, split: str, count: int, camera_share: float) -> FaceBank:
        """Return inverted renders of a split, computed once for an encoder."""
        data = WorldShards(self.config.data_path / split)
        key = [hub.fingerprint(self.config.base_path)["encoder"], data.state(), count, camera_share]

        def make() -> FaceBank:
            networks = load_backbones(self.config.base_path, ["encoder"]).to(self.device)
            return encoded(data, networks.encoder, count, camera_share)

        return kept(self.banks, FaceBank, key, make)

    def _sentences(self, count: int, seed: int, **wanted: Any) -> SentenceBank:
        """Return sentences, read once by a CLIP."""
        key = [hub.fingerprint(self.config.base_path)["clip"], count, seed, wanted]
        clip = self.backbones.clip
        return kept(self.banks, SentenceBank, key, lambda: sentences(count, clip, seed, **wanted))

    @property
    def banks(self) -> Any:
        """The folder of all runs' banks."""
        return self.config.output_path.parent / "edit_banks"

    def batch(self, positions: range) -> tuple[Pair, Pair, Pair]:
        """Return edits to be made with strength 1, those for 2 and those for -1."""
        draws = [
            torch.Generator().manual_seed(augment_seed(self.config.seed, p)) for p in positions
        ]
        u = torch.stack([torch.rand(DRAWS, generator=draw) for draw in draws])
        negative = u[:, 0] < self.options.share_negative
        overdone = u[:, 0] > 1 - self.options.share_overdone
        return (
            self._added(u[~negative & ~overdone]),
            self._overdone(u[overdone]),
            self._taken(u[negative]),
        )

    def _added(self, u: Tensor) -> Pair:
        """Return faces with sentences to be made true."""
        values, code = self._people(u)
        said = _pick(u[:, 1], len(self.said))
        which, shift = self.said.which[said], self.said.shift[said]
        step = self._step(values, self.edits.apply(values, which, shift))
        face, sentence = self._pair(code, self.options.target_scale * step, said)
        return face, replace(sentence, meaning=self._meaning(which)) if self.looking else sentence

    def _overdone(self, u: Tensor) -> Pair:
        """Return faces with sentences to be overdone."""
        values, code = self._people(u)
        said = _pick(u[:, 1], len(self.said))
        which, shift = self.said.which[said], self.said.shift[said]
        once = self._step(values, self.edits.apply(values, which, shift))
        twice = self._step(values, self.edits.overdo(values, which, shift))
        face, sentence = self._pair(code, twice + self.options.overdone_extra * once, said)
        return face, replace(sentence, meaning=self._meaning(which)) if self.looking else sentence

    def _meaning(self, which: Tensor) -> Meaning:
        """Return what the reader can tell of statements; it has seen nothing yet."""
        wanted, meant, ways = self.edits.wanted(which)
        heads = self.looked.require("attributes", "a look at the edits").config.heads
        values = {}
        for head in heads:
            if head.values:
                columns = [SPECS[head.name].values.index(value) for value in head.values]
                values[head.name] = wanted[head.name][:, columns].to(self.device)
        said = {head.name: meant[head.name].to(self.device) for head in heads}
        amounts = [h.name for h in heads if not h.values and not h.circular]
        rising = {name: ways[name].to(self.device) for name in amounts}
        return Meaning(values, said, {}, rising)

    def _taken(self, u: Tensor) -> Pair:
        """Return faces with sentences whose edit is to be taken back; half were just made true."""
        values, code = self._people(u)
        said = _pick(u[:, 1], len(self.said))
        which, shift = self.said.which[said], self.said.shift[said]
        others = self.population[_pick(u[:, -OTHERS:], len(self.population))]
        made = self.edits.apply(values, which, shift)
        moved = code + self._step(values, made)
        just = u[:, 2] < 0.5
        code = torch.where(just[:, None, None], moved, code)
        now = torch.where(just[:, None], made, values)
        before = self.edits.undo(now, which, shift, others)
        return self._pair(code, self._step(now, before), said)

    def _people(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return people: attributes [n, A] and a code in w_plus [n, num_ws, w_dim]."""
        o, generator = self.options, self.faces.generator
        # inverted renders
        row = _pick(u[:, 3], len(self.encoded.code))
        values, code = self.encoded.values[row], self.encoded.code[row].float()
        # the mapping network's
        other = _pick(u[:, 4], len(self.imagined.code))
        psi = (o.least_psi + (1 - o.least_psi) * u[:, 5])[:, None, None]
        mean = generator.w_avg.cpu()
        drawn = (mean + psi * (self.imagined.code[other].float() - mean)).expand_as(code)
        # exact ones, with an inversion's error
        exact = self.population[_pick(u[:, 6], len(self.population))]
        error = self.errors[_pick(u[:, 7], len(self.errors))].float()
        with torch.no_grad():
            w = self.attribute_mapping(FaceAttributes(exact))[:, None]
        near = w + (o.most_error * u[:, 8])[:, None, None] * error
        is_encoded = u[:, 9] < o.share_encoded
        is_drawn = ~is_encoded & (u[:, 9] < o.share_encoded + o.share_imagined)
        chosen, known = is_drawn[:, None, None], is_drawn[:, None]
        code = torch.where(is_encoded[:, None, None], code, torch.where(chosen, drawn, near))
        theirs = torch.where(known, self.imagined.values[other], exact)
        return torch.where(is_encoded[:, None], values, theirs), code

    @torch.no_grad()
    def _step(self, before: Tensor, after: Tensor) -> Tensor:
        """Return A(after) - A(before), [n, 1, w_dim]."""
        both = self.attribute_mapping(FaceAttributes(torch.cat([before, after])))
        start, end = both.chunk(2)
        return (end - start)[:, None]

    @torch.no_grad()
    def _pair(self, code: Tensor, step: Tensor, said: Tensor) -> Pair:
        """Put together the face, the sentence and where its edit should end."""
        goal = (code + step).to(self.device)
        code, target = code.to(self.device), self.said.target[said].to(self.device)
        return self._face(code), Counterfactual(
            ("",) * len(said), "", target, torch.zeros_like(target), self._face(goal)
        )

    def _face(self, code: Tensor) -> Face:
        return Face(self.used.generator.synthesis(code), Latent(code, Space.W_PLUS))

    # What comes out -----------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure edits of held-out inversions against the true ones, in codes.

        For each set of sentences: `error`, the mean distance from the true edit as a share of its
        length; `size`, how long the edit is along the true one (1: as long). `still`: how far an
        edit moves what is true already, and `undone`: what strength 1 and then -1 leaves behind,
        both as shares of a mean edit.
        """
        o, count = self.options, self.options.heldout_faces
        bank = self._faces("heldout", count, 0.0)
        sets: dict[str, dict[str, Any]] = {
            "seen": {"absent": o.absent, "apart": o.apart},
            "wordings": {"absent": o.absent, "apart": o.apart, "split": "heldout"},
        }
        if o.apart:
            sets["combinations"] = {"only": o.apart}
        if o.absent:
            sets["values"] = {"only": [(key,) for key in o.absent]}
        found: dict[str, float] = {}
        for place, (name, wanted) in enumerate(sets.items()):
            said = self._sentences(len(bank.code), HELDOUT + place, **wanted)
            found |= {f"{name}_{k}": v for k, v in self._measure(bank, said).items()}
        return found

    def _measure(self, bank: FaceBank, said: SentenceBank) -> dict[str, float]:
        """Compare edits of a bank's faces, each with its own sentence, with the true ones."""
        method, generator = self._best(), self.faces.generator
        sentence = Sentence((), "", said.target.to(self.device), said.target)
        code = bank.code.float().to(self.device)
        after = self.edits.apply(bank.values, said.which, said.shift)
        wanted = self._step(bank.values, after).to(self.device)
        made = _displacement(method, code, sentence, generator, 1.0)
        back = _displacement(method, code + made, sentence, generator, -1.0)
        length, miss = wanted.norm(dim=(1, 2)), (made - wanted).norm(dim=(1, 2))
        moves = (after != bank.values).any(1).to(self.device)
        mean = length[moves].mean()
        along = (made * wanted).sum((1, 2))[moves] / length[moves].square()
        scores = {
            "error": (miss / length)[moves].mean(),
            "size": along.mean(),
            "undone": (made - back).norm(dim=(1, 2))[moves].mean() / mean,
        }
        if not bool(moves.all()):
            scores["still"] = made.norm(dim=(1, 2))[~moves].mean() / mean
        return {name: float(value) for name, value in scores.items()}


def _displacement(
    method: EditMethod, code: Tensor, sentence: Sentence, generator: Any, sign: float
) -> Tensor:
    """Return the step of strength 1 or -1 as the method makes it, [n, 1, w_dim]."""
    source = Face(Undrawn(generator).synthesis(code), Latent(code, Space.W_PLUS))
    drawn_by = Backbones(generator=Undrawn(generator))
    return ((method(source, sentence, drawn_by, sign).latent.code - code) * sign)[:, :1]


def _pick(u: Tensor, count: int) -> Tensor:
    """Turn uniform numbers into indices below `count`."""
    return (u * count).long().clamp(max=count - 1)
