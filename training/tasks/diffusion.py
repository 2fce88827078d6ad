"""The unconditional DDPM of the diffusion methods, a stock diffusers `UNet2DModel`.

Papers: "Denoising Diffusion Probabilistic Models", Ho et al. 2020, arXiv 2006.11239; "Progressive
Distillation", Salimans & Ho 2022, arXiv 2202.00512 (v-prediction); "Efficient Diffusion Training
via Min-SNR Weighting Strategy", Hang et al. 2023, arXiv 2303.09556.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit import hub
from faceedit.backbones.diffusion import Diffusion, invert, reconstruct
from faceedit.method_repo import save_method
from training.config import ConfigError, TrainConfig
from training.data.shards import WorldBatch, WorldShards
from training.memory import keep_freed_memory
from training.sheets import contact_sheet
from training.task import Task, Turn

__all__ = ["DiffusionTask"]

CHUNK = 20  # images denoised at a time when nothing is learned


@dataclass(frozen=True)
class DiffusionOptions:
    """Size of the network, what it predicts, and how it is measured."""

    resolution: int = 64  # px; the renders are averaged down to it
    channels: tuple[int, ...] = (32, 48, 80, 128)
    layers_per_block: int = 1
    attention_levels: int = 1  # so many of the deepest levels have attention
    attention_head_dim: int = 32
    groups: int = 8  # of GroupNorm; as many as channels would erase the time embedding
    prediction: Literal["epsilon", "v_prediction"] = "v_prediction"
    min_snr: float = 5.0  # gamma; 0 weighs all timesteps alike
    init_weights: str = ""  # a folder with unet/ to continue from
    sample_images: int = 32
    sample_steps: int = 25
    evaluation_images: int = 100
    evaluation_steps: int = 50
    evaluation_strength: float = 0.5
    evaluation_iterations: int = 3


class DiffusionStep(nn.Module):
    """Predicts noise (or v) of renders at random levels; min-SNR weighted squared error."""

    def __init__(self, unet: nn.Module, task: DiffusionTask) -> None:
        super().__init__()
        self.unet = unet
        self._task = (task,)  # in a tuple: the task is not a submodule

    def forward(self, batch: WorldBatch) -> dict[str, Tensor]:
        """Score one batch; its timesteps are spread evenly over the schedule."""
        (task,) = self._task
        clean = shrink(batch.image, task.options.resolution)
        count, levels = len(clean), task.levels
        spread = (
            torch.arange(count, device=clean.device) + torch.rand((), device=clean.device)
        ) / count
        times = (spread * len(levels)).long().clamp(max=len(levels) - 1)
        level = levels[times][:, None, None, None]
        noise = torch.randn_like(clean)
        noisy = level.sqrt() * clean + (1 - level).sqrt() * noise
        said = self.unet(noisy, times).sample.float()
        by_v = task.options.prediction == "v_prediction"
        target = level.sqrt() * noise - (1 - level).sqrt() * clean if by_v else noise
        error = (said - target).square().mean((1, 2, 3))
        weight = loss_weight(levels[times], task.options.min_snr, by_v)
        return {"noise": (weight * error).mean(), "log_unweighted": error.mean()}


def loss_weight(level: Tensor, min_snr: float, by_v: bool) -> Tensor:
    """Return the weight of the squared error at each level, [n] (arXiv 2303.09556, section 3.4).

    Args:
        level: Cumulative alphas in (0, 1), [n].
        min_snr: gamma; 0 gives weight 1.
        by_v: Whether v is predicted rather than noise.
    """
    if min_snr <= 0:
        return torch.ones_like(level)
    ratio = level / (1 - level)
    return ratio.clamp(max=min_snr) / (ratio + 1 if by_v else ratio)


def shrink(image: Tensor, size: int) -> Tensor:
    """Average renders [n, 3, h, w] down to size x size."""
    factor = image.shape[-1] // size
    return image if factor == 1 else F.avg_pool2d(image, factor)


class DiffusionTask(Task):
    """Trains the denoiser on `train`; measures inversion and reconstruction on `heldout`."""

    options_class: ClassVar[type] = DiffusionOptions
    averaged: ClassVar[tuple[str, ...]] = ("unet",)
    options: DiffusionOptions

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(config, device)
        if device.type == "cpu":
            keep_freed_memory()
        self.scheduler = make_scheduler(self.options.prediction)
        self.levels = self.scheduler.alphas_cumprod.float().to(device)
        self.unet = make_unet(self.options)

    def modules(self) -> dict[str, nn.Module]:
        """The denoising network alone."""
        return {"unet": self.unet}

    def turns(self) -> list[Turn]:
        """One turn."""
        return [Turn("unet", DiffusionStep(self.unet, self))]

    def open_data(self, recorded: dict[str, Any] | None) -> dict[str, Any]:
        """Open the training renders.

        Raises:
            ConfigError: If they cannot be averaged down to the network's resolution.
        """
        folder = self.config.data_path / "train"
        self.data = WorldShards(folder, recorded, self.config.seed, flip=True, device=self.device)
        side, size = self.data.rows([0]).image.shape[-1], self.options.resolution
        if side % size:
            raise ConfigError(f"resolution {size} does not divide the renders' {side} px")
        return self.data.state()

    def batch(self, positions: range) -> WorldBatch:
        """Return renders, half of them mirrored."""
        return self.data.batch(positions)

    def diffusion(self) -> Diffusion:
        """The averaged network with its schedule."""
        return Diffusion(self.averaged_or_live("unet"), self.scheduler)

    @torch.no_grad()
    def samples(self) -> PIL.Image.Image:
        """Show samples from noise."""
        options = self.options
        shape = (options.sample_images, 3, options.resolution, options.resolution)
        noise = torch.randn(shape).to(self.device)
        parts = [self._denoised(part) for part in noise.split(CHUNK)]
        return contact_sheet(torch.cat(parts), 8)

    def _denoised(self, noise: Tensor) -> Tensor:
        with self._precision():
            return reconstruct(self.diffusion(), noise, self.options.sample_steps, 1.0)

    def _precision(self) -> torch.autocast:
        half = self.config.mixed_precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return the PSNR of held-out renders after inversion and denoising, in float32."""
        options, diffusion = self.options, self.diffusion()
        data = WorldShards(self.config.data_path / "heldout", device=self.device)
        count, errors = min(options.evaluation_images, len(data)), []
        plan = options.evaluation_steps, options.evaluation_strength
        for start in range(0, count, CHUNK):
            rows = data.rows(range(start, min(start + CHUNK, count)))
            image = shrink(rows.to(self.device).image, options.resolution)
            path = invert(diffusion, image, *plan, options.evaluation_iterations)
            back = reconstruct(diffusion, path.end, *plan).clamp(-1, 1)
            errors.append((back - image).square().mean((1, 2, 3)))
        decibel = 10 * (4 / torch.cat(errors).clamp(min=1e-10)).log10()
        return {
            "reconstruction_psnr": float(decibel.mean()),
            "reconstruction_psnr_worst": float(decibel.min()),
            "images": count,
        }

    def export(self, folder: Path) -> None:
        """Write the repo of the method that the denoiser belongs to.

        `unet/` (averaged, 16 bits), `scheduler/` and `model_index.json` are read by diffusers,
        `config.json` by `FaceEditor`; CLIP stays in the base that both name.
        """
        from faceedit import METHODS, ClipPaeDiffusionPipeline

        diffusion, base = self.diffusion(), f"{hub.OWNER}/{self.config.base_path.name}"
        diffusion.save(folder)
        pipe = ClipPaeDiffusionPipeline(diffusion.unet, diffusion.scheduler, base=base)
        pipe.save_config(folder)
        method = METHODS["clip_pae_diffusion"]
        save_method(method(method.config_class()), folder, base=base, fingerprint={})


