"""From attributes to a picture: camera, sphere tracing, occlusion, background, tone.

A picture is a function of its own attribute vector only: on a CPU every portrait is traced by
itself, so a batch equals its images one by one to the bit.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.world import geometry, shading
from faceedit.world.attributes import FaceAttributes
from faceedit.world.parameters import PIVOT, Parameters, prepare
from faceedit.world.sdf import dot, length2, step, unit
from faceedit.world.skin_color import Color, Point

CAMERA_DISTANCE = 9.0  # from the picture plane, in units of head space
VIEW_WIDTH = 2.74  # units that a picture is wide
NEAR, FAR_PLANE = CAMERA_DISTANCE - 1.9, CAMERA_DISTANCE + 1.5
BLOCK = 4  # rays march together in blocks of 4 x 4 before they part
HIT = 0.02  # a ray that ends farther than this from any surface has passed it


@dataclass(frozen=True)
class Render:
    """Pictures with their exact truth.

    Attributes:
        image: [n, 3, size, size], RGB in [-1, 1].
        segmentation: [n, size, size] uint8, indices into REGIONS.
        attributes: What was rendered.
    """

    image: Tensor
    segmentation: Tensor
    attributes: FaceAttributes


@dataclass
class Rays:
    """Rays that hit something, of one picture: positions in the picture and in head space."""

    pixel: Tensor  # [1, k] index of the (supersampled) pixel
    t: Tensor  # [1, k] distance from the camera
    origin: Color
    direction: Color

    def at(self, t: Tensor) -> Color:
        """Points at distance t."""
        return [o + d * t for o, d in zip(self.origin, self.direction, strict=True)]


Scene = Callable[..., Tensor]


def _tensors(p: Parameters) -> dict[str, Tensor]:
    return vars(p)


def _distance(p: dict[str, Tensor], x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    return geometry.distance(SimpleNamespace(**p), x, y, z)


def _fine(p: dict[str, Tensor], x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    return geometry.distance(SimpleNamespace(**p), x, y, z, fine=True)


def _shade(
    p: dict[str, Tensor],
    x: Tensor,
    y: Tensor,
    z: Tensor,
    normal: Color,
    view: Color,
    ao: Tensor,
    shadow: Tensor,
) -> tuple[Color, Tensor]:
    parameters = SimpleNamespace(**p)
    parts = geometry.parts(parameters, x, y, z, fine=False)
    return shading.shade(parameters, Point(x, y, z, normal, view, parts, ao, shadow))


@functools.cache
def _kernels(compiled: bool) -> tuple[Scene, Scene, Callable[..., tuple[Color, Tensor]]]:
    """The three hot functions, compiled (a few minutes the first time, then cached) or not."""
    if not compiled:
        return _distance, _fine, _shade
    compiled_kernels: Any = (torch.compile(f, dynamic=True) for f in (_distance, _fine, _shade))
    distance, fine, shade = compiled_kernels
    return distance, fine, shade


def can_compile() -> bool:
    """Whether this machine has the C++ compiler that torch.compile needs on a CPU."""
    return any(shutil.which(name) for name in ("g++", "c++", "clang++"))


@torch.no_grad()
def render(
    attributes: FaceAttributes, size: int = 128, supersampling: int = 2, compiled: bool = False
) -> Render:
    """Render portraits.

    Args:
        attributes: n people.
        size: Width and height in pixels, a multiple of 4.
        supersampling: Rays a pixel along each side.
        compiled: Use torch.compile: four times faster after some minutes of compiling; worth it
            from about a thousand pictures on.

    Returns:
        The pictures and their segmentation, on the attributes' device.

    Raises:
        ValueError: If size or supersampling cannot be rendered.
    """
    if size < 16 or size % 4 or supersampling < 1:
        raise ValueError(
            f"size {size} with supersampling {supersampling}: size must be a multiple of 4 "
            "from 16 on, supersampling at least 1"
        )
    pictures = [
        _render_one(attributes[i], size, supersampling, compiled) for i in range(len(attributes))
    ]
    device = attributes.values.device
    empty = (
        torch.zeros(0, 3, size, size, device=device),
        torch.zeros(0, size, size, device=device).byte(),
    )
    images, labels = zip(*pictures, strict=True) if pictures else ((empty[0],), (empty[1],))
    return Render(torch.cat(images), torch.cat(labels), attributes)


def counterfactual(
    attributes: FaceAttributes,
    size: int = 128,
    supersampling: int = 2,
    **changes: float | str | Tensor,
) -> Render:
    """Render the same people with only some attributes changed.

    What else an attribute moves (age greys hair, ...) is declared in `effects.EFFECTS`.
    """
    return render(attributes.replace(**changes), size, supersampling)


def _render_one(
    attributes: FaceAttributes, size: int, supersampling: int, compiled: bool
) -> tuple[Tensor, Tensor]:
    device = attributes.values.device
    p = prepare(attributes, device)
    distance, fine, shade = _kernels(compiled)
    values, n = _tensors(p), size * supersampling
    rays = trace(p, values, n, distance)
    x, y, z = rays.at(rays.t)
    view = [-c for c in rays.direction]
    normal = normals(values, x, y, z, view, fine)
    ao, shadow = occlusion(p, values, rays, (x, y, z), normal, n, distance)
    color, label = shade(values, x, y, z, normal, view, ao, shadow)
    image = background(p, n, device)
    image[:, rays.pixel[0]] = torch.cat(color)
    labels = torch.zeros(n * n, device=device)
    labels[rays.pixel[0]] = label[0]
    image = grade(image).view(1, 3, n, n)
    image = F.avg_pool2d(image, supersampling) if supersampling > 1 else image
    half = supersampling // 2
    return image * 2 - 1, labels.view(1, n, n)[:, half::supersampling, half::supersampling].byte()


def camera(p: Parameters, n: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Origin [3], directions [3, n*n] of a grid of rays in head space; picture plane x and y."""
    s = (torch.arange(n, device=device, dtype=torch.float32) + 0.5) / n - 0.5
    sy, sx = torch.meshgrid(-s, s, indexing="ij")
    pivot = torch.tensor(PIVOT, device=device)
    head = p.head[0]
    look_at = head @ (torch.tensor([0.0, -0.20, 0.55], device=device) - pivot) + pivot
    eye = look_at + torch.tensor([0.0, 0.120, CAMERA_DISTANCE], device=device)
    dx, dy = sx.reshape(-1) * VIEW_WIDTH, sy.reshape(-1) * VIEW_WIDTH
    direction = torch.stack(unit([dx, dy, torch.full_like(dx, -CAMERA_DISTANCE)]))
    return head.T @ (eye - pivot) + pivot, head.T @ direction, dx, dy


