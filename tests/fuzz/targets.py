"""What is fuzzed: for each kind, seeds, an input of a number, and what is done with it.

An input is written to a folder before it is tried, so that one that ends the process is known.
"""

from __future__ import annotations

import io
import json
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.fuzz import mutators

Attempt = Callable[[], Any]


def pictures(folder: Path) -> Callable[[random.Random], Attempt]:
    """Photos of every format, small and large, through `load_photo`."""
    from faceedit.photo import load_photo

    seeds = [(suffix, data) for suffix, data in _pictures()]
    others = [data for _, data in seeds]

    def attempt(draws: random.Random) -> Attempt:
        suffix, data = draws.choice(seeds)
        path = folder / f"input.{suffix}"
        path.write_bytes(mutators.damaged(data, draws, others))
        return lambda: load_photo(path)

    return attempt


def _pictures() -> Any:
    noise = Image.effect_noise((120, 90), 80)
    colour = Image.merge("RGB", (noise, noise.rotate(90, expand=False), noise))
    exif = Image.Exif()
    exif[0x0112] = 6
    for image, suffix, settings in (
        (colour, "jpg", {"exif": exif}),
        (colour, "jpg", {"progressive": True, "quality": 60}),
        (noise.convert("CMYK"), "jpg", {}),
        (colour.resize((3000, 2000)), "jpg", {"progressive": True, "quality": 10}),
        (colour, "png", {}),
        (colour.convert("P"), "png", {"transparency": 0}),
        (colour.convert("RGBA"), "png", {}),
        (Image.fromarray(np.asarray(noise).astype(np.uint16) * 257), "png", {}),
        (colour, "webp", {}),
        (colour, "webp", {"lossless": True, "exif": exif}),
        (colour, "tiff", {}),
        (colour, "tiff", {"compression": "tiff_lzw"}),
        (colour, "tiff", {"compression": "tiff_adobe_deflate"}),
        (colour, "tiff", {"compression": "jpeg"}),
        (noise.convert("F"), "tiff", {}),
        (colour, "bmp", {}),
        (
            colour.convert("P"),
            "gif",
            {"save_all": True, "append_images": [colour.convert("P")] * 3},
        ),
        (colour, "ppm", {}),
        (colour, "avif", {}),
    ):
        buffer = io.BytesIO()
        name = {"jpg": "JPEG", "ppm": "PPM"}.get(suffix, suffix.upper())
        try:
            image.save(buffer, name, **settings)
        except (KeyError, OSError):  # an older Pillow
            continue
        yield suffix, buffer.getvalue()


def pickles(folder: Path) -> Callable[[random.Random], Attempt]:
    """Checkpoints and bare pickles through the whole of `convert`."""
    seeds = _checkpoints(folder)

    def attempt(draws: random.Random) -> Attempt:
        path = folder / "input.pt"
        kind = draws.randrange(6)
        if kind == 0:
            path.write_bytes(mutators.random_pickle(draws))
        elif kind == 1:
            path.write_bytes(mutators.doubled_key(draws))
        else:
            path.write_bytes(mutators.damaged(draws.choice(seeds), draws, seeds))
        return _convert(path, folder, draws)

    return attempt


def _checkpoints(folder: Path) -> list[bytes]:
    state = {f"body.{i}.weight": torch.randn(3, 4) for i in range(4)}
    found = [
        pickle.dumps([[np.arange(3.0)], [np.arange(3.0)]], protocol) for protocol in (2, 4, 5)
    ] + [pickle.dumps({"comp": np.ones((2, 1, 4)), "mean": np.ones(4), "std": np.ones(2)}, 2)]
    for zipped in (True, False):
        for value in (state, {"g_ema": state, "latent_avg": torch.ones(4)}, torch.randn(1, 16)):
            torch.save(value, folder / "seed.pt", _use_new_zipfile_serialization=zipped)
            found.append((folder / "seed.pt").read_bytes())
    (folder / "seed.pt").unlink()
    return found


def arrays(folder: Path) -> Callable[[random.Random], Attempt]:
    """.npy, .npz and other archives through `convert`."""
    seeds = []
    for value in (np.ones((1, 16), "f4"), np.ones((20, 8), "f2"), np.arange(4), np.array(3.0)):
        buffer = io.BytesIO()
        np.save(buffer, value)
        seeds.append(("npy", buffer.getvalue()))
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, lat_comp=np.ones((2, 1, 16)), lat_mean=np.ones((1, 16)), lat_stdev=np.ones(2))
        seeds.append(("npz", buffer.getvalue()))
    others = [data for _, data in seeds]

    def attempt(draws: random.Random) -> Attempt:
        suffix, data = draws.choice(seeds)
        path = folder / f"input.{suffix}"
        path.write_bytes(mutators.damaged(data, draws, others))
        return _convert(path, folder, draws)

    return attempt


