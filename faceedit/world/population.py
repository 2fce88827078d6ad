"""Who lives in the portrait world: attributes of random people, plausible together.

People are drawn by a fixed map from Gaussian noise (`attributes_from_noise`), so that the
population is a known function of a latent vector: the generator's z uses the same noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from faceedit.world.attributes import CLOTHING, OLDEST, SPECS, YOUNGEST, FaceAttributes


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
    for spec in SPECS.values():
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
