"""The landmarks' network: units, names, learning on a face that is known."""

import pytest
import torch

from faceedit.backbones.landmarks import Landmarker, LandmarkerConfig

NAMES = ("left_eye", "right_eye")
SMALL = LandmarkerConfig(NAMES, fold=4, widths=(8, 16), resolution=32)


def test_points_are_pixels_of_the_picture_that_is_given():
    torch.manual_seed(0)
    network = Landmarker(SMALL).eval()
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    found = network.find(image)
    assert found.points.shape == (2, 2, 2) and found.visible.shape == (2, 2)
    assert ((found.points > 0) & (found.points < 32)).all()
    assert ((found.visible > 0) & (found.visible < 1)).all()
    large = network.find(torch.nn.functional.interpolate(image, size=(96, 96)))
    assert torch.allclose(large.points, found.points * 3, atol=1)
    assert torch.equal(found.of("right_eye")[:, 0], found.points[:, 1])


def test_names_shapes_and_sizes_are_checked():
    network = Landmarker(SMALL).eval()
    with pytest.raises(ValueError, match="tail"):
        network.find(torch.zeros(1, 3, 32, 32)).of("tail")
    with pytest.raises(ValueError, match="aligned face"):
        network.find(torch.zeros(1, 3, 32, 64))
    with pytest.raises(ValueError, match="multiple of 8"):
        LandmarkerConfig(NAMES, fold=4, widths=(8, 16), resolution=30)


def test_it_learns_where_two_spots_are_and_whether_one_is_there():
    torch.manual_seed(0)
    network = Landmarker(SMALL)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)

    def pictures(n: int):
        at = torch.randint(6, 26, (n, 2, 2))
        shown = torch.rand(n) < 0.5
        image = 0.1 * torch.randn(n, 3, 32, 32)
        for i in range(n):
            for k, channel in ((0, 0), (1, 2)):
                if k == 0 or shown[i]:
                    x, y = at[i, k].tolist()
                    image[i, channel, y - 2 : y + 3, x - 2 : x + 3] += 2
        return image, (at + 0.5) / 32, shown

    for _ in range(80):
        image, truth, shown = pictures(16)
        points, visible, _ = network(image)
        there = torch.stack([torch.ones_like(shown), shown], 1).float()
        away = ((points - truth).abs().sum(-1) * there).mean()
        told = torch.nn.functional.binary_cross_entropy_with_logits(visible, there)
        optimizer.zero_grad()
        (10 * away + told).backward()
        optimizer.step()
    image, truth, shown = pictures(32)
    network.eval()
    found = network.find(image)
    assert (found.points[:, 0] / 32 - truth[:, 0]).norm(dim=-1).mean() < 0.06
    assert ((found.visible[:, 1] > 0.5) == shown).float().mean() > 0.85
