"""Things laid over a picture, with its truth kept: cloth on heads, masks, hands, light.

No attribute of the world is needed for them: a layer changes pixels, says which region they show
now, and hides the landmarks under it. Sizes are in distances between the pupils.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.world import LANDMARKS
from training.photographs.regions import BIT, bits_of
from training.photographs.textures import Random, Scenes, color, noise

__all__ = ["Sample", "cover_head", "new_background", "new_cloth", "occlude", "relight"]

INDEX = {name: i for i, name in enumerate(LANDMARKS)}
SEEN, HIDDEN, UNKNOWN = 1, 0, -1  # of a landmark


@dataclass
class Sample:
    """One picture with its truth.

    Attributes:
        image: [side, side, 3] float32, RGB in 0..255.
        bits: [side, side] uint32, the regions that a pixel may show, see `regions`.
        points: [k, 2] float32 in pixels, in the order of LANDMARKS; NaN where unknown.
        seen: [k] int8: SEEN, HIDDEN or UNKNOWN.
    """

    image: np.ndarray
    bits: np.ndarray
    points: np.ndarray
    seen: np.ndarray

    @property
    def side(self) -> int:
        """Width and height."""
        return len(self.image)

    def of(self, name: str) -> np.ndarray:
        """Return a point."""
        return np.asarray(self.points[INDEX[name]])

    def certainly(self, *names: str) -> np.ndarray:
        """Return where a pixel can only be one of some regions, [side, side] bool."""
        return (self.bits & ~np.uint32(bits_of(*names))) == 0

    def lay(self, mask: np.ndarray, picture: np.ndarray, region: str) -> None:
        """Lay a picture over a part, [side, side] bool, that then shows `region`."""
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)[:, :, None]
        self.image += soft * (picture - self.image)
        self.bits[mask] = BIT[region]
        known = np.isfinite(self.points).all(axis=1)
        at = np.clip(np.nan_to_num(self.points), 0, self.side - 1).astype(int)
        self.seen[known & mask[at[:, 1], at[:, 0]]] = HIDDEN


@dataclass(frozen=True)
class Head:
    """A frame of reference: the face's middle, its axes and its unit."""

    middle: np.ndarray
    right: np.ndarray
    up: np.ndarray
    unit: float
    width: float  # of the face, in units
    brow: float  # heights over the middle, in units
    top: float
    chin: float

    @classmethod
    def of(cls, sample: Sample) -> Head:
        """Measure a sample's face."""
        eyes = (sample.of("left_iris_0"), sample.of("right_iris_0"))
        middle = (eyes[0] + eyes[1]) / 2
        up = sample.of("forehead") - sample.of("chin")
        up = up / max(float(np.linalg.norm(up)), 1e-6)
        right = np.array([-up[1], up[0]])
        sides = sample.of("right_outline_1") - sample.of("left_outline_1")
        width = max(float(abs(sides @ right)), 4.0)
        unit = max(float(np.linalg.norm(eyes[1] - eyes[0])), 0.45 * width)

        def height(*names: str) -> float:
            return float(np.mean([(sample.of(n) - middle) @ up for n in names])) / unit

        brow = height("left_brow_2", "right_brow_2")
        return cls(
            *(middle, right, up, unit, width / unit, brow), height("forehead"), height("chin")
        )

    def plane(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y of every pixel in units of the face, y up."""
        y, x = np.mgrid[:side, :side].astype(np.float32) + 0.5
        dx, dy = x - self.middle[0], y - self.middle[1]
        return (
            (dx * self.right[0] + dy * self.right[1]) / self.unit,
            (dx * self.up[0] + dy * self.up[1]) / self.unit,
        )


# ------------------------------------------------------------------------------------- what is worn
def fabric(random: Random, side: int, scenes: Scenes) -> np.ndarray:
    """Return cloth with folds."""
    plain = random.random() < 0.55
    base = np.full((side, side, 3), 1, np.float32) * color(random)
    picture = base if plain else 0.25 * base + 0.75 * scenes.surface(random, side)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), float(random.uniform(0, 180)), 1.5)
    long = cv2.resize(
        random.standard_normal((4, int(random.integers(5, 22)))).astype(np.float32),
        (side, side),
        interpolation=cv2.INTER_CUBIC,
    )
    folds = cv2.warpAffine(long, turn, (side, side), borderMode=cv2.BORDER_REFLECT)
    light = 1 + random.uniform(0.05, 0.28) * np.tanh(folds) + 0.08 * noise(random, side, 5)
    return np.clip(picture * light[:, :, None], 0, 255)


def cover_head(random: Random, sample: Sample, scenes: Scenes) -> None:
    """Put a scarf, a hood, a turban, a veil or a shawl on."""
    head = Head.of(sample)
    x, y = head.plane(sample.side)
    kind = ("scarf", "scarf", "hood", "turban", "shawl")[random.integers(5)]
    wobble = 0.05 * noise(random, sample.side, 6)
    half = head.width / 2 * (1.22 + 0.3 * random.random())
    crown = head.top + random.uniform(0.35, 0.95)
    low = random.uniform(head.chin - 0.5, head.chin + 0.6)  # where the cloth leaves the head
    rise = max(crown - 0.2, 0.5)
    dome = (np.abs(x) / half) ** 2.2 + (np.abs(y - 0.2) / rise) ** 2.2
    drape = half + (0.1 + 0.5 * random.random()) * np.clip(0.2 - y, 0, None)
    body = np.where(y > 0.2, dome < 1 + wobble, np.abs(x) < drape + wobble)
    edge = random.uniform(head.brow + 0.12, head.top + 0.15)  # lower edge on the forehead
    inner = head.width / 2 * random.uniform(0.86, 1.04) + wobble
    window = (np.abs(x) / inner) ** 2.6 + (
        np.abs(y - (edge + head.chin) / 2) / ((edge - head.chin) / 2 * random.uniform(0.98, 1.1))
    ) ** 2.6
    if kind == "turban":
        arch = edge - random.uniform(-0.1, 0.35) * x * x + wobble
        mask = body & (y > np.maximum(arch, 0.15))
    elif kind == "hood":
        wide = (np.abs(x) / (half * 0.93)) ** 2.2 + (np.abs(y - 0.2) / (rise - 0.25)) ** 2.2
        mask = body & ~((wide < 1) & (y > head.chin)) & (window > 1)
    else:
        mask = body & (window > 1)
        if kind == "shawl":
            mask &= x * (1 if random.random() < 0.5 else -1) > random.uniform(-0.3, 0.5) - 0.25 * y
        if random.random() < 0.4:
            mask &= y > low - 0.5 * np.abs(x)
    face = sample.certainly("eyes", "nose", "lips", "mouth", "brows")
    mask &= ~face
    if mask.mean() < 0.01:
        return
    near = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.12 * head.unit)
    sample.image *= 1 - 0.45 * random.random() * (near * ~mask)[:, :, None]  # its shadow
    shade = (0.55 + 0.45 * near)[:, :, None]
    sample.lay(mask, fabric(random, sample.side, scenes) * shade, "covering")


def new_cloth(random: Random, sample: Sample, scenes: Scenes) -> None:
    """Print a pattern on the clothes, under their own light."""
    mask = sample.certainly("cloth")
    if not mask.any():
        return
    light = sample.image.mean(axis=2, keepdims=True)
    light = light / max(float(light[mask].mean()), 1.0)
    cloth = np.clip(fabric(random, sample.side, scenes) * np.clip(light, 0.3, 1.8), 0, 255)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)[:, :, None] * mask[:, :, None]
    sample.image += soft * (cloth - sample.image)


# ----------------------------------------------------------------------------- what is in the way
def occlude(random: Random, sample: Sample, scenes: Scenes) -> None:
    """Put a mask, a hand, a microphone or a thing before the person."""
    draw = (_mask, _hand, _hand, _microphone, _thing)
    mask, picture = draw[random.integers(len(draw))](random, sample, scenes)
    sample.lay(mask > 0, np.clip(picture, 0, 255), "occluder")


def _mask(random: Random, sample: Sample, scenes: Scenes) -> tuple[np.ndarray, np.ndarray]:
    """A face mask with pleats and straps."""
    side, head = sample.side, Head.of(sample)
    high = sample.of("nose_bridge") * (1 - (f := random.random())) + sample.of("nose_tip") * f
    ring = [high, *(sample.of(f"right_outline_{i}") for i in (1, 2, 4, 6))]
    ring += [sample.of("chin") - 0.12 * head.unit * head.up]
    ring += [sample.of(f"left_outline_{i}") for i in (6, 4, 2, 1)]
    middle = sample.of("lip_top")
    shape = np.array([middle + (p - middle) * random.uniform(0.86, 1.0) for p in ring])
    filled = np.zeros((side, side), np.uint8)
    cv2.fillPoly(filled, [cv2.convexHull(shape.astype(np.int32))], 1)
    _, y = head.plane(side)
    pleats = 1 + 0.08 * np.sin(y * random.uniform(9, 22)) + 0.06 * noise(random, side, 4)
    tint = color(random) if random.random() < 0.5 else np.array([190, 215, 230]) + random.normal()
    cloth = fabric(random, side, scenes) if random.random() < 0.3 else np.ones((1, 1, 3)) * tint
    return filled, cloth * pleats[:, :, None]


def _skin_tone(random: Random, sample: Sample) -> np.ndarray:
    skin = sample.certainly("skin", "nose", "neck")
    tone = np.median(sample.image[skin], axis=0) if skin.sum() > 20 else np.array([190, 145, 120])
    return np.clip(tone * random.uniform(0.8, 1.15) + random.standard_normal(3) * 6, 5, 255)


def _hand(random: Random, sample: Sample, scenes: Scenes) -> tuple[np.ndarray, np.ndarray]:
    """A hand with fingers side by side, shaded as round rods."""
    del scenes
    side, head = sample.side, Head.of(sample)
    sideways = random.uniform(-1.1, 1.1)
    at = head.middle + head.unit * (
        sideways * head.right + random.uniform(head.chin - 0.6, 0.4) * head.up
    )
    pointing = np.deg2rad(random.uniform(-60, 60) - 25 * sideways)
    way = np.array([np.sin(pointing), -np.cos(pointing)])
    across = np.array([-way[1], way[0]])
    thick = head.unit * random.uniform(0.17, 0.26)
    height = np.zeros((side, side), np.float32)
    spread = random.uniform(-0.1, 0.25)
    for i in range(int(random.integers(2, 5))):
        offset = (i - 1.5) * thick * 1.05
        tip = (
            at
            + across * offset
            + (way + across * spread * (i - 1.5) / 1.5) * (thick * random.uniform(2.2, 4.2))
        )
        _rod(height, at + across * offset - way * thick, tip, thick / 2)
    if random.random() < 0.7:  # the back of the hand and the arm
        _rod(height, at - way * thick * 1.2, at - way * thick * 2.5, thick * 1.9)
        _rod(height, at - way * thick * 2, at - way * head.unit * 3, thick * 1.3)
    light = 0.62 + 0.45 * height + 0.05 * noise(random, side, 12)
    return (height > 0).astype(np.uint8), _skin_tone(random, sample) * light[:, :, None]


def _rod(height: np.ndarray, start: np.ndarray, end: np.ndarray, radius: float) -> None:
    """Add a rod to a relief, 1 along its middle and little at its edge."""
    side = len(height)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    line = end - start
    along = ((x - start[0]) * line[0] + (y - start[1]) * line[1]) / max(float(line @ line), 1e-6)
    along = np.clip(along, 0, 1)
    away = np.hypot(x - start[0] - along * line[0], y - start[1] - along * line[1]) / radius
    np.maximum(height, np.sqrt(np.clip(1 - away * away, 0, 1)), out=height)


def _microphone(random: Random, sample: Sample, scenes: Scenes) -> tuple[np.ndarray, np.ndarray]:
    """A round head on a rod, below the mouth or before it."""
    del scenes
    side, head = sample.side, Head.of(sample)
    at = sample.of("lip_bottom") + head.unit * (
        random.uniform(-0.6, 0.6) * head.right - random.uniform(0, 0.7) * head.up
    )
    radius = head.unit * random.uniform(0.2, 0.42)
    height = np.zeros((side, side), np.float32)
    _rod(height, at, at + head.unit * np.array([random.uniform(-1, 1), 3.0]), radius * 0.45)
    body = np.full((side, side, 3), color(random) * 0.4, np.float32)
    ball = np.zeros((side, side), np.float32)
    _rod(ball, at, at + 0.01, radius)
    y, x = np.mgrid[:side, :side]
    mesh = 1 + 0.3 * np.sin(x * 1.9) * np.sin(y * 1.9)
    steel = color(random)[None, None] * (0.4 + 0.6 * mesh[:, :, None])
    body = np.where(ball[:, :, None] > 0, steel, body)
    height = np.maximum(height, ball)
    return (height > 0).astype(np.uint8), body * (0.4 + 0.7 * height)[:, :, None]


def _thing(random: Random, sample: Sample, scenes: Scenes) -> tuple[np.ndarray, np.ndarray]:
    """A phone, a cup, a board: any convex thing that covers a part of the person."""
    side, head = sample.side, Head.of(sample)
    at = head.middle + head.unit * np.array([random.uniform(-1.6, 1.6), random.uniform(0.2, 2.5)])
    size = head.unit * random.uniform(0.25, 0.8, 2)
    box = (at.tolist(), (2 * size).tolist(), float(random.uniform(0, 180)))
    corners = cv2.boxPoints(box).astype(np.int32)
    filled = np.zeros((side, side), np.uint8)
    cv2.fillConvexPoly(filled, corners, 1)
    return filled, scenes.surface(random, side)


# ----------------------------------------------------------------------------- behind, and light
def new_background(random: Random, sample: Sample, scenes: Scenes, soft: np.ndarray) -> None:
    """Put a scene or a pattern behind the person.

    Args:
        random: What to draw from.
        sample: Whose background is changed.
        scenes: What there is to be put.
        soft: [side, side] float32, 1 where the background is.
    """
    behind = scenes.surface(random, sample.side)
    sample.image += soft[:, :, None] * (behind - sample.image)


def relight(random: Random, sample: Sample) -> None:
    """Light from a side, of some colour, and sometimes an edge of shadow across the picture."""
    side = sample.side
    y, x = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
    angle = random.uniform(0, 2 * np.pi)
    slope = x * np.cos(angle) + y * np.sin(angle)
    gain = 1 + random.uniform(0, 1.0) * slope + 0.10 * noise(random, side, 4)
    warm = 1 + random.standard_normal(3).astype(np.float32) * 0.07 * slope[:, :, None]
    if random.random() < 0.3:
        bend = 0.1 * noise(random, side, 5)
        edge = slope + bend - random.uniform(-0.3, 0.3)
        gain *= 1 - random.uniform(0.1, 0.55) / (1 + np.exp(-edge * random.uniform(15, 120)))
    sample.image *= np.clip(gain, 0.2, 2)[:, :, None] * warm
