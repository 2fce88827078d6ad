"""What is measured: each case is one closure, run as it is and with the textbook installed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faceedit import hub
from faceedit.backbones import Backbones
from faceedit.backbones.clip import Clip, ClipConfig
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.editor import FaceEditor
from faceedit.inversion import invert
from faceedit.method_repo import read_variants, repo_of
from faceedit.methods.feat import Attention, Feat, feature_channels, feature_side, trace
from faceedit.methods.styleclip_mapper import StyleClipMapper
from faceedit.methods.styleclip_optimization import StyleClipOptimization
from faceedit.optimization.codes import w_plus_unit
from faceedit.types import Face, Latent, Space
from faceedit.words.sentence import read

__all__ = ["Case", "cases", "training_cases"]

PROMPT = "red hair"
BATCH = 8
Run = Callable[[], Any]
# Tasks without a generator, CLIP input or attention, which the textbook would not change.
OTHER_NETWORKS = frozenset({"clip", "identity", "segmenter", "attributes", "diffusion"})
# Their step is that of `identity` and `attributes`; the last one's data take minutes to make.
LEFT_OUT = frozenset({"judge_identity", "judge_attributes", "counterfactual"})


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes:
        key: Its name in the JSON file.
        what: Its name in the table.
        run: Does it once.
        textbook: Whether the textbook's way differs.
        target: The least ratio of the textbook's time to ours.
        memory_target: The least ratio of memory.
        counted: Whether operations and memory are counted as well.
        least_bytes: What must be read and written where there is no product to count.
    """

    key: str
    what: str
    run: Run
    textbook: bool = True
    target: float | None = None
    memory_target: float | None = None
    counted: bool = False
    least_bytes: int = 0


def cases(editor: FaceEditor, official: bool, quick: bool) -> Iterator[Case]:
    """Yield the cases of networks, losses, steps and edits, each made when it is asked for."""
    networks, batch = editor.backbones, 2 if quick else BATCH
    generator = networks.require("generator", "the benchmark")
    device = generator.w_avg.device
    yield from _drawing("generator", generator, batch, "our base")
    yield _clip_input(networks.require("clip", "the benchmark"), generator, batch)
    yield from _attention(networks, batch)
    yield from _steps(networks, batch)
    yield from _inversions(editor)
    yield from _edits(editor, quick)
    if not quick:
        yield _official_clip_input(device)
    if official:
        large = Generator(GeneratorConfig()).to(device).eval().requires_grad_(False)
        yield from _drawing("official_generator", large, 1, "official")
        yield _official_attention(large)


def _codes(generator: Generator, count: int) -> Tensor:
    """Return random codes, [count, num_ws, w_dim]."""
    return generator.sample_w_plus(count, torch.Generator().manual_seed(0))


def _drawing(key: str, generator: Generator, count: int, whose: str) -> Iterator[Case]:
    """Yield the generator forward, and forward and backward."""
    codes, size = _codes(generator, count), generator.config.resolution
    where = f"{whose}, {size} px, batch {count}"

    def forward() -> None:
        with torch.no_grad():
            generator(codes)

    def both() -> None:
        moving = codes.clone().requires_grad_(True)
        generator(moving).square().mean().backward()  # the counter cannot follow autograd.grad here

    yield Case(f"{key}_forward", f"generator forward ({where})", forward, target=1.5, counted=True)
    yield Case(
        f"{key}_both", f"generator forward + backward ({where})", both, target=1.5, counted=True
    )


def _pixels(key: str, clip: Clip, image: Tensor, **targets: Any) -> Case:
    """Return the case of CLIP's input and the way back of its gradient."""

    def both() -> None:
        moving = image.clone().requires_grad_(True)
        torch.autograd.grad(clip.pixels(moving).sum(), moving)

    count, side, size = len(image), image.shape[-1], clip.config.image_size
    return Case(
        key,
        f"CLIP-loss input ({side} -> {size} px, batch {count})",
        both,
        counted=True,
        # the image and its gradient, the input and its gradient, each once
        least_bytes=2 * image.element_size() * count * 3 * (side**2 + size**2),
        **targets,
    )


