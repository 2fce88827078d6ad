"""Writes files as the official code does, tiny: the same keys, formats and pickled classes."""

import gzip
import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from faceedit.backbones.clip import Clip
from faceedit.backbones.encoder import Encoder
from faceedit.backbones.face_parser import FaceParserConfig
from faceedit.backbones.identity import Identity
from faceedit.backbones.stylegan2 import Generator

UNIT = {  # ours -> official, inside a residual unit
    "norm_in": "res_layer.0",
    "conv_in": "res_layer.1",
    "activation": "res_layer.2",
    "conv_out": "res_layer.3",
    "norm_out": "res_layer.4",
    "excite.reduce": "res_layer.5.fc1",
    "excite.expand": "res_layer.5.fc2",
    "shortcut.0": "shortcut_layer.0",
    "shortcut.1": "shortcut_layer.1",
}


# ------------------------------------------------------------------------- official state dicts
def rosinality(generator: Generator, noises: bool = True) -> dict[str, Tensor]:
    """Return a generator as rosinality's `g_ema`."""
    state = generator.state_dict()
    out = {"input.input": state["const"][None]}
    for i in range(1, generator.config.mapping_layers + 1):
        for part in ("weight", "bias"):
            out[f"style.{i}.{part}"] = state[f"mapping.{i}.{part}"]
    noise = 0
    for block, _ in enumerate(generator.config.resolutions):
        names = ["conv1"] if block == 0 else [f"convs.{2 * block - 2}", f"convs.{2 * block - 1}"]
        for ours, theirs in zip(["conv0", "conv1"][-len(names) :], names, strict=True):
            layer = f"blocks.{block}.{ours}"
            out[f"{theirs}.conv.weight"] = state[f"{layer}.weight"][None]
            out[f"{theirs}.conv.modulation.weight"] = state[f"{layer}.affine.weight"]
            out[f"{theirs}.conv.modulation.bias"] = state[f"{layer}.affine.bias"]
            out[f"{theirs}.noise.weight"] = state[f"{layer}.noise_strength"].reshape(1)
            out[f"{theirs}.activate.bias"] = state[f"{layer}.bias"]
            if ours == "conv0":
                out[f"{theirs}.conv.blur.kernel"] = torch.ones(4, 4) / 4
            if noises:
                out[f"noises.noise_{noise}"] = state[f"{layer}.noise"][None, None]
            noise += 1
        rgb, layer = f"to_rgbs.{block - 1}" if block else "to_rgb1", f"blocks.{block}.to_rgb"
        out[f"{rgb}.conv.weight"] = state[f"{layer}.weight"].reshape(1, 3, -1, 1, 1)
        out[f"{rgb}.conv.modulation.weight"] = state[f"{layer}.affine.weight"]
        out[f"{rgb}.conv.modulation.bias"] = state[f"{layer}.affine.bias"]
        out[f"{rgb}.bias"] = state[f"{layer}.bias"].reshape(1, 3, 1, 1)
        if block:
            out[f"{rgb}.upsample.kernel"] = torch.ones(4, 4) / 4
    return {name: tensor.clone() for name, tensor in out.items()}


def ir_se(state: Mapping[str, Tensor], units: Iterable[int]) -> dict[str, Tensor]:
    """Return the body of an IR-SE network by its official names."""
    starts = np.cumsum([0, *units])
    out = {}
    for name, tensor in state.items():
        if not name.startswith("body."):
            continue
        if name.startswith("body.stem."):
            out[name.replace("body.stem.", "input_layer.")] = tensor
            continue
        _, _, stage, unit, rest = name.split(".", 4)
        place, _, part = rest.rpartition(".")
        out[f"body.{starts[int(stage)] + int(unit)}.{UNIT[place]}.{part}"] = tensor
    return out


def recognition(identity: Identity) -> dict[str, Tensor]:
    """Return an identity network as `model_ir_se50.pth`."""
    state = identity.state_dict()
    out = ir_se(state, identity.config.units)
    for ours, theirs in (("norm", "0"), ("linear", "3"), ("norm_out", "4")):
        for name, tensor in state.items():
            if name.rpartition(".")[0] == ours:
                out[f"output_layer.{theirs}.{name.rpartition('.')[2]}"] = tensor
    return out