def trace(p: Parameters, values: dict[str, Tensor], n: int, distance: Scene) -> Rays:
    """Sphere-trace one picture of n x n rays: blocks first, then rays, then the slow ones again."""
    device = p.age.device
    origin, coarse, _, _ = camera(p, n // BLOCK, device)
    o = [origin[i].view(1, 1) for i in range(3)]
    radius = VIEW_WIDTH / (n // BLOCK) * 0.75  # of a cone around a block of rays
    block = Rays(
        torch.empty(0),
        torch.full((1, coarse.shape[1]), NEAR, device=device),
        o,
        [c[None] for c in coarse],
    )
    t = _approach(values, block, block.t, 20, radius, distance)
    side = n // BLOCK

    def spread(v: Tensor, side: int, by: int) -> Tensor:
        return F.interpolate(v.view(1, 1, side, side), scale_factor=by, mode="nearest").view(-1)

    t = spread(t, side, BLOCK // 2)
    _, middle, _, _ = camera(p, 2 * side, device)
    near = (t < FAR_PLANE).nonzero()[:, 0]
    start = t[near][None] - radius * 0.5
    group = Rays(near[None], start, o, [c[near][None].contiguous() for c in middle])
    t[near] = _approach(values, group, start, 6, radius / 2, distance)[0]
    t = spread(t, 2 * side, 2)
    pixel = (t < FAR_PLANE).nonzero()[:, 0][None]
    _, direction, _, _ = camera(p, n, device)
    rays = Rays(
        pixel,
        t[pixel[0]][None] - radius * 0.25,
        o,
        [c[pixel[0]][None].contiguous() for c in direction],
    )
    rays, d = _march(values, rays, 6, 0.85, distance)
    for _ in range(2):
        slow = ((rays.t < FAR_PLANE) & (d > 0.0025))[0].nonzero()[:, 0]
        if len(slow) == 0:
            break
        part, d_slow = _march(values, _select(rays, slow), 14, 0.7, distance)
        rays.t[:, slow], d[:, slow] = part.t, d_slow
    return _select(rays, ((rays.t < FAR_PLANE) & (d < HIT))[0].nonzero()[:, 0])


def _approach(
    values: dict[str, Tensor], rays: Rays, t: Tensor, steps: int, radius: float, distance: Scene
) -> Tensor:
    """March cones of the given radius until they touch something."""
    for _ in range(steps):
        d = distance(values, *rays.at(t))
        t = t + torch.where(d > radius, (d - radius * 0.5) * 0.9, torch.zeros_like(d))
    return t


def _march(
    values: dict[str, Tensor], rays: Rays, steps: int, pace: float, distance: Scene
) -> tuple[Rays, Tensor]:
    t, d = rays.t, torch.zeros_like(rays.t)
    for _ in range(steps):
        d = distance(values, *rays.at(t))
        t = torch.where(t < FAR_PLANE, t + d * pace, t)
    return Rays(rays.pixel, t, rays.origin, rays.direction), d


def _select(rays: Rays, keep: Tensor) -> Rays:
    direction = [c[:, keep].contiguous() for c in rays.direction]
    return Rays(rays.pixel[:, keep], rays.t[:, keep], rays.origin, direction)


def normals(
    values: dict[str, Tensor], x: Tensor, y: Tensor, z: Tensor, view: Color, fine: Scene
) -> Color:
    """Surface normals from four taps; a normal that turns away is turned to the viewer."""
    e = 0.0035
    total = [torch.zeros_like(x) for _ in range(3)]
    for sign in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        d = fine(values, x + sign[0] * e, y + sign[1] * e, z + sign[2] * e)
        total = [c + s * d for c, s in zip(total, sign, strict=True)]
    n = unit(total)
    away = (0.12 - dot(n, view)).clamp(min=0)
    return unit([a + b * away for a, b in zip(n, view, strict=True)])


def occlusion(
    p: Parameters,
    values: dict[str, Tensor],
    rays: Rays,
    at: tuple[Tensor, Tensor, Tensor],
    normal: Color,
    n: int,
    distance: Scene,
) -> tuple[Tensor, Tensor]:
    """Ambient occlusion and key shadow on every other row and column, then interpolated."""
    row, column = rays.pixel[0] // n, rays.pixel[0] % n
    keep = (
        ((row % 2 == 0) & (column % 2 == 0)).nonzero()[:, 0]
        if n % 2 == 0
        else torch.arange(len(row))
    )

    def pick(v: Tensor) -> Tensor:
        return v[:, keep].contiguous()

    ao, shadow = _occlusion(p, values, [pick(c) for c in at], [pick(c) for c in normal], distance)
    if n % 2:
        return ao, shadow
    half = n // 2
    where = (row[keep] // 2) * half + column[keep] // 2
    grid = torch.zeros(3, half * half, device=ao.device)
    grid[:, where] = torch.cat([ao, shadow, torch.ones_like(ao)])
    grid = F.interpolate(
        grid.view(1, 3, half, half), scale_factor=2, mode="bilinear", align_corners=False
    )
    grid = F.avg_pool2d(F.pad(grid, (1, 0, 1, 0), mode="replicate"), 2, 1).view(3, n * n)[
        :, rays.pixel[0]
    ]
    weight = grid[2:3]
    known = weight > 0.05

    def smooth(v: Tensor) -> Tensor:
        return torch.where(known, v / weight.clamp(min=0.05), torch.ones_like(v))

    return smooth(grid[0:1]), smooth(grid[1:2])


def _occlusion(
    p: Parameters, values: dict[str, Tensor], at: Color, normal: Color, distance: Scene
) -> tuple[Tensor, Tensor]:
    x, y, z = at
    ao = torch.zeros_like(x)
    for h, weight in ((0.04, 0.34), (0.11, 0.30), (0.24, 0.22), (0.45, 0.14)):
        d = distance(values, x + normal[0] * h, y + normal[1] * h, z + normal[2] * h)
        ao = ao + (h - d).clamp(min=0) / h * weight
    key = [p.key[:, i : i + 1] for i in range(3)]
    start = [c + n * 0.02 for c, n in zip(at, normal, strict=True)]
    shadow, t = torch.ones_like(x), torch.full_like(x, 0.05)
    for _ in range(9):
        d = distance(values, *(c + k * t for c, k in zip(start, key, strict=True)))
        shadow = torch.minimum(shadow, 0.5 + 0.5 * d / (0.22 * t))
        t = t + d.clamp(0.04, 0.25)
    shadow = shadow.clamp(0, 1)
    return (1 - ao).clamp(0, 1), shadow * shadow * (3 - 2 * shadow)


def background(p: Parameters, n: int, device: torch.device) -> Tensor:
    """A studio wall with a soft glow beside the head, [3, n*n] linear RGB."""
    _, _, dx, dy = camera(p, n, device)
    side = 0.10 * torch.sign(p.light_azimuth[0])
    r = length2(dx / VIEW_WIDTH + side, dy / VIEW_WIDTH - 0.1)
    glow = 1.15 - 0.95 * step(0.05, 0.95, r)
    return p.background_rgb[0][:, None] * glow + 0.015


def grade(image: Tensor) -> Tensor:
    """Linear light [3, k] to display values in [0, 1]: a filmic curve, gamma, some saturation."""
    x = image * 1.08
    x = (x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14)
    x = (x * 1.06).clamp(1e-5, 1) ** (1 / 2.2)
    luma = (x * torch.tensor([[0.30], [0.59], [0.11]], device=x.device)).sum(0, keepdim=True)
    return (luma + (x - luma) * 1.12).clamp(0, 1)


__all__ = ["Render", "can_compile", "counterfactual", "render"]
