"""CLIP: one space for images and sentences.

Paper: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
ICML 2021, arXiv:2103.00020.

The wrapper owns what callers would otherwise repeat: resizing and normalising pixels so that
gradients reach them, tokenizing, and unit length. Its folder is a `transformers` one:
`CLIPModel.from_pretrained(folder)` and `CLIPTokenizer.from_pretrained(folder)` read it too, and
`from_folder` reads theirs.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit import hub
from faceedit.backbones.clip_frames import Beginnings, encode_framed
from faceedit.backbones.clip_tokenizer import TOKENIZER, ClipTokenizer
from faceedit.backbones.clip_towers import ClipTowers
from faceedit.backbones.resample import bicubic, box, foveal_columns, foveal_rows, resample
from faceedit.errors import RepoError
from faceedit.hub.checks import told

logger = logging.getLogger(__name__)
Pixels = Literal["openai", "styleclip", "foveal"]  # how images are fed in, see `Clip.pixels`
Wording = Literal["house", "web"]  # the portrait world's captions, or texts of the web

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of RGB in [0, 1], from the official release
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
PREPROCESSOR = "preprocessor_config.json"  # transformers' file for the size, mean and std


@dataclass(frozen=True)
class ClipConfig:
    """Sizes of a CLIP; the defaults are those of the official ViT-B/32."""

    image_size: int = 224  # px
    patch_size: int = 32  # px
    vision_width: int = 768
    vision_layers: int = 12
    vision_heads: int = 12
    text_width: int = 512
    text_layers: int = 12
    text_heads: int = 8
    context_length: int = 77  # tokens, the start and the end included
    vocab_size: int = 49408
    start_token: int = 49406
    end_token: int = 49407
    embed_dim: int = 512
    pixel_mean: tuple[float, float, float] = OPENAI_MEAN
    pixel_std: tuple[float, float, float] = OPENAI_STD
    pixels: Pixels = "openai"
    wording: Wording = "house"  # whose sentences it was trained on, see `faceedit.words.frames`

    def __post_init__(self) -> None:
        """Refuse a way of feeding pixels that this version does not know."""
        if self.wording not in get_args(Wording):
            raise ValueError(f"wording is {self.wording!r}; it can be one of {get_args(Wording)}")
        if self.pixels not in get_args(Pixels):
            raise ValueError(f"pixels is {self.pixels!r}; it can be one of {get_args(Pixels)}")

    def transformers(self) -> dict[str, Any]:
        """Return the same sizes in the words of `transformers.CLIPConfig`."""
        return {
            "text_config": {
                "vocab_size": self.vocab_size,
                "hidden_size": self.text_width,
                "intermediate_size": 4 * self.text_width,
                "num_hidden_layers": self.text_layers,
                "num_attention_heads": self.text_heads,
                "max_position_embeddings": self.context_length,
                "bos_token_id": self.start_token,
                "eos_token_id": self.end_token,
                "pad_token_id": self.end_token,
                "projection_dim": self.embed_dim,
            },
            "vision_config": {
                "hidden_size": self.vision_width,
                "intermediate_size": 4 * self.vision_width,
                "num_hidden_layers": self.vision_layers,
                "num_attention_heads": self.vision_heads,
                "image_size": self.image_size,
                "patch_size": self.patch_size,
                "projection_dim": self.embed_dim,
            },
            "projection_dim": self.embed_dim,
            "model_type": "clip",
            "architectures": ["CLIPModel"],
        }

    @classmethod
    def from_transformers(cls, config: dict[str, Any], pixels: dict[str, Any]) -> ClipConfig:
        """Read the sizes back from `config.json` and `preprocessor_config.json`.

        Raises:
            KeyError: If a size is missing.
        """
        text, vision = config["text_config"], config["vision_config"]
        return cls(
            image_size=vision["image_size"],
            patch_size=vision["patch_size"],
            vision_width=vision["hidden_size"],
            vision_layers=vision["num_hidden_layers"],
            vision_heads=vision["num_attention_heads"],
            text_width=text["hidden_size"],
            text_layers=text["num_hidden_layers"],
            text_heads=text["num_attention_heads"],
            context_length=text["max_position_embeddings"],
            vocab_size=text["vocab_size"],
            start_token=text["bos_token_id"],
            end_token=text["eos_token_id"],
            embed_dim=config["projection_dim"],
            pixel_mean=tuple(pixels.get("image_mean", OPENAI_MEAN)),
            pixel_std=tuple(pixels.get("image_std", OPENAI_STD)),
            pixels=pixels.get("faceedit_pixels", "openai"),
            wording=pixels.get("faceedit_wording", "house"),
        )


class Clip(nn.Module):
    """Images and sentences to unit vectors whose inner product says how well they match.

    Attributes:
        config: The sizes.
        model: The two towers, with the names of `transformers.CLIPModel`.
        tokenizer: None where only images and token ids are encoded.
    """

    config_class: ClassVar[type] = ClipConfig

    def __init__(self, config: ClipConfig, tokenizer: ClipTokenizer | None = None) -> None:
        super().__init__()
        if config.end_token == 2:
            raise ValueError("end_token 2 makes transformers pool the wrong token; choose another")
        self.config = config
        self.tokenizer = tokenizer
        self.model = ClipTowers(config)
        self._told: set[str] = set()  # sentences whose cut has been reported
        self._beginnings = Beginnings()
        self._fed: dict[str, Clip] = {}  # see `fed`; plain, so that none is a part of another

    @property
    def embed_dim(self) -> int:
        """Length of an embedding."""
        return self.config.embed_dim

    def pixels(self, image: Tensor) -> Tensor:
        """Resize and normalise images for the vision tower; gradients pass.

        "openai": clamped to the visible range, bicubic with antialiasing, mean and std removed, as
        CLIP was trained. "styleclip": box-resampled and fed as it is, in [-1, 1], as StyleCLIP's
        official code does, which its released weights and loss weights depend on. "foveal": as
        "openai", but box-resampled so that an aligned face fills the frame and what is around it is
        squeezed into the margin; a small tower sees finer so.

        Args:
            image: [n, 3, h, w], RGB in [-1, 1].

        Returns:
            [n, 3, image_size, image_size].
        """
        size = self.config.image_size
        if self.config.pixels == "styleclip":
            return resample(image, size, box)
        x = F.hardtanh(image)  # clamped; its gradient takes half the time of clamp's
        if self.config.pixels == "foveal":
            x = resample(x, size, foveal_rows, foveal_columns)
        elif x.shape[-2:] != (size, size):
            x = resample(x, size, bicubic)
        mean = x.new_tensor(self.config.pixel_mean)[:, None, None]
        std = x.new_tensor(self.config.pixel_std)[:, None, None]
        return torch.addcmul((0.5 - mean) / std, x, 0.5 / std)

    def fed(self, pixels: Pixels) -> Clip:
        """Return the same CLIP with images fed in another way; the weights are shared.

        Only one that was trained on the web has several: papers feed OpenAI's in their own ways.
        """
        if self.config.wording != "web" or pixels == self.config.pixels:
            return self
        if pixels not in self._fed:
            other = copy.copy(self)
            other.config = replace(self.config, pixels=pixels)
            self._fed[pixels] = other
        return self._fed[pixels]

    def encode_image(self, image: Tensor) -> Tensor:
        """Return unit embeddings [n, embed_dim] of images [n, 3, h, w] in [-1, 1]."""
        return F.normalize(self.model.image_features(self.pixels(image)), dim=-1)

    def tokenize(self, sentences: Sequence[str]) -> Tensor:
        """Return token ids, [n, longest], padded with the end token; see `token_rows`."""
        rows = self.token_rows(sentences)
        longest = max(map(len, rows), default=2)
        padded = [row + [self.config.end_token] * (longest - len(row)) for row in rows]
        ids = torch.tensor(padded, dtype=torch.long, device=self.model.logit_scale.device)
        return ids.reshape(len(rows), longest)

    def token_rows(self, sentences: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each sentence, its start and end included.

        A sentence that is too long is cut, and the first time a warning says what is left.

        Raises:
            RuntimeError: If this CLIP was made without a tokenizer.
        """
        if self.tokenizer is None:
            raise RuntimeError("this CLIP has no tokenizer; load it with Clip.from_folder")
        limit = self.config.context_length - 2  # the start and the end take one place each
        encoded = self.tokenizer.encode(sentences) if sentences else []
        for sentence, ids in zip(sentences, encoded, strict=True):
            if len(ids) > limit and sentence not in self._told:
                self._told.add(sentence)
                read = self.tokenizer.decode(ids[:limit])
                logger.warning("the sentence is too long for CLIP; it reads only: %r", read)
        return [[self.config.start_token, *ids[:limit], self.config.end_token] for ids in encoded]

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Return unit embeddings [n, embed_dim] of token ids [n, length]."""
        return F.normalize(self.model.text_features(tokens), dim=-1)

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        """Return unit embeddings [n, embed_dim] of sentences; see `tokenize` for long ones."""
        return self.encode_tokens(self.tokenize(sentences))

    def encode_framed(self, texts: Sequence[str], frames: Sequence[str]) -> Tensor:
        """Return unit embeddings of texts in frames ("a photo of {}"), [texts, frames, embed_dim].

        Those of a CLIP of the web are read as in `clip_frames`: the same, but for roundings.
        """
        if self.config.wording == "web" and texts and not torch.is_grad_enabled():
            return encode_framed(self, texts, frames, self._beginnings)
        framed = [frame.format(text) for text in texts for frame in frames]
        return self.encode_text(framed).unflatten(0, (len(texts), len(frames)))

    @classmethod
    def from_folder(cls, folder: Path | str) -> Clip:
        """Load a CLIP and its tokenizer, in float32, in evaluation mode.

        Raises:
            RepoError: If a file is missing, damaged, or does not fit.
        """
        folder = Path(folder)
        raw = hub.read_config(folder)
        path = folder / PREPROCESSOR
        try:
            pixels = hub.read_json(path) if path.exists() else {}
            config = ClipConfig.from_transformers(raw, pixels)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, RepoError):
                raise
            raise RepoError(
                f"{folder} contains no CLIP that can be read ({told(error)})"
            ) from error
        hub.check_settings(config, folder / hub.CONFIG)
        tokenizer = _load_tokenizer(folder, config.vocab_size)
        return hub.build_filled(lambda: cls(config, tokenizer), folder, inner="model").eval()

    def save(self, folder: Path | str, half: bool = True) -> None:
        """Write a folder that `from_folder` and `transformers` read.

        Args:
            folder: Where; made if absent.
            half: Whether to store 16-bit numbers.
        """
        folder = Path(folder)
        hub.write_folder(folder, self.config.transformers(), self.model.state_dict(), half=half)
        if self.tokenizer is not None:
            self.tokenizer.save(folder)
        size = {"height": self.config.image_size, "width": self.config.image_size}
        pixels = {
            "image_processor_type": "CLIPImageProcessor",
            "size": size,
            "crop_size": size,
            "resample": 3,  # PIL's number for bicubic
            "image_mean": list(self.config.pixel_mean),
            "image_std": list(self.config.pixel_std),
            "faceedit_pixels": self.config.pixels,
            "faceedit_wording": self.config.wording,
        }
        (folder / PREPROCESSOR).write_text(json.dumps(pixels, indent=2) + "\n", encoding="utf-8")


def _load_tokenizer(folder: Path, vocab_size: int) -> ClipTokenizer:
    """Read the tokenizer and check that it belongs to the network.

    Raises:
        RepoError: If it is missing, damaged, or of another CLIP.
    """
    tokenizer = ClipTokenizer.from_folder(folder)
    if len(tokenizer) != vocab_size:
        raise RepoError(
            f"{folder / TOKENIZER} has {len(tokenizer)} tokens and the network {vocab_size}; "
            "they are not of the same CLIP"
        )
    return tokenizer
