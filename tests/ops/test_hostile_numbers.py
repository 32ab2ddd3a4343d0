"""Extreme sizes and bandwidths: right numbers or a clear error."""

import pytest
import torch

from mmseg_rloss.ops import bilateral_filter, densecrf_loss, gaussian_filter_exact
from tests.ops.filters import filter_by_image
from tests.ops.golden import relative_error
from tests.ops.images import natural_image

# Rounding in float32 decides, for pixels between two simplices, which corners of no weight the
# lattice has; what the blur carries over these moves the sums by up to this much.
TIES = 2e-2


def assert_right(image, values, sigma_rgb, sigma_xy):
    """The filter agrees with its plain-PyTorch twin in the same type and in float64."""
    filtered = bilateral_filter(image, values, sigma_rgb, sigma_xy)
    expected = filter_by_image(image, values, sigma_rgb, sigma_xy)
    assert relative_error(filtered, expected) < 1e-6
    image, values, filtered = image.double(), values.double(), filtered.double()
    expected = filter_by_image(image, values, sigma_rgb, sigma_xy)
    assert relative_error(filtered, expected) < TIES


@pytest.mark.parametrize("sigma_xy", [0.3, 20.0, 1e6])
@pytest.mark.parametrize("sigma_rgb", [1e-3, 0.1, 5.0, 1e6])
def test_bandwidths_from_tiny_to_huge(sigma_rgb, sigma_xy):
    assert_right(natural_image(24, 31), torch.rand(1, 2, 24, 31), sigma_rgb, sigma_xy)


def test_a_tiny_bandwidth_leaves_pixels_to_themselves():
    image = torch.arange(12.0).view(1, 1, 3, 4) * 20
    values = torch.rand(1, 2, 3, 4)
    filtered = bilateral_filter(image, values, 1e-3, 1e-3)
    # Each pixel's own weight in the lattice is that of its simplex, well below one.
    ratio = filtered / values
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert (ratio > 0.1).all() and (ratio < 1).all()


def test_huge_bandwidths_sum_everything():
    image, values = natural_image(9, 7), torch.rand(1, 2, 9, 7)
    filtered = bilateral_filter(image, values, 1e6, 1e6)
    features = torch.zeros(1, 5, 63)
    exact = gaussian_filter_exact(features, values.flatten(2)).view_as(values)
    ratio = filtered / exact
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-3, atol=0)


@pytest.mark.parametrize("value", [0.0, 255.0])
def test_constant_images(value):
    assert_right(torch.full((1, 3, 13, 17), value), torch.rand(1, 3, 13, 17), 15, 5)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
def test_thin_images(size):
    assert_right(natural_image(*size), torch.rand(1, 2, *size), 15, 30)


def test_a_thousand_classes():
    assert_right(natural_image(10, 12), torch.rand(1, 1000, 10, 12), 15, 30)


@pytest.mark.parametrize("size", [(1, 100_000), (400, 500)])
def test_lattices_of_many_points(size):
    """Noise gives nearly every pixel six points of its own: in all, 300,000 and a million."""
    image, values = 255 * torch.rand(1, 3, *size), torch.rand(1, 2, *size)
    filtered = bilateral_filter(image, values, 2, 3)
    (u, v), (filtered_u, filtered_v) = values[0].double(), filtered[0].double()
    torch.testing.assert_close((u * filtered_v).sum(), (filtered_u * v).sum(), rtol=1e-6, atol=0)
    # Hardly any pixel has a neighbour: only its own weight remains, as for a pixel alone.
    alone = bilateral_filter(image[..., :1, :1], torch.ones(1, 1, 1, 1), 2, 3).item()
    assert 0.5 * alone < (filtered / values).median() < 2 * alone


def test_values_of_any_magnitude():
    image, values = natural_image(8, 9), torch.rand(1, 2, 8, 9)
    filtered = bilateral_filter(image, values, 15, 20)
    for factor in (1e-30, 1e30):
        scaled = bilateral_filter(image, factor * values, 15, 20)
        assert relative_error(scaled / factor, filtered) < 1e-5


@pytest.mark.parametrize("sigma", [1e-12, 1e-30])
def test_a_bandwidth_beyond_all_precision_is_refused(sigma):
    with pytest.raises(ValueError, match=r"image over the bandwidth .* larger bandwidth"):
        bilateral_filter(natural_image(4, 4), torch.rand(1, 1, 4, 4), sigma, 20)


def test_confident_and_uniform_probabilities():
    image, region = natural_image(12, 12), torch.ones(1, 12, 12)
    logits = torch.randn(1, 3, 12, 12) * 1e4
    for segmentation in (logits.softmax(1), torch.full((1, 3, 12, 12), 1 / 3)):
        assert densecrf_loss(image, segmentation, region, 15, 20, 0.5).isfinite()
