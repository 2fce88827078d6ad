"""CLIP's two towers: a vision transformer for pictures, a causal transformer for sentences.

Paper: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
ICML 2021, arXiv:2103.00020, section 2.4. The parameters have the names of
`transformers.CLIPModel`, which reads the same weights; importing that class alone takes longer
than an edit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from faceedit.backbones.clip import ClipConfig

__all__ = ["ClipTowers"]

KeysValues = list[tuple[Tensor, Tensor]]  # a pair [n, heads, length, width / heads] a layer
Seen = tuple[Tensor, Tensor, Tensor]  # keys, values, and who sees what, [n, 1, length, all]
LOGIT_SCALE = math.log(1 / 0.07)  # section 2.5: the temperature that training starts from


class Attention(nn.Module):
    """Multi-head self-attention.

    Attributes:
        fused: Whether torch's fused attention computes it. In bfloat16 on a CPU its way back is
            far slower than the plain one's, so training there switches it off.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.fused = True
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, causal: bool, past: Seen | None = None) -> Tensor:
        """Return [n, length, width]; causal: a token sees itself and those before it.

        Args:
            x: [n, length, width].
            causal: See above.
            past: Keys and values of tokens that stand before these, and what of all is seen.
        """
        query, (key, value) = self._heads(x, self.q_proj), self.keys_values(x)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
            y = F.scaled_dot_product_attention(query, key, value, attn_mask=past[2])
        elif self.fused:
            y = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        else:
            y = _plain_attention(query, key, value, causal)
        return self.out_proj(y.transpose(1, 2).flatten(2))

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the keys and values of tokens [n, length, width]."""
        return self._heads(x, self.k_proj), self._heads(x, self.v_proj)

    def _heads(self, x: Tensor, project: nn.Linear) -> Tensor:
        return project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _plain_attention(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> Tensor:
    """Return softmax(q k^T / sqrt(d)) v for [n, heads, length, d]."""
    fit = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if causal:
        later = torch.ones(fit.shape[-2:], dtype=torch.bool, device=fit.device).triu(1)
        fit = fit.masked_fill(later, -math.inf)
    return fit.softmax(-1, dtype=torch.float32).to(query.dtype) @ value


class Mlp(nn.Module):
    """Two linear layers with CLIP's own approximation of GELU, x * sigmoid(1.702 x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., width]."""
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))


