"""From files to a folder: read, tell what they are, convert, write, note where they came from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from faceedit import hub
from faceedit.backbones.clip import TOKENIZER, Clip
from faceedit.backbones.stylegan2 import GeneratorConfig
from faceedit.convert import METHODS, NETWORKS, networks
from faceedit.convert.budget import FileError
from faceedit.convert.detection import find_kind, part, tensors_of
from faceedit.convert.directions import convert_boundaries, convert_components, convert_global
from faceedit.convert.feat import from_ganvinci
from faceedit.convert.ffclip import from_official
from faceedit.convert.fitting import (
    base_name,
    check_fit,
    checked_base,
    decoder_notes,
    layers,
    methods_beside,
)
from faceedit.convert.maniclip import from_maniclip
from faceedit.convert.reading import Source, attributes, read_source
from faceedit.convert.styleclip_mapper import from_styleclip
from faceedit.errors import FaceEditError
from faceedit.method import EditMethod
from faceedit.method_repo import save_method, save_variants
from faceedit.methods.clip_pae_diffusion import ClipPaeDiffusion, ClipPaeDiffusionConfig
from faceedit.methods.maniclip import ManiClip
from faceedit.methods.styleclip_mapper import StyleClipMapper

MANICLIP_LAYERS = 14  # of the generator that it was trained with, which its file does not hold
FEAT_ALPHA, FEAT_THRESHOLD = 0.5, 0.8  # of GanVinci's training, and of its inference
MAX_REASON = 300  # characters of a reason that a file has a part in
WANTED = ("generator", "encoder", "clip")  # what edits of photographs need at least
EXAMPLES = {
    "generator": "stylegan2-ffhq-config-f.pt",
    "encoder": "e4e_ffhq_encode.pt",
    "clip": "ViT-B-32.pt",
}


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote."""

    kind: str  # one of `faceedit.convert.KINDS`
    folder: Path  # with config.json and model.safetensors; variants are in folders inside
    name: str  # of the network in the base, or of the method
    parameters: int  # numbers that were learned
    notes: tuple[str, ...] = ()  # what the user should know


def run(
    paths: Sequence[Path], into: Path, kind: str | None, base: Path | str | None, half: bool
) -> Converted:
    """Convert files; see `faceedit.convert.convert`.

    Raises:
        FileError: If a file cannot be used.
        RepoError: If a folder cannot be used.
    """
    if not paths:
        raise FileError("no file was named")
    vocabularies = [path for path in paths if _is_vocabulary(path)]
    sources = [read_source(path) for path in paths if path not in vocabularies]
    if not sources:
        raise FileError(f"{paths[0]} is a vocabulary; name the weights of CLIP beside it")
    names = ", ".join(source.path.name for source in sources)
    found = ""
    try:
        found = find_kind(sources, kind)
        if found in NETWORKS:
            return _add_network(found, sources, vocabularies, into, half)
        return _add_method(found, sources, into, base, half)
    except FileError as error:
        raise FileError(f"{names}: {error}" if names not in str(error) else str(error)) from error
    except (FaceEditError, OSError):
        raise
    except Exception as error:  # what is in a damaged file can lead to nearly anything
        what = {**NETWORKS, **METHODS}.get(found, "anything that is known").split(" (")[0]
        why = f"{type(error).__name__}: {error}"[:MAX_REASON]
        raise FileError(f"{names} cannot be converted as {what}: {why}") from error


def _is_vocabulary(path: Path) -> bool:
    return path.name == TOKENIZER or path.name.endswith((".txt", ".txt.gz"))


def _origin(kind: str, sources: Sequence[Source]) -> dict[str, Any]:
    """Return where weights came from, for config.json."""
    return {
        "kind": kind,
        "files": {source.path.name: source.digest() for source in sources},
    }


# Networks -----------------------------------------------------------------------------------------


