"""CLIP-PAE in diffusion as a pipeline of diffusers; the edit itself is the method's.

    from faceedit import ClipPaeDiffusionPipeline
    pipe = ClipPaeDiffusionPipeline.from_pretrained("faceedit/clip-pae-diffusion")
    pipe(image, "red hair").images[0].save("edited.png")

Its components are classes of diffusers and transformers only, so its folder is an ordinary one:
`model_index.json`, `unet/`, `scheduler/` and, unless it uses the base's, `clip/` and `tokenizer/`.
This file imports diffusers; nothing else in the package imports this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import PIL.Image
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, UNet2DModel
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import BaseOutput
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

from faceedit import hub
from faceedit.backbones import Backbones, load_backbones
from faceedit.backbones.clip import OPENAI_MEAN, OPENAI_STD, Clip
from faceedit.backbones.diffusion import Diffusion, Trajectory, exact, resize
from faceedit.errors import RequestError
from faceedit.methods.clip_pae_diffusion import (
    ClipPaeDiffusion,
    ClipPaeDiffusionConfig,
    Goal,
)
from faceedit.optimization.guidance import Progress
from faceedit.pipeline.inputs import (
    Pictures,
    read_images,
    read_mask,
    read_weights,
    unwrap_clip,
    wrap_clip,
)
from faceedit.words.sentence import NEUTRAL, read

__all__ = ["ClipPaeDiffusionOutput", "ClipPaeDiffusionPipeline"]

Callback = Callable[[Any, int, int, dict[str, Any]], dict[str, Any] | None]


@dataclass
class ClipPaeDiffusionOutput(BaseOutput):
    """What an edit gives back."""

    images: list[PIL.Image.Image] | np.ndarray | Tensor
    latents: Tensor  # the edited images as the denoiser drew them, [n, 3, h, w], about [-1, 1]
    similarity: tuple[list[float], list[float]]  # CLIP's cosine to the target before, after
    interrupted: bool = False  # then the images are what could be seen at that moment


class _StoppedError(Exception):
    """The inversion was interrupted."""


class ClipPaeDiffusionPipeline(DiffusionPipeline):
    """Edits face images with sentences, or draws new ones.

    Args:
        unet: The denoiser.
        scheduler: Its noise schedule; taken over without clamping, which inversion needs.
        clip: Compares images and sentences. None: the base's, on loading from a repo.
        tokenizer: The CLIP's.
        base: The repo that lends its CLIP where there is none.
        pixel_mean: What the CLIP expects subtracted from RGB in [0, 1]; None = OpenAI's.
        pixel_std: What it expects divided by.
        alpha: CLIP-PAE's augmenting power, where a call names none.
        strength: Share of the noise schedule that edits go through, where a call names none.
        guidance_scale: Likewise.
    """

    model_cpu_offload_seq = "clip->unet"
    _optional_components = ["clip", "tokenizer"]  # noqa: RUF012  (as diffusers declares it)
    _callback_tensor_inputs = ["latents", "pred_original_sample"]  # noqa: RUF012

    def __init__(
        self,
        unet: UNet2DModel,
        scheduler: DDIMScheduler,
        clip: CLIPModel | None = None,
        tokenizer: CLIPTokenizer | None = None,
        base: str = "faceedit/portraits-128",
        pixel_mean: list | None = None,  # diffusers reads these hints and wants plain classes
        pixel_std: list | None = None,
        alpha: float = ClipPaeDiffusionConfig.alpha,
        strength: float = ClipPaeDiffusionConfig.depth,
        guidance_scale: float = ClipPaeDiffusionConfig.scale,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=exact(scheduler), clip=clip, tokenizer=tokenizer)
        self.register_to_config(
            base=base,
            pixel_mean=list(pixel_mean or OPENAI_MEAN),
            pixel_std=list(pixel_std or OPENAI_STD),
            alpha=alpha,
            strength=strength,
            guidance_scale=guidance_scale,
        )
        self.image_processor = VaeImageProcessor(vae_scale_factor=1, do_resize=False)
        self._interrupt = False
        self._diffusion: Diffusion | None = None
        self._clip: Clip | None = None
        self._segmenter: nn.Module | None = None

    # Loading --------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **settings: Any) -> Self:
        """Load from a folder, a bundled repo or the Hub; see diffusers for the settings.

        Raises:
            RepoError: If the repo has no CLIP and its base cannot be found.
        """
        name = str(pretrained_model_name_or_path)
        local = hub.find_local(name) if settings.get("revision") is None else None
        pipe = super().from_pretrained(str(local or name), **settings)
        if pipe.clip is None:
            folder = hub.find_repo(pipe.config.base, near=local)
            has = hub.read_base(folder)["components"]
            networks = load_backbones(folder, ["clip", *({"segmenter"} & has.keys())])
            pipe.lend(networks.clip, networks.segmenter)
        return pipe

    @classmethod
    def from_parts(
        cls,
        unet: str | Path = "google/ddpm-celebahq-256",
        clip: str | Path = "openai/clip-vit-base-patch32",
        **settings: Any,
    ) -> Self:
        """Put a denoiser and a CLIP from two repos or folders together.

        Args:
            unet: Repo of a `UNet2DModel` with the configuration of its scheduler beside it.
            clip: Repo of a `CLIPModel` and its tokenizer.
            settings: The constructor's `alpha`, `strength`, ...
        """
        inside = (Path(unet) / "unet").is_dir()  # one repo of both, or a folder for each
        places = ({"subfolder": "unet"}, {"subfolder": "scheduler"}) if inside else ({}, {})
        return cls(
            UNet2DModel.from_pretrained(str(unet), use_safetensors=True, **places[0]),
            DDIMScheduler.from_pretrained(str(unet), **places[1]),
            CLIPModel.from_pretrained(str(clip), dtype=torch.float32),
            CLIPTokenizer.from_pretrained(str(clip)),
            **settings,
        )

    def lend(self, clip: Clip, segmenter: nn.Module | None = None) -> None:
        """Use the CLIP of a base, and its face parser; a saved pipeline has the CLIP only."""
        assert clip.tokenizer is not None
        self._segmenter = segmenter
        self.register_modules(clip=unwrap_clip(clip), tokenizer=clip.tokenizer.transformers())
        self.register_to_config(
            pixel_mean=list(clip.config.pixel_mean), pixel_std=list(clip.config.pixel_std)
        )

    def backbones(
        self, identity: nn.Module | None = None, segmenter: nn.Module | None = None
    ) -> Backbones:
        """Return the components as the methods read them, frozen."""
        if self._diffusion is None or self._diffusion.unet is not self.unet:
            self._diffusion = Diffusion(self.unet, self.scheduler)
        if self.clip is None or self.tokenizer is None:
            raise RequestError("this pipeline has no CLIP; pass clip= and tokenizer= on loading it")
        if self._clip is None or self._clip.model.logit_scale is not self.clip.logit_scale:
            mean, std = self.config.pixel_mean, self.config.pixel_std
            self._clip = wrap_clip(self.clip, self.tokenizer, mean, std)
        segmenter = segmenter or self._segmenter
        if segmenter is not None:
            segmenter = segmenter.to(self._execution_device)
        return Backbones(
            diffusion=self._diffusion, clip=self._clip, identity=identity, segmenter=segmenter
        ).freeze()

    # Editing --------------------------------------------------------------------------------------

    @property
    def interrupt(self) -> bool:
        """Whether the present run is to stop; set `_interrupt` from a callback or a thread."""
        return self._interrupt

    def invert(
        self,
        image: Pictures,
        num_inference_steps: int = ClipPaeDiffusionConfig.steps,
        strength: float | None = None,
        inversion_iterations: int = ClipPaeDiffusionConfig.iterations,
    ) -> Trajectory:
        """Return images at every level down to where an edit starts; kept for the next call."""
        diffusion = self.backbones().diffusion
        small = resize(read_images(image).to(self._execution_device), diffusion.resolution)
        depth = self.config.strength if strength is None else strength
        with torch.inference_mode(False):
            return diffusion.inverted(
                small.clone(), num_inference_steps, depth, inversion_iterations
            )

    def __call__(
        self,
        image: Pictures | None = None,
        prompt: str | Sequence[str] = "",
        negative_prompt: str = NEUTRAL,
        *,
        characteristics: Sequence[str] | None = None,
        alpha: float | None = None,
        target: str = "pae",
        strength: float | None = None,
        num_inference_steps: int = ClipPaeDiffusionConfig.steps,
        num_draft_iterations: int = ClipPaeDiffusionConfig.draft_iterations,
        guidance_scale: float | None = None,
        grad_mode: str | None = None,
        start_noise: str | None = None,
        eta: float = 0.0,
        mask_image: PIL.Image.Image | Tensor | None = None,
        num_cutouts: int = ClipPaeDiffusionConfig.cutouts,
        inversion_iterations: int = ClipPaeDiffusionConfig.iterations,
        resolution: int | None = None,
        weights: Mapping[str, float] | None = None,
        identity: nn.Module | None = None,
        segmenter: nn.Module | None = None,
        generator: torch.Generator | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> ClipPaeDiffusionOutput | tuple[Any, ...]:
        """Edit images as a sentence says, or draw new ones.

        Args:
            image: Aligned square faces: PIL, or [n, 3, h, w] in [-1, 1]. None draws a new face.
            prompt: What is wanted; one sentence, or one an image.
            negative_prompt: What the images show already.
            characteristics: Names in `faceedit.words.corpora.CORPORA`; None = those that the words
            name.
            alpha: CLIP-PAE's augmenting power.
            target: "pae", or for comparison "text" or "directional".
            strength: Share of the noise schedule to go through, in (0, 1].
            num_inference_steps: Steps of the whole schedule; must divide its length.
            num_draft_iterations: Of descent along the inverted noise, before denoising; 0 guides
                from the photo itself.
            guidance_scale: 0 gives the images back, 1 to 10 edits.
            grad_mode: "x0", "full", "jacobian_free" or "bottleneck", see
                `faceedit.optimization.guidance`; None = "full", or "x0" from noise, where the exact
                gradient runs away from what faces look like.
            start_noise: "ddim" inverts the images, "sdedit" adds noise to them, "noise" starts from
                noise alone; None = "ddim", or "noise" without an image.
            eta: 0 is DDIM, 1 is DDPM.
            mask_image: White where an image may change.
            num_cutouts: Crops that CLIP sees.
            inversion_iterations: Network calls a step of the inversion.
            resolution: Size to denoise at, px; None = what the denoiser was trained with.
            weights: Of the terms "clip", "identity", "pixels", "range", "smooth", "outside".
            identity: A face recognition network with `embed`, for the term "identity".
            segmenter: A face parser with `config.regions`, for the term "outside"; None = the
                base's, where the base lends its CLIP, and else no such term.
            generator: Of every draw.
            output_type: "pil", "np" or "pt".
            return_dict: Whether to return a `ClipPaeDiffusionOutput`, else a tuple.
            callback_on_step_end: Called as callback(pipe, step, timestep, tensors) after each step;
                the "latents" that it returns replace the run's.
            callback_on_step_end_tensor_inputs: Which tensors: "latents", "pred_original_sample".

        Raises:
            RequestError: For a setting that cannot be used.
            PromptError: For a sentence without words.
        """
        wanted = list(callback_on_step_end_tensor_inputs)
        if unknown := sorted(set(wanted) - set(self._callback_tensor_inputs)):
            known = ", ".join(self._callback_tensor_inputs)
            raise RequestError(f"a callback cannot be given {unknown}; choose from {known}")
        start_noise = start_noise or ("noise" if image is None else "ddim")
        networks = self.backbones(identity, segmenter)
        weights_read = read_weights(weights, segmenting=networks.segmenter is not None)
        settings: dict[str, Any] = dict(
            target=target,
            characteristics=None if characteristics is None else tuple(characteristics),
            alpha=self.config.alpha if alpha is None else alpha,
            depth=self.config.strength if strength is None else strength,
            steps=num_inference_steps,
            draft_iterations=num_draft_iterations,
            scale=self.config.guidance_scale if guidance_scale is None else guidance_scale,
            mode=grad_mode or ("x0" if start_noise == "noise" else ClipPaeDiffusionConfig.mode),
            start_noise=start_noise,
            eta=eta,
            cutouts=num_cutouts,
            iterations=inversion_iterations,
            resolution=resolution,
            **weights_read,
        )
        try:
            method = ClipPaeDiffusion(ClipPaeDiffusionConfig(**settings))
        except ValueError as error:
            raise RequestError(str(error)) from error
        with torch.inference_mode(False), torch.no_grad():
            output = self._run(
                method, image, prompt, negative_prompt, mask_image, networks,
                generator, callback_on_step_end, wanted,
            )  # fmt: skip
        output.images = self.image_processor.postprocess(output.images, output_type)
        self.maybe_free_model_hooks()
        return output if return_dict else output.to_tuple()

    def _run(
        self,
        method: ClipPaeDiffusion,
        image: Pictures | None,
        prompt: str | Sequence[str],
        neutral: str,
        mask: PIL.Image.Image | Tensor | None,
        networks: Backbones,
        generator: torch.Generator | None,
        callback: Callback | None,
        wanted: list[str],
    ) -> ClipPaeDiffusionOutput:
        """Invert and denoise; the output's images still are a tensor in [-1, 1]."""
        self._interrupt = False
        source = None if image is None else read_images(image).to(self._execution_device)
        sentence = read(prompt, neutral, networks.clip)
        count = len(sentence.target)
        if source is not None and count not in (1, len(source)):
            raise RequestError(f"{count} prompts for {len(source)} images; give one, or one each")
        goal = method.goal(source, sentence, networks)
        region = None if mask is None else read_mask(mask).to(self._execution_device)
        try:
            path = self._path(method, goal, networks.diffusion, generator)
        except _StoppedError:
            assert goal.small is not None
            return self._output(method, goal, goal.small, networks, True)
        edited = path.end
        drafted = method.config.draft_iterations if method.drafts else 0
        with self.progress_bar(total=drafted + len(path.times)) as bar:
            for state in method.run(goal, networks, mask=region, generator=generator, path=path):
                if callback is not None:
                    self._call(callback, state, wanted)
                bar.update()
                edited = state.image
                if self._interrupt:
                    edited = state.clean
                    break
        return self._output(method, goal, edited, networks, self._interrupt)

    def _path(
        self,
        method: ClipPaeDiffusion,
        goal: Goal,
        diffusion: Diffusion,
        generator: torch.Generator | None,
    ) -> Trajectory:
        """Return where the run starts, with a progress bar while it is found."""
        if method.config.start_noise != "ddim":
            return method.path(goal, diffusion, generator)
        total = len(diffusion.plan(method.config.steps, method.config.depth))
        with self.progress_bar(total=total) as bar:

            def after_step(index: int) -> None:
                del index
                bar.update()
                if self._interrupt:
                    raise _StoppedError

            return method.path(goal, diffusion, generator, after_step)

    def _call(self, callback: Callback, state: Progress, wanted: list[str]) -> None:
        """Show a step to the caller, and take over what comes back."""
        tensors = {"latents": state.image, "pred_original_sample": state.clean}
        given = {name: tensors[name] for name in wanted}
        answer = callback(self, state.index, state.time, given) or {}
        state.image = answer.get("latents", state.image)

    def _output(
        self,
        method: ClipPaeDiffusion,
        goal: Goal,
        edited: Tensor,
        networks: Backbones,
        interrupted: bool,
    ) -> ClipPaeDiffusionOutput:
        images = method.view(goal, edited)
        goals = goal.sentence.target.expand(len(images), -1)
        after = (networks.clip.encode_image(images) * goals).sum(dim=-1).tolist()
        before = [] if goal.seen is None else (goal.seen * goals).sum(dim=-1).tolist()
        return ClipPaeDiffusionOutput(images, edited, (before, after), interrupted)
