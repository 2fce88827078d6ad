"""Labels of a photograph -> the world's attributes that its character should have.

What a person saw (`portraits`) says a third of the attributes, the mesh says where the head turns
to and how far the mouth is open. Every attribute gets a weight: 0 where nothing is known of it.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceedit.world import SPECS, FaceAttributes
from faceedit.world.attributes import OLDEST, YOUNGEST
from training.photographs.portraits import LabelledPhoto

__all__ = ["Character", "character_of", "covered_by"]

SKIN = {"very light": 0.06, "light": 0.26, "medium": 0.47, "brown": 0.66, "dark": 0.88}
EXPRESSION = {
    **{"neutral": -0.05, "serious": -0.2, "sad": -0.6},
    **{"slight smile": 0.6, "smile with teeth": 0.85, "laugh": 0.95},
}
HAIR_COLORS = ("black", "dark brown", "brown", "blond", "red", "grey", "white")
# Weights of attributes in a character: how much a person minds when they are wrong.
WEIGHTS = {
    **{"femininity": 3.0, "age": 2.0, "skin_tone": 2.0, "beard": 2.0, "moustache": 1.5},
    **{"hair_style": 1.5, "hair_color": 1.5, "fringe": 0.4, "hat": 2.0, "hat_hue": 0.5},
    **{"glasses": 1.5, "earrings": 0.4, "smile": 2.5, "mouth_open": 2.5, "yaw": 0.7},
    **{"eye_open": 0.3},
    **dict.fromkeys(("cloth_hue", "cloth_saturation", "cloth_value"), 0.3),
    **dict.fromkeys(("background_hue", "background_saturation", "background_value"), 0.3),
}
# Points of the face mesh.
EYE_CORNERS, NOSE_TIP, INNER_LIPS, MOUTH_CORNERS = (33, 263), 1, (13, 14), (61, 291)
LIDS = ((159, 145, 33, 133), (386, 374, 362, 263))  # upper, lower, corners
NOSE_DEPTH = 0.45  # of the nose's tip before the eyes, in distances of the outer corners
# The world's faces age slowly: what looks 30 in a photograph is drawn with the face of 23, what
# looks 60 with that of 70. Otherwise the middle ages all look like 40.
SEEN_AGES, DRAWN_AGES = (18, 34, 37, 54, 57, 90), (YOUNGEST, 24, 40, 52, 68, OLDEST)
COLORED = 0.15  # saturation of cloth that has a hue
PALE_HUE = 0.6  # of a hat for black, white and grey cloth: the world's hats all have colours
WIDE_OPEN = 0.45  # height of the mouth's gap over its width that counts as wide open


@dataclass(frozen=True)
class Character:
    """What is known of whom a photograph shows.

    Attributes:
        values: [A] float32, in the order of SPECS; those that are not known mean nothing.
        weights: [A] float32, how much each counts; 0: not known.
    """

    values: Tensor
    weights: Tensor

    def replaced(self, **changes: float | str) -> Character:
        """Return it with these attributes said."""
        values, weights = self.values.clone(), self.weights.clone()
        for name, value in changes.items():
            values[_INDEX[name]] = _number(name, value)
            weights[_INDEX[name]] = WEIGHTS[name]
        return Character(values, weights)

    def without(self, *names: str) -> Character:
        """Return it with nothing said of these attributes."""
        weights = self.weights.clone()
        for name in names:
            weights[_INDEX[name]] = 0
        return Character(self.values, weights)


_INDEX = {name: i for i, name in enumerate(SPECS)}


def _number(name: str, value: float | str) -> float:
    spec = SPECS[name]
    if isinstance(value, str):
        return float(spec.values.index(value))
    return min(max(float(value), spec.low), spec.high)


def character_of(photo: LabelledPhoto) -> Character:
    """Return what is known of a photograph's character."""
    said = _labelled(photo.labels) | _measured(photo)
    blank = Character(FaceAttributes.default().values[0], torch.zeros(len(SPECS)))
    return blank.replaced(**said)


