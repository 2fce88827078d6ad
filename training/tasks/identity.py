"""Face recognition for the portrait world; also the judge of another shape.

Two losses meet in one embedding. A supervised contrastive loss (Khosla et al., arXiv:2004.11362)
brings the views of a person together and keeps people apart. And because the world knows what makes
a person, a linear map must be able to read the shape of the face, the skin, the eye colour and the
age off the embedding, which also lets it learn from renders of people that come only once.

`identity` and `judge_identity` are this one task with two recipes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.backbones.attributes import AttributeHead, encode
from faceedit.backbones.identity import Identity, IdentityConfig
from faceedit.hub import save_network
from faceedit.metrics.identity import acceptance_at, verification_auc, verification_scores
from faceedit.world import SPECS
from training.config import ConfigError, TrainConfig
from training.data.augment import Augmentation, augment
from training.data.people import PERSONAL
from training.data.shards import WorldBatch, WorldShards, order
from training.memory import keep_freed_memory
from training.sheets import contact_sheet
from training.task import Task, Turn

__all__ = ["IdentityTask"]

LENS = Augmentation(
    color=0.25, blur=1.0, noise=0.06, coarse=0.15, rotation=3, scale=0.05, shift=0.025, cover=0.1
)
HELDOUT = 10  # every tenth person is kept for measuring
TRAITS = tuple(
    AttributeHead(spec.name, spec.low, spec.high, spec.values)
    for spec in SPECS.values()
    if spec.group in PERSONAL
)


@dataclass(frozen=True)
class IdentityOptions:
    """Size of the network and the losses."""

    widths: tuple[int, ...] = (24, 48, 96, 128)
    units: tuple[int, ...] = (1, 2, 2, 1)
    embedding_dim: int = 128
    crop: tuple[int, int, int, int] = (20, 116, 16, 112)  # px of 128: top, bottom, left, right
    input_size: int = 96
    fold: int = 2
    squeeze: int = 8
    dropout: float = 0.1
    temperature: float = 0.1  # of the contrastive loss
    weight_traits: float = 0.5
    single: float = 0.5  # renders of people seen once, for every render of people seen often
    evaluation_images: int = 2000


class IdentityStep(nn.Module):
    """The contrastive loss on people in several views, and the traits on everyone."""

    def __init__(self, identity: Identity, traits: nn.Linear, options: IdentityOptions) -> None:
        super().__init__()
        self.identity = identity
        self.traits = traits
        self.options = options

    def forward(self, people: WorldBatch, person: Tensor, others: WorldBatch) -> dict[str, Tensor]:
        """Score the embeddings of augmented renders.

        Args:
            people: Several views of each person.
            person: Who they show, [n].
            others: Renders of people that come once.
        """
        image = augment(torch.cat([people.image, others.image]), LENS)
        embedding = self.identity(image)
        values = torch.cat([people.values, others.values])
        answer = self.traits(embedding).float()
        return {
            "contrast": contrast(embedding[: len(people)], person, self.options.temperature),
            "traits": self.options.weight_traits * trait_distance(answer, values),
        }


def contrast(embedding: Tensor, person: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss L_out, arXiv:2004.11362 Equation 2.

    Args:
        embedding: Unit vectors, [n, d].
        person: Who each shows, [n]; those who come once only serve as others.
        temperature: Cosines are divided by this.
    """
    logits = embedding.float() @ embedding.float().T / temperature
    itself = torch.eye(len(person), dtype=torch.bool, device=person.device)
    log_share = logits.masked_fill(itself, -torch.inf).log_softmax(1).masked_fill(itself, 0.0)
    same = (person[:, None] == person[None, :]) & ~itself
    count = same.sum(1)
    mean = (log_share * same).sum(1) / count.clamp(min=1)
    return -(mean * (count > 0)).sum() / (count > 0).sum().clamp(min=1)


def trait_distance(answer: Tensor, values: Tensor) -> Tensor:
    """Return how badly the traits of a person were read, averaged over traits.

    Args:
        answer: Outputs of the linear map, [n, sum of outputs of TRAITS].
        values: True attributes, [n, A] in the order of SPECS.
    """
    names, losses = list(SPECS), []
    parts = answer.split([trait.outputs for trait in TRAITS], dim=1)
    for trait, part in zip(TRAITS, parts, strict=True):
        true = values[:, names.index(trait.name)]
        if trait.values:
            losses.append(F.cross_entropy(part, true.round().long()))
        else:
            losses.append(4 * (part - encode(trait, true)).square().mean())  # spread is about 0.5
    return torch.stack(losses).mean()


