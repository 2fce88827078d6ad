"""The networks of a base folder: from what a file holds to config.json and model.safetensors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from faceedit import hub
from faceedit.backbones.clip import Clip, ClipConfig
from faceedit.backbones.clip_tokenizer import TOKENIZER, ClipTokenizer, build_tokenizer
from faceedit.backbones.encoder import Encoder, EncoderConfig
from faceedit.backbones.face_parser import FaceParser
from faceedit.backbones.identity import Identity, IdentityConfig
from faceedit.backbones.stylegan2 import Generator, GeneratorConfig
from faceedit.convert.budget import FileError
from faceedit.convert.clip import clip_config, convert_clip
from faceedit.convert.detection import part, tensors_of
from faceedit.convert.encoder import convert_encoder
from faceedit.convert.face_parser import convert_face_parser, face_parser_config
from faceedit.convert.identity import convert_identity
from faceedit.convert.reading import Source, attributes, module_tensors, read_merges
from faceedit.convert.stand_ins import Inert
from faceedit.convert.stylegan2 import from_nvidia, from_rosinality
from faceedit.convert.tensorflow import from_tensorflow, variables

VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
BYTES = (
    512  # symbols of CLIP's vocabulary before the merges: every byte, inside a word and at its end
)
CODES = {"e4e": "delta", "psp": "absolute", "w-encoder": "single"}
W_AVG_SEED = 0
PARSER_READS = (
    "it finds the regions of drawn faces, for masks by name and for trainings; photographs are "
    "still read by the network of faceedit/portraits-128, which sees beards and what is around"
)


@dataclass(frozen=True)
class Network:
    """A network on its way into a base folder."""

    component: str  # its name in the base
    module: nn.Module
    notes: tuple[str, ...] = ()  # what the user should know

    def save(self, folder: Path, half: bool) -> None:
        """Write the network's own folder."""
        if isinstance(self.module, Clip):
            self.module.save(folder, half=half)
        else:
            hub.save_network(self.module, folder, half=half)

    def parameters(self) -> int:
        """Return how many numbers were learned."""
        return sum(weight.numel() for weight in self.module.parameters())


def filled(build: Callable[[], nn.Module], state: Mapping[str, Tensor], inner: str = "") -> Any:
    """Return a network that holds exactly these tensors; nothing may be missing or left over.

    Args:
        build: Makes the network; its weights are never drawn.
        state: The tensors by our names; numbers are stored as float32.
        inner: The attribute that they belong to, if not the whole network.

    Raises:
        FileError: If names or shapes differ.
    """
    with torch.device("meta"):
        network = build()
    target = getattr(network, inner) if inner else network
    wanted = target.state_dict()
    missing, extra = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    wrong = [
        f"{name} has shape {list(state[name].shape)}, not {list(wanted[name].shape)}"
        for name in sorted(set(wanted) & set(state))
        if state[name].shape != wanted[name].shape
    ]
    if missing or extra or wrong:
        raise FileError(
            f"it does not fit {type(network).__name__}: "
            f"missing {missing[:3]}, unknown {extra[:3]}, {'; '.join(wrong[:3]) or 'shapes fit'}"
        )
    numbers = {name: _as(tensor, wanted[name]) for name, tensor in state.items()}
    target.load_state_dict(numbers, strict=True, assign=True)
    return network.eval()