def _clip_input(clip: Clip, generator: Generator, count: int) -> Case:
    with torch.no_grad():
        image = generator(_codes(generator, count))
    return _pixels("clip_input", clip, image, target=5)


def _official_clip_input(device: torch.device) -> Case:
    """The official sizes, fed as StyleCLIP feeds them: both ways give the same numbers."""
    sizes = {"vision_width": 32, "vision_layers": 1, "vision_heads": 1, "vocab_size": 8}
    sizes |= {"text_width": 32, "text_layers": 1, "text_heads": 1, "start_token": 6, "end_token": 7}
    clip = Clip(ClipConfig(pixels="styleclip", **sizes)).to(device)  # type: ignore[arg-type]
    image = torch.rand(1, 3, 1024, 1024, device=device) * 2 - 1
    return _pixels("clip_input_official", clip, image, target=5, memory_target=10)


def _attend(attention: Attention, sources: Sequence[Tensor], text: Tensor | None, side: int) -> Run:
    """Return the attention's logit and the gradient of its weights."""
    weights = [parameter for parameter in attention.parameters() if parameter.requires_grad]

    def both() -> None:
        total = attention(sources, text, side).square().mean()
        torch.autograd.grad(total, weights, allow_unused=True)

    return both


def _attention(networks: Backbones, count: int) -> Iterator[Case]:
    """Yield FEAT's attention, trained for any sentence (ours) and for one (the paper's)."""
    generator = networks.generator
    features, image = trace(generator, _codes(generator, count))
    for key, text_dim in (("feat_attention", networks.clip.embed_dim), ("feat_attention_paper", 0)):
        method = Feat.build(networks, text_dim=text_dim).to(image.device)
        text = torch.randn(count, text_dim, device=image.device) if text_dim else None
        side = feature_side(method.config.blend_layer)
        run = _attend(method.attention, [*features, image], text, side)
        which = "any sentence" if text_dim else "one sentence, as in the paper"
        what = f"FEAT attention ({which}, map of {side} px, batch {count})"
        yield Case(key, what, run, target=3, counted=True)


def _official_attention(generator: Generator) -> Case:
    """The paper's attention over the features of the official generator."""
    features, image = trace(generator, _codes(generator, 1))
    attention = Attention((*feature_channels(generator.config), 3), 1, 0).to(image.device)
    side = feature_side(7)
    run = _attend(attention, [*features, image], None, side)
    what = f"FEAT attention (official features, map of {side} px, batch 1)"
    return Case("feat_attention_official", what, run, target=3, counted=True)


def _steps(networks: Backbones, count: int) -> Iterator[Case]:
    """Yield one step of the latent optimisation and one of a mapper's training."""
    yield Case(
        "optimization_step",
        "one step of styleclip_optimization (one face)",
        _optimization_step(networks),
        target=2,
        counted=True,
    )
    yield Case(
        "mapper_step",
        f"one training step of one styleclip_mapper (batch {count})",
        _mapper_step(networks, count),
        target=2,
        counted=True,
    )


def _optimization_step(networks: Backbones) -> Run:
    """Draw, score, differentiate, move: what the method repeats at editing time."""
    generator = networks.generator
    method = StyleClipOptimization.build(networks)
    source, unit = _faces(generator, 1), w_plus_unit(generator)
    sentence = read(PROMPT, "a face", networks.clip)
    offset = torch.zeros_like(source.latent.code, requires_grad=True)
    optimizer = torch.optim.Adam([offset], lr=1e-3)

    def step() -> None:
        code = source.latent.code + offset * unit
        edited = Face(generator(code), Latent(code, Space.W_PLUS))
        terms = method.objective(source, edited, sentence, networks)
        loss = torch.stack(list(terms.values())).sum()
        (offset.grad,) = torch.autograd.grad(loss, offset)
        optimizer.step()

    return step


