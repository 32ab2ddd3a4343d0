"""Lab colours against OpenCV's, which interpolates a table, and against published values."""

import cv2
import numpy as np
import pytest
import torch

from mmseg_rloss.models import SelfLabelLoss
from mmseg_rloss.ops.colours import to_lab

# Of sRGB under D65, to a tenth.
LAB = {
    (0, 0, 0): (0, 0, 0),
    (255, 255, 255): (100, 0, 0),
    (119, 119, 119): (50.0, 0, 0),
    (255, 0, 0): (53.2, 80.1, 67.2),
    (0, 255, 0): (87.7, -86.2, 83.2),
    (0, 0, 255): (32.3, 79.2, -107.9),
}


@pytest.mark.parametrize("rgb, lab", LAB.items())
def test_the_primaries_are_those_published(rgb, lab):
    image = torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)
    expected = 2.55 * torch.tensor(lab, dtype=torch.float64)
    torch.testing.assert_close(to_lab(image).flatten(), expected, rtol=0, atol=0.15)


def test_every_colour_is_opencvs():
    levels = np.linspace(0, 255, 12, dtype=np.float32)
    rgb = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 12, 3)
    expected = 2.55 * torch.from_numpy(cv2.cvtColor(rgb / 255, cv2.COLOR_RGB2LAB)).permute(2, 0, 1)
    actual = to_lab(torch.from_numpy(rgb).permute(2, 0, 1).unsqueeze(0))
    torch.testing.assert_close(actual[0], expected, rtol=0, atol=1.5)


def test_other_ranges_are_those_of_the_image_scaled():
    image = torch.rand(1, 3, 4, 5, dtype=torch.float64) * 255
    torch.testing.assert_close(to_lab(image * 257, (0, 65535)), to_lab(image) * 257)
    torch.testing.assert_close(to_lab(image / 255 - 1, (-1, 0)), to_lab(image) / 255)
    assert to_lab(image, None) is image
    region = torch.ones(1, 4, 5)
    labels = torch.full((1, 4, 5), 255)
    labels[0, 0, 0] = 1
    losses = []
    for factor in (1, 257):  # as a loss of MMSegmentation's is given its images
        loss = SelfLabelLoss(sigma_rgb=60 * factor, sigma_xy=8)
        loss.provide(image * factor, region, value_range=(0, 255 * factor))
        losses.append(loss(torch.arange(40.0).view(1, 2, 4, 5) % 7, labels))
    torch.testing.assert_close(*losses)


def test_other_numbers_of_channels_and_values_out_of_range_pass():
    bands = torch.rand(2, 4, 5, 6) * 255
    assert to_lab(bands) is bands
    assert torch.isfinite(to_lab(torch.tensor([-1e4, -1.0, 1e6]).view(1, 3, 1, 1))).all()
