"""What a portrait is made of: attributes with range, unit and meaning, and how people are drawn.

An attribute vector says everything about a picture: `render` is a pure function of it. People are
drawn by a fixed map from Gaussian noise (`attributes_from_noise`), so that the population is also a
known function of a latent vector: the generator's z uses the same noise.
"""

from __future__ import annotations

import math
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
class _Noise:
    """Hands out independent variates from columns of Gaussian noise, always in the same order."""

    def __init__(self, z: Tensor) -> None:
        self.z = z
        self.used = 0

    def _next(self) -> Tensor:
        self.used += 1
        return self.z[:, self.used - 1]

    def normal(self, spread: float = 0.45, mean: float | Tensor = 0.0) -> Tensor:
        """A normal variate clipped to [-1, 1]."""
        return (self._next() * spread + mean).clamp(-1, 1)

    def uniform(self, low: float | Tensor = 0.0, high: float | Tensor = 1.0) -> Tensor:
        """A uniform variate, by the normal distribution function."""
        u = 0.5 * (1 + torch.erf(self._next() / math.sqrt(2)))
        return low + (high - low) * u

    def choice(self, weights: Tensor) -> Tensor:
        """An index drawn with the given weights ([k] or [n, k]), by the Gumbel-max rule."""
        columns = torch.stack([self.uniform(1e-6, 1 - 1e-6) for _ in range(weights.shape[-1])], -1)
        gumbel = -torch.log(-torch.log(columns))
        return (gumbel + torch.log(weights.clamp(min=1e-9))).argmax(-1)


#                   bald buzz shrt quif bob  long wavy afro curl moha bun  pony
_MENS_CUTS = (0.09, 0.12, 0.25, 0.19, 0.01, 0.04, 0.04, 0.07, 0.12, 0.04, 0.02, 0.01)
_WOMENS_CUTS = (0.01, 0.02, 0.06, 0.03, 0.18, 0.20, 0.19, 0.07, 0.07, 0.02, 0.08, 0.07)
#                   blck dbrn brwn blnd red  grey whit blue pink green
_PALE_COLORS = (0.12, 0.19, 0.21, 0.20, 0.12, 0.03, 0.03, 0.035, 0.035, 0.03)
_DARK_COLORS = (0.44, 0.28, 0.09, 0.03, 0.02, 0.03, 0.02, 0.03, 0.03, 0.03)
_OLD_COLORS = (0.09, 0.12, 0.12, 0.07, 0.05, 0.28, 0.24, 0.01, 0.01, 0.01)
_PALE_EYES = (0.24, 0.15, 0.18, 0.31, 0.12)
_DARK_EYES = (0.72, 0.18, 0.05, 0.03, 0.02)
_BEARDS = (0.46, 0.17, 0.14, 0.23)
_GLASSES = (0.72, 0.11, 0.11, 0.06)
_HATS = (0.80, 0.06, 0.04, 0.05, 0.05)


def attributes_from_noise(z: Tensor) -> FaceAttributes:
    """Map standard normal noise to people: the world's population as a function.

    Args:
        z: Noise, [n, k] with k >= NOISE_DIM; further columns are ignored.

    Returns:
        n people, with plausible couplings (skin with hair and eye colour, sex with haircut and
        beard, age with grey hair, a smile with an open mouth).
    """
    draw = _Noise(z.float())
    a: dict[str, Tensor] = {}
    _draw_identity(draw, a)
    _draw_expression(draw, a)
    _draw_hair(draw, a)
    _draw_accessories(draw, a)
    _draw_picture(draw, a)
    return FaceAttributes(torch.stack([a[name].float() for name in SPECS], dim=1))


def _draw_identity(draw: _Noise, a: dict[str, Tensor]) -> None:
    side = draw.uniform()
    spread = draw.uniform(0, 0.28)
    fem = torch.where(side < 0.5, spread, 1 - spread)
    a["femininity"], a["skin_tone"] = fem, draw.uniform()
    for spec in _SPECS:
        if spec.group == "identity" and spec.low == -1:
            a[spec.name] = draw.normal(0.5)
    lean = 1 - 2 * fem  # 1 masculine, -1 feminine
    for name, by in (("jaw_width", 0.3), ("brow_thickness", 0.3), ("lip_fullness", -0.25)):
        a[name] = (a[name] + by * lean).clamp(-1, 1)
    a["asymmetry"] = a["asymmetry"] * 0.8
    weights = torch.lerp(
        _rows(_PALE_EYES, fem), _rows(_DARK_EYES, fem), _step(a["skin_tone"], 0.45)
    )
    a["eye_color"] = draw.choice(weights)
    freckled = (draw.uniform() < 0.2) & (a["skin_tone"] < 0.6)
    a["freckles"] = torch.where(freckled, draw.uniform(0.4, 1.0), torch.zeros_like(fem))
    a["age"] = YOUNGEST + (OLDEST - YOUNGEST) * draw.uniform() ** 1.3


