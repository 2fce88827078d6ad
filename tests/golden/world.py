"""What the world looks like: pictures, regions and landmarks, recorded with its version.

`python -m tests.golden.world` records them anew, which a new WORLD_VERSION needs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from faceedit.world import (
    WORLD_VERSION,
    FaceAttributes,
    landmarks,
    render,
    sample_attributes,
)

PLACE = Path(__file__).with_name("world.npz")
SIZE = 48  # px


def people() -> FaceAttributes:
    """Three faces on which nearly everything that can be drawn is drawn."""
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
    return FaceAttributes.cat([bearded, woman, worn])


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
    """Return whom seeds draw, and where the landmarks of the three lie, in shares of the side."""
    found = landmarks(people(), 1)
    return {
        "people": sample_attributes(12, seed=3).values.numpy(),
        "points": found.points.numpy(),
        "visible": found.visible.numpy(),
    }


def recorded_numbers() -> dict[str, np.ndarray]:
    """Return the numbers that were recorded."""
    with np.load(PLACE) as file:
        return {name: file[name] for name in ("people", "points", "visible")}


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
    np.savez_compressed(PLACE, **named, **numbers())


if __name__ == "__main__":
    record()
