"""The e4e encoder: from a picture to the code whose image is that portrait.

Paper: Tov et al., arXiv:2102.02766, Section 4 and its official code. What differs here, because the
world knows the answer: the exact w of every render is the attribute mapping's, so the first phase
regresses it without drawing any image, and the latent discriminator, which keeps codes near w where
nobody knows them, is not needed. LPIPS is replaced by features of our own frozen networks.

Photographs: most pictures are changed as a camera and a life would (colours, blur, noise, framing,
hands, any background), while the target stays the clean portrait. So what the encoder cannot read
off a photo it fills in with what portraits are like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import PIL.Image
import torch
from torch import Tensor, nn

from faceedit.backbones.attributes import AttributeReader
from faceedit.backbones.encoder import Encoder, EncoderConfig
from faceedit.backbones.identity import Identity
from faceedit.backbones.segmenter import Segmenter
from faceedit.backbones.stylegan2 import Generator
from faceedit.hub import load_network, save_network
from faceedit.metrics.attributes import reading_accuracy, region_shares
from faceedit.metrics.image import psnr
from faceedit.world import (
    NOISE_DIM,
    REGIONS,
    SPECS,
    FaceAttributes,
    attributes_from_noise,
    sample_attributes,
)
from training.config import ConfigError, TrainConfig
from training.data.photographed import photograph
from training.data.shards import WorldBatch, WorldShards
from training.memory import keep_freed_memory
from training.sheets import contact_sheet
from training.task import Phase, Task, Turn
from training.tasks.attribute_mapping import attributes_off_w, load_attribute_mapping
from training.tasks.attributes import Balance, reading_losses
from training.tasks.frozen import more_readers
from training.tasks.generator_losses import (
    FLAT,
    feature_distance,
    jittered,
    pixel_weights,
    reconstruction_terms,
    shrink,
)
from training.tasks.rate_groups import rate_groups

__all__ = ["EncoderTask"]

POPULATION = 4096  # people who tell how far w spreads, and which values are rare
RARE_POWER = 0.8  # a value's weight in what is read ~ (1 / frequency) ** RARE_POWER


@dataclass(frozen=True)
class EncoderOptions:
    """Size of the encoder, the phases and the loss weights."""

    widths: tuple[int, int, int, int] = (24, 48, 96, 160)
    units: tuple[int, int, int, int] = (1, 2, 2, 2)
    fold: int = 2
    squeeze: int = 8
    head_channels: int = 104
    fovea: tuple[int, ...] = ()  # top, bottom, left, right of a second look, px; none if empty
    fovea_widths: tuple[int, ...] = (20, 32, 48)
    fovea_colors: int = 8
    fovea_hidden: int = 96
    phase_shares: tuple[float, ...] = (0.7, 0.2, 0.1)  # of the steps: w only, images at 1/2 and 1/1
    image_batch_size: int = 16  # in the image phases, which also draw the portrait
    image_rate_scale: float = 0.5  # of the learning rate, in the image phases
    camera_share: float = 0.5  # share of the pictures that are changed as photographs are
    weight_w: float = 1.0  # squared distance to the exact w, in units of its spread
    weight_said: float = 0.0  # squared distance of the attributes that a linear map reads off w
    balance_directions: float = 0.0  # 0: directions of w count by how far people differ; 1: alike
    weight_delta: float = 2e-3  # e4e's 2e-4 is per layer and unscaled; ours is a mean over layers
    weight_pixel: float = 1.0
    weight_pyramid: float = 1.0
    weight_feature: float = 0.3  # segmenter, full size only
    weight_identity: float = 0.3
    weight_attributes: float = 0.3  # what attribute readers see, full size only
    weight_truth: float = 0.0  # what they read, against the truth, rare values as much as others
    readers: tuple[str, ...] = ()  # folders of more of them, beside the base's
    reader_jitter: float = 0.0  # strength of the shift, turn and grain through which they look
    heldout_images: int = 256
    init_weights: str = ""  # folder of an encoder of the same shape to go on from

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if len(self.phase_shares) != 3:
            raise ConfigError(f"phase_shares has {len(self.phase_shares)} numbers; give three")
        if self.readers and not self.weight_attributes:
            raise ConfigError("readers are given, but weight_attributes is 0: give it too")
        if self.weight_truth and not self.weight_attributes:
            raise ConfigError("weight_truth is given, but weight_attributes is 0: give it too")


class EncoderStep(nn.Module):
    """Encode pictures, draw the codes, compare with the clean portraits."""

    def __init__(self, task: EncoderTask) -> None:
        super().__init__()
        self.encoder = task.encoder
        self._task = (task,)

    def forward(self, batch: WorldBatch) -> dict[str, Tensor]:
        """Return the weighted terms."""
        (task,) = self._task
        options = task.options
        image, unknown = photograph(batch, options.camera_share)
        code = self.encoder(image)
        off = code - task.exact(batch.attributes)
        delta_w = (code - code[:, :1])[:, 1:]
        terms = {
            "w": options.weight_w * (off @ task.scales).square().mean(),
            "said": options.weight_said * (off @ task.reading).square().mean(),
            "delta": options.weight_delta * delta_w.norm(dim=2).mean() / task.spread,
        }
        if task.size:
            terms |= self.image_terms(batch, code, unknown)
        return terms

    def image_terms(self, batch: WorldBatch, code: Tensor, unknown: Tensor) -> dict[str, Tensor]:
        """Return the terms that need the portrait drawn; `unknown` pixels do not count."""
        (task,) = self._task
        options, size = task.options, task.size
        made = task.generator.synthesis(code, resolution=size)
        real = shrink(batch.image, size)
        weights = pixel_weights(batch.segmentation, size) * (1 - shrink(unknown, size))
        pixel, pyramid = reconstruction_terms(made, real, weights)
        terms = {
            "pixel": options.weight_pixel * pixel,
            "pyramid": options.weight_pyramid * pyramid,
            "log_psnr": psnr(made.detach(), real).mean(),
        }
        if size < task.generator.config.resolution:
            return terms
        if task.segmenter is not None:
            distance = feature_distance(task.segmenter, made, real)
            terms["feature"] = options.weight_feature * distance
        if task.identity is not None:
            with torch.no_grad():
                person = task.identity(real)
            terms["identity"] = options.weight_identity * (
                1 - (task.identity(made) * person).sum(1).mean()
            )
        if task.readers:
            seen = jittered(made, real, options.reader_jitter)
            terms |= self.reader_terms(*seen, batch)
        return terms

    def reader_terms(self, made: Tensor, real: Tensor, batch: WorldBatch) -> dict[str, Tensor]:
        """Return how what readers see and what they read differs from what they should."""
        (task,) = self._task
        options = task.options
        distances, errors = [], []
        for reader in task.readers:
            seen = reader.pooled(made)
            distances.append(seen_distance(seen, reader, real))
            if options.weight_truth:
                losses = reading_losses(reader.raw_from(seen), batch, task.balance)
                errors.append(losses["choices"] + losses["numbers"])
        terms = {"attributes": options.weight_attributes * torch.stack(distances).mean()}
        if errors:
            terms["truth"] = options.weight_truth * torch.stack(errors).mean()
        return terms


def seen_distance(seen: Tensor, reader: AttributeReader, real: Tensor) -> Tensor:
    """Return the L1 distance of hidden features from a reader's of `real`, relative to theirs."""
    with torch.no_grad():
        wanted = reader.pooled(real).float()
    return (seen.float() - wanted).abs().mean() / wanted.abs().mean()


