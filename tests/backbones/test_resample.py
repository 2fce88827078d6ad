"""Resizing by banded products gives what PyTorch's own resizing gives, with its gradients."""

import pytest
import torch
import torch.nn.functional as F

from faceedit.backbones.resample import bicubic, box, foveal_columns, foveal_rows, resample


@pytest.mark.parametrize(("shape", "size"), [((128, 128), 96), ((90, 61), 96), ((300, 47), 224)])
def test_bicubic_equals_antialiased_interpolation(shape, size):
    image = torch.randn(2, 3, *shape)
    wanted = F.interpolate(image, (size, size), mode="bicubic", antialias=True)
    torch.testing.assert_close(resample(image, size, bicubic), wanted, atol=1e-5, rtol=1e-5)


def test_box_equals_enlarging_and_pooling():
    image = torch.randn(2, 3, 128, 128)
    wanted = F.avg_pool2d(F.interpolate(image, scale_factor=7, mode="nearest"), 4)
    torch.testing.assert_close(resample(image, 224, box), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("weights", [bicubic, box])
def test_gradients_of_first_and_second_order(weights):
    image = torch.randn(1, 1, 11, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resample(x, 8, weights), image)
    assert torch.autograd.gradgradcheck(lambda x: resample(x, 8, weights) ** 2, image)


def test_foveal_rows_show_the_face_pixel_by_pixel_and_lose_no_light():
    for weights, inside, outside in (
        (foveal_rows, slice(36, 108), slice(14, 86)),
        (foveal_columns, slice(20, 108), slice(4, 92)),
    ):
        matrix = weights(128, 96)
        torch.testing.assert_close(matrix.sum(dim=1), torch.ones(96))
        assert (matrix.sum(dim=0) > 0).all()  # everything is seen
        torch.testing.assert_close(
            matrix[outside, inside], torch.eye(inside.stop - inside.start), atol=1e-5, rtol=0
        )
    image = torch.rand(1, 3, 128, 128, dtype=torch.float64)
    wanted = foveal_rows(128, 96).double() @ image @ foveal_columns(128, 96).double().T
    found = resample(image, 96, foveal_rows, foveal_columns)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
