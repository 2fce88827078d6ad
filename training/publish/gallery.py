"""The pictures of `docs/sheets/`: the world, random faces and inversions, at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import torch
from torch import Tensor

from faceedit.backbones import Backbones
from faceedit.backbones.encoder import Encoder
from faceedit.backbones.identity import Identity
from faceedit.backbones.stylegan2 import Generator
from faceedit.editor import FaceEditor
from faceedit.errors import FaceEditError
from faceedit.inversion import invert, to_tensor
from faceedit.photo import align
from faceedit.types import Space
from faceedit.world import SPECS, FaceAttributes, render, sample_attributes
from training.config import ConfigError
from training.data.shards import WorldShards
from training.measures.generator import samples
from training.measures.networks import MissingWeightsError, Setting, network, require
from training.sheets import FONT_SIZE, INK, PAPER, contact_sheet, save_sheet, to_pil

__all__ = ["captioned", "write_sheets"]

SWEPT = (
    *("smile", "mouth_open", "age", "femininity", "skin_tone", "face_width", "nose_width"),
    *("hair_style", "hair_color", "beard", "glasses", "hat", "yaw", "light_azimuth"),
)
STEPS = 6  # values of a swept attribute
REFINE_STEPS = 60
COLUMNS = 8
PHOTO_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
Sheets = Iterator[tuple[str, PIL.Image.Image]]  # file name without ending, picture


def write_sheets(setting: Setting, folder: Path, photos: Path | None = None) -> list[str]:
    """Write every sheet that the present networks allow.

    Args:
        setting: Where data and networks are.
        folder: Where the sheets go.
        photos: A folder of photographs; without it there are no sheets of photos.

    Returns:
        A line for every sheet: its file and size, or why there is none.
    """
    makers: dict[str, Any] = {
        "world": _world,
        "counterfactuals": _counterfactuals,
        "samples": _samples,
        "inversions": _inversions,
        "photos": partial(_photos, photos=photos),
    }
    lines = []
    for kind, make in makers.items():
        try:
            for name, sheet in make(setting):
                path = folder / f"{name}.jpg"
                lines.append(f"{path}: {save_sheet(sheet, path) / 1000:.0f} kB")
        except (ConfigError, FaceEditError) as error:
            lines.append(f"no sheet of {kind}: {error}")
    return lines


def captioned(image: Tensor, text: str) -> Tensor:
    """Write a line below a picture, [3, h, w] in [-1, 1]; returns [3, h + 16, w]."""
    strip = FONT_SIZE + 4
    height, width = image.shape[-2:]
    canvas = PIL.Image.new("RGB", (width, height + strip), PAPER)
    canvas.paste(to_pil(image))
    font = PIL.ImageFont.load_default(FONT_SIZE)
    place = (width // 2, height + strip // 2)
    PIL.ImageDraw.Draw(canvas).text(place, text, INK, font, anchor="mm")
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1).float().div(127.5).sub(1)


# ------------------------------------------------------------------------------ the world
def _heldout(setting: Setting, count: int) -> Tensor:
    """Return the first held-out renders, [n, 3, h, w]."""
    data = WorldShards(setting.data / "heldout")
    return data.rows(range(min(count, len(data)))).image


def _world(setting: Setting) -> Sheets:
    yield "world", contact_sheet(_heldout(setting, COLUMNS**2), COLUMNS)


def _counterfactuals(setting: Setting) -> Sheets:
    """One attribute a row, over its whole range, everything else as it was."""
    size = WorldShards(setting.data / "heldout").rows([0]).image.shape[-1]
    people = _plain_people()
    cells = []
    for row, name in enumerate(SWEPT):
        masculine = name == "beard" or row % 2
        person = people[1:] if masculine else people[:1]
        shown = [
            captioned(render(person.replace(**{name: value}), size).image[0], text)
            for value, text in _values(name)
        ]
        cells += [*shown, *([_blank(shown[0])] * (STEPS - len(shown)))]
    labels = [name.replace("_", " ") for name in SWEPT]
    yield "counterfactuals", contact_sheet(cells, STEPS, row_labels=labels)


def _plain_people() -> FaceAttributes:
    """Return a woman and a man with nothing that hides the face."""
    people = sample_attributes(400, seed=5)
    bare = torch.ones(len(people), dtype=torch.bool)
    for name in ("glasses", "hat", "beard"):
        bare &= people.column(name) == 0
    styles = torch.tensor([text in ("short", "bob") for text in people.label("hair_style")])
    young = (people.column("age") > 22) & (people.column("age") < 40)
    feminine = people.column("femininity")
    fit = bare & styles & young
    woman = (fit & (feminine > 0.7)).nonzero()[0]
    man = (fit & (feminine < 0.3)).nonzero()[0]
    return people[torch.cat([woman, man])]


def _values(name: str) -> list[tuple[float, str]]:
    """Return the values of a row, with what to write below each."""
    spec = SPECS[name]
    if spec.categorical:
        count = min(STEPS, len(spec.values))
        places = torch.linspace(0, len(spec.values) - 1, count).round().int().tolist()
        return [(float(i), spec.values[i]) for i in places]
    unit = " years" if spec.unit == "years" else "°" if spec.unit == "degrees" else ""
    steps = torch.linspace(spec.low, spec.high, STEPS).tolist()
    return [(value, f"{value:.2g}{unit}") for value in steps]


# ------------------------------------------------------------------------------ networks
def _samples(setting: Setting) -> Sheets:
    generator = network(setting, "generator", Generator)
    for psi in (0.8, 1.0):
        images = torch.cat(list(samples(generator, COLUMNS**2, psi, seed=1)))
        yield f"samples-psi-{psi}", contact_sheet(images, COLUMNS)


def _backbones(setting: Setting) -> Backbones:
    """Return what inversion needs."""
    generator = network(setting, "generator", Generator)
    encoder = network(setting, "encoder", Encoder)
    try:
        identity = network(setting, "identity", Identity)
    except MissingWeightsError:
        identity = None
    return Backbones(generator=generator, encoder=encoder, identity=identity)


def inversion_rows(images: Tensor, backbones: Backbones, first: str) -> PIL.Image.Image:
    """Show pictures, their inversions, and those after refinement, in bands of a few columns."""
    cells, labels = [], []
    for band in images.split(COLUMNS):
        plain = invert(band, Space.W_PLUS, backbones).image
        refined = invert(band, Space.W_PLUS, backbones, REFINE_STEPS).image
        for rows in (band, plain, refined):
            cells += [*rows.cpu(), *([_blank(band[0])] * (COLUMNS - len(band)))]
        labels += [first, "inverted", f"{REFINE_STEPS} steps"]
    return contact_sheet(cells, COLUMNS, row_labels=labels)


def _blank(image: Tensor) -> Tensor:
    paper = torch.tensor(PAPER).float().div(127.5).sub(1)
    return paper[:, None, None].expand(image.shape)


def _inversions(setting: Setting) -> Sheets:
    images = _heldout(setting, 2 * COLUMNS).to(setting.device)
    yield "inversions", inversion_rows(images, _backbones(setting), "render")


def photo_files(photos: Path | None) -> list[Path]:
    """Return the photographs of a folder.

    Raises:
        ConfigError: If there is no folder or nothing in it.
    """
    if photos is None:
        raise ConfigError("no photos given; pass --photos DIR")
    found = [p for p in sorted(photos.glob("*")) if p.suffix.lower() in PHOTO_ENDINGS]
    if not found:
        raise ConfigError(f"{photos} contains no photo that ends in {', '.join(PHOTO_ENDINGS)}")
    return found


def _photos(setting: Setting, photos: Path | None) -> Sheets:
    files = photo_files(photos)
    editor = _editor(setting, "generator", "encoder")
    size = editor.backbones.generator.config.resolution
    faces = []
    for path in files[: 2 * COLUMNS]:
        try:
            faces.append(to_tensor(align(path, None, size, framing=editor.framing).image))
        except FaceEditError:
            continue  # a photo without a face shows nothing here
    if not faces:
        raise ConfigError(f"no face was found in {photos}")
    images = torch.cat(faces).to(setting.device)
    yield "photos", inversion_rows(images, editor.backbones, "photo")


def _editor(setting: Setting, *needs: str) -> FaceEditor:
    """Load the editor, as a user would."""
    for name in needs:
        require(setting, name)
    return FaceEditor.from_pretrained(setting.base, device=setting.device)