def _add_network(
    kind: str, sources: Sequence[Source], vocabularies: Sequence[Path], into: Path, half: bool
) -> Converted:
    """Write a network into a base folder."""
    if len(sources) > 1:
        raise FileError("name one file of weights at a time")
    source = sources[0]
    if kind == "stylegan2":
        network = networks.convert_generator(source)
    elif kind == "clip":
        network = networks.convert_clips(source, vocabularies)
    elif kind == "ir-se50":
        network = networks.convert_recognition(source)
    elif kind == "bisenet":
        network = networks.convert_parser(source)
    else:
        network = networks.convert_encoders(source, kind, layers(into))
    networks.check_sizes(network, into)
    notes = [*network.notes]
    if kind != "stylegan2":
        notes += decoder_notes(source, into)
    fitted = methods_beside(into)
    folder = networks.write_component(network, into, _origin(kind, sources), half)
    if lost := [place for place in fitted if not hub.fits_base(place, into)]:
        names = ", ".join(sorted(place.name for place in lost))
        notes.append(
            f"it replaces another {network.component}; made for that one, and to be converted "
            f"again: {names}"
        )
    present = hub.read_base(into)["components"]
    missing = [f"{name} ({EXAMPLES[name]})" for name in WANTED if name not in present]
    if missing:
        notes.append(f"to edit photographs, {into} still needs: {', '.join(missing)}")
    return Converted(kind, folder, network.component, network.parameters(), tuple(notes))


# Methods ------------------------------------------------------------------------------------------


def _add_method(
    kind: str, sources: Sequence[Source], into: Path, base: Path | str | None, half: bool
) -> Converted:
    """Write a method's folder."""
    base = checked_base(base, into, kind)
    made = _convert_method(kind, sources, base)
    first = next(iter(made.values()))
    check_fit(first, base)
    prints, name = hub.fingerprint(base), base_name(base, into)
    if len(made) == 1:
        save_method(first, into, base=name, fingerprint=prints, half=half)
    else:
        save_variants(made, into, base=name, fingerprint=prints, half=half)
    if kind == "ddpm":
        _add_denoiser(sources[0], into, half)
    _remember(into, _origin(kind, sources))
    notes = sorted({note for source in sources for note in decoder_notes(source, base)})
    if kind == "maniclip" and layers(base) != MANICLIP_LAYERS:
        notes.append(f"its generator had {MANICLIP_LAYERS} layers (256 px), this base has another")
    place = base.resolve().parent / first.name.replace("_", "-")
    if into.resolve() != place:
        notes.append(
            f"`--repo {base} --method {first.name}` finds it as {place}; "
            f"`--repo {into}` finds it anywhere"
        )
    return Converted(kind, into, first.name, _learned(kind, sources, made), tuple(notes))


def _learned(kind: str, sources: Sequence[Source], made: Mapping[str, EditMethod]) -> int:
    """Return how many numbers a conversion took over."""
    if kind == "ddpm":
        return sum(tensor.numel() for tensor in tensors_of(sources[0]).values())
    trained = sum(tensor.numel() for method in made.values() for tensor in method.parameters())
    fitted = sum(tensor.numel() for method in made.values() for tensor in method.buffers())
    return trained or fitted  # those that were fitted have buffers only


def _add_denoiser(source: Source, into: Path, half: bool) -> None:
    """Write a denoiser into the repo of the method that runs it.

    Raises:
        FileError: If diffusers, whose format it is, is not installed.
    """
    try:
        from faceedit.convert.diffusion import save_denoiser

        tensors = tensors_of(source)
        levels = {key.split(".")[1] for key in tensors if key.startswith(("down.", "down_blocks."))}
        # these networks all go down to 8 px
        save_denoiser(tensors, into, sample_size=8 * 2 ** (len(levels) - 1), half=half)
    except ImportError as error:
        raise FileError("denoisers need diffusers: pip install 'faceedit[diffusion]'") from error


def _remember(folder: Path, origin: dict[str, Any]) -> None:
    """Note in config.json where the weights came from."""
    hub.write_folder(folder, {**hub.read_config(folder), "converted_from": origin}, None)