def encoder(network: Encoder) -> dict[str, Tensor]:
    """Return an encoder with a head a layer by e4e's names."""
    state = network.state_dict()
    out = ir_se(state, network.config.units)
    for name, tensor in state.items():
        parts = name.split(".")
        if name.startswith("heads.") and parts[2] == "convs":
            out[f"styles.{parts[1]}.convs.{2 * int(parts[3])}.{parts[4]}"] = tensor
        elif name.startswith("heads."):
            out[f"styles.{parts[1]}.linear.{parts[4]}"] = tensor
        elif name.startswith("lateral_"):
            layer = {"medium": "latlayer1", "fine": "latlayer2"}[parts[0].removeprefix("lateral_")]
            out[f"{layer}.{parts[1]}"] = tensor
    return out


class Drawn(dict[str, Tensor]):
    """A state_dict that grows layer by layer: random numbers, or nothing but shapes on "meta"."""

    def __init__(self, draw: torch.Generator | None = None) -> None:
        super().__init__()
        self.draw = draw

    def tensor(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.draw, device="cpu" if self.draw else "meta")

    def conv(self, name: str, before: int, width: int, kernel: int) -> None:
        drawn = self.tensor(width, before, kernel, kernel)
        self[f"{name}.weight"] = drawn / (before * kernel**2) ** 0.5

    def norm(self, name: str, width: int) -> None:
        self[f"{name}.weight"] = 1 + 0.2 * self.tensor(width)
        self[f"{name}.bias"] = 0.2 * self.tensor(width)
        self[f"{name}.running_mean"] = 0.2 * self.tensor(width)
        self[f"{name}.running_var"] = 0.5 + 0.2 * self.tensor(width).abs()
        self[f"{name}.num_batches_tracked"] = torch.tensor(0)

    def layer(self, name: str, before: int, width: int, kernel: int = 3) -> None:
        self.conv(f"{name}.conv", before, width, kernel)
        self.norm(f"{name}.bn", width)


