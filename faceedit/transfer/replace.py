"""What is new or gone: glasses, hats, beards and earrings, drawn at the photograph's resolution.

The pair says what is worn before and after, which kind it is and which colour it has. Nothing of
its pixels is pasted. What both faces of the pair wear, and what only the inversion made up, stays,
and so does what the sentence does not name where it names something else. What it names and the
photograph lacks is drawn even where the drawn face had it before, if the edit moves towards it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from faceedit.transfer.beard import draw_beard, grown_parts, moved_towards, read_beard
from faceedit.transfer.earrings import GOLD, LEAST_MM2, Earrings, draw_earrings, read_earrings
from faceedit.transfer.glasses import draw_glasses, read_glasses
from faceedit.transfer.hair import HANGS, Style, shaped
from faceedit.transfer.head import AVERAGE_HEAD, SKULL_AXES, SKULL_CENTRE, Head, fit_head
from faceedit.transfer.layers import Layers
from faceedit.transfer.light import Light, linear, read_light
from faceedit.transfer.own_hair import with_own_hair
from faceedit.transfer.removal import shave, take_off_glasses, take_out_earrings
from faceedit.transfer.restyle import restyle
from faceedit.transfer.view import View
from faceedit.transfer.wearing import read_hat, wear_hat

FACE = ("skin", "nose")
LOW = (-100.0, -120.0)  # mm over the eyes: a band beside the neck
BESIDE, HANGING = (-40.0, -60.0), 600.0  # a band beside the mouth; mm^2 of hair in it: it hangs
LIES = 600.0  # mm^2 of hair in it: it goes on over the shoulders
HAT_MM2 = 3000.0  # of a hat in the photograph: it wears one
SURE = 0.45  # how likely the reader must find a haircut
CERTAIN = 0.85  # and both hats, where one hat becomes another
ALIKE_FALLING = 0.72  # the same, between hair that hangs one way or another
ALIKE = 0.83  # share of the hair's outline that two drawn faces have in common: one cut
STYLES = {  # what can be drawn
    "bald": Style("bald"),
    "buzz cut": Style("buzz cut"),
    "bob": Style("bob", end=-84, volume=7, fringe=27),
    "long straight": Style("long straight", end=-185, part=6),
    "long wavy": Style("long wavy", end=-185, wave=8, part=-6, volume=4),
    "afro": Style("afro"),
    "curly": Style("curly"),
    "mohawk": Style("mohawk"),
}


@dataclass(frozen=True, eq=False)
class Heads:
    """How the heads of the photograph and of the pair are turned, and what light falls on them."""

    photo: Head
    drawn: Head  # one view for both: an edit does not turn the head
    views: tuple[View, View]  # the photograph and the face before

    @cached_property
    def light(self) -> Light:
        """The light on the photograph's face."""
        view = self.views[0]
        return read_light(view.image, view.region(*FACE), self.photo)

    @cached_property
    def exposure(self) -> float:
        """How much brighter the photograph's skin is than the drawn face's."""
        seen, drawn = (_brightness(view) for view in self.views)
        return float(np.clip(seen / max(drawn, 1e-3), 0.35, 1.5)) ** 0.7


def replace_parts(photo: View, before: View, after: View) -> Layers:
    """Draw what the edited face has and the one before has not.

    Args:
        photo: The photograph, as the operators before left it.
        before: The drawn face before the edit.
        after: The drawn face after it.
    """
    photo = with_own_hair(photo)
    heads = read_heads(photo, before, after)
    if heads is None:
        return Layers()
    layers, seen = Layers(), photo
    for operator in (_hair, _beard, _earrings, _glasses, _hat):
        found = operator(seen, before, after, heads)
        if found is not None:
            layers, seen = layers.then(found), found.on(seen)
    return layers


def read_heads(photo: View, before: View, after: View) -> Heads | None:
    """Return how the heads are turned; None where the photograph has no landmarks."""
    head = view_of_head(photo)
    if head is None:
        return None
    return Heads(head, view_of_head(before) or view_of_head(after) or head, (photo, before))


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


def _hair(photo: View, before: View, after: View, heads: Heads) -> Layers | None:
    """New hair where the drawn face's cut becomes another one, or its hat comes off."""
    bared = _worn(before, "hat") and not _worn(after, "hat") and _area(photo, "hat", heads) > 900
    if bared and after.asked.may("hat"):
        has = after.choice("hair_style")
        name = None if has is None else has[0]
    elif after.asked.may("hair"):
        name = _cut(before, after, heads)
    else:
        return None
    if name is None or (name == "bald" and not bared and _area(photo, "hair", heads) < 400):
        return None
    lies = not bared and _hanging(photo, heads, LOW) > LIES
    if name == "bob" and not lies and _hanging(photo, heads, BESIDE) > HANGING:
        return None  # it has that length
    if lies:
        if name in HANGS[1:]:
            return None  # it is long already
        return Layers(notes=("Hair that lies on the shoulders stays: what it hides is not known.",))
    if name not in STYLES:
        return Layers(notes=(f"Hair cannot be put up or cut into this shape: {name}.",))
    style = shaped(STYLES[name], after, heads.drawn)
    return restyle(photo, heads.photo, heads.light, style)