def _convert_method(kind: str, sources: Sequence[Source], base: Path) -> dict[str, EditMethod]:
    """Return the methods that files hold, by the sentence that each has learned, if one each."""
    generator = networks.read_component(base, "generator", GeneratorConfig)
    if kind == "styleclip-global":
        return {kind: convert_global(sources, generator)}
    if kind in ("interfacegan", "ganspace"):
        return {kind: _named_edits(kind, sources, base, generator)}
    if kind in ("maniclip", "ffclip", "ddpm") and len(sources) > 1:
        raise FileError("name one file of weights at a time")
    if kind == "ddpm":
        return {kind: ClipPaeDiffusion(ClipPaeDiffusionConfig())}
    return {sentence_of(source, kind): _trained(source, kind) for source in sources}


def _named_edits(
    kind: str, sources: Sequence[Source], base: Path, generator: GeneratorConfig
) -> EditMethod:
    """Return InterFaceGAN or GANSpace, whose wordings the base's CLIP reads."""
    clip = Clip.from_folder(base / hub.read_base(base)["components"]["clip"])
    method: Any
    if kind == "interfacegan":
        method = convert_boundaries(sources, clip.embed_dim)
    elif len(sources) > 1:
        raise FileError("name one file of components at a time")
    else:
        method = convert_components(sources[0], clip.embed_dim, generator.num_ws)
    method.names.embed(clip)
    return method


def _trained(source: Source, kind: str) -> EditMethod:
    """Return a trained method from a checkpoint."""
    tensors = {name: tensor.float() for name, tensor in tensors_of(source).items()}
    if kind == "ffclip":
        return from_official(tensors)
    if kind == "feat":
        return _feat(source, tensors)
    method: EditMethod
    if kind == "maniclip":
        of_maniclip, state = from_maniclip(tensors)
        method = networks.filled(lambda: ManiClip(of_maniclip), state)
    else:
        own = part(tensors, "mapper.")
        of_mapper, state = from_styleclip(own, sentence_of(source, kind))
        method = networks.filled(lambda: StyleClipMapper(of_mapper), state)
    return method


def _feat(source: Source, tensors: Mapping[str, Tensor]) -> EditMethod:
    """Return an edit of GanVinci's FEAT, with the threshold that it is used with."""
    method = from_ganvinci(tensors, _first_layer(source), _alpha(source), FEAT_THRESHOLD)
    if method.config.layers[1] >= method.config.num_ws:  # there the images are blended
        method.config = replace(method.config, blend_image=True)
    return method


def sentence_of(source: Source, kind: str) -> str:
    """Return what a checkpoint has learned: from its settings, else from the file's name."""
    data = source.data if isinstance(source.data, dict) else {}
    options = {**attributes(data.get("opts")), **attributes(data.get("args"))}
    for key in ("description", "text", "prompt"):
        if kind in ("styleclip-mapper", "feat") and isinstance(options.get(key), str):
            return str(options[key]).strip()
    return re.sub(r"[_\s]+", " ", re.sub(r"^\d+_", "", source.stem)).strip()


def _first_layer(source: Source) -> int:
    """Return the first layer that a FEAT edit moves: from its settings, or a folder named 0-8.

    Raises:
        FileError: If neither tells.
    """
    options = attributes(source.data.get("args"))
    if isinstance(options.get("att_start"), int):
        return options["att_start"]
    for folder in source.path.resolve().parents:
        if match := re.fullmatch(r"(\d+)-(\d+)", folder.name):
            return int(match[1])
    raise FileError(
        f"{source.path} does not say which layers it moves; put it into a folder named after them, "
        "like 0-8"
    )


def _alpha(source: Source) -> float:
    """Return how far a FEAT edit was trained to move."""
    alpha = attributes(source.data.get("args")).get("alpha")
    return float(alpha) if isinstance(alpha, int | float) else FEAT_ALPHA
