"""What a camera does to a face: colour, blur, noise, framing, things in the way, backgrounds.

Every function draws from torch's default generator, which the loop seeds before each step, so that
a resumed run sees the same pictures. Images are [n, 3, h, w] in [-1, 1]; each of a batch is changed
by draws of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Augmentation",
    "add_noise",
    "augment",
    "bends",
    "blur",
    "change_colors",
    "cover",
    "random_grid",
    "random_texture",
    "reduce_resolution",
    "replace_region",
    "shade",
    "some",
    "some_rows",
    "warp",
]

LUMA = (0.299, 0.587, 0.114)  # Rec. 601: share of red, green and blue in how bright a colour looks


@dataclass(frozen=True)
class Augmentation:
    """How far each change may go; 0 switches it off.

    Attributes:
        color: Strength of gamma, contrast, saturation and white balance; 1 is a cheap camera.
        gray: Probability of a picture without colour.
        blur: Largest standard deviation of the Gaussian blur, px.
        noise: Largest standard deviation of the pixel noise, in units of [-1, 1].
        coarse: Share of the pictures that lose half or two thirds of the resolution.
        rotation: Largest rotation, degrees.
        scale: Largest relative change of size.
        shift: Largest translation, as a share of the side.
        bend: Largest displacement of a feature against its neighbours, as a share of the side.
        shade: Largest standard deviation of folds, shadows and strands, in units of [-1, 1].
        cover: Share of the pictures with a patch of something else in the way.
    """

    color: float = 0.0
    gray: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    coarse: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    bend: float = 0.0
    shade: float = 0.0
    cover: float = 0.0


def augment(image: Tensor, amount: Augmentation) -> Tensor:
    """Apply everything that `amount` asks for, in the order light, lens, sensor.

    Args:
        image: [n, 3, h, w] in [-1, 1].
        amount: What to do and how strongly.

    Returns:
        The changed images, same shape and range.
    """
    with torch.autocast(image.device.type, enabled=False):  # 8 bits of mantissa would be seen
        return _augment(image.float(), amount)


def _augment(image: Tensor, amount: Augmentation) -> Tensor:
    if amount.cover:
        image = cover(image, amount.cover)
    if amount.shade:
        image = some(image, 0.6, lambda x: shade(x, amount.shade))
    if amount.color or amount.gray:
        image = some(image, 0.7, lambda x: change_colors(x, amount.color, amount.gray))
    if amount.rotation or amount.scale or amount.shift or amount.bend:
        grid = random_grid(image, amount.rotation, amount.scale, amount.shift)
        image = warp(image, grid + bends(image, amount.bend))
    if amount.coarse:
        image = some(image, amount.coarse, reduce_resolution)
    if amount.blur:
        image = some(image, 0.4, lambda x: blur(x, amount.blur))
    if amount.noise:
        image = some(image, 0.5, lambda x: add_noise(x, amount.noise))
    return image


def some_rows(image: Tensor, share: float) -> Tensor:
    """Draw which pictures of a batch are changed: a share of them, rounded up or down by chance."""
    count = min(len(image), int(share * len(image) + float(torch.rand(()))))
    return torch.randperm(len(image))[:count].to(image.device)


def some(image: Tensor, share: float, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Change a random share of a batch only, which leaves clean pictures and saves time."""
    rows = some_rows(image, share)
    return image if len(rows) == 0 else image.index_copy(0, rows, change(image[rows]))


def _between(image: Tensor, low: float, high: float, channels: int = 1) -> Tensor:
    """Draw [n, channels, 1, 1] uniform numbers."""
    draw = torch.rand(len(image), channels, 1, 1, device=image.device)
    return low + (high - low) * draw


def _chosen(image: Tensor, probability: float) -> Tensor:
    """Draw [n, 1, 1, 1] booleans."""
    return torch.rand(len(image), 1, 1, 1, device=image.device) < probability


