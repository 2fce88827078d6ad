"""Named points of a portrait, exact: where they are in the picture, and whether they can be seen.

The renderer knows its surfaces, so every point is a place on one of them, found by walking along a
ray: lids and lips lie where the formulas of `geometry` draw them, the outline is the skull's own,
a hairline is where hair begins on the forehead. "left" and "right" are the picture's. Points that
a face mesh of 478 points has as well are listed in MESH.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from faceedit.world import geometry
from faceedit.world.attributes import FaceAttributes
from faceedit.world.parameters import Parameters, prepare
from faceedit.world.places import MARKS, places
from faceedit.world.render import CAMERA_DISTANCE, FAR_PLANE, NEAR, VIEW_WIDTH, camera

__all__ = ["LANDMARKS", "MESH", "Landmarks", "landmarks", "mirrored_landmarks"]

LANDMARKS: tuple[str, ...] = tuple(mark.name for mark in MARKS)
# The same place on a face mesh with refined lips and irises (MediaPipe's numbering, 478 points).
MESH: dict[str, int] = {mark.name: mark.mesh for mark in MARKS if mark.mesh is not None}

MARCH_STEPS, PACE = 28, 0.9  # of the rays that look for a surface
# How far before a point something may lie that does not hide it: the lid that frames an iris does,
# the beard on a chin and the lock at a hairline do not.
SLACK = {"iris": 0.016, "ears": 0.10, "hairline": 0.16, "outline": 0.17, "hat": 0.08}
USUAL_SLACK = 0.06
MIRRORED = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Landmarks:
    """Named points of pictures, in the order of LANDMARKS.

    Attributes:
        points: [n, k, 2], x and y in pixels from the picture's top left corner; the centre of the
            first pixel is at 0.5. Points that are hidden, or belong to something that is not worn,
            are where they would be.
        visible: [n, k] bool.
    """

    points: Tensor
    visible: Tensor


@torch.no_grad()
def landmarks(attributes: FaceAttributes, size: int = 128) -> Landmarks:
    """Return the points of the portraits that `render` draws of the same attributes.

    Args:
        attributes: n people.
        size: Width and height of the picture in pixels.

    Raises:
        ValueError: If the size is not positive.
    """
    if size < 1:
        raise ValueError(f"size is {size}; a picture is at least 1 px wide")
    p = prepare(attributes, attributes.values.device)
    space = places(p)
    seen = _project(p, space)
    visible = _worn(p) & ~_hidden(p, space)
    inside = ((seen > 0) & (seen < 1)).all(-1)
    return Landmarks(seen * size, visible & inside)


def mirrored_landmarks() -> list[int]:
    """Return for every landmark the one that it is in the mirror image."""

    def other(name: str) -> str:
        side, _, rest = name.partition("_")
        return f"{MIRRORED[side]}_{rest}" if side in MIRRORED else name

    return [LANDMARKS.index(other(name)) for name in LANDMARKS]


def _eyes_view(p: Parameters) -> Tensor:
    """Where the camera stands, in head space, [n, 3]."""
    rows = [
        camera(SimpleNamespace(head=p.head[i : i + 1]), 1, p.head.device)[0]
        for i in range(len(p.head))
    ]
    return torch.stack(rows) if rows else p.head.new_zeros(0, 3)


def _project(p: Parameters, space: Tensor) -> Tensor:
    """Points in head space, [n, k, 3], to shares of the picture's width and height, [n, k, 2]."""
    away = torch.einsum("nij,nkj->nki", p.head, space - _eyes_view(p)[:, None])
    plane = away[..., :2] * CAMERA_DISTANCE / (-away[..., 2:]).clamp(min=1e-3) / VIEW_WIDTH
    return torch.stack([0.5 + plane[..., 0], 0.5 - plane[..., 1]], dim=-1)


def _worn(p: Parameters) -> Tensor:
    """Whether there is such a point: no brim without a hat, no hairline on a bald head."""
    have = {
        "glasses": p.specs_on > 0.5,
        "hat": (p.hat_none < 0.5),
        "hairline": (p.cut_none < 0.5),
    }
    columns = [have.get(mark.group, torch.ones_like(p.age) > 0) for mark in MARKS]
    return torch.cat(columns, dim=1)


def _hidden(p: Parameters, space: Tensor) -> Tensor:
    """Whether something lies before a point, seen from the camera, [n, k]."""
    eye = _eyes_view(p)
    ray = space - eye[:, None]
    far = ray.norm(dim=-1)
    direction = ray / far[..., None]
    t = torch.full_like(far, NEAR)
    slack = far.new_tensor([SLACK.get(mark.group, USUAL_SLACK) for mark in MARKS])
    for _ in range(MARCH_STEPS):
        at = eye[:, None] + direction * t[..., None]
        d = geometry.distance(p, at[..., 0], at[..., 1], at[..., 2])
        t = torch.minimum(t + d * PACE, far.clamp(max=FAR_PLANE + 1))
    return t < far - slack