def bisenet(config: FaceParserConfig, draw: torch.Generator | None = None) -> dict[str, Tensor]:
    """Return a state_dict of face-parsing.PyTorch's BiSeNet; without `draw` only its shapes."""
    out = Drawn(draw)
    widths, context, classes = config.widths, config.context, len(config.classes)
    _resnet(out, widths, config.units)
    for name, width in (("arm16", widths[2]), ("arm32", widths[3])):
        out.layer(f"cp.{name}.conv", width, context)
        out.conv(f"cp.{name}.conv_atten", context, context, 1)
        out.norm(f"cp.{name}.bn_atten", context)
    out.layer("cp.conv_head32", context, context)
    out.layer("cp.conv_head16", context, context)
    out.layer("cp.conv_avg", widths[3], context, 1)
    joined = 2 * context
    out.layer("ffm.convblk", widths[1] + context, joined, 1)
    out.conv("ffm.conv1", joined, joined // 4, 1)
    out.conv("ffm.conv2", joined // 4, joined, 1)
    heads = (("conv_out", joined, joined), ("conv_out16", context, 64), ("conv_out32", context, 64))
    for name, source, width in heads:
        out.layer(f"{name}.conv", source, width)
        out.conv(f"{name}.conv_out", width, classes, 1)
    return dict(out)


def _resnet(out: Drawn, widths: Iterable[int], units: Iterable[int]) -> None:
    """Add a ResNet's tensors by torchvision's names."""
    before = next(iter(widths))
    out.conv("cp.resnet.conv1", 3, before, 7)
    out.norm("cp.resnet.bn1", before)
    for stage, (width, count) in enumerate(zip(widths, units, strict=True), start=1):
        for unit in range(count):
            name = f"cp.resnet.layer{stage}.{unit}"
            for number, source in ((1, before), (2, width)):
                out.conv(f"{name}.conv{number}", source, width, 3)
                out.norm(f"{name}.bn{number}", width)
            if unit == 0 and stage > 1:
                out.conv(f"{name}.downsample.0", before, width, 1)
                out.norm(f"{name}.downsample.1", width)
            before = width


def openai_clip(clip: Clip) -> dict[str, Tensor]:
    """Return a CLIP by OpenAI's names."""
    state = clip.model.state_dict()
    text, vision = "text_model.embeddings", "vision_model.embeddings"
    out = {
        "token_embedding.weight": state[f"{text}.token_embedding.weight"],
        "positional_embedding": state[f"{text}.position_embedding.weight"],
        "ln_final.weight": state["text_model.final_layer_norm.weight"],
        "ln_final.bias": state["text_model.final_layer_norm.bias"],
        "visual.class_embedding": state[f"{vision}.class_embedding"],
        "visual.positional_embedding": state[f"{vision}.position_embedding.weight"],
        "visual.conv1.weight": state[f"{vision}.patch_embedding.weight"],
        "visual.ln_pre.weight": state["vision_model.pre_layrnorm.weight"],
        "visual.ln_pre.bias": state["vision_model.pre_layrnorm.bias"],
        "visual.ln_post.weight": state["vision_model.post_layernorm.weight"],
        "visual.ln_post.bias": state["vision_model.post_layernorm.bias"],
        "visual.proj": state["visual_projection.weight"].T,
        "text_projection": state["text_projection.weight"].T,
        "logit_scale": state["logit_scale"],
    }
    inside = {
        "self_attn.out_proj": "attn.out_proj",
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    for tower, prefix in (("text_model", ""), ("vision_model", "visual.")):
        depth = 1 + max(int(k.split(".")[3]) for k in state if k.startswith(f"{tower}.encoder."))
        for i in range(depth):
            ours, theirs = f"{tower}.encoder.layers.{i}", f"{prefix}transformer.resblocks.{i}"
            for part in ("weight", "bias"):
                joined = [state[f"{ours}.self_attn.{c}_proj.{part}"] for c in "qkv"]
                out[f"{theirs}.attn.in_proj_{part}"] = torch.cat(joined)
                for a, b in inside.items():
                    out[f"{theirs}.{b}.{part}"] = state[f"{ours}.{a}.{part}"]
    return out


def vocabulary(path: Path, merges: Iterable[tuple[str, str]]) -> Path:
    """Write merges as OpenAI does: a title, a line each, packed."""
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges), "more merges"]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


# ------------------------------------------------------------------------- NVIDIA's pickles
def module_named(name: str, **members: object) -> types.ModuleType:
    """Return a stand-in for a module of NVIDIA's code, to pickle by."""
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
        value.__module__, value.__qualname__ = name, key
    return module


class Persistent:
    """Pickles itself as NVIDIA's persistent classes do, with its source code."""

    def __init__(self, class_name: str, state: dict) -> None:
        self.class_name, self.state = class_name, state

    def __reduce__(self):
        source = "import os\nos.abort()  # runs if anybody runs it\n"
        meta = {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": self.class_name,
            "state": self.state,
        }
        return (sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,))


def persistent_tree(state: Mapping[str, Tensor], facts: Mapping[str, dict]) -> Persistent:
    """Return nested modules that hold a state dict.

    Args:
        state: The tensors.
        facts: Module's path ("" is the root) -> further attributes.
    """

    def build(path: str, part: Mapping[str, Tensor]) -> Persistent:
        own = {name: tensor for name, tensor in part.items() if "." not in name}
        children = OrderedDict()
        for child in dict.fromkeys(name.split(".")[0] for name in part if "." in name):
            inner = {n.split(".", 1)[1]: t for n, t in part.items() if n.split(".")[0] == child}
            children[child] = build(f"{path}.{child}".lstrip("."), inner)
        buffers = {n: t for n, t in own.items() if n in ("w_avg", "noise_const", "resample_filter")}
        return Persistent(
            f"Class{len(path)}",
            {
                "training": False,
                "_parameters": OrderedDict(
                    (n, torch.nn.Parameter(t)) for n, t in own.items() if n not in buffers
                ),
                "_buffers": OrderedDict(buffers),
                "_modules": children,
                **facts.get(path, {}),
            },
        )

    return build("", state)