def leveling(w: Tensor, power: float) -> Tensor:
    """Return the matrix [d, d] that puts an error of w into units of how far people differ.

    Most of w's variance is in a few directions (hair, skin, light), so that a squared distance says
    little of ears and noses. With power 1 every direction counts alike, with 0 by its variance.
    The squares of `(w - mean) @ matrix` have the mean 1.

    Args:
        w: Codes of many people, [n, d].
        power: From 0 to 1.
    """
    variance, directions = torch.linalg.eigh(torch.cov(w.T))
    variance = variance.clamp(min=0)
    scale = (variance / variance.mean() + FLAT) ** (-power / 2)
    scale = scale / (variance * scale.square()).mean().sqrt()
    return (directions * scale) @ directions.T


class EncoderTask(Task):
    """Trains `Encoder` for the generator of the base."""

    options_class: ClassVar[type] = EncoderOptions
    averaged: ClassVar[tuple[str, ...]] = ("encoder",)
    options: EncoderOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        if device.type == "cpu":
            keep_freed_memory()
        folder = config.base_path / "generator"
        if not folder.is_dir():
            raise ConfigError(f"{folder} does not exist; train it first: --task generator")
        self.generator = _frozen(load_network(Generator, folder), device)
        self.attribute_mapping = _frozen(load_attribute_mapping(folder), device)
        self.segmenter = self.reads("segmenter", Segmenter, self.options.weight_feature)
        self.identity = self.reads("identity", Identity, self.options.weight_identity)
        self.reader = self.reads("attributes", AttributeReader, self.options.weight_attributes)
        more = more_readers(self.options.readers, device)
        self.readers = [] if self.reader is None else [self.reader, *more]
        self.encoder = Encoder(self._encoder_config())
        if self.options.init_weights:
            self.encoder = self._started(Path(self.options.init_weights))
        self.encoder.w_avg.copy_(self.generator.w_avg.cpu())
        w = self._population()
        self.spread = float((w - w.mean(0)).square().mean().sqrt())  # of an entry from its mean
        self.scales = leveling(w, self.options.balance_directions)
        self.reading = attributes_off_w(self.attribute_mapping)
        self.balance = Balance(sample_attributes(POPULATION, seed=0).values, RARE_POWER)
        self.size = 0  # px of the drawn portrait; 0: none is drawn
        self.data: WorldShards

    @torch.no_grad()
    def exact(self, attributes: FaceAttributes) -> Tensor:
        """Return the exact w of people, [n, 1, w_dim]."""
        with torch.autocast(attributes.values.device.type, enabled=False):
            w: Tensor = self.attribute_mapping(attributes)[:, None]
        return w

    def reads(self, name: str, network: type[nn.Module], weight: float) -> Any:
        """Load a frozen network of the base, if its term counts."""
        if weight == 0:
            return None
        folder = self.config.base_path / name
        if not folder.is_dir():
            raise ConfigError(f"{folder} does not exist; train it, or set its loss weight to 0")
        return _frozen(load_network(network, folder), self.device)

    def _encoder_config(self) -> EncoderConfig:
        o, generator = self.options, self.generator.config
        return EncoderConfig(
            num_ws=generator.num_ws,
            w_dim=generator.w_dim,
            input_size=generator.resolution,
            widths=o.widths,
            units=o.units,
            fold=o.fold,
            squeeze=o.squeeze,
            head_channels=o.head_channels,
            share_heads=True,
            fovea=o.fovea,
            fovea_widths=o.fovea_widths,
            fovea_colors=o.fovea_colors,
            fovea_hidden=o.fovea_hidden,
        )

    def _started(self, folder: Path) -> Encoder:
        """Return a trained encoder; a second look that it lacks is added and finds nothing yet.

        Raises:
            ConfigError: If it has another shape than the options ask for.
        """
        started, config = load_network(Encoder, folder), self._encoder_config()
        shape = started.config
        if not shape.fovea:
            shape = replace(shape, **{name: getattr(config, name) for name in shape.added_later})
        if shape != config:
            raise ConfigError(f"{folder} holds an encoder of another shape than the options say")
        encoder = Encoder(config)
        encoder.load_state_dict(started.state_dict(), strict=shape == started.config)
        return encoder

    @torch.no_grad()
    def _population(self) -> Tensor:
        """Return the codes of many people, [POPULATION, w_dim]."""
        noise = torch.randn(POPULATION, NOISE_DIM, generator=torch.Generator().manual_seed(0))
        w: Tensor = self.attribute_mapping(attributes_from_noise(noise.to(self.device)))
        return w

    def modules(self) -> dict[str, nn.Module]:
        """The encoder alone."""
        return {"encoder": self.encoder}

    def turns(self) -> Sequence[Turn]:
        """One turn; equalised layers learn as fast as the others."""
        step = EncoderStep(self)
        return [Turn("encoder", step, groups=lambda: rate_groups(step.modules()))]

    def phases(self) -> Sequence[Phase]:
        """The code alone; then the portrait too, at half and at full size."""
        size, o = self.generator.config.resolution, self.options
        first, half, full = o.phase_shares
        drawn = partial(
            Phase, batch_size=o.image_batch_size, learning_rate_scale=o.image_rate_scale
        )
        return [
            Phase("w", first),
            drawn(f"{size // 2} px", half),
            drawn(f"{size} px", full),
        ]

    def enter(self, phase: Phase) -> None:
        """Set the size of the drawn portrait."""
        self.size = 0 if phase.name == "w" else int(phase.name.split()[0])

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Open the training renders."""
        folder = self.config.data_path / "train"
        self.data = WorldShards(folder, recorded, self.config.seed, flip=True, device=self.device)
        return self.data.state()

    def batch(self, positions: range) -> WorldBatch:
        """Return renders, half of them mirrored."""
        return self.data.batch(positions)

    def _heldout(self, start: int, stop: int) -> WorldBatch:
        data = WorldShards(self.config.data_path / "heldout", device=self.device)
        return data.rows(range(start, min(stop, len(data)))).to(self.device)

    @torch.no_grad()
    def samples(self) -> PIL.Image.Image:
        """Show renders, their inversions, changed renders, and theirs."""
        encoder = self.averaged_or_live("encoder")
        batch = self._heldout(0, 8)
        changed, _ = photograph(batch, 1.0)
        rows = []
        for image in (batch.image, changed):
            rows += [image, self.generator(encoder(image))]
        names = ("render", "inverted", "photo-like", "inverted")
        return contact_sheet(torch.cat(rows), len(batch), row_labels=names)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure inversions of held-out renders with the networks of the base.

        The judges' numbers are in `training.evaluate`; here nothing reads a judge.
        """
        encoder, made, batches = self.averaged_or_live("encoder"), [], []
        for start in range(0, self.options.heldout_images, 32):
            batch = self._heldout(start, min(start + 32, self.options.heldout_images))
            if len(batch) == 0:
                break
            batches.append(batch)
            made.append(self.generator(encoder(batch.image)).clamp(-1, 1))
        image = torch.cat([batch.image for batch in batches])
        inverted = torch.cat(made)
        scores = {"psnr": float(psnr(inverted, image).mean()), "images": len(image)}
        if self.identity is not None:
            pairs = zip(inverted.split(32), image.split(32), strict=True)
            likeness = [(self.identity(a) * self.identity(b)).sum(1) for a, b in pairs]
            scores["identity_cosine"] = float(torch.cat(likeness).mean())
        if self.reader is not None:
            scores["attributes_kept"] = self._attributes_kept(inverted, batches)
        return scores

    def _attributes_kept(self, inverted: Tensor, batches: list[WorldBatch]) -> float:
        """Return the mean balanced accuracy of reading clearly visible values off inversions."""
        heads = self.reader.config.heads
        answers = [self.reader.read(part) for part in inverted.split(32)]
        joined = {head.name: torch.cat([a[head.name] for a in answers]).cpu() for head in heads}
        values = torch.cat([batch.values for batch in batches]).cpu()
        labels = torch.cat([batch.segmentation for batch in batches]).cpu()
        truth = dict(zip(SPECS, values.unbind(1), strict=True))
        accuracy = reading_accuracy(heads, joined, truth, region_shares(labels, REGIONS))
        known = torch.tensor(list(accuracy.values()))
        return float(known.nanmean())

    def export(self, folder: Path) -> None:
        """Write the averaged encoder."""
        save_network(self.averaged_or_live("encoder"), folder)


def _frozen(network: Any, device: torch.device) -> Any:
    return network.to(device).eval().requires_grad_(False)
