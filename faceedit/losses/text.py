"""What a sentence asks of an edit: three CLIP terms that trained methods may choose from."""

from __future__ import annotations

from typing import Literal
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones.clip import Clip
from faceedit.losses import terms as losses
from faceedit.losses.pae import PaeSettings, pae_sentence, read_corpora
from faceedit.types import Sentence
from faceedit.words.sentence import NEUTRAL, embed

# "global": 1 - <E_I(y), E_T(t)>, StyleCLIP Equation 1, what ManiCLIP, FFCLIP and FEAT print.
# "direction": 1 - cos(E_I(y) - E_I(x), E_T(t) - E_T(neutral)), StyleGAN-NADA, arXiv:2108.00946,
#     with two changes that `text_distance` explains.
# "pae": 1 - <E_I(y), PAE(x, t)>, arXiv:2210.03919.
ClipLoss = Literal["global", "direction", "pae"]
_COMMON: WeakKeyDictionary[Clip, Tensor] = WeakKeyDictionary()
WHOLE_CHANGE = 0.5  # of an embedding: about what one attribute makes; see `text_distance`


def text_distance(
    clip_loss: ClipLoss,
    source: Tensor,
    edited: Tensor,
    sentence: Sentence,
    clip: Clip,
    settings: PaeSettings | None = None,
) -> Tensor:
    """Return how far edits are from what their sentences ask for, a scalar in [0, 2].

    "global" looks at the edited image alone, so that it rewards whatever looks more like the
    sentence; "direction" compares how the image has changed with how the words differ from the
    neutral ones (without what all words share, see `common_direction`); "pae" asks for a change of
    one characteristic only. A cosine is as happy with a tiny change in the right direction as with
    a whole one, so "direction" counts a change shorter than WHOLE_CHANGE by its length: it is 1 for
    no change and less only for one that can be seen.

    Args:
        clip_loss: Which term.
        source: Images before the edit, [n, 3, h, w], RGB in [-1, 1]; no gradient reaches them.
        edited: After it, same shape.
        sentence: Its embeddings are [n, d] or [1, d], of unit length.
        clip: E_I and E_T.
        settings: Of the "pae" target; the defaults if None.
    """
    if clip_loss == "global":
        return losses.clip_distance(clip, edited, sentence)
    if clip_loss == "pae":
        target = pae_sentence(sentence, source, clip, settings)
        return losses.clip_distance(clip, edited, target)
    with torch.no_grad():
        before = clip.encode_image(source)
    delta_i = clip.encode_image(edited) - before
    length = delta_i.norm(dim=-1, keepdim=True).clamp(min=WHOLE_CHANGE)
    delta_t = text_direction(sentence)
    common = common_direction(clip).to(delta_t)
    delta_t = F.normalize(delta_t - (delta_t @ common)[:, None] * common, dim=-1)
    return 1 - (delta_i / length * delta_t).sum(dim=-1).mean()


def text_direction(sentence: Sentence) -> Tensor:
    """Return where the sentence leads from the neutral one, [n, d] of unit length."""
    return F.normalize(sentence.target - sentence.neutral_embedding, dim=-1)


@torch.no_grad()
def common_direction(clip: Clip) -> Tensor:
    """Return where any statement about a face leads from a face of which nothing is said, unit [d].

    Differences to a neutral sentence like "a face" share it (their mean cosine is 0.4 for a small
    CLIP), no image can follow it, and descending it changes what no sentence asked for. It is
    computed once for a CLIP, and forgotten with it.
    """
    if clip not in _COMMON:
        corpora = read_corpora(clip).values()
        said = torch.cat([corpus.prompts for corpus in corpora]).mean(dim=0)
        _COMMON[clip] = F.normalize(said - embed([NEUTRAL], clip)[0], dim=-1)
    return _COMMON[clip]