def change_colors(image: Tensor, strength: float = 1.0, gray: float = 0.0) -> Tensor:
    """Change white balance, saturation, contrast, brightness and gamma.

    Args:
        image: [n, 3, h, w] in [-1, 1].
        strength: 1 changes contrast by up to 30 % and gamma by up to a factor of 1.5.
        gray: Probability of taking all colour out.
    """
    x = (image + 1) / 2 * _between(image, 1 - 0.15 * strength, 1 + 0.15 * strength, 3)
    luma = (x * torch.tensor(LUMA, device=x.device)[:, None, None]).sum(1, keepdim=True)
    saturation = _between(image, 1 - 0.5 * strength, 1 + 0.3 * strength)
    saturation = torch.where(_chosen(image, gray), 0.0, saturation)
    x = luma + saturation * (x - luma)
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + _between(image, 1 - 0.3 * strength, 1 + 0.3 * strength) * (x - mean)
    x = x + _between(image, -0.1 * strength, 0.1 * strength)
    gamma = torch.exp(_between(image, -0.4 * strength, 0.4 * strength))
    return x.clamp(1e-3, 1) ** gamma * 2 - 1


def blur(image: Tensor, largest: float) -> Tensor:
    """Blur with a Gaussian of a standard deviation between 0 and `largest` px."""
    radius = max(1, int(2.5 * largest + 0.5))
    sigma = _between(image, 0.05, largest)[:, :, 0, 0]
    places = torch.arange(-radius, radius + 1, device=image.device)
    taps = torch.exp(-0.5 * (places / sigma) ** 2)
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(3, 0)[:, None]  # [3n, 1, taps]
    x = F.pad(image, [radius] * 4, mode="replicate").flatten(0, 1)[None]
    x = F.conv2d(x, taps[:, :, :, None], groups=len(taps))
    return F.conv2d(x, taps[:, :, None, :], groups=len(taps))[0].unflatten(0, (-1, 3))


def add_noise(image: Tensor, largest: float) -> Tensor:
    """Add Gaussian noise of a standard deviation between 0 and `largest`."""
    noise = torch.randn_like(image) * _between(image, 0, largest)
    return (image + noise).clamp(-1, 1)


def reduce_resolution(image: Tensor) -> Tensor:
    """Take pictures through a half or a third of the resolution."""
    factor = 2 if float(torch.rand(())) < 0.65 else 3
    small = F.interpolate(image, scale_factor=1 / factor, mode="bilinear", antialias=True)
    return F.interpolate(small, size=image.shape[-2:], mode="bilinear", align_corners=False)


def random_grid(image: Tensor, rotation: float, scale: float, shift: float) -> Tensor:
    """Draw similarity transforms and return their sampling grid, [n, h, w, 2].

    Args:
        image: Gives batch, size and device.
        rotation: Largest rotation, degrees.
        scale: Largest relative change of size.
        shift: Largest translation, as a share of the side.
    """
    angle = torch.deg2rad(_between(image, -rotation, rotation)[:, 0, 0, 0])
    size = torch.exp(_between(image, -scale, scale)[:, 0, 0, 0])
    offset = _between(image, -2 * shift, 2 * shift, 2)[:, :, 0, 0]  # the grid spans 2
    cos, sin = angle.cos() * size, angle.sin() * size
    rows = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    theta = torch.cat([rows, offset[:, :, None]], 2)
    return F.affine_grid(theta, list(image.shape), align_corners=False)


def bends(image: Tensor, largest: float) -> Tensor:
    """Draw smooth displacements of up to about `largest` of the side, [n, h, w, 2], for a grid.

    No two faces have their features in quite the same places, and fewer still where portraits of
    the world have them.
    """
    if not largest:
        return image.new_zeros(1, 1, 1, 2)
    cells = torch.randn(len(image), 2, 6, 6, device=image.device).clamp(-1.5, 1.5)
    cells = cells * _between(image, 0, 2 * largest / 1.5)  # the grid spans 2
    field = F.interpolate(cells, size=image.shape[-2:], mode="bicubic", align_corners=False)
    return field.permute(0, 2, 3, 1)