def _labelled(label: dict[str, Any]) -> dict[str, float | str]:
    """Return what the labels say."""
    female = label["sex"] == "female"
    said: dict[str, float | str] = {
        "femininity": 0.88 if female else 0.12,
        "age": float(np.interp(label["visible_age"], SEEN_AGES, DRAWN_AGES)),
        "beard": label["beard"],
        "moustache": 0.8 if label.get("moustache") else 0.0,
    }
    if label["skin"] in SKIN:
        said["skin_tone"] = SKIN[label["skin"]]
    if label.get("expression") in EXPRESSION:
        said["smile"] = EXPRESSION[label["expression"]]
    if label["glasses"] in ("none", "sunglasses"):
        said["glasses"] = label["glasses"]
    else:
        said["glasses"] = "round" if female else "square"
    if label.get("earrings") in (True, False):
        large = any(word in str(label.get("notes")) for word in ("hoop", "large", "dangling"))
        said["earrings"] = ("hoops" if large else "studs") if label["earrings"] else "none"
    if label["hair_color"] in HAIR_COLORS:
        said["hair_color"] = label["hair_color"]
    if (style := hair_style(label)) is not None:
        said["hair_style"] = style
        said["fringe"] = 0.8 if label.get("fringe") else 0.0
    said["hat"] = {"none": "none", "cap": "cap", "beanie": "beanie", "hat": "beanie"}.get(
        str(label["headwear"]), "beanie"
    )
    return said


def hair_style(label: dict[str, Any]) -> str | None:
    """Return the world's haircut that is nearest to the labels'; None where it is hidden."""
    length, texture = label.get("hair_length"), label.get("hair_texture")
    words = str(label.get("hair_style", ""))
    if length == "bald":
        return "bald"
    if length == "very short":
        return "buzz cut"
    if length == "short":
        if texture == "afro":
            return "afro" if label["sex"] == "female" else "buzz cut" if "fade" in words else "afro"
        if texture == "curly":
            return "curly"
        return "quiff" if any(w in words for w in ("quiff", "brushed up", "volume")) else "short"
    if length == "chin":
        return "bob"
    if length == "long":
        return "long straight" if texture in ("straight", "braids") else "long wavy"
    return None


def _measured(photo: LabelledPhoto) -> dict[str, float | str]:
    """Return what the mesh and the picture's colours say."""
    mesh, label = photo.mesh, photo.labels
    left, right = mesh[EYE_CORNERS[0]], mesh[EYE_CORNERS[1]]
    across = right - left
    width = float(np.linalg.norm(across))
    offset = float((mesh[NOSE_TIP] - (left + right) / 2) @ across) / width**2
    gap = float(np.linalg.norm(mesh[INNER_LIPS[1]] - mesh[INNER_LIPS[0]]))
    mouth = float(np.linalg.norm(mesh[MOUTH_CORNERS[1]] - mesh[MOUTH_CORNERS[0]]))
    open_by = min(gap / mouth / WIDE_OPEN, 1.0)
    said: dict[str, float | str] = {
        "yaw": math.degrees(math.atan(offset / NOSE_DEPTH)),
        "mouth_open": 0.5 + 0.45 * open_by if label["mouth_open"] else 0.05 * open_by,
    }
    said |= _colors(photo, "background", photo.person < 40)
    rows = np.arange(len(photo.image))[:, None]
    person = photo.person > 200
    if label["headwear"] != "headscarf":
        low = (rows > mesh[152, 1] + 0.7 * photo.pupils) & person
        low &= abs(np.arange(len(photo.image)) - mesh[152, 0]) > 0.9 * photo.pupils
        said |= _colors(photo, "cloth", low)
    if label["headwear"] != "none":
        color = _colors(photo, "hat", (rows < mesh[10, 1] - 0.15 * photo.pupils) & person)
        colored = float(color.get("hat_saturation", 0)) > COLORED
        said["hat_hue"] = color["hat_hue"] if colored else PALE_HUE
    return said


def _colors(photo: LabelledPhoto, name: str, where: np.ndarray) -> dict[str, float | str]:
    """Return hue, saturation and value of a part; nothing where the part is small."""
    where = where & photo.inside
    if where.sum() < 0.01 * where.size:
        return {}
    color = linear(np.median(photo.image[where], axis=0) / 255)
    parts = zip(("hue", "saturation", "value"), colorsys.rgb_to_hsv(*color), strict=True)
    return {f"{name}_{part}": float(value) for part, value in parts}


def linear(color: np.ndarray) -> np.ndarray:
    """Turn sRGB in [0, 1] into linear light, in which the world's colours are given."""
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def covered_by(color: np.ndarray) -> dict[str, float | str]:
    """Return what the world says of a head that is covered by cloth of a colour, sRGB in [0, 1]."""
    hue, saturation, _ = colorsys.rgb_to_hsv(*linear(color).tolist())
    return {"hat": "beanie", "hat_hue": hue if saturation > COLORED else PALE_HUE}
