"""Trains the StyleGAN2 generator on renders whose attributes are known: pairs, not only a GAN.

An attribute mapping A gives w, the generator must reproduce the render: G(A(attributes)) = image.
An hour on a CPU core then gives what adversarial training takes days for. The official mapping
z -> w is learned beside it, without images, because the world's population is a function of
Gaussian noise: mapping(z) = A(people_of_z(z)).

Turns:

- `paired`: A and the synthesis network; region-weighted L1, Laplacian pyramid, features of the
  segmenter and of attribute readers (never of a judge).
- `distil`: the mapping network follows A.
- `discriminator`: only in the adversarial phase (option `adversarial_steps`).

Phases: growing sizes (a quarter, half, all of the resolution), then the adversarial finish, then
steps of `distil` alone.
"""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.attributes import AttributeReader
from faceedit.backbones.layers import EqualConv2d, EqualLinear, StyledConv, ToRGB
from faceedit.backbones.segmenter import Segmenter
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.hub import AnyModule, load_network, save_network
from faceedit.world import NOISE_DIM, REGIONS
from training.config import ConfigError, TrainConfig
from training.data.augment import add_noise, random_grid, some, warp
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
from training.tasks.discriminators import (
    Discriminator,
    DiscriminatorConfig,
    PatchDiscriminator,
    r1_penalty,
)

__all__ = ["FLAT", "GeneratorOptions", "GeneratorTask", "jittered", "more_readers"]

logger = logging.getLogger(__name__)

# How much a pixel of a region counts. Eyes and mouth are a few per cent of the picture and most of
# what people look at; unweighted, the mouth stays a smear. A region that is not here counts 1.
REGION_WEIGHTS = {
    "background": 0.5,
    "cloth": 0.5,
    "neck": 0.8,
    "ear": 2.0,
    "nose": 3.0,
    "beard": 1.5,
    "brows": 4.0,
    "eyes": 6.0,
    "lips": 6.0,
    "mouth": 8.0,  # teeth, tongue and the dark between them
    "glasses": 4.0,
    "lens": 3.0,
    "hat": 1.5,
    "earring": 16.0,
}
CONTOUR = 5  # px at full size; a region's weight also counts this far around it, for its outline
PYRAMID_LEVELS = 4
DISCRIMINATORS = {"patch": PatchDiscriminator, "stylegan2": Discriminator}
POPULATION = 16384  # people who tell how w spreads
FLAT = 0.03  # of w's mean variance: directions of w with less of it are noise
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
    weight_hold: float = 0.0  # of A's way from the start's, so that w means what it meant
    distil_batch_size: int = 128  # people drawn for the mapping network in every step
    distil_steps: int = 1000  # of the mapping network alone, at the end
    distil_learning_rate: float = 1e-3
    distil_power: float = 2.0  # of the distance in w; 1 prefers clear people to averages
    distil_stretch: bool = False  # samples shall differ as people do; the start's differ less
    adversarial_steps: int = 0  # from the paired ones' end; 0: none
    adversarial_batch_size: int = 8
    adversarial_rate_scale: float = 0.5  # of the paired learning rate
    discriminator: str = "patch"  # or "stylegan2"
    discriminator_learning_rate: float = 2e-3
    weight_adversarial: float = 0.1
    r1_gamma: float = 1.0
    r1_every: int = 16  # steps
    start: str = ""  # folder of a generator (with its attribute mapping) to go on from
    give_directions: bool = False  # of the start's w to the attributes of which it says little
    hold_mappings: bool = False  # w keeps its meaning: only the synthesis network learns
    heldout_images: int = 256  # for the PSNR at the end; a quarter of them for each sheet

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if len(self.phase_shares) != 3:
            raise ConfigError(f"phase_shares has {len(self.phase_shares)} numbers; give three")
        if self.discriminator not in DISCRIMINATORS:
            names = ", ".join(DISCRIMINATORS)
            raise ConfigError(f"no discriminator {self.discriminator!r}; choose from {names}")
        if (self.weight_hold or self.give_directions or self.distil_stretch) and not self.start:
            raise ConfigError(
                "weight_hold, give_directions and distil_stretch need a start: w means nothing yet"
            )
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
        )


