"""What is new or gone: glasses, hats, beards and earrings, drawn at the photograph's resolution.

The pair says what is worn before and after, which kind it is and which colour it has. Nothing of
its pixels is pasted. What both faces of the pair wear, and what only the inversion made up, stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceedit.transfer.beard import draw_beard, read_beard
from faceedit.transfer.earrings import draw_earrings, read_earrings
from faceedit.transfer.glasses import draw_glasses, read_glasses
from faceedit.transfer.head import AVERAGE_HEAD, Head, fit_head
from faceedit.transfer.layers import Layers
from faceedit.transfer.light import Light, linear, read_light
from faceedit.transfer.view import View
from faceedit.transfer.wearing import read_hat, wear_hat

FACE = ("skin", "nose")
NEAR = 25.0  # of 255: so much less or more bright skin is taken as it is


@dataclass(frozen=True)
class Heads:
    """The views of the heads of the photograph and of the pair, and the photograph's light."""

    photo: Head
    before: Head
    after: Head
    light: Light
    exposure: float  # how much brighter the photograph's skin is than the drawn face's


def replace_parts(photo: View, before: View, after: View) -> Layers:
    """Draw what the edited face has and the one before has not.

    Args:
        photo: The photograph, as the operators before left it.
        before: The drawn face before the edit.
        after: The drawn face after it.
    """
    heads = read_heads(photo, before, after)
    if heads is None:
        return Layers()
    layers, seen = Layers(), photo
    for operator in (_beard, _earrings, _glasses, _hat):
        found = operator(seen, before, after, heads)
        if found is not None:
            layers, seen = layers.then(found), found.on(seen)
    return layers


def read_heads(photo: View, before: View, after: View) -> Heads | None:
    """Return how the heads are turned and lit; None where the photograph has no landmarks."""
    head = view_of_head(photo)
    if head is None:
        return None
    light = read_light(photo.image, photo.region(*FACE), head)
    seen, drawn = (_brightness(view) for view in (photo, before))
    exposure = float(np.clip(seen / max(drawn, 1e-3), 0.35, 1.5)) ** 0.7
    return Heads(
        photo=head,
        before=view_of_head(before) or head,
        after=view_of_head(after) or head,
        light=light,
        exposure=exposure,
    )


def view_of_head(view: View) -> Head | None:
    """Return how the head of a picture is turned, None without landmarks."""
    if view.points is None:
        return None
    places = {name: view.point(name) for name in AVERAGE_HEAD}
    try:
        return fit_head({name: place for name, place in places.items() if place is not None})
    except ValueError:
        return None


def _brightness(view: View) -> float:
    where = view.region(*FACE) > 0.7
    if where.sum() < 30:
        return 0.3
    return float(np.median(linear(view.image[where]).mean(1)))


def _beard(photo: View, before: View, after: View, heads: Heads) -> Layers | None:
    beard = read_beard(photo, before, after, (heads.photo, heads.before, heads.after))
    return None if beard is None else draw_beard(photo, heads.photo, heads.light, beard)


def _earrings(photo: View, before: View, after: View, heads: Heads) -> Layers | None:
    worn, wanted = read_earrings(before, heads.before), read_earrings(after, heads.after)
    if wanted is None or (worn is not None and worn.hoops == wanted.hoops):
        return None
    return draw_earrings(photo, heads.photo, heads.light, wanted)


def _glasses(photo: View, before: View, after: View, heads: Heads) -> Layers | None:
    worn = read_glasses(before, heads.before)
    wanted = read_glasses(after, heads.after)
    if wanted is None or (worn is not None and worn.style == wanted.style):
        return None
    own = read_glasses(photo, heads.photo)
    if own is not None and own.style == wanted.style:
        return None
    return draw_glasses(photo, heads.photo, heads.light, wanted)


def _hat(photo: View, before: View, after: View, heads: Heads) -> Layers | None:
    worn = read_hat(before, heads.before, heads.exposure)
    wanted = read_hat(after, heads.after, heads.exposure)
    if wanted is None or (worn is not None and worn.kind == wanted.kind):
        return None
    return wear_hat(photo, heads.photo, heads.light, wanted)
