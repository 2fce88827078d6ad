"""What a portrait is made of: attributes with range, unit and meaning.

An attribute vector says everything about a picture: `render` is a pure function of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

WORLD_VERSION = "1"  # raised whenever a render of the same attributes would change

HAIR_STYLES = (
    "bald",
    "buzz cut",
    "short",
    "quiff",
    "bob",
    "long straight",
    "long wavy",
    "afro",
    "curly",
    "mohawk",
    "bun",
    "ponytail",
)
HAIR_COLORS = (
    "black",
    "dark brown",
    "brown",
    "blond",
    "red",
    "grey",
    "white",
    "blue",
    "pink",
    "green",
)
EYE_COLORS = ("brown", "hazel", "green", "blue", "grey")
BEARDS = ("none", "stubble", "goatee", "full")
GLASSES = ("none", "round", "square", "sunglasses")
HATS = ("none", "beanie", "headband", "cap", "sun hat")
EARRINGS = ("none", "studs", "hoops")
CLOTHING = ("t-shirt", "shirt", "hoodie", "turtleneck", "v-neck")
SIDES = ("left", "right")

YOUNGEST, OLDEST = 18.0, 85.0  # years


@dataclass(frozen=True)
class AttributeSpec:
    """One attribute: where it may lie and what it means.

    A categorical attribute is stored as the index of its value, so `low` is 0 and `high` is
    `len(values) - 1`.
    """

    name: str
    group: str
    low: float
    high: float
    unit: str
    meaning: str
    values: tuple[str, ...] = ()

    @property
    def categorical(self) -> bool:
        """Whether the attribute is one of a list of named values."""
        return bool(self.values)


def _signed(group: str, **meanings: str) -> list[AttributeSpec]:
    """Attributes from -1 to 1 where 0 is the average."""
    return [AttributeSpec(n, group, -1.0, 1.0, "", m) for n, m in meanings.items()]


def _amount(group: str, **meanings: str) -> list[AttributeSpec]:
    """Attributes from 0 (none) to 1 (most)."""
    return [AttributeSpec(n, group, 0.0, 1.0, "", m) for n, m in meanings.items()]


def _choice(group: str, name: str, values: tuple[str, ...], meaning: str) -> AttributeSpec:
    return AttributeSpec(name, group, 0.0, len(values) - 1.0, "index", meaning, values)


_SPECS: list[AttributeSpec] = [
    *_amount("identity", skin_tone="0 palest, 1 darkest", femininity="0 masculine, 1 feminine"),
    *_signed(
        "identity",
        face_width="narrow to wide head",
        face_length="short to long lower face",
        forehead="low to high forehead",
        jaw_width="tapered to square jaw",
        chin_length="receding, short to long, prominent chin",
        chin_width="pointed to broad chin",
        cheekbones="flat to prominent cheekbones",
        cheek_fullness="hollow to chubby cheeks",
        nose_width="narrow to wide nose",
        nose_length="short to long nose",
        nose_bridge="flat to strong nose bridge",
        nose_tip="drooping to upturned nose tip",
        eye_size="small to large eyes",
        eye_spacing="close to wide-set eyes",
        eye_tilt="drooping to upswept eyes",
        eye_depth="flat to deep-set eyes",
        brow_thickness="thin to thick eyebrows",
        brow_arch="straight to arched eyebrows",
        brow_height="low to high eyebrows",
        lip_fullness="thin to full lips",
        mouth_width="narrow to wide mouth",
        mouth_height="mouth near the chin to near the nose",
        ear_size="small to large ears",
        asymmetry="nose, brows and jaw drift to the picture's left (-1) or right (1)",
    ),
    _choice("identity", "eye_color", EYE_COLORS, "colour of the iris"),
    *_amount("identity", freckles="0 none to 1 many"),
    AttributeSpec("age", "age", YOUNGEST, OLDEST, "years", "how old the person looks"),
    *_signed("expression", smile="frown to broad smile", brow_raise="knitted to raised eyebrows"),
    *_amount("expression", mouth_open="closed to wide open", eye_open="closed to wide open eyes"),
    *_signed("expression", gaze_x="looks to the picture's left to right", gaze_y="down to up"),
    *_signed("expression", smirk="lifts the mouth corner at the picture's left or right"),
    _choice("hair", "hair_style", HAIR_STYLES, "haircut"),
    _choice("hair", "hair_color", HAIR_COLORS, "hair dye or natural colour, before it greys"),
    *_amount("hair", fringe="0 none to 1 down to the eyebrows, for styles that can have one"),
    *_signed("hair", hair_volume="flat to voluminous"),
    _choice("hair", "parting", SIDES, "side of the parting, seen in the picture"),
    *_amount("hair", hair_phase="which strands lie where; no meaning of its own"),
    _choice("facial hair", "beard", BEARDS, "beard"),
    *_amount("facial hair", moustache="0 none to 1 thick"),
    *_amount(
        "make-up",
        lipstick="0 none to 1 opaque",
        lip_hue="lipstick colour, plum over red to coral",
        eyeshadow="0 none to 1 strong",
        blush="0 none to 1 strong",
    ),
    _choice("accessories", "glasses", GLASSES, "eyewear"),
    _choice("accessories", "hat", HATS, "headwear"),
    *_amount("accessories", hat_hue="colour of the hat, a turn of the hue circle"),
    _choice("accessories", "earrings", EARRINGS, "earrings"),
    AttributeSpec("yaw", "pose", -25.0, 25.0, "degrees", "turns to the picture's left or right"),
    AttributeSpec("pitch", "pose", -10.0, 10.0, "degrees", "looks down or up"),
    AttributeSpec("light_azimuth", "light", -70.0, 70.0, "degrees", "light from left or right"),
    AttributeSpec("light_elevation", "light", 5.0, 60.0, "degrees", "light from low or high"),
    *_signed("light", light_warmth="cold to warm light"),
    *_amount("background", background_hue="hue, a turn of the circle"),
    *_amount("background", background_saturation="0 grey to 1 pure"),
    *_amount("background", background_value="0 black to 1 bright"),
    _choice("clothing", "clothing", CLOTHING, "garment"),
    *_amount("clothing", cloth_hue="hue, a turn of the circle"),
    *_amount("clothing", cloth_saturation="0 grey to 1 pure"),
    *_amount("clothing", cloth_value="0 black to 1 bright"),
]

SPECS: dict[str, AttributeSpec] = {spec.name: spec for spec in _SPECS}
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(spec.group for spec in _SPECS))
CIRCULAR: tuple[str, ...] = ("hat_hue", "background_hue", "cloth_hue", "hair_phase")  # 0 meets 1
MIRRORED: tuple[str, ...] = ("yaw", "light_azimuth", "gaze_x", "smirk", "asymmetry")  # change sign
_INDEX = {name: i for i, name in enumerate(SPECS)}


@dataclass(frozen=True)
class FaceAttributes:
    """A batch of attribute vectors.

    Attributes:
        values: [n, len(SPECS)] float32 in the order of SPECS; a categorical attribute is the
            index of its value.
    """

    values: Tensor

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(SPECS):
            raise ValueError(
                f"attribute values have shape {tuple(self.values.shape)}; "
                f"they must be [n, {len(SPECS)}], one column for each of SPECS"
            )

    def __len__(self) -> int:
        return self.values.shape[0]

    @overload
    def __getitem__(self, key: str) -> Tensor: ...

    @overload
    def __getitem__(self, key: int | slice | Sequence[int] | Tensor) -> FaceAttributes: ...

    def __getitem__(
        self, key: str | int | slice | Sequence[int] | Tensor
    ) -> Tensor | FaceAttributes:
        """Return one attribute of all ([n]) for a name, some of the batch for an index."""
        if isinstance(key, str):
            return self.values[:, _index(key)]
        rows = [key] if isinstance(key, int) else key
        return FaceAttributes(self.values[rows])

    def column(self, name: str) -> Tensor:
        """Return one attribute of the whole batch, [n]."""
        return self.values[:, _index(name)]

    def label(self, name: str) -> list[str]:
        """Return the named values of a categorical attribute, one a person."""
        spec = SPECS[_checked(name)]
        if not spec.categorical:
            raise ValueError(
                f"{name!r} is a number from {spec.low} to {spec.high}, it has no labels"
            )
        return [spec.values[int(i)] for i in self.column(name).round()]

    def replace(self, **changes: float | str | Tensor) -> FaceAttributes:
        """Return a copy with some attributes set, for the whole batch.

        Args:
            changes: Attribute name to a number, the name of a categorical value, or [n] numbers.

        Raises:
            ValueError: If an attribute or value is unknown or out of its range.
        """
        values = self.values.clone()
        for name, value in changes.items():
            spec = SPECS[_checked(name)]
            if isinstance(value, str):
                if value not in spec.values:
                    raise ValueError(f"{name} cannot be {value!r}; choose from {spec.values}")
                value = float(spec.values.index(value))
            column = torch.as_tensor(value, dtype=values.dtype, device=values.device)
            if not bool(((column >= spec.low) & (column <= spec.high)).all()):
                raise ValueError(f"{name} is {value}; it must be from {spec.low} to {spec.high}")
            values[:, _index(name)] = column
        return FaceAttributes(values)

    def mirror(self) -> FaceAttributes:
        """Return the attributes of the mirror image (exact but for the fall of single strands)."""
        values = self.values.clone()
        for name in MIRRORED:
            values[:, _index(name)] *= -1
        values[:, _index("parting")] = 1 - values[:, _index("parting")]
        return FaceAttributes(values)

    def to(self, device: torch.device | str) -> FaceAttributes:
        """Move the batch to a device."""
        return FaceAttributes(self.values.to(device))

    @staticmethod
    def cat(batches: Sequence[FaceAttributes]) -> FaceAttributes:
        """Join batches."""
        return FaceAttributes(torch.cat([batch.values for batch in batches]))

    @staticmethod
    def default(n: int = 1) -> FaceAttributes:
        """Return n times the average face: middle of every range, first of every list."""
        row = [0.0 if s.categorical or s.low == -1 else (s.low + s.high) / 2 for s in _SPECS]
        plain = dict.fromkeys(("freckles", "mouth_open", "fringe", "moustache", "lipstick"), 0.0)
        plain |= dict.fromkeys(("eyeshadow", "blush"), 0.0)
        attributes = FaceAttributes(torch.tensor([row]).repeat(n, 1))
        return attributes.replace(**plain, eye_open=0.75, age=32.0, hair_style="short", yaw=0.0)


def _checked(name: str) -> str:
    if name not in SPECS:
        raise ValueError(f"unknown attribute {name!r}; choose from {', '.join(SPECS)}")
    return name


def _index(name: str) -> int:
    return _INDEX[_checked(name)]


# ------------------------------------------------------------------------------ the population