def _mapper_step(networks: Backbones, count: int) -> Run:
    """Draw the sources, edit, score, differentiate, update."""
    method = StyleClipMapper.build(networks, width=64, lr_multiplier=1.0)
    method = method.to(networks.generator.w_avg.device)
    sentence = read(PROMPT, "a face", networks.clip)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-4)

    def step() -> None:
        source = _faces(networks.generator, count)
        terms = method.objective(source, method(source, sentence, networks), sentence, networks)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()

    return step


@torch.no_grad()
def _faces(generator: Generator, count: int) -> Face:
    codes = _codes(generator, count)
    return Face(generator(codes), Latent(codes, Space.W_PLUS))


def _inversions(editor: FaceEditor) -> Iterator[Case]:
    """Yield the encoder alone, and with some steps of refinement."""
    networks = editor.backbones
    if networks.encoder is None:
        return
    image = editor.sample(0).image
    for steps in (0, 5):
        what = "inversion of an aligned face" + (f" and {steps} steps of refinement" * bool(steps))

        def run(steps: int = steps) -> None:
            invert(image, Space.W_PLUS, networks, steps)

        yield Case(f"inversion_{steps}" if steps else "inversion", what, run)


def _edits(editor: FaceEditor, quick: bool) -> Iterator[Case]:
    """Yield one edit by each method that is here; for a trial, by the quickest one."""
    face, names = editor.sample(0), editor.available()
    if quick:
        names = [name for name in names if name == "clip_regression"] or names[:1]
    for name in names:
        folder = hub.find_local(repo_of(name), editor.base_folder)
        variants = read_variants(folder) if folder is not None else {}
        variant = next(iter(variants.values()), None)

        def run(name: str = name, variant: str | None = variant) -> None:
            editor.edit(face, PROMPT, method=name, variant=variant, output="character")

        yield Case(f"edit/{name}", f"one edit by {name}", run)


def training_cases(only: Sequence[str] | None, device: torch.device) -> Iterator[Case]:
    """Yield one step of each training task, with the recipe's own batch and precision.

    Tasks that cannot start here (their data are not made yet) are yielded with a run that says why.
    """
    from training.tasks import task_names

    for name in task_names():
        if name in LEFT_OUT or (only is not None and name not in only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = _training_step(name, Path(folder), device)
            except Exception as error:  # a table with a gap is better than none
                found = (_failing(error), 0)
            if found is None:  # a fitted method: it has no steps
                continue
            run, count = found
            textbook = name not in OTHER_NETWORKS
            what = f"one training step of {name} (batch {count})"
            yield Case(f"train/{name}", what, run, textbook)


def _training_step(name: str, folder: Path, device: torch.device) -> tuple[Run, int] | None:
    """Return a task's step in its last phase, and its batch; None where it has no steps.

    Of tasks that train a network a sentence, one sentence is taken.
    """
    from accelerate.state import AcceleratorState

    from training.config import parse_config
    from training.loop.loop import Loop
    from training.loop.schedule import phase_at
    from training.tasks import task_class
    from training.tasks.fit import FitTask

    words = ["--task", name, "--output_dir", str(folder), "--export_dir", str(folder / "export")]
    config = parse_config([*words, *(["--cpu"] if device.type == "cpu" else [])])
    if name == "styleclip_mapper":
        options = {**config.options, "prompts": config.options["prompts"][:1], "own": {}}
        config = replace(config, options=options)
    kind = task_class(name)
    if issubclass(kind, FitTask):
        return None
    threads = torch.get_num_threads()
    AcceleratorState._reset_state(reset_partial_state=True)  # the last task's precision was its own
    loop = Loop(config, kind)
    torch.set_num_threads(threads)
    phase = phase_at(loop.schedule, config.max_train_steps - 1)  # the last, which is the largest
    for module in loop.modules.values():
        module.train()
    loop.task.phase = phase
    loop.task.enter(phase)
    return lambda: loop.update(phase), phase.batch_size or config.train_batch_size


def _failing(error: Exception) -> Run:
    def run() -> None:
        raise error

    return run
