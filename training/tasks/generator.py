"""Trains the StyleGAN2 generator on renders whose attributes are known: pairs, and no adversary.

An attribute mapping A gives w, the generator must reproduce the render: G(A(attributes)) = image.
An hour on a CPU core then gives what adversarial training takes days for. The official mapping
z -> w is learned beside it, without images, because the world's population is a function of
Gaussian noise: mapping(z) = A(people_of_z(z)).

Turns:

- `paired`: A and the synthesis network; region-weighted L1, Laplacian pyramid, features of the
  segmenter and of attribute readers (never of a judge).
- `distil`: the mapping network follows A.

Phases: growing sizes (a quarter, half, all of the resolution), then steps of `distil` alone.
"""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.attributes import AttributeReader
from faceedit.backbones.segmenter import Segmenter
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.hub import save_network
from faceedit.world import NOISE_DIM
from training.config import ConfigError, TrainConfig
from training.data.shards import WorldBatch, WorldShards
from training.memory import keep_freed_memory
from training.sheets import contact_sheet
from training.task import Phase, Task, Turn
from training.tasks.attribute_mapping import (
    AttributeMapping,
    AttributeMappingConfig,
    give_directions,
    load_attribute_mapping,
    people_of_z,
    save_attribute_mapping,
)
from training.tasks.frozen import frozen, more_readers
from training.tasks.generator_losses import (
    feature_distance,
    jittered,
    pixel_weights,
    psnr,
    reader_distance,
    reconstruction_terms,
    shrink,
    stretching,
)
from training.tasks.generator_start import _started
from training.tasks.rate_groups import rate_groups

__all__ = ["GeneratorOptions", "GeneratorTask"]

logger = logging.getLogger(__name__)

POPULATION = 16384  # people who tell how w spreads
SHEET_COLUMNS = 8
SHEET_PSI = 0.8  # truncation of the random faces on a sheet


@dataclass(frozen=True)
class GeneratorOptions:
    """What only this task knows."""

    resolution: int = 128  # px; the renders may be larger
    z_dim: int = 256
    w_dim: int = 256
    mapping_layers: int = 4
    channel_base: int = 4096
    channel_max: int = 160
    phase_shares: tuple[float, ...] = (0.55, 0.20, 0.25)  # of the paired steps, at 1/4, 1/2, 1/1
    weight_pixel: float = 1.0
    weight_pyramid: float = 1.0
    weight_feature: float = 0.2  # only at full size, and only with a segmenter in the base folder
    weight_reader: float = 0.0  # of what attribute readers see; only at full size
    readers: tuple[str, ...] = ()  # folders of more of them, beside the base's
    reader_jitter: float = 0.0  # strength of the shift, turn and noise through which they look
    weight_hold: float = 0.0  # of A's way from that of init_weights, so that w means what it meant
    distil_batch_size: int = 128  # people drawn for the mapping network in every step
    distil_steps: int = 1000  # of the mapping network alone, at the end
    distil_learning_rate: float = 1e-3
    distil_power: float = 2.0  # of the distance in w; 1 prefers clear people to averages
    distil_stretch: bool = False  # samples shall differ as people do; they differ less
    init_weights: str = ""  # folder of a generator (with its attribute mapping) to go on from
    give_directions: bool = False  # of init_weights' w to the attributes of which it says little
    hold_mappings: bool = False  # w keeps its meaning: only the synthesis network learns
    heldout_images: int = 256  # for the PSNR at the end; a quarter of them for each sheet

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if len(self.phase_shares) != 3:
            raise ConfigError(f"phase_shares has {len(self.phase_shares)} numbers; give three")
        going_on = self.weight_hold or self.give_directions or self.distil_stretch
        if going_on and not self.init_weights:
            raise ConfigError("weight_hold, give_directions and distil_stretch need init_weights")
        if self.readers and not self.weight_reader:
            raise ConfigError("readers are given, but weight_reader is 0: give it too")
        if self.z_dim < NOISE_DIM:
            raise ConfigError(f"z_dim is {self.z_dim}; the world's noise has {NOISE_DIM} columns")

    def generator_config(self) -> GeneratorConfig:
        """Return the generator's size."""
        return GeneratorConfig(
            resolution=self.resolution,
            z_dim=self.z_dim,
            w_dim=self.w_dim,
            mapping_layers=self.mapping_layers,
            channel_base=self.channel_base,
            channel_max=self.channel_max,
            tied_layers=True,  # every render is drawn from one w
        )


