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
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.clip import Clip
from faceedit.world.captions import (
    STATEMENTS,
    TRUE,
    Caption,
    compose,
    truth,
)
from training.config import ConfigError, TrainConfig
from training.data.paint import draw_coat, paint
from training.data.shards import WorldShards, augment_seed
from training.task import Phase, Task, Turn
from training.tasks.clip_losses import (
    NumberHead,
    Prototypes,
    Questions,
    balance,
    contrast,
    number_weights,
    pair_truth,
    reading_loss,
    said_matrix,
)
from training.tasks.clip_scores import recall_at_1, zero_shot
from training.tasks.clip_start import build_clip, wording_tokens

MAX_SCALE = math.log(100)  # of the learned temperature, as in the paper


@dataclass(frozen=True)
class ClipOptions:
    """What the recipe can set."""

    image_size: int = 96
    patch_size: int = (
        32  # few large patches: aligned faces need little else, at a tenth of the price
    )
    pixels: Literal["openai", "foveal"] = "openai"  # see `Clip.pixels`
    vision_width: int = 192
    vision_layers: int = 5
    text_width: int = 128
    text_layers: int = 2
    head_width: int = 16  # of one attention head, in both towers
    context_length: int = 64  # tokens; the longest caption of five statements has about 50
    embed_dim: int = 128
    vocabulary: int = 1200  # tokens, the 512 byte symbols and the two specials included
    captions_each: int = 1  # captions a picture and step
    caption_free_share: float = 0.5  # of the steps, before captions come in
    weight_ask: float = 1.0  # of telling which value of a question is true
    weight_mean: float = 2.0  # of a caption's distance from what its statements mean
    weight_numbers: float = 0.0  # of telling how wide, long or open things are, see `NumberHead`
    blur: float = 0.3  # share of pictures that are blurred: generators are less sharp than renders
    shift: float = 0.03  # largest shift, as a share of the side
    paint: float = 0.0  # share of pictures that are painted over, see `training.data.paint`
    attack: float = 0.0  # share of pictures that are moved towards what is false of them
    attack_size: float = 0.08  # largest move of a value in [-1, 1]
    init_weights: str = ""  # folder of a CLIP of the same shape to go on from
    freeze_text: bool = False  # keep the started text tower to the bit; only pictures are learned
    hold_text: float = 0.0  # weight of keeping texts where `init_weights` has them
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


class ClipStep(nn.Module):
    """One step: telling statements, and the contrast where there are captions."""

    weights: Tensor  # [2, S], see `balance`
    wordings: Tensor  # [S, most of one, length], see `wording_tokens`
    spoken: Tensor | None  # their embeddings where the text tower is frozen or held

    def __init__(
        self,
        clip: Clip,
        prototypes: Prototypes,
        numbers: NumberHead,
        options: ClipOptions,
        held: Clip | None = None,
    ) -> None:
        super().__init__()
        self.held = (held,)  # what texts are held to; in a tuple: it is not a submodule
        self.clip, self.prototypes, self.options = clip, prototypes, options
        self.numbers = numbers if options.weight_numbers > 0 else None
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
            if self.numbers is not None:
                missed = self.numbers(pooled, batch.values, batch.clear)
                terms["numbers"] = self.options.weight_numbers * missed
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
        self.numbers = NumberHead(self.options.vision_width)
        if self.options.init_weights:
            self._go_on_from(Path(self.options.init_weights))
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
        if not self.options.init_weights:
            raise ConfigError("hold_text needs `init_weights`, a trained CLIP")
        return copy.deepcopy(self.clip).eval().requires_grad_(False)

    def _freeze_text(self) -> None:
        """Keep all that words go through, so that what edits by sentences need not be trained anew.

        Raises:
            ConfigError: If there is no trained text tower to keep.
        """
        if not self.options.init_weights or self.options.caption_free_share > 0:
            raise ConfigError(
                "freeze_text needs `init_weights`, a trained CLIP, and caption_free_share 0"
            )
        model = self.clip.model
        kept = (model.text_model, model.text_projection)
        for parameter in (*(p for part in kept for p in part.parameters()), model.logit_scale):
            parameter.requires_grad_(False)
        self.prototypes.direction.requires_grad_(False)  # they stand for the wordings

    def modules(self) -> dict[str, nn.Module]:
        """Return the network and the prototypes that help it."""
        return {"clip": self.clip, "prototypes": self.prototypes, "numbers": self.numbers}

    def turns(self) -> Sequence[Turn]:
        """Return the one turn; biases, norms and embeddings are not decayed."""
        step = ClipStep(self.clip, self.prototypes, self.numbers, self.options, self.held)

        def groups() -> list[dict[str, Any]]:
            kept = [p for p in step.parameters() if p.requires_grad]
            return [
                {"params": [p for p in kept if p.ndim >= 2]},
                {"params": [p for p in kept if p.ndim < 2], "weight_decay": 0.0},
            ]

        return (Turn("clip", step, groups=groups),)

    def phases(self) -> Sequence[Phase]:
        """Return the two phases: pictures alone, then with captions."""
        share = self.options.caption_free_share
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
