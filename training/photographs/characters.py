"""Labels of a photograph -> the world's attributes that its character should have.

What a person saw (`portraits`) says a third of the attributes, the mesh says where the head turns
to and how far the mouth is open. Nothing is known of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceedit.world import SPECS, FaceAttributes
from training.photographs.portraits import LabelledPhoto

__all__ = ["Character", "character_of"]

SKIN = {"very light": 0.06, "light": 0.26, "medium": 0.47, "brown": 0.66, "dark": 0.88}
EXPRESSION = {
    **{"neutral": -0.05, "serious": -0.2, "sad": -0.6},
    **{"slight smile": 0.6, "smile with teeth": 0.85, "laugh": 0.95},
}
HAIR_COLORS = ("black", "dark brown", "brown", "blond", "red", "grey", "white")
# Points of the face mesh.
EYE_CORNERS, NOSE_TIP, INNER_LIPS, MOUTH_CORNERS = (33, 263), 1, (13, 14), (61, 291)
NOSE_DEPTH = 0.45  # of the nose's tip before the eyes, in distances of the outer corners
WIDE_OPEN = 0.45  # height of the mouth's gap over its width that counts as wide open


@dataclass(frozen=True)
class Character:
    """What is known of whom a photograph shows.

    Attributes:
        values: [A] float32, in the order of SPECS; those that are not known mean nothing.
        known: [A] bool.
    """

    values: Tensor
    known: Tensor


def character_of(photo: LabelledPhoto) -> Character:
    """Return what is known of a photograph's character; the age is the one that shows."""
    values = FaceAttributes.default().values[0].clone()
    known = torch.zeros(len(SPECS), dtype=torch.bool)
    names = list(SPECS)
    for name, value in (_labelled(photo.labels) | _measured(photo)).items():
        index, spec = names.index(name), SPECS[name]
        values[index] = spec.values.index(value) if isinstance(value, str) else value
        known[index] = True
    return Character(values, known)


def _labelled(label: dict[str, Any]) -> dict[str, float | str]:
    """Return what the labels say."""
    female = label["sex"] == "female"
    said: dict[str, float | str] = {
        "femininity": 0.88 if female else 0.12,
        "age": float(label["visible_age"]),
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
    """Return what the mesh says."""
    mesh, turned = photo.mesh, SPECS["yaw"]
    left, right = mesh[EYE_CORNERS[0]], mesh[EYE_CORNERS[1]]
    across = right - left
    width = float(np.linalg.norm(across))
    offset = float((mesh[NOSE_TIP] - (left + right) / 2) @ across) / width**2
    yaw = math.degrees(math.atan(offset / NOSE_DEPTH))
    gap = float(np.linalg.norm(mesh[INNER_LIPS[1]] - mesh[INNER_LIPS[0]]))
    mouth = float(np.linalg.norm(mesh[MOUTH_CORNERS[1]] - mesh[MOUTH_CORNERS[0]]))
    open_by = min(gap / mouth / WIDE_OPEN, 1.0)
    return {
        "yaw": min(max(yaw, turned.low), turned.high),
        "mouth_open": 0.5 + 0.45 * open_by if photo.labels["mouth_open"] else 0.05 * open_by,
    }
