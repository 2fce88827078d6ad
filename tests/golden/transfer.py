"""What each kind of edit lays over a photograph: layers of a small picture, recorded as means.

`python -m tests.golden.transfer` records them anew, which a change of how things are drawn needs:
look at the pictures first (`python -m tests.golden.transfer FOLDER` writes them).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from faceedit.transfer import Asked, Layers, View
from faceedit.transfer.carry import find_layers
from faceedit.transfer.replace import view_of_head
from faceedit.transfer.view import Native
from faceedit.world import LANDMARKS, REGIONS
from faceedit.world.attributes import BEARDS, EARRINGS, GLASSES, HAIR_STYLES, HATS

PLACE = Path(__file__).with_name("transfer.npz")
SIZE = 128  # px
CELLS = 8  # a side, of whose means the record is made
FIELDS = ("move", "gain", "shift", "cover", "alpha", "grain")
CALM = {"smile": 0.0, "mouth_open": 0.0, "eye_open": 0.8, "age": 30.0, "blush": 0.1,
        "eyeshadow": 0.1, "freckles": 0.1, "lipstick": 0.0}  # fmt: skip
WORN = {"hair_style": "bob", "hat": "none", "glasses": "none", "beard": "none", "earrings": "none"}
KINDS = {"hair_style": HAIR_STYLES, "hat": HATS, "glasses": GLASSES, "beard": BEARDS,
         "earrings": EARRINGS}  # fmt: skip
Where = Callable[[np.ndarray, np.ndarray], np.ndarray]  # mm right and up of the eyes -> bool
SHAPES: dict[str, Where] = {
    "hat": lambda x, y: (y > 40) & (y < 105) & (abs(x) < 80),
    "brim": lambda x, y: (y > 34) & (y < 52) & (abs(x) < 125),
    "band": lambda x, y: (y > 45) & (y < 70) & (abs(x) < 72),
    "lip": lambda x, y: (y > -60) & (y < -50) & (abs(x) < 26),
    "chin": lambda x, y: (y > -118) & (y < -82) & (abs(x) < 24),
    "jaw": lambda x, y: (y > -112) & (y < -50) & (abs(x) < 62) & ~((y > -80) & (abs(x) < 28)),
    "rims": lambda x, y: abs(np.hypot(abs(x) - 32.3, y - 1.9) - 22) < 3,
    "lenses": lambda x, y: np.hypot(abs(x) - 32.3, y - 1.9) < 20,
    "hoops": lambda x, y: np.hypot(abs(x) - 72, y + 62) < 9,
    "ears": lambda x, y: (abs(abs(x) - 70) < 7) & (y > -55) & (y < 5),
    "below": lambda x, y: (y < 25) & (abs(x) > 45),
    "long": lambda x, y: (abs(x) > 62) & (abs(x) < 88) & (y < 20) & (y > -150),
}


def photograph() -> View:
    """A woman of thirty with a brown bob, noisier and warmer than she was drawn."""
    plain = drawing()
    noise = np.random.default_rng(1).normal(0, 4, plain.image.shape).astype(np.float32)
    image = np.clip(plain.image * np.array([0.92, 0.86, 0.8]) + 12 + noise, 0, 255)
    return replace(plain, image=image.astype(np.float32), native=None, traits={})


def drawing() -> View:
    """The same woman as she was drawn."""
    with np.load(PLACE) as file:
        image, label, points = file["image"], file["label"], file["points"]
    regions = {name: (label == i).astype(np.float32) for i, name in enumerate(REGIONS)}
    return View(
        image=image.astype(np.float32), regions=regions, known=np.ones((SIZE, SIZE), np.float32),
        square=(0.0, 0.0, float(SIZE)), points=points, names=LANDMARKS,
    )  # fmt: skip


def painted(view: View, region: str, shape: str, colour: tuple[int, int, int]) -> View:
    """Return a picture in which a shape of one colour belongs to a region; lips and eyes stay."""
    head = view_of_head(view)
    assert head is not None
    where = SHAPES[shape](*head.plane(view.shape)).astype(np.float32)
    if region == "beard":
        where = where * (view.region("skin") > 0.5)
    regions = {name: view.region(name) * (1 - where) for name in REGIONS}
    regions[region] = np.maximum(regions[region], where)
    image = view.image + (np.array(colour, np.float32) - view.image) * where[..., None]
    return replace(view, image=image, regions=regions)


def moved(view: View, **shifts: tuple[float, float]) -> View:
    """Return a face whose landmarks of a kind went right and down, in px; left ones mirrored."""
    assert view.points is not None
    points = view.points.copy()
    for i, name in enumerate(view.names):
        for kind, (right, down) in shifts.items():
            if name.removeprefix("left_").removeprefix("right_") == kind:
                points[i] += (-right if name.startswith("left_") else right, down)
    return replace(view, points=points)


def told(view: View, **traits: float | str) -> View:
    """Return a face of which the reader says something else; of choices it is nearly sure."""
    known: dict[str, float] = {}
    for name, value in {**CALM, **WORN, **traits}.items():
        if isinstance(value, str):
            kinds = KINDS[name]
            assert value in kinds
            known |= {f"{name}: {kind}": 0.95 if kind == value else 0.01 for kind in kinds}
        else:
            known[name] = value
    return replace(view, traits=known)


DARK, RED, GOLD = (40, 35, 40), (150, 30, 40), (200, 160, 60)
LIDS = {f"lid_{i}": (0.0, 3.0) for i in (1, 2, 3)}
LIPS = {"lip_0": (2.0, -3.0), "lip_5": (2.0, -3.0), "lip_7": (0, 3.0), "lip_4": (0, 3.0),
        "lip_lower": (0, 4.0), "lip_bottom": (0, 4.0)}  # fmt: skip
BROWS = {f"brow_{i}": (0.0, 2.5) for i in range(10)}
SAD = {"lip_0": (0.0, 3.0), "lip_5": (0.0, 3.0)}
SEEN = ("beanie", "cap", "sun hat", "headband", "round glasses", "sunglasses", "hoops",
        "full beard", "goatee", "shut eyes", "smile")  # fmt: skip
Case = tuple[View, View, View]  # the photograph, the face before, and after


@cache
def cases() -> dict[str, Case]:
    """Return edits by name."""
    photo, plain = photograph(), told(drawing())
    changes = _worn(plain) | _faces(plain) | _colours(plain)
    found = {name: (photo, plain, after) for name, after in changes.items()}
    found |= _cuts(photo, plain) | _gone(photo, plain, changes) | _odd(photo, plain, changes)
    for name in SEEN:  # told by its outline and its points alone
        blind = replace(changes[name], traits={})
        found[f"{name} by what is seen"] = photo, replace(plain, traits={}), blind
    return {
        name: (seen, _native(before), _native(after))
        for name, (seen, before, after) in found.items()
    }


def _wears(
    plain: View, region: str, shape: str, colour: tuple[int, int, int], **traits: float | str
) -> View:
    return told(painted(plain, region, shape, colour), **traits)


def _wants(view: View, share: float = 1.0, about: Iterable[str] = (), **kinds: str) -> View:
    named = {part.replace("_", " "): frozenset({kind}) for part, kind in kinds.items()}
    only = bool(about)
    return replace(view, asked=Asked(named, only=only, about=frozenset(about), share=share))


def _worn(plain: View) -> dict[str, View]:
    return {
        "beanie": _wears(plain, "hat", "hat", RED, hat="beanie"),
        "cap": _wears(plain, "hat", "hat", (40, 60, 130), hat="cap"),
        "sun hat": _wears(plain, "hat", "brim", GOLD, hat="sun hat"),
        "headband": _wears(plain, "hat", "band", RED, hat="headband"),
        "round glasses": _wears(plain, "glasses", "rims", DARK, glasses="round"),
        "square glasses": _wears(plain, "glasses", "rims", RED, glasses="square"),
        "sunglasses": _wears(plain, "lens", "lenses", DARK, glasses="sunglasses"),
        "hoops": _wears(plain, "earring", "hoops", GOLD, earrings="hoops"),
        "studs": _wears(plain, "earring", "hoops", GOLD, earrings="studs"),
        "full beard": told(_bearded(plain), beard="full"),
        "goatee": _wears(plain, "beard", "chin", DARK, beard="goatee"),
        "moustache": _wants(_wears(plain, "beard", "lip", DARK, moustache=0.8), beard="moustache"),
        "stubble": _wants(
            _wears(plain, "beard", "jaw", (150, 110, 90), beard="stubble"), beard="stubble"
        ),
        "faint hair": _wears(plain, "beard", "jaw", (150, 110, 90), beard="full"),
    }


def _bearded(view: View) -> View:
    return painted(painted(view, "beard", "jaw", DARK), "beard", "lip", DARK)


def _faces(plain: View) -> dict[str, View]:
    return {
        "smile": told(moved(plain, **LIPS), smile=0.8, mouth_open=0.7),
        "frown": told(moved(plain, **SAD, **BROWS), smile=-0.7),
        "shut eyes": told(moved(plain, **LIDS), eye_open=0.05),
        "old": told(plain, age=66.0),
        "young": told(plain, age=8.0),
        "half old": _wants(told(plain, age=40.0), share=0.5, age="old"),
    }


def _colours(plain: View) -> dict[str, View]:
    blonde = _tinted(plain, "hair", (220, 190, 120))
    return {
        "freckles": _wants(told(plain, freckles=0.8), skin="freckles"),
        "half blush": _wants(told(plain, blush=0.6), share=0.5, skin="blush"),
        "blue lids": _wants(told(plain, eyeshadow=0.7), eyeshadow="blue"),
        "lipstick": _wants(_tinted(told(plain, lipstick=0.9), "lips", RED), lips="painted"),
        "red hair": _tinted(plain, "hair", (160, 50, 30)),
        "blonde hair": _wants(blonde, 1.0, ["hair"], hair_colour="named"),
        "green eyes": _tinted(plain, "eyes", (70, 150, 80)),
        "dark skin": _tinted(plain, "skin", (110, 75, 60)),
        "green wall": _tinted(plain, "background", (40, 140, 60)),
    }


def _cuts(photo: View, plain: View) -> dict[str, Case]:
    found = {
        cut: (photo, plain, _wants(told(plain, hair_style=cut), hair=cut))
        for cut in ("bald", "afro", "curly", "mohawk", "buzz cut", "long wavy")
    }
    cropped = painted(photo, "background", "below", (90, 140, 140))
    short = told(painted(plain, "background", "below", (90, 160, 160)), hair_style="buzz cut")
    found["bob"] = cropped, short, plain
    longer = told(short, hair_style="long straight")
    found["long straight"] = cropped, short, _wants(longer, hair="long straight")
    return found


def _gone(photo: View, plain: View, changes: dict[str, View]) -> dict[str, Case]:
    capped = painted(photo, "hat", "hat", DARK)
    bespectacled = painted(photo, "glasses", "rims", DARK)
    return {
        "shaven": (_bearded(photo), changes["full beard"], plain),
        "glasses off": (bespectacled, changes["round glasses"], plain),
        "earrings off": (painted(photo, "earring", "hoops", GOLD), changes["hoops"], plain),
        "a cap instead of a beanie": (capped, changes["beanie"], changes["cap"]),
        "hat off": (capped, changes["beanie"], told(plain, hair_style="curly")),
    }


def _odd(photo: View, plain: View, changes: dict[str, View]) -> dict[str, Case]:
    falling = painted(photo, "hair", "long", (70, 50, 40))
    eyed = painted(painted(photo, "background", "below", (90, 140, 140)), "ear", "ears",
                   (190, 140, 110))  # fmt: skip
    eared = replace(plain, traits={**plain.traits, "earrings: hoops": 0.5})
    round_, blind = changes["round glasses"], replace(photo, points=None, names=())
    wider = moved(plain, **{name: (2 * x, 2 * y) for name, (x, y) in LIPS.items()})
    tint = np.array([1.1, 1.0, 0.9], np.float32)
    turned = replace(photo, image=photo.image[:, ::-1] * tint)
    return {
        "beanie over long hair": (falling, plain, changes["beanie"]),
        "hoops that are asked for": (eyed, plain, _wants(eared, earrings="hoops")),
        "round glasses that become square": (photo, round_, _wants(round_, glasses="square")),
        "green eyes without landmarks": (blind, plain, changes["green eyes"]),
        "a wider laugh": (
            moved(photo, **LIPS), changes["smile"], told(wider, smile=0.9, mouth_open=1.0)
        ),
        "old in another light": (turned, plain, changes["old"]),
    }  # fmt: skip


def _tinted(view: View, region: str, colour: tuple[int, int, int]) -> View:
    """Return a picture in which a region has a colour, lighter and darker where it was."""
    where = view.region(region)[..., None]
    mean = (view.image * where).sum((0, 1)) / where.sum()
    image = view.image + where * (np.array(colour, np.float32) - mean)
    return replace(view, image=np.clip(image, 0, 255).astype(np.float32))


def _native(view: View) -> View:
    return replace(view, native=Native(view.image, view.regions))


def summary(layers: Layers) -> dict[str, np.ndarray]:
    """Return a field's means over cells and, of each channel, its root mean square."""
    found = {}
    for name in FIELDS:
        field = getattr(layers, name)
        if field is None or (layers.alpha is None and name == "grain"):
            continue
        field = field.astype(np.float64).reshape(SIZE, SIZE, -1) - (name == "gain")
        if name in ("cover", "grain") and layers.alpha is not None:
            field = field * layers.alpha[..., None]
        step = SIZE // CELLS
        means = field.reshape(CELLS, step, CELLS, step, -1).mean((1, 3))
        found[name] = np.concatenate([means.ravel(), np.sqrt((field**2).mean((0, 1)))])
    return found