# ------------------------------------------------------------------------------------ the turns
class PairedStep(nn.Module):
    """Reproduce the render from its attributes."""

    def __init__(self, task: GeneratorTask) -> None:
        super().__init__()
        if not task.options.hold_mappings:
            self.attribute_mapping = task.attribute_mapping
        self.blocks = task.generator.blocks  # all of the generator but its mapping network
        self.const = task.generator.const
        self._task = (task,)

    def forward(self, batch: WorldBatch) -> dict[str, Tensor]:
        """Return the weighted terms."""
        (task,) = self._task
        options, size = task.options, task.size
        real = shrink(batch.image, size)
        made = task.reconstruct(batch, size)
        pixel, pyramid = reconstruction_terms(made, real, pixel_weights(batch.segmentation, size))
        terms = {"pixel": options.weight_pixel * pixel, "pyramid": options.weight_pyramid * pyramid}
        if task.segmenter is not None and size == options.resolution:
            distance = feature_distance(task.segmenter, made, real)
            terms["feature"] = options.weight_feature * distance
        if task.readers and size == options.resolution:
            seen = jittered(made, real, options.reader_jitter)
            distances = [reader_distance(reader, *seen) for reader in task.readers]
            terms["reader"] = options.weight_reader * torch.stack(distances).mean()
        if options.weight_hold:
            terms["hold"] = options.weight_hold * task.moved(batch)
        terms["log_psnr"] = psnr(made.detach(), real).mean()
        return terms


class DistilStep(nn.Module):
    """Teach the mapping network which person a z is: mapping(z) = A(people_of_z(z))."""

    def __init__(self, task: GeneratorTask) -> None:
        super().__init__()
        self.mapping = task.generator.mapping
        self._task = (task,)

    def forward(self, batch: object) -> dict[str, Tensor]:
        """Return the squared distance in w relative to the spread of w; draws its own people."""
        del batch
        (task,) = self._task
        options = task.options
        z = torch.randn(options.distil_batch_size, options.z_dim, device=task.device)
        with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
            wanted = task.averaged_or_live("attribute_mapping")(people_of_z(z))
            wanted = task.stretched(wanted)
        with torch.autocast(z.device.type, enabled=False):
            w = self.mapping(z)
        spread = wanted.var(0).mean().clamp(min=1e-6)
        distance = (w - wanted).square().mean(dim=1) / spread  # of each person
        return {"distance": (distance + 1e-6).pow(options.distil_power / 2).mean()}