def _draw_expression(draw: _Noise, a: dict[str, Tensor]) -> None:
    mood, mouth = draw.uniform(), draw.uniform()
    happy, sad, surprised = mood < 0.5, (mood > 0.76) & (mood < 0.9), mood >= 0.9
    none = torch.zeros_like(mood)
    smile = torch.where(happy, draw.uniform(0.3, 1.0), draw.uniform(-0.2, 0.25))
    a["smile"] = torch.where(sad, draw.uniform(-1, -0.4), torch.where(surprised, none, smile))
    laughs = happy & (mouth < 0.55)
    a["mouth_open"] = torch.where(laughs, draw.uniform(0.25, 0.9), none)
    a["mouth_open"] = torch.where(surprised, draw.uniform(0.5, 1.0), a["mouth_open"])
    raise_brows = torch.where(sad, draw.uniform(-1, -0.4), draw.normal(0.3))
    a["brow_raise"] = torch.where(surprised, draw.uniform(0.6, 1.0), raise_brows)
    open_eyes = draw.normal(0.14, 0.74).clamp(0.35, 1)
    closed = draw.uniform() < 0.05
    a["eye_open"] = torch.where(closed, draw.uniform(0, 0.06), open_eyes)
    a["gaze_x"], a["gaze_y"] = draw.normal(0.3), draw.normal(0.25)
    a["smirk"] = draw.normal(0.3)


def _draw_hair(draw: _Noise, a: dict[str, Tensor]) -> None:
    feminine = a["femininity"] > 0.5
    fem = a["femininity"]
    cuts = torch.where(feminine[:, None], _rows(_WOMENS_CUTS, fem), _rows(_MENS_CUTS, fem))
    curls = torch.ones_like(cuts)
    curls[:, [7, 8]] += 1.2 * (a["skin_tone"] > 0.6).float()[:, None]  # afro, curly
    a["hair_style"] = draw.choice(cuts * curls)
    colors = torch.lerp(
        _rows(_PALE_COLORS, fem), _rows(_DARK_COLORS, fem), _step(a["skin_tone"], 0.5)
    )
    a["hair_color"] = draw.choice(
        torch.lerp(colors, _rows(_OLD_COLORS, fem), _step(a["age"] / 85, 0.68))
    )
    has_fringe = draw.uniform() < 0.35
    a["fringe"] = torch.where(has_fringe, draw.uniform(0.5, 1), draw.uniform(0, 0.2))
    a["hair_volume"] = draw.normal(0.5)
    a["parting"] = (draw.uniform() < 0.5).long()
    a["hair_phase"] = draw.uniform()
    none = torch.zeros_like(fem)
    beard = draw.choice(_rows(_BEARDS, fem))
    a["beard"] = torch.where(feminine, torch.zeros_like(beard), beard)
    lip_beard = ~feminine & ((draw.uniform() < 0.15) | (a["beard"] >= 2))
    a["moustache"] = torch.where(lip_beard, draw.uniform(0.5, 1), none)


def _draw_accessories(draw: _Noise, a: dict[str, Tensor]) -> None:
    feminine = a["femininity"] > 0.5
    none = torch.zeros_like(a["femininity"])
    a["lipstick"] = torch.where(feminine & (draw.uniform() < 0.45), draw.uniform(0.5, 1), none)
    a["lip_hue"] = draw.uniform()
    a["eyeshadow"] = torch.where(feminine & (draw.uniform() < 0.4), draw.uniform(0.4, 1), none)
    a["blush"] = torch.where(feminine, draw.uniform(0, 0.8), draw.uniform(0, 0.25))
    a["glasses"] = draw.choice(_rows(_GLASSES, none))
    a["hat"] = draw.choice(_rows(_HATS, none))
    a["hat_hue"] = draw.uniform()
    earrings = draw.choice(torch.tensor([0.5, 0.25, 0.25], device=none.device).expand(len(none), 3))
    wears = feminine | (draw.uniform() < 0.06)
    a["earrings"] = torch.where(wears, earrings, torch.zeros_like(earrings))


def _draw_picture(draw: _Noise, a: dict[str, Tensor]) -> None:
    """Draw what is not the person: pose, light, background and clothes."""
    a["yaw"] = draw.normal(0.42) * 25
    a["pitch"] = draw.normal(0.42) * 10
    a["light_azimuth"] = draw.uniform(-60, 60)
    a["light_elevation"] = draw.uniform(16, 52)
    a["light_warmth"] = draw.normal(0.45)
    a["background_hue"] = draw.uniform()
    a["background_saturation"] = draw.uniform() ** 1.5 * 0.42
    a["background_value"] = draw.uniform(0.14, 0.9)
    a["clothing"] = draw.choice(
        torch.full((len(a["yaw"]), len(CLOTHING)), 0.2, device=draw.z.device)
    )
    a["cloth_hue"] = draw.uniform()
    a["cloth_saturation"] = draw.uniform() ** 1.2 * 0.6
    a["cloth_value"] = draw.uniform(0.08, 0.85)


def _rows(weights: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(weights, device=like.device).expand(len(like), len(weights))


def _step(value: Tensor, middle: float) -> Tensor:
    """A soft threshold as a column, 0 well below `middle` and 1 well above."""
    return torch.sigmoid((value - middle) * 14)[:, None]


def _count_noise() -> int:
    class Counter(_Noise):
        def _next(self) -> Tensor:
            self.used += 1
            return torch.zeros(1)

    counter = Counter(torch.zeros(1, 1))
    a: dict[str, Tensor] = {}
    for draw_group in (
        _draw_identity,
        _draw_expression,
        _draw_hair,
        _draw_accessories,
        _draw_picture,
    ):
        draw_group(counter, a)
    return counter.used


NOISE_DIM = _count_noise()  # columns of noise that describe one person


def sample_attributes(n: int, seed: int) -> FaceAttributes:
    """Draw n people.

    Args:
        n: How many.
        seed: The same seed gives the same people, on every device.

    Returns:
        Their attributes, on the CPU.
    """
    noise = torch.Generator().manual_seed(seed)
    return attributes_from_noise(torch.randn(n, NOISE_DIM, generator=noise))
