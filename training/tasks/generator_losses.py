"""What the generator is trained by: how far what it draws is from the render."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.backbones.attributes import AttributeReader
from faceedit.backbones.segmenter import Segmenter
from faceedit.world import REGIONS
from training.data.augment import add_noise, random_grid, some, warp

# How much a pixel of a region counts. Eyes and mouth are a few per cent of the picture and most of
# what people look at; unweighted, the mouth stays a smear. A region that is not here counts 1.
REGION_WEIGHTS = {
    "background": 0.5,
    "cloth": 0.5,
    "neck": 0.8,
    "ear": 2.0,
    "nose": 3.0,
    "beard": 1.5,
    "brows": 4.0,
    "eyes": 6.0,
    "lips": 6.0,
    "mouth": 8.0,  # teeth, tongue and the dark between them
    "glasses": 4.0,
    "lens": 3.0,
    "hat": 1.5,
    "earring": 16.0,
}
CONTOUR = 5  # px at full size; a region's weight also counts this far around it, for its outline
PYRAMID_LEVELS = 4
FLAT = 0.03  # of w's mean variance: directions of w with less of it are noise


def pixel_weights(segmentation: Tensor, resolution: int) -> Tensor:
    """Return how much every pixel counts, [n, 1, resolution, resolution], mean 1 over the batch.

    Args:
        segmentation: [n, h, w] uint8, indices into REGIONS.
        resolution: Size to average to, px.
    """
    values = [REGION_WEIGHTS.get(name, 1.0) for name in REGIONS]
    table = torch.tensor(values, device=segmentation.device)
    weights = table[segmentation.long()][:, None]
    weights = F.max_pool2d(weights, CONTOUR, stride=1, padding=CONTOUR // 2)
    weights = shrink(weights, resolution)
    return weights / weights.mean()


def shrink(x: Tensor, resolution: int) -> Tensor:
    """Average [n, c, h, w] down to `resolution` px, a divisor of h."""
    return x if x.shape[-1] == resolution else F.avg_pool2d(x, x.shape[-1] // resolution)


def reconstruction_terms(made: Tensor, real: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted L1 distance and the weighted L1 distance of the Laplacian pyramids.

    The pyramid is linear, so it is built once, from the difference. Its first level is what a pixel
    differs from its surroundings: edges, which L1 alone leaves blurred.

    Args:
        made: [n, 3, h, w].
        real: The same.
        weights: [n, 1, h, w], mean 1.
    """
    difference = made - real
    pixel = (difference.abs() * weights).mean()
    pyramid = difference.new_zeros(())
    for _ in range(PYRAMID_LEVELS - 1):
        coarse = F.avg_pool2d(difference, 2)
        blurred = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        pyramid = pyramid + ((difference - blurred).abs() * weights).mean()
        difference, weights = coarse, F.avg_pool2d(weights, 2)
    return pixel, pyramid + (difference.abs() * weights).mean()


def feature_distance(segmenter: Segmenter, made: Tensor, real: Tensor) -> Tensor:
    """Return the L1 distance of a segmenter's finest features, relative to their size."""
    with torch.no_grad():
        wanted = segmenter.features(real)[:2]
    got = segmenter.features(made)[:2]
    terms = [(a - b).abs().mean() / b.abs().mean() for a, b in zip(got, wanted, strict=True)]
    return torch.stack([term.float() for term in terms]).mean()


def reader_distance(reader: AttributeReader, made: Tensor, real: Tensor) -> Tensor:
    """Return how far two sets of images are apart to an attribute reader.

    Half of it is the L1 distance of its maps, relative to their size, which places small things;
    half the root of the mean square of its hidden features', in which a nose's width counts as
    much as the sky. Squares keep the mean of what is seen, where L1 keeps the median, in which
    what is seldom seen is missing.
    """
    with torch.no_grad():
        maps, hidden = reader.features(real), reader.pooled(real).float()
    pairs = list(zip(reader.features(made), maps, strict=True))
    terms = [(a - b).abs().mean().float() / b.abs().mean().float() for a, b in pairs]
    apart = (reader.pooled(made).float() - hidden).square().mean()
    whole = (apart / hidden.square().mean() + 1e-8).sqrt()  # the root of 0 has no slope
    return (torch.stack(terms).mean() + whole) / 2


def jittered(made: Tensor, real: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Lay the same random grain over two sets of images [n, 3, h, w], and move half of both alike.

    A generator learns to please a reader that always looks at the same pixels: what it draws is
    right to that one and to no other. Averaging over small changes mends that (Kettunen et al.,
    "E-LPIPS", arXiv:1906.03973).
    """
    if strength == 0:
        return made, real

    def move(x: Tensor) -> Tensor:
        return warp(x, random_grid(x, 4 * strength, 0.06 * strength, 0.04 * strength))

    both = some(torch.cat([made.float(), real.float()], dim=1), 0.5, move)
    grain = add_noise(torch.zeros_like(real), 0.06 * strength)
    return both[:, :3] + grain, both[:, 3:] + grain


def psnr(made: Tensor, real: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of every image, [n], in dB."""
    error = (made.clamp(-1, 1) - real).square().mean((1, 2, 3))
    return 10 * torch.log10(4 / error.clamp(min=1e-10))


def stretching(people: Tensor, samples: Tensor) -> Tensor:
    """Return the matrix [d, d] that makes samples [n, d] differ as much as people [m, d] do.

    What least distance cannot tell it averages, so a mapping network's samples differ less than
    people do: by a tenth of the variance in most directions. Stretches each principal direction of
    people by what is missing there, and leaves those alone in which hardly anybody differs.
    """
    variance, directions = torch.linalg.eigh(torch.cov(people.T))
    missing = variance.clamp(min=0) / (samples @ directions).var(0).clamp(min=1e-12)
    missing = torch.where(variance > FLAT * variance.mean(), missing.clamp(min=1), 1)
    return (directions * missing.sqrt()) @ directions.T
