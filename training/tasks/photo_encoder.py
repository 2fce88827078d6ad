"""Fits the encoder of photographs: nothing descends, all of it is solved at once.

It is measured on photographs that it was not fitted to: `evaluate` fits it anew without every
fourth, four times, and the base's own reader reads what is drawn for those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import ClassVar

import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones import load_backbones
from faceedit.backbones.photo_encoder import NARROW, PhotoEncoder, PhotoEncoderConfig, looked
from faceedit.hub import save_network
from faceedit.photo.framing import Framing
from faceedit.world import SPECS, FaceAttributes, sample_attributes
from training.config import ConfigError, TrainConfig
from training.data.augment import Augmentation, augment, bends, random_grid, warp
from training.data.shards import WorldShards
from training.photographs.characters import character_of
from training.photographs.likeness import CHARACTER_MEASURES, character_scores, skin_rank
from training.photographs.portraits import FOLDS, LabelledPhoto, PortraitFolder
from training.photographs.reading import Examples, fit_gate, fit_reading, outputs
from training.sheets import contact_sheet
from training.task import SolvedTask
from training.tasks.attribute_mapping import attributes_off_w, load_attribute_mapping

__all__ = ["PhotoEncoderOptions", "PhotoEncoderTask"]

WIDER = 1.5  # of the crops that are changed, over a portrait's frame
CAMERA = Augmentation(color=0.4, gray=0.02, blur=0.6, noise=0.05, coarse=0.08)
TURN, SCALE, SHIFT, BEND = 5.0, 0.07, 0.025, 0.008
READ = ("encoder", "segmenter", "landmarks")
READER = "attributes"  # of the base: judges are for measures alone
BATCH = 16
WORN = 0.3  # share of the drawn people who get a hat, and of those who get glasses


@dataclass(frozen=True)
class PhotoEncoderOptions:
    """What a recipe says about the fit."""

    photographs: str = ""  # folder of labelled photographs, see `training.photographs.portraits`
    changed: int = 6  # changed copies of each photograph
    renders: int = 400  # of the world's training split
    drawn: int = 500  # people whom the generator draws


class PhotoEncoderTask(SolvedTask):
    """Fits `PhotoEncoder` for the networks of the base."""

    options_class: ClassVar[type] = PhotoEncoderOptions
    options: PhotoEncoderOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        if not self.options.photographs:
            raise ConfigError("name the labelled photographs: --set photographs=FOLDER")
        if config.dry_run:
            self.options = replace(self.options, changed=1, renders=4, drawn=BATCH)
        self.base = load_backbones(config.base_path, [*READ, READER, "generator"]).to(device)
        self.mapping = load_attribute_mapping(config.base_path / "generator").to(device)
        size = self.base.generator.config.resolution
        seen, coarse = self._look(torch.zeros(1, 3, size, size, device=device))
        sizes = self.mapping.config
        self.network = PhotoEncoder(
            PhotoEncoderConfig(
                outputs(),
                sum(part.shape[1] for part in seen.values()),
                sum(seen[name].shape[1] for name in NARROW),
                coarse.shape[1],
                sizes.w_dim,
                sizes.width,
                sizes.layers,
            )
        ).to(device)
        self.photos: list[LabelledPhoto] = []
        self.skipped: list[str] = []
        self.examples: Examples | None = None

    def modules(self) -> dict[str, nn.Module]:
        """The network."""
        return {"photo_encoder": self.network}

    @torch.no_grad()
    def fit(self) -> None:
        """Look at photographs, their changed copies, renders and drawn people, and solve."""
        self.examples = self._examples()
        self._solve(self.network, self.examples)

    @torch.no_grad()
    def _look(self, image: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return what the networks see, and the encoder's last map, averaged."""
        seen: list[dict[str, Tensor]] = []
        coarse = []
        for part in image.split(BATCH):
            maps = self.base.encoder.maps(part)
            seen.append(looked(part, maps, self.base.encoder(part, maps=maps), self.base))
            coarse.append(maps[-1].mean((2, 3)))
        joined = {name: torch.cat([part[name] for part in seen]) for name in seen[0]}
        return joined, torch.cat(coarse)

    def _examples(self) -> Examples:
        o, size = self.options, self.base.generator.config.resolution
        found = list(PortraitFolder(Path(o.photographs)).every(3 * size, Framing.WORLD, WIDER))
        self.photos = [photo for photo in found if isinstance(photo, LabelledPhoto)]
        self.skipped = [str(photo) for photo in found if not isinstance(photo, LabelledPhoto)]
        if len(self.photos) < FOLDS:
            raise ConfigError(
                f"{len(self.photos)} of the photographs can be used, and {FOLDS} are needed: "
                f"{self.skipped[:3]}"
            )
        wide = torch.cat([_pixels(photo) for photo in self.photos]).to(self.device)
        people = [character_of(photo) for photo in self.photos]
        values = [torch.stack([person.values for person in people])]
        known = [torch.stack([person.known for person in people])]
        images = [_framed(wide, size)]
        mirror = FaceAttributes(values[0]).mirror().values
        for i in range(o.changed):
            images.append(_changed(wide, size, bool(i % 2)))
            values.append(mirror if i % 2 else values[0])
            known.append(known[0])
        renders, shown = self._others(size)
        seen, coarse = self._look(torch.cat([*images, renders]))
        values.append(shown)
        known.append(torch.ones_like(shown, dtype=torch.bool))
        return Examples(
            {name: part.cpu() for name, part in seen.items()},
            torch.cat(values),
            torch.cat(known),
            len(wide) * (o.changed + 1),
            coarse.cpu(),
        )

    def _others(self, size: int) -> tuple[Tensor, Tensor]:
        """Return renders and drawn people, and who they are."""
        o, images, values = self.options, [], []
        if o.renders:
            shards = WorldShards(self.config.data_path / "train", seed=self.config.seed)
            batch = shards.rows(range(min(o.renders, len(shards))))
            images.append(batch.image.to(self.device))
            values.append(batch.values)
        people = sample_attributes(o.drawn, seed=self.config.seed + 1).values.clone()
        for name in ("hat", "glasses"):
            index, choices = list(SPECS).index(name), len(SPECS[name].values)
            worn = torch.rand(o.drawn) < WORN
            people[worn, index] = torch.randint(1, choices, (int(worn.sum()),)).float()
        for part in people.split(BATCH):
            w = self.mapping(FaceAttributes(part).to(self.device))
            drawn = self.base.generator(self.base.generator.broadcast(w)).clamp(-1, 1)
            images.append(drawn)
        return torch.cat(images), torch.cat([*values, people])

    def _solve(self, network: PhotoEncoder, examples: Examples) -> None:
        """Fill a network: what it reads, what tells photographs, and the map to w."""
        mapping, average = self.mapping.cpu(), self.base.encoder.w_avg.cpu()
        usual = mapping(sample_attributes(4096, seed=0)).mean(0)
        off_code = attributes_off_w(mapping) * mapping.spread
        bias = (average - usual) @ off_code + mapping.mean
        weight, offset = fit_reading(examples, off_code, bias)
        features = torch.cat(list(examples.seen.values()), 1)[: examples.photographs]
        middle, scale = features.mean(0), features.std(0)
        scale = scale + 0.05 * scale.mean() + 1e-6
        gate, threshold = fit_gate(
            examples.coarse[: examples.photographs], examples.coarse[examples.photographs :]
        )
        network.tell.weight.copy_(gate[None])
        network.tell.bias.copy_(threshold[None])
        network.middle.copy_(middle)
        network.scale.copy_(scale)
        write_reading(network, weight * scale[:, None], offset + middle @ weight)
        network.mean.copy_(mapping.mean)
        network.spread.copy_(mapping.spread)
        for name in ("hidden", "output", "direct"):
            getattr(network, name).load_state_dict(getattr(mapping, name).state_dict())

    @torch.no_grad()
    def heldout_portraits(self) -> Tensor:
        """Return what is drawn for each photograph by a fit that has not seen it, [n, 3, h, w]."""
        examples, count = self._known(), len(self.photos)
        drawn = torch.zeros(count, 3, *(self.base.generator.config.resolution,) * 2)
        place = torch.arange(examples.photographs) % count % FOLDS
        network = PhotoEncoder(self.network.config)
        for fold in range(FOLDS):
            self._solve(network, examples.photos((place != fold).nonzero()[:, 0]))
            rows = torch.arange(fold, count, FOLDS)
            seen = torch.cat([part[rows] for part in examples.seen.values()], 1)
            drawn[rows] = self._drawn(network, seen)
        return drawn

    def _known(self) -> Examples:
        if self.examples is None:
            self.examples = self._examples()
        return self.examples

    def _drawn(self, network: PhotoEncoder, seen: Tensor) -> Tensor:
        generator = self.base.generator
        codes = network.character(seen).to(self.device)
        parts = [generator(generator.broadcast(part)) for part in codes.split(BATCH)]
        return torch.cat(parts).clamp(-1, 1).cpu()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure what is drawn for photographs that were held out, by the base's reader."""
        reader = self.base.require(READER, "the evaluation").cpu()
        read = [reader.read(part) for part in self.heldout_portraits().split(BATCH)]
        answers = {name: torch.cat([part[name] for part in read]).tolist() for name in read[0]}
        rows = [
            character_scores(photo.labels, {name: values[i] for name, values in answers.items()})
            for i, photo in enumerate(self.photos)
        ]
        scores = {}
        for measure in CHARACTER_MEASURES:
            found = [row[measure.name] for row in rows if measure.name in row]
            if found:
                scores[measure.name] = fmean(found)
        rank = skin_rank(rows)
        return scores | ({} if rank is None else {"skin tone": rank})

    def samples(self) -> PIL.Image.Image:
        """Show photographs and what is drawn for them by fits that have not seen them."""
        size, count = self.base.generator.config.resolution, min(16, len(self.photos))
        photos = torch.cat([_pixels(photo) for photo in self.photos[:count]])
        drawn = self.heldout_portraits()[:count]
        pictures = torch.stack([_framed(photos, size), drawn], 1).flatten(0, 1)
        return contact_sheet(pictures, 8)

    def export(self, folder: Path) -> None:
        """Write the network."""
        save_network(self.network, folder)