class Layer(nn.Module):
    """A residual block: attention, then the layers of each token alone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.layer_norm1 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.layer_norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, causal: bool, past: Seen | None = None) -> Tensor:
        """Return [n, length, width]; see `Attention`."""
        x = x + self.self_attn(self.layer_norm1(x), causal, past)
        return x + self.mlp(self.layer_norm2(x))


class Encoder(nn.Module):
    """A stack of residual blocks."""

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))

    def forward(self, x: Tensor, causal: bool, past: list[Seen] | None = None) -> Tensor:
        """Return [n, length, width]; see `Attention`."""
        for index, layer in enumerate(self.layers):
            x = layer(x, causal, None if past is None else past[index])
        return x

    def keys_values(self, x: Tensor) -> KeysValues:
        """Return what causal layers know of tokens [n, length, width], for those that follow."""
        known: KeysValues = []
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            known.append(layer.self_attn.keys_values(layer.layer_norm1(x)))
            if index + 1 < len(self.layers):
                x = layer(x, True)
        return known


class VisionEmbeddings(nn.Module):
    """One token for the whole picture, and one a patch."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width, patch = config.vision_width, config.patch_size
        self.image_size = config.image_size
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.patch_embedding = nn.Conv2d(3, width, patch, patch, bias=False)
        self.position_embedding = nn.Embedding((config.image_size // patch) ** 2 + 1, width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return [n, 1 + patches, width] for pictures [n, 3, image_size, image_size].

        Raises:
            ValueError: If the pictures have another size.
        """
        if tuple(pixels.shape[-2:]) != (self.image_size, self.image_size):
            given = " x ".join(map(str, pixels.shape[-2:]))
            raise ValueError(
                f"this CLIP sees {self.image_size} x {self.image_size} px, not {given}"
            )
        pixels = pixels.to(self.patch_embedding.weight.dtype)
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        whole = self.class_embedding.expand(len(pixels), 1, -1)
        return torch.cat([whole, patches], dim=1) + self.position_embedding.weight


class VisionTower(nn.Module):
    """Pictures to the final state of the token that stands for the whole of them."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.vision_width
        self.embeddings = VisionEmbeddings(config)
        self.pre_layrnorm = nn.LayerNorm(width)  # misspelt in transformers
        self.encoder = Encoder(width, config.vision_heads, config.vision_layers)
        self.post_layernorm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return [n, vision_width] for pictures [n, 3, image_size, image_size]."""
        x = self.encoder(self.pre_layrnorm(self.embeddings(pixels)), causal=False)
        return self.post_layernorm(x[:, 0])


class TextEmbeddings(nn.Module):
    """What a token is, and where it stands."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.text_width)
        self.position_embedding = nn.Embedding(config.context_length, config.text_width)

    def forward(self, tokens: Tensor, first: Tensor | None = None) -> Tensor:
        """Return [n, length, text_width] for token ids [n, length].

        Args:
            tokens: The ids.
            first: Where each row begins, [n]; None is at the start.
        """
        if first is None:
            places = self.position_embedding.weight[: tokens.shape[1]]
        else:
            along = torch.arange(tokens.shape[1], device=tokens.device)
            places = self.position_embedding(first[:, None] + along)
        return self.token_embedding(tokens) + places


class TextTower(nn.Module):
    """Sentences to the final state of their end token, which alone has read all of them."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.end_token = config.end_token
        self.embeddings = TextEmbeddings(config)
        self.encoder = Encoder(config.text_width, config.text_heads, config.text_layers)
        self.final_layer_norm = nn.LayerNorm(config.text_width)

    def keys_values(self, tokens: Tensor) -> KeysValues:
        """Return what the layers know of the beginnings of sentences, token ids [n, length]."""
        return self.encoder.keys_values(self.embeddings(tokens))

    def forward(
        self, tokens: Tensor, past: KeysValues | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Return [n, text_width] for token ids [n, length], each row with an end token.

        Args:
            tokens: Whole sentences, or what follows their beginnings.
            past: What is known of the beginnings, see `keys_values`; shorter ones are padded.
            lengths: How many tokens each beginning has, [n].
        """
        seen = None
        if past is not None and lengths is not None:
            own = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).to(tokens.device)
            places = torch.arange(past[0][0].shape[2], device=tokens.device)
            before = (places < lengths[:, None])[:, None].expand(-1, tokens.shape[1], -1)
            all_ = torch.cat([before, own.tril().expand(len(tokens), -1, -1)], dim=2)[:, None]
            seen = [(key, value, all_) for key, value in past]
        x = self.encoder(self.embeddings(tokens, lengths), causal=True, past=seen)
        x = self.final_layer_norm(x)
        first_end = (tokens == self.end_token).int().argmax(dim=1)
        return x[torch.arange(len(tokens), device=tokens.device), first_end]


class ClipTowers(nn.Module):
    """The weights of a CLIP: two towers and the maps into the space that they share."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.text_model = TextTower(config)
        self.vision_model = VisionTower(config)
        self.visual_projection = nn.Linear(config.vision_width, config.embed_dim, bias=False)
        self.text_projection = nn.Linear(config.text_width, config.embed_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(LOGIT_SCALE))
        if self.logit_scale.device.type != "meta":  # there the weights come from a file
            initialize(self)

    def image_features(self, pixels: Tensor) -> Tensor:
        """Return embeddings [n, embed_dim] of normalised pictures, not of unit length."""
        return self.visual_projection(self.vision_model(pixels))

    def text_features(
        self, tokens: Tensor, past: KeysValues | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        """Return embeddings [n, embed_dim] of token ids [n, length]; see `TextTower`."""
        return self.text_projection(self.text_model(tokens, past, lengths))

    def fuse_attention(self, fused: bool) -> None:
        """Choose how attention is computed; see `Attention.fused`."""
        for module in self.modules():
            if isinstance(module, Attention):
                module.fused = fused


@torch.no_grad()
def initialize(towers: ClipTowers) -> None:
    """Draw a start for training, as the official code does (`CLIP.initialize_parameters`)."""
    text, vision = towers.text_model.embeddings, towers.vision_model.embeddings
    nn.init.normal_(text.token_embedding.weight, std=0.02)
    nn.init.normal_(text.position_embedding.weight, std=0.02)
    nn.init.normal_(vision.class_embedding, std=vision.class_embedding.shape[0] ** -0.5)
    nn.init.normal_(vision.patch_embedding.weight, std=0.02)
    nn.init.normal_(vision.position_embedding.weight, std=0.02)
    for encoder in (towers.text_model.encoder, towers.vision_model.encoder):
        depth = (2 * len(encoder.layers)) ** -0.5
        for layer in encoder.layers:
            assert isinstance(layer, Layer)
            width = layer.self_attn.k_proj.in_features**-0.5
            attention = layer.self_attn
            for project in (attention.q_proj, attention.k_proj, attention.v_proj):
                nn.init.normal_(project.weight, std=width * depth)
            nn.init.normal_(attention.out_proj.weight, std=width)
            nn.init.normal_(layer.mlp.fc1.weight, std=width * 2**-0.5)
            nn.init.normal_(layer.mlp.fc2.weight, std=width * depth)
    for module in towers.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for projection in (towers.visual_projection, towers.text_projection):
        nn.init.normal_(projection.weight, std=projection.in_features**-0.5)
