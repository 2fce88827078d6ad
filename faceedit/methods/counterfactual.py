"""Counterfactual: our own editor, which learns from true edits instead of from CLIP's opinion.

Paper: none. Every published text-guided editor is trained against CLIP, because nobody has the
photograph of the same person with red hair. A rendered world has it: render a person, render the
same person with what the sentence says changed. This method learns the step from the one code to
the other; it cannot be trained where no counterfactual is known, which is everywhere but in such a
world. Parts that are others' ideas: sentences modulate features as in Perez et al., "FiLM: Visual
Reasoning with a General Conditioning Layer", AAAI 2018, arXiv:1709.07871; learning displacements
between codes without images is close to Lyu et al., "DeltaEdit", CVPR 2023, arXiv:2303.06285.
Notation: A(a) is the code of attributes a; the true edit of a person to a' is A(a') - A(a), and
delta = f(w_plus, sentence, target_strength) is what is learned of it.

The network reads what the face is, c = P(w_plus), lets the sentence change that, d = Q(c, t), and
returns M(c + d) - M(c) with one map M, so that leaving c alone is no edit by construction.

A sentence of several wishes ("red hair and glasses") is split (`faceedit.words.wishes`). Its delta
is the sum of one step a wish, each asked of the face that the ones before have made: a network of
this size learns single wishes better than their combinations (`sequential`). Training does not
split.

The edit is w_plus + strength * delta up to strength 1. Removing an attribute (strength -1) is not
the reverse of adding it: for a face that shows it already, the answer is the step that most likely
led there. More than 1 is not simply further on: twice the age is an older face, but twice the step
to green eyes does not give green eyes. Strength 2 is asked for what has a scale at the end of it,
and for the rest hardly further than 1 (`learned_overdrive`); what has no scale, such as a goatee,
should only be seen more clearly, and a reader of attributes (of the base, no judge) tells whether
it is (`unseen`). Hence `target_strength` (-1, 1 or 2) is an input, and the edit is linear in
strength from 0 to -1, from 0 to 1 and from there on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit.additions import Additions
from faceedit.backbones import Backbones
from faceedit.losses import terms as losses
from faceedit.losses.true_edits import Meaning, disturbed, image_distance, unseen
from faceedit.method import EditMethod, MethodConfig
from faceedit.optimization.codes import w_plus_unit
from faceedit.types import Face, Latent, Sentence, Space
from faceedit.words.sentence import turned_round, wish_sequence
from faceedit.words.wishes import one_wish, wishes

REFERENCE_ENTRIES = 18 * 512  # of StyleCLIP's w_plus: what weight_latent_l2 was chosen for
LAYER_GROUPS = 3  # coarse, medium and fine layers; within one, an encoder's codes hardly differ
# What the network does too little of when it is told so, and what is asked of it instead. It
# takes away better by the step that strength -1 takes back; of faces that had it, this many lost
# it before and now: earrings 0 and 14 of 16, lipstick 2 and 16, a smile 12 and 15, a moustache 5
# and 13.
INSTEAD: dict[str, tuple[tuple[str, float], ...]] = {
    "no earrings": (("earrings", -1.0),),
    "no lipstick": (("lipstick", -1.0),),
    "not smiling": (("a smile", -1.0),),
    "no moustache": (("a moustache", -2.0), ("no moustache", 2.0)),
    # Of faces that are read as 44 years on the mean, it makes 42 when told, and 34 so.
    **dict.fromkeys(
        ("a young face", "young", "a young person", "a youthful face", "youthful"),
        (("a young face", 3.0), ("an old face", -3.0)),
    ),
}
SMOOTH = 1e-3  # the norm of a miss is rounded off below this, in deviations


@dataclass(frozen=True)
class Counterfactual(Sentence):
    """A sentence of which is known what it means; only training has such."""

    truth: Face | None = None  # where the edit should end, code and image
    meaning: Meaning | None = None  # what a reader of attributes should see


@dataclass(frozen=True)
class CounterfactualConfig(MethodConfig):
    """Sizes and loss weights."""

    takes = frozenset({"sequential"})

    # Sizes
    w_dim: int = 256
    embed_dim: int = 128  # of CLIP
    # Ours: there is no paper
    additions: Additions = Additions(sequential=True)
    width: int = 320
    blocks: int = 3
    traits: int = 128  # numbers of c
    learned_overdrive: bool = False  # what more than 1 means is learned; False: as far again as 1
    weight_code: float = 1.0  # distance to the true code, where it is known
    weight_image: float = 1.0  # and to the true image, where edits are drawn
    weight_outside: float = 3.0  # how much more a pixel counts that should not move
    weight_unseen: float = 0.03  # of what a reader should see more clearly, where that is known,
    weight_disturbed: float = 0.012  # and of what it should see as before
    weight_clip: float = 1.0  # where no truth is known: CLIP's distance and the step's length
    weight_latent_l2: float = 0.008


class FilmBlock(nn.Module):
    """A residual block whose features are scaled and shifted by what the sentence says."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(width, 2 * width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        """Features and words, both [n, width] -> features."""
        scale, shift = self.film(words).chunk(2, dim=-1)
        hidden = self.norm(x) * (1 + scale) + shift
        return x + self.down(F.silu(self.up(hidden)))


class Words(nn.Module):
    """What is wanted, and whether it is to be added, overdone or taken away, as features."""

    def __init__(self, config: CounterfactualConfig) -> None:
        super().__init__()
        self.scale = config.embed_dim**0.5  # entries of a unit vector become about 1
        self.first = nn.Linear(config.embed_dim + 1, config.width)
        self.second = nn.Linear(config.width, config.width)

    def forward(self, target: Tensor, target_strength: Tensor) -> Tensor:
        """Sentence embeddings [n, embed_dim] and target strengths [n, 1] -> [n, width]."""
        x = torch.cat([target * self.scale, target_strength], dim=-1)
        return F.silu(self.second(F.silu(self.first(x))))


def by_layer_group(code: Tensor) -> Tensor:
    """Return the mean codes of the coarse, medium and fine layers, [n, LAYER_GROUPS * w_dim]."""
    groups = code.tensor_split(LAYER_GROUPS, dim=1)
    return torch.cat([group.mean(dim=1) for group in groups], dim=-1)


class Factored(nn.Module):
    """Read the face, change what was read, draw the difference."""

    def __init__(self, config: CounterfactualConfig) -> None:
        super().__init__()
        width, traits = config.width, config.traits
        self.words = Words(config)
        self.read = nn.Sequential(
            nn.Linear(LAYER_GROUPS * config.w_dim, width), nn.SiLU(), nn.Linear(width, traits)
        )
        self.enter = nn.Linear(traits, width)
        self.blocks = nn.ModuleList(FilmBlock(width) for _ in range(config.blocks))
        self.change = nn.Linear(width, traits)
        self.line = nn.Linear(traits, config.w_dim, bias=False)  # M = line + bend
        self.bend = nn.Sequential(
            nn.Linear(traits, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, config.w_dim),
        )

    def forward(self, code: Tensor, target: Tensor, target_strength: Tensor) -> Tensor:
        """Whitened codes [n, num_ws, w_dim] -> whitened displacements in w, [n, w_dim]."""
        words = self.words(target, target_strength)
        traits = self.read(by_layer_group(code))
        x = self.enter(traits)
        for block in self.blocks:
            x = block(x, words)
        change = self.change(x)
        return self.line(change) + self.bend(traits + change) - self.bend(traits)


class CounterfactualEditor(EditMethod):
    """Edit by the learned true displacement: w_plus + strength * delta."""

    name = "counterfactual"
    kind = "trained"
    config_class = CounterfactualConfig
    space = Space.W_PLUS
    needs = frozenset({"generator", "clip"})

    def __init__(self, config: CounterfactualConfig) -> None:
        super().__init__(config)
        self.delta = Factored(config)

    @classmethod
    def sizes(cls, backbones: Backbones) -> dict[str, Any]:
        """Return the sizes of these networks."""
        generator = backbones.require("generator", cls.name)
        clip = backbones.require("clip", cls.name)
        return {"w_dim": generator.config.w_dim, "embed_dim": clip.embed_dim}

    def displacement(
        self,
        w_plus: Tensor,
        sentence: Sentence,
        backbones: Backbones,
        target_strength: float = 1.0,
    ) -> Tensor:
        """Return delta, the whole step to a strength, the same in every layer: [n, 1, w_dim].

        Args:
            w_plus: [n, num_ws, w_dim].
            sentence: With n targets, or one for all.
            backbones: The generator tells the mean w and how far each entry spreads; CLIP reads
                the wishes of a sentence that is split.
            target_strength: 1 to bring about what is said, 2 to overdo it, -1 for the step that a
                negative strength takes back.
        """
        generator = backbones.generator
        deviation = w_plus_unit(generator).to(w_plus) / 2
        code = (w_plus - generator.w_avg.to(w_plus)) / deviation
        total = torch.zeros_like(code[:, :1])
        sign = 1.0 if target_strength > 0 else -1.0
        strengths = code.new_full((len(code), 1), target_strength)
        split = wishes if self.config.additions.sequential and not self.training else one_wish
        instead: dict[str, tuple[tuple[str, float], ...]] = INSTEAD if split is wishes else {}
        for wish, asked in wish_sequence(sentence, split, backbones.clip, instead=instead.get):
            target, asked = wish.target.to(code).expand(len(code), -1), asked.to(code)
            turned = torch.where(asked[:, 0] < 0, strengths.new_full((), -sign), strengths)
            step = self.delta(code + sign * total, target, turned)
            total = total + asked * step[:, None]
        return total * deviation

    def forward(
        self, source: Face, sentence: Sentence, backbones: Backbones, strength: float = 1.0
    ) -> Face:
        """Return G(w_plus + strength * delta); beyond strength 1, what leads on to strength 2.

        Below 0, a sentence about the end of a scale ("an old person") asks for the other end; of
        what has none, like a hat, the step that most likely led there is taken back.
        """
        if strength < 0 and not self.training:
            turned = turned_round(sentence, wishes, backbones.clip)
            if turned is not None:
                return self(source, turned, backbones, -strength)
        config, w_plus = self.config, source.latent.code
        delta = self.displacement(w_plus, sentence, backbones, 1.0 if strength >= 0 else -1.0)
        if config.learned_overdrive and strength > 1:
            further = self.displacement(w_plus, sentence, backbones, 2.0) - delta
            code = w_plus + delta + (strength - 1) * further
        else:
            code = w_plus + strength * delta
        return Face(backbones.generator.synthesis(code), Latent(code, self.space), source.mask)

    def objective(
        self, source: Face, edited: Face, sentence: Sentence, backbones: Backbones
    ) -> dict[str, Tensor]:
        """Return how far the edit is from the true one, or from being seen as clearly as wanted.

        Of a sentence of which nothing is known, CLIP's opinion.

        The distance of codes is a norm, not its square: where it is uncertain what a face shows,
        the median commits itself while a mean would edit everything by half.
        """
        config, deviation = self.config, w_plus_unit(backbones.generator) / 2
        truth = sentence.truth if isinstance(sentence, Counterfactual) else None
        meaning = sentence.meaning if isinstance(sentence, Counterfactual) else None
        before, after = source.latent.code, edited.latent.code
        if meaning is not None:
            now = backbones.require("attributes", self.name).raw(edited.image)
            terms = {"disturbed": config.weight_disturbed * disturbed(now, meaning)}
            if truth is None:
                return terms | {"unseen": config.weight_unseen * unseen(now, meaning)}
            image = image_distance(source.image, edited.image, truth.image, config.weight_outside)
            return terms | {"image": config.weight_image * image}
        if truth is None:
            entries = REFERENCE_ENTRIES / before[0].numel()
            near = entries * losses.latent_l2(after, before, 2 * deviation)
            far = losses.clip_distance(backbones.clip, edited.image, sentence)
            return {
                "clip": config.weight_clip * far,
                "latent_l2": config.weight_latent_l2 * near,
            }
        miss = ((after - truth.latent.code) / deviation).square().mean(dim=(1, 2))
        distance = (miss + SMOOTH**2).sqrt().mean()
        return {"code": config.weight_code * distance}