@torch.no_grad()
def write_reading(network: PhotoEncoder, weight: Tensor, bias: Tensor) -> None:
    """Put a linear map of standardised features, [features, columns], into a network's two."""
    config = network.config
    wide = torch.cat([torch.full((o.told,), o.wide) for o in config.outputs])
    network.wide.weight.copy_(weight[:, wide].T)
    network.wide.bias.copy_(bias[wide])
    network.narrow.weight.copy_(weight[len(weight) - config.narrow :, ~wide].T)
    network.narrow.bias.copy_(bias[~wide])


def _pixels(photo: LabelledPhoto) -> Tensor:
    pixels = torch.from_numpy(photo.image).permute(2, 0, 1)[None].float()
    return pixels.div(127.5).sub(1)


def _framed(wide: Tensor, size: int) -> Tensor:
    """Return what a portrait's frame shows of wider crops of three times its size."""
    margin = size // 2
    return F.avg_pool2d(wide[:, :, margin:-margin, margin:-margin], 2)


def _changed(wide: Tensor, size: int, mirrored: bool) -> Tensor:
    """Return wider crops as another camera would see them, framed."""
    image = wide.flip(-1) if mirrored else wide
    grid = (random_grid(image, TURN, SCALE, SHIFT) + bends(image, BEND)) / WIDER
    sides = (2 * size, 2 * size)
    grid = F.interpolate(grid.permute(0, 3, 1, 2), sides, mode="bilinear").permute(0, 2, 3, 1)
    parts = zip(image.split(BATCH), grid.split(BATCH), strict=True)
    seen = torch.cat([F.avg_pool2d(warp(some, places), 2) for some, places in parts])
    return augment(seen, CAMERA)