def save_nvidia(path: Path, state: Mapping[str, Tensor], facts: Mapping[str, dict]) -> Path:
    """Write a pickle of G, D and G_ema as stylegan2-ada-pytorch does."""

    class EasyDict(dict):
        pass

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("only its name is pickled")

    fakes = {
        "torch_utils": types.ModuleType("torch_utils"),
        "torch_utils.persistence": module_named(
            "torch_utils.persistence", _reconstruct_persistent_obj=_reconstruct_persistent_obj
        ),
        "dnnlib": types.ModuleType("dnnlib"),
        "dnnlib.util": module_named("dnnlib.util", EasyDict=EasyDict),
    }
    return _pickled(
        path,
        fakes,
        lambda: {
            "G": None,
            "D": None,
            "G_ema": persistent_tree(state, facts),
            "training_set_kwargs": EasyDict(resolution=64),
            "augment_pipe": None,
        },
    )


def tensorflow_variables(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Turn NVIDIA's PyTorch names and shapes back into TensorFlow's."""
    out: dict[str, np.ndarray] = {}
    for name, tensor in state.items():
        value, parts = tensor.numpy(), name.split(".")
        if name == "mapping.w_avg":
            out["dlatent_avg"] = value
        elif parts[0] == "mapping":
            dense = f"mapping/Dense{parts[1].removeprefix('fc')}/{parts[2]}"
            out[dense] = value.T if parts[2] == "weight" else value
        elif name == "synthesis.b4.const":
            out["synthesis/4x4/Const/const"] = value[None]
        elif parts[-1] != "resample_filter":
            out |= _tensorflow_layer(parts, value)
    return out


def _tensorflow_layer(parts: list[str], value: np.ndarray) -> dict[str, np.ndarray]:
    resolution = int(parts[1].removeprefix("b"))
    layer = {"conv0": "Conv0_up", "conv1": "Conv1", "torgb": "ToRGB"}[parts[2]]
    layer = "Conv" if (resolution, layer) == (4, "Conv1") else layer
    place = f"synthesis/{resolution}x{resolution}/{layer}"
    if parts[-1] == "noise_const":
        number = int(np.log2(resolution)) * 2 - (5 if parts[2] == "conv0" else 4)
        return {f"synthesis/noise{number}": value[None, None]}
    if parts[3] == "affine":
        if parts[4] == "bias":
            return {f"{place}/mod_bias": value - 1}
        return {f"{place}/mod_weight": value.T}
    if parts[3] == "weight":
        value = value.transpose(2, 3, 1, 0)
        return {f"{place}/weight": value[::-1, ::-1] if layer == "Conv0_up" else value}
    return {f"{place}/{parts[3]}": value}


def save_tensorflow(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write a pickle of (G, D, Gs) as NVIDIA's TensorFlow code does."""

    class Network:
        def __init__(self, state):
            self.__dict__.update(state)

    def network(prefix: str, components: dict) -> Network:
        own = [n for n in arrays if n.startswith(prefix) and "/" not in n.removeprefix(prefix)]
        if prefix:
            own = [n for n in arrays if n.startswith(prefix)]
        return Network(
            {
                "version": 4,
                "name": prefix or "Gs",
                "static_kwargs": {"fmap_base": 16 << 10},
                "components": components,
                "build_module_src": "import os\nos.abort()\n",
                "build_func_name": "G_main",
                "variables": [(n.removeprefix(prefix), arrays[n]) for n in own],
            }
        )

    def build():
        parts = {name: network(f"{name}/", {}) for name in ("synthesis", "mapping")}
        whole = network("", parts)
        return (whole, network("nothing/", {}), whole)

    fakes = {
        "dnnlib": types.ModuleType("dnnlib"),
        "dnnlib.tflib": types.ModuleType("dnnlib.tflib"),
        "dnnlib.tflib.network": module_named("dnnlib.tflib.network", Network=Network),
    }
    return _pickled(path, fakes, build)


def _pickled(path: Path, fakes: dict, build) -> Path:
    before = {name: sys.modules.get(name) for name in fakes}
    sys.modules.update(fakes)
    try:
        path.write_bytes(pickle.dumps(build(), protocol=4))
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return path


def torch_archive(path: Path, data: bytes, name: str = "archive", **extra: bytes) -> Path:
    """Write a file of torch.save's format around any pickle."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{name}/data.pkl", data)
        archive.writestr(f"{name}/version", b"3\n")
        for member, content in extra.items():
            archive.writestr(f"{name}/{member}", content)
    return path


def legacy_file(path: Path, value: object) -> Path:
    """Write a file of torch.save's format before 1.6."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    path.write_bytes(buffer.getvalue())
    return path
