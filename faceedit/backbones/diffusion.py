"""A face DDPM with its noise schedule: predicted noise, predicted clean image, DDIM both ways.

Papers: "Denoising Diffusion Implicit Models", Song et al. 2020, arXiv:2010.02502 (equation 12);
"Direct Inversion: Boosting Diffusion-based Editing with 3 Lines of Code", Ju et al. 2023,
arXiv:2310.01506 (`Trajectory.corrections`).

The network is diffusers' `UNet2DModel`, the schedule that of its `DDIMScheduler`; diffusers is
imported only where a folder is read. Images never are clamped on the way, or inversion would not
invert.

Notation (here -> paper): alpha_bar -> alpha_t (the cumulative product, diffusers'
`alphas_cumprod`), noise -> epsilon_theta, clean -> f_theta (the predicted x_0), earlier -> t - 1
(the next cleaner timestep).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceedit import hub
from faceedit.errors import MissingBackboneError, RepoError, RequestError
from faceedit.hub.checks import told

__all__ = ["Diffusion", "Estimate", "Trajectory", "invert", "reconstruct", "resize"]

STEPS, DEPTH, ITERATIONS = 50, 0.5, 2  # of the inversion that gives codes in `Space.X_T`
REMEMBERED = 8  # inversions kept a network
UNET, SCHEDULER = "unet", "scheduler"  # subfolders, as diffusers names them
UNET_WEIGHTS = "diffusion_pytorch_model.safetensors"
MAX_NUMBER = 100_000  # in the settings of both; a schedule has 1,000 levels


@dataclass(frozen=True)
class Estimate:
    """What the network makes of noisy images: image = sqrt(a) clean + sqrt(1 - a) noise."""

    noise: Tensor  # [n, 3, h, w], about unit variance
    clean: Tensor  # [n, 3, h, w], about [-1, 1]


@dataclass(frozen=True)
class Trajectory:
    """Images made noisy step by step; denoising from `end` goes back along them."""

    images: tuple[Tensor, ...]  # k + 1 tensors [n, 3, h, w], the clean ones first
    times: tuple[int, ...]  # k timesteps; images[i + 1] is at the noise of times[i]
    corrections: tuple[Tensor, ...] = ()
    # k tensors: what the DDIM step from images[i + 1] misses images[i] by. Adding them makes
    # unguided denoising exact, and a guided one keeps what the network cannot draw.
    noises: tuple[Tensor, ...] = ()  # k tensors: the noise that the network sees in images[i + 1]

    @property
    def end(self) -> Tensor:
        """The noisiest images, where denoising starts."""
        return self.images[-1]


class Diffusion(nn.Module):
    """A denoising network with the schedule that it was trained with.

    Args:
        unet: A `UNet2DModel`, or any module whose call (image, timesteps) has `.sample`.
        scheduler: A diffusers scheduler; only its tables are read.

    Raises:
        ValueError: If the schedule ends in pure noise, which cannot be inverted, or the network
            predicts something else than noise, v or the clean image.
    """

    unet: Any  # a module; not every one has a config

    def __init__(self, unet: nn.Module, scheduler: Any) -> None:
        super().__init__()
        self.unet = unet
        self.scheduler = scheduler
        settings = scheduler.config
        self.prediction = str(settings.get("prediction_type", "epsilon"))
        self.count = int(settings.get("num_train_timesteps", 1000))
        self.offset = int(settings.get("steps_offset", 0))
        self.alpha_bars = [float(value) for value in scheduler.alphas_cumprod.double()]
        self.clean_alpha_bar = 1.0 if settings.get("set_alpha_to_one", True) else self.alpha_bars[0]
        if min(self.alpha_bars) <= 0:
            raise ValueError("the schedule ends in pure noise (zero SNR); it cannot be inverted")
        if self.prediction not in ("epsilon", "v_prediction", "sample"):
            raise ValueError(f"prediction_type {self.prediction!r} is not known")
        self._known: OrderedDict[tuple[Any, ...], Trajectory] = OrderedDict()

    # What the network says ------------------------------------------------------------------------

    @property
    def resolution(self) -> int:
        """The side of the images that it was trained with, px."""
        return int(self.unet.config.sample_size)

    @property
    def multiple(self) -> int:
        """What the side of an image must be a multiple of."""
        return int(2 ** (len(self.unet.config.block_out_channels) - 1))

    def alpha_bar(self, time: int) -> float:
        """Return the share of the clean image's variance at a timestep; below 0 it is clean."""
        return self.alpha_bars[time] if time >= 0 else self.clean_alpha_bar

    def estimate(self, image: Tensor, time: int) -> Estimate:
        """Ask the network about images [n, 3, h, w] at a timestep."""
        times = torch.full((len(image),), time, dtype=torch.long, device=image.device)
        return self.split(self.unet(image, times).sample, image, time)

    def split(self, output: Tensor, image: Tensor, time: int) -> Estimate:
        """Turn what the network said of images into noise and clean images, in float32."""
        output, image = output.float(), image.float()
        alpha_bar = self.alpha_bar(time)
        signal, spread = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        if self.prediction == "epsilon":
            return self.with_noise(image, output, time)
        if self.prediction == "v_prediction":
            return Estimate(signal * output + spread * image, signal * image - spread * output)
        return Estimate((image - signal * output) / spread, output)

    def with_noise(self, image: Tensor, noise: Tensor, time: int) -> Estimate:
        """Return the estimate of images at a timestep whose noise is known."""
        alpha_bar = self.alpha_bar(time)
        return Estimate(noise, (image - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5)

    # Steps ----------------------------------------------------------------------------------------

    def plan(self, steps: int, depth: float) -> list[int]:
        """Return the timesteps from clean to `depth`, of a schedule that has so many steps in all.

        They are those of diffusers with `timestep_spacing="leading"`, in ascending order.

        Raises:
            RequestError: If `depth` is outside (0, 1] or the steps do not divide the schedule.
        """
        if not 0 < depth <= 1:
            raise RequestError(f"strength is {depth}; it must be above 0 and at most 1")
        if steps < 1 or self.count % steps:
            good = [n for n in (10, 20, 25, 40, 50, 100, 200) if self.count % n == 0]
            raise RequestError(
                f"{steps} steps do not divide the {self.count} of the schedule, so inversion and "
                f"sampling would visit other timesteps; try one of {good}"
            )
        gap = self.count // steps
        return [index * gap + self.offset for index in range(max(1, round(depth * steps)))]

    def noised(self, clean: Tensor, noise: Tensor, time: int) -> Tensor:
        """Return the image at a timestep's noise."""
        alpha_bar = self.alpha_bar(time)
        return alpha_bar**0.5 * clean + (1 - alpha_bar) ** 0.5 * noise

    def cleaner(
        self,
        estimate: Estimate,
        earlier: int,
        time: int,
        eta: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the image of the next cleaner timestep; eta > 0 adds fresh noise (equation 12)."""
        before, now = self.alpha_bar(earlier), self.alpha_bar(time)
        sigma = eta * ((1 - before) / (1 - now)) ** 0.5 * max(0.0, 1 - now / before) ** 0.5
        image = before**0.5 * estimate.clean + (1 - before - sigma**2) ** 0.5 * estimate.noise
        if sigma > 0:
            image = image + sigma * draw_noise(image.shape, generator).to(image)
        return image

    def noisier(self, image: Tensor, noise: Tensor, earlier: int, time: int) -> Tensor:
        """Return the image at `time` from which `noise` leads to `image` at `earlier`."""
        return self.noised(self.with_noise(image, noise, earlier).clean, noise, time)

    def noisy_again(
        self, image: Tensor, earlier: int, time: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return images of a cleaner timestep with the noise of `time`, by noise drawn anew.

        Every image of a batch gets the same noise, as if it were alone.
        """
        ratio = self.alpha_bar(time) / self.alpha_bar(earlier)
        noise = draw_noise((1, *image.shape[1:]), generator).to(image)
        return ratio**0.5 * image + (1 - ratio) ** 0.5 * noise

    # Whole runs -----------------------------------------------------------------------------------

    def inverted(
        self,
        image: Tensor,
        steps: int = STEPS,
        depth: float = DEPTH,
        iterations: int = ITERATIONS,
        after_step: Callable[[int], None] | None = None,
    ) -> Trajectory:
        """Return `invert` of images, remembered by what they show."""
        pixels = image.detach().float().cpu().contiguous()
        digest = hashlib.blake2b(pixels.numpy().tobytes(), digest_size=16).digest()
        key = (digest, tuple(pixels.shape), str(image.device), steps, depth, iterations)
        if key not in self._known:
            self._known[key] = invert(self, image, steps, depth, iterations, after_step)
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._known[key]

    @classmethod
    def from_folder(cls, folder: Path | str) -> Self:
        """Load `unet/` and `scheduler/` of a folder, in float32, in evaluation mode.

        Raises:
            RepoError: If a file is missing, damaged, or does not fit.
            MissingBackboneError: If diffusers is not installed.
        """
        folder = Path(folder)
        try:
            from diffusers import DDIMScheduler, UNet2DModel
        except ImportError as error:
            raise MissingBackboneError(
                "the diffusion methods need diffusers: pip install 'faceedit[diffusion]'"
            ) from error
        for part in (UNET, SCHEDULER):
            if not (folder / part).is_dir():
                raise RepoError(f"{folder} has no {part}/; download it again")
            hub.check_regular(folder / part)
        try:
            hub.read_json(folder / SCHEDULER / "scheduler_config.json", MAX_NUMBER)
            config = hub.read_json(folder / UNET / hub.CONFIG, MAX_NUMBER)
            _check_draft(lambda: UNet2DModel.from_config(config), folder / UNET)
            unet, report = UNet2DModel.from_pretrained(
                str(folder / UNET),
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
                output_loading_info=True,
            )
            scheduler = DDIMScheduler.from_pretrained(str(folder / SCHEDULER))
        except RepoError:
            raise
        except Exception as error:  # sizes that fit no network fail in many ways
            raise RepoError(
                f"{folder} contains no denoiser that can be read ({told(error)})"
            ) from error
        if wrong := [name for name, found in report.items() if found]:
            raise RepoError(f"{folder / UNET} does not fit its config: {', '.join(sorted(wrong))}")
        for weight in unet.parameters():  # out of the mapped file, where sums differ in a bit
            weight.data = weight.data.float().clone()
        return cls(unet, exact(scheduler)).eval()

    def save(self, folder: Path | str, half: bool = True) -> None:
        """Write `unet/` and `scheduler/` as diffusers reads them.

        Args:
            folder: Where; made if absent.
            half: Whether to store 16-bit numbers.
        """
        unet = type(self.unet).from_config(self.unet.config)
        unet.load_state_dict(self.unet.state_dict())
        (unet.half() if half else unet).save_pretrained(Path(folder) / UNET)
        self.scheduler.save_pretrained(Path(folder) / SCHEDULER)


def _check_draft(build: Callable[[], nn.Module], folder: Path) -> None:
    """Raise ValueError unless a network has just the tensors that lie in its folder."""
    from safetensors import safe_open

    with safe_open(folder / UNET_WEIGHTS, "pt") as file:
        stored = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    with hub.drafting(len(stored)):
        draft = build()
    if stored != {name: tuple(tensor.shape) for name, tensor in draft.state_dict().items()}:
        raise ValueError("its weights are those of another network")


def exact(scheduler: Any) -> Any:
    """Return a `DDIMScheduler` of the same noise that neither clamps nor skips: it can invert."""
    from diffusers import DDIMScheduler

    return DDIMScheduler.from_config(
        scheduler.config, clip_sample=False, thresholding=False, timestep_spacing="leading"
    )


@torch.no_grad()
def invert(
    diffusion: Diffusion,
    image: Tensor,
    steps: int = STEPS,
    depth: float = DEPTH,
    iterations: int = ITERATIONS,
    after_step: Callable[[int], None] | None = None,
) -> Trajectory:
    """Make images noisy so that deterministic DDIM leads back to them.

    Each step solves "the DDIM step from x lands on what we have" for x, by fixed-point iteration.
    It begins with the noise that the steps before lead to expect, about which the network need not
    be asked; the first step asks about the image itself, as the usual inversion does at every step.

    Args:
        diffusion: The network and its schedule.
        image: [n, 3, h, w] in [-1, 1].
        steps: Steps that the whole schedule would take.
        depth: Share of them to go, in (0, 1].
        iterations: Network calls per step, at least 1; the last also measures the correction. With
            1 there is one call more in all, for the first step.
        after_step: Called with the number of each finished step; may raise to stop.

    Raises:
        RequestError: As `Diffusion.plan`.
    """
    times, gap = diffusion.plan(steps, depth), diffusion.count // steps
    images = [image.float()]
    corrections: list[Tensor] = []
    noises: list[Tensor] = []
    for index, time in enumerate(times):
        here, calls = images[-1], iterations
        if noises:
            noise = 2 * noises[-1] - noises[-2] if index > 1 else noises[-1]
        else:
            noise, calls = diffusion.estimate(here, time).noise, max(1, iterations - 1)
        for _ in range(calls):
            guess = diffusion.noisier(here, noise, time - gap, time)
            estimate = diffusion.estimate(guess, time)
            noise = estimate.noise
        images.append(guess)
        noises.append(noise)
        corrections.append(here - diffusion.cleaner(estimate, time - gap, time))
        if after_step is not None:
            after_step(index)
    return Trajectory(tuple(images), tuple(times), tuple(corrections), tuple(noises))


@torch.no_grad()
def reconstruct(
    diffusion: Diffusion, noisy: Tensor, steps: int = STEPS, depth: float = DEPTH
) -> Tensor:
    """Denoise without guidance (eta = 0) and without corrections: [n, 3, h, w], about [-1, 1].

    Args:
        diffusion: The network and its schedule.
        noisy: [n, 3, h, w] with the noise of `depth`; Gaussian noise for depth 1.
        steps: Steps that the whole schedule would take.
        depth: Share of them to go back.

    Raises:
        RequestError: As `Diffusion.plan`.
    """
    times, gap = diffusion.plan(steps, depth), diffusion.count // steps
    for time in reversed(times):
        noisy = diffusion.cleaner(diffusion.estimate(noisy, time), time - gap, time)
    return noisy


def resize(image: Tensor, size: int) -> Tensor:
    """Return square images [n, c, h, w] with another side: averaged down or bicubic up."""
    if image.shape[-2:] == (size, size):
        return image
    if image.shape[-1] > size:
        return F.interpolate(image, (size, size), mode="area")
    return F.interpolate(image, (size, size), mode="bicubic", align_corners=False)


def draw_noise(shape: Any, generator: torch.Generator | None) -> Tensor:
    """Draw Gaussian noise where the generator lives, so that a CPU seed is good for any device."""
    device = "cpu" if generator is None else generator.device
    return torch.randn(shape, generator=generator, device=device)
