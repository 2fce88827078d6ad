"""What the world looks like: pictures, regions and landmarks, recorded with its version.

`python -m tests.golden.world` records them anew, which a new WORLD_VERSION needs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from faceedit.world import (
    SPECS,
    WORLD_VERSION,
    FaceAttributes,
    landmarks,
    render,
    sample_attributes,
)
from faceedit.world.captions import describe, truth
from faceedit.world.parameters import prepare
from faceedit.world.render import _distance, _fine, _shade

PLACE = Path(__file__).with_name("world.npz")
SIZE = 48  # px


def people() -> FaceAttributes:
    """Six faces on which nearly everything that can be drawn is drawn."""
    plain = FaceAttributes.default(1)
    bearded = plain.replace(
        beard="full", moustache=0.8, glasses="round", hat="headband", age=60.0, freckles=0.8,
        femininity=0.1, hair_color="brown", earrings="hoops", mouth_open=0.5, smile=0.4, yaw=15.0,
    )  # fmt: skip
    woman = plain.replace(
        femininity=1.0, hair_style="long wavy", fringe=0.8, lipstick=0.9, eyeshadow=0.8, blush=0.7,
        earrings="studs", hair_color="red", eye_color="green", smile=0.8, pitch=5.0,
        light_azimuth=-40.0, light_warmth=0.7, clothing="v-neck", brow_raise=0.7,
    )  # fmt: skip
    worn = plain.replace(
        hat="beanie", glasses="sunglasses", beard="goatee", hair_style="curly", femininity=0.4,
        skin_tone=0.8, asymmetry=0.5, smirk=0.6, eye_open=0.3, mouth_width=0.7, nose_width=0.8,
    )  # fmt: skip
    others = sample_attributes(3, seed=12)  # whose shapes are all a little off the average
    young = others[0].replace(
        hair_style="ponytail", hair_color="blond", beard="stubble", moustache=0.3, skin_tone=0.15,
        hat="none", glasses="square", clothing="hoodie", yaw=-18.0, pitch=-8.0, eye_open=0.9,
        femininity=0.2, age=28.0,
    )  # fmt: skip
    dark = others[1].replace(
        hair_style="bun", skin_tone=0.95, hat="none", glasses="none", age=78.0, smile=-0.8,
        brow_raise=-0.9, mouth_open=0.0, clothing="turtleneck", gaze_x=0.8,
    )  # fmt: skip
    capped = others[2].replace(
        hair_style="afro", hair_color="grey", hat="cap", clothing="shirt", mouth_open=1.0,
        eye_open=1.0, gaze_y=-0.8, freckles=1.0, skin_tone=0.4,
    )  # fmt: skip
    return FaceAttributes.cat([bearded, woman, worn, young, dark, capped])


def pictures() -> list[np.ndarray]:
    """Draw them: levels [3, h, w] of 255, and regions times 10, of each."""
    found = render(people(), SIZE, supersampling=1)
    levels = (found.image + 1).mul(127.5).round().numpy()
    return [*levels, *(10 * found.segmentation.int().numpy())]


def recorded() -> list[np.ndarray]:
    """Return the pictures that were recorded."""
    with np.load(PLACE) as file:
        return [*file["levels"], *(10 * file["regions"].astype(int))]


def numbers() -> dict[str, np.ndarray]:
    """Return whom seeds draw, and where landmarks lie, in shares of the side."""
    found = landmarks(people(), 1)
    return {
        "people": sample_attributes(40, seed=3).values.numpy(),
        "points": found.points.numpy(),
        "visible": found.visible.numpy(),
    }


def words() -> dict[str, np.ndarray]:
    """Return what is true of people, and a hash of what is said of them."""
    people = sample_attributes(200, seed=8)
    said = [
        one.text
        for split in ("train", "heldout")
        for one in describe(people, seed=2, split=split)  # type: ignore[arg-type]
    ]
    digest = hashlib.sha256("\n".join(said).encode()).hexdigest()
    return {"truth": truth(people).numpy(), "said": np.array(digest)}


def formulas() -> dict[str, np.ndarray]:
    """Return what the formulas of a head say, of forty people and at random places of space.

    Pictures show a formula where it is at the surface of one of six people; this asks all of them
    of everybody, without drawing anybody: parameters, distances to surfaces, colours, landmarks.
    """
    people = _everybody()
    p = prepare(people, people.values.device)
    found = {f"parameter {name}": _in_brief(value) for name, value in vars(p).items()}
    draws = torch.Generator().manual_seed(6)
    shape = (len(people), 300)
    x, y, z = (torch.rand(shape, generator=draws) * wide - low
               for wide, low in ((2.2, 1.1), (2.8, 1.5), (2.0, 0.9)))  # fmt: skip
    values = vars(p)
    with torch.no_grad():
        found["distance"] = _in_brief(_distance(values, x, y, z))
        found["fine distance"] = _in_brief(_fine(values, x, y, z))
        normal, view = (
            [part / 3**0.5 * (1.3 - torch.rand(shape, generator=draws)) for _ in range(3)]
            for part in (torch.ones(shape), -torch.ones(shape))
        )
        shade = torch.rand(shape, generator=draws)
        colour, label = _shade(values, x, y, z, normal, view, shade, 1 - shade)
        for name, part in zip(("red", "green", "blue"), colour, strict=True):
            found[name] = _in_brief(part)
        found["label"] = _in_brief(label)
    return found


def _everybody() -> FaceAttributes:
    """Forty people among whom every value of every choice is met."""
    people = sample_attributes(40, seed=31)
    turn = torch.arange(40)
    return people.replace(**{
        name: (turn // step % len(spec.values)).float()
        for step, (name, spec) in enumerate(
            ((name, spec) for name, spec in SPECS.items() if spec.values), start=1
        )
    })  # fmt: skip


def _in_brief(value: torch.Tensor) -> np.ndarray:
    """Return four random projections of all that is known, and its root mean square, [5]."""
    flat = value.double().reshape(1, -1)
    draws = torch.Generator().manual_seed(2)
    weights = torch.randn(flat.shape[1], 4, generator=draws, dtype=torch.float64)
    size = flat.square().mean(1, keepdim=True).sqrt()
    return torch.cat([flat @ weights / flat.shape[1] ** 0.5, size], 1)[0].numpy()


def recorded_formulas() -> dict[str, np.ndarray]:
    """Return what was recorded of the formulas."""
    with np.load(PLACE) as file:
        names = str(file["names"]).split("\n")
        return dict(zip(names, file["formulas"], strict=True))


def recorded_numbers(*names: str) -> dict[str, np.ndarray]:
    """Return some of the numbers that were recorded."""
    with np.load(PLACE) as file:
        return {name: file[name] for name in names}


def version() -> str:
    """Return the version of the world that was recorded."""
    with np.load(PLACE) as file:
        return str(file["version"])


def record() -> None:
    """Record the pictures of this version."""
    drawn = pictures()
    count = len(drawn) // 2
    levels = np.stack(drawn[:count]).astype(np.uint8)
    regions = (np.stack(drawn[count:]) // 10).astype(np.uint8)
    named = {"levels": levels, "regions": regions, "version": np.array(WORLD_VERSION)}
    known = formulas()
    named["names"], named["formulas"] = np.array("\n".join(known)), np.stack([*known.values()])
    np.savez_compressed(PLACE, **named, **numbers(), **words())


if __name__ == "__main__":
    record()