class IdentityTask(Task):
    """Trains `Identity` on `people` and `train`, measures verification on held-out people."""

    options_class: ClassVar[type] = IdentityOptions
    averaged: ClassVar[tuple[str, ...]] = ("identity",)
    options: IdentityOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        if device.type == "cpu":
            keep_freed_memory()
        o = self.options
        self.identity = Identity(
            IdentityConfig(
                widths=o.widths,
                units=o.units,
                embedding_dim=o.embedding_dim,
                aligned_size=128,
                crop=o.crop,
                input_size=o.input_size,
                fold=o.fold,
                squeeze=o.squeeze,
                dropout=o.dropout,
            )
        )
        self.traits = nn.Linear(o.embedding_dim, sum(trait.outputs for trait in TRAITS))

    def modules(self) -> dict[str, nn.Module]:
        """The network, and the linear map that only training needs."""
        return {"identity": self.identity, "traits": self.traits}

    def turns(self) -> list[Turn]:
        """One turn."""
        return [Turn("identity", IdentityStep(self.identity, self.traits, self.options))]

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Open the renders of people in several views, and those of people who come once."""
        recorded = recorded or {}
        folder, seed, device = self.config.data_path, self.config.seed, self.device
        self.people = WorldShards(folder / "people", recorded.get("people"), seed, device=device)
        self.others = WorldShards(folder / "train", recorded.get("train"), seed, True, device)
        self.views = int(self.people.index.get("views", 1))
        if self.views < 2:
            raise ConfigError(
                f"{folder / 'people'} shows every person once; render it with "
                "python -m training.data.make_world --split people --views 4"
            )
        persons = np.arange(len(self.people) // self.views)
        self.known = persons[persons % HELDOUT != HELDOUT - 1]
        self.unknown = persons[persons % HELDOUT == HELDOUT - 1]
        return {"people": self.people.state(), "train": self.others.state()}

    def batch(self, positions: range) -> tuple[WorldBatch, Tensor, WorldBatch]:
        """Return all views of some people, who they are, and some people who come once."""
        views, single = self.views, self.options.single
        first, last = positions.start // views, -(-positions.stop // views)
        drawn = self.known[order(len(self.known), range(first, last), self.config.seed)]
        places = np.asarray(positions)
        person = drawn[places // views - first]
        people = self.people.rows(person * views + places % views)
        once = range(int(single * positions.start), int(single * positions.stop))
        return people, torch.from_numpy(person), self.others.batch(once)

    def _heldout(self, count: int) -> tuple[WorldBatch, Tensor]:
        """Return up to `count` renders of people who were not trained on, and who they are."""
        person = np.repeat(self.unknown, self.views)
        view = np.tile(np.arange(self.views), len(self.unknown))
        rows = (person * self.views + view)[:count]
        return self.people.rows(rows).to(self.device), torch.from_numpy(person[:count])

    @torch.no_grad()
    def embeddings(self, image: Tensor) -> Tensor:
        """Return the embeddings of many images, on the CPU."""
        network = self.averaged_or_live("identity")
        return torch.cat([network(part.to(self.device)).cpu() for part in image.split(50)])

    def samples(self) -> PIL.Image.Image:
        """Show held-out people, one a row, each view with its mean likeness to the others."""
        batch, person = self._heldout(8 * self.views)
        embedding = self.embeddings(batch.image)
        labels = []
        for who in person.unique():
            cosine = embedding[person == who] @ embedding[person == who].T
            labels.append(f"{(cosine.sum() - len(cosine)) / (len(cosine) * (len(cosine) - 1)):.2f}")
        return contact_sheet(batch.image, self.views, row_labels=labels)

    def evaluate(self) -> dict[str, float]:
        """Return how well pairs of held-out people are told apart."""
        batch, person = self._heldout(self.options.evaluation_images)
        embedding = self.embeddings(batch.image)
        same, different = verification_scores(embedding, person)
        return {
            "verification_auc": verification_auc(embedding, person),
            "accepted_at_1_percent": acceptance_at(same, different, 0.01),
            "cosine_same": float(same.mean()),
            "cosine_different": float(different.mean()),
            "images": len(person),
        }

    def export(self, folder: Path) -> None:
        """Write the averaged network."""
        save_network(self.averaged_or_live("identity"), folder)
