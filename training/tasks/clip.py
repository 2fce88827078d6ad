"""Train the world's CLIP: pictures from the shards against captions written afresh every time.

Radford et al. (arXiv:2103.00020) treat every other caption of the batch as false. Here many are
true of several pictures ("she is smiling"), so the exact truth decides: a pair is a positive where
all that the caption says is true of the picture and in view, a negative where something is surely
false, and left out in between.

What speeds it up is dropped at export: a *prototype* for every statement, a unit vector in the
joint space. A picture's embedding must tell by its cosine with a prototype whether the statement is
true, and which value of a question it is; a caption's embedding must point where the sum of its
statements' prototypes points. In the phase "look" the vision tower learns that alone; in "match"
wordings take the prototypes' place in it, and captions join with the contrast.

Editors descend on this CLIP, so it must not be fooled cheaply: some pictures are painted over
(`training.data.paint`), and some are moved a little towards what is false of them, in blocks as
coarse as a generator can draw (Goodfellow et al., arXiv:1412.6572, one signed step).
"""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.attributes import encode
from faceedit.backbones.clip import Clip, ClipConfig
from faceedit.backbones.clip_tokenizer import ClipTokenizer, build_tokenizer
from faceedit.metrics.attributes import in_sight, region_shares
from faceedit.world import REGIONS, SPECS, sample_attributes
from faceedit.world.captions import (
    FALSE,
    STATEMENTS,
    TRUE,
    Caption,
    Split,
    caption,
    compose,
    find,
    questions,
    truth,
    value_prompts,
)
from training.config import ConfigError, TrainConfig
from training.data.paint import Coat, draw_coat, paint
from training.data.shards import WorldBatch, WorldShards, augment_seed
from training.task import Phase, Task, Turn
from training.tasks.attributes import CHOICES, HEADS, Balance, level_mean

MAX_SCALE = math.log(100)  # of the learned temperature, as in the paper
RECALL_PAIRS = 100  # pictures and captions in one retrieval round
RECALL_ROUNDS = 20
NUMBERS = tuple(head for head in HEADS if not head.values)  # attributes that have a scale
RARE_POWER = 0.6  # weight of a number's value ~ (1 / frequency) ** this
OUT_OF_SIGHT = 0.02  # weight of a number that the picture hides
PLACE_STD = 0.5  # of the position embeddings at the start; patch embeddings have about 0.5 too
ATTENTION_GAIN = 3.0  # of queries and keys at the start


@dataclass(frozen=True)
class ClipOptions:
    """What the recipe can set."""

    image_size: int = 96
    patch_size: int = (
        32  # few large patches: aligned faces need little else, at a tenth of the price
    )
    pixels: Literal["openai", "foveal"] = "openai"  # see `Clip.pixels`; may differ from `start`'s
    vision_width: int = 192
    vision_layers: int = 5
    text_width: int = 128
    text_layers: int = 2
    head_width: int = 16  # of one attention head, in both towers
    context_length: int = 64  # tokens; the longest caption of five statements has about 50
    embed_dim: int = 128
    vocabulary: int = 1200  # tokens, the 512 byte symbols and the two specials included
    captions_each: int = 1  # captions a picture and step
    look_share: float = 0.5  # of the steps, before captions come in
    weight_ask: float = 1.0  # of telling which value of a question is true
    weight_mean: float = 2.0  # of a caption's distance from what its statements mean
    weight_level: float = 0.0  # of telling how wide, long or open things are, see `Levels`
    blur: float = 0.3  # share of pictures that are blurred: generators are less sharp than renders
    shift: float = 0.03  # largest shift, as a share of the side
    paint: float = 0.0  # share of pictures that are painted over, see `training.data.paint`
    attack: float = 0.0  # share of pictures that are moved towards what is false of them
    attack_size: float = 0.08  # largest move of a value in [-1, 1]
    start: str = ""  # folder of a CLIP of the same shape to go on from
    freeze_text: bool = False  # keep the started text tower to the bit; only pictures are learned
    hold_text: float = 0.0  # weight of keeping texts where `start` has them
    heldout_images: int = 1500  # pictures to measure on