def _cut(before: View, after: View, heads: Heads) -> str | None:
    """Return the cut that the edit gives the drawn face, None where it stays the same."""
    had, has = before.choice("hair_style"), after.choice("hair_style")
    if had is None or has is None or _covered(after, heads):
        return None  # what a hat covers is a guess
    for kind in sorted(after.asked.wants("hair") & set(STYLES)):
        if had[0] != kind and moved_towards(before, after, f"hair_style: {kind}"):
            return kind
    if had[0] == has[0] or has[1] < SURE or before.traits[f"hair_style: {has[0]}"] > 0.5:
        return None
    falls = had[0] in HANGS and has[0] in HANGS  # told apart by their length alone
    alike = ALIKE_FALLING if falls else ALIKE
    return None if _alike(before, after, "hair") > alike else has[0]  # one outline is one cut


def _hanging(photo: View, heads: Heads, between: tuple[float, float]) -> float:
    """Return how much hair hangs beside the face or the neck between two heights, mm^2.

    Parsers lose hair that lies on cloth, so what lies there is told by what leads there.
    """
    _, y = heads.photo.plane(photo.shape)
    low = (photo.region("hair") > 0.5) & (y < between[0]) & (y > between[1])
    return float(low.sum()) / heads.photo.scale**2


def _beard(photo: View, before: View, after: View, heads: Heads) -> Layers | None:
    if not after.asked.may("beard"):
        return None
    turned = (heads.photo, heads.drawn, heads.drawn)
    had, has = (
        sum(grown_parts(*pair).values()) for pair in zip((before, after), turned[1:], strict=True)
    )
    if (had > 0.6 and has < 0.5 * had) or after.asked.rejects("beard"):
        return shave(photo, heads.photo, heads.light)
    beard = read_beard(photo, before, after, turned)
    if beard is None or isinstance(beard, Layers):
        return beard
    return draw_beard(photo, heads.photo, heads.light, beard)


def _earrings(photo: View, before: View, after: View, heads: Heads) -> Layers | None:
    if not after.asked.may("earrings"):
        return None
    if after.asked.rejects("earrings"):
        return take_out_earrings(photo, heads.photo)
    worn, wanted = read_earrings(before, heads.drawn), read_earrings(after, heads.drawn)
    for kind in sorted(after.asked.wants("earrings") & {"hoops", "studs"}):
        more = _area(after, "earring", heads) > _area(before, "earring", heads) + LEAST_MM2
        if wanted is None and (more or moved_towards(before, after, f"earrings: {kind}")):
            wanted = Earrings(kind == "hoops", GOLD)
        elif wanted is not None:
            wanted = replace(wanted, hoops=kind == "hoops")
    if wanted is None:
        return None if worn is None else take_out_earrings(photo, heads.photo)
    had = _area(photo, "earring", heads) > 2 * LEAST_MM2
    if worn is not None and worn.hoops == wanted.hoops and (had or not after.asked.kinds):
        return None
    return draw_earrings(photo, heads.photo, heads.light, wanted)


def _glasses(photo: View, before: View, after: View, heads: Heads) -> Layers | None:
    if not after.asked.may("glasses"):
        return None
    if after.asked.rejects("glasses"):
        return take_off_glasses(photo, heads.photo)
    worn, wanted = read_glasses(before, heads.drawn), read_glasses(after, heads.drawn)
    if wanted is None:
        return None if worn is None else take_off_glasses(photo, heads.photo)
    named = after.asked.wants("glasses") & {"dark", "round", "square"}
    if named:
        wanted = replace(wanted, style=min(named))
    own = read_glasses(photo, heads.photo)
    if own is not None and own.style == wanted.style:
        return None
    if worn is not None and worn.style == wanted.style and not named:
        return None
    return draw_glasses(photo, heads.photo, heads.light, wanted)


def _hat(photo: View, before: View, after: View, heads: Heads) -> Layers | None:
    if not after.asked.may("hat") or read_hat(after, heads.drawn, 1.0) is None:
        return None
    worn = read_hat(before, heads.drawn, heads.exposure)
    wanted = read_hat(after, heads.drawn, heads.exposure)
    if wanted is None:
        return None
    named = after.asked.wants("hat") - {""}
    if named:
        wanted = replace(wanted, kind=min(named))
    if named and _covering(photo, heads) > HAT_MM2:
        return Layers(notes=("The hat that is worn stays on: what is below it is not known.",))
    if worn is not None and not named:  # another hat must be told apart surely
        told = [view.choice("hat") for view in (before, after)]
        sure = all(choice is not None and choice[1] > CERTAIN for choice in told)
        if not sure or worn.kind == wanted.kind:
            return None
    return wear_hat(photo, heads.photo, heads.light, wanted)


def _worn(view: View, name: str) -> bool:
    found = view.choice(name)
    return found is not None and found[0] != "none"


def _covered(view: View, heads: Heads) -> bool:
    """Return whether a drawn face wears a hat, by the reader or by its outline."""
    return _worn(view, "hat") or read_hat(view, heads.drawn, 1.0) is not None


def _covering(photo: View, heads: Heads) -> float:
    """Return how much hat the photograph's own head wears, mm^2."""
    _, inside = heads.photo.meet(photo.shape, SKULL_CENTRE, SKULL_AXES)
    return float(((photo.region("hat") > 0.5) & (inside > 0)).sum()) / heads.photo.scale**2


def _alike(one: View, other: View, name: str) -> float:
    """Return how much of a region two pictures share, intersection over union."""
    a, b = one.region(name) > 0.5, other.region(name) > 0.5
    return float((a & b).sum()) / max(float((a | b).sum()), 1.0)


def _area(view: View, name: str, heads: Heads) -> float:
    """Return how much of a picture is a region, mm^2 of the head."""
    return float((view.region(name) > 0.5).sum()) / heads.photo.scale**2