# ------------------------------------------------------------------------------------- the loss
def pixel_weights(segmentation: Tensor, resolution: int) -> Tensor:
    """Return how much every pixel counts, [n, 1, resolution, resolution], mean 1 over the batch.

    Args:
        segmentation: [n, h, w] uint8, indices into REGIONS.
        resolution: Size to average to, px.
    """
    values = [REGION_WEIGHTS.get(name, 1.0) for name in REGIONS]
    table = torch.tensor(values, device=segmentation.device)
    weights = table[segmentation.long()][:, None]
    weights = F.max_pool2d(weights, CONTOUR, stride=1, padding=CONTOUR // 2)
    weights = shrink(weights, resolution)
    return weights / weights.mean()


def shrink(x: Tensor, resolution: int) -> Tensor:
    """Average [n, c, h, w] down to `resolution` px, a divisor of h."""
    return x if x.shape[-1] == resolution else F.avg_pool2d(x, x.shape[-1] // resolution)


def reconstruction_terms(made: Tensor, real: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted L1 distance and the weighted L1 distance of the Laplacian pyramids.

    The pyramid is linear, so it is built once, from the difference. Its first level is what a pixel
    differs from its surroundings: edges, which L1 alone leaves blurred.

    Args:
        made: [n, 3, h, w].
        real: The same.
        weights: [n, 1, h, w], mean 1.
    """
    difference = made - real
    pixel = (difference.abs() * weights).mean()
    pyramid = difference.new_zeros(())
    for _ in range(PYRAMID_LEVELS - 1):
        coarse = F.avg_pool2d(difference, 2)
        blurred = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        pyramid = pyramid + ((difference - blurred).abs() * weights).mean()
        difference, weights = coarse, F.avg_pool2d(weights, 2)
    return pixel, pyramid + (difference.abs() * weights).mean()


def feature_distance(segmenter: Segmenter, made: Tensor, real: Tensor) -> Tensor:
    """Return the L1 distance of a segmenter's finest features, relative to their size."""
    with torch.no_grad():
        wanted = segmenter.features(real)[:2]
    got = segmenter.features(made)[:2]
    terms = [(a - b).abs().mean() / b.abs().mean() for a, b in zip(got, wanted, strict=True)]
    return torch.stack([term.float() for term in terms]).mean()


def reader_distance(reader: AttributeReader, made: Tensor, real: Tensor) -> Tensor:
    """Return how far two sets of images are apart to an attribute reader.

    Half of it is the L1 distance of its maps, relative to their size, which places small things;
    half the root of the mean square of its hidden features', in which a nose's width counts as
    much as the sky. Squares keep the mean of what is seen, where L1 keeps the median, in which
    what is seldom seen is missing.
    """
    with torch.no_grad():
        maps, hidden = reader.features(real), reader.pooled(real).float()
    pairs = list(zip(reader.features(made), maps, strict=True))
    terms = [(a - b).abs().mean().float() / b.abs().mean().float() for a, b in pairs]
    apart = (reader.pooled(made).float() - hidden).square().mean()
    whole = (apart / hidden.square().mean() + 1e-8).sqrt()  # the root of 0 has no slope
    return (torch.stack(terms).mean() + whole) / 2


def stretching(people: Tensor, samples: Tensor) -> Tensor:
    """Return the matrix [d, d] that makes samples [n, d] differ as much as people [m, d] do.

    What least distance cannot tell it averages, so a mapping network's samples differ less than
    people do: by a tenth of the variance in most directions. Stretches each principal direction of
    people by what is missing there, and leaves those alone in which hardly anybody differs.
    """
    variance, directions = torch.linalg.eigh(torch.cov(people.T))
    missing = variance.clamp(min=0) / (samples @ directions).var(0).clamp(min=1e-12)
    missing = torch.where(variance > FLAT * variance.mean(), missing.clamp(min=1), 1)
    return (directions * missing.sqrt()) @ directions.T


def jittered(made: Tensor, real: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Lay the same random grain over two sets of images [n, 3, h, w], and move half of both alike.

    A generator learns to please a reader that always looks at the same pixels: what it draws is
    right to that one and to no other. Averaging over small changes mends that (Kettunen et al.,
    "E-LPIPS", arXiv:1906.03973).
    """
    if strength == 0:
        return made, real

    def move(x: Tensor) -> Tensor:
        return warp(x, random_grid(x, 4 * strength, 0.06 * strength, 0.04 * strength))

    both = some(torch.cat([made.float(), real.float()], dim=1), 0.5, move)
    grain = add_noise(torch.zeros_like(real), 0.06 * strength)
    return both[:, :3] + grain, both[:, 3:] + grain


def psnr(made: Tensor, real: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of every image, [n], in dB."""
    error = (made.clamp(-1, 1) - real).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / error.clamp(min=1e-10))


def rate_groups(modules: Iterable[nn.Module]) -> list[dict[str, Any]]:
    """Return optimizer groups in which every weight learns as if it were stored unscaled.

    Equalised layers multiply their weights by a gain at run time. Adam's step does not depend on
    the gradient's size, so a gain of 1/38 (3x3 of 160 channels) makes a layer learn 38 times
    slower than a plain one; "lr_scale" gives that back. One learning rate then suits all layers
    and a training of minutes, while the stored weights stay the official ones.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for module in modules:
        scales = {}
        if isinstance(module, EqualLinear | EqualConv2d | StyledConv | ToRGB):
            scales["weight"] = 1 / module.weight_gain
        if isinstance(module, EqualLinear):
            scales["bias"] = 1 / module.lr_multiplier
        for name, parameter in module.named_parameters(recurse=False):
            groups.setdefault(scales.get(name, 1.0), []).append(parameter)
    return [{"params": found, "lr_scale": scale} for scale, found in groups.items()]


# ------------------------------------------------------------------------------------ the turns
class PairedStep(nn.Module):
    """Reproduce the render from its attributes; fool the discriminator too where there is one."""

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
        if task.adversarial:
            assert task.discriminator is not None  # there is no such phase without one
            logits = task.discriminator(made)
            terms["adversarial"] = options.weight_adversarial * F.softplus(-logits).mean()
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


class DiscriminatorStep(nn.Module):
    """Tell renders from reconstructions: non-saturating loss, R1 penalty now and then."""

    def __init__(self, task: GeneratorTask, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator
        self._task = (task,)

    def forward(self, batch: WorldBatch) -> dict[str, Tensor]:
        """Return the terms."""
        (task,) = self._task
        options = task.options
        real = shrink(batch.image, options.resolution)
        with torch.no_grad():
            made = task.reconstruct(batch, options.resolution)
        of_real, of_made = self.discriminator(real), self.discriminator(made)
        terms = {
            "real": F.softplus(-of_real).mean(),
            "made": F.softplus(of_made).mean(),
            "log_real_logit": of_real.mean(),
            "log_made_logit": of_made.mean(),
        }
        if task.global_step % options.r1_every == 0:
            penalty = r1_penalty(self.discriminator, real)
            terms["r1"] = options.r1_gamma / 2 * options.r1_every * penalty
        return terms


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
        if options.start:
            self.generator = _started(Path(options.start), options.generator_config())
            self.attribute_mapping = load_attribute_mapping(Path(options.start))
            if options.give_directions:
                given = give_directions(self.attribute_mapping, self.generator)
                logger.info("%d directions of w given to what it said little of", given)
        else:
            self.generator = Generator(options.generator_config())
            mapping_config = AttributeMappingConfig(w_dim=options.w_dim)
            self.attribute_mapping = AttributeMapping(mapping_config)
        self.discriminator: nn.Module | None = None
        if options.adversarial_steps > 0:
            judge = DiscriminatorConfig(
                options.resolution, options.channel_base, options.channel_max
            )
            self.discriminator = DISCRIMINATORS[options.discriminator](judge)
        weights = {"segmenter": options.weight_feature, "attributes": options.weight_reader}
        self.segmenter = _frozen(Segmenter, "segmenter", weights, config, device)
        reader = _frozen(AttributeReader, "attributes", weights, config, device)
        own = [] if reader is None else [reader]
        self.readers = [*own, *more_readers(options.readers, device)]
        held = copy.deepcopy(self.attribute_mapping).requires_grad_(False)
        self._held = (held.to(device),)  # in a tuple: no part of what is trained
        self.size = options.resolution  # px of the present phase
        self.adversarial = False
        self._stretch = self._measured_stretch() if options.distil_stretch else None
        self.data: WorldShards
        self.heldout: WorldShards | None = None

    def modules(self) -> dict[str, nn.Module]:
        """Return what training changes."""
        modules: dict[str, nn.Module] = {
            "attribute_mapping": self.attribute_mapping,
            "generator": self.generator,
        }
        if self.discriminator is not None:
            modules["discriminator"] = self.discriminator
        return modules

    def turns(self) -> Sequence[Turn]:
        """Return the turns; a phase says which of them move."""
        paired, distil = PairedStep(self), DistilStep(self)
        turns = [
            Turn("paired", paired, groups=lambda: rate_groups(paired.modules())),
            Turn(
                "distil",
                distil,
                learning_rate=self.options.distil_learning_rate,
                groups=lambda: rate_groups(distil.modules()),
            ),
        ]
        if self.discriminator is not None:
            judge = DiscriminatorStep(self, self.discriminator)
            rate = self.options.discriminator_learning_rate
            turns.append(Turn("discriminator", judge, learning_rate=rate, betas=(0.0, 0.99)))
        return turns

    def phases(self) -> Sequence[Phase]:
        """Return the growing sizes, the adversarial finish, the mapping network alone."""
        options = self.options
        both = ("paired",) if options.hold_mappings else ("paired", "distil")
        sizes = [options.resolution // 4, options.resolution // 2, options.resolution]
        phases = [
            Phase(f"{size} px", share, turns=both)
            for size, share in zip(sizes, options.phase_shares, strict=True)
        ]
        if self.discriminator is not None:
            finish = Phase(
                "adversarial",
                steps=options.adversarial_steps,
                turns=("discriminator", *both),
                batch_size=options.adversarial_batch_size,
                learning_rate_scale=options.adversarial_rate_scale,
            )
            phases.append(finish)
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
        """Set the size and whether the discriminator takes part."""
        self.size = self._size_of(phase)
        self.adversarial = phase.name == "adversarial"

    @torch.no_grad()
    def _measured_stretch(self) -> tuple[Tensor, Tensor]:
        """Return the mean w of people, and how the start's samples are stretched to spread alike.

        Of the start and not of what is being trained, so that a resumed run finds the same.
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


def _started(folder: Path, config: GeneratorConfig) -> Generator:
    """Return the generator of a folder; a mapping network of another depth begins anew.

    Raises:
        ConfigError: If its synthesis network has another size.
    """
    generator: Generator = load_network(Generator, folder)
    if generator.config == config:
        return generator
    if replace(generator.config, mapping_layers=config.mapping_layers) != config:
        raise ConfigError(f"the generator in {folder} has another size")
    fresh = Generator(config)
    kept = {k: v for k, v in generator.state_dict().items() if not k.startswith("mapping.")}
    fresh.load_state_dict(kept, strict=False)
    return fresh


def _frozen(
    kind: type[AnyModule],
    name: str,
    weights: Mapping[str, float],
    config: TrainConfig,
    device: torch.device,
) -> AnyModule | None:
    """Return a network of the base for a loss; None if the base has none or the loss is off."""
    folder = config.base_path / name
    if weights[name] == 0 or not (folder / "model.safetensors").is_file():
        return None
    return load_network(kind, folder).eval().requires_grad_(False).to(device)


def more_readers(folders: Iterable[str], device: torch.device) -> list[AttributeReader]:
    """Return attribute readers for a loss from other folders than the base's."""
    found = [load_network(AttributeReader, Path(folder)) for folder in folders]
    return [reader.eval().requires_grad_(False).to(device) for reader in found]