@dataclass(frozen=True)
class ClipBatch:
    """Pictures, what is true of them, and their captions."""

    image: Tensor  # [n, 3, h, w] in [-1, 1]
    truth: Tensor  # [n, S] int8: TRUE, FALSE or UNSURE
    values: Tensor  # [n, A] the attributes, one column each in the order of faceedit.world.SPECS
    clear: Tensor  # [n, len(NUMBERS)] how much each number counts, see `number_weights`
    tokens: Tensor  # [m, length], captions_each captions a picture
    said: Tensor  # [m, S] float, 1 for what a caption says
    owner: Tensor  # [m] index of the picture that a caption was written for

    def to(self, device: torch.device) -> ClipBatch:
        """Return the batch on another device."""
        return ClipBatch(**{k: v.to(device, non_blocking=True) for k, v in vars(self).items()})


def pair_truth(known: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
    """Return which captions are true and which are surely false of which pictures.

    Args:
        known: What is true of each picture, [n, S] int8.
        said: What each caption says, [m, S], 1 or 0.

    Returns:
        Two bools [n, m]: everything said is true and in view; something said is false.
    """
    holds = (known == TRUE).float() @ said.T
    fails = (known == FALSE).float() @ said.T
    return holds >= said.sum(dim=1), fails > 0


def contrast(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Return the contrastive loss of each row against its negatives, averaged.

    For every positive pair the softmax runs over that pair and the row's negatives only, so two
    true captions of one picture do not push each other away: -log(e^p / (e^p + sum e^n)).

    Args:
        logits: [rows, columns].
        positive: [rows, columns] bool.
        negative: [rows, columns] bool.
    """
    others = logits.masked_fill(~negative, -1e4).logsumexp(dim=1, keepdim=True)  # [rows, 1]
    loss = F.softplus(others - logits).masked_fill(~positive, 0.0).sum(dim=1)
    count = positive.sum(dim=1)
    return (loss / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


def reading_loss(logits: Tensor, known: Tensor, weights: Tensor) -> Tensor:
    """Return the error of telling statements, leaving out what is unsure.

    Args:
        logits: [n, S].
        known: [n, S] int8: TRUE, FALSE or UNSURE.
        weights: [2, S], how much a false and a true one count; see `balance`.
    """
    weight = (known == FALSE) * weights[0] + (known == TRUE) * weights[1]
    target = (known == TRUE).float()
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * weight).sum() / weight.sum().clamp(min=1e-6)


@cache
def balance(people: int = 4000) -> Tensor:
    """Return weights [2, S] that make false and true weigh the same, whatever their share."""
    known = truth(sample_attributes(people, seed=0))
    shares = torch.stack([(known == FALSE).float().mean(0), (known == TRUE).float().mean(0)])
    return 0.5 / shares.clamp(min=0.02)


class Questions(nn.Module):
    """Which statements answer the same question, and what asking costs."""

    columns: Tensor  # [Q, V] indices of statements, padded with the first
    real: Tensor  # [Q, V] bool, what is no padding

    def __init__(self) -> None:
        super().__init__()
        index = {statement.key: i for i, statement in enumerate(STATEMENTS)}
        rows = [[index[f"{name}={v}"] for v in values] for name, values in questions().items()]
        longest = max(map(len, rows))
        columns = [row + row[:1] * (longest - len(row)) for row in rows]
        real = [[i < len(row) for i in range(longest)] for row in rows]
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("real", torch.tensor(real), persistent=False)

    def forward(self, logits: Tensor, known: Tensor, weights: Tensor) -> Tensor:
        """Return the cross entropy of answering every question, rare answers weighing more.

        Args:
            logits: How well each statement fits each picture, [n, S].
            known: [n, S] int8: TRUE, FALSE or UNSURE; unsure values are no choice.
            weights: [2, S], see `balance`; the second row is used.
        """
        answers = known[:, self.columns]  # [n, Q, V]
        true = (answers == TRUE) & self.real
        choice = true | ((answers == FALSE) & self.real)
        scores = logits[:, self.columns].masked_fill(~choice, -1e4).log_softmax(dim=-1)
        weight = true * weights[1][self.columns]
        return -(scores * weight).sum() / weight.sum().clamp(min=1e-6)


class Prototypes(nn.Module):
    """A direction of the joint space for every statement."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        # Short, so that a step of Adam turns them far.
        self.direction = nn.Parameter(0.05 * torch.randn(len(STATEMENTS), embed_dim))
        self.log_gain = nn.Parameter(torch.tensor(math.log(15.0)))  # from a cosine to a logit

    def read(self, image: Tensor) -> Tensor:
        """Return the logits [n, S] of every statement for unit embeddings [n, d] of pictures.

        Without a bias, so that 0 separates true from false for all of them, and the cosines of
        several statements with one picture can be compared.
        """
        return self.log_gain.exp() * image @ F.normalize(self.direction, dim=-1).T

    def meaning(self, said: Tensor) -> Tensor:
        """Return unit vectors [m, d]: where captions that say this, [m, S], should point."""
        return F.normalize(said @ F.normalize(self.direction, dim=-1), dim=-1)


class Levels(nn.Module):
    """Reads every number, such as the width of a nose, off the pooled token by a linear map.

    Statements call only the widest and the narrowest noses by name. That everything between has its
    number too tells the tower much sooner where a nose ends. Dropped at export.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, sum(head.outputs for head in NUMBERS))

    def forward(self, pooled: Tensor, values: Tensor, clear: Tensor) -> Tensor:
        """Return the mean over all numbers of the weighted squared error, as a share of variance.

        Args:
            pooled: [n, width].
            values: The attributes, [n, A].
            clear: How much each number counts, [n, len(NUMBERS)].
        """
        columns = dict(zip(SPECS, values.unbind(dim=1), strict=True))
        answers = self.linear(pooled).split([head.outputs for head in NUMBERS], dim=1)
        errors = []
        for head, answer, weight in zip(NUMBERS, answers, clear.unbind(dim=1), strict=True):
            error = (answer - encode(head, columns[head.name])).square().sum(dim=1)
            errors.append(level_mean(weight, error) / number_balance().variance[head.name])
        return torch.stack(errors).mean()


@cache
def number_balance(people: int = 4000) -> Balance:
    """Return the weights that let rare values of a number count more."""
    return Balance(sample_attributes(people, seed=0).values, RARE_POWER)


def number_weights(world: WorldBatch, coats: Sequence[Coat]) -> Tensor:
    """Return how much each number counts, [n, len(NUMBERS)]; nothing where a picture is painted."""
    columns = {name: world.attributes.column(name) for name in SPECS}
    shares = region_shares(world.segmentation, REGIONS)
    bare = torch.tensor([float(coat.weight == 0) for coat in coats], device=world.image.device)
    weights = []
    for head in NUMBERS:
        seen = in_sight(head.name, columns, CHOICES, shares).float()
        rare = number_balance().of(head, columns[head.name])
        weights.append(bare * rare * seen.clamp(min=OUT_OF_SIGHT))
    return torch.stack(weights, dim=1)


class ClipStep(nn.Module):
    """One step: telling statements, and the contrast where there are captions."""

    weights: Tensor  # [2, S], see `balance`
    wordings: Tensor  # [S, most of one, length], see `wording_tokens`
    spoken: Tensor | None  # their embeddings where the text tower is frozen or held

    def __init__(
        self,
        clip: Clip,
        prototypes: Prototypes,
        levels: Levels,
        options: ClipOptions,
        held: Clip | None = None,
    ) -> None:
        super().__init__()
        self.held = (held,)  # what texts are held to; in a tuple: it is no submodule
        self.clip, self.prototypes, self.options = clip, prototypes, options
        self.levels = levels if options.weight_level > 0 else None
        self.questions = Questions()
        self.register_buffer("weights", balance().clone(), persistent=False)
        self.register_buffer("wordings", wording_tokens(clip), persistent=False)
        first = held or (clip if options.freeze_text else None)
        spoken = None if first is None else spoken_by(first, self.wordings)
        self.register_buffer("spoken", spoken, persistent=False)

    def forward(self, batch: ClipBatch) -> dict[str, Tensor]:
        """Return the loss terms of a batch."""
        pictures = self._attacked(disturb(batch.image, self.options), batch)
        pooled, image = self._see(pictures)
        with torch.autocast(image.device.type, enabled=False):  # 8 bits of mantissa are too few
            terms = self._look(image, batch.truth)
            if self.levels is not None:
                level = self.levels(pooled, batch.values, batch.clear)
                terms["level"] = self.options.weight_level * level
        return {**terms, **self._match(image, batch)} if len(batch.owner) else terms

    def _see(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled tokens [n, width] and the unit embeddings [n, d] made of them."""
        model = self.clip.model
        pooled = model.vision_model(self.clip.pixels(pictures))
        return pooled.float(), F.normalize(model.visual_projection(pooled).float(), dim=-1)

    def _look(self, image: Tensor, known: Tensor) -> dict[str, Tensor]:
        """Return the terms of telling statements by the prototypes, for embeddings [n, d]."""
        fit = self.prototypes.read(image)
        return {
            "read": reading_loss(fit, known, self.weights),
            "ask": self.options.weight_ask * self.questions(fit, known, self.weights),
        }

    def _attacked(self, pictures: Tensor, batch: ClipBatch) -> Tensor:
        """Return the pictures, the first ones moved by one signed step up the loss of telling.

        The gradient is averaged in blocks whose side is drawn once a batch.
        """
        count = round(self.options.attack * len(pictures))
        if count == 0:
            return pictures
        victims = pictures[:count].detach().requires_grad_()
        with torch.enable_grad():
            image = self.clip.encode_image(victims).float()
            with torch.autocast(image.device.type, enabled=False):
                loss = torch.stack(list(self._look(image, batch.truth[:count]).values())).sum()
            (gradient,) = torch.autograd.grad(loss, victims)
        height, width = pictures.shape[-2:]
        block = int(2 ** torch.randint(1, 5, ()))
        coarse = F.avg_pool2d(gradient, block, ceil_mode=True).sign()
        step = F.interpolate(coarse, scale_factor=float(block))[..., :height, :width]
        size = self.options.attack_size * torch.rand(count, 1, 1, 1, device=pictures.device)
        return torch.cat([victims.detach() + size * step, pictures[count:]])

    def _match(self, image: Tensor, batch: ClipBatch) -> dict[str, Tensor]:
        """Return the terms in which words take part."""
        options = self.options
        text = self._encode_tokens(batch.tokens)
        turn = torch.randint(self.wordings.shape[1], (len(STATEMENTS),), device=image.device)
        rows = torch.arange(len(STATEMENTS), device=image.device)  # one wording a statement
        if self.spoken is not None and options.freeze_text:
            words = self.spoken[rows, turn]
        else:
            words = self._encode_tokens(self.wordings[rows, turn])
        with torch.autocast(image.device.type, enabled=False):
            fit = self.prototypes.log_gain.exp() * image @ words.T
            apart = 1 - (text * self.prototypes.meaning(batch.said)).sum(dim=-1).mean()
            return {
                "read_words": reading_loss(fit, batch.truth, self.weights),
                "ask_words": options.weight_ask * self.questions(fit, batch.truth, self.weights),
                "mean": options.weight_mean * apart,
                **self._contrast(image, text, batch),
                **self._hold(text, batch.tokens, words, turn),
            }

    def _hold(self, text: Tensor, tokens: Tensor, words: Tensor, turn: Tensor) -> dict[str, Tensor]:
        """Return how far captions and wordings have come from where they were at the start.

        Editors have learned where sentences point. A text that helps nothing by moving stays.
        """
        (held,) = self.held
        if held is None or self.spoken is None:
            return {}
        with torch.no_grad():
            before = held.encode_tokens(tokens).float()
        rows = torch.arange(len(words), device=words.device)
        drift = 1 - (text * before).sum(dim=-1).mean()
        drift = drift + 1 - (words * self.spoken[rows, turn]).sum(dim=-1).mean()
        return {"hold": self.options.hold_text * drift}

    def _encode_tokens(self, tokens: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.options.freeze_text):
            return self.clip.encode_tokens(tokens).float()

    def _contrast(self, image: Tensor, text: Tensor, batch: ClipBatch) -> dict[str, Tensor]:
        scale = self.clip.model.logit_scale.clamp(max=MAX_SCALE).exp()
        logits = scale * image @ text.T  # [n, m]
        true, false = pair_truth(batch.truth, batch.said)
        written = batch.owner[None] == torch.arange(len(image), device=image.device)[:, None]
        best = logits.detach().masked_fill(~false & ~written, -math.inf).argmax(dim=0)
        return {
            "image_to_text": 0.5 * contrast(logits, true | written, false),
            "text_to_image": 0.5 * contrast(logits.T, (true | written).T, false.T),
            "log_batch_recall": (best == batch.owner).float().mean(),
            "log_temperature": scale.detach(),
        }


@torch.no_grad()
def spoken_by(clip: Clip, wordings: Tensor) -> Tensor:
    """Return the embeddings [S, most of one, d] of wordings given as tokens."""
    return torch.stack([clip.encode_tokens(row).float() for row in wordings])


def disturb(image: Tensor, options: ClipOptions) -> Tensor:
    """Shift pictures a little, blur some, and vary their brightness by some percent.

    The shift and the width of the blur are drawn once a batch, which is enough and far cheaper.
    """
    n, side = len(image), image.shape[-1]
    x = image * (1 + 0.05 * torch.randn(n, 1, 1, 1, device=image.device))
    x = x + 0.03 * torch.randn(n, 1, 1, 1, device=image.device)
    blurred = (torch.rand(n) < options.blur).nonzero().flatten().to(image.device)
    coarse = int(torch.randint(side // 4, side // 2 + 1, ()))
    small = F.interpolate(x[blurred], (coarse, coarse), mode="bilinear", antialias=True)
    x[blurred] = F.interpolate(small, (side, side), mode="bilinear", align_corners=False)
    reach = round(options.shift * side)
    down, right = torch.randint(-reach, reach + 1, (2,)).tolist()
    x = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    return x[..., reach + down : reach + down + side, reach + right : reach + right + side]


class ClipTask(Task):
    """Trains `faceedit.backbones.clip.Clip` on the portrait world."""

    options_class = ClipOptions
    averaged = ("clip",)

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        self.clip = build_clip(self.options)
        self.prototypes = Prototypes(self.options.embed_dim)
        self.levels = Levels(self.options.vision_width)
        if self.options.start:
            self._go_on_from(Path(self.options.start))
        self.held = self._held() if self.options.hold_text > 0 else None
        if self.options.freeze_text:
            self._freeze_text()
        if device.type == "cpu":  # the way back through torch's own attention is far slower in bf16
            self.clip.model.fuse_attention(False)
        self.data: WorldShards | None = None

    @torch.no_grad()
    def _go_on_from(self, folder: Path) -> None:
        """Take a trained network's weights, and its wordings' embeddings for the prototypes."""
        started = Clip.from_folder(folder)
        if replace(started.config, pixels=self.options.pixels) != self.clip.config:
            raise ConfigError(f"{folder} holds a CLIP of another shape than the options ask for")
        started.config = self.clip.config  # it may learn to look another way
        self.clip = started.train().requires_grad_(True)
        tokens = wording_tokens(started)
        words = started.encode_tokens(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2]).mean(1)
        length = self.prototypes.direction.norm(dim=-1, keepdim=True)
        self.prototypes.direction.copy_(F.normalize(words, dim=-1) * length)

    def _held(self) -> Clip:
        """Return a frozen copy of what training starts from.

        Raises:
            ConfigError: If it starts from nothing.
        """
        if not self.options.start:
            raise ConfigError("hold_text needs `start`, a trained CLIP")
        return copy.deepcopy(self.clip).eval().requires_grad_(False)

    def _freeze_text(self) -> None:
        """Keep all that words go through, so that what edits by sentences need not be trained anew.

        Raises:
            ConfigError: If there is no trained text tower to keep.
        """
        if not self.options.start or self.options.look_share > 0:
            raise ConfigError("freeze_text needs `start`, a trained CLIP, and look_share 0")
        model = self.clip.model
        kept = (model.text_model, model.text_projection)
        for parameter in (*(p for part in kept for p in part.parameters()), model.logit_scale):
            parameter.requires_grad_(False)
        self.prototypes.direction.requires_grad_(False)  # they stand for the wordings

    def modules(self) -> dict[str, nn.Module]:
        """Return the network and the prototypes that help it."""
        return {"clip": self.clip, "prototypes": self.prototypes, "levels": self.levels}

    def turns(self) -> Sequence[Turn]:
        """Return the one turn; biases, norms and embeddings are not decayed."""
        step = ClipStep(self.clip, self.prototypes, self.levels, self.options, self.held)

        def groups() -> list[dict[str, Any]]:
            kept = [p for p in step.parameters() if p.requires_grad]
            return [
                {"params": [p for p in kept if p.ndim >= 2]},
                {"params": [p for p in kept if p.ndim < 2], "weight_decay": 0.0},
            ]

        return (Turn("clip", step, groups=groups),)

    def phases(self) -> Sequence[Phase]:
        """Return the two phases: pictures alone, then with captions."""
        share = self.options.look_share
        phases = (Phase("look", share=share), Phase("match", share=1 - share))
        return tuple(phase for phase in phases if phase.share > 0)

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Open the training split; mirror images double it."""
        folder = self.config.data_path / "train"
        self.data = WorldShards(folder, recorded, self.config.seed, flip=True, device=self.device)
        return self.data.state()

    def batch(self, positions: range) -> ClipBatch:
        """Return pictures with captions; each caption is a function of its place alone."""
        assert self.data is not None
        world = self.data.batch(positions)
        known = truth(world.attributes, world.segmentation[:, ::2, ::2])
        draws = [random.Random(augment_seed(self.config.seed, place)) for place in positions]
        coats = [draw_coat(rng, self.options.paint) for rng in draws]
        clear = number_weights(world, coats)
        image, known = paint(world.image, world.segmentation, known, coats)
        written: list[Caption] = []
        each = self.options.captions_each if self.phase.name == "match" else 0
        for rng, row in zip(draws, (known == TRUE).tolist(), strict=True):
            sayable = [s for s, holds in enumerate(row) if holds]
            written += [compose(sayable, rng) for _ in range(each)]
        tokens = self.clip.tokenize([c.text for c in written]).cpu()
        owner = torch.arange(len(world)).repeat_interleave(each)
        return ClipBatch(image, known, world.values, clear, tokens, said_matrix(written), owner)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure retrieval and zero-shot reading on pictures and wordings never seen."""
        clip = self.averaged_or_live("clip")
        assert isinstance(clip, Clip)
        clip.eval()
        data = WorldShards(self.config.data_path / "heldout", seed=self.config.seed)
        count = min(len(data), self.options.heldout_images)
        parts, known = [], []
        for start in range(0, count, 100):
            world = data.rows(range(start, min(start + 100, count)))
            parts.append(clip.encode_image(world.image.to(self.device)).cpu())
            known.append(truth(world.attributes, world.segmentation[:, ::2, ::2]))
        image, said = torch.cat(parts), torch.cat(known)
        scores = {"recall_at_1": recall_at_1(clip, image, said, "train")}
        scores["recall_at_1_heldout_wordings"] = recall_at_1(clip, image, said, "heldout")
        for split in ("train", "heldout"):
            answers = zero_shot(clip, image, said, split)
            scores[f"zero_shot_{split}"] = sum(answers.values()) / max(len(answers), 1)
            scores |= {f"zero_shot_{split}/{name}": value for name, value in answers.items()}
        return scores

    def export(self, folder: Path) -> None:
        """Write the folder that `Clip.from_folder` reads."""
        clip = self.averaged_or_live("clip")
        assert isinstance(clip, Clip)
        clip.save(folder)


def build_clip(options: ClipOptions) -> Clip:
    """Return an untrained CLIP with a tokenizer learned on captions."""
    tokenizer = learn_tokenizer(options.vocabulary, options.context_length)
    size = len(tokenizer)
    clip = Clip(
        ClipConfig(
            image_size=options.image_size,
            patch_size=options.patch_size,
            vision_width=options.vision_width,
            vision_layers=options.vision_layers,
            vision_heads=options.vision_width // options.head_width,
            text_width=options.text_width,
            text_layers=options.text_layers,
            text_heads=options.text_width // options.head_width,
            context_length=options.context_length,
            vocab_size=size,
            start_token=size - 2,
            end_token=size - 1,
            embed_dim=options.embed_dim,
            pixel_mean=(0.5, 0.5, 0.5),
            pixel_std=(0.5, 0.5, 0.5),
            pixels=options.pixels,
        ),
        tokenizer,
    )
    _start_attentively(clip)
    return clip


@torch.no_grad()
def _start_attentively(clip: Clip) -> None:
    """Change the start of the vision tower so that it looks at places, each head at others.

    Portraits are aligned, so where a patch lies says as much as what it shows, but the official
    start makes places ten times fainter than contents, and attention so even that the pooled token
    sees only the mean of all patches. Both cost hundreds of steps to unlearn.
    """
    tower = clip.model.vision_model
    tower.embeddings.position_embedding.weight.normal_(std=PLACE_STD)
    for layer in tower.encoder.layers:
        layer.self_attn.q_proj.weight.mul_(ATTENTION_GAIN)
        layer.self_attn.k_proj.weight.mul_(ATTENTION_GAIN)


@cache
def learn_tokenizer(vocabulary: int, context_length: int, captions: int = 20_000) -> ClipTokenizer:
    """Learn byte pairs on training captions: as many merges as the vocabulary has room for."""
    people = sample_attributes(captions // 4, seed=0)
    texts = [text for seed in range(4) for text in caption(people, seed=seed)]
    plain = build_tokenizer((), context_length).transformers()
    learned = plain.train_new_from_iterator(texts, vocabulary, show_progress=False)
    merges = json.loads(learned.backend_tokenizer.to_str())["model"]["merges"]
    room = vocabulary - len(plain)
    return build_tokenizer([(left, right) for left, right in merges[:room]], context_length)


def wording_tokens(clip: Clip) -> Tensor:
    """Return the tokens of all training wordings, [S, most of one, length]; fewer are repeated."""
    lists = [value_prompts(statement.name, statement.value) for statement in STATEMENTS]
    most = math.lcm(*{len(wordings) for wordings in lists})
    flat = [wordings[i % len(wordings)] for wordings in lists for i in range(most)]
    return clip.tokenize(flat).unflatten(0, (len(STATEMENTS), most))


def said_matrix(written: Sequence[Caption]) -> Tensor:
    """Return what each caption says, [m, S] of 1 and 0."""
    said = torch.zeros(len(written), len(STATEMENTS))
    for row, one in enumerate(written):
        said[row, list(one.statements)] = 1.0
    return said


# ------------------------------------------------------------------------------ measuring
def distinct_pairs(
    known: Tensor, written: Sequence[Caption], count: int, rng: random.Random
) -> list[int]:
    """Choose pairs of which no caption is true of another's picture.

    Args:
        known: What is true of each picture, [n, S] int8.
        written: One caption a picture.
        count: How many pairs are wanted; fewer are returned where there are no more.
        rng: Decides the order in which they are tried.
    """
    _, false = pair_truth(known, said_matrix(written))
    apart = false & false.T
    chosen: list[int] = []
    for i in rng.sample(range(len(written)), len(written)):
        if len(chosen) < count and bool(apart[i, chosen].all()):
            chosen.append(i)
    return chosen


def recall_at_1(clip: Clip, image: Tensor, known: Tensor, split: Split) -> float:
    """Return how often the picture nearest to a caption is its own, among 100 distinct pairs.

    Args:
        clip: The CLIP.
        image: Embeddings of n pictures, [n, d].
        known: What is true of them, [n, S] int8.
        split: Which wordings the captions use; they make five statements each.
    """
    hits, total = 0, 0
    for seed in range(RECALL_ROUNDS):
        rng = random.Random(seed)
        sayable = [[s for s, t in enumerate(row) if t == TRUE] for row in known.tolist()]
        written = [compose(row, rng, 5, split) for row in sayable]
        chosen = distinct_pairs(known, written, RECALL_PAIRS, rng)
        text = clip.encode_text([written[i].text for i in chosen]).to(image)
        nearest = (text @ image[chosen].T).argmax(dim=1)
        hits += int((nearest == torch.arange(len(chosen))).sum())
        total += len(chosen)
    return hits / max(total, 1)


def zero_shot(clip: Clip, image: Tensor, known: Tensor, split: Split) -> dict[str, float]:
    """Return the balanced accuracy of answering each question with the nearest wording.

    Every round gives each value a single wording, with no ensemble; the accuracies of a value's
    pictures are averaged first, then the values. A picture counts where one value is surely true.

    Args:
        clip: The CLIP.
        image: Embeddings of n pictures, [n, d].
        known: What is true of them, [n, S] int8.
        split: Which wordings to use.
    """
    scores = {}
    index = {statement.key: i for i, statement in enumerate(STATEMENTS)}
    for name, values in questions().items():
        columns = [index[find(f"{name}={value}").key] for value in values]
        answers = known[:, columns]  # [n, values]
        clear = (answers == TRUE).any(dim=1)
        wordings = [value_prompts(name, value, split) for value in values]
        correct = []
        for turn in range(max(map(len, wordings))):
            text = clip.encode_text([w[turn % len(w)] for w in wordings]).to(image)
            scored = (image @ text.T).masked_fill((answers != TRUE) & (answers != FALSE), -2)
            right = scored.argmax(dim=1) == (answers == TRUE).int().argmax(dim=1)
            for value in range(len(values)):
                asked = clear & (answers[:, value] == TRUE)
                if int(asked.sum()) >= 5:  # fewer pictures say nothing
                    correct.append(right[asked].float().mean().item())
        if correct:
            scores[name] = sum(correct) / len(correct)
    return scores