def _as(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.detach().to(like.dtype).contiguous()


# The generator ------------------------------------------------------------------------------------


def convert_generator(source: Source) -> Network:
    """Return the generator of a file by rosinality or NVIDIA, or of an encoder's or mapper's file.

    Raises:
        FileError: If it contains no StyleGAN2 that can be used.
    """
    data = source.data
    if isinstance(data, tuple):  # TensorFlow's (G, D, Gs)
        config, state = from_nvidia(from_tensorflow(dict(variables(data[2]))))
        return _generator(config, state, ())
    if isinstance(data, Mapping) and isinstance(data.get("G_ema"), Inert):
        return _nvidia(data["G_ema"])
    if isinstance(data, Mapping) and "g_ema" in data:
        return _rosinality(data["g_ema"], data.get("latent_avg"))
    tensors = tensors_of(source)
    if "synthesis.b4.const" in tensors:
        config, state = from_nvidia(tensors)
        return _generator(config, state, ("a bare state_dict does not tell conv_clamp",))
    for prefix in ("decoder.", "generator.", ""):
        if f"{prefix}input.input" in tensors:
            mean = data.get("latent_avg") if isinstance(data, Mapping) else None
            return _rosinality(part(tensors, prefix), mean)
    raise FileError("it contains no StyleGAN2 generator")


def _rosinality(tensors: Mapping[str, Any], mean: Any) -> Network:
    """Return a generator of rosinality's names."""
    state = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
    config, ours = from_rosinality(state, mean if isinstance(mean, Tensor) else None)
    notes = [] if isinstance(mean, Tensor) else ["it has no mean w; it was computed (10,000 codes)"]
    if not any(name.startswith("noises.") for name in state):
        notes.append("it has no noise; another one was drawn, which changes fine details")
    return _generator(config, ours, tuple(notes), has_mean=isinstance(mean, Tensor))


def _nvidia(module: Inert) -> Network:
    """Return a generator of NVIDIA's PyTorch pickles.

    Raises:
        FileError: If it takes class labels or has another architecture than the FFHQ networks.
    """
    if attributes(module).get("c_dim"):
        raise FileError("its generator takes class labels, which faces have not")
    blocks = attributes(module).get("_modules", {}).get("synthesis")
    parts = attributes(blocks).get("_modules", {})
    for name in (attributes(block).get("architecture", "skip") for block in parts.values()):
        if name != "skip":
            given = repr(name[:20]) if isinstance(name, str) else f"a {type(name).__name__}"
            raise FileError(f"its architecture is {given}; only 'skip' is supported")
    layer = attributes(parts.get("b4")).get("_modules", {}).get("conv1")
    clamp = attributes(layer).get("conv_clamp")
    state = dict(module_tensors(module))
    config, ours = from_nvidia(state, None if clamp is None else float(clamp))
    return _generator(config, ours, (), has_mean="mapping.w_avg" in state)


def _generator(
    config: GeneratorConfig,
    state: Mapping[str, Tensor],
    notes: tuple[str, ...],
    has_mean: bool = True,
) -> Network:
    generator = filled(lambda: Generator(config), state)
    if not has_mean:
        generator.set_w_avg(torch.Generator().manual_seed(W_AVG_SEED))
    return Network("generator", generator, notes)


# The others ---------------------------------------------------------------------------------------


def convert_encoders(source: Source, kind: str, num_ws: int | None = None) -> Network:
    """Return the encoder of an e4e, pSp or W-encoder checkpoint.

    Args:
        source: The file.
        kind: "e4e", "psp" or "w-encoder".
        num_ws: The generator's layers, for a W-encoder, whose tensors do not tell.

    Raises:
        FileError: If it holds no such encoder, or one that reads no photographs.
    """
    tensors = tensors_of(source)
    state = part(tensors, "encoder.") or tensors
    stem = state.get("input_layer.0.weight")
    if stem is None:
        raise FileError("it contains no encoder: encoder.input_layer.0.weight is missing")
    if stem.shape[1] != 3:
        raise FileError(f"its encoder reads {stem.shape[1]} channels (a sketch?), not a photograph")
    data = source.data if isinstance(source.data, Mapping) else {}
    options, mean = attributes(data.get("opts")), data.get("latent_avg")
    relative = options.get("start_from_latent_avg", True)
    heads = len({key.split(".")[1] for key in state if key.startswith("styles.")})
    rows = mean.reshape(-1, mean.shape[-1]) if isinstance(mean, Tensor) else None
    if not heads:
        heads = num_ws or (len(rows) if rows is not None and len(rows) > 1 else 18)
    config = EncoderConfig(num_ws=heads, codes=CODES[kind], **_encoder_sizes(state))  # type: ignore[arg-type]
    average = rows[:1] if relative and rows is not None else None
    if average is not None and rows is not None and not torch.equal(rows, average.expand_as(rows)):
        raise FileError("its latent_avg differs from layer to layer; one mean w is expected")
    notes = () if average is not None else ("it adds no mean w to its codes",)
    return Network(
        "encoder", filled(lambda: Encoder(config), convert_encoder(state, config, average)), notes
    )


def _body_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Read off the sizes of an IR-SE body: a stage ends where the width changes."""
    count = len({key.split(".")[1] for key in state if key.startswith("body.")})
    widths = [state[f"body.{unit}.res_layer.1.weight"].shape[0] for unit in range(count)]
    stages = [(width, len(list(units))) for width, units in groupby(widths)]
    squeezed = state["body.0.res_layer.5.fc1.weight"].shape[0]
    return {
        "widths": tuple(width for width, _ in stages),
        "units": tuple(units for _, units in stages),
        "squeeze": widths[0] // squeezed,
    }


def _encoder_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Read off the sizes of an encoder: its heads halve the coarse map down to one pixel."""
    last = state.get("styles.0.linear.weight", state.get("linear.weight"))
    if last is None:
        raise FileError("it contains no encoder: styles.0.linear.weight is missing")
    sizes = _body_sizes(state) | {"w_dim": last.shape[0]}
    if "styles.0.linear.weight" in state:
        halvings = sum(bool(re.fullmatch(r"styles\.0\.convs\.\d+\.weight", key)) for key in state)
        sizes |= {"input_size": 16 * 2**halvings, "head_channels": last.shape[1]}
    return sizes


def convert_recognition(source: Source) -> Network:
    """Return ArcFace's IR-SE50."""
    tensors = tensors_of(source)
    sizes = _body_sizes(tensors)
    dimensions, features = tensors["output_layer.3.weight"].shape
    side = math.isqrt(features // sizes["widths"][-1])  # of the body's last map
    size = side * 2 ** len(sizes["units"])
    config = IdentityConfig(embedding_dim=dimensions, input_size=size, **sizes)
    state = convert_identity(tensors, config.units)
    return Network("identity", filled(lambda: Identity(config), state))


def convert_parser(source: Source) -> Network:
    """Return BiSeNet's face parser."""
    tensors = tensors_of(source)
    config = face_parser_config(tensors)
    network = filled(lambda: FaceParser(config), convert_face_parser(tensors))
    return Network("face_parser", network, (PARSER_READS,))


def convert_clips(source: Source, others: Sequence[Path]) -> Network:
    """Return a CLIP of OpenAI's or of transformers' names, with its tokenizer.

    Args:
        source: The weights.
        others: Further files; one may be the vocabulary, which is else looked for beside.

    Raises:
        FileError: If the weights are another network's, or there is no vocabulary.
    """
    tensors = tensors_of(source)
    if "text_model.embeddings.token_embedding.weight" in tensors:
        state = {k: v for k, v in tensors.items() if not k.endswith("position_ids")}
        config = _transformers_config(state)
    else:
        config, state = clip_config(tensors), convert_clip(tensors)
    tokenizer = _tokenizer(config, source.path, others)
    return Network("clip", filled(lambda: Clip(config, tokenizer), state, inner="model"))


def _transformers_config(state: Mapping[str, Tensor]) -> ClipConfig:
    """Read the sizes off a state_dict of transformers' names."""
    vision, text = "vision_model.embeddings", "text_model.embeddings"
    width, _, patch, _ = state[f"{vision}.patch_embedding.weight"].shape
    places = state[f"{vision}.position_embedding.weight"].shape[0] - 1
    vocabulary, text_width = state[f"{text}.token_embedding.weight"].shape
    depth = {
        tower: len({k.split(".")[3] for k in state if k.startswith(f"{tower}.encoder.layers.")})
        for tower in ("vision_model", "text_model")
    }
    return ClipConfig(
        image_size=round(places**0.5) * patch,
        patch_size=patch,
        vision_width=width,
        vision_layers=depth["vision_model"],
        vision_heads=max(1, width // 64),
        text_width=text_width,
        text_layers=depth["text_model"],
        text_heads=max(1, text_width // 64),
        context_length=state[f"{text}.position_embedding.weight"].shape[0],
        vocab_size=vocabulary,
        start_token=vocabulary - 2,
        end_token=vocabulary - 1,
        embed_dim=state["text_projection.weight"].shape[0],
        wording="web",
    )


def _tokenizer(config: ClipConfig, weights: Path, others: Sequence[Path]) -> Any:
    """Return the tokenizer of a vocabulary file: OpenAI's list of merges, or a tokenizer.json."""
    names = (VOCABULARY, VOCABULARY.removesuffix(".gz"), TOKENIZER)
    beside = [weights.parent / name for name in names]
    for path in (*others, *beside):
        if path.is_file() and path.name == TOKENIZER:
            return _saved_tokenizer(path, config)
        if path.is_file() and path.name.endswith((".txt", ".txt.gz")):
            merges = read_merges(path, config.vocab_size - BYTES - 2)
            tokenizer = build_tokenizer(merges, config.context_length)
            if len(tokenizer) != config.vocab_size:
                raise FileError(
                    f"{path} makes {len(tokenizer):,} tokens, the CLIP has {config.vocab_size:,}"
                )
            return tokenizer
    raise FileError(
        f"CLIP's vocabulary is not in its weights: name {VOCABULARY} of github.com/openai/CLIP "
        "(folder clip) as a second file, or put it beside the first"
    )


def _saved_tokenizer(path: Path, config: ClipConfig) -> Any:
    """Return the tokenizer of a folder of transformers'."""
    from transformers import CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(str(path.parent), local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare exceptions
        raise FileError(f"{path} cannot be read ({error})") from error
    if len(tokenizer) != config.vocab_size:
        raise FileError(f"{path} has {len(tokenizer):,} tokens, the CLIP has {config.vocab_size:,}")
    return ClipTokenizer(tokenizer.backend_tokenizer, config.context_length)


# The base -----------------------------------------------------------------------------------------


def read_component(base: Path, name: str, config_class: type[Any]) -> Any:
    """Return the configuration of a network of a base, or None where the base lacks it."""
    place = hub.read_base(base)["components"].get(name)
    if place is None:
        return None
    if config_class is ClipConfig:
        return ClipConfig.from_transformers(hub.read_config(base / place), {})
    return hub.build_config(config_class, hub.read_config(base / place), base / place)


def check_sizes(network: Network, base: Path) -> None:
    """Raise unless generator and encoder of a base have codes of one shape.

    Raises:
        FileError: If they have not.
    """
    if not (base / hub.CONFIG).is_file():
        return
    pair = {"generator": GeneratorConfig, "encoder": EncoderConfig}
    if network.component not in pair:
        return
    other = next(name for name in pair if name != network.component)
    config = read_component(base, other, pair[other])
    if config is None:
        return
    mine = network.module.config
    for name in ("num_ws", "w_dim"):
        if getattr(config, name) != getattr(mine, name):
            raise FileError(
                f"this {network.component} has {name} {getattr(mine, name)}, the {other} in {base} "
                f"has {getattr(config, name)}; put it into another folder"
            )


def write_component(network: Network, base: Path, origin: Mapping[str, Any], half: bool) -> Path:
    """Write a network into a base folder and name it in the base's config.json.

    Args:
        network: What to write.
        base: The base folder; made if absent.
        origin: Where the weights came from, for the base's config.json.
        half: Whether floating point numbers are stored with 16 bits.

    Returns:
        The network's folder.
    """
    config = hub.read_base(base) if (base / hub.CONFIG).is_file() else {}
    network.save(base / network.component, half)
    facts = {
        key: value
        for key, value in config.items()
        if key not in ("library_name", "kind", "format_version", "components")
    }
    facts |= {"framing": "ffhq"}
    facts["converted_from"] = {**facts.get("converted_from", {}), network.component: dict(origin)}
    if network.component == "generator":
        sizes: Any = network.module.config
        facts["resolution"] = sizes.resolution
    components = {**config.get("components", {}), network.component: network.component}
    hub.save_base(base, components, **facts)
    return base / network.component
