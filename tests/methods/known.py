"""Networks whose answers can be worked out by hand, for the numbers of losses.

An image of one colour is all that they need: CLIP sees its red as an angle, in radians, and the
recogniser its green.
"""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from faceedit.backbones import Backbones
from faceedit.types import Face, Latent, Sentence, Space

SIDE = 8  # px of a picture
LAYERS, ENTRIES = 3, 4  # of a code
REGIONS = ("background", "skin", "hair", "cloth")


def direction(angle: Tensor | float) -> Tensor:
    """The unit vector at an angle, [..., 2]."""
    angle = torch.as_tensor(angle)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


class RedAngle(nn.Module):
    """CLIP: an image's mean red is the angle of its embedding."""

    embed_dim = 2

    def encode_image(self, image: Tensor) -> Tensor:
        return direction(image[:, 0].mean((1, 2)))


class GreenAngle(nn.Module):
    """A recogniser: an image's mean green is the angle of its embedding."""

    def forward(self, image: Tensor) -> Tensor:
        return direction(image[:, 1].mean((1, 2)))

    def embed(self, image: Tensor) -> Tensor:
        return self(image)

    def features(self, image: Tensor) -> list[Tensor]:
        return [image, 2 * image]


class Columns(nn.Module):
    """A segmenter: a quarter of every picture's columns for each region, whatever it shows."""

    config = SimpleNamespace(regions=REGIONS)

    def forward(self, image: Tensor) -> Tensor:
        labels = self.segment(image).long()
        return 100.0 * nn.functional.one_hot(labels, len(REGIONS)).permute(0, 3, 1, 2)

    def segment(self, image: Tensor) -> Tensor:
        n, _, height, width = image.shape
        return (torch.arange(width) * len(REGIONS) // width).expand(n, height, width)

    def mask(self, image: Tensor, *names: str) -> Tensor:
        wanted = torch.tensor([name in names for name in REGIONS])
        return wanted[self.segment(image).long()][:, None].float()


class PlusMinus(nn.Module):
    """A generator whose random codes are 1 or -1 in every entry, so that a unit is 2."""

    num_ws = LAYERS
    config = SimpleNamespace(w_dim=ENTRIES, tied_layers=False)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w_avg", torch.zeros(ENTRIES))

    def sample_w_plus(self, n: int, draws: torch.Generator, truncation_psi: float) -> Tensor:
        signs = 1.0 - 2.0 * (torch.arange(n) % 2)
        return signs[:, None, None].expand(n, LAYERS, ENTRIES)

    def synthesis(self, code: Tensor) -> Tensor:
        """The first three entries of the mean code are the colour."""
        return code.mean(dim=1)[:, :3, None, None].expand(-1, -1, SIDE, SIDE)


class OneCode(nn.Module):
    """An encoder that sees the same code in every picture: 1 everywhere."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.ones(len(image), LAYERS, ENTRIES)


def networks(**others: nn.Module) -> Backbones:
    known = {
        "generator": PlusMinus(), "clip": RedAngle(), "identity": GreenAngle(),
        "segmenter": Columns(), "encoder": OneCode(),
    }  # fmt: skip
    return Backbones(**{**known, **others})


def plain_face(red: float = 0, green: float = 0, blue: float = 0, code: float = 0) -> Face:
    """A picture of one colour, with the same number in every entry of its code."""
    image = torch.tensor([red, green, blue], dtype=torch.float32)[None, :, None, None]
    latent = Latent(torch.full((1, LAYERS, ENTRIES), float(code)), Space.W_PLUS)
    return Face(image.repeat(1, 1, SIDE, SIDE), latent)


def sentence_at(angle: float, neutral: float = 0.0) -> Sentence:
    """A sentence whose embedding lies at an angle."""
    return Sentence(("red hair",), "a face", direction(angle)[None], direction(neutral)[None])
