"""What the pipeline is given, made into what the method reads; every refusal says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import PIL.Image
import torch
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from faceedit.backbones.clip import Clip, ClipConfig
from faceedit.backbones.clip_tokenizer import ClipTokenizer
from faceedit.errors import RequestError
from faceedit.inversion import to_tensor
from faceedit.methods.clip_pae_diffusion import ClipPaeDiffusionConfig

__all__ = ["Pictures", "read_images", "read_mask", "read_weights", "unwrap_clip", "wrap_clip"]

Pictures = PIL.Image.Image | Sequence[PIL.Image.Image] | Tensor
WEIGHTS = [f.name for f in fields(ClipPaeDiffusionConfig) if f.name.startswith("weight_")]
ADDED = ("weight_outside",)  # those of the terms that are additions


def read_images(image: Pictures) -> Tensor:
    """Return square images, [n, 3, h, h] in [-1, 1].

    Args:
        image: PIL images, or [n, 3, h, h] in [-1, 1].

    Raises:
        RequestError: If there are none, or they are not square, not RGB or of several sizes.
    """
    if isinstance(image, Tensor):
        pixels = image.detach().clone().float()
    else:
        pictures = [image] if isinstance(image, PIL.Image.Image) else list(image)
        tensors = [to_tensor(picture) for picture in pictures]
        if len({tensor.shape for tensor in tensors}) != 1:
            raise RequestError("give at least one image, and all of one size")
        pixels = torch.cat(tensors)
    if pixels.ndim != 4 or pixels.shape[1] != 3 or not len(pixels):
        raise RequestError(f"image has shape {list(pixels.shape)}; it must be [n, 3, h, w]")
    height, width = pixels.shape[-2:]
    if height != width:
        raise RequestError(
            f"image is {width} x {height} px; the denoiser takes squares: crop it to the face, "
            "or use FaceEditor, which finds and aligns it"
        )
    return pixels


def read_mask(mask: PIL.Image.Image | Tensor) -> Tensor:
    """Return where images may change, [n, 1, h, h] in [0, 1].

    Raises:
        RequestError: If it is not square.
    """
    if isinstance(mask, Tensor):
        if mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[-1] != mask.shape[-2]:
            raise RequestError(f"mask has shape {list(mask.shape)}; it must be [n, 1, h, h]")
        return mask.detach().clone().float()
    if mask.width != mask.height:
        raise RequestError(f"mask is {mask.width} x {mask.height} px; it must be square")
    return to_tensor(mask.convert("L"))[:, :1].add(1).div(2)


def wrap_clip(
    model: CLIPModel, tokenizer: CLIPTokenizer, mean: Sequence[float], std: Sequence[float]
) -> Clip:
    """Return transformers' CLIP as the methods read it; the weights are shared.

    OpenAI's published configs name other start and end tokens than their tokenizers use, so the
    tokenizer's are taken.
    """
    pixels = {"image_mean": mean, "image_std": std}
    sizes = ClipConfig.from_transformers(model.config.to_dict(), pixels)
    config = replace(sizes, start_token=tokenizer.bos_token_id, end_token=tokenizer.eos_token_id)
    spelling = ClipTokenizer(tokenizer.backend_tokenizer, config.context_length)
    with torch.device("meta"):
        clip = Clip(config, spelling)
    _share_parameters(model, clip.model)
    return clip.eval()


def unwrap_clip(clip: Clip) -> CLIPModel:
    """Return a CLIP of the methods as transformers has it; the weights are shared."""
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(**clip.config.transformers()))
    _share_parameters(clip.model, model)
    device = clip.model.logit_scale.device
    for part in model.modules():
        ids = getattr(part, "position_ids", None)
        if isinstance(ids, Tensor):
            part.register_buffer("position_ids", torch.arange(ids.shape[-1], device=device)[None])
    return model.eval()


def _share_parameters(given: nn.Module, taker: nn.Module) -> None:
    """Give a module the very parameters of another one, so that moving one moves both."""
    for name, parameter in given.named_parameters():
        place, _, last = name.rpartition(".")
        setattr(taker.get_submodule(place), last, parameter)


def read_weights(weights: Mapping[str, float] | None, segmenting: bool) -> dict[str, Any]:
    """Return the config's settings for weights by their terms' names.

    Args:
        weights: Term -> weight.
        segmenting: Whether there is a segmenter; without one, "outside" is 0 unless it is given.

    Raises:
        RequestError: If there is no such term.
    """
    chosen: dict[str, Any] = {f"weight_{name}": value for name, value in (weights or {}).items()}
    terms = [*WEIGHTS, *ADDED]
    if unknown := sorted(set(chosen) - set(terms)):
        known = ", ".join(name.removeprefix("weight_") for name in terms)
        given = ", ".join(name.removeprefix("weight_") for name in unknown)
        raise RequestError(f"no term {given}; choose from {known}")
    default = ClipPaeDiffusionConfig.additions
    usual = default.weight_outside if segmenting else 0.0
    added = replace(default, weight_outside=chosen.pop("weight_outside", usual))
    return {**chosen, "additions": added}