def make_scheduler(prediction: str) -> Any:
    """Return the noise schedule: linear betas, nothing clamped, as inversion needs it."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="linear",
        clip_sample=False,
        prediction_type=prediction,
        timestep_spacing="leading",
    )


def make_unet(options: DiffusionOptions) -> Any:
    """Return the network, from scratch or from the folder that `init_weights` names.

    Raises:
        ConfigError: If the sizes do not fit each other or the folder holds another network.
    """
    from diffusers import UNet2DModel

    levels, attention = len(options.channels), options.attention_levels
    if options.resolution % 2 ** (levels - 1):
        raise ConfigError(f"resolution {options.resolution} cannot be halved {levels - 1} times")
    if any(width % options.groups for width in options.channels):
        raise ConfigError(f"channels {options.channels} must be multiples of {options.groups}")
    if options.channels[-1] % options.attention_head_dim:
        raise ConfigError(
            f"channels {options.channels} must end in a multiple of attention_head_dim "
            f"{options.attention_head_dim}"
        )
    plain = levels - attention
    unet = UNet2DModel(
        sample_size=options.resolution,
        block_out_channels=options.channels,
        layers_per_block=options.layers_per_block,
        down_block_types=("DownBlock2D",) * plain + ("AttnDownBlock2D",) * attention,
        up_block_types=("AttnUpBlock2D",) * attention + ("UpBlock2D",) * plain,
        attention_head_dim=options.attention_head_dim,
        norm_num_groups=options.groups,
    )
    if options.init_weights:
        started = UNet2DModel.from_pretrained(options.init_weights, subfolder="unet")
        try:
            unet.load_state_dict(started.float().state_dict())
        except RuntimeError as error:
            raise ConfigError(f"{options.init_weights} holds another network: {error}") from error
    return unet
