"""An untrained CLIP for the world, with a tokenizer learned on captions."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from faceedit.backbones.clip import Clip, ClipConfig
from faceedit.backbones.clip_tokenizer import ClipTokenizer, build_tokenizer
from faceedit.world import sample_attributes
from faceedit.world.captions import (
    STATEMENTS,
    caption,
    value_prompts,
)

if TYPE_CHECKING:
    from training.tasks.clip import ClipOptions

PLACE_STD = 0.5  # of the position embeddings at the start; patch embeddings have about 0.5 too
ATTENTION_GAIN = 3.0  # of queries and keys at the start


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
    layer: Any
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