def numbers() -> dict[str, np.ndarray]:
    """Return what every edit lays over the photograph, by "edit/field"."""
    known = {}
    for name in cases():
        known |= numbers_of(name)
    return known


def numbers_of(name: str) -> dict[str, np.ndarray]:
    """Return what one edit lays over the photograph, by "edit/field"."""
    found = summary(find_layers(*cases()[name]))
    return {f"{name}/{field}": values for field, values in found.items()}


def recorded() -> dict[str, np.ndarray]:
    """Return what was recorded."""
    with np.load(PLACE) as file:
        names, ends = str(file["names"]).split("\n"), np.cumsum(file["lengths"])
        return dict(zip(names, np.split(file["values"].astype(float), ends[:-1]), strict=True))


def record() -> None:
    """Draw the woman, and record every edit of her."""
    from faceedit.world import FaceAttributes, landmarks, render

    looks = {"femininity": 0.9, "hair_style": "bob", "age": 30.0, "eye_open": 0.7, "yaw": 8.0}
    person = FaceAttributes.default(1).replace(**looks)
    drawn = render(person, SIZE)
    image = (drawn.image[0].permute(1, 2, 0) + 1).mul(127.5).round().clamp(0, 255).numpy()
    known = {
        "image": image.astype(np.uint8),
        "label": drawn.segmentation[0].numpy().astype(np.uint8),
        "points": (landmarks(person, SIZE).points[0].numpy() - 0.5).astype(np.float32),
    }
    np.savez_compressed(PLACE, **known)
    found = numbers()
    known["names"] = np.array("\n".join(found))
    known["lengths"] = np.array([len(values) for values in found.values()])
    known["values"] = np.concatenate([*found.values()]).astype(np.float16)
    np.savez_compressed(PLACE, **known)


def show(folder: Path) -> None:
    """Write a picture of every edit, for the eye."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for name, views in cases().items():
        image = find_layers(*views).on(views[0]).image
        both = np.concatenate([views[0].image, image, views[2].image], 1)
        Image.fromarray(np.clip(both, 0, 255).astype(np.uint8)).save(folder / f"{name}.png")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        show(Path(sys.argv[1]))
    else:
        record()