# ------------------------------------------------------------------------------------- the task
class GeneratorTask(Task):
    """The portrait world's generator, its mapping network and the attribute mapping."""

    options_class = GeneratorOptions
    averaged = ("attribute_mapping", "generator")

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        options: GeneratorOptions = self.options
        if device.type == "cpu":
            keep_freed_memory()
        if options.init_weights:
            self.generator = _started(Path(options.init_weights), options.generator_config())
            self.attribute_mapping = load_attribute_mapping(Path(options.init_weights))
            if options.give_directions:
                given = give_directions(self.attribute_mapping, self.generator)
                logger.info("%d directions of w given to what it said little of", given)
        else:
            self.generator = Generator(options.generator_config())
            mapping_config = AttributeMappingConfig(w_dim=options.w_dim)
            self.attribute_mapping = AttributeMapping(mapping_config)
        weights = {"segmenter": options.weight_feature, "attributes": options.weight_reader}
        self.segmenter = frozen(Segmenter, "segmenter", weights, config, device)
        reader = frozen(AttributeReader, "attributes", weights, config, device)
        own = [] if reader is None else [reader]
        self.readers = [*own, *more_readers(options.readers, device)]
        held = copy.deepcopy(self.attribute_mapping).requires_grad_(False)
        self._held = (held.to(device),)  # in a tuple: no part of what is trained
        self.size = options.resolution  # px of the present phase
        self._stretch = self._measured_stretch() if options.distil_stretch else None
        self.data: WorldShards
        self.heldout: WorldShards | None = None

    def modules(self) -> dict[str, nn.Module]:
        """Return what training changes."""
        return {"attribute_mapping": self.attribute_mapping, "generator": self.generator}

    def turns(self) -> Sequence[Turn]:
        """Return the turns; a phase says which of them move."""
        paired, distil = PairedStep(self), DistilStep(self)
        return (
            Turn("paired", paired, groups=lambda: rate_groups(paired.modules())),
            Turn(
                "distil",
                distil,
                learning_rate=self.options.distil_learning_rate,
                groups=lambda: rate_groups(distil.modules()),
            ),
        )

    def phases(self) -> Sequence[Phase]:
        """Return the growing sizes, then the mapping network alone."""
        options = self.options
        both = ("paired",) if options.hold_mappings else ("paired", "distil")
        sizes = [options.resolution // 4, options.resolution // 2, options.resolution]
        phases = [
            Phase(f"{size} px", share, turns=both)
            for size, share in zip(sizes, options.phase_shares, strict=True)
        ]
        if options.distil_steps > 0:
            alone = Phase("distil", steps=options.distil_steps, turns=("distil",), batch_size=1)
            phases.append(replace(alone, learning_rate_scale=self._distil_rate()))
        return phases

    def _distil_rate(self) -> float:
        """Return the factor that undoes the run's decay at the last phase's beginning."""
        decay = self.config.max_train_steps * self.config.lr_decay_share
        if self.config.lr_scheduler == "constant" or decay <= self.options.distil_steps:
            return 1.0
        left = self.options.distil_steps / decay
        return 2 / (1 - math.cos(math.pi * left))

    def enter(self, phase: Phase) -> None:
        """Set the size that is drawn."""
        self.size = self._size_of(phase)

    @torch.no_grad()
    def _measured_stretch(self) -> tuple[Tensor, Tensor]:
        """Return the mean w of people, and how its first samples are stretched to spread alike.

        Of init_weights and not of what is being trained, so that a resumed run finds the same.
        """
        z = torch.randn(POPULATION, self.options.z_dim, generator=torch.Generator().manual_seed(0))
        people, samples = self.attribute_mapping(people_of_z(z)), self.generator.mapping(z)
        mean, matrix = people.mean(0), stretching(people, samples)
        return mean.to(self.device), matrix.to(self.device)

    def stretched(self, w: Tensor) -> Tensor:
        """Return codes [n, w_dim] as far from the mean as samples shall be aimed."""
        if self._stretch is None:
            return w
        mean, matrix = self._stretch
        return mean + (w - mean) @ matrix

    def _size_of(self, phase: Phase) -> int:
        number, _, unit = phase.name.partition(" ")
        return int(number) if unit == "px" else self.options.resolution

    def reconstruct(self, batch: WorldBatch, size: int) -> Tensor:
        """Return G(A(attributes)) with the networks in training, [n, 3, size, size]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.options.hold_mappings):
            w = self.attribute_mapping(batch.attributes)
        w_plus = self.generator.broadcast(w)
        return self.generator.synthesis(w_plus, noise_mode="none", resolution=size)

    def moved(self, batch: WorldBatch) -> Tensor:
        """Return the mean squared way of A from where it began, relative to the spread of w."""
        with torch.autocast(self.device.type, enabled=False):
            before = self._held[0](batch.attributes)
            w = self.attribute_mapping(batch.attributes)
        return (w - before).square().mean() / before.var(0).mean().clamp(min=1e-6)

    # What it learns from ------------------------------------------------------------------

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Open the training renders, and the held-out ones if they have been made."""
        folder, seed = self.config.data_path, self.config.seed
        self.data = WorldShards(folder / "train", recorded, seed, flip=True, device=self.device)
        if (folder / "heldout" / "index.json").is_file():
            self.heldout = WorldShards(folder / "heldout", device=self.device)
        else:
            logger.warning("no held-out renders in %s: sheets and PSNR use training ones", folder)
        logger.info("%d renders to learn from", len(self.data))
        return self.data.state()

    def batch(self, positions: range) -> WorldBatch:
        """Return renders, half of them mirrored."""
        return self.data.batch(positions)

    # What comes out -----------------------------------------------------------------------

    def samples(self) -> PIL.Image.Image:
        """Draw held-out renders above their reconstructions, and random faces below."""
        size = self._size_of(self.phase)
        count = max(SHEET_COLUMNS, self.options.heldout_images // 4)
        made, real = self._heldout_pairs(count, size)
        quality = float(psnr(made, real).mean())
        logger.info("step %d: held-out PSNR %.2f dB at %d px", self.global_step, quality, size)
        self._note({"step": self.global_step, "size": size, "heldout_psnr": round(quality, 3)})
        rows = [real[:SHEET_COLUMNS], made[:SHEET_COLUMNS], *self._random_faces(2, size)]
        images = F.interpolate(torch.cat(rows).float(), self.options.resolution)  # nearest
        labels = ("render", f"{quality:.1f} dB", f"z, {SHEET_PSI}", "")
        return contact_sheet(images, SHEET_COLUMNS, row_labels=labels)

    def _random_faces(self, rows: int, size: int) -> list[Tensor]:
        """Return rows of faces made from z by the averaged generator."""
        generator = self._finished_generator()
        noise = torch.Generator().manual_seed(self.config.seed)
        images = []
        for _ in range(rows):
            w_plus = generator.sample_w_plus(SHEET_COLUMNS, noise, truncation_psi=SHEET_PSI)
            images.append(generator.synthesis(w_plus, resolution=size))
        return images

    def _finished_generator(self) -> Generator:
        """Return the averaged generator with its mean w brought up to date."""
        generator = self._averaged_generator()
        generator.set_w_avg(torch.Generator().manual_seed(0))
        return generator

    def _averaged_generator(self) -> Generator:
        """Return the averaged generator as it is, with the mean w that it began with."""
        generator = self.averaged_or_live("generator")
        assert isinstance(generator, Generator)
        return generator

    def _heldout_pairs(self, count: int, size: int) -> tuple[Tensor, Tensor]:
        """Return reconstructions by the averaged networks, and the renders."""
        data = self.heldout or self.data
        generator = self._averaged_generator()
        mapping = self.averaged_or_live("attribute_mapping")
        made, real = [], []
        for start in range(0, min(count, len(data)), 16):
            batch = data.rows(range(start, min(start + 16, count, len(data)))).to(self.device)
            w_plus = generator.broadcast(mapping(batch.attributes))
            made.append(generator.synthesis(w_plus, resolution=size))
            real.append(shrink(batch.image, size))
        return torch.cat(made), torch.cat(real)

    def _note(self, line: dict[str, Any]) -> None:
        """Append a line to `heldout.jsonl` in the run's folder."""
        path = self.config.output_path / "heldout.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def evaluate(self) -> dict[str, float]:
        """Return the held-out PSNR, and how far the mapping network is from A."""
        made, real = self._heldout_pairs(self.options.heldout_images, self.options.resolution)
        noise = torch.Generator().manual_seed(1)
        z = torch.randn(1024, self.options.z_dim, generator=noise).to(self.device)
        wanted = self.averaged_or_live("attribute_mapping")(people_of_z(z))
        w = self._averaged_generator().mapping(z)
        missed = (w - wanted).square().mean() / wanted.var(0).mean()
        return {"psnr": float(psnr(made, real).mean()), "mapping_error": float(missed)}

    def export(self, folder: Path) -> None:
        """Write the generator, and the attribute mapping beside it, both in half precision."""
        save_network(self._finished_generator(), folder)
        mapping = self.averaged_or_live("attribute_mapping")
        assert isinstance(mapping, AttributeMapping)
        save_attribute_mapping(mapping, folder)