def _convert(path: Path, folder: Path, draws: random.Random) -> Attempt:
    from faceedit.convert import KINDS, convert

    kind = draws.choice(list(KINDS)) if draws.random() < 0.3 else None
    base = _base(folder)

    def run() -> Any:
        shutil.rmtree(folder / "made", ignore_errors=True)
        return convert(path, folder / "made", kind, base=base)

    return run


_BASES: dict[Path, Path] = {}


def _base(folder: Path) -> Path:
    """Return a small base that is sound; written once."""
    if folder not in _BASES:
        from tests.conftest import make_backbones, save_base

        _BASES[folder] = save_base(make_backbones(), folder / "sound")
    return _BASES[folder]


def repos(folder: Path) -> Callable[[random.Random], Attempt]:
    """Folders of a base and of a method, with one file of them damaged."""
    from faceedit.backbones import load_backbones
    from faceedit.hub import check_fingerprint
    from faceedit.method_repo import load_method, read_variants
    from faceedit.methods import METHODS
    from tests.conftest import make_backbones
    from tests.test_editor import save_methods

    base = _base(folder)
    save_methods(folder, base, make_backbones())
    work = folder / "work"

    def attempt(draws: random.Random) -> Attempt:
        shutil.rmtree(work, ignore_errors=True)
        methods = [p for p in folder.iterdir() if p.name.replace("-", "_") in METHODS]
        source = draws.choice([base, base, *methods])
        shutil.copytree(source, work / "repo")
        files = [p for p in (work / "repo").rglob("*") if p.suffix in (".json", ".safetensors")]
        path = draws.choice(files)
        if path.suffix == ".json" and draws.random() < 0.7:
            tree = json.loads(path.read_text())
            path.write_text(json.dumps(mutators.damaged_tree(tree, draws)))
        else:
            path.write_bytes(mutators.damaged(path.read_bytes(), draws))

        def run() -> Any:
            if source == base:
                return load_backbones(work / "repo")
            read_variants(work / "repo")
            check_fingerprint(work / "repo", base)
            return load_method(METHODS[source.name.replace("-", "_")], work / "repo")

        return run

    return attempt


def sentences(folder: Path) -> Callable[[random.Random], Attempt]:
    """Odd prompts through an edit of strength 0, which reads them and computes little else."""
    editor = _editor(folder)
    face = editor.sample(0)

    def attempt(draws: random.Random) -> Attempt:
        prompt = mutators.sentence(draws)
        neutral = mutators.sentence(draws) if draws.random() < 0.3 else "a face"
        note = json.dumps([prompt, neutral])
        (folder / "input.json").write_text(note)
        return lambda: editor.edit(
            face, prompt, neutral=neutral, strength=0, method="styleclip_optimization"
        )

    return attempt


def _editor(folder: Path) -> Any:
    from faceedit import FaceEditor

    return FaceEditor.from_pretrained(_base(folder))


def arguments(folder: Path) -> Callable[[random.Random], Attempt]:
    """Arguments of wrong types and sizes for everything that an editor does."""
    from faceedit import FaceEditor

    editor = _editor(folder)
    face, base = editor.sample(0), _base(folder)
    usual: dict[str, tuple[Any, dict[str, Any]]] = {
        "edit": (
            editor.edit,
            {
                **{"photo": face, "prompt": "red hair", "strength": 0, "seed": 0, "layers": None},
                **{"method": "styleclip_optimization", "variant": None, "neutral": "a face"},
                **{"output": "character", "mask": None, "face_index": None, "refine_steps": 0},
            },
        ),
        "compare": (editor.compare, {"photo": face, "prompt": "red hair", "methods": ["tedigan"]}),
        "sample": (editor.sample, {"seed": 0, "truncation_psi": 0.7}),
        "invert": (editor.invert, {"photo": np.zeros((64, 64, 3), np.uint8), "face_index": None}),
        "method": (editor.method, {"name": None, "variant": None}),
        "to": (editor.to, {"device": "cpu"}),
        "load": (
            FaceEditor.from_pretrained,
            {"name": base, "base": editor, "device": None, "dtype": None},
        ),
        "save": (editor.save_pretrained, {"folder": folder / "saved"}),
    }  # fmt: skip

    def attempt(draws: random.Random) -> Attempt:
        name = draws.choice(list(usual))
        call, given = usual[name]
        given = dict(given)
        for key in draws.sample(list(given), min(len(given), draws.choice((1, 1, 2)))):
            if (name, key) not in (("load", "name"), ("save", "folder")):  # would write or ask
                given[key] = draws.choice(mutators.ODD)
        (folder / "input.txt").write_text(
            f"{name}({given!r:.2000})".encode("utf-8", "replace").decode()
        )
        return lambda: call(**given)

    return attempt


KINDS: dict[str, Callable[[Path], Callable[[random.Random], Attempt]]] = {
    "pictures": pictures,
    "pickles": pickles,
    "arrays": arrays,
    "repos": repos,
    "sentences": sentences,
    "arguments": arguments,
}