def shade(image: Tensor, largest: float) -> Tensor:
    """Lay light and dark over pictures, from broad shadows to fine strands; hardly any colour."""
    n, _, h, w = image.shape
    total = torch.zeros_like(image)
    for cells in (3, 9, 27, 64):
        gray = torch.randn(n, 1, cells, cells, device=image.device)
        tint = 0.2 * torch.randn(n, 3, cells, cells, device=image.device)
        field = F.interpolate(gray + tint, size=(h, w), mode="bicubic", align_corners=False)
        total = total + field * _between(image, 0, largest / 2)
    return (image + total).clamp(-1, 1)


def warp(image: Tensor, grid: Tensor) -> Tensor:
    """Resample images on a grid; what lies outside repeats the border."""
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False)


def cover(image: Tensor, share: float) -> Tensor:
    """Put a rectangle of random texture before a share of the pictures, like a hand or a cup."""

    def hide(x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        center, half = _between(x, 0, 1, 2)[:, :, 0], _between(x, 0.05, 0.18, 2)[:, :, 0]
        rows = torch.linspace(0, 1, h, device=x.device)
        columns = torch.linspace(0, 1, w, device=x.device)
        high = (rows - center[:, 0]).abs() < half[:, 0]  # [n, h]
        wide = (columns - center[:, 1]).abs() < half[:, 1]  # [n, w]
        inside = (high[:, :, None] & wide[:, None, :])[:, None]
        return torch.where(inside, random_texture(n, (h, w), x.device), x)

    return some(image, share, hide)


def random_texture(n: int, size: tuple[int, int], device: torch.device) -> Tensor:
    """Draw backgrounds: a colour, with soft blobs or a gradient over it, half with hard edges."""
    light = torch.rand(n, 1, 1, 1, device=device) * 1.8 - 0.9
    texture = (light + 0.25 * torch.randn(n, 3, 1, 1, device=device)).expand(n, 3, *size)
    amount = torch.rand(n, 3, 1, 1, device=device) ** 2
    for i, cells in enumerate((2, 5, 12)):
        blobs = torch.randn(n, 1, cells, cells, device=device)
        blobs = 0.5 * blobs + 0.25 * torch.randn(n, 3, cells, cells, device=device)
        blobs = F.interpolate(blobs, size=size, mode="bicubic", align_corners=False)
        texture = texture + amount[:, i : i + 1] * blobs
    edged = (torch.rand(n, 1, 1, 1, device=device) < 0.5).float()
    return (texture + edged * _mosaic(n, size, device)).clamp(-1, 1)


def _mosaic(n: int, size: tuple[int, int], device: torch.device, lines: int = 5) -> Tensor:
    """Draw straight edges: each line adds a colour on one side of it and takes it on the other."""
    rows = torch.linspace(-1, 1, size[0], device=device)[:, None]
    columns = torch.linspace(-1, 1, size[1], device=device)[None]
    total = torch.zeros(n, 3, *size, device=device)
    for _ in range(lines):
        normal = torch.randn(n, 2, 1, 1, device=device)
        distance = (
            normal[:, :1] * rows + normal[:, 1:] * columns + 0.7 * torch.randn_like(normal[:, :1])
        )
        color = 0.15 * torch.randn(n, 1, 1, 1, device=device) + 0.12 * torch.randn(
            n, 3, 1, 1, device=device
        )
        total = total + color * distance.sign()
    return total


def replace_region(
    image: Tensor, segmentation: Tensor, label: int, share: float
) -> tuple[Tensor, Tensor]:
    """Fill a region with random texture in a share of the pictures, softly at its border.

    Args:
        image: [n, 3, h, w] in [-1, 1].
        segmentation: Labels, [n, h, w].
        label: The region to fill.
        share: Of the pictures in which it is filled.

    Returns:
        The images, and where they were filled: [n, 1, h, w] in [0, 1].
    """
    rows = some_rows(image, share)
    filled = torch.zeros_like(image[:, :1])
    if len(rows) == 0:
        return image, filled
    region = (segmentation[rows] == label)[:, None].float()
    soft = F.avg_pool2d(F.pad(region, [1] * 4, mode="replicate"), 3, 1)
    mask = torch.minimum(soft, region)
    texture = random_texture(len(rows), (image.shape[-2], image.shape[-1]), image.device)
    image = image.index_copy(0, rows, torch.lerp(image[rows], texture, mask))
    return image, filled.index_copy(0, rows, mask)
